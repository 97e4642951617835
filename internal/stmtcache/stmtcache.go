// Package stmtcache keeps the most recently used prepared statements of one database
// connection, up to a capacity. The owner of the connection prepares and runs the
// statements. The cache closes them.
//
// Closing a statement may cost a round trip. The cache closes a statement only when a
// new one replaces it: finding a statement closes none, and adding one to a full cache
// closes one.
package stmtcache

import (
	"errors"
	"fmt"
)

// Stmt is what a cache needs of a prepared statement. A [database/sql/driver.Stmt]
// is one.
type Stmt interface {
	Close() error
}

// Cache maps statement texts to prepared statements of one connection. Make one
// with [New]; the zero value is not usable. It is not safe for concurrent use,
// as the connection that its statements belong to is not.
type Cache[S Stmt] struct {
	capacity int
	entries  map[string]*Entry[S]
	ring     Entry[S] // sentinel: next is the most recently used, prev the least
}

// Entry is a statement taken from a cache or put into it. It is in use, and
// will not be closed, until it is handed to [Cache.Release].
type Entry[S Stmt] struct {
	// Stmt is the prepared statement.
	Stmt S

	text       string
	prev, next *Entry[S]
	inUse      bool
	listed     bool // in the cache; others are closed when they are released
	forgotten  bool // the server dropped the statement, which must not be closed
}

// New returns an empty cache for at most capacity statements. A capacity below
// one panics.
func New[S Stmt](capacity int) *Cache[S] {
	if capacity < 1 {
		panic(fmt.Sprintf("backend: statement cache capacity %d: set it to 1 or more", capacity))
	}
	c := &Cache[S]{capacity: capacity, entries: make(map[string]*Entry[S])}
	c.ring.next, c.ring.prev = &c.ring, &c.ring
	return c
}

// Len returns how many statements the cache holds.
func (c *Cache[S]) Len() int {
	return len(c.entries)
}

// Acquire returns the statement for text and marks it as in use. It returns nil if
// there is none or if it is in use: most engines cannot run a prepared statement
// twice at the same time. The caller then prepares another one for [Cache.Add].
func (c *Cache[S]) Acquire(text string) *Entry[S] {
	e := c.entries[text]
	if e == nil || e.inUse {
		return nil
	}
	e.inUse = true
	if c.ring.next != e {
		e.unlink()
		c.pushFront(e)
	}
	return e
}

// Add puts a freshly prepared statement into the cache, marks it as in use and
// closes the least recently used idle statement if the cache is full. The error
// is that of closing; the returned entry is usable all the same.
//
// If no idle statement can make room, or the statement for text is in use, the new
// statement stays outside the cache and is closed when it is released.
func (c *Cache[S]) Add(text string, stmt S) (*Entry[S], error) {
	e := &Entry[S]{Stmt: stmt, text: text, inUse: true}
	err := c.makeRoom(text)
	if c.entries[text] == nil && len(c.entries) < c.capacity {
		e.listed = true
		c.entries[text] = e
		c.pushFront(e)
	}
	return e, err
}

// makeRoom drops the idle statement that text replaces, or the least recently
// used idle one if the cache is full.
func (c *Cache[S]) makeRoom(text string) error {
	if old := c.entries[text]; old != nil {
		if old.inUse {
			return nil
		}
		return c.Remove(old)
	}
	if len(c.entries) < c.capacity {
		return nil
	}
	for e := c.ring.prev; e != &c.ring; e = e.prev {
		if !e.inUse {
			return c.Remove(e)
		}
	}
	return nil
}

// Release ends one use of e. It closes the statement if the cache no longer
// holds it, and returns the error of closing. Releasing an entry that is not in
// use does nothing.
func (c *Cache[S]) Release(e *Entry[S]) error {
	if !e.inUse {
		return nil
	}
	e.inUse = false
	if e.listed || e.forgotten {
		return nil
	}
	return e.Stmt.Close()
}

// Remove takes e out of the cache and closes its statement, or lets [Cache.Release]
// close it if it is in use. Removing an entry twice does nothing.
func (c *Cache[S]) Remove(e *Entry[S]) error {
	if !e.listed {
		return nil
	}
	c.delist(e)
	if e.inUse {
		return nil
	}
	return e.Stmt.Close()
}

// Clear takes every statement out of the cache and closes those that are idle;
// the others are closed when they are released.
func (c *Cache[S]) Clear() error {
	var errs []error
	for c.ring.next != &c.ring {
		if err := c.Remove(c.ring.next); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Forget empties the cache and closes nothing. Call it when the server drops the
// statements.
func (c *Cache[S]) Forget() {
	for c.ring.next != &c.ring {
		e := c.ring.next
		e.forgotten = true
		c.delist(e)
	}
}

func (c *Cache[S]) delist(e *Entry[S]) {
	e.listed = false
	e.unlink()
	delete(c.entries, e.text)
}

func (c *Cache[S]) pushFront(e *Entry[S]) {
	e.prev, e.next = &c.ring, c.ring.next
	e.prev.next, e.next.prev = e, e
}

func (e *Entry[S]) unlink() {
	e.prev.next, e.next.prev = e.next, e.prev
	e.prev, e.next = nil, nil
}
