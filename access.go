package backend

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// This file says who calls, and who may. How callers prove who they are is an
// Authenticator's business.

// Door is the name of a door: a protocol through which operations are called.
// [Only] and [Except] take it.
//
// Several doors of one kind have names that begin with the kind's, such as
// backend.REST + "/v1"; see [RESTConfig]. What is said of the kind holds for all of
// them: Only(backend.REST) offers an operation through that door, too.
//
// The doors of other packages have names that begin with a domain, such as
// "example.com/toy"; see [Logic.Door].
type Door string

// REST is the door that [Logic.REST] returns, and the kind of all such doors.
const REST Door = "rest"

// isOf reports whether d is a door, or one of its kind.
func (d Door) isOf(kind Door) bool {
	return d == kind || strings.HasPrefix(string(d), string(kind)+"/")
}

// check returns an error for a name that no door can have.
func (d Door) check() error {
	kind, _, _ := strings.Cut(string(d), "/")
	if Door(kind) == REST || strings.Contains(kind, ".") && !strings.HasSuffix(string(d), "/") {
		return nil
	}
	return fmt.Errorf("there is no door %q; there is backend.REST, and the door of another package has a name that begins with a domain, such as \"example.com/toy\"", d)
}

// Caller is who makes a call. The zero value is nobody: a call without
// credentials.
type Caller struct {
	// ID is the account's, as a string whatever it is in the database. Empty
	// means that nobody is signed in.
	ID string
	// Roles and Scopes are what the rules [Role] and [Scope] ask for. Scopes are
	// those of a token. A session has none, and so passes no Scope: AnyOf(Role("x"),
	// Scope("y")) lets both call.
	Roles, Scopes []string
	// Method is how the caller authenticated, such as "session" or "token".
	Method string
	// At is when, which [Fresh] looks at. It is not renewed by requests.
	At time.Time
}

// SignedIn reports whether the caller is somebody.
func (c Caller) SignedIn() bool { return c.ID != "" }

type callerKey struct{}

// CallerFrom returns the caller of the operation that ctx belongs to, or nobody.
func CallerFrom(ctx context.Context) Caller {
	if caller, ok := ctx.Value(callerKey{}).(*Caller); ok {
		return *caller
	}
	return Caller{}
}

// WithCaller returns a context in which caller calls: for tests of functions
// that ask [CallerFrom], and for work on somebody's behalf. It proves nothing;
// through a door only the [Authenticator] says who calls.
func WithCaller(ctx context.Context, caller Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, &caller)
}

// Authenticator finds out who makes a request. It returns nobody, the zero
// Caller, for a request without credentials, and an error, usually with the code
// [Unauthenticated], for one whose credentials are wrong: wrong credentials are
// never taken for none. It is called for every operation, at once from many
// goroutines, before anything of the input is read.
type Authenticator interface {
	// Authenticate returns the caller of a request. ctx has the deadline of the
	// call.
	Authenticate(ctx context.Context, r *http.Request) (Caller, error)
}

// Access is the rule that says who may call an operation. There are [Public],
// [SignedIn], [Role], [Scope], [Fresh], [AnyOf], [AllOf] and [AccessFunc]. Whom they
// do not let is [Unauthenticated] if nobody is signed in, and else [Forbidden].
// Denials are logged as warnings with the message authz_fail.
type Access interface {
	check(ctx context.Context, caller Caller) error
	// String describes the rule for documentation.
	String() string
}

// fixedAccess is the type of the rules without parameters. They are constants,
// so that nobody can change them.
type fixedAccess uint8

const (
	// Public lets everybody call, signed in or not.
	Public fixedAccess = iota + 1
	// SignedIn lets every account call.
	SignedIn
)

func (a fixedAccess) check(_ context.Context, caller Caller) error {
	if a == Public || a == SignedIn && caller.SignedIn() {
		return nil
	}
	return denied(caller)
}

func (a fixedAccess) String() string {
	if a == Public {
		return "everybody"
	}
	return "signed in"
}

// denied is the error for a caller who may not call: signing in may help nobody,
// but not somebody.
func denied(caller Caller) error {
	if !caller.SignedIn() {
		return &Error{Code: Unauthenticated}
	}
	return &Error{Code: Forbidden}
}

// accessFunc is a rule made of a function.
type accessFunc struct {
	name string
	f    func(ctx context.Context, caller Caller) error
	open bool // known to let everybody call
}

func (a accessFunc) check(ctx context.Context, caller Caller) error { return a.f(ctx, caller) }
func (a accessFunc) String() string                                 { return a.name }

// AccessFunc makes a rule of a function that returns nil for callers who may
// call, and otherwise an error with the code [Unauthenticated] or [Forbidden].
// name describes the rule in documentation. A panic says that one is missing.
func AccessFunc(name string, f func(ctx context.Context, caller Caller) error) Access {
	if name == "" || f == nil {
		panic("backend: AccessFunc needs a name and a function")
	}
	return accessFunc{name: name, f: f}
}

// Role lets accounts with the role call. An empty name panics.
func Role(name string) Access {
	return holding("role", name, func(caller Caller) []string { return caller.Roles })
}

// Scope lets callers with the scope call. An empty name panics.
func Scope(name string) Access {
	return holding("scope", name, func(caller Caller) []string { return caller.Scopes })
}

func holding(kind, name string, of func(Caller) []string) Access {
	if name == "" {
		panic("backend: a " + kind + " needs a name")
	}
	return AccessFunc(kind+" "+name, func(_ context.Context, caller Caller) error {
		if caller.SignedIn() && slices.Contains(of(caller), name) {
			return nil
		}
		return denied(caller)
	})
}

// Fresh lets accounts call that have authenticated within d, for what should
// not be done by whoever finds a screen unlocked. Others are asked to sign in
// again, with the code [Unauthenticated]. A d that is not positive panics.
func Fresh(d time.Duration) Access {
	if d <= 0 {
		panic(fmt.Sprintf("backend: Fresh(%v): the duration must be positive", d))
	}
	return AccessFunc(fmt.Sprintf("signed in within %v", d), func(_ context.Context, caller Caller) error {
		if caller.SignedIn() && !caller.At.IsZero() && time.Since(caller.At) <= d {
			return nil
		}
		return &Error{Code: Unauthenticated, Message: "Sign in again to do this."}
	})
}

// AnyOf lets callers call whom at least one rule lets. If none does, a rule that
// could not tell decides about the error, and then one that asks to sign in
// again. Without rules it panics.
func AnyOf(rules ...Access) Access {
	rules = slices.Clone(rules) // which the caller may change afterwards
	return combined("AnyOf", " or ", rules, slices.ContainsFunc(rules, isOpen), func(ctx context.Context, caller Caller) error {
		refusal := denied(caller)
		for _, rule := range rules {
			err := rule.check(ctx, caller)
			if err == nil {
				return nil
			}
			if weight(err) > weight(refusal) {
				refusal = err
			}
		}
		return refusal
	})
}

// weight says which of several errors of rules matters: one that is no refusal
// more than others, and one that the caller can do something about more than
// one that is final.
func weight(err error) int {
	switch CodeOf(err) {
	case Forbidden, NotFound:
		return 0
	case Unauthenticated:
		return 1
	}
	return 2
}

// AllOf lets callers call whom every rule lets. Without rules it panics.
func AllOf(rules ...Access) Access {
	rules = slices.Clone(rules)
	open := !slices.ContainsFunc(rules, func(rule Access) bool { return !isOpen(rule) })
	return combined("AllOf", " and ", rules, open, func(ctx context.Context, caller Caller) error {
		for _, rule := range rules {
			if err := rule.check(ctx, caller); err != nil {
				return err
			}
		}
		return nil
	})
}

// isOpen reports whether a rule is known to let everybody call.
func isOpen(rule Access) bool {
	f, _ := rule.(accessFunc)
	return rule == Access(Public) || f.open
}

func combined(name, word string, rules []Access, open bool, f func(context.Context, Caller) error) Access {
	if len(rules) == 0 || slices.Contains(rules, nil) {
		panic("backend: " + name + " needs rules, and none may be nil")
	}
	var parts []string
	for _, rule := range rules {
		parts = append(parts, rule.String())
	}
	return accessFunc{"(" + strings.Join(parts, word) + ")", f, open}
}

// Owned returns nil if ownerID is the caller's, and otherwise [NotFound]: a
// record of somebody else must look as if it was not there, so that nobody
// learns which records there are. The log has it as a denial if the operation
// returns that error.
//
//	note, err := backend.One[Note](ctx, db, "SELECT * FROM notes WHERE id = ?", in.ID)
//	if err == nil {
//		err = backend.Owned(ctx, note.OwnerID)
//	}
func Owned(ctx context.Context, ownerID string) error {
	if caller := CallerFrom(ctx); caller.SignedIn() && caller.ID == ownerID {
		return nil
	}
	return (&Error{Code: NotFound}).Wrap(errNotOwned)
}

// errNotOwned is the cause of what Owned returns, for the log.
var errNotOwned = errors.New("it is not the caller's own")
