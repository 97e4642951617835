package main

import (
	"bytes"
	"embed"
	"errors"
	"html/template"
	"mime"
	"net/http"
	"strings"

	"github.com/seed-215b9b7c/backend"
)

//go:embed page.html
var pageText string

//go:embed page.css
var styles embed.FS

// page is what page.html shows.
type page struct {
	Source []excerpt
	API    string // the address of the notes in the API
	Search string
	Notes  []Note
	Edit   *Note // the note being changed, nil on the list
	// What was sent and refused, so that nothing is lost, and why.
	Title, Text string
	Errors      map[string]string
}

// Pages serves the notes as HTML pages, without scripts: every button is a form. The forms
// call the same operations as the API.
type Pages struct {
	logic    *backend.Logic
	styles   *backend.StaticFiles
	template *template.Template
	source   []excerpt
}

func newPages(logic *backend.Logic) *Pages {
	files := backend.Static(styles, backend.StaticConfig{})
	parsed := template.Must(template.New("page").Funcs(template.FuncMap{"asset": files.Path}).Parse(pageText))
	return &Pages{logic, files, parsed, operationSource()}
}

// Add adds the pages to a router, with their style sheet.
func (p *Pages) Add(r *backend.Router) {
	r.Mount("/assets", p.styles)
	r.Handle("GET /{$}", backend.Handler(p.list))
	r.Handle("POST /notes", backend.Handler(p.create))
	r.Handle("GET /notes/{id}", backend.Handler(p.edit))
	r.Handle("POST /notes/{id}", backend.Handler(p.update))
	r.Handle("POST /notes/{id}/delete", backend.Handler(p.remove))
}

func (p *Pages) list(w http.ResponseWriter, r *http.Request) error {
	return p.showList(w, r, page{Search: r.URL.Query().Get("search")}, nil)
}

func (p *Pages) create(w http.ResponseWriter, r *http.Request) error {
	title, text, err := readForm(r)
	if err != nil {
		return err
	}
	_, err = backend.Call[Note](r.Context(), p.logic, "createNote", CreateNote{title, text})
	if err != nil {
		return p.showList(w, r, page{Title: title, Text: text}, err)
	}
	return home(w, r)
}

func (p *Pages) edit(w http.ResponseWriter, r *http.Request) error {
	note, err := backend.Call[Note](r.Context(), p.logic, "note", NoteID{r.PathValue("id")})
	if err != nil {
		return err
	}
	return p.show(w, r, page{Edit: &note, Title: note.Title, Text: note.Text}, nil)
}

func (p *Pages) update(w http.ResponseWriter, r *http.Request) error {
	title, text, err := readForm(r)
	if err != nil {
		return err
	}
	id := r.PathValue("id")
	_, err = backend.Call[Note](r.Context(), p.logic, "updateNote", UpdateNote{id, backend.Some(title), backend.Some(text)})
	if err != nil {
		return p.show(w, r, page{Edit: &Note{ID: id}, Title: title, Text: text}, err)
	}
	return home(w, r)
}

func (p *Pages) remove(w http.ResponseWriter, r *http.Request) error {
	_, err := backend.Call[backend.None](r.Context(), p.logic, "deleteNote", NoteID{r.PathValue("id")})
	if err != nil {
		return err
	}
	return home(w, r)
}

// home sends the browser back to the list, so that reloading sends nothing
// again.
func home(w http.ResponseWriter, r *http.Request) error {
	http.Redirect(w, r, "/#notes", http.StatusSeeOther)
	return nil
}

// readForm reads the form of the page. Browsers send line breaks as CRLF, which would
// count as two characters.
func readForm(r *http.Request) (title, text string, err error) {
	if mediaType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); mediaType != "application/x-www-form-urlencoded" {
		return "", "", backend.Errorf(backend.Unsupported, "Send the note as application/x-www-form-urlencoded.")
	}
	if err := r.ParseForm(); err != nil {
		if backend.CodeOf(err) != backend.Internal {
			return "", "", err // the body is too large, or came too slowly
		}
		return "", "", backend.Errorf(backend.Malformed, "The form could not be read.").Wrap(err)
	}
	return r.PostForm.Get("title"), strings.ReplaceAll(r.PostForm.Get("text"), "\r\n", "\n"), nil
}

// showList shows the notes, and the errors of the note that was sent.
func (p *Pages) showList(w http.ResponseWriter, r *http.Request, shown page, refused error) error {
	notes, err := backend.Call[backend.Page[Note]](r.Context(), p.logic, "notes", ListNotes{Search: shown.Search})
	if err != nil {
		return err
	}
	shown.Notes = notes.Items
	return p.show(w, r, shown, refused)
}

// show writes the page, with the errors of the input if it was refused. It returns any
// other error.
func (p *Pages) show(w http.ResponseWriter, r *http.Request, shown page, refused error) error {
	status := http.StatusOK
	if refused != nil {
		var invalid *backend.Error
		if !errors.As(refused, &invalid) || invalid.Fields == nil {
			return refused
		}
		status = invalid.Code.Status()
		shown.Errors = map[string]string{}
		for _, field := range invalid.Fields {
			shown.Errors[field.Pointer] = "The " + strings.TrimPrefix(field.Pointer, "/") + " " + field.Message + "."
		}
	}
	shown.Source, shown.API = p.source, address(r)+"/api/notes"
	var body bytes.Buffer
	if err := p.template.Execute(&body, shown); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, err := w.Write(body.Bytes())
	return err
}

// address returns the address of this server, as the browser has it.
func address(r *http.Request) string {
	if r.TLS != nil {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}
