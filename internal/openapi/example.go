package openapi

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"

	"github.com/seed-215b9b7c/backend/internal/jsonin"
	"github.com/seed-215b9b7c/backend/internal/plan"
)

// This file reads example tags: as they stand for what is a string on the wire,
// and as JSON otherwise.

// CheckExamples returns an error for every example in a type, and in all that it
// holds, that is none of its field: one that a request could not have (in), or an
// answer. What only writes itself, by MarshalJSON or MarshalText alone, has no
// form that could be checked; of the former any JSON will do.
func CheckExamples(t *plan.Type, in bool) error {
	return checkExamples(t, in, map[*plan.Type]bool{})
}

func checkExamples(t *plan.Type, in bool, seen map[*plan.Type]bool) error {
	if t == nil || seen[t] {
		return nil
	}
	seen[t] = true
	wrong := []error{checkExamples(t.Elem, in, seen)}
	for _, field := range t.Fields {
		if err := fits(t, field, in); err != nil {
			wrong = append(wrong, fmt.Errorf("%s.%s: the example %q must be %s: %w", t.Go, field.GoName, field.Example, wanted(field), err))
		}
		wrong = append(wrong, checkExamples(field.Type, in, seen))
	}
	return errors.Join(wrong...)
}

// wanted says what an example of a field is.
func wanted(field *plan.Field) string {
	switch t := bare(field.Type); {
	case field.Quoted:
		return fmt.Sprintf("what stands in the quotes, JSON of a %s", t.Go)
	case t.Kind == plan.Time:
		return "a time such as 2006-01-02T15:04:05Z"
	case t.Kind == plan.Bytes:
		return "base64"
	case isText(field):
		return fmt.Sprintf("the text of a %s", t.Go)
	default:
		return fmt.Sprintf("JSON of a %s", t.Go)
	}
}

// fits reads the example of a field as the field itself is read.
func fits(s *plan.Type, field *plan.Field, in bool) error {
	if field.Example == "" {
		return nil
	}
	value := []byte(field.Example)
	if isText(field) {
		value, _ = json.Marshal(field.Example)
	}
	if !json.Valid(value) {
		return errors.New("it is not valid JSON")
	}
	if in {
		return fitsInput(s, field, value)
	}
	return fitsOutput(field, value)
}

// fitsInput reads the value as a request's.
func fitsInput(s *plan.Type, field *plan.Field, value []byte) error {
	decoder, err := jsonin.Compile(s, func(f *plan.Field) bool { return f == field })
	if err != nil {
		return err
	}
	name, _ := json.Marshal(field.Name)
	object := bytes.Join([][]byte{[]byte("{"), name, []byte(":"), value, []byte("}")}, nil)
	err = decoder.Decode(object, reflect.New(s.Go).Elem())
	if wrong, ok := errors.AsType[*jsonin.FieldsError](err); ok {
		return fmt.Errorf("%s %s", wrong.Fields[0].Pointer, wrong.Fields[0].Message)
	}
	return err
}

// fitsOutput reads the value into the field's type, if it can be read at all.
func fitsOutput(field *plan.Field, value []byte) error {
	if !readable(field.Type, map[*plan.Type]bool{}) {
		return nil
	}
	tag := reflect.StructTag(`json:"value"`)
	if field.Quoted {
		tag = `json:"value,string"`
	}
	into := reflect.New(reflect.StructOf([]reflect.StructField{{Name: "Value", Type: field.Type.Go, Tag: tag}}))
	decoder := json.NewDecoder(bytes.NewReader(bytes.Join([][]byte{[]byte(`{"value":`), value, []byte("}")}, nil)))
	decoder.DisallowUnknownFields()
	return decoder.Decode(into.Interface())
}

// readable reports whether all of a type that goes out can be read again.
func readable(t *plan.Type, seen map[*plan.Type]bool) bool {
	if t == nil || seen[t] {
		return true
	}
	seen[t] = true
	pointer := reflect.PointerTo(t.Go)
	switch {
	case t.Kind == plan.Custom && !pointer.Implements(reflect.TypeFor[json.Unmarshaler]()),
		t.Kind == plan.Text && !pointer.Implements(reflect.TypeFor[encoding.TextUnmarshaler]()):
		return false
	}
	for _, field := range t.Fields {
		if !readable(field.Type, seen) {
			return false
		}
	}
	return readable(t.Elem, seen)
}

// bare returns the type without pointers and Opts.
func bare(t *plan.Type) *plan.Type {
	for t.Kind == plan.Pointer || t.Kind == plan.Opt {
		t = t.Elem
	}
	return t
}

// isText reports whether a field is a string on the wire.
func isText(field *plan.Field) bool {
	switch bare(field.Type).Kind {
	case plan.String, plan.Text, plan.Time, plan.Bytes:
		return true
	}
	return field.Quoted
}

// example reads an example tag. [CheckExamples] has looked at it; what is no JSON
// is still none, so that this never fails.
func example(field *plan.Field) (value any, ok bool) {
	switch {
	case field.Example == "":
		return nil, false
	case isText(field):
		return field.Example, true
	}
	err := json.Unmarshal([]byte(field.Example), &value)
	return value, err == nil
}
