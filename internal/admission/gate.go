// Package admission decides which requests may use a resource now, which of them wait,
// and which are refused because they could not be served in time.
//
// The resource is a number of places behind a [Gate]. Under overload, a queue that only a
// deadline bounds makes every request wait until it is too late for all of them. A Gate
// bounds the wait instead, and refuses the newest requests at once, before they have cost
// anything, while those that were served in part already come first.
package admission

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Errors of [Gate.Enter] for a request that is refused.
var (
	ErrFull = errors.New("the queue is full")
	ErrSlow = errors.New("the queue moves too slowly")
	ErrWait = errors.New("waited too long")
)

// Class says how a request waits.
type Class uint8

const (
	// Normal requests wait for a bounded time, in order of arrival, and are refused at
	// once if they cannot be served in it.
	Normal Class = iota
	// Urgent requests have cost something already. They come before all others and wait
	// until their context ends.
	Urgent
	// Patient requests wait in order of arrival until their context ends, since nobody
	// who could try again waits for them.
	Patient
)

// Config configures a [Gate].
type Config struct {
	Places int           // how many requests are served at once, at least 1
	Queue  int           // how many Normal requests wait at most, and one more for each place that SetPlaces took away
	Wait   time.Duration // the longest wait of a Normal request, positive
	// Stretch makes the longest wait as long as one use of a place takes, if that is
	// longer than Wait.
	Stretch bool
	// Streams is how many requests may last longer than their work, see [Place.Stream].
	Streams int
	// Shares keeps one client from having more than three quarters of the places, of the
	// queue and of the streams.
	Shares bool
}

// Gate admits requests to a number of places. It is safe for concurrent use.
//
// The bound of the wait is a controlled delay (Nichols and Jacobson, "Controlling Queue
// Delay", 2012): a burst may fill the queue and wait, a queue that stands may not. A queue
// is slow while the oldest request in it has waited for a tenth of the longest wait. If it
// has been slow again and again for as long as the longest wait, new Normal requests are
// refused whenever it is slow, until it has not been for twice as long. Requests are also
// refused if those before them would take longer than the longest wait at the rate at
// which the queue moves.
type Gate struct {
	config  Config
	streams *Gate // has no queue

	mu      sync.Mutex
	limit   int  // places, at most config.Places
	running int  // places in use; more than limit after it was lowered
	used    int  // the most that were in use since usage was called
	urgent  list // Urgent
	queue   list // Normal and Patient

	slowSince time.Time        // since when requests wait longer than the target; zero if they do not
	slowAt    time.Time        // when one did last
	granted   time.Time        // when a request last left the queue while others waited
	interval  time.Duration    // between such times, smoothed; 0 while unknown
	shares    map[client]share // nil if clients have no limit

	onWait func() // if not nil, is called when a request begins to wait
}

// NewGate returns a Gate whose places are all free.
func NewGate(config Config) *Gate {
	g := &Gate{config: config, limit: config.Places}
	if config.Shares {
		g.shares = map[client]share{}
	}
	if config.Streams > 0 {
		g.streams = NewGate(Config{Places: config.Streams, Shares: config.Shares})
	}
	return g
}

// Enter waits for a place. It returns ErrFull, ErrSlow or ErrWait for a Normal request that
// is refused, or the context's error. After nil, [Gate.Leave] must be called.
func (g *Gate) Enter(ctx context.Context, class Class) error { return g.enter(ctx, class, client{}) }

// Leave gives a place back.
func (g *Gate) Leave() { g.leave(client{}) }

// SetPlaces changes the number of places, up to the configured one. Requests that hold
// more than that keep theirs.
func (g *Gate) SetPlaces(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.limit = min(n, g.config.Places)
	g.grant()
}

// Places returns how many places there are.
func (g *Gate) Places() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.limit
}

// usage returns the largest number of places that were in use at once since the last call,
// and whether requests wait now.
func (g *Gate) usage() (used int, waiting bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	used, g.used = g.used, g.running
	return used, g.waiting()
}

func (g *Gate) hasWaiting() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.waiting()
}

func (g *Gate) waiting() bool { return g.urgent.len+g.queue.len > 0 }

func (g *Gate) enter(ctx context.Context, class Class, client client) error {
	g.mu.Lock()
	if g.running < g.limit && (class == Urgent || !g.overtakes(client)) {
		g.take(client)
		g.mu.Unlock()
		return nil
	}
	now := time.Now()
	if class == Normal {
		if err := g.refuses(now, client); err != nil {
			g.mu.Unlock()
			return err
		}
	}
	w := &waiter{client: client, class: class, since: now, ready: make(chan struct{}, 1)}
	g.listOf(w).push(w)
	g.count(client, 0, 1)
	longest := g.longest()
	g.mu.Unlock()
	if g.onWait != nil {
		g.onWait()
	}
	return g.wait(ctx, w, longest)
}

// try takes a place if one is free.
func (g *Gate) try(client client) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	free := g.running < g.limit && !g.overtakes(client)
	if free {
		g.take(client)
	}
	return free
}

// overdraw takes a place even if none is free.
func (g *Gate) overdraw(client client) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.take(client)
}

// overtakes reports whether a request that entered now would do so before one that waits,
// or with more than its client's share.
func (g *Gate) overtakes(client client) bool {
	if most := shareOf(g.limit); g.running >= most && g.shares[client].running >= most {
		return true
	}
	return g.urgent.len > 0 || g.queue.len > 0 && g.next() != nil
}

// refuses returns why a Normal request is not to wait, or nil.
func (g *Gate) refuses(now time.Time, client client) error {
	room := g.config.Queue + g.config.Places - g.limit
	switch longest := g.longest(); {
	case g.queue.len >= room:
		return ErrFull
	case g.shares != nil && g.shares[client].waiting >= shareOf(room):
		return ErrFull
	case time.Duration(g.queue.len)*g.interval > longest, g.stands(now, longest):
		return ErrSlow
	}
	return nil
}

// stands reports whether the queue is slow now, and was so for as long as the longest wait.
func (g *Gate) stands(now time.Time, longest time.Duration) bool {
	target := max(longest/10, 3*g.interval/2) // not less than until the next place is free
	oldest := g.queue.first
	slow := oldest != nil && now.Sub(oldest.since) >= target
	switch {
	case slow && g.slowSince.IsZero():
		g.slowSince, g.slowAt = now, now
	case slow:
		g.slowAt = now
	case now.Sub(g.slowAt) >= 2*longest:
		g.slowSince = time.Time{}
	}
	return slow && now.Sub(g.slowSince) >= longest
}

// longest returns the longest wait of a Normal request.
func (g *Gate) longest() time.Duration {
	if g.config.Stretch {
		return max(g.config.Wait, g.interval*time.Duration(g.limit))
	}
	return g.config.Wait
}

func (g *Gate) take(client client) {
	g.running++
	g.used = max(g.used, g.running)
	g.count(client, 1, 0)
}

func (g *Gate) leave(client client) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.free(client)
}

func (g *Gate) free(client client) {
	g.running--
	g.count(client, -1, 0)
	g.grant()
}

// count adds to what the client has.
func (g *Gate) count(client client, running, waiting int) {
	if g.shares == nil {
		return
	}
	s := g.shares[client]
	s.running += running
	s.waiting += waiting
	if s == (share{}) {
		delete(g.shares, client)
	} else {
		g.shares[client] = s
	}
}

// grant gives the free places to those who wait.
func (g *Gate) grant() {
	for g.running < g.limit {
		w := g.next()
		if w == nil {
			break
		}
		g.remove(w)
		g.take(w.client)
		g.measure()
		w.admitted = true
		w.ready <- struct{}{}
	}
	if g.running < g.limit && g.queue.len == 0 {
		g.granted, g.interval = time.Time{}, 0
	}
}

// next returns the request that enters next, or nil.
func (g *Gate) next() *waiter {
	if g.urgent.first != nil {
		return g.urgent.first
	}
	for w := g.queue.first; w != nil; w = w.next {
		if g.shares == nil || g.shares[w.client].running < shareOf(g.limit) {
			return w
		}
	}
	return nil
}

// measure takes the time between two requests that have left a queue.
func (g *Gate) measure() {
	now := time.Now()
	if !g.granted.IsZero() {
		sample := now.Sub(g.granted)
		if g.interval == 0 {
			g.interval = sample
		} else {
			g.interval += (sample - g.interval) / 8
		}
	}
	g.granted = time.Time{}
	if g.waiting() {
		g.granted = now
	}
}

func (g *Gate) listOf(w *waiter) *list {
	if w.class == Urgent {
		return &g.urgent
	}
	return &g.queue
}

func (g *Gate) remove(w *waiter) {
	g.listOf(w).remove(w)
	g.count(w.client, 0, -1)
}

// wait waits until w is admitted, its time is over or ctx ends.
func (g *Gate) wait(ctx context.Context, w *waiter, longest time.Duration) (err error) {
	var over <-chan time.Time
	if w.class == Normal {
		timer := time.NewTimer(longest)
		defer timer.Stop()
		over = timer.C
	}
	select {
	case <-w.ready:
		return nil
	case <-over:
		err = ErrWait
	case <-ctx.Done():
		err = ctx.Err()
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if w.admitted { // meanwhile
		<-w.ready
		if err == ErrWait {
			err = nil
		} else {
			g.free(w.client)
		}
	} else {
		g.remove(w)
	}
	return err
}

// waiter is a request that waits.
type waiter struct {
	client   client
	class    Class
	since    time.Time
	admitted bool
	ready    chan struct{} // gets a value when admitted

	prev, next *waiter
}

// list is a queue from which any waiter can be removed.
type list struct {
	first, last *waiter
	len         int
}

func (l *list) push(w *waiter) {
	w.prev, w.next = l.last, nil
	if l.last != nil {
		l.last.next = w
	} else {
		l.first = w
	}
	l.last = w
	l.len++
}

func (l *list) remove(w *waiter) {
	if w.prev != nil {
		w.prev.next = w.next
	} else {
		l.first = w.next
	}
	if w.next != nil {
		w.next.prev = w.prev
	} else {
		l.last = w.prev
	}
	w.prev, w.next = nil, nil
	l.len--
}
