package pgconn

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"strings"
)

// StartTx begins a transaction by the given statement, such as
// "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", in one round trip. If the
// connection is dead, the error is [driver.ErrBadConn]: nothing was done, so begin the
// transaction on another connection.
func (c *Conn) StartTx(ctx context.Context, begin string) error {
	if !c.bad && c.inTransaction() {
		return ErrTxOpen
	}
	if err := c.check(begin, nil, false); err != nil {
		return err
	}
	if err := c.begin(ctx, false); err != nil {
		return err
	}
	_, err := c.simple(begin)
	if err := c.end(err, true); err != nil {
		return err
	}
	if c.status != statusInTx {
		return fmt.Errorf("%q began no transaction", begin)
	}
	c.inTx, c.readOnly = true, strings.Contains(strings.ToUpper(begin), "READ ONLY")
	return nil
}

// Commit commits the transaction, in one round trip. Its errors say what the outcome
// is:
//
//   - an error of the server (*[pq.Error]), such as a serialization failure or a
//     violated deferred constraint, [ErrTxAborted], [ErrConnectionLost] or
//     [driver.ErrBadConn]: certainly not committed;
//   - [ErrCommitUnknown], which wraps the cause: unknown. Do not simply run the
//     transaction again.
//   - the context's error alone: COMMIT was not sent and the transaction is open.
//
// The end of the context does not cancel a COMMIT that was sent: a server that waits for
// its standbys would then confirm a commit that they may not have.
func (c *Conn) Commit(ctx context.Context) error {
	if err := c.startEnd(ctx); err != nil {
		return err
	}
	done, err := c.simple("COMMIT")
	return c.committed(done, err)
}

// committed ends the operation of a COMMIT.
func (c *Conn) committed(done tag, err error) error {
	sent := c.wire.sent > 0
	// The server reports it as a success if it rolls back because the transaction has failed.
	aborted := err == nil && done.word == "ROLLBACK"
	if err == nil && !aborted && (done.word != "COMMIT" || c.status != statusIdle) {
		err = malformed("%q instead of COMMIT", done.word)
	}
	result := c.end(err, false)
	if c.changed {
		c.connector.types.Add(1)
	}
	c.inTx, c.readOnly, c.changed = false, false, false
	switch {
	case aborted:
		return ErrTxAborted
	case err == nil:
		return nil
	case serverError(err) != nil && !serverError(err).Fatal():
		return result
	case !sent:
		return lost(result)
	}
	return fmt.Errorf("%w: %w", ErrCommitUnknown, result)
}

// Rollback rolls back the transaction, in one round trip. [driver.ErrBadConn] and
// [ErrConnectionLost] mean that the connection is lost, and the transaction with it: it
// is also rolled back. If the context ended before the call, nothing is sent and the
// transaction stays open.
func (c *Conn) Rollback(ctx context.Context) error {
	if err := c.startEnd(ctx); err != nil {
		return err
	}
	_, err := c.simple("ROLLBACK")
	if err == nil && c.status != statusIdle {
		err = malformed("no end of the transaction")
	}
	err = c.end(err, false)
	c.inTx, c.readOnly = false, false
	return err
}

// startEnd starts the operation that ends a transaction.
func (c *Conn) startEnd(ctx context.Context) error {
	if !c.bad && c.rows == nil && !c.inTransaction() {
		c.inTx, c.readOnly = false, false // a ROLLBACK by other means has ended it
		return ErrNoTx
	}
	return c.begin(ctx, false)
}

// tx is a transaction begun through database/sql, whose Commit and Rollback have
// no context.
type tx struct {
	conn *Conn
	ctx  context.Context
}

// BeginTx begins a transaction for database/sql. The context bounds the whole
// transaction, including its end. Without an isolation level and ReadOnly, the defaults
// of the server apply.
func (c *Conn) BeginTx(ctx context.Context, options driver.TxOptions) (driver.Tx, error) {
	level, err := isolation(sql.IsolationLevel(options.Isolation))
	if err != nil {
		return nil, err
	}
	begin := "BEGIN" + level
	if options.ReadOnly {
		begin += " READ ONLY"
	}
	if err := c.StartTx(ctx, begin); err != nil {
		return nil, err
	}
	return &tx{conn: c, ctx: ctx}, nil
}

func (t *tx) Commit() error {
	return t.conn.Commit(t.ctx)
}

// Rollback is also called because the context has ended. It then has 100 ms and the usual
// grace. A rollback that takes longer closes the connection, which rolls back as well.
func (t *tx) Rollback() error {
	timeout := cleanupTimeout
	ctx := t.ctx
	if ctx.Err() != nil {
		ctx, timeout = context.WithoutCancel(ctx), grace
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return t.conn.Rollback(ctx)
}
