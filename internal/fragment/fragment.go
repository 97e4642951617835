// Package fragment builds SQL from pieces that keep their arguments. A piece is
// a text with ? for each of its arguments, or a list of pieces with a separator
// between them. An argument may be a piece as well. [Expansion.Expand] writes a
// piece as one text with one list of arguments.
package fragment

import "slices"

// Node is an immutable piece of SQL. The nil Node is the empty piece.
type Node struct {
	text string
	args []any // a *Node among them stands for its text and its arguments

	// A node with parts is a list.
	parts     []*Node
	separator string

	err error // why the node cannot be written
}

// Text returns the piece of a text and its arguments. It keeps args, which must
// not be changed afterwards. An empty text without arguments is the nil Node.
func Text(text string, args []any) *Node {
	if text == "" && len(args) == 0 {
		return nil
	}
	return &Node{text: text, args: args}
}

// Invalid returns a piece that is an error where it is used.
func Invalid(err error) *Node { return &Node{err: err} }

// LeftOut is the piece of a condition that does not hold. A list leaves it out; anywhere
// else it is as empty as nil.
var LeftOut = Invalid(ErrEmpty)

// The operators of [Node.Combine].
const (
	And = " AND "
	Or  = " OR "
)

// Combine returns the condition that n and other make with the operator [And]
// or [Or]. It writes each in parentheses. If one of them is nil, or n is
// LeftOut, Combine returns the other.
func (n *Node) Combine(operator string, other *Node) *Node {
	switch {
	case n == nil || n == LeftOut:
		return other
	case other == nil:
		return n
	case n.parts != nil && n.separator == operator:
		// A copy: two lists that begin alike may share no memory beyond the end.
		return &Node{parts: append(slices.Clip(n.parts), other), separator: operator}
	}
	return &Node{parts: []*Node{n, other}, separator: operator}
}

// Join returns the pieces with the separator between them, each in parentheses
// if the separator begins or ends with AND, OR or NOT. It keeps parts, which must
// not be changed afterwards. A list of no pieces is the nil Node.
func Join(separator string, parts []*Node) *Node {
	if len(parts) == 0 {
		return nil
	}
	return &Node{parts: parts, separator: separator}
}
