package migration

import (
	"strings"

	"github.com/seed-215b9b7c/backend/internal/lazyre"
)

// This file looks at the times in SQLite, which are text or numbers of any form. Only
// those of one form compare with the times that programs pass as arguments.

// TimeColumns is a query for the columns of SQLite whose declared type is one of times:
// their table, name and type, the expression of their default, and whether the table has
// no rowid.
const TimeColumns = `SELECT l.name, c.name, c.type, c.dflt_value, l.wr FROM pragma_table_list l JOIN pragma_table_xinfo(l.name) c
	WHERE l.schema = 'main' AND l.type = 'table' AND l.name NOT LIKE 'sqlite\_%' ESCAPE '\' AND l.name NOT LIKE 'backend\_%' ESCAPE '\'
	AND (c.type LIKE 'TIMESTAMP%' OR c.type LIKE 'DATETIME%' OR c.type LIKE 'DATE') ORDER BY l.name, c.cid`

// DefaultOf returns a query for the type and text of a default, at a time whose fraction
// of a second ends in zeros.
func DefaultOf(expression string) string {
	at := nowPattern().ReplaceAllString(expression, "'2026-01-02 03:04:05.100'")
	return "SELECT typeof(v), v || '' FROM (SELECT (" + at + "\n) AS v)"
}

var nowPattern = lazyre.New(`(?i)'now'`)

// IsLocal reports whether a default is in the time zone of the machine.
func IsLocal(expression string) bool {
	return strings.Contains(strings.ToLower(expression), "'localtime'")
}

// Samples returns a query for the types and texts of some values of a column, with names
// that are quoted: the first and the last rows.
func Samples(table, column string, withoutRowid bool) string {
	values := "SELECT * FROM (SELECT " + column + " AS v FROM " + table
	all := values + " LIMIT 200)"
	if !withoutRowid {
		all = values + " ORDER BY rowid LIMIT 100) UNION ALL " + values + " ORDER BY rowid DESC LIMIT 100)"
	}
	return "SELECT typeof(v), v || '' FROM (" + all + ") WHERE v IS NOT NULL"
}

var comparable = lazyre.New(`^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d{0,5}[1-9])?$`)

// IsComparable reports whether a value has the form of the times in arguments.
func IsComparable(kind, text string) bool { return kind == "text" && comparable().MatchString(text) }

// Comparable returns an UPDATE that gives the values of a column the form of the times in
// arguments, if they are of the kind of this one: seconds or milliseconds since 1970, days of
// julianday, or text that SQLite understands. It leaves others as they are.
func Comparable(table, column, kind string) string {
	short := func(arguments string) string {
		return "rtrim(rtrim(strftime('%Y-%m-%d %H:%M:%f', " + arguments + "), '0'), '.')"
	}
	value := short(column)
	switch kind {
	case "integer":
		value = "iif(abs(" + column + ") < 100000000000, datetime(" + column + ", 'unixepoch'), " + short(column+" / 1000.0, 'unixepoch'") + ")"
	case "text": // with a zone of UTC, all digits can stay
		value = "iif(" + column + " LIKE '____-__-__ __:__:__%+00:00', substr(" + column + ", 1, length(" + column + ") - 6), " + value + ")"
	}
	return "UPDATE " + table + " SET " + column + " = " + value + " WHERE typeof(" + column + ") = '" + kind + "' AND " + value + " IS NOT NULL"
}
