package backend

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"reflect"

	"github.com/seed-215b9b7c/backend/internal/bind"
	"github.com/seed-215b9b7c/backend/internal/dbconn"
	"github.com/seed-215b9b7c/backend/internal/scan"
	"github.com/seed-215b9b7c/backend/internal/sqltext"
	"github.com/seed-215b9b7c/backend/internal/statement"
)

// This file makes queries: what users call, and the one way all of them take
// to a connection. Their texts are in sql.go, connections in dbpool.go.

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
	err = db.rows(ctx, q, args, reflect.TypeFor[T](), func(s *statement.Statement, plan *scan.Plan, row []driver.Value) error {
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

// All runs a query and returns its rows, as [One] does with its one. No row is
// an empty slice that is not nil, so that it is [] in JSON.
func All[T any](ctx context.Context, db *DB, q query, args ...any) ([]T, error) {
	values := []T{}
	err := db.rows(ctx, q, args, reflect.TypeFor[T](), func(_ *statement.Statement, plan *scan.Plan, row []driver.Value) error {
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
		err := db.rows(ctx, q, args, reflect.TypeFor[T](), func(_ *statement.Statement, plan *scan.Plan, row []driver.Value) error {
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
	err := db.run(ctx, q, args, func(ctx context.Context, conn dbconn.Conn, s *statement.Statement) (err error) {
		result, err = conn.ExecContext(ctx, s.Text, s.Args)
		return err
	})
	if err != nil {
		return nil, err
	}
	return result, nil
}

// rows runs a query and calls each for every row.
func (db *DB) rows(ctx context.Context, q query, args []any, t reflect.Type, each func(*statement.Statement, *scan.Plan, []driver.Value) error) error {
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
		failed, err := dbconn.ReadAll(rows, func(row []driver.Value) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return each(s, plan, row)
		})
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
	if s.Transaction() {
		// On a connection of the pool it would swallow other callers' statements.
		return fmt.Errorf("use DB.Tx for transactions and savepoints: %s", sqltext.Clip(s.Query()))
	}
	if db.config.Observer != nil {
		return db.runObserved(ctx, s, work)
	}
	return db.runStatement(ctx, s, work)
}

func (db *DB) runObserved(ctx context.Context, s *statement.Statement, work work) (err error) {
	e := Event{Kind: StatementEvent, Query: s.Query()}
	if facts, ok := ctx.Value(factsKey{}).(describer); ok {
		facts.describe(&e)
	}
	begun := beginWork(nil)
	defer begun.end(&err)
	ctx = begun.observe(ctx, db.config.Observer, e)
	err = db.runStatement(ctx, s, work)
	begun.returned = true
	return err
}

// runStatement performs work on the connection that the statement belongs to: that
// of the transaction if ctx is in one, else one from a pool. It performs it again
// if the connection was dead before the statement was sent, or if the statement
// lost against another transaction.
func (db *DB) runStatement(ctx context.Context, s *statement.Statement, work work) error {
	if scope := db.scope(ctx); scope != nil {
		return scope.run(ctx, s, work)
	}
	ctx, cancel := db.bound(ctx)
	defer cancel()
	for try := 1; ; try++ {
		failed := db.withConn(ctx, !s.Reads(), func(conn dbconn.Conn) error { return work(ctx, conn, s) })
		err := db.result(ctx, s.Query(), failed)
		// It is its own transaction, and may run again as that of DB.Tx may:
		// unless it has returned rows, whose error is made already.
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
	return s, err
}

// buffers reports whether the rows of q are to be read before the first is
// handed out: because reading them would keep ctx from making other queries,
// or because q writes, of which the end tells whether it took effect.
func (db *DB) buffers(ctx context.Context, q query, args []any) bool {
	if db.scope(ctx) != nil || db.anchor != nil || db.read.Stats().MaxOpenConnections == 1 {
		return true
	}
	return !db.statements.Reads(string(q), pieces(args))
}

// Ping makes sure that the database answers, within ctx's deadline or
// DBConfig.Timeout, and that SQLite's file is still the one that was opened. Use
// it as a readiness check.
func (db *DB) Ping(ctx context.Context) error {
	if db.file != nil {
		now, err := os.Stat(db.path)
		if err == nil && !os.SameFile(db.file, now) {
			err = fmt.Errorf("%s is another file than the one that was opened; start the program again", db.path)
		}
		if err != nil {
			return (&Error{Code: Unavailable}).Wrap(err)
		}
	}
	_, err := One[int](ctx, db, "SELECT 1")
	return err
}
