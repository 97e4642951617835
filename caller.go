package backend

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strconv"
	"time"

	"github.com/seed-215b9b7c/backend/internal/scan"
)

// This file has callers. An Authenticator checks credentials; access.go has the rules
// that say who may call an operation.

// Caller is the account that makes a call. The zero value is the anonymous caller, who
// has sent no credentials.
type Caller struct {
	// ID is the id of the account. It is empty for the anonymous caller.
	ID AccountID
	// Roles and Scopes are compared by the rules [Role] and [Scope]. Scopes belong to a
	// token. A caller with a session has no scopes, so Scope refuses it. To allow both,
	// use AnyOf(Role("x"), Scope("y")).
	Roles, Scopes []string
	// Method is how the caller authenticated, such as "session" or "token".
	Method string
	// At is when the caller authenticated, for [Fresh]. Requests do not renew it.
	At time.Time
	// Account is the program's own value for the account, such as the *User that the
	// [Authenticator] has loaded, for [AccountFrom]. This package does not look at it:
	// callers are told apart by ID. All calls of a request share it, so it must not be
	// changed. It is neither logged nor written as JSON, nor printed by fmt.
	Account any `json:"-"`
}

// SignedIn reports whether the caller has an account.
func (c Caller) SignedIn() bool { return c.ID != "" }

// Format implements [fmt.Formatter]. It leaves the Account out, which may hold secrets.
func (c Caller) Format(s fmt.State, verb rune) {
	type plain Caller // without this method
	c.Account = nil
	fmt.Fprintf(s, fmt.FormatString(s, verb), plain(c))
}

type callerKey struct{}

// CallerFrom returns the caller of the operation that ctx belongs to. It returns
// the anonymous caller outside of operations.
func CallerFrom(ctx context.Context) Caller {
	if caller, ok := ctx.Value(callerKey{}).(*Caller); ok {
		return *caller
	}
	return Caller{}
}

// AccountFrom returns [Caller].Account of the caller of the operation that ctx belongs
// to. It reports false if there is none, as for the anonymous caller, or one of another
// type:
//
//	user, ok := backend.AccountFrom[*User](ctx)
func AccountFrom[T any](ctx context.Context) (account T, ok bool) {
	account, ok = CallerFrom(ctx).Account.(T)
	return account, ok
}

// WithCaller returns a context whose caller is caller. It is for tests of functions
// that use [CallerFrom], and for [Call] on behalf of an account. Doors ignore it, and
// ask the [Authenticator].
func WithCaller(ctx context.Context, caller Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, &caller)
}

// Authenticator identifies the caller of a request. It is called once for each request,
// before the input is read. It must be safe for concurrent use.
type Authenticator interface {
	// Authenticate returns the caller of a request. For a request without credentials
	// it returns the zero Caller. For wrong credentials it returns an error, usually with
	// the code [Unauthenticated], and never the zero Caller. An Authorization header of
	// an unknown scheme is a wrong credential. A cookie that is not valid any more is none:
	// the browser sends it with every request, also with the one that signs in again, so
	// return the zero Caller for it. An Unauthenticated error is logged as a
	// warning with the message authn_login_fail. An error without a code is [Internal].
	// Use ctx for queries: it has the deadline of the call.
	Authenticate(ctx context.Context, r *http.Request) (Caller, error)
}

// AccountID is the id of an account. The empty AccountID is nobody's.
//
// As an argument of a query, an AccountID is its text, and the empty one is NULL. So an
// anonymous caller finds and owns nothing: owner_id = ? is true for no row, and an
// INSERT into a column that is NOT NULL fails. The column may be of text, integers or
// UUIDs. To read one, a field may have the type AccountID, too; NULL becomes the empty
// AccountID:
//
//	type Note struct {
//		ID      int64             `db:"id" json:"id"`
//		OwnerID backend.AccountID `db:"owner_id" json:"ownerId"`
//	}
//
// As JSON it is a string.
type AccountID string

// accountKey is the constraint of types that ids of accounts have in programs.
type accountKey interface {
	~string | ~int | ~int32 | ~int64 | ~uint | ~uint32 | ~uint64
}

// AccountIDOf returns the AccountID of a string or an integer: 12 becomes "12". The
// integer 0, which is the id of a struct that nobody has filled in, becomes the empty
// AccountID.
func AccountIDOf[T accountKey](id T) AccountID {
	switch v := reflect.ValueOf(id); {
	case v.IsZero():
		return ""
	case v.CanInt():
		return AccountID(strconv.FormatInt(v.Int(), 10))
	case v.CanUint():
		return AccountID(strconv.FormatUint(v.Uint(), 10))
	default:
		return AccountID(v.String())
	}
}

// Value returns the id as text, or NULL if it is empty.
func (id AccountID) Value() (driver.Value, error) {
	if id == "" {
		return nil, nil
	}
	return string(id), nil
}

// Scan reads the id from a column of text, integers or UUIDs. NULL becomes the empty
// AccountID.
func (id *AccountID) Scan(src any) error {
	if src == nil {
		*id = ""
		return nil
	}
	return scan.Into((*string)(id), src)
}

// Owned returns nil if ownerID is the id of the caller, and otherwise a [NotFound]
// error. ownerID is a string or an integer, see [AccountIDOf]. A record of another account
// so looks as if it did not exist, and nobody learns which records exist. If the operation
// returns that error, it is logged as a denial:
//
//	note, err := backend.One[Note](ctx, db, "SELECT * FROM notes WHERE id = ?", in.ID)
//	if err == nil {
//		err = backend.Owned(ctx, note.OwnerID)
//	}
//
// For lists, put the owner into the WHERE clause instead.
func Owned[T accountKey](ctx context.Context, ownerID T) error {
	if caller := CallerFrom(ctx); caller.SignedIn() && caller.ID == AccountIDOf(ownerID) {
		return nil
	}
	return (&Error{Code: NotFound}).Wrap(errNotOwned)
}

// errNotOwned is the cause of the error of Owned, for the log.
var errNotOwned = errors.New("it is not the caller's own")
