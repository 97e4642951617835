package backend_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
	"github.com/seed-215b9b7c/backend/backendtest"
	"github.com/seed-215b9b7c/backend/internal/toydoor"
)

// These tests are about what all doors share: visits, the one way of a call, and
// doors of other packages.

// Two versions of an API, and an internal one, are doors of one program.
func TestRESTDoorsSideBySide(t *testing.T) {
	t.Parallel()
	const v1, v2, internal = backend.REST + "/v1", backend.REST + "/v2", backend.REST + "/internal"
	say := func(text string) func(context.Context, backend.None) (string, error) {
		return func(context.Context, backend.None) (string, error) { return text, nil }
	}
	logic := backend.NewLogic(nil, nil, backend.LogicConfig{})
	logic.Add(
		backend.Query("note1", backend.Public, say("one"), backend.Route("GET /note"), backend.Only(v1)),
		backend.Query("note2", backend.Public, say("two"), backend.Route("GET /note"), backend.Only(v2, internal)),
		backend.Query("common", backend.Public, say("common"), backend.Route("GET /common"), backend.Only(backend.REST)),
		backend.Query("newer", backend.Public, say("newer"), backend.Route("GET /newer"), backend.Except(v1)),
		backend.Query("stats", backend.Public, say("stats"), backend.Route("GET /stats"), backend.Only(internal)),
		backend.Query("other", backend.Public, say("other"), backend.Route("GET /other"), backend.Except(backend.REST)),
	)
	r := backend.NewRouter()
	paths := map[string]map[string]string{
		"/v1":       {"/note": "one", "/common": "common"},
		"/v2":       {"/note": "two", "/common": "common", "/newer": "newer"},
		"/internal": {"/note": "two", "/common": "common", "/newer": "newer", "/stats": "stats"},
	}
	for prefix, name := range map[string]backend.Door{"/v1": v1, "/v2": v2, "/internal": internal} {
		door := logic.REST(backend.RESTConfig{Name: name})
		r.Mount(prefix, door)
		r.Handle("GET "+prefix+"/openapi.json", door.OpenAPI(backend.OpenAPIConfig{Title: prefix}))
	}
	c := backendtest.NewClient(t, r)
	for prefix, want := range paths {
		for _, path := range []string{"/note", "/common", "/newer", "/stats", "/other"} {
			if want[path] == "" {
				c.Get(prefix + path).Expect(http.StatusNotFound)
				continue
			}
			require.Equal(t, `"`+want[path]+`"`, string(c.Get(prefix+path).Expect(http.StatusOK).Body))
		}
		var description struct {
			Info    struct{ Title string }
			Servers []struct{ URL string }
			Paths   map[string]any
		}
		c.Get(prefix + "/openapi.json").Expect(http.StatusOK).JSON(&description)
		require.Equal(t, prefix, description.Info.Title)
		require.Equal(t, prefix, description.Servers[0].URL)
		require.Len(t, description.Paths, len(want))
		for path := range want {
			require.Contains(t, description.Paths, path)
		}
	}
	require.Equal(t, `"common"`, get(logic.REST(), "/common"), "the usual door beside them")
	require.Contains(t, get(logic.REST(), "/note"), "not_found")
}

func get(h http.Handler, path string) string {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	return w.Body.String()
}

func TestNamesOfDoors(t *testing.T) {
	t.Parallel()
	for _, name := range []backend.Door{"rst", "REST", "rest/", "toy", "", "example.com/", "toy/example.com"} {
		logic := backend.NewLogic(nil, nil, backend.LogicConfig{})
		require.Contains(t, panicText(func() { logic.Door(name) }), "must begin with a domain", name)
		for _, option := range []backend.Option{backend.Only(name), backend.Except(name), backend.ForDoor(name, 1)} {
			if name != "rest/" { // of the kind that there is
				require.Contains(t, panicText(func() { logic.Add(backend.Query("q", backend.Public, noop, option)) }), "there is no door", name)
			}
		}
		if name != "" && name != "rest/" {
			require.Contains(t, panicText(func() { logic.REST(backend.RESTConfig{Name: name}) }), "must be backend.REST, or begin with it", name)
		}
	}
	logic := backend.NewLogic(nil, nil, backend.LogicConfig{})
	require.Contains(t, panicText(func() { logic.Door(backend.REST + "/v1") }), "must begin with a domain")
	require.Contains(t, panicText(func() { logic.REST(backend.RESTConfig{}, backend.RESTConfig{}) }), "2 configs were given")
	logic.Door(toydoor.Name)
	require.Contains(t, panicText(func() { logic.Add(backend.Query("q", backend.Public, noop)) }), "after a door was made")
}

// counting is an authenticator that counts how often it is asked.
type counting struct {
	bearer
	asked atomic.Int64
}

func (c *counting) Authenticate(ctx context.Context, r *http.Request) (backend.Caller, error) {
	c.asked.Add(1)
	if r.Header.Get("Authorization") == "Panic" {
		panic("no")
	}
	return c.bearer.Authenticate(ctx, r)
}

// A request is authenticated once, however many operations it calls.
func TestVisitsAreAuthenticatedOnce(t *testing.T) {
	t.Parallel()
	backendtest.EachDB(t, func(t *testing.T, db *backend.DB) {
		auth := &counting{}
		logic := backend.NewLogic(db, auth, backend.LogicConfig{})
		logic.Add(
			backend.Query("thing", backend.SignedIn, func(ctx context.Context, in itemID) (string, error) { return string(backend.CallerFrom(ctx).ID), nil }, backend.Route("GET /things/{id}")),
			backend.Mutation("touch", backend.SignedIn, func(ctx context.Context, in itemID) (string, error) {
				return backend.Call[string](ctx, logic, "thing", in)
			}, backend.Route("PUT /things/{id}")),
		)
		rest, toy := newRESTClient(t, logic), backendtest.NewClient(t, toydoor.New(logic)).With("Authorization", "Bearer ann")
		rest.who = "ann"
		w := rest.do("PUT", "/things/1", "", "If-Match", "*")
		require.Equal(t, http.StatusOK, w.Code, w.Body)
		require.Equal(t, `"ann"`, w.Body.String(), "a call from inside has the caller, too")
		require.EqualValues(t, 1, auth.asked.Swap(0), "not again for the GET that If-Match is compared with")
		body := toy.Post("/thing,touch,thing", `[{"id":"1"},{"id":"1"},{"id":"1"}]`).Expect(http.StatusOK).Body
		require.Equal(t, "\"ann\"\n\"ann\"\n\"ann\"\n", string(body))
		require.EqualValues(t, 1, auth.asked.Swap(0))
		toy.With("Authorization", "Bearer wrong").Post("/thing,thing", `[{"id":"1"},{"id":"1"}]`).Expect(http.StatusUnauthorized)
		require.EqualValues(t, 1, auth.asked.Load())
	})
}

// Wrong credentials are never taken for none, and neither is an authenticator that
// panics.
func TestVisitsThatCannotBeAuthenticated(t *testing.T) {
	t.Parallel()
	auth := &counting{}
	logic := backend.NewLogic(nil, auth, backend.LogicConfig{})
	logic.Add(backend.Query("public", backend.Public, func(context.Context, backend.None) (string, error) { return "seen", nil }))
	door := logic.Door("example.com/own")
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Authorization", "Bearer wrong")
	visit := door.Visit(r)
	for range 2 {
		_, err := visit.Call(t.Context(), door.Operation("public"), &jsonCall{}, backend.CallConfig{})
		require.Equal(t, backend.Unauthenticated, backend.CodeOf(err))
		_, err = visit.Caller(t.Context())
		require.Equal(t, backend.Unauthenticated, backend.CodeOf(err))
	}
	require.EqualValues(t, 1, auth.asked.Load())

	r.Header.Set("Authorization", "Panic")
	visit = door.Visit(r)
	require.Contains(t, panicText(func() { visit.Call(t.Context(), door.Operation("public"), &jsonCall{}, backend.CallConfig{}) }), "no")
	_, err := visit.Call(t.Context(), door.Operation("public"), &jsonCall{}, backend.CallConfig{})
	require.Equal(t, backend.Internal, backend.CodeOf(err))
	require.ErrorContains(t, err, "did not return")
}

// jsonCall is a transport of JSON.
type jsonCall struct {
	op     *backend.Operation // nil: without input
	in     string
	out    any
	decode func(in any) error // in place of it
}

func (c *jsonCall) Decode(ctx context.Context, in any) error {
	switch {
	case c.decode != nil:
		return c.decode(in)
	case c.op == nil:
		return nil
	}
	return c.op.DecodeJSON(ctx, []byte(c.in), in)
}

func (c *jsonCall) Encode(_ context.Context, out any) error {
	c.out = out
	return nil
}

// A message that is no request has the caller that its door says.
func TestVisitAs(t *testing.T) {
	t.Parallel()
	logic := backend.NewLogic(nil, &counting{}, backend.LogicConfig{})
	logic.Add(backend.Query("me", backend.SignedIn, func(ctx context.Context, _ backend.None) (string, error) {
		return string(backend.CallerFrom(ctx).ID), nil
	}, backend.Rate(2, time.Hour)))
	door := logic.Door("example.com/own")
	visit := door.VisitAs(t.Context(), backend.Caller{ID: "robot"})
	caller, err := visit.Caller(t.Context())
	require.NoError(t, err)
	require.Equal(t, backend.AccountID("robot"), caller.ID)
	c := &jsonCall{}
	for range 2 {
		_, err := visit.Call(t.Context(), door.Operation("me"), c, backend.CallConfig{})
		require.NoError(t, err)
		require.Equal(t, "robot", *c.out.(*string))
	}
	_, err = visit.Call(t.Context(), door.Operation("me"), c, backend.CallConfig{})
	require.Equal(t, backend.RateLimited, backend.CodeOf(err))
	_, err = door.VisitAs(t.Context(), backend.Caller{}).Call(t.Context(), door.Operation("me"), c, backend.CallConfig{})
	require.Equal(t, backend.Unauthenticated, backend.CodeOf(err))
}

// What If-Match is compared with is a call that counts, and counts once.
func TestIfMatchIsCounted(t *testing.T) {
	t.Parallel()
	lost(t, func(t *testing.T, db *backend.DB, lose func(context.Context) error) {
		runs := 0
		logic := backend.NewLogic(db, bearer{}, backend.LogicConfig{})
		logic.Add(
			backend.Query("thing", backend.SignedIn, func(context.Context, itemID) (int, error) { return 7, nil }, backend.Route("GET /things/{id}")),
			backend.Mutation("touch", backend.SignedIn, func(ctx context.Context, _ itemID) (backend.None, error) {
				if runs++; runs < 3 {
					return backend.None{}, lose(ctx)
				}
				return backend.None{}, nil
			}, backend.Route("PUT /things/{id}")),
		)
		c := newRESTClient(t, logic)
		c.who = "ann"
		w := c.do("PUT", "/things/1", "", "If-Match", "*")
		require.Equal(t, http.StatusNoContent, w.Code, w.Body)
		require.Equal(t, 3, runs)
		for _, stats := range logic.Stats() {
			require.EqualValues(t, 1, stats.Calls, stats.Name)
			require.Zero(t, stats.Running, stats.Name)
		}
	})
}

// lost calls f with what makes a transaction lose against another one, on each
// engine on which that can be made to happen.
func lost(t *testing.T, f func(t *testing.T, db *backend.DB, lose func(context.Context) error)) {
	t.Helper()
	for _, engine := range []backend.Engine{backend.Postgres, backend.MySQL} { // SQLite's one writer loses against nobody
		t.Run(string(engine), func(t *testing.T) {
			t.Parallel()
			db := backendtest.NewDB(t, engine)
			f(t, db, func(ctx context.Context) (err error) {
				if engine == backend.Postgres {
					_, err = db.Exec(ctx, "DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = 'serialization_failure'; END $$")
				} else {
					_, err = db.Exec(ctx, "SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213")
				}
				return err
			})
		})
	}
}

// A function may change what its input refers to: the next run gets an input that
// was decoded anew, by every door.
func TestRunsThatAreLostDecodeAgain(t *testing.T) {
	t.Parallel()
	type inner struct {
		Tags []string `json:"tags"`
	}
	type input struct {
		Names []string          `json:"names" validate:"max=9,dive,max=9"`
		By    map[string]string `json:"by" validate:"max=9,dive,max=9"`
		Inner *inner            `json:"inner"`
		Raw   json.RawMessage   `json:"raw"`
	}
	const text = `{"names":["a","b"],"by":{"k":"v"},"inner":{"tags":["t"]},"raw":[1]}`
	lost(t, func(t *testing.T, db *backend.DB, lose func(context.Context) error) {
		require.NoError(t, db.Migrate(t.Context(), nil))
		runs := 0
		logic := backend.NewLogic(db, nil, backend.LogicConfig{})
		logic.Add(backend.Mutation("sort", backend.Public, func(ctx context.Context, in input) (string, error) {
			got, err := json.Marshal(in)
			in.Names[0], in.By["k"], in.By["l"], in.Inner.Tags[0], in.Raw[1] = "x", "x", "x", "x", '2'
			if runs++; err == nil && runs%3 != 0 {
				err = lose(ctx)
			}
			return string(got), err
		}, backend.Route("POST /sort"), backend.Idempotent()))
		rest, toy := newRESTClient(t, logic), backendtest.NewClient(t, toydoor.New(logic))
		want, _ := json.Marshal(text)
		require.Equal(t, string(want), rest.do("POST", "/sort", text).Body.String())
		require.Equal(t, string(want), rest.do("POST", "/sort", text, "Idempotency-Key", "k").Body.String())
		require.Equal(t, string(want)+"\n", string(toy.Post("/sort", text).Expect(http.StatusOK).Body))
		require.Equal(t, 9, runs)

		var in input
		require.NoError(t, json.Unmarshal([]byte(text), &in))
		got, err := backend.Call[string](t.Context(), logic, "sort", in)
		require.NoError(t, err)
		require.Equal(t, text, got)
		after, err := json.Marshal(in)
		require.NoError(t, err)
		require.Equal(t, text, string(after), "what Call was given is the caller's")
		require.Equal(t, 12, runs)
	})
}

// A stranger's door cannot leave out what is done for every call.
func TestCustomDoorsCannotSkipAnything(t *testing.T) {
	t.Parallel()
	backendtest.EachDB(t, func(t *testing.T, db *backend.DB) {
		s, _ := newShop(t, db)
		logic := backend.NewLogic(db, bearer{}, backend.LogicConfig{})
		logic.Add(
			backend.Mutation("create", backend.SignedIn, s.create, backend.Idempotent()),
			backend.Mutation("strict", backend.SignedIn, s.create, backend.RequireIdempotencyKey()),
			backend.Mutation("limited", backend.SignedIn, s.create, backend.Rate(1, time.Hour)),
			backend.Mutation("allowed", backend.SignedIn, s.create, backend.Allow(func(_ context.Context, in newItem) error {
				if in.Name == "b" {
					return backend.Errorf(backend.Forbidden, "Not b.")
				}
				return nil
			})),
			backend.Mutation("slow", backend.SignedIn, s.fail, backend.Deadline(100*time.Millisecond)),
			backend.Mutation("elsewhere", backend.SignedIn, s.create, backend.Only(backend.REST)),
		)
		toy := backendtest.NewClient(t, backend.Recover()(toydoor.New(logic)))
		ann := toy.With("Authorization", "Bearer ann")
		refused := func(c *backendtest.Client, operation, input string, status int) string {
			t.Helper()
			before := s.calls.Load()
			text := string(c.Post("/"+operation, input).Expect(status).Body)
			require.Equal(t, before, s.calls.Load(), "the function did not run")
			return text
		}
		refused(toy, "create", `{"name":"a","price":null}`, http.StatusUnauthorized)
		refused(toy.With("Authorization", "Bearer wrong"), "create", `{"name":"a","price":null}`, http.StatusUnauthorized)
		refused(ann, "create", `{"name":"","price":-1}`, http.StatusUnprocessableEntity)
		refused(ann, "create", `{"name":"forbidden","price":null}`, http.StatusUnprocessableEntity)
		require.Contains(t, refused(ann, "create", `{"name":"a","price":null,"owner":"bob"}`, http.StatusUnprocessableEntity), "/owner")
		refused(ann, "create", `{"name":"a","name":"b","price":null}`, http.StatusBadRequest)
		refused(ann, "strict", `{"name":"a","price":null}`, http.StatusBadRequest)
		refused(ann.With("Key", strings.Repeat("k", 256)), "create", `{"name":"a","price":null}`, http.StatusBadRequest)
		refused(ann, "allowed", `{"name":"b","price":null}`, http.StatusForbidden)
		refused(ann, "elsewhere", `{"name":"a","price":null}`, http.StatusNotFound)
		refused(ann, "nothing", `{}`, http.StatusNotFound)
		ann.Post("/limited", `{"name":"a","price":null}`).Expect(http.StatusOK)
		refused(ann, "limited", `{"name":"a","price":null}`, http.StatusTooManyRequests)

		first := ann.With("Key", "k").Post("/create", `{"name":"once","price":null}`).Expect(http.StatusOK)
		require.Equal(t, "false", first.Header.Get("Replayed"))
		again := ann.With("Key", "k").Post("/create", `{"price":null,"name":"once"}`).Expect(http.StatusOK)
		require.Equal(t, "true", again.Header.Get("Replayed"))
		require.Equal(t, first.Body, again.Body)
		refused(ann.With("Key", "k"), "create", `{"name":"other","price":null}`, http.StatusUnprocessableEntity)

		count := func() int {
			n, err := backend.One[int](t.Context(), db, "SELECT COUNT(*) FROM items")
			require.NoError(t, err)
			return n
		}
		rows := count()
		for how, status := range map[string]int{"slow": http.StatusGatewayTimeout, "panic": http.StatusInternalServerError, "secret": http.StatusInternalServerError} {
			require.NotContains(t, string(ann.Post("/slow", `{"how":"`+how+`"}`).Expect(status).Body), "hunter2")
		}
		door := logic.Door(toydoor.Name)
		unwritten := &jsonCall{decode: func(in any) error { in.(*newItem).Name = "unwritten"; return nil }}
		_, err := door.VisitAs(t.Context(), backend.Caller{ID: "ann"}).Call(t.Context(), door.Operation("create"), brokenPipe{unwritten}, backend.CallConfig{})
		require.ErrorContains(t, err, "nobody reads")
		own := &jsonCall{decode: func(in any) error { in.(*newItem).Name = strings.Repeat("x", 21); return nil }}
		_, err = door.VisitAs(t.Context(), backend.Caller{ID: "ann"}).Call(t.Context(), door.Operation("create"), own, backend.CallConfig{})
		require.Equal(t, backend.Invalid, backend.CodeOf(err), "a door that decodes by itself does not get around the rules")
		require.Equal(t, rows, count(), "what failed is undone")
	})
}

// brokenPipe is a transport that cannot write its output.
type brokenPipe struct{ backend.Transport }

func (brokenPipe) Encode(context.Context, any) error { return errors.New("nobody reads") }

// A door lists what it offers, with settings of its own.
func TestOperationsOfCustomDoors(t *testing.T) {
	t.Parallel()
	logic := backend.NewLogic(nil, nil, backend.LogicConfig{})
	logic.Add(
		backend.Query("one", backend.Role("admin"), noop, toydoor.Title("One"), toydoor.Title("and more"), backend.Doc("The first.")),
		backend.Mutation("two", backend.Public, func(context.Context, newItem) (item, error) { return item{}, nil }, backend.ForDoor("example.com/other", 1)),
		backend.Query("three", backend.Public, noop, backend.Except(toydoor.Name)),
		backend.Relation("label", func(context.Context, []item) ([]string, error) { return nil, nil }),
	)
	require.Equal(t, "one false backend.None backend.None role admin The first. [One and more]\n"+
		"two true backend_test.newItem backend_test.item everybody  []\n", get(toydoor.New(logic), "/"))
	var schemas map[string]struct {
		Type       string
		Required   []string
		Properties map[string]any
	}
	require.NoError(t, json.Unmarshal([]byte(get(toydoor.New(logic), "/two")), &schemas))
	require.Equal(t, "object", schemas["input"].Type)
	require.Equal(t, []string{"name"}, schemas["input"].Required)
	require.Contains(t, schemas["output"].Properties, "version")
	require.Contains(t, get(toydoor.New(logic), "/three"), "not_found")
	var names []string
	for _, op := range logic.Operations() {
		names = append(names, op.Name())
	}
	require.Equal(t, []string{"one", "two", "three"}, names)
	require.Equal(t, []any{1}, logic.Operations()[1].Settings("example.com/other"))
}

// event is what an observer was told, and when.
type event struct {
	backend.Event
	within string // what began around it
	ended  bool
}

// recorder is an Observer that remembers.
type recorder struct {
	mu     sync.Mutex
	events []*event
}

type withinKey struct{}

func (r *recorder) Begin(ctx context.Context, e *backend.Event) context.Context {
	r.mu.Lock()
	defer r.mu.Unlock()
	around, _ := ctx.Value(withinKey{}).(*event)
	recorded := &event{Event: *e}
	if around != nil {
		recorded.within = around.Kind.String() + " " + around.Operation
	}
	r.events = append(r.events, recorded)
	return context.WithValue(ctx, withinKey{}, recorded)
}

func (r *recorder) End(ctx context.Context, e *backend.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	recorded := ctx.Value(withinKey{}).(*event)
	recorded.Event, recorded.ended = *e, true
}

// take returns what was recorded, as text, and forgets it.
func (r *recorder) take(t *testing.T) (lines []string) {
	t.Helper()
	for _, e := range r.events {
		require.True(t, e.ended, e.Query)
		require.False(t, e.Start.IsZero())
		require.GreaterOrEqual(t, e.Duration, time.Duration(0))
		code := "ok"
		if e.Err != nil {
			code = backend.CodeOf(e.Err).String()
		}
		query, _, _ := strings.Cut(e.Query, " ")
		lines = append(lines, strings.TrimSpace(fmt.Sprintf("%s %s %s door=%s caller=%s id=%s trace=%.4s %s in=%s", e.Kind, e.Operation, query, e.Door, e.Caller.ID, e.RequestID, e.TraceID, code, e.within)))
	}
	r.events = nil
	return lines
}

func TestObserver(t *testing.T) {
	t.Parallel()
	for _, engine := range []backend.Engine{backend.SQLite, backend.Postgres, backend.MySQL} {
		t.Run(string(engine), func(t *testing.T) {
			t.Parallel()
			url := backendtest.NewURL(t, engine)
			seen := &recorder{}
			db, err := backend.Open(t.Context(), url, backend.DBConfig{Observer: seen})
			require.NoError(t, err)
			defer db.Close()
			s, _ := newShop(t, db)
			logic := backend.NewLogic(db, bearer{}, backend.LogicConfig{Observer: seen})
			logic.Add(
				backend.Relation("seller", s.sellers),
				backend.Query("item", backend.SignedIn, s.get, backend.Route("GET /items/{id}")),
				backend.Mutation("createItem", backend.SignedIn, s.create, backend.Route("POST /items")),
				backend.Mutation("fail", backend.Public, s.fail, backend.Route("POST /fail")),
			)
			c := restClient{t: t, h: backend.Stack(backend.StackConfig{Logger: slog.New(slog.DiscardHandler)})(mounted(logic)), who: "ann"}
			do := func(method, path, body string) []string {
				c.do(method, path, body, "X-Request-Id", "r1", "Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
				return seen.take(t)
			}
			seen.take(t) // migrations and the ping of Open
			const end = "door=rest caller=ann id=r1 trace=0af7 "
			require.Equal(t, []string{"call createItem  " + end + "ok in=", "statement createItem INSERT " + end + "ok in=call createItem"}, do("POST", "/items", `{"name":"a","price":null}`))
			require.Equal(t, []string{
				"call item  " + end + "ok in=", "statement item SELECT " + end + "ok in=call item",
				"relation item.seller  " + end + "ok in=call item", "statement item.seller SELECT " + end + "ok in=relation item.seller",
			}, do("GET", "/items/1?include=seller", ""))
			require.Equal(t, []string{"call item  " + end + "invalid in="}, do("GET", "/items/x", ""))
			require.Equal(t, []string{"call fail  " + end + "gone in=", "statement fail INSERT " + end + "ok in=call fail"}, do("POST", "/fail", `{"how":"gone"}`))
			require.Equal(t, []string{"call fail  " + end + "internal in=", "statement fail INSERT " + end + "ok in=call fail"}, do("POST", "/fail", `{"how":"panic"}`))
			c.who = "wrong"
			require.Equal(t, []string{"call item  door=rest caller= id=r1 trace=0af7 unauthenticated in="}, do("GET", "/items/1", ""))
			_, err = backend.Call[item](backend.WithCaller(t.Context(), backend.Caller{ID: "bob"}), logic, "item", itemID{99})
			require.Equal(t, backend.NotFound, backend.CodeOf(err))
			require.Equal(t, []string{"call item  door= caller=bob id= trace= not_found in=", "statement item SELECT door= caller=bob id= trace= ok in=call item"}, seen.take(t))
			_, err = db.Exec(t.Context(), "INSERT INTO nothing VALUES (1)")
			require.Error(t, err)
			require.Equal(t, []string{"statement  INSERT door= caller= id= trace= internal in="}, seen.take(t), "outside of any call")
			require.Equal(t, map[string]int64{"item": 4, "createItem": 1, "fail": 2, "item.seller": 1}, calls(logic))
		})
	}
}

func mounted(logic *backend.Logic) http.Handler {
	r := backend.NewRouter()
	r.Mount("/api", logic.REST())
	return r
}

func calls(logic *backend.Logic) map[string]int64 {
	counts := map[string]int64{}
	for _, stats := range logic.Stats() {
		counts[stats.Name] = stats.Calls
	}
	return counts
}

// Without an observer there is nothing to pay for.
func TestObserverCostsNothingWithoutOne(t *testing.T) { // not parallel: it counts allocations
	if underRace() {
		t.Skip("the race detector allocates, too")
	}
	cost := func(observer backend.Observer) (call, query float64) {
		db, err := backend.Open(t.Context(), backendtest.NewURL(t, backend.SQLite), backend.DBConfig{Observer: observer})
		require.NoError(t, err)
		defer db.Close()
		logic := backend.NewLogic(nil, nil, backend.LogicConfig{Observer: observer})
		logic.Add(backend.Query("q", backend.Public, func(context.Context, backend.None) (int, error) { return 7, nil }))
		call = fewestAllocs(func() {
			if n, err := backend.Call[int](t.Context(), logic, "q", backend.None{}); n != 7 || err != nil {
				t.Fatal(n, err)
			}
		})
		query = fewestAllocs(func() {
			if n, err := backend.One[int](t.Context(), db, "SELECT 7"); n != 7 || err != nil {
				t.Fatal(n, err)
			}
		})
		return call, query
	}
	call, query := cost(nil)
	require.LessOrEqual(t, call, 3.0, "the visit, the call with its context, and the output") // None takes no memory
	observedCall, observedQuery := cost(&forgetful{})
	require.Equal(t, call+1, observedCall, "the event")
	require.LessOrEqual(t, observedQuery, query+2, "the event, and one that SQLite's driver makes now and then")
}

// fewestAllocs counts the allocations of f. Those of goroutines that run beside it
// count, too, so it counts several times.
func fewestAllocs(f func()) float64 {
	fewest := testing.AllocsPerRun(100, f)
	for range 4 {
		fewest = min(fewest, testing.AllocsPerRun(100, f))
	}
	return fewest
}

// forgetful is an Observer that costs nothing itself.
type forgetful struct{}

func (*forgetful) Begin(ctx context.Context, _ *backend.Event) context.Context { return ctx }
func (*forgetful) End(context.Context, *backend.Event)                         {}

func TestDenialsGoToTheLogger(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	logic := backend.NewLogic(nil, bearer{}, backend.LogicConfig{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	logic.Add(backend.Query("admin", backend.Role("admin"), noop, backend.Route("GET /admin")))
	require.Equal(t, http.StatusForbidden, newRESTClient(t, logic).do("GET", "/admin", "").Code)
	require.Equal(t, 1, strings.Count(log.String(), "msg=authz_fail operation=admin account=ann"), log.String())
}

// A door may resolve parts of an answer with several calls at once, of which each
// may be refused.
func TestCallsWithinACallAreRefusedAtOnce(t *testing.T) {
	t.Parallel()
	logic := backend.NewLogic(nil, bearer{}, backend.LogicConfig{})
	say := func(context.Context, backend.None) (string, error) { return "said", nil }
	logic.Add(backend.Query("outer", backend.SignedIn, say), backend.Query("admin", backend.Role("admin"), say))
	r := httptest.NewRequest("POST", "/", nil)
	r.Header.Set("Authorization", "Bearer ann")
	door := logic.Door("example.com/own")
	visit := door.Visit(r)
	_, err := visit.Call(t.Context(), door.Operation("outer"), encodes(func(ctx context.Context) error {
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				_, err := visit.Call(ctx, door.Operation("admin"), &jsonCall{}, backend.CallConfig{})
				assert.Equal(t, backend.Forbidden, backend.CodeOf(err))
			})
		}
		all.Wait()
		return nil
	}), backend.CallConfig{})
	require.NoError(t, err)
}

// encodes is a transport without input that does something when it encodes.
type encodes func(ctx context.Context) error

func (encodes) Decode(context.Context, any) error { return nil }

func (f encodes) Encode(ctx context.Context, _ any) error { return f(ctx) }

// Each call of a visit has its own deadline. Its end is not the visit's.
func TestVisitWhoseFirstCallEndsTooEarly(t *testing.T) {
	t.Parallel()
	logic := backend.NewLogic(nil, patient{}, backend.LogicConfig{})
	logic.Add(backend.Query("q", backend.SignedIn, func(context.Context, backend.None) (string, error) { return "x", nil }))
	door := logic.Door("example.com/own")
	visit := door.Visit(httptest.NewRequest("POST", "/", nil))
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := visit.Call(ended, door.Operation("q"), &jsonCall{}, backend.CallConfig{})
	require.ErrorIs(t, err, context.Canceled)
	_, err = visit.Call(t.Context(), door.Operation("q"), &jsonCall{}, backend.CallConfig{})
	require.NoError(t, err)
}

// patient is an authenticator that looks at its context, as a database does.
type patient struct{}

func (patient) Authenticate(ctx context.Context, _ *http.Request) (backend.Caller, error) {
	return backend.Caller{ID: "ann"}, ctx.Err()
}

// The panic of an Observer's Begin reaches the caller, and End is not called for
// what has not begun.
func TestObserverThatPanics(t *testing.T) {
	t.Parallel()
	observer := &panicking{}
	logic := backend.NewLogic(nil, nil, backend.LogicConfig{Observer: observer})
	logic.Add(backend.Query("q", backend.Public, func(context.Context, backend.None) (string, error) { return "x", nil }))
	require.PanicsWithValue(t, "begin", func() { backend.Call[string](t.Context(), logic, "q", backend.None{}) })
	require.Zero(t, observer.ended)
	require.EqualValues(t, 1, logic.Stats()[0].Calls)
}

type panicking struct{ ended int }

func (*panicking) Begin(context.Context, *backend.Event) context.Context { panic("begin") }

func (o *panicking) End(context.Context, *backend.Event) { o.ended++ }

// A call that waits until another call of its visit has authenticated ends with its
// own context, and has the caller that the other one found.
func TestVisitWaitsForItsCallerNoLongerThanItsContext(t *testing.T) {
	t.Parallel()
	asked, answer := make(chan struct{}), make(chan struct{})
	logic := backend.NewLogic(nil, authenticatorFunc(func() (backend.Caller, error) {
		close(asked)
		<-answer
		return backend.Caller{ID: "ann"}, nil
	}), backend.LogicConfig{})
	logic.Add(backend.Query("q", backend.SignedIn, noop))
	door := logic.Door("example.com/own")
	visit := door.Visit(httptest.NewRequest("GET", "/", nil))
	call := func(ctx context.Context) error {
		_, err := visit.Call(ctx, door.Operation("q"), &jsonCall{}, backend.CallConfig{})
		return err
	}
	first, other := make(chan error, 1), make(chan error, 1)
	go func() { first <- call(t.Context()) }()
	<-asked
	go func() { other <- call(t.Context()) }()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	require.Equal(t, backend.Timeout, backend.CodeOf(call(ctx)))
	close(answer)
	require.NoError(t, <-first)
	require.NoError(t, <-other, "asked once, or the channel would be closed twice")
}
