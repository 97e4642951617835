package backend

import (
	"context"
	"net/http"
	"reflect"
	"slices"

	"github.com/seed-215b9b7c/backend/internal/etag"
	"github.com/seed-215b9b7c/backend/internal/response"
)

// This file has entity tags and conditional requests of the REST door (RFC 9110,
// section 13).

// readConditions reads If-Match and If-None-Match of a mutation. With one of them the
// transaction is serializable: otherwise two calls could find the same version and
// both change it. A read-only transaction stays read-only.
func (c *restCall) readConditions() {
	if c.route.op.kind == isQuery {
		return
	}
	c.match, c.noneMatch = c.req.Header["If-Match"], c.req.Header["If-None-Match"]
	if c.conditional() && c.how.mode != ReadOnly {
		c.how.mode = Serializable
	}
}

// conditional reports whether the request has a condition.
func (c *restCall) conditional() bool { return len(c.match) > 0 || len(c.noneMatch) > 0 }

// checkConditions returns an error if the request has a condition that the route
// cannot check, or does not have one that the route requires.
func (c *restCall) checkConditions() error {
	r := c.route
	switch {
	case len(c.match) == 0 && r.op.settings.requireMatch:
		return &Error{Code: PreconditionRequired}
	case c.conditional() && (r.current == nil || !r.op.inTx):
		return &Error{Code: PreconditionFailed, Message: "If-Match and If-None-Match are not supported here: there is no GET to compare with."}
	}
	return nil
}

// before compares the conditions with the ETag of a GET.
func (c *restCall) before(ctx context.Context) error {
	if !c.conditional() {
		return nil
	}
	tag, err := c.currentTag(ctx)
	return compare(tag, err, c.match, c.noneMatch)
}

// compare compares conditions with the ETag of a GET, or with its error. If the GET
// finds nothing, If-None-Match is true.
func compare(tag string, err error, match, noneMatch []string) error {
	if err != nil {
		if code := CodeOf(err); len(match) == 0 && (code == NotFound || code == Gone) {
			return nil
		}
		return err
	}
	_, matches := etag.Find(match, tag, etag.Strong, response.Codings...)
	_, unwanted := etag.Find(noneMatch, tag, etag.Loose, response.Codings...)
	if len(match) > 0 && !matches || unwanted {
		return &Error{Code: PreconditionFailed}
	}
	return nil
}

// currentTag returns the ETag that a GET of the same path would have, with the
// headers and cookies of the request. The GET is a call of the same visit, with
// validation, access and rate limit. If the transaction runs again, it is called
// again, and is counted once.
func (c *restCall) currentTag(ctx context.Context) (string, error) {
	get := &currentCall{route: c.route.current, req: c.req, path: c.path, visit: &c.visit}
	again := c.compared
	c.compared = true
	_, err := c.call(ctx, get.route.op, get, callConfig{outside: true, again: again})
	return get.tag, get.route.asSent(err)
}

// currentCall is the transport of the GET whose ETag the conditions of a mutation are
// compared with. It decodes the fields that come from the path, headers and cookies. It
// does not decode the query string, which belongs to the mutation.
type currentCall struct {
	route *restRoute
	req   *http.Request
	path  pathValues
	visit *visit
	tag   string
}

func (c *currentCall) decode(_ context.Context, in any) error {
	wrong := c.route.input.Decode(c.req, c.path.values, nil, reflect.ValueOf(in).Elem(), true)
	if len(wrong) > 0 {
		return &Error{Code: Invalid, Fields: wrongFields(wrong)}
	}
	return nil
}

func (*currentCall) before(context.Context) error { return nil }

// encode sets tag to the ETag of the output.
func (c *currentCall) encode(ctx context.Context, out any) error {
	if c.route.content {
		c.tag = out.(content).tag()
		out.(content).close()
		return nil
	}
	text, err := c.route.append(ctx, nil, out, c.route.always, c.visit)
	if err == nil {
		c.tag = c.route.etagOf(out, text)
	}
	return err
}

// version returns the ETag of the response, or "" if it has none. The response to a
// mutation has the ETag that a GET would have now, so that the client can make another
// change without a GET. The response to a PUT has none, because an ETag would mean that
// the request was stored as it was sent (RFC 9110, section 9.3.4).
func (c *restCall) version(out any) string {
	r, related := c.route, c.selection != c.route.always
	switch {
	case !r.tagged || related && r.op.kind == isMutation:
		return ""
	case r.content:
		return c.content.tag()
	case related:
		return etag.Weak(etag.Of(c.text))
	}
	return r.etagOf(out, c.text)
}

// failsIfMatch returns an error if a GET has an If-Match that does not list tag, the
// ETag of its response, or "" if it has none (RFC 9110, section 13.1.1).
func failsIfMatch(head http.Header, tag string) error {
	lists := head["If-Match"]
	if len(lists) == 0 {
		return nil
	}
	if _, matches := etag.Find(lists, tag, etag.Strong, response.Codings...); !matches {
		return &Error{Code: PreconditionFailed}
	}
	return nil
}

// setTag sets the header ETag of the response. It reports whether If-None-Match lists the
// ETag. If so, the header is the listed one: that of the plain response, or that of a
// compressed response that the client accepts.
func (c *restCall) setTag() (notModified bool) {
	if c.tag == "" {
		return false
	}
	if rw := response.Of(c.w); rw != nil {
		rw.KeepStrongTags()
	}
	tag := c.tag
	if lists := c.req.Header["If-None-Match"]; len(lists) > 0 && c.route.op.kind == isQuery {
		tag, notModified = etag.Find(lists, c.tag, etag.Loose, response.AcceptableCodings(c.req.Header["Accept-Encoding"])...)
	}
	c.w.Header()["Etag"] = []string{tag}
	return notModified
}

// etagOf returns the ETag of an output, a *Out or nil, whose JSON is text. It is that of
// the output's method ETag, or else a hash of the text. The result of a method ETag is
// not used if it is empty, as before a version is known, or if a header cannot hold it. With relations that are always loaded, which the
// method does not see, the ETag is a hash of both.
func (r *restRoute) etagOf(out any, text []byte) string {
	own, ok := ownTag(out)
	if r.always != nil {
		return etag.Of(append(slices.Clip(text), own...))
	}
	if ok && own != "" {
		if tag, ok := etag.Quote(own); ok {
			return tag
		}
	}
	return etag.Of(text)
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
	return own.ETag(), true
}
