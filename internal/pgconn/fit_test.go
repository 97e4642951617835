//go:build unix

package pgconn_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend/internal/pgconn"
)

// An argument that no integer column holds finds nothing by its index, as any other does.
func TestUnfitArgumentsUseIndexes(t *testing.T) {
	t.Parallel()
	db := open(t, server(t), pgconn.Config{})
	mustExec(t, db, "CREATE TABLE a (mid INT PRIMARY KEY, big BIGINT UNIQUE); INSERT INTO a SELECT n, n FROM generate_series(1, 10000) n; ANALYZE a")
	c, _ := session(t, db)
	for _, column := range []string{"mid", "big"} {
		for _, value := range []any{"abc", "1e30", "0.5", "99999999999999999999", int64(5_000_000_000), int64(7)} {
			for condition, value := range map[string]any{" = $1": value, " IN ($1)": value, " = ANY($1)": fmt.Sprintf("{%v}", value)} {
				plan, err := all(t.Context(), c, "EXPLAIN SELECT * FROM a WHERE a."+column+condition, value)
				require.NoError(t, err)
				require.Contains(t, fmt.Sprintf("%s", plan), "Index", "%s%s with %v", column, condition, value)
				require.NotContains(t, fmt.Sprintf("%s", plan), "Seq Scan")
			}
		}
	}
}

// The elements of arrays compare as single arguments do.
func TestUnfitElements(t *testing.T) {
	t.Parallel()
	c, _ := session(t, open(t, server(t), pgconn.Config{}))
	for _, test := range []struct {
		condition, array string
		want             string
	}{
		{"n = ANY($1::TYPE[])", `{1,abc}`, "22P02"}, // what is cast keeps its error
		{"n = ANY($1)", `{}`, "[]"},
		{"n = ANY($1)", `{1,-2}`, "[[1] [1]]"},
		{"n = ANY($1)", `{1,9223372036854775807}`, "[[1] [1]]"}, // which only bigint holds
		{"n <> ALL($1)", `{1,9223372036854775807}`, "[[0]]"},
		{"n < ALL($1)", `{1,9223372036854775807}`, "[[0]]"},
		{"n = ANY($1)", `{ 1 ,+0}`, "[[0] [1] [1]]"},
		{"n = ANY($1)", `{1,}`, "22P02"},
		{"n = ANY($1)", `{,1}`, "22P02"},
		{"n = ANY($1)", `{"1",NULL,"a\"b\\",1e0}`, "[[1] [1]]"},
		{"n = ANY($1)", `{abc}`, "[]"},
		{"NOT n = ANY($1)", `{abc}`, "[[0] [1] [1]]"}, // and not NULL
		{"n <> ALL($1)", `{"",7e30}`, "[[0] [1] [1]]"},
		{"n <> ALL($1)", `{"",1}`, "[[0]]"},
		{"n < ANY($1)", `{-5,"0.5"}`, "[[0]]"},
		{"n < ALL($1)", `{abc,1e30}`, "[[0] [1] [1]]"},
		{"n = ANY($1)", `{{1,abc}}`, "22P02"},
		{"n = ANY($1)", `{1,abc`, "22P02"},
		{"n = ANY($1)", `{1,,x}`, "22P02"},
		{"n = ANY($1)", `{"1}`, "22P02"},
		{"n = ANY($1)", `{"1"x}`, "22P02"},
		{"n = ANY($1)", "abc", "22P02"},
	} {
		for _, name := range []string{"smallint", "int", "bigint"} {
			text := "SELECT n FROM (SELECT unnest(ARRAY[0, 1, 1, NULL])::" + name + ") x (n) WHERE " + strings.ReplaceAll(test.condition, "TYPE", name) + " ORDER BY n"
			got, err := all(t.Context(), c, text, test.array)
			if strings.HasPrefix(test.want, "22") {
				require.Equal(t, test.want, code(t, err), "%s %s", text, test.array)
				continue
			}
			require.NoError(t, err, "%s %s", text, test.array)
			require.Equal(t, test.want, fmt.Sprint(append([]any{}, anys(got)...)), "%s %s", text, test.array)
		}
	}
}

func anys[T any](list []T) (all []any) {
	for _, item := range list {
		all = append(all, item)
	}
	return all
}

// Where nothing is compared, or no larger type is possible, the error is one of the argument.
func TestUnfitArgumentsThatFail(t *testing.T) {
	t.Parallel()
	for _, pooler := range []bool{false, true} {
		t.Run(fmt.Sprintf("pooler=%t", pooler), func(t *testing.T) {
			t.Parallel()
			u := server(t)
			db := open(t, u, pgconn.Config{Pooler: pooler})
			mustExec(t, db, "CREATE TABLE a (n INT)")
			c, _ := session(t, db)
			for _, text := range []string{"INSERT INTO a VALUES ($1)", "UPDATE a SET n = $1", "SELECT lpad('a', $1)", "SELECT 1 FROM a WHERE n + $1 > 0", "SELECT 1 FROM a WHERE n = $1::int"} {
				for value, want := range map[any]string{int64(5_000_000_000): "22003", "abc": "22P02"} {
					_, err := all(t.Context(), c, text, value)
					require.Error(t, err, text)
					require.Equal(t, want, code(t, err), text)
				}
			}
			_, err := all(t.Context(), c, "SELECT substring('abc' FROM $1::int FOR 1) || substring('abc' FROM n FOR $1) FROM a", "abc")
			require.Equal(t, "22P02", code(t, err))
			// Outside of a transaction the statement then runs as it was.
			for _, want := range []error{pgconn.ErrUnfit, nil} {
				if want != nil {
					require.NoError(t, c.StartTx(t.Context(), "BEGIN"))
				}
				_, err = all(t.Context(), c, "SELECT 1 FROM a WHERE substring('abc' FROM $1 FOR n) = 'a'", int64(5_000_000_000))
				if want == nil && pooler {
					require.Equal(t, "22003", code(t, err))
					continue
				}
				require.ErrorIs(t, err, pgconn.ErrUnfit)
				if want != nil {
					require.NoError(t, c.Rollback(t.Context()))
				}
			}
		})
	}
}

// Without kept statements the types are asked for once for each text, and again when they
// may have changed.
func TestTypesOfStatementsThatAreNotKept(t *testing.T) {
	t.Parallel()
	long := "/* " + strings.Repeat("long ", 4000) + " */ "
	for _, test := range []struct {
		name   string
		pooler bool
		text   string
	}{
		{"pooler", true, "/* find */ ((SELECT n FROM a WHERE n = $1))"},
		{"long text", false, long + "SELECT n FROM a WHERE n = $1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			db := open(t, server(t), pgconn.Config{Pooler: test.pooler})
			mustExec(t, db, "CREATE TABLE a (n INT)")
			mustExec(t, db, "INSERT INTO a VALUES (12)")
			c, _ := session(t, db)
			find := func(value any) int {
				t.Helper()
				got, err := all(t.Context(), c, test.text, value)
				require.NoError(t, err)
				return len(got)
			}
			for range 2 {
				require.Equal(t, 1, find("12.0"))
				require.Equal(t, 0, find("abc"))
				require.Equal(t, 0, find(int64(5_000_000_000)))
			}
			mustExec(t, db, "ALTER TABLE a ALTER n TYPE TEXT")
			mustExec(t, db, "INSERT INTO a VALUES ('abc')")
			require.Equal(t, 1, find("abc"))
		})
	}
}
