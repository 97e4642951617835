package backend_test

import (
	"context"
	"encoding/json"
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/lib/pq"
	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
	"github.com/seed-215b9b7c/backend/backendtest"
)

// What the engines themselves take for a string, a comment or an operator must
// be what this package takes for it: each query returns its parameter, 7 (or a
// list of 5 and 7), as its only row and column, and the engine agrees about the
// number of parameters.
func TestSQLIsReadAsTheEnginesDo(t *testing.T) {
	t.Parallel()
	everywhere := []string{
		"SELECT ?", "SELECT ? -- ?", "SELECT /* ? */ ?", "SELECT 0+?", "SELECT (?)", "SELECT CASE WHEN 1=1 THEN ? END",
		"SELECT LENGTH('?''?') - 3 + ?", "SELECT id FROM t WHERE id IN (?)", "SELECT id FROM t WHERE id in(?)", "SELECT id FROM t WHERE id IN\n(\n?\n)",
		"SELECT id FROM t WHERE id IN /* ? */ ( /* ? */ ? /* ? */ )", "SELECT id FROM t WHERE id IN ( -- ?\n ? -- ?\n)",
		"SELECT id FROM t WHERE id IN (SELECT id FROM t WHERE id IN (?))", "SELECT id FROM t WHERE NOT id NOT IN (?)",
		"SELECT id FROM t WHERE (id, 1) IN ((?, 1))", "SELECT id FROM t WHERE id IN (?) AND 1=1 LIMIT 1", "SELECT id AS q FROM t WHERE id=?",
	}
	for engine, more := range map[backend.Engine][]string{
		backend.SQLite: {
			`SELECT LENGTH('\') - 1 + ?`, `SELECT "a?" + ? FROM (SELECT 0 AS "a?")`, "SELECT `a?` + ? FROM (SELECT 0 AS `a?`)", "SELECT [a?] + ? FROM (SELECT 0 AS [a?])",
			"SELECT LENGTH(x'3F') - 1 + ?", "SELECT ? /* ? ", "SELECT ?--?", "SELECT 7 WHERE ? IS NOT NULL", `SELECT "a""?" + ? FROM (SELECT 0 AS "a""?")`,
		},
		backend.Postgres: {
			`SELECT LENGTH('\') - 1 + ?`, `SELECT LENGTH(E'\'?') - 2 + ?`, `SELECT LENGTH(e'\\') - 1 + ?`, `SELECT LENGTH(U&'\003F?') - 2 + ?`, "SELECT LENGTH(B'01') - 2 + ?", "SELECT LENGTH(N'?') - 1 + ?",
			"SELECT LENGTH($$?$$) - 1 + ?", "SELECT LENGTH($a$?$$?$a$) - 4 + ?", "SELECT LENGTH($ä$?$ä$) - 1 + ?", "SELECT a$$ + ? FROM (SELECT 0 AS a$$) AS x", "SELECT a$b$ + ? + c$b$ FROM (SELECT 0 AS a$b$, 0 AS c$b$) AS x",
			`SELECT "a""?" + ? FROM (SELECT 0 AS "a""?") AS x`, `SELECT U&"a?" + ? FROM (SELECT 0 AS "a?") AS x`, "SELECT /* /* ? */ ? */ ?", "SELECT ?::int", "SELECT CAST(? AS int)", "SELECT (?::text)::int",
			"SELECT CASE WHEN '{\"k\": 1}'::jsonb ? 'k' THEN ?::int END", "SELECT CASE WHEN jsonb '{\"k\": 1}' ?| ARRAY['k'] THEN ?::int END", "SELECT CASE WHEN jsonb '{\"k\": 1}' @? '$.k' THEN ?::int END",
			"SELECT CASE WHEN CASE WHEN true THEN jsonb '[\"k\"]' END ? 'k' THEN ?::int END", "SELECT CASE WHEN jsonb '[\"k\"]' ?? 'k' THEN ?::int END", "SELECT CASE WHEN (ARRAY[jsonb '[\"k\"]'])[1] ?& ARRAY['k'] THEN ?::int END",
			"SELECT (ARRAY[5, ?::int])[2]", "SELECT (ARRAY[7, 7, 7, 7, 7, 7, 7])[?]", "SELECT ((ARRAY[7, 7, 7, 7, 7, 7, 7])[1:?])[7]", "SELECT CASE WHEN ARRAY[7] <@?::int[] THEN 7 END",
			"SELECT id FROM t WHERE id = ?::int FETCH FIRST 1 ROW ONLY", "SELECT 7 FETCH FIRST ? ROWS ONLY", "SELECT EXTRACT(DAY FROM ? * INTERVAL '1 day')::int", "SELECT 7 LIMIT ? OFFSET 0", "SELECT 7 WHERE 7 BETWEEN 1 AND ?",
			"SELECT id FROM t WHERE id = ANY(ARRAY[?]::int[])", "SELECT COALESCE(NULL, ?)::int", "SELECT 7 WHERE 7 IS NOT DISTINCT FROM ?", "SELECT LENGTH(REPEAT('a', ?))", "SELECT LENGTH(OVERLAY('aaaaaaa' PLACING 'b' FROM 1 FOR 1 + 0 * ?))",
			"SELECT id FROM t ORDER BY id = ? DESC LIMIT 1", "SELECT * FROM (VALUES (?::int)) AS x", "SELECT 7 WHERE '?' = '?' AND ?=7",
		},
		backend.MySQL: {
			`SELECT LENGTH('\'?') - 2 + ?`, `SELECT LENGTH("\"?'") - 3 + ?`, `SELECT LENGTH('\\') - 1 + ?`, "SELECT `a?` + ? FROM (SELECT 0 AS `a?`) AS x", "SELECT `a``?` + ? FROM (SELECT 0 AS `a``?`) AS x", "SELECT ? # ?", "SELECT 0--?", "SELECT ? --\t?",
			"SELECT /*! ? */", "SELECT /*!40101 ? */ /* ? */", "SELECT /*M! ? */", "SELECT LENGTH(_utf8'?') - 1 + ?", "SELECT LENGTH(x'3F') - 1 + ?", `SELECT LENGTH("?""?") - 3 + ?`, "SELECT ? /* /* */", "SELECT DATEDIFF(DATE_ADD('2026-01-01', INTERVAL ? DAY), '2026-01-01')",
			"SELECT id FROM t WHERE id IN (?) /*! AND 1=1 */",
		},
	} {
		t.Run(string(engine), func(t *testing.T) {
			t.Parallel()
			db := backendtest.NewDB(t, engine)
			_, err := db.Exec(t.Context(), "CREATE TABLE t (id INTEGER PRIMARY KEY)")
			require.NoError(t, err)
			_, err = db.Exec(t.Context(), "INSERT INTO t VALUES (7), (8)")
			require.NoError(t, err)
			for _, q := range append(everywhere, more...) {
				arg := any(7)
				if strings.Contains(q, "<@?") {
					arg = "{7}"
				}
				got, err := backend.One[int](t.Context(), db, "?", backend.UnsafeSQL(q, arg))
				require.NoError(t, err, q)
				require.Equal(t, 7, got, q)
				if compact := strings.ToUpper(q); strings.Contains(compact, " IN") && strings.Contains(compact, "ID FROM T") && !strings.Contains(q, ", 1") && !strings.Contains(q, "ANY") {
					got, err = backend.One[int](t.Context(), db, "?", backend.UnsafeSQL(q, []int{5, 7}))
					require.NoError(t, err, q)
					require.Equal(t, 7, got, q)
				}
			}
		})
	}
}

// These forms are rare. Each query returns its parameter, 7, as in the test above. Without
// parameters, the engine itself returns 7.
func TestRareSQLIsReadAsTheEnginesDo(t *testing.T) {
	t.Parallel()
	for engine, queries := range map[backend.Engine][]string{
		backend.SQLite: {"SELECT 3 -- ?\r + 1000\n+ ? - 3", "SELECT 3 -- ?\r\n- 3 + ?"},
		backend.Postgres: {
			"SELECT (SUM(n) OVER (ORDER BY n RANGE ? PRECEDING))::int FROM (VALUES (7)) AS x (n)", "SELECT (SUM(n) OVER (PARTITION BY n ORDER BY n DESC NULLS LAST GROUPS ? PRECEDING))::int FROM (VALUES (7)) AS x (n)",
			"SELECT (SUM(n) OVER (ROWS ? PRECEDING))::int FROM (VALUES (7)) AS x (n)", "SELECT (SUM(n) OVER w)::int FROM (VALUES (7)) AS x (n) WINDOW v AS (ORDER BY n), w AS (v range ? PRECEDING)",
			"SELECT (SUM(n) OVER w)::int FROM (VALUES (7)) AS x (n) WINDOW v AS (ORDER BY n), w AS (ROWS ? PRECEDING)", "SELECT (SUM(n) OVER w)::int FROM (VALUES (7)) AS x (n) WINDOW w AS (ROWS BETWEEN ? PRECEDING AND 1 FOLLOWING)",
			"SELECT (XPATH('/a/text()', XMLPARSE(DOCUMENT ?)))[1]::text::int", "SELECT (XPATH('/a/text()', XMLPARSE(CONTENT ?)))[1]::text::int", "SELECT XMLSERIALIZE(CONTENT ?::text::xml AS text) IS NULL",
			"SELECT CASE WHEN XMLEXISTS('//a' PASSING ?) THEN 7 END", "SELECT CASE WHEN XMLEXISTS('//a' PASSING BY VALUE ?) THEN 7 END", "SELECT CASE WHEN XMLEXISTS('//a' PASSING BY REF ?) THEN 7 END",
			"SELECT n FROM XMLTABLE('/a' PASSING ? COLUMNS n int PATH 'text()')", "SELECT n FROM XMLTABLE('/a' PASSING xml '<a>7</a>' COLUMNS n int PATH ?)",
			"SELECT CASE WHEN XMLROOT('<a/>', VERSION ?, STANDALONE YES) IS NOT NULL THEN 7 END",
			"SELECT 0 OPERATOR(pg_catalog.+) ?", "SELECT 0 operator ( + ) ?", "SELECT OPERATOR(pg_catalog.-) ? * -1", "SELECT id FROM t WHERE id OPERATOR(=) ANY (ARRAY[?::int])",
			"SELECT CASE WHEN jsonb '{\"k\": 1}' OPERATOR(pg_catalog.?) 'k' THEN ?::int END", "SELECT CASE WHEN jsonb '{\"k\": 1}' OPERATOR(?) 'k' THEN ?::int END", "SELECT CASE WHEN jsonb '{\"k\": 1}' OPERATOR(\"pg_catalog\".?|) ARRAY['k'] THEN ?::int END",
			"SELECT CASE WHEN jsonb '{\"k\": 1}' OPERATOR(pg_catalog.@?) '$.k' THEN ?::int END", "SELECT CASE WHEN (jsonb '{\"k\": 1}') OPERATOR(pg_catalog.?&) (ARRAY['k']) THEN ?::int END",
			// Columns with these names.
			"SELECT CASE WHEN range ? 'k' AND groups ? 'k' AND (rows ? 'k') AND passing ? 'k' AND path ? 'k' AND value ? 'k' AND x.value ? 'k' AND ref ? 'k' AND document ? 'k' AND (content ? 'k') AND version ? 'k' AND COALESCE(true, version ? 'k') AND operator ? 'k' THEN ?::int END" +
				" FROM (SELECT j AS range, j AS groups, j AS rows, j AS passing, j AS path, j AS value, j AS ref, j AS document, j AS content, j AS version, j AS operator FROM (SELECT jsonb '{\"k\": 1}' AS j) AS y) AS x",
			"SELECT n + 6 FROM (SELECT COUNT(*) OVER (PARTITION BY rows ? 'k', range ? 'k' ORDER BY range ? 'k')::int AS n FROM (SELECT jsonb '{}' AS rows, jsonb '{}' AS range) AS x) AS y WHERE 7 = ?",
			// Strings that go on in another line.
			"SELECT LENGTH(E'a' \n 'b\\'?') - 4 + ?", "SELECT LENGTH(e'a'\r'b\\'?') - 4 + ?", "SELECT LENGTH(E'a' -- ? '\n\t-- ?\r\n 'b\\'?'\n'\\'?') - 6 + ?", "SELECT LENGTH('a'\n'b\\') - 3 + ?", "SELECT LENGTH('a' -- E'\n'b\\') - 3 + ?",
			"SELECT LENGTH(E'a') + ?\n- 1 + LENGTH('\\') - 1",
			// Dollars.
			"SELECT a$1$ + ? + a$1$ FROM (SELECT 0 AS a$1$) AS x", "SELECT ä$b$ + ? + ä$b$ FROM (SELECT 0 AS ä$b$) AS x", "SELECT LENGTH($a1$?$a$$1$?$a1$) - 8 + ?", "SELECT LENGTH($_$?$_$)-1 + ?", "SELECT \"a\"+? FROM (SELECT 0 AS \"a\") AS x WHERE LENGTH($$?$$)=1",
			// A carriage return ends a comment.
			"SELECT -- ?\r?", "SELECT 3 -- ?\r - 3 + ?", "SELECT -- ?\r\n?", "SELECT ? -- ?\r",
		},
		backend.MySQL: {
			"SELECT 3 -- ?\r + 1000\n+ ? - 3", "SELECT 3 # ?\r + 1000\n+ ? - 3", "SELECT ? --\x7f?", "SELECT ? --\x01?",
			"SELECT /*!50000 ? + */ 0", "SELECT /*!50699 ? + */ 0", "SELECT /*!050000 ? + */ 0", "SELECT /*M!50000 ? + */ 0", "SELECT /*M!50700 ? + */ 0", "SELECT /*M!100100 ? + */ 0", "SELECT /*M!100499? + */ 0", "SELECT /*!50003? + */ 0",
			"SELECT /*!999999 ? */ ?", "SELECT /*M!999999 ? ' */ ?", "SELECT /*!999999\\- sandbox don't */ ?", "SELECT /*!999999 /* ? */ ? */ ?", "/*!999999 COMMIT; */ SELECT ?", "SELECT /*!9999999 ? */ ?",
			"SELECT /*!14 - */ ?", "SELECT /*!0014 - */ ?", "SELECT /*!0+*/ ?", "SELECT /*! 0 /* ? */ + */ ?", "SELECT /*! ? -- ' */ \n */", "SELECT /*!500007 - 7 + */ ?",
			"SELECT /*!50700 0 + */ ?", "SELECT /*!100100 0 + */ ?", "SELECT /*M!101100 0 + */ ?", "SELECT /*!80000 0 + /* ? */ */ ?",
		},
	} {
		t.Run(string(engine), func(t *testing.T) {
			t.Parallel()
			db := backendtest.NewDB(t, engine)
			_, err := db.Exec(t.Context(), "CREATE TABLE t (id INTEGER PRIMARY KEY)")
			require.NoError(t, err)
			_, err = db.Exec(t.Context(), "INSERT INTO t VALUES (7), (8)")
			require.NoError(t, err)
			for _, q := range queries {
				var arg any = 7
				switch {
				case strings.Contains(q, "PATH ?"):
					arg = "text()"
				case strings.Contains(q, "VERSION ?"):
					arg = "1.0"
				case strings.Contains(q, "XMLSERIALIZE"):
					q, arg = strings.Replace(q, " IS NULL", "::int", 1), "7"
				case strings.Contains(q, "XML"):
					arg = "<a>7</a>"
				}
				got, err := backend.One[int](t.Context(), db, "?", backend.UnsafeSQL(q, arg))
				require.NoError(t, err, q)
				require.Equal(t, 7, got, q)
			}
		})
	}
}

// A comment that only some servers execute may not change what the text means.
func TestCommentsOfOtherVersionsAreRefused(t *testing.T) {
	t.Parallel()
	db := backendtest.NewDB(t, backend.MySQL)
	for q, want := range map[string]string{
		"SELECT 7 /*!50700 + ? */": "whether the ? in a comment is a parameter", "SELECT 7 /*!80000 + ? */": "write the text without the comment", "SELECT 7 /*!100100 + ? */": "is a parameter",
		"SELECT 7 /*M!100500 + ? */": "is a parameter", "SELECT 7 /*M!120000 + '?' ' */": "is a parameter",
		"SELECT 7 /*!80000 ' */": "where a comment ends", "SELECT 7 /*!80000 -- */": "write it as /* … */", "SELECT 7 /*!80000 # */": "where a comment ends",
	} {
		_, err := backend.One[int](t.Context(), db, "?", backend.UnsafeSQL(q))
		require.ErrorContains(t, err, want, q)
		require.Equal(t, backend.Internal, backend.CodeOf(err), q)
	}
}

// Lists may be as long as the engine allows, and are not made longer than that
// by padding.
func TestLongLists(t *testing.T) {
	t.Parallel()
	backendtest.EachDB(t, func(t *testing.T, db *backend.DB) {
		longest := map[backend.Engine]int{backend.SQLite: 32_766, backend.Postgres: 100_000, backend.MySQL: 65_535}[db.Engine()]
		if db.Engine() == backend.SQLite && raceEnabled() {
			longest /= 8 // its driver looks through all of the list for each element, half a minute with the detector
		}
		n, err := backend.One[int](t.Context(), db, "SELECT COUNT(*) FROM (SELECT 0 AS id) AS t WHERE id IN (?)", make([]int, longest))
		require.NoError(t, err)
		require.Equal(t, 1, n)
	})
}

// A BEGIN on a connection that goes back to the pool would make whoever gets it
// next part of a transaction that nobody commits.
func TestTransactionsByHandAreRefused(t *testing.T) {
	t.Parallel()
	backendtest.EachDB(t, func(t *testing.T, db *backend.DB) {
		for _, q := range []string{"BEGIN", "start transaction", "COMMIT", "ROLLBACK", "SAVEPOINT a"} {
			_, err := db.Exec(t.Context(), "?", backend.UnsafeSQL(q))
			require.ErrorContains(t, err, "use DB.Tx")
			require.ErrorContains(t, db.Tx(t.Context(), func(ctx context.Context) error {
				_, err := db.Exec(ctx, "?", backend.UnsafeSQL(q))
				return err
			}), "use DB.Tx")
		}
	})
}

// On PostgreSQL a list becomes one array, whose type is that of what it is
// compared with.
func TestPostgresLists(t *testing.T) {
	t.Parallel()
	db := backendtest.NewDB(t, backend.Postgres)
	for _, statement := range []string{
		"CREATE TYPE mood AS ENUM ('sad', 'a \"b\", {c}\\d')",
		"CREATE TABLE t (u UUID, at TIMESTAMPTZ, plain TIMESTAMP, d DATE, m mood, b BYTEA, n NUMERIC, j JSONB, s TEXT, f DOUBLE PRECISION, l BOOLEAN, a INET)",
		`INSERT INTO t VALUES ('00000000-0000-0000-0000-00000000000a', '2026-01-02 03:04:05.000006+00', '2026-01-02 03:04:05.000006', '2026-01-02', 'a "b", {c}\d', '\x00ff5c22', 1.50, '{"k": "\""}', '', 'Infinity', true, '::1')`,
	} {
		_, err := db.Exec(t.Context(), "?", backend.UnsafeSQL(statement))
		require.NoError(t, err)
	}
	at := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	for column, list := range map[string]any{
		"u": []string{"00000000-0000-0000-0000-00000000000A"}, "at": []time.Time{at.Add(1), at}, "plain": []time.Time{at}, "d": []string{"2026-01-02"},
		"m": []string{"sad", `a "b", {c}\d`}, "b": [][]byte{{}, {0, 255, '\\', '"'}}, "n": []string{"1.5"}, "j": []json.RawMessage{[]byte(`{"k":"\""}`)},
		"s": []string{"NULL", "null", " ", "", "{}", `\`, `"`}, "f": []float64{1e300, math.Inf(1)}, "l": []bool{true}, "a": []netip.Addr{netip.IPv6Loopback()},
	} {
		for negated, want := range map[string]int{"": 1, "NOT ": 0} {
			n, err := backend.One[int](t.Context(), db, "?", backend.UnsafeSQL("SELECT COUNT(*) FROM t WHERE "+column+" "+negated+"IN (?)", list))
			require.NoError(t, err, column)
			require.Equal(t, want, n, "%s %s", column, negated)
		}
	}
	n, err := backend.One[int](t.Context(), db, "SELECT COUNT(*) FROM t WHERE s IN (?)", []string{"NULL", "null", " ", `""`, "{}"})
	require.NoError(t, err)
	require.Zero(t, n, "none of these is the empty string")
	n, err = backend.One[int](t.Context(), db, "SELECT COUNT(*) FROM t WHERE s NOT IN (?)", []*string{nil})
	require.NoError(t, err)
	require.Zero(t, n, "NULL matches nothing, and its opposite neither")
}

// PostgreSQL's own arrays go by pq.Array, in both directions.
func TestPostgresArrays(t *testing.T) {
	t.Parallel()
	db := backendtest.NewDB(t, backend.Postgres)
	want := pq.StringArray{"a", `b "c", {d}\`, "", "NULL"}
	got, err := backend.One[pq.StringArray](t.Context(), db, "SELECT ?::text[]", pq.Array([]string(want)))
	require.NoError(t, err)
	require.Equal(t, want, got)
	n, err := backend.One[int](t.Context(), db, "SELECT 1 WHERE 'a' = ANY(?)", want)
	require.NoError(t, err)
	require.Equal(t, 1, n)
}

// A separator that negates the next condition negates all of it.
func TestJoinedConditionsKeepTheirMeaning(t *testing.T) {
	t.Parallel()
	backendtest.EachDB(t, func(t *testing.T, db *backend.DB) {
		either, never := backend.SQL("1 = 2 OR 1 = 1"), backend.SQL("1 = 2")
		for separator, joined := range map[string]backend.Fragment{
			"AND NOT": backend.JoinSQL(" AND NOT ", backend.SQL("1 = 1"), either),
			"OR":      backend.JoinSQL(" OR ", never, backend.JoinSQL(" and not ", either, either)),
			"lines":   backend.JoinSQL("\nAND -- both\n", either, never),
		} {
			found, err := backend.All[int](t.Context(), db, "SELECT 1 WHERE ?", joined)
			require.NoError(t, err, separator)
			require.Empty(t, found, separator)
		}
	})
}

func TestSQLIf(t *testing.T) {
	t.Parallel()
	backendtest.EachDB(t, func(t *testing.T, db *backend.DB) {
		_, err := db.Exec(t.Context(), "CREATE TABLE things (id BIGINT PRIMARY KEY, a VARCHAR(9), b VARCHAR(9))")
		require.NoError(t, err)
		_, err = db.Exec(t.Context(), "INSERT INTO things VALUES (1, 'a', 'b'), (2, 'a', 'c')")
		require.NoError(t, err)
		find := func(a, b string) ([]int64, error) {
			where := backend.JoinSQL(" AND ", backend.SQLIf(a != "", "a = ?", a), backend.SQLIf(b != "", "b = ? OR b = ?", b, b))
			return backend.All[int64](t.Context(), db, "SELECT id FROM things WHERE ? ORDER BY id", where)
		}
		for _, test := range []struct {
			a, b string
			want []int64
		}{{"a", "", []int64{1, 2}}, {"", "c", []int64{2}}, {"x", "c", []int64{}}, {"a", "b", []int64{1}}} {
			found, err := find(test.a, test.b)
			require.NoError(t, err)
			require.Equal(t, test.want, found)
		}
		_, err = find("", "")
		require.ErrorContains(t, err, "an empty Fragment is no condition")

		update := func(a, b backend.Opt[string]) error {
			changes := backend.JoinSQL(", ", backend.SQLIf(a.Present, "a = ?", a), backend.SQLIf(b.Present, "b = ?", b))
			_, err := db.Exec(t.Context(), "UPDATE things SET ? WHERE id = 1", changes)
			return err
		}
		require.NoError(t, update(backend.Opt[string]{}, backend.Some("new")))
		found, err := find("a", "new")
		require.NoError(t, err)
		require.Equal(t, []int64{1}, found)
		require.ErrorContains(t, update(backend.Opt[string]{}, backend.Opt[string]{}), "run no UPDATE that changes nothing")

		nested := backend.JoinSQL(" AND ", backend.SQL("a = 'a'"), backend.JoinSQL(" OR ", backend.SQLIf(false, "b = 'x'")), backend.SQLIf(false, "id = 2").And("id = 1"))
		found, err = backend.All[int64](t.Context(), db, "SELECT id FROM things WHERE ?", nested)
		require.NoError(t, err)
		require.Equal(t, []int64{1}, found)
		for _, forgotten := range []backend.Fragment{
			backend.JoinSQL(" AND ", backend.SQL("a = 'a'"), backend.Fragment{}), backend.SQLIf(false, "a = 'a'"), backend.SQL("a = 'a'").And("?", backend.SQLIf(false, "b = 'b'")),
		} {
			_, err = backend.All[int64](t.Context(), db, "SELECT id FROM things WHERE ?", forgotten)
			require.ErrorContains(t, err, "an empty Fragment is no condition")
		}

		negated := backend.JoinSQL(" AND NOT ", backend.SQLIf(false, "a = 'x'"), backend.SQL("a = 'a'"))
		_, err = backend.All[int64](t.Context(), db, "SELECT id FROM things WHERE ?", negated)
		require.ErrorContains(t, err, "an empty Fragment", "what is left would not be negated")
	})
}

// A Fragment that is not an argument itself is an error, and not the text {}, which
// no row is equal to.
func TestFragmentsWithinArgumentsAreErrors(t *testing.T) {
	t.Parallel()
	backendtest.EachDB(t, func(t *testing.T, db *backend.DB) {
		f := backend.SQL("SELECT 'x'")
		pointer := &f
		for _, arg := range []any{
			[]any{f}, []*backend.Fragment{pointer}, [1]backend.Fragment{f}, [][]backend.Fragment{{f}}, &pointer,
			struct{ F backend.Fragment }{f}, map[string]any{"f": f}, backend.Some(f),
		} {
			_, err := backend.All[string](t.Context(), db, "SELECT 'x' WHERE 'x' NOT IN (?)", arg)
			require.ErrorContains(t, err, "join several with JoinSQL", "%T", arg)
			_, err = backend.All[string](t.Context(), db, "SELECT 'x' WHERE 'x' <> ?", arg)
			require.ErrorContains(t, err, "join several with JoinSQL", "%T", arg)
		}
	})
}
