package backend_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
	"github.com/seed-215b9b7c/backend/backendtest"
)

type replyIn struct {
	Fail bool `json:"fail,omitempty"`
}

type replyOut struct {
	ID int `json:"id"`
}

// replyOp returns a mutation POST /say whose function runs say.
func replyOp(say func(ctx context.Context), options ...backend.Option) *backend.Operation {
	return backend.Mutation("say", backend.Public, func(ctx context.Context, in replyIn) (replyOut, error) {
		say(ctx)
		if in.Fail {
			return replyOut{}, backend.Errorf(backend.Conflict, "It fails.")
		}
		return replyOut{ID: 7}, nil
	}, append(options, backend.Route("POST /say"))...)
}

func replyClient(t *testing.T, db *backend.DB, ops ...backend.Definition) restClient {
	logic := backend.NewLogic(db, nil, backend.LogicConfig{})
	logic.Add(ops...)
	return newRESTClient(t, logic)
}

func TestReply(t *testing.T) {
	t.Parallel()
	c := replyClient(t, nil, replyOp(func(ctx context.Context) {
		backend.SetHeader(ctx, "X-Once", "lost")
		backend.SetHeader(ctx, "x-once", "kept")
		backend.AddHeader(ctx, "X-List", "a")
		backend.AddHeader(ctx, "X-List", "b")
		backend.SetHeader(ctx, "Location", "/elsewhere")
		backend.SetCookie(ctx, &http.Cookie{Name: "theme", Value: "light"})
		backend.SetCookie(ctx, &http.Cookie{Name: "theme", Value: "dark"})
		backend.SetStatus(ctx, 202)
	}, backend.Status(201, 202)))

	w := c.do("POST", "/say", `{}`)
	require.Equal(t, 202, w.Code, w.Body)
	require.JSONEq(t, `{"id":7}`, w.Body.String())
	require.Equal(t, []string{"kept"}, w.Header()["X-Once"])
	require.Equal(t, []string{"a", "b"}, w.Header()["X-List"])
	require.Equal(t, []string{"/elsewhere"}, w.Header()["Location"])
	require.Equal(t, []string{"theme=dark; Path=/; HttpOnly; Secure; SameSite=Lax"}, w.Header()["Set-Cookie"])
	require.Equal(t, "no-store", w.Header().Get("Cache-Control"), "no cache keeps a response with a cookie")

	w = c.do("POST", "/say", `{"fail":true}`)
	require.Equal(t, 409, w.Code)
	for _, name := range []string{"X-Once", "X-List", "Location", "Set-Cookie"} {
		require.NotContains(t, w.Header(), name)
	}
}

func TestReplyOfTheStatusWithoutContent(t *testing.T) {
	t.Parallel()
	c := replyClient(t, nil, replyOp(func(ctx context.Context) { backend.SetStatus(ctx, 204) }, backend.Status(200, 204)))
	w := c.do("POST", "/say", `{}`)
	require.Equal(t, 204, w.Code)
	require.Empty(t, w.Body)
	require.NotContains(t, w.Header(), "Content-Type")
}

// What an operation cannot say fails its call, which is then undone.
func TestReplyRefuses(t *testing.T) {
	t.Parallel()
	db := backendtest.NewDB(t, backend.SQLite)
	_, err := db.Exec(t.Context(), "CREATE TABLE t (n INT)")
	require.NoError(t, err)
	for name, say := range map[string]func(ctx context.Context){
		`SetHeader: the value "a\r\nSet-Cookie: b" of X-A has a control character`: func(ctx context.Context) { backend.SetHeader(ctx, "X-A", "a\r\nSet-Cookie: b") },
		`AddHeader: "X A" is not the name of a header`:                             func(ctx context.Context) { backend.AddHeader(ctx, "X A", "a") },
		`SetHeader: the header content-type is not for operations: the door`:       func(ctx context.Context) { backend.SetHeader(ctx, "content-type", "text/html") },
		`the header Set-Cookie is not for operations: use SetCookie`:               func(ctx context.Context) { backend.AddHeader(ctx, "Set-Cookie", "a=b") },
		`the header ETag is not for operations: give the output a method ETag`:     func(ctx context.Context) { backend.SetHeader(ctx, "ETag", `"a"`) },
		`SetCookie: cookie "a b": `:                                                func(ctx context.Context) { backend.SetCookie(ctx, &http.Cookie{Name: "a b"}) },
		`SetCookie: SameSite is None`: func(ctx context.Context) {
			backend.SetCookie(ctx, &http.Cookie{Name: "a", SameSite: http.SameSiteNoneMode})
		},
		`SetInsecureCookie: cookie "a": `:                                                  func(ctx context.Context) { backend.SetInsecureCookie(ctx, &http.Cookie{Name: "a", Value: "\n"}) },
		`SetHeader: the response may vary by more than the operation knows; use AddHeader`: func(ctx context.Context) { backend.SetHeader(ctx, "vary", "X") },
		`SetHeader: the value "\xff" of X-A is not UTF-8`:                                  func(ctx context.Context) { backend.SetHeader(ctx, "X-A", "\xff") },
		`SetCookie: cookie "__Host-a": browsers refuse a cookie with this name, unless`: func(ctx context.Context) {
			backend.SetCookie(ctx, &http.Cookie{Name: "__Host-a", Domain: "example.com"})
		},
		`SetCookie: cookie "__hOST-b": browsers refuse a cookie with this name, unless`: func(ctx context.Context) {
			backend.SetCookie(ctx, &http.Cookie{Name: "__hOST-b", Path: "/b"})
		},
		`SetInsecureCookie: cookie "__Secure-a": browsers refuse a cookie with this name without Secure`: func(ctx context.Context) {
			backend.SetInsecureCookie(ctx, &http.Cookie{Name: "__Secure-a"})
		},
		`SetStatus(404): the option Status does not list it`: func(ctx context.Context) { backend.SetStatus(ctx, 404) },
	} {
		logic := backend.NewLogic(db, nil, backend.LogicConfig{})
		logic.Add(replyOp(func(ctx context.Context) {
			_, err := db.Exec(ctx, "INSERT INTO t VALUES (1)")
			require.NoError(t, err)
			say(ctx)
			backend.SetHeader(ctx, "X-Fine", "yes")
		}, backend.Status(200, 201)))
		_, err := backend.Call[replyOut](t.Context(), logic, "say", replyIn{})
		require.ErrorContains(t, err, name)
		require.Equal(t, backend.Internal, backend.CodeOf(err))
		w := newRESTClient(t, logic).do("POST", "/say", `{}`)
		require.Equal(t, 500, w.Code)
		require.NotContains(t, w.Header(), "X-Fine")
	}
	n, err := backend.One[int](t.Context(), db, "SELECT COUNT(*) FROM t")
	require.NoError(t, err)
	require.Zero(t, n)
}

// What the run of a lost transaction has said is forgotten.
func TestReplyOfTheLastRun(t *testing.T) {
	t.Parallel()
	lost(t, func(t *testing.T, db *backend.DB, lose func(context.Context) error) {
		runs := 0
		c := replyClient(t, db, backend.Mutation("say", backend.Public, func(ctx context.Context, _ backend.None) (replyOut, error) {
			backend.AddHeader(ctx, "X-Run", strconv.Itoa(runs))
			if runs++; runs > 1 {
				return replyOut{}, nil
			}
			backend.SetCookie(ctx, &http.Cookie{Name: "first"})
			backend.SetStatus(ctx, 599)
			return replyOut{}, lose(ctx)
		}, backend.Route("POST /say")))
		w := c.do("POST", "/say", "")
		require.Equal(t, 201, w.Code, w.Body)
		require.NotContains(t, w.Header(), "Set-Cookie")
		require.Equal(t, []string{"1"}, w.Header()["X-Run"])
	})
}

func TestReplyIsReplayed(t *testing.T) {
	t.Parallel()
	backendtest.EachDB(t, func(t *testing.T, db *backend.DB) {
		require.NoError(t, db.Migrate(t.Context(), nil))
		runs := 0
		c := replyClient(t, db, replyOp(func(ctx context.Context) {
			if runs++; runs > 1 {
				return
			}
			backend.SetHeader(ctx, "X-Version", "3")
			backend.AddHeader(ctx, "Vary", "X-Tenant")
			backend.SetCookie(ctx, &http.Cookie{Name: "a", Value: "b", MaxAge: 60})
			backend.SetStatus(ctx, 202)
		}, backend.Status(200, 202), backend.Idempotent()))
		first := c.do("POST", "/say", `{}`, "Idempotency-Key", "k")
		again := c.do("POST", "/say", `{}`, "Idempotency-Key", "k")
		require.Equal(t, "true", again.Header().Get("Idempotency-Replayed"))
		again.Header().Del("Idempotency-Replayed")
		require.Equal(t, 202, first.Code, first.Body)
		require.Equal(t, first.Code, again.Code)
		require.Equal(t, first.Header(), again.Header())
		require.Equal(t, first.Body.String(), again.Body.String())

		plain := c.do("POST", "/say", `{}`, "Idempotency-Key", "other")
		require.Equal(t, 200, plain.Code, "runs that say nothing store nothing")
		again = c.do("POST", "/say", `{}`, "Idempotency-Key", "other")
		require.Equal(t, 200, again.Code)
		require.NotContains(t, again.Header(), "X-Version")
		require.Equal(t, 2, runs)
	})
}

// A call within a call, or within a handler, says what it says to the response of the outer one.
func TestReplyOfInnerCalls(t *testing.T) {
	t.Parallel()
	logic := backend.NewLogic(nil, nil, backend.LogicConfig{})
	inner := backend.Mutation("inner", backend.Public, func(ctx context.Context, in replyIn) (backend.None, error) {
		backend.SetCookie(ctx, &http.Cookie{Name: "session", Value: "s"})
		backend.AddHeader(ctx, "X-List", "inner")
		backend.SetStatus(ctx, 202)
		if in.Fail {
			return backend.None{}, errors.New("it fails")
		}
		return backend.None{}, nil
	}, backend.Status(204, 202))
	logic.Add(inner, replyOp(func(ctx context.Context) {
		backend.AddHeader(ctx, "X-List", "outer")
		_, err := backend.Call[backend.None](ctx, logic, "inner", replyIn{Fail: true})
		require.Error(t, err)
		_, err = backend.Call[backend.None](ctx, logic, "inner", replyIn{})
		require.NoError(t, err)
	}))
	w := newRESTClient(t, logic).do("POST", "/say", `{}`)
	require.Equal(t, 201, w.Code)
	require.Equal(t, []string{"outer", "inner"}, w.Header()["X-List"])
	require.Len(t, w.Header()["Set-Cookie"], 1)

	page := backend.Stack(backend.StackConfig{})(backend.Handler(func(w http.ResponseWriter, r *http.Request) error {
		ctx, err := logic.Authenticate(r)
		require.NoError(t, err)
		var wait sync.WaitGroup
		for range 8 {
			wait.Go(func() { backend.Call[backend.None](ctx, logic, "inner", replyIn{}) })
		}
		wait.Wait()
		backend.SetHeader(r.Context(), "X-Page", "yes")
		return backend.Errorf(backend.NotFound, "There is no such page.")
	}))
	w = httptest.NewRecorder()
	page.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	require.Equal(t, 404, w.Code, "the handler has the last word about the status")
	require.Len(t, w.Header()["X-List"], 8)
	require.Len(t, w.Header()["Set-Cookie"], 1)
	require.Equal(t, "yes", w.Header().Get("X-Page"))
	require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
}

// Nothing that is said too late has an effect, and nothing fails without a response.
func TestReplyOutsideOfResponses(t *testing.T) {
	t.Parallel()
	backend.SetHeader(t.Context(), "X-A", "a")
	var kept context.Context
	c := replyClient(t, nil, replyOp(func(ctx context.Context) { kept = ctx }))
	w := c.do("POST", "/say", `{}`)
	backend.SetHeader(kept, "X-Late", "a")
	require.Equal(t, 201, w.Code)
	require.NotContains(t, w.Header(), "X-Late")

	broken := backend.Stack(backend.StackConfig{})(mustRun(t, func(w http.ResponseWriter, r *http.Request) {
		backend.SetHeader(r.Context(), "X-A", "\n")
		w.Write([]byte("page"))
	}))
	w = httptest.NewRecorder()
	broken.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	require.Equal(t, 500, w.Code)
}

func TestCookieAttributes(t *testing.T) {
	t.Parallel()
	c := replyClient(t, nil, replyOp(func(ctx context.Context) {
		backend.SetCookie(ctx, &http.Cookie{Name: "a", Path: "/x", SameSite: http.SameSiteStrictMode, MaxAge: -1})
		backend.SetCookie(ctx, &http.Cookie{Name: "__Host-b"})
		backend.SetInsecureCookie(ctx, &http.Cookie{Name: "c", Value: "1"})
		backend.SetInsecureCookie(ctx, &http.Cookie{Name: "d", Secure: true, SameSite: http.SameSiteNoneMode})
		backend.SetCookie(ctx, &http.Cookie{Name: "e", Partitioned: true})
	}))
	for host, secure := range map[string]string{
		"example.com": " Secure;", "localhost.example.com": " Secure;", "localhost:8080": "", "127.0.0.1:8080": "", "[::1]:8080": "", "LOCALHOST": "",
	} {
		r := httptest.NewRequest("POST", "/api/say", strings.NewReader(`{}`))
		r.Header.Set("Content-Type", "application/json")
		r.Host = host
		w := httptest.NewRecorder()
		c.h.ServeHTTP(w, r)
		require.Equal(t, []string{
			"a=; Path=/x; Max-Age=0; HttpOnly;" + secure + " SameSite=Strict",
			"__Host-b=; Path=/; HttpOnly; Secure; SameSite=Lax",
			"c=1",
			"d=; Secure; SameSite=None",
			"e=; Path=/; HttpOnly; Secure; SameSite=Lax; Partitioned",
		}, w.Header()["Set-Cookie"], host)
	}
}

// A goroutine that the function has left behind says things while they are stored. With the
// race detector off, the maps of Go would end the process.
func TestReplyOfForgottenGoroutines(t *testing.T) {
	t.Parallel()
	db := backendtest.NewDB(t, backend.SQLite)
	require.NoError(t, db.Migrate(t.Context(), nil))
	var wait sync.WaitGroup
	c := replyClient(t, db, replyOp(func(ctx context.Context) {
		backend.SetHeader(ctx, "X-0", "0")
		wait.Go(func() {
			for i := range 2000 {
				backend.SetHeader(ctx, "X-"+strconv.Itoa(i%100), "a")
			}
		})
	}, backend.Idempotent()))
	for i := range 10 {
		require.Equal(t, 201, c.do("POST", "/say", `{}`, "Idempotency-Key", strconv.Itoa(i)).Code)
	}
	wait.Wait()
}

// sayer is an Authenticator that says something about each response.
type sayer func(ctx context.Context)

func (s sayer) Authenticate(_ context.Context, r *http.Request) (backend.Caller, error) {
	s(r.Context())
	return backend.Caller{ID: "7"}, nil
}

// What an operation says counts, and not what the Authenticator has said before: who signs
// out stays so, though the session was just renewed.
func TestReplyAfterTheAuthenticator(t *testing.T) {
	t.Parallel()
	renew := sayer(func(ctx context.Context) {
		backend.SetCookie(ctx, &http.Cookie{Name: "session", Value: "renewed"})
		backend.SetHeader(ctx, "X-By", "authenticator")
		backend.AddHeader(ctx, "X-List", "authenticator")
		backend.SetHeader(ctx, "X-Session", "renewed")
	})
	say := func(ctx context.Context) {}
	logic := backend.NewLogic(nil, renew, backend.LogicConfig{})
	logic.Add(replyOp(func(ctx context.Context) { say(ctx) }, backend.Status(201, 202)))
	rest := newRESTClient(t, logic)
	c := restClient{t, backend.Stack(backend.StackConfig{})(rest.h), "ann"}
	for _, test := range []struct {
		say     func(ctx context.Context)
		body    string
		cookies []string
		by      string
		list    []string
		cache   []string
		status  int
	}{
		{func(context.Context) {}, `{}`, []string{"session=renewed"}, "authenticator", []string{"authenticator"}, []string{"no-store"}, 201},
		{func(ctx context.Context) {
			backend.SetCookie(ctx, &http.Cookie{Name: "session", MaxAge: -1})
			backend.SetHeader(ctx, "X-By", "operation")
			backend.AddHeader(ctx, "X-List", "operation")
			backend.SetHeader(ctx, "Cache-Control", "public, max-age=60")
			backend.SetStatus(ctx, 202)
		}, `{}`, []string{"session="}, "operation", []string{"authenticator", "operation"}, []string{"no-store"}, 202},
		{func(ctx context.Context) { backend.SetHeader(ctx, "X-By", "operation") }, `{"fail":true}`, []string{"session=renewed"}, "authenticator", []string{"authenticator"}, []string{"no-store"}, 409},
	} {
		say = test.say
		w := c.do("POST", "/say", test.body)
		require.Equal(t, test.status, w.Code, w.Body)
		var cookies []string
		for _, line := range w.Header()["Set-Cookie"] {
			cookie, _, _ := strings.Cut(line, ";")
			cookies = append(cookies, cookie)
		}
		require.Equal(t, test.cookies, cookies)
		require.Equal(t, test.by, w.Header().Get("X-By"))
		require.Equal(t, test.list, w.Header()["X-List"])
		require.Equal(t, "renewed", w.Header().Get("X-Session"))
		require.Equal(t, test.cache, w.Header()["Cache-Control"])
	}
}

func TestHeadersThatAreSetAndAdded(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		say  func(ctx context.Context)
		want []string
	}{
		{func(ctx context.Context) { backend.AddHeader(ctx, "Cache-Control", "no-transform") }, []string{"private, max-age=3600", "no-transform"}},
		{func(ctx context.Context) {
			backend.AddHeader(ctx, "Cache-Control", "no-transform")
			backend.SetHeader(ctx, "Cache-Control", "no-cache")
		}, []string{"no-cache"}},
		{func(ctx context.Context) {
			backend.SetHeader(ctx, "Cache-Control", "no-cache")
			backend.AddHeader(ctx, "Cache-Control", "no-transform")
		}, []string{"no-cache", "no-transform"}},
		{func(ctx context.Context) {
			backend.AddHeader(ctx, "Cache-Control", "no-transform")
			backend.SetCookie(ctx, &http.Cookie{Name: "a"})
		}, []string{"no-store", "no-transform"}},
		{func(ctx context.Context) {
			backend.SetHeader(ctx, "Cache-Control", "private")
			backend.SetCookie(ctx, &http.Cookie{Name: "a"})
		}, []string{"private"}},
	} {
		logic := backend.NewLogic(nil, sayer(func(context.Context) {}), backend.LogicConfig{})
		logic.Add(backend.Query("say", backend.Public, func(ctx context.Context, _ backend.None) (int, error) {
			test.say(ctx)
			return 1, nil
		}, backend.Route("GET /say"), backend.MaxAge(time.Hour)), backend.Query("outer", backend.Public, func(ctx context.Context, _ backend.None) (int, error) {
			return backend.Call[int](ctx, logic, "say", backend.None{})
		}, backend.Route("GET /outer"), backend.MaxAge(time.Hour)))
		c := newRESTClient(t, logic)
		require.Equal(t, test.want, c.do("GET", "/say", "").Header()["Cache-Control"])
		require.Equal(t, test.want, c.do("GET", "/outer", "").Header()["Cache-Control"])
	}
}
