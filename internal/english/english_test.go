package english_test

import (
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend/internal/english"
)

func TestA(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		value any
		want  string
	}{
		{reflect.TypeFor[int](), "an int"}, {reflect.TypeFor[any](), "an interface {}"}, {reflect.TypeFor[error](), "an error"},
		{reflect.TypeFor[uint](), "a uint"}, {reflect.TypeFor[*int](), "a *int"}, {reflect.TypeFor[[]int](), "a []int"},
		{reflect.TypeFor[string](), "a string"}, {"Opt", "an Opt"}, {"", "a "},
	} {
		require.Equal(t, test.want, english.A(test.value))
	}
	require.Equal(t, "an int64", english.AType(int64(1)))
	require.Equal(t, "a <nil>", english.AType(nil))
}

func TestWas(t *testing.T) {
	t.Parallel()
	require.Equal(t, "were", english.Was(0))
	require.Equal(t, "was", english.Was(1))
	require.Equal(t, "were", english.Was(int64(2)))
}

func TestCount(t *testing.T) {
	t.Parallel()
	require.Equal(t, "0 arguments", english.Count(0, "argument"))
	require.Equal(t, "1 argument", english.Count(1, "argument"))
	require.Equal(t, "2 arguments", english.Count(int64(2), "argument"))
}
