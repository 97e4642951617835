package main

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"

	"github.com/seed-215b9b7c/backend"
)

// API serves the notes as JSON:
//
//	GET    /notes?search=…  the newest notes
//	POST   /notes           a new note
//	GET    /notes/{id}      one note
//	PATCH  /notes/{id}      changes the fields that are given
//	DELETE /notes/{id}      deletes it
func (a *App) API(r *backend.Router) {
	r.Handle("GET /notes", backend.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		notes, err := a.Notes(r.Context(), r.URL.Query().Get("search"))
		return writeJSON(w, http.StatusOK, notes, err)
	}))
	r.Handle("POST /notes", backend.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		var in NoteInput
		if err := readJSON(r, &in); err != nil {
			return err
		}
		note, err := a.CreateNote(r.Context(), in)
		if err == nil {
			w.Header().Set("Location", "/api/notes/"+note.ID)
		}
		return writeJSON(w, http.StatusCreated, note, err)
	}))
	r.Handle("GET /notes/{id}", backend.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		note, err := a.Note(r.Context(), r.PathValue("id"))
		return writeJSON(w, http.StatusOK, note, err)
	}))
	r.Handle("PATCH /notes/{id}", backend.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		var in NoteInput
		if err := readJSON(r, &in); err != nil {
			return err
		}
		note, err := a.UpdateNote(r.Context(), r.PathValue("id"), in)
		return writeJSON(w, http.StatusOK, note, err)
	}))
	r.Handle("DELETE /notes/{id}", backend.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		if err := a.DeleteNote(r.Context(), r.PathValue("id")); err != nil {
			return err
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	}))
}

// readJSON reads a request's body into v, and accepts nothing but one JSON
// value with the fields that v has. As always with encoding/json, the letter
// case of names does not matter, and the last of two that are alike counts.
func readJSON(r *http.Request, v any) error {
	if mediaType(r) != "application/json" {
		return backend.Errorf(backend.Unsupported, "Send the note as application/json.")
	}
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	err := decoder.Decode(v)
	if err == nil {
		if _, err = decoder.Token(); err == io.EOF {
			return nil
		}
		err = errors.Join(errors.New("there is something after the JSON value"), err)
	}
	if backend.CodeOf(err) != backend.Internal {
		return err // the body is too large, or came too slowly
	}
	return backend.Errorf(backend.Malformed, "The note must be a JSON object with title and text.").Wrap(err)
}

// mediaType returns the request's content type without parameters, "" if there
// is none.
func mediaType(r *http.Request) string {
	name, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil && !errors.Is(err, mime.ErrInvalidMediaParameter) {
		return ""
	}
	return name
}

// writeJSON answers with v, unless err says otherwise.
func writeJSON(w http.ResponseWriter, status int, v any, err error) error {
	if err != nil {
		return err
	}
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, err = w.Write(append(body, '\n'))
	return err
}
