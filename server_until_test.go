package backend_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
)

// stream sends a line and goes on until the request's context ends.
func stream(cause chan<- error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, "data: begun\n\n")
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
		cause <- context.Cause(r.Context())
		io.WriteString(w, "data: bye\n\n")
	})
}

const streamed = "data: begun\n\ndata: bye\n\n"

// The stop of a server with many open streams takes a moment, and is in good order.
func TestUntilStopEndsStreams(t *testing.T) {
	t.Parallel()
	const streams = 500
	certificate := newCertificate(t, "one").pair(t)
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2"} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T) {
				listener, causes := newPipeListener(), make(chan error, streams)
				transport := &http.Transport{DialContext: listener.DialContext}
				scheme, config := "http", backend.ServerConfig{}
				if protocol == "HTTP/2" {
					scheme, config.TLS = "https", &tls.Config{Certificates: []tls.Certificate{certificate}}
					transport.ForceAttemptHTTP2 = true
					transport.TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
				}
				s := serveOn(t, listener, backend.UntilStop()(stream(causes)), config)
				client := http.Client{Transport: transport}
				var reading sync.WaitGroup
				ended := make(chan string, streams)
				for range streams {
					reading.Go(func() {
						response, err := client.Get(scheme + "://a/")
						require.NoError(t, err)
						defer response.Body.Close()
						require.Equal(t, protocol == "HTTP/2", response.ProtoMajor == 2)
						body, err := io.ReadAll(response.Body)
						require.NoError(t, err, "the response has an end")
						ended <- string(body)
					})
				}
				synctest.Wait()
				require.Empty(t, ended)
				start := time.Now()
				s.stop()
				require.NoError(t, s.ended(t))
				require.Less(t, time.Since(start), 2*time.Second)
				reading.Wait()
				for range streams {
					require.ErrorIs(t, <-causes, backend.ErrStopping)
					require.Equal(t, streamed, <-ended)
				}
				transport.CloseIdleConnections()
			})
		})
	}
}

// UntilStop works inside and outside of what else limits a request.
func TestUntilStopAmongOtherMiddleware(t *testing.T) {
	t.Parallel()
	hour := backend.TimeLimit(time.Hour)
	stack := func(h http.Handler) http.Handler { return backend.Stack(backend.StackConfig{})(h) } // in each bubble its own, with its log
	until := backend.UntilStop()
	for name, wrap := range map[string]backend.Middleware{
		"a time limit outside":    func(h http.Handler) http.Handler { return hour(until(h)) },
		"a time limit inside":     func(h http.Handler) http.Handler { return until(hour(h)) },
		"a stack, limit outside":  func(h http.Handler) http.Handler { return stack(hour(until(h))) },
		"a stack, limit inside":   func(h http.Handler) http.Handler { return stack(until(hour(h))) },
		"a stack, limits on each": func(h http.Handler) http.Handler { return stack(hour(until(hour(h)))) },
		"outside of a stack":      func(h http.Handler) http.Handler { return until(stack(hour(h))) },
		"twice":                   func(h http.Handler) http.Handler { return stack(until(hour(until(h)))) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T) {
				listener, cause := newPipeListener(), make(chan error, 1)
				s := serveOn(t, listener, wrap(stream(cause)), backend.ServerConfig{})
				conn := listener.dial(t)
				send(t, conn, getRoot)
				response, err := http.ReadResponse(bufio.NewReader(conn), nil)
				require.NoError(t, err)
				time.Sleep(30 * time.Minute)
				require.Empty(t, cause, "the limit is an hour")
				s.stop()
				body, err := io.ReadAll(response.Body)
				require.NoError(t, err)
				require.Equal(t, streamed, string(body))
				require.ErrorIs(t, <-cause, backend.ErrStopping)
				require.NoError(t, s.ended(t))
			})
		})
	}
}

// Streams that are open at the beginning of the stop end then, later ones when
// DrainDelay is over: a client that connects again at once is not sent away twice
// before load balancers have noticed.
func TestUntilStopDuringDrainDelay(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		listener, causes := newPipeListener(), make(chan error, 2)
		s := serveOn(t, listener, backend.UntilStop()(stream(causes)), backend.ServerConfig{DrainDelay: 10 * time.Second})
		open := func() *http.Response {
			conn := listener.dial(t)
			send(t, conn, getRoot)
			response, err := http.ReadResponse(bufio.NewReader(conn), nil)
			require.NoError(t, err)
			return response
		}
		first, start := open(), time.Now()
		s.stop()
		body, err := io.ReadAll(first.Body)
		require.NoError(t, err)
		require.Equal(t, streamed, string(body))
		require.Zero(t, time.Since(start))
		second := open()
		require.True(t, second.Close)
		body, err = io.ReadAll(second.Body)
		require.NoError(t, err)
		require.Equal(t, streamed, string(body))
		require.Equal(t, 10*time.Second, time.Since(start))
		require.NoError(t, s.ended(t))
	})
}

// A long poll that has nothing to say when the server stops is a 503, and so is an
// error that has the cause in it.
func TestUntilStopAnswersForSilentHandlers(t *testing.T) {
	t.Parallel()
	for name, handler := range map[string]http.HandlerFunc{
		"silent": func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"cause": func(w http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			backend.WriteError(w, r, context.Cause(r.Context()))
		},
		"error": func(w http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			backend.WriteError(w, r, r.Context().Err()) // the client has not canceled anything
		},
		"returned": backend.Handler(func(w http.ResponseWriter, r *http.Request) error {
			<-r.Context().Done()
			return r.Context().Err()
		}).ServeHTTP,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T) {
				listener := newPipeListener()
				s := serveOn(t, listener, backend.UntilStop()(handler), backend.ServerConfig{})
				conn := listener.dial(t)
				send(t, conn, getRoot)
				synctest.Wait()
				s.stop()
				response, _ := readAnswer(t, bufio.NewReader(conn))
				require.Equal(t, 503, response.StatusCode)
				require.NotEmpty(t, response.Header.Get("Retry-After"))
				require.NoError(t, s.ended(t))
			})
		})
	}
}

// A handler that has taken its connection over is told, too.
func TestUntilStopTellsHijackers(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		listener, cause := newPipeListener(), make(chan error, 1)
		s := serveOn(t, listener, backend.UntilStop()(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				panic(err)
			}
			defer conn.Close()
			<-r.Context().Done()
			cause <- context.Cause(r.Context())
			io.WriteString(conn, "bye")
		})), backend.ServerConfig{})
		conn := listener.dial(t)
		send(t, conn, getRoot)
		synctest.Wait()
		s.stop()
		_, said := closedAfter(t, conn)
		require.Equal(t, "bye", said)
		require.ErrorIs(t, <-cause, backend.ErrStopping)
		require.NoError(t, s.ended(t))
	})
}

// A stream of another server, through a reverse proxy, does not hold the stop.
func TestUntilStopEndsProxiedStreams(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		behind, cause := newPipeListener(), make(chan error, 1)
		serveOn(t, behind, stream(cause), backend.ServerConfig{})
		proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: "behind"})
		transport := &http.Transport{DialContext: behind.DialContext}
		proxy.Transport = transport
		front := newPipeListener()
		s := serveOn(t, front, backend.UntilStop()(proxy), backend.ServerConfig{})
		conn := front.dial(t)
		send(t, conn, getRoot)
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err)
		_, err = io.ReadFull(response.Body, make([]byte, 5))
		require.NoError(t, err)
		synctest.Wait()
		start := time.Now()
		s.stop()
		require.NoError(t, s.ended(t))
		require.Less(t, time.Since(start), 2*time.Second)
		require.ErrorIs(t, <-cause, context.Canceled, "the server behind sees its client go")
		transport.CloseIdleConnections()
	})
}

// Clients that do not read do not hold the stop.
func TestUntilStopEndsStreamsThatNobodyReads(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		listener, wrote := newPipeListener(), make(chan error, 1)
		s := serveOn(t, listener, backend.UntilStop()(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, err := io.Copy(w, zeros{})
			wrote <- err
		})), backend.ServerConfig{})
		send(t, listener.dial(t), getRoot)
		synctest.Wait()
		start := time.Now()
		s.stop()
		require.ErrorIs(t, <-wrote, os.ErrDeadlineExceeded)
		require.NoError(t, s.ended(t))
		require.Less(t, time.Since(start), 2*time.Second)
	})
}

// In a server that Serve does not run, UntilStop does nothing.
func TestUntilStopWithoutServe(t *testing.T) {
	t.Parallel()
	mwBubble(t, &http.Server{}, backend.UntilStop()(sayHello), func(t *testing.T, dial func() net.Conn) {
		conn := dial()
		defer conn.Close()
		_, body := ask(t, conn, getRoot)
		require.Equal(t, "hello", body)
	})
}
