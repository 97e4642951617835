package backend

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"reflect"
)

// This file has pages of lists, and the cursors between them.

// Page is a part of a list: an output of queries. [NewPage] makes one that ends with a
// cursor, and [Paginate] one with a number.
type Page[T any] struct {
	// Items are the items of the page. A nil list becomes an empty one.
	Items []T `json:"items"`
	// Next is the cursor of the next page. It is empty on the last page, and on pages
	// with numbers. REST also sends it as a Link header with rel="next".
	Next Cursor `json:"next,omitempty"`
	// Total is the number of items in the whole list. Nil, which is absent in JSON, means
	// that they were not counted.
	Total *int64 `json:"total,omitempty"`
}

func (p Page[T]) next() Cursor { return p.Next }

// fill replaces a nil list by an empty one, so that it is never null in JSON.
func (p *Page[T]) fill() {
	if p.Items == nil {
		p.Items = []T{}
	}
}

// fillPage calls fill of a *Page. It does nothing to other outputs.
func fillPage(out any) {
	if page, ok := out.(interface{ fill() }); ok {
		page.fill()
	}
}

// fillEach calls fill of each page in a list that a relation returned.
func fillEach(children reflect.Value) {
	if !reflect.PointerTo(children.Type().Elem()).Implements(reflect.TypeFor[interface{ fill() }]()) {
		return
	}
	for i := range children.Len() {
		fillPage(children.Index(i).Addr().Interface())
	}
}

// nextCursor returns the cursor of a *Page, and "" for anything else.
func nextCursor(out any) Cursor {
	if page, ok := out.(interface{ next() Cursor }); ok {
		return page.next()
	}
	return ""
}

// Cursor is the position at which a page ends. Clients send it back to get the
// next page. It is signed: a forged cursor, or one of another operation or another
// caller, is refused. It is not secret: whoever decodes it can read the values in it.
// It does not hold the rest of the input. If a list can be sorted in several ways, put
// the order into the cursor, too, and refuse a cursor of another order.
//
// The key of the signatures is in the database of [NewLogic]. A Logic without a database
// has a random key: its cursors are refused by other processes, and after a restart.
//
// A query takes the Next of the previous page in a field of this type:
//
//	type NotesInput struct {
//		After backend.Cursor `json:"after,omitempty"`
//	}
//
//	func (a *App) Notes(ctx context.Context, in NotesInput) (backend.Page[Note], error) {
//		last := int64(math.MaxInt64)
//		if err := in.After.Read(ctx, &last); err != nil {
//			return backend.Page[Note]{}, err
//		}
//		notes, err := backend.All[Note](ctx, a.db, "SELECT * FROM notes WHERE id < ? ORDER BY id DESC LIMIT 50", last)
//		if err != nil {
//			return backend.Page[Note]{}, err
//		}
//		return backend.NewPage(ctx, notes, 50, func(n Note) []any { return []any{n.ID} })
//	}
type Cursor string

// NewPage returns a page of items that a query found with LIMIT limit. If there are
// fewer items than the limit, Next is empty. Otherwise there may be more items, and
// Next is a cursor with the values that position returns for the last item; the next
// page may be empty. Nil items become an empty list.
func NewPage[T any](ctx context.Context, items []T, limit int, position func(last T) []any) (Page[T], error) {
	page := Page[T]{Items: items}
	page.fill()
	if limit < 1 || len(items) < limit {
		return page, nil
	}
	var err error
	page.Next, err = NewCursor(ctx, position(items[len(items)-1])...)
	return page, err
}

// NewCursor returns a cursor that holds values, as JSON. ctx is the context of an
// operation: only that operation can read the cursor, for the same caller. A cursor
// made outside of operations, as in tests, can only be read outside of operations.
func NewCursor(ctx context.Context, values ...any) (Cursor, error) {
	text, err := json.Marshal(values)
	if err != nil {
		return "", fmt.Errorf("cursor: %w", err)
	}
	mac, err := signCursor(ctx, text)
	if err != nil {
		return "", err
	}
	return Cursor(base64.RawURLEncoding.EncodeToString(append(mac, text...))), nil
}

const cursorMACLength = 16

// Read stores the values of the cursor in what the pointers into point to. An empty
// cursor changes nothing. If the cursor was not made by the same operation for the same
// caller, or holds values of another number or of other types, the error is
// [Malformed].
func (c Cursor) Read(ctx context.Context, into ...any) error {
	if c == "" {
		return nil
	}
	refused := &Error{Code: Malformed, Message: "The cursor is not one of this list; begin with the first page."}
	data, err := base64.RawURLEncoding.Strict().DecodeString(string(c))
	if err != nil || len(data) < cursorMACLength {
		return refused
	}
	text := data[cursorMACLength:]
	mac, err := signCursor(ctx, text)
	if err != nil {
		return err
	}
	if !hmac.Equal(mac, data[:cursorMACLength]) {
		return refused
	}
	var values []json.RawMessage
	if err := json.Unmarshal(text, &values); err != nil || len(values) != len(into) {
		return refused
	}
	for i, value := range values {
		if err := json.Unmarshal(value, into[i]); err != nil {
			return refused.Wrap(err)
		}
	}
	return nil
}

// signerKey is the key of the signer in a context, which is the call of an operation.
type signerKey struct{}

type signer interface {
	sign(ctx context.Context, text []byte) ([]byte, error)
}

// signCursor signs the text of a cursor for the operation and the caller of ctx.
func signCursor(ctx context.Context, text []byte) ([]byte, error) {
	if call, ok := ctx.Value(signerKey{}).(signer); ok {
		return call.sign(ctx, text)
	}
	return cursorMAC(nil, "", "", text), nil
}

func cursorMAC(key []byte, operation, caller string, text []byte) []byte {
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "cursor %s %q %s", operation, caller, text)
	return mac.Sum(nil)[:cursorMACLength]
}
