package static

import (
	"io/fs"
	"path"
	"strings"
)

// Servable reports whether a name can be that of a file that is served: it is a valid path
// of an [fs.FS], without backslash and NUL, and no segment begins with a dot. A first
// segment .well-known (RFC 8615) is an exception.
func Servable(name string) bool {
	if name == "." || !fs.ValidPath(name) || strings.ContainsAny(name, "\\\x00") {
		return false
	}
	visible := strings.TrimPrefix(name, ".well-known/")
	return visible[0] != '.' && !strings.Contains(visible, "/.")
}

// hashLength is the number of hexadecimal digits of a hash in a name.
const hashLength = 8

// AddHash returns a name with a hash before its extension: app-3f2a91c0.css.
func AddHash(name, hash string) string {
	extension := path.Ext(name)
	return strings.TrimSuffix(name, extension) + "-" + hash + extension
}

// CutHash undoes [AddHash]. ok is false if the name has no hash.
func CutHash(name string) (plain, hash string, ok bool) {
	extension := path.Ext(name)
	stem := name[:len(name)-len(extension)]
	at := len(stem) - hashLength - 1
	if at < 1 || stem[at] != '-' || stem[at-1] == '/' || !isHash(stem[at+1:]) {
		return name, "", false
	}
	return stem[:at] + extension, stem[at+1:], true
}

func isHash(text string) bool {
	for i := range len(text) {
		if c := text[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
