package clienttest

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/seed-215b9b7c/backend"
	"github.com/seed-215b9b7c/backend/docs"
)

// Token is what callers send to be signed in.
const Token = "let-me-in"

// Handler returns the API at /api, its description at /openapi.json and the page
// that shows it at /docs, inside a stack as applications have it. What it keeps
// is in memory; db is for idempotency keys and cursors. errors is its format of errors.
func Handler(db *backend.DB, logger *slog.Logger, errors backend.ErrorsConfig) http.Handler {
	logic := backend.NewLogic(db, auth{}, backend.LogicConfig{})
	a := &api{db: db, settings: map[string]int{}}
	logic.Add(append(a.operations(), a.media()...)...)
	r := backend.NewRouter()
	r.Use(backend.Stack(backend.StackConfig{Logger: logger, Errors: errors}))
	rest := logic.REST()
	r.Mount("/api", rest)
	r.Handle("GET /openapi.json", rest.OpenAPI(backend.OpenAPIConfig{
		Title: "Things", Version: "1.2.3", Description: "Every kind of *thing*.", License: "MIT",
	}))
	r.Mount("/docs", docs.New("/openapi.json"))
	return r
}

type auth struct{}

func (auth) SecuritySchemes() []backend.SecurityScheme {
	return []backend.SecurityScheme{{Name: "bearer", HTTP: "bearer"}, {Name: "cookie", Cookie: "session"}}
}

func (auth) Authenticate(_ context.Context, r *http.Request) (backend.Caller, error) {
	switch r.Header.Get("Authorization") {
	case "":
		return backend.Caller{}, nil
	case "Bearer " + Token:
		return backend.Caller{ID: "7", Method: "token"}, nil
	}
	return backend.Caller{}, &backend.Error{Code: backend.Unauthenticated}
}

// api keeps things, and how often each setting was written.
type api struct {
	db       *backend.DB
	mu       sync.Mutex
	things   []Thing
	settings map[string]int
}

func (a *api) operations() []backend.Definition {
	since := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	return []backend.Definition{
		backend.Mutation("createThing", backend.SignedIn, a.create, backend.Route("POST /things"), backend.Idempotent(),
			backend.Tags("things", "writing"), backend.Doc("Create a thing\nA thing has *everything*.")),
		backend.Query("thing", backend.Public, a.get, backend.Route("GET /things/{id}"), backend.Tags("things")),
		backend.Query("things", backend.Public, a.list, backend.Route("GET /things"), backend.Tags("things"), backend.Doc("List things")),
		backend.Mutation("updateThing", backend.SignedIn, a.patch, backend.Route("PATCH /things/{id}"), backend.Tags("things", "writing")),
		backend.Mutation("putAttrs", backend.SignedIn, a.putAttrs, backend.Route("PUT /things/{id}/attrs"), backend.Tags("writing")),
		backend.Mutation("deleteThing", backend.SignedIn, a.remove, backend.Route("DELETE /things/{id}"), backend.RequireIfMatch(), backend.Tags("writing")),
		backend.Query("thingFile", backend.Public, a.file, backend.Route("GET /things/{id}/files/{path...}"), backend.Tags("things")),
		backend.Query("oldThing", backend.Public, a.get, backend.Route("GET /old/{id}"), backend.Route("GET /older/{id}"),
			backend.Deprecated(since, since.AddDate(2, 0, 0)), backend.Tags("things")),
		backend.Mutation("pay", backend.Role("payer"), a.pay, backend.Route("POST /payments"), backend.RequireIdempotencyKey(), backend.Tags("writing")),
		backend.Query("colours", backend.Public, a.colours, backend.Route("GET /colours"), backend.MaxAge(time.Minute)),
		backend.Query("ping", backend.Public, a.ping, backend.Route("GET /ping")),
		backend.Relation("maker", a.makers, backend.Doc("who made it")),
		backend.Relation("homes", a.homes),
	}
}

// makers returns who made each thing: nobody made those without a note.
func (a *api) makers(_ context.Context, things []Thing) ([]*Maker, error) {
	makers := make([]*Maker, len(things))
	for i, thing := range things {
		if thing.Note != nil {
			makers[i] = &Maker{"Ann"}
		}
	}
	return makers, nil
}

func (a *api) homes(_ context.Context, makers []Maker) ([][]string, error) {
	homes := make([][]string, len(makers))
	for i := range makers {
		homes[i] = []string{"Ulm"}
	}
	return homes, nil
}

func (a *api) create(_ context.Context, in NewThing) (Thing, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	thing := Thing{
		ID: backend.ID(len(a.things) + 1), Name: in.Name, Version: 1, Details: in.Details,
		Stamps: Stamps{CreatedAt: time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)},
	}
	a.things = append(a.things, thing)
	return thing, nil
}

// find returns where a thing is. The lock is held.
func (a *api) find(id backend.ID) (*Thing, error) {
	for i := range a.things {
		if a.things[i].ID == id {
			return &a.things[i], nil
		}
	}
	return nil, &backend.Error{Code: backend.NotFound}
}

func (a *api) get(_ context.Context, in ThingID) (Thing, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	found, err := a.find(in.ID)
	if err != nil {
		return Thing{}, err
	}
	return *found, nil
}

func (a *api) list(ctx context.Context, in ListInput) (backend.Page[Summary], error) {
	last := backend.ID(0)
	if err := in.After.Read(ctx, &last); err != nil {
		return backend.Page[Summary]{}, err
	}
	limit := in.Limit
	if limit == 0 {
		limit = 10
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	var rows []Summary
	for _, thing := range a.things {
		wanted := thing.ID > last && strings.Contains(thing.Name, in.Search) && (len(in.IDs) == 0 || slices.Contains(in.IDs, thing.ID)) &&
			(len(in.Colours) == 0 || slices.Contains(in.Colours, thing.Colour))
		if wanted && len(rows) < limit {
			rows = append(rows, Summary{thing.ID, thing.Name, thing.Note})
		}
	}
	return backend.NewPage(ctx, rows, limit, func(s Summary) []any { return []any{s.ID} })
}

func (a *api) patch(_ context.Context, in PatchThing) (Thing, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	thing, err := a.find(in.ID)
	if err != nil {
		return Thing{}, err
	}
	thing.Name = in.Name.Or(thing.Name)
	if in.Note.Present {
		thing.Note = &in.Note.V
		if in.Note.Null {
			thing.Note = nil
		}
	}
	thing.Tags = in.Tags.Or(thing.Tags)
	thing.Box = in.Box.Or(thing.Box)
	thing.Version++
	return *thing, nil
}

func (a *api) putAttrs(_ context.Context, in PutAttrs) (map[string]string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	thing, err := a.find(in.ID)
	if err != nil {
		return nil, err
	}
	thing.Attrs = in.Attrs
	return thing.Attrs, nil
}

func (a *api) remove(_ context.Context, in ThingID) (backend.None, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.things = slices.DeleteFunc(a.things, func(t Thing) bool { return t.ID == in.ID })
	return backend.None{}, nil
}

func (a *api) file(_ context.Context, in File) (File, error) { return in, nil }

func (a *api) pay(context.Context, struct {
	Amount float64 `json:"amount" validate:"gt=0"`
}) (backend.None, error) {
	return backend.None{}, nil
}

func (a *api) colours(context.Context, backend.None) ([]Colour, error) {
	return []Colour{"red", "green", "blue"}, nil
}

func (a *api) ping(context.Context, backend.None) (string, error) { return "pong", nil }
