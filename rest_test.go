package backend_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
	"github.com/seed-215b9b7c/backend/backendtest"
)

func TestREST(t *testing.T) {
	onShop(t, func(t *testing.T, s *shop, c restClient) {
		w := c.do("POST", "/items", `{"name":"<a>","price":1.5}`)
		require.Equal(t, 201, w.Code, w.Body)
		require.Equal(t, "/api/items/1", w.Header().Get("Location"))
		require.Equal(t, `{"id":"1","name":"\u003ca\u003e","price":1.5,"owner":"ann","version":1}`, w.Body.String())
		require.Equal(t, "application/json", w.Header().Get("Content-Type"))
		require.Equal(t, "no-store", w.Header().Get("Cache-Control"))

		w = c.do("GET", "/items/1", "")
		require.Equal(t, 200, w.Code)
		tag := w.Header().Get("ETag")
		require.NotEmpty(t, tag)
		require.Equal(t, 304, c.do("GET", "/items/1", "", "If-None-Match", `"x", W/`+tag).Code)
		require.Equal(t, 200, c.do("HEAD", "/items/1", "").Code)

		w = c.do("PATCH", "/items/1", `{"price":null}`, "If-Match", tag)
		require.Equal(t, 200, w.Code, w.Body)
		require.JSONEq(t, `{"id":"1","name":"<a>","price":null,"owner":"ann","version":2}`, w.Body.String())
		w = c.do("PATCH", "/items/1", `{"name":"b"}`, "If-Match", tag)
		require.Equal(t, 412, w.Code, w.Body)
		w = c.do("PATCH", "/items/1", `{"name":"b"}`, "Content-Type", "application/merge-patch+json")
		require.Equal(t, 200, w.Code, w.Body)

		require.Equal(t, 428, c.do("DELETE", "/items/1", "").Code)
		stranger := c
		stranger.who = ""
		require.Equal(t, 401, stranger.do("DELETE", "/items/1", "").Code, "who may not call learns nothing else")
		w = c.do("DELETE", "/items/1", "", "If-Match", c.do("GET", "/items/1", "").Header().Get("ETag"))
		require.Equal(t, 204, w.Code, w.Body)
		require.Empty(t, w.Body.String())
		require.Equal(t, 404, c.do("GET", "/items/1", "").Code)
		require.Equal(t, 404, c.do("DELETE", "/items/1", "", "If-Match", "*").Code)
	})
}

func TestRESTRefusesInput(t *testing.T) {
	onShop(t, func(t *testing.T, s *shop, c restClient) {
		for name, test := range map[string]struct {
			method, path, body string
			headers            []string
			status             int
			fields             string
		}{
			"missing":           {"POST", "/items", `{}`, nil, 422, "/name required"},
			"unknown":           {"POST", "/items", `{"name":"a","owner":"bob"}`, nil, 422, "/owner unknown"},
			"case":              {"POST", "/items", `{"Name":"a"}`, nil, 422, "/Name unknown /name required"},
			"rules":             {"POST", "/items", `{"name":"a name that is too long","price":-1,"tags":["abcdef"]}`, nil, 422, "/name max /price min /tags/0 max"},
			"own rule":          {"POST", "/items", `{"name":"forbidden"}`, nil, 422, ""},
			"duplicate":         {"POST", "/items", `{"name":"a","name":"b"}`, nil, 400, ""},
			"trailing":          {"POST", "/items", `{"name":"a"}{}`, nil, 400, ""},
			"huge number":       {"POST", "/items", `{"name":"a","price":1e400}`, nil, 422, "/price range"},
			"no body":           {"POST", "/items", ``, []string{"Content-Type", "application/json"}, 400, ""},
			"no type":           {"POST", "/items", `{"name":"a"}`, []string{"Content-Type", ""}, 415, ""},
			"form":              {"POST", "/items", `name=a`, []string{"Content-Type", "application/x-www-form-urlencoded"}, 415, ""},
			"text":              {"POST", "/items", `{"name":"a"}`, []string{"Content-Type", "text/plain"}, 415, ""},
			"a list of types":   {"POST", "/items", `{"name":"a"}`, []string{"Content-Type", "application/json, text/plain"}, 415, ""},
			"type in parameter": {"POST", "/items", `{"name":"a"}`, []string{"Content-Type", "text/plain; application/json"}, 415, ""},
			"latin1":            {"POST", "/items", "{\"name\":\"\xe9\"}", []string{"Content-Type", "application/json; charset=iso-8859-1"}, 400, ""},
			"patch type":        {"POST", "/items", `{"name":"a"}`, []string{"Content-Type", "application/merge-patch+json"}, 415, ""},
			"too large":         {"POST", "/items", `{"name":"` + strings.Repeat("a", 1<<20) + `"}`, nil, 413, ""},
			"NUL":               {"POST", "/items", `{"name":"a\u0000b"}`, nil, 422, "/name format"},
			"not acceptable":    {"GET", "/items", ``, []string{"Accept", "text/csv"}, 406, ""},
			"path":              {"GET", "/items/x", ``, nil, 422, "/id format"},
			"path spelling":     {"GET", "/items/01", ``, nil, 422, "/id format"},
			"query unknown":     {"GET", "/items?nope=1", ``, nil, 422, "/nope unknown"},
			"query twice":       {"GET", "/items?limit=1&limit=2", ``, nil, 422, "/limit format"},
			"query type":        {"GET", "/items?limit=x&search=a", ``, nil, 422, "/limit format"},
			"query rule":        {"GET", "/items?limit=51", ``, nil, 422, "/limit max"},
			"query syntax":      {"GET", "/items?a;b", ``, nil, 400, ""},
			"query count":       {"GET", "/items?" + strings.Repeat("a&", 256) + "a", ``, nil, 400, ""},
			"id in path twice":  {"PATCH", "/items/1", `{"id":"2"}`, nil, 422, "/id unknown"},
			"tampered cursor":   {"GET", "/items?after=AAAAAAAAAAAAAAAAAAAAAAAAAAAA", ``, nil, 400, ""},
			"cursor of nothing": {"GET", "/items?after=!", ``, nil, 400, ""},
			"method":            {"PUT", "/items", `{}`, nil, 405, ""},
		} {
			w := c.do(test.method, test.path, test.body, test.headers...)
			require.Equal(t, test.status, w.Code, "%s: %s", name, w.Body)
			_, fields := problem(t, w)
			require.Equal(t, test.fields, strings.Join(fields, " "), name)
		}
		require.Zero(t, s.calls.Load(), "the function was not called")
	})
}

func TestRESTAccess(t *testing.T) {
	onShop(t, func(t *testing.T, s *shop, c restClient) {
		require.Equal(t, 201, c.do("POST", "/items", `{"name":"a"}`).Code)
		for who, want := range map[string]map[string]int{
			"":          {"/items": 401, "/items/1": 401, "/items/x": 401, "/admin": 401},
			"wrong":     {"/items": 401, "/items/1": 401},
			"bob":       {"/items": 200, "/items/1": 404, "/admin": 403},
			"bob:admin": {"/admin": 200},
			"ann":       {"/items/1": 200},
		} {
			c.who = who
			for path, status := range want {
				require.Equal(t, status, c.do("GET", path, "").Code, "%s as %q", path, who)
			}
		}
		c.who = "bob"
		require.JSONEq(t, `{"items":[]}`, c.do("GET", "/items", "").Body.String())
		require.Equal(t, 404, c.do("PATCH", "/items/1", `{"name":"mine"}`).Code)
	})
}

// Statement 63: whatever goes wrong, nothing stays behind.
func TestRESTRollsBack(t *testing.T) {
	onShop(t, func(t *testing.T, s *shop, c restClient) {
		for how, status := range map[string]int{"panic": 500, "slow": 504, "secret": 500, "lost": 410} {
			w := c.do("POST", "/fail", `{"how":"`+how+`"}`)
			require.Equal(t, status, w.Code, how)
			require.NotContains(t, w.Body.String(), "hunter2")
		}
		ctx, cancel := context.WithCancel(t.Context())
		r := httptest.NewRequestWithContext(ctx, "POST", "/api/fail", strings.NewReader(`{"how":"slow"}`))
		r.Header.Set("Content-Type", "application/json")
		timer := time.AfterFunc(50*time.Millisecond, cancel)
		defer timer.Stop()
		w := httptest.NewRecorder()
		c.h.ServeHTTP(w, r)
		require.Equal(t, 499, w.Code)
		n, err := backend.One[int](t.Context(), s.db, "SELECT COUNT(*) FROM items")
		require.NoError(t, err)
		require.Zero(t, n)
	})
}

func TestRESTPages(t *testing.T) {
	onShop(t, func(t *testing.T, s *shop, c restClient) {
		for i := range 5 {
			require.Equal(t, 201, c.do("POST", "/items", fmt.Sprintf(`{"name":"%d"}`, i)).Code)
		}
		var names []string
		path := "/items?limit=2"
		for path != "" {
			w := c.do("GET", path, "")
			require.Equal(t, 200, w.Code, w.Body)
			var page backend.Page[item]
			require.NoError(t, json.Unmarshal(w.Body.Bytes(), &page))
			for _, item := range page.Items {
				names = append(names, item.Name)
			}
			link := w.Header().Get("Link")
			path = ""
			if page.Next != "" {
				require.True(t, strings.HasSuffix(link, `>; rel="next"`), link)
				path = strings.TrimPrefix(strings.TrimSuffix(link, `>; rel="next"`), "</api")
				bob := c
				bob.who = "bob"
				require.Equal(t, 400, bob.do("GET", path, "").Code, "another caller's cursor")
			} else {
				require.Empty(t, link)
			}
		}
		require.Equal(t, []string{"0", "1", "2", "3", "4"}, names)
	})
}

// What cannot be written as JSON was not done either.
func TestRESTRollsBackWhatItCannotWrite(t *testing.T) {
	onShop(t, func(t *testing.T, s *shop, _ restClient) {
		logic := backend.NewLogic(s.db, bearer{}, backend.LogicConfig{})
		logic.Add(backend.Mutation("odd", backend.Public, func(ctx context.Context, _ backend.None) (float64, error) {
			_, err := s.db.Exec(ctx, "INSERT INTO items (name, owner) VALUES ('lost', 'ann')")
			return math.NaN(), err
		}, backend.Route("POST /odd")))
		require.Equal(t, 500, newRESTClient(t, logic).do("POST", "/odd", "").Code)
		n, err := backend.One[int](t.Context(), s.db, "SELECT COUNT(*) FROM items")
		require.NoError(t, err)
		require.Zero(t, n)
	})
}

type color struct{ r, g, b byte }

func (c color) MarshalText() ([]byte, error) {
	return fmt.Appendf(nil, "#%02x%02x%02x", c.r, c.g, c.b), nil
}

// The Location has the wire form of the id, and no route makes it panic.
func TestLocation(t *testing.T) {
	t.Parallel()
	type pointed struct {
		ID *backend.ID `json:"id"`
	}
	type opted struct {
		ID backend.Opt[string] `json:"id"`
	}
	type colored struct {
		ID color `json:"id"`
	}
	type idInput struct {
		ID string `json:"id"`
	}
	none := func(context.Context, idInput) (backend.None, error) { return backend.None{}, nil }
	logic := backend.NewLogic(nil, nil, backend.LogicConfig{})
	add := func(path string, post *backend.Operation, get string) {
		logic.Add(post)
		if get != "" {
			logic.Add(backend.Query("get"+strings.Trim(path, "/"), backend.Public, none, backend.Route("GET "+path+get)))
		}
	}
	id := backend.ID(7)
	add("/a", backend.Mutation("a", backend.Public, func(context.Context, backend.None) (pointed, error) { return pointed{&id}, nil }, backend.Route("POST /a")), "/{id}")
	add("/b", backend.Mutation("b", backend.Public, func(context.Context, backend.None) (opted, error) { return opted{backend.Some("a/\r\n>ü")}, nil }, backend.Route("POST /b")), "/{id}")
	add("/c", backend.Mutation("c", backend.Public, func(context.Context, backend.None) (colored, error) { return colored{color{1, 2, 3}}, nil }, backend.Route("POST /c")), "/{id}")
	add("/d", backend.Mutation("d", backend.Public, func(context.Context, backend.None) (*pointed, error) { return nil, nil }, backend.Route("POST /d")), "/{id}")
	add("/e", backend.Mutation("e", backend.Public, func(context.Context, backend.None) (pointed, error) { return pointed{&id}, nil }, backend.Route("POST /e")), "/{id...}")
	add("/f", backend.Mutation("f", backend.Public, func(context.Context, backend.None) (pointed, error) { return pointed{&id}, nil }, backend.Route("POST /f")), "")
	logic.Add(backend.Query("getf", backend.Public, noop, backend.Route("GET /f/{$}")))
	add("/g", backend.Mutation("g", backend.Public, func(context.Context, backend.None) (opted, error) { return opted{backend.Some("..")}, nil }, backend.Route("POST /g")), "/{id}")
	c := newRESTClient(t, logic)
	for path, want := range map[string]string{"/a": "/api/a/7", "/b": "/api/b/a%2F%0D%0A%3E%C3%BC", "/c": "/api/c/%23010203", "/d": "", "/e": "", "/f": "", "/g": ""} {
		w := c.do("POST", path, "")
		require.Equal(t, http.StatusCreated, w.Code, path+w.Body.String())
		require.Equal(t, want, w.Header().Get("Location"), path)
	}
}

// A Location leads to what was created, or is not there: the router refuses some ids, and
// others are the path of another operation.
func TestLocationLeadsToWhatWasCreated(t *testing.T) {
	t.Parallel()
	type thing struct {
		ID string `json:"id"`
	}
	type input struct {
		ID string `json:"id"`
	}
	logic := backend.NewLogic(nil, nil, backend.LogicConfig{})
	logic.Add(
		backend.Mutation("create", backend.Public, func(_ context.Context, in input) (thing, error) { return thing(in), nil }, backend.Route("POST /things")),
		backend.Query("get", backend.Public, func(_ context.Context, in input) (thing, error) { return thing(in), nil }, backend.Route("GET /things/{id}")),
		backend.Query("newest", backend.Public, func(context.Context, backend.None) (thing, error) { return thing{"other"}, nil }, backend.Route("GET /things/newest")),
		backend.Query("percent", backend.Public, func(context.Context, backend.None) (thing, error) { return thing{"other"}, nil }, backend.Route("GET /things/a%20b")),
	)
	c := newRESTClient(t, logic)
	for id, works := range map[string]bool{
		"7": true, "a/b": true, "a//b": true, "a.b": true, "...": true, ".hidden": true, "a..b": true, "/a": true, "a/": true, "%2e%2e": true, "é ?#;": true, "a%2Fb": true, "NEWEST": true,
		`a\b`: false, `\`: false, "..": false, ".": false, "a/../b": false, "a/./b": false, "../a": false, "a/..": false, "./a": false, "": false, "newest": false, "a b": false,
	} {
		body, err := json.Marshal(thing{id})
		require.NoError(t, err)
		w := c.do("POST", "/things", string(body))
		require.Equal(t, 201, w.Code, w.Body.String())
		location := w.Header().Get("Location")
		require.Equal(t, works, location != "", "%q: %s", id, location)
		if works {
			got := c.do("GET", strings.TrimPrefix(location, "/api"), "")
			require.Equal(t, 200, got.Code, "%q: %s", id, location)
			require.JSONEq(t, string(body), got.Body.String())
		}
	}
}

func TestLocationBelowAPrefixWithAParameter(t *testing.T) {
	t.Parallel()
	logic := backend.NewLogic(nil, nil, backend.LogicConfig{})
	logic.Add(
		backend.Mutation("make", backend.Public, func(context.Context, backend.None) (itemID, error) { return itemID{7}, nil }, backend.Route("POST /items")),
		backend.Query("get", backend.Public, func(_ context.Context, in itemID) (itemID, error) { return in, nil }, backend.Route("GET /items/{id}")),
	)
	r := backend.NewRouter()
	r.Mount("/of/{tenant}", logic.REST())
	w := httptest.NewRecorder()
	r.ServeHTTP(w, httptest.NewRequest("POST", "/of/a%3Eb/items", nil))
	require.Equal(t, "/of/a%3Eb/items/7", w.Header().Get("Location"), w.Body.String())
}

func TestDoorMountedTwice(t *testing.T) {
	t.Parallel()
	logic := backend.NewLogic(nil, nil, backend.LogicConfig{})
	logic.Add(
		backend.Mutation("make", backend.Public, func(context.Context, backend.None) (itemID, error) { return itemID{7}, nil }, backend.Route("POST /items")),
		backend.Query("get", backend.Public, func(_ context.Context, in itemID) (itemID, error) { return in, nil }, backend.Route("GET /items/{id}")),
	)
	r, door := backend.NewRouter(), logic.REST()
	r.Mount("/api", door)
	r.Mount("/v1", door)
	for _, prefix := range []string{"/api", "/v1"} {
		w := httptest.NewRecorder()
		r.ServeHTTP(w, httptest.NewRequest("POST", prefix+"/items", nil))
		require.Equal(t, prefix+"/items/7", w.Header().Get("Location"), w.Body.String())
	}
	w := httptest.NewRecorder()
	door.OpenAPI(backend.OpenAPIConfig{ServerURL: "https://a.example/"}).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	var document struct{ Servers []struct{ URL string } }
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &document))
	require.Equal(t, []struct{ URL string }{{"https://a.example/api"}, {"https://a.example/v1"}}, document.Servers)
}

// A cursor without a secret is a fault of the program, not something missing.
func TestCursorWithoutSecret(t *testing.T) {
	t.Parallel()
	backendtest.EachDB(t, func(t *testing.T, db *backend.DB) {
		require.NoError(t, db.Migrate(t.Context(), nil))
		_, err := db.Exec(t.Context(), "DELETE FROM backend_secrets")
		require.NoError(t, err)
		logic := backend.NewLogic(db, nil, backend.LogicConfig{})
		logic.Add(backend.Query("list", backend.Public, func(ctx context.Context, _ backend.None) (backend.Cursor, error) { return backend.NewCursor(ctx, 1) }, backend.Route("GET /list")))
		require.Equal(t, http.StatusInternalServerError, newRESTClient(t, logic).do("GET", "/list", "").Code)
	})
}

func TestKeptAnswersVary(t *testing.T) {
	t.Parallel()
	logic := backend.NewLogic(nil, bearer{}, backend.LogicConfig{})
	logic.Add(backend.Query("q", backend.Public, func(context.Context, struct {
		Tenant string `json:"tenant,omitempty" in:"header=x-tenant"`
	}) (int, error) {
		return 1, nil
	}, backend.Route("GET /q"), backend.MaxAge(time.Minute)))
	c := newRESTClient(t, logic)
	c.who = ""
	w := c.do("GET", "/q", "")
	require.Equal(t, "public, max-age=60", w.Header().Get("Cache-Control"))
	require.Equal(t, []string{"Authorization", "Cookie", "X-Tenant"}, w.Header().Values("Vary"))

	c.who = "ann"
	w = c.do("GET", "/q", "")
	require.Equal(t, "private, max-age=60", w.Header().Get("Cache-Control"), "nobody else may be given it")
	w = c.do("GET", "/q", "", "If-None-Match", w.Header().Get("ETag"))
	require.Equal(t, http.StatusNotModified, w.Code)
	require.Equal(t, "private, max-age=60", w.Header().Get("Cache-Control"))
	for who, header := range map[string]string{"wrong": "", "": "a\xff"} {
		c.who = who
		w = c.do("GET", "/q", "", "X-Tenant", header)
		require.GreaterOrEqual(t, w.Code, 400)
		require.Equal(t, "no-store", w.Header().Get("Cache-Control"), "an error is not kept")
	}
}

// A key in a header of its own tells callers apart as well.
func TestKeptAnswersVaryByTheKey(t *testing.T) {
	t.Parallel()
	logic := backend.NewLogic(nil, named{schemes: []backend.SecurityScheme{{Name: "key", Header: "x-api-key"}}}, backend.LogicConfig{})
	logic.Add(backend.Query("q", backend.Public, func(context.Context, backend.None) (int, error) { return 1, nil }, backend.Route("GET /q"), backend.MaxAge(time.Minute)))
	c := newRESTClient(t, logic)
	c.who = ""
	require.Equal(t, []string{"Authorization", "Cookie", "X-Api-Key"}, c.do("GET", "/q", "").Header().Values("Vary"))
}

// What a cache has to ask for each time, it asks for with the ETag of what it has
// for the same headers: another language may be the same version.
func TestAnswersToAskForVary(t *testing.T) {
	t.Parallel()
	logic := backend.NewLogic(nil, bearer{}, backend.LogicConfig{})
	logic.Add(
		backend.Query("q", backend.Public, func(context.Context, struct {
			Lang string `json:"lang,omitempty" in:"header=Accept-Language"`
		}) (tagged, error) {
			return "v1", nil
		}, backend.Route("GET /q")),
		backend.Mutation("m", backend.Public, noop, backend.Route("DELETE /q"), backend.OutsideTx()),
	)
	c := newRESTClient(t, logic)
	c.who = ""
	for _, known := range []string{`"other"`, `"v1"`} {
		w := c.do("GET", "/q", "", "If-None-Match", known)
		require.Equal(t, "no-cache", w.Header().Get("Cache-Control"))
		require.Equal(t, []string{"Accept-Language", "Authorization", "Cookie"}, w.Header().Values("Vary"))
	}
	require.Empty(t, c.do("DELETE", "/q", "").Header().Values("Vary"), "which nobody keeps")
	c.who = "ann"
	require.Empty(t, c.do("GET", "/q", "").Header().Values("Vary"), "which nobody keeps")
}

// Without anybody who signs in, answers depend on the input only.
func TestKeptAnswersVaryByTheInput(t *testing.T) {
	t.Parallel()
	logic := backend.NewLogic(nil, nil, backend.LogicConfig{})
	logic.Add(backend.Query("q", backend.Public, func(context.Context, struct {
		Theme string `json:"theme,omitempty" in:"cookie=theme"`
	}) (int, error) {
		return 1, nil
	}, backend.Route("GET /q"), backend.MaxAge(time.Minute)))
	w := newRESTClient(t, logic).do("GET", "/q", "")
	require.Equal(t, "public, max-age=60", w.Header().Get("Cache-Control"))
	require.Equal(t, []string{"Cookie"}, w.Header().Values("Vary"))
}

func TestRoutesThatWouldBeHoles(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"OPTIONS", "TRACE", "post"} {
		logic := backend.NewLogic(nil, nil, backend.LogicConfig{})
		logic.Add(backend.Mutation("m", backend.Public, noop, backend.Route(method+" /m")))
		require.Contains(t, panicText(func() { logic.REST() }), "is not for operations")
	}
	logicOf := func(o *backend.Operation) *backend.Logic {
		logic := backend.NewLogic(nil, nil, backend.LogicConfig{})
		logic.Add(o)
		return logic
	}
	require.Contains(t, panicText(func() {
		logicOf(backend.Query("q", backend.Public, func(context.Context, struct {
			Themes []string `json:"themes" in:"cookie=theme"`
		}) (int, error) {
			return 0, nil
		}, backend.Route("GET /q"))).REST()
	}), "a cookie has one value, and the field is a list")
	require.Contains(t, panicText(func() {
		backend.NewLogic(nil, nil, backend.LogicConfig{}).Add(backend.Query("q", backend.Public, noop, backend.Except("REST")))
	}), `there is no door "REST"`)
	logic := backend.NewLogic(nil, nil, backend.LogicConfig{})
	logic.Add(backend.Mutation("m", backend.Public, noop, backend.Route("DELETE /m"), backend.RequireIfMatch()))
	require.Contains(t, panicText(func() { logic.REST() }), "RequireIfMatch needs a GET of the same path")
}

// Everything that is wrong with the routes is said at once.
func TestRoutesThatAreWrongTogether(t *testing.T) {
	t.Parallel()
	logic := backend.NewLogic(nil, nil, backend.LogicConfig{})
	for _, name := range []string{"a", "b", "c"} {
		logic.Add(backend.Query(name, backend.Public, noop, backend.Route("GET /same")))
	}
	mutation := backend.Mutation("d", backend.Public, noop, backend.Route("DELETE /d"), backend.RequireIfMatch())
	logic.Add(mutation)
	text := panicText(func() { logic.REST() })
	require.Equal(t, 2, strings.Count(text, `pattern "GET /same" (registered at `), text)
	require.Contains(t, text, "RequireIfMatch needs a GET of the same path")
	require.Equal(t, 3, strings.Count(text, "\n")+1, text)

	logic = backend.NewLogic(nil, nil, backend.LogicConfig{})
	logic.Add(mutation, backend.Query("e", backend.Public, noop, backend.Route("GET /d"), backend.Route("GET /d/{")))
	text = panicText(func() { logic.REST() })
	require.Contains(t, text, `Route("GET /d/{"): pattern "GET /d/{"`)
	require.Equal(t, 1, strings.Count(text, "\n")+1, text)
}

// One parameter is one field: which of two would be wrong, an error could not say.
func TestParametersOfTwoFields(t *testing.T) {
	t.Parallel()
	logic := backend.NewLogic(nil, nil, backend.LogicConfig{})
	logic.Add(backend.Query("q", backend.Public, func(context.Context, struct {
		A string `json:"a" in:"query=x"`
		B string `json:"x"`
		C string `json:"c" in:"header=X-A"`
		D string `json:"d" in:"header=x-a"`
		E string `json:"e" in:"cookie=k"`
		F string `json:"f" in:"cookie=k"`
		G string `json:"g" in:"cookie=K"`
		H string `json:"h" in:"query=k"`
	}) (int, error) {
		return 0, nil
	}, backend.Route("GET /q")))
	text := panicText(func() { logic.REST() })
	for _, want := range []string{
		`field B: A is in:"query=x" already`, `field D: C is in:"header=x-a" already`, `field F: E is in:"cookie=k" already`,
	} {
		require.Contains(t, text, want)
	}
	require.Equal(t, 3, strings.Count(text, "already"), text)
}

type brokenBody struct{}

func (brokenBody) Read([]byte) (int, error) { return 0, errors.New("malformed chunked encoding") }

func TestBrokenBody(t *testing.T) {
	t.Parallel()
	logic := backend.NewLogic(nil, nil, backend.LogicConfig{})
	logic.Add(backend.Mutation("m", backend.Public, noop, backend.Route("POST /m")))
	w := httptest.NewRecorder()
	logic.REST().ServeHTTP(w, httptest.NewRequest("POST", "/m", brokenBody{}))
	require.Equal(t, http.StatusBadRequest, w.Code)
	require.NotContains(t, w.Body.String(), "chunked")
}

// What a handler around the door has taken from the path is still in what the
// client is told to follow.
func TestLinksBelowStripPrefix(t *testing.T) {
	t.Parallel()
	logic := backend.NewLogic(nil, nil, backend.LogicConfig{})
	logic.Add(
		backend.Mutation("make", backend.Public, func(context.Context, backend.None) (itemID, error) { return itemID{7}, nil }, backend.Route("POST /items")),
		backend.Query("get", backend.Public, func(_ context.Context, in itemID) (itemID, error) { return in, nil }, backend.Route("GET /items/{id}")),
		backend.Query("list", backend.Public, func(context.Context, struct {
			After backend.Cursor `json:"after,omitempty"`
		}) (backend.Page[int], error) {
			return backend.Page[int]{Next: "n"}, nil
		}, backend.Route("GET /items")),
	)
	h := http.StripPrefix("/api", logic.REST())
	for target, want := range map[string]string{"/api/items": "/api/items", "http://a.example/api/items": "/api/items", "/api/%69tems": "/api/%69tems", "//api/items": ""} {
		post, get := httptest.NewRecorder(), httptest.NewRecorder()
		h.ServeHTTP(post, httptest.NewRequest("POST", target, nil))
		h.ServeHTTP(get, httptest.NewRequest("GET", target+"?after=m", nil))
		if want == "" {
			require.Empty(t, post.Header().Get("Location"), target)
			continue
		}
		require.Equal(t, want+"/7", post.Header().Get("Location"), target)
		require.Equal(t, "<"+want+`?after=n>; rel="next"`, get.Header().Get("Link"), target)
	}
	r := httptest.NewRequest("POST", "/items", nil)
	for sent, want := range map[string]string{"": "/items/7", "*": "/items/7", "//evil.example/items": "/items/7", "/elsewhere": "/items/7", "/v1/items?a": "/v1/items/7"} {
		w := httptest.NewRecorder()
		r.RequestURI = sent
		logic.REST().ServeHTTP(w, r)
		require.Equal(t, want, w.Header().Get("Location"), sent)
	}
}

// Statement 59: a body over the operation's limit is refused, whether its length
// is known or not, and wherever the stack has another limit.
func TestBodyLimits(t *testing.T) {
	t.Parallel()
	type input struct {
		Text string `json:"text"`
	}
	logic := backend.NewLogic(nil, nil, backend.LogicConfig{})
	logic.Add(backend.Mutation("m", backend.Public, func(context.Context, input) (backend.None, error) { return backend.None{}, nil },
		backend.Route("POST /m"), backend.MaxBody(1000)))
	door := logic.REST()
	for name, h := range map[string]http.Handler{
		"alone": door, "in a stack": backend.Stack(backend.StackConfig{})(door),
		"under a lower limit": backend.BodyLimit(10)(door), "under a higher limit": backend.BodyLimit(1 << 20)(door),
	} {
		for _, known := range []bool{true, false} {
			for length, status := range map[int]int{1000: 204, 1001: 413, 100_000: 413} {
				body := strings.NewReader(`{"text":"` + strings.Repeat("x", length-len(`{"text":""}`)) + `"}`)
				r := httptest.NewRequest("POST", "/m", body)
				if !known {
					r.ContentLength = -1
				}
				r.Header.Set("Content-Type", "application/json")
				w := httptest.NewRecorder()
				h.ServeHTTP(w, r)
				require.Equal(t, status, w.Code, "%s, length known: %v: %s", name, known, w.Body)
				if length == 100_000 {
					require.Greater(t, body.Len(), 90_000, "the rest is not read")
				}
			}
		}
	}
}

// Whatever is wrong is said at once, and by the names that the client knows.
func TestRESTNamesEverythingThatIsWrong(t *testing.T) {
	t.Parallel()
	type part struct {
		Size int `json:"size" validate:"max=3"`
	}
	type input struct {
		Token string `json:"token,omitempty" in:"header=X-Token" validate:"max=2"`
		Count int    `json:"count,omitempty" in:"query=n" validate:"max=5"`
		Name  string `json:"name" validate:"max=2"`
		Again string `json:"again,omitempty" validate:"omitempty,eqfield=Name"`
		Parts []part `json:"parts,omitempty" validate:"max=3,dive"`
		Must  string `json:"must" validate:"required"`
	}
	type wrapped struct {
		ID    int    `json:"id" validate:"max=5"`
		Token string `json:"token,omitempty" in:"cookie=t" validate:"max=2"`
		Body  []part `json:"parts" in:"body" validate:"max=3,dive"`
	}
	logic := backend.NewLogic(nil, nil, backend.LogicConfig{})
	logic.Add(
		backend.Mutation("flat", backend.Public, func(context.Context, input) (backend.None, error) { return backend.None{}, nil }, backend.Route("POST /flat")),
		backend.Mutation("list", backend.Public, func(context.Context, wrapped) (backend.None, error) { return backend.None{}, nil }, backend.Route("PUT /lists/{id}")),
	)
	c := newRESTClient(t, logic)
	for _, test := range []struct {
		method, path, body string
		headers, want      []string
	}{
		{"POST", "/flat?n=9", `{"name":"long","must":"x"}`, []string{"X-Token", "long"}, []string{"/X-Token max", "/n max", "/name max"}},
		{"POST", "/flat?n=x&token=1", `{"name":1,"parts":[{"size":9},{"size":"x"}],"more":1}`, []string{"X-Token", "long"},
			[]string{"/n format", "/token unknown", "/name type", "/parts/1/size type", "/more unknown", "/must required", "/X-Token max", "/parts/0/size max"}},
		{"POST", "/flat", `{"name":1,"again":"x","must":"x"}`, nil, []string{"/name type"}},
		{"POST", "/flat", `{"name":"a","again":"x","must":""}`, nil, []string{"/again eqfield", "/must required"}},
		{"POST", "/flat", `{"name":"a","again":"x","must":"x","more":1}`, nil, []string{"/more unknown", "/again eqfield"}},
		{"PUT", "/lists/9", `[{"size":9},{"size":1,"more":1},{}]`, []string{"Cookie", "t=long"}, []string{"/1/more unknown", "/2/size required", "/id max", "/t max", "/0/size max"}},
		{"PUT", "/lists/1", `[{"size":1},{"size":1},{"size":1},{"size":1}]`, nil, []string{" max"}},
		{"PUT", "/lists/1?parts=1", `[]`, nil, []string{"/parts unknown"}},
	} {
		w := c.do(test.method, test.path, test.body, test.headers...)
		require.Equal(t, 422, w.Code, w.Body)
		_, fields := problem(t, w)
		require.Equal(t, test.want, fields, "%s %s %s", test.method, test.path, test.body)
	}
}

// A request can have more that is wrong with it than anybody wants to read.
func TestRESTNamesFiftyFields(t *testing.T) {
	t.Parallel()
	logic := backend.NewLogic(nil, nil, backend.LogicConfig{})
	logic.Add(backend.Query("q", backend.Public, func(context.Context, struct {
		Name string `json:"name,omitempty" validate:"max=2"`
	}) (backend.None, error) {
		return backend.None{}, nil
	}, backend.Route("GET /q")))
	var query strings.Builder
	for i := range 100 {
		fmt.Fprintf(&query, "&a%d=1", i)
	}
	_, fields := problem(t, newRESTClient(t, logic).do("GET", "/q?name=long"+query.String(), ""))
	require.Len(t, fields, 50)
}

// deafWriter is the response of a client that has gone away.
type deafWriter struct{ http.ResponseWriter }

func (deafWriter) Write([]byte) (int, error) { return 0, syscall.EPIPE }

// That a client does not wait for its answer is no error of the program.
func TestRESTLogsNoErrorOfClientsThatLeave(t *testing.T) {
	t.Parallel()
	logic := backend.NewLogic(nil, nil, backend.LogicConfig{})
	logic.Add(backend.Query("q", backend.Public, func(context.Context, backend.None) (int, error) { return 1, nil }, backend.Route("GET /q")))
	var log bytes.Buffer
	h := backend.AccessLog(slog.New(slog.NewTextHandler(&log, nil)))(backend.Recover()(logic.REST()))
	require.PanicsWithValue(t, http.ErrAbortHandler, func() {
		h.ServeHTTP(deafWriter{httptest.NewRecorder()}, httptest.NewRequest("GET", "/q", nil))
	})
	require.Contains(t, log.String(), "level=INFO")
	require.Contains(t, log.String(), "broken pipe")
	require.Equal(t, 1, strings.Count(log.String(), "\n"), &log)
}

// What nothing is said about must not be kept by a cache that decides for itself.
func TestRESTCachingByDefault(t *testing.T) {
	onShop(t, func(t *testing.T, s *shop, c restClient) {
		created := c.do("POST", "/items", `{"name":"a"}`)
		require.Equal(t, "no-store", created.Header().Get("Cache-Control"))
		require.Equal(t, "no-store", c.do("GET", "/items", "").Header().Get("Cache-Control"))
	})
	logic := backend.NewLogic(nil, nil, backend.LogicConfig{})
	logic.Add(
		backend.Query("q", backend.Public, func(context.Context, backend.None) (int, error) { return 1, nil }, backend.Route("GET /q")),
		backend.Mutation("m", backend.Public, noop, backend.Route("DELETE /q")),
	)
	c := newRESTClient(t, logic)
	first := c.do("GET", "/q", "")
	require.Equal(t, "no-cache", first.Header().Get("Cache-Control"))
	again := c.do("GET", "/q", "", "If-None-Match", first.Header().Get("ETag"))
	require.Equal(t, 304, again.Code)
	require.Equal(t, "no-cache", again.Header().Get("Cache-Control"))
	require.Empty(t, c.do("DELETE", "/q", "").Header().Get("Cache-Control"))
}

func TestRESTOfOtherTypes(t *testing.T) {
	onShop(t, func(t *testing.T, s *shop, c restClient) {
		var zipped bytes.Buffer
		w := gzip.NewWriter(&zipped)
		_, err := w.Write([]byte(`{"name":"a"}`))
		require.NoError(t, err)
		require.NoError(t, w.Close())
		for _, body := range []string{zipped.String(), `{"name":"a"}`} {
			require.Equal(t, 415, c.do("POST", "/items", body, "Content-Encoding", "gzip").Code)
		}
		require.EqualValues(t, 0, s.calls.Load())
		require.Equal(t, 201, c.do("POST", "/items", `{"name":"a"}`, "Content-Encoding", "identity").Code)

		require.Equal(t, 200, c.do("GET", "/items", "", "Accept", "").Code)
		require.Equal(t, 406, c.do("GET", "/items", "", "Accept", "text/html").Code)
		require.Equal(t, 204, c.do("DELETE", "/items/1", "", "Accept", "text/html", "If-Match", "*").Code, "there is nothing to send")
	})
}

// The media type application/json has no parameters, and a charset has no meaning (RFC
// 8259, section 11).
func TestRESTIgnoresParametersOfJSON(t *testing.T) {
	onShop(t, func(t *testing.T, s *shop, c restClient) {
		for _, params := range []string{"; charset=utf8", "; charset=utf-8", ";charset=UTF-8", "; charset=iso-8859-1", `; charset="latin1"`, "; odata=verbose", "; charset", ";", "; charset=a; charset=b"} {
			require.Equal(t, 201, c.do("POST", "/items", `{"name":"é"}`, "Content-Type", "application/json"+params).Code, params)
			require.Equal(t, 200, c.do("PATCH", "/items/1", `{"price":1}`, "If-Match", "*", "Content-Type", "Application/Merge-Patch+JSON"+params).Code, params)
		}
	})
}

// A response that refuses a body says what is accepted: Accept-Patch (RFC 5789, section
// 2.2), Accept and Accept-Encoding (RFC 9110, section 15.5.16).
func TestRESTSaysWhatItAccepts(t *testing.T) {
	onShop(t, func(t *testing.T, s *shop, c restClient) {
		patch := []string{"application/json, application/merge-patch+json"}
		check := func(head http.Header, accept, acceptPatch, acceptEncoding []string) {
			require.Equal(t, accept, head.Values("Accept"))
			require.Equal(t, acceptPatch, head.Values("Accept-Patch"))
			require.Equal(t, acceptEncoding, head.Values("Accept-Encoding"))
		}
		w := c.do("PATCH", "/items/1", `{}`, "If-Match", "*", "Content-Type", "application/json-patch+json")
		require.Equal(t, 415, w.Code)
		check(w.Header(), nil, patch, nil)
		w = c.do("POST", "/items", `a`, "Content-Type", "text/plain")
		require.Equal(t, 415, w.Code)
		check(w.Header(), []string{"application/json"}, nil, nil)
		w = c.do("POST", "/items", `a`, "Content-Encoding", "gzip")
		require.Equal(t, 415, w.Code)
		check(w.Header(), nil, nil, []string{"identity"})
		w = c.do("OPTIONS", "/items/1", ``)
		require.Equal(t, 204, w.Code)
		require.Contains(t, w.Header().Get("Allow"), "PATCH")
		check(w.Header(), nil, patch, nil)
		w = c.do("OPTIONS", "/items", ``)
		require.Equal(t, 204, w.Code)
		require.NotContains(t, w.Header().Get("Allow"), "PATCH")
		check(w.Header(), nil, nil, nil)
		check(c.do("POST", "/items", `{"name":"a"}`).Header(), nil, nil, nil)
	})
}

// sameRequest keeps the request that it was asked about.
type sameRequest struct{ asked *http.Request }

func (s *sameRequest) Authenticate(_ context.Context, r *http.Request) (backend.Caller, error) {
	s.asked = r
	return backend.Caller{}, nil
}

// A door below a prefix gets the request itself, and not a copy with a shorter
// path.
func TestRESTIsMountedWithoutACopy(t *testing.T) {
	t.Parallel()
	var auth sameRequest
	logic := backend.NewLogic(nil, &auth, backend.LogicConfig{})
	logic.Add(backend.Query("q", backend.Public, func(_ context.Context, in struct {
		ID string `json:"id"`
	}) (string, error) {
		return in.ID, nil
	}, backend.Route("GET /things/{id}")))
	r := backend.NewRouter()
	r.Group("/v1").Mount("/api", logic.REST())
	sent := httptest.NewRequest("GET", "/v1/api/things/a%2Fb", nil)
	w := httptest.NewRecorder()
	r.ServeHTTP(w, sent)
	require.Equal(t, `"a/b"`, w.Body.String())
	require.Same(t, sent, auth.asked)
	require.Equal(t, "/v1/api/things/a%2Fb", sent.URL.EscapedPath())
	require.Equal(t, "GET /v1/api/things/{id}", r.Routes()[0].Pattern)
}

// Programs that calculate weights send more digits than RFC 9110 allows.
func TestAcceptWithManyDigits(t *testing.T) {
	t.Parallel()
	logic := backend.NewLogic(nil, nil, backend.LogicConfig{})
	logic.Add(backend.Query("q", backend.Public, func(context.Context, backend.None) (string, error) { return "x", nil }, backend.Route("GET /q")))
	c := newRESTClient(t, logic)
	for _, accept := range []string{"application/json;q=0.8500", "*/*;q=1.0000", "text/html, application/json; q=0.8999999999999999"} {
		require.Equal(t, http.StatusOK, c.do("GET", "/q", "", "Accept", accept).Code, accept)
	}
}
