package backend

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"sync"
)

// This file has the keys that the package signs with.

// secret is the key that a Logic signs with. All processes of a program read it from
// the database. A Logic without a database makes its own, which ends with it.
type secret struct {
	mu  sync.Mutex
	key []byte
}

func (s *secret) read(ctx context.Context, db *DB) ([]byte, error) {
	if key := s.known(db); key != nil {
		return key, nil
	}
	// The lock is not held: a call that waits for a connection must not block calls
	// that have one.
	key, err := One[[]byte](ctx, db, "SELECT secret FROM backend_secrets WHERE name = 'cursor'")
	if errors.Is(err, sql.ErrNoRows) || err != nil && (CodeOf(err) == Internal || CodeOf(err) == NotFound) {
		return nil, (&Error{Code: Internal, Message: "the database has no secret to sign cursors with; call DB.Migrate before serving"}).Wrap(err)
	}
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.key = key
	return key, nil
}

// known returns the key if it was read before, or is not in a database.
func (s *secret) known(db *DB) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.key == nil && db == nil {
		s.key = make([]byte, 32)
		rand.Read(s.key) // never fails
	}
	return s.key
}
