package main

// The databases: files of SQLite in a folder, and databases of the server at
// TEST_POSTGRES_URL, which are dropped at the end. Both have the same rows.

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"github.com/seed-215b9b7c/backend/internal/peerbench/contestants"
)

// databases makes databases and removes them.
type databases struct {
	folder string
	server string // the URL of PostgreSQL, or ""
	mu     sync.Mutex
	made   map[string]string // URLs of PostgreSQL by slot
	files  int
}

func newDatabases(folder string) *databases {
	return &databases{folder: folder, server: os.Getenv("TEST_POSTGRES_URL"), made: map[string]string{}}
}

// open returns the URL or path of a database with the rows that are there at the start.
// On PostgreSQL a slot keeps its database, since making one takes long; no two
// processes may use it at once.
func (d *databases) open(ctx context.Context, engine, slot string) (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch engine {
	case "sqlite":
		d.files++
		return d.newFile(filepath.Join(d.folder, fmt.Sprintf("%d.db", d.files)))
	case "pg":
		if made, ok := d.made[slot]; ok {
			return made, d.reset(ctx, made)
		}
		made, err := d.newDatabase(ctx, slot)
		if err == nil {
			d.made[slot] = made
		}
		return made, err
	}
	return "", nil
}

// newFile makes a file of SQLite.
func (d *databases) newFile(path string) (_ string, err error) {
	c, err := sqlite.OpenConn(path, sqlite.OpenReadWrite, sqlite.OpenCreate, sqlite.OpenWAL)
	if err != nil {
		return "", err
	}
	defer func() { _ = c.Close() }()
	if err := sqlitex.ExecuteScript(c, contestants.Schema(false), nil); err != nil {
		return "", err
	}
	end := sqlitex.Transaction(c)
	defer end(&err)
	return path, seed(func(table string, _ []string, rows [][]any) error {
		for _, row := range rows {
			for i := range row {
				if t, ok := row[i].(time.Time); ok {
					row[i] = t.Format(time.DateTime)
				}
			}
			text := "INSERT INTO " + table + " VALUES (?" + strings.Repeat(", ?", len(row)-1) + ")"
			if err := sqlitex.Execute(c, text, &sqlitex.ExecOptions{Args: row}); err != nil {
				return err
			}
		}
		return nil
	})
}

// newDatabase makes a database of PostgreSQL.
func (d *databases) newDatabase(ctx context.Context, slot string) (string, error) {
	name := fmt.Sprintf("peerbench_%d_%s", os.Getpid(), slot)
	if err := d.onServer(ctx, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize()); err != nil {
		return "", err
	}
	made, err := url.Parse(d.server)
	if err != nil {
		return "", err
	}
	made.Path = "/" + name
	c, err := pgx.Connect(ctx, made.String())
	if err != nil {
		return "", err
	}
	defer func() { _ = c.Close(ctx) }()
	if _, err := c.Exec(ctx, contestants.Schema(true)); err != nil {
		return "", err
	}
	err = seed(func(table string, columns []string, rows [][]any) error {
		_, err := c.CopyFrom(ctx, pgx.Identifier{table}, columns, pgx.CopyFromRows(rows))
		return err
	})
	if err == nil {
		_, err = c.Exec(ctx, "VACUUM ANALYZE")
	}
	return made.String(), err
}

// reset removes what contestants have written and left behind.
func (d *databases) reset(ctx context.Context, made string) error {
	c, err := pgx.Connect(ctx, made)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close(ctx) }()
	if _, err := c.Exec(ctx, "TRUNCATE entries, worlds"); err != nil {
		return err
	}
	if _, err := c.CopyFrom(ctx, pgx.Identifier{"worlds"}, worldColumns, pgx.CopyFromRows(seedWorldRows())); err != nil {
		return err
	}
	_, err = c.Exec(ctx, "VACUUM ANALYZE worlds")
	return err
}

// close drops the databases of PostgreSQL. The folder is the caller's.
func (d *databases) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for slot, made := range d.made {
		u, err := url.Parse(made)
		if err != nil {
			return err
		}
		if err := d.onServer(ctx, "DROP DATABASE IF EXISTS "+pgx.Identifier{u.Path[1:]}.Sanitize()+" WITH (FORCE)"); err != nil {
			return err
		}
		delete(d.made, slot)
	}
	return nil
}

func (d *databases) onServer(ctx context.Context, statement string) error {
	c, err := pgx.Connect(ctx, d.server)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close(ctx) }()
	_, err = c.Exec(ctx, statement)
	return err
}

var worldColumns = []string{"id", "number"}

func seedWorldRows() (rows [][]any) {
	for id := int64(1); id <= contestants.WorldRows; id++ {
		rows = append(rows, []any{id, contestants.SeedWorld(id).Number})
	}
	return rows
}

// seed gives all rows to insert.
func seed(insert func(table string, columns []string, rows [][]any) error) error {
	var items, fortunes [][]any
	for id := int64(1); id <= contestants.Owners*contestants.ItemsPerOwner; id++ {
		i := contestants.SeedItem(id)
		items = append(items, []any{i.ID, i.Owner, i.Title, i.Body, i.Price, i.Active, i.Created})
	}
	for _, f := range contestants.SeedFortunes {
		fortunes = append(fortunes, []any{f.ID, f.Message})
	}
	if err := insert("items", []string{"id", "owner", "title", "body", "price", "active", "created"}, items); err != nil {
		return err
	}
	if err := insert("worlds", worldColumns, seedWorldRows()); err != nil {
		return err
	}
	return insert("fortunes", []string{"id", "message"}, fortunes)
}
