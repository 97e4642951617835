package backend

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/seed-215b9b7c/backend/internal/jsonin"
	"github.com/seed-215b9b7c/backend/internal/params"
	"github.com/seed-215b9b7c/backend/internal/plan"
)

// This file is the REST door: operations with a [Route], as JSON over HTTP. What
// is decoded from where is worked out when the door is made (restroute.go is
// what serves a request).

// REST returns the door for programs that speak JSON over HTTP: each operation
// that has a [Route] and is not kept away by [Only] or [Except]. Mounted on a
// [Router], its routes become part of it:
//
//	r.Mount("/api", logic.REST())
//
// Requests:
//
//   - Fields of the input come from where [Query] says. A parameter that no field
//     is for, one that is given twice to a field that is no slice, and a field
//     in the body that comes from elsewhere are errors.
//   - Bodies are application/json; for PATCH also application/merge-patch+json,
//     which is what [Opt] fields mean (RFC 7396). Other types are [Unsupported].
//   - Broken JSON is [Malformed]. Fields that are unknown, missing or wrong are
//     [Invalid], all of them in one answer, each with a JSON pointer.
//
// Responses:
//
//   - 200 with the output as JSON, as encoding/json writes it. 201 for a POST,
//     with a Location if a GET route continues the POST's by one parameter that
//     the output has as a field. 204 for [None]. [Status] says otherwise.
//   - An ETag for GET: of the content, or of the output's method ETag() string,
//     which returns the value without quotes. If-None-Match is answered 304.
//   - If-Match on a mutation is compared with the ETag that a GET of the same
//     path has, in the mutation's transaction, which is [Serializable] then; 412
//     if it differs. [RequireIfMatch] makes its absence a 428.
//   - Cache-Control: no-store for callers who are signed in, unless [Cache] says
//     otherwise.
//   - Errors as [WriteError] writes them.
//
// What cannot be served, such as a field of a query that has no form as text,
// panics here, with everything that is wrong.
func (l *Logic) REST() http.Handler {
	l.mu.Lock()
	defer l.mu.Unlock()
	door := &restDoor{logic: l, router: NewRouter()}
	l.rest = door
	var wrong []error
	for _, op := range l.ops {
		if !op.offeredBy("rest") {
			continue
		}
		for _, pattern := range op.options.routes {
			route, err := door.newRoute(op, pattern)
			if err != nil {
				wrong = append(wrong, fmt.Errorf("%s %q, registered at %s: Route(%q): %w", op.kind, op.name, op.place, pattern, err))
				continue
			}
			door.routes = append(door.routes, route)
		}
	}
	if err := errors.Join(wrong...); err != nil {
		panic("backend: " + err.Error())
	}
	for _, route := range door.routes {
		route.relate(door.routes)
		if route.op.options.requireMatch && (route.current == nil || !route.op.inTx) {
			panic(fmt.Sprintf("backend: %s %q, registered at %s: Route(%q): RequireIfMatch needs a GET of the same path, that takes nothing else, and a transaction", route.op.kind, route.op.name, route.op.place, route.pattern))
		}
		door.router.register(route.pattern, route, nil, route.op.place)
	}
	return door
}

// restDoor is the door; its router knows the routes.
type restDoor struct {
	logic  *Logic
	router *Router
	routes []*restRoute
	prefix string // where it is mounted, for Location
}

func (d *restDoor) ServeHTTP(w http.ResponseWriter, r *http.Request) { d.router.ServeHTTP(w, r) }

// mountOn makes the routes part of a router.
func (d *restDoor) mountOn(r *Router, prefix, place string) {
	d.prefix = r.fullPrefix() + prefix
	d.router.mountOn(r, prefix, place)
}

// restRoute is one route of an operation: where each field comes from, and where
// the answer goes.
type restRoute struct {
	door    *restDoor
	op      *registered
	pattern string
	method  string
	path    string
	names   []string // of the path's parameters

	params []restParam
	query  map[string]int // query parameter → index in params
	body   *jsonin.Decoder
	bodyAt *plan.Field // the field that is the body, or nil: the body's fields are fields of the input

	bodyFields []*plan.Field // those fields of the input
	cursor     string        // query parameter of the page's cursor
	status     int
	created    *restRoute // the GET route of what a POST creates
	createdBy  *plan.Field
	current    *restRoute // the GET route of the same path
}

// restParam is a field that is text in the request.
type restParam struct {
	field *plan.Field
	place string
	name  string
	set   params.Setter
}

// newRoute works out where everything comes from.
func (d *restDoor) newRoute(op *registered, pattern string) (*restRoute, error) {
	method, path, found := strings.Cut(pattern, " ")
	if !found || method == "" || !strings.HasPrefix(path, "/") {
		return nil, errors.New(`a route is a method and a path: "GET /notes/{id}"`)
	}
	if read := method == http.MethodGet || method == http.MethodHead; read != (op.kind == isQuery) {
		return nil, fmt.Errorf("a %s cannot have the method %s: queries are GET, mutations are not", op.kind, method)
	}
	if slices.Contains([]string{http.MethodOptions, http.MethodTrace, http.MethodConnect}, method) || method != strings.ToUpper(method) {
		// Browsers and protection against forgery take the first two for harmless.
		return nil, fmt.Errorf("the method %s is not for operations; use POST, PUT, PATCH or DELETE", method)
	}
	r := &restRoute{door: d, op: op, pattern: pattern, method: method, path: path, names: pathNames(path), query: map[string]int{}, status: op.options.status}
	if r.status == 0 {
		r.status = r.defaultStatus()
	}
	var wrong []error
	for _, name := range r.names {
		if !slices.ContainsFunc(op.inPlan.Fields, func(f *plan.Field) bool { return f.Name == name }) {
			wrong = append(wrong, fmt.Errorf("the input has no field for {%s}", name))
		}
	}
	body := map[*plan.Field]bool{}
	for _, field := range op.inPlan.Fields {
		if err := r.placeField(field, body); err != nil {
			wrong = append(wrong, fmt.Errorf("field %s: %w", field.GoName, err))
		}
	}
	if err := r.compileBody(body); err != nil {
		wrong = append(wrong, err)
	}
	return r, errors.Join(wrong...)
}

func (r *restRoute) defaultStatus() int {
	switch {
	case r.op.out == reflect.TypeFor[None]():
		return http.StatusNoContent
	case r.method == http.MethodPost:
		return http.StatusCreated
	}
	return http.StatusOK
}

// pathNames returns the names of a path's parameters.
func pathNames(path string) (names []string) {
	for segment := range strings.SplitSeq(path, "/") {
		if name, ok := strings.CutPrefix(segment, "{"); ok && name != "$}" {
			names = append(names, strings.TrimSuffix(strings.TrimSuffix(name, "}"), "..."))
		}
	}
	return names
}

// placeField decides where a field comes from.
func (r *restRoute) placeField(field *plan.Field, body map[*plan.Field]bool) error {
	place, name := field.Place, field.PlaceName
	switch {
	case slices.Contains(r.names, field.Name):
		if place != "" && place != "path" {
			return fmt.Errorf("it is in the path and tagged in:%q", place)
		}
		place, name = "path", field.Name
	case place == "path":
		return errors.New("it is tagged in:\"path\", and the path has no such parameter")
	case place == "body":
		if r.op.kind == isQuery {
			return errors.New("a query has no body")
		}
		if r.bodyAt != nil {
			return fmt.Errorf("%s is the body already", r.bodyAt.GoName)
		}
		r.bodyAt = field
		return nil
	case place == "" && r.op.kind == isMutation:
		body[field] = true
		return nil
	case place == "":
		place, name = "query", field.Name
	}
	set, err := params.Compile(field.Type)
	if err != nil {
		return err
	}
	if place == "query" {
		r.query[name] = len(r.params)
		if base(field.Type).Go == reflect.TypeFor[Cursor]() {
			r.cursor = name
		}
	}
	r.params = append(r.params, restParam{field, place, name, set})
	return nil
}

// base returns the type without pointers.
func base(t *plan.Type) *plan.Type {
	for t.Kind == plan.Pointer || t.Kind == plan.Opt {
		t = t.Elem
	}
	return t
}

func (r *restRoute) compileBody(fields map[*plan.Field]bool) (err error) {
	switch {
	case r.bodyAt != nil && len(fields) > 0:
		return fmt.Errorf("field %s is the body, and other fields come from there, too", r.bodyAt.GoName)
	case r.bodyAt != nil:
		r.body, err = jsonin.Compile(r.bodyAt.Type, nil)
	case len(fields) > 0:
		for _, field := range r.op.inPlan.Fields {
			if fields[field] {
				r.bodyFields = append(r.bodyFields, field)
			}
		}
		r.body, err = jsonin.Compile(r.op.inPlan, func(f *plan.Field) bool { return fields[f] })
	}
	return err
}

// relate finds the GET routes that this one's answers refer to.
func (r *restRoute) relate(all []*restRoute) {
	for _, other := range all {
		if other.method != http.MethodGet {
			continue
		}
		if other.path == r.path && r.op.kind == isMutation && !slices.ContainsFunc(other.params, func(p restParam) bool { return p.place != "path" && p.field.Required }) {
			r.current = other
		}
		parent, last := parentPath(other.path)
		if r.method != http.MethodPost || parent != r.path || !strings.HasPrefix(last, "{") || last == "{$}" || strings.HasSuffix(last, "...}") {
			continue
		}
		if field := r.outField(other.names[len(other.names)-1]); field != nil && fitsPath(field.Type) {
			r.created, r.createdBy = other, field
		}
	}
}

func parentPath(path string) (parent, last string) {
	i := strings.LastIndexByte(path, '/')
	return path[:i], path[i+1:]
}

// fitsPath reports whether values have a form in a path, which for these is their
// JSON without quotes.
func fitsPath(t *plan.Type) bool {
	switch base(t).Kind {
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

// ServeHTTP answers one request.
func (r *restRoute) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	HandlerFunc(r.serve).ServeHTTP(w, req)
}

func (r *restRoute) serve(w http.ResponseWriter, req *http.Request) error {
	if !acceptsJSON(req.Header.Values("Accept")) {
		return &Error{Code: NotAcceptable, Message: "This is available as application/json."}
	}
	head := w.Header()
	r.deprecation(head)
	call := doorCall{op: r.op, request: req, mode: r.op.options.tx}
	if r.op.options.key != keyIgnored {
		var err error
		if call.key, err = idempotencyKey(req.Header); err != nil {
			return err
		}
	}
	call.decode = func(in any) error { return r.decode(w, req, reflect.ValueOf(in).Elem()) }
	if err := r.precondition(req, &call); err != nil {
		return err
	}
	var text []byte
	call.encode = func(out any) (err error) {
		text, err = r.op.encode.Append(nil, reflect.ValueOf(out).Elem())
		return err
	}
	result, err := r.door.logic.call(req.Context(), call)
	if err != nil {
		return err
	}
	return r.answer(w, req, result, text)
}

// decode fills the input from the request.
func (r *restRoute) decode(w http.ResponseWriter, req *http.Request, in reflect.Value) error {
	var fields []FieldError
	if err := r.decodeText(req, in, &fields); err != nil {
		return err
	}
	if err := r.decodeBody(w, req, in, &fields); err != nil {
		return err
	}
	if len(fields) > 0 {
		return &Error{Code: Invalid, Fields: fields}
	}
	return nil
}

// maxQueryParams bounds the parameters of a query string.
const maxQueryParams = 256

// decodeText fills the fields that come from path, query, headers and cookies.
func (r *restRoute) decodeText(req *http.Request, in reflect.Value, wrong *[]FieldError) error {
	if strings.Count(req.URL.RawQuery, "&") >= maxQueryParams {
		return &Error{Code: Malformed, Message: fmt.Sprintf("The query string has more than %d parameters.", maxQueryParams)}
	}
	query, err := url.ParseQuery(req.URL.RawQuery)
	if err != nil {
		return (&Error{Code: Malformed, Message: "The query string cannot be read."}).Wrap(err)
	}
	for name := range query {
		if _, known := r.query[name]; !known {
			*wrong = append(*wrong, FieldError{Pointer: pointer(name), Rule: "unknown", Message: "is not a parameter of this request"})
		}
	}
	for _, param := range r.params {
		values := r.values(req, query, param)
		switch {
		case len(values) > 0:
			if err := param.set(values, in.FieldByIndex(param.field.Index)); err != nil {
				*wrong = append(*wrong, FieldError{Pointer: pointer(param.name), Rule: "format", Message: err.Error()})
			}
		case param.field.Required && param.field.Type.Kind != plan.Slice:
			*wrong = append(*wrong, FieldError{Pointer: pointer(param.name), Rule: "required", Message: "is missing"})
		}
	}
	slices.SortFunc(*wrong, func(a, b FieldError) int { return strings.Compare(a.Pointer, b.Pointer) })
	return nil
}

// pointer returns the JSON pointer to a field (RFC 6901).
func pointer(name string) string {
	return "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
}

// values returns what the request has for a parameter.
func (r *restRoute) values(req *http.Request, query url.Values, param restParam) []string {
	switch param.place {
	case "path":
		return []string{req.PathValue(param.name)}
	case "query":
		return query[param.name]
	case "header":
		if values := req.Header.Values(param.name); base(param.field.Type).Kind != plan.Slice {
			return values
		}
		return listItems(req.Header.Values(param.name))
	}
	var values []string
	for _, cookie := range req.CookiesNamed(param.name) {
		values = append(values, cookie.Value)
	}
	return values
}

// listItems returns the items of a header that is a list, whose lines mean the
// same as one line with commas (RFC 9110, section 5.3).
func listItems(lines []string) (items []string) {
	for _, line := range lines {
		for item := range strings.SplitSeq(line, ",") {
			if item = strings.TrimSpace(item); item != "" {
				items = append(items, item)
			}
		}
	}
	return items
}

// decodeBody fills the fields that come from the body.
func (r *restRoute) decodeBody(w http.ResponseWriter, req *http.Request, in reflect.Value, wrong *[]FieldError) error {
	if r.op.kind == isQuery {
		return nil
	}
	text, err := readBody(w, req, r.op.options.maxBody)
	if err != nil {
		return err
	}
	if r.body == nil {
		if len(text) > 0 {
			return &Error{Code: Malformed, Message: "This request takes no body."}
		}
		return nil
	}
	if err := r.checkType(req.Header); err != nil {
		return err
	}
	if r.bodyAt != nil {
		in = in.FieldByIndex(r.bodyAt.Index)
	}
	return decodeJSON(r.body, text, in, wrong)
}

// readBody reads a body up to the operation's limit, which may be above that of
// the stack.
func readBody(w http.ResponseWriter, req *http.Request, limit int64) ([]byte, error) {
	if x := exchangeFrom(req.Context()); x != nil && responseOf(w) == x {
		x.maxBody = limit
	}
	text, err := io.ReadAll(http.MaxBytesReader(w, req.Body, limit))
	if err != nil && CodeOf(err) == Internal { // such as broken chunks: the client's fault
		err = (&Error{Code: Malformed, Message: "The body could not be read to its end."}).Wrap(err)
	}
	return text, err
}

// checkType refuses bodies that are not declared as JSON: a page of another
// origin can send the other types without being asked.
func (r *restRoute) checkType(head http.Header) error {
	mediaType, params, err := mime.ParseMediaType(head.Get("Content-Type"))
	charset := strings.ToLower(params["charset"])
	switch {
	case err != nil, charset != "" && charset != "utf-8", len(head.Values("Content-Type")) > 1:
	case mediaType == "application/json", mediaType == "application/merge-patch+json" && r.method == http.MethodPatch:
		return nil
	}
	return &Error{Code: Unsupported, Message: "Send the body as application/json in UTF-8."}
}

// decodeJSON decodes a body; what is wrong with fields is added to wrong.
func decodeJSON(decoder *jsonin.Decoder, text []byte, into reflect.Value, wrong *[]FieldError) error {
	err := decoder.Decode(text, into)
	if err == nil {
		return nil
	}
	if fields, ok := errors.AsType[*jsonin.FieldsError](err); ok {
		for _, field := range fields.Fields {
			*wrong = append(*wrong, FieldError(field))
		}
		return nil
	}
	return (&Error{Code: Malformed, Message: "The body is not valid: " + err.Error() + "."}).Wrap(err)
}

// acceptsJSON reports whether an Accept header allows JSON; without one all is
// allowed.
func acceptsJSON(accept []string) bool {
	if len(accept) == 0 {
		return true
	}
	best, bestRank := 0.0, -1
	for _, line := range accept {
		for item := range strings.SplitSeq(line, ",") {
			mediaType, params, err := mime.ParseMediaType(item)
			rank := slices.Index([]string{"*/*", "application/*", "application/json"}, mediaType)
			if err != nil || rank < 0 {
				continue
			}
			q := 1.0
			if text, ok := params["q"]; ok {
				if q, err = strconv.ParseFloat(text, 64); err != nil {
					continue
				}
			}
			if rank > bestRank { // the most specific one counts
				best, bestRank = q, rank
			}
		}
	}
	return best > 0
}

// idempotencyKey reads the header of draft-ietf-httpapi-idempotency-key-header,
// a string in quotes, or without, as most clients send it. A key that is there
// and none, such as an empty one, is an error: the client counts on it.
func idempotencyKey(head http.Header) (string, error) {
	lines := head.Values("Idempotency-Key")
	if len(lines) == 0 {
		return "", nil
	}
	key := strings.TrimSpace(lines[0])
	if len(key) >= 2 && key[0] == '"' && key[len(key)-1] == '"' {
		key = key[1 : len(key)-1]
	}
	unfit := func(c rune) bool { return c < ' ' || c > '~' }
	if len(lines) > 1 || strings.TrimSpace(key) == "" || strings.ContainsFunc(key, unfit) {
		return "", &Error{Code: Malformed, Message: "Send one Idempotency-Key header, with visible ASCII characters."}
	}
	return key, nil
}

func (r *restRoute) deprecation(head http.Header) {
	options := r.op.options
	if !options.since.IsZero() {
		head.Set("Deprecation", "@"+strconv.FormatInt(options.since.Unix(), 10))
	}
	if !options.sunset.IsZero() {
		head.Set("Sunset", options.sunset.UTC().Format(http.TimeFormat))
	}
}

// precondition prepares the comparison of If-Match.
func (r *restRoute) precondition(req *http.Request, call *doorCall) error {
	if r.op.kind == isQuery {
		return nil
	}
	want := req.Header.Values("If-Match")
	if len(want) == 0 {
		if r.op.options.requireMatch {
			return &Error{Code: PreconditionRequired}
		}
		return nil
	}
	if r.current == nil || !r.op.inTx {
		return &Error{Code: PreconditionFailed, Message: "If-Match is not supported here: there is no GET to compare with."}
	}
	if call.mode != ReadOnly { // a header must not make it one that writes
		call.mode = Serializable // or two could find the same version and both change it
	}
	call.before = func(ctx context.Context) error { return r.current.compare(ctx, req, want) }
	return nil
}

// compare compares If-Match with what a GET of the request's path has. That GET
// is admitted as any other call is, for the same caller: it must not become a way
// to a function around its validation, rules or rate limit.
func (r *restRoute) compare(ctx context.Context, req *http.Request, want []string) error {
	ctx, cancel := context.WithTimeout(ctx, r.op.options.timeout)
	defer cancel()
	ctx, in, err := r.door.logic.admit(ctx, doorCall{op: r.op, decode: func(in any) error { return r.decodePath(req, in) }})
	if err != nil {
		return err
	}
	out, err := r.op.run(ctx, in)
	if err != nil {
		return err
	}
	text, err := r.op.encode.Append(nil, reflect.ValueOf(out).Elem())
	if err != nil {
		return err
	}
	if !matches(want, etag(out, text), true) {
		return &Error{Code: PreconditionFailed}
	}
	return nil
}

// decodePath fills the fields that come from the path, and leaves the others out.
func (r *restRoute) decodePath(req *http.Request, in any) error {
	var wrong []FieldError
	for _, param := range r.params {
		if param.place != "path" {
			continue
		}
		if err := param.set([]string{req.PathValue(param.name)}, reflect.ValueOf(in).Elem().FieldByIndex(param.field.Index)); err != nil {
			wrong = append(wrong, FieldError{Pointer: pointer(param.name), Rule: "format", Message: err.Error()})
		}
	}
	if len(wrong) > 0 {
		return &Error{Code: Invalid, Fields: wrong}
	}
	return nil
}

// answer writes the output, whose JSON is text.
func (r *restRoute) answer(w http.ResponseWriter, req *http.Request, result callResult, text []byte) error {
	head := w.Header()
	if result.replayed {
		head.Set("Idempotency-Replayed", "true")
	}
	r.caching(head, result.caller)
	if r.status == http.StatusNoContent {
		w.WriteHeader(r.status)
		return nil
	}
	if r.created != nil {
		if location := r.location(req, text); location != "" {
			head.Set("Location", location)
		}
	}
	if next := nextCursor(result.out); next != "" && r.cursor != "" {
		query := req.URL.Query()
		query.Set(r.cursor, string(next))
		head.Set("Link", "<"+req.URL.EscapedPath()+"?"+query.Encode()+`>; rel="next"`)
	}
	if r.op.kind == isQuery && r.status == http.StatusOK {
		tag := etag(result.out, text)
		head.Set("ETag", tag)
		if matches(req.Header.Values("If-None-Match"), tag, false) {
			w.WriteHeader(http.StatusNotModified)
			return nil
		}
	}
	head["Content-Type"] = jsonType
	head["Content-Length"] = []string{strconv.Itoa(len(text))}
	w.WriteHeader(r.status)
	_, err := w.Write(text)
	return err
}

var jsonType = []string{"application/json"}

// caching says how long an answer may be kept, and by whom.
func (r *restRoute) caching(head http.Header, caller Caller) {
	age := r.op.options.cache
	if age > 0 {
		r.vary(head)
	}
	switch {
	case age > 0 && caller.SignedIn():
		head.Set("Cache-Control", "private, max-age="+strconv.Itoa(int(age.Seconds())))
	case age > 0:
		head.Set("Cache-Control", "public, max-age="+strconv.Itoa(int(age.Seconds())))
	case caller.SignedIn():
		head["Cache-Control"] = noStore
	}
}

// vary names the headers that an answer that is kept depends on: the input's,
// and those that usually say who calls (RFC 9110, section 12.5.5).
func (r *restRoute) vary(head http.Header) {
	names := map[string]bool{}
	if r.door.logic.auth != nil {
		names["Authorization"], names["Cookie"] = true, true
	}
	for _, param := range r.params {
		switch param.place {
		case "header":
			names[http.CanonicalHeaderKey(param.name)] = true
		case "cookie":
			names["Cookie"] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		head.Add("Vary", name)
	}
}

// location returns the path of what a POST route has created, or "" if the
// output does not say. The parameters that both paths have come from the
// request, the last one from the output as it is on the wire.
func (r *restRoute) location(req *http.Request, out []byte) string {
	var members map[string]json.RawMessage
	if json.Unmarshal(out, &members) != nil {
		return ""
	}
	id := string(members[r.createdBy.Name])
	if strings.HasPrefix(id, `"`) && json.Unmarshal([]byte(id), &id) != nil {
		return ""
	}
	if id == "" || id == "null" || id == "." || id == ".." { // the last two would be another path
		return ""
	}
	var b strings.Builder
	for segment := range strings.SplitSeq((r.door.prefix + r.path)[1:], "/") {
		if name, isParam := strings.CutPrefix(segment, "{"); isParam {
			segment = url.PathEscape(req.PathValue(strings.TrimSuffix(name, "}")))
		}
		b.WriteString("/" + segment)
	}
	return b.String() + "/" + url.PathEscape(id)
}

// etag returns the entity tag of an output, a *Out or nil: its own, or one of its
// content (RFC 9110, section 8.8.3). Own ones that cannot stand in a header are
// not used.
func etag(out any, text []byte) string {
	if tag, ok := ownTag(out); ok {
		return `"` + tag + `"`
	}
	sum := sha256.Sum256(text)
	return `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
}

func ownTag(out any) (string, bool) {
	if out == nil {
		return "", false
	}
	value := reflect.ValueOf(out)
	for value.Elem().Kind() == reflect.Pointer && !value.Elem().IsNil() {
		value = value.Elem()
	}
	own, ok := value.Interface().(interface{ ETag() string })
	if !ok || value.Elem().Kind() == reflect.Pointer {
		return "", false
	}
	tag := own.ETag()
	return tag, !strings.ContainsFunc(tag, func(c rune) bool { return c <= ' ' || c == '"' || c > '~' })
}

// matches reports whether a tag is in the lists of If-Match or If-None-Match,
// compared strongly or weakly (RFC 9110, section 8.8.3.2).
func matches(lists []string, tag string, strong bool) bool {
	list := strings.TrimSpace(strings.Join(lists, ","))
	if list == "*" { // which stands alone
		return true
	}
	for list != "" {
		list = strings.TrimLeft(list, ", \t")
		item, weak := strings.CutPrefix(list, "W/")
		if !strings.HasPrefix(item, `"`) {
			return false // no list of tags
		}
		end := strings.IndexByte(item[1:], '"') + 2 // tags may have commas
		if end < 2 {
			return false
		}
		if item[:end] == tag && !(weak && strong) {
			return true
		}
		list = item[end:]
	}
	return false
}
