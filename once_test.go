package backend_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
)

// ownHeaders are the headers that the middleware sets, with values of a handler.
var ownHeaders = http.Header{
	"X-Content-Type-Options":           {"nosniff"},
	"Content-Security-Policy":          {"default-src 'self'", "frame-ancestors 'none'"},
	"Referrer-Policy":                  {"origin"},
	"Cross-Origin-Resource-Policy":     {"cross-origin"},
	"Cross-Origin-Opener-Policy":       {"unsafe-none"},
	"Permissions-Policy":               {"camera=(self)"},
	"Strict-Transport-Security":        {"max-age=1"},
	"X-Request-Id":                     {"own"},
	"Access-Control-Allow-Origin":      {"https://a.example"},
	"Access-Control-Allow-Credentials": {"true"},
	"Access-Control-Expose-Headers":    {"X-Own"},
}

// A reverse proxy adds the headers of the server behind it to those that are set, and a
// browser refuses two Access-Control-Allow-Origin and enforces both of two policies. Each
// header is there once, with the handler's value, whoever sets it first.
func TestHeadersAreThereOnce(t *testing.T) {
	t.Parallel()
	write := func(change func(head http.Header)) http.Handler {
		return mustRun(t, func(w http.ResponseWriter, r *http.Request) {
			change(w.Header())
			w.Header().Set("Content-Type", "text/html")
			io.WriteString(w, "<p>")
		})
	}
	all := func(change func(head http.Header, name, value string)) http.Handler {
		return write(func(head http.Header) {
			for name, values := range ownHeaders {
				for i, value := range values {
					if i > 0 {
						head.Add(name, value)
					} else {
						change(head, name, value)
					}
				}
			}
		})
	}
	proxy := func(early bool) http.Handler {
		back := all(http.Header.Set)
		server := mwServe(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if early {
				w.WriteHeader(http.StatusEarlyHints)
			}
			w.Header().Set("Vary", "Origin")
			back.ServeHTTP(w, r)
		}))
		target, err := url.Parse(server.URL)
		require.NoError(t, err)
		return &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}
	}
	stack := backend.Stack(backend.StackConfig{Logger: slog.New(slog.DiscardHandler),
		CORS: backend.CORSConfig{Origins: []string{"https://a.example"}, Credentials: true}})
	handlers := map[string]http.Handler{
		"proxy":                   stack(proxy(false)),
		"proxy after early hints": stack(proxy(true)),
		"Set":                     stack(all(http.Header.Set)),
		"Add":                     stack(all(http.Header.Add)),
		"nested":                  stack(stack(all(http.Header.Add))),
		"each alone":              backend.RequestID()(backend.SecureHeaders(backend.HeadersConfig{})(backend.CORS(backend.CORSConfig{Origins: []string{"https://a.example"}})(all(http.Header.Add)))),
		"the other way round":     backend.CORS(backend.CORSConfig{Origins: []string{"https://a.example"}})(backend.SecureHeaders(backend.HeadersConfig{})(backend.RequestID()(all(http.Header.Add)))),
		"before the middleware": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for name, values := range ownHeaders {
				w.Header()[name] = values
			}
			stack(write(func(http.Header) {})).ServeHTTP(w, r)
		}),
	}
	for name, h := range handlers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewTLSServer(h)
			defer server.Close()
			for range 2 { // shared values did not change
				resp, _ := mwDo(t, server, "GET", "/", "", "Origin", "https://a.example", "Host", "b.example")
				require.Equal(t, 200, resp.StatusCode)
				for name, values := range ownHeaders {
					require.Equal(t, values, resp.Header.Values(name), name)
				}
				require.Equal(t, 1, strings.Count(strings.Join(resp.Header.Values("Vary"), ","), "Origin"))
			}
		})
	}
}

// A proxy clears the header after early hints. What it does not set is there.
func TestHeadersAreThereAfterEarlyHints(t *testing.T) {
	t.Parallel()
	back := mwServe(t, mustRun(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusEarlyHints)
		io.WriteString(w, "<!doctype html>")
	}))
	target, err := url.Parse(back.URL)
	require.NoError(t, err)
	server := httptest.NewTLSServer(backend.Stack(backend.StackConfig{Logger: slog.New(slog.DiscardHandler),
		CORS: backend.CORSConfig{Origins: []string{"https://a.example"}, Credentials: true}})(
		&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}))
	defer server.Close()
	resp, _ := mwDo(t, server, "GET", "/", "", "Origin", "https://a.example", "Host", "b.example")
	require.Equal(t, 200, resp.StatusCode)
	for name := range ownHeaders {
		require.Len(t, resp.Header.Values(name), 1, name)
	}
	require.Equal(t, "https://a.example", resp.Header.Get("Access-Control-Allow-Origin"))
	require.Equal(t, []string{"Origin"}, resp.Header.Values("Vary"))
}

// A handler that allows another origin does not get the credentials that CORS allows to
// its own ones.
func TestCredentialsGoWithTheOriginOfCORS(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(http.Header, string, string){"Set": http.Header.Set, "Add": http.Header.Add} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := mwServe(t, backend.CORS(backend.CORSConfig{Origins: []string{"https://a.example"}, Credentials: true})(mustRun(t, func(w http.ResponseWriter, r *http.Request) {
				change(w.Header(), "Access-Control-Allow-Origin", "*")
			})))
			resp, _ := mwDo(t, server, "GET", "/", "", "Origin", "https://a.example")
			require.Equal(t, []string{"*"}, resp.Header.Values("Access-Control-Allow-Origin"))
			require.Empty(t, resp.Header.Values("Access-Control-Allow-Credentials"))
		})
	}
}
