package backend_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
	"github.com/seed-215b9b7c/backend/backendtest"
)

// A separator that negates the next condition negates all of it.
func TestJoinedConditionsKeepTheirMeaning(t *testing.T) {
	t.Parallel()
	backendtest.EachDB(t, func(t *testing.T, db *backend.DB) {
		either, never := backend.SQL("1 = 2 OR 1 = 1"), backend.SQL("1 = 2")
		for separator, joined := range map[string]backend.Fragment{
			"AND NOT": backend.JoinSQL(" AND NOT ", backend.SQL("1 = 1"), either),
			"OR":      backend.JoinSQL(" OR ", never, backend.JoinSQL(" and not ", either, either)),
			"lines":   backend.JoinSQL("\nAND -- both\n", either, never),
		} {
			found, err := backend.All[int](t.Context(), db, "SELECT 1 WHERE ?", joined)
			require.NoError(t, err, separator)
			require.Empty(t, found, separator)
		}
	})
}

// A Fragment that is not an argument itself is an error, and not the text {}, which
// no row is equal to.
func TestFragmentsWithinArgumentsAreErrors(t *testing.T) {
	t.Parallel()
	backendtest.EachDB(t, func(t *testing.T, db *backend.DB) {
		f := backend.SQL("SELECT 'x'")
		pointer := &f
		for _, arg := range []any{
			[]any{f}, []*backend.Fragment{pointer}, [1]backend.Fragment{f}, [][]backend.Fragment{{f}}, &pointer,
			struct{ F backend.Fragment }{f}, map[string]any{"f": f}, backend.Some(f),
		} {
			_, err := backend.All[string](t.Context(), db, "SELECT 'x' WHERE 'x' NOT IN (?)", arg)
			require.ErrorContains(t, err, "join several with JoinSQL", "%T", arg)
			_, err = backend.All[string](t.Context(), db, "SELECT 'x' WHERE 'x' <> ?", arg)
			require.ErrorContains(t, err, "join several with JoinSQL", "%T", arg)
		}
	})
}
