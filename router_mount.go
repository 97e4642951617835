package backend

import (
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"

	"github.com/seed-215b9b7c/backend/internal/callsite"
	"github.com/seed-215b9b7c/backend/internal/response"
)

// mountable is a handler that adds its own routes to a router that mounts it. Other
// handlers are called for every path below the prefix.
type mountable interface {
	http.Handler
	mountOn(r *Router, prefix, place string)
}

// Mount serves the prefix and all paths below it with a handler. The prefix is that
// of [Router.Group].
//
//   - The routes of a [Router] become routes of r: [Router.Routes] lists them, they
//     are matched together with all others, and [http.Request.Pattern] is the whole
//     pattern. The middleware of the mounted router wraps its routes. From then on
//     it cannot be changed; registering more routes panics. It can still serve
//     requests by itself. Responses of r itself, such as 404, do not pass that
//     middleware, not even below the prefix. To make them pass it, use
//     r.Handle("/", mounted).
//   - Any other handler gets the path below the prefix, beginning with a slash, as
//     with [http.StripPrefix]: mounted at /files, it gets / for both /files and
//     /files/, and /a%2Fb for /files/a%2Fb. Patterns with a longer literal path below
//     the prefix come first. A GET of /files is redirected to /files/ if the handler
//     answers with a page from a file, as that of [http.FileServer] does, or if the
//     request prefers HTML, as those of browsers do: the relative links of a page at
//     /files would lead to other paths. An API answers at both paths.
//
// Mount panics if the handler is nil, or if a route is already registered.
func (r *Router) Mount(prefix string, handler http.Handler) {
	place := callsite.Caller(1)
	if isNil(handler) {
		panic(fmt.Sprintf("backend: the handler for Mount(%q) is nil", prefix))
	}
	prefix = checkPrefix("Mount", prefix)
	if m, ok := handler.(mountable); ok {
		m.mountOn(r, prefix, place)
		return
	}
	if full := r.fullPrefix() + prefix; full != "" {
		inner := below{parsePattern(full).Depth(), handler}
		r.register(prefix, atPrefix{inner, servesFiles(handler)}, nil, place)
		handler = inner
	}
	r.register(prefix+"/", handler, nil, place)
}

// mountOn adds the router's routes to another router.
func (r *Router) mountOn(onto *Router, prefix, place string) {
	if r.parent != nil {
		panic(fmt.Sprintf("backend: Mount(%q): a group cannot be mounted: mount its router, or register the routes with a group of this one", prefix))
	}
	if r == onto.root() {
		panic(fmt.Sprintf("backend: Mount(%q): a router cannot be mounted on itself", prefix))
	}
	group := onto.Group(prefix)
	for _, e := range r.freeze(place) {
		chain := slices.Concat(r.middleware, e.group.groupMiddleware(), e.middleware)
		group.register(e.text, e.handler, chain, e.place)
	}
}

// freeze makes further changes panic and returns the routes.
func (r *Router) freeze(place string) []*entry {
	r.table.mu.Lock()
	defer r.table.mu.Unlock()
	if r.table.mounted == "" {
		r.table.mounted = place
	}
	return r.table.entries
}

// below calls a handler with the path without its first depth segments.
type below struct {
	depth   int
	handler http.Handler
}

func (b below) answersPreflights() bool { return answersPreflights(b.handler) }

func (b below) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	u := *r.URL
	if u.RawPath == "" {
		u.Path = afterSegments(u.Path, b.depth)
	} else {
		// Only the escaped path distinguishes slashes from encoded ones. It is
		// valid, since the router has matched it.
		u.RawPath = afterSegments(u.EscapedPath(), b.depth)
		u.Path, _ = url.PathUnescape(u.RawPath)
	}
	inner := *r
	inner.URL = &u
	b.handler.ServeHTTP(w, &inner)
}

// atPrefix serves the prefix of a mounted handler itself, without a slash.
type atPrefix struct {
	below
	pages bool // all that the handler serves there are pages
}

func (a atPrefix) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		a.below.ServeHTTP(w, r)
	case a.pages || prefersHTML(r.Header.Values("Accept"), ""):
		redirectToSubtree(w, r)
	default:
		pages := response.NewPages(w, func() { redirectToSubtree(w, r) })
		a.below.ServeHTTP(pages, r)
		pages.End()
	}
}

// servesFiles reports whether h is what [http.FileServer] or [http.FileServerFS]
// returns, also with middleware of this package around it.
func servesFiles(h http.Handler) bool {
	for {
		outer, ok := h.(interface{ inner() http.Handler })
		if !ok {
			return reflect.TypeOf(h) == reflect.TypeOf(http.FileServer(nil))
		}
		h = outer.inner()
	}
}

// afterSegments returns the path without its first n segments, at least "/". The
// path may have fewer segments, since middleware may have changed it.
func afterSegments(path string, n int) string {
	for range n {
		_, path, _ = strings.Cut(strings.TrimPrefix(path, "/"), "/")
		path = "/" + path
	}
	return path
}
