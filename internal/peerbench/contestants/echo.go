package contestants

// echo, by its documentation: Bind, a Validator, and handlers that return errors.

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/go-playground/validator/v10"
	"github.com/labstack/echo/v5"
	"github.com/labstack/echo/v5/middleware"
)

type echoValidator struct{ v *validator.Validate }

func (e echoValidator) Validate(i any) error { return e.v.Struct(i) }

type echoHandlers struct{ store }

func serveEcho(env Env) error {
	s, err := idiomatic.store(env)
	if err != nil {
		return err
	}
	h := &echoHandlers{s}
	e := echo.New()
	e.Logger = slog.New(slog.NewJSONHandler(env.Log, nil))
	e.Validator = echoValidator{validator.New(validator.WithRequiredStructEnabled())}
	if env.equal() {
		e.Use(middleware.RequestID(), middleware.RequestLogger(), middleware.Recover(), middleware.Secure(), middleware.ContextTimeout(10*time.Second))
	}
	e.GET("/plain", func(c *echo.Context) error { return c.String(http.StatusOK, Text) })
	e.GET("/json", func(c *echo.Context) error { return c.JSON(http.StatusOK, Message{Text}) })
	e.POST("/orders", h.createOrder)
	e.GET("/items/:id", h.item)
	e.GET("/owners/:owner/items", h.items)
	e.GET("/lookups/:n", h.worlds(func(ctx context.Context, n int) ([]World, error) { return oneByOne(ctx, s, n) }))
	e.GET("/batch/:n", h.worlds(func(ctx context.Context, n int) ([]World, error) { return s.Worlds(ctx, LookupIDs(n)) }))
	e.POST("/entries", h.insert)
	e.POST("/updates/:n", h.worlds(func(ctx context.Context, n int) ([]World, error) { return s.Update(ctx, LookupIDs(n)) }))
	e.GET("/fortunes", h.fortunes)
	e.POST("/upload", h.upload)
	return env.serve(e)
}

func (h *echoHandlers) createOrder(c *echo.Context) error {
	var in NewOrder
	if err := echoDecode(c, &in); err != nil {
		return err
	}
	return c.JSON(http.StatusCreated, Accept(in))
}

// echoDecode decodes and validates the body.
func echoDecode(c *echo.Context, in any) error {
	if err := c.Bind(in); err != nil {
		return err
	}
	if err := c.Validate(in); err != nil {
		return echo.NewHTTPError(http.StatusUnprocessableEntity, err.Error())
	}
	return nil
}

func (h *echoHandlers) item(c *echo.Context) error {
	id, err := strconv.ParseInt(c.Param("id"), 10, 64)
	if err != nil {
		return echo.NewHTTPError(http.StatusBadRequest, "id is no number")
	}
	item, err := h.Item(c.Request().Context(), id)
	if errors.Is(err, ErrNotFound) {
		return echo.NewHTTPError(http.StatusNotFound, err.Error())
	}
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, item)
}

func (h *echoHandlers) items(c *echo.Context) error {
	owner, err := strconv.ParseInt(c.Param("owner"), 10, 64)
	if err != nil {
		return echo.NewHTTPError(http.StatusBadRequest, "owner is no number")
	}
	items, err := h.Items(c.Request().Context(), owner)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, items)
}

func (h *echoHandlers) worlds(find func(ctx context.Context, n int) ([]World, error)) echo.HandlerFunc {
	return func(c *echo.Context) error {
		n, err := strconv.Atoi(c.Param("n"))
		if err != nil || n < 1 || n > 50 {
			return echo.NewHTTPError(http.StatusBadRequest, "n is no number from 1 to 50")
		}
		worlds, err := find(c.Request().Context(), n)
		if err != nil {
			return err
		}
		return c.JSON(http.StatusOK, worlds)
	}
}

func (h *echoHandlers) insert(c *echo.Context) error {
	var in NewEntry
	if err := echoDecode(c, &in); err != nil {
		return err
	}
	id, err := h.Insert(c.Request().Context(), in)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusCreated, Inserted{id})
}

func (h *echoHandlers) fortunes(c *echo.Context) error {
	fortunes, err := h.Fortunes(c.Request().Context())
	if err != nil {
		return err
	}
	var text bytes.Buffer
	if err := Page(&text, fortunes); err != nil {
		return err
	}
	return c.HTMLBlob(http.StatusOK, text.Bytes())
}

func (h *echoHandlers) upload(c *echo.Context) error {
	header, err := c.FormFile("file")
	if err != nil {
		return err
	}
	file, err := header.Open()
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	n, err := io.Copy(io.Discard, file)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusCreated, Received{n})
}
