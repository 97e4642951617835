package backend

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/seed-215b9b7c/backend/internal/header"
)

// This file has what an operation can say about the response to its call: headers,
// cookies and the status.

// SetHeader sets a header of the response to the call that ctx belongs to. It replaces
// other values of the header, also one that the door sets itself, such as Location or
// Cache-Control, and those that protect the page, such as Content-Security-Policy of
// [SecureHeaders]. Vary is for [AddHeader] only.
//
//	func (a *App) Export(ctx context.Context, in Export) (Report, error) {
//		backend.SetHeader(ctx, "X-Report-Version", report.Version)
//		…
//
// SetHeader, [AddHeader], [SetCookie] and [SetStatus] have these rules in common:
//
//   - They take effect only if the call succeeds. If its transaction runs again, what
//     the earlier run has said is forgotten.
//   - In an operation that another one calls by [Call], they are about the response to
//     the outer call, if the inner one succeeds. The same holds for a Call in a handler
//     with middleware of this package around it, such as [Stack]; the handler has
//     the last word about the status. The handler itself, and an [Authenticator], can
//     use all but SetStatus as well: there they take effect whatever follows. What an
//     operation says replaces what the Authenticator has said before.
//   - [Idempotent] stores them with the output, and a replayed response has them. A
//     cookie that is a credential is stored in clear, as the output is.
//   - Doors that have no headers ignore them, and so do calls without a door, such as those
//     of jobs. A [CustomDoor] for HTTP needs middleware of this package around it.
//   - What is not possible, such as a value with a line break or a header that describes the
//     body, fails the call with an [Internal] error that says what to do.
//
// They are safe for concurrent use, and do nothing after the call has ended.
func SetHeader(ctx context.Context, name, value string) {
	replyFrom(ctx).change("SetHeader", func(s *saying) error {
		if err := checkReplyHeader(name, value); err != nil {
			return err
		}
		if name = http.CanonicalHeaderKey(name); name == "Vary" {
			return errors.New("the response may vary by more than the operation knows; use AddHeader")
		}
		s.set(name, []string{value})
		return nil
	})
}

// AddHeader adds a value to a header of the response, such as Link or Vary. The rules are
// those of [SetHeader].
func AddHeader(ctx context.Context, name, value string) {
	replyFrom(ctx).change("AddHeader", func(s *saying) error {
		if err := checkReplyHeader(name, value); err != nil {
			return err
		}
		s.add(http.CanonicalHeaderKey(name), []string{value})
		return nil
	})
}

// SetCookie sets a cookie with the response. The cookie is sent with the attributes
// HttpOnly, so that scripts cannot read it, and Secure, except to a program that serves
// plain HTTP on localhost. SameSite defaults to Lax, and may be Strict; Path defaults to
// "/". A cookie with the same name, path and domain replaces an earlier one of the same call.
// MaxAge: -1 deletes the cookie. A response with a cookie is not stored by caches, unless
// the operation sets Cache-Control by SetHeader. The other rules are those of [SetHeader].
//
//	backend.SetCookie(ctx, &http.Cookie{Name: "theme", Value: "dark", MaxAge: 365 * 24 * 60 * 60})
func SetCookie(ctx context.Context, cookie *http.Cookie) {
	replyFrom(ctx).change("SetCookie", func(s *saying) error {
		if cookie.SameSite == http.SameSiteNoneMode {
			return errors.New("SameSite is None: other sites would send the cookie; SetInsecureCookie allows that")
		}
		kept := *cookie
		kept.HttpOnly = true
		if kept.SameSite != http.SameSiteStrictMode {
			kept.SameSite = http.SameSiteLaxMode
		}
		if kept.Path == "" {
			kept.Path = "/"
		}
		return s.setCookie(replyCookie{Cookie: kept, secure: true})
	})
}

// SetInsecureCookie is [SetCookie] for a cookie that is sent as it is: without HttpOnly,
// Secure, SameSite and Path, unless it has them. It is for cookies that scripts read, and for
// those that pages of other sites send. Such a cookie must not be a credential by itself.
func SetInsecureCookie(ctx context.Context, cookie *http.Cookie) {
	replyFrom(ctx).change("SetInsecureCookie", func(s *saying) error {
		return s.setCookie(replyCookie{Cookie: *cookie})
	})
}

// SetStatus sets the HTTP status of the response. code must be one that the option
// [Status] lists, so that the description of the API has it. The last SetStatus counts. With
// 204 the output is not sent. The other rules are those of [SetHeader].
//
//	backend.Mutation("putNote", backend.SignedIn, app.PutNote, backend.Route("PUT /notes/{id}"), backend.Status(200, 201))
func SetStatus(ctx context.Context, code int) {
	replyFrom(ctx).change("SetStatus", func(s *saying) error {
		s.status = code
		return nil
	})
}

// reply is what a call says about its response. The zero reply says nothing. It is safe for
// concurrent use.
type reply struct {
	mu    sync.Mutex
	ended bool    // nothing is said any more
	said  *saying // nil: nothing
}

// saying is what was said.
type saying struct {
	status  int // 0: the default
	header  http.Header
	added   []string // the names in header whose values are added to those of the response
	cookies []replyCookie
	wrong   error
}

// replyCookie is a cookie; secure says that it is sent with Secure, unless the request
// came over plain HTTP to localhost.
type replyCookie struct {
	http.Cookie
	secure bool
}

type replyKey struct{}

// replyFrom returns the reply of the innermost call in ctx, or of its request outside of
// calls, or nil.
func replyFrom(ctx context.Context) *reply {
	r, _ := ctx.Value(replyKey{}).(*reply)
	return r
}

// change makes a change under the lock. An error of it is kept, with the name of the
// function that the program has called.
func (r *reply) change(function string, f func(*saying) error) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return
	}
	if r.said == nil {
		r.said = &saying{header: http.Header{}}
	}
	if err := f(r.said); err != nil && r.said.wrong == nil {
		r.said.wrong = fmt.Errorf("%s: %w", function, err)
	}
}

// begin forgets what an earlier run of the transaction has said.
func (r *reply) begin() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.said = nil
}

// check returns what was wrong, or an error for a status that is not one of allowed.
func (r *reply) check(allowed []int) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.said.check(allowed)
}

// appendStored appends what was said so far to dst, or nothing if nothing was.
func (r *reply) appendStored(dst []byte) ([]byte, error) {
	r.mu.Lock() // the function may have left a goroutine
	defer r.mu.Unlock()
	return r.said.appendStored(dst)
}

// take returns what was said so far, or nil, and forgets it, unless something is wrong.
func (r *reply) take() *saying {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.said == nil || r.said.wrong != nil {
		return nil
	}
	said := r.said
	r.said = nil
	return said
}

// end returns what was said, or nil. Nothing changes it any more.
func (r *reply) end() *saying {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = true
	return r.said
}

// check returns what was wrong, or an error for a status that is not one of allowed.
func (s *saying) check(allowed []int) error {
	switch {
	case s == nil:
		return nil
	case s.wrong == nil && s.status != 0 && !slices.Contains(allowed, s.status):
		return fmt.Errorf("SetStatus(%d): the option Status does not list it; add it there, so that the description of the API has it", s.status)
	}
	return s.wrong
}

// sets reports whether a header replaces the values of the response.
func (s *saying) sets(name string) bool {
	return s.header[name] != nil && !slices.Contains(s.added, name)
}

// set sets the values of a header, whose name is canonical.
func (s *saying) set(name string, values []string) {
	s.header[name] = values
	s.added = slices.DeleteFunc(s.added, func(other string) bool { return other == name })
}

// add adds values to those that were set or added, or else to those of the response.
func (s *saying) add(name string, values []string) {
	if s.header[name] == nil {
		s.added = append(s.added, name)
	}
	s.header[name] = slices.Concat(s.header[name], values)
}

func (s *saying) setCookie(c replyCookie) error {
	sent := c.Cookie
	sent.Secure = sent.Secure || c.secure
	if err := cmp.Or(sent.Valid(), checkCookieName(&sent)); err != nil {
		return fmt.Errorf("cookie %q: %w", c.Name, err)
	}
	s.cookies = slices.DeleteFunc(s.cookies, func(other replyCookie) bool {
		return other.Name == c.Name && other.Path == c.Path && other.Domain == c.Domain
	})
	s.cookies = append(s.cookies, c)
	return nil
}

// checkCookieName returns an error for a cookie that browsers refuse because of its name (RFC
// 6265bis, section 4.1.3).
func checkCookieName(c *http.Cookie) error {
	host, secure := hasPrefixFold(c.Name, "__Host-"), hasPrefixFold(c.Name, "__Secure-")
	switch {
	case (host || secure) && !c.Secure:
		return errors.New("browsers refuse a cookie with this name without Secure")
	case host && (c.Path != "/" || c.Domain != ""):
		return errors.New(`browsers refuse a cookie with this name, unless its Path is "/" and it has no Domain`)
	}
	return nil
}

func hasPrefixFold(text, prefix string) bool {
	return len(text) >= len(prefix) && strings.EqualFold(text[:len(prefix)], prefix)
}

// addTo says in the reply of an outer call what s says. The status is that of the outer call.
func (s *saying) addTo(outer *reply) {
	outer.change("Call", func(outer *saying) error {
		s.sayTo(outer)
		return nil
	})
}

// sayTo says in outer what s says, but its status.
func (s *saying) sayTo(outer *saying) {
	for name, values := range s.header {
		if s.sets(name) {
			outer.set(name, values)
		} else {
			outer.add(name, values)
		}
	}
	for _, cookie := range s.cookies {
		outer.setCookie(cookie) // it was valid
	}
}

// after returns what was said before and within a call. What is wrong in earlier stays
// there. Cookies of earlier are not cached because of what s says.
func (s *saying) after(earlier *saying) *saying {
	if earlier == nil {
		return s
	}
	both := &saying{header: http.Header{}}
	earlier.sayTo(both)
	if s != nil {
		s.sayTo(both)
		both.status = s.status
	}
	if len(earlier.cookies) > 0 && !earlier.sets("Cache-Control") {
		both.set("Cache-Control", []string{"no-store"})
	}
	return both
}

// apply sets the headers and cookies in the header of a response. local says that the
// request came over plain HTTP to localhost: not all clients send a cookie with Secure
// there.
func (s *saying) apply(head http.Header, local bool) {
	if len(s.cookies) > 0 {
		head["Cache-Control"] = []string{"no-store"}
	}
	for name, values := range s.header {
		if !s.sets(name) {
			values = slices.Concat(head[name], values)
		}
		head[name] = values
	}
	for _, cookie := range s.cookies {
		exempt := local && !cookie.Partitioned && !strings.HasPrefix(cookie.Name, "__")
		cookie.Secure = cookie.Secure || cookie.secure && !exempt
		head.Add("Set-Cookie", cookie.String())
	}
}

// checkReplyHeader returns an error for a header that an operation cannot set.
func checkReplyHeader(name, value string) error {
	if !header.IsToken(name) {
		return fmt.Errorf("%q is not the name of a header", name)
	}
	if strings.ContainsFunc(value, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }) {
		return fmt.Errorf("the value %q of %s has a control character, such as a line break", value, name)
	}
	if !utf8.ValidString(value) {
		return fmt.Errorf("the value %q of %s is not UTF-8", value, name)
	}
	if instead, reserved := reservedHeaders[http.CanonicalHeaderKey(name)]; reserved {
		return fmt.Errorf("the header %s is not for operations: %s", name, instead)
	}
	return nil
}

// reservedHeaders are the headers that an operation cannot set, with what to do instead.
var reservedHeaders = map[string]string{
	"Set-Cookie":        "use SetCookie",
	"Content-Type":      "the door writes the body; return a File to choose the type",
	"Content-Length":    "the door writes the body",
	"Content-Encoding":  "the door writes the body; Compress encodes it",
	"Content-Range":     "return a File, which is sent in parts if the client asks for them",
	"Etag":              "give the output a method ETag() string, or set File.ETag",
	"Transfer-Encoding": "the server sets it",
	"Connection":        "the server sets it",
	"Proxy-Connection":  "the server sets it",
	"Te":                "it is for requests",
	"Keep-Alive":        "the server sets it",
	"Upgrade":           "use a handler instead of an operation",
	"Trailer":           "use a handler instead of an operation",
	"Date":              "the server sets it",
}

// storedReply is what was said, as it is stored with an idempotency key.
type storedReply struct {
	Status  int            `json:"status,omitzero"`
	Header  http.Header    `json:"header,omitempty"`
	Added   []string       `json:"added,omitempty"`
	Cookies []storedCookie `json:"cookies,omitempty"`
}

type storedCookie struct {
	Cookie http.Cookie `json:"cookie"`
	Secure bool        `json:"secure,omitzero"`
}

// appendStored appends what was said to dst, or nothing if nothing was.
func (s *saying) appendStored(dst []byte) ([]byte, error) {
	if s == nil {
		return dst, nil
	}
	stored := storedReply{Status: s.status, Header: s.header, Added: s.added}
	for _, cookie := range s.cookies {
		stored.Cookies = append(stored.Cookies, storedCookie{cookie.Cookie, cookie.secure})
	}
	text, err := json.Marshal(stored)
	return append(append(dst, '\n'), text...), err
}

// restore says what was stored.
func (r *reply) restore(text []byte) error {
	if r.begin(); len(text) == 0 {
		return nil
	}
	var stored storedReply
	if err := json.Unmarshal(text, &stored); err != nil {
		return err
	}
	said := &saying{status: stored.Status, header: stored.Header, added: stored.Added}
	for _, cookie := range stored.Cookies {
		said.cookies = append(said.cookies, replyCookie{cookie.Cookie, cookie.Secure})
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.said = said
	return nil
}
