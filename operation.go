package backend

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/seed-215b9b7c/backend/internal/callsite"
	"github.com/seed-215b9b7c/backend/internal/fingerprint"
	"github.com/seed-215b9b7c/backend/internal/jsonin"
	"github.com/seed-215b9b7c/backend/internal/jsonout"
	"github.com/seed-215b9b7c/backend/internal/jsonschema"
	"github.com/seed-215b9b7c/backend/internal/plan"
)

// This file makes operations of functions, and says what is wrong with them.
// Their options are in options.go, and how they are called is in call.go.

// Definition is what [Logic.Add] takes: an *[Operation], made by [Query] or
// [Mutation], or a *[RelationField], made by [Relation]. It does nothing by itself,
// must not be changed, and may be added to any number of Logics.
type Definition interface{ defined() *definition }

// Operation is one registered function: its name, who may call it, what it takes
// and returns, and how it is called. It is made by [Query] and [Mutation].
type Operation struct {
	definition
	access  Access
	inPlan  *plan.Type
	outPlan *plan.Type
	newIn   func() any                                     // a *In
	run     func(ctx context.Context, in any) (any, error) // from a *In to a *Out
	whole   func() (*jsonin.Decoder, error)                // of the input as one object
	written func() jsonout.Encoder                         // of the output
}

// definition is what operations and relations have in common.
type definition struct {
	name     string
	kind     kind
	place    string // where it was made: file:line
	in, out  reflect.Type
	settings settings
	wrong    []error
	mistyped bool // one of its types is wrong, as wrong says
}

type kind uint8

const (
	isQuery kind = iota
	isMutation
	isRelation
)

func (k kind) String() string {
	return [...]string{"query", "mutation", "relation"}[k]
}

// define returns the definition of a function that was registered at a place.
func define[In, Out any](kind kind, name, place string, f func(context.Context, In) (Out, error), options []Option) definition {
	d := definition{
		name: name, kind: kind, place: place,
		in: reflect.TypeFor[In](), out: reflect.TypeFor[Out](), settings: defaultSettings(kind),
	}
	for _, option := range options {
		if option == nil {
			d.fault("an option is nil")
			continue
		}
		option.applyTo(&d)
	}
	if f == nil {
		d.fault("the function is nil")
	}
	return d
}

// fault notes what is wrong with the definition.
func (d *definition) fault(format string, args ...any) {
	d.wrong = append(d.wrong, fmt.Errorf(format, args...))
}

// checkName notes a name that protocols cannot have. others are characters that
// it may have besides letters and digits.
func (d *definition) checkName(others string) {
	first := d.name != "" && d.name[0] >= 'a' && d.name[0] <= 'z'
	odd := func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune(others, c)
	}
	if !first || strings.ContainsFunc(d.name, odd) {
		d.fault("the name must begin with a lower-case letter and go on with letters and digits%s", strings.ReplaceAll(others, "_", ", or underscores"))
	}
}

// report returns an error that says everything that is wrong, or nil. title is
// what the definition is called.
func (d *definition) report(title string, wrong []error) error {
	if len(wrong) == 0 {
		return nil
	}
	var lines []string
	for _, err := range wrong {
		for line := range strings.SplitSeq(err.Error(), "\n") {
			lines = append(lines, "\n\t"+line)
		}
	}
	return errors.New(fmt.Sprintf("%s %q, registered at %s:", d.kind, title, d.place) + strings.Join(lines, ""))
}

// Query registers a function that only reads. It runs outside of any
// transaction unless [Tx] says otherwise, so its queries may each see another
// state of the database.
//
// name is what it is called in documentation and by protocols that call by
// name: a Go identifier beginning with a lower-case letter. access says who may
// call it. In is a struct, or [None]; its fields are the input, by their json
// tags:
//
//   - A field that the route names comes from the path; the others come from
//     the query string, or for a mutation from the JSON body. The tags
//     in:"header=Name", in:"cookie=name", in:"query" and in:"body" say otherwise.
//   - A field without omitempty, omitzero or a default is required; zero, false
//     and "" are values like others. Pointers and [Opt] are not required, and may
//     be null.
//   - The tag validate has the rules of github.com/go-playground/validator. Where
//     it has rules for the elements of a list or a map, it must also say how many
//     there may be: validate:"max=10,dive,max=30". The rules of a pointer or an
//     [Opt] begin with omitempty, which lets it be absent or null, or with
//     required. Rules that compare two fields are for numbers and times, and
//     eqfield and nefield for text, too.
//   - A method Validate(ctx) error on In has the rules that need more; those of
//     types within In are not called. It is called once no tag is broken. What it
//     returns for the client to read is an [*Error], such as that of
//     [InvalidField], or several of these joined; any other error is [Internal],
//     and only logged.
//   - The tag default says what a boolean, number, text or time is where it is
//     absent, default:"20", in an object that is there. It is as an example is,
//     and [Call] knows nothing of it.
//   - The tags doc and example are for documentation. An example is as the field
//     is in a request: as it stands for what is a string there (text, times, bytes
//     in base64, an [ID]), and JSON for all else. It must keep the field's rules.
//
// Out is a struct, a pointer to one, a slice, a map with string keys, a scalar, or
// [None]; a list that goes on is a [Page].
//
// Fields may be of these types:
//
//   - booleans, numbers, strings, and types made of them; an [ID] is a string on
//     the wire, and so are types with MarshalText and UnmarshalText. What the
//     latter returns for the client to read is an [*Error], such as
//     Errorf(Invalid, "must be an amount such as 12.50");
//   - time.Time as RFC 3339 has it, time.Duration as a whole number of
//     nanoseconds; a day is a string with validate:"datetime=2006-01-02";
//   - []byte in base64, and in paths, query strings, headers and cookies in
//     base64url without padding;
//   - slices, arrays, maps with string keys, structs, pointers to these, and types
//     that hold themselves; the fields of an embedded struct are those of the
//     outer one, and it may not be a pointer;
//   - json.RawMessage for any JSON.
//
// An input has no types that read JSON by themselves, with UnmarshalJSON.
//
// Paths, query strings, headers and cookies hold scalars, and slices of them: a
// query parameter is repeated, and commas separate the elements of a header.
//
// What makes no sense (a type that is not supported, a name that is there twice)
// panics when the operation is added, with everything that is wrong at once and
// where it was registered. Routes are looked at by [Logic.REST].
func Query[In, Out any](name string, access Access, f func(ctx context.Context, in In) (Out, error), options ...Option) *Operation {
	return newOperation(isQuery, name, access, f, options)
}

// Mutation registers a function that may write. It runs in a read-write
// transaction unless [Tx] says otherwise: an error, a panic, the end of its time
// or a client that goes away undoes everything it did.
//
// A transaction that lost against another one runs the function again from the
// start (see [DB.Tx]), with an input that was decoded anew.
//
// Otherwise it is as [Query].
func Mutation[In, Out any](name string, access Access, f func(ctx context.Context, in In) (Out, error), options ...Option) *Operation {
	return newOperation(isMutation, name, access, f, options)
}

func newOperation[In, Out any](kind kind, name string, access Access, f func(context.Context, In) (Out, error), options []Option) *Operation {
	o := &Operation{
		definition: define(kind, name, callsite.Caller(2), f, options), access: access,
		newIn: func() any { return new(In) },
		run: func(ctx context.Context, in any) (any, error) {
			out, err := f(ctx, *in.(*In))
			fillPage(&out)
			return &out, err
		},
	}
	o.whole = sync.OnceValues(func() (*jsonin.Decoder, error) { return jsonin.Compile(o.inPlan, nil) })
	o.written = sync.OnceValue(func() jsonout.Encoder { return jsonout.Compile(o.outPlan) })
	o.check()
	return o
}

func (o *Operation) defined() *definition { return &o.definition }

// Name returns the name that the operation was registered with.
func (o *Operation) Name() string { return o.name }

// Mutates reports whether the operation is a [Mutation], which may write.
func (o *Operation) Mutates() bool { return o.kind == isMutation }

// Access returns the rule that says who may call the operation.
func (o *Operation) Access() Access { return o.access }

// Doc returns what [Doc] said, or "".
func (o *Operation) Doc() string { return o.settings.doc }

// In returns the type of the input.
func (o *Operation) In() reflect.Type { return o.in }

// Out returns the type of the output.
func (o *Operation) Out() reflect.Type { return o.out }

// Settings returns what [ForDoor] attached for a door, in the order of the
// options.
func (o *Operation) Settings(door Door) []any { return slices.Clone(o.settings.forDoor[door]) }

// check compiles the types and notes everything that makes no sense.
func (o *Operation) check() {
	o.checkName("")
	if o.access == nil {
		o.fault("the access rule is nil; say who may call it, such as backend.SignedIn")
	}
	o.inPlan = o.compile(plan.In, o.in, "its input")
	if o.inPlan.Kind != plan.Struct {
		o.fault("its input is a %s; it must be a struct, or backend.None", o.in)
	}
	o.checkPlaces()
	o.checkValidate()
	o.outPlan = o.compile(plan.Out, o.out, "its output")
	if o.settings.key != keyIgnored {
		checkReplay(o)
	}
	o.settings.check(&o.definition)
}

// compile describes the type of the input or the output.
func (o *Operation) compile(direction plan.Direction, t reflect.Type, what string) *plan.Type {
	compiled, err := plan.NewCompiler(direction).Compile(t)
	if o.mistyped = o.mistyped || err != nil; err == nil {
		err = jsonschema.CheckExamples(compiled, direction)
	}
	if err != nil {
		o.fault("%s: %w", what, err)
	}
	return compiled
}

// checkPlaces notes tags in of fields that are within others: their values come
// with those, from a body that anybody can write.
func (o *Operation) checkPlaces() {
	o.inPlan.Walk(func(t *plan.Type) {
		for _, field := range t.Fields {
			if t != o.inPlan && field.Place != "" {
				o.fault("its input: %s.%s: the tag in is for fields of the input itself, and this one is within another", t.Go, field.GoName)
			}
		}
	})
}

// checkValidate notes a method Validate of the input that looks like the one that
// is called, and is not.
func (o *Operation) checkValidate() {
	method := reflect.New(o.in).MethodByName("Validate")
	if want := reflect.TypeFor[func(context.Context) error](); method.IsValid() && method.Type() != want {
		o.fault("the method Validate of %s is a %s, which is never called; make it a %s", o.in, method.Type(), want)
	}
}

// checkReplay notes types with which inputs cannot be compared, or answers not
// be read again.
func checkReplay(o *Operation) {
	for _, t := range fingerprint.Incomparable(o.inPlan) {
		o.fault("Idempotent: inputs with a %s cannot be compared; give it MarshalText", t)
	}
	for _, t := range o.outPlan.Unreadable() {
		o.fault("Idempotent: a stored answer with a %s cannot be read again; give it the method that reads what it writes", t)
	}
}
