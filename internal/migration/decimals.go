package migration

import (
	"strconv"

	"github.com/seed-215b9b7c/backend/internal/lazyre"
)

// TableColumns is a query for the columns of SQLite's tables: their table, name and type.
const TableColumns = `SELECT l.name, c.name, c.type FROM pragma_table_list l JOIN pragma_table_xinfo(l.name) c
	WHERE l.schema = 'main' AND l.type = 'table' AND l.name NOT LIKE 'sqlite\_%' ESCAPE '\' AND l.name NOT LIKE 'backend\_%' ESCAPE '\'
	AND c.type LIKE '%(%' ORDER BY l.name, c.cid`

// HoldsDecimals reports whether a column of SQLite with a declared type holds all decimals of
// that type. SQLite stores a decimal as a float64, which has 15 digits, and a whole number
// as an int64.
func HoldsDecimals(declared string) bool {
	m := decimalPattern().FindStringSubmatch(declared)
	if m == nil {
		return true
	}
	precision, err := strconv.Atoi(m[1])
	if fraction, _ := strconv.Atoi(m[2]); fraction == 0 {
		return err == nil && precision <= 18
	}
	return err == nil && precision <= 15
}

var decimalPattern = lazyre.New(`(?i)^\s*(?:decimal|dec|numeric|number)\s*\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\)\s*$`)
