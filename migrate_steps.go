package backend

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/seed-215b9b7c/backend/internal/dbconn"
	"github.com/seed-215b9b7c/backend/internal/migration"
	"github.com/seed-215b9b7c/backend/internal/sqltext"
)

// This file runs the steps of migrations and records how far they came. migrate.go
// decides which steps run.

// Migration is a migration written in Go, for what SQL cannot do. Its version decides
// when it runs among the files.
type Migration struct {
	// Version is the number that a file would have in its name. It is required.
	Version int64
	// Name is the name in errors and in [MigrationStatus].
	Name string
	// Up runs the migration, with ctx in a transaction. It is required. On MySQL,
	// where a change of a table commits the transaction, it should change rows only.
	Up func(ctx context.Context, db *DB) error
	// Down undoes the migration. If it is nil, the migration cannot be undone.
	Down func(ctx context.Context, db *DB) error
}

// step is one migration, from a file or in Go.
type step struct {
	version  int64
	name     string
	checksum string
	up, down []string
	hasDown  bool
	noTx     bool
	code     *Migration
}

// migrationRow is a row of the table of migrations that have run.
type migrationRow struct {
	Version  int64     `db:"version"`
	Name     string    `db:"name"`
	Checksum string    `db:"checksum"` // of the file, or of the statements done
	State    string    `db:"state"`
	Done     int       `db:"done"` // statements that took effect
	At       time.Time `db:"at"`
}

// migrator runs steps on the connection that holds the lock.
type migrator struct {
	db    *DB
	line  string
	steps []*step
	rows  map[int64]*migrationRow
	lease *lease
}

// The states of a migration in the table.
const (
	migrationApplied = "applied"
	migrationRunning = "running" // a statement outside a transaction is running, or was interrupted
	migrationStopped = "stopped" // a statement outside a transaction failed
)

// up runs a step unless it has run.
func (m *migrator) up(ctx context.Context, s *step) error {
	row := m.rows[s.version]
	if row != nil && row.State == migrationApplied {
		return nil
	}
	if s.code == nil && (s.noTx || m.db.engine == MySQL) {
		return m.upInPieces(ctx, s, row)
	}
	return m.tx(ctx, func(ctx context.Context) error {
		if done, err := m.appliedMeanwhile(ctx, s); done || err != nil {
			return err
		}
		if err := m.run(ctx, s.up, s.code, (*Migration).up); err != nil {
			return err
		}
		return m.insert(ctx, s, migrationApplied, s.checksum, len(s.up))
	})
}

func (c *Migration) up(ctx context.Context, db *DB) error   { return c.Up(ctx, db) }
func (c *Migration) down(ctx context.Context, db *DB) error { return c.Down(ctx, db) }

// run runs the statements or the function of a step in the transaction of ctx.
func (m *migrator) run(ctx context.Context, statements []string, code *Migration, f func(*Migration, context.Context, *DB) error) error {
	if code != nil {
		return f(code, ctx, m.db)
	}
	for _, statement := range statements {
		if err := m.db.scope(ctx).raw(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

// raw runs a statement without looking for parameters: a question mark in a
// migration is none.
func (s *txScope) raw(ctx context.Context, statement string) error {
	s.tx.mu.Lock()
	defer s.tx.mu.Unlock()
	if err := s.usable(); err != nil {
		return err
	}
	return s.exec(ctx, statement)
}

// appliedMeanwhile reports whether another process has run the step while this
// one waited for SQLite's writer.
func (m *migrator) appliedMeanwhile(ctx context.Context, s *step) (bool, error) {
	if m.db.engine != SQLite {
		return false, nil
	}
	n, err := One[int](ctx, m.db, "SELECT COUNT(*) FROM backend_migrations WHERE line = ? AND version = ?", m.line, s.version)
	return n > 0, err
}

func (m *migrator) insert(ctx context.Context, s *step, state, checksum string, done int) error {
	_, err := m.db.Exec(ctx, "INSERT INTO backend_migrations (line, version, name, checksum, state, done, at) VALUES (?, ?, ?, ?, ?, ?, ?)",
		m.line, s.version, s.name, checksum, state, done, time.Now())
	return err
}

func (m *migrator) update(ctx context.Context, s *step, state, checksum string, done int) error {
	_, err := m.db.Exec(ctx, "UPDATE backend_migrations SET state = ?, checksum = ?, done = ?, at = ? WHERE line = ? AND version = ?",
		state, checksum, done, time.Now(), m.line, s.version)
	return err
}

// upInPieces runs a step statement by statement and records how far it came. A
// statement that changes only rows runs in one transaction with that record, so it
// runs exactly once. Any other is recorded as running before it starts.
func (m *migrator) upInPieces(ctx context.Context, s *step, row *migrationRow) error {
	if row == nil {
		err := m.tx(ctx, func(ctx context.Context) error { return m.insert(ctx, s, migrationStopped, migration.Checksum(nil), 0) })
		if err != nil && CodeOf(err) == Conflict { // SQLite has no lock to wait for
			return fmt.Errorf("another process is running it; start the program again when it has finished: %w", err)
		}
		if err != nil {
			return err
		}
		row = &migrationRow{State: migrationStopped}
	}
	if row.State == migrationRunning {
		return m.cutOff(s, row)
	}
	for done := row.Done; done < len(s.up); done++ {
		if err := m.piece(ctx, s, done); err != nil {
			return fmt.Errorf("statement %d of %d: %w", done+1, len(s.up), err)
		}
	}
	return m.tx(ctx, func(ctx context.Context) error {
		return m.update(ctx, s, migrationApplied, s.checksum, len(s.up))
	})
}

// piece runs the statement after the first done ones.
func (m *migrator) piece(ctx context.Context, s *step, done int) error {
	statement := s.up[done]
	before, after := migration.Checksum(s.up[:done]), migration.Checksum(s.up[:done+1])
	if sqltext.OnlyRows(statement) && !s.noTx {
		return m.tx(ctx, func(ctx context.Context) error {
			if err := m.db.scope(ctx).raw(ctx, statement); err != nil {
				return err
			}
			return m.update(ctx, s, migrationStopped, after, done+1)
		})
	}
	mark := func(ctx context.Context, state, checksum string, done int) error {
		return m.tx(ctx, func(ctx context.Context) error { return m.update(ctx, s, state, checksum, done) })
	}
	if err := mark(ctx, migrationRunning, before, done); err != nil {
		return err
	}
	err := m.exec(ctx, statement)
	if err == nil {
		return mark(ctx, migrationStopped, after, done+1)
	}
	var failed *DBError
	if errors.As(err, &failed) && failed.answered { // the engine answered that it did nothing
		return errors.Join(err, mark(ctx, migrationStopped, before, done))
	}
	return err
}

// cutOff returns the error for a statement of which nobody knows whether it took
// effect. It says how to continue.
func (m *migrator) cutOff(s *step, row *migrationRow) error {
	where := fmt.Sprintf("WHERE line = '%s' AND version = %d", m.line, s.version)
	return fmt.Errorf("the program was cut off while it ran statement %d of %d, which is\n%s\n"+
		"Look whether it took effect. If it did not, run\n"+
		"UPDATE backend_migrations SET state = '%s' %s\n"+
		"If it did, run\n"+
		"UPDATE backend_migrations SET state = '%[4]s', done = %[6]d, checksum = '%[7]s' %[5]s\n"+
		"Then start the program again",
		row.Done+1, len(s.up), s.up[row.Done], migrationStopped, where,
		row.Done+1, migration.Checksum(s.up[:row.Done+1]))
}

// down undoes a step that was run.
func (m *migrator) down(ctx context.Context, s *step) error {
	if m.rows[s.version].State != migrationApplied {
		return errors.New("it stopped halfway; call Migrate first")
	}
	forget := func(ctx context.Context) error {
		result, err := m.db.Exec(ctx, "DELETE FROM backend_migrations WHERE line = ? AND version = ?", m.line, s.version)
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); n == 0 {
			return errors.Join(errors.New("another process has undone it"), err, sql.ErrNoRows)
		}
		return nil
	}
	tables := slices.ContainsFunc(s.down, func(statement string) bool { return !sqltext.OnlyRows(statement) })
	if s.code == nil && (s.noTx || m.db.engine == MySQL && tables) {
		return m.downInPieces(ctx, s, forget)
	}
	return m.tx(ctx, func(ctx context.Context) error {
		if err := m.run(ctx, s.down, s.code, (*Migration).down); err != nil {
			return err
		}
		return forget(ctx)
	})
}

// downInPieces undoes a step whose statements cannot run in one transaction. If one
// fails, those before it have taken effect, and the error says what to do.
func (m *migrator) downInPieces(ctx context.Context, s *step, forget func(context.Context) error) error {
	for i, statement := range s.down {
		err := m.exec(ctx, statement)
		if err != nil && i == 0 {
			return fmt.Errorf("statement 1 of %d: %w", len(s.down), err)
		}
		if err != nil {
			return fmt.Errorf("statement %d of %d: %w\nThe statements before it took effect. Run this and those after it by hand, and then\n"+
				"DELETE FROM backend_migrations WHERE line = '%s' AND version = %d", i+1, len(s.down), err, m.line, s.version)
		}
	}
	return m.tx(ctx, forget)
}

// exec runs a statement on the migrator's connection as it stands, outside any
// transaction.
func (m *migrator) exec(ctx context.Context, statement string) error {
	err := m.lease.do(func(conn dbconn.Conn) error {
		_, err := conn.ExecContext(ctx, statement, nil)
		return err
	})
	return m.db.result(ctx, statement, err)
}

// tx runs f in a transaction on the migrator's connection.
func (m *migrator) tx(ctx context.Context, f func(ctx context.Context) error) error {
	return m.txMode(ctx, ReadWrite, f)
}

func (m *migrator) txMode(ctx context.Context, mode TxMode, f func(ctx context.Context) error) error {
	tx, err := m.db.beginOn(ctx, m.lease, mode)
	if err != nil {
		return m.db.result(ctx, "", err)
	}
	hooks, err := tx.do(ctx, f)
	callHooks(ctx, hooks)
	return err
}
