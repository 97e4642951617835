package fragment_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend/internal/fragment"
	"github.com/seed-215b9b7c/backend/internal/sqltext"
)

// parser reads every text anew.
type parser sqltext.Dialect

func (p parser) Parse(text string) (*sqltext.Query, error) {
	return sqltext.Parse(sqltext.Dialect(p), text)
}

// expand returns the text of a query with pieces, and the arguments, as one
// string.
func expand(dialect sqltext.Dialect, text string, args ...any) (string, []any, error) {
	var e fragment.Expansion
	if err := e.Expand(parser(dialect), text, args); err != nil {
		return "", nil, err
	}
	q, err := sqltext.Parse(dialect, string(e.Text))
	if err != nil {
		return string(e.Text), nil, err
	}
	return string(e.Text), e.Args, e.Check(q)
}

func sql(text string, args ...any) *fragment.Node { return fragment.Text(text, args) }

func TestExpand(t *testing.T) {
	t.Parallel()
	owner, tag := sql("owner = ?", 1), sql("tag = ?", "x")
	either := sql("a = ? OR b = ?", 1, 2)
	for _, test := range []struct {
		name  string
		query string
		args  []any
		want  string
		flat  []any
	}{
		{"plain", "SELECT ?", []any{5}, "SELECT ?", []any{5}},
		{"condition", "SELECT * FROM t WHERE ? LIMIT ?", []any{owner, 20}, "SELECT * FROM t WHERE owner = ? LIMIT ?", []any{1, 20}},
		{"whole", "?", []any{sql("SELECT ?", 5)}, "SELECT ?", []any{5}},
		{"whole of whole", "?", []any{sql("?", sql("?", owner))}, "owner = ?", []any{1}},
		{"and", "WHERE ?", []any{owner.Combine(fragment.And, tag)}, "WHERE (owner = ?) AND (tag = ?)", []any{1, "x"}},
		{"precedence of and", "WHERE ?", []any{either.Combine(fragment.And, sql("c = ?", 3))}, "WHERE (a = ? OR b = ?) AND (c = ?)", []any{1, 2, 3}},
		{"and is flat", "WHERE ?", []any{owner.Combine(fragment.And, tag).Combine(fragment.And, sql("c"))}, "WHERE (owner = ?) AND (tag = ?) AND (c)", []any{1, "x"}},
		{"or of and", "WHERE ?", []any{owner.Combine(fragment.And, tag).Combine(fragment.Or, sql("c"))}, "WHERE ((owner = ?) AND (tag = ?)) OR (c)", []any{1, "x"}},
		{"and of the empty", "WHERE ?", []any{(*fragment.Node)(nil).Combine(fragment.And, owner)}, "WHERE owner = ?", []any{1}},
		{"and with the empty", "WHERE ?", []any{owner.Combine(fragment.And, nil)}, "WHERE owner = ?", []any{1}},
		{"after and", "WHERE owner = ? AND ?", []any{1, either}, "WHERE owner = ? AND (a = ? OR b = ?)", []any{1, 1, 2}},
		{"before and", "WHERE ? AND owner = ?", []any{either, 1}, "WHERE (a = ? OR b = ?) AND owner = ?", []any{1, 2, 1}},
		{"between comments", "WHERE x AND /* ? */ ? /* */", []any{either}, "WHERE x AND /* ? */ (a = ? OR b = ?) /* */", []any{1, 2}},
		{"after not", "WHERE NOT ?", []any{either}, "WHERE NOT (a = ? OR b = ?)", []any{1, 2}},
		{"a joined or after and", "WHERE x AND ?", []any{owner.Combine(fragment.Or, tag)}, "WHERE x AND ((owner = ?) OR (tag = ?))", []any{1, "x"}},
		{"columns", "SELECT ? FROM t", []any{fragment.Join(", ", []*fragment.Node{sql("a"), sql("? AS b", 2)})}, "SELECT a, ? AS b FROM t", []any{2}},
		{"rows", "VALUES ?", []any{fragment.Join(", ", []*fragment.Node{sql("(?, ?)", 1, 2), sql("(?, ?)", 3, 4)})}, "VALUES (?, ?), (?, ?)", []any{1, 2, 3, 4}},
		{"one row", "VALUES ?", []any{fragment.Join(", ", []*fragment.Node{sql("(?)", 1)})}, "VALUES (?)", []any{1}},
		{"alternatives", "WHERE ?", []any{fragment.Join(" or\n", []*fragment.Node{sql("a AND b"), sql("c")})}, "WHERE (a AND b) or\n(c)", nil},
		{"subquery", "WHERE id IN (?) AND ?", []any{sql("SELECT id FROM u WHERE ?", tag), owner}, "WHERE id IN (SELECT id FROM u WHERE tag = ?) AND (owner = ?)", []any{"x", 1}},
		{"subquery with its parentheses", "WHERE id IN ? AND x", []any{sql("(SELECT 1)")}, "WHERE id IN (SELECT 1) AND x", nil},
		{"slice in a list", "WHERE ?", []any{sql("id IN (?)", []int{1, 2})}, "WHERE id IN (?)", []any{[]int{1, 2}}},
		{"slice in a nested list", "WHERE id IN (?)", []any{sql("?", []int{1, 2})}, "WHERE id IN (?)", []any{[]int{1, 2}}},
		{"string", "WHERE ?", []any{sql("a = '?' AND b = ?", 1)}, "WHERE a = '?' AND b = ?", []any{1}},
		{"name before", "SELECT x AS?", []any{sql("y")}, "SELECT x AS y", nil},
		{"name after", "SELECT ?FROM t", []any{sql("y")}, "SELECT y FROM t", nil},
		{"minus", "SELECT 1 -?", []any{sql("-1")}, "SELECT 1 - -1", nil},
		{"line comment", "SELECT * FROM t WHERE ? AND y", []any{sql("x -- why?")}, "SELECT * FROM t WHERE (x -- why?\n) AND y", nil},
		{"line comment in a list", "?", []any{fragment.Join(", ", []*fragment.Node{sql("x -- why?"), sql("y -- ?")})}, "x -- why?\n, y -- ?", nil},
		{"comment as separator", "?", []any{fragment.Join(" -- ?", []*fragment.Node{sql("x"), sql("y")})}, "x -- ?\ny", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for dialect := range sqltext.MySQL + 1 {
				if test.name == "name before" && dialect == sqltext.Postgres {
					continue
				}
				text, args, err := expand(dialect, test.query, test.args...)
				require.NoError(t, err)
				require.Equal(t, test.want, text)
				require.Equal(t, test.flat, args)
			}
		})
	}
}

// The dialect decides what a parameter is, in each piece.
func TestExpandInDialects(t *testing.T) {
	t.Parallel()
	text, args, err := expand(sqltext.Postgres, "WHERE ? AND a::text = ?", sql("data ? 'k' AND data ?? ? AND x = ?::jsonb", "l", 1), 2)
	require.NoError(t, err)
	require.Equal(t, "WHERE (data ? 'k' AND data ?? ? AND x = ?::jsonb) AND a::text = ?", text)
	require.Equal(t, []any{"l", 1, 2}, args)
	q, err := sqltext.Parse(sqltext.Postgres, text)
	require.NoError(t, err)
	require.Equal(t, "WHERE (data ? 'k' AND data ? $1 AND x = $2::jsonb) AND a::text = $3", q.Text(nil))

	text, _, err = expand(sqltext.MySQL, "WHERE ? || x", sql(`'\'?' = ? # ?`, 1))
	require.NoError(t, err)
	require.Equal(t, "WHERE ('\\'?' = ? # ?\n) || x", text)
}

func TestExpandErrors(t *testing.T) {
	t.Parallel()
	empty := (*fragment.Node)(nil)
	broken := errors.New("broken")
	deep, wide := sql("a"), sql("a")
	for range 101 {
		deep = sql("(?)", deep)
	}
	for range 64 {
		wide = sql("? + ?", wide, wide)
	}
	for name, test := range map[string]struct {
		dialect sqltext.Dialect
		query   string
		args    []any
		want    string
	}{
		"empty":                   {sqltext.SQLite, "DELETE FROM t WHERE ?", []any{empty}, "argument 1: an empty Fragment is no condition; write SQL(\"TRUE\") for all rows, and run no UPDATE that changes nothing: DELETE FROM t WHERE ?"},
		"empty whole":             {sqltext.SQLite, "?", []any{empty}, "empty Fragment"},
		"empty inside":            {sqltext.SQLite, "WHERE ? AND ?", []any{1, sql("a AND ?", empty)}, "argument 2: an empty Fragment"},
		"empty in a list":         {sqltext.SQLite, "WHERE ?", []any{fragment.Join(" AND ", []*fragment.Node{sql("a"), empty})}, "empty Fragment"},
		"only the empty":          {sqltext.SQLite, "WHERE ?", []any{fragment.Join(" AND ", []*fragment.Node{empty})}, "empty Fragment"},
		"no parts":                {sqltext.SQLite, "WHERE ?", []any{fragment.Join(" AND ", nil)}, "empty Fragment"},
		"only a comment":          {sqltext.SQLite, "WHERE ?", []any{sql(" -- nothing")}, "empty Fragment"},
		"too few":                 {sqltext.SQLite, "WHERE ?", []any{sql("a = ? AND b = ?", 1)}, "a Fragment has 2 parameters (?) and was given 1 argument: a = ? AND b = ?"},
		"too many":                {sqltext.SQLite, "WHERE ?", []any{sql("a = 1", 1)}, "a Fragment has 0 parameters (?) and was given 1 argument: a = 1"},
		"an empty text's":         {sqltext.SQLite, "WHERE ?", []any{sql("", 1)}, "empty Fragment"},
		"one's lack another's":    {sqltext.SQLite, "WHERE ?", []any{sql("a = ?", 1, 2).Combine(fragment.And, sql("b = ?"))}, "a Fragment has 1 parameter (?) and was given 2 arguments: a = ?"},
		"the query's":             {sqltext.SQLite, "WHERE ?", []any{sql("a"), 1}, "the query has 1 parameter (?) and was given 2 arguments: WHERE ?"},
		"string":                  {sqltext.SQLite, "WHERE ?", []any{sql("a = 'b")}, "the string that starts at line 1"},
		"separator's string":      {sqltext.SQLite, "WHERE ?", []any{fragment.Join(" ' ", []*fragment.Node{sql("a"), sql("b")})}, "the string that starts at line 1"},
		"separator's parameter":   {sqltext.SQLite, "WHERE ?", []any{fragment.Join(" ? ", []*fragment.Node{sql("a"), sql("b")})}, "a separator of Fragments has a parameter (?):  ? "},
		"open comment":            {sqltext.SQLite, "DELETE FROM t WHERE ? AND y", []any{sql("x /* ")}, "end it with */"},
		"open comment in a list":  {sqltext.SQLite, "?", []any{fragment.Join(", ", []*fragment.Node{sql("x /*"), sql("y")})}, "end it with */"},
		"executed comment":        {sqltext.MySQL, "WHERE ?", []any{sql("x /*! y")}, "the comment that starts at line 1"},
		"closes another":          {sqltext.MySQL, "/*! ? */ x", []any{sql("a */ b /* ")}, "the comment that starts at line 1"},
		"two minus signs":         {sqltext.MySQL, "SELECT 5--?", []any{sql("1")}, "changes the meaning"},
		"operator of PostgreSQL":  {sqltext.Postgres, "?", []any{fragment.Join(" ", []*fragment.Node{sql("SELECT a"), sql("? 'k'", 1)})}, "on PostgreSQL a ? after a name or value is an operator"},
		"operator in the query":   {sqltext.Postgres, "SELECT * FROM t ?", []any{sql("WHERE a")}, "the query has 0 parameters (?) and was given 1 argument; a ? in a string or comment is no parameter, and after a name or value it is an operator: SELECT * FROM t ?"},
		"reason":                  {sqltext.SQLite, "WHERE ?", []any{fragment.Invalid(broken)}, "broken"},
		"deep":                    {sqltext.SQLite, "WHERE ?", []any{deep}, "nested more than 100 levels deep"},
		"wide":                    {sqltext.SQLite, "WHERE ?", []any{wide}, "larger than"},
		"open comment of a query": {sqltext.SQLite, "SELECT ?, ? /* ", []any{1, sql("")}, "empty Fragment"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, err := expand(test.dialect, test.query, test.args...)
			require.ErrorContains(t, err, test.want)
		})
	}
	_, _, err := expand(sqltext.SQLite, "?", sql("x /* "))
	require.NoError(t, err, "nothing follows")
	_, _, err = expand(sqltext.SQLite, "(?)", deepest())
	require.NoError(t, err)
}

// deepest returns as many levels as are allowed in one more.
func deepest() *fragment.Node {
	n := sql("a")
	for range 99 {
		n = sql("(?)", n)
	}
	return n
}

// Two pieces that begin with the same one do not write into each other.
func TestCombineSharesNothing(t *testing.T) {
	t.Parallel()
	base := sql("a").Combine(fragment.And, sql("b")).Combine(fragment.And, sql("c"))
	first := base.Combine(fragment.And, sql("d"))
	second := base.Combine(fragment.And, sql("e"))
	for n, want := range map[*fragment.Node]string{
		base: "(a) AND (b) AND (c)", first: "(a) AND (b) AND (c) AND (d)", second: "(a) AND (b) AND (c) AND (e)",
	} {
		text, _, err := expand(sqltext.SQLite, "?", n)
		require.NoError(t, err)
		require.Equal(t, want, text)
	}
}

// An expansion that is used again has nothing of the one before.
func TestExpansionIsUsedAgain(t *testing.T) {
	t.Parallel()
	var e fragment.Expansion
	require.Error(t, e.Expand(parser(sqltext.SQLite), "WHERE ? AND ?", []any{sql("a = ? -- ?", 1), (*fragment.Node)(nil)}))
	e.Reset()
	require.NoError(t, e.Expand(parser(sqltext.SQLite), "WHERE ?", []any{sql("b = ?", 2)}))
	require.Equal(t, "WHERE b = ?", string(e.Text))
	require.Equal(t, []any{2}, e.Args)
	q, err := sqltext.Parse(sqltext.SQLite, "WHERE b = ?")
	require.NoError(t, err)
	require.NoError(t, e.Check(q))
}

// once remembers what it has read, as a database does.
type once map[string]*sqltext.Query

func (p once) Parse(text string) (*sqltext.Query, error) {
	if q := p[text]; q != nil {
		return q, nil
	}
	q, err := sqltext.Parse(sqltext.SQLite, text)
	p[text] = q
	return q, err
}

func TestExpandDoesNotAllocate(t *testing.T) { // not parallel: it counts allocations
	where := sql("a = ?", 1).Combine(fragment.And, sql("b IN (?)", []int{1})).Combine(fragment.Or, sql("c"))
	args := []any{where, 20}
	var e fragment.Expansion
	p := once{}
	run := func() {
		e.Reset()
		require.NoError(t, e.Expand(p, "SELECT * FROM t WHERE ? LIMIT ?", args))
	}
	run()
	require.Zero(t, testing.AllocsPerRun(100, run))
	require.Equal(t, "SELECT * FROM t WHERE ((a = ?) AND (b IN (?))) OR (c) LIMIT ?", string(e.Text))
}

// tree makes random pieces and, beside them, what substitution and flattening
// make of them.
type tree struct {
	*rand.Rand
	args int
}

// templates are texts whose parts stand around parameters. A parameter beside
// AND, OR or NOT, marked &, has its piece in parentheses.
var templates = []string{
	"a", "#", "b = # ", "f( # , # )", "x IN (#)", "'?' = # ", "a /* ? */ < # -- ?\n", "& AND & OR &", "NOT &", "BETWEEN & AND &", "\"?\" = #",
	"CASE WHEN # THEN # ELSE # END", "(SELECT a FROM t WHERE # LIMIT # )", "x AND y AND &", "a = b -- ?", "( # -- ?\n)", "count(*), #",
}

func (r *tree) piece(depth int) (n *fragment.Node, text string, args []any) {
	if r.IntN(4) == 0 && depth > 0 {
		return r.list(depth)
	}
	source, text, given, args := r.text(templates[r.IntN(len(templates))], depth)
	return fragment.Text(source, given), text, args
}

// text fills a template with values and pieces.
func (r *tree) text(template string, depth int) (source, text string, given, args []any) {
	for _, c := range template {
		switch {
		case c != '#' && c != '&':
			source, text = source+string(c), text+string(c)
		case depth > 0 && r.IntN(2) == 0:
			n, inner, innerArgs := r.piece(depth - 1)
			source, given, args = source+"?", append(given, n), append(args, innerArgs...)
			if c == '&' {
				text += "(" + ended(inner) + ")"
			} else {
				text += ended(inner)
			}
		default:
			r.args++
			source, text = source+"?", text+"?"
			given, args = append(given, r.args), append(args, r.args)
		}
	}
	return source, text, given, args
}

func (r *tree) list(depth int) (n *fragment.Node, text string, args []any) {
	separator := []string{", ", " AND ", " OR ", " UNION "}[r.IntN(4)]
	var nodes []*fragment.Node
	var texts []string
	for range 1 + r.IntN(3) {
		n, inner, innerArgs := r.piece(depth - 1)
		nodes, args = append(nodes, n), append(args, innerArgs...)
		if separator == fragment.And || separator == fragment.Or {
			inner = "(" + ended(inner) + ")"
		}
		texts = append(texts, ended(inner))
	}
	return fragment.Join(separator, nodes), strings.Join(texts, separator), args
}

// ended ends the comment that a text ends in.
func ended(text string) string {
	if last := text[strings.LastIndexByte(text, '\n')+1:]; strings.Contains(last, "-- ?") {
		return text + "\n"
	}
	return text
}

// FuzzExpand checks that an expansion is textual substitution and flattening of
// the arguments, whatever is nested in what.
func FuzzExpand(f *testing.F) {
	for seed := range uint64(300) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		r := &tree{Rand: rand.New(rand.NewPCG(seed, 1))}
		source, want, given, flat := r.text("SELECT # FROM t WHERE & AND & ", 4)
		for dialect := range sqltext.MySQL + 1 {
			text, args, err := expand(dialect, source, given...)
			require.NoError(t, err, "%s\n%s", source, text)
			require.Equal(t, want, text)
			require.Equal(t, flat, args)
		}
	})
}

// FuzzExpandAnything checks with any texts that an expansion without an error
// leaves every parameter its argument and keeps all tokens.
func FuzzExpandAnything(f *testing.F) {
	for _, seed := range [][2]string{{"? AND a", "b OR c"}, {"a -?", "-?"}, {"/*! ? */", "*/ ?"}, {"'?", "?'"}, {"?--", "? --"}, {"E?", "'\\'"}, {"?|?", "? ??"}, {"$a?", "$a$ ?"}} {
		for dialect := range sqltext.MySQL + 1 {
			f.Add(uint8(dialect), seed[0], seed[1])
		}
	}
	f.Fuzz(func(t *testing.T, dialect uint8, outer, inner string) {
		d := sqltext.Dialect(dialect % uint8(sqltext.MySQL+1))
		read, err := sqltext.Parse(d, inner)
		if err != nil {
			return
		}
		var values []any
		for i := range read.Params() {
			values = append(values, fmt.Sprint("inner", i))
		}
		whole, err := sqltext.Parse(d, outer)
		if err != nil {
			return
		}
		var args, want []any
		for i := range whole.Params() {
			if i%2 == 0 {
				args, want = append(args, fragment.Text(inner, values)), append(want, values...)
			} else {
				args, want = append(args, i), append(want, i)
			}
		}
		text, got, err := expand(d, outer, args...)
		if err != nil {
			return
		}
		require.Equal(t, want, got)
		expanded, err := sqltext.Parse(d, text)
		require.NoError(t, err)
		require.Equal(t, len(want), expanded.Params())
		require.GreaterOrEqual(t, expanded.Tokens(), whole.Tokens())
	})
}
