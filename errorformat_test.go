package backend_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
)

// conduitError is the error format of RealWorld.
type conduitError struct {
	Errors map[string][]string `json:"errors" doc:"What is wrong with each field."`
}

func conduitErrors() backend.ErrorsConfig {
	return backend.ErrorsConfig{
		Body: backend.ErrorBodyOf(func(_ *http.Request, e *backend.Error) conduitError {
			body := conduitError{map[string][]string{}}
			for _, field := range e.Fields {
				name := strings.TrimPrefix(field.Pointer, "/")
				body.Errors[name] = append(body.Errors[name], field.Message)
			}
			if len(e.Fields) == 0 {
				body.Errors["body"] = []string{e.Message}
			}
			return body
		}),
		Status: func(e *backend.Error) int {
			if e.Code == backend.Unimplemented {
				return 405
			}
			return 0
		},
	}
}

// One format for the errors of operations, of the router, of handlers, of the middleware of
// Stack, and of panics.
func TestErrorsFormat(t *testing.T) {
	t.Parallel()
	logic := backend.NewLogic(nil, nil, backend.LogicConfig{})
	logic.Add(backend.Mutation("article", backend.Public, func(_ context.Context, in struct {
		Title string `json:"title" validate:"required"`
	}) (backend.None, error) {
		return backend.None{}, nil
	}, backend.Route("POST /articles")))
	rest := logic.REST()
	r := backend.NewRouter()
	r.Use(backend.Stack(backend.StackConfig{Errors: conduitErrors(), Hosts: []string{"example.com"}, Logger: slog.New(slog.DiscardHandler)}))
	r.Mount("/api", rest)
	r.Handle("GET /openapi.json", rest.OpenAPI(backend.OpenAPIConfig{}))
	r.Handle("GET /fails", backend.Handler(func(http.ResponseWriter, *http.Request) error { return errors.New("secret") }))
	r.HandleFunc("GET /panics", func(http.ResponseWriter, *http.Request) { panic("secret") })

	for name, test := range map[string]struct {
		method, url, body string
		status            int
		want              string
	}{
		"field":             {"POST", "/api/articles", `{}`, 422, `{"errors":{"title":["is missing"]}}`},
		"no route":          {"GET", "/x", "", 404, `{"errors":{"body":["There is nothing here."]}}`},
		"no route of REST":  {"GET", "/api/x", "", 404, `{"errors":{"body":["There is nothing here."]}}`},
		"another host":      {"GET", "http://other.org/x", "", 421, `{"errors":{"body":["This server does not serve that host."]}}`},
		"a status":          {"TRACE", "/x", "", 405, `{"errors":{"body":["This server does not do TRACE."]}}`},
		"an internal error": {"GET", "/fails", "", 500, `{"errors":{"body":["Something went wrong on our side."]}}`},
		"a panic":           {"GET", "/panics", "", 500, `{"errors":{"body":["Something went wrong on our side."]}}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			req := httptest.NewRequest(test.method, test.url, strings.NewReader(test.body))
			req.Header.Set("Content-Type", "application/json")
			w := httptest.NewRecorder()
			r.ServeHTTP(w, req)
			require.Equal(t, test.status, w.Code)
			require.Equal(t, "application/json", w.Header().Get("Content-Type"))
			require.JSONEq(t, test.want, w.Body.String())
			require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
			require.Contains(t, w.Header().Get("Content-Security-Policy"), "default-src 'none'")
		})
	}

	t.Run("the description", func(t *testing.T) {
		t.Parallel()
		w := httptest.NewRecorder()
		r.ServeHTTP(w, httptest.NewRequest("GET", "/openapi.json", nil))
		var document struct {
			Components struct {
				Schemas   map[string]any
				Responses map[string]struct {
					Content map[string]struct{ Schema map[string]any }
				}
			}
		}
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &document))
		require.NotContains(t, document.Components.Schemas, "Problem")
		content := document.Components.Responses["Error"].Content
		require.Len(t, content, 1)
		name := strings.TrimPrefix(content["application/json"].Schema["$ref"].(string), "#/components/schemas/")
		require.Contains(t, fmt.Sprint(document.Components.Schemas[name]), "What is wrong with each field.")
		require.NotContains(t, w.Body.String(), "9457")
	})
}

// The description outside of Errors, and of another group, has the format of its own place.
func TestErrorsOfGroups(t *testing.T) {
	t.Parallel()
	logic := backend.NewLogic(nil, nil, backend.LogicConfig{})
	logic.Add(backend.Query("ping", backend.Public, func(context.Context, backend.None) (string, error) { return "", nil }, backend.Route("GET /ping")))
	rest := logic.REST()
	openAPI := rest.OpenAPI(backend.OpenAPIConfig{})
	r := backend.NewRouter()
	r.Mount("/api", rest)
	r.Handle("GET /plain", openAPI)
	group := r.Group("", backend.Errors(conduitErrors()))
	group.Handle("GET /conduit", openAPI)
	inner := group.Group("", backend.Errors(backend.ErrorsConfig{
		ContentType: "application/vnd.a+json", Body: backend.ErrorBodyOf(func(*http.Request, *backend.Error) string { return "no" }),
	}))
	inner.Handle("GET /inner", openAPI)
	inner.Handle("GET /fails", backend.Handler(func(http.ResponseWriter, *http.Request) error { return backend.Errorf(backend.Gone, "x") }))
	get := func(path, accept string) *httptest.ResponseRecorder {
		w, req := httptest.NewRecorder(), httptest.NewRequest("GET", path, nil)
		req.Header.Set("Accept", accept)
		r.ServeHTTP(w, req)
		return w
	}
	for range 2 {
		require.Contains(t, get("/plain", "").Body.String(), "application/problem+json")
		require.NotContains(t, get("/conduit", "").Body.String(), "application/problem+json")
		require.Contains(t, get("/inner", "").Body.String(), "application/vnd.a+json")
	}
	w := get("/fails", "text/html;q=0.5, application/vnd.a+json")
	require.Equal(t, 410, w.Code)
	require.Equal(t, "application/vnd.a+json", w.Header().Get("Content-Type"))
	require.Equal(t, `"no"`, w.Body.String())
}

// A page for people can be replaced. Its policy is that of other pages.
func TestErrorsPage(t *testing.T) {
	t.Parallel()
	page := func(w io.Writer, r *http.Request, e *backend.Error) error {
		_, err := fmt.Fprintf(w, "<!doctype html><style nonce=%q></style><h1>%s</h1>", backend.Nonce(r.Context()), e.Message)
		return err
	}
	h := backend.Stack(backend.StackConfig{Errors: backend.ErrorsConfig{Page: page}, Logger: slog.New(slog.DiscardHandler)})(backend.Handler(
		func(http.ResponseWriter, *http.Request) error {
			return backend.Errorf(backend.NotFound, "No such page.")
		}))
	for accept, want := range map[string]string{"text/html": "text/html; charset=utf-8", "": "application/problem+json"} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Accept", accept)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		require.Equal(t, 404, w.Code)
		require.Equal(t, want, w.Header().Get("Content-Type"))
		require.Contains(t, w.Body.String(), "No such page.")
		if accept != "" {
			_, after, _ := strings.Cut(w.Body.String(), `nonce="`)
			nonce, _, _ := strings.Cut(after, `"`)
			require.NotEmpty(t, nonce)
			require.Contains(t, w.Header().Get("Content-Security-Policy"), "style-src 'self' 'nonce-"+nonce+"'")
		}
	}
}

// A function of the program that fails does not take the error's own response, and both are
// logged.
func TestErrorsThatFail(t *testing.T) {
	t.Parallel()
	for name, config := range map[string]backend.ErrorsConfig{
		"body that panics": {Body: backend.ErrorBodyOf(func(*http.Request, *backend.Error) string { panic("oops") })},
		"body of no JSON":  {Body: backend.ErrorBodyOf(func(*http.Request, *backend.Error) json.RawMessage { return json.RawMessage("oops") })},
		"page that panics": {Page: func(io.Writer, *http.Request, *backend.Error) error { panic("oops") }},
		"page that fails": {Page: func(w io.Writer, _ *http.Request, _ *backend.Error) error {
			io.WriteString(w, "half")
			return errors.New("oops")
		}},
		"status that panics": {Status: func(*backend.Error) int { panic("oops") }},
		"status of success":  {Status: func(*backend.Error) int { return 200 }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, accept := range []string{"", "text/html"} {
				var log strings.Builder
				h := backend.Stack(backend.StackConfig{Errors: config, Logger: slog.New(slog.NewTextHandler(&log, nil))})(backend.Handler(
					func(http.ResponseWriter, *http.Request) error {
						return backend.Errorf(backend.Conflict, "Taken.").Wrap(errors.New("the cause"))
					}))
				r := httptest.NewRequest("GET", "/", nil)
				r.Header.Set("Accept", accept)
				w := httptest.NewRecorder()
				h.ServeHTTP(w, r)
				require.Equal(t, 409, w.Code)
				require.Contains(t, w.Body.String(), "Taken.")
				require.NotContains(t, w.Body.String(), "oops")
				require.NotContains(t, w.Body.String(), "half")
				require.Contains(t, log.String(), "the cause")
				asked := strings.HasPrefix(name, "status that") || strings.HasPrefix(name, "body") && accept == "" || strings.HasPrefix(name, "page") && accept != ""
				require.Equal(t, asked, strings.Contains(log.String(), "oops") || strings.Contains(log.String(), "ErrorsConfig"), log.String())
			}
		})
	}
}

func TestErrorsPanicsForMistakes(t *testing.T) {
	t.Parallel()
	body := backend.ErrorBodyOf(func(*http.Request, *backend.Error) string { return "" })
	for want, f := range map[string]func(){
		`backend: Errors: ContentType "a/b" without Body; set ErrorsConfig.Body, too`: func() { backend.Errors(backend.ErrorsConfig{ContentType: "a/b"}) },
		`backend: Stack: ContentType "json" is not a media type, such as application/json`: func() {
			backend.Stack(backend.StackConfig{Errors: backend.ErrorsConfig{ContentType: "json", Body: body}})
		},
		`backend: ErrorBodyOf: the function is nil`: func() { backend.ErrorBodyOf[string](nil) },
	} {
		require.PanicsWithValue(t, want, f)
	}
	require.Panics(t, func() { backend.ErrorBodyOf(func(*http.Request, *backend.Error) chan int { return nil }) })
}
