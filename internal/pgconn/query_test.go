//go:build unix

package pgconn_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"runtime/metrics"
	"strings"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend/internal/pgconn"
)

func TestRoundTrips(t *testing.T) {
	t.Parallel()
	u := server(t)
	p := newProxy(t, u.Host)
	db := open(t, at(u, p.addr()), pgconn.Config{StatementCache: 2})
	c, conn := session(t, db)
	ctx := t.Context()
	query := func() { mustAll(t, c, "SELECT $1::int", "1") }

	require.Equal(t, 2, p.count(query), "first use: prepare, execute")
	for range 3 {
		require.Equal(t, 1, p.count(query), "repeated")
	}
	require.Equal(t, 1, p.count(func() { mustAll(t, c, "SELECT 1") }), "no arguments")
	require.Equal(t, 1, p.count(func() {
		_, err := c.ExecContext(ctx, "SELECT 1; SELECT 2", nil)
		require.NoError(t, err)
	}), "no arguments, two statements")
	require.Equal(t, 2, p.count(func() {
		require.NoError(t, c.StartTx(ctx, "BEGIN ISOLATION LEVEL SERIALIZABLE"))
		query()
		require.NoError(t, c.Commit(ctx))
	}), "begin and query, commit")
	require.Equal(t, 2, p.count(func() {
		require.NoError(t, c.StartTx(ctx, "BEGIN"))
		mustAll(t, c, "SELECT 1")
		require.NoError(t, c.Rollback(ctx))
	}), "begin and a query without arguments, rollback")
	require.Equal(t, 3, p.count(func() {
		require.NoError(t, c.StartTx(ctx, "BEGIN"))
		mustAll(t, c, "SHOW TimeZone")
		require.NoError(t, c.Rollback(ctx))
	}), "begin, another statement without arguments, rollback")
	require.Zero(t, p.count(func() {
		for _, end := range []func(context.Context) error{c.Commit, c.Rollback} {
			require.NoError(t, c.StartTx(ctx, "BEGIN"))
			require.NoError(t, end(ctx))
		}
	}), "an empty transaction")
	require.Equal(t, 2, p.count(func() {
		tx, err := c.BeginTx(ctx, driver.TxOptions{})
		require.NoError(t, err)
		require.NoError(t, tx.Rollback())
	}), "begin and rollback of database/sql")
	require.Equal(t, 1, p.count(func() { require.NoError(t, c.Ping(ctx)) }), "ping")

	exec := func() {
		_, err := c.ExecContext(ctx, "SELECT $1::text", args("x"))
		require.NoError(t, err)
	}
	require.Equal(t, 2, p.count(exec), "exec, first use")
	require.Equal(t, 1, p.count(exec), "exec, repeated")
	require.Equal(t, 3, p.count(func() { mustAll(t, c, "SELECT $1::bool", "t") }), "one more than the cache holds closes one")

	_, err := c.ExecContext(ctx, "CREATE TABLE a (v real)", nil)
	require.NoError(t, err)
	write := func() {
		_, err := c.ExecContext(ctx, "INSERT INTO a VALUES ($1)", args(0.5))
		require.NoError(t, err)
	}
	p.count(write)
	require.Equal(t, 1, p.count(write), "a write that is analyzed anew")
	require.Equal(t, 1, p.count(func() { mustAll(t, c, "INSERT INTO a VALUES ($1) RETURNING v"+strings.Repeat(" ", 20<<10), 0.5) }), "too long to be kept")

	require.NoError(t, conn.Close())
	require.Equal(t, 1, p.count(func() {
		var n int
		require.NoError(t, db.QueryRow("SELECT 1").Scan(&n))
	}), "taking a connection out of the pool costs none")
	require.Equal(t, 1, p.dialed())
	require.LessOrEqual(t, newConnectionTrips(t, at(u, p.addr()), p), 1, "a new connection sends nothing after its startup message")
}

// newConnectionTrips is measured with trust authentication, which asks nothing.
func newConnectionTrips(t *testing.T, u interface{ String() string }, p *proxy) int {
	connector, err := pgconn.NewConnector(u.String(), pgconn.Config{})
	require.NoError(t, err)
	return p.count(func() {
		conn, err := connector.Connect(t.Context())
		require.NoError(t, err)
		t.Cleanup(func() { conn.Close() })
	})
}

func TestSessionParameters(t *testing.T) {
	t.Parallel()
	c, _ := session(t, open(t, server(t), pgconn.Config{}))
	rows := mustAll(t, c, "SELECT current_setting('TimeZone'), current_setting('application_name'), current_setting('client_encoding')")
	require.Equal(t, []driver.Value{"UTC", "backend", "UTF8"}, rows[0])
	at := mustAll(t, c, "SELECT '2024-07-01 12:00:00+02'::timestamptz")[0][0].(time.Time)
	require.Equal(t, time.Date(2024, 7, 1, 10, 0, 0, 0, time.UTC), at)

	u := server(t)
	set(u, "timezone", "Europe/Berlin")
	set(u, "application_name", "shop")
	c, _ = session(t, open(t, u, pgconn.Config{}))
	rows = mustAll(t, c, "SELECT current_setting('TimeZone'), current_setting('application_name')")
	require.Equal(t, []driver.Value{"Europe/Berlin", "shop"}, rows[0])
}

// The schema changes between uses of one statement on one connection.
func TestSchemaChangesAreInvisible(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, setup, text string
		value             any
		change            string
		then              any
		want              string
	}{
		{"column added", "CREATE TABLE a (id int, n int); INSERT INTO a VALUES (1, 2)", "SELECT * FROM a WHERE id = $1", int64(1),
			"ALTER TABLE a ADD COLUMN m int DEFAULT 3", int64(1), "[[1 2 3]]"},
		{"column dropped", "CREATE TABLE a (id int, n int); INSERT INTO a VALUES (1, 2)", "SELECT * FROM a WHERE id = $1", int64(1),
			"ALTER TABLE a DROP COLUMN n", int64(1), "[[1]]"},
		{"column's type changed", "CREATE TABLE a (id int, n int); INSERT INTO a VALUES (1, 2)", "SELECT * FROM a WHERE id = $1", int64(1),
			"ALTER TABLE a ALTER COLUMN n TYPE text", int64(1), "[[1 2]]"},
		{"parameter's column became text", "CREATE TABLE a (id int, n int); INSERT INTO a VALUES (1, 2)", "SELECT n FROM a WHERE id = $1", int64(1),
			"ALTER TABLE a ALTER COLUMN id TYPE text", "1", "[[2]]"},
		{"parameter's column became text that is no number", "CREATE TABLE a (id bigint, n int); INSERT INTO a VALUES (1, 2)", "SELECT n FROM a WHERE id = $1", int64(1),
			"ALTER TABLE a ALTER COLUMN id TYPE text; INSERT INTO a VALUES ('x', 4)", "x", "[[4]]"},
		{"parameter's column became bigint", "CREATE TABLE a (id int, n int); INSERT INTO a VALUES (1, 2)", "SELECT n FROM a WHERE id = $1", int64(1),
			"ALTER TABLE a ALTER COLUMN id TYPE bigint; INSERT INTO a VALUES (3000000000, 4)", int64(3000000000), "[[4]]"},
		{"table replaced", "CREATE TABLE a (id int, n int); INSERT INTO a VALUES (1, 2)", "SELECT * FROM a WHERE id = $1", int64(1),
			"DROP TABLE a; CREATE TABLE a (x text, id int); INSERT INTO a VALUES ('new', 1)", int64(1), "[[new 1]]"},
		{"statements dropped by the server", "CREATE TABLE a (id int, n int); INSERT INTO a VALUES (1, 2)", "SELECT n FROM a WHERE id = $1", int64(1),
			"DEALLOCATE ALL", int64(1), "[[2]]"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for _, how := range []string{"query", "exec", "statement", "transaction"} {
				t.Run(how, func(t *testing.T) {
					at := server(t)
					c, _ := session(t, open(t, at, pgconn.Config{}))
					_, err := c.ExecContext(t.Context(), test.setup, nil)
					require.NoError(t, err)
					read := func(value any) ([][]driver.Value, error) { return all(t.Context(), c, test.text, value) }
					if how == "statement" {
						stmt, err := c.PrepareContext(t.Context(), test.text)
						require.NoError(t, err)
						read = func(value any) ([][]driver.Value, error) {
							rows, err := stmt.(driver.StmtQueryContext).QueryContext(t.Context(), args(value))
							if err != nil {
								return nil, err
							}
							defer rows.Close()
							row := make([]driver.Value, len(rows.Columns()))
							return [][]driver.Value{row}, rows.Next(row)
						}
					}
					for range 2 {
						_, err := read(test.value)
						require.NoError(t, err)
					}
					if strings.HasPrefix(test.change, "DEALLOCATE") {
						_, err = c.ExecContext(t.Context(), test.change, nil)
						require.NoError(t, err)
					} else { // what the connections of one Connector change is known to all of them
						mustExec(t, open(t, at, pgconn.Config{}), test.change)
					}
					switch how {
					case "exec":
						result, err := c.ExecContext(t.Context(), test.text, args(test.then))
						require.NoError(t, err)
						affected, err := result.RowsAffected()
						require.NoError(t, err)
						require.EqualValues(t, 1, affected)
						return
					case "transaction":
						require.NoError(t, c.StartTx(t.Context(), "BEGIN"))
						_, err := read(test.then)
						require.NoError(t, c.Rollback(t.Context()))
						switch test.name {
						case "parameter's column became bigint": // it is compared as one already
							require.NoError(t, err)
						case "parameter's column became text that is no number":
							require.ErrorIs(t, err, pgconn.ErrUnfit)
						default:
							require.True(t, pgconn.Stale(err), "%v", err)
						}
						require.NoError(t, c.StartTx(t.Context(), "BEGIN"))
						defer func() { require.NoError(t, c.Commit(t.Context())) }()
					}
					rows, err := read(test.then)
					require.NoError(t, err)
					require.Equal(t, test.want, fmt.Sprint(rows))
					require.True(t, how == "transaction" || c.IsValid())
				})
			}
		})
	}
}

// What is dropped from the cache is dropped on the server, too.
func TestNoStatementIsLeftOnTheServer(t *testing.T) {
	t.Parallel()
	c, _ := session(t, open(t, server(t), pgconn.Config{StatementCache: 3}))
	onServer := func() int64 { return mustAll(t, c, "SELECT count(*) FROM pg_prepared_statements")[0][0].(int64) }
	for i := range 10 {
		mustAll(t, c, fmt.Sprintf("SELECT $1::int + %d", i), "1")
		_, err := c.QueryContext(t.Context(), fmt.Sprintf("SELECT $1::int + %d", i), args("x"))
		require.Equal(t, "22P02", code(t, err))
	}
	require.EqualValues(t, 3, onServer())
	_, err := c.ExecContext(t.Context(), "CREATE TABLE a (id int)", nil)
	require.NoError(t, err)
	mustAll(t, c, "SELECT * FROM a WHERE id = $1", "1")
	_, err = c.ExecContext(t.Context(), "ALTER TABLE a ADD COLUMN n int", nil)
	require.NoError(t, err)
	mustAll(t, c, "SELECT * FROM a WHERE id = $1", "1")
	require.EqualValues(t, 1, onServer())
}

// What is repaired is not run twice when it was not at fault.
func TestErrorsOfTheServerLeaveTheConnection(t *testing.T) {
	t.Parallel()
	c, _ := session(t, open(t, server(t), pgconn.Config{}))
	pid := backendPID(t, c)
	for _, test := range []struct {
		name, text string
		values     []any
		code       string
	}{
		{"syntax", "SELEC $1", []any{"x"}, "42601"},
		{"syntax, no arguments", "SELEC", nil, "42601"},
		{"out of range", "SELECT $1::int", []any{"3000000000"}, "22003"},
		{"wrong form", "SELECT $1::int", []any{"x"}, "22P02"},
		{"while reading rows", "SELECT 1 / (x - $1::int) FROM generate_series(1, 1000) x", []any{"1000"}, "22012"},
		{"NUL in a value", "SELECT $1::text", []any{"a\x00b"}, "22021"},
		{"invalid UTF-8", "SELECT $1::text", []any{"a\xffb"}, "22021"},
	} {
		for range 3 {
			_, err := all(t.Context(), c, test.text, test.values...)
			require.Equal(t, test.code, code(t, err), test.name)
			require.False(t, pgconn.Stale(err), test.name)
			_, err = c.ExecContext(t.Context(), test.text, args(test.values...))
			require.Equal(t, test.code, code(t, err), test.name)
			require.True(t, c.IsValid(), test.name)
		}
	}
	require.Equal(t, pid, backendPID(t, c))
}

func TestWrongCallsSendNothing(t *testing.T) {
	t.Parallel()
	u := server(t)
	p := newProxy(t, u.Host)
	c, _ := session(t, open(t, at(u, p.addr()), pgconn.Config{}))
	mustAll(t, c, "SELECT $1::int", "1") // kept
	for _, test := range []struct {
		name, text string
		args       []driver.NamedValue
	}{
		{"too few arguments", "SELECT $1::int", args()[:0:0]},
		{"too many arguments", "SELECT $1::int", args("1", "2")},
		{"argument not converted", "SELECT $1::int", args(1)},
		{"named argument", "SELECT $1::int", []driver.NamedValue{{Name: "id", Ordinal: 1, Value: "1"}}},
		{"65,536 arguments", "SELECT $1::int", make([]driver.NamedValue, 65536)},
		{"NUL in the text", "SELECT 1\x00", nil},
	} {
		trips := p.count(func() {
			_, err := c.QueryContext(t.Context(), test.text, test.args)
			require.Error(t, err, test.name)
			_, err = c.ExecContext(t.Context(), test.text, test.args)
			require.Error(t, err, test.name)
		})
		if test.name != "too few arguments" { // without any, the server is asked
			require.Zero(t, trips, test.name)
		}
		require.True(t, c.IsValid(), test.name)
		require.Equal(t, "[[7]]", fmt.Sprint(mustAll(t, c, "SELECT $1::int", "7")), test.name)
	}
}

func TestOneThingAtATime(t *testing.T) {
	t.Parallel()
	c, _ := session(t, open(t, server(t), pgconn.Config{}))
	ctx := t.Context()
	require.NoError(t, c.StartTx(ctx, "BEGIN"))
	rows, err := c.QueryContext(ctx, "SELECT x FROM generate_series(1, $1::int) x", args("100"))
	require.NoError(t, err)
	_, err = c.QueryContext(ctx, "SELECT $1::int", args("1"))
	require.ErrorIs(t, err, pgconn.ErrRowsOpen)
	_, err = c.ExecContext(ctx, "SELECT 1", nil)
	require.ErrorIs(t, err, pgconn.ErrRowsOpen)
	require.ErrorIs(t, c.Commit(ctx), pgconn.ErrRowsOpen)
	require.ErrorIs(t, c.Ping(ctx), pgconn.ErrRowsOpen)
	require.NoError(t, rows.Next(make([]driver.Value, 1)))
	require.NoError(t, rows.Close())
	require.NoError(t, rows.Close())
	require.Equal(t, io.EOF, rows.Next(make([]driver.Value, 1)))
	require.ErrorIs(t, c.StartTx(ctx, "BEGIN"), pgconn.ErrTxOpen)
	require.NoError(t, c.Commit(ctx))
	require.ErrorIs(t, c.Commit(ctx), pgconn.ErrNoTx)
	require.ErrorIs(t, c.Rollback(ctx), pgconn.ErrNoTx)
	require.Error(t, c.StartTx(ctx, "SELECT 1"))
	require.True(t, c.IsValid())
}

func TestSeveralResults(t *testing.T) {
	t.Parallel()
	db := open(t, server(t), pgconn.Config{})
	rows, err := db.QueryContext(t.Context(), "SELECT 1; SELECT 'a', 'b' UNION ALL SELECT 'c', 'd'")
	require.NoError(t, err)
	defer rows.Close()
	require.True(t, rows.Next())
	require.False(t, rows.Next())
	require.True(t, rows.NextResultSet())
	columns, err := rows.ColumnTypes()
	require.NoError(t, err)
	require.Len(t, columns, 2)
	require.Equal(t, "TEXT", columns[0].DatabaseTypeName())
	require.True(t, rows.Next())
	require.True(t, rows.Next())
	require.False(t, rows.Next())
	require.False(t, rows.NextResultSet())
	require.NoError(t, rows.Err())
}

func TestCopyIsRefused(t *testing.T) {
	t.Parallel()
	db := open(t, server(t), pgconn.Config{})
	mustExec(t, db, "CREATE TABLE a (id int)")
	_, err := db.Prepare("COPY a FROM STDIN")
	require.ErrorContains(t, err, "COPY is not supported")
	_, err = db.Exec("COPY a FROM STDIN")
	require.Error(t, err)
	require.NotErrorIs(t, err, driver.ErrBadConn)
	_, err = db.Exec("COPY a TO STDOUT")
	require.Error(t, err)
	mustExec(t, db, "INSERT INTO a VALUES ($1)", 1)
}

// Values as database/sql and sqlx users pass and get them.
func TestThroughDatabaseSQL(t *testing.T) {
	t.Parallel()
	db := sqlx.NewDb(open(t, server(t), pgconn.Config{}), "postgres")
	ctx := t.Context()
	mustExec(t, db.DB, `CREATE TABLE a (id bigint PRIMARY KEY, name text, data jsonb, raw bytea, tags text[], at timestamptz, ok bool)`)
	when := time.Date(2024, 1, 2, 3, 4, 5, 6000, time.UTC)
	insert, err := db.PreparexContext(ctx, `INSERT INTO a VALUES ($1, $2, $3, $4, $5, $6, $7)`)
	require.NoError(t, err)
	for id := range 3 {
		_, err = insert.Exec(id, sql.NullString{String: "n", Valid: id > 0}, json.RawMessage(`{"a": 1}`), []byte{0, 255}, []string{"x", "y"}, when, new(true))
		require.NoError(t, err)
	}
	require.NoError(t, insert.Close())

	type row struct {
		ID   int64
		Name *string
		Data json.RawMessage
		Raw  []byte
		At   time.Time
		OK   bool
	}
	var list []row
	require.NoError(t, db.SelectContext(ctx, &list, `SELECT id, name, data, raw, at, ok FROM a WHERE id >= $1 ORDER BY id`, 0))
	require.Len(t, list, 3)
	require.Nil(t, list[0].Name)
	require.Equal(t, row{2, new("n"), json.RawMessage(`{"a": 1}`), []byte{0, 255}, when, true}, list[2])

	tx, err := db.BeginTxx(ctx, &sql.TxOptions{Isolation: sql.LevelSerializable})
	require.NoError(t, err)
	_, err = tx.Exec(`DELETE FROM a WHERE id = $1`, 1)
	require.NoError(t, err)
	require.NoError(t, tx.Rollback())
	tx = db.MustBegin()
	tx.MustExec(`DELETE FROM a WHERE id = $1`, 2)
	require.NoError(t, tx.Commit())
	var n int
	require.NoError(t, db.Get(&n, `SELECT count(*) FROM a`))
	require.Equal(t, 2, n)

	_, err = db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelSnapshot})
	require.ErrorContains(t, err, "Snapshot")
	readOnly, err := db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	require.NoError(t, err)
	_, err = readOnly.Exec(`DELETE FROM a`)
	require.Equal(t, "25006", code(t, err))
	require.NoError(t, readOnly.Rollback(), "the connection stays: it was read-only on purpose")
}

func TestManyGoroutinesShareAPool(t *testing.T) {
	t.Parallel()
	db := open(t, server(t), pgconn.Config{StatementCache: 2})
	db.SetMaxOpenConns(4)
	mustExec(t, db, "CREATE TABLE a (id int PRIMARY KEY, n int)")
	mustExec(t, db, "INSERT INTO a VALUES (1, 0)")
	errs := make(chan error)
	const workers, rounds = 8, 25
	for worker := range workers {
		go func() {
			for round := range rounds {
				if _, err := db.Exec("UPDATE a SET n = n + $1 WHERE id = 1", 1); err != nil {
					errs <- err
					return
				}
				var got string
				text := fmt.Sprintf("SELECT $1::text || '-%d'", round%5)
				if err := db.QueryRow(text, worker).Scan(&got); err != nil || got != fmt.Sprintf("%d-%d", worker, round%5) {
					errs <- fmt.Errorf("%q: %w", got, err)
					return
				}
			}
			errs <- nil
		}()
	}
	for range workers {
		require.NoError(t, <-errs)
	}
	var n int
	require.NoError(t, db.QueryRow("SELECT n FROM a").Scan(&n))
	require.Equal(t, workers*rounds, n)
}

func goroutinesStarted() uint64 {
	sample := []metrics.Sample{{Name: "/sched/goroutines-created:goroutines"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// Not parallel: it counts.
func TestQueriesStartNoGoroutines(t *testing.T) {
	c, _ := session(t, open(t, server(t), pgconn.Config{}))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	row := make([]driver.Value, 1)
	once := func() {
		rows, err := c.QueryContext(ctx, "SELECT $1::int", args("1"))
		require.NoError(t, err)
		require.NoError(t, rows.Next(row))
		require.Equal(t, io.EOF, rows.Next(row))
		require.NoError(t, c.StartTx(ctx, "BEGIN"))
		_, err = c.ExecContext(ctx, "SELECT 1", nil)
		require.NoError(t, err)
		require.NoError(t, c.Commit(ctx))
		require.NoError(t, c.Ping(ctx))
	}
	once()
	before := goroutinesStarted()
	for range 100 {
		once()
	}
	started := goroutinesStarted() - before
	t.Logf("%d goroutines started by 500 operations", started)
	require.Less(t, started, uint64(20), "500 operations; the runtime may have started a few itself")
}

func TestRepeatedQueryAllocations(t *testing.T) {
	c, _ := session(t, open(t, server(t), pgconn.Config{}))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	values, row := args("1"), make([]driver.Value, 1)
	query := func() {
		rows, err := c.QueryContext(ctx, "SELECT $1::int", values)
		if err != nil || rows.Next(row) != nil || rows.Next(row) != io.EOF {
			t.Error("query failed", err)
		}
	}
	query()
	allocs := testing.AllocsPerRun(200, query)
	t.Logf("%v allocations per repeated one-row query, context included", allocs)
	require.LessOrEqual(t, allocs, 4.0)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if c.ResetSession(ctx) != nil || !c.IsValid() {
			t.Error("reset failed")
		}
	}))
}

func BenchmarkRepeatedQuery(b *testing.B) {
	c, _ := session(b, open(b, server(b), pgconn.Config{}))
	ctx, cancel := context.WithTimeout(b.Context(), time.Hour)
	defer cancel()
	values, row := args("1"), make([]driver.Value, 1)
	b.ReportAllocs()
	for b.Loop() {
		rows, err := c.QueryContext(ctx, "SELECT $1::int", values)
		if err != nil || rows.Next(row) != nil || rows.Next(row) != io.EOF {
			b.Fatal("query failed", err)
		}
	}
}

// An error that quotes a long value takes little memory, and leaves the connection as it is.
func TestOversizedErrors(t *testing.T) {
	db := open(t, server(t), pgconn.Config{})
	db.SetMaxOpenConns(1)
	pid := fill(t, db, 1)[0]
	defer func() { require.Equal(t, pid, fill(t, db, 1)[0], "the connection goes on") }()
	mustExec(t, db, "CREATE TABLE a (id bigint, n numeric)")
	attacks := []struct{ name, text, value string }{
		{"35 kB to bigint", "SELECT $1::bigint", strings.Repeat("9x", 17_500)},
		{"31 kB to numeric", "INSERT INTO a (n) VALUES ($1)", strings.Repeat("y", 31_000)},
		{"1 MB to bigint", "SELECT $1::bigint", strings.Repeat("z", 1<<20)},
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for _, attack := range attacks {
		for range 2 {
			took := timed(func() {
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				defer cancel()
				rows, err := db.QueryContext(ctx, attack.text, attack.value)
				if err == nil {
					rows.Close()
				}
				require.ErrorIs(t, err, pgconn.ErrOversizedError, attack.name)
				require.Less(t, len(err.Error()), 1000, "the value is not repeated")
				_, err = db.ExecContext(ctx, attack.text, attack.value)
				require.ErrorIs(t, err, pgconn.ErrOversizedError, attack.name)
				var n int
				require.NoError(t, db.QueryRowContext(ctx, "SELECT $1::int", 7).Scan(&n), attack.name)
				require.Equal(t, 7, n)
			})
			require.Less(t, took, 5*time.Second)
		}
	}
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(100<<20))

	// Inside a transaction: nothing of it stays.
	tx, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	_, err = tx.Exec("INSERT INTO a (id) VALUES ($1)", 1)
	require.NoError(t, err)
	_, err = tx.Exec("INSERT INTO a (id) VALUES ($1)", attacks[0].value)
	require.ErrorIs(t, err, pgconn.ErrOversizedError)
	require.Equal(t, "22P02", code(t, err))
	require.ErrorIs(t, tx.Commit(), pgconn.ErrTxAborted)
	var n int
	require.NoError(t, db.QueryRow("SELECT count(*) FROM a").Scan(&n))
	require.Zero(t, n)
}
