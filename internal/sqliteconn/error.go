package sqliteconn

import (
	"context"
	"errors"
	"fmt"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// Error is an error that SQLite reported.
type Error struct {
	code    int32
	message string
}

// Error returns SQLite's message, and the code in parentheses.
func (e *Error) Error() string { return e.message }

// Code returns the extended result code: https://www.sqlite.org/rescode.html.
func (e *Error) Code() int { return int(e.code) }

// newError returns the error for the result code of a call. db is the connection's handle,
// which has the message, or 0.
func newError(tls *libc.TLS, db uintptr, code int32) *Error {
	message := libc.GoString(sqlite3.Xsqlite3_errstr(tls, code))
	if db != 0 {
		if more := libc.GoString(sqlite3.Xsqlite3_errmsg(tls, db)); more != message {
			message += ": " + more
		}
	}
	message = fmt.Sprintf("%s (%d)", message, code)
	if code == sqlite3.SQLITE_BUSY {
		message += " (SQLITE_BUSY)"
	}
	return &Error{code: code, message: message}
}

// failure returns the error for the result code of a call under ctx. It is the error of
// ctx if that ended the call.
func (c *Conn) failure(ctx context.Context, code int32) error {
	err := newError(c.tls, c.db, code)
	if ctx.Err() == nil {
		return err
	}
	switch code & 0xff {
	case sqlite3.SQLITE_INTERRUPT:
		return ctx.Err()
	case sqlite3.SQLITE_BUSY:
		return errors.Join(ctx.Err(), err)
	}
	return err
}
