package backend_test

import (
	"context"
	"database/sql"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
	"github.com/seed-215b9b7c/backend/backendtest"
)

// lib/pq calls a connection bad even when the server has executed the
// statement: it must not be sent a second time. A sequence counts how often it
// was, since it is not rolled back.
func TestOpenDBSendsNothingTwice(t *testing.T) {
	t.Parallel()
	pool, err := sql.Open("postgres", backendtest.NewURL(t, backend.Postgres))
	require.NoError(t, err)
	db, err := backend.OpenDB(pool)
	require.NoError(t, err)
	defer db.Close()
	_, err = db.Exec(t.Context(), "CREATE SEQUENCE s")
	require.NoError(t, err)
	_, err = db.Exec(t.Context(), "SELECT nextval('s'), pg_terminate_backend(pg_backend_pid())")
	require.Equal(t, backend.Unavailable, backend.CodeOf(err), "%v", err)
	n, err := backend.One[int](t.Context(), db, "SELECT last_value FROM s")
	require.NoError(t, err)
	require.Equal(t, 1, n)
}

// The body of a loop over Each can make queries although there is no other
// connection for it, and write although the loop's own statement does.
func TestEachWithoutAnotherConnection(t *testing.T) {
	t.Parallel()
	for _, engine := range []backend.Engine{backend.SQLite, backend.Postgres, backend.MySQL} {
		t.Run(string(engine), func(t *testing.T) {
			t.Parallel()
			db := backendtest.NewDB(t, engine, backend.DBConfig{MaxConns: 1, Timeout: 2 * time.Second})
			numberTable(t, db)
			for i := range 3 {
				require.NoError(t, insert(t.Context(), db, i))
			}
			for _, q := range []string{"SELECT id FROM t WHERE id < 3", "DELETE FROM t WHERE id < 3 RETURNING id"} {
				for id, err := range backend.Each[int](t.Context(), db, "?", backend.UnsafeSQL(q)) {
					require.NoError(t, err)
					_, err := backend.All[int](t.Context(), db, "SELECT id FROM t WHERE id = ?", id)
					require.NoError(t, err)
					require.NoError(t, insert(t.Context(), db, 10+id+len(q)))
				}
			}
		})
	}
}

func TestPoolThatIsUsedUp(t *testing.T) {
	t.Parallel()
	for _, engine := range []backend.Engine{backend.Postgres, backend.MySQL} {
		t.Run(string(engine), func(t *testing.T) {
			t.Parallel()
			db := backendtest.NewDB(t, engine, backend.DBConfig{MaxConns: 1})
			require.NoError(t, db.Tx(t.Context(), func(context.Context) error {
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
				defer cancel()
				err := db.Ping(ctx)
				require.ErrorContains(t, err, "all 1 were in use")
				require.Equal(t, backend.Timeout, backend.CodeOf(err))
				require.ErrorIs(t, err, context.DeadlineExceeded)
				return nil
			}))
		})
	}
}

// Closing does not cut off what runs, nor wait for it.
func TestCloseInTheMiddle(t *testing.T) {
	t.Parallel()
	backendtest.EachDB(t, func(t *testing.T, db *backend.DB) {
		numberTable(t, db)
		require.NoError(t, db.Tx(t.Context(), func(ctx context.Context) error {
			require.NoError(t, insert(ctx, db, 1))
			require.NoError(t, db.Close())
			require.Equal(t, backend.Unavailable, backend.CodeOf(db.Ping(t.Context())))
			return insert(ctx, db, 2)
		}))
	})
}

// A context that ends between two rows is an error of the database like any
// other end, with the query.
func TestContextThatEndsBetweenRows(t *testing.T) {
	t.Parallel()
	backendtest.EachDB(t, func(t *testing.T, db *backend.DB) {
		numberTable(t, db)
		for i := range 100 {
			require.NoError(t, insert(t.Context(), db, i))
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var last error
		rows := 0
		for _, err := range backend.Each[int](ctx, db, "SELECT id FROM t") {
			rows++
			last = err
			cancel()
		}
		require.Equal(t, 2, rows)
		var failed *backend.DBError
		require.ErrorAs(t, last, &failed)
		require.Equal(t, "SELECT id FROM t", failed.Query)
		require.Equal(t, backend.Canceled, backend.CodeOf(last))
		require.NoError(t, db.Ping(t.Context()))
	})
}

func TestLongQueriesAreNotShownAsAWhole(t *testing.T) {
	t.Parallel()
	backendtest.EachDB(t, func(t *testing.T, db *backend.DB) {
		_, err := db.Exec(t.Context(), "?", backend.UnsafeSQL("SELECT nothing, '"+strings.Repeat("é", 1<<20)+"'"))
		require.Less(t, len(err.Error()), 2000)
	})
}

// A loop over Each that is left by a panic, or with its goroutine, gives its
// connection back.
func TestEachThatIsLeft(t *testing.T) {
	t.Parallel()
	for _, engine := range []backend.Engine{backend.SQLite, backend.Postgres, backend.MySQL} {
		t.Run(string(engine), func(t *testing.T) {
			t.Parallel()
			db := backendtest.NewDB(t, engine, backend.DBConfig{MaxConns: 2, Timeout: 5 * time.Second})
			numberTable(t, db)
			for i := range 100 {
				require.NoError(t, insert(t.Context(), db, i))
			}
			leave := func(ctx context.Context, how func()) {
				done := make(chan struct{})
				go func() {
					defer close(done)
					defer func() { recover() }()
					for range backend.Each[int](ctx, db, "SELECT id FROM t WHERE id >= ?", 0) {
						for range backend.Each[int](ctx, db, "SELECT id FROM t") {
							how()
						}
					}
				}()
				<-done
			}
			for range 5 {
				leave(t.Context(), func() { panic("boom") })
				leave(t.Context(), runtime.Goexit)
				require.NoError(t, db.Tx(t.Context(), func(ctx context.Context) error {
					leave(ctx, func() { panic("boom") })
					leave(ctx, runtime.Goexit)
					_, err := db.Exec(ctx, "UPDATE t SET id = id + ? WHERE id > 99", 1)
					return err
				}))
			}
			n, err := backend.All[int](t.Context(), db, "SELECT id FROM t")
			require.NoError(t, err)
			require.Len(t, n, 100)
		})
	}
}
