// Package pgconn connects to PostgreSQL. Lib/pq dials, negotiates TLS and authenticates;
// after that, this package speaks the protocol by itself. It keeps deadlines when the server
// stalls, prepares each statement once per connection, and never uses a connection again if
// its state is unknown.
//
//   - Every call, and every read of rows, ends at most 200 ms after its context,
//     even if the server does not answer. The server is asked to cancel first, so
//     that the connection survives if the server answers.
//   - No call starts a goroutine. Only the end of a context starts one, which asks
//     the server to cancel. It lives for at most two seconds, and [Connector.Close]
//     waits for it.
//   - A statement with arguments is prepared at its first use and kept: it takes 2
//     round trips the first time, and 1 after that. Statements without arguments take
//     1. If the cache is full, preparing a statement takes one more round trip, to close
//     another one.
//   - BEGIN travels with the first statement of a transaction: begin, a kept statement and
//     commit take 2 round trips. See [Conn.StartTx].
//   - A batch of kept statements takes 1 round trip. See [Conn.QueryBatch].
//   - Values are those of lib/pq, and errors are *[pq.Error]. The results of kept statements
//     come in binary form where that has the same values. Rows are read without an
//     allocation for each row or column; see [Rows.NextValues].
//   - INSERT, UPDATE, DELETE and MERGE store by the types that the columns have when the
//     server executes them. If the types may make a difference, their text is sent at each
//     use, in the same round trip. Other statements may cut their arguments to the old
//     type for up to a second, if another program has changed it.
//   - A schema change under a kept statement is repaired by preparing it again;
//     inside a transaction, where nothing can be repaired, see [Stale].
//   - No length that a server sends is trusted: the memory that a message takes is at most
//     twice what was received of it. What no PostgreSQL sends drops the connection.
//   - An error by which a server says that it is shutting down, or is no longer a primary,
//     drops the connection and every idle connection of the pool.
//   - [database/sql/driver.ErrBadConn], after which database/sql tries another
//     connection, is returned only if the server has certainly not executed the
//     statement.
//
// COPY, LISTEN and NOTIFY are not supported.
package pgconn

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lib/pq"

	"github.com/seed-215b9b7c/backend/internal/lazyctx"
	"github.com/seed-215b9b7c/backend/internal/stmtcache"
)

const (
	// grace is how long a call continues after its context has ended. In that time the
	// server can confirm a cancellation, which saves the connection. A call ends within
	// twice this time.
	grace = 100 * time.Millisecond

	// cancelTimeout bounds a cancel request. It may outlive its call, so that a
	// server behind a slow network stops working on a statement nobody waits for.
	cancelTimeout = 2 * time.Second

	// cleanupTimeout bounds work that has no context of its own: a rollback or a
	// statement's end asked for by database/sql.
	cleanupTimeout = 5 * time.Second

	// drainTimeout bounds how long Close of rows reads the rest of the result.
	// drainTxTimeout does so inside a transaction, which would be lost otherwise.
	drainTimeout   = time.Second
	drainTxTimeout = 10 * time.Second

	// stopTimeout bounds how long Stop of rows reads the rest.
	stopTimeout = 20 * time.Millisecond

	defaultDialTimeout    = 5 * time.Second
	defaultStatementCache = 256

	// maxCachedText is the length of the longest statement that is kept. Texts are the keys
	// of the cache. The longest come from expanded lists, and are used once.
	maxCachedText = 16 << 10
)

// Config configures a Connector. The zero value is valid.
type Config struct {
	// StatementCache is how many prepared statements each connection keeps. Zero
	// means 256. It is ignored with Pooler.
	StatementCache int

	// Pooler says that a connection pooler in transaction mode, such as PgBouncer,
	// stands before the server: successive statements may reach different sessions.
	// Nothing is prepared then, and statements with arguments are sent in one
	// message. JSON must be passed as a string or a [encoding/json.RawMessage]; any
	// other []byte is sent as bytea. binary_parameters=yes in the DSN sets it too.
	Pooler bool

	// DialTimeout bounds connecting to one host, authentication included. Zero
	// means the DSN's connect_timeout, or 5 s without one. The context's deadline
	// bounds all hosts together.
	DialTimeout time.Duration
}

// Connector makes connections, for [database/sql.OpenDB]. It is safe for concurrent use.
type Connector struct {
	settings    pq.Config
	cacheSize   int
	pooler      bool
	dialTimeout time.Duration
	hosts       int

	// standby says that the DSN asks for a read-only server. The error that the server is
	// read-only then does not mean a failover.
	standby bool

	// utc says that the DSN sets no other time zone.
	utc bool

	// generation is the generation of new connections. Connections of an older one
	// leave the pool when they are checked out or returned.
	generation atomic.Uint64

	// types counts the statements that may have changed the types of columns.
	types atomic.Uint64

	// life ends when the connector is closed. It bounds cancel requests.
	life    context.Context
	endLife context.CancelFunc
	mu      sync.Mutex
	closed  bool
	asked   map[string]asked // see fitted
	cancels sync.WaitGroup
}

// NewConnector reads a DSN: a postgres:// or postgresql:// URL, or lib/pq's
// key=value form. What it does not say comes from the PG* environment variables,
// as lib/pq has it; what neither says is decided here:
//
//   - sslmode is disable where every host is a Unix socket, localhost or a
//     loopback address, and require (encrypted, certificate not verified)
//     everywhere else. Set verify-full for a network you do not trust.
//   - TimeZone is UTC, application_name is "backend".
//   - target_session_attrs=read-only means prefer-standby; lib/pq's own read-only
//     refuses hot standbys.
//
// Errors name the setting that is wrong and never hold any part of a password.
func NewConnector(dsn string, config Config) (*Connector, error) {
	if config.StatementCache < 0 {
		return nil, fmt.Errorf("statement cache of %d: set 1 or more, or 0 for %d", config.StatementCache, defaultStatementCache)
	}
	if config.DialTimeout < 0 {
		return nil, fmt.Errorf("dial timeout of %v: set a positive one, or 0 for %v", config.DialTimeout, defaultDialTimeout)
	}
	settings, err := parseDSN(dsn)
	if err != nil {
		return nil, err
	}
	k := &Connector{
		pooler:      config.Pooler || settings.BinaryParameters,
		cacheSize:   config.StatementCache,
		dialTimeout: config.DialTimeout,
		hosts:       1 + len(settings.Multi),
		standby:     wantsReadOnly(settings),
	}
	zone, _ := lookupFold(settings.Runtime, "timezone")
	k.utc = strings.EqualFold(zone, "UTC")
	if k.cacheSize == 0 {
		k.cacheSize = defaultStatementCache
	}
	if k.dialTimeout == 0 {
		k.dialTimeout = settings.ConnectTimeout
	}
	if k.dialTimeout <= 0 {
		k.dialTimeout = defaultDialTimeout
	}
	settings.ConnectTimeout = 0 // the dialer keeps it
	k.settings = settings
	k.life, k.endLife = context.WithCancel(context.Background())
	return k, nil
}

// Connect makes a connection, within the context's deadline and at most
// DialTimeout per host. It starts no goroutine that outlives it.
func (k *Connector) Connect(ctx context.Context) (driver.Conn, error) {
	generation := k.generation.Load() // before the dial: a failover during it counts
	d := &dialer{timeout: k.dialTimeout, hosts: k.hosts}
	inner, err := k.open(ctx, d)
	w, ended := d.finish(err == nil)
	if ended {
		w.Close()
		return nil, fmt.Errorf("connect to PostgreSQL: %w", ctx.Err())
	}
	if err != nil {
		return nil, connectError(ctx, err)
	}
	given, err := takeOver(inner)
	if err != nil {
		w.Close()
		return nil, connectError(ctx, err)
	}
	return k.newConn(w, given, generation), nil
}

// newConn returns a connection on a socket.
func (k *Connector) newConn(w *wire, given handover, generation uint64) *Conn {
	c := &Conn{
		connector:  k,
		wire:       w,
		stream:     given.stream,
		identity:   given.identity,
		generation: generation,
		in:         reader{src: given.stream, buf: given.unread, end: len(given.unread)},
		status:     given.status,
		location:   given.location,
		settled:    make(chan bool, 2),
	}
	c.watch = lazyctx.NewWatch(c.interrupt)
	if !k.pooler {
		c.cache = stmtcache.New[*prepared](k.cacheSize)
	}
	return c
}

// open makes a connection with lib/pq, which dials through d, negotiates TLS and
// authenticates.
func (k *Connector) open(ctx context.Context, d *dialer) (_ driver.Conn, err error) {
	defer rescue(&err)
	connector, err := pq.NewConnectorConfig(k.settings)
	if err != nil {
		return nil, err
	}
	connector.Dialer(d)
	return connector.Connect(ctx)
}

// connectError returns an error that says what failed and, if possible, what to do.
func connectError(ctx context.Context, err error) error {
	reason := ctx.Err()
	if end, ok := ctx.Deadline(); ok && !time.Now().Before(end) {
		reason = context.DeadlineExceeded // the socket's deadline was a moment earlier
	}
	switch {
	case reason != nil && !errors.Is(err, reason):
		return fmt.Errorf("connect to PostgreSQL: %w: %w", reason, err)
	case errors.Is(err, pq.ErrSSLNotSupported):
		return fmt.Errorf("connect to PostgreSQL: %w; turn TLS on there, or add sslmode=disable to the URL if the network between is trusted", err)
	}
	return fmt.Errorf("connect to PostgreSQL: %w", err)
}

// Driver returns lib/pq's driver. Connections that it opens by itself have none
// of this package's guarantees.
func (k *Connector) Driver() driver.Driver {
	return &pq.Driver{}
}

// Close ends cancel requests that are under way and waits for them. Closing a
// [database/sql.DB] calls it.
func (k *Connector) Close() error {
	k.mu.Lock()
	k.closed = true
	k.mu.Unlock()
	k.endLife()
	k.cancels.Wait()
	return nil
}

// retire removes all connections of the generation, and older ones, from the pool. Newer
// connections stay.
func (k *Connector) retire(generation uint64) {
	k.generation.CompareAndSwap(generation, generation+1)
}
