package backend

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strconv"

	"github.com/seed-215b9b7c/backend/internal/dbconn"
	"github.com/seed-215b9b7c/backend/internal/dberr"
	"github.com/seed-215b9b7c/backend/internal/lazyctx"
	"github.com/seed-215b9b7c/backend/internal/migration"
	"github.com/seed-215b9b7c/backend/internal/pgconn"
	"github.com/seed-215b9b7c/backend/internal/sqltext"
	"github.com/seed-215b9b7c/backend/internal/statement"
)

// Tx runs f in a transaction. It commits if f returns nil, and rolls back if f returns
// an error, panics or ends its goroutine. Queries of f with its context, on db, are
// part of the transaction. The context is invalid after f has returned.
//
//   - A Tx inside a Tx is a savepoint. Its error undoes only its own queries, and the
//     outer transaction continues.
//   - An error of the database inside f undoes the transaction or the savepoint. Later
//     queries in it fail, and Tx returns the error even if f does not. This makes all
//     engines behave alike.
//   - If the transaction loses against another one (a serialization failure or a
//     deadlock), Tx runs f again, up to 10 times with growing pauses until ctx ends.
//     So f must not change anything outside the database; do that after Tx or in
//     [AfterCommit]. On PostgreSQL, f also runs again, up to three times in all, if the
//     connection was lost before the transaction had begun, which it does with its first
//     query.
//   - If the connection is lost during COMMIT, the error wraps [ErrCommitUnknown].
//
// On MySQL, a statement that changes tables commits the transaction; see
// [DB.Migrate].
//
// The mode defaults to [ReadWrite]. A nested Tx may not ask for more than the outer
// one has. The transaction ends with the deadline of ctx, or after DBConfig.Timeout if
// it has none.
func (db *DB) Tx(ctx context.Context, f func(ctx context.Context) error, mode ...TxMode) error {
	m, err := oneMode(mode)
	if err != nil {
		return err
	}
	if outer := db.scope(ctx); outer != nil {
		return outer.nested(ctx, f, m)
	}
	bounded, cancel := db.bound(ctx)
	defer cancel()
	for try := 1; ; try++ {
		hooks, err := db.tryTx(bounded, f, m)
		callHooks(ctx, hooks) // the connection is back in its pool
		tries := txTries
		if errors.Is(err, pgconn.ErrTxNotBegun) {
			tries = badConns
		} else if err == nil || !retryable(err) || errors.Is(err, ErrCommitUnknown) {
			return err
		}
		if try == tries || !pause(bounded, try) {
			return err
		}
	}
}

// callHooks calls all hooks, even if one of them ends the goroutine. If ctx is in a
// transaction of another database, they wait for its commit.
func callHooks(ctx context.Context, hooks []func(context.Context)) {
	if len(hooks) == 0 {
		return
	}
	defer callHooks(ctx, hooks[1:])
	AfterCommit(ctx, hooks[0])
}

// runHook calls a function of AfterCommit and logs its panic. The panic must not become
// the answer, since what was done before the function is committed.
func runHook(ctx context.Context, hook func(context.Context)) {
	defer func() {
		value := recover()
		if value == nil {
			return
		}
		err := &panicError{value, debug.Stack()}
		attrs := []slog.Attr{slog.Any("error", err), slog.String("request_id", RequestIDFrom(ctx))}
		loggerFrom(ctx).LogAttrs(ctx, slog.LevelError, "a function of AfterCommit panicked", appendStack(attrs, err)...)
	}()
	hook(ctx)
}

func oneMode(mode []TxMode) (TxMode, error) {
	switch {
	case len(mode) == 0:
		return ReadWrite, nil
	case len(mode) > 1:
		return 0, fmt.Errorf("transaction: %d modes were given; give one at most", len(mode))
	case mode[0] > Serializable:
		return 0, fmt.Errorf("transaction: there is no mode %d; use ReadWrite, ReadOnly or Serializable", mode[0])
	}
	return mode[0], nil
}

// AfterCommit calls f after the outermost transaction of ctx has committed. Without a
// transaction it calls f immediately. It does not call f if the transaction, or the
// savepoint of ctx, is rolled back, or if the outcome of the commit is unknown.
//
// The functions run in the order of the calls, on the goroutine that called [DB.Tx],
// before Tx returns, and with the context that Tx was called with. If one of them
// panics, the panic and its stack are written to LogicConfig.Logger, or to
// [slog.Default] outside of operations. The others still run, and Tx returns nil, since
// the transaction has committed. A transaction inside one of another database counts
// as part of that one. A goroutine that calls AfterCommit after the transaction has
// committed runs f immediately.
//
// If the program ends between the commit and f, f does not run. Do in the transaction
// what must not be lost.
func AfterCommit(ctx context.Context, f func(ctx context.Context)) {
	scope, _ := ctx.Value(scopeKey{}).(*txScope)
	switch {
	case scope == nil:
		runHook(ctx, f)
	case scope.addHook(f):
		// ctx belongs to the transaction, and may have ended with it.
		runHook(context.WithValue(context.WithoutCancel(ctx), scopeKey{}, (*txScope)(nil)), f)
	}
}

// addHook stores f to be called after the commit. It returns true if the transaction
// has committed already.
func (s *txScope) addHook(f func(context.Context)) (committed bool) {
	s.tx.mu.Lock()
	defer s.tx.mu.Unlock()
	for s.released {
		s = s.parent
	}
	if !s.undone && !s.committed { // open, or its COMMIT is under way
		s.hooks = append(s.hooks, f)
	}
	return s.committed
}

// txScope is a transaction or a savepoint in it, and the context of its function. The fields
// are protected by the transaction's mutex.
type txScope struct {
	context.Context // that the function gets the values and the end of

	tx     *dbTx
	outer  *txScope // the scope that ctx was in before, maybe of another DB
	parent *txScope // the scope that a savepoint is in
	name   string   // of the savepoint
	nest   *txScope // the savepoint that is open in this scope
	failed error    // the error that undid it
	hooks  []func(context.Context)

	ended     bool // its function has returned
	undone    bool // it is rolled back, or its outcome is unknown
	released  bool // the savepoint was released: its parent has its changes and hooks
	committed bool // the whole transaction is
}

type scopeKey struct{}

// scope returns the scope of this database that ctx is in, or nil.
func (db *DB) scope(ctx context.Context) *txScope {
	scope, _ := ctx.Value(scopeKey{}).(*txScope)
	for scope != nil && scope.tx.db != db {
		scope = scope.outer
	}
	return scope
}

// Value returns the scope itself for its key.
func (s *txScope) Value(key any) any {
	if key == (scopeKey{}) {
		return s
	}
	return s.Context.Value(key)
}

// Lazy returns the context that the scope ends with, if that is one of lazyctx.
func (s *txScope) Lazy() *lazyctx.Context { return lazyctx.Of(s.Context) }

// start makes s a scope of tx in ctx.
func (s *txScope) start(ctx context.Context, tx *dbTx) {
	s.Context, s.tx = ctx, tx
	s.outer, _ = ctx.Value(scopeKey{}).(*txScope)
}

// tryTx runs the transaction once and returns the functions of AfterCommit.
func (db *DB) tryTx(ctx context.Context, f func(context.Context) error, mode TxMode) ([]func(context.Context), error) {
	tx := &rootTx{dbTx: dbTx{db: db, mode: mode}}
	if err := tx.take(ctx); err != nil {
		return nil, db.result(ctx, "", err)
	}
	defer tx.lease.release()
	return tx.do(ctx, f)
}

// rootTx is a transaction and its scope, in one allocation.
type rootTx struct {
	dbTx
	scope txScope
}

// do runs f in the transaction, which has begun, and ends it. It returns the functions
// of AfterCommit.
func (tx *rootTx) do(ctx context.Context, f func(context.Context) error) ([]func(context.Context), error) {
	scope := &tx.scope
	scope.start(ctx, &tx.dbTx)
	returned := false
	defer func() {
		if !returned { // f panicked or ended its goroutine
			scope.end()
			scope.finish(false)
			tx.rollback(ctx)
		}
	}()
	err := f(scope)
	returned = true

	if failed := scope.end(); failed != nil {
		err = undone(failed, err)
	}
	if err == nil {
		err = tx.db.failure(ctx, "", ctx.Err())
	}
	if err != nil {
		tx.rollback(ctx)
	} else {
		err = tx.commit(ctx)
	}
	return scope.finish(err == nil), err
}

// finish stores whether the transaction committed. If so, it returns the functions of
// AfterCommit.
func (s *txScope) finish(committed bool) []func(context.Context) {
	s.tx.mu.Lock()
	defer s.tx.mu.Unlock()
	s.committed, s.undone = committed, !committed
	if !committed {
		return nil
	}
	return s.hooks
}

// undone returns the error of a scope that the error failed has undone, and whose
// function returned err.
func undone(failed, err error) error {
	switch {
	case err == nil:
		return failed
	case errors.Is(err, failed):
		return err
	}
	return fmt.Errorf("%w (the transaction was undone by: %w)", err, failed)
}

// end marks the scope as ended and returns the error that undid it.
func (s *txScope) end() error {
	s.tx.mu.Lock()
	defer s.tx.mu.Unlock()
	return s.endLocked()
}

func (s *txScope) endLocked() error {
	s.ended = true
	if s.nest != nil && s.failed == nil {
		// Only the goroutine that runs it knows whether it succeeds.
		s.failed = errors.New("a nested transaction was still open when the outer function returned; wait for its goroutine")
	}
	return s.failed
}

// outcome reports whether what was done in the scope is undone, or may be, and whether it is
// committed. Neither is so while the transaction is open.
func (s *txScope) outcome() (undone, committed bool) {
	s.tx.mu.Lock()
	defer s.tx.mu.Unlock()
	for s.released {
		s = s.parent
	}
	return s.undone || s.failed != nil, s.committed
}

// over reports whether the scope or an outer one has ended.
func (s *txScope) over() bool {
	for ; s != nil; s = s.parent {
		if s.ended {
			return true
		}
	}
	return false
}

// usable returns an error if the scope cannot run a statement.
func (s *txScope) usable() error {
	switch {
	case s.over():
		return errors.New("the transaction has ended; its context was used after the function returned")
	case s.failed != nil:
		return fmt.Errorf("the transaction was undone by an earlier error: %w", s.failed)
	case s.nest != nil:
		return errors.New("a nested transaction is open; use its context")
	}
	return nil
}

// run runs a statement as part of the transaction.
func (s *txScope) run(ctx context.Context, stmt *statement.Statement, work work) error {
	s.tx.mu.Lock()
	defer s.tx.mu.Unlock()
	if err := s.usable(); err != nil {
		return err
	}
	if s.tx.mode == ReadOnly && s.tx.db.engine == SQLite && !stmt.Reads() {
		return fmt.Errorf("the transaction is read-only: %s", sqltext.Clip(stmt.Query()))
	}
	err := s.tx.db.result(ctx, stmt.Query(), s.tx.lease.do(func(conn dbconn.Conn) error {
		if stmt.Session() != sqltext.SessionKept {
			if s.tx.db.engine == SQLite && migration.SwitchesForeignKeys(stmt.Query()) {
				return notFromDatabase{errForeignKeys}
			}
			return s.tx.db.inSessionOfTx(ctx, &s.tx.lease.spent, conn, stmt, work)
		}
		return work(ctx, conn, stmt)
	}))
	if failed, ok := errors.AsType[*DBError](err); ok && failed.kind == dberr.ReadOnly && s.tx.mode == ReadOnly {
		err = (&Error{Code: Internal}).Wrap(failed) // a mistake of the program
	}
	s.note(err)
	return err
}

var errForeignKeys = errors.New("SQLite ignores PRAGMA foreign_keys within a transaction, so foreign keys would stay as they are;" +
	" use PRAGMA defer_foreign_keys = ON to check them at the commit, or write a migration file, which may switch them off with PRAGMA foreign_keys = OFF")

// note stores an error of the database, which undoes the scope.
func (s *txScope) note(err error) {
	if err == nil || s.failed != nil {
		return
	}
	if _, ok := errors.AsType[*DBError](err); ok {
		s.failed = err
	}
}

// nested runs f in a savepoint.
func (s *txScope) nested(ctx context.Context, f func(context.Context) error, mode TxMode) error {
	if mode != ReadOnly && s.tx.mode == ReadOnly || mode == Serializable && s.tx.mode != Serializable {
		return errors.New("transaction: a nested transaction cannot have a stronger mode than the outer one")
	}
	scope, err := s.open(ctx)
	if err != nil {
		return err
	}
	returned := false
	defer func() {
		if !returned {
			s.close(ctx, scope, false, nil)
		}
	}()
	err = f(scope)
	returned = true
	return s.close(ctx, scope, err == nil, err)
}

// open sets a savepoint.
func (s *txScope) open(ctx context.Context) (*txScope, error) {
	s.tx.mu.Lock()
	defer s.tx.mu.Unlock()
	if err := s.usable(); err != nil {
		return nil, err
	}
	s.tx.savepoints++
	name := "backend_" + strconv.Itoa(s.tx.savepoints)
	if err := s.exec(ctx, "SAVEPOINT "+name); err != nil {
		return nil, err
	}
	scope := &txScope{parent: s, name: name}
	scope.start(ctx, s.tx)
	s.nest = scope
	return scope, nil
}

// close releases or undoes the savepoint of scope, and returns the error of the
// nested transaction.
func (s *txScope) close(ctx context.Context, scope *txScope, keep bool, err error) error {
	s.tx.mu.Lock()
	defer s.tx.mu.Unlock()
	s.nest = nil
	if failed := scope.endLocked(); failed != nil {
		keep, err = false, undone(failed, err)
	}
	scope.released, scope.undone = keep, !keep
	switch {
	case s.over(): // it is undone, since scope was open
		return undone(errors.New("the outer transaction ended before this nested one"), err)
	case endsTx(scope.failed): // there is no savepoint to roll back to
		s.failed = scope.failed
	case keep:
		err = s.exec(ctx, "RELEASE SAVEPOINT "+scope.name)
		s.hooks = append(s.hooks, scope.hooks...)
	default:
		if failed := s.exec(ctx, "ROLLBACK TO SAVEPOINT "+scope.name); failed == nil {
			s.exec(ctx, "RELEASE SAVEPOINT "+scope.name)
		}
	}
	return err
}

// exec runs one of our own statements in the scope. Its error undoes the scope. A
// savepoint is undone even if ctx has ended.
func (s *txScope) exec(ctx context.Context, text string) error {
	if ctx.Err() != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), rollbackTime)
		defer cancel()
	}
	err := s.tx.lease.do(func(conn dbconn.Conn) error {
		_, err := conn.ExecContext(ctx, text, nil)
		return err
	})
	err = s.tx.db.result(ctx, text, err)
	s.note(err)
	return err
}
