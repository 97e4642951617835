// Package emailaddr parses the e-mail addresses of accounts. It accepts a part of the
// mailboxes of RFC 5321, section 4.1.2: the part that mail programs and providers agree on.
// It does not find out whether an address exists; only a message sent to it does.
package emailaddr

import (
	"errors"
	"fmt"
	"strings"
)

// The limits of RFC 5321, section 4.5.3.1 (a path of 256 octets has two for < and >), and of
// RFC 1035, section 2.3.4.
const (
	maxAddress = 254
	maxLocal   = 64
	maxLabel   = 63
)

// These are the errors that need no detail. Their texts are for the user who has typed the
// address.
var (
	errEmpty     = errors.New("write an e-mail address, such as name@example.com")
	errLong      = fmt.Errorf("write an e-mail address of at most %d characters", maxAddress)
	errNoAt      = errors.New("write the e-mail address with one @, such as name@example.com")
	errQuoted    = errors.New("write the part before the @ without quotation marks; an address that needs them is not supported")
	errName      = errors.New("write only the e-mail address, without a name or a comment, such as name@example.com")
	errNoLocal   = errors.New("write the name of the mailbox before the @, such as name@example.com")
	errLongLocal = fmt.Errorf("write at most %d characters before the @", maxLocal)
	errDots      = errors.New("write no dot at the start or the end of the part before the @, and no two dots in a row")
	errNoDomain  = errors.New("write the domain after the @, such as name@example.com")
	errLiteral   = errors.New("write the name of a domain after the @, not the number of a host")
	errNoDot     = errors.New("write the whole domain after the @, such as example.com")
	errEmptyName = errors.New("write no dot at the start or the end of the domain, and no two dots in a row")
	errLongName  = fmt.Errorf("write a domain that has at most %d characters between two dots", maxLabel)
	errHyphen    = errors.New("write no hyphen next to a dot, the @ or the end of the domain")
)

// Parse parses an e-mail address that a user has typed. It returns the address to store and to
// send messages to, which is s without the white space around it, and the key by which accounts
// are compared, which is the address in lower case.
//
// RFC 5321 leaves it to the receiving host whether Name@ and name@ are the same mailbox. With
// nearly all hosts they are, so that two accounts for them are a mistake or a fraud.
//
//   - The part before the @ is a dot-string: 1 to 64 ASCII letters, digits and the characters
//     !#$%&'*+-/=?^_`{|}~ with single dots between them. Quoted strings are refused.
//   - The domain has two or more labels of 1 to 63 ASCII letters, digits and hyphens, without a
//     hyphen at either end, and its last label is not a number. The only domain with one label
//     is localhost. Address literals in brackets are refused.
//   - The address has at most 254 characters.
//
// An address with a display name or comments is refused, and so are addresses that are not
// ASCII (RFC 6531): the domain can be written in its ASCII form. The text of the error is for
// the user, and says what to write instead.
func Parse(s string) (address, key string, err error) {
	address = strings.TrimSpace(s)
	if err := check(address); err != nil {
		return "", "", err
	}
	return address, strings.ToLower(address), nil
}

func check(address string) error {
	switch {
	case address == "":
		return errEmpty
	case len(address) > maxAddress:
		return errLong
	case strings.HasPrefix(address, `"`):
		return errQuoted
	case strings.ContainsAny(address, "<>()"):
		return errName
	case strings.Count(address, "@") != 1:
		return errNoAt
	}
	local, domain, _ := strings.Cut(address, "@")
	if err := checkLocal(local); err != nil {
		return err
	}
	return checkDomain(domain)
}

func checkLocal(local string) error {
	if local == "" {
		return errNoLocal
	}
	for _, r := range local {
		if !isLetterOrDigit(r) && !strings.ContainsRune(".!#$%&'*+-/=?^_`{|}~", r) {
			return fmt.Errorf("write only ASCII letters, digits and common punctuation before the @; %q is not supported", r)
		}
	}
	if len(local) > maxLocal {
		return errLongLocal
	}
	if local[0] == '.' || local[len(local)-1] == '.' || strings.Contains(local, "..") {
		return errDots
	}
	return nil
}

func checkDomain(domain string) error {
	if domain == "" {
		return errNoDomain
	}
	if domain[0] == '[' {
		return errLiteral
	}
	for _, r := range domain {
		if r >= 0x80 {
			return fmt.Errorf("write the domain in its ASCII form, such as xn--bcher-kva.example for bücher.example; it has %q", r)
		}
		if !isLetterOrDigit(r) && r != '-' && r != '.' {
			return fmt.Errorf("write only letters, digits, hyphens and dots after the @; a domain cannot have %q", r)
		}
	}
	labels := strings.Split(domain, ".")
	for _, label := range labels {
		if err := checkLabel(label); err != nil {
			return err
		}
	}
	if len(labels) == 1 && !strings.EqualFold(domain, "localhost") {
		return errNoDot
	}
	if strings.Trim(labels[len(labels)-1], "0123456789") == "" { // RFC 3696, section 2
		return errLiteral
	}
	return nil
}

func checkLabel(label string) error {
	switch {
	case label == "":
		return errEmptyName
	case len(label) > maxLabel:
		return errLongName
	case label[0] == '-' || label[len(label)-1] == '-':
		return errHyphen
	}
	return nil
}

func isLetterOrDigit(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
}
