// Package backend is for people who build backends: server, router, middleware,
// database, migrations and errors, as one flat package that a host program
// imports and wires together. Nothing is generated, nothing is global, and
// every part works alone beside net/http, chi or database/sql.
package backend
