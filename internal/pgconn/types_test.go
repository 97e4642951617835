package pgconn

import (
	"database/sql/driver"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMayWrite(t *testing.T) {
	t.Parallel()
	for text, may := range map[string]bool{
		"INSERT INTO t VALUES (1)": true, "update t set a = 1": true, "(delete from t)": true, "WITH x AS (MERGE INTO t) SELECT 1": true, "/*x*/UPDATE t": true, "SELECT 1;DELETE FROM t": true,
		"SELECT a FROM t FOR UPDATE": true, "": false, "SELECT updated_at, insert$, \"é\" FROM last_update, deletes": false, "SELECT éinsert": false,
	} {
		require.Equal(t, may, mayWrite(text), text)
	}
}

// Which parameters are only assigned, as a string of their numbers.
func TestAssigned(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"INSERT INTO t (a, b) VALUES ($1, $2), ($3, DEFAULT)":                                            "123",
		"insert into t values($1,$2)":                                                                    "12",
		"INSERT INTO t VALUES ($1, lower($2), $3::text, $4 || $5, ($6))":                                 "1",
		"INSERT INTO t VALUES ($1, $2) ON CONFLICT (a) DO UPDATE SET b = $3, c = $4 || b WHERE t.b = $5": "123",
		"INSERT INTO t VALUES ($1, 'a '' $2', \"x\"\"y\", now()) RETURNING a = $2":                       "1",
		"INSERT INTO t VALUES ($1, $2) ON CONFLICT (a) DO UPDATE SET (b, c) = ($3, $4) RETURNING $5":     "12",
		"INSERT INTO t SELECT a FROM u WHERE b IN (VALUES ($1), ($2)) AND c = $3":                        "",
		"INSERT INTO t VALUES ($1) UNION SELECT a FROM u":                                                "",
		"INSERT INTO t SELECT a FROM u UNION VALUES ($1)":                                                "",
		"INSERT INTO t VALUES ($1, (SELECT a FROM u WHERE b = $2 LIMIT 1), $3)":                          "13",
		"UPDATE t SET a = $1, \"b c\" = $2 WHERE c = $3":                                                 "12",
		"UPDATE t SET a=$1,b=$2":                                               "12",
		"UPDATE t SET a = $1 FROM u WHERE t.id = u.id":                         "1",
		"UPDATE t SET a = $1 RETURNING b = $2":                                 "1",
		"UPDATE t SET a = $1 WHERE a <> $1":                                    "",
		"UPDATE t SET a = b = $1, c = f(b = $2, c = $3), d = $4 = c":           "",
		"UPDATE t SET a = CASE WHEN b = $1 THEN $2 ELSE $3 END":                "",
		"UPDATE t SET a = a || $1, b = $2::date, c[1] = $3, d.e = $4, f = -$5": "",
		"UPDATE t SET (a, b) = ($1, $2)":                                       "",
		"UPDATE t SET a = $1 AND b":                                            "",
		"UPDATE t SET a = $1 -- x":                                             "",
		"UPDATE t SET a = $1 /* x */":                                          "",
		"UPDATE t SET a = E'\\'', b = $1":                                      "",
		"UPDATE t SET a = $$'$$, b = $1":                                       "",
		"UPDATE t SET a = $9, b = $1, c = $0":                                  "",
		"DELETE FROM t WHERE a = $1":                                           "",
		"MERGE INTO t USING u ON a = b WHEN MATCHED THEN UPDATE SET a = $1":    "",
		"WITH x AS (SELECT 1) UPDATE t SET a = $1":                             "",
		"UPDATE t SET a = 'x":                                                  "",
		"":                                                                     "",
	} {
		got := ""
		for i, is := range assigned(text, 6) {
			if is {
				got += fmt.Sprint(i + 1)
			}
		}
		require.Equal(t, want, got, text)
	}
}

func FuzzAssigned(f *testing.F) {
	f.Add("INSERT INTO t VALUES ($1, 'x', $2) ON CONFLICT (a) DO UPDATE SET b = $3")
	f.Add("UPDATE t SET a = $1, \"b\" = $2 WHERE c = $3")
	f.Fuzz(func(t *testing.T, text string) {
		for i, is := range assigned(text, 4) {
			require.True(t, !is || strings.Contains(text, fmt.Sprintf("$%d", i+1)))
		}
		for _, is := range assigned(text+" || $1", 1) {
			require.False(t, is, "an operand is not assigned")
		}
	})
}

// ownForm has a form for lib/pq's binary_parameters, of which the type of the column knows
// nothing.
type ownForm int64

func (ownForm) BinaryValue() ([]byte, error) { return []byte("form"), nil }

func TestNoFormsOfValuesThemselves(t *testing.T) {
	t.Parallel()
	value := driver.NamedValue{Value: ownForm(7)}
	require.NoError(t, connect(t).CheckNamedValue(&value))
	require.Equal(t, int64(7), value.Value)
}
