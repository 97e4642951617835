package backend_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime/debug"
	"testing"

	"github.com/seed-215b9b7c/backend"
	"github.com/stretchr/testify/require"
)

// mwNullWriter is a ResponseWriter that costs nothing itself.
type mwNullWriter struct {
	head http.Header
}

func (w *mwNullWriter) Header() http.Header         { return w.head }
func (w *mwNullWriter) Write(p []byte) (int, error) { return len(p), nil }
func (w *mwNullWriter) WriteHeader(int)             {}
func (w *mwNullWriter) Flush()                      {}

var mwJSON = []string{"application/json"}

// mwAllocs counts the allocations of one request as net/http would make it: a
// context that can be cancelled and an empty header. Before that it requires that
// the handler answers 200 with the body, after undoing the content coding.
func mwAllocs(t *testing.T, h http.Handler, edit func(*http.Request), coding, body string) float64 {
	t.Helper()
	r := httptest.NewRequest("GET", "https://example.com/notes?q=1", nil)
	edit(r)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	require.Equal(t, http.StatusOK, w.Code)
	require.Equal(t, coding, w.Header().Get("Content-Encoding"))
	require.Equal(t, body, mwDecode(t, coding, w.Body.String()))
	return testing.AllocsPerRun(200, func() {
		ctx, cancel := context.WithCancel(context.Background())
		h.ServeHTTP(&mwNullWriter{head: make(http.Header)}, r.WithContext(ctx))
		cancel()
	})
}

// mwSkipRace skips a test that counts allocations: the race detector makes some.
func mwSkipRace(t *testing.T) {
	info, _ := debug.ReadBuildInfo()
	for _, setting := range info.Settings {
		if setting.Key == "-race" && setting.Value == "true" {
			t.Skip("allocations are not counted under the race detector")
		}
	}
}

func TestDefaultStackAllocations(t *testing.T) {
	mwSkipRace(t)
	body := []byte(`{"ok":true}`)
	answer := func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Content-Type"] = mwJSON
		w.Write(body)
	}
	logger := slog.New(slog.NewJSONHandler(io.Discard, nil))
	stack := backend.Stack(backend.StackConfig{Logger: logger})
	limited := backend.Stack(backend.StackConfig{Logger: logger, RequestsPerMinute: 6e6, Hosts: []string{"example.com"}, TrustedProxies: []string{"192.0.2.1"}})

	selects := func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		default:
			answer(w, r)
		}
	}
	accepts := func(r *http.Request) {
		r.Header.Set("Accept-Encoding", "gzip, deflate, br, zstd")
		r.Header.Set("X-Forwarded-For", "203.0.113.9")
	}
	tests := []struct {
		name    string
		mw      backend.Middleware
		handler http.HandlerFunc
		atMost  float64
	}{
		{"answers", stack, answer, 5},
		{"waits with its context", stack, selects, 12},
		{"everything configured", limited, selects, 12},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			bare := mwAllocs(t, test.handler, accepts, "", string(body))
			stacked := mwAllocs(t, test.mw(test.handler), accepts, "", string(body))
			t.Logf("bare %v, stack +%v", bare, stacked-bare)
			require.LessOrEqual(t, stacked-bare, test.atMost)
		})
	}
}
