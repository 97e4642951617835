package backend

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/seed-215b9b7c/backend/internal/jsonout"
	"github.com/seed-215b9b7c/backend/internal/plan"
	"github.com/seed-215b9b7c/backend/internal/render"
)

// This file has the query parameter include of the REST door, by which clients ask for
// relations.

const (
	// maxIncludeDepth and maxIncludePaths bound what clients can ask for.
	maxIncludeDepth = 4
	maxIncludePaths = 100
)

// relationSet has the relations that a door offers.
type relationSet struct {
	all      []*related
	rendered map[*related]*render.Relation
}

func newRelationSet(relations []*related) *relationSet {
	s := &relationSet{relations, map[*related]*render.Relation{}}
	for _, r := range relations {
		s.rendered[r] = &render.Relation{Load: r.load, Parents: r.in, Encode: jsonout.Compile(r.childPlan).AppendSelected}
	}
	return s
}

// of returns the relations of a type and of all types within it, in a stable order.
func (s *relationSet) of(t *plan.Type) (relations []*related) {
	parents := map[reflect.Type]bool{}
	t.Walk(func(t *plan.Type) { parents[t.Go] = true })
	for _, r := range s.all {
		if parents[r.parent] {
			relations = append(relations, r)
		}
	}
	return relations
}

// paths returns the values of include that a type allows: names of relations and, after
// a dot, names of relations of their children. No path has a relation twice, so that
// the number of paths is finite.
func (s *relationSet) paths(t *plan.Type) (paths []string) {
	for depth := maxIncludeDepth; depth > 0; depth-- {
		paths = s.pathsFrom(t, "", depth, nil)
		slices.Sort(paths)
		if paths = slices.Compact(paths); len(paths) <= maxIncludePaths {
			break
		}
	}
	return paths
}

func (s *relationSet) pathsFrom(t *plan.Type, prefix string, depth int, passed []*related) (paths []string) {
	if depth == 0 {
		return nil
	}
	for _, r := range s.of(t) {
		if slices.Contains(passed, r) {
			continue
		}
		paths = append(paths, prefix+r.name)
		paths = append(paths, s.pathsFrom(r.childPlan, prefix+r.name+".", depth-1, append(slices.Clone(passed), r))...)
	}
	return paths
}

// included is the tree of the relations that a client asks for, by their names.
type included map[string]included

// add adds a path such as "comments.author".
func (tree included) add(path string) {
	for name := range strings.SplitSeq(path, ".") {
		if tree[name] == nil {
			tree[name] = included{}
		}
		tree = tree[name]
	}
}

// selection returns the selection of all fields of a type, and of the relations in the
// tree, or with Always, for all values of their parents' types. It is nil if there are none.
func (s *relationSet) selection(t *plan.Type, tree included) *render.Selection {
	everywhere := map[reflect.Type][]render.Member{}
	for _, r := range s.of(t) {
		if below, asked := tree[r.name]; asked || r.settings.always {
			everywhere[r.parent] = append(everywhere[r.parent], render.Member{Key: r.name, Relation: s.rendered[r], Of: s.selection(r.childPlan, below)})
		}
	}
	if len(everywhere) == 0 {
		return nil
	}
	return &render.Selection{Everywhere: everywhere}
}

// endless returns an error for each relation with Always whose children have, at any
// depth of relations with Always, the parents that it is loaded for.
func (s *relationSet) endless() (wrong []error) {
	for i, r := range s.all {
		// A cycle is reported once, at the first of its relations.
		if path := s.alwaysBack([]*related{r}, s.all[i:]); path != nil {
			var titles []string
			for _, r := range append(path, r) {
				titles = append(titles, r.title())
			}
			wrong = append(wrong, fmt.Errorf("relation %q, registered at %s: Always has no end: %s; take Always from one of them", r.title(), r.place, strings.Join(titles, " → ")))
		}
	}
	return wrong
}

// alwaysBack returns the relations with Always among all that lead from the last of path
// back to its first, or nil.
func (s *relationSet) alwaysBack(path, all []*related) []*related {
	first, last := path[0], path[len(path)-1]
	for _, next := range s.of(last.childPlan) {
		switch {
		case !next.settings.always || !last.settings.always:
		case next == first:
			return path
		case slices.Contains(all, next) && !slices.Contains(path, next):
			if back := s.alwaysBack(append(slices.Clone(path), next), all); back != nil {
				return back
			}
		}
	}
	return nil
}
