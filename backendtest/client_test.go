package backendtest_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
	"github.com/seed-215b9b7c/backend/backendtest"
)

// echo answers with what it was sent.
func echo(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	w.Header().Set("Content-Type", "text/plain")
	fmt.Fprintf(w, "%s %s %s %s", r.Method, r.URL, r.Header.Get("Content-Type"), body)
}

func TestClientSends(t *testing.T) {
	t.Parallel()
	c := backendtest.NewClient(t, http.HandlerFunc(echo))
	for want, response := range map[string]*backendtest.Response{
		"GET /a?b=c  ":                                          c.Get("/a?b=c"),
		`POST /a application/json {"a":1}`:                      c.Post("/a", map[string]int{"a": 1}),
		`PUT /a application/json [1]`:                           c.Put("/a", []int{1}),
		`PATCH /a application/json {"a"`:                        c.Patch("/a", `{"a"`),
		"DELETE /a  ":                                           c.Delete("/a"),
		"POST /a application/json raw":                          c.Post("/a", []byte("raw")),
		"POST /a application/x-www-form-urlencoded a=b+c":       c.Post("/a", url.Values{"a": {"b c"}}),
		"PATCH /a application/merge-patch+json {}":              c.With("Content-Type", "application/merge-patch+json").Patch("/a", "{}"),
		"QUERY /a  ":                                            c.Do("QUERY", "/a", nil),
		"POST /a  {}":                                           c.With("Content-Type", "").Post("/a", "{}"),
		"PUT /a application/json " + strings.Repeat("x", 1<<20): c.Put("/a", strings.Repeat("x", 1<<20)),
	} {
		require.Equal(t, want, string(response.Expect(http.StatusOK).Body))
	}
}

func TestClientHeaders(t *testing.T) {
	t.Parallel()
	c := backendtest.NewClient(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, r.Host, r.Header.Get("X-Own"), r.Header.Get("Origin"), r.Header.Get("Sec-Fetch-Site"))
	}))
	host := strings.TrimPrefix(c.URL, "http://")
	require.Equal(t, host+"  "+c.URL+" same-origin\n", string(c.Get("/").Body))
	other := c.With("X-Own", "1").With("Host", "app.example").With("Origin", "")
	require.Equal(t, "app.example 1  same-origin\n", string(other.Get("/").Body))
	require.Equal(t, host+" 1  same-origin\n", string(other.With("Host", "").Get("/").Body))
	require.Equal(t, host+"  "+c.URL+" same-origin\n", string(c.Get("/").Body), "the first client is as it was")
}

// A program's protection is on, and lets its own pages through.
func TestClientPassesCrossOriginProtection(t *testing.T) {
	t.Parallel()
	c := backendtest.NewClient(t, backend.CrossOrigin()(http.HandlerFunc(echo)))
	c.Post("/", "{}").Expect(http.StatusOK)
	problem := c.With("Sec-Fetch-Site", "cross-site").With("Origin", "https://evil.example").Post("/", "{}").Expect(http.StatusForbidden).Problem()
	require.Equal(t, "forbidden", problem.Code)
	require.Equal(t, http.StatusForbidden, problem.Status)
}

func TestClientKeepsCookies(t *testing.T) {
	t.Parallel()
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			http.SetCookie(w, &http.Cookie{Name: "__Host-session", Value: "secret", Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode})
			http.Redirect(w, r, "/elsewhere", http.StatusSeeOther)
			return
		}
		if cookie, err := r.Cookie("__Host-session"); err == nil {
			fmt.Fprint(w, cookie.Value)
		}
	})
	c := backendtest.NewClient(t, handler)
	require.Empty(t, c.Get("/").Body)
	require.Equal(t, "/elsewhere", c.Post("/", nil).Expect(http.StatusSeeOther).Header.Get("Location"), "redirects are not followed")
	require.Equal(t, "secret", string(c.Get("/").Body))
	require.Equal(t, "secret", string(c.With("X-Own", "1").Get("/").Body), "they are those of all its clients")
	require.Empty(t, backendtest.NewClient(t, handler).Get("/").Body, "and of no other")
}

func TestProblem(t *testing.T) {
	t.Parallel()
	want := &backend.Error{Code: backend.Invalid, Message: "No.", Fields: []backend.FieldError{{Pointer: "/a", Rule: "max", Message: "is too long"}}}
	c := backendtest.NewClient(t, backend.RequestID()(backend.Handler(func(http.ResponseWriter, *http.Request) error { return want })))
	response := c.Get("/")
	require.Equal(t, backendtest.Problem{
		Status: 422, Code: "invalid", Detail: "No.", RequestID: response.Header.Get("X-Request-Id"), Errors: want.Fields,
	}, response.Problem())
	require.NotEmpty(t, response.Problem().RequestID)
}

// A caller comes through as a whole, and nobody without one.
func TestAs(t *testing.T) {
	t.Parallel()
	type seen struct {
		ID, Method    string
		Roles, Scopes []string
		At            time.Time
	}
	logic := backend.NewLogic(nil, backendtest.Callers{}, backend.LogicConfig{})
	logic.Add(
		backend.Query("me", backend.Public, func(ctx context.Context, _ backend.None) (seen, error) {
			caller := backend.CallerFrom(ctx)
			return seen{string(caller.ID), caller.Method, caller.Roles, caller.Scopes, caller.At}, nil
		}, backend.Route("GET /me")),
		backend.Query("fresh", backend.Fresh(time.Minute), func(context.Context, backend.None) (backend.None, error) { return backend.None{}, nil }, backend.Route("GET /fresh")),
	)
	c := backendtest.NewClient(t, logic.REST())
	caller := backend.Caller{ID: "änn \"1\"\r\n", Roles: []string{"admin"}, Scopes: []string{"a", "b"}, Method: "token", At: time.Now()}
	me := func(c *backendtest.Client) (got seen) {
		c.Get("/me").Expect(http.StatusOK).JSON(&got)
		return got
	}
	got := me(c.As(caller))
	require.True(t, got.At.Equal(caller.At))
	got.At = caller.At
	require.Equal(t, seen{string(caller.ID), caller.Method, caller.Roles, caller.Scopes, caller.At}, got)
	nobody := seen{Roles: []string{}, Scopes: []string{}} // lists are never null
	require.Equal(t, nobody, me(c))
	require.Equal(t, nobody, me(c.As(caller).As(backend.Caller{})))
	require.Equal(t, "bob", me(c.As(caller).As(backend.Caller{ID: "bob"})).ID)

	c.As(caller).Get("/fresh").Expect(http.StatusNoContent)
	c.As(backend.Caller{ID: "ann"}).Get("/fresh").Expect(http.StatusUnauthorized)
	require.Equal(t, "unauthenticated", c.With("Backendtest-Caller", "nonsense").Get("/me").Expect(http.StatusUnauthorized).Problem().Code)
}

// Accounts are loaded by id, since a request cannot carry them.
func TestCallersLoadAccounts(t *testing.T) {
	t.Parallel()
	type user struct{ Name string }
	logic := backend.NewLogic(nil, backendtest.Callers{Account: func(_ context.Context, id backend.AccountID) (any, error) {
		if id == "gone" {
			return nil, backend.Errorf(backend.Unauthenticated, "The account is gone.")
		}
		return &user{"user " + string(id)}, nil
	}}, backend.LogicConfig{})
	logic.Add(backend.Query("me", backend.Public, func(ctx context.Context, _ backend.None) (string, error) {
		if user, ok := backend.AccountFrom[*user](ctx); ok {
			return user.Name, nil
		}
		return "nobody", nil
	}, backend.Route("GET /me")))
	c := backendtest.NewClient(t, logic.REST())
	require.Equal(t, `"user 7"`, string(c.As(backend.Caller{ID: "7"}).Get("/me").Expect(http.StatusOK).Body))
	require.Equal(t, `"nobody"`, string(c.Get("/me").Expect(http.StatusOK).Body))
	c.As(backend.Caller{ID: "gone"}).Get("/me").Expect(http.StatusUnauthorized)
}

// watched is a test that may fail.
type watched struct {
	testing.TB
	failure string
}

func (w *watched) Fatal(args ...any)                 { w.failure = fmt.Sprint(args...); runtime.Goexit() }
func (w *watched) Fatalf(format string, args ...any) { w.Fatal(fmt.Sprintf(format, args...)) }

func TestClientFailsTests(t *testing.T) {
	t.Parallel()
	for want, test := range map[string]func(c *backendtest.Client){
		`POST /a: want 201, got 200: POST /a application/json {}`:       func(c *backendtest.Client) { c.Post("/a", "{}").Expect(http.StatusCreated) },
		"GET /a: the body is not the JSON that was expected":            func(c *backendtest.Client) { var n int; c.Get("/a").JSON(&n) },
		"GET /a: the response is no problem but 200 text/plain: GET /a": func(c *backendtest.Client) { c.Get("/a").Problem() },
		"unsupported type: chan int":                                    func(c *backendtest.Client) { c.Post("/a", make(chan int)) },
		`invalid method "NO METHOD"`:                                    func(c *backendtest.Client) { c.Do("NO METHOD", "/a", nil) },
		`invalid header field value for "X-Own"`:                        func(c *backendtest.Client) { c.With("X-Own", "a\nb").Get("/a") },
		"GET /cut: the response was cut short":                          func(c *backendtest.Client) { c.Get("/cut") },
		`the path "a" does not begin with a slash`:                      func(c *backendtest.Client) { c.Get("a") },
		`the path "@evil.example/" does not begin with a slash`:         func(c *backendtest.Client) { c.Get("@evil.example/") },
		`the path "https://app.example/a" does not begin with a slash`:  func(c *backendtest.Client) { c.Get("https://app.example/a") },
	} {
		w := &watched{TB: t}
		done := make(chan struct{})
		go func() {
			defer close(done)
			test(backendtest.NewClient(w, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/cut" {
					w.Header().Set("Content-Length", "100")
				}
				echo(w, r)
			})))
		}()
		<-done
		require.Contains(t, w.failure, want)
	}
}
