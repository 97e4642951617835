package backend_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
	"github.com/seed-215b9b7c/backend/backendtest"
	"github.com/seed-215b9b7c/backend/internal/faultdb"
)

func numberTable(t *testing.T, db *backend.DB) {
	t.Helper()
	_, err := db.Exec(t.Context(), "CREATE TABLE t (id INTEGER PRIMARY KEY)")
	require.NoError(t, err)
}

// What a goroutine hands to AfterCommit while the COMMIT is under way is not
// lost.
func TestAfterCommitDuringCommit(t *testing.T) {
	t.Parallel()
	db, _, fault := faulty(t)
	var kept context.Context
	calls := 0
	fault.OnCall("exec COMMIT", func() { backend.AfterCommit(kept, func(context.Context) { calls++ }) })
	require.NoError(t, db.Tx(t.Context(), func(ctx context.Context) error {
		kept = ctx
		return insert(ctx, db, 1)
	}))
	require.Equal(t, 1, calls)
}

// What is committed is answered as done: a panic of AfterCommit is logged with its
// stack, and the other functions run.
func TestAfterCommitThatPanics(t *testing.T) {
	t.Parallel()
	backendtest.EachDB(t, func(t *testing.T, db *backend.DB) {
		numberTable(t, db)
		var log bytes.Buffer
		calls := 0
		logic := backend.NewLogic(db, nil, backend.LogicConfig{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		type in struct {
			Nested bool `json:"nested"`
		}
		logic.Add(backend.Mutation("add", backend.Public, func(ctx context.Context, in in) (int, error) {
			add := func(ctx context.Context) error {
				backend.AfterCommit(ctx, func(context.Context) { panic("boom") })
				backend.AfterCommit(ctx, func(context.Context) { calls++ })
				return insert(ctx, db, calls+1)
			}
			if in.Nested {
				return 1, db.Tx(ctx, add)
			}
			return 1, add(ctx)
		}, backend.Route("POST /add")))
		rest := logic.REST()
		for i, body := range []string{`{"nested":false}`, `{"nested":true}`} {
			r := httptest.NewRequest("POST", "/add", strings.NewReader(body))
			r.Header.Set("Content-Type", "application/json")
			w := httptest.NewRecorder()
			rest.ServeHTTP(w, r)
			require.Less(t, w.Code, 300, w.Body)
			require.Equal(t, i+1, calls)
			n, err := backend.One[int](t.Context(), db, "SELECT count(*) FROM t")
			require.NoError(t, err)
			require.Equal(t, i+1, n)
			require.Equal(t, i+1, strings.Count(log.String(), "panic: boom"))
			require.Contains(t, log.String(), "TestAfterCommitThatPanics", "the stack")
		}

		require.NoError(t, db.Tx(t.Context(), func(ctx context.Context) error {
			backend.AfterCommit(ctx, func(context.Context) { panic(errors.New("a panic outside of an operation")) })
			return insert(ctx, db, 10)
		}))
		backend.AfterCommit(t.Context(), func(context.Context) { panic("a panic without a transaction") })
	})
}

// The outermost transaction counts, of whichever database it is.
func TestAfterCommitOfTwoDatabases(t *testing.T) {
	t.Parallel()
	outer, inner := backendtest.NewDB(t, backend.SQLite), backendtest.NewDB(t, backend.SQLite)
	numberTable(t, outer)
	numberTable(t, inner)
	stop := errors.New("stop")
	for _, result := range []error{stop, nil} {
		calls := 0
		err := outer.Tx(t.Context(), func(ctx context.Context) error {
			require.NoError(t, inner.Tx(ctx, func(ctx context.Context) error {
				backend.AfterCommit(ctx, func(context.Context) { calls++ })
				return nil
			}))
			require.Zero(t, calls)
			return result
		})
		require.Equal(t, result, err)
		require.Equal(t, result == nil, calls == 1)
	}
}

// A goroutine that is left behind with a nested transaction can neither keep
// nor undo what others did.
func TestNestedTransactionLeftBehind(t *testing.T) {
	t.Parallel()
	backendtest.EachDB(t, func(t *testing.T, db *backend.DB) {
		numberTable(t, db)
		for _, depth := range []int{1, 2} {
			opened, resume, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
			leave := func(ctx context.Context) error {
				go func() {
					done <- db.Tx(ctx, func(ctx context.Context) error {
						if err := insert(ctx, db, 10*depth); err != nil {
							return err
						}
						close(opened)
						<-resume
						return insert(ctx, db, 10*depth+1)
					})
				}()
				<-opened
				return nil
			}
			err := db.Tx(t.Context(), func(ctx context.Context) error {
				if depth == 1 {
					return leave(ctx)
				}
				require.NoError(t, insert(ctx, db, 1))
				require.ErrorContains(t, db.Tx(ctx, leave), "still open")
				close(resume)
				require.ErrorContains(t, <-done, "has ended")
				return insert(ctx, db, 2)
			})
			if depth == 1 {
				require.ErrorContains(t, err, "still open")
				close(resume)
				require.ErrorContains(t, <-done, "has ended")
			} else {
				require.NoError(t, err)
			}
		}
		got, err := backend.All[int](t.Context(), db, "SELECT id FROM t ORDER BY id")
		require.NoError(t, err)
		require.Equal(t, []int{1, 2}, got)
	})
}

// An engine's answer to COMMIT that says that the connection was killed does
// not say whether it was committed.
func TestCommitThatWasKilled(t *testing.T) {
	t.Parallel()
	for number, unknown := range map[uint16]bool{
		1927: true,  // ER_CONNECTION_KILLED
		1317: true,  // ER_QUERY_INTERRUPTED
		1213: false, // ER_LOCK_DEADLOCK
	} {
		db, _, fault := faulty(t)
		runs := 0
		err := db.Tx(t.Context(), func(ctx context.Context) error {
			runs++
			if runs == 1 {
				mode := faultdb.Before
				if unknown {
					mode = faultdb.After
				}
				fault.FailCall("exec COMMIT", mode, &mysql.MySQLError{Number: number})
			}
			return insert(ctx, db, 1)
		})
		if unknown {
			require.ErrorIs(t, err, backend.ErrCommitUnknown, number)
			require.Equal(t, 1, runs)
		} else {
			require.NoError(t, err)
			require.Equal(t, 2, runs)
		}
	}
}

// A statement on its own is a transaction, too, and runs again when it lost.
func TestLostStatementsRunAgain(t *testing.T) {
	t.Parallel()
	db, _, fault := faulty(t)
	lost := &mysql.MySQLError{Number: 1213} // ER_LOCK_DEADLOCK
	fault.FailCall("execute statement", faultdb.Before, lost)
	require.NoError(t, insert(t.Context(), db, 1))
	require.Equal(t, "execute statement", fault.Hit())
	fault.FailCall("query statement", faultdb.Before, lost)
	got, err := backend.All[int](t.Context(), db, "SELECT id FROM t WHERE id = ?", 1)
	require.NoError(t, err)
	require.Equal(t, []int{1}, got)

	// Not once there are rows, which would be there twice.
	fault.FailCall("next row", faultdb.After, lost)
	_, err = backend.All[int](t.Context(), db, "SELECT id FROM t WHERE id = ?", 1)
	require.Equal(t, backend.Conflict, backend.CodeOf(err))
}

// A transaction that failed is over when Tx returns, its locks with it, and its
// connection goes on: closing it would end the transaction some time later, and
// cost a new connection.
func TestRollbackKeepsItsConnection(t *testing.T) {
	t.Parallel()
	identity := map[backend.Engine]backend.Fragment{
		backend.Postgres: backend.SQL("SELECT pg_backend_pid()"), backend.MySQL: backend.SQL("SELECT CONNECTION_ID()"),
	}
	for engine, query := range identity {
		t.Run(string(engine), func(t *testing.T) {
			t.Parallel()
			db, err := backend.Open(t.Context(), backendtest.NewURL(t, engine), backend.DBConfig{MaxConns: 1})
			require.NoError(t, err)
			defer db.Close()
			before, err := backend.One[int64](t.Context(), db, "?", query)
			require.NoError(t, err)
			refused := errors.New("no")
			for name, f := range map[string]func(ctx context.Context) error{
				"error":          func(context.Context) error { return refused },
				"database error": func(ctx context.Context) error { _, err := db.Exec(ctx, "INSERT INTO nothing VALUES (1)"); return err },
				"panic":          func(context.Context) error { panic("no") },
				"nested": func(ctx context.Context) error {
					return db.Tx(ctx, func(context.Context) error { return refused })
				},
			} {
				func() {
					defer func() { _ = recover() }()
					require.Error(t, db.Tx(t.Context(), func(ctx context.Context) error {
						_, err := backend.One[int](ctx, db, "SELECT 1")
						require.NoError(t, err)
						return f(ctx)
					}))
				}()
				after, err := backend.One[int64](t.Context(), db, "?", query)
				require.NoError(t, err)
				require.Equal(t, before, after, name)
			}
		})
	}
}

// No statement of a text ends the transaction that it is in: Tx would say that all was
// undone, and it was not.
func TestTransactionsCannotBeEndedByALaterStatement(t *testing.T) {
	t.Parallel()
	backendtest.EachDB(t, func(t *testing.T, db *backend.DB) {
		_, err := db.Exec(t.Context(), "CREATE TABLE ended (n INTEGER)")
		require.NoError(t, err)
		for name, f := range map[string]func(ctx context.Context) error{
			"COMMIT": func(ctx context.Context) error {
				_, err := db.Exec(ctx, "INSERT INTO ended VALUES (2); COMMIT")
				return err
			},
			"nothing":  func(ctx context.Context) error { _, err := db.Exec(ctx, ";COMMIT"); return err },
			"ROLLBACK": func(ctx context.Context) error { _, err := db.Exec(ctx, "SELECT 1; ROLLBACK; BEGIN"); return err },
			"a query":  func(ctx context.Context) error { _, err := backend.One[int](ctx, db, "SELECT 1; COMMIT"); return err },
			"a fragment": func(ctx context.Context) error {
				_, err := db.Exec(ctx, "?", backend.UnsafeSQL("INSERT INTO ended VALUES (3);\n-- done\ncommit"))
				return err
			},
		} {
			require.ErrorContains(t, f(t.Context()), "use DB.Tx", "%s, outside of a transaction", name)
			err := db.Tx(t.Context(), func(ctx context.Context) error {
				if _, err := db.Exec(ctx, "INSERT INTO ended VALUES (1)"); err != nil {
					return err
				}
				return f(ctx)
			})
			require.ErrorContains(t, err, "use DB.Tx", name)
			n, err := backend.One[int](t.Context(), db, "SELECT COUNT(*) FROM ended")
			require.NoError(t, err)
			require.Zero(t, n, name)
		}
	})
}

// exploding is a value that cannot be read.
type exploding struct{}

func (*exploding) Scan(any) error { panic("boom") }

// A function that recovers from a panic in a query has lost the connection. Nothing was
// committed, and that is certain.
func TestRecoveredPanicInATransaction(t *testing.T) {
	t.Parallel()
	for _, engine := range []backend.Engine{backend.SQLite, backend.Postgres, backend.MySQL} {
		t.Run(string(engine), func(t *testing.T) {
			t.Parallel()
			db := backendtest.NewDB(t, engine, backend.DBConfig{MaxConns: 1, Timeout: 5 * time.Second})
			numberTable(t, db)
			err := db.Tx(t.Context(), func(ctx context.Context) error {
				require.NoError(t, insert(ctx, db, 1))
				require.PanicsWithValue(t, "boom", func() { backend.All[exploding](ctx, db, "SELECT id FROM t") })
				backend.AfterCommit(ctx, func(context.Context) { t.Error("nothing was committed") })
				return nil
			})
			require.Error(t, err)
			require.NotErrorIs(t, err, backend.ErrCommitUnknown)
			n, err := backend.One[int](t.Context(), db, "SELECT count(*) FROM t")
			require.NoError(t, err)
			require.Zero(t, n)
		})
	}
}
