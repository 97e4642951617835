package backend

import (
	"cmp"
	"context"
	"reflect"
	"strings"

	"github.com/seed-215b9b7c/backend/internal/callsite"
	"github.com/seed-215b9b7c/backend/internal/plan"
)

// This file is about what belongs to what operations return, such as the author
// of a note: registered once for the type, loaded for all values at once, and
// only if a client asks for it.

// RelationField is a field that values of a type have wherever operations return
// them, if the client asks for it. It is made by [Relation].
type RelationField struct {
	definition
	parent, child         reflect.Type
	parentPlan, childPlan *plan.Type
	run                   func(ctx context.Context, parents any) (children reflect.Value, err error) // from a *[]Parent to a []Child
}

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
// or an [Allow] on []Parent refuses. A relation takes the options [Allow], [Doc],
// [Only] and [Except].
//
// field is as names in JSON are: letters, digits and underscores, beginning with
// a lower-case letter. Child is whatever an operation may return: a struct, a
// pointer, which may be nil, a list, a number. Children may have relations, too.
func Relation[Parent, Child any](field string, f func(ctx context.Context, parents []Parent) (children []Child, err error), options ...Option) *RelationField {
	r := &RelationField{
		definition: define(isRelation, field, callsite.Caller(1), f, options),
		parent:     reflect.TypeFor[Parent](), child: reflect.TypeFor[Child](),
		run: func(ctx context.Context, parents any) (reflect.Value, error) {
			children, err := f(ctx, *parents.(*[]Parent))
			of := reflect.ValueOf(children)
			fillEach(of)
			return of, err
		},
	}
	r.check()
	return r
}

func (r *RelationField) defined() *definition { return &r.definition }

// title names the relation by its parents' type, too.
func (r *RelationField) title() string {
	return cmp.Or(r.parentPlan.Name, r.parent.String()) + "." + r.name
}

// check compiles the types and notes everything that makes no sense.
func (r *RelationField) check() {
	r.checkName("_")
	r.parentPlan = r.compile(r.parent, "its parents")
	r.childPlan = r.compile(r.child, "its children")
	if r.parentPlan.Kind != plan.Struct || r.parent.Name() == "" {
		r.fault("its parents are %s; they must be structs of a type with a name, as operations return them, and not pointers", r.parent)
	}
	for _, field := range r.parentPlan.Fields {
		if strings.EqualFold(field.Name, r.name) {
			r.fault("a %s has the field %s already", r.parent, field.Name)
		}
	}
	r.settings.doors.check(&r.definition)
}

func (r *RelationField) compile(t reflect.Type, what string) *plan.Type {
	compiled, err := plan.NewCompiler(plan.Out).Compile(t)
	if err != nil {
		r.mistyped = true
		r.fault("%s: %w", what, err)
	}
	return compiled
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
