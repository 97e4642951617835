package backend_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
)

// slowly answers after a time.
func slowly(took time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(took):
			io.WriteString(w, "done")
		case <-r.Context().Done():
		}
	})
}

func send(t *testing.T, conn io.Writer, text string) {
	t.Helper()
	_, err := io.WriteString(conn, text)
	require.NoError(t, err)
}

func TestServeFailsReadinessAndDrainsBeforeItStops(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		health := backend.NewHealth()
		r := backend.NewRouter()
		r.Handle("GET /", sayHello)
		r.Handle("GET /readyz", health.Ready())
		r.Handle("GET /healthz", health.Live())
		const askReady = "GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n"
		listener := newPipeListener()
		s := serveOn(t, listener, r, backend.ServerConfig{Health: health})
		open := listener.dial(t)
		response, _ := ask(t, open, askReady)
		require.Equal(t, 200, response.StatusCode)
		require.False(t, response.Close)

		start := time.Now()
		s.stop()
		synctest.Wait()
		response, body := ask(t, open, askReady)
		require.Equal(t, 503, response.StatusCode)
		require.JSONEq(t, `{"status":"stopping"}`, body)
		require.True(t, response.Close, "Connection: close")
		response, _ = ask(t, listener.dial(t), "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
		require.Equal(t, 200, response.StatusCode, "a server that stops is alive")

		time.Sleep(2999 * time.Millisecond)
		response, body = ask(t, listener.dial(t), getRoot)
		require.Equal(t, "hello", body)
		require.True(t, response.Close, "Connection: close")

		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		_, err := listener.DialContext(t.Context(), "", "")
		require.ErrorIs(t, err, syscall.ECONNREFUSED)
		require.NoError(t, s.ended(t))
		require.Less(t, time.Since(start), 3100*time.Millisecond)
		s.log.record(t, "stopped")
	})
}

func TestServeWithoutHealthDoesNotDrain(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		listener := newPipeListener()
		s := serveOn(t, listener, sayHello, backend.ServerConfig{})
		start := time.Now()
		s.stop()
		require.NoError(t, s.ended(t))
		require.Zero(t, time.Since(start))
	})
}

func TestServeWaitsForRunningRequests(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		listener := newPipeListener()
		s := serveOn(t, listener, slowly(19*time.Second), backend.ServerConfig{})
		conn := listener.dial(t)
		start := time.Now()
		send(t, conn, getRoot)
		s.stop()
		_, body := readAnswer(t, bufio.NewReader(conn))
		require.Equal(t, "done", body)
		require.NoError(t, s.ended(t))
		require.Less(t, time.Since(start), 20*time.Second)
	})
}

func TestServeCutsRequestsThatOutliveTheShutdownTimeout(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		listener := newPipeListener()
		s := serveOn(t, listener, slowly(21*time.Second), backend.ServerConfig{})
		conns := []net.Conn{listener.dial(t), listener.dial(t)}
		for _, conn := range conns {
			send(t, conn, getRoot)
		}
		start := time.Now()
		synctest.Wait()
		s.stop()
		err := s.ended(t)
		require.ErrorContains(t, err, "2 requests were cut off: ShutdownTimeout of 20s is over")
		require.Equal(t, 20*time.Second, time.Since(start))
		for _, conn := range conns {
			_, said := closedAfter(t, conn)
			require.Empty(t, said)
		}
	})
}

// The contexts of requests end when they are cut off, so that what they wait for
// ends too.
func TestServeEndsTheContextsOfRequestsItCutsOff(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		listener := newPipeListener()
		ended := make(chan error, 1)
		s := serveOn(t, listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			<-r.Context().Done() // the body is not read, so net/http does not see the client leave
			ended <- r.Context().Err()
		}), backend.ServerConfig{ShutdownTimeout: time.Second})
		send(t, listener.dial(t), "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n")
		synctest.Wait()
		s.stop()
		require.Error(t, s.ended(t))
		require.ErrorIs(t, <-ended, context.Canceled)
	})
}

// What a client may be doing on its connection while the server stops, and what
// becomes of it.
func TestServeTreatsOpenConnectionsWell(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		// before the server is told to stop, and after
		before func(t *testing.T, conn net.Conn)
		after  func(t *testing.T, conn net.Conn)
		most   time.Duration // that Serve may take
	}{
		{
			name:   "it never said anything",
			before: func(t *testing.T, conn net.Conn) { time.Sleep(time.Second) },
			after:  func(t *testing.T, conn net.Conn) { _, said := closedAfter(t, conn); require.Empty(t, said) },
			most:   20 * time.Millisecond,
		}, {
			name:   "it has just connected and says nothing",
			before: func(t *testing.T, conn net.Conn) {},
			after:  func(t *testing.T, conn net.Conn) { _, said := closedAfter(t, conn); require.Empty(t, said) },
			most:   520 * time.Millisecond,
		}, {
			name:   "it has just connected and asks",
			before: func(t *testing.T, conn net.Conn) {},
			after: func(t *testing.T, conn net.Conn) {
				time.Sleep(400 * time.Millisecond)
				response, body := ask(t, conn, getRoot)
				require.Equal(t, "hello", body)
				require.True(t, response.Close)
			},
			most: 420 * time.Millisecond,
		}, {
			name: "it is idle",
			before: func(t *testing.T, conn net.Conn) {
				ask(t, conn, getRoot)
				time.Sleep(time.Second)
			},
			after: func(t *testing.T, conn net.Conn) { _, said := closedAfter(t, conn); require.Empty(t, said) },
			most:  1020 * time.Millisecond, // so that its next request, if it comes, is not lost
		}, {
			name: "it is idle and asks once more",
			before: func(t *testing.T, conn net.Conn) {
				ask(t, conn, getRoot)
				time.Sleep(time.Minute)
			},
			after: func(t *testing.T, conn net.Conn) {
				time.Sleep(900 * time.Millisecond)
				response, body := ask(t, conn, getRoot)
				require.Equal(t, "hello", body)
				require.True(t, response.Close)
			},
			most: 920 * time.Millisecond,
		}, {
			name:   "it was used a moment ago and asks again",
			before: func(t *testing.T, conn net.Conn) { ask(t, conn, getRoot) },
			after: func(t *testing.T, conn net.Conn) {
				time.Sleep(400 * time.Millisecond)
				response, body := ask(t, conn, getRoot)
				require.Equal(t, "hello", body)
				require.True(t, response.Close)
			},
			most: 420 * time.Millisecond,
		}, {
			name:   "it is in the middle of its first header",
			before: func(t *testing.T, conn net.Conn) { send(t, conn, getRoot[:10]); time.Sleep(time.Second) },
			after: func(t *testing.T, conn net.Conn) {
				time.Sleep(3 * time.Second)
				_, body := ask(t, conn, getRoot[10:])
				require.Equal(t, "hello", body)
			},
			most: 3020 * time.Millisecond,
		}, {
			name: "it is in the middle of its second header",
			before: func(t *testing.T, conn net.Conn) {
				ask(t, conn, getRoot)
				send(t, conn, getRoot[:10])
				time.Sleep(time.Second)
			},
			after: func(t *testing.T, conn net.Conn) {
				time.Sleep(3 * time.Second)
				_, body := ask(t, conn, getRoot[10:])
				require.Equal(t, "hello", body)
			},
			most: 3020 * time.Millisecond,
		}, {
			name:   "it never finishes its header",
			before: func(t *testing.T, conn net.Conn) { send(t, conn, getRoot[:10]) },
			after:  func(t *testing.T, conn net.Conn) { closedAfter(t, conn) },
			most:   5020 * time.Millisecond,
		}, {
			name: "it sends one byte of its second header",
			before: func(t *testing.T, conn net.Conn) {
				ask(t, conn, getRoot)
				send(t, conn, "G")
			},
			after: func(t *testing.T, conn net.Conn) { closedAfter(t, conn) },
			most:  5020 * time.Millisecond,
		}, {
			name: "it is in the middle of its body",
			before: func(t *testing.T, conn net.Conn) {
				send(t, conn, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\n1234")
				time.Sleep(time.Second)
			},
			after: func(t *testing.T, conn net.Conn) {
				time.Sleep(10 * time.Second)
				_, body := ask(t, conn, "5678")
				require.Equal(t, "hello12345678", body)
			},
			most: 10520 * time.Millisecond, // its answer began before the stop, so it is not told to leave,
		},
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			io.WriteString(w, "hello"+string(body))
		}
	})
	certificate := newCertificate(t, "one").pair(t)
	for _, test := range tests {
		for _, secure := range []bool{false, true} {
			name := test.name
			var config backend.ServerConfig
			if secure {
				name += ", with TLS"
				config.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				inBubble(t, func(t *testing.T) {
					listener := newPipeListener()
					s := serveOn(t, listener, handler, config)
					conn := listener.dial(t)
					if secure {
						conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
						require.NoError(t, conn.(*tls.Conn).Handshake())
					}
					test.before(t, conn)
					synctest.Wait()
					start := time.Now()
					s.stop()
					test.after(t, conn)
					closedAfter(t, conn) // by the server; with TLS it says goodbye
					require.NoError(t, s.ended(t))
					require.LessOrEqual(t, time.Since(start), test.most)
				})
			})
		}
	}
}

// Clients that never finish asking are no reason to call the stop a failure.
func TestServeDoesNotCountUnfinishedHeadersAsRequests(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		listener := newPipeListener()
		s := serveOn(t, listener, sayHello, backend.ServerConfig{ShutdownTimeout: time.Second})
		conn := listener.dial(t)
		send(t, conn, getRoot[:10])
		synctest.Wait()
		s.stop()
		requireClosedAfter(t, time.Second, conn)
		require.NoError(t, s.ended(t))
	})
}

// A client that does not read its TLS goodbye must not hold the stop.
func TestServeStopsInTimeWithClientsThatDoNotRead(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		listener := newPipeListener()
		s := serveOn(t, listener, slowly(time.Hour), backend.ServerConfig{
			TLS:             &tls.Config{Certificates: []tls.Certificate{newCertificate(t, "one").pair(t)}},
			ShutdownTimeout: time.Second,
		})
		for range 10 {
			conn := tls.Client(listener.dial(t), &tls.Config{InsecureSkipVerify: true})
			send(t, conn, getRoot)
		}
		synctest.Wait()
		start := time.Now()
		s.stop()
		require.ErrorContains(t, s.ended(t), "10 requests were cut off")
		require.Equal(t, time.Second, time.Since(start))
	})
}

func TestServeDoesNotWaitForHijackedConnections(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		listener := newPipeListener()
		taken := make(chan net.Conn, 1)
		s := serveOn(t, listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			require.NoError(t, err)
			taken <- conn
		}), backend.ServerConfig{})
		client := listener.dial(t)
		send(t, client, getRoot)
		conn := <-taken
		s.stop()
		require.NoError(t, s.ended(t))
		go io.WriteString(conn, "still here")
		read := make([]byte, 10)
		_, err := io.ReadFull(client, read)
		require.NoError(t, err)
		require.Equal(t, "still here", string(read))
		conn.Close()
	})
}

// An upgrade keeps its Connection header.
func TestServeLeavesTheConnectionHeaderOfUpgradesAlone(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		listener := newPipeListener()
		s := serveOn(t, listener, sayHello, backend.ServerConfig{DrainDelay: time.Second})
		s.stop()
		synctest.Wait()
		conn := listener.dial(t)
		response, _ := ask(t, conn, "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		require.False(t, response.Close)
		response, _ = ask(t, conn, getRoot)
		require.True(t, response.Close)
	})
}

// The connections of such a listener are *tls.Conn already.
func TestServeTakesATLSListener(t *testing.T) {
	t.Parallel()
	certificate := newCertificate(t, "one")
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := serveOn(t, tls.NewListener(plain, &tls.Config{
		Certificates: []tls.Certificate{certificate.pair(t)}, NextProtos: []string{"h2"},
	}), sayHello, backend.ServerConfig{})
	client := certificate.client(t)
	response, err := client.Get("https://" + s.addr)
	require.NoError(t, err)
	response.Body.Close()
	require.Equal(t, 2, response.ProtoMajor)
	s.stop()
	require.NoError(t, s.ended(t))
}

// TestServeInBubbles: a SIGPIPE, which a write of any other test may cause, does not end the
// tests of a program that runs Serve in a bubble.
func TestServeInBubbles(t *testing.T) {
	t.Parallel()
	delivered := make(chan os.Signal, 1)
	signal.Notify(delivered, syscall.SIGPIPE)
	defer signal.Stop(delivered)
	inBubble(t, func(t *testing.T) {
		s := serveOn(t, newPipeListener(), sayHello, backend.ServerConfig{})
		synctest.Wait()
		for range 2 { // the first one has reached everybody when the second one comes
			require.NoError(t, syscall.Kill(syscall.Getpid(), syscall.SIGPIPE))
			<-delivered
		}
		s.stop()
		require.NoError(t, s.ended(t))
	})
}
