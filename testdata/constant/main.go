// Constant is a program that compiles: its queries are constants, and Fragments
// that were built from constants.
package main

import (
	"context"

	"github.com/seed-215b9b7c/backend"
)

func named(name string) backend.Fragment { return backend.SQL("name = ?", name) }

func find(ctx context.Context, db *backend.DB, name string) ([]int, error) {
	const limit = " LIMIT 10"
	where := named(name).And("id > ?", 1).Or("?", backend.JoinSQL(" OR ", named("a"), named("b")))
	if _, err := backend.One[int](ctx, db, "SELECT id FROM t WHERE name = ?"+limit, name); err != nil {
		return nil, err
	}
	return backend.All[int](ctx, db, "?", backend.SQL("SELECT id FROM t WHERE ?"+limit, where))
}

func main() { find(context.Background(), nil, "") }
