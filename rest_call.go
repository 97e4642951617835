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

	"github.com/seed-215b9b7c/backend/internal/header"
	"github.com/seed-215b9b7c/backend/internal/render"
)

// This file answers a request to the REST door. It makes a call of the request, and
// a response of the result. rest_decode.go decodes the input.

// restCall is one request to a route: a visit, and the transport of its one call.
type restCall struct {
	visit
	route *restRoute
	w     http.ResponseWriter
	req   *http.Request
	how   callConfig

	match, noneMatch []string          // the headers that compare versions
	compared         bool              // they were, with what a GET has
	selection        *render.Selection // nil: every field
	tag              string            // of the answer; "": it has none
	*buffers
}

// buffers are the memory for the body of a request and for its answer.
type buffers struct {
	body []byte // of the request
	read bool   // body is complete
	text []byte // of the answer
}

// maxKept is how large a buffer may be that is kept for other requests.
const maxKept = 64 << 10

// borrow returns empty buffers, which may have memory from an earlier request.
// Nobody may keep a part of them: decoders copy what they take, and so does every
// http.ResponseWriter.
func (d *RESTDoor) borrow() *buffers {
	if b, ok := d.spare.Get().(*buffers); ok {
		return b
	}
	return &buffers{}
}

func (d *RESTDoor) giveBack(b *buffers) {
	if cap(b.body) <= maxKept && cap(b.text) <= maxKept {
		b.body, b.text, b.read = b.body[:0], b.text[:0], false
		d.spare.Put(b)
	}
}

// ServeHTTP answers one request.
func (r *restRoute) ServeHTTP(w http.ResponseWriter, req *http.Request) { r.handler.ServeHTTP(w, req) }

func (r *restRoute) serve(w http.ResponseWriter, req *http.Request) error {
	if r.status != http.StatusNoContent && !acceptsJSON(req.Header["Accept"]) {
		return &Error{Code: NotAcceptable, Message: "This is available as application/json."}
	}
	r.deprecation(w.Header())
	c := &restCall{route: r, w: w, req: req, how: callConfig{mode: r.op.settings.tx, needsKey: true}, buffers: r.door.borrow()}
	r.door.logic.visit(&c.visit, r.door.name, req)
	err := r.asSent(c.serve())
	r.door.giveBack(c.buffers) // not after a panic, when somebody may still have them
	return err
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
	return c.answer(result)
}

// encode writes an output with the relations that the client asked for, and its ETag:
// if a method ETag panics, the call is undone.
func (c *restCall) encode(ctx context.Context, out any) (err error) {
	value := reflect.ValueOf(out).Elem()
	if c.selection == nil {
		c.text, err = c.route.encode.Append(c.text[:0], value)
	} else {
		c.text, err = render.Append(ctx, c.text[:0], c.route.encode.AppendSelected, value, c.selection, c.spend)
	}
	if err == nil {
		c.tag = c.version(out)
	}
	return err
}

// acceptsJSON reports whether an Accept header allows JSON. A missing or empty header
// allows everything.
func acceptsJSON(accept []string) bool {
	if len(accept) == 0 || len(accept) == 1 && (accept[0] == "" || accept[0] == "*/*" || accept[0] == "application/json") {
		return true
	}
	best, bestRank := 0, -1
	for c := header.Choices(accept); c.Next(); {
		rank := -1
		for i, mediaRange := range [...]string{"*/*", "application/*", "application/json"} {
			if strings.EqualFold(c.Value, mediaRange) {
				rank = i
			}
		}
		if rank > bestRank { // the most specific one counts
			best, bestRank = c.Weight, rank
		}
	}
	return best > 0
}

// idempotencyKey returns the value of Idempotency-Key
// (draft-ietf-httpapi-idempotency-key-header): a string in quotes, or without them,
// as most clients send it. A header that holds no key is an error, because the client
// relies on it.
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

// answer writes the response to a call that has succeeded.
func (c *restCall) answer(result callResult) error {
	r, head := c.route, c.w.Header()
	if result.replayed {
		head.Set("Idempotency-Replayed", "true")
	}
	r.caching(head, c.caller)
	if r.status == http.StatusNoContent {
		c.w.WriteHeader(r.status)
		return nil
	}
	c.links(head, result.out)
	if c.known() {
		c.w.WriteHeader(http.StatusNotModified)
		return nil
	}
	head["Content-Type"] = jsonType
	head["Content-Length"] = []string{strconv.Itoa(len(c.text))}
	c.w.WriteHeader(r.status)
	if _, err := c.w.Write(c.text); err != nil { // nobody is there, or nobody reads
		return (&Error{Code: Canceled}).Wrap(err)
	}
	return nil
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

// noCache lets caches keep an answer, and makes them ask before they use it. Without
// Cache-Control they may decide by themselves (RFC 9111, section 4.2.2).
var noCache = []string{"no-cache"}

// variesBy returns the request headers that an answer depends on, for Vary (RFC
// 9110, section 12.5.5): those of the input, and those that usually say who calls.
// Answers that differ by them may have the same ETag, if it is the output's own.
func (r *restRoute) variesBy() []string {
	names := map[string]bool{}
	if r.door.logic.auth != nil {
		names["Authorization"], names["Cookie"] = true, true
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

// location returns the path of what a POST has created: the path of the request and
// one more segment, a field of the output. It returns "" if that field is empty. out
// is a *Out.
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
	id := string(text) // as it is on the wire, without quotes
	if strings.HasPrefix(id, `"`) && json.Unmarshal(text, &id) != nil {
		return ""
	}
	if id == "" || id == "null" || id == "." || id == ".." { // the last two would be another path
		return ""
	}
	return requestPath(req) + "/" + url.PathEscape(id)
}

// requestPath returns the path that the client sent. The path of req may be without
// its beginning, which handlers such as [http.StripPrefix] remove.
func requestPath(req *http.Request) string {
	path := req.URL.EscapedPath()
	if query, whole := strings.CutPrefix(req.RequestURI, path); whole && (query == "" || query[0] == '?') {
		return path
	}
	sent, err := url.ParseRequestURI(req.RequestURI)
	if err != nil {
		return path
	}
	if whole := sent.EscapedPath(); strings.HasSuffix(whole, path) && !strings.HasPrefix(whole, "//") { // which would be a host
		return whole
	}
	return path
}
