// Package number reads numbers in text as databases do that compare text with integers.
package number

import (
	"strconv"
	"strings"
)

// Number is a number among the integers. The zero value is 0, without its Text.
type Number struct {
	// Whole is the number if it is an int64, and Exact is set.
	Whole int64
	Exact bool
	// Text is a number that compares with every int64 as this one does.
	Text string
}

const (
	aboveAll = "1e30"
	belowAll = "-1e30"
)

// Above is larger than every int64.
var Above = Number{Text: aboveAll}

// Of returns a whole number.
func Of(n int64) Number { return Number{n, true, strconv.FormatInt(n, 10)} }

// Parse reads a text that is a number, such as 12, 012, +12.0 or 1.2e1, with white space
// around it. It reports whether it is one.
func Parse(text string) (Number, bool) {
	n, rest, ok := Prefix(text)
	return n, ok && IsSpace(rest)
}

// spaces is the white space of C in its own locale, which databases skip.
const spaces = " \t\n\v\f\r"

// IsSpace reports whether a text is only white space, or empty.
func IsSpace(text string) bool { return strings.Trim(text, spaces) == "" }

// Prefix reads the longest number that a text begins with, and returns what follows. It
// reports whether there is one.
func Prefix(text string) (n Number, rest string, ok bool) {
	rest = strings.TrimLeft(text, spaces)
	sign := ""
	if rest != "" && (rest[0] == '-' || rest[0] == '+') {
		sign, rest = strings.TrimPrefix(rest[:1], "+"), rest[1:]
	}
	whole, rest := digits(rest)
	fraction := ""
	if strings.HasPrefix(rest, ".") {
		if more, after := digits(rest[1:]); whole != "" || more != "" {
			fraction, rest = more, after
		}
	}
	if whole == "" && fraction == "" {
		return Number{}, text, false
	}
	exponent, rest := power(rest)
	return value(sign, whole, fraction, exponent), rest, true
}

// digits splits a text after the digits that it begins with.
func digits(text string) (digits, rest string) {
	end := 0
	for end < len(text) && text[end] >= '0' && text[end] <= '9' {
		end++
	}
	return text[:end], text[end:]
}

// power reads an exponent such as e-5, if there is one. Large ones are cut.
func power(text string) (exponent int, rest string) {
	if text == "" || text[0]|0x20 != 'e' {
		return 0, text
	}
	after, negative := text[1:], false
	if after != "" && (after[0] == '-' || after[0] == '+') {
		after, negative = after[1:], after[0] == '-'
	}
	number, rest := digits(after)
	if number == "" {
		return 0, text
	}
	exponent, err := strconv.Atoi(number)
	if exponent > 1<<30 || err != nil {
		exponent = 1 << 30
	}
	if negative {
		exponent = -exponent
	}
	return exponent, rest
}

// value returns the number with these digits.
func value(sign, whole, fraction string, exponent int) Number {
	whole = strings.TrimLeft(whole, "0")
	point := len(whole) + exponent // how many of the digits are before it
	all := strings.TrimRight(whole+fraction, "0")
	if whole == "" {
		short := strings.TrimLeft(all, "0")
		point, all = point-len(all)+len(short), short
	}
	switch {
	case all == "":
		return Of(0)
	case point <= 0:
		return Number{Text: sign + "0.5"}
	case point > 19:
		return Number{Text: sign + aboveAll}
	}
	before := all[:min(point, len(all))] + strings.Repeat("0", max(0, point-len(all)))
	n, err := strconv.ParseInt(sign+before, 10, 64)
	switch {
	case err != nil:
		return Number{Text: sign + aboveAll}
	case len(all) > point:
		return Number{Text: sign + before + ".5"}
	}
	return Of(n)
}

// Integer returns the int64 among those of bits bits and larger ones that compares with
// each integer of bits bits as the number does, if there is one.
func (n Number) Integer(bits int) (int64, bool) {
	switch {
	case n.Exact:
		return n.Whole, true
	case bits < 64 && n.Text == aboveAll:
		return 1<<63 - 1, true
	case bits < 64 && n.Text == belowAll:
		return -1 << 63, true
	}
	return 0, false
}
