package contestants

// PostgreSQL by pgx's pool, with rows scanned by hand: the store of the floor and of
// the tuned variants.

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

type pgxStore struct{ pool *pgxpool.Pool }

func openPgx(ctx context.Context, url string) (store, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	config.MaxConns = connections
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	return &pgxStore{pool}, pool.Ping(ctx)
}

func (s *pgxStore) Item(ctx context.Context, id int64) (i Item, err error) {
	err = s.pool.QueryRow(ctx, selectItem+"$1", id).Scan(&i.ID, &i.Owner, &i.Title, &i.Body, &i.Price, &i.Active, &i.Created)
	if errors.Is(err, pgx.ErrNoRows) {
		err = ErrNotFound
	}
	return i, err
}

func (s *pgxStore) Items(ctx context.Context, owner int64) ([]Item, error) {
	rows, err := s.pool.Query(ctx, selectItems+"$1 ORDER BY id LIMIT 50", owner)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	items := make([]Item, 0, 50)
	for rows.Next() {
		var i Item
		if err := rows.Scan(&i.ID, &i.Owner, &i.Title, &i.Body, &i.Price, &i.Active, &i.Created); err != nil {
			return nil, err
		}
		items = append(items, i)
	}
	return items, rows.Err()
}

func (s *pgxStore) World(ctx context.Context, id int64) (w World, err error) {
	err = s.pool.QueryRow(ctx, selectWorld+"$1", id).Scan(&w.ID, &w.Number)
	return w, err
}

func (s *pgxStore) Worlds(ctx context.Context, ids []int64) ([]World, error) {
	rows, err := s.pool.Query(ctx, "SELECT id, number FROM worlds WHERE id = ANY($1) ORDER BY id", ids)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	worlds := make([]World, 0, len(ids))
	for rows.Next() {
		var w World
		if err := rows.Scan(&w.ID, &w.Number); err != nil {
			return nil, err
		}
		worlds = append(worlds, w)
	}
	return worlds, rows.Err()
}

func (s *pgxStore) Insert(ctx context.Context, in NewEntry) (id int64, err error) {
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, "INSERT INTO entries (owner, title, price) VALUES ($1, $2, $3) RETURNING id", in.Owner, in.Title, in.Price).Scan(&id)
	})
	return id, err
}

func (s *pgxStore) Fortunes(ctx context.Context) ([]Fortune, error) {
	rows, err := s.pool.Query(ctx, selectFortunes)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var fortunes []Fortune
	for rows.Next() {
		var f Fortune
		if err := rows.Scan(&f.ID, &f.Message); err != nil {
			return nil, err
		}
		fortunes = append(fortunes, f)
	}
	return fortunes, rows.Err()
}

// Update sends all statements in one batch.
func (s *pgxStore) Update(ctx context.Context, ids []int64) ([]World, error) {
	worlds := make([]World, len(ids))
	batch := &pgx.Batch{}
	for i, id := range ids {
		batch.Queue("UPDATE worlds SET number = "+NextNumber+" WHERE id = $1 RETURNING id, number", id).QueryRow(func(row pgx.Row) error {
			return row.Scan(&worlds[i].ID, &worlds[i].Number)
		})
	}
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		return tx.SendBatch(ctx, batch).Close()
	})
	return worlds, err
}
