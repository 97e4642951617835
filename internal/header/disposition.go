package header

import (
	"strings"
	"unicode/utf8"
)

// Disposition returns a Content-Disposition (RFC 6266) for a file name, which may be
// empty. A name with other characters than ASCII is sent twice: as ASCII with underscores,
// and exactly, as RFC 8187 encodes it. Slashes and control characters become underscores,
// since a name with them may lead elsewhere on the client's disk.
func Disposition(inline bool, name string) string {
	disposition := "attachment"
	if inline {
		disposition = "inline"
	}
	if name == "" {
		return disposition
	}
	name = strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f || c == '/' || c == '\\' || c == utf8.RuneError || c == '\u2028' || c == '\u2029' {
			return '_'
		}
		return c
	}, name)
	ascii := strings.Map(func(c rune) rune {
		if c > '~' || c == '"' || c == '%' { // some browsers decode %41
			return '_'
		}
		return c
	}, name)
	disposition += `; filename="` + ascii + `"`
	if ascii != name {
		disposition += "; filename*=UTF-8''" + encodeExtended(name)
	}
	return disposition
}

// encodeExtended encodes the value of a parameter (RFC 8187, section 3.2.1).
func encodeExtended(text string) string {
	return percentEncode(text, func(c byte) bool { return isAlphanumeric(c) || strings.IndexByte("!#$&+-.^_`|~", c) >= 0 })
}

// EscapeURL percent-encodes the bytes of a URL that a header cannot have: spaces, and all
// that is not ASCII.
func EscapeURL(url string) string {
	return percentEncode(url, func(c byte) bool { return c > ' ' && c < 0x7f })
}

// percentEncode encodes all bytes but those that are kept.
func percentEncode(text string, kept func(byte) bool) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for _, c := range []byte(text) {
		if kept(c) {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
		}
	}
	return b.String()
}
