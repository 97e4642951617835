package validation

import (
	"cmp"
	"context"
	"errors"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/go-playground/validator/v10"

	"github.com/seed-215b9b7c/backend/internal/plan"
)

// This file looks at a value, struct by struct and element by element. Only the
// rules of one struct's fields, or of one element, are left to validator at a
// time: by itself it would make an error for every element of a list before the
// first could be taken, and its names for fields are not the wire's.

// structCheck is what is checked of a struct.
type structCheck struct {
	typ    reflect.Type
	rules  bool // fields have rules of their own
	fields []fieldCheck
}

// fieldCheck is what is checked of a field.
type fieldCheck struct {
	name, goName string
	index        []int
	inside       *node // nil: nothing
}

// node is what is checked inside a value: the fields of a struct, or the elements
// of a list or a map, through pointers and Opts.
type node struct {
	t         *plan.Type
	omitEmpty bool         // nothing is, of the zero value
	fields    *structCheck // of a struct
	keys      string       // the rules of a list of a map's keys
	elements  string       // the rules of a list of elements
	inside    *node        // of elements; nil: nothing
}

// compiler makes structChecks and the rules that validator is given.
type compiler struct {
	known map[*plan.Type]*structCheck
	rules map[reflect.Type]map[string]string // Go struct → Go field → rules
}

// structOf returns the check of a struct, or nil if there is nothing to check.
func (c *compiler) structOf(t *plan.Type) *structCheck {
	if known := c.known[t]; known != nil {
		return known
	}
	if !walk(t, map[*plan.Type]bool{}, new([]*plan.Type), new([]any)) {
		return nil
	}
	s := &structCheck{typ: t.Go}
	c.known[t] = s // before its parts, which may be it again
	for _, field := range t.Fields {
		if field.Validate == "-" {
			c.rule(t.Go, field.Index, "-")
			continue
		}
		all := levels(field.Validate)
		own := text(all[0], field.Type)
		s.rules = s.rules || own != ""
		c.rule(t.Go, field.Index, cmp.Or(own, "-"))
		s.fields = append(s.fields, fieldCheck{field.Name, field.GoName, field.Index, c.node(field.Type, all)})
	}
	return s
}

// rule notes the rules of a field. All others are passed over, but for embedded
// structs, whose fields are the struct's.
func (c *compiler) rule(t reflect.Type, index []int, rule string) {
	for i, at := range index {
		if c.rules[t] == nil {
			c.rules[t] = map[string]string{}
			for j := range t.NumField() {
				c.rules[t][t.Field(j).Name] = "-"
			}
		}
		field := t.Field(at)
		if i == len(index)-1 {
			c.rules[t][field.Name] = rule
			return
		}
		c.rules[t][field.Name] = ""
		t = field.Type
	}
}

// text writes the rules of a level. What is in a struct is not validator's to
// look at.
func text(l level, t *plan.Type) string {
	rules := l.rules
	if len(rules) > 0 && value(t).Go.Kind() == reflect.Struct {
		rules = append(slices.Clone(rules), "nostructlevel")
	}
	return strings.Join(rules, ",")
}

// dived makes rules those of a list's elements.
func dived(rules string) string {
	if rules == "" {
		return ""
	}
	return "dive," + rules
}

// node returns what is checked inside values of a type, or nil.
func (c *compiler) node(t *plan.Type, all []level) *node {
	n := &node{t: t}
	for _, rule := range all[0].rules {
		switch rule {
		case "omitempty", "omitzero":
			n.omitEmpty = true
		case "structonly", "nostructlevel":
			return nil
		}
	}
	bare := value(t)
	switch {
	case bare.Kind == plan.Struct:
		n.fields = c.structOf(bare)
	case bare.Elem != nil && len(all) > 1:
		n.elements, n.keys = dived(text(all[1], bare.Elem)), dived(strings.Join(all[1].keys, ","))
		n.inside = c.node(bare.Elem, all[1:])
	}
	if n.fields == nil && n.elements == "" && n.keys == "" && n.inside == nil {
		return nil
	}
	return n
}

// run is one validation.
type run struct {
	ctx      context.Context
	validate *validator.Validate
	path     []string
	found    []FieldError
}

// full reports whether enough was found.
func (r *run) full() bool { return len(r.found) >= maxFields }

// fail notes that the value at the path breaks a rule.
func (r *run) fail(e validator.FieldError) {
	var b strings.Builder
	for _, name := range r.path {
		b.WriteByte('/')
		b.WriteString(escaper.Replace(short(name)))
	}
	r.found = append(r.found, FieldError{b.String(), e.Tag(), sentence(e)})
}

// at does something one level deeper.
func (r *run) at(name string, do func()) {
	r.path = append(r.path, name)
	do()
	r.path = r.path[:len(r.path)-1]
}

// check checks a struct, which has an address.
func (s *structCheck) check(r *run, v reflect.Value) {
	whole := v.Addr().Interface()
	broken := s.broken(r, whole)
	for i := range s.fields {
		field := &s.fields[i]
		wrong := broken[field.goName]
		if wrong == nil && field.inside == nil {
			continue
		}
		if r.full() {
			return
		}
		r.at(field.name, func() {
			if wrong != nil {
				r.fail(wrong)
				return
			}
			field.inside.check(r, v.FieldByIndex(field.index), whole)
		})
	}
}

// broken returns which fields break a rule of their own, by their names in Go.
func (s *structCheck) broken(r *run, whole any) map[string]validator.FieldError {
	if !s.rules {
		return nil
	}
	err := r.validate.StructCtx(r.ctx, whole)
	if err == nil {
		return nil
	}
	broken := map[string]validator.FieldError{}
	all, _ := errors.AsType[validator.ValidationErrors](err)
	for _, e := range all {
		name := e.StructNamespace()
		if s.typ.Name() != "" {
			name = strings.TrimPrefix(name, s.typ.Name()+".")
		}
		broken[name] = e
	}
	return broken
}

// check checks what is inside a value; whole is the struct that has it.
func (n *node) check(r *run, v reflect.Value, whole any) {
	v, pointed := through(n.t, v)
	switch {
	case !v.IsValid(), n.omitEmpty && !pointed && v.IsZero():
	case n.fields != nil:
		n.fields.check(r, v)
	case v.Kind() == reflect.Map:
		n.checkMap(r, v, whole)
	default:
		for from := 0; from < v.Len() && !r.full(); from += maxFields {
			n.checkSome(r, v, from, min(from+maxFields, v.Len()), whole)
		}
	}
}

// checkSome checks the elements of a list from one to another.
func (n *node) checkSome(r *run, v reflect.Value, from, to int, whole any) {
	broken := brokenElements(r, v.Slice(from, to), whole, n.elements)
	if len(broken) == 0 && n.inside == nil {
		return
	}
	for i := from; i < to && !r.full(); i++ {
		r.at(strconv.Itoa(i), func() { n.element(r, broken[i-from], v.Index(i), whole) })
	}
}

// through returns what pointers and Opts lead to, the invalid value for null.
func through(t *plan.Type, v reflect.Value) (found reflect.Value, pointed bool) {
	for ; ; t, pointed = t.Elem, true {
		switch {
		case t.Kind == plan.Opt && (!v.Field(plan.OptPresent).Bool() || v.Field(plan.OptNull).Bool()), t.Kind == plan.Pointer && v.IsNil():
			return reflect.Value{}, true
		case t.Kind == plan.Opt:
			v = v.Field(plan.OptValue)
		case t.Kind == plan.Pointer:
			v = v.Elem()
		default:
			return v, pointed
		}
	}
}

// checkMap checks the elements of a map in the order of their keys, so that the
// same input has the same answer.
func (n *node) checkMap(r *run, v reflect.Value, whole any) {
	keys := v.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
	// Validator is shown lists of one.
	key := reflect.MakeSlice(reflect.SliceOf(v.Type().Key()), 1, 1)
	element := reflect.MakeSlice(reflect.SliceOf(v.Type().Elem()), 1, 1)
	for _, k := range keys {
		if r.full() {
			return
		}
		r.at(k.String(), func() {
			key.Index(0).Set(k)
			if wrong := brokenElements(r, key, whole, n.keys)[0]; wrong != nil {
				r.fail(wrong)
			}
			element.Index(0).Set(v.MapIndex(k))
			n.element(r, brokenElements(r, element, whole, n.elements)[0], element.Index(0), whole)
		})
	}
}

// element checks one element; wrong is the rule that it breaks, or nil.
func (n *node) element(r *run, wrong validator.FieldError, v reflect.Value, whole any) {
	switch {
	case r.full():
	case wrong != nil:
		r.fail(wrong)
	case n.inside != nil:
		n.inside.check(r, v, whole)
	}
}

// brokenElements returns which elements of a list break a rule. There are at most
// maxFields of them.
func brokenElements(r *run, list reflect.Value, whole any, rules string) map[int]validator.FieldError {
	if rules == "" {
		return nil
	}
	err := r.validate.VarWithValueCtx(r.ctx, list.Interface(), whole, rules)
	if err == nil {
		return nil
	}
	broken := map[int]validator.FieldError{}
	all, _ := errors.AsType[validator.ValidationErrors](err)
	for _, e := range all {
		i, _ := strconv.Atoi(strings.Trim(e.Namespace(), "[]"))
		broken[i] = e
	}
	return broken
}
