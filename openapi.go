package backend

import (
	"cmp"
	"encoding/json"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"

	"github.com/seed-215b9b7c/backend/internal/etag"
	"github.com/seed-215b9b7c/backend/internal/jsonschema"
	"github.com/seed-215b9b7c/backend/internal/openapi"
	"github.com/seed-215b9b7c/backend/internal/response"
)

// This file describes the REST door in OpenAPI. The schemas are made by
// internal/jsonschema.

// OpenAPIConfig configures [RESTDoor.OpenAPI]. It describes the API as a whole. The zero
// value is valid.
type OpenAPIConfig struct {
	// Title is the API's name. Defaults to "API".
	Title string
	// Version is the version of the API, not of OpenAPI. Defaults to "1".
	Version string
	// Description is a text in Markdown.
	Description string
	// License is the SPDX identifier of the API's licence, such as "MIT".
	License string
	// ServerURL is the origin of the API, such as "https://api.example.com". The
	// prefix at which the door is mounted is appended; a door that is mounted several
	// times has several servers. Defaults to the origin of the description.
	ServerURL string
	// Bearer says that the API accepts Authorization: Bearer TOKEN. Bearer and Cookie are
	// for an [Authenticator] that names no schemes, and panic with a
	// [SecurityDescriber].
	Bearer bool
	// Cookie is the name of the cookie that authenticates callers. Without Cookie,
	// Bearer and a SecurityDescriber the description does not say how to authenticate.
	Cookie string
}

// OpenAPI returns a handler that serves the description of the door as OpenAPI
// 3.1.0 in JSON. Parameters, bodies and their constraints come from the types and
// validate tags of the operations, texts from [Doc] and the tags doc and example.
//
//	rest := logic.REST()
//	r.Mount("/api", rest)
//	r.Handle("GET /openapi.json", rest.OpenAPI(backend.OpenAPIConfig{Title: "Notes"}))
//
// Errors are described in the format of the [Errors] around the handler.
//
// The handler has no access rule. The response has an ETag. The description is made at
// the first request, so mount the door before. OpenAPI cannot describe methods such as
// COPY, which are left out. It cannot describe subtrees either: the description of
// "GET /files/{path...}" has a path of one segment, and is left out if there is also
// "GET /files/{name}".
func (d *RESTDoor) OpenAPI(config OpenAPIConfig) http.Handler {
	if len(d.logic.schemes) > 0 && (config.Bearer || config.Cookie != "") {
		panic("backend: RESTDoor.OpenAPI: the Authenticator names its schemes; leave OpenAPIConfig.Bearer and Cookie out")
	}
	var texts sync.Map // *ErrorsConfig → func() ([]byte, error)
	return Handler(func(w http.ResponseWriter, r *http.Request) error {
		var errors *ErrorsConfig
		if x := exchangeFrom(r.Context()); x != nil {
			errors = x.errors
		}
		text, known := texts.Load(errors)
		if !known {
			text, _ = texts.LoadOrStore(errors, sync.OnceValues(func() ([]byte, error) {
				return json.MarshalIndent(d.describe(config, errors), "", "  ")
			}))
		}
		body, err := text.(func() ([]byte, error))()
		if err != nil {
			return err
		}
		tag := etag.Of(body)
		if err := failsIfMatch(r.Header, tag); err != nil {
			return err
		}
		w.Header().Set("ETag", tag)
		if _, known := etag.Find(r.Header.Values("If-None-Match"), tag, etag.Loose, response.Codings...); known {
			w.WriteHeader(http.StatusNotModified)
			return nil
		}
		w.Header()["Content-Type"] = jsonType
		_, err = w.Write(body)
		return err
	})
}

// describe returns the whole description.
func (d *RESTDoor) describe(config OpenAPIConfig, errors *ErrorsConfig) *openapi.Document {
	info := openapi.Info{
		Title: cmp.Or(config.Title, "API"), Version: cmp.Or(config.Version, "1"), Description: config.Description, License: config.License,
		Servers: d.servers(config.ServerURL), Schemes: described(d.schemes(config)), Codes: codeNames(),
	}
	if errors != nil && errors.Body.plan != nil {
		info.Error, info.ErrorType = errors.Body.plan, errors.bodyType()
	}
	names := jsonschema.NewNames(openapi.Problem)
	if info.Error != nil {
		names = jsonschema.NewNames() // a type of the program may be called Problem
	}
	document := openapi.New(info, names, d.describeRelations())
	ids := map[string]bool{}
	for _, op := range d.ops {
		ids[op.name] = true
	}
	for _, route := range d.routes {
		if slices.Contains(openAPIMethods, route.method) {
			document.Add(route.describe(route.operationID(ids), errors))
		}
	}
	return document
}

// schemes returns the schemes of the Authenticator, or of config if it names none.
func (d *RESTDoor) schemes(config OpenAPIConfig) []SecurityScheme {
	schemes := d.logic.schemes
	if config.Bearer {
		schemes = append(schemes, SecurityScheme{Name: "bearer", HTTP: "bearer"})
	}
	if config.Cookie != "" {
		schemes = append(schemes, SecurityScheme{Name: "cookie", Cookie: config.Cookie})
	}
	return schemes
}

// servers returns the URLs of the door, one for each prefix where it is mounted.
func (d *RESTDoor) servers(origin string) (urls []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	prefixes := d.prefixes
	if len(prefixes) == 0 { // the door is not mounted
		prefixes = []string{""}
	}
	for _, prefix := range prefixes {
		urls = append(urls, cmp.Or(strings.TrimSuffix(origin, "/")+prefix, "/"))
	}
	return urls
}

// describeRelations returns the relations of the door by their parents' types.
func (d *RESTDoor) describeRelations() map[reflect.Type][]jsonschema.Relation {
	all := map[reflect.Type][]jsonschema.Relation{}
	for _, r := range d.relations.all {
		all[r.parent] = append(all[r.parent], jsonschema.Relation{Name: r.name, Doc: r.settings.doc, Child: r.childPlan, Always: r.settings.always})
	}
	return all
}

// openAPIMethods are the methods that OpenAPI 3.1 can describe.
var openAPIMethods = []string{"GET", "PUT", "POST", "DELETE", "OPTIONS", "HEAD", "PATCH", "TRACE"}

// describe returns the description of a route, whose errors have a format.
func (r *restRoute) describe(id string, errors *ErrorsConfig) openapi.Operation {
	op := r.op
	summary, description, _ := strings.Cut(op.settings.doc, "\n")
	described := openapi.Operation{
		ID: id, Method: strings.ToLower(r.method), Path: strings.NewReplacer("...}", "}", "{$}", "").Replace(r.path),
		Subtree: strings.HasSuffix(r.path, "...}") || strings.HasSuffix(r.path, "/"),
		Summary: cmp.Or(summary, inWords(op.name)), Description: strings.TrimSpace(description), Tags: op.settings.tags,
		Deprecated: !op.settings.since.IsZero(), Secured: !isOpen(op.access), Access: op.access.String(), Scopes: scopesOf(op.access),
		Status: r.status, Sunset: !op.settings.sunset.IsZero(), Includes: r.includes,
	}
	described.Headers, described.Redirects = op.settings.headers, r.redirects()
	described.MoreStatuses = slices.DeleteFunc(slices.Clone(op.settings.statuses), func(status int) bool { return status == r.status })
	if r.content && !r.redirects() {
		described.Files = op.settings.produces
		if len(described.Files) == 0 {
			described.Files = []string{"*/*"}
		}
		described.Tagged, described.Revalidated = r.tagged, op.kind == isQuery
	}
	if r.status != http.StatusNoContent && !r.content {
		_, isPage := reflect.Zero(op.out).Interface().(interface{ next() Cursor })
		described.Out, described.Located, described.Paged = op.outPlan, r.created != nil, isPage && r.cursor != ""
		described.Tagged, described.Revalidated = r.tagged, op.kind == isQuery && r.tagged
	}
	for _, param := range r.input.Params {
		described.Params = append(described.Params, openapi.Param{Place: param.Place, Name: param.Name, Field: param.Field})
	}
	switch {
	case r.input.BodyAt != nil:
		described.BodyField = r.input.BodyAt
	case r.input.HasBody():
		described.Body, described.BodyFields = op.inPlan, r.input.BodyFields
	}
	if r.forms != nil {
		described.BodyTypes, described.Uploads = r.forms.types, map[string][]string{}
		for name, accepted := range r.forms.files {
			described.Uploads[name] = accepted.Accept
		}
	}
	described.BodyOptional, described.BodyLenient = op.settings.optionalBody, op.settings.ignoreUnknown
	if op.settings.key != keyIgnored {
		described.Key, described.KeyRequired = true, op.settings.key == keyRequired
	}
	// A POST to a list could have the list's ETag in If-Match, but clients do not send it.
	if op.kind == isMutation && (r.current != nil && op.inTx && r.method != http.MethodPost || op.settings.requireMatch) {
		described.Match, described.MatchRequired = true, op.settings.requireMatch
	}
	described.Failures = r.failures(described, errors)
	return described
}

// failures returns the statuses and codes of the errors that a client of the route must
// expect. It leaves out errors that only a faulty client gets.
func (r *restRoute) failures(described openapi.Operation, errors *ErrorsConfig) (texts []string) {
	for code, expected := range map[Code]bool{
		Unauthenticated: described.Secured, Forbidden: described.Secured || len(r.op.settings.allow) > 0, NotFound: len(r.names) > 0,
		Conflict: r.op.kind == isMutation, PreconditionFailed: described.Match, PreconditionRequired: described.MatchRequired,
		Invalid: len(r.op.inPlan.Fields) > 0, RateLimited: r.op.limiter != nil,
	} {
		if expected {
			status := errors.statusOf(PublicError(&Error{Code: code}))
			texts = append(texts, strconv.Itoa(status)+" "+code.String())
		}
	}
	slices.Sort(texts)
	return texts
}

func codeNames() (names []string) {
	for code := range codeCount {
		names = append(names, code.String())
	}
	return names
}

// inWords returns a name as words: "Create note" for createNote.
func inWords(name string) string {
	var b strings.Builder
	lower := false // the character before was not an upper-case letter
	for i, c := range name {
		upper := unicode.IsUpper(c)
		switch {
		case i == 0:
			c = unicode.ToUpper(c)
		case upper:
			if lower {
				b.WriteByte(' ')
			}
			c = unicode.ToLower(c)
		}
		lower = !upper
		b.WriteRune(c)
	}
	return b.String()
}

// operationID returns the operation's name. For its second and further routes it
// appends a number that makes the id unique.
func (r *restRoute) operationID(taken map[string]bool) string {
	n := slices.Index(r.op.settings.routes, r.pattern)
	if n <= 0 {
		return r.op.name
	}
	id := r.op.name + strconv.Itoa(n+1)
	for taken[id] {
		id += "x"
	}
	taken[id] = true
	return id
}
