package backend

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// This file has the stores of sessions: the interface, and those in the tables of the
// package and in memory.

// SessionStore stores sessions. [NewSessions] has one in the database, and one in memory.
// Other packages can bring their own, and check it with backendtest.SessionStore.
//
// A store must never bring a session back that was deleted: Update and Touch change only
// what is there. Otherwise a slow request undoes a sign-out. Methods must be safe for
// concurrent use, also by several processes that share the store, and must return what
// earlier calls of any process have stored. They must not change or keep a
// *StoredSession or its values after they have returned. An error without a code is
// [Internal]; one of a store that cannot be reached should be [Unavailable].
type SessionStore interface {
	// FindToken returns the session with the token, or nil if there is none. The token is
	// [StoredSession].Token.
	FindToken(ctx context.Context, token string) (*StoredSession, error)
	// Find returns the session with the id, or nil if there is none. lock says that the
	// session is about to be updated: in a transaction, a store in a database locks it.
	Find(ctx context.Context, id string, lock bool) (*StoredSession, error)
	// Insert stores a new session. It returns an error if its id or its token is taken.
	Insert(ctx context.Context, s *StoredSession) error
	// Update replaces the session with the id of s if it is there with the version of s, and
	// raises its version by one. Otherwise it changes nothing and reports false.
	Update(ctx context.Context, s *StoredSession) (updated bool, err error)
	// Touch sets SeenAt and ExpiresAt of a session, if it is there and seen is later than
	// its SeenAt. It does not change the version.
	Touch(ctx context.Context, id string, seen, expires time.Time) error
	// Delete deletes a session, and reports whether it was there.
	Delete(ctx context.Context, id string) (deleted bool, err error)
	// ListAccount returns the sessions of an account without their Values, the one seen last
	// first.
	ListAccount(ctx context.Context, account AccountID) ([]*StoredSession, error)
	// DeleteAccount deletes the sessions of an account but the one with the id except, which
	// may be "". It returns how many it has deleted.
	DeleteAccount(ctx context.Context, account AccountID, except string) (deleted int, err error)
	// DeleteExpired deletes up to most sessions that expire before a time, and returns how
	// many.
	DeleteExpired(ctx context.Context, before time.Time, most int) (deleted int, err error)
}

// StoredSession is a session as a [SessionStore] stores it. Times have microseconds.
type StoredSession struct {
	// ID is the id of the session: 32 characters. It stays when the token changes. It is
	// no secret.
	ID string `db:"id"`
	// Token is the hash of the token that is in the cookie: 64 characters.
	Token string `db:"token"`
	// Account is the account that is signed in, or "".
	Account AccountID `db:"account"`
	// Values are the values, as a JSON object.
	Values []byte `db:"session_values"`
	// Version is the number of the last change.
	Version int64 `db:"version"`
	// CreatedAt is when the session began, and SeenAt about when its last request came.
	// AuthenticatedAt is when the account has authenticated; it is nil without an account.
	// After ExpiresAt the session is over.
	CreatedAt       time.Time  `db:"created_at"`
	SeenAt          time.Time  `db:"seen_at"`
	AuthenticatedAt *time.Time `db:"authenticated_at"`
	ExpiresAt       time.Time  `db:"expires_at"`
	// Remember says that the session outlives the browser.
	Remember bool `db:"remember"`
	// Address and UserAgent are those of the request that has signed in: up to 45 and 300
	// bytes.
	Address   string `db:"address"`
	UserAgent string `db:"user_agent"`
}

// clone returns a copy that shares nothing.
func (s *StoredSession) clone() *StoredSession {
	c := *s
	c.Values = slices.Clone(s.Values)
	if s.AuthenticatedAt != nil {
		at := *s.AuthenticatedAt
		c.AuthenticatedAt = &at
	}
	return &c
}

// dbSessions stores sessions in the table backend_sessions.
type dbSessions struct{ db *DB }

const (
	sessionColumns = "id, token, account, version, created_at, seen_at, authenticated_at, expires_at, remember, address, user_agent"
	findSession    = "SELECT session_values, " + sessionColumns + " FROM backend_sessions WHERE "
)

// made says what to do if the table is not there.
func (dbSessions) made(err error) error {
	if err != nil && CodeOf(err) == Internal {
		return fmt.Errorf("sessions, whose table DB.Migrate makes: %w", err)
	}
	return err
}

func (d dbSessions) FindToken(ctx context.Context, token string) (*StoredSession, error) {
	s, err := Maybe[StoredSession](ctx, d.db, findSession+"token = ?", token)
	return s, d.made(err)
}

func (d dbSessions) Find(ctx context.Context, id string, lock bool) (*StoredSession, error) {
	var q query = findSession + "id = ?"
	if lock && d.db.engine != SQLite && d.db.scope(ctx) != nil {
		// On MySQL, a search without a lock may not see what others have committed since
		// the transaction began.
		q = findSession + "id = ? FOR UPDATE"
	}
	s, err := Maybe[StoredSession](ctx, d.db, q, id)
	return s, d.made(err)
}

func (d dbSessions) Insert(ctx context.Context, s *StoredSession) error {
	_, err := d.db.Exec(ctx, "INSERT INTO backend_sessions (id, token, account, session_values, version, created_at, seen_at, authenticated_at, expires_at, remember, address, user_agent)"+
		" VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		s.ID, s.Token, s.Account, s.Values, s.Version, s.CreatedAt, s.SeenAt, s.AuthenticatedAt, s.ExpiresAt, s.Remember, s.Address, s.UserAgent)
	return d.made(err)
}

func (d dbSessions) Update(ctx context.Context, s *StoredSession) (updated bool, err error) {
	n, err := d.exec(ctx, "UPDATE backend_sessions SET token = ?, account = ?, session_values = ?, version = version + 1, created_at = ?, seen_at = ?, authenticated_at = ?,"+
		" expires_at = ?, remember = ?, address = ?, user_agent = ? WHERE id = ? AND version = ?",
		s.Token, s.Account, s.Values, s.CreatedAt, s.SeenAt, s.AuthenticatedAt, s.ExpiresAt, s.Remember, s.Address, s.UserAgent, s.ID, s.Version)
	return n == 1, err
}

func (d dbSessions) Touch(ctx context.Context, id string, seen, expires time.Time) error {
	_, err := d.exec(ctx, "UPDATE backend_sessions SET seen_at = ?, expires_at = ? WHERE id = ? AND seen_at < ?", seen, expires, id, seen)
	return err
}

func (d dbSessions) Delete(ctx context.Context, id string) (deleted bool, err error) {
	n, err := d.exec(ctx, "DELETE FROM backend_sessions WHERE id = ?", id)
	return n == 1, err
}

func (d dbSessions) ListAccount(ctx context.Context, account AccountID) ([]*StoredSession, error) {
	all, err := All[StoredSession](ctx, d.db, "SELECT NULL AS session_values, "+sessionColumns+" FROM backend_sessions WHERE account = ? ORDER BY seen_at DESC, id", account)
	if err != nil {
		return nil, d.made(err)
	}
	list := make([]*StoredSession, len(all))
	for i := range all {
		list[i] = &all[i]
	}
	return list, nil
}

func (d dbSessions) DeleteAccount(ctx context.Context, account AccountID, except string) (deleted int, err error) {
	return d.exec(ctx, "DELETE FROM backend_sessions WHERE account = ? AND id <> ?", account, except)
}

// DeleteExpired finds the sessions first: see [keyedCall.clean].
func (d dbSessions) DeleteExpired(ctx context.Context, before time.Time, most int) (deleted int, err error) {
	ids, err := All[string](ctx, d.db, "SELECT id FROM backend_sessions WHERE expires_at < ? LIMIT ?", before, most)
	if err != nil || len(ids) == 0 {
		return 0, d.made(err)
	}
	var q query = "DELETE FROM backend_sessions WHERE id IN (?) AND expires_at < ?"
	if d.db.engine == MySQL {
		q = "DELETE s FROM backend_sessions s FORCE INDEX (PRIMARY) WHERE id IN (?) AND expires_at < ?"
	}
	return d.exec(ctx, q, ids, before)
}

// exec runs a statement and returns how many rows it has changed.
func (d dbSessions) exec(ctx context.Context, q query, args ...any) (int, error) {
	result, err := d.db.Exec(ctx, q, args...)
	if err != nil {
		return 0, d.made(err)
	}
	n, err := result.RowsAffected()
	return int(n), err
}

// memorySessions stores sessions in memory.
type memorySessions struct {
	mu       sync.Mutex
	byID     map[string]*StoredSession
	tokens   map[string]string                       // token → id
	accounts map[AccountID]map[string]*StoredSession // account → id → session
}

func newMemorySessions() *memorySessions {
	return &memorySessions{byID: map[string]*StoredSession{}, tokens: map[string]string{}, accounts: map[AccountID]map[string]*StoredSession{}}
}

func (m *memorySessions) FindToken(_ context.Context, token string) (*StoredSession, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.find(m.tokens[token]), nil
}

func (m *memorySessions) Find(_ context.Context, id string, _ bool) (*StoredSession, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.find(id), nil
}

func (m *memorySessions) find(id string) *StoredSession {
	if s := m.byID[id]; s != nil {
		return s.clone()
	}
	return nil
}

func (m *memorySessions) Insert(_ context.Context, s *StoredSession) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.byID[s.ID] != nil || m.tokens[s.Token] != "" {
		return &Error{Code: Conflict, Message: "The session exists already."}
	}
	m.put(s.clone())
	return nil
}

func (m *memorySessions) put(s *StoredSession) {
	m.byID[s.ID], m.tokens[s.Token] = s, s.ID
	if s.Account == "" {
		return
	}
	if m.accounts[s.Account] == nil {
		m.accounts[s.Account] = map[string]*StoredSession{}
	}
	m.accounts[s.Account][s.ID] = s
}

// remove removes a session, and reports whether it was there.
func (m *memorySessions) remove(id string) bool {
	s := m.byID[id]
	if s == nil {
		return false
	}
	delete(m.byID, id)
	delete(m.tokens, s.Token)
	delete(m.accounts[s.Account], id)
	if len(m.accounts[s.Account]) == 0 {
		delete(m.accounts, s.Account)
	}
	return true
}

func (m *memorySessions) Update(_ context.Context, s *StoredSession) (updated bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	old := m.byID[s.ID]
	if old == nil || old.Version != s.Version {
		return false, nil
	}
	m.remove(s.ID)
	next := s.clone()
	next.Version++
	m.put(next)
	return true, nil
}

func (m *memorySessions) Touch(_ context.Context, id string, seen, expires time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s := m.byID[id]; s != nil && s.SeenAt.Before(seen) {
		s.SeenAt, s.ExpiresAt = seen, expires
	}
	return nil
}

func (m *memorySessions) Delete(_ context.Context, id string) (deleted bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.remove(id), nil
}

func (m *memorySessions) ListAccount(_ context.Context, account AccountID) ([]*StoredSession, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := []*StoredSession{}
	for _, s := range m.accounts[account] {
		listed := s.clone()
		listed.Values = nil
		list = append(list, listed)
	}
	slices.SortFunc(list, func(a, b *StoredSession) int {
		return cmp.Or(b.SeenAt.Compare(a.SeenAt), cmp.Compare(a.ID, b.ID))
	})
	return list, nil
}

func (m *memorySessions) DeleteAccount(_ context.Context, account AccountID, except string) (deleted int, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id := range m.accounts[account] {
		if id != except && m.remove(id) {
			deleted++
		}
	}
	return deleted, nil
}

func (m *memorySessions) DeleteExpired(_ context.Context, before time.Time, most int) (deleted int, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id, s := range m.byID {
		if deleted == most {
			break
		}
		if s.ExpiresAt.Before(before) && m.remove(id) {
			deleted++
		}
	}
	return deleted, nil
}
