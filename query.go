package backend

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"iter"
	"reflect"
	"sync/atomic"

	"github.com/seed-215b9b7c/backend/internal/bind"
	"github.com/seed-215b9b7c/backend/internal/dbconn"
	"github.com/seed-215b9b7c/backend/internal/scan"
	"github.com/seed-215b9b7c/backend/internal/sqltext"
)

// This file makes queries: what users call, and the one way all of them take
// to a connection. Transactions are in tx.go.

// query is the type of every query parameter. Only constants convert to it by
// themselves, so a query that input was pasted into does not compile:
//
//	backend.One[Note](ctx, db, "SELECT * FROM notes WHERE id = ?", id)  // compiles
//	backend.One[Note](ctx, db, "SELECT * FROM notes WHERE id = "+id)    // does not
type query string

// SQL returns a constant as a query that constants can be added to:
//
//	q := backend.SQL("SELECT * FROM notes WHERE owner_id = ?")
//	if tag != "" {
//		q += " AND tag = ?"
//		args = append(args, tag)
//	}
func SQL(constant query) query { return constant }

// UnsafeSQL makes a query of a string that is not a constant. Nothing checks
// it: whoever can influence the string can read and change everything in the
// database. Values belong into arguments; this is for names of tables and
// columns that the program itself chose.
func UnsafeSQL(text string) query { return query(text) }

// One runs a query that finds exactly one row and returns it as a T.
//
// The query is SQL of the engine with ? for every parameter, on every engine.
// Strings, comments, casts and PostgreSQL's JSON operators are left alone; a ?
// operator that is not recognised can be written ??. Arguments:
//
//   - A slice in IN (?) stands for as many values as it has. Without any, IN
//     matches nothing and NOT IN everything.
//   - A [time.Time] is stored in UTC and cut to microseconds.
//   - A nil pointer, slice or map is NULL; another pointer is what it points to.
//     driver.Valuer and encoding.TextMarshaler are used.
//   - []byte, and arrays of bytes such as a hash, are stored as they are.
//   - Any other struct, map, slice or array is stored as JSON, for a JSON
//     column. For PostgreSQL's own arrays there is pq.Array.
//   - Text that is not valid UTF-8 or holds a NUL byte is an [Invalid] error. So
//     are NaN, years outside 1 to 9999 and integers over int64's largest, which
//     not every engine can store.
//
// T is a scalar or a struct. A column belongs to the field with its name in
// the db tag (or its name in lower case, with or without underscores); fields
// of an embedded struct count as the struct's own; a column named
// "author.name" belongs to the field name of a struct field author, which, as
// a pointer, stays nil if all its columns are NULL. Columns without a field are
// ignored, a tagged field without a column is an error. NULL goes into
// pointers, sql.Null, slices and maps. sql.Scanner is used, and for text
// encoding.TextUnmarshaler. A struct, map or slice that is no row is read from
// JSON. Times come back in UTC.
//
// Columns of these types give back what was stored, on every engine:
//
//	                PostgreSQL        SQLite      MySQL, MariaDB
//	int64, ID       BIGINT            BIGINT      BIGINT
//	float64         DOUBLE PRECISION  DOUBLE      DOUBLE
//	bool            BOOLEAN           BOOLEAN     BOOLEAN
//	string          TEXT              TEXT        TEXT, VARCHAR(n)
//	a day, a string CHAR(10)          CHAR(10)    CHAR(10)
//	time.Time       TIMESTAMPTZ       TIMESTAMP   DATETIME(6)
//	[]byte          BYTEA             BLOB        BLOB, VARBINARY(n)
//	what is JSON    JSONB             JSON        JSON
//
// A key that counts by itself is BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
// INTEGER PRIMARY KEY, or BIGINT AUTO_INCREMENT PRIMARY KEY. A DATE comes back as
// a time, and on SQLite holds the time of day, too.
//
// No row is a [NotFound] *[Error] that wraps [sql.ErrNoRows]; more than one row
// is an error, though a statement that writes has then written. Inside
// [DB.Tx] with its context the query is part of the transaction. The query
// ends with ctx's deadline, or DBConfig.Timeout if it has none.
func One[T any](ctx context.Context, db *DB, q query, args ...any) (T, error) {
	value, found, err := first[T](ctx, db, q, args)
	if err == nil && !found {
		err = (&Error{Code: NotFound}).Wrap(sql.ErrNoRows)
	}
	return value, err
}

// Maybe is [One] for a row that may be missing: no row is nil and no error.
func Maybe[T any](ctx context.Context, db *DB, q query, args ...any) (*T, error) {
	value, found, err := first[T](ctx, db, q, args)
	if err != nil || !found {
		return nil, err
	}
	return &value, nil
}

func first[T any](ctx context.Context, db *DB, q query, args []any) (value T, found bool, err error) {
	err = db.rows(ctx, q, args, reflect.TypeFor[T](), func(plan *scan.Plan, row []driver.Value) error {
		if found {
			return fmt.Errorf("more than one row: %s", clip(q))
		}
		found = true
		return plan.Row(reflect.ValueOf(&value).Elem(), row)
	})
	if err != nil {
		var zero T
		return zero, false, err
	}
	return value, found, nil
}

// All runs a query and returns its rows, as [One] does with its one. No row is
// an empty slice that is not nil, so that it is [] in JSON.
func All[T any](ctx context.Context, db *DB, q query, args ...any) ([]T, error) {
	values := []T{}
	err := db.rows(ctx, q, args, reflect.TypeFor[T](), func(plan *scan.Plan, row []driver.Value) error {
		var zero T
		values = append(values, zero)
		return plan.Row(reflect.ValueOf(&values[len(values)-1]).Elem(), row)
	})
	if err != nil {
		return nil, err
	}
	return values, nil
}

// Each runs a query and yields its rows one by one, for results that are too
// large to hold. An error is yielded last, with a zero value:
//
//	for note, err := range backend.Each[Note](ctx, db, "SELECT * FROM notes") {
//		if err != nil {
//			return err
//		}
//		…
//	}
//
// The loop holds a connection, and the deadline covers the whole loop. Inside
// [DB.Tx], where there is only one connection (SQLite in memory, MaxConns 1),
// and for a statement that writes, all rows are read first, so that the loop
// can make queries of its own, and leaving it early loses no error.
func Each[T any](ctx context.Context, db *DB, q query, args ...any) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var zero T
		if db.buffers(ctx, q) {
			values, err := All[T](ctx, db, q, args...)
			for _, value := range values {
				if !yield(value, nil) {
					return
				}
			}
			if err != nil {
				yield(zero, err)
			}
			return
		}
		stopped := false
		err := db.rows(ctx, q, args, reflect.TypeFor[T](), func(plan *scan.Plan, row []driver.Value) error {
			var value T
			if err := plan.Row(reflect.ValueOf(&value).Elem(), row); err != nil {
				return err
			}
			if !yield(value, nil) {
				stopped = true
				return io.EOF
			}
			return nil
		})
		if err != nil && !stopped {
			yield(zero, err)
		}
	}
}

// Exec runs a statement that returns no rows. Arguments and errors are those
// of [One]. Words that begin or end a transaction are refused; there is
// [DB.Tx]. RowsAffected of the result counts the rows that matched, on every
// engine; LastInsertId works on SQLite and MySQL only: INSERT … RETURNING with
// [One] is the way that works on all but MySQL proper. MariaDB has no
// UPDATE … RETURNING: update, then select.
func (db *DB) Exec(ctx context.Context, q query, args ...any) (sql.Result, error) {
	var result driver.Result
	err := db.run(ctx, q, args, func(ctx context.Context, conn dbconn.Conn, s *statement) (err error) {
		result, err = conn.ExecContext(ctx, s.text, s.args)
		return err
	})
	if err != nil {
		return nil, err
	}
	return result, nil
}

// compiled is a query that was read once for this database.
type compiled struct {
	*sqltext.Query
	plan atomic.Pointer[scan.Plan] // the one last used; most queries have only one
}

// maxQueries bounds the queries that a DB remembers. A program that builds
// more different ones than that reads some of them again.
const maxQueries = 4096

func (db *DB) compile(q query) (*compiled, error) {
	db.mu.RLock()
	known := db.queries[q]
	db.mu.RUnlock()
	if known != nil {
		return known, nil
	}
	read, err := sqltext.Parse(db.engine.dialect(), string(q))
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, clip(q))
	}
	known = &compiled{Query: read}
	db.mu.Lock()
	defer db.mu.Unlock()
	if len(db.queries) >= maxQueries {
		clear(db.queries)
	}
	db.queries[q] = known
	return known, nil
}

// planFor returns the plan for rows with these columns into values of type t.
func (c *compiled) planFor(t reflect.Type, columns []string) (*scan.Plan, error) {
	if plan := c.plan.Load(); plan != nil && plan.Fits(t, columns) {
		return plan, nil
	}
	plan, err := scan.NewPlan(t, columns)
	if err != nil {
		return nil, err
	}
	c.plan.Store(plan)
	return plan, nil
}

// statement is a query with its arguments, in the engine's form.
type statement struct {
	*compiled
	query query
	text  string
	args  []driver.NamedValue
}

func (db *DB) statement(q query, args []any) (*statement, error) {
	c, err := db.compile(q)
	if err != nil {
		return nil, err
	}
	text, values, err := bind.Args(c.Query, args)
	if errors.Is(err, bind.ErrText) {
		return nil, (&Error{Code: Invalid, Message: "Text must be valid UTF-8 without NUL bytes."}).Wrap(err)
	}
	if errors.Is(err, bind.ErrRange) {
		return nil, (&Error{Code: Invalid, Message: "A number or time is out of range."}).Wrap(err)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, clip(q))
	}
	return &statement{c, q, text, values}, nil
}

// rows runs a query and calls each for every row.
func (db *DB) rows(ctx context.Context, q query, args []any, t reflect.Type, each func(*scan.Plan, []driver.Value) error) error {
	return db.run(ctx, q, args, func(ctx context.Context, conn dbconn.Conn, s *statement) error {
		rows, err := conn.QueryContext(ctx, s.text, s.args)
		if err != nil {
			return err
		}
		plan, err := s.planFor(t, rows.Columns())
		if err != nil {
			rows.Close()
			return notFromDatabase{fmt.Errorf("%w: %s", err, clip(q))}
		}
		failed, err := dbconn.ReadAll(rows, func(row []driver.Value) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return each(plan, row)
		})
		if failed != nil {
			return db.failure(ctx, q, failed)
		}
		if err != nil && err == ctx.Err() {
			return db.failure(ctx, q, err)
		}
		if err != nil {
			return notFromDatabase{err}
		}
		return nil
	})
}

// notFromDatabase marks an error of the program inside a function that talks
// to the database: it says nothing about the connection or the transaction.
type notFromDatabase struct{ error }

// run gives a statement to f on the connection it belongs to: the
// transaction's if ctx is in one, else one from a pool. f may be called again
// if the connection turns out to have been dead before it began, or if the
// statement lost against another transaction.
func (db *DB) run(ctx context.Context, q query, args []any, f func(context.Context, dbconn.Conn, *statement) error) error {
	s, err := db.statement(q, args)
	if err != nil {
		return err
	}
	if s.Transaction() {
		// On a connection of the pool it would swallow other callers' statements.
		return fmt.Errorf("use DB.Tx for transactions and savepoints: %s", clip(q))
	}
	if scope := db.scope(ctx); scope != nil {
		return scope.run(ctx, s, f)
	}
	ctx, cancel := db.bound(ctx)
	defer cancel()
	for try := 1; ; try++ {
		failed := db.withConn(ctx, !s.Reads(), func(conn dbconn.Conn) error { return f(ctx, conn, s) })
		err := db.result(ctx, q, failed)
		// It is its own transaction, and may run again as that of DB.Tx may:
		// unless it has returned rows, whose error is made already.
		if err == nil || err == failed || !retryable(err) || try == txTries || !pause(ctx, try) {
			return err
		}
	}
}

func fromProgram(err error) bool {
	_, ok := errors.AsType[notFromDatabase](err)
	return ok
}

// result turns what f returned into what users get.
func (db *DB) result(ctx context.Context, q query, err error) error {
	if program, ok := errors.AsType[notFromDatabase](err); ok {
		return program.error
	}
	return db.failure(ctx, q, err)
}

// bound returns ctx with a deadline.
func (db *DB) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, db.config.Timeout)
}

// lease is a connection taken from a pool until release.
type lease struct {
	conn   *sql.Conn
	engine Engine
	writer chan struct{} // the queue to leave, or nil
}

// acquire waits for a connection, as long as ctx lives. SQLite's one writer is
// handed out in the order of asking.
func (db *DB) acquire(ctx context.Context, write bool) (*lease, error) {
	if !write || db.writer == nil {
		conn, err := db.conn(ctx, db.read)
		return &lease{conn: conn, engine: db.engine}, err
	}
	select {
	case db.writer <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for SQLite's writer (is a transaction open whose context was not passed on?): %w", ctx.Err())
	}
	conn, err := db.conn(ctx, db.write)
	if err != nil {
		<-db.writer
	}
	return &lease{conn: conn, engine: db.engine, writer: db.writer}, err
}

// conn takes a connection from a pool. Where that took too long because all
// were in use, the error says so.
func (db *DB) conn(ctx context.Context, pool *sql.DB) (*sql.Conn, error) {
	conn, err := pool.Conn(ctx)
	if err == nil || ctx.Err() == nil || !errors.Is(err, ctx.Err()) {
		return conn, err
	}
	if stats := pool.Stats(); stats.MaxOpenConnections > 0 && stats.InUse >= stats.MaxOpenConnections {
		err = fmt.Errorf("waiting for a connection while all %d were in use (DBConfig.MaxConns; is one held by Each, or by a transaction whose context was not passed on?): %w", stats.InUse, err)
	}
	return nil, err
}

func (l *lease) release() {
	l.conn.Close()
	if l.writer != nil {
		<-l.writer
	}
}

// discard closes the connection itself, so that it does not go back into the
// pool.
func (l *lease) discard() {
	l.conn.Raw(func(any) error { return driver.ErrBadConn })
}

// do calls f with the connection. One to PostgreSQL that was made elsewhere is
// closed after an error that the server did not report: lib/pq can lose its
// place in the stream without noticing. Our own connections look after
// themselves.
func (l *lease) do(f func(dbconn.Conn) error) error {
	distrusted := false
	err := l.conn.Raw(func(raw any) error {
		conn, err := dbconn.Of(raw)
		if err != nil {
			return notFromDatabase{err}
		}
		err = f(conn)
		distrusted = err != nil && l.engine == Postgres && dbconn.Foreign(conn) && !fromProgram(err) && !classify(err).Answered
		return err
	})
	if distrusted {
		l.discard()
	}
	return err
}

// badConns is how often a statement is tried on connections that were dead
// already. Pools look for dead connections when they hand one out, so that
// this is about those that die in between.
const badConns = 3

// withConn calls f with a connection from a pool.
func (db *DB) withConn(ctx context.Context, write bool, f func(dbconn.Conn) error) error {
	for try := 1; ; try++ {
		err := db.tryConn(ctx, write, f)
		// Not errors.Is: only the bare error says that nothing was sent.
		if err != driver.ErrBadConn || try == badConns || db.doubtful {
			return err
		}
	}
}

func (db *DB) tryConn(ctx context.Context, write bool, f func(dbconn.Conn) error) error {
	lease, err := db.acquire(ctx, write)
	if err != nil {
		return err
	}
	defer lease.release()
	return lease.do(f)
}

// buffers reports whether the rows of q are to be read before the first is
// handed out: because reading them would keep ctx from making other queries,
// or because q writes, of which the end tells whether it took effect.
func (db *DB) buffers(ctx context.Context, q query) bool {
	if db.scope(ctx) != nil || db.anchor != nil || db.read.Stats().MaxOpenConnections == 1 {
		return true
	}
	c, err := db.compile(q)
	return err == nil && !c.Reads()
}
