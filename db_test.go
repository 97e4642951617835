package backend_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
	"github.com/seed-215b9b7c/backend/backendtest"
)

// Statement 52 of the security rules [ASVS 1.2.4]: SQL from input does not
// compile.
func TestQueriesFromInputDoNotCompile(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", os.DevNull, "./testdata/constant").CombinedOutput()
	require.NoError(t, err, "%s", out)

	out, err = exec.CommandContext(t.Context(), "go", "build", "-gcflags=-e", "-o", os.DevNull, "./testdata/input").CombinedOutput()
	require.Error(t, err)
	source, readErr := os.ReadFile("testdata/input/main.go")
	require.NoError(t, readErr)
	cases := 0
	for i, line := range strings.Split(string(source), "\n") {
		if _, number, marked := strings.Cut(line, "// "); marked && len(number) <= 2 {
			cases++
			require.Equal(t, strconv.Itoa(cases), number)
			require.Contains(t, string(out), fmt.Sprintf("main.go:%d:", i+1), "case %s compiled", number)
		}
	}
	require.Equal(t, 23, cases)
}

func TestOpenErrors(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		url  string
		want string
	}{
		"no scheme":            {"notes.db", "sqlite:FILE"},
		"unknown scheme":       {"oracle://x", `"oracle" is not supported`},
		"no file":              {"sqlite:", "names no file"},
		"sqlite parameters":    {"sqlite:a.db?mode=ro", "take no parameters"},
		"missing folder":       {"sqlite:" + filepath.Join(t.TempDir(), "no", "such.db"), "no such file or directory"},
		"broken port":          {"postgres://u:hunter2@127.0.0.1:a%20b/x", "URL"},
		"password with spaces": {"mysql://u:hunter2 x@127.0.0.1/x", "percent-encoded"},
		"digits and slash":     {"mysql://u:12/hunter2@127.0.0.1/x", "percent-encoded"},
		"digits and hash":      {"postgres://u:12#hunter2@127.0.0.1/x", "percent-encoded"},
		"digits and question":  {"postgres://u:12?hunter2@127.0.0.1/x", "percent-encoded"},
		"at and slash":         {"postgres://u:a@hunter2/x@127.0.0.1/x", "percent-encoded"},
		"no slashes":           {"mysql:u:hunter2@127.0.0.1/x", "must begin with mysql://"},
		"semicolon":            {"mysql://u@127.0.0.1/x?tls=false;x=hunter2", "parameters cannot be read"},
		"autocommit":           {"mysql://u:hunter2@127.0.0.1/x?autocommit=0", "autocommit cannot be set"},
		"strict":               {"mysql://u:hunter2@127.0.0.1/x?strict=1", "strict cannot be set"},
		"sql_mode":             {"mysql://u:hunter2@127.0.0.1/x?sql_mode=''", "sql_mode cannot be set"},
		"colon in the user":    {"mysql://a%3Ab:hunter2@127.0.0.1/x", "in the user's name"},
		"password with slash":  {"postgres://u:hunter2/x@127.0.0.1/x", "percent-encoded"},
		"fixed parameter":      {"mysql://u:hunter2@127.0.0.1/x?parseTime=false", "parseTime cannot be set"},
		"nobody there":         {"postgres://u:hunter2@127.0.0.1:1/x", "refused"},
		"nobody there, mysql":  {"mysql://u:hunter2@127.0.0.1:1/x", "refused"},
	} {
		_, err := backend.Open(t.Context(), test.url)
		require.Error(t, err, name)
		require.ErrorContains(t, err, test.want, name)
		require.NotContains(t, err.Error(), "hunter2", name)
		require.True(t, strings.HasPrefix(err.Error(), "open "), "%s: %v", name, err)
	}
}

func TestOpenWrongConfig(t *testing.T) {
	t.Parallel()
	_, err := backend.Open(t.Context(), "sqlite::memory:", backend.DBConfig{MaxConns: -1, Timeout: -1, ConnectTimeout: -1, MaxConnLifetime: -1, MaxConnIdleTime: -1, Pooler: true, Engine: backend.MySQL})
	for _, field := range []string{"MaxConns", "Timeout", "ConnectTimeout", "MaxConnLifetime", "MaxConnIdleTime", "Pooler", "Engine"} {
		require.ErrorContains(t, err, "DBConfig."+field)
	}
	_, err = backend.Open(t.Context(), "sqlite::memory:", backend.DBConfig{}, backend.DBConfig{})
	require.ErrorContains(t, err, "give one")
}

// A server that accepts connections and says nothing must not hold Open, nor
// anything that comes later.
func TestOpenDeadline(t *testing.T) {
	t.Parallel()
	listener := silentServer(t)
	for _, scheme := range []string{"postgres", "mysql"} {
		start := time.Now()
		_, err := backend.Open(t.Context(), scheme+"://u:p@"+listener+"/x", backend.DBConfig{ConnectTimeout: 100 * time.Millisecond})
		require.Error(t, err)
		require.Less(t, time.Since(start), 2*time.Second)
	}
}

// Names and passwords may hold anything that can be encoded. PostgreSQL's
// passwords are tested where the server asks for them.
func TestStrangeAccounts(t *testing.T) {
	t.Parallel()
	const name, password = "ü @/?#%&=+'\"x", "p:@/?#%&=+)(é' \"\\"
	for engine, statements := range map[backend.Engine][]string{
		backend.MySQL: {
			"CREATE USER `" + name + "`@`%` IDENTIFIED BY 'p:@/?#%&=+)(é'' \"\\\\'", "GRANT ALL ON *.* TO `" + name + "`@`%`",
			"DROP USER `" + name + "`@`%`"},
		backend.Postgres: {
			`CREATE ROLE "ü @/?#%&=+'""x" LOGIN PASSWORD 'p:@/?#%&=+)(é'' "\'`, "SELECT 1",
			`DROP ROLE "ü @/?#%&=+'""x"`},
	} {
		t.Run(string(engine), func(t *testing.T) {
			t.Parallel()
			target := backendtest.NewURL(t, engine)
			db, err := backend.Open(t.Context(), target)
			require.NoError(t, err)
			defer db.Close()
			db.Exec(t.Context(), "?", backend.UnsafeSQL(statements[2])) // of a run that was killed
			for _, statement := range statements[:2] {
				_, err := db.Exec(t.Context(), "?", backend.UnsafeSQL(statement))
				require.NoError(t, err)
			}
			defer db.Exec(t.Context(), "?", backend.UnsafeSQL(statements[2]))
			u, err := url.Parse(target)
			require.NoError(t, err)
			u.User = url.UserPassword(name, password)
			as, err := backend.Open(t.Context(), u.String())
			require.NoError(t, err)
			defer as.Close()
			got, err := backend.One[string](t.Context(), as, "SELECT current_user")
			require.NoError(t, err)
			require.Equal(t, name, strings.TrimSuffix(got, "@%"))
		})
	}
}

func TestWrongPasswordIsNotShown(t *testing.T) {
	t.Parallel()
	for _, engine := range []backend.Engine{backend.Postgres, backend.MySQL} {
		t.Run(string(engine), func(t *testing.T) {
			t.Parallel()
			url := backendtest.NewURL(t, engine)
			scheme, rest, _ := strings.Cut(url, "://")
			_, host, _ := strings.Cut(rest, "@")
			_, err := backend.Open(t.Context(), scheme+"://nobody_there:hunter2@"+host)
			require.Error(t, err)
			require.NotContains(t, err.Error(), "hunter2")
			require.Contains(t, err.Error(), "nobody_there")
		})
	}
}

func TestOpenDB(t *testing.T) {
	t.Parallel()
	_, err := backend.OpenDB(nil)
	require.ErrorContains(t, err, "nil")

	for _, driver := range []string{"backend-sqlite", "sqlite"} { // the second is that of modernc.org/sqlite
		pool, err := sql.Open(driver, "file:"+filepath.Join(t.TempDir(), "test.db")+"?_pragma=busy_timeout(5000)&_txlock=immediate")
		require.NoError(t, err)
		_, err = backend.OpenDB(pool, backend.DBConfig{Durable: true})
		require.ErrorContains(t, err, "only Engine, Timeout and Observer")
		db, err := backend.OpenDB(pool)
		require.NoError(t, err)
		require.Equal(t, backend.SQLite, db.Engine())
		one, err := backend.One[int](t.Context(), db, "SELECT ?", 1)
		require.NoError(t, err)
		require.Equal(t, 1, one)
		require.NoError(t, db.Close())
		require.Error(t, pool.Ping(), "Close closes the pool")
	}
}

// A pool of lib/pq's own passes the suite, too, with what the connections lack
// made up for by the transaction's bookkeeping.
func TestOpenDBConformance(t *testing.T) {
	t.Parallel()
	backendtest.TestDB(t, func(t testing.TB) *backend.DB {
		pool, err := sql.Open("postgres", backendtest.NewURL(t, backend.Postgres))
		require.NoError(t, err)
		db, err := backend.OpenDB(pool)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, db.Close()) })
		return db
	}, "deadlines", "other numbers")
}

func TestClosed(t *testing.T) {
	t.Parallel()
	backendtest.EachDB(t, func(t *testing.T, db *backend.DB) {
		require.NoError(t, db.Close())
		require.NoError(t, db.Close(), "twice")
		_, err := backend.One[int](t.Context(), db, "SELECT 1")
		require.Equal(t, backend.Unavailable, backend.CodeOf(err))
		require.Equal(t, backend.Unavailable, backend.CodeOf(db.Tx(t.Context(), func(context.Context) error { return nil })))
	})
}

func TestSQLX(t *testing.T) {
	t.Parallel()
	backendtest.EachDB(t, func(t *testing.T, db *backend.DB) {
		_, err := db.Exec(t.Context(), "CREATE TABLE t (id INTEGER PRIMARY KEY, name VARCHAR(10))")
		require.NoError(t, err)
		x := db.SQLX()
		tx, err := x.BeginTxx(t.Context(), nil)
		require.NoError(t, err)
		_, err = tx.NamedExec("INSERT INTO t (id, name) VALUES (:id, :name)", map[string]any{"id": 1, "name": "a"})
		require.NoError(t, err)
		require.NoError(t, tx.Commit())
		var name string
		require.NoError(t, x.GetContext(t.Context(), &name, x.Rebind("SELECT name FROM t WHERE id = ?"), 1))
		require.Equal(t, "a", name)
	})
}

func TestArgumentsAreCounted(t *testing.T) {
	t.Parallel()
	backendtest.EachDB(t, func(t *testing.T, db *backend.DB) {
		_, err := backend.One[int](t.Context(), db, "SELECT ?", 1, 2)
		require.ErrorContains(t, err, "1 parameter (?) and was given 2 arguments: SELECT ?")
		_, err = backend.One[int](t.Context(), db, "SELECT 'a")
		require.ErrorContains(t, err, "line 1 of the query does not end")
		_, err = backend.One[int](t.Context(), db, "SELECT ?", make(chan int))
		require.ErrorContains(t, err, "argument 1: a chan int cannot be stored")
	})
}

// Two databases in one context are two transactions.
func TestTransactionsOfTwoDatabases(t *testing.T) {
	t.Parallel()
	a, b := backendtest.NewDB(t, backend.SQLite), backendtest.NewDB(t, backend.SQLite)
	for _, db := range []*backend.DB{a, b} {
		_, err := db.Exec(t.Context(), "CREATE TABLE t (id INTEGER)")
		require.NoError(t, err)
	}
	stop := errors.New("stop")
	require.NoError(t, a.Tx(t.Context(), func(ctx context.Context) error {
		err := b.Tx(ctx, func(ctx context.Context) error {
			_, errA := a.Exec(ctx, "INSERT INTO t VALUES (1)")
			_, errB := b.Exec(ctx, "INSERT INTO t VALUES (1)")
			return errors.Join(errA, errB, stop)
		})
		require.ErrorIs(t, err, stop)
		return nil
	}))
	for db, want := range map[*backend.DB][]int{a: {1}, b: {}} {
		got, err := backend.All[int](t.Context(), db, "SELECT id FROM t")
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
}

func TestSQLiteSettings(t *testing.T) {
	t.Parallel()
	for durable, synchronous := range map[bool]int{false: 1, true: 2} { // NORMAL, FULL
		db := backendtest.NewDB(t, backend.SQLite, backend.DBConfig{Durable: durable})
		require.NoError(t, db.Tx(t.Context(), func(ctx context.Context) error { // on the writer
			for pragma, want := range map[string]int{"synchronous": synchronous, "foreign_keys": 1} {
				got, err := backend.One[int](ctx, db, "?", backend.UnsafeSQL("PRAGMA "+pragma))
				require.NoError(t, err)
				require.Equal(t, want, got, pragma)
			}
			mode, err := backend.One[string](ctx, db, "PRAGMA journal_mode")
			require.NoError(t, err)
			require.Equal(t, "wal", mode)
			return nil
		}))
	}
}

func TestSQLiteFilesWithStrangeNames(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"a b.db", "100%.db", "ü.db", "a%20b.db", "a&b=c.db"} {
		path := filepath.Join(t.TempDir(), name)
		for _, url := range []string{"sqlite:" + path, "sqlite://" + path} {
			db, err := backend.Open(t.Context(), url)
			require.NoError(t, err, url)
			_, err = db.Exec(t.Context(), "CREATE TABLE IF NOT EXISTS t (id INTEGER)")
			require.NoError(t, err)
			require.NoError(t, db.Close())
			require.FileExists(t, path, url)
		}
	}
}

// The file is moved or removed under a running program: readiness says so, and
// no connection begins another database in its place.
func TestSQLiteFileIsGone(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "test.db")
	db, err := backend.Open(t.Context(), "sqlite:"+path)
	require.NoError(t, err)
	defer db.Close()
	require.NoError(t, db.Ping(t.Context()))
	require.NoError(t, os.Rename(path, path+".old"))
	require.Equal(t, backend.Unavailable, backend.CodeOf(db.Ping(t.Context())))
	for range 3 { // open together, so that new connections have to be made
		_ = db.Tx(t.Context(), func(ctx context.Context) error {
			_, err := backend.One[int](t.Context(), db, "SELECT 1")
			return err
		}, backend.ReadOnly)
	}
	require.NoFileExists(t, path)
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	err = db.Ping(t.Context())
	require.Equal(t, backend.Unavailable, backend.CodeOf(err))
	require.ErrorContains(t, err, "is not the file that was opened")
	require.NoError(t, os.Remove(path))
	require.NoError(t, os.Rename(path+".old", path))
	require.NoError(t, db.Ping(t.Context()))
}

// A server that was demoted is unavailable for writing, which is nobody's
// mistake.
func TestReadOnlyServer(t *testing.T) {
	t.Parallel()
	db := backendtest.NewDB(t, backend.Postgres, backend.DBConfig{MaxConns: 1})
	_, err := db.Exec(t.Context(), "CREATE TABLE t (id INTEGER)")
	require.NoError(t, err)
	err = db.Tx(t.Context(), func(ctx context.Context) error {
		if _, err := db.Exec(ctx, "SET TRANSACTION READ ONLY"); err != nil {
			return err
		}
		_, err := db.Exec(ctx, "INSERT INTO t VALUES (1)")
		return err
	})
	require.Equal(t, backend.Unavailable, backend.CodeOf(err), "%v", err)
}

// A transaction whose context was not passed on waits for itself. The error
// says so.
func TestSQLiteForgottenContext(t *testing.T) {
	t.Parallel()
	db := backendtest.NewDB(t, backend.SQLite, backend.DBConfig{Timeout: 50 * time.Millisecond})
	err := db.Tx(t.Context(), func(context.Context) error {
		_, err := db.Exec(t.Context(), "CREATE TABLE t (id INTEGER)")
		return err
	})
	require.ErrorContains(t, err, "context was not passed on")
	require.Equal(t, backend.Timeout, backend.CodeOf(err))
}

// Other processes may hold SQLite's lock; two DBs on one file stand for them.
func TestSQLiteOfTwoProcesses(t *testing.T) {
	t.Parallel()
	url := backendtest.NewURL(t, backend.SQLite)
	var dbs []*backend.DB
	for range 2 {
		db, err := backend.Open(t.Context(), url)
		require.NoError(t, err)
		defer db.Close()
		dbs = append(dbs, db)
	}
	_, err := dbs[0].Exec(t.Context(), "CREATE TABLE t (n INTEGER)")
	require.NoError(t, err)
	_, err = dbs[0].Exec(t.Context(), "INSERT INTO t VALUES (0)")
	require.NoError(t, err)
	var wait sync.WaitGroup
	for i := range 8 {
		wait.Go(func() {
			for range 25 {
				err := dbs[i%2].Tx(t.Context(), func(ctx context.Context) error {
					n, err := backend.One[int](ctx, dbs[i%2], "SELECT n FROM t")
					if err == nil {
						_, err = dbs[i%2].Exec(ctx, "UPDATE t SET n = ?", n+1)
					}
					return err
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wait.Wait()
	n, err := backend.One[int](t.Context(), dbs[0], "SELECT n FROM t")
	require.NoError(t, err)
	require.Equal(t, 200, n)

	// A lock that is not given up: the deadline holds.
	require.NoError(t, dbs[0].Tx(t.Context(), func(context.Context) error {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		err := dbs[1].Tx(ctx, func(context.Context) error { return nil })
		require.Equal(t, backend.Timeout, backend.CodeOf(err), "%v", err)
		// A statement on its own waits as long, too: longer than SQLite itself.
		ctx, cancel = context.WithTimeout(t.Context(), 400*time.Millisecond)
		defer cancel()
		_, err = dbs[1].Exec(ctx, "UPDATE t SET n = ?", 1)
		require.Equal(t, backend.Timeout, backend.CodeOf(err), "%v", err)
		return nil
	}))
}

// A query that runs too long is interrupted, and its connection used again.
func TestRunawayQuery(t *testing.T) {
	t.Parallel()
	backendtest.EachDB(t, func(t *testing.T, db *backend.DB) {
		endless := map[backend.Engine]string{
			backend.SQLite:   "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT COUNT(*) FROM c",
			backend.Postgres: "SELECT COUNT(*) FROM generate_series(1, 10000000000) AS n",
			backend.MySQL:    "SELECT BENCHMARK(10000000000, MD5('a'))",
		}[db.Engine()]
		for _, tx := range []bool{false, true} {
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			run := func(ctx context.Context) error {
				_, err := backend.One[int](ctx, db, "?", backend.UnsafeSQL(endless))
				return err
			}
			start := time.Now()
			var err error
			if tx {
				err = db.Tx(ctx, run)
			} else {
				err = run(ctx)
			}
			require.Equal(t, backend.Timeout, backend.CodeOf(err), "%v", err)
			require.Less(t, time.Since(start), 3*time.Second)
		}
		require.NoError(t, db.Ping(t.Context()))
	})
}

// SQLite is interrupted in the search for the next row, too.
func TestRunawaySearch(t *testing.T) {
	t.Parallel()
	db := backendtest.NewDB(t, backend.SQLite)
	const endless = "WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT n FROM c WHERE n = ? OR n < 0"
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := backend.All[int](ctx, db, endless, 1)
	require.Equal(t, backend.Timeout, backend.CodeOf(err), "%v", err)
	got := 0
	ctx, cancel = context.WithCancel(t.Context())
	defer cancel()
	for n, failed := range backend.Each[int](ctx, db, endless, 1) {
		if err = failed; err == nil {
			got = n
			cancel()
		}
	}
	require.Equal(t, 1, got)
	require.Equal(t, backend.Canceled, backend.CodeOf(err), "%v", err)
}

// Without a deadline of its own, a statement has the one of the config.
func TestDefaultTimeout(t *testing.T) {
	t.Parallel()
	db := backendtest.NewDB(t, backend.Postgres, backend.DBConfig{Timeout: 100 * time.Millisecond})
	_, err := db.Exec(t.Context(), "SELECT pg_sleep(10)")
	require.Equal(t, backend.Timeout, backend.CodeOf(err))
	err = db.Tx(t.Context(), func(ctx context.Context) error {
		_, err := db.Exec(ctx, "SELECT pg_sleep(10)")
		return err
	})
	require.Equal(t, backend.Timeout, backend.CodeOf(err))
}

// A transaction that loses against another runs again, and AfterCommit only
// counts the run that was committed.
func TestLostTransactionsRunAgain(t *testing.T) {
	t.Parallel()
	for _, engine := range []backend.Engine{backend.Postgres, backend.MySQL} {
		t.Run(string(engine), func(t *testing.T) {
			t.Parallel()
			db := backendtest.NewDB(t, engine)
			_, err := db.Exec(t.Context(), "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER NOT NULL)")
			require.NoError(t, err)
			_, err = db.Exec(t.Context(), "INSERT INTO t VALUES (1, 0), (2, 0)")
			require.NoError(t, err)
			// Two transactions lock two rows in opposite order, and meet in the
			// middle the first time.
			var meet sync.WaitGroup
			meet.Add(2)
			runs, commits := [2]int{}, [2]int{}
			var wait sync.WaitGroup
			for i := range 2 {
				wait.Go(func() {
					err := db.Tx(t.Context(), func(ctx context.Context) error {
						runs[i]++
						backend.AfterCommit(ctx, func(context.Context) { commits[i]++ })
						if _, err := db.Exec(ctx, "UPDATE t SET n = n + 1 WHERE id = ?", 1+i); err != nil {
							return err
						}
						if runs[i] == 1 {
							meet.Done()
							meet.Wait()
						}
						if _, err := db.Exec(ctx, "UPDATE t SET n = n + 1 WHERE id = ?", 2-i); err != nil {
							return fmt.Errorf("in my own words: %s", err) // the cause is lost, and remembered
						}
						return nil
					})
					if err != nil {
						t.Error(err)
					}
				})
			}
			wait.Wait()
			// The one that lost may lock its row again before the other one wakes, and lose again.
			require.GreaterOrEqual(t, runs[0]+runs[1], 3, "one of them ran twice")
			require.Equal(t, [2]int{1, 1}, commits)
			n, err := backend.All[int](t.Context(), db, "SELECT n FROM t")
			require.NoError(t, err)
			require.Equal(t, []int{2, 2}, n)
		})
	}
}

// An Opt is stored as its value, in whatever form that has, and not as JSON.
func TestOptInQueries(t *testing.T) {
	t.Parallel()
	backendtest.EachDB(t, func(t *testing.T, db *backend.DB) {
		_, err := db.Exec(t.Context(), "CREATE TABLE people (name VARCHAR(50) NOT NULL, phone VARCHAR(50), tags VARCHAR(50))")
		require.NoError(t, err)
		type person struct {
			Name  backend.Opt[string]   `db:"name"`
			Phone backend.Opt[string]   `db:"phone"`
			Tags  backend.Opt[[]string] `db:"tags"`
		}
		null := backend.Opt[string]{Present: true, Null: true}
		_, err = db.Exec(t.Context(), "INSERT INTO people VALUES (COALESCE(?, 'Ann'), ?, ?)", backend.Opt[string]{}, null, backend.Some([]string{"a"}))
		require.NoError(t, err)
		_, err = db.Exec(t.Context(), "UPDATE people SET name = COALESCE(?, name) WHERE name = ?", backend.Some("Anna"), backend.Some("Ann"))
		require.NoError(t, err)
		stored, err := backend.One[person](t.Context(), db, "SELECT * FROM people")
		require.NoError(t, err)
		require.Equal(t, person{backend.Some("Anna"), null, backend.Some([]string{"a"})}, stored)

		_, err = db.Exec(t.Context(), "UPDATE people SET name = ?", null)
		require.Equal(t, backend.Invalid, backend.CodeOf(err), "%v", err)
	})
}
