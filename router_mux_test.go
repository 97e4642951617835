package backend_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
)

// randomPattern makes patterns out of few words, so that they meet.
func randomPattern(g *rand.Rand) string {
	pick := func(words ...string) string { return words[g.IntN(len(words))] }
	method := pick("", "GET ", "GET ", "POST ", "HEAD ", "PUT ")
	path := ""
	for i := range g.IntN(5) {
		path += "/" + pick("a", "b", "c", "a:b", "%61", "x%2Fy", fmt.Sprintf("{w%d}", i), fmt.Sprintf("{v%d}", i))
	}
	path += pick("", "", "", "/", "/{$}", "/{rest...}")
	if path == "" {
		path = "/"
	}
	return method + path
}

func randomPath(g *rand.Rand) string {
	words := []string{"a", "b", "c", "a:b", "%61", "x%2Fy", "x%2fy", "other", "d%20e", "100%25"}
	path := ""
	for range g.IntN(6) {
		path += "/" + words[g.IntN(len(words))]
	}
	if path == "" || g.IntN(4) == 0 {
		path += "/"
	}
	return path
}

// wildcards returns the names in a pattern.
func wildcards(pattern string) (names []string) {
	for segment := range strings.SplitSeq(pattern, "/") {
		if name, ok := strings.CutPrefix(segment, "{"); ok && name != "$}" {
			names = append(names, strings.TrimSuffix(strings.TrimSuffix(name, "}"), "..."))
		}
	}
	return names
}

// TestRouterAgreesWithServeMux serves random requests with both, from pattern
// sets that ServeMux accepts.
func TestRouterAgreesWithServeMux(t *testing.T) {
	t.Parallel()
	const seed, sets = 20260102, 2000
	t.Logf("seed %d, %d sets", seed, sets)
	g := rand.New(rand.NewPCG(seed, 1))
	statuses := map[int]int{}
	for range sets {
		mux, router := http.NewServeMux(), backend.NewRouter()
		var patterns []string
		for range 1 + g.IntN(25) {
			pattern := randomPattern(g)
			handler := echo(wildcards(pattern)...)
			if !accepts(mux, pattern, handler) {
				continue
			}
			router.Handle(pattern, handler)
			patterns = append(patterns, pattern)
		}
		for range 30 {
			method, path := []string{"GET", "HEAD", "POST", "PUT", "DELETE"}[g.IntN(5)], randomPath(g)
			want, got := answer(mux, method, path), answer(router, method, path)
			about := []any{"%s %s among\n%s", method, path, strings.Join(patterns, "\n")}
			require.Equal(t, want.Code, got.Code, about...)
			statuses[want.Code]++
			switch want.Code {
			case http.StatusOK:
				require.Equal(t, want.Body.String(), got.Body.String(), about...)
			case http.StatusTemporaryRedirect:
				require.Equal(t, path+"/", got.Header().Get("Location"), about...)
				require.Equal(t, patternOf(mux, method, path), patternOf(router, method, path), about...)
			case http.StatusMethodNotAllowed:
				allow := strings.Split(got.Header().Get("Allow"), ", ")
				allow = slices.DeleteFunc(allow, func(method string) bool { return method == "OPTIONS" }) // which ServeMux does not answer
				require.Equal(t, want.Header().Get("Allow"), strings.Join(allow, ", "), about...)
			}
		}
	}
	t.Logf("statuses: %v", statuses)
	for _, status := range []int{200, 307, 404, 405} {
		require.Greater(t, statuses[status], 1000, "the sets must exercise every status")
	}
}

// accepts registers a pattern and reports whether the mux took it.
func accepts(mux *http.ServeMux, pattern string, handler http.Handler) (ok bool) {
	defer func() { ok = recover() == nil }()
	mux.Handle(pattern, handler)
	return
}

func patternOf(h http.Handler, method, path string) string {
	r := httptest.NewRequest(method, path, nil)
	h.ServeHTTP(httptest.NewRecorder(), r)
	return r.Pattern
}
