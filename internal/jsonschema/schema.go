// Package jsonschema describes types and their rules in JSON Schema 2020-12
// (https://json-schema.org/draft/2020-12/json-schema-validation).
package jsonschema

import (
	"encoding/json"
	"math"
	"net/netip"
	"reflect"
	"strings"

	"github.com/seed-215b9b7c/backend/internal/plan"
	"github.com/seed-215b9b7c/backend/internal/validation"
)

// Object is a JSON object. encoding/json writes its keys in alphabetical order.
type Object = map[string]any

type object = Object

// Relation is a property that objects of a type have if they are asked for it, or
// always.
type Relation struct {
	Name, Doc string
	Child     *plan.Type
	Always    bool
}

// Schemas are the schemas of one document. Structs with a name, and types that
// hold themselves, are components of it: they are described once, and referred to
// elsewhere. Schemas are not safe for concurrent use.
type Schemas struct {
	names     *Names
	prefix    string                      // of references
	relations map[reflect.Type][]Relation // of structs
	all       object                      // by name
	root      *plan.Type                  // what "#" refers to; nil: nothing
	lenient   bool                        // inputs may have other properties
}

// New returns no schemas yet. prefix is where the document has its components,
// such as "#/$defs/". relations are those of structs, wherever they are part of
// an output.
func New(names *Names, prefix string, relations map[reflect.Type][]Relation) *Schemas {
	return &Schemas{names: names, prefix: prefix, relations: relations, all: object{}}
}

// Lenient returns schemas of the same document whose inputs may have other properties.
// Their components have names of their own.
func (s *Schemas) Lenient() *Schemas {
	lenient := *s
	lenient.lenient = true
	return &lenient
}

// Document returns the schema of a type by itself, with the components in $defs.
// The root is the type's own schema, not a reference to a component. lenient says that
// an input may have other properties.
func Document(t *plan.Type, direction plan.Direction, lenient bool) ([]byte, error) {
	s := New(NewNames(), "#/$defs/", nil)
	s.lenient = lenient
	var root object
	if isComponent(t) {
		s.root = t
		root = s.whole(t, direction == plan.In)
	} else {
		root = s.schema(t, direction == plan.In)
	}
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	if len(s.all) > 0 {
		root["$defs"] = s.all
	}
	return json.Marshal(root)
}

// All returns the components that the schemas so far refer to, by name. It is
// nobody else's: what is added to it is part of the document.
func (s *Schemas) All() Object { return s.all }

// Of returns the schema of a type.
func (s *Schemas) Of(t *plan.Type, direction plan.Direction) Object {
	return s.schema(t, direction == plan.In)
}

// OfFields returns the schema of an input that has only some fields of a struct,
// as a component. at is what has these fields of it, such as the name of an
// operation.
func (s *Schemas) OfFields(t *plan.Type, fields []*plan.Field, at string) Object {
	return s.component(s.names.of(nameKey{t.Go, true, s.lenient, at}, t), func() object { return s.structure(fields, true) })
}

// OfForm returns the schema of a form with some fields of an input. A bool that is absent
// is false, as an unchecked box, and a list may be absent.
func (s *Schemas) OfForm(fields []*plan.Field) Object {
	properties := object{}
	var required []string
	for _, field := range fields {
		properties[field.Name] = s.OfText(field)
		kind := field.Type.Base().Kind
		if field.Required && kind != plan.Slice && kind != plan.Bool || !field.HasDefault && validation.Demands(field) {
			required = append(required, field.Name)
		}
	}
	schema := object{"type": "object", "properties": properties}
	if len(required) > 0 {
		schema["required"] = required
	}
	if !s.lenient {
		schema["additionalProperties"] = false
	}
	return schema
}

// OfText returns the schema of a field of an input that comes as text, such as a
// parameter. Text is never null, and is in no quotes.
func (s *Schemas) OfText(field *plan.Field) Object {
	text := *field
	text.Type, text.Quoted = field.Type.Base(), false
	schema := s.ruledField(&text, validation.ConstraintsOf(field)) // "" is not null, which required refuses of a pointer
	for _, part := range []any{schema, schema["items"]} {
		if part, ok := part.(object); ok && part["contentEncoding"] != nil {
			part["contentEncoding"] = "base64url"
		}
	}
	return schema
}

// OfField returns the schema of a field of an input, with what its tags say.
func (s *Schemas) OfField(field *plan.Field) Object { return s.field(field, true) }

// schema returns the schema of a type: a reference if it is a component.
func (s *Schemas) schema(t *plan.Type, in bool) object {
	if t == s.root {
		return object{"$ref": "#"}
	}
	if isComponent(t) {
		return s.component(s.names.of(nameKey{t.Go, in, in && s.lenient, ""}, t), func() object { return s.whole(t, in) })
	}
	switch t.Kind {
	case plan.Bool:
		return object{"type": "boolean"}
	case plan.Int, plan.Uint:
		return integer(t)
	case plan.Float:
		return object{"type": "number", "format": map[int]string{32: "float", 64: "double"}[t.Bits]}
	case plan.String:
		return object{"type": "string"}
	case plan.Text:
		return text(t)
	case plan.Bytes:
		return nullableIf(!in, object{"type": "string", "contentEncoding": "base64"})
	case plan.Time:
		return object{"type": "string", "format": "date-time"}
	case plan.Duration:
		return object{"type": "integer", "format": "int64", "description": "In nanoseconds."}
	case plan.Slice, plan.Array, plan.Map:
		return s.collection(t, in)
	case plan.Pointer, plan.Opt:
		return nullable(s.schema(t.Elem, in))
	case plan.Struct:
		return s.fields(t, in)
	}
	return object{} // Raw and Custom: anything
}

// integer returns the schema of an integer. Its format is one that generators of
// clients know and that all its values fit in. No format is usual for uint64.
func integer(t *plan.Type) object {
	schema := object{"type": "integer", "format": "int64"}
	bits := float64(t.Bits)
	switch {
	case t.Kind == plan.Int && t.Bits < 32:
		schema["minimum"], schema["maximum"] = -math.Exp2(bits-1), math.Exp2(bits-1)-1
	case t.Kind == plan.Uint && t.Bits < 64:
		schema["minimum"], schema["maximum"] = 0.0, math.Exp2(bits)-1
	case t.Kind == plan.Uint:
		schema["minimum"], schema["format"] = 0.0, "uint64"
	}
	if t.Bits < 32 || t.Bits == 32 && t.Kind == plan.Int {
		schema["format"] = "int32"
	}
	return schema
}

// text returns the schema of a type that writes and reads text by itself.
func text(t *plan.Type) object {
	switch {
	case plan.IsID(t.Go):
		return object{"type": "string", "pattern": "^(0|-?[1-9][0-9]*)$", "examples": []any{"1"}}
	case plan.IsUpload(t.Go):
		return object{"type": "string", "contentMediaType": "application/octet-stream"} // OpenAPI 3.1.0, section 4.8.14.5
	case t.Go == reflect.TypeFor[netip.Addr]():
		return object{"type": "string", "description": "An IP address.", "examples": []any{"192.0.2.1"}}
	}
	return object{"type": "string"}
}

// collection returns the schema of a slice, an array or a map.
func (s *Schemas) collection(t *plan.Type, in bool) object {
	elem := s.schema(t.Elem, in)
	switch t.Kind {
	case plan.Array:
		return object{"type": "array", "items": elem, "minItems": int64(t.Len), "maxItems": int64(t.Len)}
	case plan.Map:
		return object{"type": "object", "additionalProperties": elem}
	}
	return object{"type": "array", "items": elem}
}

// holds reports whether a type has another as a part, other than through a struct
// with a name. A type that holds itself has no end if it is written out.
func holds(t, part *plan.Type, seen map[*plan.Type]bool) bool {
	if t == part {
		return true
	}
	if seen[t] || t.Kind == plan.Struct && t.Name != "" {
		return false
	}
	seen[t] = true
	if t.Elem != nil {
		return holds(t.Elem, part, seen)
	}
	for _, field := range t.Fields {
		if holds(field.Type, part, seen) {
			return true
		}
	}
	return false
}

// isComponent reports whether a type has a schema of its own, which others refer
// to.
func isComponent(t *plan.Type) bool {
	switch t.Kind {
	case plan.Struct:
		return t.Name != ""
	case plan.Slice, plan.Array, plan.Map:
		return t.Name != "" && holds(t.Elem, t, map[*plan.Type]bool{})
	}
	return false
}

// component returns a reference to the component with a name, which write writes
// if there is none yet.
func (s *Schemas) component(name string, write func() object) object {
	if _, known := s.all[name]; !known {
		s.all[name] = nil // before its parts, which may be it again
		s.all[name] = write()
	}
	return object{"$ref": s.prefix + name}
}

// whole returns the schema of a type that others refer to.
func (s *Schemas) whole(t *plan.Type, in bool) object {
	if t.Kind == plan.Struct {
		return s.fields(t, in)
	}
	return s.collection(t, in)
}

// fields returns the schema of all fields of a struct, and of its relations, which an
// answer needs to have only if they are always loaded.
func (s *Schemas) fields(t *plan.Type, in bool) object {
	schema := s.structure(t.Fields, in)
	if relations := s.relations[t.Go]; !in {
		for _, r := range relations {
			schema["properties"].(object)[r.Name] = s.relation(r)
			if r.Always {
				required, _ := schema["required"].([]string)
				schema["required"] = append(required, r.Name)
			}
		}
	}
	if plan.IsPage(t.Go) { // its total is never null if it has one
		properties := schema["properties"].(object)
		properties["total"] = notNull(properties["total"].(object))
	}
	return schema
}

func (s *Schemas) relation(r Relation) object {
	schema := s.schema(r.Child, false)
	switch {
	case !r.Always:
		schema["description"] = strings.TrimSpace(r.Doc + " (only if include asks for it)")
	case r.Doc != "":
		schema["description"] = r.Doc
	}
	return schema
}

// structure returns the schema of an object with these fields.
func (s *Schemas) structure(fields []*plan.Field, in bool) object {
	properties := object{}
	var required []string
	for _, field := range fields {
		properties[field.Name] = s.field(field, in)
		if in && validation.Needs(field) || !in && !field.OmitEmpty && !field.OmitZero {
			required = append(required, field.Name)
		}
	}
	schema := object{"type": "object", "properties": properties}
	if len(required) > 0 {
		schema["required"] = required
	}
	if in && !s.lenient {
		schema["additionalProperties"] = false
	}
	return schema
}

// field returns the schema of a field, with what its tags say.
func (s *Schemas) field(field *plan.Field, in bool) object {
	if in {
		return s.ruledField(field, constraintsOf(field))
	}
	schema := s.bareField(field, false)
	if omitsNull(field) {
		schema = notNull(schema)
	}
	return annotate(schema, field)
}

// ruledField returns the schema of a field of an input, with rules that may be
// others than its own.
func (s *Schemas) ruledField(field *plan.Field, rules *validation.Constraints) object {
	return annotate(constrain(s.bareField(field, true), rules), field)
}

// bareField returns the schema of a field as its type and its json tag say.
func (s *Schemas) bareField(field *plan.Field, in bool) object {
	schema := s.schema(field.Type, in)
	if field.Quoted {
		schema = nullableIf(field.Type.Kind == plan.Pointer, object{"type": "string"})
	}
	return schema
}

// annotate adds what the tags doc, format and example say.
func annotate(schema object, field *plan.Field) object {
	if field.Doc != "" {
		schema["description"] = field.Doc // beside $ref, too, since 3.1
		if field.Type.Base().Kind == plan.Duration && !field.Quoted {
			schema["description"] = strings.TrimSuffix(field.Doc, ".") + ", in nanoseconds."
		}
	}
	if field.Format != "" {
		schema["format"] = field.Format
	}
	if value, ok := valueOf(field, field.Example); ok && field.Example != "" {
		schema["examples"] = []any{value}
	}
	if value, ok := valueOf(field, field.Default); ok && field.HasDefault {
		schema["default"] = value
	}
	return schema
}

// constraintsOf returns what the rules of a field mean for its schema. What is
// said of a text does not hold for it in quotes.
func constraintsOf(field *plan.Field) *validation.Constraints {
	c := validation.ConstraintsOf(field)
	if !field.Quoted {
		return c
	}
	quoted := &validation.Constraints{Required: c.Required}
	if field.Type.Base().Kind != plan.String {
		quoted.Enum = c.Enum
	}
	return quoted
}

// omitsNull reports whether a field of an output is left out wherever it would be
// null. A pointer may lead to bytes that are null, an Opt that is present may be null, and a
// type may have a zero of its own.
func omitsNull(field *plan.Field) bool {
	switch t := field.Type; t.Kind {
	case plan.Bytes:
		own := reflect.TypeFor[interface{ IsZero() bool }]()
		return field.OmitEmpty || field.OmitZero && !reflect.PointerTo(t.Go).Implements(own)
	case plan.Pointer:
		return (field.OmitEmpty || field.OmitZero) && t.Elem.Kind != plan.Bytes
	}
	return false
}

func nullableIf(is bool, schema object) object {
	if is {
		return nullable(schema)
	}
	return schema
}

// nullable returns the schema that allows null as well.
func nullable(schema object) object {
	switch kind := schema["type"].(type) {
	case string:
		schema["type"] = []string{kind, "null"}
		return schema
	case []string:
		return schema
	}
	if len(schema) == 0 || schema["anyOf"] != nil {
		return schema
	}
	return object{"anyOf": []object{schema, {"type": "null"}}}
}

// notNull undoes nullable.
func notNull(schema object) object {
	if either, ok := schema["anyOf"].([]object); ok {
		return either[0]
	}
	if kinds, ok := schema["type"].([]string); ok {
		schema["type"] = kinds[0]
	}
	return schema
}

// typeOf returns the type that a schema asks for, null aside.
func typeOf(schema object) string {
	switch kind := schema["type"].(type) {
	case string:
		return kind
	case []string:
		return kind[0]
	}
	return ""
}

// constrain returns the schema with what validation asks for, as far as it means
// something for the schema's type.
func constrain(schema object, c *validation.Constraints) object {
	if c.Required || c.NotNull {
		schema = notNull(schema)
	}
	switch typeOf(schema) {
	case "string":
		atLeast(schema, "minLength", c.MinLength)
		atMost(schema, "maxLength", c.MaxLength)
		if c.Format != "" {
			schema["format"] = c.Format
		}
		if c.Pattern != "" {
			schema["pattern"] = c.Pattern
		}
	case "integer", "number":
		atLeast(schema, "minimum", c.Minimum)
		atMost(schema, "maximum", c.Maximum)
		atLeast(schema, "exclusiveMinimum", c.ExclusiveMinimum)
		atMost(schema, "exclusiveMaximum", c.ExclusiveMaximum)
	case "array":
		atLeast(schema, "minItems", c.MinItems)
		atMost(schema, "maxItems", c.MaxItems)
		if c.Unique {
			schema["uniqueItems"] = true
		}
	case "object":
		atLeast(schema, "minProperties", c.MinItems)
		atMost(schema, "maxProperties", c.MaxItems)
	}
	enumerate(schema, c.Enum)
	for _, name := range []string{"items", "additionalProperties"} {
		if elem, ok := schema[name].(object); ok && c.Items != nil {
			schema[name] = constrain(elem, c.Items)
		}
	}
	return schema
}

// atLeast and atMost keep the tighter one of two bounds.
func atLeast[T int64 | float64](schema object, name string, bound *T) {
	if old, ok := schema[name].(T); bound != nil && (!ok || *bound > old) {
		schema[name] = *bound
	}
}

func atMost[T int64 | float64](schema object, name string, bound *T) {
	if old, ok := schema[name].(T); bound != nil && (!ok || *bound < old) {
		schema[name] = *bound
	}
}

// enumerate lists the values that are allowed, null included if it is.
func enumerate(schema object, values []string) {
	var enum []any
	for _, value := range values {
		switch typeOf(schema) {
		case "string":
			enum = append(enum, value)
		case "integer", "number":
			if json.Valid([]byte(value)) {
				enum = append(enum, json.Number(value))
			}
		}
	}
	if len(enum) != len(values) || len(enum) == 0 {
		return
	}
	if _, null := schema["type"].([]string); null {
		enum = append(enum, nil)
	}
	schema["enum"] = enum
}
