package backend_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
	"github.com/seed-215b9b7c/backend/backendtest"
)

func TestIdempotency(t *testing.T) {
	onShop(t, func(t *testing.T, s *shop, c restClient) {
		first := c.do("POST", "/items", `{"name":"a","price":1}`, "Idempotency-Key", `"k1"`)
		require.Equal(t, 201, first.Code, first.Body)
		require.Empty(t, first.Header().Get("Idempotency-Replayed"))
		again := c.do("POST", "/items", ` {"price":1.0, "name":"a"} `, "Idempotency-Key", "k1")
		require.Equal(t, 201, again.Code, again.Body)
		require.Equal(t, "true", again.Header().Get("Idempotency-Replayed"))
		require.Equal(t, first.Body.String(), again.Body.String())
		require.Equal(t, first.Header().Get("Location"), again.Header().Get("Location"))
		require.EqualValues(t, 1, s.calls.Load())

		require.Equal(t, 422, c.do("POST", "/items", `{"name":"b"}`, "Idempotency-Key", "k1").Code)
		require.Equal(t, 400, c.do("POST", "/items", `{"name":"b"}`, "Idempotency-Key", strings.Repeat("k", 256)).Code)
		c.who = "bob"
		other := c.do("POST", "/items", `{"name":"a","price":1}`, "Idempotency-Key", "k1")
		require.Equal(t, 201, other.Code)
		require.NotEqual(t, first.Body.String(), other.Body.String(), "another caller's key")

		_, err := s.db.Exec(t.Context(), "UPDATE backend_idempotency_keys SET expires_at = ?", time.Now().Add(-time.Second))
		require.NoError(t, err)
		require.Equal(t, 201, c.do("POST", "/items", `{"name":"b"}`, "Idempotency-Key", "k1").Code, "it has expired")
	})
}

func TestIdempotencyRequired(t *testing.T) {
	t.Parallel()
	db := backendtest.NewDB(t, backend.SQLite)
	require.NoError(t, db.Migrate(t.Context(), nil))
	logic := backend.NewLogic(db, nil, backend.LogicConfig{})
	logic.Add(backend.Mutation("pay", backend.Public, noop, backend.Route("POST /pay"), backend.RequireIdempotencyKey()))
	c := newRESTClient(t, logic)
	require.Equal(t, 400, c.do("POST", "/pay", "").Code)
	require.Equal(t, 400, c.do("POST", "/pay", "", "Idempotency-Key", `""`).Code)
	require.Equal(t, 204, c.do("POST", "/pay", "", "Idempotency-Key", "k").Code)
	again := c.do("POST", "/pay", "", "Idempotency-Key", "k")
	require.Equal(t, 204, again.Code)
	require.Equal(t, "true", again.Header().Get("Idempotency-Replayed"))
	_, err := backend.Call[backend.None](t.Context(), logic, "pay", backend.None{})
	require.NoError(t, err, "calls from inside the program need no keys")
}

// hiddenText is a text that is not to be seen in logs.
type hiddenText string

func (hiddenText) MarshalText() ([]byte, error) { return []byte("***"), nil }

func (h *hiddenText) UnmarshalText(text []byte) error {
	*h = hiddenText(text)
	return nil
}

// hiddenJSON, hiddenNumber and hiddenStruct are as hiddenText, in other ways.
type hiddenJSON string

func (hiddenJSON) MarshalJSON() ([]byte, error) { return []byte(`"***"`), nil }

type hiddenNumber int

func (hiddenNumber) MarshalText() ([]byte, error) { return []byte("***"), nil }

type hiddenStruct struct{ text string }

func (hiddenStruct) MarshalText() ([]byte, error) { return []byte("***"), nil }

func (h *hiddenStruct) UnmarshalText(text []byte) error {
	h.text = string(text)
	return nil
}

// weekday has no text for 0.
type weekday int

func (d weekday) MarshalText() ([]byte, error) {
	if d == 0 {
		return nil, errors.New("no weekday")
	}
	return []byte{byte(d) + '0'}, nil
}

func (d *weekday) UnmarshalText(text []byte) error {
	*d = weekday(text[0] - '0')
	return nil
}

func TestIdempotencyTellsInputsApart(t *testing.T) {
	t.Parallel()
	db := backendtest.NewDB(t, backend.SQLite)
	require.NoError(t, db.Migrate(t.Context(), nil))
	type nested struct {
		Name backend.Opt[string] `json:"name"`
	}
	type input struct {
		Text   hiddenText           `json:"text,omitzero"`
		JSON   hiddenJSON           `json:"json,omitzero"`
		Number hiddenNumber         `json:"number,omitzero"`
		Struct hiddenStruct         `json:"struct,omitzero"`
		Day    weekday              `json:"day,omitzero"`
		MayDay backend.Opt[weekday] `json:"mayDay"`
		Raw    json.RawMessage      `json:"raw,omitzero"`
		Texts  []hiddenJSON         `json:"texts,omitzero"`
		Map    map[string]nested    `json:"map,omitzero"`
		Time   time.Time            `json:"time,omitzero"`
		Bytes  *[]byte              `json:"bytes"`
	}
	logic := backend.NewLogic(db, nil, backend.LogicConfig{})
	logic.Add(backend.Mutation("signUp", backend.Public, func(context.Context, input) (int, error) { return 1, nil },
		backend.Route("POST /accounts"), backend.Idempotent()))
	c := newRESTClient(t, logic)
	for i, test := range [][2]string{
		{`{"text":"one"}`, `{"text":"two"}`},
		{`{"json":"one"}`, `{"json":"two"}`},
		{`{"number":1}`, `{"number":2}`},
		{`{"struct":"one"}`, `{"struct":"two"}`},
		{`{"day":"1"}`, `{"day":"2"}`},
		{`{"mayDay":null}`, `{}`},
		{`{"mayDay":"1"}`, `{"mayDay":null}`},
		{`{"raw":{"a":1}}`, `{"raw":{"a":"1"}}`},
		{`{"texts":["a","b"]}`, `{"texts":["a","c"]}`},
		{`{"texts":[]}`, `{}`},
		{`{"map":{"a":{}}}`, `{"map":{"a":{"name":null}}}`},
		{`{"map":{"a":{}}}`, `{"map":{"b":{}}}`},
		{`{"time":"2026-01-02T03:04:05Z"}`, `{"time":"2026-01-02T03:04:06Z"}`},
		{`{"bytes":""}`, `{"bytes":null}`},
	} {
		key := strconv.Itoa(i)
		require.Equal(t, 201, c.do("POST", "/accounts", test[0], "Idempotency-Key", key).Code, test)
		require.Equal(t, 422, c.do("POST", "/accounts", test[1], "Idempotency-Key", key).Code, test)
		again := c.do("POST", "/accounts", strings.ReplaceAll(test[0], "{", "{ "), "Idempotency-Key", key)
		require.Equal(t, "true", again.Header().Get("Idempotency-Replayed"), test)
	}
}

func TestIdempotencyInParallel(t *testing.T) {
	onShop(t, func(t *testing.T, s *shop, c restClient) {
		var wait sync.WaitGroup
		var created, conflicts atomic.Int64
		for range 50 {
			wait.Go(func() {
				switch w := c.do("POST", "/items", `{"name":"once"}`, "Idempotency-Key", "k"); w.Code {
				case 201:
					created.Add(1)
				case 409:
					conflicts.Add(1)
				default:
					t.Error(w.Code, w.Body)
				}
			})
		}
		wait.Wait()
		require.EqualValues(t, 50, created.Load()+conflicts.Load())
		require.Positive(t, created.Load())
		n, err := backend.One[int](t.Context(), s.db, "SELECT COUNT(*) FROM items")
		require.NoError(t, err)
		require.Equal(t, 1, n)
		require.Equal(t, 201, c.do("POST", "/items", `{"name":"once"}`, "Idempotency-Key", "k").Code)
	})
}

type onlyOut struct{ A int }

func (onlyOut) MarshalJSON() ([]byte, error) { return []byte("1"), nil }

type onlyIn struct{ a string }

func (o *onlyIn) UnmarshalText(text []byte) error { o.a = string(text); return nil }

func TestIdempotencyKeys(t *testing.T) {
	t.Parallel()
	backendtest.EachDB(t, func(t *testing.T, db *backend.DB) {
		require.NoError(t, db.Migrate(t.Context(), nil))
		type input struct {
			Name backend.Opt[string] `json:"name"`
		}
		type wrongIn struct {
			A onlyIn `json:"a"`
		}
		logic := backend.NewLogic(db, nil, backend.LogicConfig{})
		panics := true
		logic.Add(backend.Mutation("m", backend.Public, func(_ context.Context, in input) (int, error) {
			if in.Name.Or("") == "panic" && panics {
				panic("no")
			}
			return 1, nil
		}, backend.Route("POST /m"), backend.Idempotent()))
		text := panicText(func() {
			logic.Add(backend.Mutation("w", backend.Public, func(context.Context, wrongIn) (onlyOut, error) { return onlyOut{}, nil }, backend.Idempotent()))
		})
		require.Contains(t, text, "onlyIn cannot be compared")
		require.Contains(t, text, "onlyOut cannot be read again")
		c := newRESTClient(t, logic)
		for _, key := range []string{"", " ", `""`, `" "`, "a\x01", "schlüssel", strings.Repeat("x", 256)} {
			require.Equal(t, http.StatusBadRequest, c.do("POST", "/m", `{}`, "Idempotency-Key", key).Code, "%q", key)
		}
		r := httptest.NewRequestWithContext(t.Context(), "POST", "/api/m", strings.NewReader(`{}`))
		r.Header = http.Header{"Content-Type": {"application/json"}, "Idempotency-Key": {"a", "b"}}
		w := httptest.NewRecorder()
		c.h.ServeHTTP(w, r)
		require.Equal(t, http.StatusBadRequest, w.Code, "two of them")

		require.Equal(t, http.StatusCreated, c.do("POST", "/m", `{}`, "Idempotency-Key", "k").Code)
		require.Equal(t, http.StatusUnprocessableEntity, c.do("POST", "/m", `{"name":null}`, "Idempotency-Key", "k").Code, "null is not absent")
		require.Equal(t, http.StatusInternalServerError, c.do("POST", "/m", `{"name":"panic"}`, "Idempotency-Key", "p").Code)
		panics = false
		require.Equal(t, http.StatusCreated, c.do("POST", "/m", `{"name":"panic"}`, "Idempotency-Key", "p").Code, "a panic gives the key back")
	})
}

// A key belongs to one operation: another one does its own work.
func TestIdempotencyOfOtherOperations(t *testing.T) {
	t.Parallel()
	db := backendtest.NewDB(t, backend.SQLite)
	require.NoError(t, db.Migrate(t.Context(), nil))
	logic := backend.NewLogic(db, nil, backend.LogicConfig{})
	for _, name := range []string{"pay", "refund"} {
		logic.Add(backend.Mutation(name, backend.Public, func(context.Context, backend.None) (string, error) { return name, nil },
			backend.Route("POST /"+name), backend.Route("PUT /"+name), backend.Idempotent()))
	}
	c := newRESTClient(t, logic)
	for _, name := range []string{"pay", "refund"} {
		require.Equal(t, `"`+name+`"`, c.do("POST", "/"+name, "", "Idempotency-Key", "k").Body.String())
		again := c.do("PUT", "/"+name, "", "Idempotency-Key", "k")
		require.Equal(t, `"`+name+`"`, again.Body.String())
		require.Equal(t, "true", again.Header().Get("Idempotency-Replayed"), "by another route, it is the same operation")
	}
}

// An answer is given again to those only who may still call.
func TestIdempotencyAfterARoleIsLost(t *testing.T) {
	t.Parallel()
	db := backendtest.NewDB(t, backend.SQLite)
	require.NoError(t, db.Migrate(t.Context(), nil))
	var locked error
	logic := backend.NewLogic(db, bearer{}, backend.LogicConfig{})
	logic.Add(backend.Mutation("secret", backend.Role("admin"), func(context.Context, backend.None) (string, error) { return "secret", nil },
		backend.Route("POST /secret"), backend.Idempotent(), backend.Allow(func(context.Context, backend.None) error { return locked })))
	c := newRESTClient(t, logic)
	for who, status := range map[string]int{"ann:admin": 201, "ann": 403, "": 401, "wrong": 401} {
		c.who = "ann:admin"
		require.Equal(t, 201, c.do("POST", "/secret", "", "Idempotency-Key", "k").Code)
		c.who = who
		require.Equal(t, status, c.do("POST", "/secret", "", "Idempotency-Key", "k").Code, who)
	}
	c.who, locked = "ann:admin", backend.Errorf(backend.NotFound, "It is gone.")
	require.Equal(t, 404, c.do("POST", "/secret", "", "Idempotency-Key", "k").Code)
}

// workplace is an operation that two processes serve on one database: two
// Logics that know nothing of each other, with pools of their own.
type workplace struct {
	*testing.T
	engine backend.Engine
	dbs    [2]*backend.DB
	doors  [2]http.Handler
	// work is what the operation does besides noting that it ran.
	work func(ctx context.Context) error
}

type workInput struct {
	ID   string `json:"id"`
	Note string `json:"note,omitempty"`
}

func onTwoProcesses(t *testing.T, test func(w *workplace)) {
	t.Helper()
	for _, engine := range []backend.Engine{backend.SQLite, backend.Postgres, backend.MySQL} {
		t.Run(string(engine), func(t *testing.T) {
			t.Parallel()
			url := backendtest.NewURL(t, engine)
			test(newWorkplace(t, engine, url, url))
		})
	}
}

// newWorkplace returns one whose processes find the database at these URLs.
func newWorkplace(t *testing.T, engine backend.Engine, urls ...string) *workplace {
	w := &workplace{T: t, engine: engine, work: func(context.Context) error { return nil }}
	for i, url := range urls {
		db, err := backend.Open(t.Context(), url)
		require.NoError(t, err)
		t.Cleanup(func() { db.Close() })
		require.NoError(t, db.Migrate(t.Context(), files("1_runs.sql", "-- +goose Up\nCREATE TABLE runs (id VARCHAR(20) NOT NULL);")))
		w.dbs[i], w.doors[i] = db, w.process(db)
	}
	return w
}

func (w *workplace) process(db *backend.DB) http.Handler {
	count := func(ctx context.Context, id string) (int, error) {
		return backend.One[int](ctx, db, "SELECT COUNT(*) FROM runs WHERE id = ?", id)
	}
	logic := backend.NewLogic(db, nil, backend.LogicConfig{})
	logic.Add(
		backend.Query("runs", backend.Public, func(ctx context.Context, in struct {
			ID string `json:"id"`
		}) (string, error) {
			return in.ID, nil
		}, backend.Route("GET /jobs/{id}")),
		backend.Mutation("work", backend.Public, func(ctx context.Context, in workInput) (int, error) {
			if err := w.work(ctx); err != nil {
				return 0, err
			}
			if _, err := db.Exec(ctx, "INSERT INTO runs (id) VALUES (?)", in.ID); err != nil {
				return 0, err
			}
			return count(ctx, in.ID)
		}, backend.Route("POST /jobs/{id}"), backend.Idempotent(), backend.Deadline(5*time.Second)),
	)
	return newRESTClient(w.T, logic).h
}

// call sends a call to a process; headers are pairs of name and value.
func (w *workplace) call(ctx context.Context, process int, id, key string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(ctx, "POST", "/api/jobs/"+id, strings.NewReader(`{}`))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Idempotency-Key", key)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	answer := httptest.NewRecorder()
	w.doors[process].ServeHTTP(answer, r)
	return answer
}

// first is a call whose function runs, until end is called with what it is to
// do then.
type first struct {
	end    func(func() error) // ends the function
	answer func() *httptest.ResponseRecorder
}

// begin sends a call with the key k to the first process.
func (w *workplace) begin(headers ...string) first {
	running, end, done := make(chan struct{}), make(chan func() error, 1), make(chan struct{})
	var begun atomic.Bool
	w.work = func(ctx context.Context) error {
		if begun.Swap(true) {
			return nil
		}
		close(running)
		select {
		case f := <-end:
			return f()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	var answer *httptest.ResponseRecorder
	go func() {
		defer close(done)
		answer = w.call(w.Context(), 0, "1", "k", headers...)
	}()
	select {
	case <-running:
	case <-done:
		require.FailNow(w, "the first call ended before its function ran", answer.Body)
	}
	return first{func(f func() error) { end <- f }, func() *httptest.ResponseRecorder { <-done; return answer }}
}

func succeed() error { return nil }

// requireInUse requires that the key is refused while the first call runs: in
// its own process at once, and in the other one at once, too, or on SQLite by
// waiting in vain.
func (w *workplace) requireInUse(headers ...string) {
	w.Helper()
	requireInUse(w.T, w.call(w.Context(), 0, "1", "k", headers...))
	if w.engine != backend.SQLite {
		requireInUse(w.T, w.call(w.Context(), 1, "1", "k", headers...))
		return
	}
	ctx, cancel := context.WithTimeout(w.Context(), 50*time.Millisecond)
	defer cancel()
	require.Equal(w, http.StatusGatewayTimeout, w.call(ctx, 1, "1", "k", headers...).Code)
}

func requireInUse(t *testing.T, answer *httptest.ResponseRecorder) {
	t.Helper()
	require.Equal(t, http.StatusConflict, answer.Code, answer.Body)
	require.Equal(t, "1", answer.Header().Get("Retry-After"), answer.Body)
}

func (w *workplace) requireReplayed(want, answer *httptest.ResponseRecorder) {
	w.Helper()
	require.Equal(w, http.StatusCreated, answer.Code, answer.Body)
	require.Equal(w, "true", answer.Header().Get("Idempotency-Replayed"))
	require.Equal(w, want.Body.String(), answer.Body.String())
}

func (w *workplace) runs() int {
	w.Helper()
	n, err := backend.One[int](w.Context(), w.dbs[0], "SELECT COUNT(*) FROM runs")
	require.NoError(w, err)
	return n
}

func (w *workplace) expireKeys() {
	w.Helper()
	_, err := w.dbs[0].Exec(w.Context(), "UPDATE backend_idempotency_keys SET expires_at = ?", time.Now().Add(-time.Minute))
	require.NoError(w, err)
}

// If-Match makes the transaction Serializable.
var workHeaders = map[string][]string{"ReadWrite": nil, "Serializable": {"If-Match", "*"}}

func TestIdempotencyInAnotherProcess(t *testing.T) {
	t.Parallel()
	for mode, headers := range workHeaders {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			onTwoProcesses(t, func(w *workplace) {
				first := w.begin(headers...)
				w.requireInUse(headers...)
				first.end(succeed)
				require.Equal(w, http.StatusCreated, first.answer().Code, first.answer().Body)
				w.requireReplayed(first.answer(), w.call(w.Context(), 1, "1", "k", headers...))
				w.requireReplayed(first.answer(), w.call(w.Context(), 0, "1", "k", headers...))
				require.Equal(w, http.StatusUnprocessableEntity, w.call(w.Context(), 1, "2", "k", headers...).Code, "another input")
				require.Equal(w, 1, w.runs())
			})
		})
	}
}

func TestIdempotencyWaitsForSQLitesWriter(t *testing.T) {
	t.Parallel()
	url := backendtest.NewURL(t, backend.SQLite)
	w := newWorkplace(t, backend.SQLite, url, url)
	first := w.begin()
	second := make(chan *httptest.ResponseRecorder, 1)
	go func() { second <- w.call(w.Context(), 1, "1", "k") }()
	select {
	case early := <-second:
		require.FailNow(t, "it did not wait", "%d %s", early.Code, early.Body)
	case <-time.After(300 * time.Millisecond): // longer than SQLite itself waits
	}
	first.end(succeed)
	w.requireReplayed(first.answer(), <-second)
	require.Equal(t, 1, w.runs())
}

func TestIdempotencyAfterTheOtherProcessFailed(t *testing.T) {
	t.Parallel()
	for name, failure := range map[string]func() error{
		"error": func() error { return backend.Errorf(backend.Gone, "It is gone.") },
		"panic": func() error { panic("boom") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onTwoProcesses(t, func(w *workplace) {
				first := w.begin()
				w.requireInUse()
				first.end(failure)
				require.GreaterOrEqual(w, first.answer().Code, 400)
				second := w.call(w.Context(), 1, "1", "k")
				require.Equal(w, http.StatusCreated, second.Code, second.Body)
				require.Empty(w, second.Header().Get("Idempotency-Replayed"))
				require.Equal(w, 1, w.runs())
				w.requireReplayed(second, w.call(w.Context(), 0, "1", "k"))
			})
		})
	}
}

// The server ends the transaction of a process that is gone, and with it what
// the key was held by.
func TestIdempotencyAfterTheOtherProcessIsGone(t *testing.T) {
	t.Parallel()
	for _, engine := range []backend.Engine{backend.Postgres, backend.MySQL} {
		t.Run(string(engine), func(t *testing.T) {
			t.Parallel()
			url := backendtest.NewURL(t, engine)
			p := newProxy(t, url)
			w := newWorkplace(t, engine, p.URL, url)
			first := w.begin()
			w.requireInUse()
			p.Cut()
			second := w.call(w.Context(), 1, "1", "k")
			for second.Code == http.StatusConflict { // until the server has noticed
				require.NoError(t, w.Context().Err())
				second = w.call(w.Context(), 1, "1", "k")
			}
			require.Equal(t, http.StatusCreated, second.Code, second.Body)
			first.end(succeed)
			require.GreaterOrEqual(t, first.answer().Code, 500, first.answer().Body)
			w.requireReplayed(second, w.call(w.Context(), 0, "1", "k"))
			count, err := backend.One[int](t.Context(), w.dbs[1], "SELECT COUNT(*) FROM runs")
			require.NoError(t, err)
			require.Equal(t, 1, count)
		})
	}
}

// A call with another key is not held up by one that runs.
func TestIdempotencyOfOtherKeys(t *testing.T) {
	t.Parallel()
	for mode, headers := range workHeaders {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			onTwoProcesses(t, func(w *workplace) {
				if w.engine == backend.SQLite {
					w.Skip("SQLite has one writer")
				}
				first := w.begin(headers...)
				for i := range 20 { // before and after it in the index
					other := w.call(w.Context(), i%2, "2", "other "+strconv.Itoa(i), headers...)
					require.Equal(w, http.StatusCreated, other.Code, other.Body)
				}
				first.end(succeed)
				require.Equal(w, http.StatusCreated, first.answer().Code, first.answer().Body)
			})
		})
	}
}

// compete sends calls to both processes at once, and requires that all of them
// were either carried out or refused.
func (w *workplace) compete(calls int, key string, headers ...string) {
	w.Helper()
	before := w.runs()
	var wait sync.WaitGroup
	for i := range calls {
		wait.Go(func() {
			if answer := w.call(w.Context(), i%2, "1", key, headers...); answer.Code != http.StatusCreated && answer.Code != http.StatusConflict {
				w.Error(answer.Code, answer.Body)
			}
		})
	}
	wait.Wait()
	require.Equal(w, before+1, w.runs(), "carried out once, and not refused by all")
}

func TestIdempotencyOfManyInTwoProcesses(t *testing.T) {
	t.Parallel()
	for mode, headers := range workHeaders {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			onTwoProcesses(t, func(w *workplace) {
				for round := range 5 {
					key := strconv.Itoa(round)
					w.compete(50, key, headers...)
					w.expireKeys()
					w.compete(50, key, headers...)
				}
			})
		})
	}
}

// Calls that are sent again at once after the first one has ended all have its
// answer: they do not keep each other from it, nor calls with other keys.
func TestIdempotencyReplaysInParallel(t *testing.T) {
	t.Parallel()
	onTwoProcesses(t, func(w *workplace) {
		answer := w.call(w.Context(), 0, "1", "k")
		var wait sync.WaitGroup
		for process := range 2 {
			wait.Go(func() { // one at a time in each process, which would refuse others itself
				for range 50 {
					if again := w.call(w.Context(), process, "1", "k"); again.Body.String() != answer.Body.String() {
						w.Error(again.Code, again.Body)
					}
				}
			})
			wait.Go(func() {
				for i := range 50 {
					if other := w.call(w.Context(), process, "2", strconv.Itoa(process)+"/"+strconv.Itoa(i)); other.Code != http.StatusCreated {
						w.Error(other.Code, other.Body)
					}
				}
			})
		}
		wait.Wait()
		require.Equal(w, 101, w.runs())
	})
}

func TestIdempotencyWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	onTwoProcesses(t, func(w *workplace) {
		require.Equal(w, http.StatusCreated, w.call(w.Context(), 0, "1", "k").Code)
		_, err := w.dbs[0].Exec(w.Context(), "UPDATE backend_idempotency_keys SET output = NULL")
		require.NoError(w, err)
		requireInUse(w.T, w.call(w.Context(), 1, "1", "k"))
	})
}

// TestIdempotencyForgets: keys that have expired are deleted after some calls,
// which ones depends on nothing but the key.
func TestIdempotencyForgets(t *testing.T) {
	t.Parallel()
	onTwoProcesses(t, func(w *workplace) {
		stored := func() int {
			n, err := backend.One[int](w.Context(), w.dbs[0], "SELECT COUNT(*) FROM backend_idempotency_keys WHERE id LIKE 'old %'")
			require.NoError(w, err)
			return n
		}
		for i := range 20 {
			_, err := w.dbs[0].Exec(w.Context(), "INSERT INTO backend_idempotency_keys (id, input, expires_at) VALUES (?, '', ?)",
				"old "+strconv.Itoa(i), time.Now().Add(time.Duration(i-10)*time.Minute))
			require.NoError(w, err)
		}
		if w.engine != backend.SQLite {
			first := w.begin() // cleaning does not wait for it
			defer first.answer()
			defer first.end(succeed)
		}
		for i := 0; i%50 > 0 || stored() == 20; i++ {
			require.Less(w, i, 2000)
			require.Equal(w, http.StatusCreated, w.call(w.Context(), 0, "1", strconv.Itoa(i)).Code)
		}
		require.Equal(w, 9, stored(), "those that have not expired")
	})
}

// TestIdempotencyRoundTrips: a key costs two statements, and one that is in use
// is refused at the first try.
func TestIdempotencyRoundTrips(t *testing.T) {
	t.Parallel()
	for _, engine := range []backend.Engine{backend.Postgres, backend.MySQL} {
		t.Run(string(engine), func(t *testing.T) {
			t.Parallel()
			url := backendtest.NewURL(t, engine)
			p := newProxy(t, url)
			w := newWorkplace(t, engine, url, p.URL)
			trips := func(status int, key string) int {
				answer := w.call(t.Context(), 1, "1", key)
				require.Equal(t, status, answer.Code, answer.Body)
				return p.Trips()
			}
			first := w.begin()
			trips(http.StatusCreated, "a") // prepares the statements
			trips(http.StatusCreated, "a")
			ends := 2 // begin and commit
			if engine == backend.Postgres {
				ends = 1 // BEGIN travels with the first statement
			}
			require.Equal(t, ends+4, trips(http.StatusCreated, "b"), "begin, take the key, (what the operation does,) keep the answer, commit")
			require.Equal(t, ends+2, trips(http.StatusCreated, "b"), "begin, take the key in vain, read the answer, commit")
			require.LessOrEqual(t, trips(http.StatusConflict, "k"), ends+2, "begin, take the key in vain, on PostgreSQL look for an answer, roll back")
			first.end(succeed)
			require.Equal(t, http.StatusCreated, first.answer().Code, first.answer().Body)
		})
	}
}

// stamp has what answers have that clients do not see.
type stamp struct {
	Version int `json:"-"`
}

type draft struct {
	ID     int `json:"id"`
	Author int `json:"-"`
	stamp
	Wait    func()            `json:"-"`
	Secret  writesOnly        `json:"-"`
	Earlier []*draft          `json:"earlier,omitempty"`
	Named   map[string]*draft `json:"named,omitempty"`
}

// writesOnly is of no use to a replay, since it cannot be read.
type writesOnly struct{}

func (writesOnly) MarshalText() ([]byte, error) { return []byte("?"), nil }

func (d draft) ETag() string { return "v" + strconv.Itoa(d.Version) }

// What relations and ETag look at is the same when an answer is given again,
// whether clients see it or not. What they do not need is not stored.
func TestIdempotencyKeepsHiddenFields(t *testing.T) {
	t.Parallel()
	backendtest.EachDB(t, func(t *testing.T, db *backend.DB) {
		require.NoError(t, db.Migrate(t.Context(), nil))
		type account struct {
			Name string `json:"name"`
			Hash string `json:"-"`
		}
		made := func(context.Context, backend.None) (*draft, error) {
			return &draft{
				ID: 1, Author: 7, stamp: stamp{3}, Wait: func() {},
				Earlier: []*draft{nil, {ID: 2, Author: 8}}, Named: map[string]*draft{"b": {Author: 9}, "a": {ID: 3}},
			}, nil
		}
		logic := backend.NewLogic(db, nil, backend.LogicConfig{})
		logic.Add(
			backend.Mutation("make", backend.Public, made, backend.Route("POST /drafts"), backend.Idempotent()),
			backend.Query("draft", backend.Public, func(ctx context.Context, _ itemID) (*draft, error) { return made(ctx, backend.None{}) }, backend.Route("GET /drafts/{id}")),
			backend.Mutation("signUp", backend.Public, func(context.Context, backend.None) (account, error) { return account{"ann", "hunter2"}, nil }, backend.Route("POST /accounts"), backend.Idempotent()),
			backend.Relation("author", func(_ context.Context, drafts []draft) ([]int, error) {
				var ids []int
				for _, d := range drafts {
					ids = append(ids, d.Author)
				}
				return ids, nil
			}),
		)
		c := newRESTClient(t, logic)
		for _, query := range []string{"", "?include=author"} {
			first := c.do("POST", "/drafts"+query, "", "Idempotency-Key", "k"+query)
			again := c.do("POST", "/drafts"+query, "", "Idempotency-Key", "k"+query)
			require.Equal(t, 201, first.Code, first.Body)
			require.Equal(t, "true", again.Header().Get("Idempotency-Replayed"), again.Body)
			require.Equal(t, first.Body.String(), again.Body.String())
			require.Equal(t, first.Header().Get("ETag"), again.Header().Get("ETag"))
		}
		require.Equal(t, 201, c.do("POST", "/accounts", "", "Idempotency-Key", "k").Code)
		stored, err := backend.All[[]byte](t.Context(), db, "SELECT output FROM backend_idempotency_keys")
		require.NoError(t, err)
		for _, text := range stored {
			require.NotContains(t, string(text), "hunter2")
		}
	})
}

// A call under a key whose transaction runs again is still one call.
func TestIdempotencyOfATransactionThatRunsAgain(t *testing.T) {
	t.Parallel()
	db := backendtest.NewDB(t, backend.Postgres)
	require.NoError(t, db.Migrate(t.Context(), nil))
	runs, done := 0, 0
	logic := backend.NewLogic(db, nil, backend.LogicConfig{})
	logic.Add(backend.Mutation("pay", backend.Public, func(ctx context.Context, _ backend.None) (int, error) {
		backend.AfterCommit(ctx, func(context.Context) { done++ })
		if runs++; runs < 3 {
			_, err := db.Exec(ctx, "DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = 'serialization_failure'; END $$")
			return 0, err
		}
		return runs, nil
	}, backend.Route("POST /pay"), backend.RequireIdempotencyKey()))
	c := newRESTClient(t, logic)
	for range 2 {
		w := c.do("POST", "/pay", "", "Idempotency-Key", "k")
		require.Equal(t, 201, w.Code, w.Body)
		require.Equal(t, "3", w.Body.String())
	}
	require.Equal(t, 3, runs)
	require.Equal(t, 1, done, "of the tries that were undone nothing happens after a commit")
}

// meta is part of what has a version.
type meta struct {
	Version int `json:"-"`
}

type sheet struct {
	ID   int  `json:"id"`
	Meta meta `json:"meta"`
}

func (s sheet) ETag() string { return "v" + strconv.Itoa(s.Meta.Version) }

type sheets []sheet

func (s sheets) ETag() string { return s[0].ETag() }

// A method ETag may look at what is deeper within.
func TestIdempotencyKeepsHiddenFieldsWithin(t *testing.T) {
	t.Parallel()
	db := backendtest.NewDB(t, backend.SQLite)
	require.NoError(t, db.Migrate(t.Context(), nil))
	one := sheet{1, meta{7}}
	logic := backend.NewLogic(db, nil, backend.LogicConfig{})
	logic.Add(
		backend.Mutation("make", backend.Public, func(context.Context, backend.None) (sheet, error) { return one, nil }, backend.Route("POST /sheets"), backend.Idempotent()),
		backend.Query("sheet", backend.Public, func(context.Context, itemID) (sheet, error) { return one, nil }, backend.Route("GET /sheets/{id}")),
		backend.Mutation("change", backend.Public, func(context.Context, backend.None) (sheets, error) { return sheets{one}, nil }, backend.Route("PATCH /all"), backend.Idempotent()),
		backend.Query("all", backend.Public, func(context.Context, backend.None) (sheets, error) { return sheets{one}, nil }, backend.Route("GET /all")),
	)
	c := newRESTClient(t, logic)
	for method, path := range map[string]string{"POST": "/sheets", "PATCH": "/all"} {
		for range 2 {
			w := c.do(method, path, "", "Idempotency-Key", "k"+method)
			require.Less(t, w.Code, 300, w.Body)
			require.Equal(t, `"v7"`, w.Header().Get("ETag"), "%s %s", method, w.Header())
		}
	}
}
