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
	inside  int      // open executable comments, MySQL's /*! … */

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
	if s.inside > 0 {
		return unterminated("the comment", s.src, strings.LastIndex(s.src, "/*"))
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
	case c == '*' && s.peek(1) == '/' && s.inside > 0:
		s.inside--
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

// lineComment skips a -- comment. MySQL wants white space after the dashes;
// without it they are two minus signs.
func (s *scanner) lineComment() bool {
	if s.peek(1) != '-' {
		return false
	}
	if after := s.peek(2); s.dialect == MySQL && after > ' ' {
		return false
	}
	s.skipLine()
	return true
}

func (s *scanner) skipLine() {
	end := strings.IndexByte(s.src[s.pos:], '\n')
	if end < 0 {
		s.pos, s.tail = len(s.src), TailLine
		return
	}
	s.pos += end + 1
}

// executable reads the start of a comment that MySQL and MariaDB execute, as in
// dumps: /*! … */, /*!40101 … */, /*M! … */.
func (s *scanner) executable() bool {
	mark := 2
	if s.peek(mark) == 'M' {
		mark++
	}
	if s.dialect != MySQL || s.peek(mark) != '!' {
		return false
	}
	for s.pos += mark + 1; isDigit(s.peek(0)); s.pos++ {
	}
	s.inside++
	return true
}

// blockComment skips a comment, which nests in PostgreSQL only.
func (s *scanner) blockComment() error {
	if s.executable() {
		return nil
	}
	start, depth := s.pos, 1
	s.pos += 2
	for depth > 0 {
		switch {
		case s.pos+1 >= len(s.src):
			if s.dialect == SQLite { // SQLite lets the end of input end it
				s.pos, s.tail = len(s.src), TailOpen
				return nil
			}
			return unterminated("the comment", s.src, start)
		case s.src[s.pos] == '*' && s.src[s.pos+1] == '/':
			depth--
			s.pos += 2
		case s.dialect == Postgres && s.src[s.pos] == '/' && s.src[s.pos+1] == '*':
			depth++
			s.pos += 2
		default:
			s.pos++
		}
	}
	return nil
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
			s.push(token{start: start, end: s.pos}, true)
			return nil
		}
	}
	return unterminated(what, s.src, start)
}

// dollar skips a dollar-quoted string, or a single $.
func (s *scanner) dollar() error {
	start := s.pos
	end := s.pos + 1
	for end < len(s.src) && s.src[end] != '$' && isWordPart(s.src[end]) {
		end++
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
	s.pos++
	switch {
	case s.dialect == Postgres && s.peek(0) == '?':
		s.drops = append(s.drops, s.pos)
		s.pos++
		s.push(token{char: '?', start: start}, false)
	case s.dialect == Postgres && (s.operand || s.afterAt(start)):
		s.push(token{char: '?', start: start}, false)
	default:
		s.slots = append(s.slots, slot{at: start, bound: s.recent[0].binds(), plain: s.isPlain()})
		s.push(token{slot: true, start: start}, true)
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
	fetching := (word == "FIRST" || word == "NEXT") && s.recent[0].word == "FETCH"
	s.push(token{word: word, start: start, end: s.pos}, !beforeOperand[word] && !fetching)
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
		return !s.writes && !s.more
	}
	return false
}

func (s *scanner) number() {
	start := s.pos
	for s.pos < len(s.src) && (isWordPart(s.src[s.pos]) || s.src[s.pos] == '.') {
		s.pos++
	}
	s.push(token{start: start}, true)
}

func (s *scanner) punctuation(c byte) {
	s.sessionChar(c)
	switch c {
	case ';':
		s.ended = true
		s.session = max(s.session, s.statement.session)
		if s.statement.semicolon(s.pos, s.recent[0], s.recent[1]) {
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
		s.shut()
		s.list()
	}
	s.push(token{char: c, start: s.pos}, c == ')' || c == ']')
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
	"ON": true, "OR": true, "PLACING": true, "RETURNING": true, "ROWS": true, "SELECT": true, "SET": true, "SIMILAR": true, "SOME": true,
	"SYMMETRIC": true, "THEN": true, "TO": true, "TRAILING": true, "UNION": true, "USING": true, "VALUES": true, "VARIADIC": true, "WHEN": true,
	"WHERE": true, "WITH": true, "ZONE": true,
}
