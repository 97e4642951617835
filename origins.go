package backend

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/seed-215b9b7c/backend/internal/header"
)

// This file allows and refuses requests of other origins: scripts that read responses
// (CORS), and pages that send requests which change something (CrossOrigin).

// CORSConfig configures [CORS]. The zero value allows no origin.
type CORSConfig struct {
	// Origins lists the allowed origins as browsers send them, such as
	// "https://app.example.com". "*" allows all, without credentials; it must be the
	// only one. "null" cannot be allowed: all sandboxed pages have this origin.
	Origins []string
	// Methods lists the allowed methods. Defaults to GET, HEAD, POST, PUT, PATCH
	// and DELETE.
	Methods []string
	// Headers lists further request headers that scripts may set. They may always set
	// those that need no permission, Authorization, Content-Type, and those that
	// [Logic.REST] reads: Idempotency-Key, If-Match and If-None-Match.
	Headers []string
	// Expose lists further response headers that scripts may read. They may always read
	// those that need no permission, and those that [Logic.REST] and the middleware of
	// this package send: Content-Disposition, ETag, Link, Location,
	// Idempotency-Replayed, Deprecation, Sunset, Retry-After and X-Request-Id.
	Expose []string
	// Credentials allows requests with cookies. The origins can then do all that the
	// user can.
	Credentials bool
	// MaxAge is how long browsers may cache the response to a preflight request, in
	// whole seconds. Defaults to 10 minutes.
	MaxAge time.Duration
}

// CORS returns middleware that allows scripts of other origins to read responses
// (Fetch standard, section 3.3). It answers preflight requests with 204 itself. All
// responses have Vary: Origin. Responses to origins that are not allowed have no
// Access-Control header, but their requests are served: CORS allows browsers to
// show responses, and refuses no request. A header that the handler sets or adds itself
// replaces that of CORS; if it allows another origin, CORS allows no credentials.
//
// A [Router] calls the middleware of a route also for the preflight requests of its
// method, so CORS works for all routes, for a group, and around one handler; what else
// stands outside of CORS, such as authentication, must let them pass. The patterns of
// [http.ServeMux] that have a method, and the groups of other routers, never see
// OPTIONS: put CORS around the router there.
//
// If all origins are allowed, so is embedding the response in their pages, see
// [HeadersConfig].
//
// Requests that change something must also pass [CrossOrigin], if it is used. In
// [Stack], CrossOrigin trusts the origins of CORS if Credentials is set. If it is not,
// requests of these origins pass if they have neither cookies nor other credentials
// that browsers send without being asked.
//
// CORS panics if a value is invalid, or if "*" is used with Credentials.
func CORS(config CORSConfig) Middleware {
	c, err := newCORS(config)
	must("CORS", err)
	return c.middleware
}

func (c *cors) middleware(next http.Handler) http.Handler {
	return &layered{step: c.serve, next: stepOf(next), preflights: true}
}

func newCORS(config CORSConfig) (*cors, error) {
	c := &cors{
		origins: map[string][]string{},
		methods: []string{"GET, HEAD, POST, PUT, PATCH, DELETE"},
		headers: headerList("Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match", config.Headers),
		expose:  headerList("Content-Disposition, ETag, Link, Location, Idempotency-Replayed, Deprecation, Sunset, Retry-After, X-Request-Id", config.Expose),
	}
	if len(config.Methods) > 0 {
		c.methods = []string{strings.Join(config.Methods, ", ")}
	}
	var errs []error
	for _, origin := range config.Origins {
		if origin == "*" {
			c.any = []string{"*"}
			continue
		}
		errs = append(errs, header.CheckOrigin(origin))
		c.origins[origin] = []string{origin}
	}
	if config.Credentials {
		c.credentials = []string{"true"}
	}
	if c.any != nil && config.Credentials {
		errs = append(errs, errors.New(`origin "*" with Credentials would give every site the user's account; list the origins`))
	}
	if c.any != nil && len(config.Origins) > 1 {
		errs = append(errs, errors.New(`origin "*" includes all others; list either it or them`))
	}
	maxAge := config.MaxAge
	if maxAge == 0 {
		maxAge = 10 * time.Minute
	}
	if maxAge < time.Second {
		errs = append(errs, fmt.Errorf("MaxAge %v is shorter than a second", maxAge))
	}
	c.maxAge = []string{strconv.FormatInt(int64(maxAge/time.Second), 10)}
	errs = append(errs, checkTokens("method", config.Methods), checkTokens("header", config.Headers), checkTokens("header", config.Expose))
	return c, errors.Join(errs...)
}

// headerList returns the value of a header that lists names besides those that it always
// has.
func headerList(always string, more []string) []string {
	return []string{strings.Join(append([]string{always}, more...), ", ")}
}

// checkTokens returns an error for names that are not tokens (RFC 9110, section
// 5.6.2), and for "*", which browsers take for a name in requests with credentials.
func checkTokens(what string, names []string) error {
	var errs []error
	for _, name := range names {
		if !header.IsToken(name) || name == "*" {
			errs = append(errs, fmt.Errorf("CORS %s %q is not a name", what, name))
		}
	}
	return errors.Join(errs...)
}

func (c *cors) serve(x *exchange, w http.ResponseWriter, r *http.Request, next nextStep) {
	head := w.Header()
	origin := r.Header.Get("Origin")
	preflight := isPreflight(r)
	outer := x.cors
	if outer == nil {
		x.response.Before(originHeaders{x})
	}
	if allowed := c.allowOrigin(origin); allowed != nil || outer == nil || c.any != nil {
		if outer != nil {
			outer.remove(head)
		}
		x.cors = c
		c.allow(head, origin)
		if allowed != nil && preflight {
			delete(head, "Access-Control-Expose-Headers")
			head["Access-Control-Allow-Methods"] = c.methods
			head["Access-Control-Allow-Headers"] = c.headers
			head["Access-Control-Max-Age"] = c.maxAge
		}
	}
	header.AddVary(head, varyOrigin)
	if preflight {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	next.serve(x, w, r)
}

// allow sets the headers that allow an origin to read a response, unless the handler has
// allowed one.
func (c *cors) allow(head http.Header, origin string) {
	allowed := c.allowOrigin(origin)
	if _, own := head["Access-Control-Allow-Origin"]; own || allowed == nil {
		return
	}
	head["Access-Control-Allow-Origin"] = allowed
	if c.credentials != nil {
		setDefault(head, "Access-Control-Allow-Credentials", c.credentials)
	}
	setDefault(head, "Access-Control-Expose-Headers", c.expose)
}

// remove removes the headers that allow has set.
func (c *cors) remove(head http.Header) {
	if allowed := head["Access-Control-Allow-Origin"]; len(allowed) == 1 && same(allowed, c.allowOrigin(allowed[0])) {
		delete(head, "Access-Control-Allow-Origin")
	}
	deleteSame(head, "Access-Control-Allow-Credentials", c.credentials)
	deleteSame(head, "Access-Control-Expose-Headers", c.expose)
}

// originHeaders is the hook that sees to it that each header of CORS is there once: that
// of the handler if it has added one. It adds Vary: Origin again, since handlers set
// Vary, too.
type originHeaders struct{ x *exchange }

func (o originHeaders) BeforeHeader(head http.Header) error {
	c, origin := o.x.cors, o.x.request.Header.Get("Origin")
	if o.x.response.Informed() { // a proxy deletes the header then
		c.allow(head, origin)
	}
	if ours := c.allowOrigin(origin); ours != nil {
		yield(head, "Access-Control-Allow-Origin", ours)
		if now := head["Access-Control-Allow-Origin"]; len(now) != 1 || now[0] != ours[0] {
			// The credentials are for the origins of CORS only.
			deleteSame(head, "Access-Control-Allow-Credentials", c.credentials)
		}
		if c.credentials != nil {
			yield(head, "Access-Control-Allow-Credentials", c.credentials)
		}
		yield(head, "Access-Control-Expose-Headers", c.expose)
	}
	header.AddVary(head, varyOrigin)
	if vary := head["Vary"]; len(vary) > 1 && vary[0] == varyOrigin[0] && header.Contains(vary[1:], varyOrigin[0]) {
		head["Vary"] = vary[1:]
	}
	return nil
}

// allowOrigin returns the Access-Control-Allow-Origin for an origin, or nil.
func (c *cors) allowOrigin(origin string) []string {
	if origin == "" {
		return nil
	}
	if c.any != nil {
		return c.any
	}
	return c.origins[origin]
}

func (c *cors) allows(origin string) bool { return c.allowOrigin(origin) != nil }

// CrossOrigin returns middleware against cross-site request forgery: requests that a
// page of another origin makes the browser send with the user's cookies. It answers
// 403 to
//
//   - requests with a method other than GET, HEAD and OPTIONS that come from another
//     origin according to [http.CrossOriginProtection]: by Sec-Fetch-Site or, in old
//     browsers, by Origin and Host. A subdomain is another origin, and so is "null";
//   - requests with such a method that have Cookie, but neither Sec-Fetch-Site nor
//     Origin: browsers have sent one of the two for years, and other clients with
//     cookies can send Origin;
//   - GET requests of another origin that open a WebSocket or an event stream, which
//     the page could read without CORS.
//
// Requests with Authorization and without cookies pass, unless its scheme is Basic,
// Digest, Negotiate or NTLM: browsers do not send other schemes without being asked,
// such as Bearer or Token. GET and HEAD requests must not change anything.
// X-HTTP-Method-Override has no effect.
//
// trusted lists other origins whose requests pass, such as
// "https://admin.example.com". CrossOrigin panics if one is invalid.
func CrossOrigin(trusted ...string) Middleware {
	c, err := newCrossOrigin(trusted, nil)
	must("CrossOrigin", err)
	return layer(c.serve)
}

type crossOrigin struct {
	protection http.CrossOriginProtection
	cors       *cors // of the Stack: its origins pass without credentials; nil if there is none
}

func newCrossOrigin(trusted []string, allowed *cors) (*crossOrigin, error) {
	c := &crossOrigin{cors: allowed}
	var errs []error
	for _, origin := range trusted {
		err := header.CheckOrigin(origin)
		if err == nil {
			err = c.protection.AddTrustedOrigin(origin)
		}
		errs = append(errs, err)
	}
	if allowed != nil && allowed.credentials != nil {
		for origin := range allowed.origins {
			errs = append(errs, c.protection.AddTrustedOrigin(origin))
		}
	}
	return c, errors.Join(errs...)
}

func (c *crossOrigin) serve(x *exchange, w http.ResponseWriter, r *http.Request, next nextStep) {
	onlyCORS, err := c.check(r)
	if err != nil {
		WriteError(w, r, foreignSite(err))
		return
	}
	x.client.sameOrigin, x.client.onlyCORS = true, onlyCORS
	next.serve(x, w, r)
}

func foreignSite(cause error) error {
	message := "This request comes from another site."
	if cause == errNoOrigin {
		message = "A request with cookies needs the header Origin or Sec-Fetch-Site, as browsers send them."
	}
	return (&Error{Code: Forbidden, Message: message}).Wrap(cause)
}

// check returns an error for a request that must not pass. onlyCORS says that it passes only
// because CORS allows its origin.
func (c *crossOrigin) check(r *http.Request) (onlyCORS bool, err error) {
	stream := r.Method == http.MethodGet && opensStream(r.Header)
	if !stream && (r.Method == http.MethodGet || r.Method == http.MethodHead || r.Method == http.MethodOptions) {
		return false, nil
	}
	cookies := r.Header["Cookie"] != nil
	if !cookies && explicit(r.Header) {
		return false, nil
	}
	asked := r
	if stream { // CrossOriginProtection lets GET pass
		unsafe := *r
		unsafe.Method = http.MethodPost
		asked = &unsafe
	}
	err = c.protection.Check(asked)
	switch {
	case err != nil && c.cors != nil && !ambient(r) && c.cors.allows(r.Header.Get("Origin")):
		return true, nil
	case err == nil && cookies && !stream && r.Header.Get("Sec-Fetch-Site") == "" && r.Header.Get("Origin") == "":
		return false, errNoOrigin
	}
	return false, err
}

var errNoOrigin = errors.New("a request with cookies has neither Sec-Fetch-Site nor Origin")

// ambient reports whether the request has credentials that browsers send without
// being asked.
func ambient(r *http.Request) bool {
	return r.Header["Cookie"] != nil || r.TLS != nil && len(r.TLS.PeerCertificates) > 0 ||
		r.Header["Authorization"] != nil && !explicit(r.Header)
}

// explicit reports whether the only credentials in Authorization are ones that a script
// has set: those of a scheme that browsers do not use by themselves.
func explicit(head http.Header) bool {
	lines := head["Authorization"]
	if len(lines) != 1 {
		return false
	}
	value := strings.TrimSpace(lines[0])
	scheme := value
	if end := strings.IndexAny(value, " \t,"); end >= 0 {
		scheme = value[:end]
	}
	switch strings.ToLower(scheme) {
	case "basic", "digest", "negotiate", "ntlm":
		return false
	case "bearer":
		return len(value) > len(scheme)
	}
	return value != ""
}

// opensStream reports whether a GET asks for a WebSocket or an event stream.
func opensStream(head http.Header) bool {
	accept := head["Accept"]
	if len(accept) == 1 && len(accept[0]) < len("text/event-stream") { // such as */*
		accept = nil
	}
	return header.Contains(head["Upgrade"], "websocket") || header.Contains(accept, "text/event-stream")
}

var varyOrigin = []string{"Origin"}
