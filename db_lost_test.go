package backend_test

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
	"github.com/seed-215b9b7c/backend/backendtest"
)

// killer locks the table t, and kills the sessions that wait for it.
type killer struct {
	engine backend.Engine
	pool   *sql.DB
	lock   *sql.Conn
	killed int // the last session that was killed, which may wait for a moment still
}

func newKiller(t *testing.T, db *backend.DB) *killer {
	k := &killer{engine: db.Engine(), pool: db.SQLX().DB}
	var err error
	k.lock, err = k.pool.Conn(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { k.lock.Close() })
	text := "BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE"
	if k.engine == backend.MySQL {
		text = "LOCK TABLES t WRITE"
	}
	_, err = k.lock.ExecContext(t.Context(), text)
	require.NoError(t, err)
	return k
}

// kill waits until a session waits for the table, and ends it.
func (k *killer) kill(t *testing.T) {
	query := "SELECT coalesce(max(pid), 0), coalesce(max(pg_terminate_backend(pid)::int), 0) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND pid <> $1"
	if k.engine == backend.MySQL {
		query = "SELECT coalesce(max(ID), 0), 1 FROM information_schema.PROCESSLIST WHERE DB = DATABASE() AND STATE LIKE 'Waiting for table%' AND ID <> ?"
	}
	require.Eventually(t, func() bool {
		var id, done int
		if err := k.pool.QueryRow(query, k.killed).Scan(&id, &done); err != nil || id == 0 {
			return false
		}
		k.killed = id
		if k.engine == backend.MySQL {
			_, err := k.pool.Exec("KILL CONNECTION ?", id)
			return err == nil
		}
		return true
	}, 10*time.Second, 5*time.Millisecond)
}

func (k *killer) unlock(t *testing.T) {
	text := "ROLLBACK"
	if k.engine == backend.MySQL {
		text = "UNLOCK TABLES"
	}
	_, err := k.lock.ExecContext(t.Context(), text)
	require.NoError(t, err)
}

// A read whose connection is killed runs again on another one. What may have an effect
// does not.
func TestConnectionsThatAreKilled(t *testing.T) {
	t.Parallel()
	all := func(text string) func(context.Context, *backend.DB) error {
		return func(ctx context.Context, db *backend.DB) error {
			rows, err := backend.All[int](ctx, db, "?", backend.UnsafeSQL(text))
			if err == nil && len(rows) != 1 {
				return context.Canceled
			}
			return err
		}
	}
	runs := []struct {
		name  string
		again bool
		run   func(context.Context, *backend.DB) error
	}{
		{"select", true, all("SELECT id FROM t")},
		{"with", true, all("WITH a AS (SELECT count(*) AS n FROM t) SELECT n FROM a WHERE n IN (1, 2)")},
		{"arguments", true, func(ctx context.Context, db *backend.DB) error {
			_, err := backend.One[int](ctx, db, "SELECT id FROM t WHERE id = ?", 1)
			return err
		}},
		{"each", true, func(ctx context.Context, db *backend.DB) error {
			for _, err := range backend.Each[int](ctx, db, "SELECT id FROM t") {
				if err != nil {
					return err
				}
			}
			return nil
		}},
		{"exec", true, func(ctx context.Context, db *backend.DB) error {
			_, err := db.Exec(ctx, "SELECT id FROM t")
			return err
		}},
		{"function", false, all("SELECT f() FROM t")},
		{"for update", false, all("SELECT id FROM t FOR UPDATE")},
		{"update", false, func(ctx context.Context, db *backend.DB) error {
			_, err := db.Exec(ctx, "UPDATE t SET id = id + 1")
			return err
		}},
		{"transaction", false, func(ctx context.Context, db *backend.DB) error {
			return db.Tx(ctx, func(ctx context.Context) error { return all("SELECT id FROM t")(ctx, db) }, backend.ReadOnly)
		}},
	}
	for _, engine := range []backend.Engine{backend.Postgres, backend.MySQL} {
		t.Run(string(engine), func(t *testing.T) {
			t.Parallel()
			db := backendtest.NewDB(t, engine)
			numberTable(t, db)
			require.NoError(t, insert(t.Context(), db, 1))
			f := "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'"
			if engine == backend.MySQL {
				f = "CREATE FUNCTION f() RETURNS int DETERMINISTIC RETURN 1"
			}
			_, err := db.Exec(t.Context(), "?", backend.UnsafeSQL(f))
			require.NoError(t, err)
			for _, run := range runs {
				k := newKiller(t, db)
				done := make(chan error, 1)
				go func() { done <- run.run(t.Context(), db) }()
				k.kill(t)
				if !run.again {
					err := <-done
					require.Equal(t, backend.Unavailable, backend.CodeOf(err), "%s: %v", run.name, err)
				}
				k.unlock(t)
				if run.again {
					require.NoError(t, <-done, run.name)
				}
				require.NoError(t, k.lock.Close())
			}

			// Not for ever: whoever kills each of its connections is told.
			k := newKiller(t, db)
			done := make(chan error, 1)
			go func() { done <- runs[0].run(t.Context(), db) }()
			for range 3 {
				k.kill(t)
			}
			require.Equal(t, backend.Unavailable, backend.CodeOf(<-done))
			k.unlock(t)
		})
	}
}
