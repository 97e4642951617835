// Package route matches request paths against patterns in the syntax of http.ServeMux.
// It uses httprouter, without its conflicts: it accepts every set of patterns in which no
// two match the same requests.
//
// Among the patterns that match a path and accept its method, the leftmost
// segment in which they differ decides: a literal comes before a {param}, and a {param}
// before a {rest...}. For the same path, a pattern with the method comes before one
// without. The order of the patterns does not matter. The time of a lookup is
// proportional to the length of the path: there is no backtracking that a client could
// cause.
package route

import (
	"maps"
	"net/http"
	"slices"
	"sync"
)

// Table finds the pattern for a request. It never changes once built and is
// safe for concurrent use.
type Table struct {
	static   map[string]*leaf // shapes without a wildcard, by path
	layers   []*layer         // all others; the first that has a match has the best
	guards   bool             // some layer has a literal that had to be guarded
	named    []bool           // by pattern: its rest has a name
	methods  methodSet        // of all patterns
	searches sync.Pool
}

// shape is the set of patterns that match the same paths.
type shape struct {
	segments []segment
	isRest   bool
	byMethod []endpoint
	anyway   int // pattern without a method, or none
}

type endpoint struct {
	method  string
	pattern int
}

const none = -1

// New compiles a table. Results have the indexes of patterns. No two patterns may have
// the same [Pattern.Key].
func New(patterns []Pattern) *Table {
	t := &Table{static: map[string]*leaf{}, methods: methodSet{http.MethodOptions: true}}
	t.searches.New = func() any { return newSearch() }
	for _, s := range shapesOf(patterns) {
		t.methods.add(s)
		t.addStatic(s)
		if !isStatic(s.segments) {
			t.addToLayer(s)
		}
	}
	for _, p := range patterns {
		t.named = append(t.named, p.named())
	}
	return t
}

// shapesOf returns the patterns by shape, in the order of precedence.
func shapesOf(patterns []Pattern) []*shape {
	byShape := map[string]*shape{}
	for i, p := range patterns {
		s := byShape[p.shape()]
		if s == nil {
			s = &shape{segments: p.segments, isRest: p.ends(rest), anyway: none}
			byShape[p.shape()] = s
		}
		if p.Method == "" {
			s.anyway = i
		} else {
			s.byMethod = append(s.byMethod, endpoint{p.Method, i})
		}
	}
	return slices.SortedFunc(maps.Values(byShape), func(a, b *shape) int {
		return compareSegments(a.segments, b.segments)
	})
}

// addStatic adds the paths of a shape that have no wildcard: its own, or that of its
// subtree without the slash.
func (t *Table) addStatic(s *shape) {
	if isStatic(s.segments) {
		t.staticLeaf(s.segments).match = s
	}
	if prefix := s.subtreeOf(); prefix != nil && isStatic(prefix) {
		at := t.staticLeaf(prefix)
		at.subtrees = append(at.subtrees, s)
	}
}

func (t *Table) staticLeaf(segments []segment) *leaf {
	path := ""
	for _, s := range segments {
		path += "/" + inner(s.text)
	}
	if t.static[path] == nil {
		t.static[path] = &leaf{}
	}
	return t.static[path]
}

func (t *Table) addToLayer(s *shape) {
	for _, seg := range s.segments {
		t.guards = t.guards || seg.kind == literal && guard(seg.text) != seg.text
	}
	for _, l := range t.layers {
		if l.fits(s.segments) {
			l.add(s)
			return
		}
	}
	l := newLayer()
	l.add(s)
	t.layers = append(t.layers, l)
}

// subtreeOf returns the path whose subtree s is, without the slash. It returns nil if s is
// not a subtree, or is that of the root.
func (s *shape) subtreeOf() []segment {
	last := len(s.segments) - 1
	if last == 0 || s.segments[last].kind != slash && s.segments[last].kind != rest {
		return nil
	}
	return s.segments[:last]
}

// pattern returns the shape's pattern for a method, or none. GET serves HEAD. Only
// patterns that name TRACE or CONNECT serve these methods.
func (s *shape) pattern(method string) int {
	get := none
	for i := range s.byMethod {
		switch s.byMethod[i].method {
		case method:
			return s.byMethod[i].pattern
		case http.MethodGet:
			get = s.byMethod[i].pattern
		}
	}
	switch {
	case method == http.MethodHead && get != none:
		return get
	case method == http.MethodTrace, method == http.MethodConnect:
		return none
	}
	return s.anyway
}
