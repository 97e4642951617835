// Package backend is for people who build backends: server, database,
// application logic, APIs, middleware and security, as one flat package that a
// host program imports and wires together. Nothing is generated, nothing is
// global, and every part works alone beside net/http, chi or database/sql.
//
// Application logic is registered once, as plain typed functions that say who
// may call them; every API is a door to it. Rules about who may call, limits,
// validation and transactions are behind the doors, once.
//
// A complete program:
//
//	package main
//
//	import (
//		"context"
//		"log"
//
//		"github.com/seed-215b9b7c/backend"
//		_ "modernc.org/sqlite"
//	)
//
//	type Note struct {
//		ID    backend.ID `db:"id" json:"id"`
//		Title string     `db:"title" json:"title"`
//	}
//
//	type NoteID struct {
//		ID backend.ID `json:"id"`
//	}
//
//	type CreateNote struct {
//		Title string `json:"title" validate:"required,max=200"`
//	}
//
//	// App is the application: plain functions, of which every API is a door.
//	type App struct{ db *backend.DB }
//
//	func (a *App) Note(ctx context.Context, in NoteID) (Note, error) {
//		return backend.One[Note](ctx, a.db, "SELECT * FROM notes WHERE id = ?", in.ID)
//	}
//
//	func (a *App) CreateNote(ctx context.Context, in CreateNote) (Note, error) {
//		return backend.One[Note](ctx, a.db, "INSERT INTO notes (title) VALUES (?) RETURNING *", in.Title)
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
//		app := &App{db}
//		logic := backend.NewLogic(db, nil, backend.LogicConfig{}) // nil: nobody signs in
//		logic.Add(
//			backend.Query("note", backend.Public, app.Note, backend.Route("GET /notes/{id}")),
//			backend.Mutation("createNote", backend.Public, app.CreateNote, backend.Route("POST /notes")),
//		)
//
//		r := backend.NewRouter()
//		r.Use(backend.Stack(backend.StackConfig{}))
//		rest := logic.REST()
//		r.Mount("/api", rest)
//		r.Handle("GET /openapi.json", rest.OpenAPI(backend.OpenAPIConfig{Title: "Notes"}))
//		if err := backend.Serve(ctx, r, backend.ServerConfig{}); err != nil {
//			log.Fatal(err)
//		}
//	}
//
// # Fragments
//
// A [Fragment] is a piece of SQL with its arguments. Where it is an argument of a
// query, or of another Fragment, its text replaces the ?, and its arguments take
// the place of the one. The engine prepares each distinct text once.
//
//   - A Fragment stands wherever a ? does: a condition, a list of columns or
//     orders, rows of VALUES, a subquery in IN (?). Which ? is a parameter is
//     decided in each text by itself. On PostgreSQL a ? after a name or a value is
//     an operator, so write "FROM notes WHERE ?" and not "FROM notes ?".
//   - Beside AND, OR or NOT a Fragment is put in parentheses: "a = ? AND ?" with
//     SQL("b OR c") is a = ? AND (b OR c). Elsewhere its text stands as it is.
//   - A Fragment consists of whole words and operators. A space keeps them apart
//     from the text around it, and a comment ends with the Fragment.
//   - A slice in IN (?) works inside of Fragments as it does in queries.
//   - The query "?" runs a whole Fragment, so that helpers can return queries.
//   - A *Fragment is what it points to. A nil one, an empty Fragment, a []Fragment,
//     and a Fragment whose arguments are too few or too many are errors.
//   - Fragments nest up to 100 levels deep.
//
// The parts:
//
//   - [Serve] serves any http.Handler with secure limits and stops without
//     cutting a request off; [Health] answers those who watch over it.
//   - [Router] routes as http.ServeMux does, without its conflicts.
//   - [Stack] is the default middleware in its order; each of its steps is a
//     [Middleware] of its own, such as [Recover], [AccessLog] and [CrossOrigin].
//   - [Query] and [Mutation] make operations of functions, [Relation] says what
//     belongs to what they return, [Logic] is their registry, [Logic.REST] and
//     [RESTDoor.OpenAPI] serve and describe them, and [Call] calls them from inside
//     the program. [Access] rules say who may.
//   - [Error] is the one error type that reaches clients, [WriteError] and
//     [Handler] its way to them.
//   - [Open] opens PostgreSQL, SQLite, MySQL or MariaDB. [One], [Maybe], [All],
//     [Each] and [DB.Exec] query it with SQL that cannot be made from input;
//     [DB.Tx] and [AfterCommit] are its transactions, [DB.Migrate] its schema.
//
// The package backendtest helps the tests of programs that use this one.
package backend
