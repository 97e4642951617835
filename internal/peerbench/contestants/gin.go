package contestants

// gin, by its documentation: gin.New with Recovery, ShouldBindJSON with its rules, and
// c.JSON. Tuned, JSON is that of sonic.

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/bytedance/sonic"
	"github.com/gin-gonic/gin"
	ginjson "github.com/gin-gonic/gin/codec/json"
)

func serveGin(env Env, f flavor) error {
	s, err := f.store(env)
	if err != nil {
		return err
	}
	gin.SetMode(gin.ReleaseMode)
	if f == tuned {
		ginjson.API = sonicForGin{}
	}
	r := gin.New()
	r.Use(gin.Recovery())
	if env.equal() {
		r.Use(gin.LoggerWithWriter(env.Log), ginEqual)
	}
	h := &ginHandlers{s}
	r.GET("/plain", func(c *gin.Context) { c.String(http.StatusOK, Text) })
	r.GET("/json", func(c *gin.Context) { c.JSON(http.StatusOK, Message{Text}) })
	r.POST("/orders", h.createOrder)
	r.GET("/items/:id", h.item)
	r.GET("/owners/:owner/items", h.items)
	r.GET("/lookups/:n", h.worlds(func(ctx context.Context, n int) ([]World, error) { return oneByOne(ctx, s, n) }))
	r.GET("/batch/:n", h.worlds(func(ctx context.Context, n int) ([]World, error) { return s.Worlds(ctx, LookupIDs(n)) }))
	r.POST("/entries", h.insert)
	r.POST("/updates/:n", h.worlds(func(ctx context.Context, n int) ([]World, error) { return s.Update(ctx, LookupIDs(n)) }))
	r.GET("/fortunes", h.fortunes)
	r.POST("/upload", h.upload)
	return r.RunListener(env.Listener)
}

type ginHandlers struct{ store }

func (h *ginHandlers) createOrder(c *gin.Context) {
	var in NewOrder
	if err := c.ShouldBindJSON(&in); err != nil {
		c.JSON(http.StatusUnprocessableEntity, gin.H{"error": err.Error()})
		return
	}
	c.JSON(http.StatusCreated, Accept(in))
}

func (h *ginHandlers) item(c *gin.Context) {
	id, err := strconv.ParseInt(c.Param("id"), 10, 64)
	if err != nil {
		c.JSON(http.StatusBadRequest, gin.H{"error": "id is no number"})
		return
	}
	item, err := h.Item(c.Request.Context(), id)
	if ginFail(c, err) {
		return
	}
	c.JSON(http.StatusOK, item)
}

func (h *ginHandlers) items(c *gin.Context) {
	owner, err := strconv.ParseInt(c.Param("owner"), 10, 64)
	if err != nil {
		c.JSON(http.StatusBadRequest, gin.H{"error": "owner is no number"})
		return
	}
	items, err := h.Items(c.Request.Context(), owner)
	if ginFail(c, err) {
		return
	}
	c.JSON(http.StatusOK, items)
}

func (h *ginHandlers) worlds(find func(ctx context.Context, n int) ([]World, error)) gin.HandlerFunc {
	return func(c *gin.Context) {
		n, err := strconv.Atoi(c.Param("n"))
		if err != nil || n < 1 || n > 50 {
			c.JSON(http.StatusBadRequest, gin.H{"error": "n is no number from 1 to 50"})
			return
		}
		worlds, err := find(c.Request.Context(), n)
		if ginFail(c, err) {
			return
		}
		c.JSON(http.StatusOK, worlds)
	}
}

func (h *ginHandlers) insert(c *gin.Context) {
	var in NewEntry
	if err := c.ShouldBindJSON(&in); err != nil {
		c.JSON(http.StatusUnprocessableEntity, gin.H{"error": err.Error()})
		return
	}
	id, err := h.Insert(c.Request.Context(), in)
	if ginFail(c, err) {
		return
	}
	c.JSON(http.StatusCreated, Inserted{id})
}

func (h *ginHandlers) fortunes(c *gin.Context) {
	fortunes, err := h.Fortunes(c.Request.Context())
	if ginFail(c, err) {
		return
	}
	var text bytes.Buffer
	if ginFail(c, Page(&text, fortunes)) {
		return
	}
	c.Data(http.StatusOK, "text/html; charset=utf-8", text.Bytes())
}

func (h *ginHandlers) upload(c *gin.Context) {
	header, err := c.FormFile("file")
	if ginFail(c, err) {
		return
	}
	file, err := header.Open()
	if ginFail(c, err) {
		return
	}
	defer func() { _ = file.Close() }()
	n, err := io.Copy(io.Discard, file)
	if ginFail(c, err) {
		return
	}
	c.JSON(http.StatusCreated, Received{n})
}

func ginFail(c *gin.Context, err error) bool {
	switch {
	case err == nil:
		return false
	case errors.Is(err, ErrNotFound):
		c.JSON(http.StatusNotFound, gin.H{"error": err.Error()})
	default:
		c.JSON(http.StatusInternalServerError, gin.H{"error": "internal error"})
	}
	return true
}

// ginEqual adds what gin has no middleware for.
func ginEqual(c *gin.Context) {
	c.Header("X-Request-Id", newRequestID())
	setSecurityHeaders(c.Writer.Header())
	ctx, cancel := context.WithTimeout(c.Request.Context(), 10*time.Second)
	defer cancel()
	c.Request = c.Request.WithContext(ctx)
	c.Next()
}

// sonicForGin is sonic in the form that gin asks for.
type sonicForGin struct{}

func (sonicForGin) Marshal(v any) ([]byte, error)      { return sonic.ConfigStd.Marshal(v) }
func (sonicForGin) Unmarshal(data []byte, v any) error { return sonic.ConfigStd.Unmarshal(data, v) }
func (sonicForGin) MarshalIndent(v any, prefix, indent string) ([]byte, error) {
	return sonic.ConfigStd.MarshalIndent(v, prefix, indent)
}
func (sonicForGin) NewEncoder(w io.Writer) ginjson.Encoder { return sonic.ConfigStd.NewEncoder(w) }
func (sonicForGin) NewDecoder(r io.Reader) ginjson.Decoder { return sonic.ConfigStd.NewDecoder(r) }
