package sqltext

// This file finds the semicolons that end statements. Those in the body of a trigger,
// rule, function, procedure or event do not.

// statement is what the words of one statement say so far. Several statements may
// follow each other in one text.
type statement struct {
	dialect  Dialect
	words    int // how many there are, up to 3
	first    string
	kind     string // what it creates or changes, such as TABLE
	parens   int
	open     []bool // BEGIN, CASE, IF and loops without their END; true for a CASE that is an expression
	compound bool   // MariaDB's IF, LOOP or BEGIN NOT ATOMIC outside of a routine
	inner    []int  // offsets of the semicolons that did not end it
	session  Session
}

// kinds are the words that say what CREATE creates.
var kinds = map[string]bool{
	"TABLE": true, "VIEW": true, "INDEX": true, "DATABASE": true, "SCHEMA": true, "USER": true, "ROLE": true, "SEQUENCE": true, "TYPE": true, "DOMAIN": true,
	"TRIGGER": true, "FUNCTION": true, "PROCEDURE": true, "EVENT": true, "RULE": true, "AGGREGATE": true, "POLICY": true, "SERVER": true, "EXTENSION": true,
}

// compounds are the words of MySQL that begin a statement which END ends.
var compounds = map[string]bool{"IF": true, "CASE": true, "LOOP": true, "WHILE": true, "REPEAT": true, "FOR": true}

// beforeStatement has the words after which a statement begins in a body of MySQL.
var beforeStatement = map[string]bool{"BEGIN": true, "ATOMIC": true, "THEN": true, "ELSE": true, "DO": true, "LOOP": true, "REPEAT": true, "ROW": true}

// beforeFunction has the words after which IF and REPEAT are functions or part of IF
// EXISTS, in front of the first compound statement of a body.
var beforeFunction = map[string]bool{
	"RETURN": true, "SELECT": true, "DISTINCT": true, "ALL": true, "AND": true, "OR": true, "XOR": true, "NOT": true, "IN": true, "LIKE": true, "BETWEEN": true,
	"IS": true, "DIV": true, "MOD": true, "REGEXP": true, "RLIKE": true, "WHERE": true, "HAVING": true, "ON": true, "BY": true, "LIMIT": true, "VALUES": true,
	"VALUE": true, "SET": true, "CALL": true, "DEFAULT": true, "EXISTS": true, "INTERVAL": true, "BINARY": true, "AS": true, "STARTS": true, "ENDS": true, "EVERY": true, "AT": true,
	"TABLE": true, "VIEW": true, "INDEX": true, "COLUMN": true, "KEY": true, "DATABASE": true, "SCHEMA": true, "USER": true, "ROLE": true, "SEQUENCE": true,
	"CONSTRAINT": true, "PARTITION": true, "TRIGGER": true, "FUNCTION": true, "PROCEDURE": true, "EVENT": true, "ADD": true, "DROP": true,
}

// word reads the next word, which follows the token last, and reports whether it makes
// the statement one that begins or ends a transaction or a savepoint.
func (s *statement) word(word string, last token) bool {
	s.words = min(s.words+1, 3)
	if s.words == 1 {
		s.first = word
		switch word {
		case "BEGIN", "COMMIT", "ROLLBACK", "END", "ABORT", "SAVEPOINT", "RELEASE":
			return true
		}
		if s.dialect == MySQL && compounds[word] {
			s.compound, s.open = true, append(s.open, false)
		}
		return false
	}
	if s.kind == "" && kinds[word] && (s.first == "CREATE" || s.first == "ALTER") {
		s.kind = word
		return false
	}
	if s.dialect == MySQL {
		s.mysqlBody(word, last)
	} else {
		s.body(word)
	}
	return word == "TRANSACTION" && s.words == 2 && (s.first == "START" || s.first == "PREPARE")
}

// body follows BEGIN ATOMIC … END of PostgreSQL, as psql does.
func (s *statement) body(word string) {
	switch {
	case s.kind != "FUNCTION" && s.kind != "PROCEDURE" && s.kind != "TRIGGER":
	case word == "BEGIN", word == "CASE" && len(s.open) > 0:
		s.open = append(s.open, false)
	case word == "END" && len(s.open) > 0:
		s.open = s.open[:len(s.open)-1]
	}
}

func (s *statement) mysqlBody(word string, last token) {
	switch s.kind {
	case "TRIGGER", "FUNCTION", "PROCEDURE", "EVENT":
	default:
		if s.first == "BEGIN" && s.words == 2 && word == "NOT" {
			s.compound, s.open = true, append(s.open, false)
			return
		}
		if !s.compound {
			return
		}
	}
	depth := len(s.open)
	switch {
	case word == "END":
		s.open = s.open[:max(0, depth-1)]
	case last.word == "END" && compounds[word]: // END IF
	case word == "EACH" && last.word == "FOR": // FOR EACH ROW
		s.open = s.open[:max(0, depth-1)]
	case word == "BEGIN":
		s.open = append(s.open, false)
	case s.begins(last) && compounds[word]:
		s.open = append(s.open, false)
	case word == "CASE":
		s.open = append(s.open, true)
	}
}

// begins reports whether a statement of a body begins after the token last.
func (s *statement) begins(last token) bool {
	if len(s.open) == 0 {
		return last.char != '(' && last.char != ',' && !isOperator(last.char) && !beforeFunction[last.word]
	}
	if s.open[len(s.open)-1] {
		return false
	}
	return last.char == ';' || last.char == ':' || beforeStatement[last.word]
}

// routine reports whether the statement creates something that has statements in it, which
// run later.
func (s *statement) routine() bool {
	switch s.kind {
	case "TRIGGER", "FUNCTION", "PROCEDURE", "EVENT", "RULE":
		return true
	}
	return false
}

// paren notes a parenthesis. PostgreSQL's rules have statements in them.
func (s *statement) paren(step int) {
	if s.dialect == Postgres {
		s.parens = max(0, s.parens+step)
	}
}

// inside reports whether the body of the statement has no end yet after the tokens last
// and before.
func (s *statement) inside(last, before token) bool {
	if s.dialect == SQLite && s.first == "CREATE" && s.kind == "TRIGGER" { // as SQLite's own shell
		return last.word != "END" || before.char != ';'
	}
	return len(s.open) > 0 || s.parens > 0
}

// semicolon reports whether the semicolon at the offset at ends the statement. It follows
// the tokens last and before.
func (s *statement) semicolon(at int, last, before token) bool {
	if s.inside(last, before) {
		s.inner = append(s.inner, at)
		return false
	}
	*s = statement{dialect: s.dialect}
	return true
}
