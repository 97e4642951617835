// Package validation checks values by the validate tags of
// github.com/go-playground/validator, and says what is wrong with each field in
// a sentence.
package validation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/go-playground/validator/v10"

	"github.com/seed-215b9b7c/backend/internal/english"
	"github.com/seed-215b9b7c/backend/internal/plan"
)

// FieldError says what is wrong with one field, without its value.
type FieldError struct {
	Pointer string // RFC 6901
	Rule    string
	Message string
}

// Validator checks values of one type. It is safe for concurrent use.
type Validator struct {
	validate *validator.Validate
	root     *structCheck // nil: there is nothing to check
	names    map[reflect.Type]map[string]string
}

// Compile returns the validator for the struct t and all types within it. The error lists
// all tags that are malformed or do not fit their fields.
func Compile(t *plan.Type) (*Validator, error) {
	var structs []*plan.Type
	var opts []any
	if !walk(t, map[*plan.Type]bool{}, &structs, &opts) || t.Kind != plan.Struct {
		return &Validator{}, nil
	}
	v := validator.New(validator.WithRequiredStructEnabled())
	if len(opts) > 0 {
		v.RegisterCustomTypeFunc(optional, opts...)
	}
	if err := v.RegisterValidation("notempty", notEmpty); err != nil {
		return &Validator{}, err
	}
	if err := v.RegisterValidation("notnull", func(validator.FieldLevel) bool { return true }); err != nil { // null is no value
		return &Validator{}, err
	}
	var wrong []error
	for _, s := range structs {
		wrong = append(wrong, check(v, s))
	}
	if err := errors.Join(wrong...); err != nil {
		return &Validator{}, err
	}
	c := compiler{v, map[*plan.Type]*structCheck{}, map[reflect.Type]map[string]string{}, map[reflect.Type]map[string]string{}}
	root := c.structOf(t)
	for of, rules := range c.rules {
		v.RegisterStructValidationMapRules(rules, reflect.Zero(of).Interface())
	}
	for _, s := range structs {
		if c.known[s] != nil {
			wrong = append(wrong, parse(v, s.Go))
		}
	}
	return &Validator{v, root, c.names}, errors.Join(wrong...)
}

// walk finds the structs and Opts in t and reports whether any field has a tag.
func walk(t *plan.Type, seen map[*plan.Type]bool, structs *[]*plan.Type, opts *[]any) (tagged bool) {
	if t == nil || seen[t] {
		return false
	}
	seen[t] = true
	switch t.Kind {
	case plan.Struct:
		*structs = append(*structs, t)
	case plan.Opt:
		*opts = append(*opts, reflect.Zero(t.Go).Interface())
	}
	tagged = walk(t.Elem, seen, structs, opts)
	for _, field := range t.Fields {
		below := walk(field.Type, seen, structs, opts)
		tagged = tagged || below || field.Validate != ""
	}
	return tagged
}

// optional makes validator see an Opt as a pointer, so that rules mean the same for both.
func optional(v reflect.Value) any {
	of := v.Field(plan.OptValue)
	if !v.Field(plan.OptPresent).Bool() || v.Field(plan.OptNull).Bool() {
		return reflect.Zero(reflect.PointerTo(of.Type())).Interface()
	}
	pointer := reflect.New(of.Type())
	pointer.Elem().Set(of)
	return pointer.Interface()
}

// notEmpty is the rule notempty: a text, list or map has something in it. Like required,
// the rule refuses null. It panics for other types, as rules of validator do.
func notEmpty(field validator.FieldLevel) bool {
	if !canBeEmpty(field.Field().Type()) {
		panic(fmt.Sprintf("notempty is for strings, lists and maps, and this is %s; take required, or omitempty,notnull in an Opt", english.A(field.Field().Type())))
	}
	return field.Field().Len() > 0
}

// canBeEmpty reports whether the rule notempty is for a type.
func canBeEmpty(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.String, reflect.Slice, reflect.Map:
		return t != reflect.TypeFor[json.RawMessage]() // whose null is not empty
	}
	return false
}

// parse makes validator parse and run the rules of a struct. It panics if a rule does not
// exist or does not fit its field.
func parse(v *validator.Validate, of reflect.Type) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%s: its validate tags: %v", of, p)
		}
	}()
	sample := reflect.New(of)
	_ = v.Struct(sample.Interface()) // what is wrong with the zero value is no matter
	fill(sample.Elem(), 4)
	_ = v.Struct(sample.Interface()) // rules after omitempty do not fit types only now
	return nil
}

// fill sets all parts of a value to something other than zero.
func fill(v reflect.Value, depth int) {
	if depth == 0 || !v.CanSet() && v.Kind() != reflect.Struct {
		return
	}
	switch {
	case v.Kind() == reflect.Bool:
		v.SetBool(true)
	case v.Kind() == reflect.String:
		v.SetString("a")
	case v.CanInt():
		v.SetInt(1)
	case v.CanUint():
		v.SetUint(1)
	case v.CanFloat():
		v.SetFloat(1)
	default:
		fillParts(v, depth-1)
	}
}

// fillParts fills the parts of a value, such as one element of a list.
func fillParts(v reflect.Value, depth int) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), depth)
		}
		if strings.HasPrefix(v.Type().Name(), "Opt[") && v.NumField() > plan.OptNull && v.Field(plan.OptNull).CanSet() {
			v.Field(plan.OptNull).SetZero() // or its value is not looked at
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), depth)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), depth)
	case reflect.Array:
		for i := range min(v.Len(), 1) {
			fill(v.Index(i), depth)
		}
	case reflect.Map:
		key, element := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key, depth)
		fill(element, depth)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, element)
	}
}

// maxFields and maxName bound the size of errors, which would otherwise grow with the
// input: a list of a megabyte has half a million elements, each of which may be wrong,
// and a name may be as long as the input.
const (
	maxFields = 50
	maxName   = 50 // characters
)

// Validate returns the errors of value, a struct or a pointer to one. It stops after the
// first 50.
func (v *Validator) Validate(ctx context.Context, value any) []FieldError {
	if v.root == nil {
		return nil
	}
	whole := reflect.ValueOf(value)
	if whole.Kind() != reflect.Pointer {
		whole = reflect.New(whole.Type())
		whole.Elem().Set(reflect.ValueOf(value))
	}
	if v.root.holds(whole.Elem()) {
		return nil
	}
	r := run{ctx: ctx, validate: v.validate, names: v.names}
	v.root.check(&r, whole.Elem())
	return r.found
}

// short cuts names, since the client chooses the keys of maps.
func short(name string) string {
	if runes := []rune(name); len(runes) > maxName {
		return string(runes[:maxName]) + "…"
	}
	return name
}

var escaper = strings.NewReplacer("~", "~0", "/", "~1")

// sentences has the message of each rule; %s is its parameter. The messages of rules about
// sizes depend on the kind of the field.
var sentences = map[string]string{
	"email": "must be an e-mail address", "url": "must be a URL", "http_url": "must be an http or https URL", "uri": "must be a URI",
	"uuid": "must be a UUID", "uuid4": "must be a UUID", "ip": "must be an IP address", "ipv4": "must be an IPv4 address", "ipv6": "must be an IPv6 address",
	"hostname": "must be a host name", "alpha": "may have letters only", "alphanum": "may have letters and digits only", "numeric": "must be a number",
	"lowercase": "must be in lower case", "uppercase": "must be in upper case", "ascii": "may have ASCII characters only", "unique": "must not have anything twice",
	"oneof": "must be one of %s", "eq": "must be %s", "ne": "must not be %s", "eqfield": "must be the same as %s", "nefield": "must not be the same as %s",
	"startswith": "must begin with %s", "endswith": "must end with %s", "contains": "must contain %s", "excludes": "must not contain %s",
	"gtfield": "must be greater than %s", "ltfield": "must be less than %s", "gtefield": "must not be less than %s", "ltefield": "must not be greater than %s",
	"datetime": "must be a time like %s",
}

// counted has the messages of rules about sizes, for numbers and for counted things.
var counted = map[string][2]string{
	"min": {"must be at least %s", "must have at least %s %s"}, "gte": {"must be at least %s", "must have at least %s %s"},
	"max": {"must be at most %s", "may have at most %s %s"}, "lte": {"must be at most %s", "may have at most %s %s"},
	"gt": {"must be more than %s", "must have more than %s %s"}, "lt": {"must be less than %s", "must have less than %s %s"},
	"len": {"must be %s", "must have exactly %s %s"},
}

// sentence returns the message for a value of a kind that breaks a rule.
func sentence(rule, param string, kind reflect.Kind) string {
	if forms, ok := counted[rule]; ok {
		what := ""
		switch kind {
		case reflect.String:
			what = "character"
		case reflect.Slice, reflect.Array, reflect.Map:
			what = "item"
		default:
			return fmt.Sprintf(forms[0], param)
		}
		if param != "1" {
			what += "s"
		}
		if rule == "len" && param == "0" {
			return "must be empty"
		}
		return fmt.Sprintf(forms[1], param, what)
	}
	if strings.HasPrefix(rule, "required") || rule == "notempty" {
		return lacks(rule, kind)
	}
	switch text, ok := sentences[rule]; {
	case rule == "oneof":
		return fmt.Sprintf(text, strings.Join(choices(param), ", "))
	case !ok:
		return unworded + rule
	case strings.Contains(text, "%s"):
		return fmt.Sprintf(text, param)
	default:
		return text
	}
}

// eitherOf returns the message for a value that breaks all of several rules with | between
// them. paramOf returns what a client knows the parameter of a rule as.
func eitherOf(rules string, paramOf func(rule, param string) string, kind reflect.Kind) string {
	var all strings.Builder
	before := ""
	for rule := range strings.SplitSeq(rules, "|") {
		name, param, _ := strings.Cut(rule, "=")
		text := sentence(name, paramOf(name, param), kind)
		if strings.HasPrefix(text, unworded) {
			return unworded + rules
		}
		verb, rest, _ := strings.Cut(text, " ")
		switch {
		case before == "":
			all.WriteString(text)
		case verb == before: // "must be empty or have at least 8 characters"
			all.WriteString(" or " + rest)
		default:
			all.WriteString(" or " + text)
		}
		before = verb
	}
	return all.String()
}

// unworded begins the message of a rule that has no words.
const unworded = "breaks the rule "

// lacks returns the message for a value of a kind that is nothing where a rule wants
// something. Decoders report absent fields with the rules required and notempty.
// Absent fields with rules such as required_if have the zero value here.
func lacks(rule string, kind reflect.Kind) string {
	switch {
	case rule != "required" && rule != "notempty":
		return "is missing or empty"
	case kind == reflect.Pointer || kind == reflect.Interface || kind == reflect.Invalid:
		return "must not be null"
	case rule == "required" && (kind == reflect.Slice || kind == reflect.Map): // nil: an empty one is fine
		return "is missing"
	case kind == reflect.Bool:
		return "must be true"
	case kind >= reflect.Int && kind <= reflect.Complex128:
		return "must not be 0"
	}
	return "must not be empty"
}
