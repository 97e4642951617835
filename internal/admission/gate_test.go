package admission_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend/internal/admission"
)

// crowd sends requests through a gate and keeps what became of them, in order.
type crowd struct {
	t    *testing.T
	gate *admission.Gate
	all  sync.WaitGroup

	mu      sync.Mutex
	entered []string
	errs    map[string]error
	waited  []time.Duration
}

func newCrowd(t *testing.T, config admission.Config) *crowd {
	return &crowd{t: t, gate: admission.NewGate(config), errs: map[string]error{}}
}

// send sends a request that works for a time, and returns when it works or waits.
func (c *crowd) send(name string, class admission.Class, works time.Duration) {
	c.sendContext(c.t.Context(), name, class, works)
}

func (c *crowd) sendContext(ctx context.Context, name string, class admission.Class, works time.Duration) {
	c.all.Go(func() {
		start := time.Now()
		err := c.gate.Enter(ctx, class)
		c.mu.Lock()
		if err != nil {
			c.errs[name] = err
		} else {
			c.entered = append(c.entered, name)
			c.waited = append(c.waited, time.Since(start))
		}
		c.mu.Unlock()
		if err == nil {
			time.Sleep(works)
			c.gate.Leave()
		}
	})
	synctest.Wait()
}

// names returns which requests have entered so far.
func (c *crowd) names() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.entered)
}

// refused returns how many requests were refused so far.
func (c *crowd) refused() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.errs)
}

// end waits for all requests, and checks that no place was lost.
func (c *crowd) end() {
	c.all.Wait()
	running, waiting := c.gate.Load()
	require.Zero(c.t, running)
	require.Zero(c.t, waiting)
}

func bubble(t *testing.T, name string, f func(t *testing.T)) {
	t.Run(name, func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, f)
	})
}

func TestGate(t *testing.T) {
	t.Parallel()
	bubble(t, "in order of arrival, urgent ones first", func(t *testing.T) {
		c := newCrowd(t, admission.Config{Places: 1, Queue: 10, Wait: time.Minute})
		c.send("first", admission.Normal, time.Second)
		c.send("normal", admission.Normal, time.Second)
		c.send("patient", admission.Patient, time.Second)
		c.send("normal 2", admission.Normal, time.Second)
		c.send("urgent", admission.Urgent, time.Second)
		c.send("urgent 2", admission.Urgent, time.Second)
		c.end()
		require.Equal(t, []string{"first", "urgent", "urgent 2", "normal", "patient", "normal 2"}, c.entered)
	})
	bubble(t, "only normal ones are refused", func(t *testing.T) {
		c := newCrowd(t, admission.Config{Places: 1, Queue: 2, Wait: time.Second})
		c.send("first", admission.Normal, time.Minute)
		for _, name := range []string{"a", "b", "c"} {
			c.send(name, admission.Normal, 0)
		}
		require.Equal(t, 1, c.refused())
		c.send("patient", admission.Patient, 0)
		c.send("urgent", admission.Urgent, 0)
		c.end()
		require.Equal(t, map[string]error{"a": admission.ErrWait, "b": admission.ErrWait, "c": admission.ErrFull}, c.errs)
		require.Equal(t, []string{"first", "urgent", "patient"}, c.entered)
	})
	bubble(t, "a context ends the wait of each class", func(t *testing.T) {
		c := newCrowd(t, admission.Config{Places: 1, Queue: 10, Wait: time.Minute})
		c.send("first", admission.Normal, 10*time.Second)
		gone := errors.New("gone")
		ctx, cancel := context.WithCancelCause(t.Context())
		c.sendContext(ctx, "normal", admission.Normal, 0)
		c.sendContext(ctx, "patient", admission.Patient, 0)
		c.sendContext(ctx, "urgent", admission.Urgent, 0)
		cancel(gone)
		c.end()
		require.Equal(t, map[string]error{"normal": context.Canceled, "patient": context.Canceled, "urgent": context.Canceled}, c.errs)
	})
	bubble(t, "fewer places", func(t *testing.T) {
		c := newCrowd(t, admission.Config{Places: 3, Queue: 10, Wait: time.Minute})
		c.gate.SetPlaces(1)
		c.send("a", admission.Normal, time.Second)
		c.send("b", admission.Normal, 10*time.Second)
		c.send("c", admission.Normal, 10*time.Second)
		require.Equal(t, []string{"a"}, c.names())
		c.gate.SetPlaces(100)
		synctest.Wait()
		require.ElementsMatch(t, []string{"a", "b", "c"}, c.names())
		require.Equal(t, 3, c.gate.Places())
		c.gate.SetPlaces(1) // those that run go on
		c.send("d", admission.Normal, 0)
		time.Sleep(5 * time.Second)
		require.Len(t, c.names(), 3)
		c.end()
		require.Equal(t, "d", c.entered[3])
	})
	bubble(t, "the wait stretches to one use", func(t *testing.T) {
		for _, stretch := range []bool{false, true} {
			c := newCrowd(t, admission.Config{Places: 2, Queue: 20, Wait: time.Second, Stretch: stretch})
			for i := range 8 { // one use takes 4 seconds, and every 2 seconds a place is free
				c.send(string(rune('a'+i)), admission.Patient, 4*time.Second)
				if i == 0 {
					time.Sleep(2 * time.Second)
				}
			}
			time.Sleep(11 * time.Second) // at 13, the last one has waited until 12
			c.send("late", admission.Normal, 0)
			c.end()
			require.Equal(t, stretch, c.errs["late"] == nil, "%v", c.errs)
		}
	})
}

// Under three times the load that can be served, the places stay in use, those that are
// served have waited for a short time, and the others are refused at once.
func TestGateUnderOverload(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		places int
		works  time.Duration
		late   int // percent of those that are refused
	}{
		"one place":  {1, 80 * time.Millisecond, 5},
		"ten places": {10, 100 * time.Millisecond, 5},
		"fast":       {4, 2 * time.Millisecond, 5},
		"slow":       {2, 900 * time.Millisecond, 50}, // a use is longer than the wait, now and then
	} {
		bubble(t, name, func(t *testing.T) {
			c := newCrowd(t, admission.Config{Places: test.places, Queue: 64 + 4*test.places, Wait: time.Second, Stretch: true})
			random := rand.New(rand.NewPCG(1, 2))
			every := test.works / time.Duration(test.places) / 3
			const runs = 20 * time.Second
			start := time.Now()
			var atOnce, late int
			for time.Since(start) < runs {
				before := c.refused()
				c.send(time.Since(start).String(), admission.Normal, time.Duration(random.ExpFloat64()*float64(test.works)))
				if c.refused() > before {
					atOnce++
				}
				time.Sleep(time.Duration(random.ExpFloat64() * float64(every)))
			}
			c.end()
			for _, err := range c.errs {
				if err == admission.ErrWait {
					late++
				}
			}
			capacity := float64(runs) / float64(test.works) * float64(test.places)
			require.Greater(t, float64(len(c.entered)), 0.9*capacity)
			require.LessOrEqual(t, late, len(c.errs)*test.late/100, "refused after a wait, and %d at once", atOnce)
			longest := time.Duration(0)
			for _, wait := range c.waited {
				longest = max(longest, wait)
			}
			require.LessOrEqual(t, longest, max(time.Second, 3*test.works))
			settled := c.waited[len(c.waited)/2:]
			total := time.Duration(0)
			for _, wait := range settled {
				total += wait
			}
			require.Less(t, total/time.Duration(len(settled)), max(400*time.Millisecond, test.works), "the queue does not stand")
		})
	}
}

// A burst is served, however often it comes, if there is time to serve it.
func TestGateServesBursts(t *testing.T) {
	t.Parallel()
	bubble(t, "bursts", func(t *testing.T) {
		c := newCrowd(t, admission.Config{Places: 2, Queue: 100, Wait: time.Second})
		for range 10 {
			for range 20 { // 0.5 seconds of work
				c.send("", admission.Normal, 50*time.Millisecond)
			}
			time.Sleep(time.Second)
		}
		c.end()
		require.Empty(t, c.errs)
	})
}

// Whatever happens at the same time, no place is lost or given twice.
func TestGateCountsRight(t *testing.T) {
	t.Parallel()
	gate := admission.NewGate(admission.Config{Places: 3, Queue: 8, Wait: time.Millisecond, Streams: 4, Shares: true})
	var running, most atomic.Int64
	var all sync.WaitGroup
	for i := range 32 {
		all.Go(func() {
			random := rand.New(rand.NewPCG(uint64(i), 1))
			for range 500 {
				ctx, cancel := context.WithCancel(t.Context())
				if random.IntN(4) == 0 {
					cancel()
				}
				if random.IntN(2) == 0 {
					if gate.Enter(ctx, admission.Class(random.IntN(3))) == nil {
						now := running.Add(1)
						for old := most.Load(); now > old && !most.CompareAndSwap(old, now); old = most.Load() {
						}
						running.Add(-1)
						gate.Leave()
					}
				} else {
					var place admission.Place
					if place.Enter(ctx, gate, [16]byte{byte(i)}, nil) == nil {
						var reader sync.WaitGroup
						reader.Go(func() {
							place.Away()
							place.Back(ctx)
						})
						if random.IntN(3) == 0 {
							place.Stream()
						}
						place.Away()
						place.BackAtOnce()
						if random.IntN(2) == 0 {
							reader.Wait()
						}
						place.Leave()
						reader.Wait()
					}
				}
				cancel()
			}
		})
	}
	all.Wait()
	require.LessOrEqual(t, most.Load(), int64(3))
	require.Positive(t, most.Load())
	inUse, waiting := gate.Load()
	require.Zero(t, inUse)
	require.Zero(t, waiting)
	for range 4 { // all streams are free again
		var place admission.Place
		require.NoError(t, place.Enter(t.Context(), gate, [16]byte{}, nil))
		place.Leave()
	}
}
