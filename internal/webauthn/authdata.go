package webauthn

import (
	"crypto/sha256"
	"encoding/binary"
)

// This file parses authenticator data and attestation objects (WebAuthn Level 3,
// sections 6.1 and 6.5).

// The flags of authenticator data (section 6.1). The bits 1 and 5 are reserved, and
// ignored.
const (
	flagUserPresent    = 1 << 0
	flagUserVerified   = 1 << 2
	flagBackupEligible = 1 << 3
	flagBackedUp       = 1 << 4
	flagAttested       = 1 << 6
	flagExtensions     = 1 << 7
)

const (
	minAuthData     = sha256.Size + 1 + 4 // the hash of the RP's ID, flags, counter
	maxAuthData     = 16 << 10            // an ID and a key of the longest have 3 KiB; extensions follow
	maxAttestation  = 64 << 10            // statements have chains of certificates
	maxCredentialID = 1023                // section 4, credential ID
	aaguidLen       = 16
)

type authData struct {
	rpIDHash  []byte
	flags     byte
	signCount uint32

	attested *attested // nil without the flag AT
}

// attested is attested credential data (section 6.5.1).
type attested struct {
	aaguid   [aaguidLen]byte
	id       []byte
	key      publicKey
	keyBytes []byte // the COSE_Key as it was sent
}

func (a authData) has(flag byte) bool { return a.flags&flag != 0 }

// parseAuthData parses all of data. Extensions are parsed and dropped: none is asked
// for that an authenticator answers.
func parseAuthData(data []byte) (authData, error) {
	if len(data) < minAuthData || len(data) > maxAuthData {
		return authData{}, errorf("the authenticator data has %d bytes, which is not from %d to %d", len(data), minAuthData, maxAuthData)
	}
	parsed := authData{
		rpIDHash:  data[:sha256.Size],
		flags:     data[sha256.Size],
		signCount: binary.BigEndian.Uint32(data[sha256.Size+1:]),
	}
	rest, err := data[minAuthData:], error(nil)
	if parsed.has(flagAttested) {
		if parsed.attested, rest, err = parseAttested(rest); err != nil {
			return authData{}, err
		}
	}
	if parsed.has(flagExtensions) {
		if rest, err = skipExtensions(rest); err != nil {
			return authData{}, err
		}
	}
	if len(rest) > 0 {
		return authData{}, errorf("%d bytes follow the authenticator data", len(rest))
	}
	return parsed, nil
}

func parseAttested(data []byte) (*attested, []byte, error) {
	const head = aaguidLen + 2
	if len(data) < head {
		return nil, nil, errorf("the attested credential data ends early")
	}
	parsed := &attested{aaguid: [aaguidLen]byte(data)}
	idLen := int(binary.BigEndian.Uint16(data[aaguidLen:]))
	data = data[head:]
	if idLen == 0 || idLen > maxCredentialID || idLen > len(data) {
		return nil, nil, errorf("the credential ID's length is %d, which is not from 1 to %d, or %d bytes are left", idLen, maxCredentialID, len(data))
	}
	parsed.id, data = data[:idLen], data[idLen:]
	item, rest, err := decodeCBOR(data)
	if err != nil {
		return nil, nil, err
	}
	parsed.keyBytes = data[:len(data)-len(rest)]
	if len(parsed.keyBytes) > maxKeyLen {
		return nil, nil, errorf("the public key has more than %d bytes", maxKeyLen)
	}
	parsed.key, err = parseKey(item)
	return parsed, rest, err
}

func skipExtensions(data []byte) (rest []byte, err error) {
	item, rest, err := decodeCBOR(data)
	if err != nil {
		return nil, err
	}
	if _, ok := item.(cborMap); !ok {
		return nil, errorf("the extensions in the authenticator data are not a CBOR map")
	}
	return rest, nil
}

// checkAuthData makes the checks of authenticator data that sections 7.1 and 7.2
// share.
func (rp RP) checkAuthData(data authData, requireUV bool) error {
	if want := sha256.Sum256([]byte(rp.ID)); [sha256.Size]byte(data.rpIDHash) != want {
		return errorf("the authenticator data is not for the relying party %q", rp.ID)
	}
	if !data.has(flagUserPresent) {
		return errorf("the user was not present")
	}
	if requireUV && !data.has(flagUserVerified) {
		return errorf("the user was not verified")
	}
	if data.has(flagBackedUp) && !data.has(flagBackupEligible) {
		return errorf("the credential is backed up and not eligible for it")
	}
	return nil
}

// parseAttestation returns the authenticator data of an attestation object. It does
// not verify the attestation statement; see [RP.Register].
func parseAttestation(data []byte) (authData, error) {
	if len(data) > maxAttestation {
		return authData{}, errorf("the attestation object has more than %d bytes", maxAttestation)
	}
	item, rest, err := decodeCBOR(data)
	if err != nil {
		return authData{}, err
	}
	if len(rest) > 0 {
		return authData{}, errorf("%d bytes follow the attestation object", len(rest))
	}
	object, _ := item.(cborMap)
	format, hasFormat := object["fmt"].(string)
	statement, hasStatement := object["attStmt"].(cborMap)
	bytes, hasData := object["authData"].([]byte)
	if !hasFormat || !hasStatement || !hasData {
		return authData{}, errorf("the attestation object is not a CBOR map of fmt, attStmt and authData")
	}
	if format == "none" && len(statement) > 0 {
		return authData{}, errorf("the attestation format is none, and the statement is not empty")
	}
	return parseAuthData(bytes)
}
