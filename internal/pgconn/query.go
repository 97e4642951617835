package pgconn

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/lib/pq/oid"

	"github.com/seed-215b9b7c/backend/internal/english"
	"github.com/seed-215b9b7c/backend/internal/stmtcache"
)

// background cannot end. lib/pq gets it so that it watches no context.
var background = context.Background()

// pqStmt has the methods of lib/pq's prepared statement that this package uses. The
// statement for COPY does not have all of them.
type pqStmt interface {
	driver.Stmt
	driver.StmtQueryContext
	driver.StmtExecContext
}

// prepared is a statement that the connection keeps.
type prepared struct {
	pqStmt
	at       time.Time
	params   []oid.Oid // the types that the parameters had at that time
	utc      bool      // the time zone of the session is UTC
	integers []integer
	writes   bool
	assigned []bool // which parameters it only assigns; nil if it does not write
}

type entry = stmtcache.Entry[prepared]

// QueryContext runs a statement and returns its rows, a *[Rows], which must be
// closed or read to the end before the connection is used again. ctx bounds the
// reading of the rows, too. Placeholders are $1, $2, …; args must have passed
// [Conn.CheckNamedValue].
//
// Several statements in one text are possible without arguments only.
func (c *Conn) QueryContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Rows, error) {
	return c.rowsOf(ctx, text, args, len(args) > 0)
}

func (c *Conn) rowsOf(ctx context.Context, text string, args []driver.NamedValue, keep bool) (driver.Rows, error) {
	fitted, values, changed, err := c.fitted(ctx, text, args)
	if err != nil {
		return nil, err
	}
	rows, err := c.query(ctx, fitted, values, keep)
	if c.canRepeat(err) {
		rows, err = c.query(ctx, fitted, values, keep)
	}
	if changed && err != nil {
		var again bool
		if err, again = c.mistaken(text, err); again {
			rows, err = c.query(ctx, text, args, keep)
		}
	}
	if err != nil {
		return nil, visible(err)
	}
	return rows, nil
}

// ExecContext runs a statement, or without arguments several, and returns how
// many rows the last one affected. Otherwise it is as [Conn.QueryContext].
func (c *Conn) ExecContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Result, error) {
	return c.execute(ctx, text, args, len(args) > 0)
}

func (c *Conn) execute(ctx context.Context, text string, args []driver.NamedValue, keep bool) (driver.Result, error) {
	fitted, values, changed, err := c.fitted(ctx, text, args)
	if err != nil {
		return nil, err
	}
	result, err := c.execOnce(ctx, fitted, values, keep)
	if c.canRepeat(err) {
		result, err = c.execOnce(ctx, fitted, values, keep)
	}
	if changed && err != nil {
		var again bool
		if err, again = c.mistaken(text, err); again {
			result, err = c.execOnce(ctx, text, args, keep)
		}
	}
	if err != nil {
		return nil, visible(err)
	}
	return result, nil
}

// canRepeat reports whether a statement failed because its prepared statement is
// outdated, and can be run again. It cannot inside a transaction, which has failed, too.
func (c *Conn) canRepeat(err error) bool {
	if err == nil {
		return false
	}
	_, stale := errors.AsType[*staleError](err)
	_, doubtful := errors.AsType[*doubtfulError](err)
	return (stale || doubtful) && !c.bad && !c.inTransaction()
}

// visible removes the wrapper that only canRepeat needs.
func visible(err error) error {
	if doubtful, ok := err.(*doubtfulError); ok {
		return doubtful.cause
	}
	return err
}

// doubtfulError marks an error that may come from an outdated statement, or from
// a wrong argument. It does not leave the package.
type doubtfulError struct{ cause error }

func (e *doubtfulError) Error() string { return e.cause.Error() }
func (e *doubtfulError) Unwrap() error { return e.cause }

// query runs a statement once: by a kept prepared statement if keep is set and
// the connection keeps any.
func (c *Conn) query(ctx context.Context, text string, args []driver.NamedValue, keep bool) (*Rows, error) {
	x, err := c.startExecution(ctx, text, args, keep)
	if err != nil {
		return nil, err
	}
	var rows driver.Rows
	if x.anew {
		rows, err = c.queryText(x.text, x.args)
	} else {
		rows, err = x.entry.Stmt.query(x.args)
	}
	c.changesTypes(text, args)
	return c.opened(rows, x.entry, c.judge(x, err))
}

// opened returns the rows of a statement, or ends the operation with err.
func (c *Conn) opened(rows driver.Rows, e *entry, err error) (*Rows, error) {
	var own pqRows
	if err == nil {
		var ok bool
		if own, ok = rows.(pqRows); !ok {
			err = fmt.Errorf("lib/pq returned %s, which lacks methods of the version this package was written for", english.AType(rows))
		}
	}
	if err != nil {
		_ = c.release(e) // what goes wrong here breaks the connection, and end sees it
		return nil, c.end(err, false)
	}
	c.rows = &Rows{conn: c, inner: own, entry: e}
	return c.rows, nil
}

// execOnce is query for statements without rows.
func (c *Conn) execOnce(ctx context.Context, text string, args []driver.NamedValue, keep bool) (driver.Result, error) {
	x, err := c.startExecution(ctx, text, args, keep)
	if err != nil {
		return nil, err
	}
	var result driver.Result
	if x.anew {
		result, err = c.execText(x.text, x.args)
	} else {
		result, err = x.entry.Stmt.exec(x.args)
	}
	c.changesTypes(text, args)
	err = c.judge(x, err)
	if released := c.release(x.entry); err == nil {
		err = released
	}
	return result, c.end(err, false)
}

// execution is one execution of a statement.
type execution struct {
	entry  *entry // nil if the statement is not kept
	kept   bool   // it was prepared by an earlier use
	anew   bool   // the text is sent, which the server analyzes anew; see mustAnalyze
	recast bool   // the text is another one; see fit
	text   string
	args   []driver.NamedValue
}

// startExecution begins the operation of a statement, and does all that precedes its
// execution. After an error the operation has ended.
func (c *Conn) startExecution(ctx context.Context, text string, args []driver.NamedValue, keep bool) (execution, error) {
	if err := c.check(text, args, keep); err != nil {
		return execution{}, err
	}
	if !keep || !c.keeps(text) {
		args, err := c.typed(ctx, text, args)
		if err == nil {
			err = c.begin(ctx, true)
		}
		return execution{anew: true, text: text, args: args}, err
	}
	if err := c.begin(ctx, true); err != nil {
		return execution{}, err
	}
	e, kept, err := c.statement(text, args)
	if err != nil {
		return execution{}, c.end(err, true)
	}
	if e == nil {
		if err := c.end(nil, true); err != nil {
			return execution{}, err
		}
		return c.startExecution(ctx, text, args, false)
	}
	if err := e.Stmt.checkArgs(args); err != nil {
		return execution{}, c.unused(e, err)
	}
	text, args, recast := fit(text, e.Stmt.integers, args)
	c.wire.mark()
	return execution{
		entry: e, kept: kept,
		anew: recast || e.Stmt.mustAnalyze(args), recast: recast,
		text: text, args: e.Stmt.forms(args),
	}, nil
}

// check returns an error for statements that cannot be sent. A NUL ends the text in the
// protocol, and the rest would be read as another field. If a COPY is prepared, lib/pq
// starts it.
func (c *Conn) check(text string, args []driver.NamedValue, prepare bool) error {
	if strings.IndexByte(text, 0) >= 0 {
		return errors.New("the statement holds a NUL byte")
	}
	if start := strings.TrimLeft(text, " \t\r\n"); prepare && len(start) >= 4 && strings.EqualFold(start[:4], "COPY") {
		return errCopy
	}
	return checkArgs(args)
}

var errCopy = errors.New("COPY is not supported on this connection")

// keeps reports whether a statement of this text is kept once it is prepared.
func (c *Conn) keeps(text string) bool {
	return c.cache != nil && len(text) <= maxCachedText
}

// statement returns the prepared statement for text and arguments, in use: kept from
// before, or prepared now in a round trip of its own. It executes nothing. It returns nil if
// the types of the parameters are unknown: the connection then keeps no more statements.
func (c *Conn) statement(text string, args []driver.NamedValue) (e *entry, kept bool, err error) {
	if types := c.connector.types.Load(); types != c.types {
		c.types, c.forgotten = types, true
		c.cache.Forget()
	}
	if e := c.cache.Acquire(text); e != nil {
		if !e.Stmt.isOutdated(args) {
			return e, true, nil
		}
		if err := errors.Join(c.cache.Remove(e), c.release(e)); err != nil {
			return nil, false, err
		}
	}
	if c.forgotten {
		if _, err := c.exec("DEALLOCATE ALL"); err != nil {
			return nil, false, err
		}
		c.forgotten = false
	}
	stmt, err := c.prepare(text)
	if err != nil {
		return nil, false, err
	}
	params, known := paramsOf(stmt)
	if !known {
		c.cache = nil
		return nil, false, prepared{pqStmt: stmt}.Close()
	}
	e, err = c.cache.Add(text, newPrepared(stmt, text, params, c.connector.utc))
	if err != nil {
		_ = c.release(e)
		return nil, false, err
	}
	return e, false, nil
}

// judge examines the error of an execution. If the statement was kept and may be
// outdated, judge drops it, and returns an error that tells canRepeat so.
func (c *Conn) judge(x execution, err error) error {
	if x.recast {
		return c.judgeUnfit(x.entry, err)
	}
	answer := serverError(err)
	if answer == nil || !x.kept {
		return err
	}
	how := howOutdated(answer)
	if x.anew {
		how = howOutdatedForm(answer, x.args)
	}
	switch how {
	case likelyOutdated:
		// Other statements on the same table are outdated, too, and each would fail a
		// transaction once more. One message closes all of them, when the next statement
		// is prepared.
		c.cache.Forget()
		c.forgotten = true
		return &staleError{err}
	case maybeOutdated:
		if closing := c.cache.Remove(x.entry); closing != nil {
			return closing
		}
		return &doubtfulError{err}
	}
	return err
}

// release ends the use of a statement, nil meaning none.
func (c *Conn) release(e *entry) error {
	if e == nil || c.bad || c.wire.err != nil {
		return nil
	}
	return c.cache.Release(e)
}

// unused ends an operation that failed before its statement ran.
func (c *Conn) unused(e *entry, refusal error) error {
	if err := c.end(c.release(e), true); err != nil {
		return err
	}
	return refusal
}

// What follows calls lib/pq.

func (c *Conn) queryText(text string, args []driver.NamedValue) (rows driver.Rows, err error) {
	defer rescue(&err)
	return c.inner.QueryContext(background, text, args)
}

func (c *Conn) execText(text string, args []driver.NamedValue) (result driver.Result, err error) {
	defer rescue(&err)
	return c.inner.ExecContext(background, text, args)
}

func (c *Conn) exec(text string) (driver.Result, error) {
	return c.execText(text, nil)
}

func (c *Conn) prepare(text string) (stmt pqStmt, err error) {
	defer rescue(&err)
	made, err := c.inner.PrepareContext(background, text)
	if err != nil {
		return nil, err
	}
	stmt, ok := made.(pqStmt)
	if !ok {
		return nil, errCopy
	}
	return stmt, nil
}

// Close closes the statement on the server, for the cache.
func (p prepared) Close() (err error) {
	defer rescue(&err)
	return p.pqStmt.Close()
}

func (p prepared) query(args []driver.NamedValue) (rows driver.Rows, err error) {
	defer rescue(&err)
	return p.pqStmt.QueryContext(background, args)
}

func (p prepared) exec(args []driver.NamedValue) (result driver.Result, err error) {
	defer rescue(&err)
	return p.pqStmt.ExecContext(background, args)
}
