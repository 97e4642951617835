package scan

import (
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"math"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend/internal/column"
)

// row scans one row the way callers do.
func row[T any](t *testing.T, columns []string, values ...driver.Value) (T, error) {
	t.Helper()
	var into T
	plan, err := NewPlan(reflect.TypeFor[T](), columns)
	if err != nil {
		return into, err
	}
	return into, plan.Row(reflect.ValueOf(&into).Elem(), valuesOf(values))
}

func valuesOf(values []driver.Value) []column.Value {
	row := make([]column.Value, len(values))
	for i, value := range values {
		row[i] = column.Of(value)
	}
	return row
}

func scalar[T any](t *testing.T, value driver.Value) (T, error) {
	t.Helper()
	return row[T](t, []string{"c"}, value)
}

func equal[T any](t *testing.T, want T, value driver.Value) {
	t.Helper()
	got, err := scalar[T](t, value)
	require.NoError(t, err)
	require.Equal(t, want, got)
}

func TestScalars(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	equal(t, "a", "a")
	equal(t, "a", []byte("a"))
	equal(t, "7", int64(7))
	equal(t, 7, int64(7))
	equal(t, int64(12), []byte("12"))
	equal(t, uint8(255), int64(255))
	equal(t, uint64(1<<63), uint64(1<<63))
	equal(t, 1.5, []byte("1.5"))
	equal(t, true, int64(1))
	equal(t, false, []byte{0})
	equal(t, true, "t")
	equal(t, time.Second, int64(1e9))
	equal(t, at, "2026-01-02 03:04:05+00:00")
	equal(t, at, "2026-01-02T04:04:05+01:00")
	equal(t, at, []byte("2026-01-02 03:04:05"))
	equal(t, at, at.In(time.FixedZone("", 7200)))
	equal(t, []byte{1}, []byte{1})
	equal(t, []byte{}, []byte{})
	equal(t, []byte(nil), nil)
	equal(t, json.RawMessage(`{}`), "{}")
	equal(t, netip.MustParseAddr("::1"), "::1")
	equal(t, []string{"a"}, `["a"]`)
	equal(t, map[string]int(nil), nil)
	equal(t, map[string]int{"a": 1}, []byte(`{"a":1}`))
	equal(t, sql.Null[string]{}, nil)
	equal(t, sql.NullInt64{Int64: 3, Valid: true}, int64(3))
	equal(t, (*string)(nil), nil)
	equal(t, new("x"), "x")
	equal[any](t, int64(1), int64(1))
	equal(t, 0.1, float32(0.1))
	equal(t, float32(0.1), float32(0.1))
	equal(t, float64(1<<63), uint64(1<<63))
	equal(t, [2]byte{1, 2}, []byte{1, 2})
	equal(t, uint64(math.MaxUint64), []byte("18446744073709551615"))
	equal(t, sql.Null[time.Time]{V: at, Valid: true}, "2026-01-02 03:04:05+00:00")
	equal(t, sql.NullTime{Time: at, Valid: true}, at)
	equal(t, sql.Null[time.Time]{}, nil)
}

// SQLite stores a JSON document that is a number as a number.
func TestJSONNumbers(t *testing.T) {
	t.Parallel()
	equal(t, json.RawMessage("5"), int64(5))
	equal(t, json.RawMessage("1e+300"), 1e300)
	equal(t, sql.Null[json.RawMessage]{V: json.RawMessage("5"), Valid: true}, int64(5))
	equal(t, sql.Null[[]string]{V: []string{"a"}, Valid: true}, `["a"]`)
	_, err := scalar[json.RawMessage](t, math.Inf(1))
	require.Error(t, err)
	_, err = scalar[[]byte](t, int64(5))
	require.Error(t, err)
}

// What lib/pq makes of a TIME is text.
func TestClocks(t *testing.T) {
	t.Parallel()
	half := time.Date(0, 1, 1, 10, 30, 0, 500_000_000, time.UTC)
	equal(t, "10:30:00.5", half)
	equal(t, "24:00:00", time.Date(0, 1, 2, 0, 0, 0, 0, time.UTC))
	equal(t, "10:30:00.5+02:00", time.Date(0, 1, 1, 10, 30, 0, 500_000_000, time.FixedZone("", 7200)))
	equal[any](t, "10:30:00.5", half)
	equal(t, sql.NullString{String: "10:30:00.5", Valid: true}, half)
	for _, at := range []driver.Value{half, "10:30:00"} {
		_, err := scalar[time.Time](t, at)
		require.Error(t, err)
		_, err = scalar[sql.NullTime](t, at)
		require.Error(t, err)
	}
}

// money is a number in the database and text for clients.
type money int64

func (m *money) UnmarshalText([]byte) error { return nil }

func TestTextUnmarshalerTakesText(t *testing.T) {
	t.Parallel()
	_, err := scalar[money](t, int64(12))
	require.ErrorContains(t, err, "a scan.money has UnmarshalText, and the database's int64 is no text; give it a method Scan")
}

func TestScalarErrors(t *testing.T) {
	t.Parallel()
	for name, fails := range map[string]func() error{
		"null":          func() error { _, err := scalar[string](t, nil); return err },
		"overflow":      func() error { _, err := scalar[int8](t, int64(128)); return err },
		"negative":      func() error { _, err := scalar[uint](t, int64(-1)); return err },
		"fraction":      func() error { _, err := scalar[int](t, 1.5); return err },
		"not a number":  func() error { _, err := scalar[int](t, "hunter2"); return err },
		"not a time":    func() error { _, err := scalar[time.Time](t, "hunter2"); return err },
		"not a bool":    func() error { _, err := scalar[bool](t, int64(2)); return err },
		"not json":      func() error { _, err := scalar[[]int](t, "{"); return err },
		"two columns":   func() error { _, err := row[int](t, []string{"a", "b"}, int64(1), int64(2)); return err },
		"too few bytes": func() error { _, err := scalar[[4]byte](t, []byte("abc")); return err },
		"no such field": func() error { _, err := scalar[chan int](t, int64(1)); return err },
	} {
		err := fails()
		require.Error(t, err, name)
		require.NotContains(t, err.Error(), "hunter2", name)
	}
}

type author struct {
	ID   int64  `db:"id"`
	Name string `db:"name"`
}

type stamps struct {
	Created time.Time `db:"created_at"`
}

type settings struct {
	Theme string `json:"theme"`
}

type note struct {
	ID      int64  `db:"id"`
	Title   string `db:"title"`
	OwnerID *int64
	stamps
	Author   *author  `db:"author"`
	Settings settings `db:"settings"`
	Tags     []string `db:"tags"`
	Extra    string   `db:"-"`
}

type (
	hidden struct{ ID int64 }
	shown  struct{ author }
	inside struct{ *hidden }
	outer  struct {
		author
		Name []byte `db:"name"`
	}
	another struct {
		ID int64 `db:"id"`
	}
	doubtful struct {
		author
		another
	}
)

func TestEmbedding(t *testing.T) {
	t.Parallel()
	got, err := row[outer](t, []string{"id", "name"}, int64(1), "Ann")
	require.NoError(t, err)
	require.Equal(t, outer{author{ID: 1}, []byte("Ann")}, got, "the outer field hides the inner one")
	_, err = row[shown](t, []string{"id", "name"}, int64(1), "Ann")
	require.NoError(t, err)
	_, err = row[inside](t, []string{"id"}, int64(1))
	require.ErrorContains(t, err, "embed it without the pointer")
	_, err = row[doubtful](t, []string{"id", "name"}, int64(1), "Ann")
	require.ErrorContains(t, err, "the column id belongs to both author.ID and another.ID")
}

func TestStruct(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	columns := []string{"id", "TITLE", "owner_id", "created_at", "settings", "tags", "author.id", "author.name", "other"}
	values := []driver.Value{int64(1), "t", int64(9), at, []byte(`{"theme":"dark"}`), `["a"]`, int64(2), "Ann", "ignored"}

	got, err := row[note](t, columns, values...)
	require.NoError(t, err)
	want := note{ID: 1, Title: "t", OwnerID: new(int64(9)), stamps: stamps{at}, Author: &author{2, "Ann"}, Settings: settings{"dark"}, Tags: []string{"a"}}
	require.Equal(t, want, got)

	pointer, err := row[*note](t, columns, values...)
	require.NoError(t, err)
	require.Equal(t, &want, pointer)

	values[6], values[7] = nil, nil
	got, err = row[note](t, columns, values...)
	require.NoError(t, err)
	require.Nil(t, got.Author, "a joined struct that is all NULL")

	values[6] = int64(2)
	_, err = row[note](t, columns, values...)
	require.ErrorContains(t, err, `column "author.name" into note.Author.Name`)

	got, err = row[note](t, columns[:6], values[:6]...)
	require.NoError(t, err, "a joined struct that was not selected")
	require.Nil(t, got.Author)
}

func TestMissingColumns(t *testing.T) {
	t.Parallel()
	_, err := row[note](t, []string{"id", "author.id", "settings"}, int64(1), int64(2), "{}")
	require.ErrorContains(t, err, "no column for Title (title), Tags (tags), stamps.Created (created_at), Author.Name (author.name) of scan.note")
}

type comment struct {
	ID     int64    `db:"id"`
	Parent *comment `db:"parent"`
}

func TestRecursiveType(t *testing.T) {
	t.Parallel()
	got, err := row[comment](t, []string{"id"}, int64(1))
	require.NoError(t, err)
	require.Equal(t, comment{ID: 1}, got)
}

func TestRowKeepsNoMemory(t *testing.T) {
	t.Parallel()
	buffer := []byte("abc")
	var into struct {
		Text  string          `db:"text"`
		Bytes []byte          `db:"bytes"`
		Any   any             `db:"any"`
		Null  sql.Null[any]   `db:"null"`
		Raw   json.RawMessage `db:"raw"`
	}
	plan, err := NewPlan(reflect.TypeOf(into), []string{"text", "bytes", "any", "null", "raw"})
	require.NoError(t, err)
	require.NoError(t, plan.Row(reflect.ValueOf(&into).Elem(), valuesOf([]driver.Value{buffer, buffer, buffer, buffer, buffer})))
	copy(buffer, "xyz")
	require.Equal(t, "abc", into.Text)
	require.Equal(t, []byte("abc"), into.Bytes)
	require.Equal(t, []byte("abc"), into.Any)
	require.Equal(t, []byte("abc"), into.Null.V)
	require.Equal(t, json.RawMessage("abc"), into.Raw)
}

func TestPlanIsReusable(t *testing.T) { // not parallel: it counts allocations
	plan, err := NewPlan(reflect.TypeFor[author](), []string{"id", "name"})
	require.NoError(t, err)
	require.True(t, plan.Fits(reflect.TypeFor[author](), []string{"id", "name"}))
	require.False(t, plan.Fits(reflect.TypeFor[author](), []string{"name", "id"}))
	require.False(t, plan.Fits(reflect.TypeFor[note](), []string{"id", "name"}))

	var into author
	dst, row := reflect.ValueOf(&into).Elem(), valuesOf([]driver.Value{int64(1), "x"})
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if err := plan.Row(dst, row); err != nil {
			t.Fatal(err)
		}
	}))
	require.EqualValues(t, 1, into.ID)
	require.Equal(t, "x", into.Name)
}
