package jsonschema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/seed-215b9b7c/backend/internal/english"
	"github.com/seed-215b9b7c/backend/internal/jsonin"
	"github.com/seed-215b9b7c/backend/internal/plan"
)

// This file reads the tags example and default: as they stand for what is a
// string on the wire, and as JSON otherwise.

// CheckExamples returns an error for each example and default in a type, and in
// all that it holds, that is no value of its field. Those of inputs must also obey
// the rules of their fields, as far as the schema has them. For a type that has
// MarshalJSON and no UnmarshalJSON, any JSON is an example; for one that has only
// MarshalText, any text.
func CheckExamples(t *plan.Type, direction plan.Direction) error {
	return checkExamples(t, direction == plan.In, map[*plan.Type]bool{})
}

func checkExamples(t *plan.Type, in bool, seen map[*plan.Type]bool) error {
	if t == nil || seen[t] {
		return nil
	}
	seen[t] = true
	wrong := []error{checkExamples(t.Elem, in, seen)}
	for _, field := range t.Fields {
		if field.Example != "" {
			wrong = append(wrong, checkValue(t, field, "example", field.Example, in))
		}
		if field.HasDefault {
			wrong = append(wrong, checkValue(t, field, "default", field.Default, in))
		}
		wrong = append(wrong, checkExamples(field.Type, in, seen))
	}
	return errors.Join(wrong...)
}

// checkValue returns an error if the text of a tag is no value of its field.
func checkValue(t *plan.Type, field *plan.Field, tag, text string, in bool) error {
	if err := fits(t, field, text, in); err != nil {
		want := "must be " + wanted(field)
		if strings.HasSuffix(err.Error(), want) { // it says no more
			return fmt.Errorf("%s.%s: the %s %q %s", t.Go, field.GoName, tag, text, want)
		}
		return fmt.Errorf("%s.%s: the %s %q %s: %w", t.Go, field.GoName, tag, text, want, err)
	}
	if rule := brokenRule(field, text); in && rule != "" {
		return fmt.Errorf("%s.%s: the %s %q breaks a rule of the field: %s", t.Go, field.GoName, tag, text, rule)
	}
	return nil
}

// wanted says what a value of a field is in a tag.
func wanted(field *plan.Field) string {
	switch t := field.Type.Base(); {
	case field.Quoted:
		return fmt.Sprintf("what stands in the quotes, JSON of %s", english.A(t.Go))
	case t.Kind == plan.Time:
		return "a time such as 2006-01-02T15:04:05Z"
	case t.Kind == plan.Bytes:
		return "base64"
	case isText(field):
		return fmt.Sprintf("the text of %s", english.A(t.Go))
	default:
		return fmt.Sprintf("JSON of %s", english.A(t.Go))
	}
}

// fits reads a text as the field itself is read.
func fits(s *plan.Type, field *plan.Field, text string, in bool) error {
	value := []byte(text)
	if isText(field) {
		value, _ = json.Marshal(text)
	}
	if !json.Valid(value) {
		return errors.New("it is not valid JSON")
	}
	if in {
		return fitsInput(s, field, value)
	}
	return fitsOutput(field, value)
}

// brokenRule returns what a text breaks of the field's schema, or "".
func brokenRule(field *plan.Field, text string) string {
	value, ok := valueOf(field, text)
	if !ok {
		return ""
	}
	return violation(New(NewNames(), "", nil).field(field, true), value)
}

// violation returns the constraint of a schema that a value of its type breaks, or
// "". Formats are hints, and what a reference leads to has constraints of its own.
func violation(schema object, value any) string {
	var names []string
	switch value := value.(type) {
	case string:
		n := float64(utf8.RuneCountInString(value))
		names = broken(schema, n, "minLength", "maxLength")
		if pattern, ok := schema["pattern"].(string); ok && !regexp.MustCompile(pattern).MatchString(value) {
			names = append(names, "pattern")
		}
	case json.Number:
		n, _ := value.Float64() // infinite beyond its range
		names = broken(schema, n, "minimum", "maximum")
		if least, ok := schema["exclusiveMinimum"].(float64); ok && n <= least {
			names = append(names, "exclusiveMinimum")
		}
		if most, ok := schema["exclusiveMaximum"].(float64); ok && n >= most {
			names = append(names, "exclusiveMaximum")
		}
	case []any:
		names = broken(schema, float64(len(value)), "minItems", "maxItems")
		if schema["uniqueItems"] == true && repeats(value) {
			names = append(names, "uniqueItems")
		}
	case map[string]any:
		names = broken(schema, float64(len(value)), "minProperties", "maxProperties")
	}
	if enum, ok := schema["enum"].([]any); ok && !slices.ContainsFunc(enum, func(one any) bool { return fmt.Sprint(one) == fmt.Sprint(value) }) {
		names = append(names, "enum")
	}
	if len(names) > 0 {
		return fmt.Sprint(names[0], " ", schema[names[0]])
	}
	return violationInside(schema, value)
}

// violationInside is violation of the elements of a list or a map.
func violationInside(schema object, value any) string {
	var elements []any
	name := "items"
	switch value := value.(type) {
	case []any:
		elements = value
	case map[string]any:
		elements, name = slices.Collect(maps.Values(value)), "additionalProperties"
	}
	of, _ := schema[name].(object)
	for _, element := range elements {
		if rule := violation(of, element); rule != "" {
			return rule
		}
	}
	return ""
}

// broken returns the bound that a number is beyond.
func broken(schema object, n float64, least, most string) []string {
	bound := func(name string) (float64, bool) {
		switch bound := schema[name].(type) {
		case int64:
			return float64(bound), true
		case float64:
			return bound, true
		}
		return 0, false
	}
	if b, ok := bound(least); ok && n < b {
		return []string{least}
	}
	if b, ok := bound(most); ok && n > b {
		return []string{most}
	}
	return nil
}

func repeats(list []any) bool {
	seen := map[string]bool{}
	for _, element := range list {
		text, _ := json.Marshal(element)
		if seen[string(text)] {
			return true
		}
		seen[string(text)] = true
	}
	return false
}

// fitsInput reads the value as a request's.
func fitsInput(s *plan.Type, field *plan.Field, value []byte) error {
	decoder, err := jsonin.Compile(s, jsonin.Options{Use: func(f *plan.Field) bool { return f == field }})
	if err != nil {
		return err
	}
	name, _ := json.Marshal(field.Name)
	object := bytes.Join([][]byte{[]byte("{"), name, []byte(":"), value, []byte("}")}, nil)
	err = decoder.Decode(object, reflect.New(s.Go).Elem(), nil)
	if wrong, ok := errors.AsType[*jsonin.FieldsError](err); ok {
		return fmt.Errorf("%s %s", wrong.Fields[0].Pointer, wrong.Fields[0].Message)
	}
	return err
}

// fitsOutput reads the value into the field's type, if it can be read at all.
func fitsOutput(field *plan.Field, value []byte) error {
	if len(field.Type.Unreadable()) > 0 {
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

// isText reports whether a field is a string on the wire.
func isText(field *plan.Field) bool {
	switch field.Type.Base().Kind {
	case plan.String, plan.Text, plan.Time, plan.Bytes:
		return true
	}
	return field.Quoted
}

// valueOf reads the text of a tag. [CheckExamples] has looked at it; what is no
// JSON is still none, so that this never fails.
func valueOf(field *plan.Field, text string) (value any, ok bool) {
	if isText(field) {
		return text, true
	}
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber() // which float64 may not hold
	err := decoder.Decode(&value)
	return value, err == nil
}
