// Package apitoken makes tokens for programs that call an API, and recognises them.
//
// A token is PREFIX_RANDOMCHECK: a prefix that says what it is for, 40 random characters of
// base62 (238 bits), and 6 characters of base62 with a CRC-32. The checksum lets a server refuse
// a mistyped token without asking its database, and lets a scanner that searches source code for
// leaked tokens tell them from other texts. It protects against nothing else.
package apitoken

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"hash/crc32"
	"strings"
)

const (
	alphabet       = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	randomLength   = 40
	checksumLength = 6 // 62^6 is greater than 2^32
	maxPrefix      = 16
)

// ValidPrefix reports whether a prefix can be that of tokens: a lower-case ASCII letter,
// followed by at most 15 lower-case letters, digits and underscores, the last of which is no
// underscore.
func ValidPrefix(prefix string) bool {
	if prefix == "" || len(prefix) > maxPrefix || prefix[0] < 'a' || prefix[0] > 'z' || prefix[len(prefix)-1] == '_' {
		return false
	}
	for i := range len(prefix) {
		c := prefix[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return true
}

// New returns a new random token. [Parse] accepts it only if the prefix is valid.
func New(prefix string) string {
	token := make([]byte, 0, len(prefix)+1+randomLength+checksumLength)
	token = append(token, prefix...)
	token = append(token, '_')
	token = appendRandom(token)
	return string(appendChecksum(token))
}

// Parse returns the lower-case hexadecimal SHA-256 hash of a token, under which it is stored. If
// the token does not have the given prefix, or is not of the form of [New], ok is false. The
// token has so many random bits that its hash needs neither salt nor many rounds.
func Parse(prefix, token string) (hash string, ok bool) {
	if !ValidPrefix(prefix) || !wellFormed(prefix, token) {
		return "", false
	}
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:]), true
}

func wellFormed(prefix, token string) bool {
	rest, found := strings.CutPrefix(token, prefix)
	if !found || len(rest) != 1+randomLength+checksumLength || rest[0] != '_' {
		return false
	}
	for i := 1; i < len(rest); i++ {
		if strings.IndexByte(alphabet, rest[i]) < 0 {
			return false
		}
	}
	return string(appendChecksum([]byte(token[:len(token)-checksumLength]))) == token
}

// appendRandom appends random characters. It drops the bytes from 248, the greatest multiple of
// 62 below 256: the remainder of all bytes would favour the first characters.
func appendRandom(token []byte) []byte {
	end := len(token) + randomLength
	var random [64]byte
	for {
		rand.Read(random[:]) // never fails
		for _, b := range random {
			if len(token) == end {
				return token
			}
			if int(b) < 256/len(alphabet)*len(alphabet) {
				token = append(token, alphabet[int(b)%len(alphabet)])
			}
		}
	}
}

// appendChecksum appends the CRC-32 (IEEE) of a text in base62, the greatest digit first.
func appendChecksum(text []byte) []byte {
	sum := crc32.ChecksumIEEE(text)
	var digits [checksumLength]byte
	for i := checksumLength - 1; i >= 0; i-- {
		digits[i] = alphabet[sum%uint32(len(alphabet))]
		sum /= uint32(len(alphabet))
	}
	return append(text, digits[:]...)
}
