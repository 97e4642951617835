package route

import (
	"net/http"

	"github.com/julienschmidt/httprouter"
)

// A layer is a set of shapes that httprouter accepts together. httprouter panics if a
// literal and a wildcard, or a rest and anything else, are at one position. Such shapes
// go to different layers. The cost of a lookup depends on the number of kinds of conflict
// in a table, and not on the number of routes.
//
// Shapes are added in the order of precedence, each to the first layer that it
// fits. So the first layer in which a path is found has the best match for it:
//
//   - Two shapes in one layer never match the same path, or they would conflict.
//   - Let A and B match one path, A come first in the order, and A not fit a
//     layer; then B does not fit either. If A conflicts left of where they
//     differ, B does too. If right of it, A's segment is in the layer where they
//     differ, and B's conflicts with it. If exactly there, A's segment is a
//     {param} that meets a literal, since nothing that comes before A conflicts
//     with a literal or {$}; B's is a rest, which conflicts with the literal.
type layer struct {
	router httprouter.Router
	root   position
	leaves map[string]*leaf
}

// leaf is the end of a path.
type leaf struct {
	match    *shape   // matches the path
	subtrees []*shape // match the path with a slash appended and nothing more
}

// position has the segments of a layer after one prefix.
type position struct {
	literals map[string]*position
	param    *position
	hasSlash bool
}

// layerMethod is the one method all routes in a layer are registered under:
// methods are told apart afterwards.
const layerMethod = "ANY"

func newLayer() *layer {
	l := &layer{leaves: map[string]*leaf{}}
	l.router.NotFound = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	return l
}

// fits reports whether httprouter accepts the segments together with those in l, which
// come before them in the order of precedence.
func (l *layer) fits(segments []segment) bool {
	at := &l.root
	for _, s := range segments {
		if at.refuses(s.kind) {
			return false
		}
		if at = at.next(s); at == nil {
			return true
		}
	}
	return true
}

// refuses reports whether a segment conflicts with those at the position. A
// literal and {$} would only conflict with wildcards, which come after them.
func (p *position) refuses(k kind) bool {
	switch k {
	case param:
		return len(p.literals) > 0
	case rest:
		return len(p.literals) > 0 || p.param != nil || p.hasSlash
	}
	return false
}

// next returns the position after s, or nil if there is none yet.
func (p *position) next(s segment) *position {
	switch s.kind {
	case literal:
		return p.literals[s.text]
	case param:
		return p.param
	}
	return nil
}

// add puts a shape that fits into the layer.
func (l *layer) add(s *shape) {
	at := &l.root
	for _, seg := range s.segments {
		at = at.grow(seg)
	}
	l.leaf(shapeOf(s.segments)).match = s
	if prefix := s.subtreeOf(); prefix != nil && !isStatic(prefix) {
		at := l.leaf(shapeOf(prefix))
		at.subtrees = append(at.subtrees, s)
	}
}

func (p *position) grow(s segment) *position {
	switch s.kind {
	case literal:
		if p.literals == nil {
			p.literals = map[string]*position{}
		}
		if p.literals[s.text] == nil {
			p.literals[s.text] = &position{}
		}
	case param:
		if p.param == nil {
			p.param = &position{}
		}
	case slash:
		p.hasSlash = true
	}
	return p.next(s)
}

// leaf returns the leaf at path, which it registers when it is new.
func (l *layer) leaf(path string) *leaf {
	if at, ok := l.leaves[path]; ok {
		return at
	}
	at := &leaf{}
	l.leaves[path] = at
	l.router.Handle(layerMethod, path, func(w http.ResponseWriter, _ *http.Request, ps httprouter.Params) {
		w.(*search).offer(at, ps)
	})
	return at
}
