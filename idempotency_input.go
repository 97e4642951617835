package backend

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

// This file writes inputs down so that two calls under one key of [Idempotent]
// can be compared. It is not their JSON: methods that keep a password out of logs
// keep it out of that, too, and two passwords would be one input; and of an Opt,
// JSON does not say whether it is absent or null.

// appendInput appends a text that no other value of the type has.
func appendInput(dst []byte, t *plan.Type, v reflect.Value) (_ []byte, err error) {
	switch t.Kind {
	case plan.Text:
		return appendTextInput(dst, v)
	case plan.Raw:
		return appendRawInput(dst, v.Bytes())
	case plan.Time: // whose location is a pointer
		return v.Interface().(time.Time).AppendFormat(append(dst, ' '), time.RFC3339Nano), nil
	case plan.Opt:
		present, null := v.Field(plan.OptPresent), v.Field(plan.OptNull)
		if dst = appendBare(appendBare(dst, present), null); !present.Bool() || null.Bool() {
			return dst, nil
		}
		return appendInput(dst, t.Elem, v.Field(plan.OptValue))
	case plan.Pointer:
		if v.IsNil() {
			return append(dst, '-'), nil
		}
		return appendInput(append(dst, '+'), t.Elem, v.Elem())
	case plan.Struct:
		for _, field := range t.Fields {
			if dst, err = appendInput(dst, field.Type, v.FieldByIndex(field.Index)); err != nil {
				return nil, err
			}
		}
		return dst, nil
	case plan.Slice, plan.Array:
		return appendListInput(dst, t, v)
	case plan.Map:
		return appendMapInput(dst, t, v)
	}
	return appendBare(dst, v), nil
}

// appendLength appends how many elements follow, or that there is nothing.
func appendLength(dst []byte, v reflect.Value) []byte {
	if v.Kind() != reflect.Array && v.IsNil() {
		return append(dst, '-')
	}
	return append(strconv.AppendInt(append(dst, ' '), int64(v.Len()), 10), ':')
}

func appendListInput(dst []byte, t *plan.Type, v reflect.Value) (_ []byte, err error) {
	dst = appendLength(dst, v)
	for i := range v.Len() {
		if dst, err = appendInput(dst, t.Elem, v.Index(i)); err != nil {
			return nil, err
		}
	}
	return dst, nil
}

func appendMapInput(dst []byte, t *plan.Type, v reflect.Value) (_ []byte, err error) {
	dst = appendLength(dst, v)
	keys := v.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
	for _, key := range keys {
		if dst, err = appendInput(appendBare(dst, key), t.Elem, v.MapIndex(key)); err != nil {
			return nil, err
		}
	}
	return dst, nil
}

// appendRawInput appends JSON without the blanks between its parts, which mean
// nothing elsewhere either.
func appendRawInput(dst, text []byte) ([]byte, error) {
	if len(text) == 0 { // it is absent
		return append(dst, '-'), nil
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, text); err != nil {
		return nil, err
	}
	return append(append(dst, ' '), compact.Bytes()...), nil
}

// appendTextInput appends what a type with MarshalText says of itself, and what it
// is made of, of which that may say nothing.
func appendTextInput(dst []byte, v reflect.Value) ([]byte, error) {
	if v.IsZero() { // an absent one may have no text
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

// appendBare appends a value as it is in memory, without its methods. What it
// points to is not followed: it may be a cache, or the value itself.
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
