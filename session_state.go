package backend

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/seed-215b9b7c/backend/internal/header"
)

// This file has the session of one request: what is known of it, also within transactions,
// how it is changed, and its cookie.

// Middleware makes the session of a request available behind it. Put it behind [Stack], so
// that requests which the Stack refuses do not reach the store; it also works alone, with any
// router. Without [CrossOrigin] around it, it refuses the requests that CrossOrigin would
// refuse: one of them could sign a browser in as another account. For that reason a request of
// another origin that only CORS lets pass cannot begin a session.
//
// A response whose handler has read a session gets Vary: Cookie, and Cache-Control: no-store
// if there was a session and the handler does not set it. The session of another Sessions
// that is around it stays available to the methods of that; keys use the innermost.
func (s *Sessions) Middleware(next http.Handler) http.Handler {
	return layer(s.serve)(next)
}

func (s *Sessions) serve(x *exchange, w http.ResponseWriter, r *http.Request, next nextStep) {
	outer, _ := x.session.(*session)
	if outer.of(s) != nil { // this middleware is around already
		next.serve(x, w, r)
		return
	}
	_, foreign := s.origins.check(r)
	if foreign != nil && !x.client.sameOrigin {
		WriteError(w, r, foreignSite(foreign))
		return
	}
	c := &session{sessions: s, x: x, outer: outer, secure: !x.isLocal(), busy: make(chan struct{}, 1)}
	if x.client.onlyCORS {
		c.foreign = foreign
	}
	if cookies := r.CookiesNamed(c.cookieName()); len(cookies) == 1 { // one of two may be an attacker's
		c.sent, _ = tokenHash(cookies[0].Value)
	}
	x.session = c
	next.serve(x, w, r)
}

// session is the session of one request, which may be none. It is safe for concurrent use.
type session struct {
	sessions *Sessions
	x        *exchange
	outer    *session      // of another Sessions, or nil
	secure   bool          // the browser speaks TLS, as far as is known
	sent     string        // the hash of the token that the request has, or ""
	foreign  error         // why the request must not begin a session, or nil
	busy     chan struct{} // holds a value while the session is changed
	join     sync.Once     // makes it a hook of the response

	mu      sync.Mutex
	read    bool // the handler has read the session
	loaded  bool
	state   sessionState  // as it is committed
	pending *pendingState // the latest of those in transactions, or nil
}

// sessionState is what is known of a session. It is not changed, but replaced.
type sessionState struct {
	stored  *StoredSession // nil: there is none
	token   string         // of a cookie to send, or ""
	cleared bool           // the account has signed out
}

// id returns the id of the session, or "".
func (s sessionState) id() string {
	if s.stored == nil {
		return ""
	}
	return s.stored.ID
}

// isNews reports whether the browser must be told.
func (s sessionState) isNews() bool { return s.token != "" || s.cleared }

// changeKind is what a change is about.
type changeKind int

const (
	valuesChange changeKind = iota // the values: the cookie stays
	tokenChange                    // the token, of the same session
	otherSession                   // another session takes its place, or none
)

// pendingState is a state within a transaction.
type pendingState struct {
	sessionState
	kind   changeKind
	scope  *txScope
	before *pendingState
}

// of returns the session of s among c and those around it, or nil.
func (c *session) of(s *Sessions) *session {
	for c != nil && c.sessions != s {
		c = c.outer
	}
	return c
}

// sessionFrom returns the session of the request of ctx: that of the innermost middleware.
func sessionFrom(ctx context.Context) (*session, error) {
	if x := exchangeFrom(ctx); x != nil {
		if c, ok := x.session.(*session); ok {
			return c, nil
		}
	}
	return nil, errNoSession
}

var errNoSession = errors.New("the context has no session: put Sessions.Middleware around the handler")

// current returns the session as the transaction of ctx sees it. It loads it if needed.
func (c *session) current(ctx context.Context) (sessionState, error) {
	c.join.Do(func() { c.x.response.Join(c) })
	if state, ok := c.inMemory(ctx); ok {
		return state, nil
	}
	stored, err := c.load(ctx)
	if err != nil {
		return sessionState{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.loaded { // else another goroutine was faster
		c.loaded, c.state.stored = true, stored
	}
	return c.state, nil
}

// inMemory returns what is known, and whether anything is. Only the transaction that has made
// a change sees it before it has committed.
func (c *session) inMemory(ctx context.Context) (state sessionState, ok bool) {
	scope := c.sessions.scope(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.read = true
	c.settle()
	for p := c.pending; p != nil && scope != nil; p = p.before {
		if p.scope.tx == scope.tx {
			return p.sessionState, true
		}
	}
	return c.state, c.loaded
}

// settle makes the states that have committed the current one, in their order, and forgets
// those that were undone. c.mu is held.
func (c *session) settle() { c.pending = c.open(c.pending) }

// open returns those of p and the states before it whose transaction is open.
func (c *session) open(p *pendingState) *pendingState {
	if p == nil {
		return nil
	}
	p.before = c.open(p.before)
	undone, committed := p.scope.outcome()
	if committed {
		c.commit(p.sessionState, p.kind)
	}
	if undone || committed {
		return p.before
	}
	return p
}

// scope returns the transaction of ctx that changes are part of, or nil.
func (s *Sessions) scope(ctx context.Context) *txScope {
	if s.db == nil {
		return nil
	}
	return s.db.scope(ctx)
}

// load reads the session with the token of the request.
func (c *session) load(ctx context.Context) (*StoredSession, error) {
	if c.sent == "" {
		return nil, nil
	}
	s, at := c.sessions, now()
	stored, err := s.store.FindToken(ctx, c.sent)
	if err != nil || stored == nil || !s.isAlive(stored, at) {
		return nil, err
	}
	if at.Sub(stored.SeenAt) >= touchTime {
		AfterCommit(ctx, func(ctx context.Context) { s.touch(ctx, stored.ID, at, s.config.expires(stored, at)) })
	}
	return stored, nil
}

// touch stores the time of a request. It does not wait for long: the request does not depend
// on it.
func (s *Sessions) touch(ctx context.Context, id string, seen, expires time.Time) {
	bounded, cancel := context.WithTimeout(ctx, touchWait)
	defer cancel()
	if err := s.store.Touch(bounded, id, seen, expires); err != nil {
		loggerFrom(ctx).LogAttrs(ctx, slog.LevelWarn, "the time of a session's last request was not stored; a later request will try again", slog.Any("error", err))
	}
}

// isAlive reports whether a session is not over, by what is stored and by the configuration
// of now.
func (s *Sessions) isAlive(stored *StoredSession, at time.Time) bool {
	return at.Before(stored.ExpiresAt) && at.Before(s.config.expires(stored, stored.SeenAt))
}

// now returns the time with the precision of stores.
func now() time.Time { return time.Now().Truncate(time.Microsecond).UTC() }

// busyTime is how long a change waits for another one of the same request. It is bounded,
// since the other may wait in turn for the transaction of this one.
const busyTime = 5 * time.Second

// hold waits until no other goroutine of the request changes the session, and returns what it
// is then.
func (c *session) hold(ctx context.Context) (state sessionState, release func(), err error) {
	patience := time.NewTimer(busyTime)
	defer patience.Stop()
	select {
	case c.busy <- struct{}{}:
	case <-patience.C:
		return state, nil, errors.New("the session is being changed by another goroutine of the request, or by the function of Update, which must not use the session itself")
	case <-ctx.Done():
		return state, nil, ctx.Err()
	}
	release = func() { <-c.busy }
	if state, err = c.current(ctx); err != nil {
		release()
		return state, nil, err
	}
	return state, release, nil
}

// change changes the values of the session by edit, which may be called again. If there is no
// session, one begins, unless edit leaves it empty.
func (c *session) change(ctx context.Context, edit func(*StoredSession) error) error {
	state, release, err := c.hold(ctx)
	if err != nil {
		return err
	}
	defer release()
	if state.stored == nil {
		return c.begin(ctx, state, edit)
	}
	return c.update(ctx, state, valuesChange, edit)
}

// maxTries bounds how often a change begins anew because other requests were faster.
const maxTries = 100

// update changes a session that there is. c is held.
func (c *session) update(ctx context.Context, state sessionState, kind changeKind, edit func(*StoredSession) error) error {
	done, err := c.tryUpdate(ctx, state, kind, edit)
	if done || err != nil {
		return err
	}
	return c.sessions.atomically(ctx, func(ctx context.Context) error { // another request was faster
		for range maxTries {
			state := state
			if state.stored, err = c.sessions.store.Find(ctx, state.id(), true); err != nil {
				return err
			}
			if state.stored == nil {
				return sessionEnded()
			}
			if done, err := c.tryUpdate(ctx, state, kind, edit); done || err != nil {
				return err
			}
		}
		return &Error{Code: Conflict, Message: "Too many requests change the session at once; try again."}
	})
}

// tryUpdate changes the session, if it is as in state.
func (c *session) tryUpdate(ctx context.Context, state sessionState, kind changeKind, edit func(*StoredSession) error) (done bool, err error) {
	next := state.stored.clone()
	if err := edit(next); err != nil {
		return false, err
	}
	if kind == valuesChange && bytes.Equal(next.Values, state.stored.Values) {
		return true, nil
	}
	if at := now(); at.After(next.SeenAt) { // never earlier than a touch in the meantime
		next.SeenAt, next.ExpiresAt = at, c.sessions.config.expires(next, at)
	}
	done, err = c.sessions.store.Update(ctx, next)
	if done && err == nil {
		next.Version++
		state.stored = next
		c.publish(ctx, state, kind)
	}
	return done, err
}

// begin begins a session. c is held.
func (c *session) begin(ctx context.Context, state sessionState, edit func(*StoredSession) error) error {
	stored, token := c.sessions.newSession(false)
	if err := edit(stored); err != nil {
		return err
	}
	if bytes.Equal(stored.Values, noValues) {
		return nil
	}
	if err := c.checkUnsent(); err != nil {
		return err
	}
	if err := c.sessions.store.Insert(ctx, stored); err != nil {
		return err
	}
	c.publish(ctx, sessionState{stored, token, state.cleared}, otherSession)
	c.sessions.cleanSometimes(ctx, stored.Token)
	return nil
}

// noValues are the values of a new session.
var noValues = []byte("{}")

// newSession returns a session without values, and its token.
func (s *Sessions) newSession(remember bool) (stored *StoredSession, token string) {
	id := make([]byte, 16)
	rand.Read(id) // never fails
	at := now()
	stored = &StoredSession{ID: hex.EncodeToString(id), Values: bytes.Clone(noValues), CreatedAt: at, SeenAt: at, Remember: remember}
	stored.ExpiresAt = s.config.expires(stored, at)
	token, stored.Token = newToken()
	return stored, token
}

// checkUnsent returns an error if it is too late for a cookie.
func (c *session) checkUnsent() error {
	if c.foreign != nil {
		return foreignSite(c.foreign)
	}
	if c.x.response.Unsent() {
		return nil
	}
	return errors.New("the response has begun, so the browser cannot get the cookie of a new session; use the session before writing the response")
}

// atomically runs f in a transaction, if the store has transactions.
func (s *Sessions) atomically(ctx context.Context, f func(context.Context) error) error {
	if s.db == nil {
		return f(ctx)
	}
	return s.db.Tx(ctx, f)
}

// publish makes a state the current one, once the transaction of ctx has committed.
func (c *session) publish(ctx context.Context, state sessionState, kind changeKind) {
	scope := c.sessions.scope(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settle()
	if scope == nil {
		c.commit(state, kind)
		return
	}
	c.pending = &pendingState{state, kind, scope, c.pending}
}

// commit makes a state the current one. A change of values that was made beside another
// change does not undo that. c.mu is held.
func (c *session) commit(next sessionState, kind changeKind) {
	last := c.state
	switch {
	case !c.loaded || kind == otherSession:
		c.loaded, c.state = true, next
		return
	case last.id() != next.id(): // another session has taken its place
		return
	}
	if kind == tokenChange {
		c.state.token = next.token
	}
	if next.stored.Version > last.stored.Version {
		c.state.stored = next.stored
	}
}

// unsent returns the state that the browser is not told of if the response begins now,
// because its transaction has not committed. c.mu is held.
func (c *session) unsent() *pendingState {
	c.settle()
	for p := c.pending; p != nil; p = p.before {
		if p.kind != valuesChange {
			return p
		}
	}
	return nil
}

// BeforeHeader implements the hook that sets the cookie.
func (c *session) BeforeHeader(head http.Header) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.read {
		return nil
	}
	if c.unsent() != nil {
		return errors.New("the response is written inside of the transaction in which a session begins or ends; write it after the transaction")
	}
	header.AddVary(head, varyCookie)
	if c.state.stored == nil && !c.state.isNews() {
		return nil
	}
	if _, own := head["Cache-Control"]; !own || c.state.isNews() {
		head["Cache-Control"] = noStore
	}
	if c.state.cleared {
		head["Clear-Site-Data"] = clearSiteData
	}
	if c.state.isNews() {
		head.Add("Set-Cookie", c.cookie().String())
	}
	return nil
}

// BeforeHijack implements the hook that keeps a cookie from being lost.
func (c *session) BeforeHijack() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.unsent() != nil || c.state.isNews() {
		return errors.New("the connection cannot be hijacked after a session has begun or ended: the browser would not get the cookie; do that in a request before")
	}
	return nil
}

var (
	varyCookie = []string{"Cookie"}
	// clearSiteData leaves cookies alone: one of them may say that the browser is known
	// [ASVS 5.0 14.3.1].
	clearSiteData = []string{`"cache", "storage"`}
)

// cookieName returns the name of the cookie. Not all clients send a cookie with Secure, which
// the prefix demands, to plain HTTP on localhost.
func (c *session) cookieName() string {
	if c.secure {
		return "__Host-" + c.sessions.config.Cookie
	}
	return c.sessions.config.Cookie
}

// cookie returns the cookie of a new token, or one that deletes that of a session that has
// ended.
func (c *session) cookie() *http.Cookie {
	cookie := &http.Cookie{Name: c.cookieName(), Value: c.state.token, Path: "/", HttpOnly: true, Secure: c.secure, SameSite: http.SameSiteLaxMode}
	switch stored := c.state.stored; {
	case stored == nil:
		cookie.MaxAge = -1
	case stored.Remember:
		left := time.Until(stored.CreatedAt.Add(c.sessions.config.RememberLifetime))
		cookie.MaxAge = int((left + time.Second - 1) / time.Second)
	}
	return cookie
}

// cleanSometimes deletes sessions that are over, when one of 256 sessions begins, after the
// transaction of ctx has committed.
func (s *Sessions) cleanSometimes(ctx context.Context, token string) {
	if !strings.HasPrefix(token, "00") { // a hash in hex
		return
	}
	AfterCommit(ctx, func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, time.Second) // the caller waits
		defer cancel()
		if _, err := s.store.DeleteExpired(ctx, now(), maxCleaned); err != nil {
			loggerFrom(ctx).LogAttrs(ctx, slog.LevelWarn, "expired sessions were not deleted; a later request will try again", slog.Any("error", err))
		}
	})
}
