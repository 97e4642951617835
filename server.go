package backend

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// This file serves a handler until it is told to stop, and stops without
// cutting a request off. Where it listens is in listen.go.

// ServerConfig holds the knobs of [Serve]. The zero value serves plain HTTP on
// 127.0.0.1:8080 with limits that no honest client meets. A value that makes no
// sense is an error of Serve.
type ServerConfig struct {
	// Addr is where to listen: "host:port", ":8080" for every address of the
	// machine, "127.0.0.1:0" for a free port, "unix:/run/app.sock" for a unix
	// socket, with the permissions that the umask leaves, "systemd" for the socket that systemd passes, or "systemd:NAME"
	// for one of several. Defaults to "127.0.0.1:8080", which only this
	// machine reaches.
	Addr string
	// Listener is used instead of Addr if it is set. Serve closes it.
	Listener net.Listener

	// CertFile and KeyFile turn on TLS with a certificate chain and its key in
	// PEM files. They are read again when they change, at most once a minute,
	// so that a renewed certificate needs no restart.
	CertFile, KeyFile string
	// TLS turns on TLS, or refines the one with files. TLS 1.2 is the least
	// version; a lower MinVersion is an error. HTTP/2 is offered.
	TLS *tls.Config

	// ReadHeaderTimeout bounds reading a request's header, 5 seconds by
	// default; ReadTimeout the whole request, 30 seconds; WriteTimeout the time
	// from the header's end to the response's, 60 seconds; IdleTimeout a
	// connection between requests, 90 seconds. A handler that needs longer
	// says so with http.ResponseController.
	ReadHeaderTimeout, ReadTimeout, WriteTimeout, IdleTimeout time.Duration
	// MaxHeaderBytes bounds a request's header. Defaults to 64 KiB.
	MaxHeaderBytes int

	// Health is told when the server is about to stop, so that load balancers
	// that ask for readiness send no more requests.
	Health *Health
	// DrainDelay is how long requests are served as before once Health says so.
	// Defaults to 3 seconds with Health, and to nothing without, since then
	// nobody is told. An interrupt (Ctrl-C) skips it.
	DrainDelay time.Duration
	// ShutdownTimeout bounds waiting for the requests that run. Those that have
	// not ended by then are cut off. Defaults to 20 seconds.
	ShutdownTimeout time.Duration

	// Logger gets a record when the server listens and stops, and what
	// net/http has to complain about. Defaults to [slog.Default].
	Logger *slog.Logger
}

func (c ServerConfig) withDefaults() (ServerConfig, error) {
	var wrong []error
	check := func(name string, negative bool) {
		if negative {
			wrong = append(wrong, fmt.Errorf("ServerConfig.%s is negative; leave it out for the default", name))
		}
	}
	check("ReadHeaderTimeout", c.ReadHeaderTimeout < 0)
	check("ReadTimeout", c.ReadTimeout < 0)
	check("WriteTimeout", c.WriteTimeout < 0)
	check("IdleTimeout", c.IdleTimeout < 0)
	check("MaxHeaderBytes", c.MaxHeaderBytes < 0)
	check("DrainDelay", c.DrainDelay < 0)
	check("ShutdownTimeout", c.ShutdownTimeout < 0)
	if (c.CertFile == "") != (c.KeyFile == "") {
		wrong = append(wrong, errors.New("ServerConfig.CertFile and KeyFile go together; one is missing"))
	}
	if c.Addr != "" && c.Listener != nil {
		wrong = append(wrong, errors.New("ServerConfig.Addr and Listener are both set; set one"))
	}
	if c.TLS != nil && c.TLS.MinVersion != 0 && c.TLS.MinVersion < tls.VersionTLS12 {
		wrong = append(wrong, fmt.Errorf("ServerConfig.TLS.MinVersion is %s; TLS 1.2 is the least", tls.VersionName(c.TLS.MinVersion)))
	}
	setZero(&c.ReadHeaderTimeout, 5*time.Second)
	setZero(&c.ReadTimeout, 30*time.Second)
	setZero(&c.WriteTimeout, 60*time.Second)
	setZero(&c.IdleTimeout, 90*time.Second)
	setZero(&c.MaxHeaderBytes, 64<<10)
	setZero(&c.ShutdownTimeout, 20*time.Second)
	if c.Health != nil {
		setZero(&c.DrainDelay, 3*time.Second)
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c, errors.Join(wrong...)
}

// Serve serves handler until ctx ends or the process gets SIGTERM or SIGINT,
// and then stops in good order: readiness fails ([ServerConfig.Health]),
// requests are served for DrainDelay more, each answer closing its connection;
// then no new ones are accepted and those that run are waited for. A second
// signal ends the waiting.
//
// It returns nil if every request it accepted was answered, else an error,
// which it also returns if it cannot listen. The contexts of requests have
// ctx's values; they do not end with ctx but with the request.
func Serve(ctx context.Context, handler http.Handler, config ServerConfig) error {
	config, err := config.withDefaults()
	if err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	if handler == nil {
		return errors.New("serve: the handler is nil")
	}
	tlsConfig, err := config.tlsConfig()
	if err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, os.Interrupt)
	defer signal.Stop(signals)

	listener, err := config.listen(ctx)
	if err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	s := &server{config: config, signals: signals}
	s.http = &http.Server{
		Handler:                      handler,
		TLSConfig:                    tlsConfig,
		ReadHeaderTimeout:            config.ReadHeaderTimeout,
		ReadTimeout:                  config.ReadTimeout,
		WriteTimeout:                 config.WriteTimeout,
		IdleTimeout:                  config.IdleTimeout,
		MaxHeaderBytes:               config.MaxHeaderBytes,
		DisableGeneralOptionsHandler: true, // OPTIONS * goes to the handler, which sets our headers
		ErrorLog:                     slog.NewLogLogger(config.Logger.Handler(), slog.LevelWarn),
		BaseContext:                  func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
	}
	return s.run(ctx, listener)
}

// server is one call of Serve.
type server struct {
	config  ServerConfig
	http    *http.Server
	signals chan os.Signal
}

func (s *server) run(ctx context.Context, listener net.Listener) error {
	s.config.Logger.LogAttrs(ctx, slog.LevelInfo, "listening", slog.String("address", s.url(listener.Addr())))
	failed := make(chan error, 1)
	go func() { failed <- s.accept(listener) }() // ends with Shutdown or Close below
	drain := s.config.DrainDelay
	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case sig := <-s.signals:
		if sig == os.Interrupt {
			drain = 0
		}
	case <-ctx.Done():
	}
	s.config.Logger.LogAttrs(ctx, slog.LevelInfo, "stopping")
	s.drain(drain)
	err := s.shutdown(ctx)
	<-failed
	return err
}

func (s *server) accept(listener net.Listener) error {
	if s.http.TLSConfig != nil {
		return s.http.ServeTLS(listener, "", "")
	}
	return s.http.Serve(listener)
}

// url returns what a person can paste into a browser, where there is such a
// thing.
func (s *server) url(addr net.Addr) string {
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

// drain keeps serving while the world learns that it should not ask here any
// more. Every answer closes its connection, so that none is idle and about to
// be used when the server stops.
func (s *server) drain(delay time.Duration) {
	if s.config.Health != nil {
		s.config.Health.draining.Store(true)
	}
	s.http.SetKeepAlivesEnabled(false)
	if delay == 0 {
		return
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.signals:
	}
}

// shutdown waits for the requests that run, and cuts off those that take too
// long.
func (s *server) shutdown(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.config.ShutdownTimeout)
	defer cancel()
	impatient := make(chan struct{})
	defer close(impatient)
	go func() { // ends with shutdown
		select {
		case <-s.signals:
			cancel()
		case <-impatient:
		}
	}()
	if err := s.http.Shutdown(ctx); err != nil {
		s.http.Close()
		return fmt.Errorf("serve: requests were cut off: %w", err)
	}
	s.config.Logger.LogAttrs(ctx, slog.LevelInfo, "stopped")
	return nil
}
