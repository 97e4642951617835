package header_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend/internal/header"
)

// Values marked (spec) are examples of W3C Trace Context, sections 3.2 and 4.3.
func TestTraceparent(t *testing.T) {
	t.Parallel()
	const id = "0af7651916cd43dd8448eb211c80319c"
	tests := []struct {
		name  string
		sent  []string
		trace string
	}{
		{"sampled (spec)", []string{"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}, "4bf92f3577b34da6a3ce929d0e0e4736"},
		{"not sampled (spec)", []string{"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"}, "4bf92f3577b34da6a3ce929d0e0e4736"},
		{"random flag of level 2", []string{"00-" + id + "-b7ad6b7169203331-03"}, id},
		{"future version with more", []string{"cc-" + id + "-b7ad6b7169203331-01-what-the-future-will-be-like"}, id},
		{"future version", []string{"cc-" + id + "-b7ad6b7169203331-01"}, id},
		{"future version glued", []string{"cc-" + id + "-b7ad6b7169203331-01.what"}, ""},
		{"version 00 with more", []string{"00-" + id + "-b7ad6b7169203331-01-x"}, ""},
		{"version ff", []string{"ff-" + id + "-b7ad6b7169203331-01"}, ""},
		{"zero trace", []string{"00-00000000000000000000000000000000-b7ad6b7169203331-01"}, ""},
		{"zero parent", []string{"00-" + id + "-0000000000000000-01"}, ""},
		{"upper case", []string{"00-" + strings.ToUpper(id) + "-b7ad6b7169203331-01"}, ""},
		{"short", []string{"00-" + id + "-b7ad6b7169203331-1"}, ""},
		{"not hex", []string{"00-" + id[1:] + "g-b7ad6b7169203331-01"}, ""},
		{"wrong dash", []string{"00_" + id + "-b7ad6b7169203331-01"}, ""},
		{"twice", []string{"00-" + id + "-b7ad6b7169203331-01", "00-" + id + "-b7ad6b7169203331-01"}, ""},
		{"none", nil, ""},
		{"empty", []string{""}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			require.Equal(t, test.trace, header.TraceID(test.sent))
		})
	}
}

// The grammar of the specification, as a regular expression.
var traceparentGrammar = regexp.MustCompile(`^(?s)(?:00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}|([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(?:-.*)?)$`)

func FuzzTraceparent(f *testing.F) {
	f.Add("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	f.Add("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more")
	f.Add("ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	f.Fuzz(func(t *testing.T, s string) {
		want := ""
		if m := traceparentGrammar.FindStringSubmatch(s); m != nil {
			trace, parent := m[1]+m[4], m[2]+m[5]
			if m[3] != "ff" && m[3] != "00" && strings.Trim(trace, "0") != "" && strings.Trim(parent, "0") != "" {
				want = trace
			}
		}
		require.Equal(t, want, header.TraceID([]string{s}))
	})
}

func FuzzValidRequestID(f *testing.F) {
	for _, s := range []string{"abc", "Az09._-", "", strings.Repeat("x", 64), strings.Repeat("x", 65), "a b", "<script>", "@[", "`{"} {
		f.Add(s)
	}
	f.Add("a\r\nb")
	safe := regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)
	f.Fuzz(func(t *testing.T, s string) {
		require.Equal(t, safe.MatchString(s) && !strings.HasSuffix(s, "\n"), header.ValidRequestID(s))
	})
}
