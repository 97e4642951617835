package backend_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
	"github.com/seed-215b9b7c/backend/internal/dbconn"
	"github.com/seed-215b9b7c/backend/internal/faultdb"
)

// faulty returns a database whose driver can be made to fail, with one
// connection, so that one that is not given back is noticed at once.
func faulty(t *testing.T) (*backend.DB, *sql.DB, *faultdb.Connector) {
	pool, err := sql.Open("backend-sqlite", "")
	require.NoError(t, err)
	inner, err := dbconn.DriverConnector(pool.Driver(), "file:"+filepath.Join(t.TempDir(), "test.db")+"?_pragma=journal_mode(WAL)")
	require.NoError(t, err)
	require.NoError(t, pool.Close())
	fault := faultdb.New(inner)
	pool = sql.OpenDB(dbconn.NewConnector(fault, dbconn.Options{Statements: 10, Embedded: true, Busy: func(error) bool { return false }}))
	pool.SetMaxOpenConns(1)
	db, err := backend.OpenDB(pool, backend.DBConfig{Engine: backend.SQLite, Timeout: 10 * time.Second})
	require.NoError(t, err)
	_, err = db.Exec(t.Context(), "CREATE TABLE t (id INTEGER PRIMARY KEY)")
	require.NoError(t, err)
	return db, pool, fault
}

// Each scenario inserts the rows 1 and 2 as a whole or not at all, unless it is
// a single statement, which is its own whole.
var faultScenarios = []struct {
	name string
	rows []int
	run  func(ctx context.Context, db *backend.DB) error
}{
	{"exec", []int{1}, func(ctx context.Context, db *backend.DB) error {
		_, err := db.Exec(ctx, "INSERT INTO t (id) VALUES (?)", 1)
		return err
	}},
	{"exec without arguments", []int{1}, func(ctx context.Context, db *backend.DB) error {
		_, err := db.Exec(ctx, "INSERT INTO t (id) VALUES (1)")
		return err
	}},
	{"returning", []int{1}, func(ctx context.Context, db *backend.DB) error {
		_, err := backend.One[int](ctx, db, "INSERT INTO t (id) VALUES (?) RETURNING id", 1)
		return err
	}},
	{"each", []int{}, func(ctx context.Context, db *backend.DB) error {
		for _, err := range backend.Each[int](ctx, db, "SELECT ? UNION SELECT 2 UNION SELECT 3", 1) {
			if err != nil {
				return err
			}
		}
		return nil
	}},
	{"transaction", []int{1, 2}, func(ctx context.Context, db *backend.DB) error {
		return db.Tx(ctx, func(ctx context.Context) error {
			if _, err := db.Exec(ctx, "INSERT INTO t (id) VALUES (?)", 1); err != nil {
				return err
			}
			if _, err := backend.All[int](ctx, db, "SELECT id FROM t WHERE id = ?", 1); err != nil {
				return err
			}
			_, err := backend.One[int](ctx, db, "INSERT INTO t (id) VALUES (?) RETURNING id", 2)
			return err
		})
	}},
	{"ignored errors", []int{1, 2}, func(ctx context.Context, db *backend.DB) error {
		return db.Tx(ctx, func(ctx context.Context) error {
			db.Exec(ctx, "INSERT INTO t (id) VALUES (?)", 1)
			db.Exec(ctx, "INSERT INTO t (id) VALUES (?)", 2)
			return nil
		})
	}},
	{"nested", []int{1, 2}, func(ctx context.Context, db *backend.DB) error {
		return db.Tx(ctx, func(ctx context.Context) error {
			if _, err := db.Exec(ctx, "INSERT INTO t (id) VALUES (?)", 1); err != nil {
				return err
			}
			return db.Tx(ctx, func(ctx context.Context) error {
				_, err := db.Exec(ctx, "INSERT INTO t (id) VALUES (?)", 2)
				return err
			})
		})
	}},
	{"nested that fails", []int{1, 2}, func(ctx context.Context, db *backend.DB) error {
		return db.Tx(ctx, func(ctx context.Context) error {
			if _, err := db.Exec(ctx, "INSERT INTO t (id) VALUES (?)", 1); err != nil {
				return err
			}
			nested := db.Tx(ctx, func(ctx context.Context) error {
				_, err := db.Exec(ctx, "INSERT INTO t (id) VALUES (?), (?)", 3, 1)
				return err
			})
			if backend.CodeOf(nested) != backend.Conflict {
				return nested
			}
			_, err := db.Exec(ctx, "INSERT INTO t (id) VALUES (?)", 2)
			return err
		})
	}},
	{"panic", []int{}, func(ctx context.Context, db *backend.DB) (err error) {
		defer func() {
			if p := recover(); p != "boom" {
				err = fmt.Errorf("recovered %v", p)
			}
		}()
		err = db.Tx(ctx, func(ctx context.Context) error {
			if _, err := db.Exec(ctx, "INSERT INTO t (id) VALUES (?)", 1); err != nil {
				return err
			}
			panic("boom")
		})
		panicked := err == nil
		if !panicked {
			panic("boom")
		}
		return errors.New("no panic")
	}},
	{"migrate", []int{1, 2}, func(ctx context.Context, db *backend.DB) error {
		return db.Migrate(ctx, fstest.MapFS{"1_a.sql": {Data: []byte("-- +goose Up\nINSERT INTO t VALUES (1);\nINSERT INTO t VALUES (2);")}})
	}},
}

// TestEveryDriverCallFails makes the Nth call of the driver fail, for every N,
// in every way. Whatever fails: a scenario that succeeds has done all it should,
// one that fails did nothing unless it says that it does not know, nothing stays
// open, nothing hangs, and the database can be used afterwards.
func TestEveryDriverCallFails(t *testing.T) {
	t.Parallel()
	for _, scenario := range faultScenarios {
		for _, mode := range []faultdb.Mode{faultdb.Before, faultdb.After, faultdb.BadConn} {
			t.Run(scenario.name+"/"+mode.String(), func(t *testing.T) {
				t.Parallel()
				for n := 1; ; n++ {
					if done := failOnce(t, scenario.rows, scenario.run, n, mode); done {
						require.Greater(t, n, 1, "the scenario makes no call")
						return
					}
				}
			})
		}
	}
}

// failOnce runs a scenario on a fresh database with its nth call failing, and
// reports whether it makes fewer calls than that.
func failOnce(t *testing.T, rows []int, run func(context.Context, *backend.DB) error, n int, mode faultdb.Mode) (done bool) {
	db, pool, fault := faulty(t)
	if n > 1 { // a statement that is in the cache is one call less
		_, err := db.Exec(t.Context(), "DELETE FROM t WHERE id = ?", 0)
		require.NoError(t, err)
	}
	fault.Fail(n, mode)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	err := run(ctx, db)
	hit := fault.Hit()
	fault.Fail(0, mode)
	require.NoError(t, ctx.Err(), "it hung when %q failed", hit)

	// Afterwards: nothing is open, and the one connection works.
	require.Zero(t, pool.Stats().InUse, hit)
	_, _, open := fault.Open()
	require.Zero(t, open, "rows are open after %q failed", hit)
	there, readErr := backend.All[int](t.Context(), db, "SELECT id FROM t ORDER BY id")
	require.NoError(t, readErr, "after %q failed", hit)

	switch {
	case err == nil:
		require.Equal(t, rows, there, "%q failed, and the scenario says it succeeded", hit)
	case strings.Contains(t.Name(), "/migrate/") && len(there) > 0: // done, and then the package's own tables were not
		require.Equal(t, rows, there, "%q failed: %v", hit, err)
	case mode == faultdb.After && !errors.Is(err, backend.ErrCommitUnknown) && len(rows) != 1:
		require.Empty(t, there, "%q failed: %v", hit, err)
	case len(rows) == 1 && strings.Contains(hit, "row"): // the statement ran, its answer was lost
	case mode == faultdb.Before:
		require.Empty(t, there, "%q failed: %v", hit, err)
	case mode == faultdb.BadConn: // which says that nothing was sent
		require.Empty(t, there, "%q failed: %v", hit, err)
		require.NotErrorIs(t, err, backend.ErrCommitUnknown, hit)
	}
	require.NoError(t, db.Close())
	conns, statements, _ := fault.Open()
	require.Zero(t, conns, "connections are open after %q failed", hit)
	require.Zero(t, statements, "statements are open after %q failed", hit)
	return hit == ""
}

// TestIdempotencyWhateverFails: a client that heard no answer, or a bad one,
// sends the call again under its key, and it is carried out once.
func TestIdempotencyWhateverFails(t *testing.T) {
	t.Parallel()
	for _, mode := range []faultdb.Mode{faultdb.Before, faultdb.After, faultdb.BadConn} {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			replayed := 0
			for n := 1; ; n++ {
				db, _, fault := faulty(t)
				require.NoError(t, db.Migrate(t.Context(), nil))
				logic := backend.NewLogic(db, nil, backend.LogicConfig{})
				logic.Add(backend.Mutation("insert", backend.Public, func(ctx context.Context, _ backend.None) (int, error) {
					return backend.One[int](ctx, db, "INSERT INTO t DEFAULT VALUES RETURNING id")
				}, backend.Route("POST /"), backend.RequireIdempotencyKey()))
				door := logic.REST()
				post := func() *httptest.ResponseRecorder {
					r := httptest.NewRequest("POST", "/", nil)
					r.Header.Set("Idempotency-Key", "k")
					w := httptest.NewRecorder()
					door.ServeHTTP(w, r)
					return w
				}
				fault.Fail(n, mode)
				first := post()
				hit := fault.Hit()
				fault.Fail(0, mode)
				second := post()
				require.Equal(t, 201, second.Code, "after %q failed: %s", hit, second.Body)
				if second.Header().Get("Idempotency-Replayed") != "" && first.Code != 201 {
					replayed++
				}
				ids, err := backend.All[int](t.Context(), db, "SELECT id FROM t")
				require.NoError(t, err)
				require.Equal(t, []int{1}, ids, "after %q failed", hit)
				require.NoError(t, db.Close())
				if hit == "" {
					break
				}
			}
			if mode == faultdb.After {
				require.Equal(t, 1, replayed, "the answer to COMMIT was lost, and only then was there something to replay")
			}
		})
	}
}
