// Realworld is the backend of Conduit, the example application of the RealWorld project:
// accounts, articles, comments, favorites, and feeds of the authors whom one follows. It
// has the API of https://github.com/gothinkster/realworld, for the front ends made for it:
//
//	go run ./examples/realworld
//
// It needs no configuration. These environment variables change it:
//
//   - ADDR is the address to listen on, by default 127.0.0.1:8080.
//   - DATABASE_URL is the database, by default sqlite:conduit.db.
//   - CORS_ORIGINS has the origins of front ends on other addresses, with spaces between
//     them, such as "http://localhost:4100".
//   - JWT_SECRET is the key of the tokens, 32 characters or more. Without it, each start
//     makes a random key, which ends all earlier tokens.
//
// This file wires the program together. auth.go checks credentials, accounts.go has
// accounts and profiles, articles.go and comments.go the rest, and errors.go the format of
// errors.
package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"embed"
	"errors"
	"log"
	"net/http"
	"os"
	"slices"
	"strings"

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
	secret := cmp.Or(os.Getenv("JWT_SECRET"), rand.Text()+rand.Text())
	if len(secret) < 32 { // as long as a hash: RFC 7518, section 3.2
		return errors.New("JWT_SECRET must have 32 characters or more")
	}
	db, err := backend.Open(ctx, cmp.Or(os.Getenv("DATABASE_URL"), "sqlite:conduit.db"))
	if err != nil {
		return err
	}
	defer db.Close()
	if err := db.Migrate(ctx, migrations); err != nil {
		return err
	}
	app := &App{db, Tokens(secret), backend.NewPasswordHasher(backend.PasswordConfig{})}
	return backend.Serve(ctx, routes(app, strings.Fields(os.Getenv("CORS_ORIGINS"))), backend.ServerConfig{Addr: os.Getenv("ADDR")})
}

// App is the application.
type App struct {
	db        *backend.DB
	tokens    Tokens
	passwords *backend.PasswordHasher
}

// routes returns the whole program as a handler.
func routes(app *App, origins []string) http.Handler {
	logic := backend.NewLogic(app.db, app, backend.LogicConfig{})
	logic.Add(slices.Concat(app.accountOperations(), app.articleOperations(), app.commentOperations())...)

	r := backend.NewRouter()
	r.Use(backend.Stack(backend.StackConfig{
		CORS:   backend.CORSConfig{Origins: origins},
		Errors: backend.ErrorsConfig{Body: backend.ErrorBodyOf(errorBody)},
	}))
	rest := logic.REST()
	r.Mount("/api", rest)
	r.Handle("GET /openapi.json", rest.OpenAPI(backend.OpenAPIConfig{Title: "Conduit", License: "MIT"}))
	r.Mount("/docs", docs.New("/openapi.json"))
	r.Handle("GET /{$}", http.RedirectHandler("/docs", http.StatusFound))
	return r
}
