package route

import (
	"net/url"
	"strings"
)

// Paths are looked up unescaped. A byte that no accepted request has gets a meaning: NUL
// stands for a slash inside a segment (%2F in the request).

// innerSlash stands for a slash that does not separate segments.
const innerSlash = "\x00"

// clean returns the path of u as it is looked up, and false for a path that
// must be refused: one that does not begin with a slash or has an empty segment
// that is not its last, a . or .. segment, a backslash, or NUL. It looks at
// unescaped text, so that an escape hides nothing; an escaped slash counts as
// a separator for . and .. only.
func clean(u *url.URL) (path string, ok bool) {
	path = u.Path
	if u.RawPath == "" {
		return path, !refused(path, false)
	}
	escaped := u.EscapedPath() // RawPath, unless it contradicts Path
	if !strings.Contains(escaped, "%2F") && !strings.Contains(escaped, "%2f") {
		return path, !refused(path, false)
	}
	if strings.Contains(path, innerSlash) || escaped[0] != '/' {
		return "", false
	}
	var b strings.Builder
	b.Grow(len(path))
	for escaped != "" {
		var text string
		text, escaped = cutSegment(escaped)
		plain, err := url.PathUnescape(text)
		if err != nil { // EscapedPath returns valid escapes only
			return "", false
		}
		b.WriteByte('/')
		b.WriteString(inner(plain))
	}
	path = b.String()
	return path, !refused(path, true)
}

// IsSegment reports whether a value, when it is escaped, is a whole segment of a path
// that is looked up, so that a wildcard can have it.
func IsSegment(value string) bool {
	if !strings.ContainsAny(value, "./\\\x00") {
		return value != ""
	}
	return !strings.Contains(value, innerSlash) && !refused("/"+strings.ReplaceAll(value, "/", innerSlash), true)
}

// refused reports whether a path must not be looked up. NUL is refused unless
// it stands for inner slashes.
func refused(path string, innerSlashes bool) bool {
	if path == "" || path[0] != '/' {
		return true
	}
	for i := 1; i < len(path); i++ {
		c := path[i]
		if c > '/' && c != '\\' {
			continue // most bytes
		}
		switch c {
		case '/':
			if path[i-1] == '/' {
				return true
			}
		case '.':
			if separates(path[i-1]) && isDots(path[i:]) {
				return true
			}
		case '\\':
			return true
		case 0:
			if !innerSlashes {
				return true
			}
		}
	}
	return false
}

// isDots reports whether the segment that path begins with is . or ..
func isDots(path string) bool {
	dots := 1
	if len(path) > 1 && path[1] == '.' {
		dots = 2
	}
	return len(path) == dots || separates(path[dots])
}

func separates(c byte) bool {
	return c == '/' || c == innerSlash[0]
}

// inner encodes the slashes inside one segment.
func inner(text string) string {
	return strings.ReplaceAll(text, "/", innerSlash)
}

// outer is the inverse of inner.
func outer(text string) string {
	return strings.ReplaceAll(text, innerSlash, "/")
}
