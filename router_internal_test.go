package backend

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRouterTellsTheExchangeItsPattern(t *testing.T) {
	t.Parallel()
	r := NewRouter()
	r.Use(func(next http.Handler) http.Handler { // a copy between the log and the routes
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			next.ServeHTTP(w, req.WithContext(req.Context()))
		})
	})
	r.HandleFunc("GET /a/{x}", func(http.ResponseWriter, *http.Request) {})
	r.HandleFunc("GET /tree/", func(http.ResponseWriter, *http.Request) {})
	for path, want := range map[string]string{"/a/1": "GET /a/{x}", "/tree": "GET /tree/", "/no": "", "/a%00": ""} {
		x, w, req, _ := ensureExchange(httptest.NewRecorder(), httptest.NewRequest("GET", path, nil))
		x.log.pattern = "before"
		r.ServeHTTP(w, req)
		require.Equal(t, want, x.log.pattern, path)
	}
}

// plain is a wrapper of somebody else.
type plain struct{ http.ResponseWriter }

func (p plain) Unwrap() http.ResponseWriter { return p.ResponseWriter }

func TestHandlerFuncAbortsAResponseThatHasBegun(t *testing.T) {
	t.Parallel()
	failure := Errorf(NotFound, "too late")
	f := Handler(func(w http.ResponseWriter, r *http.Request) error {
		if r.URL.Path == "/begun" {
			w.Write([]byte("half"))
		}
		return failure
	})
	serve := func(path string) (x *exchange, w *httptest.ResponseRecorder, panicked any) {
		defer func() { panicked = recover() }()
		w = httptest.NewRecorder()
		x, view, req, _ := ensureExchange(w, httptest.NewRequest("GET", path, nil))
		f.ServeHTTP(plain{plain{view}}, req)
		return
	}
	x, w, panicked := serve("/begun")
	require.Equal(t, http.ErrAbortHandler, panicked)
	require.Equal(t, "half", w.Body.String())
	require.Equal(t, failure, x.log.err, "reported")

	_, w, panicked = serve("/not-begun")
	require.Nil(t, panicked)
	require.Equal(t, 404, w.Code)
}
