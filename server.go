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
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/seed-215b9b7c/backend/internal/drain"
	"github.com/seed-215b9b7c/backend/internal/listen"
)

// This file serves a handler until it is told to stop, and stops without
// cutting a request off. What it listens on is
// in internal/listen, what it knows about its connections in internal/drain.

// ServerConfig holds the knobs of [Serve]. The zero value serves plain HTTP on
// 127.0.0.1:8080 with limits that no honest client meets. A value that makes no
// sense is an error of Serve.
type ServerConfig struct {
	// Addr is where to listen: "host:port", ":8080" for every address of the
	// machine, "127.0.0.1:0" for a free port, "unix:/run/app.sock" for a unix
	// socket, with the permissions that the umask leaves, "systemd" for the
	// socket that systemd passes, or "systemd:NAME" for one of several. Defaults
	// to "127.0.0.1:8080", which only this machine reaches.
	Addr string
	// Listener is used instead of Addr if it is set. Serve closes it, whatever
	// it returns. If its connections are of type *[tls.Conn], leave TLS to it;
	// requests that reach such a connection while the server stops may be lost.
	Listener net.Listener

	// CertFile and KeyFile turn on TLS with a certificate chain and its key in
	// PEM files. They are read again when they change, at most once a minute,
	// so that a renewed certificate needs no restart. A file that cannot be
	// used is logged, and the certificate stays as it was.
	CertFile, KeyFile string
	// TLS turns on TLS, or refines the one with files. TLS 1.2 is the least
	// version; a lower MinVersion or MaxVersion is an error, and so are two
	// sources of certificates. HTTP/2 is offered.
	TLS *tls.Config

	// ReadHeaderTimeout bounds reading a request's header, 5 seconds by
	// default, and the TLS handshake; ReadTimeout the whole request, 30 seconds;
	// WriteTimeout the time from the header's end to the response's, 60 seconds;
	// IdleTimeout a connection between requests, 90 seconds. A handler that
	// needs longer says so with [http.ResponseController].
	ReadHeaderTimeout, ReadTimeout, WriteTimeout, IdleTimeout time.Duration
	// MaxHeaderBytes bounds a request's header, request line included; a longer
	// one is answered with 431. Defaults to 64 KiB. net/http lets up to 4 KiB
	// more pass.
	MaxHeaderBytes int

	// Health is told when the server is about to stop, so that load balancers
	// that ask for readiness send no more requests.
	Health *Health
	// DrainDelay is how long requests are served as before once Health says so;
	// it should be longer than a load balancer takes to notice. Defaults to
	// 3 seconds with Health, and to nothing without, since then nobody is told.
	// An interrupt (Ctrl-C) skips it.
	DrainDelay time.Duration
	// ShutdownTimeout bounds waiting for the requests that run. Those that have
	// not ended by then are cut off. Defaults to 20 seconds.
	ShutdownTimeout time.Duration

	// Logger gets a record when the server listens and stops, and what
	// net/http has to complain about. Defaults to [slog.Default].
	Logger *slog.Logger
}

// Serve serves handler until ctx ends or the process gets SIGTERM or SIGINT,
// and then stops in good order:
//
//   - readiness fails ([ServerConfig.Health]) and requests are served as before
//     for DrainDelay, except that each answer asks the client to leave its
//     connection ("Connection: close", or GOAWAY in HTTP/2);
//   - the connections that the system has queued are accepted, and then no more;
//   - running requests end, up to ShutdownTimeout, and a connection is closed
//     when half a second passed without a byte from it.
//
// A second signal ends all waiting. A signal that also ends ctx, as with
// [signal.NotifyContext], counts as the first.
//
// It returns nil if every request that reached the handler was answered and no
// handler runs any more, else an error that says how many were cut off. An error
// it also returns at once if config is wrong or it cannot listen, and in good
// order if the listener breaks. Connections that a handler hijacked are not
// waited for. A ctx that has ended before is no error.
//
// The contexts of requests have ctx's values, but do not end with ctx: they end
// with the request, or when it is cut off.
//
// No server can keep a client from sending a request on an idle connection in
// the moment in which it is closed (RFC 9112, section 9.5), or from connecting in
// the moment in which the listener is. Clients try again what may be tried again;
// a DrainDelay longer than their pauses between requests avoids even that.
//
// HTTP/1 connections are used again only after requests whose length nobody can
// read in two ways: after one with a chunked body, and after every HTTP/1.0
// request, the connection is closed. A request with both Transfer-Encoding and
// Content-Length is read by Transfer-Encoding, as RFC 9112, section 6.3, has it,
// and by section 6.1 nothing that follows it on the connection is.
func Serve(ctx context.Context, handler http.Handler, config ServerConfig) error {
	s, err := newServer(ctx, handler, config)
	if err == nil {
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
	stopping atomic.Bool
	running  atomic.Int64 // handlers
}

// newServer listens, but does not accept yet.
func newServer(ctx context.Context, handler http.Handler, config ServerConfig) (_ *server, err error) {
	defer func() {
		if err != nil && config.Listener != nil {
			config.Listener.Close()
		}
	}()
	full, err := config.withDefaults()
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
	s := &server{config: full, handler: handler, conns: drain.NewConnections(full.ReadHeaderTimeout)}
	s.listener = drain.NewListener(plain)
	s.base, s.cutOff = context.WithCancel(context.WithoutCancel(ctx))
	s.http = &http.Server{
		Handler:                      s,
		TLSConfig:                    tlsConfig,
		ReadHeaderTimeout:            full.ReadHeaderTimeout,
		ReadTimeout:                  full.ReadTimeout,
		WriteTimeout:                 full.WriteTimeout,
		IdleTimeout:                  full.IdleTimeout,
		MaxHeaderBytes:               full.MaxHeaderBytes,
		DisableGeneralOptionsHandler: true, // OPTIONS * goes to the handler, which sets our headers
		ErrorLog:                     slog.NewLogLogger(full.Logger.Handler(), slog.LevelWarn),
		BaseContext:                  func(net.Listener) context.Context { return s.base },
		ConnState:                    s.conns.Follow,
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
// request if the server is stopping, or if the request's framing could be a
// smuggler's.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.running.Add(1)
	defer s.running.Add(-1)
	if ambiguous(r) || s.stopping.Load() && r.Header["Upgrade"] == nil {
		last := drain.LastResponse{ResponseWriter: w}
		s.handler.ServeHTTP(last, r)
		last.Announce()
		return
	}
	s.handler.ServeHTTP(w, r)
}

// ambiguous reports whether somebody on the way may have taken the request to
// end elsewhere than net/http does: both Transfer-Encoding and Content-Length
// were there, or Transfer-Encoding in HTTP/1.0 (RFC 9112, section 6.1). net/http
// removes the evidence, so all requests that may have been such are suspect.
func ambiguous(r *http.Request) bool {
	return r.ProtoMajor == 1 && (r.ProtoMinor == 0 || len(r.TransferEncoding) > 0)
}

// run serves until it is told to stop, and stops.
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
		return errors.Join(err, s.finish(orders.give))
	case <-orders.stop.Done():
	}
	s.log(ctx, "stopping")
	s.announce()
	s.drain(orders.hurry)
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

// url returns what a person can paste into a browser, where there is such a
// thing.
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

// orders are contexts that end when the server shall stop, when it shall drain
// no longer, and when it shall wait for requests no longer.
type orders struct {
	stop, hurry, give context.Context
}

// obey makes orders of ctx and of the signals that the process gets until it is
// released.
func obey(ctx context.Context) (_ orders, release func()) {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, os.Interrupt)
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
		close(released)
		listening.Wait()
		sayStop()
		sayHurry()
		sayGive(nil)
	}
}

// announce tells clients and load balancers to go elsewhere.
func (s *server) announce() {
	s.stopping.Store(true)
	if s.config.Health != nil {
		s.config.Health.draining.Store(true)
	}
}

// drain keeps serving while they go.
func (s *server) drain(hurry context.Context) {
	timer := time.NewTimer(s.config.DrainDelay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-hurry.Done():
	}
}

// finish waits for the requests that run, and cuts them off when patience or
// time ends.
func (s *server) finish(patience context.Context) error {
	ctx, cancel := context.WithTimeoutCause(patience, s.config.ShutdownTimeout,
		fmt.Errorf("ShutdownTimeout of %v is over", s.config.ShutdownTimeout))
	defer cancel()
	if s.settle(ctx) {
		return nil
	}
	unanswered := s.unanswered()
	s.conns.CloseAll()
	s.http.Close()
	if unanswered == 0 { // only clients that never finished asking
		return nil
	}
	return fmt.Errorf("%d requests were cut off: %w", unanswered, context.Cause(ctx))
}

// settle waits until every request is answered and every connection closed, and
// reports whether ctx let it.
func (s *server) settle(ctx context.Context) bool {
	return poll(ctx, func() bool { return s.conns.Dismiss(time.Now()) == 0 }) &&
		s.http.Shutdown(ctx) == nil && // HTTP/2, which knows how to say goodbye
		poll(ctx, func() bool { return s.running.Load() == 0 })
}

// unanswered returns how many requests have not got all of their answer.
func (s *server) unanswered() int {
	return max(s.conns.Active(), int(s.running.Load()))
}

// poll asks done a hundred times a second, and reports whether it was before ctx
// ended.
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
