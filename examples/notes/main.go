// Notes stores notes. It has a page at /, which also shows how the example is made, and a
// JSON API under /api/notes. It needs no installation and no configuration:
//
//	go run ./examples/notes
//
// ADDR is the address to listen on, by default 127.0.0.1:8080. DATABASE_URL is the
// database of the notes, by default sqlite:notes.db.
//
// This file wires the program together. The application is in notes.go; the page
// is in page.go, with the code that it shows from source.go. The API needs no code of
// its own: /openapi.json describes it, and /docs shows that to people, who can try it out.
package main

import (
	"cmp"
	"context"
	"embed"
	"log"
	"net/http"
	"os"

	_ "github.com/go-sql-driver/mysql"

	"github.com/seed-215b9b7c/backend"
	"github.com/seed-215b9b7c/backend/docs"
	_ "github.com/seed-215b9b7c/backend/sqlite"
)

//go:embed migrations
var migrations embed.FS

func main() {
	if err := run(context.Background()); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	db, err := backend.Open(ctx, cmp.Or(os.Getenv("DATABASE_URL"), "sqlite:notes.db"))
	if err != nil {
		return err
	}
	defer db.Close()
	if err := db.Migrate(ctx, migrations); err != nil {
		return err
	}
	health := backend.NewHealth(backend.HealthCheck{Name: "database", Check: db.Ping})
	return backend.Serve(ctx, routes(db, health), backend.ServerConfig{Addr: os.Getenv("ADDR"), Health: health})
}

// operations registers the application. All operations are public: there are no accounts
// yet.
func operations(db *backend.DB) *backend.Logic {
	app := &App{db}
	tag := backend.Tags("notes")
	logic := backend.NewLogic(db, nil, backend.LogicConfig{})
	logic.Add(
		backend.Query("notes", backend.Public, app.Notes, backend.Route("GET /notes"), tag,
			backend.Doc("List notes\nThe newest first, those whose title or text holds a text.")),
		backend.Query("note", backend.Public, app.Note, backend.Route("GET /notes/{id}"), tag,
			backend.Doc("Get a note")),
		backend.Mutation("createNote", backend.Public, app.CreateNote,
			backend.Route("POST /notes"), tag,
			backend.Doc("Write a note"), backend.Idempotent()),
		backend.Mutation("updateNote", backend.Public, app.UpdateNote, backend.Route("PATCH /notes/{id}"), tag,
			backend.Doc("Change a note\nFields that are left out stay as they are.")),
		backend.Mutation("deleteNote", backend.Public, app.DeleteNote, backend.Route("DELETE /notes/{id}"), tag,
			backend.Doc("Delete a note")),
	)
	return logic
}

// routes returns the whole program as a handler. The health endpoints are outside of the
// stack, so that they respond when the stack is overloaded, and are not logged.
func routes(db *backend.DB, health *backend.Health) http.Handler {
	logic := operations(db)
	r := backend.NewRouter()
	r.Use(health.Middleware("/healthz", "/readyz"), backend.Stack(backend.StackConfig{}))
	rest := logic.REST()
	r.Mount("/api", rest)
	r.Handle("GET /openapi.json", rest.OpenAPI(backend.OpenAPIConfig{Title: "Notes", License: "MIT"}))
	r.Mount("/docs", docs.New("/openapi.json"))
	newPages(logic).Add(r)
	return r
}
