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

	"github.com/seed-215b9b7c/backend/internal/dbconn"
	"github.com/seed-215b9b7c/backend/internal/dberr"
	"github.com/seed-215b9b7c/backend/internal/pgconn"
	"github.com/seed-215b9b7c/backend/internal/statement"
)

// This file takes connections from the pools, and begins and commits transactions
// on them.

// lease is a connection taken from a pool until release.
type lease struct {
	conn   *sql.Conn
	engine Engine
	writer chan struct{} // the queue to leave, or nil
}

// acquire waits for a connection, as long as ctx lives. SQLite's one writer is
// handed out in the order of asking.
func (db *DB) acquire(ctx context.Context, write bool) (*lease, error) {
	if !write || db.writer == nil {
		conn, err := db.conn(ctx, db.read)
		return &lease{conn: conn, engine: db.engine}, err
	}
	select {
	case db.writer <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for SQLite's writer (is a transaction open whose context was not passed on?): %w", ctx.Err())
	}
	conn, err := db.conn(ctx, db.write)
	if err != nil {
		<-db.writer
	}
	return &lease{conn: conn, engine: db.engine, writer: db.writer}, err
}

// conn takes a connection from a pool. Where that took too long because all
// were in use, the error says so.
func (db *DB) conn(ctx context.Context, pool *sql.DB) (*sql.Conn, error) {
	conn, err := pool.Conn(ctx)
	if err == nil || ctx.Err() == nil || !errors.Is(err, ctx.Err()) {
		return conn, err
	}
	if stats := pool.Stats(); stats.MaxOpenConnections > 0 && stats.InUse >= stats.MaxOpenConnections {
		err = fmt.Errorf("waiting for a connection while all %d were in use (DBConfig.MaxConns; is one held by Each, or by a transaction whose context was not passed on?): %w", stats.InUse, err)
	}
	return nil, err
}

func (l *lease) release() {
	l.conn.Close()
	if l.writer != nil {
		<-l.writer
	}
}

// discard closes the connection itself, so that it does not go back into the
// pool.
func (l *lease) discard() {
	l.conn.Raw(func(any) error { return driver.ErrBadConn })
}

// do calls f with the connection. One to PostgreSQL that was made elsewhere is
// closed after an error that the server did not report: lib/pq can lose its
// place in the stream without noticing. Our own connections look after
// themselves.
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

// badConns is how often a statement is tried on connections that were dead
// already. Pools look for dead connections when they hand one out, so that
// this is about those that die in between.
const badConns = 3

// withConn calls f with a connection from a pool.
func (db *DB) withConn(ctx context.Context, write bool, f func(dbconn.Conn) error) error {
	for try := 1; ; try++ {
		err := db.tryConn(ctx, write, f)
		// Not errors.Is: only the bare error says that nothing was sent.
		if err != driver.ErrBadConn || try == badConns || db.doubtful {
			return err
		}
	}
}

func (db *DB) tryConn(ctx context.Context, write bool, f func(dbconn.Conn) error) error {
	lease, err := db.acquire(ctx, write)
	if err != nil {
		return err
	}
	defer lease.release()
	return lease.do(f)
}

// work executes a statement on a connection, and reads its rows.
type work func(context.Context, dbconn.Conn, *statement.Statement) error

// bound returns ctx with a deadline.
func (db *DB) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, db.config.Timeout)
}

// notFromDatabase marks an error of the program inside a function that talks
// to the database: it says nothing about the connection or the transaction.
type notFromDatabase struct{ error }

func fromProgram(err error) bool {
	_, ok := errors.AsType[notFromDatabase](err)
	return ok
}

// result turns what f returned into what users get.
func (db *DB) result(ctx context.Context, query string, err error) error {
	if program, ok := errors.AsType[notFromDatabase](err); ok {
		return program.error
	}
	return db.failure(ctx, query, err)
}

// TxMode says what a transaction may do.
type TxMode uint8

const (
	// ReadWrite is the engine's own default: read committed on PostgreSQL,
	// repeatable read on MySQL, serializable on SQLite.
	ReadWrite TxMode = iota
	// ReadOnly sees one state of the database from its first query to its
	// last, and may not write. On SQLite it runs beside the writer.
	ReadOnly
	// Serializable is as if transactions ran one after the other. They may
	// have to run again more often than ReadWrite ones.
	Serializable
)

// beginWords are what each engine calls the modes; all but the last statement
// only set up what the last one begins.
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
	lease *lease

	mu         sync.Mutex // one statement at a time
	savepoints int        // how many were set, for their names
}

// begin takes a connection and begins a transaction on it.
func (db *DB) begin(ctx context.Context, mode TxMode) (*dbTx, error) {
	for try := 1; ; try++ {
		lease, err := db.acquire(ctx, mode != ReadOnly)
		if err != nil {
			return nil, err
		}
		tx, err := db.beginOn(ctx, lease, mode)
		if err == nil {
			return tx, nil
		}
		if err != driver.ErrBadConn { // it may be half begun
			lease.discard()
		}
		lease.release()
		if err != driver.ErrBadConn || try == badConns {
			return nil, err
		}
	}
}

// beginOn begins a transaction on a connection.
func (db *DB) beginOn(ctx context.Context, lease *lease, mode TxMode) (*dbTx, error) {
	err := lease.do(func(conn dbconn.Conn) error {
		words := beginWords[db.engine][mode]
		for _, setup := range words[:len(words)-1] {
			if _, err := conn.ExecContext(ctx, setup, nil); err != nil {
				return err
			}
		}
		return conn.StartTx(ctx, words[len(words)-1])
	})
	return &dbTx{db: db, mode: mode, lease: lease}, err
}

// commit returns an error that wraps ErrCommitUnknown unless it is certain that
// nothing was committed.
func (tx *dbTx) commit(ctx context.Context) error {
	certain := false
	err := tx.lease.do(func(conn dbconn.Conn) error {
		err := conn.Commit(ctx)
		if _, ours := conn.(*pgconn.Conn); ours {
			certain = !errors.Is(err, pgconn.ErrCommitUnknown)
		} else if err != nil {
			// lib/pq alone, in a pool made elsewhere, says ErrBadConn even when
			// something was sent.
			certain = refused(err) || err == driver.ErrBadConn && tx.db.engine != Postgres
		}
		return err
	})
	if err == nil {
		return nil
	}
	err = tx.db.failure(ctx, "", err)
	if certain {
		tx.rollback(ctx) // SQLite keeps the transaction open
		return err
	}
	tx.lease.discard()
	return &Error{
		Code:    Timeout,
		Message: "It is not known whether this took effect; check before you try again.",
		cause:   errors.Join(ErrCommitUnknown, err),
	}
}

// refused reports whether err is an engine's refusal to commit. That the
// connection was killed, or the disk failed, may have come after the commit.
func refused(err error) bool {
	info := classify(err)
	return info.Answered && info.Kind != dberr.Unavailable && info.Kind != dberr.Timeout
}

// rollback rolls back, or closes the connection, which does so as well.
func (tx *dbTx) rollback(ctx context.Context) {
	if ctx.Err() != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), rollbackTime)
		defer cancel()
	}
	err := tx.lease.conn.Raw(func(raw any) error {
		if !dbconn.Valid(raw) {
			return driver.ErrBadConn
		}
		conn, err := dbconn.Of(raw)
		if err != nil {
			return err
		}
		return conn.Rollback(ctx)
	})
	if err != nil {
		tx.lease.discard()
	}
}

const (
	// txTries bounds how often a transaction runs that loses against others.
	txTries = 10
	// rollbackTime is how long a rollback may take once the transaction's own
	// context has ended. A connection that needs longer is closed, which rolls
	// back as well.
	rollbackTime = 100 * time.Millisecond
)

// pause waits before try is followed by another one. It reports whether ctx
// still lives.
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
