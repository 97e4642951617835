package sqliteconn_test

import (
	"bytes"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"

	"github.com/seed-215b9b7c/backend/internal/column"
	"github.com/seed-215b9b7c/backend/internal/sqliteconn"
	"github.com/seed-215b9b7c/backend/internal/stamp"
)

// The tests of this file compare the driver with that of modernc.org/sqlite, which has the
// same engine, configured as package backend does.

const settings = "?_pragma=busy_timeout(100)&_pragma=foreign_keys(1)&_pragma=temp_store(MEMORY)&_pragma=synchronous(OFF)&_defensive=1&_dqs=0"

// pair returns a pool of each driver, for a file of each.
func pair(t testing.TB) (ours, theirs *sql.DB) {
	t.Helper()
	ours = sql.OpenDB(connector(t, settings))
	theirs, err := sql.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "test.db")+settings+"&_time_format=sqlite&_timezone=UTC")
	require.NoError(t, err)
	for _, pool := range []*sql.DB{ours, theirs} {
		pool.SetMaxOpenConns(1)
		t.Cleanup(func() { require.NoError(t, pool.Close()) })
	}
	return ours, theirs
}

// connector returns a connector for a new file.
func connector(t testing.TB, parameters string) driver.Connector {
	t.Helper()
	c, err := new(sqliteconn.Driver).OpenConnector("file:" + filepath.Join(t.TempDir(), "test.db") + parameters)
	require.NoError(t, err)
	return c
}

// asText replaces times by their texts in SQLite. Modernc's driver writes another form, so
// package backend does that for it.
func asText(args []any) []any {
	args = slices.Clone(args)
	for i, arg := range args {
		if at, ok := arg.(time.Time); ok {
			args[i] = stamp.Text(at)
		}
	}
	return args
}

// answer is what a statement does, as a program sees it.
type answer struct {
	Columns []string
	Types   []string
	Rows    [][]string
	Error   string
	Code    int
	Result  string
}

func ask(t testing.TB, pool *sql.DB, text string, args ...any) (a answer) {
	t.Helper()
	rows, err := pool.QueryContext(t.Context(), text, args...)
	if err == nil {
		defer rows.Close()
		a.Columns, _ = rows.Columns()
		err = a.read(rows)
	}
	a.fail(err)
	return a
}

func (a *answer) read(rows *sql.Rows) error {
	types, err := rows.ColumnTypes()
	if err != nil {
		return err
	}
	for _, c := range types {
		length, isLong := c.Length()
		nullable, known := c.Nullable()
		a.Types = append(a.Types, fmt.Sprint(c.Name(), c.DatabaseTypeName(), length, isLong, nullable, known, c.ScanType()))
	}
	for rows.Next() {
		values, into := make([]any, len(types)), make([]any, len(types))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			return err
		}
		var row []string
		for _, value := range values {
			row = append(row, show(value))
		}
		a.Rows = append(a.Rows, row)
	}
	return rows.Err()
}

func (a *answer) fail(err error) {
	if err == nil {
		return
	}
	a.Error = err.Error()
	var coder interface{ Code() int }
	if errors.As(err, &coder) {
		a.Code = coder.Code()
	}
}

func tell(t testing.TB, pool *sql.DB, text string, args ...any) (a answer) {
	t.Helper()
	result, err := pool.ExecContext(t.Context(), text, args...)
	if err == nil {
		id, _ := result.LastInsertId()
		n, _ := result.RowsAffected()
		a.Result = fmt.Sprint(id, n)
	}
	a.fail(err)
	return a
}

// show returns the type and value of what was read.
func show(value any) string {
	switch v := value.(type) {
	case time.Time:
		return fmt.Sprintf("time %s %s", v.Format(time.RFC3339Nano), v.Location())
	case []byte:
		return fmt.Sprintf("bytes %x", v) // modernc's driver returns nil for none
	case float64:
		return fmt.Sprintf("float %x", math.Float64bits(v))
	}
	return fmt.Sprintf("%T %#v", value, value)
}

var declared = []string{"", "INTEGER", "REAL", "TEXT", "BLOB", "NUMERIC", "JSON", "BOOLEAN", "DATE", "datetime", "TIMESTAMP", "TIME", "TIMESTAMP(6)", "VARCHAR(20)"}

var arguments = []any{
	nil, int64(0), 1, -1, int64(math.MaxInt64), int64(math.MinInt64), uint8(7), true, false,
	0.0, math.Copysign(0, -1), 1.5, 1e300, math.Inf(1), math.NaN(), 3.0, float32(0.1),
	"", "text", "1", "1.5", "1e3", "0x10", " 12 ", "ünï\u2028", "a\x00b", "\xff", strings.Repeat("long ", 5000),
	[]byte(nil), []byte{}, []byte("bytes"), []byte{0, 1, 0xff}, bytes.Repeat([]byte{7}, 100_000),
	time.Date(2026, 1, 2, 3, 4, 5, 123456789, time.UTC), time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("", 3600)), time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC),
	"2026-01-02", "2026-01-02 03:04", "2026-01-02T03:04", "2026-01-02 03:04:05", "2026-01-02T03:04:05Z", "2026-01-02 03:04:05.123456789", "2026-01-02 03:04:05.5+02:00",
	"2026-01-02T03:04:05.000001-01:30", "2026-01-02Z", "2026-02-30", "2026-01-02 24:00:00", "0000-01-01 00:00:00", "9999-12-31 23:59:59.999999", "12026-01-02 03:04:05",
	"2026-01-02 03:04:05.5 +0200 CEST", "2026-01-02 03:04:05.5 +0000 UTC m=+0.5", " 2026-01-02 03:04:05 +0000 UTC ", "2026-1-2", "tomorrow at ten", "2026-01-02 03:04:05 ",
	"2026-01-02 03:04:05,5", "2026-01-02 3:04:05", "2026-01-02T03:04:05z", "2026-01-02 03:04:05.", "2026-01-02 03:04:60",
}

func TestValuesAreTheSame(t *testing.T) {
	t.Parallel()
	ours, theirs := pair(t)
	for _, kind := range declared {
		for _, text := range []string{"DROP TABLE IF EXISTS t", "CREATE TABLE t (id INTEGER PRIMARY KEY, v " + kind + ")"} {
			require.Equal(t, tell(t, theirs, text).Error, tell(t, ours, text).Error)
		}
		for i, arg := range arguments {
			require.Equal(t, tell(t, theirs, "INSERT INTO t VALUES (?, ?)", asText([]any{i, arg})...), tell(t, ours, "INSERT INTO t VALUES (?, ?)", i, arg), "%s %#v", kind, arg)
			for _, text := range []string{"SELECT v, typeof(v), length(v), hex(v) FROM t WHERE id = ?", "SELECT id, coalesce(v, 'none') AS v, max(v) FROM t WHERE id <= ?"} {
				require.Equal(t, ask(t, theirs, text, i), ask(t, ours, text, i), "%s %#v", kind, arg)
			}
		}
		require.Equal(t, ask(t, theirs, "SELECT * FROM t ORDER BY id"), ask(t, ours, "SELECT * FROM t ORDER BY id"), kind)
	}
}

// NextValues, which package backend uses, returns what Next does.
func TestNextValues(t *testing.T) {
	t.Parallel()
	ours, _ := pair(t)
	for _, kind := range declared {
		tell(t, ours, "DROP TABLE IF EXISTS t")
		tell(t, ours, "CREATE TABLE t (id INTEGER PRIMARY KEY, v "+kind+")")
		for i, arg := range arguments {
			require.Empty(t, tell(t, ours, "INSERT INTO t VALUES (?, ?)", i, arg).Error)
		}
		conn, err := ours.Conn(t.Context())
		require.NoError(t, err)
		require.NoError(t, conn.Raw(func(raw any) error {
			var all [2][]string
			for i := range all {
				rows, err := raw.(driver.QueryerContext).QueryContext(t.Context(), "SELECT v FROM t ORDER BY id", nil)
				require.NoError(t, err)
				defer rows.Close()
				for value := []driver.Value{nil}; rows.(column.Rows) != nil; {
					values := make([]column.Value, 1)
					if i == 0 && rows.Next(value) != nil || i == 1 && rows.(column.Rows).NextValues(values) != nil {
						break
					}
					if i == 1 {
						value[0] = values[0].Driver()
					}
					all[i] = append(all[i], show(value[0]))
				}
			}
			require.Len(t, all[0], len(arguments))
			require.Equal(t, all[0], all[1])
			return nil
		}))
		require.NoError(t, conn.Close())
	}
}

func TestStatementsAreTheSame(t *testing.T) {
	t.Parallel()
	ours, theirs := pair(t)
	for _, s := range []struct {
		text string
		args []any
	}{
		{"CREATE TABLE p (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE CHECK (name <> 'bad'), n INTEGER, at TIMESTAMP) STRICT", nil},
		{"CREATE TABLE p (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE CHECK (name <> 'bad'), n INTEGER, live BOOLEAN, at TIMESTAMP)", nil},
		{"CREATE TABLE p (id)", nil},
		{"CREATE TABLE c (p INTEGER REFERENCES p (id))", nil},
		{"INSERT INTO p (name, n) VALUES (?, ?), (?, ?)", []any{"a", 1, "b", nil}},
		{"INSERT INTO p (name) VALUES (?)", []any{"a"}},
		{"INSERT INTO p (name) VALUES (?)", []any{nil}},
		{"INSERT INTO p (name) VALUES (?)", []any{"bad"}},
		{"INSERT INTO p (id, name) VALUES (?, 'c')", []any{"no integer"}},
		{"INSERT INTO c VALUES (?)", []any{99}},
		{"UPDATE p SET n = n + ? WHERE n > ?", []any{10, 0}},
		{"DELETE FROM p WHERE id = ?", []any{99}},
		{"INSERT INTO p (name) VALUES ('x'), ('y') RETURNING id, name AS n", nil},
		{"SELECT ?, ?", []any{1}},
		{"SELECT ?", []any{1, 2}},
		{"SELECT ?2, ?1, ?2", []any{1, "two"}},
		{"SELECT $2, $1", []any{1, "two"}},
		{"SELECT ?3", []any{1, 2, "three"}},
		{"SELECT :a, @b, $c, :a", []any{sql.Named("a", 1), sql.Named("b", "two"), sql.Named("c", 3.5)}},
		{"SELECT :a, ?", []any{sql.Named("a", 1), 2}},
		{"SELECT :missing", []any{1}},
		{"SELECT id, name, at FROM p ORDER BY id", nil},
		{"SELECT 1; SELECT 2 AS two", nil},
		{"SELECT 1;\n", nil},
		{"SELECT ? ; SELECT ?", []any{7}},
		{"SELECT 1; -- a comment", nil},
		{"-- nothing", nil},
		{"", nil},
		{" ; /* nothing */ ; ", nil},
		{"/* a */ -- b\n SELECT 1 AS a", nil},
		{"CREATE TABLE d (a); INSERT INTO d VALUES (?); INSERT INTO d VALUES (?); SELECT a FROM d", []any{1, 2}},
		{"INSERT INTO d VALUES (8); INSERT INTO nowhere VALUES (9); INSERT INTO d VALUES (10)", nil},
		{"SELECT a FROM d", nil},
		{"SELECT 'open", nil},
		{"SELECT nowhere FROM p", nil},
		{`SELECT "nowhere" FROM p`, nil},
		{"SELECT 1 /* open", nil},
		{"SELECT '-- ; /*', ';' ; SELECT ';'", nil},
		{"SELECT abs(-9223372036854775808)", nil},
		{"SELECT zeroblob(3), x'', zeroblob(0), '', CAST('' AS BLOB)", nil},
		{"SELECT CAST(1 AS REAL), 1e400, -1e400, 9223372036854775808, 1/0", nil},
		{"SELECT 1 AS a, 2 AS a, 3 AS \"b.c\"", nil},
		{"SELECT * FROM p LEFT JOIN c ON c.p = p.id", nil},
		{"SELECT raise(ABORT, 'no')", nil},
		{"SELECT json('{'), 1", nil},
		{"SELECT 'a' || char(0) || 'b', 'a\x00b'", nil},
		{"ROLLBACK", nil},
		{"COMMIT", nil},
		{"BEGIN; BEGIN", nil},
		{"ROLLBACK", nil},
		{"PRAGMA foreign_keys", nil},
		{"PRAGMA foreign_keys = 0", nil},
		{"PRAGMA foreign_keys", nil},
		{"PRAGMA writable_schema = 1", nil},
		{"EXPLAIN QUERY PLAN SELECT * FROM p WHERE id = ?", []any{1}},
		{"VALUES (1, 'a'), (2, 'b')", nil},
		{"WITH w (a) AS (VALUES (1), (2)) SELECT a, a FROM w", nil},
		{"SELECT group_concat(?1) FROM d", []any{"x"}},
		{"ALTER TABLE d ADD COLUMN b TEXT DEFAULT 'new'", nil},
		{"SELECT a FROM d", nil},
		{"SELECT * FROM d", nil},
		{"ALTER TABLE d RENAME COLUMN b TO c", nil},
		{"SELECT * FROM d", nil},
		{"DROP TABLE d", nil},
		{"SELECT * FROM d", nil},
	} {
		for _, how := range []func(testing.TB, *sql.DB, string, ...any) answer{ask, tell} {
			if strings.Contains(s.text, "CREATE TABLE d") {
				tell(t, ours, "DROP TABLE IF EXISTS d")
				tell(t, theirs, "DROP TABLE IF EXISTS d")
			}
			if strings.TrimLeft(s.text, " ;-/*nothig") == "" && reflect.ValueOf(how).Pointer() == reflect.ValueOf(tell).Pointer() {
				require.Equal(t, "0 0", tell(t, ours, s.text).Result) // modernc's driver returns no result, which panics
				continue
			}
			require.Equal(t, how(t, theirs, s.text, s.args...), how(t, ours, s.text, s.args...), "%s %v", s.text, s.args)
		}
	}
}

// A list takes as many parameters as SQLite allows. Each of them is bound.
func TestLongListIsTheSame(t *testing.T) {
	t.Parallel()
	ours, theirs := pair(t)
	args := make([]any, 2000)
	for i := range args {
		args[i] = fmt.Sprint(i)
	}
	text := "SELECT column1 FROM (VALUES (?)" + strings.Repeat(", (?)", len(args)-1) + ")"
	require.Equal(t, ask(t, theirs, text, args...), ask(t, ours, text, args...))
}

// FuzzArguments passes the same arguments to both drivers.
func FuzzArguments(f *testing.F) {
	f.Add(int64(1), 1.5, "text", []byte("bytes"), "2026-01-02 03:04:05.25", int64(1767323045123456), uint8(0))
	f.Add(int64(-1), math.Inf(-1), "a\x00b", []byte(nil), "2026-01-02T03:04:05+01:00", int64(0), uint8(7))
	f.Add(int64(0), math.NaN(), "", []byte{}, "2026-01-02", int64(-1), uint8(255))
	ours, theirs := pair(f)
	for _, pool := range []*sql.DB{ours, theirs} {
		_, err := pool.Exec("CREATE TABLE t (id INTEGER PRIMARY KEY, i INTEGER, r REAL, s TEXT, b BLOB, at TIMESTAMP, d DATE, n NUMERIC, x)")
		require.NoError(f, err)
	}
	f.Fuzz(func(t *testing.T, i int64, r float64, s string, b []byte, at string, micros int64, rotate uint8) {
		args := []any{i, r, s, b, at, time.UnixMicro(micros % (1 << 55)), nil, s}
		k := int(rotate) % len(args)
		args = append(args[k:len(args):len(args)], args[:k]...)
		text := "INSERT OR REPLACE INTO t VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?)"
		require.Equal(t, tell(t, theirs, text, asText(args)...), tell(t, ours, text, args...), "%#v", args)
		require.Equal(t, ask(t, theirs, "SELECT *, ?, i = ?, s || ? FROM t", asText(args[:3])...), ask(t, ours, "SELECT *, ?, i = ?, s || ? FROM t", args[:3]...), "%#v", args)
	})
}
