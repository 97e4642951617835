package main

// Overload: twice as many requests come as the contestant can serve, and they come
// whether it answers or not. What counts is how many it serves in time.
//
// Unlike CPU time, this depends on what else the machine does meanwhile, the database server
// included. It means something only if nothing else runs, and not with one round, as -quick
// has it.

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	overloadWork  = "lookups-pg"
	patience      = 2 * time.Second // after which a client has gone
	overloadConns = 6000            // the most that are open at once
	overloadTime  = 3 * time.Second // which is measured, after a time of patience
)

func overload(ctx context.Context, d *databases, o options, report reportFunc) error {
	if d.server == "" {
		return fmt.Errorf("skipped: set TEST_POSTGRES_URL")
	}
	w, err := workNamed(overloadWork)
	if err != nil {
		return err
	}
	for _, c := range o.contestants() {
		short := o.quick && !slices.Contains([]string{"backend", "floor", "gin-tuned", "fiber-tuned", againstName}, c.String())
		if short || ctx.Err() != nil {
			continue
		}
		r, err := newRunner(ctx, d, c, w, "a")
		if err != nil {
			report(Figure{Contestant: c.String()}, err)
			continue
		}
		share, err := r.overloads(o)
		r.stop()
		report(Figure{Contestant: c.String(), Value: 100 * share}, err)
	}
	return nil
}

func workNamed(name string) (work, error) {
	for _, w := range works {
		if w.name == name {
			return w, nil
		}
	}
	return work{}, fmt.Errorf("there is no work %q", name)
}

// overloads returns the median of three rounds; with -quick there is one.
func (r *runner) overloads(o options) (float64, error) {
	rounds := 3
	if o.quick {
		rounds = 1
	}
	var shares []float64
	for range rounds {
		share, err := r.overload()
		if err != nil {
			return 0, err
		}
		shares = append(shares, share)
	}
	return median(shares), nil
}

// overload returns the answers in time at twice the capacity, of the capacity.
func (r *runner) overload() (float64, error) {
	n, err := r.warmUp(500 * time.Millisecond)
	if err != nil {
		return 0, err
	}
	begin := time.Now()
	if _, err := r.client.run(r.work.requests, 2*n, r.work.status); err != nil {
		return 0, err
	}
	capacity := float64(2*n) / time.Since(begin).Seconds()
	good := flood(r.addr, r.work, 2*capacity)
	return good / capacity, nil
}

// flood sends requests at a rate, and returns how many per second were answered in time.
// Answers that come at first do not count, as until then queues are short, nor those that
// come after the last request, when there is no overload any more. A request is lost if as
// many others wait as may be open.
func flood(addr string, w work, rate float64) float64 {
	var good atomic.Int64
	var idle idleConns
	var running sync.WaitGroup
	slots := make(chan struct{}, overloadConns)
	begin := time.Now()
	for sent := 0; time.Since(begin) < patience+overloadTime; {
		for due := int(rate * time.Since(begin).Seconds()); sent < due; sent++ {
			select {
			case slots <- struct{}{}:
				running.Go(func() {
					c, ok := once(idle.take(), addr, w)
					if at := time.Since(begin); ok && at >= patience && at < patience+overloadTime {
						good.Add(1)
					}
					idle.put(c)
					<-slots
				})
			default:
			}
		}
		time.Sleep(time.Millisecond)
	}
	running.Wait()
	for c := idle.take(); c != nil; c = idle.take() {
		_ = c.Close()
	}
	return float64(good.Load()) / overloadTime.Seconds()
}

// idleConns are connections that wait for a request. The one that was used last is used
// again first, as clients do it: were the oldest first, each request would open one until
// as many are open as may be, and the accepting would be measured instead of the work.
type idleConns struct {
	mu    sync.Mutex
	conns []*conn
}

// take returns a connection, or nil if none is idle.
func (i *idleConns) take() *conn {
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.conns) == 0 {
		return nil
	}
	c := i.conns[len(i.conns)-1]
	i.conns = i.conns[:len(i.conns)-1]
	return c
}

// put adds a connection, unless it is nil.
func (i *idleConns) put(c *conn) {
	if c == nil {
		return
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.conns = append(i.conns, c)
}

// once sends a request by a connection, a new one if there is none, and returns the
// connection if it can be used again, and whether the answer came in time.
func once(c *conn, addr string, w work) (*conn, bool) {
	begin := time.Now()
	if c == nil {
		var err error
		if c, err = dial(addr); err != nil {
			return nil, false
		}
	}
	a, err := c.doUntil(w.requests[0], begin.Add(patience), nil)
	if err != nil {
		_ = c.Close()
		return nil, false
	}
	return c, a.status == w.status
}
