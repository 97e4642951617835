package schematest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"regexp"
	"strconv"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend/internal/jsonin"
	"github.com/seed-215b9b7c/backend/internal/jsonout"
	ours "github.com/seed-215b9b7c/backend/internal/jsonschema"
	"github.com/seed-215b9b7c/backend/internal/openapi"
	"github.com/seed-215b9b7c/backend/internal/plan"
	"github.com/seed-215b9b7c/backend/internal/validation"
)

// seed and rounds are the same in each run unless SCHEMA_SEED and SCHEMA_ROUNDS
// say otherwise.
func seed() uint64 { return fromEnvironment("SCHEMA_SEED", 1) }
func rounds() int  { return int(fromEnvironment("SCHEMA_ROUNDS", 400)) }

func fromEnvironment(name string, otherwise uint64) uint64 {
	if n, err := strconv.ParseUint(os.Getenv(name), 10, 64); err == nil {
		return n
	}
	return otherwise
}

// random returns the numbers of a test.
func random(t *testing.T) *rand.Rand {
	t.Helper()
	t.Logf("SCHEMA_SEED=%d SCHEMA_ROUNDS=%d", seed(), rounds())
	return rand.New(rand.NewPCG(seed(), 0))
}

func typeNames() *ours.Names { return ours.NewNames(openapi.Problem) }

// schemaAlone returns the schema of a type as a document of its own.
func schemaAlone(t *testing.T, of *plan.Type, direction plan.Direction) *jsonschema.Schema {
	t.Helper()
	text, err := ours.Document(of, direction, false)
	require.NoError(t, err)
	read, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	require.NoError(t, err)
	c := jsonschema.NewCompiler()
	require.NoError(t, c.AddResource("test:schema.json", read))
	schema, err := c.Compile("test:schema.json")
	require.NoError(t, err, "%s", text)
	return schema
}

// schemaAt returns the schema that stands somewhere in a description.
func schemaAt(t *testing.T, op openapi.Operation, at string) (*jsonschema.Schema, []byte) {
	t.Helper()
	op.ID, op.Method, op.Path, op.Status = "op", "post", "/op", 200
	document := openapi.New(openapi.Info{}, typeNames(), nil)
	document.Add(op)
	text, err := json.Marshal(document)
	require.NoError(t, err)
	read, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	require.NoError(t, err)
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	require.NoError(t, c.AddResource("test:openapi.json", read))
	schema, err := c.Compile("test:openapi.json#/paths/~1op/post/" + at)
	require.NoError(t, err, "%s", text)
	var shown struct {
		Components struct{ Schemas map[string]json.RawMessage }
	}
	require.NoError(t, json.Unmarshal(text, &shown))
	delete(shown.Components.Schemas, "Problem")
	text, err = json.Marshal(shown.Components.Schemas)
	require.NoError(t, err)
	return schema, text
}

// refusal is a reason why an input was not taken.
type refusal struct {
	pointer, rule, message string
	late                   bool // by validation
}

// input is what takes inputs of a type.
type input struct {
	of        *plan.Type
	decoder   *jsonin.Decoder
	validator *validation.Validator
	encoder   jsonout.Encoder
	schema    *jsonschema.Schema
	alone     *jsonschema.Schema // the same, outside of a description
	text      []byte             // of the description's schemas
	said      map[string]bool
}

// newInput returns nil for types that cannot be registered.
func newInput(t *testing.T, of reflect.Type) *input {
	t.Helper()
	described, err := plan.NewCompiler(plan.In).Compile(of)
	if err != nil {
		return nil
	}
	in := &input{of: described, said: map[string]bool{}}
	if in.validator, err = validation.Compile(described); err != nil {
		return nil
	}
	in.encoder = jsonout.Compile(described)
	in.decoder, err = jsonin.Compile(described, jsonin.Options{})
	require.NoError(t, err)
	in.schema, in.text = schemaAt(t, openapi.Operation{Body: described}, "requestBody/content/application~1json/schema")
	in.alone = schemaAlone(t, described, plan.In)
	return in
}

// refusals returns why a document is not taken.
func (in *input) refusals(document []byte) (all []refusal) {
	into := reflect.New(in.of.Go)
	err := in.decoder.Decode(document, into.Elem(), nil)
	if wrong, ok := errors.AsType[*jsonin.FieldsError](err); ok {
		for _, field := range wrong.Fields {
			all = append(all, refusal{field.Pointer, field.Rule, field.Message, false})
		}
		return all
	}
	if err != nil {
		return []refusal{{"", "syntax", err.Error(), false}}
	}
	for _, field := range in.validator.Validate(context.Background(), into.Interface()) {
		all = append(all, refusal{field.Pointer, field.Rule, field.Message, true})
	}
	return all
}

// check compares what the schema says of a document with whether it is taken, and
// returns that.
func (in *input) check(t *testing.T, document []byte) (taken bool) {
	t.Helper()
	instance, err := jsonschema.UnmarshalJSON(bytes.NewReader(document))
	require.NoError(t, err)
	said, refused := in.schema.Validate(instance), in.refusals(document)
	require.Equal(t, said == nil, in.alone.Validate(instance) == nil, "%s: the schema by itself says something else of %s", in.of.Go, document)
	switch {
	case said == nil:
		for _, reason := range refused {
			if !in.mayBeUnsaid(reason, document) {
				in.complain(t, "allows what is refused", fmt.Sprintf("%s %s (%s)", reason.pointer, reason.rule, reason.message), document)
			}
		}
	case len(refused) == 0:
		for _, leaf := range leaves(said.(*jsonschema.ValidationError)) {
			if !in.mayBeTaken(leaf, document) {
				in.complain(t, "refuses what is taken", leaf.Error(), document)
			}
		}
	}
	return len(refused) == 0
}

// complain says each fault once, with what it takes to see why.
func (in *input) complain(t *testing.T, what, fault string, document []byte) {
	t.Helper()
	if key := digits.ReplaceAllString(what+fault, ""); !in.said[key] {
		in.said[key] = true
		t.Errorf("%s: the schema %s: %s\n%s\n%s", in.of.Go, what, fault, document, in.text)
	}
}

var digits = regexp.MustCompile("[0-9]+")

// leaves returns what a schema says, without what explains it. Of anyOf, whose
// last part is null, it is what the first part says.
func leaves(e *jsonschema.ValidationError) (all []*jsonschema.ValidationError) {
	causes := e.Causes
	if len(causes) == 0 {
		return []*jsonschema.ValidationError{e}
	}
	if _, either := e.ErrorKind.(*kind.AnyOf); either {
		causes = causes[:1]
	}
	for _, cause := range causes {
		all = append(all, leaves(cause)...)
	}
	return all
}

func TestInputs(t *testing.T) {
	t.Parallel()
	r := random(t)
	types, taken, tried := 0, 0, 0
	try := func(of reflect.Type, documents int) {
		in := newInput(t, of)
		if in == nil {
			return
		}
		types++
		value := in.base(t, r)
		for range documents {
			document := in.vary(t, r, value)
			for range 1 + r.IntN(4) {
				tried++
				if in.check(t, document) {
					taken++
				}
				document = text(mutated(r, read(document)))
			}
		}
	}
	for _, of := range handwritten {
		require.NotNil(t, newInput(t, of), of)
		before := taken
		try(of, rounds())
		t.Logf("%s: %d", of, taken-before)
	}
	for range rounds() {
		try(randomStruct(r, 3, randomType), 20)
		if t.Failed() {
			break
		}
	}
	t.Logf("%d types, %d of %d documents taken", types, taken, tried)
}

// base returns a value that keeps all rules most often: fields that do not are
// given others for a while.
func (in *input) base(t *testing.T, r *rand.Rand) reflect.Value {
	t.Helper()
	value := reflect.New(in.of.Go).Elem()
	fill(r, value, 0)
	for range 200 {
		document, err := in.encoder.Append(nil, value)
		require.NoError(t, err)
		wrong := in.refusals(document)
		if len(wrong) == 0 {
			break
		}
		for _, reason := range wrong {
			if field := in.field(names(reason.pointer)[0]); field != nil {
				fill(r, value.FieldByIndex(field.Index), 1)
			}
		}
	}
	return value
}

func (in *input) field(name string) *plan.Field {
	for _, field := range in.of.Fields {
		if field.Name == name {
			return field
		}
	}
	return nil
}

// vary gives one field another value, for good if it may have it, and returns the
// document.
func (in *input) vary(t *testing.T, r *rand.Rand, value reflect.Value) []byte {
	t.Helper()
	before := reflect.New(value.Type()).Elem()
	before.Set(value)
	fill(r, value.FieldByIndex(pick(r, in.of.Fields).Index), 1)
	document, err := in.encoder.Append(nil, value)
	require.NoError(t, err)
	if len(in.refusals(document)) > 0 {
		value.Set(before)
	}
	return document
}

func outPlan(t *testing.T, of reflect.Type) *plan.Type {
	t.Helper()
	described, err := plan.NewCompiler(plan.Out).Compile(of)
	if err != nil {
		return nil
	}
	return described
}

func TestOutputs(t *testing.T) {
	t.Parallel()
	r := random(t)
	try := func(of reflect.Type, values int) {
		described := outPlan(t, of)
		if described == nil || speechless(described, false, map[*plan.Type]bool{}) {
			return
		}
		encoder, exact := jsonout.Compile(described), jsonout.CompileExact(described)
		schema, description := schemaAt(t, openapi.Operation{Out: described}, "responses/200/content/application~1json/schema")
		alone := schemaAlone(t, described, plan.Out)
		for range values {
			value := reflect.New(of)
			fill(r, value.Elem(), 0)
			written, err := encoder.Append(nil, value.Elem())
			require.NoError(t, err)
			want, err := json.Marshal(value.Interface())
			require.NoError(t, err)
			exactly, err := exact.Append(nil, value.Elem())
			require.NoError(t, err)
			require.Equal(t, string(want), string(exactly))
			instance, err := jsonschema.UnmarshalJSON(bytes.NewReader(written))
			require.NoError(t, err)
			if err := schema.Validate(instance); err != nil {
				t.Errorf("%s: the schema refuses what is written: %v\n%s\n%s", of, err, written, description)
			}
			require.NoError(t, alone.Validate(instance), "%s: the schema by itself refuses what is written: %s", of, written)
		}
	}
	for _, of := range handwritten {
		try(of, rounds())
	}
	for range rounds() {
		try(randomType(r, 3), 20)
		if t.Failed() {
			break
		}
	}
}
