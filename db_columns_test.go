package backend_test

import (
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
