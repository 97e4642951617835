package backend

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/seed-215b9b7c/backend/internal/gcra"
)

// This file limits what one request may take: the size of its body, its time, its
// turn, and how often it may come.

// BodyLimit returns middleware that limits request bodies to limit bytes. A
// longer body makes Read return an *[http.MaxBytesError], which [WriteError]
// answers with 413, and closes the connection afterwards. A body whose
// Content-Length is over the limit fails at the first Read: nothing of it is
// read, and a client that asks first with Expect: 100-continue never sends it.
//
// The innermost BodyLimit counts, so that a route can have more than the stack
// allows, or less:
//
//	r.Handle("PUT /photos/{id}", backend.BodyLimit(32<<20)(photos))
//
// That is why the length is judged when the handler reads, not when the request
// arrives. A handler that does not read its body is not refused one.
//
// Reading fails with [Malformed] if the body is broken off or badly framed. A
// limit below 0 panics; 0 allows no body at all.
func BodyLimit(limit int64) Middleware {
	must("BodyLimit", checkBody(limit))
	return layer(func(x *exchange, w http.ResponseWriter, r *http.Request, next http.Handler) {
		x.body.SetLimit(limit)
		if x.body.Begin(r, bodyError) {
			x.response.Before(closesAfterTooMuch{x})
			r.Body = &x.body // r is the exchange's own copy or one made after it
		}
		next.ServeHTTP(w, r)
	})
}

func checkBody(limit int64) error {
	if limit < 0 {
		return fmt.Errorf("body limit %d is negative", limit)
	}
	return nil
}

// limitBody sets the limit of the request's body anew, as a BodyLimit inside all
// others does. Without a BodyLimit around it does nothing.
func limitBody(w http.ResponseWriter, r *http.Request, limit int64) {
	if x := exchangeOf(r.Context(), w); x != nil {
		x.body.SetLimit(limit)
	}
}

// closesAfterTooMuch is the hook that closes the connection of a request whose body
// is over the limit, since the rest of the body is not read.
type closesAfterTooMuch struct{ x *exchange }

func (c closesAfterTooMuch) BeforeHeader(head http.Header) error {
	if c.x.body.TooLong() && c.x.client.http1 {
		head["Connection"] = connectionClose
	}
	return nil
}

var connectionClose = []string{"close"}

// bodyError says whose fault it is that a body cannot be read: the client's, or
// of time.
func bodyError(err error) error {
	var known *Error
	switch {
	case err == nil || err == io.EOF || errors.As(err, &known):
		return err
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return (&Error{Code: Timeout, Message: "The request body did not arrive in time."}).Wrap(err)
	case errors.Is(err, context.Canceled):
		return err
	}
	return (&Error{Code: Malformed, Message: "The request body is not complete."}).Wrap(err)
}

// TimeLimit returns middleware that gives a handler the time d: its context
// ends then, so that everything which waits with that context stops waiting. A
// handler that returns because of it answers 504, through [WriteError] or by
// writing nothing.
//
// It also moves the connection's deadlines, where the server would cut the
// request earlier or not at all: a request body must have arrived a second
// after d, a response must be gone 30 seconds after d. So slow bodies and slow
// readers are cut, and a route that is given more time has it.
//
// The innermost TimeLimit counts, so that a route can have more time than the
// stack allows, or less; unless other middleware between the two has shortened
// the context, which stays in force. Event streams, long polls and WebSockets
// need a long limit, not none: every wait ends.
//
//	r.Handle("GET /events", backend.TimeLimit(time.Hour)(events))
//
// Handlers run on the goroutine of the request, unlike with
// [http.TimeoutHandler]: one that ignores its context runs on, and its answer is
// sent when it is done. A limit of 0 or less panics.
func TimeLimit(d time.Duration) Middleware {
	must("TimeLimit", checkTime("time limit", d))
	return layer(func(x *exchange, w http.ResponseWriter, r *http.Request, next http.Handler) {
		ctx, cancel := x.limit(r.Context(), d)
		defer cancel()
		outer, outside := x.time.limited, x.time.unlimited
		x.time.limited = ctx
		if outside == nil {
			x.time.unlimited = r.Context()
		}
		defer func() { x.time.limited, x.time.unlimited = outer, outside }()
		serveWithin(d, w, r.WithContext(ctx), next)
	})
}

func checkTime(what string, d time.Duration) error {
	if d <= 0 {
		return fmt.Errorf("%s %v is not positive", what, d)
	}
	return nil
}

// limit returns ctx with the limit d in place of an outer TimeLimit's, or on top
// of whatever else limits it.
func (x *exchange) limit(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	if x.time.limited == nil || ctx.Done() != x.time.limited.Done() {
		return context.WithTimeout(ctx, d)
	}
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), d)
	stop := context.AfterFunc(x.time.unlimited, cancel)
	return limited, func() { stop(); cancel() }
}

const (
	bodyGrace   = time.Second      // so that the context ends first and says why
	answerGrace = 30 * time.Second // for an answer written at the last moment
)

// serveWithin runs a handler whose context ends after d.
func serveWithin(d time.Duration, w http.ResponseWriter, r *http.Request, next http.Handler) {
	moveDeadlines(d, w, r)
	next.ServeHTTP(w, r)
	x := exchangeFrom(r.Context())
	if x.response.Status() == 0 && !x.response.Begun() && errors.Is(r.Context().Err(), context.DeadlineExceeded) {
		WriteError(w, r, context.DeadlineExceeded)
	}
}

// moveDeadlines fits the connection's deadlines to the limit. A server sets its
// own before the handler runs; only those that do not fit are moved. Errors are
// those of connections without deadlines.
func moveDeadlines(d time.Duration, w http.ResponseWriter, r *http.Request) {
	server, _ := r.Context().Value(http.ServerContextKey).(*http.Server)
	if server == nil {
		return
	}
	if r.Body != nil && r.Body != http.NoBody {
		http.NewResponseController(w).SetReadDeadline(time.Now().Add(d + bodyGrace))
	}
	if server.WriteTimeout < d+answerGrace {
		http.NewResponseController(w).SetWriteDeadline(time.Now().Add(d + answerGrace))
	}
}

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

var (
	errQueueFull = errors.New("concurrency limit: queue is full")
	errQueueWait = errors.New("concurrency limit: waited too long")
)

// RateLimit returns middleware that lets each client address make requests
// requests per period: all of them at once, then one more each time its share
// of the period has passed (GCRA, which is a leaky bucket without a timer). What
// is beyond that is answered 429 with Retry-After.
//
// An IPv6 client counts by its /64, the smallest network a site gets; an IPv4
// client by its address, which may stand for many people behind one gateway.
// Behind a reverse proxy every client has the proxy's address unless [TrustProxies]
// is outside. Clients without an address, on a unix socket, count as one.
//
// Memory is 1 MiB however many addresses there are, because counters are shared
// by chance (see internal/gcra): nobody can make the limiter forget by flooding
// it from other addresses. A flood from tens of thousands of networks, each at
// its own limit, can limit others too early.
//
// Limits hold per process. Both values must be positive, and the period long
// enough to divide; else it panics.
func RateLimit(requests int, period time.Duration) Middleware {
	must("RateLimit", checkRate(requests, period))
	limiter := gcra.New(period/time.Duration(requests), requests)
	return layer(func(x *exchange, w http.ResponseWriter, r *http.Request, next http.Handler) {
		key := rateKey(x.client.addr)
		if wait, ok := limiter.Allow(key[:], time.Now()); !ok {
			WriteError(w, r, &Error{Code: RateLimited, RetryAfter: wait})
			return
		}
		next.ServeHTTP(w, r)
	})
}

func checkRate(requests int, period time.Duration) error {
	switch {
	case requests < 1:
		return fmt.Errorf("rate limit of %d requests is below 1", requests)
	case period <= 0:
		return fmt.Errorf("rate limit period %v is not positive", period)
	case period/time.Duration(requests) < time.Microsecond:
		return fmt.Errorf("rate limit of %d requests per %v is over a million a second, which is none", requests, period)
	case period > 365*24*time.Hour:
		return fmt.Errorf("rate limit period %v is over a year", period)
	}
	return nil
}

// rateKey returns what counts as one client: an IPv4 address or an IPv6 /64.
// IPv4 is written as IPv4-mapped IPv6, which no IPv6 client can have.
func rateKey(client netip.Addr) [16]byte {
	key := client.As16()
	if client.Is6() && !client.Is4In6() {
		clear(key[8:])
	}
	return key
}
