//go:build unix

package pgconn_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend/internal/pgconn"
)

// operations are what can be under way when the server stalls. Each is prepared
// while it still answers.
var operations = []struct {
	name    string
	prepare func(t *testing.T, c *pgconn.Conn) any
	run     func(ctx context.Context, c *pgconn.Conn, state any) error
}{
	{"query", nil, func(ctx context.Context, c *pgconn.Conn, _ any) error {
		_, err := all(ctx, c, "SELECT 1")
		return err
	}},
	{"prepared query", keptStatement, func(ctx context.Context, c *pgconn.Conn, _ any) error {
		_, err := all(ctx, c, "SELECT $1::int", "1")
		return err
	}},
	{"prepare", nil, func(ctx context.Context, c *pgconn.Conn, _ any) error {
		_, err := all(ctx, c, "SELECT $1::int", "1")
		return err
	}},
	{"exec", keptStatement, func(ctx context.Context, c *pgconn.Conn, _ any) error {
		_, err := c.ExecContext(ctx, "SELECT $1::int", args("1"))
		return err
	}},
	{"large argument", largeArgument, func(ctx context.Context, c *pgconn.Conn, large any) error {
		_, err := c.ExecContext(ctx, "SELECT length($1::text)", args(large))
		return err
	}},
	{"ping", nil, func(ctx context.Context, c *pgconn.Conn, _ any) error { return c.Ping(ctx) }},
	{"begin", keptStatement, func(ctx context.Context, c *pgconn.Conn, _ any) error {
		if err := c.StartTx(ctx, "BEGIN"); err != nil {
			return err
		}
		_, err := all(ctx, c, "SELECT $1::int", "1")
		return err
	}},
	{"begin of database/sql", nil, func(ctx context.Context, c *pgconn.Conn, _ any) error {
		_, err := c.BeginTx(ctx, driver.TxOptions{})
		return err
	}},
	{"commit", begun, func(ctx context.Context, c *pgconn.Conn, _ any) error { return c.Commit(ctx) }},
	{"rollback", begun, func(ctx context.Context, c *pgconn.Conn, _ any) error { return c.Rollback(ctx) }},
}

func keptStatement(t *testing.T, c *pgconn.Conn) any {
	mustAll(t, c, "SELECT $1::int", "1")
	return nil
}

func largeArgument(t *testing.T, c *pgconn.Conn) any {
	large := strings.Repeat("x", 16<<20)
	mustAll(t, c, "SELECT length($1::text)", large)
	return large
}

func begun(t *testing.T, c *pgconn.Conn) any {
	require.NoError(t, c.StartTx(t.Context(), "BEGIN"))
	mustAll(t, c, "SELECT 1")
	return nil
}

// Not parallel: it measures time, on purpose and with a generous bound.
func TestDeadlinesHoldWhenTheServerStalls(t *testing.T) {
	const deadline = 60 * time.Millisecond
	u := stoppable(t)
	var worst time.Duration
	for _, how := range []string{"stopped process", "black hole"} {
		for _, ending := range []string{"deadline", "cancellation"} {
			for _, op := range operations {
				t.Run(how+"/"+ending+"/"+op.name, func(t *testing.T) {
					timely(t, func(clock *clock) {
						p := newProxy(t, u.Host)
						db := open(t, at(u, p.addr()), pgconn.Config{})
						c, conn := session(t, db)
						var state any
						prepared := timed(func() {
							if op.prepare != nil {
								state = op.prepare(t, c)
							}
						})
						if how == "black hole" {
							p.blackhole()
						} else {
							stall(t, backendPID(t, c))
						}
						ctx, cancel, want := context.Context(nil), context.CancelFunc(nil), context.DeadlineExceeded
						start := time.Now()
						if ending == "deadline" {
							ctx, cancel = context.WithTimeout(t.Context(), deadline)
						} else {
							ctx, cancel = context.WithCancel(t.Context())
							time.AfterFunc(deadline, cancel)
							want = context.Canceled
						}
						defer cancel()
						err := op.run(ctx, c, state)
						late := time.Since(start) - deadline
						worst = max(worst, late)
						require.ErrorIs(t, err, want)
						require.NotErrorIs(t, err, driver.ErrBadConn)
						require.Equal(t, op.name == "commit", errors.Is(err, pgconn.ErrCommitUnknown))
						most := within
						if op.name == "large argument" {
							most += prepared // to make the message is work that no deadline ends
						}
						clock.within(late, most, "to return after the context's end")
						require.GreaterOrEqual(t, late, time.Duration(0))

						require.False(t, c.IsValid())
						clock.within(timed(func() {
							_, err := c.QueryContext(t.Context(), "SELECT 1", nil)
							require.ErrorIs(t, err, driver.ErrBadConn)
							_ = conn.Close()
						}), within, "what comes after the stalled server")
					})
				})
			}
		}
	}
	t.Logf("the latest return was %v after the context's end", worst)
}

func TestDeadlinesHoldWhileReadingRows(t *testing.T) {
	u := server(t)
	timely(t, func(clock *clock) {
		p := newProxy(t, u.Host)
		db := open(t, at(u, p.addr()), pgconn.Config{})
		c, _ := session(t, db)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		// In FROM, the server would make all of the series before it sent the first row.
		rows, err := c.QueryContext(ctx, "SELECT repeat('x', 1000) || generate_series(1, 1000000)", nil)
		require.NoError(t, err)
		row := make([]driver.Value, 1)
		require.NoError(t, rows.Next(row))
		p.blackhole()
		for err == nil {
			err = rows.Next(row)
		}
		deadline, _ := ctx.Deadline()
		clock.within(time.Since(deadline), within, "to return after the deadline")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorIs(t, rows.Next(row), context.DeadlineExceeded, "the error stays")
		require.NoError(t, rows.Close())
		require.False(t, c.IsValid())
	})
}

func TestClosingStalledRowsDoesNotHang(t *testing.T) {
	u := server(t)
	timely(t, func(clock *clock) {
		p := newProxy(t, u.Host)
		c, _ := session(t, open(t, at(u, p.addr()), pgconn.Config{}))
		ctx, cancel := context.WithCancel(t.Context())
		rows, err := c.QueryContext(ctx, "SELECT repeat('x', 1000) FROM generate_series(1, 1000000)", nil)
		require.NoError(t, err)
		p.blackhole()
		time.AfterFunc(50*time.Millisecond, cancel)
		clock.within(timed(func() { require.ErrorIs(t, rows.Close(), context.Canceled) }), 50*time.Millisecond+within, "to close the rows")
	})
}

func TestClosingAStalledConnectionDoesNotHang(t *testing.T) {
	u := server(t)
	timely(t, func(clock *clock) {
		p := newProxy(t, u.Host)
		db := open(t, at(u, p.addr()), pgconn.Config{})
		c, conn := session(t, db)
		backendPID(t, c)
		p.blackhole()
		require.NoError(t, conn.Close())
		clock.within(timed(func() { require.NoError(t, db.Close()) }), within, "to close the pool")
	})
}

// Through database/sql, whose transactions have no context at their end.
func TestDatabaseSQLDoesNotHangOnAStalledServer(t *testing.T) {
	u := server(t)
	timely(t, func(clock *clock) {
		p := newProxy(t, u.Host)
		db := open(t, at(u, p.addr()), pgconn.Config{})
		ctx, cancel := context.WithTimeout(t.Context(), 150*time.Millisecond)
		defer cancel()
		tx, err := db.BeginTx(ctx, nil)
		if clock.expect(err == nil, "the server was too busy to begin a transaction"); err != nil {
			return
		}
		p.blackhole()
		deadline, _ := ctx.Deadline()
		_, err = tx.ExecContext(ctx, "SELECT 1")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		clock.within(time.Since(deadline), within, "to return after the deadline")
		clock.within(timed(func() { _ = tx.Rollback() }), within, "to roll back")
		ctx, cancel = context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		clock.within(timed(func() {
			require.ErrorIs(t, db.PingContext(ctx), context.DeadlineExceeded)
		}), 100*time.Millisecond+within, "a new connection, which stalls, too,")
	})
}

func TestConnectingKeepsDeadlines(t *testing.T) {
	u := server(t)
	p := newProxy(t, u.Host)
	p.blackhole() // accepts, and never answers the startup message
	full, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer full.Close()
	for _, mode := range []string{"disable", "require", "prefer"} {
		for _, how := range []string{"deadline", "cancellation", "dial timeout"} {
			t.Run(mode+"/"+how, func(t *testing.T) {
				timely(t, func(clock *clock) {
					const after = 150 * time.Millisecond
					slow := at(u, p.addr())
					set(slow, "sslmode", mode)
					config := pgconn.Config{}
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					want := context.Canceled
					switch how {
					case "deadline":
						ctx, cancel = context.WithTimeout(ctx, after)
						defer cancel()
						want = context.DeadlineExceeded
					case "cancellation":
						time.AfterFunc(after, cancel)
					case "dial timeout":
						config.DialTimeout = after
						want = os.ErrDeadlineExceeded
					}
					connector, err := pgconn.NewConnector(slow.String(), config)
					require.NoError(t, err)
					took := timed(func() { _, err = connector.Connect(ctx) })
					require.ErrorIs(t, err, want)
					tries := time.Duration(1)
					if mode == "prefer" && how == "dial timeout" {
						tries = 2 // each of the two has its own time
					}
					clock.within(took, tries*after+within, "to connect in vain")
				})
			})
		}
	}
}

// One dead host of two must not use up the time of both.
func TestConnectingTriesTheNextHost(t *testing.T) {
	u := server(t)
	dead, alive := newProxy(t, u.Host), newProxy(t, u.Host)
	dead.blackhole()
	two := *u
	two.Host = "127.0.0.1,127.0.0.1"
	_, first, err := net.SplitHostPort(dead.addr())
	require.NoError(t, err)
	_, second, err := net.SplitHostPort(alive.addr())
	require.NoError(t, err)
	set(&two, "port", first+","+second)
	connector, err := pgconn.NewConnector(two.String(), pgconn.Config{})
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	conn, err := connector.Connect(ctx)
	require.NoError(t, err)
	require.NoError(t, conn.Close())
}

// A server that answers is asked to cancel, and the connection goes on.
func TestCancellationKeepsTheConnection(t *testing.T) {
	for _, test := range []struct {
		name, text string
		values     []any
	}{
		{"no arguments", "SELECT pg_sleep(30)", nil},
		{"prepared", "SELECT pg_sleep($1)", []any{"30"}},
		{"while reading", "SELECT pg_sleep(0.001 * x) FROM generate_series(1, $1) x", []any{"1000"}},
	} {
		for _, ending := range []string{"deadline", "cancellation"} {
			t.Run(test.name+"/"+ending, func(t *testing.T) {
				t.Parallel()
				timely(t, func(clock *clock) {
					c, _ := session(t, open(t, server(t), pgconn.Config{}))
					pid := backendPID(t, c)
					for range 3 {
						ctx, cancel := context.WithCancel(t.Context())
						defer cancel()
						want := context.Canceled
						if ending == "deadline" {
							ctx, cancel = context.WithTimeout(ctx, 50*time.Millisecond)
							defer cancel()
							want = context.DeadlineExceeded
						} else {
							time.AfterFunc(50*time.Millisecond, cancel)
						}
						_, err := all(ctx, c, test.text, test.values...)
						require.ErrorIs(t, err, want)
						if clock.expect(c.IsValid(), "the server was too busy to cancel the statement"); !c.IsValid() {
							return
						}
						require.Equal(t, "57014", code(t, err))
						require.Equal(t, pid, backendPID(t, c), "the same session, and its next statement is not cancelled")
					}
				})
			})
		}
	}
}

func TestCancellationInsideATransaction(t *testing.T) {
	timely(t, func(clock *clock) {
		c, _ := session(t, open(t, server(t), pgconn.Config{}))
		pid := backendPID(t, c)
		require.NoError(t, c.StartTx(t.Context(), "BEGIN"))
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		_, err := c.ExecContext(ctx, "SELECT pg_sleep(30)", nil)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		err = c.Commit(t.Context())
		if errors.Is(err, driver.ErrBadConn) {
			clock.expect(false, "the server was too busy to cancel the statement")
			return
		}
		require.ErrorIs(t, err, pgconn.ErrTxAborted)
		require.Equal(t, pid, backendPID(t, c))
		require.True(t, c.IsValid())
	})
}

// Contexts that end while statements end: whatever wins, the next statement on
// the connection is not hit, and results are its own.
func TestCancellationRacesWithTheEnd(t *testing.T) {
	t.Parallel()
	db := open(t, server(t), pgconn.Config{})
	db.SetMaxOpenConns(2)
	for i := range 150 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*20*time.Microsecond)
		var n int
		err := db.QueryRowContext(ctx, "SELECT x FROM generate_series($1::int, $1::int) x, pg_sleep(0.001)", i).Scan(&n)
		cancel()
		if err != nil {
			require.ErrorIs(t, err, context.DeadlineExceeded)
		} else {
			require.Equal(t, i, n)
		}
		require.NoError(t, db.QueryRowContext(t.Context(), "SELECT $1::int", i).Scan(&n))
		require.Equal(t, i, n)
	}
}

func TestEndedContextSendsNothing(t *testing.T) {
	t.Parallel()
	u := server(t)
	p := newProxy(t, u.Host)
	c, _ := session(t, open(t, at(u, p.addr()), pgconn.Config{}))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.Zero(t, p.count(func() {
		for _, op := range operations {
			if op.name == "commit" || op.name == "rollback" {
				continue
			}
			require.Equal(t, context.Canceled, op.run(ctx, c, nil), op.name)
		}
	}))
	require.NoError(t, c.StartTx(t.Context(), "BEGIN"))
	require.Zero(t, p.count(func() { require.Equal(t, context.Canceled, c.Commit(ctx)) }))
	require.NoError(t, c.Rollback(t.Context()), "the transaction is still open")
}

func TestClosingRowsEarly(t *testing.T) {
	for _, test := range []struct {
		name, text string
		tx         bool
		stopped    bool
	}{
		{"small rest", "SELECT x FROM generate_series(1, 1000) x", false, false},
		{"larger rest", "SELECT repeat('x', 1000) FROM generate_series(1, 20000) x", false, false},
		// Not at full speed: what is on its way when the server stops has to be read
		// in a tenth of a second.
		{"endless rest", "SELECT repeat('x', 10000), generate_series(1, 10000000), pg_sleep(0.001)", false, true},
		{"slow rest", "SELECT repeat('x', 20000), pg_sleep(x / 2) FROM generate_series(1, 1000) x", false, true},
		{"in a transaction", "SELECT repeat('x', 1000) FROM generate_series(1, 20000) x", true, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			timely(t, func(clock *clock) {
				c, _ := session(t, open(t, server(t), pgconn.Config{}))
				pid := backendPID(t, c)
				if test.tx {
					require.NoError(t, c.StartTx(t.Context(), "BEGIN"))
				}
				rows, err := c.QueryContext(t.Context(), test.text, nil)
				require.NoError(t, err)
				require.NoError(t, rows.Next(make([]driver.Value, len(rows.Columns()))))
				took := timed(func() { err = rows.Close() })
				clock.within(took, time.Second+within, "to close the rows")
				if test.stopped {
					if clock.expect(c.IsValid(), "the server was too busy to stop the statement"); !c.IsValid() {
						return
					}
					require.ErrorIs(t, err, pgconn.ErrRowsUnread)
				} else {
					require.NoError(t, err)
				}
				if test.tx {
					require.NoError(t, c.Commit(t.Context()))
				}
				require.Equal(t, pid, backendPID(t, c), "the connection goes on")
			})
		})
	}
}

// A statement that writes and returns rows takes effect although nobody reads them.
func TestClosingRowsEarlyKeepsWrites(t *testing.T) {
	t.Parallel()
	db := open(t, server(t), pgconn.Config{})
	mustExec(t, db, "CREATE TABLE a (id int, x text)")
	var id int
	require.NoError(t, db.QueryRow("INSERT INTO a SELECT x, repeat('x', 1000) FROM generate_series(1, $1::int) x RETURNING id", 5000).Scan(&id))
	var n int
	require.NoError(t, db.QueryRow("SELECT count(*) FROM a").Scan(&n))
	require.Equal(t, 5000, n)
}

// The number of goroutines is back where it was after everything that can end a
// call. Not parallel: it counts.
func TestNoGoroutineIsLeft(t *testing.T) {
	u := stoppable(t)
	for _, how := range []string{"cancelled", "stalled", "connecting", "killed", "rows left to the context"} {
		t.Run(how, func(t *testing.T) {
			base := runtime.NumGoroutine() + 1 // soon counts in a goroutine of its own
			p := newProxy(t, u.Host)
			connector, err := pgconn.NewConnector(at(u, p.addr()).String(), pgconn.Config{})
			require.NoError(t, err)
			db := sql.OpenDB(connector)
			for range 5 {
				ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
				switch how {
				case "cancelled":
					_, err = db.ExecContext(ctx, "SELECT pg_sleep(30)")
				case "stalled":
					require.NoError(t, db.PingContext(t.Context()))
					conn, connErr := db.Conn(t.Context())
					require.NoError(t, connErr)
					var pid int
					require.NoError(t, conn.QueryRowContext(t.Context(), "SELECT pg_backend_pid()").Scan(&pid))
					stall(t, pid)
					_, err = conn.ExecContext(ctx, "SELECT 1")
					_ = conn.Raw(func(any) error { return driver.ErrBadConn }) // else it goes on if ctx ended before the call
				case "connecting":
					p.blackhole()
					_, err = db.ExecContext(ctx, "SELECT 1")
				case "killed":
					_, err = db.ExecContext(ctx, "SELECT pg_terminate_backend(pg_backend_pid())")
				case "rows left to the context":
					var rows *sql.Rows
					rows, err = db.QueryContext(ctx, "SELECT pg_sleep(0.01) FROM generate_series(1, 1000)")
					if err == nil { // else connecting took all the time
						for rows.Next() {
						}
						err = rows.Err()
					}
				}
				cancel()
				require.Error(t, err)
			}
			require.NoError(t, db.Close())
			p.close()
			soon(t, fmt.Sprintf("%d goroutines, %d before", runtime.NumGoroutine(), base), func() bool {
				return runtime.NumGoroutine() <= base
			})
		})
	}
}

// The cancel request of a call that could not wait for it is bounded, and closing
// the pool waits for it.
func TestCloseWaitsForCancelRequests(t *testing.T) {
	u := server(t)
	timely(t, func(clock *clock) {
		p := newProxy(t, u.Host)
		db := open(t, at(u, p.addr()), pgconn.Config{})
		c, conn := session(t, db)
		backendPID(t, c)
		base := runtime.NumGoroutine() + 1
		p.blackhole()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		_, err := c.ExecContext(ctx, "SELECT 1", nil)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		_ = conn.Close()
		clock.within(timed(func() { require.NoError(t, db.Close()) }), within, "a cancel request, which is cut short,")
		p.close()
		soon(t, "goroutines are left", func() bool { return runtime.NumGoroutine() <= base })
	})
}

// A statement whose caller has gone is stopped on the server as well.
func TestTheServerStopsWorking(t *testing.T) {
	t.Parallel()
	u := server(t)
	db := open(t, u, pgconn.Config{})
	c, _ := session(t, db)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	const mark = "SELECT pg_sleep(31) /* stops working */"
	_, err := c.ExecContext(ctx, mark, nil)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	soon(t, "the statement ends", func() bool {
		var n int
		return db.QueryRow("SELECT count(*) FROM pg_stat_activity WHERE query = $1 AND state = 'active'", mark).Scan(&n) == nil && n == 0
	})
}
