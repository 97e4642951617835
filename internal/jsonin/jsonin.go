// Package jsonin decodes JSON into Go values, strictly. It refuses unknown and duplicate
// names, names in another case, null for fields that cannot be null, numbers that do not
// fit, missing fields, and data after the value. It reports all wrong fields at once.
//
// What is JSON is decided as by go-json-experiment/json, which is encoding/json/v2 from
// Go 1.27 on.
package jsonin

import (
	"bytes"
	"encoding"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"strconv"
	"strings"
	"sync"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/seed-215b9b7c/backend/internal/english"
	"github.com/seed-215b9b7c/backend/internal/params"
	"github.com/seed-215b9b7c/backend/internal/plan"
)

// SyntaxError says that the text is not JSON, or is ambiguous, such as an object with a
// name twice.
type SyntaxError struct {
	Offset  int64
	Message string
}

func (e *SyntaxError) Error() string { return fmt.Sprintf("%s at byte %d", e.Message, e.Offset) }

// FieldsError lists what is wrong with fields.
type FieldsError struct {
	Fields []FieldError
	// Causes has the errors of UnmarshalText, by the index of the field.
	Causes map[int]error
}

// FieldError says what is wrong with one field, without its value.
type FieldError struct {
	Pointer string // RFC 6901; "" for the whole
	Rule    string
	Message string
}

func (e *FieldsError) Error() string {
	if len(e.Fields) == 1 {
		return fmt.Sprintf("the field %s %s", e.Fields[0].Pointer, e.Fields[0].Message)
	}
	return fmt.Sprintf("%d fields are wrong, the first is %s, which %s", len(e.Fields), e.Fields[0].Pointer, e.Fields[0].Message)
}

// ErrEmpty is the SyntaxError of a text that has nothing but white space, or nothing at all.
var ErrEmpty error = &SyntaxError{Message: "there is nothing"}

// Errors of a text that is too large as a value.
var (
	// ErrMemory says that the value would take far more memory than its text: the struct
	// for a short {} may be large.
	ErrMemory = errors.New("its lists would take far more memory than its length")
	// ErrNoMemory says that the [Memory] had none left.
	ErrNoMemory = errors.New("there is no memory left for it")
)

// Memory is what values take. Use counts n bytes more, and reports false if there are not so
// many.
type Memory interface{ Use(n int64) bool }

const (
	maxDepth  = 64
	maxFields = 50 // errors that are reported
	maxName   = 50 // characters of an unknown name that are repeated

	// A value takes at most minMemory bytes and memoryFactor times the length of its text.
	minMemory    = 1 << 20
	memoryFactor = 10
)

// sizeOf returns what an object of n bytes takes, about.
func sizeOf(n int) int { return (n + 7) &^ 7 }

// Decoder decodes values of one type. It is safe for concurrent use.
type Decoder struct {
	read   decode
	states sync.Pool // of *state, for what they have allocated
}

// Options say what a [Decoder] accepts. The zero value is a struct with all its fields
// and no others.
type Options struct {
	// Use chooses the fields of the struct that may be in the JSON. The decoder does not
	// change the others. Nil means all.
	Use func(*plan.Field) bool
	// IgnoreUnknown skips members without a field, at every depth.
	IgnoreUnknown bool
}

// Compile returns the decoder for t.
func Compile(t *plan.Type, options Options) (*Decoder, error) {
	c := compiler{known: map[*plan.Type]*decode{}, ignoreUnknown: options.IgnoreUnknown}
	if options.Use != nil {
		if t.Kind != plan.Struct {
			return nil, fmt.Errorf("%s has no fields to choose from", english.A(t.Go))
		}
		return &Decoder{read: c.object(t, options.Use)}, nil
	}
	return &Decoder{read: c.compile(t)}, nil
}

// Decode reads data, which must be one JSON value, into a settable value of the
// decoder's type. The error is a *[SyntaxError], such as [ErrEmpty], a
// *[FieldsError], [ErrMemory] or [ErrNoMemory]; into is then partly filled. The value takes
// its memory from memory, unless that is nil.
func (d *Decoder) Decode(data []byte, into reflect.Value, memory Memory) error {
	if Empty(data) {
		return ErrEmpty
	}
	s, ok := d.states.Get().(*state)
	if !ok {
		s = &state{}
	}
	s.begin(data)
	s.shared = memory
	err := s.all(d.read, into)
	// The pool must not hold references to data or to decoded values. After a panic
	// in a type's UnmarshalText, the state does not go back to the pool.
	s.begin(nil)
	d.states.Put(s)
	return err
}

// Empty reports whether data has nothing but white space, or nothing at all.
func Empty(data []byte) bool { return len(bytes.TrimSpace(data)) == 0 }

// begin prepares the state to read data.
func (s *state) begin(data []byte) {
	s.scanner = scanner{text: data}
	s.judge.forget()
	clear(s.path[:cap(s.path)])
	s.path, s.depth, s.memory, s.wrong, s.causes = s.path[:0], 0, minMemory+memoryFactor*len(data), nil, nil
	s.shared = nil
}

// all reads the one value that the text must have.
func (s *state) all(read decode, into reflect.Value) error {
	err := read(s, into)
	if err == nil && !s.done() {
		err = errSyntax
	}
	switch {
	case err == errSyntax || err == io.EOF:
		return s.judge.explain(s.text)
	case err != nil:
		return err
	case len(s.wrong) > 0:
		return &FieldsError{s.wrong, s.causes}
	}
	return nil
}

// state is the state of one call of Decode.
type state struct {
	scanner
	judge  judge
	path   []string
	depth  int
	memory int // bytes that the value may still take
	shared Memory
	wrong  []FieldError
	causes map[int]error
}

// allocate counts n more bytes of the value.
func (s *state) allocate(n int) error {
	if s.memory -= n; s.memory < 0 {
		return ErrMemory
	}
	if s.shared != nil && !s.shared.Use(int64(n)) {
		return ErrNoMemory
	}
	return nil
}

// decode reads one value into v. It returns only errors that end the decoding.
type decode func(s *state, v reflect.Value) error

// fail records an error of the value at the current path.
func (s *state) fail(rule, message string) {
	if len(s.wrong) == maxFields {
		return
	}
	var pointer strings.Builder
	for _, name := range s.path {
		pointer.WriteByte('/')
		pointer.WriteString(pointerEscaper.Replace(name))
	}
	s.wrong = append(s.wrong, FieldError{pointer.String(), rule, message})
}

var pointerEscaper = strings.NewReplacer("~", "~0", "/", "~1")

// skip records an error of the next value and skips the value.
func (s *state) skip(rule, message string) error {
	s.fail(rule, message)
	return s.skipValue()
}

// skipValue skips the next value.
func (s *state) skipValue() error {
	_, err := s.judge.value(&s.scanner)
	return err
}

// expect reports whether the next value has the kind. If not, it records an error and
// skips the value.
func (s *state) expect(kind jsontext.Kind, message string) (bool, error) {
	switch next := s.kind(); {
	case next == kind, kind == 't' && next == 'f':
		return true, nil
	case next == 'n':
		return false, s.skip("null", "must not be null")
	}
	return false, s.skip("type", message)
}

// enter enters an object or an array.
func (s *state) enter() error {
	if s.depth++; s.depth > maxDepth {
		return &SyntaxError{int64(s.end), fmt.Sprintf("it is nested more than %d levels deep", maxDepth)}
	}
	s.read(1)
	return nil
}

// leave leaves an object or an array at its end.
func (s *state) leave() error {
	s.depth--
	s.read(1)
	return nil
}

// readString reads a string.
func (s *state) readString(message string) (text string, ok bool, err error) {
	if ok, err := s.expect('"', message); !ok {
		return "", false, err
	}
	value, err := s.string()
	if err != nil {
		return "", false, err
	}
	text = string(value)
	if err := s.allocate(sizeOf(len(text))); err != nil {
		return "", false, err
	}
	if strings.IndexByte(text, 0) >= 0 { // which PostgreSQL cannot store
		s.fail("format", "must not have NUL characters")
		return "", false, nil
	}
	return text, true, nil
}

// readNumber reads a number and returns its text, which is valid until the next read.
func (s *state) readNumber(message string) (text []byte, ok bool, err error) {
	if ok, err := s.expect('0', message); !ok {
		return nil, false, err
	}
	text, err = s.number()
	return text, err == nil, err
}

type compiler struct {
	known         map[*plan.Type]*decode // for recursive types: filled in later
	ignoreUnknown bool
}

func (c *compiler) compile(t *plan.Type) decode {
	if known := c.known[t]; known != nil && *known != nil {
		return *known
	} else if known != nil { // this is inside of it
		return func(s *state, v reflect.Value) error { return (*known)(s, v) }
	}
	var done decode
	c.known[t] = &done
	done = c.byKind(t)
	return done
}

func (c *compiler) byKind(t *plan.Type) decode {
	switch t.Kind {
	case plan.Bool:
		return readBool
	case plan.Int, plan.Duration:
		return readInt
	case plan.Uint:
		return readUint
	case plan.Float:
		return readFloat(t.Bits)
	case plan.String:
		return readString
	case plan.Bytes:
		return readBytes
	case plan.Time:
		return readTime
	case plan.Text:
		return readText
	case plan.Raw:
		return readRaw
	case plan.Struct:
		return c.object(t, nil)
	case plan.Slice:
		return slice(c.compile(t.Elem))
	case plan.Array:
		return array(c.compile(t.Elem), t.Len)
	case plan.Map:
		return mapping(c.compile(t.Elem))
	case plan.Pointer:
		return pointer(c.compile(t.Elem))
	case plan.Opt:
		return optional(c.compile(t.Elem))
	}
	panic(fmt.Sprintf("backend: the plan of %s has the kind %d, which is for output only", t.Go, t.Kind))
}

func readBool(s *state, v reflect.Value) error {
	if ok, err := s.expect('t', "must be true or false"); !ok {
		return err
	}
	if s.kind() == 'f' {
		v.SetBool(false)
		return s.literal("false")
	}
	v.SetBool(true)
	return s.literal("true")
}

const wantInteger = "must be a whole number"

func readInt(s *state, v reflect.Value) error {
	text, ok, err := s.readNumber(wantInteger)
	if !ok {
		return err
	}
	n, err := strconv.ParseInt(string(text), 10, 64)
	switch {
	case errors.Is(err, strconv.ErrRange), err == nil && v.OverflowInt(n):
		s.fail("range", "is too large or too small")
	case err != nil:
		s.fail("type", wantInteger)
	default:
		v.SetInt(n)
	}
	return nil
}

func readUint(s *state, v reflect.Value) error {
	text, ok, err := s.readNumber(wantInteger)
	if !ok {
		return err
	}
	n, err := strconv.ParseUint(string(text), 10, 64)
	switch {
	case errors.Is(err, strconv.ErrRange), err == nil && v.OverflowUint(n):
		s.fail("range", "is too large")
	case err != nil && text[0] == '-':
		s.fail("range", "must not be negative")
	case err != nil:
		s.fail("type", wantInteger)
	default:
		v.SetUint(n)
	}
	return nil
}

func readFloat(bits int) decode {
	return func(s *state, v reflect.Value) error {
		text, ok, err := s.readNumber("must be a number")
		if !ok {
			return err
		}
		f, err := strconv.ParseFloat(string(text), bits)
		if err != nil || math.IsInf(f, 0) {
			s.fail("range", "is too large or too small")
			return nil
		}
		v.SetFloat(f)
		return nil
	}
}

func readString(s *state, v reflect.Value) error {
	text, ok, err := s.readString("must be a string")
	if ok {
		v.SetString(text)
	}
	return err
}

func readBytes(s *state, v reflect.Value) error {
	text, ok, err := s.readString("must be a string in base64")
	if !ok {
		return err
	}
	data, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || strings.ContainsAny(text, "\r\n") {
		s.fail("format", "must be base64")
		return nil
	}
	v.SetBytes(data)
	return nil
}

func readTime(s *state, v reflect.Value) error {
	text, ok, err := s.readString("must be a time such as 2006-01-02T15:04:05Z")
	if !ok {
		return err
	}
	t, err := plan.ParseTime(text)
	if err != nil {
		s.fail("format", "must be a time such as 2006-01-02T15:04:05Z")
		return nil
	}
	v.Set(reflect.ValueOf(t))
	return nil
}

// readText calls UnmarshalText of the type. The error may hold the value, so the caller
// must not show it unless it knows that it may.
func readText(s *state, v reflect.Value) error {
	text, ok, err := s.readString("must be a string")
	if !ok {
		return err
	}
	if err := v.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(text)); err != nil {
		s.failBy(err, "format", "is not valid")
	}
	return nil
}

// failBy is fail with a cause.
func (s *state) failBy(cause error, rule, message string) {
	i := len(s.wrong)
	if s.fail(rule, message); i == len(s.wrong) { // there are too many
		return
	}
	if s.causes == nil {
		s.causes = map[int]error{}
	}
	s.causes[i] = cause
}

func readRaw(s *state, v reflect.Value) error {
	value, err := s.judge.value(&s.scanner)
	if err != nil {
		return err
	}
	if s.depth+nesting(value) > maxDepth {
		return &SyntaxError{int64(s.end), fmt.Sprintf("it is nested more than %d levels deep", maxDepth)}
	}
	if err := s.allocate(sizeOf(len(value))); err != nil {
		return err
	}
	v.Set(reflect.ValueOf(json.RawMessage(bytes.Clone(value))))
	return nil
}

// nesting returns how deeply a valid JSON value is nested.
func nesting(value []byte) (deepest int) {
	depth, inString := 0, false
	for i := 0; i < len(value); i++ {
		switch c := value[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			depth++
			deepest = max(deepest, depth)
		case c == '}' || c == ']':
			depth--
		}
	}
	return deepest
}

func slice(element decode) decode {
	return func(s *state, v reflect.Value) error {
		if ok, err := s.expect('[', "must be a list"); !ok {
			return err
		}
		if err := s.enter(); err != nil {
			return err
		}
		if s.kind() == ']' {
			v.Set(reflect.MakeSlice(v.Type(), 0, 0))
			return s.leave()
		}
		v.SetZero() // not into what is there already, which may be shared
		for i := 0; ; i++ {
			if more, err := s.more(i, ']'); err != nil {
				return err
			} else if !more {
				return s.leave()
			}
			if i == v.Cap() {
				more := max(i, 2) // at once what most lists need
				if err := s.allocate(more * int(v.Type().Elem().Size())); err != nil {
					return err
				}
				v.Grow(more)
			}
			v.SetLen(i + 1)
			v.Index(i).SetZero()
			s.path = append(s.path, strconv.Itoa(i))
			if err := element(s, v.Index(i)); err != nil {
				return err
			}
			s.path = s.path[:len(s.path)-1]
		}
	}
}

func array(element decode, length int) decode {
	message := fmt.Sprintf("must be a list of %d", length)
	return func(s *state, v reflect.Value) error {
		if ok, err := s.expect('[', message); !ok {
			return err
		}
		if err := s.enter(); err != nil {
			return err
		}
		n := 0
		for ; ; n++ {
			if more, err := s.more(n, ']'); err != nil {
				return err
			} else if !more {
				break
			}
			if n >= length {
				if err := s.skipValue(); err != nil {
					return err
				}
				continue
			}
			s.path = append(s.path, strconv.Itoa(n))
			if err := element(s, v.Index(n)); err != nil {
				return err
			}
			s.path = s.path[:len(s.path)-1]
		}
		if n != length {
			s.fail("len", message)
		}
		return s.leave()
	}
}

// A map takes mapSize bytes, and room for mapGroup entries once it has one. It then doubles
// whenever it is full.
const (
	mapSize  = 64
	mapGroup = 8
)

func mapping(element decode) decode {
	return func(s *state, v reflect.Value) error {
		if ok, err := s.expect('{', "must be an object"); !ok {
			return err
		}
		if err := s.enter(); err != nil {
			return err
		}
		if err := s.allocate(mapSize); err != nil {
			return err
		}
		v.Set(reflect.MakeMap(v.Type()))
		entry := int(v.Type().Key().Size() + v.Type().Elem().Size())
		for n := 0; ; n++ {
			if more, err := s.more(n, '}'); err != nil {
				return err
			} else if !more {
				return s.leave()
			}
			text, err := s.name()
			if err != nil {
				return err
			}
			if n == 0 || n >= mapGroup && n&(n-1) == 0 { // the map grows
				if err := s.allocate(max(n, mapGroup) * entry); err != nil {
					return err
				}
			}
			name := string(text)
			key := reflect.ValueOf(name).Convert(v.Type().Key())
			if v.MapIndex(key).IsValid() {
				return errSyntax
			}
			value := reflect.New(v.Type().Elem()).Elem()
			s.path = append(s.path, short(name))
			if strings.IndexByte(name, 0) >= 0 { // as in other strings
				s.fail("format", "must not have NUL characters in its name")
			}
			if err := element(s, value); err != nil {
				return err
			}
			s.path = s.path[:len(s.path)-1]
			v.SetMapIndex(key, value)
		}
	}
}

func pointer(element decode) decode {
	return func(s *state, v reflect.Value) error {
		if s.kind() == 'n' {
			v.SetZero()
			return s.skipValue()
		}
		if err := s.allocate(int(v.Type().Elem().Size())); err != nil {
			return err
		}
		v.Set(reflect.New(v.Type().Elem()))
		return element(s, v.Elem())
	}
}

func optional(element decode) decode {
	return func(s *state, v reflect.Value) error {
		v.SetZero()
		v.Field(plan.OptPresent).SetBool(true)
		if s.kind() == 'n' {
			v.Field(plan.OptNull).SetBool(true)
			return s.skipValue()
		}
		return element(s, v.Field(plan.OptValue))
	}
}

// short cuts a name that the client chose: errors repeat it, and there may be many errors
// below one name.
func short(name string) string {
	if len(name) <= maxName {
		return name
	}
	if runes := []rune(name); len(runes) > maxName {
		return string(runes[:maxName]) + "…"
	}
	return name
}

// member is a field of an object.
type member struct {
	name     string
	index    []int
	read     decode
	required bool
	absent   func(reflect.Value) error // sets its default; nil: it has none
}

func (c *compiler) object(t *plan.Type, use func(*plan.Field) bool) decode {
	var members []member
	byName := map[string]int{}
	for _, field := range t.Fields {
		if use != nil && !use(field) {
			continue
		}
		read := c.compile(field.Type)
		if field.Quoted {
			read = quoted(read)
		}
		byName[field.Name] = len(members)
		m := member{name: field.Name, index: field.Index, read: read, required: field.Required}
		if field.HasDefault {
			m.absent = defaultOf(field)
		}
		members = append(members, m)
	}
	return func(s *state, v reflect.Value) error {
		if ok, err := s.expect('{', "must be an object"); !ok {
			return err
		}
		if err := s.enter(); err != nil {
			return err
		}
		var few [32]bool
		seen := few[:0]
		if len(members) > len(few) {
			seen = make([]bool, 0, len(members))
		}
		seen = seen[:len(members)]
		var others map[string]bool
		for n := 0; ; n++ {
			if more, err := s.more(n, '}'); err != nil {
				return err
			} else if !more {
				break
			}
			name, err := s.name()
			if err != nil {
				return err
			}
			i, known := n, n < len(members) && members[n].name == string(name) // usually in order
			if !known {
				i, known = byName[string(name)]
			}
			if known && seen[i] || others[string(name)] {
				return errSyntax
			}
			if known {
				seen[i] = true
				err = s.member(&members[i], v)
			} else {
				if others == nil {
					others = map[string]bool{}
				}
				others[string(name)] = true
				err = s.other(string(name), c.ignoreUnknown)
			}
			if err != nil {
				return err
			}
		}
		for i := range members {
			if !seen[i] {
				s.absent(&members[i], v)
			}
		}
		return s.leave()
	}
}

// defaultOf returns a function that sets a field to its default. The function parses the
// default each time, because values of types with UnmarshalText may not be shared.
func defaultOf(field *plan.Field) func(reflect.Value) error {
	set, err := params.Compile(field.Type)
	if err != nil {
		panic(fmt.Sprintf("backend: the plan of %s has a default, which %s cannot have", field.GoName, english.A(field.Type.Go)))
	}
	text := []string{field.Default}
	return func(v reflect.Value) error { return set(text, v) }
}

// absent sets a member to its default, or records that it is missing.
func (s *state) absent(m *member, v reflect.Value) {
	defaulted := m.absent != nil && m.absent(v.FieldByIndex(m.index)) == nil
	if m.required && !defaulted {
		s.path = append(s.path, m.name)
		s.fail("required", "is missing")
		s.path = s.path[:len(s.path)-1]
	}
}

// member reads the value of a member.
func (s *state) member(m *member, v reflect.Value) error {
	s.path = append(s.path, m.name)
	for _, i := range m.index {
		v = v.Field(i)
	}
	err := m.read(s, v)
	s.path = s.path[:len(s.path)-1]
	return err
}

// other skips the value of a member without a field. It records an error, unless such members
// are ignored.
func (s *state) other(name string, ignore bool) error {
	if ignore {
		return s.skipValue()
	}
	s.path = append(s.path, short(name))
	err := s.skip("unknown", "is not a field of this request")
	s.path = s.path[:len(s.path)-1]
	return err
}

// quoted reads a value that is inside a string (the option string of encoding/json).
func quoted(read decode) decode {
	return func(s *state, v reflect.Value) error {
		if s.kind() == 'n' {
			return read(s, v)
		}
		text, ok, err := s.readString("must be in quotes")
		if !ok {
			return err
		}
		inner := state{scanner: scanner{text: []byte(text)}, path: s.path, memory: s.memory, shared: s.shared}
		err = read(&inner, v)
		switch {
		case err != nil && text != "" || !inner.done() || strings.TrimSpace(text) != text:
			s.fail("type", "must be in quotes")
		case len(inner.wrong) > 0:
			s.wrong = append(s.wrong, inner.wrong[:min(len(inner.wrong), maxFields-len(s.wrong))]...)
		}
		return nil
	}
}
