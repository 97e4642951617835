package backend_test

import (
	"database/sql"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/lib/pq"
	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
	"github.com/seed-215b9b7c/backend/backendtest"
	"github.com/seed-215b9b7c/backend/internal/dbconn"
	"github.com/seed-215b9b7c/backend/internal/dburl"
	"github.com/seed-215b9b7c/backend/internal/faultdb"
	"github.com/seed-215b9b7c/backend/internal/migration"
)

// faultyURL returns a database at the URL whose driver can be made to fail.
func faultyURL(t *testing.T, engine backend.Engine, url string) (*backend.DB, *faultdb.Connector) {
	source, err := dburl.Parse(url)
	require.NoError(t, err)
	name := map[backend.Engine]string{backend.SQLite: "backend-sqlite", backend.MySQL: "mysql"}[engine]
	var fault *faultdb.Connector
	if engine == backend.Postgres {
		inner, err := pq.NewConnector(url)
		require.NoError(t, err)
		fault = faultdb.New(inner)
	} else {
		if source.File != "" {
			require.NoError(t, os.WriteFile(source.File, nil, 0o600)) // an empty database
		}
		pool, err := sql.Open(name, "")
		require.NoError(t, err)
		defer pool.Close()
		inner, err := dbconn.DriverConnector(pool.Driver(), source.DSN)
		require.NoError(t, err)
		fault = faultdb.New(inner)
	}
	pool := sql.OpenDB(dbconn.NewConnector(fault, dbconn.Options{Statements: 10, Embedded: engine == backend.SQLite, Busy: func(error) bool { return false }}))
	pool.SetMaxOpenConns(1)
	db, err := backend.OpenDB(pool, backend.DBConfig{Engine: engine, Timeout: 10 * time.Second})
	require.NoError(t, err)
	return db, fault
}

// follow runs what the error of a migration that was cut off says to run.
func follow(t *testing.T, db *backend.DB, err error, answer string) {
	t.Helper()
	require.ErrorContains(t, err, "the program was cut off while it ran statement")
	advice := regexp.MustCompile(answer + `, run\n(.*)\n`).FindStringSubmatch(err.Error())
	require.NotNil(t, advice)
	_, err = db.Exec(t.Context(), "?", backend.UnsafeSQL(advice[1]))
	require.NoError(t, err)
}

// The connection is lost while a table is made. The next start goes on by itself, unless
// the table is there and nobody knows where it is from.
func TestMigrateResumesAfterALostConnection(t *testing.T) {
	t.Parallel()
	for _, engine := range []backend.Engine{backend.SQLite, backend.Postgres, backend.MySQL} {
		for _, mode := range []faultdb.Mode{faultdb.Before, faultdb.After} {
			t.Run(fmt.Sprint(engine, " ", mode), func(t *testing.T) {
				t.Parallel()
				url := backendtest.NewURL(t, engine)
				fsys := files("1_a.sql", "-- +goose NO TRANSACTION\n-- +goose Up\nCREATE TABLE t (n INTEGER);\nINSERT INTO t VALUES (1);")
				db, fault := faultyURL(t, engine, url)
				fault.FailCall("exec CREATE TABLE t (n INTEGER)", mode, faultdb.ErrInjected)
				require.ErrorContains(t, db.Migrate(t.Context(), fsys), "statement 1 of 2")
				require.NoError(t, db.Close())

				db, err := backend.Open(t.Context(), url)
				require.NoError(t, err)
				defer db.Close()
				if mode == faultdb.After {
					follow(t, db, db.Migrate(t.Context(), fsys), "If it did")
				}
				require.NoError(t, db.Migrate(t.Context(), fsys))
				n, err := backend.One[int](t.Context(), db, "SELECT n FROM t")
				require.NoError(t, err)
				require.Equal(t, 1, n)
			})
		}
	}
}

// resumes has statements of a file that runs in pieces. If the program was cut off while
// one of them ran, it goes on by itself if the statement did not take effect, and those
// marked always do in any case.
var resumes = []struct {
	always bool
	engine string // or several
	text   string
}{
	{false, "mysql sqlite", "CREATE TABLE `t` (n INTEGER NOT NULL)"},
	{false, "postgres", `CREATE TABLE "t" (n INTEGER NOT NULL)`},
	{false, "", "create UNIQUE index /* x */ t_n ON t (n)"},
	{false, "postgres", "CREATE INDEX CONCURRENTLY T_M ON T (n)"},
	{false, "postgres", "CREATE INDEX CONCURRENTLY IF NOT EXISTS t_k ON t (n)"},
	{false, "", "CREATE VIEW v AS SELECT n FROM t"},
	{true, "mysql postgres", "CREATE OR REPLACE VIEW v AS SELECT n FROM t"},
	{false, "", "ALTER TABLE t ADD COLUMN m INTEGER"},
	{false, "", "ALTER TABLE t ADD o INTEGER"},
	{true, "", "CREATE TABLE IF NOT EXISTS u (n INTEGER)"},
	{true, "", "CREATE INDEX IF NOT EXISTS u_n ON u (n)"},
	{true, "", "SELECT 1"},
	{true, "mysql", "SET sql_mode = ''"},
	{true, "mysql", "LOCK TABLES t WRITE, backend_migrations WRITE"},
	{true, "mysql", "UNLOCK TABLES"},
	{true, "postgres", "SET work_mem = '1MB'"},
	{true, "sqlite", "PRAGMA recursive_triggers = 1"},
	{false, "mysql", "CREATE DEFINER = CURRENT_USER TRIGGER tr BEFORE INSERT ON t FOR EACH ROW SET NEW.m = 1"},
	{false, "sqlite", "CREATE TRIGGER tr AFTER INSERT ON t BEGIN UPDATE t SET m = 1; END"},
	{false, "mysql", "CREATE FUNCTION f() RETURNS INT DETERMINISTIC RETURN 1"},
	{false, "mysql", "CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO SELECT 1"},
	{false, "mysql postgres", "CREATE SEQUENCE s"},
	{false, "mysql sqlite", "DROP VIEW v"},
	{true, "mysql sqlite", "DROP TABLE IF EXISTS u"},
	{false, "mysql", "DROP INDEX t_n ON t"},
	{false, "sqlite", "DROP INDEX main.t_n"},
}

func TestMigrateResumesEachStatement(t *testing.T) {
	t.Parallel()
	for _, engine := range []backend.Engine{backend.SQLite, backend.Postgres, backend.MySQL} {
		t.Run(string(engine), func(t *testing.T) {
			t.Parallel()
			db := backendtest.NewDB(t, engine)
			var statements []string
			require.NoError(t, db.Migrate(t.Context(), nil))
			cutOff := func(done int) {
				_, err := db.Exec(t.Context(), "DELETE FROM backend_migrations WHERE line = 'app'")
				require.NoError(t, err)
				_, err = db.Exec(t.Context(), "INSERT INTO backend_migrations (line, version, name, checksum, state, done, at) VALUES ('app', 1, '1_a.sql', ?, 'running', ?, ?)",
					migration.Checksum(statements[:done+1]), done, time.Now())
				require.NoError(t, err)
			}
			migrate := func() error {
				return db.Migrate(t.Context(), files("1_a.sql", "-- +goose NO TRANSACTION\n-- +goose Up\n"+strings.Join(statements, ";\n")+";"))
			}
			for _, r := range resumes {
				if r.engine != "" && !strings.Contains(r.engine, string(engine)) {
					continue
				}
				statements = append(statements, r.text)
				done := len(statements) - 1
				cutOff(done)
				require.NoError(t, migrate(), "it did not take effect: %s", r.text)
				cutOff(done)
				if r.always {
					require.NoError(t, migrate(), r.text)
					continue
				}
				err := migrate()
				require.ErrorContains(t, err, r.text)
				follow(t, db, err, "If it did")
				require.NoError(t, migrate(), r.text)
				cutOff(done)
				statements[done] += " "
				statements[done] = strings.Replace(statements[done], " ", "  ", 1)
				require.ErrorContains(t, migrate(), "that statement or those before it were changed since; restore them")
				statements[done] = r.text
			}
		})
	}
}

// Of these nothing is known: the message says what to do.
func TestMigrateDoesNotResumeWhatIsUncertain(t *testing.T) {
	t.Parallel()
	for engine, list := range map[backend.Engine][]string{
		backend.MySQL: {
			"INSERT INTO a VALUES (2)", "ALTER TABLE a DROP COLUMN n", "ALTER TABLE a ADD UNIQUE (n)", "ALTER TABLE nowhere ADD COLUMN m INT", "DROP TABLE b", "DROP TABLE a, b", "CREATE OR REPLACE TABLE a (n INT)",
			"CREATE TEMPORARY TABLE b (n INT); DROP TABLE IF EXISTS b", "CREATE USER x", "CALL p()", "RENAME TABLE a TO b", "TRUNCATE a",
		},
		backend.Postgres: {"INSERT INTO a VALUES (2)", "CREATE INDEX ON a (n)", "DROP TABLE a", "DROP TABLE IF EXISTS a", "DO $$ BEGIN END $$", "VACUUM a"},
		backend.SQLite:   {"INSERT INTO a VALUES (2)", "ATTACH ':memory:' AS b; DROP TABLE IF EXISTS a", "CREATE TEMP TABLE a (n); DROP TABLE a", "CREATE TABLE other.t (n)", "VACUUM"},
	} {
		t.Run(string(engine), func(t *testing.T) {
			t.Parallel()
			db := backendtest.NewDB(t, engine)
			require.NoError(t, db.Migrate(t.Context(), files("1_a.sql", createA)))
			for _, text := range list {
				statements := strings.Split(text, "; ")
				done := len(statements) - 1
				_, err := db.Exec(t.Context(), "INSERT INTO backend_migrations (line, version, name, checksum, state, done, at) VALUES ('app', 2, '2_b.sql', ?, 'running', ?, ?)",
					migration.Checksum(statements), done, time.Now())
				require.NoError(t, err)
				err = db.Migrate(t.Context(), files("1_a.sql", createA, "2_b.sql", "-- +goose NO TRANSACTION\n-- +goose Up\n"+strings.ReplaceAll(text, "; ", ";\n")+";"))
				require.ErrorContains(t, err, "the program was cut off", text)
				require.Equal(t, []int{1}, numbers(t, db), text)
				_, err = db.Exec(t.Context(), "DELETE FROM backend_migrations WHERE version = 2")
				require.NoError(t, err)
			}
		})
	}
}
