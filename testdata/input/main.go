// Input is a program that must not compile: each of its queries and Fragments is
// made from input. A test looks for an error of the compiler in each numbered
// line.
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
	f := backend.SQL("name = ?", name)
	f += name                                      // 6
	f = backend.SQL(name)                          // 7
	f = backend.SQL("name = " + name)              // 8
	f = f.And(name)                                // 9
	f = f.And("name = '" + name + "'")             // 10
	f = f.Or(name)                                 // 11
	f = backend.JoinSQL(name, f, f)                // 12
	f = backend.Fragment{name}                     // 13
	f = backend.Fragment{node: nil}                // 14
	_ = f.node                                     // 15
	f = backend.Fragment(name)                     // 16
	f = backend.SQL(fmt.Sprint("name = ", name))   // 17
	f = backend.SQL(backend.UnsafeSQL(name))       // 18
	db.Exec(ctx, backend.UnsafeSQL(name))          // 19
	db.Exec(ctx, f)                                // 20
	backend.JoinSQL(", ", name)                    // 21
	backend.One[int](ctx, db, backend.query(name)) // 22
	f = name                                       // 23
}

func main() { find(context.Background(), nil, "") }
