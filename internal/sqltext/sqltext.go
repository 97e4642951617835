// Package sqltext scans SQL to find its parameters. Callers write ? for every parameter
// on every engine. This package replaces each ? by the engine's placeholder, does not
// change strings, comments, casts and JSON operators, and expands IN (?) to the length
// of the list.
//
// It does not check SQL: the engine reports what is wrong with it.
package sqltext

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/seed-215b9b7c/backend/internal/english"
)

// Dialect is the SQL of one engine.
type Dialect uint8

const (
	Postgres Dialect = iota
	SQLite
	MySQL // and MariaDB
)

// Query is a query that was read. It is immutable and safe for concurrent use.
type Query struct {
	dialect Dialect
	source  string
	slots   []slot
	drops   []int // offsets of characters to leave out: the second ? of ??
	plain   string
	reads   bool
	ends    bool
	returns bool
	session Session
	repeats bool
	tokens  int
	joins   bool
	tail    Tail

	comparisons []comparison
}

// slot is one parameter.
type slot struct {
	at, end int // offsets of the question mark and after it
	// The list of a parameter that stands alone in one: [NOT] IN (?). listStart is
	// the offset of NOT or IN, listEnd the offset after the closing parenthesis. Both
	// are 0 for other parameters.
	listStart, listEnd int
	negated            bool
	bound              bool // AND, OR or NOT stands beside it
	plain              bool // it cannot be JSON
	compared           bool // see compare.go
	quantifier         string
}

// Tail says how a text affects text that is appended to it.
type Tail uint8

const (
	TailClosed Tail = iota // nothing
	TailLine               // it ends in a comment, which goes on to the end of the line
	TailOpen               // it ends in a comment that nothing closed, as SQLite allows
)

// One stands for a parameter with one value in the lengths given to
// [Query.Text].
const One = -1

// Parse reads source. Its error is a string, quoted name or comment that does not end,
// which would hide parameters, or a comment of MySQL that may have some.
func Parse(dialect Dialect, source string) (*Query, error) {
	s := scanner{dialect: dialect, src: source}
	if err := s.run(); err != nil {
		return nil, err
	}
	if s.unsure != "" {
		return nil, unsure(s.unsure)
	}
	q := &Query{dialect: dialect, source: source, slots: s.slots, drops: s.drops, reads: s.reads(), ends: s.endsTx, returns: s.returnsRows(), session: max(s.session, s.statement.session), tokens: s.tokens, joins: s.joins || s.recent[0].binds(), tail: s.tail, comparisons: s.comparisons}
	q.repeats = q.reads && q.session == SessionKept && !s.calls
	q.plain = q.write(nil, nil)
	return q, nil
}

// Params returns the number of parameters.
func (q *Query) Params() int { return len(q.slots) }

// WrongNumber returns the error for a number of arguments that differs from the number
// of parameters. what names the text, such as "the query".
func (q *Query) WrongNumber(what string, args int) error {
	hint := ""
	switch other := q.placeholder(); {
	case other != "":
		hint = "; write ? for " + other
	case args > len(q.slots) && strings.Count(q.source, "?") > len(q.slots):
		hint = "; a ? in a string or comment is no parameter"
		if q.dialect == Postgres {
			hint += ", and after a name or value it is an operator"
		}
	}
	return fmt.Errorf("%s has %s (?) and was given %s%s: %s", what, english.Count(len(q.slots), "parameter"), english.Count(args, "argument"), hint, Clip(q.source))
}

// placeholder returns the first placeholder in another form than ?, such as $1 of PostgreSQL
// or :name of libraries, or "".
func (q *Query) placeholder() string {
	tokens := Lead(q.dialect, q.source, len(q.source))
	for i, token := range tokens {
		number, found := strings.CutPrefix(token.Text, "$")
		if number == "" && i+1 < len(tokens) { // of engines that have no such placeholder
			number = tokens[i+1].Text
		}
		if found && !token.Quoted && number != "" && strings.Trim(number, "0123456789") == "" {
			return "$" + number
		}
		named := token.Is(":") && i+1 < len(tokens) && !tokens[i+1].Quoted && (i == 0 || !tokens[i-1].Is(":"))
		if named && unicode.IsLetter(firstRune(tokens[i+1].Text)) {
			return ":" + tokens[i+1].Text
		}
	}
	return ""
}

func firstRune(text string) rune {
	first, _ := utf8.DecodeRuneInString(text)
	return first
}

// Source returns the text that was read.
func (q *Query) Source() string { return q.source }

// At returns the offset of the question mark of parameter i in the source.
func (q *Query) At(i int) int { return q.slots[i].at }

// Bound reports whether AND, OR or NOT stands beside parameter i, so that a
// condition in its place needs parentheses.
func (q *Query) Bound(i int) bool { return q.slots[i].bound }

// Joins reports whether the source begins or ends with AND, OR or NOT, so that
// conditions beside it need parentheses.
func (q *Query) Joins() bool { return q.joins }

// Tokens returns the number of words, values, parameters and other characters
// of the source, without its comments and white space.
func (q *Query) Tokens() int { return q.tokens }

// Tail returns how the source affects text that is appended to it.
func (q *Query) Tail() Tail { return q.tail }

// Reads reports whether the query certainly only reads, judged by its keywords: it
// is one SELECT or VALUES, or one WITH in which nothing writes.
func (q *Query) Reads() bool { return q.reads }

// Returns reports whether the query returns rows, judged by its keywords. A query that
// returns rows may write, as INSERT … RETURNING and SELECT … FOR UPDATE do.
func (q *Query) Returns() bool { return q.returns }

// Transaction reports whether the query begins or ends a transaction or a savepoint,
// in any of its statements.
func (q *Query) Transaction() bool { return q.ends }

// List reports whether parameter i stands alone in a list, as in IN (?), and
// so takes any number of values.
func (q *Query) List(i int) bool { return q.slots[i].listEnd > 0 }

// Plain reports whether parameter i cannot be JSON, judged by its place: it is compared,
// it is in a list of IN, ANY, ALL or SOME, or it is a condition or a number.
func (q *Query) Plain(i int) bool { return q.slots[i].plain }

// ListAsArray reports whether a list becomes one array parameter in the engine's
// text, so that the text does not depend on the length of the list.
func (q *Query) ListAsArray() bool { return q.dialect == Postgres }

// Loose reports whether the engine has no types for times and decimals: it stores times as
// text, and text that is a number as an integer or a float64, unless the column's type is
// one of text.
func (q *Query) Loose() bool { return q.dialect == SQLite }

// MaxParams returns the largest number of parameters that the engine takes.
func (q *Query) MaxParams() int {
	if q.dialect == SQLite {
		return 32766
	}
	return 65535
}

// Padded returns the number of parameters that [Query.Text] writes for a list of n
// values: the next power of two, so that lists of many lengths share few statements.
// The caller fills them by repeating the last value. Lists of more than 4096 values
// are not padded, which might exceed the engine's limit.
func Padded(n int) int {
	if n > 4096 {
		return n
	}
	size := 1
	for size < n {
		size *= 2
	}
	if n == 0 {
		return 0
	}
	return size
}

// Text returns the engine's text. lengths has, for each parameter, [One] or
// the number of values of its list; nil means One for all of them.
//
// An empty list matches nothing, and everything when negated.
func (q *Query) Text(lengths []int) string {
	if lengths == nil {
		return q.plain
	}
	return q.write(lengths, nil)
}

func (q *Query) write(lengths, guards []int) string {
	if len(q.drops) == 0 && (len(q.slots) == 0 || q.dialect != Postgres && lengths == nil && guards == nil) {
		return q.source
	}
	w := writer{source: q.source, drops: q.drops}
	w.out.Grow(len(q.source) + 8*len(q.slots))
	comparisons := q.comparisons
	if guards == nil {
		comparisons = nil
	}
	for i, slot := range q.slots {
		guarded := len(comparisons) > 0 && guards[comparisons[0].last] > 0
		if guarded && comparisons[0].first == i {
			w.copyTo(comparisons[0].columnStart)
			w.out.WriteByte('(')
		}
		switch {
		case lengths == nil || lengths[i] == One:
			w.copyTo(slot.at)
			w.placeholder(q.dialect)
			w.next = slot.at + 1
		case q.dialect == Postgres:
			w.copyTo(slot.listStart)
			w.array(slot.negated)
			w.next = slot.listEnd
		default:
			w.copyTo(slot.at)
			w.list(q.dialect, Padded(lengths[i]))
			w.next = slot.at + 1
		}
		if len(comparisons) > 0 && comparisons[0].last == i {
			if guarded {
				w.guard(comparisons[0], guards[i])
			}
			comparisons = comparisons[1:]
		}
	}
	w.copyTo(len(q.source))
	return w.out.String()
}

// writer copies a source with replacements.
type writer struct {
	source string
	drops  []int
	next   int // offset of the first character not yet copied
	params int
	out    strings.Builder
}

func (w *writer) copyTo(end int) {
	for len(w.drops) > 0 && w.drops[0] < end {
		w.out.WriteString(w.source[w.next:w.drops[0]])
		w.next, w.drops = w.drops[0]+1, w.drops[1:]
	}
	w.out.WriteString(w.source[w.next:end])
	w.next = end
}

func (w *writer) placeholder(dialect Dialect) {
	if dialect != Postgres {
		w.out.WriteByte('?')
		return
	}
	w.params++
	w.out.WriteByte('$')
	w.out.WriteString(strconv.Itoa(w.params))
}

// array writes PostgreSQL's test for an element of an array parameter, which is right
// for empty arrays, too.
func (w *writer) array(negated bool) {
	operator := "= ANY("
	if negated {
		operator = "<> ALL("
	}
	w.out.WriteString(operator)
	w.placeholder(Postgres)
	w.out.WriteByte(')')
}

// list writes what goes between the parentheses of IN (…). SQLite takes an
// empty list as it is; MySQL wants a query without rows.
func (w *writer) list(dialect Dialect, n int) {
	if n == 0 {
		if dialect == MySQL {
			w.out.WriteString("SELECT NULL FROM DUAL WHERE FALSE")
		}
		return
	}
	w.out.WriteByte('?')
	for range n - 1 {
		w.out.WriteString(", ?")
	}
}

// Split returns the statements of a script without their semicolons. The semicolons in
// the body of a trigger, rule, function, procedure or event do not end a statement. If
// the body has no end, its semicolons at the ends of lines do.
func Split(dialect Dialect, script string) ([]string, error) {
	s := scanner{dialect: dialect, src: script}
	if err := s.run(); err != nil {
		return nil, err
	}
	ends := s.ends
	for _, end := range s.statement.inner {
		if s.statement.inside(s.recent[0], s.recent[1]) && endsLine(script[end+1:]) {
			ends = append(ends, end)
		}
	}
	var statements []string
	start := 0
	for _, end := range append(ends, len(script)) {
		if statement := strings.TrimSpace(script[start:end]); !blank(dialect, statement) {
			statements = append(statements, statement)
		}
		start = min(end+1, len(script))
	}
	return statements, nil
}

// Unfinished returns the end of a script that no semicolon ends, or "" if it has no
// tokens.
func Unfinished(dialect Dialect, script string) (string, error) {
	s := scanner{dialect: dialect, src: script}
	if err := s.run(); err != nil {
		return "", err
	}
	if len(s.ends) > 0 {
		script = script[s.ends[len(s.ends)-1]+1:]
	}
	if blank(dialect, script) {
		return "", nil
	}
	return script, nil
}

// endsLine reports whether only white space and a comment precede the end of the line.
func endsLine(text string) bool {
	text = strings.TrimLeft(text, " \t\r")
	return text == "" || text[0] == '\n' || strings.HasPrefix(text, "--")
}

// Single returns a script as one statement, even if it has semicolons. The result is
// empty if the script has only comments.
func Single(dialect Dialect, script string) string {
	statement := strings.TrimSpace(script)
	if blank(dialect, statement) {
		return ""
	}
	return statement
}

// blank reports whether text has no tokens. Text that cannot be scanned is not blank.
func blank(dialect Dialect, text string) bool {
	s := scanner{dialect: dialect, src: text}
	return s.run() == nil && s.tokens == 0
}

// OnlyRows reports whether a statement changes only rows, so that every engine undoes
// it with its transaction. MySQL does not undo a change of a table.
func OnlyRows(statement string) bool {
	s := scanner{dialect: MySQL, src: statement}
	if s.run() != nil {
		return false
	}
	switch s.first {
	case "INSERT", "UPDATE", "DELETE", "REPLACE", "SELECT", "WITH":
		return true
	}
	return false
}

// unterminated is the error of a construct that starts at offset and has no
// end.
func unterminated(what string, source string, offset int) error {
	return fmt.Errorf("%s that starts at line %d of the query does not end", what, 1+strings.Count(source[:offset], "\n"))
}

// shown is how many bytes of a text [Clip] leaves: a migration may have
// megabytes.
const shown = 1000

// Clip returns the beginning of a text, for errors.
func Clip(text string) string {
	if len(text) <= shown {
		return text
	}
	return strings.ToValidUTF8(text[:shown], "") + "…"
}
