package backend_test

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
	"github.com/seed-215b9b7c/backend/backendtest"
)

// proxied returns a database whose connections pass a proxy, with a table t.
func proxied(t *testing.T, engine backend.Engine, config backend.DBConfig) (*backend.DB, *proxy) {
	t.Helper()
	p := newProxy(t, backendtest.NewURL(t, engine))
	db, err := backend.Open(t.Context(), p.URL, config)
	require.NoError(t, err)
	t.Cleanup(func() { db.Close() })
	_, err = db.Exec(t.Context(), "CREATE TABLE t (id INTEGER PRIMARY KEY)")
	require.NoError(t, err)
	return db, p
}

func insert(ctx context.Context, db *backend.DB, id int) error {
	_, err := db.Exec(ctx, "INSERT INTO t (id) VALUES (?)", id)
	return err
}

// TestRoundTrips counts on the wire: a query with arguments that was made
// before takes one, a transaction with one query two on PostgreSQL, where BEGIN travels with
// the query, and three on MySQL.
func TestRoundTrips(t *testing.T) {
	t.Parallel()
	for _, engine := range []backend.Engine{backend.Postgres, backend.MySQL} {
		t.Run(string(engine), func(t *testing.T) {
			t.Parallel()
			db, p := proxied(t, engine, backend.DBConfig{MaxConns: 1})
			find := func() error {
				_, err := backend.All[int](t.Context(), db, "SELECT id FROM t WHERE id IN (?) AND id < ?", []int{1, 2}, 5)
				return err
			}
			require.NoError(t, find())
			require.NoError(t, insert(t.Context(), db, 1))
			p.Trips()

			require.NoError(t, find())
			require.Equal(t, 1, p.Trips(), "a query")
			_, err := db.Exec(t.Context(), "DELETE FROM t")
			require.NoError(t, err)
			require.Equal(t, 1, p.Trips(), "a statement without arguments")
			require.NoError(t, db.Tx(t.Context(), func(ctx context.Context) error { return insert(ctx, db, 2) }))
			require.Equal(t, map[backend.Engine]int{backend.Postgres: 2, backend.MySQL: 3}[engine], p.Trips(), "begin, statement, commit")

			names, lookups := make([]int, 20), []backend.BatchQuery(nil)
			for i := range names {
				lookups = append(lookups, backend.BatchOne(&names[i], "SELECT id FROM t WHERE id + ? = ?", i, i+2))
			}
			require.NoError(t, db.Batch(t.Context(), lookups...))
			p.Trips()
			require.NoError(t, db.Batch(t.Context(), lookups...))
			require.Equal(t, map[backend.Engine]int{backend.Postgres: 1, backend.MySQL: 20}[engine], p.Trips(), "20 lookups in a batch")

			writes := []backend.BatchQuery{backend.BatchExec("DELETE FROM t WHERE id = ?", 1), backend.BatchExec("DELETE FROM t WHERE id < ?", 3)}
			require.NoError(t, db.Batch(t.Context(), writes...))
			p.Trips()
			require.NoError(t, db.Batch(t.Context(), writes...))
			require.Equal(t, map[backend.Engine]int{backend.Postgres: 2, backend.MySQL: 4}[engine], p.Trips(), "begin, two that write, commit")
		})
	}
}

// TestStalledServer: whatever was being done when the network went away, it
// ends within 250 ms of its deadline; the server is used again when it is back.
// Since the machine may be busy, one of three tries has to be in time.
func TestStalledServer(t *testing.T) { // not parallel: it measures time
	const deadline, slack = 200 * time.Millisecond, 250 * time.Millisecond
	for _, engine := range []backend.Engine{backend.Postgres, backend.MySQL} {
		for name, run := range map[string]func(ctx context.Context, db *backend.DB, p *proxy) error{
			"query": func(ctx context.Context, db *backend.DB, p *proxy) error {
				p.Freeze()
				_, err := backend.All[int](ctx, db, "SELECT id FROM t WHERE id = ?", 1)
				return err
			},
			"begin": func(ctx context.Context, db *backend.DB, p *proxy) error {
				p.Freeze()
				return db.Tx(ctx, func(ctx context.Context) error { return insert(ctx, db, 1) })
			},
			"query in a transaction": func(ctx context.Context, db *backend.DB, p *proxy) error {
				return db.Tx(ctx, func(ctx context.Context) error {
					p.Freeze()
					return insert(ctx, db, 1)
				})
			},
			"commit": func(ctx context.Context, db *backend.DB, p *proxy) error {
				return db.Tx(ctx, func(ctx context.Context) error {
					err := insert(ctx, db, 1)
					p.Freeze()
					return err
				})
			},
			"rollback": func(ctx context.Context, db *backend.DB, p *proxy) error {
				err := db.Tx(ctx, func(ctx context.Context) error {
					p.Freeze()
					<-ctx.Done()
					return ctx.Err()
				})
				return err
			},
			"new connection": func(ctx context.Context, db *backend.DB, p *proxy) error {
				p.Cut()
				p.Freeze()
				return db.Ping(ctx)
			},
		} {
			t.Run(string(engine)+"/"+name, func(t *testing.T) {
				late := time.Hour
				for try := 0; try < 3 && late > slack; try++ {
					db, p := proxied(t, engine, backend.DBConfig{})
					ctx, cancel := context.WithTimeout(t.Context(), deadline)
					defer cancel()
					start := time.Now()
					err := run(ctx, db, p)
					late = time.Since(start) - deadline
					p.Thaw()
					require.Equal(t, backend.Timeout, backend.CodeOf(err), "%v", err)
					require.ErrorIs(t, err, context.DeadlineExceeded)
					require.Equal(t, name == "commit", errors.Is(err, backend.ErrCommitUnknown), "%v", err)
					require.NoError(t, db.Ping(t.Context()), "the server is back")
				}
				require.Less(t, late, slack)
				t.Logf("%v after the deadline", late)
			})
		}
	}
}

// Connections that were cut while they were idle are not the caller's concern.
func TestCutConnections(t *testing.T) {
	t.Parallel()
	for _, engine := range []backend.Engine{backend.Postgres, backend.MySQL} {
		t.Run(string(engine), func(t *testing.T) {
			t.Parallel()
			db, p := proxied(t, engine, backend.DBConfig{})
			for i := range 10 {
				require.NoError(t, insert(t.Context(), db, i))
				p.Cut()
			}
			err := db.Tx(t.Context(), func(ctx context.Context) error {
				p.Cut()
				return insert(ctx, db, 99)
			})
			require.Error(t, err)
			require.Equal(t, backend.Unavailable, backend.CodeOf(err), "%v", err)
			n, err := backend.One[int](t.Context(), db, "SELECT COUNT(*) FROM t")
			require.NoError(t, err)
			require.Equal(t, 10, n)
		})
	}
}

// Nothing that was started for a query outlives the database.
func TestNoGoroutineIsLeft(t *testing.T) { // not parallel: it counts goroutines
	for _, engine := range []backend.Engine{backend.SQLite, backend.Postgres, backend.MySQL} {
		t.Run(string(engine), func(t *testing.T) {
			url := backendtest.NewURL(t, engine)
			before := runtime.NumGoroutine()
			db, err := backend.Open(t.Context(), url)
			require.NoError(t, err)
			_, err = db.Exec(t.Context(), "CREATE TABLE t (id INTEGER PRIMARY KEY)")
			require.NoError(t, err)
			for i := range 20 {
				ctx, cancel := context.WithCancel(t.Context())
				require.NoError(t, insert(ctx, db, i))
				for range backend.Each[int](ctx, db, "SELECT id FROM t") {
					break
				}
				err := db.Tx(ctx, func(ctx context.Context) error {
					cancel()
					return insert(ctx, db, 100)
				})
				require.Equal(t, backend.Canceled, backend.CodeOf(err))
			}
			require.NoError(t, db.Close())
			for deadline := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before && time.Now().Before(deadline); {
				runtime.Gosched() // those that were told to end need a moment
			}
			require.LessOrEqual(t, runtime.NumGoroutine(), before)
		})
	}
}
