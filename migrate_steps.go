package backend

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/seed-215b9b7c/backend/internal/migration"
	"github.com/seed-215b9b7c/backend/internal/sqltext"
)

// This file runs the steps of migrations and records how far they came. migrate.go
// decides which steps run, and migrate_run.go runs their statements.

// up runs a step unless it has run.
func (m *migrator) up(ctx context.Context, s *step) error {
	row := m.rows[s.version]
	if row != nil && row.State == migrationApplied {
		return nil
	}
	return m.session(ctx, s, s.up, func() error {
		if m.inPieces(s) {
			return m.upInPieces(ctx, s, row)
		}
		return m.tx(ctx, func(ctx context.Context) error {
			if done, err := m.appliedMeanwhile(ctx, s); done || err != nil {
				return err
			}
			if err := m.run(ctx, s.up, s.code, (*Migration).up); err != nil {
				return err
			}
			if s == m.steps[len(m.steps)-1] { // a later step may correct what this one makes
				if err := m.checkTimes(ctx); err != nil {
					return err
				}
			}
			return m.insert(ctx, s, migrationApplied, s.checksum, len(s.up))
		})
	})
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

// home makes the rest of the transaction run as the connection began. A file for PostgreSQL,
// such as a dump, may have set a search_path or a role with which the migrator would not
// find its own table.
func (m *migrator) home(ctx context.Context) error {
	if m.db.engine != Postgres {
		return nil
	}
	for _, set := range []string{"SESSION AUTHORIZATION DEFAULT", "ROLE TO DEFAULT", "search_path TO DEFAULT", "client_encoding TO DEFAULT"} {
		if err := m.db.scope(ctx).raw(ctx, "SET LOCAL "+set); err != nil {
			return err
		}
	}
	return nil
}

func (m *migrator) insert(ctx context.Context, s *step, state, checksum string, done int) error {
	if err := m.home(ctx); err != nil {
		return err
	}
	_, err := m.db.Exec(ctx, "INSERT INTO backend_migrations (line, version, name, checksum, state, done, at) VALUES (?, ?, ?, ?, ?, ?, ?)",
		m.line, s.version, s.name, checksum, state, done, time.Now())
	return err
}

func (m *migrator) update(ctx context.Context, s *step, state, checksum string, done int) error {
	if err := m.home(ctx); err != nil {
		return err
	}
	_, err := m.db.Exec(ctx, "UPDATE backend_migrations SET state = ?, checksum = ?, done = ?, at = ? WHERE line = ? AND version = ?",
		state, checksum, done, time.Now(), m.line, s.version)
	return err
}

// upInPieces runs a step statement by statement and records how far it came. A
// statement that changes only rows runs in one transaction with that record, so it
// runs exactly once. Any other is recorded as running before it starts. Statements that
// set something for the session run again when a step continues.
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
		again, err := m.canResume(ctx, s, row)
		if err != nil {
			return err
		}
		if !again {
			return m.cutOff(s, row)
		}
	}
	for i := range s.up[:row.Done] {
		if migration.SetsSession(m.db.engine.dialect(), s.up[i]) {
			if err := m.statement(ctx, s.up[i:], m.exec); err != nil {
				return fmt.Errorf("statement %d of %d again, for the session: %w", i+1, len(s.up), err)
			}
		}
	}
	sums := migration.Checksums(s.up)
	for done := row.Done; done < len(s.up); {
		n := migration.Unit(m.db.engine.dialect(), s.up[done:])
		if err := m.piece(ctx, s, sums, done, n); err != nil {
			return fmt.Errorf("statement %d of %d: %w", done+1, len(s.up), err)
		}
		done += n
	}
	return m.tx(ctx, func(ctx context.Context) error {
		return m.update(ctx, s, migrationApplied, s.checksum, len(s.up))
	})
}

// piece runs the n statements after the first done ones. If they are more than one, they
// are a transaction of the file. sums has the checksums of the first statements.
func (m *migrator) piece(ctx context.Context, s *step, sums []string, done, n int) error {
	statements := s.up[done:]
	before, after := sums[done], sums[done+n] // the latter also while the statement runs
	record := func(ctx context.Context) error { return m.update(ctx, s, migrationStopped, after, done+n) }
	if n > 1 {
		return m.ownTx(ctx, statements[:n], record)
	}
	if sqltext.OnlyRows(statements[0]) && !s.noTx {
		return m.tx(ctx, func(ctx context.Context) error {
			if err := m.db.scope(ctx).raw(ctx, statements[0]); err != nil {
				return err
			}
			return record(ctx)
		})
	}
	mark := func(ctx context.Context, state, checksum string, done int) error {
		return m.tx(ctx, func(ctx context.Context) error { return m.update(ctx, s, state, checksum, done) })
	}
	if err := mark(ctx, migrationRunning, after, done); err != nil {
		return err
	}
	err := m.statement(ctx, statements, m.exec)
	if err == nil {
		return mark(ctx, migrationStopped, after, done+1)
	}
	failed, isDB := errors.AsType[*DBError](err)
	_, refused := errors.AsType[notRun](err)
	if refused || isDB && failed.answered { // the engine answered that it did nothing
		return errors.Join(err, mark(ctx, migrationStopped, before, done))
	}
	return err
}

// down undoes a step that was run.
func (m *migrator) down(ctx context.Context, s *step) error {
	switch row := m.rows[s.version]; {
	case row == nil: // since the connection was renewed
		return errors.New("another process has undone it")
	case row.State != migrationApplied:
		return errors.New("it stopped halfway; call Migrate first")
	}
	forget := func(ctx context.Context) error {
		if err := m.home(ctx); err != nil {
			return err
		}
		result, err := m.db.Exec(ctx, "DELETE FROM backend_migrations WHERE line = ? AND version = ?", m.line, s.version)
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); n == 0 {
			return errors.Join(errors.New("another process has undone it"), err, sql.ErrNoRows)
		}
		return nil
	}
	return m.session(ctx, s, s.down, func() error {
		tables := slices.ContainsFunc(s.down, func(statement string) bool { return !sqltext.OnlyRows(statement) })
		if m.inPieces(s) && (s.noTx || tables) {
			return m.downInPieces(ctx, s, forget)
		}
		return m.tx(ctx, func(ctx context.Context) error {
			if err := m.run(ctx, s.down, s.code, (*Migration).down); err != nil {
				return err
			}
			return forget(ctx)
		})
	})
}

// downInPieces undoes a step whose statements cannot run in one transaction. If one
// fails, those before it have taken effect, and the error says what to do.
func (m *migrator) downInPieces(ctx context.Context, s *step, forget func(context.Context) error) error {
	for i := 0; i < len(s.down); {
		n := migration.Unit(m.db.engine.dialect(), s.down[i:])
		err := m.unit(ctx, s.down[i:], n)
		if err != nil && i == 0 {
			return fmt.Errorf("statement 1 of %d: %w", len(s.down), err)
		}
		if err != nil {
			return fmt.Errorf("statement %d of %d: %w\nThe statements before it took effect. Run this and those after it by hand, and then\n"+
				"DELETE FROM backend_migrations WHERE line = '%s' AND version = %d", i+1, len(s.down), err, m.line, s.version)
		}
		i += n
	}
	return m.tx(ctx, forget)
}
