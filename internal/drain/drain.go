// Package drain lets an [http.Server] stop without losing a request. It knows the
// server's listener and connections, below TLS.
//
// [http.Server.Shutdown] alone loses requests: it closes connections on which the
// next request is just arriving, throws away requests that it reads after it was
// called, resets the connections that the system has queued, and waits five
// seconds for a connection on which no request has come. Here it is only called
// for HTTP/2, which announces the end on the connection (GOAWAY).
package drain

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

	"github.com/seed-215b9b7c/backend/internal/pace"
)

const (
	// quietTime is how long no byte must have come on a connection before it
	// counts as unused. It is longer than a round trip around the world.
	quietTime = 500 * time.Millisecond
	// askTime is how long a connection that has served requests is kept after the
	// stop was announced, so that its client can ask once more and be told to leave.
	// A client that asks while its connection closes loses the request.
	askTime = time.Second
	// backlogPause is how long no connection must have come before the system's
	// queue counts as empty. backlogTime bounds the wait for that.
	backlogPause = 5 * time.Millisecond
	backlogTime  = 250 * time.Millisecond
	// handshakeTime and handshakesTime are the same if the system begins no further
	// handshake. Those that have begun end within a round trip.
	handshakeTime  = 100 * time.Millisecond
	handshakesTime = 5 * time.Second
	// lastLook is how long a connection is read a last time before it is closed.
	lastLook = time.Millisecond
)

// Listener tracks the connections that it accepts, and stops without losing those
// that the system has queued.
type Listener struct {
	net.Listener
	shared   bool
	stopping chan struct{}

	queue  queue // set before stopping is closed, nil if the system has none
	closed bool  // the system begins no further handshake
}

// queue is the system's queue of a listener that stops.
type queue interface {
	isEmpty() bool
	release() // after the listener was closed
}

// NewListener returns a Listener that accepts from plain. shared says that other
// processes may accept connections from the same socket, now or later.
func NewListener(plain net.Listener, shared bool) *Listener {
	return &Listener{Listener: plain, shared: shared, stopping: make(chan struct{})}
}

var errStopped = errors.New("the server is stopping")

// Accept returns the next connection. Once Stop was called, it returns the
// connections that are queued, and then an error.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		var until time.Time
		if l.isStopping() {
			until = time.Now().Add(l.pause())
			l.wake(until)
		}
		conn, err := l.Listener.Accept()
		switch {
		case err == nil:
			return track(conn), nil
		case !l.isStopping() || !errors.Is(err, os.ErrDeadlineExceeded):
			return nil, err
		case !until.IsZero() && !time.Now().Before(until) && (l.queue == nil || l.queue.isEmpty()):
			return nil, errStopped
		}
	}
}

// pause returns how long no connection must have come before the queue counts as empty.
func (l *Listener) pause() time.Duration {
	if l.closed {
		return handshakeTime
	}
	return backlogPause
}

func (l *Listener) isStopping() bool {
	select {
	case <-l.stopping:
		return true
	default:
		return false
	}
}

// wake makes Accept return at that time. It closes a listener that has no
// deadlines.
func (l *Listener) wake(at time.Time) {
	if timed, ok := l.Listener.(interface{ SetDeadline(time.Time) error }); !ok || timed.SetDeadline(at) != nil {
		l.Close()
	}
}

// Stop lets Accept return the connections that are queued, and returns when the
// loop that calls Accept has ended. accepting must get a value then.
//
// The system resets the connections that are queued when the socket is closed. Where
// it can be told to begin no further handshake, none is queued then, however many
// clients connect. Elsewhere Stop accepts for a quarter of a second at most.
func (l *Listener) Stop(accepting <-chan error) {
	most := backlogTime
	l.queue, l.closed = closeQueue(l.Listener, l.shared)
	if l.queue != nil {
		defer l.queue.release()
	}
	if l.closed {
		most = handshakesTime
	}
	close(l.stopping)
	l.wake(time.Now())
	enough := time.NewTimer(most)
	defer enough.Stop()
	select {
	case <-accepting:
	case <-enough.C:
		l.Close()
		<-accepting
	}
}

// Connections are the tracked connections of a server that are open and not
// hijacked. They are safe for concurrent use.
type Connections struct {
	limits Limits

	mu        sync.Mutex
	open      map[*connection]struct{}
	announced time.Time // when clients began to be told to leave
}

// NewConnections returns an empty set of connections, which have the limits.
func NewConnections(limits Limits) *Connections {
	return &Connections{limits: limits, open: map[*connection]struct{}{}}
}

// Limits are the limits of a connection. Those of bodies and of writing are budgets, see
// [pace.Budget]; zero is no limit.
type Limits struct {
	Header time.Duration // for a request whose header has begun to arrive to end it
	Body   time.Duration // for reading the body of an HTTP/1 request
	Write  time.Duration // for writing
}

// Follow is an [http.Server]'s ConnState hook.
func (c *Connections) Follow(nc net.Conn, state http.ConnState) {
	conn := tracked(nc)
	if conn == nil {
		return
	}
	switch state {
	case http.StateNew:
		c.mu.Lock()
		c.open[conn] = struct{}{}
		c.mu.Unlock()
		conn.begin(c.limits)
	case http.StateClosed, http.StateHijacked:
		c.mu.Lock()
		delete(c.open, conn)
		c.mu.Unlock()
		conn.setFree()
	default:
		conn.enter(state, nc)
	}
}

// Announce says that from now on each response tells its client to leave the
// connection.
func (c *Connections) Announce(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.announced = now
}

// Dismiss closes the HTTP/1 connections that are unused, and returns how many
// HTTP/1 connections are open, used or not. Those that it has just closed are
// counted until the server notices.
func (c *Connections) Dismiss(now time.Time) (open int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for conn := range c.open {
		if conn.dismiss(now, c.announced, c.limits.Header) {
			open++
		}
	}
	return open
}

// Active returns the number of HTTP/1 connections on which a request is being
// answered.
func (c *Connections) Active() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for conn := range c.open {
		if conn.isActive() {
			n++
		}
	}
	return n
}

// CloseAll closes the connections at once. [http.Server.Close] sends a closing
// alert on those with TLS, one after the other, and waits up to five seconds for
// a client that does not read it.
func (c *Connections) CloseAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for conn := range c.open {
		conn.Conn.Close()
	}
}

// connection is a connection as the listener made it, below TLS. It notes when
// bytes come: net/http calls a connection idle until it has read the whole header
// of the next request, and one whose header has begun must not be closed.
type connection struct {
	net.Conn

	mu        sync.Mutex
	state     http.ConnState
	http2     bool
	reads     int       // how often bytes came
	settled   int       // reads when all that came had been answered
	last      time.Time // when bytes came, or the last answer ended
	deadline  time.Time // that net/http set for reading
	applied   time.Time // the deadline that Conn has for reading, see applyFor
	reading   int       // how many Reads run
	dismissed bool      // reading was interrupted in order to close

	limits Limits
	in     pace.Budget // for the body, while paced
	out    pace.Budget
	paced  bool      // a body is being read, and no other deadline was set
	free   bool      // writing has no limit, or a deadline of the handler
	outAt  time.Time // the deadline that Write has set last
}

// track returns conn as a *connection. It does not track a *tls.Conn that the
// listener made itself, since net/http must see its type.
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
	switch {
	case state == http.StateIdle:
		c.last, c.paced = time.Now(), false
	case state == http.StateActive && !c.http2: // the header has come
		c.in.Reset(c.limits.Body)
		c.out.Reset(c.limits.Write)
		c.paced = c.limits.Body > 0
	}
}

func (c *connection) isActive() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state == http.StateActive && !c.http2
}

// dismiss closes the connection if it is unused. It does so by interrupting the
// server's read for the next request; the server closes the connection then. A
// request that has begun to arrive has headerTime, as always. dismiss reports
// whether the connection is one to wait for.
func (c *connection) dismiss(now, announced time.Time, headerTime time.Duration) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.http2 {
		return false
	}
	until := c.last.Add(quietTime)
	switch asked := announced.Add(askTime); {
	case c.reads != c.settled:
		until = c.last.Add(headerTime)
	case c.state == http.StateIdle && until.Before(asked):
		until = asked
	}
	if c.state != http.StateActive && !c.dismissed && !now.Before(until) {
		c.dismissed = true
		c.apply(now)
	}
	return true
}

// Read reads. If dismiss interrupts it, it reads a last time for a moment. If a
// request has come after all, the connection is in use again. A Read whose deadline
// has passed does not look whether something has come, so glance does.
func (c *connection) Read(p []byte) (int, error) {
	n, err := c.readPaced(p)
	if n == 0 && errors.Is(err, os.ErrDeadlineExceeded) && c.isDismissed() {
		c.look(time.Now().Add(lastLook))
		if n, err = c.Conn.Read(p); n == 0 && errors.Is(err, os.ErrDeadlineExceeded) {
			c.look(time.Time{}) // one that has passed would refuse to look
			n, err = glance(c.Conn, p, err)
		}
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
		c.apply(c.deadline)
	}
}

// Write writes a part of a response. Bytes that come after its last part are a new
// request. They may come before net/http calls the connection idle.
func (c *connection) Write(p []byte) (int, error) {
	c.settle()
	return c.writePaced(p)
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
	c.deadline, c.paced = t, false // net/http sets none while a body is being read
	if c.state == http.StateNew && t.IsZero() {
		c.settled = c.reads
	}
	if c.dismissed || c.reading == 0 { // else Read does it, if that is still needed
		return nil
	}
	return c.apply(t)
}

// apply sets the deadline of Conn for reading. c.mu is held.
func (c *connection) apply(t time.Time) error {
	c.applied = t
	return c.Conn.SetReadDeadline(t)
}

// look applies a deadline for a last look.
func (c *connection) look(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.apply(t)
}

// applyFor applies the deadline of net/http for a Read that begins, unless the one that
// Conn has is earlier and has not passed: if Read returns because of that, it applies the
// right one and goes on. net/http sets four deadlines for each request, most of which no
// Read ever sees, and each costs a change of a timer.
func (c *connection) applyFor(now time.Time) {
	early := !c.applied.IsZero() && c.applied.After(now) && (c.deadline.IsZero() || !c.applied.After(c.deadline))
	if !early {
		c.apply(c.deadline)
	}
}

// early reports whether a Read that has run into its deadline has done so before the time.
// The deadline by which net/http ends the read beside a handler is long ago.
func (c *connection) early() bool {
	if c.dismissed || !c.deadline.IsZero() && c.deadline.Before(c.last) {
		return false
	}
	return c.deadline.IsZero() || time.Now().Before(c.deadline)
}

// SetDeadline sets both deadlines.
func (c *connection) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// CloseWrite closes the writing side of the connection.
func (c *connection) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// LastResponse makes a response the last one on its connection, even if the
// handler sets another Connection header, as handlers of event streams do. A
// response with status 101 (Switching Protocols) is left alone.
type LastResponse struct{ http.ResponseWriter }

var connectionClose = []string{"close"}

// Announce sets the header that makes net/http close the connection: after the
// response in HTTP/1, with GOAWAY in HTTP/2, where the header is not sent. Call it
// after the handler, which may have written nothing.
func (w LastResponse) Announce() { w.Header()["Connection"] = connectionClose }

// WriteHeader sends the status and the header.
func (w LastResponse) WriteHeader(status int) {
	if status != http.StatusSwitchingProtocols {
		w.Announce()
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write writes a part of the body.
func (w LastResponse) Write(p []byte) (int, error) {
	w.Announce()
	return w.ResponseWriter.Write(p)
}

// ReadFrom copies r to the body.
func (w LastResponse) ReadFrom(r io.Reader) (int64, error) {
	w.Announce()
	return io.Copy(w.ResponseWriter, r)
}

// Flush sends what was written.
func (w LastResponse) Flush() { w.FlushError() }

// FlushError sends what was written.
func (w LastResponse) FlushError() error {
	w.Announce()
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Hijack takes the connection over from the server.
func (w LastResponse) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return http.NewResponseController(w.ResponseWriter).Hijack()
}

// Unwrap returns the response writer for [http.ResponseController].
func (w LastResponse) Unwrap() http.ResponseWriter { return w.ResponseWriter }
