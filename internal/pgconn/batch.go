package pgconn

import (
	"cmp"
	"context"
	"database/sql/driver"
	"errors"

	"github.com/seed-215b9b7c/backend/internal/dbconn"
)

var _ dbconn.Batcher = (*Conn)(nil)

// batchBytes bounds how much of a batch is sent before its results are read, except for one
// request that is longer by itself. Neither side then waits for the other to read: what was
// sent fits into the buffers of the sockets.
const batchBytes = 16 << 10

// QueryBatch executes the requests in order and calls each with the rows of every one; see
// [dbconn.Batcher]. It takes one round trip for each 16 kB of texts and arguments, and one
// more if statements have to be prepared. With a text that is not a single SELECT, INSERT,
// UPDATE, DELETE, MERGE, VALUES or WITH, and has no arguments, it takes one for each request.
//
// If a prepared statement is outdated, and each was called already, the error is a [Stale]
// one also outside of a transaction: nothing was committed, and the batch can run again.
func (c *Conn) QueryBatch(ctx context.Context, requests []dbconn.Request, each func(i int, rows driver.Rows) error) (done int, err error) {
	if len(requests) == 0 {
		return 0, nil
	}
	for try := 1; ; try++ {
		b := &batch{conn: c, requests: requests, each: each}
		single, err := b.check(ctx)
		switch {
		case err != nil:
			return b.done, err
		case single:
			return dbconn.OneByOne(ctx, c, requests, each)
		}
		if err = b.run(ctx); b.called || try == 2 || !c.canRepeat(err) {
			return b.done, visible(err)
		}
	}
}

// batch is one try of a batch.
type batch struct {
	conn     *Conn
	requests []dbconn.Request
	each     func(i int, rows driver.Rows) error

	texts      []execution       // of the requests whose statements are not kept
	entries    map[string]*entry // of the others, by their texts
	made       map[string]bool   // those that were prepared now
	executions []execution
	rows       Rows
	sent       int  // how many requests were sent
	done       int  // how many were answered
	called     bool // each was called
}

// check reports whether the requests have to be executed one by one. It looks for wrong
// requests before any is sent, and asks for the types that the forms of their arguments
// depend on.
func (b *batch) check(ctx context.Context) (single bool, err error) {
	c := b.conn
	b.texts = make([]execution, len(b.requests))
	for i, request := range b.requests {
		keep := len(request.Args) > 0
		b.done = i
		if err := c.check(request.Text, request.Args, keep); err != nil {
			return false, err
		}
		if keep && c.keeps(request.Text) {
			continue
		}
		if !canPrepare(request.Text) {
			return true, nil
		}
		text, args, changed, err := c.fitted(ctx, request.Text, request.Args)
		if err != nil || changed {
			return changed, err
		}
		if args, err = c.typed(ctx, text, args); err != nil {
			return false, err
		}
		b.texts[i] = execution{anew: true, text: text, args: args}
	}
	b.done = 0
	return false, nil
}

// run executes the requests in one operation.
func (b *batch) run(ctx context.Context) (err error) {
	c := b.conn
	if err := c.begin(ctx, true); err != nil {
		return err
	}
	returned := false
	defer func() {
		if !returned { // each has panicked or ended its goroutine
			b.rows.conn = nil
			c.breakOff()
			_ = b.end(nil, false)
		}
	}()
	if err = b.prepare(); err == nil {
		err = b.bind()
	}
	var own error
	sending := err == nil
	if sending {
		c.wire.mark()
		own, err = b.execute()
	}
	returned = true
	return cmp.Or(b.end(err, !sending), own)
}

// prepare prepares all statements that are not kept yet, in one round trip.
func (b *batch) prepare() error {
	c := b.conn
	b.entries, b.made = map[string]*entry{}, map[string]bool{}
	b.executions = make([]execution, len(b.requests))
	if c.cache == nil {
		return nil
	}
	c.forgetOld()
	missing, err := b.missing()
	if err != nil || len(missing) == 0 {
		return err
	}
	if err := c.deallocate(); err != nil {
		return err
	}
	made, err := b.parse(missing)
	for i, p := range made {
		text := b.requests[missing[i]].Text
		e, closing := c.cache.Add(text, p)
		if b.entries[text], b.made[text] = e, true; closing != nil {
			return closing
		}
	}
	return err
}

// missing takes the statements that are kept, and returns for each of the others the index
// of the first request that needs it.
func (b *batch) missing() (indexes []int, err error) {
	c := b.conn
	asked := map[string]bool{}
	for i, request := range b.requests {
		if b.texts[i].anew {
			continue
		}
		if !asked[request.Text] {
			asked[request.Text] = true
			e := c.cache.Acquire(request.Text)
			if e == nil {
				indexes = append(indexes, i)
				continue
			}
			b.entries[request.Text] = e
		}
		if e := b.entries[request.Text]; e != nil && e.Stmt.isOutdated(request.Args) {
			delete(b.entries, request.Text)
			indexes = append(indexes, i)
			if err := errors.Join(c.cache.Remove(e), c.release(e)); err != nil {
				return nil, err
			}
		}
	}
	return indexes, nil
}

// parse prepares the texts of the requests with these indexes. It also returns those that
// were prepared before an error.
func (b *batch) parse(indexes []int) (made []*prepared, err error) {
	c := b.conn
	names := make([]string, 0, len(indexes))
	for len(made) < len(indexes) {
		c.composeMore(len(made) > 0)
		for len(names) < len(indexes) {
			text := b.requests[indexes[len(names)]].Text
			if len(names) > len(made) && len(c.out)+len(text) > batchBytes {
				break
			}
			names = append(names, c.addParse(text))
		}
		if err := c.transmitPart(len(names) == len(indexes)); err != nil {
			return made, err
		}
		for len(made) < len(names) {
			b.done = indexes[len(made)]
			p, err := c.parsed(names[len(made)], b.requests[b.done].Text)
			if err != nil {
				return made, err
			}
			made = append(made, p)
		}
	}
	b.done = 0
	return made, c.becomeReady("")
}

// bind makes the executions of the requests.
func (b *batch) bind() error {
	for i, request := range b.requests {
		b.executions[i] = b.texts[i]
		if b.texts[i].anew {
			continue
		}
		e := b.entries[request.Text]
		x, err := newExecution(e, !b.made[request.Text], request.Text, request.Args)
		if err != nil {
			b.done = i
			return &refusedError{err}
		}
		b.executions[i] = x
	}
	return nil
}

// execute sends the requests and reads their results. own is the error of each.
func (b *batch) execute() (own, err error) {
	c := b.conn
	c.rows = &b.rows // the connection is busy
	for b.done < len(b.requests) && own == nil && err == nil {
		if b.done == b.sent {
			if err = b.send(); err != nil {
				return nil, err
			}
		}
		if own, err = b.one(); own == nil && err == nil {
			b.done++
		}
	}
	if err != nil {
		return nil, err
	}
	return own, c.skip()
}

// send sends as many requests as batchBytes has room for, or one that is longer. That one the
// server receives before it executes it, and no result is unread.
func (b *batch) send() error {
	c := b.conn
	c.composeMore(b.sent > 0)
	for first := true; b.sent < len(b.executions); first = false {
		before := len(c.out)
		c.add(b.executions[b.sent])
		if !first && len(c.out) > batchBytes {
			c.out = c.out[:before]
			break
		}
		b.sent++
	}
	return c.transmitPart(b.sent == len(b.executions))
}

// one reads the result of a request.
func (b *batch) one() (own, err error) {
	c := b.conn
	if c.fired.Load() {
		return cmp.Or(c.ctx.Err(), ErrRowsUnread), nil
	}
	x := b.executions[b.done]
	described, err := c.head(x)
	if err == nil {
		err = c.peekRow(x)
	}
	if err != nil {
		return nil, c.judge(x, err)
	}
	b.rows, b.called = Rows{conn: c, columns: described, part: true}, true
	own = b.each(b.done, &b.rows)
	if b.rows.conn != nil {
		_ = b.rows.Close()
	}
	return cmp.Or(own, b.rows.err), b.rows.failed
}

// end ends the operation of a batch, with an error of the database. harmless says that no
// request was sent.
func (b *batch) end(err error, harmless bool) error {
	c := b.conn
	c.rows, c.flushed = nil, false
	for _, e := range b.entries {
		if released := c.release(e); err == nil {
			err = released
		}
	}
	if refused, ok := err.(*refusedError); ok {
		if err := c.end(nil, true); err != nil {
			return err
		}
		return refused.error
	}
	return c.end(err, harmless)
}

// refusedError is the error for a request that was not sent.
type refusedError struct{ error }

// composeMore begins messages, which continue an exchange if more is set.
func (c *Conn) composeMore(more bool) {
	if more {
		c.out = c.out[:0]
		return
	}
	c.compose()
}

// transmitPart sends messages, which end their exchange if last is set.
func (c *Conn) transmitPart(last bool) error {
	if c.flushed = !last; last {
		c.out = appendSync(c.out)
	} else {
		c.out = appendFlush(c.out)
	}
	return c.transmit()
}

// peekRow waits for the first row of a statement, or for its end, and leaves it to be read.
func (c *Conn) peekRow(x execution) error {
	switch kind, body, err := c.receive(); {
	case err != nil:
		return unexpectedEnd(err)
	case kind == 'D', kind == 'C', kind == 'I':
		c.in.back()
		return nil
	default:
		return c.failed(kind, body, x.reported())
	}
}

// skip reads the rest of an exchange.
func (c *Conn) skip() error {
	if err := c.sync(); err != nil {
		return err
	}
	for {
		switch kind, body, err := c.receive(); {
		case err != nil:
			return unexpectedEnd(err)
		case kind == 'Z':
			return c.setReady(body)
		case kind == '1', kind == '2', kind == 'T', kind == 'n', kind == 'D', kind == 'C', kind == 'I':
		default:
			return c.failed(kind, body, "")
		}
	}
}
