package admission

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// delayOf is how long a goroutine waits for those before it on two processors, 10 ms for each.
func delayOf(ready int) time.Duration {
	return time.Duration(max(0, ready-2)/2) * 10 * time.Millisecond
}

// simulate runs windows in which all places are used and requests wait for more. Of the
// requests that have a place, demand compute, beside others.
func simulate(c *control, windows, others int, demand func(places int) int) {
	for range windows {
		for c.doubles() && delayOf(demand(c.places)+others) <= c.target/2 {
			c.double()
		}
		c.after(delayOf(demand(c.places)+others), c.places, true)
	}
}

func compute(places int) int { return places }

func wait(int) int { return 0 }

func TestControl(t *testing.T) {
	t.Parallel()
	t.Run("computing", func(t *testing.T) {
		t.Parallel()
		c := newControl(256, 2)
		for range 100 {
			simulate(&c, 1, 0, compute)
			require.GreaterOrEqual(t, c.places, 4)
			require.LessOrEqual(t, c.places, 12, "also at first")
		}
		require.True(t, c.short)
		simulate(&c, 15, 0, wait)
		require.Equal(t, 256, c.places, "after the overload")
		require.False(t, c.short)
	})
	t.Run("waiting", func(t *testing.T) {
		t.Parallel()
		c := newControl(256, 2)
		require.Equal(t, 8, c.places)
		for range 100 {
			simulate(&c, 1, 0, wait)
			require.Equal(t, 256, c.places)
		}
	})
	t.Run("waiting, and then computing", func(t *testing.T) {
		t.Parallel()
		c := newControl(256, 2)
		simulate(&c, 10, 0, wait)
		simulate(&c, 6, 0, compute)
		require.LessOrEqual(t, c.places, 12)
	})
	t.Run("few requests", func(t *testing.T) {
		t.Parallel()
		c := newControl(256, 2)
		simulate(&c, 10, 0, wait)
		for range 10 {
			c.after(0, 64, false)
		}
		require.Equal(t, 256, c.places, "a quarter is in use")
		for range 10 {
			c.after(0, 10, false)
		}
		require.Equal(t, 32, c.places)
		for range 10 {
			c.after(0, 1, false)
		}
		require.Equal(t, 8, c.places, "as at first")
		c.reduce(time.Second)
		c.after(0, 0, false)
		require.Equal(t, 4, c.places, "none is added that nobody needs")
	})
	t.Run("something else computes", func(t *testing.T) {
		t.Parallel()
		c := newControl(256, 2)
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
		c := newControl(3, 2)
		simulate(&c, 50, 50, compute)
		require.Equal(t, 3, c.places)
		c.after(0, 0, false)
		require.Equal(t, 3, c.places)
	})
}

// A burst of requests that wait for something else than a processor runs at once, and none of
// it is refused.
func TestProcessorLetsABurstRun(t *testing.T) {
	t.Parallel()
	t.Run("and wait", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) { letBurstRun(t, 256, 100, time.Second) })
	})
	t.Run("without a long wait", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) { letBurstRun(t, 256, 0, 5*time.Millisecond) })
	})
}

func letBurstRun(t *testing.T, places, queue int, wait time.Duration) {
	gate := NewGate(Config{Places: places, Queue: queue, Wait: wait})
	p := NewProcessor(gate)
	require.Less(t, gate.Places(), places)
	start := time.Now()
	began := make(chan time.Duration, places+queue)
	for range places + queue {
		go func() {
			p.Request(time.Now())
			if err := gate.Enter(t.Context(), Normal); err != nil {
				t.Error(err)
				return
			}
			began <- time.Since(start)
			time.Sleep(100 * time.Millisecond)
			gate.Leave()
		}()
	}
	for range places {
		require.Less(t, <-began, 20*time.Millisecond)
	}
	for range queue {
		require.GreaterOrEqual(t, <-began, 100*time.Millisecond)
	}
	time.Sleep(measureEvery)
	synctest.Wait()
	require.False(t, p.measuring, "nobody waits")
	time.Sleep(time.Minute)
	p.Request(time.Now())
	require.Less(t, gate.Places(), places, "it begins anew")
	synctest.Wait()
}

// Requests that wait get places as soon as there is a processor for them, even if no others
// come.
func TestProcessorFindsOutThatItIsNotShort(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gate := NewGate(Config{Places: 100, Queue: 100, Wait: time.Minute})
		p := NewProcessor(gate)
		p.look(time.Now())
		synctest.Wait()
		p.control.reduce(time.Second)
		gate.SetPlaces(p.control.places)
		start := time.Now()
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				require.NoError(t, gate.Enter(t.Context(), Normal))
				require.Less(t, time.Since(start), 2*time.Second)
				time.Sleep(10 * time.Second)
				gate.Leave()
			})
		}
		all.Wait()
	})
}

// All requests that have come are known to the gate before many of them have computed, though
// the scheduler runs each to its end.
func TestProcessorReadsRequestsBeforeTheyCompute(t *testing.T) { // not parallel: it has one processor
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	const requests = 300
	gate := NewGate(Config{Places: requests, Queue: requests, Wait: time.Minute})
	p := NewProcessor(gate)
	var all sync.WaitGroup
	var came, computed, known atomic.Int32
	for range requests {
		all.Go(func() {
			came.Add(1)
			p.Request(time.Now())
			if err := gate.Enter(t.Context(), Normal); err != nil {
				t.Error(err)
				return
			}
			p.Yield()
			for begin := time.Now(); time.Since(begin) < time.Millisecond; {
			}
			if computed.Add(1) == requests/3 {
				known.Store(came.Load())
			}
			gate.Leave()
		})
	}
	all.Wait()
	require.EqualValues(t, requests, known.Load())
}

func TestRefusalsAreDelayed(t *testing.T) {
	t.Parallel()
	gate := NewGate(Config{Places: 100, Queue: 1, Wait: time.Second})
	p := NewProcessor(gate)
	now := time.Now()
	for range 100_000 {
		require.Zero(t, p.refusal(now), "no processor is short")
	}
	p.control.reduce(time.Second)
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
