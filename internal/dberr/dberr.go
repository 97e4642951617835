// Package dberr classifies the errors of databases, in the same way for every engine:
// which constraint was violated, whether trying again helps, whether the connection is
// lost. It recognizes the errors of the drivers of SQLite and MySQL by the form of their
// types, and does not import the drivers.
package dberr

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"reflect"
	"strings"

	"github.com/lib/pq"

	"github.com/seed-215b9b7c/backend/internal/lazyre"
)

// Kind is what an error means.
type Kind uint8

const (
	Other         Kind = iota // a mistake in the query or the program
	Unique                    // a value that must be unique is there already
	ForeignKey                // what it refers to is missing, or what refers to it is there
	Check                     // the schema refused the row: a CHECK, WITH CHECK OPTION, a row security policy, or RAISE or SIGNAL in a trigger
	NotNull                   // a column that must have a value has none
	Data                      // a value that the column's type cannot hold
	TooLarge                  // a value over one of the engine's limits
	Serialization             // lost against another transaction: run the whole again
	ReadOnly                  // a write where only reading is possible
	Timeout                   // the engine's own time limit
	Unavailable               // busy, out of connections, gone
)

// Info describes an error. Names are empty if the engine does not report them.
type Info struct {
	Kind       Kind
	Constraint string
	Table      string
	Column     string
	// Columns are the columns of a Unique or ForeignKey violation, if they are all known.
	Columns []string
	// Missing is set for a ForeignKey violation if the row that is referred to is missing,
	// and not set if something refers to the row, or if the engine does not tell.
	Missing bool
	// Answered is set when the engine itself reported the error, so that the
	// statement certainly had no effect. Otherwise nothing is known.
	Answered bool
}

// Classify returns the meaning of err, which must not be nil.
func Classify(err error) Info {
	var pg *pq.Error
	if errors.As(err, &pg) {
		return fromPostgres(pg)
	}
	for _, e := range chain(err) {
		v := reflect.ValueOf(e)
		if coder, ok := e.(interface{ Code() int }); ok && isSQLite(v.Type()) {
			return fromSQLite(coder.Code(), e.Error())
		}
		if v.Type().String() == "*mysql.MySQLError" && !v.IsNil() {
			info := fromMySQL(v.Elem().FieldByName("Number").Uint(), v.Elem().FieldByName("Message").String())
			if state := v.Elem().FieldByName("SQLState"); info.Kind == Other && state.IsValid() && fmt.Sprintf("%s", state.Interface()) == "45000" {
				info.Kind = Check // SIGNAL with a number of its own
			}
			return info
		}
	}
	if isConnection(err) {
		return Info{Kind: Unavailable}
	}
	return Info{}
}

// Lost reports whether err says that a connection was lost that had been made: the server
// ended it, or the network did.
func Lost(err error) bool {
	var pg *pq.Error
	if errors.As(err, &pg) {
		code := string(pg.Code)
		return strings.HasPrefix(code, "57P") || strings.HasPrefix(code, "08")
	}
	switch MySQLNumber(err) {
	case 0:
		return isConnection(err) && !Classify(err).Answered && !strings.Contains(err.Error(), "sql: database is closed") &&
			!errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled)
	case 1053, 1152, 1184, 1927, 2006, 2013: // shutdown, aborted, killed, gone
		return true
	}
	return false
}

// Unwritten reports whether err says that SQLite could not write to the disk, because it is
// full for example. A COMMIT that fails so has committed nothing: the last thing it writes
// is what makes the transaction valid. An error of fsync says less.
func Unwritten(err error) bool {
	for _, e := range chain(err) {
		if coder, ok := e.(interface{ Code() int }); ok && isSQLite(reflect.TypeOf(e)) {
			return coder.Code()&0xff == 13 || coder.Code() == 778 // FULL, IOERR_WRITE
		}
	}
	return false
}

// isSQLite reports whether a type is that of SQLite's errors, of modernc.org/sqlite or of
// internal/sqliteconn.
func isSQLite(t reflect.Type) bool {
	return t.String() == "*sqlite.Error" || t.String() == "*sqliteconn.Error"
}

// MySQLNumber returns the number of a MySQL error, or 0 for any other error.
func MySQLNumber(err error) uint64 {
	for _, e := range chain(err) {
		if v := reflect.ValueOf(e); v.Type().String() == "*mysql.MySQLError" && !v.IsNil() {
			return v.Elem().FieldByName("Number").Uint()
		}
	}
	return 0
}

// chain returns err and everything it wraps.
func chain(err error) []error {
	var all []error
	for todo := []error{err}; len(todo) > 0; {
		next := todo[0]
		todo = todo[1:]
		if next == nil {
			continue
		}
		all = append(all, next)
		switch w := next.(type) {
		case interface{ Unwrap() error }:
			todo = append(todo, w.Unwrap())
		case interface{ Unwrap() []error }:
			todo = append(todo, w.Unwrap()...)
		}
	}
	return all
}

// isConnection reports whether err says that a connection could not be made or was lost.
func isConnection(err error) bool {
	var network net.Error
	return errors.As(err, &network) ||
		errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) ||
		strings.Contains(err.Error(), "invalid connection") || // mysql.ErrInvalidConn
		strings.Contains(err.Error(), "sql: database is closed")
}

// fromPostgres reads SQLSTATE codes:
// https://www.postgresql.org/docs/current/errcodes-appendix.html
func fromPostgres(e *pq.Error) Info {
	info := Info{Constraint: e.Constraint, Table: e.Table, Column: e.Column, Answered: true}
	switch code := string(e.Code); code {
	case "23505":
		info.Kind, info.Columns = Unique, postgresColumns(e.Detail)
	case "23P01": // EXCLUDE: the columns are in conflict, but need not be equal
		info.Kind = Unique
	case "23503", "23001": // the second is RESTRICT, since PostgreSQL 18
		info.Kind = ForeignKey
		// The text of the detail is English unless the server has another lc_messages.
		if info.Missing = strings.Contains(e.Detail, ") is not present in table "); info.Missing {
			info.Columns = postgresColumns(e.Detail)
		}
	case "23514", "44000", "P0001": // CHECK, WITH CHECK OPTION, RAISE
		info.Kind = Check
	case "23502":
		info.Kind = NotNull
	case "40001", "40P01":
		info.Kind = Serialization
	case "25006":
		info.Kind = ReadOnly
	case "57014":
		info.Kind = Timeout
	case "55P03":
		info.Kind = Unavailable
	default:
		info.Kind = postgresClass(code)
		// The routine tells in every language what the code does not: that the new row
		// violates a policy, and that a function has raised a code of its own.
		if info.Kind == Other && (code == "42501" && e.Routine == "ExecWithCheckOptions" || e.Routine == "exec_stmt_raise") {
			info.Kind = Check
		}
	}
	return info
}

var (
	postgresKey  = lazyre.New(`^[^(]*\((.*?)\)=\(`)
	postgresName = `([\pL_][\pL\pN_$]*|"(?:[^"]|"")+")`
	// A column of a key, or a case of one: email, lower(email::text), lower((email)::text).
	postgresColumn = lazyre.New(strings.ReplaceAll(`^(?:NAME|(?:lower|upper)\((?:NAME|\(NAME\))(?:::[a-z ]+)?\))(?:, |$)`, "NAME", postgresName))
)

// postgresColumns reads the columns in a detail such as "Key (email, city)=(a, b) already
// exists.", whatever its language. It returns nil if one of them is another expression.
func postgresColumns(detail string) (columns []string) {
	key := postgresKey().FindStringSubmatch(detail)
	if key == nil {
		return nil
	}
	for rest := key[1]; rest != ""; {
		m := postgresColumn().FindStringSubmatch(rest)
		if m == nil {
			return nil
		}
		name := m[1] + m[2] + m[3]
		if quoted, is := strings.CutPrefix(name, `"`); is {
			name = strings.ReplaceAll(strings.TrimSuffix(quoted, `"`), `""`, `"`)
		}
		columns = append(columns, name)
		rest = rest[len(m[0]):]
	}
	return columns
}

func postgresClass(code string) Kind {
	if len(code) != 5 {
		return Other
	}
	switch code[:2] {
	case "22": // data exception
		return Data
	case "54": // program limit exceeded
		return TooLarge
	case "08", "53", "57", "58": // connection, resources, operator intervention, system
		return Unavailable
	}
	return Other
}

// fromSQLite reads extended result codes (https://www.sqlite.org/rescode.html) and
// the names that its messages end with.
func fromSQLite(code int, message string) Info {
	info := Info{Answered: true}
	switch code {
	case 2067, 1555, 2579: // UNIQUE, PRIMARYKEY, ROWID
		info.Kind = Unique
		info.Table, info.Column = sqliteColumn(message)
		info.Columns = sqliteColumns(message)
	case 787: // FOREIGNKEY
		info.Kind = ForeignKey
	case 275: // CHECK
		info.Kind = Check
		info.Constraint = sqliteName(message)
	case 1299: // NOTNULL
		info.Kind = NotNull
		info.Table, info.Column = sqliteColumn(message)
	case 3091: // DATATYPE
		info.Kind = Data
	default:
		info.Kind = sqlitePrimary(code & 0xff)
	}
	return info
}

func sqlitePrimary(code int) Kind {
	switch code {
	case 5, 6: // BUSY, LOCKED
		return Serialization
	case 8: // READONLY
		return ReadOnly
	case 9: // INTERRUPT
		return Timeout
	case 10, 13, 14: // IOERR, FULL, CANTOPEN
		return Unavailable
	case 18: // TOOBIG
		return TooLarge
	case 19: // CONSTRAINT, of another sort
		return Check
	case 20: // MISMATCH
		return Data
	}
	return Other
}

var sqliteFailed = lazyre.New(`constraint failed: ([^ ,]+(?:, [^ ,]+)*) \(\d+\)$`)

func sqliteName(message string) string {
	if m := sqliteFailed().FindStringSubmatch(message); m != nil {
		return m[1]
	}
	return ""
}

// sqliteColumn reads "notes.title, notes.owner" as the table and its first
// column.
func sqliteColumn(message string) (table, column string) {
	first, _, _ := strings.Cut(sqliteName(message), ", ")
	table, column, found := strings.Cut(first, ".")
	if !found {
		return "", ""
	}
	return table, column
}

// sqliteColumns reads the columns of "notes.title, notes.owner". For an index with an
// expression the message has the name of the index instead, and there are none.
func sqliteColumns(message string) (columns []string) {
	for name := range strings.SplitSeq(sqliteName(message), ", ") {
		if _, column, found := strings.Cut(name, "."); found {
			columns = append(columns, column)
		}
	}
	return columns
}

var (
	mysqlKey        = lazyre.New(`for key '(?:[^']*\.)?([^'.]+)'$`)
	mysqlForeignKey = lazyre.New("\\(`[^`]*`\\.`([^`]*)`, CONSTRAINT `([^`]*)` FOREIGN KEY \\((`([^`]*)`[^)]*)\\)")
	mysqlColumn     = lazyre.New("^(?:Column|Field) '([^']*)'")
	mysqlForColumn  = lazyre.New("for column (?:`[^`]*`\\.`([^`]*)`\\.)?[`']([^`']*)[`']")
	mysqlCheck      = lazyre.New("^(?:CONSTRAINT `(?:[^`]*\\.)?([^`]*)` failed for `[^`]*`\\.`([^`]*)`|Check constraint '([^']*)')")
)

// fromMySQL reads the error numbers of MySQL and MariaDB. The messages have the names. For
// duplicates they also have the value, which Info must not have.
func fromMySQL(number uint64, message string) Info {
	info := Info{Answered: true}
	switch number {
	case 1062, 1169, 1586:
		info.Kind = Unique
		if m := mysqlKey().FindStringSubmatch(message); m != nil {
			info.Constraint = m[1]
		}
	case 1451, 1452, 1216, 1217:
		info.Kind = ForeignKey
		if m := mysqlForeignKey().FindStringSubmatch(message); m != nil {
			info.Table, info.Constraint, info.Column = m[1], m[2], m[4]
			if info.Missing = number == 1452; info.Missing {
				info.Columns = strings.Split(strings.Trim(m[3], "`"), "`, `")
			}
		}
	case 4025, 3819, 1369, 1644: // CHECK, CHECK, WITH CHECK OPTION, SIGNAL
		info.Kind = Check
		if m := mysqlCheck().FindStringSubmatch(message); m != nil {
			info.Constraint, info.Table = m[1]+m[3], m[2]
		}
	case 1048, 1364:
		info.Kind = NotNull
		if m := mysqlColumn().FindStringSubmatch(message); m != nil {
			info.Column = m[1]
		}
	case 1264, 1265, 1292, 1365, 1366, 1367, 1406, 1411, 1690, 3140:
		info.Kind = Data
		if m := mysqlForColumn().FindStringSubmatch(message); m != nil {
			info.Table, info.Column = m[1], m[2]
		}
	case 1267, 1270, 1271, 3988: // of collations: a text that the column's character set cannot hold
		if number == 3988 || strings.Contains(message, "COERCIBLE") {
			info.Kind = Data
		}
	case 1153: // packet
		info.Kind = TooLarge
	case 1205, 1213, 1020, 1615:
		info.Kind = Serialization
	case 1290, 1792, 1836:
		info.Kind = ReadOnly
	case 1317, 1969, 3024:
		info.Kind = Timeout
	case 1021, 1114, 1040, 1042, 1053, 1203, 1226, 1461, 1927, 2006, 2013:
		info.Kind = Unavailable
	}
	return info
}
