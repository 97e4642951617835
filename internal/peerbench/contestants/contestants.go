package contestants

// The list of contestants, and what each is given.

import (
	"html/template"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
)

// Contestant is a server that does the work.
type Contestant struct {
	Name    string // the framework
	Variant string // how it is used: idiomatic, tuned, gorm; empty if there is one way
	// Serve serves until the listener is closed.
	Serve func(env Env) error
	// Works lists the only work that the contestant does; nil is all.
	Works []string
	// Program is another build of this program, which serves as this package; empty is
	// this one.
	Program string
}

// String returns the name with the variant.
func (c Contestant) String() string {
	if c.Variant == "" {
		return c.Name
	}
	return c.Name + "-" + c.Variant
}

// Does reports whether the contestant takes part.
func (c Contestant) Does(work string) bool { return c.Works == nil || slices.Contains(c.Works, work) }

// All are the contestants. The first is this package and the second the floor.
var All = []Contestant{
	{Name: "backend", Serve: serveBackend},
	{Name: "floor", Serve: serveFloor},
	{Name: "gin", Variant: "idiomatic", Serve: func(e Env) error { return serveGin(e, idiomatic) }},
	{Name: "gin", Variant: "tuned", Serve: func(e Env) error { return serveGin(e, tuned) }},
	{Name: "gin", Variant: "gorm", Serve: func(e Env) error { return serveGin(e, withGorm) }, Works: databaseWork},
	{Name: "chi", Serve: serveChi},
	{Name: "echo", Serve: serveEcho},
	{Name: "huma", Serve: serveHuma},
	{Name: "fiber", Variant: "idiomatic", Serve: func(e Env) error { return serveFiber(e, idiomatic) }},
	{Name: "fiber", Variant: "tuned", Serve: func(e Env) error { return serveFiber(e, tuned) }},
}

var databaseWork = []string{
	"row-pg", "row-sqlite", "list-pg", "list-sqlite", "lookups-pg", "lookups-sqlite", "batch-pg", "batch-sqlite",
	"insert-pg", "insert-sqlite", "fortunes-pg", "updates-pg",
}

// Env is what a contestant is given.
type Env struct {
	Work     string
	DB       string // the URL of PostgreSQL or the path of SQLite's file
	Log      io.Writer
	Listener net.Listener
}

// Engine returns pg or sqlite, or "" for work without a database.
func (e Env) Engine() string {
	_, engine, _ := strings.Cut(e.Work, "-")
	if engine != "pg" && engine != "sqlite" {
		return ""
	}
	return engine
}

// equal reports whether the server also has a log, request ids, recovery from panics,
// security headers and a time limit, as this package always does.
func (e Env) equal() bool { return e.Work == "equal" }

// serve serves as programs on net/http do.
func (e Env) serve(handler http.Handler) error {
	return (&http.Server{Handler: handler}).Serve(e.Listener)
}

// flavor is how a framework is used.
type flavor int

const (
	idiomatic flavor = iota // sqlx with lib/pq and modernc.org/sqlite, the JSON of the framework
	tuned                   // pgx's pool and prepared statements, sonic
	withGorm                // gorm, with pgx below it and a SQLite driver
)

// store opens the database as programs of the flavor do.
func (f flavor) store(env Env) (store, error) {
	switch f {
	case tuned:
		return openStore(env, openPgx, openPrepared)
	case withGorm:
		return openStore(env, openGormPostgres, openGormSQLite)
	}
	return openStore(env, openSqlxPostgres, openSqlxSQLite)
}

// page is the page of fortunes, with the rows sorted.
var page = template.Must(template.New("fortunes").Parse(`<!DOCTYPE html>
<html><head><title>Fortunes</title></head><body><table>
<tr><th>id</th><th>message</th></tr>
{{range .}}<tr><td>{{.ID}}</td><td>{{.Message}}</td></tr>
{{end}}</table></body></html>
`))

// withMore adds a fortune and sorts them all.
func withMore(fortunes []Fortune) []Fortune {
	fortunes = append(fortunes, Fortune{0, "Additional fortune added at request time."})
	slices.SortFunc(fortunes, func(a, b Fortune) int { return strings.Compare(a.Message, b.Message) })
	return fortunes
}

// Page writes the page of fortunes.
func Page(w io.Writer, fortunes []Fortune) error { return page.Execute(w, withMore(fortunes)) }
