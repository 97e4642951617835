package backend_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
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
		return backend.Errorf(backend.Invalid, "This name is taken by history.")
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

// seller is a relation of items.
type seller struct {
	Name  string `db:"owner" json:"name"`
	Items int    `db:"items" json:"items"`
}

func (s *shop) sellers(ctx context.Context, items []item) ([]*seller, error) {
	var names []string
	for _, i := range items {
		names = append(names, i.Owner)
	}
	sellers, err := backend.All[seller](ctx, s.db, "SELECT owner, COUNT(*) AS items FROM items WHERE owner IN (?) GROUP BY owner", names)
	return backend.HasOne(items, sellers, func(i item) string { return i.Owner }, func(s seller) string { return s.Name }), err
}

func noEve(ctx context.Context, _ []item) error {
	if backend.CallerFrom(ctx).ID == "eve" {
		return backend.Errorf(backend.Forbidden, "Not for Eve.")
	}
	return nil
}

func labels(_ context.Context, sellers []seller) ([]string, error) {
	labels := make([]string, len(sellers))
	for i, s := range sellers {
		labels[i] = "<" + s.Name + ">"
	}
	return labels, nil
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
			found.Price = &in.Cost.V
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
	return backend.Caller{ID: backend.AccountID(name), Roles: []string{role}, Method: "token"}, nil
}

func newShop(t *testing.T, db *backend.DB) (*shop, *backend.Logic) {
	t.Helper()
	id := map[backend.Engine]string{backend.SQLite: "INTEGER PRIMARY KEY", backend.Postgres: "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY", backend.MySQL: "BIGINT AUTO_INCREMENT PRIMARY KEY"}[db.Engine()]
	require.NoError(t, db.Migrate(t.Context(), fstest.MapFS{"1_items.sql": {Data: []byte("-- +goose Up\nCREATE TABLE items (id " + id +
		", name VARCHAR(200) NOT NULL, price DOUBLE PRECISION, owner VARCHAR(50) NOT NULL, version INTEGER NOT NULL DEFAULT 1);")}}))
	s := &shop{db: db}
	logic := backend.NewLogic(db, bearer{}, backend.LogicConfig{})
	logic.Add(
		backend.Relation("seller", s.sellers, backend.Allow(noEve)),
		backend.Relation("label", labels),
		backend.Query("items", backend.SignedIn, s.list, backend.Route("GET /items")),
		backend.Query("item", backend.SignedIn, s.get, backend.Route("GET /items/{id}")),
		backend.Mutation("createItem", backend.SignedIn, s.create, backend.Route("POST /items"), backend.Idempotent()),
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
