package backend_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
	"github.com/seed-215b9b7c/backend/backendtest"
)

// These tests are about the session of one request: its goroutines and transactions, and the
// ways in which a response begins.

// instead returns a handler that calls f for a path, and otherwise does the actions.
func instead(s *backend.Sessions, path string, f func(w http.ResponseWriter, r *http.Request) error) func(w http.ResponseWriter, r *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		if r.URL.Path == path {
			return f(w, r)
		}
		return actions(s)(w, r)
	}
}

// migrated runs test with sessions in a database of each engine.
func migrated(t *testing.T, test func(t *testing.T, db *backend.DB, s *backend.Sessions)) {
	t.Helper()
	backendtest.EachDB(t, func(t *testing.T, db *backend.DB) {
		require.NoError(t, db.Migrate(t.Context(), nil))
		test(t, db, backend.NewSessions(db, backend.SessionConfig{}))
	})
}

// inMemory runs test in virtual time, with sessions in memory.
func inMemory(t *testing.T, test func(t *testing.T, s *backend.Sessions)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { test(t, backend.NewSessions(nil, backend.SessionConfig{})) })
}

// TestSessionGoroutines: what goroutines of one request change at the same time is all kept,
// and the browser gets the cookie.
func TestSessionGoroutines(t *testing.T) {
	t.Parallel()
	eachSessions(t, func(t *testing.T, db *backend.DB, s *backend.Sessions) {
		for name, change := range map[string]func(context.Context) error{
			"Renew":  s.Renew,
			"SignIn": func(ctx context.Context) error { return s.SignIn(ctx, "12", backend.SignInConfig{}) },
		} {
			for _, had := range []bool{true, false} {
				site := newVisitor(t, s, instead(s, "/both", func(w http.ResponseWriter, r *http.Request) error {
					errs := make([]error, 5)
					var all sync.WaitGroup
					for i := range errs {
						all.Go(func() {
							if i == 0 {
								errs[i] = change(r.Context())
							} else {
								errs[i] = countKey.Update(r.Context(), func(n *int) error { *n++; return nil })
							}
						})
					}
					all.Wait()
					return errors.Join(errs...)
				}))
				if had {
					site.get("/signin/12")
				}
				site.get("/both")
				require.Equal(t, "4", site.get("/counted"), "%s, %v", name, had)
				if had || name == "SignIn" {
					require.Equal(t, "12 session", site.get("/who"), "%s, %v", name, had)
				}
			}
		}
	})
}

// TestSessionWithinUpdate: a function of Update that uses the session itself gets an error,
// and does not wait for ever.
func TestSessionWithinUpdate(t *testing.T) {
	inMemory(t, func(t *testing.T, s *backend.Sessions) {
		var failure error
		site := newVisitor(t, s, func(w http.ResponseWriter, r *http.Request) error {
			return countKey.Update(r.Context(), func(n *int) error {
				*n++
				failure = flashKey.Set(r.Context(), "lost")
				return nil
			})
		})
		for range 2 { // without a session, and with one
			site.get("/")
			require.ErrorContains(t, failure, "must not use the session itself")
		}
		require.Equal(t, `{"count":2}`, string(site.stored().Values))
	})
}

// TestSessionAndWriter: a goroutine that changes the session and waits for SQLite's writer,
// and one that has the writer and waits for the session, do not wait for ever.
func TestSessionAndWriter(t *testing.T) {
	t.Parallel()
	db := backendtest.NewDB(t, backend.SQLite)
	require.NoError(t, db.Migrate(t.Context(), nil))
	s := backend.NewSessions(db, backend.SessionConfig{})
	var inside, outside error
	site := newVisitor(t, s, instead(s, "/both", func(w http.ResponseWriter, r *http.Request) error {
		writing, changing := make(chan struct{}), make(chan struct{})
		var once sync.Once
		var all sync.WaitGroup
		all.Go(func() {
			inside = db.Tx(r.Context(), func(ctx context.Context) error {
				close(writing)
				<-changing
				return flashKey.Set(ctx, "lost")
			})
		})
		all.Go(func() {
			<-writing
			outside = countKey.Update(r.Context(), func(n *int) error {
				once.Do(func() { close(changing) })
				*n++
				return nil
			})
		})
		all.Wait()
		return nil
	}))
	site.get("/both")
	require.ErrorContains(t, inside, "is being changed by another goroutine")
	require.NoError(t, outside)
	require.Equal(t, "1", site.get("/counted"))
}

// TestSessionIsolation: what a transaction has not committed is not seen outside.
func TestSessionIsolation(t *testing.T) {
	t.Parallel()
	migrated(t, func(t *testing.T, db *backend.DB, s *backend.Sessions) {
		undo := errors.New("undone")
		for _, commits := range []bool{true, false} {
			site := newVisitor(t, s, func(w http.ResponseWriter, r *http.Request) error {
				who := func(ctx context.Context) backend.AccountID {
					caller, err := s.Authenticate(ctx, r)
					require.NoError(t, err)
					return caller.ID
				}
				err := db.Tx(r.Context(), func(ctx context.Context) error {
					require.NoError(t, s.SignIn(ctx, "12", backend.SignInConfig{}))
					require.Equal(t, backend.AccountID("12"), who(ctx))
					require.Empty(t, who(r.Context()))
					if commits {
						return nil
					}
					return undo
				})
				require.Equal(t, commits, who(r.Context()) == "12")
				return ignore(undo, err)
			})
			site.get("/")
		}
	})
}

// TestSessionInRunsThatAreLost: the transaction of a mutation that runs again changes the
// session once.
func TestSessionInRunsThatAreLost(t *testing.T) {
	t.Parallel()
	lost(t, func(t *testing.T, db *backend.DB, lose func(context.Context) error) {
		require.NoError(t, db.Migrate(t.Context(), nil))
		s := backend.NewSessions(db, backend.SessionConfig{})
		runs := 0
		logic := backend.NewLogic(db, s, backend.LogicConfig{Logger: slog.New(slog.DiscardHandler)})
		logic.Add(backend.Mutation("signIn", backend.Public, func(ctx context.Context, _ backend.None) (backend.None, error) {
			err := s.SignIn(ctx, "12", backend.SignInConfig{})
			if err == nil {
				err = countKey.Update(ctx, func(n *int) error { *n++; return nil })
			}
			if runs++; err == nil && runs < 3 {
				err = lose(ctx)
			}
			return backend.None{}, err
		}, backend.Route("POST /sign-in")))
		for i, counts := range []int{0, 1} {
			site := newVisitor(t, s, actions(s))
			for range counts {
				site.get("/count")
			}
			runs = 0
			pages := site.handler
			site.handler = s.Middleware(logic.REST())
			require.Equal(t, http.StatusNoContent, site.send(site.request(t.Context(), "POST", "/sign-in")).Code)
			require.Equal(t, 3, runs)
			require.Len(t, site.last.Cookies(), 1)
			site.handler = pages
			require.Equal(t, "12 session", site.get("/who"))
			require.Equal(t, fmt.Sprint(counts+1), site.get("/counted"))
			list, err := s.List(t.Context(), "12")
			require.NoError(t, err)
			require.Len(t, list, i+1)
		}
	})
}

// TestSessionHijack: a connection is not hijacked while its browser has not got the cookie.
func TestSessionHijack(t *testing.T) {
	t.Parallel()
	s := backend.NewSessions(nil, backend.SessionConfig{})
	var failure error
	handler := s.Middleware(backend.Handler(func(w http.ResponseWriter, r *http.Request) error {
		path, hijacks := strings.CutSuffix(r.URL.Path, "/hijack")
		if !hijacks {
			return actions(s)(w, r)
		}
		r.URL.Path = path
		if err := actions(s)(httptest.NewRecorder(), r); err != nil {
			return err
		}
		conn, _, err := http.NewResponseController(w).Hijack()
		if failure = err; err == nil {
			fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
			conn.Close()
		}
		return err
	}))
	for _, path := range []string{"/signin/12", "/say/hello"} {
		client := backendtest.NewClient(t, handler)
		client.Get(path + "/hijack").Expect(http.StatusInternalServerError)
		require.ErrorContains(t, failure, "would not get the cookie", path)
	}
	client := backendtest.NewClient(t, handler)
	client.Get("/signin/12").Expect(http.StatusOK)
	for _, path := range []string{"/who", "/count"} {
		client.Get(path + "/hijack").Expect(http.StatusOK)
		require.NoError(t, failure, path)
	}
	for _, path := range []string{"/renew", "/signout"} {
		client.Get(path + "/hijack").Expect(http.StatusInternalServerError)
		require.ErrorContains(t, failure, "would not get the cookie", path)
	}
}

// TestSessionAfterHandler: a goroutine that begins a session after the handler has returned
// gets an error, also if the handler has written nothing.
func TestSessionAfterHandler(t *testing.T) {
	t.Parallel()
	s := backend.NewSessions(nil, backend.SessionConfig{})
	var left context.Context
	site := newVisitor(t, s, func(w http.ResponseWriter, r *http.Request) error {
		left = r.Context()
		return nil
	})
	site.send(site.request(t.Context(), "GET", "/"))
	require.ErrorContains(t, flashKey.Set(left, "late"), "before writing the response")
}

// TestSessionResponses: the cookie comes once with every kind of response, and no cache keeps
// it.
func TestSessionResponses(t *testing.T) {
	t.Parallel()
	s := backend.NewSessions(nil, backend.SessionConfig{})
	for name, answer := range map[string]http.HandlerFunc{
		"nothing":      func(http.ResponseWriter, *http.Request) {},
		"a body":       func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, strings.Repeat("long ", 1000)) },
		"a redirect":   func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/", http.StatusSeeOther) },
		"not modified": func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusNotModified) },
		"an error":     func(w http.ResponseWriter, r *http.Request) { backend.WriteError(w, r, errors.New("wrong")) },
		"a panic":      func(http.ResponseWriter, *http.Request) { panic("wrong") },
		"public":       func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Cache-Control", "public, max-age=600") },
		"early hints":  func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusEarlyHints) },
		"a stream":     func(w http.ResponseWriter, r *http.Request) { _ = http.NewResponseController(w).Flush() },
		"other cookies": func(w http.ResponseWriter, r *http.Request) {
			http.SetCookie(w, &http.Cookie{Name: "theme", Value: "dark"})
		},
	} {
		for _, method := range []string{"GET", "HEAD"} {
			stack := backend.Stack(backend.StackConfig{Logger: slog.New(slog.DiscardHandler)})
			client := backendtest.NewClient(t, stack(s.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if err := flashKey.Set(r.Context(), "hello"); err != nil {
					t.Error(err)
				}
				answer(w, r)
			}))))
			response := client.With("Accept-Encoding", "gzip").Do(method, "/", nil)
			require.Equal(t, "no-store", response.Header.Get("Cache-Control"), "%s %s", method, name)
			require.Contains(t, strings.Join(response.Header.Values("Vary"), ","), "Cookie", "%s %s", method, name)
			sent := 0
			for _, cookie := range response.Cookies() {
				if cookie.Name == "sid" {
					sent++
				}
			}
			require.Equal(t, 1, sent, "%s %s", method, name)
		}
	}
}

// TestSessionSignOutCookie: browsers delete a cookie by one with the same attributes (RFC
// 6265, section 5.3).
func TestSessionSignOutCookie(t *testing.T) {
	t.Parallel()
	s := backend.NewSessions(nil, backend.SessionConfig{})
	site := newVisitor(t, s, actions(s))
	site.get("/signin/12")
	set := site.last.Cookies()[0]
	site.get("/signout")
	require.Len(t, site.last.Cookies(), 1)
	deleted := site.last.Cookies()[0]
	require.Negative(t, deleted.MaxAge)
	require.Empty(t, deleted.Value)
	deleted.MaxAge, deleted.Value, deleted.Raw = set.MaxAge, set.Value, set.Raw
	require.Equal(t, set, deleted)
}

// TestSessionRemembers: the time of signing in is what counts for Fresh and for the lifetime.
func TestSessionRemembers(t *testing.T) {
	inMemory(t, func(t *testing.T, s *backend.Sessions) {
		site := newVisitor(t, s, actions(s))
		site.get("/remember/12")
		began := *site.stored().AuthenticatedAt
		time.Sleep(10 * 24 * time.Hour)
		site.get("/renew")
		require.Equal(t, 20*24*60*60, site.last.Cookies()[0].MaxAge)
		require.Equal(t, began, *site.stored().AuthenticatedAt)
		require.Equal(t, began, site.stored().CreatedAt)
	})
}

// TestSessionDoesNotAge: a request that takes long does not set back the time of the others.
func TestSessionDoesNotAge(t *testing.T) {
	inMemory(t, func(t *testing.T, s *backend.Sessions) {
		site := newVisitor(t, s, instead(s, "/slow", func(w http.ResponseWriter, r *http.Request) error {
			if _, err := flashKey.Get(r.Context()); err != nil {
				return err
			}
			time.Sleep(70 * time.Minute)
			return flashKey.Set(r.Context(), "done")
		}))
		site.get("/signin/12")
		slow := site.other()
		var all sync.WaitGroup
		all.Go(func() { slow.get("/slow") })
		for range 8 {
			time.Sleep(10 * time.Minute)
			require.Equal(t, "12 session", site.get("/who"))
		}
		all.Wait()
		require.Equal(t, "done", site.get("/flash"))
	})
}

// TestSessionTouchInTransaction: the time of a request is stored, also if it reads its session
// only in a transaction.
func TestSessionTouchInTransaction(t *testing.T) {
	t.Parallel()
	migrated(t, func(t *testing.T, db *backend.DB, s *backend.Sessions) {
		site := newVisitor(t, s, instead(s, "/tx", func(w http.ResponseWriter, r *http.Request) error {
			return db.Tx(r.Context(), func(ctx context.Context) error {
				_, err := countKey.Get(ctx)
				return err
			}, backend.ReadOnly)
		}))
		site.get("/signin/12")
		for _, path := range []string{"/tx", "/who"} {
			earlier := time.Now().Add(-2 * time.Minute)
			_, err := db.Exec(t.Context(), "UPDATE backend_sessions SET seen_at = ?", earlier)
			require.NoError(t, err)
			site.get(path)
			require.True(t, site.stored().SeenAt.After(earlier.Add(time.Minute)), path)
		}
	})
}

// TestSessionsPerAccountAtOnce: of many sign-ins at the same time, no more than 20 stay.
func TestSessionsPerAccountAtOnce(t *testing.T) {
	t.Parallel()
	eachSessions(t, func(t *testing.T, db *backend.DB, s *backend.Sessions) {
		var all sync.WaitGroup
		for range 30 {
			all.Go(func() { newVisitor(t, s, actions(s)).get("/signin/12") })
		}
		all.Wait()
		list, err := s.List(t.Context(), "12")
		require.NoError(t, err)
		require.Len(t, list, 20)
	})
}

// TestSessionsThatAreOverDoNotCount: a session that is alive does not end because of dead ones.
func TestSessionsThatAreOverDoNotCount(t *testing.T) {
	inMemory(t, func(t *testing.T, s *backend.Sessions) {
		phone := newVisitor(t, s, actions(s))
		phone.get("/remember/12")
		for range 30 {
			time.Sleep(6 * time.Hour)
			newVisitor(t, s, actions(s)).get("/signin/12")
		}
		time.Sleep(2 * time.Hour)
		list, err := s.List(t.Context(), "12")
		require.NoError(t, err)
		require.Len(t, list, 1, "the last one on the desktop is over, too")
		require.Equal(t, "12 session", phone.get("/who"))
	})
}

// TestSessionsAreCleaned: sessions that are over are deleted now and then.
func TestSessionsAreCleaned(t *testing.T) {
	inMemory(t, func(t *testing.T, s *backend.Sessions) {
		old := newVisitor(t, s, actions(s))
		old.get("/signin/12")
		time.Sleep(25 * time.Hour)
		for range 10_000 { // one of 256 cleans
			if old.stored() == nil {
				return
			}
			newVisitor(t, s, actions(s)).get("/say/hello")
		}
		t.Error("nothing was deleted")
	})
}

// TestSessionBehindProxies: behind a proxy, which may speak TLS to the browser, the cookie is
// that of TLS, and has one name in both directions.
func TestSessionBehindProxies(t *testing.T) {
	t.Parallel()
	for name, value := range map[string]string{"HTTP/1.0": "", "X-Real-Ip": "192.0.2.9", "X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.9", "Forwarded": "for=192.0.2.9", "Via": "1.1 proxy"} {
		for _, trusted := range []string{"", "192.0.2.1"} {
			s := backend.NewSessions(nil, backend.SessionConfig{})
			site := newVisitor(t, s, actions(s))
			if trusted != "" {
				site.handler = backend.TrustProxies(trusted)(site.handler)
			}
			send := func(path string) string {
				r := httptest.NewRequest("GET", "http://127.0.0.1:8080"+path, nil)
				if name == "HTTP/1.0" { // as nginx sends it
					r.Proto, r.ProtoMajor, r.ProtoMinor = name, 1, 0
				} else {
					r.Header.Set(name, value)
				}
				for name, value := range site.cookies {
					r.AddCookie(&http.Cookie{Name: name, Value: value})
				}
				return site.send(r).Body.String()
			}
			send("/signin/12")
			require.True(t, site.last.Cookies()[0].Secure, "%s %q", name, trusted)
			require.Contains(t, site.cookies, "__Host-sid", "%s %q", name, trusted)
			require.Equal(t, "12 session", send("/who"), "%s %q", name, trusted)
		}
	}
}

// TestSessionMiddlewareTwice: the same sessions twice are one, and others have their own cookie.
func TestSessionMiddlewareTwice(t *testing.T) {
	t.Parallel()
	s, admin := backend.NewSessions(nil, backend.SessionConfig{}), backend.NewSessions(nil, backend.SessionConfig{Cookie: "admin"})
	between := func(next http.Handler) http.Handler {
		return backend.Handler(func(w http.ResponseWriter, r *http.Request) error {
			err := countKey.Set(r.Context(), 7)
			next.ServeHTTP(w, r)
			return err
		})
	}
	site := newVisitor(t, s, actions(s))
	pages := backend.Handler(actions(s))
	site.handler = s.Middleware(between(s.Middleware(pages)))
	require.Equal(t, "7", site.get("/counted"))
	require.Len(t, site.last.Cookies(), 1)

	site = newVisitor(t, s, actions(s))
	site.handler = s.Middleware(between(admin.Middleware(pages)))
	site.get("/signin/12")
	require.Equal(t, "12 session", site.get("/who"), "the outer one")
	require.Equal(t, "0", site.get("/counted"), "a key uses the inner one")
	site.get("/say/hello")
	require.Len(t, site.cookies, 2)
	require.Contains(t, site.cookies, "__Host-admin")
	require.Equal(t, "12 session", site.get("/who"))
}

// TestSessionBehindTimeoutHandler: the session is there behind a response that cannot be
// unwrapped, and its cookie comes with the real one.
func TestSessionBehindTimeoutHandler(t *testing.T) {
	t.Parallel()
	s := backend.NewSessions(nil, backend.SessionConfig{})
	site := newVisitor(t, s, actions(s))
	site.handler = s.Middleware(http.TimeoutHandler(backend.RequestID()(backend.Handler(actions(s))), time.Minute, ""))
	site.get("/signin/12")
	require.Equal(t, "12 session", site.get("/who"))
}

// TestSessionStoreOfTables: a store of the package's tables has transactions, wherever it comes
// from.
func TestSessionStoreOfTables(t *testing.T) {
	t.Parallel()
	db := backendtest.NewDB(t, backend.SQLite)
	require.NoError(t, db.Migrate(t.Context(), nil))
	s := backend.NewSessions(nil, backend.SessionConfig{Store: backend.NewSessions(db, backend.SessionConfig{}).Store()})
	undo := errors.New("undone")
	site := newVisitor(t, s, func(w http.ResponseWriter, r *http.Request) error {
		return ignore(undo, db.Tx(r.Context(), func(ctx context.Context) error {
			return errors.Join(s.SignIn(ctx, "12", backend.SignInConfig{}), undo)
		}))
	})
	site.get("/")
	require.Empty(t, site.last.Cookies())
}

// TestSessionEndOfCurrent: ending the session of the request is signing out, also in a
// transaction, after which the response must be written.
func TestSessionEndOfCurrent(t *testing.T) {
	t.Parallel()
	eachSessions(t, func(t *testing.T, db *backend.DB, s *backend.Sessions) {
		end := func(ctx context.Context) error {
			list, err := s.List(ctx, "12")
			if err != nil {
				return err
			}
			return s.End(ctx, "12", list[0].ID)
		}
		site := newVisitor(t, s, instead(s, "/end", func(w http.ResponseWriter, r *http.Request) error {
			if err := end(r.Context()); err != nil {
				return err
			}
			caller, err := s.Authenticate(r.Context(), r)
			return respond(w, err, "now: "+string(caller.ID))
		}))
		site.get("/signin/12")
		require.Equal(t, "now: ", site.get("/end"))
		require.Empty(t, site.cookies)
		if db == nil {
			return
		}
		site = newVisitor(t, s, instead(s, "/end", func(w http.ResponseWriter, r *http.Request) error {
			return db.Tx(r.Context(), func(ctx context.Context) error {
				return respond(w, end(ctx), "too early")
			})
		}))
		site.get("/signin/12")
		require.Equal(t, http.StatusInternalServerError, site.send(site.request(t.Context(), "GET", "/end")).Code)
	})
}

// TestSessionAndIdempotencyKeys: a replayed response has no cookie, so an operation with keys
// cannot sign in.
func TestSessionAndIdempotencyKeys(t *testing.T) {
	t.Parallel()
	db := backendtest.NewDB(t, backend.SQLite)
	require.NoError(t, db.Migrate(t.Context(), nil))
	s := backend.NewSessions(db, backend.SessionConfig{})
	var failure error
	logic := backend.NewLogic(db, s, backend.LogicConfig{Logger: slog.New(slog.DiscardHandler)})
	logic.Add(backend.Mutation("signIn", backend.Public, func(ctx context.Context, _ backend.None) (backend.None, error) {
		failure = s.SignIn(ctx, "12", backend.SignInConfig{})
		return backend.None{}, failure
	}, backend.Route("POST /sign-in"), backend.Idempotent()))
	client := backendtest.NewClient(t, s.Middleware(logic.REST()))
	client.Post("/sign-in", nil).Expect(http.StatusInternalServerError)
	require.ErrorContains(t, failure, "operation signIn has idempotency keys")
}

// fullStore is a store that takes no more sessions.
type fullStore struct{ backend.SessionStore }

func (fullStore) Insert(context.Context, *backend.StoredSession) error {
	return backend.Errorf(backend.Unavailable, "The store is full.")
}

// TestSessionStoreFull: an error of signing in leaves the session that there is.
func TestSessionStoreFull(t *testing.T) {
	t.Parallel()
	s := backend.NewSessions(nil, backend.SessionConfig{})
	site := newVisitor(t, s, actions(s))
	site.get("/signin/12")
	full := backend.NewSessions(nil, backend.SessionConfig{Store: fullStore{s.Store()}})
	site.handler = full.Middleware(backend.Handler(actions(full)))
	require.Equal(t, http.StatusServiceUnavailable, site.send(site.request(t.Context(), "GET", "/signin/12")).Code)
	require.Equal(t, "12 session", site.get("/who"))
}

// TestSessionValueOfOtherType: a value that an earlier version of the program has stored is an
// error once if it is taken.
func TestSessionValueOfOtherType(t *testing.T) {
	t.Parallel()
	s := backend.NewSessions(nil, backend.SessionConfig{})
	site := newVisitor(t, s, instead(s, "/old", func(w http.ResponseWriter, r *http.Request) error {
		return backend.NewSessionKey[int]("flash").Set(r.Context(), 3)
	}))
	site.get("/old")
	require.Equal(t, http.StatusInternalServerError, site.send(site.request(t.Context(), "GET", "/flash")).Code)
	require.Empty(t, site.get("/flash"))
}

// TestSessionAndCORS: a request of another origin that only CORS lets pass cannot sign the
// browser in: it may be a form of a page there, whose response browsers take cookies from.
func TestSessionAndCORS(t *testing.T) {
	t.Parallel()
	s := backend.NewSessions(nil, backend.SessionConfig{})
	site := newVisitor(t, s, actions(s))
	site.handler = backend.Stack(backend.StackConfig{Logger: slog.New(slog.DiscardHandler), CORS: backend.CORSConfig{Origins: []string{"*"}}})(site.handler)
	for path, want := range map[string]int{"/signin/12": http.StatusForbidden, "/say/hello": http.StatusForbidden, "/nothing": http.StatusOK, "/who": http.StatusOK} {
		r := httptest.NewRequest("POST", "https://example.com"+path, nil)
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		r.Header.Set("Origin", "https://evil.example")
		require.Equal(t, want, site.send(r).Code, path)
		require.Empty(t, site.last.Cookies(), path)
	}
	site.get("/signin/12")
	require.Equal(t, "12 session", site.get("/who"))
}

// TestSessionAfterCommit: functions of AfterCommit see what the transaction has done, also if
// they were given before.
func TestSessionAfterCommit(t *testing.T) {
	t.Parallel()
	migrated(t, func(t *testing.T, db *backend.DB, s *backend.Sessions) {
		for _, had := range []bool{false, true} {
			site := newVisitor(t, s, instead(s, "/both", func(w http.ResponseWriter, r *http.Request) error {
				var failure error
				err := db.Tx(r.Context(), func(ctx context.Context) error {
					backend.AfterCommit(ctx, func(ctx context.Context) { failure = flashKey.Set(ctx, "Welcome.") })
					return s.SignIn(ctx, "12", backend.SignInConfig{})
				})
				return errors.Join(err, failure)
			}))
			if had {
				site.get("/signin/12")
			}
			site.get("/both")
			require.Len(t, site.last.Cookies(), 1)
			require.Equal(t, "12 session", site.get("/who"))
			require.Equal(t, "Welcome.", site.get("/flash"))
		}
	})
}

// TestSessionSignInTwice: a form that was sent twice keeps the values of the anonymous session.
func TestSessionSignInTwice(t *testing.T) {
	t.Parallel()
	eachSessions(t, func(t *testing.T, db *backend.DB, s *backend.Sessions) {
		var first *visitor
		first = newVisitor(t, s, instead(s, "/slow", func(w http.ResponseWriter, r *http.Request) error {
			if _, err := basketKey.Get(r.Context()); err != nil {
				return err
			}
			first.get("/signin/12")
			return s.SignIn(r.Context(), "12", backend.SignInConfig{})
		}))
		first.get("/add/apple")
		second := first.other()
		second.get("/slow")
		for _, browser := range []*visitor{first, second} {
			require.Equal(t, "12 session", browser.get("/who"))
			require.Equal(t, "[apple]", browser.get("/basket"))
		}
	})
}
