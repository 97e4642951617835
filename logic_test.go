package backend_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
	"github.com/seed-215b9b7c/backend/backendtest"
)

func noop(context.Context, backend.None) (backend.None, error) { return backend.None{}, nil }

func TestAddReportsEverythingAtOnce(t *testing.T) {
	t.Parallel()
	type bad struct {
		Func func() `json:"func"`
		Age  int    `json:"age" validate:"nonsense"`
	}
	text := panicText(func() {
		backend.NewLogic(nil, nil, backend.LogicConfig{}).Add(
			nil,
			backend.Query("Upper", backend.Public, noop),
			backend.Query("noAccess", nil, noop),
			backend.Query("badInput", backend.Public, func(context.Context, bad) (chan int, error) { return nil, nil }),
			backend.Query[backend.None, backend.None]("noFunction", backend.Public, nil),
			backend.Query("writes", backend.Public, noop, backend.Tx(backend.ReadWrite), backend.Idempotent()),
			backend.Query("scalar", backend.Public, func(context.Context, int) (int, error) { return 0, nil }),
			backend.Mutation("allow", backend.Public, noop, backend.Allow(func(context.Context, bad) error { return nil })),
			backend.Mutation("limits", backend.Public, noop, backend.Deadline(-1), backend.MaxBody(0), backend.Rate(0, 0), backend.Status(404), backend.Status(205), backend.Status(206), backend.Deprecated(time.Time{}, time.Time{}), nil, backend.MaxAge(time.Second)),
			backend.Query("reads", backend.Public, noop, backend.OutsideTx(), backend.MaxBody(1), backend.RequireIfMatch(), backend.RequireIdempotencyKey()),
			backend.Mutation("noDatabase", backend.Public, noop, backend.Tx(backend.Serializable)),
			backend.Query("twice", backend.Public, noop),
			backend.Query("twice", backend.Public, noop),
		)
	})
	require.True(t, strings.HasPrefix(text, "backend: "), text)
	for _, want := range []string{
		"an operation is nil", `query "Upper"`, "lower-case letter", "say who may call it", "backend_test.bad.Func: a func() is not supported", "its output: chan int: a chan int is not supported",
		"the function is nil", "a query can only have a read-only transaction", "Idempotent is for mutations, but this is a query", "OutsideTx is for mutations", "MaxBody is for mutations", "RequireIfMatch is for mutations", "RequireIdempotencyKey is for mutations",
		"its input is an int; it must be a struct",
		"Allow has a function of a backend_test.bad, but the operation takes a backend.None",
		"Deadline(-1ns) must be positive", "MaxBody(0)", "Rate: ", "Status(404)", "Status(205)", "Status(206)", "Deprecated needs", "an option is nil", "MaxAge is for queries, but this is a mutation",
		`mutation "noDatabase"`, "NewLogic was given no database", "its name is taken by the query registered at",
	} {
		require.Contains(t, text, want)
	}
	require.Equal(t, 12, strings.Count(text, "logic_test.go:"), "each of eleven names its place, and the last one both:\n%s", text)
}

func TestBadValidateTag(t *testing.T) {
	t.Parallel()
	type bad struct {
		Age int `json:"age" validate:"nonsense"`
	}
	text := panicText(func() {
		backend.NewLogic(nil, nil, backend.LogicConfig{}).Add(backend.Query("q", backend.Public, func(context.Context, bad) (int, error) { return 0, nil }))
	})
	require.Contains(t, text, "nonsense")
}

// What is wrong with an operation itself hides nothing that only shows in its
// Logic.
func TestAddReportsEverythingOfOneOperation(t *testing.T) {
	t.Parallel()
	type bad struct {
		Age int `json:"age" validate:"nonsense"`
	}
	f := func(context.Context, bad) (int, error) { return 0, nil }
	logic := backend.NewLogic(nil, nil, backend.LogicConfig{})
	logic.Add(backend.Query("taken", backend.Public, noop))
	text := panicText(func() {
		logic.Add(backend.Mutation("taken", nil, f, backend.Status(404), backend.Tx(backend.ReadWrite)))
	})
	for _, want := range []string{"say who may call it", "Status(404)", "nonsense", "its name is taken", "NewLogic was given no database"} {
		require.Contains(t, text, want)
	}
	require.Equal(t, 1, strings.Count(text, `mutation "taken"`), text)
	require.Equal(t, 5, strings.Count(text, "\n\t"), text)
}

func TestRESTReportsRoutes(t *testing.T) {
	t.Parallel()
	type input struct {
		ID   int            `json:"id"`
		Deep map[string]int `json:"deep"`
	}
	f := func(context.Context, input) (int, error) { return 0, nil }
	logic := backend.NewLogic(nil, nil, backend.LogicConfig{})
	logic.Add(
		backend.Query("a", backend.Public, f, backend.Route("GET /a/{id}")),
		backend.Query("b", backend.Public, noop, backend.Route("POST /b"), backend.Route("GET /b/{x}"), backend.Route("/b")),
		backend.Mutation("c", backend.Public, noop, backend.Route("GET /c")),
		backend.Mutation("d", backend.Public, noop, backend.Route("POST /d?draft=true")),
		backend.Mutation("hidden", backend.Public, noop, backend.Route("nonsense"), backend.Except(backend.REST)),
	)
	text := panicText(func() { logic.REST() })
	for _, want := range []string{
		"field Deep: a map[string]int has no form as text", "a query cannot have the method POST", "the input has no field for {x}", "a route is a method and a path",
		"a mutation cannot have the method GET", "a route has no query string", "logic_test.go:",
	} {
		require.Contains(t, text, want)
	}
	require.NotContains(t, text, "hidden")
	require.Contains(t, panicText(func() { logic.Add(backend.Query("late", backend.Public, noop)) }), "after a door was made")
}

func TestRoutesAppearInTheRouter(t *testing.T) {
	t.Parallel()
	logic := backend.NewLogic(nil, nil, backend.LogicConfig{})
	logic.Add(backend.Query("a", backend.Public, noop, backend.Route("GET /a")), backend.Mutation("b", backend.Public, noop, backend.Route("POST /a"), backend.Route("PUT /b")))
	r := backend.NewRouter()
	r.Mount("/api", logic.REST())
	var got []string
	for _, route := range r.Routes() {
		got = append(got, route.Pattern)
		require.Contains(t, route.Place, "logic_test.go:")
	}
	require.ElementsMatch(t, []string{"GET /api/a", "POST /api/a", "PUT /api/b"}, got)
}

// call calls an operation without input over REST.
func call(logic *backend.Logic, method, path string, edit func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, nil)
	if edit != nil {
		edit(r)
	}
	w := httptest.NewRecorder()
	logic.REST().ServeHTTP(w, r)
	return w
}

func TestAccessRules(t *testing.T) {
	t.Parallel()
	now := time.Now()
	nobody, ann := backend.Caller{}, backend.Caller{ID: "ann", Roles: []string{"admin"}, Scopes: []string{"notes"}, At: now.Add(-time.Minute)}
	never := backend.AccessFunc("never", func(context.Context, backend.Caller) error { return backend.Errorf(backend.Forbidden, "Never.") })
	down := backend.AccessFunc("down", func(context.Context, backend.Caller) error { return backend.Errorf(backend.Unavailable, "Down.") })
	for name, test := range map[string]struct {
		rule        backend.Access
		nobody, ann int
	}{
		"public":     {backend.Public, 204, 204},
		"signed in":  {backend.SignedIn, 401, 204},
		"role":       {backend.Role("admin"), 401, 204},
		"other role": {backend.Role("owner"), 401, 403},
		"scope":      {backend.Scope("notes"), 401, 204},
		"no scope":   {backend.Scope("other"), 401, 403},
		"fresh":      {backend.Fresh(time.Hour), 401, 204},
		"stale":      {backend.Fresh(time.Second), 401, 401},
		"any":        {backend.AnyOf(never, backend.Role("admin")), 401, 204},
		"none":       {backend.AnyOf(never, backend.Role("owner")), 401, 403},
		"any stale":  {backend.AnyOf(backend.Role("owner"), backend.Fresh(time.Second), never), 401, 401},
		"any down":   {backend.AnyOf(backend.Role("owner"), down, backend.Fresh(time.Second)), 503, 503},
		"any passes": {backend.AnyOf(down, backend.Role("admin")), 503, 204},
		"all":        {backend.AllOf(backend.SignedIn, backend.Scope("notes")), 401, 204},
		"not all":    {backend.AllOf(backend.SignedIn, never), 401, 403},
		"function":   {never, 403, 403},
	} {
		for caller, status := range map[*backend.Caller]int{&nobody: test.nobody, &ann: test.ann} {
			logic := backend.NewLogic(nil, authenticatorFunc(func() (backend.Caller, error) { return *caller, nil }), backend.LogicConfig{})
			logic.Add(backend.Query("q", test.rule, noop, backend.Route("GET /")))
			require.Equal(t, status, call(logic, "GET", "/", nil).Code, "%s for %q", name, caller.ID)
		}
	}
	require.Equal(t, "(signed in and (role a or scope b))", backend.AllOf(backend.SignedIn, backend.AnyOf(backend.Role("a"), backend.Scope("b"))).String())
	for _, wrong := range []func(){
		func() { backend.Role("") }, func() { backend.Fresh(0) }, func() { backend.AnyOf() }, func() { backend.AllOf(nil) }, func() { backend.AccessFunc("", nil) },
	} {
		require.Contains(t, panicText(wrong), "backend: ")
	}
}

type authenticatorFunc func() (backend.Caller, error)

func (f authenticatorFunc) Authenticate(context.Context, *http.Request) (backend.Caller, error) {
	return f()
}

// An authenticator that cannot tell is an error, never nobody.
func TestAuthenticatorFails(t *testing.T) {
	t.Parallel()
	logic := backend.NewLogic(nil, authenticatorFunc(func() (backend.Caller, error) { return backend.Caller{}, backend.Errorf(backend.Unavailable, "Down.") }), backend.LogicConfig{})
	logic.Add(backend.Query("q", backend.Public, noop, backend.Route("GET /")))
	require.Equal(t, 503, call(logic, "GET", "/", nil).Code)
}

func TestAllowAndOrder(t *testing.T) {
	t.Parallel()
	type input struct {
		N int `json:"n" validate:"max=5"`
	}
	logic := backend.NewLogic(nil, nil, backend.LogicConfig{})
	logic.Add(backend.Query("q", backend.Public, func(context.Context, input) (backend.None, error) { return backend.None{}, nil }, backend.Route("GET /"),
		backend.Allow(func(_ context.Context, in input) error {
			if in.N > 3 {
				return backend.Errorf(backend.Forbidden, "Too many for you.")
			}
			return nil
		}),
		backend.Allow(func(_ context.Context, in input) error {
			if in.N < 2 {
				return backend.Errorf(backend.NotFound, "There is no such thing.")
			}
			return nil
		})))
	require.Equal(t, 404, call(logic, "GET", "/?n=1", nil).Code, "every rule must let it pass")
	require.Equal(t, 204, call(logic, "GET", "/?n=3", nil).Code)
	require.Equal(t, 403, call(logic, "GET", "/?n=4", nil).Code)
	require.Equal(t, 422, call(logic, "GET", "/?n=6", nil).Code)
}

func TestOptions(t *testing.T) {
	t.Parallel()
	since, sunset := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	logic := backend.NewLogic(nil, nil, backend.LogicConfig{})
	logic.Add(
		backend.Query("old", backend.Public, func(context.Context, backend.None) (int, error) { return 5, nil }, backend.Route("GET /old"), backend.Deprecated(since, sunset), backend.MaxAge(time.Minute)),
		backend.Mutation("accepted", backend.Public, func(context.Context, backend.None) (int, error) { return 5, nil }, backend.Route("POST /accepted"), backend.Status(202)),
		backend.Query("limited", backend.Public, noop, backend.Route("GET /limited"), backend.Rate(2, time.Hour)),
	)
	w := call(logic, "GET", "/old", nil)
	require.Equal(t, "5", w.Body.String())
	require.Equal(t, "@1767225600", w.Header().Get("Deprecation")) // RFC 9745
	require.Equal(t, "Fri, 01 Jan 2027 00:00:00 GMT", w.Header().Get("Sunset"))
	require.Equal(t, "public, max-age=60", w.Header().Get("Cache-Control"))
	require.Equal(t, 202, call(logic, "POST", "/accepted", nil).Code)
	require.Equal(t, 204, call(logic, "GET", "/limited", nil).Code)
	require.Equal(t, 204, call(logic, "GET", "/limited", nil).Code)
	w = call(logic, "GET", "/limited", nil)
	require.Equal(t, 429, w.Code)
	require.NotEmpty(t, w.Header().Get("Retry-After"))
}

// Callers who are not signed in are told apart by their address, also where the
// door stands alone.
func TestLimitWithoutMiddleware(t *testing.T) {
	t.Parallel()
	logic := backend.NewLogic(backendtest.NewDB(t, backend.SQLite), nil, backend.LogicConfig{})
	logic.Add(
		backend.Query("limited", backend.Public, noop, backend.Route("GET /limited"), backend.Rate(1, time.Hour)),
		backend.Mutation("change", backend.Public, noop, backend.Route("PUT /limited")),
	)
	door := logic.REST()
	for _, row := range []struct {
		method, address string
		status          int
	}{
		{"GET", "192.0.2.1:1", 204}, {"GET", "192.0.2.1:2", 429}, {"GET", "192.0.2.2:1", 204},
		{"PUT", "192.0.2.3:1", 204}, {"GET", "192.0.2.3:1", 429}, {"PUT", "192.0.2.4:1", 204},
	} {
		r := httptest.NewRequest(row.method, "/limited", nil)
		r.RemoteAddr = row.address
		if row.method == "PUT" {
			r.Header.Set("If-Match", "*") // asks the GET
		}
		w := httptest.NewRecorder()
		door.ServeHTTP(w, r)
		require.Equal(t, row.status, w.Code, row)
	}
}

func TestStats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type input struct {
			Fail bool `json:"fail"`
		}
		logic := backend.NewLogic(nil, nil, backend.LogicConfig{})
		logic.Add(backend.Query("q", backend.Public, func(_ context.Context, in input) (backend.None, error) {
			time.Sleep(100 * time.Microsecond)
			if in.Fail {
				return backend.None{}, errors.New("no")
			}
			return backend.None{}, nil
		}, backend.Route("GET /")))
		for _, query := range []string{"?fail=false", "?fail=true", "?fail=x"} {
			call(logic, "GET", "/"+query, nil)
		}
		stats := logic.Stats()
		require.Len(t, stats, 1)
		require.Equal(t, map[backend.Code]int64{backend.Internal: 1, backend.Invalid: 1}, stats[0].Failed)
		require.EqualValues(t, 3, stats[0].Calls)
		require.Zero(t, stats[0].Running)
		require.Equal(t, 200*time.Microsecond, stats[0].Time)
		require.EqualValues(t, 1, stats[0].Latency[0], "the refused one took no time")
		require.EqualValues(t, 2, stats[0].Latency[1], "100 µs are between 64 and 128")
		require.Equal(t, 128*time.Microsecond, backend.LatencyBound(1))
	})
}

func TestCursor(t *testing.T) {
	t.Parallel()
	cursor, err := backend.NewCursor(t.Context(), 5, "x")
	require.NoError(t, err)
	var n int
	var s string
	require.NoError(t, cursor.Read(t.Context(), &n, &s))
	require.Equal(t, 5, n)
	require.Equal(t, "x", s)
	require.Equal(t, backend.Malformed, backend.CodeOf(cursor.Read(t.Context(), &n)))
	for i := range cursor {
		changed := []byte(cursor)
		changed[i] ^= 1
		require.Equal(t, backend.Malformed, backend.CodeOf(backend.Cursor(changed).Read(t.Context(), &n, &s)), "byte %d", i)
	}
	require.NoError(t, backend.Cursor("").Read(t.Context(), &n))
	_, err = backend.NewCursor(t.Context(), func() {})
	require.Error(t, err)
	page, err := backend.NewPage(t.Context(), []int(nil), 5, nil)
	require.NoError(t, err)
	text, err := json.Marshal(page)
	require.NoError(t, err)
	require.Equal(t, `{"items":[]}`, string(text))
}

func TestOptAndID(t *testing.T) {
	t.Parallel()
	type both struct {
		ID  backend.ID          `json:"id"`
		Opt backend.Opt[string] `json:"opt,omitzero"`
	}
	for text, want := range map[string]both{
		`{"id":"9223372036854775807"}`: {ID: 1<<63 - 1},
		`{"id":"-1","opt":null}`:       {ID: -1, Opt: backend.Opt[string]{Present: true, Null: true}},
		`{"id":"0","opt":"x"}`:         {Opt: backend.Some("x")},
	} {
		var got both
		require.NoError(t, json.Unmarshal([]byte(text), &got))
		require.Equal(t, want, got)
		back, err := json.Marshal(got)
		require.NoError(t, err)
		require.Equal(t, text, string(back))
	}
	var id backend.ID
	for _, text := range []string{"", "x", "01", "+1", "1.0", "9223372036854775808", " 1"} {
		require.Error(t, id.UnmarshalText([]byte(text)), text)
	}
	require.Equal(t, "x", backend.Some("x").Or("y"))
	require.Equal(t, "y", backend.Opt[string]{Present: true, Null: true}.Or("y"))
}

// Statement 51: denials are logged under the name that OWASP has for them.
func TestDenialsAreLogged(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	logic := backend.NewLogic(nil, authenticatorFunc(func() (backend.Caller, error) { return backend.Caller{ID: "ann"}, nil }), backend.LogicConfig{})
	logic.Add(backend.Query("secrets", backend.Role("admin"), noop, backend.Route("GET /")))
	h := backend.AccessLog(slog.New(slog.NewTextHandler(&log, nil)))(logic.REST())
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	require.Equal(t, 403, w.Code)
	require.Contains(t, log.String(), "msg=authz_fail operation=secrets account=ann")
}

// So are those of rules that look at the input or at what is related, in one
// record whatever the caller is called.
func TestDenialsOfAllowAreLogged(t *testing.T) {
	t.Parallel()
	type thing struct{}
	name := "ann\nmsg=authz_fail account=\x1b[2Jbob\u2028"
	var log strings.Builder
	logic := backend.NewLogic(nil, authenticatorFunc(func() (backend.Caller, error) { return backend.Caller{ID: backend.AccountID(name)}, nil }), backend.LogicConfig{})
	logic.Add(
		backend.Query("things", backend.Public, func(context.Context, backend.None) ([]thing, error) { return []thing{{}}, nil }, backend.Route("GET /things")),
		backend.Query("secrets", backend.Public, noop, backend.Route("GET /secrets"),
			backend.Allow(func(context.Context, backend.None) error { return backend.Errorf(backend.NotFound, "It is gone.") })),
		backend.Relation("owner", func(context.Context, []thing) ([]string, error) { return []string{"bob"}, nil },
			backend.Allow(func(context.Context, []thing) error { return backend.Errorf(backend.Forbidden, "Not for you.") })),
	)
	h := backend.AccessLog(slog.New(slog.NewJSONHandler(&log, nil)))(logic.REST())
	for path, operation := range map[string]string{"/secrets": "secrets", "/things?include=owner": "thing.owner"} {
		log.Reset()
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		require.GreaterOrEqual(t, w.Code, 400)
		records := strings.Split(strings.TrimSpace(log.String()), "\n")
		require.Len(t, records, 2, "the denial and the request: %s", log.String())
		var record struct{ Msg, Operation, Account string }
		require.NoError(t, json.Unmarshal([]byte(records[0]), &record))
		require.Equal(t, "authz_fail "+operation+" "+name, record.Msg+" "+record.Operation+" "+record.Account)
	}
}

func TestCall(t *testing.T) {
	t.Parallel()
	type input struct {
		Name string `json:"name" validate:"required"`
	}
	logic := backend.NewLogic(nil, authenticatorFunc(func() (backend.Caller, error) { return backend.Caller{ID: "ann"}, nil }), backend.LogicConfig{})
	logic.Add(backend.Query("greet", backend.SignedIn, func(ctx context.Context, in input) (string, error) {
		return in.Name + " from " + string(backend.CallerFrom(ctx).ID), nil
	}))
	ctx, err := logic.Authenticate(httptest.NewRequest("GET", "/", nil))
	require.NoError(t, err)
	got, err := backend.Call[string](ctx, logic, "greet", input{"Bob"})
	require.NoError(t, err)
	require.Equal(t, "Bob from ann", got)

	_, err = backend.Call[string](t.Context(), logic, "greet", input{"Bob"})
	require.Equal(t, backend.Unauthenticated, backend.CodeOf(err))
	_, err = backend.Call[string](ctx, logic, "greet", input{})
	require.Equal(t, backend.Invalid, backend.CodeOf(err))
	_, err = backend.Call[int](ctx, logic, "greet", input{"Bob"})
	require.ErrorContains(t, err, "returns a string, not")
	_, err = backend.Call[string](ctx, logic, "nothing", input{"Bob"})
	require.ErrorContains(t, err, "no such operation")
	require.EqualValues(t, 3, logic.Stats()[0].Calls)
}

func TestListsInHeaders(t *testing.T) {
	t.Parallel()
	type input struct {
		Parts []int `json:"parts,omitempty" in:"header=X-Parts"`
	}
	logic := backend.NewLogic(nil, nil, backend.LogicConfig{})
	logic.Add(backend.Query("q", backend.Public, func(_ context.Context, in input) ([]int, error) { return in.Parts, nil }, backend.Route("GET /")))
	for want, lines := range map[string][]string{"[1,2,3]": {"1, 2", "3"}, "[1]": {"1"}, "[]": nil} {
		w := call(logic, "GET", "/", func(r *http.Request) { r.Header["X-Parts"] = lines })
		require.Equal(t, want, w.Body.String())
	}
	w := call(logic, "GET", "/", func(r *http.Request) { r.Header["X-Parts"] = []string{"1, x"} })
	require.Equal(t, 422, w.Code)
}

// Whatever the application reads a cursor in, one that was made outside of the
// operation is refused.
func TestCursorsAreSignedInRulesToo(t *testing.T) {
	t.Parallel()
	type input struct {
		After backend.Cursor `json:"after,omitempty"`
	}
	forged, err := backend.NewCursor(t.Context(), 7)
	require.NoError(t, err)
	read := func(ctx context.Context, in input) error {
		var n int
		return in.After.Read(ctx, &n)
	}
	logic := backend.NewLogic(nil, nil, backend.LogicConfig{})
	logic.Add(backend.Query("list", backend.Public, func(context.Context, input) (backend.None, error) { return backend.None{}, nil },
		backend.Route("GET /list"), backend.Allow(read)))
	require.Equal(t, http.StatusBadRequest, call(logic, "GET", "/list?after="+string(forged), nil).Code)
}

func TestAuthenticateReturnsNobodyWithAnError(t *testing.T) {
	t.Parallel()
	logic := backend.NewLogic(nil, authenticatorFunc(func() (backend.Caller, error) {
		return backend.Caller{ID: "ann"}, backend.Errorf(backend.Unauthenticated, "The token has expired.")
	}), backend.LogicConfig{})
	ctx, err := logic.Authenticate(httptest.NewRequest("GET", "/", nil))
	require.Error(t, err)
	require.False(t, backend.CallerFrom(ctx).SignedIn())
}

// A rule behind an Opt that does not fit its type is found at the start.
func TestRulesOfOptsAreCheckedAtTheStart(t *testing.T) {
	t.Parallel()
	type input struct {
		On backend.Opt[bool] `json:"on" validate:"omitempty,min=1"`
	}
	require.Contains(t, panicText(func() {
		backend.NewLogic(nil, nil, backend.LogicConfig{}).Add(backend.Mutation("m", backend.Public, func(context.Context, input) (backend.None, error) { return backend.None{}, nil }))
	}), "its validate tags")
}

// What is wrong with the tags of several operations is said at once, by the
// path of each field.
func TestListsWithoutAnEndAreReportedTogether(t *testing.T) {
	t.Parallel()
	type part struct {
		Tags []string `json:"tags" validate:"dive,max=5"`
	}
	type list struct {
		Names []string `json:"names" validate:"dive,max=5"`
	}
	type parts struct {
		Parts []part `json:"parts" validate:"max=5,dive"`
	}
	text := panicText(func() {
		backend.NewLogic(nil, nil, backend.LogicConfig{}).Add(
			backend.Mutation("first", backend.Public, func(context.Context, list) (backend.None, error) { return backend.None{}, nil }),
			backend.Mutation("second", backend.Public, func(context.Context, parts) (backend.None, error) { return backend.None{}, nil }),
		)
	})
	require.Contains(t, text, "backend_test.list.Names: say how many it may have")
	require.Contains(t, text, "backend_test.part.Tags: say how many it may have")
}

// failing is an input whose Validate method returns what it is told.
type failing struct {
	How string `json:"how"`
}

func (in failing) Validate(context.Context) error {
	invalid := backend.Errorf(backend.Invalid, "This name is taken by history.")
	return map[string]error{
		"":         nil,
		"ours":     invalid,
		"wrapped":  fmt.Errorf("check the name: %w", invalid),
		"fields":   errors.Join(backend.InvalidField("/a", "r", "is odd"), nil, fmt.Errorf("b: %w", backend.InvalidField("/how", "s", "is even"))),
		"other":    backend.Errorf(backend.Conflict, "There are too many."),
		"internal": backend.Errorf(backend.Internal, "the password is hunter2"),
		"zero":     &backend.Error{Message: "the password is hunter2"},
		"foreign":  errors.New("the password is hunter2"),
		"network":  fmt.Errorf("look it up: %w", &net.OpError{Op: "dial", Err: errors.New("the password is hunter2")}),
		"canceled": context.Canceled,
		"late":     fmt.Errorf("look it up: hunter2: %w", context.DeadlineExceeded),
	}[in.How]
}

// Only an error of the house has a text that is meant for the client.
func TestErrorsOfValidate(t *testing.T) {
	t.Parallel()
	const hint = "validate check: to show this error to the client, return a *backend.Error, such as backend.InvalidField(…): "
	for how, want := range map[string]struct {
		status    int
		body, log string
	}{
		"ours":     {422, "This name is taken by history.", ""},
		"wrapped":  {422, "This name is taken by history.", ""},
		"fields":   {422, `"errors":[{"pointer":"/a","rule":"r","detail":"is odd"},{"pointer":"/how","rule":"s","detail":"is even"}]`, ""},
		"other":    {409, "There are too many.", ""},
		"internal": {500, "Something went wrong", "internal: the password is hunter2"},
		"zero":     {500, "Something went wrong", "internal: the password is hunter2"},
		"foreign":  {500, "Something went wrong", hint + "the password is hunter2"},
		"network":  {500, "Something went wrong", hint + "look it up: dial: the password is hunter2"},
		"canceled": {499, "canceled", "context canceled"},
		"late":     {504, "took too long", "look it up: hunter2"},
	} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			var log strings.Builder
			logic := backend.NewLogic(nil, nil, backend.LogicConfig{})
			logic.Add(backend.Query("check", backend.Public, func(context.Context, failing) (backend.None, error) { return backend.None{}, nil }, backend.Route("GET /")))
			h := backend.AccessLog(slog.New(slog.NewJSONHandler(&log, nil)))(logic.REST())
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest("GET", "/?how="+how, nil))
			require.Equal(t, want.status, w.Code)
			require.Contains(t, w.Body.String(), want.body)
			require.NotContains(t, w.Body.String(), "hunter2")
			var record struct{ Error string }
			require.NoError(t, json.Unmarshal([]byte(log.String()), &record))
			require.Equal(t, strings.HasPrefix(want.log, hint), strings.HasPrefix(record.Error, hint))
			require.Contains(t, record.Error, want.log)
		})
	}
}

// A method that is almost the one that is called would be there for nothing.
func TestValidateMethodsOfAnotherForm(t *testing.T) {
	t.Parallel()
	text := panicText(func() {
		backend.NewLogic(nil, nil, backend.LogicConfig{}).Add(
			backend.Mutation("plain", backend.Public, func(context.Context, validatesPlainly) (backend.None, error) { return backend.None{}, nil }),
			backend.Mutation("typed", backend.Public, func(context.Context, validatesTyped) (backend.None, error) { return backend.None{}, nil }),
		)
	})
	require.Contains(t, text, "the method Validate of backend_test.validatesPlainly is a func() error, which is never called; make it a func(context.Context) error")
	require.Contains(t, text, "the method Validate of backend_test.validatesTyped is a func(context.Context) *backend.Error")
}

type validatesPlainly struct{}

func (*validatesPlainly) Validate() error { return nil }

type validatesTyped struct{}

func (validatesTyped) Validate(context.Context) *backend.Error { return nil }

func TestExamplesThatDoNotFit(t *testing.T) {
	t.Parallel()
	type input struct {
		Count int `json:"count" example:"many"`
	}
	type output struct {
		Whens []struct {
			At time.Time `json:"at" example:"today"`
		} `json:"whens"`
	}
	text := panicText(func() {
		backend.NewLogic(nil, nil, backend.LogicConfig{}).Add(backend.Mutation("m", backend.Public, func(context.Context, input) (output, error) { return output{}, nil }))
	})
	require.Contains(t, text, `its input: backend_test.input.Count: the example "many" must be JSON of an int`)
	require.Contains(t, text, `.At: the example "today" must be a time such as 2006-01-02T15:04:05Z`)
}

// An Opt has the rules that a pointer has: absent and null are one thing for
// them, and "" is a value.
func TestRulesOfOptsAreThoseOfPointers(t *testing.T) {
	t.Parallel()
	type input struct {
		Kind string               `json:"kind,omitempty"`
		Name backend.Opt[string]  `json:"name,omitzero" validate:"omitempty,min=2"`
		If   backend.Opt[string]  `json:"if,omitzero" validate:"required_if=Kind a,omitempty,min=2"`
		List backend.Opt[[]int]   `json:"list,omitzero" validate:"omitempty,max=3,dive,min=1"`
		Part backend.Opt[limited] `json:"part,omitzero"`
	}
	logic := backend.NewLogic(nil, nil, backend.LogicConfig{})
	logic.Add(backend.Mutation("patch", backend.Public, func(context.Context, input) (backend.None, error) { return backend.None{}, nil }, backend.Route("PATCH /")))
	door := logic.REST()
	for body, want := range map[string][]string{
		`{}`:                          nil,
		`{"name":null,"list":null}`:   nil,
		`{"name":""}`:                 {"/name min"},
		`{"name":"a"}`:                {"/name min"},
		`{"kind":"a"}`:                {"/if required_if"},
		`{"kind":"a","if":null}`:      {"/if required_if"},
		`{"kind":"a","if":""}`:        {"/if min"},
		`{"list":[1,0]}`:              {"/list/1 min"},
		`{"list":[1,0,0,0]}`:          {"/list max"},
		`{"part":{"n":0}}`:            {"/part/n min"},
		`{"part":{"n":1},"list":[1]}`: nil,
	} {
		r := httptest.NewRequest("PATCH", "/", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		door.ServeHTTP(w, r)
		if want == nil {
			require.Equal(t, 204, w.Code, body)
			continue
		}
		_, fields := problem(t, w)
		require.Equal(t, want, fields, body)
	}
	require.Contains(t, panicText(func() {
		backend.NewLogic(nil, nil, backend.LogicConfig{}).Add(backend.Mutation("m", backend.Public, func(context.Context, struct {
			A backend.Opt[string] `validate:"max=5"`
		}) (backend.None, error) {
			return backend.None{}, nil
		}))
	}), "A: null breaks the rule max; begin with omitempty")
}

type limited struct {
	N int `json:"n" validate:"min=1"`
}

func TestOptsThatCannotBe(t *testing.T) {
	t.Parallel()
	type input struct {
		Twice backend.Opt[backend.Opt[int]] `json:"twice"`
	}
	type output struct {
		Note backend.Opt[string] `json:"note,omitempty"`
	}
	text := panicText(func() {
		backend.NewLogic(nil, nil, backend.LogicConfig{}).Add(backend.Mutation("m", backend.Public, func(context.Context, input) (output, error) { return output{}, nil }))
	})
	require.Contains(t, text, "backend_test.input.Twice: an Opt of a backend.Opt[int] is not supported; null has one meaning")
	require.Contains(t, text, "backend_test.output.Note: omitempty does nothing for an Opt; use omitzero")
}

// A cursor is of one operation: in another one the same position would mean
// something else.
func TestCursorsOfOtherOperations(t *testing.T) {
	t.Parallel()
	type input struct {
		After backend.Cursor `json:"after,omitempty"`
	}
	logic := backend.NewLogic(nil, nil, backend.LogicConfig{})
	for _, name := range []string{"notes", "accounts"} {
		logic.Add(backend.Query(name, backend.Public, func(ctx context.Context, in input) (backend.Cursor, error) {
			n := 7
			if err := in.After.Read(ctx, &n); err != nil {
				return "", err
			}
			return backend.NewCursor(ctx, n)
		}, backend.Route("GET /"+name)))
	}
	var cursor string
	require.NoError(t, json.Unmarshal(call(logic, "GET", "/notes", nil).Body.Bytes(), &cursor))
	require.Equal(t, http.StatusOK, call(logic, "GET", "/notes?after="+cursor, nil).Code)
	require.Equal(t, http.StatusBadRequest, call(logic, "GET", "/accounts?after="+cursor, nil).Code)
}
