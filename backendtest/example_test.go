package backendtest_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/seed-215b9b7c/backend"
	"github.com/seed-215b9b7c/backend/backendtest"
)

// A test of a whole program: its routes, on every engine, as its users call it.
func ExampleNewClient() {
	var t *testing.T // of the test function

	type Note struct {
		Title string `json:"title" validate:"required"`
	}
	createNote := func(_ context.Context, in Note) (Note, error) { return in, nil }

	backendtest.EachDB(t, func(t *testing.T, db *backend.DB) {
		logic := backend.NewLogic(db, backendtest.Callers{}, backend.LogicConfig{})
		logic.Add(backend.Mutation("createNote", backend.SignedIn, createNote, backend.Route("POST /notes")))
		client := backendtest.NewClient(t, backend.Stack(backend.StackConfig{})(logic.REST()))
		ann := client.As(backend.Caller{ID: "ann"})

		var note Note
		ann.Post("/notes", Note{Title: "Milk"}).Expect(http.StatusCreated).JSON(&note)
		if note.Title != "Milk" {
			t.Error("another note was created:", note)
		}

		problem := ann.Post("/notes", `{"title":""}`).Expect(http.StatusUnprocessableEntity).Problem()
		if problem.Errors[0].Pointer != "/title" {
			t.Error("the error is about another field:", problem.Errors)
		}

		client.Post("/notes", Note{Title: "Milk"}).Expect(http.StatusUnauthorized) // nobody
	})
}
