package backend

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/seed-215b9b7c/backend/internal/drain"
	"github.com/seed-215b9b7c/backend/internal/english"
	"github.com/seed-215b9b7c/backend/internal/listen"
	"github.com/seed-215b9b7c/backend/internal/pace"
)

// This file serves a handler until the program is told to stop, and stops without
// losing a request. Its listeners are made in internal/listen, its connections are
// tracked in internal/drain.

// ServerConfig configures [Serve]. The zero value serves plain HTTP on
// 127.0.0.1:8080, with limits that only hostile or broken clients reach. Serve
// returns an error for values that make no sense.
type ServerConfig struct {
	// Addr is the address to listen on:
	//
	//   - "host:port", ":8080" for every address of the machine, "127.0.0.1:0" for
	//     a free port;
	//   - "unix:/run/app.sock" for a unix socket, with the permissions that the
	//     umask leaves;
	//   - "systemd" for the socket that systemd passes, "systemd:NAME" for one of
	//     several.
	//
	// Defaults to "127.0.0.1:8080", which only this machine reaches.
	Addr string
	// Listener is used instead of Addr if it is set. Serve always closes it. If its
	// connections are of type *[tls.Conn], leave CertFile and TLS out; requests that
	// reach such a connection while the server stops may be lost.
	Listener net.Listener

	// CertFile and KeyFile are PEM files with a certificate chain and its key. They
	// turn on TLS. Serve reads them again when they change, at most once a minute,
	// so that a renewed certificate needs no restart. If they cannot be used then,
	// Serve logs that and keeps the certificate it has.
	CertFile, KeyFile string
	// TLS turns on TLS, too, or says more about that of CertFile. The least version
	// is TLS 1.2. A lower MinVersion or MaxVersion is an error, and so are
	// certificates both here and in CertFile. HTTP/2 is offered.
	TLS *tls.Config

	// ReadHeaderTimeout bounds reading the header of a request, and the TLS
	// handshake. Defaults to 5 seconds.
	ReadHeaderTimeout time.Duration
	// ReadTimeout bounds how long a handler waits for the body of a request without
	// progress: each 1024 bytes that come give one second back. So a long upload may
	// take its time, and a client that sends less than 1 KiB per second is cut. Time in
	// which the handler does not read does not count. [TimeLimit], which is part of
	// [Stack], sets another bound. Defaults to 30 seconds.
	ReadTimeout time.Duration
	// WriteTimeout bounds in the same way how long the server waits for the client to
	// take the response: each 1024 bytes give one second back, and time in which the
	// handler does not write does not count. Defaults to 60 seconds.
	//
	// A handler can set deadlines in place of both with [http.ResponseController]. A zero
	// deadline for writing returns to WriteTimeout in HTTP/1.
	WriteTimeout time.Duration
	// IdleTimeout bounds the time between two requests on a connection. Defaults to
	// 90 seconds.
	IdleTimeout time.Duration
	// MaxHeaderBytes bounds the header of a request, with its first line. A longer
	// one is answered with 431. net/http lets up to 4 KiB more pass. Defaults to
	// 64 KiB.
	MaxHeaderBytes int

	// Health is not ready any more once the server begins to stop, so that load
	// balancers send it no further requests.
	Health *Health
	// DrainDelay is how long the server goes on serving after Health has become
	// unready. It should be longer than load balancers take to notice. An interrupt
	// (Ctrl-C) skips it. Defaults to 3 seconds with Health, and to none without.
	DrainDelay time.Duration
	// ShutdownTimeout bounds the wait for requests that run when the server stops.
	// Requests that take longer are cut off. Defaults to 20 seconds.
	ShutdownTimeout time.Duration

	// Logger logs that the server listens and stops, and the errors of net/http. A log
	// that stands still holds nothing up, see [AccessLog]. Defaults to [slog.Default].
	Logger *slog.Logger
}

// Serve serves handler until ctx ends or the process gets SIGTERM or SIGINT. Then
// it stops, in this order:
//
//   - Readiness fails ([ServerConfig.Health]). For DrainDelay, requests are served
//     as before, and each response asks the client to leave its connection
//     ("Connection: close", or GOAWAY in HTTP/2).
//   - Serve accepts the connections that the system has queued, and no others.
//   - Requests that run have ShutdownTimeout to end. Event streams and other responses
//     without an end need [UntilStop]. Serve closes a connection when half a second has
//     passed without a byte from the client, but one that has served requests at the
//     earliest a second after readiness has failed.
//
// A second signal ends all waiting. A signal that also ends ctx, as with
// [signal.NotifyContext], counts as the first.
//
// Serve returns nil if every request that reached the handler was answered and no
// handler runs any more, also if ctx had ended before. Otherwise the error says how
// many requests were cut off. If config is wrong or Serve cannot listen, it returns
// an error at once; if the listener breaks, it stops as above and returns an error.
// Serve does not wait for connections that a handler has hijacked.
//
// While Serve runs, SIGPIPE does not end the process: writing to a log whose reader has
// gone is an error. In a program that writes to a pipe outside of Serve, too, ignore the
// signal in main: signal.Ignore(syscall.SIGPIPE).
//
// The section "Serving" of the package documentation says more about contexts and
// connections.
func Serve(ctx context.Context, handler http.Handler, config ServerConfig) error {
	s, err := newServer(ctx, handler, config)
	if err == nil {
		defer flushLog(s.config.Logger)
		err = s.run(ctx)
	} else if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil // stopped before it listened
	}
	if err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}

// server is one call of Serve.
type server struct {
	config   ServerConfig
	handler  http.Handler
	http     *http.Server
	listener *drain.Listener
	conns    *drain.Connections

	base     context.Context // of all requests
	cutOff   context.CancelFunc
	stops    *stops
	stopping atomic.Bool
	running  atomic.Int64 // handlers
}

// newServer returns a server that listens and does not accept connections yet.
func newServer(ctx context.Context, handler http.Handler, config ServerConfig) (_ *server, err error) {
	defer func() {
		if err != nil && config.Listener != nil {
			config.Listener.Close()
		}
	}()
	full, err := config.withDefaults()
	full.Logger = guarded(full.Logger)
	if handler == nil {
		err = errors.Join(err, errors.New("the handler is nil"))
	}
	if err != nil {
		return nil, err
	}
	var tlsConfig *tls.Config // nil: plain HTTP
	if full.TLS != nil || full.CertFile != "" {
		if tlsConfig, err = listen.TLS(full.TLS, full.CertFile, full.KeyFile, full.Logger); err != nil {
			return nil, err
		}
	}
	plain := full.Listener
	if plain == nil {
		if plain, err = listen.Open(ctx, full.Addr); err != nil {
			return nil, err
		}
	}
	s := &server{config: full, handler: handler, conns: drain.NewConnections(drain.Limits{
		Header: full.ReadHeaderTimeout, Body: full.ReadTimeout, Write: full.WriteTimeout,
	})}
	ours := full.Listener == nil && !strings.HasPrefix(full.Addr, "systemd")
	s.listener = drain.NewListener(plain, !ours)
	s.stops = newStops()
	s.base, s.cutOff = context.WithCancel(context.WithValue(context.WithoutCancel(ctx), stopsKey{}, s.stops))
	s.http = &http.Server{
		Handler:                      s,
		TLSConfig:                    tlsConfig,
		ReadHeaderTimeout:            full.ReadHeaderTimeout,
		IdleTimeout:                  full.IdleTimeout,
		MaxHeaderBytes:               full.MaxHeaderBytes,
		DisableGeneralOptionsHandler: true, // OPTIONS * goes to the handler, which sets our headers
		ErrorLog:                     slog.NewLogLogger(full.Logger.Handler(), slog.LevelWarn),
		BaseContext:                  func(net.Listener) context.Context { return s.base },
		ConnState:                    s.conns.Follow,
		ConnContext:                  drain.Context, // ReadTimeout and WriteTimeout are budgets: internal/pace
	}
	return s, nil
}

func (c ServerConfig) withDefaults() (ServerConfig, error) {
	c.ReadHeaderTimeout = cmp.Or(c.ReadHeaderTimeout, 5*time.Second)
	c.ReadTimeout = cmp.Or(c.ReadTimeout, 30*time.Second)
	c.WriteTimeout = cmp.Or(c.WriteTimeout, 60*time.Second)
	c.IdleTimeout = cmp.Or(c.IdleTimeout, 90*time.Second)
	c.MaxHeaderBytes = cmp.Or(c.MaxHeaderBytes, 64<<10)
	c.ShutdownTimeout = cmp.Or(c.ShutdownTimeout, 20*time.Second)
	if c.Health != nil {
		c.DrainDelay = cmp.Or(c.DrainDelay, 3*time.Second)
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Listener == nil {
		c.Addr = cmp.Or(c.Addr, "127.0.0.1:8080")
	}
	return c, c.check()
}

// check returns an error that names every field with a wrong value.
func (c ServerConfig) check() error {
	var wrong []error
	add := func(isWrong bool, format string, args ...any) {
		if isWrong {
			wrong = append(wrong, fmt.Errorf(format, args...))
		}
	}
	for _, limit := range []struct {
		name  string
		value time.Duration
	}{
		{"ReadHeaderTimeout", c.ReadHeaderTimeout}, {"ReadTimeout", c.ReadTimeout}, {"WriteTimeout", c.WriteTimeout},
		{"IdleTimeout", c.IdleTimeout}, {"DrainDelay", c.DrainDelay}, {"ShutdownTimeout", c.ShutdownTimeout},
	} {
		add(limit.value < 0, "ServerConfig.%s %v is negative; leave it out for the default", limit.name, limit.value)
	}
	add(c.MaxHeaderBytes < 0, "ServerConfig.MaxHeaderBytes %d is negative; leave it out for the default", c.MaxHeaderBytes)
	add(c.Addr != "" && c.Listener != nil, "ServerConfig.Addr %q and Listener are both set; set one", c.Addr)
	add((c.CertFile == "") != (c.KeyFile == ""), "ServerConfig.CertFile %q and KeyFile %q go together; one is missing", c.CertFile, c.KeyFile)
	if c.TLS != nil {
		for _, limit := range []struct {
			name    string
			version uint16
		}{{"MinVersion", c.TLS.MinVersion}, {"MaxVersion", c.TLS.MaxVersion}} {
			add(limit.version != 0 && limit.version < tls.VersionTLS12,
				"ServerConfig.TLS.%s is %s; TLS 1.2 is the least", limit.name, tls.VersionName(limit.version))
		}
		add(c.CertFile != "" && listen.HasCertificate(c.TLS), "ServerConfig.CertFile and TLS both have a certificate; set one")
		add(c.CertFile == "" && !listen.HasCertificate(c.TLS), "ServerConfig.TLS has no certificate; set CertFile and KeyFile, or TLS.Certificates")
	}
	return errors.Join(wrong...)
}

// ServeHTTP calls the handler and counts it. It closes the connection after the
// response if the server is stopping, or if the request's framing is ambiguous.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.running.Add(1)
	defer s.running.Add(-1)
	if limiter, served := drain.LimiterOf(r.Context()); served && (limiter == nil || r.ProtoMajor != 1) {
		stream := pace.NewStream(w, s.config.ReadTimeout, s.config.WriteTimeout)
		defer stream.End()
		w = stream
		if r.Body != nil && r.Body != http.NoBody {
			r.Body = stream.Body(r.Body)
		}
	}
	if ambiguous(r) || s.stopping.Load() && r.Header["Upgrade"] == nil {
		last := drain.LastResponse{ResponseWriter: w}
		s.handler.ServeHTTP(last, r)
		last.Announce()
		return
	}
	s.handler.ServeHTTP(w, r)
}

// ambiguous reports whether a proxy may have read the request to another end than
// net/http did, which request smuggling relies on: it had both Transfer-Encoding
// and Content-Length, or Transfer-Encoding in HTTP/1.0 (RFC 9112, section 6.1).
// net/http removes these headers, so ambiguous reports every request that may have
// had them.
func ambiguous(r *http.Request) bool {
	return r.ProtoMajor == 1 && (r.ProtoMinor == 0 || len(r.TransferEncoding) > 0)
}

// run serves until ctx ends or a signal comes, and stops.
func (s *server) run(ctx context.Context) error {
	defer s.cutOff()
	orders, release := obey(ctx)
	defer release()
	s.log(ctx, "listening", slog.String("address", s.url()))
	accepting := make(chan error, 1)
	go func() { accepting <- s.accept() }() // ends with the listener
	select {
	case err := <-accepting:
		s.announce()
		s.stops.endLater()
		return errors.Join(err, s.finish(orders.give))
	case <-orders.stop.Done():
	}
	s.log(ctx, "stopping")
	s.announce()
	s.drain(orders.hurry)
	s.stops.endLater()
	s.listener.Stop(accepting)
	err := s.finish(orders.give)
	if err == nil {
		s.log(ctx, "stopped")
	}
	return err
}

func (s *server) log(ctx context.Context, message string, attrs ...slog.Attr) {
	s.config.Logger.LogAttrs(ctx, slog.LevelInfo, message, attrs...)
}

// url returns the server's address as a URL for browsers, or the address itself
// if no URL leads there.
func (s *server) url() string {
	addr := s.listener.Addr()
	if addr.Network() == "unix" {
		return "unix:" + addr.String()
	}
	scheme := "http://"
	if s.http.TLSConfig != nil {
		scheme = "https://"
	}
	host, port, err := net.SplitHostPort(addr.String())
	if err != nil {
		return addr.String()
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return scheme + net.JoinHostPort(host, port)
}

func (s *server) accept() error {
	if s.http.TLSConfig != nil {
		return s.http.ServeTLS(s.listener, "", "")
	}
	return s.http.Serve(s.listener)
}

// orders are contexts that end when the server has to act.
type orders struct {
	stop  context.Context // stop serving
	hurry context.Context // end the DrainDelay
	give  context.Context // wait for requests no longer
}

// obey returns orders that ctx and the signals of the process give. release ends
// them.
func obey(ctx context.Context) (_ orders, release func()) {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, os.Interrupt)
	brokenPipes.survive()
	detached := context.WithoutCancel(ctx)
	stop, sayStop := context.WithCancel(ctx)
	hurry, sayHurry := context.WithCancel(detached)
	give, sayGive := context.WithCancelCause(detached)
	released := make(chan struct{})
	var listening sync.WaitGroup
	listening.Go(func() {
		for count := 1; ; count++ {
			select {
			case <-released:
				return
			case sig := <-signals:
				sayStop()
				if sig == os.Interrupt {
					sayHurry()
				}
				if count > 1 {
					sayHurry()
					sayGive(errors.New("a second signal came"))
				}
			}
		}
	})
	return orders{stop, hurry, give}, func() {
		signal.Stop(signals)
		brokenPipes.release()
		close(released)
		listening.Wait()
		sayStop()
		sayHurry()
		sayGive(nil)
	}
}

// brokenPipes makes SIGPIPE harmless for the process while any Serve runs: a log whose reader
// has gone is an error of writing, and not the end of the process. The channel is one for
// all, since such a signal comes at any time, also from another goroutine, and one that was
// made in a bubble of testing/synctest must not be sent to from outside.
var brokenPipes = pipeSignals{signals: make(chan os.Signal, 1)}

type pipeSignals struct {
	signals chan os.Signal // nobody receives them

	mu   sync.Mutex
	uses int
}

func (p *pipeSignals) survive() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.uses++; p.uses == 1 {
		signal.Notify(p.signals, syscall.SIGPIPE)
	}
}

func (p *pipeSignals) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.uses--; p.uses == 0 {
		signal.Stop(p.signals)
	}
}

// announce tells clients and load balancers that the server stops.
func (s *server) announce() {
	s.stopping.Store(true)
	s.conns.Announce(time.Now())
	if s.config.Health != nil {
		s.config.Health.draining.Store(true)
	}
	s.stops.endBegun()
}

// drain waits for DrainDelay, while requests are served.
func (s *server) drain(hurry context.Context) {
	timer := time.NewTimer(s.config.DrainDelay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-hurry.Done():
	}
}

// finish waits for the requests that run. It cuts them off when patience or
// ShutdownTimeout ends.
func (s *server) finish(patience context.Context) error {
	ctx, cancel := context.WithTimeoutCause(patience, s.config.ShutdownTimeout,
		fmt.Errorf("ShutdownTimeout of %v is over", s.config.ShutdownTimeout))
	defer cancel()
	if s.waitIdle(ctx) {
		return nil
	}
	unanswered := s.unanswered()
	s.conns.CloseAll()
	s.http.Close()
	if unanswered == 0 { // only requests that have not fully arrived
		return nil
	}
	return fmt.Errorf("%s %s cut off: %w", english.Count(unanswered, "request"), english.Was(unanswered), context.Cause(ctx))
}

// waitIdle waits until every request is answered and every connection closed. It
// reports whether that was before ctx ended.
func (s *server) waitIdle(ctx context.Context) bool {
	return poll(ctx, func() bool { return s.conns.Dismiss(time.Now()) == 0 }) &&
		s.http.Shutdown(ctx) == nil && // HTTP/2 announces the end of a connection
		poll(ctx, func() bool { return s.running.Load() == 0 })
}

// unanswered returns the number of requests whose response is not complete.
func (s *server) unanswered() int {
	return max(s.conns.Active(), int(s.running.Load()))
}

// poll calls done a hundred times a second until it returns true. It reports
// whether that was before ctx ended.
func poll(ctx context.Context, done func() bool) bool {
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for !done() {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return false
		}
	}
	return true
}
