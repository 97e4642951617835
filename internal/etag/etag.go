// Package etag makes and compares entity tags (RFC 9110, sections 8.8.3 and 13.1).
package etag

import (
	"crypto/sha256"
	"encoding/base64"
	"strings"
)

// Of returns the strong entity tag of a content: 96 bits of its SHA-256.
func Of(content []byte) string {
	sum := sha256.Sum256(content)
	return `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
}

// Quote returns the strong entity tag with the opaque text. ok is false if the
// text has a character that no entity tag has, or one that is not ASCII: readers
// disagree about those.
func Quote(opaque string) (tag string, ok bool) {
	for i := range len(opaque) {
		if c := opaque[i]; c <= ' ' || c == '"' || c > '~' {
			return "", false
		}
	}
	return `"` + opaque + `"`, true
}

// Weak returns the weak entity tag with the opaque text of tag.
func Weak(tag string) string {
	if strings.HasPrefix(tag, "W/") {
		return tag
	}
	return "W/" + tag
}

// IsStrong reports whether a tag is strong.
func IsStrong(tag string) bool { return strings.HasPrefix(tag, `"`) }

// Coded returns the strong entity tag of a content under a content coding, such
// as gzip. tag is the strong one of the content without the coding. The two differ,
// as RFC 9110, section 8.8.3.3 requires.
func Coded(tag, coding string) string {
	return strings.TrimSuffix(tag, `"`) + "+" + coding + `"`
}

// A Comparison is how two tags are compared (RFC 9110, section 8.8.3.2).
type Comparison bool

const (
	Strong Comparison = true  // both tags are strong and have the same text, as If-Match wants it
	Loose  Comparison = false // both tags have the same text, as If-None-Match wants it
)

// Find looks for tag in the lines of If-Match or If-None-Match. It also looks for
// the tags that [Coded] returns for tag and each of the codings, if tag is strong.
// as is the strong form of the tag that was found; for "*", and if nothing was
// found, it is tag.
//
// A line that is malformed counts up to its mistake, and ends the list.
func Find(lines []string, tag string, how Comparison, codings ...string) (as string, found bool) {
	if len(lines) == 1 && trim(lines[0]) == "*" {
		return tag, true
	}
	opaque, weakTag := strings.CutPrefix(tag, "W/")
	for _, line := range lines {
		rest := line
		for {
			one, weak, more, end := next(rest)
			if one == "" {
				if end {
					break
				}
				return tag, false
			}
			rest = more
			switch {
			case how == Strong && (weak || weakTag):
			case one == opaque:
				return tag, true
			case !weakTag && isCoded(one, tag, codings):
				return one, true
			}
		}
	}
	return tag, false
}

// next cuts the first tag off a list, without its W/. The tag is "" if there is
// none; end then says that the list is at its end, and not malformed.
func next(list string) (tag string, weak bool, rest string, end bool) {
	list = strings.TrimLeft(list, ", \t")
	if list == "" {
		return "", false, "", true
	}
	list, weak = strings.CutPrefix(list, "W/")
	if !strings.HasPrefix(list, `"`) {
		return "", false, "", false
	}
	length := strings.IndexByte(list[1:], '"') + 2 // a tag can have commas, and backslashes escape nothing
	if length < 2 {
		return "", false, "", false
	}
	tag, rest = list[:length], strings.TrimLeft(list[length:], " \t")
	if rest != "" && rest[0] != ',' {
		return "", false, "", false
	}
	return tag, weak, rest, false
}

// isCoded reports whether one is the tag of the content with tag under one of the
// codings.
func isCoded(one, tag string, codings []string) bool {
	text, coding, ok := cutCoding(one)
	if !ok || text != strings.TrimSuffix(tag, `"`) {
		return false
	}
	for _, known := range codings {
		if coding == known {
			return true
		}
	}
	return false
}

// cutCoding undoes [Coded]. The text keeps its opening quote.
func cutCoding(tag string) (text, coding string, ok bool) {
	plus := strings.LastIndexByte(tag, '+')
	if plus < 0 {
		return "", "", false
	}
	return tag[:plus], strings.TrimSuffix(tag[plus+1:], `"`), true
}

func trim(s string) string { return strings.Trim(s, " \t") }
