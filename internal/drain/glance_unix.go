//go:build unix

package drain

import (
	"net"
	"syscall"
)

// glance reads what has come on a connection without waiting, and otherwise returns
// err.
func glance(conn net.Conn, p []byte, err error) (int, error) {
	system, ok := conn.(syscall.Conn)
	if !ok {
		return 0, err
	}
	raw, rawErr := system.SyscallConn()
	if rawErr != nil {
		return 0, err
	}
	n := 0
	raw.Read(func(fd uintptr) bool {
		n, _ = syscall.Read(int(fd), p)
		return true
	})
	if n > 0 {
		return n, nil
	}
	return 0, err
}
