package backend_test

import (
	"fmt"
	"net/http"
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
