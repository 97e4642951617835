package backend_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
	"github.com/seed-215b9b7c/backend/backendtest"
)

// shop is an application with an operation for everything that doors do.
type shop struct {
	db    *backend.DB
	calls atomic.Int64
}

type item struct {
	ID      backend.ID `db:"id" json:"id"`
	Name    string     `db:"name" json:"name"`
	Price   *float64   `db:"price" json:"price"`
	Owner   string     `db:"owner" json:"owner"`
	Version int        `db:"version" json:"version"`
}

type newItem struct {
	Name  string   `json:"name" validate:"required,max=20"`
	Price *float64 `json:"price" validate:"omitempty,min=0"`
	Tags  []string `json:"tags,omitempty" validate:"max=3,dive,max=5"`
}

func (in newItem) Validate(context.Context) error {
	if in.Name == "forbidden" {
		return errors.New("This name is taken by history.")
	}
	return nil
}

func (s *shop) create(ctx context.Context, in newItem) (item, error) {
	s.calls.Add(1)
	return backend.One[item](ctx, s.db, "INSERT INTO items (name, price, owner) VALUES (?, ?, ?) RETURNING *",
		in.Name, in.Price, backend.CallerFrom(ctx).ID)
}

type itemID struct {
	ID backend.ID `json:"id"`
}

func (s *shop) get(ctx context.Context, in itemID) (item, error) {
	found, err := backend.One[item](ctx, s.db, "SELECT * FROM items WHERE id = ?", in.ID)
	if err == nil {
		err = backend.Owned(ctx, found.Owner)
	}
	return found, err
}

type listInput struct {
	Search string         `json:"search,omitempty" validate:"max=10"`
	Limit  int            `json:"limit,omitempty" validate:"min=0,max=50"`
	IDs    []backend.ID   `json:"ids,omitempty"`
	After  backend.Cursor `json:"after,omitempty"`
	Lang   string         `json:"lang,omitempty" in:"header=Accept-Language"`
}

func (s *shop) list(ctx context.Context, in listInput) (backend.Page[item], error) {
	last := backend.ID(0)
	if err := in.After.Read(ctx, &last); err != nil {
		return backend.Page[item]{}, err
	}
	limit := in.Limit
	if limit == 0 {
		limit = 10
	}
	items, err := backend.All[item](ctx, s.db, "SELECT * FROM items WHERE owner = ? AND id > ? ORDER BY id LIMIT ?",
		backend.CallerFrom(ctx).ID, last, limit)
	if err != nil {
		return backend.Page[item]{}, err
	}
	return backend.NewPage(ctx, items, limit, func(i item) []any { return []any{i.ID} })
}

type patchItem struct {
	ID    backend.ID            `json:"id"`
	Name  backend.Opt[string]   `json:"name,omitzero" validate:"omitempty,max=20"`
	Price backend.Opt[*float64] `json:"-"`
	Cost  backend.Opt[float64]  `json:"price,omitzero"`
}

func (s *shop) patch(ctx context.Context, in patchItem) (item, error) {
	found, err := s.get(ctx, itemID{in.ID})
	if err != nil {
		return item{}, err
	}
	found.Name = in.Name.Or(found.Name)
	if in.Cost.Present {
		found.Price = nil
		if !in.Cost.Null {
			found.Price = &in.Cost.Value
		}
	}
	_, err = s.db.Exec(ctx, "UPDATE items SET name = ?, price = ?, version = version + 1 WHERE id = ?", found.Name, found.Price, in.ID)
	if err != nil {
		return item{}, err
	}
	return s.get(ctx, itemID{in.ID})
}

func (s *shop) remove(ctx context.Context, in itemID) (backend.None, error) {
	if _, err := s.get(ctx, in); err != nil {
		return backend.None{}, err
	}
	_, err := s.db.Exec(ctx, "DELETE FROM items WHERE id = ?", in.ID)
	return backend.None{}, err
}

// fail writes and then fails in the way that it is told.
func (s *shop) fail(ctx context.Context, in struct {
	How string `json:"how"`
}) (backend.None, error) {
	if _, err := s.db.Exec(ctx, "INSERT INTO items (name, owner) VALUES ('lost', 'ann')"); err != nil {
		return backend.None{}, err
	}
	switch in.How {
	case "panic":
		panic("boom")
	case "slow":
		<-ctx.Done()
		return backend.None{}, ctx.Err()
	case "secret":
		return backend.None{}, errors.New("the password is hunter2")
	}
	return backend.None{}, backend.Errorf(backend.Gone, "It is %s.", in.How)
}

// bearer takes "Bearer NAME" or "Bearer NAME:ROLE" for what it says.
type bearer struct{}

func (bearer) Authenticate(_ context.Context, r *http.Request) (backend.Caller, error) {
	header := r.Header.Get("Authorization")
	if header == "" {
		return backend.Caller{}, nil
	}
	name, ok := strings.CutPrefix(header, "Bearer ")
	if !ok || name == "wrong" {
		return backend.Caller{}, backend.Errorf(backend.Unauthenticated, "The token is not valid.")
	}
	name, role, _ := strings.Cut(name, ":")
	return backend.Caller{ID: name, Roles: []string{role}, Method: "token"}, nil
}

func newShop(t *testing.T, db *backend.DB) (*shop, *backend.Logic) {
	t.Helper()
	id := map[backend.Engine]string{backend.SQLite: "INTEGER PRIMARY KEY", backend.Postgres: "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY", backend.MySQL: "BIGINT AUTO_INCREMENT PRIMARY KEY"}[db.Engine()]
	require.NoError(t, db.Migrate(t.Context(), fstest.MapFS{"1_items.sql": {Data: []byte("-- +goose Up\nCREATE TABLE items (id " + id +
		", name VARCHAR(200) NOT NULL, price DOUBLE PRECISION, owner VARCHAR(50) NOT NULL, version INTEGER NOT NULL DEFAULT 1);")}}))
	s := &shop{db: db}
	logic := backend.NewLogic(db, bearer{})
	logic.Add(
		backend.Query("items", backend.SignedIn, s.list, backend.Route("GET /items")),
		backend.Query("item", backend.SignedIn, s.get, backend.Route("GET /items/{id}")),
		backend.Mutation("createItem", backend.SignedIn, s.create, backend.Route("POST /items"), backend.Idempotent(backend.Accepted)),
		backend.Mutation("patchItem", backend.SignedIn, s.patch, backend.Route("PATCH /items/{id}")),
		backend.Mutation("deleteItem", backend.SignedIn, s.remove, backend.Route("DELETE /items/{id}"), backend.RequireIfMatch()),
		backend.Mutation("fail", backend.Public, s.fail, backend.Route("POST /fail"), backend.Deadline(300*time.Millisecond)),
		backend.Query("admin", backend.AllOf(backend.SignedIn, backend.Role("admin")), func(context.Context, backend.None) (string, error) { return "secret", nil }, backend.Route("GET /admin")),
	)
	return s, logic
}

// door is a REST door as a client sees it.
type restClient struct {
	t   *testing.T
	h   http.Handler
	who string
}

func newRESTClient(t *testing.T, logic *backend.Logic) restClient {
	r := backend.NewRouter()
	r.Use(backend.Recover())
	r.Mount("/api", logic.REST())
	return restClient{t, r, "ann"}
}

// do sends a request; headers are pairs of name and value.
func (c restClient) do(method, path, body string, headers ...string) *httptest.ResponseRecorder {
	c.t.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	r := httptest.NewRequestWithContext(c.t.Context(), method, "/api"+path, reader)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if c.who != "" {
		r.Header.Set("Authorization", "Bearer "+c.who)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	c.h.ServeHTTP(w, r)
	return w
}

// problem returns the code and the fields of an error.
func problem(t *testing.T, w *httptest.ResponseRecorder) (code string, fields []string) {
	t.Helper()
	var p struct {
		Code   string
		Errors []backend.FieldError
	}
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &p), w.Body.String())
	for _, field := range p.Errors {
		fields = append(fields, field.Pointer+" "+field.Rule)
	}
	return p.Code, fields
}

func onShop(t *testing.T, test func(t *testing.T, s *shop, c restClient)) {
	t.Parallel()
	backendtest.EachDB(t, func(t *testing.T, db *backend.DB) {
		s, logic := newShop(t, db)
		test(t, s, newRESTClient(t, logic))
	})
}

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
			"charset":           {"POST", "/items", `{"name":"a"}`, []string{"Content-Type", "application/json; charset=latin1"}, 415, ""},
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
			} else {
				require.Empty(t, link)
			}
		}
		require.Equal(t, []string{"0", "1", "2", "3", "4"}, names)
	})
}

func TestIdempotency(t *testing.T) {
	onShop(t, func(t *testing.T, s *shop, c restClient) {
		first := c.do("POST", "/items", `{"name":"a","price":1}`, "Idempotency-Key", `"k1"`)
		require.Equal(t, 201, first.Code, first.Body)
		require.Empty(t, first.Header().Get("Idempotency-Replayed"))
		again := c.do("POST", "/items", ` {"price":1.0, "name":"a"} `, "Idempotency-Key", "k1")
		require.Equal(t, 201, again.Code, again.Body)
		require.Equal(t, "true", again.Header().Get("Idempotency-Replayed"))
		require.Equal(t, first.Body.String(), again.Body.String())
		require.Equal(t, first.Header().Get("Location"), again.Header().Get("Location"))
		require.EqualValues(t, 1, s.calls.Load())

		require.Equal(t, 422, c.do("POST", "/items", `{"name":"b"}`, "Idempotency-Key", "k1").Code)
		require.Equal(t, 400, c.do("POST", "/items", `{"name":"b"}`, "Idempotency-Key", strings.Repeat("k", 256)).Code)
		c.who = "bob"
		other := c.do("POST", "/items", `{"name":"a","price":1}`, "Idempotency-Key", "k1")
		require.Equal(t, 201, other.Code)
		require.NotEqual(t, first.Body.String(), other.Body.String(), "another caller's key")

		_, err := s.db.Exec(t.Context(), "UPDATE backend_idempotency_keys SET expires_at = ?", time.Now().Add(-time.Second))
		require.NoError(t, err)
		require.Equal(t, 201, c.do("POST", "/items", `{"name":"b"}`, "Idempotency-Key", "k1").Code, "it has expired")
	})
}

func TestIdempotencyRequired(t *testing.T) {
	t.Parallel()
	db := backendtest.NewDB(t, backend.SQLite)
	require.NoError(t, db.Migrate(t.Context(), nil))
	logic := backend.NewLogic(db, nil)
	logic.Add(backend.Mutation("pay", backend.Public, noop, backend.Route("POST /pay"), backend.Idempotent(backend.Required)))
	c := newRESTClient(t, logic)
	require.Equal(t, 400, c.do("POST", "/pay", "").Code)
	require.Equal(t, 400, c.do("POST", "/pay", "", "Idempotency-Key", `""`).Code)
	require.Equal(t, 204, c.do("POST", "/pay", "", "Idempotency-Key", "k").Code)
	again := c.do("POST", "/pay", "", "Idempotency-Key", "k")
	require.Equal(t, 204, again.Code)
	require.Equal(t, "true", again.Header().Get("Idempotency-Replayed"))
	_, err := backend.Call[backend.None](t.Context(), logic, "pay", backend.None{})
	require.NoError(t, err, "calls from inside the program need no keys")
}

// What cannot be written as JSON was not done either.
func TestRESTRollsBackWhatItCannotWrite(t *testing.T) {
	onShop(t, func(t *testing.T, s *shop, _ restClient) {
		logic := backend.NewLogic(s.db, bearer{})
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

func TestIdempotencyInParallel(t *testing.T) {
	onShop(t, func(t *testing.T, s *shop, c restClient) {
		var wait sync.WaitGroup
		var created, conflicts atomic.Int64
		for range 50 {
			wait.Go(func() {
				switch w := c.do("POST", "/items", `{"name":"once"}`, "Idempotency-Key", "k"); w.Code {
				case 201:
					created.Add(1)
				case 409:
					conflicts.Add(1)
				default:
					t.Error(w.Code, w.Body)
				}
			})
		}
		wait.Wait()
		require.EqualValues(t, 50, created.Load()+conflicts.Load())
		require.Positive(t, created.Load())
		n, err := backend.One[int](t.Context(), s.db, "SELECT COUNT(*) FROM items")
		require.NoError(t, err)
		require.Equal(t, 1, n)
		require.Equal(t, 201, c.do("POST", "/items", `{"name":"once"}`, "Idempotency-Key", "k").Code)
	})
}

type lowerName struct {
	Name string `json:"name" validate:"lowercase"`
}

// If-Match runs the GET operation: with its validation and its rate limit.
func TestIfMatchIsNoWayAroundTheGET(t *testing.T) {
	t.Parallel()
	backendtest.EachDB(t, func(t *testing.T, db *backend.DB) {
		var reads atomic.Int64
		logic := backend.NewLogic(db, nil)
		logic.Add(
			backend.Query("thing", backend.Public, func(_ context.Context, in lowerName) (string, error) { reads.Add(1); return in.Name, nil },
				backend.Route("GET /things/{name}"), backend.Limit(2, time.Hour)),
			backend.Mutation("touch", backend.Public, func(context.Context, struct {
				Name string `json:"name"`
			}) (backend.None, error) {
				return backend.None{}, nil
			}, backend.Route("POST /things/{name}")),
		)
		c := newRESTClient(t, logic)
		require.Equal(t, http.StatusUnprocessableEntity, c.do("POST", "/things/UPPER", "", "If-Match", "*").Code)
		require.Zero(t, reads.Load(), "the function never sees input that breaks its rules")
		require.Equal(t, http.StatusNoContent, c.do("POST", "/things/lower", "", "If-Match", "*").Code)
		require.Equal(t, http.StatusTooManyRequests, c.do("POST", "/things/lower", "", "If-Match", "*").Code)
		require.EqualValues(t, 1, reads.Load())
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
	logic := backend.NewLogic(nil, nil)
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

func TestLocationBelowAPrefixWithAParameter(t *testing.T) {
	t.Parallel()
	logic := backend.NewLogic(nil, nil)
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

type tagged string

func (t tagged) ETag() string { return string(t) }

func TestEntityTags(t *testing.T) {
	t.Parallel()
	type tagInput struct {
		Tag string `json:"tag"`
	}
	for _, pointer := range []bool{false, true} {
		logic := backend.NewLogic(nil, nil)
		if pointer {
			logic.Add(backend.Query("tag", backend.Public, func(_ context.Context, in tagInput) (*tagged, error) { return new(tagged(in.Tag)), nil }, backend.Route("GET /tag")))
		} else {
			logic.Add(backend.Query("tag", backend.Public, func(_ context.Context, in tagInput) (tagged, error) { return tagged(in.Tag), nil }, backend.Route("GET /tag")))
		}
		c := newRESTClient(t, logic)
		require.Equal(t, `"a,b"`, c.do("GET", "/tag?tag=a,b", "").Header().Get("ETag"))
		for _, wrong := range []string{"a%22", "a%0D%0AX-Evil:%201", "%C3%A4"} {
			require.Regexp(t, `^"[A-Za-z0-9_-]{16}"$`, c.do("GET", "/tag?tag="+wrong, "").Header().Get("ETag"))
		}
		for header, status := range map[string]int{
			`"a,b"`: 304, `W/"a,b"`: 304, `"x", W/"y" ,"a,b"`: 304, `*`: 304,
			`"x,*,y"`: 200, `"x", *`: 200, `a,b`: 200, `"a`: 200, `"x""`: 200, ``: 200,
		} {
			require.Equal(t, status, c.do("GET", "/tag?tag=a,b", "", "If-None-Match", header).Code, header)
		}
	}
}

// RFC 9110, section 13.1.1: a weak tag never matches.
func TestIfMatchIsStrong(t *testing.T) {
	onShop(t, func(t *testing.T, _ *shop, c restClient) {
		require.Equal(t, http.StatusCreated, c.do("POST", "/items", `{"name":"a","price":null}`).Code)
		tag := c.do("GET", "/items/1", "").Header().Get("ETag")
		require.Equal(t, http.StatusPreconditionFailed, c.do("DELETE", "/items/1", "", "If-Match", "W/"+tag).Code)
		require.Equal(t, http.StatusNotFound, c.do("DELETE", "/items/2", "", "If-Match", "*").Code)
		require.Equal(t, http.StatusNoContent, c.do("DELETE", "/items/1", "", "If-Match", tag).Code)
	})
}

type onlyOut struct{ A int }

func (onlyOut) MarshalJSON() ([]byte, error) { return []byte("1"), nil }

type onlyIn struct{ a string }

func (o *onlyIn) UnmarshalText(text []byte) error { o.a = string(text); return nil }

func TestIdempotencyKeys(t *testing.T) {
	t.Parallel()
	backendtest.EachDB(t, func(t *testing.T, db *backend.DB) {
		require.NoError(t, db.Migrate(t.Context(), nil))
		type input struct {
			Name backend.Opt[string] `json:"name"`
		}
		type wrongIn struct {
			A onlyIn `json:"a"`
		}
		logic := backend.NewLogic(db, nil)
		panics := true
		logic.Add(backend.Mutation("m", backend.Public, func(_ context.Context, in input) (int, error) {
			if in.Name.Or("") == "panic" && panics {
				panic("no")
			}
			return 1, nil
		}, backend.Route("POST /m"), backend.Idempotent(backend.Accepted)))
		text := panicText(func() {
			logic.Add(backend.Mutation("w", backend.Public, func(context.Context, wrongIn) (onlyOut, error) { return onlyOut{}, nil }, backend.Idempotent(backend.Accepted)))
		})
		require.Contains(t, text, "onlyIn cannot be compared")
		require.Contains(t, text, "onlyOut cannot be read again")
		c := newRESTClient(t, logic)
		for _, key := range []string{"", " ", `""`, `" "`, "a\x01", "schlüssel", strings.Repeat("x", 256)} {
			require.Equal(t, http.StatusBadRequest, c.do("POST", "/m", `{}`, "Idempotency-Key", key).Code, "%q", key)
		}
		r := httptest.NewRequestWithContext(t.Context(), "POST", "/api/m", strings.NewReader(`{}`))
		r.Header = http.Header{"Content-Type": {"application/json"}, "Idempotency-Key": {"a", "b"}}
		w := httptest.NewRecorder()
		c.h.ServeHTTP(w, r)
		require.Equal(t, http.StatusBadRequest, w.Code, "two of them")

		require.Equal(t, http.StatusCreated, c.do("POST", "/m", `{}`, "Idempotency-Key", "k").Code)
		require.Equal(t, http.StatusUnprocessableEntity, c.do("POST", "/m", `{"name":null}`, "Idempotency-Key", "k").Code, "null is not absent")
		require.Equal(t, http.StatusInternalServerError, c.do("POST", "/m", `{"name":"panic"}`, "Idempotency-Key", "p").Code)
		panics = false
		require.Equal(t, http.StatusCreated, c.do("POST", "/m", `{"name":"panic"}`, "Idempotency-Key", "p").Code, "a panic gives the key back")
	})
}

// A cursor without a secret is a fault of the program, not something missing.
func TestCursorWithoutSecret(t *testing.T) {
	t.Parallel()
	backendtest.EachDB(t, func(t *testing.T, db *backend.DB) {
		require.NoError(t, db.Migrate(t.Context(), nil))
		_, err := db.Exec(t.Context(), "DELETE FROM backend_secrets")
		require.NoError(t, err)
		logic := backend.NewLogic(db, nil)
		logic.Add(backend.Query("list", backend.Public, func(ctx context.Context, _ backend.None) (backend.Cursor, error) { return backend.NewCursor(ctx, 1) }, backend.Route("GET /list")))
		require.Equal(t, http.StatusInternalServerError, newRESTClient(t, logic).do("GET", "/list", "").Code)
	})
}

func TestKeptAnswersVary(t *testing.T) {
	t.Parallel()
	logic := backend.NewLogic(nil, bearer{})
	logic.Add(backend.Query("q", backend.Public, func(context.Context, struct {
		Tenant string `json:"tenant,omitempty" in:"header=x-tenant"`
	}) (int, error) {
		return 1, nil
	}, backend.Route("GET /q"), backend.Cache(time.Minute)))
	c := newRESTClient(t, logic)
	c.who = ""
	w := c.do("GET", "/q", "")
	require.Equal(t, "public, max-age=60", w.Header().Get("Cache-Control"))
	require.Equal(t, []string{"Authorization", "Cookie", "X-Tenant"}, w.Header().Values("Vary"))
}

func TestRoutesThatWouldBeHoles(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"OPTIONS", "TRACE", "post"} {
		logic := backend.NewLogic(nil, nil)
		logic.Add(backend.Mutation("m", backend.Public, noop, backend.Route(method+" /m")))
		require.Contains(t, panicText(func() { logic.REST() }), "is not for operations")
	}
	require.Contains(t, panicText(func() {
		backend.NewLogic(nil, nil).Add(backend.Query("q", backend.Public, noop, backend.Except("REST")))
	}), `there is no door "REST"`)
	logic := backend.NewLogic(nil, nil)
	logic.Add(backend.Mutation("m", backend.Public, noop, backend.Route("DELETE /m"), backend.RequireIfMatch()))
	require.Contains(t, panicText(func() { logic.REST() }), "RequireIfMatch needs a GET of the same path")
}

type brokenBody struct{}

func (brokenBody) Read([]byte) (int, error) { return 0, errors.New("malformed chunked encoding") }

func TestBrokenBody(t *testing.T) {
	t.Parallel()
	logic := backend.NewLogic(nil, nil)
	logic.Add(backend.Mutation("m", backend.Public, noop, backend.Route("POST /m")))
	w := httptest.NewRecorder()
	logic.REST().ServeHTTP(w, httptest.NewRequest("POST", "/m", brokenBody{}))
	require.Equal(t, http.StatusBadRequest, w.Code)
	require.NotContains(t, w.Body.String(), "chunked")
}
