package admission

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Processor lowers the places of a [Gate] while goroutines wait long for a processor, and
// raises them again afterwards. Requests that wait for a database are served well in large
// numbers. Requests that compute are not: they slow down each other, the refusal of further
// ones, and all else in the process, such as health checks.
//
// While there are requests, a goroutine measures every 10 ms how long it waits for a
// processor that it has yielded. As the queue of a Gate is, the delay is controlled by its
// smallest value in a window of time: garbage collections and bursts cause some long delays,
// an overload causes nothing but long ones. See control for the rules.
//
// It is safe for concurrent use. It has no goroutine while there are no requests.
type Processor struct {
	gate  *Gate
	epoch time.Time
	next  atomic.Int64 // the time since epoch at which to look again

	mu      sync.Mutex
	control control
	latest  time.Time // when it looked
	began   time.Time // when the measurement that runs began, or zero
	ends    time.Time // of the window
	least   time.Duration
	refuse  time.Time // when the next request may be refused
}

const (
	measureEvery = 10 * time.Millisecond
	window       = 100 * time.Millisecond
	idle         = 2 * time.Second // without a request; nothing is left of an overload then
	never        = time.Duration(1<<63 - 1)
)

// Refusals cost the processor time that the work of others needs: the more so as clients
// that are refused at once are soon back. While there are fewer places than configured, a
// Processor lets refusalsPerSecond of them pass for each processor, and delays the others by
// refusalDelay at most.
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
	if p.control.places == p.control.most {
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

// NewProcessor returns a Processor for a gate whose number of places nobody else changes.
func NewProcessor(gate *Gate) *Processor {
	p := &Processor{gate: gate, epoch: time.Now(), least: never}
	p.control = newControl(gate.config.Places, 2*runtime.GOMAXPROCS(0))
	return p
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
		p.control = newControl(p.control.most, p.control.fewest)
		p.set(p.control.places)
		p.least, p.ends = never, now.Add(window)
	}
	p.latest = now
	if now.After(p.ends) {
		p.decide(now)
	}
	if p.began.IsZero() {
		p.began = time.Now()
		go p.measure(p.began)
	}
}

// decide ends a window.
func (p *Processor) decide(now time.Time) {
	delay := p.least
	if delay == never && !p.began.IsZero() { // no measurement has ended
		delay = now.Sub(p.began)
	}
	if delay != never {
		p.set(p.control.after(delay))
	}
	p.least, p.ends = never, now.Add(window)
}

func (p *Processor) set(places int) { p.gate.SetPlaces(places) }

// measure yields the processor, which puts the goroutine behind all others that can run.
func (p *Processor) measure(began time.Time) {
	runtime.Gosched()
	delay := time.Since(began)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.least = min(p.least, delay)
	p.began = time.Time{}
}

// control finds the number of places from the smallest delay of each window:
//
//   - Above the target, the places are multiplied by target/delay, but at least by a half.
//   - Below it, half as many are added.
//   - There are at least two for each processor. If the delay stays above the target for ten
//     windows even so, something else in the process computes. Twice that delay is the target
//     then, until the delay is small again: requests are not refused for what others do.
type control struct {
	most, fewest int
	places       int
	target       time.Duration
	stuck        int           // windows with the fewest places and a delay above the target
	floor        time.Duration // the smallest delay in them
}

// delayTarget is what two goroutines per processor cause that run for 10 ms each, after
// which the scheduler stops them, and a little more.
const delayTarget = 25 * time.Millisecond

const stuckFor = 10

func newControl(most, fewest int) control {
	return control{most: most, fewest: min(fewest, most), places: most, target: delayTarget, floor: never}
}

// after returns the number of places after a window whose smallest delay was d.
func (c *control) after(d time.Duration) int {
	if d <= c.target {
		if d < c.target/4 {
			c.target = max(delayTarget, c.target/2)
		}
		c.stuck, c.floor = 0, never
		c.places = min(c.most, c.places+max(1, c.places/2))
		return c.places
	}
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
