package header_test

import (
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend/internal/header"
)

// The names are those of TestStatement05_UnknownHostsAreRefused, which asks the
// server.
func TestSplitHost(t *testing.T) {
	t.Parallel()
	for s, want := range map[string][2]string{
		"Example.com": {"Example.com", ""}, "example.com:8443": {"example.com", "8443"}, "example.com.": {"example.com", ""}, "example.com.:80": {"example.com", "80"},
		"example.com:": {"example.com", ""}, "[::1]": {"[::1]", ""}, "[::1]:8080": {"[::1]", "8080"}, "192.0.2.7": {"192.0.2.7", ""}, "a_b": {"a_b", ""},
		strings.Repeat("a", 63): {strings.Repeat("a", 63), ""},
	} {
		host, port, ok := header.SplitHost(s)
		require.True(t, ok, s)
		require.Equal(t, want, [2]string{host, port}, s)
	}
	for _, s := range []string{
		"", ".", ":80", "example..com", ".example.com", "example.com..", "example.com:99999", "example.com:-1", "example.com:80:80", "exa mple.com",
		"example.com/", "a@example.com", "[::1", "[::1]x", "[example.com]", "::1", "[fe80::1%25eth0]", "example.com,evil.example", "ex\x00ample.com",
		"bücher.example", "*.apps.example.com", strings.Repeat("a", 64) + ".example.com", strings.Repeat("a.", 127) + "com",
	} {
		_, _, ok := header.SplitHost(s)
		require.False(t, ok, s)
	}
}

// Whatever SplitHost accepts, net/url reads the same way as the host of a link.
func FuzzSplitHost(f *testing.F) {
	for _, s := range []string{"example.com", "example.com:80", "[::1]:80", "a..b", "a:b", "example.com.", "[::1", "%41", "a@b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		host, port, ok := header.SplitHost(s)
		if !ok {
			return
		}
		u, err := url.Parse("http://" + s + "/path")
		require.NoError(t, err)
		require.Equal(t, s, u.Host)
		require.Equal(t, port, u.Port())
		require.Equal(t, strings.Trim(host, "[]"), strings.TrimSuffix(u.Hostname(), "."))
		require.Nil(t, u.User)
		require.Equal(t, "/path", u.Path)
	})
}

func TestParseForwarded(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]string{
		"203.0.113.9": "203.0.113.9", "203.0.113.9:4711": "203.0.113.9", "2001:db8::9": "2001:db8::9", "[2001:db8::9]": "2001:db8::9",
		"[2001:db8::9]:4711": "2001:db8::9", "::ffff:203.0.113.9": "203.0.113.9", "fe80::1%eth0": "fe80::1",
	} {
		got, ok := header.ParseForwarded(s)
		require.True(t, ok, s)
		require.Equal(t, want, got.String())
	}
	for _, s := range []string{"", "unknown", "_hidden", "<script>", "203.0.113.9:x", "for=203.0.113.9", `"203.0.113.9"`} {
		_, ok := header.ParseForwarded(s)
		require.False(t, ok, s)
	}
}

func FuzzParseForwarded(f *testing.F) {
	for _, s := range []string{"203.0.113.9:4711", "[2001:db8::9]:4711", "::ffff:203.0.113.9", "fe80::1%eth0", "[1.2.3.4"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, ok := header.ParseForwarded(s)
		if !ok {
			require.Equal(t, netip.Addr{}, got)
			return
		}
		require.False(t, got.Is4In6())
		require.Empty(t, got.Zone())
		again, ok := header.ParseForwarded(got.String())
		require.True(t, ok)
		require.Equal(t, got, again)
	})
}

func TestCheckOrigin(t *testing.T) {
	t.Parallel()
	for _, origin := range []string{"https://spa.example", "http://localhost:5173", "capacitor://localhost", "https://[::1]:8443"} {
		require.NoError(t, header.CheckOrigin(origin))
	}
	for _, origin := range []string{"", "null", "spa.example", "https://", "https://spa.example/", "https://spa.example/app", "https://*.example", "https://Spa.example",
		"https://spa.example:443", "http://spa.example:80", "https://u@spa.example", "https://spa.example?x", "https://spa.example#x", "https://spa.example\n"} {
		require.Error(t, header.CheckOrigin(origin), origin)
	}
}

func FuzzCheckOrigin(f *testing.F) {
	for _, s := range []string{"https://spa.example", "https://spa.example:443", "https://u@spa.example", "null", "a://b?c"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if header.CheckOrigin(s) != nil {
			return
		}
		u, err := url.Parse(s)
		require.NoError(t, err)
		require.Equal(t, url.URL{Scheme: u.Scheme, Host: u.Host}, *u, "an origin is a scheme and a host")
		require.NotContains(t, s, "*")
	})
}

func FuzzIsDomain(f *testing.F) {
	for _, s := range []string{"a.example", "localhost", "a.localhost:1", "127.0.0.1", "[::1]", "0x7f.1", "a.0x", "1.2.3.4a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		host, _, ok := header.SplitHost(s)
		if !ok {
			return
		}
		_, err := netip.ParseAddr(strings.Trim(host, "[]"))
		isDomain := header.IsDomain(host)
		require.False(t, isDomain && err == nil, "%q is an address", host)
		require.Equal(t, isDomain, header.IsDomain(strings.ToUpper(host)))
	})
}
