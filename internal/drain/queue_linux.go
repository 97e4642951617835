package drain

import (
	"net"
	"os"
	"syscall"
)

// linuxQueue is the queue of a listener.
type linuxQueue struct {
	epoll int // says whether it is empty
	other int // another descriptor of a shared socket, or -1
}

// closeQueue makes the system begin no further handshake with clients of a listener.
// Those that connect meanwhile try again after a second, and are refused once the
// socket is closed. The path of a unix socket is removed instead, unless the socket is
// shared. closed is false if that was not possible, as for a socket of Multipath TCP.
func closeQueue(listener net.Listener, shared bool) (_ queue, closed bool) {
	system, ok := listener.(syscall.Conn)
	if !ok {
		return nil, false
	}
	raw, err := system.SyscallConn()
	if err != nil {
		return nil, false
	}
	q := &linuxQueue{-1, -1}
	err = raw.Control(func(fd uintptr) {
		if ok = q.watch(int(fd)); ok {
			closed = q.close(int(fd), listener, shared)
		}
	})
	if err != nil || !ok {
		q.release()
		return nil, false
	}
	return q, closed
}

// removePath removes the path of a unix socket, so that nobody connects any more.
func removePath(listener *net.UnixListener) bool {
	path := listener.Addr().String()
	if path == "" || path[0] == '@' { // an abstract socket has no path
		return false
	}
	listener.SetUnlinkOnClose(false) // somebody else may listen there by then
	return os.Remove(path) == nil
}

// noSYN drops the packets with which handshakes begin. It sees the TCP header.
var noSYN = []syscall.SockFilter{
	{Code: syscall.BPF_LD | syscall.BPF_B | syscall.BPF_ABS, K: 13},              // the flags
	{Code: syscall.BPF_JMP | syscall.BPF_JSET | syscall.BPF_K, K: 1 << 1, Jf: 1}, // SYN
	{Code: syscall.BPF_RET | syscall.BPF_K, K: 0},
	{Code: syscall.BPF_RET | syscall.BPF_K, K: 1<<32 - 1},
}

func (q *linuxQueue) watch(fd int) bool {
	epoll, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return false
	}
	q.epoll = epoll
	return syscall.EpollCtl(epoll, syscall.EPOLL_CTL_ADD, fd, &syscall.EpollEvent{Events: syscall.EPOLLIN}) == nil
}

func (q *linuxQueue) close(fd int, listener net.Listener, shared bool) bool {
	if unix, ok := listener.(*net.UnixListener); ok {
		return !shared && removePath(unix)
	}
	if shared && !q.keep(fd) {
		return false
	}
	//lint:ignore SA1019 golang.org/x/net is no dependency of this package
	return syscall.AttachLsf(fd, noSYN) == nil
}

// keep keeps the socket open until release.
func (q *linuxQueue) keep(fd int) bool {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	other, err := syscall.Dup(fd)
	if err != nil {
		return false
	}
	syscall.CloseOnExec(other)
	q.other = other
	return true
}

// isEmpty reports whether no connection is queued. Accept cannot tell: with a deadline
// that has passed it does not look.
func (q *linuxQueue) isEmpty() bool {
	var events [1]syscall.EpollEvent
	for {
		n, err := syscall.EpollWait(q.epoll, events[:], 0)
		if err != syscall.EINTR {
			return n < 1
		}
	}
}

// release opens the queue of a shared socket again, for other processes. The listener
// must have been closed: the filter is detached and the socket closed within one
// moment, since connections that come between the two are lost.
func (q *linuxQueue) release() {
	if q.other >= 0 {
		//lint:ignore SA1019 golang.org/x/net is no dependency of this package
		syscall.DetachLsf(q.other)
		syscall.Close(q.other)
	}
	if q.epoll >= 0 {
		syscall.Close(q.epoll)
	}
}
