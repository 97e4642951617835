package sqltext

import "strings"

// scanner reads the tokens of a query and notes its parameters. To tell a parameter
// from an operator of PostgreSQL with a ?, it remembers whether the last token ends
// an operand.
type scanner struct {
	dialect Dialect
	src     string
	pos     int

	slots []slot
	drops []int
	ends  []int // offsets of semicolons

	tokens int

	operand bool     // the last token ends an operand, so an operator follows
	recent  [4]token // the last tokens, newest first
	inside  bool     // an executable comment is open, MySQL's /*! … */
	unsure  string   // one whose parameters depend on the version of the server, see comment.go
	varies  bool     // there is one that not every server executes

	first     string    // the first word, upper case
	statement statement // the one that is being read
	endsTx    bool      // a statement begins or ends a transaction
	calls     bool      // a function is called that may have effects
	session   Session   // what the statements before this one do to the session
	depth     int       // open parentheses
	verb      string    // what a WITH is for: its first SELECT, INSERT, … outside of parentheses
	gives     bool      // RETURNING was seen
	writes    bool      // a keyword that changes data was seen
	more      bool      // a second statement follows
	ended     bool      // a semicolon was seen
	tail      Tail      // how the text ends
	joins     bool      // the first token binds

	frames  []frame // the open parentheses, see place.go
	assigns bool    // the last = assigns

	numbered    bool         // the parameters are $1, $2, …, and a ? is none
	name        name         // the last one, see compare.go
	pending     comparison   // one that ends with the last token, if the next is no part of it
	comparisons []comparison // those that were read
}

// token is a token as far as list recognition needs it.
type token struct {
	word  string // upper case for words, else empty
	char  byte   // the character, for punctuation
	slot  bool   // a parameter
	start int
	end   int // of words and quoted names
}

// binds reports whether the token joins or negates conditions, so that what
// stands beside it may need parentheses. MySQL also writes AND, OR and NOT as
// &&, || and !.
func (t token) binds() bool {
	switch t.word {
	case "AND", "OR", "NOT", "XOR":
		return true
	}
	return t.char == '&' || t.char == '|' || t.char == '!'
}

// takesList has the words after which a parameter is a list or a subquery and not a
// condition. Another pair of parentheses would make it one value.
var takesList = map[string]bool{"IN": true, "ANY": true, "ALL": true, "SOME": true}

func (s *scanner) run() error {
	s.statement.dialect = s.dialect
	for s.pos < len(s.src) {
		if err := s.step(); err != nil {
			return err
		}
	}
	if s.inside {
		return unterminated("the comment", s.src, strings.LastIndex(s.src, "/*"))
	}
	if s.pending.found {
		s.comparisons = append(s.comparisons, s.pending)
	}
	return nil
}

// step reads one token, or skips white space or a comment.
func (s *scanner) step() error {
	c := s.src[s.pos]
	switch {
	case c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v':
		s.pos++
		return nil
	case c == '-' && s.lineComment():
		return nil
	case c == '#' && s.dialect == MySQL:
		s.skipLine()
		return nil
	case c == '/' && s.peek(1) == '*':
		return s.blockComment()
	case c == '*' && s.peek(1) == '/' && s.inside:
		s.inside = false // they do not nest
		s.pos += 2
		return nil
	}
	if s.ended && c != ';' {
		s.more = true
	}
	switch {
	case c == '\'':
		return s.quoted('\'', s.dialect == MySQL || s.escapePrefix(), "the string")
	case c == '"':
		return s.quoted('"', s.dialect == MySQL, "the quoted name")
	case c == '`' && s.dialect != Postgres:
		return s.quoted('`', false, "the quoted name")
	case c == '[' && s.dialect == SQLite:
		return s.quoted(']', false, "the quoted name")
	case c == '$' && s.dialect == Postgres:
		return s.dollar()
	case c == '?':
		s.question()
	case isWordStart(c):
		s.word()
	case c >= '0' && c <= '9':
		s.number()
	default:
		s.punctuation(c)
	}
	return nil
}

func (s *scanner) peek(ahead int) byte {
	if s.pos+ahead < len(s.src) {
		return s.src[s.pos+ahead]
	}
	return 0
}

func (s *scanner) push(t token, operand bool) {
	if s.tokens++; s.tokens == 1 {
		s.joins = t.binds()
	}
	if s.recent[0].slot && t.binds() && !takesList[s.recent[1].word] {
		s.slots[len(s.slots)-1].bound = true
	}
	s.follow(t)
	copy(s.recent[1:], s.recent[:])
	s.recent[0] = t
	s.operand = operand
}

// escapePrefix reports whether the string at the current position is an E'…'
// string, whose backslashes escape.
func (s *scanner) escapePrefix() bool {
	last := s.recent[0]
	return s.dialect == Postgres && last.word == "E" && last.start == s.pos-1
}

// quoted skips a string or quoted name up to the closing character, which
// stands for itself when doubled.
func (s *scanner) quoted(end byte, backslash bool, what string) error {
	start := s.pos
	for s.pos++; s.pos < len(s.src); s.pos++ {
		switch c := s.src[s.pos]; {
		case c == '\\' && backslash:
			s.pos++
		case c == end && s.peek(1) == end && end != ']':
			s.pos++
		case c == end:
			s.pos++
			if backslash && s.dialect == Postgres {
				if next := s.continued(); next > 0 {
					s.pos = next - 1
					continue
				}
			}
			s.push(token{start: start, end: s.pos}, true)
			return nil
		}
	}
	return unterminated(what, s.src, start)
}

// continued returns the offset after the quote that continues the string which ends at the
// current position, or 0. PostgreSQL reads 'a' and 'b' as one string of one kind if a new
// line is between them, and nothing else but white space and -- comments.
func (s *scanner) continued() int {
	newline := false
	for i := s.pos; i < len(s.src); i++ {
		switch c := s.src[i]; {
		case c == '\n' || c == '\r':
			newline = true
		case c == ' ' || c == '\t' || c == '\f':
		case c == '-' && strings.HasPrefix(s.src[i:], "--"):
			length := strings.IndexAny(s.src[i:], "\r\n")
			if length < 0 {
				return 0
			}
			i += length - 1
		case c == '\'' && newline:
			return i + 1
		default:
			return 0
		}
	}
	return 0
}

// dollar skips a dollar-quoted string, or a single $.
func (s *scanner) dollar() error {
	start := s.pos
	end := s.pos + 1
	for end < len(s.src) && s.src[end] != '$' && isWordPart(s.src[end]) {
		end++
	}
	if s.numbered && isDigit(s.peek(1)) {
		for end = start + 1; end < len(s.src) && isDigit(s.src[end]); end++ {
		}
		s.parameter(end)
		return nil
	}
	if end >= len(s.src) || s.src[end] != '$' || isDigit(s.src[start+1]) {
		s.pos = end
		s.push(token{start: start}, true)
		return nil
	}
	tag := s.src[start : end+1]
	length := strings.Index(s.src[end+1:], tag)
	if length < 0 {
		return unterminated("the string "+tag, s.src, start)
	}
	s.pos = end + 1 + length + len(tag)
	s.push(token{start: start}, true)
	return nil
}

// question reads a ?. It is a parameter, unless it is doubled or, in PostgreSQL, follows
// an operand and so is an operator.
func (s *scanner) question() {
	start := s.pos
	switch {
	case s.dialect == Postgres && s.peek(1) == '?' && !s.numbered:
		s.drops = append(s.drops, s.pos+1)
		s.push(token{char: '?', start: start}, false)
		s.pos += 2
	case s.dialect == Postgres && (s.numbered || s.operand || s.afterAt(start) || s.recent[0].char == '.' || s.frame().operator):
		s.push(token{char: '?', start: start}, false)
		s.pos++
	default:
		s.parameter(start + 1)
	}
}

// afterAt reports whether the ? at offset at ends PostgreSQL's operator @?. It does
// not if it follows another operator, such as <@ or @@.
func (s *scanner) afterAt(at int) bool {
	last, before := s.recent[0], s.recent[1]
	touches := before.char != 0 && before.start == last.start-1 && strings.IndexByte("+-*/<>=~!@#%^&|`?", before.char) >= 0
	return last.char == '@' && last.start == at-1 && !touches
}

// list records that the last parameter is the only element of a list, which the
// character at the current position closes.
func (s *scanner) list() {
	if !s.recent[0].slot || s.recent[1].char != '(' || s.recent[2].word != "IN" {
		return
	}
	found := &s.slots[len(s.slots)-1]
	found.listStart, found.listEnd = s.recent[2].start, s.pos+1
	if s.recent[3].word == "NOT" {
		found.listStart, found.negated = s.recent[3].start, true
	}
}

func (s *scanner) word() {
	start := s.pos
	for s.pos < len(s.src) && isWordPart(s.src[s.pos]) {
		s.pos++
	}
	if s.recent[0].char == '.' { // a column may be called anything
		s.push(token{start: start, end: s.pos}, true)
		return
	}
	word := strings.ToUpper(s.src[start:s.pos])
	s.note(word)
	s.push(token{word: word, start: start, end: s.pos}, !beforeOperand[word] && !s.beforeOperand(word))
}

// beforeOperand reports whether an operand begins after the word, judged by the tokens
// before it. Otherwise the word may be the name of a column.
func (s *scanner) beforeOperand(word string) bool {
	last, before := s.recent[0], s.recent[1]
	switch word {
	case "FIRST", "NEXT":
		return last.word == "FETCH"
	case "RANGE", "GROUPS", "PASSING", "PATH", "VALUE", "ROWS": // a column cannot follow an operand
		if s.operand || word == "VALUE" && last.word == "BY" && before.word == "PASSING" {
			return true
		}
		window := before.word == "AS" && (s.recent[3].word == "WINDOW" || s.recent[3].char == ',')
		return word == "ROWS" && last.char == '(' && (before.word == "OVER" || window)
	case "REF":
		return last.word == "BY" && before.word == "PASSING"
	case "DOCUMENT", "CONTENT":
		return last.char == '(' && (before.word == "XMLPARSE" || before.word == "XMLSERIALIZE")
	case "VERSION":
		return last.char == ',' && s.frame().xmlroot
	}
	return false
}

// note records the words that decide whether the query only reads, and whether it begins
// or ends a transaction.
func (s *scanner) note(word string) {
	if s.first == "" {
		s.first = word
	}
	s.endsTx = s.statement.word(word, s.recent[0]) || s.endsTx
	s.sessionWord(word)
	switch word {
	case "INSERT", "UPDATE", "DELETE", "MERGE":
		s.writes = true
	case "INTO": // REPLACE INTO, SELECT … INTO
		s.writes = true
	case "RETURNING":
		s.gives = true
	}
	switch word {
	case "SELECT", "VALUES", "TABLE", "INSERT", "UPDATE", "DELETE", "MERGE", "REPLACE":
		if s.verb == "" && s.depth == 0 {
			s.verb = word
		}
	}
}

// returnsRows reports whether the query returns rows.
func (s *scanner) returnsRows() bool {
	verb := s.first
	if verb == "WITH" {
		verb = s.verb
	}
	switch verb {
	case "SELECT", "VALUES", "TABLE", "SHOW", "EXPLAIN", "DESCRIBE", "DESC", "ANALYZE", "CHECK", "CHECKSUM", "OPTIMIZE", "REPAIR", "PRAGMA":
		return true
	}
	return s.gives
}

// reads reports whether the query only reads. FOR UPDATE counts as a write.
func (s *scanner) reads() bool {
	switch s.first {
	case "SELECT", "VALUES", "WITH":
		return !s.writes && !s.more && !s.varies
	}
	return false
}

func (s *scanner) number() {
	start := s.pos
	for s.pos < len(s.src) && (isWordPart(s.src[s.pos]) || s.src[s.pos] == '.') {
		if s.src[s.pos] == '$' && s.dialect == Postgres { // of a string $a$ … $a$
			break
		}
		s.pos++
	}
	s.push(token{start: start}, true)
}

func (s *scanner) punctuation(c byte) {
	s.sessionChar(c)
	operand := c == ')' || c == ']'
	var shut comparison
	switch c {
	case ';':
		s.ended = true
		s.session = max(s.session, s.statement.session)
		if s.statement.semicolon(s.pos, s.recent[0], s.recent[1]) && !s.inside {
			s.ends = append(s.ends, s.pos)
		}
	case '(':
		s.call()
		s.statement.paren(1)
		s.depth++
		s.open()
	case ')':
		s.statement.paren(-1)
		s.depth--
		operand = !s.namesOperator()
		shut = s.shutList()
		s.shut()
		s.list()
	}
	s.push(token{char: c, start: s.pos}, operand)
	s.pending = shut
	s.pos++
}

func isWordStart(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c >= 0x80
}

func isWordPart(c byte) bool {
	return isWordStart(c) || isDigit(c) || c == '$'
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// beforeOperand has the words of PostgreSQL after which an operand begins, so that a ?
// is a parameter there. After any other word, which is a name, a ? is an operator.
// Most of these words are reserved. A column with the name of one that is not, such
// as zone, must be quoted before the operator.
var beforeOperand = map[string]bool{
	"ALL": true, "AND": true, "ANY": true, "AS": true, "ASYMMETRIC": true, "BETWEEN": true, "BOTH": true, "BY": true,
	"CALL": true, "CASE": true, "COLLATE": true, "DEFAULT": true, "DISTINCT": true, "ELSE": true, "ESCAPE": true,
	"EXCEPT": true, "EXECUTE": true, "FETCH": true, "FOR": true, "FROM": true, "HAVING": true, "ILIKE": true, "IN": true,
	"INTERSECT": true, "INTO": true, "IS": true, "LEADING": true, "LIKE": true, "LIMIT": true, "NOT": true, "OFFSET": true,
	"ON": true, "OR": true, "PLACING": true, "RETURNING": true, "SELECT": true, "SET": true, "SIMILAR": true, "SOME": true,
	"SYMMETRIC": true, "THEN": true, "TO": true, "TRAILING": true, "UNION": true, "USING": true, "VALUES": true, "VARIADIC": true, "WHEN": true,
	"WHERE": true, "WITH": true, "ZONE": true,
}
