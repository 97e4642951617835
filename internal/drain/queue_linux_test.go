package drain_test

import (
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend/internal/drain"
)

// greet accepts connections and sends a byte on each. Stop ends it.
func greet(l net.Listener) (accepting chan error) {
	accepting = make(chan error, 1)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				l.Close() // as http.Server does
				accepting <- err
				return
			}
			io.WriteString(conn, "a")
			conn.Close()
		}
	}()
	return accepting
}

// greeted connects and waits for the byte.
func greeted(addr net.Addr, multipath bool) error {
	var dialer net.Dialer
	dialer.SetMultipathTCP(multipath)
	conn, err := dialer.Dial("tcp", addr.String())
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = io.ReadFull(conn, make([]byte, 1))
	return err
}

// withoutFilters calls f on a thread that may attach no filters, as in most processes.
func withoutFilters(t *testing.T, f func()) {
	ended := make(chan syscall.Errno)
	go func() {
		runtime.LockOSThread() // the thread ends with the goroutine
		header := struct{ version, pid int32 }{version: 0x20080522}
		var capabilities [2]struct{ effective, permitted, inheritable uint32 }
		_, _, err := syscall.RawSyscall(syscall.SYS_CAPGET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&capabilities)), 0)
		capabilities[0].effective &^= 1 << 12 // CAP_NET_ADMIN
		if err == 0 {
			_, _, err = syscall.RawSyscall(syscall.SYS_CAPSET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&capabilities)), 0)
		}
		f()
		ended <- err
	}()
	require.Zero(t, <-ended)
}

func asItIs(_ *testing.T, f func()) { f() }

// A listener stops while clients connect without a pause, and none that has connected
// is reset. A socket that others have, too, goes on for them as if nothing had been.
func TestListenerResetsNobody(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, network, addr string
		multipath, shared   bool
		stop                func(t *testing.T, stop func())
	}{
		{"TCP", "tcp", "127.0.0.1:0", false, false, asItIs},
		{"TCP, shared", "tcp", "127.0.0.1:0", false, true, asItIs},
		{"TCP, no filters", "tcp", "127.0.0.1:0", false, false, withoutFilters},
		{"TCP, no filters, shared", "tcp", "127.0.0.1:0", false, true, withoutFilters},
		{"TCP, no filters, every address", "tcp", ":0", false, false, withoutFilters},
		{"Multipath TCP", "tcp", "127.0.0.1:0", true, false, asItIs},
		{"Multipath TCP, shared", "tcp", "127.0.0.1:0", true, true, asItIs},
		{"Multipath TCP, every address", "tcp", ":0", true, false, asItIs},
		{"Multipath TCP, every IPv4 address", "tcp4", ":0", true, false, asItIs},
		{"Multipath TCP, every IPv6 address", "tcp6", ":0", true, false, asItIs},
		{"Multipath TCP, no filters", "tcp", "127.0.0.1:0", true, false, withoutFilters},
		{"Multipath TCP, no filters, every address, shared", "tcp", ":0", true, true, withoutFilters},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var config net.ListenConfig
			config.SetMultipathTCP(test.multipath)
			plain, err := config.Listen(t.Context(), test.network, test.addr)
			if errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT) {
				t.Skip("this machine has no IPv6")
			}
			require.NoError(t, err)
			var other net.Listener
			if test.shared {
				file, err := plain.(*net.TCPListener).File()
				require.NoError(t, err)
				other, err = net.FileListener(file)
				require.NoError(t, err)
				file.Close()
				defer other.Close()
			}
			l := drain.NewListener(plain, test.shared)
			accepting := greet(l)

			ctx, enough := context.WithCancel(t.Context())
			defer enough()
			var clients sync.WaitGroup
			var served atomic.Int64
			began := make(chan struct{})
			for number := range 10 {
				clients.Go(func() {
					for ctx.Err() == nil {
						err := greeted(plain.Addr(), test.multipath && number%2 == 0)
						if errors.Is(err, syscall.ECONNREFUSED) && !test.shared {
							return
						}
						if err != nil {
							t.Errorf("client %d: %v", number, err)
							return
						}
						if served.Add(1) == 100 {
							close(began)
						}
					}
				})
			}
			<-began
			test.stop(t, func() { l.Stop(accepting) })
			if test.shared {
				after := served.Load()
				ended := greet(other)
				for range 20 {
					require.NoError(t, greeted(plain.Addr(), false))
				}
				require.Eventually(t, func() bool { return served.Load() > after+20 }, 10*time.Second, 10*time.Millisecond)
				enough()
				clients.Wait()
				other.Close()
				<-ended
			}
			clients.Wait()
			require.ErrorIs(t, greeted(plain.Addr(), false), syscall.ECONNREFUSED)
		})
	}
}
