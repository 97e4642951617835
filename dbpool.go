package backend

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/seed-215b9b7c/backend/internal/admission"
	"github.com/seed-215b9b7c/backend/internal/dbconn"
	"github.com/seed-215b9b7c/backend/internal/dberr"
	"github.com/seed-215b9b7c/backend/internal/dbpool"
	"github.com/seed-215b9b7c/backend/internal/pgconn"
	"github.com/seed-215b9b7c/backend/internal/sqltext"
	"github.com/seed-215b9b7c/backend/internal/statement"
)

// This file takes connections from the pools, runs statements on them, and begins and
// commits transactions.

// lease is a connection taken from a pool until release.
type lease struct {
	conn   rawConn
	engine Engine
	gate   *admission.Gate // of the pool, or nil
	spent  bool            // a statement may have changed the session: release closes the connection
}

// acquire waits for a connection. A request that has had none yet waits for a short time
// only, and is refused at once if it could not be served in it: see internal/admission. All
// others wait until ctx ends.
func (db *DB) acquire(ctx context.Context, write bool) (lease, error) {
	pool, gate := db.read, db.readers
	if write {
		pool, gate = db.write, db.writers
	}
	x := exchangeFrom(ctx)
	if gate != nil {
		if err := gate.Enter(ctx, dbClass(x)); err != nil {
			return lease{}, db.notAdmitted(ctx, gate, err)
		}
	}
	conn, err := pool.take(ctx)
	if err != nil && gate != nil {
		gate.Leave()
	}
	if err == nil && x != nil {
		x.load.begun.Store(true)
	}
	return lease{conn: conn, engine: db.engine, gate: gate}, err
}

// dbClass says how a request waits for a connection. Outside of requests, nobody is there
// to try again.
func dbClass(x *exchange) admission.Class {
	switch {
	case x == nil:
		return admission.Patient
	case x.load.begun.Load():
		return admission.Urgent
	}
	return admission.Normal
}

// notAdmitted returns the error for a wait that has ended without a connection.
func (db *DB) notAdmitted(ctx context.Context, gate *admission.Gate, err error) error {
	if ctx.Err() == nil {
		return overload{fmt.Errorf("waiting for a database connection: %w", err)}
	}
	if db.writers != db.readers && gate == db.writers {
		return fmt.Errorf("waiting for SQLite's writer (is a transaction open whose context was not passed on?): %w", err)
	}
	return allInUse(gate.Places(), err)
}

// ownPool is a pool of Open. Those who use it have passed its gate.
type ownPool struct{ *dbpool.Pool }

func (p ownPool) take(ctx context.Context) (rawConn, error) {
	conn, err := p.Conn(ctx)
	return rawConn{own: conn}, err
}

func newPool(connector driver.Connector, size int, config DBConfig) connSource {
	return ownPool{dbpool.New(connector, dbpool.Config{Idle: size, Lifetime: config.MaxConnLifetime, IdleTime: config.MaxConnIdleTime})}
}

// onePool returns the pools of an engine that needs no other connections for reading.
func onePool(connector driver.Connector, size int, config DBConfig) pools {
	pool, gate := newPool(connector, size, config), newGate(size)
	enter := func(ctx context.Context) error { return gate.Enter(ctx, admission.Patient) }
	borrowed := sql.OpenDB(pool.(ownPool).Borrowing(enter, gate.Leave))
	borrowed.SetMaxOpenConns(size)
	borrowed.SetMaxIdleConns(-1)
	return pools{write: pool, read: pool, sql: borrowed, writers: gate, readers: gate}
}

// sqlPool is a pool of OpenDB.
type sqlPool struct{ *sql.DB }

// take takes a connection. If the deadline passes because all connections are in use, the
// error says so.
func (p sqlPool) take(ctx context.Context) (rawConn, error) {
	conn, err := p.Conn(ctx)
	if err == nil || ctx.Err() == nil || !errors.Is(err, ctx.Err()) {
		return rawConn{sql: conn}, err
	}
	if stats := p.Stats(); stats.MaxOpenConnections > 0 && stats.InUse >= stats.MaxOpenConnections {
		err = allInUse(stats.InUse, err)
	}
	return rawConn{}, err
}

// sqlPools returns the pools of a pool of OpenDB.
func sqlPools(pool *sql.DB) pools {
	gate, source := newGate(pool.Stats().MaxOpenConnections), sqlPool{pool}
	return pools{write: source, read: source, sql: pool, writers: gate, readers: gate}
}

// newGate returns the queue for a pool of n connections, or nil if there is no limit.
func newGate(n int) *admission.Gate {
	if n < 1 {
		return nil
	}
	return admission.NewGate(admission.Config{Places: n, Queue: 64 + 4*n, Wait: connWait, Stretch: true})
}

func allInUse(n int, err error) error {
	return fmt.Errorf("waiting for a connection while all %d were in use (see DBConfig.MaxConns; does a loop over Each hold one, or a transaction whose context was not passed on?): %w", n, err)
}

func (l *lease) release() {
	if l.spent {
		l.discard()
	}
	l.conn.Close()
	if l.gate != nil {
		l.gate.Leave()
	}
}

// discard closes the connection instead of returning it to the pool.
func (l *lease) discard() {
	l.conn.Raw(func(any) error { return driver.ErrBadConn })
}

// spend makes release close the connection.
func (db *DB) spend(l *lease) {
	l.spent = true
	l.conn.Raw(func(raw any) error {
		if conn, err := dbconn.Of(raw); err == nil {
			l.spent = !db.onlyConn(context.Background(), conn)
		}
		return nil
	})
}

// do calls f with the connection. It closes a connection of lib/pq after an error
// that the server did not report: lib/pq can lose its position in the stream without
// noticing. Our own connections check that themselves.
func (l *lease) do(f func(dbconn.Conn) error) error {
	distrusted := false
	err := l.conn.Raw(func(raw any) error {
		conn, err := dbconn.Of(raw)
		if err != nil {
			return notFromDatabase{err}
		}
		err = f(conn)
		distrusted = err != nil && l.engine == Postgres && dbconn.Foreign(conn) && !fromProgram(err) && !classify(err).Answered
		return err
	})
	if distrusted {
		l.discard()
	}
	return err
}

// badConns is how many lost connections a statement is tried on. Pools check a
// connection before they hand it out, so only one that dies after that counts.
const badConns = 3

// onConn performs work with a statement on a connection from a pool. It performs it
// again on another connection if nothing was sent, or if the connection was lost in the
// middle of a statement that only reads, before its first row.
func (db *DB) onConn(ctx context.Context, s *statement.Statement, work work) error {
	for try := 1; ; try++ {
		connected, err := db.tryConn(ctx, s, work)
		// Not errors.Is: only the bare error says that nothing was sent.
		unsent := err == driver.ErrBadConn && !db.doubtful
		again := unsent || connected && s.Repeats() && lost(err) && ctx.Err() == nil
		if !again || try == badConns {
			return err
		}
	}
}

// lost reports whether an error of a driver says that the connection was lost.
func lost(err error) bool {
	if err == nil {
		return false
	}
	var done *DBError // after the first row
	return !errors.As(err, &done) && !fromProgram(err) && (errors.Is(err, pgconn.ErrConnectionLost) || dberr.Lost(err))
}

func (db *DB) tryConn(ctx context.Context, s *statement.Statement, work work) (connected bool, err error) {
	lease, err := db.acquire(ctx, !s.Reads())
	if err != nil {
		return false, err
	}
	defer lease.release()
	return true, lease.do(func(conn dbconn.Conn) error {
		switch {
		case s.Session() != sqltext.SessionKept:
			return db.inSession(ctx, &lease.spent, conn, s, work)
		case db.file != nil && !s.Reads():
			return db.inFile(ctx, conn, s, work)
		}
		return work(ctx, conn, s)
	})
}

// bound returns ctx with a deadline.
func (db *DB) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, db.config.Timeout)
}

// result returns the error for the program: failure's, or the program's own.
func (db *DB) result(ctx context.Context, query string, err error) error {
	if program, ok := errors.AsType[notFromDatabase](err); ok {
		return program.error
	}
	return db.failure(ctx, query, err)
}

// TxMode says what a transaction may do.
type TxMode uint8

const (
	// ReadWrite has the default isolation of the engine: read committed on
	// PostgreSQL, repeatable read on MySQL, serializable on SQLite.
	ReadWrite TxMode = iota
	// ReadOnly may not write. All its queries see the same state of the database.
	// On SQLite it runs at the same time as the writer.
	ReadOnly
	// Serializable has the effect of transactions that run one after the other.
	// Such transactions are retried more often than ReadWrite ones.
	Serializable
)

// beginWords has the statements that begin a transaction of each mode. The last one
// begins it, the others prepare that.
var beginWords = map[Engine][3][]string{
	Postgres: {{"BEGIN"}, {"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"}, {"BEGIN ISOLATION LEVEL SERIALIZABLE"}},
	SQLite:   {{"BEGIN IMMEDIATE"}, {"BEGIN"}, {"BEGIN IMMEDIATE"}},
	MySQL: {{"START TRANSACTION"},
		{"SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"},
		{"SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", "START TRANSACTION"}},
}

// dbTx is one try of a transaction on its connection.
type dbTx struct {
	db    *DB
	mode  TxMode
	lease *lease // own, but for a migration, which has a lease for all its transactions
	own   lease

	mu         sync.Mutex // one statement at a time
	savepoints int        // how many were set, for their names
}

// take takes a connection and begins the transaction on it.
func (tx *dbTx) take(ctx context.Context) (err error) {
	tx.lease = &tx.own
	for try := 1; ; try++ {
		if tx.own, err = tx.db.acquire(ctx, tx.mode != ReadOnly); err != nil {
			return err
		}
		if err = tx.begin(ctx); err == nil {
			return nil
		}
		if err != driver.ErrBadConn && !fromProgram(err) { // the transaction may have begun
			tx.lease.discard()
		}
		tx.lease.release()
		if err != driver.ErrBadConn || try == badConns {
			return err
		}
	}
}

// begin begins the transaction on its connection.
func (tx *dbTx) begin(ctx context.Context) error {
	return tx.lease.do(func(conn dbconn.Conn) error {
		if tx.mode != ReadOnly && tx.db.file != nil {
			if err := dbconn.Opened(conn, tx.db.file); err != nil {
				return notFromDatabase{(&Error{Code: Unavailable}).Wrap(err)}
			}
		}
		words := beginWords[tx.db.engine][tx.mode]
		for _, setup := range words[:len(words)-1] {
			if _, err := conn.ExecContext(ctx, setup, nil); err != nil {
				return err
			}
		}
		return conn.StartTx(ctx, words[len(words)-1])
	})
}

// commit returns an error that wraps ErrCommitUnknown unless it is certain that
// nothing was committed.
func (tx *dbTx) commit(ctx context.Context) error {
	certain := true // also if f has recovered from a panic in a query, which spoils the connection
	err := tx.lease.do(func(conn dbconn.Conn) error {
		if err := tx.intact(conn, true); err != nil {
			return err
		}
		certain = false
		err := conn.Commit(ctx)
		if err == nil {
			return tx.intact(conn, true)
		}
		if _, ours := conn.(*pgconn.Conn); ours {
			certain = !errors.Is(err, pgconn.ErrCommitUnknown)
		} else {
			// Only lib/pq, in a pool of OpenDB, reports ErrBadConn after it has sent
			// something.
			certain = refused(err) || err == driver.ErrBadConn && tx.db.engine != Postgres
		}
		return err
	})
	if err == nil {
		return nil
	}
	err = tx.db.result(ctx, "", err)
	if certain {
		tx.rollback(ctx) // SQLite keeps the transaction open
		return err
	}
	tx.lease.discard()
	return commitUnknown(err)
}

func (tx *dbTx) intact(conn dbconn.Conn, used bool) error {
	if tx.mode == ReadOnly {
		return nil
	}
	return tx.db.intact(conn, used)
}

// refused reports whether the engine answered that it did not commit. A killed
// connection or a failed disk may be reported after the commit, but not a full disk.
func refused(err error) bool {
	info := classify(err)
	return info.Answered && info.Kind != dberr.Unavailable && info.Kind != dberr.Timeout || dberr.Unwritten(err)
}

// rollback rolls the transaction back. If that fails it closes the connection, which
// rolls back as well.
func (tx *dbTx) rollback(ctx context.Context) {
	if ctx.Err() != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), rollbackTime)
		defer cancel()
	}
	err := tx.lease.conn.Raw(func(raw any) error {
		conn, err := dbconn.Of(raw)
		if err != nil {
			return err
		}
		// A connection of pgconn is not valid within a transaction: nobody may get it
		// from a pool then. It knows by itself whether it can roll back.
		if _, ours := conn.(*pgconn.Conn); !ours && !dbconn.Valid(raw) {
			return driver.ErrBadConn
		}
		return conn.Rollback(ctx)
	})
	if err != nil {
		tx.lease.discard()
	}
}

const (
	// txTries is how often a transaction runs that loses against others.
	txTries = 10
	// rollbackTime is how long a rollback may take after the context of the
	// transaction has ended. A connection that takes longer is closed.
	rollbackTime = 100 * time.Millisecond
)

// pause waits a random time before the next try, longer after each. It returns false
// if ctx has ended.
func pause(ctx context.Context, try int) bool {
	if ctx.Err() != nil {
		return false
	}
	limit := min(time.Millisecond<<try, 250*time.Millisecond)
	timer := time.NewTimer(rand.N(limit))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
