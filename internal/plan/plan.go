// Package plan describes Go types once, at registration, so that nothing walks
// them by reflection afterwards. A plan says which fields a type has in JSON, where they
// are in the value, and which are required. Decoders, encoders, validators and schemas
// of every protocol are compiled from plans.
package plan

import (
	"cmp"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/seed-215b9b7c/backend/internal/english"
)

// Kind is the form of a type in JSON.
type Kind uint8

const (
	Bool     Kind = iota
	Int           // all signed integers; Bits says how many
	Uint          // all unsigned integers
	Float         // float32 and float64
	String        // strings and named strings
	Bytes         // []byte and named ones, as base64
	Time          // time.Time, as RFC 3339
	Duration      // time.Duration, as nanoseconds
	Text          // a type with MarshalText (and UnmarshalText for input), as a string
	Raw           // json.RawMessage: any JSON
	Custom        // a type with MarshalJSON, and json.Number; output only
	Struct        // an object
	Slice         // a slice, as an array
	Array         // an array of a fixed length
	Map           // an object with keys of a string kind
	Pointer       // Elem or null
	Opt           // the root package's Opt: Elem, null or absent
)

// Type is the plan of a Go type. It is immutable once it was compiled. A [Compiler] has
// one Type for each Go type, so that plans of recursive types are finite.
type Type struct {
	Go     reflect.Type
	Kind   Kind
	Bits   int      // of Int, Uint, Float
	Len    int      // of Array
	Elem   *Type    // of Slice, Array, Map, Pointer and Opt
	Fields []*Field // of Struct, in the order of encoding/json
	// Name is the type's name for schemas, without its package: "Note",
	// "PageNote". Empty for types without one.
	Name string
}

// Field is a field of a struct in JSON.
type Field struct {
	Name                string // on the wire
	GoName              string // for errors: Author.Name
	Index               []int  // its path in the struct, through embedded ones
	Type                *Type
	Required            bool // input must have it: no default, and a rule says so, or it has no omitempty or omitzero and is no pointer or Opt
	OmitEmpty, OmitZero bool
	Quoted              bool // by the option string, where it has an effect
	// Place is the part of a request that the field comes from: path, query, header,
	// cookie or body. PlaceName is the name there. If Place is empty, the door chooses.
	Place, PlaceName string
	Validate         string // the validate tag
	Doc, Example     string // the doc and example tags
	Accept, MaxSize  string // the accept and maxsize tags, of an upload
	Format           string // the format tag, of text
	// Default is the default tag of a field of an input: the value of an absent field,
	// as text.
	Default    string
	HasDefault bool
}

// OptValue, OptPresent and OptNull are the indexes of Opt's fields.
const (
	OptValue = iota
	OptPresent
	OptNull
)

// Direction says whether a type is one of inputs or of outputs.
type Direction uint8

const (
	In Direction = iota
	Out
)

// Compiler compiles types of one direction. It is not safe for concurrent use, but the
// Types that it returns are.
type Compiler struct {
	direction Direction
	known     map[reflect.Type]*Type
}

// NewCompiler returns a Compiler.
func NewCompiler(direction Direction) *Compiler {
	return &Compiler{direction: direction, known: map[reflect.Type]*Type{}}
}

// Compile describes t. The error lists every part of t that is not supported,
// with the path to it.
func (c *Compiler) Compile(t reflect.Type) (*Type, error) {
	var wrong []error
	compiled := c.compile(t, t.String(), &wrong)
	return compiled, errors.Join(wrong...)
}

var (
	timeType        = reflect.TypeFor[time.Time]()
	durationType    = reflect.TypeFor[time.Duration]()
	rawType         = reflect.TypeFor[json.RawMessage]()
	numberType      = reflect.TypeFor[json.Number]()
	jsonMarshaler   = reflect.TypeFor[json.Marshaler]()
	jsonUnmarshaler = reflect.TypeFor[json.Unmarshaler]()
	textMarshaler   = reflect.TypeFor[encoding.TextMarshaler]()
	textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
)

func (c *Compiler) compile(t reflect.Type, path string, wrong *[]error) *Type {
	if known := c.known[t]; known != nil {
		return known
	}
	compiled, before := &Type{Go: t, Name: schemaName(t)}, len(*wrong)
	c.known[t] = compiled // before its parts, which may be it again
	if !c.special(compiled, path, wrong) {
		c.byKind(compiled, path, wrong)
	}
	if len(*wrong) > before && !c.saidOnce(compiled) {
		delete(c.known, t)
	}
	return compiled
}

// saidOnce reports whether a mistake within a type belongs to the declaration of that
// type, and is reported once for all fields of the type. A mistake within any other type
// is reported for each field.
func (c *Compiler) saidOnce(t *Type) bool {
	return t.Go.Name() != "" && t.Kind != Opt && (t.Elem != nil || t.Kind == Struct)
}

// special compiles types whose JSON does not follow from their kind. It reports whether
// t is one.
func (c *Compiler) special(t *Type, path string, wrong *[]error) bool {
	switch {
	case t.Go == timeType:
		t.Kind = Time
	case t.Go == durationType:
		t.Kind, t.Bits = Duration, 64
	case t.Go == rawType:
		t.Kind = Raw
	case t.Go == numberType:
		t.Kind = Custom // text that encoding/json writes as it stands
		if c.direction == In {
			*wrong = append(*wrong, fmt.Errorf("%s: %s, whose digits have no end, is for output only; use a number, a string, or json.RawMessage", path, english.A(t.Go)))
		}
	case IsOpt(t.Go): // before its own MarshalJSON
		t.Kind = Opt
		t.Elem = c.compile(t.Go.Field(OptValue).Type, path, wrong)
		if t.Elem.Kind == Opt {
			*wrong = append(*wrong, fmt.Errorf("%s: an Opt of %s is not supported; null has one meaning", path, english.A(t.Elem.Go)))
		}
	case t.Go.Kind() == reflect.Pointer:
		return false
	case c.has(t.Go, jsonMarshaler, jsonUnmarshaler):
		t.Kind = Custom
		if c.direction == In {
			*wrong = append(*wrong, c.readsItself(t.Go, path))
		}
	case t.Go.Kind() == reflect.Interface && c.has(t.Go, textMarshaler, textUnmarshaler):
		t.Kind = Custom // it may be nil, which has no text
	case c.has(t.Go, textMarshaler, textUnmarshaler):
		t.Kind = Text
	default:
		return false
	}
	return true
}

// readsItself returns the error for a type of an input with UnmarshalJSON.
func (c *Compiler) readsItself(t reflect.Type, path string) error {
	what := "give it UnmarshalText instead"
	if c.has(t, textMarshaler, textUnmarshaler) {
		what = "wrap it in a type that has UnmarshalText only"
	}
	if embedded := c.embedded(t); embedded != nil {
		return fmt.Errorf("%s: %s reads JSON by itself, as the %s does that it embeds, which cannot be checked; "+
			"hold that in a field with a name, and give %s UnmarshalText only", path, english.A(t), embedded, t)
	}
	return fmt.Errorf("%s: %s reads JSON by itself, which cannot be checked; %s", path, english.A(t), what)
}

// embedded returns the embedded type from which a struct may have got its UnmarshalJSON,
// or nil.
func (c *Compiler) embedded(t reflect.Type) reflect.Type {
	if t.Kind() != reflect.Struct {
		return nil
	}
	for field := range t.Fields() {
		if field.Anonymous && c.has(field.Type, jsonMarshaler, jsonUnmarshaler) {
			return field.Type
		}
	}
	return nil
}

// has reports whether values of t have the method for the direction.
func (c *Compiler) has(t, out, in reflect.Type) bool {
	if c.direction == In {
		return reflect.PointerTo(t).Implements(in)
	}
	return t.Implements(out) || reflect.PointerTo(t).Implements(out)
}

func (c *Compiler) byKind(t *Type, path string, wrong *[]error) {
	switch t.Go.Kind() {
	case reflect.Bool:
		t.Kind = Bool
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		t.Kind, t.Bits = Int, t.Go.Bits()
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		t.Kind, t.Bits = Uint, t.Go.Bits()
	case reflect.Float32, reflect.Float64:
		t.Kind, t.Bits = Float, t.Go.Bits()
	case reflect.String:
		t.Kind = String
	case reflect.Pointer:
		t.Kind = Pointer
		t.Elem = c.compile(t.Go.Elem(), path, wrong)
		if t.Elem.Kind == Pointer || t.Elem.Kind == Opt {
			*wrong = append(*wrong, fmt.Errorf("%s: a pointer to %s is not supported; null has one meaning", path, english.A(t.Go.Elem())))
		}
	case reflect.Slice:
		if t.Go.Elem().Kind() == reflect.Uint8 && !c.has(t.Go.Elem(), jsonMarshaler, jsonUnmarshaler) && !c.has(t.Go.Elem(), textMarshaler, textUnmarshaler) {
			t.Kind = Bytes
			return
		}
		t.Kind = Slice
		t.Elem = c.compile(t.Go.Elem(), path+"[]", wrong)
	case reflect.Array:
		t.Kind, t.Len = Array, t.Go.Len()
		t.Elem = c.compile(t.Go.Elem(), path+"[]", wrong)
	case reflect.Map:
		t.Kind = Map
		if t.Go.Key().Kind() != reflect.String || c.has(t.Go.Key(), textMarshaler, textUnmarshaler) {
			*wrong = append(*wrong, fmt.Errorf("%s: the keys of a map must be strings, not %s", path, t.Go.Key()))
		}
		t.Elem = c.compile(t.Go.Elem(), path+"{}", wrong)
	case reflect.Struct:
		t.Kind = Struct
		c.fields(t, path, wrong)
	case reflect.Interface:
		*wrong = append(*wrong, fmt.Errorf("%s: %s is not supported; say what type it is, or json.RawMessage for any JSON", path, english.A(t.Go)))
	default:
		*wrong = append(*wrong, fmt.Errorf("%s: %s is not supported; leave it out by the tag json:\"-\"", path, english.A(t.Go)))
	}
}

// fields finds the fields of a struct as encoding/json does: the fields of embedded
// structs count as its own, unless a shallower field has the same name, or a field of
// the same depth has the name by a json tag and they do not. Fields that hide each other
// are an error. encoding/json ignores such fields.
func (c *Compiler) fields(t *Type, path string, wrong *[]error) {
	var all []candidate
	c.collect(t.Go, nil, "", path, &all, wrong, map[reflect.Type]bool{})
	if allUnexported(t.Go) {
		*wrong = append(*wrong, fmt.Errorf("%s: %s has no exported fields, so that it is always {}; give it MarshalText and UnmarshalText, or take another type", path, english.A(t.Go)))
	}
	for i := range all {
		switch same := rivals(all, i); {
		case len(same) == 1 && same[0] == i:
			t.Fields = append(t.Fields, all[i].field)
		case len(same) > 1 && same[0] == i: // said once
			*wrong = append(*wrong, hidden(all, same, path))
		}
	}
	slices.SortStableFunc(t.Fields, func(a, b *Field) int { return slices.Compare(a.Index, b.Index) })
}

// allUnexported reports whether a struct has fields and none of them can be in JSON. An
// example is a type made from time.Time, which has none of its methods.
func allUnexported(t reflect.Type) bool {
	for f := range t.Fields() {
		if f.IsExported() || f.Anonymous {
			return false
		}
	}
	return t.NumField() > 0
}

type candidate struct {
	field  *Field
	tagged bool // the json tag names it
}

// rivals returns the fields that have the name of field i: the shallowest ones, and of
// these only those with a json tag if any has one.
func rivals(all []candidate, i int) (best []int) {
	for j, other := range all {
		if other.field.Name != all[i].field.Name {
			continue
		}
		if len(best) > 0 {
			switch order := compare(other, all[best[0]]); {
			case order > 0:
				continue
			case order < 0:
				best = best[:0]
			}
		}
		best = append(best, j)
	}
	return best
}

// compare returns a negative number if a hides b, and 0 if they hide each other.
func compare(a, b candidate) int {
	switch depth := len(a.field.Index) - len(b.field.Index); {
	case depth != 0:
		return depth
	case a.tagged == b.tagged:
		return 0
	case a.tagged:
		return -1
	}
	return 1
}

// hidden returns the error for fields that hide each other.
func hidden(all []candidate, same []int, path string) error {
	var names []string
	for _, i := range same {
		names = append(names, all[i].field.GoName)
	}
	last := len(names) - 1
	return fmt.Errorf("%s: the fields %s and %s have the same name %q, so that none of them is seen; give them names of their own by json tags",
		path, strings.Join(names[:last], ", "), names[last], all[same[0]].field.Name)
}

func (c *Compiler) collect(t reflect.Type, index []int, prefix, path string, all *[]candidate, wrong *[]error, seen map[reflect.Type]bool) {
	if seen[t] {
		return // a struct that embeds itself through a pointer
	}
	seen[t] = true
	defer delete(seen, t)
	for i := range t.NumField() {
		f := t.Field(i)
		at, in := append(slices.Clone(index), i), path+"."+f.Name
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		embedded := embeddedStruct(f)
		switch {
		case f.Tag.Get("json") == "-", embedded == nil && !f.IsExported():
			c.checkSkipped(f, in, wrong)
		case embedded != nil && name == "":
			if c.checkEmbedded(f, embedded, in, wrong) {
				c.collect(embedded, at, prefix+f.Name+".", in, all, wrong, seen)
			}
		case !f.IsExported():
			*wrong = append(*wrong, fmt.Errorf("%s: embed it without a json name, or make it a field that is exported", in))
		default:
			if name != "" && !validName(name) {
				*wrong = append(*wrong, fmt.Errorf("%s: %q is no name that encoding/json takes; see its documentation of the json tag", in, name))
			}
			*all = append(*all, candidate{c.field(f, cmp.Or(name, f.Name), options, at, prefix, path, wrong), name != ""})
		}
	}
}

// embeddedStruct returns the struct that a field embeds, maybe by a pointer, or
// nil.
func embeddedStruct(f reflect.StructField) reflect.Type {
	t := f.Type
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if !f.Anonymous || t.Kind() != reflect.Struct {
		return nil
	}
	return t
}

// checkEmbedded reports whether the fields of an embedded struct become fields of the
// outer struct.
func (c *Compiler) checkEmbedded(f reflect.StructField, t reflect.Type, at string, wrong *[]error) bool {
	if c.direction == In && f.Tag.Get("validate")+f.Tag.Get("in") != "" {
		*wrong = append(*wrong, fmt.Errorf("%s: an embedded struct has no rules or place of its own; give them to its fields", at))
	}
	switch {
	case c.opaque(t):
		*wrong = append(*wrong, fmt.Errorf("%s: %s is not its fields; give it a name, as in %s %s", at, english.A(t), f.Name, f.Type))
	case f.Type.Kind() == reflect.Pointer:
		*wrong = append(*wrong, fmt.Errorf("%s: embed the struct itself, not a pointer to it", at))
	default:
		return true
	}
	return false
}

// checkSkipped reports tags of a field that is not in JSON.
func (c *Compiler) checkSkipped(f reflect.StructField, at string, wrong *[]error) {
	if rules := f.Tag.Get("validate"); c.direction == In && (f.Tag.Get("in") != "" || rules != "" && rules != "-") {
		*wrong = append(*wrong, fmt.Errorf("%s: it is no part of the input, so that its tags in and validate mean nothing; give it a json name, or remove them", at))
	}
}

// opaque reports whether a struct is one value and not an object with fields.
func (c *Compiler) opaque(t reflect.Type) bool {
	return t == timeType || IsOpt(t) || c.has(t, jsonMarshaler, jsonUnmarshaler) || c.has(t, textMarshaler, textUnmarshaler)
}

func (c *Compiler) field(f reflect.StructField, name, options string, index []int, prefix, path string, wrong *[]error) *Field {
	field := &Field{
		Name: name, GoName: prefix + f.Name, Index: index,
		Type:     c.compile(f.Type, path+"."+f.Name, wrong),
		Validate: f.Tag.Get("validate"), Doc: f.Tag.Get("doc"), Example: f.Tag.Get("example"),
		Accept: f.Tag.Get("accept"), MaxSize: f.Tag.Get("maxsize"), Format: f.Tag.Get("format"),
	}
	if field.Format != "" && !hasFormat(field.Type) {
		*wrong = append(*wrong, fmt.Errorf("%s.%s: the tag format is for strings and types with MarshalText, and this is %s", path, f.Name, english.A(f.Type)))
	}
	for option := range strings.SplitSeq(options, ",") {
		switch option {
		case "omitempty":
			field.OmitEmpty = true
		case "omitzero":
			field.OmitZero = true
		case "string":
			field.Quoted = canQuote(field.Type)
		case "":
		default:
			*wrong = append(*wrong, fmt.Errorf("%s.%s: the json option %q is not known", path, f.Name, option))
		}
	}
	if c.direction == Out && field.OmitEmpty && field.Type.Kind == Opt {
		*wrong = append(*wrong, fmt.Errorf("%s.%s: omitempty does nothing for an Opt; use omitzero", path, f.Name))
	}
	if c.direction == In {
		field.Default, field.HasDefault = f.Tag.Lookup("default")
	}
	optional := field.OmitEmpty || field.OmitZero || field.Type.Kind == Pointer || field.Type.Kind == Opt
	field.Required = !field.HasDefault && (!optional || c.direction == In && demands(field.Validate))
	c.place(field, f.Tag.Get("in"), path+"."+f.Name, wrong)
	if field.HasDefault && !canDefault(field) {
		*wrong = append(*wrong, fmt.Errorf("%s.%s: a default is for booleans, numbers, text and times that may be absent, without the json option string; "+
			"a pointer or an Opt says by itself that nothing was sent", path, f.Name))
	}
	return field
}

// demands reports whether a validate tag refuses a field that is absent. Decoders report
// such a field, because only they tell absent from null and from zero.
func demands(tag string) bool {
	for rule := range strings.SplitSeq(tag, ",") {
		switch {
		case rule == "required" || rule == "notempty":
			return true
		case rule == "dive" || strings.HasPrefix(rule, "omit") || strings.HasPrefix(rule, "skip_"):
			return false
		}
	}
	return false
}

// hasFormat reports whether the tag format is for a type.
func hasFormat(t *Type) bool {
	for t != nil && (t.Kind == Pointer || t.Kind == Opt) {
		t = t.Elem // nil: a type within itself, which is a struct
	}
	return t != nil && (t.Kind == String || t.Kind == Text && !IsUpload(t.Go))
}

// canDefault reports whether a field may be absent in its part of the request, and has
// values with the same text in all parts.
func canDefault(field *Field) bool {
	switch field.Type.Kind {
	case Bool, Int, Uint, Float, String, Time, Duration, Text:
		return !field.Quoted && field.Place != "path" && field.Place != "body"
	}
	return false
}

// canQuote reports whether the option string has an effect: on booleans, numbers,
// strings, and pointers to them that have no name of their own.
func canQuote(t *Type) bool {
	if t.Kind == Pointer && t.Go.Name() == "" {
		t = t.Elem
	}
	switch t.Kind {
	case Bool, Int, Uint, Float, String, Duration:
		return true
	}
	return t.Go == numberType
}

// place reads the tag that says where a field comes from.
func (c *Compiler) place(field *Field, tag, at string, wrong *[]error) {
	place, name, named := strings.Cut(tag, "=")
	if !named {
		name = field.Name
	}
	field.Place, field.PlaceName = place, name
	switch place {
	case "", "query":
		if name == "" {
			field.PlaceName = field.Name
		}
	case "path", "body":
		if named && c.direction == In {
			*wrong = append(*wrong, fmt.Errorf("%s: the tag in:%q has a name that means nothing; leave it out", at, tag))
		}
	case "header", "cookie":
		if c.direction == Out {
			return
		}
		if !isToken(name) {
			*wrong = append(*wrong, fmt.Errorf("%s: %q is no name of a %s", at, name, place))
		}
		if place == "header" && slices.ContainsFunc(takenHeaders, func(taken string) bool { return strings.EqualFold(taken, name) }) {
			*wrong = append(*wrong, fmt.Errorf("%s: the header %s never arrives: net/http takes it out of the headers", at, name))
		}
	default:
		*wrong = append(*wrong, fmt.Errorf("%s: the tag in:%q is not path, query, header, cookie or body", at, place))
	}
}

// takenHeaders are the headers that net/http removes from Request.Header.
var takenHeaders = []string{"Host", "Transfer-Encoding", "Trailer"}

// isToken reports whether a name is a token (RFC 9110, section 5.6.2).
func isToken(name string) bool {
	for _, c := range []byte(name) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return name != ""
}

// validName is encoding/json's rule for names in tags.
func validName(name string) bool {
	for _, r := range name {
		if !strings.ContainsRune("!#$%&()*+-./:;<=>?@[]^_{|}~ ", r) && !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			return false
		}
	}
	return name != ""
}

// schemaName returns a type's name without packages. The name of a generic type is
// followed by those of its arguments: Page[pkg.Note] is PageNote.
func schemaName(t reflect.Type) string {
	var b strings.Builder
	name := t.Name()
	for len(name) > 0 {
		end := strings.IndexAny(name, "[],*")
		if end < 0 {
			end = len(name)
		}
		part := name[:end]
		if i := strings.LastIndexAny(part, "./"); i >= 0 {
			part = part[i+1:]
		}
		if b.Len() > 0 && part != "" {
			part = strings.ToUpper(part[:1]) + part[1:]
		}
		if i := strings.IndexRune(part, '·'); i >= 0 { // a type in a function
			part = part[:i]
		}
		b.WriteString(part)
		name = name[min(end+1, len(name)):]
	}
	return b.String()
}
