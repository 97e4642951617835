package backend

import (
	"errors"
	"strings"

	"github.com/seed-215b9b7c/backend/internal/fragment"
)

// This file has the types of SQL, which cannot be made from input: the query, and
// the Fragment that queries are built of.

// query is the type of every query parameter. Only constants convert to it by
// themselves, so a query that input was pasted into does not compile:
//
//	backend.One[Note](ctx, db, "SELECT * FROM notes WHERE id = ?", id)  // compiles
//	backend.One[Note](ctx, db, "SELECT * FROM notes WHERE id = "+id)    // does not
type query string

// Fragment is a piece of SQL with its arguments: a condition, an order, a list
// of columns, or a whole query. [SQL] makes one of a constant. Helper functions
// can return Fragments and take them, and text and arguments never part:
//
//	where := backend.SQL("owner_id = ?", me)
//	if in.Tag != "" {
//		where = where.And("tag = ?", in.Tag)
//	}
//	notes, err := backend.All[Note](ctx, db, "SELECT * FROM notes WHERE ? ORDER BY id LIMIT ?", where, 20)
//
// A Fragment among the arguments of a query, or of another Fragment, replaces
// its ?. The section Fragments of the package documentation has the rules.
//
// The zero Fragment is empty. And and Or of it are their condition alone. It is
// an error where it would replace a ?, so that a condition that nobody added
// never means all rows; write SQL("TRUE") for all rows.
//
// A Fragment is immutable and safe for concurrent use. Its arguments are not
// copied: do not change what they point to until the query has run.
type Fragment struct{ node *fragment.Node }

// SQL returns a constant text with an argument for each ? in it.
func SQL(text query, args ...any) Fragment { return newFragment(text, args) }

// SQLIf returns [SQL] of the text and its arguments if wanted is true, and otherwise a
// Fragment that [JoinSQL] leaves out. Anywhere else that one is empty. It is for what
// depends on the input:
//
//	changes := backend.JoinSQL(", ",
//		backend.SQL("updated_at = ?", time.Now()),
//		backend.SQLIf(in.Title.Present, "title = ?", in.Title),
//		backend.SQLIf(in.Text.Present, "text = ?", in.Text))
//	_, err := db.Exec(ctx, "UPDATE notes SET ? WHERE id = ?", changes, in.ID)
//
// The arguments are evaluated in any case.
func SQLIf(wanted bool, text query, args ...any) Fragment {
	if !wanted {
		return Fragment{fragment.LeftOut}
	}
	return newFragment(text, args)
}

// UnsafeSQL returns a text that is not a constant, with an argument for each ? in
// it. Nothing checks the text: whoever can influence it can read and change
// everything in the database. Use it for names of tables and columns that the
// program itself chose, and pass values as arguments.
func UnsafeSQL(text string, args ...any) Fragment { return newFragment(query(text), args) }

// And returns the Fragment that is true where both f and the condition are. Each
// of them is in parentheses. And of an empty f is the condition alone.
func (f Fragment) And(condition query, args ...any) Fragment {
	return Fragment{f.node.Combine(fragment.And, newFragment(condition, args).node)}
}

// Or returns the Fragment that is true where f or the condition is. Each of them
// is in parentheses. Or of an empty f is the condition alone.
func (f Fragment) Or(condition query, args ...any) Fragment {
	return Fragment{f.node.Combine(fragment.Or, newFragment(condition, args).node)}
}

// JoinSQL returns the fragments with the separator between them, for lists such
// as columns, orders and rows of VALUES:
//
//	rows = append(rows, backend.SQL("(?, ?)", tag.NoteID, tag.Name))
//	…
//	_, err := db.Exec(ctx, "INSERT INTO tags (note_id, name) VALUES ?", backend.JoinSQL(", ", rows...))
//
// A separator that begins or ends with AND, OR or NOT puts each fragment in
// parentheses. What [SQLIf] does not want is left out; other empty Fragments, such as the
// zero Fragment, are errors in a query. So is the result if nothing is left: begin
// conditions with SQL("TRUE") if all rows are meant, and run no UPDATE that changes nothing.
func JoinSQL(separator query, fragments ...Fragment) Fragment {
	var parts []*fragment.Node
	negates := strings.Contains(strings.ToUpper(string(separator)), "NOT") // without the first fragment, it would negate nothing
	for i, f := range fragments {
		if f.node != fragment.LeftOut || i == 0 && negates {
			parts = append(parts, f.node)
		}
	}
	if len(parts) == 0 && len(fragments) > 0 {
		return Fragment{fragment.LeftOut}
	}
	return Fragment{fragment.Join(string(separator), parts)}
}

func newFragment(text query, args []any) Fragment {
	return Fragment{fragment.Text(string(text), copied(args))} // the caller may change its own slice
}

// pieces returns args with the node of each Fragment in its place, and args
// itself if none of them is one.
func pieces(args []any) []any {
	for _, arg := range args {
		switch arg.(type) {
		case Fragment, *Fragment, []Fragment:
			return copied(args)
		}
	}
	return args
}

func copied(args []any) []any {
	if len(args) == 0 {
		return nil
	}
	copied := make([]any, len(args))
	for i, arg := range args {
		copied[i] = piece(arg)
	}
	return copied
}

// MarshalJSON returns an error. A Fragment is text and no value: within a list, a
// struct or a map it would be stored as the JSON {}.
func (f Fragment) MarshalJSON() ([]byte, error) {
	return nil, errors.New("a Fragment within another argument is no value; pass it as the argument of a ?, and join several with JoinSQL")
}

// piece returns the node of a Fragment, and any other argument as it is.
func piece(arg any) any {
	switch f := arg.(type) {
	case Fragment:
		return f.node
	case *Fragment:
		if f == nil {
			return fragment.Invalid(errors.New("a nil *Fragment is no text; pass a Fragment"))
		}
		return f.node
	case []Fragment:
		return fragment.Invalid(errors.New("a []Fragment is no text; join the Fragments with JoinSQL"))
	}
	return arg
}
