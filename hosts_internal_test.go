package backend

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend/internal/header"
)

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
			addr, ok := header.ParseForwarded(strings.Trim(items[i], " \t"))
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
