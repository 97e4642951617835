//go:build unix

package pgconn_test

import (
	"context"
	"database/sql/driver"
	"fmt"
	"io"
	"testing"

	"github.com/lib/pq"
	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend/internal/pgconn"
)

// firsts are ways to execute the first statement of a transaction, and the round trips of a
// transaction of that statement.
var firsts = []struct {
	name, text string
	values     []any
	kept       bool
	pooler     bool
	trips      int
}{
	{"kept", "INSERT INTO a VALUES ($1)", []any{int64(1)}, true, false, 2},
	{"prepared now", "INSERT INTO a VALUES ($1)", []any{int64(1)}, false, false, 3},
	{"analyzed anew", "INSERT INTO a VALUES ($1)", []any{"01"}, true, false, 2},
	{"without arguments", "INSERT INTO a VALUES (1)", nil, false, false, 2},
	{"with a result", "INSERT INTO a VALUES ($1) RETURNING id", []any{int64(1)}, true, false, 2},
	{"several statements", "SELECT 1; INSERT INTO a VALUES (1)", nil, false, false, 3},
	{"of another kind", "DO $$ BEGIN INSERT INTO a VALUES (1); END $$", nil, false, false, 3},
	{"pooler", "INSERT INTO a VALUES ($1)", []any{int64(1)}, false, true, 2},
}

func TestBeginTravelsWithTheFirstStatement(t *testing.T) {
	t.Parallel()
	for _, test := range firsts {
		for _, how := range []string{"query", "exec"} {
			t.Run(test.name+"/"+how, func(t *testing.T) {
				t.Parallel()
				u := server(t)
				p := newProxy(t, u.Host)
				db, aside := open(t, at(u, p.addr()), pgconn.Config{Pooler: test.pooler}), open(t, u, pgconn.Config{})
				mustExec(t, aside, "CREATE TABLE a (id int)")
				c, _ := session(t, db)
				run := func(ctx context.Context) error {
					if how == "query" {
						_, err := all(ctx, c, test.text, test.values...)
						return err
					}
					_, err := c.ExecContext(ctx, test.text, args(test.values...))
					return err
				}
				if test.kept {
					mustAll(t, c, test.text, int64(0))
				}
				rows := func() (n int) {
					require.NoError(t, aside.QueryRow("SELECT count(*) FROM a WHERE id = 1").Scan(&n))
					return n
				}
				for i, begin := range []string{"BEGIN", "begin isolation level repeatable read", "START TRANSACTION ISOLATION LEVEL SERIALIZABLE"} {
					trips := p.count(func() {
						require.NoError(t, c.StartTx(t.Context(), begin))
						open, known := pgconn.InTransaction(c)
						require.True(t, open && known)
						require.False(t, c.IsValid(), "the next user must not find a transaction")
						require.ErrorIs(t, c.StartTx(t.Context(), begin), pgconn.ErrTxOpen)
						require.NoError(t, run(t.Context()))
						require.Equal(t, i, rows(), "it is not committed yet")
						require.NoError(t, c.Commit(t.Context()))
					})
					if i == 0 {
						require.Equal(t, test.trips, trips)
					}
					require.Equal(t, i+1, rows())
					require.True(t, c.IsValid())
				}
				require.NoError(t, c.StartTx(t.Context(), "BEGIN"))
				require.NoError(t, run(t.Context()))
				require.NoError(t, c.Rollback(t.Context()))
				require.Equal(t, 3, rows())

				// The words of BEGIN hold.
				require.NoError(t, c.StartTx(t.Context(), "BEGIN READ ONLY"))
				require.Equal(t, "25006", code(t, run(t.Context())))
				require.ErrorIs(t, c.Commit(t.Context()), pgconn.ErrTxAborted)
				require.True(t, c.IsValid(), "it was read-only on purpose")
				require.NoError(t, c.StartTx(t.Context(), "BEGIN ISOLATION LEVEL SERIALIZABLE"))
				require.NoError(t, run(t.Context()))
				require.Equal(t, "[[serializable]]", fmt.Sprint(mustAll(t, c, "SHOW transaction_isolation")))
				require.NoError(t, c.Rollback(t.Context()))
			})
		}
	}
}

// If the server refuses to begin the transaction, the statement must not be executed outside
// of one.
func TestRefusedBegin(t *testing.T) {
	t.Parallel()
	for _, test := range firsts {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			db := open(t, server(t), pgconn.Config{Pooler: test.pooler})
			mustExec(t, db, "CREATE TABLE a (id int)")
			c, _ := session(t, db)
			if test.kept {
				mustAll(t, c, test.text, int64(0))
			}
			require.NoError(t, c.StartTx(t.Context(), "BEGIN ISOLATION LEVEL NONSENSE"))
			_, err := c.ExecContext(t.Context(), test.text, args(test.values...))
			require.Equal(t, "42601", code(t, err))
			require.ErrorContains(t, err, "NONSENSE")
			require.ErrorIs(t, c.Commit(t.Context()), pgconn.ErrNoTx)
			require.True(t, c.IsValid())
			require.Equal(t, "[[0]]", fmt.Sprint(mustAll(t, c, "SELECT count(*) FROM a WHERE id = 1")))
		})
	}
}

// A first statement that fails fails the transaction.
func TestFailedFirstStatement(t *testing.T) {
	t.Parallel()
	c, _ := session(t, open(t, server(t), pgconn.Config{}))
	for _, test := range []struct {
		text   string
		values []any
		code   string
	}{
		{"SELECT 1/0", nil, "22012"},
		{"SELECT $1::int", []any{"x"}, "22P02"},
		{"SELEC $1", []any{"x"}, "42601"},
		{"SELECT", nil, ""},
		{"SELECT nothing", nil, "42703"},
		{"NONSENSE", nil, "42601"},
		{"SELECT 1; SELECT 1/0", nil, "22012"},
	} {
		for range 2 {
			require.NoError(t, c.StartTx(t.Context(), "BEGIN"))
			_, err := all(t.Context(), c, test.text, test.values...)
			if test.code == "" {
				require.NoError(t, err)
				require.NoError(t, c.Commit(t.Context()))
				continue
			}
			require.Equal(t, test.code, code(t, err), test.text)
			_, err = all(t.Context(), c, "SELECT 1")
			require.Equal(t, "25P02", code(t, err), test.text)
			require.ErrorIs(t, c.Commit(t.Context()), pgconn.ErrTxAborted, test.text)
			require.True(t, c.IsValid(), test.text)
		}
	}
	require.NoError(t, c.StartTx(t.Context(), "BEGIN"))
	_, err := c.QueryContext(t.Context(), "SELECT $1::int", args("1", "2"))
	require.ErrorContains(t, err, "2 arguments")
	require.NoError(t, c.Commit(t.Context()), "a wrong call sends nothing")
	require.Error(t, c.StartTx(t.Context(), "BEGIN; SELECT 1"))
	require.True(t, c.IsValid())
}

// A connection that was lost by the time of the first statement has committed nothing. The
// caller is told that the transaction can run again.
func TestLostBeginning(t *testing.T) {
	t.Parallel()
	for _, test := range firsts {
		for _, forward := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/arrived=%t", test.name, forward), func(t *testing.T) {
				t.Parallel()
				u := server(t)
				p := newProxy(t, u.Host)
				db, aside := open(t, at(u, p.addr()), pgconn.Config{Pooler: test.pooler}), open(t, u, pgconn.Config{})
				mustExec(t, aside, "CREATE TABLE a (id int)")
				c, _ := session(t, db)
				if test.kept {
					mustAll(t, c, test.text, int64(0))
				}
				require.NoError(t, c.StartTx(t.Context(), "BEGIN"))
				p.cutAt("BEGIN\x00", forward)
				_, err := c.ExecContext(t.Context(), test.text, args(test.values...))
				require.ErrorIs(t, err, pgconn.ErrTxNotBegun)
				require.ErrorIs(t, err, pgconn.ErrConnectionLost)
				require.NotErrorIs(t, err, driver.ErrBadConn)
				require.ErrorIs(t, c.Commit(t.Context()), driver.ErrBadConn)
				require.False(t, c.IsValid())
				var n int
				require.NoError(t, aside.QueryRow("SELECT count(*) FROM a WHERE id = 1").Scan(&n))
				require.Zero(t, n)
			})
		}
	}
}

// A connection that is lost after the first statement is not: that it was not committed is
// known all the same, but part of the transaction was done.
func TestLostAfterTheBeginning(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"SELECT 1", "SELECT 1; SELECT 2"} {
		u := server(t)
		p := newProxy(t, u.Host)
		c, _ := session(t, open(t, at(u, p.addr()), pgconn.Config{}))
		require.NoError(t, c.StartTx(t.Context(), "BEGIN"))
		mustAll(t, c, text)
		p.cutAt("SELECT 3", true)
		_, err := c.ExecContext(t.Context(), "SELECT 3", nil)
		require.ErrorIs(t, err, pgconn.ErrConnectionLost)
		require.NotErrorIs(t, err, pgconn.ErrTxNotBegun)
	}
	// Nor is a text that may have ended the transaction by itself.
	u := server(t)
	p := newProxy(t, u.Host)
	c, _ := session(t, open(t, at(u, p.addr()), pgconn.Config{}))
	require.NoError(t, c.StartTx(t.Context(), "BEGIN"))
	p.cutAt("COMMIT", true)
	_, err := c.ExecContext(t.Context(), "SELECT 1; COMMIT", nil)
	require.ErrorIs(t, err, pgconn.ErrConnectionLost)
	require.NotErrorIs(t, err, pgconn.ErrTxNotBegun)
}

// Rows of the first statement are read as any others.
func TestRowsOfTheFirstStatement(t *testing.T) {
	t.Parallel()
	c, _ := session(t, open(t, server(t), pgconn.Config{}))
	require.NoError(t, c.StartTx(t.Context(), "BEGIN"))
	rows, err := c.QueryContext(t.Context(), "SELECT x, x::text FROM generate_series(1, 1000) x", nil)
	require.NoError(t, err)
	require.Equal(t, []string{"x", "x"}, rows.Columns())
	require.ErrorIs(t, c.Commit(t.Context()), pgconn.ErrRowsOpen)
	row := make([]driver.Value, 2)
	for i := range 1000 {
		require.NoError(t, rows.Next(row))
		require.Equal(t, []driver.Value{int64(i + 1), fmt.Sprint(i + 1)}, row)
	}
	require.Equal(t, io.EOF, rows.Next(row))
	require.NoError(t, c.Commit(t.Context()))
	require.ErrorIs(t, c.Commit(t.Context()), pgconn.ErrNoTx)

	_, err = c.ExecContext(t.Context(), "SELECT 1/0", nil)
	var answer *pq.Error
	require.ErrorAs(t, err, &answer)
	require.Equal(t, "pq: division by zero (22012)", err.Error())
}
