// Package openapi writes OpenAPI 3.1.0 (https://spec.openapis.org/oas/v3.1.0) from
// the plans of operations' types.
package openapi

import (
	"encoding/json"
	"path"
	"strconv"
	"strings"

	"github.com/seed-215b9b7c/backend/internal/plan"
	"github.com/seed-215b9b7c/backend/internal/validation"
)

// Info is what is said about the whole API.
type Info struct {
	Title, Version, Description, License, Server string
	Bearer                                       bool
	Cookie                                       string
}

// Operation is one operation at one path.
type Operation struct {
	ID, Method, Path     string
	Summary, Description string
	Tags                 []string
	Deprecated, Secured  bool
	Access               string // who may call, in words
	Params               []Param
	Body                 *plan.Type    // nil: none
	BodyFields           []*plan.Field // those of Body that are in the body; nil: all
	Status               int
	Out                  *plan.Type // nil: no content
	Located              bool       // has a Location header
	Key, KeyRequired     bool       // takes an Idempotency-Key
	Match, MatchRequired bool       // takes an If-Match
}

// Param is a parameter that is text.
type Param struct {
	Place, Name string
	Field       *plan.Field
}

// object is a JSON object; its keys are written in alphabetical order.
type object = map[string]any

// Document is a description to which operations are added. It is written by
// encoding/json.
type Document struct {
	info    Info
	paths   object
	schemas object
	names   map[schemaKey]string // of the schemas
	taken   map[string]schemaKey
	tags    []string
}

// schemaKey tells schemas apart: a type may look different as input and as
// output.
type schemaKey struct {
	name string // package and name of the Go type
	in   bool
	at   string // operation, if only some fields are meant
}

// New returns a description without operations.
func New(info Info) *Document {
	return &Document{info: info, paths: object{}, schemas: object{}, names: map[schemaKey]string{}, taken: map[string]schemaKey{}}
}

// MarshalJSON writes the description.
func (d *Document) MarshalJSON() ([]byte, error) {
	info := object{"title": d.info.Title, "version": d.info.Version}
	if d.info.Description != "" {
		info["description"] = d.info.Description
	}
	if d.info.License != "" {
		info["license"] = object{"name": d.info.License, "identifier": d.info.License}
	}
	d.schemas["Problem"] = problemSchema()
	components := object{
		"schemas": d.schemas,
		"responses": object{"Problem": object{
			"description": "An error (RFC 9457).",
			"content":     object{"application/problem+json": object{"schema": ref("Problem")}},
		}},
	}
	if schemes := d.schemes(); len(schemes) > 0 {
		components["securitySchemes"] = schemes
	}
	document := object{
		"openapi": "3.1.0", "info": info, "servers": []object{{"url": d.info.Server}},
		"paths": d.paths, "components": components,
	}
	if len(d.tags) > 0 {
		var tags []object
		for _, tag := range d.tags {
			tags = append(tags, object{"name": tag})
		}
		document["tags"] = tags
	}
	return json.Marshal(document)
}

func (d *Document) schemes() object {
	schemes := object{}
	if d.info.Bearer {
		schemes["bearer"] = object{"type": "http", "scheme": "bearer"}
	}
	if d.info.Cookie != "" {
		schemes["cookie"] = object{"type": "apiKey", "in": "cookie", "name": d.info.Cookie}
	}
	return schemes
}

// Add adds an operation.
func (d *Document) Add(op Operation) {
	at, ok := d.paths[op.Path].(object)
	if !ok {
		at = object{}
		d.paths[op.Path] = at
	}
	at[op.Method] = d.operation(op)
	for _, tag := range op.Tags {
		known := false
		for _, other := range d.tags {
			known = known || other == tag
		}
		if !known {
			d.tags = append(d.tags, tag)
		}
	}
}

func (d *Document) operation(op Operation) object {
	described := object{"operationId": op.ID, "responses": d.responses(op), "security": []object{}}
	if op.Secured {
		described["security"] = d.security()
		op.Description = strings.TrimSpace(op.Description + "\n\nWho may call: " + op.Access + ".")
	}
	put(described, "summary", op.Summary)
	put(described, "description", op.Description)
	if len(op.Tags) > 0 {
		described["tags"] = op.Tags
	}
	if op.Deprecated {
		described["deprecated"] = true
	}
	if params := d.params(op); len(params) > 0 {
		described["parameters"] = params
	}
	if op.Body != nil {
		types := object{"application/json": object{"schema": d.body(op)}}
		if op.Method == "patch" {
			types["application/merge-patch+json"] = types["application/json"]
		}
		described["requestBody"] = object{"required": true, "content": types}
	}
	return described
}

func put(o object, name, value string) {
	if value != "" {
		o[name] = value
	}
}

// security lists the ways to authenticate, any of which will do.
func (d *Document) security() []object {
	all := []object{}
	for name := range d.schemes() {
		all = append(all, object{name: []string{}})
	}
	if len(all) == 2 { // in a fixed order
		all = []object{{"bearer": []string{}}, {"cookie": []string{}}}
	}
	return all
}

func (d *Document) params(op Operation) []object {
	var params []object
	for _, p := range op.Params {
		schema := d.field(p.Field, true)
		param := object{"name": p.Name, "in": p.Place, "schema": schema}
		if p.Field.Required && p.Field.Type.Kind != plan.Slice || p.Place == "path" {
			param["required"] = true
		}
		if text, ok := schema["description"]; ok {
			delete(schema, "description")
			param["description"] = text
		}
		params = append(params, param)
	}
	header := func(name, description string, required bool) {
		param := object{"name": name, "in": "header", "description": description, "schema": object{"type": "string"}}
		if required {
			param["required"] = true
		}
		params = append(params, param)
	}
	if op.Key {
		header("Idempotency-Key", "A value that is new for each new request; the same request sent again under it is not carried out again.", op.KeyRequired)
	}
	if op.Match {
		header("If-Match", "The ETag of the version that is meant to be changed.", op.MatchRequired)
	}
	return params
}

func (d *Document) body(op Operation) object {
	if op.BodyFields == nil || len(op.BodyFields) == len(op.Body.Fields) {
		return d.schema(op.Body, true)
	}
	name := d.name(schemaKey{goName(op.Body), true, op.ID}, op.Body)
	d.schemas[name] = d.structure(op.BodyFields, true)
	return ref(name)
}

func (d *Document) responses(op Operation) object {
	success := object{"description": "Success."}
	if op.Out != nil {
		success["content"] = object{"application/json": object{"schema": d.schema(op.Out, false)}}
	}
	if op.Located {
		success["headers"] = object{"Location": object{"description": "The path of what was created.", "schema": object{"type": "string"}}}
	}
	problem := object{"$ref": "#/components/responses/Problem"}
	return object{strconv.Itoa(op.Status): success, "4XX": problem, "5XX": problem}
}

func ref(name string) object { return object{"$ref": "#/components/schemas/" + name} }

// goName returns a name that only this type has.
func goName(t *plan.Type) string { return t.Go.PkgPath() + "." + t.Go.Name() }

// name returns the name of a schema: the type's, or with its package if another
// type has that, and with Input if the type as output has that.
func (d *Document) name(key schemaKey, t *plan.Type) string {
	if name, ok := d.names[key]; ok {
		return name
	}
	candidates := []string{t.Name, t.Name + "Input", capital(path.Base(t.Go.PkgPath())) + t.Name, capital(path.Base(t.Go.PkgPath())) + t.Name + "Input", capital(key.at) + t.Name}
	if !key.in {
		candidates = []string{t.Name, capital(path.Base(t.Go.PkgPath())) + t.Name, t.Name + "Output"}
	}
	name := ""
	for _, candidate := range candidates {
		if _, taken := d.taken[candidate]; !taken && candidate != "Problem" && candidate != "" {
			name = candidate
			break
		}
	}
	for i := 2; name == ""; i++ {
		if candidate := t.Name + strconv.Itoa(i); d.taken[candidate] == (schemaKey{}) {
			name = candidate
		}
	}
	d.names[key], d.taken[name] = name, key
	return name
}

// capital returns a name as part of another: without what schema names cannot
// have, and beginning with a capital.
func capital(name string) string {
	name = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' {
			return r
		}
		return -1
	}, name)
	if name == "" {
		return ""
	}
	return strings.ToUpper(name[:1]) + name[1:]
}

// schema returns the schema of a type, a reference for structs with a name.
func (d *Document) schema(t *plan.Type, in bool) object {
	switch t.Kind {
	case plan.Bool:
		return object{"type": "boolean"}
	case plan.Int:
		return object{"type": "integer", "format": format(t.Bits)}
	case plan.Uint:
		return object{"type": "integer", "format": format(t.Bits), "minimum": 0}
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
		return object{"type": "integer", "format": "int64", "description": "Nanoseconds."}
	case plan.Slice:
		return nullableIf(!in, object{"type": "array", "items": d.schema(t.Elem, in)})
	case plan.Array:
		return object{"type": "array", "items": d.schema(t.Elem, in), "minItems": t.Len, "maxItems": t.Len}
	case plan.Map:
		return nullableIf(!in, object{"type": "object", "additionalProperties": d.schema(t.Elem, in)})
	case plan.Pointer, plan.Opt:
		return nullable(d.schema(t.Elem, in))
	case plan.Struct:
		return d.structSchema(t, in)
	}
	return object{} // Raw and Custom: anything
}

func format(bits int) string {
	if bits <= 32 {
		return "int32"
	}
	return "int64"
}

// text returns the schema of a type that is text by its own doing.
func text(t *plan.Type) object {
	switch goName(t) {
	case "github.com/seed-215b9b7c/backend.ID":
		return object{"type": "string", "pattern": "^-?[0-9]+$"}
	case "net/netip.Addr":
		return object{"type": "string", "description": "An IP address."}
	}
	return object{"type": "string"}
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
	if len(schema) == 0 {
		return schema
	}
	return object{"anyOf": []object{schema, {"type": "null"}}}
}

func (d *Document) structSchema(t *plan.Type, in bool) object {
	if t.Name == "" {
		return d.structure(t.Fields, in)
	}
	key := schemaKey{goName(t), in, ""}
	if name, known := d.names[key]; known {
		return ref(name)
	}
	name := d.name(key, t)
	d.schemas[name] = object{} // for types that hold themselves
	structure := d.structure(t.Fields, in)
	if isPage(t) { // whose list is never null
		properties := structure["properties"].(object)
		properties["items"] = notNull(properties["items"].(object))
	}
	d.schemas[name] = structure
	return ref(name)
}

func isPage(t *plan.Type) bool {
	return strings.HasPrefix(goName(t), "github.com/seed-215b9b7c/backend.Page[")
}

// structure returns the schema of an object with these fields.
func (d *Document) structure(fields []*plan.Field, in bool) object {
	properties := object{}
	var required []string
	for _, field := range fields {
		properties[field.Name] = d.field(field, in)
		if in && field.Required || !in && !field.OmitEmpty && !field.OmitZero {
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

// field returns the schema of a field, with what its tags say.
func (d *Document) field(field *plan.Field, in bool) object {
	schema := d.schema(field.Type, in)
	if field.Quoted {
		schema = object{"type": "string"}
	}
	if !in && field.OmitEmpty { // never null: it is left out then
		schema = notNull(schema)
	}
	if in {
		constrain(schema, validation.ConstraintsOf(field))
	}
	extra := object{}
	put(extra, "description", field.Doc)
	if field.Example != "" {
		extra["examples"] = []any{example(field)}
	}
	if len(extra) == 0 {
		return schema
	}
	for name, value := range extra {
		schema[name] = value // beside $ref, too, since 3.1
	}
	return schema
}

func notNull(schema object) object {
	if kinds, ok := schema["type"].([]string); ok && len(kinds) == 2 {
		schema["type"] = kinds[0]
	}
	return schema
}

// example reads an example tag as JSON if it is that for its field, and as text
// otherwise.
func example(field *plan.Field) any {
	t := field.Type
	for t.Kind == plan.Pointer || t.Kind == plan.Opt {
		t = t.Elem
	}
	switch t.Kind {
	case plan.String, plan.Text, plan.Time, plan.Bytes:
		return field.Example
	}
	var value any
	if err := json.Unmarshal([]byte(field.Example), &value); err != nil {
		return field.Example
	}
	return value
}

// constrain adds what validation asks for.
func constrain(schema object, c *validation.Constraints) {
	set := func(name string, value *int64) {
		if value != nil {
			schema[name] = *value
		}
	}
	number := func(name string, value *float64) {
		if value != nil {
			schema[name] = *value
		}
	}
	set("minLength", c.MinLength)
	set("maxLength", c.MaxLength)
	set("minItems", c.MinItems)
	set("maxItems", c.MaxItems)
	number("minimum", c.Minimum)
	number("maximum", c.Maximum)
	number("exclusiveMinimum", c.ExclusiveMinimum)
	number("exclusiveMaximum", c.ExclusiveMaximum)
	if len(c.Enum) > 0 && schema["type"] == "string" {
		schema["enum"] = c.Enum
	}
	put(schema, "format", c.Format)
	if c.Unique {
		schema["uniqueItems"] = true
	}
	if items, ok := schema["items"].(object); ok && c.Items != nil {
		constrain(items, c.Items)
	}
}

// problemSchema describes what WriteError writes.
func problemSchema() object {
	return object{
		"type": "object",
		"properties": object{
			"type":      object{"type": "string"},
			"title":     object{"type": "string"},
			"status":    object{"type": "integer"},
			"detail":    object{"type": "string"},
			"code":      object{"type": "string", "description": "The kind of error, for programs."},
			"requestId": object{"type": "string"},
			"errors": object{"type": "array", "items": object{
				"type": "object",
				"properties": object{
					"pointer": object{"type": "string", "description": "Where the field is (RFC 6901)."},
					"rule":    object{"type": "string"},
					"detail":  object{"type": "string"},
				},
				"required": []string{"pointer", "detail"},
			}},
		},
		"required": []string{"type", "title", "status", "detail", "code"},
	}
}
