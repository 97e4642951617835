package backend

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/seed-215b9b7c/backend/internal/httpin"
	"github.com/seed-215b9b7c/backend/internal/jsonout"
	"github.com/seed-215b9b7c/backend/internal/plan"
	"github.com/seed-215b9b7c/backend/internal/render"
	"github.com/seed-215b9b7c/backend/internal/validation"
)

// This file makes the REST door: operations with a [Route], as JSON over HTTP. It
// compiles each route once, for its requests and responses. rest_call.go handles a
// request.

// REST returns a door for programs that speak JSON over HTTP. It serves each
// operation that has a [Route], unless [Only] or [Except] keep it away. Mounted on a
// [Router], the routes of the door become part of the router:
//
//	r.Mount("/api", logic.REST())
//
// The sections REST requests and REST responses of the package documentation describe
// both. REST panics if an operation cannot be served, such as a query with a field that
// a query string cannot hold, with all mistakes in one message. At most one config may
// be given. Add all operations before: after REST, [Logic.Add] panics.
func (l *Logic) REST(config ...RESTConfig) *RESTDoor {
	name := REST
	switch {
	case len(config) > 1:
		panic(fmt.Sprintf("backend: Logic.REST: %d configs were given; give one", len(config)))
	case len(config) == 1 && config[0].Name != "":
		name = config[0].Name
	}
	if !name.isOf(REST) || name.check() != nil {
		panic(fmt.Sprintf("backend: Logic.REST: the name %q must be backend.REST, or begin with it: backend.REST + \"/v1\"", name))
	}
	ops, relations := l.seal(name)
	door := &RESTDoor{logic: l, name: name, ops: ops, relations: newRelationSet(relations), router: NewRouter()}
	if wrong := door.relations.endless(); len(wrong) > 0 {
		panic("backend: " + errors.Join(wrong...).Error())
	}
	wrong := l.checkParents()
	for _, op := range ops {
		for _, pattern := range op.settings.routes {
			route, err := door.newRoute(op, pattern)
			if err != nil {
				wrong = append(wrong, fmt.Errorf("%s %q, registered at %s: Route(%q): %w", op.kind, op.name, op.place, pattern, err))
				continue
			}
			door.routes = append(door.routes, route)
		}
	}
	complete := len(wrong) == 0 // otherwise a GET may be missing because it has mistakes
	for _, route := range door.routes {
		route.relate(door.routes)
		if complete && route.op.settings.requireMatch && (route.current == nil || !route.op.inTx) {
			wrong = append(wrong, fmt.Errorf("%s %q, registered at %s: Route(%q): RequireIfMatch needs a GET of the same path that takes no other input, and a transaction", route.op.kind, route.op.name, route.op.place, route.pattern))
		}
		if err := door.router.add(route.pattern, route, nil, route.op.place); err != nil {
			wrong = append(wrong, err)
		}
	}
	if err := errors.Join(wrong...); err != nil {
		panic("backend: " + err.Error())
	}
	return door
}

// RESTConfig configures a [RESTDoor]. The zero value is for a program with one REST
// door.
type RESTConfig struct {
	// Name is the name of the door for [Only] and [Except]: backend.REST, or
	// backend.REST, a slash and a name. Several doors can serve a public and an internal
	// API, or two versions of an API. With
	// const Internal = backend.REST + "/internal", an operation is offered
	//
	//	by both doors          without an option
	//	by the internal door   with Only(Internal)
	//	by the public door     with Except(Internal)
	//
	// Two operations may have the same route if no door offers both. Defaults to
	// backend.REST.
	Name Door
}

// RESTDoor serves operations as JSON over HTTP. [Logic.REST] makes one. It is safe for
// concurrent use.
type RESTDoor struct {
	logic     *Logic
	name      Door
	ops       []*registered
	relations *relationSet
	router    *Router
	routes    []*restRoute

	mu       sync.Mutex
	prefixes []string // where it is mounted

	spare sync.Pool // has *buffers
}

// ServeHTTP calls the operation whose route matches the request, and writes the
// response.
func (d *RESTDoor) ServeHTTP(w http.ResponseWriter, r *http.Request) { d.router.ServeHTTP(w, r) }

// mountOn adds the routes to a router.
func (d *RESTDoor) mountOn(r *Router, prefix, place string) {
	d.mu.Lock()
	d.prefixes = append(d.prefixes, r.fullPrefix()+prefix)
	d.mu.Unlock()
	d.router.mountOn(r, prefix, place)
}

// restRoute is one route of an operation, compiled for its requests.
type restRoute struct {
	door    *RESTDoor
	op      *registered
	encode  jsonout.Encoder
	pattern string
	method  string
	path    string
	names   []string // the names of the path's parameters

	input     *httpin.Input
	cursor    string            // the name of the query parameter with the cursor, or ""
	always    *render.Selection // all fields, and the relations with Always; nil without such relations
	includes  []string          // the allowed values of the query parameter include
	varies    []string          // the request headers that a response depends on
	status    int
	content   bool            // the output is a File or a Redirect
	forms     *formReader     // nil: it takes no forms
	created   *restRoute      // the GET route of what a POST creates
	createdBy *plan.Field     // the field of the output that is the last segment of its path
	createdID jsonout.Encoder // encodes that field
	siblings  []string        // the last segments of GET routes beside created that have no wildcard there
	current   *restRoute      // the GET route of the same path
	tagged    bool            // responses have an ETag
}

// includeParam is the query parameter that asks for relations.
const includeParam = "include"

// newRoute returns the route of an operation, or an error with all its mistakes.
func (d *RESTDoor) newRoute(op *registered, pattern string) (*restRoute, error) {
	method, path, found := strings.Cut(pattern, " ")
	if !found || method == "" || !strings.HasPrefix(path, "/") {
		return nil, errors.New(`a route is a method and a path: "GET /notes/{id}"`)
	}
	if _, err := readPattern(pattern); err != nil {
		return nil, err
	}
	if strings.ContainsAny(path, "?#") { // a path has them only percent-encoded
		return nil, errors.New("a route has no query string; the fields of a query that are not in the path come from the query string anyway")
	}
	if read := method == http.MethodGet || method == http.MethodHead; read != (op.kind == isQuery) {
		return nil, fmt.Errorf("a %s cannot have the method %s: queries need GET, mutations need another method", op.kind, method)
	}
	if slices.Contains([]string{http.MethodOptions, http.MethodTrace, http.MethodConnect}, method) || method != strings.ToUpper(method) {
		// Browsers and cross-origin protection let OPTIONS and TRACE through.
		return nil, fmt.Errorf("the method %s is not for operations; use POST, PUT, PATCH or DELETE", method)
	}
	r := &restRoute{door: d, op: op, encode: op.encoder(), pattern: pattern, method: method, path: path, names: httpin.PathNames(path), status: op.settings.status, content: isContent(op.out)}
	if r.status == 0 {
		r.status = r.defaultStatus()
	}
	input, err := httpin.Compile(op.inPlan, r.names, op.kind == isMutation, op.settings.ignoreUnknown)
	r.input = input
	if op.settings.form {
		var wrong error
		r.forms, wrong = newFormReader(input)
		err = errors.Join(err, wrong)
	}
	if op.settings.optionalBody {
		err = errors.Join(err, optionalBodyFault(input))
	}
	for _, p := range input.Params {
		if p.Place == "query" && p.Field.Type.Base().Go == reflect.TypeFor[Cursor]() {
			r.cursor = p.Name
		}
	}
	r.varies = r.variesBy()
	if r.status != http.StatusNoContent {
		r.includes, r.always = d.relations.paths(op.outPlan), d.relations.selection(op.outPlan, nil)
	}
	if input.HasQuery(includeParam) && len(r.includes) > 0 {
		err = errors.Join(err, fmt.Errorf("the parameter %s asks for relations: give the field of the input another name", includeParam))
	}
	return r, err
}

// optionalBodyFault returns the mistake in OptionalBody for an input, or nil: a request
// without a body has no required field.
func optionalBodyFault(input *httpin.Input) error {
	fields := input.BodyFields
	if input.BodyAt != nil {
		fields = []*plan.Field{input.BodyAt}
	}
	if len(fields) == 0 {
		return errors.New("OptionalBody: no field comes from the body, so that a request needs none anyway")
	}
	for _, field := range fields {
		if validation.Needs(field) {
			return fmt.Errorf("OptionalBody: the field %s comes from the body and is required; make it optional, or leave OptionalBody out", field.GoName)
		}
	}
	return nil
}

func (r *restRoute) defaultStatus() int {
	switch {
	case r.op.out == reflect.TypeFor[None]():
		return http.StatusNoContent
	case r.redirects() && r.op.kind == isQuery:
		return http.StatusFound
	case r.redirects():
		return http.StatusSeeOther
	case r.method == http.MethodPost && !r.content:
		return http.StatusCreated
	}
	return http.StatusOK
}

// redirects reports whether the output is a Redirect.
func (r *restRoute) redirects() bool { return r.op.out == reflect.TypeFor[Redirect]() }

// relate finds the GET routes that the route needs for Location, ETag and conditions.
func (r *restRoute) relate(all []*restRoute) {
	for _, other := range all {
		if other.method != http.MethodGet {
			continue
		}
		if other.path == r.path && r.op.kind == isMutation && !slices.ContainsFunc(other.input.Params, func(p httpin.Param) bool { return p.Place != "path" && p.Field.Required }) {
			r.current = other
		}
		parent, last := parentPath(other.path)
		if sibling, err := url.PathUnescape(last); err == nil && parent == r.path && !strings.HasPrefix(last, "{") {
			r.siblings = append(r.siblings, sibling)
		}
		if r.method != http.MethodPost || parent != r.path || !strings.HasPrefix(last, "{") || last == "{$}" || strings.HasSuffix(last, "...}") {
			continue
		}
		if field := r.outField(other.names[len(other.names)-1]); field != nil && fitsPath(field.Type) {
			r.created, r.createdBy, r.createdID = other, field, jsonout.Compile(field.Type)
		}
	}
	same := func(other *restRoute) bool { return other != nil && other.op.out == r.op.out && !r.redirects() }
	switch {
	case r.op.kind == isQuery:
		r.tagged = r.status == http.StatusOK
	case r.method == http.MethodPatch:
		r.tagged = same(r.current)
	case r.method == http.MethodPost:
		r.tagged = r.status == http.StatusCreated && same(r.created)
	}
}

func parentPath(path string) (parent, last string) {
	i := strings.LastIndexByte(path, '/')
	return path[:i], path[i+1:]
}

// fitsPath reports whether values of a type can be a segment of a path. The segment is
// their JSON without quotes.
func fitsPath(t *plan.Type) bool {
	switch t.Base().Kind {
	case plan.String, plan.Text, plan.Int, plan.Uint, plan.Time:
		return true
	}
	return false
}

// outField returns the field of the output with a name, or nil.
func (r *restRoute) outField(name string) *plan.Field {
	out := r.op.outPlan
	if out.Kind == plan.Pointer {
		out = out.Elem
	}
	for _, field := range out.Fields {
		if field.Name == name {
			return field
		}
	}
	return nil
}
