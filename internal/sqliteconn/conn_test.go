package sqliteconn_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend/internal/column"
	"github.com/seed-215b9b7c/backend/internal/dberr"
	"github.com/seed-215b9b7c/backend/internal/sqliteconn"
)

func connect(t testing.TB, from driver.Connector) *sqliteconn.Conn {
	t.Helper()
	conn, err := from.Connect(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close()) })
	return conn.(*sqliteconn.Conn)
}

func values(args ...driver.Value) (named []driver.NamedValue) {
	for i, arg := range args {
		named = append(named, driver.NamedValue{Ordinal: i + 1, Value: arg})
	}
	return named
}

func execute(t testing.TB, conn *sqliteconn.Conn, text string, args ...driver.Value) {
	t.Helper()
	_, err := conn.ExecContext(t.Context(), text, values(args...))
	require.NoError(t, err, text)
}

// column0 returns the first column of the rows of a query.
func column0(t testing.TB, conn *sqliteconn.Conn, text string, args ...driver.Value) (all []driver.Value) {
	t.Helper()
	rows, err := conn.QueryContext(t.Context(), text, values(args...))
	require.NoError(t, err, text)
	row := make([]driver.Value, len(rows.Columns()))
	for {
		if err = rows.Next(row); err != nil {
			break
		}
		all = append(all, row[0])
	}
	require.Equal(t, io.EOF, err)
	require.NoError(t, rows.Close())
	return all
}

// countdown is a context that ends when it was looked at often enough. Before the last look
// it calls last, if that is set.
type countdown struct {
	context.Context
	looks int
	done  chan struct{}
	last  func()
}

func endsAfter(t testing.TB, looks int) *countdown {
	return &countdown{Context: t.Context(), looks: looks, done: make(chan struct{})}
}

func (c *countdown) Done() <-chan struct{} { return c.done }

func (c *countdown) Deadline() (time.Time, bool) { return time.Now().Add(time.Hour), true }

func (c *countdown) Err() error {
	c.looks--
	if c.looks == 0 && c.last != nil {
		c.last()
		c.looks = math.MaxInt
	}
	if c.looks <= 0 {
		return context.Canceled
	}
	return nil
}

const endless = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "

func TestContextEndsAStatement(t *testing.T) {
	t.Parallel()
	conn := connect(t, connector(t, settings))
	execute(t, conn, "CREATE TABLE t (i INTEGER)")
	for _, text := range []string{endless + "SELECT count(*) FROM n", endless + "INSERT INTO t SELECT i FROM n WHERE i < 0", endless + "SELECT i FROM n ORDER BY -i"} {
		_, err := conn.QueryContext(endsAfter(t, 10), text, nil)
		require.Equal(t, context.Canceled, err, text)
		_, err = conn.ExecContext(endsAfter(t, 10), text, nil)
		require.Equal(t, context.Canceled, err, text)
	}
	// In the search for the next row.
	for _, direct := range []bool{true, false} {
		rows, err := conn.QueryContext(endsAfter(t, 10), endless+"SELECT i FROM n WHERE i = ? OR i < 0", values(int64(1)))
		require.NoError(t, err)
		next := func() error { return rows.Next(make([]driver.Value, 1)) }
		if direct {
			next = func() error { return rows.(column.Rows).NextValues(make([]column.Value, 1)) }
		}
		require.NoError(t, next())
		require.Equal(t, context.Canceled, next())
		require.Equal(t, io.EOF, next())
		require.NoError(t, rows.Close())
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := conn.ExecContext(ended, "INSERT INTO t VALUES (1)", nil)
	require.Equal(t, context.Canceled, err)
	require.True(t, conn.IsValid())
	require.Equal(t, []driver.Value{int64(0)}, column0(t, conn, "SELECT count(*) FROM t"))
}

func TestContextInATransaction(t *testing.T) {
	t.Parallel()
	conn := connect(t, connector(t, settings))
	execute(t, conn, "CREATE TABLE t (i INTEGER)")
	ended, cancel := context.WithCancel(t.Context())
	cancel()

	require.NoError(t, conn.StartTx(t.Context(), "BEGIN IMMEDIATE"))
	execute(t, conn, "INSERT INTO t VALUES (1)")
	_, err := conn.ExecContext(endsAfter(t, 10), endless+"UPDATE t SET i = 2 WHERE (SELECT count(*) FROM n) > i", nil)
	require.Equal(t, context.Canceled, err)
	require.NoError(t, conn.Rollback(ended), "SQLite has rolled back")
	require.Empty(t, column0(t, conn, "SELECT * FROM t"))

	require.NoError(t, conn.StartTx(t.Context(), "BEGIN IMMEDIATE"))
	execute(t, conn, "INSERT INTO t VALUES (1)")
	_, err = conn.QueryContext(endsAfter(t, 10), endless+"SELECT count(*) FROM n", nil)
	require.Equal(t, context.Canceled, err)
	require.NoError(t, conn.Commit(ended), "one that reads does not end the transaction, and a commit is not interrupted")
	require.Len(t, column0(t, conn, "SELECT * FROM t"), 1)

	require.NoError(t, conn.StartTx(t.Context(), "BEGIN"))
	execute(t, conn, "DELETE FROM t")
	require.NoError(t, conn.Rollback(ended))
	require.Len(t, column0(t, conn, "SELECT * FROM t"), 1)
}

func TestWaitForALock(t *testing.T) {
	t.Parallel()
	from := connector(t, settings+"&_pragma=journal_mode(WAL)")
	holder, waiter := connect(t, from), connect(t, from)
	execute(t, holder, "CREATE TABLE t (i INTEGER)")
	execute(t, holder, "BEGIN IMMEDIATE")

	for _, text := range []string{"BEGIN IMMEDIATE", "INSERT INTO t VALUES (1)", "BEGIN; INSERT INTO t VALUES (2)"} {
		_, err := waiter.ExecContext(endsAfter(t, 4), text, nil)
		require.ErrorIs(t, err, context.Canceled)
		require.Equal(t, dberr.Serialization, dberr.Classify(err).Kind)
		require.ErrorContains(t, err, "database is locked (5) (SQLITE_BUSY)")
		require.NoError(t, waiter.Rollback(t.Context()))
	}
	_, err := waiter.ExecContext(t.Context(), "INSERT INTO t VALUES (3)", nil)
	require.ErrorContains(t, err, "database is locked", "after the busy_timeout, since there is no deadline")

	ctx := endsAfter(t, 4)
	ctx.last = func() { execute(t, holder, "COMMIT") }
	_, err = waiter.ExecContext(ctx, "INSERT INTO t VALUES (4)", nil)
	require.NoError(t, err)
	require.Equal(t, []driver.Value{int64(4)}, column0(t, holder, "SELECT i FROM t"))

	// Waiting is of no use for a transaction that has read an old state.
	execute(t, waiter, "BEGIN")
	require.Len(t, column0(t, waiter, "SELECT * FROM t"), 1)
	execute(t, holder, "INSERT INTO t VALUES (5)")
	_, err = waiter.ExecContext(endsAfter(t, 1000), "INSERT INTO t VALUES (6)", nil)
	require.Equal(t, 517, code(t, err), "SQLITE_BUSY_SNAPSHOT")
}

// Without a write-ahead log, a commit waits for those that read.
func TestCommitThatWaits(t *testing.T) {
	t.Parallel()
	from := connector(t, settings)
	reader, writer := connect(t, from), connect(t, from)
	execute(t, writer, "CREATE TABLE t (i INTEGER)")
	execute(t, writer, "INSERT INTO t VALUES (1), (2)")
	rows, err := reader.QueryContext(t.Context(), "SELECT * FROM t", nil)
	require.NoError(t, err)
	execute(t, writer, "BEGIN IMMEDIATE")
	execute(t, writer, "DELETE FROM t")
	err = writer.Commit(endsAfter(t, 4))
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, dberr.Serialization, dberr.Classify(err).Kind, "it is certain that nothing was committed")
	ctx := endsAfter(t, 4)
	ctx.last = func() { require.NoError(t, rows.Close()) }
	require.NoError(t, writer.Commit(ctx))
	require.Empty(t, column0(t, reader, "SELECT * FROM t"))
}

func code(t testing.TB, err error) int {
	t.Helper()
	coder, ok := err.(*sqliteconn.Error)
	require.True(t, ok, "%T %v", err, err)
	return coder.Code()
}

func TestLockOfAnotherProcess(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "test.db")
	from, err := new(sqliteconn.Driver).OpenConnector("file:" + path + settings)
	require.NoError(t, err)
	conn := connect(t, from)
	execute(t, conn, "CREATE TABLE t (i INTEGER)")

	child := exec.Command(os.Args[0], "-test.run=^TestLockOfAnotherProcessChild$", "-test.v")
	child.Env = append(os.Environ(), "SQLITECONN_TEST_FILE="+path)
	in, err := child.StdinPipe()
	require.NoError(t, err)
	out, err := child.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	told := make([]byte, 0, 256)
	for !strings.Contains(string(told), "locked") {
		n, err := out.Read(told[len(told):cap(told)])
		require.NoError(t, err, "%s", told)
		told = told[:len(told)+n]
	}

	_, err = conn.ExecContext(endsAfter(t, 4), "INSERT INTO t VALUES (2)", nil)
	require.ErrorIs(t, err, context.Canceled)
	ctx := endsAfter(t, 4)
	ctx.last = func() { require.NoError(t, in.Close()) }
	_, err = conn.ExecContext(ctx, "INSERT INTO t VALUES (2)", nil)
	require.NoError(t, err)
	io.Copy(io.Discard, out)
	require.NoError(t, child.Wait())
	require.Equal(t, []driver.Value{int64(1), int64(2)}, column0(t, conn, "SELECT i FROM t ORDER BY rowid"))
}

// TestLockOfAnotherProcessChild is the other process.
func TestLockOfAnotherProcessChild(t *testing.T) {
	path := os.Getenv("SQLITECONN_TEST_FILE")
	if path == "" {
		t.Skip("it is started by TestLockOfAnotherProcess")
	}
	from, err := new(sqliteconn.Driver).OpenConnector("file:" + path + settings)
	require.NoError(t, err)
	conn := connect(t, from)
	execute(t, conn, "BEGIN IMMEDIATE")
	execute(t, conn, "INSERT INTO t VALUES (1)")
	fmt.Println("locked")
	io.Copy(io.Discard, os.Stdin)
	execute(t, conn, "COMMIT")
}

// SQLite prepares a kept statement again when the schema changes.
func TestSchemaChanges(t *testing.T) {
	t.Parallel()
	from := connector(t, settings)
	conn, other := connect(t, from), connect(t, from)
	execute(t, conn, "CREATE TABLE t (a TEXT)")
	execute(t, conn, "INSERT INTO t VALUES ('2026-01-02')")
	columns := func() []string {
		rows, err := conn.QueryContext(t.Context(), "SELECT * FROM t WHERE 1 = ?", values(int64(1)))
		require.NoError(t, err)
		defer rows.Close()
		row := make([]driver.Value, len(rows.Columns()))
		require.NoError(t, rows.Next(row))
		require.Len(t, row, len(rows.Columns()))
		return append(rows.Columns(), fmt.Sprint(row))
	}
	require.Equal(t, []string{"a", "[2026-01-02]"}, columns())
	execute(t, other, "ALTER TABLE t ADD COLUMN b INTEGER DEFAULT 7")
	require.Equal(t, []string{"a", "b", "[2026-01-02 7]"}, columns())
	execute(t, conn, "ALTER TABLE t RENAME COLUMN b TO c")
	require.Equal(t, []string{"a", "c", "[2026-01-02 7]"}, columns())
	execute(t, other, "DROP TABLE t; CREATE TABLE t (d DATE); INSERT INTO t VALUES ('2026-01-02')")
	require.Equal(t, []string{"d", "[2026-01-02 00:00:00 +0000 UTC]"}, columns())
}

// Rows stay as they are while the same text is executed again.
func TestRowsWhileTheStatementRunsAgain(t *testing.T) {
	t.Parallel()
	pool := sql.OpenDB(connector(t, settings))
	defer pool.Close()
	tx, err := pool.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	const text = "VALUES (?), (?), (?)"
	stmt, err := tx.Prepare(text)
	require.NoError(t, err)
	for _, query := range []func(...any) (*sql.Rows, error){
		func(args ...any) (*sql.Rows, error) { return tx.Query(text, args...) },
		func(args ...any) (*sql.Rows, error) { return stmt.Query(args...) },
	} {
		outer, err := query("a", "b", strings.Repeat("c", 10_000))
		require.NoError(t, err)
		var got []string
		for outer.Next() {
			var s string
			require.NoError(t, outer.Scan(&s))
			got = append(got, s[:1])
			inner, err := query(strings.Repeat("x", 20_000), "y", "z")
			require.NoError(t, err)
			require.True(t, inner.Next())
			require.NoError(t, inner.Close())
			_, err = stmt.Exec("1", "2", "3")
			require.NoError(t, err)
		}
		require.NoError(t, outer.Err())
		require.Equal(t, []string{"a", "b", "c"}, got)
	}
	require.NoError(t, stmt.Close())
	require.NoError(t, tx.Commit())
}

func TestClose(t *testing.T) {
	t.Parallel()
	raw, err := connector(t, settings).Connect(t.Context())
	require.NoError(t, err)
	conn := raw.(*sqliteconn.Conn)
	const text = "VALUES (?), (?)"
	rows, err := conn.QueryContext(t.Context(), text, values("a", "b"))
	require.NoError(t, err)
	stmt, err := conn.Prepare(text)
	require.NoError(t, err)
	more, err := stmt.(driver.StmtQueryContext).QueryContext(t.Context(), values("a", "b"))
	require.NoError(t, err)
	require.NoError(t, more.Next(make([]driver.Value, 1)))

	require.NoError(t, conn.Close())
	require.NoError(t, conn.Close(), "twice")
	require.Equal(t, driver.ErrBadConn, rows.Next(make([]driver.Value, 1)))
	require.Equal(t, driver.ErrBadConn, more.(column.Rows).NextValues(make([]column.Value, 1)))
	require.NoError(t, rows.Close())
	require.NoError(t, more.Close())
	_, err = stmt.(driver.StmtExecContext).ExecContext(t.Context(), values("a", "b"))
	require.Equal(t, driver.ErrBadConn, err)
	require.NoError(t, stmt.Close())
	for _, use := range []func() error{
		func() error { _, err := conn.QueryContext(t.Context(), text, nil); return err },
		func() error { _, err := conn.ExecContext(t.Context(), text, nil); return err },
		func() error { _, err := conn.Prepare(text); return err },
		func() error { _, err := conn.Begin(); return err },
		func() error { return conn.Ping(t.Context()) },
		func() error { return conn.StartTx(t.Context(), "BEGIN") },
		func() error { return conn.Commit(t.Context()) },
		func() error { return conn.Rollback(t.Context()) },
		func() error { return conn.ResetSession(t.Context()) },
	} {
		require.Equal(t, driver.ErrBadConn, use())
	}
	require.False(t, conn.IsValid())
}

// A statement that returns rows takes effect even if they are not all read, and its commit
// can fail when they are closed.
func TestRowsOfAWriteAreClosed(t *testing.T) {
	t.Parallel()
	conn := connect(t, connector(t, settings))
	execute(t, conn, "CREATE TABLE p (id INTEGER PRIMARY KEY)")
	execute(t, conn, "CREATE TABLE c (p INTEGER REFERENCES p (id) DEFERRABLE INITIALLY DEFERRED)")
	for text, fails := range map[string]bool{"INSERT INTO p VALUES (1), (2) RETURNING id": false, "INSERT INTO c VALUES (98), (99) RETURNING p": true} {
		rows, err := conn.QueryContext(t.Context(), text, nil)
		require.NoError(t, err)
		require.NoError(t, rows.Next(make([]driver.Value, 1)))
		if err := rows.Close(); fails {
			require.Equal(t, 787, code(t, err), "SQLITE_CONSTRAINT_FOREIGNKEY")
		} else {
			require.NoError(t, err)
		}
		require.NoError(t, rows.Close(), "twice")
		require.Equal(t, io.EOF, rows.Next(make([]driver.Value, 1)))
	}
	require.Equal(t, []driver.Value{int64(2), int64(0)}, append(column0(t, conn, "SELECT count(*) FROM p"), column0(t, conn, "SELECT count(*) FROM c")...))
}

// SQLite reads arguments where they were copied to, for as long as the rows are open.
func TestArgumentsOfAnySize(t *testing.T) {
	t.Parallel()
	conn := connect(t, connector(t, settings))
	for _, size := range []int{0, 1, 63, 64, 5000, 100, 1 << 20, 3} {
		text, blob := strings.Repeat("t", size), []byte(strings.Repeat("b", size))
		rows, err := conn.QueryContext(t.Context(), "SELECT ?, ?, length(?) UNION ALL SELECT 1, 2, 3", values(text, blob, text))
		require.NoError(t, err)
		clear(blob)
		row := make([]column.Value, 3)
		require.NoError(t, rows.(column.Rows).NextValues(row))
		require.Equal(t, text, string(row[0].Bytes))
		require.Equal(t, strings.Repeat("b", size), string(row[1].Bytes))
		require.Equal(t, int64(size), row[2].Int)
		require.NoError(t, rows.Close())
	}
	_, err := conn.QueryContext(t.Context(), "SELECT ?", values(struct{}{}))
	require.ErrorContains(t, err, "argument 1 is struct {}")
	args := make([]driver.Value, 32766)
	for i := range args {
		args[i] = int64(i)
	}
	text := "SELECT count(*) FROM (VALUES (?)" + strings.Repeat(", (?)", len(args)-1) + ")"
	require.Equal(t, []driver.Value{int64(len(args))}, column0(t, conn, text, args...))
}

func TestTransactionOfDatabaseSQL(t *testing.T) {
	t.Parallel()
	pool := sql.OpenDB(connector(t, settings+"&_txlock=immediate&_pragma=journal_mode(WAL)"))
	defer pool.Close()
	_, err := pool.Exec("CREATE TABLE p (id INTEGER PRIMARY KEY); CREATE TABLE c (p INTEGER REFERENCES p (id) DEFERRABLE INITIALLY DEFERRED)")
	require.NoError(t, err)
	first, err := pool.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	_, err = pool.BeginTx(t.Context(), nil)
	require.ErrorContains(t, err, "database is locked")
	reader, err := pool.BeginTx(t.Context(), &sql.TxOptions{ReadOnly: true})
	require.NoError(t, err)
	require.NoError(t, reader.Commit())
	_, err = first.Exec("INSERT INTO c VALUES (99)")
	require.NoError(t, err)
	require.ErrorContains(t, first.Commit(), "FOREIGN KEY")
	next, err := pool.BeginTx(t.Context(), nil)
	require.NoError(t, err, "the failed commit has left no transaction")
	require.NoError(t, next.Rollback())
	_, err = pool.Exec("ROLLBACK")
	require.ErrorContains(t, err, "no transaction is active")
}

func TestOpen(t *testing.T) {
	t.Parallel()
	for parameters, message := range map[string]string{
		"?_pragma=nowhere(": "incomplete input",
		"?_txlock=never":    "the parameter _txlock=never is unknown",
		"?_dqs=2":           "the parameter _dqs=2 is unknown",
		"?_defensive=maybe": "the parameter _defensive=maybe is unknown",
		"?_timeout=5":       "the parameter _timeout=5 is unknown",
		"?%zz":              "invalid URL escape",
		"?mode=ro":          "unable to open database file",
		"?vfs=nowhere":      "no such vfs",
	} {
		_, err := new(sqliteconn.Driver).Open("file:" + filepath.Join(t.TempDir(), "test.db") + parameters)
		require.ErrorContains(t, err, message, parameters)
	}
	_, err := new(sqliteconn.Driver).Open(filepath.Join(t.TempDir(), "a\x00b"))
	require.ErrorContains(t, err, "NUL")
	path := filepath.Join(t.TempDir(), "no database")
	require.NoError(t, os.WriteFile(path, []byte(strings.Repeat("text ", 1000)), 0o600))
	_, err = new(sqliteconn.Driver).Open(path + "?_pragma=journal_mode(WAL)")
	require.Equal(t, 26, code(t, err), "SQLITE_NOTADB")
	conn, err := new(sqliteconn.Driver).Open(":memory:")
	require.NoError(t, err)
	require.NoError(t, conn.Close())
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = connector(t, settings).Connect(ended)
	require.Equal(t, context.Canceled, err)
}

// One row by its key takes one allocation, for the rows, and none for a value.
func TestAllocations(t *testing.T) { // not parallel: it counts allocations
	conn := connect(t, connector(t, settings))
	execute(t, conn, "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, r REAL, b BLOB, at TIMESTAMP)")
	for i := range 50 {
		execute(t, conn, "INSERT INTO t VALUES (?, ?, ?, ?, ?)", int64(i), "name", 1.5, []byte("bytes"), time.Now())
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	row, args := make([]column.Value, 5), values("name", int64(0))
	for _, text := range []string{"SELECT * FROM t WHERE name = ? AND id = ?", "SELECT * FROM t WHERE name = ? AND id >= ?"} {
		require.LessOrEqual(t, testing.AllocsPerRun(100, func() {
			rows, err := conn.QueryContext(ctx, text, args)
			if err != nil {
				t.Fatal(err)
			}
			for err == nil {
				err = rows.(column.Rows).NextValues(row)
			}
			if err != io.EOF || rows.Close() != nil {
				t.Fatal(err)
			}
		}), 1.0, text)
	}
	require.LessOrEqual(t, testing.AllocsPerRun(100, func() {
		if _, err := conn.ExecContext(ctx, "UPDATE t SET name = ? WHERE id = ?", args); err != nil {
			t.Fatal(err)
		}
	}), 1.0, "the result")
}
