package backend

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/seed-215b9b7c/backend/internal/column"
	"github.com/seed-215b9b7c/backend/internal/dbconn"
	"github.com/seed-215b9b7c/backend/internal/lazyre"
	"github.com/seed-215b9b7c/backend/internal/migration"
	"github.com/seed-215b9b7c/backend/internal/sqltext"
)

// This file runs the statements of migrations on the migrator's connection, and gives the
// connection back as it was.

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

// The states of a migration in the table.
const (
	migrationApplied = "applied"
	migrationRunning = "running" // a statement outside a transaction is running, or was interrupted
	migrationStopped = "stopped" // a statement outside a transaction failed
)

// migrator runs steps on the connection that holds the lock.
type migrator struct {
	db    *DB
	line  string
	steps []*step
	rows  map[int64]*migrationRow
	lease lease
	keys  int64 // SQLite's PRAGMA foreign_keys before the step

	changed bool // the step may have changed settings of the session
}

// inPieces reports whether the statements of a step cannot run in one transaction.
func (m *migrator) inPieces(s *step) bool {
	return s.code == nil && (s.noTx || m.db.engine == MySQL)
}

func (c *Migration) up(ctx context.Context, db *DB) error   { return c.Up(ctx, db) }
func (c *Migration) down(ctx context.Context, db *DB) error { return c.Down(ctx, db) }

// refuse returns an error if a file cannot run as it is written. Nothing has run then.
func (m *migrator) refuse(s *step, statements []string) error {
	if s.code != nil {
		return nil
	}
	dialect := m.db.engine.dialect()
	statements = migration.Expand(dialect, statements)
	inTx := !m.inPieces(s)
	if err := errors.Join(migration.CheckTransactions(dialect, statements, inTx), migration.CheckWritable(dialect, statements)); err != nil {
		return err
	}
	if m.db.engine == MySQL {
		return migration.CheckUse(statements)
	}
	if m.db.engine == SQLite && inTx {
		_, err := migration.WithoutForeignKeys(statements)
		return err
	}
	return nil
}

// checkCharset returns an error if tables of MySQL that the statements create could not hold
// all text, which a database made before MariaDB 11.6 may have as its default: unless one
// of them changes that.
func (m *migrator) checkCharset(ctx context.Context, statements []string) error {
	if m.db.engine != MySQL || len(statements) == 0 {
		return nil
	}
	for _, statement := range statements {
		if alterDatabase().MatchString(statement) {
			return nil
		}
	}
	rows, err := m.query(ctx, "SELECT SCHEMA_NAME, DEFAULT_CHARACTER_SET_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = DATABASE()")
	if err != nil || len(rows) == 0 {
		return err
	}
	name, charset := textOf(rows[0][0]), textOf(rows[0][1])
	if charset == "utf8mb4" {
		return nil
	}
	return fmt.Errorf("the database has the character set %s, which cannot hold all text: run ALTER DATABASE `%s` CHARACTER SET utf8mb4, and ALTER TABLE … CONVERT TO CHARACTER SET utf8mb4 for each table with text", charset, strings.ReplaceAll(name, "`", "``"))
}

var alterDatabase = lazyre.New(`(?i)\bALTER\s+(DATABASE|SCHEMA)\b`)

// textOf returns a text as drivers return it.
func textOf(value driver.Value) string {
	if raw, ok := value.([]byte); ok {
		return string(raw)
	}
	text, _ := value.(string)
	return text
}

// session calls f, which runs the statements of a step, and restores what they have changed
// on the connection.
func (m *migrator) session(ctx context.Context, s *step, statements []string, f func() error) error {
	if s.code != nil {
		return f()
	}
	statements = migration.Expand(m.db.engine.dialect(), statements)
	run := f
	if m.db.engine == SQLite {
		run = func() error { return m.keepForeignKeys(ctx, statements, !m.inPieces(s), f) }
	}
	m.changed = migration.ChangesSession(m.db.engine.dialect(), statements)
	return run()
}

// keepForeignKeys calls f and restores PRAGMA foreign_keys. If statements that run in a
// transaction switch foreign keys off, they are off before the transaction begins, since
// SQLite ignores the PRAGMA within one.
func (m *migrator) keepForeignKeys(ctx context.Context, statements []string, inTx bool, f func() error) (err error) {
	if m.keys, err = m.foreignKeys(ctx); err != nil {
		return err
	}
	defer func() {
		if m.exec(context.WithoutCancel(ctx), fmt.Sprintf("PRAGMA foreign_keys = %d", m.keys)) != nil {
			m.lease.discard()
		}
	}()
	if inTx {
		off, err := migration.WithoutForeignKeys(statements)
		if err != nil {
			return err
		}
		if off {
			if err := m.exec(ctx, "PRAGMA foreign_keys = 0"); err != nil {
				return err
			}
		}
	}
	return f()
}

// foreignKeys returns SQLite's PRAGMA foreign_keys.
func (m *migrator) foreignKeys(ctx context.Context) (int64, error) {
	rows, err := m.query(ctx, "PRAGMA foreign_keys")
	if err != nil || len(rows) == 0 {
		return 0, err
	}
	on, _ := rows[0][0].(int64)
	return on, nil
}

// run runs the statements or the function of a step in the transaction of ctx.
func (m *migrator) run(ctx context.Context, statements []string, code *Migration, f func(*Migration, context.Context, *DB) error) error {
	if code != nil {
		return f(code, ctx, m.db)
	}
	for i := range statements {
		if err := m.statement(ctx, statements[i:], m.db.scope(ctx).raw); err != nil {
			return err
		}
	}
	if m.db.engine != SQLite || m.keys == 0 {
		return nil
	}
	if now, err := m.foreignKeys(ctx); now != 0 || err != nil {
		return err
	}
	return m.checkForeignKeys(ctx)
}

// warnOfDecimals logs the columns of SQLite whose type promises more digits than they hold.
// They are no error: most programs store fewer.
func (m *migrator) warnOfDecimals(ctx context.Context) error {
	if m.db.engine != SQLite {
		return nil
	}
	columns, err := m.query(ctx, migration.TableColumns)
	for _, column := range columns {
		if declared := fmt.Sprint(column[2]); !migration.HoldsDecimals(declared) {
			loggerFrom(ctx).LogAttrs(ctx, slog.LevelWarn, "a column loses digits, since SQLite stores a decimal with 15 of them; declare it TEXT and use strings, or BIGINT for a number of the smallest units",
				slog.Any("table", column[0]), slog.Any("column", column[1]), slog.String("type", declared))
		}
	}
	return err
}

// checkTimes returns an error for columns of SQLite with times that do not compare with those
// of arguments: the defaults of the columns, and the first and last of their rows.
func (m *migrator) checkTimes(ctx context.Context) error {
	if m.db.engine != SQLite {
		return nil
	}
	columns, err := m.query(ctx, migration.TimeColumns)
	if err != nil {
		return err
	}
	var wrong []error
	for _, column := range columns {
		table, name := fmt.Sprint(column[0]), fmt.Sprint(column[1])
		if expression, ok := column[3].(string); ok {
			if err := m.checkDefault(ctx, table+"."+name, column[2], expression); err != nil {
				wrong = append(wrong, err)
				continue
			}
		}
		found, err := m.query(ctx, migration.Samples(sqliteName(table), sqliteName(name), column[4] == int64(1)))
		if err != nil {
			return err
		}
		for _, value := range found {
			if kind, text := fmt.Sprint(value[0]), fmt.Sprint(value[1]); !migration.IsComparable(kind, text) {
				wrong = append(wrong, fmt.Errorf("the column %s.%s (%v) has times in another form than arguments have, as %.40q, so that they do not compare; run in a migration\n"+
					"%s\nor declare the column as it is used: CHAR(10) for days, INTEGER for numbers, TEXT for other text",
					table, name, column[2], text, migration.Comparable(sqliteName(table), sqliteName(name), kind)))
				break
			}
		}
	}
	return errors.Join(wrong...)
}

func (m *migrator) checkDefault(ctx context.Context, column string, declared driver.Value, expression string) error {
	found, err := m.query(ctx, migration.DefaultOf(expression))
	if err != nil || len(found) == 0 || found[0][0] == "null" {
		return nil // SQLite says so when it uses the default
	}
	kind, text := fmt.Sprint(found[0][0]), fmt.Sprint(found[0][1])
	if migration.IsComparable(kind, text) && !migration.IsLocal(expression) {
		return nil
	}
	return fmt.Errorf("the default of the column %s (%v), %s, is a time in another form than arguments have, so that they do not compare; write DEFAULT CURRENT_TIMESTAMP,"+
		" or with milliseconds DEFAULT (rtrim(rtrim(strftime('%%Y-%%m-%%d %%H:%%M:%%f', 'now'), '0'), '.')),"+
		" or declare the column as it is used: CHAR(10) for days, INTEGER for numbers, TEXT for other text", column, declared, expression)
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

// unit runs n statements outside of the migrator's transactions. If they are more than
// one, they are a transaction of the file.
func (m *migrator) unit(ctx context.Context, statements []string, n int) error {
	if n > 1 {
		return m.ownTx(ctx, statements[:n], func(context.Context) error { return nil })
	}
	return m.statement(ctx, statements, m.exec)
}

// ownTx runs a transaction that a file begins and commits itself, and record as the last
// of it.
func (m *migrator) ownTx(ctx context.Context, statements []string, record func(context.Context) error) error {
	begin := statements[0]
	if m.db.engine == SQLite {
		begin = "BEGIN IMMEDIATE" // one that starts to write later may fail
	}
	return m.txWith(ctx, begin, func(ctx context.Context) error {
		if err := m.run(ctx, statements[1:len(statements)-1], nil, nil); err != nil {
			return err
		}
		return record(ctx)
	})
}

// notRun marks the error of a statement that was not executed.
type notRun struct{ error }

// statement runs the first of the statements with exec.
func (m *migrator) statement(ctx context.Context, statements []string, exec func(context.Context, string) error) error {
	if m.db.engine != SQLite {
		return exec(ctx, statements[0])
	}
	parts := migration.Expand(sqltext.SQLite, statements[:1])
	for i, part := range parts {
		if err := m.mayDrop(ctx, part, parts[i+1:], statements[1:]); err != nil {
			return notRun{err}
		}
		if name, _ := migration.Pragma(part); name == "foreign_key_check" {
			if err := m.checkForeignKeys(ctx); err != nil {
				return notRun{err}
			}
		}
		if err := exec(ctx, part); err != nil {
			return err
		}
	}
	return nil
}

// checkForeignKeys returns an error that lists rows of SQLite that refer to rows which do
// not exist.
func (m *migrator) checkForeignKeys(ctx context.Context) error {
	const shown = 10
	rows, err := m.query(ctx, fmt.Sprintf(`SELECT "table", rowid, parent FROM pragma_foreign_key_check LIMIT %d`, shown+1))
	if err != nil || len(rows) == 0 {
		return err
	}
	list := make([]string, 0, shown+1)
	for i, row := range rows {
		switch {
		case i == shown:
			list = append(list, "and more")
		case row[1] == nil: // a table without rowid
			list = append(list, fmt.Sprintf("a row of %v refers to no row of %v", row[0], row[2]))
		default:
			list = append(list, fmt.Sprintf("the row %v of %v refers to no row of %v", row[1], row[0], row[2]))
		}
	}
	return fmt.Errorf("PRAGMA foreign_key_check: %s; correct these rows before or in the migration", strings.Join(list, ", "))
}

// referring finds the tables of SQLite whose rows change when the rows of a table are
// deleted.
const referring = `SELECT s.name, f."from", f.on_delete FROM sqlite_schema s JOIN pragma_foreign_key_list(s.name) f
	WHERE s.type = 'table' AND f."table" = ? COLLATE NOCASE AND s.name <> ? COLLATE NOCASE AND f.on_delete IN ('CASCADE', 'SET NULL', 'SET DEFAULT')
	AND EXISTS (SELECT 1 FROM sqlite_schema p WHERE p.type = 'table' AND p.name = ? COLLATE NOCASE)`

// mayDrop returns an error if a DROP TABLE would change rows of other tables: SQLite
// deletes the rows of a table before it drops it. Tables that the next statements drop as
// well do not count.
func (m *migrator) mayDrop(ctx context.Context, statement string, later ...[]string) error {
	kind, table := migration.Dropped(sqltext.SQLite, statement)
	if kind != "TABLE" {
		return nil
	}
	on, err := m.foreignKeys(ctx)
	if on == 0 || err != nil {
		return err
	}
	children, err := m.query(ctx, referring, table, table, table)
	if err != nil {
		return err
	}
	if len(children) == 0 {
		return nil
	}
	dropped := migration.DroppedNext(sqltext.SQLite, later...)
	for _, child := range children {
		name := fmt.Sprint(child[0])
		if dropped[strings.ToLower(name)] {
			continue
		}
		rows, err := m.query(ctx, fmt.Sprintf("SELECT 1 WHERE EXISTS (SELECT 1 FROM %s WHERE %s IS NOT NULL) AND EXISTS (SELECT 1 FROM %s)",
			sqliteName(name), sqliteName(fmt.Sprint(child[1])), sqliteName(table)))
		if err != nil {
			return err
		}
		if len(rows) > 0 {
			return fmt.Errorf("DROP TABLE %s: SQLite deletes the rows of the table first, which changes the rows of %s that refer to them (ON DELETE %v);"+
				" write PRAGMA foreign_keys = OFF before the statements that rebuild the table, and PRAGMA foreign_keys = ON after them;"+
				" if those rows shall be deleted or changed, do that before", table, name, child[2])
		}
	}
	return nil
}

func sqliteName(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// query reads the rows of a statement on the migrator's connection as it stands.
func (m *migrator) query(ctx context.Context, text string, args ...driver.Value) (all [][]driver.Value, err error) {
	values := make([]driver.NamedValue, len(args))
	for i, arg := range args {
		values[i] = driver.NamedValue{Ordinal: i + 1, Value: arg}
	}
	err = m.lease.do(func(conn dbconn.Conn) error {
		rows, err := conn.QueryContext(ctx, text, values)
		if err != nil {
			return err
		}
		failed, _ := dbconn.ReadAll(rows, func(row []column.Value) error {
			values := make([]driver.Value, len(row))
			for i := range row {
				values[i] = row[i].Driver()
			}
			all = append(all, values)
			return nil
		})
		return failed
	})
	return all, m.db.result(ctx, text, err)
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
	tx := &rootTx{dbTx: dbTx{db: m.db, mode: mode, lease: &m.lease}}
	if err := tx.begin(ctx); err != nil {
		return m.db.result(ctx, "", err)
	}
	return m.do(ctx, tx, f)
}

// txWith runs f in a transaction that the statement begin begins.
func (m *migrator) txWith(ctx context.Context, begin string, f func(ctx context.Context) error) error {
	err := m.lease.do(func(conn dbconn.Conn) error { return conn.StartTx(ctx, begin) })
	if err != nil {
		return m.db.result(ctx, begin, err)
	}
	return m.do(ctx, &rootTx{dbTx: dbTx{db: m.db, mode: ReadWrite, lease: &m.lease}}, f)
}

func (m *migrator) do(ctx context.Context, tx *rootTx, f func(context.Context) error) error {
	hooks, err := tx.do(ctx, f)
	callHooks(ctx, hooks)
	return err
}
