package schematest

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend/internal/openapi"
	"github.com/seed-215b9b7c/backend/internal/params"
	"github.com/seed-215b9b7c/backend/internal/plan"
	"github.com/seed-215b9b7c/backend/internal/validation"
)

// parameters is what takes the fields of a struct as text.
type parameters struct {
	input
	places   []string
	setters  []params.Setter
	schemas  []*jsonschema.Schema
	required []bool
}

// newParameters returns nil for types that cannot be registered.
func newParameters(t *testing.T, r *rand.Rand, of reflect.Type) *parameters {
	t.Helper()
	described, err := plan.NewCompiler(plan.In).Compile(of)
	if err != nil {
		return nil
	}
	p := &parameters{input: input{of: described, said: map[string]bool{}}}
	if p.validator, err = validation.Compile(described); err != nil {
		return nil
	}
	op := openapi.Operation{}
	for _, field := range described.Fields {
		set, err := params.Compile(field.Type)
		if err != nil {
			return nil
		}
		place := pick(r, []string{"query", "query", "header", "cookie", "path"})
		p.setters, p.places = append(p.setters, set), append(p.places, place)
		op.Params = append(op.Params, openapi.Param{Place: place, Name: field.Name, Field: field})
	}
	for i := range op.Params {
		schema, _ := schemaAt(t, op, fmt.Sprintf("parameters/%d/schema", i))
		p.schemas = append(p.schemas, schema)
	}
	p.required = requiredParams(t, op)
	return p
}

func requiredParams(t *testing.T, op openapi.Operation) (all []bool) {
	t.Helper()
	op.ID, op.Method, op.Path = "op", "post", "/op"
	document := openapi.New(openapi.Info{}, typeNames(), nil)
	document.Add(op)
	text, err := json.Marshal(document)
	require.NoError(t, err)
	var read struct {
		Paths map[string]map[string]struct {
			Parameters []struct{ Required bool }
		}
	}
	require.NoError(t, json.Unmarshal(text, &read))
	for _, param := range read.Paths["/op"]["post"].Parameters {
		all = append(all, param.Required)
	}
	return all
}

// instance returns what a client that goes by the schema means by a text.
func instance(t *plan.Type, texts []string, place string) any {
	for t.Kind == plan.Pointer || t.Kind == plan.Opt {
		t = t.Elem
	}
	switch t.Kind {
	case plan.Slice:
		if place == "path" {
			return instance(t.Elem, texts, place)
		}
		list := []any{}
		for _, text := range texts {
			list = append(list, instance(t.Elem, []string{text}, place))
		}
		return list
	case plan.Bool, plan.Int, plan.Uint, plan.Float, plan.Duration:
		var value any
		decoder := json.NewDecoder(strings.NewReader(texts[0]))
		decoder.UseNumber()
		if json.Valid([]byte(texts[0])) && strings.TrimSpace(texts[0]) == texts[0] && decoder.Decode(&value) == nil {
			switch value.(type) {
			case json.Number, bool:
				return value
			}
		}
	}
	return texts[0]
}

// refusal returns what is wrong with the texts of a field, the others being absent.
func (p *parameters) refused(i int, texts []string) (all []refusal) {
	field, into := p.of.Fields[i], reflect.New(p.of.Go)
	if len(texts) > 0 {
		if err := p.setters[i](texts, into.Elem().FieldByIndex(field.Index)); err != nil {
			return []refusal{{"/" + field.Name, "format", err.Error(), false}}
		}
	} else if field.Required && field.Type.Kind != plan.Slice {
		return []refusal{{"/" + field.Name, "required", "is missing", false}}
	}
	for _, wrong := range p.validator.Validate(nil, into.Interface()) { //nolint:staticcheck // no rule takes a context
		if wrong.Pointer == "/"+field.Name || strings.HasPrefix(wrong.Pointer, "/"+field.Name+"/") {
			all = append(all, refusal{wrong.Pointer, wrong.Rule, wrong.Message, true})
		}
	}
	return all
}

// check compares what the schema says of a parameter with whether it is taken.
func (p *parameters) checkParam(t *testing.T, i int, texts []string) (taken bool) {
	t.Helper()
	field, refused := p.of.Fields[i], p.refused(i, texts)
	document := map[string]any{}
	allowed := !p.required[i]
	var said error
	if len(texts) > 0 {
		value := instance(field.Type, texts, p.places[i])
		said = p.schemas[i].Validate(value)
		allowed = said == nil
		if of := field.Type; of.Kind == plan.Slice && p.places[i] == "path" {
			value = []any{value}
		}
		document[field.Name] = value
	}
	whole := text(document)
	switch {
	case allowed:
		for _, reason := range refused {
			if !p.mayBeUnsaidOfParam(reason, p.places[i], whole) {
				p.complain(t, "allows what is refused as "+p.places[i], fmt.Sprintf("%s %s (%s)", reason.pointer, reason.rule, reason.message), text(texts))
			}
		}
	case len(refused) == 0 && said == nil:
		if p.places[i] != "path" { // which is never absent
			p.complain(t, "asks for what may be absent as "+p.places[i], field.Name, whole)
		}
	case len(refused) == 0:
		for _, leaf := range leaves(said.(*jsonschema.ValidationError)) {
			at := leaf.InstanceLocation
			if field.Type.Kind == plan.Slice && p.places[i] == "path" {
				at = append([]string{"0"}, at...)
			}
			leaf.InstanceLocation = append([]string{field.Name}, at...)
			if !p.mayBeTaken(leaf, whole) {
				p.complain(t, "refuses what is taken as "+p.places[i], leaf.Error(), whole)
			}
		}
	}
	return len(refused) == 0
}

var paramTexts = append([]string{
	"0", "1", "2", "3", "5", "-1", "+1", "-0", "01", "1.0", "1e0", "1e2", "0.1", ".5", "5.", "-.5", "00.5", "0x1", "1_0", "NaN", "Inf", "1e400", "0.10000000000000000001", "1e-400",
	"127", "128", "255", "256", "32768", "65535", "65536", "2147483648", "4294967295", "4294967296", "9223372036854775807", "9223372036854775808", "18446744073709551615", "18446744073709551616",
	"True", "TRUE", "false", "t", " 1", "1 ", "AAE", "AA-_", "AA+/", "2026-02-03T04:05:06z", "2026-02-03 04:05:06Z", "2026-02-03T04:05:60Z", "2001:DB8::1", "\x00", "a\x00b",
}, words...)

func TestParameters(t *testing.T) {
	t.Parallel()
	r := random(t)
	types, taken, tried := 0, 0, 0
	for range 10 * rounds() {
		p := newParameters(t, r, randomStruct(r, 1, randomText))
		if p == nil {
			continue
		}
		types++
		for i := range p.of.Fields {
			for range 20 {
				var texts []string
				for range pick(r, []int{0, 1, 1, 1, 1, 1, 1, 2, 3}) {
					texts = append(texts, pick(r, paramTexts))
				}
				if p.places[i] == "path" && len(texts) != 1 {
					texts = []string{pick(r, paramTexts)}
				}
				tried++
				if p.checkParam(t, i, texts) {
					taken++
				}
			}
		}
		if t.Failed() {
			break
		}
	}
	t.Logf("%d types, %d of %d parameters taken", types, taken, tried)
}

var _, _ = http.MethodGet, url.Values{}
