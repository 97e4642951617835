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
// beside the stack, so that it answers when the stack is full, and unlogged.
// Everything else goes through the stack, even paths that no router would take.
func routes(app *App, health *backend.Health) http.Handler {
	r := backend.NewRouter()
	r.Use(backend.Stack(backend.StackConfig{}))
	app.API(r.Group("/api"))
	app.Pages(r)

	watch := backend.NewRouter()
	watch.Handle("GET /healthz", health.Live())
	watch.Handle("GET /readyz", health.Ready())
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		switch req.URL.Path {
		case "/healthz", "/readyz":
			watch.ServeHTTP(w, req)
		default:
			r.ServeHTTP(w, req)
		}
	})
}
