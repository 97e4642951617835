package webauthn

import (
	"bytes"
	"encoding/base64"
	"slices"
)

// A Credential is a passkey as the server stores it: the credential record of WebAuthn
// Level 3, section 4. None of it is secret.
type Credential struct {
	ID             []byte   // 1 to 1,023 bytes
	PublicKey      []byte   // a COSE_Key, as the authenticator sent it; up to 2,048 bytes
	Alg            int      // [EdDSA], [ES256] or [RS256]
	SignCount      uint32   // zero if the authenticator does not count
	UserVerified   bool     // the authenticator verified the user in the registration
	BackupEligible bool     // it can be on several devices
	BackedUp       bool     // it is, now
	Transports     []string // for the options of later ceremonies
	AAGUID         [16]byte // the model of the authenticator; nobody vouches for it
}

// A RegistrationResponse is a RegistrationResponseJSON (section 5.1), which a browser
// makes with PublicKeyCredential.toJSON. Fields that Register does not read are there
// for decoders that refuse members which they do not know.
type RegistrationResponse struct {
	ID                      string              `json:"id"`
	RawID                   Base64URL           `json:"rawId"`
	Response                AttestationResponse `json:"response"`
	AuthenticatorAttachment string              `json:"authenticatorAttachment,omitempty"` // is not read
	ClientExtensionResults  map[string]any      `json:"clientExtensionResults"`            // is not read
	Type                    string              `json:"type"`
}

// An AttestationResponse is an AuthenticatorAttestationResponseJSON.
type AttestationResponse struct {
	ClientDataJSON     Base64URL `json:"clientDataJSON"`
	AuthenticatorData  string    `json:"authenticatorData,omitempty"` // is not read: it is in AttestationObject
	Transports         []string  `json:"transports,omitempty"`
	PublicKey          string    `json:"publicKey,omitempty"`          // is not read
	PublicKeyAlgorithm int64     `json:"publicKeyAlgorithm,omitempty"` // is not read
	AttestationObject  Base64URL `json:"attestationObject"`
}

// Register verifies the response of a browser to [CreationOptions] with the challenge,
// by section 7.1, and returns the credential to store. With requireUV the authenticator
// must have verified the user. Errors are of the type [*Error].
//
// These are its decisions where the section leaves them to the relying party:
//   - A page in a frame of another origin cannot register a credential.
//   - Token binding, which Level 3 dropped, is ignored.
//   - The attestation format none needs an empty statement. Any other format, which an
//     authenticator may use although none was asked for, is treated as none: its
//     statement is not verified, and nothing depends on it.
//   - Extensions of the authenticator must be well-formed, and are ignored.
//   - Transports that cannot be ones are dropped.
//
// Step 26, that no user has a credential with this ID, is the caller's.
func (rp RP) Register(challenge []byte, response RegistrationResponse, requireUV bool) (Credential, error) {
	if err := rp.check(challenge); err != nil {
		return Credential{}, err
	}
	if err := checkEnvelope(response.Type, response.ID, response.RawID); err != nil {
		return Credential{}, err
	}
	if err := rp.checkClientData(response.Response.ClientDataJSON, typeCreate, challenge); err != nil {
		return Credential{}, err
	}
	data, err := parseAttestation(response.Response.AttestationObject)
	if err != nil {
		return Credential{}, err
	}
	if err := rp.checkAuthData(data, requireUV); err != nil {
		return Credential{}, err
	}
	if data.attested == nil {
		return Credential{}, errorf("the authenticator data has no credential")
	}
	if !bytes.Equal(data.attested.id, response.RawID) {
		return Credential{}, errorf("rawId is not the ID in the authenticator data")
	}
	return newCredential(data, response.Response.Transports), nil
}

// newCredential copies, so that the credential does not hold the whole response.
func newCredential(data authData, transports []string) Credential {
	return Credential{
		ID:             bytes.Clone(data.attested.id),
		PublicKey:      bytes.Clone(data.attested.keyBytes),
		Alg:            data.attested.key.alg,
		SignCount:      data.signCount,
		UserVerified:   data.has(flagUserVerified),
		BackupEligible: data.has(flagBackupEligible),
		BackedUp:       data.has(flagBackedUp),
		Transports:     knownForm(transports),
		AAGUID:         data.attested.aaguid,
	}
}

// checkEnvelope checks what is around the response of the authenticator.
func checkEnvelope(kind, id string, rawID []byte) error {
	if kind != publicKeyType {
		return errorf("the response's type is %.80q and not %q", kind, publicKeyType)
	}
	if len(rawID) == 0 || len(rawID) > maxCredentialID {
		return errorf("rawId has %d bytes, which is not from 1 to %d", len(rawID), maxCredentialID)
	}
	if id != base64.RawURLEncoding.EncodeToString(rawID) {
		return errorf("id and rawId differ")
	}
	return nil
}

const (
	maxTransports   = 8 // the specification knows six
	maxTransportLen = 32
)

// knownForm returns the transports that consist of small letters and hyphens, as all
// in section 5.8.4 do, each once. Others are legal to receive and useless to send back.
func knownForm(transports []string) []string {
	var kept []string
	for _, t := range transports {
		if isTransport(t) && !slices.Contains(kept, t) && len(kept) < maxTransports {
			kept = append(kept, t)
		}
	}
	return kept
}

func isTransport(text string) bool {
	for _, c := range []byte(text) {
		if c != '-' && (c < 'a' || c > 'z') {
			return false
		}
	}
	return text != "" && len(text) <= maxTransportLen
}
