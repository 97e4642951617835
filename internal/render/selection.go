// Package render writes answers of which a caller has selected fields and
// relations. Encoders write an object with a hole at each relation; the relations
// are then loaded level by level, each for all parents at once, and their values
// are written into the holes.
//
// The package knows no format. An [Encode] writes one, and takes care that a text
// with its holes filled is well-formed.
package render

import (
	"context"
	"reflect"

	"github.com/seed-215b9b7c/backend/internal/plan"
)

// Selection says what is written of a value: of a struct, or of the structs that
// a pointer, an Opt, a list or a map leads to. It is read only once it is used; a
// nil Selection is every field and no relation.
type Selection struct {
	// Members are what is written of an object, in their order. Nil means every
	// field in the type's own order, and of each field all.
	Members []Member
	// Everywhere has relations by the struct that they belong to. They are written
	// after the fields of each such struct within the value, however deep, unless
	// the way to it leads through a relation or through Members.
	Everywhere map[reflect.Type][]Member
}

// Member is a field or a relation that is written under a name.
type Member struct {
	Key      string      // its name in the answer
	Field    *plan.Field // one of the struct's fields, or nil
	Relation *Relation   // one of its relations, or nil
	Of       *Selection  // what is written of its value
}

// Relation is what is known of a relation.
type Relation struct {
	// Load returns the children of parents, a pointer to a list of structs, as a
	// list of as many.
	Load func(ctx context.Context, parents reflect.Value) (children reflect.Value, err error)
	// Parents is the type of the list of parents.
	Parents reflect.Type
	// Encode writes a child.
	Encode Encode
}

// Encode appends v to dst as a Selection has it, and a [Hole] to holes for each
// relation, in the order of the text.
type Encode = func(dst []byte, v reflect.Value, selection *Selection, holes *[]Hole) ([]byte, error)

// Hole is a place in a text where the value of a relation is to be written.
type Hole struct {
	At     int
	Parent reflect.Value // the struct
	Member *Member       // has a Relation
}

// fill returns a text with values in its holes.
func fill(text []byte, holes []Hole, values [][]byte) []byte {
	length := len(text)
	for _, value := range values {
		length += len(value)
	}
	filled, from := make([]byte, 0, length), 0
	for i, hole := range holes {
		filled = append(filled, text[from:hole.At]...)
		filled = append(filled, values[i]...)
		from = hole.At
	}
	return append(filled, text[from:]...)
}
