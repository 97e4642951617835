package webauthn

import (
	"bytes"
	"crypto/sha256"
)

// maxUserHandle is the greatest length of a user handle (section 5.4.3).
const maxUserHandle = 64

// An AuthenticationResponse is an AuthenticationResponseJSON (WebAuthn Level 3, section
// 5.1), which a browser makes with PublicKeyCredential.toJSON. Fields that Assert does
// not read are there for decoders that refuse members which they do not know.
type AuthenticationResponse struct {
	ID                      string            `json:"id"`
	RawID                   Base64URL         `json:"rawId"` // by which the caller finds the credential
	Response                AssertionResponse `json:"response"`
	AuthenticatorAttachment string            `json:"authenticatorAttachment,omitempty"` // is not read
	ClientExtensionResults  map[string]any    `json:"clientExtensionResults"`            // is not read
	Type                    string            `json:"type"`
}

// An AssertionResponse is an AuthenticatorAssertionResponseJSON.
type AssertionResponse struct {
	ClientDataJSON    Base64URL `json:"clientDataJSON"`
	AuthenticatorData Base64URL `json:"authenticatorData"`
	Signature         Base64URL `json:"signature"`
	UserHandle        Base64URL `json:"userHandle,omitempty"`
}

// An Assertion is what a response proves, and what the caller updates in its record of
// the credential.
type Assertion struct {
	// UserHandle is the user's ID from the registration; empty if the authenticator
	// sent none. It is not signed. If it is not empty, the caller must see that it is
	// the ID of the credential's user; if the caller does not know the user by other
	// means, it must not be empty (section 7.2, step 6).
	UserHandle []byte

	UserVerified bool

	SignCount uint32 // to store
	BackedUp  bool   // to store

	// CountSuspect reports that the counter of signatures did not grow: there may be a
	// copy of the authenticator, or answers came in another order than they were made.
	// Section 7.2, step 22 lets the relying party decide.
	CountSuspect bool

	// BackupEligible is what the authenticator says now, and BackupEligibleChanged
	// that it is not what it said in the registration, where it should be final.
	BackupEligible, BackupEligibleChanged bool
}

// Assert verifies the response of a browser to [RequestOptions] with the challenge, by
// section 7.2. credential is that of response.RawID. With requireUV the authenticator
// must have verified the user. Errors are of the type [*Error].
//
// These are its decisions where the section leaves them to the relying party, and one
// where it does not:
//   - A page in a frame of another origin cannot log in.
//   - A counter that did not grow is reported, and is no error.
//   - A credential that became eligible for backups, or ceased to be, is reported. It is
//     no error, although step 18 makes it one: password managers have done so, and the
//     user would be locked out. A credential that is backed up and not eligible is an error.
//   - Extensions and attested credential data of the authenticator must be well-formed,
//     and are ignored.
func (rp RP) Assert(challenge []byte, credential Credential, response AuthenticationResponse, requireUV bool) (Assertion, error) {
	if err := rp.check(challenge); err != nil {
		return Assertion{}, err
	}
	if err := checkEnvelope(response.Type, response.ID, response.RawID); err != nil {
		return Assertion{}, err
	}
	if !bytes.Equal(response.RawID, credential.ID) {
		return Assertion{}, errorf("rawId is not the ID of the credential")
	}
	if length := len(response.Response.UserHandle); length > maxUserHandle {
		return Assertion{}, errorf("the user handle has %d bytes, which is more than %d", length, maxUserHandle)
	}
	if err := rp.checkClientData(response.Response.ClientDataJSON, typeGet, challenge); err != nil {
		return Assertion{}, err
	}
	data, err := parseAuthData(response.Response.AuthenticatorData)
	if err != nil {
		return Assertion{}, err
	}
	if err := rp.checkAuthData(data, requireUV); err != nil {
		return Assertion{}, err
	}
	if err := credential.checkSignature(response.Response); err != nil {
		return Assertion{}, err
	}
	return credential.assertion(data, response.Response.UserHandle), nil
}

// checkSignature checks the signature of the authenticator data and the hash of the
// client data (section 7.2, steps 20 and 21).
func (c Credential) checkSignature(response AssertionResponse) error {
	key, err := parseStoredKey(c.PublicKey)
	if err != nil {
		return err
	}
	if key.alg != c.Alg {
		return errorf("the public key's algorithm is %d, and the credential's %d", key.alg, c.Alg)
	}
	if len(response.Signature) > maxSignature {
		return errorf("the signature has more than %d bytes", maxSignature)
	}
	sum := sha256.Sum256(response.ClientDataJSON)
	if !key.verify(append(bytes.Clone(response.AuthenticatorData), sum[:]...), response.Signature) {
		return errorf("the signature is not the credential's")
	}
	return nil
}

func (c Credential) assertion(data authData, userHandle []byte) Assertion {
	eligible := data.has(flagBackupEligible)
	return Assertion{
		UserHandle:            userHandle,
		UserVerified:          data.has(flagUserVerified),
		SignCount:             data.signCount,
		BackedUp:              data.has(flagBackedUp),
		CountSuspect:          (data.signCount != 0 || c.SignCount != 0) && data.signCount <= c.SignCount,
		BackupEligible:        eligible,
		BackupEligibleChanged: eligible != c.BackupEligible,
	}
}
