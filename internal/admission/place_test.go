package admission_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend/internal/admission"
)

func enter(t *testing.T, gate *admission.Gate, client byte, outer *admission.Place) *admission.Place {
	t.Helper()
	p := &admission.Place{}
	require.NoError(t, p.Enter(t.Context(), gate, [16]byte{client}, outer))
	return p
}

func full(t *testing.T, gate *admission.Gate, client byte) bool {
	t.Helper()
	p := &admission.Place{}
	if p.Enter(t.Context(), gate, [16]byte{client}, nil) != nil {
		return true
	}
	p.Leave()
	return false
}

func TestPlaceIsForWork(t *testing.T) {
	t.Parallel()
	bubble(t, "away and back", func(t *testing.T) {
		gate := admission.NewGate(admission.Config{Places: 1, Wait: time.Second})
		a := enter(t, gate, 1, nil)
		require.True(t, full(t, gate, 2))
		a.Away()
		b := enter(t, gate, 2, nil)

		back := make(chan error)
		go func() { back <- a.Back(t.Context()) }()
		synctest.Wait()
		b.Leave() // a's turn
		require.NoError(t, <-back)
		require.True(t, full(t, gate, 2))

		a.Away()
		c := enter(t, gate, 2, nil)
		a.BackAtOnce() // one more than there are
		a.Leave()
		require.True(t, full(t, gate, 2))
		c.Leave()
		require.False(t, full(t, gate, 2))
	})
	bubble(t, "a context ends the way back", func(t *testing.T) {
		gate := admission.NewGate(admission.Config{Places: 1, Wait: time.Second})
		a := enter(t, gate, 1, nil)
		a.Away()
		b := enter(t, gate, 2, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, a.Back(ctx), context.DeadlineExceeded)
		a.Leave()
		require.True(t, full(t, gate, 3), "a gives nothing back that it does not have")
		b.Leave()
		require.False(t, full(t, gate, 3))
	})
	bubble(t, "two wait for the network", func(t *testing.T) {
		gate := admission.NewGate(admission.Config{Places: 1, Wait: time.Second})
		a := enter(t, gate, 1, nil)
		a.Away()
		a.Away()
		a.BackAtOnce()
		require.False(t, full(t, gate, 2), "the other one still waits")
		a.BackAtOnce()
		require.True(t, full(t, gate, 2))
		a.Leave()
	})
	bubble(t, "after the end", func(t *testing.T) {
		gate := admission.NewGate(admission.Config{Places: 1, Wait: time.Second, Streams: 1})
		a := enter(t, gate, 1, nil)
		a.Away()
		a.Leave()
		require.NoError(t, a.Back(t.Context()))
		a.BackAtOnce()
		require.True(t, a.Stream())
		require.False(t, full(t, gate, 2))
	})
	bubble(t, "inside another one", func(t *testing.T) {
		outer := admission.NewGate(admission.Config{Places: 1, Wait: time.Second, Streams: 1})
		inner := admission.NewGate(admission.Config{Places: 1, Wait: time.Second, Streams: 1})
		a := enter(t, outer, 1, nil)
		b := enter(t, inner, 1, a)
		b.Away()
		require.False(t, full(t, outer, 2))
		require.False(t, full(t, inner, 2))
		require.NoError(t, b.Back(t.Context()))
		require.True(t, full(t, outer, 2))
		require.True(t, full(t, inner, 2))
		require.True(t, b.Stream())
		require.False(t, full(t, outer, 2))
		require.False(t, full(t, inner, 2))
		b.Leave()
		a.Leave()
	})
	bubble(t, "none", func(t *testing.T) {
		var p *admission.Place
		p.Away()
		p.BackAtOnce()
		require.NoError(t, p.Back(t.Context()))
		require.True(t, p.Stream())
	})
}

func TestStreams(t *testing.T) {
	t.Parallel()
	bubble(t, "have a limit of their own", func(t *testing.T) {
		gate := admission.NewGate(admission.Config{Places: 1, Wait: time.Second, Streams: 2})
		a := enter(t, gate, 1, nil)
		require.True(t, a.Stream())
		require.True(t, a.Stream(), "it is one already")
		a.Away() // changes nothing
		a.BackAtOnce()
		b := enter(t, gate, 2, nil)
		require.True(t, b.Stream())
		c := enter(t, gate, 3, nil)
		require.False(t, c.Stream())
		require.True(t, full(t, gate, 4), "c still runs")
		a.Leave()
		require.True(t, c.Stream())
		b.Leave()
		c.Leave()
	})
}

// No client has more than three quarters of the places, of the queue and of the streams.
func TestShares(t *testing.T) {
	t.Parallel()
	bubble(t, "of everything", func(t *testing.T) {
		gate := admission.NewGate(admission.Config{Places: 8, Queue: 8, Wait: 2 * time.Second, Streams: 8, Shares: true})
		var streams []*admission.Place
		for range 6 {
			p := enter(t, gate, 1, nil)
			require.True(t, p.Stream())
			streams = append(streams, p)
		}
		greedy := enter(t, gate, 1, nil)
		require.False(t, greedy.Stream())
		other := enter(t, gate, 2, nil)
		require.True(t, other.Stream())
		for range 5 {
			enter(t, gate, 1, nil)
		}

		start := time.Now()
		require.True(t, full(t, gate, 1))
		require.Equal(t, 2*time.Second, time.Since(start), "it waits as if there were no place")
		start = time.Now()
		require.False(t, full(t, gate, 2))
		require.Zero(t, time.Since(start))

		got := make(chan error)
		for range 6 {
			go func() {
				p := &admission.Place{}
				got <- p.Enter(t.Context(), gate, [16]byte{1}, nil)
			}()
		}
		synctest.Wait()
		start = time.Now()
		require.True(t, full(t, gate, 1), "its part of the queue is full")
		require.Zero(t, time.Since(start))
		require.False(t, full(t, gate, 2), "another client overtakes those that wait for their own")
		greedy.Leave()
		require.NoError(t, <-got)
		for range 5 {
			require.ErrorIs(t, <-got, admission.ErrWait)
		}
		for _, p := range streams {
			p.Leave()
		}
	})
	bubble(t, "of few places", func(t *testing.T) {
		for places, most := range map[int]int{1: 1, 2: 2, 3: 3, 4: 3, 5: 4} {
			gate := admission.NewGate(admission.Config{Places: places, Wait: time.Second, Shares: true})
			for range most {
				enter(t, gate, 1, nil)
			}
			require.True(t, full(t, gate, 1), "%d places", places)
			require.Equal(t, places == most, full(t, gate, 2), "%d places", places)
		}
	})
	bubble(t, "of any number of clients", func(t *testing.T) {
		gate := admission.NewGate(admission.Config{Places: 4, Wait: time.Second, Shares: true})
		for range 3 {
			enter(t, gate, 1, nil)
		}
		for i := range 1 << 14 {
			p := &admission.Place{}
			require.NoError(t, p.Enter(t.Context(), gate, [16]byte{2, byte(i >> 8), byte(i)}, nil), "client %d", i)
			p.Leave()
		}
		require.Equal(t, 1, gate.Clients())
	})
}
