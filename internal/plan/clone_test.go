package plan_test

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
	"github.com/seed-215b9b7c/backend/internal/plan"
)

type cloned struct {
	Bytes  []byte                  `json:"bytes"`
	Raw    json.RawMessage         `json:"raw"`
	Words  []string                `json:"words"`
	Deep   [][]string              `json:"deep"`
	Pair   [2][]int                `json:"pair"`
	Map    map[string][]string     `json:"map"`
	Next   *cloned                 `json:"next"`
	Opt    backend.Opt[[]string]   `json:"opt"`
	Inner  struct{ List []string } `json:"inner"`
	At     time.Time               `json:"at"`
	Hidden string                  `json:"-"`
}

func newCloned() *cloned {
	return &cloned{
		Bytes: []byte("a"), Raw: json.RawMessage("1"), Words: []string{"a"}, Deep: [][]string{{"a"}, nil, {}}, Pair: [2][]int{{1}, nil},
		Map: map[string][]string{"a": {"a"}}, Next: &cloned{Words: []string{"a"}}, Opt: backend.Some([]string{"a"}),
		Inner: struct{ List []string }{[]string{"a"}}, At: time.Unix(1, 0), Hidden: "a",
	}
}

// change writes to everything that a value refers to.
func (c *cloned) change() {
	c.Bytes[0], c.Raw[0], c.Words[0], c.Deep[0][0], c.Deep[1], c.Pair[0][0] = 'b', '2', "b", "b", []string{"b"}, 2
	c.Map["a"][0], c.Next.Words[0], c.Opt.V[0], c.Inner.List[0] = "b", "b", "b", "b"
	c.Map["b"] = nil
}

func compileIn(t *testing.T, of reflect.Type) *plan.Type {
	t.Helper()
	compiled, err := plan.NewCompiler(plan.In).Compile(of)
	require.NoError(t, err)
	return compiled
}

func TestCloneSharesNothing(t *testing.T) {
	t.Parallel()
	from, into := newCloned(), cloned{}
	compiled := compileIn(t, reflect.TypeFor[cloned]())
	compiled.Clone(reflect.ValueOf(&into).Elem(), reflect.ValueOf(from).Elem())
	require.Equal(t, *newCloned(), into)
	from.change()
	require.NotEqual(t, *newCloned(), *from)
	require.Equal(t, *newCloned(), into, "what the first refers to was changed")
	into = cloned{}
	compiled.Clone(reflect.ValueOf(&into).Elem(), reflect.ValueOf(cloned{}))
	require.Equal(t, cloned{}, into, "what is nil stays nil")
}

func TestRefers(t *testing.T) {
	t.Parallel()
	type flat struct {
		ID   backend.ID               `json:"id"`
		At   time.Time                `json:"at"`
		Name backend.Opt[string]      `json:"name"`
		Pair [2]int                   `json:"pair"`
		Addr backend.Opt[netip.Addr]  `json:"addr"`
		In   struct{ Inner string }   `json:"in"`
		Opts [1]backend.Opt[[1]int64] `json:"opts"`
	}
	require.False(t, compileIn(t, reflect.TypeFor[flat]()).Refers())
	require.False(t, compileIn(t, reflect.TypeFor[backend.None]()).Refers())
	for _, of := range []reflect.Type{
		reflect.TypeFor[cloned](), reflect.TypeFor[struct{ A []byte }](), reflect.TypeFor[struct{ A *int }](), reflect.TypeFor[struct{ A map[string]int }](),
		reflect.TypeFor[struct{ A backend.Opt[[]int] }](), reflect.TypeFor[struct{ A struct{ B json.RawMessage } }](),
	} {
		require.True(t, compileIn(t, of).Refers(), of)
	}
}
