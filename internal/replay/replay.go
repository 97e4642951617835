// Package replay stores the answers of calls as bytes and reads them again. What
// is stored is the JSON of an answer, and of the fields that JSON does not show
// those that are needed when the answer is given again.
package replay

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/seed-215b9b7c/backend/internal/english"
	"github.com/seed-215b9b7c/backend/internal/jsonout"
	"github.com/seed-215b9b7c/backend/internal/plan"
)

// Format says how the answers of one operation are stored. It is safe for
// concurrent use.
type Format struct {
	out    *plan.Type
	encode jsonout.Encoder
	hidden map[*plan.Type][][]int // indexes of the fields that are stored besides the JSON
}

// New returns the format for answers of a type, whose JSON encode writes exactly. Of the
// struct types that a relation looks at, it also stores the exported fields with
// json:"-", if what they hold can be written and read as JSON. If the answer has
// a method ETag, it does so for all structs, as that method may look at anything
// within. Other hidden fields may be secrets and are not stored.
func New(out *plan.Type, encode jsonout.Encoder, related []reflect.Type) *Format {
	f, tagged := &Format{out, encode, map[*plan.Type][][]int{}}, hasTag(out.Base().Go)
	out.Walk(func(t *plan.Type) {
		if t.Kind != plan.Struct || !tagged && !slices.Contains(related, t.Go) {
			return
		}
		if fields := hiddenFields(t.Go); len(fields) > 0 {
			f.hidden[t] = fields
		}
	})
	return f
}

// Append appends what is stored of an answer to dst: its JSON and, if it has
// hidden fields that are needed, a line with the list of these. The answer must be
// addressable.
func (f *Format) Append(dst []byte, answer reflect.Value) ([]byte, error) {
	dst, err := f.encode.Append(dst, answer)
	if err != nil {
		return nil, err
	}
	if hidden := f.find(nil, f.out, answer); len(hidden) > 0 {
		more, err := json.Marshal(hidden)
		if err != nil {
			return nil, err
		}
		dst = append(append(dst, '\n'), more...)
	}
	return dst, nil
}

// Read returns a pointer to the answer that was stored as text. The text may be of
// an earlier release of the program; if the types are others now, the error says
// what does not fit. rest is what was appended to the text of the answer.
func (f *Format) Read(text []byte) (answer any, rest []byte, err error) {
	value, from := reflect.New(f.out.Go), json.NewDecoder(bytes.NewReader(text))
	if err := from.Decode(value.Interface()); err != nil {
		return nil, nil, err
	}
	if hidden := f.find(nil, f.out, value.Elem()); len(hidden) > 0 {
		if err := readEach(from, hidden); err != nil {
			return nil, nil, err
		}
	}
	return value.Interface(), bytes.TrimSpace(text[from.InputOffset():]), nil
}

// readEach reads a list into what the pointers point to.
func readEach(from *json.Decoder, pointers []any) error {
	var texts []json.RawMessage
	if err := from.Decode(&texts); err != nil {
		return err
	}
	if len(texts) != len(pointers) {
		return fmt.Errorf("%s for %s", english.Count(len(texts), "value"), english.Count(len(pointers), "field"))
	}
	for i, text := range texts {
		if err := json.Unmarshal(text, pointers[i]); err != nil {
			return err
		}
	}
	return nil
}

// hasTag reports whether values of a type, or pointers to them, have a method
// ETag.
func hasTag(t reflect.Type) bool {
	return reflect.PointerTo(t).Implements(reflect.TypeFor[interface{ ETag() string }]())
}

// hiddenFields returns the indexes of the fields of a struct with json:"-" that
// can be written as JSON and read from it.
func hiddenFields(t reflect.Type) (fields [][]int) {
	for _, f := range reflect.VisibleFields(t) {
		if !f.IsExported() || f.Tag.Get("json") != "-" || throughPointer(t, f.Index) {
			continue
		}
		if compiled, err := plan.NewCompiler(plan.Out).Compile(f.Type); err == nil && len(compiled.Unreadable()) == 0 {
			fields = append(fields, f.Index)
		}
	}
	return fields
}

// throughPointer reports whether a field belongs to a struct that t embeds by a
// pointer, which may be nil.
func throughPointer(t reflect.Type, index []int) bool {
	for _, i := range index[:len(index)-1] {
		if t = t.Field(i).Type; t.Kind() == reflect.Pointer {
			return true
		}
	}
	return false
}

// find appends pointers to the hidden fields within v. It reaches the values of
// maps only if they are pointers.
func (f *Format) find(found []any, t *plan.Type, v reflect.Value) []any {
	if len(f.hidden) == 0 {
		return nil
	}
	switch t.Kind {
	case plan.Struct:
		for _, index := range f.hidden[t] {
			found = append(found, v.FieldByIndex(index).Addr().Interface())
		}
		for _, field := range t.Fields {
			found = f.find(found, field.Type, v.FieldByIndex(field.Index))
		}
	case plan.Pointer:
		if !v.IsNil() {
			found = f.find(found, t.Elem, v.Elem())
		}
	case plan.Opt:
		if v.Field(plan.OptPresent).Bool() && !v.Field(plan.OptNull).Bool() {
			found = f.find(found, t.Elem, v.Field(plan.OptValue))
		}
	case plan.Slice, plan.Array:
		for i := range v.Len() {
			found = f.find(found, t.Elem, v.Index(i))
		}
	case plan.Map:
		if t.Elem.Kind != plan.Pointer {
			break
		}
		keys := v.MapKeys()
		slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
		for _, key := range keys {
			found = f.find(found, t.Elem, v.MapIndex(key))
		}
	}
	return found
}
