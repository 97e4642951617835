package route_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend/internal/route"
)

// muxAccepts reports whether http.ServeMux takes the pattern.
func muxAccepts(pattern string) (ok bool) {
	defer func() { ok = recover() == nil }()
	http.NewServeMux().Handle(pattern, http.NotFoundHandler())
	return
}

func TestParseAgreesWithServeMux(t *testing.T) {
	t.Parallel()
	for _, pattern := range []string{
		"/", "/a", "GET /a", "GET \t /a", "/{x}", "/{x}/{y}", "/{x...}", "/{$}", "/a/", "/a/{$}", "/é", "/{é}", "/{_1}", "/a}", "/%zz", "M-SEARCH /a",
		"", "a", "GET", " /a", "G(T /a", "/{", "/{}", "/{...}", "/{1}", "/{x", "/x}{", "/{x}a", "/a{x}", "/{x}/{x}", "/{x...}/", "/{$}/", "/{$}/a", "/{x...}/a", "/{$...}",
		"GET /a GET /b", "/a b",
	} {
		_, err := route.Parse(pattern)
		require.Equal(t, muxAccepts(pattern), err == nil, "%q: %v", pattern, err)
	}
}

func TestParseRefusesWhatNeverMatches(t *testing.T) {
	t.Parallel()
	for _, pattern := range []string{"//", "/a//b", "/a//", "//a", "/.", "/..", "/a/../b", "/a/./b", "/%2e%2e/", "/a%2f..", `/a\b`, "/%5c", "/%00", "/a\x00b"} {
		_, err := route.Parse(pattern)
		require.Error(t, err, "%q", pattern)
	}
	_, err := route.Parse("GET example.com/a")
	require.ErrorIs(t, err, route.ErrHost)
}

func TestKeyIdentifiesPatternsThatMatchTheSame(t *testing.T) {
	t.Parallel()
	tests := []struct {
		a, b string
		same bool
	}{
		{"/a/{x}", "/a/{y}", true},
		{"/a/", "/a/{rest...}", true},
		{"GET  /a", "GET /a", true},
		{"/%61", "/a", true},
		{"/a%2fb", "/a%2Fb", true},
		{"/a%2Fb", "/a/b", false},
		{"GET /a", "/a", false},
		{"GET /a", "HEAD /a", false},
		{"/a", "/a/", false},
		{"/a/", "/a/{$}", false},
		{"/a/{x}", "/a/{x...}", false},
		{"/%3Ap", "/{p}", false},
		{"/%2Ar", "/{r...}", false},
		{"/%3Ap", "/%3ap", true},
	}
	for _, test := range tests {
		a, err := route.Parse(test.a)
		require.NoError(t, err)
		b, err := route.Parse(test.b)
		require.NoError(t, err)
		require.Equal(t, test.same, a.Key() == b.Key(), "%s and %s", test.a, test.b)
	}
}

// FuzzParse checks that ServeMux accepts what Parse accepts, that what Parse
// refuses beyond ServeMux is what it says, and that httprouter takes the rest.
func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"/", "GET /a/{x}/{y...}", "/{$}", "/:p/*r", "/*", "/<int:id>", "/<>", "/:", "/a:b", "/{id:[0-9]+}", "/%3Ap", "/a%2Fb", "//", "/{x", "h/a", "/\\c", "/%00", "/../a"} {
		f.Add(pattern, "/a/b")
	}
	f.Fuzz(func(t *testing.T, pattern, path string) {
		p, err := route.Parse(pattern)
		if err != nil {
			more := errors.Is(err, route.ErrHost) || strings.Contains(err.Error(), "never match") || strings.Contains(err.Error(), "a wildcard of other routers")
			require.True(t, more || !muxAccepts(pattern), "%q: %v", pattern, err)
			return
		}
		require.True(t, muxAccepts(pattern), "%q", pattern)
		others := []string{"/{a}/{b}/{c...}", "/a/{$}", "/a/b", "/{x}/b/c"}
		patterns := []route.Pattern{p}
		for _, other := range others {
			o, err := route.Parse("OTHER " + other)
			require.NoError(t, err)
			patterns = append(patterns, o)
		}
		table := route.New(patterns)
		found := table.Find(http.MethodGet, &url.URL{Path: path}, nil)
		if found.Outcome == route.Found {
			require.Zero(t, found.Pattern)
			require.Len(t, found.Values, len(p.Names))
		}
	})
}

func TestFindRefusesPathsByUnescapedText(t *testing.T) {
	t.Parallel()
	table := tableOf(t, "/{rest...}")
	tests := []struct {
		path, rawPath string
		refused       bool
	}{
		{"/", "", false},
		{"", "", true},
		{"a", "", true},
		{"/a\x00b", "", true},
		{"/a/b", "/a%2Fb", false},
		{"/a/../b", "/a%2F..%2Fb", true},
		{"/a\x00/b", "/a%00%2Fb", true},
		{"/a\\/b", "/a%5C%2Fb", true},
		{"/a//b", "/a%2F%2Fb", false},
		{"//", "/%2F", false},
		{"/a//b", "/a//b", true},
		{"/a/b", "/contradicts%2FPath", false},
		{"/../b", "/contradicts%2FPath", true},
		{"a/b", "a%2Fb", true},
	}
	for _, test := range tests {
		got := table.Find(http.MethodGet, &url.URL{Path: test.path, RawPath: test.rawPath}, nil)
		require.Equal(t, test.refused, got.Outcome == route.Refused, "%q %q", test.path, test.rawPath)
	}
}

func TestFindKeepsNothingOfEarlierLookups(t *testing.T) {
	t.Parallel()
	table := tableOf(t, "GET /{a}/{b}/x", "GET /{a}", "POST /tree/{a}/")
	require.Equal(t, []string{"1", "2"}, table.Find("GET", parseURL(t, "/1/2/x"), nil).Values)
	require.Equal(t, []string{"3"}, table.Find("GET", parseURL(t, "/3"), nil).Values)
	require.Equal(t, route.Redirect, table.Find("POST", parseURL(t, "/tree/1"), nil).Outcome)
	require.Equal(t, route.Missing, table.Find("GET", parseURL(t, "/1/2"), nil).Outcome)
	require.Equal(t, []string{"before", "4"}, table.Find("GET", parseURL(t, "/4"), []string{"before"}).Values)
}

func TestFindAllocatesNothing(t *testing.T) {
	table := tableOf(t, "GET /a", "GET /users/{id}", "GET /users/me/{x}", "GET /users/{id}/{x}", "GET /files/{rest...}", "/tree/", "/", "GET /v1:x/{id}", "/w/{$}")
	values := make([]string, 8)
	for path, want := range map[string]route.Outcome{
		"/a": route.Found, "/users/7": route.Found, "/users/me/x": route.Found, "/users/7/x": route.Found, "/files/a/b/c": route.Found, "/w": route.Redirect,
		"/tree/a/b": route.Found, "/other/path": route.Found, "/users/%C3%A9": route.Found, "/v1": route.Found, "//": route.Refused,
	} {
		u := parseURL(t, path)
		require.Equal(t, want, table.Find("GET", u, nil).Outcome, path)
		for _, method := range []string{"GET", "HEAD", "POST"} {
			got := testing.AllocsPerRun(100, func() { table.Find(method, u, values[:0]) })
			require.Zero(t, got, "%s %s", method, path)
		}
	}
}

func TestFindServesTheBenchmarkSets(t *testing.T) {
	t.Parallel()
	for _, set := range []string{"static", "github", "gplus", "parse"} {
		routes := routeSet(t, set)
		patterns := make([]string, len(routes))
		for i, r := range routes {
			patterns[i] = r.pattern
		}
		table := tableOf(t, patterns...)
		for i, r := range routes {
			got := table.Find(r.method, r.url, nil)
			require.Equal(t, route.Found, got.Outcome, r.pattern)
			require.Equal(t, i, got.Pattern, r.pattern)
			require.Equal(t, colonParam.FindAllString(r.path, -1), got.Values, "the values are the names here")
		}
	}
}

// A segment is what a wildcard can have: IsSegment agrees with Find.
func FuzzIsSegment(f *testing.F) {
	table := tableOf(f, "GET /a/{x}")
	for _, s := range []string{"", "a", ".", "..", "a/b", "a/../b", "/..", "a\\b", "\x00", "a//", "%2e", "é ?#;"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		u, err := url.ParseRequestURI("/a/" + url.PathEscape(value))
		require.NoError(t, err)
		found := table.Find(http.MethodGet, u, nil)
		require.Equal(t, found.Outcome == route.Found, route.IsSegment(value), "%q", value)
		if found.Outcome == route.Found {
			require.Equal(t, []string{value}, found.Values)
		}
	})
}
