package contestants

// chi: net/http handlers with encoding/json and validator.

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net/http"
	"strconv"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/go-playground/validator/v10"
)

type chiHandlers struct {
	store
	validate *validator.Validate
}

func serveChi(env Env) error {
	s, err := idiomatic.store(env)
	if err != nil {
		return err
	}
	h := &chiHandlers{s, validator.New(validator.WithRequiredStructEnabled())}
	r := chi.NewRouter()
	if env.equal() {
		r.Use(middleware.RequestID, middleware.RequestLogger(&middleware.DefaultLogFormatter{Logger: log.New(env.Log, "", log.LstdFlags), NoColor: true}),
			middleware.Recoverer, withSecurityHeaders, middleware.Timeout(10*time.Second))
	}
	r.Get("/plain", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, Text)
	})
	r.Get("/json", func(w http.ResponseWriter, _ *http.Request) { chiJSON(w, http.StatusOK, Message{Text}) })
	r.Post("/orders", h.createOrder)
	r.Get("/items/{id}", h.item)
	r.Get("/owners/{owner}/items", h.items)
	r.Get("/lookups/{n}", h.worlds(func(ctx context.Context, n int) ([]World, error) { return oneByOne(ctx, s, n) }))
	r.Get("/batch/{n}", h.worlds(func(ctx context.Context, n int) ([]World, error) { return s.Worlds(ctx, LookupIDs(n)) }))
	r.Post("/entries", h.insert)
	r.Post("/updates/{n}", h.worlds(func(ctx context.Context, n int) ([]World, error) { return s.Update(ctx, LookupIDs(n)) }))
	r.Get("/fortunes", h.fortunes)
	r.Post("/upload", h.upload)
	return env.serve(r)
}

func (h *chiHandlers) createOrder(w http.ResponseWriter, r *http.Request) {
	var in NewOrder
	if h.decode(w, r, &in) {
		chiJSON(w, http.StatusCreated, Accept(in))
	}
}

// decode decodes and validates the body, or writes an error.
func (h *chiHandlers) decode(w http.ResponseWriter, r *http.Request, in any) bool {
	err := json.NewDecoder(r.Body).Decode(in)
	if err == nil {
		err = h.validate.Struct(in)
	}
	if err != nil {
		chiJSON(w, http.StatusUnprocessableEntity, map[string]string{"error": err.Error()})
	}
	return err == nil
}

func (h *chiHandlers) item(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.ParseInt(chi.URLParam(r, "id"), 10, 64)
	if err != nil {
		chiJSON(w, http.StatusBadRequest, map[string]string{"error": "id is no number"})
		return
	}
	item, err := h.Item(r.Context(), id)
	if !chiFail(w, err) {
		chiJSON(w, http.StatusOK, item)
	}
}

func (h *chiHandlers) items(w http.ResponseWriter, r *http.Request) {
	owner, err := strconv.ParseInt(chi.URLParam(r, "owner"), 10, 64)
	if err != nil {
		chiJSON(w, http.StatusBadRequest, map[string]string{"error": "owner is no number"})
		return
	}
	items, err := h.Items(r.Context(), owner)
	if !chiFail(w, err) {
		chiJSON(w, http.StatusOK, items)
	}
}

func (h *chiHandlers) worlds(find func(ctx context.Context, n int) ([]World, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		n, err := strconv.Atoi(chi.URLParam(r, "n"))
		if err != nil || n < 1 || n > 50 {
			chiJSON(w, http.StatusBadRequest, map[string]string{"error": "n is no number from 1 to 50"})
			return
		}
		worlds, err := find(r.Context(), n)
		if !chiFail(w, err) {
			chiJSON(w, http.StatusOK, worlds)
		}
	}
}

func (h *chiHandlers) insert(w http.ResponseWriter, r *http.Request) {
	var in NewEntry
	if !h.decode(w, r, &in) {
		return
	}
	id, err := h.Insert(r.Context(), in)
	if !chiFail(w, err) {
		chiJSON(w, http.StatusCreated, Inserted{id})
	}
}

func (h *chiHandlers) fortunes(w http.ResponseWriter, r *http.Request) {
	fortunes, err := h.Fortunes(r.Context())
	if chiFail(w, err) {
		return
	}
	var text bytes.Buffer
	if chiFail(w, Page(&text, fortunes)) {
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = text.WriteTo(w)
}

func (h *chiHandlers) upload(w http.ResponseWriter, r *http.Request) {
	file, _, err := r.FormFile("file")
	if chiFail(w, err) {
		return
	}
	defer func() { _ = file.Close() }()
	n, err := io.Copy(io.Discard, file)
	if !chiFail(w, err) {
		chiJSON(w, http.StatusCreated, Received{n})
	}
}

func chiFail(w http.ResponseWriter, err error) bool {
	switch {
	case err == nil:
		return false
	case errors.Is(err, ErrNotFound):
		chiJSON(w, http.StatusNotFound, map[string]string{"error": err.Error()})
	default:
		chiJSON(w, http.StatusInternalServerError, map[string]string{"error": "internal error"})
	}
	return true
}

func chiJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}
