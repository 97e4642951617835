package dberr

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-sql-driver/mysql"
	"github.com/lib/pq"
	"github.com/stretchr/testify/require"
)

// The messages are the engines' own, taken from running them; the conformance
// suite of backendtest provokes them anew.
func TestClassify(t *testing.T) {
	t.Parallel()
	maria := func(number uint16, message string) error { return &mysql.MySQLError{Number: number, Message: message} }
	for _, test := range []struct {
		name string
		err  error
		want Info
	}{
		{"pg unique", fmt.Errorf("wrapped: %w", &pq.Error{Code: "23505", Constraint: "notes_title_key", Table: "notes"}),
			Info{Kind: Unique, Constraint: "notes_title_key", Table: "notes", Answered: true}},
		{"pg serialization", &pq.Error{Code: "40001"}, Info{Kind: Serialization, Answered: true}},
		{"pg data", &pq.Error{Code: "22P02"}, Info{Kind: Data, Answered: true}},
		{"pg index row too long", &pq.Error{Code: "54000"}, Info{Kind: TooLarge, Answered: true}},
		{"pg shutdown", &pq.Error{Code: "57P01"}, Info{Kind: Unavailable, Answered: true}},
		{"pg syntax", &pq.Error{Code: "42601"}, Info{Answered: true}},
		{"pg restrict", &pq.Error{Code: "23001"}, Info{Kind: ForeignKey, Answered: true}},
		{"pg check option", &pq.Error{Code: "44000", Routine: "ExecWithCheckOptions"}, Info{Kind: Check, Answered: true}},
		{"pg row security", &pq.Error{Code: "42501", Routine: "ExecWithCheckOptions"}, Info{Kind: Check, Answered: true}},
		{"pg missing right", &pq.Error{Code: "42501", Routine: "aclcheck_error"}, Info{Answered: true}},
		{"pg raise", &pq.Error{Code: "P0001", Routine: "exec_stmt_raise"}, Info{Kind: Check, Answered: true}},
		{"pg raise with a code", &pq.Error{Code: "XY123", Routine: "exec_stmt_raise"}, Info{Kind: Check, Answered: true}},
		{"pg raise with a known code", &pq.Error{Code: "40001", Routine: "exec_stmt_raise"}, Info{Kind: Serialization, Answered: true}},
		{"pg assertion", &pq.Error{Code: "P0004"}, Info{Answered: true}},
		{"maria check option", maria(1369, "CHECK OPTION failed `test`.`v`"), Info{Kind: Check, Answered: true}},
		{"maria signal", maria(1644, "refused"), Info{Kind: Check, Answered: true}},
		{"maria signal with a number", &mysql.MySQLError{Number: 5000, SQLState: [5]byte{'4', '5', '0', '0', '0'}}, Info{Kind: Check, Answered: true}},
		{"maria division by zero", maria(1365, "Division by 0"), Info{Kind: Data, Answered: true}},
		{"maria placeholders", maria(1390, "Prepared statement contains too many placeholders"), Info{Answered: true}},
		{"maria unique", maria(1062, "Duplicate entry 'for key 'x'' for key 'notes_title'"),
			Info{Kind: Unique, Constraint: "notes_title", Answered: true}},
		{"mysql unique", maria(1062, "Duplicate entry 'a' for key 'notes.title'"), Info{Kind: Unique, Constraint: "title", Answered: true}},
		{"maria foreign key", maria(1452, "Cannot add or update a child row: a foreign key constraint fails (`test`.`child`, CONSTRAINT `child_parent` FOREIGN KEY (`parent_id`) REFERENCES `parent` (`id`))"),
			Info{Kind: ForeignKey, Constraint: "child_parent", Table: "child", Column: "parent_id", Columns: []string{"parent_id"}, Missing: true, Answered: true}},
		{"maria foreign key of two columns", maria(1452, "Cannot add or update a child row: a foreign key constraint fails (`test`.`child`, CONSTRAINT `c` FOREIGN KEY (`a`, `b`) REFERENCES `parent` (`x`, `y`))"),
			Info{Kind: ForeignKey, Constraint: "c", Table: "child", Column: "a", Columns: []string{"a", "b"}, Missing: true, Answered: true}},
		{"maria referenced", maria(1451, "Cannot delete or update a parent row: a foreign key constraint fails (`test`.`child`, CONSTRAINT `c` FOREIGN KEY (`a`) REFERENCES `parent` (`x`))"),
			Info{Kind: ForeignKey, Constraint: "c", Table: "child", Column: "a", Answered: true}},
		{"maria check", maria(4025, "CONSTRAINT `positive` failed for `test`.`t`"), Info{Kind: Check, Constraint: "positive", Table: "t", Answered: true}},
		{"maria null", maria(1048, "Column 'title' cannot be null"), Info{Kind: NotNull, Column: "title", Answered: true}},
		{"maria too long", maria(1406, "Data too long for column 'title' at row 1"), Info{Kind: Data, Column: "title", Answered: true}},
		{"maria not a number", maria(1366, "Incorrect integer value: 'for column' for column `test`.`t`.`n` at row 1"),
			Info{Kind: Data, Table: "t", Column: "n", Answered: true}},
		{"maria deadlock", maria(1213, "Deadlock found"), Info{Kind: Serialization, Answered: true}},
		{"mysql connection", mysql.ErrInvalidConn, Info{Kind: Unavailable}},
		{"bad connection", driver.ErrBadConn, Info{Kind: Unavailable}},
		{"end of file", errors.Join(errors.New("a"), io.ErrUnexpectedEOF), Info{Kind: Unavailable}},
		{"unknown", errors.New("x"), Info{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			require.Equal(t, test.want, Classify(test.err))
		})
	}
}

func TestSQLite(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		code    int
		message string
		want    Info
	}{
		{2067, "constraint failed: UNIQUE constraint failed: notes.title, notes.owner (2067)", Info{Kind: Unique, Table: "notes", Column: "title", Columns: []string{"title", "owner"}, Answered: true}},
		{2067, "constraint failed: UNIQUE constraint failed: index 'notes_title' (2067)", Info{Kind: Unique, Answered: true}},
		{1299, "constraint failed: NOT NULL constraint failed: notes.title (1299)", Info{Kind: NotNull, Table: "notes", Column: "title", Answered: true}},
		{275, "constraint failed: CHECK constraint failed: positive (275)", Info{Kind: Check, Constraint: "positive", Answered: true}},
		{787, "constraint failed: FOREIGN KEY constraint failed (787)", Info{Kind: ForeignKey, Answered: true}},
		{517, "database is locked (517)", Info{Kind: Serialization, Answered: true}},
		{8, "attempt to write a readonly database (8)", Info{Kind: ReadOnly, Answered: true}},
		{1, "SQL logic error: no such table: x (1)", Info{Answered: true}},
	} {
		require.Equal(t, test.want, fromSQLite(test.code, test.message))
	}
}

func TestPostgresColumns(t *testing.T) {
	t.Parallel()
	for detail, want := range map[string][]string{
		`Key (email)=(a) already exists.`:                             {"email"},
		`Key (email, city)=(a, b) already exists.`:                    {"email", "city"},
		`Key ("first name", "a""b")=(a, b) already exists.`:           {"first name", `a"b`},
		`Key (lower(email))=(a) already exists.`:                      {"email"},
		`Key (tenant, lower(email::text))=(t, a) already exists.`:     {"tenant", "email"},
		`Key (lower((email)::character varying))=(a) already exists.`: {"email"},
		`Key (email)=(x)=(y) already exists.`:                         {"email"},
		`Schlüssel »(größe)=(a)« existiert bereits.`:                  {"größe"},
		`Key (md5(email))=(a) already exists.`:                        nil,
		`Key ((a || b))=(a) already exists.`:                          nil,
		`Key (COALESCE(a, b))=(a) already exists.`:                    nil,
		`Key (lower(a, b))=(a) already exists.`:                       nil,
		``:                                                            nil,
		`Key ()=(a) already exists.`:                                  nil,
		`Key (manager_id)=(9) is not present in table "people".`:      {"manager_id"},
	} {
		require.Equal(t, want, postgresColumns(detail), detail)
	}
}

// The server writes the text, but a schema has the names in it.
func FuzzPostgresColumns(f *testing.F) {
	f.Add("email", "a")
	f.Add(`first "name"`, ")=(")
	f.Fuzz(func(t *testing.T, column, value string) {
		postgresColumns(column)
		if column == "" || strings.ContainsAny(column, "(") || !utf8.ValidString(column) || strings.ContainsRune(column, '\n') {
			return
		}
		quoted := `"` + strings.ReplaceAll(column, `"`, `""`) + `"`
		if got := postgresColumns("Key (" + quoted + ")=(" + value + ") already exists."); got != nil {
			require.Equal(t, []string{column}, got)
		}
	})
}

func TestLost(t *testing.T) {
	t.Parallel()
	for _, err := range []error{&pq.Error{Code: "57P01"}, &pq.Error{Code: "08006"}, &mysql.MySQLError{Number: 1927}, mysql.ErrInvalidConn, driver.ErrBadConn, io.ErrUnexpectedEOF} {
		require.True(t, Lost(err), err)
	}
	for _, err := range []error{&pq.Error{Code: "57014"}, &pq.Error{Code: "23505"}, &mysql.MySQLError{Number: 1062}, errors.New("x"), errors.New("sql: database is closed"), context.Canceled, context.DeadlineExceeded} {
		require.False(t, Lost(err), err)
	}
}
