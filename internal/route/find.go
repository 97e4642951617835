package route

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
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
// appended to values, whose memory the caller may use again: with room for them and
// an ordinary path (no %2F) Find does not allocate.
func (t *Table) Find(method string, u *url.URL, values []string) Result {
	path, ok := clean(u)
	if !ok {
		return Result{Outcome: Refused}
	}
	s := search{named: t.named, method: method, pattern: none, redirect: none, values: values}
	s.visit(&t.root, path)
	result := s.result()
	if result.Outcome != Found {
		return result
	}
	if len(s.values) > 0 { // and else nil if values is
		result.Values = s.values
	}
	if len(path) != len(u.Path) || u.RawPath != "" {
		for i := range result.Values {
			result.Values[i] = outer(result.Values[i])
		}
	}
	return result
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
	s := search{methods: methodSet{}}
	s.visit(&t.root, path)
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

// search is the state of one lookup.
type search struct {
	named    []bool // by pattern: its rest has a name, and so a value
	method   string
	pattern  int      // what matches path and method, or none; only a subtree around the path if within
	values   []string // what its wildcards matched
	within   bool
	redirect int       // pattern that matches with a slash appended, or none
	methods  methodSet // if not nil, the search collects methods only, and finds nothing
	steps    int       // positions that it has visited
}

// visit looks for what matches path, from the position on that it begins at. It reports
// whether there is something. path is empty or begins with a slash. If there is nothing, the
// caller drops the values that were added.
func (s *search) visit(at *position, path string) bool {
	for {
		s.steps++
		if len(path) <= 1 {
			return s.end(at, path)
		}
		n := 1
		for n < len(path) && path[n] != '/' {
			n++
		}
		if next := at.literals.find(path[1:n]); next != nil {
			if at.param == nil && at.rest == nil {
				at, path = next, path[n:]
				continue
			}
			if s.branch(next, path[n:]) {
				return true
			}
		}
		if at.param == nil || n == 1 {
			return s.offerRest(at.rest, path[1:])
		}
		s.values = append(s.values, path[1:n])
		if at.rest != nil {
			if s.branch(at.param, path[n:]) {
				return true
			}
			s.values = s.values[:len(s.values)-1]
			return s.offerRest(at.rest, path[1:])
		}
		at, path = at.param, path[n:]
	}
}

// branch is visit for one of several ways.
func (s *search) branch(at *position, path string) bool {
	depth := len(s.values)
	if s.visit(at, path) {
		return true
	}
	s.values = s.values[:depth]
	return false
}

// end is visit for a path that ends at the position, or in a slash after it.
func (s *search) end(at *position, path string) bool {
	if path != "" {
		return s.offer(at.slash) || s.offerRest(at.rest, "")
	}
	s.offerRedirect(at)
	return s.offer(at.end)
}

// offer takes the pattern of a shape, or of none, if it accepts the method. Shapes are
// offered in the order of precedence.
func (s *search) offer(match *shape) bool {
	switch {
	case match == nil:
	case s.methods != nil:
		s.methods.add(match)
	default:
		s.pattern = match.pattern(s.method)
		return s.pattern != none
	}
	return false
}

func (s *search) offerRest(match *shape, left string) bool {
	if !s.offer(match) {
		return false
	}
	if s.within = left != ""; s.named[s.pattern] {
		s.values = append(s.values, left)
	}
	return true
}

// offerRedirect takes note of what matches with a slash appended to the path, which ends at
// the position.
func (s *search) offerRedirect(at *position) {
	if at.slash == nil && at.rest == nil {
		return
	}
	for _, subtree := range [...]*shape{at.slash, at.rest} {
		switch {
		case subtree == nil:
		case s.methods != nil:
			s.methods.add(subtree)
		case s.redirect == none:
			s.redirect = subtree.pattern(s.method)
		}
	}
}

// result decides as http.ServeMux does. A match without a rest wins over a redirect, and
// a redirect wins over a match in which a rest matched something. The target of such a
// redirect has precedence over that match, or it would not have been offered.
func (s *search) result() Result {
	switch {
	case s.redirect != none && (s.pattern == none || s.within):
		return Result{Outcome: Redirect, Pattern: s.redirect}
	case s.pattern != none:
		return Result{Outcome: Found, Pattern: s.pattern, Within: s.within}
	}
	return Result{}
}
