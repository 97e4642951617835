package docs

import (
	"strings"
	"testing"
)

func FuzzTakesGzip(f *testing.F) {
	for _, accept := range []string{"", "gzip", "x-gzip;q=0.5", "*;q=0, gzip", "gzip;q=", ",;,", "br;q=1;gzip"} {
		f.Add(accept)
	}
	f.Fuzz(func(t *testing.T, accept string) {
		lower := strings.ToLower(accept)
		if takesGzip([]string{accept}) && !strings.Contains(lower, "gzip") && !strings.Contains(lower, "*") {
			t.Fatalf("%q does not name gzip", accept)
		}
		if takesGzip([]string{accept, "gzip;q=0"}) {
			t.Fatalf("%q: what was refused in the end is taken", accept)
		}
	})
}
