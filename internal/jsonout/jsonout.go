// Package jsonout encodes values as JSON, with encoders that are compiled once per type.
// The result is byte for byte that of [encoding/json.Marshal], with one exception: a nil
// slice is [] and a nil map is {}, as encoding/json/v2 writes them, since readers of lists
// seldom expect null. The encoders are faster, and do not allocate for plain structs.
package jsonout

import (
	"encoding"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"time"

	"github.com/seed-215b9b7c/backend/internal/plan"
	"github.com/seed-215b9b7c/backend/internal/render"
)

// Encoder encodes values of one type. It is safe for concurrent use.
type Encoder struct {
	write encode
}

// Append appends the JSON of v, a value of the encoder's type, to dst. If it returns an
// error, the returned bytes must not be used.
func (e Encoder) Append(dst []byte, v reflect.Value) ([]byte, error) {
	return e.write(dst, v, state{})
}

// AppendSelected appends the JSON of the fields of v in selection to dst, as Append does,
// and appends a hole for each relation to holes. It is a [render.Encode].
func (e Encoder) AppendSelected(dst []byte, v reflect.Value, selection *render.Selection, holes *[]render.Hole) ([]byte, error) {
	return e.write(dst, v, state{selection: selection, holes: holes})
}

// encode writes one value.
type encode func(dst []byte, v reflect.Value, s state) ([]byte, error)

// state is the state of one encoding.
type state struct {
	depth     int               // of pointers, slices and maps, to notice values that contain themselves
	selection *render.Selection // nil: every field
	holes     *[]render.Hole
}

// maxDepth is the depth at which encoding/json begins to look for cycles.
const maxDepth = 1000

var errDeep = errors.New("json: the value is nested too deeply, or contains itself")

// Compile returns the encoder for t.
func Compile(t *plan.Type) Encoder {
	c := compiler{known: map[*plan.Type]*encode{}}
	return Encoder{c.compile(t)}
}

// CompileExact returns an encoder for t that writes nil slices and maps as null, for a reader
// that gets the same value.
func CompileExact(t *plan.Type) Encoder {
	c := compiler{known: map[*plan.Type]*encode{}, exact: true}
	return Encoder{c.compile(t)}
}

type compiler struct {
	exact bool                   // nil slices and maps are null
	known map[*plan.Type]*encode // for recursive types: filled in later
}

func (c *compiler) compile(t *plan.Type) encode {
	if known := c.known[t]; known != nil && *known != nil {
		return *known
	} else if known != nil { // this is inside of it
		return func(dst []byte, v reflect.Value, s state) ([]byte, error) { return (*known)(dst, v, s) }
	}
	var done encode
	c.known[t] = &done
	done = c.byKind(t)
	return done
}

func (c *compiler) byKind(t *plan.Type) encode {
	switch t.Kind {
	case plan.Bool:
		return writeBool
	case plan.Int, plan.Duration:
		return writeInt
	case plan.Uint:
		return writeUint
	case plan.Float:
		return writeFloat(t.Bits)
	case plan.String:
		return writeString
	case plan.Bytes:
		return writeBytes
	case plan.Time:
		return writeTime
	case plan.Text:
		return writeText(t.Go)
	case plan.Raw, plan.Custom:
		return writeCustom
	case plan.Struct:
		return c.object(t)
	case plan.Slice:
		return c.orNull(list(c.compile(t.Elem)))
	case plan.Array:
		return list(c.compile(t.Elem))
	case plan.Map:
		return c.orNull(mapping(c.compile(t.Elem)))
	case plan.Pointer:
		return c.pointer(c.compile(t.Elem))
	case plan.Opt:
		return optional(c.compile(t.Elem))
	}
	panic(fmt.Sprintf("backend: the plan of %s has the unknown kind %d", t.Go, t.Kind))
}

func writeBool(dst []byte, v reflect.Value, _ state) ([]byte, error) {
	return strconv.AppendBool(dst, v.Bool()), nil
}

func writeInt(dst []byte, v reflect.Value, _ state) ([]byte, error) {
	return strconv.AppendInt(dst, v.Int(), 10), nil
}

func writeUint(dst []byte, v reflect.Value, _ state) ([]byte, error) {
	return strconv.AppendUint(dst, v.Uint(), 10), nil
}

// writeFloat writes a number as ES6 and encoding/json do: with an exponent only if it is
// very small or very large, and without a leading zero in the exponent.
func writeFloat(bits int) encode {
	return func(dst []byte, v reflect.Value, _ state) ([]byte, error) {
		f := v.Float()
		if math.IsInf(f, 0) || math.IsNaN(f) {
			return nil, &json.UnsupportedValueError{Value: v, Str: strconv.FormatFloat(f, 'g', -1, bits)}
		}
		abs, format := math.Abs(f), byte('f')
		if abs != 0 {
			if bits == 64 && (abs < 1e-6 || abs >= 1e21) || bits == 32 && (float32(abs) < 1e-6 || float32(abs) >= 1e21) {
				format = 'e'
			}
		}
		dst = strconv.AppendFloat(dst, f, format, -1, bits)
		if n := len(dst); format == 'e' && n >= 4 && dst[n-4] == 'e' && (dst[n-3] == '-' || dst[n-3] == '+') && dst[n-2] == '0' {
			dst[n-2] = dst[n-1]
			dst = dst[:n-1]
		}
		return dst, nil
	}
}

func writeString(dst []byte, v reflect.Value, _ state) ([]byte, error) {
	return AppendString(dst, v.String()), nil
}

func writeBytes(dst []byte, v reflect.Value, _ state) ([]byte, error) {
	if v.IsNil() {
		return append(dst, "null"...), nil
	}
	dst = append(dst, '"')
	dst = base64.StdEncoding.AppendEncode(dst, v.Bytes())
	return append(dst, '"'), nil
}

func writeTime(dst []byte, v reflect.Value, _ state) ([]byte, error) {
	var t time.Time
	if v.CanAddr() {
		t = *v.Addr().Interface().(*time.Time) // no copy into an interface
	} else {
		t = v.Interface().(time.Time)
	}
	dst = append(dst, '"')
	dst, err := t.AppendText(dst) // RFC 3339; needs no escapes
	if err != nil {
		return nil, &json.MarshalerError{Type: v.Type(), Err: err}
	}
	return append(dst, '"'), nil
}

// writeText writes the result of MarshalText. As in encoding/json, the method may be that
// of the pointer if the value is addressable.
func writeText(t reflect.Type) encode {
	byValue := t.Implements(reflect.TypeFor[encoding.TextMarshaler]())
	return func(dst []byte, v reflect.Value, _ state) ([]byte, error) {
		switch {
		case !byValue && !v.CanAddr():
			return appendAny(dst, v)
		case !byValue:
			v = v.Addr()
		}
		text, err := v.Interface().(encoding.TextMarshaler).MarshalText()
		if err != nil {
			return nil, &json.MarshalerError{Type: v.Type(), Err: err}
		}
		return AppendString(dst, string(text)), nil
	}
}

// writeCustom uses encoding/json for types with MarshalJSON. It checks and compacts the
// result.
func writeCustom(dst []byte, v reflect.Value, _ state) ([]byte, error) {
	if v.Kind() == reflect.Interface { // which Interface would take the value out of
		v = addressable(v)
	}
	if v.CanAddr() {
		return appendAny(dst, v.Addr())
	}
	return appendAny(dst, v)
}

// addressable returns v, or a copy that has an address.
func addressable(v reflect.Value) reflect.Value {
	if v.CanAddr() {
		return v
	}
	copied := reflect.New(v.Type()).Elem()
	copied.Set(v)
	return copied
}

func appendAny(dst []byte, v reflect.Value) ([]byte, error) {
	text, err := json.Marshal(v.Interface())
	return append(dst, text...), err
}

// orNull writes null for a nil slice or map, if the encoder is exact.
func (c *compiler) orNull(write encode) encode {
	if !c.exact {
		return write
	}
	return func(dst []byte, v reflect.Value, s state) ([]byte, error) {
		if v.IsNil() {
			return append(dst, "null"...), nil
		}
		return write(dst, v, s)
	}
}

// list writes a slice or an array.
func list(element encode) encode {
	return func(dst []byte, v reflect.Value, s state) ([]byte, error) {
		if s.depth++; s.depth > maxDepth {
			return nil, errDeep
		}
		dst = append(dst, '[')
		var err error
		for i := range v.Len() {
			if i > 0 {
				dst = append(dst, ',')
			}
			if dst, err = element(dst, v.Index(i), s); err != nil {
				return nil, err
			}
		}
		return append(dst, ']'), nil
	}
}

func mapping(element encode) encode {
	return func(dst []byte, v reflect.Value, s state) ([]byte, error) {
		if s.depth++; s.depth > maxDepth {
			return nil, errDeep
		}
		keys := v.MapKeys()
		slices.SortFunc(keys, func(a, b reflect.Value) int {
			switch x, y := a.String(), b.String(); {
			case x < y:
				return -1
			case x > y:
				return 1
			}
			return 0
		})
		dst = append(dst, '{')
		var err error
		for i, key := range keys {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(AppendString(dst, key.String()), ':')
			if dst, err = element(dst, v.MapIndex(key), s); err != nil {
				return nil, err
			}
		}
		return append(dst, '}'), nil
	}
}

func (c *compiler) pointer(element encode) encode {
	return func(dst []byte, v reflect.Value, s state) ([]byte, error) {
		if v.IsNil() {
			return append(dst, "null"...), nil
		}
		if s.depth++; s.depth > maxDepth {
			return nil, errDeep
		}
		return element(dst, v.Elem(), s)
	}
}

// optional writes an Opt, whose MarshalJSON always has the address of the value.
func optional(element encode) encode {
	return func(dst []byte, v reflect.Value, s state) ([]byte, error) {
		if !v.Field(plan.OptPresent).Bool() || v.Field(plan.OptNull).Bool() {
			return append(dst, "null"...), nil
		}
		return element(dst, addressable(v.Field(plan.OptValue)), s)
	}
}

// member is a field of an object.
type member struct {
	label  []byte // "name": with what comes before it, but for the comma
	index  []int
	write  encode
	omit   func(reflect.Value) bool // nil: never
	quoted bool
}

func (c *compiler) object(t *plan.Type) encode {
	members := make([]member, len(t.Fields))
	for i, field := range t.Fields {
		members[i] = member{
			label: append(AppendString(nil, field.Name), ':'),
			index: field.Index, write: c.compile(field.Type), omit: omission(field), quoted: field.Quoted,
		}
	}
	byField := make(map[*plan.Field]*member, len(members))
	for i, field := range t.Fields {
		byField[field] = &members[i]
	}
	return func(dst []byte, v reflect.Value, s state) ([]byte, error) {
		if s.selection != nil && s.selection.Members != nil {
			return writeMembers(dst, v, byField, s)
		}
		dst = append(dst, '{')
		first := true
		var err error
		for i := range members {
			m := &members[i]
			value := fieldOf(v, m.index)
			if m.omit != nil && m.omit(value) {
				continue
			}
			if !first {
				dst = append(dst, ',')
			}
			first = false
			if dst, err = m.append(append(dst, m.label...), value, s); err != nil {
				return nil, err
			}
		}
		if s.selection != nil {
			for i := range s.selection.Everywhere[t.Go] {
				if !first {
					dst = append(dst, ',')
				}
				first = false
				dst = appendHole(dst, v, &s.selection.Everywhere[t.Go][i], s)
			}
		}
		return append(dst, '}'), nil
	}
}

func (m *member) append(dst []byte, v reflect.Value, s state) ([]byte, error) {
	if m.quoted {
		return quotedValue(dst, v, m.write, s)
	}
	return m.write(dst, v, s)
}

// writeMembers writes an object with the selected fields. A field that was selected by
// its name is written even if it would be omitted otherwise.
func writeMembers(dst []byte, v reflect.Value, byField map[*plan.Field]*member, s state) (_ []byte, err error) {
	dst = append(dst, '{')
	members, below := s.selection.Members, s
	for i := range members {
		if i > 0 {
			dst = append(dst, ',')
		}
		selected := &members[i]
		if selected.Relation != nil {
			dst = appendHole(dst, v, selected, s)
			continue
		}
		m := byField[selected.Field]
		below.selection = selected.Of
		dst = append(AppendString(dst, selected.Key), ':')
		if dst, err = m.append(dst, fieldOf(v, m.index), below); err != nil {
			return nil, err
		}
	}
	return append(dst, '}'), nil
}

// appendHole writes the name of a relation and records the position of its value.
func appendHole(dst []byte, parent reflect.Value, m *render.Member, s state) []byte {
	dst = append(AppendString(dst, m.Key), ':')
	*s.holes = append(*s.holes, render.Hole{At: len(dst), Parent: parent, Member: m})
	return dst
}

func fieldOf(v reflect.Value, index []int) reflect.Value {
	for _, i := range index {
		v = v.Field(i)
	}
	return v
}

// quotedValue writes a value inside a string. A string is quoted twice.
func quotedValue(dst []byte, v reflect.Value, write encode, s state) ([]byte, error) {
	if v.Kind() == reflect.Pointer && v.IsNil() {
		return append(dst, "null"...), nil
	}
	inner, err := write(nil, v, s)
	if err != nil {
		return nil, err
	}
	return AppendString(dst, string(inner)), nil
}

// omission returns the function that reports whether to omit a field.
func omission(field *plan.Field) func(reflect.Value) bool {
	var zero, empty func(reflect.Value) bool
	if field.OmitZero {
		zero = isZero(field.Type.Go)
	}
	if field.OmitEmpty {
		empty = isEmpty
	}
	switch {
	case zero == nil:
		return empty
	case empty == nil:
		return zero
	}
	return func(v reflect.Value) bool { return zero(v) || empty(v) }
}

type zeroer interface{ IsZero() bool }

// isZero returns the test of omitzero: the type's method IsZero, or else whether the
// value is the zero value.
func isZero(t reflect.Type) func(reflect.Value) bool {
	isZeroer := reflect.TypeFor[zeroer]()
	switch {
	case t.Kind() == reflect.Interface && t.Implements(isZeroer): // which may hold a nil pointer
		return func(v reflect.Value) bool {
			return v.IsNil() || v.Elem().Kind() == reflect.Pointer && v.Elem().IsNil() || v.Interface().(zeroer).IsZero()
		}
	case t.Kind() == reflect.Pointer && t.Implements(isZeroer):
		return func(v reflect.Value) bool { return v.IsNil() || v.Interface().(zeroer).IsZero() }
	case t.Implements(isZeroer):
		return func(v reflect.Value) bool { return v.Interface().(zeroer).IsZero() }
	case reflect.PointerTo(t).Implements(isZeroer):
		return func(v reflect.Value) bool {
			return addressable(v).Addr().Interface().(zeroer).IsZero()
		}
	}
	return reflect.Value.IsZero
}

// isEmpty is the test of omitempty.
func isEmpty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Array, reflect.Map, reflect.Slice, reflect.String:
		return v.Len() == 0
	case reflect.Struct:
		return false
	}
	return v.IsZero()
}
