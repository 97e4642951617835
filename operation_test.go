package backend_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
	"github.com/seed-215b9b7c/backend/backendtest"
)

// What an operation that fails has written stays only if it asked to run outside
// of any transaction, and one that only reads cannot write.
func TestTransactionsOfOperations(t *testing.T) {
	t.Parallel()
	backendtest.EachDB(t, func(t *testing.T, db *backend.DB) {
		s, _ := newShop(t, db)
		fail := func(ctx context.Context, _ backend.None) (backend.None, error) {
			if _, err := s.db.Exec(ctx, "INSERT INTO items (name, owner) VALUES ('x', 'ann')"); err != nil {
				return backend.None{}, err
			}
			return backend.None{}, backend.Errorf(backend.Gone, "Gone.")
		}
		for name, test := range map[string]struct {
			operation *backend.Operation
			code      backend.Code
			rows      int
		}{
			"a query has none":           {backend.Query("op", backend.Public, fail), backend.Gone, 1},
			"a query that wants one":     {backend.Query("op", backend.Public, fail, backend.Tx(backend.ReadOnly)), backend.Internal, 0},
			"a mutation has one":         {backend.Mutation("op", backend.Public, fail), backend.Gone, 0},
			"a mutation that wants none": {backend.Mutation("op", backend.Public, fail, backend.OutsideTx()), backend.Gone, 1},
			"a mutation that only reads": {backend.Mutation("op", backend.Public, fail, backend.Tx(backend.ReadOnly)), backend.Internal, 0},
			"serializable":               {backend.Mutation("op", backend.Public, fail, backend.Tx(backend.Serializable)), backend.Gone, 0},
		} {
			logic := backend.NewLogic(db, nil, backend.LogicConfig{})
			logic.Add(test.operation)
			_, err := backend.Call[backend.None](t.Context(), logic, "op", backend.None{})
			require.Equal(t, test.code, backend.CodeOf(err), "%s: %v", name, err)
			rows, err := backend.One[int](t.Context(), db, "SELECT COUNT(*) FROM items")
			require.NoError(t, err)
			require.Equal(t, test.rows, rows, name)
			_, err = db.Exec(t.Context(), "DELETE FROM items")
			require.NoError(t, err)
		}
	})
}

// Two that both read before they write do not both succeed by what they read.
func TestSerializableOperations(t *testing.T) {
	t.Parallel()
	backendtest.EachDB(t, func(t *testing.T, db *backend.DB) {
		s, _ := newShop(t, db)
		var reads atomic.Int64
		both := make(chan struct{})
		meet := func(ctx context.Context) { // SQLite has one writer, who would wait in vain
			if n := reads.Add(1); db.Engine() == backend.SQLite || n > 2 {
				return
			} else if n == 2 {
				close(both)
			}
			select {
			case <-both:
			case <-ctx.Done():
			}
		}
		logic := backend.NewLogic(db, nil, backend.LogicConfig{})
		logic.Add(backend.Mutation("onlyOne", backend.Public, func(ctx context.Context, _ backend.None) (bool, error) {
			n, err := backend.One[int](ctx, s.db, "SELECT COUNT(*) FROM items")
			meet(ctx)
			if err != nil || n > 0 {
				return false, err
			}
			_, err = s.db.Exec(ctx, "INSERT INTO items (name, owner) VALUES ('x', 'ann')")
			return true, err
		}, backend.Tx(backend.Serializable)))
		made := make(chan error, 2)
		for range cap(made) {
			go func() {
				_, err := backend.Call[bool](t.Context(), logic, "onlyOne", backend.None{})
				made <- err
			}()
		}
		for range cap(made) {
			require.NoError(t, <-made)
		}
		rows, err := backend.One[int](t.Context(), db, "SELECT COUNT(*) FROM items")
		require.NoError(t, err)
		require.Equal(t, 1, rows)
	})
}

func TestLimitsOfOperations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		left := func(ctx context.Context, _ backend.None) (time.Duration, error) {
			at, ok := ctx.Deadline()
			require.True(t, ok)
			return time.Until(at), nil
		}
		body := func(context.Context, struct {
			Text string `json:"text"`
		}) (backend.None, error) {
			return backend.None{}, nil
		}
		logic := backend.NewLogic(nil, nil, backend.LogicConfig{})
		logic.Add(
			backend.Query("query", backend.Public, left, backend.Route("GET /left")),
			backend.Mutation("mutation", backend.Public, left, backend.Route("PUT /left")),
			backend.Mutation("longer", backend.Public, left, backend.Route("DELETE /left"), backend.Deadline(time.Minute)),
			backend.Mutation("usual", backend.Public, body, backend.Route("POST /usual")),
			backend.Mutation("short", backend.Public, body, backend.Route("POST /short"), backend.MaxBody(20)),
			backend.Mutation("long", backend.Public, body, backend.Route("POST /long"), backend.MaxBody(2<<20)),
		)
		door := logic.REST()
		send := func(method, path, body string) *httptest.ResponseRecorder {
			r := httptest.NewRequest(method, path, strings.NewReader(body))
			if body != "" {
				r.Header.Set("Content-Type", "application/json")
			}
			w := httptest.NewRecorder()
			door.ServeHTTP(w, r)
			return w
		}
		for method, want := range map[string]time.Duration{"GET": 10 * time.Second, "PUT": 10 * time.Second, "DELETE": time.Minute} {
			require.Equal(t, fmt.Sprint(int64(want)), send(method, "/left", "").Body.String(), method)
		}
		for path, limit := range map[string]int{"/usual": 1 << 20, "/short": 20, "/long": 2 << 20} {
			fits := `{"text":"` + strings.Repeat("a", limit-len(`{"text":""}`)) + `"}`
			require.Equal(t, 204, send("POST", path, fits).Code, path)
			require.Equal(t, 413, send("POST", path, fits+" ").Code, path)
		}
	})
}

// Everybody has a limit of their own: accounts, and addresses of those who are
// not signed in.
func TestLimitIsTheCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		logic := backend.NewLogic(nil, bearer{}, backend.LogicConfig{})
		logic.Add(
			backend.Query("limited", backend.Public, noop, backend.Route("GET /limited"), backend.Rate(2, time.Minute)),
			backend.Query("other", backend.Public, noop, backend.Route("GET /other"), backend.Rate(2, time.Minute)),
		)
		h := backend.AccessLog(slog.New(slog.DiscardHandler))(logic.REST())
		ask := func(path, who, address string) *httptest.ResponseRecorder {
			r := httptest.NewRequest("GET", path, nil)
			r.RemoteAddr = address + ":1234"
			if who != "" {
				r.Header.Set("Authorization", "Bearer "+who)
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			return w
		}
		for _, c := range []struct{ path, who, address string }{
			{"/limited", "ann", "192.0.2.1"}, {"/limited", "bob", "192.0.2.1"}, {"/limited", "", "192.0.2.1"}, {"/limited", "", "192.0.2.2"}, {"/other", "ann", "192.0.2.1"},
		} {
			require.Equal(t, 204, ask(c.path, c.who, c.address).Code, c)
			require.Equal(t, 204, ask(c.path, c.who, c.address).Code, c)
			w := ask(c.path, c.who, c.address)
			require.Equal(t, 429, w.Code, c)
			require.Equal(t, "30", w.Header().Get("Retry-After"), c)
			code, _ := problem(t, w)
			require.Equal(t, "rate_limited", code)
		}
		require.Equal(t, 429, ask("/limited", "ann", "192.0.2.3").Code, "from wherever")
		time.Sleep(30 * time.Second)
		require.Equal(t, 204, ask("/limited", "ann", "192.0.2.1").Code)
		require.Equal(t, 429, ask("/limited", "ann", "192.0.2.1").Code)

		ctx := backend.WithCaller(t.Context(), backend.Caller{ID: "cid"})
		for range 2 {
			_, err := backend.Call[backend.None](ctx, logic, "limited", backend.None{})
			require.NoError(t, err)
		}
		_, err := backend.Call[backend.None](ctx, logic, "limited", backend.None{})
		require.Equal(t, backend.RateLimited, backend.CodeOf(err))
		require.Equal(t, 429, ask("/limited", "cid", "192.0.2.1").Code, "by whatever door")
	})
}

func TestDoorsOfOperations(t *testing.T) {
	t.Parallel()
	logic := backend.NewLogic(nil, nil, backend.LogicConfig{})
	logic.Add(
		backend.Query("usual", backend.Public, noop, backend.Route("GET /usual")),
		backend.Query("only", backend.Public, noop, backend.Route("GET /only"), backend.Only(backend.REST)),
		backend.Query("except", backend.Public, noop, backend.Route("GET /except"), backend.Except(backend.REST)),
		backend.Query("inside", backend.Public, noop, backend.Route("GET /inside"), backend.Only()),
		backend.Query("noRoute", backend.Public, noop),
	)
	r := backend.NewRouter()
	r.Mount("/", logic.REST())
	for path, status := range map[string]int{"/usual": 204, "/only": 204, "/except": 404, "/inside": 404, "/noRoute": 404} {
		w := httptest.NewRecorder()
		r.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		require.Equal(t, status, w.Code, path)
	}
	require.Len(t, r.Routes(), 2)
	for _, name := range []string{"except", "inside", "noRoute"} {
		_, err := backend.Call[backend.None](t.Context(), logic, name, backend.None{})
		require.NoError(t, err, "the program itself can call it")
	}
}

// Where each field of an input comes from, and that zero values are values.
func TestPlacesOfInput(t *testing.T) {
	t.Parallel()
	type payload struct {
		N    int    `json:"n"`
		Yes  bool   `json:"yes"`
		Text string `json:"text"`
		Note string `json:"note,omitempty"`
	}
	type input struct {
		ID    int                 `json:"id"`
		Token string              `json:"token" in:"header=X-Token"`
		Theme string              `json:"theme" in:"cookie=theme"`
		Size  *int                `json:"size" in:"cookie=size"`
		Dry   bool                `json:"dry" in:"query"`
		Lang  backend.Opt[string] `json:"lang,omitzero" in:"header=Accept-Language"`
		Body  payload             `json:"body" in:"body"`
	}
	logic := backend.NewLogic(nil, nil, backend.LogicConfig{})
	logic.Add(
		backend.Mutation("put", backend.Public, func(_ context.Context, in input) (input, error) { return in, nil }, backend.Route("PUT /{id}")),
		backend.Query("get", backend.Public, func(_ context.Context, in payload) (payload, error) { return in, nil }, backend.Route("GET /")),
	)
	c := backendtest.NewClient(t, logic.REST())
	full := c.With("X-Token", "secret").With("Cookie", "theme=dark; size=3").With("Accept-Language", "de")
	require.Equal(t, `{"id":0,"token":"secret","theme":"dark","size":3,"dry":false,"lang":"de","body":{"n":0,"yes":false,"text":""}}`,
		string(full.Put("/0?dry=false", `{"n":0,"yes":false,"text":""}`).Expect(200).Body))
	require.Equal(t, `{"id":1,"token":"secret","theme":"","size":null,"dry":true,"body":{"n":1,"yes":true,"text":"a","note":"b"}}`,
		string(full.With("Cookie", "theme=").With("Accept-Language", "").Put("/1?dry=true", payload{1, true, "a", "b"}).Expect(200).Body))
	require.Equal(t, `{"n":0,"yes":false,"text":""}`, string(c.Get("/?n=0&yes=false&text=").Expect(200).Body))

	for want, response := range map[string]*backendtest.Response{
		"/X-Token required /dry required /theme required": c.Put("/0", `{"n":0,"yes":false,"text":""}`),
		"/n required /yes required /text required":        full.Put("/0?dry=true", `{}`),
		"/n required /text required":                      c.Get("/?yes=false"),
		"/token unknown":                                  full.Put("/0?dry=true&token=x", `{"n":0,"yes":false,"text":""}`),
		"/dry unknown":                                    full.Put("/0?dry=true", `{"n":0,"yes":false,"text":"","dry":true}`),
		"/size format":                                    full.With("Cookie", "theme=a; size=x").Put("/0?dry=true", `{"n":0,"yes":false,"text":""}`),
	} {
		var fields []string
		for _, field := range response.Expect(422).Problem().Errors {
			fields = append(fields, field.Pointer+" "+field.Rule)
		}
		require.Equal(t, want, strings.Join(fields, " "))
	}
}

// Statement 57: of a parameter that is given twice neither the first nor the last
// one counts, wherever it is.
// A tag that means nothing must not look as if it did: who trusts that a value
// comes from a header would take it from a body.
func TestPlacesThatMeanNothing(t *testing.T) {
	t.Parallel()
	type within struct {
		Tenant string `json:"tenant" in:"header=X-Tenant"`
	}
	type input struct {
		Within []within `json:"within"`
		ID     string   `json:"id" in:"path=noteId"`
	}
	text := panicText(func() {
		backend.NewLogic(nil, nil, backend.LogicConfig{}).Add(
			backend.Mutation("nested", backend.Public, func(context.Context, input) (within, error) { return within{}, nil }),
			backend.Mutation("named", backend.Public, func(context.Context, struct {
				Note struct{} `json:"note" in:"body=note"`
			}) (int, error) {
				return 0, nil
			}),
			backend.Query("fine", backend.Public, func(context.Context, within) (within, error) { return within{}, nil }),
		)
	})
	for _, want := range []string{
		"backend_test.within.Tenant: the tag in is for fields of the input itself", `input.ID: the tag in:"path=noteId" has a name that means nothing`, `the tag in:"body=note" has a name`,
	} {
		require.Contains(t, text, want)
	}
	require.NotContains(t, text, "fine")
}

func TestParametersGivenTwice(t *testing.T) {
	t.Parallel()
	type input struct {
		Token string `json:"token,omitempty" in:"header=X-Token"`
		Theme string `json:"theme,omitempty" in:"cookie=theme"`
		N     string `json:"n,omitempty"`
	}
	logic := backend.NewLogic(nil, nil, backend.LogicConfig{})
	logic.Add(backend.Query("q", backend.Public, func(_ context.Context, in input) (input, error) { return in, nil }, backend.Route("GET /")))
	once := http.Header{"X-Token": {"a"}, "Cookie": {"theme=a; other=b"}}
	require.Equal(t, `{"token":"a","theme":"a","n":"a"}`, call(logic, "GET", "/?n=a", func(r *http.Request) { r.Header = once }).Body.String())
	for _, test := range []struct {
		query  string
		header http.Header
		want   string
	}{
		{"", http.Header{"X-Token": {"a", "b"}}, "/X-Token format"},
		{"", http.Header{"X-Token": {"a", "a"}}, "/X-Token format"},
		{"", http.Header{"Cookie": {"theme=a; theme=b"}}, "/theme format"},
		{"", http.Header{"Cookie": {"theme=a", "theme=a"}}, "/theme format"},
		{"n=a&n=a", nil, "/n format"},
	} {
		w := call(logic, "GET", "/?"+test.query, func(r *http.Request) { r.Header = test.header })
		require.Equal(t, 422, w.Code, test)
		_, fields := problem(t, w)
		require.Equal(t, []string{test.want}, fields, test)
	}
}

// HEAD is GET without the content (RFC 9110, section 9.3.2), over the wire.
func TestHEADIsGETWithoutContent(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 5000)
	logic := backend.NewLogic(nil, nil, backend.LogicConfig{})
	logic.Add(backend.Query("text", backend.Public, func(_ context.Context, in struct {
		OK bool `json:"ok"`
	}) (string, error) {
		if !in.OK {
			return "", backend.Errorf(backend.Gone, "It is gone.")
		}
		return long, nil
	}, backend.Route("GET /text")))
	c := backendtest.NewClient(t, logic.REST())
	for _, path := range []string{"/text?ok=true", "/text?ok=false", "/text"} {
		get, head := c.Get(path), c.Do("HEAD", path, nil)
		require.Equal(t, get.StatusCode, head.StatusCode)
		require.Empty(t, head.Body)
		for _, name := range []string{"ETag", "Content-Type", "Content-Length"} {
			require.Equal(t, get.Header.Get(name), head.Header.Get(name), "%s of %s", name, path)
		}
	}
	tag := c.Get("/text?ok=true").Header.Get("ETag")
	response := c.With("If-None-Match", tag).Do("HEAD", "/text?ok=true", nil).Expect(304)
	require.Equal(t, tag, response.Header.Get("ETag"))
}

// RFC 9110, section 12.5.1.
func TestAccept(t *testing.T) {
	t.Parallel()
	logic := backend.NewLogic(nil, nil, backend.LogicConfig{})
	logic.Add(backend.Query("q", backend.Public, func(context.Context, backend.None) (int, error) { return 1, nil }, backend.Route("GET /")))
	for accept, status := range map[string]int{
		"": 200, "*/*": 200, "application/json": 200, "Application/JSON": 200, "application/*": 200, "text/html, application/json;q=0.1": 200,
		"text/html,*/*;q=0.8": 200, "application/json;charset=utf-8": 200, "*/*;q=0, application/json": 200,
		"text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2": 200, // Java's HttpURLConnection
		`application/json;profile="a,b";q=0.5`:                 200,
		"text/html":                                            406, "application/json;q=0": 406, "*/*;q=0": 406, "application/json;q=0, */*": 406, "*/*, application/json;q=0": 406, "application/*;q=0, */*": 406, "application/jsonx": 406, "text/*": 406,
	} {
		w := call(logic, "GET", "/", func(r *http.Request) {
			if accept != "" {
				r.Header.Set("Accept", accept)
			}
		})
		require.Equal(t, status, w.Code, accept)
	}
}

// HTTP knows whole seconds, of which half a one would be none.
func TestMaxAgeTakesSeconds(t *testing.T) {
	t.Parallel()
	require.Contains(t, panicText(func() {
		backend.NewLogic(nil, nil, backend.LogicConfig{}).Add(backend.Query("q", backend.Public, noop, backend.MaxAge(500*time.Millisecond)))
	}), "MaxAge(500ms) must be a second or more")
}

// Whoever calls what will be gone hears of it, whatever the answer.
func TestDeprecationIsSaidWithErrors(t *testing.T) {
	t.Parallel()
	since := time.Date(2026, 1, 1, 1, 0, 0, 0, time.FixedZone("", 3600))
	logic := backend.NewLogic(nil, nil, backend.LogicConfig{})
	logic.Add(
		backend.Query("old", backend.SignedIn, noop, backend.Route("GET /old"), backend.Deprecated(since, time.Time{})),
		backend.Query("new", backend.SignedIn, noop, backend.Route("GET /new")),
	)
	w := call(logic, "GET", "/old", nil)
	require.Equal(t, 401, w.Code)
	require.Equal(t, "@1767225600", w.Header().Get("Deprecation"), "RFC 9745, section 2.1")
	require.NotContains(t, w.Header(), "Sunset")
	require.NotContains(t, call(logic, "GET", "/new", nil).Header(), "Deprecation")
}

// Statement 51: every denial is logged once, whichever rule it was that denied.
func TestEveryDenialIsLogged(t *testing.T) {
	t.Parallel()
	type id struct {
		ID string `json:"id"`
	}
	type thing struct {
		Owner string `json:"owner"`
	}
	get := func(ctx context.Context, in id) (thing, error) { return thing{in.ID}, backend.Owned(ctx, in.ID) }
	add := func(logic *backend.Logic) {
		logic.Add(
			backend.Query("role", backend.Role("admin"), noop, backend.Route("GET /role")),
			backend.Query("allow", backend.SignedIn, func(_ context.Context, in id) (thing, error) { return thing{in.ID}, nil }, backend.Route("GET /allow/{id}"),
				backend.Allow(func(ctx context.Context, in id) error { return backend.Owned(ctx, in.ID) })),
			backend.Query("owned", backend.SignedIn, get, backend.Route("GET /owned/{id}")),
			backend.Query("wrapped", backend.SignedIn, func(ctx context.Context, in id) (thing, error) {
				_, err := get(ctx, in)
				return thing{}, fmt.Errorf("get: %w", err)
			}, backend.Route("GET /wrapped/{id}")),
			backend.Query("forbidden", backend.SignedIn, func(context.Context, id) (thing, error) { return thing{}, backend.Errorf(backend.Forbidden, "No.") }, backend.Route("GET /forbidden/{id}")),
			backend.Query("missing", backend.SignedIn, func(context.Context, id) (thing, error) { return thing{}, backend.Errorf(backend.NotFound, "No.") }, backend.Route("GET /missing/{id}")),
			backend.Query("seen", backend.SignedIn, func(ctx context.Context, in id) (thing, error) {
				if backend.Owned(ctx, in.ID) != nil {
					return thing{}, nil // left out
				}
				return thing{in.ID}, nil
			}, backend.Route("GET /seen/{id}")),
			backend.Query("thing", backend.SignedIn, func(_ context.Context, in id) (thing, error) { return thing{in.ID}, nil }, backend.Route("GET /thing/{id}")),
			backend.Relation("part", func(ctx context.Context, things []thing) ([]int, error) { return make([]int, len(things)), nil },
				backend.Allow(func(ctx context.Context, things []thing) error { return backend.Owned(ctx, things[0].Owner) })),
			backend.Relation("secret", func(ctx context.Context, things []thing) ([]int, error) {
				return make([]int, len(things)), backend.Owned(ctx, things[0].Owner)
			}),
		)
	}
	for path, want := range map[string]struct {
		status int
		denied string
	}{
		"/role": {403, "role"}, "/allow/bob": {404, "allow"}, "/owned/bob": {404, "owned"}, "/wrapped/bob": {404, "wrapped"}, "/forbidden/bob": {403, "forbidden"},
		"/missing/bob": {404, ""}, "/seen/bob": {200, ""}, "/owned/ann": {200, ""}, "/allow/ann": {200, ""},
		"/thing/bob?include=part": {404, "thing.part"}, "/thing/bob?include=secret": {404, "thing"}, "/thing/ann?include=part,secret": {200, ""},
	} {
		var log bytes.Buffer
		logic := backend.NewLogic(nil, bearer{}, backend.LogicConfig{})
		add(logic)
		h := backend.AccessLog(slog.New(slog.NewTextHandler(&log, nil)))(logic.REST())
		r := httptest.NewRequest("GET", path, nil)
		r.Header.Set("Authorization", "Bearer ann")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		require.Equal(t, want.status, w.Code, path)
		if want.denied == "" {
			require.NotContains(t, log.String(), "authz_fail", path)
			continue
		}
		require.Equal(t, 1, strings.Count(log.String(), "authz_fail"), "%s: %s", path, &log)
		require.Contains(t, log.String(), "msg=authz_fail operation="+want.denied+" account=ann", path)
	}
}

// A denial of the GET of If-Match is one of the call that sent it.
func TestDenialOfIfMatchIsLoggedOnce(t *testing.T) {
	t.Parallel()
	allow := func(context.Context, itemID) error { return backend.Errorf(backend.Forbidden, "No.") }
	logic := backend.NewLogic(backendtest.NewDB(t, backend.SQLite), bearer{}, backend.LogicConfig{})
	for path, rules := range map[string]struct {
		access backend.Access
		allow  []backend.Option
	}{
		"role":  {access: backend.Role("admin")},
		"allow": {backend.SignedIn, []backend.Option{backend.Allow(allow)}},
	} {
		get := func(_ context.Context, in itemID) (itemID, error) { return in, nil }
		logic.Add(
			backend.Query(path, rules.access, get, append(rules.allow, backend.Route("GET /"+path+"/{id}"))...),
			backend.Mutation(path+"Change", backend.SignedIn, get, backend.Route("PUT /"+path+"/{id}")),
		)
	}
	var log bytes.Buffer
	c := newRESTClient(t, logic)
	c.h = backend.AccessLog(slog.New(slog.NewTextHandler(&log, nil)))(c.h)
	for _, path := range []string{"role", "allow"} {
		log.Reset()
		require.Equal(t, 403, c.do("PUT", "/"+path+"/1", "", "If-Match", "*").Code)
		require.Equal(t, 1, strings.Count(log.String(), "authz_fail"), &log)
		require.Contains(t, log.String(), "msg=authz_fail operation="+path+" account=ann")
	}
}

// Nothing tells a record of somebody else from one that is not there.
func TestOwnedLooksLikeMissing(t *testing.T) {
	t.Parallel()
	err := backend.Owned(backend.WithCaller(t.Context(), backend.Caller{ID: "ann"}), "bob")
	var shown *backend.Error
	require.True(t, errors.As(err, &shown))
	require.Equal(t, backend.NotFound, shown.Code)
	require.Empty(t, shown.Message)
	require.Error(t, backend.Owned(t.Context(), ""), "nobody owns nothing")
	require.NoError(t, backend.Owned(backend.WithCaller(t.Context(), backend.Caller{ID: "ann"}), "ann"))
}

// A call within a transaction is part of it, whether it has one of its own or not.
func TestCallsWithinATransaction(t *testing.T) {
	t.Parallel()
	backendtest.EachDB(t, func(t *testing.T, db *backend.DB) {
		s, logic := newShop(t, db)
		logic.Add(backend.Query("count", backend.Public, func(ctx context.Context, _ backend.None) (int, error) {
			return backend.One[int](ctx, s.db, "SELECT COUNT(*) FROM items")
		}))
		ctx := backend.WithCaller(t.Context(), backend.Caller{ID: "ann"})
		undone := errors.New("undo it")
		require.ErrorIs(t, db.Tx(ctx, func(ctx context.Context) error {
			_, err := backend.Call[item](ctx, logic, "createItem", newItem{Name: "a"})
			require.NoError(t, err)
			n, err := backend.Call[int](ctx, logic, "count", backend.None{})
			require.NoError(t, err)
			require.Equal(t, 1, n)
			return undone
		}), undone)
		n, err := backend.Call[int](ctx, logic, "count", backend.None{})
		require.NoError(t, err)
		require.Zero(t, n)
	})
}

func TestRefusedInputCountsForTheLimit(t *testing.T) {
	t.Parallel()
	type input struct {
		N int `json:"n" validate:"max=1"`
	}
	logic := backend.NewLogic(nil, nil, backend.LogicConfig{})
	logic.Add(backend.Query("q", backend.Public, func(context.Context, input) (backend.None, error) { return backend.None{}, nil },
		backend.Route("GET /"), backend.Rate(2, time.Hour)))
	require.Equal(t, 422, call(logic, "GET", "/?n=x", nil).Code)
	require.Equal(t, 422, call(logic, "GET", "/?n=2", nil).Code)
	require.Equal(t, 429, call(logic, "GET", "/?n=1", nil).Code)
}

// Statement 53: whatever text is in whatever field, it is stored as it is or
// refused, and nothing is harmed.
func TestTextsOfEveryKind(t *testing.T) {
	onShop(t, func(t *testing.T, s *shop, _ restClient) {
		type input struct {
			Path   string   `json:"path"`
			Query  string   `json:"query,omitempty" in:"query"`
			List   []string `json:"list,omitempty" in:"query"`
			Header string   `json:"header,omitempty" in:"header=X-Text"`
			Cookie string   `json:"cookie,omitempty" in:"cookie=text"`
			Body   string   `json:"body,omitempty"`
		}
		type id struct {
			ID hiddenText `json:"id" in:"query"`
		}
		seen := 0
		logic := backend.NewLogic(s.db, nil, backend.LogicConfig{})
		logic.Add(
			backend.Mutation("store", backend.Public, func(ctx context.Context, in input) ([]string, error) {
				seen++
				var stored []string
				for _, text := range append(in.List, in.Path, in.Query, in.Header, in.Cookie, in.Body) {
					one, err := backend.One[string](ctx, s.db, "INSERT INTO items (name, owner) VALUES (?, 'ann') RETURNING name", text)
					if err != nil {
						return nil, err
					}
					stored = append(stored, one)
				}
				return stored, nil
			}, backend.Route("POST /texts/{path}")),
			backend.Query("byID", backend.Public, func(context.Context, id) (backend.None, error) { seen++; return backend.None{}, nil }, backend.Route("GET /ids")),
		)
		c := newRESTClient(t, logic)
		post := func(place, text string) *httptest.ResponseRecorder {
			path, body, headers := "/texts/x", `{}`, []string{}
			switch place {
			case "path":
				path = "/texts/" + url.PathEscape(text)
			case "query", "list":
				path += "?" + place + "=" + url.QueryEscape(text)
			case "header":
				headers = []string{"X-Text", text}
			case "cookie":
				headers = []string{"Cookie", "text=" + text}
			case "body":
				quoted := strings.ReplaceAll(strings.ReplaceAll(text, `"`, `\"`), "\x00", `\u0000`)
				body = `{"body":"` + quoted + `"}`
			}
			return c.do("POST", path, body, headers...)
		}
		for _, place := range []string{"path", "query", "list", "header", "cookie", "body"} {
			for _, text := range []string{"a'b", "'; DROP TABLE items; --", "?", "$1", "ä😀", "%s"} {
				if place == "cookie" && strings.ContainsAny(text, ";ä ") { // which no cookie can have
					continue
				}
				w := post(place, text)
				require.Equal(t, 201, w.Code, "%s %q: %s", place, text, w.Body)
				var stored []string
				require.NoError(t, json.Unmarshal(w.Body.Bytes(), &stored))
				require.Contains(t, stored, text, place)
			}
			before := seen
			for _, text := range []string{"a\x00b", "\xff", "a\xc3"} {
				if place == "cookie" { // net/http leaves it out
					continue
				}
				w := post(place, text)
				require.Contains(t, []int{400, 422}, w.Code, "%s %q: %s", place, text, w.Body)
			}
			require.Equal(t, before, seen, "%s: what no engine can store reaches no function", place)
			w := post(place, strings.Repeat("a", 35_000))
			require.Less(t, w.Code, 500, "%s: %s", place, w.Body)
		}
		for _, text := range []string{"1\x00", "\xff"} {
			require.Equal(t, 422, c.do("GET", "/ids?id="+url.QueryEscape(text), "").Code, "a text of its own type")
		}
		require.Equal(t, 201, post("body", "still there").Code)
	})
}

// Anonymous callers are who a trusted proxy says, and no account can be named
// like one of them.
func TestLimitOfAddresses(t *testing.T) {
	t.Parallel()
	logic := backend.NewLogic(nil, nil, backend.LogicConfig{})
	logic.Add(backend.Query("limited", backend.Public, noop, backend.Route("GET /limited"), backend.Rate(1, time.Hour)))
	h := backend.Stack(backend.StackConfig{Logger: slog.New(slog.DiscardHandler), TrustedProxies: []string{"192.0.2.1/32"}})(logic.REST())
	ask := func(client string) int {
		r := httptest.NewRequest("GET", "/limited", nil)
		r.RemoteAddr = "192.0.2.1:1234"
		r.Header.Set("X-Forwarded-For", client)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code
	}
	require.Equal(t, 204, ask("198.51.100.1"))
	require.Equal(t, 429, ask("198.51.100.1"))
	require.Equal(t, 204, ask("198.51.100.2"))
	require.Equal(t, 204, ask("2001:db8::1"))
	require.Equal(t, 429, ask("2001:db8::2"), "whoever has one address has all of its network")

	address := netip.MustParseAddr("198.51.100.1").As16()
	for _, id := range []string{string(address[:]), "address " + string(address[:])} {
		_, err := backend.Call[backend.None](backend.WithCaller(t.Context(), backend.Caller{ID: backend.AccountID(id)}), logic, "limited", backend.None{})
		require.NoError(t, err)
	}
}

// The time of a call is over while it waits for a connection, too.
func TestDeadlineOfACallThatWaitsForAConnection(t *testing.T) {
	t.Parallel()
	backendtest.EachDB(t, func(t *testing.T, db *backend.DB) {
		logic := backend.NewLogic(db, nil, backend.LogicConfig{})
		logic.Add(backend.Mutation("m", backend.Public, noop, backend.Route("POST /m"), backend.Deadline(50*time.Millisecond)))
		c := newRESTClient(t, logic)
		require.NoError(t, db.Tx(t.Context(), func(context.Context) error {
			require.Equal(t, 504, c.do("POST", "/m", "").Code)
			return nil
		}))
		require.Equal(t, 204, c.do("POST", "/m", "").Code)
	}, backend.DBConfig{MaxConns: 1})
}
