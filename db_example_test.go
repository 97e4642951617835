package backend_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"testing/fstest"

	"github.com/seed-215b9b7c/backend"
)

// exampleDB is a database with two notes.
func exampleDB(ctx context.Context) *backend.DB {
	db, err := backend.Open(ctx, "sqlite::memory:")
	if err != nil {
		log.Fatal(err)
	}
	err = db.Migrate(ctx, fstest.MapFS{"0001_notes.sql": {Data: []byte(`-- +goose Up
CREATE TABLE notes (id INTEGER PRIMARY KEY, title TEXT NOT NULL UNIQUE, tags JSON NOT NULL);
INSERT INTO notes (title, tags) VALUES ('Milk', '["shop"]'), ('Rent', '["home", "money"]');
`)}})
	if err != nil {
		log.Fatal(err)
	}
	return db
}

type exampleNote struct {
	ID    int64    `db:"id"`
	Title string   `db:"title"`
	Tags  []string `db:"tags"`
}

func ExampleOne() {
	ctx := context.Background()
	db := exampleDB(ctx)
	defer db.Close()

	note, err := backend.One[exampleNote](ctx, db, "SELECT * FROM notes WHERE title = ?", "Rent")
	fmt.Println(note, err)

	note, err = backend.One[exampleNote](ctx, db,
		"INSERT INTO notes (title, tags) VALUES (?, ?) RETURNING *", "Call Ann", []string{"phone"})
	fmt.Println(note, err)

	_, err = backend.One[exampleNote](ctx, db, "SELECT * FROM notes WHERE id = ?", 99)
	fmt.Println(backend.CodeOf(err))

	_, err = db.Exec(ctx, "INSERT INTO notes (title, tags) VALUES (?, ?)", "Milk", []string{})
	fmt.Println(backend.CodeOf(err))
	// Output:
	// {2 Rent [home money]} <nil>
	// {3 Call Ann [phone]} <nil>
	// not_found
	// conflict
}

func ExampleAll() {
	ctx := context.Background()
	db := exampleDB(ctx)
	defer db.Close()

	titles, err := backend.All[string](ctx, db, "SELECT title FROM notes WHERE id IN (?) ORDER BY title", []int{1, 2, 3})
	fmt.Println(titles, err)
	// Output: [Milk Rent] <nil>
}

func ExampleEach() {
	ctx := context.Background()
	db := exampleDB(ctx)
	defer db.Close()

	for note, err := range backend.Each[exampleNote](ctx, db, "SELECT * FROM notes ORDER BY id") {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(note.ID, note.Title)
	}
	// Output:
	// 1 Milk
	// 2 Rent
}

func ExampleFragment() {
	ctx := context.Background()
	db := exampleDB(ctx)
	defer db.Close()

	tagged := func(tag string) backend.Fragment {
		return backend.SQL("EXISTS (SELECT 1 FROM json_each(tags) WHERE value = ?)", tag)
	}
	find := func(search string, tags ...string) []string {
		where := backend.SQL("title <> ?", "Secret")
		if search != "" {
			where = where.And("title LIKE ?", "%"+search+"%")
		}
		var any backend.Fragment // empty, and then as long as the list
		for _, tag := range tags {
			any = any.Or("?", tagged(tag))
		}
		if len(tags) > 0 {
			where = where.And("?", any)
		}
		titles, err := backend.All[string](ctx, db, "SELECT title FROM notes WHERE ? ORDER BY title LIMIT ?", where, 20)
		if err != nil {
			log.Fatal(err)
		}
		return titles
	}
	fmt.Println(find(""), find("en"), find("", "shop", "phone"), find("en", "shop"))
	// Output: [Milk Rent] [Rent] [Milk] []
}

func ExampleJoinSQL() {
	ctx := context.Background()
	db := exampleDB(ctx)
	defer db.Close()

	var rows []backend.Fragment
	for _, title := range []string{"Eggs", "Tea"} {
		rows = append(rows, backend.SQL("(?, ?)", title, []string{"shop"}))
	}
	_, err := db.Exec(ctx, "INSERT INTO notes (title, tags) VALUES ?", backend.JoinSQL(", ", rows...))
	fmt.Println(err)

	orders := map[string]backend.Fragment{"title": backend.SQL("title"), "newest": backend.SQL("id DESC")}
	titles, err := backend.All[string](ctx, db, "SELECT title FROM notes ORDER BY ?", orders["newest"])
	fmt.Println(titles, err)
	// Output:
	// <nil>
	// [Tea Eggs Rent Milk] <nil>
}

func ExampleDB_Tx() {
	ctx := context.Background()
	db := exampleDB(ctx)
	defer db.Close()

	rename := func(from, to string) error {
		return db.Tx(ctx, func(ctx context.Context) error {
			note, err := backend.One[exampleNote](ctx, db, "DELETE FROM notes WHERE title = ? RETURNING *", from)
			if err != nil {
				return err
			}
			backend.AfterCommit(ctx, func(context.Context) { fmt.Println("renamed", from) })
			_, err = db.Exec(ctx, "INSERT INTO notes (id, title, tags) VALUES (?, ?, ?)", note.ID, to, note.Tags)
			return err
		})
	}
	fmt.Println(rename("Milk", "Oat milk"))

	err := rename("Oat milk", "Rent") // there is a Rent, so the DELETE is undone
	var failed *backend.DBError
	fmt.Println(backend.CodeOf(err), errors.As(err, &failed), failed.Column)

	titles, _ := backend.All[string](ctx, db, "SELECT title FROM notes ORDER BY title")
	fmt.Println(titles)
	// Output:
	// renamed Milk
	// <nil>
	// conflict true title
	// [Oat milk Rent]
}

func ExampleDB_MigrationStatus() {
	ctx := context.Background()
	db, err := backend.Open(ctx, "sqlite::memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()

	migrations := fstest.MapFS{ // usually an embed.FS
		"0001_notes.sql": {Data: []byte("-- +goose Up\nCREATE TABLE notes (id INTEGER PRIMARY KEY);\n-- +goose Down\nDROP TABLE notes;")},
	}
	print := func() {
		status, err := db.MigrationStatus(ctx, migrations)
		if err != nil {
			log.Fatal(err)
		}
		for _, s := range status {
			fmt.Println(s.Name, s.Applied, s.Pending)
		}
	}
	print()
	if err := db.Migrate(ctx, migrations); err != nil {
		log.Fatal(err)
	}
	print()
	// Output:
	// 0001_notes.sql false [CREATE TABLE notes (id INTEGER PRIMARY KEY)]
	// 0001_notes.sql true []
}
