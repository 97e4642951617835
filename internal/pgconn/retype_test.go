//go:build unix

package pgconn_test

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend/internal/pgconn"
)

// retypings are changes of the type of column v, and a value for which the old type and the
// new one differ.
var retypings = []struct {
	name, before, from, change string // change: see retype
	value                      driver.Value
	want                       string // as text; "" is the value itself
}{
	{"real to double precision", "", "real", "double precision", 0.1, "0.1"},
	{"double precision to numeric", "", "double precision", "numeric", 0.30000000000000004, "0.30000000000000004"},
	{"numeric with a scale to numeric", "", "numeric(10,1)", "numeric", "1.55", ""},
	{"bigint to numeric", "", "bigint", "numeric", int64(9007199254740993), "9007199254740993"},
	{"bigint to text", "", "bigint", "text", int64(7), "7"},
	{"bool to text", "", "bool", "text", true, "true"},
	{"date to timestamptz", "", "date", "timestamptz", time.Date(2026, 11, 28, 13, 14, 15, 123456000, time.UTC), "2026-11-28 13:14:15.123456+00"},
	{"timestamptz to timestamp", "", "timestamptz", "timestamp", time.Date(2026, 11, 28, 13, 14, 15, 0, time.FixedZone("", 7200)), "2026-11-28 13:14:15"},
	{"timestamptz to timestamp, UTC", "", "timestamptz", "timestamp", time.Date(2026, 11, 28, 13, 14, 15, 0, time.UTC), "2026-11-28 13:14:15"},
	{"timestamptz to date, UTC", "", "timestamptz", "date", time.Date(2026, 11, 28, 23, 14, 15, 0, time.UTC), "2026-11-28"},
	{"timestamp of seconds to timestamp", "", "timestamp(0)", "timestamp", "2026-11-28 13:14:15.123456", ""},
	{"time to timetz", "", "time", "timetz USING '00:00Z'", "12:00:00+05", ""},
	{"interval to text", "", "interval", "text", "90 seconds", ""},
	{"int to text", "", "int", "text", "007", ""},
	{"int dropped and added as text", "", "int", "ALTER TABLE a DROP v, ADD v text", "007", ""},
	{"table dropped and made anew", "", "int", "DROP TABLE a; CREATE TABLE a (id int PRIMARY KEY, v text); INSERT INTO a VALUES (1)", "007", ""},
	{"domain over another type", "DROP DOMAIN IF EXISTS d; CREATE DOMAIN d AS int;", "d", "ALTER TABLE a DROP v; DROP DOMAIN d; CREATE DOMAIN d AS text; ALTER TABLE a ADD v d", "007", ""},
	{"enum made anew", "DROP TYPE IF EXISTS d; CREATE TYPE d AS ENUM ('x');", "d", "ALTER TABLE a DROP v; DROP TYPE d; CREATE TYPE d AS ENUM ('y', 'x'); ALTER TABLE a ADD v d", "x", ""},
	{"int[] to text[]", "", "int[]", "text[]", "{007}", ""},
	{"text to int", "", "text", "int USING 0", "007", "7"},
	{"text to text[]", "", "text", "text[] USING '{}'", `{"é"}`, "{é}"},
	{"text to tsvector", "", "text", "tsvector USING ''", "é", "'é'"},
	{"text to varchar", "", "text", "varchar(10)", "ab ", ""},
	{"text to char", "", "text", "char(5)", "ab  ", "ab"},
	{"text to enum", "DROP TYPE IF EXISTS d; CREATE TYPE d AS ENUM ('x');", "text", "d USING 'x'", "x", ""},
	{"json to text", "", "json", "text", []byte(`{"a":  1}`), `{"a":  1}`},
	{"json to jsonb", "", "json", "jsonb", `{"a":  1}`, `{"a": 1}`},
	{"lower-case uuid to text", "", "uuid", "text", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", ""},
	{"char to text", "", "char(5)", "text", "ab ", ""},
	{"varchar to text", "", "varchar(3)", "text", "abcd", ""},
	{"bit to text", "", "bit(3)", "text USING ''", "B101", ""},
	{"inet to text", "", "inet", "text", "10.0.0.1/32", ""},
	{"inet to cidr", "", "inet", "cidr", "10.0.0.0", "10.0.0.0/32"},
	{"money to numeric", "", "money", "numeric", "1.005", ""},
	{"uuid to text", "", "uuid", "text", "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", ""},
	{"jsonb to text", "", "jsonb", "text", []byte(`{"é":  "\\"}`), `{"é":  "\\"}`},
	{"text to jsonb", "", "text", "jsonb USING '0'", []byte(`{"é":  "\\"}`), `{"é": "\\"}`},
	{"text to json", "", "text", "json USING '0'", `{"é":  "\\"}`, ""},
	{"bytea to text", "", "bytea", "text USING ''", []byte(`é\\x`), `é\\x`},
	{"text of bytea to text", "", "bytea", "text USING ''", `é\\x`, ""},
	{"text to bytea", "", "text", "bytea USING ''", []byte(`\x41\\`), `\x5c7834315c5c`},
	{"string for text to bytea", "", "text", "bytea USING ''", `\x41\\`, `\x5c7834315c5c`},
}

// retype returns the statements that change the column.
func retype(change string) string {
	if strings.Contains(change, " TABLE ") {
		return change
	}
	using := ""
	if !strings.Contains(change, "USING") {
		using = " USING v::" + change
	}
	return "ALTER TABLE a ALTER v TYPE " + change + using
}

// writes are statements that store the argument in the column v of the row 1: three that
// may be kept, and three that are analyzed anew.
var writes = []struct{ name, text string }{
	{"insert", "INSERT INTO a VALUES (1, $1) ON CONFLICT (id) DO UPDATE SET v = excluded.v"},
	{"update", "update a set v = $1 where id = 1"},
	{"update with result", "UPDATE a SET v = $1 WHERE id = 1 RETURNING v"},
	{"WITH", "WITH one AS (SELECT 1 AS id) UPDATE a SET v = $1 FROM one WHERE a.id = one.id"},
	{"in WITH", "/* x */ WITH done AS (UPDATE a SET v = $1 WHERE id = 1 RETURNING id) SELECT * FROM done"},
	{"merge", "MERGE INTO a USING (SELECT 1 AS id) one ON a.id = one.id WHEN MATCHED THEN UPDATE SET v = $1"},
}

// retyped is a connection whose statements are kept while another process changes types.
type retyped struct {
	c     *pgconn.Conn
	other *sql.DB // of lib/pq alone, which keeps no statements
}

func newRetyped(t *testing.T, settings ...string) retyped {
	u := server(t)
	set(u, "synchronous_commit", "off")
	for i := range len(settings) / 2 {
		set(u, settings[2*i], settings[2*i+1])
	}
	c, _ := session(t, open(t, u, pgconn.Config{}))
	other, err := sql.Open("postgres", u.String())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, other.Close()) })
	return retyped{c, other}
}

// store runs a write and returns what it stored, and its result.
func (r retyped) store(t *testing.T, text string, value driver.Value) (string, error) {
	_, err := all(t.Context(), r.c, text, value)
	if err != nil {
		return "", err
	}
	return r.stored(t), nil
}

func (r retyped) stored(t *testing.T) (v string) {
	require.NoError(t, r.other.QueryRow("SELECT v::text FROM a WHERE id = 1").Scan(&v))
	return v
}

// waits returns when a statement waits for the table.
func (r retyped) waits(t *testing.T) {
	soon(t, "the write waits for the lock", func() (waits bool) {
		require.NoError(t, r.other.QueryRow("SELECT count(*) > 0 FROM pg_locks WHERE relation = 'a'::regclass AND NOT granted").Scan(&waits))
		return waits
	})
}

// A write stores by the types that the columns have when it gets to its table, whoever
// changed them, also if it has waited for the change. The value is compared with the one
// that lib/pq alone stores.
func TestWritesKnowTheTypesOfNow(t *testing.T) {
	t.Parallel()
	for i, test := range retypings {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newRetyped(t)
			keep := func(write string) {
				mustExec(t, r.other, "DROP TABLE IF EXISTS a; "+test.before+"CREATE TABLE a (id int PRIMARY KEY, v "+test.from+"); INSERT INTO a VALUES (1)")
				for range 2 {
					_, _ = r.store(t, write, test.value) // the value may be too long for the old type
				}
			}
			check := func(how, write string) {
				got := r.stored(t)
				mustExec(t, r.other, write, test.value)
				require.Equal(t, r.stored(t), got, how)
				require.Equal(t, cmp.Or(test.want, fmt.Sprintf("%s", test.value)), got, how)
			}
			for n := range 2 {
				write := writes[3*n+i%3] // one of each kind
				keep(write.text)
				mustExec(t, r.other, retype(test.change))
				_, err := r.store(t, write.text, test.value)
				require.NoError(t, err, write.name)
				check(write.name, write.text)
			}
			t.Run("waits", func(t *testing.T) {
				write := writes[i%len(writes)]
				keep(write.text)
				tx, err := r.other.Begin()
				require.NoError(t, err)
				defer tx.Rollback()
				_, err = tx.Exec(retype(test.change))
				require.NoError(t, err)
				done := make(chan error, 1)
				go func() {
					_, err := r.c.ExecContext(t.Context(), write.text, args(test.value))
					done <- err
				}()
				r.waits(t)
				require.NoError(t, tx.Commit())
				require.NoError(t, <-done)
				check(write.name, write.text)
			})
		})
	}
}

// The end of the context ends a write that waits for a change of types, and nothing is stored.
func TestWritesThatWaitCanBeStopped(t *testing.T) {
	t.Parallel()
	r := newRetyped(t)
	mustExec(t, r.other, "CREATE TABLE a (id int, v real); INSERT INTO a VALUES (1, 1)")
	const write = "UPDATE a SET v = $1 WHERE id = 1"
	for range 2 {
		_, err := r.store(t, write, 0.5)
		require.NoError(t, err)
	}
	tx, err := r.other.Begin()
	require.NoError(t, err)
	defer tx.Rollback()
	_, err = tx.Exec("ALTER TABLE a ALTER v TYPE double precision")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() {
		_, err := r.c.ExecContext(ctx, write, args(0.1))
		done <- err
	}()
	r.waits(t)
	cancel()
	require.ErrorIs(t, <-done, context.Canceled)
	require.NoError(t, tx.Commit())
	require.Equal(t, "0.5", r.stored(t))
}

// What a write returns is decoded by the types of now.
func TestResultsOfWritesKnowTheTypesOfNow(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		from, change string
		want         driver.Value
	}{
		{"int", "text", "007"},
		{"text", "int", int64(7)},
		{"text", "bytea USING ''", []byte("007")},
		{"bytea", "text USING ''", "007"},
	} {
		t.Run(test.from+" to "+test.change, func(t *testing.T) {
			t.Parallel()
			r := newRetyped(t)
			mustExec(t, r.other, "CREATE TABLE a (id int, v "+test.from+"); INSERT INTO a VALUES (1)")
			const write = "UPDATE a SET v = $1 WHERE id = 1 RETURNING v"
			for range 2 {
				mustAll(t, r.c, write, "007")
			}
			mustExec(t, r.other, retype(test.change))
			require.Equal(t, [][]driver.Value{{test.want}}, mustAll(t, r.c, write, "007"))
		})
	}
}

// A session in another time zone does not move the hours of times that have become a
// timestamp.
func TestWritesInOtherTimeZones(t *testing.T) {
	t.Parallel()
	r := newRetyped(t, "timezone", "Europe/Berlin")
	mustExec(t, r.other, "CREATE TABLE a (id int, v timestamptz); INSERT INTO a VALUES (1)")
	const write = "UPDATE a SET v = $1 WHERE id = 1"
	at := time.Date(2026, 11, 28, 13, 14, 15, 0, time.UTC)
	for range 2 {
		got, err := r.store(t, write, at)
		require.NoError(t, err)
		require.Equal(t, "2026-11-28 14:14:15+01", got)
	}
	mustExec(t, r.other, "ALTER TABLE a ALTER v TYPE timestamp")
	got, err := r.store(t, write, at)
	require.NoError(t, err)
	require.Equal(t, "2026-11-28 13:14:15", got)
}

// The rows that a write affects are those that the types of now compare.
func TestConditionsOfWritesKnowTheTypesOfNow(t *testing.T) {
	t.Parallel()
	r := newRetyped(t)
	mustExec(t, r.other, "CREATE TABLE a (id int, k text, v text); INSERT INTO a VALUES (1, 'ab', '')")
	const write = "UPDATE a SET v = id::text || v WHERE k = $1"
	for _, key := range []string{"ab", "ab  "} {
		_, err := r.store(t, write, key)
		require.NoError(t, err)
	}
	require.Equal(t, "1", r.stored(t))
	mustExec(t, r.other, "ALTER TABLE a ALTER k TYPE char(5)")
	got, err := r.store(t, write, "ab  ")
	require.NoError(t, err)
	require.Equal(t, "11", got)
}

// A number is refused for a column that has become an interval: it would count as seconds.
func TestNumbersAreNoIntervalsOfNow(t *testing.T) {
	t.Parallel()
	r := newRetyped(t)
	mustExec(t, r.other, "CREATE TABLE a (id int, v bigint); INSERT INTO a VALUES (1, 0)")
	const write = "UPDATE a SET v = $1 WHERE id = 1"
	for range 2 {
		_, err := r.store(t, write, int64(time.Minute))
		require.NoError(t, err)
	}
	mustExec(t, r.other, "ALTER TABLE a ALTER v TYPE interval USING '0'")
	_, err := r.store(t, write, int64(time.Minute))
	require.ErrorContains(t, err, "INTERVAL")
	require.Equal(t, "00:00:00", r.stored(t))
}

// In a transaction, in which nothing can be repaired, a write needs no repair.
func TestWritesInTransactionsKnowTheTypesOfNow(t *testing.T) {
	t.Parallel()
	r := newRetyped(t)
	mustExec(t, r.other, "CREATE TABLE a (id int, v int); INSERT INTO a VALUES (1)")
	const write = "UPDATE a SET v = $1 WHERE id = 1"
	for range 2 {
		_, err := r.store(t, write, int64(7))
		require.NoError(t, err)
	}
	require.NoError(t, r.c.StartTx(t.Context(), "BEGIN"))
	mustExec(t, r.other, "ALTER TABLE a ALTER v TYPE bigint")
	_, err := r.c.ExecContext(t.Context(), write, args(int64(3e9)))
	require.NoError(t, err)
	_, err = r.c.ExecContext(t.Context(), write, args("x"))
	require.Equal(t, "22P02", code(t, err))
	require.False(t, pgconn.Stale(err))
	_, err = r.c.ExecContext(t.Context(), write, args("7"))
	require.Equal(t, "25P02", code(t, err), "the transaction has failed")
	require.NoError(t, r.c.Rollback(t.Context()))
	require.True(t, r.c.IsValid())
}

// The form in which an argument is sent makes no difference for what is stored: it is what
// lib/pq alone stores, which knows the types.
func TestFormsOfArguments(t *testing.T) {
	t.Parallel()
	values := []string{"", "plain", `\x41`, `\101`, `{"a": "\\n\u00e9"}`, `{"é": "\\"}`, "é", "a\x00b", "a\xffb", "7", `"\\"`, "\x01{}", "\x00\x00\x00\x07", "\x00\x00\x00\x00\x00\x00\x00\x07",
		"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "0123456789abcde\xff", "{1,2}", `{"\\\\x41"}`}
	for _, column := range []string{"bytea", "text", "varchar(40)", "char(40)", "json", "jsonb", "xml", "uuid", "int", "bigint", "name", "bytea[]", "text[]", "inet", "numeric", "timestamptz"} {
		t.Run(column, func(t *testing.T) {
			t.Parallel()
			r := newRetyped(t)
			mustExec(t, r.other, "CREATE TABLE a (id int PRIMARY KEY, v "+column+")")
			long := "/*" + strings.Repeat(" ", 20<<10) + "*/" // a statement of this length is not kept
			for name, text := range map[string]string{"kept": "", "not kept": long} {
				text = "INSERT INTO a VALUES (1, $1) ON CONFLICT (id) DO UPDATE SET v = excluded.v" + text
				for _, value := range values {
					for _, form := range []driver.Value{value, []byte(value)} {
						_, err := r.other.Exec(text, form)
						want := ""
						if err == nil {
							want = r.stored(t)
							mustExec(t, r.other, "UPDATE a SET v = NULL")
						}
						got, ownErr := r.store(t, text, form)
						require.Equal(t, err == nil, ownErr == nil, "%s: %T %q: %v, %v", name, form, value, err, ownErr)
						require.Equal(t, want, got, "%s: %T %q", name, form, value)
						require.True(t, r.c.IsValid())
					}
				}
			}
			for _, null := range []driver.Value{nil, []byte(nil)} {
				require.Equal(t, "[[true]]", fmt.Sprint(mustAll(t, r.c, "INSERT INTO a VALUES (2, $1) ON CONFLICT (id) DO UPDATE SET v = excluded.v RETURNING v IS NULL", null)))
			}
		})
	}
}

// What a write costs that is kept, and one that is analyzed anew. Without waiting for the
// disk, which takes longer than the difference.
func BenchmarkWrites(b *testing.B) {
	for _, test := range []struct {
		name, text string
		value      driver.Value
	}{
		{"insert kept", "INSERT INTO a (name, at) VALUES ($1, $2)", time.UnixMilli(0).UTC()},
		{"insert anew", "INSERT INTO a (name, n) VALUES ($1, $2)", 0.5},
		{"update kept", "UPDATE a SET name = $1, at = $2 WHERE id = 1", time.UnixMilli(0).UTC()},
		{"update anew", "UPDATE a SET name = $1, n = $2 WHERE id = 1", 0.5},
	} {
		b.Run(test.name, func(b *testing.B) {
			u := server(b)
			set(u, "synchronous_commit", "off")
			c, _ := session(b, open(b, u, pgconn.Config{}))
			_, err := c.ExecContext(b.Context(), "CREATE TABLE a (id bigserial PRIMARY KEY, name text, at timestamptz, n real); INSERT INTO a (name) VALUES ('x')", nil)
			require.NoError(b, err)
			values := args("a name", test.value)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.ExecContext(b.Context(), test.text, values); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
