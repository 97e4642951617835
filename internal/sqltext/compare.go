package sqltext

import (
	"slices"
	"strconv"
	"strings"
)

// This file finds out which parameters are compared, and with which column, so that an
// argument that is no value of the column's type can be compared as numbers are.

// comparison is a column, an operator, and one parameter or a list of nothing but
// parameters, which means the same in parentheses.
type comparison struct {
	found                  bool
	columnStart, columnEnd int
	end                    int // offset after it
	first, last            int // its parameters
	negated                bool
	quantified             bool // the parameter is in = ANY(…)
}

// name is the last name that was read, with what qualifies it.
type name struct {
	start, end int
	begins     bool // a condition begins with it
}

// between is how far the operator BETWEEN x AND y has been read.
type between uint8

const (
	betweenNone between = iota
	betweenFirst
	betweenAnd // the last token is its AND
)

// comparedAfter has the words after which a parameter is compared.
var comparedAfter = map[string]bool{
	"BETWEEN": true, "AND": true, "SYMMETRIC": true, "ASYMMETRIC": true, "FROM": true, "WHEN": true, "CASE": true, "IN": true, "ANY": true, "ALL": true, "SOME": true,
}

// afterComparison has the words that are no part of the comparison before them.
var afterComparison = map[string]bool{
	"AND": true, "OR": true, "XOR": true, "WHEN": true, "THEN": true, "ELSE": true, "END": true, "WHERE": true, "GROUP": true, "HAVING": true, "WINDOW": true, "ORDER": true, "LIMIT": true,
	"OFFSET": true, "FETCH": true, "FOR": true, "LOCK": true, "UNION": true, "INTERSECT": true, "EXCEPT": true, "RETURNING": true, "AS": true,
	"JOIN": true, "LEFT": true, "RIGHT": true, "FULL": true, "INNER": true, "CROSS": true, "NATURAL": true,
}

// compares reports whether what follows the last token is compared.
func (s *scanner) compares() bool {
	last := s.recent[0]
	switch {
	case last.char == '(' || last.char == ',':
		return s.frame().compared
	case isOperator(last.char):
		operator := s.operator()
		return operators[operator] && !(operator == "=" && s.assigns)
	}
	return comparedAfter[last.word]
}

// parameter notes a parameter from the current position to end, and goes on there.
func (s *scanner) parameter(end int) {
	start, operator := s.pos, s.operator()
	n := len(s.slots)
	s.slots = append(s.slots, slot{at: start, end: end, bound: s.recent[0].binds(), plain: s.isPlain(), compared: s.compares(), quantifier: s.quantifier()})
	var with comparison
	if operator == "=" && !s.assigns || operator == "<>" || operator == "!=" {
		if with = s.column(len(operator)); with.found {
			with.end, with.first, with.last, with.negated = end, n, n, operator != "="
		}
	}
	s.push(token{slot: true, start: start}, true)
	s.pending = with
	s.pos = end
}

// column returns the beginning of a comparison if the name of a column, with which a
// condition begins, precedes the last n tokens.
func (s *scanner) column(n int) comparison {
	if n >= len(s.recent) || !s.name.begins || s.name.end == 0 || s.recent[n].end != s.name.end {
		return comparison{}
	}
	return comparison{found: true, columnStart: s.name.start, columnEnd: s.name.end}
}

// begins reports whether a condition begins after the last token. In a list of columns,
// the text of an expression is also its name.
func (s *scanner) begins() bool {
	last := s.recent[0]
	switch last.word {
	case "WHERE", "OR", "XOR", "ON", "HAVING", "WHEN":
		return true
	case "AND":
		return s.frame().between != betweenAnd
	case "NOT":
		return s.recent[1].word != "IS"
	}
	return last.char == '('
}

// listOf returns the comparison whose list begins at the current position.
func (s *scanner) listOf() (c comparison) {
	last, before := s.recent[0], s.recent[1]
	switch {
	case last.word == "IN" && before.word == "NOT":
		c = s.column(2)
		c.negated = true
	case last.word == "IN":
		c = s.column(1)
	case last.word == "ANY" && before.char == '=' && !s.assigns:
		c = s.column(2)
		c.quantified = true
	}
	c.first = len(s.slots)
	return c
}

// quantifier returns = ANY or <> ALL if the parameter at the current position is an array
// that one of them compares with.
func (s *scanner) quantifier() string {
	if s.recent[0].char != '(' {
		return ""
	}
	word, last, before := s.recent[1].word, s.recent[2].char, s.recent[3].char
	switch {
	case (word == "ANY" || word == "SOME") && last == '=' && !isOperator(before):
		return "= ANY"
	case word == "ALL" && last == '>' && before == '<', word == "ALL" && last == '=' && before == '!':
		return "<> ALL"
	}
	return ""
}

// followComparison notes what a token says about the comparison and the names before it.
// It is called before the token is pushed.
func (s *scanner) followComparison(t token) {
	if s.pending.found && (t.char == ')' || t.char == ',' || t.char == ';' || afterComparison[t.word]) {
		s.comparisons = append(s.comparisons, s.pending)
	}
	s.pending = comparison{}
	if t.end > t.start && !takesList[t.word] && t.word != "NOT" {
		if s.recent[0].char == '.' && s.recent[1].end > 0 && s.recent[1].end == s.name.end {
			s.name.end = t.end
		} else {
			s.name = name{t.start, t.end, s.begins()}
		}
	}
	f := s.frame()
	f.of.found = f.of.found && (t.slot || t.char == ',' || t.char == '(')
	switch {
	case t.word == "BETWEEN":
		f.between = betweenFirst
	case t.word == "AND" && f.between == betweenFirst:
		f.between = betweenAnd
	case f.between == betweenAnd:
		f.between = betweenNone
	}
}

// shutList returns the comparison whose list ends at the current position.
func (s *scanner) shutList() comparison {
	c := s.frame().of
	c.last, c.end = len(s.slots)-1, s.pos+1
	c.found = c.found && c.last >= c.first && (!c.quantified || c.last == c.first)
	return c
}

// Guards reports whether integers of the engine are equal to text that begins with them, as
// 12 is to 12abc and 0 to abc, and the query has comparisons that need [Query.TextGuarded].
func (q *Query) Guards() bool { return q.dialect == MySQL && len(q.comparisons) > 0 }

// Equal reports whether parameter last is the last of those that a column is compared with
// for equality, and returns the first of them. They are those of a = ?, a <> ?,
// a IN (?, ?) and a NOT IN (?, ?).
func (q *Query) Equal(last int) (first int, ok bool) {
	i, ok := slices.BinarySearchFunc(q.comparisons, last, func(c comparison, last int) int { return c.last - last })
	if !ok {
		return 0, false
	}
	return q.comparisons[i].first, true
}

// TextGuarded is [Query.Text] with comparisons in which columns with certain texts are not
// equal: a = ? becomes (a = ? AND CONCAT(a) NOT IN (?)). guards has, for the last parameter
// of a comparison, the number of texts, whose parameters follow.
func (q *Query) TextGuarded(lengths, guards []int) string { return q.write(lengths, guards) }

// guard writes what follows the last parameter of a guarded comparison.
func (w *writer) guard(c comparison, n int) {
	w.copyTo(c.end)
	column := w.source[c.columnStart:c.columnEnd]
	if c.negated {
		w.out.WriteString(" OR CONCAT(" + column + ") IN (")
	} else {
		w.out.WriteString(" AND CONCAT(" + column + ") NOT IN (")
	}
	w.list(MySQL, n)
	w.out.WriteString("))")
}

// Placeholder is a $1, $2, … in a text of PostgreSQL.
type Placeholder struct {
	Number int
	// Compared says that it is compared, or in a list that something is compared with.
	Compared bool
	// Quantifier is = ANY or <> ALL if it is the array of one of them.
	Quantifier string
	// Equal says that it is the only one in a = $1, a IN ($1) or a = ANY($1), with a
	// column a.
	Equal bool

	start, end int
	comparison comparison
}

// Placeholders returns the placeholders of a text of PostgreSQL.
func Placeholders(text string) ([]Placeholder, error) {
	s := scanner{dialect: Postgres, src: text, numbered: true}
	if err := s.run(); err != nil {
		return nil, err
	}
	places := make([]Placeholder, len(s.slots))
	for i, slot := range s.slots {
		number, err := strconv.Atoi(text[slot.at+1 : slot.end])
		if err != nil {
			return nil, err
		}
		places[i] = Placeholder{Number: number, Compared: slot.compared, Quantifier: slot.quantifier, start: slot.at, end: slot.end}
	}
	for _, c := range s.comparisons {
		if c.first == c.last && !c.negated {
			places[c.first].Equal, places[c.first].comparison = true, c
		}
	}
	return places, nil
}

// Cast is a type for the placeholders of one parameter, see [Recast].
type Cast struct {
	Type string
	// Never makes comparisons that are [Placeholder.Equal] false, or NULL for NULL, if the
	// argument is not NULL: a = $1 becomes (a = $1 AND a <> $1).
	Never bool
}

// Recast returns a text in which the placeholders of the numbers in casts are cast to
// another type.
func Recast(text string, places []Placeholder, casts map[int]Cast) string {
	var b strings.Builder
	next := 0
	for _, p := range places {
		cast, ok := casts[p.Number]
		if !ok {
			continue
		}
		c, start := p.comparison, next
		if cast.Never {
			b.WriteString(text[start:c.columnStart] + "(")
			start = c.columnStart
		}
		typed := text[p.start:p.end] + "::" + cast.Type
		b.WriteString(text[start:p.start] + typed)
		next = p.end
		if cast.Never {
			if c.quantified {
				typed = "ALL(" + typed + ")"
			}
			b.WriteString(text[next:c.end] + " AND " + text[c.columnStart:c.columnEnd] + " <> " + typed + ")")
			next = c.end
		}
	}
	return b.String() + text[next:]
}
