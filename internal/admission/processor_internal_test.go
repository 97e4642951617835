package admission

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// simulate runs windows in which places goroutines compute beside others, and each waits
// for those before it on two processors, 10 ms for each.
func simulate(c *control, windows, others int, demand func(places int) int) {
	for range windows {
		ready := demand(c.places) + others
		c.after(time.Duration(max(0, ready-2)/2) * 10 * time.Millisecond)
	}
}

func compute(places int) int { return places }

func wait(int) int { return 0 }

func TestControl(t *testing.T) {
	t.Parallel()
	t.Run("computing", func(t *testing.T) {
		t.Parallel()
		c := newControl(256, 4)
		simulate(&c, 10, 0, compute) // one second
		for range 100 {
			simulate(&c, 1, 0, compute)
			require.GreaterOrEqual(t, c.places, 4)
			require.LessOrEqual(t, c.places, 12)
		}
		simulate(&c, 15, 0, wait)
		require.Equal(t, 256, c.places, "after the overload")
	})
	t.Run("waiting", func(t *testing.T) {
		t.Parallel()
		c := newControl(256, 4)
		simulate(&c, 100, 0, wait)
		require.Equal(t, 256, c.places)
	})
	t.Run("something else computes", func(t *testing.T) {
		t.Parallel()
		c := newControl(256, 4)
		simulate(&c, 60, 16, wait)
		require.Equal(t, 256, c.places, "the requests are not refused for it")
		simulate(&c, 20, 16, compute)
		require.Less(t, c.places, 40, "they are for what they do themselves")
		simulate(&c, 20, 0, wait)
		simulate(&c, 20, 0, compute)
		require.LessOrEqual(t, c.places, 12, "the target is the old one")
	})
	t.Run("few places", func(t *testing.T) {
		t.Parallel()
		c := newControl(3, 4)
		simulate(&c, 50, 50, compute)
		require.Equal(t, 3, c.places)
	})
}

func TestRefusalsAreDelayed(t *testing.T) {
	t.Parallel()
	gate := NewGate(Config{Places: 100, Queue: 1, Wait: time.Second})
	p := NewProcessor(gate)
	now := time.Now()
	for range 100_000 {
		require.Zero(t, p.refusal(now), "no processor is short")
	}
	p.control.places = 4
	var delays []time.Duration
	for range 100_000 {
		delays = append(delays, p.refusal(now))
	}
	require.Zero(t, delays[0])
	require.Zero(t, delays[49])
	for i := range delays[1:] {
		require.GreaterOrEqual(t, delays[i+1], delays[i])
	}
	require.Equal(t, refusalDelay, delays[99_999])
	require.Zero(t, p.refusal(now.Add(time.Minute)))
}
