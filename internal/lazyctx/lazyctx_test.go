package lazyctx_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend/internal/lazyctx"
)

type key struct{}

// begin returns a context that ends in an hour, with a value.
func begin(parent context.Context) *lazyctx.Context {
	c := new(lazyctx.Context)
	c.Begin(context.WithValue(parent, key{}, "value"), time.Now().Add(time.Hour), nil)
	return c
}

// Whether somebody waits or only looks, it is as context.WithDeadline is.
func TestContextIsAsWithDeadline(t *testing.T) {
	t.Parallel()
	for _, waits := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			parent, cancel := context.WithCancel(context.Background())
			defer cancel()
			at, ended, left := begin(parent), begin(parent), begin(parent)
			defer at.End()
			defer left.End()
			if waits {
				for _, c := range []*lazyctx.Context{at, ended, left} {
					require.NotNil(t, c.Done())
				}
			}
			deadline, ok := at.Deadline()
			require.True(t, ok)
			require.Equal(t, time.Now().Add(time.Hour), deadline)
			require.NoError(t, at.Err())
			require.Equal(t, "value", at.Value(key{}))

			ended.End()
			<-ended.Done()
			require.Equal(t, context.Canceled, ended.Err())
			require.Equal(t, "value", ended.Value(key{}))

			time.Sleep(time.Hour)
			synctest.Wait() // the timer of the deadline and that of Sleep fire at the same time
			require.Equal(t, context.DeadlineExceeded, at.Err())
			<-at.Done()

			cancel()
			synctest.Wait()
			require.Error(t, left.Err())
			<-left.Done()
		})
	}
}

func TestContextOfAParentThatEnds(t *testing.T) {
	t.Parallel()
	parent, cancel := context.WithTimeout(context.Background(), time.Minute)
	c := begin(parent)
	defer c.End()
	want, _ := parent.Deadline()
	got, _ := c.Deadline()
	require.Equal(t, want, got)
	cancel()
	require.Equal(t, context.Canceled, c.Err())
	<-c.Done()
}

func TestContextIsSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	c := begin(context.Background())
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() { _ = c.Err(); c.Value(key{}) })
		wait.Go(func() { <-c.Done() })
	}
	c.End()
	wait.Wait()
	require.Equal(t, context.Canceled, c.Err())
}

// Nothing is allocated for a function that only asks whether it may go on.
func TestContextAllocatesNothingUntilSomebodyWaits(t *testing.T) {
	parent := context.Background()
	c := new(lazyctx.Context)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		c.Begin(parent, time.Now().Add(time.Hour), nil)
		if c.Err() != nil || c.Value(key{}) != nil {
			t.Error("it has just begun")
		}
	}))
}

// While the clock stands still, no time passes for the context.
func TestClockStandsStill(t *testing.T) {
	t.Parallel()
	for _, waits := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			clock := new(lazyctx.Clock)
			parent, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "value"))
			defer cancel()
			clock.Stop()
			time.Sleep(time.Hour) // before the beginning
			clock.Go()
			start := time.Now()
			c := new(lazyctx.Context)
			c.Begin(parent, start.Add(time.Minute), clock)
			defer c.End()
			if waits {
				c.Done()
			}
			for range 3 {
				time.Sleep(10 * time.Second)
				clock.Stop()
				time.Sleep(time.Hour)
				require.NoError(t, c.Err())
				at, _ := c.Deadline()
				require.Greater(t, time.Until(at), 29*time.Second)
				clock.Go()
			}
			child, end := context.WithCancel(c)
			defer end()
			require.Equal(t, "value", child.Value(key{}))
			at, _ := c.Deadline()
			require.Equal(t, start.Add(time.Minute+3*time.Hour), at)
			time.Sleep(29 * time.Second)
			require.NoError(t, c.Err())
			<-child.Done()
			require.InDelta(t, time.Minute+3*time.Hour, time.Since(start), float64(10*time.Millisecond))
			for _, ctx := range []context.Context{c, child} {
				require.Equal(t, context.DeadlineExceeded, ctx.Err())
				require.Equal(t, context.DeadlineExceeded, context.Cause(ctx))
			}
		})
	}
}

// With a clock, it ends with its parent and by End as without one.
func TestContextWithAClockEnds(t *testing.T) {
	t.Parallel()
	cause := errors.New("cause")
	ends := map[string]func(c *lazyctx.Context, parent context.CancelCauseFunc){
		"by its parent": func(_ *lazyctx.Context, parent context.CancelCauseFunc) { parent(cause) },
		"by End":        func(c *lazyctx.Context, _ context.CancelCauseFunc) { c.End() },
	}
	for name, end := range ends {
		for _, waits := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				parent, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				c := new(lazyctx.Context)
				c.Begin(parent, time.Now().Add(time.Hour), new(lazyctx.Clock))
				defer c.End()
				if waits {
					c.Done()
				}
				end(c, cancel)
				<-c.Done()
				require.Equal(t, context.Canceled, c.Err(), name)
				if name == "by its parent" {
					require.Equal(t, cause, context.Cause(c))
				}
				c.End()
				c.End()
			})
		}
	}
}
