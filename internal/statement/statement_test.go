package statement_test

import (
	"fmt"
	"reflect"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend/internal/bind"
	"github.com/seed-215b9b7c/backend/internal/fragment"
	"github.com/seed-215b9b7c/backend/internal/sqltext"
	"github.com/seed-215b9b7c/backend/internal/statement"
)

func where() *fragment.Node {
	return fragment.Text("a = ?", []any{1}).Combine(fragment.And, fragment.Text("b IN (?)", []any{[]string{"x", "y", "z"}}))
}

func values(s *statement.Statement) (values []any) {
	for _, arg := range s.Args {
		values = append(values, arg.Value)
	}
	return values
}

func TestStatement(t *testing.T) {
	t.Parallel()
	for dialect, want := range map[sqltext.Dialect]struct {
		text string
		args []any
	}{
		sqltext.Postgres: {"SELECT * FROM t WHERE (a = $1) AND (b = ANY($2)) LIMIT $3", []any{int64(1), `{"x","y","z"}`, int64(20)}},
		sqltext.SQLite:   {"SELECT * FROM t WHERE (a = ?) AND (b IN (?, ?, ?, ?)) LIMIT ?", []any{int64(1), "x", "y", "z", "z", int64(20)}},
		sqltext.MySQL:    {"SELECT * FROM t WHERE (a = ?) AND ((b IN (?, ?, ?, ?) AND CONCAT(b) NOT IN (?))) LIMIT ?", []any{int64(1), "x", "y", "z", "z", "0", int64(20)}},
	} {
		set := statement.New(dialect)
		for range 2 { // the second time it is known
			s, err := set.Statement("SELECT * FROM t WHERE ? LIMIT ?", []any{where(), 20})
			require.NoError(t, err)
			require.Equal(t, want.text, s.Text)
			require.Equal(t, want.args, values(s))
			require.Equal(t, "SELECT * FROM t WHERE (a = ?) AND (b IN (?)) LIMIT ?", s.Query())
		}
	}
}

// What a statement does is judged by all of its text.
func TestStatementIsJudgedWithItsPieces(t *testing.T) {
	t.Parallel()
	set := statement.New(sqltext.SQLite)
	for text, want := range map[string]struct{ reads, transaction bool }{
		"SELECT 1": {true, false}, "DELETE FROM t": {false, false}, "COMMIT": {false, true}, "SELECT 1; DELETE FROM t": {false, false},
	} {
		args := []any{fragment.Text(text, nil)}
		s, err := set.Statement("?", args)
		require.NoError(t, err)
		require.Equal(t, want.reads, s.Reads(), text)
		require.Equal(t, want.reads, set.Reads("?", args), text)
		require.Equal(t, want.transaction, s.Transaction(), text)
	}
	s, err := set.Statement("WITH x AS (?) SELECT * FROM x", []any{fragment.Text("DELETE FROM t RETURNING *", nil)})
	require.NoError(t, err)
	require.False(t, s.Reads())
	require.False(t, set.Reads("?", nil))
	require.False(t, set.Reads("SELECT 'a", nil))
}

func TestStatementErrors(t *testing.T) {
	t.Parallel()
	set := statement.New(sqltext.SQLite)
	for _, test := range []struct {
		query string
		args  []any
		want  string
	}{
		{"SELECT 'a", nil, "does not end: SELECT 'a"},
		{"SELECT ?", nil, "the query has 1 parameter (?) and was given 0 arguments: SELECT ?"},
		{"WHERE ?", []any{fragment.Text("a = ?", nil)}, "a Fragment has 1 parameter (?) and was given 0 arguments: a = ?"},
		{"WHERE ?", []any{fragment.Text("a = 'b", nil)}, "does not end: a = 'b"},
		{"WHERE ?", []any{fragment.Text("a = ?", []any{make(chan int)})}, "argument 1: a chan int cannot be stored: WHERE a = ?"},
		{strings.Repeat("é", 501) + " ?", nil, "arguments: " + strings.Repeat("é", 500) + "…"},
	} {
		_, err := set.Statement(test.query, test.args)
		require.ErrorContains(t, err, test.want)
	}
	_, err := set.Statement("WHERE ?", []any{fragment.Text("a = ?", []any{"\xff"})})
	require.ErrorIs(t, err, bind.ErrText)
}

// A program that makes up texts without end does not fill the memory, and one
// that uses the set from many goroutines gets the right ones.
func TestSetIsBounded(t *testing.T) {
	t.Parallel()
	set := statement.New(sqltext.SQLite)
	long := strings.Repeat("x", 10<<10)
	var group sync.WaitGroup
	for worker := range 4 {
		group.Go(func() {
			for i := range 500 {
				text := fmt.Sprintf("SELECT %d, %q, ?", i+10000*worker, long)
				s, err := set.Statement("?", []any{fragment.Text(text, []any{i})})
				if err != nil || s.Query() != text || len(s.Args) != 1 {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	texts, bytes := set.Size()
	require.LessOrEqual(t, texts, 4096)
	require.LessOrEqual(t, bytes, 8<<20)
	require.Positive(t, bytes)

	_, err := set.Statement("SELECT '"+strings.Repeat("x", 1<<20)+"'", nil)
	require.NoError(t, err)
	again, more := set.Size()
	require.Equal(t, []int{texts, bytes}, []int{again, more}, "a text that is too long is not kept")
}

func TestPlanIsKept(t *testing.T) {
	t.Parallel()
	set := statement.New(sqltext.SQLite)
	plan := func() any {
		s, err := set.Statement("SELECT ?", []any{fragment.Text("a", nil)})
		require.NoError(t, err)
		plan, err := s.PlanFor(reflect.TypeFor[int](), []string{"a"})
		require.NoError(t, err)
		return plan
	}
	require.Same(t, plan(), plan())
}

// What a statement costs is its arguments, and with pieces not more than
// without.
func TestStatementAllocations(t *testing.T) { // not parallel: it counts allocations
	info, _ := debug.ReadBuildInfo()
	if slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		t.Skip("under the race detector sync.Pool forgets on purpose")
	}
	set := statement.New(sqltext.SQLite)
	allocs := func(query string, args ...any) float64 {
		return testing.AllocsPerRun(100, func() {
			_, err := set.Statement(query, args)
			require.NoError(t, err)
		})
	}
	plain := allocs("SELECT * FROM t WHERE (a = ?) AND (b = ?)", "x", true)
	require.LessOrEqual(t, plain, 3.0) // the arguments, one text, the statement
	a, b := fragment.Text("a = ?", []any{"x"}), fragment.Text("b = ?", []any{true})
	require.LessOrEqual(t, allocs("SELECT * FROM t WHERE ?", a.Combine(fragment.And, b)), plain+0.5) // the pool may be emptied once
}
