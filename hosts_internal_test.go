package backend

import (
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Whatever splitHost accepts, net/url reads the same way as the host of a link.
func FuzzSplitHost(f *testing.F) {
	for _, s := range []string{"example.com", "example.com:80", "[::1]:80", "a..b", "a:b", "example.com.", "[::1", "%41", "a@b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		host, port, ok := splitHost(s)
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

// The walk never ends on an address from left of the rightmost untrusted one.
func FuzzForwardedFor(f *testing.F) {
	f.Add("1.2.3.4, 10.0.0.1")
	f.Add("x,, [::1]:80 ,10.0.0.1")
	f.Fuzz(func(t *testing.T, s string) {
		p, err := newProxies([]string{"10.0.0.0/8"})
		require.NoError(t, err)
		peer := netip.MustParseAddr("10.0.0.9")
		got := p.client(peer, []string{s})

		want := peer
		items := strings.Split(s, ",")
		for i := len(items) - 1; i >= 0; i-- {
			addr, ok := forwardedAddr(strings.Trim(items[i], " \t"))
			if !ok {
				break
			}
			want = addr
			if !netip.MustParsePrefix("10.0.0.0/8").Contains(addr) {
				break
			}
		}
		require.Equal(t, want, got)
		require.False(t, got.Is4In6())
		require.Empty(t, got.Zone())
	})
}
