// Package lazyctx has contexts with a deadline that cost nothing until somebody
// waits for them, and whose clock can stand still.
package lazyctx

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// Clock is the clock of the deadlines of one request. It stands still while the request
// waits for its client. The zero Clock runs. A Clock is safe for concurrent use.
type Clock struct {
	stopped atomic.Bool // it stands still, or has done so before

	mu    sync.Mutex
	stood time.Duration // in all, without the stop since
	since time.Time     // zero while the clock runs
}

// Stop stops the clock.
func (c *Clock) Stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.since = time.Now()
	c.stopped.Store(true)
}

// Go lets the clock go on.
func (c *Clock) Go() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stood += time.Since(c.since)
	c.since = time.Time{}
}

// state returns how long the clock has stood still, and whether it stands now.
func (c *Clock) state() (stood time.Duration, stands bool) {
	if c == nil || !c.stopped.Load() {
		return 0, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.since.IsZero() {
		return c.stood, false
	}
	return c.stood + time.Since(c.since), true
}

// Context is [context.WithDeadline] for a function that may never look: the timer
// and the channel are made when somebody first waits. It is meant to be a field of what
// is allocated anyway. [Context.Begin] comes before every other method, and before
// anybody else has the context; the others are safe for concurrent use.
//
// The deadline moves by the time for which the Clock stands still.
type Context struct {
	parent context.Context
	at     time.Time
	clock  *Clock        // may be nil
	before time.Duration // how long the clock had stood still at the beginning

	mu     sync.Mutex
	ctx    context.Context // nil until somebody waits
	ready  atomic.Bool     // ctx is there
	cancel context.CancelFunc
	ended  atomic.Bool

	watchers atomic.Pointer[watchers] // nil until there is one
}

// Begin gives the context its parent, its deadline and its clock, which may be nil.
// [Context.End] must follow.
func (c *Context) Begin(parent context.Context, deadline time.Time, clock *Clock) {
	c.parent, c.at, c.clock = parent, deadline, clock
	c.before, _ = clock.state()
}

// End is the cancel function of the context.
func (c *Context) End() {
	c.end()
	if all := c.watchers.Load(); all != nil {
		c.endWatchers(all)
	}
}

func (c *Context) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended.Store(true)
	if c.cancel != nil {
		c.cancel()
	}
}

// due returns the deadline as the clock has it, and whether the clock stands still.
func (c *Context) due() (at time.Time, stands bool) {
	stood, stands := c.clock.state()
	return c.at.Add(stood - c.before), stands
}

// Deadline returns the deadline, or the parent's if that is earlier.
func (c *Context) Deadline() (time.Time, bool) {
	at, _ := c.due()
	if earlier, ok := c.parent.Deadline(); ok && earlier.Before(at) {
		return earlier, true
	}
	return at, true
}

// Done makes the context that waits.
func (c *Context) Done() <-chan struct{} { return c.made().Done() }

// Err does not make the context that waits before the deadline has passed.
func (c *Context) Err() error {
	if c.ready.Load() {
		return c.ctx.Err()
	}
	if err := c.parent.Err(); err != nil && c.idle() {
		return err
	}
	if at, _ := c.due(); time.Now().Before(at) && c.idle() {
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
func (c *Context) idle() bool { return !c.ready.Load() && !c.ended.Load() }

// made returns the real context.
func (c *Context) made() context.Context {
	if c.ready.Load() {
		return c.ctx
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx == nil {
		c.make()
	}
	return c.ctx
}

// make makes the real context. With a clock, it is the child of a source, which ends
// when the clock says so.
func (c *Context) make() {
	if c.clock == nil {
		c.ctx, c.cancel = context.WithDeadline(c.parent, c.at)
	} else {
		s := &source{of: c}
		ctx, cancel := context.WithCancel(s)
		s.start()
		c.ctx, c.cancel = ctx, func() { cancel(); s.stop() }
	}
	if c.ended.Load() {
		c.cancel()
	}
	c.ready.Store(true)
}

// source is the parent of the real context of a Context. It is for that child only,
// which asks for AfterFunc.
type source struct {
	of *Context

	mu     sync.Mutex
	err    error
	end    func()
	timer  *time.Timer
	detach func() bool
}

// never is never closed. A context with a nil channel would have no children.
var never = make(chan struct{})

func (s *source) Done() <-chan struct{}       { return never }
func (s *source) Deadline() (time.Time, bool) { return s.of.Deadline() }
func (s *source) Value(key any) any           { return s.of.parent.Value(key) }

func (s *source) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// AfterFunc makes the source call f when it ends.
func (s *source) AfterFunc(f func()) (stop func() bool) {
	s.end = f
	return func() bool { return true } // cancel stops the source
}

// start waits for the parent and the deadline.
func (s *source) start() {
	if err := s.of.parent.Err(); err != nil {
		s.finish(err)
		return
	}
	at, _ := s.of.due()
	left := time.Until(at)
	if left <= 0 {
		s.finish(context.DeadlineExceeded)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.timer = time.AfterFunc(left, s.look)
	if s.of.parent.Done() != nil {
		s.detach = context.AfterFunc(s.of.parent, s.follow)
	}
}

func (s *source) follow() { s.finish(s.of.parent.Err()) }

// lookAgain is how often a deadline is looked at that is near while the clock stands
// still.
const lookAgain = 10 * time.Millisecond

// look ends the source if its time is over.
func (s *source) look() {
	at, stands := s.of.due()
	left := time.Until(at)
	if stands {
		left = max(left, lookAgain)
	}
	if left <= 0 {
		s.finish(context.DeadlineExceeded)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.timer.Reset(left)
	}
}

func (s *source) finish(err error) {
	s.mu.Lock()
	first := s.err == nil
	if first {
		s.err = err
		s.release()
	}
	s.mu.Unlock()
	if first {
		s.end()
	}
}

// stop ends the source after its child.
func (s *source) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = context.Canceled
		s.release()
	}
}

func (s *source) release() {
	if s.timer != nil {
		s.timer.Stop()
	}
	if s.detach != nil {
		s.detach()
	}
}
