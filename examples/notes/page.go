package main

import (
	"bytes"
	"embed"
	"errors"
	"html/template"
	"net/http"
	"strings"

	"github.com/seed-215b9b7c/backend"
)

//go:embed page.html
var pageFile embed.FS

var pageTemplate = template.Must(template.ParseFS(pageFile, "page.html"))

// page is what page.html shows.
type page struct {
	Nonce  string
	Search string
	Notes  []Note
	Edit   *Note // the note being changed, nil on the list
	// What was sent and refused, so that nothing is lost, and why.
	Title, Text string
	Errors      map[string]string
	MaxTitle    int
	MaxText     int
}

// Pages serves the notes to people. It needs no script: every button is a form.
func (a *App) Pages(r *backend.Router) {
	r.Handle("GET /{$}", backend.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		return a.list(w, r, page{Search: r.URL.Query().Get("search")}, nil)
	}))
	r.Handle("POST /notes", backend.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		in, err := readForm(r)
		if err != nil {
			return err
		}
		if _, err := a.CreateNote(r.Context(), in); err != nil {
			return a.list(w, r, page{Title: *in.Title, Text: *in.Text}, err)
		}
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return nil
	}))
	r.Handle("GET /notes/{id}", backend.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		note, err := a.Note(r.Context(), r.PathValue("id"))
		if err != nil {
			return err
		}
		return show(w, r, page{Edit: &note, Title: note.Title, Text: note.Text}, nil)
	}))
	r.Handle("POST /notes/{id}", backend.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		in, err := readForm(r)
		if err != nil {
			return err
		}
		if _, err := a.UpdateNote(r.Context(), r.PathValue("id"), in); err != nil {
			note := Note{ID: r.PathValue("id")}
			return show(w, r, page{Edit: &note, Title: *in.Title, Text: *in.Text}, err)
		}
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return nil
	}))
	r.Handle("POST /notes/{id}/delete", backend.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		if err := a.DeleteNote(r.Context(), r.PathValue("id")); err != nil {
			return err
		}
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return nil
	}))
}

// readForm reads what the page's form sends. Browsers write line breaks as CRLF
// there, which would count twice.
func readForm(r *http.Request) (NoteInput, error) {
	if mediaType(r) != "application/x-www-form-urlencoded" {
		return NoteInput{}, backend.Errorf(backend.Unsupported, "Send the note as application/x-www-form-urlencoded.")
	}
	if err := r.ParseForm(); err != nil {
		if backend.CodeOf(err) != backend.Internal {
			return NoteInput{}, err // the body is too large, or came too slowly
		}
		return NoteInput{}, backend.Errorf(backend.Malformed, "The form could not be read.").Wrap(err)
	}
	title, text := r.PostForm.Get("title"), strings.ReplaceAll(r.PostForm.Get("text"), "\r\n", "\n")
	return NoteInput{Title: &title, Text: &text}, nil
}

// list shows the notes, and what was wrong with the one that was sent.
func (a *App) list(w http.ResponseWriter, r *http.Request, p page, refused error) error {
	notes, err := a.Notes(r.Context(), p.Search)
	if err != nil {
		return err
	}
	p.Notes = notes
	return show(w, r, p, refused)
}

// show writes the page: with what is wrong with the input if that is why it was
// refused. Any other error is not the page's to show.
func show(w http.ResponseWriter, r *http.Request, p page, refused error) error {
	status := http.StatusOK
	if refused != nil {
		var invalid *backend.Error
		if !errors.As(refused, &invalid) || invalid.Fields == nil {
			return refused
		}
		status = invalid.Code.Status()
		p.Errors = map[string]string{}
		for _, field := range invalid.Fields {
			p.Errors[field.Pointer] = field.Message
		}
	}
	p.Nonce, p.MaxTitle, p.MaxText = backend.Nonce(r.Context()), maxTitle, maxText
	var body bytes.Buffer
	if err := pageTemplate.Execute(&body, p); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, err := w.Write(body.Bytes())
	return err
}
