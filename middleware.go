package backend

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"github.com/seed-215b9b7c/backend/internal/admission"
	"github.com/seed-215b9b7c/backend/internal/lazyctx"
	"github.com/seed-215b9b7c/backend/internal/limitedbody"
	"github.com/seed-215b9b7c/backend/internal/response"
)

// This file has what all middleware shares: its type, and the exchange, which has
// what the package knows about one request and its response.

// Middleware wraps a handler with something that happens before or after it. It is
// a name for the type that users of net/http write anyway.
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
		return x.name.id
	}
	return ""
}

// traceIDFrom returns the W3C trace id of the request, or "".
func traceIDFrom(ctx context.Context) string {
	if x := exchangeFrom(ctx); x != nil {
		return x.name.trace
	}
	return ""
}

// clientAndLogger returns the client's address and the logger of the access log, which
// may be nil, for the request of ctx. client is nil if the request has passed no
// middleware of this package.
func clientAndLogger(ctx context.Context) (client *netip.Addr, logger *slog.Logger) {
	x := exchangeFrom(ctx)
	if x == nil {
		return nil, nil
	}
	return &x.client.addr, x.log.logger
}

// ClientIP returns the address of the client that sent the request: the peer's, or
// the one that trusted proxies report (see [TrustProxies]). IPv4 is never mapped
// into IPv6. It returns the zero Addr if there is no address, as on a unix socket,
// or if no middleware of this package is around the handler.
func ClientIP(ctx context.Context) netip.Addr {
	if x := exchangeFrom(ctx); x != nil {
		return x.client.addr
	}
	return netip.Addr{}
}

// exchange is what the package knows about one request and its response. The first
// middleware puts it into the request's context; all others share it, so that a
// full stack copies the request once and not once for each middleware. It is one
// allocation, also with a body, belongs to one request and is never reused.
//
// Unless a field says otherwise, only the goroutine that serves the request
// writes it.
type exchange struct {
	context.Context               // the request's, or &time.stack
	request         *http.Request // as it arrived
	name            requestName
	client          client
	log             accessRecord
	response        response.Writer
	body            *requestBody // nil if the request has none
	time            timeLimits
	load            load
	page            pagePolicy
	session         any           // the *session of the innermost Sessions.Middleware, or nil
	checked         http.Header   // by [Stack]: it does not say two things
	errors          *ErrorsConfig // of the innermost Errors, or nil
	said            atomic.Pointer[reply]
	cors            *cors // the innermost CORS that allows the origin, or otherwise the outermost; nil without CORS
}

// requestName has the ids of a request in logs. RequestID sets it.
type requestName struct {
	id     string // empty without RequestID
	header [1]string
	trace  string // W3C trace id, empty without a valid traceparent
}

// client is the sender of the request. TrustProxies changes it.
type client struct {
	addr  netip.Addr // invalid if the peer has no IP address
	https bool       // the client speaks TLS, to the server or to a trusted proxy
	http1 bool

	sameOrigin bool // CrossOrigin lets the request pass
	onlyCORS   bool // it does so since CORS allows the origin, which has sent no credentials
}

// accessRecord has the values that the access log's record of the request needs.
type accessRecord struct {
	err      error  // the argument of WriteError
	pattern  string // the pattern of the route, set by Router
	logger   *slog.Logger
	pending  bool // an access log will write the record
	recovers bool // Recover is outside and ends a request that panics
	aborted  bool // the handler panicked
	start    time.Time
}

// timeLimits are the limits of Stack and of TimeLimit.
type timeLimits struct {
	stack lazyctx.Context
	setBy *time.Duration // the limit of the Stack that has started stack, or nil

	// limited is the context of the innermost TimeLimit, and unlimited the context
	// outside of it.
	limited, unlimited context.Context
}

// requestBody is the body of a request, once BodyLimit or another step has begun it.
type requestBody struct {
	limitedbody.Body
	clock lazyctx.Clock // of the time limits; it stands still while the body is waited for
}

// load says how far the work of the request is, which may have to wait for that of others.
type load struct {
	place     admission.Place                 // of the outermost ConcurrencyLimit
	innermost atomic.Pointer[admission.Place] // nil without ConcurrencyLimit
	retry     time.Duration                   // what the outermost ConcurrencyLimit tells those it refuses
	begun     atomic.Bool                     // it has had a connection to a database
}

// pagePolicy has what the headers of an HTML response need. SecureHeaders sets it.
type pagePolicy struct {
	set    *headerSet             // nil without SecureHeaders
	nonce  atomic.Pointer[string] // nil until it is needed; Nonce is safe for concurrent use
	strict bool                   // the response has Strict-Transport-Security
}

type exchangeKey struct{}

// Value returns the exchange for its own key, and otherwise the context's value.
func (x *exchange) Value(key any) any {
	switch key.(type) {
	case exchangeKey:
		return x
	case describerKey:
		return describer(x)
	case replyKey:
		return x.reply()
	}
	return x.Context.Value(key)
}

// Lazy returns the context that the exchange ends with, if that is one of lazyctx.
func (x *exchange) Lazy() *lazyctx.Context { return lazyctx.Of(x.Context) }

// describe sets the ids of the request in an event outside of operations.
func (x *exchange) describe(e *Event) { e.RequestID, e.TraceID = x.name.id, x.name.trace }

// exchangeFrom returns the exchange in ctx, or nil.
func exchangeFrom(ctx context.Context) *exchange {
	if x, ok := ctx.(*exchange); ok { // as it is in the middleware of a Stack
		return x
	}
	x, _ := ctx.Value(exchangeKey{}).(*exchange)
	return x
}

// exchangeOf returns the exchange in ctx if w is its response, or nil.
func exchangeOf(ctx context.Context, w http.ResponseWriter) *exchange {
	if x := exchangeFrom(ctx); x != nil && response.Of(w) == &x.response {
		return x
	}
	return nil
}

// isLocal reports whether a request came over plain HTTP to localhost, and through no proxy.
func isLocal(r *http.Request) bool {
	if x := exchangeFrom(r.Context()); x != nil {
		return x.isLocal()
	}
	return comesToLocalhost(r)
}

func (x *exchange) isLocal() bool { return !x.client.https && comesToLocalhost(x.request) }

// proxyHeaders are those of requests that a proxy has sent on.
var proxyHeaders = []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Real-Ip", "Via"}

func comesToLocalhost(r *http.Request) bool {
	if r.TLS != nil || !r.ProtoAtLeast(1, 1) { // nginx speaks HTTP/1.0 unless it is told otherwise, and no browser does
		return false
	}
	for _, name := range proxyHeaders { // browsers speak to the proxy, which may have TLS
		if r.Header[name] != nil {
			return false
		}
	}
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = r.Host
	}
	address, _ := netip.ParseAddr(strings.Trim(host, "[]"))
	return strings.EqualFold(host, "localhost") || address.IsLoopback()
}

// reply returns what is said about the response outside of operations. It takes effect
// when the header is sent.
func (x *exchange) reply() *reply {
	r := x.said.Load()
	if r == nil {
		if r = new(reply); !x.said.CompareAndSwap(nil, r) {
			return x.said.Load()
		}
		x.response.Join(replyHeaders{x, r})
	}
	return r
}

// saidBefore returns what was said about the response outside of operations so far, by an
// Authenticator for example, or nil. The caller says it.
func (x *exchange) saidBefore() *saying {
	if r := x.said.Load(); r != nil {
		return r.take()
	}
	return nil
}

// replyHeaders is the hook that puts a reply into the header.
type replyHeaders struct {
	x *exchange
	r *reply
}

// BeforeHeader implements [response.Hook].
func (h replyHeaders) BeforeHeader(head http.Header) error {
	said := h.r.end()
	if said == nil {
		return nil
	}
	if said.wrong != nil {
		return said.wrong
	}
	said.apply(head, h.x.isLocal())
	return nil
}

func newExchange(r *http.Request) *exchange {
	x := allocate(r)
	x.Context, x.request = r.Context(), r
	x.client = client{addr: peerAddr(r.RemoteAddr), https: r.TLS != nil, http1: r.ProtoMajor == 1}
	return x
}

// allocate returns an exchange with the memory for the body that r has.
func allocate(r *http.Request) *exchange {
	if !hasBody(r) {
		return new(exchange)
	}
	both := new(struct {
		exchange
		body requestBody
	})
	both.exchange.body = &both.body
	return &both.exchange
}

func hasBody(r *http.Request) bool { return r.Body != nil && r.Body != http.NoBody }

// bodyIsLate reports whether reading the body has met the connection's deadline.
func (x *exchange) bodyIsLate() bool { return x.body != nil && x.body.Late() }

// bodyProgress returns what was read of the body.
func (x *exchange) bodyProgress() limitedbody.Progress {
	if x.body == nil {
		return limitedbody.Progress{Blank: true}
	}
	return x.body.Progress()
}

// ensureExchange returns the exchange that w and r share, and the response and the
// request to use from then on. If there is none, it makes one, and made is true.
//
// If the exchange in the context has another response than w, it belongs to an outer
// request, or w is wrapped by a type that cannot be unwrapped and that may run the
// handler on another goroutine, as [http.TimeoutHandler] does. Then this request gets
// its own exchange, with the same id, client and session.
func ensureExchange(w http.ResponseWriter, r *http.Request) (x *exchange, _ http.ResponseWriter, _ *http.Request, made bool) {
	outer := exchangeFrom(r.Context())
	if outer != nil && response.Of(w) == &outer.response {
		return outer, w, r, false
	}
	x = newExchange(r)
	if outer != nil {
		x.name.id, x.name.trace = outer.name.id, outer.name.trace
		x.client.addr, x.client.https, x.client.sameOrigin = outer.client.addr, outer.client.https, outer.client.sameOrigin
		x.client.onlyCORS = outer.client.onlyCORS
		x.session = outer.session
	}
	return x, x.response.Begin(w, r, x), r.WithContext(x), true
}

// layer makes a Middleware of a step that works on the exchange.
func layer(step layerStep) Middleware {
	return func(next http.Handler) http.Handler { return &layered{step: step, next: stepOf(next)} }
}

type layerStep = func(x *exchange, w http.ResponseWriter, r *http.Request, next nextStep)

// nextStep is the handler that a step is around. A step passes its own response on, and a
// request with its exchange, so that a further step need not look for them.
type nextStep struct {
	handler http.Handler
	layer   *layered // handler if it is one, or nil
}

func stepOf(next http.Handler) nextStep {
	layer, _ := next.(*layered)
	return nextStep{next, layer}
}

// serve calls the handler. x is the exchange of w and r.
func (n nextStep) serve(x *exchange, w http.ResponseWriter, r *http.Request) {
	if n.layer != nil {
		n.layer.step(x, w, r, n.layer.next)
		return
	}
	n.handler.ServeHTTP(w, r)
}

// layered is a handler with a step around it.
type layered struct {
	step       layerStep
	next       nextStep
	preflights bool // the step answers preflight requests
}

// ServeHTTP implements http.Handler.
func (l *layered) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x, w, r, made := ensureExchange(w, r)
	l.step(x, w, r, l.next)
	if made {
		x.response.End()
	}
}

func (l *layered) inner() http.Handler { return l.next.handler }

func (l *layered) answersPreflights() bool { return l.preflights || answersPreflights(l.next.handler) }

// answersPreflights reports whether h has a [CORS] around it, with nothing but
// middleware of this package around that: it answers preflight requests itself.
func answersPreflights(h http.Handler) bool {
	p, ok := h.(interface{ answersPreflights() bool })
	return ok && p.answersPreflights()
}

// isPreflight reports whether a browser asks with r whether a script may send a
// request (Fetch standard, section 3.3.2).
func isPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header.Get("Origin") != "" && r.Header["Access-Control-Request-Method"] != nil
}

// peerAddr returns the IP address of a RemoteAddr, or the zero Addr.
func peerAddr(remote string) netip.Addr {
	if at, err := netip.ParseAddrPort(remote); err == nil {
		return at.Addr().Unmap().WithZone("")
	}
	addr, _ := netip.ParseAddr(remote)
	return addr.Unmap().WithZone("")
}

// headerSet has the header values of a HeadersConfig. All responses share the
// slices; they must not be changed.
type headerSet struct {
	policy      []string           // the HTML policy, cut at its nonces
	policies    [htmlKind][]string // of the other kinds of content
	permissions []string
	hsts        []string
	resource    []string // Cross-Origin-Resource-Policy; nil: what CORS says
}

// contentKind is a kind of content, which decides what a browser may do with it.
type contentKind int

const (
	dataKind     contentKind = iota // for programs, and what no policy applies to
	scriptKind                      // JavaScript, which can be a worker
	documentKind                    // what browsers show as a page, but HTML
	htmlKind
)

// cors has the header values of a CORSConfig. All responses share the slices; they
// must not be changed.
type cors struct {
	origins                                       map[string][]string // origin → Access-Control-Allow-Origin
	any                                           []string            // the same for any origin, or nil
	methods, headers, expose, credentials, maxAge []string
}
