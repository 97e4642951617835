package backend_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
	"github.com/seed-215b9b7c/backend/backendtest"
)

// A separator that negates the next condition negates all of it.
func TestJoinedConditionsKeepTheirMeaning(t *testing.T) {
	t.Parallel()
	backendtest.EachDB(t, func(t *testing.T, db *backend.DB) {
		either, never := backend.SQL("1 = 2 OR 1 = 1"), backend.SQL("1 = 2")
		for separator, joined := range map[string]backend.Fragment{
			"AND NOT": backend.JoinSQL(" AND NOT ", backend.SQL("1 = 1"), either),
			"OR":      backend.JoinSQL(" OR ", never, backend.JoinSQL(" and not ", either, either)),
			"lines":   backend.JoinSQL("\nAND -- both\n", either, never),
		} {
			found, err := backend.All[int](t.Context(), db, "SELECT 1 WHERE ?", joined)
			require.NoError(t, err, separator)
			require.Empty(t, found, separator)
		}
	})
}

// A Fragment that is not an argument itself is an error, and not the text {}, which
// no row is equal to.
func TestFragmentsWithinArgumentsAreErrors(t *testing.T) {
	t.Parallel()
	backendtest.EachDB(t, func(t *testing.T, db *backend.DB) {
		f := backend.SQL("SELECT 'x'")
		pointer := &f
		for _, arg := range []any{
			[]any{f}, []*backend.Fragment{pointer}, [1]backend.Fragment{f}, [][]backend.Fragment{{f}}, &pointer,
			struct{ F backend.Fragment }{f}, map[string]any{"f": f}, backend.Some(f),
		} {
			_, err := backend.All[string](t.Context(), db, "SELECT 'x' WHERE 'x' NOT IN (?)", arg)
			require.ErrorContains(t, err, "join several with JoinSQL", "%T", arg)
			_, err = backend.All[string](t.Context(), db, "SELECT 'x' WHERE 'x' <> ?", arg)
			require.ErrorContains(t, err, "join several with JoinSQL", "%T", arg)
		}
	})
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
	visit := logic.Door("example.com/own").Visit(r)
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

func (encodes) Decode(context.Context, any) error         { return nil }
func (f encodes) Encode(ctx context.Context, _ any) error { return f(ctx) }

// Each call of a visit has its own deadline. Its end is not the visit's.
func TestVisitWhoseFirstCallEndsTooEarly(t *testing.T) {
	t.Parallel()
	logic := backend.NewLogic(nil, patient{}, backend.LogicConfig{})
	logic.Add(backend.Query("q", backend.SignedIn, func(context.Context, backend.None) (string, error) { return "x", nil }))
	visit := logic.Door("example.com/own").Visit(httptest.NewRequest("POST", "/", nil))
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
func (o *panicking) End(context.Context, *backend.Event)                 { o.ended++ }

// Programs that calculate weights send more digits than RFC 9110 allows.
func TestAcceptWithManyDigits(t *testing.T) {
	t.Parallel()
	logic := backend.NewLogic(nil, nil, backend.LogicConfig{})
	logic.Add(backend.Query("q", backend.Public, func(context.Context, backend.None) (string, error) { return "x", nil }, backend.Route("GET /q")))
	c := newRESTClient(t, logic)
	for _, accept := range []string{"application/json;q=0.8500", "*/*;q=1.0000", "text/html, application/json; q=0.8999999999999999"} {
		require.Equal(t, http.StatusOK, c.do("GET", "/q", "", "Accept", accept).Code, accept)
	}
}
