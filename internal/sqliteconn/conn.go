package sqliteconn

import (
	"context"
	"database/sql/driver"
	"strings"
	"time"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/seed-215b9b7c/backend/internal/stmtcache"
)

// Conn is a connection. One goroutine uses it at a time. Rows may be open while other
// statements run.
//
// A context ends a statement of the connection wherever SQLite executes instructions or waits
// for the lock of another process. The connection can be used afterwards. If the statement
// was writing, SQLite has rolled back the transaction.
type Conn struct {
	tls        *libc.TLS // the stack of SQLite's functions
	db         uintptr   // the sqlite3, or 0 when the connection is closed
	results    uintptr   // memory for two pointers that SQLite returns
	key        uintptr   // for the handlers
	begin      string    // of transactions of database/sql that write
	statements *stmtcache.Cache[*statement]
	live       map[*statement]struct{} // all that are not finalized

	ctx      context.Context // of the call to SQLite that is running, or nil
	commits  bool            // the call is a commit, which is not interrupted
	waiting  time.Time       // when the wait for a lock began
	busyWait time.Duration   // the longest such wait of a call that has no deadline
}

var _ interface {
	driver.Conn
	driver.ConnPrepareContext
	driver.ConnBeginTx
	driver.QueryerContext
	driver.ExecerContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator
} = (*Conn)(nil)

// QueryContext executes a query. If the text has several statements, the rows are those of
// the last one. Each of them takes the arguments that it has parameters for.
func (c *Conn) QueryContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Rows, error) {
	if err := c.usable(ctx); err != nil {
		return nil, err
	}
	s, err := c.statement(ctx, text, args)
	if err != nil {
		return nil, err
	}
	return s.query(ctx, args)
}

// ExecContext executes statements as QueryContext does, and discards the rows.
func (c *Conn) ExecContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Result, error) {
	if err := c.usable(ctx); err != nil {
		return nil, err
	}
	return boxed(c.exec(ctx, text, args))
}

// boxed returns the result as an interface, which the words of transactions do without.
func boxed(done result, err error) (driver.Result, error) {
	if err != nil {
		return nil, err
	}
	return done, nil
}

func (c *Conn) exec(ctx context.Context, text string, args []driver.NamedValue) (result, error) {
	s, err := c.statement(ctx, text, args)
	if err != nil {
		return result{}, err
	}
	return s.exec(ctx, args)
}

// usable returns an error if nothing can be executed.
func (c *Conn) usable(ctx context.Context) error {
	if c.db == 0 {
		return driver.ErrBadConn
	}
	return ctx.Err()
}

// statement returns the prepared statement of a text. If the text has several, it executes
// all but the last.
func (c *Conn) statement(ctx context.Context, text string, args []driver.NamedValue) (*statement, error) {
	if entry := c.statements.Acquire(text); entry != nil {
		return entry.Stmt, nil
	}
	from, err := c.newScript(text)
	if err != nil {
		return nil, err
	}
	defer free(c.tls, from.start)
	for keep := keeps(text); ; keep = false {
		s, err := c.prepare(ctx, from, keep)
		if err != nil {
			return nil, err
		}
		if from.text == "" {
			if keep {
				s.entry, _ = c.statements.Add(text, s) // Close returns no errors
			}
			return s, nil
		}
		if _, err := s.exec(ctx, args); err != nil {
			return nil, err
		}
	}
}

// StartTx begins a transaction.
func (c *Conn) StartTx(ctx context.Context, begin string) error {
	if err := c.usable(ctx); err != nil {
		return err
	}
	_, err := c.exec(ctx, begin, nil)
	return err
}

// Commit commits. It does not end with ctx, since its outcome would be unknown, unless it has
// to wait for the lock of another connection. That happens without a write-ahead log only, and
// the transaction is then still open.
func (c *Conn) Commit(ctx context.Context) error {
	if c.db == 0 {
		return driver.ErrBadConn
	}
	c.commits = true
	_, err := c.exec(ctx, "COMMIT", nil)
	c.commits = false
	return err
}

// Rollback rolls back. It does not end with ctx, and waits for nobody. It succeeds if SQLite
// has rolled back by itself, as it does when a statement that writes is interrupted.
func (c *Conn) Rollback(context.Context) error {
	if c.db == 0 {
		return driver.ErrBadConn
	}
	if sqlite3.Xsqlite3_get_autocommit(c.tls, c.db) != 0 {
		return nil
	}
	_, err := c.ExecContext(context.Background(), "ROLLBACK", nil)
	return err
}

// Close closes the connection, and all its statements and rows.
func (c *Conn) Close() error {
	c.statements.Forget()
	for s := range c.live {
		s.Close()
	}
	if c.db != 0 {
		conns.Delete(c.key)
		sqlite3.Xsqlite3_close_v2(c.tls, c.db)
		c.db = 0
	}
	if c.tls != nil {
		free(c.tls, c.results)
		c.tls.Close()
		c.tls = nil
	}
	return nil
}

// BeginTx begins a transaction. One that only reads does not take the lock for writing.
func (c *Conn) BeginTx(ctx context.Context, options driver.TxOptions) (driver.Tx, error) {
	begin := c.begin
	if begin == "" || options.ReadOnly {
		begin = "BEGIN"
	}
	if err := c.StartTx(ctx, begin); err != nil {
		return nil, err
	}
	return transaction{c}, nil
}

// Begin is BeginTx without options.
func (c *Conn) Begin() (driver.Tx, error) {
	return c.BeginTx(context.Background(), driver.TxOptions{})
}

// transaction is a transaction of database/sql, which takes the connection to have no
// transaction after either method.
type transaction struct{ conn *Conn }

func (t transaction) Commit() error {
	err := t.conn.Commit(context.Background())
	if err != nil && t.conn.db != 0 {
		t.conn.Rollback(context.Background())
	}
	return err
}

func (t transaction) Rollback() error {
	_, err := t.conn.ExecContext(context.Background(), "ROLLBACK", nil)
	return err
}

// Ping executes a statement.
func (c *Conn) Ping(ctx context.Context) error {
	_, err := c.ExecContext(ctx, "SELECT 1", nil)
	return err
}

// ResetSession returns driver.ErrBadConn if the connection is closed.
func (c *Conn) ResetSession(context.Context) error { return c.usable(context.Background()) }

// IsValid reports whether the connection is open.
func (c *Conn) IsValid() bool { return c.db != 0 }

// Prepare is PrepareContext without a context.
func (c *Conn) Prepare(text string) (driver.Stmt, error) {
	return c.PrepareContext(context.Background(), text)
}

// PrepareContext prepares a statement. Of a text with several statements, only the first is
// checked.
func (c *Conn) PrepareContext(ctx context.Context, text string) (driver.Stmt, error) {
	if err := c.usable(ctx); err != nil {
		return nil, err
	}
	from, err := c.newScript(text)
	if err != nil {
		return nil, err
	}
	defer free(c.tls, from.start)
	s, err := c.prepare(ctx, from, true)
	if err != nil {
		return nil, err
	}
	if from.text != "" {
		s.Close()
		s = nil
	} else {
		s.owned = true
	}
	return &Stmt{conn: c, text: text, statement: s}, nil
}

// Stmt is a statement that was prepared for database/sql.
type Stmt struct {
	conn      *Conn
	text      string
	statement *statement // nil if the text has several
}

// NumInput returns -1: the arguments are checked when they are bound.
func (s *Stmt) NumInput() int { return -1 }

// Close closes the statement, after its rows.
func (s *Stmt) Close() error {
	if s.statement != nil {
		s.statement.owned = false
		if !s.statement.running {
			s.statement.Close()
		}
		s.statement = nil
	}
	return nil
}

// idle reports whether the prepared statement can be executed: it has no open rows.
func (s *Stmt) idle() bool { return s.statement != nil && !s.statement.running }

// QueryContext executes the query.
func (s *Stmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	if !s.idle() {
		return s.conn.QueryContext(ctx, s.text, args)
	}
	if err := s.conn.usable(ctx); err != nil {
		return nil, err
	}
	return s.statement.query(ctx, args)
}

// ExecContext executes the statement.
func (s *Stmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	if !s.idle() {
		return s.conn.ExecContext(ctx, s.text, args)
	}
	if err := s.conn.usable(ctx); err != nil {
		return nil, err
	}
	return boxed(s.statement.exec(ctx, args))
}

// Query is QueryContext without a context.
func (s *Stmt) Query(args []driver.Value) (driver.Rows, error) {
	return s.QueryContext(context.Background(), named(args))
}

// Exec is ExecContext without a context.
func (s *Stmt) Exec(args []driver.Value) (driver.Result, error) {
	return s.ExecContext(context.Background(), named(args))
}

func named(args []driver.Value) []driver.NamedValue {
	values := make([]driver.NamedValue, len(args))
	for i, arg := range args {
		values[i] = driver.NamedValue{Ordinal: i + 1, Value: arg}
	}
	return values
}

// longestKept is the length of the longest text whose statement is kept.
const longestKept = 64 << 10

// keeps reports whether a connection keeps the prepared statement of a text. It does not keep
// a PRAGMA, which SQLite prepares each time anyway, nor what changes the schema, which is seldom
// executed twice.
func keeps(text string) bool {
	if len(text) > longestKept {
		return false
	}
	text = skipBlank(text)
	end := strings.IndexFunc(text, func(r rune) bool { return (r|0x20) < 'a' || (r|0x20) > 'z' })
	if end < 0 {
		end = len(text)
	}
	switch strings.ToUpper(text[:end]) {
	case "SELECT", "WITH", "VALUES", "INSERT", "REPLACE", "UPDATE", "DELETE", "BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE":
		return true
	}
	return false
}

// skipBlank returns text from its first character that is no white space, semicolon or
// comment.
func skipBlank(text string) string {
	for {
		text = strings.TrimLeft(text, " \t\n\f\r;\ufeff")
		switch {
		case strings.HasPrefix(text, "--"):
			_, text, _ = strings.Cut(text, "\n")
		case strings.HasPrefix(text, "/*"):
			_, text, _ = strings.Cut(text[2:], "*/")
		default:
			return text
		}
	}
}
