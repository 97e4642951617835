package backend

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/seed-215b9b7c/backend/internal/route"
)

// ServeHTTP calls the handler of the pattern that matches. Without one it responds
// itself; see the section "Routing" of the package documentation.
func (r *Router) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.root().compile().top.ServeHTTP(w, req)
}

// compile returns the compiled table, and makes it if there is none or it is out of
// date. r must be a root.
func (r *Router) compile() *compiledTable {
	t := &r.table
	if c := t.compiled.Load(); c != nil {
		return c
	}
	t.compiling.Lock()
	defer t.compiling.Unlock()
	if c := t.compiled.Load(); c != nil {
		return c
	}
	// Middleware is called without holding mu, since it may call Routes.
	snapshot := r.snapshot()
	c := snapshot.compile(&t.top, r.dispatch, func(w http.ResponseWriter, req *http.Request) {
		setPattern(w, req, "")
		r.compile().noMatch(w, req)
	})
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.version == snapshot.version {
		t.compiled.Store(c)
	}
	return c // it has all routes that were registered before the request
}

// routerSnapshot is what a table is compiled from.
type routerSnapshot struct {
	own        ownResponses
	slash      SlashMode
	version    int
	entries    []*entry
	middleware []Middleware   // the router's
	chains     [][]Middleware // by entry
}

func (r *Router) snapshot() routerSnapshot {
	t := &r.table
	t.mu.Lock()
	defer t.mu.Unlock()
	s := routerSnapshot{version: t.version, entries: t.entries, middleware: r.middleware, own: t.own, slash: t.slash.mode}
	for _, e := range t.entries {
		s.chains = append(s.chains, slices.Concat(e.group.groupMiddleware(), e.middleware))
	}
	return s
}

func (s routerSnapshot) compile(top *wrapped, dispatch, noMatch http.HandlerFunc) *compiledTable {
	c := &compiledTable{
		own:     s.own,
		slash:   s.slash,
		top:     top.in(s.middleware, dispatch),
		entries: make([]compiledEntry, len(s.entries)),
	}
	patterns := make([]route.Pattern, len(s.entries))
	for i, e := range s.entries {
		patterns[i] = e.pattern
		handler, preflights := e.handler, answersPreflights(e.handler)
		if method := e.pattern.Method; len(s.chains[i]) > 0 && method != "" && method != http.MethodOptions {
			handler, preflights = &preflightGuard{handler, preflights, noMatch}, true
		}
		c.entries[i] = compiledEntry{
			handler: e.wrapped.in(s.chains[i], handler), pattern: e.text, names: e.pattern.Names,
			preflights: preflights, subtree: e.pattern.Subtree(),
		}
		if len(s.chains[i]) == 0 {
			c.entries[i].own, _ = e.handler.(valued)
		}
		if p, ok := e.handler.(patches); ok {
			c.entries[i].patch = p.acceptPatch()
		}
	}
	c.routes = route.New(patterns)
	return c
}

// patches is a handler of PATCH requests that knows the types of their bodies.
type patches interface {
	acceptPatch() []string // the value of Accept-Patch, or nil
}

// dispatch answers a request behind the router's own middleware.
func (r *Router) dispatch(w http.ResponseWriter, req *http.Request) {
	values := spareValues.Get().(*[]string)
	r.compile().dispatch(w, req, values)
	clear(*values)
	*values = (*values)[:0]
	spareValues.Put(values) // not after a panic: somebody may still have them
}

func (c *compiledTable) dispatch(w http.ResponseWriter, req *http.Request, values *[]string) {
	found := c.routes.Find(req.Method, req.URL, *values)
	if found.Values != nil { // it may have more memory
		*values = found.Values
	}
	if c.slash != StrictSlash && mayBeOther(found, req.URL) && c.dispatchOther(w, req, found) {
		return
	}
	switch found.Outcome {
	case route.Found:
		c.entries[found.Pattern].serve(w, req, found.Values)
	case route.Redirect:
		setPattern(w, req, c.entries[found.Pattern].pattern)
		redirectToSubtree(w, req)
	case route.Refused:
		setPattern(w, req, "")
		c.refuse(w, req)
	default:
		if !c.dispatchPreflight(w, req) {
			setPattern(w, req, "")
			c.noMatch(w, req)
		}
	}
}

// dispatchPreflight passes a preflight request to the middleware of the pattern that it asks
// for. It reports false if there is no such pattern.
func (c *compiledTable) dispatchPreflight(w http.ResponseWriter, req *http.Request) bool {
	if !isPreflight(req) {
		return false
	}
	method := req.Header.Get("Access-Control-Request-Method")
	asked := c.routes.Find(method, req.URL, nil)
	if asked.Outcome == route.Found && c.entries[asked.Pattern].preflights {
		c.entries[asked.Pattern].serve(w, req, asked.Values)
		return true
	}
	if c.slash != ServeSlash {
		return false
	}
	other, found := c.findOther(method, req.URL, asked)
	if found.Outcome != route.Found || !c.entries[found.Pattern].preflights {
		return false
	}
	c.entries[found.Pattern].serveOther(w, req, other, found.Values)
	return true
}

// mayBeOther reports whether a pattern for the other path of u would come before what was
// found. Find itself prefers a path with a slash more to a subtree around the path.
func mayBeOther(found route.Result, u *url.URL) bool {
	return found.Outcome != route.Found || found.Within && strings.HasSuffix(u.Path, "/")
}

// dispatchOther answers a request whose path no pattern matches, or only a subtree around it,
// if a pattern matches the other path. It reports false if none does.
func (c *compiledTable) dispatchOther(w http.ResponseWriter, req *http.Request, found route.Result) bool {
	other, match := c.findOther(req.Method, req.URL, found)
	if match.Outcome != route.Found {
		return false
	}
	e := &c.entries[match.Pattern]
	switch {
	case c.slash == RedirectSlash:
		setPattern(w, req, e.pattern)
		path, _ := route.FlipSlash(requestPath(req))
		redirectTo(w, req, path, http.StatusPermanentRedirect)
	case e.subtree && isGet(req) && prefersHTML(req.Header["Accept"], ""):
		setPattern(w, req, e.pattern)
		redirectToSubtree(w, req)
	default:
		e.serveOther(w, req, other, match.Values)
	}
	return true
}

// findOther looks up the pattern for the other path of u, where found is the outcome for u
// itself. The outcome is Found if a pattern matches the whole of the other path.
func (c *compiledTable) findOther(method string, u *url.URL, found route.Result) (other *url.URL, match route.Result) {
	if found.Outcome == route.Refused {
		return nil, route.Result{}
	}
	other, ok := route.FlipURL(u)
	if !ok {
		return nil, route.Result{}
	}
	if match = c.routes.Find(method, other, nil); match.Within {
		return nil, route.Result{}
	}
	return other, match
}

// serveOther calls the handler of the pattern with the URL of the other path.
func (e *compiledEntry) serveOther(w http.ResponseWriter, req *http.Request, other *url.URL, values []string) {
	setPattern(w, req, e.pattern) // for middleware around the router
	inner := *req
	inner.URL = other
	inner.RequestURI, _ = route.FlipSlash(requestPath(req))
	if other.RawQuery != "" || other.ForceQuery {
		inner.RequestURI += "?" + other.RawQuery
	}
	e.serve(w, &inner, values)
}

// allowed returns the methods for the header Allow.
func (c *compiledTable) allowed(u *url.URL) []string {
	methods := c.routes.Allowed(u)
	if c.slash == StrictSlash {
		return methods
	}
	if other, ok := route.FlipURL(u); ok {
		methods = append(methods, c.routes.Allowed(other)...)
		slices.Sort(methods)
	}
	return slices.Compact(methods)
}

func isGet(req *http.Request) bool {
	return req.Method == http.MethodGet || req.Method == http.MethodHead
}

// serve calls the handler of the pattern.
func (e *compiledEntry) serve(w http.ResponseWriter, req *http.Request, values []string) {
	setPattern(w, req, e.pattern)
	path := pathValues{e.names, values}
	if e.own != nil {
		e.own.serveValues(w, req, path)
		return
	}
	path.set(req)
	e.handler.ServeHTTP(w, req)
}

// spareValues has memory for the values of a lookup.
var spareValues = sync.Pool{New: func() any {
	values := make([]string, 0, 8)
	return &values
}}

// preflightGuard is a handler of one method behind the middleware of a group. A
// preflight request for that method passes the middleware, so that a [CORS] among them
// answers it, and does not reach the handler.
type preflightGuard struct {
	handler    http.Handler
	preflights bool // the handler answers them itself
	noMatch    http.HandlerFunc
}

// ServeHTTP implements http.Handler.
func (g *preflightGuard) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if req.Method == http.MethodOptions && !(g.preflights && isPreflight(req)) {
		g.noMatch(w, req)
		return
	}
	g.handler.ServeHTTP(w, req)
}

// setPattern sets the pattern that serves the request for the handler and for the
// access log, which may have another copy of the request.
func setPattern(w http.ResponseWriter, req *http.Request, pattern string) {
	req.Pattern = pattern
	if x := exchangeOf(req.Context(), w); x != nil {
		x.log.pattern = pattern
	}
}

// redirectToSubtree redirects to the same path with a slash appended. The location
// cannot name another host: paths that begin with // or /\ were refused.
func redirectToSubtree(w http.ResponseWriter, req *http.Request) {
	redirectTo(w, req, requestPath(req)+"/", http.StatusTemporaryRedirect)
}

// redirectTo redirects to a path of the same origin, with the query of the request.
func redirectTo(w http.ResponseWriter, req *http.Request, path string, status int) {
	location := path
	if req.URL.RawQuery != "" {
		location += "?" + escapeQuery(req.URL.RawQuery)
	}
	w.Header()["Location"] = []string{location}
	writeEmpty(w, status)
}

// requestPath returns the path that the client sent. Handlers such as [http.StripPrefix]
// may have removed its beginning from the URL of req.
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

// escapeQuery encodes the bytes of a query that a Location cannot have: those that
// are not visible ASCII, and #.
func escapeQuery(query string) string {
	var b strings.Builder
	for i := range len(query) {
		if c := query[i]; c > ' ' && c < 0x7f && c != '#' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// refuse responds to a request whose path is refused, or is none.
func (c *compiledTable) refuse(w http.ResponseWriter, req *http.Request) {
	switch {
	case req.Method == http.MethodOptions && req.URL.Path == "*": // RFC 9110, section 9.3.7
		setAllow(w, c.routes.Methods())
		writeEmpty(w, http.StatusNoContent)
	case req.Method == http.MethodConnect && req.URL.Path == "":
		WriteError(w, req, &Error{Code: Unimplemented, Message: "This server is not a proxy."})
	default:
		WriteError(w, req, &Error{Code: Malformed, Message: "The path must begin with a slash and have no empty segment, no . or .. segment and no backslash."})
	}
}

// noMatch responds to a request that no pattern matches.
func (c *compiledTable) noMatch(w http.ResponseWriter, req *http.Request) {
	allowed := c.allowed(req.URL)
	if len(allowed) > 0 {
		setAllow(w, allowed)
	}
	switch {
	case !isStandardMethod(req.Method) && !c.routes.Accepts(req.Method):
		WriteError(w, req, &Error{Code: Unimplemented, Message: "This server does not know the method."})
	case len(allowed) == 0 && c.own.notFound != nil:
		c.own.notFound.ServeHTTP(w, req)
	case len(allowed) == 0:
		WriteError(w, req, &Error{Code: NotFound})
	case req.Method == http.MethodOptions:
		if patch := c.acceptPatch(req.URL); patch != nil {
			w.Header()["Accept-Patch"] = patch // RFC 5789, section 3.1
		}
		writeEmpty(w, http.StatusNoContent)
	case c.own.notAllowed != nil:
		c.own.notAllowed.ServeHTTP(w, req)
	default:
		WriteError(w, req, &Error{Code: MethodNotAllowed})
	}
}

// acceptPatch returns the value of Accept-Patch for the path, or nil.
func (c *compiledTable) acceptPatch(u *url.URL) []string {
	found := c.routes.Find(http.MethodPatch, u, nil)
	if c.slash != StrictSlash && found.Outcome != route.Found {
		_, found = c.findOther(http.MethodPatch, u, found)
	}
	if found.Outcome != route.Found {
		return nil
	}
	return c.entries[found.Pattern].patch
}

// isStandardMethod reports whether RFC 9110, section 9.3, or RFC 5789 defines
// the method.
func isStandardMethod(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch,
		http.MethodDelete, http.MethodConnect, http.MethodOptions, http.MethodTrace:
		return true
	}
	return false
}

func setAllow(w http.ResponseWriter, methods []string) {
	w.Header()["Allow"] = []string{strings.Join(methods, ", ")}
}

// writeEmpty writes a response without a body. It sets the security headers that
// every response has, also without middleware.
func writeEmpty(w http.ResponseWriter, status int) {
	head := w.Header()
	head["X-Content-Type-Options"] = nosniff
	if head["Content-Security-Policy"] == nil {
		head["Content-Security-Policy"] = closedPolicy
	}
	w.WriteHeader(status)
}
