package pace_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend/internal/pace"
)

func TestBudget(t *testing.T) {
	t.Parallel()
	var b pace.Budget
	b.Reset(10 * time.Second)
	steps := []struct {
		waited time.Duration
		bytes  int64
		left   time.Duration
	}{
		{time.Second, 0, 9 * time.Second},
		{time.Second, pace.Floor - 1, 8 * time.Second},
		{0, 1, 9 * time.Second}, // what does not fill a second is kept
		{0, 1 << 62, 10 * time.Second},
		{12 * time.Second, 0, -2 * time.Second},
		{0, 3 * pace.Floor, time.Second},
	}
	for _, step := range steps {
		b.Spend(step.waited, step.bytes)
		require.Equal(t, step.left, b.Left())
	}
	require.Equal(t, 10*time.Second, b.Most())
}

// Whatever comes in whatever pieces, waiting for all of it takes at most the time of the
// budget and a second for each Floor bytes.
func FuzzBudget(f *testing.F) {
	f.Add(int64(5), uint16(100), uint16(1), uint8(200))
	f.Fuzz(func(t *testing.T, most int64, wait, bytes uint16, count uint8) {
		if most <= 0 || most > 1000 || wait == 0 {
			return
		}
		var b pace.Budget
		b.Reset(time.Duration(most) * time.Second)
		var waited time.Duration
		var sum int64
		for range count {
			if b.Left() <= 0 {
				break
			}
			step := min(time.Duration(wait)*time.Millisecond, b.Left())
			b.Spend(step, int64(bytes))
			waited, sum = waited+step, sum+int64(bytes)
			require.LessOrEqual(t, b.Left(), b.Most())
		}
		require.LessOrEqual(t, waited, b.Most()+time.Duration(sum/pace.Floor+1)*time.Second)
	})
}
