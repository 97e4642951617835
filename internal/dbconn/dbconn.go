// Package dbconn calls database connections directly, inside [database/sql.Conn.Raw].
// There database/sql starts no goroutine and copies no values. Every step of a
// transaction has a deadline, unlike Commit of database/sql.
package dbconn

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/seed-215b9b7c/backend/internal/column"
	"github.com/seed-215b9b7c/backend/internal/english"
)

// Conn is one connection. One goroutine uses it at a time. The caller must
// close the rows of a query before it uses the connection again.
type Conn interface {
	driver.QueryerContext
	driver.ExecerContext
	// StartTx begins a transaction with the engine's own words.
	StartTx(ctx context.Context, begin string) error
	// Commit commits. If the engine refused, the error is that of the engine. Any
	// other error means that the outcome is unknown.
	Commit(ctx context.Context) error
	// Rollback rolls back. After an error the connection must not be used.
	Rollback(ctx context.Context) error
}

// Of returns the connection of [database/sql.Conn.Raw] as a Conn. It wraps connections of
// other packages, from a pool made elsewhere.
func Of(raw any) (Conn, error) {
	switch c := raw.(type) {
	case Conn:
		return c, nil
	case driver.Conn:
		return foreign{c}, nil
	}
	return nil, fmt.Errorf("the driver's connection is %s, which is no driver.Conn", english.AType(raw))
}

// Foreign reports whether a connection is wrapped by Of.
func Foreign(c Conn) bool {
	_, ok := c.(foreign)
	return ok
}

// Valid reports whether a connection can be used again.
func Valid(raw any) bool {
	v, ok := raw.(driver.Validator)
	return !ok || v.IsValid()
}

// foreign is a connection of any database/sql driver.
type foreign struct{ driver.Conn }

// Unwrap returns the driver's own connection.
func (c foreign) Unwrap() driver.Conn { return c.Conn }

func (c foreign) QueryContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Rows, error) {
	if queryer, ok := c.Conn.(driver.QueryerContext); ok {
		rows, err := queryer.QueryContext(ctx, text, args)
		if !errors.Is(err, driver.ErrSkip) {
			return rows, err
		}
	}
	stmt, err := prepare(ctx, c.Conn, text)
	if err != nil {
		return nil, err
	}
	rows, err := queryStmt(ctx, stmt, args)
	if err != nil {
		stmt.Close()
		return nil, err
	}
	return &stmtRows{Rows: rows, done: stmt.Close}, nil
}

func (c foreign) ExecContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Result, error) {
	if execer, ok := c.Conn.(driver.ExecerContext); ok {
		result, err := execer.ExecContext(ctx, text, args)
		if !errors.Is(err, driver.ErrSkip) {
			return result, err
		}
	}
	stmt, err := prepare(ctx, c.Conn, text)
	if err != nil {
		return nil, err
	}
	defer stmt.Close()
	return execStmt(ctx, stmt, args)
}

func (c foreign) StartTx(ctx context.Context, begin string) error {
	_, err := c.ExecContext(ctx, begin, nil)
	return err
}

func (c foreign) Commit(ctx context.Context) error {
	_, err := c.ExecContext(ctx, "COMMIT", nil)
	return err
}

func (c foreign) Rollback(ctx context.Context) error {
	_, err := c.ExecContext(ctx, "ROLLBACK", nil)
	return err
}

func prepare(ctx context.Context, conn driver.Conn, text string) (driver.Stmt, error) {
	if preparer, ok := conn.(driver.ConnPrepareContext); ok {
		return preparer.PrepareContext(ctx, text)
	}
	return conn.Prepare(text)
}

func queryStmt(ctx context.Context, stmt driver.Stmt, args []driver.NamedValue) (driver.Rows, error) {
	if queryer, ok := stmt.(driver.StmtQueryContext); ok {
		return queryer.QueryContext(ctx, args)
	}
	//lint:ignore SA1019 some drivers have only this
	return stmt.Query(plainValues(args))
}

func execStmt(ctx context.Context, stmt driver.Stmt, args []driver.NamedValue) (driver.Result, error) {
	if execer, ok := stmt.(driver.StmtExecContext); ok {
		return execer.ExecContext(ctx, args)
	}
	//lint:ignore SA1019 some drivers have only this
	return stmt.Exec(plainValues(args))
}

func plainValues(args []driver.NamedValue) []driver.Value {
	values := make([]driver.Value, len(args))
	for i, arg := range args {
		values[i] = arg.Value
	}
	return values
}

// stmtRows are rows that release their statement when they are closed.
type stmtRows struct {
	driver.Rows
	done func() error // called once
}

func (r *stmtRows) Close() error {
	err := r.Rows.Close()
	if r.done != nil {
		err = errors.Join(err, r.done())
		r.done = nil
	}
	return err
}

// ReadAll calls each for every row of rows, and closes rows. The values are valid until
// each returns. If each returns an error, the reading ends; io.EOF ends it without an
// error.
//
// failed is the error of the database, and err that of each.
func ReadAll(rows driver.Rows, each func([]column.Value) error) (failed, err error) {
	defer func() {
		if closing := rows.Close(); failed == nil && err == nil {
			failed = closing
		}
	}()
	_, failed, err = read(rows, each)
	return failed, err
}

// ReadUntil is ReadAll for rows of a statement without an effect and outside of a
// transaction. If each ends the reading, or panics, the rest is not read for long: the
// statement is cancelled, or its connection closed.
func ReadUntil(conn Conn, rows driver.Rows, each func([]column.Value) error) (failed, err error) {
	ended := false
	defer func() {
		if !ended {
			stop(conn, rows)
		} else if closing := rows.Close(); failed == nil {
			failed = closing
		}
	}()
	ended, failed, err = read(rows, each)
	return failed, err
}

// readers has the memory of rows for the next query.
var readers = sync.Pool{New: func() any { return new(column.Reader) }}

// read calls each for every row. ended reports whether the rows have ended or failed.
func read(rows driver.Rows, each func([]column.Value) error) (ended bool, failed, err error) {
	reader := readers.Get().(*column.Reader)
	defer func() {
		reader.Forget()
		readers.Put(reader)
	}()
	columns := len(rows.Columns())
	for {
		var values []column.Value
		switch values, failed = reader.Next(rows, columns); {
		case failed == io.EOF:
			return true, nil, nil
		case failed != nil:
			return true, failed, nil
		}
		switch err = each(values); {
		case err == io.EOF:
			return false, nil, nil
		case err != nil:
			return false, nil, err
		}
	}
}

// stopTime is how long the rest of rows that nobody wants is read, which saves the
// connection.
const stopTime = 20 * time.Millisecond

// stopper is rows that can end without being read to the end.
type stopper interface{ Stop() error }

// stop ends rows before their end. The connection cannot be used afterwards if reading the
// rest takes too long.
func stop(on Conn, rows driver.Rows) {
	switch c := on.(type) {
	case *conn:
		c.stop(rows)
	case foreign:
		if !drain(rows, stopTime) {
			c.Conn.Close() // rows.Close then reads no more
		}
		rows.Close()
	default:
		if s, ok := rows.(stopper); ok {
			s.Stop()
			return
		}
		rows.Close()
	}
}

// drain reads rows for a while, and reports whether they have ended.
func drain(rows driver.Rows, limit time.Duration) bool {
	values, begun := make([]driver.Value, len(rows.Columns())), time.Now()
	for n := 0; ; n++ {
		if rows.Next(values) != nil {
			return true
		}
		if n%64 == 0 && time.Since(begun) > limit {
			return false
		}
	}
}
