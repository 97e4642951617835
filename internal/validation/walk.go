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

// This file walks through a value, struct by struct and element by element. It calls
// validator for the fields of one struct, or for one element, at a time. If validator
// walked itself, it would make an error for every element of a list before it returned,
// and it does not know the names of fields in JSON.

// structCheck has the checks of a struct.
type structCheck struct {
	typ    reflect.Type
	rules  bool // fields have rules of their own that validator must look at
	fields []fieldCheck
}

// fieldCheck has the checks of a field.
type fieldCheck struct {
	name, goName string
	index        []int
	known        known  // its own rules
	inside       *node  // nil: nothing
	notNull      string // the rule of an Opt that may be absent, but not null; or ""
}

// node has the checks inside a value: those of the fields of a struct, or of the elements
// of a list or a map, also behind pointers and Opts.
type node struct {
	t         *plan.Type
	omitEmpty bool         // nothing is, of the zero value that nothing points to
	omitZero  bool         // nothing is, of the zero value
	fields    *structCheck // of a struct
	keys      string       // the rules of a list of a map's keys
	elements  string       // the rules of a list of elements
	inside    *node        // of elements; nil: nothing

	known, knownKeys known // the rules of elements and keys
}

// compiler makes structChecks, and the rules for validator.
type compiler struct {
	validate *validator.Validate
	known    map[*plan.Type]*structCheck
	rules    map[reflect.Type]map[string]string // Go struct → Go field → rules
	names    map[reflect.Type]map[string]string // Go struct → Go field → its name on the wire
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
	c.names[t.Go] = map[string]string{}
	for _, field := range t.Fields {
		c.names[t.Go][field.GoName[strings.LastIndexByte(field.GoName, '.')+1:]] = field.Name
		if field.Validate == "-" {
			c.rule(t.Go, field.Index, "-")
			continue
		}
		all := levels(field.Validate)
		c.rule(t.Go, field.Index, cmp.Or(text(all[0], field.Type), "-"))
		own, inside := quickly(c.validate, all[0].rules, field.Type), c.node(field.Type, all)
		s.rules = s.rules || own.not
		if own.not || own.rule != nil || inside != nil {
			s.fields = append(s.fields, fieldCheck{field.Name, field.GoName, field.Index, own, inside, refusesNull(field)})
		}
	}
	return s
}

// rule adds the rules of a field at a path. It makes validator skip the other fields of
// each struct on the path. A struct on the path itself is embedded, and is not skipped.
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

// text returns the rules of a level as a tag. The tag keeps validator from checking the
// fields of a struct.
func text(l level, t *plan.Type) string {
	rules := l.rules
	if len(rules) > 0 && value(t).Go.Kind() == reflect.Struct {
		rules = append(slices.Clone(rules), "nostructlevel")
	}
	return strings.Join(rules, ",")
}

// dived makes rules apply to the elements of a list.
func dived(rules string) string {
	if rules == "" {
		return ""
	}
	return "dive," + rules
}

// node returns the checks inside values of a type, or nil.
func (c *compiler) node(t *plan.Type, all []level) *node {
	n := &node{t: t}
	for _, rule := range all[0].rules {
		switch rule {
		case "omitempty":
			n.omitEmpty = true
		case "omitzero":
			n.omitZero = true
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
		n.known, n.knownKeys = quickly(c.validate, all[1].rules, bare.Elem), quickly(c.validate, all[1].keys, keyType)
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
	names    map[reflect.Type]map[string]string
	path     []string
	found    []FieldError
	slowly   bool // validator must look at everything
}

// full reports whether the errors have reached maxFields.
func (r *run) full() bool { return len(r.found) >= maxFields }

// fail records that the value at the path breaks a rule.
func (r *run) fail(b *broken) {
	var pointer strings.Builder
	for _, name := range r.path {
		pointer.WriteByte('/')
		pointer.WriteString(escaper.Replace(short(name)))
	}
	r.found = append(r.found, FieldError{pointer.String(), b.rule, b.message})
}

// enter and leave go one level deeper, and back.
func (r *run) enter(name string) { r.path = append(r.path, name) }
func (r *run) leave()            { r.path = r.path[:len(r.path)-1] }

// check checks a struct, which is addressable.
func (s *structCheck) check(r *run, v reflect.Value) {
	whole := v.Addr().Interface()
	var said map[string]*broken
	if s.rules || r.slowly {
		said = s.ask(r, whole)
	}
	for i := range s.fields {
		field, value := &s.fields[i], v.FieldByIndex(s.fields[i].index)
		wrong := said[field.goName]
		if !field.known.not && !r.slowly {
			wrong = field.known.broken(value)
		}
		if field.isNull(value) {
			wrong = &broken{field.notNull, "must not be null"}
		}
		if wrong == nil && field.inside == nil {
			continue
		}
		if r.full() {
			return
		}
		r.enter(field.name)
		if wrong != nil {
			r.fail(wrong)
		} else {
			field.inside.check(r, value, whole)
		}
		r.leave()
	}
}

// refusesNull returns the rule notnull or notempty of an Opt that has it after omitempty, or
// "": it may be absent, but if it was sent, it is not null. Validator cannot tell absent
// from null.
func refusesNull(field *plan.Field) string {
	rules := levels(field.Validate)[0].rules
	if len(rules) == 0 || field.Type.Kind != plan.Opt || field.Validate == "-" || !strings.HasPrefix(rules[0], "omit") {
		return ""
	}
	for _, rule := range []string{"notempty", "notnull"} {
		if slices.Contains(rules, rule) {
			return rule
		}
	}
	return ""
}

// isNull reports whether the field is null and must not be.
func (f *fieldCheck) isNull(v reflect.Value) bool {
	return f.notNull != "" && v.Field(plan.OptPresent).Bool() && v.Field(plan.OptNull).Bool()
}

// broken returns the known rule that a value breaks, or nil.
func (k *known) broken(v reflect.Value) *broken {
	if k.rule == nil {
		return nil
	}
	return k.rule(v)
}

// ask calls validator for the fields of a struct, and returns the rules that they break by
// their names in Go.
func (s *structCheck) ask(r *run, whole any) map[string]*broken {
	err := r.validate.StructCtx(r.ctx, whole)
	if err == nil {
		return nil
	}
	said := map[string]*broken{}
	all, _ := errors.AsType[validator.ValidationErrors](err)
	for _, e := range all {
		name := e.StructNamespace()
		if s.typ.Name() != "" {
			name = strings.TrimPrefix(name, s.typ.Name()+".")
		}
		said[name] = r.saidOf(e, whole)
	}
	return said
}

// saidOf returns the error of validator for a field of a struct, or for a value in it. The
// parameter of a rule about another field is a name in Go, which clients do not know.
func (r *run) saidOf(e validator.FieldError, whole any) *broken {
	param := func(rule, param string) string {
		if aboutField(rule) {
			return cmp.Or(r.names[reflect.TypeOf(whole).Elem()][param], param)
		}
		return param
	}
	if strings.Contains(e.Tag(), "|") {
		return &broken{e.Tag(), eitherOf(e.Tag(), param, e.Kind())}
	}
	return &broken{e.Tag(), sentence(e.Tag(), param(e.Tag(), e.Param()), e.Kind())}
}

// check checks the parts of a value; whole is the struct that has the value.
func (n *node) check(r *run, v reflect.Value, whole any) {
	v, pointed := through(n.t, v)
	switch {
	case !v.IsValid(), n.omitted(v, pointed):
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

// omitted reports whether the parts of a value are not checked.
func (n *node) omitted(v reflect.Value, pointed bool) bool {
	return (n.omitZero || n.omitEmpty && !pointed) && v.IsZero()
}

// checkSome checks the elements of a list from one to another.
func (n *node) checkSome(r *run, v reflect.Value, from, to int, whole any) {
	slowly := n.known.not || r.slowly
	var said map[int]*broken
	if slowly {
		said = askAll(r, v.Slice(from, to), whole, n.elements)
	}
	if slowly && len(said) == 0 && n.inside == nil {
		return
	}
	for i := from; i < to && !r.full(); i++ {
		wrong := said[i-from]
		if !slowly {
			wrong = n.known.broken(v.Index(i))
		}
		if wrong != nil || n.inside != nil {
			r.enter(strconv.Itoa(i))
			n.element(r, wrong, v.Index(i), whole)
			r.leave()
		}
	}
}

// through returns the value behind pointers and Opts, or the invalid value for null.
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

// checkMap checks the elements of a map in the order of their keys, so that the same
// input has the same errors.
func (n *node) checkMap(r *run, v reflect.Value, whole any) {
	keys := v.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
	// Validator is shown lists of one, and rules are shown what has an address.
	key := reflect.MakeSlice(reflect.SliceOf(v.Type().Key()), 1, 1)
	element := reflect.MakeSlice(reflect.SliceOf(v.Type().Elem()), 1, 1)
	for _, k := range keys {
		if r.full() {
			return
		}
		key.Index(0).Set(k)
		element.Index(0).Set(v.MapIndex(k))
		r.enter(k.String())
		if wrong := n.knownKeys.ofOne(r, key, whole, n.keys); wrong != nil {
			r.fail(wrong)
		}
		n.element(r, n.known.ofOne(r, element, whole, n.elements), element.Index(0), whole)
		r.leave()
	}
}

// ofOne returns the rule that the only element of a list breaks.
func (k *known) ofOne(r *run, list reflect.Value, whole any, rules string) *broken {
	if k.not || r.slowly {
		return askAll(r, list, whole, rules)[0]
	}
	return k.broken(list.Index(0))
}

// element checks one element; wrong is the rule that it breaks, or nil.
func (n *node) element(r *run, wrong *broken, v reflect.Value, whole any) {
	switch {
	case r.full():
	case wrong != nil:
		r.fail(wrong)
	case n.inside != nil:
		n.inside.check(r, v, whole)
	}
}

// askAll calls validator for the elements of a list, which are at most maxFields.
func askAll(r *run, list reflect.Value, whole any, rules string) map[int]*broken {
	if rules == "" {
		return nil
	}
	err := r.validate.VarWithValueCtx(r.ctx, list.Interface(), whole, rules)
	if err == nil {
		return nil
	}
	said := map[int]*broken{}
	all, _ := errors.AsType[validator.ValidationErrors](err)
	for _, e := range all {
		i, _ := strconv.Atoi(strings.Trim(e.Namespace(), "[]"))
		said[i] = r.saidOf(e, whole)
	}
	return said
}
