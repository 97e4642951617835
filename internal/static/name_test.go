package static_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend/internal/static"
)

func TestServable(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"a": true, "a/b.css": true, "a.b/c": true, ".well-known/a": true, "a..b": true, "caf\u00e9": true,
		"": false, ".": false, "..": false, "/a": false, "a/": false, "a//b": false, "a/../b": false, "a/./b": false, ".a": false, "a/.b": false,
		".well-known": false, ".well-known/.a": false, "a/.well-known/b": false, ".well-known/.well-known/a": false, `a\b`: false, "a\x00": false, "\xff": false,
	} {
		require.Equal(t, want, static.Servable(name), "%q", name)
	}
}

func TestHashesInNames(t *testing.T) {
	t.Parallel()
	for name, hashed := range map[string]string{
		"app.css": "app-3f2a91c0.css", "a/app.min.js": "a/app.min-3f2a91c0.js", "LICENSE": "LICENSE-3f2a91c0", "a.b/c": "a.b/c-3f2a91c0",
	} {
		require.Equal(t, hashed, static.AddHash(name, "3f2a91c0"))
		plain, hash, ok := static.CutHash(hashed)
		require.Equal(t, []any{name, "3f2a91c0", true}, []any{plain, hash, ok})
	}
	for _, name := range []string{"app.css", "-3f2a91c0.css", "a/-3f2a91c0.css", "app-3F2A91C0.css", "app-3f2a91c.css", "app_3f2a91c0.css", "app-3f2a91cg.css", "3f2a91c0", ""} {
		plain, _, ok := static.CutHash(name)
		require.False(t, ok, name)
		require.Equal(t, name, plain)
	}
}

// FuzzCutHash checks that a name without its hash is never one that must not be served if
// the whole name may be, and that AddHash is the inverse.
func FuzzCutHash(f *testing.F) {
	for _, name := range []string{"app-3f2a91c0.css", "a/.b-00000000", ".-00000000", "a-00000000.", "a.-00000000"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		plain, hash, ok := static.CutHash(name)
		if !ok {
			require.Equal(t, name, plain)
			return
		}
		require.Len(t, hash, 8)
		require.Equal(t, strings.Count(name, "/"), strings.Count(plain, "/"))
		if static.Servable(name) {
			require.True(t, static.Servable(plain), "%q", name)
		}
	})
}
