package validation

import (
	"cmp"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-playground/validator/v10"

	"github.com/seed-215b9b7c/backend/internal/lazyre"
	"github.com/seed-215b9b7c/backend/internal/plan"
)

// This file checks the most common rules itself, because validator takes a microsecond
// and some allocations for each struct and list, even if all rules hold. The results are
// those of validator. validator checks all other rules.

// broken is a rule that a value breaks.
type broken struct{ rule, message string }

// rule returns the rule that a value breaks, or nil.
type rule func(v reflect.Value) *broken

// known are the rules of a field or an element that this file can check.
type known struct {
	rule rule // nil: there are none
	not  bool // they are not known: validator must look
}

// holds reports whether a value certainly satisfies the rules.
func (k *known) holds(v reflect.Value) bool {
	return !k.not && (k.rule == nil || k.rule(v) == nil)
}

// holds reports whether a struct, with all values in it, certainly satisfies its rules.
// It allocates nothing.
func (s *structCheck) holds(v reflect.Value) bool {
	for i := range s.fields {
		field := &s.fields[i]
		value := v
		for _, at := range field.index {
			value = value.Field(at)
		}
		if field.isNull(value) || !field.known.holds(value) || field.inside != nil && !field.inside.holds(value) {
			return false
		}
	}
	return true
}

// holds reports whether the parts of a value certainly satisfy their rules.
func (n *node) holds(v reflect.Value) bool {
	v, pointed := through(n.t, v)
	switch {
	case !v.IsValid(), n.omitted(v, pointed):
		return true
	case n.fields != nil:
		return n.fields.holds(v)
	case v.Kind() == reflect.Map:
		for all := v.MapRange(); all.Next(); {
			if !n.knownKeys.holds(all.Key()) || !n.elementHolds(all.Value()) {
				return false
			}
		}
		return true
	}
	for i := range v.Len() {
		if !n.elementHolds(v.Index(i)) {
			return false
		}
	}
	return true
}

func (n *node) elementHolds(v reflect.Value) bool {
	return n.known.holds(v) && (n.inside == nil || n.inside.holds(v))
}

// quickly compiles the rules of a field or an element.
func quickly(v *validator.Validate, rules []string, t *plan.Type) known {
	switch {
	case len(rules) == 0:
		return known{}
	case t.Kind == plan.Pointer || t.Kind == plan.Opt:
		return throughPointer(v, rules, t)
	}
	var all []rule
	var passed test // over, by omitempty or omitzero
	for _, text := range rules {
		name, param, _ := strings.Cut(text, "=")
		if name == "omitempty" || name == "omitzero" {
			if len(all) > 0 || t.Kind == plan.Struct {
				return known{not: true}
			}
			passed = omits[name]
			continue
		}
		keeps := quickRule(v, name, param, t.Go)
		if keeps == nil {
			return known{not: true}
		}
		breaks := &broken{name, sentence(name, param, t.Go.Kind())}
		all = append(all, func(v reflect.Value) *broken {
			if keeps(v) {
				return nil
			}
			return breaks
		})
	}
	return known{rule: func(v reflect.Value) *broken {
		if passed != nil && passed(v) {
			return nil
		}
		for _, rule := range all {
			if breaks := rule(v); breaks != nil {
				return breaks
			}
		}
		return nil
	}}
}

// throughPointer compiles the rules of a value that may be null. The first rule must say
// whether null is allowed.
func throughPointer(v *validator.Validate, rules []string, t *plan.Type) known {
	first, others := rules[0], rules[1:]
	optional := slices.Contains([]string{"omitempty", "omitnil", "omitzero"}, first)
	again := slices.ContainsFunc(others, func(rule string) bool { return strings.HasPrefix(rule, "omit") })
	if first == "notempty" {
		others = rules
	}
	of := quickly(v, slices.DeleteFunc(slices.Clone(others), isRequired), value(t))
	if !optional && first != "required" && first != "notempty" || value(t).Kind == plan.Struct || again || of.not {
		return known{not: true}
	}
	var null, none *broken // of nothing, and of a list that is nil
	if !optional {
		null, none = &broken{first, sentence(first, "", reflect.Pointer)}, &broken{first, sentence(first, "", value(t).Go.Kind())}
	}
	return known{rule: func(v reflect.Value) *broken {
		v, _ = through(t, v)
		switch {
		case !v.IsValid():
			return null
		case hasNil(v) && v.IsNil():
			return none
		case of.rule == nil, first == "omitzero" && zero(v):
			return nil
		}
		return of.rule(v)
	}}
}

// isRequired reports whether a rule is required. Any value behind a pointer satisfies it,
// even zero.
func isRequired(rule string) bool { return rule == "required" }

// omits are the tests by which validator skips a value.
var omits = map[string]test{"omitempty": absent, "omitzero": zero}

// absent reports whether omitempty of validator skips a value.
func absent(v reflect.Value) bool {
	if hasNil(v) {
		return v.IsNil()
	}
	return v.IsZero()
}

// zero reports whether omitzero of validator skips a value.
func zero(v reflect.Value) bool {
	if hasNil(v) {
		return v.Len() == 0
	}
	return v.IsZero()
}

// hasNil reports whether a value is a list or a map.
func hasNil(v reflect.Value) bool { return v.Kind() == reflect.Slice || v.Kind() == reflect.Map }

// decimal matches the numbers that validator reads as decimal.
var decimal = lazyre.New(`^(0|-?[1-9][0-9]{0,17})$`)

// test reports whether a value satisfies a rule.
type test func(v reflect.Value) bool

// quickRule returns the test of one rule, or nil if it is not known.
func quickRule(v *validator.Validate, name, param string, t reflect.Type) test {
	kind := t.Kind()
	switch {
	case strings.ContainsAny(name, "|") || strings.Contains(param, "|") || strings.Contains(param, "0x"):
		return nil
	case t.PkgPath() == "time":
		return nil
	case name == "required":
		switch kind {
		case reflect.Slice, reflect.Map, reflect.String, reflect.Bool, reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
			reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Float32, reflect.Float64:
			return func(v reflect.Value) bool { return !absent(v) }
		}
		return nil
	case name == "notnull":
		return func(reflect.Value) bool { return true }
	case name == "notempty" && canBeEmpty(t):
		return func(v reflect.Value) bool { return v.Len() > 0 }
	case name == "oneof" && kind == reflect.String && !strings.Contains(param, "'"):
		choices := strings.Fields(param)
		return func(v reflect.Value) bool { return slices.Contains(choices, v.String()) }
	case kind == reflect.String && slices.Contains(local, name):
		return alone(v, name, param)
	case kind == reflect.String && (name == "eq" || name == "ne"): // the text itself
		return nil
	case decimal().MatchString(param):
		n, _ := strconv.ParseInt(param, 10, 64) // it has 18 digits at most
		return quickSize(name, n, kind)
	}
	return nil
}

// local are the rules of validator that depend on nothing but the string.
var local = []string{
	"email", "url", "http_url", "uri", "uuid", "uuid4", "ip", "ipv4", "ipv6", "hostname", "alpha", "alphanum", "numeric", "lowercase", "uppercase", "ascii",
}

// alone lets validator check a string without its struct.
func alone(v *validator.Validate, name, param string) test {
	if param != "" {
		return nil
	}
	if name == "email" {
		return func(text reflect.Value) bool { return isUsualEmail(text.String()) || v.Var(text.String(), name) == nil }
	}
	return func(text reflect.Value) bool { return v.Var(text.String(), name) == nil }
}

// isUsualEmail reports whether a string is an e-mail address of the usual form, which
// validator always accepts: words with single dots between them, an @, and at least two
// labels of ASCII letters, digits and inner hyphens, the last of letters only. validator
// parses an address twice, which takes longer than the rest of an input.
func isUsualEmail(text string) bool {
	local, domain, _ := strings.Cut(text, "@")
	for word := range strings.SplitSeq(local, ".") {
		if word == "" || !consistsOf(word, isWord) {
			return false
		}
	}
	labels, top := 0, ""
	for label := range strings.SplitSeq(domain, ".") {
		if label == "" || !consistsOf(label, isLabel) || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		labels, top = labels+1, label
	}
	return labels > 1 && consistsOf(top, isLetter)
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }
func isLabel(c byte) bool  { return isLetter(c) || '0' <= c && c <= '9' || c == '-' }
func isWord(c byte) bool   { return isLabel(c) || c == '_' || c == '+' }

// consistsOf reports whether a function holds for all bytes of a string.
func consistsOf(text string, holds func(byte) bool) bool {
	for i := range len(text) {
		if !holds(text[i]) {
			return false
		}
	}
	return true
}

// quickSize returns the test of a rule about a size, or nil.
func quickSize(name string, n int64, kind reflect.Kind) test {
	fits := sizes[name]
	if fits == nil {
		return nil
	}
	switch kind {
	case reflect.String:
		return func(v reflect.Value) bool { return fits(cmp.Compare(int64(utf8.RuneCountInString(v.String())), n)) }
	case reflect.Slice, reflect.Map:
		return func(v reflect.Value) bool { return fits(cmp.Compare(int64(v.Len()), n)) }
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return func(v reflect.Value) bool { return fits(cmp.Compare(v.Int(), n)) }
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		if n >= 0 {
			return func(v reflect.Value) bool { return fits(cmp.Compare(v.Uint(), uint64(n))) }
		}
	case reflect.Float64:
		return func(v reflect.Value) bool {
			if math.IsNaN(v.Float()) { // which is not equal to anything, and all that can be said of it
				return name == "ne"
			}
			return fits(cmp.Compare(v.Float(), float64(n)))
		}
	}
	return nil
}

// sizes has the rules about sizes, with the comparison of the size and the parameter.
var sizes = map[string]func(sign int) bool{
	"min": func(sign int) bool { return sign >= 0 }, "gte": func(sign int) bool { return sign >= 0 },
	"max": func(sign int) bool { return sign <= 0 }, "lte": func(sign int) bool { return sign <= 0 },
	"gt": func(sign int) bool { return sign > 0 }, "lt": func(sign int) bool { return sign < 0 },
	"len": func(sign int) bool { return sign == 0 }, "eq": func(sign int) bool { return sign == 0 }, "ne": func(sign int) bool { return sign != 0 },
}

// keyType is the type of the keys of maps in JSON.
var keyType = &plan.Type{Go: reflect.TypeFor[string](), Kind: plan.String}
