package fragment

import (
	"errors"
	"fmt"
	"strings"

	"github.com/seed-215b9b7c/backend/internal/sqltext"
)

const (
	// maxDepth bounds how deep pieces are nested in each other.
	maxDepth = 100
	// maxPieces and maxText bound what an expansion writes: a piece that
	// contains another one twice doubles it, and so may that.
	maxPieces = 1 << 20
	maxText   = 64 << 20
)

// ErrEmpty is the error of an empty piece where a text is needed.
var ErrEmpty = errors.New("an empty Fragment is no condition; write SQL(\"TRUE\") for all rows, and run no UPDATE that changes nothing")

// Parser reads texts. It may remember what it has read: an expansion asks for
// the text of every piece.
type Parser interface {
	Parse(text string) (*sqltext.Query, error)
}

// Expansion is a piece written as one text. The zero value is ready for use. It
// can be used again, for which it keeps its memory.
type Expansion struct {
	// Text is the text, and Args are the arguments of its parameters in order.
	Text []byte
	Args []any

	parser Parser
	at     []int // offsets in Text of the parameters
	tokens int   // of all pieces
	pieces int
	gap    gap
}

// gap is what goes between the last piece and what is written next.
type gap uint8

const (
	noGap   gap = iota
	space       // a space, if the characters on both sides might join
	newline     // the end of a comment
	never       // nothing may follow
)

// HasPieces reports whether a piece is among the arguments.
func HasPieces(args []any) bool {
	for _, arg := range args {
		if _, ok := arg.(*Node); ok {
			return true
		}
	}
	return false
}

// Expand writes a text and its arguments, of which some are pieces.
//
//   - A parameter whose argument is a piece is replaced by the text and the
//     arguments of the piece.
//   - A piece beside AND, OR or NOT is written in parentheses.
//   - Pieces cannot run into what stands beside them: a space keeps words and
//     operators apart, a line break ends a comment.
func (e *Expansion) Expand(parser Parser, text string, args []any) error {
	e.parser = parser
	q, err := parser.Parse(text)
	if err != nil {
		return err
	}
	if len(args) != q.Params() {
		return q.WrongNumber("the query", len(args))
	}
	return e.fill(q, args, 0)
}

// Reset forgets what was written, and keeps the memory.
func (e *Expansion) Reset() {
	clear(e.Args)
	*e = Expansion{Text: e.Text[:0], Args: e.Args[:0], at: e.at[:0]}
}

// Check returns an error unless q, which is what a Parser makes of Text, has the
// tokens and parameters of the pieces. It has others where a piece changes the
// meaning of what stands beside it.
func (e *Expansion) Check(q *sqltext.Query) error {
	fits := q.Tokens() == e.tokens && q.Params() == len(e.at)
	for i, at := range e.at {
		fits = fits && q.At(i) == at
	}
	if fits {
		return nil
	}
	return errors.New("a Fragment changes the meaning of the text around it; it must consist of whole words and operators, and on PostgreSQL a ? after a name or value is an operator")
}

func (e *Expansion) node(n *Node, depth int) error {
	e.pieces++
	switch {
	case n == nil:
		return ErrEmpty
	case n.err != nil:
		return n.err
	case depth > maxDepth:
		return fmt.Errorf("a Fragment is nested more than %d levels deep", maxDepth)
	case e.pieces > maxPieces || len(e.Text) > maxText:
		return fmt.Errorf("a Fragment is larger than %d pieces or %d bytes; is one contained in another too often?", maxPieces, maxText)
	case n.parts != nil:
		return e.list(n, depth)
	}
	q, err := e.parser.Parse(n.text)
	if err != nil {
		return err
	}
	if q.Tokens() == 0 {
		return ErrEmpty
	}
	if len(n.args) != q.Params() {
		return q.WrongNumber("a Fragment", len(n.args))
	}
	return e.fill(q, n.args, depth)
}

// fill writes a text, and for each of its parameters the piece or the
// parameter.
func (e *Expansion) fill(q *sqltext.Query, args []any, depth int) error {
	text, next := q.Source(), 0
	e.tokens += q.Tokens()
	for i, arg := range args {
		at := q.At(i)
		piece, nested := arg.(*Node)
		if !nested {
			if err := e.write(text[next : at+1]); err != nil {
				return err
			}
			next = at + 1
			e.at, e.Args = append(e.at, len(e.Text)-1), append(e.Args, arg)
			continue
		}
		if err := e.write(text[next:at]); err != nil {
			return err
		}
		next = at + 1
		e.tokens-- // the ? itself
		if err := e.piece(piece, q.Bound(i), depth+1); err != nil {
			if errors.Is(err, ErrEmpty) && depth == 0 {
				return fmt.Errorf("argument %d: %w: %s", i+1, err, sqltext.Clip(text))
			}
			return err
		}
	}
	if err := e.write(text[next:]); err != nil {
		return err
	}
	e.end(q.Tail())
	return nil
}

// piece writes a nested piece, set apart from what stands beside it.
func (e *Expansion) piece(n *Node, parentheses bool, depth int) error {
	e.gap = max(e.gap, space)
	if parentheses {
		e.tokens += 2
		if err := e.write("("); err != nil {
			return err
		}
	}
	if err := e.node(n, depth); err != nil {
		return err
	}
	e.gap = max(e.gap, space)
	if parentheses {
		return e.write(")")
	}
	return nil
}

// list writes the parts with their separator.
func (e *Expansion) list(n *Node, depth int) error {
	separator, err := e.parser.Parse(n.separator)
	if err != nil {
		return err
	}
	if separator.Params() > 0 {
		return fmt.Errorf("a separator of Fragments has a parameter (?): %s", sqltext.Clip(n.separator))
	}
	for i, part := range n.parts {
		if i > 0 {
			if err := e.write(n.separator); err != nil {
				return err
			}
			e.tokens += separator.Tokens()
			e.end(separator.Tail())
		}
		if err := e.piece(part, separator.Joins(), depth+1); err != nil {
			return err
		}
	}
	return nil
}

// end notes how a text ends.
func (e *Expansion) end(tail sqltext.Tail) {
	switch tail {
	case sqltext.TailLine:
		e.gap = newline
	case sqltext.TailOpen:
		e.gap = never
	}
}

// write writes text after the gap.
func (e *Expansion) write(text string) error {
	if text == "" {
		return nil
	}
	switch {
	case e.gap == never:
		return errors.New("a comment that starts in a Fragment does not end; end it with */")
	case e.gap == newline:
		e.Text = append(e.Text, '\n')
	case e.gap == space && len(e.Text) > 0 && !apart(e.Text[len(e.Text)-1]) && !apart(text[0]):
		e.Text = append(e.Text, ' ')
	}
	e.gap = noGap
	e.Text = append(e.Text, text...)
	return nil
}

// apart reports whether a character is no part of a longer word or operator.
func apart(c byte) bool {
	return strings.IndexByte(" \t\n\r\f\v(),;", c) >= 0
}
