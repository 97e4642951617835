// Package lazyctx has contexts with a deadline that cost nothing until somebody
// waits for them.
package lazyctx

import (
	"context"
	"sync"
	"time"
)

// Context is [context.WithDeadline] for a function that may never look: the timer
// and the channel, eight allocations, are made when somebody first waits. It is
// meant to be a field of what is allocated anyway. [Context.Begin] comes before
// every other method, and before anybody else has the context; the others are
// safe for concurrent use.
type Context struct {
	parent context.Context
	at     time.Time

	mu     sync.Mutex
	ctx    context.Context // nil until somebody waits
	cancel context.CancelFunc
	ended  bool
}

// Begin gives the context its parent and its deadline. [Context.End] must follow.
func (c *Context) Begin(parent context.Context, deadline time.Time) {
	c.parent, c.at = parent, deadline
}

// End is the cancel function of the context.
func (c *Context) End() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	if c.cancel != nil {
		c.cancel()
	}
}

// Deadline returns the deadline, or the parent's if that is earlier.
func (c *Context) Deadline() (time.Time, bool) {
	if earlier, ok := c.parent.Deadline(); ok && earlier.Before(c.at) {
		return earlier, true
	}
	return c.at, true
}

// Done makes the context that waits.
func (c *Context) Done() <-chan struct{} { return c.made().Done() }

// Err does not make the context that waits before the deadline has passed.
func (c *Context) Err() error {
	if err := c.parent.Err(); err != nil && c.idle() {
		return err
	}
	if c.idle() && time.Now().Before(c.at) {
		return nil
	}
	return c.made().Err()
}

// Value returns the parent's value.
func (c *Context) Value(key any) any {
	if c.idle() {
		return c.parent.Value(key)
	}
	return c.made().Value(key)
}

// idle reports whether nobody has waited and the context has not ended.
func (c *Context) idle() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ctx == nil && !c.ended
}

// made returns the real context.
func (c *Context) made() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx == nil {
		c.ctx, c.cancel = context.WithDeadline(c.parent, c.at)
		if c.ended {
			c.cancel()
		}
	}
	return c.ctx
}
