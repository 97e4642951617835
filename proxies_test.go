package backend_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/seed-215b9b7c/backend"
	"github.com/stretchr/testify/require"
)

func TestClientIP(t *testing.T) {
	t.Parallel()
	var got netip.Addr
	h := backend.TrustProxies("10.0.0.0/8", "2001:db8:ffff::/48", "192.0.2.1", "unix")(mustRun(t, func(w http.ResponseWriter, r *http.Request) {
		got = backend.ClientIP(r.Context())
	}))
	tests := []struct {
		name, peer string
		forwarded  []string
		client     string
	}{
		{"a stranger's claim", "198.51.100.5:1", []string{"203.0.113.9"}, "198.51.100.5"},
		{"a proxy", "10.1.2.3:1", []string{"203.0.113.9"}, "203.0.113.9"},
		{"single address", "192.0.2.1:1", []string{"203.0.113.9"}, "203.0.113.9"},
		{"the address beside it", "192.0.2.2:1", []string{"203.0.113.9"}, "192.0.2.2"},
		{"a proxy that says nothing", "10.1.2.3:1", nil, "10.1.2.3"},
		{"the rightmost untrusted", "10.1.2.3:1", []string{"1.1.1.1, 2.2.2.2, 203.0.113.9"}, "203.0.113.9"},
		{"through two proxies", "10.1.2.3:1", []string{"1.1.1.1, 203.0.113.9, 10.9.9.9"}, "203.0.113.9"},
		{"over several lines", "10.1.2.3:1", []string{"1.1.1.1", "203.0.113.9", "10.9.9.9"}, "203.0.113.9"},
		{"only proxies", "10.1.2.3:1", []string{"10.0.0.1, 10.0.0.2"}, "10.0.0.1"},
		{"garbage ends the walk", "10.1.2.3:1", []string{"203.0.113.9, unknown, 10.0.0.2"}, "10.0.0.2"},
		{"garbage last", "10.1.2.3:1", []string{"203.0.113.9, <script>"}, "10.1.2.3"},
		{"empty item", "10.1.2.3:1", []string{"203.0.113.9,"}, "10.1.2.3"},
		{"with a port", "10.1.2.3:1", []string{"203.0.113.9:4711"}, "203.0.113.9"},
		{"IPv6", "[2001:db8:ffff::1]:1", []string{"2001:db8::9"}, "2001:db8::9"},
		{"IPv6 with a port", "[2001:db8:ffff::1]:1", []string{"[2001:db8::9]:4711"}, "2001:db8::9"},
		{"IPv6 in brackets", "[2001:db8:ffff::1]:1", []string{"[2001:db8::9]"}, "2001:db8::9"},
		{"IPv4 mapped into IPv6", "[::ffff:10.1.2.3]:1", []string{"::ffff:203.0.113.9"}, "203.0.113.9"},
		{"zone", "10.1.2.3:1", []string{"fe80::1%eth0"}, "fe80::1"},
		{"unix socket", "@", []string{"203.0.113.9"}, "203.0.113.9"},
		{"unix socket that says nothing", "", nil, "invalid IP"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/", nil)
			r.RemoteAddr = test.peer
			r.Header["X-Forwarded-For"] = test.forwarded
			r.Header.Set("Forwarded", "for=9.9.9.9")
			r.Header.Set("X-Real-Ip", "9.9.9.9")
			h.ServeHTTP(httptest.NewRecorder(), r)
			require.Equal(t, test.client, got.String())
		})
	}
}

func TestStatement05_ForwardedHeadersOfStrangersChangeNothing_ASVS_4_1_3(t *testing.T) {
	t.Parallel()
	type seen struct {
		host, client string
		hsts         bool
		logged       any
		second       int // status of a second request of the same peer under another claim
	}
	ask := func(t *testing.T, trusted ...string) seen {
		log := newMWLog()
		var got seen
		server := mwServe(t, backend.Stack(backend.StackConfig{Logger: log.Logger, TrustedProxies: trusted, RequestsPerMinute: 1})(mustRun(t, func(w http.ResponseWriter, r *http.Request) {
			got.host, got.client = r.Host, backend.ClientIP(r.Context()).String()
		})))
		resp, _ := mwDo(t, server, "GET", "/", "", "Host", "a.example", "X-Forwarded-For", "203.0.113.9", "X-Forwarded-Proto", "https", "X-Forwarded-Host", "b.example")
		got.hsts = resp.Header.Get("Strict-Transport-Security") != ""
		got.logged = log.next(t)["client_ip"]
		first := got
		resp, _ = mwDo(t, server, "GET", "/", "", "Host", "a.example", "X-Forwarded-For", "203.0.113.10")
		first.second = resp.StatusCode
		return first
	}
	require.Equal(t, seen{"a.example", "127.0.0.1", false, "127.0.0.1", 429}, ask(t))
	require.Equal(t, seen{"a.example", "127.0.0.1", false, "127.0.0.1", 429}, ask(t, "10.0.0.0/8"))
	require.Equal(t, seen{"b.example", "203.0.113.9", true, "203.0.113.9", 200}, ask(t, "127.0.0.0/8"))
}

func TestForwardedHostIsCheckedLikeAnyOther(t *testing.T) {
	t.Parallel()
	server := mwServe(t, backend.Stack(backend.StackConfig{Logger: newMWLog().Logger, TrustedProxies: []string{"127.0.0.1"}, Hosts: []string{"a.example"}})(mustRun(t, func(http.ResponseWriter, *http.Request) {})))
	tests := []struct {
		name, host, forwarded string
		status                int
	}{
		{"forwarded is known", "internal", "a.example", 200},
		{"forwarded is unknown", "a.example", "evil.example", 421},
		{"last of several", "internal", "evil.example, a.example", 200},
		{"malformed is ignored", "a.example", "evil example/", 200},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			resp, _ := mwDo(t, server, "GET", "/", "", "Host", test.host, "X-Forwarded-Host", test.forwarded)
			require.Equal(t, test.status, resp.StatusCode)
		})
	}
}

func ExampleTrustProxies() {
	h := backend.TrustProxies("10.0.0.0/8")(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, backend.ClientIP(r.Context()))
	}))
	w := httptest.NewRecorder()
	r := httptest.NewRequest("GET", "/", nil)
	r.RemoteAddr = "10.0.0.7:51000"
	r.Header.Set("X-Forwarded-For", "6.6.6.6, 203.0.113.9") // the first is the client's own claim
	h.ServeHTTP(w, r)
	fmt.Print(w.Body)
	// Output: 203.0.113.9
}
