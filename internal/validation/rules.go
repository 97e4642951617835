package validation

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/go-playground/validator/v10"

	"github.com/seed-215b9b7c/backend/internal/english"
	"github.com/seed-215b9b7c/backend/internal/lazyre"
	"github.com/seed-215b9b7c/backend/internal/plan"
)

// This file finds mistakes in tags that validator does not report.

// level has the rules of a validate tag for one level of a field: for the field itself
// or, after a dive, for the elements of a list or a map.
type level struct {
	rules []string
	keys  []string // of a map's keys, from keys to endkeys
}

// levels splits a tag at its dives.
func levels(tag string) []level {
	all := []level{{}}
	inKeys := false
	for rule := range strings.SplitSeq(tag, ",") {
		last := &all[len(all)-1]
		switch {
		case rule == "":
		case rule == "keys" || rule == "endkeys":
			inKeys = rule == "keys"
		case inKeys:
			last.keys = append(last.keys, rule)
		case rule == "dive":
			all = append(all, level{})
		default:
			last.rules = append(last.rules, rule)
		}
	}
	return all
}

// value returns the type without pointers and Opts.
func value(t *plan.Type) *plan.Type {
	for t.Kind == plan.Pointer || t.Kind == plan.Opt {
		t = t.Elem
	}
	return t
}

// check returns all mistakes in the tags of a struct's fields.
func check(v *validator.Validate, s *plan.Type) error {
	var wrong []error
	for _, field := range s.Fields {
		if field.Validate == "-" {
			continue
		}
		of := s.Go // the struct that has the field: embedded, maybe
		for _, i := range field.Index[:len(field.Index)-1] {
			of = of.Field(i).Type
		}
		c := checker{validate: v, at: fmt.Sprintf("%s.%s", s.Go, field.GoName), whole: of}
		wrong = append(wrong, undived(c.at, field), c.levels(field.Type, levels(field.Validate)))
	}
	return errors.Join(wrong...)
}

// undived returns an error for a list or a map of structs with tags, if the field does
// not have the rule dive: validator would not check the structs.
func undived(at string, field *plan.Field) error {
	lists, t := 0, field.Type
	for ; t.Elem != nil && lists < 10; t = t.Elem { // type T []T has no end
		if t.Kind != plan.Pointer && t.Kind != plan.Opt {
			lists++
		}
	}
	dives := len(levels(field.Validate)) - 1
	if t.Kind == plan.Struct && dives < lists && walk(t, map[*plan.Type]bool{}, new([]*plan.Type), new([]any)) {
		return fmt.Errorf("%s: the validate tags in %s are looked at only with the rule dive, once for each list: `validate:\"max=100,dive\"`", at, t.Go)
	}
	return nil
}

// checker checks the tag of a field.
type checker struct {
	validate *validator.Validate
	at       string       // the path to the field
	whole    reflect.Type // the struct that has it
	wrong    []error
}

func (c *checker) fault(format string, args ...any) {
	c.wrong = append(c.wrong, fmt.Errorf(c.at+": "+format, args...))
}

// levels checks the rules of a tag for each level of a type.
func (c *checker) levels(t *plan.Type, all []level) error {
	for i, level := range all {
		if slices.Contains(level.rules, "notnull") && (t.Kind != plan.Opt || !strings.HasPrefix(level.rules[0], "omit")) {
			c.fault("notnull is for an Opt that may be absent: write validate:\"omitempty,notnull\"; other fields do not take null anyway")
		}
		c.nullable(t, level)
		t = value(t)
		for _, rule := range level.rules {
			c.rule(t.Go, rule)
		}
		if i == len(all)-1 {
			break
		}
		switch t.Kind {
		case plan.Slice, plan.Map:
			if !slices.ContainsFunc(level.rules, bounds) {
				c.fault("say how many it may have, such as `validate:\"max=100,dive\"`: every one of them is checked, and a request could have hundreds of thousands")
			}
		case plan.Array:
		default:
			c.fault("the rule dive is for lists and maps, and this is %s", english.A(t.Go))
			return errors.Join(c.wrong...)
		}
		c.keys(t, all[i+1])
		c.at += map[bool]string{true: "{}", false: "[]"}[t.Kind == plan.Map]
		t = t.Elem
	}
	return errors.Join(c.wrong...)
}

// keys checks the rules for the keys of a map.
func (c *checker) keys(t *plan.Type, elements level) {
	switch {
	case len(elements.keys) == 0:
	case t.Kind != plan.Map:
		c.fault("the rule keys is for maps, and this is %s", english.A(t.Go))
	default:
		for _, rule := range elements.keys {
			c.rule(t.Go.Key(), rule)
		}
	}
}

// nullable finds rules that null breaks, which their author hardly meant.
func (c *checker) nullable(t *plan.Type, l level) {
	if t.Kind != plan.Pointer && t.Kind != plan.Opt || len(l.rules) == 0 {
		return
	}
	first, _, _ := strings.Cut(l.rules[0], "=")
	for _, fine := range []string{"omit", "isdefault", "required", "notempty", "excluded", "skip_unless"} {
		if strings.HasPrefix(first, fine) {
			return
		}
	}
	c.fault("null breaks the rule %s; begin with omitempty, which lets null be, or with required or notempty", first)
}

// rule runs a rule, and each of several rules joined by |, to find rules that do not
// exist or do not fit the type.
func (c *checker) rule(of reflect.Type, rule string) {
	for one := range strings.SplitSeq(rule, "|") {
		name, param, _ := strings.Cut(one, "=")
		if missing := c.missing(name, param); missing != "" {
			c.fault("the rule %s is about a field %s, and %s has none; say its name in Go", one, missing, c.whole)
			continue
		}
		if wrong := c.incomparable(of, name, param); wrong != "" {
			c.fault("the rule %s %s", one, wrong)
			continue
		}
		switch p := c.try(of, one); {
		case p == nil:
		case strings.HasPrefix(fmt.Sprint(p), "Undefined validation function"):
			c.fault("its validate tags: there is no rule %s; the rules are those of github.com/go-playground/validator, such as required, min, max, len, email and oneof", name)
		default:
			c.fault("its validate tags: the rule %s does not fit: %v", one, p)
		}
	}
}

// try runs a rule and returns the value of its panic.
func (c *checker) try(of reflect.Type, rule string) (panicked any) {
	defer func() { panicked = recover() }()
	whole := reflect.New(c.whole)
	fill(whole.Elem(), 4)
	one := reflect.MakeSlice(reflect.SliceOf(of), 1, 1) // within a list it looks at structs, too
	for range 2 {                                       // first of the zero value
		_ = c.validate.VarWithValue(one.Interface(), whole.Interface(), dived(rule))
		fill(one.Index(0), 4)
	}
	return nil
}

// missing returns the first field that a rule refers to and that does not exist. Such a
// rule would always hold, or never.
func (c *checker) missing(rule, param string) string {
	names := strings.Fields(param)
	switch rule {
	case "required_with", "required_with_all", "required_without", "required_without_all",
		"excluded_with", "excluded_with_all", "excluded_without", "excluded_without_all":
	case "required_if", "required_unless", "excluded_if", "excluded_unless", "skip_unless":
		names = everyOther(choices(param))
	default:
		if !aboutField(rule) {
			return ""
		}
		names = []string{param}
	}
	for _, name := range names {
		if !has(c.whole, name) {
			return name
		}
	}
	return ""
}

// aboutField reports whether the parameter of a rule is another field.
func aboutField(rule string) bool {
	switch rule {
	case "eqfield", "nefield", "gtfield", "gtefield", "ltfield", "ltefield", "fieldcontains", "fieldexcludes", "postcode_iso3166_alpha2_field":
		return true
	}
	return false
}

// Relates reports whether a rule depends on other fields than its own.
func Relates(rule string) bool {
	return aboutField(rule) || rule == "skip_unless" || strings.HasPrefix(rule, "required_") || strings.HasPrefix(rule, "excluded_")
}

// everyOther returns the names of pairs of a name and a value.
func everyOther(pairs []string) (names []string) {
	for i := 0; i < len(pairs); i += 2 {
		names = append(names, pairs[i])
	}
	return names
}

// has reports whether a struct has the field of a path such as Author.Name. It accepts
// any path into a list or a map.
func has(t reflect.Type, path string) bool {
	_, known := fieldOf(t, path)
	return known || strings.Contains(path, "[")
}

// fieldOf returns the field of a struct at a path without lists and maps.
func fieldOf(t reflect.Type, path string) (field reflect.StructField, known bool) {
	for name := range strings.SplitSeq(path, ".") {
		for t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		if t.Kind() != reflect.Struct {
			return field, false
		}
		if field, known = t.FieldByName(name); !known {
			return field, false
		}
		t = field.Type
	}
	return field, known
}

var quotedOrWord = lazyre.New(`'[^']*'|\S+`)

// choices splits the parameter of oneof as validator does: at spaces that are not
// between single quotes.
func choices(param string) []string {
	all := quotedOrWord().FindAllString(param, -1)
	for i := range all {
		all[i] = strings.ReplaceAll(all[i], "'", "")
	}
	return all
}

// unescape returns the parameter of a rule without the escapes that commas and bars need
// in a tag.
func unescape(param string) string {
	return strings.NewReplacer("0x2C", ",", "0x7C", "|").Replace(param)
}

// bounds reports whether a rule limits the number of elements.
func bounds(rule string) bool {
	name, param, _ := strings.Cut(rule, "=")
	_, err := strconv.ParseInt(param, 0, 64)
	return err == nil && slices.Contains([]string{"max", "lte", "lt", "len", "eq"}, name)
}
