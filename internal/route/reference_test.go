package route_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend/internal/route"
)

// refPattern is a pattern read the slow and obvious way.
type refPattern struct {
	method   string
	segments []string // as written
	text     string
}

func refParse(pattern string) refPattern {
	method, path, found := strings.Cut(pattern, " ")
	if !found {
		method, path = "", pattern
	}
	return refPattern{method, strings.Split(path[1:], "/"), pattern}
}

// refMatch reports whether p matches the escaped path, what its wildcards hold,
// and whether a rest took up anything.
func refMatch(p refPattern, path string) (values []string, whole, ok bool) {
	segments := strings.Split(path[1:], "/")
	for i, want := range p.segments {
		switch {
		case want == "" || strings.HasSuffix(want, "...}"):
			if i >= len(segments) {
				return nil, false, false
			}
			left := strings.Join(segments[i:], "/")
			if want != "" {
				values = append(values, unescape(left))
			}
			return values, left == "", true
		case i >= len(segments):
			return nil, false, false
		case want == "{$}":
			return values, true, segments[i] == "" && i == len(segments)-1
		case strings.HasPrefix(want, "{"):
			if segments[i] == "" {
				return nil, false, false
			}
			values = append(values, unescape(segments[i]))
		case unescape(want) != unescape(segments[i]):
			return nil, false, false
		}
	}
	return values, true, len(segments) == len(p.segments)
}

func unescape(s string) string {
	plain, err := url.PathUnescape(s)
	if err != nil {
		return s
	}
	return plain
}

// refCompare orders two patterns that match the same path.
func refCompare(a, b refPattern) int {
	generality := func(segment string) int {
		switch {
		case segment == "" || strings.HasSuffix(segment, "...}"):
			return 2
		case segment == "{$}" || !strings.HasPrefix(segment, "{"):
			return 0
		}
		return 1
	}
	for i := range min(len(a.segments), len(b.segments)) {
		if d := generality(a.segments[i]) - generality(b.segments[i]); d != 0 {
			return d
		}
	}
	specific := func(method string) int {
		return map[string]int{"": 2, "GET": 1}[method]
	}
	return specific(a.method) - specific(b.method)
}

func refAccepts(p refPattern, method string) bool {
	switch p.method {
	case method:
		return true
	case "":
		return method != "TRACE" && method != "CONNECT"
	}
	return p.method == "GET" && method == "HEAD"
}

// refFind looks at every pattern.
func refFind(patterns []refPattern, method, path string) (outcome route.Outcome, pattern string, values []string) {
	best := func(path string) (winner *refPattern, values []string, whole bool) {
		for i, p := range patterns {
			v, w, ok := refMatch(p, path)
			if ok && refAccepts(p, method) && (winner == nil || refCompare(p, *winner) < 0) {
				winner, values, whole = &patterns[i], v, w
			}
		}
		return winner, values, whole
	}
	p, values, whole := best(path)
	if !whole && !strings.HasSuffix(path, "/") {
		if subtree, _, whole := best(path + "/"); subtree != nil && whole {
			return route.Redirect, subtree.text, nil
		}
	}
	if p == nil {
		return route.Missing, "", nil
	}
	return route.Found, p.text, values
}

func refAllowed(patterns []refPattern, path string) []string {
	allowed := map[string]bool{}
	for _, p := range patterns {
		_, _, ok := refMatch(p, path)
		if _, whole, subtree := refMatch(p, path+"/"); !strings.HasSuffix(path, "/") && subtree && whole {
			ok = true
		}
		if !ok {
			continue
		}
		allowed["OPTIONS"] = true
		switch p.method {
		case "":
			for _, method := range []string{"DELETE", "GET", "HEAD", "PATCH", "POST", "PUT"} {
				allowed[method] = true
			}
		case "GET":
			allowed["GET"], allowed["HEAD"] = true, true
		default:
			allowed[p.method] = true
		}
	}
	var sorted []string
	for method := range allowed {
		sorted = append(sorted, method)
	}
	slices.Sort(sorted)
	return sorted
}

// generator makes patterns and paths out of few words, so that they meet.
type generator struct{ *rand.Rand }

func (g generator) pick(words ...string) string { return words[g.IntN(len(words))] }

func (g generator) pattern() string {
	method := g.pick("", "GET ", "GET ", "POST ", "HEAD ", "PUT ", "TRACE ", "PURGE ")
	path := ""
	for i := range g.IntN(5) {
		path += "/" + g.pick("a", "b", "ab", "{x}", "{x}", "a:b", "%3Aa", "c*", "%61", "a%2Fb", "é", "100%25")
		path = strings.Replace(path, "{x}", fmt.Sprintf("{x%d}", i), 1)
	}
	end := g.pick("", "", "", "/", "/{$}", "/{rest...}")
	if path+end == "" {
		end = "/"
	}
	return method + path + end
}

func (g generator) path() string {
	path := ""
	for range g.IntN(6) {
		path += "/" + g.pick("a", "b", "ab", "a:b", ":a", "c*", "%61", "a%2Fb", "a%2fb", "%C3%A9", "100%25", "other", ":p", "*r")
	}
	if path == "" || g.IntN(4) == 0 {
		path += "/"
	}
	return path
}

// patterns returns up to n patterns no two of which are the same.
func (g generator) patterns(n int) (texts []string, parsed []route.Pattern) {
	seen := map[string]bool{}
	for range n {
		text := g.pattern()
		p, err := route.Parse(text)
		if err != nil {
			panic(fmt.Sprintf("%q: %v", text, err))
		}
		if !seen[p.Key()] {
			seen[p.Key()] = true
			texts, parsed = append(texts, text), append(parsed, p)
		}
	}
	return texts, parsed
}

func parseURL(t testing.TB, path string) *url.URL {
	u, err := url.ParseRequestURI(path)
	require.NoError(t, err)
	return u
}

func TestFindAgreesWithBruteForce(t *testing.T) {
	t.Parallel()
	const seed, sets = 20260101, 4000
	t.Logf("seed %d, %d sets", seed, sets)
	g := generator{rand.New(rand.NewPCG(seed, 1))}
	outcomes := map[route.Outcome]int{}
	for range sets {
		texts, parsed := g.patterns(1 + g.IntN(40))
		table := route.New(parsed)
		var reference []refPattern
		for _, text := range texts {
			reference = append(reference, refParse(text))
		}
		for range 15 {
			method, path := g.pick("GET", "HEAD", "POST", "PUT", "TRACE", "CONNECT", "OPTIONS", "PURGE", "OTHER"), g.path()
			outcome, pattern, values := refFind(reference, method, path)
			got := table.Find(method, parseURL(t, path), nil)
			outcomes[outcome]++
			about := []any{"%s %s among\n%s", method, path, strings.Join(texts, "\n")}
			require.Equal(t, outcome, got.Outcome, about...)
			if outcome != route.Missing {
				require.Equal(t, pattern, texts[got.Pattern], about...)
			}
			require.Equal(t, values, got.Values, about...)
			require.Equal(t, refAllowed(reference, path), table.Allowed(parseURL(t, path)), about...)
		}
	}
	t.Logf("outcomes: %v", outcomes)
	for _, outcome := range []route.Outcome{route.Missing, route.Found, route.Redirect} {
		require.Greater(t, outcomes[outcome], 500, "the sets must exercise every outcome")
	}
}

func TestFindIgnoresTheOrderOfPatterns(t *testing.T) {
	t.Parallel()
	g := generator{rand.New(rand.NewPCG(7, 7))}
	for range 300 {
		texts, parsed := g.patterns(30)
		table := route.New(parsed)
		order := g.Perm(len(parsed))
		shuffled := make([]route.Pattern, len(parsed))
		for i, from := range order {
			shuffled[i] = parsed[from]
		}
		other := route.New(shuffled)
		for range 30 {
			u := parseURL(t, g.path())
			a, b := table.Find(http.MethodGet, u, nil), other.Find(http.MethodGet, u, nil)
			require.Equal(t, a.Outcome, b.Outcome)
			if a.Outcome != route.Missing {
				require.Equal(t, texts[a.Pattern], texts[order[b.Pattern]])
			}
		}
	}
}
