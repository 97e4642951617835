//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package pgconn

import (
	"net"
	"syscall"
)

// peeker looks at what waits to be read on an idle socket, without waiting and
// without taking it. Everything it needs is made once per connection.
type peeker struct {
	raw  syscall.RawConn
	look func(fd uintptr)
	seen *peeked
}

type peeked struct {
	buf [256]byte
	n   int
	err error
}

func newPeeker(conn net.Conn) peeker {
	sc, ok := conn.(syscall.Conn)
	if !ok {
		return peeker{}
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return peeker{}
	}
	seen := &peeked{}
	return peeker{raw: raw, seen: seen, look: func(fd uintptr) {
		for {
			// The socket does not block: Go made it so.
			seen.n, _, seen.err = syscall.Recvfrom(int(fd), seen.buf[:], syscall.MSG_PEEK)
			if seen.err != syscall.EINTR {
				return
			}
		}
	}}
}

// peek returns what waits, and false if the socket was closed or is broken.
func (p *peeker) peek() (waiting []byte, open bool) {
	if p.raw == nil {
		return nil, true
	}
	if err := p.raw.Control(p.look); err != nil {
		return nil, false
	}
	switch {
	case p.seen.err == syscall.EAGAIN || p.seen.err == syscall.EWOULDBLOCK:
		return nil, true
	case p.seen.err != nil || p.seen.n == 0:
		return nil, false
	}
	return p.seen.buf[:p.seen.n], true
}
