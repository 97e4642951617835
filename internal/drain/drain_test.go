package drain_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend/internal/drain"
)

// noticed is a listener that says when somebody wakes its Accept.
type noticed struct {
	net.Listener
	once  sync.Once
	woken chan struct{}
}

func (l *noticed) SetDeadline(at time.Time) error {
	l.once.Do(func() { close(l.woken) })
	return l.Listener.(interface{ SetDeadline(time.Time) error }).SetDeadline(at)
}

// Connections that the system has queued are accepted before the listener closes,
// since their clients believe that they are connected.
func TestListenerAcceptsWhatIsQueued(t *testing.T) {
	t.Parallel()
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			t.Parallel()
			addr := "127.0.0.1:0"
			if network == "unix" {
				dir, err := os.MkdirTemp("", "backend")
				require.NoError(t, err)
				t.Cleanup(func() { os.RemoveAll(dir) })
				addr = dir + "/s"
			}
			plain, err := net.Listen(network, addr)
			require.NoError(t, err)
			watched := &noticed{Listener: plain, woken: make(chan struct{})}
			l := drain.NewListener(watched, false)
			const queued = 20
			for range queued {
				conn, err := net.Dial(network, plain.Addr().String())
				require.NoError(t, err)
				defer conn.Close()
			}
			accepting, stopped := make(chan error, 1), make(chan struct{})
			go func() {
				l.Stop(accepting)
				close(stopped)
			}()
			<-watched.woken
			var accepted int
			for {
				conn, err := l.Accept()
				if err != nil {
					l.Close() // as http.Server does
					accepting <- err
					break
				}
				conn.Close()
				accepted++
			}
			<-stopped
			require.Equal(t, queued, accepted)
			_, err = net.Dial(network, plain.Addr().String())
			require.Error(t, err)
		})
	}
}

// A listener on which connections never stop coming is closed all the same.
func TestListenerStopsUnderAStorm(t *testing.T) {
	t.Parallel()
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	l := drain.NewListener(plain, false)
	accepting := make(chan error, 1)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				accepting <- err
				return
			}
			conn.Close()
		}
	}()
	storm := make(chan struct{})
	for range 2 {
		go func() {
			defer func() { storm <- struct{}{} }()
			for {
				conn, err := net.Dial("tcp", plain.Addr().String())
				if err != nil {
					return
				}
				conn.Close()
			}
		}()
	}
	l.Stop(accepting)
	plain.Close()
	<-storm
	<-storm
}

// pipes is a listener whose connections are pipes. It has no deadlines.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.conns:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

// A listener without deadlines can only be closed.
func TestListenerWithoutDeadlines(t *testing.T) {
	t.Parallel()
	l, accepting := drain.NewListener(newPipes(), false), make(chan error, 1)
	go func() {
		_, err := l.Accept()
		accepting <- err
	}()
	l.Stop(accepting)
	_, err := l.Accept()
	require.ErrorIs(t, err, net.ErrClosed)
}

// endless is a listener whose queue is never empty.
type endless struct{ *pipes }

func (e endless) Accept() (net.Conn, error) {
	select {
	case <-e.closed:
		return nil, net.ErrClosed
	default:
		time.Sleep(time.Millisecond)
		client, server := net.Pipe()
		client.Close()
		return server, nil
	}
}

func (endless) SetDeadline(time.Time) error { return nil }

// The wait for the queue has an end.
func TestListenerStopsAfterAQuarterOfASecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, accepting := drain.NewListener(endless{newPipes()}, false), make(chan error, 1)
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					accepting <- err
					return
				}
				conn.Close()
			}
		}()
		began := time.Now()
		l.Stop(accepting)
		require.InDelta(t, 250*time.Millisecond, time.Since(began), float64(2*time.Millisecond))
	})
}

// serverSide returns both ends of a connection, that of the server as a listener
// has accepted it.
func serverSide(t testing.TB, wrap func(net.Conn) net.Conn) (client, server net.Conn) {
	t.Helper()
	p := newPipes()
	client, plain := net.Pipe()
	t.Cleanup(func() { client.Close() })
	go func() { p.conns <- wrap(plain) }()
	server, err := drain.NewListener(p, false).Accept()
	require.NoError(t, err)
	t.Cleanup(func() { server.Close() })
	return client, server
}

func plainly(conn net.Conn) net.Conn { return conn }

// reads reads once and reports what came.
func reads(conn net.Conn) chan string {
	read := make(chan string, 1)
	go func() {
		buffer := make([]byte, 100)
		n, err := conn.Read(buffer)
		if err != nil {
			read <- err.Error()
			return
		}
		read <- string(buffer[:n])
	}()
	return read
}

const (
	quiet      = 500 * time.Millisecond // after which a connection counts as unused
	headerTime = 5 * time.Second
	look       = time.Millisecond // how long it is read a last time
)

// A request that comes while its connection is being closed for disuse saves it.
func TestConnectionIsSavedByARequestAtTheLastMoment(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, conn := serverSide(t, plainly)
		conns := drain.NewConnections(drain.Limits{Header: headerTime})
		conns.Follow(conn, http.StateNew)
		deadline := time.Now().Add(time.Hour) // as net/http sets for idle connections
		require.NoError(t, conn.SetReadDeadline(deadline))
		read := reads(conn)
		synctest.Wait()
		time.Sleep(quiet)
		require.Equal(t, 1, conns.Dismiss(time.Now()))
		synctest.Wait() // it looks a last time
		_, err := io.WriteString(client, "GET")
		require.NoError(t, err)
		require.Equal(t, "GET", <-read)
		require.ErrorContains(t, errorOf(<-reads(conn)), "timeout")
		require.Equal(t, deadline, time.Now(), "the deadline that was set before holds again")
	})
}

type errorOf string

func (e errorOf) Error() string { return string(e) }

// An unused connection is left to its client for half a second after the last
// byte, and then closed, even if the server sets a later deadline meanwhile.
func TestUnusedConnectionsAreDismissed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, conn := serverSide(t, plainly)
		conns := drain.NewConnections(drain.Limits{Header: headerTime})
		conns.Follow(conn, http.StateNew)
		conns.Follow(conn, http.StateActive)
		time.Sleep(time.Hour)
		conns.Follow(conn, http.StateIdle)
		read, began := reads(conn), time.Now()
		time.Sleep(quiet - 2*look)
		require.Equal(t, 1, conns.Dismiss(time.Now()))
		time.Sleep(2 * look)
		require.Empty(t, read)
		require.Equal(t, 1, conns.Dismiss(time.Now()))
		require.NoError(t, conn.SetDeadline(time.Now().Add(time.Hour)))
		require.ErrorContains(t, errorOf(<-read), "timeout")
		require.Less(t, time.Since(began), quiet+100*time.Millisecond)
		conns.Follow(conn, http.StateClosed)
		require.Zero(t, conns.Dismiss(time.Now()))
	})
}

// A request that has begun to arrive has as long as always.
func TestRequestsThatHaveBegunAreWaitedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, conn := serverSide(t, plainly)
		conns := drain.NewConnections(drain.Limits{Header: headerTime})
		conns.Follow(conn, http.StateNew)
		read := reads(conn)
		io.WriteString(client, "G")
		require.Equal(t, "G", <-read)
		read = reads(conn)
		time.Sleep(headerTime - 2*look)
		conns.Dismiss(time.Now())
		time.Sleep(2 * look)
		require.Empty(t, read)
		conns.Dismiss(time.Now())
		require.ErrorContains(t, errorOf(<-read), "timeout")
	})
}

// What was answered has not begun: a response, or the end of the TLS handshake,
// for which net/http removes the deadline.
func TestAnsweredBytesAreNoRequest(t *testing.T) {
	t.Parallel()
	for name, settle := range map[string]func(net.Conn, net.Conn){
		"Write": func(client, conn net.Conn) {
			go io.WriteString(conn, "answer")
			io.ReadFull(client, make([]byte, 6))
		},
		"ReadFrom": func(client, conn net.Conn) {
			go conn.(io.ReaderFrom).ReadFrom(strings.NewReader("answer"))
			io.ReadFull(client, make([]byte, 6))
		},
		"handshake": func(_, conn net.Conn) { conn.SetReadDeadline(time.Time{}) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client, conn := serverSide(t, plainly)
				conns := drain.NewConnections(drain.Limits{Header: headerTime})
				conns.Follow(conn, http.StateNew)
				read := reads(conn)
				io.WriteString(client, "hello")
				<-read
				settle(client, conn)
				read = reads(conn)
				time.Sleep(quiet)
				conns.Dismiss(time.Now())
				require.ErrorContains(t, errorOf(<-read), "timeout")
			})
		})
	}
}

// A connection on which a request runs is not touched, however quiet it is.
func TestConnectionIsNotDismissedWhileItIsActive(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, conn := serverSide(t, plainly)
		conns := drain.NewConnections(drain.Limits{Header: headerTime})
		conns.Follow(conn, http.StateNew)
		require.Zero(t, conns.Active())
		conns.Follow(conn, http.StateActive)
		require.Equal(t, 1, conns.Active())
		time.Sleep(time.Hour)
		read := reads(conn)
		require.Equal(t, 1, conns.Dismiss(time.Now()))
		time.Sleep(2 * look)
		io.WriteString(client, "body")
		require.Equal(t, "body", <-read)
		conns.Follow(conn, http.StateHijacked)
		require.Zero(t, conns.Dismiss(time.Now()), "a hijacked connection is its handler's")
		require.Zero(t, conns.Active())
	})
}

func TestCloseAll(t *testing.T) {
	t.Parallel()
	client, conn := serverSide(t, plainly)
	conns := drain.NewConnections(drain.Limits{Header: headerTime})
	conns.Follow(conn, http.StateNew)
	conns.CloseAll()
	_, err := client.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
}

// Connections that a listener gives TLS itself stay what they are, since net/http
// looks at their type.
func TestTLSConnectionsOfTheListenerAreNotTracked(t *testing.T) {
	t.Parallel()
	_, conn := serverSide(t, func(conn net.Conn) net.Conn { return tls.Server(conn, &tls.Config{}) })
	require.IsType(t, &tls.Conn{}, conn)
	conns := drain.NewConnections(drain.Limits{Header: headerTime})
	conns.Follow(conn, http.StateNew)
	conns.Follow(conn, http.StateActive)
	require.Zero(t, conns.Active())
	require.Zero(t, conns.Dismiss(time.Now()))
}

// HTTP/2 says by itself that it ends; Shutdown does that.
func TestHTTP2IsLeftToShutdown(t *testing.T) {
	t.Parallel()
	for version, counted := range map[bool]int{false: 1, true: 0} {
		plain, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		conns := drain.NewConnections(drain.Limits{Header: headerTime})
		var active, dismissed int
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			active, dismissed = conns.Active(), conns.Dismiss(time.Now())
		}))
		server.Listener.Close()
		server.Listener, server.EnableHTTP2 = drain.NewListener(plain, false), version
		server.Config.ConnState = conns.Follow
		server.StartTLS()
		response, err := server.Client().Get(server.URL)
		require.NoError(t, err)
		response.Body.Close()
		require.Equal(t, 200, response.StatusCode)
		require.Equal(t, version, response.ProtoMajor == 2)
		require.Equal(t, counted, active)
		require.Equal(t, counted, dismissed)
		server.Close()
	}
}

func TestCloseWrite(t *testing.T) {
	t.Parallel()
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer plain.Close()
	client, err := net.Dial("tcp", plain.Addr().String())
	require.NoError(t, err)
	defer client.Close()
	conn, err := drain.NewListener(plain, false).Accept()
	require.NoError(t, err)
	defer conn.Close()
	half := conn.(interface{ CloseWrite() error })
	require.NoError(t, half.CloseWrite())
	_, err = client.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
	_, piped := serverSide(t, plainly)
	require.Error(t, piped.(interface{ CloseWrite() error }).CloseWrite(), "a pipe has no halves")
}

// Tracking a connection costs its responses nothing.
func TestWriteAllocatesNothing(t *testing.T) { // not parallel: it counts allocations
	client, conn := serverSide(t, plainly)
	received := make(chan int64)
	go func() {
		n, _ := io.Copy(io.Discard, client)
		received <- n
	}()
	answer := []byte("answer")
	require.Zero(t, testing.AllocsPerRun(100, func() { conn.Write(answer) }))
	conn.Close()
	require.EqualValues(t, 101*len(answer), <-received)
}

// However a handler answers, and whatever it sets itself, the response is the last
// one on its connection.
func TestLastResponse(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func(http.ResponseWriter){
		"nothing":     func(http.ResponseWriter) {},
		"WriteHeader": func(w http.ResponseWriter) { w.WriteHeader(204) },
		"Write":       func(w http.ResponseWriter) { io.WriteString(w, "text") },
		"ReadFrom":    func(w http.ResponseWriter) { w.(io.ReaderFrom).ReadFrom(strings.NewReader("text")) },
		"Flush":       func(w http.ResponseWriter) { w.(http.Flusher).Flush() },
		"controller":  func(w http.ResponseWriter) { http.NewResponseController(w).Flush() },
		"deadline": func(w http.ResponseWriter) {
			if http.NewResponseController(w).SetWriteDeadline(time.Now().Add(time.Minute)) != nil {
				panic("Unwrap does not work")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Connection", "keep-alive")
				last := drain.LastResponse{ResponseWriter: w}
				answer(last)
				last.Announce()
			}))
			defer server.Close()
			response, err := server.Client().Get(server.URL)
			require.NoError(t, err)
			defer response.Body.Close()
			require.True(t, response.Close, "the response says Connection: close")
		})
	}
}

// A connection that changes its protocol is not closed.
func TestLastResponseThatSwitchesProtocols(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	w.Header().Set("Connection", "Upgrade")
	drain.LastResponse{ResponseWriter: w}.WriteHeader(http.StatusSwitchingProtocols)
	require.Equal(t, "Upgrade", w.Header().Get("Connection"))
	drain.LastResponse{ResponseWriter: w}.WriteHeader(http.StatusOK)
	require.Equal(t, "close", w.Header().Get("Connection"))
}

func TestLastResponseCanBeHijacked(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := drain.LastResponse{ResponseWriter: w}.Hijack()
		if err == nil {
			io.WriteString(conn, "raw")
			conn.Close()
		}
	}))
	defer server.Close()
	conn, err := new(net.Dialer).DialContext(context.Background(), "tcp", server.Listener.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	text, err := bufio.NewReader(conn).ReadString(0)
	require.ErrorIs(t, err, io.EOF)
	require.Equal(t, "raw", text)
}
