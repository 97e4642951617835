package backend_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
)

var routeSets = []string{"static", "github", "gplus", "parse"}

var colonParam = regexp.MustCompile(`:(\w+)`)

// routeSet reads a list of routes in the notation of httprouter and returns
// their patterns, and a request to each.
func routeSet(t testing.TB, name string) (patterns []string, requests []*http.Request) {
	data, err := os.ReadFile("internal/route/testdata/routes-" + name + ".txt")
	require.NoError(t, err)
	for line := range strings.Lines(string(data)) {
		method, path, _ := strings.Cut(strings.TrimSpace(line), " ")
		pattern := method + " " + colonParam.ReplaceAllString(path, "{$1}")
		if strings.HasSuffix(path, "/") { // means this path only
			pattern += "{$}"
		}
		patterns = append(patterns, pattern)
		requests = append(requests, httptest.NewRequest(method, path, nil))
	}
	return patterns, requests
}

// nothing is a response that costs nothing.
type nothing struct{ header http.Header }

func (n nothing) Header() http.Header         { return n.header }
func (n nothing) Write(b []byte) (int, error) { return len(b), nil }
func (n nothing) WriteHeader(int)             {}

// muxer is what Router and http.ServeMux have in common.
type muxer interface {
	http.Handler
	HandleFunc(string, func(http.ResponseWriter, *http.Request))
}

// BenchmarkRouter serves every route of a set once per iteration.
func BenchmarkRouter(b *testing.B) {
	for _, set := range routeSets {
		patterns, _ := routeSet(b, set)
		for _, mux := range []muxer{backend.NewRouter(), http.NewServeMux()} {
			for _, pattern := range patterns {
				mux.HandleFunc(pattern, func(http.ResponseWriter, *http.Request) {})
			}
			b.Run(fmt.Sprintf("%s/%T", set, mux), func(b *testing.B) {
				_, requests := routeSet(b, set) // fresh: path values of earlier runs would be reused
				benchmarkPass(b, mux, requests)
			})
		}
	}
}

func benchmarkPass(b *testing.B, handler http.Handler, requests []*http.Request) {
	w := nothing{http.Header{}}
	fresh := make([]http.Request, len(requests))
	for i, r := range requests {
		fresh[i] = *r
	}
	b.ReportAllocs()
	for b.Loop() {
		for i, r := range requests {
			*r = fresh[i] // as the server hands it over: without path values
			handler.ServeHTTP(w, r)
		}
	}
}
