package backend_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
	"github.com/seed-215b9b7c/backend/backendtest"
)

func TestIdempotency(t *testing.T) {
	onShop(t, func(t *testing.T, s *shop, c restClient) {
		first := c.do("POST", "/items", `{"name":"a","price":1}`, "Idempotency-Key", `"k1"`)
		require.Equal(t, 201, first.Code, first.Body)
		require.Empty(t, first.Header().Get("Idempotency-Replayed"))
		again := c.do("POST", "/items", ` {"price":1.0, "name":"a"} `, "Idempotency-Key", "k1")
		require.Equal(t, 201, again.Code, again.Body)
		require.Equal(t, "true", again.Header().Get("Idempotency-Replayed"))
		require.Equal(t, first.Body.String(), again.Body.String())
		require.Equal(t, first.Header().Get("Location"), again.Header().Get("Location"))
		require.EqualValues(t, 1, s.calls.Load())

		require.Equal(t, 422, c.do("POST", "/items", `{"name":"b"}`, "Idempotency-Key", "k1").Code)
		require.Equal(t, 400, c.do("POST", "/items", `{"name":"b"}`, "Idempotency-Key", strings.Repeat("k", 256)).Code)
		c.who = "bob"
		other := c.do("POST", "/items", `{"name":"a","price":1}`, "Idempotency-Key", "k1")
		require.Equal(t, 201, other.Code)
		require.NotEqual(t, first.Body.String(), other.Body.String(), "another caller's key")

		_, err := s.db.Exec(t.Context(), "UPDATE backend_idempotency_keys SET expires_at = ?", time.Now().Add(-time.Second))
		require.NoError(t, err)
		require.Equal(t, 201, c.do("POST", "/items", `{"name":"b"}`, "Idempotency-Key", "k1").Code, "it has expired")
	})
}

func TestIdempotencyRequired(t *testing.T) {
	t.Parallel()
	db := backendtest.NewDB(t, backend.SQLite)
	require.NoError(t, db.Migrate(t.Context(), nil))
	logic := backend.NewLogic(db, nil)
	logic.Add(backend.Mutation("pay", backend.Public, noop, backend.Route("POST /pay"), backend.Idempotent(backend.Required)))
	c := newRESTClient(t, logic)
	require.Equal(t, 400, c.do("POST", "/pay", "").Code)
	require.Equal(t, 400, c.do("POST", "/pay", "", "Idempotency-Key", `""`).Code)
	require.Equal(t, 204, c.do("POST", "/pay", "", "Idempotency-Key", "k").Code)
	again := c.do("POST", "/pay", "", "Idempotency-Key", "k")
	require.Equal(t, 204, again.Code)
	require.Equal(t, "true", again.Header().Get("Idempotency-Replayed"))
	_, err := backend.Call[backend.None](t.Context(), logic, "pay", backend.None{})
	require.NoError(t, err, "calls from inside the program need no keys")
}

func TestIdempotencyInParallel(t *testing.T) {
	onShop(t, func(t *testing.T, s *shop, c restClient) {
		var wait sync.WaitGroup
		var created, conflicts atomic.Int64
		for range 50 {
			wait.Go(func() {
				switch w := c.do("POST", "/items", `{"name":"once"}`, "Idempotency-Key", "k"); w.Code {
				case 201:
					created.Add(1)
				case 409:
					conflicts.Add(1)
				default:
					t.Error(w.Code, w.Body)
				}
			})
		}
		wait.Wait()
		require.EqualValues(t, 50, created.Load()+conflicts.Load())
		require.Positive(t, created.Load())
		n, err := backend.One[int](t.Context(), s.db, "SELECT COUNT(*) FROM items")
		require.NoError(t, err)
		require.Equal(t, 1, n)
		require.Equal(t, 201, c.do("POST", "/items", `{"name":"once"}`, "Idempotency-Key", "k").Code)
	})
}

type onlyOut struct{ A int }

func (onlyOut) MarshalJSON() ([]byte, error) { return []byte("1"), nil }

type onlyIn struct{ a string }

func (o *onlyIn) UnmarshalText(text []byte) error { o.a = string(text); return nil }

func TestIdempotencyKeys(t *testing.T) {
	t.Parallel()
	backendtest.EachDB(t, func(t *testing.T, db *backend.DB) {
		require.NoError(t, db.Migrate(t.Context(), nil))
		type input struct {
			Name backend.Opt[string] `json:"name"`
		}
		type wrongIn struct {
			A onlyIn `json:"a"`
		}
		logic := backend.NewLogic(db, nil)
		panics := true
		logic.Add(backend.Mutation("m", backend.Public, func(_ context.Context, in input) (int, error) {
			if in.Name.Or("") == "panic" && panics {
				panic("no")
			}
			return 1, nil
		}, backend.Route("POST /m"), backend.Idempotent(backend.Accepted)))
		text := panicText(func() {
			logic.Add(backend.Mutation("w", backend.Public, func(context.Context, wrongIn) (onlyOut, error) { return onlyOut{}, nil }, backend.Idempotent(backend.Accepted)))
		})
		require.Contains(t, text, "onlyIn cannot be compared")
		require.Contains(t, text, "onlyOut cannot be read again")
		c := newRESTClient(t, logic)
		for _, key := range []string{"", " ", `""`, `" "`, "a\x01", "schlüssel", strings.Repeat("x", 256)} {
			require.Equal(t, http.StatusBadRequest, c.do("POST", "/m", `{}`, "Idempotency-Key", key).Code, "%q", key)
		}
		r := httptest.NewRequestWithContext(t.Context(), "POST", "/api/m", strings.NewReader(`{}`))
		r.Header = http.Header{"Content-Type": {"application/json"}, "Idempotency-Key": {"a", "b"}}
		w := httptest.NewRecorder()
		c.h.ServeHTTP(w, r)
		require.Equal(t, http.StatusBadRequest, w.Code, "two of them")

		require.Equal(t, http.StatusCreated, c.do("POST", "/m", `{}`, "Idempotency-Key", "k").Code)
		require.Equal(t, http.StatusUnprocessableEntity, c.do("POST", "/m", `{"name":null}`, "Idempotency-Key", "k").Code, "null is not absent")
		require.Equal(t, http.StatusInternalServerError, c.do("POST", "/m", `{"name":"panic"}`, "Idempotency-Key", "p").Code)
		panics = false
		require.Equal(t, http.StatusCreated, c.do("POST", "/m", `{"name":"panic"}`, "Idempotency-Key", "p").Code, "a panic gives the key back")
	})
}
