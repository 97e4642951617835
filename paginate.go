package backend

import (
	"context"
	"fmt"
	"math"
)

// This file has pages with a number, and the total of their list.

// Paginate runs a query for one page of its rows, and counts all of them. Pages have
// numbers from 1; page 0 is also the first, so that a field of an input may be absent.
// The query has an ORDER BY that leaves no choice, which usually ends with the id, and no
// LIMIT:
//
//	type ListNotes struct {
//		Page    int `json:"page,omitempty" default:"1" validate:"min=1,max=1000"`
//		PerPage int `json:"perPage,omitempty" default:"20" validate:"min=1,max=100"`
//	}
//
//	func (a *App) Notes(ctx context.Context, in ListNotes) (backend.Page[Note], error) {
//		return backend.Paginate[Note](ctx, a.db, in.Page, in.PerPage, "SELECT * FROM notes WHERE owner = ? ORDER BY id DESC", owner)
//	}
//
// A page after the last one has no items. A negative page, and a perPage below 1, are
// [Invalid]. The Page has a Total and no Next.
//
// Numbers suit lists of some thousand rows whose clients show "page 3 of 12". A [Cursor],
// with [NewPage], is better for lists that are long or change often. The database finds
// and drops all rows before a page, so that deep pages are slow: bound the number in the
// input. Each row that is added or removed moves the others: a client that reads page
// after page misses rows or gets them twice. The count reads the whole list, and may sort
// it, unless the page is the last one. If that is too slow, use [All] and set the Total of
// the Page by a count of your own, or leave it nil.
//
// The page and the count are two statements. In an operation with [Tx] they see the
// same rows, on engines whose transactions do. On MySQL, the columns of the query must
// have different names.
func Paginate[T any](ctx context.Context, db *DB, page, perPage int, q query, args ...any) (Page[T], error) {
	if err := checkPage(page, perPage); err != nil {
		return Page[T]{}, err
	}
	all, offset := newFragment(q, args), int64(max(page, 1)-1)*int64(perPage)
	items, err := All[T](ctx, db, "? LIMIT ? OFFSET ?", all, perPage, offset)
	if err != nil {
		return Page[T]{}, err
	}
	total := offset + int64(len(items))
	if last := len(items) < perPage && (len(items) > 0 || offset == 0); !last {
		total, err = One[int64](ctx, db, "SELECT COUNT(*) FROM (?) AS counted", all)
	}
	return Page[T]{Items: items, Total: &total}, err
}

// checkPage returns the error of a client that asks for a page that no list has.
func checkPage(page, perPage int) error {
	switch {
	case page < 0:
		return &Error{Code: Invalid, Message: "The number of the page must be 1 or more."}
	case perPage < 1:
		return &Error{Code: Invalid, Message: "A page must have at least 1 item."}
	case int64(page) > math.MaxInt64/int64(perPage):
		return &Error{Code: Invalid, Message: fmt.Sprintf("No list has %d pages.", page)}
	}
	return nil
}
