package backend_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
	"github.com/seed-215b9b7c/backend/backendtest"
)

// busy is a handler whose transactions end when the test says so.
type busy struct {
	t       *testing.T
	db      *backend.DB
	handler http.Handler
	begun   chan struct{}
	finish  chan struct{}
	again   chan struct{} // closed when requests for /twice may use the database again

	next     atomic.Int64
	all      sync.WaitGroup
	mu       sync.Mutex
	statuses map[int]int
}

func newBusy(t *testing.T, db *backend.DB) *busy {
	numberTable(t, db) // t (id)
	b := &busy{t: t, db: db, begun: make(chan struct{}), finish: make(chan struct{}), again: make(chan struct{}), statuses: map[int]int{}}
	r := backend.NewRouter()
	r.Use(backend.Stack(backend.StackConfig{Logger: slog.New(slog.DiscardHandler), Timeout: time.Minute, MaxConcurrent: 1000}))
	r.HandleFunc("GET /quick", func(http.ResponseWriter, *http.Request) {})
	r.HandleFunc("GET /read", func(w http.ResponseWriter, r *http.Request) {
		if _, err := backend.One[int](r.Context(), db, "SELECT COUNT(*) FROM t"); err != nil {
			backend.WriteError(w, r, err)
		}
	})
	write := func(w http.ResponseWriter, r *http.Request) {
		if err := b.tx(r.Context()); err != nil {
			backend.WriteError(w, r, err)
		}
	}
	r.HandleFunc("POST /write", write)
	r.HandleFunc("POST /twice", func(w http.ResponseWriter, r *http.Request) {
		if err := db.Ping(r.Context()); err != nil {
			backend.WriteError(w, r, err)
			return
		}
		b.begun <- struct{}{}
		<-b.again
		write(w, r)
	})
	b.handler = r
	return b
}

// tx is a transaction that lasts until the test ends it.
func (b *busy) tx(ctx context.Context) error {
	return b.db.Tx(ctx, func(ctx context.Context) error {
		b.begun <- struct{}{}
		<-b.finish
		return insert(ctx, b.db, int(b.next.Add(1)))
	})
}

func (b *busy) ask(method, path string) int {
	w := httptest.NewRecorder()
	b.handler.ServeHTTP(w, httptest.NewRequest(method, path, nil))
	if w.Code == 503 {
		require.Equal(b.t, "1", w.Header().Get("Retry-After"))
		require.Contains(b.t, w.Body.String(), "The server is busy; try again later.")
	}
	return w.Code
}

// send sends requests and does not wait for them.
func (b *busy) send(path string, n int) {
	for range n {
		b.all.Go(func() {
			status := b.ask("POST", path)
			b.mu.Lock()
			defer b.mu.Unlock()
			b.statuses[status]++
		})
	}
}

// connections of the pool that transactions use.
func connections(engine backend.Engine) int {
	if engine == backend.SQLite {
		return 1
	}
	return 2
}

func eachBusy(t *testing.T, f func(t *testing.T, b *busy, places int)) {
	t.Parallel()
	for _, engine := range []backend.Engine{backend.SQLite, backend.Postgres, backend.MySQL} {
		t.Run(string(engine), func(t *testing.T) {
			t.Parallel()
			f(t, newBusy(t, backendtest.NewDB(t, engine, backend.DBConfig{MaxConns: 2})), connections(engine))
		})
	}
}

// With three times as many writes as the database can do, it is never idle, none waits
// until its deadline, and what needs no connection that writes is served.
func TestOverloadOfTheDatabase(t *testing.T) {
	eachBusy(t, func(t *testing.T, b *busy, places int) {
		b.send("/write", places)
		for range places {
			<-b.begun
		}
		const done = 100
		for range done {
			b.send("/write", 3)
			b.finish <- struct{}{}
			<-b.begun // another one already waits, or comes
			require.Equal(t, 200, b.ask("GET", "/quick"))
			if b.db.Engine() == backend.SQLite {
				require.Equal(t, 200, b.ask("GET", "/read"), "readers do not wait for the writer")
			}
		}
		rest := make(chan struct{})
		go func() {
			for {
				select {
				case <-b.begun:
				case b.finish <- struct{}{}:
				case <-rest:
					return
				}
			}
		}()
		b.all.Wait()
		close(rest)
		require.Equal(t, places+3*done, b.statuses[200]+b.statuses[503], "%v", b.statuses)
		require.GreaterOrEqual(t, b.statuses[200], done)
		require.Positive(t, b.statuses[503])
		n, err := backend.One[int](t.Context(), b.db, "SELECT COUNT(*) FROM t")
		require.NoError(t, err)
		require.Equal(t, b.statuses[200], n)
	})
}

// A request that has begun its work is not refused in the middle of it, and work outside
// of requests waits for its turn.
func TestBegunWorkIsNotRefused(t *testing.T) {
	eachBusy(t, func(t *testing.T, b *busy, places int) {
		b.send("/twice", 3)
		for range 3 {
			<-b.begun
		}
		var patient sync.WaitGroup
		for range places {
			b.send("/write", 1)
			<-b.begun
		}
		patient.Go(func() {
			if err := b.tx(t.Context()); err != nil {
				t.Error(err)
			}
		})
		const crowd = 300
		b.send("/write", crowd)
		require.Eventually(t, func() bool { // a second at most
			b.mu.Lock()
			defer b.mu.Unlock()
			return b.statuses[503] == crowd
		}, time.Minute, 10*time.Millisecond)
		close(b.again)
		for range places {
			b.finish <- struct{}{}
		}
		for range 3 + 1 {
			<-b.begun
			b.finish <- struct{}{}
		}
		b.all.Wait()
		patient.Wait()
		require.Equal(t, map[int]int{200: places + 3, 503: crowd}, b.statuses)
	})
}
