package backend_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-215b9b7c/backend"
	"github.com/stretchr/testify/require"
)

func mwAskFrom(h http.Handler, peer string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	r := httptest.NewRequest("GET", "/", nil)
	r.RemoteAddr = peer
	h.ServeHTTP(w, r)
	return w
}

func TestRateLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := backend.RateLimit(3, time.Minute)(mustRun(t, func(http.ResponseWriter, *http.Request) {}))
		for range 3 {
			require.Equal(t, 200, mwAskFrom(h, "192.0.2.1:1").Code)
		}
		w := mwAskFrom(h, "192.0.2.1:2")
		require.Equal(t, 429, w.Code)
		require.Equal(t, "20", w.Header().Get("Retry-After"))
		require.Contains(t, w.Body.String(), `"code":"rate_limited"`)
		require.Equal(t, 200, mwAskFrom(h, "192.0.2.2:1").Code, "others are not affected")

		time.Sleep(20*time.Second - time.Nanosecond)
		w = mwAskFrom(h, "192.0.2.1:1")
		require.Equal(t, 429, w.Code)
		require.Equal(t, "1", w.Header().Get("Retry-After"), "rounded up")
		time.Sleep(time.Nanosecond)
		require.Equal(t, 200, mwAskFrom(h, "192.0.2.1:1").Code)
		require.Equal(t, 429, mwAskFrom(h, "192.0.2.1:1").Code)
		time.Sleep(time.Hour)
		for range 3 {
			require.Equal(t, 200, mwAskFrom(h, "192.0.2.1:1").Code)
		}
		require.Equal(t, 429, mwAskFrom(h, "192.0.2.1:1").Code)
	})
}

func TestRateLimitKeys(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, first, second string
		same                bool
	}{
		{"one IPv4 address", "192.0.2.1:1", "192.0.2.1:9", true},
		{"neighbours in IPv4", "192.0.2.1:1", "192.0.2.2:1", false},
		{"IPv4 mapped into IPv6", "192.0.2.1:1", "[::ffff:192.0.2.1]:1", true},
		{"mapped neighbours", "[::ffff:192.0.2.1]:1", "[::ffff:192.0.2.2]:1", false},
		{"one /64", "[2001:db8:1:2:3:4:5:6]:1", "[2001:db8:1:2:ffff::1]:1", true},
		{"two /64", "[2001:db8:1:2::1]:1", "[2001:db8:1:3::1]:1", false},
		{"zones", "[fe80::1%eth0]:1", "[fe80::1%eth1]:1", true},
		{"unix sockets", "@", "", true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := backend.RateLimit(1, time.Hour)(http.NotFoundHandler())
			require.Equal(t, 404, mwAskFrom(h, test.first).Code)
			require.Equal(t, test.same, mwAskFrom(h, test.second).Code == 429)
		})
	}
}

func TestRateLimitAllocatesNothing(t *testing.T) {
	mwSkipRace(t)
	inner := mustRun(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "ok") })
	alone := mwAllocs(t, backend.RequestID()(inner), func(*http.Request) {}, "", "ok")
	limited := mwAllocs(t, backend.RequestID()(backend.RateLimit(1000, time.Millisecond)(inner)), func(*http.Request) {}, "", "ok")
	require.Equal(t, alone, limited)
}

func ExampleRateLimit() {
	h := backend.RateLimit(2, time.Minute)(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	for range 3 {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		fmt.Printf("%d, retry after %q\n", w.Code, w.Header().Get("Retry-After"))
	}
	// Output:
	// 200, retry after ""
	// 200, retry after ""
	// 429, retry after "30"
}
