package backend

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-215b9b7c/backend/internal/lazyctx"
)

// This file has what all middleware shares: its type, and the exchange that one
// request and its response are known by.

// Middleware wraps a handler with something that happens before or after it. It
// is the type that net/http users already write, under a name.
type Middleware = func(http.Handler) http.Handler

// must panics with every mistake of a configuration at once.
func must(what string, errs ...error) {
	if err := errors.Join(errs...); err != nil {
		panic("backend: " + what + ": " + strings.ReplaceAll(err.Error(), "\n", "; "))
	}
}

// RequestIDFrom returns the id that [RequestID] gave to the request, or "".
func RequestIDFrom(ctx context.Context) string {
	if x := exchangeFrom(ctx); x != nil {
		return x.id
	}
	return ""
}

// traceIDFrom returns the W3C trace id of the request, or "".
func traceIDFrom(ctx context.Context) string {
	if x := exchangeFrom(ctx); x != nil {
		return x.trace
	}
	return ""
}

// ClientIP returns the address of the client that sent the request: the peer,
// or behind trusted [TrustProxies] what they say. IPv4 is never mapped into IPv6. It
// is the zero Addr if there is none, as on a unix socket, or if no middleware
// of this package is around the handler.
func ClientIP(ctx context.Context) netip.Addr {
	if x := exchangeFrom(ctx); x != nil {
		return x.client
	}
	return netip.Addr{}
}

// exchange is what the package knows about one request and its response. The
// first middleware that needs it puts it into the request's context, once;
// everything after shares it, so that a full stack copies the request once and
// not once per middleware. It belongs to one request and is never reused.
//
// It is three things in one allocation: the request's context, the state of the
// response that handlers write to (response.go), and the request's body under
// its limit (limits.go). Unless a field says otherwise it is written by the
// goroutine that serves the request only.
type exchange struct {
	context.Context                 // the context the request came with, or &timeout
	arrived         context.Context // the context the request came with
	timeout         lazyctx.Context // used by Stack
	limitedBy       *stackTimeout   // who set timeout up, nil if nobody

	// What is known about the request.
	id       string // request id, empty without RequestID
	idHeader [1]string
	trace    string     // W3C trace id, empty without a valid traceparent
	client   netip.Addr // who asks; invalid if the peer has no IP address
	https    bool       // the client speaks TLS, to us or to a trusted proxy
	http1    bool
	head     bool   // a HEAD request: its body is never sent
	pattern  string // pattern of the route that matched, set by Router

	// What was logged, and by whom.
	err      error // what WriteError answered with, for the access log
	logger   *slog.Logger
	logs     bool // an access log will write this request's record
	recovers bool // Recover is outside and ends a panicking request
	aborted  bool // the handler panicked
	start    time.Time

	// The response; see response.go.
	w         http.ResponseWriter
	writing   sync.Mutex // guards compressor against a handler that outlives its request
	status    int        // what the handler asked for, 0 before
	bytes     int64      // body bytes handed to w
	committed bool       // the header went to w
	hijacked  bool
	finished  bool
	cors      bool         // Vary: Origin is due
	headers   *headerSet   // nil without SecureHeaders
	coding    *compression // nil without Compress
	accept    []string     // the request's Accept-Encoding
	ranged    bool         // the request asks for a range
	compress  *compressor  // while this response is compressed or held back
	encoded   bool         // the body is compressed
	versioned bool         // whoever set the ETag knows it again as etag.Coded has it
	nonceOnce sync.Once
	nonce     string

	// The request's body; see limits.go.
	body     io.ReadCloser
	declared int64 // Content-Length, -1 if unknown
	maxBody  int64
	bodyRead int64
	bodyErr  error
	tooLarge atomic.Bool // the body hit its limit: close the connection

	// The limits of TimeLimit: the context that carries ours, and the one
	// outside of it.
	limited, unlimited context.Context
}

type exchangeKey struct{}

// Value makes the exchange findable in its own context.
func (x *exchange) Value(key any) any {
	switch key.(type) {
	case exchangeKey:
		return x
	case factsKey:
		return describer(x)
	}
	return x.Context.Value(key)
}

// describe describes events of a request that calls no operation.
func (x *exchange) describe(e *Event) { e.RequestID, e.TraceID = x.id, x.trace }

// exchangeFrom returns the exchange in ctx, or nil.
func exchangeFrom(ctx context.Context) *exchange {
	x, _ := ctx.Value(exchangeKey{}).(*exchange)
	return x
}

func newExchange(r *http.Request) *exchange {
	ctx := r.Context()
	return &exchange{
		Context:  ctx,
		arrived:  ctx,
		client:   peerAddr(r.RemoteAddr),
		https:    r.TLS != nil,
		http1:    r.ProtoMajor == 1,
		head:     r.Method == http.MethodHead,
		declared: r.ContentLength,
	}
}

// enter returns the exchange that w and r share, with the response and the
// request to go on with; made says that there was none before. An exchange in
// the context whose response is another one than w belongs to somebody else: to
// the request around this one, or to the other side of a wrapper that cannot be
// unwrapped and may run us on another goroutine, as [http.TimeoutHandler] does.
// Then this request gets an exchange of its own under the same id.
func enter(w http.ResponseWriter, r *http.Request) (x *exchange, _ http.ResponseWriter, _ *http.Request, made bool) {
	around := exchangeFrom(r.Context())
	if around != nil && responseOf(w) == around {
		return around, w, r, false
	}
	x = newExchange(r)
	if around != nil {
		x.id, x.trace, x.client, x.https = around.id, around.trace, around.client, around.https
	}
	x.w = w
	return x, x.view(), r.WithContext(x), true
}

// layer makes a Middleware of a step that works on the exchange.
func layer(step func(x *exchange, w http.ResponseWriter, r *http.Request, next http.Handler)) Middleware {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			x, w, r, _ := enter(w, r)
			step(x, w, r, next)
		})
	}
}

// peerAddr returns the IP address of a RemoteAddr, or the zero Addr.
func peerAddr(remote string) netip.Addr {
	if at, err := netip.ParseAddrPort(remote); err == nil {
		return at.Addr().Unmap().WithZone("")
	}
	addr, _ := netip.ParseAddr(remote)
	return addr.Unmap().WithZone("")
}
