package backend_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
	"github.com/seed-215b9b7c/backend/backendtest"
)

// sessionChanges has texts for each engine that change the session, and a query with
// what it returns in a session that was not changed.
var sessionChanges = map[backend.Engine][]struct {
	text, probe string
	want        string
}{
	backend.SQLite: {
		{"PRAGMA foreign_keys = OFF", "PRAGMA foreign_keys", "1"},
		{"/* x */ pragma foreign_keys(0); SELECT 1", "PRAGMA foreign_keys", "1"},
		{"SELECT 1; PRAGMA recursive_triggers=1", "PRAGMA recursive_triggers", "0"},
		{"CREATE TEMP TABLE s (a int)", "SELECT count(*) FROM sqlite_temp_schema", "0"},
		{"CREATE TABLE temp.s (a int)", "SELECT count(*) FROM sqlite_temp_schema", "0"},
		{`CREATE VIEW "temp".s AS SELECT 1`, "SELECT count(*) FROM sqlite_temp_schema", "0"},
		{"ATTACH ':memory:' AS other", "SELECT count(*) FROM pragma_database_list WHERE name = 'other'", "0"},
	},
	backend.Postgres: {
		{"SET search_path = pg_catalog", "SHOW search_path", `"$user", public`},
		{`SET "statement_timeout" = 7`, "SHOW statement_timeout", "0"},
		{"SELECT 1; set session statement_timeout = 7", "SHOW statement_timeout", "0"},
		{"SELECT set_config('statement_timeout', '7', false)", "SHOW statement_timeout", "0"},
		{`SELECT pg_catalog."set_config"('statement_timeout', '7', 1 = 2)`, "SHOW statement_timeout", "0"},
		{"WITH a AS (SELECT set_config('statement_timeout', '7', NOT true) b) SELECT b FROM a", "SHOW statement_timeout", "0"},
		{"DO $$ BEGIN PERFORM set_config('statement_timeout', '7', false); END $$", "SHOW statement_timeout", "0"},
		{"SET ROLE pg_monitor", "SELECT current_user = session_user", "true"},
		{"CREATE TEMPORARY TABLE s (a int)", "SELECT count(*) FROM pg_class WHERE relname = 's' AND relnamespace = pg_my_temp_schema()", "0"},
		{"CREATE TABLE pg_temp.s (a int)", "SELECT count(*) FROM pg_class WHERE relname = 's' AND relnamespace = pg_my_temp_schema()", "0"},
		{"SELECT 1 AS a INTO TEMP s", "SELECT count(*) FROM pg_class WHERE relname = 's' AND relnamespace = pg_my_temp_schema()", "0"},
		{"PREPARE s AS SELECT 1", "SELECT count(*) FROM pg_prepared_statements WHERE name = 's'", "0"},
		{"LISTEN s", "SELECT count(*) FROM pg_listening_channels()", "0"},
		{"SELECT pg_advisory_lock(7)", "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()", "0"},
		{"DECLARE s CURSOR WITH HOLD FOR SELECT 1", "SELECT count(*) FROM pg_cursors WHERE is_holdable", "0"},
	},
	backend.MySQL: {
		{"SET SESSION sql_mode = ''", "SELECT @@sql_mode LIKE '%STRICT_ALL_TABLES%'", "1"},
		{"/*!40101 SET foreign_key_checks = 0 */", "SELECT @@foreign_key_checks", "1"},
		{"SET autocommit = 0", "SELECT @@autocommit", "1"},
		{"SET @a = 7", "SELECT @a IS NULL", "1"},
		{"SELECT @a := 7", "SELECT @a IS NULL", "1"},
		{"SELECT 7 INTO @a", "SELECT @a IS NULL", "1"},
		{"CREATE TEMPORARY TABLE s (a int)", "SELECT count(*) FROM information_schema.tables WHERE table_name = 's' AND table_schema = DATABASE()", "0"},
		{"SELECT get_lock('backend_session_test', 0)", "SELECT IS_USED_LOCK('backend_session_test') = CONNECTION_ID()", "<nil>"},
		{"SET TRANSACTION ISOLATION LEVEL READ UNCOMMITTED", "SELECT @@tx_isolation", "REPEATABLE-READ"},
		{"EXECUTE IMMEDIATE 'SET @a = 7'", "SELECT @a IS NULL", "1"},
		{"PREPARE s FROM 'SELECT 1'", "SELECT 1", "1"},
	},
}

// No statement changes the session that other statements run in, whether it runs by
// itself, in a transaction that commits, or in one that does not.
func TestSessionsAreNotChanged(t *testing.T) {
	t.Parallel()
	for engine, changes := range sessionChanges {
		t.Run(string(engine), func(t *testing.T) {
			t.Parallel()
			db := backendtest.NewDB(t, engine, backend.DBConfig{MaxConns: 1})
			ways := map[string]func(text string) error{
				"alone": func(text string) error {
					_, err := db.Exec(t.Context(), "?", backend.UnsafeSQL(text))
					return err
				},
				"transaction": func(text string) error {
					return db.Tx(t.Context(), func(ctx context.Context) error {
						_, err := db.Exec(ctx, "?", backend.UnsafeSQL(text))
						return err
					})
				},
				"nested": func(text string) error {
					return db.Tx(t.Context(), func(ctx context.Context) error {
						return db.Tx(ctx, func(ctx context.Context) error {
							_, err := db.Exec(ctx, "?", backend.UnsafeSQL(text))
							return err
						})
					})
				},
				"failed transaction": func(text string) error {
					err := db.Tx(t.Context(), func(ctx context.Context) error {
						if _, err := db.Exec(ctx, "?", backend.UnsafeSQL(text)); err != nil {
							return err
						}
						return context.Canceled
					})
					if err == context.Canceled {
						err = nil
					}
					return err
				},
			}
			for _, change := range changes {
				for name, way := range ways {
					err := way(change.text)
					if name == "alone" && change.text[:7] != "DECLARE" {
						require.NoError(t, err, change.text)
					}
					var got *string
					require.NoError(t, db.Tx(t.Context(), func(ctx context.Context) (err error) { // on SQLite, on the connection that writes
						got, err = backend.One[*string](ctx, db, "?", backend.UnsafeSQL(change.probe))
						return err
					}), change.probe)
					if got == nil {
						got = new(string)
						*got = "<nil>"
					}
					require.Equal(t, change.want, *got, "%s, %s", change.text, name)
				}
			}
		})
	}
}

// Statements that leave the session as it is keep their connection.
func TestSessionsAreKept(t *testing.T) {
	t.Parallel()
	for engine, texts := range map[backend.Engine][]string{
		backend.Postgres: {
			"SET LOCAL statement_timeout = 7000", "SELECT set_config('a.b', 'c', true)", "SELECT pg_catalog.set_config('a.b', (SELECT 'c'), TRUE)", "SELECT pg_advisory_xact_lock(7)",
			"CREATE TABLE s (temp int)", "INSERT INTO s SELECT 1 WHERE true", "LOCK TABLE s", "DECLARE c CURSOR FOR SELECT 1; FETCH c",
			"CREATE FUNCTION f() RETURNS text LANGUAGE sql BEGIN ATOMIC SELECT set_config('a.b', 'c', false); SELECT 'd'; END", "SET CONSTRAINTS ALL IMMEDIATE",
		},
		backend.MySQL: {"CREATE TABLE s (a int)", "INSERT INTO s VALUES (1)", "SELECT @@sql_mode", "SELECT * FROM s FOR UPDATE", "DROP TABLE s"},
	} {
		t.Run(string(engine), func(t *testing.T) {
			t.Parallel()
			db := backendtest.NewDB(t, engine, backend.DBConfig{MaxConns: 1})
			session := func(ctx context.Context) int64 {
				query := "SELECT pg_backend_pid()"
				if engine == backend.MySQL {
					query = "SELECT CONNECTION_ID()"
				}
				id, err := backend.One[int64](ctx, db, "?", backend.UnsafeSQL(query))
				require.NoError(t, err)
				return id
			}
			before := session(t.Context())
			require.NoError(t, db.Tx(t.Context(), func(ctx context.Context) error {
				for _, text := range texts {
					_, err := db.Exec(ctx, "?", backend.UnsafeSQL(text))
					require.NoError(t, err, text)
				}
				return nil
			}))
			require.Equal(t, before, session(t.Context()))
		})
	}
}

// What a procedure leaves open is undone with an error, and what it ended inside of Tx
// is one, too.
func TestProceduresWithTransactions(t *testing.T) {
	t.Parallel()
	db := backendtest.NewDB(t, backend.MySQL, backend.DBConfig{MaxConns: 1})
	numberTable(t, db)
	for _, text := range []string{
		"CREATE PROCEDURE begins() BEGIN START TRANSACTION; INSERT INTO t VALUES (1); END",
		"CREATE PROCEDURE begins_slowly() BEGIN SET autocommit = 0; INSERT INTO t VALUES (1); END",
		"CREATE PROCEDURE whole() BEGIN START TRANSACTION; INSERT INTO t VALUES (2); COMMIT; END",
		"CREATE PROCEDURE ends() BEGIN COMMIT; END",
	} {
		_, err := db.Exec(t.Context(), "?", backend.UnsafeSQL(text))
		require.NoError(t, err)
	}
	for _, text := range []string{"CALL begins()", "CALL begins_slowly()", "EXECUTE IMMEDIATE 'START TRANSACTION'"} {
		_, err := db.Exec(t.Context(), "?", backend.UnsafeSQL(text))
		require.ErrorContains(t, err, "DB.Tx", text)
	}
	_, err := db.Exec(t.Context(), "CALL whole()")
	require.NoError(t, err)
	ids, err := backend.All[int](t.Context(), db, "SELECT id FROM t")
	require.NoError(t, err)
	require.Equal(t, []int{2}, ids)

	for _, text := range []string{"CALL ends()", "LOCK TABLES t WRITE", "SELECT @a := 1"} {
		nested, after := error(nil), error(nil)
		err := db.Tx(t.Context(), func(ctx context.Context) error {
			require.NoError(t, insert(ctx, db, 10))
			nested = db.Tx(ctx, func(ctx context.Context) error {
				_, err := db.Exec(ctx, "?", backend.UnsafeSQL(text))
				return err
			})
			after = insert(ctx, db, 11)
			return nil
		})
		if text == "SELECT @a := 1" {
			require.NoError(t, errOf(err, nested, after))
			continue
		}
		for _, err := range []error{err, nested, after} {
			require.ErrorContains(t, err, "ended the transaction", text)
		}
		_, err = db.Exec(t.Context(), "DELETE FROM t WHERE id IN (10, 11)")
		require.NoError(t, err)
	}
}

func errOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// A transaction in a text, or in a file, does not stay open: what is acknowledged
// afterwards is there after a restart.
func TestNoTransactionStaysOpen(t *testing.T) {
	t.Parallel()
	for _, engine := range []backend.Engine{backend.SQLite, backend.Postgres, backend.MySQL} {
		t.Run(string(engine), func(t *testing.T) {
			t.Parallel()
			url := backendtest.NewURL(t, engine)
			db, err := backend.Open(t.Context(), url, backend.DBConfig{MaxConns: 1})
			require.NoError(t, err)
			numberTable(t, db)
			_, err = db.Exec(t.Context(), "CREATE TABLE n (a int); BEGIN; INSERT INTO n VALUES (1)")
			require.ErrorContains(t, err, "DB.Tx")
			for i, file := range []string{
				"-- +goose NO TRANSACTION\n-- +goose Up\nCREATE TABLE m (a int);\nBEGIN;\nINSERT INTO m VALUES (1);\nCOMMIT;\n-- +goose Down\nDROP TABLE m;\n",
				"-- +goose NO TRANSACTION\n-- +goose Up\nBEGIN;\nINSERT INTO t VALUES (100);\n",
				"-- +goose Up\nINSERT INTO t VALUES (101);\nCOMMIT;\nINSERT INTO t VALUES (102);\n",
				"-- +goose Up\n-- +goose StatementBegin\nINSERT INTO t VALUES (101); commit\n-- +goose StatementEnd\n",
			} {
				err := db.Migrate(t.Context(), fstest.MapFS{"1_a.sql": {Data: []byte(file)}})
				if i == 0 { // the transaction of a file that has no other is whole
					require.NoError(t, err)
					require.NoError(t, db.MigrateDown(t.Context(), 0, fstest.MapFS{"1_a.sql": {Data: []byte(file)}}))
				} else if engine != backend.MySQL {
					require.ErrorContains(t, err, "transaction", file)
					require.ErrorContains(t, err, "1_a", file)
				}
				require.NoError(t, insert(t.Context(), db, i))
			}
			require.NoError(t, db.Close())
			db, err = backend.Open(t.Context(), url)
			require.NoError(t, err)
			defer db.Close()
			ids, err := backend.All[int](t.Context(), db, "SELECT id FROM t WHERE id < 100 ORDER BY id")
			require.NoError(t, err)
			require.Equal(t, []int{0, 1, 2, 3}, ids)
		})
	}
}

// A pool of OpenDB with the only connection to a database in memory keeps it.
func TestSessionOfOpenDB(t *testing.T) {
	t.Parallel()
	pool, err := sql.Open("backend-sqlite", ":memory:")
	require.NoError(t, err)
	pool.SetMaxOpenConns(1)
	db, err := backend.OpenDB(pool)
	require.NoError(t, err)
	defer db.Close()
	numberTable(t, db)
	_, err = db.Exec(t.Context(), "PRAGMA foreign_keys = ON")
	require.NoError(t, err)
	require.NoError(t, db.Migrate(t.Context(), nil))
	require.NoError(t, insert(t.Context(), db, 1))

	pool, err = sql.Open("backend-sqlite", filepath.Join(t.TempDir(), "test.db"))
	require.NoError(t, err)
	db, err = backend.OpenDB(pool)
	require.NoError(t, err)
	defer db.Close()
	_, err = db.Exec(t.Context(), "PRAGMA foreign_keys = ON")
	require.NoError(t, err)
	on, err := backend.One[bool](t.Context(), db, "PRAGMA foreign_keys")
	require.NoError(t, err)
	require.False(t, on)

	pool, err = sql.Open("postgres", backendtest.NewURL(t, backend.Postgres))
	require.NoError(t, err)
	pool.SetMaxOpenConns(1)
	db, err = backend.OpenDB(pool)
	require.NoError(t, err)
	defer db.Close()
	_, err = db.Exec(t.Context(), "SET statement_timeout = 7000")
	require.NoError(t, err)
	timeout, err := backend.One[string](t.Context(), db, "SHOW statement_timeout")
	require.NoError(t, err)
	require.Equal(t, "0", timeout)
}

// A pooler gives the session to other programs.
func TestSessionBehindAPooler(t *testing.T) {
	t.Parallel()
	db := backendtest.NewDB(t, backend.Postgres, backend.DBConfig{Pooler: true, Timeout: 10 * time.Second})
	for _, text := range []string{"SET statement_timeout = 7", "SELECT set_config('a.b', 'c', false)", "LISTEN a", "CREATE TEMP TABLE a (b int)", "SELECT pg_advisory_lock(7)"} {
		_, err := db.Exec(t.Context(), "?", backend.UnsafeSQL(text))
		require.ErrorContains(t, err, "SET LOCAL", text)
	}
	require.NoError(t, db.Tx(t.Context(), func(ctx context.Context) error {
		for _, text := range []string{"SET LOCAL statement_timeout = 7000", "SELECT set_config('a.b', 'c', true)", "DO $$ BEGIN END $$"} {
			_, err := db.Exec(ctx, "?", backend.UnsafeSQL(text))
			require.NoError(t, err, text)
		}
		return nil
	}))
}

// Within DB.Tx, queries see a temporary table and an attached database. The next
// transaction does not.
func TestTemporaryTablesAndAttachedDatabases(t *testing.T) {
	t.Parallel()
	read := func(ctx context.Context, db *backend.DB, table string) (int, error) {
		return backend.One[int](ctx, db, "SELECT n FROM ?", backend.UnsafeSQL(table))
	}
	backendtest.EachDB(t, func(t *testing.T, db *backend.DB) {
		require.NoError(t, db.Tx(t.Context(), func(ctx context.Context) error {
			for _, text := range []string{"CREATE TEMPORARY TABLE seen (n INTEGER)", "INSERT INTO seen VALUES (7)"} {
				if _, err := db.Exec(ctx, "?", backend.UnsafeSQL(text)); err != nil {
					return err
				}
			}
			n, err := read(ctx, db, "seen")
			require.Equal(t, 7, n)
			return err
		}))
		_, err := read(t.Context(), db, "seen")
		require.Error(t, err, "outside")
		require.Error(t, db.Tx(t.Context(), func(ctx context.Context) error {
			_, err := read(ctx, db, "seen")
			return err
		}), "in another transaction")
	})
	eachSQLite(t, func(t *testing.T, db *backend.DB) {
		path := filepath.Join(t.TempDir(), "other.db")
		for range 2 { // nothing stays attached
			require.NoError(t, db.Tx(t.Context(), func(ctx context.Context) error {
				if _, err := db.Exec(ctx, "ATTACH ? AS other", path); err != nil {
					return err
				}
				if _, err := db.Exec(ctx, "CREATE TABLE IF NOT EXISTS other.seen (n INTEGER)"); err != nil {
					return err
				}
				if _, err := db.Exec(ctx, "INSERT INTO other.seen VALUES (?)", 7); err != nil {
					return err
				}
				n, err := backend.One[int](ctx, db, "SELECT MAX(n) FROM other.seen")
				require.Equal(t, 7, n)
				return err
			}))
			_, err := read(t.Context(), db, "other.seen")
			require.Error(t, err, "outside")
		}
	})
}
