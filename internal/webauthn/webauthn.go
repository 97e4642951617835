// Package webauthn is the relying party's side of passkeys: what a server does in the
// two ceremonies of W3C Web Authentication Level 3. It makes the options for the
// browser, and verifies what the browser answers, by sections 7.1 and 7.2.
//
// Its functions keep no state, read no clock and no randomness, and have no goroutines;
// they are safe for concurrent use. The caller makes a challenge for each ceremony, at
// least 16 bytes from crypto/rand, keeps it with the user's session, and lets it be used
// once, within [Timeout]. The caller also stores credentials, and sees that no two
// users have one of the same ID.
//
// No attestation is asked for, and none is verified. A credential is therefore worth
// what the user who registers it is: its AAGUID may name any model of authenticator.
package webauthn

import (
	"encoding/base64"
	"fmt"
	"strings"
	"time"
)

// Timeout is how long the browser waits for the user; the value that the
// specification recommends (section 15.1).
const Timeout = 5 * time.Minute

// minChallenge is the least length of a challenge (section 13.4.3).
const minChallenge = 16

// An RP is a relying party. Its zero value refuses everything.
type RP struct {
	// ID is the domain that credentials belong to, such as example.com. They can be
	// used at this domain and all below it that are in Origins.
	ID string

	// Origins are the origins of the pages that may ask for credentials, such as
	// https://login.example.com, as browsers write them: in small letters, without a
	// default port and without a slash at the end. They are compared byte by byte.
	Origins []string
}

// check refuses a relying party and a challenge that would let anything pass.
func (rp RP) check(challenge []byte) error {
	if rp.ID == "" || len(rp.Origins) == 0 {
		return errorf("the relying party has no ID or no origins")
	}
	if len(challenge) < minChallenge {
		return errorf("the challenge has less than %d bytes", minChallenge)
	}
	return nil
}

// An Error is why a response was refused. Its text is for logs: it has no secrets,
// and what it repeats of the response is quoted and short. To the user, all of them
// mean that the passkey was not accepted.
type Error struct{ reason string }

// Error returns the reason, with the prefix "webauthn: ".
func (e *Error) Error() string { return "webauthn: " + e.reason }

func errorf(format string, args ...any) error { return &Error{fmt.Sprintf(format, args...)} }

// Base64URL is a byte string. In JSON it is a string of base64url without padding
// (RFC 4648, section 5), as the Base64URLString of section 5.1 is. Its zero value is
// the empty string.
type Base64URL []byte

// MarshalText never fails.
func (b Base64URL) MarshalText() ([]byte, error) {
	return base64.RawURLEncoding.AppendEncode(nil, b), nil
}

// maxEncoded is the length of the longest attestation object that is accepted, encoded.
const maxEncoded = (maxAttestation*8 + 5) / 6

// UnmarshalText refuses padding, line breaks, the letters of the other base64
// alphabet, unused bits that are not zero, and what is longer than everything that this
// package accepts.
func (b *Base64URL) UnmarshalText(text []byte) error {
	if len(text) > maxEncoded {
		return errorf("a base64url string has more than %d characters", maxEncoded)
	}
	decoded, err := base64.RawURLEncoding.Strict().AppendDecode(nil, text)
	if err != nil || strings.ContainsAny(string(text), "\r\n") { // which the decoder skips
		return errorf("a string is not base64url without padding")
	}
	*b = decoded
	return nil
}
