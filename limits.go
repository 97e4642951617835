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
	"strings"
	"time"

	"github.com/seed-215b9b7c/backend/internal/admission"
	"github.com/seed-215b9b7c/backend/internal/drain"
	"github.com/seed-215b9b7c/backend/internal/english"
	"github.com/seed-215b9b7c/backend/internal/gcra"
	"github.com/seed-215b9b7c/backend/internal/lazyctx"
	"github.com/seed-215b9b7c/backend/internal/pace"
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
	return layer(func(x *exchange, w http.ResponseWriter, r *http.Request, next nextStep) {
		x.beginBody(r)
		x.limitBody(limit)
		next.serve(x, w, r)
	})
}

// beginBody makes x.body the body of r, unless it is already or r has none.
func (x *exchange) beginBody(r *http.Request) (begun bool) {
	if x.body == nil && hasBody(r) { // the request has arrived without
		x.body = new(requestBody)
	}
	begun = x.body != nil && x.body.Begin(r, bodyError)
	if begun {
		x.body.Pause(&x.body.clock)
		x.response.Before(closesAfterTooMuch{x})
		r.Body = x.body // r is the exchange's own copy or one made after it
	}
	return begun
}

// limitBody sets the limit of the body, if there is one.
func (x *exchange) limitBody(limit int64) {
	if x.body != nil {
		x.body.SetLimit(limit)
	}
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
		x.limitBody(limit)
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
// The time of the handler does not pass while it waits for the request body. The wait
// has a limit of its own: d and one second without progress, where each 1024 bytes that
// come give one second back. So a long upload may take its time, and a client that sends
// less than 1 KiB per second is cut. The response is limited by
// [ServerConfig.WriteTimeout]; in an [http.Server] that [Serve] does not run, in the same
// way by 30 seconds or the server's WriteTimeout if that is longer.
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
	return layer(func(x *exchange, w http.ResponseWriter, r *http.Request, next nextStep) {
		ctx, cancel := x.limit(r.Context(), d)
		defer cancel()
		outer, outside := x.time.limited, x.time.unlimited
		x.time.limited = ctx
		if outside == nil {
			x.time.unlimited = r.Context()
		}
		defer func() { x.time.limited, x.time.unlimited = outer, outside }()
		serveWithin(d, x, w, r.WithContext(ctx), next)
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
		return x.timeout(ctx, d)
	}
	unlimited := x.time.unlimited
	base, end := context.WithCancelCause(context.WithoutCancel(ctx))
	limited, cancel := x.timeout(base, d)
	stop := context.AfterFunc(unlimited, func() { end(context.Cause(unlimited)) })
	return limited, func() { stop(); cancel(); end(nil) }
}

// timeout is context.WithTimeout on the clock of the request.
func (x *exchange) timeout(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	clock := x.clock()
	if clock == nil {
		return context.WithTimeout(ctx, d)
	}
	c := new(lazyctx.Context)
	c.Begin(ctx, time.Now().Add(d), clock)
	return c, c.End
}

// clock returns the clock of the request's time limits. It is nil if the request has no
// body: nothing stops the clock then.
func (x *exchange) clock() *lazyctx.Clock {
	if x.body == nil {
		return nil
	}
	return &x.body.clock
}

// clockOf returns the clock of the request of ctx, or nil.
func clockOf(ctx context.Context) *lazyctx.Clock {
	if x := exchangeFrom(ctx); x != nil {
		return x.clock()
	}
	return nil
}

const (
	bodyGrace   = time.Second      // beyond the time of the handler
	answerGrace = 30 * time.Second // for the client of a server that Serve does not run
)

// serveWithin runs a handler whose context ends after d.
func serveWithin(d time.Duration, x *exchange, w http.ResponseWriter, r *http.Request, next nextStep) {
	if stream := x.limitWaits(d, w, r); stream != nil {
		defer stream.End()
	}
	next.serve(x, w, r)
	if x.response.Status() != 0 || x.response.Begun() {
		return
	}
	ended := r.Context().Err() // a late body cancels the context of the server
	if ended != nil && (errors.Is(ended, context.DeadlineExceeded) || x.bodyIsLate()) {
		WriteError(w, r, x.whoseTimeout(ended))
	}
}

// limitWaits limits the waits for the client to the time d of the handler. It returns
// the Stream that does so in a server that Serve does not run, unless there is one.
func (x *exchange) limitWaits(d time.Duration, w http.ResponseWriter, r *http.Request) (made *pace.Stream) {
	waits := hasBody(r)
	limiter, served := drain.LimiterOf(r.Context())
	if served && !waits {
		return nil
	}
	server, _ := r.Context().Value(http.ServerContextKey).(*http.Server)
	if server == nil {
		return nil
	}
	if waits && x.beginBody(r) { // to tell a late body from a late handler
		x.body.SetLimit(math.MaxInt64)
	}
	if stream := pace.Of(w); stream != nil {
		limiter = stream
	} else if !served {
		made = x.paced(server, waits)
		limiter = made
	}
	if waits && limiter != nil {
		limiter.LimitBody(d + bodyGrace)
	}
	return made
}

// paced puts a Stream beneath the response and the body, in place of the deadlines that
// the server has set. Connections without deadlines return errors, which are ignored.
func (x *exchange) paced(server *http.Server, hasBody bool) *pace.Stream {
	stream := pace.NewStream(x.response.Under(), bodyGrace, max(answerGrace, server.WriteTimeout))
	control := http.NewResponseController(x.response.Under())
	if server.WriteTimeout > 0 {
		control.SetWriteDeadline(time.Time{})
	}
	if hasBody {
		x.body.Wrap(stream.Body)
		control.SetReadDeadline(time.Time{})
	}
	x.response.Rebase(stream)
	return stream
}

// ConcurrencyLimit returns middleware that runs at most running requests at once. As
// many others wait, in order of arrival, each for at most wait. All further requests
// are answered 503 with Retry-After at once: an overload costs some requests, and not
// the memory and latency of all. A request whose client closes the connection
// stops waiting.
//
// Requests that wait for the network do not count as running. Streams have a limit of
// their own, 16 times running: event streams, responses that the handler has flushed,
// and hijacked connections. One client address has at most three quarters of all this.
// If requests wait for a processor, fewer of them run. The section "Overload" of the
// package documentation says more.
//
// Serve health endpoints outside, or an overloaded server looks dead and is restarted; see
// [Health.Middleware].
//
// ConcurrencyLimit panics if running is below 1 or wait is not positive.
func ConcurrencyLimit(running int, wait time.Duration) Middleware {
	must("ConcurrencyLimit", checkRunning(running), checkTime("queue wait", wait))
	gate := admission.NewGate(admission.Config{
		Places: running, Queue: running, Wait: wait, Streams: streamsPerPlace * running, Shares: true,
	})
	a := &admitter{gate: gate, processor: admission.NewProcessor(gate), retry: max(wait, time.Second)}
	return layer(a.serve)
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

// streamsPerPlace is how many streams there may be for each request that runs. They take
// memory and no time.
const streamsPerPlace = 16

// admitter is a ConcurrencyLimit.
type admitter struct {
	gate      *admission.Gate
	processor *admission.Processor
	retry     time.Duration
}

func (a *admitter) serve(x *exchange, w http.ResponseWriter, r *http.Request, next nextStep) {
	a.processor.Request(x.started())
	outer := x.load.innermost.Load()
	place := &x.load.place
	if outer != nil {
		place = new(admission.Place)
	}
	if err := place.Enter(r.Context(), a.gate, clientKey(x.client.addr), outer); err != nil {
		a.processor.Refuse(r.Context())
		WriteError(w, r, refusal(r.Context(), a.retry, err))
		return
	}
	a.processor.Yield()
	x.load.innermost.Store(place)
	defer func() {
		x.load.innermost.Store(outer)
		place.Leave()
	}()
	if outer == nil {
		x.load.retry = a.retry
		if x.beginBody(r) {
			x.body.SetLimit(math.MaxInt64)
		}
		if x.body != nil {
			x.body.Watch(network{x})
		}
		x.response.Watch(network{x})
		x.response.Before(network{x})
	}
	next.serve(x, w, r)
}

// refusal returns the error for a request that did not get a place.
func refusal(ctx context.Context, retry time.Duration, err error) error {
	if ctx.Err() == context.Canceled {
		return err
	}
	return (&Error{Code: Unavailable, Message: busyMessage, RetryAfter: retry}).Wrap(fmt.Errorf("concurrency limit: %w", err))
}

// network gives the places of a request up while it waits for the network.
type network struct{ x *exchange }

func (n network) Away() { n.x.load.innermost.Load().Away() }

// Back is for request bodies. The request can still be refused.
func (n network) Back() error {
	if err := n.x.load.innermost.Load().Back(n.x); err != nil {
		return refusal(n.x, n.x.load.retry, err)
	}
	return nil
}

// BackAtOnce is for responses.
func (n network) BackAtOnce() { n.x.load.innermost.Load().BackAtOnce() }

// Stream makes the request one of the streams.
func (n network) Stream() error {
	if n.x.load.innermost.Load().Stream() {
		return nil
	}
	return refusal(n.x, n.x.load.retry, errStreams)
}

var errStreams = errors.New("all streams are in use")

// BeforeHeader makes the request a stream if the response says that it is one.
func (n network) BeforeHeader(head http.Header) error {
	if kind := head["Content-Type"]; len(kind) > 0 && strings.HasPrefix(kind[0], "text/event-stream") {
		return n.Stream()
	}
	return nil
}

// busyMessage is what clients read that are refused because of the load.
const busyMessage = "The server is busy; try again later."

// started returns a time at the beginning of the request.
func (x *exchange) started() time.Time {
	if x.log.start.IsZero() {
		return time.Now()
	}
	return x.log.start
}

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
	return layer(func(x *exchange, w http.ResponseWriter, r *http.Request, next nextStep) {
		key := clientKey(x.client.addr)
		if wait, ok := limiter.Allow(key[:], time.Now()); !ok {
			WriteError(w, r, &Error{Code: RateLimited, RetryAfter: wait})
			return
		}
		next.serve(x, w, r)
	})
}

func checkRate(requests int, period time.Duration) error {
	switch {
	case requests < 1:
		return fmt.Errorf("rate limit of %d requests is below 1", requests)
	case period <= 0:
		return fmt.Errorf("rate limit period %v is not positive", period)
	case period/time.Duration(requests) < time.Microsecond:
		return fmt.Errorf("rate limit of %s per %v is over a million a second", english.Count(requests, "request"), period)
	case period > 365*24*time.Hour:
		return fmt.Errorf("rate limit period %v is over a year", period)
	}
	return nil
}

// clientKey returns what a client is counted by: the first 64 bits of an IPv6 address, or an
// IPv4 address mapped into IPv6, which no IPv6 client has.
func clientKey(client netip.Addr) [16]byte {
	key := client.As16()
	if client.Is6() && !client.Is4In6() {
		clear(key[8:])
	}
	return key
}
