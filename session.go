package backend

import (
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/seed-215b9b7c/backend/internal/header"
)

// This file has sessions, which keep values for a browser under a random token in a cookie.
// session_store.go has their stores, session_state.go the session of one request,
// session_key.go the values, and session_account.go signs accounts in and out.

// Sessions are sessions of browsers. [Sessions.Middleware] makes them available to the
// handlers and operations behind it, and a [SessionKey] reads and writes one value:
//
//	sessions := backend.NewSessions(db, backend.SessionConfig{})
//	r.Use(backend.Stack(backend.StackConfig{}), sessions.Middleware)
//
// The browser has a random token of 256 bits in a cookie, and the store has only its hash.
// The cookie is __Host-sid with the attributes Secure, HttpOnly, SameSite=Lax and Path=/,
// and sid without Secure if the program serves plain HTTP on localhost.
//
// A session is loaded when it is first asked for, and begins when something is stored in it.
// Requests that only read write nothing, and get no cookie. Every change is written at once,
// in the transaction of its context if there is one, so that it is undone with it. Changes
// of different keys by requests at the same time are all kept. A session that has ended does
// not come back by a request that still runs: its changes fail with [ErrSessionEnded].
//
// Sessions is an [Authenticator], whose callers are the accounts that [Sessions.SignIn] has
// signed in. It is safe for concurrent use.
type Sessions struct {
	config  SessionConfig
	store   SessionStore
	db      *DB          // of the store; nil if that has no transactions
	origins *crossOrigin // for requests that have passed no CrossOrigin
}

// SessionConfig configures [NewSessions]. The zero value has the time limits that NIST SP
// 800-63B-4 recommends for AAL2. Negative values panic.
type SessionConfig struct {
	// IdleTimeout ends a session without requests: 5 minutes at least. The session may end up
	// to a minute earlier, since the time of the last request is stored once a minute.
	// Defaults to 1 hour.
	IdleTimeout time.Duration
	// Lifetime ends a session whatever it does. [Sessions.SignIn] begins it anew. Defaults
	// to 24 hours.
	Lifetime time.Duration
	// RememberIdleTimeout and RememberLifetime take the place of both for those who want to
	// be remembered when they sign in. Default to 14 and 30 days.
	RememberIdleTimeout, RememberLifetime time.Duration
	// MaxPerAccount is how many sessions an account has at most. Signing in once more ends
	// the one that was used longest ago. Defaults to 20.
	MaxPerAccount int
	// Cookie is the name of the cookie without its prefix __Host-. It must be a token (RFC
	// 6265, section 4.1.1). Defaults to "sid".
	Cookie string
	// Store stores the sessions; db is not used then. Defaults to the table backend_sessions
	// of db, which [DB.Migrate] makes, or without a database to the memory of this process,
	// which is for tests and small programs.
	Store SessionStore
}

// NewSessions returns sessions that are stored in db. With a nil db, and without a
// SessionConfig.Store, they are lost when the program ends.
func NewSessions(db *DB, config SessionConfig) *Sessions {
	config = config.withDefaults()
	must("NewSessions", config.check())
	s := &Sessions{config: config, store: config.Store, origins: &crossOrigin{}}
	switch {
	case s.store != nil:
	case db != nil:
		s.store = dbSessions{db}
	default:
		s.store = newMemorySessions()
	}
	if tables, ok := s.store.(dbSessions); ok {
		s.db = tables.db
	}
	return s
}

// Store returns the store of the sessions.
func (s *Sessions) Store() SessionStore { return s.store }

func (c SessionConfig) withDefaults() SessionConfig {
	c.IdleTimeout = cmp.Or(c.IdleTimeout, time.Hour)
	c.Lifetime = cmp.Or(c.Lifetime, 24*time.Hour)
	c.RememberIdleTimeout = cmp.Or(c.RememberIdleTimeout, 14*24*time.Hour)
	c.RememberLifetime = cmp.Or(c.RememberLifetime, 30*24*time.Hour)
	c.MaxPerAccount = cmp.Or(c.MaxPerAccount, 20)
	c.Cookie = cmp.Or(c.Cookie, "sid")
	return c
}

func (c SessionConfig) check() error {
	errs := []error{
		checkTime("IdleTimeout", c.IdleTimeout), checkTime("Lifetime", c.Lifetime),
		checkTime("RememberIdleTimeout", c.RememberIdleTimeout), checkTime("RememberLifetime", c.RememberLifetime),
	}
	if c.MaxPerAccount < 0 {
		errs = append(errs, fmt.Errorf("MaxPerAccount %d is negative; leave it out for the default", c.MaxPerAccount))
	}
	if c.IdleTimeout > 0 && c.IdleTimeout < minIdle {
		errs = append(errs, fmt.Errorf("IdleTimeout %v is too short; %v is the least", c.IdleTimeout, minIdle))
	}
	if !header.IsToken(c.Cookie) || strings.HasPrefix(c.Cookie, "__") {
		errs = append(errs, fmt.Errorf("the Cookie %q is no name for a cookie; use letters and digits, and leave the prefix out", c.Cookie))
	}
	return errors.Join(errs...)
}

const (
	// touchTime is how often the time of the last request is stored, and touchWait how long a
	// request waits for that.
	touchTime = time.Minute
	touchWait = 100 * time.Millisecond
	minIdle   = 5 * touchTime
)

// expires returns when a session is over, unless a request comes.
func (c *SessionConfig) expires(s *StoredSession, seen time.Time) time.Time {
	idle, lifetime := c.IdleTimeout, c.Lifetime
	if s.Remember {
		idle, lifetime = c.RememberIdleTimeout, c.RememberLifetime
	}
	until, last := seen.Add(idle), s.CreatedAt.Add(lifetime)
	if last.Before(until) {
		return last
	}
	return until
}

// newToken returns a token for a cookie, and its hash for the store.
func newToken() (token, hash string) {
	random := make([]byte, 32)
	rand.Read(random) // never fails
	token = base64.RawURLEncoding.EncodeToString(random)
	hash, _ = tokenHash(token)
	return token, hash
}

// tokenHash returns the hash of a token, or false for a text that is none.
func tokenHash(token string) (hash string, ok bool) {
	if len(token) != base64.RawURLEncoding.EncodedLen(32) {
		return "", false
	}
	random, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil {
		return "", false
	}
	sum := sha256.Sum256(random)
	return hex.EncodeToString(sum[:]), true
}

// ErrSessionEnded is the error of a change of a session that has ended, since the account has
// signed out in the meantime, for example. Its code is [Unauthenticated].
var ErrSessionEnded = errors.New("the session has ended")

func sessionEnded() error {
	return (&Error{Code: Unauthenticated, Message: "Your session has ended."}).Wrap(ErrSessionEnded)
}
