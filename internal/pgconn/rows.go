package pgconn

import (
	"database/sql/driver"
	"io"
	"reflect"
	"slices"
	"time"

	"github.com/lib/pq/oid"

	"github.com/seed-215b9b7c/backend/internal/column"
)

var _ interface {
	column.Rows
	driver.RowsNextResultSet
	driver.RowsColumnTypeScanType
	driver.RowsColumnTypeDatabaseTypeName
	driver.RowsColumnTypeLength
	driver.RowsColumnTypePrecisionScale
} = (*Rows)(nil)

// Rows are the rows of one statement. The connection is busy with them until
// they were read to the end, failed or were closed. The bytes that Next returns
// are valid until its next call.
type Rows struct {
	conn    *Conn // nil once the rows have ended
	columns *columns
	next    *columns // of the next statement of the same text
	entry   *entry
	ended   bool  // the last row was read: of a batch's statement, or the server is ready
	part    bool  // the statement is one of a batch, which ends the operation
	err     error // what the rows ended with, other than their end
	failed  error // the error of a batch's statement that ends its exchange
}

// Next reads one row into dest. It returns [io.EOF] after the last. When the
// statement's context ends, Next returns within 200 ms an error that wraps the
// context's.
func (r *Rows) Next(dest []driver.Value) error {
	if r.conn == nil {
		return r.NextValues(nil)
	}
	c := r.conn
	n := len(r.columns.types)
	c.row = slices.Grow(c.row[:0], n)[:n]
	defer clear(c.row)
	if err := r.NextValues(c.row); err != nil {
		return err
	}
	for i := range min(n, len(dest)) {
		dest[i] = r.columns.types[i].box(&c.row[i], c.location)
	}
	return nil
}

// NextValues is Next for values without boxes. The times of a [column.Value] are in UTC.
func (r *Rows) NextValues(dest []column.Value) error {
	if r.conn == nil {
		if r.err != nil {
			return r.err
		}
		return io.EOF
	}
	if r.conn.fired.Load() {
		return r.abandon()
	}
	err := r.read(dest)
	switch {
	case err == nil:
		return nil
	case err == io.EOF && r.next != nil:
		return io.EOF
	case err == io.EOF && r.ended:
		err = nil
	}
	if r.finish(err); r.err != nil {
		return r.err
	}
	return io.EOF
}

// Close ends the rows. It reads the rest of them, because the connection can do nothing
// else before that, and because a statement such as INSERT … RETURNING takes effect only
// at its end. If that takes longer than 1 s (10 s inside a transaction), or if the
// context ends, the statement is stopped and Close returns an error: [ErrRowsUnread], or
// that of the context.
func (r *Rows) Close() error {
	switch {
	case r.conn == nil:
		return nil
	case r.conn.fired.Load():
		return r.abandon()
	}
	limit, ask := drainTimeout, true
	if r.conn.inTransaction() {
		limit, ask = drainTxTimeout, false // to cancel is to fail the transaction
	}
	r.stop(limit, ask)
	return r.err
}

// Stop ends the rows of a statement that has no effect. Unlike Close it reads the rest for
// a moment only, outside of a transaction, and then asks the server to cancel the statement.
func (r *Rows) Stop() error {
	if r.conn == nil || r.conn.fired.Load() || r.conn.inTx {
		return r.Close()
	}
	r.stop(stopTimeout, true)
	return r.err
}

// stop reads the rest of the rows for at most a time.
func (r *Rows) stop(limit time.Duration, ask bool) {
	stop := r.conn.interruptAfter(limit, ask)
	err := r.drain()
	stop()
	r.finish(err)
}

// abandon ends rows whose context has ended. The server, which was asked to cancel, gets
// a short time to confirm that. It begins now, since the reader of the rows may have done
// other work for a while.
func (r *Rows) abandon() error {
	r.conn.wire.deadline(time.Now().Add(grace))
	reason := r.conn.ctx.Err()
	r.finish(r.drain())
	if r.err == nil && reason != nil {
		r.err = reason // the last rows came in before the request to cancel
	}
	return r.err
}

// finish frees the connection for the next statement.
func (r *Rows) finish(err error) {
	c := r.conn
	if r.conn, r.next = nil, nil; r.part {
		r.err, r.failed = err, err
		return
	}
	c.rows = nil
	if released := c.release(r.entry); err == nil {
		err = released
	}
	r.err = c.end(err, false)
}

// read reads one row, or [io.EOF] at the end of a statement: of the last if the server is
// ready then.
func (r *Rows) read(dest []column.Value) error {
	if r.ended || r.next != nil {
		return io.EOF
	}
	c := r.conn
	for {
		kind, body, err := c.receive()
		if err != nil {
			return unexpectedEnd(err)
		}
		if kind == 'D' {
			return r.columns.decodeRow(dest, body, c.location)
		}
		if err := r.other(kind, body); err != nil || r.ended || r.next != nil {
			if err == nil {
				err = io.EOF
			}
			return err
		}
	}
}

// drain reads the rest of the rows.
func (r *Rows) drain() error {
	for !r.ended {
		kind, body, err := r.conn.receive()
		if err != nil {
			return unexpectedEnd(err)
		}
		if kind == 'D' {
			continue
		}
		if err := r.other(kind, body); err != nil {
			return err
		}
	}
	return nil
}

// other reads a message that is no row.
func (r *Rows) other(kind byte, body []byte) (err error) {
	switch kind {
	case 'C', 'I':
		r.ended = r.part
		return nil
	case 'T':
		if r.entry == nil && !r.part {
			r.next, err = readColumns(body)
			return err
		}
	case 'Z':
		if !r.part {
			r.ended = true
			return r.conn.setReady(body)
		}
	}
	return r.conn.failed(kind, body, "")
}

// unexpectedEnd returns err, which is not the end of the rows.
func unexpectedEnd(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Columns returns the names of the columns, which must not be changed.
func (r *Rows) Columns() []string { return r.columns.names }

// HasNextResultSet reports whether another statement of the same text follows.
func (r *Rows) HasNextResultSet() bool { return r.conn != nil && r.next != nil }

// NextResultSet goes on to the next statement's rows, or returns [io.EOF].
func (r *Rows) NextResultSet() error {
	if r.conn == nil || r.next == nil {
		return io.EOF
	}
	r.columns, r.next = r.next, nil
	return nil
}

// ColumnTypeScanType returns a Go type for the column's values.
func (r *Rows) ColumnTypeScanType(i int) reflect.Type { return r.columns.types[i].scanType() }

// ColumnTypeDatabaseTypeName returns the column's type as PostgreSQL calls it, in
// capitals.
func (r *Rows) ColumnTypeDatabaseTypeName(i int) string { return oid.TypeName[r.columns.types[i].oid] }

// ColumnTypeLength returns the length of a column of variable length.
func (r *Rows) ColumnTypeLength(i int) (int64, bool) { return r.columns.types[i].size() }

// ColumnTypePrecisionScale returns the precision and scale of a numeric column.
func (r *Rows) ColumnTypePrecisionScale(i int) (precision, scale int64, ok bool) {
	return r.columns.types[i].precision()
}
