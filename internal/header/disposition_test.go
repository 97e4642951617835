package header_test

import (
	"mime"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend/internal/header"
)

func TestDisposition(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"":              "attachment",
		"notes.csv":     `attachment; filename="notes.csv"`,
		"a b;c.txt":     `attachment; filename="a b;c.txt"`,
		`say "hi".txt`:  `attachment; filename="say _hi_.txt"; filename*=UTF-8''say%20%22hi%22.txt`,
		"Übersicht.pdf": `attachment; filename="_bersicht.pdf"; filename*=UTF-8''%C3%9Cbersicht.pdf`,
		"../etc/passwd": `attachment; filename=".._etc_passwd"`,
		"a\r\nX: y":     `attachment; filename="a__X: y"`,
	} {
		require.Equal(t, want, header.Disposition(false, name))
	}
	require.Equal(t, `inline; filename="a.png"`, header.Disposition(true, "a.png"))
}

// The judge is package mime, which reads RFC 2231 and RFC 8187.
func FuzzDisposition(f *testing.F) {
	for _, name := range []string{"notes.csv", "Ü\"%\\.pdf", "a\x00b", "%41", "'", "\xff"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		got := header.Disposition(false, name)
		require.False(t, strings.ContainsFunc(got, func(c rune) bool { return c < ' ' || c > '~' }), "%q", got)
		disposition, params, err := mime.ParseMediaType(got)
		require.NoError(t, err)
		require.Equal(t, "attachment", disposition)
		require.NotContains(t, params["filename"], "/")
		if utf8.ValidString(name) && !strings.ContainsFunc(name, func(c rune) bool { return strings.ContainsRune("/\\\x7f\u2028\u2029\ufffd", c) || c < ' ' }) {
			require.Equal(t, name, params["filename"])
		}
	})
}
