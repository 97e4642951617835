package backend_test

import (
	"context"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
	"github.com/seed-215b9b7c/backend/backendtest"
)

// eachSQLite runs f on a database in a file and on one in memory.
func eachSQLite(t *testing.T, f func(t *testing.T, db *backend.DB)) {
	for name, url := range map[string]string{"file": backendtest.NewURL(t, backend.SQLite), "memory": "sqlite::memory:"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, err := backend.Open(t.Context(), url)
			require.NoError(t, err)
			t.Cleanup(func() { db.Close() })
			f(t, db)
		})
	}
}

const (
	family = `-- +goose Up
CREATE TABLE parents (id INTEGER PRIMARY KEY, name TEXT);
CREATE TABLE children (id INTEGER PRIMARY KEY, parent INTEGER NOT NULL REFERENCES parents (id) ON DELETE CASCADE);
INSERT INTO parents VALUES (1, 'a'), (2, 'b');
INSERT INTO children VALUES (10, 1), (20, 2);
`
	// rebuild is what sqlite.org/lang_altertable.html describes, without its PRAGMAs.
	rebuild = `CREATE TABLE new_parents (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
INSERT INTO new_parents SELECT id, name FROM parents;
DROP TABLE parents;
ALTER TABLE new_parents RENAME TO parents;
`
)

// orphan fails the test unless foreign keys are enforced.
func orphan(t *testing.T, db *backend.DB) {
	t.Helper()
	_, err := db.Exec(t.Context(), "INSERT INTO children VALUES (99, 99)")
	require.Error(t, err, "foreign keys are on")
}

func children(t *testing.T, db *backend.DB, want ...int) {
	t.Helper()
	got, err := backend.All[int](t.Context(), db, "SELECT id FROM children ORDER BY id")
	require.NoError(t, err)
	require.Equal(t, want, got)
}

// SQLite ignores PRAGMA foreign_keys within a transaction.
func TestMigrateRebuildsATableOfSQLite(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ head, before, after string }{
		"usual":            {"", "PRAGMA foreign_keys=OFF;", "PRAGMA foreign_keys=ON;"},
		"spaces":           {"", "pragma Foreign_Keys = 0 ;", "pragma foreign_keys = 1;"},
		"call":             {"", "PRAGMA foreign_keys(off);", "PRAGMA foreign_keys(yes);"},
		"schema":           {"", "PRAGMA main.foreign_keys=no;", "PRAGMA main . foreign_keys=true;"},
		"quoted":           {"", `PRAGMA "main"."foreign_keys"='OFF';`, "PRAGMA [foreign_keys]=\"on\";"},
		"comments":         {"", "/* a */ PRAGMA /* ; */ foreign_keys -- b\n = false;", "PRAGMA foreign_keys=ON;"},
		"never on":         {"", "PRAGMA foreign_keys=off;", ""},
		"prisma":           {"", "PRAGMA defer_foreign_keys=ON; PRAGMA foreign_keys=OFF;", "PRAGMA foreign_keys=ON; PRAGMA defer_foreign_keys=OFF;"},
		"checked":          {"", "PRAGMA foreign_keys=OFF;", "PRAGMA foreign_key_check; PRAGMA foreign_keys=ON;"},
		"block":            {"", "-- +goose StatementBegin\nPRAGMA foreign_keys=OFF;", "PRAGMA foreign_keys=ON;\n-- +goose StatementEnd"},
		"no transaction":   {"-- +goose NO TRANSACTION\n", "PRAGMA foreign_keys=OFF; BEGIN;", "PRAGMA foreign_key_check; COMMIT; PRAGMA foreign_keys=ON;"},
		"end":              {"-- +goose NO TRANSACTION\n", "PRAGMA foreign_keys=OFF; BEGIN DEFERRED TRANSACTION;", "END TRANSACTION;"},
		"pieces":           {"-- +goose NO TRANSACTION\n", "PRAGMA foreign_keys=OFF;", "PRAGMA foreign_keys=ON;"},
		"other rows after": {"", "PRAGMA foreign_keys=OFF;", "PRAGMA foreign_keys=ON; INSERT INTO parents VALUES (3, 'c'); CREATE INDEX i ON parents (name);"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachSQLite(t, func(t *testing.T, db *backend.DB) {
				second := test.head + "-- +goose Up\n" + test.before + "\n" + rebuild + test.after + "\n-- +goose Down\n" +
					test.before + "\n" + strings.ReplaceAll(rebuild, " NOT NULL", "") + test.after + "\n"
				fsys := files("1_a.sql", family, "2_b.sql", strings.Replace(second, "INSERT INTO parents VALUES (3, 'c')", "SELECT 1", 1))
				require.NoError(t, db.Migrate(t.Context(), fsys))
				children(t, db, 10, 20)
				orphan(t, db)
				_, err := db.Exec(t.Context(), "INSERT INTO parents VALUES (9, NULL)")
				require.Error(t, err, "the table was rebuilt")
				require.NoError(t, db.MigrateDown(t.Context(), 1, fsys))
				children(t, db, 10, 20)
				orphan(t, db)
				_, err = db.Exec(t.Context(), "INSERT INTO parents VALUES (9, NULL)")
				require.NoError(t, err, "the table was rebuilt again")
			})
		})
	}
}

// A rebuilt table that has lost rows is an error, and nothing has happened.
func TestMigrateChecksForeignKeysOfSQLite(t *testing.T) {
	t.Parallel()
	loses := strings.Replace(rebuild, "FROM parents;", "FROM parents WHERE id > 1;", 1)
	breaks := strings.Replace(rebuild, "DROP TABLE parents;", "DROP TABLE parents; SELECT n FROM nowhere;", 1)
	for name, test := range map[string]struct{ text, want string }{
		"lost":                  {"-- +goose Up\nPRAGMA foreign_keys=OFF;\n" + loses + "PRAGMA foreign_keys=ON;", "the row 10 of children refers to no row of parents"},
		"broken":                {"-- +goose Up\nPRAGMA foreign_keys=OFF;\n" + breaks + "PRAGMA foreign_keys=ON;", "nowhere"},
		"lost, own transaction": {"-- +goose NO TRANSACTION\n-- +goose Up\nPRAGMA foreign_keys=OFF;\nBEGIN;\n" + loses + "COMMIT;\nPRAGMA foreign_keys=ON;", "the row 10 of children refers to no row of parents"},
		"broken, own":           {"-- +goose NO TRANSACTION\n-- +goose Up\nPRAGMA foreign_keys=OFF;\nBEGIN;\n" + breaks + "COMMIT;\nPRAGMA foreign_keys=ON;", "nowhere"},
		"lost, pieces":          {"-- +goose NO TRANSACTION\n-- +goose Up\nPRAGMA foreign_keys=OFF;\nINSERT INTO children VALUES (10, 7);\nPRAGMA foreign_key_check;", "UNIQUE"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachSQLite(t, func(t *testing.T, db *backend.DB) {
				err := db.Migrate(t.Context(), files("1_a.sql", family, "2_b.sql", test.text))
				require.ErrorContains(t, err, test.want)
				children(t, db, 10, 20)
				orphan(t, db)
				_, err = db.Exec(t.Context(), "INSERT INTO parents VALUES (9, NULL)")
				require.NoError(t, err, "the table is the old one")
				_, err = db.Exec(t.Context(), "DELETE FROM parents WHERE id = 9")
				require.NoError(t, err)
				text := strings.ReplaceAll(strings.ReplaceAll(test.text, " WHERE id > 1", " WHERE id < 9"), " SELECT n FROM nowhere;", "")
				text = strings.Replace(text, "(10, 7)", "(30, 1)", 1)
				require.NoError(t, db.Migrate(t.Context(), files("1_a.sql", family, "2_b.sql", text)), "with a correct file")
				orphan(t, db)
			})
		})
	}
}

// SQLite deletes the rows of a table before it drops it.
func TestMigrateDropsNoRowsOfOtherTables(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ text, want string }{
		"rebuild":        {rebuild, "DROP TABLE parents: SQLite deletes the rows of the table first, which changes the rows of children"},
		"quoted":         {`drop table if exists "main"."PARENTS";`, "rows of children"},
		"in a block":     {"-- +goose StatementBegin\nSELECT 1; DROP TABLE parents;\n-- +goose StatementEnd", "rows of children"},
		"later":          {"DROP TABLE parents;\nSELECT 1;\nDROP TABLE children;", "rows of children"},
		"both":           {"DROP TABLE parents;\nDROP TABLE IF EXISTS children;", ""},
		"right order":    {"DROP TABLE children;\nDROP TABLE parents;", ""},
		"no children":    {"DELETE FROM children;\nDROP TABLE parents;", ""},
		"no parents":     {"DELETE FROM parents;\nDROP TABLE parents;", ""},
		"does not exist": {"DROP TABLE IF EXISTS elsewhere;", ""},
		"itself":         {"CREATE TABLE tree (id INTEGER PRIMARY KEY, up INTEGER REFERENCES tree ON DELETE SET NULL); INSERT INTO tree VALUES (1, 1); DROP TABLE tree;", ""},
	} {
		for _, head := range []string{"-- +goose Up\n", "-- +goose NO TRANSACTION\n-- +goose Up\n"} {
			t.Run(name+fmt.Sprint(len(head)), func(t *testing.T) {
				t.Parallel()
				db := backendtest.NewDB(t, backend.SQLite)
				first := strings.ReplaceAll(family, "CASCADE", "CASCADE ON UPDATE CASCADE")
				err := db.Migrate(t.Context(), files("1_a.sql", first, "2_b.sql", head+test.text))
				if test.want == "" {
					require.NoError(t, err)
					return
				}
				require.ErrorContains(t, err, test.want)
				require.ErrorContains(t, err, "write PRAGMA foreign_keys = OFF")
				children(t, db, 10, 20)
			})
		}
	}
}

func TestMigrateRefusesBeforeItRuns(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ text, want string }{
		"delete outside":  {"PRAGMA foreign_keys=OFF;\n" + rebuild + "PRAGMA foreign_keys=ON;\nDELETE FROM parents WHERE id = 1;", "put it between them or into another file: DELETE FROM parents"},
		"update before":   {"UPDATE parents SET id = id + 1;\nPRAGMA foreign_keys=OFF;\n" + rebuild, "another file: UPDATE parents"},
		"replace outside": {"INSERT OR REPLACE INTO parents VALUES (1, 'x');\nPRAGMA foreign_keys=OFF;\n" + rebuild, "another file: INSERT OR REPLACE"},
		"begin":           {"BEGIN;\n" + rebuild + "COMMIT;", `write "-- +goose NO TRANSACTION"`},
		"end":             {"-- +goose StatementBegin\nSELECT 1; end;\n-- +goose StatementEnd", `write "-- +goose NO TRANSACTION"`},
		"no commit":       {"-- +goose NO TRANSACTION\nBEGIN IMMEDIATE;\nSELECT 1;", "BEGIN has no COMMIT"},
		"no begin":        {"-- +goose NO TRANSACTION\nSELECT 1;\nCOMMIT;", "COMMIT has no BEGIN"},
		"two":             {"-- +goose NO TRANSACTION\nBEGIN;\nBEGIN;\nCOMMIT;", "a second BEGIN"},
		"rollback":        {"-- +goose NO TRANSACTION\nBEGIN;\nSELECT 1;\nROLLBACK;", "ROLLBACK undoes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := backendtest.NewDB(t, backend.SQLite)
			err := db.Migrate(t.Context(), files("1_a.sql", family, "2_b.sql", "-- +goose Up\n"+test.text))
			require.ErrorContains(t, err, "migrate 2_b.sql: ")
			require.ErrorContains(t, err, test.want)
			_, err = db.Exec(t.Context(), "CREATE TABLE parents (id INTEGER)")
			require.NoError(t, err, "nothing ran")

			down := files("1_a.sql", "-- +goose Up\nCREATE TABLE kept (n INTEGER);\n-- +goose Down\n"+test.text, "2_b.sql", "-- +goose Up\n-- +goose Down\nDROP TABLE kept;")
			require.NoError(t, db.Migrate(t.Context(), down))
			require.ErrorContains(t, db.MigrateDown(t.Context(), 0, down), test.want)
			_, err = db.Exec(t.Context(), "INSERT INTO kept VALUES (1)")
			require.NoError(t, err, "nothing was undone")
		})
	}
}

// A transaction of the file's own happens as a whole, with the record of it.
func TestMigrateWithItsOwnTransaction(t *testing.T) {
	t.Parallel()
	backendtest.EachDB(t, func(t *testing.T, db *backend.DB) {
		fsys := func(third string) fs.FS {
			return files("1_a.sql", createA, "2_b.sql", "-- +goose NO TRANSACTION\n-- +goose Up\nINSERT INTO a VALUES (2);\nSTART TRANSACTION;\nINSERT INTO a VALUES (3);\nINSERT INTO a VALUES ("+third+
				");\nCOMMIT;\nINSERT INTO a VALUES (5);\n-- +goose Down\nSTART TRANSACTION;\nDELETE FROM a WHERE n > 1;\nCOMMIT;")
		}
		wrong, right := fsys("NULL"), fsys("4")
		if db.Engine() == backend.SQLite {
			wrong, right = replaceIn(t, wrong, "START TRANSACTION", "BEGIN"), replaceIn(t, right, "START TRANSACTION", "BEGIN")
		}
		require.ErrorContains(t, db.Migrate(t.Context(), wrong), "statement 2 of 6")
		require.Equal(t, []int{1, 2}, numbers(t, db))
		require.NoError(t, db.Migrate(t.Context(), right))
		require.Equal(t, []int{1, 2, 3, 4, 5}, numbers(t, db))
		require.NoError(t, db.MigrateDown(t.Context(), 1, right))
		require.Equal(t, []int{1}, numbers(t, db))
	})
}

func replaceIn(t *testing.T, fsys fs.FS, old, new string) fs.FS {
	names, err := fs.Glob(fsys, "*")
	require.NoError(t, err)
	var pairs []string
	for _, name := range names {
		data, err := fs.ReadFile(fsys, name)
		require.NoError(t, err)
		pairs = append(pairs, name, strings.ReplaceAll(string(data), old, new))
	}
	return files(pairs...)
}

// What a file sets for its session does not apply to the files after it.
func TestMigrateKeepsNoSettings(t *testing.T) {
	t.Parallel()
	for engine, set := range map[backend.Engine][]string{
		backend.MySQL: {"SET FOREIGN_KEY_CHECKS=0", "/*!40014 SET @OLD=@@FOREIGN_KEY_CHECKS, FOREIGN_KEY_CHECKS=0 */", "SET SESSION foreign_key_checks = off"},
		backend.Postgres: {"SET session_replication_role = replica", "SELECT pg_catalog.set_config('session_replication_role', 'replica', false)",
			"DO $$ BEGIN SET session_replication_role = replica; END $$"},
		backend.SQLite: {"PRAGMA foreign_keys=0", "-- +goose NO TRANSACTION\nPRAGMA foreign_keys=0"},
	} {
		for _, statement := range set {
			t.Run(string(engine)+" "+statement, func(t *testing.T) {
				t.Parallel()
				db := backendtest.NewDB(t, engine)
				err := db.Migrate(t.Context(), files("1_a.sql", family, "2_b.sql", "-- +goose Up\n"+statement+";\n", "3_c.sql", "-- +goose Up\nINSERT INTO children VALUES (99, 99);"))
				require.ErrorContains(t, err, "3_c.sql")
				orphan(t, db)
			})
		}
	}
}

// The time that a file takes grows with its length, and not with the square of it.
func TestMigrateTakesLinearTime(t *testing.T) {
	t.Parallel()
	run := func(n int) time.Duration {
		db, err := backend.Open(t.Context(), "sqlite::memory:")
		require.NoError(t, err)
		defer db.Close()
		insert := "INSERT INTO a VALUES (1); -- " + strings.Repeat("x", 3000) + "\n"
		fsys := files("1_a.sql", createA, "2_b.sql", "-- +goose NO TRANSACTION\n-- +goose Up\n"+strings.Repeat(insert, n))
		start := time.Now()
		require.NoError(t, db.Migrate(t.Context(), fsys))
		took := time.Since(start)
		require.Len(t, numbers(t, db), n+1)
		return took
	}
	few, many := run(150), run(1200)
	for tries := 0; many >= 16*few && tries < 20; tries++ { // other tests take time, too
		few, many = min(few, run(150)), min(many, run(1200))
	}
	require.Less(t, many, 16*few, "eight times the statements; 64 is the square")
}

// A dump as the first file sets search_path and more.
func TestMigrateOfADump(t *testing.T) {
	t.Parallel()
	for _, head := range []string{"", "-- +goose NO TRANSACTION\n"} {
		for name, set := range map[string]string{
			"pg_dump": "SET client_encoding = 'UTF8';\nSET standard_conforming_strings = on;\nSELECT pg_catalog.set_config('search_path', '', false);\nSET row_security = off;",
			"schema":  "CREATE SCHEMA other;\nSET search_path = other;",
			"role":    "SET ROLE pg_monitor;",
			"session": "SET SESSION AUTHORIZATION pg_monitor;",
			"latin":   "SET client_encoding = 'LATIN1';",
		} {
			t.Run(name+fmt.Sprint(len(head)), func(t *testing.T) {
				t.Parallel()
				db := backendtest.NewDB(t, backend.Postgres)
				_, err := db.Exec(t.Context(), "GRANT CREATE ON SCHEMA public TO pg_monitor")
				require.NoError(t, err)
				fsys := files("1_dump.sql", head+"-- +goose Up\n"+set+"\nCREATE TABLE public.kept (n INTEGER);\nINSERT INTO public.kept VALUES (1);\n-- +goose Down\n"+
					strings.Replace(set, "CREATE SCHEMA other;", "DROP SCHEMA other;", 1)+"\nDROP TABLE public.kept;", "2_a.sql", createA)
				require.NoError(t, db.Migrate(t.Context(), fsys))
				require.Equal(t, []int{1}, numbers(t, db))
				require.NoError(t, db.Migrate(t.Context(), fsys), "a second time")
				require.NoError(t, db.MigrateDown(t.Context(), 0, fsys))
				require.NoError(t, db.Migrate(t.Context(), fsys), "again")
			})
		}
	}
}

// Processes that start together wait for each other, also while one of them builds an
// index that waits for all other snapshots, and whatever timeouts the database has.
func TestMigrateTogetherWithAConcurrentIndex(t *testing.T) {
	t.Parallel()
	url := backendtest.NewURL(t, backend.Postgres)
	admin, err := backend.Open(t.Context(), url)
	require.NoError(t, err)
	defer admin.Close()
	name, err := backend.One[string](t.Context(), admin, "SELECT current_database()")
	require.NoError(t, err)
	for _, timeout := range []string{"statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"} {
		_, err := admin.Exec(t.Context(), "?", backend.UnsafeSQL("ALTER DATABASE "+name+" SET "+timeout+" = '100ms'"))
		require.NoError(t, err)
	}
	fsys := files("1_a.sql", createA, "2_b.sql", "-- +goose NO TRANSACTION\n-- +goose Up\nSELECT pg_sleep(0.3);\nCREATE INDEX CONCURRENTLY a_n ON a (n);\nSELECT pg_sleep(0.3);")
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			db, err := backend.Open(t.Context(), url)
			if err != nil {
				t.Error(err)
				return
			}
			defer db.Close()
			if err := db.Migrate(t.Context(), fsys); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
}

// SQLite ignores PRAGMA foreign_keys within a transaction, without an error.
func TestForeignKeysWithinATransactionOfSQLite(t *testing.T) {
	t.Parallel()
	eachSQLite(t, func(t *testing.T, db *backend.DB) {
		for _, text := range []string{"PRAGMA foreign_keys=OFF", "pragma main.foreign_keys(1)", "SELECT 1; PRAGMA foreign_keys = 0"} {
			f := func(ctx context.Context, db *backend.DB) error {
				_, err := db.Exec(ctx, "?", backend.UnsafeSQL(text))
				return err
			}
			require.ErrorContains(t, db.Tx(t.Context(), func(ctx context.Context) error { return f(ctx, db) }), "SQLite ignores PRAGMA foreign_keys within a transaction", text)
			require.ErrorContains(t, db.Migrate(t.Context(), nil, backend.Migration{Version: 1, Name: "go", Up: f}), "write a migration file", text)
		}
		require.NoError(t, db.Tx(t.Context(), func(ctx context.Context) error {
			_, err := backend.One[int](ctx, db, "PRAGMA foreign_keys")
			return err
		}))
	})
}

// What a migration in Go sets for its session does not apply to the migrations after it.
func TestMigrateInGoKeepsNoSettings(t *testing.T) {
	t.Parallel()
	for engine, set := range map[backend.Engine]string{
		backend.MySQL: "SET FOREIGN_KEY_CHECKS = 0", backend.Postgres: "SET session_replication_role = replica", backend.SQLite: "PRAGMA ignore_check_constraints = 1",
	} {
		t.Run(string(engine), func(t *testing.T) {
			t.Parallel()
			db := backendtest.NewDB(t, engine)
			code := backend.Migration{Version: 2, Name: "go", Up: func(ctx context.Context, db *backend.DB) error {
				_, err := db.Exec(ctx, "?", backend.UnsafeSQL(set))
				return err
			}}
			first, row := family, "INSERT INTO children VALUES (99, 99);"
			if engine == backend.SQLite {
				first += "CREATE TABLE checked (n INTEGER CHECK (n < 5));\n"
				row = "INSERT INTO checked VALUES (9);"
			}
			err := db.Migrate(t.Context(), files("1_a.sql", first, "3_c.sql", "-- +goose Up\n"+row), code)
			require.ErrorContains(t, err, "3_c.sql")
		})
	}
}

// USE would make the migrator lose its table.
func TestMigrateRefusesUse(t *testing.T) {
	t.Parallel()
	db := backendtest.NewDB(t, backend.MySQL)
	for _, text := range []string{"USE mysql", "/*!40000 use `mysql` */", "-- +goose StatementBegin\nSELECT 1; USE mysql;\n-- +goose StatementEnd\nSELECT 1"} {
		err := db.Migrate(t.Context(), files("1_a.sql", createA, "2_b.sql", "-- +goose Up\n"+text+";"))
		require.ErrorContains(t, err, "migrate 2_b.sql: USE changes the database", text)
		require.ErrorContains(t, err, "write other_database.table")
	}
	require.NoError(t, db.Migrate(t.Context(), files("1_a.sql", createA)), "nothing had run")
}

// A read-only session could not record the file.
func TestMigrateRefusesReadOnlySessions(t *testing.T) {
	t.Parallel()
	texts := map[backend.Engine][2][]string{ // refused, and taken
		backend.SQLite: {
			{"PRAGMA query_only = ON", "PRAGMA query_only(1)"},
			{"PRAGMA query_only = 0", "PRAGMA query_only"},
		},
		backend.Postgres: {
			{"SET default_transaction_read_only = on", `SET SESSION "default_transaction_read_only" TO 'true'`, "SET LOCAL transaction_read_only = 1",
				"SET TRANSACTION READ ONLY", "set session characteristics as transaction isolation level serializable, read only"},
			{"SET default_transaction_read_only = off", "SET default_transaction_read_only TO DEFAULT", "SET TRANSACTION READ WRITE"},
		},
		backend.MySQL: {
			{"SET SESSION TRANSACTION READ ONLY", "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY", "SET @a = 1, tx_read_only = 1", "SET @@session.tx_read_only := ON"},
			{"SET SESSION TRANSACTION READ WRITE", "SET tx_read_only = OFF", "SET @tx_read_only = 1"},
		},
	}
	backendtest.EachDB(t, func(t *testing.T, db *backend.DB) {
		all := []string{"1_a.sql", createA}
		for i, head := range []string{"", "-- +goose NO TRANSACTION\n"} {
			for _, text := range texts[db.Engine()][0] {
				err := db.Migrate(t.Context(), files("1_a.sql", createA, "2_b.sql", head+"-- +goose Up\nCREATE TABLE b (n INTEGER);\n"+text+";"))
				require.ErrorContains(t, err, "migrate 2_b.sql: the session would be read-only", text)
				require.ErrorContains(t, err, "could not be recorded; remove the statement")
				require.NoError(t, db.Migrate(t.Context(), files("1_a.sql", createA)), "nothing had run")
			}
			for n, text := range texts[db.Engine()][1] {
				all = append(all, fmt.Sprintf("%d%d_x.sql", i+2, n), head+"-- +goose Up\n"+text+";")
			}
		}
		require.NoError(t, db.Migrate(t.Context(), files(all...)))
	})
}
