package totp

import (
	"crypto/rand"
	"encoding/base32"
	"strings"
)

const (
	recoveryBytes = 15 // 120 bits, which are 24 characters without padding
	recoveryGroup = 4  // characters
)

// The alphabet has no 0, 1 and 8, so that no digit is taken for the letter o, l or b.
var recoveryEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// NewRecoveryCode returns a new random recovery code of 120 bits: 24 lower-case characters of
// base32, in groups of four with a hyphen between them.
func NewRecoveryCode() string {
	var random [recoveryBytes]byte
	rand.Read(random[:]) // never fails
	return group(recoveryEncoding.EncodeToString(random[:]))
}

// NormalizeRecoveryCode returns a recovery code that a user has typed in the form in which
// [NewRecoveryCode] returns it. It ignores case, spaces and hyphens. If the text cannot be a
// recovery code, ok is false.
func NormalizeRecoveryCode(s string) (canonical string, ok bool) {
	length := recoveryEncoding.EncodedLen(recoveryBytes)
	code := make([]byte, 0, length)
	for i := range len(s) {
		c := s[i]
		switch {
		case c == ' ' || c == '-':
			continue
		case c >= 'A' && c <= 'Z':
			c += 'a' - 'A'
		case (c < 'a' || c > 'z') && (c < '2' || c > '7'):
			return "", false
		}
		if len(code) == length {
			return "", false
		}
		code = append(code, c)
	}
	if len(code) != length {
		return "", false
	}
	return group(string(code)), true
}

// group writes a hyphen after each four characters but the last.
func group(code string) string {
	var b strings.Builder
	for i := 0; i < len(code); i += recoveryGroup {
		if i > 0 {
			b.WriteByte('-')
		}
		b.WriteString(code[i : i+recoveryGroup])
	}
	return b.String()
}
