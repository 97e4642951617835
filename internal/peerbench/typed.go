package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/gin-gonic/gin"
	"github.com/go-chi/chi/v5"
	"github.com/go-playground/validator/v10"
	"github.com/gofiber/fiber/v2"
	"github.com/labstack/echo/v4"
	"github.com/valyala/fasthttp"

	"github.com/seed-215b9b7c/backend"
)

// The work: a JSON body of three fields is decoded, validated, and answered with
// what would have been stored. Peers are used as their documentation shows; all
// that they do not do by themselves, such as refusing unknown fields, is left
// out, to their advantage.
type (
	newNote struct {
		Title string   `json:"title" validate:"required,max=200" binding:"required,max=200" minLength:"1" maxLength:"200"`
		Text  string   `json:"text" validate:"max=10000" binding:"max=10000" maxLength:"10000"`
		Tags  []string `json:"tags,omitempty" validate:"max=10,dive,max=30" binding:"max=10,dive,max=30" maxItems:"10"`
	}
	note struct {
		ID    int64    `json:"id,string"`
		Title string   `json:"title"`
		Text  string   `json:"text"`
		Tags  []string `json:"tags"`
	}
)

func store(in newNote) note { return note{7, in.Title, in.Text, in.Tags} }

// request is what contestants are asked.
type request struct {
	name, body string
	status     int
	answer     string // empty: each has errors of its own
}

var requests = []request{
	{"POST, valid", `{"title":"A title","text":"Some text that is not short.","tags":["a","b"]}`, 201,
		`{"id":"7","title":"A title","text":"Some text that is not short.","tags":["a","b"]}`},
	{"POST, invalid: an empty title", `{"title":"","text":"x","tags":["a"]}`, 422, ""},
}

func (r request) make() (*http.Request, *bytes.Reader) {
	body := bytes.NewReader([]byte(r.body))
	request := httptest.NewRequest("POST", "/notes", nil)
	request.Body, request.ContentLength = io.NopCloser(body), int64(len(r.body))
	request.Header.Set("Content-Type", "application/json")
	return request, body
}

// contestant answers POST /notes.
type contestant struct {
	name string
	make func() http.Handler
}

// contestants are this package and its peers.
var contestants = []contestant{
	{"backend", func() http.Handler {
		logic := backend.NewLogic(nil, nil, backend.LogicConfig{})
		logic.Add(backend.Mutation("createNote", backend.Public, func(_ context.Context, in newNote) (note, error) { return store(in), nil }, backend.Route("POST /notes")))
		r := backend.NewRouter()
		r.Mount("/", logic.REST())
		return r
	}},
	{"gin", func() http.Handler {
		gin.SetMode(gin.ReleaseMode)
		r := gin.New()
		r.POST("/notes", func(c *gin.Context) {
			var in newNote
			if err := c.ShouldBindJSON(&in); err != nil {
				c.JSON(http.StatusUnprocessableEntity, gin.H{"error": err.Error()})
				return
			}
			c.JSON(http.StatusCreated, store(in))
		})
		return r
	}},
	{"echo", func() http.Handler {
		e := echo.New()
		e.Validator = echoValidator{validator.New()}
		e.POST("/notes", func(c echo.Context) error {
			var in newNote
			if err := c.Bind(&in); err != nil {
				return err
			}
			if err := c.Validate(&in); err != nil {
				return c.JSON(http.StatusUnprocessableEntity, map[string]string{"error": err.Error()})
			}
			return c.JSON(http.StatusCreated, store(in))
		})
		return e
	}},
	{"chi", func() http.Handler {
		v := validator.New()
		r := chi.NewRouter()
		r.Post("/notes", func(w http.ResponseWriter, r *http.Request) {
			var in newNote
			err := json.NewDecoder(r.Body).Decode(&in)
			if err == nil {
				err = v.Struct(in)
			}
			w.Header().Set("Content-Type", "application/json")
			if err != nil {
				w.WriteHeader(http.StatusUnprocessableEntity)
				_ = json.NewEncoder(w).Encode(map[string]string{"error": err.Error()})
				return
			}
			w.WriteHeader(http.StatusCreated)
			_ = json.NewEncoder(w).Encode(store(in))
		})
		return r
	}},
	{"huma", func() http.Handler {
		mux := http.NewServeMux()
		config := huma.DefaultConfig("notes", "1")
		config.CreateHooks = nil // which add a link to a schema to every answer
		api := humago.New(mux, config)
		type in struct{ Body newNote }
		type out struct{ Body note }
		huma.Register(api, huma.Operation{Method: "POST", Path: "/notes", DefaultStatus: 201}, func(_ context.Context, i *in) (*out, error) {
			return &out{store(i.Body)}, nil
		})
		return mux
	}},
	{"fiber", func() http.Handler {
		v := validator.New()
		app := fiber.New()
		app.Post("/notes", func(c *fiber.Ctx) error {
			var in newNote
			err := c.BodyParser(&in)
			if err == nil {
				err = v.Struct(in)
			}
			if err != nil {
				return c.Status(http.StatusUnprocessableEntity).JSON(fiber.Map{"error": err.Error()})
			}
			return c.Status(http.StatusCreated).JSON(store(in))
		})
		return &onFasthttp{handler: app.Handler()}
	}},
}

type echoValidator struct{ v *validator.Validate }

func (e echoValidator) Validate(i any) error { return e.v.Struct(i) }

// onFasthttp calls a handler of fasthttp, which has parsed the request already,
// as net/http has for the others.
type onFasthttp struct {
	handler fasthttp.RequestHandler
	ctx     fasthttp.RequestCtx
	sent    []byte
}

func (h *onFasthttp) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if h.sent == nil {
		h.sent, _ = io.ReadAll(r.Body)
		h.ctx.Request.Header.SetMethod(r.Method)
		h.ctx.Request.SetRequestURI(r.URL.Path)
		h.ctx.Request.Header.SetContentType(r.Header.Get("Content-Type"))
		h.ctx.Request.SetBody(h.sent)
	}
	h.ctx.Response.Reset()
	h.handler(&h.ctx)
	w.WriteHeader(h.ctx.Response.StatusCode())
	_, _ = w.Write(h.ctx.Response.Body())
}
