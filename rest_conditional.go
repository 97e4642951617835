package backend

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"reflect"
	"strings"
)

// This file is about the versions of what the REST door answers: their entity
// tags, and requests that depend on them (RFC 9110, section 13).

// precondition prepares the comparison of If-Match and If-None-Match for a
// mutation.
func (c *restCall) precondition() error {
	r := c.route
	if r.op.kind == isQuery {
		return nil
	}
	c.match, c.noneMatch = c.req.Header["If-Match"], c.req.Header["If-None-Match"]
	if len(c.match) == 0 && r.op.options.requireMatch {
		return &Error{Code: PreconditionRequired}
	}
	if len(c.match) == 0 && len(c.noneMatch) == 0 {
		return nil
	}
	if r.current == nil || !r.op.inTx {
		return &Error{Code: PreconditionFailed, Message: "If-Match and If-None-Match are not supported here: there is no GET to compare with."}
	}
	if c.mode != ReadOnly { // a header must not make it one that writes
		c.mode = Serializable // or two could find the same version and both change it
	}
	return nil
}

// before compares what the headers want with what a GET has.
func (c *restCall) before(ctx context.Context) error {
	if len(c.match) == 0 && len(c.noneMatch) == 0 {
		return nil
	}
	tag, err := c.currentTag(ctx)
	return compare(tag, err, c.match, c.noneMatch)
}

// compare compares the tag that a GET has, or its error, with what the headers
// want. If-None-Match is content with there being nothing.
func compare(tag string, err error, match, noneMatch []string) error {
	if err != nil {
		if code := CodeOf(err); len(match) == 0 && (code == NotFound || code == Gone) {
			return nil
		}
		return err
	}
	if len(match) > 0 && !matches(match, tag, true) || matches(noneMatch, tag, false) {
		return &Error{Code: PreconditionFailed}
	}
	return nil
}

// currentTag returns the ETag that a GET of the request's path has, with the
// request's headers and cookies. That GET is admitted as any other call is, for
// the same caller: a header must not become a way to a function around its
// validation, rules or rate limit. It is admitted once, however often the
// transaction runs.
func (c *restCall) currentTag(ctx context.Context) (_ string, err error) {
	r := c.route.current
	of := newCallContext(ctx, r.door.logic, r.op, c.req)
	defer of.End()
	of.caller = CallerFrom(ctx)
	if around, ok := ctx.Value(callKey{}).(*callContext); ok { // whose denial it is, too
		defer func() { around.denied = around.denied || of.denied }()
	}
	if c.currentIn == nil {
		if c.currentIn, err = r.door.logic.admit(of, nil, withoutQuery{r, c.req}); err != nil {
			return "", r.asSent(err)
		}
	}
	out, err := r.op.run(of, c.currentIn)
	if err != nil {
		return "", err
	}
	text, err := r.op.encode.Append(nil, reflect.ValueOf(out).Elem())
	if err != nil {
		return "", err
	}
	return etag(out, text), nil
}

// withoutQuery decodes the fields that come from the path, headers and cookies,
// and leaves out those of the query: that of the request is another operation's.
type withoutQuery struct {
	route *restRoute
	req   *http.Request
}

func (p withoutQuery) decode(in any) error {
	var wrong []FieldError
	for _, param := range p.route.params {
		if values := param.values(p.req, nil); len(values) > 0 {
			param.fill(reflect.ValueOf(in).Elem(), values, &wrong)
		}
	}
	if len(wrong) > 0 {
		return &Error{Code: Invalid, Fields: wrong}
	}
	return nil
}

// version returns the ETag of an answer, or "" if it has none. A mutation's is
// the one that a GET would have now, so that a client need not ask for it before
// the next change. PUT has none, since it would say that what was sent is what
// was stored (RFC 9110, section 9.3.4).
func (c *restCall) version(out any) string {
	r, related := c.route, len(c.tree) > 0
	switch {
	case !r.tagged || related && r.op.kind == isMutation:
		return ""
	case related:
		return "W/" + etag(nil, c.text)
	}
	return etag(out, c.text)
}

// known sets the ETag of an answer, and reports whether it is what If-None-Match
// has already; then it is the ETag of the answer that the client has. A cache
// between may have a compressed form that this client could not read: it does not
// count.
func (c *restCall) known() bool {
	if c.tag == "" {
		return false
	}
	if x := exchangeFrom(c.req.Context()); x != nil && responseOf(c.w) == x {
		x.versioned = true
	}
	tag, known := c.tag, false
	if lists := c.req.Header["If-None-Match"]; len(lists) > 0 && c.op.kind == isQuery {
		weights := codingWeights(c.req.Header["Accept-Encoding"])
		tag, known = find(lists, c.tag, false, func(by coding) bool { return weights[by] > 0 })
	}
	c.w.Header()["Etag"] = []string{tag}
	return known
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

// hasTag reports whether values of a type, or pointers to them, have a method
// ETag.
func hasTag(t reflect.Type) bool {
	return reflect.PointerTo(t).Implements(reflect.TypeFor[interface{ ETag() string }]())
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
	_, found := find(lists, tag, strong, func(coding) bool { return true })
	return found
}

// find is matches that says as what the tag was found: as it is, or as that of a
// compressed form, of those that count.
func find(lists []string, tag string, strong bool, counts func(coding) bool) (as string, found bool) {
	opaque, weakTag := strings.CutPrefix(tag, "W/")
	list := strings.TrimSpace(strings.Join(lists, ","))
	if list == "*" { // which stands alone
		return tag, true
	}
	for list != "" {
		list = strings.TrimLeft(list, ", \t")
		item, weak := strings.CutPrefix(list, "W/")
		if !strings.HasPrefix(item, `"`) {
			break // no list of tags
		}
		end := strings.IndexByte(item[1:], '"') + 2 // tags may have commas
		if end < 2 {
			break
		}
		switch one := item[:end]; {
		case strong && (weak || weakTag):
		case one == opaque:
			return tag, true
		case !weakTag && isCoded(one, tag, counts):
			return one, true
		}
		list = item[end:]
	}
	return tag, false
}

// isCoded reports whether one is the tag of a compressed form of what has tag.
func isCoded(one, tag string, counts func(coding) bool) bool {
	return counts(gzipped) && one == codedTag(tag, gzipped) || counts(zstandard) && one == codedTag(tag, zstandard)
}
