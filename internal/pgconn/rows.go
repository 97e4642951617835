package pgconn

import (
	"database/sql/driver"
	"io"
	"reflect"
	"time"
)

// pqRows has the methods of lib/pq's rows.
type pqRows interface {
	driver.RowsNextResultSet
	driver.RowsColumnTypeScanType
	driver.RowsColumnTypeDatabaseTypeName
	driver.RowsColumnTypeLength
	driver.RowsColumnTypePrecisionScale
}

var _ pqRows = (*Rows)(nil)

// Rows are the rows of one statement. The connection is busy with them until
// they were read to the end, failed or were closed. The bytes that Next returns
// are valid until its next call.
type Rows struct {
	conn  *Conn // nil once the rows have ended
	inner pqRows
	entry *entry
	err   error // what the rows ended with, other than their end
}

// Next reads one row into dest. It returns [io.EOF] after the last. When the
// statement's context ends, Next returns within 200 ms an error that wraps the
// context's.
func (r *Rows) Next(dest []driver.Value) error {
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
	case err == io.EOF && r.inner.HasNextResultSet():
		return io.EOF
	case err == io.EOF:
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
	stop := r.conn.interruptAfter(limit, ask)
	err := r.drain()
	stop()
	r.finish(err)
	return r.err
}

// Stop ends the rows of a statement that has no effect. Unlike Close it reads the rest for
// a moment only, outside of a transaction, and then asks the server to cancel the statement.
func (r *Rows) Stop() error {
	if r.conn == nil || r.conn.fired.Load() || r.conn.inTx {
		return r.Close()
	}
	stop := r.conn.interruptAfter(stopTimeout, true)
	err := r.drain()
	stop()
	r.finish(err)
	return r.err
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
	r.conn, c.rows = nil, nil
	if released := c.release(r.entry); err == nil {
		err = released
	}
	r.err = c.end(err, false)
}

// read and drain call lib/pq.

func (r *Rows) read(dest []driver.Value) (err error) {
	defer rescue(&err)
	return r.inner.Next(dest)
}

func (r *Rows) drain() (err error) {
	defer rescue(&err)
	return r.inner.Close()
}

// Columns returns the names of the columns.
func (r *Rows) Columns() []string { return r.inner.Columns() }

// HasNextResultSet reports whether another statement of the same text follows.
func (r *Rows) HasNextResultSet() bool { return r.conn != nil && r.inner.HasNextResultSet() }

// NextResultSet goes on to the next statement's rows, or returns [io.EOF].
func (r *Rows) NextResultSet() error {
	if r.conn == nil {
		return io.EOF
	}
	return r.inner.NextResultSet()
}

// ColumnTypeScanType returns a Go type for the column's values.
func (r *Rows) ColumnTypeScanType(i int) reflect.Type { return r.inner.ColumnTypeScanType(i) }

// ColumnTypeDatabaseTypeName returns the column's type as PostgreSQL calls it, in
// capitals.
func (r *Rows) ColumnTypeDatabaseTypeName(i int) string { return r.inner.ColumnTypeDatabaseTypeName(i) }

// ColumnTypeLength returns the length of a column of variable length.
func (r *Rows) ColumnTypeLength(i int) (int64, bool) { return r.inner.ColumnTypeLength(i) }

// ColumnTypePrecisionScale returns the precision and scale of a numeric column.
func (r *Rows) ColumnTypePrecisionScale(i int) (precision, scale int64, ok bool) {
	return r.inner.ColumnTypePrecisionScale(i)
}
