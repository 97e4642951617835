package backend_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
	"github.com/seed-215b9b7c/backend/backendtest"
)

// A statement ends with its request: when the client leaves, and at each of the time limits.
func TestStatementEndsWithItsRequest(t *testing.T) {
	t.Parallel()
	db := backendtest.NewDB(t, backend.Postgres)
	sleep := func(ctx context.Context, _ backend.None) (backend.None, error) {
		if _, err := db.Exec(ctx, "SELECT ?", 1); err != nil { // the connection is used again
			return backend.None{}, err
		}
		_, err := db.Exec(ctx, "SELECT pg_sleep(?)", 60)
		return backend.None{}, err
	}
	const limit = 300 * time.Millisecond
	for name, test := range map[string]struct {
		stack, operation time.Duration
		leaves           bool
		status           int
	}{
		"client":             {time.Minute, time.Minute, true, 499},
		"limit of the stack": {limit, time.Minute, false, 504},
		"limit of the call":  {time.Minute, limit, false, 504},
	} {
		for _, method := range []string{"GET", "POST"} {
			t.Run(name+" "+method, func(t *testing.T) {
				logic := backend.NewLogic(db, nil, backend.LogicConfig{Logger: slog.New(slog.DiscardHandler)})
				logic.Add(
					backend.Query("look", backend.Public, sleep, backend.Route("GET /"), backend.Deadline(test.operation)),
					backend.Mutation("work", backend.Public, sleep, backend.Route("POST /"), backend.Deadline(test.operation)))
				handler := backend.Stack(backend.StackConfig{Timeout: test.stack, Logger: slog.New(slog.DiscardHandler)})(logic.REST())
				ctx, leave := context.WithCancel(t.Context())
				defer leave()
				w := httptest.NewRecorder()
				begun, done := time.Now(), make(chan struct{})
				go func() {
					defer close(done)
					handler.ServeHTTP(w, httptest.NewRequest(method, "/", http.NoBody).WithContext(ctx))
				}()
				if test.leaves {
					for sleeping := 0; sleeping == 0; {
						var err error
						sleeping, err = backend.One[int](t.Context(), db, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'active' AND wait_event = 'PgSleep'")
						require.NoError(t, err)
					}
					leave()
				}
				<-done
				require.Less(t, time.Since(begun), 30*time.Second)
				if test.status != 499 {
					require.Equal(t, test.status, w.Code, w.Body)
				}
				n, err := backend.One[int](t.Context(), db, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'active' AND wait_event = 'PgSleep'")
				require.NoError(t, err)
				require.Zero(t, n, "the server has stopped as well")
			})
		}
	}
}

// TestAllocationsOfARow bounds what a request for one row costs behind the default Stack.
func TestAllocationsOfARow(t *testing.T) { // not parallel: it counts allocations
	if underRace() {
		t.Skip("the race detector allocates, too")
	}
	for engine, bound := range map[backend.Engine]float64{backend.SQLite: 28, backend.Postgres: 34} {
		t.Run(string(engine), func(t *testing.T) {
			db := benchDB(t, engine)
			logic := backend.NewLogic(db, nil, backend.LogicConfig{})
			logic.Add(backend.Query("row", backend.Public, func(ctx context.Context, _ backend.None) (benchRow, error) {
				return backend.One[benchRow](ctx, db, "SELECT * FROM t WHERE id = ?", 7)
			}, backend.Route("GET /")))
			handler := backend.Stack(backend.StackConfig{Logger: slog.New(slog.DiscardHandler)})(logic.REST())
			serve := func() int {
				ctx, cancel := context.WithCancel(context.Background()) // as net/http makes one
				defer cancel()
				w := httptest.NewRecorder()
				handler.ServeHTTP(w, httptest.NewRequest("GET", "/", http.NoBody).WithContext(ctx))
				return w.Code
			}
			require.Equal(t, 200, serve())
			none := fewestAllocs(func() {
				ctx, cancel := context.WithCancel(context.Background())
				defer cancel()
				httptest.NewRecorder()
				_ = httptest.NewRequest("GET", "/", http.NoBody).WithContext(ctx)
			})
			require.LessOrEqual(t, fewestAllocs(func() { serve() })-none, bound)
		})
	}
}
