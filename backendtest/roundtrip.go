package backendtest

import (
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"strings"
	"time"

	"github.com/seed-215b9b7c/backend"

	"github.com/seed-215b9b7c/backend/internal/english"
)

// columnTypes are the types of columns that the package documentation names under "Rows
// and Go types".
var columnTypes = map[backend.Engine]map[string]string{
	backend.Postgres: {"int": "BIGINT", "float": "DOUBLE PRECISION", "bool": "BOOLEAN", "text": "TEXT", "day": "CHAR(10)", "decimal": "NUMERIC", "time": "TIMESTAMPTZ", "bytes": "BYTEA", "json": "JSONB"},
	backend.SQLite:   {"int": "BIGINT", "float": "DOUBLE", "bool": "BOOLEAN", "text": "TEXT", "day": "CHAR(10)", "decimal": "TEXT", "time": "TIMESTAMP", "bytes": "BLOB", "json": "JSON"},
	backend.MySQL:    {"int": "BIGINT", "float": "DOUBLE", "bool": "BOOLEAN", "text": "TEXT", "day": "CHAR(10)", "decimal": "DECIMAL(40,2)", "time": "DATETIME(6)", "bytes": "BLOB", "json": "JSON"},
}

type (
	ints     int32
	ratio    float32
	flag     bool
	label    string
	hash     [4]byte
	blob     []byte
	address  struct{ Street, City string }
	numbers  []float64
	settings map[string]any
	// number and sqlJSON write themselves as JSON.
	number  struct{ text string }
	sqlJSON []byte
	// amount is a decimal as packages for them are: it converts itself.
	amount struct{ text string }
)

func (a amount) Value() (driver.Value, error) { return a.text, nil }
func (a *amount) Scan(src any) error {
	switch v := src.(type) {
	case string:
		a.text = v
	case []byte:
		a.text = string(v)
	default:
		return fmt.Errorf("%s is no amount", english.AType(src))
	}
	return nil
}

func (n number) MarshalJSON() ([]byte, error)      { return []byte(n.text), nil }
func (n *number) UnmarshalJSON(text []byte) error  { n.text = string(text); return nil }
func (j sqlJSON) MarshalJSON() ([]byte, error)     { return j, nil }
func (j sqlJSON) Value() (driver.Value, error)     { return []byte(j), nil }
func (j *sqlJSON) UnmarshalJSON(text []byte) error { *j = append((*j)[:0], text...); return nil }

// roundTrips stores values of all documented types, in all forms that a program may have
// them in, and reads them back in all forms.
func (s *suite) roundTrips() {
	at := time.Date(2026, 1, 2, 3, 4, 5, 678_901_000, time.UTC)
	roundTrip[int64](s, "int", 0, 1, -1, math.MaxInt64, math.MinInt64, 1<<53+1)
	roundTrip[int](s, "int", 0, math.MaxInt64)
	roundTrip[uint64](s, "int", 0, math.MaxInt64)
	roundTrip[ints](s, "int", 0, math.MinInt32)
	roundTrip[time.Duration](s, "int", 0, 90*time.Second)
	roundTrip[backend.ID](s, "int", 0, 1<<62+1)
	roundTrip[float64](s, "float", 0, 1, -1.5, 0.1, 1e22, math.MaxFloat64, math.SmallestNonzeroFloat64, 123456789.123456789)
	roundTrip[ratio](s, "float", 0, 0.1, math.MaxFloat32)
	roundTrip(s, "bool", true, false)
	roundTrip[flag](s, "bool", true, false)
	texts := []string{"", "a", "12", "1e5", "012", " 1 ", "null", "true", `{"a":1}`, "2026-01-02", "2026-01-02 03:04:05+00:00", "10:30:00", "ä☃𝄞", `'"\`, "\\x6162"}
	roundTrip(s, "text", texts...)
	roundTrip[label](s, "text", "", "a", "12345678901234567890")
	roundTrip(s, "day", "2026-01-02")
	roundTrip(s, "time", at, at.Truncate(time.Second), at.Truncate(100*time.Millisecond), time.Date(1000, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 999_999_000, time.UTC))
	roundTrip(s, "time", stamp(at), stamp(at.Truncate(time.Second)))
	roundTrip(s, "time", envelope{at})
	roundTrip(s, "bytes", []byte{}, []byte{0}, []byte("abc"), []byte(`\x61\\'"`), []byte("12345678"), []byte{0xff, 0xfe, 0}, []byte(`{"a":1}`))
	roundTrip(s, "bytes", blob{}, blob("a\\"))
	roundTrip(s, "bytes", hash{0, 1, 255, '\\'})

	roundTrip(s, "json", address{}, address{"<Main>", "ä"})
	roundTrip(s, "json", []string{}, []string{"", "1", `"`})
	roundTrip(s, "json", numbers{0.1, 1, 1e300})
	roundTrip(s, "json", settings{}, settings{"a": []any{1.0, "b", nil, true}, "": map[string]any{}})
	roundTrip(s, "json", [2]int{1, 2})
	for _, document := range []string{"{}", "[]", `"a"`, `""`, `"12"`, "true", "0", "5", "-1", "12.5", "0.1", "9223372036854775807", "-9223372036854775808", "1e22", "1.7976931348623157e308"} {
		sameJSON(s, document, document)
	}
	sameJSON(s, `{"n":12345678901234567890.123}`, `[1e5, 100, 1.0, 1e2]`)
	for _, text := range []string{"12345678901234567890", "-9223372036854775809", "1e400", "-1e400", "0.1000000000000000055511151231257827", "123456789012345678.5", " 12345678901234567890\n", "1e-400", "3.00000000000000000000000001"} {
		for _, form := range []any{json.RawMessage(text), new(json.RawMessage(text)), backend.Some(json.RawMessage(text)), sql.Null[json.RawMessage]{V: json.RawMessage(text), Valid: true}, number{text}, &number{text}, backend.Some(number{text}), sqlJSON(text), struct{ json.RawMessage }{json.RawMessage(text)}} {
			_, err := s.db.Exec(s.Context(), "INSERT INTO t_json (id, v) VALUES (?, ?)", 100_000, form)
			s.fails(backend.Invalid, err)
		}
	}
	roundTrip(s, "decimal", "12345678901234567890.12", "-99999999999999999999999999999999999999.99", "0.10", "12.50")
	roundTrip[label](s, "decimal", "12345678901234567890.12")
	roundTrip(s, "decimal", amount{"12345678901234567890.12"}, amount{"0.10"})
	roundTrip[json.Number](s, "decimal", "12.50", "0.10", "-2251799813685247.50")
	roundTrip[json.Number](s, "json", "12", "-1.5", "9223372036854775807", "0.1")
	s.largeNumbers()
	s.clocks()
}

// largeNumbers stores json.Numbers with more digits than SQLite has for numbers, which
// would store other numbers, whatever the column's type is.
func (s *suite) largeNumbers() {
	for _, kind := range []string{"decimal", "json"} {
		table := s.table(kind)
		for i, want := range []json.Number{"12345678901234567890.12", "-12345678901234567890.00", "123456789012345678.25"} {
			for j, form := range []any{want, &want, backend.Some(want), backend.Some(&want), sql.Null[json.Number]{V: want, Valid: true}} {
				id := 10*i + j
				_, err := s.db.Exec(s.Context(), "?", backend.UnsafeSQL("INSERT INTO "+table+" (id, v) VALUES (?, ?)", id, form))
				if s.db.Engine() == backend.SQLite {
					s.fails(backend.Invalid, err)
					_, err = s.db.Exec(s.Context(), "?", backend.UnsafeSQL("DELETE FROM "+table+" WHERE v IN (?)", []any{form}))
					s.fails(backend.Invalid, err)
					continue
				}
				s.succeeds(wrap(err, form))
				got, err := backend.One[json.Number](s.Context(), s.db, "?", s.selects(table, id)[0])
				s.succeeds(wrap(err, form))
				s.equal(canonical(s, string(want)), canonical(s, string(got)))
			}
		}
	}
}

// table makes an empty table with a column v of a documented type, and returns its name.
// Each type has its own, so that statements are not prepared for another.
func (s *suite) table(kind string) string {
	s.Helper()
	name := "t_" + kind
	for _, statement := range []string{"DROP TABLE IF EXISTS " + name, "CREATE TABLE " + name + " (id INTEGER PRIMARY KEY, v " + columnTypes[s.db.Engine()][kind] + ")"} {
		_, err := s.db.Exec(s.Context(), "?", backend.UnsafeSQL(statement))
		s.succeeds(err)
	}
	return name
}

// selects are queries for a value with and without arguments. MySQL sends the rows of the
// two in different forms.
func (s *suite) selects(table string, id int) []backend.Fragment {
	return []backend.Fragment{
		backend.UnsafeSQL("SELECT v FROM "+table+" WHERE id = ?", id),
		backend.UnsafeSQL(fmt.Sprintf("SELECT v FROM %s WHERE id = %d", table, id)),
	}
}

// forms has a value in the forms that can hold NULL, too.
type forms[T any] struct {
	Pointer *T             `db:"a"`
	Opt     backend.Opt[T] `db:"b"`
	Null    sql.Null[T]    `db:"c"`
	Twice   **T            `db:"d"`
}

type (
	plain[T any] struct {
		V T `db:"v"`
	}
	embedding[T any] struct{ plain[T] }
)

func roundTrip[T any](s *suite, kind string, values ...T) {
	s.Helper()
	table := s.table(kind)
	insert := func(id int, form any) backend.Fragment {
		return backend.UnsafeSQL("INSERT INTO "+table+" (id, v) VALUES (?, ?)", id, form)
	}
	id := 0
	for _, want := range values {
		pointer := &want
		for _, form := range []any{want, pointer, &pointer, backend.Some(want), backend.Some(pointer), sql.Null[T]{V: want, Valid: true}, sql.Null[*T]{V: pointer, Valid: true}} {
			id++
			_, err := s.db.Exec(s.Context(), "?", insert(id, form))
			s.succeeds(wrap(err, form))
			for _, query := range s.selects(table, id) {
				got, err := backend.One[embedding[T]](s.Context(), s.db, "?", query)
				s.succeeds(wrap(err, form))
				s.equal(want, got.V)
				all, err := backend.One[forms[T]](s.Context(), s.db, "SELECT v AS a, v AS b, v AS c, v AS d FROM (?) x", query)
				s.succeeds(wrap(err, form))
				s.equal(forms[T]{&want, backend.Some(want), sql.Null[T]{V: want, Valid: true}, &pointer}, all)
				if kind == "json" {
					continue
				}
				n, err := backend.One[int](s.Context(), s.db, "?", backend.UnsafeSQL("SELECT count(*) FROM "+table+" WHERE id = ? AND v = ? AND v IN (?)", id, got.V, []T{got.V}))
				s.succeeds(wrap(err, form))
				if n != 1 && reflect.TypeFor[T]() != reflect.TypeFor[ratio]() {
					s.Fatalf("%#v is not equal to itself in a column of the type %s", form, columnTypes[s.db.Engine()][kind])
				}
			}
		}
	}
	for _, form := range []any{(*T)(nil), backend.Opt[T]{}, backend.Opt[T]{Present: true, Null: true}, sql.Null[T]{}, new(*T)} {
		id++
		_, err := s.db.Exec(s.Context(), "?", insert(id, form))
		s.succeeds(wrap(err, form))
		got, err := backend.One[forms[T]](s.Context(), s.db, "SELECT v AS a, v AS b, v AS c, v AS d FROM (?) x", s.selects(table, id)[0])
		s.succeeds(wrap(err, form))
		s.equal(forms[T]{Opt: backend.Opt[T]{Present: true, Null: true}}, got)
	}
}

func wrap(err error, form any) error {
	if err != nil {
		return fmt.Errorf("%T %+v: %w", form, form, err)
	}
	return nil
}

// sameJSON stores documents in the types that hold any JSON. An engine may write a
// document in another way, which means the same.
func sameJSON(s *suite, documents ...string) {
	s.Helper()
	table := s.table("json")
	insert := func(id int, form any) backend.Fragment {
		return backend.UnsafeSQL("INSERT INTO "+table+" (id, v) VALUES (?, ?)", id, form)
	}
	id := 0
	for _, document := range documents {
		raw := json.RawMessage(document)
		for _, form := range []any{raw, &raw, backend.Some(raw), sql.Null[json.RawMessage]{V: raw, Valid: true}, struct{ json.RawMessage }{raw}, number{document}, &number{document}, backend.Some(number{document}), sqlJSON(document), backend.Some(sqlJSON(document))} {
			id++
			_, err := s.db.Exec(s.Context(), "?", insert(id, form))
			s.succeeds(wrap(err, form))
			for _, query := range s.selects(table, id) {
				got, err := backend.One[forms[json.RawMessage]](s.Context(), s.db, "SELECT v AS a, v AS b, v AS c, v AS d FROM (?) x", query)
				s.succeeds(wrap(err, form))
				for _, got := range []json.RawMessage{*got.Pointer, got.Opt.V, got.Null.V, **got.Twice} {
					if canonical(s, string(got)) != canonical(s, document) {
						s.Fatalf("stored %s as %s, and read %s", document, english.AType(form), got)
					}
				}
				own, err := backend.One[plain[number]](s.Context(), s.db, "?", query)
				s.succeeds(wrap(err, form))
				s.equal(canonical(s, document), canonical(s, own.V.text))
			}
		}
	}
}

// canonical returns a document in one form, with the exact values of its numbers.
func canonical(s *suite, document string) string {
	s.Helper()
	decoder := json.NewDecoder(strings.NewReader(document))
	decoder.UseNumber()
	var value any
	s.succeeds(decoder.Decode(&value))
	var walk func(any) any
	walk = func(value any) any {
		switch v := value.(type) {
		case json.Number:
			exact, ok := new(big.Rat).SetString(string(v))
			if !ok {
				s.Fatalf("%s is no number", v)
			}
			return exact.RatString()
		case []any:
			for i := range v {
				v[i] = walk(v[i])
			}
		case map[string]any:
			for key := range v {
				v[key] = walk(v[key])
			}
		}
		return value
	}
	text, err := json.Marshal(walk(value))
	s.succeeds(err)
	return string(text)
}

// clocks reads times without a day, which are text on every engine.
func (s *suite) clocks() {
	s.exec("CREATE TABLE t (id INTEGER PRIMARY KEY, v TIME)")
	id := 0
	for _, want := range []string{"10:30:00", "00:00:00", "23:59:59"} {
		for _, form := range []any{want, &want, backend.Some(want), label(want)} {
			id++
			_, err := s.db.Exec(s.Context(), "INSERT INTO t (id, v) VALUES (?, ?)", id, form)
			s.succeeds(err)
			for _, query := range s.selects("t", id) {
				got, err := backend.One[forms[string]](s.Context(), s.db, "SELECT v AS a, v AS b, v AS c, v AS d FROM (?) x", query)
				s.succeeds(err)
				pointer := &want
				s.equal(forms[string]{pointer, backend.Some(want), sql.Null[string]{V: want, Valid: true}, &pointer}, got)
				old, err := backend.One[sql.NullString](s.Context(), s.db, "?", query)
				s.succeeds(err)
				s.equal(sql.NullString{String: want, Valid: true}, old)
				_, err = backend.One[time.Time](s.Context(), s.db, "?", query)
				s.fails(backend.Internal, err) // it has no day
			}
			n, err := backend.One[int](s.Context(), s.db, "SELECT count(*) FROM t WHERE id = ? AND v = ?", id, want)
			s.succeeds(err)
			s.equal(1, n)
		}
	}
}
