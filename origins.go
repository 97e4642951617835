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

// This file is about other origins: whose scripts may read responses (CORS), and
// whose pages may change something (CrossOrigin).

// CORSConfig says which other origins' scripts may read responses. The zero
// value allows none.
type CORSConfig struct {
	// Origins lists the allowed origins exactly as browsers send them, such as
	// "https://app.example.com". "*" alone allows any, without credentials.
	// "null" cannot be allowed: every sandboxed page has it.
	Origins []string
	// Methods lists the allowed methods. Defaults to GET, HEAD, POST, PUT, PATCH
	// and DELETE.
	Methods []string
	// Headers lists the request headers scripts may set beyond those that need no
	// permission. Defaults to Authorization, Content-Type and those that
	// [Logic.REST] reads: Idempotency-Key, If-Match and If-None-Match.
	Headers []string
	// Expose lists the response headers scripts may read beyond the basic ones.
	// Defaults to those that [Logic.REST] and the standard middleware send: ETag,
	// Link, Location, Idempotency-Replayed, Deprecation, Sunset, Retry-After and
	// X-Request-Id.
	Expose []string
	// Credentials allows requests with cookies. Such an origin can do everything
	// that the user can.
	Credentials bool
	// MaxAge is how long browsers may remember a preflight, in whole seconds.
	// Defaults to 10 minutes.
	MaxAge time.Duration
}

// CORS returns middleware that lets scripts of other origins read responses
// (Fetch standard, section 3.3), and answers their preflight requests with 204
// before the handler. Every response has Vary: Origin. An origin that is not
// allowed gets no Access-Control header; its requests are served all the same,
// since only browsers keep to CORS: it opens doors and closes none.
//
// Requests that change something also have to pass [CrossOrigin], if it is
// used. [Stack] arranges that: with Credentials, the origins are trusted there;
// without, they pass as long as they carry neither cookies nor other
// credentials that browsers send by themselves.
//
// Invalid values panic, "*" with Credentials among them.
func CORS(config CORSConfig) Middleware {
	c, err := newCORS(config)
	must("CORS", err)
	return layer(c.serve)
}

// cors is a CORSConfig made ready: header values are slices shared by all
// responses.
type cors struct {
	origins                                       map[string][]string // origin → Access-Control-Allow-Origin
	any                                           []string            // the same for any origin, or nil
	methods, headers, expose, credentials, maxAge []string
}

func newCORS(config CORSConfig) (*cors, error) {
	c := &cors{
		origins: map[string][]string{},
		methods: headerList(config.Methods, "GET, HEAD, POST, PUT, PATCH, DELETE"),
		headers: headerList(config.Headers, "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match"),
		expose:  headerList(config.Expose, "ETag, Link, Location, Idempotency-Replayed, Deprecation, Sunset, Retry-After, X-Request-Id"),
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
		errs = append(errs, errors.New(`origin "*" beside others; leave one or the other`))
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

func headerList(names []string, otherwise string) []string {
	if len(names) == 0 {
		return []string{otherwise}
	}
	return []string{strings.Join(names, ", ")}
}

// checkTokens refuses names that are not tokens (RFC 9110 section 5.6.2), and
// "*", which means all only where there are no credentials.
func checkTokens(what string, names []string) error {
	var errs []error
	for _, name := range names {
		if !header.IsToken(name) || name == "*" {
			errs = append(errs, fmt.Errorf("CORS %s %q is not a name", what, name))
		}
	}
	return errors.Join(errs...)
}

func (c *cors) serve(x *exchange, w http.ResponseWriter, r *http.Request, next http.Handler) {
	head := w.Header()
	x.response.Before(variesByOrigin{})
	header.AddVary(head, varyOrigin)
	origin := r.Header.Get("Origin")
	preflight := r.Method == http.MethodOptions && origin != "" && r.Header["Access-Control-Request-Method"] != nil
	if allowed := c.allowOrigin(origin); allowed != nil {
		head["Access-Control-Allow-Origin"] = allowed
		if c.credentials != nil {
			head["Access-Control-Allow-Credentials"] = c.credentials
		}
		if preflight {
			head["Access-Control-Allow-Methods"] = c.methods
			head["Access-Control-Allow-Headers"] = c.headers
			head["Access-Control-Max-Age"] = c.maxAge
		} else {
			head["Access-Control-Expose-Headers"] = c.expose
		}
	}
	if preflight {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	next.ServeHTTP(w, r)
}

// variesByOrigin is the hook that adds Vary: Origin again: handlers set Vary, too.
type variesByOrigin struct{}

func (variesByOrigin) BeforeHeader(head http.Header) error {
	header.AddVary(head, varyOrigin)
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

// CrossOrigin returns middleware that refuses requests which another site's
// page made a browser send with the user's cookies (CSRF), with 403:
//
//   - every request with a method other than GET, HEAD and OPTIONS that
//     [http.CrossOriginProtection] finds to come from another origin, by
//     Sec-Fetch-Site or, from old browsers, by Origin and Host; another
//     subdomain is another origin, and "null" is foreign to all;
//   - every such request that has a Cookie header and neither Sec-Fetch-Site nor
//     Origin: browsers of the last years always send one of the two, and others
//     who send cookies can say Origin too;
//   - GET requests that open a WebSocket or an event stream from another origin,
//     because those are read across origins without CORS.
//
// Requests with Authorization: Bearer and without cookies are let through: a
// browser sends no such header by itself. GET and HEAD must not change
// anything, whatever X-HTTP-Method-Override says: nothing here reads it.
//
// Trusted lists other origins whose pages may do as the own ones may, such as
// "https://admin.example.com". An invalid one panics.
func CrossOrigin(trusted ...string) Middleware {
	c, err := newCrossOrigin(trusted, nil)
	must("CrossOrigin", err)
	return layer(c.serve)
}

type crossOrigin struct {
	protection http.CrossOriginProtection
	cors       *cors // in a stack: origins that may come without credentials
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

func (c *crossOrigin) serve(x *exchange, w http.ResponseWriter, r *http.Request, next http.Handler) {
	if err := c.check(r); err != nil {
		WriteError(w, r, (&Error{Code: Forbidden, Message: "This request comes from another site."}).Wrap(err))
		return
	}
	next.ServeHTTP(w, r)
}

func (c *crossOrigin) check(r *http.Request) error {
	stream := r.Method == http.MethodGet && opensStream(r.Header)
	if !stream && (r.Method == http.MethodGet || r.Method == http.MethodHead || r.Method == http.MethodOptions) {
		return nil
	}
	cookies := r.Header["Cookie"] != nil
	if !cookies && bearer(r.Header) {
		return nil
	}
	asked := r
	if stream { // CrossOriginProtection looks away from GET
		unsafe := *r
		unsafe.Method = http.MethodPost
		asked = &unsafe
	}
	err := c.protection.Check(asked)
	switch {
	case err != nil && c.cors != nil && !ambient(r) && c.cors.allows(r.Header.Get("Origin")):
		return nil
	case err == nil && cookies && !stream && r.Header.Get("Sec-Fetch-Site") == "" && r.Header.Get("Origin") == "":
		return errNoOrigin
	}
	return err
}

var errNoOrigin = errors.New("a request with cookies says neither Sec-Fetch-Site nor Origin")

// ambient reports whether the request carries something that a browser sends by
// itself and that may stand for a user.
func ambient(r *http.Request) bool {
	return r.Header["Cookie"] != nil || r.TLS != nil && len(r.TLS.PeerCertificates) > 0 ||
		r.Header["Authorization"] != nil && !bearer(r.Header)
}

// bearer reports whether the only credentials in Authorization are a bearer
// token (RFC 6750 section 2.1).
func bearer(head http.Header) bool {
	lines := head["Authorization"]
	if len(lines) != 1 {
		return false
	}
	scheme, token, _ := strings.Cut(lines[0], " ")
	return strings.EqualFold(scheme, "Bearer") && strings.TrimSpace(token) != ""
}

// opensStream reports whether a GET asks for a WebSocket or an event stream.
func opensStream(head http.Header) bool {
	return header.Contains(head["Upgrade"], "websocket") || header.Contains(head["Accept"], "text/event-stream")
}

var varyOrigin = []string{"Origin"}
