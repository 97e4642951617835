package jsonschema_test

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
	"github.com/seed-215b9b7c/backend/internal/jsonschema"
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
	for _, direction := range []plan.Direction{plan.In, plan.Out} {
		require.NoError(t, jsonschema.CheckExamples(compile[goodExamples](t, direction), direction))
	}
	properties := components(t, compile[goodExamples](t, plan.In), nil)["goodExamples"].(map[string]any)["properties"].(map[string]any)
	for _, field := range compile[goodExamples](t, plan.In).Fields {
		require.Contains(t, properties[field.Name], "examples", field.Name)
	}
	require.Equal(t, []any{[]any{6.0}}, properties["useless"].(map[string]any)["examples"], "the option string means nothing for lists")
}

// JSON has whole numbers that float64 has not.
func TestExamplesAreWrittenAsTheyStand(t *testing.T) {
	t.Parallel()
	type input struct {
		Large int64   `json:"large" example:"9007199254740993" validate:"oneof=9007199254740993 1000000"`
		Seven int     `json:"seven" example:"1000000" validate:"oneof=1000000"`
		List  []int64 `json:"list" example:"[-9007199254740993]"`
	}
	body := compile[input](t, plan.In)
	require.NoError(t, jsonschema.CheckExamples(body, plan.In))
	text, err := jsonschema.Document(body, plan.In, false)
	require.NoError(t, err)
	require.Contains(t, string(text), `"examples":[9007199254740993]`)
	require.Contains(t, string(text), `"examples":[1000000]`)
	require.Contains(t, string(text), `"examples":[[-9007199254740993]]`)
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
	for _, direction := range []plan.Direction{plan.In, plan.Out} {
		err := jsonschema.CheckExamples(compile[bad](t, direction), direction)
		for _, want := range []string{
			`.Int: the example "128" must be JSON of an int8: `,
			`.Whole: the example "1.5" must be JSON of an int: `,
			`.Bool: the example "yes" must be JSON of a bool: it is not valid JSON`,
			`.ID: the example "x" must be the text of a backend.ID: `,
			`.Addr: the example "localhost" must be the text of a netip.Addr: `,
			`.When: the example "2026-01-02" must be a time such as 2006-01-02T15:04:05Z`,
			`.Wait: the example "5s" must be JSON of a time.Duration: `,
			`.Data: the example "?" must be base64`,
			`.Any: the example "{" must be JSON of a json.RawMessage: `,
			`.List: the example "a,b" must be JSON of a []string: `,
			`.Twice: the example "[1,\"b\"]" must be JSON of a []int: `,
			`.Leaf: the example "{\"b\":true}" must be JSON of a jsonschema_test.leaf: `,
			`.Quoted: the example "six" must be what stands in the quotes, JSON of an int: `,
			`inner.Count: the example "many" must be JSON of an int: `,
		} {
			require.ErrorContains(t, err, want)
		}
		require.NotContains(t, err.Error(), "fine")
		require.NotContains(t, err.Error(), "must be base64: /data must be base64", "once is enough")
		require.NotContains(t, err.Error(), "/when must be a time such as")
	}
}

// What a request could not have because of the rules of its tags is no example of
// it. Answers keep no rules.
func TestExamplesKeepTheRules(t *testing.T) {
	t.Parallel()
	type good struct {
		Short  string              `json:"short" example:"äöü" validate:"min=3,max=3"`
		Choice *string             `json:"choice" example:"b" validate:"omitempty,oneof=a b"`
		Level  int                 `json:"level,string" example:"2" validate:"oneof=1 2"`
		ID     backend.ID          `json:"id" example:"17" validate:"min=5"`
		Ratio  float64             `json:"ratio" example:"1" validate:"gt=0,lte=1"`
		Number *int                `json:"number" example:"null" validate:"omitempty,oneof=1 2"`
		Tags   []string            `json:"tags" example:"[\"a\",\"b\"]" validate:"max=2,unique,dive,max=1"`
		By     map[string]int      `json:"by" example:"{\"a\":1}" validate:"max=1,dive,min=1"`
		Word   backend.Opt[string] `json:"word,omitzero" example:"abc" validate:"omitempty,alpha"`
		Empty  string              `json:"empty" example:"a" validate:"omitempty,alpha"`
		Mail   string              `json:"mail" example:"anything" validate:"email"`
		Same   string              `json:"same" example:"x" validate:"eqfield=Short"`
	}
	require.NoError(t, jsonschema.CheckExamples(compile[good](t, plan.In), plan.In))
	type bad struct {
		Short  string              `json:"short" example:"Milk" validate:"max=3"`
		Long   string              `json:"long" example:"ä" validate:"min=2"`
		Choice *string             `json:"choice" example:"c" validate:"omitempty,oneof=a b"`
		Level  int                 `json:"level,string" example:"3" validate:"oneof=1 2"`
		Count  int                 `json:"count" example:"0" validate:"min=1"`
		Ratio  float64             `json:"ratio" example:"0" validate:"gt=0"`
		Below  float64             `json:"below" example:"1" validate:"lt=1"`
		Most   int                 `json:"most" example:"6" validate:"max=5"`
		Tags   []string            `json:"tags" example:"[\"a\",\"bb\"]" validate:"max=2,dive,max=1"`
		Twice  []string            `json:"twice" example:"[\"a\",\"a\"]" validate:"unique"`
		Many   []int               `json:"many" example:"[1,2]" validate:"max=1"`
		By     map[string]int      `json:"by" example:"{\"a\":0}" validate:"max=1,dive,min=1"`
		Word   backend.Opt[string] `json:"word,omitzero" example:"a1" validate:"omitempty,alpha"`
	}
	require.NoError(t, jsonschema.CheckExamples(compile[bad](t, plan.Out), plan.Out))
	err := jsonschema.CheckExamples(compile[bad](t, plan.In), plan.In)
	require.Error(t, err)
	for _, want := range []string{
		"Short: the example \"Milk\" breaks a rule of the field: maxLength 3", "Long: the example \"ä\" breaks a rule of the field: minLength 2",
		"Choice: the example \"c\" breaks a rule of the field: enum [a b <nil>]", "Level: the example \"3\" breaks a rule of the field: enum [1 2]",
		"Count: the example \"0\" breaks a rule of the field: minimum 1", "Ratio: the example \"0\" breaks a rule of the field: exclusiveMinimum 0",
		"Below: the example \"1\" breaks a rule of the field: exclusiveMaximum 1", "Most: the example \"6\" breaks a rule of the field: maximum 5",
		"Tags: the example \"[\\\"a\\\",\\\"bb\\\"]\" breaks a rule of the field: maxLength 1", "Many: the example \"[1,2]\" breaks a rule of the field: maxItems 1",
		"Twice: the example \"[\\\"a\\\",\\\"a\\\"]\" breaks a rule of the field: uniqueItems true",
		"By: the example \"{\\\"a\\\":0}\" breaks a rule of the field: minimum 1", "Word: the example \"a1\" breaks a rule of the field: pattern ^[a-zA-Z]+$",
	} {
		require.ErrorContains(t, err, want)
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
	require.NoError(t, jsonschema.CheckExamples(compile[good](t, plan.Out), plan.Out))
	type bad struct {
		Own writesItself `json:"own" example:"a"`
	}
	require.ErrorContains(t, jsonschema.CheckExamples(compile[bad](t, plan.Out), plan.Out), ".Own: the example \"a\" must be JSON of a jsonschema_test.writesItself")
	recursive, err := plan.NewCompiler(plan.In).Compile(reflect.TypeFor[node]())
	require.NoError(t, err)
	require.NoError(t, jsonschema.CheckExamples(recursive, plan.In))
}

type node struct {
	Nodes []node `json:"nodes" example:"[]"`
}
