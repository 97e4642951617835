package backend

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend/internal/response"
)

func TestWroteHeaderTellsWhatTheClientMayHaveSeen(t *testing.T) {
	t.Parallel()
	wrote := func(w http.ResponseWriter) bool { return response.Of(w).Begun() }
	ran := false
	h := SecureHeaders(HeadersConfig{})(Compress()(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ran = true
		require.False(t, wrote(w))
		w.Header().Set("Content-Type", "text/plain")
		w.WriteHeader(200)
		io.WriteString(w, "held back")
		require.False(t, wrote(w))
		w.(http.Flusher).Flush()
		require.True(t, wrote(w))
	})))
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Accept-Encoding", "gzip")
	h.ServeHTTP(httptest.NewRecorder(), r)
	require.True(t, ran)
}

// An answer that an error cut short is a failure, whatever the error's code and
// the status that was sent; one that nobody waits for is not.
func TestCutAnswersAreLoggedAsErrors(t *testing.T) {
	t.Parallel()
	for want, err := range map[string]error{
		`"level":"ERROR"`: Errorf(NotFound, "the second page is gone"),
		`"level":"INFO"`:  context.Canceled,
	} {
		var log strings.Builder
		h := Recover()(AccessLog(slog.New(slog.NewJSONHandler(&log, nil)))(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "the first page")
			reportError(w, r, Internal, err)
			panic(http.ErrAbortHandler)
		})))
		require.Panics(t, func() { h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)) })
		require.Contains(t, log.String(), want)
		require.Contains(t, log.String(), `"status":200`)
		require.Contains(t, log.String(), err.Error())
	}
}

// Two requests in one context, as when a handler asks another handler for a
// part of its answer, keep their responses apart.
func TestExchangeBelongsToOneResponse(t *testing.T) {
	t.Parallel()
	inner := RequestID()(SecureHeaders(HeadersConfig{})(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusTeapot)
		io.WriteString(w, RequestIDFrom(r.Context()))
	})))
	var part *httptest.ResponseRecorder
	outer := RequestID()(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		part = httptest.NewRecorder()
		inner.ServeHTTP(part, r)
		require.False(t, exchangeFrom(r.Context()).response.Begun())
		w.WriteHeader(http.StatusAccepted)
	}))
	w := httptest.NewRecorder()
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("X-Request-Id", "one")
	outer.ServeHTTP(w, r)
	require.Equal(t, 202, w.Code)
	require.Equal(t, 418, part.Code)
	require.Equal(t, "one", part.Body.String())
	require.Empty(t, w.Header().Get("X-Content-Type-Options"))
}

// Whoever enters again, with the same request and response, shares the exchange.
func TestEnterSharesTheExchange(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	x, view, r, made := ensureExchange(w, httptest.NewRequestWithContext(context.Background(), "GET", "/", nil))
	require.True(t, made)
	require.Same(t, &x.response, response.Of(view))
	require.Same(t, x, exchangeFrom(r.Context()))
	again, sameView, sameRequest, made := ensureExchange(view, r)
	require.False(t, made)
	require.Same(t, x, again)
	require.Equal(t, view, sameView)
	require.Same(t, r, sameRequest)
}
