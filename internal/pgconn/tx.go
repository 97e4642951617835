package pgconn

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"strings"

	"github.com/seed-215b9b7c/backend/internal/sqltext"
)

// StartTx begins a transaction by the given statement, such as
// "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY". It sends nothing: the statement travels
// with the first one of the transaction, in one round trip if that is a kept one, or one
// SELECT, INSERT, UPDATE, DELETE, MERGE, VALUES or WITH. If the server refuses to begin the
// transaction, the first statement returns that error and is not executed. If the connection
// is lost by then, the first statement returns [ErrTxNotBegun].
func (c *Conn) StartTx(ctx context.Context, begin string) error {
	switch {
	case c.bad:
		return driver.ErrBadConn
	case c.inTransaction():
		return ErrTxOpen
	case c.rows != nil:
		return ErrRowsOpen
	}
	if err := c.check(begin, nil, false); err != nil {
		return err
	}
	if begin != c.lastBegin && sqltext.Controls(sqltext.Postgres, begin) != sqltext.Begins {
		return fmt.Errorf("%q begins no transaction", begin)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	c.unsent, c.lastBegin = begin, begin
	c.inTx, c.readOnly = true, strings.Contains(strings.ToUpper(begin), "READ ONLY")
	return nil
}

// compose begins the messages of an exchange, with a BEGIN that was not sent yet. If the
// server refuses it, it skips all other messages of the exchange, up to the Sync.
func (c *Conn) compose() {
	c.out = c.out[:0]
	if c.unsent == "" {
		return
	}
	c.out = appendParse(c.out, "", c.unsent)
	c.out = appendExecute(appendBind(c.out, "", nil, textResults))
	c.unsent, c.beginning, c.fresh = "", true, true
}

// transmit sends an exchange that was begun with compose, and reads the answer to BEGIN.
func (c *Conn) transmit() error {
	if err := c.send(); err != nil || !c.beginning {
		return err
	}
	for _, kind := range []byte("12") {
		if _, err := c.expect(kind, c.lastBegin); err != nil {
			return err
		}
	}
	body, err := c.expect('C', c.lastBegin)
	if err != nil {
		return err
	}
	c.beginning = false
	done, err := readTag(body)
	if err == nil && done.word != "BEGIN" && done.word != "START TRANSACTION" {
		err = malformed("%q instead of BEGIN", done.word)
	}
	return err
}

// sendBegin begins a transaction in a round trip of its own.
func (c *Conn) sendBegin() error {
	c.compose()
	c.out = appendSync(c.out)
	err := c.transmit()
	if err != nil {
		return err
	}
	if err := c.becomeReady(c.lastBegin); err != nil {
		return err
	}
	if c.status != statusInTx {
		return malformed("%q began no transaction", c.lastBegin)
	}
	return nil
}

// begun notes the end of an operation with err. The transaction was begun by an operation
// that has succeeded, or failed after that.
func (c *Conn) begun(err error) error {
	answered := err == nil || serverError(err) != nil
	if c.beginning && answered {
		c.inTx, c.readOnly = false, false // the server has refused
	}
	if c.fresh && err == nil && c.status != statusInTx {
		err = malformed("%q began no transaction", c.lastBegin)
	}
	if answered {
		c.beginning, c.fresh = false, false
	}
	return err
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
	if over, err := c.startEnd(ctx); over || err != nil {
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
	if over, err := c.startEnd(ctx); over || err != nil {
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

// startEnd starts the operation that ends a transaction. The transaction is over at once if
// nothing of it was sent.
func (c *Conn) startEnd(ctx context.Context) (over bool, err error) {
	switch {
	case c.bad, c.rows != nil:
	case !c.inTransaction():
		c.inTx, c.readOnly = false, false // a ROLLBACK by other means has ended it
		return false, ErrNoTx
	case c.unsent != "":
		if err := ctx.Err(); err != nil {
			return false, err
		}
		c.unsent, c.inTx, c.readOnly = "", false, false
		return true, nil
	}
	return false, c.begin(ctx, false)
}

// tx is a transaction begun through database/sql, whose Commit and Rollback have
// no context.
type tx struct {
	conn *Conn
	ctx  context.Context
}

// startNow sends the BEGIN of StartTx. If the connection is dead, the error is
// [driver.ErrBadConn]: nothing was done.
func (c *Conn) startNow(ctx context.Context) error {
	if err := c.begin(ctx, false); err != nil {
		return err
	}
	err := c.sendBegin()
	c.beginning, c.fresh = false, false
	if err = c.end(err, true); err != nil {
		c.inTx, c.readOnly = false, false
	}
	return err
}

// BeginTx begins a transaction for database/sql, in one round trip: database/sql then tries
// another connection if this one is dead. The context bounds the whole
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
	if err := c.startNow(ctx); err != nil {
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
