package plan_test

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
	"github.com/seed-215b9b7c/backend/internal/plan"
)

type branch struct {
	Name   string    `json:"name"`
	Left   *branch   `json:"left"`
	Others []*branch `json:"others"`
}

func TestWalkReachesEachTypeOnce(t *testing.T) {
	t.Parallel()
	compiled, err := plan.NewCompiler(plan.Out).Compile(reflect.TypeFor[map[string][]branch]())
	require.NoError(t, err)
	seen := map[reflect.Type]int{}
	compiled.Walk(func(t *plan.Type) { seen[t.Go]++ })
	require.Equal(t, map[reflect.Type]int{
		reflect.TypeFor[map[string][]branch](): 1, reflect.TypeFor[[]branch](): 1, reflect.TypeFor[branch](): 1,
		reflect.TypeFor[string](): 1, reflect.TypeFor[*branch](): 1, reflect.TypeFor[[]*branch](): 1,
	}, seen)
	(*plan.Type)(nil).Walk(func(*plan.Type) { t.Fatal("there is nothing") })
}

func TestBase(t *testing.T) {
	t.Parallel()
	for _, of := range []reflect.Type{reflect.TypeFor[int](), reflect.TypeFor[*int](), reflect.TypeFor[backend.Opt[*int]]()} {
		compiled, err := plan.NewCompiler(plan.Out).Compile(of)
		require.NoError(t, err)
		require.Equal(t, reflect.TypeFor[int](), compiled.Base().Go, of)
	}
}

type writesOnly struct{}

func (writesOnly) MarshalText() ([]byte, error) { return []byte("?"), nil }

type writesOnlyJSON struct{}

func (writesOnlyJSON) MarshalJSON() ([]byte, error) { return []byte("1"), nil }

func TestUnreadable(t *testing.T) {
	t.Parallel()
	type within struct {
		List  []struct{ V *writesOnly }
		Map   map[string]backend.Opt[writesOnlyJSON]
		Addr  netip.Addr
		Big   json.RawMessage
		Twice writesOnly
	}
	out, err := plan.NewCompiler(plan.Out).Compile(reflect.TypeFor[within]())
	require.NoError(t, err)
	require.Equal(t, []reflect.Type{reflect.TypeFor[writesOnly](), reflect.TypeFor[writesOnlyJSON]()}, out.Unreadable())
	fine, err := plan.NewCompiler(plan.Out).Compile(reflect.TypeFor[[]branch]())
	require.NoError(t, err)
	require.Empty(t, fine.Unreadable())
}

// The types of the root package are known without its path.
func TestTypesOfTheRoot(t *testing.T) {
	t.Parallel()
	type own struct{ V, Present, Null bool }
	require.True(t, plan.IsOpt(reflect.TypeFor[backend.Opt[int]]()))
	require.True(t, plan.IsID(reflect.TypeFor[backend.ID]()))
	require.True(t, plan.IsPage(reflect.TypeFor[backend.Page[int]]()))
	for _, other := range []reflect.Type{reflect.TypeFor[own](), reflect.TypeFor[int64](), reflect.TypeFor[backend.Cursor](), reflect.TypeFor[*backend.ID]()} {
		require.False(t, plan.IsOpt(other) || plan.IsID(other) || plan.IsPage(other), other)
	}
}
