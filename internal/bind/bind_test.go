package bind

import (
	"bytes"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend/internal/sqltext"
)

type (
	name   string
	point  struct{ X, Y int }
	secret struct{}
)

func (secret) Value() (driver.Value, error) { return int32(7), nil }

type pointerValuer struct{}

func (*pointerValuer) Value() (driver.Value, error) { return int64(8), nil }

func TestValue(t *testing.T) {
	t.Parallel()
	vienna := time.FixedZone("", 3600)
	number := 5
	for _, test := range []struct {
		name string
		arg  any
		want driver.Value
	}{
		{"nil", nil, nil},
		{"string", "ä?", "ä?"},
		{"named string", name("x"), "x"},
		{"int32", int32(-3), int64(-3)},
		{"uint64", uint64(9), int64(9)},
		{"float32", float32(0.5), 0.5},
		{"bool", true, true},
		{"duration", time.Second, int64(1e9)},
		{"pointer", &number, int64(5)},
		{"nil pointer", (*int)(nil), nil},
		{"nil bytes", []byte(nil), nil},
		{"empty bytes", []byte{}, []byte{}},
		{"time", time.Date(2026, 1, 2, 3, 4, 5, 6789, vienna), time.Date(2026, 1, 2, 2, 4, 5, 6000, time.UTC)},
		{"valuer", secret{}, int64(7)},
		{"nil valuer", (*secret)(nil), nil},
		{"sql null", sql.NullString{}, nil},
		{"sql value", sql.Null[string]{V: "a", Valid: true}, "a"},
		{"text marshaler", netip.MustParseAddr("::1"), "::1"},
		{"struct", point{1, 2}, `{"X":1,"Y":2}`},
		{"slice", []string{"<a>"}, `["<a>"]`},
		{"nil map", map[string]int(nil), nil},
		{"bytes in an array", [3]byte{1, 2, 3}, []byte{1, 2, 3}},
		{"text marshaler of the pointer", *big.NewInt(12), "12"},
		{"valuer of the pointer", pointerValuer{}, int64(8)},
		{"sql value of a text marshaler", sql.Null[netip.Addr]{V: netip.MustParseAddr("::1"), Valid: true}, "::1"},
		{"sql null of a text marshaler", sql.Null[netip.Addr]{}, nil},
		{"sql value of a valuer", sql.Null[secret]{Valid: true}, int64(7)},
		{"first year", time.Time{}, time.Time{}},
		{"raw json", json.RawMessage(`{"a":1}`), `{"a":1}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := Value(test.arg)
			require.NoError(t, err)
			require.Equal(t, test.want, got)
		})
	}
}

type (
	stampNamed    time.Time
	stampEmbedded struct{ time.Time }
	StampMore     struct {
		time.Time
		Note string
	}
	day     struct{ time.Time }
	guarded struct {
		sync.Mutex
		N int
	}
	chain struct {
		N    int
		Next *chain
	}
	pointerJSON struct{ n int }
	flag        string
)

func (d day) MarshalText() ([]byte, error)          { return []byte(d.Format(time.DateOnly)), nil }
func (p *pointerJSON) MarshalJSON() ([]byte, error) { return []byte(`"json"`), nil }
func (f flag) Error() string                        { return string(f) }

// One conversion for a type in all its forms.
func TestValueOfTimes(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 6789, time.FixedZone("", 3600))
	want := time.Date(2026, 1, 2, 2, 4, 5, 6000, time.UTC)
	pointer := &at
	named, embedded := stampNamed(at), stampEmbedded{at}
	for _, arg := range []any{
		at, pointer, &pointer, named, &named, embedded, &embedded, sql.NullTime{Time: at, Valid: true}, sql.Null[time.Time]{V: at, Valid: true}, sql.Null[*time.Time]{V: pointer, Valid: true},
		sql.Null[stampNamed]{V: named, Valid: true}, sql.Null[stampEmbedded]{V: embedded, Valid: true},
	} {
		got, err := Value(arg)
		require.NoError(t, err, "%T", arg)
		require.Equal(t, want, got, "%T", arg)
	}
	for _, arg := range []any{(*time.Time)(nil), (*stampNamed)(nil), (*stampEmbedded)(nil), sql.Null[stampNamed]{}, new(*time.Time)} {
		got, err := Value(arg)
		require.NoError(t, err, "%T", arg)
		require.Nil(t, got, "%T", arg)
	}
	got, err := Value(day{at})
	require.NoError(t, err)
	require.Equal(t, "2026-01-02", got, "a type with a form of its own")
	_, err = Value(StampMore{at, "note"})
	require.ErrorContains(t, err, "its other fields would be lost")
	require.NotErrorIs(t, err, ErrRange)

	for _, at := range []time.Time{
		time.Date(9999, 12, 31, 23, 30, 0, 0, time.FixedZone("", -3600)), time.Date(9999, 12, 31, 23, 59, 59, 999_999_900, time.UTC), time.Date(0, 5, 1, 0, 0, 0, 0, time.UTC), time.Date(1, 1, 1, 0, 0, 0, 0, time.FixedZone("", 3600)),
	} {
		for _, arg := range []any{at, &at, stampNamed(at), stampEmbedded{at}, &stampEmbedded{at}, sql.Null[time.Time]{V: at, Valid: true}} {
			_, err := Value(arg)
			require.ErrorIs(t, err, ErrRange, "%T %v", arg, arg)
		}
	}
	got, err = Value(time.Date(9999, 12, 31, 23, 59, 59, 999_999_000, time.UTC))
	require.NoError(t, err)
	require.Equal(t, last, got)
}

// What encoding/json would write as {} is no data.
func TestValueThatIsNoData(t *testing.T) {
	t.Parallel()
	failed := errors.New("failed")
	for _, arg := range []any{
		failed, &failed, fmt.Errorf("%w", failed), &url.Error{}, &bytes.Buffer{}, *bytes.NewBufferString("a"), strings.NewReader(""), time.UTC, sql.Named("a", 1), sql.Out{}, struct{ n int }{1},
		[]error{failed}, map[string]any{"a": []any{failed}}, []any{&bytes.Buffer{}}, struct{ Err error }{failed}, struct{ At stampNamed }{}, []struct{ B *bytes.Buffer }{{&bytes.Buffer{}}}, sql.Null[error]{V: failed, Valid: true}, &sync.Mutex{}, &url.URL{User: url.User("a")},
	} {
		_, err := Value(arg)
		require.ErrorContains(t, err, "cannot be", "%T", arg)
		require.NotErrorIs(t, err, ErrRange)
	}
	var loop []any
	loop = append(loop, nil)
	loop[0] = loop
	_, err := Value(loop)
	require.Error(t, err)
	for _, test := range []struct {
		arg  any
		want driver.Value
	}{
		{(*bytes.Buffer)(nil), nil},
		{struct{}{}, "{}"},
		{struct{ Err error }{}, `{"Err":null}`},
		{[]error{}, "[]"},
		{struct{ B *bytes.Buffer }{}, `{"B":null}`},
		{&guarded{N: 1}, `{"N":1}`},
		{chain{1, &chain{2, nil}}, `{"N":1,"Next":{"N":2,"Next":null}}`},
		{pointerJSON{1}, `"json"`},
		{[]any{time.Time{}, "a"}, `["0001-01-01T00:00:00Z","a"]`},
		{flag("f"), "f"},
		{syscall.ENOENT, int64(syscall.ENOENT)},
		{struct{ At time.Time }{}, `{"At":"0001-01-01T00:00:00Z"}`},
	} {
		got, err := Value(test.arg)
		require.NoError(t, err, "%T", test.arg)
		require.Equal(t, test.want, got, "%T", test.arg)
	}
}

func TestValueErrors(t *testing.T) {
	t.Parallel()
	for _, arg := range []any{"a\x00b", "\xff", name("\xff"), json.RawMessage("\x00")} {
		_, err := Value(arg)
		require.ErrorIs(t, err, ErrText)
	}
	for _, arg := range []any{uint64(math.MaxUint64), math.NaN(), float32(math.NaN()), time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(0, 12, 31, 0, 0, 0, 0, time.UTC)} {
		_, err := Value(arg)
		require.ErrorIs(t, err, ErrRange)
	}
	for _, arg := range []any{make(chan int), func() {}} {
		_, err := Value(arg)
		require.Error(t, err)
		require.NotErrorIs(t, err, ErrText)
	}
}

type bytesJSON []byte

func (b bytesJSON) Value() (driver.Value, error) { return []byte(b), nil }
func (b bytesJSON) MarshalJSON() ([]byte, error) { return b, nil }

// SQLite and MySQL store a document that is a number as an integer or a float64.
func TestJSONNumbers(t *testing.T) {
	t.Parallel()
	for _, document := range []string{"0", "-0", "12", "-9223372036854775808", "0.1", "1.50", "100e-1", "1E5", "1e22", "0e999", "0.000", "1.7976931348623157e308", "5e-324", `"12345678901234567890"`, "[12345678901234567890]", "1x", "-"} {
		got, err := Value(json.RawMessage(document))
		require.NoError(t, err, document)
		require.Equal(t, document, got)
		got, err = Value(bytesJSON(document))
		require.NoError(t, err)
		require.Equal(t, document, got)
	}
	for _, document := range []string{"12345678901234567890", "9223372036854775809", "0.1000000000000000055511151231257827", "1e400", "-1e400", "1e-400", "\t1e400 ", "1e99999999999999999999", "123456789.123456789123"} {
		for _, form := range []any{json.RawMessage(document), bytesJSON(document), []any{json.RawMessage(document)}[0]} {
			_, err := Value(form)
			require.ErrorIs(t, err, ErrRange, document)
		}
	}
}

func TestArgs(t *testing.T) {
	t.Parallel()
	parse := func(dialect sqltext.Dialect, source string) *sqltext.Query {
		q, err := sqltext.Parse(dialect, source)
		require.NoError(t, err)
		return q
	}
	values := func(named []driver.NamedValue) (values []any) {
		for i, value := range named {
			require.Equal(t, i+1, value.Ordinal)
			values = append(values, value.Value)
		}
		return values
	}

	text, args, err := Args(parse(sqltext.SQLite, "a IN (?) AND b = ?"), []any{[]string{"x", "y", "z"}, 1}, nil)
	require.NoError(t, err)
	require.Equal(t, "a IN (?, ?, ?, ?) AND b = ?", text)
	require.Equal(t, []any{"x", "y", "z", "z", int64(1)}, values(args))

	text, args, err = Args(parse(sqltext.Postgres, "SELECT ? WHERE a IN (?)"), []any{[]int{1, 2}, []any{`a"\b`, nil, 1, []byte{1}}}, nil)
	require.NoError(t, err)
	require.Equal(t, "SELECT $1 WHERE a = ANY($2)", text)
	require.Equal(t, []any{"[1,2]", `{"a\"\\b",NULL,1,"\\x01"}`}, values(args))

	_, args, err = Args(parse(sqltext.Postgres, "a IN (?) OR b IN (?) OR c IN (?)"), []any{[]string{`a"\b`, "", "NULL"}, []int64{-1, math.MaxInt64}, []any{}}, nil)
	require.NoError(t, err)
	require.Equal(t, []any{`{"a\"\\b","","NULL"}`, "{-1,9223372036854775807}", "{}"}, values(args))
	_, args, err = Args(parse(sqltext.Postgres, "a IN (?)"), []any{[]any{true, 0.5, time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)}}, nil)
	require.NoError(t, err)
	require.Equal(t, []any{`{true,0.5,"2026-01-02 03:04:05.000006Z"}`}, values(args))
	_, _, err = Args(parse(sqltext.Postgres, "a IN (?)"), []any{[]string{"ok", "\xff"}}, nil)
	require.ErrorIs(t, err, ErrText)
	require.ErrorContains(t, err, "argument 1: item 1: ")

	text, args, err = Args(parse(sqltext.SQLite, "a IN (?)"), []any{[]byte("one value")}, nil)
	require.NoError(t, err)
	require.Equal(t, "a IN (?)", text)
	require.Equal(t, []any{[]byte("one value")}, values(args))

	two := []int{1, 2}
	for _, list := range []any{two, &two, [2]int{1, 2}, sql.Null[[]int]{V: two, Valid: true}} {
		text, args, err = Args(parse(sqltext.SQLite, "a IN (?)"), []any{list}, nil)
		require.NoError(t, err)
		require.Equal(t, "a IN (?, ?)", text)
		require.Equal(t, []any{int64(1), int64(2)}, values(args))
		for _, query := range []string{"a = ?", "a <> ?", "a IN (3, ?)", "a = ANY(?)", "WHERE ?"} {
			_, _, err = Args(parse(sqltext.Postgres, query), []any{list}, nil)
			require.ErrorContains(t, err, "alone in the parentheses", "%s %T", query, list)
		}
	}
	_, _, err = Args(parse(sqltext.SQLite, "a = ?"), []any{[]string{"\xff"}}, nil)
	require.ErrorContains(t, err, "alone in the parentheses")
	require.NotErrorIs(t, err, ErrText, "not the client's mistake")
	for _, query := range []string{"a = ?", "a IN (?)"} {
		_, _, err = Args(parse(sqltext.MySQL, query), []any{map[int]bool{1: true}}, nil)
		require.ErrorContains(t, err, "cannot be compared")
		_, args, err = Args(parse(sqltext.MySQL, query), []any{(*[]int)(nil)}, nil)
		require.NoError(t, err)
		require.Equal(t, []any{nil}, values(args))
	}
	_, _, err = Args(parse(sqltext.MySQL, "(a, b) IN (?)"), []any{[][]int{{1, 2}}}, nil)
	require.ErrorContains(t, err, "argument 1: item 0: a []int is no single value")

	_, _, err = Args(parse(sqltext.SQLite, "a = ?"), []any{1, 2}, nil)
	require.ErrorContains(t, err, "1 parameter (?) and was given 2 arguments")

	_, _, err = Args(parse(sqltext.SQLite, "a = ? OR b IN (?)"), []any{1, []string{"ok", "\xff"}}, nil)
	require.ErrorIs(t, err, ErrText)
	require.ErrorContains(t, err, "argument 2: item 1")
}

// Every number of a list has one box.
func TestListOfNumbersAllocations(t *testing.T) { // not parallel: it counts allocations
	q, err := sqltext.Parse(sqltext.SQLite, "SELECT 1 WHERE 1 IN (?)")
	require.NoError(t, err)
	ids := make([]int, 16)
	for i := range ids {
		ids[i] = 1000 * i
	}
	args := []any{ids}
	require.LessOrEqual(t, testing.AllocsPerRun(100, func() {
		if _, values, err := Args(q, args, nil); err != nil || len(values) != 16 || values[1].Value != int64(1000) {
			t.Error(values, err)
		}
	}), float64(len(ids)+8), "one for each, and a few for all")
}
