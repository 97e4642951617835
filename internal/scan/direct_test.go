package scan

import (
	"math"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend/internal/column"
)

type (
	directName  string
	directCount int8
	directUpper string // converts itself
)

func (u *directUpper) UnmarshalText(text []byte) error {
	*u = directUpper("upper " + string(text))
	return nil
}

// Whatever is stored without reflection is what the setter stores.
func TestDirect(t *testing.T) {
	t.Parallel()
	values := []column.Value{
		{}, {Kind: column.Bool, Int: 1}, {Kind: column.Bool},
		{Kind: column.Float, Float: 1.1}, {Kind: column.Float, Float: math.MaxFloat64}, {Kind: column.Float, Float: 3},
		{Kind: column.Text, Bytes: []byte("2026-01-02 03:04:05.5")}, {Kind: column.Text, Bytes: []byte("12")},
		{Kind: column.Text}, {Kind: column.Text, Bytes: []byte("2026-01-02 04:04:05+01:00")},
		{Kind: column.Blob, Bytes: []byte{1}}, {Kind: column.Blob, Bytes: []byte{}},
		{Kind: column.Time, Int: 1e15 + 7}, {Kind: column.Boxed, Boxed: uint64(math.MaxUint64)}, {Kind: column.Boxed, Boxed: "t"},
	}
	for _, n := range []int64{0, 1, 2, -1, 127, 128, -128, -129, 255, 256, 32768, 65536, 1 << 31, 1 << 32, math.MaxInt64, math.MinInt64} {
		values = append(values, column.Value{Kind: column.Int, Int: n})
	}
	stored := map[reflect.Type]int{}
	for _, field := range []any{
		"", false, 0, int8(0), int16(0), int32(0), int64(0), uint(0), uint8(0), uint16(0), uint32(0), uint64(0), float32(0), 0.0,
		[]byte(nil), time.Time{}, directName(""), directCount(0),
	} {
		typ := reflect.TypeOf(field)
		set, err := setterFor(typ)
		require.NoError(t, err)
		for _, value := range values {
			got, want := reflect.New(typ), reflect.New(typ)
			if !directFor(typ)(got.UnsafePointer(), &value) {
				require.Zero(t, got.Elem().Interface())
				continue
			}
			stored[typ]++
			require.NoError(t, set(want.Elem(), &value), "%s from %+v", typ, value)
			require.Equal(t, want.Elem().Interface(), got.Elem().Interface(), "%s from %+v", typ, value)
		}
		require.NotZero(t, stored[typ], typ)
	}
	require.Nil(t, directFor(reflect.TypeFor[directUpper]()))
	require.Nil(t, directFor(reflect.TypeFor[*string]()))
}

// Fields of structs within structs are stored where they are.
func TestDirectOffsets(t *testing.T) {
	t.Parallel()
	type inner struct {
		Skip bool `db:"-"`
		Name string
		N    uint16
	}
	type outer struct {
		Skip byte `db:"-"`
		A    int8
		inner
		Inner inner
		Via   *inner
		B     float32
	}
	got, err := row[outer](t, []string{"b", "via.n", "inner.n", "name", "inner.name", "n", "a", "via.name"},
		0.5, int64(1), int64(2), "outer", "inner", int64(3), int64(-4), []byte("via"))
	require.NoError(t, err)
	require.Equal(t, outer{
		A: -4, inner: inner{Name: "outer", N: 3}, Inner: inner{Name: "inner", N: 2}, Via: &inner{Name: "via", N: 1}, B: 0.5,
	}, got)
	behind, err := row[*outer](t, []string{"a", "n"}, int64(1), int64(2))
	require.NoError(t, err)
	require.Equal(t, &outer{A: 1, inner: inner{N: 2}}, behind)
}
