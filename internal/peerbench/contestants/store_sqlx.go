package contestants

// sqlx on database/sql with lib/pq and modernc.org/sqlite: the store of the idiomatic
// variants. Statements are not prepared, as few programs do that.

import (
	"context"
	"database/sql"
	"errors"

	"github.com/jmoiron/sqlx"
	_ "github.com/lib/pq"
	_ "modernc.org/sqlite"
)

type sqlxStore struct {
	db *sqlx.DB
}

func openSqlxPostgres(ctx context.Context, url string) (store, error) {
	return openSqlx(ctx, "postgres", url)
}

func openSqlxSQLite(ctx context.Context, path string) (store, error) {
	return openSqlx(ctx, "sqlite", sqliteName(path))
}

// sqliteName is the name of the data source for modernc.org/sqlite.
func sqliteName(path string) string {
	return "file:" + path + "?_pragma=journal_mode(wal)&_pragma=synchronous(normal)&_pragma=foreign_keys(on)&_pragma=busy_timeout(5000)&_txlock=immediate"
}

func openSqlx(ctx context.Context, driver, name string) (store, error) {
	db, err := sqlx.ConnectContext(ctx, driver, name)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	return &sqlxStore{db}, nil
}

func (s *sqlxStore) Item(ctx context.Context, id int64) (i Item, err error) {
	err = s.db.GetContext(ctx, &i, s.db.Rebind(selectItem+"?"), id)
	if errors.Is(err, sql.ErrNoRows) {
		err = ErrNotFound
	}
	return i, err
}

func (s *sqlxStore) Items(ctx context.Context, owner int64) (items []Item, err error) {
	err = s.db.SelectContext(ctx, &items, s.db.Rebind(selectItems+"? ORDER BY id LIMIT 50"), owner)
	return items, err
}

func (s *sqlxStore) World(ctx context.Context, id int64) (w World, err error) {
	err = s.db.GetContext(ctx, &w, s.db.Rebind(selectWorld+"?"), id)
	return w, err
}

func (s *sqlxStore) Worlds(ctx context.Context, ids []int64) (worlds []World, err error) {
	text, args, err := sqlx.In("SELECT id, number FROM worlds WHERE id IN (?) ORDER BY id", ids)
	if err != nil {
		return nil, err
	}
	err = s.db.SelectContext(ctx, &worlds, s.db.Rebind(text), args...)
	return worlds, err
}

func (s *sqlxStore) Insert(ctx context.Context, in NewEntry) (id int64, err error) {
	tx, err := s.db.BeginTxx(ctx, nil)
	if err != nil {
		return 0, err
	}
	defer func() { _ = tx.Rollback() }()
	err = tx.GetContext(ctx, &id, tx.Rebind("INSERT INTO entries (owner, title, price) VALUES (?, ?, ?) RETURNING id"), in.Owner, in.Title, in.Price)
	if err != nil {
		return 0, err
	}
	return id, tx.Commit()
}

func (s *sqlxStore) Fortunes(ctx context.Context) (fortunes []Fortune, err error) {
	err = s.db.SelectContext(ctx, &fortunes, selectFortunes)
	return fortunes, err
}

func (s *sqlxStore) Update(ctx context.Context, ids []int64) ([]World, error) {
	tx, err := s.db.BeginTxx(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer func() { _ = tx.Rollback() }()
	worlds := make([]World, len(ids))
	for i, id := range ids {
		if err := tx.GetContext(ctx, &worlds[i], tx.Rebind("UPDATE worlds SET number = "+NextNumber+" WHERE id = ? RETURNING id, number"), id); err != nil {
			return nil, err
		}
	}
	return worlds, tx.Commit()
}
