package route

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/julienschmidt/httprouter"
)

// Outcome says what became of a lookup.
type Outcome uint8

const (
	// Missing means that no pattern matches both path and method.
	Missing Outcome = iota
	// Found means that Result.Pattern serves the request.
	Found
	// Redirect means that Result.Pattern would serve the path with a slash
	// appended, and nothing matches the path as it is but a larger subtree.
	Redirect
	// Refused means that the path must not be looked up at all: it does not
	// begin with a slash, or it has an empty segment that is not its last,
	// a . or .. segment, a backslash or NUL, escaped or not.
	Refused
)

// Result is the answer to a lookup.
type Result struct {
	Outcome Outcome
	// Pattern is the index of the pattern that was found.
	Pattern int
	// Values are the unescaped values of the pattern's wildcards, in order.
	Values []string
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

// ask offers the search what each layer holds for the path.
func (t *Table) ask(s *search, path string) {
	if t.guards {
		path = guard(path)
	}
	s.request.URL.Path = path
	for _, l := range t.layers {
		if s.match != nil && s.match.rank < l.first {
			continue // nothing in there comes before what was found
		}
		l.router.ServeHTTP(s, &s.request)
	}
}

// values appends what the pattern's wildcards matched.
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

// everyMethod is what a pattern without a method is said to accept, out of an
// endless list.
var everyMethod = [...]string{
	http.MethodDelete, http.MethodGet, http.MethodHead, http.MethodOptions,
	http.MethodPatch, http.MethodPost, http.MethodPut,
}

func (set methodSet) sorted() []string {
	return slices.Sorted(maps.Keys(set))
}

// search is one lookup's state. httprouter hands it back to the leaves as the
// response writer, so that they need no closure per lookup; nothing is ever
// written to it.
type search struct {
	method   string
	match    *shape   // the best so far that matches the path, with its
	pattern  int      // pattern for the method, and
	values   []string // what its wildcards matched
	redirect *shape   // the best so far that matches with a slash appended,
	slashed  int      // and its pattern for the method
	methods  methodSet
	request  http.Request
}

func newSearch() *search {
	return &search{request: http.Request{Method: layerMethod, URL: &url.URL{}}}
}

// reset drops everything that belongs to the request that was looked up.
func (s *search) reset() {
	clear(s.values)
	s.request.URL.Path = ""
	s.method, s.match, s.redirect, s.values = "", nil, nil, s.values[:0]
}

// offer takes what is at a leaf if it accepts the method and comes before what
// the search has.
func (s *search) offer(at *leaf, ps httprouter.Params) {
	if s.methods != nil {
		s.collect(at)
		return
	}
	s.offerRedirect(at.subtrees)
	if at.match == nil || s.match != nil && s.match.rank < at.match.rank {
		return
	}
	pattern := at.match.pattern(s.method)
	if pattern == none {
		return
	}
	s.match, s.pattern = at.match, pattern
	s.values = s.values[:0]
	for i := range ps { // httprouter takes ps back
		s.values = append(s.values, ps[i].Value)
	}
}

func (s *search) offerRedirect(subtrees []*shape) {
	for _, subtree := range subtrees {
		if s.redirect != nil && s.redirect.rank < subtree.rank {
			continue
		}
		if pattern := subtree.pattern(s.method); pattern != none {
			s.redirect, s.slashed = subtree, pattern
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

// result decides as http.ServeMux does: a match of the whole path stands; one
// where a rest took up something gives way to a redirect to a subtree that
// comes before it.
func (s *search) result() Result {
	whole := s.match != nil && (!s.match.isRest || s.values[len(s.values)-1] == "/")
	switch {
	case s.redirect != nil && !whole && (s.match == nil || s.redirect.rank < s.match.rank):
		return Result{Outcome: Redirect, Pattern: s.slashed}
	case s.match != nil:
		return Result{Outcome: Found, Pattern: s.pattern}
	}
	return Result{}
}

// Header, Write and WriteHeader make a search an http.ResponseWriter.
func (s *search) Header() http.Header         { return http.Header{} }
func (s *search) Write(b []byte) (int, error) { return len(b), nil }
func (s *search) WriteHeader(int)             {}
