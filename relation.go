package backend

import (
	"cmp"
	"context"
	"reflect"
	"strings"

	"github.com/seed-215b9b7c/backend/internal/callsite"
	"github.com/seed-215b9b7c/backend/internal/english"
	"github.com/seed-215b9b7c/backend/internal/plan"
)

// This file has relations, such as the author of a note. A relation is registered once
// for a type. If a client asks for it, it is loaded for all values of the type in an
// output at once.

// RelationField is a field that a client can ask for in all values of a type that
// operations return. [Relation] makes one.
type RelationField struct {
	definition
	parent, child         reflect.Type
	parentPlan, childPlan *plan.Type
	run                   func(ctx context.Context, parents any) (children reflect.Value, err error) // from a *[]Parent to a []Child
}

// Relation makes a field that a client of REST can ask for in all values of the type
// Parent that operations return, or gets without asking, see [Always]. [Call] and other
// doors do not have it. f returns the children of all parents of an output at once, so
// that a list of 50 costs one more query and not 50. children[i] belongs to parents[i],
// and there must be as many. [HasOne] and [HasMany] put the rows of a query into that
// order:
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
// f runs within the call that returned the parents, with its context, caller, deadline
// and transaction. It runs at most once for each path that is loaded, and
// never without parents. An error fails the call.
//
// A relation has no access rule: a caller who gets a Parent may ask for its children.
// To restrict that, f leaves out children, or an [Allow] on []Parent refuses the call.
// A relation takes the options [Always], [Allow], [Doc], [Only] and [Except].
//
// field consists of letters, digits and underscores, and begins with a lower-case
// letter. Child is any type that an operation may return. Children may have relations.
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

// title returns the name of the parents' type and the name of the field: "Note.author".
func (r *RelationField) title() string {
	return cmp.Or(r.parentPlan.Name, r.parent.String()) + "." + r.name
}

// check compiles the types and records all mistakes.
func (r *RelationField) check() {
	r.checkName("_")
	r.parentPlan = r.compile(r.parent, "its parents")
	r.childPlan = r.compile(r.child, "its children")
	if r.parentPlan.Kind != plan.Struct || r.parent.Name() == "" {
		r.fault("its parents are %s; they must be structs of a type with a name, as operations return them, and not pointers", r.parent)
	}
	for _, field := range r.parentPlan.Fields {
		if strings.EqualFold(field.Name, r.name) {
			r.fault("%s has the field %s already", english.A(r.parent), field.Name)
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

// HasOne returns the child of each parent, as the function of a [Relation] must:
// found[i] is the child whose key is the key of parents[i], or nil if there is none.
// If several children have one key, the last of them is used.
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

// HasMany returns the children of each parent, as the function of a [Relation] must:
// found[i] has the children whose key is the key of parents[i], in the order of
// children. If there are none, it is empty and not nil.
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
