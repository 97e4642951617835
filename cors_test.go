package backend_test

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-215b9b7c/backend"
	"github.com/stretchr/testify/require"
)

// exposed is what scripts may read by default.
const exposed = "Content-Disposition, ETag, Link, Location, Idempotency-Replayed, Deprecation, Sunset, Retry-After, X-Request-Id"

func TestStatement16_CORS(t *testing.T) {
	t.Parallel()
	const listed = "https://spa.example"
	preflight := []string{"Access-Control-Request-Method", "PUT", "Access-Control-Request-Headers", "content-type"}
	tests := []struct {
		name    string
		config  backend.CORSConfig
		method  string
		headers []string
		status  int
		want    map[string]string // of the Access-Control headers
	}{
		{"no origin", backend.CORSConfig{Origins: []string{listed}}, "GET", nil, 200, nil},
		{"listed", backend.CORSConfig{Origins: []string{listed}}, "GET", []string{"Origin", listed}, 200,
			map[string]string{"Origin": listed, "Expose": exposed}},
		{"listed with credentials", backend.CORSConfig{Origins: []string{listed}, Credentials: true}, "GET", []string{"Origin", listed}, 200,
			map[string]string{"Origin": listed, "Credentials": "true", "Expose": exposed}},
		{"unlisted", backend.CORSConfig{Origins: []string{listed}, Credentials: true}, "GET", []string{"Origin", "https://evil.example"}, 200, nil},
		{"listed host, other scheme", backend.CORSConfig{Origins: []string{listed}}, "GET", []string{"Origin", "http://spa.example"}, 200, nil},
		{"listed host, port", backend.CORSConfig{Origins: []string{listed}}, "GET", []string{"Origin", listed + ":8443"}, 200, nil},
		{"listed as prefix", backend.CORSConfig{Origins: []string{listed}}, "GET", []string{"Origin", listed + ".evil.example"}, 200, nil},
		{"null", backend.CORSConfig{Origins: []string{listed}}, "GET", []string{"Origin", "null"}, 200, nil},
		{"any", backend.CORSConfig{Origins: []string{"*"}}, "GET", []string{"Origin", "https://evil.example"}, 200,
			map[string]string{"Origin": "*", "Expose": exposed}},
		{"none configured", backend.CORSConfig{}, "GET", []string{"Origin", listed}, 200, nil},
		{"preflight", backend.CORSConfig{Origins: []string{listed}}, "OPTIONS", append([]string{"Origin", listed}, preflight...), 204,
			map[string]string{"Origin": listed, "Methods": "GET, HEAD, POST, PUT, PATCH, DELETE", "Headers": "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match", "Max-Age": "600"}},
		{"preflight configured", backend.CORSConfig{Origins: []string{listed}, Credentials: true, Methods: []string{"PUT"}, Headers: []string{"X-A", "X-B"}, MaxAge: time.Hour},
			"OPTIONS", append([]string{"Origin", listed}, preflight...), 204,
			map[string]string{"Origin": listed, "Credentials": "true", "Methods": "PUT", "Headers": "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, X-A, X-B", "Max-Age": "3600"}},
		{"preflight unlisted", backend.CORSConfig{Origins: []string{listed}}, "OPTIONS", append([]string{"Origin", "https://evil.example"}, preflight...), 204, nil},
		{"plain OPTIONS", backend.CORSConfig{Origins: []string{listed}}, "OPTIONS", []string{"Origin", listed}, 200,
			map[string]string{"Origin": listed, "Expose": exposed}},
	}
	names := map[string]string{"Origin": "Access-Control-Allow-Origin", "Credentials": "Access-Control-Allow-Credentials", "Methods": "Access-Control-Allow-Methods",
		"Headers": "Access-Control-Allow-Headers", "Max-Age": "Access-Control-Max-Age", "Expose": "Access-Control-Expose-Headers"}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var calls atomic.Int64
			server := mwServe(t, backend.CORS(test.config)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				calls.Add(1)
				w.Header().Set("Vary", "Cookie") // a handler that does not know about ours
				if r.URL.Path == "/written" {
					io.WriteString(w, "hello")
				}
			})))
			resp, _ := mwDo(t, server, test.method, "/written", "", test.headers...)
			require.Contains(t, resp.Header.Values("Vary"), "Origin")
			resp, _ = mwDo(t, server, test.method, "/", "", test.headers...)
			require.Equal(t, test.status, resp.StatusCode)
			for short, name := range names {
				require.Equal(t, test.want[short], resp.Header.Get(name), name)
				require.LessOrEqual(t, len(resp.Header.Values(name)), 1)
			}
			require.Contains(t, resp.Header.Values("Vary"), "Origin")
			require.Equal(t, test.status == 200, calls.Load() == 2, "preflight requests are answered before the handler")
			require.Equal(t, test.status == 204, calls.Load() == 0)
		})
	}
}

// A script can read why it was refused, and a refused host allows nothing.
func TestCORSOnRefusals(t *testing.T) {
	t.Parallel()
	server := mwServe(t, backend.Stack(backend.StackConfig{
		Logger: slog.New(slog.DiscardHandler), RequestsPerMinute: 1, Hosts: []string{"127.0.0.1"}, CORS: backend.CORSConfig{Origins: []string{"https://spa.example"}},
	})(mustRun(t, func(http.ResponseWriter, *http.Request) {})))
	for _, status := range []int{200, 429, 429} {
		resp, _ := mwDo(t, server, "GET", "/", "", "Origin", "https://spa.example")
		require.Equal(t, status, resp.StatusCode)
		require.Equal(t, "https://spa.example", resp.Header.Get("Access-Control-Allow-Origin"))
	}
	resp, _ := mwDo(t, server, "GET", "/", "", "Origin", "https://spa.example", "Host", "evil.example")
	require.Equal(t, 421, resp.StatusCode)
	require.Empty(t, resp.Header.Get("Access-Control-Allow-Origin"))

	closed := mwServe(t, backend.Stack(backend.StackConfig{Logger: slog.New(slog.DiscardHandler)})(http.NotFoundHandler()))
	resp, _ = mwDo(t, closed, "GET", "/", "", "Origin", "https://spa.example")
	require.Empty(t, resp.Header.Get("Access-Control-Allow-Origin"))
	require.NotContains(t, resp.Header.Values("Vary"), "Origin", "without CORS nothing depends on it")
}

func TestCORSRefusesOriginsThatNeverMatch(t *testing.T) {
	t.Parallel()
	for _, origin := range []string{"", "null", "spa.example", "https://", "https://spa.example/", "https://spa.example/app", "https://*.example", "https://Spa.example",
		"https://spa.example:443", "http://spa.example:80", "https://u@spa.example", "https://spa.example?x", "https://spa.example#x", "https://spa.example\n"} {
		require.Panics(t, func() { backend.CORS(backend.CORSConfig{Origins: []string{origin}}) }, origin)
	}
	for _, config := range []backend.CORSConfig{
		{Methods: []string{"GET,POST"}}, {Methods: []string{"*"}}, {Headers: []string{"X A"}}, {Headers: []string{""}}, {Expose: []string{"a\r\nb"}},
		{MaxAge: -time.Second}, {Origins: []string{"*", "https://a.example"}},
	} {
		require.Panics(t, func() { backend.CORS(config) })
	}
	require.NotPanics(t, func() {
		backend.CORS(backend.CORSConfig{Origins: []string{"http://localhost:5173", "capacitor://localhost"}})
	})
}

func ExampleCORS() {
	h := backend.CORS(backend.CORSConfig{Origins: []string{"https://app.example.com"}})(http.NotFoundHandler())
	r := httptest.NewRequest("OPTIONS", "/notes", nil)
	r.Header.Set("Origin", "https://app.example.com")
	r.Header.Set("Access-Control-Request-Method", "PUT")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	fmt.Println(w.Code, w.Header().Get("Access-Control-Allow-Origin"))
	fmt.Println(w.Header().Get("Access-Control-Allow-Methods"))
	// Output:
	// 204 https://app.example.com
	// GET, HEAD, POST, PUT, PATCH, DELETE
}
