package keyring

import (
	"fmt"
	"strings"
)

const (
	minSecret   = 32 // bytes
	minDistinct = 10 // bytes; of 64 random hexadecimal digits, less than one in 10^11 has fewer
)

// Texts of six and more characters occur in a random secret less often than once in a million.
var placeholders = []string{
	"changeme", "change-me", "change_me", "change this", "changethis", "replaceme", "replace-me", "replace_me",
	"secret", "password", "passphrase", "example", "placeholder", "default", "insecure", "development",
	"12345678", "abcdefgh", "qwerty",
}

// Weak returns why a secret is too easy to guess, or "" if nothing speaks against it. It is too
// easy if it has less than 32 bytes or less than 10 different ones, if it repeats a shorter text,
// or if it has a word in it with which examples of configurations show where the secret belongs.
// The text has no part of the secret.
func Weak(secret string) string {
	const instead = "; use 32 random bytes in base64 or hexadecimal"
	if len(secret) < minSecret {
		return fmt.Sprintf("it has %d bytes, and at least %d are needed", len(secret), minSecret) + instead
	}
	if n := distinct(secret); n < minDistinct {
		return fmt.Sprintf("it has only %d different bytes, and at least %d are needed", n, minDistinct) + instead
	}
	if repeats(secret) {
		return "it repeats a shorter text" + instead
	}
	lower := strings.ToLower(secret)
	for _, text := range placeholders {
		if strings.Contains(lower, text) {
			return "it looks like a placeholder" + instead
		}
	}
	return ""
}

func distinct(s string) int {
	var seen [256]bool
	n := 0
	for i := range len(s) {
		if !seen[s[i]] {
			seen[s[i]] = true
			n++
		}
	}
	return n
}

// repeats reports whether a text is a shorter one at least twice, and perhaps a part of it.
func repeats(s string) bool {
	for length := 1; length <= len(s)/2; length++ {
		if s[length:] == s[:len(s)-length] {
			return true
		}
	}
	return false
}
