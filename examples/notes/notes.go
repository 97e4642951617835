package main

import (
	"context"
	"crypto/rand"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/seed-215b9b7c/backend"
)

// Note is a note as it is stored and shown.
type Note struct {
	ID      string    `db:"id" json:"id"`
	Title   string    `db:"title" json:"title"`
	Text    string    `db:"text" json:"text"`
	Created time.Time `db:"created_at" json:"created"`
	Updated time.Time `db:"updated_at" json:"updated"`
}

// NoteInput is what a client may say about a note. A nil field is left as it is
// by an update, and empty in a new note.
type NoteInput struct {
	Title *string `json:"title"`
	Text  *string `json:"text"`
}

const (
	maxTitle = 200
	maxText  = 10_000
	maxList  = 100
)

// App is the application: plain Go that knows nothing of HTTP.
type App struct {
	db *backend.DB
}

// Notes returns the newest notes, at most 100, whose title or text holds
// search.
func (a *App) Notes(ctx context.Context, search string) ([]Note, error) {
	q := backend.SQL("SELECT * FROM notes")
	var args []any
	if search != "" {
		pattern := "%" + likeEscaper.Replace(strings.ToLower(search)) + "%"
		q += " WHERE LOWER(title) LIKE ? ESCAPE '!' OR LOWER(text) LIKE ? ESCAPE '!'"
		args = append(args, pattern, pattern)
	}
	q += " ORDER BY created_at DESC, id LIMIT ?"
	return backend.All[Note](ctx, a.db, q, append(args, maxList)...)
}

var likeEscaper = strings.NewReplacer("!", "!!", "%", "!%", "_", "!_")

// Note returns one note.
func (a *App) Note(ctx context.Context, id string) (Note, error) {
	return backend.One[Note](ctx, a.db, "SELECT * FROM notes WHERE id = ?", id)
}

// CreateNote stores a new note.
func (a *App) CreateNote(ctx context.Context, in NoteInput) (Note, error) {
	empty := ""
	for _, field := range []**string{&in.Title, &in.Text} {
		if *field == nil {
			*field = &empty
		}
	}
	if err := in.check(); err != nil {
		return Note{}, err
	}
	now := time.Now()
	return backend.One[Note](ctx, a.db,
		"INSERT INTO notes (id, title, text, created_at, updated_at) VALUES (?, ?, ?, ?, ?) RETURNING *",
		rand.Text(), in.Title, in.Text, now, now)
}

// UpdateNote changes what in says and returns the note as it is then.
func (a *App) UpdateNote(ctx context.Context, id string, in NoteInput) (note Note, err error) {
	if err := in.check(); err != nil {
		return Note{}, err
	}
	err = a.db.Tx(ctx, func(ctx context.Context) error {
		_, err := a.db.Exec(ctx,
			"UPDATE notes SET title = COALESCE(?, title), text = COALESCE(?, text), updated_at = ? WHERE id = ?",
			in.Title, in.Text, time.Now(), id)
		if err != nil {
			return err
		}
		note, err = a.Note(ctx, id)
		return err
	})
	return note, err
}

// DeleteNote deletes a note.
func (a *App) DeleteNote(ctx context.Context, id string) error {
	_, err := backend.One[string](ctx, a.db, "DELETE FROM notes WHERE id = ? RETURNING id", id)
	return err
}

// check returns everything that is wrong with the input, in one error.
func (in NoteInput) check() error {
	var fields []backend.FieldError
	if in.Title != nil && strings.TrimSpace(*in.Title) == "" {
		fields = append(fields, backend.FieldError{Pointer: "/title", Rule: "required", Message: "A note needs a title."})
	}
	if in.Title != nil && utf8.RuneCountInString(*in.Title) > maxTitle {
		fields = append(fields, backend.FieldError{Pointer: "/title", Rule: "max", Message: "The title may have 200 characters."})
	}
	if in.Text != nil && utf8.RuneCountInString(*in.Text) > maxText {
		fields = append(fields, backend.FieldError{Pointer: "/text", Rule: "max", Message: "The text may have 10,000 characters."})
	}
	if fields == nil {
		return nil
	}
	return &backend.Error{Code: backend.Invalid, Message: "The note is not valid.", Fields: fields}
}
