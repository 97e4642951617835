package backend_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
	"github.com/seed-215b9b7c/backend/backendtest"
)

func ExampleDB_Batch() {
	ctx := context.Background()
	db := exampleDB(ctx)
	defer db.Close()

	var note exampleNote
	var titles []string
	var missing *exampleNote
	err := db.Batch(ctx,
		backend.BatchOne(&note, "SELECT * FROM notes WHERE id = ?", 2),
		backend.BatchAll(&titles, "SELECT title FROM notes ORDER BY title"),
		backend.BatchMaybe(&missing, "SELECT * FROM notes WHERE id = ?", 3))
	fmt.Println(note.Tags, titles, missing, err)
	// Output: [home money] [Milk Rent] <nil> <nil>
}

type batchRow struct {
	ID   int64  `db:"id"`
	Name string `db:"name"`
}

func batchTable(t *testing.T, db *backend.DB) {
	t.Helper()
	_, err := db.Exec(t.Context(), "CREATE TABLE things (id INTEGER PRIMARY KEY, name VARCHAR(50) NOT NULL UNIQUE)")
	require.NoError(t, err)
	for i := range 30 {
		_, err = db.Exec(t.Context(), "INSERT INTO things (id, name) VALUES (?, ?)", i, fmt.Sprint("thing ", i))
		require.NoError(t, err)
	}
}

func TestBatch(t *testing.T) {
	t.Parallel()
	backendtest.EachDB(t, func(t *testing.T, db *backend.DB) {
		ctx := t.Context()
		batchTable(t, db)
		names := func() (all []string) {
			all, err := backend.All[string](ctx, db, "SELECT name FROM things WHERE id >= 100 ORDER BY id")
			require.NoError(t, err)
			return all
		}

		for range 2 { // with statements that are new to the connection, and that are not
			rows := make([]batchRow, 20)
			var queries []backend.BatchQuery
			for i := range rows {
				queries = append(queries, backend.BatchOne(&rows[i], "SELECT * FROM things WHERE id = ?", i))
			}
			var none []string
			some, nobody := []int64{9}, &batchRow{}
			var somebody *batchRow
			queries = append(queries, backend.BatchAll(&none, "SELECT name FROM things WHERE id = ?", 99),
				backend.BatchAll(&some, "SELECT id FROM things WHERE ? ORDER BY id", backend.SQL("id IN (?)", []int{3, 1, 2})),
				backend.BatchMaybe(&nobody, "SELECT * FROM things WHERE id = ?", 99), backend.BatchMaybe(&somebody, "SELECT * FROM things WHERE id = ?", 4))
			require.NoError(t, db.Batch(ctx, queries...))
			for i, row := range rows {
				require.Equal(t, batchRow{int64(i), fmt.Sprint("thing ", i)}, row)
			}
			require.Equal(t, []string{}, none)
			require.Equal(t, []int64{1, 2, 3}, some)
			require.Nil(t, nobody)
			require.Equal(t, &batchRow{4, "thing 4"}, somebody)
		}

		var row batchRow
		other := batchRow{7, "old"}
		err := db.Batch(ctx, backend.BatchOne(&row, "SELECT * FROM things WHERE id = ?", 1), backend.BatchOne(&other, "SELECT * FROM things WHERE id = ?", 99))
		require.Equal(t, backend.NotFound, backend.CodeOf(err))
		require.ErrorIs(t, err, sql.ErrNoRows)
		require.Zero(t, other)
		for _, query := range []backend.BatchQuery{backend.BatchOne(&row, "SELECT * FROM things"), backend.BatchMaybe(new(*batchRow), "SELECT * FROM things")} {
			require.ErrorContains(t, db.Batch(ctx, query), "more than one row: SELECT * FROM things")
		}
		require.Zero(t, row, "not the first of the rows")
		partly := struct{ ID, Name int64 }{5, 5}
		require.ErrorContains(t, db.Batch(ctx, backend.BatchOne(&partly, "SELECT * FROM things WHERE id = ?", 1)), "Name")
		require.Zero(t, partly)
		err = db.Batch(ctx, backend.BatchOne(&row, "SELECT * FROM things WHERE id = 1"), backend.BatchOne(&row, "SELECT id, nothing FROM things"), backend.BatchOne(&row, "SELECT 3"))
		require.ErrorContains(t, err, "SELECT id, nothing FROM things")
		_, found := errors.AsType[*backend.DBError](err)
		require.True(t, found, "%v", err)

		// What writes takes effect as a whole.
		err = db.Batch(ctx, backend.BatchExec("INSERT INTO things VALUES (?, ?)", 100, "a"), backend.BatchExec("INSERT INTO things VALUES (?, ?)", 101, "thing 1"))
		require.Equal(t, backend.Conflict, backend.CodeOf(err), "%v", err)
		require.Empty(t, names())
		require.NoError(t, db.Batch(ctx, backend.BatchExec("INSERT INTO things VALUES (?, ?)", 100, "a"), backend.BatchExec("UPDATE things SET name = ? WHERE id = ?", "b", 100),
			backend.BatchOne(&row, "SELECT * FROM things WHERE id = ?", 100)))
		require.Equal(t, batchRow{100, "b"}, row)
		err = db.Batch(ctx, backend.BatchExec("INSERT INTO things VALUES (?, ?)", 101, "c"), backend.BatchOne(&row, "SELECT * FROM things WHERE id = ?", 102))
		require.Equal(t, backend.NotFound, backend.CodeOf(err))
		require.Equal(t, []string{"b"}, names())

		// In a transaction it is a part of it.
		err = db.Tx(ctx, func(ctx context.Context) error {
			if err := db.Batch(ctx, backend.BatchExec("INSERT INTO things VALUES (?, ?)", 103, "d")); err != nil {
				return err
			}
			err := db.Batch(ctx, backend.BatchOne(&row, "SELECT * FROM things WHERE id = ?", 103), backend.BatchOne(&row, "SELECT * FROM things WHERE id = ?", 104))
			require.Equal(t, backend.NotFound, backend.CodeOf(err))
			_, err = backend.One[string](ctx, db, "SELECT name FROM things WHERE id = 103")
			require.NoError(t, err, "it still works")
			return errors.New("undone")
		})
		require.EqualError(t, err, "undone")
		require.Equal(t, []string{"b"}, names())
		err = db.Tx(ctx, func(ctx context.Context) error {
			return db.Batch(ctx, backend.BatchExec("INSERT INTO things VALUES (?, ?)", 103, "d"))
		}, backend.ReadOnly)
		require.Error(t, err)

		for _, query := range []backend.BatchQuery{{}, backend.BatchExec("BEGIN"), backend.BatchExec("SELECT ?"), backend.BatchAll(new([]func()), "SELECT 1")} {
			require.Error(t, db.Batch(ctx, query))
		}
		require.NoError(t, db.Batch(ctx))
		ended, cancel := context.WithCancel(ctx)
		cancel()
		require.ErrorIs(t, db.Batch(ended, backend.BatchOne(&row, "SELECT * FROM things WHERE id = 1")), context.Canceled)
		require.NoError(t, db.Batch(ctx, backend.BatchOne(&row, "SELECT * FROM things WHERE id = 1")))
	})
}

// Results that are larger than any buffer on the way do not make both sides wait for each
// other.
func TestBatchOfManyBytes(t *testing.T) {
	t.Parallel()
	backendtest.EachDB(t, func(t *testing.T, db *backend.DB) {
		long := slices.Repeat([]byte("x"), 60000)
		got := make([]string, 100)
		var queries []backend.BatchQuery
		for i := range got {
			switch db.Engine() {
			case backend.MySQL:
				queries = append(queries, backend.BatchOne(&got[i], "SELECT CONCAT(?, ?)", string(long), i))
			default:
				queries = append(queries, backend.BatchOne(&got[i], "SELECT CAST(? AS text) || CAST(? AS text)", string(long), fmt.Sprint(i)))
			}
		}
		require.NoError(t, db.Batch(t.Context(), queries...))
		for i := range got {
			require.Equal(t, string(long)+fmt.Sprint(i), got[i])
		}
	})
}

// A batch of reads runs again if a prepared statement is outdated that is not its first.
func TestBatchAfterChangesOfTheSchema(t *testing.T) {
	t.Parallel()
	backendtest.EachDB(t, func(t *testing.T, db *backend.DB) {
		ctx := t.Context()
		batchTable(t, db)
		_, err := db.Exec(ctx, "CREATE TABLE others (id INTEGER PRIMARY KEY, n INTEGER NOT NULL)")
		require.NoError(t, err)
		_, err = db.Exec(ctx, "INSERT INTO others VALUES (?, ?)", 1, 7)
		require.NoError(t, err)
		type other struct {
			ID int64  `db:"id"`
			N  string `db:"n"`
		}
		read := func() (row batchRow, second other, err error) {
			err = db.Batch(ctx, backend.BatchOne(&row, "SELECT * FROM things WHERE id = ?", 1), backend.BatchOne(&second, "SELECT * FROM others WHERE id = ?", 1))
			return row, second, err
		}
		_, second, err := read()
		require.NoError(t, err)
		require.Equal(t, other{1, "7"}, second)
		for _, change := range []string{"DROP TABLE others", "CREATE TABLE others (n VARCHAR(50) NOT NULL, id BIGINT PRIMARY KEY, more INTEGER)", "INSERT INTO others (id, n) VALUES (1, 'seven')"} {
			_, err = db.SQLX().ExecContext(ctx, change)
			require.NoError(t, err)
		}
		for range 3 {
			row, second, err := read()
			require.NoError(t, err)
			require.Equal(t, batchRow{1, "thing 1"}, row)
			require.Equal(t, other{1, "seven"}, second)
		}
	})
}

// The Observer is told of each statement.
func TestBatchIsObserved(t *testing.T) {
	t.Parallel()
	observer := &batchObserver{}
	db, err := backend.Open(t.Context(), "sqlite::memory:", backend.DBConfig{Observer: observer})
	require.NoError(t, err)
	defer db.Close()
	observer.ended = nil
	var one, two int
	require.NoError(t, db.Batch(t.Context(), backend.BatchOne(&one, "SELECT 1"), backend.BatchOne(&two, "SELECT 2")))
	require.ElementsMatch(t, []string{"SELECT 1", "SELECT 2"}, observer.ended)
	require.Equal(t, 3, one+two)
}

type batchObserver struct{ ended []string }

func (o *batchObserver) Begin(ctx context.Context, _ *backend.Event) context.Context { return ctx }
func (o *batchObserver) End(_ context.Context, e *backend.Event)                     { o.ended = append(o.ended, e.Query) }

// inserter inserts a row into the file whose URL it is scanned from.
type inserter struct{}

func (*inserter) Scan(url any) error {
	ctx := context.Background()
	db, err := backend.Open(ctx, url.(string))
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = db.Exec(ctx, "INSERT INTO t VALUES (1)")
	return err
}

// On SQLite, the statements of a batch that only reads take the locks of the file once, and so
// see one state of it.
func TestBatchOfSQLiteSeesOneState(t *testing.T) {
	t.Parallel()
	url := "sqlite:" + filepath.Join(t.TempDir(), "test.db")
	db, err := backend.Open(t.Context(), url)
	require.NoError(t, err)
	defer db.Close()
	_, err = db.Exec(t.Context(), "CREATE TABLE t (id INTEGER NOT NULL)")
	require.NoError(t, err)
	var first inserter
	count := -1
	require.NoError(t, db.Batch(t.Context(), backend.BatchOne(&first, "SELECT ? FROM (SELECT count(*) FROM t)", url), backend.BatchOne(&count, "SELECT count(*) FROM t")))
	require.Zero(t, count, "what was committed after the batch had begun")
	count, err = backend.One[int](t.Context(), db, "SELECT count(*) FROM t")
	require.NoError(t, err)
	require.Equal(t, 1, count)
}
