package clienttest

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/seed-215b9b7c/backend"
)

// This file has the operations whose bodies are not JSON, and those that say something
// about their response.

// Setting is kept under a name.
type Setting struct {
	Name  string `json:"name"`
	Value string `json:"value" validate:"max=20"`
}

// Named is what a path names.
type Named struct {
	Name string `json:"name"`
}

// Message is sent by a form of HTML.
type Message struct {
	Thing  backend.ID `json:"thing"`
	Text   string     `json:"text" validate:"required,max=50"`
	Stars  int        `json:"stars,omitempty" validate:"min=0,max=5"`
	Urgent bool       `json:"urgent"`
	Tags   []string   `json:"tags,omitempty" validate:"max=3,dive,max=10"`
}

// Album has files.
type Album struct {
	Cover  backend.Upload   `json:"cover" accept:"image/png,image/jpeg" maxsize:"1KiB" doc:"What is shown first."`
	Papers []backend.Upload `json:"papers" accept:"text/*" validate:"max=2"`
	Title  string           `json:"title" validate:"required"`
}

// Stored says what an Album had.
type Stored struct {
	Title string   `json:"title"`
	Files []string `json:"files"`
}

// Numbers is a part of a list with numbers.
type Numbers struct {
	Page    int `json:"page,omitempty" default:"1" validate:"min=1,max=100"`
	PerPage int `json:"perPage,omitempty" default:"2" validate:"min=1,max=10"`
}

// Number is a row of a list.
type Number struct {
	N int64 `json:"n" db:"n"`
}

func (a *api) media() []backend.Definition {
	return []backend.Definition{
		backend.Mutation("putSetting", backend.SignedIn, a.putSetting, backend.Route("PUT /settings/{name}"), backend.Status(200, 201, 204),
			backend.ResponseHeader("X-Revision", "How often it was written."), backend.ResponseHeader("Set-Cookie", "The last setting.")),
		backend.Query("report", backend.Public, a.report, backend.Route("GET /reports/{name}"), backend.Produces("text/csv", "application/pdf")),
		backend.Query("blob", backend.SignedIn, a.blob, backend.Route("GET /blobs/{name}")),
		backend.Query("latest", backend.Public, a.latest, backend.Route("GET /latest")),
		backend.Mutation("writeMessage", backend.SignedIn, a.writeMessage, backend.Route("POST /things/{thing}/messages"), backend.Form()),
		backend.Mutation("leaveMessage", backend.Public, a.leaveMessage, backend.Route("POST /messages"), backend.Form()),
		backend.Mutation("storeAlbum", backend.SignedIn, a.storeAlbum, backend.Route("POST /albums"), backend.Form()),
		backend.Query("numbers", backend.Public, a.numbers, backend.Route("GET /numbers")),
		backend.Relation("square", a.squares, backend.Always(), backend.Doc("n times n")),
	}
}

// putSetting creates a setting if its name is new, and removes it if it has no value.
func (a *api) putSetting(ctx context.Context, in Setting) (Setting, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case in.Value == "":
		backend.SetStatus(ctx, http.StatusNoContent)
	case a.settings[in.Name] == 0:
		backend.SetStatus(ctx, http.StatusCreated)
	}
	a.settings[in.Name]++
	backend.SetHeader(ctx, "X-Revision", fmt.Sprint(a.settings[in.Name]))
	backend.SetCookie(ctx, &http.Cookie{Name: "setting", Value: in.Name})
	return in, nil
}

func (a *api) report(_ context.Context, in Named) (backend.File, error) {
	return backend.File{Name: in.Name, Body: strings.NewReader("a,b\n1,2\n"), ETag: "1", Modified: time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)}, nil
}

func (a *api) blob(_ context.Context, in Named) (backend.File, error) {
	return backend.File{Name: in.Name, Write: func(_ context.Context, w io.Writer) error {
		_, err := w.Write([]byte{0, 0xff, 1})
		return err
	}}, nil
}

func (a *api) latest(context.Context, backend.None) (backend.Redirect, error) {
	return backend.Redirect{To: "/api/reports/latest.csv"}, nil
}

func (a *api) writeMessage(_ context.Context, in Message) (Message, error) { return in, nil }

func (a *api) leaveMessage(_ context.Context, in Message) (backend.Redirect, error) {
	return backend.Redirect{To: "/api/things/" + in.Thing.String()}, nil
}

func (a *api) storeAlbum(_ context.Context, in Album) (Stored, error) {
	stored := Stored{Title: in.Title}
	for _, file := range append([]backend.Upload{in.Cover}, in.Papers...) {
		content, err := io.ReadAll(file.Reader())
		if err != nil {
			return Stored{}, err
		}
		stored.Files = append(stored.Files, fmt.Sprintf("%s %s %q", file.Name, file.Type, content))
	}
	return stored, nil
}

func (a *api) numbers(ctx context.Context, in Numbers) (backend.Page[Number], error) {
	return backend.Paginate[Number](ctx, a.db, in.Page, in.PerPage, "SELECT n FROM (SELECT 1 AS n UNION SELECT 2 UNION SELECT 3) AS all_numbers ORDER BY n")
}

func (a *api) squares(_ context.Context, numbers []Number) ([]int64, error) {
	squares := make([]int64, len(numbers))
	for i, number := range numbers {
		squares[i] = number.N * number.N
	}
	return squares, nil
}
