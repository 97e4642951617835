package backend_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
	"github.com/seed-215b9b7c/backend/backendtest"
)

// Films, their directors and the reviews of both are the types of these tests.
type (
	film struct {
		ID       int    `json:"id"`
		Director int    `json:"-"`
		Sequels  []film `json:"sequels,omitempty"`
	}
	person struct {
		Name string `json:"name"`
	}
	review struct {
		Text string `json:"text"`
		By   int    `json:"-"`
	}
)

func directors(_ context.Context, films []film) ([]*person, error) {
	names := []string{1: "Ann", 2: "Bob"}
	children := make([]*person, len(films))
	for i, f := range films {
		if f.Director > 0 {
			children[i] = &person{names[f.Director]}
		}
	}
	return children, nil
}

func reviews(_ context.Context, films []film) ([][]review, error) {
	var all []review
	for _, f := range films {
		for range f.ID % 3 {
			all = append(all, review{"<good>", f.ID})
		}
	}
	return backend.HasMany(films, all, func(f film) int { return f.ID }, func(r review) int { return r.By }), nil
}

func reviewers(_ context.Context, reviews []review) ([]person, error) {
	children := make([]person, len(reviews))
	for i, r := range reviews {
		children[i] = person{strings.Repeat("x", r.By)}
	}
	return children, nil
}

// cinema has films in every kind of output.
func cinema(t *testing.T, more ...backend.Definition) (restClient, *backend.Logic) {
	t.Helper()
	films := []film{{ID: 1, Director: 1}, {ID: 2, Director: 2, Sequels: []film{{ID: 3, Director: 1}}}, {ID: 4}}
	type filmID struct {
		ID int `json:"id"`
	}
	logic := backend.NewLogic(nil, bearer{}, backend.LogicConfig{})
	logic.Add(
		backend.Query("films", backend.Public, func(context.Context, backend.None) ([]film, error) { return films, nil }, backend.Route("GET /films")),
		backend.Query("film", backend.Public, func(_ context.Context, in filmID) (film, error) { return films[in.ID], nil }, backend.Route("GET /films/{id}")),
		backend.Query("byName", backend.Public, func(context.Context, backend.None) (map[string]*film, error) {
			return map[string]*film{"a": &films[0], "b": nil, "c": &films[2]}, nil
		}, backend.Route("GET /byName")),
		backend.Query("pages", backend.Public, func(context.Context, backend.None) (backend.Page[film], error) {
			return backend.Page[film]{Items: films[:1], Next: "next"}, nil
		}, backend.Route("GET /pages")),
		backend.Query("none", backend.Public, func(context.Context, backend.None) ([]film, error) { return nil, nil }, backend.Route("GET /none")),
		backend.Mutation("make", backend.Public, func(context.Context, backend.None) (film, error) { return film{ID: 9, Director: 2}, nil }, backend.Route("POST /films")),
		backend.Relation("director", directors, backend.Doc("who made it")),
		backend.Relation("reviews", reviews),
		backend.Relation("by", reviewers),
	)
	logic.Add(more...)
	return newRESTClient(t, logic), logic
}

func TestRelations(t *testing.T) {
	t.Parallel()
	c, logic := cinema(t)
	for _, row := range []struct{ path, want string }{
		{"/films", `[{"id":1},{"id":2,"sequels":[{"id":3}]},{"id":4}]`},
		{"/films?include=director", `[{"id":1,"director":{"name":"Ann"}},{"id":2,"sequels":[{"id":3,"director":{"name":"Ann"}}],"director":{"name":"Bob"}},{"id":4,"director":null}]`},
		{"/films/0?include=reviews.by,director", `{"id":1,"director":{"name":"Ann"},"reviews":[{"text":"\u003cgood\u003e","by":{"name":"x"}}]}`},
		{"/films/0?include=reviews&include=director&include=reviews.by&include=reviews", `{"id":1,"director":{"name":"Ann"},"reviews":[{"text":"\u003cgood\u003e","by":{"name":"x"}}]}`},
		{"/byName?include=director", `{"a":{"id":1,"director":{"name":"Ann"}},"b":null,"c":{"id":4,"director":null}}`},
		{"/pages?include=reviews", `{"items":[{"id":1,"reviews":[{"text":"\u003cgood\u003e"}]}],"next":"next"}`},
		{"/none?include=director", `[]`},
	} {
		w := c.do("GET", row.path, "")
		require.Equal(t, 200, w.Code, "%s: %s", row.path, w.Body)
		require.Equal(t, row.want, w.Body.String(), row.path)
	}
	w := c.do("POST", "/films?include=director", "")
	require.Equal(t, 201, w.Code, w.Body)
	require.Equal(t, `{"id":9,"director":{"name":"Bob"}}`, w.Body.String())
	require.Equal(t, "/api/films/9", w.Header().Get("Location"))

	stats := map[string]int64{}
	for _, s := range logic.Stats() {
		stats[s.Name] = s.Calls
	}
	require.EqualValues(t, 5, stats["film.director"], "once for each answer that has any, whatever the number of films")
	require.EqualValues(t, 2, stats["review.by"])
}

func TestRelationsThatAreNotThere(t *testing.T) {
	t.Parallel()
	c, _ := cinema(t, backend.Relation("secret", directors, backend.Except(backend.REST)))
	for _, query := range []string{"include=", "include=author", "include=director,", "include=by", "include=director.name", "include=reviews.by.by", "include=secret", "include=Director", "include=director,%20reviews"} {
		w := c.do("GET", "/films?"+query, "")
		code, fields := problem(t, w)
		require.Equal(t, "invalid", code, query)
		require.Equal(t, []string{"/include oneof"}, fields, query)
		require.Contains(t, w.Body.String(), "must be one of director, reviews, reviews.by", query)
	}
}

func TestRelationErrors(t *testing.T) {
	t.Parallel()
	c, logic := cinema(t,
		backend.Relation("short", func(context.Context, []film) ([]int, error) { return []int{1}, nil }),
		backend.Relation("broken", func(context.Context, []film) ([]int, error) { return nil, errors.New("hunter2") }),
		backend.Relation("gone", func(context.Context, []film) ([]int, error) { return nil, backend.Errorf(backend.Gone, "It is gone.") }),
		backend.Relation("panics", func(context.Context, []film) ([]int, error) { panic("hunter2") }),
		backend.Relation("slow", func(ctx context.Context, _ []film) ([]int, error) { <-ctx.Done(); return nil, ctx.Err() }),
		backend.Relation("mine", directors, backend.Allow(func(ctx context.Context, films []film) error {
			if len(films) > 0 && backend.CallerFrom(ctx).ID != "ann" {
				return backend.Errorf(backend.Forbidden, "Only Ann.")
			}
			return nil
		})),
		backend.Query("brief", backend.Public, func(context.Context, backend.None) (film, error) { return film{}, nil }, backend.Route("GET /brief"), backend.Deadline(time.Millisecond)),
		backend.Query("many", backend.Public, func(context.Context, backend.None) ([]film, error) { return make([]film, 10_001), nil }, backend.Route("GET /many")),
	)
	for query, status := range map[string]int{"/films?include=short": 500, "/films?include=broken": 500, "/films?include=panics": 500, "/films?include=gone": 410, "/brief?include=slow": 504, "/many?include=director": 422} {
		w := c.do("GET", query, "")
		require.Equal(t, status, w.Code, "%s: %s", query, w.Body)
		require.NotContains(t, w.Body.String(), "hunter2")
		require.NotContains(t, w.Body.String(), `"id"`, "an answer is whole or none")
	}
	require.Equal(t, 200, c.do("GET", "/films?include=mine", "").Code)
	c.who = "bob"
	require.Equal(t, 403, c.do("GET", "/films?include=mine", "").Code)
	for _, s := range logic.Stats() {
		if s.Name == "film.panics" {
			require.EqualValues(t, 1, s.Failed[backend.Internal])
		}
	}
}

// A relation's children may change while the value's own version does not, so
// the answer has another ETag, and a weak one: what If-Match compares has no
// relations (RFC 9110, section 8.8.1).
func TestRelationsAndVersions(t *testing.T) {
	onShop(t, func(t *testing.T, s *shop, _ restClient) {
		director := "Ann"
		logic := backend.NewLogic(s.db, bearer{}, backend.LogicConfig{})
		logic.Add(
			backend.Query("item", backend.SignedIn, s.get, backend.Route("GET /items/{id}")),
			backend.Mutation("createItem", backend.SignedIn, s.create, backend.Route("POST /items"), backend.Idempotent()),
			backend.Mutation("patchItem", backend.SignedIn, s.patch, backend.Route("PATCH /items/{id}")),
			backend.Relation("maker", func(_ context.Context, items []item) ([]string, error) {
				makers := make([]string, len(items))
				for i := range makers {
					makers[i] = director
				}
				return makers, nil
			}),
		)
		c := newRESTClient(t, logic)
		first := c.do("POST", "/items?include=maker", `{"name":"a"}`, "Idempotency-Key", "k")
		require.Equal(t, 201, first.Code, first.Body)
		require.Contains(t, first.Body.String(), `"maker":"Ann"`)
		plain, related := c.do("GET", "/items/1", ""), c.do("GET", "/items/1?include=maker", "")
		tag := related.Header().Get("ETag")
		require.True(t, strings.HasPrefix(tag, `W/"`), tag)
		require.Equal(t, 304, c.do("GET", "/items/1?include=maker", "", "If-None-Match", tag).Code)
		require.Equal(t, 304, c.do("GET", "/items/1?include=maker", "", "If-None-Match", strings.TrimPrefix(tag, "W/")).Code, "weakly compared")
		require.Equal(t, 412, c.do("PATCH", "/items/1", `{"name":"b"}`, "If-Match", tag).Code)
		director = "Bob"
		require.Equal(t, 200, c.do("GET", "/items/1?include=maker", "", "If-None-Match", tag).Code)
		patched := c.do("PATCH", "/items/1?include=maker", `{"name":"b"}`, "If-Match", plain.Header().Get("ETag"))
		require.Equal(t, 200, patched.Code, patched.Body)
		require.Contains(t, patched.Body.String(), `"maker":"Bob"`)
		again := c.do("POST", "/items?include=maker", `{"name":"a"}`, "Idempotency-Key", "k")
		require.Equal(t, "true", again.Header().Get("Idempotency-Replayed"))
		require.Contains(t, again.Body.String(), `"name":"a"`)
		require.Contains(t, again.Body.String(), `"maker":"Bob"`)
	})
}

// A relation sees what the mutation has written, and an error of it undoes that.
func TestRelationsAreInTheTransaction(t *testing.T) {
	onShop(t, func(t *testing.T, s *shop, _ restClient) {
		logic := backend.NewLogic(s.db, bearer{}, backend.LogicConfig{})
		logic.Add(
			backend.Mutation("createItem", backend.SignedIn, s.create, backend.Route("POST /items")),
			backend.Relation("siblings", func(ctx context.Context, items []item) ([]int, error) {
				n, err := backend.One[int](ctx, s.db, "SELECT COUNT(*) FROM items")
				if n > 1 {
					return nil, backend.Errorf(backend.Conflict, "One is enough.")
				}
				return []int{n}, err
			}),
		)
		c := newRESTClient(t, logic)
		require.Contains(t, c.do("POST", "/items?include=siblings", `{"name":"a"}`).Body.String(), `"siblings":1`)
		require.Equal(t, http.StatusConflict, c.do("POST", "/items?include=siblings", `{"name":"b"}`).Code)
		n, err := backend.One[int](t.Context(), s.db, "SELECT COUNT(*) FROM items")
		require.NoError(t, err)
		require.Equal(t, 1, n)
	})
}

func TestRelationFaults(t *testing.T) {
	t.Parallel()
	type withField struct {
		ID       int `json:"id"`
		Director int `json:"Director"`
	}
	nothing := func(context.Context, []film) ([]int, error) { return nil, nil }
	text := panicText(func() {
		backend.NewLogic(nil, nil, backend.LogicConfig{}).Add(
			backend.Relation("director", nothing),
			backend.Relation("director", nothing),
			backend.Relation("Director", nothing),
			backend.Relation("id", nothing),
			backend.Relation("sequels", nothing, backend.Route("GET /sequels"), backend.Deadline(10*time.Second), backend.Tx(backend.ReadWrite)),
			backend.Relation("director", func(context.Context, []withField) ([]chan int, error) { return nil, nil }),
			backend.Relation("director", func(context.Context, []*film) ([]int, error) { return nil, nil }),
			backend.Relation("anonymous", func(context.Context, []struct{ A int }) ([]int, error) { return nil, nil }),
			backend.Relation[film, int]("none", nil),
			backend.Relation("guarded", nothing, backend.Allow(func(context.Context, film) error { return nil })),
			backend.Relation("elsewhere", nothing, backend.Only("soup")),
		)
	})
	for _, want := range []string{
		`relation "film.director", registered at `, "relation_test.go:", "its name is taken by the relation registered at",
		`relation "film.Director"`, "must begin with a lower-case letter and continue with letters and digits, or underscores",
		"a backend_test.film has the field id already", "Route is for queries and mutations, but this is a relation",
		"Deadline is for queries and mutations", "Tx is for queries and mutations",
		"has the field Director already", "a chan int is not supported", "they must be structs of a type with a name, as operations return them, and not pointers",
		"its parents are struct { A int }", "the function is nil", "Allow has a function of a backend_test.film, but the operation takes a []backend_test.film", `there is no door "soup"`,
	} {
		require.Contains(t, text, want)
	}

	logic := backend.NewLogic(nil, nil, backend.LogicConfig{})
	logic.Add(backend.Relation("director", nothing))
	require.Contains(t, panicText(func() { logic.REST() }), "no operation returns a backend_test.film")

	type input struct {
		Include string `json:"include"`
	}
	logic = backend.NewLogic(nil, nil, backend.LogicConfig{})
	logic.Add(backend.Relation("director", nothing), backend.Query("q", backend.Public, func(context.Context, input) (film, error) { return film{}, nil }, backend.Route("GET /q")))
	require.Contains(t, panicText(func() { logic.REST() }), "the parameter include asks for relations")
}

// What may be asked for is finite even where types lead back to themselves.
func TestRelationsInCircles(t *testing.T) {
	t.Parallel()
	type node struct {
		N int `json:"n"`
	}
	next := func(_ context.Context, nodes []node) ([]node, error) { return nodes, nil }
	logic := backend.NewLogic(nil, nil, backend.LogicConfig{})
	logic.Add(backend.Query("node", backend.Public, func(context.Context, backend.None) (node, error) { return node{}, nil }, backend.Route("GET /node")))
	for _, name := range []string{"a", "b", "c", "d", "e", "f", "g"} {
		logic.Add(backend.Relation(name, next))
	}
	c := newRESTClient(t, logic)
	require.Equal(t, `{"n":0,"a":{"n":0,"b":{"n":0}}}`, c.do("GET", "/node?include=a.b", "").Body.String())
	require.Equal(t, 422, c.do("GET", "/node?include=a.a", "").Code)
	require.Equal(t, 422, c.do("GET", "/node?include=a.b.c", "").Code, "there would be too many such paths")
}

func TestRelationsInOpenAPI(t *testing.T) {
	t.Parallel()
	_, logic := cinema(t, backend.Relation("hidden", directors, backend.Except(backend.REST)))
	w := httptest.NewRecorder()
	logic.REST().OpenAPI(backend.OpenAPIConfig{}).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	var document struct {
		Paths      map[string]map[string]map[string]any
		Components struct{ Schemas map[string]map[string]any }
	}
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &document))
	for _, operation := range []map[string]any{document.Paths["/films"]["get"], document.Paths["/films"]["post"], document.Paths["/pages"]["get"]} {
		require.Equal(t, []any{object{
			"name": "include", "in": "query", "description": "Further fields that the answer is to have; after a dot those of their values.",
			"schema": object{"type": "array", "items": object{"type": "string", "enum": []any{"director", "reviews", "reviews.by"}}},
		}}, operation["parameters"])
	}
	require.Equal(t, object{
		"type": "object", "required": []any{"id"}, "properties": object{
			"id":       object{"type": "integer", "format": "int64"},
			"sequels":  object{"type": "array", "items": object{"$ref": "#/components/schemas/film"}},
			"director": object{"anyOf": []any{object{"$ref": "#/components/schemas/person"}, object{"type": "null"}}, "description": "who made it (only if include asks for it)"},
			"reviews":  object{"type": "array", "items": object{"$ref": "#/components/schemas/review"}, "description": "(only if include asks for it)"},
		},
	}, document.Components.Schemas["film"])
	require.Contains(t, document.Components.Schemas["review"]["properties"], "by")
}

func TestHasOneAndHasMany(t *testing.T) {
	t.Parallel()
	byID, byDirector := func(f film) int { return f.ID }, func(f film) int { return f.Director }
	parents, children := []film{{ID: 2}, {ID: 1}, {ID: 3}, {ID: 2}}, []film{{ID: 10, Director: 1}, {ID: 11, Director: 2}, {ID: 12, Director: 1}}
	many := backend.HasMany(parents, children, byID, byDirector)
	require.Equal(t, [][]film{{children[1]}, {children[0], children[2]}, {}, {children[1]}}, many)
	one := backend.HasOne(parents, children, byID, byDirector)
	require.Equal(t, []*film{&children[1], &children[2], nil, &children[1]}, one)
}

// Fifty items with a relation are two queries, on every engine.
func TestRelationsAreOneQuery(t *testing.T) {
	t.Parallel()
	backendtest.EachDB(t, func(t *testing.T, db *backend.DB) {
		s, logic := newShop(t, db)
		for range 50 {
			_, err := db.Exec(t.Context(), "INSERT INTO items (name, owner) VALUES ('a', 'ann')")
			require.NoError(t, err)
		}
		logic.Add(backend.Relation("doubles", func(ctx context.Context, items []item) ([][]item, error) {
			var names []string
			for _, i := range items {
				names = append(names, i.Name)
			}
			doubles, err := backend.All[item](ctx, s.db, "SELECT * FROM items WHERE name IN (?) ORDER BY id LIMIT 2", names)
			name := func(i item) string { return i.Name }
			return backend.HasMany(items, doubles, name, name), err
		}))
		c := newRESTClient(t, logic)
		w := c.do("GET", "/items?limit=50&include=doubles", "")
		require.Equal(t, 200, w.Code, w.Body)
		require.Equal(t, 50*3, strings.Count(w.Body.String(), `"name":"a"`))
		for _, stats := range logic.Stats() {
			if stats.Name == "item.doubles" {
				require.EqualValues(t, 1, stats.Calls)
			}
		}
	})
}

// A client that leaves while its answer is made has undone the call, whatever the
// relation makes of it.
func TestRelationOfAClientThatLeaves(t *testing.T) {
	onShop(t, func(t *testing.T, s *shop, _ restClient) {
		ctx, leave := context.WithCancel(t.Context())
		defer leave()
		logic := backend.NewLogic(s.db, bearer{}, backend.LogicConfig{})
		logic.Add(
			backend.Mutation("createItem", backend.SignedIn, s.create, backend.Route("POST /items")),
			backend.Relation("rest", func(ctx context.Context, items []item) ([]int, error) {
				leave()
				<-ctx.Done()
				return make([]int, len(items)), nil
			}),
		)
		r := httptest.NewRequestWithContext(ctx, "POST", "/api/items?include=rest", strings.NewReader(`{"name":"lost"}`))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer ann")
		w := httptest.NewRecorder()
		newRESTClient(t, logic).h.ServeHTTP(w, r)
		require.Equal(t, 499, w.Code, w.Body)
		require.EqualValues(t, 1, s.calls.Load())
		n, err := backend.One[int](t.Context(), s.db, "SELECT COUNT(*) FROM items")
		require.NoError(t, err)
		require.Zero(t, n)
	})
}

// How deep clients can ask, and about how many values in one answer.
func TestRelationsHaveBounds(t *testing.T) {
	t.Parallel()
	type node struct {
		N int `json:"n"`
	}
	next := func(_ context.Context, nodes []node) ([]node, error) { return nodes, nil }
	logic := backend.NewLogic(nil, nil, backend.LogicConfig{})
	logic.Add(
		backend.Query("nodes", backend.Public, func(_ context.Context, in node) ([]node, error) { return make([]node, in.N), nil }, backend.Route("GET /nodes")),
		backend.Relation("a", next), backend.Relation("b", next), backend.Relation("c", next), backend.Relation("d", next),
	)
	deeper := backend.NewLogic(nil, nil, backend.LogicConfig{})
	type e struct{}
	type d struct{}
	type c struct{}
	type b struct{}
	type a struct{}
	deeper.Add(
		backend.Query("a", backend.Public, func(context.Context, backend.None) (a, error) { return a{}, nil }, backend.Route("GET /a")),
		backend.Relation("b", func(_ context.Context, of []a) ([]b, error) { return make([]b, len(of)), nil }),
		backend.Relation("c", func(_ context.Context, of []b) ([]c, error) { return make([]c, len(of)), nil }),
		backend.Relation("d", func(_ context.Context, of []c) ([]d, error) { return make([]d, len(of)), nil }),
		backend.Relation("e", func(_ context.Context, of []d) ([]e, error) { return make([]e, len(of)), nil }),
		backend.Relation("f", func(_ context.Context, of []e) ([]int, error) { return make([]int, len(of)), nil }),
	)
	require.Equal(t, 200, call(deeper, "GET", "/a?include=b.c.d.e", nil).Code)
	require.Equal(t, 422, call(deeper, "GET", "/a?include=b.c.d.e.f", nil).Code)

	require.Equal(t, 200, call(logic, "GET", "/nodes?n=5000&include=a,b", nil).Code)
	require.Equal(t, 422, call(logic, "GET", "/nodes?n=5001&include=a,b", nil).Code)
	require.Equal(t, 422, call(logic, "GET", "/nodes?n=3334&include=a.b.c", nil).Code)
}
