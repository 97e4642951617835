package backend

import (
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/seed-215b9b7c/backend/internal/bind"
	"github.com/seed-215b9b7c/backend/internal/english"
	"github.com/seed-215b9b7c/backend/internal/scan"
)

// This file has types for the fields of inputs and outputs.

// ID is an integer key. It is a string in JSON, because JavaScript cannot hold
// integers over 2^53 exactly, and an integer in the database.
type ID int64

// String returns the decimal form.
func (id ID) String() string { return strconv.FormatInt(int64(id), 10) }

// MarshalText writes the decimal form.
func (id ID) MarshalText() ([]byte, error) { return strconv.AppendInt(nil, int64(id), 10), nil }

// UnmarshalText reads the decimal form. It accepts only what MarshalText writes, so
// that an ID has one spelling.
func (id *ID) UnmarshalText(text []byte) error {
	n, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil || strconv.FormatInt(n, 10) != string(text) {
		return errors.New("is not an id")
	}
	*id = ID(n)
	return nil
}

// Value returns the id as an integer, for a query.
func (id ID) Value() (driver.Value, error) { return int64(id), nil }

// Scan reads the id from an integer column, or from a text column that holds an
// integer.
func (id *ID) Scan(src any) error {
	switch v := src.(type) {
	case int64:
		*id = ID(v)
		return nil
	case string:
		return id.UnmarshalText([]byte(v))
	case []byte:
		return id.UnmarshalText(v)
	}
	return fmt.Errorf("%s is not a backend.ID", english.AType(src))
}

// Opt is a field of an input that is absent, null or a value. It is for updates
// that name only what changes (RFC 7396): an absent field leaves a value as it is, and
// null removes it. The zero Opt is absent. As an argument of a query, an Opt is its
// value, or NULL if it has none:
//
//	if in.Phone.Present {
//		changes = append(changes, backend.SQL("phone = ?", in.Phone))
//	}
//	…
//	_, err := db.Exec(ctx, "UPDATE people SET ? WHERE id = ?", backend.JoinSQL(", ", changes...), in.ID)
//
// For a value that can be left out but not removed, use a plain field with
// json:"name,omitempty", which refuses null. If the zero value must differ from an
// absent one, use an Opt with validate:"omitempty,notnull".
type Opt[T any] struct {
	V       T    // the zero value unless Present and not Null
	Present bool // the input has the field
	Null    bool // the input has the field, and it is null
}

// Some returns an Opt that is present with a value.
func Some[T any](value T) Opt[T] { return Opt[T]{V: value, Present: true} }

// Or returns the value, or otherwise if the Opt is absent or null.
func (o Opt[T]) Or(otherwise T) T {
	if o.Present && !o.Null {
		return o.V
	}
	return otherwise
}

// IsZero reports whether the Opt is absent, for the json option omitzero.
func (o Opt[T]) IsZero() bool { return !o.Present }

// Value returns the value as it is stored for a T, or NULL if there is none.
func (o Opt[T]) Value() (driver.Value, error) {
	if !o.Present || o.Null {
		return nil, nil
	}
	return bind.Value(&o.V)
}

// Scan reads a column into V as it is read into a T. A NULL sets Null. Scan sets
// Present.
func (o *Opt[T]) Scan(src any) error {
	*o = Opt[T]{Present: true, Null: src == nil}
	if o.Null {
		return nil
	}
	return scan.Into(&o.V, src)
}

// MarshalJSON writes the value, or null.
func (o Opt[T]) MarshalJSON() ([]byte, error) {
	if !o.Present || o.Null {
		return []byte("null"), nil
	}
	return json.Marshal(&o.V) // the type may have MarshalJSON on its pointer
}

// UnmarshalJSON reads a value or null; either is present.
func (o *Opt[T]) UnmarshalJSON(text []byte) error {
	*o = Opt[T]{Present: true, Null: string(text) == "null"}
	if o.Null {
		return nil
	}
	return json.Unmarshal(text, &o.V)
}

// None is the input of an operation without input, or the output of an operation
// without output. Over REST a request with such an input has no body, and a response
// with such an output has the status 204. As JSON it is {}.
type None struct{}
