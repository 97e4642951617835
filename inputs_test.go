package backend_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
	"github.com/seed-215b9b7c/backend/backendtest"
	"github.com/seed-215b9b7c/backend/internal/toydoor"
)

// This file tests what clients of others send: no body, {} where none is needed, fields
// that nobody knows, and what they are told about missing and empty fields.

// returning returns an operation that returns its input.
func returning[In any](name string, options ...backend.Option) backend.Definition {
	f := func(_ context.Context, in In) (In, error) { return in, nil }
	return backend.Mutation(name, backend.Public, f, append(options, backend.OutsideTx(), backend.Status(200))...)
}

// echoes are a door of each kind that has the same operations.
type echoes struct{ rest, toy *backendtest.Client }

func newEchoes(t *testing.T, definitions ...backend.Definition) echoes {
	t.Helper()
	logic := backend.NewLogic(nil, nil, backend.LogicConfig{})
	logic.Add(definitions...)
	r := backend.NewRouter()
	rest := logic.REST()
	r.Mount("/", rest)
	r.Handle("GET /openapi.json", rest.OpenAPI(backend.OpenAPIConfig{}))
	return echoes{backendtest.NewClient(t, r), backendtest.NewClient(t, toydoor.New(logic))}
}

// said returns the status and either the body of a success, or the code, text and fields
// of an error.
func said(r *backendtest.Response) (status int, text string) {
	if r.StatusCode < 300 {
		return r.StatusCode, string(r.Body)
	}
	problem := r.Problem()
	text = problem.Detail
	for _, field := range problem.Errors {
		text += "\n" + field.Pointer + " " + field.Rule + ": " + field.Message
	}
	return r.StatusCode, text
}

type optionalFields struct {
	Note  backend.Opt[string] `json:"note,omitzero"`
	Limit int                 `json:"limit" default:"20"`
}

type wholeBody struct {
	Note *struct {
		Text string `json:"text"`
	} `json:"note" in:"body"`
}

func TestRESTBodies(t *testing.T) {
	t.Parallel()
	c := newEchoes(t,
		returning[backend.None]("none", backend.Route("POST /none")),
		returning[itemID]("path", backend.Route("POST /path/{id}")),
		returning[optionalFields]("strict", backend.Route("PATCH /strict")),
		returning[optionalFields]("optional", backend.Route("PATCH /optional"), backend.OptionalBody()),
		returning[wholeBody]("whole", backend.Route("PUT /whole"), backend.OptionalBody()),
	).rest
	const (
		asJSON  = "application/json"
		form    = "application/x-www-form-urlencoded"
		missing = "The body is missing. Send it as application/json in UTF-8."
		noBody  = "This request takes no body."
	)
	for _, test := range []struct {
		method, path, contentType, body string
		status                          int
		says                            string
	}{
		{"POST", "/none", "", "", 200, "{}"},
		{"POST", "/none", asJSON, "", 200, "{}"},
		{"POST", "/none", asJSON, "{}", 200, "{}"},
		{"POST", "/none", asJSON, " {\n} ", 200, "{}"},
		{"POST", "/none", form, "", 200, "{}"},
		{"POST", "/none", form, "a=1", 400, noBody},
		{"POST", "/none", "", "{}", 400, noBody},
		{"POST", "/none", asJSON, "{", 400, "The body is not valid: it ends too early at byte 1."},
		{"POST", "/none", asJSON, `{"a":1}`, 422, "The input is not valid.\n/a unknown: is not a field of this request"},
		{"POST", "/none", asJSON, "null", 422, "The input is not valid.\n null: must not be null"},
		{"POST", "/none", asJSON, "[]", 422, "The input is not valid.\n type: must be an object"},
		{"POST", "/path/7", asJSON, "{}", 200, `{"id":"7"}`},
		{"POST", "/path/7", asJSON, `{"id":"8"}`, 422, "The input is not valid.\n/id unknown: is not a field of this request"},
		{"PATCH", "/strict", "", "", 400, missing},
		{"PATCH", "/strict", asJSON, "", 400, missing},
		{"PATCH", "/strict", asJSON, " \n", 400, missing},
		{"PATCH", "/strict", form, "", 400, missing},
		{"PATCH", "/strict", asJSON, "{}", 200, `{"limit":20}`},
		{"PATCH", "/optional", "", "", 200, `{"limit":20}`},
		{"PATCH", "/optional", asJSON, "", 200, `{"limit":20}`},
		{"PATCH", "/optional", asJSON, `{"note":"a"}`, 200, `{"note":"a","limit":20}`},
		{"PATCH", "/optional", asJSON, `{"nope":"a"}`, 422, "The input is not valid.\n/nope unknown: is not a field of this request"},
		{"PATCH", "/optional", "", `{"note":"a"}`, 415, "Send the body as application/json in UTF-8."},
		{"PUT", "/whole", "", "", 200, `{"note":null}`},
		{"PUT", "/whole", asJSON, `{"text":"a"}`, 200, `{"note":{"text":"a"}}`},
		{"PUT", "/whole", asJSON, `{}`, 422, "The input is not valid.\n/text required: is missing"},
	} {
		at := test.method + " " + test.path + " " + test.contentType + " " + test.body
		status, text := said(c.With("Content-Type", test.contentType).Do(test.method, test.path, test.body))
		require.Equal(t, test.status, status, "%s: %s", at, text)
		require.Equal(t, test.says, text, at)
	}
	var document struct {
		Paths map[string]map[string]struct {
			RequestBody *struct{ Required bool }
		}
	}
	c.Get("/openapi.json").Expect(200).JSON(&document)
	require.Nil(t, document.Paths["/none"]["post"].RequestBody)
	require.Nil(t, document.Paths["/path/{id}"]["post"].RequestBody)
	require.True(t, document.Paths["/strict"]["patch"].RequestBody.Required)
	require.False(t, document.Paths["/optional"]["patch"].RequestBody.Required)
	require.False(t, document.Paths["/whole"]["put"].RequestBody.Required)
}

func TestEmptyInputsOfCustomDoors(t *testing.T) {
	t.Parallel()
	c := newEchoes(t, returning[backend.None]("none"), returning[optionalFields]("strict"), returning[optionalFields]("optional", backend.OptionalBody()), returning[itemID]("needed", backend.OptionalBody())).toy
	for _, test := range []struct {
		name, body string
		status     int
		says       string
	}{
		{"none", "", 200, "{}\n"},
		{"none", " ", 200, "{}\n"},
		{"none", "{}", 200, "{}\n"},
		{"strict", "", 400, "The body is missing."},
		{"strict", "{}", 200, `{"limit":20}` + "\n"},
		{"optional", "", 200, `{"limit":20}` + "\n"},
		{"needed", "", 422, "The input is not valid.\n/id required: is missing"},
	} {
		status, text := said(c.Post("/"+test.name, test.body))
		require.Equal(t, test.status, status, "%s %q: %s", test.name, test.body, text)
		require.Equal(t, test.says, text, "%s %q", test.name, test.body)
	}
}

func TestOptionalBodyMistakes(t *testing.T) {
	t.Parallel()
	type required struct {
		Title string `json:"title"`
	}
	type ruled struct {
		Title string `json:"title,omitempty" validate:"min=1"`
	}
	type whole struct {
		List []int `json:"list" in:"body"`
	}
	for want, definition := range map[string]backend.Definition{
		"OptionalBody: the field Title comes from the body and is required": returning[required]("a", backend.Route("POST /a"), backend.OptionalBody()),
		"OptionalBody: the field Title comes":                               returning[ruled]("a", backend.Route("POST /a"), backend.OptionalBody()),
		"OptionalBody: the field List comes":                                returning[whole]("a", backend.Route("POST /a"), backend.OptionalBody()),
		"OptionalBody: no field comes from the body":                        returning[itemID]("a", backend.Route("POST /a/{id}"), backend.OptionalBody()),
		"OptionalBody is for mutations, but this is a query": backend.Query("a", backend.Public,
			func(context.Context, optionalFields) (int, error) { return 1, nil }, backend.Route("GET /a"), backend.OptionalBody()),
	} {
		require.Contains(t, panicText(func() {
			logic := backend.NewLogic(nil, nil, backend.LogicConfig{})
			logic.Add(definition)
			logic.REST()
		}), want)
	}
}

type webhook struct {
	Event string  `json:"event" validate:"max=10"`
	Items []inner `json:"items,omitempty"`
}

type inner struct {
	ID   backend.ID     `json:"id"`
	Next *inner         `json:"next,omitzero"`
	More map[string]int `json:"more,omitempty"`
}

func TestIgnoreUnknown(t *testing.T) {
	t.Parallel()
	type whole struct {
		ID   backend.ID `json:"id"`
		Hook webhook    `json:"hook" in:"body"`
	}
	find := func(_ context.Context, in optionalFields) (optionalFields, error) { return in, nil }
	c := newEchoes(t,
		returning[webhook]("strict", backend.Route("POST /strict")),
		returning[webhook]("lenient", backend.Route("POST /lenient"), backend.IgnoreUnknown()),
		returning[whole]("whole", backend.Route("PUT /whole/{id}"), backend.IgnoreUnknown()),
		returning[backend.None]("none", backend.Route("POST /none"), backend.IgnoreUnknown()),
		returning[optionalFields]("fields", backend.Route("POST /fields"), backend.IgnoreUnknown()),
		backend.Query("find", backend.Public, find, backend.Route("GET /find"), backend.IgnoreUnknown()),
	)
	const (
		sent    = `{"Event":1,"event":"a","id":[{"x":{}}],"items":[{"id":"1","a":1,"next":{"id":"2","a":{"id":null}},"more":{"k":1}}]}`
		kept    = `{"event":"a","items":[{"id":"1","next":{"id":"2"},"more":{"k":1}}]}`
		invalid = "The input is not valid."
	)
	for _, test := range []struct {
		method, path, body string
		status             int
		says               string
	}{
		{"POST", "/strict", sent, 422, invalid + "\n/Event unknown: is not a field of this request\n/id unknown: is not a field of this request" +
			"\n/items/0/a unknown: is not a field of this request\n/items/0/next/a unknown: is not a field of this request"},
		{"POST", "/lenient", sent, 200, kept},
		{"POST", "/lenient", `{"event":"a","x":1,"x":2}`, 400, "The body is not valid: there is a name twice in one object at byte 19."},
		{"POST", "/lenient", `{"event":"a","x":{"y":1,"y":2}}`, 400, "The body is not valid: there is a name twice in one object at byte 24."},
		{"POST", "/lenient", `{"event":"a","x":[1}`, 400, "The body is not valid: it breaks the rules of JSON at byte 19."},
		{"POST", "/lenient", `{"Event":"a"}`, 422, invalid + "\n/event required: is missing"},
		{"POST", "/lenient", `{"x":1,"event":"longer than ten"}`, 422, invalid + "\n/event max: may have at most 10 characters"},
		{"POST", "/lenient", ``, 400, "The body is missing. Send it as application/json in UTF-8."},
		{"POST", "/lenient?event=b&x=1", `{"event":"a"}`, 200, `{"event":"a"}`},
		{"PUT", "/whole/7", `{"event":"a","id":"8"}`, 200, `{"id":"7","hook":{"event":"a"}}`},
		{"POST", "/none", `{"a":1}`, 200, "{}"},
		{"POST", "/none", `[]`, 422, invalid + "\n type: must be an object"},
		{"POST", "/fields", `{"limit":7,"other":1}`, 200, `{"limit":7}`},
		{"GET", "/find?limit=7&x=1&Limit=8&include=y", ``, 200, `{"limit":7}`},
		{"GET", "/find?limit=7&limit=8&x=1", ``, 422, invalid + "\n/limit format: is given more than once"},
	} {
		status, text := said(c.rest.Do(test.method, test.path, test.body))
		require.Equal(t, test.status, status, "%s %s: %s", test.path, test.body, text)
		require.Equal(t, test.says, text, "%s %s", test.path, test.body)
	}
	status, text := said(c.toy.Post("/strict", `{"event":"a","x":1}`))
	require.Equal(t, 422, status)
	require.Equal(t, invalid+"\n/x unknown: is not a field of this request", text)
	status, text = said(c.toy.Post("/lenient", sent))
	require.Equal(t, 200, status)
	require.Equal(t, kept+"\n", text)
	status, text = said(c.toy.Post("/find", `{"limit":7,"x":1}`))
	require.Equal(t, 200, status)
	require.JSONEq(t, `{"limit":7}`, text)
}

// A type has one schema for operations that ignore unknown fields, and one for others.
func TestIgnoreUnknownIsDescribed(t *testing.T) {
	t.Parallel()
	type narrow struct {
		ID    backend.ID `json:"id"`
		Inner inner      `json:"inner"`
	}
	c := newEchoes(t,
		returning[webhook]("strict", backend.Route("POST /strict")),
		returning[webhook]("lenient", backend.Route("POST /lenient"), backend.IgnoreUnknown()),
		returning[narrow]("strictPath", backend.Route("POST /strict/{id}")),
		returning[narrow]("lenientPath", backend.Route("POST /lenient/{id}"), backend.IgnoreUnknown()),
	)
	var document struct {
		Paths map[string]map[string]struct {
			RequestBody struct {
				Content map[string]struct {
					Schema struct {
						Ref string `json:"$ref"`
					}
				}
			}
		}
		Components struct {
			Schemas map[string]struct {
				AdditionalProperties any
				Properties           map[string]struct {
					Ref   string `json:"$ref"`
					Items struct {
						Ref string `json:"$ref"`
					}
				}
			}
		}
	}
	c.rest.Get("/openapi.json").Expect(200).JSON(&document)
	const prefix = "#/components/schemas/"
	for path, want := range map[string]any{"/strict": false, "/strict/{id}": false, "/lenient": nil, "/lenient/{id}": nil} {
		ref := document.Paths[path]["post"].RequestBody.Content["application/json"].Schema.Ref
		schema, known := document.Components.Schemas[strings.TrimPrefix(ref, prefix)]
		require.True(t, known, "%s: %s", path, ref)
		require.Equal(t, want, schema.AdditionalProperties, path)
		within, known := document.Components.Schemas[strings.TrimPrefix(schema.Properties["items"].Items.Ref+schema.Properties["inner"].Ref, prefix)]
		require.True(t, known, path)
		require.Equal(t, want, within.AdditionalProperties, path)
	}
	require.Contains(t, string(c.toy.Get("/strict").Expect(200).Body), "additionalProperties\":false")
	lenient := string(c.toy.Get("/lenient").Expect(200).Body)
	require.Contains(t, lenient, `"event"`)
	require.NotContains(t, lenient, "additionalProperties\":false")
}

func TestMissingAndEmpty(t *testing.T) {
	t.Parallel()
	type fields struct {
		Plain   string                `json:"plain" validate:"required"`
		Omitted string                `json:"omitted,omitempty" validate:"required"`
		Count   int                   `json:"count,omitempty" validate:"required"`
		Pointer *string               `json:"pointer,omitzero" validate:"required"`
		Opt     backend.Opt[string]   `json:"opt,omitzero" validate:"required"`
		Full    backend.Opt[string]   `json:"full,omitzero" validate:"notempty,max=3"`
		List    backend.Opt[[]string] `json:"list,omitzero" validate:"notempty,max=3"`
		Default string                `json:"default" default:"a" validate:"notempty"`
	}
	type texts struct {
		Query  string              `json:"query" in:"query" validate:"required"`
		Opt    backend.Opt[string] `json:"opt,omitzero" in:"query" validate:"notempty"`
		Header string              `json:"header,omitempty" in:"header=X-Text" validate:"notempty"`
		List   []string            `json:"list,omitempty" in:"query" validate:"required,max=3"`
	}
	find := func(_ context.Context, in texts) (texts, error) { return in, nil }
	c := newEchoes(t, returning[fields]("put", backend.Route("PUT /put")), backend.Query("find", backend.Public, find, backend.Route("GET /find")))
	for body, want := range map[string]string{
		`{}`: "/plain required: is missing\n/omitted required: is missing\n/count required: is missing\n/pointer required: is missing" +
			"\n/opt required: is missing\n/full required: is missing\n/list required: is missing",
		`{"plain":"","omitted":"","count":0,"pointer":null,"opt":null,"full":null,"list":null}`: "/plain required: must not be empty\n/omitted required: must not be empty" +
			"\n/count required: must not be 0\n/pointer required: must not be null\n/opt required: must not be null\n/full notempty: must not be null\n/list notempty: must not be null",
		`{"plain":"a","omitted":"a","count":1,"pointer":"","opt":"","full":"","list":[],"default":""}`: "/full notempty: must not be empty\n/list notempty: must not be empty\n/default notempty: must not be empty",
		`{"plain":"a","omitted":"a","count":1,"pointer":"","opt":"","full":"long","list":["a"]}`:       "/full max: may have at most 3 characters",
	} {
		for _, client := range []*backendtest.Client{c.rest, c.toy} {
			method := map[bool]string{true: "PUT", false: "POST"}[client == c.rest]
			status, text := said(client.Do(method, "/put", body))
			require.Equal(t, 422, status, text)
			require.Equal(t, "The input is not valid.\n"+want, text, body)
		}
	}
	for query, want := range map[string]string{
		"":             "/X-Text required: is missing\n/opt required: is missing\n/query required: is missing\n/list required: is missing",
		"?query=&opt=": "/X-Text required: is missing\n/query required: must not be empty\n/opt notempty: must not be empty\n/list required: is missing",
	} {
		status, text := said(c.rest.Get("/find" + query))
		require.Equal(t, 422, status, text)
		require.Equal(t, "The input is not valid.\n"+want, text, query)
	}
	status, text := said(c.rest.With("X-Text", "a").Get("/find?query=&opt="))
	require.Equal(t, 422, status, text)
	require.Equal(t, "The input is not valid.\n/query required: must not be empty\n/opt notempty: must not be empty\n/list required: is missing", text)
	var document struct {
		Components struct {
			Schemas map[string]struct {
				Required   []string
				Properties map[string]struct {
					Type                any
					MinLength, MinItems int
				}
			}
		}
	}
	c.rest.Get("/openapi.json").Expect(200).JSON(&document)
	for name, schema := range document.Components.Schemas {
		if full, known := schema.Properties["full"]; known && slices.Contains(schema.Required, "omitted") {
			require.Equal(t, []string{"plain", "omitted", "count", "pointer", "opt", "full", "list"}, schema.Required, name)
			require.Equal(t, "string", full.Type)
			require.Equal(t, 1, full.MinLength)
			require.Equal(t, "array", schema.Properties["list"].Type)
			require.Equal(t, 1, schema.Properties["list"].MinItems)
			return
		}
	}
	t.Fatal("no schema has the fields")
}
