package sqltext

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A comparison is guarded where its text in parentheses means the same.
func TestTextGuarded(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{
		"SELECT 1 FROM t WHERE id = ?":                          "SELECT 1 FROM t WHERE (id = ? AND CONCAT(id) NOT IN (?))",
		"SELECT 1 FROM t WHERE id=? ":                           "SELECT 1 FROM t WHERE (id=? AND CONCAT(id) NOT IN (?)) ",
		"SELECT 1 FROM t WHERE a.b.`c?` /* ? */ = ? LIMIT 1":    "SELECT 1 FROM t WHERE (a.b.`c?` /* ? */ = ? AND CONCAT(a.b.`c?`) NOT IN (?)) LIMIT 1",
		"SELECT 1 FROM t WHERE NOT id <> ? OR (t.x != ?)":       "SELECT 1 FROM t WHERE NOT (id <> ? OR CONCAT(id) IN (?)) OR ((t.x != ? OR CONCAT(t.x) IN (?)))",
		"SELECT 1 FROM t WHERE id IN (?, ?) AND x NOT IN ( ?)":  "SELECT 1 FROM t WHERE (id IN (?, ?) AND CONCAT(id) NOT IN (?)) AND (x NOT IN ( ?) OR CONCAT(x) IN (?))",
		"SELECT CASE WHEN id = ? THEN 1 END, id = ?, 1 FROM t":  "SELECT CASE WHEN (id = ? AND CONCAT(id) NOT IN (?)) THEN 1 END, id = ?, 1 FROM t",
		"SELECT 1 FROM a JOIN b ON a.x = ? AND b.y = ? WHERE 1": "SELECT 1 FROM a JOIN b ON (a.x = ? AND CONCAT(a.x) NOT IN (?)) AND (b.y = ? AND CONCAT(b.y) NOT IN (?)) WHERE 1",
		"UPDATE t SET a = ?, b = 1 + ? WHERE c = ?":             "UPDATE t SET a = ?, b = 1 + ? WHERE (c = ? AND CONCAT(c) NOT IN (?))",
		"DELETE FROM t WHERE a BETWEEN ? AND ? AND b = ?":       "DELETE FROM t WHERE a BETWEEN ? AND ? AND (b = ? AND CONCAT(b) NOT IN (?))",
	} {
		q, err := Parse(MySQL, source)
		require.NoError(t, err)
		require.True(t, q.Guards())
		guards := make([]int, q.Params())
		for i := range guards {
			if _, ok := q.Equal(i); ok {
				guards[i] = 1
			}
		}
		require.Equal(t, want, q.TextGuarded(nil, guards))
		require.Equal(t, q.Text(nil), q.TextGuarded(nil, make([]int, q.Params())), "without guards")
	}
	for _, source := range []string{
		"SELECT 1 FROM t WHERE a + id = ?", "SELECT 1 FROM t WHERE -id = ?", "SELECT 1 FROM t WHERE id = ? + 1", "SELECT 1 FROM t WHERE id = ? COLLATE x", "SELECT 1 FROM t WHERE id = ? IS TRUE", "SELECT 1 FROM t WHERE id = ? && 1", "SELECT 1 FROM t WHERE id <=> ?",
		"SELECT 1 FROM t WHERE id >= ?", "SELECT 1 FROM t WHERE f(id) = ?", "SELECT 1 FROM t WHERE BINARY id = ?", "SELECT 1 FROM t WHERE ? = id", "SELECT 1 FROM t WHERE 1 IS NOT id = ?", "SELECT 1 FROM t WHERE x BETWEEN 1 AND id = ?", "SELECT 1 FROM t WHERE x LIKE id = ?", "UPDATE t SET id = ?",
		"SELECT 1 FROM t WHERE id IN (?, 1)", "SELECT 1 FROM t WHERE id IN (?, (?))", "SELECT 1 FROM t WHERE id IN (f(?))", "SELECT 1 FROM t WHERE id IN (SELECT ?)", "SELECT 1 FROM t WHERE (a, b) = (?, ?)", "SELECT 1 FROM t WHERE (a, b) IN ((?, ?))", "SELECT 1 FROM t WHERE id IN ()", "SELECT 1 FROM t WHERE id IN (?) + 1", "SELECT 1 FROM t WHERE 'x' 'y' = ?",
	} {
		q, err := Parse(MySQL, source)
		require.NoError(t, err)
		require.False(t, q.Guards(), source)
	}
	q, err := Parse(MySQL, "SELECT 1 FROM t WHERE id IN (?) AND n = ?")
	require.NoError(t, err)
	require.Equal(t, "SELECT 1 FROM t WHERE (id IN (?, ?, ?, ?) AND CONCAT(id) NOT IN (?, ?)) AND n = ?", q.TextGuarded([]int{3, One}, []int{2, 0}))
}

func TestPlaceholders(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{ // of each: compared, equal, and its quantifier
		"SELECT 1 FROM t WHERE id = $1":                                           "1 compared equal",
		"SELECT '$1', \"$2\", $$ $3 $$, $x$ $4 $x$ /* $5 */ FROM t WHERE $6 = id": "6 compared",
		"SELECT $1, f($2), $3::int = id, $4 = id, $5 + 1 FROM t LIMIT $6":         "1, 2, 3, 4 compared, 5, 6",
		"INSERT INTO t VALUES ($1, $2 = 1) ON CONFLICT DO UPDATE SET a = $3":      "1, 2 compared, 3",
		"UPDATE t SET a = $1, b = b + $2, c = c * ($3) WHERE d <> $12":            "1, 2, 3, 12 compared",
		"SELECT 1 WHERE a IN ($1) AND b IN ($2, $3) AND c NOT IN ($4)":            "1 compared equal, 2 compared, 3 compared, 4 compared",
		"SELECT 1 WHERE a = ANY($1) AND b <> ALL($2) AND c >= ANY($3)":            "1 compared equal = ANY, 2 compared <> ALL, 3 compared",
		"SELECT 1 WHERE a BETWEEN $1 AND $2 OR (a, b) < ($3, $4)":                 "1 compared, 2 compared, 3 compared, 4 compared",
		"SELECT 1 WHERE doc ? 'x' AND a = $1 -- $2":                               "1 compared equal",
		"SELECT 1 WHERE a = (SELECT $1) OR a = f($2) OR a = $3 + 1":               "1, 2, 3 compared",
	} {
		places, err := Placeholders(text)
		require.NoError(t, err)
		var got []string
		for _, p := range places {
			line := fmt.Sprint(p.Number)
			if p.Compared {
				line += " compared"
			}
			if p.Equal {
				line += " equal"
			}
			got = append(got, strings.TrimSpace(line+" "+p.Quantifier))
		}
		require.Equal(t, want, strings.Join(got, ", "), text)
	}
	_, err := Placeholders("SELECT $99999999999999999999")
	require.Error(t, err)
	_, err = Placeholders("SELECT '")
	require.Error(t, err)
}

func TestRecast(t *testing.T) {
	t.Parallel()
	const text = "SELECT '$1' WHERE t.a = $1 AND b = ANY($2) AND c < $3 AND d IN ($4)"
	places, err := Placeholders(text)
	require.NoError(t, err)
	require.Equal(t, text, Recast(text, places, nil))
	require.Equal(t, "SELECT '$1' WHERE (t.a = $1::int AND t.a <> $1::int) AND (b = ANY($2::int[]) AND b <> ALL($2::int[])) AND c < $3::bigint AND (d IN ($4::int) AND d <> $4::int)",
		Recast(text, places, map[int]Cast{1: {"int", true}, 2: {"int[]", true}, 3: {"bigint", false}, 4: {"int", true}}))
}
