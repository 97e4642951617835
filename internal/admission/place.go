package admission

import (
	"context"
	"sync"
)

// client is the key of a client.
type client [16]byte

// share is what a client has of a [Gate]. Only clients that have something are counted, so
// that there are never more of them than requests.
type share struct{ running, waiting int }

// shareOf returns how many of n one client may have: three quarters, and at least one.
func shareOf(n int) int { return n - n/4 }

// Place is a place of a [Gate]. It belongs to a request, which holds it while it works, and
// not while it waits for the network. The zero value holds none.
//
// Apart from [Place.Enter], the methods are safe for concurrent use, and do the same for
// the places around.
type Place struct {
	gate   *Gate
	outer  *Place
	client client

	mu     sync.Mutex
	state  placeState
	absent int // how many goroutines wait for the network
}

type placeState uint8

const (
	away   placeState = iota // the place was given up for a time
	held                     // the request counts as one of the gate
	stream                   // it counts as one of the gate's streams
	left                     // it has ended
)

// Enter waits for a place of g as [Gate.Enter] does, for a Normal request of the client
// with the key. outer is the place that the request has already, or nil. If Enter returns
// nil, [Place.Leave] must be called.
func (p *Place) Enter(ctx context.Context, g *Gate, key [16]byte, outer *Place) error {
	p.gate, p.outer = g, outer
	p.client = key
	err := g.enter(ctx, Normal, p.client)
	if err == nil {
		p.state = held
	}
	return err
}

// Leave gives this place back, and not those around it.
func (p *Place) Leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch p.state {
	case held:
		p.gate.leave(p.client)
	case stream:
		p.gate.streams.leave(p.client)
	}
	p.state = left
}

// Away gives the place up until [Place.Back] or [Place.BackAtOnce].
func (p *Place) Away() {
	for ; p != nil; p = p.outer {
		p.mu.Lock()
		p.absent++
		if p.state == held {
			p.state = away
			p.gate.leave(p.client)
		}
		p.mu.Unlock()
	}
}

// Back takes the place again, before requests that have none yet. It waits until ctx
// ends, and returns its error then.
func (p *Place) Back(ctx context.Context) error {
	if p == nil {
		return nil
	}
	if err := p.outer.Back(ctx); err != nil || !p.returns() {
		return err
	}
	if err := p.gate.enter(ctx, Urgent, p.client); err != nil {
		return err
	}
	p.hold()
	return nil
}

// BackAtOnce takes the place again without waiting, even if more than all are in use then.
// It is for requests that cannot be refused any more.
func (p *Place) BackAtOnce() {
	for ; p != nil; p = p.outer {
		if p.returns() {
			p.gate.overdraw(p.client)
			p.hold()
		}
	}
}

// returns counts a goroutine that has come back, and reports whether it has to take the
// place again.
func (p *Place) returns() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.absent = max(0, p.absent-1) // it may have gone away before this place was entered
	return p.absent == 0 && p.state == away
}

// hold makes a place that was taken this one, unless it is not needed any more.
func (p *Place) hold() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state != away || p.absent > 0 {
		p.gate.leave(p.client)
		return
	}
	p.state = held
}

// Stream exchanges the place for one of the gate's streams, which is not given up before
// Leave. It does not wait, and reports whether there was one.
func (p *Place) Stream() bool {
	for ; p != nil; p = p.outer {
		if !p.becomeStream() {
			return false
		}
	}
	return true
}

func (p *Place) becomeStream() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state == stream || p.state == left {
		return true
	}
	if !p.gate.streams.try(p.client) {
		return false
	}
	if p.state == held {
		p.gate.leave(p.client)
	}
	p.state = stream
	return true
}
