package params

import (
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend/internal/plan"
)

func setter(t testing.TB, typ reflect.Type) (Setter, error) {
	compiled, err := plan.NewCompiler(plan.In).Compile(typ)
	require.NoError(t, err)
	return Compile(compiled)
}

func set[T any](t testing.TB, values ...string) (T, error) {
	t.Helper()
	s, err := setter(t, reflect.TypeFor[T]())
	require.NoError(t, err)
	var into T
	return into, s(values, reflect.ValueOf(&into).Elem())
}

func is[T any](t *testing.T, want T, values ...string) {
	t.Helper()
	got, err := set[T](t, values...)
	require.NoError(t, err)
	require.Equal(t, want, got)
}

func isNot[T any](t *testing.T, values ...string) {
	t.Helper()
	_, err := set[T](t, values...)
	require.Error(t, err, "%T of %q", *new(T), values)
	require.NotContains(t, err.Error(), "hunter2")
}

type name string

func TestSetters(t *testing.T) {
	t.Parallel()
	is(t, true, "true")
	is(t, int8(-128), "-128")
	is(t, uint16(65535), "65535")
	is(t, 1.5, "1.5")
	is(t, 1e-7, "1e-7")
	is(t, name("ä"), "ä")
	is(t, "", "")
	is(t, []byte{251, 255}, "-_8")
	is(t, time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), "2026-01-02T03:04:05Z")
	is(t, time.Duration(5), "5")
	is(t, netip.MustParseAddr("::1"), "::1")
	is(t, new(5), "5")
	is(t, []int{1, 2}, "1", "2")
	is(t, []name{"a"}, "a")
}

type anything struct{}

func (*anything) UnmarshalText([]byte) error { return nil }

func TestRefused(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "hunter2", " 1", "1 ", "+1", "01", "-0", "1.0", "1e2", "0x1", "1_000", "128", "٣"} {
		isNot[int8](t, text)
	}
	for _, text := range []string{"", "-1", "256", "+1"} {
		isNot[uint8](t, text)
	}
	for _, text := range []string{"", "NaN", "Inf", "-Infinity", "1e400", "hunter2", "0x1p-2", "1_0", "+1", ".5", "5.", "-.5", "00.5", "01"} {
		isNot[float64](t, text)
	}
	for _, text := range []string{"", "1", "TRUE", "yes"} {
		isNot[bool](t, text)
	}
	isNot[string](t, "\xff")
	isNot[string](t, "a\x00")
	isNot[[]byte](t, "+/8")
	isNot[anything](t, "a\x00")
	isNot[anything](t, "\xff")
	isNot[time.Time](t, "2026-01-02")
	isNot[time.Time](t, "2026-01-02T3:04:05Z")
	isNot[time.Time](t, "2026-01-02T03:04:05+24:00")
	isNot[netip.Addr](t, "hunter2")
	isNot[int](t, "1", "2")
	isNot[*int](t, "1", "2")
	isNot[[]int](t, "1", "x")
}

func TestNoFormAsText(t *testing.T) {
	t.Parallel()
	for _, typ := range []reflect.Type{reflect.TypeFor[struct{}](), reflect.TypeFor[map[string]int](), reflect.TypeFor[[][]int](), reflect.TypeFor[[2]int](), reflect.TypeFor[[]struct{}]()} {
		_, err := setter(t, typ)
		require.ErrorContains(t, err, "no form as text")
	}
}

func FuzzSetters(f *testing.F) {
	f.Add("1")
	f.Fuzz(func(t *testing.T, text string) {
		if n, err := set[int64](t, text); err == nil {
			is(t, n, text)
		}
		set[float32](t, text)
		set[time.Time](t, text)
		set[[]byte](t, text)
		set[*netip.Addr](t, text, text)
		if s, err := set[string](t, text); err == nil {
			require.Equal(t, text, s)
		}
	})
}
