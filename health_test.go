package backend_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
)

func passes(context.Context) error { return nil }

func TestHealthReady(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		checks []backend.HealthCheck
		status int
		body   string
	}{
		{"without checks", nil, 200, `{"status":"ok"}`},
		{"all pass", []backend.HealthCheck{{Name: "a", Check: passes}, {Name: "b", Check: passes}},
			200, `{"status":"ok","checks":{"a":"ok","b":"ok"}}`},
		{"one fails", []backend.HealthCheck{{Name: "a", Check: passes}, {Name: "database", Check: func(context.Context) error {
			return errors.New("password for 10.0.0.1 is wrong")
		}}}, 503, `{"status":"failed","checks":{"a":"ok","database":"failed"}}`},
		{"one panics", []backend.HealthCheck{{Name: "a", Check: passes}, {Name: "bug", Check: func(context.Context) error { panic("secret") }}},
			503, `{"status":"failed","checks":{"a":"ok","bug":"failed"}}`},
		{"one ends its goroutine", []backend.HealthCheck{{Name: "bug", Check: func(context.Context) error { runtime.Goexit(); return nil }}},
			503, `{"status":"failed","checks":{"bug":"failed"}}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := answer(backend.NewHealth(test.checks...).Ready(), "GET", "/readyz")
			require.Equal(t, test.status, w.Code)
			require.JSONEq(t, test.body, w.Body.String())
			requireHealthHeaders(t, w.Header())
		})
	}
}

// One line before the Stack serves both endpoints, also while the Stack refuses everything.
func TestHealthMiddleware(t *testing.T) {
	t.Parallel()
	health := backend.NewHealth(backend.HealthCheck{Name: "a", Check: passes})
	r := backend.NewRouter()
	refuses := func(http.Handler) http.Handler {
		return backend.Handler(func(http.ResponseWriter, *http.Request) error { return backend.Errorf(backend.Unavailable, "full") })
	}
	r.Use(health.Middleware("/healthz", "/readyz"), refuses)
	r.Handle("GET /a", echo())
	for _, test := range []struct {
		method, path string
		status       int
		body         string
	}{
		{"GET", "/healthz", 200, `{"status":"ok"}`},
		{"GET", "/readyz?verbose", 200, `{"status":"ok","checks":{"a":"ok"}}`},
		{"GET", "/%68ealthz", 200, `{"status":"ok"}`},
		{"HEAD", "/readyz", 200, ""},
		{"POST", "/readyz", 405, ""},
		{"GET", "/a", 503, ""},
		{"GET", "/healthz/", 503, ""},
		{"GET", "/", 503, ""},
	} {
		w := answer(r, test.method, test.path)
		require.Equal(t, test.status, w.Code, test.path)
		if test.body != "" {
			require.JSONEq(t, test.body, w.Body.String())
			requireHealthHeaders(t, w.Header())
		}
	}

	one := health.Middleware("", "/up")(echo())
	require.JSONEq(t, `{"status":"ok","checks":{"a":"ok"}}`, answer(one, "GET", "/up").Body.String())
	require.Empty(t, answer(one, "GET", "/").Body.String())

	for want, paths := range map[string][2]string{
		`backend: Health.Middleware: "healthz" is not a path such as /healthz`: {"healthz", "/readyz"},
		`backend: Health.Middleware: "/{x}" is not a path such as /healthz`:    {"/healthz", "/{x}"},
		`backend: Health.Middleware: one path "/a" for both`:                   {"/a", "/a"},
		`backend: Health.Middleware: one path "" for both`:                     {"", ""},
	} {
		require.PanicsWithValue(t, want, func() { health.Middleware(paths[0], paths[1]) })
	}
}

// requireHealthHeaders checks what every response must have (statement 1), and
// that nobody keeps it.
func requireHealthHeaders(t *testing.T, header http.Header) {
	t.Helper()
	require.Equal(t, "application/json", header.Get("Content-Type"))
	require.Equal(t, "no-store", header.Get("Cache-Control"))
	require.Equal(t, "nosniff", header.Get("X-Content-Type-Options"))
	require.Equal(t, "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'", header.Get("Content-Security-Policy"))
}

func TestHealthLiveLooksAtNothing(t *testing.T) {
	t.Parallel()
	health := backend.NewHealth(backend.HealthCheck{Name: "a", Check: func(context.Context) error {
		require.Fail(t, "called")
		return nil
	}})
	w := answer(health.Live(), "GET", "/healthz")
	require.Equal(t, 200, w.Code)
	require.JSONEq(t, `{"status":"ok"}`, w.Body.String())
	requireHealthHeaders(t, w.Header())
}

func TestHealthAnswersHEAD(t *testing.T) {
	t.Parallel()
	health := backend.NewHealth()
	r := backend.NewRouter()
	r.Handle("GET /readyz", health.Ready())
	server := httptest.NewServer(r)
	defer server.Close()
	response, err := http.Head(server.URL + "/readyz")
	require.NoError(t, err)
	response.Body.Close()
	require.Equal(t, 200, response.StatusCode)
	requireHealthHeaders(t, response.Header)
}

func TestHealthBoundsChecksInTime(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		timeout time.Duration
		want    time.Duration
	}{
		{"by default", 0, 2 * time.Second},
		{"as configured", 5 * time.Second, 5 * time.Second},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				health := backend.NewHealth(backend.HealthCheck{Name: "slow", Timeout: test.timeout, Check: func(ctx context.Context) error {
					<-ctx.Done()
					return ctx.Err()
				}})
				start := time.Now()
				require.Equal(t, 503, answer(health.Ready(), "GET", "/").Code)
				require.Equal(t, test.want, time.Since(start))
			})
		})
	}
}

// A check that does not end when it should neither hangs readiness nor is called
// again on top of itself, and counts again when it has ended.
func TestHealthSurvivesAHangingCheck(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var calls atomic.Int32
		health := backend.NewHealth(backend.HealthCheck{Name: "hangs", Check: func(context.Context) error {
			calls.Add(1)
			<-release
			return nil
		}})
		for range 3 {
			require.Equal(t, 503, answer(health.Ready(), "GET", "/").Code)
			time.Sleep(time.Second)
		}
		require.EqualValues(t, 1, calls.Load())
		close(release)
		synctest.Wait()
		require.Equal(t, 200, answer(health.Ready(), "GET", "/").Code)
		require.EqualValues(t, 2, calls.Load())
	})
}

func TestHealthRunsChecksOnceForAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int32
		health := backend.NewHealth(backend.HealthCheck{Name: "a", Check: func(context.Context) error {
			time.Sleep(100 * time.Millisecond) // on the bubble's clock
			if calls.Add(1) == 1 {
				return errors.New("not yet")
			}
			return nil
		}})
		var asking sync.WaitGroup
		for range 50 {
			asking.Go(func() { require.Equal(t, 503, answer(health.Ready(), "GET", "/").Code) })
		}
		asking.Wait()
		require.EqualValues(t, 1, calls.Load())

		time.Sleep(999 * time.Millisecond)
		require.Equal(t, 503, answer(health.Ready(), "GET", "/").Code)
		require.EqualValues(t, 1, calls.Load(), "the outcome holds for a second")
		time.Sleep(time.Millisecond)
		require.Equal(t, 200, answer(health.Ready(), "GET", "/").Code)
		require.EqualValues(t, 2, calls.Load())
	})
}

// The first to ask may leave; the others still want to know.
func TestHealthChecksOutliveWhoAsked(t *testing.T) {
	t.Parallel()
	health := backend.NewHealth(backend.HealthCheck{Name: "a", Check: func(ctx context.Context) error { return ctx.Err() }})
	ctx, leave := context.WithCancel(t.Context())
	leave()
	w := httptest.NewRecorder()
	health.Ready().ServeHTTP(w, httptest.NewRequest("GET", "/", nil).WithContext(ctx))
	require.Equal(t, 200, w.Code)
}

func TestNewHealthPanicsOnWrongChecks(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		checks []backend.HealthCheck
		want   string
	}{
		{"no name", []backend.HealthCheck{{Check: passes}}, `backend: health check 0 ("") needs a Name and a Check`},
		{"no function", []backend.HealthCheck{{Name: "a", Check: passes}, {Name: "b"}}, `backend: health check 1 ("b") needs a Name and a Check`},
		{"one name twice", []backend.HealthCheck{{Name: "a", Check: passes}, {Name: "a", Check: passes}},
			`backend: there are two health checks named "a"; give each a name of its own`},
		{"negative timeout", []backend.HealthCheck{{Name: "a", Check: passes, Timeout: -time.Second}},
			`backend: the timeout -1s of health check "a" is negative; leave it out for the default`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			require.PanicsWithValue(t, test.want, func() { backend.NewHealth(test.checks...) })
		})
	}
}
