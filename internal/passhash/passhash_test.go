package passhash

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// hashes are those of other programs: the reference implementation of argon2, htpasswd of
// Apache, and PBKDF2 of Python in the form of Django. The first one is of our own kind.
var hashes = []string{
	"$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQxMjM0NTY3OA$oVLnFW4Vdd+KZaNyuHNZYDlTeeRDSkyoACLFGAAhgLc",
	"$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQxMjM0NTY3OA$B/amrRUxAwSCPRgKPr7MsU9bSHzgXripXVHqfXK0H2I",
	"$argon2i$v=19$m=4096,t=3,p=2$c29tZXNhbHQxMjM0NTY3OA$bSwE10bbyl4NwWjjIscE8+BrGzEFsSBD",
	"argon2$argon2i$v=19$m=4096,t=3,p=2$c29tZXNhbHQxMjM0NTY3OA$bSwE10bbyl4NwWjjIscE8+BrGzEFsSBD",
	"$2y$06$fhmf7a2tfDZuSLxH6P2WsOpA9gNeEZMYUMzpR8Pl8EDG5PxXw7aeW",
	"pbkdf2_sha256$26000$saltsaltsalt$Zhr5ykgSffIbzESFUa9rAB9xGYcgCYJnOVXco5L7i8s=",
	"pbkdf2_sha1$1000$saltsaltsalt$JfNU29qvQkW1UgahO6OQ0oP6O0I=",
}

func TestHashesOfOthers(t *testing.T) {
	t.Parallel()
	for i, text := range hashes {
		h, err := Parse(text)
		require.NoError(t, err, text)
		require.True(t, h.Verify("correct horse"), text)
		for _, wrong := range []string{"correct hors", "correct horse ", "Correct horse", ""} {
			require.False(t, h.Verify(wrong), "%s: %q", text, wrong)
		}
		require.Equal(t, i == 0, h.Params == Default, text)
	}
	h, err := Parse("$2y$05$IRvWV7ujRtCyRK9bflKp4u/tQlr/XVpVYPbBnEsszva3B.VxY.XDu") // of htpasswd
	require.NoError(t, err)
	require.True(t, h.Verify(""))
}

func TestNew(t *testing.T) {
	t.Parallel()
	first, second := New("ä \x00 long", Default), New("ä \x00 long", Default)
	require.NotEqual(t, first, second, "each has a salt of its own")
	require.Len(t, first, 97)
	require.True(t, strings.HasPrefix(first, "$argon2id$v=19$m=19456,t=2,p=1$"), "ASVS 5.0, appendix C.2")
	h, err := Parse(first)
	require.NoError(t, err)
	require.True(t, h.Verify("ä \x00 long"))
	require.False(t, h.Verify("ä "), "nothing is cut")
	require.Equal(t, Default, h.Params)
}

// TestParseRefuses: no text makes a process panic, or compute for long.
func TestParseRefuses(t *testing.T) {
	t.Parallel()
	const salt, key = "c29tZXNhbHQxMjM0NTY3OA", "oVLnFW4Vdd+KZaNyuHNZYDlTeeRDSkyoACLFGAAhgLc"
	argon := func(name, version, params, salt, key string) string {
		return "$" + strings.Join([]string{name, version, params, salt, key}, "$")
	}
	texts := []string{
		"", "$", "secret", "5f4dcc3b5aa765d61d8327deb882cf99", "$1$salt$hash", "$argon2id$", "argon2$", "$argon2d$v=19$m=8,t=1,p=1$" + salt + "$" + key,
		argon("argon2id", "v=16", "m=19456,t=2,p=1", salt, key), argon("argon2id", "v=20", "m=19456,t=2,p=1", salt, key),
		"$argon2id$m=19456,t=2,p=1$" + salt + "$" + key,
		argon("argon2id", "v=19", "m=19456,t=2,p=1", "", key), argon("argon2id", "v=19", "m=19456,t=2,p=1", salt, ""),
		argon("argon2id", "v=19", "m=19456,t=2,p=1", salt+"=", key), argon("argon2id", "v=19", "m=19456,t=2,p=1", "!", key),
		"$2y$17$fhmf7a2tfDZuSLxH6P2WsOpA9gNeEZMYUMzpR8Pl8EDG5PxXw7aeW", "$2y$31$fhmf7a2tfDZuSLxH6P2WsOpA9gNeEZMYUMzpR8Pl8EDG5PxXw7aeW", "$2y$06$short", "$2b$",
		"pbkdf2_sha256$0$salt$Zhr5ykgSffIbzESFUa9rAB9xGYcgCYJnOVXco5L7i8s=", "pbkdf2_sha256$10000001$salt$Zhr5ykgSffIbzESFUa9rAB9xGYcgCYJnOVXco5L7i8s=",
		"pbkdf2_sha256$1$$Zhr5ykgSffIbzESFUa9rAB9xGYcgCYJnOVXco5L7i8s=", "pbkdf2_sha256$1$salt$AAAA", "pbkdf2_sha256$1$salt$", "pbkdf2_sha256$-1$salt$AAAA",
	}
	for _, params := range []string{"", "m=19456", "m=19456,t=2", "t=2,p=1", "m=0,t=2,p=1", "m=19456,t=0,p=1", "m=19456,t=2,p=0", "m=7,t=2,p=1", "m=8,t=1,p=2", "m=4294967295,t=2,p=1",
		"m=4294967296,t=2,p=1", "m=19456,t=4294967295,p=1", "m=19456,t=2,p=255", "m=19456,t=2,p=1,x=1", "m=19456,t=2,p=1,p=1", "m=-1,t=2,p=1", "m=19456,t=21,p=1", "m=1048576,t=2,p=1"} {
		texts = append(texts, argon("argon2id", "v=19", params, salt, key))
	}
	begin := time.Now()
	for _, text := range texts {
		_, err := Parse(text)
		require.Error(t, err, text)
	}
	require.Less(t, time.Since(begin), 5*time.Second)
}

func FuzzParse(f *testing.F) {
	for _, text := range hashes {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		h, err := Parse(text)
		if (h == nil) == (err == nil) {
			t.Fatalf("%v, %v", h, err)
		}
		if h == nil {
			return
		}
		if h.Memory > maxMemory {
			t.Fatalf("%d KiB", h.Memory)
		}
		if h.Params.Memory*h.Params.Time < 1<<10 && strings.HasPrefix(text, "$argon2id$") { // what is quickly verified
			h.Verify("x")
		}
	})
}
