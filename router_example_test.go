package backend_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/seed-215b9b7c/backend"
)

// show prints how a handler answers a request.
func show(h http.Handler, method, path string) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, path, nil))
	fmt.Println(w.Code, w.Body.String())
}

func ExampleRouter() {
	r := backend.NewRouter()
	r.HandleFunc("GET /hello/{name}", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "Hello, %s!", r.PathValue("name"))
	})
	r.HandleFunc("GET /hello/world", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "Hello to all of you!")
	})

	show(r, "GET", "/hello/Ada")
	show(r, "GET", "/hello/world")
	// Output:
	// 200 Hello, Ada!
	// 200 Hello to all of you!
}

func ExampleRouter_Group() {
	withLanguage := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, "[%s] ", r.PathValue("lang"))
			next.ServeHTTP(w, r)
		})
	}
	r := backend.NewRouter()
	docs := r.Group("/docs/{lang}", withLanguage)
	docs.HandleFunc("GET /{page...}", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.PathValue("page"))
	})

	show(r, "GET", "/docs/en/install/linux")
	for _, route := range r.Routes() {
		fmt.Println(route.Pattern)
	}
	// Output:
	// 200 [en] install/linux
	// GET /docs/{lang}/{page...}
}

func ExampleRouter_Mount() {
	legacy := http.NewServeMux()
	legacy.HandleFunc("GET /report", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "report at ", r.URL.Path)
	})
	r := backend.NewRouter()
	r.Mount("/legacy", legacy)

	show(r, "GET", "/legacy/report")
	// Output:
	// 200 report at /report
}

func ExampleErrors() {
	type apiError struct {
		Error  string            `json:"error"`
		Fields map[string]string `json:"fields,omitempty"`
	}
	body := func(_ *http.Request, e *backend.Error) apiError {
		answer := apiError{Error: e.Message, Fields: map[string]string{}}
		for _, field := range e.Fields {
			answer.Fields[strings.TrimPrefix(field.Pointer, "/")] = field.Message
		}
		return answer
	}

	r := backend.NewRouter()
	r.Use(backend.Errors(backend.ErrorsConfig{Body: backend.ErrorBodyOf(body)}))
	r.Handle("POST /notes", backend.Handler(func(w http.ResponseWriter, r *http.Request) error {
		return backend.InvalidField("/title", "required", "is missing")
	}))

	show(r, "POST", "/notes")
	show(r, "POST", "/other")
	// Output:
	// 422 {"error":"The input is not valid.","fields":{"title":"is missing"}}
	// 404 {"error":"There is nothing here."}
}

func ExampleHandler() {
	r := backend.NewRouter()
	r.Handle("GET /notes/{id}", backend.Handler(func(w http.ResponseWriter, r *http.Request) error {
		return backend.Errorf(backend.NotFound, "There is no note %s.", r.PathValue("id"))
	}))

	show(r, "GET", "/notes/7")
	// Output:
	// 404 {"type":"about:blank","title":"Not Found","status":404,"detail":"There is no note 7.","code":"not_found"}
}
