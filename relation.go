package backend

import (
	"cmp"
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/seed-215b9b7c/backend/internal/jsonout"
	"github.com/seed-215b9b7c/backend/internal/plan"
)

// This file is about what belongs to what operations return, such as the author
// of a note: registered once for the type, loaded for all values at once, and
// only if a client asks for it.

// Relation registers a field that values of the struct Parent have wherever an
// operation returns them, if the client asks for it. f returns the fields of all
// parents of a call at once, so that a list of 50 costs one more query and not
// 50: children[i] belongs to parents[i], and there must be as many. [HasOne] and
// [HasMany] put what a query has found into that order:
//
//	backend.Relation("author", app.Authors, backend.Doc("who wrote it"))
//
//	func (a *App) Authors(ctx context.Context, notes []Note) ([]*Author, error) {
//		var ids []backend.ID
//		for _, note := range notes {
//			ids = append(ids, note.AuthorID)
//		}
//		authors, err := backend.All[Author](ctx, a.db, "SELECT * FROM authors WHERE id IN (?)", ids)
//		return backend.HasOne(notes, authors,
//			func(n Note) backend.ID { return n.AuthorID },
//			func(a Author) backend.ID { return a.ID }), err
//	}
//
// f is called within the call that returned the parents: with its context,
// caller, deadline and transaction, at most once for each place in the answer,
// and never without parents. An error ends the call.
//
// A relation has no access rule of its own: whoever gets a Parent from an
// operation may ask for its children. f leaves out what the caller may not see,
// or an [Allow] on []Parent refuses. Of the other options, [Doc], [Only] and
// [Except] mean something here.
//
// field is as names in JSON are: letters, digits and underscores, beginning with
// a lower-case letter. Child is whatever an operation may return: a struct, a
// pointer, which may be nil, a list, a number. Children may have relations, too.
func Relation[Parent, Child any](field string, f func(ctx context.Context, parents []Parent) (children []Child, err error), options ...Option) *Operation {
	return newOperation(isRelation, field, nil, f, options)
}

// HasOne returns, for a [Relation], the child of each parent: the one whose key
// is the parent's. It is nil for parents without one. The keys of children must
// be unique; of several the last one counts.
func HasOne[Parent, Child any, Key comparable](parents []Parent, children []Child, ofParent func(Parent) Key, ofChild func(Child) Key) []*Child {
	byKey := make(map[Key]*Child, len(children))
	for i := range children {
		byKey[ofChild(children[i])] = &children[i]
	}
	found := make([]*Child, len(parents))
	for i, parent := range parents {
		found[i] = byKey[ofParent(parent)]
	}
	return found
}

// HasMany returns, for a [Relation], the children of each parent, in the order
// in which they are given: those whose key is the parent's. It is an empty list
// for parents without any.
func HasMany[Parent, Child any, Key comparable](parents []Parent, children []Child, ofParent func(Parent) Key, ofChild func(Child) Key) [][]Child {
	byKey := map[Key][]Child{}
	for _, child := range children {
		key := ofChild(child)
		byKey[key] = append(byKey[key], child)
	}
	found := make([][]Child, len(parents))
	for i, parent := range parents {
		if found[i] = byKey[ofParent(parent)]; found[i] == nil {
			found[i] = []Child{}
		}
	}
	return found
}

// checkRelation notes what makes no sense about a relation's types and options.
func (o *Operation) checkRelation() {
	parent, child := o.in.Elem(), o.out.Elem()
	var err error
	if o.inPlan, err = plan.NewCompiler(plan.Out).Compile(parent); err != nil {
		o.mistyped = true
		o.fault("its parents: %w", err)
	}
	if o.inPlan.Kind != plan.Struct || parent.Name() == "" {
		o.fault("its parents are %s; they must be structs of a type with a name, as operations return them, and not pointers", parent)
	}
	if o.outPlan, err = plan.NewCompiler(plan.Out).Compile(child); err != nil {
		o.mistyped = true
		o.fault("its children: %w", err)
	}
	for _, field := range o.inPlan.Fields {
		if strings.EqualFold(field.Name, o.name) {
			o.fault("a %s has the field %s already", parent, field.Name)
		}
	}
	p, defaults := &o.options, defaultOptions(isRelation)
	if len(p.routes) > 0 || len(p.tags) > 0 || p.txSet || p.timeout != defaults.timeout || p.maxBody != defaults.maxBody || p.limit != defaults.limit ||
		p.status != 0 || p.key != keyIgnored || p.cache != 0 || p.requireMatch || !p.since.IsZero() {
		o.fault("a relation is part of the calls that return its parents: of the options it can have Allow, Doc, Only and Except")
	}
}

// title names an operation where it must not be taken for another: relations by
// their parents.
func (o *Operation) title() string {
	if o.kind == isRelation {
		return cmp.Or(o.inPlan.Name, o.in.Elem().String()) + "." + o.name
	}
	return o.name
}

// related returns the relations that values of a type have where they are
// reached without passing through another relation, in a stable order.
func (l *Logic) related(t *plan.Type, door Door) (relations []*registered) {
	parents := map[reflect.Type]bool{}
	t.Walk(func(t *plan.Type) { parents[t.Go] = true })
	for _, r := range l.relations {
		if parents[r.in.Elem()] && r.offeredBy(door) {
			relations = append(relations, r)
		}
	}
	return relations
}

// checkParents returns an error for relations that nothing has: a type that no
// operation returns is usually a mistake, such as a pointer's.
func (l *Logic) checkParents() []error {
	returned := map[reflect.Type]bool{}
	for _, r := range slices.Concat(l.ops, l.relations) {
		r.outPlan.Walk(func(t *plan.Type) { returned[t.Go] = true })
	}
	var wrong []error
	for _, r := range l.relations {
		if parent := r.in.Elem(); !returned[parent] {
			wrong = append(wrong, fmt.Errorf("relation %q, registered at %s: no operation returns a %s", r.title(), r.place, parent))
		}
	}
	return wrong
}

// load returns the children of parents, a *[]Parent, as a []Child.
func (r *registered) load(ctx context.Context, parents reflect.Value) (children reflect.Value, err error) {
	timing := r.stats.begin()
	defer timing.end(&err)
	children, err = r.loadNow(ctx, parents)
	timing.returned = true
	return children, err
}

func (r *registered) loadNow(ctx context.Context, parents reflect.Value) (children reflect.Value, err error) {
	in := parents.Interface()
	for _, allow := range r.options.allow {
		if err := allow(ctx, in); err != nil {
			return children, logDenial(ctx, r, CallerFrom(ctx), err)
		}
	}
	out, err := r.run(ctx, in)
	if err != nil {
		return children, fmt.Errorf("relation %s: %w", r.title(), err)
	}
	children = reflect.ValueOf(out).Elem()
	if children.Len() != parents.Elem().Len() {
		return children, fmt.Errorf("relation %s returned %d children for %d parents: it must return one for each, in their order", r.title(), children.Len(), parents.Elem().Len())
	}
	return children, nil
}

const (
	// maxIncludeDepth and maxIncludePaths bound what clients can ask for.
	maxIncludeDepth = 4
	maxIncludePaths = 100
	// maxRelated bounds how many parents the relations of one call are asked
	// about, for each list may multiply those before.
	maxRelated = 10_000
)

// includePaths returns what a client can ask for of a type: names of relations
// and, after dots, of their children's. No path has a relation twice, so that
// there is an end to them.
func (l *Logic) includePaths(t *plan.Type, door Door) (paths []string) {
	for depth := maxIncludeDepth; depth > 0; depth-- {
		paths = l.pathsFrom(t, door, "", depth, nil)
		slices.Sort(paths)
		if paths = slices.Compact(paths); len(paths) <= maxIncludePaths {
			break
		}
	}
	return paths
}

func (l *Logic) pathsFrom(t *plan.Type, door Door, prefix string, depth int, passed []*registered) (paths []string) {
	if depth == 0 {
		return nil
	}
	for _, r := range l.related(t, door) {
		if slices.Contains(passed, r) {
			continue
		}
		paths = append(paths, prefix+r.name)
		paths = append(paths, l.pathsFrom(r.outPlan, door, prefix+r.name+".", depth-1, append(slices.Clone(passed), r))...)
	}
	return paths
}

// included is a tree of relations by their names: what a client asks for.
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

// inclusion writes one answer with the relations that were asked for.
type inclusion struct {
	logic *Logic
	door  Door
	total int // of parents
}

// partial is a value that was written without its relations.
type partial struct {
	text  []byte
	holes jsonout.Holes
	more  [][]byte // members for each hole
}

// write returns out, a *Out or another pointer to what encode is for, as JSON
// with its relations.
func (i *inclusion) write(ctx context.Context, encode jsonout.Encoder, of *plan.Type, out reflect.Value, tree included) ([]byte, error) {
	all := []partial{{}}
	relations := i.named(of, tree)
	if err := all[0].encode(encode, out, relations); err != nil {
		return nil, err
	}
	if err := i.fill(ctx, all, relations, tree); err != nil {
		return nil, err
	}
	return all[0].text, nil
}

// named returns the relations of a type that the first level of a tree names.
func (i *inclusion) named(of *plan.Type, tree included) []*registered {
	if len(tree) == 0 {
		return nil
	}
	return slices.DeleteFunc(i.logic.related(of, i.door), func(r *registered) bool { return tree[r.name] == nil })
}

func (p *partial) encode(encode jsonout.Encoder, v reflect.Value, relations []*registered) (err error) {
	p.holes.Of = map[reflect.Type]bool{}
	for _, r := range relations {
		p.holes.Of[r.in.Elem()] = true
	}
	p.text, err = encode.AppendWithHoles(nil, v, &p.holes)
	p.more = make([][]byte, len(p.holes.Found))
	return err
}

// fill loads the relations of all values, each relation at once for all of
// them, and writes them into the values' texts.
func (i *inclusion) fill(ctx context.Context, all []partial, relations []*registered, tree included) error {
	for _, r := range relations {
		if err := i.fillOne(ctx, all, r, tree[r.name]); err != nil {
			return err
		}
	}
	for k := range all {
		all[k].text = jsonout.Fill(all[k].text, all[k].holes.Found, all[k].more)
	}
	return nil
}

func (i *inclusion) fillOne(ctx context.Context, all []partial, r *registered, below included) error {
	parents := reflect.New(r.in)
	var places []*[]byte
	for k := range all {
		for h, hole := range all[k].holes.Found {
			if hole.Object.Type() == r.in.Elem() {
				parents.Elem().Set(reflect.Append(parents.Elem(), hole.Object))
				places = append(places, &all[k].more[h])
			}
		}
	}
	if len(places) == 0 {
		return nil
	}
	if i.total += len(places); i.total > maxRelated {
		return &Error{Code: Invalid, Message: fmt.Sprintf("The answer would have relations of more than %d values; ask for fewer.", maxRelated)}
	}
	children, err := r.load(ctx, parents)
	if err != nil {
		return err
	}
	texts := make([]partial, len(places))
	relations := i.named(r.outPlan, below)
	for k := range texts {
		if err := texts[k].encode(r.encode, children.Index(k), relations); err != nil {
			return fmt.Errorf("relation %s: %w", r.title(), err)
		}
	}
	if err := i.fill(ctx, texts, relations, below); err != nil {
		return err
	}
	for k, place := range places {
		if len(*place) > 0 {
			*place = append(*place, ',')
		}
		*place = append(append(jsonout.AppendString(*place, r.name), ':'), texts[k].text...)
	}
	return nil
}
