package backend_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
)

// closedAfter returns how long the peer takes to close the connection, and what
// it says before.
func closedAfter(t *testing.T, conn net.Conn) (time.Duration, string) {
	t.Helper()
	start := time.Now()
	said, err := io.ReadAll(conn)
	if !errors.Is(err, syscall.ECONNRESET) {
		require.NoError(t, err)
	}
	return time.Since(start), string(said)
}

// requireClosedAfter fails unless the peer closes the connection at that time
// without a word.
func requireClosedAfter(t *testing.T, want time.Duration, conn net.Conn) {
	t.Helper()
	after, said := closedAfter(t, conn)
	require.Empty(t, said)
	require.Equal(t, want, after)
}

// The limits that hold by default; the values are those of the project's security
// requirements. Each runs on a clock of its own, so they are exact.
func TestServeCutsSlowClientsByDefault(t *testing.T) {
	t.Parallel()
	t.Run("slow header", func(t *testing.T) {
		t.Parallel()
		inBubble(t, func(t *testing.T) {
			listener := newPipeListener()
			serveOn(t, listener, sayHello, backend.ServerConfig{})
			conn := listener.dial(t)
			_, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHo")
			require.NoError(t, err)
			after, said := closedAfter(t, conn)
			require.Equal(t, 5*time.Second, after)
			require.NotContains(t, said, "hello")
		})
	})
	t.Run("header that comes byte by byte", func(t *testing.T) {
		t.Parallel()
		inBubble(t, func(t *testing.T) {
			listener := newPipeListener()
			serveOn(t, listener, sayHello, backend.ServerConfig{})
			conn := listener.dial(t)
			var writing sync.WaitGroup
			defer writing.Wait()
			writing.Go(func() {
				_, err := io.WriteString(conn, "GET / HTTP/1.1\r\nX-Long: ")
				for err == nil {
					time.Sleep(100 * time.Millisecond) // on the bubble's clock
					_, err = io.WriteString(conn, "x")
				}
			})
			after, said := closedAfter(t, conn)
			require.Equal(t, 5*time.Second, after)
			require.NotContains(t, said, "hello")
		})
	})
	t.Run("nothing at all", func(t *testing.T) {
		t.Parallel()
		inBubble(t, func(t *testing.T) {
			listener := newPipeListener()
			serveOn(t, listener, sayHello, backend.ServerConfig{})
			requireClosedAfter(t, 5*time.Second, listener.dial(t))
		})
	})
	t.Run("slow body", func(t *testing.T) {
		t.Parallel()
		inBubble(t, func(t *testing.T) {
			listener := newPipeListener()
			readErr := make(chan error, 1)
			serveOn(t, listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, err := io.ReadAll(r.Body)
				readErr <- err
				panic(http.ErrAbortHandler)
			}), backend.ServerConfig{})
			conn := listener.dial(t)
			_, err := io.WriteString(conn, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345")
			require.NoError(t, err)
			requireClosedAfter(t, 30*time.Second, conn)
			require.ErrorIs(t, <-readErr, os.ErrDeadlineExceeded)
		})
	})
	t.Run("slow reader", func(t *testing.T) {
		t.Parallel()
		inBubble(t, func(t *testing.T) {
			listener := newPipeListener()
			cut, wrote := make(chan time.Duration, 1), make(chan error, 1)
			serveOn(t, listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				start := time.Now()
				_, err := io.Copy(w, zeros{})
				cut <- time.Since(start)
				wrote <- err
			}), backend.ServerConfig{})
			conn := listener.dial(t)
			_, err := io.WriteString(conn, getRoot)
			require.NoError(t, err)
			_, err = io.ReadFull(conn, make([]byte, 10))
			require.NoError(t, err)
			require.Equal(t, 60*time.Second, <-cut)
			require.ErrorIs(t, <-wrote, os.ErrDeadlineExceeded)
		})
	})
	t.Run("idle connection", func(t *testing.T) {
		t.Parallel()
		inBubble(t, func(t *testing.T) {
			listener := newPipeListener()
			serveOn(t, listener, sayHello, backend.ServerConfig{})
			conn := listener.dial(t)
			_, body := ask(t, conn, getRoot)
			require.Equal(t, "hello", body)
			requireClosedAfter(t, 90*time.Second, conn)
		})
	})
}

// zeros never ends.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// The same on the network, with limits that a test can wait for (statement 60).
func TestServeCutsSlowClientsOnTheNetwork(t *testing.T) {
	t.Parallel()
	const short = 30 * time.Millisecond
	t.Run("slow header", func(t *testing.T) {
		t.Parallel()
		s := serveTCP(t, sayHello, backend.ServerConfig{ReadHeaderTimeout: short})
		conn := s.dial(t)
		_, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\nX-Half")
		require.NoError(t, err)
		_, said := closedAfter(t, conn)
		require.NotContains(t, said, "hello")
	})
	t.Run("slow body", func(t *testing.T) {
		t.Parallel()
		readErr := make(chan error, 1)
		s := serveTCP(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, err := io.ReadAll(r.Body)
			readErr <- err
			panic(http.ErrAbortHandler)
		}), backend.ServerConfig{ReadTimeout: short})
		conn := s.dial(t)
		_, err := io.WriteString(conn, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n123")
		require.NoError(t, err)
		_, said := closedAfter(t, conn)
		require.Empty(t, said)
		require.Len(t, readErr, 1, "the handler has run")
		require.ErrorIs(t, <-readErr, os.ErrDeadlineExceeded)
	})
	t.Run("slow reader", func(t *testing.T) {
		t.Parallel()
		wrote := make(chan error, 1)
		s := serveTCP(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, err := io.Copy(w, zeros{})
			wrote <- err
		}), backend.ServerConfig{WriteTimeout: short})
		_, err := io.WriteString(s.dial(t), getRoot)
		require.NoError(t, err)
		require.ErrorIs(t, <-wrote, os.ErrDeadlineExceeded)
	})
	t.Run("idle connection", func(t *testing.T) {
		t.Parallel()
		s := serveTCP(t, sayHello, backend.ServerConfig{IdleTimeout: short})
		conn := s.dial(t)
		_, body := ask(t, conn, getRoot)
		require.Equal(t, "hello", body)
		_, said := closedAfter(t, conn)
		require.Empty(t, said)
	})
}

// RFC 6585, section 5, has 431 for it.
func TestServeRefusesLongHeaders(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		size   int
		config backend.ServerConfig
		want   string
	}{
		{"most of 64 KiB", 64<<10 - 200, backend.ServerConfig{}, "HTTP/1.1 200 "},
		{"over 64 KiB and what net/http adds", 64<<10 + 4<<10, backend.ServerConfig{}, "HTTP/1.1 431 "},
		{"over an own limit", 1<<10 + 4<<10, backend.ServerConfig{MaxHeaderBytes: 1 << 10}, "HTTP/1.1 431 "},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			conn := serveTCP(t, sayHello, test.config).dial(t)
			// On a goroutine, since the server may answer before it read all.
			go fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: a\r\nX-Long: %s\r\n\r\n", strings.Repeat("x", test.size))
			line, err := bufio.NewReader(conn).ReadString('\n')
			require.NoError(t, err)
			require.Contains(t, line, test.want)
		})
	}
}

// A header that never ends costs the server no more than the limit.
func TestServeReadsNoMoreOfAHeaderThanItsLimit(t *testing.T) {
	t.Parallel()
	conn := serveTCP(t, sayHello, backend.ServerConfig{}).dial(t)
	taken := make(chan int64, 1)
	go func() {
		io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\nX-Long: ")
		n, _ := io.Copy(conn, strings.NewReader(strings.Repeat("x", 64<<20)))
		taken <- n
	}()
	line, err := bufio.NewReader(conn).ReadString('\n')
	require.NoError(t, err)
	require.Contains(t, line, "HTTP/1.1 431 ")
	require.Less(t, <-taken, int64(32<<20), "the system's buffers hold some of it")
}
