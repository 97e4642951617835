//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package pgconn

import (
	"net"
	"syscall"
)

// peeker peeks at the bytes that an idle socket has received, without waiting and without
// consuming them. Its buffers are made once per connection.
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

// peek returns the bytes received, and false if the socket was closed or is broken.
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
