package logguard_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend/internal/logguard"
)

// gate is a writer that stands still while it is held.
type gate struct {
	mu   sync.Mutex
	held chan struct{} // nil: open
	text bytes.Buffer
}

func (g *gate) Write(p []byte) (int, error) {
	g.mu.Lock()
	held := g.held
	g.mu.Unlock()
	if held != nil {
		<-held
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.text.Write(p)
}

func (g *gate) hold() (open func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.held = make(chan struct{})
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		close(g.held)
		g.held = nil
	}
}

func text(g *gate) slog.Handler {
	return slog.NewTextHandler(g, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}})
}

func TestRecordsAreWrittenAtOnceAndInOrder(t *testing.T) {
	t.Parallel()
	g := new(gate)
	log := slog.New(logguard.New(text(g))).With("a", 1).WithGroup("g")
	var want strings.Builder
	for i := range 100 {
		log.Info("m", "i", i)
		fmt.Fprintf(&want, "level=INFO msg=m a=1 g.i=%d\n", i)
		require.Equal(t, want.String(), g.text.String())
	}
	require.False(t, log.Enabled(t.Context(), slog.LevelDebug))
}

func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	g := new(gate)
	log := slog.New(logguard.New(text(g)))
	var logging sync.WaitGroup
	for range 64 {
		logging.Go(func() {
			for range 100 {
				log.Info("m")
			}
		})
	}
	logging.Wait()
	require.Equal(t, 6400, strings.Count(g.text.String(), "\n"))
}

// Whoever logs waits at most a second for a log that stands still, and not at all once
// that is known. What the queue does not hold is counted.
func TestALogThatStandsStill(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := new(gate)
		log := slog.New(logguard.New(text(g)))
		log.Info("before")
		open := g.hold()
		start := time.Now()
		log.Info("first")
		require.Equal(t, logguard.Patience, time.Since(start))
		const more = 100
		for range logguard.Queue + more {
			log.Info("m")
		}
		require.Equal(t, logguard.Patience, time.Since(start), "no further wait")
		open()
		synctest.Wait()
		require.Equal(t, logguard.Queue, strings.Count(g.text.String(), "msg=m\n"))
		require.Contains(t, g.text.String(), fmt.Sprintf("level=WARN msg=\"log records were lost\" count=%d\n", more))
		log.Info("after")
		require.True(t, strings.HasSuffix(g.text.String(), "msg=after\n"))

		open = g.hold() // and it can stall again
		start = time.Now()
		log.Info("again")
		require.Equal(t, logguard.Patience, time.Since(start))
		open()
		synctest.Wait()
	})
}

// failing fails while it is told to.
type failing struct {
	slog.Handler
	fails atomic.Bool
	how   func() error
}

func (f *failing) Handle(ctx context.Context, r slog.Record) error {
	if f.fails.Load() {
		return f.how()
	}
	return f.Handler.Handle(ctx, r)
}

// A full disk and a handler that panics lose records, and nothing else.
func TestALogThatFails(t *testing.T) {
	t.Parallel()
	for name, how := range map[string]func() error{
		"error": func() error { return errors.New("no space left on device") },
		"panic": func() error { panic("log handler") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := new(gate)
			f := &failing{Handler: text(g), how: how}
			log := slog.New(logguard.New(f))
			f.fails.Store(true)
			log.Info("one")
			log.Info("two")
			f.fails.Store(false)
			log.Info("three")
			log.Info("four")
			require.Equal(t, "level=INFO msg=three\nlevel=WARN msg=\"log records were lost\" count=2\nlevel=INFO msg=four\n", g.text.String())
		})
	}
}

func TestAllocatesNothing(t *testing.T) { // not parallel: it counts allocations
	log := slog.New(logguard.New(discard{}))
	log.Info("m")
	require.LessOrEqual(t, testing.AllocsPerRun(100, func() { log.Info("m") }), 0.0)
}

// discard is enabled, other than slog.DiscardHandler.
type discard struct{}

func (discard) Enabled(context.Context, slog.Level) bool  { return true }
func (discard) Handle(context.Context, slog.Record) error { return nil }
func (d discard) WithAttrs([]slog.Attr) slog.Handler      { return d }
func (d discard) WithGroup(string) slog.Handler           { return d }

// The logger for those who have none bounds every wait, and may be used in bubbles and
// outside of them at the same time.
func TestDefault(t *testing.T) { // not in parallel: it sets the default logger
	before := slog.Default()
	defer slog.SetDefault(before)
	g := new(gate)
	slog.SetDefault(slog.New(text(g)))
	log := logguard.Default()
	log.Info("first", "i", 1)
	require.Equal(t, "level=INFO msg=first i=1\n", g.text.String())

	var outside sync.WaitGroup
	synctest.Test(t, func(t *testing.T) {
		open := g.hold()
		start := time.Now()
		log.Info("stalled")
		require.Equal(t, logguard.Patience, time.Since(start))
		const more = 100
		for range logguard.Queue + more {
			log.With("a", 1).Info("m")
		}
		require.Equal(t, logguard.Patience, time.Since(start), "no further wait")
		open()
		synctest.Wait()
		require.Equal(t, logguard.Queue-1, strings.Count(g.text.String(), "msg=m a=1\n"))
		require.Equal(t, 1, strings.Count(g.text.String(), fmt.Sprintf("msg=\"log records were lost\" count=%d\n", more+1)))
		open = g.hold()
		start = time.Now()
		log.Info("stalled")
		require.Equal(t, 2*logguard.Patience, logguard.Patience+time.Since(start), "it waits again")
		open()
	})
	for range 8 {
		outside.Go(func() { log.Info("outside") })
		synctest.Test(t, func(*testing.T) { log.Info("inside") })
	}
	outside.Wait()
	require.Equal(t, 8, strings.Count(g.text.String(), "msg=outside\n"))
	require.Equal(t, 8, strings.Count(g.text.String(), "msg=inside\n"))
}

// What the default logger's handler does is not the caller's problem.
func TestDefaultOutlivesItsHandler(t *testing.T) { // not in parallel: it sets the default logger
	before := slog.Default()
	defer slog.SetDefault(before)
	for name, handler := range map[string]slog.Handler{"panics": faulty(func() { panic("no") }), "ends the goroutine": faulty(runtime.Goexit)} {
		t.Run(name, func(t *testing.T) {
			slog.SetDefault(slog.New(handler))
			start := time.Now()
			logguard.Default().Info("m")
			require.Less(t, time.Since(start), logguard.Patience)
		})
	}
	g := new(gate)
	slog.SetDefault(slog.New(text(g)))
	logguard.Default().Info("m")
	require.Equal(t, "level=INFO msg=m\nlevel=WARN msg=\"log records were lost\" count=2\n", g.text.String())
}

// faulty is a handler that calls a function.
type faulty func()

func (faulty) Enabled(context.Context, slog.Level) bool { return true }
func (f faulty) Handle(context.Context, slog.Record) error {
	f()
	return nil
}
func (f faulty) WithAttrs([]slog.Attr) slog.Handler { return f }
func (f faulty) WithGroup(string) slog.Handler      { return f }
