package stamp_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend/internal/stamp"
)

type (
	named    time.Time
	embedded struct{ time.Time }
	Exported struct{ time.Time }
	twice    struct{ Exported }
	more     struct {
		Exported
		N int
	}
	field struct{ At time.Time }
)

func TestOf(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, value := range []any{at, named(at), embedded{at}, twice{Exported{at}}} {
		v := reflect.ValueOf(value)
		require.True(t, stamp.Is(v.Type()), "%T", value)
		got, ok := stamp.Of(v)
		require.True(t, ok)
		require.Equal(t, at, got)
		got, ok = stamp.Within(v)
		require.True(t, ok)
		require.Equal(t, at, got)

		set := reflect.New(v.Type())
		stamp.Set(set.Elem(), at)
		require.Equal(t, value, set.Elem().Interface())
	}
	for _, value := range []any{field{at}, more{}, &at, 1, "", struct{}{}} {
		v := reflect.ValueOf(value)
		require.False(t, stamp.Is(v.Type()), "%T", value)
		_, ok := stamp.Of(v)
		require.False(t, ok)
	}
	got, ok := stamp.Within(reflect.ValueOf(more{Exported: Exported{at}}))
	require.True(t, ok)
	require.Equal(t, at, got)
	_, ok = stamp.Within(reflect.ValueOf(field{at}))
	require.False(t, ok)
}
