package backend_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
)

// places is a server with a Stack whose handler says when requests have begun.
type places struct {
	t      *testing.T
	server *httptest.Server
	begun  chan string
	finish chan struct{} // closed when requests for /work and streams may end
}

func newPlaces(t *testing.T, config backend.StackConfig, slow http.HandlerFunc) *places {
	p := &places{t: t, begun: make(chan string, 100), finish: make(chan struct{})}
	config.Logger = slog.New(slog.DiscardHandler)
	config.TrustedProxies = []string{"127.0.0.1/32"}
	p.server = httptest.NewServer(backend.Stack(config)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/quick":
		case "/work":
			p.begun <- r.URL.Path
			<-p.finish
		default:
			p.begun <- r.URL.Path
			slow(w, r)
		}
	})))
	t.Cleanup(p.server.Close)
	return p
}

// connect sends the beginning of a request. The connection stays open until the test ends.
func (p *places) connect(client, head string) (net.Conn, *bufio.Reader) {
	conn, err := net.Dial("tcp", p.server.Listener.Addr().String())
	require.NoError(p.t, err)
	p.t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(time.Minute))
	line, rest, _ := strings.Cut(head, "\r\n")
	_, err = fmt.Fprintf(conn, "%s\r\nHost: x\r\nX-Forwarded-For: %s\r\n%s", line, client, rest)
	require.NoError(p.t, err)
	return conn, bufio.NewReader(conn)
}

// status sends a whole GET request and returns the status of the response.
func (p *places) status(client, path string) int {
	conn, reader := p.connect(client, "GET "+path+" HTTP/1.1\r\nConnection: close\r\n\r\n")
	defer conn.Close()
	return p.answer(reader)
}

// await waits until a request for the path has begun.
func (p *places) await(path string) {
	select {
	case begun := <-p.begun:
		require.Equal(p.t, path, begun)
	case <-time.After(30 * time.Second):
		require.Fail(p.t, "the request has not begun", path)
	}
}

func (p *places) answer(reader *bufio.Reader) int {
	response, err := http.ReadResponse(reader, nil)
	require.NoError(p.t, err)
	if response.StatusCode == 503 {
		require.NotEmpty(p.t, response.Header.Get("Retry-After"))
		body, err := io.ReadAll(response.Body)
		require.NoError(p.t, err)
		require.Contains(p.t, string(body), "The server is busy")
	}
	return response.StatusCode
}

// Ten clients that are slow in some way at the same time leave both places to others.
func TestSlowClientsHoldNoPlace(t *testing.T) {
	t.Parallel()
	much := make([]byte, 16<<20)
	rand.NewChaCha8([32]byte{}).Read(much)
	text := string(much)
	for name, test := range map[string]struct {
		head string
		slow func(p *places, w http.ResponseWriter, r *http.Request)
	}{
		"sending the body": {"POST /slow HTTP/1.1\r\nContent-Length: 100\r\n\r\nx", func(_ *places, _ http.ResponseWriter, r *http.Request) {
			io.ReadAll(r.Body)
		}},
		"sending chunks": {"POST /slow HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n", func(_ *places, _ http.ResponseWriter, r *http.Request) {
			io.ReadAll(r.Body)
		}},
		"sending after 100": {"POST /slow HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 100\r\n\r\n", func(_ *places, _ http.ResponseWriter, r *http.Request) {
			io.ReadAll(r.Body)
		}},
		"reading": {"GET /slow HTTP/1.1\r\n\r\n", func(_ *places, w http.ResponseWriter, r *http.Request) {
			w.Write(much)
		}},
		"reading what is compressed": {"GET /slow HTTP/1.1\r\nAccept-Encoding: gzip\r\n\r\n", func(_ *places, w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			w.Write(much)
		}},
		"reading strings": {"GET /slow HTTP/1.1\r\n\r\n", func(_ *places, w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "image/png")
			io.WriteString(w, "begin")
			io.WriteString(w, text)
		}},
		"reading a file": {"GET /slow HTTP/1.1\r\n\r\n", func(_ *places, w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "image/png")
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(much))
		}},
		"an event stream": {"GET /slow HTTP/1.1\r\n\r\n", func(p *places, w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
			w.WriteHeader(200)
			<-p.finish
		}},
		"a flushed response": {"GET /slow HTTP/1.1\r\n\r\n", func(p *places, w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "one\n")
			w.(http.Flusher).Flush()
			<-p.finish
		}},
		"a websocket": {"GET /slow HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", func(p *places, w http.ResponseWriter, r *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				defer conn.Close()
			}
			<-p.finish
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var p *places
			p = newPlaces(t, backend.StackConfig{MaxConcurrent: 2, QueueWait: time.Minute, Timeout: 2 * time.Minute}, func(w http.ResponseWriter, r *http.Request) {
				test.slow(p, w, r)
			})
			defer close(p.finish)
			for range 10 {
				p.connect("10.0.0.1", test.head)
				p.await("/slow") // the ones before do not hold both places
			}
			require.Equal(t, 200, p.status("10.0.0.1", "/quick"))
			require.Equal(t, 200, p.status("10.0.0.2", "/quick"))
		})
	}
}

// A request whose body has come works like any other: not beside more others than allowed,
// and before those that have not begun.
func TestBodyThatArrivesWaitsForAPlace(t *testing.T) {
	t.Parallel()
	order := make(chan string, 10)
	p := newPlaces(t, backend.StackConfig{MaxConcurrent: 1, QueueWait: time.Minute, Timeout: time.Minute}, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		order <- fmt.Sprint(string(body), err)
	})
	conn, slow := p.connect("10.0.0.1", "POST /body HTTP/1.1\r\nContent-Length: 2\r\n\r\na")
	p.await("/body")
	_, worker := p.connect("10.0.0.2", "GET /work HTTP/1.1\r\n\r\n")
	p.await("/work")
	_, err := conn.Write([]byte("b"))
	require.NoError(t, err)
	_, next := p.connect("10.0.0.3", "POST /body HTTP/1.1\r\nContent-Length: 1\r\n\r\nc")
	select {
	case <-order:
		t.Fatal("two work at once")
	case <-p.begun:
		t.Fatal("two work at once")
	case <-time.After(50 * time.Millisecond):
	}
	close(p.finish)
	for _, reader := range []*bufio.Reader{worker, slow, next} {
		require.Equal(t, 200, p.answer(reader))
	}
	require.Equal(t, "ab<nil>", <-order)
}

// It is refused like any other, too, and is not said to be late.
func TestBodyThatArrivesIsRefused(t *testing.T) {
	t.Parallel()
	p := newPlaces(t, backend.StackConfig{MaxConcurrent: 1, Timeout: 300 * time.Millisecond}, func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.ReadAll(r.Body); err != nil {
			backend.WriteError(w, r, err)
		}
	})
	conn, slow := p.connect("10.0.0.1", "POST /body HTTP/1.1\r\nContent-Length: 2\r\n\r\na")
	p.await("/body")
	p.connect("10.0.0.2", "GET /work HTTP/1.1\r\n\r\n")
	p.await("/work")
	_, err := conn.Write([]byte("b"))
	require.NoError(t, err)
	require.Equal(t, 503, p.answer(slow))
	close(p.finish)
}

// Streams have a limit of their own, and no client has all of them.
func TestStreamsAreLimited(t *testing.T) {
	t.Parallel()
	for name, begin := range map[string]func(w http.ResponseWriter) error{
		"event stream": func(w http.ResponseWriter) error {
			w.Header().Set("Content-Type", "text/event-stream")
			_, err := w.Write([]byte("data: 1\n\n"))
			return err
		},
		"flush": func(w http.ResponseWriter) error {
			return http.NewResponseController(w).Flush() // what was written can no longer be refused
		},
		"hijack": func(w http.ResponseWriter) error {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				_, err = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var p *places
			p = newPlaces(t, backend.StackConfig{MaxConcurrent: 1, Timeout: time.Minute}, func(w http.ResponseWriter, r *http.Request) {
				if begin(w) == nil {
					http.NewResponseController(w).Flush()
					<-p.finish
				}
			})
			defer close(p.finish)
			open := func(client string) int {
				_, reader := p.connect(client, "GET /stream HTTP/1.1\r\n\r\n")
				return p.answer(reader)
			}
			for range 12 {
				require.Equal(t, 200, open("10.0.0.1"))
			}
			require.Equal(t, 503, open("10.0.0.1"))
			for i := range 4 {
				require.Equal(t, 200, open(fmt.Sprintf("10.0.1.%d", i)))
			}
			require.Equal(t, 503, open("10.0.2.1"))
			require.Equal(t, 200, p.status("10.0.0.1", "/quick"))
		})
	}
}

func TestOneAddressHasNotAllPlaces(t *testing.T) {
	t.Parallel()
	p := newPlaces(t, backend.StackConfig{MaxConcurrent: 4, QueueWait: 20 * time.Millisecond, Timeout: time.Minute}, nil)
	for i := range 3 { // one network is one client
		p.connect(fmt.Sprintf("2001:db8::%d", i), "GET /work HTTP/1.1\r\n\r\n")
		p.await("/work")
	}
	require.Equal(t, 503, p.status("2001:db8::9", "/quick"))
	require.Equal(t, 200, p.status("2001:db8:1::9", "/quick"))
	close(p.finish)
}
