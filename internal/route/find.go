package route

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/julienschmidt/httprouter"
)

// Outcome is the outcome of a lookup.
type Outcome uint8

const (
	// Missing means that no pattern matches both path and method.
	Missing Outcome = iota
	// Found means that Result.Pattern serves the request.
	Found
	// Redirect means that Result.Pattern would serve the path with a slash
	// appended, and at most a larger subtree matches the path itself.
	Redirect
	// Refused means that the path must not be looked up at all: it does not
	// begin with a slash, or it has an empty segment that is not its last,
	// a . or .. segment, a backslash or NUL, escaped or not.
	Refused
)

// Result is the result of a lookup.
type Result struct {
	Outcome Outcome
	// Pattern is the index of the pattern that was found.
	Pattern int
	// Values are the unescaped values of the pattern's wildcards, in order.
	Values []string
	// Within means that the pattern is a subtree and the path is below its slash.
	Within bool
}

// Find looks up the pattern for a method and the path of u. The values are
// appended to values, which the caller may reuse: with room for them and an
// ordinary path (no %2F) Find does not allocate.
func (t *Table) Find(method string, u *url.URL, values []string) Result {
	path, ok := clean(u)
	if !ok {
		return Result{Outcome: Refused}
	}
	at := t.static[path]
	if at != nil && at.match != nil {
		// Nothing comes before a path without wildcards.
		if pattern := at.match.pattern(method); pattern != none {
			return Result{Outcome: Found, Pattern: pattern, Values: values}
		}
	}
	s := t.searches.Get().(*search)
	s.method = method
	if at != nil {
		s.offerRedirect(at.subtrees)
	}
	t.ask(s, path)
	result := s.result()
	if result.Outcome == Found {
		result.Values = t.values(s, path, result.Pattern, values)
	}
	s.reset()
	t.searches.Put(s)
	return result
}

// ask offers the search the leaves of the layers for the path, until it has a match.
func (t *Table) ask(s *search, path string) {
	if t.guards {
		path = guard(path)
	}
	s.request.URL.Path = path
	for _, l := range t.layers {
		l.router.ServeHTTP(s, &s.request)
		if s.match != nil {
			return
		}
	}
}

// values appends the values of the pattern's wildcards.
func (t *Table) values(s *search, path string, pattern int, values []string) []string {
	found := s.values
	if s.match.isRest {
		last := len(found) - 1
		found[last] = found[last][1:] // httprouter keeps the slash in front
		if !t.named[pattern] {
			found = found[:last]
		}
	}
	plain := !t.guards && !strings.Contains(path, innerSlash)
	for _, value := range found {
		if !plain {
			value = unguard(value)
		}
		values = append(values, value)
	}
	return values
}

// Allowed returns the methods that the patterns matching the path of u accept,
// sorted; none if no pattern matches. HEAD comes with GET, and OPTIONS always,
// since a server answers it for every path it has. A pattern for the path with
// a slash appended counts, because a request with its method is redirected.
func (t *Table) Allowed(u *url.URL) []string {
	path, ok := clean(u)
	if !ok {
		return nil
	}
	s := newSearch()
	s.methods = methodSet{}
	if at := t.static[path]; at != nil {
		s.offer(at, nil)
	}
	t.ask(s, path)
	return s.methods.sorted()
}

// Methods returns the methods that any pattern accepts, as [Table.Allowed]
// does.
func (t *Table) Methods() []string {
	return t.methods.sorted()
}

// Accepts reports whether [Table.Methods] holds the method.
func (t *Table) Accepts(method string) bool {
	return t.methods[method]
}

// methodSet collects methods for an Allow header.
type methodSet map[string]bool

func (set methodSet) add(s *shape) {
	set[http.MethodOptions] = true
	for _, e := range s.byMethod {
		set[e.method] = true
		if e.method == http.MethodGet {
			set[http.MethodHead] = true
		}
	}
	if s.anyway != none {
		for _, method := range everyMethod {
			set[method] = true
		}
	}
}

// everyMethod has the methods that Allow lists for a pattern without a method, which
// accepts all methods.
var everyMethod = [...]string{
	http.MethodDelete, http.MethodGet, http.MethodHead, http.MethodOptions,
	http.MethodPatch, http.MethodPost, http.MethodPut,
}

func (set methodSet) sorted() []string {
	return slices.Sorted(maps.Keys(set))
}

// search is the state of one lookup. httprouter passes it to the leaves as the response
// writer, so that a lookup needs no closure. Nothing is written to it.
type search struct {
	method   string
	match    *shape       // what matches path and method,
	pattern  int          // its pattern for the method, and
	values   []string     // what its wildcards matched
	redirect int          // pattern that matches with a slash appended, or none
	methods  methodSet    // if not nil, the search collects methods only
	request  http.Request // for httprouter
}

func newSearch() *search {
	return &search{redirect: none, request: http.Request{Method: layerMethod, URL: &url.URL{}}}
}

// reset removes all references to the request that was looked up.
func (s *search) reset() {
	clear(s.values)
	s.request.URL.Path = ""
	s.method, s.match, s.redirect, s.values = "", nil, none, s.values[:0]
}

// offer takes the pattern of a leaf if it accepts the method. Leaves are offered in the
// order of precedence.
func (s *search) offer(at *leaf, ps httprouter.Params) {
	if s.methods != nil {
		s.collect(at)
		return
	}
	s.offerRedirect(at.subtrees)
	if at.match == nil {
		return
	}
	if s.pattern = at.match.pattern(s.method); s.pattern == none {
		return
	}
	s.match = at.match
	for i := range ps { // httprouter takes ps back
		s.values = append(s.values, ps[i].Value)
	}
}

func (s *search) offerRedirect(subtrees []*shape) {
	for _, subtree := range subtrees {
		if s.redirect == none {
			s.redirect = subtree.pattern(s.method)
		}
	}
}

func (s *search) collect(at *leaf) {
	if at.match != nil {
		s.methods.add(at.match)
	}
	for _, subtree := range at.subtrees {
		s.methods.add(subtree)
	}
}

// result decides as http.ServeMux does. A match without a rest wins over a redirect, and
// a redirect wins over a match in which a rest matched something. The target of such a
// redirect has precedence over that match, or it would not have been offered.
func (s *search) result() Result {
	whole := s.match != nil && (!s.match.isRest || s.values[len(s.values)-1] == "/")
	switch {
	case s.redirect != none && !whole:
		return Result{Outcome: Redirect, Pattern: s.redirect}
	case s.match != nil:
		return Result{Outcome: Found, Pattern: s.pattern, Within: !whole}
	}
	return Result{}
}

// Header, Write and WriteHeader make a search an http.ResponseWriter.
func (s *search) Header() http.Header         { return http.Header{} }
func (s *search) Write(b []byte) (int, error) { return len(b), nil }
func (s *search) WriteHeader(int)             {}
