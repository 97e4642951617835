package pgconn

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/lib/pq/oid"

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
	inputs    int
	intervals []int // the parameters of the type interval
	integers  []integer
	narrow    bool // a parameter is not wide
	at        time.Time
}

func newPrepared(stmt pqStmt) prepared {
	p := prepared{pqStmt: stmt, inputs: stmt.NumInput(), at: time.Now()}
	types := paramsOf(stmt)
	p.integers = integersOf(types)
	for i, t := range types {
		if t == oid.T_interval {
			p.intervals = append(p.intervals, i)
		}
		p.narrow = p.narrow || !wide[t]
	}
	return p
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
	fitted, values, changed, err := c.typed(ctx, text, args)
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
	fitted, values, changed, err := c.typed(ctx, text, args)
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
	if err := c.check(text, args, keep); err != nil {
		return nil, err
	}
	if err := c.begin(ctx, true); err != nil {
		return nil, err
	}
	if !keep || !c.keeps(text) {
		rows, err := c.queryText(text, args)
		c.changesTypes(text, args)
		return c.opened(rows, nil, err)
	}
	e, kept, err := c.statement(text)
	if err != nil {
		return nil, c.end(err, true)
	}
	if err := e.Stmt.checkArgs(args); err != nil {
		return nil, c.unused(e, err)
	}
	recast, args, changed := fit(text, e.Stmt.integers, args)
	c.wire.mark()
	if changed { // which is rare, so that it is not kept
		rows, err := c.queryText(recast, args)
		return c.opened(rows, e, c.judgeUnfit(e, err))
	}
	rows, err := e.Stmt.query(args)
	if err != nil && kept {
		err = c.judge(e, err)
	}
	return c.opened(rows, e, err)
}

// opened returns the rows of a statement, or ends the operation with err.
func (c *Conn) opened(rows driver.Rows, e *entry, err error) (*Rows, error) {
	var own pqRows
	if err == nil {
		var ok bool
		if own, ok = rows.(pqRows); !ok {
			err = fmt.Errorf("lib/pq returned a %T, which lacks methods of the version this package was written for", rows)
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
	if err := c.check(text, args, keep); err != nil {
		return nil, err
	}
	if err := c.begin(ctx, true); err != nil {
		return nil, err
	}
	if !keep || !c.keeps(text) {
		result, err := c.execText(text, args)
		c.changesTypes(text, args)
		return result, c.end(err, false)
	}
	e, kept, err := c.statement(text)
	if err != nil {
		return nil, c.end(err, true)
	}
	if err := e.Stmt.checkArgs(args); err != nil {
		return nil, c.unused(e, err)
	}
	recast, args, changed := fit(text, e.Stmt.integers, args)
	c.wire.mark()
	var result driver.Result
	if changed {
		result, err = c.execText(recast, args)
		err = c.judgeUnfit(e, err)
	} else {
		result, err = e.Stmt.exec(args)
		if err != nil && kept {
			err = c.judge(e, err)
		}
	}
	if released := c.release(e); err == nil {
		err = released
	}
	return result, c.end(err, false)
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

// statement returns the prepared statement for text, in use: kept from before,
// or prepared now in a round trip of its own. It executes nothing.
func (c *Conn) statement(text string) (e *entry, kept bool, err error) {
	if types := c.connector.types.Load(); types != c.types {
		c.types, c.forgotten = types, true
		c.cache.Forget()
	}
	if e := c.cache.Acquire(text); e != nil {
		if !e.Stmt.narrow || time.Since(e.Stmt.at) < narrowAge {
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
	e, err = c.cache.Add(text, newPrepared(stmt))
	if err != nil {
		_ = c.release(e)
		return nil, false, err
	}
	return e, false, nil
}

// A kept statement has the parameter types that its columns had when it was prepared. The
// server never tells when they change: it casts a parameter to the new type, after the old
// one has cut it. So statements are prepared anew after a statement of this connector that
// may have changed types, and those with a narrow parameter also after narrowAge, for what
// others do.
const narrowAge = 5 * time.Second

// changesTypes notes that a statement may have changed the types of columns: now, and again
// when its transaction commits, since others may have prepared statements in between.
func (c *Conn) changesTypes(text string, args []driver.NamedValue) {
	if len(args) == 0 && mayChangeTypes(text) {
		c.connector.types.Add(1)
		c.changed = c.inTransaction()
	}
}

// mayChangeTypes reports whether a text has a word of a statement that changes types.
func mayChangeTypes(text string) bool {
	for i := 0; i+4 <= len(text); i++ {
		switch text[i] | 0x20 {
		case 'a', 'c', 'd':
			for _, word := range [...]string{"alter", "create", "drop", "do"} {
				if len(text) >= i+len(word) && strings.EqualFold(text[i:i+len(word)], word) {
					return true
				}
			}
		}
	}
	return false
}

// judge examines the error of a kept statement. If the statement may be outdated, judge
// drops it, and returns an error that tells canRepeat so.
func (c *Conn) judge(e *entry, err error) error {
	answer := serverError(err)
	if answer == nil {
		return err
	}
	switch howOutdated(answer) {
	case likelyOutdated:
		// Other statements on the same table are outdated, too, and each would fail a
		// transaction once more. One message closes all of them, when the next statement
		// is prepared.
		c.cache.Forget()
		c.forgotten = true
		return &staleError{err}
	case maybeOutdated:
		if closing := c.cache.Remove(e); closing != nil {
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

// checkArgs returns an error for arguments that the statement does not take. A number
// is no interval: the server would read it as seconds, and a time.Duration is a number
// of nanoseconds.
func (p prepared) checkArgs(args []driver.NamedValue) error {
	if len(args) != p.inputs {
		return fmt.Errorf("%d arguments for a statement that takes %d", len(args), p.inputs)
	}
	for _, i := range p.intervals {
		switch args[i].Value.(type) {
		case int64, float64:
			return fmt.Errorf("argument %d is a number, such as a time.Duration, and its parameter an INTERVAL: pass text such as '90 seconds', or store the nanoseconds of a duration as BIGINT", i+1)
		}
	}
	return nil
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
