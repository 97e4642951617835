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
	"github.com/seed-215b9b7c/backend/internal/english"
	"github.com/seed-215b9b7c/backend/internal/fingerprint"
	"github.com/seed-215b9b7c/backend/internal/form"
	"github.com/seed-215b9b7c/backend/internal/jsonin"
	"github.com/seed-215b9b7c/backend/internal/jsonout"
	"github.com/seed-215b9b7c/backend/internal/jsonschema"
	"github.com/seed-215b9b7c/backend/internal/plan"
)

// This file makes operations from functions, and checks them. Their options are in
// options.go, and their calls are in call.go.

// Definition is an argument of [Logic.Add]: an *[Operation], made by [Query] or
// [Mutation], or a *[RelationField], made by [Relation]. It must not be changed, and
// may be added to any number of Logics.
type Definition interface{ defined() *definition }

// Operation is one registered function with its name, its access rule, the types of
// its input and output, and its options. [Query] and [Mutation] make one.
type Operation struct {
	definition
	access  Access
	inPlan  *plan.Type
	outPlan *plan.Type
	newIn   func() any                                     // returns a *In
	run     func(ctx context.Context, in any) (any, error) // takes a *In, returns a *Out
	decoder func() (*jsonin.Decoder, error)                // decodes the input from one object
	encoder func() jsonout.Encoder                         // encodes the output
}

// definition is what operations and relations have in common.
type definition struct {
	name     string
	kind     kind
	place    string // file:line of the code that made it
	in, out  reflect.Type
	settings settings
	wrong    []error
	mistyped bool // one of its types is not supported; wrong has the error
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

// define returns the definition of a function. place is the file:line of the code that
// made it.
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

// fault records a mistake in the definition.
func (d *definition) fault(format string, args ...any) {
	d.wrong = append(d.wrong, fmt.Errorf(format, args...))
}

// checkName checks that protocols can use the name. others are characters that it may
// have besides letters and digits.
func (d *definition) checkName(others string) {
	first := d.name != "" && d.name[0] >= 'a' && d.name[0] <= 'z'
	odd := func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune(others, c)
	}
	if !first || strings.ContainsFunc(d.name, odd) {
		d.fault("the name must begin with a lower-case letter and continue with letters and digits%s", strings.ReplaceAll(others, "_", ", or underscores"))
	}
}

// report returns one error with all mistakes, or nil if there are none. title is the
// name of the definition in the error.
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

// Query makes an operation from a function that only reads. It runs outside of any
// transaction unless it has the option [Tx], so each of its statements may see another
// state of the database.
//
// name is the name of the operation in protocols and documentation. It consists of
// letters and digits, and begins with a lower-case letter. access says who may call the
// operation. In is a struct, or [None]; its fields are the input. Out is a struct, a
// pointer to a struct, a slice, a map with string keys, a scalar, or None. A list with
// several pages is a [Page]. Over REST it can be a [File] or a [Redirect]. The sections
// Inputs and Types of the package documentation say where the fields of an input come from,
// which rules their tags have, and which types they may have.
//
// A mistake, such as a type that is not supported or a name that is used twice, panics
// when the operation is added to a [Logic]. The message has all mistakes, and the file
// and line where each operation was made. [Logic.REST] reports mistakes in routes.
func Query[In, Out any](name string, access Access, f func(ctx context.Context, in In) (Out, error), options ...Option) *Operation {
	return newOperation(isQuery, name, access, f, options)
}

// Mutation makes an operation from a function that may write. It runs in a read-write
// transaction, if the Logic has a database, unless it has the option [Tx] or
// [OutsideTx]. An error, a panic, the end of the deadline, and a client that goes away
// each undo everything that the function did in the transaction.
//
// If the transaction loses against another one, the function runs again from the
// start, with an input that is decoded again; see [DB.Tx]. The arguments are those of
// [Query].
//
// The transaction begins before the function is called, and ends after its output is
// encoded. Until then it holds a connection, on SQLite the only one that writes, and the
// rows that it has changed. Slow work, such as hashing a password or calling another
// service, does not belong into it. Give such a mutation the option OutsideTx: its
// function does the slow work first, and then calls DB.Tx for what it writes. What shall
// happen only after a commit, such as sending a mail, is for [AfterCommit].
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
	o.decoder = sync.OnceValues(func() (*jsonin.Decoder, error) {
		return jsonin.Compile(o.inPlan, jsonin.Options{IgnoreUnknown: o.settings.ignoreUnknown})
	})
	o.encoder = sync.OnceValue(func() jsonout.Encoder { return jsonout.Compile(o.outPlan) })
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

// Doc returns the text of the option [Doc], or "" if there is none.
func (o *Operation) Doc() string { return o.settings.doc }

// In returns the type of the input.
func (o *Operation) In() reflect.Type { return o.in }

// Out returns the type of the output.
func (o *Operation) Out() reflect.Type { return o.out }

// Settings returns what [ForDoor] attached for a door, in the order of the
// options.
func (o *Operation) Settings(door Door) []any { return slices.Clone(o.settings.forDoor[door]) }

// check compiles the types and records all mistakes.
func (o *Operation) check() {
	o.checkName("")
	if o.access == nil {
		o.fault("the access rule is nil; say who may call it, such as backend.SignedIn")
	}
	o.inPlan = o.compile(plan.In, o.in, "its input")
	if o.inPlan.Kind != plan.Struct {
		o.fault("its input is %s; it must be a struct, or backend.None", english.A(o.in))
	}
	o.checkNestedTags()
	o.checkUploads()
	o.checkForeignTags()
	o.checkValidate()
	o.outPlan = o.compileOut()
	if o.settings.key != keyIgnored {
		checkReplay(o)
	}
	o.settings.check(&o.definition)
}

// compileOut describes the type of the output. A File, which is no JSON, is described as
// None.
func (o *Operation) compileOut() *plan.Type {
	if !isContent(o.out) {
		if len(o.settings.produces) > 0 {
			o.fault("Produces is for operations that return a backend.File, but the output is %s", english.A(o.out))
		}
		compiled := o.compile(plan.Out, o.out, "its output")
		compiled.Walk(func(t *plan.Type) {
			if isContent(t.Go) || plan.IsUpload(t.Go) {
				o.fault("its output: %s is no JSON; return it by itself, from an operation of its own", english.A(t.Go))
			}
		})
		return compiled
	}
	o.settings.doors.restrict(&o.definition, english.A(o.out))
	if o.out != reflect.TypeFor[File]() {
		return o.compile(plan.Out, o.out, "its output")
	}
	if o.settings.key != keyIgnored {
		o.fault("Idempotent: a backend.File cannot be stored")
	}
	return o.compile(plan.Out, reflect.TypeFor[None](), "its output")
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

// checkNestedTags records tags in of fields within other fields. Their values come with
// the outer field, so the tag would have no effect: a field meant for a header could be
// set in the body.
func (o *Operation) checkNestedTags() {
	o.inPlan.Walk(func(t *plan.Type) {
		for _, field := range t.Fields {
			if t != o.inPlan && field.Place != "" {
				o.fault("its input: %s.%s: the tag in is for fields of the input itself, but this field is within another", t.Go, field.GoName)
			}
		}
	})
}

// checkUploads records files where no form has them, and limits that are not those of files.
func (o *Operation) checkUploads() {
	if o.mistyped { // a type may be a pointer to itself
		return
	}
	largest, all := int64(0), int64(0)
	o.inPlan.Walk(func(t *plan.Type) {
		for _, field := range t.Fields {
			accepted, isFile, err := filesOf(field)
			largest, all = max(largest, accepted.Size), min(all+roomOf(accepted), maxRoom)
			switch {
			case err != nil:
				o.fault("its input: field %s: %w", field.GoName, err)
			case isFile && t != o.inPlan:
				o.fault("its input: %s.%s: a backend.Upload is a field of the input itself, but this field is within another", t.Go, field.GoName)
			case isFile && !o.settings.form:
				o.fault("its input: field %s: files come with a form: give the operation the option Form", field.GoName)
			case isFile:
				o.settings.doors.restrict(&o.definition, "a backend.Upload")
			}
		}
	})
	o.limitBody(largest, all)
}

// limitBody sets the default of MaxBody for files that have so many bytes, the largest and
// all of them.
func (o *Operation) limitBody(largest, all int64) {
	switch most := o.settings.maxBody; {
	case most == 0:
		o.settings.maxBody = 1<<20 + all
	case most <= largest:
		o.fault("MaxBody(%d) is the limit of the whole form, and does not hold a file with the maxsize %s; make it larger, or leave it out", most, form.Bytes(largest))
	}
}

// checkForeignTags records tags of other packages that this one does not read: rules that
// would never be checked, and names that clients would send in vain.
func (o *Operation) checkForeignTags() {
	if o.mistyped {
		return
	}
	o.inPlan.Walk(func(t *plan.Type) {
		for _, field := range t.Fields {
			tag := t.Go.FieldByIndex(field.Index).Tag
			if rules := tag.Get("binding"); rules != "" && field.Validate == "" {
				o.fault("its input: field %s: the tag binding:%q is not read: write validate:%q", field.GoName, rules, rules)
			}
			for _, key := range []string{"form", "query", "param", "uri", "path", "schema"} {
				if name, _, _ := strings.Cut(tag.Get(key), ","); name != "" && name != "-" && name != field.Name {
					o.fault("its input: field %s: the tag %s:%q is not read, and the field is called %s: write json:%q", field.GoName, key, name, field.Name, name)
				}
			}
			if name := tag.Get("header"); name != "" && field.Place != "header" {
				o.fault("its input: field %s: the tag header:%q is not read: write in:\"header=%s\"", field.GoName, name, name)
			}
		}
	})
}

// checkValidate records a method Validate of the input with another signature, which
// would not be called.
func (o *Operation) checkValidate() {
	method := reflect.New(o.in).MethodByName("Validate")
	if want := reflect.TypeFor[func(context.Context) error](); method.IsValid() && method.Type() != want {
		o.fault("the method Validate of %s is a %s, which is never called; make it a %s", o.in, method.Type(), want)
	}
}

// checkReplay records types of inputs that cannot be compared, and types of outputs that
// cannot be stored and read again.
func checkReplay(o *Operation) {
	for _, t := range fingerprint.Incomparable(o.inPlan) {
		o.fault("Idempotent: inputs with %s cannot be compared; give it MarshalText", english.A(t))
	}
	for _, t := range o.outPlan.Unreadable() {
		o.fault("Idempotent: a stored output with %s cannot be read again; give it the method that reads what it writes", english.A(t))
	}
}
