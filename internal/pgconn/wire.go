package pgconn

import (
	"context"
	"net"
	"time"
)

// wire is the socket, below TLS if that is used. It records whether anything was sent, and
// whether a read or write failed. Only this package sets deadlines.
//
// Read, Write and the fields belong to the goroutine that uses the connection;
// deadline and Close may be called by any.
type wire struct {
	net.Conn
	peeker

	sent     int   // bytes written since mark
	err      error // first error of a read or write
	messages int   // writes of the startup that are looked at; see Write
	tls      bool  // the connection was upgraded to TLS; fixed once it is made
}

// startMessages is how many messages may start TLS: the first or, after a request
// for it, the second.
const startMessages = 2

func (w *wire) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	if err != nil && w.err == nil {
		w.err = err
	}
	return n, err
}

func (w *wire) Write(p []byte) (int, error) {
	if w.messages < startMessages {
		// 0x16 is a handshake record (RFC 8446 section 5.1); no message that starts
		// a connection in the clear begins with it.
		w.messages++
		w.tls = w.tls || len(p) > 0 && p[0] == 0x16
	}
	n, err := w.Conn.Write(p)
	w.sent += n
	if err != nil && w.err == nil {
		w.err = err
	}
	return n, err
}

// mark sets the count of bytes sent to zero.
func (w *wire) mark() {
	w.sent = 0
}

// deadline bounds reads and writes, running ones included. The zero time lifts
// the bound.
func (w *wire) deadline(t time.Time) {
	_ = w.Conn.SetDeadline(t) // fails on a closed socket only, where nothing waits
}

// The layers above must not move deadlines: crypto/tls grants itself 5 s to say
// goodbye.
func (w *wire) SetDeadline(time.Time) error      { return nil }
func (w *wire) SetReadDeadline(time.Time) error  { return nil }
func (w *wire) SetWriteDeadline(time.Time) error { return nil }

// dialer makes the sockets of one attempt to connect, and keeps them, because lib/pq
// loses some when it falls back to another sslmode, and has no deadline for the steps
// after the dial.
type dialer struct {
	timeout time.Duration // for each host
	hosts   int
	dialed  []*wire
	stops   []func() bool
}

// DialContext dials one host. It divides the remaining time of the context by the number
// of hosts not yet tried, so that one dead host cannot use all of it.
func (d *dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	deadline := time.Now().Add(d.timeout)
	if end, ok := ctx.Deadline(); ok {
		share := time.Until(end) / time.Duration(max(1, d.hosts-len(d.dialed)))
		if own := time.Now().Add(share); own.Before(deadline) {
			deadline = own
		}
	}
	dialCtx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(dialCtx, network, address)
	if err != nil {
		d.hosts = max(1, d.hosts-1)
		return nil, err
	}
	w := &wire{Conn: conn, peeker: newPeeker(conn)}
	w.deadline(deadline)
	d.dialed = append(d.dialed, w)
	d.stops = append(d.stops, context.AfterFunc(ctx, func() { w.deadline(time.Now()) }))
	return w, nil
}

// Dial and DialTimeout complete pq.Dialer; lib/pq prefers DialContext.
func (d *dialer) Dial(network, address string) (net.Conn, error) {
	return d.DialContext(context.Background(), network, address)
}

func (d *dialer) DialTimeout(network, address string, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return d.DialContext(ctx, network, address)
}

// finish ends the attempt: it closes every socket except, after a success, the
// last, which it returns without a deadline. ended reports that the context ended at the
// same time, so that the deadline of the socket may have passed.
func (d *dialer) finish(success bool) (w *wire, ended bool) {
	for i, candidate := range d.dialed {
		stopped := d.stops[i]()
		if success && i == len(d.dialed)-1 {
			w, ended = candidate, !stopped
			continue
		}
		candidate.Close()
	}
	if w != nil {
		w.messages = startMessages // cancel requests read tls from their goroutines
	}
	if w != nil && !ended {
		w.deadline(time.Time{})
	}
	return w, ended
}
