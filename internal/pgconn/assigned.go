package pgconn

import "strings"

// assigned reports which parameters a statement only assigns to columns, n being their
// number: each stands alone in a row of INSERT … VALUES or after the = of a SET. The server
// compares and computes nothing with them. If the text has comments, backslashes or
// dollar-quoted strings, or begins with another word, none is reported.
func assigned(text string, n int) []bool {
	if strings.Contains(text, "--") || strings.Contains(text, "/*") || strings.Contains(text, `\`) {
		return make([]bool, n)
	}
	s := assignments{text: text, params: make([]bool, n), others: make([]bool, n)}
	s.next()
	s.insert = s.is("INSERT")
	if !s.insert && !s.is("UPDATE") {
		return make([]bool, n)
	}
	for s.token != "" {
		if !s.step() {
			return make([]bool, n)
		}
	}
	for i, other := range s.others {
		s.params[i] = s.params[i] && !other
	}
	return s.params
}

// assignments reads a statement for [assigned], with one token ahead.
type assignments struct {
	text   string
	token  string    // empty at the end
	recent [3]string // the tokens before it, the last first
	insert bool
	depth  int    // of parentheses
	clause string // its last word outside of parentheses; SET stays until its list ends

	params, others []bool // parameters that are assigned, and that are used otherwise
}

// step reads a token. It returns false if the statement may not be understood.
func (s *assignments) step() bool {
	token := s.token
	s.next()
	switch token[0] {
	case '(':
		s.depth++
	case ')':
		s.depth--
	case '$':
		number := 0
		for _, digit := range []byte(token[1:]) {
			if number = number*10 + int(digit) - '0'; digit < '0' || digit > '9' || number > len(s.params) {
				return false
			}
		}
		if number == 0 {
			return false
		}
		if s.isRow() || s.isSet() {
			s.params[number-1] = true
		} else {
			s.others[number-1] = true
		}
	default:
		if isWordPart(token[0]) && s.depth == 0 && (s.clause != "SET" || clauseEnd(token)) {
			s.clause = strings.ToUpper(token)
		}
		if s.clause == "UNION" || s.clause == "EXCEPT" || s.clause == "INTERSECT" { // they compare rows
			return false
		}
	}
	s.recent = [3]string{token, s.recent[0], s.recent[1]}
	return true
}

// isRow reports whether the parameter that was read is a value of a row.
func (s *assignments) isRow() bool {
	before := s.recent[0]
	return s.insert && s.clause == "VALUES" && s.depth == 1 && (before == "(" || before == ",") && (s.token == ")" || s.token == ",")
}

// isSet reports whether the parameter that was read is the value of a SET.
func (s *assignments) isSet() bool {
	target, begin := s.recent[1], s.recent[2]
	return s.clause == "SET" && s.depth == 0 && s.recent[0] == "=" && target != "" && (isWordPart(target[0]) || target[0] == '"') &&
		(begin == "," || strings.EqualFold(begin, "SET")) && (s.token == "" || s.token == "," || clauseEnd(s.token))
}

func clauseEnd(word string) bool {
	return strings.EqualFold(word, "WHERE") || strings.EqualFold(word, "FROM") || strings.EqualFold(word, "RETURNING")
}

func (s *assignments) is(word string) bool { return strings.EqualFold(s.token, word) }

// next reads the token ahead: a word, a number, a parameter, something quoted, or one
// character. A quote that nothing closes is read as a $, which is no parameter.
func (s *assignments) next() {
	s.text = strings.TrimLeft(s.text, " \t\r\n\f\v")
	if s.text == "" {
		s.token = ""
		return
	}
	end := 1
	switch c := s.text[0]; {
	case c == '\'' || c == '"':
		length := strings.IndexByte(s.text[1:], c)
		if length < 0 {
			s.token, s.text = "$", ""
			return
		}
		end = length + 2 // a doubled quote is read as two strings, which changes nothing
	case isWordPart(c):
		for end < len(s.text) && isWordPart(s.text[end]) {
			end++
		}
	}
	s.token, s.text = s.text[:end], s.text[end:]
}

func isWordPart(c byte) bool {
	return c == '_' || c == '$' || c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z' || c >= 0x80
}
