package backend

import (
	"cmp"
	"fmt"
	"log/slog"
	"net/http"
	"time"
)

// This file puts the middleware of the other files in order. No other file knows more
// than one of them: each also works alone, with net/http or chi.

// StackConfig configures [Stack]. The zero value enables all middleware that needs
// no configuration.
type StackConfig struct {
	// Logger is the logger of [AccessLog]. Defaults to [slog.Default] as it is when a
	// request ends.
	Logger *slog.Logger
	// TrustedProxies lists the reverse proxies in front of the server, see
	// [TrustProxies]. Defaults to none.
	TrustedProxies []string
	// Hosts lists the hosts that are served, see [Hosts]. Defaults to all that are
	// well-formed; list them in production.
	Hosts []string
	// Headers configures [SecureHeaders].
	Headers HeadersConfig
	// CORS allows scripts of other origins to read responses, see [CORS]. Defaults to
	// no origin.
	CORS CORSConfig
	// TrustedOrigins lists other origins whose pages may send requests that change
	// something, with the user's cookies, see [CrossOrigin]. Defaults to none. Origins
	// of CORS need not be listed again.
	TrustedOrigins []string
	// Errors replaces the format of error responses, see [Errors]. Defaults to problems
	// (RFC 9457) for programs, and a page for people.
	Errors ErrorsConfig
	// MaxBody is the limit of request bodies in bytes. Defaults to 1 MiB. An operation has
	// its own limit by the option [MaxBody]. For another limit of a handler, wrap it with
	// [BodyLimit].
	MaxBody int64
	// Timeout is the limit of the time of a request, including QueueWait. Defaults to
	// 10 seconds. For another limit of a route, wrap its handler with [TimeLimit].
	Timeout time.Duration
	// MaxConcurrent is how many requests run at once; as many others wait, and there are
	// 16 times as many streams, see [ConcurrencyLimit]. Defaults to 128 for each
	// processor, or 256 if that is more.
	MaxConcurrent int
	// QueueWait is how long a request waits while MaxConcurrent others run. Defaults to
	// 1 second.
	QueueWait time.Duration
	// RequestsPerMinute is the limit of requests per minute of each client address, see
	// [RateLimit]. Defaults to no limit: behind a proxy that TrustedProxies does not
	// list, all clients have one address.
	RequestsPerMinute int
	// NoCompression disables [Compress]. Set it if a proxy compresses.
	NoCompression bool
}

// Stack returns the middleware of this package in the order in which it works, from
// the outermost to the innermost:
//
//  1. [Errors], if configured; [Recover], [RequestID], [AccessLog]: all requests are
//     answered and logged;
//  2. [TrustProxies]: the steps below use the client's address, scheme and host;
//  3. [SecureHeaders]: for all responses, also those of the steps below;
//  4. TRACE and CONNECT are answered 501, and requests with two Authorization headers,
//     or with two headers of one Content- name that differ, 400;
//  5. [Hosts];
//  6. [CORS], if there are origins: scripts can also read the error responses of the
//     steps below;
//  7. [BodyLimit], [TimeLimit], [ConcurrencyLimit], and [RateLimit] if configured;
//  8. [CrossOrigin];
//  9. [Compress].
//
// The time limit begins with the first step. All steps share one response wrapper
// and one copy of the request.
//
// Serve health endpoints outside, see [Health.Middleware].
//
// Stack panics if numbers of the configuration are negative or other values are
// invalid, with all of them in one message.
func Stack(config StackConfig) Middleware {
	steps, timeout := config.steps()
	return func(next http.Handler) http.Handler {
		for i := len(steps) - 1; i >= 0; i-- {
			next = steps[i](next)
		}
		first := stepOf(next)
		return stacked{next, func(w http.ResponseWriter, r *http.Request) {
			x, w, r, made := ensureExchange(w, r)
			if made {
				timeout.start(x)
				defer x.time.stack.End()
			}
			first.serve(x, w, r)
			if made {
				x.response.End()
			}
		}}
	}
}

// stacked is a handler with a Stack around it.
type stacked struct {
	inside http.Handler // the steps
	http.HandlerFunc
}

func (s stacked) inner() http.Handler { return s.inside }

func (s stacked) answersPreflights() bool { return answersPreflights(s.inside) }

// steps returns the middleware of the stack, outermost first, or panics.
func (c StackConfig) steps() ([]Middleware, *stackTimeout) {
	c = c.withDefaults()
	headers, headersErr := newHeaderSet(c.Headers)
	proxies, proxiesErr := newProxies(c.TrustedProxies)
	hosts, hostsErr := newHosts(c.Hosts)
	cors, corsErr := newCORS(c.CORS)
	origins, originsErr := newCrossOrigin(c.TrustedOrigins, cors)
	must("Stack", c.Errors.check(), headersErr, proxiesErr, hostsErr, corsErr, originsErr,
		checkBody(c.MaxBody), checkTime("Timeout", c.Timeout), checkRunning(c.MaxConcurrent), checkTime("QueueWait", c.QueueWait),
		checkPerMinute(c.RequestsPerMinute))

	timeout := &stackTimeout{c.Timeout}
	var steps []Middleware
	if c.Errors.replaces() {
		steps = append(steps, Errors(c.Errors))
	}
	steps = append(steps, Recover(), RequestID(), AccessLog(c.Logger), layer(proxies.serve), layer(headers.serve), layer(refuse), layer(hosts.serve))
	if len(c.CORS.Origins) > 0 {
		steps = append(steps, cors.middleware)
	}
	steps = append(steps, BodyLimit(c.MaxBody), timeout.middleware, ConcurrencyLimit(c.MaxConcurrent, c.QueueWait))
	if c.RequestsPerMinute > 0 {
		steps = append(steps, RateLimit(c.RequestsPerMinute, time.Minute))
	}
	// Sessions come here: after the limits, before anything that reads the caller.
	steps = append(steps, layer(origins.serve))
	if !c.NoCompression {
		steps = append(steps, Compress())
	}
	return steps, timeout
}

func (c StackConfig) withDefaults() StackConfig {
	c.MaxBody = cmp.Or(c.MaxBody, 1<<20)
	c.Timeout = cmp.Or(c.Timeout, 10*time.Second)
	c.MaxConcurrent = cmp.Or(c.MaxConcurrent, defaultRunning())
	c.QueueWait = cmp.Or(c.QueueWait, time.Second)
	return c
}

func checkPerMinute(n int) error {
	switch {
	case n < 0:
		return fmt.Errorf("RequestsPerMinute %d is negative", n)
	case n > 0:
		return checkRate(n, time.Minute)
	}
	return nil
}

// refuse answers 501 to TRACE, which would show scripts the headers of a request [ASVS
// 5.0 13.4.4], and to CONNECT, which is for proxies. A ServeMux would call handlers for
// them. It answers 400 to requests that say two things.
func refuse(x *exchange, w http.ResponseWriter, r *http.Request, next nextStep) {
	err := checkAmbiguous(r.Header)
	x.checked = r.Header
	if r.Method == http.MethodTrace || r.Method == http.MethodConnect {
		err = Errorf(Unimplemented, "This server does not do %s.", r.Method)
	}
	if err != nil {
		WriteError(w, r, err)
		return
	}
	next.serve(x, w, r)
}

// stackTimeout is the time limit of a Stack. It is set when the exchange is made, so
// that the request is not copied once more for another context.
type stackTimeout struct{ d time.Duration }

// start sets the limit of a new exchange, before a handler has its context.
func (s *stackTimeout) start(x *exchange) {
	outside := x.request.Context()
	x.time.setBy = &s.d
	x.log.start = time.Now()
	x.time.stack.Begin(outside, x.log.start.Add(s.d), x.clock())
	x.Context = &x.time.stack
	x.time.limited, x.time.unlimited = x, outside
}

// middleware is the TimeLimit of the Stack. If the exchange was made outside of the
// Stack, start has not set the limit, and middleware does.
func (s *stackTimeout) middleware(next http.Handler) http.Handler {
	otherwise := TimeLimit(s.d)(next)
	return layer(func(x *exchange, w http.ResponseWriter, r *http.Request, next nextStep) {
		if x.time.setBy != &s.d {
			otherwise.ServeHTTP(w, r)
			return
		}
		serveWithin(s.d, x, w, r, next)
	})(next)
}
