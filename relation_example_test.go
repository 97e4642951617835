package backend_test

import (
	"context"
	"fmt"
	"log"
	"net/http/httptest"
	"testing/fstest"

	"github.com/seed-215b9b7c/backend"
)

// A list of books with their authors is two queries, however long the list.
func ExampleRelation() {
	type Book struct {
		ID       backend.ID `db:"id" json:"id"`
		Title    string     `db:"title" json:"title"`
		AuthorID backend.ID `db:"author_id" json:"-"`
	}
	type Author struct {
		ID   backend.ID `db:"id" json:"id"`
		Name string     `db:"name" json:"name"`
	}
	ctx := context.Background()
	db, err := backend.Open(ctx, "sqlite::memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	err = db.Migrate(ctx, fstest.MapFS{"0001_books.sql": {Data: []byte(`-- +goose Up
CREATE TABLE authors (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
CREATE TABLE books (id INTEGER PRIMARY KEY, title TEXT NOT NULL, author_id INTEGER NOT NULL REFERENCES authors);
INSERT INTO authors (name) VALUES ('Lem'), ('Le Guin');
INSERT INTO books (title, author_id) VALUES ('Solaris', 1), ('The Dispossessed', 2), ('Eden', 1);
`)}})
	if err != nil {
		log.Fatal(err)
	}

	books := func(ctx context.Context, _ backend.None) ([]Book, error) {
		return backend.All[Book](ctx, db, "SELECT * FROM books ORDER BY id")
	}
	authors := func(ctx context.Context, books []Book) ([]*Author, error) {
		var ids []backend.ID
		for _, book := range books {
			ids = append(ids, book.AuthorID)
		}
		found, err := backend.All[Author](ctx, db, "SELECT * FROM authors WHERE id IN (?)", ids)
		return backend.HasOne(books, found,
			func(b Book) backend.ID { return b.AuthorID },
			func(a Author) backend.ID { return a.ID }), err
	}
	logic := backend.NewLogic(db, nil, backend.LogicConfig{})
	logic.Add(
		backend.Query("books", backend.Public, books, backend.Route("GET /books")),
		backend.Relation("author", authors, backend.Doc("who wrote it")),
	)
	door := logic.REST()
	for _, path := range []string{"/books", "/books?include=author"} {
		w := httptest.NewRecorder()
		door.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		fmt.Println(w.Body)
	}
	// Output:
	// [{"id":"1","title":"Solaris"},{"id":"2","title":"The Dispossessed"},{"id":"3","title":"Eden"}]
	// [{"id":"1","title":"Solaris","author":{"id":"1","name":"Lem"}},{"id":"2","title":"The Dispossessed","author":{"id":"2","name":"Le Guin"}},{"id":"3","title":"Eden","author":{"id":"1","name":"Lem"}}]
}
