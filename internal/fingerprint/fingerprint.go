// Package fingerprint writes the inputs of calls down so that two of them can be
// compared. A fingerprint is not the JSON of an input: a type whose MarshalText
// or MarshalJSON keeps a password out of logs would keep it out of its JSON, too,
// so that two passwords would be one input, and the JSON of an Opt does not say
// whether it is absent or null.
package fingerprint

import (
	"bytes"
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed-215b9b7c/backend/internal/plan"
)

// Incomparable returns the types within t that [Append] has no fingerprint for:
// those that read text and do not write it.
func Incomparable(t *plan.Type) (types []reflect.Type) {
	t.Walk(func(t *plan.Type) {
		if t.Kind == plan.Text && !reflect.PointerTo(t.Go).Implements(reflect.TypeFor[encoding.TextMarshaler]()) {
			types = append(types, t.Go)
		}
	})
	return types
}

// Append appends the fingerprint of v, a value of t, to dst. Two values of a type
// have the same fingerprint if they are equal, and only then:
//
//   - An Opt that is absent, one that is null and one with a value differ, as nil
//     and an empty slice or map do.
//   - Maps are equal if they have the same keys and values.
//   - Pointers are equal if they are both nil, or what they point to is equal.
//   - Times are equal if they are the same moment with the same offset from UTC.
//   - Raw JSON is equal if only the blanks between its parts differ.
//   - Types with MarshalText are equal if their text and all their fields are,
//     exported or not. What these fields point to is not compared: it may be a
//     cache, or the value itself. MarshalText is not called for a zero value,
//     which may have no text.
//
// Fields with json:"-", and those that are not exported, are no part of an input.
// The error is one of MarshalText, or is about raw JSON that is not valid.
func Append(dst []byte, t *plan.Type, v reflect.Value) (_ []byte, err error) {
	switch t.Kind {
	case plan.Text:
		return appendText(dst, v)
	case plan.Raw:
		return appendRaw(dst, v.Bytes())
	case plan.Time: // whose location is a pointer
		return v.Interface().(time.Time).AppendFormat(append(dst, ' '), time.RFC3339Nano), nil
	case plan.Opt:
		present, null := v.Field(plan.OptPresent), v.Field(plan.OptNull)
		if dst = appendBare(appendBare(dst, present), null); !present.Bool() || null.Bool() {
			return dst, nil
		}
		return Append(dst, t.Elem, v.Field(plan.OptValue))
	case plan.Pointer:
		if v.IsNil() {
			return append(dst, '-'), nil
		}
		return Append(append(dst, '+'), t.Elem, v.Elem())
	case plan.Struct:
		for _, field := range t.Fields {
			if dst, err = Append(dst, field.Type, v.FieldByIndex(field.Index)); err != nil {
				return nil, err
			}
		}
		return dst, nil
	case plan.Slice, plan.Array:
		return appendList(dst, t, v)
	case plan.Map:
		return appendMap(dst, t, v)
	}
	return appendBare(dst, v), nil
}

// appendLength appends how many elements follow, or that v is nil.
func appendLength(dst []byte, v reflect.Value) []byte {
	if v.Kind() != reflect.Array && v.IsNil() {
		return append(dst, '-')
	}
	return append(strconv.AppendInt(append(dst, ' '), int64(v.Len()), 10), ':')
}

func appendList(dst []byte, t *plan.Type, v reflect.Value) (_ []byte, err error) {
	dst = appendLength(dst, v)
	for i := range v.Len() {
		if dst, err = Append(dst, t.Elem, v.Index(i)); err != nil {
			return nil, err
		}
	}
	return dst, nil
}

func appendMap(dst []byte, t *plan.Type, v reflect.Value) (_ []byte, err error) {
	dst = appendLength(dst, v)
	keys := v.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
	for _, key := range keys {
		if dst, err = Append(appendBare(dst, key), t.Elem, v.MapIndex(key)); err != nil {
			return nil, err
		}
	}
	return dst, nil
}

// appendRaw appends JSON without the blanks between its parts. No text that can
// follow it here continues a number.
func appendRaw(dst, text []byte) ([]byte, error) {
	if len(text) == 0 { // it is absent
		return append(dst, '-'), nil
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, text); err != nil {
		return nil, err
	}
	return append(append(dst, ' '), compact.Bytes()...), nil
}

// appendText appends the text of a value with MarshalText, and its fields, which
// the text may not show.
func appendText(dst []byte, v reflect.Value) ([]byte, error) {
	if v.IsZero() {
		return append(dst, '-'), nil
	}
	from := reflect.New(v.Type())
	from.Elem().Set(v)
	text, err := from.Interface().(encoding.TextMarshaler).MarshalText()
	if err != nil {
		return nil, fmt.Errorf("compare the input with that of an earlier call: %w", err)
	}
	return appendBare(strconv.AppendQuote(dst, string(text)), v), nil
}

// appendBare appends a value as it is in memory, without calling its methods or
// following pointers.
func appendBare(dst []byte, v reflect.Value) []byte {
	dst = append(dst, ' ')
	switch {
	case v.Kind() == reflect.Bool:
		return strconv.AppendBool(dst, v.Bool())
	case v.Kind() == reflect.String:
		return strconv.AppendQuote(dst, v.String())
	case v.CanInt():
		return strconv.AppendInt(dst, v.Int(), 10)
	case v.CanUint():
		return strconv.AppendUint(dst, v.Uint(), 10)
	case v.CanFloat():
		return strconv.AppendFloat(dst, v.Float(), 'g', -1, 64)
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Uint8:
		return strconv.AppendQuote(appendLength(dst, v), string(v.Bytes()))
	case v.Kind() == reflect.Slice || v.Kind() == reflect.Array:
		dst = appendLength(dst, v)
		for i := range v.Len() {
			dst = appendBare(dst, v.Index(i))
		}
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			dst = appendBare(dst, v.Field(i))
		}
	}
	return dst
}
