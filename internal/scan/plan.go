// Package scan stores rows in Go values. A [Plan] maps the columns to the fields of a
// type once, and then only assigns for each row.
//
// A column belongs to a field by the rules of sqlx: by the db tag, or else by the name
// of the field in lower case. The column "author.name" belongs to the field name of
// the struct author. The fields of embedded structs count as fields of the outer
// struct. Unlike in sqlx, the column owner_id also belongs to a field OwnerID without
// a tag.
package scan

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"unsafe"

	"github.com/jmoiron/sqlx/reflectx"

	"github.com/seed-215b9b7c/backend/internal/column"
	"github.com/seed-215b9b7c/backend/internal/english"
)

// Plan maps the columns of a row to a value of a type. It is immutable and safe for
// concurrent use.
type Plan struct {
	typ     reflect.Type
	columns []string
	pointer bool // typ points to the struct that is filled
	leaves  []leaf
	groups  [][]int // for each joined struct behind a pointer, its columns
}

// leaf is the destination of one column.
type leaf struct {
	column int
	name   string // for errors: Note.Author.Name
	index  []int  // nil: the value itself
	set    setter
	direct direct  // nil: only set
	offset uintptr // of the field in the value, for direct
	groups []int   // pointers on the way, which stay nil if all columns behind them are NULL
}

// NewPlan returns the plan for rows with these columns and values of type t. The
// error names the column or field that does not fit, and says what to do.
func NewPlan(t reflect.Type, columns []string) (*Plan, error) {
	p := &Plan{typ: t, columns: slices.Clone(columns)}
	target := t
	if t.Kind() == reflect.Pointer && isRow(t.Elem()) {
		target, p.pointer = t.Elem(), true
	}
	if isRow(target) {
		return p, p.mapStruct(target)
	}
	if len(columns) != 1 {
		return nil, fmt.Errorf("%s takes one column and the query returns %d (%s)", english.A(t), len(columns), strings.Join(columns, ", "))
	}
	set, err := setterFor(t)
	if err != nil {
		return nil, err
	}
	p.leaves = []leaf{{name: t.String(), set: set, direct: directFor(t)}}
	return p, nil
}

// Fits reports whether the plan is for t and these columns.
func (p *Plan) Fits(t reflect.Type, columns []string) bool {
	return p.typ == t && slices.Equal(p.columns, columns)
}

// Row stores the values of one row in dst, a settable value of the plan's type. It
// keeps none of the row's memory.
func (p *Plan) Row(dst reflect.Value, row []column.Value) error {
	if p.pointer {
		dst.Set(reflect.New(p.typ.Elem()))
		dst = dst.Elem()
	}
	base := unsafe.Pointer(dst.UnsafeAddr())
	for i := range p.leaves {
		leaf := &p.leaves[i]
		if leaf.direct != nil && leaf.direct(unsafe.Add(base, leaf.offset), &row[leaf.column]) {
			continue
		}
		if leaf.groups != nil && p.absent(leaf.groups, row) {
			continue
		}
		if err := leaf.set(leaf.field(dst), &row[leaf.column]); err != nil {
			return fmt.Errorf("column %q into %s: %w", p.columns[leaf.column], leaf.name, err)
		}
	}
	return nil
}

// absent reports whether one of the groups has only NULLs in the row.
func (p *Plan) absent(groups []int, row []column.Value) bool {
	for _, group := range groups {
		if !slices.ContainsFunc(p.groups[group], func(i int) bool { return row[i].Kind != column.Null }) {
			return true
		}
	}
	return false
}

// field returns the field of the leaf in dst, and allocates the pointers on the way.
func (l *leaf) field(dst reflect.Value) reflect.Value {
	for _, i := range l.index {
		if dst.Kind() == reflect.Pointer {
			if dst.IsNil() {
				dst.Set(reflect.New(dst.Type().Elem()))
			}
			dst = dst.Elem()
		}
		dst = dst.Field(i)
	}
	return dst
}

// offsetOf returns the offset of a field of a struct that is behind no pointer.
func offsetOf(t reflect.Type, index []int) (offset uintptr) {
	for _, i := range index {
		field := t.Field(i)
		offset += field.Offset
		t = field.Type
	}
	return offset
}

// mapStruct finds the field for each column. It returns an error for a field that
// needs a column and has none.
func (p *Plan) mapStruct(t reflect.Type) error {
	tree := reflectx.NewMapperFunc("db", strings.ToLower).TypeMap(t)
	used := map[*reflectx.FieldInfo]bool{}
	groups := map[*reflectx.FieldInfo]int{}
	for column, name := range p.columns {
		field := find(tree, name)
		if field == nil || used[field] {
			continue // more columns than fields are fine; the first of two wins
		}
		used[field] = true
		if err := reachable(field); err != nil {
			return fmt.Errorf("field %s of %s: %w", goName(field), t, err)
		}
		set, err := setterFor(field.Field.Type)
		if err != nil {
			return fmt.Errorf("field %s of %s: %w", goName(field), t, err)
		}
		leaf := leaf{column: column, name: t.Name() + "." + goName(field), index: field.Index, set: set}
		for up := field.Parent; up != nil && up.Parent != nil; up = up.Parent {
			if up.Field.Type.Kind() != reflect.Pointer {
				continue
			}
			group, ok := groups[up]
			if !ok {
				group = len(p.groups)
				groups[up] = group
				p.groups = append(p.groups, nil)
			}
			p.groups[group] = append(p.groups[group], column)
			leaf.groups = append(leaf.groups, group)
		}
		if leaf.groups == nil {
			leaf.direct, leaf.offset = directFor(field.Field.Type), offsetOf(t, field.Index)
		}
		p.leaves = append(p.leaves, leaf)
	}
	if len(p.leaves) == 0 {
		return fmt.Errorf("no column of the query (%s) belongs to a field of %s", strings.Join(p.columns, ", "), t)
	}
	return missing(t, tree, used, groups, p.columns)
}

// find returns the field for a column.
func find(tree *reflectx.StructMap, column string) *reflectx.FieldInfo {
	lower := strings.ToLower(column)
	for _, name := range []string{column, lower} {
		if field := tree.GetByPath(name); usable(field) {
			return field
		}
	}
	field := tree.GetByPath(strings.ReplaceAll(lower, "_", ""))
	if usable(field) && !tagged(field) {
		return field
	}
	return nil
}

// usable reports whether a field can take a column: it is exported, and not an
// embedded struct, whose fields take columns instead.
func usable(field *reflectx.FieldInfo) bool {
	return field != nil && field.Field.IsExported() && !field.Embedded
}

// reachable returns an error if the field is behind a pointer that reflection
// may not set.
func reachable(field *reflectx.FieldInfo) error {
	for up := field.Parent; up != nil && up.Parent != nil; up = up.Parent {
		if up.Field.Type.Kind() == reflect.Pointer && !up.Field.IsExported() {
			return fmt.Errorf("%s is embedded by a pointer and not exported; embed it without the pointer", up.Field.Type)
		}
	}
	return nil
}

func tagged(field *reflectx.FieldInfo) bool {
	tag, ok := field.Field.Tag.Lookup("db")
	return ok && tag != "-" && tag != ""
}

// missing returns an error that names the tagged fields which no column fills.
// A joined struct behind a pointer may be left out as a whole.
func missing(t reflect.Type, tree *reflectx.StructMap, used map[*reflectx.FieldInfo]bool, groups map[*reflectx.FieldInfo]int, columns []string) error {
	var names []string
	for _, field := range tree.Index {
		switch known := tree.GetByPath(field.Path); {
		case known == field || !usable(known) || !usable(field):
		case len(known.Index) == len(field.Index) && (used[known] || used[field]):
			return fmt.Errorf("the column %s belongs to both %s and %s of %s; give one of them another db tag",
				field.Path, goName(known), goName(field), t)
		default: // hidden by one that is less deep, as in Go
			continue
		}
		if usable(field) && tagged(field) && !used[field] && isLeaf(field) && expected(field, used, groups) {
			names = append(names, fmt.Sprintf("%s (%s)", goName(field), field.Path))
		}
	}
	if len(names) == 0 {
		return nil
	}
	return fmt.Errorf("the query returns no column for %s of %s; it returns %s. Select the column, or drop the field's db tag if it may be missing",
		strings.Join(names, ", "), t, strings.Join(columns, ", "))
}

// isLeaf reports whether a column fills the field itself. For a struct that is no
// leaf, columns fill its fields.
func isLeaf(field *reflectx.FieldInfo) bool {
	t := field.Field.Type
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return !isRow(t)
}

// expected reports whether nothing above the field makes it optional: a struct
// that was filled from JSON, a struct without a tag, or one behind a pointer
// of which no column was selected.
func expected(field *reflectx.FieldInfo, used map[*reflectx.FieldInfo]bool, groups map[*reflectx.FieldInfo]int) bool {
	for up := field.Parent; up != nil && up.Parent != nil; up = up.Parent {
		_, selected := groups[up]
		if used[up] || up.Field.Type.Kind() == reflect.Pointer && !selected || !up.Embedded && !tagged(up) {
			return false
		}
	}
	return true
}

// goName returns the name of the field as it is written in Go.
func goName(field *reflectx.FieldInfo) string {
	name := field.Field.Name
	for up := field.Parent; up != nil && up.Parent != nil; up = up.Parent {
		name = up.Field.Name + "." + name
	}
	return name
}
