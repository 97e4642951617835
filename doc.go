// Package backend is for people who build backends: server, router, middleware,
// errors, database and migrations, as one flat package that a host program
// imports and wires together. Nothing is generated, nothing is global, and
// every part works alone beside net/http, chi or database/sql.
//
// A complete program:
//
//	package main
//
//	import (
//		"context"
//		"encoding/json"
//		"log"
//		"net/http"
//
//		"github.com/seed-215b9b7c/backend"
//		_ "modernc.org/sqlite"
//	)
//
//	type Note struct {
//		ID    int64  `db:"id" json:"id"`
//		Title string `db:"title" json:"title"`
//	}
//
//	func main() {
//		ctx := context.Background()
//		db, err := backend.Open(ctx, "sqlite:notes.db") // or postgres://…; or mysql://…, which has a driver to import
//		if err != nil {
//			log.Fatal(err)
//		}
//		defer db.Close()
//		if _, err := db.Exec(ctx, "CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, title TEXT NOT NULL)"); err != nil {
//			log.Fatal(err)
//		}
//
//		r := backend.NewRouter()
//		r.Use(backend.Stack(backend.StackConfig{}))
//		r.Handle("GET /notes/{id}", backend.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
//			note, err := backend.One[Note](r.Context(), db, "SELECT * FROM notes WHERE id = ?", r.PathValue("id"))
//			if err != nil {
//				return err // no such note is a 404, a database that is down a 503
//			}
//			w.Header().Set("Content-Type", "application/json")
//			return json.NewEncoder(w).Encode(note)
//		}))
//		if err := backend.Serve(ctx, r, backend.ServerConfig{}); err != nil {
//			log.Fatal(err)
//		}
//	}
//
// The parts:
//
//   - [Serve] serves any http.Handler with secure limits and stops without
//     cutting a request off; [Health] answers those who watch over it.
//   - [Router] routes as http.ServeMux does, without its conflicts.
//   - [Stack] is the default middleware in its order; each of its steps is a
//     [Middleware] of its own, such as [Recover], [AccessLog] and [CrossOrigin].
//   - [Error] is the one error type that reaches clients, [WriteError] and
//     [HandlerFunc] its way to them.
//   - [Open] opens PostgreSQL, SQLite, MySQL or MariaDB. [One], [Maybe], [All],
//     [Each] and [DB.Exec] query it with SQL that cannot be made from input;
//     [DB.Tx] and [AfterCommit] are its transactions, [DB.Migrate] its schema.
//
// The package backendtest helps the tests of programs that use this one.
package backend
