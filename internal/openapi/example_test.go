package openapi_test

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
	"github.com/seed-215b9b7c/backend/internal/openapi"
	"github.com/seed-215b9b7c/backend/internal/plan"
)

type goodExamples struct {
	Text   string                 `json:"text" example:"null"`
	Named  *string                `json:"named" example:"Milk"`
	Int    int8                   `json:"int" example:"-128"`
	Uint   *uint                  `json:"uint" example:"null"`
	Float  float64                `json:"float" example:"1.5e3"`
	Bool   bool                   `json:"bool" example:"true"`
	ID     backend.ID             `json:"id" example:"17"`
	Addr   *netip.Addr            `json:"addr" example:"192.0.2.1"`
	At     time.Time              `json:"at" example:"2026-01-02T03:04:05Z"`
	Wait   time.Duration          `json:"wait" example:"1000"`
	Data   []byte                 `json:"data" example:"aGk="`
	Any    json.RawMessage        `json:"any" example:"[1, null]"`
	List   []string               `json:"list" example:"[\"a\",\"b\"]"`
	Array  [2]int                 `json:"array" example:"[1,2]"`
	Map    map[string]int         `json:"map" example:"{\"a\":1}"`
	Leaf   leaf                   `json:"leaf" example:"{\"a\":true}"`
	Opt    backend.Opt[[]float32] `json:"opt,omitzero" example:"[1]"`
	Quoted int                    `json:"quoted,string" example:"6"`
	//lint:ignore SA5008 it is what the test is about
	Useless []int `json:"useless,string" example:"[6]"`
}

func TestExamplesThatFit(t *testing.T) {
	t.Parallel()
	for direction, in := range map[plan.Direction]bool{plan.In: true, plan.Out: false} {
		require.NoError(t, openapi.CheckExamples(compile[goodExamples](t, direction), in))
	}
	d := describe(t, openapi.Operation{ID: "f", Method: "post", Path: "/f", Status: 204, Body: compile[goodExamples](t, plan.In)})
	properties := d.Components.Schemas["goodExamples"].(map[string]any)["properties"].(map[string]any)
	for _, field := range compile[goodExamples](t, plan.In).Fields {
		require.Contains(t, properties[field.Name], "examples", field.Name)
	}
	require.Equal(t, []any{[]any{6.0}}, properties["useless"].(map[string]any)["examples"], "the option string means nothing for lists")
}

func TestExamplesThatDoNotFit(t *testing.T) {
	t.Parallel()
	type inner struct {
		Count int `json:"count" example:"many"`
	}
	type bad struct {
		Int    int8                 `json:"int" example:"128"`
		Whole  *int                 `json:"whole" example:"1.5"`
		Bool   bool                 `json:"bool" example:"yes"`
		ID     backend.ID           `json:"id" example:"x"`
		Addr   *netip.Addr          `json:"addr" example:"localhost"`
		At     backend.Opt[*string] `json:"at" example:"fine"`
		When   time.Time            `json:"when" example:"2026-01-02"`
		Wait   time.Duration        `json:"wait" example:"5s"`
		Data   []byte               `json:"data" example:"?"`
		Any    json.RawMessage      `json:"any" example:"{"`
		List   []string             `json:"list" example:"a,b"`
		Twice  []int                `json:"twice" example:"[1,\"b\"]"`
		Leaf   leaf                 `json:"leaf" example:"{\"b\":true}"`
		Quoted int                  `json:"quoted,string" example:"six"`
		Inner  map[string][]*inner  `json:"inner"`
	}
	for direction, in := range map[plan.Direction]bool{plan.In: true, plan.Out: false} {
		err := openapi.CheckExamples(compile[bad](t, direction), in)
		for _, want := range []string{
			`.Int: the example "128" must be JSON of a int8: `,
			`.Whole: the example "1.5" must be JSON of a int: `,
			`.Bool: the example "yes" must be JSON of a bool: it is not valid JSON`,
			`.ID: the example "x" must be the text of a backend.ID: `,
			`.Addr: the example "localhost" must be the text of a netip.Addr: `,
			`.When: the example "2026-01-02" must be a time such as 2006-01-02T15:04:05Z: `,
			`.Wait: the example "5s" must be JSON of a time.Duration: `,
			`.Data: the example "?" must be base64: `,
			`.Any: the example "{" must be JSON of a json.RawMessage: `,
			`.List: the example "a,b" must be JSON of a []string: `,
			`.Twice: the example "[1,\"b\"]" must be JSON of a []int: `,
			`.Leaf: the example "{\"b\":true}" must be JSON of a openapi_test.leaf: `,
			`.Quoted: the example "six" must be what stands in the quotes, JSON of a int: `,
			`inner.Count: the example "many" must be JSON of a int: `,
		} {
			require.ErrorContains(t, err, want)
		}
		require.NotContains(t, err.Error(), "fine")
	}
}

type writesItself struct{ hidden int }

func (w writesItself) MarshalJSON() ([]byte, error) { return json.Marshal(w.hidden) }

type writesText struct{ hidden string }

func (w writesText) MarshalText() ([]byte, error) { return []byte(w.hidden), nil }

// What cannot be read again has any JSON for an example, or any text.
func TestExamplesOfWhatOnlyWritesItself(t *testing.T) {
	t.Parallel()
	type good struct {
		Own  []writesItself `json:"own" example:"[1]"`
		Text writesText     `json:"text" example:"a"`
	}
	require.NoError(t, openapi.CheckExamples(compile[good](t, plan.Out), false))
	type bad struct {
		Own writesItself `json:"own" example:"a"`
	}
	require.ErrorContains(t, openapi.CheckExamples(compile[bad](t, plan.Out), false), ".Own: the example \"a\" must be JSON of a openapi_test.writesItself")
	recursive, err := plan.NewCompiler(plan.In).Compile(reflect.TypeFor[node]())
	require.NoError(t, err)
	require.NoError(t, openapi.CheckExamples(recursive, true))
}

type node struct {
	Nodes []node `json:"nodes" example:"[]"`
}
