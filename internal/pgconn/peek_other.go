//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package pgconn

import "net"

// peeker cannot look at an idle socket on this system. A connection that the
// server closed is found out by the statement that uses it next.
type peeker struct{}

func newPeeker(net.Conn) peeker {
	return peeker{}
}

func (p *peeker) peek() (waiting []byte, open bool) {
	return nil, true
}
