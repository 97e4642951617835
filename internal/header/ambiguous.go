package header

import (
	"net/http"
	"strings"
)

// Ambiguous returns the name of a field of a request that says two things, or "": a
// second line of credentials, whatever it says, or lines of a Content- field that
// differ. Programs that read another line than a proxy in front of them see another
// request. That is so for Content- fields that are lists, too: nothing sends those in
// several lines, and most programs read the first one.
func Ambiguous(head http.Header) (name string) {
	for field, lines := range head {
		if len(lines) > 1 && disagree(field, lines) && (name == "" || field < name) {
			name = field
		}
	}
	return name
}

func disagree(field string, lines []string) bool {
	if field == "Authorization" || field == "Proxy-Authorization" {
		return true
	}
	if !strings.HasPrefix(field, "Content-") {
		return false
	}
	for _, line := range lines[1:] {
		if line != lines[0] {
			return true
		}
	}
	return false
}
