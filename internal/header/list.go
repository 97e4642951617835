// Package header parses HTTP header fields: lists with their parameters and
// weights (RFC 9110), hosts, origins, trace and request ids. Every negotiation
// uses the one list parser of this package. Apart from errors about a
// configuration, parsing allocates nothing.
package header

import (
	"net/http"
	"slices"
	"strings"
)

// List goes through the elements of a list field:
//
//	for l := header.Elements(lines); l.Next(); {
//		use(l.Element)
//	}
//
// It is a value and not an iterator function so that it costs no allocation in
// whatever function it is used.
type List struct {
	Element string // the element that Next has found
	lines   []string
	line    scanner
}

// Elements returns the elements of a list field (RFC 9110, section 5.6.1): the
// field's lines in order, cut at commas, without the whitespace around each
// element and without empty elements. A comma inside a quoted string does not
// end an element. Quotes and backslashes of quoted strings stay as they are.
//
// A quote whose quoted string does not end in its line, and each quote after it,
// is an ordinary character.
func Elements(lines []string) List { return List{lines: lines} }

// Next goes to the next element. It reports whether there is one.
func (l *List) Next() bool {
	for {
		for l.line.next(',') {
			if l.Element = l.line.item; l.Element != "" {
				return true
			}
		}
		if len(l.lines) == 0 {
			return false
		}
		l.line, l.lines = scan(l.lines[0]), l.lines[1:]
	}
}

// Contains reports whether a list field has an element with the name, whatever
// the parameters. Letter case makes no difference.
func Contains(lines []string, name string) bool {
	for l := Elements(lines); l.Next(); {
		if value, _ := CutParams(l.Element); strings.EqualFold(value, name) {
			return true
		}
	}
	return false
}

// CutParams cuts an element before its parameters (RFC 9110, section 5.6.6).
func CutParams(element string) (value, params string) {
	s := scan(element)
	s.next(';')
	return s.item, s.rest
}

// HasParam reports whether parameters, as CutParams returns them, have one with
// the name.
func HasParam(params, name string) bool {
	for s := scan(params); s.next(';'); {
		if found, _, _ := strings.Cut(s.item, "="); strings.EqualFold(strings.TrimRight(found, " \t"), name) {
			return true
		}
	}
	return false
}

// A Choice is an element of a field such as Accept or Accept-Encoding.
type Choice struct {
	Value  string // without parameters
	Params bool   // there are parameters besides the weight
	Weight int    // the weight in thousandths, 1000 if the element has none
}

// ChoiceList goes through the elements of a field such as Accept or
// Accept-Encoding:
//
//	for c := header.Choices(lines); c.Next(); {
//		use(c.Value, c.Weight)
//	}
type ChoiceList struct {
	Choice // what Next has found
	list   List
}

// Choices returns the elements of a list field whose elements can have a weight
// (RFC 9110, section 12.4.2). It skips elements that are malformed: those with an
// invalid weight, with two weights, or with a parameter that is not a token, "=",
// and a token or a quoted string.
//
// Two weights are read against the grammar. One may lack the 0 before its point:
// Java's HttpURLConnection sends "*/*; q=.2" by default. One may have more than
// three digits after it, as programs send that calculate it; those are ignored.
func Choices(lines []string) ChoiceList { return ChoiceList{list: Elements(lines)} }

// Next goes to the next element that is well-formed. It reports whether there is
// one.
func (c *ChoiceList) Next() bool {
	for c.list.Next() {
		choice, ok := parseChoice(c.list.Element)
		if c.Choice = choice; ok {
			return true
		}
	}
	return false
}

func parseChoice(element string) (choice Choice, ok bool) {
	value, params := CutParams(element)
	choice = Choice{Value: value, Weight: 1000}
	weighted := false
	for s := scan(params); s.next(';'); {
		if s.item == "" {
			continue
		}
		name, text, ok := strings.Cut(s.item, "=")
		switch {
		case !ok || !IsToken(name):
			return Choice{}, false
		case !strings.EqualFold(name, "q"):
			if !IsToken(text) && !isQuoted(text) {
				return Choice{}, false
			}
			choice.Params = true
			continue
		case weighted:
			return Choice{}, false
		}
		weighted = true
		if choice.Weight, ok = parseWeight(text); !ok {
			return Choice{}, false
		}
	}
	return choice, value != ""
}

// parseWeight parses a qvalue (RFC 9110, section 12.4.2). It returns thousandths.
func parseWeight(s string) (int, bool) {
	if s == "" {
		return 0, false
	}
	weight, digits := 0, s
	switch s[0] {
	case '0', '1':
		weight, digits = int(s[0]-'0')*1000, s[1:]
		if digits == "" {
			return weight, true
		}
	default:
		if len(s) == 1 {
			return 0, false
		}
	}
	if digits[0] != '.' {
		return 0, false
	}
	unit := 100
	for i := 1; i < len(digits); i++ {
		if digits[i] < '0' || digits[i] > '9' || s[0] == '1' && digits[i] != '0' { // at most 1
			return 0, false
		}
		weight += int(digits[i]-'0') * unit
		unit /= 10
	}
	return weight, true
}

// BackwardList goes through the elements of a list field from the last one to the
// first:
//
//	for b := header.Backwards(lines); b.Next(); {
//		use(b.Element)
//	}
type BackwardList struct {
	Element string // the element that Next has found
	lines   []string
	line    string // what is left of the last line that was taken
	more    bool   // line has an element, maybe an empty one
}

// Backwards returns the elements of a list field from the last one to the first,
// empty ones included.
//
// It takes each comma for the end of an element, also inside a quoted string: a
// quote that a client has sent does not hide what a proxy has appended.
func Backwards(lines []string) BackwardList { return BackwardList{lines: lines} }

// Next goes to the element before. It reports whether there is one.
func (b *BackwardList) Next() bool {
	if !b.more {
		last := len(b.lines) - 1
		if last < 0 {
			return false
		}
		b.line, b.lines = b.lines[last], b.lines[:last]
	}
	comma := strings.LastIndexByte(b.line, ',')
	b.Element = trim(b.line[comma+1:])
	if b.more = comma >= 0; b.more {
		b.line = b.line[:comma]
	}
	return true
}

// AddVary adds the field name in name to Vary, unless Vary has it or "*". If
// there is no Vary, name becomes its value without a copy.
func AddVary(head http.Header, name []string) {
	old := head["Vary"]
	if old == nil {
		head["Vary"] = name
		return
	}
	for l := Elements(old); l.Next(); {
		if l.Element == "*" || strings.EqualFold(l.Element, name[0]) {
			return
		}
	}
	head["Vary"] = append(slices.Clip(old), name[0])
}

// IsToken reports whether s is a token (RFC 9110, section 5.6.2).
func IsToken(s string) bool {
	for i := range len(s) {
		if !isTokenByte(s[i]) {
			return false
		}
	}
	return s != ""
}

func isTokenByte(c byte) bool {
	return isAlphanumeric(c) || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}

func isAlphanumeric(c byte) bool {
	return 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9'
}

// isQuoted reports whether s is one quoted string (RFC 9110, section 5.6.4).
func isQuoted(s string) bool {
	return len(s) >= 2 && s[0] == '"' && quotedLength(s) == len(s)
}

// scanner cuts a line at separators outside of quoted strings.
type scanner struct {
	item   string // the last one that next has found
	rest   string
	more   bool // rest has an item, maybe an empty one
	quotes bool // a quote in rest may begin a quoted string
}

func scan(line string) scanner {
	return scanner{rest: line, more: true, quotes: strings.IndexByte(line, '"') >= 0}
}

func (s *scanner) next(separator byte) bool {
	if !s.more {
		return false
	}
	end := s.end(separator)
	if s.more = end < len(s.rest); s.more {
		s.item, s.rest = trim(s.rest[:end]), s.rest[end+1:]
	} else {
		s.item, s.rest = trim(s.rest), ""
	}
	return true
}

// end returns where the first item of rest ends.
func (s *scanner) end(separator byte) int {
	i := 0
	for s.quotes && i < len(s.rest) && s.rest[i] != separator {
		if s.rest[i] != '"' {
			i++
			continue
		}
		length := quotedLength(s.rest[i:])
		s.quotes = length > 0 // once only: looking again for each quote takes quadratic time
		i += length
	}
	if end := strings.IndexByte(s.rest[i:], separator); end >= 0 {
		return i + end
	}
	return len(s.rest)
}

// quotedLength returns the length of the quoted string that s begins with, or 0
// if it does not end.
func quotedLength(s string) int {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return 0
}

// trim removes optional whitespace (RFC 9110, section 5.6.3).
func trim(s string) string { return strings.Trim(s, " \t") }
