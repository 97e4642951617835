package backend

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/seed-215b9b7c/backend/internal/english"
	"github.com/seed-215b9b7c/backend/internal/migration"
)

// This file decides which migrations run. internal/migration reads their files,
// migrate_steps.go runs each of them, and migrate_run.go their statements.

// MigrationStatus is the state of a migration.
type MigrationStatus struct {
	Version int64
	Name    string
	// Applied says that the migration has run. Started without Applied means that it
	// stopped halfway, outside a transaction.
	Applied bool
	Started bool
	// AppliedAt is the time when it had run, in UTC.
	AppliedAt time.Time
	// Pending has the statements that [DB.Migrate] would run now. It is empty for
	// migrations in Go.
	Pending []string
}

// A line is a sequence of versions. The migrations of the program and those of this
// package's own tables (schema.go) have a line each, so that versions do not clash.
const (
	programLine = "app"
	packageLine = "backend"
)

// Migrate brings the database to the newest version. It runs each file of fsys that
// has not run yet, and with them the migrations written in Go, in the order of their
// versions. The package documentation describes the files under "Migrations". A nil
// fsys has no files.
//
// If nothing is to be done, the account needs no right to create tables. Only the
// deadline of ctx limits the time. DBConfig.Pooler is an error, since migrations need
// a direct connection.
func (db *DB) Migrate(ctx context.Context, fsys fs.FS, code ...Migration) error {
	return db.migrating(ctx, fsys, code, func(m *migrator) error {
		if err := m.upAll(ctx); err != nil {
			return err
		}
		m.line, m.steps = packageLine, packageSteps()
		if err := m.load(ctx); err != nil {
			return err
		}
		return m.upAll(ctx)
	})
}

func (m *migrator) upAll(ctx context.Context) error {
	var wrong []error
	var pending []string
	for _, step := range m.steps {
		if row := m.rows[step.version]; row != nil && row.State == migrationApplied {
			continue
		}
		pending = append(pending, step.up...)
		if err := m.refuse(step, step.up); err != nil {
			wrong = append(wrong, fmt.Errorf("migrate %s: %w", step.name, err))
		}
	}
	if err := errors.Join(wrong...); err != nil {
		return err
	}
	if err := m.checkCharset(ctx, pending); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	for _, step := range m.steps {
		if err := m.up(ctx, step); err != nil {
			return fmt.Errorf("migrate %s: %w", step.name, err)
		}
		if err := m.renew(ctx); err != nil {
			return err
		}
	}
	err := m.checkTimes(ctx)
	if err == nil && len(pending) > 0 {
		err = m.warnOfDecimals(ctx)
	}
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}

// MigrateDown undoes the migrations with a version above version, newest first.
// Version 0 undoes all. If one of them has no Down, nothing is undone. If a Down
// outside a transaction fails halfway, such as one that changes tables on MySQL, the
// error says what to do. The files and other errors are those of [DB.Migrate].
func (db *DB) MigrateDown(ctx context.Context, version int64, fsys fs.FS, code ...Migration) error {
	return db.migrating(ctx, fsys, code, func(m *migrator) error {
		var undo []*step
		for _, step := range slices.Backward(m.steps) {
			switch {
			case step.version <= version || m.rows[step.version] == nil:
			case !step.hasDown:
				return fmt.Errorf("migrate down: %s has no Down", step.name)
			default:
				undo = append(undo, step)
			}
		}
		if newer := m.newest(); newer > max(version, m.last()) {
			return fmt.Errorf("migrate down: a newer program has run version %d; undo it with that program", newer)
		}
		var wrong []error
		for _, step := range undo {
			if err := m.refuse(step, step.down); err != nil {
				wrong = append(wrong, fmt.Errorf("migrate down %s: %w", step.name, err))
			}
		}
		if err := errors.Join(wrong...); err != nil {
			return err
		}
		for _, step := range undo {
			if err := m.down(ctx, step); err != nil {
				return fmt.Errorf("migrate down %s: %w", step.name, err)
			}
			if err := m.renew(ctx); err != nil {
				return err
			}
		}
		return nil
	})
}

// MigrationStatus returns the state of each migration, sorted by version. It changes
// nothing: the Pending statements are a dry run of [DB.Migrate]. The errors are those
// of DB.Migrate.
func (db *DB) MigrationStatus(ctx context.Context, fsys fs.FS, code ...Migration) ([]MigrationStatus, error) {
	m, err := db.migrator(fsys, code)
	if err != nil {
		return nil, err
	}
	if m.lease, err = db.acquire(ctx, false); err != nil {
		return nil, db.failure(ctx, "", err)
	}
	defer m.lease.release()
	if err := m.load(ctx); err != nil {
		return nil, err
	}
	status := []MigrationStatus{}
	for _, step := range m.steps {
		row := m.rows[step.version]
		s := MigrationStatus{Version: step.version, Name: step.name, Started: row != nil, Applied: row != nil && row.State == migrationApplied}
		switch {
		case s.Applied:
			s.AppliedAt = row.At
		case s.Started:
			s.Pending = step.up[row.Done:]
		default:
			s.Pending = step.up
		}
		status = append(status, s)
	}
	return status, nil
}

const migrationTable = `CREATE TABLE IF NOT EXISTS backend_migrations (
	line VARCHAR(20) NOT NULL,
	version BIGINT NOT NULL,
	name VARCHAR(255) NOT NULL,
	checksum VARCHAR(64) NOT NULL,
	state VARCHAR(10) NOT NULL,
	done INTEGER NOT NULL,
	at TIMESTAMP(6) NOT NULL,
	PRIMARY KEY (line, version)
)`

func (db *DB) migrator(fsys fs.FS, code []Migration) (*migrator, error) {
	if db.config.Pooler {
		return nil, errors.New("migrate: DBConfig.Pooler is set; open the database without the pooler to migrate it")
	}
	var files []migration.File
	if fsys != nil {
		var err error
		if files, err = migration.Load(fsys, string(db.engine), db.engine.dialect()); err != nil {
			return nil, fmt.Errorf("migrate: %w", err)
		}
	}
	m := &migrator{db: db, line: programLine}
	for _, file := range files {
		m.steps = append(m.steps, &step{
			version: file.Version, name: file.Name, checksum: file.Checksum,
			up: file.Up, down: file.Down, hasDown: file.HasDown, noTx: file.NoTx,
		})
	}
	for _, c := range code {
		if c.Version < 1 || c.Up == nil {
			return nil, fmt.Errorf("migrate: the Go migration %d (%s) needs a version above 0 and an Up", c.Version, c.Name)
		}
		m.steps = append(m.steps, &step{version: c.Version, name: c.Name, hasDown: c.Down != nil, code: &c})
	}
	slices.SortFunc(m.steps, func(a, b *step) int { return cmp.Compare(a.version, b.version) })
	for i := 1; i < len(m.steps); i++ {
		if m.steps[i].version == m.steps[i-1].version {
			return nil, fmt.Errorf("migrate: %s and %s have the same version", m.steps[i-1].name, m.steps[i].name)
		}
	}
	return m, nil
}

// migrating calls f while it holds the lock, after it has read the table.
func (db *DB) migrating(ctx context.Context, fsys fs.FS, code []Migration, f func(*migrator) error) error {
	m, err := db.migrator(fsys, code)
	if err != nil {
		return err
	}
	if m.lease, err = db.acquire(ctx, true); err != nil {
		return db.failure(ctx, "", err)
	}
	defer m.lease.release()
	if err := m.lock(ctx); err != nil {
		return err
	}
	defer m.unlock()
	if err := m.createTable(ctx); err != nil {
		return err
	}
	if err := m.load(ctx); err != nil {
		return err
	}
	return f(m)
}

// createTable creates the table unless it exists. An account that may not create
// tables can so start a program that has nothing to migrate.
func (m *migrator) createTable(ctx context.Context) error {
	there := false
	err := m.txMode(ctx, ReadOnly, func(ctx context.Context) (err error) {
		there, err = m.hasTable(ctx)
		return err
	})
	if err != nil || there {
		return err
	}
	table := migrationTable
	if m.db.engine == MySQL { // whose TIMESTAMP ends in 2038
		table = strings.Replace(table, "TIMESTAMP", "DATETIME", 1)
	}
	if err := m.exec(ctx, table); err != nil {
		return fmt.Errorf("migrate: the account needs the right to create tables: %w", err)
	}
	return nil
}

// renew replaces the connection if a migration may have changed its session. A migration in
// Go has marked the lease then. A database in memory, in a pool of OpenDB, ends with its
// connection, which stays.
func (m *migrator) renew(ctx context.Context) error {
	if m.changed {
		m.db.spend(&m.lease)
	}
	m.changed = false
	if !m.lease.spent {
		return nil
	}
	m.lease.discard()
	m.lease.conn.Close()
	conn, err := m.db.write.take(ctx)
	if err != nil {
		return m.db.failure(ctx, "", err)
	}
	m.lease.conn, m.lease.spent = conn, false
	if err := m.lock(ctx); err != nil {
		return err
	}
	return m.load(ctx) // another process may have had the lock
}

// lock makes other processes wait. SQLite needs no lock: each transaction holds the
// one writer, and checks again what has run.
func (m *migrator) lock(ctx context.Context) error {
	switch m.db.engine {
	case Postgres:
		return m.lockPostgres(ctx)
	case MySQL:
		// The lock is one of the server, so its name contains that of the database. It
		// belongs to the connection and outlives the transaction.
		return m.tx(ctx, func(ctx context.Context) error {
			name, err := One[*string](ctx, m.db, "SELECT MD5(DATABASE())")
			if err == nil && name == nil {
				err = errors.New("migrate: the URL names no database; write mysql://user:password@host/name")
			}
			if err != nil {
				return err
			}
			locked, err := One[sql.Null[int]](ctx, m.db, "SELECT GET_LOCK(?, 1000000)", "backend_migrate."+*name)
			if err == nil && locked.V != 1 {
				err = errors.New("migrate: the server did not give the lock; try again")
			}
			return err
		})
	}
	return nil
}

// lockPostgres tries until it has the lock. A statement that waits for it would hold a
// snapshot, for which CREATE INDEX CONCURRENTLY in the other process waits. The timeouts
// of the database and of the role are for queries of programs; a file can set its own.
func (m *migrator) lockPostgres(ctx context.Context) error {
	if _, err := m.query(ctx, noTimeouts); err != nil {
		return err
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return m.db.failure(ctx, "", fmt.Errorf("waiting for another process that migrates: %w", ctx.Err()))
		}
		rows, err := m.query(ctx, fmt.Sprintf("SELECT pg_try_advisory_lock(%d)::int", lockNumber))
		if err != nil {
			return err
		}
		if rows[0][0] == int64(1) {
			return nil
		}
		timer.Reset(lockPause)
	}
}

// noTimeouts switches off those timeouts that the version of the server has.
const noTimeouts = `SELECT pg_catalog.set_config(name, '0', false) FROM pg_catalog.pg_settings
	WHERE name IN ('statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout', 'transaction_timeout')`

// lockPause is the time between two tries to get PostgreSQL's lock.
const lockPause = 50 * time.Millisecond

// lockNumber is the key of PostgreSQL's lock, which belongs to the database. It must
// never change, so that programs of different releases wait for each other.
const lockNumber = 0x179401db9786c0d4

// unlock closes the connection, which releases the lock and undoes whatever the files
// have set on it.
func (m *migrator) unlock() {
	m.db.spend(&m.lease)
}

// load reads the table and compares it with the steps.
func (m *migrator) load(ctx context.Context) error {
	m.rows = map[int64]*migrationRow{}
	err := m.txMode(ctx, ReadOnly, func(ctx context.Context) error {
		there, err := m.hasTable(ctx)
		if err != nil || !there {
			return err
		}
		rows, err := All[*migrationRow](ctx, m.db,
			"SELECT version, name, checksum, state, done, at FROM backend_migrations WHERE line = ?", m.line)
		for _, row := range rows {
			m.rows[row.Version] = row
		}
		return err
	})
	if err != nil {
		return err
	}
	return m.verify()
}

// hasMigrations counts the tables that [migrationTable] makes.
var hasMigrations = map[Engine]query{
	SQLite:   "SELECT COUNT(*) FROM sqlite_schema WHERE type = 'table' AND name = 'backend_migrations'",
	Postgres: "SELECT COUNT(*) FROM information_schema.tables WHERE table_name = 'backend_migrations' AND table_schema = current_schema()",
	MySQL:    "SELECT COUNT(*) FROM information_schema.tables WHERE table_name = 'backend_migrations' AND table_schema = DATABASE()",
}

func (m *migrator) hasTable(ctx context.Context) (bool, error) {
	n, err := One[int](ctx, m.db, hasMigrations[m.db.engine])
	return n > 0, err
}

// verify returns an error that names every migration that has run and was changed or
// is missing.
func (m *migrator) verify() error {
	var wrong []error
	steps := map[int64]*step{}
	for _, step := range m.steps {
		steps[step.version] = step
		if row := m.rows[step.version]; row != nil {
			wrong = append(wrong, step.verify(row))
		}
	}
	for version, row := range m.rows {
		if steps[version] == nil && version < m.last() {
			wrong = append(wrong, fmt.Errorf("%s has run and is missing; restore the file", row.Name))
		}
	}
	if err := errors.Join(wrong...); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}

func (s *step) verify(row *migrationRow) error {
	switch {
	case row.State == migrationApplied && row.Checksum != s.checksum:
		return fmt.Errorf("%s was changed after it had run; restore it, and put the change into a new file", s.name)
	case row.State == migrationRunning && (row.Done >= len(s.up) || row.Checksum != migration.Checksum(s.up[:row.Done+1]) && row.Checksum != migration.Checksum(s.up[:row.Done])):
		return fmt.Errorf("%s was cut off while it ran statement %d, and that statement or those before it were changed since; restore them", s.name, row.Done+1)
	case row.State == migrationStopped && (row.Done > len(s.up) || row.Checksum != migration.Checksum(s.up[:row.Done])):
		return fmt.Errorf("%s stopped after %s, which %s changed since; restore what it had", s.name, english.Count(row.Done, "statement"), english.Was(row.Done))
	}
	return nil
}

// last returns the newest version that the program has, or 0.
func (m *migrator) last() int64 {
	if len(m.steps) == 0 {
		return 0
	}
	return m.steps[len(m.steps)-1].version
}

// newest returns the newest version that has run, or 0.
func (m *migrator) newest() (version int64) {
	for v := range m.rows {
		version = max(version, v)
	}
	return version
}
