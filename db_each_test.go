package backend_test

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
	"github.com/seed-215b9b7c/backend/backendtest"
)

// endlessRows has queries whose rows never end: a test that reads them all does not end either.
var endlessRows = map[backend.Engine]string{
	backend.SQLite:   "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n",
	backend.Postgres: "WITH RECURSIVE n AS (SELECT 1::bigint AS i UNION ALL SELECT i + 1 FROM n) SELECT i FROM n",
	backend.MySQL:    "SELECT a.id FROM t a, t b, t c, t d, t e, t f",
}

// Rows that nobody wants are not read, however the reading ends.
func TestRowsThatAreLeft(t *testing.T) {
	t.Parallel()
	for engine, text := range endlessRows {
		t.Run(string(engine), func(t *testing.T) {
			t.Parallel()
			db := backendtest.NewDB(t, engine, backend.DBConfig{MaxConns: 2})
			leaveRows(t, db, text)
		})
		t.Run(string(engine)+" of OpenDB", func(t *testing.T) {
			t.Parallel()
			if engine == backend.SQLite {
				t.Skip("its pool needs settings that Open makes")
			}
			db, err := backend.OpenDB(openPool(t, engine))
			require.NoError(t, err)
			defer db.Close()
			leaveRows(t, db, text)
		})
	}
}

func leaveRows(t *testing.T, db *backend.DB, text string) {
	numberTable(t, db)
	for i := range 100 {
		require.NoError(t, insert(t.Context(), db, i))
	}
	each := func(ctx context.Context, leave func()) (err error) {
		for _, err = range backend.Each[int](ctx, db, "?", backend.UnsafeSQL(text)) {
			if err != nil {
				return err
			}
			leave()
			break
		}
		return nil
	}
	for name, run := range map[string]func(context.Context) error{
		"break": func(ctx context.Context) error { return each(ctx, func() {}) },
		"panic": func(ctx context.Context) error {
			defer func() { recover() }()
			return each(ctx, func() { panic("boom") })
		},
		"goexit": func(ctx context.Context) error {
			done := make(chan struct{})
			go func() {
				defer close(done)
				each(ctx, runtime.Goexit)
			}()
			<-done
			return nil
		},
		"cancel": func(ctx context.Context) error {
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			for _, err := range backend.Each[int](ctx, db, "?", backend.UnsafeSQL(text)) {
				cancel()
				if err != nil {
					require.ErrorIs(t, err, context.Canceled)
					return nil
				}
			}
			return errors.New("the loop ended without an error")
		},
		"arguments": func(ctx context.Context) error {
			for _, err := range backend.Each[int](ctx, db, "? LIMIT ?", backend.UnsafeSQL(text), int64(1)<<60) {
				return err
			}
			return errors.New("no row")
		},
		"one": func(ctx context.Context) error {
			_, err := backend.One[int](ctx, db, "?", backend.UnsafeSQL(text))
			require.ErrorContains(t, err, "more than one row")
			return nil
		},
		"maybe": func(ctx context.Context) error {
			_, err := backend.Maybe[int](ctx, db, "?", backend.UnsafeSQL(text))
			require.ErrorContains(t, err, "more than one row")
			return nil
		},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // the test fails when it ends
		require.NoError(t, run(ctx), name)
		require.NoError(t, ctx.Err(), name)
		require.NoError(t, insert(ctx, db, 1000), name)
		_, err := db.Exec(ctx, "DELETE FROM t WHERE id = 1000")
		require.NoError(t, err, name)
		for range 3 {
			n, err := backend.One[int](ctx, db, "SELECT count(*) FROM t WHERE id >= ?", 0)
			require.NoError(t, err, name)
			require.Equal(t, 100, n, name)
		}
		cancel()
	}
}

func openPool(t *testing.T, engine backend.Engine) *sql.DB {
	names := map[backend.Engine]string{backend.Postgres: "postgres", backend.MySQL: "mysql"}
	dsn := backendtest.NewURL(t, engine)
	if engine == backend.MySQL {
		u, err := url.Parse(dsn)
		require.NoError(t, err)
		dsn = u.User.String() + "@tcp(" + u.Host + ")" + u.Path + "?parseTime=true&loc=UTC&clientFoundRows=true"
	}
	pool, err := sql.Open(names[engine], dsn)
	require.NoError(t, err)
	return pool
}

// A short rest is read: the connection is kept.
func TestShortRestKeepsTheConnection(t *testing.T) {
	t.Parallel()
	for engine, query := range map[backend.Engine]string{backend.Postgres: "SELECT pg_backend_pid()", backend.MySQL: "SELECT connection_id()"} {
		t.Run(string(engine), func(t *testing.T) {
			t.Parallel()
			db := backendtest.NewDB(t, engine, backend.DBConfig{MaxConns: 1})
			id := func() int {
				id, err := backend.One[int](t.Context(), db, "?", backend.UnsafeSQL(query))
				require.NoError(t, err)
				return id
			}
			kept := false
			for range 20 { // a busy machine may take longer than the moment
				before := id()
				_, err := backend.One[int](t.Context(), db, "SELECT 1 UNION SELECT 2 UNION SELECT 3")
				require.ErrorContains(t, err, "more than one row")
				kept = kept || before == id()
			}
			require.True(t, kept)
		})
	}
}
