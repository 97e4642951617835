package backend_test

import (
	"fmt"
	"io"
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
	file := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Last-Modified", "Mon, 02 Jan 2006 15:04:05 GMT")
			next.ServeHTTP(w, r)
		})
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
		{"with other middleware", foreign(http.FileServerFS(files)), "GET", "", 307},
		{"with other middleware, anything", foreign(http.FileServerFS(files)), "GET", "*/*", 307},
		{"with other middleware, JSON", foreign(http.FileServerFS(files)), "GET", "application/json", 307},
		{"with other middleware, HEAD", foreign(http.FileServerFS(files)), "HEAD", "", 307},
		{"with other and our middleware", foreign(backend.Stack(backend.StackConfig{})(http.FileServerFS(files))), "GET", "", 307},
		{"a file without a type", file(answers(0, "", "<!doctype html><p>")), "GET", "", 307},
		{"a file with a status and without a type", file(answers(200, "", "<!doctype html><p>")), "GET", "", 307},
		{"XHTML", file(answers(0, "application/xhtml+xml; charset=utf-8", "<html/>")), "GET", "", 307},
		{"text", file(answers(0, "text/plain", "<html>")), "GET", "", 200},
		{"a page of the program", answers(200, "text/html", "<p>"), "GET", "", 200},
		{"a page that is an error", file(answers(404, "text/html", "<p>")), "GET", "", 404},
		{"a page, POST", answers(200, "text/html", "<p>"), "POST", "", 200},
		{"text without a type", answers(201, "", "text"), "GET", "", 201},
		{"a status", answers(204, "", ""), "GET", "", 204},
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
						require.Empty(t, w.Body)
						for _, name := range []string{"Content-Type", "Last-Modified", "Etag", "Accept-Ranges", "X-Of-The-Page"} {
							require.NotContains(t, w.Header(), name)
						}
						to, err := r.URL.Parse(w.Header().Get("Location"))
						require.NoError(t, err)
						require.Equal(t, path+"/?q=1", to.RequestURI())
					}
				}
			}
		})
	}
}

// answers is a handler with one answer.
func answers(status int, contentType, body string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if contentType != "" {
			w.Header().Set("Content-Type", contentType)
		}
		w.Header().Set("X-Of-The-Page", "a")
		if status != 0 {
			w.WriteHeader(status)
		}
		io.WriteString(w, body)
	})
}

// What is no page passes the prefix of a mounted handler as it is: streams, and
// connections that are taken over.
func TestMountLeavesStreamsAlone(t *testing.T) {
	t.Parallel()
	goOn := make(chan struct{})
	router := backend.NewRouter()
	router.Mount("/events", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.(http.Flusher).Flush()
		<-goOn
		io.WriteString(w, "data: a\n\n")
	}))
	router.Mount("/socket", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusEarlyHints)
		conn, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: a\r\n\r\n")
			conn.Close()
		}
	}))
	server := httptest.NewServer(router)
	defer server.Close()
	response, err := http.Get(server.URL + "/events")
	require.NoError(t, err)
	require.Equal(t, 200, response.StatusCode)
	close(goOn)
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Equal(t, "data: a\n\n", string(body))
	response, err = http.Get(server.URL + "/socket")
	require.NoError(t, err)
	require.Equal(t, 101, response.StatusCode)
	response.Body.Close()
}
