package backend_test

import (
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
	"github.com/seed-215b9b7c/backend/backendtest"
)

// Times that the engine writes itself, by a default, in a trigger or in a statement, compare
// with those that a program passes, also if the server's time zone is another one.
func TestTimesOfTheEngine(t *testing.T) {
	t.Parallel()
	schemas := map[backend.Engine][]string{
		backend.SQLite: {"TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP", "DATETIME NOT NULL DEFAULT (datetime('now'))", "TIMESTAMP NOT NULL DEFAULT (rtrim(rtrim(strftime('%Y-%m-%d %H:%M:%f', 'now'), '0'), '.'))",
			"DATETIME(6) NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%S', 'now'))"},
		backend.Postgres: {"TIMESTAMPTZ NOT NULL DEFAULT now()", "TIMESTAMP NOT NULL DEFAULT now()", "TIMESTAMP(0) NOT NULL DEFAULT localtimestamp"},
		backend.MySQL:    {"DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6)", "TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP", "DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP"},
	}
	type row struct {
		ID int       `db:"id"`
		At time.Time `db:"at"`
	}
	backendtest.EachDB(t, func(t *testing.T, db *backend.DB) {
		ctx := t.Context()
		if db.Engine() == backend.Postgres {
			_, err := db.Exec(ctx, "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET timezone = ''Asia/Tokyo''', current_database()); END $$")
			require.NoError(t, err)
		}
		for _, column := range schemas[db.Engine()] {
			require.NoError(t, db.Migrate(ctx, nil))
			for _, statement := range []string{"DROP TABLE IF EXISTS t", "CREATE TABLE t (id INTEGER PRIMARY KEY, at " + column + ")"} {
				_, err := db.Exec(ctx, "?", backend.UnsafeSQL(statement))
				require.NoError(t, err)
			}
			insert := func(id int) {
				_, err := db.Exec(ctx, "?", backend.UnsafeSQL("INSERT INTO t (id) VALUES (?)", id))
				require.NoError(t, err)
			}
			start := time.Now().Add(-time.Minute)
			for id := range 6 {
				insert(id)
			}
			_, err := db.Exec(ctx, "UPDATE t SET at = CURRENT_TIMESTAMP WHERE id = 2")
			require.NoError(t, err)
			read, err := backend.One[time.Time](ctx, db, "?", backend.UnsafeSQL("SELECT at FROM t WHERE id = 1"))
			require.NoError(t, err)
			require.Less(t, time.Since(read).Abs(), time.Hour, column)
			for id, at := range map[int]time.Time{6: read, 7: read.Add(time.Second / 2), 8: read.Add(-time.Second), 9: start} {
				_, err := db.Exec(ctx, "?", backend.UnsafeSQL("INSERT INTO t (id, at) VALUES (?, ?)", id, at))
				require.NoError(t, err)
			}
			all, err := backend.All[row](ctx, db, "?", backend.UnsafeSQL("SELECT id, at FROM t ORDER BY at, id"))
			require.NoError(t, err)
			require.Len(t, all, 10)
			for i, r := range all {
				if i > 0 {
					require.False(t, r.At.Before(all[i-1].At), "%s: sorted %v", column, all)
				}
				same, err := backend.All[int](ctx, db, "?", backend.UnsafeSQL("SELECT id FROM t WHERE at = ? AND at IN (?)", r.At, []time.Time{r.At}))
				require.NoError(t, err)
				require.Contains(t, same, r.ID, column)
				n, err := backend.One[int](ctx, db, "?", backend.UnsafeSQL("SELECT count(*) FROM t WHERE (at, id) > (?, ?)", r.At, r.ID))
				require.NoError(t, err)
				require.Equal(t, len(all)-i-1, n, "%s: the rows after %v of %v", column, r, all)
			}
			if db.Engine() != backend.SQLite {
				continue
			}
			require.NoError(t, db.Migrate(ctx, nil), "the times are as they should be")
			var n int // database/sql stores times as other statements do
			require.NoError(t, db.SQLX().QueryRowContext(ctx, "SELECT count(*) FROM t WHERE at = ?", read.In(time.FixedZone("", 3600))).Scan(&n))
			require.NotZero(t, n)
		}
	})
}

// Columns of SQLite whose times would not compare are refused, and nothing takes effect.
func TestTimesThatDoNotCompare(t *testing.T) {
	t.Parallel()
	file := func(statements string) fstest.MapFS {
		return fstest.MapFS{"1_a.sql": {Data: []byte("-- +goose Up\n" + statements)}}
	}
	for _, column := range []string{
		"TIMESTAMP DEFAULT (strftime('%s', 'now'))", "TIMESTAMP DEFAULT (unixepoch())", "DATETIME DEFAULT (julianday('now'))", "datetime default (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))", "TIMESTAMP DEFAULT 0",
		"TIMESTAMP(6) NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f', 'NOW'))", "TIMESTAMP DEFAULT (datetime('now', 'subsec'))", "DATETIME DEFAULT (datetime('now', 'localtime'))", "DATE DEFAULT CURRENT_DATE", "TIMESTAMPTZ DEFAULT (datetime('now') || '+00:00')", "DATE DEFAULT (date('now'))",
	} {
		db, ctx := backendtest.NewDB(t, backend.SQLite), t.Context()
		err := db.Migrate(ctx, file("CREATE TABLE t (id INTEGER PRIMARY KEY, at "+column+");"))
		require.ErrorContains(t, err, "t.at", column)
		require.ErrorContains(t, err, "write DEFAULT CURRENT_TIMESTAMP", column)
		n, err := backend.One[int](ctx, db, "SELECT count(*) FROM sqlite_schema WHERE name = 't'")
		require.NoError(t, err)
		require.Zero(t, n, column)
		// A later file may correct it.
		rebuilt := file("CREATE TABLE t (id INTEGER PRIMARY KEY, at " + column + ");")
		rebuilt["2_b.sql"] = &fstest.MapFile{Data: []byte("-- +goose Up\nDROP TABLE t; CREATE TABLE t (id INTEGER PRIMARY KEY, at TIMESTAMP DEFAULT NULL);")}
		require.NoError(t, db.Migrate(ctx, rebuilt))
	}
	for value, want := range map[string]string{
		"'2026-11-28 12:00:10+00:00'": "2026-11-28 12:00:10", "'2026-11-28 12:00:10.123456+00:00'": "2026-11-28 12:00:10.123456", "'2026-11-28T12:00:10Z'": "2026-11-28 12:00:10", "'2026-11-28 14:00:10.5+02:00'": "2026-11-28 12:00:10.5",
		"'2026-11-28 12:00:10.500'": "2026-11-28 12:00:10.5", "1795867210": "2026-11-28 12:00:10", "'2026-11-28'": "2026-11-28 00:00:00", "1795867210500": "2026-11-28 12:00:10.5", "2461373.25": "2026-11-28 18:00:00",
	} {
		for _, options := range []string{"", " WITHOUT ROWID"} {
			db, ctx := backendtest.NewDB(t, backend.SQLite), t.Context()
			require.NoError(t, db.Migrate(ctx, file("CREATE TABLE \"a t\" (id INTEGER PRIMARY KEY, \"at\" TIMESTAMP, b CHAR(10), c INTEGER)"+options+"; INSERT INTO \"a t\" VALUES (1, NULL, NULL, NULL);")))
			_, err := db.Exec(ctx, "?", backend.UnsafeSQL("INSERT INTO \"a t\" VALUES (2, "+value+", "+value+", 5)"))
			require.NoError(t, err)
			err = db.Migrate(ctx, file("CREATE TABLE \"a t\" (id INTEGER PRIMARY KEY, \"at\" TIMESTAMP, b CHAR(10), c INTEGER)"+options+"; INSERT INTO \"a t\" VALUES (1, NULL, NULL, NULL);"))
			require.ErrorContains(t, err, "the column a t.at (TIMESTAMP) has times in another form", value)
			_, update, _ := strings.Cut(err.Error(), "run in a migration\n")
			update, _, _ = strings.Cut(update, "\n")
			_, err = db.Exec(ctx, "?", backend.UnsafeSQL(update))
			require.NoError(t, err, update)
			text, err := backend.One[string](ctx, db, "SELECT at || '' FROM \"a t\" WHERE id = 2")
			require.NoError(t, err)
			require.Equal(t, want, text)
			at, err := time.Parse(time.DateTime, want)
			require.NoError(t, err)
			found, err := backend.One[int](ctx, db, "SELECT id FROM \"a t\" WHERE at = ?", at)
			require.NoError(t, err, value)
			require.Equal(t, 2, found)
		}
	}
}
