package lazyctx_test

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend/internal/lazyctx"
)

// wrapped is a context that has a Context inside, as those of requests do.
type wrapped struct{ context.Context }

func (w wrapped) Lazy() *lazyctx.Context { return lazyctx.Of(w.Context) }

// family is a Context whose parent is one as well.
type family struct {
	root         context.CancelFunc
	outer, inner *lazyctx.Context
	clock        *lazyctx.Clock
}

func newFamily(outer, inner time.Duration) *family {
	f := &family{outer: new(lazyctx.Context), inner: new(lazyctx.Context), clock: new(lazyctx.Clock)}
	root, cancel := context.WithCancel(context.Background())
	f.root = cancel
	f.outer.Begin(root, time.Now().Add(outer), f.clock)
	f.inner.Begin(wrapped{f.outer}, time.Now().Add(inner), f.clock)
	return f
}

// A Watch hears of every end of a context, once, at that time, and of each context that it
// watches one after another.
func TestWatch(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		outer, inner time.Duration
		end          func(f *family)
		err          error
		after        time.Duration
	}{
		"End":                    {time.Hour, time.Minute, func(f *family) { f.inner.End() }, context.Canceled, 0},
		"End of the parent":      {time.Hour, time.Minute, func(f *family) { f.outer.End() }, context.Canceled, 0},
		"end of the root":        {time.Hour, time.Minute, func(f *family) { f.root() }, context.Canceled, 0},
		"deadline":               {time.Hour, time.Minute, func(*family) {}, context.DeadlineExceeded, time.Minute},
		"deadline of the parent": {time.Minute, time.Hour, func(*family) {}, context.DeadlineExceeded, time.Minute},
		"clock": {time.Hour, time.Minute, func(f *family) {
			f.clock.Stop()
			time.Sleep(time.Hour)
			f.clock.Go()
		}, context.DeadlineExceeded, time.Hour + time.Minute},
	} {
		synctest.Test(t, func(t *testing.T) {
			var calls atomic.Int32
			w := lazyctx.NewWatch(func() { calls.Add(1) })
			for range 3 {
				for _, made := range []bool{false, true} {
					f, begun := newFamily(test.outer, test.inner), time.Now()
					if made {
						f.inner.Done()
					}
					require.True(t, w.Start(wrapped{f.inner}))
					synctest.Wait()
					require.Zero(t, calls.Load(), name)
					test.end(f)
					synctest.Wait()
					if test.after > 0 {
						require.Zero(t, calls.Load(), name)
						time.Sleep(test.after - time.Since(begun) + 20*time.Millisecond)
						synctest.Wait()
					}
					require.EqualValues(t, 1, calls.Swap(0), name)
					require.Equal(t, test.err, f.inner.Err(), name)
					require.False(t, w.Stop(), name)
					f.inner.End()
					f.outer.End()
					f.root()
				}
			}
		})
	}
}

// A Watch that was stopped calls nothing, whatever ends.
func TestWatchThatWasStopped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := lazyctx.NewWatch(func() { t.Error("called") })
		f := newFamily(time.Hour, time.Minute)
		for range 3 {
			require.True(t, w.Start(f.inner))
			require.True(t, w.Stop())
		}
		f.inner.End()
		f.outer.End()
		f.root()
		time.Sleep(2 * time.Hour)

		plain, cancel := context.WithCancel(context.Background())
		require.True(t, w.Start(plain))
		require.True(t, w.Stop())
		cancel()
		require.False(t, w.Start(context.Background()), "it never ends")
		synctest.Wait()
	})
}

// What has ended before calls f as well.
func TestWatchOfWhatHasEnded(t *testing.T) {
	t.Parallel()
	for _, end := range []func(*family){func(f *family) { f.inner.End() }, func(f *family) { f.outer.End() }, func(f *family) { f.root() }} {
		synctest.Test(t, func(t *testing.T) {
			var calls atomic.Int32
			w := lazyctx.NewWatch(func() { calls.Add(1) })
			f := newFamily(time.Hour, time.Minute)
			end(f)
			require.True(t, w.Start(f.inner))
			synctest.Wait()
			require.EqualValues(t, 1, calls.Load())
			require.False(t, w.Stop())
			f.inner.End()
			f.root()
		})
	}
}

// Either Stop says that f was not called, or f is called: nothing is lost, and nothing is
// told of the context before.
func TestWatchIsSafeForConcurrentEnds(t *testing.T) {
	t.Parallel()
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			called := make(chan struct{}, 1)
			w := lazyctx.NewWatch(func() { called <- struct{}{} })
			for i := range 500 {
				f := newFamily(time.Hour, time.Duration(i%3)*time.Microsecond+time.Duration(i%2)*time.Hour)
				var ends sync.WaitGroup
				ends.Go(f.inner.End)
				ends.Go(f.outer.End)
				ends.Go(f.root)
				for range 3 {
					w.Start(f.inner)
					if !w.Stop() {
						<-called
					}
				}
				ends.Wait()
				w.Start(f.inner)
				<-called
				if w.Stop() {
					t.Error("the context had ended")
				}
			}
			select {
			case <-called:
				t.Error("called twice")
			default:
			}
		})
	}
	wait.Wait()
}

// A parent does not keep the children that have ended before it.
func TestWatchedContextIsForgotten(t *testing.T) {
	w := lazyctx.NewWatch(func() {})
	f := newFamily(time.Hour, time.Minute)
	defer f.root()
	defer f.outer.End()
	kept := weak.Make(f.inner)
	require.True(t, w.Start(f.inner))
	require.True(t, w.Stop())
	f.inner.End()
	f.inner = nil
	require.True(t, w.Start(f.outer)) // and the Watch has another one
	runtime.GC()
	require.Nil(t, kept.Value())
	require.True(t, w.Stop())
}

// A Watch needs no memory for a Context, but for its first hearing of a parent that is none.
func TestWatchAllocatesNothing(t *testing.T) {
	w := lazyctx.NewWatch(func() {})
	f := newFamily(time.Hour, time.Minute)
	defer f.root()
	defer f.outer.End()
	defer f.inner.End()
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if !w.Start(f.inner) || !w.Stop() {
			t.Error("it has not ended")
		}
	}))
}

// hooked is a parent whose first Done after the hook was set calls it.
type hooked struct {
	context.Context
	hook atomic.Pointer[func()]
}

func (h *hooked) Done() <-chan struct{} {
	if hook := h.hook.Swap(nil); hook != nil {
		(*hook)()
	}
	return h.Context.Done()
}

// TestWatchOfTheNext: a timer that has come for a context does not end the watch of the next
// one, which begins while the timer looks.
func TestWatchOfTheNext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		base, cancel := context.WithCancel(t.Context())
		defer cancel()
		parent := &hooked{Context: base}
		var first, next lazyctx.Context
		first.Begin(parent, time.Now().Add(time.Millisecond), nil)
		defer first.End()
		next.Begin(base, time.Now().Add(time.Hour), nil)
		defer next.End()
		called := 0
		w := lazyctx.NewWatch(func() { called++ })
		require.True(t, w.Start(&first))
		stopped := false
		hook := func() {
			stopped = w.Stop()
			w.Start(&next)
		}
		parent.hook.Store(&hook)
		time.Sleep(time.Second)
		synctest.Wait()
		require.True(t, stopped, "the hook has run")
		require.Zero(t, called)
		require.True(t, w.Stop(), "the next one is watched")
	})
}
