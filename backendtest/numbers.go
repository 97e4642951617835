package backendtest

import (
	"context"
	"fmt"
	"math"

	"github.com/seed-215b9b7c/backend"
)

// otherNumbers compares integer columns with arguments that are no value of their type: a
// larger number, a fraction, text. They compare as numbers do, and text that is no number
// equals none.
func (s *suite) otherNumbers() {
	s.exec("CREATE TABLE t (id INTEGER PRIMARY KEY, small SMALLINT, mid INTEGER, big BIGINT)",
		"INSERT INTO t VALUES (1, -7, -7, -7), (2, 0, 0, 0), (3, 7, 7, 7), (4, 12, 12, 12), (5, NULL, NULL, NULL)")
	find := func(ctx context.Context, q string, args ...any) []int {
		s.Helper()
		ids, err := backend.All[int](ctx, s.db, "?", backend.UnsafeSQL("SELECT id FROM t WHERE "+q+" ORDER BY id", args...))
		if err != nil {
			s.Fatalf("%s with %#v: %v", q, args, err)
		}
		return ids
	}
	all, none := []int{1, 2, 3, 4}, []int{}
	n := 0
	is := func(want []int, q, column string, args ...any) {
		s.Helper()
		q = fmt.Sprintf(q, column)
		var got []int
		run := func(ctx context.Context) error { got = find(ctx, q, args...); return nil }
		if n++; n%2 == 0 { // in a transaction, which goes on
			s.succeeds(s.db.Tx(s.Context(), run))
		} else {
			s.succeeds(run(s.Context()))
		}
		if fmt.Sprint(want) != fmt.Sprint(got) {
			s.Fatalf("%s with %#v: want %v, got %v", q, args, want, got)
		}
	}
	equalsNone := func(column string, value any) {
		s.Helper()
		is(none, "%s = ?", column, value)
		is(none, "t.%s = ? AND 0 < ?", column, value, 1)
		is(none, "(%s = ?)", column, value)
		is(all, "NOT %s = ?", column, value)
		is(all, "%s <> ?", column, value)
		is(all, "%[1]s != ? OR %[1]s IS NULL AND 0 = ?", column, value, 1)
		is(none, "%s IN (?)", column, []any{value})
		is([]int{3}, "%s IN (?)", column, []any{value, 7, value, nil})
		is(all, "%s NOT IN (?)", column, []any{value, value})
		is([]int{1, 2, 4}, "%s NOT IN (?)", column, []any{value, 7})
		is([]int{3}, "%s IN (?, ?)", column, 7, value)
		is(all, "CASE WHEN %s = ? THEN 0 WHEN id = 5 THEN 0 ELSE 1 END = 1", column, value)
	}
	for _, column := range []string{"small", "mid", "big"} {
		larger := []any{uint64(math.MaxInt64), 9.5e18, 1e300, math.Inf(1)}
		texts := []any{"9223372036854775808", "123456789012345678901234567890", "1e30", "1e999999999"}
		if column != "big" {
			larger = append(larger, int64(5_000_000_000), backend.ID(math.MaxInt64), new(int64(1<<40)))
			texts = append(texts, "5000000000")
		}
		if column == "small" {
			larger = append(larger, 40_000)
		}
		for _, value := range append(larger, texts...) {
			equalsNone(column, value)
			is(all, "%s < ?", column, value)
			is(all, "%s <= ?", column, value)
			is(none, "%s > ?", column, value)
			is(none, "%s >= ?", column, value)
			is(all, "? > %s", column, value)
			is(all, "%s BETWEEN ? AND ?", column, -100, value)
			is(none, "%s BETWEEN ? AND ?", column, value, value)
			is(none, "? = %s", column, value)
		}
		equalsNone(column, "-9223372036854775809")
		equalsNone(column, "-1e30")
		is(none, "%s < ?", column, "-1e30")
		is(all, "%s > ?", column, "-1e30")
		for _, value := range []any{0.5, "0.5", ".5", "5e-1", "0.50000000000000000000000000000000000001"} {
			equalsNone(column, value)
			is([]int{1, 2}, "%s < ?", column, value)
			is([]int{3, 4}, "%s >= ?", column, value)
		}
		equalsNone(column, -0.5)
		is([]int{1}, "%s < ?", column, "-0.5")
		is([]int{2, 3, 4}, "%s > ?", column, -0.5)
		for _, value := range []any{12, "12", "012", " 12 ", "\t12\n", "+12", "12.0", "12.", "1.2e1", "1200E-2", 12.0, label("12"), new("12"), backend.Some("12")} {
			is([]int{4}, "%s = ?", column, value)
			is([]int{1, 2, 3}, "%s <> ?", column, value)
			is([]int{1, 2, 3}, "%s < ?", column, value)
			is([]int{4}, "%s IN (?)", column, []any{value})
			is([]int{3, 4}, "%s IN (?)", column, []any{value, 7})
			is([]int{3, 4}, "%s IN (?)", column, []any{value, "7", "abc"})
		}
		for _, value := range []any{"abc", "", " ", "0x0c", "0o7", "1_2", "7abc", "12abc", "12 abc", " 12x", "1e", "12e", "-", "--7", "-7-", "+-7", "NaN", "Infinity", "null", "１２", "12\u00a0", "true", "{7}", "7,12", "7;", "12.x", "1.2e1x", "-0x", "0abc", "007x", "2026-01-02"} {
			equalsNone(column, value)
		}
	}

	// What is stored must fit.
	for _, value := range []any{int64(5_000_000_000), "5000000000", "abc", "", "12abc"} {
		for _, q := range []string{"INSERT INTO t (id, mid) VALUES (9, ?)", "UPDATE t SET mid = ?", "UPDATE t SET mid = ? WHERE id = 1"} {
			if s.db.Engine() != backend.SQLite { // which stores anything
				_, err := s.db.Exec(s.Context(), "?", backend.UnsafeSQL(q, value))
				s.fails(backend.Invalid, err)
			}
		}
		_, err := s.db.Exec(s.Context(), "UPDATE t SET mid = 0 WHERE mid = ?", value)
		if s.db.Engine() != backend.MySQL || err != nil && backend.CodeOf(err) != backend.Invalid {
			s.succeeds(err)
		}
		_, err = s.db.Exec(s.Context(), "DELETE FROM t WHERE mid IN (?)", []any{value})
		if s.db.Engine() != backend.MySQL || err != nil && backend.CodeOf(err) != backend.Invalid {
			s.succeeds(err)
		}
		is([]int{4}, "%s = 12", "mid")
	}
	is([]int{1, 2, 3, 4, 5}, "id > 0 -- %s", "")

	// The other way round, MySQL makes numbers of the column. That is documented.
	s.exec("CREATE TABLE names (id INTEGER PRIMARY KEY, name VARCHAR(20))", "INSERT INTO names VALUES (1, 'abc'), (2, '12'), (3, '12abc'), (4, '0'), (5, '')")
	for value, want := range map[any][]int{0: {4}, 12: {2}, "0": {4}, "12": {2}, "12abc": {3}, "abc": {1}, "": {5}, "x": {}} {
		if _, text := value.(string); !text && s.db.Engine() == backend.MySQL {
			want = map[any][]int{0: {1, 4, 5}, 12: {2, 3}}[value]
		}
		for _, q := range []string{"SELECT id FROM names WHERE name = ? ORDER BY id", "SELECT id FROM names WHERE (names.name IN (?)) ORDER BY id"} {
			got, err := backend.All[int](s.Context(), s.db, "?", backend.UnsafeSQL(q, value))
			s.succeeds(err)
			s.equal(want, got)
		}
	}
}
