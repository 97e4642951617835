package sqltext

import "strings"

// This file finds out which parameters cannot be JSON, judged by where their ? stands: a
// slice there was meant as a list. After a comparison or within IN (…) its JSON text would
// compare with nothing, and NOT IN would match every row.

// frame is what is known about a pair of parentheses, or about the text outside of all.
type frame struct {
	plain  bool // its parameters cannot be JSON, as those of IN (?, ?) or = (?)
	list   bool // it is the list of IN, ANY, ALL or SOME
	assign assignment
	config bool // it has the arguments of set_config, see session.go

	compared bool       // what is in it is compared, see compare.go
	of       comparison // it is the list of this one
	between  between

	operator bool // it has a name of PostgreSQL's OPERATOR(…)
	xmlroot  bool // it has the arguments of XMLROOT
}

// assignment is how far a SET has been read.
type assignment uint8

const (
	assignNone   assignment = iota
	assignTarget            // a column, and then = which assigns
	assignValue             // a value; another = compares
)

// plainAfter has the words after which a parameter is a condition, a number, a pattern or
// one side of a comparison.
var plainAfter = map[string]bool{
	"WHERE": true, "AND": true, "OR": true, "NOT": true, "XOR": true, "ON": true, "HAVING": true, "WHEN": true, "CASE": true, "BETWEEN": true, "SYMMETRIC": true, "ASYMMETRIC": true,
	"LIKE": true, "ILIKE": true, "RLIKE": true, "REGEXP": true, "GLOB": true, "MATCH": true, "TO": true, "ESCAPE": true, "IS": true, "FROM": true, "IN": true, "ANY": true, "ALL": true, "SOME": true,
	"LIMIT": true, "OFFSET": true, "FETCH": true, "FIRST": true, "NEXT": true, "BY": true, "DIV": true, "MOD": true,
}

// comparing has the words that compare the operand before them.
var comparing = map[string]bool{
	"LIKE": true, "ILIKE": true, "RLIKE": true, "REGEXP": true, "GLOB": true, "MATCH": true, "SIMILAR": true, "IN": true, "BETWEEN": true, "IS": true, "NOT": true, "ISNULL": true, "NOTNULL": true,
}

// beforeCondition has the words after which a condition begins. It may begin with JSON, as
// in WHERE ? <@ doc.
var beforeCondition = map[string]bool{"WHERE": true, "AND": true, "OR": true, "NOT": true, "XOR": true, "ON": true, "HAVING": true, "WHEN": true}

// operators are the comparisons. Others, such as @> and ||, have JSON operands.
var operators = map[string]bool{"=": true, "==": true, "<": true, ">": true, "<=": true, ">=": true, "<>": true, "!=": true, "<=>": true}

// jsonOperators have operands that may be JSON.
var jsonOperators = map[string]bool{"||": true, "@>": true, "<@": true, "=>": true, ":=": true}

func isOperator(c byte) bool { return c != 0 && strings.IndexByte("+-*/<>=~!@#%^&|:", c) >= 0 }

// operator returns the operator that ends with the last token.
func (s *scanner) operator() string {
	n := 0
	for n < len(s.recent) && isOperator(s.recent[n].char) && (n == 0 || s.recent[n].start == s.recent[n-1].start-1) {
		n++
	}
	if n == 0 {
		return ""
	}
	start := s.recent[n-1].start
	return s.src[start : start+n]
}

// ahead returns the operator that begins at the current position.
func (s *scanner) ahead() string {
	end := s.pos
	for end < len(s.src) && isOperator(s.src[end]) {
		end++
	}
	return s.src[s.pos:end]
}

func (s *scanner) frame() *frame {
	if len(s.frames) == 0 {
		s.frames = append(s.frames, frame{})
	}
	return &s.frames[len(s.frames)-1]
}

// isPlain reports whether what follows the last token cannot be JSON.
func (s *scanner) isPlain() bool {
	last := s.recent[0]
	switch {
	case last.char == '(' || last.char == ',':
		return s.frame().plain
	case isOperator(last.char):
		operator := s.operator()
		return !jsonOperators[operator] && !(operator == "=" && s.assigns)
	case last.char == '?' || last.char == '[':
		return true
	}
	return plainAfter[last.word]
}

// open notes an opening parenthesis.
func (s *scanner) open() {
	last, outer := s.recent[0], s.frame()
	inner := frame{list: takesList[last.word], of: s.listOf()}
	switch {
	case inner.list:
		inner.plain, inner.compared = true, true
	case last.char == ',' || last.char == '(' || isOperator(last.char) || last.char == '?':
		inner.plain, inner.list, inner.compared = s.isPlain(), outer.list, s.compares()
	case last.word == "VALUES":
		inner.plain, inner.compared = outer.list, outer.list
	default: // the arguments of a function, unless it is one of these words
		inner.plain, inner.compared = plainAfter[last.word], comparedAfter[last.word]
	}
	inner.config = s.dialect == Postgres && s.lastName() == "set_config"
	inner.operator = s.dialect == Postgres && last.word == "OPERATOR"
	inner.xmlroot = last.word == "XMLROOT"
	s.frames = append(s.frames, inner)
}

// namesOperator reports whether the parenthesis that is read ends an OPERATOR(…), after
// which an operand begins.
func (s *scanner) namesOperator() bool {
	last := s.recent[0].char
	return s.frame().operator && (isOperator(last) || last == '?' || last == '`')
}

// shut notes a closing parenthesis.
func (s *scanner) shut() {
	if s.frame().config {
		s.setsConfig()
	}
	if len(s.frames) > 1 {
		s.frames = s.frames[:len(s.frames)-1]
	}
}

// follow notes what a token says about the parameter before it and about those after
// it. It is called before the token is pushed.
func (s *scanner) follow(t token) {
	s.followComparison(t)
	if s.recent[0].slot {
		last, operator := &s.slots[len(s.slots)-1], ""
		if isOperator(t.char) {
			operator = s.ahead()
		}
		switch {
		case comparing[t.word] || operators[operator]:
			last.plain, last.compared = true, last.compared || !isOperator(s.recent[1].char)
		case t.char == ':': // it is cast
			last.compared = false
		case beforeCondition[s.recent[1].word] && jsonOperators[operator]:
			last.plain = false
		}
	}
	f := s.frame()
	switch t.word {
	case "SELECT", "WITH", "VALUES":
		if s.recent[0].char == '(' { // a subquery, whose columns may be JSON
			f.plain = f.list && t.word == "VALUES"
			f.compared = f.plain
		}
	case "SET":
		f.assign = assignTarget
	case "UPDATE":
		if s.recent[0].word == "KEY" { // ON DUPLICATE KEY UPDATE
			f.assign = assignTarget
		}
	case "FROM":
		if s.recent[0].word != "DISTINCT" {
			f.assign = assignNone
		}
	case "WHERE", "RETURNING":
		f.assign = assignNone
	case "JSON", "JSONB":
		if s.recent[0].char == ':' && s.recent[1].char == ':' && s.recent[2].slot { // ?::jsonb
			s.slots[len(s.slots)-1].plain = false
		}
	}
	switch {
	case t.char == '=':
		s.assigns = f.assign == assignTarget && !isOperator(s.recent[0].char)
		if s.assigns {
			f.assign = assignValue
		}
	case t.char == ',' && f.assign == assignValue:
		f.assign = assignTarget
	}
}
