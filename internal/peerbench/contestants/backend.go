package contestants

// This package, as README shows it: operations behind the default Stack, with a log in
// JSON to a file.

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"

	"github.com/seed-215b9b7c/backend"
	_ "github.com/seed-215b9b7c/backend/sqlite"
)

type app struct{ db *backend.DB }

type (
	itemID struct {
		ID int64 `json:"id"`
	}
	ownerID struct {
		Owner int64 `json:"owner"`
	}
	howMany struct {
		N int `json:"n" validate:"min=1,max=50"`
	}
	fileForm struct {
		File backend.Upload `json:"file" maxsize:"32MiB"`
	}
)

func (a *app) message(context.Context, backend.None) (Message, error) { return Message{Text}, nil }

func (a *app) createOrder(_ context.Context, in NewOrder) (Order, error) { return Accept(in), nil }

func (a *app) item(ctx context.Context, in itemID) (Item, error) {
	return backend.One[Item](ctx, a.db, "SELECT * FROM items WHERE id = ?", in.ID)
}

func (a *app) items(ctx context.Context, in ownerID) ([]Item, error) {
	return backend.All[Item](ctx, a.db, "SELECT * FROM items WHERE owner = ? ORDER BY id LIMIT 50", in.Owner)
}

func (a *app) lookups(ctx context.Context, in howMany) ([]World, error) {
	worlds := make([]World, in.N)
	for i, id := range LookupIDs(in.N) {
		var err error
		if worlds[i], err = backend.One[World](ctx, a.db, "SELECT id, number FROM worlds WHERE id = ?", id); err != nil {
			return nil, err
		}
	}
	return worlds, nil
}

// batch is the best form of lookups: one query.
func (a *app) batch(ctx context.Context, in howMany) ([]World, error) {
	return backend.All[World](ctx, a.db, "SELECT id, number FROM worlds WHERE id IN (?) ORDER BY id", LookupIDs(in.N))
}

func (a *app) insert(ctx context.Context, in NewEntry) (Inserted, error) {
	return backend.One[Inserted](ctx, a.db, "INSERT INTO entries (owner, title, price) VALUES (?, ?, ?) RETURNING id", in.Owner, in.Title, in.Price)
}

// update sends all statements at once, in the transaction that every mutation has.
func (a *app) update(ctx context.Context, in howMany) ([]World, error) {
	worlds, batch := make([]World, in.N), make([]backend.BatchQuery, in.N)
	for i, id := range LookupIDs(in.N) {
		batch[i] = backend.BatchOne(&worlds[i], "UPDATE worlds SET number = "+NextNumber+" WHERE id = ? RETURNING id, number", id)
	}
	return worlds, a.db.Batch(ctx, batch...)
}

func (a *app) upload(_ context.Context, in fileForm) (Received, error) {
	n, err := io.Copy(io.Discard, in.File.Reader())
	return Received{n}, err
}

func (a *app) fortunes(w http.ResponseWriter, r *http.Request) error {
	fortunes, err := backend.All[Fortune](r.Context(), a.db, "SELECT id, message FROM fortunes")
	if err != nil {
		return err
	}
	var text bytes.Buffer
	if err := Page(&text, fortunes); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, err = text.WriteTo(w)
	return err
}

func (a *app) plain(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, Text)
}

func serveBackend(env Env) (err error) {
	ctx, logger, a := context.Background(), slog.New(backend.NewLogHandler(env.Log, nil)), &app{}
	url := env.DB
	if env.Engine() == "sqlite" {
		url = "sqlite:" + url
	}
	if url != "" {
		if a.db, err = backend.Open(ctx, url, backend.DBConfig{MaxConns: connections}); err != nil {
			return err
		}
		defer a.db.Close()
	}
	logic := backend.NewLogic(a.db, nil, backend.LogicConfig{})
	logic.Add(
		backend.Query("message", backend.Public, a.message, backend.Route("GET /json")),
		backend.Mutation("createOrder", backend.Public, a.createOrder, backend.Route("POST /orders")),
		backend.Query("item", backend.Public, a.item, backend.Route("GET /items/{id}")),
		backend.Query("items", backend.Public, a.items, backend.Route("GET /owners/{owner}/items")),
		backend.Query("lookups", backend.Public, a.lookups, backend.Route("GET /lookups/{n}")),
		backend.Query("batch", backend.Public, a.batch, backend.Route("GET /batch/{n}")),
		backend.Mutation("insert", backend.Public, a.insert, backend.Route("POST /entries")),
		backend.Mutation("update", backend.Public, a.update, backend.Route("POST /updates/{n}"), backend.Status(http.StatusOK)),
		backend.Mutation("upload", backend.Public, a.upload, backend.Route("POST /upload"), backend.Form(), backend.MaxBody(64<<20)),
	)
	r := backend.NewRouter()
	r.Use(backend.Stack(backend.StackConfig{Logger: logger}))
	r.HandleFunc("GET /plain", a.plain)
	r.Handle("GET /fortunes", backend.Handler(a.fortunes))
	r.Mount("/", logic.REST())
	return backend.Serve(ctx, r, backend.ServerConfig{Listener: env.Listener, Logger: logger})
}
