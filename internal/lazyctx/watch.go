package lazyctx

import (
	"context"
	"sync"
	"time"
)

// Lazy is a context that ends together with a [Context], such as one that has it as a field.
type Lazy interface {
	context.Context
	// Lazy returns the Context, or nil if there is none.
	Lazy() *Context
}

// Of returns the Context that ctx ends together with, or nil.
func Of(ctx context.Context) *Context {
	if lazy, ok := ctx.(Lazy); ok {
		return lazy.Lazy()
	}
	return nil
}

// Lazy returns c.
func (c *Context) Lazy() *Context { return c }

// Watch calls a function when a context ends, as [context.AfterFunc] does. It watches one
// context after another without new memory, and a [Context] needs no channel, timer or child
// for it. One goroutine uses a Watch at a time.
type Watch struct {
	f    func()
	stop func() bool // of a context that is no Context
	told watcher

	mu    sync.Mutex
	lazy  *Context // nil: none is watched, or f was called
	timer *time.Timer
}

// NewWatch returns a Watch that calls f, in a goroutine of its own.
func NewWatch(f func()) *Watch {
	w := &Watch{f: f}
	w.told.of = w
	return w
}

// Start watches ctx. It returns false if ctx never ends; otherwise [Watch.Stop] must follow.
func (w *Watch) Start(ctx context.Context) bool {
	lazy := Of(ctx)
	switch {
	case lazy != nil:
		w.begin(lazy)
	case ctx.Done() == nil:
		return false
	default:
		w.stop = context.AfterFunc(ctx, w.f)
	}
	return true
}

func (w *Watch) begin(lazy *Context) {
	at, _ := lazy.Deadline()
	w.mu.Lock()
	w.lazy = lazy
	if left := time.Until(at); w.timer == nil {
		w.timer = time.AfterFunc(left, w.look)
	} else {
		w.timer.Reset(left)
	}
	w.mu.Unlock()
	lazy.watch(&w.told)
}

// Stop ends the watch. It returns false if f was called, or is about to be.
func (w *Watch) Stop() bool {
	if w.stop != nil {
		stopped := w.stop()
		w.stop = nil
		return stopped
	}
	w.told.leave()
	return w.take(w.watched())
}

// watched returns what is watched, or nil.
func (w *Watch) watched() *Context {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lazy
}

// take ends the watch of lazy. It returns false if that is not watched any more.
func (w *Watch) take(lazy *Context) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if lazy == nil || w.lazy != lazy {
		return false
	}
	w.lazy = nil
	w.timer.Stop()
	return true
}

// look calls f if the deadline has passed. It has not if the clock stood still, or if the
// timer is that of an earlier Start.
func (w *Watch) look() {
	lazy := w.watched()
	if lazy == nil {
		return
	}
	if lazy.Err() == nil {
		w.lookLater(lazy)
	} else if w.take(lazy) {
		w.f()
	}
}

// lookLater sets the timer anew, unless the watch of lazy has ended.
func (w *Watch) lookLater(lazy *Context) {
	at, _ := lazy.Deadline()
	left := max(time.Until(at), time.Millisecond) // the deadline moves on while the clock stands
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.lazy == lazy {
		w.timer.Reset(left)
	}
}

func (w *Watch) notify() {
	if w.take(w.watched()) {
		go w.f()
	}
}

// watchers are told when a Context is ended by something else than its deadline, which they
// know. The lock of a Context is never taken while that of a child is held.
type watchers struct {
	mu    sync.Mutex
	first *watcher
	ended bool
	asked bool        // the parent was asked to tell
	tells bool        // it does, by one of:
	above watcher     // among the watchers of a parent that is a Context
	stop  func() bool // of context.AfterFunc for any other parent
}

// watcher is one of them, in a list.
type watcher struct {
	of             interface{ notify() }
	in             *watchers // set by its user only
	inside         bool      // as are the rest, protected by the lock of in
	previous, next *watcher
}

// watch makes c tell w when it ends, or now if it has.
func (c *Context) watch(w *watcher) {
	all := c.watchers.Load()
	if all == nil {
		c.watchers.CompareAndSwap(nil, new(watchers))
		all = c.watchers.Load()
	}
	all.mu.Lock()
	w.in = all
	if all.ended {
		all.mu.Unlock()
		w.of.notify()
		return
	}
	w.inside, w.previous, w.next = true, nil, all.first
	if w.next != nil {
		w.next.previous = w
	}
	all.first = w
	asked := all.asked
	all.asked = true
	all.mu.Unlock()
	if !asked {
		c.watchParent(all)
	}
	if c.ended.Load() { // End may have found no watchers
		c.endWatchers(all)
	}
}

// leave undoes watch. Afterwards w is not told.
func (w *watcher) leave() {
	if w.in == nil {
		return
	}
	w.in.mu.Lock()
	defer w.in.mu.Unlock()
	w.unlink()
}

func (w *watcher) unlink() {
	if !w.inside {
		return
	}
	if w.previous == nil {
		w.in.first = w.next
	} else {
		w.previous.next = w.next
	}
	if w.next != nil {
		w.next.previous = w.previous
	}
	w.inside, w.previous, w.next = false, nil, nil
}

// watchParent makes the parent of c tell when it ends, until c ends.
func (c *Context) watchParent(all *watchers) {
	if parent := Of(c.parent); parent != nil {
		all.above.of = c
		parent.watch(&all.above)
	} else if c.parent.Done() != nil {
		all.stop = context.AfterFunc(c.parent, c.notify)
	}
	all.mu.Lock()
	all.tells = true
	ended := all.ended
	all.mu.Unlock()
	if ended {
		all.leaveParent()
	}
}

func (all *watchers) leaveParent() {
	all.above.leave()
	if all.stop != nil {
		all.stop()
	}
}

// notify tells the watchers that c has ended.
func (c *Context) notify() { c.watchers.Load().end() }

// endWatchers tells them, and no parent tells c any more.
func (c *Context) endWatchers(all *watchers) {
	if tells := all.end(); tells {
		all.leaveParent()
	}
}

// end reports whether the parent still tells.
func (all *watchers) end() (tells bool) {
	all.mu.Lock()
	defer all.mu.Unlock()
	all.ended = true
	for w := all.first; w != nil; w = all.first {
		w.unlink()
		w.of.notify()
	}
	return all.tells
}
