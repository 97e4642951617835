package backend_test

import (
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-215b9b7c/backend"
	"github.com/stretchr/testify/require"
)

func TestHeadersOfAnAPIResponse(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(backend.Stack(backend.StackConfig{Logger: slog.New(slog.DiscardHandler)})(mustRun(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, "{}")
		require.LessOrEqual(t, len(w.Header()), 8, "beyond 8 keys the header map grows")
	})))
	server.StartTLS()
	defer server.Close()
	resp, _ := mwDo(t, server, "GET", "/", "", "X-Request-Id", "a", "Accept-Encoding", "gzip", "Host", "a.example")
	resp.Header.Del("Date")
	require.Equal(t, http.Header{
		"Content-Type":                 {"application/json"},
		"Content-Length":               {"2"},
		"Content-Security-Policy":      {"default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"},
		"X-Content-Type-Options":       {"nosniff"},
		"Referrer-Policy":              {"no-referrer"},
		"Cross-Origin-Resource-Policy": {"same-origin"},
		"Strict-Transport-Security":    {"max-age=63072000; includeSubDomains"}, // RFC 6797: 2 years of 365 days
		"X-Request-Id":                 {"a"},
	}, resp.Header)
}

func TestHeadersOfAPage(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		handle func(w http.ResponseWriter, r *http.Request)
	}{
		{"type said", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			io.WriteString(w, backend.Nonce(r.Context()))
		}},
		{"type in capitals", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "Text/HTML ;charset=utf-8")
			w.WriteHeader(200)
			io.WriteString(w, backend.Nonce(r.Context()))
		}},
		{"type found in the body", func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(200)
			io.WriteString(w, "<!doctype html><script nonce=")
			io.WriteString(w, backend.Nonce(r.Context()))
		}},
		{"xhtml", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/xhtml+xml")
			io.WriteString(w, backend.Nonce(r.Context()))
		}},
	}
	nonce := regexp.MustCompile(`[A-Za-z0-9+/]{22}==$`)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			resp, body := mwDo(t, mwServe(t, backend.SecureHeaders(backend.HeadersConfig{})(mustRun(t, test.handle))), "GET", "/", "")
			n := nonce.FindString(body)
			require.NotEmpty(t, n)
			require.Equal(t, map[string]string{
				"default-src": "'self'", "script-src": "'nonce-" + n + "' 'strict-dynamic'", "style-src": "'self' 'nonce-" + n + "'", "img-src": "'self' data:",
				"object-src": "'none'", "base-uri": "'none'", "frame-ancestors": "'none'", "form-action": "'self'",
			}, directives(t, resp.Header))
			require.Equal(t, "same-origin", resp.Header.Get("Cross-Origin-Opener-Policy"))
			require.Equal(t, "same-origin", resp.Header.Get("Referrer-Policy"))
			require.Contains(t, resp.Header.Get("Permissions-Policy"), "camera=()")
			require.Equal(t, "nosniff", resp.Header.Get("X-Content-Type-Options"))
			require.Contains(t, resp.Header.Get("Content-Type"), "charset=utf-8")
		})
	}
}

func TestStatement02_NoncesNeverRepeat(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	h := backend.SecureHeaders(backend.HeadersConfig{})(mustRun(t, func(w http.ResponseWriter, r *http.Request) {
		var group sync.WaitGroup
		values := make([]string, 4)
		for i := range values { // templates may be rendered in parallel
			group.Go(func() { values[i] = backend.Nonce(r.Context()) })
		}
		group.Wait()
		for _, v := range values {
			require.Equal(t, values[0], v)
		}
		random, err := base64.StdEncoding.DecodeString(values[0])
		require.NoError(t, err)
		require.Len(t, random, 16)
		require.NotContains(t, seen, values[0])
		seen[values[0]] = true
	}))
	for range 1000 {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	}
	require.Empty(t, backend.Nonce(t.Context()))
}

func TestStatement03_HSTSOverTLSOnly_ASVS_3_4_1(t *testing.T) {
	t.Parallel()
	h := backend.SecureHeaders(backend.HeadersConfig{HSTSHostOnly: true})(http.NotFoundHandler())
	plain := mwServe(t, h)
	secure := httptest.NewTLSServer(h)
	defer secure.Close()
	resp, _ := mwDo(t, plain, "GET", "/", "", "X-Forwarded-Proto", "https")
	require.Empty(t, resp.Header.Values("Strict-Transport-Security"))
	resp, _ = mwDo(t, secure, "GET", "/", "", "Host", "a.example")
	require.Equal(t, []string{"max-age=63072000"}, resp.Header.Values("Strict-Transport-Security"))

	proxied := mwServe(t, backend.TrustProxies("127.0.0.1")(h))
	resp, _ = mwDo(t, proxied, "GET", "/", "", "X-Forwarded-Proto", "https", "Host", "a.example")
	require.Equal(t, []string{"max-age=63072000"}, resp.Header.Values("Strict-Transport-Security"))
	resp, _ = mwDo(t, proxied, "GET", "/", "", "X-Forwarded-Proto", "https, http", "Host", "a.example")
	require.Empty(t, resp.Header.Values("Strict-Transport-Security"))
}

// Browsers note no policy for an IP address (RFC 6797, section 8.1.1), and one for
// localhost would be for every other program that is developed there.
func TestHSTSIsForDomainsOnly(t *testing.T) {
	t.Parallel()
	h := backend.SecureHeaders(backend.HeadersConfig{})(http.NotFoundHandler())
	server := httptest.NewTLSServer(h)
	defer server.Close()
	proxied := mwServe(t, backend.TrustProxies("127.0.0.1")(h))
	for host, want := range map[string]bool{
		"a.example": true, "A.Example:8443": true, "a.example.": true, "localhost.example": true, "127.example": true, "intranet": true, "notlocalhost": true, "1.2.3.4a": true,
		"localhost": false, "LOCALHOST:8443": false, "localhost.": false, "app.localhost": false, "app.localhost:1": false,
		"127.0.0.1": false, "127.0.0.1:8443": false, "192.0.2.7.": false, "[::1]": false, "[2001:db8::1]:443": false, "127.1": false, "0x7f.0.0.0x1": false, "a.0x": false,
	} {
		t.Run(host, func(t *testing.T) {
			resp, _ := mwDo(t, server, "GET", "/", "", "Host", host)
			require.Equal(t, want, resp.Header.Get("Strict-Transport-Security") != "")
			resp, _ = mwDo(t, proxied, "GET", "/", "", "Host", "127.0.0.1", "X-Forwarded-Host", host, "X-Forwarded-Proto", "https")
			require.Equal(t, want, resp.Header.Get("Strict-Transport-Security") != "", "the host that the client has asked for")
		})
	}
}

func TestStatement09_TextHasACharset_ASVS_4_1_1(t *testing.T) {
	t.Parallel()
	var contentType []string
	server := mwServe(t, backend.SecureHeaders(backend.HeadersConfig{})(mustRun(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Content-Type"] = contentType
		io.WriteString(w, "a,b")
	})))
	tests := []struct{ set, sent string }{
		{"text/plain", "text/plain; charset=utf-8"},
		{"text/html", "text/html; charset=utf-8"},
		{"text/csv;header=present", "text/csv;header=present; charset=utf-8"},
		{"TEXT/CSS", "TEXT/CSS; charset=utf-8"},
		{"text/css;", "text/css; charset=utf-8"},
		{"application/xml", "application/xml; charset=utf-8"},
		{"image/svg+xml", "image/svg+xml; charset=utf-8"},
		{"text/plain; charset=iso-8859-1", "text/plain; charset=iso-8859-1"},
		{"text/plain;CharSet=x", "text/plain;CharSet=x"},
		{"application/json", "application/json"},
		{"application/problem+json", "application/problem+json"},
		{"image/png", "image/png"},
		{"textile/x", "textile/x"},
	}
	for _, test := range tests {
		t.Run(test.set, func(t *testing.T) {
			contentType = []string{test.set}
			resp, _ := mwDo(t, server, "GET", "/", "")
			require.Equal(t, []string{test.sent}, resp.Header.Values("Content-Type"))
		})
	}
	contentType = nil // as net/http documents it: no type is sent, none is looked for
	resp, _ := mwDo(t, server, "GET", "/", "")
	require.Empty(t, resp.Header.Values("Content-Type"))
}

func TestHeadersOfTheHandlerWin(t *testing.T) {
	t.Parallel()
	server := mwServe(t, backend.SecureHeaders(backend.HeadersConfig{})(mustRun(t, func(w http.ResponseWriter, r *http.Request) {
		head := w.Header()
		head.Set("Content-Type", "text/html")
		head.Set("Content-Security-Policy", "frame-ancestors https://partner.example")
		head.Set("Referrer-Policy", "origin")
		head.Set("Cross-Origin-Opener-Policy", "unsafe-none")
		head.Set("Permissions-Policy", "camera=(self)")
		head.Del("Cross-Origin-Resource-Policy")
		io.WriteString(w, "<p>")
	})))
	for range 2 { // shared values did not change either
		resp, _ := mwDo(t, server, "GET", "/", "")
		require.Equal(t, []string{"frame-ancestors https://partner.example"}, resp.Header.Values("Content-Security-Policy"))
		require.Equal(t, "origin", resp.Header.Get("Referrer-Policy"))
		require.Equal(t, "unsafe-none", resp.Header.Get("Cross-Origin-Opener-Policy"))
		require.Equal(t, "camera=(self)", resp.Header.Get("Permissions-Policy"))
		require.Empty(t, resp.Header.Values("Cross-Origin-Resource-Policy"))
		require.Equal(t, "nosniff", resp.Header.Get("X-Content-Type-Options"))
	}
}

// A cache updates the response that it has stored with the headers of a 304 (RFC 9111,
// section 3.2), so they must not say what the 200 response did not say. The 304 of a
// file has no Content-Type. A page keeps the nonce that is in its stored body.
func TestNotModifiedSaysNothingThatDependsOnTheType(t *testing.T) {
	t.Parallel()
	dependent := []string{"Content-Security-Policy", "Referrer-Policy", "Cross-Origin-Opener-Policy", "Permissions-Policy"}
	tests := []struct {
		name   string
		handle func(w http.ResponseWriter, r *http.Request)
	}{
		{"a file", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Etag", `"1"`)
			http.ServeContent(w, r, "page.html", time.Time{}, strings.NewReader("<!doctype html>"))
		}},
		{"a script", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Etag", `"1"`)
			http.ServeContent(w, r, "app.js", time.Time{}, strings.NewReader("1"))
		}},
		{"a handler that says the type", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.Header().Set("Etag", `"1"`)
			if r.Header.Get("If-None-Match") != "" {
				w.WriteHeader(304)
				return
			}
			fmt.Fprint(w, backend.Nonce(r.Context()))
		}},
		{"another handler than the 200's", func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("If-None-Match") == "" {
				w.Header().Set("Content-Type", "text/html")
				return
			}
			w.WriteHeader(304)
		}},
	}
	for _, test := range tests {
		for stack, middleware := range map[string]backend.Middleware{
			"SecureHeaders": backend.SecureHeaders(backend.HeadersConfig{}),
			"Stack":         backend.Stack(backend.StackConfig{Logger: slog.New(slog.DiscardHandler)}),
		} {
			t.Run(test.name+" in "+stack, func(t *testing.T) {
				t.Parallel()
				server := mwServe(t, middleware(mustRun(t, test.handle)))
				full, _ := mwDo(t, server, "GET", "/", "")
				require.Equal(t, 200, full.StatusCode)
				require.NotEmpty(t, full.Header.Get("Content-Security-Policy"))
				not, _ := mwDo(t, server, "GET", "/", "", "If-None-Match", `"1"`)
				require.Equal(t, 304, not.StatusCode)
				for _, name := range dependent {
					require.Empty(t, not.Header.Values(name), name)
				}
				for _, name := range []string{"X-Content-Type-Options", "Cross-Origin-Resource-Policy"} {
					require.Equal(t, full.Header.Values(name), not.Header.Values(name), name)
				}
			})
		}
	}
	t.Run("the handler's own", func(t *testing.T) {
		t.Parallel()
		server := mwServe(t, backend.SecureHeaders(backend.HeadersConfig{})(mustRun(t, func(w http.ResponseWriter, r *http.Request) {
			for _, name := range dependent {
				w.Header().Set(name, "own")
			}
			w.WriteHeader(304)
		})))
		resp, _ := mwDo(t, server, "GET", "/", "")
		for _, name := range dependent {
			require.Equal(t, []string{"own"}, resp.Header.Values(name))
		}
	})
}

func ExampleSecureHeaders() {
	h := backend.SecureHeaders(backend.HeadersConfig{
		HTMLPolicy: "default-src 'none'; style-src 'nonce-{nonce}'; base-uri 'none'; frame-ancestors 'none'",
	})(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, "<style nonce=%q>p { color: teal }</style><p>Hello", backend.Nonce(r.Context()))
	}))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	random := regexp.MustCompile(`[A-Za-z0-9+/]{22}==`)
	fmt.Println(random.ReplaceAllString(w.Header().Get("Content-Security-Policy"), "…"))
	fmt.Println(random.ReplaceAllString(w.Body.String(), "…"))
	// Output:
	// default-src 'none'; style-src 'nonce-…'; base-uri 'none'; frame-ancestors 'none'
	// <style nonce="…">p { color: teal }</style><p>Hello
}

// The policy that the documentation gives for static pages is one, and lets the page run
// its files.
func TestPolicyForStaticPages(t *testing.T) {
	t.Parallel()
	const policy = "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
	source, err := os.ReadFile("headers.go")
	require.NoError(t, err)
	require.Contains(t, string(source), policy)
	for _, policy := range []string{policy, policy + "; script-src 'self' 'sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA='", policy + " https://pay.example"} {
		w := httptest.NewRecorder()
		backend.SecureHeaders(backend.HeadersConfig{HTMLPolicy: policy})(mustRun(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/html")
		})).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		require.Equal(t, policy, w.Header().Get("Content-Security-Policy"))
	}
}
