package contestants

// What the servers other than this package's do with the database. A store is the
// database code of a program, written once for all frameworks.

import (
	"context"
	"errors"
	"fmt"
)

// ErrNotFound is the error of Item if there is none.
var ErrNotFound = errors.New("there is no such item")

// store is the data of a server.
type store interface {
	Item(ctx context.Context, id int64) (Item, error)
	Items(ctx context.Context, owner int64) ([]Item, error)
	World(ctx context.Context, id int64) (World, error)
	Worlds(ctx context.Context, ids []int64) ([]World, error) // the best form of many lookups
	Insert(ctx context.Context, in NewEntry) (int64, error)   // in a transaction
	Fortunes(ctx context.Context) ([]Fortune, error)
	Update(ctx context.Context, ids []int64) ([]World, error) // in a transaction
}

// The statements, with the parameters of SQLite and PostgreSQL in turn.
const (
	selectItem     = "SELECT id, owner, title, body, price, active, created FROM items WHERE id = "
	selectItems    = "SELECT id, owner, title, body, price, active, created FROM items WHERE owner = "
	selectWorld    = "SELECT id, number FROM worlds WHERE id = "
	selectFortunes = "SELECT id, message FROM fortunes"
)

// connections is how many connections every pool has.
const connections = 10

// openStore opens the database of the work, if it needs one.
func openStore(env Env, postgres, sqlite func(ctx context.Context, url string) (store, error)) (store, error) {
	switch env.Engine() {
	case "pg":
		return postgres(context.Background(), env.DB)
	case "sqlite":
		return sqlite(context.Background(), env.DB)
	}
	return nil, nil
}

// oneByOne looks up rows with a query each.
func oneByOne(ctx context.Context, s store, n int) ([]World, error) {
	worlds := make([]World, n)
	for i, id := range LookupIDs(n) {
		var err error
		if worlds[i], err = s.World(ctx, id); err != nil {
			return nil, fmt.Errorf("world %d: %w", id, err)
		}
	}
	return worlds, nil
}
