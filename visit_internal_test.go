package backend

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// The budget of relations is one for all answers of a visit, also of calls that run
// side by side.
func TestVisitsHaveOneBudgetOfRelations(t *testing.T) {
	t.Parallel()
	var v visit
	var wait sync.WaitGroup
	for range 10 {
		wait.Go(func() {
			if err := v.spend(maxRelated / 10); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	require.Equal(t, Invalid, CodeOf(v.spend(1)))
}
