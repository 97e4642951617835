package openapi

import (
	"encoding/json"
	"math"
	"net/netip"
	"path"
	"reflect"
	"strconv"
	"strings"

	"github.com/seed-215b9b7c/backend/internal/plan"
	"github.com/seed-215b9b7c/backend/internal/validation"
)

// This file writes types as JSON Schema 2020-12
// (https://json-schema.org/draft/2020-12/json-schema-validation).

// goName returns a type's package and name. Types in functions may share it.
func goName(t reflect.Type) string { return t.PkgPath() + "." + t.Name() }

// name returns a name for a schema that none has: the type's, or what tells it
// from those that have that. Types without a name are called by their operation.
func (d *Document) name(key schemaKey, of string) string {
	direction := "Output"
	if key.in {
		direction = "Input"
	}
	if of == "" {
		of, direction = capital(key.at)+direction, ""
	}
	from, at := capital(path.Base(key.of.PkgPath())), capital(key.at)
	candidates := []string{of, of + direction, from + of, from + of + direction, at + of}
	if !key.in {
		candidates = []string{of, from + of, of + direction}
	}
	for i := 2; ; i++ {
		for _, name := range candidates {
			if !d.taken[name] {
				d.names[key], d.taken[name] = name, true
				return name
			}
		}
		candidates = []string{of + strconv.Itoa(i)}
	}
}

// capital returns a name as part of another: without what schema names cannot
// have, and beginning with a capital.
func capital(name string) string {
	name = plain(name)
	if name == "" {
		return ""
	}
	return strings.ToUpper(name[:1]) + name[1:]
}

// plain leaves out what the names of components cannot have.
func plain(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' {
			return r
		}
		return -1
	}, name)
}

// schema returns the schema of a type, a reference for those with a component.
func (d *Document) schema(t *plan.Type, in bool) object {
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
		if t.Name != "" && holds(t.Elem, t, map[*plan.Type]bool{}) {
			return d.component(t, in, d.collection)
		}
		return d.collection(t, in)
	case plan.Pointer, plan.Opt:
		return nullable(d.schema(t.Elem, in))
	case plan.Struct:
		if t.Name == "" {
			return d.whole(t, in)
		}
		return d.component(t, in, d.whole)
	}
	return object{} // Raw and Custom: anything
}

// integer returns the schema of an integer. Its format is one that generators
// know and that all its values fit in; there is none that is usual for uint64.
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

// text returns the schema of a type that is text by its own doing.
func text(t *plan.Type) object {
	switch {
	case plan.IsID(t.Go):
		return object{"type": "string", "pattern": "^(0|-?[1-9][0-9]*)$", "examples": []any{"1"}}
	case t.Go == reflect.TypeFor[netip.Addr]():
		return object{"type": "string", "description": "An IP address.", "examples": []any{"192.0.2.1"}}
	}
	return object{"type": "string"}
}

// collection returns the schema of a slice, an array or a map.
func (d *Document) collection(t *plan.Type, in bool) object {
	elem := d.schema(t.Elem, in)
	switch t.Kind {
	case plan.Array:
		return object{"type": "array", "items": elem, "minItems": int64(t.Len), "maxItems": int64(t.Len)}
	case plan.Map:
		return nullableIf(!in, object{"type": "object", "additionalProperties": elem})
	}
	return nullableIf(!in, object{"type": "array", "items": elem})
}

// holds reports whether a type has another as a part, other than through a
// struct with a name: such a type would have no end if it was written out.
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

// component returns a reference to the schema that write writes, which is
// written once.
func (d *Document) component(t *plan.Type, in bool, write func(*plan.Type, bool) object) object {
	key := schemaKey{t.Go, in, ""}
	name, known := d.names[key]
	if !known {
		name = d.name(key, plain(t.Name)) // before its parts, which may be it again
		d.schemas[name] = write(t, in)
	}
	return ref(name)
}

// whole returns the schema of all fields of a struct, and of its relations,
// which no answer needs to have.
func (d *Document) whole(t *plan.Type, in bool) object {
	schema := d.structure(t.Fields, in)
	if relations := d.relations[t.Go]; !in {
		for _, r := range relations {
			schema["properties"].(object)[r.Name] = d.relation(r)
		}
	}
	if plan.IsPage(t.Go) { // its list is never null
		properties := schema["properties"].(object)
		properties["items"] = notNull(properties["items"].(object))
	}
	return schema
}

func (d *Document) relation(r Relation) object {
	schema := d.schema(r.Child, false)
	schema["description"] = strings.TrimSpace(r.Doc + " (only if include asks for it)")
	return schema
}

// structure returns the schema of an object with these fields.
func (d *Document) structure(fields []*plan.Field, in bool) object {
	properties := object{}
	var required []string
	for _, field := range fields {
		properties[field.Name] = d.field(field, in)
		if in && isRequired(field) || !in && !field.OmitEmpty && !field.OmitZero {
			required = append(required, field.Name)
		}
	}
	schema := object{"type": "object", "properties": properties}
	if len(required) > 0 {
		schema["required"] = required
	}
	if in {
		schema["additionalProperties"] = false
	}
	return schema
}

// isRequired reports whether an input must have a field: by its type, or by its
// rules.
func isRequired(field *plan.Field) bool {
	return field.Required || !field.HasDefault && validation.Demands(field)
}

// field returns the schema of a field, with what its tags say.
func (d *Document) field(field *plan.Field, in bool) object {
	if in {
		return d.ruledField(field, constraintsOf(field))
	}
	schema := d.bareField(field, false)
	if omitsNull(field) {
		schema = notNull(schema)
	}
	return annotate(schema, field)
}

// ruledField returns the schema of a field of an input, with rules that may be
// others than its own.
func (d *Document) ruledField(field *plan.Field, rules *validation.Constraints) object {
	return annotate(constrain(d.bareField(field, true), rules), field)
}

// bareField returns the schema of a field as its type and its json tag say.
func (d *Document) bareField(field *plan.Field, in bool) object {
	schema := d.schema(field.Type, in)
	if field.Quoted {
		schema = nullableIf(field.Type.Kind == plan.Pointer, object{"type": "string"})
	}
	return schema
}

// annotate adds what the tags doc and example say.
func annotate(schema object, field *plan.Field) object {
	if field.Doc != "" {
		schema["description"] = field.Doc // beside $ref, too, since 3.1
		if field.Type.Kind == plan.Duration {
			schema["description"] = strings.TrimSuffix(field.Doc, ".") + ", in nanoseconds."
		}
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
	if bare(field.Type).Kind != plan.String {
		quoted.Enum = c.Enum
	}
	return quoted
}

// omitsNull reports whether a field of an output is left out wherever it would be
// null. A pointer may lead to a list that is null, an Opt that is present may be
// null, and a type may have a zero of its own.
func omitsNull(field *plan.Field) bool {
	switch t := field.Type; t.Kind {
	case plan.Slice, plan.Map, plan.Bytes:
		own := reflect.TypeFor[interface{ IsZero() bool }]()
		return field.OmitEmpty || field.OmitZero && !reflect.PointerTo(t.Go).Implements(own)
	case plan.Pointer:
		list := t.Elem.Kind == plan.Slice || t.Elem.Kind == plan.Map || t.Elem.Kind == plan.Bytes
		return (field.OmitEmpty || field.OmitZero) && !list
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
	if c.Required {
		schema = notNull(schema)
	}
	switch typeOf(schema) {
	case "string":
		atLeast(schema, "minLength", c.MinLength)
		atMost(schema, "maxLength", c.MaxLength)
		put(schema, "format", c.Format)
		put(schema, "pattern", c.Pattern)
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
