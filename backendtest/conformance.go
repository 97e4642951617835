package backendtest

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-215b9b7c/backend"
)

// TestDB tests the behaviour that all engines share: which values are read as they
// were stored, what errors mean, what transactions guarantee. open returns an empty
// database for each subtest. except names subtests to leave out.
//
// Databases of [backend.Open] pass. A database of [backend.OpenDB] passes if its pool
// has the parameters that OpenDB asks for, except where the driver itself differs. For
// a pool of lib/pq leave out "deadlines": lib/pq asks the server to cancel a statement
// only once, and waits forever if the server gets that too early. Leave out "other numbers",
// too: PostgreSQL refuses a number that does not fit an integer that it is compared with.
func TestDB(t *testing.T, open func(t testing.TB) *backend.DB, except ...string) {
	for _, test := range []struct {
		name string
		run  func(s *suite)
	}{
		{"values", (*suite).values},
		{"times", (*suite).times},
		{"what is no data", (*suite).noData},
		{"null", (*suite).null},
		{"text", (*suite).text},
		{"lists", (*suite).lists},
		{"other numbers", (*suite).otherNumbers},
		{"slices that are no list", (*suite).noLists},
		{"fragments", (*suite).fragments},
		{"what is no fragment", (*suite).noFragments},
		{"json", (*suite).json},
		{"round trips", (*suite).roundTrips},
		{"rows", (*suite).rows},
		{"joined rows", (*suite).joined},
		{"affected rows", (*suite).affected},
		{"discarded rows", (*suite).discarded},
		{"schema changes", (*suite).schema},
		{"error codes", (*suite).codes},
		{"bad input", (*suite).badInput},
		{"commit and rollback", (*suite).transaction},
		{"panic", (*suite).panics},
		{"nested", (*suite).nested},
		{"error undoes", (*suite).undone},
		{"after commit", (*suite).afterCommit},
		{"context after the end", (*suite).afterEnd},
		{"read-only", (*suite).readOnly},
		{"nothing is lost", (*suite).increments},
		{"deadlines", (*suite).deadlines},
		{"concurrent use", (*suite).concurrent},
	} {
		if slices.Contains(except, test.name) {
			continue
		}
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(&suite{t, open(t)})
		})
	}
}

type suite struct {
	*testing.T
	db *backend.DB
}

// exec runs statements that must succeed. MySQL's names for types are replaced
// in statements for other engines.
func (s *suite) exec(statements ...string) {
	s.Helper()
	for _, statement := range statements {
		if s.db.Engine() != backend.MySQL {
			statement = strings.ReplaceAll(statement, "DATETIME(6)", "TIMESTAMP")
		}
		if s.db.Engine() == backend.Postgres {
			statement = strings.NewReplacer("BLOB", "BYTEA", "DOUBLE", "DOUBLE PRECISION", " JSON", " JSONB").Replace(statement)
		}
		if _, err := s.db.Exec(s.Context(), "?", backend.UnsafeSQL(statement)); err != nil {
			s.Fatal(err)
		}
	}
}

func (s *suite) equal(want, got any) {
	s.Helper()
	if !reflect.DeepEqual(want, got) {
		s.Fatalf("want %#v\n got %#v", want, got)
	}
}

func (s *suite) succeeds(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *suite) fails(code backend.Code, err error) {
	s.Helper()
	if err == nil {
		s.Fatalf("want an error with code %s, got none", code)
	}
	if got := backend.CodeOf(err); got != code {
		s.Fatalf("want an error with code %s, got %s: %v", code, got, err)
	}
}

// ids returns what is in the table t, which many tests use.
func (s *suite) ids(ctx context.Context) []int {
	s.Helper()
	ids, err := backend.All[int](ctx, s.db, "SELECT id FROM t ORDER BY id")
	s.succeeds(err)
	return ids
}

func (s *suite) insert(ctx context.Context, id int) error {
	_, err := s.db.Exec(ctx, "INSERT INTO t (id) VALUES (?)", id)
	return err
}

type row struct {
	ID    int64     `db:"id"`
	Name  string    `db:"name"`
	Ratio float64   `db:"ratio"`
	Live  bool      `db:"live"`
	At    time.Time `db:"at"`
	Raw   []byte    `db:"raw"`
}

const rowTable = "CREATE TABLE t (id BIGINT PRIMARY KEY, name VARCHAR(200) NOT NULL, ratio DOUBLE NOT NULL, live BOOLEAN NOT NULL, at DATETIME(6) NOT NULL, raw BLOB NOT NULL)"

func (s *suite) values() {
	s.exec(rowTable)
	zone := time.FixedZone("", 2*3600)
	for _, want := range []row{
		{1, "a", 0.5, true, time.Date(2026, 3, 4, 5, 6, 7, 123456789, zone), []byte{0, 255, '?'}},
		{-1 << 63, "", -1e-300, false, time.Date(1999, 12, 31, 23, 59, 59, 0, time.UTC), []byte{}},
		{1<<63 - 1, "Ünïcödé ☃ 𝄞", 1e300, true, time.Date(2026, 10, 25, 1, 30, 0, 1000, time.UTC), bytes.Repeat([]byte{1, 2}, 40_000)[:60_000]},
	} {
		got, err := backend.One[row](s.Context(), s.db,
			"INSERT INTO t (id, name, ratio, live, at, raw) VALUES (?, ?, ?, ?, ?, ?) RETURNING *",
			want.ID, want.Name, want.Ratio, want.Live, want.At, want.Raw)
		s.succeeds(err)
		want.At = want.At.UTC().Truncate(time.Microsecond)
		s.equal(want, got)
		got, err = backend.One[row](s.Context(), s.db, "SELECT * FROM t WHERE at = ? AND live = ? AND id = ?", want.At, want.Live, want.ID)
		s.succeeds(err)
		s.equal(want, got)
		at, err := backend.One[time.Time](s.Context(), s.db, "SELECT MAX(at) FROM t WHERE id = ?", want.ID)
		s.succeeds(err)
		s.equal(want.At, at)
		maybe, err := backend.One[sql.Null[time.Time]](s.Context(), s.db, "SELECT MAX(at) FROM t WHERE id = ?", want.ID)
		s.succeeds(err)
		s.equal(sql.Null[time.Time]{V: want.At, Valid: true}, maybe)
		sum, err := backend.One[int64](s.Context(), s.db, "SELECT SUM(id) FROM t WHERE id = ?", want.ID)
		s.succeeds(err)
		s.equal(want.ID, sum)
	}
	now, err := backend.One[time.Time](s.Context(), s.db, "SELECT CURRENT_TIMESTAMP")
	s.succeeds(err)
	if age := time.Since(now).Abs(); age > time.Minute || now.Location() != time.UTC {
		s.Fatalf("CURRENT_TIMESTAMP is %v, not now in UTC", now)
	}
}

type (
	stamp    time.Time
	envelope struct{ time.Time }
)

// times stores a time in all forms that a program may have it in. Each is stored as the
// plain one is, and read back.
func (s *suite) times() {
	s.exec("CREATE TABLE t (id INTEGER PRIMARY KEY, at DATETIME(6))")
	at := time.Date(2026, 1, 2, 8, 0, 0, 123_456_789, time.FixedZone("", 3600))
	want := time.Date(2026, 1, 2, 7, 0, 0, 123_456_000, time.UTC)
	named, embedded := stamp(at), envelope{at}
	forms := []any{at, &at, named, &named, embedded, &embedded, backend.Some(at), backend.Some(&at), backend.Some(named), backend.Some(embedded), sql.NullTime{Time: at, Valid: true}, sql.Null[time.Time]{V: at, Valid: true}, sql.Null[stamp]{V: named, Valid: true}, sql.Null[envelope]{V: embedded, Valid: true}}
	for i, form := range forms {
		_, err := s.db.Exec(s.Context(), "INSERT INTO t VALUES (?, ?)", i, form)
		s.succeeds(err)
		for _, q := range []string{"at = ?", "at <= ?", "at >= ?", "at IN (?)"} {
			n, err := backend.One[int](s.Context(), s.db, "?", backend.UnsafeSQL("SELECT count(*) FROM t WHERE "+q, form))
			s.succeeds(err)
			s.equal(i+1, n)
		}
		n, err := backend.One[int](s.Context(), s.db, "SELECT count(*) FROM t WHERE at <= ?", backend.Some(want.Add(-time.Microsecond)))
		s.succeeds(err)
		s.equal(0, n)
	}
	type holder struct {
		Plain     time.Time              `db:"a"`
		Pointer   *time.Time             `db:"b"`
		Named     stamp                  `db:"c"`
		Embedded  envelope               `db:"d"`
		Opt       backend.Opt[time.Time] `db:"e"`
		OptNamed  backend.Opt[stamp]     `db:"f"`
		Null      sql.Null[time.Time]    `db:"g"`
		NullNamed sql.Null[stamp]        `db:"h"`
		NullOther sql.Null[envelope]     `db:"i"`
		Old       sql.NullTime           `db:"j"`
	}
	got, err := backend.All[holder](s.Context(), s.db, "SELECT at AS a, at AS b, at AS c, at AS d, at AS e, at AS f, at AS g, at AS h, at AS i, at AS j FROM t ORDER BY id")
	s.succeeds(err)
	s.equal(len(forms), len(got))
	for _, got := range got {
		s.equal(holder{
			want, &want, stamp(want), envelope{want}, backend.Some(want), backend.Some(stamp(want)), sql.Null[time.Time]{V: want, Valid: true}, sql.Null[stamp]{V: stamp(want), Valid: true},
			sql.Null[envelope]{V: envelope{want}, Valid: true}, sql.NullTime{Time: want, Valid: true},
		}, got)
	}
	scalar, err := backend.One[stamp](s.Context(), s.db, "SELECT at FROM t WHERE id = 1")
	s.succeeds(err)
	s.equal(stamp(want), scalar)

	for _, at := range []time.Time{
		time.Date(9999, 12, 31, 23, 30, 0, 0, time.FixedZone("", -3600)), time.Date(9999, 12, 31, 23, 59, 59, 999_999_900, time.UTC), time.Date(0, 5, 1, 0, 0, 0, 0, time.UTC), time.Date(1, 1, 1, 0, 0, 0, 0, time.FixedZone("", 3600)),
	} {
		for _, form := range []any{at, &at, stamp(at), envelope{at}, backend.Some(at), sql.Null[time.Time]{V: at, Valid: true}} {
			_, err := s.db.Exec(s.Context(), "UPDATE t SET at = ?", form)
			s.fails(backend.Invalid, err)
		}
	}
	latest := time.Date(9999, 12, 31, 23, 59, 59, 999_999_000, time.UTC)
	_, err = s.db.Exec(s.Context(), "UPDATE t SET at = ?", backend.Some(latest))
	s.succeeds(err)
	plain, err := backend.One[time.Time](s.Context(), s.db, "SELECT at FROM t WHERE id = 1")
	s.succeeds(err)
	s.equal(latest, plain)
}

// noData gives values whose JSON would be {}. They are a mistake of the program and not
// of its client.
func (s *suite) noData() {
	s.exec("CREATE TABLE t (id INTEGER PRIMARY KEY, doc JSON, name VARCHAR(99))")
	for _, value := range []any{
		errStop, &errStop, fmt.Errorf("%w", errStop), &bytes.Buffer{}, strings.NewReader(""), time.UTC, sql.Named("name", "a"), struct{ at stamp }{}, struct{ At stamp }{},
		[]error{errStop}, map[string]any{"error": errStop}, backend.Some(errStop), sql.Null[error]{V: errStop, Valid: true}, make(chan int),
	} {
		for _, column := range []string{"doc", "name"} {
			_, err := s.db.Exec(s.Context(), "?", backend.UnsafeSQL("INSERT INTO t (id, "+column+") VALUES (1, ?)", value))
			s.fails(backend.Internal, err)
		}
	}
	s.equal([]int{}, s.ids(s.Context()))
}

func (s *suite) null() {
	s.exec("CREATE TABLE t (id INTEGER PRIMARY KEY, name VARCHAR(10), at DATETIME(6))")
	type nullable struct {
		Name *string             `db:"name"`
		At   sql.Null[time.Time] `db:"at"`
	}
	const insert = "INSERT INTO t (id, name, at) VALUES (?, ?, ?) RETURNING name, at"
	got, err := backend.One[nullable](s.Context(), s.db, insert, 1, (*string)(nil), sql.Null[time.Time]{})
	s.succeeds(err)
	s.equal(nullable{}, got)
	want := nullable{new("x"), sql.Null[time.Time]{V: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), Valid: true}}
	got, err = backend.One[nullable](s.Context(), s.db, insert, 2, want.Name, want.At)
	s.succeeds(err)
	s.equal(want, got)
	_, err = backend.One[string](s.Context(), s.db, "SELECT name FROM t WHERE id = 1")
	s.fails(backend.Internal, err)
	if !strings.Contains(err.Error(), "NULL") {
		s.Fatalf("the error does not say that it is about NULL: %v", err)
	}
}

// text stores what tends to break queries, in a value and beside a parameter.
func (s *suite) text() {
	s.exec("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT NOT NULL)")
	for i, want := range []string{`'`, `"`, `\`, `\'; DROP TABLE t; --`, "?", "$1", ":x::y", "%_", "`", "a\r\nb\tc", "2026-01-01", "2026-01-01 10:00:00", strings.Repeat("long ", 7000), "\u202e\ufeff"} {
		got, err := backend.One[string](s.Context(), s.db, "INSERT INTO t (id, name) VALUES (?, ?) RETURNING name", i, want)
		s.succeeds(err)
		s.equal(want, got)
		got, err = backend.One[string](s.Context(), s.db, "SELECT COALESCE(MAX(name), '') FROM t WHERE id = ?", i)
		s.succeeds(err)
		s.equal(want, got)
	}
	got, err := backend.One[string](s.Context(), s.db, "SELECT name /* why? */ FROM t -- what?\nWHERE name <> 'who?' AND name = ?", "?")
	s.succeeds(err)
	s.equal("?", got)
	_, err = s.db.Exec(s.Context(), "INSERT INTO t (id, name) VALUES (?, 'a')")
	s.fails(backend.Internal, err)
}

func (s *suite) lists() {
	s.exec("CREATE TABLE t (id INTEGER PRIMARY KEY, name VARCHAR(20) NOT NULL)",
		"INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'it''s \"c\"'), (4, '{d,\\\\}')")
	find := func(q string, args ...any) []int {
		s.Helper()
		ids, err := backend.All[int](s.Context(), s.db, "?", backend.UnsafeSQL("SELECT id FROM t WHERE "+q+" ORDER BY id", args...))
		s.succeeds(err)
		return ids
	}
	s.equal([]int{1, 3}, find("id IN (?)", []int{1, 3, 9}))
	s.equal([]int{2, 3}, find("name IN (?) AND id NOT IN (?)", []string{"b", `it's "c"`, "a"}, []int64{1}))
	s.equal([]int{}, find("id IN (?)", []int{}))
	s.equal([]int{}, find("name IN (?)", []string(nil)))
	s.equal([]int{1, 2, 3, 4}, find("id NOT IN (?)", []int{}))
	s.equal([]int{2}, find("id IN (?)", 2))
	s.equal([]int{1, 2}, find("id IN (?, ?)", 1, 2))
	for n := range 9 {
		s.equal(min(n, 4), len(find("id IN (?)", []int{1, 2, 3, 4, 5, 6, 7, 8}[:n])))
	}
	many := make([]int, 5000)
	for i := range many {
		many[i] = i
	}
	s.equal([]int{1, 2, 3, 4}, find("id IN (?)", many))
	type name string
	s.equal([]int{1}, find("name IN (?)", []name{"a"}))
	s.equal([]int{2, 3}, find("id IN (?) AND id NOT IN (?)", &[]int{2, 3, 4}, backend.Some([]int{4})))
}

// noLists gives a slice where the query takes one value. It would be compared as the text
// of its JSON, so that NOT IN matches every row. That is a mistake of the program and not
// of its client.
func (s *suite) noLists() {
	s.exec("CREATE TABLE t (id INTEGER PRIMARY KEY, name VARCHAR(20), doc JSON, tags JSON)", "INSERT INTO t (id, name) VALUES (1, 'a'), (2, 'b'), (3, 'c')")
	two := []int{1, 2}
	for _, list := range []any{two, &two, [2]int{1, 2}, []string{"a"}, []int(nil), backend.Some(two), sql.Null[[]int]{V: two, Valid: true}, map[int]bool{1: true}} {
		for _, q := range []string{
			"DELETE FROM t WHERE id NOT IN (?, 3)", "DELETE FROM t WHERE id NOT IN (3, ?)", "DELETE FROM t WHERE id = ?", "DELETE FROM t WHERE id <> ?", "DELETE FROM t WHERE name > ?", "DELETE FROM t WHERE name NOT LIKE ?",
			"DELETE FROM t WHERE id = ANY(?)", "DELETE FROM t WHERE id <> ALL(?)", "DELETE FROM t WHERE ? <> id", "DELETE FROM t WHERE NOT (id = (?))", "DELETE FROM t WHERE ?", "DELETE FROM t WHERE name NOT BETWEEN ? AND 'a'",
			"UPDATE t SET name = 'x' WHERE id <> ?", "UPDATE t SET name = CASE WHEN id <> ? THEN 'x' END", "DELETE FROM t WHERE id IN (SELECT id FROM t WHERE id <> ?)",
		} {
			_, err := s.db.Exec(s.Context(), "?", backend.UnsafeSQL(q, list))
			s.fails(backend.Internal, err)
			if !strings.Contains(err.Error(), "IN (?)") {
				s.Fatalf("the error does not say what to write: %v", err)
			}
		}
	}
	_, err := s.db.Exec(s.Context(), "DELETE FROM t WHERE id NOT IN (?, ?)", two, 3)
	s.fails(backend.Internal, err)
	_, err = s.db.Exec(s.Context(), "DELETE FROM t WHERE id NOT IN (?)", [][]int{{1}, {2}})
	s.fails(backend.Internal, err)
	s.equal([]int{1, 2, 3}, s.ids(s.Context()))

	// As values of JSON columns they go on working.
	changes := backend.JoinSQL(", ", backend.SQL("doc = ?", two), backend.SQL("tags = ?", []string{"x"}))
	_, err = s.db.Exec(s.Context(), "UPDATE t SET ? WHERE id = ?", changes, 1)
	s.succeeds(err)
	_, err = s.db.Exec(s.Context(), "UPDATE t SET name = ?, doc = ? WHERE id IN (?)", "y", backend.Some(two), []int{2})
	s.succeeds(err)
	_, err = s.db.Exec(s.Context(), "INSERT INTO t (id, doc) VALUES (?, ?), (?, ?)", 4, two, 5, map[int]bool{1: true})
	s.succeeds(err)
	docs, err := backend.All[string](s.Context(), s.db, "SELECT doc FROM t WHERE id IN (1, 2, 4) ORDER BY id")
	s.succeeds(err)
	for i, doc := range docs {
		docs[i] = strings.ReplaceAll(doc, " ", "")
	}
	s.equal([]string{"[1,2]", "[1,2]", "[1,2]"}, docs)
}

// fragments builds queries of pieces, which mean on every engine what the same
// texts mean when they are written at once.
func (s *suite) fragments() {
	s.exec("CREATE TABLE t (id INTEGER PRIMARY KEY, name VARCHAR(20) NOT NULL)")
	rows := []backend.Fragment{}
	for i, name := range []string{"a", "b", "c", "?"} {
		rows = append(rows, backend.SQL("(?, ?)", i+1, name))
	}
	result, err := s.db.Exec(s.Context(), "INSERT INTO t (id, name) VALUES ?", backend.JoinSQL(", ", rows...))
	s.succeeds(err)
	n, err := result.RowsAffected()
	s.succeeds(err)
	s.equal(int64(4), n)

	find := func(where backend.Fragment) []int {
		s.Helper()
		ids, err := backend.All[int](s.Context(), s.db, "SELECT id FROM t WHERE id < ? AND ? ORDER BY id LIMIT ?", 4, where, 10)
		s.succeeds(err)
		return ids
	}
	id := func(id int) backend.Fragment { return backend.SQL("id = ?", id) }
	var none backend.Fragment
	s.equal([]int{1, 2, 3}, find(backend.SQL("TRUE")))
	s.equal([]int{2}, find(id(2)))
	s.equal([]int{2}, find(none.And("id = ?", 2)))
	s.equal([]int{1, 2}, find(id(1).Or("id = ?", 2)))
	s.equal([]int{2}, find(backend.SQL("id = ? OR id = ?", 1, 2).And("name = ?", "b")))
	s.equal([]int{1, 2, 3}, find(backend.SQL("id = ? OR 1 = 1", 4))) // id < 4 holds for all of it
	s.equal([]int{3}, find(backend.SQL("NOT ?", id(1).Or("?", id(2)))))
	s.equal([]int{1, 3}, find(backend.JoinSQL(" OR ", id(3), id(1))))
	s.equal([]int{1, 3}, find(backend.SQL("id IN (?)", []int{1, 3})))
	s.equal([]int{1, 3}, find(backend.SQL("id IN (?)", backend.SQL("SELECT id FROM t WHERE name IN (?)", []string{"a", "c", "x"}))))
	s.equal([]int{}, find(backend.SQL("id IN (?)", []int{})))
	s.equal([]int{2}, find(backend.SQL("name <> '?' AND name = ? -- why?", "b")))
	pointed := id(3)
	s.equal([]int{3}, find(backend.SQL("?", &pointed)))

	// Both begin with the same condition, and do not share what follows.
	base := id(1).Or("id = ?", 2).Or("id = ?", 3)
	left, right := base.Or("id = ?", 4), base.Or("id = ?", 5)
	s.equal([]int{1, 2, 3}, find(left))
	s.equal([]int{1, 2, 3}, find(right))
	s.equal([]int{1, 2, 3}, find(base))

	type named struct {
		ID   int    `db:"id"`
		Name string `db:"name"`
	}
	columns := backend.JoinSQL(", ", backend.SQL("id"), backend.UnsafeSQL("name"))
	order := backend.JoinSQL(", ", backend.SQL("CASE WHEN id = ? THEN 0 ELSE 1 END", 2), backend.SQL("id DESC"))
	all, err := backend.All[named](s.Context(), s.db, "SELECT ? FROM t WHERE name <> ? ORDER BY ?", columns, "?", order)
	s.succeeds(err)
	s.equal([]named{{2, "b"}, {3, "c"}, {1, "a"}}, all)

	whole := backend.SQL("SELECT ? FROM t WHERE ? LIMIT ?", columns, id(2), 1)
	got, err := backend.One[named](s.Context(), s.db, "?", whole)
	s.succeeds(err)
	s.equal(named{2, "b"}, got)
	for got, err := range backend.Each[named](s.Context(), s.db, "?", whole) {
		s.succeeds(err)
		s.equal(named{2, "b"}, got)
	}
	maybe, err := backend.Maybe[named](s.Context(), s.db, "SELECT ? FROM t WHERE ?", columns, id(9))
	s.succeeds(err)
	if maybe != nil {
		s.Fatalf("there is no row 9, and it is %v", *maybe)
	}
	_, err = s.db.Exec(s.Context(), "UPDATE t SET ? WHERE ?", backend.JoinSQL(", ", backend.SQL("name = ?", "z")), id(1))
	s.succeeds(err)
	_, err = s.db.Exec(s.Context(), "?", backend.UnsafeSQL("DELETE FROM t WHERE name = ?", "z"))
	s.succeeds(err)
	s.equal([]int{2, 3, 4}, s.ids(s.Context()))

	_, err = s.db.Exec(s.Context(), "SELECT * FROM nothing WHERE ? AND ?", id(1), backend.SQL("name = ?", "secret"))
	var failed *backend.DBError
	if !errors.As(err, &failed) {
		s.Fatalf("the cause is no *DBError: %v", err)
	}
	s.equal("SELECT * FROM nothing WHERE (id = ?) AND (name = ?)", failed.Query)
}

// noFragments gives what is no piece of a query: an error that says so, never all
// rows, and never a statement that the engine has to guess at.
func (s *suite) noFragments() {
	s.exec("CREATE TABLE t (id INTEGER PRIMARY KEY, name VARCHAR(20))", "INSERT INTO t VALUES (1, 'a'), (2, 'b')")
	id := backend.SQL("id = ?", 1)
	for _, test := range []struct {
		want string
		arg  any
	}{
		{"argument 1: an empty Fragment", backend.Fragment{}},
		{"argument 1: an empty Fragment", backend.SQL("")},
		{"argument 1: an empty Fragment", backend.SQL(" -- nothing")},
		{"argument 1: an empty Fragment", backend.JoinSQL(" AND ")},
		{"argument 1: an empty Fragment", backend.JoinSQL(" AND ", id, backend.Fragment{})},
		{"argument 1: an empty Fragment", id.And("?", backend.Fragment{})},
		{"argument 1: an empty Fragment", new(backend.Fragment)},
		{"a nil *Fragment", (*backend.Fragment)(nil)},
		{"JoinSQL", []backend.Fragment{id}},
		{"a Fragment has 1 parameter (?) and was given 2 arguments: id = ?", backend.SQL("id = ?", 1, 2).And("id = ?")},
		{"a Fragment has 2 parameters (?) and was given 1 argument: id = ? OR id = ?", id.Or("id = ? OR id = ?", 1)},
		{"does not end", backend.SQL("name = 'a")},
	} {
		for _, q := range []backend.Fragment{backend.SQL("DELETE FROM t WHERE ?", test.arg), backend.SQL("UPDATE t SET name = 'z' WHERE ?", test.arg)} {
			_, err := s.db.Exec(s.Context(), "?", q)
			s.fails(backend.Internal, err)
		}
		_, err := s.db.Exec(s.Context(), "DELETE FROM t WHERE ?", test.arg)
		s.fails(backend.Internal, err)
		if !strings.Contains(err.Error(), test.want) {
			s.Fatalf("want an error that contains %q, got %v", test.want, err)
		}
	}
	_, err := s.db.Exec(s.Context(), "DELETE FROM t WHERE name = ?", backend.SQL("?", "\xff"))
	s.fails(backend.Invalid, err)
	s.equal([]int{1, 2}, s.ids(s.Context()))

	// All of the text counts: words of transactions are refused, and what writes
	// does not run beside SQLite's writer.
	_, err = s.db.Exec(s.Context(), "?", backend.SQL("COMMIT"))
	if err == nil || !strings.Contains(err.Error(), "use DB.Tx") {
		s.Fatalf("want the error that names DB.Tx, got %v", err)
	}
	_, err = s.db.Exec(s.Context(), "?", backend.SQL("INSERT INTO t VALUES (?, 'c')", 3))
	s.succeeds(err)
	err = s.db.Tx(s.Context(), func(ctx context.Context) error {
		_, err := s.db.Exec(ctx, "?", backend.SQL("DELETE FROM t WHERE ?", id))
		return err
	}, backend.ReadOnly)
	s.fails(backend.Internal, err)
	s.equal([]int{1, 2, 3}, s.ids(s.Context()))
}

func (s *suite) json() {
	s.exec("CREATE TABLE t (id INTEGER PRIMARY KEY, doc JSON, tags JSON)")
	type doc struct {
		Theme string         `json:"theme"`
		More  map[string]any `json:"more,omitempty"`
	}
	type holder struct {
		Doc  doc             `db:"doc"`
		Tags []string        `db:"tags"`
		Raw  json.RawMessage `db:"raw"`
	}
	want := doc{"dark", map[string]any{"a": []any{"?", 1.0, nil}}}
	got, err := backend.One[holder](s.Context(), s.db,
		"INSERT INTO t (id, doc, tags) VALUES (?, ?, ?) RETURNING doc, tags, doc AS raw", 1, want, []string{"<x>", "y"})
	s.succeeds(err)
	s.equal(want, got.Doc)
	s.equal([]string{"<x>", "y"}, got.Tags)
	var raw doc
	s.succeeds(json.Unmarshal(got.Raw, &raw))
	s.equal(want, raw)

	again, err := backend.One[doc](s.Context(), s.db, "SELECT doc FROM t")
	if err == nil {
		s.Fatalf("a row of one column is no document: %v", again)
	}
	_, err = s.db.Exec(s.Context(), "INSERT INTO t (id, doc) VALUES (?, ?)", 2, json.RawMessage(`{"theme":"light"}`))
	s.succeeds(err)
	got, err = backend.One[holder](s.Context(), s.db, "SELECT doc, tags, NULL AS raw FROM t WHERE id = 2")
	s.succeeds(err)
	s.equal(holder{Doc: doc{Theme: "light"}}, got)
}

func (s *suite) rows() {
	s.exec("CREATE TABLE t (id INTEGER PRIMARY KEY)")
	_, err := backend.One[int](s.Context(), s.db, "SELECT id FROM t")
	s.fails(backend.NotFound, err)
	if !errors.Is(err, sql.ErrNoRows) {
		s.Fatalf("the error does not wrap sql.ErrNoRows: %v", err)
	}
	none, err := backend.Maybe[int](s.Context(), s.db, "SELECT id FROM t")
	s.succeeds(err)
	s.equal((*int)(nil), none)
	s.equal([]int{}, s.ids(s.Context()))

	s.exec("INSERT INTO t VALUES (1), (2), (3)")
	_, err = backend.One[int](s.Context(), s.db, "SELECT id FROM t")
	s.fails(backend.Internal, err)
	_, err = backend.Maybe[int](s.Context(), s.db, "SELECT id FROM t")
	s.fails(backend.Internal, err)
	one, err := backend.Maybe[int](s.Context(), s.db, "SELECT id FROM t WHERE id = ?", 2)
	s.succeeds(err)
	s.equal(2, *one)

	each := func(ctx context.Context) (ids []int) {
		for id, err := range backend.Each[int](ctx, s.db, "SELECT id FROM t ORDER BY id") {
			s.succeeds(err)
			again, err := backend.One[int](ctx, s.db, "SELECT id FROM t WHERE id = ?", id)
			s.succeeds(err)
			ids = append(ids, again)
			if id == 2 {
				break
			}
		}
		return ids
	}
	s.equal([]int{1, 2}, each(s.Context()))
	s.succeeds(s.db.Tx(s.Context(), func(ctx context.Context) error {
		s.equal([]int{1, 2}, each(ctx))
		return nil
	}))
	var last error
	for _, err := range backend.Each[int](s.Context(), s.db, "SELECT nothing FROM t") {
		last = err
	}
	s.fails(backend.Internal, last)
}

func (s *suite) joined() {
	s.exec("CREATE TABLE a (id INTEGER PRIMARY KEY, name VARCHAR(10) NOT NULL)",
		"CREATE TABLE t (id INTEGER PRIMARY KEY, author_id INTEGER)",
		"INSERT INTO a VALUES (7, 'Ann')", "INSERT INTO t VALUES (1, 7), (2, NULL)")
	type author struct {
		ID   int    `db:"id"`
		Name string `db:"name"`
	}
	type post struct {
		ID     int     `db:"id"`
		Author *author `db:"author"`
	}
	got, err := backend.All[post](s.Context(), s.db,
		`SELECT t.id, a.id AS "author.id", a.name AS "author.name" FROM t LEFT JOIN a ON a.id = t.author_id ORDER BY t.id`)
	s.succeeds(err)
	s.equal([]post{{1, &author{7, "Ann"}}, {2, nil}}, got)
}

func (s *suite) affected() {
	s.exec("CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER NOT NULL)", "INSERT INTO t VALUES (1, 5), (2, 5), (3, 6)")
	for _, test := range []struct {
		q    string
		want int64
	}{
		{"UPDATE t SET n = 5 WHERE n = 5", 2}, // matched, though nothing changes
		{"UPDATE t SET n = 7 WHERE id > 9", 0},
		{"DELETE FROM t WHERE n = 5", 2},
	} {
		result, err := s.db.Exec(s.Context(), "?", backend.UnsafeSQL(test.q))
		s.succeeds(err)
		n, err := result.RowsAffected()
		s.succeeds(err)
		s.equal(test.want, n)
	}
}

// schema changes a table under statements that are prepared already.
// discarded runs statements that return rows with Exec, with and without arguments.
func (s *suite) discarded() {
	s.exec("CREATE TABLE t (id INTEGER PRIMARY KEY, name VARCHAR(20), note VARCHAR(20))")
	ctx, cancel := context.WithTimeout(s.Context(), 5*time.Second)
	defer cancel()
	affected := func(want int64, q string, args ...any) {
		s.Helper()
		result, err := s.db.Exec(ctx, "?", backend.UnsafeSQL(q, args...))
		s.succeeds(err)
		n, err := result.RowsAffected()
		s.succeeds(err)
		s.equal(want, n)
	}
	for range 2 { // the second time with the prepared statement
		affected(1, "INSERT INTO t VALUES (?, ?, ?) RETURNING id, name, note", 1, "a", nil)
		affected(2, "INSERT INTO t VALUES (?, ?, ?), (3, 'c', 'c') RETURNING *", 2, "b", nil)
		affected(1, "DELETE FROM t WHERE id = ? RETURNING id, name, note", 1)
		affected(0, "DELETE FROM t WHERE id = ? RETURNING id, name, note", 1)
		affected(2, "DELETE FROM t WHERE id > 0 RETURNING id")
	}
	affected(1, "INSERT INTO t VALUES (1, 'a', 'b') RETURNING id, name, note")
	for _, q := range []string{"SELECT id, name, note FROM t WHERE id = ?", "SELECT id, name, note FROM t WHERE id <> ?", "WITH x AS (SELECT * FROM t) SELECT * FROM x WHERE id = ?"} {
		_, err := s.db.Exec(ctx, "?", backend.UnsafeSQL(q, 1))
		s.succeeds(err)
	}
	if s.db.Engine() != backend.SQLite {
		s.succeeds(s.db.Tx(ctx, func(ctx context.Context) error {
			for _, id := range []int{1, 9} {
				if _, err := s.db.Exec(ctx, "SELECT id, name, note FROM t WHERE id = ? FOR UPDATE", id); err != nil {
					return err
				}
			}
			return s.insert(ctx, 4)
		}))
		s.equal([]int{1, 4}, s.ids(ctx))
	}
}

func (s *suite) schema() {
	s.exec("CREATE TABLE t (id INTEGER PRIMARY KEY)", "INSERT INTO t VALUES (1)")
	type wide struct {
		ID   int     `db:"id"`
		Name *string // there later
	}
	find := func(ctx context.Context) error {
		for range 3 {
			if _, err := backend.One[wide](ctx, s.db, "SELECT * FROM t WHERE id = ?", 1); err != nil {
				return err
			}
		}
		return nil
	}
	s.succeeds(find(s.Context()))
	for _, change := range []string{
		"ALTER TABLE t ADD COLUMN name VARCHAR(10)", "ALTER TABLE t DROP COLUMN name", "DROP TABLE t",
		"CREATE TABLE t (name VARCHAR(10), id BIGINT PRIMARY KEY)",
	} {
		s.exec(change)
		if strings.HasPrefix(change, "DROP") {
			continue
		}
		if strings.HasPrefix(change, "CREATE") {
			s.exec("INSERT INTO t (id) VALUES (1)")
		}
		s.succeeds(s.db.Tx(s.Context(), find))
		s.succeeds(find(s.Context()))
	}
}

func (s *suite) codes() {
	s.exec("CREATE TABLE parent (id INTEGER PRIMARY KEY)",
		"CREATE TABLE t (id INTEGER PRIMARY KEY, name VARCHAR(20) NOT NULL, n SMALLINT, parent_id INTEGER, "+
			"CONSTRAINT t_name_key UNIQUE (name), CONSTRAINT t_positive CHECK (n > 0), CONSTRAINT t_parent FOREIGN KEY (parent_id) REFERENCES parent (id))",
		"INSERT INTO parent VALUES (1)", "INSERT INTO t VALUES (1, 'a', 1, 1)")
	sqlite, mysql := s.db.Engine() == backend.SQLite, s.db.Engine() == backend.MySQL
	for _, test := range []struct {
		name, q                   string
		code                      backend.Code
		constraint, table, column string // where the engine tells
	}{
		{"unique", "INSERT INTO t (id, name) VALUES (2, 'a')", backend.Conflict,
			pick(!sqlite, "t_name_key"), pick(!mysql, "t"), pick(sqlite, "name")},
		{"foreign key", "INSERT INTO t (id, name, parent_id) VALUES (2, 'b', 9)", backend.Invalid,
			pick(!sqlite, "t_parent"), pick(!sqlite, "t"), pick(mysql, "parent_id")},
		{"referenced", "DELETE FROM parent", backend.Invalid,
			pick(!sqlite, "t_parent"), pick(!sqlite, "t"), pick(mysql, "parent_id")},
		{"check", "INSERT INTO t (id, name, n) VALUES (2, 'b', -1)", backend.Invalid, "t_positive", pick(!sqlite, "t"), ""},
		{"not null", "INSERT INTO t (id, name) VALUES (2, NULL)", backend.Invalid, "", pick(!mysql, "t"), "name"},
		{"syntax", "SELEC", backend.Internal, "", "", ""},
		{"no table", "SELECT * FROM nothing", backend.Internal, "", "", ""},
	} {
		_, err := s.db.Exec(s.Context(), "?", backend.UnsafeSQL(test.q))
		s.fails(test.code, err)
		var failed *backend.DBError
		if !errors.As(err, &failed) {
			s.Fatalf("%s: the cause is no *DBError: %v", test.name, err)
		}
		want := fmt.Sprintf("%s: constraint=%s table=%s column=%s", test.name, test.constraint, test.table, test.column)
		got := fmt.Sprintf("%s: constraint=%s table=%s column=%s", test.name, failed.Constraint, failed.Table, failed.Column)
		s.equal(want, got)
		s.equal(s.db.Engine(), failed.Engine)
		s.equal(test.q, failed.Query)
	}
	s.refusals()
	if !sqlite { // which stores what does not fit
		_, err := s.db.Exec(s.Context(), "INSERT INTO t (id, name) VALUES (?, ?)", 2, strings.Repeat("a", 21))
		s.fails(backend.Invalid, err)
		_, err = s.db.Exec(s.Context(), "INSERT INTO t (id, name, n) VALUES (?, ?, ?)", 2, "b", 40_000)
		s.fails(backend.Invalid, err)
	}
}

// refusals tries what else a schema can refuse, which is a mistake of the client, and too
// many arguments, which are one of the program unless they are one list.
func (s *suite) refusals() {
	trigger := map[backend.Engine][]string{
		backend.SQLite: {
			"CREATE TRIGGER refuse BEFORE INSERT ON r WHEN NEW.n = 2 BEGIN SELECT RAISE(ABORT, 'refused'); END",
			"CREATE TRIGGER refuse2 BEFORE INSERT ON r WHEN NEW.n = 3 BEGIN SELECT RAISE(FAIL, 'refused'); END",
		},
		backend.Postgres: {
			"CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.n = 2 THEN RAISE EXCEPTION 'refused'; ELSIF NEW.n = 3 THEN RAISE 'refused' USING ERRCODE = 'XY123'; END IF; RETURN NEW; END $$",
			"CREATE TRIGGER refuse BEFORE INSERT ON r FOR EACH ROW EXECUTE FUNCTION refuse()",
			"CREATE VIEW low AS SELECT n FROM r WHERE n < 5 WITH CHECK OPTION",
		},
		backend.MySQL: {
			"CREATE TRIGGER refuse BEFORE INSERT ON r FOR EACH ROW BEGIN IF NEW.n = 2 THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'refused'; ELSEIF NEW.n = 3 THEN SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 5000, MESSAGE_TEXT = 'refused'; END IF; END",
			"CREATE VIEW low AS SELECT n FROM r WHERE n < 5 WITH CHECK OPTION",
		},
	}[s.db.Engine()]
	s.exec(append([]string{"CREATE TABLE r (n INTEGER PRIMARY KEY)", "CREATE TABLE child (n INTEGER REFERENCES r (n) ON DELETE RESTRICT, FOREIGN KEY (n) REFERENCES r (n) ON DELETE RESTRICT)", "INSERT INTO r VALUES (1)", "INSERT INTO child VALUES (1)"}, trigger...)...)
	texts := []string{"INSERT INTO r VALUES (2)", "INSERT INTO r VALUES (3)", "DELETE FROM r WHERE n = 1"}
	if s.db.Engine() != backend.SQLite {
		texts = append(texts, "INSERT INTO low VALUES (9)", "INSERT INTO r VALUES (1 / 0)")
	}
	for _, text := range texts {
		_, err := s.db.Exec(s.Context(), "?", backend.UnsafeSQL(text))
		s.fails(backend.Invalid, err)
		_, err = s.db.Exec(s.Context(), "?", backend.UnsafeSQL(text+" -- ?")) // sent anew
		s.fails(backend.Invalid, err)
	}
	many := make([]any, 65536)
	for i := range many {
		many[i] = i
	}
	_, err := backend.All[int](s.Context(), s.db, "?", backend.UnsafeSQL("SELECT n FROM r WHERE n IN (?"+strings.Repeat(", ?", len(many)-1)+")", many...))
	s.fails(backend.Internal, err)
	found, err := backend.All[int](s.Context(), s.db, "SELECT n FROM r WHERE n IN (?)", many)
	if s.db.Engine() == backend.Postgres { // which gets a list as one argument
		s.succeeds(err)
		s.equal([]int{1}, found)
	} else {
		s.fails(backend.Invalid, err)
	}
}

func pick(told bool, name string) string {
	if told {
		return name
	}
	return ""
}

// badInput tries what users send, in every kind of column: never an Internal
// error, never a harmed connection.
func (s *suite) badInput() {
	s.exec(rowTable)
	for _, input := range []any{"a\x00b", "\xff\xfe", strings.Repeat("x", 35_000), "'; DROP TABLE t; --", "\\", strings.Repeat("é", 40_000)} {
		for _, column := range []string{"id", "name", "ratio", "live", "at"} {
			_, err := s.db.Exec(s.Context(), "?", backend.UnsafeSQL("UPDATE t SET "+column+" = ? WHERE "+column+" = ?", input, input))
			if err != nil && !slices.Contains([]backend.Code{backend.Invalid, backend.TooLarge}, backend.CodeOf(err)) {
				s.Fatalf("%.20q in column %s: %v", input, column, err)
			}
		}
	}
	s.equal([]int{}, s.ids(s.Context()))
}

var errStop = errors.New("stop")

func (s *suite) transaction() {
	s.exec("CREATE TABLE t (id INTEGER PRIMARY KEY)")
	s.succeeds(s.db.Tx(s.Context(), func(ctx context.Context) error {
		s.succeeds(s.insert(ctx, 1))
		s.equal([]int{1}, s.ids(ctx))
		return nil
	}))
	err := s.db.Tx(s.Context(), func(ctx context.Context) error {
		s.succeeds(s.insert(ctx, 2))
		return errStop
	})
	s.equal(errStop, err)
	ctx, cancel := context.WithCancel(s.Context())
	err = s.db.Tx(ctx, func(ctx context.Context) error {
		s.succeeds(s.insert(ctx, 3))
		cancel()
		return nil
	})
	s.fails(backend.Canceled, err)
	s.equal([]int{1}, s.ids(s.Context()))
}

func (s *suite) panics() {
	s.exec("CREATE TABLE t (id INTEGER PRIMARY KEY)")
	value := func() (value any) {
		defer func() { value = recover() }()
		return s.db.Tx(s.Context(), func(ctx context.Context) error {
			s.succeeds(s.insert(ctx, 1))
			return s.db.Tx(ctx, func(ctx context.Context) error {
				s.succeeds(s.insert(ctx, 2))
				panic("boom")
			})
		})
	}()
	s.equal("boom", value)
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.db.Tx(s.Context(), func(ctx context.Context) error {
			s.succeeds(s.insert(ctx, 3))
			runtime.Goexit()
			return nil
		})
	}()
	<-done
	s.equal([]int{}, s.ids(s.Context()))
	s.succeeds(s.insert(s.Context(), 4)) // the connection is sound
}

func (s *suite) nested() {
	s.exec("CREATE TABLE t (id INTEGER PRIMARY KEY)")
	s.succeeds(s.db.Tx(s.Context(), func(ctx context.Context) error {
		s.succeeds(s.insert(ctx, 1))
		err := s.db.Tx(ctx, func(ctx context.Context) error {
			s.succeeds(s.insert(ctx, 2))
			s.succeeds(s.db.Tx(ctx, func(ctx context.Context) error { return s.insert(ctx, 3) }))
			return errStop
		})
		s.equal(errStop, err)
		s.succeeds(s.db.Tx(ctx, func(inner context.Context) error {
			if s.insert(ctx, 4) == nil {
				s.Fatal("the outer context was used while a nested transaction was open")
			}
			return s.insert(inner, 5)
		}))
		s.fails(backend.Conflict, s.db.Tx(ctx, func(ctx context.Context) error { return s.insert(ctx, 1) }))
		return s.insert(ctx, 6)
	}))
	s.equal([]int{1, 5, 6}, s.ids(s.Context()))
}

// undone makes sure that an error of the database cannot be ignored by
// accident.
func (s *suite) undone() {
	s.exec("CREATE TABLE t (id INTEGER PRIMARY KEY)")
	err := s.db.Tx(s.Context(), func(ctx context.Context) error {
		s.succeeds(s.insert(ctx, 1))
		s.fails(backend.Conflict, s.insert(ctx, 1))
		if s.insert(ctx, 2) == nil {
			s.Fatal("a statement ran after the transaction was undone")
		}
		return nil
	})
	s.fails(backend.Conflict, err)
	err = s.db.Tx(s.Context(), func(ctx context.Context) error {
		s.succeeds(s.insert(ctx, 3))
		_, err := backend.One[int](ctx, s.db, "SELECT id FROM t WHERE id = 99")
		s.fails(backend.NotFound, err) // not an error of the database
		return s.db.Tx(ctx, func(ctx context.Context) error { return s.insert(ctx, 4) })
	})
	s.succeeds(err)
	s.equal([]int{3, 4}, s.ids(s.Context()))
}

func (s *suite) afterCommit() {
	s.exec("CREATE TABLE t (id INTEGER PRIMARY KEY)")
	var calls []string
	note := func(ctx context.Context, name string) {
		backend.AfterCommit(ctx, func(ctx context.Context) {
			calls = append(calls, fmt.Sprint(name, s.ids(ctx)))
		})
	}
	s.succeeds(s.db.Tx(s.Context(), func(ctx context.Context) error {
		note(ctx, "outer")
		s.succeeds(s.db.Tx(ctx, func(ctx context.Context) error {
			note(ctx, "kept")
			return s.insert(ctx, 1)
		}))
		s.equal(errStop, s.db.Tx(ctx, func(ctx context.Context) error {
			note(ctx, "dropped")
			return errStop
		}))
		s.equal(0, len(calls))
		return nil
	}))
	s.equal(errStop, s.db.Tx(s.Context(), func(ctx context.Context) error {
		note(ctx, "dropped")
		return errStop
	}))
	note(s.Context(), "at once")
	s.equal([]string{"outer[1]", "kept[1]", "at once[1]"}, calls)
}

func (s *suite) afterEnd() {
	s.exec("CREATE TABLE t (id INTEGER PRIMARY KEY)")
	var kept, inner context.Context
	s.succeeds(s.db.Tx(s.Context(), func(ctx context.Context) error {
		kept = ctx
		s.succeeds(s.db.Tx(ctx, func(ctx context.Context) error {
			inner = ctx
			return nil
		}))
		if s.insert(inner, 1) == nil {
			s.Fatal("the context of a nested transaction was used after its end")
		}
		return nil
	}))
	if s.insert(kept, 1) == nil {
		s.Fatal("the context of a transaction was used after its end")
	}
	calls := 0
	call := func(ctx context.Context) { calls += 1 + len(s.ids(ctx)) }
	backend.AfterCommit(kept, call)
	backend.AfterCommit(inner, call)
	s.equal(2, calls)
	s.equal(errStop, s.db.Tx(s.Context(), func(ctx context.Context) error {
		kept = ctx
		return errStop
	}))
	backend.AfterCommit(kept, call)
	s.equal(2, calls)
	s.equal([]int{}, s.ids(s.Context()))
}

func (s *suite) readOnly() {
	s.exec("CREATE TABLE t (id INTEGER PRIMARY KEY)")
	s.succeeds(s.insert(s.Context(), 1))
	oneConn := s.inMemory()
	s.succeeds(s.db.Tx(s.Context(), func(ctx context.Context) error {
		s.equal([]int{1}, s.ids(ctx))
		if !oneConn {
			s.succeeds(s.insert(s.Context(), 2))
			s.equal([]int{1}, s.ids(ctx)) // still the same state
		}
		return nil
	}, backend.ReadOnly))
	err := s.db.Tx(s.Context(), func(ctx context.Context) error { return s.insert(ctx, 3) }, backend.ReadOnly)
	s.fails(backend.Internal, err)
	err = s.db.Tx(s.Context(), func(ctx context.Context) error {
		return s.db.Tx(ctx, func(context.Context) error { return nil })
	}, backend.ReadOnly)
	if err == nil {
		s.Fatal("a nested transaction may write in a read-only one")
	}
	s.succeeds(s.insert(s.Context(), 4)) // the connection can write again
}

// increments lets 8 goroutines read and write one number.
func (s *suite) increments() {
	s.exec("CREATE TABLE t (id INTEGER PRIMARY KEY)", "INSERT INTO t VALUES (0)")
	const goroutines, times = 8, 10
	var wait sync.WaitGroup
	for range goroutines {
		wait.Go(func() {
			for range times {
				err := s.db.Tx(s.Context(), func(ctx context.Context) error {
					n, err := backend.One[int](ctx, s.db, "SELECT id FROM t")
					if err != nil {
						return err
					}
					_, err = s.db.Exec(ctx, "UPDATE t SET id = ?", n+1)
					return err
				}, backend.Serializable)
				// SQLite's writers queue; others may lose ten times in a row.
				for err != nil && backend.CodeOf(err) == backend.Conflict && s.db.Engine() != backend.SQLite {
					err = s.db.Tx(s.Context(), func(ctx context.Context) error {
						_, err := s.db.Exec(ctx, "UPDATE t SET id = id + 1")
						return err
					})
				}
				if err != nil {
					s.Error(err)
				}
			}
		})
	}
	wait.Wait()
	s.equal([]int{goroutines * times}, s.ids(s.Context()))
}

// deadlines waits for a lock that is not given up.
func (s *suite) deadlines() {
	s.exec("CREATE TABLE t (id INTEGER PRIMARY KEY)", "INSERT INTO t VALUES (1)")
	s.succeeds(s.db.Tx(s.Context(), func(ctx context.Context) error {
		_, err := s.db.Exec(ctx, "UPDATE t SET id = 2")
		s.succeeds(err)
		for _, begin := range []bool{false, true} {
			short, cancel := context.WithTimeout(s.Context(), 100*time.Millisecond)
			defer cancel()
			update := func(ctx context.Context) error {
				// A busy server may end it later than its deadline, when the row is another one.
				_, err := s.db.Exec(ctx, "UPDATE t SET id = 3 WHERE id = 1")
				return err
			}
			start := time.Now()
			if begin {
				err = s.db.Tx(short, update)
			} else {
				err = update(short)
			}
			s.fails(backend.Timeout, err)
			if !errors.Is(err, context.DeadlineExceeded) {
				s.Fatalf("the error does not wrap context.DeadlineExceeded: %v", err)
			}
			if took := time.Since(start); took > 2*time.Second {
				s.Fatalf("the deadline of 100 ms was kept after %v", took)
			}
		}
		return nil
	}))
	gone, cancel := context.WithCancel(s.Context())
	cancel()
	s.fails(backend.Canceled, s.insert(gone, 4))
	s.equal([]int{2}, s.ids(s.Context()))
}

func (s *suite) concurrent() {
	s.exec("CREATE TABLE t (id INTEGER PRIMARY KEY)")
	var wait sync.WaitGroup
	for i := range 64 {
		wait.Go(func() {
			for j := range 4 {
				if err := s.insert(s.Context(), 10*i+j); err != nil {
					s.Error(err)
				}
				if _, err := backend.All[int](s.Context(), s.db, "SELECT id FROM t WHERE id = ?", i); err != nil {
					s.Error(err)
				}
			}
		})
	}
	wait.Wait()
	s.equal(256, len(s.ids(s.Context())))
}

// inMemory reports whether the database is SQLite's in memory, which has only
// one connection.
func (s *suite) inMemory() bool {
	if s.db.Engine() != backend.SQLite {
		return false
	}
	mode, err := backend.One[string](s.Context(), s.db, "PRAGMA journal_mode")
	s.succeeds(err)
	return mode == "memory"
}
