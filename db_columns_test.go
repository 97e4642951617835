package backend_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
	"github.com/seed-215b9b7c/backend/backendtest"
)

// The column types that One names hold what they are said to hold.
func TestColumnsForGoTypes(t *testing.T) {
	t.Parallel()
	tables := map[backend.Engine]string{
		backend.Postgres: `CREATE TABLE t (id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, number BIGINT NOT NULL, ratio DOUBLE PRECISION NOT NULL,
			live BOOLEAN NOT NULL, text TEXT NOT NULL, day CHAR(10) NOT NULL, at TIMESTAMPTZ NOT NULL, raw BYTEA NOT NULL, tags JSONB NOT NULL)`,
		backend.SQLite: `CREATE TABLE t (id INTEGER PRIMARY KEY, number BIGINT NOT NULL, ratio DOUBLE NOT NULL,
			live BOOLEAN NOT NULL, text TEXT NOT NULL, day CHAR(10) NOT NULL, at TIMESTAMP NOT NULL, raw BLOB NOT NULL, tags JSON NOT NULL)`,
		backend.MySQL: `CREATE TABLE t (id BIGINT AUTO_INCREMENT PRIMARY KEY, number BIGINT NOT NULL, ratio DOUBLE NOT NULL,
			live BOOLEAN NOT NULL, text TEXT NOT NULL, day CHAR(10) NOT NULL, at DATETIME(6) NOT NULL, raw BLOB NOT NULL, tags JSON NOT NULL)`,
	}
	type values struct {
		ID     backend.ID `db:"id"`
		Number int64      `db:"number"`
		Ratio  float64    `db:"ratio"`
		Live   bool       `db:"live"`
		Text   string     `db:"text"`
		Day    string     `db:"day"`
		At     time.Time  `db:"at"`
		Raw    []byte     `db:"raw"`
		Tags   []string   `db:"tags"`
	}
	backendtest.EachDB(t, func(t *testing.T, db *backend.DB) {
		_, err := db.Exec(t.Context(), "?", backend.UnsafeSQL(tables[db.Engine()]))
		require.NoError(t, err)
		want := values{1, 1<<63 - 1, 0.1, true, "äö", "2026-01-02", time.Date(2026, 1, 2, 3, 4, 5, 123456000, time.UTC), []byte{0, 255}, []string{"a"}}
		got, err := backend.One[values](t.Context(), db,
			"INSERT INTO t (number, ratio, live, text, day, at, raw, tags) VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING *",
			want.Number, want.Ratio, want.Live, want.Text, want.Day, want.At, want.Raw, want.Tags)
		require.NoError(t, err)
		require.Equal(t, want, got)
	})
}

// A number is no INTERVAL: the nanoseconds of a time.Duration would be read as seconds.
func TestDurationIsNoInterval(t *testing.T) {
	t.Parallel()
	db := backendtest.NewDB(t, backend.Postgres)
	_, err := db.Exec(t.Context(), "CREATE TABLE t (n BIGINT, d INTERVAL)")
	require.NoError(t, err)
	for _, duration := range []any{time.Second, new(time.Second), backend.Some(time.Second), 1, 1.5} {
		for range 2 { // the second time with the prepared statement
			_, err := db.Exec(t.Context(), "INSERT INTO t (d) VALUES (?)", duration)
			require.Equal(t, backend.Internal, backend.CodeOf(err), "%v", err)
			require.ErrorContains(t, err, "BIGINT")
			_, err = db.Exec(t.Context(), "DELETE FROM t WHERE now() > now() + ?", duration)
			require.Equal(t, backend.Internal, backend.CodeOf(err), "%v", err)
			require.ErrorContains(t, err, "BIGINT")
		}
	}
	for _, duration := range []any{"90 seconds", nil} {
		_, err = db.Exec(t.Context(), "INSERT INTO t (n, d) VALUES (?, ?)", time.Second, duration)
		require.NoError(t, err)
	}
	stored, err := backend.All[time.Duration](t.Context(), db, "SELECT n FROM t")
	require.NoError(t, err)
	require.Equal(t, []time.Duration{time.Second, time.Second}, stored)
}

// Bytes mean the same with and without a pooler, whatever the type of their parameter is.
func TestBytesBehindAPooler(t *testing.T) {
	t.Parallel()
	for _, config := range []backend.DBConfig{{}, {Pooler: true}} {
		db, ctx := backendtest.NewDB(t, backend.Postgres, config), t.Context()
		_, err := db.Exec(ctx, "CREATE TABLE t (a bytea, b bigint, c integer, d jsonb, e uuid, f text, g boolean, h timestamptz, i smallint, j double precision)")
		require.NoError(t, err)
		for _, test := range []struct{ column, value, want string }{
			{"a", "abc", "abc"}, {"a", `\x00`, `\x00`}, {"a", "\x00\xff\\", "\x00\xff\\"}, {"a", "ä", "ä"}, {"a", "", ""},
			{"b", "12345678", "12345678"}, {"c", "1234", "1234"}, {"i", "12", "12"}, {"g", "t", "true"}, {"j", "12345678", "1.2345678e+07"},
			{"d", `{"a": "ä\\"}`, `{"a": "ä\\"}`}, {"d", `5`, `5`}, {"e", "01234567-89ab-cdef-0123-456789abcdef", "01234567-89ab-cdef-0123-456789abcdef"},
			{"f", "abc", "abc"}, {"f", `a\x61ä`, `a\x61ä`}, {"f", `\x6162`, `\x6162`}, {"f", "", ""},
		} {
			for _, ending := range []string{"", "; -- the end", " -- ;"} {
				err := db.Tx(ctx, func(ctx context.Context) error {
					_, err := db.Exec(ctx, "?", backend.UnsafeSQL("INSERT INTO t ("+test.column+") VALUES (?)"+ending, []byte(test.value)))
					require.NoError(t, err, "%v", test)
					got, err := backend.One[string](ctx, db, "?", backend.UnsafeSQL("SELECT "+test.column+" FROM t WHERE "+test.column+" = ? OR ?::bytea = '\\xffff'"+ending, []byte(test.value), []byte{0x80}))
					require.NoError(t, err, "%v", test)
					require.Equal(t, test.want, got, "%v", test)
					_, err = db.Exec(ctx, "DELETE FROM t")
					return err
				})
				require.NoError(t, err)
			}
		}
		for _, test := range []struct{ column, value string }{
			{"b", "\x80\x00\x00\x00\x00\x00\x00\x00"}, {"c", "\x80\x00\x00\x00"}, {"e", "\x80123456789abcdef"}, {"e", "0123456789abcdef"}, {"g", "\x01"}, {"h", "\x00\x01\x02\x03\x04\x05\x06\x07"}, {"i", "\x80\x01"}, {"f", "\xff"}, {"d", "{"},
		} {
			_, err := db.Exec(ctx, "?", backend.UnsafeSQL("INSERT INTO t ("+test.column+") VALUES (?)", []byte(test.value)))
			require.Equal(t, backend.Invalid, backend.CodeOf(err), "%v: %v", test, err)
		}
		_, err = db.Exec(ctx, "INSERT INTO t (b) VALUES (?); INSERT INTO t (b) VALUES (1)", []byte{0x80})
		require.Error(t, err)
		n, err := backend.One[int](ctx, db, "SELECT count(*) FROM t")
		require.NoError(t, err)
		require.Zero(t, n)
	}
}

// A row that a row security policy refuses is a mistake of the client. A missing right is
// one of the program.
func TestRowSecurity(t *testing.T) {
	t.Parallel()
	db := backendtest.NewDB(t, backend.Postgres)
	for _, statement := range []string{"CREATE TABLE t (n int)", "CREATE TABLE closed (n int)", "ALTER TABLE t ENABLE ROW LEVEL SECURITY", "CREATE POLICY p ON t USING (n < 5)", "GRANT INSERT ON t TO pg_monitor"} {
		_, err := db.Exec(t.Context(), "?", backend.UnsafeSQL(statement))
		require.NoError(t, err)
	}
	for table, code := range map[string]backend.Code{"t": backend.Invalid, "closed": backend.Internal} {
		err := db.Tx(t.Context(), func(ctx context.Context) error {
			_, err := db.Exec(ctx, "SET LOCAL ROLE pg_monitor")
			require.NoError(t, err)
			_, err = db.Exec(ctx, "?", backend.UnsafeSQL("INSERT INTO "+table+" VALUES (?)", 9))
			return err
		})
		require.Equal(t, code, backend.CodeOf(err), "%v", err)
	}
}
