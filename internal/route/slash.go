package route

import (
	"net/url"
	"strings"
)

// FlipSlash returns an escaped path without the slash at its end, or with one if it has
// none. ok is false for "/", which has no other form.
func FlipSlash(escaped string) (flipped string, ok bool) {
	if without, had := strings.CutSuffix(escaped, "/"); had {
		return without, without != ""
	}
	return escaped + "/", true
}

// FlipURL returns a copy of u whose path is that of [FlipSlash]. An encoded slash at the end
// of a path is part of its last segment.
func FlipURL(u *url.URL) (flipped *url.URL, ok bool) {
	other := *u
	if u.RawPath == "" {
		other.Path, ok = FlipSlash(u.Path)
		return &other, ok
	}
	if other.RawPath, ok = FlipSlash(u.EscapedPath()); !ok {
		return &other, false
	}
	var err error
	other.Path, err = url.PathUnescape(other.RawPath)
	return &other, err == nil
}
