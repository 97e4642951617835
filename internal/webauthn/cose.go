package webauthn

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"math/big"
)

// The signature algorithms that are offered, by their numbers in the registry of
// COSE algorithms (RFC 9053, section 2; RFC 8812, section 2).
const (
	EdDSA = -8   // with the curve Ed25519
	ES256 = -7   // ECDSA with the curve P-256 and SHA-256
	RS256 = -257 // RSASSA-PKCS1-v1_5 with SHA-256
)

// algorithms are those that are offered, the preferred one first.
func algorithms() []int { return []int{EdDSA, ES256, RS256} }

// The labels and values of COSE_Key (RFC 9052, section 7.1; RFC 9053, section 7;
// RFC 8230, section 4). Negative labels have a meaning for each type of key.
const (
	labelType      = int64(1)
	labelAlgorithm = int64(3)

	typeOKP = int64(1)
	typeEC2 = int64(2)
	typeRSA = int64(3)

	labelCurve = int64(-1)
	labelX     = int64(-2)
	labelY     = int64(-3)

	labelModulus  = int64(-1)
	labelExponent = int64(-2)

	curveP256    = int64(1)
	curveEd25519 = int64(6)
)

const (
	minModulusBits = 2048
	maxModulusBits = 8192
	maxKeyLen      = 2048 // of a whole COSE_Key; 8,192 bits of RSA need 1,043
	maxSignature   = maxModulusBits / 8
)

// A publicKey is a key of one of the algorithms.
type publicKey struct {
	alg int
	key crypto.PublicKey
}

// parseKey parses a COSE_Key that was decoded. Parameters that it does not need are
// ignored.
func parseKey(item any) (publicKey, error) {
	params, ok := item.(cborMap)
	if !ok {
		return publicKey{}, errorf("the public key is not a CBOR map")
	}
	alg, ok := params[labelAlgorithm].(int64)
	if !ok {
		return publicKey{}, errorf("the public key has no algorithm")
	}
	wantType, parse := typeOf(alg)
	if parse == nil {
		return publicKey{}, errorf("the algorithm %d of the public key was not offered", alg)
	}
	if params[labelType] != wantType {
		return publicKey{}, errorf("the public key's type is not that of its algorithm %d", alg)
	}
	key, err := parse(params)
	return publicKey{int(alg), key}, err
}

// typeOf returns the type of an algorithm's keys, and how they are parsed; nil if
// the algorithm is not offered.
func typeOf(alg int64) (int64, func(cborMap) (crypto.PublicKey, error)) {
	switch alg {
	case EdDSA:
		return typeOKP, parseEd25519
	case ES256:
		return typeEC2, parseP256
	case RS256:
		return typeRSA, parseRSA
	}
	return 0, nil
}

// parseStoredKey parses the bytes of a COSE_Key that [RP.Register] returned.
func parseStoredKey(data []byte) (publicKey, error) {
	if len(data) > maxKeyLen {
		return publicKey{}, errorf("the public key has more than %d bytes", maxKeyLen)
	}
	item, rest, err := decodeCBOR(data)
	if err != nil {
		return publicKey{}, err
	}
	if len(rest) > 0 {
		return publicKey{}, errorf("%d bytes follow the public key", len(rest))
	}
	return parseKey(item)
}

func parseEd25519(params cborMap) (crypto.PublicKey, error) {
	x, _ := params[labelX].([]byte)
	if params[labelCurve] != curveEd25519 || len(x) != ed25519.PublicKeySize {
		return nil, errorf("the public key is not one of Ed25519")
	}
	return ed25519.PublicKey(x), nil
}

// parseP256 accepts only points with both coordinates, as WebAuthn demands (Level 3,
// section 5.8.5), that are on the curve.
func parseP256(params cborMap) (crypto.PublicKey, error) {
	const size = 32
	x, _ := params[labelX].([]byte)
	y, _ := params[labelY].([]byte)
	if params[labelCurve] != curveP256 || len(x) != size || len(y) != size {
		return nil, errorf("the public key is not one of P-256 with two coordinates")
	}
	point := append(append([]byte{4}, x...), y...)
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		return nil, errorf("the public key is not a point of P-256")
	}
	return key, nil
}

// parseRSA accepts numbers in their shortest form, as RFC 8230, section 4 demands.
// What it does not accept, crypto/rsa could not use, or would take long to.
func parseRSA(params cborMap) (crypto.PublicKey, error) {
	modulus, _ := params[labelModulus].([]byte)
	exponent, _ := params[labelExponent].([]byte)
	if len(modulus) == 0 || modulus[0] == 0 || len(exponent) == 0 || exponent[0] == 0 {
		return nil, errorf("the public key has no modulus or no exponent in its shortest form")
	}
	n := new(big.Int).SetBytes(modulus)
	if bits := n.BitLen(); bits < minModulusBits || bits > maxModulusBits || n.Bit(0) == 0 {
		return nil, errorf("the public key's modulus is even, or not of %d to %d bits", minModulusBits, maxModulusBits)
	}
	e := new(big.Int).SetBytes(exponent)
	if e.BitLen() < 2 || e.BitLen() > 31 || e.Bit(0) == 0 {
		return nil, errorf("the public key's exponent is not an odd number from 3 to 2³¹-1")
	}
	return &rsa.PublicKey{N: n, E: int(e.Int64())}, nil
}

// verify reports whether signature is the key's of message. Signatures of ES256 are
// in ASN.1 DER, and those of the others as they are (WebAuthn Level 3, section 6.5.5).
func (k publicKey) verify(message, signature []byte) bool {
	sum := sha256.Sum256(message)
	switch key := k.key.(type) {
	case ed25519.PublicKey:
		return ed25519.Verify(key, message, signature)
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(key, sum[:], signature)
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], signature) == nil
	}
	return false
}
