package backend

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"
)

// This file has what sessions know of accounts: signing in and out, and the sessions of an
// account.

// SignInConfig configures [Sessions.SignIn].
type SignInConfig struct {
	// Remember keeps the session when the browser closes, with the limits RememberIdleTimeout
	// and RememberLifetime of [SessionConfig].
	Remember bool
}

// SignIn begins a session of an account, which the program has just authenticated, and ends
// the one that the request came with. So the token changes, and one that an attacker has
// planted in the browser before is worth nothing [ASVS 5.0 7.2.4]. The values of an anonymous
// session, or of the same account, are kept, and those of another account are not.
//
// The next requests have the account as their caller, see [Sessions.Authenticate]. SignIn
// must come before the response is written, and after the transaction if it is written in
// one. Call it again when the account has authenticated once more, such as by a second
// factor; otherwise see [Sessions.Renew]. If the account has more than MaxPerAccount sessions
// then, those that were used longest ago end.
//
// In a call with an idempotency key SignIn is an error: a replayed response has no cookie.
func (s *Sessions) SignIn(ctx context.Context, account AccountID, config SignInConfig) error {
	if account == "" {
		return errors.New("sign in: the account has no id")
	}
	c, state, release, err := s.holdForToken(ctx)
	if err != nil {
		return err
	}
	defer release()
	return s.atomically(ctx, func(ctx context.Context) error {
		next, token := s.newSession(config.Remember)
		next.Account, next.AuthenticatedAt = account, &next.CreatedAt
		next.Address, next.UserAgent = c.describeClient()
		if err := s.replace(ctx, state.stored, next); err != nil {
			return err
		}
		c.publish(ctx, sessionState{next, token, state.cleared}, otherSession)
		AfterCommit(ctx, func(ctx context.Context) { s.trim(ctx, account, next.ID) })
		s.cleanSometimes(ctx, next.Token)
		return nil
	})
}

// holdForToken returns the session of ctx, held for a change of its token.
func (s *Sessions) holdForToken(ctx context.Context) (c *session, state sessionState, release func(), err error) {
	if c, err = s.session(ctx); err != nil {
		return nil, state, nil, err
	}
	if call, ok := ctx.Value(callKey{}).(*callContext); ok && call.op.settings.key != keyIgnored {
		return nil, state, nil, fmt.Errorf("operation %s has idempotency keys, so it cannot change the token of a session: a replayed response would not have the cookie", call.op.name)
	}
	if state, release, err = c.hold(ctx); err != nil {
		return nil, state, nil, err
	}
	if err = c.checkUnsent(); err != nil {
		release()
		return nil, state, nil, err
	}
	return c, state, release, nil
}

// replace inserts a session, which gets the values of the old one, and ends that, which may be nil.
func (s *Sessions) replace(ctx context.Context, old, next *StoredSession) error {
	if old == nil {
		return s.store.Insert(ctx, next)
	}
	last, err := s.store.Find(ctx, old.ID, true)
	switch {
	case err != nil:
		return err
	case last == nil && old.Account == next.Account: // it must not come back under another id
		return sessionEnded()
	case last == nil && old.Account == "": // signed in by a request at the same time, with these values
		next.Values = old.Values
	case last != nil && (last.Account == "" || last.Account == next.Account):
		next.Values = last.Values
	}
	if err := s.store.Insert(ctx, next); err != nil {
		return err
	}
	deleted, err := s.store.Delete(ctx, old.ID)
	if err == nil && !deleted && old.Account == next.Account { // ended meanwhile, in a store without transactions
		if _, err = s.store.Delete(ctx, next.ID); err == nil {
			err = sessionEnded()
		}
	}
	return err
}

// trim ends the sessions of an account that are over or too many, but not the one to keep.
func (s *Sessions) trim(ctx context.Context, account AccountID, keep string) {
	all, err := s.store.ListAccount(ctx, account)
	alive, at := 0, now()
	for _, stored := range all {
		over := !s.isAlive(stored, at)
		if !over {
			alive++
		}
		if stored.ID != keep && (over || alive > s.config.MaxPerAccount) && err == nil {
			_, err = s.store.Delete(ctx, stored.ID)
		}
	}
	if err != nil {
		loggerFrom(ctx).LogAttrs(ctx, slog.LevelWarn, "the sessions of an account were not counted; the next sign-in will try again", slog.Any("error", err))
	}
}

// describeClient returns what tells the account's owner the session from others.
func (c *session) describeClient() (address, userAgent string) {
	if c.x.client.addr.IsValid() {
		address = c.x.client.addr.String()
	}
	const most = 300
	userAgent = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, c.x.request.UserAgent())
	return address, userAgent[:min(most, len(userAgent))]
}

// Renew changes the token of the session, when the account has got more rights, for example.
// The time when it has authenticated stays. Without a session Renew does nothing. Otherwise
// it has the rules of [Sessions.SignIn].
func (s *Sessions) Renew(ctx context.Context) error {
	c, err := s.session(ctx)
	if err != nil {
		return err
	}
	if state, err := c.current(ctx); err != nil || state.stored == nil {
		return err
	}
	c, state, release, err := s.holdForToken(ctx)
	if err != nil {
		return err
	}
	defer release()
	if state.stored == nil { // another goroutine has ended it
		return sessionEnded()
	}
	token, hash := newToken()
	state.token = token
	return c.update(ctx, state, tokenChange, func(stored *StoredSession) error {
		stored.Token = hash
		return nil
	})
}

// SignOut ends the session, on every process at once, and deletes the cookie if the response
// has not begun. The browser is told to delete what it has stored of the site, but not other
// cookies [ASVS 5.0 14.3.1]. Without a session it only does the latter.
func (s *Sessions) SignOut(ctx context.Context) error {
	c, err := s.session(ctx)
	if err != nil {
		return err
	}
	state, release, err := c.hold(ctx)
	if err != nil {
		return err
	}
	defer release()
	if state.stored != nil {
		if _, err := s.store.Delete(ctx, state.id()); err != nil {
			return err
		}
	}
	c.publish(ctx, sessionState{cleared: true}, otherSession)
	return nil
}

// session returns the session of ctx.
func (s *Sessions) session(ctx context.Context) (*session, error) {
	c, err := sessionFrom(ctx)
	if err != nil {
		return nil, err
	}
	if c = c.of(s); c == nil {
		return nil, errors.New("the context has a session of other Sessions: put the Middleware of these around the handler, too")
	}
	return c, nil
}

// currentID returns the id of the session of ctx, or "" if there is none.
func (s *Sessions) currentID(ctx context.Context) (string, error) {
	c, err := s.session(ctx)
	if err != nil {
		return "", nil // outside of requests
	}
	state, err := c.current(ctx)
	return state.id(), err
}

// SessionInfo is a session as its owner sees it.
type SessionInfo struct {
	// ID names the session for [Sessions.End]. It is not the token.
	ID string `json:"id"`
	// Current says that the request belongs to the session.
	Current bool `json:"current"`
	// Remember is that of [SignInConfig].
	Remember bool `json:"remember"`
	// CreatedAt is when the account has signed in, and SeenAt when it has sent its last
	// request, exact to a minute.
	CreatedAt time.Time `json:"createdAt"`
	SeenAt    time.Time `json:"seenAt"`
	// Address and UserAgent are those of the request that has signed in. Address is empty if
	// it is not known. Characters of UserAgent that are not printable ASCII are replaced.
	Address   string `json:"address"`
	UserAgent string `json:"userAgent"`
}

// List returns the sessions of an account, the one that was used last first.
func (s *Sessions) List(ctx context.Context, account AccountID) ([]SessionInfo, error) {
	current, err := s.currentID(ctx)
	if err != nil {
		return nil, err
	}
	all, err := s.store.ListAccount(ctx, account)
	if err != nil {
		return nil, err
	}
	list, at := []SessionInfo{}, now()
	for _, stored := range all {
		if s.isAlive(stored, at) {
			list = append(list, SessionInfo{
				ID: stored.ID, Current: stored.ID == current, Remember: stored.Remember,
				CreatedAt: stored.CreatedAt, SeenAt: stored.SeenAt, Address: stored.Address, UserAgent: stored.UserAgent,
			})
		}
	}
	return list, nil
}

// End ends a session of an account at once. For an id that is not one of the account's
// sessions it returns a [NotFound] error. For the session of ctx it is SignOut.
func (s *Sessions) End(ctx context.Context, account AccountID, id string) error {
	stored, err := s.store.Find(ctx, id, false)
	if err != nil {
		return err
	}
	if stored == nil || account == "" || stored.Account != account {
		return &Error{Code: NotFound}
	}
	switch current, err := s.currentID(ctx); {
	case err != nil:
		return err
	case current == id:
		return s.SignOut(ctx)
	}
	_, err = s.store.Delete(ctx, id)
	return err
}

// EndAll ends the sessions of an account at once, when its password has changed, for
// example. It keeps the session of ctx; outside of requests it ends all. It returns how many
// have ended.
func (s *Sessions) EndAll(ctx context.Context, account AccountID) (ended int, err error) {
	current, err := s.currentID(ctx)
	if err != nil {
		return 0, err
	}
	return s.store.DeleteAccount(ctx, account, current)
}

// Authenticate implements [Authenticator]. The caller is the account of the session, with
// the Method "session", and At the time when it has signed in. A request without a session,
// or whose session has ended, has the anonymous caller. Sessions know no other credentials:
// with Authorization, it is [Unauthenticated].
func (s *Sessions) Authenticate(ctx context.Context, r *http.Request) (Caller, error) {
	if len(r.Header["Authorization"]) > 0 {
		return Caller{}, &Error{Code: Unauthenticated, Message: "Sign in; there are no other credentials than the cookie of a session."}
	}
	c, err := s.session(ctx)
	if err != nil {
		return Caller{}, err
	}
	state, err := c.current(ctx)
	if err != nil || state.stored == nil || state.stored.Account == "" {
		return Caller{}, err
	}
	caller := Caller{ID: state.stored.Account, Method: "session"}
	if at := state.stored.AuthenticatedAt; at != nil {
		caller.At = *at
	}
	return caller, nil
}

// SecuritySchemes implements [SecurityDescriber].
func (s *Sessions) SecuritySchemes() []SecurityScheme {
	return []SecurityScheme{{Name: "session", Cookie: "__Host-" + s.config.Cookie}}
}
