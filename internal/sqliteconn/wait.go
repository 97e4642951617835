package sqliteconn

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// This file ends statements with their contexts. SQLite calls a handler while it executes a
// statement, and another while it waits for the lock of another process. So a statement
// needs no goroutine and no timer, and one that takes few steps is not slowed down.

// progressSteps is how many instructions of SQLite's virtual machine lie between two looks at
// the context. They take about a tenth of a millisecond.
const progressSteps = 2000

// longestPause is the longest time between two tries to get a lock.
const longestPause = 25 * time.Millisecond

// conns are the open connections. SQLite's handlers get the key as their argument.
var (
	conns   sync.Map // of uintptr to *Conn
	connKey atomic.Uintptr
)

var (
	progressHandler = func(_ *libc.TLS, key uintptr) int32 {
		if c, ok := conns.Load(key); ok && c.(*Conn).interrupted() {
			return 1
		}
		return 0
	}
	busyHandler = func(_ *libc.TLS, key uintptr, tries int32) int32 {
		if c, ok := conns.Load(key); ok && c.(*Conn).pause(int(tries)) {
			return 1
		}
		return 0
	}
)

// watch makes SQLite call the handlers.
func (c *Conn) watch() {
	c.key = connKey.Add(1)
	conns.Store(c.key, c)
	sqlite3.Xsqlite3_progress_handler(c.tls, c.db, progressSteps, function(&progressHandler), c.key)
	sqlite3.Xsqlite3_busy_handler(c.tls, c.db, function(&busyHandler), c.key)
}

// interrupted reports whether SQLite must end the current call.
func (c *Conn) interrupted() bool { return !c.commits && c.ended() }

// ended reports whether the context of the current call has ended.
func (c *Conn) ended() bool { return c.ctx != nil && c.ctx.Err() != nil }

// pause waits before the next try to get a lock that another connection holds. It returns
// false to give up: when the context of the call ends, or after busyWait if the call has no
// deadline.
func (c *Conn) pause(tries int) bool {
	if tries == 0 {
		c.waiting = time.Now()
	}
	var done <-chan struct{}
	deadline := false
	if c.ctx != nil { // it is nil while an execution is reset, which may commit
		done = c.ctx.Done()
		_, deadline = c.ctx.Deadline()
	}
	if c.ended() || !deadline && time.Since(c.waiting) >= c.busyWait {
		return false
	}
	limit := min(time.Millisecond<<min(tries, 10), longestPause)
	timer := time.NewTimer(limit/2 + rand.N(limit))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-done:
		return false
	}
}
