package sqltext

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestText(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		dialect Dialect
		source  string
		lengths []int
		want    string
	}{
		{"numbered", Postgres, "SELECT * FROM t WHERE a = ? AND b=?", nil, "SELECT * FROM t WHERE a = $1 AND b=$2"},
		{"as they are", SQLite, "SELECT * FROM t WHERE a = ?", nil, "SELECT * FROM t WHERE a = ?"},
		{"string", Postgres, "SELECT 'a ? '' ?', ?", nil, "SELECT 'a ? '' ?', $1"},
		{"backslash is a character", Postgres, `SELECT '\', ?`, nil, `SELECT '\', $1`},
		{"escape string", Postgres, `SELECT E'\' ?', ?`, nil, `SELECT E'\' ?', $1`},
		{"E is not a prefix", Postgres, `SELECT e.'\', ?`, nil, `SELECT e.'\', $1`},
		{"quoted name", Postgres, `SELECT "a?""?" FROM t WHERE b = ?`, nil, `SELECT "a?""?" FROM t WHERE b = $1`},
		{"dollar quotes", Postgres, "SELECT $$ ? $$, $x$ ? $$ ? $x$, ?", nil, "SELECT $$ ? $$, $x$ ? $$ ? $x$, $1"},
		{"line comment", Postgres, "SELECT ? -- why?\n, ?", nil, "SELECT $1 -- why?\n, $2"},
		{"nested comment", Postgres, "SELECT /* ? /* ? */ ? */ ?", nil, "SELECT /* ? /* ? */ ? */ $1"},
		{"cast", Postgres, "SELECT ?::jsonb, a::text FROM t", nil, "SELECT $1::jsonb, a::text FROM t"},
		{"json operator", Postgres, "SELECT data ? 'key' FROM t WHERE id = ?", nil, "SELECT data ? 'key' FROM t WHERE id = $1"},
		{"json operator and parameter", Postgres, "SELECT 1 FROM t WHERE data ? ? AND (a->'b') ?| ?", nil, "SELECT 1 FROM t WHERE data ? $1 AND (a->'b') ?| $2"},
		{"json operator on a parameter", Postgres, "SELECT ?::jsonb ?& ?", nil, "SELECT $1::jsonb ?& $2"},
		{"doubled", Postgres, "SELECT data ?? ?, x ??| ?", nil, "SELECT data ? $1, x ?| $2"},
		{"column named like a keyword", Postgres, "SELECT t.in ? 'x' FROM t", nil, "SELECT t.in ? 'x' FROM t"},
		{"after keywords", Postgres, "SELECT ? WHERE a BETWEEN ? AND ? LIMIT ? OFFSET ?", nil, "SELECT $1 WHERE a BETWEEN $2 AND $3 LIMIT $4 OFFSET $5"},
		{"case", Postgres, "SELECT CASE ? WHEN ? THEN ? ELSE ? END", nil, "SELECT CASE $1 WHEN $2 THEN $3 ELSE $4 END"},
		{"time zone", Postgres, "SELECT now() AT TIME ZONE ?", nil, "SELECT now() AT TIME ZONE $1"},
		{"mysql backslash", MySQL, `SELECT 'it\'s ?', "a\"?", ? # ?`, []int{2}, `SELECT 'it\'s ?', "a\"?", ?, ? # ?`},
		{"mysql minus", MySQL, "SELECT 5--?", []int{2}, "SELECT 5--?, ?"},
		{"sqlite bracket", SQLite, "SELECT [a?] FROM t WHERE b IN (?)", []int{2}, "SELECT [a?] FROM t WHERE b IN (?, ?)"},

		{"json path operator", Postgres, "SELECT doc @? '$.a', doc @? ?, doc<@? , v@@?", nil, "SELECT doc @? '$.a', doc @? $1, doc<@$2 , v@@$3"},
		{"fetch", Postgres, "SELECT t.first ? 'k', first ? 'k' FROM t FETCH FIRST ? ROWS ONLY", nil, "SELECT t.first ? 'k', first ? 'k' FROM t FETCH FIRST $1 ROWS ONLY"},
		{"trim", Postgres, "SELECT trim(BOTH ? FROM a), overlay(a PLACING ? FROM ?)", nil, "SELECT trim(BOTH $1 FROM a), overlay(a PLACING $2 FROM $3)"},
		{"subscripts", Postgres, "SELECT a[?], a[?:?], ARRAY[?, ?]", nil, "SELECT a[$1], a[$2:$3], ARRAY[$4, $5]"},
		{"comments in a list", Postgres, "SELECT 1 WHERE a IN /* x */ (-- y\n? /* z? */)", []int{2}, "SELECT 1 WHERE a = ANY($1)"},
		{"executed comment", MySQL, "SELECT /*! ? */ /*!40101 , ? */ /*M!100100 , ? */ /* ? */ WHERE a IN (?)", []int{One, One, One, 2}, "SELECT /*! ? */ /*!40101 , ? */ /*M!100100 , ? */ /* ? */ WHERE a IN (?, ?)"},
		{"array", Postgres, "SELECT * FROM t WHERE a IN (?) AND b = ?", []int{3, One}, "SELECT * FROM t WHERE a = ANY($1) AND b = $2"},
		{"no array", Postgres, "SELECT * FROM t WHERE a not  in ( ? )", []int{0}, "SELECT * FROM t WHERE a <> ALL($1)"},
		{"one in a list", Postgres, "SELECT * FROM t WHERE a IN (?)", []int{One}, "SELECT * FROM t WHERE a IN ($1)"},
		{"padded", SQLite, "SELECT * FROM t WHERE a IN (?) AND b = ?", []int{3, One}, "SELECT * FROM t WHERE a IN (?, ?, ?, ?) AND b = ?"},
		{"empty in sqlite", SQLite, "DELETE FROM t WHERE a NOT IN (?)", []int{0}, "DELETE FROM t WHERE a NOT IN ()"},
		{"empty in mysql", MySQL, "DELETE FROM t WHERE a IN (?)", []int{0}, "DELETE FROM t WHERE a IN (SELECT NULL FROM DUAL WHERE FALSE)"},
	} {
		t.Run(test.name, func(t *testing.T) {
			q, err := Parse(test.dialect, test.source)
			require.NoError(t, err)
			require.Equal(t, test.want, q.Text(test.lengths))
		})
	}
}

func TestList(t *testing.T) {
	t.Parallel()
	q, err := Parse(Postgres, "SELECT ? FROM t WHERE a IN (?) AND b IN (?, ?) AND c IN (f(?)) AND NOT IN(\n?\t)")
	require.NoError(t, err)
	require.Equal(t, 6, q.Params())
	var lists []bool
	for i := range q.Params() {
		lists = append(lists, q.List(i))
	}
	require.Equal(t, []bool{false, true, false, false, false, true}, lists)
}

func TestReads(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]bool{
		"SELECT 1":                              true,
		"  -- note\n select replace(a, ?, ?)":   true,
		"VALUES (1)":                            true,
		"WITH x AS (SELECT 1) SELECT * FROM x;": true,
		"WITH x AS (DELETE FROM t RETURNING *) SELECT * FROM x": false,
		"WITH x AS (SELECT 1) INSERT INTO t SELECT * FROM x":    false,
		"WITH x AS (SELECT 1) REPLACE INTO t SELECT * FROM x":   false,
		"SELECT 1; DELETE FROM t":                               false,
		"SELECT * FROM t FOR UPDATE":                            false,
		"SELECT 'DELETE'":                                       true,
		"SELECT t.update FROM t":                                true,
		"INSERT INTO t VALUES (?)":                              false,
		"PRAGMA journal_mode = DELETE":                          false,
		"":                                                      false,
	} {
		q, err := Parse(SQLite, source)
		require.NoError(t, err, source)
		require.Equal(t, want, q.Reads(), source)
	}
}

// What stands beside a parameter decides whether a condition in its place needs
// parentheses.
func TestBound(t *testing.T) {
	t.Parallel()
	for source, want := range map[string][]bool{
		"WHERE ?": {false}, "WHERE a and ?": {true}, "WHERE ? AND a": {true}, "WHERE ? /* x */ OR -- y\n ?": {true, true}, "NOT ?": {true},
		"(?) AND (?)": {false, false}, "a = ? AND b IN ? AND c": {true, false}, "a = ANY ? OR x": {false}, "SELECT t.and, ?": {false}, "? XOR ?": {true, true},
		"? || ?": {true, true}, "? && ?": {true, true}, "! ?": {true}, "'AND' ?": {false},
	} {
		q, err := Parse(MySQL, source)
		require.NoError(t, err, source)
		var got []bool
		for i := range q.Params() {
			got = append(got, q.Bound(i))
			require.Equal(t, byte('?'), q.Source()[q.At(i)], source)
		}
		require.Equal(t, want, got, source)
	}
}

func TestTailAndTokens(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		dialect Dialect
		source  string
		tail    Tail
		tokens  int
	}{
		{SQLite, "", TailClosed, 0},
		{SQLite, "a.b = ?", TailClosed, 5},
		{SQLite, "a -- b", TailLine, 1},
		{SQLite, "a -- b\n", TailClosed, 1},
		{SQLite, " /* a */ ", TailClosed, 0},
		{SQLite, "'--' /* a", TailOpen, 1},
		{SQLite, "a # b", TailClosed, 3},
		{MySQL, "a # b", TailLine, 1},
		{MySQL, "/*! a */", TailClosed, 1},
		{Postgres, "$$--$$", TailClosed, 1},
	} {
		q, err := Parse(test.dialect, test.source)
		require.NoError(t, err, test.source)
		require.Equal(t, test.tail, q.Tail(), test.source)
		require.Equal(t, test.tokens, q.Tokens(), test.source)
	}
}

func TestClip(t *testing.T) {
	t.Parallel()
	require.Equal(t, "SELECT 1", Clip("SELECT 1"))
	require.Equal(t, "a"+strings.Repeat("é", 499)+"…", Clip("a"+strings.Repeat("é", 600)))
}

func TestTransaction(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]bool{
		"begin": true, " /* x */ COMMIT": true, "ROLLBACK TO a": true, "SAVEPOINT a": true, "RELEASE a": true, "END": true, "ABORT": true,
		"START TRANSACTION": true, "START SLAVE": false, "SELECT 1": false, "SET TRANSACTION READ ONLY": false, "": false,
	} {
		q, err := Parse(MySQL, source)
		require.NoError(t, err, source)
		require.Equal(t, want, q.Transaction(), source)
	}
}

// What begins or ends a transaction may stand in any statement of a text. The body of
// a trigger or a function is one statement, whatever words are in it.
func TestTransactionInALaterStatement(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]bool{
		"INSERT INTO a VALUES (1); COMMIT":      true,
		"INSERT INTO a VALUES (1);COMMIT;":      true,
		";; rollback":                           true,
		"SELECT 1; -- ;\n /* ; */ end":          true,
		"SELECT 1; START TRANSACTION":           true,
		"SELECT 1; START":                       false,
		"PREPARE TRANSACTION 'a'":               true,
		"PREPARE a AS SELECT 1":                 false,
		"SELECT 1; SAVEPOINT a":                 true,
		"SELECT ';COMMIT'; SELECT \"; COMMIT\"": false,
		"SELECT a.commit; SELECT 1 AS commit":   false,
		"CREATE TRIGGER t AFTER INSERT ON a BEGIN UPDATE a SET b = CASE WHEN b THEN 1 ELSE 2 END; DELETE FROM c; END":         false,
		"CREATE TRIGGER t AFTER INSERT ON a BEGIN UPDATE a SET b = CASE WHEN b THEN 1 ELSE 2 END; DELETE FROM c; END; COMMIT": true,
		"CREATE TEMP TRIGGER t AFTER INSERT ON a BEGIN SELECT 1; END;":                                                        false,
		"CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END; SELECT 3":                                      false,
		"CREATE TABLE t (begin int); COMMIT":                                                                                  true,
	} {
		for _, dialect := range []Dialect{SQLite, Postgres} {
			q, err := Parse(dialect, source)
			require.NoError(t, err, source)
			require.Equal(t, want, q.Transaction(), source)
		}
	}
}

func TestUnterminated(t *testing.T) {
	t.Parallel()
	for _, source := range []string{"SELECT 1 /*!999999 /* */", "SELECT 1 /*!80000 ", "SELECT 1 /*! "} {
		_, err := Parse(MySQL, source)
		require.ErrorContains(t, err, "line 1", source)
	}
	for _, source := range []string{"SELECT 'a", `SELECT "a`, "SELECT /* /* */", "SELECT $x$ a $$", `SELECT E'\'`} {
		_, err := Parse(Postgres, source)
		require.ErrorContains(t, err, "line 1", source)
	}
}

func TestSplit(t *testing.T) {
	t.Parallel()
	got, err := Split(Postgres, "-- first\nCREATE TABLE a (b text DEFAULT ';');\n\n;/* ; */;\nDO $$ BEGIN; END $$;\nSELECT 1 -- end;\n")
	require.NoError(t, err)
	require.Equal(t, []string{"-- first\nCREATE TABLE a (b text DEFAULT ';')", "DO $$ BEGIN; END $$", "SELECT 1 -- end;"}, got)

	got, err = Split(MySQL, "/*!40101 SET NAMES utf8 */;\n/* ; */;\nSELECT 1;")
	require.NoError(t, err)
	require.Equal(t, []string{"/*!40101 SET NAMES utf8 */", "SELECT 1"}, got)
	_, err = Split(MySQL, "/*! SELECT 1")
	require.Error(t, err)
	dump := []string{"/*!999999\\- don't; */ SELECT 1", "/*!50003 CREATE TRIGGER t BEFORE INSERT ON a FOR EACH ROW SET NEW.b = 1; */", "/*!80000 SELECT '?; ' */", "/*M!110000 it's; */ SELECT 2", "/*!50700 a /* ; */ b */"}
	got, err = Split(MySQL, strings.Join(dump, ";\n")+";")
	require.NoError(t, err)
	require.Equal(t, dump, got)

	_, err = Split(Postgres, "SELECT 'a;")
	require.Error(t, err)

	got, err = Split(SQLite, " -- nothing\n")
	require.NoError(t, err)
	require.Empty(t, got)
	require.Empty(t, Single(SQLite, "-- nothing\n"))
	require.Equal(t, "BEGIN; END;", Single(SQLite, "\nBEGIN; END;\n"))
}

func TestPadded(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]int{0: 0, 1: 1, 2: 2, 3: 4, 4: 4, 5: 8, 1000: 1024, 4096: 4096, 32_766: 32_766} {
		require.Equal(t, want, Padded(n))
	}
}

// FuzzParse checks that no text panics, that without parameters nothing is
// changed but doubled question marks, and that the written text has the
// parameters again.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{"SELECT ?", "a IN (?)", "'?' \"?\" `?` [?]", "$$?$$ $1 $a$", "E'\\'?'", "/*?*/--?\n?", "a ?? ? ?| ?", "\x00?\xff"} {
		for dialect := range MySQL + 1 {
			f.Add(uint8(dialect), seed)
		}
	}
	f.Fuzz(func(t *testing.T, dialect uint8, source string) {
		d := Dialect(dialect % uint8(MySQL+1))
		q, err := Parse(d, source)
		if err != nil {
			return
		}
		if d != Postgres {
			require.Equal(t, source, q.Text(nil))
			lengths := make([]int, q.Params())
			for i := range lengths {
				lengths[i] = One
			}
			require.Equal(t, source, q.Text(lengths))
			return
		}
		require.GreaterOrEqual(t, strings.Count(q.Text(nil), "$"), q.Params())
		if q.Params() == 0 && !strings.Contains(source, "??") {
			require.Equal(t, source, q.Text(nil))
		}
	})
}

func TestReturns(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]bool{
		"SELECT 1": true, "(SELECT 1)": true, "/* a */ VALUES (1)": true, "SELECT id FROM t FOR UPDATE": true, "SHOW TABLES": true,
		"INSERT INTO t VALUES (1) RETURNING id": true, "DELETE FROM t returning *": true, "EXPLAIN DELETE FROM t": true,
		"WITH a AS (SELECT 1) SELECT * FROM a": true, "WITH a AS (DELETE FROM t RETURNING id) SELECT * FROM a": true,
		"WITH a AS (SELECT 1) UPDATE t SET n = 1": false, "WITH a AS (SELECT 1) DELETE FROM t": false,
		"INSERT INTO t SELECT 1": false, "UPDATE t SET n = (SELECT 1)": false, "DELETE FROM t WHERE a = 'RETURNING'": false,
		"INSERT INTO t (t.returning) VALUES (1)": false, "UPDATE t SET `returning` = 1": false, "CALL p(1)": false, "": false,
	} {
		q, err := Parse(MySQL, query)
		require.NoError(t, err)
		require.Equal(t, want, q.Returns(), query)
	}
}

// Each ? that cannot be JSON is written as !.
func TestPlain(t *testing.T) {
	t.Parallel()
	for _, marked := range []string{
		"SELECT * FROM t WHERE id = ! AND ! < id OR id<>! AND id IS DISTINCT FROM !",
		"id IN (!) AND id NOT IN (!, !) AND id IN (1, !) AND (a, b) IN ((!, !), (!, !))",
		"id IN (lower(?), !) AND id IN (SELECT ? FROM json_each(?) WHERE a = !) AND id IN (VALUES (!), (!))",
		"id = ANY(!) OR id <> ALL (!) OR ! = ANY(tags) OR id > SOME(!) OR id = (!) OR (a, b) = (!, !)",
		"name LIKE ! OR ! LIKE name OR ! IS NULL OR n BETWEEN ! AND ! OR NOT ! OR ! IN (a, b) OR ! NOT IN (a)",
		"WHERE ! AND ! OR (!)",
		"SELECT ?, ?, f(?), n + ! FROM t LIMIT ! OFFSET !",
		"SELECT id FROM t ORDER BY ! LIMIT !",
		"INSERT INTO t (a, b) VALUES (?, ?), (?, (?)) RETURNING ?",
		"INSERT INTO t (a) SELECT ?, ? WHERE a = !",
		"INSERT INTO t (a) VALUES (?) ON CONFLICT (a) DO UPDATE SET a = ?, b = excluded.b WHERE t.a = !",
		"INSERT INTO t (a) VALUES (?) ON DUPLICATE KEY UPDATE a = ?, b = ?",
		"INSERT INTO t SET a = ?, b = ?",
		"UPDATE t SET a = ?, t.b = ?, \"c\" = ? WHERE id = !",
		"UPDATE t SET a = ?, b = b + !, c = (d = !), e = a = !, f = ? FROM u WHERE u.id = ! AND u.x = !",
		"UPDATE t SET a = CASE WHEN b = ! THEN ? ELSE ? END, c = ? RETURNING a = !",
		"UPDATE t SET a = a IS DISTINCT FROM !, b = ?",
		"UPDATE t SET a = (SELECT ? FROM u WHERE u.id = !), b = COALESCE(?, b), c = ?",
		"UPDATE t SET (a, b) = (?, ?) WHERE a = !",
		"UPDATE t SET a[1] = ?, b = a || ? WHERE id>=!",
		"UPDATE a JOIN b ON a.x = ! SET doc = ?",
		"MERGE INTO t USING u ON t.id = ! WHEN MATCHED THEN UPDATE SET a = ?, b = ? WHEN NOT MATCHED THEN INSERT (a) VALUES (?)",
		"SELECT * FROM t WHERE doc @> ? AND ? <@ doc AND json_contains(doc, ?) AND doc = CAST(? AS JSON) AND doc = f(a => ?)",
		"SELECT * FROM json_each(?) AS a WHERE EXISTS (SELECT 1 FROM json_each(?)) AND a.value IN (SELECT value FROM json_each(?))",
		"SELECT CASE ! WHEN ! THEN ? ELSE ? END",
		"DELETE FROM t WHERE id NOT IN (!, !)",
		"CALL p(?, ?)",
		"SELECT ? a, ? \"b\" = 1, ? AS c",
		"?",
	} {
		text := strings.ReplaceAll(marked, "!", "?")
		for _, dialect := range []Dialect{Postgres, SQLite, MySQL} {
			q, err := Parse(dialect, text)
			require.NoError(t, err)
			got := []byte(text)
			for i := range q.Params() {
				if q.Plain(i) {
					got[q.At(i)] = '!'
				}
			}
			require.Equal(t, marked, string(got), dialect)
		}
	}
	q, err := Parse(Postgres, "SELECT * FROM t WHERE doc = ?::jsonb OR doc=? :: json OR ids = ?::int[]")
	require.NoError(t, err)
	require.Equal(t, []bool{false, false, true}, []bool{q.Plain(0), q.Plain(1), q.Plain(2)})
}

func TestSession(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		dialect Dialect
		want    Session
		texts   []string
	}{
		{Postgres, SessionKept, []string{
			"", "SELECT 1", "(SELECT 1)", "SELECT t.set, 'SET a'; VALUES (1)", "SET LOCAL a = b", "set transaction read only", "SET CONSTRAINTS ALL DEFERRED",
			"SELECT set_config('a', ?, true)", "SELECT set_config('a', f(')', false), TRUE)", "CREATE TABLE t (temp int, local text)", "INSERT INTO temp VALUES (1)",
			"UPDATE t SET temp = 1", "SELECT pg_advisory_xact_lock(1), pg_advisory_unlock_all", "LOCK TABLE t", "DECLARE a CURSOR FOR SELECT 1", "DECLARE a CURSOR WITHOUT HOLD FOR SELECT 1",
			"CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT set_config('a', 'b', false); SELECT pg_advisory_lock(1); END; SELECT 1",
			"CREATE FUNCTION f() RETURNS int LANGUAGE sql SET search_path = a AS 'SELECT 1'", "ALTER ROLE a SET b = c", "EXPLAIN SELECT 1",
		}},
		{Postgres, SessionUnknown, []string{"DO $$ $$", "CALL f()", "SELECT 1; EXECUTE a", "FROBNICATE"}},
		{Postgres, SessionChanged, []string{
			"SET a = b", "SET", `SET "local" = 1`, "SELECT 1; -- x\n set a = b; SELECT 2", "SET LOCAL a = b; SET a = b", "RESET ALL", "LISTEN a", "PREPARE a AS SELECT 1",
			"SELECT set_config('a', 'b', ?)", "SELECT set_config('a', 'b', false)", "SELECT set_config('a', 'b', NOT true)", `SELECT pg_catalog . "set_config" /* x */ ('a', 'b', 't')`,
			"SELECT set_config('a', set_config('b', 'c', false), true)", "SELECT SET_CONFIG('a', 'b', false), set_config('a', 'b', true)",
			"CREATE TEMP TABLE t (a int)", "create or replace temporary view a AS SELECT 1", "CREATE LOCAL TEMP TABLE t (a int)", "SELECT 1 INTO TEMP t", "CREATE TABLE pg_temp.t (a int)", `CREATE TABLE "pg_temp" . t (a int)`,
			"SELECT pg_try_advisory_lock(1)", "WITH a AS (SELECT pg_advisory_lock_shared(1)) SELECT 1", "DECLARE a CURSOR WITH HOLD FOR SELECT 1", "DISCARD ALL", "LOAD 'a'",
		}},
		{SQLite, SessionKept, []string{"PRAGMA foreign_keys", "PRAGMA main.table_info(t)", "PRAGMA user_version = 7", "SELECT * FROM pragma_table_info('t')", "VACUUM", "CREATE TABLE t (a CHECK (a = (1)))"}},
		{SQLite, SessionChanged, []string{"PRAGMA foreign_keys = 0", "PRAGMA main.foreign_keys(0)", "SELECT 1; pragma foreign_keys=0", "ATTACH 'a' AS b", "DETACH b", "CREATE TEMP TRIGGER a AFTER INSERT ON b BEGIN SELECT 1; END", "CREATE TABLE [temp].t (a)"}},
		{MySQL, SessionKept, []string{"SELECT @@sql_mode", "SELECT a INTO b", "CREATE PROCEDURE p() BEGIN SET @a = 1; SELECT @b := 2; SELECT GET_LOCK('a', 1); END", "/*!40101 SELECT 1 */", "/*M! SET STATEMENT a = 0, b = 1 FOR */ INSERT INTO t VALUES (1)"}},
		{MySQL, SessionUnknown, []string{"CALL p()", "XA START 'a'", "EXECUTE IMMEDIATE 'a'"}},
		{MySQL, SessionChanged, []string{
			"SET LOCAL a = b", "SET TRANSACTION READ ONLY", "/*!40101 SET a = b */", "LOCK TABLES t READ", "UNLOCK TABLES", "USE a", "SELECT @a := 1", "SELECT 1 INTO @a", "SET STATEMENT a = 1 FOR SET b = 2", "SET STATEMENT a = 1 FOR SELECT 1 INTO @a", "SELECT get_lock ('a', 1)", "FLUSH TABLES WITH READ LOCK",
			"CREATE TEMPORARY TABLE t (a int)", "CREATE OR REPLACE TEMPORARY TABLE t (a int)",
		}},
	} {
		for _, text := range test.texts {
			q, err := Parse(test.dialect, text)
			require.NoError(t, err, text)
			require.Equal(t, test.want, q.Session(), text)
		}
	}
}

func TestRepeats(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"SELECT 1": true, "select Count(*), max(a) FROM t WHERE a IN (?) AND (b OR c)": true, "VALUES (1), (2)": true, "SELECT CAST(a AS VARCHAR(10)) FROM t": true,
		"WITH a AS (SELECT 1) SELECT * FROM a": true, "SELECT sum(a) OVER (PARTITION BY b) FROM t FOR SHARE": true, "SELECT 'f(x)' -- f(x)": true,
		"SELECT f(a) FROM t": false, `SELECT "f" (1)`: false, "SELECT s.count(1)": false, "SELECT nextval('s')": false, "SELECT pg_terminate_backend(1)": false, "SELECT lower(f(1))": false,
		"SELECT pg_advisory_lock(1)": false, "SELECT set_config('a', 'b', true)": false, "SELECT * FROM t FOR UPDATE": false, "SELECT 1 INTO a": false, "SELECT 1; SELECT 2": false,
		"WITH a AS (DELETE FROM t RETURNING *) SELECT * FROM a": false, "INSERT INTO t VALUES (1)": false, "CALL f()": false, "": false,
	} {
		q, err := Parse(Postgres, text)
		require.NoError(t, err, text)
		require.Equal(t, want, q.Repeats(), text)
	}
}

// The hint is about the mistake that was made.
func TestWrongNumber(t *testing.T) {
	t.Parallel()
	const asText, asOperator = "; a ? in a string or comment is no parameter", ", and after a name or value it is an operator"
	for _, test := range []struct {
		dialect Dialect
		source  string
		args    int
		want    string
	}{
		{SQLite, "SELECT 1", 1, "it has 0 parameters (?) and was given 1 argument"},
		{SQLite, "SELECT ?", 0, "it has 1 parameter (?) and was given 0 arguments"},
		{SQLite, "SELECT '?'", 1, "it has 0 parameters (?) and was given 1 argument" + asText},
		{SQLite, "SELECT '?', ?, ?", 1, "it has 2 parameters (?) and was given 1 argument"},
		{Postgres, "SELECT a ?", 1, "it has 0 parameters (?) and was given 1 argument" + asText + asOperator},
		{Postgres, "SELECT $1", 1, "it has 0 parameters (?) and was given 1 argument; write ? for $1"},
		{SQLite, "SELECT * FROM t WHERE a = :name", 1, "it has 0 parameters (?) and was given 1 argument; write ? for :name"},
		{Postgres, "SELECT a::int, ':x'", 1, "it has 0 parameters (?) and was given 1 argument"},
		{Postgres, "SELECT $2::int", 1, "it has 0 parameters (?) and was given 1 argument; write ? for $2"},
		{Postgres, "SELECT '$1', a$1, $$ $1 $$ -- $1", 1, "it has 0 parameters (?) and was given 1 argument"},
		{SQLite, "SELECT '?', $12", 1, "it has 0 parameters (?) and was given 1 argument; write ? for $12"},
		{MySQL, "SELECT $1, ?", 2, "it has 1 parameter (?) and was given 2 arguments; write ? for $1"},
		{MySQL, "SELECT '$1', $a, $", 1, "it has 0 parameters (?) and was given 1 argument"},
	} {
		q, err := Parse(test.dialect, test.source)
		require.NoError(t, err)
		require.EqualError(t, q.WrongNumber("it", test.args), test.want+": "+test.source)
	}
}
