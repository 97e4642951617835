package route_test

import (
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend/internal/route"
)

var colonParam = regexp.MustCompile(`:(\w+)`)

type benchRoute struct {
	method, path, pattern string
	url                   *url.URL
}

func routeSet(t testing.TB, name string) (routes []benchRoute) {
	data, err := os.ReadFile("testdata/routes-" + name + ".txt")
	require.NoError(t, err)
	for line := range strings.Lines(string(data)) {
		method, path, _ := strings.Cut(strings.TrimSpace(line), " ")
		pattern := method + " " + colonParam.ReplaceAllString(path, "{$1}")
		if strings.HasSuffix(path, "/") { // means this path only
			pattern += "{$}"
		}
		routes = append(routes, benchRoute{method, path, pattern, parseURL(t, path)})
	}
	return routes
}

func tableOf(t testing.TB, patterns ...string) *route.Table {
	parsed := make([]route.Pattern, len(patterns))
	for i, pattern := range patterns {
		var err error
		parsed[i], err = route.Parse(pattern)
		require.NoError(t, err, pattern)
	}
	return route.New(parsed)
}

// BenchmarkFind looks up every route of a set once per iteration.
func BenchmarkFind(b *testing.B) {
	for _, set := range []string{"static", "github", "gplus", "parse"} {
		routes := routeSet(b, set)
		var patterns []string
		for _, r := range routes {
			patterns = append(patterns, r.pattern)
		}
		table := tableOf(b, patterns...)
		b.Run(set, func(b *testing.B) {
			b.ReportAllocs()
			values := make([]string, 8)
			for b.Loop() {
				for i := range routes {
					if table.Find(routes[i].method, routes[i].url, values[:0]).Outcome != route.Found {
						b.Fatal(routes[i].pattern)
					}
				}
			}
		})
	}
}
