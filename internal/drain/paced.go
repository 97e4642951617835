package drain

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"time"

	"github.com/seed-215b9b7c/backend/internal/pace"
)

// This file limits the waits of a connection by progress. The handler's own time costs
// nothing: the deadlines are set when a read or a write begins.
//
// net/http removes the deadline for reading before it reads beside a handler in order to
// notice that the client has left (connReader.startBackgroundRead). Such a read has no
// limit. A deadline that the handler sets counts in place of the budget.

// limiterKey is the key of the connection in contexts.
type limiterKey struct{}

// untracked stands for a connection without limits of its own.
type untracked struct{}

// Context is an [http.Server]'s ConnContext hook.
func Context(ctx context.Context, nc net.Conn) context.Context {
	if conn := tracked(nc); conn != nil {
		return context.WithValue(ctx, limiterKey{}, conn)
	}
	return context.WithValue(ctx, limiterKey{}, untracked{})
}

// LimiterOf returns the connection of a request's context, or nil if it does not limit
// what is read and written in HTTP/1. served reports whether [Context] has made ctx.
func LimiterOf(ctx context.Context) (limiter pace.Limiter, served bool) {
	value := ctx.Value(limiterKey{})
	limiter, _ = value.(pace.Limiter)
	return limiter, value != nil
}

// LimitBody implements [pace.Limiter].
func (c *connection) LimitBody(most time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.in.Reset(most)
}

// begin sets the limits of a new connection.
func (c *connection) begin(limits Limits) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.limits = limits
	c.out.Reset(limits.Write)
}

// setFree removes the limits: the connection is no longer net/http's.
func (c *connection) setFree() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.free, c.paced = true, false
}

// moves reports whether a deadline that is set must be set anew for a wait of at most
// left: it would come too late, or much too early.
func moves(set, now time.Time, left time.Duration) bool {
	until := set.Sub(now)
	return until > left || until < left-left/4
}

// readPaced reads within the budget of the body, or until the deadline of net/http.
func (c *connection) readPaced(p []byte) (int, error) {
	for {
		began, paced := c.beginRead()
		n, err := c.Conn.Read(p)
		if !c.endRead(began, paced, n, err) {
			return n, err
		}
	}
}

func (c *connection) beginRead() (now time.Time, paced bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reading++
	if !c.paced {
		if !c.applied.Equal(c.deadline) {
			c.applyFor(time.Now())
		}
		return time.Time{}, false
	}
	now = time.Now()
	if left := max(c.in.Left(), 0); moves(c.applied, now, left) {
		c.apply(now.Add(left))
	}
	return now, true
}

// endRead reports whether to go on: the deadline came early.
func (c *connection) endRead(began time.Time, paced bool, n int, err error) (again bool) {
	late := n == 0 && errors.Is(err, os.ErrDeadlineExceeded)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reading--
	if !paced {
		return late && c.early()
	}
	c.in.Spend(time.Since(began), int64(n))
	return late && c.paced && c.in.Left() > 0
}

// looks is how often the progress of a write is looked at while its budget lasts.
const looks = 8

// writePaced writes within the budget of the connection.
func (c *connection) writePaced(p []byte) (n int, err error) {
	unsent := unknown
	for {
		began, paced := c.beginWrite()
		m, err := c.Conn.Write(p[n:])
		n += m
		if !paced || !c.endWrite(began, int64(m), &unsent, err) {
			return n, err
		}
	}
}

// ReadFrom lets the system copy a file to the connection.
func (c *connection) ReadFrom(r io.Reader) (n int64, err error) {
	to, ok := c.Conn.(io.ReaderFrom)
	file := fileOf(r)
	if !ok || file == nil {
		return io.Copy(struct{ io.Writer }{c}, r)
	}
	c.settle()
	unsent := unknown
	for {
		began, paced := c.beginWrite()
		before := file.N
		m, err := to.ReadFrom(file)
		n += m
		// What was read of the file and not written is lost: the system did not copy it.
		if !paced || before-file.N != m || !c.endWrite(began, m, &unsent, err) {
			return n, err
		}
	}
}

// fileOf returns r if it reads a regular file, or nil.
func fileOf(r io.Reader) *io.LimitedReader {
	limited, ok := r.(*io.LimitedReader)
	if !ok {
		limited = &io.LimitedReader{R: r, N: 1<<63 - 1}
	}
	file, ok := limited.R.(*os.File)
	if !ok {
		return nil
	}
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil
	}
	return limited
}

func (c *connection) beginWrite() (now time.Time, paced bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.free || c.out.Most() == 0 {
		return time.Time{}, false
	}
	now = time.Now()
	left := max(min(c.out.Left(), c.out.Most()/looks), 0)
	if moves(c.outAt, now, left) {
		c.outAt = now.Add(left)
		c.Conn.SetWriteDeadline(c.outAt)
	}
	return now, true
}

// unknown is the number of bytes that the system has not sent where it does not tell.
const unknown int64 = -1

// endWrite reports whether to go on: it was only time to look. A system with much to
// send accepts nothing for a long time while the client reads, so unsent counts, too.
func (c *connection) endWrite(began time.Time, bytes int64, unsent *int64, err error) (again bool) {
	late := errors.Is(err, os.ErrDeadlineExceeded)
	if late {
		now := outstanding(c.Conn)
		if bytes == 0 && now < *unsent {
			bytes = *unsent - now
		}
		*unsent = now
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out.Spend(time.Since(began), bytes)
	return late && !c.free && c.out.Left() > 0
}

// SetWriteDeadline sets a deadline in place of the budget. The zero time returns to the
// budget: net/http sets it after each request.
func (c *connection) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.free, c.outAt = !t.IsZero(), time.Time{}
	return c.Conn.SetWriteDeadline(t)
}
