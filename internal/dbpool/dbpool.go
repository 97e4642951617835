// Package dbpool keeps the connections to a database. Unlike the pool of database/sql it
// has no queue, since its users wait at a gate before it, and takes no allocation to hand
// out a connection.
package dbpool

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"slices"
	"sync"
	"time"
)

// ErrClosed is the error of a pool that was closed. It is worded as that of database/sql.
var ErrClosed = errors.New("sql: database is closed")

// Config configures a [Pool].
type Config struct {
	// Idle is how many unused connections the pool keeps.
	Idle int
	// Lifetime is the age at which a connection is closed instead of being used again,
	// and IdleTime how long one is kept unused. 0 means for ever.
	Lifetime, IdleTime time.Duration
}

// Pool is a pool of connections. It opens as many as are taken from it at once: its users
// bound their number. It is safe for concurrent use.
type Pool struct {
	connector driver.Connector
	config    Config

	mu     sync.Mutex
	idle   []*Conn // the last one was used last
	closed bool
	timer  *time.Timer // ends connections that were not used for too long
}

// New returns a pool without connections.
func New(connector driver.Connector, config Config) *Pool {
	return &Pool{connector: connector, config: config}
}

// Driver returns the driver of the connections.
func (p *Pool) Driver() driver.Driver { return p.connector.Driver() }

// Conn is a connection taken from a pool. It belongs to who has taken it until Close.
type Conn struct {
	pool  *Pool
	inner driver.Conn
	made  time.Time // zero without a Lifetime
	since time.Time // when it was last given back; zero without an IdleTime
	bad   bool
}

// Conn takes a connection that was not used for the shortest time, or opens one. The
// context bounds the opening.
func (p *Pool) Conn(ctx context.Context) (*Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	for {
		c, err := p.take()
		if err != nil {
			return nil, err
		}
		if c == nil {
			return p.open(ctx)
		}
		if c.ready(ctx) {
			return c, nil
		}
		c.inner.Close() // an error changes nothing
	}
}

// take takes an idle connection. It returns nil if there is none.
func (p *Pool) take() (*Conn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, ErrClosed
	}
	last := len(p.idle) - 1
	if last < 0 {
		return nil, nil
	}
	c := p.idle[last]
	p.idle[last] = nil
	p.idle = p.idle[:last]
	return c, nil
}

func (p *Pool) open(ctx context.Context) (*Conn, error) {
	inner, err := p.connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	c := &Conn{pool: p, inner: inner}
	if p.config.Lifetime > 0 {
		c.made = time.Now()
	}
	return c, nil
}

// ready reports whether a connection from the pool can be used.
func (c *Conn) ready(ctx context.Context) bool {
	if c.old() {
		return false
	}
	if resetter, ok := c.inner.(driver.SessionResetter); ok && resetter.ResetSession(ctx) != nil {
		return false
	}
	return true
}

func (c *Conn) old() bool {
	return c.pool.config.Lifetime > 0 && time.Since(c.made) >= c.pool.config.Lifetime
}

// Raw calls f with the driver's connection. If f panics, or returns [driver.ErrBadConn],
// the connection is not used again.
func (c *Conn) Raw(f func(any) error) error {
	if c.bad {
		return driver.ErrBadConn
	}
	c.bad = true // unless f returns
	err := f(c.inner)
	c.bad = errors.Is(err, driver.ErrBadConn)
	return err
}

// Driver returns the driver's connection, for what neither panics nor fails.
func (c *Conn) Driver() driver.Conn { return c.inner }

// Close gives the connection back. It is called once.
func (c *Conn) Close() error {
	validator, ok := c.inner.(driver.Validator)
	if c.bad || ok && !validator.IsValid() || c.old() || !c.pool.keep(c) {
		return c.inner.Close()
	}
	return nil
}

// keep puts a connection among the idle ones, if there is room.
func (p *Pool) keep(c *Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.idle) >= p.config.Idle {
		return false
	}
	p.idle = append(p.idle, c)
	if limit := p.config.IdleTime; limit > 0 {
		c.since = time.Now()
		if p.timer == nil {
			p.timer = time.AfterFunc(limit, p.clean)
		}
	}
	return true
}

// clean closes the connections that were not used for too long, and comes again when the
// next one is due.
func (p *Pool) clean() {
	for _, c := range p.overdue() {
		c.inner.Close()
	}
}

func (p *Pool) overdue() []*Conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for n < len(p.idle) && time.Since(p.idle[n].since) >= p.config.IdleTime {
		n++
	}
	due := slices.Clone(p.idle[:n])
	p.idle = slices.Delete(p.idle, 0, n)
	if len(p.idle) == 0 || p.closed {
		p.timer = nil
	} else {
		p.timer.Reset(p.config.IdleTime - time.Since(p.idle[0].since))
	}
	return due
}

// Close closes the idle connections; the others are closed when they are given back. Then
// it closes the connector, if that can be closed. Closing twice is allowed.
func (p *Pool) Close() error {
	p.mu.Lock()
	idle, again := p.idle, p.closed
	p.idle, p.closed = nil, true
	if p.timer != nil {
		p.timer.Stop()
	}
	p.mu.Unlock()
	if again {
		return nil
	}
	var errs []error
	for _, c := range idle {
		errs = append(errs, c.inner.Close())
	}
	if closer, ok := p.connector.(io.Closer); ok {
		errs = append(errs, closer.Close())
	}
	return errors.Join(errs...)
}
