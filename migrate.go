package backend

import (
	"cmp"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/seed-215b9b7c/backend/internal/dbconn"
	"github.com/seed-215b9b7c/backend/internal/migration"
	"github.com/seed-215b9b7c/backend/internal/sqltext"
)

// This file runs migrations. Their files are read by internal/migration.

// Migration is a step of the schema that is written in Go, for what SQL cannot
// do. It takes its place among the files by its version.
type Migration struct {
	// Version is the number that a file would have in its name.
	Version int64
	// Name is what errors and [MigrationStatus] call it.
	Name string
	// Up does the step, with ctx in a transaction. It is required. On MySQL,
	// whose changes of tables commit at once, it should change rows only.
	Up func(ctx context.Context, db *DB) error
	// Down undoes the step. Nil means that it cannot be undone.
	Down func(ctx context.Context, db *DB) error
}

// MigrationStatus is where one migration stands.
type MigrationStatus struct {
	Version int64
	Name    string
	// Applied says that it is done. Started without Applied means that it
	// stopped halfway, outside a transaction.
	Applied bool
	Started bool
	// AppliedAt is when it was done, in UTC.
	AppliedAt time.Time
	// Pending has the statements that [DB.Migrate] would run now; it is empty
	// for migrations in Go.
	Pending []string
}

// migrationLine separates the migrations of programs from those that this
// package may bring for tables of its own, so that their versions never clash.
const migrationLine = "app"

// Migrate brings the database to the newest version: it runs each file of fsys
// that has not been run yet, once, in the order of their versions, and with
// them the migrations written in Go.
//
// Files have goose's format: their name is a number, an underscore and a name
// (0001_create_notes.sql), "-- +goose Up" begins what is run and "-- +goose
// Down" what undoes it. Statements end with a semicolon; one that has
// semicolons inside stands between "-- +goose StatementBegin" and "-- +goose
// StatementEnd". If fsys has folders named sqlite, postgres or mysql, only the
// one of the database's engine is read, else the files of fsys itself, or of
// the one folder in it. A nil fsys holds no files.
//
//   - Processes that start together wait for each other; each file is run by
//     one of them.
//   - A file runs in one transaction, so that it is done as a whole or not at
//     all. "-- +goose NO TRANSACTION" runs it without, for statements such as
//     CREATE INDEX CONCURRENTLY. On MySQL, where changes of tables commit at
//     once, each statement is on its own.
//   - What stopped halfway outside a transaction goes on where it stopped the
//     next time. Where it is impossible to tell whether the last statement took
//     effect, because the program was killed, the error says what to look at and
//     what to do.
//   - A file that was edited after it had been run is an error that names it,
//     and nothing is run. So is a file that is gone, unless it is newer than all
//     there are: an older program may start on a newer database.
//   - A file older than the newest one run is run too: branches are merged
//     in any order.
//
// An account that may not create tables can call it if nothing is to be done.
// There is no time limit but ctx's. DBConfig.Pooler is an error: migrations
// need a direct connection.
func (db *DB) Migrate(ctx context.Context, fsys fs.FS, code ...Migration) error {
	return db.migrating(ctx, fsys, code, func(m *migrator) error {
		for _, step := range m.steps {
			if err := m.up(ctx, step); err != nil {
				return fmt.Errorf("migrate %s: %w", step.name, err)
			}
		}
		return nil
	})
}

// MigrateDown undoes the migrations whose version is above version, newest
// first; 0 undoes all. If one of them has no Down, nothing is undone. Where a
// Down that is not in a transaction, such as one that changes tables on MySQL,
// fails in the middle, the error says what to do. Otherwise it is as [DB.Migrate].
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
			return fmt.Errorf("migrate down: version %d was run by a newer program, which has to undo it", newer)
		}
		for _, step := range undo {
			if err := m.down(ctx, step); err != nil {
				return fmt.Errorf("migrate down %s: %w", step.name, err)
			}
		}
		return nil
	})
}

// MigrationStatus tells where each migration stands, sorted by version. It
// changes nothing, so the Pending statements of all are what a Migrate would
// do: a dry run. The errors are those of [DB.Migrate].
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

// The states of a migration in the table.
const (
	migrationApplied = "applied"
	migrationRunning = "running" // a statement outside a transaction runs, or was cut off
	migrationStopped = "stopped" // a statement outside a transaction failed
)

// migrationRow is a row of the table that remembers what was run.
type migrationRow struct {
	Version  int64     `db:"version"`
	Name     string    `db:"name"`
	Checksum string    `db:"checksum"` // of the file, or of the statements done
	State    string    `db:"state"`
	Done     int       `db:"done"` // statements that took effect
	At       time.Time `db:"at"`
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

// migrator runs steps on one connection, which holds the lock.
type migrator struct {
	db    *DB
	steps []*step
	rows  map[int64]*migrationRow
	lease *lease
}

func (db *DB) migrator(fsys fs.FS, code []Migration) (*migrator, error) {
	if db.config.Pooler {
		return nil, errors.New("migrate: DBConfig.Pooler is set; open the database directly, without the pooler, to migrate it")
	}
	var files []migration.File
	if fsys != nil {
		var err error
		if files, err = migration.Load(fsys, string(db.engine), db.engine.dialect()); err != nil {
			return nil, fmt.Errorf("migrate: %w", err)
		}
	}
	m := &migrator{db: db}
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

// migrating calls f with the lock held and the table read.
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
	defer m.unlock(ctx)
	if err := m.createTable(ctx); err != nil {
		return err
	}
	if err := m.load(ctx); err != nil {
		return err
	}
	return f(m)
}

// createTable does nothing where the table is there, so that an account that
// may not create tables can start the program when nothing is to be done.
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

// lock makes other processes wait. SQLite needs none: its transactions take
// the one writer, and look again what is there.
func (m *migrator) lock(ctx context.Context) error {
	switch m.db.engine {
	case Postgres:
		return m.exec(ctx, fmt.Sprintf("SELECT pg_advisory_lock(%d)", lockNumber))
	case MySQL:
		// Locks belong to the server, so that their names tell the databases
		// apart, and to the connection, not to the transaction.
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

// lockNumber is the key of PostgreSQL's lock, which belongs to the database.
var lockNumber = func() int64 {
	sum := sha256.Sum256([]byte("github.com/seed-215b9b7c/backend migrations"))
	return int64(binary.BigEndian.Uint64(sum[:]) >> 1)
}()

// unlock gives up the lock with the connection, whatever happened on it.
func (m *migrator) unlock(context.Context) {
	if m.db.engine != SQLite {
		m.lease.discard()
	}
}

// exec runs a statement on the migrator's connection as it stands, outside any
// transaction.
func (m *migrator) exec(ctx context.Context, statement string) error {
	err := m.lease.do(func(conn dbconn.Conn) error {
		_, err := conn.ExecContext(ctx, statement, nil)
		return err
	})
	return m.db.result(ctx, query(statement), err)
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

// load reads the table and compares it with the steps.
func (m *migrator) load(ctx context.Context) error {
	m.rows = map[int64]*migrationRow{}
	err := m.txMode(ctx, ReadOnly, func(ctx context.Context) error {
		there, err := m.hasTable(ctx)
		if err != nil || !there {
			return err
		}
		rows, err := All[*migrationRow](ctx, m.db,
			"SELECT version, name, checksum, state, done, at FROM backend_migrations WHERE line = ?", migrationLine)
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

func (m *migrator) hasTable(ctx context.Context) (bool, error) {
	q := SQL("SELECT COUNT(*) FROM information_schema.tables WHERE table_name = 'backend_migrations' AND table_schema = ")
	switch m.db.engine {
	case SQLite:
		q = "SELECT COUNT(*) FROM sqlite_schema WHERE type = 'table' AND name = 'backend_migrations'"
	case Postgres:
		q += "current_schema()"
	case MySQL:
		q += "DATABASE()"
	}
	n, err := One[int](ctx, m.db, q)
	return n > 0, err
}

// verify reports every migration that was run and is not what it was.
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
			wrong = append(wrong, fmt.Errorf("%s was run and is gone; bring the file back", row.Name))
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
		return fmt.Errorf("%s was changed after it had been run; bring back what it was, and put the change into a new file", s.name)
	case row.State != migrationApplied && (row.Done > len(s.up) || row.Checksum != migration.Checksum(s.up[:row.Done])):
		return fmt.Errorf("%s stopped after %d statements, and those were changed since; bring back what they were", s.name, row.Done)
	}
	return nil
}

// last returns the newest version that this program knows, or 0.
func (m *migrator) last() int64 {
	if len(m.steps) == 0 {
		return 0
	}
	return m.steps[len(m.steps)-1].version
}

// newest returns the newest version that was run, or 0.
func (m *migrator) newest() (version int64) {
	for v := range m.rows {
		version = max(version, v)
	}
	return version
}

// up runs a step unless it was run.
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

// run runs the statements of a step, or its function, in the transaction of
// ctx.
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

// raw runs a statement as it stands: migrations have no parameters, so that a
// question mark is nothing special.
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
	n, err := One[int](ctx, m.db, "SELECT COUNT(*) FROM backend_migrations WHERE line = ? AND version = ?", migrationLine, s.version)
	return n > 0, err
}

func (m *migrator) insert(ctx context.Context, s *step, state, checksum string, done int) error {
	_, err := m.db.Exec(ctx, "INSERT INTO backend_migrations (line, version, name, checksum, state, done, at) VALUES (?, ?, ?, ?, ?, ?, ?)",
		migrationLine, s.version, s.name, checksum, state, done, time.Now())
	return err
}

func (m *migrator) update(ctx context.Context, s *step, state, checksum string, done int) error {
	_, err := m.db.Exec(ctx, "UPDATE backend_migrations SET state = ?, checksum = ?, done = ?, at = ? WHERE line = ? AND version = ?",
		state, checksum, done, time.Now(), migrationLine, s.version)
	return err
}

// upInPieces runs a step statement by statement and remembers how far it came.
// A statement that only touches rows is one transaction with that memory, so
// that it cannot be lost or done twice; any other is announced before it runs.
func (m *migrator) upInPieces(ctx context.Context, s *step, row *migrationRow) error {
	if row == nil {
		err := m.tx(ctx, func(ctx context.Context) error { return m.insert(ctx, s, migrationStopped, migration.Checksum(nil), 0) })
		if err != nil && CodeOf(err) == Conflict { // SQLite has no lock to wait for
			return fmt.Errorf("another process has begun to run it; start again when it is done: %w", err)
		}
		if err != nil {
			return err
		}
		row = &migrationRow{State: migrationStopped}
	}
	if row.State == migrationRunning {
		return cutOff(s, row)
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
	if errors.As(err, &failed) && failed.known { // the engine said that it did nothing
		return errors.Join(err, mark(ctx, migrationStopped, before, done))
	}
	return err
}

// cutOff says what to do about a statement of which nobody knows whether it
// took effect.
func cutOff(s *step, row *migrationRow) error {
	where := fmt.Sprintf("WHERE line = '%s' AND version = %d", migrationLine, s.version)
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
		return errors.New("it stopped halfway; migrate up first")
	}
	forget := func(ctx context.Context) error {
		result, err := m.db.Exec(ctx, "DELETE FROM backend_migrations WHERE line = ? AND version = ?", migrationLine, s.version)
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); n == 0 {
			return errors.Join(errors.New("another process undid it"), err, sql.ErrNoRows)
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

// downInPieces undoes a step whose statements cannot be one transaction. Its
// error says what is to be done, since the statements before the one that
// failed are not run back.
func (m *migrator) downInPieces(ctx context.Context, s *step, forget func(context.Context) error) error {
	for i, statement := range s.down {
		err := m.exec(ctx, statement)
		if err != nil && i == 0 {
			return fmt.Errorf("statement 1 of %d: %w", len(s.down), err)
		}
		if err != nil {
			return fmt.Errorf("statement %d of %d: %w\nThe statements before it took effect. Run this and those after it by hand, and then\n"+
				"DELETE FROM backend_migrations WHERE line = '%s' AND version = %d", i+1, len(s.down), err, migrationLine, s.version)
		}
	}
	return m.tx(ctx, forget)
}
