package backend

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/seed-215b9b7c/backend/internal/callsite"
	"github.com/seed-215b9b7c/backend/internal/openapi"
	"github.com/seed-215b9b7c/backend/internal/plan"
)

// This file makes operations of functions, and says what is wrong with them.
// Their options are in options.go, and how they are called is in call.go.

// Operation is one registered function: its name, who may call it, what it takes
// and returns, and how it is called. It is made by [Query], [Mutation] and
// [Relation], does nothing by itself, and is added to a [Logic]. An Operation
// must not be changed and may be added to any number of them.
type Operation struct {
	name   string
	kind   operationKind
	place  string // where it was registered: file:line
	access Access

	in, out reflect.Type
	inPlan  *plan.Type
	outPlan *plan.Type
	newIn   func() any                                     // a *In
	run     func(ctx context.Context, in any) (any, error) // from a *In to a *Out

	options operationOptions
	wrong   []error

	mistyped bool // one of its types is wrong, as wrong says
}

type operationKind uint8

const (
	isQuery operationKind = iota
	isMutation
	isRelation
)

func (k operationKind) String() string {
	return [...]string{"query", "mutation", "relation"}[k]
}

// Name returns the name it was registered with.
func (o *Operation) Name() string { return o.name }

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
// start, with the same input (see [DB.Tx]). So the function must not change what
// its input refers to, the elements of slices and maps and what pointers point
// to: the second run would see what the first one left there, although the
// database has forgotten it. Changing fields of the input itself is safe, since
// each run has a copy of its own; slices.Clone and maps.Clone copy the rest.
//
// Otherwise it is as [Query].
func Mutation[In, Out any](name string, access Access, f func(ctx context.Context, in In) (Out, error), options ...Option) *Operation {
	return newOperation(isMutation, name, access, f, options)
}

func newOperation[In, Out any](kind operationKind, name string, access Access, f func(context.Context, In) (Out, error), options []Option) *Operation {
	o := &Operation{
		name: name, kind: kind, place: callsite.Caller(2), access: access,
		in: reflect.TypeFor[In](), out: reflect.TypeFor[Out](),
		newIn: func() any { return new(In) },
		run: func(ctx context.Context, in any) (any, error) {
			out, err := f(ctx, *in.(*In))
			if page, ok := any(&out).(interface{ fill() }); ok {
				page.fill()
			} else if kind == isRelation {
				fillEach(reflect.ValueOf(&out).Elem())
			}
			return &out, err
		},
	}
	o.options = defaultOptions(kind)
	for _, option := range options {
		if option == nil {
			o.fault("an option is nil")
			continue
		}
		option.applyTo(o)
	}
	if f == nil {
		o.fault("the function is nil")
	}
	o.check()
	return o
}

// fault notes what is wrong with the registration.
func (o *Operation) fault(format string, args ...any) {
	o.wrong = append(o.wrong, fmt.Errorf(format, args...))
}

// check compiles the types and notes everything that makes no sense.
func (o *Operation) check() {
	if o.kind == isRelation {
		o.checkName("_")
		o.checkRelation()
		o.options.checkDoors(o)
		return
	}
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
	o.options.check(o)
}

// compile describes the type of the input or the output.
func (o *Operation) compile(direction plan.Direction, t reflect.Type, what string) *plan.Type {
	compiled, err := plan.NewCompiler(direction).Compile(t)
	if o.mistyped = o.mistyped || err != nil; err == nil {
		err = openapi.CheckExamples(compiled, direction == plan.In)
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

// checkName notes a name that protocols cannot have. others are characters that
// it may have besides letters and digits.
func (o *Operation) checkName(others string) {
	first := o.name != "" && o.name[0] >= 'a' && o.name[0] <= 'z'
	odd := func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune(others, c)
	}
	if !first || strings.ContainsFunc(o.name, odd) {
		o.fault("the name must begin with a lower-case letter and go on with letters and digits%s", strings.ReplaceAll(others, "_", ", or underscores"))
	}
}

// report returns an error that says everything that is wrong, or nil.
func (o *Operation) report(wrong []error) error {
	if len(wrong) == 0 {
		return nil
	}
	var lines []string
	for _, err := range wrong {
		for line := range strings.SplitSeq(err.Error(), "\n") {
			lines = append(lines, "\n\t"+line)
		}
	}
	return errors.New(fmt.Sprintf("%s %q, registered at %s:", o.kind, o.title(), o.place) + strings.Join(lines, ""))
}
