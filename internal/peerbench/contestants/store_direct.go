package contestants

// SQLite without database/sql: the store of the floor. zombiezen.com/go/sqlite keeps
// the statements of each connection prepared.

import (
	"context"
	"time"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

type directStore struct{ readers, writer *sqlitex.Pool }

func openDirect(_ context.Context, path string) (store, error) {
	pool := func(size int) (*sqlitex.Pool, error) {
		return sqlitex.NewPool("file:"+path, sqlitex.PoolOptions{PoolSize: size, PrepareConn: func(c *sqlite.Conn) error {
			for _, pragma := range []string{"synchronous = normal", "foreign_keys = on", "busy_timeout = 5000"} {
				if err := sqlitex.ExecuteTransient(c, "PRAGMA "+pragma, nil); err != nil {
					return err
				}
			}
			return nil
		}})
	}
	writer, err := pool(1)
	if err != nil {
		return nil, err
	}
	readers, err := pool(connections)
	return &directStore{readers, writer}, err
}

// query calls row for each row.
func query(ctx context.Context, pool *sqlitex.Pool, text string, bind func(s *sqlite.Stmt), row func(s *sqlite.Stmt) error) error {
	c, err := pool.Take(ctx)
	if err != nil {
		return err
	}
	defer pool.Put(c)
	return queryConn(c, text, bind, row)
}

func queryConn(c *sqlite.Conn, text string, bind func(s *sqlite.Stmt), row func(s *sqlite.Stmt) error) error {
	s, err := c.Prepare(text)
	if err != nil {
		return err
	}
	defer func() { _ = s.Reset() }()
	bind(s)
	for {
		more, err := s.Step()
		if err != nil || !more {
			return err
		}
		if err := row(s); err != nil {
			return err
		}
	}
}

func columnsOfItem(s *sqlite.Stmt) (i Item, err error) {
	i = Item{
		ID: s.ColumnInt64(0), Owner: s.ColumnInt64(1), Title: s.ColumnText(2), Body: s.ColumnText(3),
		Price: s.ColumnFloat(4), Active: s.ColumnInt64(5) != 0,
	}
	i.Created, err = time.Parse(time.DateTime, s.ColumnText(6))
	return i, err
}

func columnsOfWorld(s *sqlite.Stmt) World { return World{s.ColumnInt64(0), s.ColumnInt64(1)} }

func (d *directStore) Item(ctx context.Context, id int64) (i Item, err error) {
	found := false
	err = query(ctx, d.readers, selectItem+"?", func(s *sqlite.Stmt) { s.BindInt64(1, id) }, func(s *sqlite.Stmt) (err error) {
		found = true
		i, err = columnsOfItem(s)
		return err
	})
	if err == nil && !found {
		err = ErrNotFound
	}
	return i, err
}

func (d *directStore) Items(ctx context.Context, owner int64) ([]Item, error) {
	items := make([]Item, 0, 50)
	err := query(ctx, d.readers, selectItems+"? ORDER BY id LIMIT 50", func(s *sqlite.Stmt) { s.BindInt64(1, owner) }, func(s *sqlite.Stmt) error {
		i, err := columnsOfItem(s)
		items = append(items, i)
		return err
	})
	return items, err
}

func (d *directStore) World(ctx context.Context, id int64) (w World, err error) {
	err = query(ctx, d.readers, selectWorld+"?", func(s *sqlite.Stmt) { s.BindInt64(1, id) }, func(s *sqlite.Stmt) error {
		w = columnsOfWorld(s)
		return nil
	})
	return w, err
}

func (d *directStore) Worlds(ctx context.Context, ids []int64) ([]World, error) {
	worlds := make([]World, 0, len(ids))
	err := query(ctx, d.readers, "SELECT id, number FROM worlds WHERE id IN ("+marks(len(ids))+") ORDER BY id", func(s *sqlite.Stmt) {
		for i, id := range ids {
			s.BindInt64(i+1, id)
		}
	}, func(s *sqlite.Stmt) error {
		worlds = append(worlds, columnsOfWorld(s))
		return nil
	})
	return worlds, err
}

// write runs f in a transaction.
func (d *directStore) write(ctx context.Context, f func(c *sqlite.Conn) error) (err error) {
	c, err := d.writer.Take(ctx)
	if err != nil {
		return err
	}
	defer d.writer.Put(c)
	end, err := sqlitex.ImmediateTransaction(c)
	if err != nil {
		return err
	}
	defer end(&err)
	return f(c)
}

func (d *directStore) Insert(ctx context.Context, in NewEntry) (id int64, err error) {
	err = d.write(ctx, func(c *sqlite.Conn) error {
		return queryConn(c, "INSERT INTO entries (owner, title, price) VALUES (?, ?, ?) RETURNING id", func(s *sqlite.Stmt) {
			s.BindInt64(1, in.Owner)
			s.BindText(2, in.Title)
			s.BindFloat(3, in.Price)
		}, func(s *sqlite.Stmt) error {
			id = s.ColumnInt64(0)
			return nil
		})
	})
	return id, err
}

func (d *directStore) Fortunes(ctx context.Context) (fortunes []Fortune, err error) {
	err = query(ctx, d.readers, selectFortunes, func(*sqlite.Stmt) {}, func(s *sqlite.Stmt) error {
		fortunes = append(fortunes, Fortune{s.ColumnInt64(0), s.ColumnText(1)})
		return nil
	})
	return fortunes, err
}

func (d *directStore) Update(ctx context.Context, ids []int64) (worlds []World, err error) {
	err = d.write(ctx, func(c *sqlite.Conn) error {
		for _, id := range ids {
			err := queryConn(c, "UPDATE worlds SET number = "+NextNumber+" WHERE id = ? RETURNING id, number", func(s *sqlite.Stmt) { s.BindInt64(1, id) }, func(s *sqlite.Stmt) error {
				worlds = append(worlds, columnsOfWorld(s))
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	return worlds, err
}
