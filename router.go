package backend

import (
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/seed-215b9b7c/backend/internal/callsite"
	"github.com/seed-215b9b7c/backend/internal/route"
)

// This file registers routes: [Router], its groups, and the table they share.
// router_serve.go answers requests, router_mount.go mounts handlers, and
// internal/route matches paths.

// Router calls the handler whose pattern matches a request's method and path. It
// replaces [http.ServeMux]: patterns, Handle, HandleFunc, [http.Request.PathValue]
// and [http.Request.Pattern] are the same. The zero value is an empty router that
// is ready to use. A Router is safe for concurrent use; routes may be added while
// it serves. It must not be copied.
//
// The section "Routing" of the package documentation describes patterns, which of them
// comes first, and the responses of the router itself.
type Router struct {
	// A group has a parent, and uses the table of its root instead of its own.
	parent     *Router
	prefix     string
	middleware []Middleware // guarded by the table's mutex
	table      routeTable
}

// routeTable is the part of a router that its groups share.
type routeTable struct {
	mu      sync.Mutex // guards what follows, and the middleware of router and groups
	entries []*entry
	byKey   map[string]*entry
	mounted string // file:line of the Mount that made it part of another router, or ""
	own     ownResponses
	slash   slashChoice
	version int // counts changes

	compiled  atomic.Pointer[compiledTable] // nil when out of date
	compiling sync.Mutex                    // held while one is made; taken before mu
	top       wrapped                       // the router's middleware around dispatch
}

// entry is one route.
type entry struct {
	pattern    route.Pattern
	text       string // full pattern
	handler    http.Handler
	group      *Router      // whose middleware wraps the handler
	middleware []Middleware // comes after the group's: of a mounted router
	place      string
	wrapped    wrapped
}

// RouteInfo describes one route of a [Router].
type RouteInfo struct {
	// Method is the pattern's method, or "" for every method.
	Method string
	// Pattern is the whole pattern, as [http.Request.Pattern] has it.
	Pattern string
	// Place is where the route was registered, as file:line.
	Place string
}

// NewRouter returns an empty router.
func NewRouter() *Router {
	return &Router{}
}

// Handle registers the handler for the pattern. It panics if the pattern is not
// valid, if one that matches the same requests is registered, or if the handler is
// nil.
func (r *Router) Handle(pattern string, handler http.Handler) {
	r.register(pattern, handler, nil, callsite.Caller(1))
}

// HandleFunc registers the function for the pattern, as [Router.Handle] does.
func (r *Router) HandleFunc(pattern string, handler func(http.ResponseWriter, *http.Request)) {
	r.register(pattern, http.HandlerFunc(handler), nil, callsite.Caller(1))
}

// Use adds middleware; the first added is the outermost. The middleware of a router
// wraps all its responses, also 404, 405, redirects and refused paths. The
// middleware of a group wraps only the handlers of the group's routes, whether
// registered before or after Use, and those of the groups within it.
//
// The router calls middleware when it serves its first request: once for a router,
// and once for each route of a group. It does so again after more was added.
func (r *Router) Use(middleware ...Middleware) {
	checkMiddleware(middleware)
	t := r.lock("Use")
	defer t.mu.Unlock()
	r.middleware = append(r.middleware, middleware...)
	t.change()
}

// Group returns a router that registers routes with r, with the prefix before their
// paths and the middleware around their handlers, inside the middleware of the
// groups around it. The prefix is a path like "/api" or "/shops/{shop}" without a
// slash at the end, or "" for none. A pattern without a path stands for the prefix
// itself: "GET " in the group "/notes" is "GET /notes". ServeHTTP and Routes of a
// group are those of its router.
func (r *Router) Group(prefix string, middleware ...Middleware) *Router {
	checkMiddleware(middleware)
	return &Router{parent: r, prefix: checkPrefix("Group", prefix), middleware: slices.Clone(middleware)}
}

// ownResponses are handlers for requests that no pattern matches; nil for the default.
type ownResponses struct{ notFound, notAllowed http.Handler }

// NotFound sets the handler for requests whose path no pattern matches. Without it, the
// response is that of [WriteError] for [NotFound]. The middleware of the router wraps it, and
// it chooses the status:
//
//	r.NotFound(backend.Handler(func(w http.ResponseWriter, r *http.Request) error {
//		return backend.Errorf(backend.NotFound, "There is no page %s.", r.URL.Path)
//	}))
//
// A group has no responses of its own. Nor has a router that is mounted on another one, but
// for requests that it serves by itself. NotFound panics if the handler is nil or was set
// before, and for a group. To replace the format of all errors, use [Errors].
func (r *Router) NotFound(handler http.Handler) {
	r.setOwn("NotFound", handler, func(own *ownResponses) *http.Handler { return &own.notFound })
}

// MethodNotAllowed sets the handler for requests whose path patterns match, but none with
// the method. The header Allow is set when it is called. Without it, the response is that of
// [WriteError] for [MethodNotAllowed]. In all else it is as [Router.NotFound].
func (r *Router) MethodNotAllowed(handler http.Handler) {
	r.setOwn("MethodNotAllowed", handler, func(own *ownResponses) *http.Handler { return &own.notAllowed })
}

func (r *Router) setOwn(what string, handler http.Handler, field func(*ownResponses) *http.Handler) {
	if isNil(handler) {
		panic("backend: " + what + ": the handler is nil")
	}
	if r.parent != nil {
		panic("backend: " + what + ": a group has no responses of its own: set it for its router")
	}
	t := r.lock(what)
	defer t.mu.Unlock()
	if set := field(&t.own); *set == nil {
		*set = handler
	} else {
		panic("backend: " + what + ": the router has such a handler")
	}
	t.change()
}

// SlashMode is what a [Router] does with a request whose path no pattern matches, if one
// matches the path with a slash more or less at its end.
type SlashMode uint8

const (
	// StrictSlash treats /notes and /notes/ as two paths. Only subtrees and {$} redirect from
	// the path without the slash. It is the default.
	StrictSlash SlashMode = iota
	// RedirectSlash redirects to the path that a pattern matches, with the status 308, which
	// keeps the method and the body.
	RedirectSlash
	// ServeSlash calls the handler of the other path, which gets the request as if the client
	// had sent the other path: in URL, RequestURI, Pattern and PathValue.
	ServeSlash
)

// slashChoice is the mode of a router, and where it was set.
type slashChoice struct {
	mode  SlashMode
	place string // file:line, or ""
}

// TrailingSlash sets what the router does with a slash too many or too few at the end of a
// path. Without it, the mode is [StrictSlash].
//
//	r.TrailingSlash(backend.RedirectSlash)
//
// A pattern that matches the path itself, and has the method, always comes first. The other
// path comes before a subtree that the path is in: if there are patterns "/" and "/notes",
// then /notes/ is the other path of /notes, as /tree is that of a subtree /tree/ in every
// mode. The path / has no other path. A path that the router refuses, such as //evil.example/,
// is refused in every mode, and a redirect stays on the origin and keeps the query. The header
// Allow has the methods of both paths.
//
// In the mode ServeSlash, a GET that prefers HTML, as those of browsers do, is still redirected
// from /tree to a subtree /tree/: the relative links of a page at /tree would lead to other
// paths. Middleware of the router and around it sees the path that the client has sent: if it
// decides by the path, it must expect both. Middleware of groups sees the other path.
//
// The mode applies to all routes of the router, also of its groups and of routers and doors
// that are mounted on it. The mode of a mounted router applies only to requests that it serves
// by itself. A mounted handler of another type decides itself about paths below its prefix.
// TrailingSlash panics if the mode is unknown or was set before, and for a group.
func (r *Router) TrailingSlash(mode SlashMode) {
	place := callsite.Caller(1)
	if mode > ServeSlash {
		panic(fmt.Sprintf("backend: TrailingSlash: there is no mode %d: use StrictSlash, RedirectSlash or ServeSlash", mode))
	}
	if r.parent != nil {
		panic("backend: TrailingSlash: a group has no mode of its own: set it for its router")
	}
	t := r.lock("TrailingSlash")
	defer t.mu.Unlock()
	if t.slash.place != "" {
		panic(fmt.Sprintf("backend: TrailingSlash: the mode was set at %s: remove one", t.slash.place))
	}
	t.slash = slashChoice{mode, place}
	t.change()
}

// Routes returns the routes in the order of their registration.
func (r *Router) Routes() []RouteInfo {
	t := &r.root().table
	t.mu.Lock()
	defer t.mu.Unlock()
	list := make([]RouteInfo, len(t.entries))
	for i, e := range t.entries {
		list[i] = RouteInfo{Method: e.pattern.Method, Pattern: e.text, Place: e.place}
	}
	return list
}

// register adds a route below the router's prefix. The middleware comes between
// the router's own and the handler.
func (r *Router) register(pattern string, handler http.Handler, middleware []Middleware, place string) {
	if err := r.add(pattern, handler, middleware, place); err != nil {
		panic("backend: " + err.Error())
	}
}

// add is register, and returns an error instead of panicking.
func (r *Router) add(pattern string, handler http.Handler, middleware []Middleware, place string) error {
	if isNil(handler) {
		return fmt.Errorf("the handler for %q is nil", pattern)
	}
	full, err := join(r.fullPrefix(), pattern)
	if err != nil {
		return err
	}
	parsed, err := readPattern(full)
	if err != nil {
		return err
	}
	e := &entry{pattern: parsed, text: full, handler: handler, group: r, middleware: middleware, place: place}

	t := r.lock("Handle " + strconv.Quote(pattern))
	defer t.mu.Unlock()
	if other := t.byKey[e.pattern.Key()]; other != nil {
		return fmt.Errorf("pattern %q (registered at %s) matches the same requests as %q (registered at %s): remove one or change its method or path",
			e.text, e.place, other.text, other.place)
	}
	if t.byKey == nil {
		t.byKey = map[string]*entry{}
	}
	t.byKey[e.pattern.Key()] = e
	t.entries = append(t.entries, e)
	t.change()
	return nil
}

// join puts a prefix before the path of a pattern.
func join(prefix, pattern string) (string, error) {
	if prefix == "" {
		return pattern, nil
	}
	method, path := "", pattern
	if i := strings.IndexAny(pattern, " \t"); i >= 0 {
		method, path = pattern[:i]+" ", strings.TrimLeft(pattern[i:], " \t")
	}
	if path != "" && path[0] != '/' {
		if _, err := readPattern(pattern); err != nil {
			return "", err
		}
	}
	return method + prefix + path, nil
}

// parsePattern returns a pattern. It panics if the pattern is not valid.
func parsePattern(pattern string) route.Pattern {
	p, err := readPattern(pattern)
	if err != nil {
		panic("backend: " + err.Error())
	}
	return p
}

func readPattern(pattern string) (route.Pattern, error) {
	p, err := route.Parse(pattern)
	if errors.Is(err, route.ErrHost) {
		return p, fmt.Errorf("pattern %q has a host: the path must begin with /; "+
			"limit the hosts that are served with the Hosts middleware, or tell them apart by r.Host in a handler of their own", pattern)
	}
	if err != nil {
		return p, fmt.Errorf("pattern %q: %w", pattern, err)
	}
	return p, nil
}

// lock locks the table for a change. It panics if the router was mounted.
func (r *Router) lock(what string) *routeTable {
	t := &r.root().table
	t.mu.Lock()
	if t.mounted != "" {
		place := t.mounted
		t.mu.Unlock()
		panic(fmt.Sprintf("backend: %s: the router was mounted at %s, so it can no longer change: register its routes and middleware before you mount it", what, place))
	}
	return t
}

// change makes the next request compile the table again.
func (t *routeTable) change() {
	t.version++
	t.compiled.Store(nil)
}

func (r *Router) root() *Router {
	for r.parent != nil {
		r = r.parent
	}
	return r
}

func (r *Router) fullPrefix() string {
	if r.parent == nil {
		return ""
	}
	return r.parent.fullPrefix() + r.prefix
}

// groupMiddleware returns the middleware of a group and of the groups around it,
// outermost first, without that of the router.
func (r *Router) groupMiddleware() []Middleware {
	if r.parent == nil {
		return nil
	}
	return slices.Concat(r.parent.groupMiddleware(), r.middleware)
}

// checkPrefix returns the prefix, or "" for a slash alone. It panics if the prefix
// is not valid.
func checkPrefix(what, prefix string) string {
	if prefix == "" || prefix == "/" {
		return ""
	}
	if strings.HasSuffix(prefix, "/") || strings.ContainsAny(prefix, " \t") {
		panic(fmt.Sprintf("backend: %s: prefix %q must be a path without a method and without a slash at the end", what, prefix))
	}
	if p := parsePattern(prefix); p.Open() {
		panic(fmt.Sprintf("backend: %s: prefix %q ends in a wildcard that nothing can follow", what, prefix))
	}
	return prefix
}

func checkMiddleware(middleware []Middleware) {
	for i, m := range middleware {
		if m == nil {
			panic(fmt.Sprintf("backend: middleware %d is nil", i))
		}
	}
}

// isNil reports whether a handler is nil or a nil function or pointer.
func isNil(handler http.Handler) bool {
	if handler == nil {
		return true
	}
	v := reflect.ValueOf(handler)
	return (v.Kind() == reflect.Func || v.Kind() == reflect.Pointer) && v.IsNil()
}

// wrapped is a handler with middleware around it.
type wrapped struct {
	handler http.Handler
	depth   int // number of middleware, which changes if more is added
}

// in returns the handler inside the middleware, the first outermost. It calls the
// middleware only if more was added since the last time.
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

// compiledTable serves requests. It is immutable; after a change, the next request
// compiles another one.
type compiledTable struct {
	routes  *route.Table
	own     ownResponses
	slash   SlashMode
	entries []compiledEntry
	top     http.Handler // the router's middleware around dispatch
}

type compiledEntry struct {
	preflights bool // preflight requests for its method pass its middleware
	subtree    bool
	handler    http.Handler
	own        valued // handler, if it is one and has no middleware
	pattern    string
	names      []string
	patch      []string // Accept-Patch, or nil
}

// pathValues are the values of a pattern's wildcards. They are valid until the request is
// answered.
type pathValues struct{ names, values []string }

// set makes the values known to [http.Request.PathValue]. That takes two allocations for
// the first value. Nothing cheaper in net/http sets them without copying the request or
// matching it again.
func (p pathValues) set(req *http.Request) {
	for i, name := range p.names {
		req.SetPathValue(name, p.values[i])
	}
}

// valued is a handler that needs no PathValue of the request.
type valued interface {
	serveValues(w http.ResponseWriter, req *http.Request, path pathValues)
}
