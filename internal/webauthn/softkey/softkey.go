// Package softkey is an authenticator and a browser in software, for tests of what
// relying parties do. It shares no code with package webauthn, so that a mistake in
// one does not hide the same in the other.
package softkey

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// A Key is an authenticator with one passkey, and the browser in front of it. [New]
// makes one. Its fields may be changed before each ceremony; it is not safe for
// concurrent use.
type Key struct {
	ID         []byte // the credential's; New makes 32 random bytes
	AAGUID     [16]byte
	UserHandle []byte   // set by Create, returned by Get
	Transports []string // New sets "internal" and "hybrid"

	UV bool // the user is verified; New sets it
	BE bool // the credential is eligible for backups
	BS bool // the credential is backed up

	// Count is the counter of signatures. If it is not zero, Get adds one to it first;
	// at zero the authenticator does not count.
	Count uint32

	// The functions that are not nil change what a step made before the next one uses
	// it: before the authenticator hashes or signs it, or it is sent.
	EditClientData  func(clientDataJSON []byte) []byte
	EditAuthData    func(authData []byte) []byte
	EditAttestation func(attestationObject []byte) []byte
	EditSignature   func(signature []byte) []byte

	alg     int
	private crypto.Signer
	public  []byte // COSE_Key
}

// New makes a key of the algorithm -8 (EdDSA with Ed25519), -7 (ES256) or -257 (RS256,
// of 2,048 bits), and returns an error for any other.
func New(alg int) (*Key, error) {
	private, err := generate(alg)
	if err != nil {
		return nil, err
	}
	id := make([]byte, 32)
	rand.Read(id)
	return NewFrom(id, private)
}

// NewFrom makes a key of an [ed25519.PrivateKey], an [*ecdsa.PrivateKey] of P-256 or an
// [*rsa.PrivateKey] with the exponent 65537, and returns an error for any other. All that
// such a Key does follows from id and private: its signatures are deterministic.
func NewFrom(id []byte, private crypto.Signer) (*Key, error) {
	alg, public, err := coseKey(private.Public())
	if err != nil {
		return nil, err
	}
	return &Key{ID: id, Transports: []string{"internal", "hybrid"}, UV: true, alg: alg, private: private, public: public}, nil
}

type descriptor struct {
	ID string `json:"id"`
}

// has reports whether the list names the key's credential.
func (k *Key) has(list []descriptor) bool {
	return slices.Contains(list, descriptor{encode(k.ID)})
}

type creationOptions struct {
	RP struct {
		ID string `json:"id"`
	} `json:"rp"`
	User struct {
		ID string `json:"id"`
	} `json:"user"`
	Challenge        string `json:"challenge"`
	PubKeyCredParams []struct {
		Alg int `json:"alg"`
	} `json:"pubKeyCredParams"`
	ExcludeCredentials []descriptor `json:"excludeCredentials"`
}

// Create answers a PublicKeyCredentialCreationOptionsJSON with a
// RegistrationResponseJSON, as the browser does for a page of the origin. It returns
// an error if the options do not offer the key's algorithm, or exclude its credential.
// It does not compare the origin with the relying party's ID.
func (k *Key) Create(options []byte, origin string) ([]byte, error) {
	var o creationOptions
	if err := json.Unmarshal(options, &o); err != nil {
		return nil, fmt.Errorf("creation options: %w", err)
	}
	offered := false
	for _, param := range o.PubKeyCredParams {
		offered = offered || param.Alg == k.alg
	}
	if !offered {
		return nil, fmt.Errorf("the algorithm %d is not offered", k.alg)
	}
	if k.has(o.ExcludeCredentials) {
		return nil, errors.New("the credential is excluded")
	}
	handle, err := base64.RawURLEncoding.DecodeString(o.User.ID)
	if err != nil {
		return nil, fmt.Errorf("user.id: %w", err)
	}
	k.UserHandle = handle

	client := edited(clientData("webauthn.create", o.Challenge, origin), k.EditClientData)
	auth := edited(k.authData(o.RP.ID, true), k.EditAuthData)
	object := edited(attestationObject(auth), k.EditAttestation)
	return k.response(map[string]any{
		"clientDataJSON":     encode(client),
		"attestationObject":  encode(object),
		"authenticatorData":  encode(auth),
		"transports":         k.Transports,
		"publicKeyAlgorithm": k.alg,
	})
}

type requestOptions struct {
	RPID             string       `json:"rpId"`
	Challenge        string       `json:"challenge"`
	AllowCredentials []descriptor `json:"allowCredentials"`
}

// Get answers a PublicKeyCredentialRequestOptionsJSON with an AuthenticationResponseJSON,
// as the browser does for a page of the origin. It returns an error if the options
// allow other credentials only.
func (k *Key) Get(options []byte, origin string) ([]byte, error) {
	var o requestOptions
	if err := json.Unmarshal(options, &o); err != nil {
		return nil, fmt.Errorf("request options: %w", err)
	}
	if len(o.AllowCredentials) > 0 && !k.has(o.AllowCredentials) {
		return nil, errors.New("the credential is not allowed")
	}
	if k.Count != 0 {
		k.Count++
	}
	client := edited(clientData("webauthn.get", o.Challenge, origin), k.EditClientData)
	auth := edited(k.authData(o.RPID, false), k.EditAuthData)
	sum := sha256.Sum256(client)
	signature, err := k.sign(slices.Concat(auth, sum[:]))
	if err != nil {
		return nil, err
	}
	return k.response(map[string]any{
		"clientDataJSON":    encode(client),
		"authenticatorData": encode(auth),
		"signature":         encode(edited(signature, k.EditSignature)),
		"userHandle":        encode(k.UserHandle),
	})
}

func (k *Key) response(inner map[string]any) ([]byte, error) {
	return json.Marshal(map[string]any{
		"id":                      encode(k.ID),
		"rawId":                   encode(k.ID),
		"type":                    "public-key",
		"authenticatorAttachment": "platform",
		"clientExtensionResults":  map[string]any{},
		"response":                inner,
	})
}

func edited(data []byte, edit func([]byte) []byte) []byte {
	if edit == nil {
		return data
	}
	return edit(data)
}

func encode(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }

// clientData writes members in the order of WebAuthn's section 5.8.1.1.
func clientData(kind, challenge, origin string) []byte {
	text := func(s string) []byte { quoted, _ := json.Marshal(s); return quoted }
	return fmt.Appendf(nil, `{"type":%s,"challenge":%s,"origin":%s,"crossOrigin":false}`, text(kind), text(challenge), text(origin))
}

func (k *Key) authData(rpID string, attested bool) []byte {
	flags := byte(0x01)
	for flag, set := range map[byte]bool{0x04: k.UV, 0x08: k.BE, 0x10: k.BS, 0x40: attested} {
		if set {
			flags |= flag
		}
	}
	sum := sha256.Sum256([]byte(rpID))
	data := append(sum[:], flags)
	data = binary.BigEndian.AppendUint32(data, k.Count)
	if attested {
		data = append(data, k.AAGUID[:]...)
		data = binary.BigEndian.AppendUint16(data, uint16(len(k.ID)))
		data = slices.Concat(data, k.ID, k.public)
	}
	return data
}

// attestationObject is one of the format none.
func attestationObject(authData []byte) []byte {
	object := append([]byte{0xa3, 0x63}, "fmt"...)
	object = append(append(object, 0x64), "none"...)
	object = append(append(object, 0x67), "attStmt"...)
	object = append(append(object, 0xa0, 0x68), "authData"...)
	return appendBytes(object, authData)
}

// appendBytes appends a CBOR byte string.
func appendBytes(data, text []byte) []byte {
	switch n := len(text); {
	case n < 24:
		data = append(data, 0x40|byte(n))
	case n < 256:
		data = append(data, 0x58, byte(n))
	default:
		data = append(data, 0x59, byte(n>>8), byte(n))
	}
	return append(data, text...)
}

func generate(alg int) (crypto.Signer, error) {
	switch alg {
	case -8:
		_, private, err := ed25519.GenerateKey(rand.Reader)
		return private, err
	case -7:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case -257:
		return rsa.GenerateKey(rand.Reader, 2048)
	}
	return nil, fmt.Errorf("the algorithm %d is unknown", alg)
}

// coseKey returns the algorithm of a public key, and the key as a COSE_Key.
func coseKey(public crypto.PublicKey) (alg int, encoded []byte, err error) {
	switch public := public.(type) {
	case ed25519.PublicKey:
		return -8, appendBytes([]byte{0xa4, 0x01, 0x01, 0x03, 0x27, 0x20, 0x06, 0x21}, public), nil
	case *ecdsa.PublicKey:
		point, err := public.Bytes()
		if err != nil || public.Curve != elliptic.P256() {
			return 0, nil, errors.New("the key is not of P-256")
		}
		encoded = appendBytes([]byte{0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21}, point[1:33])
		return -7, appendBytes(append(encoded, 0x22), point[33:]), nil
	case *rsa.PublicKey:
		if public.E != 65537 {
			return 0, nil, errors.New("the exponent is not 65537")
		}
		encoded = appendBytes([]byte{0xa4, 0x01, 0x03, 0x03, 0x39, 0x01, 0x00, 0x20}, public.N.Bytes())
		return -257, append(encoded, 0x21, 0x43, 0x01, 0x00, 0x01), nil
	}
	return 0, nil, fmt.Errorf("keys of the type %T are unknown", public)
}

// sign passes no randomness, which makes ECDSA deterministic (RFC 6979).
func (k *Key) sign(message []byte) ([]byte, error) {
	if k.alg == -8 {
		return k.private.Sign(nil, message, crypto.Hash(0))
	}
	sum := sha256.Sum256(message)
	return k.private.Sign(nil, sum[:], crypto.SHA256)
}
