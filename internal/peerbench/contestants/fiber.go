package contestants

// fiber, which has an HTTP server of its own, by its documentation: Bind with a
// StructValidator, and c.JSON. Tuned, JSON is that of sonic.

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/bytedance/sonic"
	"github.com/go-playground/validator/v10"
	"github.com/gofiber/fiber/v3"
	"github.com/gofiber/fiber/v3/middleware/helmet"
	"github.com/gofiber/fiber/v3/middleware/logger"
	"github.com/gofiber/fiber/v3/middleware/recover"
	"github.com/gofiber/fiber/v3/middleware/requestid"
	"github.com/gofiber/fiber/v3/middleware/timeout"
)

type fiberHandlers struct{ store }

func serveFiber(env Env, f flavor) error {
	s, err := f.store(env)
	if err != nil {
		return err
	}
	config := fiber.Config{StructValidator: echoValidator{validator.New(validator.WithRequiredStructEnabled())}, BodyLimit: 64 << 20}
	if f == tuned {
		config.JSONEncoder, config.JSONDecoder = sonic.ConfigStd.Marshal, sonic.ConfigStd.Unmarshal
	}
	h := &fiberHandlers{s}
	r := fiber.New(config)
	plain := func(c fiber.Ctx) error { return c.SendString(Text) }
	if env.equal() {
		r.Use(requestid.New(), logger.New(logger.Config{Stream: env.Log}), recover.New(), helmet.New())
		plain = timeout.New(plain, timeout.Config{Timeout: 10 * time.Second})
	}
	r.Get("/plain", plain)
	r.Get("/json", func(c fiber.Ctx) error { return c.JSON(Message{Text}) })
	r.Post("/orders", h.createOrder)
	r.Get("/items/:id", h.item)
	r.Get("/owners/:owner/items", h.items)
	r.Get("/lookups/:n", h.worlds(func(ctx context.Context, n int) ([]World, error) { return oneByOne(ctx, s, n) }))
	r.Get("/batch/:n", h.worlds(func(ctx context.Context, n int) ([]World, error) { return s.Worlds(ctx, LookupIDs(n)) }))
	r.Post("/entries", h.insert)
	r.Post("/updates/:n", h.worlds(func(ctx context.Context, n int) ([]World, error) { return s.Update(ctx, LookupIDs(n)) }))
	r.Get("/fortunes", h.fortunes)
	r.Post("/upload", h.upload)
	return r.Listener(env.Listener, fiber.ListenConfig{DisableStartupMessage: true})
}

func (h *fiberHandlers) createOrder(c fiber.Ctx) error {
	var in NewOrder
	if err := c.Bind().JSON(&in); err != nil {
		return fiber.NewError(http.StatusUnprocessableEntity, err.Error())
	}
	return c.Status(http.StatusCreated).JSON(Accept(in))
}

func (h *fiberHandlers) item(c fiber.Ctx) error {
	id, err := strconv.ParseInt(c.Params("id"), 10, 64)
	if err != nil {
		return fiber.NewError(http.StatusBadRequest, "id is no number")
	}
	item, err := h.Item(c.Context(), id)
	if errors.Is(err, ErrNotFound) {
		return c.Status(http.StatusNotFound).JSON(fiber.Map{"error": err.Error()})
	}
	if err != nil {
		return err
	}
	return c.JSON(item)
}

func (h *fiberHandlers) items(c fiber.Ctx) error {
	owner, err := strconv.ParseInt(c.Params("owner"), 10, 64)
	if err != nil {
		return fiber.NewError(http.StatusBadRequest, "owner is no number")
	}
	items, err := h.Items(c.Context(), owner)
	if err != nil {
		return err
	}
	return c.JSON(items)
}

func (h *fiberHandlers) worlds(find func(ctx context.Context, n int) ([]World, error)) fiber.Handler {
	return func(c fiber.Ctx) error {
		n, err := strconv.Atoi(c.Params("n"))
		if err != nil || n < 1 || n > 50 {
			return fiber.NewError(http.StatusBadRequest, "n is no number from 1 to 50")
		}
		worlds, err := find(c.Context(), n)
		if err != nil {
			return err
		}
		return c.JSON(worlds)
	}
}

func (h *fiberHandlers) insert(c fiber.Ctx) error {
	var in NewEntry
	if err := c.Bind().JSON(&in); err != nil {
		return fiber.NewError(http.StatusUnprocessableEntity, err.Error())
	}
	id, err := h.Insert(c.Context(), in)
	if err != nil {
		return err
	}
	return c.Status(http.StatusCreated).JSON(Inserted{id})
}

func (h *fiberHandlers) fortunes(c fiber.Ctx) error {
	fortunes, err := h.Fortunes(c.Context())
	if err != nil {
		return err
	}
	var text bytes.Buffer
	if err := Page(&text, fortunes); err != nil {
		return err
	}
	c.Set("Content-Type", "text/html; charset=utf-8")
	return c.Send(text.Bytes())
}

func (h *fiberHandlers) upload(c fiber.Ctx) error {
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
	return c.Status(http.StatusCreated).JSON(Received{n})
}
