// Constant is a program that compiles: its queries are constants, and values
// that were built from constants.
package main

import (
	"context"

	"github.com/seed-215b9b7c/backend"
)

func find(ctx context.Context, db *backend.DB, name string) ([]int, error) {
	q := backend.SQL("SELECT id FROM t")
	if name != "" {
		q += " WHERE name = ?"
	}
	const limit = " LIMIT 10"
	return backend.All[int](ctx, db, q+limit, name)
}

func main() { find(context.Background(), nil, "") }
