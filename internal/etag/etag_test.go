package etag_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend/internal/etag"
)

func found(lines []string, tag string, how etag.Comparison, codings ...string) bool {
	_, found := etag.Find(lines, tag, how, codings...)
	return found
}

// The table of RFC 9110, section 8.8.3.2.
func TestComparison(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		one, other   string
		strong, weak bool
	}{
		{`W/"1"`, `W/"1"`, false, true},
		{`W/"1"`, `W/"2"`, false, false},
		{`W/"1"`, `"1"`, false, true},
		{`"1"`, `"1"`, true, true},
	} {
		for _, pair := range [][2]string{{row.one, row.other}, {row.other, row.one}} {
			require.Equal(t, row.strong, found([]string{pair[0]}, pair[1], etag.Strong), pair)
			require.Equal(t, row.weak, found([]string{pair[0]}, pair[1], etag.Loose), pair)
		}
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	const tag = `"a,b"`
	for list, want := range map[string]bool{
		`"a,b"`: true, `W/"a,b"`: true, `"x", W/"y" ,"a,b"`: true, `*`: true, " *\t": true, `,, "a,b",,`: true, `"", "a,b"`: true,
		"\"x\"\t,\t\"a,b\"": true, `"x\", "a,b"`: true, // RFC 9110, section 8.8.3: a backslash is one
		`"x,*,y"`: false, `"x", *`: false, `*, "x"`: false, `a,b`: false, `"a`: false, `"x""`: false, ``: false, ` `: false,
		`"x" "a,b"`: false, `"x";"a,b"`: false, `w/"a,b"`: false, `W/ "a,b"`: false, `"A,B"`: false, `"x"W/"a,b"`: false,
	} {
		require.Equal(t, want, found([]string{list}, tag, etag.Loose), list)
		as, _ := etag.Find([]string{list}, tag, etag.Loose)
		require.Equal(t, tag, as)
	}
	require.True(t, found([]string{`"x"`, `"a,b"`}, tag, etag.Strong), "several lines are one list")
	require.True(t, found([]string{"", `"a,b"`}, tag, etag.Strong))
	require.False(t, found([]string{`"x`, `"a,b"`}, tag, etag.Strong))
	require.False(t, found([]string{`"x"`, "*"}, tag, etag.Strong))
	require.False(t, found(nil, tag, etag.Strong))
	require.True(t, found([]string{`"a,b", x`}, tag, etag.Strong), "what comes before a mistake counts")
}

func TestCoded(t *testing.T) {
	t.Parallel()
	gzip := etag.Coded(`"v1"`, "gzip")
	require.Equal(t, `"v1+gzip"`, gzip)
	as, ok := etag.Find([]string{`"x", "v1+gzip"`}, `"v1"`, etag.Strong, "gzip", "zstd")
	require.True(t, ok)
	require.Equal(t, gzip, as)
	as, ok = etag.Find([]string{`W/"v1+zstd"`}, `"v1"`, etag.Loose, "gzip", "zstd")
	require.True(t, ok)
	require.Equal(t, `"v1+zstd"`, as)
	for _, list := range []string{`W/"v1+gzip"`, `"v1+br"`, `"v1+zstd"`, `"v1+"`, `"v1+gzip+gzip"`, `"v2+gzip"`, `"+gzip"`} {
		require.False(t, found([]string{list}, `"v1"`, etag.Strong, "gzip"), list)
	}
	require.False(t, found([]string{gzip}, `"v1"`, etag.Strong))
	require.False(t, found([]string{gzip}, `W/"v1"`, etag.Loose, "gzip"), "a weak tag has no coded form")
	require.True(t, found([]string{`"a+b+gzip"`}, `"a+b"`, etag.Strong, "gzip"))
}

func TestQuote(t *testing.T) {
	t.Parallel()
	for _, opaque := range []string{"", "v1", "a,b", `a\`, "!#~"} {
		tag, ok := etag.Quote(opaque)
		require.True(t, ok)
		require.Equal(t, `"`+opaque+`"`, tag)
		require.True(t, found([]string{tag}, tag, etag.Strong))
		require.True(t, etag.IsStrong(tag))
		require.False(t, etag.IsStrong(etag.Weak(tag)))
		require.Equal(t, etag.Weak(tag), etag.Weak(etag.Weak(tag)))
	}
	for _, opaque := range []string{`a"`, "a\r\nX: y", "a b", "ä", "\x7f"} {
		_, ok := etag.Quote(opaque)
		require.False(t, ok, opaque)
	}
}

func TestOf(t *testing.T) {
	t.Parallel()
	require.Equal(t, `"47DEQpj8HBSa-_TI"`, etag.Of(nil)) // SHA-256 of nothing, FIPS 180-4: e3b0c44298fc1c149afbf4c8 …
	require.NotEqual(t, etag.Of([]byte("a")), etag.Of([]byte("b")))
}

// The grammar of RFC 9110, sections 5.6.1 and 8.8.3, with any character but a
// quote in a tag.
var listGrammar = regexp.MustCompile(`^(?s)[, \t]*((?:W/)?"[^"]*")[ \t]*(?:,|$)`)

func FuzzFind(f *testing.F) {
	for _, s := range []string{`"a", W/"b"`, "*", `"a,b",,"a"`, `"a" "b"`, `"b+gzip"`, `W/"b+gzip", "b"`, `"`} {
		f.Add(s, "b")
	}
	f.Fuzz(func(t *testing.T, list, opaque string) {
		tag, ok := etag.Quote(opaque)
		if !ok {
			return
		}
		strong, weak := false, false
		if strings.Trim(list, " \t") == "*" {
			strong, weak = true, true
		}
		for rest := list; ; {
			match := listGrammar.FindStringSubmatch(rest)
			if match == nil {
				break
			}
			strong = strong || match[1] == tag || match[1] == etag.Coded(tag, "gzip")
			one := strings.TrimPrefix(match[1], "W/")
			weak = weak || one == tag || one == etag.Coded(tag, "gzip")
			rest = rest[len(match[0]):]
		}
		require.Equal(t, strong, found([]string{list}, tag, etag.Strong, "gzip"))
		require.Equal(t, weak, found([]string{list}, tag, etag.Loose, "gzip"))
		require.Equal(t, weak, found([]string{list}, etag.Weak(tag), etag.Loose) || weak && strings.Contains(list, "+gzip"))
	})
}

func TestFindAllocatesNothing(t *testing.T) {
	lines, tag := []string{`"x", W/"y"`, `"v1+gzip"`}, `"v1"`
	require.True(t, found(lines, tag, etag.Strong, "zstd", "gzip"))
	require.Zero(t, testing.AllocsPerRun(100, func() { etag.Find(lines, tag, etag.Strong, "zstd", "gzip") }))
}
