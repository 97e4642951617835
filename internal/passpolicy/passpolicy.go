// Package passpolicy decides whether a password may be chosen. It follows NIST SP 800-63B-4,
// section 3.1.1.2, and OWASP ASVS 5.0, section 6.2: a password must be long and must not be
// easy to guess. It need not have characters of certain classes.
//
// The list of common passwords is that of Django; its licence is in LICENSE.django.
package passpolicy

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Policy says which passwords may be chosen. It is safe for concurrent use.
type Policy struct {
	// MinLength is the least length of a password in code points. Defaults to 15, which
	// NIST SP 800-63B-4 requires if there is no second factor. A length below 8 counts
	// as 8.
	MinLength int

	// Words are words that an attacker tries first for the passwords of this application,
	// such as its name and the name of the company.
	Words []string
}

const (
	defaultMinLength = 15
	leastMinLength   = 8
	maxBytes         = 1024
)

// These are the errors of Check, except the one for the length. Their texts are for the user
// who has typed the password.
var (
	errLong    = fmt.Errorf("use a password of at most %d bytes", maxBytes)
	errInvalid = errors.New("type the password again; it has a character that cannot be stored")
	errContext = errors.New("add other words to the password; apart from your address, your name or the name of this application, there is too little in it that is hard to guess")
	errCommon  = errors.New("choose another password; this one is a common password with small changes, which is guessed early. Several words that have nothing to do with each other are safer")
	errPattern = errors.New("choose another password; this one repeats itself or follows the alphabet, the digits or the keyboard, which is guessed early. Several words that have nothing to do with each other are safer")
)

// Check returns nil if a password may be chosen, and otherwise an error whose text says to the
// user what to do. The words are what an attacker knows about the user, such as the e-mail
// address and the name.
//
//   - The password has at least MinLength code points and at most 1024 bytes. It is counted and
//     checked as it is: nothing is trimmed or cut. It is valid UTF-8 and has no NUL.
//   - What cannot be foreseen in it is worth at least 8 characters. A common password is worth
//     nothing the first time, and 4 characters if it is a second one; it can be in any case,
//     and with digits and signs that look like letters. A part of a row of the keyboard, of
//     the alphabet or of the digits is worth 1.5 characters, and so is one character many
//     times; what occurred before in the password is worth one. So the password is no common
//     password with characters around it, and no pattern.
//   - The same holds for what remains of it without the words, those of the call and those of
//     the Policy. A word of several parts, such as an e-mail address, is looked for as a whole
//     and in parts. Words and parts of less than 4 characters are not looked for, and case is
//     ignored.
//
// So four ordinary words in a row may be chosen, even if each one is a common password. Check
// needs no network.
func (p Policy) Check(password string, words ...string) error {
	if len(password) > maxBytes {
		return errLong
	}
	if !utf8.ValidString(password) || strings.Contains(password, "\x00") {
		return errInvalid
	}
	least := max(cmp.Or(p.MinLength, defaultMinLength), leastMinLength)
	if utf8.RuneCountInString(password) < least {
		return fmt.Errorf("use a password of at least %d characters; several words in a row are easy to remember", least)
	}
	lower := toLower(password)
	if err := checkWorth(lower); err != nil {
		return err
	}
	rest := remove(lower, p.Words, words)
	if len(rest) < len(lower) && checkWorth(rest) != nil {
		return errContext
	}
	return nil
}

// checkWorth returns an error if what cannot be foreseen in a text is worth too little.
func checkWorth(lower string) error {
	characters := []rune(lower)
	text := newText(characters)
	if text.worth(nil) < enough || worthOfHalves(characters) < enoughOfHalves {
		return errPattern
	}
	if text.worth(newReader(characters)) < enough {
		return errCommon
	}
	return nil
}

// toLower maps each code point on its own. All that are equal but for case become equal: the
// long s and the Kelvin sign, too, become s and k.
func toLower(s string) string {
	return strings.Map(func(r rune) rune { return unicode.ToLower(unicode.ToUpper(r)) }, s)
}

const minContext = 4 // characters

// remove returns a text in lower case without the words of the lists.
func remove(lower string, lists ...[]string) string {
	var parts []string
	for _, words := range lists {
		for _, word := range words {
			word = toLower(word)
			parts = append(parts, word)
			parts = append(parts, strings.FieldsFunc(word, isSeparator)...)
		}
	}
	slices.SortFunc(parts, func(a, b string) int { return cmp.Compare(len(b), len(a)) }) // the longest first
	for _, part := range parts {
		if utf8.RuneCountInString(part) >= minContext {
			lower = strings.ReplaceAll(lower, part, "")
		}
	}
	return lower
}

func isSeparator(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }
