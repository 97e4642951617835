//go:build unix

package pgconn_test

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend/internal/column"
	"github.com/seed-215b9b7c/backend/internal/dbconn"
	"github.com/seed-215b9b7c/backend/internal/pgconn"
)

func request(text string, values ...any) dbconn.Request {
	return dbconn.Request{Text: text, Args: args(values...)}
}

// together runs a batch and returns the rows of each request as text.
func together(ctx context.Context, c *pgconn.Conn, requests ...dbconn.Request) (results []string, done int, err error) {
	done, err = dbconn.QueryBatch(ctx, c, requests, func(i int, rows driver.Rows) error {
		result := []string{}
		failed, err := dbconn.ReadAll(rows, func(values []column.Value) error {
			row := []any{}
			for i := range values {
				row = append(row, values[i].Driver())
			}
			result = append(result, fmt.Sprint(row))
			return nil
		})
		results = append(results, strings.Join(result, " "))
		return errors.Join(failed, err)
	})
	return results, done, err
}

func TestBatch(t *testing.T) {
	t.Parallel()
	for _, pooler := range []bool{false, true} {
		t.Run(fmt.Sprintf("pooler=%t", pooler), func(t *testing.T) {
			t.Parallel()
			u := server(t)
			p := newProxy(t, u.Host)
			c, _ := session(t, open(t, at(u, p.addr()), pgconn.Config{Pooler: pooler}))
			mustAll(t, c, "CREATE TABLE a (id int PRIMARY KEY, name text)")
			mustAll(t, c, "SELECT $1::int", "1") // the first statement after a change of types closes the old ones
			requests := []dbconn.Request{
				request("INSERT INTO a VALUES ($1, $2)", int64(1), "one"),
				request("INSERT INTO a VALUES ($1, $2), ($3, $4) RETURNING id", int64(2), "two", int64(3), nil),
				request("SELECT * FROM a WHERE id >= $1 ORDER BY id", int64(2)),
				request("SELECT count(*), sum(id) FROM a"),
				request("SELECT * FROM a WHERE id >= $1 ORDER BY id", int64(9)),
				request("SELECT * FROM a WHERE id >= $1 ORDER BY id", "3"),
				request("DELETE FROM a"),
			}
			want := []string{"", "[2] [3]", "[2 two] [3 <nil>]", "[3 6]", "", "[3 <nil>]", ""}
			for i, begin := range []string{"", "", "BEGIN"} {
				ends, trips := 0, 1
				if i == 0 && !pooler {
					trips = 2 // it prepares
				}
				require.Equal(t, trips, p.count(func() {
					if begin != "" {
						require.NoError(t, c.StartTx(t.Context(), begin))
					}
					results, done, err := together(t.Context(), c, requests...)
					require.NoError(t, err)
					require.Equal(t, len(requests), done)
					require.Equal(t, want, results)
				}), begin)
				if begin != "" {
					ends = 1
					require.Equal(t, ends, p.count(func() { require.NoError(t, c.Commit(t.Context())) }))
				}
				require.True(t, c.IsValid())
			}
			require.Zero(t, p.count(func() {
				_, done, err := together(t.Context(), c)
				require.NoError(t, err)
				require.Zero(t, done)
			}))
		})
	}
}

// The first error ends the batch, says where, and nothing of the batch was done.
func TestFailedBatch(t *testing.T) {
	t.Parallel()
	u := server(t)
	p := newProxy(t, u.Host)
	c, _ := session(t, open(t, at(u, p.addr()), pgconn.Config{StatementCache: 3}))
	mustAll(t, c, "CREATE TABLE a (id int PRIMARY KEY, name text)")
	insert := func(id any) dbconn.Request { return request("INSERT INTO a (id) VALUES ($1)", id) }
	large := request("SELECT repeat('x', 100000), $1::text", strings.Repeat("y", 20_000))
	for _, test := range []struct {
		name     string
		requests []dbconn.Request
		done     int
		code     string // "" is an error that is not the server's
	}{
		{"violation", []dbconn.Request{insert(int64(1)), insert(int64(2)), insert(int64(1)), insert(int64(3))}, 2, "23505"},
		{"violation between large ones", []dbconn.Request{insert(int64(1)), large, large, insert(int64(1)), large, large, insert(int64(3))}, 3, "23505"},
		{"while reading rows", []dbconn.Request{insert(int64(1)), request("SELECT 1 / (x - $1::int) FROM generate_series(1, 10000) x", "9999"), insert(int64(2))}, 1, "22012"},
		{"wrong form", []dbconn.Request{insert(int64(1)), insert("x")}, 1, "22P02"},
		{"syntax", []dbconn.Request{insert(int64(1)), request("SELEC $1", "x"), insert(int64(2))}, 1, "42601"},
		{"syntax after others that are prepared", []dbconn.Request{request("SELECT $1::int + 5", int64(1)), request("SELECT $1::int + 6", int64(1)), request("SELEC $1", "x")}, 2, "42601"},
		{"syntax without arguments", []dbconn.Request{insert(int64(1)), request("SELECT SELECT")}, 1, "42601"},
		{"too many arguments", []dbconn.Request{insert(int64(1)), request("SELECT $1::int", int64(1), int64(2))}, 1, ""},
		{"not converted", []dbconn.Request{insert(int64(1)), request("SELECT $1::int", 1)}, 1, ""},
		{"NUL", []dbconn.Request{insert(int64(1)), request("SELECT 1\x00")}, 1, ""},
		{"copy", []dbconn.Request{insert(int64(1)), request("COPY a TO STDOUT", int64(1))}, 1, ""},
	} {
		for range 3 {
			_, done, err := together(t.Context(), c, test.requests...)
			require.Error(t, err, test.name)
			require.Equal(t, test.done, done, test.name)
			if test.code != "" {
				require.Equal(t, test.code, code(t, err), test.name)
			}
			require.True(t, c.IsValid(), test.name)
			require.Equal(t, "[[0]]", fmt.Sprint(mustAll(t, c, "SELECT count(*) FROM a")), test.name)

			require.NoError(t, c.StartTx(t.Context(), "BEGIN"))
			_, done, err = together(t.Context(), c, test.requests...)
			require.Error(t, err, test.name)
			require.Equal(t, test.done, done, test.name)
			if test.code != "" {
				require.ErrorIs(t, c.Commit(t.Context()), pgconn.ErrTxAborted, test.name)
			} else {
				require.NoError(t, c.Rollback(t.Context()), test.name)
			}
			require.True(t, c.IsValid(), test.name)
		}
	}
	require.LessOrEqual(t, mustAll(t, c, "SELECT count(*) FROM pg_prepared_statements")[0][0].(int64), int64(3), "no statement is left on the server")
}

// A statement that fails while its rows are read is not repeated, although its error may be
// one of an outdated statement: its reader has seen some rows.
func TestBatchIsNotReadTwice(t *testing.T) {
	t.Parallel()
	c, _ := session(t, open(t, server(t), pgconn.Config{}))
	failing := request("SELECT (CASE WHEN x < $1::int THEN '1' ELSE 'x' END)::int, repeat('x', 100) FROM generate_series(1, 10000) x", int64(5000))
	_, err := all(t.Context(), c, failing.Text, int64(5000)) // it is kept now
	require.Equal(t, "22P02", code(t, err))
	calls := 0
	for range 2 {
		_, err = c.QueryBatch(t.Context(), []dbconn.Request{failing}, func(_ int, rows driver.Rows) error {
			calls++
			return rows.Next(make([]driver.Value, 2))
		})
		require.Equal(t, "22P02", code(t, err))
	}
	require.Equal(t, 2, calls)
}

// A batch whose requests and results are larger than all buffers between client and server
// does not wait for ever.
func TestLargeBatch(t *testing.T) {
	t.Parallel()
	c, _ := session(t, open(t, server(t), pgconn.Config{}))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	value := strings.Repeat("v", 100_000)
	var requests []dbconn.Request
	for range 200 {
		requests = append(requests, request("SELECT $1::text || repeat('x', 1000000)", value))
	}
	for i := range 2000 {
		requests = append(requests, request(fmt.Sprintf("SELECT $1::int + %d", i%300), int64(i)))
	}
	results, done, err := together(ctx, c, requests...)
	require.NoError(t, err)
	require.Equal(t, len(requests), done)
	require.Len(t, results[199], len(value)+1_000_002)
	require.Equal(t, fmt.Sprintf("[%d]", 1999+1999%300), results[2199])
	require.True(t, c.IsValid())
}

// A long request after one with long results: the server would wait for the results to be
// read, and this side for the request to be received.
func TestLongRequestsAfterLongResults(t *testing.T) {
	t.Parallel()
	c, _ := session(t, open(t, server(t), pgconn.Config{}))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	const n = 20_000_000
	long := strings.Repeat("v", n)
	for range 2 { // new to the connection, and kept
		results, done, err := together(ctx, c,
			request("SELECT repeat('x', $1::int)", int64(n)), request("SELECT length($1::text)", long),
			request("SELECT repeat('y', $1::int)", int64(n)), request("SELECT length($1::text)", long))
		require.NoError(t, err)
		require.Equal(t, 4, done)
		require.Len(t, results[2], n+2)
		require.Equal(t, fmt.Sprintf("[%d]", n), results[3])
	}
}

// Statements that are no single query are executed one by one.
func TestBatchOfOtherStatements(t *testing.T) {
	t.Parallel()
	u := server(t)
	p := newProxy(t, u.Host)
	c, _ := session(t, open(t, at(u, p.addr()), pgconn.Config{}))
	mustAll(t, c, "CREATE TABLE a (id int)")
	mustAll(t, c, "SELECT $1::int", "1")
	require.Equal(t, 4, p.count(func() {
		results, done, err := together(t.Context(), c, request("SELECT 1; SELECT 2"), request("INSERT INTO a VALUES ($1)", int64(1)), request("SELECT * FROM a"))
		require.NoError(t, err)
		require.Equal(t, 3, done)
		require.Equal(t, []string{"[1]", "", "[1]"}, results)
	}), "the second one prepares")
	_, done, err := together(t.Context(), c, request("SELECT 1"), request("SHOW nothing"), request("SELECT 1"))
	require.Equal(t, "42704", code(t, err))
	require.Equal(t, 1, done)
}

// The function that reads the rows may stop, read nothing, fail or panic.
func TestReadersOfABatch(t *testing.T) {
	t.Parallel()
	c, conn := session(t, open(t, server(t), pgconn.Config{}))
	var requests []dbconn.Request
	for i := range 50 {
		requests = append(requests, request("SELECT x, repeat('x', 1000) FROM generate_series(1, $1::int) x", int64(i)))
	}
	mine := errors.New("mine")
	done, err := c.QueryBatch(t.Context(), requests, func(i int, rows driver.Rows) error {
		_, open := c.QueryContext(t.Context(), "SELECT 1", nil)
		require.ErrorIs(t, open, pgconn.ErrRowsOpen)
		switch {
		case i == 40:
			return mine
		case i%3 == 0:
			require.NoError(t, rows.Close())
			require.Equal(t, io.EOF, rows.Next(make([]driver.Value, 2)))
		case i%3 == 1:
			require.NoError(t, rows.Next(make([]driver.Value, 2)))
		}
		return nil
	})
	require.Equal(t, mine, err)
	require.Equal(t, 40, done)
	require.True(t, c.IsValid())
	require.Equal(t, "[[1]]", fmt.Sprint(mustAll(t, c, "SELECT 1")))

	require.PanicsWithValue(t, "mine", func() {
		_, _ = c.QueryBatch(t.Context(), requests, func(int, driver.Rows) error { panic("mine") })
	})
	require.False(t, c.IsValid())
	_, err = c.QueryContext(t.Context(), "SELECT 1", nil)
	require.ErrorIs(t, err, driver.ErrBadConn)
	_ = conn.Close()
}

func TestBatchIsCancelled(t *testing.T) {
	timely(t, func(clock *clock) {
		c, _ := session(t, open(t, server(t), pgconn.Config{}))
		pid := backendPID(t, c)
		for range 2 {
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			took := timed(func() {
				_, done, err := together(ctx, c, request("SELECT $1::int", int64(1)), request("SELECT pg_sleep($1)", "30"), request("SELECT $1::int", int64(2)))
				require.ErrorIs(t, err, context.DeadlineExceeded)
				require.Less(t, done, 2)
			})
			clock.within(took, 50*time.Millisecond+within, "to return")
			if clock.expect(c.IsValid(), "the server was too busy to cancel the statement"); !c.IsValid() {
				return
			}
			require.Equal(t, pid, backendPID(t, c))
		}
		// The context ends while rows are read. There are so many that the server does not wait
		// for the end of the batch before it sends some.
		ctx, cancel := context.WithCancel(t.Context())
		_, err := c.QueryBatch(ctx, []dbconn.Request{request("SELECT repeat('x', 10000) FROM generate_series(1, 100)"), request("SELECT pg_sleep(30)")}, func(int, driver.Rows) error {
			cancel()
			return nil
		})
		require.ErrorIs(t, err, context.Canceled)
		clock.expect(c.IsValid(), "the server was too busy to cancel the statement")
	})
}

func TestBatchOnALostConnection(t *testing.T) {
	t.Parallel()
	insert := request("INSERT INTO a VALUES ($1)", int64(1))
	for _, test := range []struct {
		name, cut string
		kept, tx  bool
		want      error
	}{
		{"prepare", "INSERT INTO a VALUES ($1)", false, false, driver.ErrBadConn},
		{"execute", "\x00\x00\x00\x011", true, false, pgconn.ErrConnectionLost},
		{"begin", "BEGIN\x00", true, true, pgconn.ErrTxNotBegun},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			u := server(t)
			p := newProxy(t, u.Host)
			c, _ := session(t, open(t, at(u, p.addr()), pgconn.Config{}))
			mustExec(t, open(t, u, pgconn.Config{}), "CREATE TABLE a (id int)")
			if test.kept {
				mustAll(t, c, insert.Text, int64(2))
			}
			if test.tx {
				require.NoError(t, c.StartTx(t.Context(), "BEGIN"))
			}
			p.cutAt(test.cut, true)
			_, done, err := together(t.Context(), c, insert, insert)
			require.ErrorIs(t, err, test.want)
			require.Equal(t, test.want == driver.ErrBadConn, err == driver.ErrBadConn)
			require.Zero(t, done)
			require.False(t, c.IsValid())
		})
	}
}

// An outdated statement is repaired if nothing was read, and reported otherwise.
func TestOutdatedBatch(t *testing.T) {
	t.Parallel()
	r := newRetyped(t)
	mustExec(t, r.other, "CREATE TABLE a (id int, v int); INSERT INTO a VALUES (1, 2)")
	read := request("SELECT * FROM a WHERE id = $1", int64(1))
	mustAll(t, r.c, read.Text, int64(1))
	mustExec(t, r.other, "ALTER TABLE a ADD w int")
	results, _, err := together(t.Context(), r.c, read, read)
	require.NoError(t, err)
	require.Equal(t, []string{"[1 2 <nil>]", "[1 2 <nil>]"}, results)

	mustExec(t, r.other, "ALTER TABLE a DROP w")
	_, done, err := together(t.Context(), r.c, request("SELECT 1"), read)
	require.True(t, pgconn.Stale(err), "%v", err)
	require.Equal(t, 1, done)
	results, _, err = together(t.Context(), r.c, request("SELECT 1"), read)
	require.NoError(t, err)
	require.Equal(t, []string{"[1]", "[1 2]"}, results)
}
