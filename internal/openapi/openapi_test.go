package openapi_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
	"github.com/seed-215b9b7c/backend/internal/jsonschema"
	"github.com/seed-215b9b7c/backend/internal/openapi"
	"github.com/seed-215b9b7c/backend/internal/plan"
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
	d := openapi.New(openapi.Info{Title: "T", Version: "1", Servers: []string{"/"}, Schemes: []openapi.Scheme{{ID: "bearer", HTTP: "bearer"}}}, jsonschema.NewNames(openapi.Problem), nil)
	for _, op := range operations {
		d.Add(op)
	}
	text, err := json.Marshal(d)
	require.NoError(t, err)
	var read document
	require.NoError(t, json.Unmarshal(text, &read))
	return read
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

// The rule required refuses parameters that are absent, whatever the type says.
func TestParametersRequiredByRule(t *testing.T) {
	t.Parallel()
	d := describe(t, openapi.Operation{ID: "g", Method: "get", Path: "/g", Status: 204, Params: parameters[struct {
		Needed *string  `json:"needed" validate:"required"`
		Word   string   `json:"word,omitempty" validate:"required"`
		List   []string `json:"list" validate:"required"`
		Free   *string  `json:"free"`
	}](t, "query")})
	require.Len(t, d.Paths["/g"]["get"].Parameters, 4)
	for _, param := range d.Paths["/g"]["get"].Parameters {
		require.Equal(t, param.Name != "free", param.Required, param.Name)
	}
}

// Problem has the name of the schema of errors.
type Problem struct{ Mine bool }

func TestNameOfErrors(t *testing.T) {
	t.Parallel()
	d := describe(t, openapi.Operation{ID: "f", Method: "get", Path: "/f", Status: 200, Out: compile[Problem](t, plan.Out)})
	schema := d.Paths["/f"]["get"].Responses["200"].Content["application/json"].Schema
	require.Contains(t, d.follow(schema)["properties"], "Mine")
	require.Contains(t, d.Components.Schemas[openapi.Problem].(map[string]any)["properties"], "code")
	for name := range d.Components.Schemas {
		require.Regexp(t, `^[a-zA-Z0-9._-]+$`, name, "OpenAPI 3.1.0, section 4.8.7")
	}
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

	unknown := openapi.New(openapi.Info{Title: "T", Version: "1", Servers: []string{"/"}}, jsonschema.NewNames(openapi.Problem), nil)
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

type tagged struct {
	Doc    string              `json:"doc" doc:"What." example:"a"`
	Number int32               `json:"number" example:"7" validate:"gt=0,lt=10"`
	Patch  backend.Opt[string] `json:"patch,omitzero" validate:"omitempty,max=5"`
	Trees  map[string]*tree    `json:"trees"`
}

type tree struct{ Branches []tree }

func TestDescriptionsAreTheSameEachTime(t *testing.T) {
	t.Parallel()
	write := func() string {
		d := openapi.New(openapi.Info{Title: "T", Version: "1", Servers: []string{"/"}, Schemes: []openapi.Scheme{{ID: "bearer", HTTP: "bearer"}, {ID: "cookie", In: "cookie", Name: "c"}}, License: "MIT"}, jsonschema.NewNames(openapi.Problem), nil)
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
