package dbconn

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/seed-215b9b7c/backend/internal/column"
	"github.com/seed-215b9b7c/backend/internal/english"
	"github.com/seed-215b9b7c/backend/internal/stamp"
	"github.com/seed-215b9b7c/backend/internal/stmtcache"
)

// Options has the properties of an engine's connections.
type Options struct {
	// Statements is how many prepared statements a connection keeps.
	Statements int
	// Embedded says that the engine is SQLite, which runs in this process: its
	// commits are not interrupted, and another process may hold its lock.
	Embedded bool
	// Busy reports whether an error says that another process holds the lock.
	// It is used for an embedded engine only.
	Busy func(error) bool
	// Outdated reports whether an error says that a prepared statement cannot
	// be executed any more, and Full whether one says that the server has no
	// room for another. Either may be nil.
	Outdated, Full func(error) bool
	// ID, Check and Kill are queries, which may be empty. ID returns the number of a
	// connection, and a mark that distinguishes it from connections of other servers.
	// Check, with the two for %d and %s, returns in one number whether the connection
	// exists. Kill, with the number for %d, ends it.
	ID, Check, Kill string
	// Files are the paths of the files that a connection to an embedded engine has open,
	// the database first. [Opened] and [Intact] check them.
	Files []string
}

// NewConnector returns a connector whose connections keep their prepared
// statements and are [Conn]s. For connections that are so already, as those of
// internal/sqliteconn, only Files of the options is used. Closing the connector, as [database/sql.DB.Close] does,
// waits for what it still does on the server, for two seconds at most.
func NewConnector(inner driver.Connector, options Options) driver.Connector {
	return &connector{inner: inner, options: options}
}

// DriverConnector returns the driver's connector for a data source name.
func DriverConnector(d driver.Driver, dsn string) (driver.Connector, error) {
	if d, ok := d.(driver.DriverContext); ok {
		return d.OpenConnector(dsn)
	}
	return dsnConnector{d, dsn}, nil
}

type dsnConnector struct {
	driver driver.Driver
	dsn    string
}

func (c dsnConnector) Connect(context.Context) (driver.Conn, error) { return c.driver.Open(c.dsn) }
func (c dsnConnector) Driver() driver.Driver                        { return c.driver }

type connector struct {
	inner   driver.Connector
	options Options
	kills   sync.WaitGroup
}

func (c *connector) Driver() driver.Driver { return c.inner.Driver() }

func (c *connector) Connect(ctx context.Context) (driver.Conn, error) {
	inner, err := c.inner.Connect(ctx)
	if err != nil {
		return nil, err
	}
	files := openFiles(c.options.Files)
	if inner, ok := inner.(complete); ok {
		return completeConn{inner, files}, nil
	}
	made := &conn{files: files, foreign: foreign{inner}, connector: c, options: c.options, statements: stmtcache.New[driver.Stmt](c.options.Statements)}
	if c.options.ID != "" {
		if made.id, made.mark, err = c.identity(ctx, made); err != nil {
			inner.Close()
			return nil, err
		}
	}
	return made, nil
}

// identity asks the server for the connection's number and mark.
func (c *connector) identity(ctx context.Context, conn Conn) (id int64, mark string, err error) {
	rows, err := conn.QueryContext(ctx, c.options.ID, nil)
	if err != nil {
		return 0, "", err
	}
	failed, err := ReadAll(rows, func(row []column.Value) (err error) {
		id, err = Number(row[0].Driver())
		mark = fmt.Sprintf("%s", row[1].Driver())
		return err
	})
	return id, mark, errors.Join(failed, err)
}

// Number returns the integer that a driver returned as a value.
func Number(value driver.Value) (int64, error) {
	switch v := value.(type) {
	case int64:
		return v, nil
	case uint64:
		return int64(v), nil
	case []byte:
		return strconv.ParseInt(string(v), 10, 64)
	}
	return 0, fmt.Errorf("the server returned %s instead of a number", english.AType(value))
}

const (
	killTime = 2 * time.Second
	killWait = 100 * time.Millisecond
)

// kill makes the server end the statement of a connection that was given up. MySQL does
// not notice by itself: a statement that waits for a lock would take effect long after
// its caller was told that it timed out. Unless the server is stalled, the caller waits
// a moment, and usually the statement has ended when kill returns.
//
// The number alone does not identify a connection: numbers start again when a server
// restarts, and behind a load balancer the next connection may be to another server.
func (c *connector) kill(id int64, mark string, wait bool) {
	done := make(chan struct{})
	c.kills.Go(func() {
		defer close(done)
		ctx, cancel := context.WithTimeout(context.Background(), killTime)
		defer cancel()
		inner, err := c.inner.Connect(ctx)
		if err != nil {
			return
		}
		defer inner.Close()
		if conn := (foreign{inner}); c.there(ctx, conn, id, mark) {
			conn.ExecContext(ctx, fmt.Sprintf(c.options.Kill, id), nil) // an error may only mean that it is gone already
		}
	})
	if !wait {
		return
	}
	timer := time.NewTimer(killWait)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
}

// there reports whether the server of conn has the connection.
func (c *connector) there(ctx context.Context, conn Conn, id int64, mark string) bool {
	rows, err := conn.QueryContext(ctx, fmt.Sprintf(c.options.Check, id, strings.ReplaceAll(mark, "'", "''")), nil)
	if err != nil {
		return false
	}
	var found int64
	failed, err := ReadAll(rows, func(row []column.Value) (err error) {
		found, err = Number(row[0].Driver())
		return err
	})
	return failed == nil && err == nil && found == 1
}

// Close waits for connections being killed.
func (c *connector) Close() error {
	c.kills.Wait()
	if closer, ok := c.inner.(io.Closer); ok {
		return closer.Close()
	}
	return nil
}

// conn is a connection to SQLite or MySQL. Database/sql and sqlx can use it as
// any other.
type conn struct {
	foreign
	connector  *connector
	options    Options
	id         int64  // the server's number for it, or 0
	mark       string // what else the server knows it by
	inTx       bool   // a transaction begun by StartTx is open
	stalled    bool   // even a rollback was not answered
	ended      bool   // the server was asked to end it
	statements *stmtcache.Cache[driver.Stmt]
	*files
}

var _ interface {
	Conn
	driver.ConnPrepareContext
	driver.ConnBeginTx
	driver.Pinger
	driver.SessionResetter
	driver.Validator
	driver.NamedValueChecker
} = (*conn)(nil)

// QueryContext prepares and keeps statements with arguments. It sends others directly,
// in one round trip.
func (c *conn) QueryContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Rows, error) {
	for try := 1; ; try++ {
		rows, err := c.query(ctx, text, args)
		if err == nil {
			return rows, nil
		}
		if err := c.another(ctx, try, err); err != nil {
			return nil, err
		}
	}
}

// ExecContext prepares and keeps statements as QueryContext does.
func (c *conn) ExecContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Result, error) {
	for try := 1; ; try++ {
		result, err := c.exec(ctx, text, args)
		if err == nil {
			return result, nil
		}
		if err := c.another(ctx, try, err); err != nil {
			return nil, err
		}
	}
}

func (c *conn) query(ctx context.Context, text string, args []driver.NamedValue) (driver.Rows, error) {
	if len(args) == 0 {
		return c.foreign.QueryContext(ctx, text, args)
	}
	entry, err := c.statement(ctx, text)
	if err != nil {
		return nil, err
	}
	rows, err := queryStmt(ctx, entry.Stmt, args)
	if err != nil {
		c.failed(entry, err)
		return nil, err
	}
	return &stmtRows{Rows: rows, done: func() error { return c.statements.Release(entry) }}, nil
}

func (c *conn) exec(ctx context.Context, text string, args []driver.NamedValue) (driver.Result, error) {
	if len(args) == 0 {
		return c.foreign.ExecContext(ctx, text, args)
	}
	entry, err := c.statement(ctx, text)
	if err != nil {
		return nil, err
	}
	result, err := execStmt(ctx, entry.Stmt, args)
	if err != nil {
		c.failed(entry, err)
		return nil, err
	}
	if err := c.statements.Release(entry); err != nil {
		// Without its cause: the statement took effect and must not run again.
		return nil, fmt.Errorf("close the statement after it was executed: %v", err)
	}
	return result, nil
}

// failed ends the use of a statement that returned err.
func (c *conn) failed(entry *stmtcache.Entry[driver.Stmt], err error) {
	if c.is(c.options.Outdated, err) {
		c.statements.Remove(entry)
	}
	c.statements.Release(entry)
}

func (c *conn) is(what func(error) bool, err error) bool { return what != nil && what(err) }

// statement returns the prepared statement for text, marked as in use.
func (c *conn) statement(ctx context.Context, text string) (*stmtcache.Entry[driver.Stmt], error) {
	if entry := c.statements.Acquire(text); entry != nil {
		return entry, nil
	}
	stmt, err := prepare(ctx, c.Conn, text)
	if err != nil && c.is(c.options.Full, err) {
		// All connections share the server's limit: close the statements of this one.
		if err := c.statements.Clear(); err != nil {
			return nil, err
		}
		stmt, err = prepare(ctx, c.Conn, text)
	}
	if err != nil {
		return nil, err
	}
	entry, err := c.statements.Add(text, stmt)
	if err != nil { // of closing another one: the connection is not sound
		return nil, errors.Join(err, c.statements.Remove(entry), c.statements.Release(entry))
	}
	return entry, nil
}

// Close closes the connection. A server forgets its statements with it; SQLite
// keeps the file open until they are closed as well. A connection that was
// given up in the middle of something is ended on the server, too.
func (c *conn) Close() error {
	if c.options.Embedded {
		return errors.Join(c.statements.Clear(), c.Conn.Close())
	}
	c.statements.Forget()
	valid := c.IsValid()
	err := c.Conn.Close()
	if !valid && !c.ended && c.id != 0 {
		c.connector.kill(c.id, c.mark, !c.stalled)
	}
	return err
}

// StartTx begins a transaction.
func (c *conn) StartTx(ctx context.Context, begin string) error {
	for try := 1; ; try++ {
		err := c.foreign.StartTx(ctx, begin)
		if err == nil {
			c.inTx = true
			return nil
		}
		if err := c.another(ctx, try, err); err != nil {
			return err
		}
	}
}

// another decides whether to try a statement again that has failed with err and had no
// effect. It returns nil to try again: once if the prepared statement was outdated, and
// until ctx ends if another process holds SQLite's lock. Inside a transaction it does
// not wait for the lock: either the transaction has the lock, or what it has read is out
// of date.
func (c *conn) another(ctx context.Context, try int, err error) error {
	if try == 1 && c.is(c.options.Outdated, err) {
		return nil
	}
	if c.inTx || !c.options.Embedded || !c.is(c.options.Busy, err) {
		return err
	}
	pause := min(time.Millisecond<<min(try, 10), 50*time.Millisecond)
	select {
	case <-ctx.Done():
		return errors.Join(ctx.Err(), err)
	case <-time.After(pause/2 + rand.N(pause)):
		return nil
	}
}

// Commit does not end with ctx in an embedded engine: its outcome would be unknown, and it
// waits for nobody.
func (c *conn) Commit(ctx context.Context) error {
	if c.options.Embedded {
		ctx = context.WithoutCancel(ctx)
	}
	err := c.foreign.Commit(ctx)
	c.inTx = err != nil
	return err
}

// Rollback succeeds if the engine has rolled back the transaction by itself, as SQLite
// does when it is interrupted.
func (c *conn) Rollback(ctx context.Context) error {
	err := c.foreign.Rollback(ctx)
	if err != nil && strings.Contains(err.Error(), "no transaction is active") {
		err = nil
	}
	c.inTx, c.stalled = err != nil, err != nil
	return err
}

// stop ends rows before their end. SQLite does not compute the rest. Of MySQL it has to
// be read, so the server ends the connection if that takes long.
func (c *conn) stop(rows driver.Rows) {
	if c.id != 0 {
		timer := time.AfterFunc(stopTime, func() { c.connector.kill(c.id, c.mark, false) })
		for values := make([]driver.Value, len(rows.Columns())); rows.Next(values) == nil; {
		}
		c.ended = !timer.Stop()
	}
	rows.Close()
}

func (c *conn) PrepareContext(ctx context.Context, text string) (driver.Stmt, error) {
	return prepare(ctx, c.Conn, text)
}

func (c *conn) BeginTx(ctx context.Context, options driver.TxOptions) (driver.Tx, error) {
	if beginner, ok := c.Conn.(driver.ConnBeginTx); ok {
		return beginner.BeginTx(ctx, options)
	}
	//lint:ignore SA1019 some drivers have only this
	return c.Conn.Begin()
}

func (c *conn) Ping(ctx context.Context) error {
	if pinger, ok := c.Conn.(driver.Pinger); ok {
		return pinger.Ping(ctx)
	}
	return nil
}

func (c *conn) ResetSession(ctx context.Context) error {
	if resetter, ok := c.Conn.(driver.SessionResetter); ok {
		return resetter.ResetSession(ctx)
	}
	return nil
}

func (c *conn) IsValid() bool { return !c.ended && Valid(c.Conn) }

// CheckNamedValue converts an argument that comes through database/sql. Times are stored in
// SQLite as those of other statements are.
func (c *conn) CheckNamedValue(value *driver.NamedValue) error {
	if at, ok := value.Value.(time.Time); ok && c.options.Embedded {
		value.Value = stamp.Text(at)
		return nil
	}
	if checker, ok := c.Conn.(driver.NamedValueChecker); ok {
		return checker.CheckNamedValue(value)
	}
	return driver.ErrSkip
}
