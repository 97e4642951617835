package backend_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
	"github.com/seed-215b9b7c/backend/backendtest"
	"github.com/seed-215b9b7c/backend/internal/faultdb"
)

// fullDisk returns SQLite's own error for a full disk.
func fullDisk(t *testing.T) error {
	db := backendtest.NewDB(t, backend.SQLite)
	_, err := db.Exec(t.Context(), "CREATE TABLE big (a)")
	require.NoError(t, err)
	_, err = db.Exec(t.Context(), "PRAGMA max_page_count = 1; INSERT INTO big VALUES (zeroblob(100000))")
	require.Equal(t, backend.Unavailable, backend.CodeOf(err), "%v", err)
	var failed *backend.DBError
	require.ErrorAs(t, err, &failed)
	return failed.Unwrap()
}

// Of a COMMIT that finds the disk full it is known that nothing took effect: the call
// can be made again, under its key, too.
func TestFullDiskAtCommit(t *testing.T) {
	t.Parallel()
	db, pool, fault := faulty(t)
	require.NoError(t, db.Migrate(t.Context(), nil))
	logic := backend.NewLogic(db, nil, backend.LogicConfig{})
	logic.Add(backend.Mutation("insert", backend.Public, func(ctx context.Context, _ backend.None) (int, error) {
		return backend.One[int](ctx, db, "INSERT INTO t DEFAULT VALUES RETURNING id")
	}, backend.Route("POST /"), backend.RequireIdempotencyKey()))
	rest := logic.REST()
	post := func() int {
		r := httptest.NewRequest("POST", "/", nil)
		r.Header.Set("Idempotency-Key", "k")
		w := httptest.NewRecorder()
		rest.ServeHTTP(w, r)
		return w.Code
	}
	full := fullDisk(t)
	fault.FailCall("exec COMMIT", faultdb.Before, full)
	require.Equal(t, 503, post())
	require.Equal(t, "exec COMMIT", fault.Hit())
	fault.FailCall("exec COMMIT", faultdb.Before, full)
	err := db.Tx(t.Context(), func(ctx context.Context) error { return insert(ctx, db, 7) })
	require.Equal(t, backend.Unavailable, backend.CodeOf(err), "%v", err)
	require.NotErrorIs(t, err, backend.ErrCommitUnknown)

	fault.Fail(0, faultdb.Before)
	require.Equal(t, 201, post())
	ids, err := backend.All[int](t.Context(), db, "SELECT id FROM t")
	require.NoError(t, err)
	require.Equal(t, []int{1}, ids)
	require.Zero(t, pool.Stats().InUse)

	fault.FailCall("exec COMMIT", faultdb.After, errors.New("the answer is lost"))
	err = db.Tx(t.Context(), func(ctx context.Context) error { return insert(ctx, db, 8) })
	require.ErrorIs(t, err, backend.ErrCommitUnknown)
}

// TestFailedWriteAtCommit makes the disk itself fail, in a process of its own: a limit on
// the size of its files stops the write of a COMMIT in the middle.
func TestFailedWriteAtCommit(t *testing.T) {
	t.Parallel()
	if path := os.Getenv("TEST_FAILED_WRITE"); path != "" {
		failWrites(t, path)
		return
	}
	if _, err := exec.LookPath("prlimit"); err != nil {
		t.Skip("prlimit, which limits the size of files, is not installed")
	}
	path := filepath.Join(t.TempDir(), "test.db")
	db, err := backend.Open(t.Context(), "sqlite:"+path)
	require.NoError(t, err)
	_, err = db.Exec(t.Context(), "CREATE TABLE t (a)")
	require.NoError(t, err)
	require.NoError(t, db.Close())
	program := exec.Command("prlimit", "--fsize=200000", os.Args[0], "-test.run=^TestFailedWriteAtCommit$")
	program.Env = append(os.Environ(), "TEST_FAILED_WRITE="+path)
	out, err := program.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "PASS")

	db, err = backend.Open(t.Context(), "sqlite:"+path)
	require.NoError(t, err)
	defer db.Close()
	n, err := backend.One[int](t.Context(), db, "SELECT coalesce(sum(length(a)), 0) FROM t")
	require.NoError(t, err)
	require.Equal(t, 1, n, "only what was acknowledged")
}

func failWrites(t *testing.T, path string) {
	db, err := backend.Open(t.Context(), "sqlite:"+path)
	require.NoError(t, err)
	defer db.Close()
	for range 3 {
		err := db.Tx(t.Context(), func(ctx context.Context) error {
			_, err := db.Exec(ctx, "INSERT INTO t VALUES (zeroblob(500000))")
			return err
		})
		require.Equal(t, backend.Unavailable, backend.CodeOf(err), "%v", err)
		require.NotErrorIs(t, err, backend.ErrCommitUnknown)
	}
	_, err = db.Exec(t.Context(), "INSERT INTO t VALUES ('a')")
	require.NoError(t, err)
}

// What is acknowledged is in the file that the next start opens. If the file or its WAL is
// removed, moved or replaced while the program runs, whatever writes is refused.
func TestSQLiteFileThatIsTakenAway(t *testing.T) {
	t.Parallel()
	for name, take := range map[string]func(folder, path string) error{
		"removed": func(_, path string) error { return os.Remove(path) },
		"moved":   func(_, path string) error { return os.Rename(path, path+".old") },
		"all removed": func(_, path string) error {
			return errors.Join(os.Remove(path), os.Remove(path+"-wal"), os.Remove(path+"-shm"))
		},
		"wal removed": func(_, path string) error { return os.Remove(path + "-wal") },
		"replaced":    func(_, path string) error { return errors.Join(os.Remove(path), os.WriteFile(path, nil, 0o600)) },
		"wal replaced": func(_, path string) error {
			return errors.Join(os.Remove(path+"-wal"), os.WriteFile(path+"-wal", nil, 0o600))
		},
		"folder moved": func(folder, _ string) error { return os.Rename(folder, folder+".old") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			folder := filepath.Join(t.TempDir(), "data")
			require.NoError(t, os.Mkdir(folder, 0o700))
			path := filepath.Join(folder, "test.db")
			db, err := backend.Open(t.Context(), "sqlite:"+path)
			require.NoError(t, err)
			defer db.Close()
			numberTable(t, db)
			require.NoError(t, insert(t.Context(), db, 1))

			err = db.Tx(t.Context(), func(ctx context.Context) error {
				require.NoError(t, insert(ctx, db, 2))
				return take(folder, path)
			})
			refused := func(err error) {
				t.Helper()
				require.Equal(t, backend.Unavailable, backend.CodeOf(err), "%v", err)
				require.NotErrorIs(t, err, backend.ErrCommitUnknown)
			}
			refused(err)
			refused(db.Ping(t.Context()))
			for i := range 3 {
				refused(insert(t.Context(), db, 10+i))
				_, err := db.Exec(t.Context(), "INSERT INTO t VALUES (20)")
				refused(err)
				_, err = backend.One[int](t.Context(), db, "INSERT INTO t VALUES (?) RETURNING id", 30)
				refused(err)
				refused(db.Tx(t.Context(), func(ctx context.Context) error {
					return db.Tx(ctx, func(ctx context.Context) error { return insert(ctx, db, 40) })
				}))
				_, err = db.Exec(t.Context(), "PRAGMA foreign_keys = 0; INSERT INTO t VALUES (50)") // and another connection
				require.Equal(t, backend.Unavailable, backend.CodeOf(err), "%v", err)
			}
		})
	}
}

// taker removes the file whose path it is scanned from.
type taker struct{}

func (*taker) Scan(value any) error {
	path, _ := value.(string)
	return os.Remove(path)
}

// If the file goes away after the check before a statement, nothing is acknowledged either.
func TestSQLiteFileThatIsTakenAwayMeanwhile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "test.db")
	db, err := backend.Open(t.Context(), "sqlite:"+path)
	require.NoError(t, err)
	defer db.Close()
	_, err = db.Exec(t.Context(), "CREATE TABLE t (a TEXT)")
	require.NoError(t, err)
	_, err = backend.One[taker](t.Context(), db, "INSERT INTO t VALUES (?) RETURNING a", path)
	require.ErrorIs(t, err, backend.ErrCommitUnknown)
	require.Equal(t, backend.Timeout, backend.CodeOf(err))
}

// The check keeps quiet while SQLite makes, truncates and removes its WAL itself.
func TestSQLiteFileThatStays(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "test.db")
	for i := range 3 {
		db, err := backend.Open(t.Context(), "sqlite:"+path, backend.DBConfig{MaxConns: 1})
		require.NoError(t, err)
		if i == 0 {
			numberTable(t, db)
		}
		for j, text := range []string{"PRAGMA wal_checkpoint(TRUNCATE)", "VACUUM", "PRAGMA foreign_keys = 1", "REINDEX"} {
			_, err := db.Exec(t.Context(), "?", backend.UnsafeSQL(text))
			require.NoError(t, err, text)
			require.NoError(t, insert(t.Context(), db, 10*i+j), text)
			require.NoError(t, db.Ping(t.Context()), text)
		}
		n, err := backend.One[int](t.Context(), db, "SELECT count(*) FROM t")
		require.NoError(t, err)
		require.Equal(t, 4*(i+1), n)
		require.NoError(t, db.Close())
	}
}
