package backend

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"runtime/debug"
	"slices"
	"strings"
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

// door is a handler of this package, which needs no PathValue.
type door struct{ values int }

func (d *door) ServeHTTP(http.ResponseWriter, *http.Request) { panic("not by ServeHTTP") }

func (d *door) serveValues(_ http.ResponseWriter, _ *http.Request, path pathValues) {
	d.values += len(path.values)
}

// githubRoutes returns a router with the routes of GitHub's API, and a request for each.
func githubRoutes(t testing.TB, handler http.Handler) (*Router, []*http.Request) {
	text, err := os.ReadFile("internal/route/testdata/routes-github.txt")
	require.NoError(t, err)
	r, requests := NewRouter(), []*http.Request(nil)
	for line := range strings.Lines(string(text)) {
		method, path, _ := strings.Cut(strings.TrimSpace(line), " ")
		segments := strings.Split(path, "/")
		for i, s := range segments {
			if name, ok := strings.CutPrefix(s, ":"); ok {
				segments[i] = "{" + name + "}"
			}
		}
		r.Handle(method+" "+strings.Join(segments, "/"), handler)
		requests = append(requests, &http.Request{Method: method, URL: &url.URL{Path: path}, Header: http.Header{}})
	}
	return r, requests
}

func TestRoutingToDoorsAllocatesNothing(t *testing.T) { // not parallel: it counts allocations
	info, _ := debug.ReadBuildInfo()
	if slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		t.Skip("under the race detector sync.Pool forgets on purpose")
	}
	d := new(door)
	r, requests := githubRoutes(t, d)
	require.Len(t, requests, 203)
	w := httptest.NewRecorder()
	require.Less(t, testing.AllocsPerRun(100, func() {
		for _, req := range requests {
			r.ServeHTTP(w, req)
		}
	}), 5.0, "a collection may empty the pool")
	require.Positive(t, d.values)
}

func BenchmarkRouterToDoors(b *testing.B) {
	r, requests := githubRoutes(b, new(door))
	w := httptest.NewRecorder()
	b.ReportAllocs()
	for b.Loop() {
		for _, req := range requests {
			r.ServeHTTP(w, req)
		}
	}
}

// tenant is an Authenticator that reads a parameter of the path.
type tenant struct{}

func (tenant) Authenticate(_ context.Context, r *http.Request) (Caller, error) {
	return Caller{ID: AccountIDOf(r.PathValue("tenant"))}, nil
}

// Functions of the program find the values of the path in the request, also those that a
// door calls.
func TestPathValuesForTheProgram(t *testing.T) {
	t.Parallel()
	type input struct {
		Tenant string `json:"tenant"`
		ID     int    `json:"id"`
	}
	logic := NewLogic(nil, tenant{}, LogicConfig{})
	logic.Add(Query("read", SignedIn, func(ctx context.Context, in input) (string, error) {
		return fmt.Sprint(CallerFrom(ctx).ID) + in.Tenant, nil
	}, Route("GET /{tenant}/{id}")))
	asked := ""
	inner := NewRouter()
	inner.Mount("/", logic.REST())
	r := NewRouter()
	r.Use(Errors(ErrorsConfig{Page: func(_ io.Writer, r *http.Request, _ *Error) error {
		asked = r.PathValue("tenant")
		return nil
	}}))
	r.Mount("/plain", inner)
	inside := r.Group("/grouped")
	inside.Use(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Tenant", r.PathValue("tenant"))
			next.ServeHTTP(w, r)
		})
	})
	inside.Mount("/", logic.REST(RESTConfig{}))
	for _, prefix := range []string{"/plain", "/grouped"} {
		w := httptest.NewRecorder()
		r.ServeHTTP(w, httptest.NewRequest(http.MethodGet, prefix+"/acme/7", nil))
		require.Equal(t, `"acmeacme"`, strings.TrimSpace(w.Body.String()))
		if prefix == "/grouped" {
			require.Equal(t, "acme", w.Header().Get("X-Tenant"))
		}
		w = httptest.NewRecorder()
		req := httptest.NewRequest(http.MethodGet, prefix+"/"+prefix[1:]+"/x", nil)
		req.Header.Set("Accept", "text/html, */*;q=0.5")
		r.ServeHTTP(w, req)
		require.Equal(t, http.StatusUnprocessableEntity, w.Code)
		require.Equal(t, prefix[1:], asked)
	}
}
