package backend_test

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
	"github.com/seed-215b9b7c/backend/backendtest"
)

// description returns the OpenAPI description of the shop.
func description(t *testing.T) []byte {
	t.Helper()
	_, logic := newShop(t, backendtest.NewDB(t, backend.SQLite))
	r := backend.NewRouter()
	rest := logic.REST()
	r.Mount("/api", rest)
	r.Handle("GET /openapi.json", rest.OpenAPI(backend.OpenAPIConfig{Title: "Shop", License: "MIT", Bearer: true}))
	w := httptest.NewRecorder()
	r.ServeHTTP(w, httptest.NewRequest("GET", "/openapi.json", nil))
	require.Equal(t, 200, w.Code, w.Body)
	require.Equal(t, "application/json", w.Header().Get("Content-Type"))
	return w.Body.Bytes()
}

func TestOpenAPI(t *testing.T) {
	t.Parallel()
	text := description(t)
	var document struct {
		OpenAPI string
		Servers []struct{ URL string }
		Paths   map[string]map[string]struct {
			OperationID string
			Parameters  []map[string]any
			RequestBody struct{ Content map[string]map[string]any }
			Responses   map[string]map[string]any
			Security    []map[string][]string
		}
		Components struct{ Schemas map[string]map[string]any }
	}
	require.NoError(t, json.Unmarshal(text, &document))
	require.Equal(t, "3.1.0", document.OpenAPI)
	require.Equal(t, "/api", document.Servers[0].URL)
	create := document.Paths["/items"]["post"]
	require.Equal(t, "createItem", create.OperationID)
	require.Equal(t, []map[string][]string{{"bearer": {}}}, create.Security)
	require.Len(t, create.Parameters, 2)
	require.Equal(t, "include", create.Parameters[0]["name"])
	require.Equal(t, "Idempotency-Key", create.Parameters[1]["name"])
	require.Contains(t, create.Responses["201"]["headers"], "Location")
	require.Contains(t, create.Responses, "4XX")
	require.Equal(t, map[string]any{"$ref": "#/components/schemas/newItem"}, create.RequestBody.Content["application/json"]["schema"])
	require.Equal(t, map[string]any{
		"type": "object", "additionalProperties": false, "required": []any{"name"},
		"properties": map[string]any{
			"name":  map[string]any{"type": "string", "minLength": 1.0, "maxLength": 20.0},
			"price": map[string]any{"type": []any{"number", "null"}, "format": "double", "minimum": 0.0},
			"tags":  map[string]any{"type": "array", "maxItems": 3.0, "items": map[string]any{"type": "string", "maxLength": 5.0}},
		},
	}, document.Components.Schemas["newItem"])
	require.Equal(t, map[string]any{
		"type": "object", "required": []any{"id", "name", "price", "owner", "version"},
		"properties": map[string]any{
			"id": map[string]any{"type": "string", "pattern": "^(0|-?[1-9][0-9]*)$", "examples": []any{"1"}}, "name": map[string]any{"type": "string"}, "owner": map[string]any{"type": "string"},
			"price": map[string]any{"type": []any{"number", "null"}, "format": "double"}, "version": map[string]any{"type": "integer", "format": "int64"},
			"seller": map[string]any{"anyOf": []any{map[string]any{"$ref": "#/components/schemas/seller"}, map[string]any{"type": "null"}}, "description": "(only if include asks for it)"},
		},
	}, document.Components.Schemas["item"])
	require.Contains(t, document.Components.Schemas, "PageItem")
	require.Contains(t, document.Paths["/items/{id}"]["patch"].RequestBody.Content, "application/merge-patch+json")
	require.Empty(t, document.Paths["/fail"]["post"].Security, "public")
}

// described returns the paths of the description of operations.
func described(t *testing.T, config backend.OpenAPIConfig, operations ...backend.Definition) (paths map[string]map[string]map[string]any, text string) {
	t.Helper()
	logic := backend.NewLogic(nil, nil, backend.LogicConfig{})
	logic.Add(operations...)
	w := httptest.NewRecorder()
	logic.REST().OpenAPI(config).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	require.Equal(t, 200, w.Code, w.Body)
	var document struct {
		Paths map[string]map[string]map[string]any
	}
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &document))
	return document.Paths, w.Body.String()
}

func describedNothing(context.Context, backend.None) (backend.None, error) {
	return backend.None{}, nil
}

func TestOpenAPIOperationIDsAreUnique(t *testing.T) {
	t.Parallel()
	paths, _ := described(t, backend.OpenAPIConfig{},
		backend.Query("listIDs", backend.Public, describedNothing, backend.Route("GET /a"), backend.Route("GET /b"), backend.Route("GET /c")),
		backend.Query("listIDs2", backend.Public, describedNothing, backend.Route("GET /d")))
	ids := map[any]bool{}
	for _, path := range []string{"/a", "/b", "/c", "/d"} {
		ids[paths[path]["get"]["operationId"]] = true
	}
	require.Len(t, ids, 4)
	require.Equal(t, "listIDs", paths["/a"]["get"]["operationId"])
	require.Equal(t, "listIDs2", paths["/d"]["get"]["operationId"], "what somebody wrote is not changed")
	require.Equal(t, "List ids", paths["/a"]["get"]["summary"])
}

func TestOpenAPIHasOnlyMethodsThatItKnows(t *testing.T) {
	t.Parallel()
	paths, _ := described(t, backend.OpenAPIConfig{},
		backend.Mutation("copy", backend.Public, describedNothing, backend.Route("COPY /a")),
		backend.Mutation("put", backend.Public, describedNothing, backend.Route("PUT /b")),
		backend.Query("hidden", backend.Public, describedNothing, backend.Route("GET /c"), backend.Except(backend.REST)))
	require.Len(t, paths, 1, "OpenAPI 3.1.0, section 4.8.9")
	require.Contains(t, paths["/b"], "put")
}

func TestOpenAPIPaths(t *testing.T) {
	t.Parallel()
	paths, _ := described(t, backend.OpenAPIConfig{},
		backend.Query("file", backend.Public, func(context.Context, struct {
			Path string `json:"path"`
		}) (string, error) {
			return "", nil
		}, backend.Route("GET /files/{path...}"), backend.Doc("A file\nIts text.\nAll of it.")),
		backend.Query("index", backend.Public, describedNothing, backend.Route("GET /index/{$}")))
	file := paths["/files/{path}"]["get"]
	require.Equal(t, []any{map[string]any{"name": "path", "in": "path", "required": true, "schema": map[string]any{"type": "string"}}}, file["parameters"])
	require.Equal(t, "A file", file["summary"])
	require.Equal(t, "Its text.\nAll of it.", file["description"])
	require.Contains(t, paths, "/index/")
}

// OpenAPI cannot tell a segment from all that is left; what it can say exactly is
// described, whichever came first.
func TestOpenAPISubtreesGiveWay(t *testing.T) {
	t.Parallel()
	named := func(context.Context, struct {
		Path string `json:"path"`
	}) (string, error) {
		return "", nil
	}
	routes := map[string]string{"file": "GET /files/{path}", "tree": "GET /files/{path...}", "index": "GET /index/{$}", "below": "GET /index/"}
	for _, order := range [][]string{{"file", "tree", "index", "below"}, {"below", "index", "tree", "file"}} {
		var operations []backend.Definition
		for _, name := range order {
			if strings.Contains(routes[name], "{path") {
				operations = append(operations, backend.Query(name, backend.Public, named, backend.Route(routes[name])))
				continue
			}
			operations = append(operations, backend.Query(name, backend.Public, describedNothing, backend.Route(routes[name])))
		}
		paths, _ := described(t, backend.OpenAPIConfig{}, operations...)
		require.Equal(t, "file", paths["/files/{path}"]["get"]["operationId"], order)
		require.Equal(t, "index", paths["/index/"]["get"]["operationId"], order)
	}
}

// Each operation says how to authenticate, and its tags once.
func TestOpenAPISecurityAndTags(t *testing.T) {
	t.Parallel()
	tags := backend.Tags("b", "a")
	operations := func() []backend.Definition {
		return []backend.Definition{
			backend.Query("open", backend.Public, describedNothing, backend.Route("GET /open"), tags, backend.Tags("a", "c")),
			backend.Query("closed", backend.AllOf(backend.SignedIn, backend.Role("admin")), describedNothing, backend.Route("GET /closed"), backend.Doc("Closed")),
		}
	}
	for want, config := range map[string]backend.OpenAPIConfig{
		`[{"bearer":[]},{"cookie":[]}]`: {Bearer: true, Cookie: "session"}, `[{"bearer":[]}]`: {Bearer: true}, `[{"cookie":[]}]`: {Cookie: "session"}, `null`: {},
	} {
		paths, text := described(t, config, operations()...)
		got, err := json.Marshal(paths["/closed"]["get"]["security"])
		require.NoError(t, err)
		require.Equal(t, want, string(got))
		require.Equal(t, []any{}, paths["/open"]["get"]["security"], "nothing is needed")
		require.Equal(t, "Who may call: (signed in and role admin).", paths["/closed"]["get"]["description"])
		require.Equal(t, []any{"b", "a", "c"}, paths["/open"]["get"]["tags"])
		require.Equal(t, config.Cookie != "", strings.Contains(text, `"name": "session"`))
	}
}

func TestOpenAPIIsRevalidated(t *testing.T) {
	t.Parallel()
	logic := backend.NewLogic(nil, nil, backend.LogicConfig{})
	c := backendtest.NewClient(t, logic.REST().OpenAPI(backend.OpenAPIConfig{}))
	tag := c.Get("/").Expect(200).Header.Get("ETag")
	require.NotEmpty(t, tag)
	require.Empty(t, c.With("If-None-Match", tag).Get("/").Expect(304).Body)
	c.With("If-None-Match", `"other"`).Get("/").Expect(200)
}

func TestOpenAPIResponseHeaders(t *testing.T) {
	t.Parallel()
	since := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	page := func(context.Context, struct {
		After backend.Cursor `json:"after,omitempty"`
	}) (backend.Page[item], error) {
		return backend.Page[item]{}, nil
	}
	paths, _ := described(t, backend.OpenAPIConfig{},
		backend.Query("items", backend.Public, page, backend.Route("GET /items"), backend.Deprecated(since, since.AddDate(1, 0, 0))))
	responses := paths["/items"]["get"]["responses"].(map[string]any)
	var names []string
	for name := range responses["200"].(map[string]any)["headers"].(map[string]any) {
		names = append(names, name)
	}
	require.ElementsMatch(t, []string{"Deprecation", "ETag", "Link", "Sunset"}, names)
	require.Contains(t, responses, "304")
	require.Equal(t, true, paths["/items"]["get"]["deprecated"])
}

// Clients learn which errors to expect, and by which code they are told apart.
func TestOpenAPIErrors(t *testing.T) {
	t.Parallel()
	type id struct {
		ID backend.ID `json:"id"`
	}
	one := func(context.Context, id) (item, error) { return item{}, nil }
	logic := backend.NewLogic(backendtest.NewDB(t, backend.SQLite), nil, backend.LogicConfig{})
	logic.Add(
		backend.Query("ping", backend.Public, describedNothing, backend.Route("GET /ping")),
		backend.Query("one", backend.SignedIn, one, backend.Route("GET /items/{id}"), backend.Rate(5, time.Minute)),
		backend.Mutation("change", backend.Public, one, backend.Route("PUT /items/{id}"), backend.RequireIfMatch(),
			backend.Allow(func(context.Context, id) error { return nil })),
		backend.Mutation("act", backend.Public, describedNothing, backend.Route("POST /act")))
	logic.REST()
	var document struct {
		Paths map[string]map[string]struct {
			Responses map[string]struct {
				Ref         string `json:"$ref"`
				Description string
			}
		}
		Components struct {
			Schemas struct {
				Problem struct {
					Properties struct{ Code struct{ Description string } }
				}
			}
		}
	}
	backendtest.NewClient(t, logic.REST().OpenAPI(backend.OpenAPIConfig{})).Get("/").Expect(200).JSON(&document)
	for at, want := range map[string]string{
		"get /ping": "", "post /act": "An error (RFC 9457), such as 409 conflict.",
		"get /items/{id}": "An error (RFC 9457), such as 401 unauthenticated, 403 forbidden, 404 not_found, 422 invalid, 429 rate_limited.",
		"put /items/{id}": "An error (RFC 9457), such as 403 forbidden, 404 not_found, 409 conflict, 412 precondition_failed, 422 invalid, 428 precondition_required.",
	} {
		method, path, _ := strings.Cut(at, " ")
		for status, description := range map[string]string{"4XX": want, "5XX": ""} {
			response := document.Paths[path][method].Responses[status]
			require.Equal(t, "#/components/responses/Problem", response.Ref, at)
			require.Equal(t, description, response.Description, at)
		}
	}
	require.Regexp(t, "^The kind of error, for programs: internal, malformed, invalid, .*, timeout. There may be more in the future.$", document.Components.Schemas.Problem.Properties.Code.Description)
}

// What an answer without content does not have is not described.
func TestOpenAPIHeadersOfNoContent(t *testing.T) {
	t.Parallel()
	one := func(context.Context, struct {
		ID backend.ID `json:"id"`
	}) (item, error) {
		return item{ID: 1}, nil
	}
	create := func(context.Context, backend.None) (item, error) { return item{ID: 1}, nil }
	page := func(context.Context, struct {
		After backend.Cursor `json:"after,omitempty"`
	}) (backend.Page[item], error) {
		return backend.Page[item]{}, nil
	}
	operations := []backend.Definition{
		backend.Query("one", backend.Public, one, backend.Route("GET /items/{id}")),
		backend.Mutation("change", backend.Public, one, backend.Route("PATCH /items/{id}"), backend.Status(204)),
		backend.Mutation("create", backend.Public, create, backend.Route("POST /items"), backend.Status(204)),
		backend.Query("list", backend.Public, page, backend.Route("GET /items"), backend.Status(204)),
	}
	paths, _ := described(t, backend.OpenAPIConfig{}, operations...)
	logic := backend.NewLogic(nil, nil, backend.LogicConfig{})
	logic.Add(operations...)
	c := backendtest.NewClient(t, logic.REST())
	for _, request := range []struct{ method, path, at string }{{"PATCH", "/items/1", "/items/{id}"}, {"POST", "/items", "/items"}, {"GET", "/items", "/items"}} {
		response := paths[request.at][strings.ToLower(request.method)]["responses"].(map[string]any)["204"].(map[string]any)
		sent := c.Do(request.method, request.path, nil).Expect(204).Header
		for _, name := range []string{"ETag", "Location", "Link"} {
			require.Empty(t, sent.Get(name), "%v: %s", request, name)
		}
		require.NotContains(t, response, "headers", request)
	}
}

// Without a transaction there is nothing that If-Match could be compared in.
func TestOpenAPIHasIfMatchWhereItWorks(t *testing.T) {
	t.Parallel()
	one := func(context.Context, struct {
		ID backend.ID `json:"id"`
	}) (item, error) {
		return item{ID: 1}, nil
	}
	for works, mode := range map[bool]backend.Option{true: backend.Tx(backend.ReadWrite), false: backend.OutsideTx()} {
		logic := backend.NewLogic(backendtest.NewDB(t, backend.SQLite), nil, backend.LogicConfig{})
		logic.Add(backend.Query("one", backend.Public, one, backend.Route("GET /items/{id}")),
			backend.Mutation("change", backend.Public, one, backend.Route("PUT /items/{id}"), mode))
		c := backendtest.NewClient(t, logic.REST())
		tag := c.Get("/items/1").Expect(200).Header.Get("ETag")
		c.With("If-Match", tag).Put("/items/1", nil).Expect(map[bool]int{true: 200, false: 412}[works])
		w := httptest.NewRecorder()
		logic.REST().OpenAPI(backend.OpenAPIConfig{}).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		require.Equal(t, works, strings.Contains(w.Body.String(), `"name": "If-Match"`))
	}
}

// Where a rule lets everybody call, clients need not authenticate.
func TestOpenAPIOfRulesThatLetEverybody(t *testing.T) {
	t.Parallel()
	admin, custom := backend.Role("admin"), backend.AccessFunc("at night", func(context.Context, backend.Caller) error { panic("never called") })
	for _, test := range []struct {
		name   string
		access backend.Access
		public bool
	}{
		{"any", backend.AnyOf(admin, backend.Public), true},
		{"nested", backend.AllOf(backend.Public, backend.AnyOf(backend.Public, custom)), true},
		{"all", backend.AllOf(backend.Public, admin), false},
		{"others", backend.AnyOf(backend.SignedIn, admin), false},
		{"custom", custom, false},
	} {
		paths, _ := described(t, backend.OpenAPIConfig{Bearer: true}, backend.Query("open", test.access, describedNothing, backend.Route("GET /open")))
		operation := paths["/open"]["get"]
		if test.public {
			require.Equal(t, []any{}, operation["security"], test.name)
			require.NotContains(t, operation, "description", test.name)
			continue
		}
		require.Len(t, operation["security"], 1, test.name)
		require.Contains(t, operation["description"], "Who may call: ", test.name)
	}
}

// A path has one value where a query may have several.
func TestOpenAPIListsInPaths(t *testing.T) {
	t.Parallel()
	f := func(context.Context, struct {
		IDs []int32 `json:"ids" doc:"Which." validate:"max=1,dive,min=3"`
	}) (backend.None, error) {
		return backend.None{}, nil
	}
	list := backend.Query("list", backend.Public, f, backend.Route("GET /items/{ids}"))
	paths, _ := described(t, backend.OpenAPIConfig{}, list)
	require.Equal(t, []any{map[string]any{
		"name": "ids", "in": "path", "required": true, "description": "Which.", "schema": map[string]any{"type": "integer", "format": "int32", "minimum": 3.0},
	}}, paths["/items/{ids}"]["get"]["parameters"])
	logic := backend.NewLogic(nil, nil, backend.LogicConfig{})
	logic.Add(list)
	c := backendtest.NewClient(t, logic.REST())
	c.Get("/items/3").Expect(204)
	c.Get("/items/3,4").Expect(422)
}

func TestOpenAPIServer(t *testing.T) {
	t.Parallel()
	_, text := described(t, backend.OpenAPIConfig{ServerURL: "https://api.example.com/"})
	require.Contains(t, text, `"url": "https://api.example.com"`)
	_, text = described(t, backend.OpenAPIConfig{})
	require.Contains(t, text, `"url": "/"`)
}

// A field that is the whole body is described as any other field is: with its rules, its
// documentation and its example. Durations have bounds in nanoseconds.
func TestOpenAPIOfAFieldThatIsTheBody(t *testing.T) {
	t.Parallel()
	type part struct {
		Name string         `json:"name"`
		Took time.Duration  `json:"took" validate:"min=1ms,max=1m"`
		Rest *time.Duration `json:"rest" doc:"What is left." validate:"omitempty,gt=5,lt=1s"`
	}
	type in struct {
		ID    string `json:"id"`
		Parts []part `json:"parts" in:"body" doc:"The new parts." validate:"min=1,max=3,dive"`
	}
	type word struct {
		Word string `json:"word" in:"body" doc:"A word." example:"tree" validate:"min=2,max=5"`
	}
	type wait struct {
		Wait time.Duration `json:"wait" in:"query" validate:"gte=1s,lte=1h"`
		Long time.Duration `json:"long" in:"header=X-Long" validate:"omitempty,max=24h"`
	}
	paths, text := described(t, backend.OpenAPIConfig{},
		backend.Mutation("parts", backend.Public, func(context.Context, in) (backend.None, error) { return backend.None{}, nil }, backend.Route("PUT /parts/{id}")),
		backend.Mutation("word", backend.Public, func(context.Context, word) (backend.None, error) { return backend.None{}, nil }, backend.Route("PUT /word")),
		backend.Query("wait", backend.Public, func(context.Context, wait) (backend.None, error) { return backend.None{}, nil }, backend.Route("GET /wait")),
	)
	asJSON := func(value any) string {
		text, err := json.Marshal(value)
		require.NoError(t, err)
		return string(text)
	}
	require.JSONEq(t, `{"required":true,"description":"The new parts.","content":{"application/json":{"schema":
		{"type":"array","items":{"$ref":"#/components/schemas/part"},"minItems":1,"maxItems":3}}}}`, asJSON(paths["/parts/{id}"]["put"]["requestBody"]))
	require.JSONEq(t, `{"required":true,"description":"A word.","content":{"application/json":{"schema":
		{"type":"string","minLength":2,"maxLength":5,"examples":["tree"]}}}}`, asJSON(paths["/word"]["put"]["requestBody"]))
	require.Contains(t, asJSON(paths["/wait"]["get"]["parameters"]), `"maximum":3600000000000,"minimum":1000000000`)
	require.Contains(t, asJSON(paths["/wait"]["get"]["parameters"]), `"maximum":86400000000000,"type":"integer"`)

	var document struct {
		Components struct {
			Schemas map[string]struct{ Properties map[string]any }
		}
	}
	require.NoError(t, json.Unmarshal([]byte(text), &document))
	properties := document.Components.Schemas["part"].Properties
	require.JSONEq(t, `{"type":"integer","format":"int64","description":"In nanoseconds.","minimum":1000000,"maximum":60000000000}`, asJSON(properties["took"]))
	require.JSONEq(t, `{"type":["integer","null"],"format":"int64","description":"What is left, in nanoseconds.","exclusiveMinimum":5,"exclusiveMaximum":1000000000}`, asJSON(properties["rest"]))
}
