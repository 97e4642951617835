// Package totp makes and verifies one-time passwords that depend on the time (TOTP, RFC 6238),
// with the parameters that every authenticator app supports: HMAC with SHA-1, six digits, and
// steps of 30 seconds. It also makes recovery codes.
package totp

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"crypto/subtle"
	"encoding/base32"
	"encoding/binary"
	"net/url"
	"strings"
	"time"
)

const (
	secretLength = 20 // bytes; RFC 4226, section 4, R6 recommends 160 bits
	digits       = 6
	period       = 30 // seconds
	skew         = 1  // steps before and after the current one; RFC 6238, section 5.2
)

var secretEncoding = base32.StdEncoding.WithPadding(base32.NoPadding)

// NewSecret returns a new random secret of 160 bits.
func NewSecret() []byte {
	secret := make([]byte, secretLength)
	rand.Read(secret) // never fails
	return secret
}

// Base32 returns a secret in the form in which a user types it into an authenticator app:
// base32 of RFC 4648 without padding.
func Base32(secret []byte) string { return secretEncoding.EncodeToString(secret) }

// URI returns the otpauth URI that an authenticator app reads from a QR code. The issuer is
// the name of the application, and the account is the name of the user in it. The format of
// these URIs allows a colon in neither; URI leaves colons out. Without an issuer, the URI has
// only the account.
func URI(issuer, account string, secret []byte) string {
	issuer, account = escape(issuer), escape(account)
	label, parameter := account, ""
	if issuer != "" {
		label, parameter = issuer+":"+account, "&issuer="+issuer
	}
	return "otpauth://totp/" + label + "?secret=" + Base32(secret) + parameter + "&algorithm=SHA1&digits=6&period=30"
}

// escape percent-encodes all but the unreserved characters of RFC 3986. It writes a space as
// %20: apps that follow RFC 3986 show a + as it is.
func escape(s string) string {
	s = url.QueryEscape(strings.ReplaceAll(s, ":", ""))
	return strings.ReplaceAll(s, "+", "%20")
}

// Step returns the number of the step that a time is in. Steps are counted from 1970.
func Step(t time.Time) int64 {
	step := t.Unix() / period
	if t.Unix()%period < 0 {
		step-- // round down, not towards zero
	}
	return step
}

// Code returns the code of a step.
func Code(secret []byte, step int64) string { return code(secret, step, digits) }

// code is HOTP of RFC 4226, section 5.3, with the step as the counter.
func code(secret []byte, step int64, digits int) string {
	var counter [8]byte
	binary.BigEndian.PutUint64(counter[:], uint64(step))
	mac := hmac.New(sha1.New, secret)
	mac.Write(counter[:])
	sum := mac.Sum(nil)
	offset := sum[len(sum)-1] & 0xf
	n := binary.BigEndian.Uint32(sum[offset:]) & 0x7fffffff
	text := make([]byte, digits)
	for i := digits - 1; i >= 0; i-- {
		text[i] = '0' + byte(n%10)
		n /= 10
	}
	return string(text)
}

// Verify reports whether a code is that of the step that a time is in, of the step before it
// or of the step after it, and returns that step.
//
// Only a step greater than last is accepted. The caller stores the step that Verify returns
// and passes it as last the next time, so that a code is accepted only once (RFC 6238,
// section 5.2). Before the first code, last is 0. Of two steps with the same code Verify
// returns the later one, since the code could else be used again.
//
// Spaces in the code are ignored. A code that does not have six ASCII digits is refused, and
// an empty secret verifies no code. The time that Verify takes does not depend on which digits
// are right.
func Verify(secret []byte, code string, at time.Time, last int64) (step int64, ok bool) {
	typed, wellFormed := clean(code)
	if !wellFormed || len(secret) == 0 {
		return 0, false
	}
	now := Step(at)
	for s := now - skew; s <= now+skew; s++ {
		equal := subtle.ConstantTimeCompare([]byte(Code(secret, s)), typed[:]) == 1
		if equal && s > last {
			step, ok = s, true
		}
	}
	return step, ok
}

// clean removes the spaces from a code and reports whether six digits are left.
func clean(code string) (typed [digits]byte, ok bool) {
	n := 0
	for i := range len(code) {
		c := code[i]
		if c == ' ' {
			continue
		}
		if c < '0' || c > '9' || n == digits {
			return typed, false
		}
		typed[n] = c
		n++
	}
	return typed, n == digits
}
