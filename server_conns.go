package backend

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"
)

// This file knows the connections of a server, so that stopping loses no
// request. [http.Server.Shutdown] alone would: it closes connections that the
// next request is just arriving on, throws away requests that it reads after it
// was called, resets those that the system has queued, and waits five seconds for
// a connection on which nobody asks anything. It is left to HTTP/2, which
// announces the end on the connection (GOAWAY).

const (
	// quietTime is how long nothing must have come on a connection before it
	// counts as unused: longer than a round trip around the world.
	quietTime = 500 * time.Millisecond
	// backlogPause is how long no connection must have come before the system's
	// queue counts as empty, and backlogTime how long we wait for that.
	backlogPause = 5 * time.Millisecond
	backlogTime  = 250 * time.Millisecond
	// lastLook is how long a connection is looked at before it is closed.
	lastLook = time.Millisecond
)

// listener makes connections known, and stops without losing those that are
// queued.
type listener struct {
	net.Listener
	stopping chan struct{}
}

func newListener(plain net.Listener) *listener {
	return &listener{plain, make(chan struct{})}
}

var errStopped = errors.New("the server is stopping")

// Accept returns the next connection. Once the listener is stopping it returns
// errStopped when none is left.
func (l *listener) Accept() (net.Conn, error) {
	for {
		var until time.Time
		if l.isStopping() {
			until = time.Now().Add(backlogPause)
			l.wake(until)
		}
		conn, err := l.Listener.Accept()
		switch {
		case err == nil:
			return track(conn), nil
		case !l.isStopping() || !errors.Is(err, os.ErrDeadlineExceeded):
			return nil, err
		case !until.IsZero() && !time.Now().Before(until):
			return nil, errStopped
		}
	}
}

func (l *listener) isStopping() bool {
	select {
	case <-l.stopping:
		return true
	default:
		return false
	}
}

// wake makes Accept return at that time, or closes a listener that cannot do
// that.
func (l *listener) wake(at time.Time) {
	if timed, ok := l.Listener.(interface{ SetDeadline(time.Time) error }); !ok || timed.SetDeadline(at) != nil {
		l.Close()
	}
}

// stop accepts what is queued and closes the listener. accepting gets a value
// when the loop that calls Accept has ended.
func (l *listener) stop(accepting <-chan error) {
	close(l.stopping)
	l.wake(time.Now())
	enough := time.NewTimer(backlogTime)
	defer enough.Stop()
	select {
	case <-accepting:
	case <-enough.C:
		l.Close()
		<-accepting
	}
}

// connections are those that are open and not hijacked.
type connections struct {
	headerTime time.Duration // bounds a header that has begun

	mu   sync.Mutex
	open map[*connection]struct{}
}

func newConnections(headerTime time.Duration) *connections {
	return &connections{headerTime: headerTime, open: map[*connection]struct{}{}}
}

// follow is an [http.Server]'s ConnState hook.
func (c *connections) follow(nc net.Conn, state http.ConnState) {
	conn := tracked(nc)
	if conn == nil {
		return
	}
	switch state {
	case http.StateNew:
		c.mu.Lock()
		c.open[conn] = struct{}{}
		c.mu.Unlock()
	case http.StateClosed, http.StateHijacked:
		c.mu.Lock()
		delete(c.open, conn)
		c.mu.Unlock()
	default:
		conn.enter(state, nc)
	}
}

// dismiss closes HTTP/1 connections that nobody uses, and returns how many there
// are, used or not.
func (c *connections) dismiss(now time.Time) (open int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for conn := range c.open {
		if conn.dismiss(now, c.headerTime) {
			open++
		}
	}
	return open
}

// active returns on how many HTTP/1 connections a request is being answered.
func (c *connections) active() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for conn := range c.open {
		if conn.isActive() {
			n++
		}
	}
	return n
}

// closeAll closes the connections without a word. [http.Server.Close] says
// goodbye on those with TLS, one after the other, and waits up to five seconds
// for a client that does not read it.
func (c *connections) closeAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for conn := range c.open {
		conn.Conn.Close()
	}
}

// connection is a connection as the listener made it, below TLS, that knows when
// something came. net/http calls a connection idle until it has read the whole
// header of the next request; we must know when that has begun.
type connection struct {
	net.Conn

	mu        sync.Mutex
	state     http.ConnState
	http2     bool
	reads     int       // how often bytes came
	settled   int       // reads when all that came had been answered
	last      time.Time // when bytes came, or the last answer ended
	deadline  time.Time // that net/http set for reading
	dismissed bool      // reading was interrupted in order to close
}

// track returns conn as a *connection. net/http must see a *tls.Conn as such, so
// one that a listener made itself is not tracked.
func track(conn net.Conn) net.Conn {
	if _, ok := conn.(*tls.Conn); ok {
		return conn
	}
	return &connection{Conn: conn, last: time.Now()}
}

// tracked returns the connection under nc, or nil.
func tracked(nc net.Conn) *connection {
	if secure, ok := nc.(*tls.Conn); ok {
		nc = secure.NetConn()
	}
	conn, _ := nc.(*connection)
	return conn
}

// enter notes a new state.
func (c *connection) enter(state http.ConnState, nc net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if secure, ok := nc.(*tls.Conn); ok && c.state == http.StateNew {
		c.http2 = secure.ConnectionState().NegotiatedProtocol == "h2"
	}
	c.state = state
	if state == http.StateIdle {
		c.last = time.Now()
	}
}

func (c *connection) isActive() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state == http.StateActive && !c.http2
}

// dismiss has the connection closed if it is unused: by interrupting whoever
// waits for a request on it, who then closes it. It reports whether the
// connection is one to wait for. A request that has begun to arrive gets the
// time that it always has.
func (c *connection) dismiss(now time.Time, headerTime time.Duration) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.http2 {
		return false
	}
	patience := quietTime
	if c.reads != c.settled {
		patience = headerTime
	}
	if c.state != http.StateActive && !c.dismissed && now.Sub(c.last) >= patience {
		c.dismissed = true
		c.Conn.SetReadDeadline(now)
	}
	return true
}

// Read reads. One that was interrupted looks a last time before it gives up, and
// if a request has come after all, the connection is in use again.
func (c *connection) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n == 0 && errors.Is(err, os.ErrDeadlineExceeded) && c.isDismissed() {
		c.Conn.SetReadDeadline(time.Now().Add(lastLook))
		n, err = c.Conn.Read(p)
	}
	if n > 0 {
		c.received()
	}
	return n, err
}

func (c *connection) isDismissed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dismissed
}

func (c *connection) received() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reads++
	c.last = time.Now()
	if c.dismissed {
		c.dismissed = false
		c.Conn.SetReadDeadline(c.deadline)
	}
}

// Write writes an answer. What comes after its last part is a new request; it may
// come before net/http calls the connection idle.
func (c *connection) Write(p []byte) (int, error) {
	c.settle()
	return c.Conn.Write(p)
}

// ReadFrom lets the system copy a file to the connection.
func (c *connection) ReadFrom(r io.Reader) (int64, error) {
	c.settle()
	if to, ok := c.Conn.(io.ReaderFrom); ok {
		return to.ReadFrom(r)
	}
	return io.Copy(struct{ io.Writer }{c.Conn}, r)
}

func (c *connection) settle() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settled = c.reads
}

// SetReadDeadline sets the deadline unless the connection is being closed.
// net/http removes the deadline of a new connection when the TLS handshake is
// done, from when on the connection waits for a request.
func (c *connection) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deadline = t
	if c.state == http.StateNew && t.IsZero() {
		c.settled = c.reads
	}
	if c.dismissed {
		return nil
	}
	return c.Conn.SetReadDeadline(t)
}

// SetDeadline sets both deadlines.
func (c *connection) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// CloseWrite tells the peer that nothing more will come.
func (c *connection) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// lastResponse is the last response on its connection, even if the handler sets
// another Connection header, as handlers of event streams do.
type lastResponse struct{ http.ResponseWriter }

// announce sets the header that makes net/http close the connection: after the
// response in HTTP/1, with GOAWAY in HTTP/2, where the header is not sent.
func (w lastResponse) announce() { w.Header()["Connection"] = connectionClose }

func (w lastResponse) WriteHeader(status int) {
	if status != http.StatusSwitchingProtocols {
		w.announce()
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w lastResponse) Write(p []byte) (int, error) {
	w.announce()
	return w.ResponseWriter.Write(p)
}

func (w lastResponse) ReadFrom(r io.Reader) (int64, error) {
	w.announce()
	return io.Copy(w.ResponseWriter, r)
}

func (w lastResponse) Flush() { w.FlushError() }

func (w lastResponse) FlushError() error {
	w.announce()
	return http.NewResponseController(w.ResponseWriter).Flush()
}

func (w lastResponse) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return http.NewResponseController(w.ResponseWriter).Hijack()
}

func (w lastResponse) Unwrap() http.ResponseWriter { return w.ResponseWriter }
