package validation

import (
	"strconv"
	"strings"

	"github.com/seed-215b9b7c/backend/internal/plan"
)

// Constraints are what the validate tag of a field means for its schema. Nil and
// empty mean that there is no such constraint.
type Constraints struct {
	MinLength, MaxLength               *int64   // of strings, in characters
	MinItems, MaxItems                 *int64   // of lists and maps
	Minimum, Maximum                   *float64 // of numbers
	ExclusiveMinimum, ExclusiveMaximum *float64
	Enum                               []string
	Format                             string
	Unique                             bool
	// Items are those of the elements, after dive; nil if there are none.
	Items *Constraints
}

// formats are the rules that JSON Schema has a format for.
var formats = map[string]string{
	"email": "email", "url": "uri", "http_url": "uri", "uri": "uri", "uuid": "uuid", "uuid4": "uuid",
	"ipv4": "ipv4", "ipv6": "ipv6", "hostname": "hostname",
}

// ConstraintsOf returns what the tag of a field means. What it does not know,
// such as rules about other fields, it leaves out: the schema then allows more
// than the operation.
func ConstraintsOf(field *plan.Field) *Constraints {
	return constraints(strings.Split(field.Validate, ","), field.Type)
}

func constraints(rules []string, t *plan.Type) *Constraints {
	null := t != value(t) // which is all that required refuses then
	t = value(t)
	c := &Constraints{}
	ofKeys := false // of a map
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
		case name == "required" && t.Kind == plan.String && !null && c.MinLength == nil: // which "" is not
			one := int64(1)
			c.MinLength = &one
		case name == "unique":
			c.Unique = true
		case name == "oneof":
			c.Enum = choices(unescape(param))
		case formats[name] != "":
			c.Format = formats[name]
		default:
			c.size(name, param, t)
		}
	}
	return c
}

// size takes over the rules min, max, len, gt, gte, lt and lte.
func (c *Constraints) size(rule, param string, t *plan.Type) {
	switch t.Kind {
	case plan.Int, plan.Uint:
		if n, err := strconv.ParseInt(param, 0, 64); err == nil { // as validator does
			c.number(rule, float64(n))
		}
	case plan.Float:
		if n, err := strconv.ParseFloat(param, 64); err == nil {
			c.number(rule, n)
		}
	case plan.String:
		count(rule, param, &c.MinLength, &c.MaxLength)
	case plan.Slice, plan.Map:
		count(rule, param, &c.MinItems, &c.MaxItems)
	}
}

func (c *Constraints) number(rule string, n float64) {
	switch rule {
	case "min", "gte":
		c.Minimum = &n
	case "max", "lte":
		c.Maximum = &n
	case "gt":
		c.ExclusiveMinimum = &n
	case "lt":
		c.ExclusiveMaximum = &n
	case "eq", "len":
		c.Minimum, c.Maximum = &n, &n
	}
}

func count(rule, param string, least, most **int64) {
	n, err := strconv.ParseInt(param, 0, 64)
	if err != nil {
		return
	}
	switch rule {
	case "min", "gte":
		*least = &n
	case "max", "lte":
		*most = &n
	case "gt":
		n++
		*least = &n
	case "lt":
		n--
		*most = &n
	case "len":
		*least, *most = &n, &n
	}
}
