//go:build unix

package pgconn_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend/internal/pgconn"
)

// fill opens n connections and leaves them idle in the pool.
func fill(t *testing.T, db *sql.DB, n int) (pids []int) {
	t.Helper()
	db.SetMaxIdleConns(n)
	conns := make([]*sql.Conn, n)
	for i := range conns {
		var err error
		conns[i], err = db.Conn(t.Context())
		require.NoError(t, err)
		var pid int
		require.NoError(t, conns[i].QueryRowContext(t.Context(), "SELECT pg_backend_pid() + $1::int", 0).Scan(&pid))
		pids = append(pids, pid)
	}
	for _, conn := range conns {
		require.NoError(t, conn.Close())
	}
	return pids
}

func TestKilledBackendsHeal(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		use  func(db *sql.DB) error
	}{
		{"query", func(db *sql.DB) error {
			var n int
			return db.QueryRow("SELECT $1::int", 1).Scan(&n)
		}},
		{"exec", func(db *sql.DB) error { _, err := db.Exec("SELECT 1"); return err }},
		{"transaction", func(db *sql.DB) error {
			tx, err := db.Begin()
			if err != nil {
				return err
			}
			return tx.Commit()
		}},
		{"ping", func(db *sql.DB) error { return db.Ping() }},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			u := server(t)
			db, admin := open(t, u, pgconn.Config{}), open(t, u, pgconn.Config{})
			for range 3 {
				for _, pid := range fill(t, db, 5) {
					mustExec(t, admin, "SELECT pg_terminate_backend($1, 5000)", pid)
				}
				for range 6 {
					require.NoError(t, test.use(db), "the caller notices nothing")
				}
			}
		})
	}
}

// The backend dies while the statement runs: the caller must hear of it, because
// nobody knows what it did, and it must not be run twice.
func TestKilledWhileRunning(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"SELECT pg_sleep(30)", "SELECT pg_terminate_backend(pg_backend_pid())"} {
		for _, tx := range []bool{false, true} {
			u := server(t)
			db, admin := open(t, u, pgconn.Config{}), open(t, u, pgconn.Config{})
			c, conn := session(t, db)
			pid := backendPID(t, c)
			if tx {
				require.NoError(t, c.StartTx(t.Context(), "BEGIN"))
			}
			var killed sync.WaitGroup
			killed.Go(func() {
				for ended := false; !ended && text == "SELECT pg_sleep(30)"; {
					_ = admin.QueryRow("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE pid = $1 AND query = $2", pid, text).Scan(&ended)
				}
			})
			_, err := c.ExecContext(t.Context(), text, nil)
			killed.Wait()
			require.ErrorIs(t, err, pgconn.ErrConnectionLost)
			require.NotErrorIs(t, err, driver.ErrBadConn)
			require.ErrorContains(t, err, "terminating connection due to administrator command (57P01)")
			if tx {
				require.ErrorIs(t, c.Commit(t.Context()), driver.ErrBadConn)
				require.ErrorIs(t, c.Rollback(t.Context()), driver.ErrBadConn)
			}
			require.False(t, c.IsValid())
			_ = conn.Close()
			require.NoError(t, db.Ping())
		}
	}
}

func TestLostConnectionIsRepeatedOnlyIfNothingRan(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, cut string
		forward   bool
		run       func(db *sql.DB) error
		want      error // nil: healed
		rows      int
	}{
		{"exec, never arrived", "INSERT INTO a VALUES (1)", false,
			func(db *sql.DB) error { _, err := db.Exec("INSERT INTO a VALUES (1)"); return err }, pgconn.ErrConnectionLost, 0},
		{"exec, answer lost", "INSERT INTO a VALUES (1)", true,
			func(db *sql.DB) error { _, err := db.Exec("INSERT INTO a VALUES (1)"); return err }, pgconn.ErrConnectionLost, 1},
		{"prepare lost", "INSERT INTO a VALUES ($1)", true,
			func(db *sql.DB) error { _, err := db.Exec("INSERT INTO a VALUES ($1)", 1); return err }, nil, 1},
		{"begin lost", "BEGIN", true,
			func(db *sql.DB) error {
				tx, err := db.Begin()
				if err != nil {
					return err
				}
				if _, err = tx.Exec("INSERT INTO a VALUES (1)"); err != nil {
					return err
				}
				return tx.Commit()
			}, nil, 1},
		{"in a transaction", "INSERT INTO a VALUES (1)", false,
			func(db *sql.DB) error {
				tx, err := db.Begin()
				if err != nil {
					return err
				}
				defer tx.Rollback()
				_, err = tx.Exec("INSERT INTO a VALUES (1)")
				return err
			}, pgconn.ErrConnectionLost, 0},
		{"prepare in a transaction", "INSERT INTO a VALUES ($1)", false,
			func(db *sql.DB) error {
				tx, err := db.Begin()
				if err != nil {
					return err
				}
				defer tx.Rollback()
				_, err = tx.Exec("INSERT INTO a VALUES ($1)", 1)
				return err
			}, pgconn.ErrConnectionLost, 0},
		{"commit, never arrived", "COMMIT", false, insertInTx, pgconn.ErrCommitUnknown, 0},
		{"commit, answer lost", "COMMIT", true, insertInTx, pgconn.ErrCommitUnknown, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			u := server(t)
			p := newProxy(t, u.Host)
			db, aside := open(t, at(u, p.addr()), pgconn.Config{}), open(t, u, pgconn.Config{})
			mustExec(t, aside, "CREATE TABLE a (id int)")
			require.NoError(t, db.Ping())
			p.cutAt(test.cut, test.forward)
			err := test.run(db)
			if test.want == nil {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, test.want)
				require.NotErrorIs(t, err, driver.ErrBadConn)
			}
			soon(t, "the server does what arrived", func() bool {
				var n int
				return aside.QueryRow("SELECT count(*) FROM a").Scan(&n) == nil && n == test.rows
			})
			require.NoError(t, db.Ping())
		})
	}
}

func insertInTx(db *sql.DB) error {
	tx, err := db.Begin()
	if err != nil {
		return err
	}
	if _, err := tx.Exec("INSERT INTO a VALUES (1)"); err != nil {
		return err
	}
	return tx.Commit()
}

func TestCommitErrors(t *testing.T) {
	t.Parallel()
	db := open(t, server(t), pgconn.Config{})
	mustExec(t, db, "CREATE TABLE a (id int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED)")
	c, _ := session(t, db)
	ctx := t.Context()
	begin := func() { require.NoError(t, c.StartTx(ctx, "BEGIN")) }

	begin()
	_, err := c.ExecContext(ctx, "SELECT 1/0", nil)
	require.Equal(t, "22012", code(t, err))
	require.ErrorIs(t, c.Commit(ctx), pgconn.ErrTxAborted)
	require.True(t, c.IsValid())

	begin()
	_, err = c.ExecContext(ctx, "INSERT INTO a VALUES (1), (1)", nil)
	require.NoError(t, err)
	err = c.Commit(ctx)
	require.Equal(t, "23505", code(t, err))
	require.NotErrorIs(t, err, pgconn.ErrCommitUnknown)
	require.True(t, c.IsValid())

	begin()
	_, err = c.ExecContext(ctx, "COMMIT", nil) // behind our back
	require.NoError(t, err)
	require.ErrorIs(t, c.Commit(ctx), pgconn.ErrNoTx)
	require.True(t, c.IsValid())

	_, err = c.ExecContext(ctx, "BEGIN", nil)
	require.NoError(t, err)
	require.False(t, c.IsValid(), "the next user must not find a transaction")
	require.ErrorIs(t, c.StartTx(ctx, "BEGIN"), pgconn.ErrTxOpen)
	require.NoError(t, c.Rollback(ctx))
	require.True(t, c.IsValid())
}

// Not parallel with itself: COMMIT may not be cancelled, so a context that ends
// during a slow one waits for the answer, briefly.
func TestCommitIsNotCancelled(t *testing.T) {
	timely(t, func(clock *clock) {
		db := open(t, server(t), pgconn.Config{})
		mustExec(t, db, "CREATE TABLE a (id int)")
		mustExec(t, db, `CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(NEW.id / 1000.0); RETURN NULL; END $$`)
		mustExec(t, db, `CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON a DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION slow()`)
		for _, test := range []struct {
			name     string
			sleep    int
			unknown  bool
			expected int
		}{{"a little late", 60, false, 1}, {"too late", 700, true, 1}} {
			c, conn := session(t, db)
			require.NoError(t, c.StartTx(t.Context(), "BEGIN"))
			_, err := c.ExecContext(t.Context(), "INSERT INTO a VALUES ($1)", args(int64(test.sleep)))
			require.NoError(t, err)
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			took := timed(func() { err = c.Commit(ctx) })
			cancel()
			clock.within(took, 20*time.Millisecond+within, "to commit")
			switch {
			case test.unknown:
				require.ErrorIs(t, err, pgconn.ErrCommitUnknown)
				require.ErrorIs(t, err, context.DeadlineExceeded)
			case errors.Is(err, pgconn.ErrCommitUnknown):
				clock.expect(false, "the server was too busy to commit")
			default:
				require.NoError(t, err)
			}
			_ = conn.Close()
			soon(t, "the transaction commits", func() bool {
				var n int
				return db.QueryRow("SELECT count(*) FROM a WHERE id = $1", test.sleep).Scan(&n) == nil && n == test.expected
			})
		}
	})
}

func TestConnectionInATransactionDoesNotGoBack(t *testing.T) {
	t.Parallel()
	db := open(t, server(t), pgconn.Config{})
	db.SetMaxOpenConns(1)
	mustExec(t, db, "CREATE TABLE a (id int)")
	mustExec(t, db, "BEGIN")
	mustExec(t, db, "INSERT INTO a VALUES (1)") // on a new connection, outside it
	conn, err := db.Conn(t.Context())
	require.NoError(t, err)
	require.NoError(t, conn.Raw(func(dc any) error {
		c := dc.(*pgconn.Conn)
		return errors.Join(c.StartTx(t.Context(), "BEGIN"), func() error {
			_, err := c.ExecContext(t.Context(), "INSERT INTO a VALUES (2)", nil)
			return err
		}())
	}))
	require.NoError(t, conn.Close())
	var n int
	require.NoError(t, db.QueryRow("SELECT sum(id) FROM a").Scan(&n))
	require.Equal(t, 1, n)
}

// A server that turns out to be read-only, or says that it is going, costs the
// whole pool its idle connections: they lead to the same server.
func TestFailoverEmptiesThePool(t *testing.T) {
	t.Parallel()
	raise := func(code string) string {
		return "DO $$ BEGIN RAISE EXCEPTION SQLSTATE '" + code + "'; END $$"
	}
	for _, test := range []struct {
		name, text string
		params     map[string]string
		emptied    bool
	}{
		{"25006", "SET TRANSACTION READ ONLY; CREATE TABLE b ()", nil, true},
		{"57P01", raise("57P01"), nil, true},
		{"57P02", raise("57P02"), nil, true},
		{"57P03", raise("57P03"), nil, true},
		{"08006", raise("08006"), nil, true},
		{"08P01", raise("08P01"), nil, false},
		{"23505", raise("23505"), nil, false},
		{"25006 where it is wanted", "SET TRANSACTION READ ONLY; CREATE TABLE b ()", map[string]string{"target_session_attrs": "prefer-standby"}, false},
		{"25006 where it is the default", "CREATE TABLE b ()", map[string]string{"default_transaction_read_only": "on"}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			u := server(t)
			for key, value := range test.params {
				set(u, key, value)
			}
			db := open(t, u, pgconn.Config{})
			before := fill(t, db, 3)
			_, err := db.Exec(test.text)
			require.Equal(t, test.name[:5], code(t, err))
			after := fill(t, db, 3)
			if test.emptied {
				for _, pid := range after {
					require.NotContains(t, before, pid)
				}
			} else {
				require.ElementsMatch(t, before, after)
			}
		})
	}
}

func TestReadOnlyTransactionIsNoFailover(t *testing.T) {
	t.Parallel()
	db := open(t, server(t), pgconn.Config{})
	c, _ := session(t, db)
	for _, begin := range []string{"BEGIN READ ONLY", "begin isolation level repeatable read read only"} {
		require.NoError(t, c.StartTx(t.Context(), begin))
		_, err := c.ExecContext(t.Context(), "CREATE TABLE b ()", nil)
		require.Equal(t, "25006", code(t, err))
		require.NoError(t, c.Rollback(t.Context()))
		require.True(t, c.IsValid())
	}
}

// A server of the test's own is restarted, by shutting down and by crashing.
func TestRestartedServerHeals(t *testing.T) {
	cl := newCluster(t)
	db := open(t, withSchema(t, cl.url(t).String()), pgconn.Config{})
	db.SetMaxOpenConns(8)
	mustExec(t, db, "CREATE TABLE a (id int)")
	for _, mode := range []string{"fast", "immediate"} {
		t.Run(mode, func(t *testing.T) {
			fill(t, db, 8)
			held, err := db.Conn(t.Context())
			require.NoError(t, err)
			tx, err := db.BeginTx(t.Context(), nil)
			require.NoError(t, err)
			_, err = tx.Exec("INSERT INTO a VALUES ($1)", 1)
			require.NoError(t, err)

			cl.run(t, "pg_ctl", "-D", cl.data(), "-w", "-m", mode, "stop")
			require.Less(t, timed(func() { require.Error(t, db.Ping()) }), 2*time.Second, "down, and says so")
			cl.start(t)

			var failed sync.Map
			var users sync.WaitGroup
			for user := range 6 {
				users.Go(func() {
					for range 5 {
						if _, err := db.Exec("INSERT INTO a VALUES ($1)", user+10); err != nil {
							failed.Store(user, err)
						}
					}
				})
			}
			users.Wait()
			failed.Range(func(user, err any) bool {
				require.NoError(t, err.(error), fmt.Sprint(user))
				return true
			})
			require.Error(t, tx.Commit())
			_ = held.Close()
			var n int
			require.NoError(t, db.QueryRow("SELECT count(*) FROM a WHERE id = $1", 1).Scan(&n))
			require.Zero(t, n)
			require.LessOrEqual(t, db.Stats().OpenConnections, 8)
			require.Zero(t, db.Stats().InUse, "no connection is stuck")
		})
	}
}

// Changed parameters and notices may come to an idle connection. They are no
// reason to drop it.
func TestIdleMessagesKeepTheConnection(t *testing.T) {
	cl := newCluster(t)
	db := open(t, cl.url(t), pgconn.Config{})
	pid := fill(t, db, 1)[0]
	admin := open(t, cl.url(t), pgconn.Config{})
	mustExec(t, admin, "ALTER SYSTEM SET IntervalStyle = 'iso_8601'") // reported to every client
	mustExec(t, admin, "SELECT pg_reload_conf()")
	soon(t, "the setting arrives", func() bool {
		var style string
		c, conn := session(t, db)
		defer conn.Close()
		require.Equal(t, pid, backendPID(t, c))
		return conn.QueryRowContext(t.Context(), "SHOW IntervalStyle").Scan(&style) == nil && style == "iso_8601"
	})
}
