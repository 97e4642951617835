package backend_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
)

// crowd is a handler under load, and what its clients saw.
type crowd struct {
	stop   func()
	after  int64 // how many requests begin before the server is told to stop
	begun  atomic.Int64
	ended  atomic.Int64
	others sync.Cond // is told when a request began, or the server is closed

	mu      sync.Mutex
	answers int64
	closed  bool // a client was refused
	lost    []error
}

func newCrowd(after int64) *crowd {
	c := &crowd{after: after}
	c.others.L = &c.mu
	return c
}

// ServeHTTP answers with the body and a long tail. A request for /slow ends when
// ten others have begun after it, or none can begin any more.
func (c *crowd) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	mine := c.begun.Add(1)
	defer c.ended.Add(1)
	c.others.Broadcast()
	if mine == c.after {
		c.stop()
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(err)
	}
	if r.URL.Path == "/slow" {
		c.mu.Lock()
		for c.begun.Load() < mine+10 && !c.closed {
			c.others.Wait()
		}
		c.mu.Unlock()
	}
	w.Write(body)
	w.Write(tail)
}

var tail = bytes.Repeat([]byte("0123456789"), 2000)

// client asks again and again until it is refused.
func (c *crowd) client(number int, send func(path string, body []byte) (answer []byte, err error)) {
	path := "/"
	if number%4 == 0 {
		path = "/slow"
	}
	for i := 0; ; i++ {
		body := []byte(fmt.Sprintf("client %d, request %d.", number, i))
		if i%3 == 0 {
			body = bytes.Repeat(body, 3000) // more than one read
		}
		answer, err := send(path, body)
		switch {
		case errors.Is(err, errNotConnected):
			c.end()
			return
		case err == nil && !bytes.Equal(answer, append(body, tail...)):
			err = fmt.Errorf("wrong answer of %d bytes to %d", len(answer), len(body))
			fallthrough
		case err != nil:
			c.mu.Lock()
			c.lost = append(c.lost, fmt.Errorf("client %d, request %d: %w", number, i, err))
			c.mu.Unlock()
		default:
			c.mu.Lock()
			c.answers++
			c.mu.Unlock()
		}
	}
}

func (c *crowd) end() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.others.Broadcast()
}

// errNotConnected is what a client may see: it could not connect.
var errNotConnected = errors.New("cannot connect")

// dialer returns a function that connects. A connection that nobody accepted is
// reset while it is made, or refused; whatever else goes wrong is a loss.
func dialer(addr string, secure *tls.Config) func() (net.Conn, error) {
	return func() (conn net.Conn, err error) {
		if secure != nil {
			conn, err = tls.Dial("tcp", addr, secure)
		} else {
			conn, err = net.Dial("tcp", addr)
		}
		if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET) || secure != nil && errors.Is(err, io.EOF) {
			return nil, errors.Join(errNotConnected, err)
		}
		return conn, err
	}
}

// rawClient is an HTTP/1.1 client that, unlike net/http's, never tries again. It
// leaves a connection when it is told to.
type rawClient struct {
	dial func() (net.Conn, error)
	conn net.Conn
	r    *bufio.Reader
	used int

	strict bool // it must not be reset on a new connection either
}

func (c *rawClient) send(path string, body []byte) (answer []byte, err error) {
	if c.conn == nil {
		if c.conn, err = c.dial(); err != nil {
			c.conn = nil
			return nil, err
		}
		c.r, c.used = bufio.NewReader(c.conn), 0
	}
	keep := false
	defer func() {
		c.used++
		if !keep {
			c.conn.Close()
			c.conn = nil
		}
		if err != nil {
			err = fmt.Errorf("request %d of its connection: %w", c.used, err)
		}
		if c.used == 1 && !c.strict && errors.Is(err, syscall.ECONNRESET) { // nobody accepted it, which connecting cannot tell
			err = errors.Join(errNotConnected, err)
		}
	}()
	request := append([]byte("POST "+path+" HTTP/1.1\r\nHost: a\r\nContent-Length: "+strconv.Itoa(len(body))+"\r\n\r\n"), body...)
	if _, err := c.conn.Write(request); err != nil {
		return nil, err
	}
	response, err := http.ReadResponse(c.r, nil)
	if err != nil {
		return nil, err
	}
	answer, err = io.ReadAll(response.Body)
	keep = err == nil && !response.Close
	return answer, err
}

// No request that reached the handler is cut, and no request is lost on a
// connection that was open: the only thing that a client sees is that it cannot
// connect any more.
func TestServeLosesNoRequestUnderLoad(t *testing.T) {
	const clients, before = 20, 600
	secure := &tls.Config{Certificates: []tls.Certificate{newCertificate(t, "one").pair(t)}}
	tests := []struct {
		name   string
		config backend.ServerConfig
		http2  bool
	}{
		{name: "at once", config: backend.ServerConfig{}},
		{name: "drained", config: backend.ServerConfig{DrainDelay: 50 * time.Millisecond}},
		{name: "TLS, at once", config: backend.ServerConfig{TLS: secure}},
		{name: "TLS, drained", config: backend.ServerConfig{TLS: secure, DrainDelay: 50 * time.Millisecond}},
		{name: "HTTP/2, at once", config: backend.ServerConfig{TLS: secure}, http2: true},
		{name: "HTTP/2, drained", config: backend.ServerConfig{TLS: secure, DrainDelay: 50 * time.Millisecond}, http2: true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel() // with each other only: the time is that of waiting
			c := newCrowd(before)
			s := serveTCP(t, c, test.config)
			c.stop = s.stop
			var running sync.WaitGroup
			for number := range clients {
				running.Go(func() {
					if test.http2 {
						secure := &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}}
						c.client(number, http2Client(t, dialer(s.addr, secure)))
						return
					}
					raw := &rawClient{dial: dialer(s.addr, nil)}
					if test.config.TLS != nil {
						raw.dial = dialer(s.addr, &tls.Config{InsecureSkipVerify: true})
					}
					c.client(number, raw.send)
				})
			}
			err := s.ended(t)
			running.Wait()
			require.NoError(t, err)
			require.GreaterOrEqual(t, c.begun.Load(), int64(before))
			require.Equal(t, c.begun.Load(), c.ended.Load())
			require.Empty(t, c.lost)
			require.Equal(t, c.begun.Load(), c.answers, "every request that reached the handler was answered")
		})
	}
}

// http2Client asks by HTTP/2, trying again only what GOAWAY says was not begun.
func http2Client(t *testing.T, dial func() (net.Conn, error)) func(string, []byte) ([]byte, error) {
	transport := &http.Transport{
		ForceAttemptHTTP2: true,
		DialTLSContext:    func(context.Context, string, string) (net.Conn, error) { return dial() },
	}
	t.Cleanup(transport.CloseIdleConnections)
	client := http.Client{Transport: transport}
	return func(path string, body []byte) ([]byte, error) {
		response, err := client.Post("https://a"+path, "text/plain", bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		defer response.Body.Close()
		if response.ProtoMajor != 2 {
			return nil, fmt.Errorf("%s instead of HTTP/2", response.Proto)
		}
		return io.ReadAll(response.Body)
	}
}

// Clients that keep their connections and think between two requests see a connection
// that is refused, and nothing else: no request is cut, on no connection, new or old.
func TestServeCutsNoKeepAliveClient(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux lets a listener stop before it is closed")
	}
	const clients = 30 // of each test
	secure := &tls.Config{Certificates: []tls.Certificate{newCertificate(t, "one").pair(t)}}
	dir, err := os.MkdirTemp("", "backend") // a short path
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	for _, test := range []struct {
		name, network string
		think         time.Duration
		before        int64 // requests before the stop
		serve         func(*testing.T, http.Handler, backend.ServerConfig) *serving
		config        backend.ServerConfig
	}{
		{"without a pause", "tcp", 0, 20 * clients, serveAddr, backend.ServerConfig{}},
		{"short pauses", "tcp", 50 * time.Millisecond, 20 * clients, serveAddr, backend.ServerConfig{}},
		{"long pauses", "tcp", 500 * time.Millisecond, 2 * clients, serveAddr, backend.ServerConfig{}},
		{"TLS", "tcp", 200 * time.Millisecond, 5 * clients, serveAddr, backend.ServerConfig{TLS: secure}},
		{"drained", "tcp", 200 * time.Millisecond, 5 * clients, serveAddr, backend.ServerConfig{DrainDelay: 100 * time.Millisecond}},
		{"unix socket", "unix", 0, 20 * clients, serveAddr, backend.ServerConfig{Addr: "unix:" + dir + "/s"}},
		{"the host's listener, without a pause", "tcp", 0, 20 * clients, serveTCP, backend.ServerConfig{}},
		{"the host's listener, short pauses", "tcp", 50 * time.Millisecond, 20 * clients, serveTCP, backend.ServerConfig{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel() // with each other only
			var s *serving
			c := newCrowd(test.before)
			ready := make(chan struct{})
			c.stop = func() { <-ready; s.stop() }
			s = test.serve(t, c, test.config)
			close(ready)
			dial := func() (net.Conn, error) {
				conn, err := net.Dial(test.network, strings.TrimPrefix(s.addr, "unix:"))
				if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOENT) && test.network == "unix" {
					return nil, errors.Join(errNotConnected, err)
				}
				if err == nil && test.config.TLS != nil {
					conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
				}
				return conn, err
			}
			var running sync.WaitGroup
			for number := range clients {
				running.Go(func() {
					raw := &rawClient{dial: dial, strict: true}
					c.client(number, func(path string, body []byte) ([]byte, error) {
						if raw.conn != nil && test.think > 0 {
							time.Sleep(rand.N(test.think)) // the load itself; nothing waits for it
						}
						return raw.send("/", body)
					})
				})
			}
			require.NoError(t, s.ended(t))
			running.Wait()
			require.Empty(t, c.lost)
			require.GreaterOrEqual(t, c.begun.Load(), c.after)
			require.Equal(t, c.begun.Load(), c.answers)
		})
	}
}
