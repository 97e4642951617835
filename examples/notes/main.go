// Notes keeps notes, by a page at / and by JSON under /api/notes. It runs with
// nothing installed or configured:
//
//	go run ./examples/notes
//
// ADDR says where to listen, 127.0.0.1:8080 if it is not set, and DATABASE_URL
// where the notes are, sqlite:notes.db if it is not set.
//
// This file wires the program together. The application is in notes.go; its two
// doors are api.go and page.go.
package main

import (
	"cmp"
	"context"
	"embed"
	"log"
	"net/http"
	"os"

	_ "github.com/go-sql-driver/mysql"
	_ "modernc.org/sqlite"

	"github.com/seed-215b9b7c/backend"
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
	return backend.Serve(ctx, routes(&App{db}, health), backend.ServerConfig{Addr: os.Getenv("ADDR"), Health: health})
}

// routes returns the whole program as a handler. What watches over it stands
// outside the stack, so that it answers when the stack is full, and unlogged.
func routes(app *App, health *backend.Health) http.Handler {
	r := backend.NewRouter()
	r.Use(backend.Stack(backend.StackConfig{}))
	app.API(r.Group("/api"))
	app.Pages(r)

	outer := backend.NewRouter()
	outer.Handle("GET /healthz", health.Live())
	outer.Handle("GET /readyz", health.Ready())
	outer.Handle("/", r)
	return outer
}
