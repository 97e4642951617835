package route

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestLookupStaysFlat counts what a lookup costs, the number of trees it asks,
// instead of timing it: it depends on the kinds of conflicts, not on how many
// routes have them.
func TestLookupStaysFlat(t *testing.T) {
	t.Parallel()
	layers := func(resources int) int {
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
		return len(New(patterns).layers)
	}
	few, many := layers(1), layers(1000)
	t.Logf("trees: %d for 10 routes, %d for 10,000", few, many)
	require.Equal(t, few, many)
	require.LessOrEqual(t, many, 6)
}

func TestRoutesWithoutConflictsNeedOneTree(t *testing.T) {
	t.Parallel()
	var patterns []Pattern
	for _, pattern := range []string{"GET /a/{x}", "POST /a/{y}", "/a/{x}/b/{y}", "/b/", "/b/{$}", "/b", "/c/{x}/{rest...}", "/c/{x}"} {
		p, err := Parse(pattern)
		require.NoError(t, err)
		patterns = append(patterns, p)
	}
	require.Len(t, New(patterns).layers, 1)
}
