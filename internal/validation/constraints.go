package validation

import (
	"cmp"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed-215b9b7c/backend/internal/plan"
)

// Constraints are the constraints of a field's schema that its validate tag implies. Nil
// and empty mean that there is no such constraint.
type Constraints struct {
	MinLength, MaxLength               *int64   // of strings, in characters
	MinItems, MaxItems                 *int64   // of lists and maps
	Minimum, Maximum                   *float64 // of numbers
	ExclusiveMinimum, ExclusiveMaximum *float64
	Enum                               []string
	Format, Pattern                    string // of strings; the pattern is one of ECMA-262
	Unique                             bool
	Required                           bool // may be neither absent nor null
	NotNull                            bool // may be absent, but not null
	// Items has the constraints of the elements, after dive; nil if there are none.
	Items *Constraints
}

// formats has the formats of JSON Schema by the rules that mean the same.
var formats = map[string]string{
	"email": "email", "url": "uri", "http_url": "uri", "uri": "uri", "uuid": "uuid", "uuid4": "uuid",
	"ipv4": "ipv4", "ipv6": "ipv6", "hostname": "hostname", "datetime=2006-01-02": "date",
}

// patterns has the regular expressions of validator by their rules. They apply to
// strings only, as in validator.
var patterns = map[string]string{
	"alpha": "^[a-zA-Z]+$", "alphanum": "^[a-zA-Z0-9]+$", "number": "^[0-9]+$", "numeric": `^[-+]?[0-9]+(?:\.[0-9]+)?$`,
	"hexadecimal": "^(0[xX])?[0-9a-fA-F]+$", "e164": `^\+?[1-9][0-9]{7,14}$`,
}

// ConstraintsOf returns the constraints that the tag of a field implies. It leaves out
// rules that it cannot express, such as rules about other fields: the schema then allows
// more than the operation.
func ConstraintsOf(field *plan.Field) *Constraints {
	c := constraints(strings.Split(field.Validate, ","), field.Type)
	c.NotNull = refusesNull(field) != ""
	return c
}

func constraints(rules []string, t *plan.Type) *Constraints {
	null := t != value(t) // which is all that required refuses then
	t = value(t)
	c := &Constraints{}
	ofKeys, omits := false, "" // of a map; the rule by which zero is passed over
	defer func() {
		if omits != "" {
			c.admitZero(omits, t)
		}
	}()
	for i, rule := range rules {
		name, param, _ := strings.Cut(rule, "=")
		switch {
		case name == "keys" || name == "endkeys":
			ofKeys = name == "keys"
		case ofKeys, strings.Contains(rule, "|"): // the latter means one of several rules
		case name == "dive":
			if t.Elem != nil {
				c.Items = constraints(rules[i+1:], t.Elem)
			}
			return c
		case name == "omitzero", name == "omitempty" && !null:
			omits = name
		case name == "required", name == "notempty":
			if name == "notempty" {
				c.fillUp(t)
			}
			passed := omits != "" || slices.ContainsFunc(rules[:i], func(rule string) bool { return strings.HasPrefix(rule, "omit") })
			c.require(t, null, passed)
		case name == "unique":
			c.Unique = t.Elem != nil && sameAsJSON(pointed(t.Elem))
		case name == "oneof" && t.Kind == plan.Text && t.Go.Kind() != reflect.String:
			// Rules compare the number. Only the text of an ID is that number.
			if plan.IsID(t.Go) {
				c.Enum = choices(param)
			}
		case name == "oneof":
			c.Enum = choices(unescape(param))
		case formats[rule] != "":
			c.Format = formats[rule]
		case t.Kind == plan.String:
			c.text(name, unescape(param))
			c.size(name, param, t)
		default:
			c.size(name, param, t)
		}
	}
	return c
}

// fillUp applies what the rule notempty says beyond the rule required.
func (c *Constraints) fillUp(t *plan.Type) {
	if t.Kind == plan.Slice || t.Kind == plan.Map {
		raise(&c.MinItems, 1)
	} else {
		raise(&c.MinLength, 1)
	}
}

// require applies the rule required, which refuses the zero value, and for a pointer
// null. passed says that an earlier rule skips the zero value.
func (c *Constraints) require(t *plan.Type, null, passed bool) {
	if passed {
		return
	}
	c.Required = true
	switch {
	case null:
	case t.Kind == plan.String:
		raise(&c.MinLength, 1)
	case t.Kind == plan.Uint:
		raise(&c.Minimum, 1)
	}
}

// Needs reports whether an input must have a field: by its type, or by its rules.
func Needs(field *plan.Field) bool {
	return field.Required || !field.HasDefault && Demands(field)
}

// Demands reports whether the rules of a field require it in an input: an absent field
// has the zero value, and the zero value breaks a rule. It considers only rules that
// ConstraintsOf can express.
func Demands(field *plan.Field) bool {
	c, rules := ConstraintsOf(field), levels(field.Validate)[0].rules
	if c.Required || value(field.Type) != field.Type {
		return c.Required
	}
	passed := slices.Contains(rules, "omitempty") || slices.Contains(rules, "omitzero")
	return !passed && field.Validate != "-" && c.breakZero(field.Type)
}

// breakZero reports whether the zero value of a type breaks the constraints of the type
// or, for a struct, those of its fields.
func (c *Constraints) breakZero(t *plan.Type) bool {
	switch t.Kind {
	case plan.Text:
		return c.leaveOut(zeroText(t))
	case plan.String:
		return c.Format != "" || c.Pattern != "" || c.MinLength != nil && *c.MinLength > 0 || c.leaveOut("")
	case plan.Slice, plan.Map:
		return c.MinItems != nil && *c.MinItems > 0
	case plan.Int, plan.Uint, plan.Float, plan.Duration:
		above := c.Minimum != nil && *c.Minimum > 0 || c.ExclusiveMinimum != nil && *c.ExclusiveMinimum >= 0
		below := c.Maximum != nil && *c.Maximum < 0 || c.ExclusiveMaximum != nil && *c.ExclusiveMaximum <= 0
		return above || below || c.leaveOut("0")
	case plan.Array:
		return t.Len > 0 && c.Items != nil && c.Items.Required
	case plan.Struct:
		return slices.ContainsFunc(t.Fields, Demands)
	}
	return false
}

// zeroText is the text of zero in an Enum of a type with MarshalText.
func zeroText(t *plan.Type) string {
	if t.Go.Kind() == reflect.String {
		return ""
	}
	return "0"
}

// leaveOut reports whether the constraints list the allowed values, and this is not one.
func (c *Constraints) leaveOut(value string) bool {
	return len(c.Enum) > 0 && !slices.Contains(c.Enum, value)
}

// pointed returns the type that a pointer points to, whose values rules compare.
func pointed(t *plan.Type) *plan.Type {
	if t.Kind == plan.Pointer {
		return t.Elem
	}
	return t
}

// sameAsJSON reports whether elements of a list are equal if their JSON is equal. Structs
// with times or pointers may differ and have the same JSON.
func sameAsJSON(t *plan.Type) bool {
	switch t.Kind {
	case plan.Time, plan.Pointer, plan.Opt, plan.Slice, plan.Map, plan.Bytes, plan.Raw:
		return false
	case plan.Array:
		return sameAsJSON(t.Elem)
	case plan.Struct:
		return !slices.ContainsFunc(t.Fields, func(f *plan.Field) bool { return !sameAsJSON(f.Type) })
	}
	return true
}

// text applies the rules for the content of strings. A schema has one pattern: that of
// the first rule.
func (c *Constraints) text(rule, param string) {
	pattern, quoted := patterns[rule], regexp.QuoteMeta(param)
	switch rule {
	case "startswith":
		pattern = "^" + quoted
	case "endswith":
		pattern = quoted + "$"
	case "contains":
		pattern = quoted
	case "eq":
		c.Enum = []string{param}
	}
	c.Pattern = cmp.Or(c.Pattern, pattern)
}

// admitZero removes the constraints that the zero value breaks, because the rule
// omitempty or omitzero skips the zero value. A format is only a hint, and stays. For
// lists, omitzero skips empty ones, and omitempty only nil. An array is zero if all its
// elements are.
func (c *Constraints) admitZero(rule string, t *plan.Type) {
	switch {
	case t.Kind == plan.String:
		c.MinLength = nil
		if c.Pattern != "" {
			c.Pattern = "^$|" + c.Pattern
		}
		c.choose("")
	case t.Kind == plan.Text:
		c.choose(zeroText(t))
	case t.Kind == plan.Array:
		c.Unique, c.Items = false, nil
	case t.Kind == plan.Slice || t.Kind == plan.Map:
		if rule == "omitzero" {
			c.MinItems = nil
		}
	case t.Kind == plan.Int || t.Kind == plan.Uint || t.Kind == plan.Float || t.Kind == plan.Duration:
		drop(&c.Minimum, func(least float64) bool { return least > 0 })
		drop(&c.Maximum, func(most float64) bool { return most < 0 })
		drop(&c.ExclusiveMinimum, func(least float64) bool { return least >= 0 })
		drop(&c.ExclusiveMaximum, func(most float64) bool { return most <= 0 })
		c.choose("0")
	}
}

// choose adds a value to the allowed values, if the constraints list them.
func (c *Constraints) choose(value string) {
	if c.leaveOut(value) {
		c.Enum = append(c.Enum, value)
	}
}

// drop removes a bound that 0 breaks.
func drop(bound **float64, breaks func(float64) bool) {
	if *bound != nil && breaks(**bound) {
		*bound = nil
	}
}

// size applies the rules min, max, len, gt, gte, lt and lte.
func (c *Constraints) size(rule, param string, t *plan.Type) {
	switch t.Kind {
	case plan.Int, plan.Uint:
		n, err := strconv.ParseInt(param, 0, 64) // as validator does
		if f := float64(n); err == nil && math.Abs(f) < 1<<63 && int64(f) == n {
			c.number(rule, f) // which is not exact for each large number
		}
	case plan.Duration:
		n, err := time.ParseDuration(param) // as validator does
		if err != nil {
			var whole int64
			whole, err = strconv.ParseInt(param, 0, 64)
			n = time.Duration(whole)
		}
		if f := float64(n); err == nil && math.Abs(f) < 1<<63 && int64(f) == int64(n) {
			c.number(rule, f)
		}
	case plan.Float:
		if n, err := strconv.ParseFloat(param, 64); err == nil {
			c.number(rule, n)
		}
	case plan.String:
		count(rule, param, &c.MinLength, &c.MaxLength)
	case plan.Slice, plan.Map:
		if rule == "eq" {
			rule = "len"
		}
		count(rule, param, &c.MinItems, &c.MaxItems)
	}
}

func (c *Constraints) number(rule string, n float64) {
	switch rule {
	case "min", "gte":
		raise(&c.Minimum, n)
	case "max", "lte":
		lower(&c.Maximum, n)
	case "gt":
		raise(&c.ExclusiveMinimum, n)
	case "lt":
		lower(&c.ExclusiveMaximum, n)
	case "eq", "len":
		raise(&c.Minimum, n)
		lower(&c.Maximum, n)
	}
}

func count(rule, param string, least, most **int64) {
	n, err := strconv.ParseInt(param, 0, 64)
	if err != nil || n < 0 {
		return // a schema has no such number
	}
	switch rule {
	case "min", "gte":
		raise(least, n)
	case "max", "lte":
		lower(most, n)
	case "gt":
		raise(least, n+1)
	case "lt":
		lower(most, max(n-1, 0))
	case "len":
		raise(least, n)
		lower(most, n)
	}
}

// raise and lower set a bound. If another rule has set it, the stricter one stays, since
// all rules apply.
func raise[T int64 | float64](bound **T, n T) {
	if *bound == nil || n > **bound {
		*bound = &n
	}
}

func lower[T int64 | float64](bound **T, n T) {
	if *bound == nil || n < **bound {
		*bound = &n
	}
}
