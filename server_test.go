package backend_test

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
)

// serving is a Serve that runs.
type serving struct {
	addr string
	stop context.CancelFunc
	done chan error // gets what Serve returned
	log  *logBuffer
}

// serveOn calls Serve on a listener until the test ends.
func serveOn(t *testing.T, listener net.Listener, h http.Handler, config backend.ServerConfig) *serving {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	s := &serving{addr: listener.Addr().String(), stop: stop, done: make(chan error, 1), log: &logBuffer{}}
	config.Listener = listener
	config.Logger = slog.New(slog.NewJSONHandler(s.log, nil))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.done <- backend.Serve(ctx, h, config)
	}()
	t.Cleanup(func() {
		stop()
		<-ended
	})
	return s
}

// serveTCP calls Serve on a free port.
func serveTCP(t *testing.T, h http.Handler, config backend.ServerConfig) *serving {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	return serveOn(t, listener, h, config)
}

// serveAddr calls Serve with an address, as programs do.
func serveAddr(t *testing.T, h http.Handler, config backend.ServerConfig) *serving {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	log := newRecords()
	s := &serving{stop: stop, done: make(chan error, 1)}
	config.Addr, config.Logger = cmp.Or(config.Addr, "127.0.0.1:0"), slog.New(log)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.done <- backend.Serve(ctx, h, config)
	}()
	t.Cleanup(func() {
		stop()
		<-ended
	})
	s.addr = log.wait(t, "listening")["address"]
	if _, addr, isURL := strings.Cut(s.addr, "://"); isURL {
		s.addr = addr
	}
	return s
}

// ended returns what Serve returned, and fails if it does not within a time that
// only a hanging test takes.
func (s *serving) ended(t *testing.T) error {
	t.Helper()
	select {
	case err := <-s.done:
		return err
	case <-time.After(time.Minute):
		require.FailNow(t, "Serve does not return")
		return nil
	}
}

func (s *serving) dial(t *testing.T) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", s.addr)
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(time.Minute)))
	return conn
}

// logBuffer is a log that can be read while it is written.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// record returns the first record with a message.
func (b *logBuffer) record(t *testing.T, message string) map[string]any {
	t.Helper()
	for line := range strings.Lines(b.String()) {
		var record map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &record))
		if record["msg"] == message {
			return record
		}
	}
	require.FailNow(t, "no record "+message, b.String())
	return nil
}

// inBubble runs f with a clock of its own, and fails if a goroutine is left.
func inBubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	startSignals()
	synctest.Test(t, f)
}

// startSignals makes os/signal start the goroutine that it never ends.
func startSignals() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)
	signal.Stop(signals)
}

// pipeListener is a listener in memory, for use in a bubble.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

func (l *pipeListener) DialContext(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case l.conns <- server:
		return client, nil
	case <-l.closed:
		return nil, syscall.ECONNREFUSED
	}
}

func (l *pipeListener) dial(t *testing.T) net.Conn {
	t.Helper()
	conn, err := l.DialContext(t.Context(), "", "")
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	return conn
}

// ask sends a request and reads the whole response, on a connection.
func ask(t *testing.T, conn net.Conn, request string) (*http.Response, string) {
	t.Helper()
	_, err := io.WriteString(conn, request)
	require.NoError(t, err)
	return readAnswer(t, bufio.NewReader(conn))
}

func readAnswer(t *testing.T, r *bufio.Reader) (*http.Response, string) {
	t.Helper()
	response, err := http.ReadResponse(r, nil)
	require.NoError(t, err)
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response, string(body)
}

// briefly returns the context of a Serve that should fail at once.
func briefly(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}

const getRoot = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

var sayHello = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") })

func TestServeListensOnAddr(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, addr, url string
	}{
		{"IPv4", "127.0.0.1:0", "http://127.0.0.1:"},
		{"every address", ":0", "http://localhost:"},
		{"name", "localhost:0", "http://"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			log := newRecords()
			done := make(chan error, 1)
			go func() {
				done <- backend.Serve(ctx, sayHello, backend.ServerConfig{Addr: test.addr, Logger: slog.New(log)})
			}()
			url := log.wait(t, "listening")["address"]
			require.Contains(t, url, test.url)
			response, err := http.Get(url)
			require.NoError(t, err)
			body, err := io.ReadAll(response.Body)
			response.Body.Close()
			require.NoError(t, err)
			require.Equal(t, "hello", string(body))
			stop()
			require.NoError(t, <-done)
			log.wait(t, "stopping")
			log.wait(t, "stopped")
		})
	}
}

// records is a slog.Handler whose records can be waited for.
type records struct {
	slog.Handler
	found chan slog.Record
}

func newRecords() *records { return &records{slog.DiscardHandler, make(chan slog.Record, 100)} }

func (r *records) Enabled(context.Context, slog.Level) bool { return true }

func (r *records) Handle(_ context.Context, record slog.Record) error {
	r.found <- record
	return nil
}

// wait returns the attributes of the next record, which must have the message.
func (r *records) wait(t *testing.T, message string) map[string]string {
	t.Helper()
	select {
	case record := <-r.found:
		require.Equal(t, message, record.Message)
		attrs := map[string]string{}
		record.Attrs(func(a slog.Attr) bool {
			attrs[a.Key] = a.Value.String()
			return true
		})
		return attrs
	case <-time.After(time.Minute):
		require.FailNow(t, "no record "+message)
		return nil
	}
}

func TestServeNamesAllWrongValues(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	err = backend.Serve(briefly(t), nil, backend.ServerConfig{
		Addr:              "127.0.0.1:0",
		Listener:          listener,
		CertFile:          "cert.pem",
		TLS:               &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11, Certificates: make([]tls.Certificate, 1)},
		ReadHeaderTimeout: -1,
		ReadTimeout:       -1,
		WriteTimeout:      -1,
		IdleTimeout:       -1,
		MaxHeaderBytes:    -1,
		DrainDelay:        -1,
		ShutdownTimeout:   -1,
	})
	for _, part := range []string{"serve: ", "Addr", "Listener", "CertFile", "KeyFile", "MinVersion is TLS 1.0", "MaxVersion is TLS 1.1", "both have a certificate",
		"ReadHeaderTimeout", "ReadTimeout", "WriteTimeout", "IdleTimeout", "MaxHeaderBytes", "DrainDelay", "ShutdownTimeout", "handler is nil"} {
		require.ErrorContains(t, err, part)
	}
	listener.(*net.TCPListener).SetDeadline(time.Now().Add(time.Second))
	_, err = listener.Accept()
	require.ErrorIs(t, err, net.ErrClosed, "Serve closes the listener, whatever it returns")
}

func TestServeRefusesOneWrongValue(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		config backend.ServerConfig
		want   string
	}{
		{"no port", backend.ServerConfig{Addr: "127.0.0.1"}, "missing port in address"},
		{"no such host", backend.ServerConfig{Addr: "999.0.0.1:0"}, "999.0.0.1"},
		{"no such file", backend.ServerConfig{Addr: "127.0.0.1:0", CertFile: "none.pem", KeyFile: "none.key"}, "none.pem"},
		{"TLS without a certificate", backend.ServerConfig{Addr: "127.0.0.1:0", TLS: &tls.Config{}}, "no certificate"},
		{"unix without a path", backend.ServerConfig{Addr: "unix:"}, "no path"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			require.ErrorContains(t, backend.Serve(briefly(t), sayHello, test.config), test.want)
		})
	}
}

func TestServeWithAContextThatHasEnded(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	stop()
	for _, addr := range []string{"127.0.0.1:0", "localhost:0"} {
		config := backend.ServerConfig{Addr: addr, Logger: slog.New(slog.DiscardHandler)}
		require.NoError(t, backend.Serve(ctx, sayHello, config), addr)
	}
	require.Error(t, backend.Serve(ctx, sayHello, backend.ServerConfig{Addr: "no port"}), "wrong is wrong")
}

func TestServeSaysThatThePortIsTaken(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	addr := listener.Addr().String()
	err = backend.Serve(briefly(t), sayHello, backend.ServerConfig{Addr: addr})
	require.ErrorIs(t, err, syscall.EADDRINUSE)
	require.ErrorContains(t, err, addr)
}

func TestServeGivesRequestsTheValuesOfItsContext(t *testing.T) {
	t.Parallel()
	type key struct{}
	ctx, stop := context.WithCancel(context.WithValue(t.Context(), key{}, "value"))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		stop()
		require.NoError(t, r.Context().Err(), "ends with the request, not with the context of Serve")
		io.WriteString(w, r.Context().Value(key{}).(string))
	})
	done := make(chan error, 1)
	go func() {
		done <- backend.Serve(ctx, handler, backend.ServerConfig{Listener: listener, Logger: slog.New(slog.DiscardHandler)})
	}()
	response, err := http.Get("http://" + listener.Addr().String())
	require.NoError(t, err)
	body, err := io.ReadAll(response.Body)
	response.Body.Close()
	require.NoError(t, err)
	require.Equal(t, "value", string(body))
	require.NoError(t, <-done)
}

// A listener that breaks is an error, but not for the requests that run.
func TestServeAnswersWhatRunsWhenTheListenerBreaks(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		release := make(chan struct{})
		listener := newPipeListener()
		s := serveOn(t, listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			<-release
			io.WriteString(w, "answered")
		}), backend.ServerConfig{})
		conn := listener.dial(t)
		_, err := io.WriteString(conn, getRoot)
		require.NoError(t, err)
		synctest.Wait()
		listener.Close()
		synctest.Wait()
		require.Empty(t, s.done)
		close(release)
		_, body := readAnswer(t, bufio.NewReader(conn))
		require.Equal(t, "answered", body)
		require.ErrorIs(t, s.ended(t), net.ErrClosed)
	})
}

// Not parallel, so that no other test starts goroutines meanwhile.
func TestServeLeavesNoGoroutine(t *testing.T) {
	startSignals()
	before := runtime.NumGoroutine()
	s := serveTCP(t, sayHello, backend.ServerConfig{})
	for range 5 {
		_, body := ask(t, s.dial(t), getRoot)
		require.Equal(t, "hello", body)
		s.dial(t) // says nothing
	}
	s.stop()
	require.NoError(t, s.ended(t))
	deadline := time.Now().Add(10 * time.Second)
	for runtime.NumGoroutine() > before && time.Now().Before(deadline) {
		runtime.Gosched()
	}
	require.LessOrEqual(t, runtime.NumGoroutine(), before)
}
