package backend_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
)

// Each kind of content has its own policy. The media types of JavaScript are those of
// the MIME Sniffing standard, section 4.6.
func TestPolicyByKindOfContent(t *testing.T) {
	t.Parallel()
	const rest = "; frame-ancestors 'none'; base-uri 'none'; object-src 'none'"
	configured := backend.HeadersConfig{
		HTMLPolicy: "default-src https:" + rest, ScriptPolicy: "connect-src https:" + rest, DocumentPolicy: "img-src https:" + rest, DataPolicy: "media-src https:" + rest,
	}
	kinds := map[string]struct {
		types           []string
		own             string // the configured policy
		fetches         string // what the default allows to fetch and import: default-src
		images, plugins string
	}{
		"script": {[]string{"text/javascript", "text/javascript; charset=utf-8", "application/javascript", "Application/X-JavaScript", "application/ecmascript", "text/ecmascript",
			"text/jscript", "text/livescript", "text/javascript1.5", "text/x-ecmascript"}, configured.ScriptPolicy, "'self'", "", "'none'"},
		"document": {[]string{"image/svg+xml", "application/xml", "text/xml; charset=utf-8", "application/atom+xml", "application/pdf", "Application/PDF"},
			configured.DocumentPolicy, "'none'", "'self' data:", "'self'"},
		"data": {[]string{"application/json", "application/problem+json", "text/plain", "text/css", "image/png", "application/octet-stream", "application/xmlish", "text/javascriptx", "nonsense"},
			configured.DataPolicy, "'none'", "", ""},
	}
	for name, kind := range kinds {
		for _, contentType := range kind.types {
			respond := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", contentType)
				w.Write([]byte("a"))
			})
			w := httptest.NewRecorder()
			backend.SecureHeaders(backend.HeadersConfig{})(respond).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
			policy := directives(t, w.Header())
			require.Equal(t, kind.fetches, policy["default-src"], "%s %s", name, contentType)
			require.Equal(t, kind.images, policy["img-src"], "%s %s", name, contentType)
			require.Equal(t, kind.plugins, policy["object-src"], "%s %s", name, contentType)
			require.Equal(t, "'none'", policy["frame-ancestors"])
			require.Equal(t, "'none'", policy["base-uri"])
			require.NotContains(t, policy, "script-src")

			w = httptest.NewRecorder()
			backend.SecureHeaders(configured)(respond).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
			require.Equal(t, []string{kind.own}, w.Header().Values("Content-Security-Policy"), "%s %s", name, contentType)

			own := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Security-Policy", "sandbox")
				respond(w, r)
			})
			w = httptest.NewRecorder()
			backend.SecureHeaders(configured)(own).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
			require.Equal(t, []string{"sandbox"}, w.Header().Values("Content-Security-Policy"), "the handler's counts")
		}
	}
}

// A worker that a file server serves can fetch and import, and its 304 does not take
// that away.
func TestPolicyOfAWorkerFile(t *testing.T) {
	t.Parallel()
	modified := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	h := backend.Stack(backend.StackConfig{})(http.FileServerFS(fstest.MapFS{"worker.js": {Data: []byte("importScripts('a.js')"), ModTime: modified}}))
	r := httptest.NewRequest("GET", "/worker.js", nil)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	require.Equal(t, 200, w.Code)
	require.Equal(t, "'self'", directives(t, w.Header())["default-src"])
	r.Header.Set("If-Modified-Since", modified.Format(http.TimeFormat))
	w = httptest.NewRecorder()
	h.ServeHTTP(w, r)
	require.Equal(t, 304, w.Code)
	require.Empty(t, w.Header().Values("Content-Security-Policy"))
}

func TestPoliciesAreChecked(t *testing.T) {
	t.Parallel()
	const lacking, nonce = "default-src 'self'", "default-src 'nonce-{nonce}'; frame-ancestors 'none'; base-uri 'none'; object-src 'none'"
	for name, config := range map[string]func(string) backend.HeadersConfig{
		"ScriptPolicy":   func(p string) backend.HeadersConfig { return backend.HeadersConfig{ScriptPolicy: p} },
		"DocumentPolicy": func(p string) backend.HeadersConfig { return backend.HeadersConfig{DocumentPolicy: p} },
		"DataPolicy":     func(p string) backend.HeadersConfig { return backend.HeadersConfig{DataPolicy: p} },
	} {
		message := func(policy string) (message string) {
			defer func() { message, _ = recover().(string) }()
			backend.SecureHeaders(config(policy))
			return ""
		}
		for _, directive := range []string{"frame-ancestors", "base-uri", "object-src"} {
			require.Contains(t, message(lacking), name+` "default-src 'self'" has no `+directive)
		}
		require.Contains(t, message(nonce), "{nonce}")
		require.Contains(t, message("a\nb"), "cannot carry")
	}
}
