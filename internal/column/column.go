// Package column has the values of a row in a form that allocates nothing. A
// [database/sql/driver.Value] takes an allocation for nearly every number and text.
package column

import (
	"database/sql/driver"
	"slices"
	"time"
)

// Kind says which field of a [Value] is set.
type Kind uint8

const (
	Null  Kind = iota // none
	Int               // Int
	Float             // Float
	Bool              // Int is 1 for true and 0 for false
	Text              // Bytes, in UTF-8
	Blob              // Bytes
	Time              // Int is the microseconds since 1970 in UTC
	Boxed             // Boxed
)

// Value is the value of one column of one row. The zero Value is NULL.
type Value struct {
	Kind  Kind
	Int   int64
	Float float64
	// Bytes are valid until the next row is read, and must not be changed.
	Bytes []byte
	Boxed driver.Value
}

// Of returns the Value of a driver's value, which it does not copy.
func Of(value driver.Value) Value {
	switch v := value.(type) {
	case nil:
		return Value{}
	case int64:
		return Value{Kind: Int, Int: v}
	case float64:
		return Value{Kind: Float, Float: v}
	case []byte:
		if v != nil {
			return Value{Kind: Blob, Bytes: v}
		}
	}
	return Value{Kind: Boxed, Boxed: value}
}

// Driver returns the value as drivers return it: an int64, float64, bool, string, []byte,
// time.Time in UTC, nil, or what is boxed. Bytes are not copied.
func (v *Value) Driver() driver.Value {
	switch v.Kind {
	case Int:
		return v.Int
	case Float:
		return v.Float
	case Bool:
		return v.Int != 0
	case Text:
		return string(v.Bytes)
	case Blob:
		return v.Bytes
	case Time:
		return time.UnixMicro(v.Int).UTC()
	}
	return v.Boxed
}

// Rows are rows of a driver whose values need no boxes.
type Rows interface {
	driver.Rows
	// NextValues sets dest, which is as long as Columns, to the next row. It returns
	// io.EOF after the last row, and otherwise the errors of Next. The values are
	// valid until the rows are used again.
	NextValues(dest []Value) error
}

// Reader reads rows of any driver. It has memory for one row, which further rows, also of
// other columns, use again.
type Reader struct {
	row   []Value
	boxes []driver.Value
}

// Next returns the next row, which is valid until the Reader or the rows are used again, or
// the error of the rows: io.EOF after the last row. n is the number of columns.
func (r *Reader) Next(rows driver.Rows, n int) ([]Value, error) {
	r.row = slices.Grow(r.row[:0], n)[:n]
	if own, ok := rows.(Rows); ok {
		return r.row, own.NextValues(r.row)
	}
	r.boxes = slices.Grow(r.boxes[:0], n)[:n]
	if err := rows.Next(r.boxes); err != nil {
		return nil, err
	}
	for i, value := range r.boxes {
		r.row[i] = Of(value)
	}
	return r.row, nil
}

// Forget drops the values that were read.
func (r *Reader) Forget() {
	clear(r.row[:cap(r.row)])
	clear(r.boxes[:cap(r.boxes)])
}
