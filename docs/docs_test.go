package docs_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
	"github.com/seed-215b9b7c/backend/docs"
)

// get asks a handler as a browser does.
func get(h http.Handler, path string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", path, nil)
	r.Header.Set("Accept-Encoding", "gzip, deflate, br, zstd")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// references returns the URLs of what a page loads.
func references(page string) (urls []string) {
	for _, match := range regexp.MustCompile(`<(?:link|script)[^>]* (?:href|src)="([^"]*)"`).FindAllStringSubmatch(page, -1) {
		urls = append(urls, match[1])
	}
	return urls
}

func mounted(middleware ...backend.Middleware) http.Handler {
	r := backend.NewRouter()
	r.Use(middleware...)
	r.Mount("/docs", docs.New("/openapi.json"))
	return r
}

func stack() backend.Middleware {
	return backend.Stack(backend.StackConfig{Logger: slog.New(slog.DiscardHandler)})
}

func TestPage(t *testing.T) {
	t.Parallel()
	stripped := http.StripPrefix("/docs", docs.New("/openapi.json"))
	tests := []struct {
		name, path, base string
		handler          http.Handler
	}{
		{"mounted", "/docs", "/", mounted()},
		{"mounted, with a slash", "/docs/", "/docs/", mounted()},
		{"in a stack", "/docs", "/", mounted(stack())},
		{"below StripPrefix", "/docs/", "/docs/", stripped},
		{"below StripPrefix, without a slash", "/docs", "/", stripped},
		{"with a query", "/docs?a=/b/", "/", mounted()},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := get(test.handler, test.path, "Accept-Encoding", "identity")
			require.Equal(t, 200, w.Code, w.Body)
			require.Equal(t, "text/html; charset=utf-8", w.Header().Get("Content-Type"))
			require.Equal(t, "no-store", w.Header().Get("Cache-Control"), "or the nonce would be used again")
			require.Contains(t, w.Body.String(), `data-description="/openapi.json"`)
			urls := references(w.Body.String())
			require.Len(t, urls, 5)
			for _, url := range urls {
				require.Regexp(t, `^\./.*-[0-9a-f]{16}\.(js|css|png)$`, url)
				file := get(test.handler, test.base+strings.TrimPrefix(url, "./"))
				require.Equal(t, 200, file.Code, url)
				require.Equal(t, "public, max-age=31536000, immutable", file.Header().Get("Cache-Control"))
				require.Equal(t, "nosniff", file.Header().Get("X-Content-Type-Options"))
			}
		})
	}
}

func TestPolicyHasNoHoles(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		handler http.Handler
	}{{"alone", mounted()}, {"in a stack", mounted(stack())}} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := get(test.handler, "/docs", "Accept-Encoding", "identity")
			policies := w.Header().Values("Content-Security-Policy")
			require.Len(t, policies, 1)
			require.NotContains(t, policies[0], "unsafe-")
			for _, directive := range []string{"base-uri 'none'", "frame-ancestors 'none'"} {
				require.Contains(t, policies[0], directive)
			}
			nonce := regexp.MustCompile(`script-src 'nonce-([A-Za-z0-9+/]{22}==)'`).FindStringSubmatch(policies[0])
			require.NotNil(t, nonce, policies[0])
			page := strings.ReplaceAll(w.Body.String(), "&#43;", "+")
			require.Equal(t, 2, strings.Count(page, "<script"))
			require.Equal(t, 2, strings.Count(page, `<script nonce="`+nonce[1]+`" src="`), "each script has the nonce and a URL")
			require.NotContains(t, page, "<style")
			require.NotContains(t, page, " style=")
			require.NotRegexp(t, ` on[a-z]+=`, page)
			require.NotRegexp(t, `(href|src)="[a-z]*:?//`, page, "nothing comes from elsewhere")
			require.NotEqual(t, policies, get(test.handler, "/docs").Header().Values("Content-Security-Policy"), "nonces are never repeated")
		})
	}
}

func TestFilesAreThoseOfSwaggerUI(t *testing.T) {
	t.Parallel()
	for _, middleware := range [][]backend.Middleware{nil, {stack()}} {
		handler := mounted(middleware...)
		for _, url := range references(get(handler, "/docs", "Accept-Encoding", "identity").Body.String()) {
			url = strings.TrimPrefix(url, ".")
			zipped, plain := get(handler, url), get(handler, url, "Accept-Encoding", "identity")
			require.Empty(t, plain.Header().Get("Content-Encoding"))
			if !strings.HasPrefix(url, "/docs/swagger-ui") {
				continue
			}
			require.Equal(t, "gzip", zipped.Header().Get("Content-Encoding"))
			require.Contains(t, zipped.Header().Get("Vary"), "Accept-Encoding")
			require.Contains(t, plain.Header().Get("Vary"), "Accept-Encoding")
			require.Equal(t, fmt.Sprint(zipped.Body.Len()), zipped.Header().Get("Content-Length"))
			reader, err := gzip.NewReader(zipped.Body)
			require.NoError(t, err)
			text, err := io.ReadAll(reader)
			require.NoError(t, err)
			require.True(t, bytes.Equal(text, plain.Body.Bytes()))
			require.Contains(t, string(text), map[bool]string{true: "SwaggerUIBundle", false: ".swagger-ui"}[strings.HasSuffix(url, ".js")])
		}
	}
}

// The page follows the user's colours by a class that Swagger UI has rules for.
func TestColoursFollowTheUser(t *testing.T) {
	t.Parallel()
	script := file(t, "/start-", ".js")
	class := regexp.MustCompile(`classList\.toggle\("([a-z-]+)", dark\.matches\)`).FindStringSubmatch(script)
	require.NotNil(t, class)
	require.Contains(t, script, `matchMedia("(prefers-color-scheme: dark)")`)
	require.Contains(t, file(t, "/swagger-ui-", ".css"), "html."+class[1]+"{")
}

// What the page wraps to make it accessible is what Swagger UI asks for by that name.
func TestWrappedComponentsExist(t *testing.T) {
	t.Parallel()
	_, wrapped, found := strings.Cut(file(t, "/start-", ".js"), "wrapComponents: {\n")
	require.True(t, found)
	wrapped, _, _ = strings.Cut(wrapped, "\n\t},\n")
	names := regexp.MustCompile(`(?m)^\t\t([A-Za-z]+): `).FindAllStringSubmatch(wrapped, -1)
	require.Len(t, names, 6)
	bundle := file(t, "/swagger-ui-bundle-", ".js")
	for _, name := range names {
		require.Regexp(t, `\("`+name[1]+`"[,)]`, bundle)
	}
}

// file returns the text of a file of the page.
func file(t *testing.T, prefix, extension string) string {
	t.Helper()
	handler := mounted(stack())
	for _, url := range references(get(handler, "/docs", "Accept-Encoding", "identity").Body.String()) {
		if strings.Contains(url, prefix) && strings.HasSuffix(url, extension) {
			return get(handler, strings.TrimPrefix(url, "."), "Accept-Encoding", "identity").Body.String()
		}
	}
	t.Fatalf("the page has no file %s…%s", prefix, extension)
	return ""
}

func TestAcceptEncoding_RFC9110_12_5_3(t *testing.T) {
	t.Parallel()
	handler := mounted()
	style := strings.TrimPrefix(references(get(handler, "/docs").Body.String())[1], ".")
	require.Contains(t, style, ".css")
	for accept, zipped := range map[string]bool{
		"": false, "gzip": true, "GZIP;Q=1": true, "x-gzip": true, "*": true, "br, gzip;q=0.1": true,
		"identity": false, "gzip;q=0": false, "gzip;q=0, *": false, "*, gzip; q=0.000": false, "*;q=0": false, "gzip;q=x": false, "br": false,
	} {
		require.Equal(t, zipped, get(handler, style, "Accept-Encoding", accept).Header().Get("Content-Encoding") == "gzip", accept)
	}
}

func TestOtherPathsAndMethods(t *testing.T) {
	t.Parallel()
	handler := docs.New("/openapi.json")
	for _, path := range []string{
		"/swagger-ui.css", "//evil.example/", "//evil.example/%2e%2e", "/index.html", "/start.js", "/../docs.go", "/swagger-ui/LICENSE",
		"/" + strings.Repeat("a/", 2000), `/\evil.example`,
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.URL.Path, r.RequestURI = path, path
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		require.Equal(t, 404, w.Code, path)
		require.Equal(t, "application/problem+json", w.Header().Get("Content-Type"), path)
		require.Empty(t, w.Header().Get("Location"), path)
	}
	for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS", "TRACE"} {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest(method, "/", nil))
		require.Equal(t, 405, w.Code, method)
		require.Equal(t, "GET, HEAD", w.Header().Get("Allow"))
	}
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequest("HEAD", "/", nil))
	require.Equal(t, 200, w.Code)
}

// A page below a path that the client chooses part of must not load what the
// client chooses.
func TestReferencesStayBelowThePage(t *testing.T) {
	t.Parallel()
	at, err := url.Parse("https://app.example/docs")
	require.NoError(t, err)
	for _, target := range []string{`/javascript:alert(1)`, `/a"><script>`, `/..`, `/%5Cevil.example`, "http://evil.example/docs", "*", "//evil.example"} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RequestURI = target
		w := httptest.NewRecorder()
		docs.New("/openapi.json").ServeHTTP(w, r)
		require.Equal(t, 200, w.Code, target)
		urls := references(w.Body.String())
		require.Len(t, urls, 5, target)
		for _, reference := range urls {
			resolved, err := at.Parse(html.UnescapeString(reference))
			require.NoError(t, err)
			require.Equal(t, "app.example", resolved.Host, "%s: %s", target, reference)
			require.Equal(t, "https", resolved.Scheme, "%s: %s", target, reference)
		}
	}
}

func TestNewRefusesDescriptionsElsewhere(t *testing.T) {
	t.Parallel()
	for _, description := range []string{"", "openapi.json", "//evil.example/openapi.json", "https://evil.example/openapi.json", "javascript:alert(1)", `/\evil.example/`, "/%zz"} {
		require.PanicsWithValue(t, fmt.Sprintf(`backend: docs.New(%q): the description must be a path of this origin, such as "/openapi.json"`, description),
			func() { docs.New(description) }, description)
	}
}

func TestTheCopyOfSwaggerUIIsComplete(t *testing.T) {
	t.Parallel()
	license, err := os.ReadFile("swagger-ui/LICENSE")
	require.NoError(t, err)
	require.Contains(t, string(license), "Apache License")
	notice, err := os.ReadFile("swagger-ui/NOTICE")
	require.NoError(t, err)
	require.Contains(t, string(notice), "SmartBear")
}

func ExampleNew() {
	logic := backend.NewLogic(nil, nil, backend.LogicConfig{})
	r := backend.NewRouter()
	rest := logic.REST()
	r.Mount("/api", rest)
	r.Handle("GET /openapi.json", rest.OpenAPI(backend.OpenAPIConfig{Title: "Notes"}))
	r.Mount("/docs", docs.New("/openapi.json"))

	w := httptest.NewRecorder()
	r.ServeHTTP(w, httptest.NewRequest("GET", "/docs", nil))
	fmt.Println(w.Code, w.Header().Get("Content-Type"))
	// Output: 200 text/html; charset=utf-8
}
