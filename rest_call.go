package backend

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/seed-215b9b7c/backend/internal/admission"
	"github.com/seed-215b9b7c/backend/internal/form"
	"github.com/seed-215b9b7c/backend/internal/header"
	"github.com/seed-215b9b7c/backend/internal/render"
	"github.com/seed-215b9b7c/backend/internal/response"
	"github.com/seed-215b9b7c/backend/internal/route"
)

// This file handles a request to the REST door: it calls the operation and writes the
// response. rest_decode.go decodes the input.

// restCall is one request to a route: a visit, and the transport of its one call.
type restCall struct {
	visit
	route *restRoute
	w     http.ResponseWriter
	req   *http.Request
	path  pathValues
	how   callConfig
	disk  admission.Portion // for the files of the form

	match, noneMatch []string          // the headers If-Match and If-None-Match
	compared         bool              // the GET was called to compare its ETag
	selection        *render.Selection // nil: all fields and no relations
	tag              string            // the ETag of the response, or ""
	content          content           // the output; nil if it is JSON
	length           [1]string         // the header Content-Length
	form             *form.Form        // the input; nil if it is JSON
	*buffers
}

// buffers have the bodies of a request and of its response.
type buffers struct {
	body []byte // of the request
	read bool   // body is complete
	text []byte // of the response

	memory  admission.Portion // for the input
	arrived int64             // what the body took of it
}

// maxSpare is the largest buffer that another request may use again.
const maxSpare = 64 << 10

// borrow returns empty buffers, which may have been used by an earlier request. Nothing
// may refer to them after giveBack: decoders and every http.ResponseWriter copy what
// they need.
func (d *RESTDoor) borrow() *buffers {
	if b, ok := d.spare.Get().(*buffers); ok {
		return b
	}
	return &buffers{}
}

func (d *RESTDoor) giveBack(b *buffers) {
	if cap(b.body) <= maxSpare && cap(b.text) <= maxSpare {
		b.body, b.text, b.read = b.body[:0], b.text[:0], false
		d.spare.Put(b)
	}
}

// ServeHTTP handles one request that has PathValues.
func (r *restRoute) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	values := make([]string, len(r.names))
	for i, name := range r.names {
		values[i] = req.PathValue(name)
	}
	r.serveValues(w, req, pathValues{r.names, values})
}

// serveValues handles one request. It sets PathValues only for functions of the program.
func (r *restRoute) serveValues(w http.ResponseWriter, req *http.Request, path pathValues) {
	if err := r.serve(w, req, path); err != nil {
		path.set(req)
		endHandler(w, req, err) // not as a Handler: the errors of operations are the program's
	}
}

func (r *restRoute) serve(w http.ResponseWriter, req *http.Request, path pathValues) error {
	if err := checkOnce(req); err != nil {
		return err
	}
	if err := r.checkAccept(req.Header["Accept"]); err != nil {
		return err
	}
	r.deprecation(w.Header())
	c := &restCall{route: r, w: w, req: req, how: callConfig{mode: r.op.settings.tx, needsKey: true}, selection: r.always, buffers: r.door.borrow()}
	r.door.logic.visit(&c.visit, r.door.name, req)
	if c.path = path; r.door.logic.auth != nil {
		path.set(req) // for the Authenticator
	}
	c.memory = c.beginMemory()
	defer c.endMemory()
	defer c.closeFiles()
	err := r.asSent(c.serve())
	c.endMemory()
	r.door.giveBack(c.buffers) // not after a panic: something may still refer to them
	c.buffers = nil
	return err
}

// endMemory gives the memory for the input back, also after a panic.
func (c *restCall) endMemory() {
	if c.buffers != nil {
		c.memory.End()
	}
}

// closeFiles closes the files of the input and the output, also after a panic.
func (c *restCall) closeFiles() {
	if c.content != nil {
		c.content.close()
	}
	if c.form != nil {
		c.form.Close()
		c.disk.End()
	}
}

func (c *restCall) serve() (err error) {
	if c.route.op.settings.key != keyIgnored {
		if c.how.key, err = idempotencyKey(c.req.Header); err != nil {
			return err
		}
	}
	c.readConditions()
	result, err := c.call(c.req.Context(), c.route.op, c, c.how)
	if err != nil {
		return err
	}
	return c.respond(result)
}

// encode encodes an output with the relations that the client asked for, and finds its
// ETag. It runs in the transaction, so that a panic of a method ETag undoes the call.
func (c *restCall) encode(ctx context.Context, out any) (err error) {
	if c.route.content {
		if c.content != nil {
			c.content.close() // that of an earlier run of the transaction
		}
		c.content = out.(content)
		err = c.content.prepare(c.route.op.settings.produces)
		c.tag = c.version(out)
		return err
	}
	if c.text, err = c.route.append(ctx, c.text[:0], out, c.selection, &c.visit); err == nil {
		c.tag = c.version(out)
	}
	return err
}

// append appends the JSON of an output, a *Out, with the relations of a selection.
func (r *restRoute) append(ctx context.Context, dst []byte, out any, selection *render.Selection, v *visit) ([]byte, error) {
	value := reflect.ValueOf(out).Elem()
	if selection == nil {
		return r.encode.Append(dst, value)
	}
	return render.Append(ctx, dst, r.encode.AppendSelected, value, selection, v.spend)
}

// checkAccept returns an error if Accept allows none of the types that the response may
// have.
func (r *restRoute) checkAccept(accept []string) error {
	types := jsonType
	if r.content {
		types = r.op.settings.produces
	}
	if r.status == http.StatusNoContent || len(types) == 0 || slices.ContainsFunc(types, func(t string) bool { return accepts(accept, t) }) {
		return nil
	}
	return &Error{Code: NotAcceptable, Message: "This is available as " + strings.Join(types, ", ") + "."}
}

// accepts reports whether an Accept header allows a media type. A missing or empty header
// allows everything.
func accepts(accept []string, mediaType string) bool {
	if len(accept) == 0 || len(accept) == 1 && (accept[0] == "" || accept[0] == "*/*" || accept[0] == mediaType) {
		return true
	}
	best, bestRank := 0, -1
	kind, _, _ := strings.Cut(mediaType, "/")
	for c := header.Choices(accept); c.Next(); {
		rank := -1
		for i, mediaRange := range [...]string{"*/*", kind + "/*", mediaType} {
			if strings.EqualFold(c.Value, mediaRange) {
				rank = i
			}
		}
		if rank > bestRank { // the most specific media range decides
			best, bestRank = c.Weight, rank
		}
	}
	return best > 0
}

// idempotencyKey returns the value of Idempotency-Key
// (draft-ietf-httpapi-idempotency-key-header), with or without quotes, since most
// clients send none. A header without a valid key is an error, because the client relies
// on it.
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
	options := r.op.settings
	if !options.since.IsZero() {
		head.Set("Deprecation", "@"+strconv.FormatInt(options.since.Unix(), 10))
	}
	if !options.sunset.IsZero() {
		head.Set("Sunset", options.sunset.UTC().Format(http.TimeFormat))
	}
}

// respond writes the response to a call that has succeeded.
func (c *restCall) respond(result callResult) error {
	r, head := c.route, c.w.Header()
	if r.op.kind == isQuery { // a mutation has compared before it was done
		if err := failsIfMatch(c.req.Header, c.tag); err != nil {
			return err
		}
	}
	if result.replayed {
		head.Set("Idempotency-Replayed", "true")
	}
	r.caching(head, c.caller)
	status := r.status
	if status != http.StatusNoContent {
		c.links(head, result.out)
		if c.setTag() {
			status = http.StatusNotModified
		}
	}
	status = c.say(result.said, status)
	switch {
	case status == http.StatusNoContent || status == http.StatusNotModified:
		c.w.WriteHeader(status)
		return nil
	case r.content:
		return c.content.send(c.w, c.req.WithContext(WithCaller(c.req.Context(), c.caller)), status)
	}
	head["Content-Type"] = jsonType
	if rw := response.Of(c.w); rw == nil || !rw.IsShort(len(c.text)) {
		c.length[0] = strconv.Itoa(len(c.text))
		head["Content-Length"] = c.length[:]
	}
	c.w.WriteHeader(status)
	if _, err := c.w.Write(c.text); err != nil { // the client has gone away, or does not read
		return (&Error{Code: Canceled}).Wrap(err)
	}
	return nil
}

// say sets the headers and cookies of what was said, and returns the status. What was said
// before the call, by an Authenticator for example, comes first.
func (c *restCall) say(said *saying, status int) int {
	if x := exchangeOf(c.req.Context(), c.w); x != nil {
		said = said.after(x.saidBefore())
	}
	if said == nil {
		return status
	}
	said.apply(c.w.Header(), isLocal(c.req))
	if said.status != 0 && status != http.StatusNotModified {
		return said.status
	}
	return status
}

var jsonType = []string{"application/json"}

// links sets Location, for what was created, and Link, for the next page.
func (c *restCall) links(head http.Header, out any) {
	r := c.route
	if r.created != nil {
		if location := r.location(c.req, out); location != "" {
			head.Set("Location", location)
		}
	}
	if r.cursor == "" {
		return
	}
	if next := nextCursor(out); next != "" {
		query := c.req.URL.Query()
		query.Set(r.cursor, string(next))
		head.Set("Link", "<"+requestPath(c.req)+"?"+query.Encode()+`>; rel="next"`)
	}
}

// caching sets Cache-Control and Vary.
func (r *restRoute) caching(head http.Header, caller Caller) {
	age := r.op.settings.maxAge
	if kept := age > 0 || r.op.kind == isQuery && !caller.SignedIn(); kept && len(r.varies) > 0 {
		head["Vary"] = append(slices.Clip(head["Vary"]), r.varies...)
	}
	switch {
	case age > 0 && caller.SignedIn():
		head.Set("Cache-Control", "private, max-age="+strconv.Itoa(int(age.Seconds())))
	case age > 0:
		head.Set("Cache-Control", "public, max-age="+strconv.Itoa(int(age.Seconds())))
	case caller.SignedIn():
		head["Cache-Control"] = noStore
	case r.op.kind == isQuery:
		head["Cache-Control"] = noCache
	}
}

// noCache lets caches store a response, but makes them revalidate it before each use.
// Without Cache-Control they may use it for a time of their choice (RFC 9111, section
// 4.2.2).
var noCache = []string{"no-cache"}

// variesBy returns the request headers that a response depends on, for Vary (RFC 9110,
// section 12.5.5): those of the input, and those that have credentials. Two
// responses that differ in them may have the same ETag, if it comes from a method ETag.
func (r *restRoute) variesBy() []string {
	names := map[string]bool{}
	if r.door.logic.auth != nil {
		names["Authorization"], names["Cookie"] = true, true
	}
	for _, scheme := range r.door.logic.schemes {
		if scheme.Header != "" {
			names[http.CanonicalHeaderKey(scheme.Header)] = true
		}
	}
	for _, param := range r.input.Params {
		switch param.Place {
		case "header":
			names[http.CanonicalHeaderKey(param.Name)] = true
		case "cookie":
			names["Cookie"] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// location returns the path of what a POST has created: the path of the request, and a
// field of the output as one more segment. It returns "" if that field is empty, or if
// the path would be refused or be that of another operation. out is a *Out.
func (r *restRoute) location(req *http.Request, out any) string {
	value := reflect.ValueOf(out).Elem()
	if value.Kind() == reflect.Pointer {
		if value.IsNil() {
			return ""
		}
		value = value.Elem()
	}
	text, err := r.createdID.Append(nil, value.FieldByIndex(r.createdBy.Index))
	if err != nil {
		return ""
	}
	id := string(text) // its JSON, without quotes
	if strings.HasPrefix(id, `"`) && json.Unmarshal(text, &id) != nil {
		return ""
	}
	if id == "null" || !route.IsSegment(id) || slices.Contains(r.siblings, id) {
		return ""
	}
	return requestPath(req) + "/" + url.PathEscape(id)
}
