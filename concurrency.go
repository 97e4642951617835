package backend

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"sync/atomic"
	"time"
)

// ConcurrencyLimit returns middleware that runs at most running requests at
// once. As many again may wait for their turn, in order of arrival, for up to
// wait each; what is beyond that is answered 503 with Retry-After at once.
// Overload then costs some requests, and not the memory and latency of all. A
// client that goes away stops waiting.
//
// Responses that last, such as event streams and WebSockets, hold their place
// all the time: give them a server path outside, with a limit of its own. So
// should health endpoints be, or an overloaded server looks dead and is
// restarted:
//
//	mux := http.NewServeMux()
//	mux.Handle("GET /healthz", health)
//	mux.Handle("/", backend.Stack(backend.StackConfig{})(app))
//
// A running below 1 or a wait of 0 or less panics.
func ConcurrencyLimit(running int, wait time.Duration) Middleware {
	must("ConcurrencyLimit", checkRunning(running), checkTime("queue wait", wait))
	return layer(newAdmission(running, wait).serve)
}

func checkRunning(n int) error {
	if n < 1 {
		return fmt.Errorf("concurrency limit %d is below 1", n)
	}
	return nil
}

// defaultRunning is the default of StackConfig.MaxConcurrent: requests mostly
// wait for a database, so far more may run than there are processors.
func defaultRunning() int { return max(256, 128*runtime.GOMAXPROCS(0)) }

// admission is a semaphore with a bounded queue. A channel's senders wait in
// order of arrival.
type admission struct {
	places  chan struct{}
	waiting atomic.Int64
	wait    time.Duration
}

func newAdmission(running int, wait time.Duration) *admission {
	return &admission{places: make(chan struct{}, running), wait: wait}
}

func (a *admission) serve(x *exchange, w http.ResponseWriter, r *http.Request, next http.Handler) {
	if err := a.enter(r.Context()); err != nil {
		WriteError(w, r, err)
		return
	}
	defer a.leave()
	next.ServeHTTP(w, r)
}

func (a *admission) enter(ctx context.Context) error {
	select {
	case a.places <- struct{}{}:
		return nil
	default:
		return a.queue(ctx)
	}
}

func (a *admission) leave() { <-a.places }

var (
	errQueueFull = errors.New("concurrency limit: queue is full")
	errQueueWait = errors.New("concurrency limit: waited too long")
)

func (a *admission) queue(ctx context.Context) error {
	defer a.waiting.Add(-1)
	if a.waiting.Add(1) > int64(cap(a.places)) {
		return a.overloaded(errQueueFull)
	}
	timer := time.NewTimer(a.wait)
	defer timer.Stop()
	select {
	case a.places <- struct{}{}:
		return nil
	case <-timer.C:
		return a.overloaded(errQueueWait)
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (a *admission) overloaded(cause error) error {
	return (&Error{
		Code:       Unavailable,
		Message:    "The server is busy; try again later.",
		RetryAfter: max(a.wait, time.Second),
	}).Wrap(cause)
}
