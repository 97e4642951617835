package admission

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Processor sets the places of a [Gate] by how long goroutines wait for a processor. Requests
// that wait for a database are served well in large numbers. Requests that compute are not:
// they slow down each other, the refusal of further ones, and all else in the process, such
// as health checks.
//
// Nobody knows which kind the next requests are. So there are few places at first, as many
// again while requests wait for one and goroutines do not wait for a processor, and fewer
// once they do. That costs a burst of requests some milliseconds.
//
// While requests come or wait, a goroutine measures every 10 ms how long it waits for a
// processor that it has yielded. As the queue of a Gate is, the delay is controlled by its
// smallest value in a window of time: garbage collections and bursts cause some long delays,
// an overload causes nothing but long ones. See control for the rules.
//
// It is safe for concurrent use. It has no goroutine while there are no requests.
type Processor struct {
	gate  *Gate
	epoch time.Time
	next  atomic.Int64 // the time since epoch at which to look again
	queue atomic.Bool  // goroutines wait for a processor

	mu        sync.Mutex
	control   control
	latest    time.Time // when it looked
	measuring bool      // a measurement runs, or will
	began     time.Time // when the measurement that runs began, or zero
	grown     time.Time // when places were doubled
	ends      time.Time // of the window
	least     time.Duration
	refuse    time.Time // when the next request may be refused
}

const (
	measureEvery = 10 * time.Millisecond
	doubleEvery  = 2 * time.Millisecond // so that the new ones begin to compute, if they do
	fewWait      = 2 * time.Millisecond // longer than that is a queue for the processor
	window       = 100 * time.Millisecond
	idle         = 2 * time.Second // without a request; nothing is left of an overload then
	never        = time.Duration(1<<63 - 1)
)

// Refusals cost the processor time that the work of others needs: the more so as clients
// that are refused at once are soon back. While it is short, a Processor lets
// refusalsPerSecond of them pass for each processor, and delays the others by refusalDelay
// at most.
const (
	refusalsPerSecond = 500
	refusalDelay      = 3 * time.Second
	refusalBurst      = 100 * time.Millisecond // of refusals without a delay
)

// Refuse waits until a request may be refused, or ctx ends.
func (p *Processor) Refuse(ctx context.Context) {
	delay := p.refusal(time.Now())
	if delay == 0 {
		return
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// refusal returns how long a refusal has to wait.
func (p *Processor) refusal(now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.control.short {
		return 0
	}
	if earliest := now.Add(-refusalBurst); p.refuse.Before(earliest) {
		p.refuse = earliest
	}
	delay := p.refuse.Sub(now)
	if delay >= refusalDelay {
		return refusalDelay
	}
	p.refuse = p.refuse.Add(time.Second / time.Duration(refusalsPerSecond*runtime.GOMAXPROCS(0)))
	return max(0, delay)
}

// NewProcessor returns a Processor for a gate that is not in use yet, and whose number of
// places nobody else changes.
func NewProcessor(gate *Gate) *Processor {
	p := &Processor{gate: gate, epoch: time.Now(), least: never}
	p.reset()
	gate.onWait = p.wait
	return p
}

func (p *Processor) reset() {
	p.control = newControl(p.gate.config.Places, runtime.GOMAXPROCS(0))
	p.gate.SetPlaces(p.control.places)
}

// Request says that a request has come. now is the time, or a time shortly before.
func (p *Processor) Request(now time.Time) {
	if at := int64(now.Sub(p.epoch)); at >= p.next.Load() && p.mu.TryLock() {
		defer p.mu.Unlock()
		p.next.Store(at + int64(measureEvery))
		p.look(now)
	}
}

func (p *Processor) look(now time.Time) {
	if now.Sub(p.latest) > idle {
		p.reset()
		p.least, p.ends = never, now.Add(window)
	}
	p.latest = now
	if now.After(p.ends) {
		p.decide(now)
	}
	if !p.began.IsZero() && now.Sub(p.began) > fewWait {
		p.queue.Store(true)
	}
	p.begin()
}

// Yield lets all other goroutines run that wait for a processor, if there are any. Call it
// when a request has got a place. Otherwise the scheduler of Go runs each request that
// computes to its end before it reads the next one, so that there is a queue that no Gate
// sees, and requests that leave a Gate run before those that come, and before health checks.
func (p *Processor) Yield() {
	if p.queue.Load() {
		runtime.Gosched()
	}
}

// wait says that a request waits for a place.
func (p *Processor) wait() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.begin()
}

// decide ends a window.
func (p *Processor) decide(now time.Time) {
	delay := p.least
	if delay == never && !p.began.IsZero() { // no measurement has ended
		delay = now.Sub(p.began)
	}
	used, waiting := p.gate.usage()
	if delay != never {
		p.gate.SetPlaces(p.control.after(delay, used, waiting))
	}
	p.least, p.ends = never, now.Add(window)
}

// begin begins to measure, unless that is going on.
func (p *Processor) begin() {
	if !p.measuring {
		p.measuring, p.began = true, time.Now()
		go p.measure(p.began)
	}
}

// measure yields the processor, which puts the goroutine behind all others that can run. It
// does so again later as long as requests wait for a place.
func (p *Processor) measure(began time.Time) {
	runtime.Gosched()
	if again := p.measured(began); again > 0 {
		time.AfterFunc(again, p.measureAgain)
	}
}

func (p *Processor) measureAgain() {
	began := time.Now()
	p.mu.Lock()
	p.began = began
	p.mu.Unlock()
	p.measure(began)
}

// measured takes the delay of a measurement. It returns how much later to measure again, or 0.
func (p *Processor) measured(began time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	delay := now.Sub(began)
	p.queue.Store(delay > fewWait)
	p.least = min(p.least, delay)
	p.began = time.Time{}
	if now.After(p.ends) {
		p.decide(now)
	}
	if p.measuring = p.gate.hasWaiting(); !p.measuring {
		return 0
	}
	if !p.control.doubles() || delay > p.control.target/2 {
		return measureEvery
	}
	every := min(doubleEvery, p.gate.config.Wait/10) // nobody is refused before
	if since := now.Sub(p.grown); since < every {
		return every - since
	}
	p.grown = now
	p.gate.SetPlaces(p.control.double())
	return every
}

// control finds the number of places. It begins with four for each processor, which is
// doubled as long as requests wait for a place, and a measurement is below half of the target.
// Then the smallest delay of each window counts:
//
//   - Above the target, the places are multiplied by target/delay, but at least by a half. The
//     processor is short then, until the delay has been below for ten windows: nothing is
//     doubled as long.
//   - Below it, half as many are added if all are in use, and half of them are taken away if
//     not even a quarter is.
//   - There are at least two for each processor. If the delay stays above the target for ten
//     windows even so, something else in the process computes. Twice that delay is the target
//     then, until the delay is small again: requests are not refused for what others do.
type control struct {
	most, first, fewest int
	places              int
	short               bool
	target              time.Duration
	calm                int           // windows with a delay below the target
	stuck               int           // windows with the fewest places and a delay above the target
	floor               time.Duration // the smallest delay in them
}

// delayTarget is what another goroutine per processor causes that runs for 10 ms, after
// which the scheduler stops it, and a little more.
const delayTarget = 12 * time.Millisecond

const (
	stuckFor = 10
	calmFor  = 10
)

func newControl(most, processors int) control {
	first := min(most, 4*processors)
	return control{most: most, first: first, fewest: min(most, 2*processors), places: first, target: delayTarget, floor: never}
}

// doubles reports whether the places can be doubled.
func (c *control) doubles() bool { return !c.short && c.places < c.most }

func (c *control) double() int {
	c.places = min(c.most, 2*c.places)
	return c.places
}

// after returns the number of places after a window whose smallest delay was d. At most used
// places were in use at once in it.
func (c *control) after(d time.Duration, used int, waiting bool) int {
	if d > c.target {
		return c.reduce(d)
	}
	if d < c.target/4 {
		c.target = max(delayTarget, c.target/2)
	}
	c.stuck, c.floor = 0, never
	c.calm++
	c.short = c.short && c.calm < calmFor
	switch {
	case waiting || used >= c.places:
		c.places = min(c.most, c.places+max(1, c.places/2))
	case used < c.places/4:
		c.places = max(min(c.first, c.places), c.places/2)
	}
	return c.places
}

func (c *control) reduce(d time.Duration) int {
	c.short, c.calm = true, 0
	if c.places == c.fewest {
		c.stuck++
		c.floor = min(c.floor, d)
		if c.stuck == stuckFor {
			c.target, c.stuck, c.floor = 2*c.floor, 0, never
		}
	}
	reduced := int(int64(c.places) * int64(c.target) / int64(d))
	c.places = max(c.fewest, c.places/2, reduced)
	return c.places
}
