package schematest

import (
	"encoding"
	"encoding/json"
	"math"
	"math/big"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"

	"github.com/seed-215b9b7c/backend/internal/plan"
)

// This file is the list of everything that descriptions and inputs may disagree
// in, with the reason. It knows the tags by itself, not by what the package makes
// of them.

// place is what a pointer leads to.
type place struct {
	of     *plan.Type // without pointers and Opts
	null   bool       // there were some
	field  *plan.Field
	rules  []string // of this level of the field's tag
	keys   []string // of the map that it is an element of
	value  any      // in the document; numbers as they are spelled
	there  bool     // the document has it, or at least
	within bool     // what it would be in
	loose  bool     // it is inside an array that may be zero or absent, so that nothing is said of what is in it
	zeroed bool     // it is inside a struct or an array that is zero, which omitempty or omitzero passes over
}

var level1 = regexp.MustCompile(`,?dive,?`)

// speechless reports whether an output has a map of values that hold one whose text
// is that of its pointer, which encoding/json does not ask for it: values in maps
// have no address. What it writes instead is nothing that anybody could want.
func speechless(t *plan.Type, inMap bool, seen map[*plan.Type]bool) bool {
	if t == nil || seen[t] {
		return false
	}
	switch t.Kind {
	case plan.Text:
		return inMap && !t.Go.Implements(reflect.TypeFor[encoding.TextMarshaler]())
	case plan.Map:
		inMap = true
	case plan.Pointer, plan.Slice:
		inMap = false
	}
	seen[t] = true
	defer delete(seen, t)
	for _, field := range t.Fields {
		if speechless(field.Type, inMap, seen) {
			return true
		}
	}
	return speechless(t.Elem, inMap, seen)
}

// find follows a pointer.
func find(t *plan.Type, names []string, document any) place {
	p := place{of: t, value: document, there: true, within: true}
	var levels []string
	for i := 0; ; i++ {
		p.null = false
		for p.of.Kind == plan.Pointer || p.of.Kind == plan.Opt {
			p.of, p.null = p.of.Elem, true
		}
		omits := slices.Contains(p.rules, "omitempty") || slices.Contains(p.rules, "omitzero")
		p.loose = p.loose || p.of.Kind == plan.Array && (omits || !p.there)
		p.zeroed = p.zeroed || omits && (p.of.Kind == plan.Struct || p.of.Kind == plan.Array) && isZero(p.value)
		if i == len(names) {
			return p
		}
		p.within = p.there
		switch value := p.value.(type) {
		case map[string]any:
			p.value, p.there = value[names[i]], p.there && has(value, names[i])
		case []any:
			at, _ := strconv.Atoi(names[i])
			p.there = p.there && at < len(value)
			if p.there {
				p.value = value[at]
			}
		default:
			p.value, p.there = nil, false
		}
		p.rules, p.keys = nil, nil
		switch p.of.Kind {
		case plan.Struct:
			at := slices.IndexFunc(p.of.Fields, func(f *plan.Field) bool { return f.Name == names[i] })
			if at < 0 {
				return p
			}
			p.field = p.of.Fields[at]
			p.of, levels = p.field.Type, level1.Split(p.field.Validate, -1)
		case plan.Slice, plan.Array, plan.Map:
			p.of, levels = p.of.Elem, levels[min(1, len(levels)):]
		default:
			return p
		}
		if len(levels) > 0 {
			rules := levels[0]
			if before, after, ok := strings.Cut(rules, "endkeys"); ok {
				p.keys = strings.Split(before, ",")
				rules = strings.TrimPrefix(after, ",")
			}
			p.rules = strings.Split(rules, ",")
		}
	}
}

func has(object map[string]any, name string) bool {
	_, ok := object[name]
	return ok
}

// isZero reports whether a document is that of a zero value.
func isZero(document any) bool {
	switch value := document.(type) {
	case map[string]any:
		for _, member := range value {
			if !isZero(member) {
				return false
			}
		}
		return true
	case []any:
		return !slices.ContainsFunc(value, func(element any) bool { return !isZero(element) })
	case json.Number:
		f, _ := value.Float64()
		return f == 0
	}
	return slices.Contains([]any{nil, "", "0", "0001-01-01T00:00:00Z", false}, document)
}

// exact reports whether a number is what a float has of it.
func exact(value any, bits int) bool {
	n, ok := value.(json.Number)
	if !ok {
		return true
	}
	f, err := strconv.ParseFloat(string(n), bits)
	if err != nil {
		return false
	}
	shortest, _ := new(big.Rat).SetString(strconv.FormatFloat(f, 'g', -1, bits))
	spelled, _ := new(big.Rat).SetString(string(n))
	return bits == 64 && shortest.Cmp(spelled) == 0
}

// mayBeUnsaid reports whether the schema may allow what is refused.
func (in *input) mayBeUnsaid(reason refusal, document []byte) bool {
	p := find(in.of, names(reason.pointer), read(document))
	switch {
	case strings.Contains(reason.message, "NUL"):
		return true // PostgreSQL cannot store it, and a pattern for each string would say little
	case p.field != nil && p.field.Quoted && p.there:
		return reason.rule != "required" || !p.null || p.value == "null" // a schema does not look into strings
	case !reason.late:
		return unread(p, reason)
	}
	return p.loose || p.unsaid(reason.rule)
}

// unread is mayBeUnsaid of what could not be read.
func unread(p place, reason refusal) bool {
	number, _ := p.value.(json.Number)
	whole := p.of.Kind == plan.Int || p.of.Kind == plan.Uint || p.of.Kind == plan.Duration
	switch reason.rule {
	case "format": // contentEncoding and format are notes; a type's own text is its own
		return p.of.Kind == plan.Time || p.of.Kind == plan.Bytes || p.of.Kind == plan.Text
	case "type": // to JSON Schema 1.0 and 1e0 are integers; to Go, and other typed languages, they are spelled as other numbers
		return whole && strings.ContainsAny(string(number), ".eE")
	case "range": // which format says: int32, int64, uint64, float, double; and -0 is 0 to a schema
		return p.of.Bits == 64 || p.of.Kind == plan.Int && p.of.Bits == 32 || p.of.Kind == plan.Float || number == "-0"
	}
	return false
}

var (
	sizes    = []string{"min", "max", "len", "gt", "gte", "lt", "lte", "eq"}
	formats  = []string{"email", "url", "uuid", "ipv4", "hostname"}
	patterns = []string{"alpha", "alphanum", "number", "numeric", "hexadecimal", "e164", "startswith", "endswith", "contains"}
)

// unsaid is mayBeUnsaid of what breaks a rule.
func (p place) unsaid(rule string) bool {
	at := slices.IndexFunc(p.rules, func(r string) bool { return r == rule || strings.HasPrefix(r, rule+"=") })
	if ofKeys := slices.ContainsFunc(p.keys, func(r string) bool { return strings.HasPrefix(r, rule) }); ofKeys || at < 0 {
		return ofKeys // there is no propertyNames
	}
	_, param, _ := strings.Cut(p.rules[at], "=")
	omits := slices.Contains(p.rules, "omitempty") || slices.Contains(p.rules, "omitzero")
	switch {
	case slices.Contains(patterns, rule) && p.of.Kind == plan.String:
		first := slices.IndexFunc(p.rules, func(r string) bool { name, _, _ := strings.Cut(r, "="); return slices.Contains(patterns, name) })
		return first < at // a schema has one pattern
	case rule == "oneof" || rule == "eq" && p.of.Kind == plan.String:
		several := 0
		for _, r := range p.rules {
			if strings.HasPrefix(r, "oneof=") || strings.HasPrefix(r, "eq=") {
				several++
			}
		}
		return several > 1 || p.of.Kind == plan.Text && p.of.Name != "ID" // a schema has one list, of what is on the wire
	case slices.Contains(sizes, rule):
		return p.sizeUnsaid(rule, param, omits)
	case rule == "unique":
		return param != "" || p.of.Elem == nil || p.of.Kind == plan.Map || !sameInJSON(p.of.Elem) && (p.of.Elem.Kind != plan.Pointer || !sameInJSON(p.of.Elem.Elem))
	case rule == "notempty":
		return false
	case rule == "required" && p.of.Kind == plan.Raw:
		return p.there // null is JSON, too
	case rule == "required":
		// "Not 0", "true" and "not all zero" have forms in JSON Schema that generators of clients do not know.
		return p.there && slices.Contains([]plan.Kind{plan.Bool, plan.Int, plan.Float, plan.Duration, plan.Struct, plan.Array, plan.Text, plan.Time}, p.of.Kind)
	}
	return !slices.Contains(formats, rule) || p.there // formats are notes, other rules are not known
}

func (p place) sizeUnsaid(rule, param string, omits bool) bool {
	n, _ := strconv.ParseFloat(param, 64)
	switch p.of.Kind {
	case plan.Int, plan.Uint:
		return omits || math.Abs(n) >= 1<<53 // of which a float64 has not every one
	case plan.Duration:
		if d, err := time.ParseDuration(param); err == nil {
			n = float64(d)
		}
		return omits || math.Abs(n) >= 1<<53
	case plan.Float:
		return omits || !exact(p.value, p.of.Bits)
	case plan.String, plan.Slice, plan.Map:
		least := rule == "min" || rule == "gt" || rule == "gte" || rule == "len" || rule == "eq"
		recursive := p.of.Name != "" && p.of.Elem != nil
		never := rule == "lt" && n < 1 || n < 0     // for which JSON Schema has no number
		return omits && least || never || recursive // what a reference leads to has no rules of its own
	}
	return true // such as the length of bytes, which is not that of their base64
}

// sameInJSON reports whether elements are the same only if their JSON is.
func sameInJSON(t *plan.Type) bool {
	switch t.Kind {
	case plan.Bool, plan.Int, plan.Uint, plan.String, plan.Duration:
		return true
	}
	return t.Kind == plan.Array && sameInJSON(t.Elem)
}

// mayBeTaken reports whether a schema may refuse what is taken.
func (in *input) mayBeTaken(leaf *jsonschema.ValidationError, document []byte) bool {
	p := find(in.of, leaf.InstanceLocation, read(document))
	floats := func(t *plan.Type) bool {
		for t.Elem != nil {
			t = t.Elem
		}
		return t.Kind == plan.Float
	}
	switch leaf.ErrorKind.(type) {
	case *kind.Minimum, *kind.Maximum, *kind.ExclusiveMinimum, *kind.ExclusiveMaximum:
		if p.of.Kind == plan.Float && !exact(p.value, p.of.Bits) {
			return true // it is rounded before it is compared
		}
	case *kind.UniqueItems:
		if floats(p.of) {
			return true
		}
	case *kind.Enum:
		if p.field != nil && p.field.Quoted && p.value == "-0" {
			return true // it is the integer 0
		}
	}
	return p.zeroed // which has no rules then, and the schema of the struct has
}

func names(pointer string) []string {
	if pointer == "" {
		return nil
	}
	all := strings.Split(pointer[1:], "/")
	for i := range all {
		all[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(all[i])
	}
	return all
}

// mayBeUnsaidOfParam is mayBeUnsaid of a parameter, whose errors have one rule.
func (p *parameters) mayBeUnsaidOfParam(reason refusal, place string, document []byte) bool {
	at := find(p.of, names(reason.pointer), read(document))
	for at.of.Elem != nil && !reason.late {
		at.of = at.of.Elem
	}
	switch {
	case reason.late && place == "path" && len(names(reason.pointer)) == 1 && at.of.Kind == plan.Slice:
		return true // it has one element in a path, where a schema has nothing to say of lists
	case reason.late && slices.Contains(formats, reason.rule): // which are notes
		return true
	case reason.message == "is given more than once":
		return true // a schema sees the one that is left
	case reason.rule == "format" && slices.Contains([]plan.Kind{plan.Int, plan.Uint, plan.Duration, plan.Float}, at.of.Kind):
		values, list := at.value.([]any)
		if !list {
			values = []any{at.value}
		}
		for _, value := range values {
			number, _ := value.(json.Number)
			reason.rule = "range"
			if unread(at, reason) || number == "-0" || strings.ContainsAny(string(number), ".eE") && at.of.Kind != plan.Float {
				return true
			}
		}
	}
	reason.pointer = "/" + strings.Join(names(reason.pointer), "/")
	return p.mayBeUnsaid(reason, document) || !reason.late && reason.rule == "format" && unread(at, reason)
}
