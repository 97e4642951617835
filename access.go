package backend

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// This file has doors' names, and the access rules that say who may call an operation.

// Door is the name of a door: a protocol through which operations are called.
// [Only] and [Except] take it.
//
// A door may have a kind. Its name then begins with the name of the kind, such as
// backend.REST + "/v1"; see [RESTConfig]. The name of a kind stands for all doors of
// that kind: Only(backend.REST) also offers an operation through backend.REST + "/v1".
//
// The doors of other packages have names that begin with a domain, such as
// "example.com/toy"; see [Logic.Door].
type Door string

// REST is the door that [Logic.REST] returns, and the kind of all such doors.
const REST Door = "rest"

// isOf reports whether d is the door kind, or a door of that kind.
func (d Door) isOf(kind Door) bool {
	return d == kind || strings.HasPrefix(string(d), string(kind)+"/")
}

// check returns an error for a name that no door can have.
func (d Door) check() error {
	kind, _, _ := strings.Cut(string(d), "/")
	if Door(kind) == REST || strings.Contains(kind, ".") && !strings.HasSuffix(string(d), "/") {
		return nil
	}
	return fmt.Errorf("there is no door %q; use backend.REST, or the name of another package's door, which begins with a domain, such as \"example.com/toy\"", d)
}

// Access is the rule that says who may call an operation. The rules are [Public],
// [SignedIn], [Role], [Scope], [Fresh], [AnyOf], [AllOf] and [AccessFunc]. A call that
// a rule refuses is [Unauthenticated] for an anonymous caller, and [Forbidden] for any
// other. It is logged as a warning with the message authz_fail; a call of an anonymous
// caller that is Unauthenticated, as Info with the message "not signed in".
type Access interface {
	check(ctx context.Context, caller Caller) error
	// String describes the rule for documentation.
	String() string
}

// fixedAccess is the type of the rules without parameters. They are constants,
// so that nobody can change them.
type fixedAccess uint8

const (
	// Public lets every caller call, also the anonymous caller.
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

// denied returns the error for a caller who may not call: Unauthenticated for the
// anonymous caller, for whom signing in may help, and Forbidden for any other.
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
	open bool // certain to let every caller call

	scopes [][]string // the sets of scopes, one of which the caller needs; nil: none
}

func (a accessFunc) check(ctx context.Context, caller Caller) error { return a.f(ctx, caller) }
func (a accessFunc) String() string                                 { return a.name }

// AccessFunc makes a rule of a function. The function returns nil for a caller who
// may call, and otherwise an error with the code [Unauthenticated] or [Forbidden]. It may
// be called again for the same call, with a caller who has more scopes. name describes the rule in documentation. An empty name or a nil function panics.
func AccessFunc(name string, f func(ctx context.Context, caller Caller) error) Access {
	if name == "" || f == nil {
		panic("backend: AccessFunc needs a name and a function")
	}
	return accessFunc{name: name, f: f}
}

// Role lets callers call who are signed in and have the role. An empty name panics.
func Role(name string) Access {
	return holding("role", name, func(caller Caller) []string { return caller.Roles })
}

// Scope lets callers call who are signed in and have the scope. An empty name panics. The
// description of the API lists the scope for the schemes with OAuth2 and OpenIDConnect, see
// [SecurityScheme]. A caller who came to a door with a bearer token, and may not call only
// because scopes are missing, gets them in WWW-Authenticate with the 403 (RFC 6750, section
// 3.1).
func Scope(name string) Access {
	rule := holding("scope", name, func(caller Caller) []string { return caller.Scopes })
	rule.scopes = [][]string{{name}}
	return rule
}

func holding(kind, name string, of func(Caller) []string) accessFunc {
	if name == "" {
		panic("backend: a " + kind + " needs a name")
	}
	return accessFunc{name: kind + " " + name, f: func(_ context.Context, caller Caller) error {
		if caller.SignedIn() && slices.Contains(of(caller), name) {
			return nil
		}
		return denied(caller)
	}}
}

// Fresh lets accounts call that have authenticated within d. It protects operations
// that a person who finds an unlocked screen must not call. Other callers are
// [Unauthenticated] and asked to sign in again. A d that is not positive panics.
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

// AnyOf lets a caller call if at least one rule does. Otherwise the error is that of a
// rule that failed with an error other than a refusal, or else an [Unauthenticated]
// error of a rule, or else [Forbidden]. AnyOf without rules panics.
func AnyOf(rules ...Access) Access {
	rules = slices.Clone(rules) // our caller may change the slice afterwards
	rule := combined("AnyOf", " or ", rules, slices.ContainsFunc(rules, isOpen), func(ctx context.Context, caller Caller) error {
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
	for _, part := range rules {
		rule.scopes = addScopes(rule.scopes, scopesOf(part)...)
	}
	return rule
}

// weight orders the errors of several rules. An error that is not a refusal has the
// largest weight, then a refusal that signing in may change, then a final refusal.
func weight(err error) int {
	switch CodeOf(err) {
	case Forbidden, NotFound:
		return 0
	case Unauthenticated:
		return 1
	}
	return 2
}

// AllOf lets a caller call if every rule does. The error is that of the first rule
// that refuses. AllOf without rules panics.
func AllOf(rules ...Access) Access {
	rules = slices.Clone(rules)
	open := !slices.ContainsFunc(rules, func(rule Access) bool { return !isOpen(rule) })
	rule := combined("AllOf", " and ", rules, open, func(ctx context.Context, caller Caller) error {
		for _, rule := range rules {
			if err := rule.check(ctx, caller); err != nil {
				return err
			}
		}
		return nil
	})
	rule.scopes = [][]string{nil}
	for _, part := range rules {
		rule.scopes = together(rule.scopes, scopesOf(part))
	}
	return rule
}

// scopesOf returns the sets of scopes with which a rule may let a caller call: any one of
// them is needed.
func scopesOf(rule Access) [][]string {
	if f, ok := rule.(accessFunc); ok && f.scopes != nil {
		return f.scopes
	}
	return [][]string{nil}
}

// addScopes appends the sets that all does not have.
func addScopes(all [][]string, sets ...[]string) [][]string {
	for _, set := range sets {
		if !slices.ContainsFunc(all, func(other []string) bool { return slices.Equal(other, set) }) {
			all = append(all, set)
		}
	}
	return all
}

// maxScopeSets bounds the sets of a rule: AllOf multiplies those of its rules.
const maxScopeSets = 64

// together returns the sets of scopes that two rules need together. If these are too many,
// the scopes of b are not told.
func together(a, b [][]string) (all [][]string) {
	if len(a)*len(b) > maxScopeSets {
		return a
	}
	for _, first := range a {
		for _, second := range b {
			set := slices.Clone(first)
			for _, scope := range second {
				if !slices.Contains(set, scope) {
					set = append(set, scope)
				}
			}
			all = addScopes(all, set)
		}
	}
	return all
}

// lackedScopes returns scopes with which a caller whom the rule has refused could call, or
// nil if scopes alone do not help.
func lackedScopes(ctx context.Context, rule Access, caller Caller) []string {
	for _, set := range scopesOf(rule) {
		if len(set) == 0 {
			continue
		}
		fuller := caller
		fuller.Scopes = slices.Concat(caller.Scopes, set)
		if rule.check(ctx, fuller) == nil {
			return set
		}
	}
	return nil
}

// isOpen reports whether a rule is certain to let every caller call.
func isOpen(rule Access) bool {
	f, _ := rule.(accessFunc)
	return rule == Access(Public) || f.open
}

func combined(name, word string, rules []Access, open bool, f func(context.Context, Caller) error) accessFunc {
	if len(rules) == 0 || slices.Contains(rules, nil) {
		panic("backend: " + name + " needs rules, and none may be nil")
	}
	var parts []string
	for _, rule := range rules {
		parts = append(parts, rule.String())
	}
	return accessFunc{name: "(" + strings.Join(parts, word) + ")", f: f, open: open}
}
