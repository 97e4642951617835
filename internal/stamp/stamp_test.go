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

// What Parse takes, time.Parse takes as the same time.
func FuzzParse(f *testing.F) {
	for _, text := range []string{"2026-01-02 03:04:05", "2026-01-02T03:04:05.5Z", "2024-02-29 23:59:59.999999", "2026-02-29 00:00:00", "2026-13-01 00:00:00",
		"2026-00-10 00:00:00", "2026-01-00 00:00:00", "0000-01-01 00:00:00.123456789", "2026-01-02 03:04:05.", "2026-01-02 03:04:60", "2026-01-02 24:00:00",
		"2026-01-02 03:04:05.1234567890", "2026-01-02 03:04:05+01:00", "2026-01-02", ""} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, ok := stamp.Parse([]byte(text))
		if !ok {
			return
		}
		for _, layout := range []string{"2006-01-02 15:04:05.999999999", "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02T15:04:05.999999999Z07:00"} {
			if want, err := time.Parse(layout, text); err == nil {
				require.Equal(t, want.UTC(), got)
				return
			}
		}
		t.Fatalf("%q is no time", text)
	})
}

func TestParse(t *testing.T) { // not parallel: it counts allocations
	for _, at := range []time.Time{time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), time.Date(1, 12, 31, 23, 59, 59, 999999000, time.UTC), time.Date(9999, 2, 28, 0, 0, 0, 1000, time.UTC)} {
		text := []byte(stamp.Text(at))
		got, ok := stamp.Parse(text)
		require.True(t, ok, "%s", text)
		require.Equal(t, at, got)
		require.Zero(t, testing.AllocsPerRun(100, func() { stamp.Parse(text) }))
	}
}
