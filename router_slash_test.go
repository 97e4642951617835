package backend_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
)

var slashModes = []backend.SlashMode{backend.StrictSlash, backend.RedirectSlash, backend.ServeSlash}

func ExampleRouter_TrailingSlash() {
	r := backend.NewRouter()
	r.TrailingSlash(backend.RedirectSlash)
	r.HandleFunc("GET /notes", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "all notes")
	})

	w := httptest.NewRecorder()
	r.ServeHTTP(w, httptest.NewRequest("GET", "/notes/?page=2", nil))
	fmt.Println(w.Code, w.Header().Get("Location"))
	show(r, "GET", "/notes")
	// Output:
	// 308 /notes?page=2
	// 200 all notes
}

func TestTrailingSlash(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, patterns, method, path string
		strict, redirect, serve      string // status, and Location or body
	}{
		{"too many", "GET /notes", "GET", "/notes/", "404", "308 /notes", "200 GET /notes"},
		{"too few", "GET /notes/{$}", "GET", "/notes", "307 /notes/", "308 /notes/", "200 GET /notes/{$}"},
		{"the path itself", "GET /notes, GET /notes/{$}", "GET", "/notes/", "200 GET /notes/{$}", "200 GET /notes/{$}", "200 GET /notes/{$}"},
		{"wildcard", "GET /{x}", "GET", "/a%2Fb/", "404", "308 /a%2Fb", `200 GET /{x} x="a/b"`},
		{"an encoded slash is none", "GET /{x}", "GET", "/a%2F", `200 GET /{x} x="a/"`, `200 GET /{x} x="a/"`, `200 GET /{x} x="a/"`},
		{"an encoded slash, and one", "GET /{x}", "GET", "/a%2f/", "404", "308 /a%2f", `200 GET /{x} x="a/"`},
		{"the root", "GET /{$}", "GET", "/", "200 GET /{$}", "200 GET /{$}", "200 GET /{$}"},
		{"no root", "GET /a", "GET", "/", "404", "404", "404"},
		{"subtree", "GET /tree/", "GET", "/tree", "307 /tree/", "308 /tree/", "200 GET /tree/"},
		{"named subtree", "GET /tree/{x...}", "GET", "/tree", "307 /tree/", "308 /tree/", `200 GET /tree/{x...} x=""`},
		{"within a subtree", "GET /tree/{x...}", "GET", "/tree/a/", `200 GET /tree/{x...} x="a/"`, `200 GET /tree/{x...} x="a/"`, `200 GET /tree/{x...} x="a/"`},
		{"before a larger subtree", "GET /, GET /notes", "GET", "/notes/", "200 GET /", "308 /notes", "200 GET /notes"},
		{"not before a subtree that precedes", "GET /a/{x...}, GET /{x}/b", "GET", "/a/b/", `200 GET /a/{x...} x="b/"`, `200 GET /a/{x...} x="b/"`, `200 GET /a/{x...} x="b/"`},
		{"subtree and path", "GET /tree, GET /tree/", "GET", "/tree/", "200 GET /tree/", "200 GET /tree/", "200 GET /tree/"},
		{"POST", "POST /notes", "POST", "/notes/", "404", "308 /notes", "200 POST /notes"},
		{"HEAD", "GET /notes", "HEAD", "/notes/", "404", "308 /notes", "200 GET /notes"},
		{"the method is at the other path", "GET /notes/{$}, POST /notes", "POST", "/notes/", "405 GET, HEAD, OPTIONS", "308 /notes", "200 POST /notes"},
		{"another method", "GET /notes", "POST", "/notes/", "404", "405 GET, HEAD, OPTIONS", "405 GET, HEAD, OPTIONS"},
		{"methods of both paths", "GET /notes, PUT /notes/{$}", "DELETE", "/notes/", "405 OPTIONS, PUT", "405 GET, HEAD, OPTIONS, PUT", "405 GET, HEAD, OPTIONS, PUT"},
		{"methods of both paths, without the slash", "GET /notes, PUT /notes/{$}", "DELETE", "/notes", "405 GET, HEAD, OPTIONS, PUT", "405 GET, HEAD, OPTIONS, PUT", "405 GET, HEAD, OPTIONS, PUT"},
		{"OPTIONS", "GET /notes", "OPTIONS", "/notes/", "404", "204 GET, HEAD, OPTIONS", "204 GET, HEAD, OPTIONS"},
		{"unknown method", "GET /notes", "BREW", "/notes/", "501", "501 GET, HEAD, OPTIONS", "501 GET, HEAD, OPTIONS"},
		{"another host", "GET /{x}", "GET", "//evil.example/", "400", "400", "400"},
		{"another host, with a backslash", "GET /{x}", "GET", "/%5Cevil.example/", "400", "400", "400"},
		{"two slashes", "GET /notes", "GET", "/notes//", "400", "400", "400"},
		{"absolute form", "GET /notes", "GET", "http://evil.example/notes/", "404", "308 /notes", "200 GET /notes"},
		{"query", "GET /notes", "GET", "/notes/?a=b/&c=//d", "404", "308 /notes?a=b/&c=//d", "200 GET /notes"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for i, want := range []string{test.strict, test.redirect, test.serve} {
				r := backend.NewRouter()
				r.TrailingSlash(slashModes[i])
				for pattern := range strings.SplitSeq(test.patterns, ", ") {
					r.Handle(pattern, echo(wildcards(pattern)...))
				}
				w := answer(r, test.method, test.path)
				require.Equal(t, want, summary(w), "mode %d", slashModes[i])
				if w.Code != 200 {
					requireClosed(t, w.Header())
				}
			}
		})
	}
}

// summary returns the status, and Location, Allow or the body.
func summary(w *httptest.ResponseRecorder) string {
	more := w.Header().Get("Location") + w.Header().Get("Allow")
	if w.Code == 200 {
		more = w.Body.String()
	}
	return strings.TrimSpace(fmt.Sprint(w.Code, " ", more))
}

// TestTrailingSlashAgreesWithStrict compares the modes with a strict router for random
// patterns: the answer is that of the path itself or of the other path, whichever matches.
func TestTrailingSlashAgreesWithStrict(t *testing.T) {
	t.Parallel()
	const seed, sets = 20260103, 500
	t.Logf("seed %d, %d sets", seed, sets)
	g := rand.New(rand.NewPCG(seed, 1))
	others := 0
	for range sets {
		routers := map[backend.SlashMode]*backend.Router{}
		for _, mode := range slashModes {
			routers[mode] = backend.NewRouter()
			routers[mode].TrailingSlash(mode)
		}
		var patterns []string
		for range 1 + g.IntN(25) {
			pattern := randomPattern(g)
			if panicText(func() { routers[backend.StrictSlash].Handle(pattern, echo(wildcards(pattern)...)) }) != "<nil>" {
				continue
			}
			routers[backend.RedirectSlash].Handle(pattern, echo(wildcards(pattern)...))
			routers[backend.ServeSlash].Handle(pattern, echo(wildcards(pattern)...))
			patterns = append(patterns, pattern)
		}
		for range 20 {
			method, path := []string{"GET", "HEAD", "POST", "PUT"}[g.IntN(4)], randomPath(g)
			about := []any{"%s %s among\n%s", method, path, strings.Join(patterns, "\n")}
			strict := routers[backend.StrictSlash]
			self := answer(strict, method, path)
			redirected, served := answer(routers[backend.RedirectSlash], method, path), answer(routers[backend.ServeSlash], method, path)
			other := path + "/"
			if strings.HasSuffix(path, "/") {
				other = strings.TrimSuffix(path, "/")
			}
			there := httptest.NewRecorder()
			there.Code = 404
			if other != "" {
				there = answer(strict, method, other)
			}
			selfMatches := self.Code == 200 && isWhole(patternOf(strict, method, path), path)
			if selfMatches || there.Code != 200 || !isWhole(patternOf(strict, method, other), other) {
				want := self.Code
				if want == 404 && there.Code == 405 {
					want = 405 // Allow has the methods of both
				}
				require.Equal(t, want, redirected.Code, about...)
				require.Equal(t, want, served.Code, about...)
				if self.Code == 200 {
					require.Equal(t, self.Body.String(), redirected.Body.String(), about...)
					require.Equal(t, self.Body.String(), served.Body.String(), about...)
				}
				continue
			}
			others++
			require.Equal(t, fmt.Sprint("308 ", other), summary(redirected), about...)
			require.Equal(t, there.Body.String(), served.Body.String(), about...)
			require.Equal(t, 200, answer(routers[backend.RedirectSlash], method, other).Code, "a redirect leads to no other")
		}
	}
	require.Greater(t, others, 300)
}

// isWhole reports whether a pattern that matches a path does so without a rest.
func isWhole(pattern, path string) bool {
	if !strings.HasSuffix(pattern, "/") && !strings.HasSuffix(pattern, "...}") {
		return true
	}
	return strings.HasSuffix(path, "/") && strings.Count(pattern, "/") == strings.Count(path, "/")
}

// The handler in the mode ServeSlash sees the path of its pattern, so that handlers which
// look at the path work.
func TestServeSlashChangesThePath(t *testing.T) {
	t.Parallel()
	var outer string
	seen := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.URL, " ", r.RequestURI) })
	r := backend.NewRouter()
	r.TrailingSlash(backend.ServeSlash)
	r.Use(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(w, r)
			outer = r.URL.Path + " " + r.Pattern
		})
	})
	r.Handle("GET /notes", seen)
	r.Handle("GET /{x}/y", seen)
	r.Handle("GET /files/", http.StripPrefix("/files/", seen))
	require.Equal(t, "/notes?a=/ /notes?a=/", answer(r, "GET", "/notes/?a=/").Body.String())
	require.Equal(t, "/notes/ GET /notes", outer, "middleware around the router sees what was sent")
	require.Equal(t, "/a%2Fb/y /a%2Fb/y", answer(r, "GET", "/a%2Fb/y/").Body.String())
	require.Equal(t, "200  /files/", summary(answer(r, "GET", "/files"))[:12])
	stripped := http.StripPrefix("/m", r)
	require.Equal(t, "/notes?q /m/notes?q", answer(stripped, "GET", "/m/notes/?q").Body.String())
}

func TestServeSlashRedirectsBrowsersToSubtrees(t *testing.T) {
	t.Parallel()
	r := routerOf("/tree/", "GET /notes")
	r.TrailingSlash(backend.ServeSlash)
	for _, test := range []struct{ method, path, want string }{
		{"GET", "/tree?a", "307 /tree/?a"},
		{"POST", "/tree", "200 /tree/"},
		{"GET", "/notes/", "200 GET /notes"},
	} {
		req := httptest.NewRequest(test.method, test.path, nil)
		req.Header.Set("Accept", "text/html,*/*;q=0.8")
		w := httptest.NewRecorder()
		r.ServeHTTP(w, req)
		require.Equal(t, test.want, summary(w))
	}
}

func TestTrailingSlashReachesGroupsAndMounts(t *testing.T) {
	t.Parallel()
	type created struct {
		ID int64 `json:"id"`
	}
	logic := backend.NewLogic(nil, nil, backend.LogicConfig{})
	logic.Add(
		backend.Query("note", backend.Public, func(_ context.Context, in created) (created, error) { return in, nil }, backend.Route("GET /notes/{id}")),
		backend.Mutation("createNote", backend.Public, func(context.Context, backend.None) (created, error) { return created{7}, nil },
			backend.Route("POST /notes"), backend.OutsideTx()),
	)
	inner := backend.NewRouter()
	inner.Handle("GET /x", echo())
	r := backend.NewRouter()
	r.TrailingSlash(backend.ServeSlash)
	r.Group("/group", trace("g")).Handle("GET /x", echo())
	r.Mount("/inner", inner)
	r.Mount("/foreign", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.URL) }))
	r.Mount("/api", logic.REST())

	w := answer(r, "GET", "/group/x/")
	require.Equal(t, "200 GET /group/x", summary(w))
	require.Equal(t, "g", traced(w))
	require.Equal(t, "200 GET /inner/x", summary(answer(r, "GET", "/inner/x/")))
	require.Equal(t, "404", summary(answer(inner, "GET", "/x/")), "by itself")
	require.Equal(t, "200 /", summary(answer(r, "GET", "/foreign")))
	require.Equal(t, "200 /x/", summary(answer(r, "GET", "/foreign/x/")))
	require.Equal(t, `200 {"id":3}`, summary(answer(r, "GET", "/api/notes/3/")))
	w = answer(r, "POST", "/api/notes/")
	require.Equal(t, 201, w.Code)
	require.Equal(t, "/api/notes/7", w.Header().Get("Location"))
	require.Equal(t, "405 OPTIONS, POST", summary(answer(r, "GET", "/api/notes/")))
}

func TestTrailingSlashAndPreflights(t *testing.T) {
	t.Parallel()
	const origin = "https://spa.example"
	for i, want := range []int{404, 204, 204} {
		r := backend.NewRouter()
		r.TrailingSlash(slashModes[i])
		api := r.Group("/api", backend.CORS(backend.CORSConfig{Origins: []string{origin}}))
		api.Handle("PUT /notes", echo())
		req := httptest.NewRequest("OPTIONS", "/api/notes/", nil)
		req.Header.Set("Origin", origin)
		req.Header.Set("Access-Control-Request-Method", "PUT")
		w := httptest.NewRecorder()
		r.ServeHTTP(w, req)
		require.Equal(t, want, w.Code)
		allowed := map[backend.SlashMode]string{backend.ServeSlash: origin}[slashModes[i]]
		require.Equal(t, allowed, w.Header().Get("Access-Control-Allow-Origin"), "no handler of the group answers a redirected path")
	}
}

func TestTrailingSlashPanicsOnWrongWiring(t *testing.T) {
	t.Parallel()
	mounted := backend.NewRouter()
	backend.NewRouter().Mount("/m", mounted)
	twice := backend.NewRouter()
	twice.TrailingSlash(backend.StrictSlash)
	for want, f := range map[string]func(){
		"there is no mode 7: use StrictSlash, RedirectSlash or ServeSlash": func() { backend.NewRouter().TrailingSlash(7) },
		"a group has no mode of its own: set it for its router":            func() { backend.NewRouter().Group("/g").TrailingSlash(backend.ServeSlash) },
		"router_slash_test.go:":                                  func() { twice.TrailingSlash(backend.ServeSlash) },
		"register its routes and middleware before you mount it": func() { mounted.TrailingSlash(backend.ServeSlash) },
	} {
		text := panicText(f)
		require.True(t, strings.HasPrefix(text, "backend: TrailingSlash: "), text)
		require.Contains(t, text, want)
	}
}
