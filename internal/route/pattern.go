package route

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode"
)

// A Pattern is a parsed pattern in the syntax of http.ServeMux without hosts:
// [METHOD ]/literal/{name}/{rest...}. Two patterns with equal [Pattern.Key]
// match exactly the same requests.
type Pattern struct {
	// Method is the method of the pattern, or "" for every method.
	Method string
	// Path is the path as it was written.
	Path string
	// Names are the wildcards' names in the order of their values.
	Names []string

	segments []segment
}

// kind is the kind of a segment.
type kind uint8

const (
	slash   kind = iota // the end of a path that ends in "/", from {$}
	literal             // one segment with this text
	param               // any one non-empty segment
	rest                // everything that is left, even nothing
)

type segment struct {
	kind kind
	text string // unescaped, of a literal
}

// ErrHost is the error of [Parse] for a pattern with a host.
var ErrHost = errors.New("patterns do not match hosts")

// Parse parses a pattern by the rules of http.ServeMux: literal segments may be
// percent-encoded, a trailing slash
// matches the whole subtree, a wildcard is a whole segment with a Go identifier
// for a name, {name...} and {$} come last.
func Parse(pattern string) (Pattern, error) {
	method, path := "", pattern
	if i := strings.IndexAny(pattern, " \t"); i >= 0 {
		method, path = pattern[:i], strings.TrimLeft(pattern[i+1:], " \t")
		if method != "" && !isToken(method) {
			return Pattern{}, fmt.Errorf("%q is not a method", method)
		}
	}
	switch i := strings.IndexByte(path, '/'); {
	case i < 0:
		return Pattern{}, errors.New("the path must begin with /")
	case i > 0:
		return Pattern{}, ErrHost
	}
	p := Pattern{Method: method, Path: path}
	return p, p.parsePath(path)
}

func (p *Pattern) parsePath(path string) error {
	for path != "" {
		var text string
		text, path = cutSegment(path)
		if text == "" && path != "" {
			return errors.New("an empty segment never matches: requests with // are refused")
		}
		if err := p.parseSegment(text, path == ""); err != nil {
			return err
		}
	}
	return nil
}

// cutSegment splits a path that begins with a slash after its first segment.
func cutSegment(path string) (text, after string) {
	path = path[1:]
	if i := strings.IndexByte(path, '/'); i >= 0 {
		return path[:i], path[i:]
	}
	return path, ""
}

func (p *Pattern) parseSegment(text string, last bool) error {
	if text == "" { // a trailing slash
		p.segments = append(p.segments, segment{kind: rest})
		return nil
	}
	if own := ownForm(text); own != "" {
		return fmt.Errorf("%q is a wildcard of other routers: write %s, or %%%02X%s for a literal segment", text, own, text[0], text[1:])
	}
	if !strings.Contains(text, "{") {
		return p.parseLiteral(text)
	}
	name, ok := strings.CutPrefix(text, "{")
	if name, ok = trimSuffixIf(name, "}", ok); !ok {
		return fmt.Errorf("%q: a wildcard is a whole segment: {name}, {name...} or {$}", text)
	}
	if name == "$" {
		p.segments = append(p.segments, segment{kind: slash})
		return ifNot(last, "{$} must be at the end")
	}
	name, multi := strings.CutSuffix(name, "...")
	if before, _, constrained := strings.Cut(name, ":"); constrained && isIdentifier(before) {
		return fmt.Errorf("%q: a wildcard has no regular expression: write {%s}, and check the value where it is used", text, before)
	}
	if !isIdentifier(name) {
		return fmt.Errorf("%q: the name of a wildcard must be a Go identifier", text)
	}
	if slices.Contains(p.Names, name) {
		return fmt.Errorf("the wildcard name %q is used twice", name)
	}
	p.Names = append(p.Names, name)
	if multi {
		p.segments = append(p.segments, segment{kind: rest, text: name})
		return ifNot(last, "{"+name+"...} must be at the end")
	}
	p.segments = append(p.segments, segment{kind: param})
	return nil
}

// ownForm returns what to write for a segment that is a wildcard in patterns of gin, echo,
// Express and Rails, as in /:id and /*path, or of Flask and Django, as in /<int:id>. It
// returns "" for other segments, such as items:batch.
func ownForm(text string) string {
	name, suffix := text[1:], ""
	switch {
	case text[0] == '*':
		suffix = "..."
	case text[0] == '<' && strings.HasSuffix(text, ">"):
		name = strings.TrimSuffix(name, ">")
		if kind, after, typed := strings.Cut(name, ":"); typed {
			name = after
			if kind == "path" {
				suffix = "..."
			}
		}
	case text[0] != ':':
		return ""
	}
	end := strings.IndexFunc(name, func(r rune) bool { return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	if end >= 0 {
		name = name[:end]
	}
	if !isIdentifier(name) {
		name = "name"
	}
	return "{" + name + suffix + "}"
}

func (p *Pattern) parseLiteral(text string) error {
	if plain, err := url.PathUnescape(text); err == nil {
		text = plain
	}
	if strings.ContainsAny(text, "\\\x00") || refused("/"+strings.ReplaceAll(text, "/", "\x00"), true) {
		return fmt.Errorf("%q never matches: requests with . and .. segments, backslashes or NUL are refused", text)
	}
	p.segments = append(p.segments, segment{kind: literal, text: text})
	return nil
}

// Depth is the number of segments before the end, a rest or {$}.
func (p Pattern) Depth() int {
	if n := len(p.segments); n > 0 && (p.ends(rest) || p.ends(slash)) {
		return n - 1
	}
	return len(p.segments)
}

// Open reports whether the pattern ends in a trailing slash, {name...} or {$},
// so that nothing can follow it.
func (p Pattern) Open() bool {
	return p.ends(rest) || p.ends(slash)
}

// Subtree reports whether the pattern ends in a trailing slash or {name...}.
func (p Pattern) Subtree() bool { return p.ends(rest) }

// Key returns a string that is equal for patterns that match the same requests, whatever
// the names of their wildcards are.
func (p Pattern) Key() string {
	return p.Method + " " + shapeOf(p.segments)
}

func (p Pattern) ends(k kind) bool {
	n := len(p.segments)
	return n > 0 && p.segments[n-1].kind == k
}

// named reports whether the rest of the pattern has a name, and so a value.
func (p Pattern) named() bool {
	return p.ends(rest) && p.segments[len(p.segments)-1].text != ""
}

// shapeOf returns a text that is equal for paths that differ in the names of wildcards only.
func shapeOf(segments []segment) string {
	var b strings.Builder
	for _, s := range segments {
		b.WriteByte('/')
		switch s.kind {
		case literal:
			b.WriteString(inner(s.text))
		case param:
			b.WriteString(innerSlash + innerSlash)
		case rest:
			b.WriteString(innerSlash + "...")
		}
	}
	return b.String()
}

func trimSuffixIf(s, suffix string, ok bool) (string, bool) {
	s, found := strings.CutSuffix(s, suffix)
	return s, ok && found
}

func ifNot(ok bool, complaint string) error {
	if ok {
		return nil
	}
	return errors.New(complaint)
}

func isIdentifier(s string) bool {
	for i, c := range s {
		if !unicode.IsLetter(c) && c != '_' && (i == 0 || !unicode.IsDigit(c)) {
			return false
		}
	}
	return s != ""
}

// isToken reports whether s is a token of RFC 9110, section 5.6.2, as methods
// are.
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		isAlnum := '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !isAlnum && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return s != ""
}
