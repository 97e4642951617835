package sqltext

import "strings"

// Token is a word, a name, a value or a punctuation character of a statement.
type Token struct {
	Text   string // a quoted name or string has no quotes
	Quoted bool
}

// Is reports whether the token is the keyword, which is in upper case.
func (t Token) Is(keyword string) bool { return !t.Quoted && strings.EqualFold(t.Text, keyword) }

// Lead returns the first n tokens of a text, or all if there are fewer. It returns
// those before an error.
func Lead(dialect Dialect, text string, n int) []Token {
	s := scanner{dialect: dialect, src: text}
	s.statement.dialect = dialect
	var tokens []Token
	for s.pos < len(s.src) && len(tokens) < n {
		if s.step() != nil {
			break
		}
		if s.tokens > len(tokens) {
			tokens = append(tokens, unquote(s.src[s.recent[0].start:s.pos]))
		}
	}
	return tokens
}

func unquote(text string) Token {
	end := text[0]
	switch end {
	case '[':
		end = ']'
	case '"', '\'', '`':
	default:
		return Token{Text: text}
	}
	if len(text) < 2 || text[len(text)-1] != end {
		return Token{Text: text}
	}
	inner, quote := text[1:len(text)-1], string(end)
	if end != ']' {
		inner = strings.ReplaceAll(inner, quote+quote, quote)
	}
	return Token{Text: inner, Quoted: true}
}

// Control says how a statement controls a transaction.
type Control uint8

const (
	NoControl    Control = iota
	Begins               // BEGIN, START TRANSACTION
	Commits              // COMMIT, END
	RollsBack            // ROLLBACK, ABORT
	OtherControl         // a savepoint, PREPARE TRANSACTION, COMMIT AND CHAIN
)

// Controls returns how a text that is one statement controls a transaction. A text of
// several statements has NoControl.
func Controls(dialect Dialect, statement string) Control {
	tokens := Lead(dialect, statement, 5)
	if len(tokens) == 0 {
		return NoControl
	}
	is := func(i int, keywords ...string) bool {
		for _, keyword := range keywords {
			if i < len(tokens) && tokens[i].Is(keyword) {
				return true
			}
		}
		return false
	}
	for i, token := range tokens {
		if token.Is(";") && i < len(tokens)-1 {
			return NoControl
		}
	}
	switch {
	case is(0, "BEGIN") && is(1, "NOT"): // MariaDB's BEGIN NOT ATOMIC … END
		return NoControl
	case is(0, "BEGIN"), is(0, "START") && is(1, "TRANSACTION"):
		return Begins
	case is(0, "COMMIT", "END") && !is(1, "AND", "PREPARED") && !is(2, "AND"):
		return Commits
	case is(0, "ROLLBACK", "ABORT") && !is(1, "TO", "AND", "PREPARED") && !is(2, "TO", "AND"):
		return RollsBack
	case is(0, "COMMIT", "END", "ROLLBACK", "ABORT", "SAVEPOINT", "RELEASE"), is(0, "PREPARE") && is(1, "TRANSACTION"):
		return OtherControl
	}
	return NoControl
}
