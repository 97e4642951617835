package backend_test

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
	"github.com/seed-215b9b7c/backend/backendtest"
)

// files makes a file system of pairs of name and text.
func files(pairs ...string) fs.FS {
	fsys := fstest.MapFS{}
	for i := 0; i < len(pairs); i += 2 {
		fsys[pairs[i]] = &fstest.MapFile{Data: []byte(pairs[i+1])}
	}
	return fsys
}

const createA = "-- +goose Up\nCREATE TABLE a (n INTEGER NOT NULL);\nINSERT INTO a VALUES (1);\n-- +goose Down\nDROP TABLE a;\n"

func numbers(t *testing.T, db *backend.DB) []int {
	t.Helper()
	n, err := backend.All[int](t.Context(), db, "SELECT n FROM a ORDER BY n")
	require.NoError(t, err)
	return n
}

// insertInGo is a migration in Go that inserts its version.
func insertInGo(version int64) backend.Migration {
	return backend.Migration{
		Version: version,
		Name:    fmt.Sprintf("%d_in_go", version),
		Up: func(ctx context.Context, db *backend.DB) error {
			_, err := db.Exec(ctx, "INSERT INTO a VALUES (?)", version)
			return err
		},
		Down: func(ctx context.Context, db *backend.DB) error {
			_, err := db.Exec(ctx, "DELETE FROM a WHERE n = ?", version)
			return err
		},
	}
}

func TestMigrateUpAndDown(t *testing.T) {
	t.Parallel()
	backendtest.EachDB(t, func(t *testing.T, db *backend.DB) {
		ctx := t.Context()
		fsys := files("m/0001_a.sql", createA, "m/0003_c.sql", "-- +goose Up\nINSERT INTO a VALUES (3);\n-- +goose Down\nDELETE FROM a WHERE n = 3;")
		require.NoError(t, db.Migrate(ctx, fsys, insertInGo(2)))
		require.Equal(t, []int{1, 2, 3}, numbers(t, db))
		require.NoError(t, db.Migrate(ctx, fsys, insertInGo(2)), "a second time")
		require.Equal(t, []int{1, 2, 3}, numbers(t, db))

		require.NoError(t, db.MigrateDown(ctx, 1, fsys, insertInGo(2)))
		require.Equal(t, []int{1}, numbers(t, db))
		require.NoError(t, db.Migrate(ctx, fsys, insertInGo(2)))
		require.Equal(t, []int{1, 2, 3}, numbers(t, db))
		require.NoError(t, db.MigrateDown(ctx, 0, fsys, insertInGo(2)))
		_, err := db.Exec(ctx, "CREATE TABLE a (n INTEGER)")
		require.NoError(t, err, "the table is gone")
	})
}

func TestMigrateRunsWhatWasMergedLate(t *testing.T) {
	t.Parallel()
	backendtest.EachDB(t, func(t *testing.T, db *backend.DB) {
		require.NoError(t, db.Migrate(t.Context(), files("1_a.sql", createA), insertInGo(3)))
		require.NoError(t, db.Migrate(t.Context(), files("1_a.sql", createA), insertInGo(2), insertInGo(3)))
		require.Equal(t, []int{1, 2, 3}, numbers(t, db))
	})
}

func TestMigrateTogether(t *testing.T) {
	t.Parallel()
	for _, engine := range []backend.Engine{backend.SQLite, backend.Postgres, backend.MySQL} {
		t.Run(string(engine), func(t *testing.T) {
			t.Parallel()
			url := backendtest.NewURL(t, engine)
			var wait sync.WaitGroup
			for range 5 { // each with pools of its own, as processes have
				wait.Go(func() {
					db, err := backend.Open(t.Context(), url)
					if err != nil {
						t.Error(err)
						return
					}
					defer db.Close()
					if err := db.Migrate(t.Context(), files("1_a.sql", createA), insertInGo(2), insertInGo(3)); err != nil {
						t.Error(err)
					}
				})
			}
			wait.Wait()
			db, err := backend.Open(t.Context(), url)
			require.NoError(t, err)
			defer db.Close()
			require.Equal(t, []int{1, 2, 3}, numbers(t, db))
		})
	}
}

func TestMigrationStatus(t *testing.T) {
	t.Parallel()
	backendtest.EachDB(t, func(t *testing.T, db *backend.DB) {
		ctx := t.Context()
		one, two := files("1_a.sql", createA), files("1_a.sql", createA, "2_b.sql", "-- +goose Up\nINSERT INTO a VALUES (2);\nINSERT INTO a VALUES (3);")
		status, err := db.MigrationStatus(ctx, two)
		require.NoError(t, err, "on an empty database")
		require.Len(t, status, 2)
		require.False(t, status[0].Applied)

		require.NoError(t, db.Migrate(ctx, one))
		status, err = db.MigrationStatus(ctx, two, insertInGo(3))
		require.NoError(t, err)
		require.WithinDuration(t, time.Now(), status[0].AppliedAt, time.Minute)
		status[0].AppliedAt = time.Time{}
		require.Equal(t, []backend.MigrationStatus{
			{Version: 1, Name: "1_a.sql", Applied: true, Started: true},
			{Version: 2, Name: "2_b.sql", Pending: []string{"INSERT INTO a VALUES (2)", "INSERT INTO a VALUES (3)"}},
			{Version: 3, Name: "3_in_go"},
		}, status)
		require.Equal(t, []int{1}, numbers(t, db), "nothing was run")
	})
}

func TestMigrateRefuses(t *testing.T) {
	t.Parallel()
	backendtest.EachDB(t, func(t *testing.T, db *backend.DB) {
		ctx := t.Context()
		require.NoError(t, db.Migrate(ctx, files("1_a.sql", createA), insertInGo(2)))

		err := db.Migrate(ctx, files("1_a.sql", createA+"-- edited", "3_c.sql", createA), insertInGo(2))
		require.ErrorContains(t, err, "1_a.sql was changed after it had run")
		require.NoError(t, db.Migrate(ctx, files("1_a.sql", strings.ReplaceAll(createA, "\n", "\r\n")), insertInGo(2)), "line ends are not a change")

		err = db.Migrate(ctx, files("2_b.sql", createA, "3_c.sql", createA))
		require.ErrorContains(t, err, "1_a.sql has run and is missing")

		err = db.Migrate(ctx, files("1_a.sql", createA))
		require.NoError(t, err, "an older program on a newer database")
		err = db.MigrateDown(ctx, 0, files("1_a.sql", createA))
		require.ErrorContains(t, err, "a newer program has run version 2")

		cannot := insertInGo(2)
		cannot.Down = nil
		err = db.MigrateDown(ctx, 0, files("1_a.sql", createA), cannot)
		require.ErrorContains(t, err, "2_in_go has no Down")
		require.Equal(t, []int{1, 2}, numbers(t, db), "nothing was undone")

		err = db.Migrate(ctx, files("1_a.sql", createA), insertInGo(1))
		require.ErrorContains(t, err, "1_a.sql and 1_in_go have the same version")
		err = db.Migrate(ctx, files("a.sql", createA))
		require.ErrorContains(t, err, "0001_create_notes.sql")
		err = db.Migrate(ctx, nil, backend.Migration{Version: 1, Name: "one"})
		require.ErrorContains(t, err, "the Go migration 1 (one) needs")
	})
}

// TestMigrateThatFails: where tables can be changed in a transaction, a file
// that fails has done nothing; on MySQL it goes on where it stopped.
func TestMigrateThatFails(t *testing.T) {
	t.Parallel()
	backendtest.EachDB(t, func(t *testing.T, db *backend.DB) {
		ctx := t.Context()
		broken := "-- +goose Up\nCREATE TABLE a (n INTEGER NOT NULL);\nINSERT INTO a VALUES (1);\nINSERT INTO a VALUES (NULL);\nINSERT INTO a VALUES (3);"
		err := db.Migrate(ctx, files("1_a.sql", broken))
		require.ErrorContains(t, err, "1_a.sql")
		require.Equal(t, backend.Invalid, backend.CodeOf(err))
		status, statusErr := db.MigrationStatus(ctx, files("1_a.sql", broken))
		require.NoError(t, statusErr)
		require.False(t, status[0].Applied)

		if db.Engine() == backend.MySQL {
			require.ErrorContains(t, err, "statement 3 of 4")
			require.True(t, status[0].Started)
			require.Len(t, status[0].Pending, 2)
			err = db.Migrate(ctx, files("1_a.sql", strings.Replace(broken, "VALUES (1)", "VALUES (9)", 1)))
			require.ErrorContains(t, err, "stopped after 2 statements, which were changed since")
			require.ErrorContains(t, db.MigrateDown(ctx, 0, files("1_a.sql", broken+"\n-- +goose Down\nDROP TABLE a")), "stopped halfway")
		}
		require.NoError(t, db.Migrate(ctx, files("1_a.sql", strings.Replace(broken, "(NULL)", "(2)", 1))))
		require.Equal(t, []int{1, 2, 3}, numbers(t, db))
	})
}

func TestMigrateWithoutTransaction(t *testing.T) {
	t.Parallel()
	backendtest.EachDB(t, func(t *testing.T, db *backend.DB) {
		index := "CREATE INDEX a_n ON a (n)"
		if db.Engine() == backend.Postgres {
			index = "CREATE INDEX CONCURRENTLY a_n ON a (n)"
		}
		fsys := func(second string) fs.FS {
			return files("1_a.sql", createA, "2_b.sql", "-- +goose NO TRANSACTION\n-- +goose Up\n"+index+";\nINSERT INTO a VALUES ("+second+");\n-- +goose Down\nDELETE FROM a WHERE n = 2;")
		}
		err := db.Migrate(t.Context(), fsys("NULL"))
		require.ErrorContains(t, err, "statement 2 of 2")
		require.NoError(t, db.Migrate(t.Context(), fsys("2")), "it goes on where it stopped")
		require.Equal(t, []int{1, 2}, numbers(t, db))
		require.NoError(t, db.MigrateDown(t.Context(), 1, fsys("2")))
		require.Equal(t, []int{1}, numbers(t, db))
	})
}

// Programs often run with an account that may not change tables, and migrate
// with another one.
func TestMigrateWithoutRights(t *testing.T) {
	t.Parallel()
	for _, engine := range []backend.Engine{backend.Postgres, backend.MySQL} {
		t.Run(string(engine), func(t *testing.T) {
			t.Parallel()
			name := "backendtest_" + strings.ToLower(rand.Text()[:12])
			grant := []string{"CREATE ROLE " + name + " LOGIN", "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO " + name}
			drop := []string{"DROP OWNED BY " + name, "DROP ROLE " + name}
			target, err := url.Parse(backendtest.NewURL(t, engine))
			require.NoError(t, err)
			if engine == backend.MySQL {
				grant = []string{"CREATE USER " + name, "GRANT SELECT, INSERT, UPDATE, DELETE ON " + target.Path[1:] + ".* TO " + name}
				drop = []string{"DROP USER " + name}
			}
			admin, err := backend.Open(t.Context(), target.String())
			require.NoError(t, err)
			defer admin.Close()
			run := func(statements []string) {
				for _, statement := range statements {
					_, err := admin.Exec(context.WithoutCancel(t.Context()), "?", backend.UnsafeSQL(statement))
					require.NoError(t, err)
				}
			}
			run(grant[:1])
			defer run(drop)
			target.User = url.User(name)
			if engine == backend.MySQL {
				run(grant[1:])
			}
			db, err := backend.Open(t.Context(), target.String())
			require.NoError(t, err)
			defer db.Close()

			err = db.Migrate(t.Context(), files("1_a.sql", createA))
			require.ErrorContains(t, err, "needs the right to create tables")
			require.NoError(t, admin.Migrate(t.Context(), files("1_a.sql", createA)))
			run(grant[1:])
			require.NoError(t, db.Migrate(t.Context(), files("1_a.sql", createA)), "there is nothing to do")
			err = db.Migrate(t.Context(), files("1_a.sql", createA, "2_b.sql", "-- +goose Up\nCREATE TABLE b (n INTEGER)"))
			require.ErrorContains(t, err, "migrate 2_b.sql: ")
			require.ErrorContains(t, err, "denied")
		})
	}
}

// A Down that cannot be undone itself says what is left to do.
func TestMigrateDownThatFailsInTheMiddle(t *testing.T) {
	t.Parallel()
	down := createA + "DROP TABLE nothing;\n"
	db := backendtest.NewDB(t, backend.MySQL)
	require.NoError(t, db.Migrate(t.Context(), files("1_a.sql", down)))
	err := db.MigrateDown(t.Context(), 0, files("1_a.sql", down))
	require.ErrorContains(t, err, "statement 2 of 2")
	_, repair, found := strings.Cut(err.Error(), "by hand, and then\n")
	require.True(t, found, err)
	_, err = db.Exec(t.Context(), "?", backend.UnsafeSQL(repair))
	require.NoError(t, err)
	require.NoError(t, db.Migrate(t.Context(), files("1_a.sql", down)))
	require.Equal(t, []int{1}, numbers(t, db))
}

func TestMigrateWithoutADatabase(t *testing.T) {
	t.Parallel()
	target, err := url.Parse(backendtest.NewURL(t, backend.MySQL))
	require.NoError(t, err)
	target.Path = ""
	db, err := backend.Open(t.Context(), target.String())
	require.NoError(t, err)
	defer db.Close()
	require.ErrorContains(t, db.Migrate(t.Context(), files("1_a.sql", createA)), "names no database")
}

func TestMigratePerEngine(t *testing.T) {
	t.Parallel()
	backendtest.EachDB(t, func(t *testing.T, db *backend.DB) {
		var pairs []string
		for _, engine := range []backend.Engine{backend.SQLite, backend.Postgres, backend.MySQL} {
			pairs = append(pairs, "migrations/"+string(engine)+"/1_a.sql", "-- +goose Up\nCREATE TABLE for_"+string(engine)+" (n INTEGER);")
		}
		require.NoError(t, db.Migrate(t.Context(), files(pairs...)))
		_, err := backend.All[int](t.Context(), db, "?", backend.UnsafeSQL("SELECT n FROM for_"+string(db.Engine())))
		require.NoError(t, err)
	})
}

func TestMigrateNeedsADirectConnection(t *testing.T) {
	t.Parallel()
	db := backendtest.NewDB(t, backend.Postgres, backend.DBConfig{Pooler: true})
	require.ErrorContains(t, db.Migrate(t.Context(), files()), "without the pooler")
}

// childVariable tells a test binary to be the program that is killed.
const childVariable = "BACKEND_TEST_MIGRATE_URL"

// TestMigrateChild is that program.
func TestMigrateChild(t *testing.T) {
	url := os.Getenv(childVariable)
	if url == "" {
		t.Skip("it is run by TestMigrateKilled")
	}
	db, err := backend.Open(t.Context(), url)
	require.NoError(t, err)
	blocks := insertInGo(2)
	insert := blocks.Up
	blocks.Up = func(ctx context.Context, db *backend.DB) error {
		err := insert(ctx, db)
		fmt.Println("\nkill me")
		<-ctx.Done()
		return err
	}
	fsys := fs.FS(files("1_a.sql", createA))
	var code []backend.Migration
	if slow := os.Getenv(childVariable + "_SLOW"); slow != "" {
		fsys = files("1_a.sql", slowFile(slow))
		go announceRunning(t, db)
	} else {
		code = append(code, blocks)
	}
	require.NoError(t, db.Migrate(t.Context(), fsys, code...))
}

// announceRunning prints when the slow statement has been announced.
func announceRunning(t *testing.T, db *backend.DB) {
	for t.Context().Err() == nil {
		n, err := backend.One[int](t.Context(), db, "SELECT COUNT(*) FROM backend_migrations WHERE state = 'running' AND done = 1")
		if err == nil && n == 1 {
			fmt.Println("\nkill me")
			return
		}
	}
}

func slowFile(slow string) string {
	return "-- +goose NO TRANSACTION\n-- +goose Up\nCREATE TABLE a (n INTEGER NOT NULL);\n" + slow + ";\nINSERT INTO a VALUES (1);"
}

// killChild starts a child that migrates and kills it when it says so.
func killChild(t *testing.T, variables ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	child := exec.CommandContext(ctx, os.Args[0], "-test.run", "^TestMigrateChild$", "-test.timeout", "1m")
	child.Env = append(os.Environ(), variables...)
	out, err := child.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	lines := bufio.NewScanner(out)
	said := false
	for !said && lines.Scan() {
		said = lines.Text() == "kill me"
	}
	require.NoError(t, child.Process.Kill())
	child.Wait()
	require.True(t, said, "the child ended by itself")
}

func TestMigrateKilled(t *testing.T) {
	t.Parallel()
	for _, engine := range []backend.Engine{backend.SQLite, backend.Postgres, backend.MySQL} {
		t.Run(string(engine), func(t *testing.T) {
			t.Parallel()
			url := backendtest.NewURL(t, engine)
			killChild(t, childVariable+"="+url)
			db, err := backend.Open(t.Context(), url)
			require.NoError(t, err)
			defer db.Close()
			require.NoError(t, db.Migrate(t.Context(), files("1_a.sql", createA), insertInGo(2)))
			require.Equal(t, []int{1, 2}, numbers(t, db))
		})
	}
}

// TestMigrateKilledOutsideATransaction: nobody can know whether the statement
// took effect, so the error says what to do, and doing it helps.
func TestMigrateKilledOutsideATransaction(t *testing.T) {
	t.Parallel()
	for engine, slow := range map[backend.Engine]string{
		backend.Postgres: "SELECT pg_sleep(2)",
		backend.MySQL:    "SELECT SLEEP(2)",
	} {
		for answer, want := range []string{`If it did not, run\n(.*)\n`, `If it did, run\n(.*)\n`} {
			t.Run(fmt.Sprint(engine, answer), func(t *testing.T) {
				t.Parallel()
				url := backendtest.NewURL(t, engine)
				killChild(t, childVariable+"="+url, childVariable+"_SLOW="+slow)
				db, err := backend.Open(t.Context(), url)
				require.NoError(t, err)
				defer db.Close()

				err = db.Migrate(t.Context(), files("1_a.sql", slowFile(slow)))
				require.ErrorContains(t, err, "1_a.sql: the program was cut off while it ran statement 2 of 3")
				require.ErrorContains(t, err, slow)
				advice := regexp.MustCompile(want).FindStringSubmatch(err.Error())
				require.NotNil(t, advice, err.Error())
				_, err = db.Exec(t.Context(), "?", backend.UnsafeSQL(advice[1]))
				require.NoError(t, err)
				_, err = db.Exec(t.Context(), "DROP TABLE IF EXISTS b")
				require.NoError(t, err)
				require.NoError(t, db.Migrate(t.Context(), files("1_a.sql", slowFile(slow))))
				require.Equal(t, []int{1}, numbers(t, db))
			})
		}
	}
}

func TestMigrateEndsWithItsContext(t *testing.T) {
	t.Parallel()
	backendtest.EachDB(t, func(t *testing.T, db *backend.DB) {
		ctx, cancel := context.WithCancel(t.Context())
		stops := insertInGo(2)
		stops.Up = func(ctx context.Context, db *backend.DB) error {
			cancel()
			return ctx.Err()
		}
		err := db.Migrate(ctx, files("1_a.sql", createA), stops)
		require.True(t, errors.Is(err, context.Canceled), "%v", err)
		require.NoError(t, db.Migrate(t.Context(), files("1_a.sql", createA), insertInGo(2)))
		require.Equal(t, []int{1, 2}, numbers(t, db))
	})
}

// TestMigrateItsOwnTablesAgain: MySQL commits each change of a table at once, so
// a step of the package's own may have been made without being noted.
func TestMigrateItsOwnTablesAgain(t *testing.T) {
	t.Parallel()
	backendtest.EachDB(t, func(t *testing.T, db *backend.DB) {
		secret := func() []byte {
			secret, err := backend.One[[]byte](t.Context(), db, "SELECT secret FROM backend_secrets WHERE name = 'cursor'")
			require.NoError(t, err)
			return secret
		}
		require.NoError(t, db.Migrate(t.Context(), nil))
		require.Equal(t, "backend_idempotency_keys_expiry", indexOfExpiry(t, db))
		if db.Engine() != backend.MySQL {
			return
		}
		before := secret()
		_, err := db.Exec(t.Context(), "DELETE FROM backend_migrations")
		require.NoError(t, err)
		require.NoError(t, db.Migrate(t.Context(), nil))
		require.Equal(t, before, secret())
	})
}

// indexOfExpiry returns the index by which expired keys are found.
func indexOfExpiry(t *testing.T, db *backend.DB) string {
	q := map[backend.Engine]string{
		backend.SQLite:   "SELECT name FROM pragma_index_list('backend_idempotency_keys') WHERE origin = 'c'",
		backend.Postgres: "SELECT indexname FROM pg_indexes WHERE schemaname = current_schema() AND tablename = 'backend_idempotency_keys' AND indexdef LIKE '%(expires_at)'",
		backend.MySQL: "SELECT index_name FROM information_schema.statistics WHERE table_schema = DATABASE()" +
			" AND table_name = 'backend_idempotency_keys' AND column_name = 'expires_at'",
	}[db.Engine()]
	name, err := backend.One[string](t.Context(), db, "?", backend.UnsafeSQL(q))
	require.NoError(t, err)
	return name
}
