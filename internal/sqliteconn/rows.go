package sqliteconn

import (
	"bytes"
	"context"
	"database/sql/driver"
	"fmt"
	"io"
	"math"
	"reflect"
	"strings"
	"time"

	sqlite3 "modernc.org/sqlite/lib"

	"github.com/seed-215b9b7c/backend/internal/column"
	"github.com/seed-215b9b7c/backend/internal/stamp"
)

// rows are the rows of a query. They must be closed.
type rows struct {
	statement *statement // nil when they are closed
	ctx       context.Context
	columns   []string
	values    []column.Value // of Next
	state     state
}

type state uint8

const (
	running state = iota // the current row was read
	stepped              // SQLite is at a row that was not read yet
	ended                // there are no more rows
	failed               // SQLite has reported an error
)

var _ column.Rows = (*rows)(nil)

// Columns returns the names of the columns, which must not be changed.
func (r *rows) Columns() []string { return r.columns }

// Close ends the query. SQLite does not compute the rest of the rows. The error is that of the
// commit of a statement that writes, which then had no effect.
func (r *rows) Close() error {
	s := r.statement
	r.statement = nil
	if s == nil || s.handle == 0 {
		return nil
	}
	if err := s.reset(); r.state != failed {
		return err
	}
	return nil
}

// next goes to the next row.
func (r *rows) next(dest int) error {
	s := r.statement
	switch {
	case s == nil || r.state == ended:
		return io.EOF
	case s.handle == 0: // the connection was closed
		return driver.ErrBadConn
	case dest != len(r.columns):
		return fmt.Errorf("sqlite: a row of %d columns was read into %d values", len(r.columns), dest)
	case r.state == stepped:
		r.state = running
		return nil
	case r.state == failed:
		return io.EOF
	}
	row, err := s.step(r.ctx)
	switch {
	case err != nil:
		r.state = failed
		return err
	case !row:
		r.state = ended
		return io.EOF
	}
	return nil
}

// NextValues sets dest to the next row. Text and bytes are in SQLite's memory.
func (r *rows) NextValues(dest []column.Value) error {
	if err := r.next(len(dest)); err != nil {
		return err
	}
	r.read(dest)
	return nil
}

// read sets dest to the current row.
func (r *rows) read(dest []column.Value) {
	s := r.statement
	tls := s.conn.tls
	for i := range dest {
		value := sqlite3.Xsqlite3_column_value(tls, s.handle, int32(i))
		switch sqlite3.Xsqlite3_value_type(tls, value) {
		case sqlite3.SQLITE_INTEGER:
			dest[i] = column.Value{Kind: column.Int, Int: sqlite3.Xsqlite3_value_int64(tls, value)}
		case sqlite3.SQLITE_FLOAT:
			dest[i] = column.Value{Kind: column.Float, Float: sqlite3.Xsqlite3_value_double(tls, value)}
		case sqlite3.SQLITE_TEXT:
			dest[i] = s.text(i, value)
		case sqlite3.SQLITE_BLOB:
			blob := sqlite3.Xsqlite3_value_blob(tls, value)
			dest[i] = column.Value{Kind: column.Blob, Bytes: bytesAt(blob, int(sqlite3.Xsqlite3_value_bytes(tls, value)))}
		default:
			dest[i] = column.Value{}
		}
	}
}

// text returns the value of column i, which is a text, or a time if the column is declared as
// one.
func (s *statement) text(i int, value uintptr) column.Value {
	tls := s.conn.tls
	address := sqlite3.Xsqlite3_value_text(tls, value) // before value_bytes: it may convert the text
	text := bytesAt(address, int(sqlite3.Xsqlite3_value_bytes(tls, value)))
	if s.times[i] {
		switch at, ok := parse(text); {
		case !ok:
		case at.Nanosecond()%1000 == 0:
			return column.Value{Kind: column.Time, Int: at.UnixMicro()}
		default:
			return column.Value{Kind: column.Boxed, Boxed: at}
		}
	}
	return column.Value{Kind: column.Text, Bytes: text}
}

// Next sets dest to the next row, in memory of Go.
func (r *rows) Next(dest []driver.Value) error {
	if r.values == nil {
		r.values = make([]column.Value, len(r.columns))
	}
	if err := r.next(len(dest)); err != nil {
		return err
	}
	r.read(r.values)
	for i := range dest {
		if dest[i] = r.values[i].Driver(); r.values[i].Kind == column.Blob {
			dest[i] = bytes.Clone(r.values[i].Bytes)
		}
	}
	return nil
}

// timeLayouts are the forms of a time in a column that is declared as DATE, DATETIME or
// TIMESTAMP: those of SQLite's functions, with any fraction of a second, and that of
// [time.Time.String]. A time without a zone is in UTC.
var timeLayouts = []string{
	"2006-01-02",
	"2006-01-02 15:04:05-07:00",
	"2006-01-02T15:04:05-07:00",
	"2006-01-02 15:04:05",
	"2006-01-02T15:04:05",
	"2006-01-02 15:04",
	"2006-01-02T15:04",
}

// parse returns the time of a text, in UTC. Other texts stay as they are.
func parse(text []byte) (time.Time, bool) {
	if at, ok := stamp.Parse(text); ok {
		return at, true
	}
	if len(text) < len("2006-01-02") {
		return time.Time{}, false
	}
	whole := string(text)
	plain := strings.TrimSuffix(whole, "Z")
	for _, layout := range timeLayouts {
		if at, err := time.Parse(layout, plain); err == nil {
			return at.UTC(), true
		}
	}
	if monotonic := strings.Index(whole, "m="); monotonic > 0 {
		whole = whole[:monotonic]
	}
	at, err := time.Parse("2006-01-02 15:04:05.999999999 -0700 MST", strings.TrimSpace(whole))
	return at.UTC(), err == nil
}

// columnType returns SQLite's type of column i of the current row.
func (r *rows) columnType(i int) int32 {
	if r.statement == nil || r.statement.handle == 0 {
		return sqlite3.SQLITE_NULL
	}
	return sqlite3.Xsqlite3_column_type(r.statement.conn.tls, r.statement.handle, int32(i))
}

// ColumnTypeDatabaseTypeName returns the declared type of a column, in upper case. It is empty
// for an expression.
func (r *rows) ColumnTypeDatabaseTypeName(i int) string {
	if r.statement == nil {
		return ""
	}
	return r.statement.types[i]
}

// ColumnTypeLength says that texts and blobs may have any length.
func (r *rows) ColumnTypeLength(i int) (int64, bool) {
	if kind := r.columnType(i); kind == sqlite3.SQLITE_TEXT || kind == sqlite3.SQLITE_BLOB {
		return math.MaxInt64, true
	}
	return 0, false
}

// ColumnTypeNullable says that every column may be NULL.
func (r *rows) ColumnTypeNullable(int) (nullable, ok bool) { return true, true }

// ColumnTypeScanType returns the type of the value in the first row, since any value may be
// in any column.
func (r *rows) ColumnTypeScanType(i int) reflect.Type {
	switch r.columnType(i) {
	case sqlite3.SQLITE_INTEGER:
		switch r.ColumnTypeDatabaseTypeName(i) {
		case "BOOLEAN":
			return reflect.TypeFor[bool]()
		case "DATE", "DATETIME", "TIME", "TIMESTAMP":
			return reflect.TypeFor[time.Time]()
		}
		return reflect.TypeFor[int64]()
	case sqlite3.SQLITE_FLOAT:
		return reflect.TypeFor[float64]()
	case sqlite3.SQLITE_BLOB:
		return reflect.TypeFor[[]byte]()
	case sqlite3.SQLITE_TEXT:
		return reflect.TypeFor[string]()
	}
	return nil
}
