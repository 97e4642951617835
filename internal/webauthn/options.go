package webauthn

// This file has the options of both ceremonies in the JSON form that a browser reads
// by PublicKeyCredential.parseCreationOptionsFromJSON and parseRequestOptionsFromJSON
// (WebAuthn Level 3, sections 5.1.8 and 5.1.9).

// publicKeyType is the only type of credentials (section 5.8.2).
const publicKeyType = "public-key"

// A UserVerification says whether the authenticator shall verify the user, such as by
// a fingerprint or a PIN (section 5.8.6). Its zero value is [Preferred].
type UserVerification string

// The requirements. A server that sends [Required] must also demand it of
// [RP.Register] and [RP.Assert].
const (
	Required    UserVerification = "required"
	Preferred   UserVerification = "preferred"
	Discouraged UserVerification = "discouraged"
)

func (u UserVerification) orDefault() UserVerification {
	if u == "" {
		return Preferred
	}
	return u
}

// A User is for whom a credential is made (section 5.4.3).
type User struct {
	// ID is the user handle: 1 to 64 bytes that have nothing personal. The
	// authenticator stores it, and returns it in [Assertion].
	ID Base64URL `json:"id"`

	Name        string `json:"name"`        // tells accounts of a person apart, such as a mail address
	DisplayName string `json:"displayName"` // may be empty
}

// A RelyingParty is how an [RP] appears in [CreationOptions].
type RelyingParty struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// A Parameter is an algorithm that is offered.
type Parameter struct {
	Type string `json:"type"`
	Alg  int    `json:"alg"`
}

// A Descriptor names a credential (section 5.8.3).
type Descriptor struct {
	Type       string    `json:"type"`
	ID         Base64URL `json:"id"`
	Transports []string  `json:"transports,omitempty"`
}

// A Selection says which authenticators are wanted (section 5.4.4).
type Selection struct {
	ResidentKey        string           `json:"residentKey"`
	RequireResidentKey bool             `json:"requireResidentKey"` // for browsers of Level 1
	UserVerification   UserVerification `json:"userVerification"`
}

// Extensions are those that are asked for.
type Extensions struct {
	CredProps bool `json:"credProps"` // whether the credential is discoverable (section 10.1.3)
}

// CreationOptions are a PublicKeyCredentialCreationOptionsJSON. [RP.CreationOptions]
// makes them.
type CreationOptions struct {
	RP                     RelyingParty `json:"rp"`
	User                   User         `json:"user"`
	Challenge              Base64URL    `json:"challenge"`
	PubKeyCredParams       []Parameter  `json:"pubKeyCredParams"`
	Timeout                int64        `json:"timeout"` // in milliseconds
	ExcludeCredentials     []Descriptor `json:"excludeCredentials"`
	AuthenticatorSelection Selection    `json:"authenticatorSelection"`
	Attestation            string       `json:"attestation"`
	Extensions             Extensions   `json:"extensions"`
}

// RequestOptions are a PublicKeyCredentialRequestOptionsJSON. [RP.RequestOptions] makes
// them.
type RequestOptions struct {
	Challenge        Base64URL        `json:"challenge"`
	Timeout          int64            `json:"timeout"` // in milliseconds
	RPID             string           `json:"rpId"`
	AllowCredentials []Descriptor     `json:"allowCredentials"`
	UserVerification UserVerification `json:"userVerification"`
}

// CreationOptions returns the options for registering a passkey: a discoverable
// credential, without attestation. exclude are the credentials that the user has
// already: an authenticator that has one of them makes no other. The relying party's
// name is its ID, as section 5.4.1 allows, which deprecates it.
func (rp RP) CreationOptions(challenge []byte, user User, verification UserVerification, exclude []Credential) CreationOptions {
	var params []Parameter
	for _, alg := range algorithms() {
		params = append(params, Parameter{publicKeyType, alg})
	}
	return CreationOptions{
		RP:                     RelyingParty{rp.ID, rp.ID},
		User:                   user,
		Challenge:              challenge,
		PubKeyCredParams:       params,
		Timeout:                Timeout.Milliseconds(),
		ExcludeCredentials:     descriptors(exclude),
		AuthenticatorSelection: Selection{"required", true, verification.orDefault()},
		Attestation:            "none",
		Extensions:             Extensions{CredProps: true},
	}
}

// RequestOptions returns the options for a login. allow are the credentials of the
// user, if the server knows who it is; if it is empty, the user chooses among the
// passkeys for this relying party.
func (rp RP) RequestOptions(challenge []byte, verification UserVerification, allow []Credential) RequestOptions {
	return RequestOptions{
		Challenge:        challenge,
		Timeout:          Timeout.Milliseconds(),
		RPID:             rp.ID,
		AllowCredentials: descriptors(allow),
		UserVerification: verification.orDefault(),
	}
}

// descriptors returns a list that is not nil: browsers refuse null.
func descriptors(credentials []Credential) []Descriptor {
	list := make([]Descriptor, 0, len(credentials))
	for _, c := range credentials {
		list = append(list, Descriptor{publicKeyType, c.ID, c.Transports})
	}
	return list
}
