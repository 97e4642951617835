package migration

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/seed-215b9b7c/backend/internal/sqltext"
)

// This file finds out what the statements of a file do to the session and to the
// transaction they run in.

// Expand splits statements that are several, from between StatementBegin and StatementEnd.
func Expand(dialect sqltext.Dialect, statements []string) []string {
	all := make([]string, 0, len(statements))
	for _, statement := range statements {
		if parts, err := sqltext.Split(dialect, statement); err == nil && strings.Contains(statement, ";") {
			all = append(all, parts...)
		} else {
			all = append(all, statement)
		}
	}
	return all
}

// ChangesSession reports whether statements may change the session, as package sqltext
// knows it. PRAGMA foreign_keys is restored after each file.
func ChangesSession(dialect sqltext.Dialect, statements []string) bool {
	for _, statement := range Expand(dialect, statements) {
		if sets, _ := setsForeignKeys(statement); sets && dialect == sqltext.SQLite {
			continue
		}
		if q, err := sqltext.Parse(dialect, statement); err != nil || q.Session() != sqltext.SessionKept {
			return true
		}
	}
	return false
}

// SwitchesForeignKeys reports whether a text for SQLite has a PRAGMA foreign_keys with a
// value.
func SwitchesForeignKeys(text string) bool {
	return slices.ContainsFunc(Expand(sqltext.SQLite, []string{text}), func(statement string) bool {
		sets, _ := setsForeignKeys(statement)
		return sets
	})
}

// CheckUse returns an error if one of the statements changes the current database of MySQL,
// in which the table of migrations is.
func CheckUse(statements []string) error {
	for _, statement := range statements {
		if tokens := sqltext.Lead(sqltext.MySQL, statement, 1); len(tokens) > 0 && tokens[0].Is("USE") {
			return fmt.Errorf("USE changes the database in which the migrations are recorded; remove it, and write other_database.table for a table of another one: %s", sqltext.Clip(statement))
		}
	}
	return nil
}

// CheckWritable returns an error if one of the statements makes the session or the
// transaction read-only, in which the migration is recorded.
func CheckWritable(dialect sqltext.Dialect, statements []string) error {
	for _, statement := range statements {
		if setsReadOnly(dialect, statement) {
			return fmt.Errorf("the session would be read-only, so that the migration could not be recorded; remove the statement: %s", sqltext.Clip(statement))
		}
	}
	return nil
}

// readOnlySettings are those of sessions and transactions. SQLite has PRAGMA query_only.
var readOnlySettings = []string{"default_transaction_read_only", "transaction_read_only", "tx_read_only"}

func setsReadOnly(dialect sqltext.Dialect, statement string) bool {
	if dialect == sqltext.SQLite {
		name, value := Pragma(statement)
		return name == "query_only" && value != "" && isOn(value)
	}
	tokens := sqltext.Lead(dialect, statement, 40)
	if len(tokens) == 0 || !tokens[0].Is("SET") {
		return false
	}
	for i := range tokens[1:] {
		before, token, rest := tokens[i], tokens[i+1], tokens[i+2:]
		isSetting := slices.ContainsFunc(readOnlySettings, func(name string) bool { return strings.EqualFold(token.Text, name) })
		switch {
		case before.Is("READ") && token.Is("ONLY"):
			return true
		case !isSetting || before.Is("@"):
			continue
		}
		for len(rest) > 0 && (rest[0].Is(":") || rest[0].Is("=") || rest[0].Is(":=") || rest[0].Is("TO")) {
			rest = rest[1:]
		}
		if len(rest) > 0 && isOn(strings.ToLower(rest[0].Text)) {
			return true
		}
	}
	return false
}

// isOn reports whether a value in lower case switches a setting on. SQLite takes any unknown
// value for off, and others refuse it.
func isOn(value string) bool {
	switch value {
	case "on", "yes", "true":
		return true
	}
	return value[0] >= '0' && value[0] <= '9' && strings.Trim(value, "0") != ""
}

// connectionPragmas are those PRAGMAs whose values belong to the connection.
var connectionPragmas = map[string]bool{
	"foreign_keys": true, "recursive_triggers": true, "legacy_alter_table": true, "ignore_check_constraints": true, "case_sensitive_like": true,
	"writable_schema": true, "trusted_schema": true, "synchronous": true, "temp_store": true, "cache_size": true, "busy_timeout": true,
}

// SetsSession reports whether a statement only sets something for its session. The
// statements after it need that also if they run later, on another connection.
func SetsSession(dialect sqltext.Dialect, statement string) bool {
	tokens := sqltext.Lead(dialect, statement, 4)
	if len(tokens) < 2 {
		return false
	}
	switch dialect {
	case sqltext.SQLite:
		name, value := Pragma(statement)
		return connectionPragmas[name] && value != "" || tokens[0].Is("ATTACH")
	case sqltext.MySQL:
		return tokens[0].Is("SET") && !slices.ContainsFunc([]string{"GLOBAL", "PERSIST", "PASSWORD", "DEFAULT", "TRANSACTION", "STATEMENT"}, tokens[1].Is)
	}
	if len(tokens) == 4 && tokens[0].Is("SELECT") {
		return tokens[1].Is("set_config") || tokens[1].Is("pg_catalog") && tokens[3].Is("set_config")
	}
	return tokens[0].Is("RESET") || tokens[0].Is("SET") && !slices.ContainsFunc([]string{"LOCAL", "TRANSACTION", "CONSTRAINTS"}, tokens[1].Is)
}

// Pragma returns the name of a PRAGMA statement in lower case, and the value that it
// sets, or "". It returns "" for other statements.
func Pragma(statement string) (name, value string) {
	tokens := sqltext.Lead(sqltext.SQLite, statement, 8)
	if len(tokens) < 2 || !tokens[0].Is("PRAGMA") {
		return "", ""
	}
	tokens = tokens[1:]
	if len(tokens) >= 3 && tokens[1].Is(".") {
		tokens = tokens[2:]
	}
	name = strings.ToLower(tokens[0].Text)
	if len(tokens) > 1 && (tokens[1].Is("=") || tokens[1].Is("(")) {
		for _, token := range tokens[2:] {
			if token.Is(")") || token.Is(";") {
				break
			}
			value += strings.ToLower(token.Text)
		}
	}
	return name, strings.TrimPrefix(value, "+")
}

// setsForeignKeys reports whether a statement is PRAGMA foreign_keys with a value, and
// whether it switches them on.
func setsForeignKeys(statement string) (sets, on bool) {
	name, value := Pragma(statement)
	if name != "foreign_keys" || value == "" {
		return false, false
	}
	return true, isOn(value)
}

// WithoutForeignKeys reports whether the statements of a file that SQLite runs in a
// transaction switch foreign keys off. SQLite ignores that within a transaction, so the
// whole file has to run without them. The error is that of a statement outside of the two
// PRAGMAs that may need foreign keys.
func WithoutForeignKeys(statements []string) (off bool, err error) {
	on := true
	var outside string
	for _, statement := range statements {
		if sets, value := setsForeignKeys(statement); sets {
			on, off = value, off || !value
		} else if on && outside == "" && removesRows(statement) {
			outside = statement
		}
	}
	if off && outside != "" {
		return true, fmt.Errorf("SQLite cannot switch foreign keys within a transaction, so the whole file would run without them, also this statement,"+
			" which stands outside of PRAGMA foreign_keys = OFF and ON; put it between them or into another file: %s", sqltext.Clip(outside))
	}
	return off, nil
}

// removesRows reports whether a statement may delete rows or change keys to which other
// rows refer.
func removesRows(statement string) bool {
	tokens := sqltext.Lead(sqltext.SQLite, statement, 3)
	if len(tokens) < 3 {
		return false
	}
	switch {
	case tokens[0].Is("UPDATE"), tokens[0].Is("DELETE"), tokens[0].Is("REPLACE"), tokens[0].Is("WITH"):
		return true
	case tokens[0].Is("INSERT"):
		return tokens[1].Is("OR") && tokens[2].Is("REPLACE")
	}
	return tokens[0].Is("DROP") && tokens[1].Is("TABLE")
}

// Dropped returns the kind of thing that a DROP statement drops, such as TABLE, and its
// name without the schema. They are "" for other statements.
func Dropped(dialect sqltext.Dialect, statement string) (kind, name string) {
	tokens := sqltext.Lead(dialect, statement, 7)
	if len(tokens) < 3 || !tokens[0].Is("DROP") {
		return "", ""
	}
	kind, tokens = strings.ToUpper(tokens[1].Text), tokens[2:]
	if len(tokens) > 2 && tokens[0].Is("IF") && tokens[1].Is("EXISTS") {
		tokens = tokens[2:]
	}
	if len(tokens) > 2 && tokens[1].Is(".") {
		tokens = tokens[2:]
	}
	return kind, tokens[0].Text
}

// DroppedNext returns the names in lower case of the tables that the first statements
// drop, up to the first statement that drops nothing.
func DroppedNext(dialect sqltext.Dialect, statements ...[]string) map[string]bool {
	names := map[string]bool{}
	for _, list := range statements {
		for _, statement := range list {
			switch kind, name := Dropped(dialect, statement); kind {
			case "TABLE":
				names[strings.ToLower(name)] = true
			case "":
				return names
			}
		}
	}
	return names
}

// Unit returns how many of the statements belong together: 1, or those from BEGIN to
// COMMIT. On MySQL, which commits each change of a table, a transaction with such a
// change is no unit.
func Unit(dialect sqltext.Dialect, statements []string) int {
	if sqltext.Controls(dialect, statements[0]) != sqltext.Begins {
		return 1
	}
	for i, statement := range statements[1:] {
		switch control := sqltext.Controls(dialect, statement); {
		case control == sqltext.Commits:
			return i + 2
		case control == sqltext.Begins: // which commits on MySQL; others refuse it
			return 1
		case dialect == sqltext.MySQL && control == sqltext.NoControl && !sqltext.OnlyRows(statement):
			return 1
		}
	}
	return 1
}

// CheckTransactions returns an error if statements begin or end a transaction where a
// file cannot.
func CheckTransactions(dialect sqltext.Dialect, statements []string, inTx bool) error {
	open := false
	for _, statement := range statements {
		control := sqltext.Controls(dialect, statement)
		switch {
		case control == sqltext.NoControl:
		case inTx && control != sqltext.OtherControl:
			return fmt.Errorf(`the file runs in a transaction, and has a statement that begins or ends one; remove it, or write "-- +goose NO TRANSACTION" to use transactions of its own: %s`,
				sqltext.Clip(statement))
		case control == sqltext.Begins && open && dialect != sqltext.MySQL: // where changes of tables commit
			return errors.New("a second BEGIN is within a transaction; write COMMIT before it")
		case control == sqltext.Commits && !open && dialect != sqltext.MySQL: // which has autocommit = 0
			return errors.New("COMMIT has no BEGIN; write BEGIN before the statements of the transaction, or remove COMMIT")
		case control == sqltext.RollsBack:
			return errors.New("ROLLBACK undoes statements of the same file; remove both")
		case control == sqltext.Begins, control == sqltext.Commits:
			open = control == sqltext.Begins
		}
	}
	if open {
		return errors.New("BEGIN has no COMMIT; write COMMIT after the statements of the transaction")
	}
	return nil
}
