package backend_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
)

func TestRouterMountsRouters(t *testing.T) {
	t.Parallel()
	inner := backend.NewRouter()
	inner.Use(trace("inner"))
	inner.Handle("GET /{$}", echo())
	inner.Group("/g", trace("group")).Handle("GET /{id}", echo("tenant", "id"))

	middle := backend.NewRouter()
	middle.Use(trace("middle"))
	middle.Mount("/inner", inner)

	r := backend.NewRouter()
	r.Use(trace("top"))
	r.Group("/{tenant}", trace("outer")).Mount("/m", middle)
	r.Handle("GET /acme/m/inner/g/fixed", echo())

	w := answer(r, "GET", "/acme/m/inner/g/7")
	require.Equal(t, `GET /{tenant}/m/inner/g/{id} tenant="acme" id="7"`, w.Body.String())
	require.Equal(t, "top outer middle inner group", traced(w))
	require.Equal(t, "top", traced(answer(r, "GET", "/acme/m/inner/g/fixed")), "one table: the literal comes first")
	require.Equal(t, "/acme/m/inner/", answer(r, "GET", "/acme/m/inner").Header().Get("Location"))
	require.Equal(t, "top", traced(answer(r, "GET", "/acme/m/nothing")), "404 belongs to the router in front")
	require.Equal(t, "inner group", traced(answer(inner, "GET", "/g/7")), "it still serves on its own")

	var patterns []string
	for _, route := range r.Routes() {
		patterns = append(patterns, route.Pattern)
	}
	require.Equal(t, []string{"GET /{tenant}/m/inner/{$}", "GET /{tenant}/m/inner/g/{id}", "GET /acme/m/inner/g/fixed"}, patterns)
}

func TestRouterMountsHandlers(t *testing.T) {
	t.Parallel()
	show := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s path=%q escaped=%q tenant=%q", r.Pattern, r.URL.Path, r.URL.EscapedPath(), r.PathValue("tenant"))
	})
	r := backend.NewRouter()
	r.Mount("/files", show)
	r.Group("/t/{tenant}").Mount("/in", show)
	r.Handle("GET /files/own", echo())
	tests := []struct{ path, want string }{
		{"/files", `/files path="/" escaped="/" tenant=""`},
		{"/files/", `/files/ path="/" escaped="/" tenant=""`},
		{"/files/a/b", `/files/ path="/a/b" escaped="/a/b" tenant=""`},
		{"/files/a%2Fb/c", `/files/ path="/a/b/c" escaped="/a%2Fb/c" tenant=""`},
		{"/t/x%2Fy/in/a", `/t/{tenant}/in/ path="/a" escaped="/a" tenant="x/y"`},
		{"/t/x%2Fy/in", `/t/{tenant}/in path="/" escaped="/" tenant="x/y"`},
		{"/files/own", "GET /files/own"},
		{"/fi%6Ces/a", `/files/ path="/a" escaped="/a" tenant=""`},
	}
	for _, test := range tests {
		require.Equal(t, test.want, answer(r, "GET", test.path).Body.String(), test.path)
	}

	all := backend.NewRouter()
	all.Mount("/", show)
	require.Equal(t, `/ path="/a/b" escaped="/a/b" tenant=""`, answer(all, "GET", "/a/b").Body.String())
	require.Len(t, all.Routes(), 1)
}

func TestRouterMountKeepsPathValuesForServeMux(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /items/{item}", echo("tenant", "item"))
	r := backend.NewRouter()
	r.Mount("/t/{tenant}", mux)
	require.Equal(t, `GET /items/{item} tenant="acme" item="7"`, answer(r, "GET", "/t/acme/items/7").Body.String())
}

func TestRouterMountLeavesTheRequestAlone(t *testing.T) {
	t.Parallel()
	r := backend.NewRouter()
	r.Mount("/files", http.FileServerFS(fstest.MapFS{"a.txt": {Data: []byte("text")}}))
	var after string
	h := http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.ServeHTTP(w, req)
		after = req.URL.Path + " " + req.Pattern
	})
	require.Equal(t, "text", answer(h, "GET", "/files/a.txt").Body.String())
	require.Equal(t, "/files/a.txt /files/", after)
}

// The redirect to a subtree leads below the path that the client has sent, whatever
// the router sees of it.
func TestSubtreeRedirectsKeepThePrefix(t *testing.T) {
	t.Parallel()
	api := func() *backend.Router {
		r := backend.NewRouter()
		r.Handle("GET /items/", sayHello)
		r.Handle("GET /v/{id}/", sayHello)
		return r
	}
	noop := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { next.ServeHTTP(w, r) })
	}
	mount := func(h http.Handler) http.Handler {
		r := backend.NewRouter()
		r.Mount("/t/api", h)
		return r
	}
	for name, h := range map[string]http.Handler{
		"mounted":               mount(api()),
		"mounted in middleware": mount(noop(api())),
		"mounted in ours":       mount(backend.RequestID()(api())),
		"mounted twice": func() http.Handler {
			r := backend.NewRouter()
			inner := backend.NewRouter()
			inner.Mount("/api", noop(api()))
			r.Mount("/t", noop(inner))
			return r
		}(),
		"StripPrefix": http.StripPrefix("/t/api", api()),
		"StripPrefix in the router": func() http.Handler {
			r := backend.NewRouter()
			r.Handle("/t/api/", http.StripPrefix("/t/api", noop(api())))
			return r
		}(),
		"StripPrefix in a ServeMux": func() http.Handler {
			mux := http.NewServeMux()
			mux.Handle("/t/api/", http.StripPrefix("/t/api", api()))
			return mux
		}(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := mwServe(t, h)
			for path, want := range map[string]string{
				"/t/api/items":              "/t/api/items/",
				"/t/api/items?a=b&c=%20":    "/t/api/items/?a=b&c=%20",
				"/t/api/v/a:b":              "/t/api/v/a:b/",
				"/t/api/v/a%2Fb":            "/t/api/v/a%2Fb/",
				"/t/api/v/%C3%A9?x":         "/t/api/v/%C3%A9/?x",
				"/t/api/v/javascript:alert": "/t/api/v/javascript:alert/",
			} {
				client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
				response, err := client.Get(server.URL + path)
				require.NoError(t, err)
				response.Body.Close()
				require.Equal(t, 307, response.StatusCode, path)
				location, err := response.Location() // resolves it as clients do
				require.NoError(t, err)
				require.Equal(t, server.URL+want, location.String())
				response, err = http.Get(server.URL + path)
				require.NoError(t, err)
				response.Body.Close()
				require.Equal(t, 200, response.StatusCode)
			}
		})
	}
}

// The page of a mounted file server, and what browsers get of any handler, is at the
// prefix with a slash, so that relative links lead below it.
func TestMountRedirectsPagesToTheSlash(t *testing.T) {
	t.Parallel()
	files := fstest.MapFS{"index.html": {Data: []byte(`<a href="a.txt">`)}, "a.txt": {Data: []byte("text")}}
	const browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
	foreign := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { next.ServeHTTP(w, r) })
	}
	for _, test := range []struct {
		name           string
		h              http.Handler
		method, accept string
		status         int
	}{
		{"FileServerFS", http.FileServerFS(files), "GET", "", 307},
		{"FileServer", http.FileServer(http.FS(files)), "GET", "*/*", 307},
		{"HEAD", http.FileServerFS(files), "HEAD", "", 307},
		{"with our middleware", backend.Stack(backend.StackConfig{})(backend.Compress()(http.FileServerFS(files))), "GET", "", 307},
		{"with other middleware, browser", foreign(http.FileServerFS(files)), "GET", browser, 307},
		{"another handler, browser", sayHello, "GET", browser, 307},
		{"another handler", sayHello, "GET", "*/*", 200},
		{"another handler, JSON", sayHello, "GET", "application/json", 200},
		{"another handler, POST", sayHello, "POST", browser, 200},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for _, prefix := range []string{"/site", "/t/{tenant}/site"} {
				router := backend.NewRouter()
				router.Mount(prefix, test.h)
				outside := map[string]http.Handler{prefix: router}
				if prefix == "/site" {
					outside["/deep/site"] = http.StripPrefix("/deep", router)
				}
				for path, h := range outside {
					path = strings.ReplaceAll(path, "{tenant}", "a")
					r := httptest.NewRequest(test.method, path+"?q=1", nil)
					r.Header.Set("Accept", test.accept)
					w := httptest.NewRecorder()
					h.ServeHTTP(w, r)
					require.Equal(t, test.status, w.Code)
					if test.status == 307 {
						to, err := r.URL.Parse(w.Header().Get("Location"))
						require.NoError(t, err)
						require.Equal(t, path+"/?q=1", to.RequestURI())
					}
				}
			}
		})
	}
}
