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

// This file registers routes: Router, its groups, and the table they share.
// How a request is answered is in router_serve.go, mounting in router_mount.go,
// matching in internal/route.

// Router sends each request to the handler whose pattern matches its method and
// path. It takes the place of [http.ServeMux]: the same patterns, the same
// Handle and HandleFunc, the same [http.Request.PathValue] and
// [http.Request.Pattern]. The zero value is an empty router, ready to use. A
// Router is safe for concurrent use: routes may be added while it serves. It
// must not be copied.
//
// # Patterns
//
// A pattern is [METHOD ]/PATH, where segments of the path are literals or
// wildcards:
//
//   - {name} matches one segment that is not empty;
//   - {name...}, at the end, matches everything that is left, even nothing;
//   - a slash at the end does the same without a name: a subtree;
//   - {$}, at the end, matches the end of a path that ends in a slash.
//
// Literals may be percent-encoded and match however the request encodes them.
// GET serves HEAD too. A pattern without a method serves every method except
// TRACE and CONNECT, which must be named. Patterns with a host are not
// supported.
//
// # Precedence
//
// Unlike with ServeMux no two patterns conflict unless they are the same, which
// panics. Among those that match the path and accept the method, the leftmost
// segment in which they differ decides: a literal comes before {name}, {name}
// before {name...} and subtrees. For one path, a pattern with the method comes
// before one without. The order of registration plays no part. So of /a/{x}/c
// and /{y}/b/c the first serves /a/b/c. Where ServeMux accepts a set of
// patterns, both choose the same.
//
// # What the router answers itself
//
//   - 400 for a path with an empty segment (//) that is not its last, a . or ..
//     segment, a backslash or NUL, percent-encoded or not, and for one that
//     does not begin with a slash. Such paths mean different things to
//     different programs; nothing is cleaned or redirected. This holds inside
//     {name...} too. An encoded slash (%2F) stays inside its wildcard's value,
//     but does not hide a .. from this rule.
//   - 307 to the path with a slash appended, if there is a subtree or {$} for
//     it and no other pattern for the path itself. Like every path the router
//     accepts, it stays on the origin.
//   - 204 with Allow for OPTIONS, unless a pattern takes it. OPTIONS * lists
//     the methods of all patterns.
//   - 405 with Allow if only the method does not fit; 404 if nothing fits.
//   - 501 for a method that neither RFC 9110 nor RFC 5789 nor any pattern
//     names, unless a pattern without a method takes it (RFC 9110, section
//     9.1), and for CONNECT without a path.
//
// Allow holds exactly the methods of all patterns that match the path, with
// HEAD for GET, and OPTIONS; for a pattern without a method those of RFC 9110
// that it serves and PATCH. Errors are written by [WriteError].
type Router struct {
	// A group has a parent and shares the table of the router it belongs to;
	// the table of a group itself stays unused.
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
	mounted string // where the router became part of another, or ""
	version int    // counts changes

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
// valid, is already registered (with wildcards of whatever name), or the
// handler is nil.
func (r *Router) Handle(pattern string, handler http.Handler) {
	r.register(pattern, handler, nil, callsite.Caller(1))
}

// HandleFunc registers the function for the pattern, as [Router.Handle] does.
func (r *Router) HandleFunc(pattern string, handler func(http.ResponseWriter, *http.Request)) {
	r.register(pattern, http.HandlerFunc(handler), nil, callsite.Caller(1))
}

// Use adds middleware; the first added is the outermost. On a router it wraps
// everything the router answers: 404, 405, redirects and refused paths too. On
// a group it wraps the handlers of the group's routes, those registered before
// and those of groups within it, and nothing else.
//
// Middleware is applied when the router first serves a request, once on a
// router and once per route on a group, and again if more is added later.
func (r *Router) Use(middleware ...Middleware) {
	checkMiddleware(middleware)
	t := r.lock("Use")
	defer t.mu.Unlock()
	r.middleware = append(r.middleware, middleware...)
	t.change()
}

// Group returns a view of the router through which routes are registered below
// a prefix and behind middleware of their own, which runs after that of the
// groups around it. The prefix is a path like "/api" or "/shops/{shop}" without
// a slash at the end, or "" for none. The prefix itself is a pattern without a
// path: "GET " in the group "/notes" is "GET /notes". Serving requests with a
// group and listing its routes is the same as doing so with its router.
func (r *Router) Group(prefix string, middleware ...Middleware) *Router {
	checkMiddleware(middleware)
	return &Router{parent: r, prefix: checkPrefix("Group", prefix), middleware: slices.Clone(middleware)}
}

// Routes lists the routes in the order they were registered.
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

// add is register that returns what is wrong with the pattern.
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

// parsePattern panics with what is wrong with a pattern.
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

// lock locks the table to change it, which a mounted router forbids.
func (r *Router) lock(what string) *routeTable {
	t := &r.root().table
	t.mu.Lock()
	if t.mounted != "" {
		place := t.mounted
		t.mu.Unlock()
		panic(fmt.Sprintf("backend: %s: the router was mounted at %s and would not pass the change on: complete a router before it is mounted", what, place))
	}
	return t
}

// change makes the next request compile the table anew.
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

// groupMiddleware returns the middleware of a group and those around it,
// outermost first, without the router's own, which wraps more than handlers.
func (r *Router) groupMiddleware() []Middleware {
	if r.parent == nil {
		return nil
	}
	return slices.Concat(r.parent.groupMiddleware(), r.middleware)
}

// checkPrefix returns the prefix as it is put before paths.
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
