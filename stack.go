package backend

import (
	"cmp"
	"fmt"
	"log/slog"
	"net/http"
	"time"
)

// This file puts the middleware of the other files in order. It is the only one
// that knows all of them; each works alone, too, beside net/http or chi.

// StackConfig configures [Stack]. The zero value switches on everything that
// needs no knowledge about the application. Negative numbers and invalid values
// panic, all of them in one message.
type StackConfig struct {
	// Logger gets the access log. Defaults to [slog.Default], as it is when a
	// request ends.
	Logger *slog.Logger
	// TrustedProxies lists the reverse proxies in front, for [TrustProxies]. Defaults
	// to none.
	TrustedProxies []string
	// Hosts lists the hosts that are served, for [Hosts]. Defaults to any that is
	// well-formed; name them in production.
	Hosts []string
	// Headers configures [SecureHeaders].
	Headers HeadersConfig
	// CORS lists other origins whose scripts may read responses, for [CORS].
	// Defaults to none.
	CORS CORSConfig
	// TrustedOrigins lists other origins whose pages may send requests that change
	// something, with the user's cookies, for [CrossOrigin]. Defaults to none.
	// Origins of CORS need not be repeated.
	TrustedOrigins []string
	// MaxBody limits request bodies, in bytes. Defaults to 1 MiB. A route that
	// needs another limit wraps its handler with [BodyLimit].
	MaxBody int64
	// Timeout limits the time of a request, waiting included. Defaults to 10
	// seconds. A route that needs another limit wraps its handler with [TimeLimit].
	Timeout time.Duration
	// MaxConcurrent limits how many requests run at once; as many again may wait,
	// see [ConcurrencyLimit]. Defaults to 128 per processor, at least 256.
	MaxConcurrent int
	// QueueWait is how long a request waits for its turn. Defaults to 1 second.
	QueueWait time.Duration
	// RequestsPerMinute limits the rate per client address, see [RateLimit].
	// Defaults to no limit: behind a proxy that TrustedProxies does not know, all
	// clients have one address.
	RequestsPerMinute int
	// NoCompression switches [Compress] off, for when a proxy compresses.
	NoCompression bool
}

// Stack returns the default middleware in its order, from the outside in:
//
//  1. [Recover], [RequestID], [AccessLog]: whatever follows is answered and logged;
//  2. [TrustProxies]: who asks, by which host and scheme;
//  3. [SecureHeaders]: on every answer, refusals of the steps below included;
//  4. TRACE and CONNECT are answered 501: no handler here means them;
//  5. [Hosts];
//  6. [CORS], if there are origins: so that scripts can read refusals, too;
//  7. [BodyLimit], [TimeLimit], [ConcurrencyLimit], and [RateLimit] if configured;
//  8. [CrossOrigin];
//  9. [Compress].
//
// The time limit is counted from the start. Everything shares one response
// wrapper and one copy of the request, whatever the number of steps.
//
// Health endpoints belong outside, see [ConcurrencyLimit].
func Stack(config StackConfig) Middleware {
	steps, timeout := config.steps()
	return func(next http.Handler) http.Handler {
		for i := len(steps) - 1; i >= 0; i-- {
			next = steps[i](next)
		}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			x, w, r, made := enter(w, r)
			if made {
				timeout.start(x)
				defer x.time.stack.End()
			}
			next.ServeHTTP(w, r)
			if made {
				x.response.End()
			}
		})
	}
}

// steps returns the middleware of the stack, outermost first, or panics.
func (c StackConfig) steps() ([]Middleware, *stackTimeout) {
	c = c.withDefaults()
	headers, headersErr := newHeaderSet(c.Headers)
	proxies, proxiesErr := newProxies(c.TrustedProxies)
	hosts, hostsErr := newHosts(c.Hosts)
	cors, corsErr := newCORS(c.CORS)
	origins, originsErr := newCrossOrigin(c.TrustedOrigins, cors)
	must("Stack", headersErr, proxiesErr, hostsErr, corsErr, originsErr,
		checkBody(c.MaxBody), checkTime("Timeout", c.Timeout), checkRunning(c.MaxConcurrent), checkTime("QueueWait", c.QueueWait),
		checkPerMinute(c.RequestsPerMinute))

	timeout := &stackTimeout{c.Timeout}
	steps := []Middleware{Recover(), RequestID(), AccessLog(c.Logger), layer(proxies.serve), layer(headers.serve), layer(refuseTrace), layer(hosts.serve)}
	if len(c.CORS.Origins) > 0 {
		steps = append(steps, layer(cors.serve))
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

// refuseTrace answers the methods that no handler means and that ServeMux would
// hand to one: TRACE echoes headers to scripts [ASVS 5.0 13.4.4], CONNECT is for
// proxies.
func refuseTrace(x *exchange, w http.ResponseWriter, r *http.Request, next http.Handler) {
	if r.Method == http.MethodTrace || r.Method == http.MethodConnect {
		WriteError(w, r, Errorf(Unimplemented, "This server does not do %s.", r.Method))
		return
	}
	next.ServeHTTP(w, r)
}

// stackTimeout is the time limit of a stack. It begins with the exchange, so
// that the request need not be copied again for a context of its own.
type stackTimeout struct{ d time.Duration }

// start gives a new exchange's context the limit. Nobody may have seen the
// exchange yet.
func (s *stackTimeout) start(x *exchange) {
	outside := x.request.Context()
	x.time.setBy = &s.d
	x.time.stack.Begin(outside, time.Now().Add(s.d))
	x.Context = &x.time.stack
	x.time.limited, x.time.unlimited = x, outside
}

// middleware is TimeLimit at its place in the stack. Where the exchange is older
// than the stack, the limit did not begin with it.
func (s *stackTimeout) middleware(next http.Handler) http.Handler {
	otherwise := TimeLimit(s.d)(next)
	return layer(func(x *exchange, w http.ResponseWriter, r *http.Request, next http.Handler) {
		if x.time.setBy != &s.d {
			otherwise.ServeHTTP(w, r)
			return
		}
		serveWithin(s.d, w, r, next)
	})(next)
}
