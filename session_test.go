package backend_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
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

// basket is a value in sessions.
type basket struct {
	Items []string `json:"items"`
}

var (
	basketKey = backend.NewSessionKey[basket]("basket")
	countKey  = backend.NewSessionKey[int]("count")
	flashKey  = backend.NewSessionKey[string]("flash")
)

// eachSessions runs test with sessions in memory and in a database of each engine.
func eachSessions(t *testing.T, test func(t *testing.T, db *backend.DB, s *backend.Sessions)) {
	t.Helper()
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		test(t, nil, backend.NewSessions(nil, backend.SessionConfig{}))
	})
	backendtest.EachDB(t, func(t *testing.T, db *backend.DB) {
		require.NoError(t, db.Migrate(t.Context(), nil))
		test(t, db, backend.NewSessions(db, backend.SessionConfig{}))
	})
}

// visitor is a program with sessions, and one browser.
type visitor struct {
	t        *testing.T
	sessions *backend.Sessions
	handler  http.Handler
	cookies  map[string]string
	last     *http.Response
}

func newVisitor(t *testing.T, s *backend.Sessions, handler func(w http.ResponseWriter, r *http.Request) error) *visitor {
	return &visitor{t: t, sessions: s, handler: s.Middleware(backend.Handler(handler)), cookies: map[string]string{}}
}

// request returns a request of the browser to a site with TLS.
func (s *visitor) request(ctx context.Context, method, path string) *http.Request {
	r := httptest.NewRequestWithContext(ctx, method, "https://example.com"+path, nil)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	for name, value := range s.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	return r
}

// send sends a request and keeps the cookies.
func (s *visitor) send(r *http.Request) *httptest.ResponseRecorder {
	s.t.Helper()
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	s.last = w.Result()
	for _, cookie := range s.last.Cookies() {
		s.cookies[cookie.Name] = cookie.Value
		if cookie.MaxAge < 0 {
			delete(s.cookies, cookie.Name)
		}
	}
	return w
}

// get sends a GET whose answer must be 200, and returns the body.
func (s *visitor) get(path string) string {
	s.t.Helper()
	w := s.send(s.request(s.t.Context(), "GET", path))
	require.Equal(s.t, http.StatusOK, w.Code, w.Body)
	return w.Body.String()
}

// other returns another browser, with a copy of the cookies.
func (s *visitor) other() *visitor {
	other := *s
	other.cookies = map[string]string{}
	for name, value := range s.cookies {
		other.cookies[name] = value
	}
	return &other
}

// stored returns the session of the browser as the store has it, or nil.
func (s *visitor) stored() *backend.StoredSession {
	s.t.Helper()
	random, err := base64.RawURLEncoding.DecodeString(s.cookies["__Host-sid"])
	require.NoError(s.t, err)
	sum := sha256.Sum256(random)
	stored, err := s.sessions.Store().FindToken(s.t.Context(), hex.EncodeToString(sum[:]))
	require.NoError(s.t, err)
	return stored
}

// actions is a handler with the things that a program does with a session, by the path.
func actions(s *backend.Sessions) func(w http.ResponseWriter, r *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		ctx := r.Context()
		name, value, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		switch name {
		case "add":
			return basketKey.Update(ctx, func(b *basket) error {
				b.Items = append(b.Items, value)
				return nil
			})
		case "basket":
			b, err := basketKey.Get(ctx)
			return respond(w, err, b.Items)
		case "empty":
			return basketKey.Delete(ctx)
		case "say":
			return flashKey.Set(ctx, value)
		case "flash":
			text, err := flashKey.Take(ctx)
			return respond(w, err, text)
		case "count":
			return countKey.Update(ctx, func(n *int) error { *n++; return nil })
		case "counted":
			n, err := countKey.Get(ctx)
			return respond(w, err, n)
		case "signin":
			return s.SignIn(ctx, backend.AccountID(value), backend.SignInConfig{})
		case "remember":
			return s.SignIn(ctx, backend.AccountID(value), backend.SignInConfig{Remember: true})
		case "signout":
			return s.SignOut(ctx)
		case "renew":
			return s.Renew(ctx)
		case "who":
			caller, err := s.Authenticate(ctx, r)
			return respond(w, err, string(caller.ID)+" "+caller.Method)
		}
		return respond(w, nil, "nothing")
	}
}

// respond writes a value, unless there is an error.
func respond(w http.ResponseWriter, err error, value any) error {
	if err == nil {
		fmt.Fprint(w, value)
	}
	return err
}

func TestSessionValues(t *testing.T) {
	t.Parallel()
	eachSessions(t, func(t *testing.T, db *backend.DB, s *backend.Sessions) {
		site := newVisitor(t, s, actions(s))
		require.Equal(t, "[]", site.get("/basket"))
		site.get("/add/apple")
		site.get("/add/pear")
		require.Equal(t, "[apple pear]", site.get("/basket"))
		require.Equal(t, "[]", newVisitor(t, s, actions(s)).get("/basket"), "another browser")

		site.get("/say/Saved.")
		require.Equal(t, "Saved.", site.get("/flash"))
		require.Empty(t, site.get("/flash"))

		site.get("/empty")
		require.Equal(t, "[]", site.get("/basket"))
		require.Equal(t, "{}", string(site.stored().Values))
	})
}

// TestSessionCookie checks the cookie against ASVS 5.0, 3.3.1 to 3.3.4, and RFC 6265bis.
func TestSessionCookie(t *testing.T) {
	t.Parallel()
	s := backend.NewSessions(nil, backend.SessionConfig{})
	cookieOf := func(url, path string) *http.Cookie {
		site := newVisitor(t, s, actions(s))
		r := httptest.NewRequest("GET", url+path, nil)
		w := site.send(r)
		require.Equal(t, http.StatusOK, w.Code)
		require.Len(t, site.last.Cookies(), 1)
		require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
		require.Equal(t, []string{"Cookie"}, w.Header().Values("Vary"))
		return site.last.Cookies()[0]
	}
	cookie := cookieOf("https://example.com", "/say/hello")
	require.Equal(t, "__Host-sid", cookie.Name, "3.3.1, 3.3.3")
	require.True(t, cookie.Secure, "3.3.1")
	require.True(t, cookie.HttpOnly, "3.3.4")
	require.Equal(t, http.SameSiteLaxMode, cookie.SameSite, "3.3.2")
	require.Equal(t, "/", cookie.Path, "RFC 6265bis, 4.1.3.2")
	require.Empty(t, cookie.Domain, "RFC 6265bis, 4.1.3.2")
	require.Zero(t, cookie.MaxAge, "it ends with the browser")
	require.True(t, cookie.Expires.IsZero())
	random, err := base64.RawURLEncoding.DecodeString(cookie.Value)
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(random), 128/8, "ASVS 7.2.3")

	require.Equal(t, "__Host-sid", cookieOf("http://example.com", "/say/hello").Name, "a proxy may speak TLS to the browser")
	for _, host := range []string{"localhost:8080", "127.0.0.1:8080", "[::1]:8080"} {
		local := cookieOf("http://"+host, "/say/hello")
		require.Equal(t, "sid", local.Name, host)
		require.False(t, local.Secure, host)
		require.True(t, local.HttpOnly, host)
	}
	remembered := cookieOf("https://example.com", "/remember/12")
	require.Equal(t, 30*24*60*60, remembered.MaxAge)
	named := backend.NewSessions(nil, backend.SessionConfig{Cookie: "shop"})
	site := newVisitor(t, named, actions(named))
	site.get("/say/hello")
	require.Contains(t, site.cookies, "__Host-shop")
}

// TestSessionIsNotStoredInClear: only a hash of the token is stored [ASVS 5.0 7.2.3].
func TestSessionIsNotStoredInClear(t *testing.T) {
	t.Parallel()
	backendtest.EachDB(t, func(t *testing.T, db *backend.DB) {
		require.NoError(t, db.Migrate(t.Context(), nil))
		s := backend.NewSessions(db, backend.SessionConfig{})
		site := newVisitor(t, s, actions(s))
		site.get("/signin/12")
		rows, err := backend.All[struct {
			ID, Token string
			Values    []byte `db:"session_values"`
		}](t.Context(), db, "SELECT id, token, session_values FROM backend_sessions")
		require.NoError(t, err)
		require.Len(t, rows, 1)
		require.NotContains(t, fmt.Sprint(rows), site.cookies["__Host-sid"])
		require.Equal(t, site.stored().ID, rows[0].ID)
	})
}

// TestSessionReadsWriteNothing: an anonymous read sets no cookie and writes nothing, and a
// value that does not change is not written.
func TestSessionReadsWriteNothing(t *testing.T) {
	t.Parallel()
	eachSessions(t, func(t *testing.T, db *backend.DB, s *backend.Sessions) {
		site := newVisitor(t, s, actions(s))
		for _, path := range []string{"/nothing", "/basket", "/flash", "/empty", "/who", "/renew", "/counted"} {
			site.get(path)
			require.Empty(t, site.last.Cookies(), path)
		}
		if db != nil {
			n, err := backend.One[int](t.Context(), db, "SELECT COUNT(*) FROM backend_sessions")
			require.NoError(t, err)
			require.Zero(t, n)
		}
		site.get("/nothing")
		require.Empty(t, site.last.Header.Get("Vary"), "the response does not depend on the session")

		site.get("/say/hello")
		before := site.stored()
		for _, path := range []string{"/say/hello", "/basket", "/empty", "/nothing"} {
			site.get(path)
			require.Empty(t, site.last.Cookies(), path)
			require.Equal(t, before, site.stored(), path)
		}
	})
}

// TestSessionTokens: a token that the client has chosen is never adopted, and a text that is
// no token does not reach the store.
func TestSessionTokens(t *testing.T) {
	t.Parallel()
	eachSessions(t, func(t *testing.T, db *backend.DB, s *backend.Sessions) {
		chosen := base64.RawURLEncoding.EncodeToString(make([]byte, 32))
		site := newVisitor(t, s, actions(s))
		site.cookies["__Host-sid"] = chosen
		site.get("/say/hello")
		require.NotEqual(t, chosen, site.cookies["__Host-sid"])
		require.Equal(t, "hello", site.get("/flash"))

		site.get("/signin/12")
		victim := site.cookies["__Host-sid"]
		require.Equal(t, "12 session", site.get("/who"))
		for name, header := range map[string]string{
			"two cookies":   "__Host-sid=" + victim + "; __Host-sid=" + chosen,
			"the same name": "__Host-sid=" + victim + "; __Host-sid=" + victim,
			"cut":           "__Host-sid=" + victim[:42],
			"longer":        "__Host-sid=" + victim + "A",
			"other letters": "__Host-sid=" + victim[:42] + "+",
			"without TLS":   "sid=" + victim,
			"other case":    "__host-sid=" + victim,
			"last bits":     "__Host-sid=" + victim[:42] + string(nextLetter(victim[42])),
			"a long one":    "__Host-sid=" + strings.Repeat("A", 5000),
			"no value":      "__Host-sid=",
			"quotes":        `__Host-sid=%27%20OR%201`,
		} {
			r := site.request(t.Context(), "GET", "/who")
			r.Header.Set("Cookie", header)
			w := httptest.NewRecorder()
			site.handler.ServeHTTP(w, r)
			require.Equal(t, http.StatusOK, w.Code, name)
			require.Equal(t, " ", w.Body.String(), name)
		}
	})
}

// nextLetter returns another letter of base64 for the same bytes, if a decoder is not strict.
func nextLetter(c byte) byte {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return alphabet[strings.IndexByte(alphabet, c)^1]
}

// TestSessionSignIn: the token changes, and the old one is dead [ASVS 5.0 7.2.4].
func TestSessionSignIn(t *testing.T) {
	t.Parallel()
	eachSessions(t, func(t *testing.T, db *backend.DB, s *backend.Sessions) {
		site := newVisitor(t, s, actions(s))
		site.get("/add/apple")
		planted := site.other()
		site.get("/signin/12")
		require.Equal(t, "12 session", site.get("/who"))
		require.Equal(t, "[apple]", site.get("/basket"), "what was in the session stays")
		require.Equal(t, " ", planted.get("/who"), "the token from before")
		require.Equal(t, "[]", planted.get("/basket"))

		before := site.other()
		site.get("/signin/12") // authenticated once more
		require.Equal(t, "[apple]", site.get("/basket"))
		require.Equal(t, " ", before.get("/who"))

		before = site.other()
		site.get("/signin/13")
		require.Equal(t, "13 session", site.get("/who"))
		require.Equal(t, "[]", site.get("/basket"), "it belongs to another account")
		require.Equal(t, " ", before.get("/who"))

		before = site.other()
		site.get("/renew")
		require.Equal(t, "13 session", site.get("/who"))
		require.Equal(t, " ", before.get("/who"))

		before = site.other()
		site.get("/signout")
		require.Equal(t, []string{`"cache", "storage"`}, site.last.Header.Values("Clear-Site-Data"))
		require.NotContains(t, site.cookies, "__Host-sid")
		require.Equal(t, " ", site.get("/who"))
		require.Equal(t, " ", before.get("/who"), "the token from before")
		require.Nil(t, before.stored())
	})
}

// TestSessionEndedStaysEnded: a slow request does not bring a session back, and says that it
// has ended.
func TestSessionEndedStaysEnded(t *testing.T) {
	t.Parallel()
	eachSessions(t, func(t *testing.T, db *backend.DB, s *backend.Sessions) {
		for name, end := range map[string]string{"signed out": "/signout", "signed in as another": "/signin/13"} {
			for action, change := range map[string]func(context.Context) error{
				"Set":    func(ctx context.Context) error { return flashKey.Set(ctx, "late") },
				"Update": func(ctx context.Context) error { return countKey.Update(ctx, func(n *int) error { *n++; return nil }) },
				"Delete": basketKey.Delete,
				"Renew":  s.Renew,
				"SignIn": func(ctx context.Context) error { return s.SignIn(ctx, "12", backend.SignInConfig{}) },
			} {
				var site *visitor
				reading, ended := make(chan struct{}), make(chan struct{})
				var failure error
				do := actions(s)
				site = newVisitor(t, s, func(w http.ResponseWriter, r *http.Request) error {
					if r.URL.Path != "/slow" {
						return do(w, r)
					}
					if _, err := basketKey.Get(r.Context()); err != nil {
						return err
					}
					close(reading)
					<-ended
					failure = change(r.Context())
					return failure
				})
				site.get("/signin/12")
				site.get("/add/apple")
				slow := site.other()
				var done sync.WaitGroup
				var answer *httptest.ResponseRecorder
				done.Go(func() { answer = slow.send(slow.request(t.Context(), "GET", "/slow")) })
				<-reading
				site.get(end)
				close(ended)
				done.Wait()
				require.ErrorIs(t, failure, backend.ErrSessionEnded, "%s, %s", name, action)
				require.Equal(t, http.StatusUnauthorized, answer.Code, "%s, %s", name, action)
				require.Nil(t, slow.stored(), "%s, %s", name, action)
				require.Equal(t, " ", slow.get("/who"), "%s, %s", name, action)
			}
		}
	})
}

// TestSessionRaces: requests of one browser at the same time, in two processes.
func TestSessionRaces(t *testing.T) {
	t.Parallel()
	eachSessions(t, func(t *testing.T, db *backend.DB, s *backend.Sessions) {
		second := s
		if db != nil {
			second = backend.NewSessions(db, backend.SessionConfig{}) // the database is all that they share
		}
		site := newVisitor(t, s, actions(s))
		site.get("/say/hello")
		var all sync.WaitGroup
		for i := range 50 {
			all.Go(func() {
				browser := site.other()
				if i%2 == 1 {
					browser.handler = second.Middleware(backend.Handler(actions(second)))
				}
				browser.get("/count")
				if i%10 == 0 {
					browser.get(fmt.Sprintf("/add/%d", i))
				}
			})
		}
		all.Wait()
		require.Equal(t, "50", site.get("/counted"))
		require.Len(t, strings.Fields(site.get("/basket")), 5, "another key")

		var taken sync.Map
		for i := range 20 {
			all.Go(func() { taken.Store(i, site.other().get("/flash")) })
		}
		all.Wait()
		got := ""
		taken.Range(func(_, value any) bool { got += value.(string); return true })
		require.Equal(t, "hello", got, "a message is taken once")
	})
}

// TestSessionRenewKeepsChanges: a request that has the old token when the token changes still
// changes the session, and the next one cannot.
func TestSessionRenewKeepsChanges(t *testing.T) {
	t.Parallel()
	eachSessions(t, func(t *testing.T, db *backend.DB, s *backend.Sessions) {
		var browser *visitor
		do := actions(s)
		browser = newVisitor(t, s, func(w http.ResponseWriter, r *http.Request) error {
			if r.URL.Path == "/slow" {
				if _, err := basketKey.Get(r.Context()); err != nil {
					return err
				}
				browser.get("/renew")
				return flashKey.Set(r.Context(), "kept")
			}
			return do(w, r)
		})
		browser.get("/signin/12")
		slow := browser.other()
		slow.get("/slow")
		require.Equal(t, "kept", browser.get("/flash"))
		require.Empty(t, slow.get("/flash"))
	})
}

// TestSessionInTransaction: changes are undone with the transaction that they are in.
func TestSessionInTransaction(t *testing.T) {
	t.Parallel()
	backendtest.EachDB(t, func(t *testing.T, db *backend.DB) {
		require.NoError(t, db.Migrate(t.Context(), nil))
		s := backend.NewSessions(db, backend.SessionConfig{})
		undo := errors.New("undone")
		tests := map[string]struct {
			run  func(ctx context.Context) error
			want string
		}{
			"committed": {func(ctx context.Context) error {
				return db.Tx(ctx, func(ctx context.Context) error { return flashKey.Set(ctx, "kept") })
			}, "kept"},
			"undone": {func(ctx context.Context) error {
				return ignore(undo, db.Tx(ctx, func(ctx context.Context) error {
					return errors.Join(flashKey.Set(ctx, "lost"), undo)
				}))
			}, ""},
			"undone, and set afterwards": {func(ctx context.Context) error {
				err := ignore(undo, db.Tx(ctx, func(ctx context.Context) error { return errors.Join(flashKey.Set(ctx, "lost"), undo) }))
				return errors.Join(err, flashKey.Set(ctx, "kept"))
			}, "kept"},
			"a savepoint undone": {func(ctx context.Context) error {
				return db.Tx(ctx, func(ctx context.Context) error {
					if err := countKey.Set(ctx, 7); err != nil {
						return err
					}
					err := ignore(undo, db.Tx(ctx, func(ctx context.Context) error { return errors.Join(flashKey.Set(ctx, "lost"), undo) }))
					if err != nil {
						return err
					}
					n, err := countKey.Get(ctx)
					return errors.Join(err, countKey.Update(ctx, func(m *int) error { *m += n; return nil }))
				})
			}, ""},
			"signed in, and a savepoint undone": {func(ctx context.Context) error {
				return db.Tx(ctx, func(ctx context.Context) error {
					err := s.SignIn(ctx, "12", backend.SignInConfig{})
					if err == nil {
						err = ignore(undo, db.Tx(ctx, func(ctx context.Context) error { return errors.Join(flashKey.Set(ctx, "lost"), undo) }))
					}
					return errors.Join(err, countKey.Set(ctx, 14))
				})
			}, ""},
			"signed in and undone": {func(ctx context.Context) error {
				return ignore(undo, db.Tx(ctx, func(ctx context.Context) error {
					return errors.Join(s.SignIn(ctx, "12", backend.SignInConfig{}), undo)
				}))
			}, ""},
		}
		for name, test := range tests {
			for _, had := range []bool{false, true} {
				site := newVisitor(t, s, func(w http.ResponseWriter, r *http.Request) error {
					if r.URL.Path == "/run" {
						return test.run(r.Context())
					}
					return actions(s)(w, r)
				})
				if had {
					site.get("/add/apple")
				}
				site.get("/run")
				signedIn := name == "signed in, and a savepoint undone"
				committed := test.want != "" || strings.Contains(name, "savepoint")
				require.Equal(t, committed && !had || signedIn, len(site.last.Cookies()) == 1, "%s, %v: the cookie", name, had)
				require.Equal(t, map[bool]string{true: "12 session", false: " "}[signedIn], site.get("/who"), "%s, %v", name, had)
				require.Equal(t, test.want, site.get("/flash"), "%s, %v", name, had)
				if had {
					require.Equal(t, "[apple]", site.get("/basket"), "%s", name)
				}
				if strings.Contains(name, "savepoint") {
					require.Equal(t, "14", site.get("/counted"), "%s, %v", name, had)
				}
			}
		}
	})
}

// ignore returns err, unless it is known.
func ignore(known, err error) error {
	if errors.Is(err, known) {
		return nil
	}
	return err
}

// TestSessionOfOperation: a mutation's changes commit with it, also if its transaction runs
// again, and a call that fails changes nothing.
func TestSessionOfOperation(t *testing.T) {
	t.Parallel()
	backendtest.EachDB(t, func(t *testing.T, db *backend.DB) {
		require.NoError(t, db.Migrate(t.Context(), nil))
		s := backend.NewSessions(db, backend.SessionConfig{})
		logic := backend.NewLogic(db, s, backend.LogicConfig{})
		type in struct {
			Fail bool `json:"fail,omitempty"`
		}
		logic.Add(
			backend.Mutation("signIn", backend.Public, func(ctx context.Context, in in) (backend.None, error) {
				err := s.SignIn(ctx, "12", backend.SignInConfig{})
				if in.Fail {
					err = errors.Join(err, backend.Errorf(backend.Conflict, "no"))
				}
				return backend.None{}, err
			}, backend.Route("POST /sign-in")),
			backend.Query("me", backend.SignedIn, func(ctx context.Context, _ backend.None) (backend.AccountID, error) {
				return backend.CallerFrom(ctx).ID, nil
			}, backend.Route("GET /me")),
			backend.Query("fresh", backend.Fresh(time.Minute), func(ctx context.Context, _ backend.None) (bool, error) {
				return true, nil
			}, backend.Route("GET /fresh")),
		)
		r := backend.NewRouter()
		r.Use(backend.Stack(backend.StackConfig{Logger: slog.New(slog.DiscardHandler)}), s.Middleware)
		r.Mount("/", logic.REST())
		client := backendtest.NewClient(t, r)
		client.Get("/me").Expect(http.StatusUnauthorized)
		refused := client.Post("/sign-in", `{"fail": true}`).Expect(http.StatusConflict)
		require.Empty(t, refused.Cookies())
		client.Get("/me").Expect(http.StatusUnauthorized)
		client.Post("/sign-in", `{}`).Expect(http.StatusNoContent)
		me := client.Get("/me").Expect(http.StatusOK)
		require.Equal(t, `"12"`, strings.TrimSpace(string(me.Body)))
		require.Equal(t, "no-store", me.Header.Get("Cache-Control"))
		client.Get("/fresh").Expect(http.StatusOK)
		client.With("Authorization", "Bearer x").Get("/me").Expect(http.StatusUnauthorized)
	})
}

// TestSessionAfterResponse: a session that begins too late is an error, never silence. One
// that there is already is changed all the same.
func TestSessionAfterResponse(t *testing.T) {
	t.Parallel()
	eachSessions(t, func(t *testing.T, db *backend.DB, s *backend.Sessions) {
		for name, begin := range map[string]func(w http.ResponseWriter){
			"written": func(w http.ResponseWriter) { w.WriteHeader(http.StatusOK) },
			"flushed": func(w http.ResponseWriter) { _ = http.NewResponseController(w).Flush() },
		} {
			for action, change := range map[string]func(context.Context) error{
				"Set":    func(ctx context.Context) error { return flashKey.Set(ctx, "late") },
				"SignIn": func(ctx context.Context) error { return s.SignIn(ctx, "12", backend.SignInConfig{}) },
			} {
				var failure error
				site := newVisitor(t, s, func(w http.ResponseWriter, r *http.Request) error {
					if r.URL.Path != "/late" {
						return actions(s)(w, r)
					}
					begin(w)
					failure = change(r.Context())
					return nil
				})
				site.get("/late")
				require.ErrorContains(t, failure, "before writing the response", "%s, %s", name, action)
				site.get("/say/hello")
				site.get("/late")
				if action == "Set" {
					require.NoError(t, failure)
					require.Equal(t, "late", site.get("/flash"))
				} else {
					require.Error(t, failure)
					require.Equal(t, " ", site.get("/who"))
				}
			}
		}
		if db == nil {
			return
		}
		site := newVisitor(t, s, func(w http.ResponseWriter, r *http.Request) error {
			return db.Tx(r.Context(), func(ctx context.Context) error {
				if err := flashKey.Set(ctx, "lost"); err != nil {
					return err
				}
				w.WriteHeader(http.StatusOK)
				return nil
			})
		})
		w := site.send(site.request(t.Context(), "GET", "/"))
		require.Equal(t, http.StatusInternalServerError, w.Code, "written in the transaction")
	})
}

// TestSessionTimes: the limits hold on the server [ASVS 5.0 7.3.1, 7.3.2].
func TestSessionTimes(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		signIn string
		pause  time.Duration
		alive  int // how many pauses
	}{
		"idle":                 {"/signin/12", time.Hour - time.Second, 24},
		"idle too long":        {"/signin/12", time.Hour, 0},
		"remembered":           {"/remember/12", 14*24*time.Hour - time.Second, 2},
		"remembered and idle":  {"/remember/12", 14 * 24 * time.Hour, 0},
		"remembered and often": {"/remember/12", 24 * time.Hour, 29},
		"often":                {"/signin/12", 30 * time.Minute, 47},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := backend.NewSessions(nil, backend.SessionConfig{})
				site := newVisitor(t, s, actions(s))
				site.get(test.signIn)
				alive := 0
				for ; alive < 100; alive++ {
					time.Sleep(test.pause)
					if site.get("/who") != "12 session" {
						break
					}
				}
				require.Equal(t, test.alive, alive)
			})
		})
	}
}

// TestSessionLimitsOfNow: what the configuration says now counts for sessions that began before.
func TestSessionLimitsOfNow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		before := backend.NewSessions(nil, backend.SessionConfig{})
		site := newVisitor(t, before, actions(before))
		site.get("/signin/12")
		now := backend.NewSessions(nil, backend.SessionConfig{Store: before.Store(), IdleTimeout: 10 * time.Minute})
		site.handler = now.Middleware(backend.Handler(actions(now)))
		time.Sleep(10*time.Minute - time.Second)
		require.Equal(t, "12 session", site.get("/who"))
		time.Sleep(10 * time.Minute)
		require.Equal(t, " ", site.get("/who"))
	})
}

// TestSessionTouch: the time of the last request is written at most once a minute.
func TestSessionTouch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := backend.NewSessions(nil, backend.SessionConfig{})
		site := newVisitor(t, s, actions(s))
		site.get("/signin/12")
		began := site.stored().SeenAt
		time.Sleep(59 * time.Second)
		site.get("/who")
		require.Equal(t, began, site.stored().SeenAt)
		time.Sleep(time.Second)
		site.get("/who")
		require.Equal(t, began.Add(time.Minute), site.stored().SeenAt)
		require.Equal(t, began.Add(time.Minute+time.Hour), site.stored().ExpiresAt)
		require.Zero(t, site.stored().Version, "a touch is no change")
	})
}

// TestSessionsOfAccount: an account lists and ends its own sessions, and nobody else's
// [ASVS 5.0 7.5.2].
func TestSessionsOfAccount(t *testing.T) {
	t.Parallel()
	eachSessions(t, func(t *testing.T, db *backend.DB, s *backend.Sessions) {
		var list []backend.SessionInfo
		handler := func(w http.ResponseWriter, r *http.Request) (err error) {
			name, id, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
			caller, err := s.Authenticate(r.Context(), r)
			switch {
			case err != nil:
			case name == "list":
				list, err = s.List(r.Context(), caller.ID)
			case name == "end":
				err = s.End(r.Context(), caller.ID, id)
			case name == "others":
				var n int
				n, err = s.EndAll(r.Context(), caller.ID)
				return respond(w, err, n)
			default:
				return actions(s)(w, r)
			}
			return err
		}
		phone, laptop, foreign := newVisitor(t, s, handler), newVisitor(t, s, handler), newVisitor(t, s, handler)
		r := phone.request(t.Context(), "GET", "/signin/12")
		r.Header.Set("User-Agent", "Phone\x00 1.0 — "+strings.Repeat("x", 500))
		require.Equal(t, http.StatusOK, phone.send(r).Code)
		laptop.get("/remember/12")
		foreign.get("/signin/13")

		laptop.get("/list")
		require.Len(t, list, 2)
		require.Equal(t, []string{laptop.stored().ID, phone.stored().ID}, []string{list[0].ID, list[1].ID})
		require.Equal(t, []bool{true, false}, []bool{list[0].Current, list[1].Current})
		require.Equal(t, []bool{true, false}, []bool{list[0].Remember, list[1].Remember})
		require.True(t, strings.HasPrefix(list[1].UserAgent, "Phone? 1.0 ? x"), list[1].UserAgent)
		require.Len(t, list[1].UserAgent, 300)
		require.Equal(t, "192.0.2.1", list[1].Address)

		for _, id := range []string{foreign.stored().ID, "unknown", ""} {
			w := laptop.send(laptop.request(t.Context(), "GET", "/end/"+id))
			require.Equal(t, http.StatusNotFound, w.Code, id)
		}
		require.Equal(t, "13 session", foreign.get("/who"))
		w := newVisitor(t, s, handler)
		require.Equal(t, http.StatusNotFound, w.send(w.request(t.Context(), "GET", "/end/"+phone.stored().ID)).Code, "anonymous")

		laptop.get("/end/" + phone.stored().ID)
		require.Equal(t, " ", phone.get("/who"))
		phone.get("/signin/12")
		require.Equal(t, "1", laptop.get("/others"))
		require.Equal(t, " ", phone.get("/who"))
		require.Equal(t, "12 session", laptop.get("/who"))
		require.Equal(t, "13 session", foreign.get("/who"))
		ended, err := s.EndAll(t.Context(), "12")
		require.NoError(t, err)
		require.Equal(t, 1, ended, "outside of a request")
		require.Equal(t, " ", laptop.get("/who"))
	})
}

func TestSessionsPerAccount(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := backend.NewSessions(nil, backend.SessionConfig{})
		var browsers []*visitor
		for range 21 {
			site := newVisitor(t, s, actions(s))
			site.get("/signin/12")
			browsers = append(browsers, site)
			time.Sleep(time.Second)
		}
		require.Equal(t, " ", browsers[0].get("/who"), "the oldest of 21")
		for _, site := range browsers[1:] {
			require.Equal(t, "12 session", site.get("/who"))
		}
	})
}

// TestSessionForgery: without CrossOrigin around it, the middleware itself refuses requests
// of other sites that have the cookie [ASVS 5.0 3.5.1].
func TestSessionForgery(t *testing.T) {
	t.Parallel()
	s := backend.NewSessions(nil, backend.SessionConfig{})
	ran := 0
	site := newVisitor(t, s, func(w http.ResponseWriter, r *http.Request) error {
		ran++
		return actions(s)(w, r)
	})
	site.get("/signin/12")
	for name, test := range map[string]struct {
		method string
		header map[string]string
		cookie bool
		passes bool
	}{
		"same origin":           {"POST", map[string]string{"Sec-Fetch-Site": "same-origin"}, true, true},
		"by a person":           {"POST", map[string]string{"Sec-Fetch-Site": "none"}, true, true},
		"an old browser":        {"POST", map[string]string{"Origin": "https://example.com"}, true, true},
		"another site":          {"POST", map[string]string{"Sec-Fetch-Site": "cross-site"}, true, false},
		"a subdomain":           {"DELETE", map[string]string{"Sec-Fetch-Site": "same-site"}, true, false},
		"another origin":        {"POST", map[string]string{"Origin": "https://evil.example"}, true, false},
		"null":                  {"POST", map[string]string{"Origin": "null"}, true, false},
		"nothing is known":      {"POST", nil, true, false},
		"reading":               {"GET", map[string]string{"Sec-Fetch-Site": "cross-site"}, true, true},
		"a stream":              {"GET", map[string]string{"Sec-Fetch-Site": "cross-site", "Accept": "text/event-stream"}, true, false},
		"a program":             {"POST", nil, false, true},
		"signing in as another": {"POST", map[string]string{"Sec-Fetch-Site": "cross-site"}, false, false},
		"the same, old browser": {"POST", map[string]string{"Origin": "https://evil.example"}, false, false},
	} {
		r := httptest.NewRequest(test.method, "https://example.com/nothing", nil)
		if test.cookie {
			r.AddCookie(&http.Cookie{Name: "__Host-sid", Value: site.cookies["__Host-sid"]})
		}
		for name, value := range test.header {
			r.Header.Set(name, value)
		}
		ran = 0
		w := httptest.NewRecorder()
		site.handler.ServeHTTP(w, r)
		want := map[bool]int{true: http.StatusOK, false: http.StatusForbidden}[test.passes]
		require.Equal(t, want, w.Code, name)
		require.Equal(t, test.passes, ran == 1, name)
	}
}

// failingStore is a store that cannot be reached.
type failingStore struct{ backend.SessionStore }

func (failingStore) FindToken(context.Context, string) (*backend.StoredSession, error) {
	return nil, backend.Errorf(backend.Unavailable, "The store does not answer.")
}

// TestSessionStoreDown: without the store nobody is anonymous.
func TestSessionStoreDown(t *testing.T) {
	t.Parallel()
	up := backend.NewSessions(nil, backend.SessionConfig{})
	browser := newVisitor(t, up, actions(up))
	browser.get("/signin/12")
	down := backend.NewSessions(nil, backend.SessionConfig{Store: failingStore{up.Store()}})
	logic := backend.NewLogic(nil, down, backend.LogicConfig{Logger: slog.New(slog.DiscardHandler)})
	logic.Add(backend.Query("news", backend.Public, func(context.Context, backend.None) (string, error) { return "news", nil }, backend.Route("GET /news")))
	browser.handler = down.Middleware(logic.REST())
	require.Equal(t, http.StatusServiceUnavailable, browser.send(browser.request(t.Context(), "GET", "/news")).Code)
	browser.handler = down.Middleware(backend.Handler(actions(down)))
	for _, path := range []string{"/basket", "/say/hello", "/who", "/signout", "/signin/12", "/renew", "/flash"} {
		require.Equal(t, http.StatusServiceUnavailable, browser.send(browser.request(t.Context(), "GET", path)).Code, path)
	}
	require.Equal(t, "nothing", browser.get("/nothing"), "a handler that needs no session")
	browser.cookies = nil
	require.Equal(t, " ", browser.get("/who"), "a browser without cookie")
}

// TestSessionRoundTrips counts on the wire: a signed-in read takes one for the session and one
// for its query.
func TestSessionRoundTrips(t *testing.T) {
	t.Parallel()
	for _, engine := range []backend.Engine{backend.Postgres, backend.MySQL} {
		t.Run(string(engine), func(t *testing.T) {
			t.Parallel()
			db, p := proxied(t, engine, backend.DBConfig{MaxConns: 1})
			require.NoError(t, db.Migrate(t.Context(), nil))
			s := backend.NewSessions(db, backend.SessionConfig{})
			logic := backend.NewLogic(db, s, backend.LogicConfig{Logger: slog.New(slog.DiscardHandler)})
			logic.Add(backend.Query("rows", backend.SignedIn, func(ctx context.Context, _ backend.None) ([]int, error) {
				return backend.All[int](ctx, db, "SELECT id FROM t WHERE id > ?", 0)
			}, backend.Route("GET /rows")))
			browser := newVisitor(t, s, actions(s))
			browser.get("/signin/12")
			browser.handler = s.Middleware(logic.REST())
			browser.get("/rows")
			p.Trips()
			for range 3 {
				browser.get("/rows")
				require.Equal(t, 2, p.Trips())
			}
		})
	}
}

func TestSessionMistakes(t *testing.T) {
	t.Parallel()
	require.PanicsWithValue(t, `backend: NewSessions: Lifetime -1s is not positive; MaxPerAccount -1 is negative; leave it out for the default; the Cookie "a b" is no name for a cookie; use letters and digits, and leave the prefix out`,
		func() {
			backend.NewSessions(nil, backend.SessionConfig{Lifetime: -time.Second, MaxPerAccount: -1, Cookie: "a b"})
		})
	require.PanicsWithValue(t, "backend: NewSessions: IdleTimeout 1m0s is too short; 5m0s is the least",
		func() { backend.NewSessions(nil, backend.SessionConfig{IdleTimeout: time.Minute}) })
	require.PanicsWithValue(t, "backend: NewSessionKey needs a name", func() { backend.NewSessionKey[int]("") })
	_, err := countKey.Get(t.Context())
	require.ErrorContains(t, err, "put Sessions.Middleware around the handler")
	require.ErrorContains(t, countKey.Set(t.Context(), 1), "put Sessions.Middleware around the handler")

	s := backend.NewSessions(nil, backend.SessionConfig{})
	other := backend.NewSessions(nil, backend.SessionConfig{})
	var failures []error
	site := newVisitor(t, s, func(w http.ResponseWriter, r *http.Request) error {
		ctx := r.Context()
		text := backend.NewSessionKey[string]("count")
		_, wrongType := text.Get(ctx)
		failures = []error{
			flashKey.Set(ctx, strings.Repeat("x", 70_000)),
			s.SignIn(ctx, "", backend.SignInConfig{}),
			other.SignIn(ctx, "12", backend.SignInConfig{}),
			backend.NewSessionKey[func()]("f").Set(ctx, nil),
			countKey.Set(ctx, 3),
			wrongType,
		}
		return nil
	})
	site.get("/")
	site.get("/")
	for i, want := range []string{"65536 is the most", "the account has no id", "of other Sessions", "func()", "", `session value "count"`} {
		if want == "" {
			require.NoError(t, failures[i])
			continue
		}
		require.ErrorContains(t, failures[i], want)
	}
	require.Equal(t, `{"count":3}`, string(site.stored().Values))
}

// TestSessionCosts: the middleware costs requests without a session next to nothing.
func TestSessionCosts(t *testing.T) {
	mwSkipRace(t)
	s := backend.NewSessions(nil, backend.SessionConfig{})
	plain := backend.RequestID()(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	with := backend.RequestID()(s.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusNoContent) })))
	allocs := func(h http.Handler) float64 {
		r := httptest.NewRequest("GET", "https://example.com/", nil)
		return testing.AllocsPerRun(100, func() { h.ServeHTTP(httptest.NewRecorder(), r) })
	}
	require.LessOrEqual(t, allocs(with)-allocs(plain), 2.0)
}
