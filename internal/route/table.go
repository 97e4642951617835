// Package route matches request paths against patterns in the syntax of http.ServeMux. It
// accepts every set of patterns in which no two match the same requests.
//
// Among the patterns that match a path and accept its method, the leftmost
// segment in which they differ decides: a literal comes before a {param}, and a {param}
// before a {rest...}. For the same path, a pattern with the method comes before one
// without. The order of the patterns does not matter.
package route

import (
	"net/http"
)

// Table finds the pattern for a request. It never changes once built and is
// safe for concurrent use.
//
// It is a tree with a level for each segment. A lookup goes down the branches that match
// the path, the more specific ones first, and comes to no position twice: it takes as many
// steps as the path has segments, and more only where patterns have a literal and a
// {param} side by side.
type Table struct {
	root    position
	named   []bool    // by pattern: its rest has a name
	methods methodSet // of all patterns
}

// position is a place in paths: what follows the segments that lead to it.
type position struct {
	literals literals
	param    *position // any one segment
	end      *shape    // nothing
	slash    *shape    // a slash alone, from {$}
	rest     *shape    // a slash and anything
}

// shape is the set of patterns that match the same paths.
type shape struct {
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
	t := &Table{methods: methodSet{http.MethodOptions: true}}
	for i, p := range patterns {
		s := t.shapeOf(p.segments)
		if p.Method == "" {
			s.anyway = i
		} else {
			s.byMethod = append(s.byMethod, endpoint{p.Method, i})
		}
		t.methods.add(s)
		t.named = append(t.named, p.named())
	}
	return t
}

// shapeOf returns the shape of the segments, which it adds to the tree if it is new.
func (t *Table) shapeOf(segments []segment) *shape {
	at := &t.root
	for _, s := range segments {
		switch s.kind {
		case literal:
			at = at.literals.add(inner(s.text))
		case param:
			if at.param == nil {
				at.param = &position{}
			}
			at = at.param
		case slash:
			return made(&at.slash)
		case rest:
			return made(&at.rest)
		}
	}
	return made(&at.end)
}

func made(at **shape) *shape {
	if *at == nil {
		*at = &shape{anyway: none}
	}
	return *at
}

// literals are the positions after the segments with a text, in a hash table.
type literals struct {
	texts []string
	after []*position
	slots []int // indexes of texts plus 1, or 0; a power of two, and at most half are used
}

// add returns the position after a text, which it adds if it is new.
func (l *literals) add(text string) *position {
	if at := l.find(text); at != nil {
		return at
	}
	at := &position{}
	l.texts, l.after = append(l.texts, text), append(l.after, at)
	if 2*len(l.texts) > len(l.slots) {
		l.slots = make([]int, max(2, 2*len(l.slots)))
		for i := range l.texts {
			l.place(i)
		}
	} else {
		l.place(len(l.texts) - 1)
	}
	return at
}

func (l *literals) place(i int) {
	at := l.slot(l.texts[i])
	for l.slots[at] != 0 {
		at = (at + 1) & (len(l.slots) - 1)
	}
	l.slots[at] = i + 1
}

// slot returns where a text is, or the first of the slots where it may be. Clients choose
// texts, but only patterns are in the table.
func (l *literals) slot(text string) int {
	n := len(text)
	if n == 0 {
		return 0
	}
	return (n*5 + int(text[0]) + int(text[n/2])*3 + int(text[n-1])*7) & (len(l.slots) - 1)
}

// find returns the position after a text, or nil.
func (l *literals) find(text string) *position {
	switch len(l.texts) {
	case 0:
		return nil
	case 1:
		if l.texts[0] == text {
			return l.after[0]
		}
		return nil
	}
	for at := l.slot(text); ; at = (at + 1) & (len(l.slots) - 1) {
		switch i := l.slots[at]; {
		case i == 0:
			return nil
		case l.texts[i-1] == text:
			return l.after[i-1]
		}
	}
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
