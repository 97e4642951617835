package scan

import (
	"bytes"
	"database/sql"
	"database/sql/driver"
	"encoding"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/seed-215b9b7c/backend/internal/column"
	"github.com/seed-215b9b7c/backend/internal/english"
	"github.com/seed-215b9b7c/backend/internal/stamp"
)

// setter stores the value of a column in dst, which is settable.
type setter func(dst reflect.Value, src *column.Value) error

// boxed returns the setter for a function that takes the values of drivers.
func boxed(set func(dst reflect.Value, src driver.Value) error) setter {
	return func(dst reflect.Value, src *column.Value) error { return set(dst, src.Driver()) }
}

var (
	scannerType     = reflect.TypeFor[sql.Scanner]()
	unmarshalerType = reflect.TypeFor[encoding.TextUnmarshaler]()
	oldNullTimeType = reflect.TypeFor[sql.NullTime]()
	rawType         = reflect.TypeFor[json.RawMessage]()
)

// isRow reports whether t is a struct whose fields are columns. A struct that converts
// itself is not.
func isRow(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && !stamp.Is(t) &&
		!reflect.PointerTo(t).Implements(scannerType) && !reflect.PointerTo(t).Implements(unmarshalerType)
}

// setterFor returns the setter for fields of type t.
func setterFor(t reflect.Type) (setter, error) {
	switch {
	case t == oldNullTimeType:
		return boxed(setNullTime), nil
	case isNull(t):
		return setNull(t.Field(0).Type)
	case reflect.PointerTo(t).Implements(scannerType):
		return boxed(setScanner), nil
	case stamp.Is(t):
		return notNull(setTime(t)), nil
	case t == rawType:
		return boxed(setRaw), nil
	case reflect.PointerTo(t).Implements(unmarshalerType):
		return notNull(boxed(setText)), nil
	}
	switch t.Kind() {
	case reflect.Pointer:
		return setPointer(t.Elem())
	case reflect.String:
		return notNull(setString), nil
	case reflect.Bool:
		return notNull(setBool), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return notNull(setInt), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return notNull(setUint), nil
	case reflect.Float32, reflect.Float64:
		return notNull(setFloat), nil
	case reflect.Interface:
		if t.NumMethod() == 0 {
			return boxed(setAny), nil
		}
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return setBytes, nil
		}
		return boxed(setJSON), nil
	case reflect.Array:
		if t.Elem().Kind() == reflect.Uint8 {
			return notNull(boxed(setByteArray)), nil
		}
		return boxed(setJSON), nil
	case reflect.Struct, reflect.Map:
		return boxed(setJSON), nil
	}
	return nil, fmt.Errorf("%s cannot hold a column", english.A(t))
}

// Into stores the value of a column in what a pointer points to, by the rules for a
// field of that type.
func Into(pointer any, src driver.Value) error {
	dst := reflect.ValueOf(pointer).Elem()
	set, err := setterFor(dst.Type())
	if err != nil {
		return err
	}
	value := column.Of(src)
	return set(dst, &value)
}

// notNull returns a setter that returns an error for NULL and calls set otherwise.
func notNull(set setter) setter {
	return func(dst reflect.Value, src *column.Value) error {
		if src.Kind == column.Null {
			return fmt.Errorf("it is NULL, which %s cannot hold; use a *%[2]s or sql.Null[%[2]s]", english.A(dst.Type()), dst.Type())
		}
		return set(dst, src)
	}
}

func setPointer(elem reflect.Type) (setter, error) {
	set, err := setterFor(elem)
	if err != nil {
		return nil, err
	}
	return func(dst reflect.Value, src *column.Value) error {
		if src.Kind == column.Null {
			dst.SetZero()
			return nil
		}
		dst.Set(reflect.New(elem))
		return set(dst.Elem(), src)
	}, nil
}

// setScanner calls the Scan method of the field. Times are in UTC, and bytes are a
// copy, since the driver overwrites its own with the next row.
func setScanner(dst reflect.Value, src driver.Value) error {
	switch v := src.(type) {
	case []byte:
		src = bytes.Clone(v)
	case time.Time:
		if src = v.UTC(); isClock(v) {
			src = clock(v)
		}
	}
	return dst.Addr().Interface().(sql.Scanner).Scan(src)
}

// isNull reports whether t is a [sql.Null].
func isNull(t reflect.Type) bool {
	return t.PkgPath() == "database/sql" && strings.HasPrefix(t.Name(), "Null[")
}

// setNull returns the setter for a sql.Null of values of type t. Its own Scan method
// converts fewer types.
func setNull(t reflect.Type) (setter, error) {
	set, err := setterFor(t)
	if err != nil {
		return nil, err
	}
	return func(dst reflect.Value, src *column.Value) error {
		dst.SetZero()
		if src.Kind == column.Null {
			return nil
		}
		dst.Field(1).SetBool(true) // Valid
		return set(dst.Field(0), src)
	}, nil
}

// setNullTime is setScanner for a type that cannot read SQLite's text.
func setNullTime(dst reflect.Value, src driver.Value) error {
	if src == nil {
		dst.SetZero()
		return nil
	}
	var v time.Time
	if err := setBoxedTime(reflect.ValueOf(&v).Elem(), src); err != nil {
		return err
	}
	return setScanner(dst, v)
}

func setText(dst reflect.Value, src driver.Value) error {
	text, ok := asText(src)
	if !ok {
		return fmt.Errorf("%s has UnmarshalText, and the database's %T is no text; give it a method Scan", english.A(dst.Type()), src)
	}
	return dst.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(text))
}

func setAny(dst reflect.Value, src driver.Value) error {
	switch v := src.(type) {
	case nil:
		dst.SetZero()
	case []byte:
		dst.Set(reflect.ValueOf(bytes.Clone(v)))
	case time.Time:
		if isClock(v) {
			dst.Set(reflect.ValueOf(clock(v)))
			return nil
		}
		dst.Set(reflect.ValueOf(v.UTC()))
	default:
		dst.Set(reflect.ValueOf(v))
	}
	return nil
}

func setBytes(dst reflect.Value, src *column.Value) error {
	if src.Kind == column.Blob || src.Kind == column.Text {
		dst.SetBytes(append(make([]byte, 0, len(src.Bytes)), src.Bytes...)) // empty, not nil
		return nil
	}
	return setBoxedBytes(dst, src.Driver())
}

func setBoxedBytes(dst reflect.Value, src driver.Value) error {
	switch v := src.(type) {
	case nil:
		dst.SetZero()
	case []byte:
		dst.SetBytes(append(make([]byte, 0, len(v)), v...)) // empty, not nil
	case string:
		dst.SetBytes([]byte(v))
	default:
		return mismatch(dst, src)
	}
	return nil
}

// setRaw stores JSON as it is. SQLite stores a JSON document that is a number as a number,
// since its type JSON is numeric.
func setRaw(dst reflect.Value, src driver.Value) error {
	if text, ok := asJSON(src); ok {
		dst.SetBytes([]byte(text))
		return nil
	}
	return setBoxedBytes(dst, src)
}

// setByteArray fills an array of bytes, such as a hash, whose length must match.
func setByteArray(dst reflect.Value, src driver.Value) error {
	text, ok := asText(src)
	if !ok {
		return mismatch(dst, src)
	}
	if len(text) != dst.Len() {
		return fmt.Errorf("%s cannot fill %s", english.Count(len(text), "byte"), english.A(dst.Type()))
	}
	reflect.Copy(dst, reflect.ValueOf([]byte(text)))
	return nil
}

func setString(dst reflect.Value, src *column.Value) error {
	if src.Kind == column.Text || src.Kind == column.Blob {
		dst.SetString(string(src.Bytes))
		return nil
	}
	return setBoxedString(dst, src.Driver())
}

func setBoxedString(dst reflect.Value, src driver.Value) error {
	switch v := src.(type) {
	case string:
		dst.SetString(v)
	case []byte:
		dst.SetString(string(v))
	case time.Time:
		if isClock(v) {
			dst.SetString(clock(v))
			return nil
		}
		dst.SetString(v.UTC().Format(time.RFC3339Nano))
	case int64, float64, bool, uint64, float32:
		dst.SetString(fmt.Sprint(v))
	default:
		return mismatch(dst, src)
	}
	return nil
}

func setBool(dst reflect.Value, src *column.Value) error {
	if src.Kind == column.Bool {
		dst.SetBool(src.Int != 0)
		return nil
	}
	return setBoxedBool(dst, src.Driver())
}

func setBoxedBool(dst reflect.Value, src driver.Value) error {
	if b, ok := src.(bool); ok {
		dst.SetBool(b)
		return nil
	}
	if n, ok := src.(int64); ok && (n == 0 || n == 1) {
		dst.SetBool(n == 1)
		return nil
	}
	if b, ok := src.([]byte); ok && len(b) == 1 && b[0] <= 1 { // MySQL's BIT(1)
		dst.SetBool(b[0] == 1)
		return nil
	}
	text, ok := asText(src)
	if !ok {
		return mismatch(dst, src)
	}
	b, err := strconv.ParseBool(text)
	if err != nil {
		return mismatch(dst, src)
	}
	dst.SetBool(b)
	return nil
}

func setInt(dst reflect.Value, src *column.Value) error {
	n := src.Int
	if src.Kind != column.Int {
		var ok bool
		if n, ok = asInt(src.Driver()); !ok {
			return mismatch(dst, src.Driver())
		}
	}
	if dst.OverflowInt(n) {
		return fmt.Errorf("%d does not fit into %s", n, dst.Type())
	}
	dst.SetInt(n)
	return nil
}

func setUint(dst reflect.Value, src *column.Value) error {
	if src.Kind == column.Int && src.Int >= 0 && !dst.OverflowUint(uint64(src.Int)) {
		dst.SetUint(uint64(src.Int))
		return nil
	}
	return setBoxedUint(dst, src.Driver())
}

func setBoxedUint(dst reflect.Value, src driver.Value) error {
	n, ok := src.(uint64)
	if text, isText := asText(src); isText { // MySQL's sum of BIGINT UNSIGNED
		var err error
		n, err = strconv.ParseUint(text, 10, 64)
		ok = err == nil
	}
	if !ok {
		signed, isInt := asInt(src)
		if !isInt {
			return mismatch(dst, src)
		}
		if signed < 0 {
			return fmt.Errorf("%d does not fit into %s", signed, dst.Type())
		}
		n = uint64(signed)
	}
	if dst.OverflowUint(n) {
		return fmt.Errorf("%d does not fit into %s", n, dst.Type())
	}
	dst.SetUint(n)
	return nil
}

// asInt reads an integer in any form that drivers use. MySQL and PostgreSQL send sums
// of integers as decimals.
func asInt(src driver.Value) (int64, bool) {
	switch v := src.(type) {
	case int64:
		return v, true
	case uint64:
		return int64(v), v <= math.MaxInt64
	case bool:
		if v {
			return 1, true
		}
		return 0, true
	case float64:
		return int64(v), v == math.Trunc(v) && math.Abs(v) < 1<<63
	}
	text, ok := asText(src)
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil
}

func setFloat(dst reflect.Value, src *column.Value) error {
	if src.Kind == column.Float {
		dst.SetFloat(src.Float)
		return nil
	}
	return setBoxedFloat(dst, src.Driver())
}

func setBoxedFloat(dst reflect.Value, src driver.Value) error {
	switch v := src.(type) {
	case float64:
		dst.SetFloat(v)
		return nil
	case float32:
		// This is the stored number, such as 0.1, and not its float32 as a float64.
		src = strconv.FormatFloat(float64(v), 'g', -1, 32)
	case int64:
		dst.SetFloat(float64(v))
		return nil
	case uint64:
		dst.SetFloat(float64(v))
		return nil
	}
	text, ok := asText(src)
	if !ok {
		return mismatch(dst, src)
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return mismatch(dst, src)
	}
	dst.SetFloat(f)
	return nil
}

// timeLayouts are the forms of times in SQLite, as this package and SQLite's own
// functions write them. A time without a zone is in UTC.
var timeLayouts = []string{
	"2006-01-02 15:04:05.999999999Z07:00",
	"2006-01-02T15:04:05.999999999Z07:00",
	"2006-01-02 15:04:05.999999999",
	"2006-01-02T15:04:05.999999999",
	"2006-01-02 15:04",
	"2006-01-02",
}

// setTime returns the setter for a time, or for a type made from it.
func setTime(t reflect.Type) setter {
	if t != stamp.Type {
		return boxed(setBoxedTime)
	}
	return func(dst reflect.Value, src *column.Value) error {
		at, ok := asTime(src)
		if !ok {
			return setBoxedTime(dst, src.Driver())
		}
		*dst.Addr().Interface().(*time.Time) = at
		return nil
	}
}

func setBoxedTime(dst reflect.Value, src driver.Value) error {
	if v, ok := src.(time.Time); ok {
		if isClock(v) {
			return fmt.Errorf("a TIME has no day, and is no %s; read it into a string", dst.Type())
		}
		stamp.Set(dst, v.UTC())
		return nil
	}
	text, ok := asText(src)
	if !ok {
		return mismatch(dst, src)
	}
	if own, ok := dst.Addr().Interface().(encoding.TextUnmarshaler); ok && dst.Type() != stamp.Type {
		if own.UnmarshalText([]byte(text)) == nil { // a type that embeds a time may have a form of its own
			t, _ := stamp.Of(dst)
			stamp.Set(dst, t.UTC())
			return nil
		}
	}
	for _, layout := range timeLayouts {
		if v, err := time.Parse(layout, text); err == nil {
			stamp.Set(dst, v.UTC())
			return nil
		}
	}
	return mismatch(dst, src)
}

// setJSON reads a JSON column. NULL is the zero value.
func setJSON(dst reflect.Value, src driver.Value) error {
	if src == nil {
		dst.SetZero()
		return nil
	}
	text, ok := asText(src)
	if !ok {
		text, ok = asJSON(src)
	}
	if !ok {
		return mismatch(dst, src)
	}
	dst.SetZero() // decoding adds to maps and slices that are there
	if err := json.Unmarshal([]byte(text), dst.Addr().Interface()); err != nil {
		return fmt.Errorf("it is not the JSON of %s: %w", english.A(dst.Type()), err)
	}
	return nil
}

// asJSON returns a number as JSON.
func asJSON(src driver.Value) (string, bool) {
	switch v := src.(type) {
	case int64:
		return strconv.FormatInt(v, 10), true
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64), !math.IsInf(v, 0) && !math.IsNaN(v)
	}
	return "", false
}

// isClock reports whether a time is one that lib/pq made of a TIME, which has no day.
func isClock(t time.Time) bool { return t.Year() == 0 && t.YearDay() <= 2 }

// clock returns a TIME, or a TIME WITH TIME ZONE other than UTC, as PostgreSQL writes it.
func clock(t time.Time) string {
	text := t.Format("15:04:05.999999")
	if t.YearDay() == 2 { // the end of the day
		text = "24:00:00"
	}
	if _, offset := t.Zone(); offset != 0 {
		text += t.Format("Z07:00")
	}
	return text
}

func asText(src driver.Value) (string, bool) {
	switch v := src.(type) {
	case string:
		return v, true
	case []byte:
		return string(v), true
	}
	return "", false
}

// mismatch returns the error for a value of the wrong type. It does not show the
// value, which may be a secret.
func mismatch(dst reflect.Value, src driver.Value) error {
	return fmt.Errorf("the database's %T is no %s", src, dst.Type())
}
