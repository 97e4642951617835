package pgconn

import (
	"cmp"
	"context"
	"database/sql/driver"
	"errors"
	"strings"
	"time"

	"github.com/lib/pq/oid"

	"github.com/seed-215b9b7c/backend/internal/stmtcache"
)

// prepared is a statement that the connection keeps.
type prepared struct {
	conn    *Conn
	name    string // on the server
	columns *columns
	forms   []byte // of the results, see columns.forms
	inUTC   bool   // the forms are for a session in UTC
	zoned   bool   // they depend on that

	at       time.Time
	params   []oid.Oid // the types that the parameters had at that time
	utc      bool      // the time zone of the session is UTC
	integers []integer
	writes   bool
	assigned []bool // which parameters it only assigns; nil if it does not write
}

type entry = stmtcache.Entry[*prepared]

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
	described, err := c.run(x)
	if err == nil {
		described, err = c.first(x, described)
	}
	c.changesTypes(text, args)
	if err = c.judge(x, err); err != nil {
		_ = c.release(x.entry) // what goes wrong here breaks the connection, and end sees it
		return nil, c.end(err, false)
	}
	c.rows = &Rows{conn: c, columns: described, entry: x.entry}
	return c.rows, nil
}

// first waits for the first row of a statement, or for its end, so that an error before that
// is one of the statement and not of its rows. It returns the description of the rows.
func (c *Conn) first(x execution, described *columns) (*columns, error) {
	for {
		kind, body, err := c.receive()
		if err != nil {
			return nil, unexpectedEnd(err)
		}
		switch {
		case kind == 'D' && described != nil, kind == 'Z':
			c.in.back()
			return cmp.Or(described, &noColumns), nil
		case kind == 'C' && described != nil && len(described.types) > 0:
			return described, nil // the next statement of a text may have rows as well
		case kind == 'C', kind == 'I':
		case kind == 'T' && x.isSimple():
			if described, err = readColumns(body); err != nil {
				return nil, err
			}
		default:
			return nil, c.failed(kind, body, x.reported())
		}
	}
}

// execOnce is query for statements without rows.
func (c *Conn) execOnce(ctx context.Context, text string, args []driver.NamedValue, keep bool) (driver.Result, error) {
	x, err := c.startExecution(ctx, text, args, keep)
	if err != nil {
		return nil, err
	}
	_, err = c.run(x)
	var done tag
	if err == nil {
		done, err = c.result(x.reported())
	}
	c.changesTypes(text, args)
	err = c.judge(x, err)
	if released := c.release(x.entry); err == nil {
		err = released
	}
	if err := c.end(err, false); err != nil {
		return nil, err
	}
	return done.result(), nil
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

// isSimple reports whether the text is sent in the simple protocol, which takes several
// statements.
func (x *execution) isSimple() bool { return x.entry == nil && len(x.args) == 0 }

// reported returns the text to which positions in an error refer.
func (x *execution) reported() string {
	if x.anew {
		return x.text
	}
	return ""
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
	x, err := newExecution(e, kept, text, args)
	if err != nil {
		return execution{}, c.unused(e, err)
	}
	c.wire.mark()
	return x, nil
}

// newExecution returns the execution of a kept statement with arguments.
func newExecution(e *entry, kept bool, text string, args []driver.NamedValue) (execution, error) {
	if err := e.Stmt.checkArgs(args); err != nil {
		return execution{}, err
	}
	text, args, recast := fit(text, e.Stmt.integers, args)
	return execution{
		entry: e, kept: kept,
		anew: recast || e.Stmt.mustAnalyze(args), recast: recast,
		text: text, args: e.Stmt.formsOf(args),
	}, nil
}

// check returns an error for statements that cannot be sent. A NUL ends the text in the
// protocol, and the rest would be read as another field. A COPY cannot be
// prepared, and would be refused after it was sent.
func (c *Conn) check(text string, args []driver.NamedValue, prepare bool) error {
	if strings.IndexByte(text, 0) >= 0 {
		return errors.New("the statement holds a NUL byte")
	}
	if start := strings.TrimLeft(text, " \t\r\n"); prepare && len(start) >= 4 && strings.EqualFold(start[:4], "COPY") {
		return errCopy
	}
	if size(text, args) > maxMessage-64<<20 { // the rest of the messages is shorter
		return errTooLong
	}
	return checkArgs(args)
}

var errCopy = errors.New("COPY is not supported on this connection")

// keeps reports whether a statement of this text is kept once it is prepared.
func (c *Conn) keeps(text string) bool {
	return c.cache != nil && len(text) <= maxCachedText
}

// statement returns the prepared statement for text and arguments, in use: kept from
// before, or prepared now in a round trip of its own. It executes nothing.
func (c *Conn) statement(text string, args []driver.NamedValue) (e *entry, kept bool, err error) {
	c.forgetOld()
	if e := c.cache.Acquire(text); e != nil {
		if !e.Stmt.isOutdated(args) {
			return e, true, nil
		}
		if err := errors.Join(c.cache.Remove(e), c.release(e)); err != nil {
			return nil, false, err
		}
	}
	if err := c.deallocate(); err != nil {
		return nil, false, err
	}
	stmt, err := c.parse(text)
	if err != nil {
		return nil, false, err
	}
	e, err = c.cache.Add(text, stmt)
	if err != nil {
		_ = c.release(e)
		return nil, false, err
	}
	return e, false, nil
}

// forgetOld drops all statements if types may have changed since they were prepared.
func (c *Conn) forgetOld() {
	if types := c.connector.types.Load(); types != c.types {
		c.types, c.forgotten = types, true
		c.cache.Forget()
	}
}

// deallocate closes the statements on the server that were dropped here.
func (c *Conn) deallocate() error {
	if !c.forgotten {
		return nil
	}
	if _, err := c.simple("DEALLOCATE ALL"); err != nil {
		return err
	}
	c.forgotten = false
	return nil
}

// judge examines the error of an execution. If the statement was kept and may be
// outdated, judge drops it, and returns an error that tells canRepeat so.
func (c *Conn) judge(x execution, err error) error {
	if x.recast {
		return c.judgeUnfit(x.entry, err)
	}
	answer := serverError(err)
	if answer == nil || !x.kept || c.beginning { // the error may be one of BEGIN
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
