package jsonschema_test

import (
	"encoding/json"
	"go/token"
	"net/netip"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
	"github.com/seed-215b9b7c/backend/internal/jsonschema"
	"github.com/seed-215b9b7c/backend/internal/plan"
	"github.com/seed-215b9b7c/backend/internal/validation"
)

func compile[T any](t *testing.T, direction plan.Direction) *plan.Type {
	t.Helper()
	compiled, err := plan.NewCompiler(direction).Compile(reflect.TypeFor[T]())
	require.NoError(t, err)
	return compiled
}

func parse(t *testing.T, text string) (value any) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(text), &value), text)
	return value
}

// asJSON returns a schema as its readers see it.
func asJSON(t *testing.T, schema any) (value any) {
	t.Helper()
	text, err := json.Marshal(schema)
	require.NoError(t, err)
	return parse(t, string(text))
}

// components returns the components that the schemas of an input and an output,
// which may be nil, refer to.
func components(t *testing.T, in, out *plan.Type) map[string]any {
	t.Helper()
	s := jsonschema.New(jsonschema.NewNames(), "#/$defs/", nil)
	if out != nil {
		s.Of(out, plan.Out)
	}
	if in != nil {
		s.Of(in, plan.In)
	}
	return asJSON(t, s.All()).(map[string]any)
}

// schemas returns the schemas of a field x of this type, as input and as output.
func schemas[T any](t *testing.T) (in, out any) {
	t.Helper()
	type input struct {
		X T `json:"x"`
	}
	s := jsonschema.New(jsonschema.NewNames(), "#/$defs/", nil)
	of := func(direction plan.Direction) any {
		name := strings.TrimPrefix(s.Of(compile[input](t, direction), direction)["$ref"].(string), "#/$defs/")
		return asJSON(t, s.All()).(map[string]any)[name].(map[string]any)["properties"].(map[string]any)["x"]
	}
	out = of(plan.Out)
	return of(plan.In), out
}

type named string

func TestSchemas(t *testing.T) {
	t.Parallel()
	// Where nothing else is said, input and output look the same.
	tests := []struct {
		name    string
		schemas func(*testing.T) (in, out any)
		in, out string
	}{
		{"bool", schemas[bool], `{"type":"boolean"}`, ``},
		{"int", schemas[int], `{"type":"integer","format":"int64"}`, ``},
		{"int8", schemas[int8], `{"type":"integer","format":"int32","minimum":-128,"maximum":127}`, ``},
		{"int16", schemas[int16], `{"type":"integer","format":"int32","minimum":-32768,"maximum":32767}`, ``},
		{"int32", schemas[int32], `{"type":"integer","format":"int32"}`, ``},
		{"int64", schemas[int64], `{"type":"integer","format":"int64"}`, ``},
		{"uint8", schemas[uint8], `{"type":"integer","format":"int32","minimum":0,"maximum":255}`, ``},
		{"uint16", schemas[uint16], `{"type":"integer","format":"int32","minimum":0,"maximum":65535}`, ``},
		{"uint32 does not fit into int32", schemas[uint32], `{"type":"integer","format":"int64","minimum":0,"maximum":4294967295}`, ``},
		{"uint64 does not fit into int64", schemas[uint64], `{"type":"integer","format":"uint64","minimum":0}`, ``},
		{"float32", schemas[float32], `{"type":"number","format":"float"}`, ``},
		{"float64", schemas[float64], `{"type":"number","format":"double"}`, ``},
		{"string", schemas[string], `{"type":"string"}`, ``},
		{"named string", schemas[named], `{"type":"string"}`, ``},
		{"bytes", schemas[[]byte], `{"type":"string","contentEncoding":"base64"}`, `{"type":["string","null"],"contentEncoding":"base64"}`},
		{"time", schemas[time.Time], `{"type":"string","format":"date-time"}`, ``},
		{"duration", schemas[time.Duration], `{"type":"integer","format":"int64","description":"In nanoseconds."}`, ``},
		{"address", schemas[netip.Addr], `{"type":"string","description":"An IP address.","examples":["192.0.2.1"]}`, ``},
		{"id", schemas[backend.ID], `{"type":"string","pattern":"^(0|-?[1-9][0-9]*)$","examples":["1"]}`, ``},
		{"raw", schemas[json.RawMessage], `{}`, ``},
		{"slice", schemas[[]bool], `{"type":"array","items":{"type":"boolean"}}`, `{"type":"array","items":{"type":"boolean"}}`},
		{"array", schemas[[2]bool], `{"type":"array","items":{"type":"boolean"},"minItems":2,"maxItems":2}`, ``},
		{"map", schemas[map[string]bool], `{"type":"object","additionalProperties":{"type":"boolean"}}`, `{"type":"object","additionalProperties":{"type":"boolean"}}`},
		{"pointer", schemas[*string], `{"type":["string","null"]}`, ``},
		{"pointer to a slice", schemas[*[]bool], `{"type":["array","null"],"items":{"type":"boolean"}}`, ``},
		{"opt", schemas[backend.Opt[int32]], `{"type":["integer","null"],"format":"int32"}`, ``},
		{"struct", schemas[leaf], `{"$ref":"#/$defs/leafInput"}`, `{"$ref":"#/$defs/leaf"}`},
		{"pointer to a struct", schemas[*leaf], `{"anyOf":[{"$ref":"#/$defs/leafInput"},{"type":"null"}]}`, `{"anyOf":[{"$ref":"#/$defs/leaf"},{"type":"null"}]}`},
		{
			"struct without a name", schemas[struct {
				A bool `json:"a"`
			}], `{"type":"object","properties":{"a":{"type":"boolean"}},"required":["a"],"additionalProperties":false}`,
			`{"type":"object","properties":{"a":{"type":"boolean"}},"required":["a"]}`,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if test.out == "" {
				test.out = test.in
			}
			in, out := test.schemas(t)
			require.Equal(t, parse(t, test.in), in)
			require.Equal(t, parse(t, test.out), out)
		})
	}
}

type leaf struct {
	A bool `json:"a"`
}

type tagged struct {
	Doc      string              `json:"doc" doc:"What." example:"a"`
	Number   int32               `json:"number" example:"7" validate:"gt=0,lt=10"`
	NoJSON   int32               `json:"noJSON" example:"seven"`
	List     []int32             `json:"list" example:"[1,2]" validate:"min=1,max=3,unique,dive,gte=5"`
	Map      map[string]string   `json:"map" validate:"max=2,dive,max=4"`
	Small    uint8               `json:"small" validate:"min=-5,max=1000"`
	Text     string              `json:"text" validate:"len=3,email"`
	Enum     string              `json:"enum" validate:"oneof=a b"`
	EnumInt  int32               `json:"enumInt" validate:"oneof=1 2"`
	EnumNull *string             `json:"enumNull" validate:"omitempty,oneof=a b"`
	Patch    backend.Opt[string] `json:"patch,omitzero" validate:"omitempty,max=5"`
	Quoted   int32               `json:"quoted,string" validate:"min=5" example:"6"`
	Keys     map[string]string   `json:"keys" validate:"max=5,dive,keys,max=3,endkeys,required,max=9"`
	Either   string              `json:"either" validate:"oneof=a b|len=3"`
	Level    int32               `json:"level,string" validate:"oneof=1 2"`
	Wait     time.Duration       `json:"wait" doc:"How long."`
	Leaf     leaf                `json:"leaf" doc:"A leaf."`
}

func TestTags(t *testing.T) {
	t.Parallel()
	all := components(t, compile[tagged](t, plan.In), nil)
	require.Equal(t, parse(t, `{
		"doc": {"type":"string","description":"What.","examples":["a"]},
		"number": {"type":"integer","format":"int32","examples":[7],"exclusiveMinimum":0,"exclusiveMaximum":10},
		"noJSON": {"type":"integer","format":"int32"},
		"list": {"type":"array","items":{"type":"integer","format":"int32","minimum":5},"examples":[[1,2]],"minItems":1,"maxItems":3,"uniqueItems":true},
		"map": {"type":"object","additionalProperties":{"type":"string","maxLength":4},"maxProperties":2},
		"small": {"type":"integer","format":"int32","minimum":0,"maximum":255},
		"text": {"type":"string","minLength":3,"maxLength":3,"format":"email"},
		"enum": {"type":"string","enum":["a","b"]},
		"enumInt": {"type":"integer","format":"int32","enum":[1,2]},
		"enumNull": {"type":["string","null"],"enum":["a","b",null]},
		"patch": {"type":["string","null"],"maxLength":5},
		"quoted": {"type":"string","examples":["6"]},
		"keys": {"type":"object","additionalProperties":{"type":"string","minLength":1,"maxLength":9},"maxProperties":5},
		"either": {"type":"string"},
		"level": {"type":"string","enum":["1","2"]},
		"wait": {"type":"integer","format":"int64","description":"How long, in nanoseconds."},
		"leaf": {"$ref":"#/$defs/leaf","description":"A leaf."}
	}`), all["tagged"].(map[string]any)["properties"])
}

func TestPresence(t *testing.T) {
	t.Parallel()
	type presence struct {
		Plain     string   `json:"plain"`
		OmitEmpty string   `json:"omitEmpty,omitempty"`
		OmitZero  int      `json:"omitZero,omitzero"`
		Pointer   *string  `json:"pointer"`
		Both      *leaf    `json:"both,omitempty"`
		Gone      *string  `json:"gone,omitzero"`
		List      []string `json:"list,omitempty"`
		ZeroList  []string `json:"zeroList,omitzero"`
	}
	all := components(t, compile[presence](t, plan.In), compile[presence](t, plan.Out))
	in, out := all["presenceInput"].(map[string]any), all["presence"].(map[string]any)
	require.Equal(t, []any{"plain"}, in["required"])
	require.Equal(t, []any{"plain", "pointer"}, out["required"])
	require.Equal(t, false, in["additionalProperties"], "unknown fields are refused")
	require.NotContains(t, out, "additionalProperties", "clients must expect new ones")
	properties := out["properties"].(map[string]any)
	require.Equal(t, parse(t, `{"type":["string","null"]}`), properties["pointer"])
	for name, schema := range map[string]string{
		"both": `{"$ref":"#/$defs/leaf"}`, "gone": `{"type":"string"}`,
		"list": `{"type":"array","items":{"type":"string"}}`, "zeroList": `{"type":"array","items":{"type":"string"}}`,
	} {
		require.Equal(t, parse(t, schema), properties[name], "%s is left out when it would be null", name)
	}
}

// The rule required refuses what is absent, or null, whatever the type says
// about that.
func TestRequiredByRule(t *testing.T) {
	t.Parallel()
	type input struct {
		Pointer *string             `json:"pointer" validate:"required,max=5"`
		Choice  *string             `json:"choice" validate:"required,oneof=a b"`
		Opt     backend.Opt[int32]  `json:"opt,omitzero" validate:"required,min=1"`
		Leaf    *leaf               `json:"leaf" validate:"required"`
		Text    string              `json:"text,omitempty" validate:"required"`
		Count   uint8               `json:"count,omitempty" validate:"required"`
		At      time.Time           `json:"at,omitzero" validate:"required"`
		List    []*bool             `json:"list,omitempty" validate:"required,max=3,dive,required"`
		Struct  leaf                `json:"struct,omitzero" validate:"required"`
		Passed  *string             `json:"passed" validate:"omitempty,required"`
		Free    *string             `json:"free" validate:"omitempty,max=5"`
		Keys    map[string]struct{} `json:"keys,omitempty" validate:"max=3,dive,keys,required,endkeys"`
	}
	body := compile[input](t, plan.In)
	schema := components(t, body, nil)["input"].(map[string]any)
	properties := schema["properties"].(map[string]any)
	for name, want := range map[string]string{
		"pointer": `{"type":"string","maxLength":5}`, "choice": `{"type":"string","enum":["a","b"]}`, "opt": `{"type":"integer","format":"int32","minimum":1}`,
		"leaf": `{"$ref":"#/$defs/leaf"}`, "count": `{"type":"integer","format":"int32","minimum":1,"maximum":255}`,
		"list":   `{"type":"array","maxItems":3,"items":{"type":"boolean"}}`,
		"passed": `{"type":["string","null"]}`, "free": `{"type":["string","null"],"maxLength":5}`,
	} {
		require.Equal(t, parse(t, want), properties[name], name)
	}
	checked, err := validation.Compile(body)
	require.NoError(t, err)
	var refused []any // of an empty object
	for _, field := range checked.Validate(t.Context(), input{}) {
		require.Equal(t, "required", field.Rule)
		refused = append(refused, strings.TrimPrefix(field.Pointer, "/"))
	}
	require.ElementsMatch(t, refused, schema["required"])
}

func TestPatterns(t *testing.T) {
	t.Parallel()
	type input struct {
		Alpha    string  `json:"alpha" validate:"alpha"`
		Alphanum *string `json:"alphanum" validate:"omitempty,alphanum"`
		Maybe    string  `json:"maybe" validate:"omitempty,number"`
		Numeric  string  `json:"numeric" validate:"numeric"`
		Digits   int32   `json:"digits" validate:"number"`
		Hex      string  `json:"hex" validate:"hexadecimal"`
		Phone    string  `json:"phone" validate:"e164"`
		Starts   string  `json:"starts" validate:"startswith=a.b0x2C"`
		Ends     string  `json:"ends" validate:"endswith=.go"`
		Holds    string  `json:"holds" validate:"contains=+"`
		First    string  `json:"first" validate:"startswith=a,endswith=z"`
		Equal    string  `json:"equal" validate:"eq=yes"`
	}
	properties := components(t, compile[input](t, plan.In), nil)["input"].(map[string]any)["properties"].(map[string]any)
	for name, want := range map[string]any{
		"alpha": "^[a-zA-Z]+$", "alphanum": "^[a-zA-Z0-9]+$", "maybe": "^$|^[0-9]+$", "numeric": `^[-+]?[0-9]+(?:\.[0-9]+)?$`, "digits": nil,
		"hex": "^(0[xX])?[0-9a-fA-F]+$", "phone": `^\+?[1-9][0-9]{7,14}$`, "starts": `^a\.b,`, "ends": `\.go$`, "holds": `\+`, "first": "^a", "equal": nil,
	} {
		require.Equal(t, want, properties[name].(map[string]any)["pattern"], name)
	}
	require.Equal(t, []any{"yes"}, properties["equal"].(map[string]any)["enum"])
}

type (
	tree   struct{ Branches []tree }
	list   []list
	folder map[string][]*folder
)

func TestTypesThatHoldThemselves(t *testing.T) {
	t.Parallel()
	type all struct {
		Tree   *tree
		List   list
		Folder folder
	}
	s := components(t, nil, compile[all](t, plan.Out))
	require.Equal(t, parse(t, `{"type":"array","items":{"$ref":"#/$defs/tree"}}`), s["tree"].(map[string]any)["properties"].(map[string]any)["Branches"])
	require.Equal(t, parse(t, `{"type":"array","items":{"$ref":"#/$defs/list"}}`), s["list"])
	require.Equal(t, parse(t, `{"type":"object","additionalProperties":{"type":"array","items":{"anyOf":[{"$ref":"#/$defs/folder"},{"type":"null"}]}}}`), s["folder"])
}

// File is a name that other types here have, too.
type File struct{ Mine bool }

func local1() reflect.Type {
	type File struct{ Local1 bool }
	return reflect.TypeFor[File]()
}

func local2() reflect.Type {
	type File struct{ Local2 bool }
	return reflect.TypeFor[File]()
}

type position struct{ At token.Position }

// Problem has a name that is taken.
type Problem struct{ Mine bool }

func TestNamesThatClash(t *testing.T) {
	t.Parallel()
	s, refs := jsonschema.New(jsonschema.NewNames("Problem"), "#/", nil), map[string]string{}
	add := func(id string, of reflect.Type) {
		out, err := plan.NewCompiler(plan.Out).Compile(of)
		require.NoError(t, err)
		refs[id], _ = s.Of(out, plan.Out)["$ref"].(string)
	}
	add("own", reflect.TypeFor[File]())
	add("token", reflect.TypeFor[token.Position]())
	add("ast", reflect.TypeFor[struct{ P position }]())
	add("local1", local1())
	add("local2", local2())
	add("again", reflect.TypeFor[File]())
	add("problem", reflect.TypeFor[Problem]())
	all := asJSON(t, s.All()).(map[string]any)
	require.Equal(t, "#/File", refs["own"])
	require.Equal(t, refs["own"], refs["again"])
	require.Equal(t, "", refs["ast"], "a struct without a name is no component")
	seen := map[string]bool{}
	for id, field := range map[string]string{"own": "Mine", "local1": "Local1", "local2": "Local2"} {
		name := refs[id][len("#/"):]
		require.False(t, seen[name], name)
		seen[name] = true
		require.Contains(t, all[name].(map[string]any)["properties"], field, "%s is %s", id, name)
	}
	require.NotEqual(t, "#/Problem", refs["problem"])
	require.NotEmpty(t, refs["problem"])
	for name := range all {
		require.Regexp(t, `^[a-zA-Z0-9_]+$`, name)
	}
}

type pair[A, B any] struct {
	First  A
	Second B
}

func TestGenericNames(t *testing.T) {
	t.Parallel()
	all := components(t, nil, compile[pair[pair[int, *leaf], map[string][]leaf]](t, plan.Out))
	for name := range all {
		require.Regexp(t, `^[a-zA-Z0-9_]+$`, name)
	}
	require.Len(t, all, 3) // two pairs and leaf
}

// Documents that share names call a type the same, in whatever order they need
// it, and each has all components that it refers to.
func TestDocumentsThatShareNames(t *testing.T) {
	t.Parallel()
	names := jsonschema.NewNames()
	first, err := plan.NewCompiler(plan.Out).Compile(local1())
	require.NoError(t, err)
	second := compile[File](t, plan.Out)
	one, two := jsonschema.New(names, "#/one/", nil), jsonschema.New(names, "#/two/", nil)
	require.Equal(t, jsonschema.Object{"$ref": "#/one/File"}, one.Of(first, plan.Out))
	require.Equal(t, jsonschema.Object{"$ref": "#/one/Jsonschema_testFile"}, one.Of(second, plan.Out))
	require.Equal(t, jsonschema.Object{"$ref": "#/two/Jsonschema_testFile"}, two.Of(second, plan.Out))
	require.Len(t, one.All(), 2)
	require.Len(t, two.All(), 1)
	require.Equal(t, one.All()["Jsonschema_testFile"], two.All()["Jsonschema_testFile"])
	require.Equal(t, "Jsonschema_testFile", names.Of(second, plan.Out))
	require.Equal(t, "FileInput", names.Of(compile[File](t, plan.In), plan.In), "an input is another type")
}

func TestNamesAreSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	names, of := jsonschema.NewNames(), compile[File](t, plan.Out)
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() { names.Of(of, plan.Out) })
	}
	wait.Wait()
	require.Equal(t, "File", names.Of(of, plan.Out))
}

// A component of some fields of a type is another one than the type.
func TestOfFields(t *testing.T) {
	t.Parallel()
	type change struct {
		ID   string `json:"id"`
		Name string `json:"name"`
	}
	of, s := compile[change](t, plan.In), jsonschema.New(jsonschema.NewNames(), "#/", nil)
	for range 2 {
		require.Equal(t, jsonschema.Object{"$ref": "#/change"}, s.OfFields(of, of.Fields[1:], "rename"))
	}
	require.Equal(t, jsonschema.Object{"$ref": "#/changeInput"}, s.Of(of, plan.In))
	require.Equal(t, parse(t, `{
		"change": {"type":"object","properties":{"name":{"type":"string"}},"required":["name"],"additionalProperties":false},
		"changeInput": {"type":"object","properties":{"id":{"type":"string"},"name":{"type":"string"}},"required":["id","name"],"additionalProperties":false}
	}`), asJSON(t, s.All()))
}

func TestOfText(t *testing.T) {
	t.Parallel()
	type input struct {
		Needed *string            `json:"needed" validate:"required"`
		Opt    backend.Opt[int32] `json:"opt" doc:"How many."`
		Quoted int32              `json:"quoted,string" validate:"min=5"`
		Data   []byte             `json:"data"`
		Datas  *[][]byte          `json:"datas"`
		IDs    []int32            `json:"ids" validate:"max=3,dive,min=1"`
	}
	s, got := jsonschema.New(jsonschema.NewNames(), "#/", nil), map[string]any{}
	for _, field := range compile[input](t, plan.In).Fields {
		got[field.Name] = asJSON(t, s.OfText(field))
	}
	require.Equal(t, parse(t, `{
		"needed": {"type":"string"},
		"opt": {"type":"integer","format":"int32","description":"How many."},
		"quoted": {"type":"integer","format":"int32","minimum":5},
		"data": {"type":"string","contentEncoding":"base64url"},
		"datas": {"type":"array","items":{"type":"string","contentEncoding":"base64url"}},
		"ids": {"type":"array","items":{"type":"integer","format":"int32","minimum":1},"maxItems":3}
	}`), any(got))
}

func TestRelations(t *testing.T) {
	t.Parallel()
	s := jsonschema.New(jsonschema.NewNames(), "#/", map[reflect.Type][]jsonschema.Relation{
		reflect.TypeFor[leaf](): {{Name: "tree", Doc: "Where it is", Child: compile[*tree](t, plan.Out)}},
	})
	s.Of(compile[leaf](t, plan.Out), plan.Out)
	s.Of(compile[leaf](t, plan.In), plan.In)
	all := asJSON(t, s.All()).(map[string]any)
	require.Equal(t, parse(t, `{"type":"object","properties":{"a":{"type":"boolean"},"tree":{
		"anyOf":[{"$ref":"#/tree"},{"type":"null"}],"description":"Where it is (only if include asks for it)"}},"required":["a"]}`), all["leaf"])
	require.NotContains(t, all["leafInput"].(map[string]any)["properties"], "tree")
	require.Contains(t, all, "tree")
}

func TestDocument(t *testing.T) {
	t.Parallel()
	type input struct {
		Name  string              `json:"name" validate:"max=5" doc:"What it is called." example:"Ann"`
		Email backend.Opt[string] `json:"email" validate:"omitempty,email"`
		Tree  *tree               `json:"tree"`
		Leaf  leaf                `json:"leaf"`
	}
	const schema = `"$schema":"https://json-schema.org/draft/2020-12/schema",`
	for _, test := range []struct {
		name      string
		of        *plan.Type
		direction plan.Direction
		want      string
	}{
		{"a struct, with rules", compile[input](t, plan.In), plan.In, `{` + schema + `"type":"object","additionalProperties":false,"required":["name","leaf"],
			"properties":{
				"name":{"type":"string","maxLength":5,"description":"What it is called.","examples":["Ann"]},
				"email":{"type":["string","null"],"format":"email"},
				"tree":{"anyOf":[{"$ref":"#/$defs/tree"},{"type":"null"}]},
				"leaf":{"$ref":"#/$defs/leaf"}
			},
			"$defs":{
				"leaf":{"type":"object","properties":{"a":{"type":"boolean"}},"required":["a"],"additionalProperties":false},
				"tree":{"type":"object","properties":{"Branches":{"type":"array","items":{"$ref":"#/$defs/tree"}}},"required":["Branches"],"additionalProperties":false}
			}}`},
		{"a struct that holds itself", compile[tree](t, plan.Out), plan.Out, `{` + schema + `"type":"object","required":["Branches"],
			"properties":{"Branches":{"type":"array","items":{"$ref":"#"}}}}`},
		{"a list that holds itself", compile[list](t, plan.Out), plan.Out, `{` + schema + `"type":"array","items":{"$ref":"#"}}`},
		{"a struct without a name", compile[struct{ A *leaf }](t, plan.Out), plan.Out, `{` + schema + `"type":"object","required":["A"],
			"properties":{"A":{"anyOf":[{"$ref":"#/$defs/leaf"},{"type":"null"}]}},
			"$defs":{"leaf":{"type":"object","properties":{"a":{"type":"boolean"}},"required":["a"]}}}`},
		{"a pointer", compile[*leaf](t, plan.Out), plan.Out, `{` + schema + `"anyOf":[{"$ref":"#/$defs/leaf"},{"type":"null"}],
			"$defs":{"leaf":{"type":"object","properties":{"a":{"type":"boolean"}},"required":["a"]}}}`},
		{"a list", compile[[]leaf](t, plan.Out), plan.Out, `{` + schema + `"type":"array","items":{"$ref":"#/$defs/leaf"},
			"$defs":{"leaf":{"type":"object","properties":{"a":{"type":"boolean"}},"required":["a"]}}}`},
		{"a number", compile[int32](t, plan.Out), plan.Out, `{` + schema + `"type":"integer","format":"int32"}`},
		{"any JSON", compile[json.RawMessage](t, plan.In), plan.In, `{"$schema":"https://json-schema.org/draft/2020-12/schema"}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			text, err := jsonschema.Document(test.of, test.direction, false)
			require.NoError(t, err)
			require.Equal(t, parse(t, test.want), parse(t, string(text)))
			again, err := jsonschema.Document(test.of, test.direction, false)
			require.NoError(t, err)
			require.Equal(t, string(text), string(again))
		})
	}
}

// stamp is a time in a form of its own.
type stamp time.Time

func (s stamp) MarshalText() ([]byte, error) {
	return time.Time(s).AppendFormat(nil, time.RFC3339), nil
}
func (s *stamp) UnmarshalText(text []byte) error {
	at, err := time.Parse(time.RFC3339, string(text))
	*s = stamp(at)
	return err
}

type looped struct {
	A loop `json:"a" format:"date"`
}

type loop *looped

func TestFormatTag(t *testing.T) {
	t.Parallel()
	type dated struct {
		At    stamp  `json:"at" format:"date-time"`
		Maybe *stamp `json:"maybe" format:"date-time" example:"2026-01-02T15:04:05Z"`
		Day   string `json:"day" format:"date" validate:"required"`
		Plain stamp  `json:"plain"`
	}
	for _, direction := range []plan.Direction{plan.In, plan.Out} {
		described, err := plan.NewCompiler(direction).Compile(reflect.TypeFor[dated]())
		require.NoError(t, err)
		text, err := jsonschema.Document(described, direction, false)
		require.NoError(t, err)
		var schema struct {
			Properties map[string]struct {
				Format string
				Type   any
			}
		}
		require.NoError(t, json.Unmarshal(text, &schema))
		require.Equal(t, "date-time", schema.Properties["at"].Format)
		require.Equal(t, "date-time", schema.Properties["maybe"].Format)
		require.Equal(t, []any{"string", "null"}, schema.Properties["maybe"].Type)
		require.Equal(t, "date", schema.Properties["day"].Format)
		require.Empty(t, schema.Properties["plain"].Format)
	}
	for _, wrong := range []any{
		struct {
			A int `json:"a" format:"int64"`
		}{},
		struct {
			A []stamp `json:"a" format:"date-time"`
		}{},
		struct {
			A time.Time `json:"a" format:"date"`
		}{},
		looped{},
	} {
		_, err := plan.NewCompiler(plan.Out).Compile(reflect.TypeOf(wrong))
		require.ErrorContains(t, err, "A: the tag format is for strings and types with MarshalText, and this is ")
	}
}
