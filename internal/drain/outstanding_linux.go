package drain

import (
	"net"
	"syscall"
	"unsafe"
)

// outstanding returns how many bytes the system has accepted and the client has not
// acknowledged, or unknown.
func outstanding(conn net.Conn) int64 {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return unknown
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return unknown
	}
	var bytes int32
	var failed syscall.Errno
	err = raw.Control(func(fd uintptr) {
		_, _, failed = syscall.Syscall(syscall.SYS_IOCTL, fd, syscall.TIOCOUTQ, uintptr(unsafe.Pointer(&bytes)))
	})
	if err != nil || failed != 0 {
		return unknown
	}
	return int64(bytes)
}
