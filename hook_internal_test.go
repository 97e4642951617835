package backend

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// failingHook is a hook such as that of a session whose store is gone.
type failingHook struct{ err error }

func (h failingHook) BeforeHeader(http.Header) error { return h.err }

// The error of a hook is answered and logged as one that a handler returns,
// whatever the handler has written, returns afterwards or panics with.
func TestErrorsOfHooksAreAnswered(t *testing.T) {
	t.Parallel()
	const secret = "secret of the store"
	handlers := map[string]http.Handler{
		"writes":            http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, strings.Repeat("not this ", 1000)) }),
		"writes too little": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "not this") }),
		"redirects":         http.RedirectHandler("/not-this", http.StatusSeeOther),
		"sends a part": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.Header.Set("Range", "bytes=0-7")
			http.ServeContent(w, r, "x.txt", time.Time{}, strings.NewReader("not this one"))
		}),
		"writes nothing":   http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}),
		"flushes":          http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.(http.Flusher).Flush() }),
		"answers an error": Handler(func(http.ResponseWriter, *http.Request) error { return Errorf(NotFound, "not this") }),
		"returns an error afterwards": Handler(func(w http.ResponseWriter, r *http.Request) error {
			w.WriteHeader(http.StatusNoContent)
			_, err := io.WriteString(w, "not this")
			return (&Error{Code: Canceled}).Wrap(err)
		}),
		"answers an error afterwards": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusNoContent)
			WriteError(w, r, Errorf(NotFound, "not this"))
		}),
		"aborts afterwards": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusNoContent)
			panic(http.ErrAbortHandler)
		}),
		"panics afterwards": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusNoContent)
			panic("not this")
		}),
	}
	for name, handler := range handlers {
		for _, accept := range []string{"application/json", "text/html"} {
			t.Run(name+" "+accept, func(t *testing.T) {
				t.Parallel()
				var log strings.Builder
				calls := 0
				h := Stack(StackConfig{Logger: slog.New(slog.NewJSONHandler(&log, nil)), CORS: CORSConfig{Origins: []string{"https://a.example"}}})(
					layer(func(x *exchange, w http.ResponseWriter, r *http.Request, next nextStep) {
						calls++
						x.response.Before(failingHook{errors.New(secret)})
						next.serve(x, w, r)
					})(handler))
				r := httptest.NewRequest("GET", "/", nil)
				r.Header.Set("Accept", accept)
				w := httptest.NewRecorder()
				h.ServeHTTP(w, r)
				require.Equal(t, 1, calls)
				require.Equal(t, http.StatusInternalServerError, w.Code)
				body, head := w.Body.String(), w.Result().Header
				require.NotContains(t, body, "not this")
				require.NotContains(t, body, "secret")
				for _, name := range []string{"Location", "Content-Range", "Accept-Ranges"} {
					require.Empty(t, head[name], name)
				}
				require.Contains(t, body, "Something went wrong on our side.")
				require.Contains(t, body, head.Get("X-Request-Id"))
				require.Contains(t, head.Values("Vary"), "Origin", "outer hooks run for the answer")
				if accept == "text/html" {
					require.Contains(t, head.Get("Content-Security-Policy"), "style-src 'sha256-")
				} else {
					require.Equal(t, closedPolicy, head.Values("Content-Security-Policy"))
				}
				require.Equal(t, 1, strings.Count(log.String(), "\n"), "one record")
				require.Contains(t, log.String(), secret)
				require.Contains(t, log.String(), `"status":500`)
				require.Contains(t, log.String(), `"level":"ERROR"`)
			})
		}
	}
}

// Without other middleware the error is answered, too, and a handler that fails
// because of it does not abort the connection.
func TestErrorsOfHooksWithoutAStack(t *testing.T) {
	t.Parallel()
	for _, returns := range []bool{false, true} {
		calls := 0
		h := layer(func(x *exchange, w http.ResponseWriter, r *http.Request, next nextStep) {
			x.response.Before(failingHook{Errorf(Unavailable, "The sessions are not there.")})
			next.serve(x, w, r)
		})(Handler(func(w http.ResponseWriter, r *http.Request) error {
			calls++
			_, err := io.WriteString(w, "not this")
			require.Error(t, err)
			if returns {
				return err
			}
			return nil
		}))
		w := httptest.NewRecorder()
		require.NotPanics(t, func() { h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil)) })
		require.Equal(t, 1, calls)
		require.Equal(t, 503, w.Code)
		require.Contains(t, w.Body.String(), "The sessions are not there.")
		require.NotContains(t, w.Body.String(), "not this")
	}
}
