package backend_test

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
)

// answer serves one request with h. The target is as it stands in a request
// line.
func answer(h http.Handler, method, target string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "/", nil)
	r.RequestURI = target
	r.URL, _ = url.ParseRequestURI(target)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// echo answers with its name, the pattern and the values of the wildcards that
// are asked for.
func echo(wildcards ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Pattern)
		for _, name := range wildcards {
			fmt.Fprintf(w, " %s=%q", name, r.PathValue(name))
		}
	}
}

func routerOf(patterns ...string) *backend.Router {
	r := backend.NewRouter()
	for _, pattern := range patterns {
		r.Handle(pattern, echo())
	}
	return r
}

func TestRouterChoosesTheMostSpecificPattern(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		patterns []string
		method   string
		path     string
		want     string
	}{
		{"literal before wildcard", []string{"/users/{id}", "/users/new"}, "GET", "/users/new", "/users/new"},
		{"wildcard beside a literal", []string{"/users/{id}", "/users/new"}, "GET", "/users/7", "/users/{id}"},
		{"a literal that leads nowhere", []string{"/a/{x}/c", "/a/b/d"}, "GET", "/a/b/c", "/a/{x}/c"},
		{"what ServeMux refuses", []string{"/users/{id}/posts", "/users/me/{x}"}, "GET", "/users/me/posts", "/users/me/{x}"},
		{"the leftmost segment decides", []string{"/a/{rest...}", "/{x}/b"}, "GET", "/a/b", "/a/{rest...}"},
		{"wildcard before rest", []string{"/a/{rest...}", "/a/{x}"}, "GET", "/a/b", "/a/{x}"},
		{"end before rest", []string{"/a/{rest...}", "/a/{$}"}, "GET", "/a/", "/a/{$}"},
		{"longer subtree", []string{"/", "/a/", "/a/b/"}, "GET", "/a/b/c", "/a/b/"},
		{"root subtree", []string{"/", "/a/"}, "GET", "/x/y", "/"},
		{"method before none", []string{"/a", "GET /a"}, "GET", "/a", "GET /a"},
		{"none for other methods", []string{"/a", "GET /a"}, "POST", "/a", "/a"},
		{"path before method", []string{"/a/b", "GET /a/{x}"}, "GET", "/a/b", "/a/b"},
		{"method of the less specific path", []string{"POST /a/b", "GET /a/{x}"}, "GET", "/a/b", "GET /a/{x}"},
		{"GET serves HEAD", []string{"GET /a", "/a"}, "HEAD", "/a", "GET /a"},
		{"HEAD before GET", []string{"GET /a", "HEAD /a"}, "HEAD", "/a", "HEAD /a"},
		{"encoded literal in the request", []string{"/caf\u00e9"}, "GET", "/caf%C3%A9", "/caf\u00e9"},
		{"encoded literal in the pattern", []string{"/%61/{x}"}, "GET", "/a/1", "/%61/{x}"},
		{"encoded slash in a literal", []string{"/a%2Fb/{x}", "/{x}/{y}"}, "GET", "/a%2fb/1", "/a%2Fb/{x}"},
		{"escaped literals", []string{"/%3Aa/%2Ab/{x}", "/{x}/{y}/{z}"}, "GET", "/:a/*b/1", "/%3Aa/%2Ab/{x}"},
		{"escaped literals match no others", []string{"/%3Aa/{x}"}, "GET", "/b/1", ""},
		{"custom methods of Google", []string{"/items:batch", "/{x}"}, "GET", "/items:batch", "/items:batch"},
		{"custom method", []string{"PURGE /a"}, "PURGE", "/a", "PURGE /a"},
		{"any method", []string{"/a"}, "PURGE", "/a", "/a"},
		{"TRACE when named", []string{"TRACE /a"}, "TRACE", "/a", "TRACE /a"},
		{"case matters", []string{"/a"}, "GET", "/A", ""},
		{"no empty wildcard", []string{"/a/{x}"}, "GET", "/a/", ""},
		{"no slash more", []string{"/a/{x}"}, "GET", "/a/b/", ""},
		{"no empty wildcard in the middle of a rest", []string{"/{x}/{rest...}"}, "GET", "/", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for range 2 { // in both orders of registration
				w := answer(routerOf(test.patterns...), test.method, test.path)
				if test.want == "" {
					require.Equal(t, 404, w.Code)
				} else {
					require.Equal(t, test.want, w.Body.String())
				}
				for i, j := 0, len(test.patterns)-1; i < j; i, j = i+1, j-1 {
					test.patterns[i], test.patterns[j] = test.patterns[j], test.patterns[i]
				}
			}
		})
	}
}

func TestRouterPathValues(t *testing.T) {
	t.Parallel()
	r := backend.NewRouter()
	r.Handle("GET /one/{a}", echo("a", "b"))
	r.Handle("POST /one/{b}", echo("a", "b"))
	r.Handle("/two/{a}/x/{b}", echo("a", "b"))
	r.Handle("/files/{rest...}", echo("rest"))
	r.Handle("/nine/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i}", echo("a", "i"))
	tests := []struct{ name, method, path, want string }{
		{"plain", "GET", "/one/1", `GET /one/{a} a="1" b=""`},
		{"other name by method", "POST", "/one/1", `POST /one/{b} a="" b="1"`},
		{"two", "GET", "/two/1/x/2", `/two/{a}/x/{b} a="1" b="2"`},
		{"unescaped once", "GET", "/one/a%2520b", `GET /one/{a} a="a%20b" b=""`},
		{"encoded slash", "GET", "/one/a%2Fb", `GET /one/{a} a="a/b" b=""`},
		{"only an encoded slash", "GET", "/one/%2f", `GET /one/{a} a="/" b=""`},
		{"address", "GET", "/one/https:%2F%2Fexample.com%2F", `GET /one/{a} a="https://example.com/" b=""`},
		{"reserved characters", "GET", "/one/:a*b;c=d", `GET /one/{a} a=":a*b;c=d" b=""`},
		{"UTF-8", "GET", "/one/%C3%A9", `GET /one/{a} a="é" b=""`},
		{"rest", "GET", "/files/a/b%2Fc/d", `/files/{rest...} rest="a/b/c/d"`},
		{"rest with a slash at the end", "GET", "/files/a/", `/files/{rest...} rest="a/"`},
		{"empty rest", "GET", "/files/", `/files/{rest...} rest=""`},
		{"many", "GET", "/nine/1/2/3/4/5/6/7/8/9", `/nine/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i} a="1" i="9"`},
		{"absolute form", "GET", "http://example.com/one/1?q", `GET /one/{a} a="1" b=""`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, test.want, answer(r, test.method, test.path).Body.String())
		})
	}
}

func TestRouterRefusesPathsThatMeanDifferentThings(t *testing.T) {
	t.Parallel()
	r := routerOf("/", "/{a}", "/{a}/{b}", "/{a}/{b}/{c}", "/files/{rest...}", "/static")
	for _, path := range []string{
		"//", "//evil.com", "//evil.com/", "/a//b", "/a//", "/files//etc/passwd", "///",
		"/..", "/../", "/a/..", "/a/../b", "/.", "/./a", "/a/.", "/%2e%2e/a", "/a/%2E%2e", "/.%2e", "/%2e",
		"/files/../x", "/a%2f..", "/a%2F..%2Fb", "/..%2fa", "/a/b%2F.",
		`/\evil.com`, "/%5Cevil.com", "/a%5c..%5cb", "/files/%5c", "/a%00", "/%00", "/a%2Fb%00", "/files/x%00.png",
		"*",
	} {
		w := answer(r, "GET", path)
		require.Equal(t, 400, w.Code, path)
		require.Equal(t, "application/problem+json", w.Header().Get("Content-Type"), path)
		require.Empty(t, w.Header().Get("Location"), path)
	}
	for _, path := range []string{"/...", "/.a", "/a.", "/..a", "/a..", "/a/..b/", "/.well-known/x", "/%2Fa", "/a%2F%2Fb", "/a/", "/a%2F.a"} {
		require.Equal(t, 200, answer(r, "GET", path).Code, path)
	}
}

func TestRouterRedirectsToSubtreesOnly(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		patterns []string
		path     string
		want     string // Location, or "" for none
	}{
		{"subtree", []string{"/tree/"}, "/tree", "/tree/"},
		{"named rest", []string{"/tree/{rest...}"}, "/tree", "/tree/"},
		{"end", []string{"/tree/{$}"}, "/tree", "/tree/"},
		{"below a wildcard", []string{"/{x}/"}, "/tree", "/tree/"},
		{"keeps the query", []string{"/tree/"}, "/tree?a=b&c=%2F", "/tree/?a=b&c=%2F"},
		{"escapes the query", []string{"/tree/"}, "/tree?\u00e9", "/tree/?%C3%A9"},
		{"keeps the escapes", []string{"/{x}/"}, "/%2Fevil.com", "/%2Fevil.com/"},
		{"encoded tab", []string{"/{x}/{y}/"}, "/%09/evil.com", "/%09/evil.com/"},
		{"absolute form", []string{"/tree/"}, "http://evil.com/tree", "/tree/"},
		{"before a larger subtree", []string{"/", "/tree/"}, "/tree", "/tree/"},
		{"not before the path itself", []string{"/tree", "/tree/"}, "/tree", ""},
		{"not before a wildcard", []string{"/{x}", "/tree/"}, "/tree", ""},
		{"not for another method", []string{"POST /tree/"}, "/tree", ""},
		{"not away from a slash", []string{"/tree"}, "/tree/", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := answer(routerOf(test.patterns...), "GET", test.path)
			require.Equal(t, test.want, w.Header().Get("Location"))
			if test.want == "" {
				require.NotEqual(t, http.StatusTemporaryRedirect, w.Code)
				return
			}
			require.Equal(t, http.StatusTemporaryRedirect, w.Code)
			requireClosed(t, w.Header())
		})
	}
}

// requireClosed checks for the headers that every response must have (ASVS
// 3.4.3, 3.4.4, 3.4.6).
func requireClosed(t *testing.T, header http.Header) {
	t.Helper()
	require.Equal(t, "nosniff", header.Get("X-Content-Type-Options"))
	require.Contains(t, header.Get("Content-Security-Policy"), "frame-ancestors 'none'")
	require.Contains(t, header.Get("Content-Security-Policy"), "base-uri 'none'")
}

func TestRouterAnswersForOtherMethods(t *testing.T) {
	t.Parallel()
	r := routerOf("GET /a", "POST /a", "PUT /{x}", "PURGE /p", "GET /tree/", "POST /b/{$}", "/any", "TRACE /t", "CONNECT /c")
	tests := []struct {
		name, method, path string
		status             int
		allow              string
	}{
		{"methods of all matching patterns", "DELETE", "/a", 405, "GET, HEAD, OPTIONS, POST, PUT"},
		{"one pattern", "GET", "/x", 405, "OPTIONS, PUT"},
		{"custom method in Allow", "GET", "/p", 405, "OPTIONS, PURGE, PUT"},
		{"subtree without its slash", "DELETE", "/tree/x", 405, "GET, HEAD, OPTIONS"},
		{"OPTIONS", "OPTIONS", "/a", 204, "GET, HEAD, OPTIONS, POST, PUT"},
		{"OPTIONS of nothing", "OPTIONS", "/no/such", 404, ""},
		{"OPTIONS of the server", "OPTIONS", "*", 204, "CONNECT, DELETE, GET, HEAD, OPTIONS, PATCH, POST, PURGE, PUT, TRACE"},
		{"another method for *", "GET", "*", 400, ""},
		{"nothing", "DELETE", "/no/such", 404, ""},
		{"TRACE is never served by any", "TRACE", "/any", 405, "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"},
		{"CONNECT is never served by any", "CONNECT", "/any", 405, "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"},
		{"TRACE of nothing", "TRACE", "/no/such", 404, ""},
		{"TRACE when named", "TRACE", "/t", 200, ""},
		{"CONNECT when named", "CONNECT", "/c", 200, ""},
		{"unknown method", "BREW", "/a", 501, "GET, HEAD, OPTIONS, POST, PUT"},
		{"unknown method of nothing", "BREW", "/no/such", 501, ""},
		{"methods are case-sensitive", "get", "/a", 501, "GET, HEAD, OPTIONS, POST, PUT"},
		{"method known elsewhere", "PURGE", "/a", 405, "GET, HEAD, OPTIONS, POST, PUT"},
		{"method known elsewhere, of nothing", "PURGE", "/no/such", 404, ""},
		{"redirected path", "GET", "/b", 405, "OPTIONS, POST, PUT"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := answer(r, test.method, test.path)
			require.Equal(t, test.status, w.Code)
			require.Equal(t, test.allow, w.Header().Get("Allow"))
			if test.status != 200 {
				requireClosed(t, w.Header())
			}
		})
	}
	proxied := httptest.NewRequest("CONNECT", "/", nil)
	proxied.URL = &url.URL{Host: "evil.com:443"} // as the server parses "CONNECT evil.com:443"
	w := httptest.NewRecorder()
	r.ServeHTTP(w, proxied)
	require.Equal(t, 501, w.Code)
}

func TestRouterZeroValueAndEmptyRouter(t *testing.T) {
	t.Parallel()
	var r backend.Router
	require.Equal(t, 404, answer(&r, "GET", "/").Code)
	require.Equal(t, "OPTIONS", answer(&r, "OPTIONS", "*").Header().Get("Allow"))
	r.HandleFunc("/{$}", echo())
	require.Equal(t, 200, answer(&r, "GET", "/").Code)
}

// trace returns middleware that writes its name before and after the handler.
func trace(name string) backend.Middleware {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Add("Trace", name)
			next.ServeHTTP(w, r)
		})
	}
}

func traced(w *httptest.ResponseRecorder) string {
	return strings.Join(w.Header()["Trace"], " ")
}

func TestRouterUseWrapsEverything(t *testing.T) {
	t.Parallel()
	r := backend.NewRouter()
	r.Use(trace("1"), trace("2"))
	r.Handle("GET /a", echo())
	r.Handle("/tree/", echo())
	for path, status := range map[string]int{"/a": 200, "/no": 404, "/tree": 307, "//": 400} {
		w := answer(r, "GET", path)
		require.Equal(t, status, w.Code, path)
		require.Equal(t, "1 2", traced(w), path)
	}
	require.Equal(t, "1 2", traced(answer(r, "POST", "/a")))
	require.Equal(t, "1 2", traced(answer(r, "OPTIONS", "*")))
	r.Use(trace("3"))
	require.Equal(t, "1 2 3", traced(answer(r, "GET", "/a")), "after serving")
}

func TestRouterUseAppliesMiddlewareOnce(t *testing.T) {
	t.Parallel()
	applied := 0
	count := func(next http.Handler) http.Handler {
		applied++
		return next
	}
	r := backend.NewRouter()
	r.Use(count)
	for i := range 10 {
		r.Handle(fmt.Sprintf("/%d", i), echo())
		answer(r, "GET", "/")
	}
	require.Equal(t, 1, applied)
}

func TestRouterMiddlewareMayLookAtTheRouter(t *testing.T) {
	t.Parallel()
	r := backend.NewRouter()
	var seen int
	r.Use(func(next http.Handler) http.Handler {
		seen = len(r.Routes())
		r.Handle("/metrics", echo())
		return next
	})
	r.Handle("/a", echo())
	require.Equal(t, 200, answer(r, "GET", "/a").Code)
	require.Equal(t, 1, seen)
	require.Equal(t, 200, answer(r, "GET", "/metrics").Code)
}

func TestRouterGroupPrefixItself(t *testing.T) {
	t.Parallel()
	r := backend.NewRouter()
	notes := r.Group("/notes")
	notes.Handle("GET ", echo())
	notes.Handle("POST\t", echo())
	notes.Handle("", echo())
	notes.Handle("GET \t /{id}", echo())
	r.Group("/m").Mount("", echo())
	for request, want := range map[string]string{
		"GET /notes": "GET /notes", "POST /notes": "POST /notes", "PUT /notes": "/notes", "GET /notes/1": "GET /notes/{id}",
		"GET /m": "/m", "GET /m/": "/m/", "GET /m/a": "/m/",
	} {
		method, path, _ := strings.Cut(request, " ")
		require.Equal(t, want, answer(r, method, path).Body.String())
	}
}

func TestRouterGroup(t *testing.T) {
	t.Parallel()
	r := backend.NewRouter()
	r.Use(trace("top"))
	api := r.Group("/api", trace("api"))
	api.Handle("GET /a", echo())
	shop := api.Group("/shops/{shop}", trace("shop"))
	shop.Handle("GET /items/{item}", echo("shop", "item"))
	api.Use(trace("late"))
	plain := r.Group("", trace("plain"))
	plain.Handle("GET /plain", echo())
	r.Handle("GET /b", echo())

	tests := []struct{ path, body, trace string }{
		{"/api/a", "GET /api/a", "top api late"},
		{"/api/shops/1/items/2", `GET /api/shops/{shop}/items/{item} shop="1" item="2"`, "top api late shop"},
		{"/plain", "GET /plain", "top plain"},
		{"/b", "GET /b", "top"},
	}
	for _, test := range tests {
		for _, h := range []http.Handler{r, api, shop} {
			w := answer(h, "GET", test.path)
			require.Equal(t, test.body, w.Body.String())
			require.Equal(t, test.trace, traced(w))
		}
	}
	require.Equal(t, "top", traced(answer(r, "GET", "/api/no")), "404 in a group's prefix")
	require.Equal(t, "top", traced(answer(r, "POST", "/api/a")), "405 in a group's prefix")

	api.Use(trace("later"))
	require.Equal(t, "top api late later", traced(answer(r, "GET", "/api/a")), "after serving")
	require.Equal(t, "top plain", traced(answer(r, "GET", "/plain")))
}

func TestRouterPanicsOnWrongWiring(t *testing.T) {
	t.Parallel()
	mounted := backend.NewRouter()
	backend.NewRouter().Mount("/m", mounted)
	tests := []struct {
		name string
		do   func(r *backend.Router)
		want string
	}{
		{"empty", func(r *backend.Router) { r.Handle("", echo()) }, `backend: pattern "": the path must begin with /`},
		{"gin", func(r *backend.Router) { r.Handle("GET /users/:id", echo()) }, `pattern "GET /users/:id": ":id" is a wildcard of other routers: write {id}, or %3Aid for a literal segment`},
		{"gin's catch-all", func(r *backend.Router) { r.Handle("/files/*path", echo()) }, `write {path...}, or %2Apath for a literal segment`},
		{"chi's catch-all", func(r *backend.Router) { r.Handle("/files/*", echo()) }, `write {name...}, or %2A for a literal segment`},
		{"chi", func(r *backend.Router) { r.Handle("/a/{id:[0-9]+}", echo()) }, `a wildcard has no regular expression: write {id}, and check the value where it is used`},
		{"Express", func(r *backend.Router) { r.Handle("/a/:id?", echo()) }, `write {id}, or`},
		{"Flask", func(r *backend.Router) { r.Handle("/a/<id>", echo()) }, `write {id}, or %3Cid> for`},
		{"Django", func(r *backend.Router) { r.Handle("/a/<int:id>", echo()) }, `write {id}, or`},
		{"Django's path", func(r *backend.Router) { r.Handle("/a/<path:rest>", echo()) }, `write {rest...}, or`},
		{"a group", func(r *backend.Router) { r.Group("/users/:id") }, `write {id}, or`},
		{"a mount", func(r *backend.Router) { r.Mount("/:tenant", echo()) }, `write {tenant}, or`},
		{"no path", func(r *backend.Router) { r.Handle("GET", echo()) }, `pattern "GET": the path must begin with /`},
		{"method", func(r *backend.Router) { r.Handle("G/ET /", echo()) }, `"G/ET" is not a method`},
		{"host", func(r *backend.Router) { r.Handle("GET example.com/a", echo()) }, "Hosts middleware"},
		{"empty segment", func(r *backend.Router) { r.Handle("/a//b", echo()) }, "empty segment"},
		{"dots", func(r *backend.Router) { r.Handle("/a/../b", echo()) }, "never matches"},
		{"encoded dots", func(r *backend.Router) { r.Handle("/a/%2e%2e/b", echo()) }, "never matches"},
		{"backslash", func(r *backend.Router) { r.Handle(`/a\b`, echo()) }, "never matches"},
		{"NUL", func(r *backend.Router) { r.Handle("/a%00", echo()) }, "never matches"},
		{"prefix of a wildcard", func(r *backend.Router) { r.Handle("/a{x}", echo()) }, "whole segment"},
		{"suffix of a wildcard", func(r *backend.Router) { r.Handle("/{x}a", echo()) }, "whole segment"},
		{"empty name", func(r *backend.Router) { r.Handle("/{}", echo()) }, "Go identifier"},
		{"bad name", func(r *backend.Router) { r.Handle("/{a-b}", echo()) }, "Go identifier"},
		{"name used twice", func(r *backend.Router) { r.Handle("/{a}/{a}", echo()) }, `"a" is used twice`},
		{"name used twice through a group", func(r *backend.Router) { r.Group("/{a}").Handle("/{a}", echo()) }, `"a" is used twice`},
		{"rest in the middle", func(r *backend.Router) { r.Handle("/{a...}/b", echo()) }, "must be at the end"},
		{"end in the middle", func(r *backend.Router) { r.Handle("/{$}/b", echo()) }, "must be at the end"},
		{"end before a slash", func(r *backend.Router) { r.Handle("/{$}/", echo()) }, "must be at the end"},
		{"nil handler", func(r *backend.Router) { r.Handle("/a", nil) }, `the handler for "/a" is nil`},
		{"nil function", func(r *backend.Router) { r.HandleFunc("/a", nil) }, `the handler for "/a" is nil`},
		{"nil Handler", func(r *backend.Router) { r.Handle("/a", backend.Handler(nil)) }, `the handler for "/a" is nil`},
		{"nil mount", func(r *backend.Router) { r.Mount("/a", nil) }, "nil"},
		{"nil router mounted", func(r *backend.Router) { r.Mount("/a", (*backend.Router)(nil)) }, "nil"},
		{"nil middleware", func(r *backend.Router) { r.Use(trace("a"), nil) }, "middleware 1 is nil"},
		{"nil group middleware", func(r *backend.Router) { r.Group("/a", nil) }, "middleware 0 is nil"},
		{"method only in a group", func(r *backend.Router) { r.Group("/a").Handle("GET", echo()) }, `pattern "GET": the path must begin with /`},
		{"host in a group", func(r *backend.Router) { r.Group("/a").Handle("GET h/b", echo()) }, "Hosts middleware"},
		{"prefix without a slash", func(r *backend.Router) { r.Group("api") }, "must begin with /"},
		{"prefix with a slash at the end", func(r *backend.Router) { r.Group("/api/") }, "without a slash at the end"},
		{"prefix with a method", func(r *backend.Router) { r.Group("GET /api") }, "without a method"},
		{"prefix with a rest", func(r *backend.Router) { r.Mount("/{a...}", echo()) }, "nothing can follow"},
		{"prefix with an end", func(r *backend.Router) { r.Mount("/a/{$}", echo()) }, "nothing can follow"},
		{"mounted on itself", func(r *backend.Router) { r.Group("/a").Mount("/b", r) }, "on itself"},
		{"group mounted", func(r *backend.Router) { backend.NewRouter().Mount("/b", r.Group("/a")) }, "a group cannot be mounted"},
		{"route after mounting", func(*backend.Router) { mounted.Handle("/late", echo()) }, "router_test.go"},
		{"middleware after mounting", func(*backend.Router) { mounted.Use(trace("late")) }, "register its routes and middleware before you mount it"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			text := panicText(func() { test.do(backend.NewRouter()) })
			require.Contains(t, text, test.want)
			require.True(t, strings.HasPrefix(text, "backend: "), text)
		})
	}
}

func panicText(f func()) (text string) {
	defer func() { text = fmt.Sprint(recover()) }()
	f()
	return
}

func TestRouterPanicsWhenMiddlewareReturnsNil(t *testing.T) {
	t.Parallel()
	r := backend.NewRouter()
	r.Use(func(http.Handler) http.Handler { return nil })
	require.Equal(t, "backend: middleware 0 returned a nil handler", panicText(func() { answer(r, "GET", "/") }))
}

// at notes the line it is called at, which is where the pattern is registered.
func at(place *string, pattern string) string {
	_, file, line, _ := runtime.Caller(1)
	*place = fmt.Sprintf("%s:%d", file, line)
	return pattern
}

func TestRouterNamesBothPlacesOfOnePattern(t *testing.T) {
	t.Parallel()
	var first, second string
	tests := []struct {
		name           string
		before, after  func(r *backend.Router)
		first, repeats string
	}{
		{"Handle",
			func(r *backend.Router) { r.Handle(at(&first, "GET /a/{x}"), echo()) },
			func(r *backend.Router) { r.Handle(at(&second, "GET /a/{y}"), echo()) },
			"GET /a/{x}", "GET /a/{y}"},
		{"HandleFunc",
			func(r *backend.Router) { r.HandleFunc(at(&first, "/a/{x...}"), echo()) },
			func(r *backend.Router) { r.HandleFunc(at(&second, "/a/"), echo()) },
			"/a/{x...}", "/a/"},
		{"Group",
			func(r *backend.Router) { r.Handle(at(&first, "/api/a"), echo()) },
			func(r *backend.Router) { r.Group("/api").Handle(at(&second, "/a"), echo()) },
			"/api/a", "/api/a"},
		{"Mount of a handler",
			func(r *backend.Router) { r.Handle(at(&first, "/m/"), echo()) },
			func(r *backend.Router) { r.Mount(at(&second, "/m"), echo()) },
			"/m/", "/m/"},
		{"Mount of a router",
			func(r *backend.Router) { r.Handle(at(&first, "/m/{a}"), echo()) },
			func(r *backend.Router) {
				inner := backend.NewRouter()
				inner.Handle(at(&second, "/{b}"), echo())
				r.Mount("/m", inner)
			},
			"/m/{a}", "/m/{b}"},
		{"encoded otherwise",
			func(r *backend.Router) { r.Handle(at(&first, "/%61"), echo()) },
			func(r *backend.Router) { r.Handle(at(&second, "/a"), echo()) },
			"/%61", "/a"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := backend.NewRouter()
			test.before(r)
			text := panicText(func() { test.after(r) })
			require.Contains(t, text, fmt.Sprintf("%q (registered at %s)", test.first, first))
			require.Contains(t, text, fmt.Sprintf("%q (registered at %s)", test.repeats, second))
			require.NotEqual(t, first, second)
		})
	}
}

func TestRouterListsRoutes(t *testing.T) {
	t.Parallel()
	r := backend.NewRouter()
	var first, second string
	r.Handle(at(&first, "GET /a/{x}"), echo())
	group := r.Group("/g")
	group.HandleFunc(at(&second, "/b/"), echo())
	want := []backend.RouteInfo{
		{Method: "GET", Pattern: "GET /a/{x}", Place: first},
		{Method: "", Pattern: "/g/b/", Place: second},
	}
	require.Equal(t, want, r.Routes())
	require.Equal(t, want, group.Routes())
}

func TestRouterConcurrentRegistrationAndServing(t *testing.T) {
	t.Parallel()
	r := backend.NewRouter()
	group := r.Group("/g", trace("g"))
	var wait sync.WaitGroup
	for worker := range 4 {
		wait.Go(func() {
			for i := range 50 {
				path := fmt.Sprintf("/%d/{x}/%d", worker, i)
				group.Handle("GET "+path, echo())
				w := answer(r, "GET", "/g"+strings.Replace(path, "{x}", "v", 1))
				if w.Body.String() != "GET /g"+path {
					t.Errorf("%s: %s", path, w.Body)
				}
				r.Use(trace("top"))
				group.Use(trace("late"))
				r.Routes()
			}
		})
	}
	wait.Wait()
	require.Len(t, r.Routes(), 200)
}

func TestRouterAllocations(t *testing.T) {
	if raceEnabled() {
		t.Skip("under the race detector sync.Pool forgets on purpose")
	}
	r := backend.NewRouter()
	served := 0
	nop := func(http.ResponseWriter, *http.Request) { served++ }
	r.HandleFunc("GET /static/path", nop)
	r.HandleFunc("GET /users/{id}/posts/{post}", nop)
	r.HandleFunc("GET /users/me/{x}", nop)
	r.HandleFunc("GET /files/", nop)
	budgets := map[string]float64{
		"/static/path":     0,
		"/files/a/b.css":   0,
		"/users/me/x":      2, // the map in which SetPathValue keeps values
		"/users/7/posts/8": 2,
	}
	requireBudgets(t, r, &served, budgets)
	r.TrailingSlash(backend.ServeSlash) // which costs nothing where the path matches
	requireBudgets(t, r, &served, budgets)
}

func requireBudgets(t *testing.T, r *backend.Router, served *int, budgets map[string]float64) {
	t.Helper()
	for path, budget := range budgets {
		req := httptest.NewRequest("GET", path, nil)
		fresh, w := *req, nothing{http.Header{}}
		*served = 0
		got := testing.AllocsPerRun(100, func() {
			*req = fresh
			r.ServeHTTP(w, req)
		})
		require.LessOrEqual(t, got, budget, path)
		require.Equal(t, 101, *served, "%s: a run to warm up, and a hundred", path)
	}
}

func TestRouterRegistersTenThousandRoutesInASecond(t *testing.T) {
	limit := time.Second
	if raceEnabled() {
		limit *= 10
	}
	start := time.Now()
	r := backend.NewRouter()
	for i := range 2000 {
		group := r.Group(fmt.Sprintf("/resource%d", i))
		group.HandleFunc("GET /all", echo())
		group.HandleFunc("GET /{id}", echo())
		group.HandleFunc("POST /{key}", echo())
		group.HandleFunc("GET /{id}/parts", echo())
		group.HandleFunc("GET /me/{part}", echo())
	}
	require.Equal(t, "GET /resource1999/{id}/parts", answer(r, "GET", "/resource1999/7/parts").Body.String())
	took := time.Since(start)
	t.Logf("10,000 routes and the first request: %v", took)
	require.Less(t, took, limit)
}

func TestRouterOverHTTP(t *testing.T) {
	t.Parallel()
	r := backend.NewRouter()
	r.HandleFunc("GET /hello/{name}", echo("name"))
	server := httptest.NewServer(r)
	defer server.Close()
	response, err := server.Client().Get(server.URL + "/hello/a%2Fb")
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Equal(t, `GET /hello/{name} name="a/b"`, string(body))
}

// raceEnabled reports whether the race detector slows this test down.
func raceEnabled() bool {
	info, _ := debug.ReadBuildInfo()
	return slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

// http.TimeoutHandler runs the router on another goroutine and goes on without
// it, so that nothing that the stack reads may be written there.
func TestRouterBehindTimeoutHandler(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	ended := make(chan struct{})
	r := backend.NewRouter()
	r.HandleFunc("GET /slow/{id}", func(http.ResponseWriter, *http.Request) {
		<-release
		close(ended)
	})
	logs := slog.New(slog.NewTextHandler(io.Discard, nil))
	h := backend.Stack(backend.StackConfig{Logger: logs})(http.TimeoutHandler(r, time.Millisecond, "slow"))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/slow/1", nil))
	close(release)
	<-ended
	require.Equal(t, http.StatusServiceUnavailable, w.Code)
}

// The router's own 404 and 405 can be replaced. Its middleware wraps them.
func TestRouterOwnResponses(t *testing.T) {
	t.Parallel()
	say := func(status int, text string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(status)
			fmt.Fprint(w, text, " ", r.Method, " ", r.URL.Path)
		})
	}
	r := backend.NewRouter()
	r.Use(trace("1"))
	r.Handle("GET /a", echo())
	r.Handle("POST /tree/", echo())
	require.Equal(t, 404, answer(r, "GET", "/no").Code)
	r.NotFound(say(404, "nothing")) // also after it has served
	r.MethodNotAllowed(say(405, "not so"))

	inner := backend.NewRouter()
	inner.Handle("GET /x", echo())
	inner.NotFound(say(410, "inner"))
	r.Mount("/inner", inner)

	for _, test := range []struct {
		method, path string
		status       int
		body, allow  string
	}{
		{"GET", "/no", 404, "nothing GET /no", ""},
		{"PURGE", "/no", 501, "", ""},
		{"GET", "/inner/no", 404, "nothing GET /inner/no", ""},
		{"DELETE", "/a", 405, "not so DELETE /a", "GET, HEAD, OPTIONS"},
		{"DELETE", "/tree/x", 405, "not so DELETE /tree/x", "OPTIONS, POST"},
		{"OPTIONS", "/a", 204, "", "GET, HEAD, OPTIONS"},
		{"GET", "/a", 200, "GET /a", ""},
		{"GET", "//", 400, "", ""},
	} {
		w := answer(r, test.method, test.path)
		require.Equal(t, test.status, w.Code, test.path)
		if test.body != "" {
			require.Equal(t, test.body, w.Body.String())
		}
		require.Equal(t, test.allow, w.Header().Get("Allow"))
		require.Equal(t, "1", traced(w))
	}
	require.Equal(t, "inner GET /no", answer(inner, "GET", "/no").Body.String(), "by itself")

	for want, f := range map[string]func(){
		"backend: NotFound: the handler is nil":                                         func() { backend.NewRouter().NotFound(nil) },
		"backend: MethodNotAllowed: the handler is nil":                                 func() { backend.NewRouter().MethodNotAllowed(http.HandlerFunc(nil)) },
		"backend: NotFound: the router has such a handler":                              func() { r.NotFound(say(404, "")) },
		"backend: NotFound: a group has no responses of its own: set it for its router": func() { r.Group("/g").NotFound(say(404, "")) },
	} {
		require.PanicsWithValue(t, want, f)
	}
	require.Panics(t, func() { inner.MethodNotAllowed(say(405, "")) }, "it is mounted")
}
