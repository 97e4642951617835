package main

import (
	"context"
	"crypto/rand"
	"strings"
	"time"

	"github.com/seed-215b9b7c/backend"
)

// App is the application: plain Go that knows nothing of HTTP, and can be tested
// without a server.
type App struct {
	db *backend.DB
}

// Note is a note as it is stored and shown.
type Note struct {
	ID      string    `db:"id" json:"id"`
	Title   string    `db:"title" json:"title" example:"Milk"`
	Text    string    `db:"text" json:"text"`
	Created time.Time `db:"created_at" json:"created"`
	Updated time.Time `db:"updated_at" json:"updated"`
}

// ListNotes says which notes to list.
type ListNotes struct {
	Search string         `json:"search,omitempty" doc:"what title or text must hold"`
	After  backend.Cursor `json:"after,omitempty" doc:"next of the page before"`
}

// pageSize is how many notes a page has.
const pageSize = 100

// Notes returns the newest notes whose title or text holds a text.
func (a *App) Notes(ctx context.Context, in ListNotes) (backend.Page[Note], error) {
	where := backend.SQL("TRUE")
	if in.Search != "" {
		pattern := "%" + likeEscaper.Replace(strings.ToLower(in.Search)) + "%"
		where = where.And("LOWER(title) LIKE ? ESCAPE '!' OR LOWER(text) LIKE ? ESCAPE '!'", pattern, pattern)
	}
	if in.After != "" {
		var created time.Time
		var id string
		if err := in.After.Read(ctx, &created, &id); err != nil {
			return backend.Page[Note]{}, err
		}
		where = where.And("created_at < ? OR created_at = ? AND id > ?", created, created, id)
	}
	notes, err := backend.All[Note](ctx, a.db, "SELECT * FROM notes WHERE ? ORDER BY created_at DESC, id LIMIT ?", where, pageSize)
	if err != nil {
		return backend.Page[Note]{}, err
	}
	return backend.NewPage(ctx, notes, pageSize, func(last Note) []any { return []any{last.Created, last.ID} })
}

var likeEscaper = strings.NewReplacer("!", "!!", "%", "!%", "_", "!_")

// NoteID names a note.
type NoteID struct {
	ID string `json:"id"`
}

// Note returns one note.
func (a *App) Note(ctx context.Context, in NoteID) (Note, error) {
	return backend.One[Note](ctx, a.db, "SELECT * FROM notes WHERE id = ?", in.ID)
}

// CreateNote is a new note.
type CreateNote struct {
	Title string `json:"title" validate:"required,max=200" example:"Milk"`
	Text  string `json:"text,omitempty" validate:"max=10000"`
}

// Validate refuses titles that cannot be seen.
func (in CreateNote) Validate(context.Context) error { return checkTitle(in.Title) }

// CreateNote stores a new note.
func (a *App) CreateNote(ctx context.Context, in CreateNote) (Note, error) {
	now := time.Now()
	return backend.One[Note](ctx, a.db,
		`INSERT INTO notes (id, title, text, created_at, updated_at)
		VALUES (?, ?, ?, ?, ?) RETURNING *`,
		rand.Text(), in.Title, in.Text, now, now)
}

// UpdateNote has the changes of a note. Null means an empty string: it empties the text,
// and is refused for the title.
type UpdateNote struct {
	ID    string              `json:"id"`
	Title backend.Opt[string] `json:"title,omitzero" validate:"omitempty,max=200"`
	Text  backend.Opt[string] `json:"text,omitzero" validate:"omitempty,max=10000"`
}

// Validate refuses titles that cannot be seen.
func (in UpdateNote) Validate(context.Context) error {
	if !in.Title.Present {
		return nil
	}
	return checkTitle(in.Title.V)
}

// UpdateNote changes a note and returns the changed note.
func (a *App) UpdateNote(ctx context.Context, in UpdateNote) (Note, error) {
	changes := []backend.Fragment{backend.SQL("updated_at = ?", time.Now())}
	if in.Title.Present {
		changes = append(changes, backend.SQL("title = ?", in.Title.V))
	}
	if in.Text.Present {
		changes = append(changes, backend.SQL("text = ?", in.Text.V))
	}
	if _, err := a.db.Exec(ctx, "UPDATE notes SET ? WHERE id = ?", backend.JoinSQL(", ", changes...), in.ID); err != nil {
		return Note{}, err
	}
	return a.Note(ctx, NoteID{in.ID})
}

// DeleteNote deletes a note.
func (a *App) DeleteNote(ctx context.Context, in NoteID) (backend.None, error) {
	_, err := backend.One[string](ctx, a.db, "DELETE FROM notes WHERE id = ? RETURNING id", in.ID)
	return backend.None{}, err
}

// checkTitle checks a rule that tags cannot express.
func checkTitle(title string) error {
	if strings.TrimSpace(title) != "" {
		return nil
	}
	return backend.InvalidField("/title", "required", "is missing")
}
