package route

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// What a lookup costs depends on the literals beside wildcards on its way, and not on how
// many routes there are. It is counted and not timed.
func TestLookupStaysFlat(t *testing.T) {
	t.Parallel()
	steps := func(resources int, path string) int {
		var patterns []Pattern
		for i := range resources {
			for _, pattern := range []string{
				"GET /r%d", "GET /r%d/{id}", "POST /r%d/{id}", "GET /r%d/new", "GET /r%d/{id}/parts", "GET /r%d/me/{part}",
				"GET /r%d/", "GET /{tenant}/r%d", "GET /{tenant}/r%d/{id}", "GET /r%d/{id}/",
			} {
				p, err := Parse(fmt.Sprintf(pattern, i))
				require.NoError(t, err)
				patterns = append(patterns, p)
			}
		}
		s := search{method: "GET", pattern: none, redirect: none, named: make([]bool, len(patterns))}
		s.visit(&New(patterns).root, path)
		return s.steps
	}
	for _, path := range []string{"/r0", "/r0/7", "/r0/me/parts", "/r0/me/other/more", "/x/r0/7", "/r0/r0/r0/r0/r0", "/none"} {
		few, many := steps(1, path), steps(1000, path)
		require.Equal(t, few, many, path)
		require.LessOrEqual(t, many, 8, path)
	}
}
