// Input is a program that must not compile: each of its queries is made from
// input. A test counts the compiler's errors.
package main

import (
	"context"
	"fmt"

	"github.com/seed-215b9b7c/backend"
)

func find(ctx context.Context, db *backend.DB, name string) {
	backend.One[int](ctx, db, "SELECT id FROM t WHERE name = "+name)                 // 1
	backend.All[int](ctx, db, fmt.Sprintf("SELECT id FROM t WHERE name = %s", name)) // 2
	backend.Maybe[int](ctx, db, name)                                                // 3
	backend.Each[int](ctx, db, name)                                                 // 4
	db.Exec(ctx, name)                                                               // 5
	q := backend.SQL("SELECT id FROM t")
	q += name               // 6
	q = backend.SQL(name)   // 7
	db.Exec(ctx, q+name)    // 8
	db.Exec(ctx, string(q)) // 9
}

func main() { find(context.Background(), nil, "") }
