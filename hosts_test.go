package backend_test

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/seed-215b9b7c/backend"
	"github.com/stretchr/testify/require"
)

func TestStatement05_UnknownHostsAreRefused(t *testing.T) {
	t.Parallel()
	calls := 0
	h := backend.Stack(backend.StackConfig{
		Logger: slog.New(slog.DiscardHandler),
		Hosts:  []string{"Example.com", "*.apps.example.com", "localhost:8080", "[::1]", "192.0.2.7", "xn--bcher-kva.example:444"},
	})(mustRun(t, func(http.ResponseWriter, *http.Request) { calls++ }))
	tests := []struct {
		host   string
		status int
	}{
		{"example.com", 200}, {"EXAMPLE.COM", 200}, {"example.com:8443", 200}, {"example.com.", 200}, {"example.com.:80", 200}, {"example.com:", 200},
		{"a.apps.example.com", 200}, {"A.apps.example.com:1", 200}, {"localhost:8080", 200}, {"[::1]", 200}, {"[::1]:8080", 200},
		{"192.0.2.7", 200}, {"xn--bcher-kva.example:444", 200},

		{"www.example.com", 421}, {"example.com.evil.example", 421}, {"evilexample.com", 421}, {"apps.example.com", 421},
		{"a.b.apps.example.com", 421}, {"localhost", 421}, {"localhost:8081", 421}, {"[::2]", 421}, {"192.0.2.8", 421}, {"xn--bcher-kva.example", 421},

		{"", 400}, {".", 400}, {":80", 400}, {"example..com", 400}, {".example.com", 400}, {"example.com..", 400}, {"example.com:99999", 400}, {"example.com:-1", 400},
		{"example.com:80:80", 400}, {"exa mple.com", 400}, {"example.com/", 400}, {"a@example.com", 400}, {"[::1", 400}, {"[::1]x", 400}, {"[example.com]", 400},
		{"::1", 400}, {"[fe80::1%25eth0]", 400}, {"example.com,evil.example", 400}, {"ex\x00ample.com", 400}, {"bücher.example", 400}, {"*.apps.example.com", 400},
		{strings.Repeat("a", 64) + ".example.com", 400}, {strings.Repeat("a.", 127) + "com", 400},
	}
	for _, test := range tests {
		t.Run(test.host, func(t *testing.T) {
			calls = 0
			w := httptest.NewRecorder()
			r := httptest.NewRequest("GET", "/", nil)
			r.Host = test.host
			h.ServeHTTP(w, r)
			require.Equal(t, test.status, w.Code)
			require.Equal(t, test.status == 200, calls == 1, "the handler runs for known hosts only")
		})
	}
}

func TestHostsOnTheWire(t *testing.T) {
	t.Parallel()
	server := mwServe(t, backend.Hosts("a.example")(mustRun(t, func(http.ResponseWriter, *http.Request) {})))
	tests := []struct {
		name, request string
		status        int
	}{
		{"known", "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n", 200},
		{"HTTP/1.0 without a host", "GET / HTTP/1.0\r\n\r\n", 400},
		{"an absolute request line overrides the header", "GET http://evil.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n", 421},
		{"an absolute request line of a known host", "GET http://a.example/ HTTP/1.1\r\nHost: evil.example\r\n\r\n", 200},
		{"forwarded host of a stranger", "GET / HTTP/1.1\r\nHost: evil.example\r\nX-Forwarded-Host: a.example\r\n\r\n", 421},
		{"two hosts", "GET / HTTP/1.1\r\nHost: a.example\r\nHost: evil.example\r\n\r\n", 400},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, reader := mwRaw(t, server, test.request)
			resp, err := http.ReadResponse(reader, nil)
			require.NoError(t, err)
			resp.Body.Close()
			require.Equal(t, test.status, resp.StatusCode)
		})
	}
}

func TestHostsWithoutNamesRefusesOnlyNonsense(t *testing.T) {
	t.Parallel()
	h := backend.Hosts()(mustRun(t, func(http.ResponseWriter, *http.Request) {}))
	for host, status := range map[string]int{"anything.example:1": 200, "": 400, "a b": 400} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest("GET", "/", nil)
		r.Host = host
		h.ServeHTTP(w, r)
		require.Equal(t, status, w.Code, host)
	}
}

// HTTP/1.0 has no Host field that a client must send, and the health checks of load
// balancers send none: "OPTIONS / HTTP/1.0" is HAProxy's.
func TestHTTP10WithoutAHost(t *testing.T) {
	t.Parallel()
	open := map[string]backend.Middleware{"Stack": backend.Stack(backend.StackConfig{Logger: slog.New(slog.DiscardHandler)}), "Hosts": backend.Hosts()}
	listed := map[string]backend.Middleware{
		"Stack": backend.Stack(backend.StackConfig{Logger: slog.New(slog.DiscardHandler), Hosts: []string{"a.example"}}), "Hosts": backend.Hosts("a.example"),
	}
	for name := range open {
		for request, status := range map[string][2]int{ // without and with names
			"OPTIONS / HTTP/1.0\r\n\r\n":                    {204, 400},
			"GET / HTTP/1.0\r\n\r\n":                        {200, 400},
			"GET / HTTP/1.0\r\nHost:\r\n\r\n":               {200, 400},
			"GET / HTTP/1.0\r\nHost: a.example\r\n\r\n":     {200, 200},
			"GET / HTTP/1.0\r\nHost: a b\r\n\r\n":           {400, 400},
			"GET / HTTP/1.1\r\n\r\n":                        {400, 400}, // RFC 9112, section 3.2
			"GET / HTTP/1.1\r\nHost:\r\n\r\n":               {400, 400},
			"GET http://a.example/ HTTP/1.0\r\n\r\n":        {200, 200},
			"GET / HTTP/1.0\r\nConnection: close\r\n\r\n":   {200, 400},
			"HEAD / HTTP/1.0\r\nUser-Agent: check\r\n\r\n":  {200, 400},
			"GET / HTTP/1.0\r\nX-Forwarded-Host: b\r\n\r\n": {200, 400},
		} {
			for i, middleware := range []backend.Middleware{open[name], listed[name]} {
				t.Run(fmt.Sprintf("%s %q %v", name, request, i == 1), func(t *testing.T) {
					t.Parallel()
					r := backend.NewRouter()
					r.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {})
					_, reader := mwRaw(t, mwServe(t, middleware(r)), request)
					resp, err := http.ReadResponse(reader, &http.Request{Method: request[:strings.IndexByte(request, ' ')]})
					require.NoError(t, err)
					body, err := io.ReadAll(resp.Body)
					require.NoError(t, err)
					require.Equal(t, status[i], resp.StatusCode)
					if i == 1 && status[0] == 200 && status[1] == 400 && resp.ContentLength > 0 && len(body) > 0 {
						require.Contains(t, string(body), "Send a Host header with a name of this server.")
					}
				})
			}
		}
	}
}

func TestHostsRefusesNamesThatMatchNothing(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", "*", "*.", "*example.com", "a.*.example.com", "http://a.example", "a.example/", "bücher.example", "::1", "a.example:x"} {
		require.Panics(t, func() { backend.Hosts(name) }, name)
	}
}

func ExampleHosts() {
	h := backend.Hosts("example.com", "*.example.com")(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "welcome")
	}))
	for _, host := range []string{"example.com", "www.example.com:8443", "example.com.evil.example"} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest("GET", "/", nil)
		r.Host = host
		h.ServeHTTP(w, r)
		fmt.Println(w.Code, host)
	}
	// Output:
	// 200 example.com
	// 200 www.example.com:8443
	// 421 example.com.evil.example
}
