package backend

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"sync"
)

// This file has the keys with which the package signs.

// secret is the key with which a Logic signs cursors. It comes from the database, so that
// all processes have the same key. Without a database it is random.
type secret struct {
	mu  sync.Mutex
	key []byte
}

func (s *secret) read(ctx context.Context, db *DB) ([]byte, error) {
	if key := s.cached(db); key != nil {
		return key, nil
	}
	// The lock is not held here: a call that waits for a connection must not block
	// calls that have one.
	key, err := One[[]byte](ctx, db, "SELECT secret FROM backend_secrets WHERE name = 'cursor'")
	if errors.Is(err, sql.ErrNoRows) || err != nil && (CodeOf(err) == Internal || CodeOf(err) == NotFound) {
		return nil, (&Error{Code: Internal, Message: "the database has no key to sign cursors with; call DB.Migrate before serving"}).Wrap(err)
	}
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.key = key
	return key, nil
}

// cached returns the key if it was read before or there is no database, and else nil.
func (s *secret) cached(db *DB) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.key == nil && db == nil {
		s.key = make([]byte, 32)
		rand.Read(s.key) // never fails
	}
	return s.key
}
