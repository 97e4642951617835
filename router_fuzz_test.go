package backend_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzRouterPaths sends any bytes as method and path, parsed as the server
// parses them and raw, to a router on which every kind of pattern meets every
// other. It must answer for all of them, and send nobody to another host.
func FuzzRouterPaths(f *testing.F) {
	for _, path := range []string{
		"/", "//evil.com", "/%2fevil.com", "/\\evil.com", "/%5cevil.com", "/%09/evil.com", "/a/../b", "/a%2f..%2fb", "/%00", "*", "", "evil.com",
		"http://evil.com//x", "/a/b/c/", "/tree", "/tree?//evil.com", "/x#%0X", "/x/:p/*r", `/\c/\s`, "/%zz", "/;/x", "/é", "/\xff", "/a%2Fb/c", "https:e", "//evil.com/", "/%2fevil.com/", "/a/b/?//evil.com", "/%09/evil.com/", "http://evil.com//a/",
	} {
		for _, method := range []string{"GET", "OPTIONS", "CONNECT", "BREW"} {
			f.Add(method, path, path)
		}
	}
	var routers []http.Handler
	for _, mode := range slashModes {
		r := routerOf("/{a}/", "GET /{a}/{b}/", "/{a}/{b}/{c}", "GET /tree/", "POST /tree/{$}", "/a%2Fb/{x}/", "/%3Aa/%2Ab/{c}",
			"/a/{x}/c", "/a/b/d", "GET /{rest...}", "PURGE /a/{x...}", "BREW /{a}", "BREW /{a}/{b}")
		r.Mount("/m/{x}", echo())
		r.TrailingSlash(mode)
		routers = append(routers, r)
	}
	f.Fuzz(func(t *testing.T, method, path, rawPath string) {
		requests := []*url.URL{{Path: path, RawPath: rawPath, RawQuery: rawPath}}
		if u, err := url.ParseRequestURI(path); err == nil {
			requests = append(requests, u)
		}
		for _, u := range requests {
			for _, r := range routers {
				request := httptest.NewRequest("GET", "/", nil)
				request.Method, request.URL = method, u
				w := httptest.NewRecorder()
				r.ServeHTTP(w, request)
				require.NotEqual(t, http.StatusInternalServerError, w.Code)
				requireOnOrigin(t, w.Header().Get("Location"))
			}
		}
	})
}

// requireOnOrigin checks that a browser that follows the location stays on the
// origin, by the URL standard's rules: it strips tabs and newlines, and takes a
// backslash for a slash.
func requireOnOrigin(t *testing.T, location string) {
	if location == "" {
		return
	}
	for _, c := range []byte(location) {
		require.Greater(t, c, byte(' '), "%q", location)
		require.Less(t, c, byte(0x7f), "%q", location)
	}
	require.True(t, strings.HasPrefix(location, "/"), "%q", location)
	path, _, _ := strings.Cut(location, "?")
	require.NotContains(t, path, `\`)
	require.False(t, strings.HasPrefix(path, "//"), "%q", location)
	base := &url.URL{Scheme: "https", Host: "good.example"}
	target, err := base.Parse(location)
	require.NoError(t, err, "%q", location)
	require.Equal(t, "good.example", target.Host, "%q", location)
}
