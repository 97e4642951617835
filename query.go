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
	"slices"
	"unsafe"

	"github.com/seed-215b9b7c/backend/internal/bind"
	"github.com/seed-215b9b7c/backend/internal/column"
	"github.com/seed-215b9b7c/backend/internal/dbconn"
	"github.com/seed-215b9b7c/backend/internal/scan"
	"github.com/seed-215b9b7c/backend/internal/sqltext"
	"github.com/seed-215b9b7c/backend/internal/statement"
)

// This file runs queries: the functions that programs call, and the one path that
// all of them take to a connection. sql.go has the type of queries, dbpool.go the
// connections.

// One runs a query that finds exactly one row, and returns the row as a T. T is a
// struct or a scalar. The package documentation describes the query and its
// arguments under "Queries and arguments", and T under "Rows and Go types".
//
// If there is no row, the error is a [NotFound] *[Error] that wraps
// [sql.ErrNoRows]. More than one row is an error as well; a statement that writes
// has then written.
func One[T any](ctx context.Context, db *DB, q query, args ...any) (T, error) {
	value, found, err := first[T](ctx, db, q, args)
	if err == nil && !found {
		err = (&Error{Code: NotFound}).Wrap(sql.ErrNoRows)
	}
	return value, err
}

// Maybe is [One] for a row that may be missing. It returns nil and no error if
// there is none.
func Maybe[T any](ctx context.Context, db *DB, q query, args ...any) (*T, error) {
	value, found, err := first[T](ctx, db, q, args)
	if err != nil || !found {
		return nil, err
	}
	return &value, nil
}

func first[T any](ctx context.Context, db *DB, q query, args []any) (value T, found bool, err error) {
	err = db.rows(ctx, q, args, reflect.TypeFor[T](), someRows, func(s *statement.Statement, plan *scan.Plan, row []column.Value) error {
		if found {
			return fmt.Errorf("more than one row: %s", sqltext.Clip(s.Query()))
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

// All runs a query and returns all of its rows, each as [One] does. If there is no
// row, the slice is empty and not nil, so that it is [] in JSON.
func All[T any](ctx context.Context, db *DB, q query, args ...any) ([]T, error) {
	values := []T{}
	err := db.rows(ctx, q, args, reflect.TypeFor[T](), someRows, func(_ *statement.Statement, plan *scan.Plan, row []column.Value) error {
		values = extend(values)
		return plan.Row(reflect.ValueOf(&values[len(values)-1]).Elem(), row)
	})
	if err != nil {
		return nil, err
	}
	return values, nil
}

// extend appends a zero value. While the values are few, it makes room for four times as
// many, which takes fewer copies than append.
func extend[T any](values []T) []T {
	const little = 4 << 10 // bytes
	var zero T
	switch n, size := len(values), max(1, unsafe.Sizeof(zero)); {
	case n < cap(values):
	case n == 0:
		values = slices.Grow(values, int(max(1, min(4, little/4/size))))
	case uintptr(n)*size <= little:
		values = slices.Grow(values, 3*n)
	}
	return append(values, zero)
}

// Each runs a query and yields its rows one by one, for results that do not fit in
// memory. It yields an error last, with a zero value:
//
//	for note, err := range backend.Each[Note](ctx, db, "SELECT * FROM notes") {
//		if err != nil {
//			return err
//		}
//		…
//	}
//
// A loop that ends early, in whatever way, reads the rest for a moment only: then the
// statement is cancelled on PostgreSQL, and the connection is closed on MySQL. The rest is
// read to its end in the cases below, and if the query calls a function that may have an
// effect. The same holds for the rows after the second one of [One] and [Maybe]; inside
// [DB.Tx] they are all read, until the deadline, so that the transaction survives.
//
// The loop holds a connection, and the deadline covers the whole loop. Each reads
// all rows before it yields the first in three cases, so that the loop can run
// other queries and that no error is lost if it ends early:
//
//   - inside [DB.Tx],
//   - if the database has a single connection, as SQLite in memory has,
//   - for a statement that writes.
func Each[T any](ctx context.Context, db *DB, q query, args ...any) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var zero T
		if db.buffers(ctx, q, args) {
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
		err := db.rows(ctx, q, args, reflect.TypeFor[T](), everyRow, func(_ *statement.Statement, plan *scan.Plan, row []column.Value) error {
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

// Exec runs a statement and discards the rows that it returns, if any. Its arguments are
// those of [One]. A statement that begins or ends a transaction is an error; use
// [DB.Tx].
//
// RowsAffected of the result counts the rows that matched, on every engine.
// LastInsertId works on SQLite and MySQL only, and on MySQL not for a statement that
// returns rows. INSERT … RETURNING with [One] works
// on all engines but MySQL proper. MariaDB has no UPDATE … RETURNING: update,
// then select.
func (db *DB) Exec(ctx context.Context, q query, args ...any) (sql.Result, error) {
	var result driver.Result
	err := db.run(ctx, q, args, func(ctx context.Context, conn dbconn.Conn, s *statement.Statement) (err error) {
		if db.engine == MySQL && s.Returns() {
			result, err = db.discard(ctx, conn, s)
			return err
		}
		result, err = conn.ExecContext(ctx, s.Text, s.Args)
		return err
	})
	if err != nil {
		return nil, err
	}
	return result, nil
}

// discard runs a statement that returns rows, and reads them all. The MySQL driver's
// own Exec waits for ever for packets that the server has no reason to send.
func (db *DB) discard(ctx context.Context, conn dbconn.Conn, s *statement.Statement) (driver.Result, error) {
	rows, err := conn.QueryContext(ctx, s.Text, s.Args)
	if err != nil {
		return nil, err
	}
	columns, n := len(rows.Columns()), int64(0)
	failed, err := dbconn.ReadAll(rows, func([]column.Value) error {
		n++
		return ctx.Err()
	})
	if err := errors.Join(failed, err); err != nil {
		return nil, db.failure(ctx, s.Query(), err)
	}
	if columns == 0 { // such as SELECT … INTO @variable
		return driver.ResultNoRows, nil
	}
	return driver.RowsAffected(n), nil
}

// A query looks at its context before every row, if the program runs between the rows, or
// before some of them. The first row is always one of them.
const (
	everyRow = 1
	someRows = 16
)

// looksAt returns how often the context is looked at. The rows of our own drivers end with
// it by themselves.
func looksAt(rows driver.Rows) int {
	if _, own := rows.(column.Rows); own {
		return someRows
	}
	return everyRow
}

// rows runs a query and calls each for every row. looks says how many rows there are for
// each look at the context, at most.
func (db *DB) rows(ctx context.Context, q query, args []any, t reflect.Type, looks int, each func(*statement.Statement, *scan.Plan, []column.Value) error) error {
	return db.run(ctx, q, args, func(ctx context.Context, conn dbconn.Conn, s *statement.Statement) error {
		rows, err := conn.QueryContext(ctx, s.Text, s.Args)
		if err != nil {
			return err
		}
		plan, err := s.PlanFor(t, rows.Columns())
		if err != nil {
			rows.Close()
			return notFromDatabase{fmt.Errorf("%w: %s", err, sqltext.Clip(s.Query()))}
		}
		looks := min(looks, looksAt(rows))
		n := 0
		next := func(row []column.Value) error {
			if n%looks == 0 {
				if err := ctx.Err(); err != nil {
					return err
				}
			}
			n++
			return each(s, plan, row)
		}
		var failed error
		if s.Repeats() && db.scope(ctx) == nil {
			failed, err = dbconn.ReadUntil(conn, rows, next)
		} else {
			failed, err = dbconn.ReadAll(rows, next)
		}
		if failed != nil && n == 0 && s.Repeats() && lost(failed) {
			return failed
		}
		if failed != nil {
			return db.failure(ctx, s.Query(), failed)
		}
		if err != nil && err == ctx.Err() {
			return db.failure(ctx, s.Query(), err)
		}
		if err != nil {
			return notFromDatabase{err}
		}
		return nil
	})
}

// run performs work with a statement. It is one event for the Observer.
func (db *DB) run(ctx context.Context, q query, args []any, work work) error {
	s, err := db.statement(q, args)
	if err != nil {
		return err
	}
	if err := db.mayRun(s); err != nil {
		return err
	}
	if db.config.Observer != nil {
		return db.runObserved(ctx, s, work)
	}
	return db.runStatement(ctx, s, work)
}

// mayRun returns an error for a statement that programs cannot run.
func (db *DB) mayRun(s *statement.Statement) error {
	if s.Transaction() {
		// The connection would go back to the pool inside the transaction, and the
		// statements of other callers would be part of it.
		return fmt.Errorf("use DB.Tx for transactions and savepoints: %s", sqltext.Clip(s.Query()))
	}
	if db.config.Pooler && s.Session() == sqltext.SessionChanged {
		return fmt.Errorf("DBConfig.Pooler is set, and the statement changes a session that other programs use, too; within DB.Tx use what ends with the transaction: SET LOCAL, set_config(…, TRUE), pg_advisory_xact_lock, tables with a name of their own: %s", sqltext.Clip(s.Query()))
	}
	return nil
}

// statementEvent returns the event of a statement.
func statementEvent(ctx context.Context, s *statement.Statement) Event {
	e := Event{Kind: StatementEvent, Query: s.Query()}
	if facts, ok := ctx.Value(describerKey{}).(describer); ok {
		facts.describe(&e)
	}
	return e
}

func (db *DB) runObserved(ctx context.Context, s *statement.Statement, work work) (err error) {
	begun := beginWork(nil)
	defer begun.end(&err)
	ctx = begun.observe(ctx, db.config.Observer, statementEvent(ctx, s))
	err = db.runStatement(ctx, s, work)
	begun.returned = true
	return err
}

// runStatement performs work on the connection that the statement belongs to: that
// of the transaction if ctx is in one, else one from a pool. It performs it again
// if the connection was lost, see onConn, or if the statement lost against another
// transaction.
func (db *DB) runStatement(ctx context.Context, s *statement.Statement, work work) error {
	if scope := db.scope(ctx); scope != nil {
		return scope.run(ctx, s, work)
	}
	ctx, cancel := db.bound(ctx)
	defer cancel()
	for try := 1; ; try++ {
		failed := db.onConn(ctx, s, work)
		err := db.result(ctx, s.Query(), failed)
		// The statement is a transaction of its own, and runs again as that of DB.Tx
		// does. An error after the first row is complete already, and is returned.
		if err == nil || err == failed || !retryable(err) || try == txTries || !pause(ctx, try) {
			return err
		}
	}
}

// statement returns a query with its arguments in the engine's form.
func (db *DB) statement(q query, args []any) (*statement.Statement, error) {
	s, err := db.statements.Statement(string(q), pieces(args))
	if errors.Is(err, bind.ErrText) {
		return nil, (&Error{Code: Invalid, Message: "Text must be valid UTF-8 without NUL bytes."}).Wrap(err)
	}
	if errors.Is(err, bind.ErrRange) {
		return nil, (&Error{Code: Invalid, Message: "A number or time is out of range."}).Wrap(err)
	}
	if errors.Is(err, bind.ErrLong) {
		return nil, (&Error{Code: Invalid, Message: "A list is too long."}).Wrap(err)
	}
	return s, err
}

// buffers reports whether all rows of q must be read before the first is yielded.
// They must if open rows would keep ctx from running other queries, or if q
// writes: only the end of its rows tells whether it took effect.
func (db *DB) buffers(ctx context.Context, q query, args []any) bool {
	if db.scope(ctx) != nil || db.anchor != (rawConn{}) || db.readers != nil && db.readers.Places() == 1 {
		return true
	}
	return !db.statements.Reads(string(q), pieces(args))
}

// Ping checks that the database answers within the deadline of ctx or
// DBConfig.Timeout. For SQLite, it also checks that the file, and the write-ahead log beside
// it, are still those that were opened. Use it as a readiness check.
//
// What SQLite writes into a file that was removed or replaced is lost. Statements and
// transactions that write check that, too, and fail with [Unavailable] until the file is
// back or the program is restarted. If it happens during a commit, the error wraps
// [ErrCommitUnknown].
func (db *DB) Ping(ctx context.Context) error {
	if err := db.sameFile(); err != nil {
		return err
	}
	text := query("SELECT 1")
	if db.file != nil {
		text = "SELECT count(*) FROM sqlite_schema" // opens the file and the log
	}
	return db.run(ctx, text, nil, func(ctx context.Context, conn dbconn.Conn, s *statement.Statement) error {
		rows, err := conn.QueryContext(ctx, s.Text, nil)
		if err != nil {
			return err
		}
		if failed, err := dbconn.ReadAll(rows, func([]column.Value) error { return nil }); failed != nil || err != nil {
			return errors.Join(failed, err)
		}
		return db.intact(conn, true)
	})
}
