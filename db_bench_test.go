package backend_test

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
	"github.com/seed-215b9b7c/backend/backendtest"
)

type benchRow struct {
	ID    int64     `db:"id"`
	Name  string    `db:"name"`
	Text  string    `db:"body"`
	Live  bool      `db:"live"`
	Since time.Time `db:"since"`
}

// benchDB returns a database with 50 rows of 5 columns.
func benchDB(tb testing.TB, engine backend.Engine) *backend.DB {
	db := backendtest.NewDB(tb, engine)
	kind := map[backend.Engine]string{backend.SQLite: "TIMESTAMP", backend.Postgres: "TIMESTAMPTZ", backend.MySQL: "DATETIME(6)"}[engine]
	_, err := db.Exec(tb.Context(), "?", backend.UnsafeSQL("CREATE TABLE t (id INTEGER PRIMARY KEY, name VARCHAR(50) NOT NULL, body TEXT NOT NULL, live BOOLEAN NOT NULL, since "+kind+" NOT NULL)"))
	require.NoError(tb, err)
	require.NoError(tb, db.Tx(tb.Context(), func(ctx context.Context) error {
		for i := range 50 {
			_, err := db.Exec(ctx, "INSERT INTO t (id, name, body, live, since) VALUES (?, ?, ?, ?, ?)", i, "name", "some text that is not short", true, time.Now())
			require.NoError(tb, err)
		}
		return nil
	}))
	return db
}

func one(tb testing.TB, ctx context.Context, db *backend.DB) {
	if _, err := backend.One[benchRow](ctx, db, "SELECT * FROM t WHERE id = ?", 7); err != nil {
		tb.Fatal(err)
	}
}

func all(tb testing.TB, ctx context.Context, db *backend.DB) {
	if rows, err := backend.All[benchRow](ctx, db, "SELECT * FROM t WHERE id >= ?", 0); err != nil || len(rows) != 50 {
		tb.Fatal(err, len(rows))
	}
}

func update(tb testing.TB, ctx context.Context, db *backend.DB) {
	err := db.Tx(ctx, func(ctx context.Context) error {
		_, err := db.Exec(ctx, "UPDATE t SET name = ? WHERE id = ?", "new", 7)
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
}

// sqlOne and sqlAll are the same by hand, through database/sql.
func sqlOne(tb testing.TB, ctx context.Context, pool *sql.DB, q string) {
	var row benchRow
	if err := pool.QueryRowContext(ctx, q, 7).Scan(&row.ID, &row.Name, &row.Text, &row.Live, &row.Since); err != nil {
		tb.Fatal(err)
	}
}

func sqlAll(tb testing.TB, ctx context.Context, pool *sql.DB, q string) {
	rows, err := pool.QueryContext(ctx, q, 0)
	if err != nil {
		tb.Fatal(err)
	}
	defer rows.Close()
	var all []benchRow
	for rows.Next() {
		var row benchRow
		if err := rows.Scan(&row.ID, &row.Name, &row.Text, &row.Live, &row.Since); err != nil {
			tb.Fatal(err)
		}
		all = append(all, row)
	}
	if rows.Err() != nil || len(all) != 50 {
		tb.Fatal(rows.Err(), len(all))
	}
}

// BenchmarkDB compares a query through this package with the same through
// database/sql on the same driver's own connections, each under a deadline as
// requests have.
func BenchmarkDB(b *testing.B) {
	for _, engine := range []backend.Engine{backend.SQLite, backend.Postgres, backend.MySQL} {
		b.Run(string(engine), func(b *testing.B) {
			db := benchDB(b, engine)
			ctx, cancel := context.WithTimeout(b.Context(), time.Hour)
			defer cancel()
			b.Run("one", func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					one(b, ctx, db)
				}
			})
			b.Run("list of 50", func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					all(b, ctx, db)
				}
			})
			b.Run("transaction", func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					update(b, ctx, db)
				}
			})
		})
	}
	b.Run("sqlite by database sql", func(b *testing.B) {
		pool := benchDB(b, backend.SQLite).SQLX().DB
		ctx, cancel := context.WithTimeout(b.Context(), time.Hour)
		defer cancel()
		b.Run("one", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				sqlOne(b, ctx, pool, "SELECT * FROM t WHERE id = ?")
			}
		})
		b.Run("list of 50", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				sqlAll(b, ctx, pool, "SELECT * FROM t WHERE id >= ?")
			}
		})
	})
}

// A query allocates its statement, its rows and its result, whose texts are one each. The
// driver of MySQL also allocates a value of each column as an interface. The bounds are what
// was measured when this was written, and a few more for pools that the collector empties.
func TestDBAllocations(t *testing.T) { // not parallel: it counts allocations
	if underRace() {
		t.Skip("the race detector allocates, too")
	}
	for engine, bound := range map[backend.Engine]struct{ one, all, tx float64 }{
		backend.SQLite:   {5, 105, 7},
		backend.Postgres: {7, 107, 8},
		backend.MySQL:    {20, 268, 18},
	} {
		t.Run(string(engine), func(t *testing.T) {
			db := benchDB(t, engine)
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			require.LessOrEqual(t, fewestAllocs(func() { one(t, ctx, db) }), bound.one, "one row")
			require.LessOrEqual(t, fewestAllocs(func() { all(t, ctx, db) }), bound.all, "50 rows")
			require.LessOrEqual(t, fewestAllocs(func() { update(t, ctx, db) }), bound.tx, "a transaction")

			plain := fewestAllocs(func() { one(t, ctx, db) })
			built := fewestAllocs(func() {
				where := backend.SQL("id = ?", 7)
				if row, err := backend.One[benchRow](ctx, db, "SELECT * FROM t WHERE ?", where); err != nil || row.ID != 7 {
					t.Error(row, err)
				}
			})
			require.LessOrEqual(t, built, plain+3, "the Fragment, its arguments, and those of the query")
		})
	}
}
