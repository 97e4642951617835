package backend

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/seed-215b9b7c/backend/internal/route"
)

// compiledTable is what requests are served from. It never changes; adding a
// route makes the next request compile a new one.
type compiledTable struct {
	routes  *route.Table
	entries []compiledEntry
	top     http.Handler // the router's middleware around dispatch
}

type compiledEntry struct {
	handler http.Handler
	pattern string
	names   []string
}

// ServeHTTP answers the request with the handler of the pattern that matches,
// or by itself as the [Router] says.
func (r *Router) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.root().compile().top.ServeHTTP(w, req)
}

// wrapped is a handler with middleware around it.
type wrapped struct {
	handler http.Handler
	depth   int // number of middleware; they are never removed, so it tells versions apart
}

// in returns the handler inside the middleware, the first outermost. It applies
// the middleware only if some was added since the last time.
func (w *wrapped) in(middleware []Middleware, handler http.Handler) http.Handler {
	if w.handler != nil && w.depth == len(middleware) {
		return w.handler
	}
	for i, m := range slices.Backward(middleware) {
		if handler = m(handler); handler == nil {
			panic(fmt.Sprintf("backend: middleware %d returned a nil handler", i))
		}
	}
	w.handler, w.depth = handler, len(middleware)
	return handler
}

// compile returns the compiled table, made anew if it is out of date. Only the
// router at the root has one.
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
	// Middleware is applied without holding mu, for it may look at the router.
	snapshot := r.snapshot()
	c := snapshot.compile(&t.top, r.dispatch)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.version == snapshot.version {
		t.compiled.Store(c)
	}
	return c // as new as any route registered before the request
}

// routerSnapshot is what a table is compiled from.
type routerSnapshot struct {
	version    int
	entries    []*entry
	middleware []Middleware   // the router's
	chains     [][]Middleware // by entry
}

func (r *Router) snapshot() routerSnapshot {
	t := &r.table
	t.mu.Lock()
	defer t.mu.Unlock()
	s := routerSnapshot{version: t.version, entries: t.entries, middleware: r.middleware}
	for _, e := range t.entries {
		s.chains = append(s.chains, slices.Concat(e.group.groupMiddleware(), e.middleware))
	}
	return s
}

func (s routerSnapshot) compile(top *wrapped, dispatch http.HandlerFunc) *compiledTable {
	c := &compiledTable{
		top:     top.in(s.middleware, dispatch),
		entries: make([]compiledEntry, len(s.entries)),
	}
	patterns := make([]route.Pattern, len(s.entries))
	for i, e := range s.entries {
		patterns[i] = e.pattern
		c.entries[i] = compiledEntry{e.wrapped.in(s.chains[i], e.handler), e.text, e.pattern.Names}
	}
	c.routes = route.New(patterns)
	return c
}

// usualParams is how many wildcards a pattern may have before a lookup
// allocates for their values.
const usualParams = 8

// dispatch answers a request behind the router's own middleware.
func (r *Router) dispatch(w http.ResponseWriter, req *http.Request) {
	c := r.compile()
	var values [usualParams]string
	found := c.routes.Find(req.Method, req.URL, values[:0])
	switch found.Outcome {
	case route.Found:
		e := &c.entries[found.Pattern]
		setPattern(w, req, e.pattern)
		// Two allocations for the first value. Nothing cheaper in net/http sets
		// path values without copying the request or matching it again.
		for i, name := range e.names {
			req.SetPathValue(name, found.Values[i])
		}
		e.handler.ServeHTTP(w, req)
	case route.Redirect:
		setPattern(w, req, c.entries[found.Pattern].pattern)
		redirectToSubtree(w, req)
	case route.Refused:
		setPattern(w, req, "")
		c.refuse(w, req)
	default:
		setPattern(w, req, "")
		c.noMatch(w, req)
	}
}

// setPattern tells the handler, and the access log in front of it, which
// pattern serves the request. The log may hold another copy of the request.
func setPattern(w http.ResponseWriter, req *http.Request, pattern string) {
	req.Pattern = pattern
	if x := exchangeOf(req.Context(), w); x != nil {
		x.log.pattern = pattern
	}
}

// redirectToSubtree sends the client to the same path with a slash appended.
// The path begins with one slash that neither a slash nor a backslash follows,
// since all others are refused, so it cannot name another host.
func redirectToSubtree(w http.ResponseWriter, req *http.Request) {
	location := req.URL.EscapedPath() + "/"
	if req.URL.RawQuery != "" {
		location += "?" + escapeQuery(req.URL.RawQuery)
	}
	w.Header()["Location"] = []string{location}
	writeEmpty(w, http.StatusTemporaryRedirect)
}

// escapeQuery encodes what a query may hold here and a Location may not: bytes
// that are not visible ASCII, and a fragment.
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

// refuse answers a request whose path must not be looked up.
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

// noMatch answers a request that no pattern takes.
func (c *compiledTable) noMatch(w http.ResponseWriter, req *http.Request) {
	allowed := c.routes.Allowed(req.URL)
	if len(allowed) > 0 {
		setAllow(w, allowed)
	}
	switch {
	case !isStandardMethod(req.Method) && !c.routes.Accepts(req.Method):
		WriteError(w, req, &Error{Code: Unimplemented, Message: "This server does not know the method."})
	case len(allowed) == 0:
		WriteError(w, req, &Error{Code: NotFound})
	case req.Method == http.MethodOptions:
		writeEmpty(w, http.StatusNoContent)
	default:
		WriteError(w, req, &Error{Code: MethodNotAllowed})
	}
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

// writeEmpty answers without a body, with the headers that every response must
// have even without middleware.
func writeEmpty(w http.ResponseWriter, status int) {
	head := w.Header()
	head["X-Content-Type-Options"] = nosniff
	if head["Content-Security-Policy"] == nil {
		head["Content-Security-Policy"] = closedPolicy
	}
	w.WriteHeader(status)
}
