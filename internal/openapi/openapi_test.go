package openapi_test

import (
	"encoding/json"
	"go/token"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
	"github.com/seed-215b9b7c/backend/internal/openapi"
	"github.com/seed-215b9b7c/backend/internal/plan"
	"github.com/seed-215b9b7c/backend/internal/validation"
)

// document is a description as its readers see it.
type document struct {
	Paths      map[string]map[string]operation
	Components struct{ Schemas map[string]any }
}

type operation struct {
	Parameters []struct {
		Name, In string
		Required bool
		Schema   map[string]any
	}
	RequestBody struct {
		Content map[string]struct{ Schema any }
	}
	Responses map[string]struct {
		Headers map[string]any
		Content map[string]struct{ Schema any }
	}
	Security *[]map[string][]string
}

func compile[T any](t *testing.T, direction plan.Direction) *plan.Type {
	t.Helper()
	compiled, err := plan.NewCompiler(direction).Compile(reflect.TypeFor[T]())
	require.NoError(t, err)
	return compiled
}

// describe returns the description of operations.
func describe(t *testing.T, operations ...openapi.Operation) document {
	t.Helper()
	d := openapi.New(openapi.Info{Title: "T", Version: "1", Servers: []string{"/"}, Bearer: true}, nil)
	for _, op := range operations {
		d.Add(op)
	}
	text, err := json.Marshal(d)
	require.NoError(t, err)
	var read document
	require.NoError(t, json.Unmarshal(text, &read))
	return read
}

// schemas returns the schemas of a field x of this type, as input and as output.
func schemas[T any](t *testing.T) (in, out any) {
	t.Helper()
	type input struct {
		X T `json:"x"`
	}
	d := describe(t, openapi.Operation{
		ID: "f", Method: "post", Path: "/f", Status: 200, Body: compile[input](t, plan.In), Out: compile[input](t, plan.Out),
	})
	f := d.Paths["/f"]["post"]
	in = d.follow(f.RequestBody.Content["application/json"].Schema)["properties"].(map[string]any)["x"]
	out = d.follow(f.Responses["200"].Content["application/json"].Schema)["properties"].(map[string]any)["x"]
	return in, out
}

// follow returns the schema that a reference means.
func (d document) follow(ref any) map[string]any {
	name := strings.TrimPrefix(ref.(map[string]any)["$ref"].(string), "#/components/schemas/")
	return d.Components.Schemas[name].(map[string]any)
}

func parse(t *testing.T, text string) (value any) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(text), &value), text)
	return value
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
		{"slice", schemas[[]bool], `{"type":"array","items":{"type":"boolean"}}`, `{"type":["array","null"],"items":{"type":"boolean"}}`},
		{"array", schemas[[2]bool], `{"type":"array","items":{"type":"boolean"},"minItems":2,"maxItems":2}`, ``},
		{"map", schemas[map[string]bool], `{"type":"object","additionalProperties":{"type":"boolean"}}`, `{"type":["object","null"],"additionalProperties":{"type":"boolean"}}`},
		{"pointer", schemas[*string], `{"type":["string","null"]}`, ``},
		{"pointer to a slice", schemas[*[]bool], `{"type":["array","null"],"items":{"type":"boolean"}}`, ``},
		{"opt", schemas[backend.Opt[int32]], `{"type":["integer","null"],"format":"int32"}`, ``},
		{"struct", schemas[leaf], `{"$ref":"#/components/schemas/leafInput"}`, `{"$ref":"#/components/schemas/leaf"}`},
		{"pointer to a struct", schemas[*leaf], `{"anyOf":[{"$ref":"#/components/schemas/leafInput"},{"type":"null"}]}`, `{"anyOf":[{"$ref":"#/components/schemas/leaf"},{"type":"null"}]}`},
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
	d := describe(t, openapi.Operation{ID: "f", Method: "post", Path: "/f", Status: 204, Body: compile[tagged](t, plan.In)})
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
		"leaf": {"$ref":"#/components/schemas/leaf","description":"A leaf."}
	}`), d.Components.Schemas["tagged"].(map[string]any)["properties"])
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
	d := describe(t, openapi.Operation{ID: "f", Method: "post", Path: "/f", Status: 200, Body: compile[presence](t, plan.In), Out: compile[presence](t, plan.Out)})
	in, out := d.Components.Schemas["presenceInput"].(map[string]any), d.Components.Schemas["presence"].(map[string]any)
	require.Equal(t, []any{"plain"}, in["required"])
	require.Equal(t, []any{"plain", "pointer"}, out["required"])
	require.Equal(t, false, in["additionalProperties"], "unknown fields are refused")
	require.NotContains(t, out, "additionalProperties", "clients must expect new ones")
	properties := out["properties"].(map[string]any)
	require.Equal(t, parse(t, `{"type":["string","null"]}`), properties["pointer"])
	for name, schema := range map[string]string{
		"both": `{"$ref":"#/components/schemas/leaf"}`, "gone": `{"type":"string"}`,
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
	d := describe(t,
		openapi.Operation{ID: "f", Method: "post", Path: "/f", Status: 204, Body: body},
		openapi.Operation{ID: "g", Method: "get", Path: "/g", Status: 204, Params: parameters[struct {
			Needed *string  `json:"needed" validate:"required"`
			Word   string   `json:"word,omitempty" validate:"required"`
			List   []string `json:"list" validate:"required"`
			Free   *string  `json:"free"`
		}](t, "query")})
	schema := d.Components.Schemas["input"].(map[string]any)
	properties := schema["properties"].(map[string]any)
	for name, want := range map[string]string{
		"pointer": `{"type":"string","maxLength":5}`, "choice": `{"type":"string","enum":["a","b"]}`, "opt": `{"type":"integer","format":"int32","minimum":1}`,
		"leaf": `{"$ref":"#/components/schemas/leaf"}`, "count": `{"type":"integer","format":"int32","minimum":1,"maximum":255}`,
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
	for _, param := range d.Paths["/g"]["get"].Parameters {
		require.Equal(t, param.Name != "free", param.Required, param.Name)
	}
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
	d := describe(t, openapi.Operation{ID: "f", Method: "post", Path: "/f", Status: 204, Body: compile[input](t, plan.In)})
	properties := d.Components.Schemas["input"].(map[string]any)["properties"].(map[string]any)
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
	d := describe(t, openapi.Operation{ID: "f", Method: "get", Path: "/f", Status: 200, Out: compile[all](t, plan.Out)})
	s := d.Components.Schemas
	require.Equal(t, parse(t, `{"type":["array","null"],"items":{"$ref":"#/components/schemas/tree"}}`), s["tree"].(map[string]any)["properties"].(map[string]any)["Branches"])
	require.Equal(t, parse(t, `{"type":["array","null"],"items":{"$ref":"#/components/schemas/list"}}`), s["list"])
	require.Equal(t, parse(t, `{"type":["object","null"],"additionalProperties":{"type":["array","null"],"items":{"anyOf":[{"$ref":"#/components/schemas/folder"},{"type":"null"}]}}}`), s["folder"])
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

func TestNamesThatClash(t *testing.T) {
	t.Parallel()
	var operations []openapi.Operation
	add := func(id string, of reflect.Type) {
		out, err := plan.NewCompiler(plan.Out).Compile(of)
		require.NoError(t, err)
		operations = append(operations, openapi.Operation{ID: id, Method: "get", Path: "/" + id, Status: 200, Out: out})
	}
	add("own", reflect.TypeFor[File]())
	add("token", reflect.TypeFor[token.Position]())
	add("ast", reflect.TypeFor[struct{ P position }]())
	add("local1", local1())
	add("local2", local2())
	add("again", reflect.TypeFor[File]())
	add("problem", reflect.TypeFor[Problem]())
	d := describe(t, operations...)
	ref := func(id string) string {
		return d.Paths["/"+id]["get"].Responses["200"].Content["application/json"].Schema.(map[string]any)["$ref"].(string)
	}
	require.Equal(t, "#/components/schemas/File", ref("own"))
	require.Equal(t, ref("own"), ref("again"))
	seen := map[string]bool{}
	for id, field := range map[string]string{"own": "Mine", "local1": "Local1", "local2": "Local2"} {
		name := ref(id)[len("#/components/schemas/"):]
		require.False(t, seen[name], name)
		seen[name] = true
		require.Contains(t, d.Components.Schemas[name].(map[string]any)["properties"], field, "%s is %s", id, name)
	}
	require.NotEqual(t, "#/components/schemas/Problem", ref("problem"), "that is what errors are")
	require.Contains(t, d.Components.Schemas["Problem"].(map[string]any)["properties"], "code")
	for name := range d.Components.Schemas {
		require.Regexp(t, `^[a-zA-Z0-9._-]+$`, name, "OpenAPI 3.1.0, section 4.8.7")
	}
}

type position struct{ At token.Position }

// Problem has the name of the schema of errors.
type Problem struct{ Mine bool }

type pair[A, B any] struct {
	First  A
	Second B
}

func TestGenericNames(t *testing.T) {
	t.Parallel()
	d := describe(t, openapi.Operation{ID: "f", Method: "get", Path: "/f", Status: 200, Out: compile[pair[pair[int, *leaf], map[string][]leaf]](t, plan.Out)})
	for name := range d.Components.Schemas {
		require.Regexp(t, `^[a-zA-Z0-9._-]+$`, name)
	}
	require.Len(t, d.Components.Schemas, 4) // two pairs, leaf and Problem
}

// parameters compiles a struct whose fields are parameters of a place.
func parameters[T any](t *testing.T, place string) (params []openapi.Param) {
	t.Helper()
	for _, field := range compile[T](t, plan.In).Fields {
		params = append(params, openapi.Param{Place: place, Name: field.Name, Field: field})
	}
	return params
}

func TestParameters(t *testing.T) {
	t.Parallel()
	type input struct {
		Needed  string              `json:"needed"`
		Limit   int32               `json:"limit,omitempty" validate:"max=50" doc:"How many."`
		Since   *time.Time          `json:"since"`
		Theme   backend.Opt[string] `json:"theme,omitzero"`
		IDs     []int32             `json:"ids"`
		Data    []byte              `json:"data,omitempty"`
		Colours []string            `json:"colours,omitempty" validate:"max=5,dive,oneof=red blue"`
	}
	d := describe(t, openapi.Operation{ID: "f", Method: "get", Path: "/f", Status: 200, Params: parameters[input](t, "query")})
	got := map[string]any{}
	for _, p := range d.Paths["/f"]["get"].Parameters {
		require.Equal(t, "query", p.In)
		require.Equal(t, p.Name == "needed", p.Required, p.Name)
		got[p.Name] = p.Schema
	}
	require.Equal(t, parse(t, `{
		"needed": {"type":"string"},
		"limit": {"type":"integer","format":"int32","maximum":50},
		"since": {"type":"string","format":"date-time"},
		"theme": {"type":"string"},
		"ids": {"type":"array","items":{"type":"integer","format":"int32"}},
		"data": {"type":"string","contentEncoding":"base64url"},
		"colours": {"type":"array","items":{"type":"string","enum":["red","blue"]},"maxItems":5}
	}`), any(got), "never null, for there is no such text")
}

func TestHeadersThatOpenAPISaysElsewhere(t *testing.T) {
	t.Parallel()
	type input struct {
		A string `json:"accept"`
		B string `json:"Content-Type"`
		C string `json:"authorization"`
		D string `json:"idempotency-key"`
		E string `json:"X-Own"`
	}
	d := describe(t, openapi.Operation{ID: "f", Method: "post", Path: "/f", Status: 204, Params: parameters[input](t, "header"), Key: true, Match: true, MatchRequired: true})
	var names []string
	for _, p := range d.Paths["/f"]["post"].Parameters {
		names = append(names, p.Name)
		require.Equal(t, p.Name != "Idempotency-Key", p.Required, p.Name)
	}
	require.Equal(t, []string{"idempotency-key", "X-Own", "If-Match"}, names)
}

func TestPathsThatDifferInNamesOnlyAreOne(t *testing.T) {
	t.Parallel()
	type byID struct {
		ID string `json:"id"`
	}
	type byName struct {
		Name string `json:"name"`
	}
	second := parameters[byName](t, "path")
	d := describe(t,
		openapi.Operation{ID: "a", Method: "get", Path: "/x/{id}", Status: 204, Params: parameters[byID](t, "path")},
		openapi.Operation{ID: "b", Method: "put", Path: "/x/{name}", Status: 204, Params: second})
	require.Len(t, d.Paths, 1, "OpenAPI 3.1.0, section 4.8.8.2")
	require.Equal(t, "id", d.Paths["/x/{id}"]["put"].Parameters[0].Name)
	require.Equal(t, "name", second[0].Name, "the caller's is not changed")
}

func TestResponses(t *testing.T) {
	t.Parallel()
	d := describe(t,
		openapi.Operation{ID: "a", Method: "get", Path: "/a", Status: 200, Out: compile[string](t, plan.Out), Tagged: true, Revalidated: true, Paged: true, Deprecated: true, Sunset: true},
		openapi.Operation{ID: "b", Method: "post", Path: "/a", Status: 201, Out: compile[string](t, plan.Out), Located: true, Key: true},
		openapi.Operation{ID: "c", Method: "delete", Path: "/a", Status: 204})
	names := func(method, status string) (names []string) {
		for name := range d.Paths["/a"][method].Responses[status].Headers {
			names = append(names, name)
		}
		return names
	}
	require.ElementsMatch(t, []string{"ETag", "Link", "Deprecation", "Sunset"}, names("get", "200"))
	require.ElementsMatch(t, []string{"ETag"}, names("get", "304"))
	require.ElementsMatch(t, []string{"Location", "Idempotency-Replayed"}, names("post", "201"))
	require.Empty(t, names("delete", "204"))
	for method, at := range d.Paths["/a"] {
		require.Contains(t, at.Responses, "4XX", method)
		require.Contains(t, at.Responses, "5XX", method)
	}
	require.Empty(t, d.Paths["/a"]["delete"].Responses["204"].Content)
}

func TestSecurity(t *testing.T) {
	t.Parallel()
	public := openapi.Operation{ID: "a", Method: "get", Path: "/a", Status: 204}
	secured := openapi.Operation{ID: "b", Method: "get", Path: "/b", Status: 204, Secured: true, Access: "signed in"}
	d := describe(t, public, secured)
	require.Equal(t, &[]map[string][]string{}, d.Paths["/a"]["get"].Security)
	require.Equal(t, &[]map[string][]string{{"bearer": {}}}, d.Paths["/b"]["get"].Security)

	unknown := openapi.New(openapi.Info{Title: "T", Version: "1", Servers: []string{"/"}}, nil)
	unknown.Add(secured)
	text, err := json.Marshal(unknown)
	require.NoError(t, err)
	require.NotContains(t, string(text), `"security":`, "an empty list would say that everybody may")
}

func TestBodyOfSomeFields(t *testing.T) {
	t.Parallel()
	type change struct {
		ID   string `json:"id"`
		Name string `json:"name"`
	}
	body := compile[change](t, plan.In)
	d := describe(t,
		openapi.Operation{ID: "rename", Method: "patch", Path: "/a", Status: 204, Body: body, BodyFields: body.Fields[1:]},
		openapi.Operation{ID: "make", Method: "post", Path: "/a", Status: 204, Body: body, BodyFields: body.Fields})
	of := func(method, mediaType string) map[string]any {
		return d.follow(d.Paths["/a"][method].RequestBody.Content[mediaType].Schema)["properties"].(map[string]any)
	}
	require.Len(t, of("patch", "application/merge-patch+json"), 1)
	require.Equal(t, of("patch", "application/json"), of("patch", "application/merge-patch+json"))
	require.Len(t, of("post", "application/json"), 2)
	require.NotContains(t, d.Paths["/a"]["post"].RequestBody.Content, "application/merge-patch+json")
}

func TestDescriptionsAreTheSameEachTime(t *testing.T) {
	t.Parallel()
	write := func() string {
		d := openapi.New(openapi.Info{Title: "T", Version: "1", Servers: []string{"/"}, Bearer: true, Cookie: "c", License: "MIT"}, nil)
		d.Add(openapi.Operation{ID: "f", Method: "post", Path: "/f", Status: 200, Secured: true, Tags: []string{"b", "a"}, Body: compile[tagged](t, plan.In), Out: compile[tree](t, plan.Out), Key: true, Tagged: true, Revalidated: true})
		text, err := json.Marshal(d)
		require.NoError(t, err)
		again, err := json.Marshal(d)
		require.NoError(t, err)
		require.Equal(t, string(text), string(again))
		return string(text)
	}
	first := write()
	for range 20 {
		require.Equal(t, first, write())
	}
	require.Contains(t, first, `"security":[{"bearer":[]},{"cookie":[]}]`)
	require.Contains(t, first, `"tags":[{"name":"b"},{"name":"a"}]`)
}
