package backend

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/netip"
	"os"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/seed-215b9b7c/backend/internal/gcra"
)

// This file limits requests: the length of the body, the time, how many run at once,
// and how many come from one client.

// BodyLimit returns middleware that limits request bodies to limit bytes. Reading
// more returns an *[http.MaxBytesError], which [WriteError] answers with 413, and
// the connection is closed after the response. If the Content-Length is over the
// limit, the first Read returns that error and reads nothing: a client that has sent
// Expect: 100-continue never sends the body.
//
// The innermost BodyLimit counts, so that a route can have a larger or smaller limit
// than the stack:
//
//	r.Handle("PUT /photos/{id}", backend.BodyLimit(32<<20)(photos))
//
// For that reason the length is checked when the handler reads the body, and not at
// all if it does not.
//
// If the body ends early or is malformed, reading returns an [Error] with the code
// [Malformed]; if it does not arrive in time, one with the code [RequestTimeout].
//
// A limit of 0 allows no body. BodyLimit panics if the limit is negative.
func BodyLimit(limit int64) Middleware {
	must("BodyLimit", checkBody(limit))
	return layer(func(x *exchange, w http.ResponseWriter, r *http.Request, next http.Handler) {
		x.body.SetLimit(limit)
		x.beginBody(r)
		next.ServeHTTP(w, r)
	})
}

// beginBody makes x.body the body of r, unless it is already or r has none.
func (x *exchange) beginBody(r *http.Request) (begun bool) {
	begun = x.body.Begin(r, bodyError)
	if begun {
		x.response.Before(closesAfterTooMuch{x})
		r.Body = &x.body // r is the exchange's own copy or one made after it
	}
	return begun
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

// bodyError returns the error of reading a body as an Error: the client's, or that
// it took too long.
func bodyError(err error) error {
	var known *Error
	switch {
	case err == nil || err == io.EOF || errors.As(err, &known):
		return err
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return lateBody.Wrap(err)
	case errors.Is(err, context.Canceled):
		return err
	}
	return (&Error{Code: Malformed, Message: "The request body is not complete."}).Wrap(err)
}

// TimeLimit returns middleware that limits the time of the handler to d. The context
// of the request ends after d, so that whatever waits with it returns. If the
// handler then returns without writing, or calls [WriteError] with the context's
// error, the response is 504. It is 408 if the handler reads a request body that has
// not arrived, and returns without writing or with the error: the client is slow, and
// not the program.
//
// TimeLimit also sets deadlines of the connection: for reading the request body to
// one second after d; for writing the response to 30 seconds after d, unless the
// server has a longer WriteTimeout. So slow clients do not keep a connection,
// and a route with a longer limit has the time.
//
// The innermost TimeLimit counts, so that a route can have a longer or shorter limit
// than the stack. If other middleware between two TimeLimits limits the context,
// that limit holds, too. Event streams, long polls and WebSockets need a long limit:
//
//	r.Handle("GET /events", backend.TimeLimit(time.Hour)(events))
//
// The handler runs on the goroutine of the request, unlike with
// [http.TimeoutHandler]. If it ignores the context, it runs on, and its response is
// sent when it returns.
//
// TimeLimit panics if d is not positive.
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

// limit returns ctx with the limit d. It replaces the limit of an outer TimeLimit,
// unless something else has limited ctx since.
func (x *exchange) limit(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	if x.time.limited == nil || ctx.Done() != x.time.limited.Done() {
		return context.WithTimeout(ctx, d)
	}
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), d)
	stop := context.AfterFunc(x.time.unlimited, cancel)
	return limited, func() { stop(); cancel() }
}

const (
	bodyGrace   = time.Second      // the context ends first, and its error is answered
	answerGrace = 30 * time.Second // for a response that is written at the end of the limit
)

// serveWithin runs a handler whose context ends after d.
func serveWithin(d time.Duration, w http.ResponseWriter, r *http.Request, next http.Handler) {
	moveDeadlines(d, w, r)
	next.ServeHTTP(w, r)
	x := exchangeFrom(r.Context())
	ended := r.Context().Err() // a late body cancels the context of the server
	if x.response.Status() == 0 && !x.response.Begun() && ended != nil && (errors.Is(ended, context.DeadlineExceeded) || x.body.Late()) {
		WriteError(w, r, x.whoseTimeout(ended))
	}
}

// moveDeadlines sets the connection's deadlines for the limit d. The server has set
// its own before the handler runs. Connections without deadlines return errors,
// which are ignored.
func moveDeadlines(d time.Duration, w http.ResponseWriter, r *http.Request) {
	server, _ := r.Context().Value(http.ServerContextKey).(*http.Server)
	if server == nil {
		return
	}
	if r.Body != nil && r.Body != http.NoBody {
		if x := exchangeFrom(r.Context()); x.beginBody(r) { // to tell a late body from a late handler
			x.body.SetLimit(math.MaxInt64)
		}
		http.NewResponseController(w).SetReadDeadline(time.Now().Add(d + bodyGrace))
	}
	if server.WriteTimeout < d+answerGrace {
		http.NewResponseController(w).SetWriteDeadline(time.Now().Add(d + answerGrace))
	}
}

// ConcurrencyLimit returns middleware that runs at most running requests at once. As
// many others wait, in order of arrival, each for at most wait. All further requests
// are answered 503 with Retry-After at once: an overload costs some requests, and not
// the memory and latency of all. A request whose client closes the connection
// stops waiting.
//
// Long responses, such as event streams and WebSockets, count as long as they last:
// serve them outside, with a limit of their own. Serve health endpoints outside, too,
// or an overloaded server looks dead and is restarted:
//
//	mux := http.NewServeMux()
//	mux.Handle("GET /healthz", health)
//	mux.Handle("/", backend.Stack(backend.StackConfig{})(app))
//
// ConcurrencyLimit panics if running is below 1 or wait is not positive.
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

// defaultRunning is the default of StackConfig.MaxConcurrent. It is far more than
// there are processors: requests mostly wait for a database.
func defaultRunning() int { return max(256, 128*runtime.GOMAXPROCS(0)) }

// admission is a semaphore with a bounded queue. The senders of a channel wait in
// order of arrival.
type admission struct {
	slots   chan struct{}
	waiting atomic.Int64
	wait    time.Duration
}

func newAdmission(running int, wait time.Duration) *admission {
	return &admission{slots: make(chan struct{}, running), wait: wait}
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
	case a.slots <- struct{}{}:
		return nil
	default:
		return a.queue(ctx)
	}
}

func (a *admission) leave() { <-a.slots }

func (a *admission) queue(ctx context.Context) error {
	defer a.waiting.Add(-1)
	if a.waiting.Add(1) > int64(cap(a.slots)) {
		return a.overloaded(errQueueFull)
	}
	timer := time.NewTimer(a.wait)
	defer timer.Stop()
	select {
	case a.slots <- struct{}{}:
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

// RateLimit returns middleware that limits how many requests each client address can
// make in a period. A client can make all requests at once, and then one more each
// time that period/requests has passed (GCRA, a leaky bucket without a timer).
// Further requests are answered 429 with Retry-After.
//
// IPv6 clients with the same first 64 bits count as one, since a site has at least
// that network. IPv4 clients count by address, which many people behind one gateway
// can share. Behind a reverse proxy all clients have the address of the proxy, unless
// [TrustProxies] is outside. All clients without an address, on a unix socket, count
// as one.
//
// RateLimit uses 1 MiB of memory, however many clients there are: clients share
// counters at random (see internal/gcra). Requests from other addresses cannot make
// it forget a client. Tens of thousands of networks that are all at their limit can
// make it limit others too early.
//
// The limit is one of this process. RateLimit panics if requests or period is not
// positive, if the period is longer than a year, or if it allows more than a million
// requests a second.
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
		return fmt.Errorf("rate limit of %d requests per %v is over a million a second", requests, period)
	case period > 365*24*time.Hour:
		return fmt.Errorf("rate limit period %v is over a year", period)
	}
	return nil
}

// rateKey returns the key of a client: the first 64 bits of an IPv6 address, or an
// IPv4 address mapped into IPv6, which no IPv6 client has.
func rateKey(client netip.Addr) [16]byte {
	key := client.As16()
	if client.Is6() && !client.Is4In6() {
		clear(key[8:])
	}
	return key
}
