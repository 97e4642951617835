package contestants

// database/sql with modernc.org/sqlite, prepared statements, rows scanned by hand and
// one connection that writes: the store of the tuned variants on SQLite.

import (
	"context"
	"database/sql"
	"errors"
	"strings"
)

type preparedStore struct {
	writer                                 *sql.DB
	item, items, world, worlds20, fortunes *sql.Stmt
	insert, update                         *sql.Stmt
}

// marks returns n parameters for a list.
func marks(n int) string { return strings.TrimSuffix(strings.Repeat("?, ", n), ", ") }

func openPrepared(ctx context.Context, path string) (store, error) {
	readers, err := sql.Open("sqlite", sqliteName(path))
	if err != nil {
		return nil, err
	}
	readers.SetMaxOpenConns(connections)
	readers.SetMaxIdleConns(connections)
	writer, err := sql.Open("sqlite", sqliteName(path))
	if err != nil {
		return nil, err
	}
	writer.SetMaxOpenConns(1)
	s := &preparedStore{writer: writer}
	for _, statement := range []struct {
		into **sql.Stmt
		db   *sql.DB
		text string
	}{
		{&s.item, readers, selectItem + "?"},
		{&s.items, readers, selectItems + "? ORDER BY id LIMIT 50"},
		{&s.world, readers, selectWorld + "?"},
		{&s.worlds20, readers, "SELECT id, number FROM worlds WHERE id IN (" + marks(20) + ") ORDER BY id"},
		{&s.fortunes, readers, selectFortunes},
		{&s.insert, writer, "INSERT INTO entries (owner, title, price) VALUES (?, ?, ?) RETURNING id"},
		{&s.update, writer, "UPDATE worlds SET number = " + NextNumber + " WHERE id = ? RETURNING id, number"},
	} {
		if *statement.into, err = statement.db.PrepareContext(ctx, statement.text); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *preparedStore) Item(ctx context.Context, id int64) (i Item, err error) {
	err = s.item.QueryRowContext(ctx, id).Scan(&i.ID, &i.Owner, &i.Title, &i.Body, &i.Price, &i.Active, &i.Created)
	if errors.Is(err, sql.ErrNoRows) {
		err = ErrNotFound
	}
	return i, err
}

func (s *preparedStore) Items(ctx context.Context, owner int64) ([]Item, error) {
	rows, err := s.items.QueryContext(ctx, owner)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
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

func (s *preparedStore) World(ctx context.Context, id int64) (w World, err error) {
	err = s.world.QueryRowContext(ctx, id).Scan(&w.ID, &w.Number)
	return w, err
}

// Worlds is for lists of 20, the only ones of which the statement is prepared.
func (s *preparedStore) Worlds(ctx context.Context, ids []int64) ([]World, error) {
	args := make([]any, len(ids))
	for i, id := range ids {
		args[i] = id
	}
	rows, err := s.worlds20.QueryContext(ctx, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
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

func (s *preparedStore) Insert(ctx context.Context, in NewEntry) (id int64, err error) {
	tx, err := s.writer.BeginTx(ctx, nil)
	if err != nil {
		return 0, err
	}
	defer func() { _ = tx.Rollback() }()
	if err := tx.StmtContext(ctx, s.insert).QueryRowContext(ctx, in.Owner, in.Title, in.Price).Scan(&id); err != nil {
		return 0, err
	}
	return id, tx.Commit()
}

func (s *preparedStore) Fortunes(ctx context.Context) (fortunes []Fortune, err error) {
	rows, err := s.fortunes.QueryContext(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var f Fortune
		if err := rows.Scan(&f.ID, &f.Message); err != nil {
			return nil, err
		}
		fortunes = append(fortunes, f)
	}
	return fortunes, rows.Err()
}

func (s *preparedStore) Update(ctx context.Context, ids []int64) ([]World, error) {
	tx, err := s.writer.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer func() { _ = tx.Rollback() }()
	update := tx.StmtContext(ctx, s.update)
	worlds := make([]World, len(ids))
	for i, id := range ids {
		if err := update.QueryRowContext(ctx, id).Scan(&worlds[i].ID, &worlds[i].Number); err != nil {
			return nil, err
		}
	}
	return worlds, tx.Commit()
}
