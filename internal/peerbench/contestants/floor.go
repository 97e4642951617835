package contestants

// The floor: net/http, pgx's pool and SQLite without database/sql, written by hand. It
// has no features: its time is what the others are compared with. Its responses are
// put together by hand, its bodies decoded by go-json-experiment.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/mail"
	"runtime/debug"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

type floor struct{ store }

func serveFloor(env Env) error {
	s, err := openStore(env, openPgx, openDirect)
	if err != nil {
		return err
	}
	f := &floor{s}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /plain", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, Text)
	})
	mux.HandleFunc("GET /json", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, append(appendText([]byte(`{"message":`), Text), '}'))
	})
	mux.HandleFunc("POST /orders", f.createOrder)
	mux.HandleFunc("GET /items/{id}", f.item)
	mux.HandleFunc("GET /owners/{owner}/items", f.items)
	mux.HandleFunc("GET /lookups/{n}", f.worlds(func(ctx context.Context, n int) ([]World, error) { return oneByOne(ctx, f, n) }))
	mux.HandleFunc("GET /batch/{n}", f.worlds(func(ctx context.Context, n int) ([]World, error) { return f.Worlds(ctx, LookupIDs(n)) }))
	mux.HandleFunc("POST /entries", f.insert)
	mux.HandleFunc("POST /updates/{n}", f.worlds(func(ctx context.Context, n int) ([]World, error) { return f.Update(ctx, LookupIDs(n)) }))
	mux.HandleFunc("GET /fortunes", f.fortunes)
	mux.HandleFunc("POST /upload", f.upload)
	if env.equal() {
		return env.serve(equalByHand(mux, env.Log))
	}
	return env.serve(mux)
}

func (f *floor) createOrder(w http.ResponseWriter, r *http.Request) {
	var in NewOrder
	if !readBody(w, r, &in) {
		return
	}
	if field := wrongField(in); field != "" {
		refuse(w, http.StatusUnprocessableEntity, field+" is wrong")
		return
	}
	writeJSON(w, http.StatusCreated, appendOrder(make([]byte, 0, 512), Accept(in)))
}

// wrongField returns the first field that does not hold to the rules of NewOrder.
func wrongField(in NewOrder) string {
	address, err := mail.ParseAddress(in.Email)
	switch {
	case in.Title == "" || utf8.RuneCountInString(in.Title) > 200:
		return "title"
	case utf8.RuneCountInString(in.Text) > 10000:
		return "text"
	case err != nil || address.Address != in.Email:
		return "email"
	case in.Quantity < 1 || in.Quantity > 1000:
		return "quantity"
	case in.Price < 0:
		return "price"
	case in.Kind != "book" && in.Kind != "film" && in.Kind != "game":
		return "kind"
	case len(in.Tags) > 10 || slices.ContainsFunc(in.Tags, func(tag string) bool { return utf8.RuneCountInString(tag) > 30 }):
		return "tags"
	}
	return ""
}

func (f *floor) item(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		refuse(w, http.StatusBadRequest, "id is no number")
		return
	}
	item, err := f.Item(r.Context(), id)
	if fail(w, err) {
		return
	}
	writeJSON(w, http.StatusOK, appendItem(make([]byte, 0, 512), item))
}

func (f *floor) items(w http.ResponseWriter, r *http.Request) {
	owner, err := strconv.ParseInt(r.PathValue("owner"), 10, 64)
	if err != nil {
		refuse(w, http.StatusBadRequest, "owner is no number")
		return
	}
	items, err := f.Items(r.Context(), owner)
	if fail(w, err) {
		return
	}
	writeJSON(w, http.StatusOK, appendList(make([]byte, 0, 16<<10), items, appendItem))
}

func (f *floor) worlds(find func(ctx context.Context, n int) ([]World, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		n, err := strconv.Atoi(r.PathValue("n"))
		if err != nil || n < 1 || n > 50 {
			refuse(w, http.StatusBadRequest, "n is no number from 1 to 50")
			return
		}
		worlds, err := find(r.Context(), n)
		if fail(w, err) {
			return
		}
		writeJSON(w, http.StatusOK, appendList(make([]byte, 0, 1024), worlds, appendWorld))
	}
}

func (f *floor) insert(w http.ResponseWriter, r *http.Request) {
	var in NewEntry
	if !readBody(w, r, &in) {
		return
	}
	if in.Owner < 1 || in.Title == "" || utf8.RuneCountInString(in.Title) > 200 || in.Price < 0 {
		refuse(w, http.StatusUnprocessableEntity, "a field is wrong")
		return
	}
	id, err := f.Insert(r.Context(), in)
	if fail(w, err) {
		return
	}
	writeJSON(w, http.StatusCreated, append(strconv.AppendInt(append(make([]byte, 0, 32), `{"id":`...), id, 10), '}'))
}

func (f *floor) fortunes(w http.ResponseWriter, r *http.Request) {
	fortunes, err := f.Fortunes(r.Context())
	if fail(w, err) {
		return
	}
	var text bytes.Buffer
	if fail(w, Page(&text, fortunes)) {
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = text.WriteTo(w)
}

// upload reads the file as it comes.
func (f *floor) upload(w http.ResponseWriter, r *http.Request) {
	parts, err := r.MultipartReader()
	if fail(w, err) {
		return
	}
	part, err := parts.NextPart()
	if fail(w, err) {
		return
	}
	n, err := io.Copy(io.Discard, part)
	if fail(w, err) {
		return
	}
	writeJSON(w, http.StatusCreated, append(strconv.AppendInt([]byte(`{"size":`), n, 10), '}'))
}

// readBody decodes the body, or writes an error.
func readBody(w http.ResponseWriter, r *http.Request, in any) bool {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	if err == nil {
		err = json.Unmarshal(body, in)
	}
	if err != nil {
		refuse(w, http.StatusBadRequest, "the body is not the JSON that it should be")
	}
	return err == nil
}

// fail writes an error if there is one.
func fail(w http.ResponseWriter, err error) bool {
	switch {
	case err == nil:
		return false
	case errors.Is(err, ErrNotFound):
		refuse(w, http.StatusNotFound, err.Error())
	default:
		refuse(w, http.StatusInternalServerError, "internal error")
	}
	return true
}

// refuse writes a problem (RFC 9457).
func refuse(w http.ResponseWriter, status int, detail string) {
	w.Header()["Content-Type"] = []string{"application/problem+json"}
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `{"title":%q,"status":%d,"detail":%q}`, http.StatusText(status), status, detail)
}

var jsonType = []string{"application/json"}

func writeJSON(w http.ResponseWriter, status int, body []byte) {
	w.Header()["Content-Type"] = jsonType
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

func appendText(b []byte, text string) []byte {
	b, _ = jsontext.AppendQuote(b, text) // fails for invalid UTF-8, which it replaces
	return b
}

func appendList[T any](b []byte, list []T, one func(b []byte, v T) []byte) []byte {
	b = append(b, '[')
	for i, v := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = one(b, v)
	}
	return append(b, ']')
}

func appendItem(b []byte, i Item) []byte {
	b = strconv.AppendInt(append(b, `{"id":`...), i.ID, 10)
	b = strconv.AppendInt(append(b, `,"owner":`...), i.Owner, 10)
	b = appendText(append(b, `,"title":`...), i.Title)
	b = appendText(append(b, `,"body":`...), i.Body)
	b = strconv.AppendFloat(append(b, `,"price":`...), i.Price, 'f', -1, 64)
	b = strconv.AppendBool(append(b, `,"active":`...), i.Active)
	b = i.Created.UTC().AppendFormat(append(b, `,"created":"`...), time.RFC3339Nano)
	return append(b, `"}`...)
}

func appendWorld(b []byte, w World) []byte {
	b = strconv.AppendInt(append(b, `{"id":`...), w.ID, 10)
	b = strconv.AppendInt(append(b, `,"number":`...), w.Number, 10)
	return append(b, '}')
}

func appendOrder(b []byte, o Order) []byte {
	b = strconv.AppendInt(append(b, `{"id":`...), o.ID, 10)
	b = appendText(append(b, `,"title":`...), o.Title)
	b = appendText(append(b, `,"text":`...), o.Text)
	b = appendText(append(b, `,"email":`...), o.Email)
	b = strconv.AppendInt(append(b, `,"quantity":`...), int64(o.Quantity), 10)
	b = strconv.AppendFloat(append(b, `,"price":`...), o.Price, 'f', -1, 64)
	b = appendText(append(b, `,"kind":`...), o.Kind)
	b = appendList(append(b, `,"tags":`...), o.Tags, appendText)
	b = strconv.AppendBool(append(b, `,"gift":`...), o.Gift)
	return append(b, '}')
}

// equalByHand adds what the row of equal features asks for.
func equalByHand(next http.Handler, out io.Writer) http.Handler {
	logger := slog.New(slog.NewJSONHandler(out, nil))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start, id := time.Now(), newRequestID()
		ctx, cancel := context.WithTimeout(r.Context(), 10*time.Second)
		defer cancel()
		h := w.Header()
		h.Set("X-Request-Id", id)
		setSecurityHeaders(h)
		rw := &statusWriter{w, http.StatusOK}
		defer func() {
			if p := recover(); p != nil {
				logger.Error("panic", "value", p, "stack", string(debug.Stack()))
				rw.WriteHeader(http.StatusInternalServerError)
			}
			logger.LogAttrs(ctx, slog.LevelInfo, "request", slog.String("method", r.Method), slog.String("path", r.URL.Path),
				slog.Int("status", rw.status), slog.Duration("duration", time.Since(start)), slog.String("id", id), slog.String("client", r.RemoteAddr))
		}()
		next.ServeHTTP(rw, r.WithContext(ctx))
	})
}

type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}
