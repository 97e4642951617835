package drain_test

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

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

// A listener stops while clients connect without a pause, and none that has connected
// is reset. A socket that others have, too, goes on for them as if nothing had been.
func TestListenerResetsNobody(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, network, addr string
		multipath, shared   bool
	}{
		{"TCP", "tcp", "127.0.0.1:0", false, false},
		{"TCP, shared", "tcp", "127.0.0.1:0", false, true},
		{"Multipath TCP", "tcp", "127.0.0.1:0", true, false},
		{"Multipath TCP, shared", "tcp", "127.0.0.1:0", true, true},
		{"Multipath TCP, every address", "tcp", ":0", true, false},
		{"Multipath TCP, every address, shared", "tcp", ":0", true, true},
		{"Multipath TCP, every IPv4 address", "tcp4", ":0", true, false},
		{"Multipath TCP, every IPv6 address", "tcp6", ":0", true, false},
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
			l.Stop(accepting)
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
