// Package openapi writes OpenAPI 3.1.0 (https://spec.openapis.org/oas/v3.1.0) from
// the plans of operations' types.
package openapi

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/textproto"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/seed-215b9b7c/backend/internal/jsonschema"
	"github.com/seed-215b9b7c/backend/internal/lazyre"
	"github.com/seed-215b9b7c/backend/internal/plan"
	"github.com/seed-215b9b7c/backend/internal/validation"
)

// Info is what is said about the whole API.
type Info struct {
	Title, Version, Description, License string
	Servers                              []string   // URLs
	Schemes                              []Scheme   // any of which authenticates
	Codes                                []string   // of errors
	Error                                *plan.Type // the body of errors; nil: a problem (RFC 9457)
	ErrorType                            string     // the media type of Error
}

// Scheme is a way to authenticate: HTTP, a parameter (In and Name), OpenID Connect or
// OAuth 2.
type Scheme struct {
	ID, Description    string
	HTTP, BearerFormat string
	In, Name           string
	OpenIDConnectURL   string
	Flows              map[string]Flow
}

// Flow is a flow of OAuth 2.
type Flow struct {
	AuthorizationURL, TokenURL, RefreshURL string
	Scopes                                 map[string]string
}

// Operation is one operation at one path.
type Operation struct {
	ID, Method, Path     string
	Subtree              bool // the path goes on: its last parameter, or its last slash, stands for all that is left
	Summary, Description string
	Tags                 []string
	Deprecated, Secured  bool
	Access               string     // who may call, in words
	Scopes               [][]string // sets of scopes, one of which is needed
	Params               []Param
	Includes             []string            // relations that the query parameter include may ask for
	Body                 *plan.Type          // nil: none
	BodyFields           []*plan.Field       // those of Body that are in the body; nil: all
	BodyField            *plan.Field         // the field that is the body, instead of Body, or nil
	BodyTypes            []string            // nil: application/json
	Uploads              map[string][]string // the fields of a form that are files → their media types
	BodyOptional         bool                // a request may have no body
	BodyLenient          bool                // a body may have other fields, too
	Status               int
	MoreStatuses         []int             // other statuses of success
	Files                []string          // the media types of an output that is a file, instead of Out
	Redirects            bool              // the output is a redirect
	Headers              map[string]string // further headers of responses → descriptions
	Out                  *plan.Type        // nil: no content
	Located              bool              // has a Location header
	Tagged, Revalidated  bool              // has an ETag, and may be answered 304
	Paged                bool              // may have a Link to the next page
	Sunset               bool              // has a Sunset header; Deprecated ones have Deprecation
	Key, KeyRequired     bool              // takes an Idempotency-Key
	Match, MatchRequired bool              // takes an If-Match
	Failures             []string          // errors to expect, such as "401 unauthenticated"
}

// Param is a parameter that is text.
type Param struct {
	Place, Name string
	Field       *plan.Field
}

type object = jsonschema.Object

// Document is a description to which operations are added. It is written by
// encoding/json.
type Document struct {
	info    Info
	paths   object
	schemas *jsonschema.Schemas
	tags    []string
	shapes  map[string]string // of paths without their parameters' names → path
}

// Problem is the name of the schema of errors. The names of types must be others.
const Problem = "Problem"

// New returns a description without operations. names are those of types; other
// documents may share them. relations are those of structs, wherever they are part
// of an output.
func New(info Info, names *jsonschema.Names, relations map[reflect.Type][]jsonschema.Relation) *Document {
	return &Document{info: info, paths: object{}, schemas: jsonschema.New(names, "#/components/schemas/", relations), shapes: map[string]string{}}
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
	errorType, errorSchema := "application/problem+json", object{"$ref": "#/components/schemas/" + Problem}
	if d.info.Error != nil {
		errorType, errorSchema = d.info.ErrorType, d.schemas.Of(d.info.Error, plan.Out)
	}
	schemas := d.schemas.All()
	if d.info.Error == nil {
		schemas[Problem] = problemSchema(d.info.Codes)
	}
	components := object{
		"schemas": schemas,
		"responses": object{d.errorName(): object{
			"description": d.anError() + ".",
			"content":     object{errorType: object{"schema": errorSchema}},
			"headers":     heads(map[string]bool{"Retry-After": true, "WWW-Authenticate": true}),
		}},
		"headers": headerObjects(),
	}
	if schemes := d.schemes(); len(schemes) > 0 {
		components["securitySchemes"] = schemes
	}
	var servers []object
	for _, url := range d.info.Servers {
		servers = append(servers, object{"url": url})
	}
	document := object{
		"openapi": "3.1.0", "info": info, "servers": servers,
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

func headerObjects() object {
	all := object{}
	for name, description := range headers {
		kind := "string"
		if name == "Retry-After" {
			kind = "integer"
		}
		all[name] = object{"description": description, "schema": object{"type": kind}}
	}
	return all
}

// schemes returns the ways to authenticate.
func (d *Document) schemes() object {
	schemes := object{}
	for _, s := range d.info.Schemes {
		schemes[s.ID] = s.object()
	}
	return schemes
}

// object returns the Security Scheme Object (section 4.8.27).
func (s Scheme) object() object {
	o := object{}
	switch {
	case s.HTTP != "":
		o["type"], o["scheme"] = "http", strings.ToLower(s.HTTP)
	case s.In != "":
		o["type"], o["in"], o["name"] = "apiKey", s.In, s.Name
	case s.OpenIDConnectURL != "":
		o["type"], o["openIdConnectUrl"] = "openIdConnect", s.OpenIDConnectURL
	default:
		flows := object{}
		for name, flow := range s.Flows {
			flows[name] = flow.object()
		}
		o["type"], o["flows"] = "oauth2", flows
	}
	put(o, "bearerFormat", s.BearerFormat)
	put(o, "description", s.Description)
	return o
}

func (f Flow) object() object {
	scopes := object{} // required, though it may be empty
	for name, description := range f.Scopes {
		scopes[name] = description
	}
	o := object{"scopes": scopes}
	put(o, "authorizationUrl", f.AuthorizationURL)
	put(o, "tokenUrl", f.TokenURL)
	put(o, "refreshUrl", f.RefreshURL)
	return o
}

// Add adds an operation. OpenAPI knows no subtrees: one whose path looks like
// that of an operation which is none, with the same method, is left out.
func (d *Document) Add(op Operation) {
	d.unifyPath(&op)
	if d.isTaken(op) {
		return
	}
	at, ok := d.paths[op.Path].(object)
	if !ok {
		at = object{}
		d.paths[op.Path] = at
	}
	at[op.Method] = d.operation(op)
	for _, tag := range op.Tags {
		if !slices.Contains(d.tags, tag) {
			d.tags = append(d.tags, tag)
		}
	}
}

// isTaken reports whether the place of a subtree is taken. Where a subtree is in the
// place of another operation, that one takes it over.
func (d *Document) isTaken(op Operation) bool {
	at, _ := d.paths[op.Path].(object)
	return op.Subtree && at[op.Method] != nil
}

// unifyPath gives the path's parameters the names that they have in a path that
// was added before and differs only in those, for OpenAPI takes the two to be
// one.
func (d *Document) unifyPath(op *Operation) {
	shape := pathParameter().ReplaceAllString(op.Path, "{}")
	path, known := d.shapes[shape]
	if !known {
		d.shapes[shape] = op.Path
		return
	}
	before, after := pathParameter().FindAllString(op.Path, -1), pathParameter().FindAllString(path, -1)
	op.Path, op.Params = path, slices.Clone(op.Params)
	for i, p := range op.Params {
		if at := slices.Index(before, "{"+p.Name+"}"); p.Place == "path" && at >= 0 {
			op.Params[i].Name = strings.Trim(after[at], "{}")
		}
	}
}

var pathParameter = lazyre.New(`\{[^{}]*\}`)

func (d *Document) operation(op Operation) object {
	described := object{"operationId": op.ID, "responses": d.responses(op)}
	if !op.Secured {
		described["security"] = []object{} // none, rather than that of the document
	} else {
		if ways := d.security(op.Scopes); len(ways) > 0 {
			described["security"] = ways
		}
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
	if op.Body != nil || op.BodyField != nil {
		if op.BodyTypes == nil {
			op.BodyTypes = []string{"application/json"}
		}
		var schema object
		if slices.Contains(op.BodyTypes, "application/json") {
			schema = d.body(op)
		}
		body := object{}
		if !op.BodyOptional { // "required" is false by default
			body["required"] = true
		}
		if text, ok := schema["description"]; ok && op.BodyField != nil {
			delete(schema, "description")
			body["description"] = text
		}
		body["content"] = d.bodyTypes(op, schema)
		described["requestBody"] = body
	}
	return described
}

// bodyTypes returns the content of a request body by its media types. schema is that of
// JSON.
func (d *Document) bodyTypes(op Operation, schema object) object {
	content := object{}
	for _, mediaType := range op.BodyTypes {
		if mediaType != "application/json" {
			content[mediaType] = d.form(op)
			continue
		}
		content[mediaType] = object{"schema": schema}
		if op.Method == "patch" {
			content["application/merge-patch+json"] = content[mediaType]
		}
	}
	return content
}

// form returns the content of a form. The encoding says which files it takes (OpenAPI
// 3.1.0, section 4.8.15).
func (d *Document) form(op Operation) object {
	schemas := d.schemas
	if op.BodyLenient {
		schemas = schemas.Lenient()
	}
	form := object{"schema": schemas.OfForm(op.BodyFields)}
	encoding := object{}
	for name, types := range op.Uploads {
		if len(types) > 0 {
			encoding[name] = object{"contentType": strings.Join(types, ", ")}
		}
	}
	if len(encoding) > 0 {
		form["encoding"] = encoding
	}
	return form
}

func put(o object, name, value string) {
	if value != "" {
		o[name] = value
	}
}

// security lists the ways to authenticate, any of which will do. Only tokens of OAuth 2 and
// OpenID Connect have scopes (section 4.8.30).
func (d *Document) security(scopes [][]string) (ways []object) {
	for _, s := range d.info.Schemes {
		if len(scopes) == 0 || s.OpenIDConnectURL == "" && s.Flows == nil {
			ways = append(ways, object{s.ID: []string{}})
			continue
		}
		for _, set := range scopes {
			ways = append(ways, object{s.ID: append([]string{}, set...)})
		}
	}
	return ways
}

// params returns the parameters of an operation, without the headers that
// OpenAPI says elsewhere.
func (d *Document) params(op Operation) []object {
	var params []object
	known := map[string]bool{}
	for _, p := range op.Params {
		if p.Place == "header" {
			switch name := textproto.CanonicalMIMEHeaderKey(p.Name); name {
			case "Accept", "Authorization", "Content-Type":
				continue
			default:
				known[name] = true
			}
		}
		params = append(params, d.param(p))
	}
	if len(op.Includes) > 0 {
		params = append(params, includeParam(op.Includes))
	}
	header := func(name, description string, required bool, schema object) {
		param := object{"name": name, "in": "header", "description": description, "schema": schema}
		if required {
			param["required"] = true
		}
		if !known[name] {
			params = append(params, param)
		}
	}
	if op.Files != nil && op.Method == "get" {
		header("Range", "The part of the file to send, such as bytes=0-99; not every file can be sent in parts.", false, object{"type": "string"})
	}
	if op.Key {
		header("Idempotency-Key", "A value that is new for each new request; the same request sent again under it is not carried out again.",
			op.KeyRequired, object{"type": "string", "maxLength": 255})
	}
	if op.Match {
		header("If-Match", "The ETag of the version that is meant to be changed.", op.MatchRequired, object{"type": "string"})
	}
	return params
}

// includeParam returns the parameter that asks for relations.
func includeParam(paths []string) object {
	items := object{"type": "string", "enum": paths}
	return object{
		"name": "include", "in": "query", "description": "Further fields that the answer is to have; after a dot those of their values.",
		"schema": object{"type": "array", "items": items},
	}
}

// param returns one parameter. OpenAPI takes a slice to be repeated, as it is; in
// a path it has one element.
func (d *Document) param(p Param) object {
	schema := d.schemas.OfText(p.Field)
	if items, ok := schema["items"].(object); ok && p.Place == "path" {
		put(items, "description", p.Field.Doc)
		schema = items
	}
	param := object{"name": p.Name, "in": p.Place, "schema": schema}
	if p.Field.Required && p.Field.Type.Base().Kind != plan.Slice || !p.Field.HasDefault && validation.Demands(p.Field) || p.Place == "path" {
		param["required"] = true
	}
	if text, ok := schema["description"]; ok {
		delete(schema, "description")
		param["description"] = text
	}
	return param
}

// body returns the schema of a body, which may have only some fields of a type.
func (d *Document) body(op Operation) object {
	schemas := d.schemas
	if op.BodyLenient {
		schemas = schemas.Lenient()
	}
	if op.BodyField != nil {
		return schemas.OfField(op.BodyField)
	}
	if op.BodyFields == nil || len(op.BodyFields) == len(op.Body.Fields) {
		return schemas.Of(op.Body, plan.In)
	}
	return schemas.OfFields(op.Body, op.BodyFields, op.ID)
}

// headers are those that answers may have, by name.
var headers = map[string]string{
	"Content-Disposition":  "Whether to show or save the file, and its name (RFC 6266).",
	"Content-Range":        "Which part of the file it is (RFC 9110, section 14.4).",
	"Deprecation":          "Since when this should no longer be used (RFC 9745).",
	"ETag":                 "The version, for If-None-Match and If-Match.",
	"Idempotency-Replayed": "true if this is the answer to an earlier request with the same Idempotency-Key.",
	"Last-Modified":        "When the file was changed, for If-Modified-Since.",
	"Link":                 "The next page, with rel=\"next\"; missing on the last one.",
	"Location":             "The path of what was created.",
	"Retry-After":          "After how many seconds to try again.",
	"WWW-Authenticate":     "With a 401: by what scheme to authenticate. With a 403: the scopes that the token lacks.",
	"Sunset":               "When this will be gone (RFC 8594).",
}

// heads returns references to headers, those that are wanted, for a response.
func heads(wanted map[string]bool) object {
	all := object{}
	for name, is := range wanted {
		if is {
			all[name] = object{"$ref": "#/components/headers/" + name}
		}
	}
	return all
}

func (d *Document) responses(op Operation) object {
	headers := heads(map[string]bool{
		"Deprecation": op.Deprecated, "ETag": op.Tagged, "Idempotency-Replayed": op.Key, "Link": op.Paged, "Location": op.Located, "Sunset": op.Sunset,
		"Content-Disposition": op.Files != nil, "Last-Modified": op.Files != nil,
	})
	for name, description := range op.Headers {
		headers[name] = object{"description": description, "schema": object{"type": "string"}}
	}
	response := func(description string, content object) object {
		r := object{"description": description}
		if len(content) > 0 {
			r["content"] = content
		}
		if len(headers) > 0 {
			r["headers"] = headers
		}
		return r
	}
	all := object{"4XX": d.problem(op.Failures), "5XX": d.problem(nil)}
	if op.Redirects {
		headers["Location"] = object{"description": "The URL to go on at.", "required": true, "schema": object{"type": "string"}}
		all["3XX"] = response("A redirect.", nil)
		return all
	}
	content := d.content(op)
	for _, status := range append([]int{op.Status}, op.MoreStatuses...) {
		if status == http.StatusNoContent {
			all[strconv.Itoa(status)] = response("Success.", nil)
		} else {
			all[strconv.Itoa(status)] = response("Success.", content)
		}
	}
	if op.Files != nil && op.Method == "get" {
		all["206"] = partial(response("What Range asks for (RFC 9110, section 14).", content))
	}
	if op.Revalidated {
		all["304"] = object{"description": "What If-None-Match names is still the version.", "headers": heads(map[string]bool{"ETag": true, "Content-Disposition": op.Files != nil})}
	}
	return all
}

// partial returns the response with a part of a file (RFC 9110, section 15.3.7). There is
// only one: a request for several gets the whole file.
func partial(whole object) object {
	headers := maps.Clone(whole["headers"].(object))
	maps.Copy(headers, heads(map[string]bool{"Content-Range": true}))
	return object{"description": whole["description"], "content": whole["content"], "headers": headers}
}

// content returns the content of a successful response, by its media types.
func (d *Document) content(op Operation) object {
	content := object{}
	for _, mediaType := range op.Files {
		content[mediaType] = object{} // OpenAPI 3.1.0, section 4.8.14.3: binary content has no schema
		if strings.HasPrefix(mediaType, "text/") {
			content[mediaType] = object{"schema": object{"type": "string"}}
		}
	}
	if op.Out != nil {
		content["application/json"] = object{"schema": d.schemas.Of(op.Out, plan.Out)}
	}
	return content
}

// problem returns a reference to the answer of errors, which says which ones to
// expect. Statuses of their own would be types of their own in generated clients,
// of which each new option of an operation would make another.
func (d *Document) problem(failures []string) object {
	reference := object{"$ref": "#/components/responses/" + d.errorName()}
	if len(failures) > 0 {
		reference["description"] = d.anError() + ", such as " + strings.Join(failures, ", ") + "." // OpenAPI 3.1.0, section 4.8.23
	}
	return reference
}

// errorName returns the name of the response with an error.
func (d *Document) errorName() string {
	if d.info.Error != nil {
		return "Error"
	}
	return Problem
}

func (d *Document) anError() string {
	if d.info.Error != nil {
		return "An error"
	}
	return "An error (RFC 9457)"
}

// problemSchema describes what WriteError writes.
func problemSchema(codes []string) object {
	code := "The kind of error, for programs."
	if len(codes) > 0 {
		code = "The kind of error, for programs: " + strings.Join(codes, ", ") + ". There may be more in the future."
	}
	return object{
		"type": "object",
		"properties": object{
			"type":      object{"type": "string"},
			"title":     object{"type": "string"},
			"status":    object{"type": "integer"},
			"detail":    object{"type": "string"},
			"code":      object{"type": "string", "description": code},
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
