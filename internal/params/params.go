// Package params parses fields from the text of paths, query strings, headers and
// cookies, as strictly as package jsonin decodes JSON: each value has one spelling.
package params

import (
	"encoding"
	"encoding/base64"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/seed-215b9b7c/backend/internal/english"
	"github.com/seed-215b9b7c/backend/internal/lazyre"
	"github.com/seed-215b9b7c/backend/internal/plan"
)

// Setter sets a field to the values of a parameter, at least one. Its error says what the
// value must be, without the value itself.
type Setter func(values []string, into reflect.Value) error

// Compile returns the setter for fields of type t. A scalar takes one value, and a slice
// of scalars any number. Other types cannot be parameters and are an error.
func Compile(t *plan.Type) (Setter, error) {
	switch t.Kind {
	case plan.Pointer:
		return through(t.Elem, func(v reflect.Value) reflect.Value {
			v.Set(reflect.New(v.Type().Elem()))
			return v.Elem()
		})
	case plan.Opt:
		return through(t.Elem, func(v reflect.Value) reflect.Value {
			v.Field(plan.OptPresent).SetBool(true)
			return v.Field(plan.OptValue)
		})
	case plan.Slice:
		return list(t)
	}
	set, err := scalar(t)
	if err != nil {
		return nil, err
	}
	return func(values []string, into reflect.Value) error {
		if len(values) > 1 {
			return errors.New("is given more than once")
		}
		return set(values[0], into)
	}, nil
}

func through(elem *plan.Type, enter func(reflect.Value) reflect.Value) (Setter, error) {
	set, err := Compile(elem)
	if err != nil {
		return nil, err
	}
	return func(values []string, into reflect.Value) error { return set(values, enter(into)) }, nil
}

func list(t *plan.Type) (Setter, error) {
	set, err := scalar(t.Elem)
	if err != nil {
		return nil, err
	}
	return func(values []string, into reflect.Value) error {
		into.Set(reflect.MakeSlice(t.Go, len(values), len(values)))
		for i, value := range values {
			if err := set(value, into.Index(i)); err != nil {
				return err
			}
		}
		return nil
	}, nil
}

// setOne sets a field to one value.
type setOne func(value string, into reflect.Value) error

func scalar(t *plan.Type) (setOne, error) {
	switch t.Kind {
	case plan.Bool:
		return setBool, nil
	case plan.Int, plan.Duration:
		return setInt, nil
	case plan.Uint:
		return setUint, nil
	case plan.Float:
		return setFloat(t.Bits), nil
	case plan.String:
		return setString, nil
	case plan.Bytes:
		return setBytes, nil
	case plan.Time:
		return setTime, nil
	case plan.Text:
		return setText, nil
	}
	return nil, fmt.Errorf("%s has no form as text in a path, query, header or cookie", english.A(t.Go))
}

func setBool(value string, into reflect.Value) error {
	if value != "true" && value != "false" {
		return errors.New("must be true or false")
	}
	into.SetBool(value == "true")
	return nil
}

func setInt(value string, into reflect.Value) error {
	n, err := strconv.ParseInt(value, 10, 64)
	switch {
	case errors.Is(err, strconv.ErrRange), err == nil && into.OverflowInt(n):
		return errors.New("is too large or too small")
	case err != nil, strconv.FormatInt(n, 10) != value:
		return errors.New("must be a whole number")
	}
	into.SetInt(n)
	return nil
}

func setUint(value string, into reflect.Value) error {
	n, err := strconv.ParseUint(value, 10, 64)
	switch {
	case errors.Is(err, strconv.ErrRange), err == nil && into.OverflowUint(n):
		return errors.New("is too large")
	case err != nil, strconv.FormatUint(n, 10) != value:
		return errors.New("must be a whole number that is not negative")
	}
	into.SetUint(n)
	return nil
}

// number matches the numbers of JSON (RFC 8259, section 6). ParseFloat also accepts .5,
// 5., 007 and Inf.
var number = lazyre.New(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?$`)

func setFloat(bits int) setOne {
	return func(value string, into reflect.Value) error {
		if !number().MatchString(value) {
			return errors.New("must be a number")
		}
		f, err := strconv.ParseFloat(value, bits)
		if err != nil {
			return errors.New("is too large or too small")
		}
		into.SetFloat(f)
		return nil
	}
}

func setString(value string, into reflect.Value) error {
	if !utf8.ValidString(value) || strings.IndexByte(value, 0) >= 0 {
		return errors.New("must be UTF-8 text without NUL")
	}
	into.SetString(value)
	return nil
}

// setBytes takes the alphabet that needs no escapes in URLs (RFC 4648, section
// 5), without padding.
func setBytes(value string, into reflect.Value) error {
	data, err := base64.RawURLEncoding.Strict().DecodeString(value)
	if err != nil || strings.ContainsAny(value, "\r\n") {
		return errors.New("must be base64url without padding")
	}
	into.SetBytes(data)
	return nil
}

func setTime(value string, into reflect.Value) error {
	t, err := plan.ParseTime(value)
	if err != nil {
		return errors.New("must be a time such as 2006-01-02T15:04:05Z")
	}
	into.Set(reflect.ValueOf(t))
	return nil
}

func setText(value string, into reflect.Value) error {
	if !utf8.ValidString(value) || strings.IndexByte(value, 0) >= 0 {
		return errors.New("must be UTF-8 text without NUL")
	}
	if err := into.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(value)); err != nil {
		return &textError{err}
	}
	return nil
}

// textError says that UnmarshalText of a type refused the text. The cause may hold the
// value, so the caller must not show it unless it knows that it may.
type textError struct{ cause error }

func (e *textError) Error() string { return "is not valid" }
func (e *textError) Unwrap() error { return e.cause }
