package backend_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-215b9b7c/backend"
	"github.com/stretchr/testify/require"
)

func TestConcurrencyLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var running, most atomic.Int64
		h := backend.ConcurrencyLimit(3, 2*time.Second)(mustRun(t, func(w http.ResponseWriter, r *http.Request) {
			most.Store(max(most.Load(), running.Add(1)))
			defer running.Add(-1)
			time.Sleep(1500 * time.Millisecond)
			if r.URL.Path == "/panic" {
				panic(http.ErrAbortHandler)
			}
		}))
		statuses := map[int]int{}
		var took []time.Duration
		var mu sync.Mutex
		var all sync.WaitGroup
		start := time.Now()
		for i := range 8 { // 3 run, 3 wait, 2 are too many
			all.Go(func() {
				time.Sleep(time.Duration(i) * time.Millisecond)
				w := httptest.NewRecorder()
				h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
				mu.Lock()
				defer mu.Unlock()
				statuses[w.Code]++
				took = append(took, time.Since(start).Truncate(100*time.Millisecond))
				if w.Code == 503 {
					require.Equal(t, "2", w.Header().Get("Retry-After"))
				}
			})
		}
		all.Wait()
		require.Equal(t, map[int]int{200: 6, 503: 2}, statuses)
		require.EqualValues(t, 3, most.Load())
		second := 1500 * time.Millisecond
		require.Equal(t, []time.Duration{0, 0, second, second, second, 2 * second, 2 * second, 2 * second}, took)

		// A panic gives the place back.
		for range 10 {
			require.Panics(t, func() { h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/panic", nil)) })
		}
		require.Zero(t, running.Load())
	})
}

func TestConcurrencyLimitQueueIsBoundedInTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		h := backend.ConcurrencyLimit(1, 2*time.Second)(mustRun(t, func(http.ResponseWriter, *http.Request) { <-release }))
		ask := func(ctx context.Context) int {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequestWithContext(ctx, "GET", "/", nil))
			return w.Code
		}
		var group sync.WaitGroup
		group.Go(func() { require.Equal(t, 200, ask(t.Context())) })
		synctest.Wait()

		start := time.Now()
		require.Equal(t, 503, ask(t.Context()))
		require.Equal(t, 2*time.Second, time.Since(start))

		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel) // the client goes away
		start = time.Now()
		require.Equal(t, 499, ask(ctx))
		require.Equal(t, time.Second, time.Since(start))

		group.Go(func() { require.Equal(t, 200, ask(t.Context())) }) // both left the queue
		synctest.Wait()
		close(release)
		group.Wait()
	})
}

func TestConcurrencyLimitAllocatesNothing(t *testing.T) {
	mwSkipRace(t)
	inner := mustRun(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "ok") })
	alone := mwAllocs(t, backend.RequestID()(inner), func(*http.Request) {}, "", "ok")
	limited := mwAllocs(t, backend.RequestID()(backend.ConcurrencyLimit(1, time.Second)(inner)), func(*http.Request) {}, "", "ok")
	require.Equal(t, alone, limited)
}

// ExampleConcurrencyLimit keeps health checks out of the queue.
func ExampleConcurrencyLimit() {
	started, release := make(chan struct{}), make(chan struct{})
	app := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { close(started); <-release })
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "alive") })
	mux.Handle("/", backend.Stack(backend.StackConfig{
		Logger: slog.New(slog.DiscardHandler), MaxConcurrent: 1, QueueWait: time.Millisecond,
	})(app))

	done := make(chan struct{})
	go func() {
		mux.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
		close(done)
	}()
	<-started
	for _, path := range []string{"/", "/healthz"} {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		fmt.Println(path, w.Code)
	}
	close(release)
	<-done
	// Output:
	// / 503
	// /healthz 200
}
