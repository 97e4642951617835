// Package keyring signs and encrypts with secrets that can be replaced. The newest secret signs
// and encrypts; what older ones have signed and encrypted is still accepted until they are taken
// from the list.
//
// All keys are derived from the secrets with HKDF-SHA256 (RFC 5869), a different one for each
// purpose and each operation. So what was made for one purpose is never accepted for another.
package keyring

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
)

// Ring has the keys of a list of secrets. Its zero value is of no use: call [New]. It is safe for
// concurrent use.
type Ring struct {
	keys [][]byte // the pseudorandom key of HKDF of each secret, the current one first
}

// New returns a Ring of the given secrets. The first one is current, and the others are old.
// There must be at least one, and none may be empty. New accepts weak secrets, since an old one
// must be accepted until it is replaced; see [Weak].
func New(secrets []string) (*Ring, error) {
	if len(secrets) == 0 {
		return nil, errors.New("there is no secret; give at least one of 32 random bytes")
	}
	r := new(Ring)
	for i, secret := range secrets {
		if secret == "" {
			return nil, fmt.Errorf("secret %d of %d is empty; give 32 random bytes, or take it from the list", i+1, len(secrets))
		}
		key, err := hkdf.Extract(sha256.New, []byte(secret), nil)
		if err != nil { // FIPS 140 does not allow it
			return nil, fmt.Errorf("secret %d of %d: %w", i+1, len(secrets), err)
		}
		r.keys = append(r.keys, key)
	}
	return r, nil
}

const keyLength = 32 // bytes

// derive returns a key of a secret. No operation has a NUL in its name, so that no two pairs of
// operation and purpose have the same info.
func derive(key []byte, operation, purpose string) []byte {
	derived, err := hkdf.Expand(sha256.New, key, operation+"\x00"+purpose, keyLength)
	if err != nil {
		panic(err) // not reached: a key of 32 bytes is short enough
	}
	return derived
}

// Derive returns a key of 32 bytes for a purpose, made from the current secret. It is none of
// the keys with which the Ring signs and encrypts.
func (r *Ring) Derive(purpose string) []byte { return derive(r.keys[0], "derive", purpose) }

// Sign returns the HMAC-SHA256 of data, of 32 bytes, with the current secret's key for a purpose.
func (r *Ring) Sign(purpose string, data []byte) []byte { return sign(r.keys[0], purpose, data) }

func sign(key []byte, purpose string, data []byte) []byte {
	mac := hmac.New(sha256.New, derive(key, "sign", purpose))
	mac.Write(data)
	return mac.Sum(nil)
}

// Verify reports whether mac is what [Ring.Sign] returns, with any of the secrets, for the same
// purpose and data. The time it takes depends on the number of secrets, and not on which one has
// signed or on how much of mac is right.
func (r *Ring) Verify(purpose string, data, mac []byte) bool {
	valid := false
	for _, key := range r.keys {
		if hmac.Equal(sign(key, purpose, data), mac) {
			valid = true
		}
	}
	return valid
}

// version is the first byte of what Seal returns.
const version = 1

// errOpen does not say which it was: AES-GCM cannot tell.
var errOpen = errors.New("the sealed data cannot be opened: it was changed, it was sealed for another purpose or context, or its secret is no longer in the list")

// Seal encrypts plain with AES-256-GCM, a random nonce and the current secret's key for a
// purpose. The context is not encrypted and is no part of the result: it says where the data
// belongs, such as the key of its row, and [Ring.Open] needs the same one. The result is a byte
// for the version, 12 bytes for the nonce, and the encrypted data with its tag, which is 16 bytes
// longer than plain.
//
// With random nonces, a purpose may seal 2^32 times with one secret (NIST SP 800-38D, 8.3).
func (r *Ring) Seal(purpose string, plain, context []byte) []byte {
	return aead(r.keys[0], purpose).Seal([]byte{version}, nil, plain, context)
}

// Open returns what was sealed for the same purpose and context, with any of the secrets. If
// current is false, an old secret has sealed it, and it should be sealed again before that one
// is taken from the list.
func (r *Ring) Open(purpose string, sealed, context []byte) (plain []byte, current bool, err error) {
	if len(sealed) == 0 {
		return nil, false, errOpen
	}
	if sealed[0] != version {
		return nil, false, fmt.Errorf("the sealed data cannot be opened: it has the version %d, and only %d is supported", sealed[0], version)
	}
	for i, key := range r.keys {
		plain, err := aead(key, purpose).Open(nil, nil, sealed[1:], context)
		if err == nil {
			return plain, i == 0, nil
		}
	}
	return nil, false, errOpen
}

func aead(key []byte, purpose string) cipher.AEAD {
	block, err := aes.NewCipher(derive(key, "seal", purpose))
	if err != nil {
		panic(err) // not reached: 32 bytes are a key of AES-256
	}
	gcm, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err) // not reached: the block is that of AES
	}
	return gcm
}
