package backend

import (
	"context"
	"crypto/rand"
	"fmt"
)

// This file has the migrations of the package's own tables. A released step never
// changes; add a new step instead.

func packageSteps() []*step {
	steps := []Migration{
		{Version: 1, Name: "backend_secrets", Up: createSecrets},
		{Version: 2, Name: "backend_idempotency_keys", Up: createIdempotencyKeys},
		{Version: 3, Name: "backend_idempotency_keys_expiry", Up: indexIdempotencyKeys},
		{Version: 4, Name: "backend_sessions", Up: createSessions},
	}
	all := make([]*step, len(steps))
	for i := range steps {
		all[i] = &step{version: steps[i].Version, name: steps[i].Name, code: &steps[i]}
	}
	return all
}

// binaryType returns the engine's type for a column of bytes.
func (e Engine) binaryType() string {
	switch e {
	case Postgres:
		return "BYTEA"
	case MySQL:
		return "LONGBLOB"
	}
	return "BLOB"
}

// timeType returns the engine's type for a column of times with microseconds. MySQL's
// TIMESTAMP ends in 2038, and an UPDATE may change it by itself.
func (e Engine) timeType() string {
	switch e {
	case Postgres:
		return "TIMESTAMPTZ"
	case MySQL:
		return "DATETIME(6)"
	}
	return "TIMESTAMP"
}

// createSecrets creates the table of the secrets that the processes of a program
// share, with the key that signs cursors.
func createSecrets(ctx context.Context, db *DB) error {
	_, err := db.Exec(ctx, "?", UnsafeSQL(fmt.Sprintf(
		"CREATE TABLE IF NOT EXISTS backend_secrets (name VARCHAR(50) PRIMARY KEY, secret %s NOT NULL)", db.engine.binaryType())))
	if err != nil {
		return err
	}
	known, err := Maybe[int](ctx, db, "SELECT 1 FROM backend_secrets WHERE name = 'cursor'")
	if err != nil || known != nil {
		return err // on MySQL an earlier try may have stopped after this
	}
	secret := make([]byte, 32)
	rand.Read(secret) // never fails
	_, err = db.Exec(ctx, "INSERT INTO backend_secrets (name, secret) VALUES ('cursor', ?)", secret)
	return err
}

// createIdempotencyKeys creates the table of [Idempotent].
func createIdempotencyKeys(ctx context.Context, db *DB) error {
	_, err := db.Exec(ctx, "?", UnsafeSQL(fmt.Sprintf(`CREATE TABLE IF NOT EXISTS backend_idempotency_keys (
	id VARCHAR(64) PRIMARY KEY,
	input VARCHAR(64) NOT NULL,
	output %s,
	expires_at %s NOT NULL
)`, db.engine.binaryType(), db.engine.timeType())))
	return err
}

// indexIdempotencyKeys creates the index that finds expired keys.
func indexIdempotencyKeys(ctx context.Context, db *DB) error {
	return db.createIndex(ctx, "backend_idempotency_keys_expiry", "backend_idempotency_keys (expires_at)")
}

// createIndex creates an index of columns, such as "notes (owner_id)", unless an earlier try
// on MySQL has stopped after that.
func (db *DB) createIndex(ctx context.Context, name, columns string) error {
	if db.engine == MySQL { // which has no IF NOT EXISTS
		columns, err := One[int](ctx, db, "SELECT COUNT(*) FROM information_schema.statistics WHERE table_schema = DATABASE() AND index_name = ?", name)
		if err != nil || columns > 0 {
			return err
		}
	}
	_, err := db.Exec(ctx, "?", UnsafeSQL(fmt.Sprintf("CREATE INDEX %s ON %s", name, columns)))
	return err
}

// createSessions creates the table of [Sessions]. The id of an account is compared byte by
// byte, which MySQL does not do with text: ids that differ in case are those of different
// accounts.
func createSessions(ctx context.Context, db *DB) error {
	account := "VARCHAR(255)"
	if db.engine == MySQL {
		account = "VARBINARY(255)"
	}
	_, err := db.Exec(ctx, "?", UnsafeSQL(fmt.Sprintf(`CREATE TABLE IF NOT EXISTS backend_sessions (
	id VARCHAR(32) PRIMARY KEY,
	token VARCHAR(64) NOT NULL UNIQUE,
	account %s,
	session_values %s NOT NULL,
	version BIGINT NOT NULL,
	created_at %[3]s NOT NULL,
	seen_at %[3]s NOT NULL,
	authenticated_at %[3]s,
	expires_at %[3]s NOT NULL,
	remember BOOLEAN NOT NULL,
	address VARCHAR(45) NOT NULL,
	user_agent VARCHAR(300) NOT NULL
)`, account, db.engine.binaryType(), db.engine.timeType())))
	if err != nil {
		return err
	}
	if err := db.createIndex(ctx, "backend_sessions_account", "backend_sessions (account, seen_at)"); err != nil {
		return err
	}
	return db.createIndex(ctx, "backend_sessions_expiry", "backend_sessions (expires_at)")
}
