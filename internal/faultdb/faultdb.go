// Package faultdb is a database/sql driver for tests. It wraps another driver and makes
// its Nth call fail. Running a scenario with N = 1, 2, … makes every call fail once.
package faultdb

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"sync"
)

// ErrInjected is the error of a failing call. It looks like that of a broken network.
var ErrInjected = errors.New("injected failure")

// Mode says how a call fails.
type Mode uint8

const (
	// Before fails without calling the driver.
	Before Mode = iota
	// After calls the driver and then fails, as if the answer was lost.
	After
	// BadConn fails with driver.ErrBadConn without calling the driver.
	BadConn
)

// String returns the mode's name.
func (m Mode) String() string { return [...]string{"before", "after", "bad connection"}[m] }

// Connector is a [driver.Connector] that can make its calls fail, and those of its
// connections, statements and rows. It is safe for concurrent use.
type Connector struct {
	inner driver.Connector

	mu    sync.Mutex
	left  int // calls until the failing one; 0: none fails
	mode  Mode
	err   error  // of the failing call; nil: the mode's own
	name  string // the only call that counts; "": all do
	hit   string
	count map[string]int // what is open

	on     string // the call that before is for
	before func()
}

// New returns a Connector whose connections are made by inner.
func New(inner driver.Connector) *Connector {
	return &Connector{inner: inner, count: map[string]int{}}
}

// Fail makes the nth call from now fail once; 0 makes none fail.
func (c *Connector) Fail(n int, mode Mode) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.left, c.mode, c.err, c.hit = n, mode, nil, ""
}

// FailCall makes the next call with this name fail once with err.
func (c *Connector) FailCall(name string, mode Mode, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.left, c.mode, c.err, c.hit, c.name = 1, mode, err, "", name
}

// Hit returns the name of the call that failed, or "".
func (c *Connector) Hit() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.hit
}

// Open returns how many connections, statements and rows are open.
func (c *Connector) Open() (conns, stmts, rows int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.count["conn"], c.count["stmt"], c.count["rows"]
}

func (c *Connector) opened(what string, by int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.count[what] += by
}

// due counts a call, and reports whether the call must fail.
func (c *Connector) due(name string) (Mode, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left == 0 || c.name != "" && c.name != name {
		return 0, false
	}
	c.name = ""
	c.left--
	if c.left > 0 {
		return 0, false
	}
	c.hit = name
	return c.mode, true
}

// call makes a call, or makes it fail. undo is called with a result that is not returned.
func call[T any](c *Connector, name string, f func() (T, error), undo func(T)) (T, error) {
	var none T
	c.announce(name)
	mode, fails := c.due(name)
	if !fails {
		return f()
	}
	switch mode {
	case BadConn:
		return none, driver.ErrBadConn
	case After:
		if result, err := f(); err == nil && undo != nil {
			undo(result)
		}
	}
	if err := c.given(); err != nil {
		return none, err
	}
	return none, fmt.Errorf("%s: %w", name, ErrInjected)
}

// OnCall makes the next call with this name call f first.
func (c *Connector) OnCall(name string, f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.on, c.before = name, f
}

// announce calls the function of OnCall, if it is for this call.
func (c *Connector) announce(name string) {
	c.mu.Lock()
	f := c.before
	if f == nil || c.on != name {
		c.mu.Unlock()
		return
	}
	c.before = nil
	c.mu.Unlock()
	f()
}

func (c *Connector) given() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Driver returns the driver underneath.
func (c *Connector) Driver() driver.Driver { return c.inner.Driver() }

// Connect makes a connection.
func (c *Connector) Connect(ctx context.Context) (driver.Conn, error) {
	return call(c, "connect", func() (driver.Conn, error) {
		inner, err := c.inner.Connect(ctx)
		if err != nil {
			return nil, err
		}
		c.opened("conn", 1)
		return &conn{inner: inner.(connection), c: c}, nil
	}, func(conn driver.Conn) { conn.Close() })
}

// connection has the methods that the driver's connections must have.
type connection interface {
	driver.Conn
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.Validator
	driver.SessionResetter
}

type conn struct {
	inner connection
	c     *Connector
}

func (c *conn) Prepare(text string) (driver.Stmt, error) {
	return c.PrepareContext(context.Background(), text)
}

func (c *conn) PrepareContext(ctx context.Context, text string) (driver.Stmt, error) {
	return call(c.c, "prepare", func() (driver.Stmt, error) {
		inner, err := c.inner.PrepareContext(ctx, text)
		if err != nil {
			return nil, err
		}
		c.c.opened("stmt", 1)
		return &stmt{inner, c}, nil
	}, func(s driver.Stmt) { s.Close() })
}

func (c *conn) ExecContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Result, error) {
	return call(c.c, "exec "+text, func() (driver.Result, error) { return c.inner.ExecContext(ctx, text, args) }, nil)
}

func (c *conn) QueryContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Rows, error) {
	return call(c.c, "query "+text, func() (driver.Rows, error) { return c.rows(c.inner.QueryContext(ctx, text, args)) }, closeRows)
}

func (c *conn) rows(inner driver.Rows, err error) (driver.Rows, error) {
	if err != nil {
		return nil, err
	}
	c.c.opened("rows", 1)
	return &rows{Rows: inner, c: c}, nil
}

func closeRows(rows driver.Rows) { rows.Close() }

// Begin is not used: transactions are begun by ExecContext.
func (c *conn) Begin() (driver.Tx, error) { return nil, errors.ErrUnsupported }

func (c *conn) IsValid() bool { return c.inner.IsValid() }

func (c *conn) ResetSession(ctx context.Context) error { return c.inner.ResetSession(ctx) }

func (c *conn) Close() error {
	c.c.opened("conn", -1)
	return c.inner.Close()
}

type stmt struct {
	driver.Stmt
	c *conn
}

func (s *stmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	return call(s.c.c, "execute statement", func() (driver.Result, error) {
		return s.Stmt.(driver.StmtExecContext).ExecContext(ctx, args)
	}, nil)
}

func (s *stmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	return call(s.c.c, "query statement", func() (driver.Rows, error) {
		return s.c.rows(s.Stmt.(driver.StmtQueryContext).QueryContext(ctx, args))
	}, closeRows)
}

// Close really closes, even if it says that it failed: nothing could be done
// about it.
func (s *stmt) Close() error {
	s.c.c.opened("stmt", -1)
	return s.failClose("close statement", s.Stmt)
}

func (s *stmt) failClose(name string, closer io.Closer) error {
	err := closer.Close()
	if _, fails := s.c.c.due(name); fails {
		return fmt.Errorf("%s: %w", name, ErrInjected)
	}
	return err
}

type rows struct {
	driver.Rows
	c      *conn
	closed bool
}

func (r *rows) Next(values []driver.Value) error {
	_, err := call(r.c.c, "next row", func() (struct{}, error) { return struct{}{}, r.Rows.Next(values) }, nil)
	return err
}

func (r *rows) Close() error {
	if !r.closed {
		r.closed = true
		r.c.c.opened("rows", -1)
	}
	err := r.Rows.Close()
	if _, fails := r.c.c.due("close rows"); fails {
		return fmt.Errorf("close rows: %w", ErrInjected)
	}
	return err
}
