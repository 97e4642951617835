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

	"github.com/seed-215b9b7c/backend/internal/stmtcache"
)

// Options say how an engine's connections differ.
type Options struct {
	// Statements is how many prepared statements a connection keeps.
	Statements int
	// Embedded says that the engine is SQLite, which runs in this process: its
	// commits are not interrupted, and another process may hold its lock.
	Embedded bool
	// Busy reports whether an error says that another process holds the lock.
	// It is used for an embedded engine only.
	Busy func(error) bool
	// ID asks a server for the number of a connection, and Kill, with that
	// number for %d, ends it. Both may be empty.
	ID, Kill string
}

// NewConnector returns a connector whose connections keep their prepared
// statements and are [Conn]s. Closing the connector, as [database/sql.DB.Close] does,
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
	made := &conn{foreign: foreign{inner}, connector: c, options: c.options, statements: stmtcache.New[driver.Stmt](c.options.Statements)}
	if c.options.ID != "" {
		if made.id, err = c.number(ctx, made); err != nil {
			inner.Close()
			return nil, err
		}
	}
	return made, nil
}

// number asks the server for the connection's number.
func (c *connector) number(ctx context.Context, conn Conn) (id int64, err error) {
	rows, err := conn.QueryContext(ctx, c.options.ID, nil)
	if err != nil {
		return 0, err
	}
	failed, err := ReadAll(rows, func(row []driver.Value) error {
		switch v := row[0].(type) {
		case int64:
			id = v
		case uint64:
			id = int64(v)
		case []byte:
			id, err = strconv.ParseInt(string(v), 10, 64)
		}
		return err
	})
	return id, errors.Join(failed, err)
}

const (
	killTime = 2 * time.Second
	killWait = 100 * time.Millisecond
)

// kill makes the server end what it does for a connection that was given up.
// MySQL does not notice by itself: a statement that waits for a lock would take
// effect long after its caller was told that it timed out. Unless the server is
// known to be stalled, the caller waits a moment, so that mostly it is over when
// it returns.
func (c *connector) kill(id int64, wait bool) {
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
		foreign{inner}.ExecContext(ctx, fmt.Sprintf(c.options.Kill, id), nil) // that it is gone already is as good
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
	id         int64 // the server's number for it, or 0
	stalled    bool  // even a rollback was not answered
	statements *stmtcache.Cache[driver.Stmt]
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

// QueryContext keeps the statements of queries with arguments; the others go
// out as they are, in one round trip.
func (c *conn) QueryContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Rows, error) {
	if len(args) == 0 {
		return c.foreign.QueryContext(ctx, text, args)
	}
	entry, err := c.statement(ctx, text)
	if err != nil {
		return nil, err
	}
	rows, err := queryStmt(ctx, entry.Stmt, args)
	if err != nil {
		c.statements.Release(entry)
		return nil, err
	}
	return &stmtRows{Rows: rows, done: func() error { return c.statements.Release(entry) }}, nil
}

// ExecContext keeps statements as QueryContext does.
func (c *conn) ExecContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Result, error) {
	if len(args) == 0 {
		return c.foreign.ExecContext(ctx, text, args)
	}
	entry, err := c.statement(ctx, text)
	if err != nil {
		return nil, err
	}
	result, err := execStmt(ctx, entry.Stmt, args)
	if released := c.statements.Release(entry); err == nil {
		err = released
	}
	return result, err
}

// statement returns the prepared statement for text, marked as in use.
func (c *conn) statement(ctx context.Context, text string) (*stmtcache.Entry[driver.Stmt], error) {
	if entry := c.statements.Acquire(text); entry != nil {
		return entry, nil
	}
	stmt, err := prepare(ctx, c.Conn, text)
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
	if !valid && c.id != 0 {
		c.connector.kill(c.id, !c.stalled)
	}
	return err
}

// StartTx begins a transaction, and waits for another process's as long as ctx
// lives.
func (c *conn) StartTx(ctx context.Context, begin string) error {
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		err := c.foreign.StartTx(ctx, begin)
		if err == nil || !c.options.Embedded || !c.options.Busy(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(pause/2 + rand.N(pause)):
		}
	}
}

// Commit is not interrupted in an embedded engine: its outcome would not be
// known, and nothing in it waits for anybody else.
func (c *conn) Commit(ctx context.Context) error {
	if c.options.Embedded {
		ctx = context.WithoutCancel(ctx)
	}
	return c.foreign.Commit(ctx)
}

// Rollback counts a transaction that the engine has rolled back by itself, as
// SQLite does when it is interrupted, as rolled back.
func (c *conn) Rollback(ctx context.Context) error {
	err := c.foreign.Rollback(ctx)
	if err != nil && strings.Contains(err.Error(), "no transaction is active") {
		return nil
	}
	c.stalled = err != nil
	return err
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

func (c *conn) IsValid() bool { return Valid(c.Conn) }

func (c *conn) CheckNamedValue(value *driver.NamedValue) error {
	if checker, ok := c.Conn.(driver.NamedValueChecker); ok {
		return checker.CheckNamedValue(value)
	}
	return driver.ErrSkip
}
