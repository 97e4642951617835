package pgconn

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"time"

	"github.com/lib/pq"
)

// arm makes ctx interrupt the operation that is about to start. It starts no goroutine
// until ctx ends.
func (c *Conn) arm(ctx context.Context, ask bool) {
	c.ctx, c.ask = ctx, ask
	if c.watched = c.watch.Start(ctx); c.watched {
		c.pending++
	}
}

// interrupt runs in a goroutine of its own when the context ends. The operation
// has until grace is over to end by itself, which it does if the server answers
// a cancel request. It is the only code that runs beside the operation, so it
// touches the socket's deadline and nothing that the operation may write.
func (c *Conn) interrupt() {
	c.interruptNow(c.ask)
}

func (c *Conn) interruptNow(ask bool) {
	settled := true
	if c.fired.CompareAndSwap(false, true) {
		c.wire.deadline(time.Now().Add(grace))
		if ask {
			settled = c.connector.requestCancel(c.wire, c.identity)
		}
	}
	c.settled <- settled
}

// disarm undoes arm and interruptAfter. interrupted reports whether an interruption has
// started; settled whether it has ended, so that no cancel request can reach the next
// statement of the connection.
func (c *Conn) disarm() (interrupted, settled bool) {
	settled = true
	if c.watched && c.watch.Stop() {
		c.pending--
	}
	if c.pending > 0 {
		settled = c.awaitSettled()
	}
	c.ctx, c.watched, c.pending = nil, false, 0
	interrupted = c.fired.Load()
	if interrupted && settled {
		c.fired.Store(false)
		c.wire.deadline(time.Time{})
	}
	return interrupted, settled
}

// awaitSettled waits for the callbacks that have started. It does not wait if the
// connection is broken: the cancel request then continues, to free the server, and the
// connector waits for it.
func (c *Conn) awaitSettled() bool {
	timer := time.NewTimer(grace)
	defer timer.Stop()
	for settled := true; ; {
		if c.pending == 0 {
			return settled
		}
		if c.wire.err != nil {
			return false
		}
		select {
		case ok := <-c.settled:
			settled = settled && ok
			c.pending--
		case <-timer.C:
			return false
		}
	}
}

// interruptAfter interrupts the operation after d unless it has ended by then.
// The returned function takes that back.
func (c *Conn) interruptAfter(d time.Duration, ask bool) (stop func()) {
	c.pending++
	timer := time.AfterFunc(d, func() { c.interruptNow(ask) })
	return func() {
		if timer.Stop() {
			c.pending--
		}
	}
}

// requestCancel asks the server to cancel the statement of the connection. It reports
// whether the server has passed the request on, after which the server closes the
// connection of the request. The request has no effect after requestCancel has returned.
func (k *Connector) requestCancel(w *wire, who identity) bool {
	if who.key == nil || !k.startCancel() {
		return false
	}
	defer k.cancels.Done()
	ctx, cancel := context.WithTimeout(k.life, cancelTimeout)
	defer cancel()
	remote := w.RemoteAddr()
	conn, err := new(net.Dialer).DialContext(ctx, remote.Network(), remote.String())
	if err != nil {
		return false
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if w.tls {
		if conn, err = k.encrypt(conn); err != nil {
			return false
		}
	}
	if _, err := conn.Write(cancelMessage(who)); err != nil {
		return false
	}
	_, err = io.Copy(io.Discard, conn)
	return err == nil
}

// startCancel counts a new cancel request. It returns false if the connector is closed.
func (k *Connector) startCancel() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.closed {
		k.cancels.Add(1)
	}
	return !k.closed
}

// cancelRequestCode and sslRequestCode stand where a protocol version would
// (PostgreSQL protocol, "Message Formats": CancelRequest, SSLRequest).
const (
	cancelRequestCode = 1234<<16 | 5678
	sslRequestCode    = 1234<<16 | 5679
)

func cancelMessage(who identity) []byte {
	message := binary.BigEndian.AppendUint32(nil, uint32(12+len(who.key)))
	message = binary.BigEndian.AppendUint32(message, cancelRequestCode)
	message = binary.BigEndian.AppendUint32(message, uint32(who.pid))
	return append(message, who.key...)
}

// encrypt starts TLS on the connection of a cancel request. It does not verify the
// server: the request only has the key to cancel the statements of this session, and an
// attacker in between can stop those anyway by dropping packets. libpq sent it
// unencrypted until version 17.
func (k *Connector) encrypt(conn net.Conn) (net.Conn, error) {
	if k.settings.SSLNegotiation != pq.SSLNegotiationDirect {
		request := binary.BigEndian.AppendUint32(nil, 8)
		request = binary.BigEndian.AppendUint32(request, sslRequestCode)
		if _, err := conn.Write(request); err != nil {
			return conn, err
		}
		var answer [1]byte
		if _, err := io.ReadFull(conn, answer[:]); err != nil {
			return conn, err
		}
		if answer[0] != 'S' {
			return conn, errors.New("the server refused TLS for a cancel request")
		}
	}
	return tls.Client(conn, &tls.Config{
		InsecureSkipVerify: true,
		ServerName:         k.settings.Host,
		NextProtos:         []string{"postgresql"},
	}), nil
}
