package plan

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

type Base struct {
	ID   int64 `json:"id"`
	Name string
}

type tree struct {
	Base
	Name     string           `json:"name" validate:"required,max=5" doc:"what it is called"`
	Note     *string          `json:"note"`
	Tags     []string         `json:"tags,omitempty"`
	Children []tree           `json:"children"`
	By       map[string]uint8 `json:"by,omitzero"`
	Addr     netip.Addr       `json:"addr" in:"header=X-Addr"`
	At       time.Time        `json:"at"`
	Took     time.Duration    `json:"took"`
	Data     []byte           `json:"data"`
	Any      json.RawMessage  `json:"any"`
	Pair     [2]float32       `json:"pair"`
	hidden   int              //lint:ignore U1000 it must not be seen
	Skipped  chan int         `json:"-"`
	Count    int              `json:"count,string"`
}

func TestCompile(t *testing.T) {
	t.Parallel()
	got, err := NewCompiler(In).Compile(reflect.TypeFor[tree]())
	require.NoError(t, err)
	require.Equal(t, Struct, got.Kind)
	fields := map[string]*Field{}
	var names []string
	for _, field := range got.Fields {
		names = append(names, field.Name)
		fields[field.Name] = field
	}
	require.Equal(t, []string{"id", "Name", "name", "note", "tags", "children", "by", "addr", "at", "took", "data", "any", "pair", "count"}, names)
	require.Equal(t, []int{0, 0}, fields["id"].Index)
	require.Equal(t, "Base.ID", fields["id"].GoName)
	require.Same(t, got, fields["children"].Type.Elem, "recursive types end")
	for name, kind := range map[string]Kind{"id": Int, "name": String, "note": Pointer, "tags": Slice, "by": Map, "addr": Text, "at": Time,
		"took": Duration, "data": Bytes, "any": Raw, "pair": Array} {
		require.Equal(t, kind, fields[name].Type.Kind, name)
	}
	for name, required := range map[string]bool{"id": true, "note": false, "tags": false, "children": true, "by": false} {
		require.Equal(t, required, fields[name].Required, name)
	}
	require.Equal(t, "required,max=5", fields["name"].Validate)
	require.Equal(t, "what it is called", fields["name"].Doc)
	require.Equal(t, "header", fields["addr"].Place)
	require.Equal(t, "X-Addr", fields["addr"].PlaceName)
	require.True(t, fields["count"].Quoted)
}

type ambiguousA struct{ X, Y int }
type ambiguousB struct {
	X int
	Y int `json:"Y"`
}

// The rule is encoding/json's, so it is asked.
func TestFieldsAreThoseOfEncodingJSON(t *testing.T) {
	t.Parallel()
	type both struct {
		ambiguousA
		ambiguousB
		Z int `json:"z,omitempty"`
	}
	for _, value := range []any{both{Z: 1}, tree{}, struct {
		ambiguousA
		X string
	}{}} {
		text, err := json.Marshal(value)
		require.NoError(t, err)
		var object map[string]json.RawMessage
		require.NoError(t, json.Unmarshal(text, &object))
		got, err := NewCompiler(Out).Compile(reflect.TypeOf(value))
		require.NoError(t, err)
		for name := range object {
			found := false
			for _, field := range got.Fields {
				found = found || field.Name == name
			}
			require.True(t, found, name)
		}
		for _, field := range got.Fields {
			if !field.OmitEmpty && !field.OmitZero {
				require.Contains(t, object, field.Name)
			}
		}
	}
}

func TestCompileErrors(t *testing.T) {
	t.Parallel()
	type bad struct {
		Func  func()
		Deep  []map[int]chan int
		Twice **int
		Own   customJSON
		Opt   int `json:"opt,inline"`
		From  int `in:"body-part"`
		*Base
	}
	_, err := NewCompiler(In).Compile(reflect.TypeFor[bad]())
	for _, want := range []string{
		"plan.bad.Func: a func() is not supported",
		"plan.bad.Deep[]: the keys of a map must be strings, not int",
		"plan.bad.Deep[]{}: a chan int is not supported",
		"plan.bad.Twice: a pointer to a *int",
		"plan.bad.Own: a plan.customJSON reads JSON by itself",
		`plan.bad.Opt: the json option "inline" is not known`,
		`plan.bad.From: the tag in:"body-part"`,
		"plan.bad.Base: embed the struct itself",
	} {
		require.ErrorContains(t, err, want)
	}
}

type customJSON struct{}

func (customJSON) MarshalJSON() ([]byte, error) { return []byte("1"), nil }
func (*customJSON) UnmarshalJSON([]byte) error  { return nil }

type Page[T any] struct{ Items []T }

func TestSchemaName(t *testing.T) {
	t.Parallel()
	require.Equal(t, "Base", schemaName(reflect.TypeFor[Base]()))
	require.Equal(t, "PageBase", schemaName(reflect.TypeFor[Page[Base]]()))
	require.Equal(t, "PagePageAddr", schemaName(reflect.TypeFor[Page[Page[netip.Addr]]]()))
	require.Equal(t, "", schemaName(reflect.TypeFor[[]int]()))
}
