package drain

import (
	"crypto/rand"
	"net"
	"os"
	"runtime"
	"strings"
	"syscall"
	"unsafe"
)

// linuxQueue is the queue of a listener.
type linuxQueue struct {
	epoll  int // says whether it is empty
	other  int // another descriptor of a shared socket, or -1
	shadow int // the socket that gets new handshakes instead, or -1
}

// closeQueue makes the system begin no further handshake with clients of a listener.
// Those that connect meanwhile try again after a second, and are refused once the
// socket is closed. The path of a unix socket is removed instead, unless the socket is
// shared. closed is false if that was not possible, as for a socket that takes no
// filter and that another user has opened.
func closeQueue(listener net.Listener, shared bool) (_ queue, closed bool) {
	system, ok := listener.(syscall.Conn)
	if !ok {
		return nil, false
	}
	raw, err := system.SyscallConn()
	if err != nil {
		return nil, false
	}
	q := &linuxQueue{-1, -1, -1}
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
	return drop(fd) == nil || q.divert(fd)
}

// drop makes a socket drop new handshakes. A system may allow it only to processes with
// CAP_NET_ADMIN.
func drop(fd int) error {
	//lint:ignore SA1019 golang.org/x/net is no dependency of this package
	return syscall.AttachLsf(fd, noSYN)
}

// divert lets another socket at the same address get the new handshakes, and drop
// them, where fd takes no filter, as no socket of Multipath TCP does, which Go's
// listeners are by default. The two are a group (SO_REUSEPORT in socket(7)), in which a
// program chooses the socket for each new handshake. The group begins with the socket
// that was there, so the other one is number 1.
func (q *linuxQueue) divert(fd int) bool {
	addr, err := syscall.Getsockname(fd)
	if err != nil {
		return false
	}
	family := syscall.AF_INET
	if _, six := addr.(*syscall.SockaddrInet6); six {
		family = syscall.AF_INET6
	}
	q.shadow, err = syscall.Socket(family, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, syscall.IPPROTO_TCP)
	if err != nil {
		return false
	}
	if family == syscall.AF_INET6 {
		only, err := syscall.GetsockoptInt(fd, syscall.IPPROTO_IPV6, syscall.IPV6_V6ONLY)
		if err != nil || syscall.SetsockoptInt(q.shadow, syscall.IPPROTO_IPV6, syscall.IPV6_V6ONLY, only) != nil {
			return false
		}
	}
	return syscall.SetsockoptInt(q.shadow, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1) == nil &&
		syscall.SetsockoptInt(q.shadow, syscall.SOL_SOCKET, soReusePort(), 1) == nil &&
		syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, soReusePort(), 1) == nil &&
		(drop(q.shadow) == nil || demandSignature(q.shadow, family)) &&
		syscall.Bind(q.shadow, addr) == nil &&
		syscall.Listen(q.shadow, 1) == nil &&
		choose(q.shadow, second) == nil
}

// demandSignature makes a socket drop handshakes without a signature that nobody can
// make (TCP_MD5SIG_EXT in linux/tcp.h, RFC 2385). Those that have begun would be dropped,
// too, so it is nothing for a socket that has been listening.
func demandSignature(fd, family int) bool {
	key := tcpMD5Sig{family: uint16(family), flags: 1, keyLength: 16}
	rand.Read(key.key[:16])
	ok := key.set(fd)
	if family == syscall.AF_INET6 && ok { // IPv4, too: ::ffff:0.0.0.0
		key.addr[16], key.addr[17] = 0xff, 0xff // behind the port and the flow, at 10 of the address
		ok = key.set(fd)
	}
	return ok
}

// tcpMD5Sig is struct tcp_md5sig: a key for all addresses with a prefix, here of no bits.
type tcpMD5Sig struct {
	family    uint16
	addr      [126]byte // the rest of sockaddr_storage
	flags     uint8     // 1: it has a prefix
	prefix    uint8
	keyLength uint16
	device    int32
	key       [80]byte
}

func (s *tcpMD5Sig) set(fd int) bool {
	const tcpMD5SigExt = 32
	option := unsafe.String((*byte)(unsafe.Pointer(s)), unsafe.Sizeof(*s))
	return syscall.SetsockoptString(fd, syscall.IPPROTO_TCP, tcpMD5SigExt, option) == nil
}

// second chooses number 1 of a group of sockets.
var second = []syscall.SockFilter{{Code: syscall.BPF_RET | syscall.BPF_K, K: 1}}

// choose sets the program that chooses in the group of a socket.
func choose(fd int, program []syscall.SockFilter) error {
	const soAttachReusePortCBPF = 51 // on all systems that Go knows
	option := syscall.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	return syscall.SetsockoptString(fd, syscall.SOL_SOCKET, soAttachReusePortCBPF,
		unsafe.String((*byte)(unsafe.Pointer(&option)), unsafe.Sizeof(option)))
}

// soReusePort returns SO_REUSEPORT, which package syscall does not have everywhere.
func soReusePort() int {
	if strings.HasPrefix(runtime.GOARCH, "mips") {
		return 0x200
	}
	return 15
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
	if q.shadow >= 0 {
		syscall.Close(q.shadow)
	}
	if q.other >= 0 {
		if q.shadow >= 0 {
			syscall.SetsockoptInt(q.other, syscall.SOL_SOCKET, soReusePort(), 0)
		} else {
			//lint:ignore SA1019 golang.org/x/net is no dependency of this package
			syscall.DetachLsf(q.other)
		}
		syscall.Close(q.other)
	}
	if q.epoll >= 0 {
		syscall.Close(q.epoll)
	}
}
