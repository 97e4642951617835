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
