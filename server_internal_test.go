package backend

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// The values are those that are promised to users; see ServerConfig.
func TestServerConfigDefaults(t *testing.T) {
	t.Parallel()
	config, err := ServerConfig{}.withDefaults()
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1:8080", config.Addr)
	require.Equal(t, 5*time.Second, config.ReadHeaderTimeout)
	require.Equal(t, 30*time.Second, config.ReadTimeout)
	require.Equal(t, 60*time.Second, config.WriteTimeout)
	require.Equal(t, 90*time.Second, config.IdleTimeout)
	require.Equal(t, 65536, config.MaxHeaderBytes)
	require.Equal(t, 20*time.Second, config.ShutdownTimeout)
	require.Zero(t, config.DrainDelay, "without Health nobody is told")

	config, err = ServerConfig{Health: NewHealth()}.withDefaults()
	require.NoError(t, err)
	require.Equal(t, 3*time.Second, config.DrainDelay)
}

// What Serve puts around a handler costs a request nothing.
func TestServerAllocatesNothingPerRequest(t *testing.T) {
	s := &server{handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
	w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)
	require.Zero(t, testing.AllocsPerRun(100, func() { s.ServeHTTP(w, r) }))

	client, plain := net.Pipe()
	go io.Copy(io.Discard, client)
	defer client.Close()
	conn, answer := track(plain), []byte("answer")
	require.Zero(t, testing.AllocsPerRun(100, func() { conn.Write(answer) }))
}

// Connections that the system has queued are accepted before the listener closes,
// since their clients believe that they are connected.
func TestListenerAcceptsWhatIsQueued(t *testing.T) {
	t.Parallel()
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			t.Parallel()
			addr := "127.0.0.1:0"
			if network == "unix" {
				dir, err := os.MkdirTemp("", "backend")
				require.NoError(t, err)
				t.Cleanup(func() { os.RemoveAll(dir) })
				addr = dir + "/s"
			}
			plain, err := net.Listen(network, addr)
			require.NoError(t, err)
			l := newListener(plain)
			const queued = 20
			for range queued {
				conn, err := net.Dial(network, plain.Addr().String())
				require.NoError(t, err)
				defer conn.Close()
			}
			accepting, stopped := make(chan error, 1), make(chan struct{})
			go func() {
				l.stop(accepting)
				close(stopped)
			}()
			<-l.stopping
			var accepted int
			for {
				conn, err := l.Accept()
				if err != nil {
					l.Close() // as http.Server does
					accepting <- err
					break
				}
				conn.Close()
				accepted++
			}
			<-stopped
			require.Equal(t, queued, accepted)
			_, err = net.Dial(network, plain.Addr().String())
			require.Error(t, err)
		})
	}
}

// A listener on which connections never stop coming is closed all the same.
func TestListenerStopsUnderAStorm(t *testing.T) {
	t.Parallel()
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	l := newListener(plain)
	accepting := make(chan error, 1)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				accepting <- err
				return
			}
			conn.Close()
		}
	}()
	storm := make(chan struct{})
	for range 2 {
		go func() {
			defer func() { storm <- struct{}{} }()
			for {
				conn, err := net.Dial("tcp", plain.Addr().String())
				if err != nil {
					return
				}
				conn.Close()
			}
		}()
	}
	l.stop(accepting)
	plain.Close()
	<-storm
	<-storm
}

// A request that comes while its connection is being closed for disuse saves it.
func TestConnectionIsSavedByARequestAtTheLastMoment(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		defer client.Close()
		conn := track(server).(*connection)
		defer conn.Close()
		deadline := time.Now().Add(time.Hour) // as net/http sets for idle connections
		require.NoError(t, conn.SetReadDeadline(deadline))
		read := make(chan error)
		buffer := make([]byte, 3)
		go func() {
			n, err := conn.Read(buffer)
			buffer = buffer[:n]
			read <- err
		}()
		synctest.Wait()
		time.Sleep(quietTime)
		require.True(t, conn.dismiss(time.Now(), time.Second))
		synctest.Wait() // it looks a last time
		_, err := io.WriteString(client, "GET")
		require.NoError(t, err)
		require.NoError(t, <-read)
		require.Equal(t, "GET", string(buffer))

		go func() {
			_, err := conn.Read(buffer)
			read <- err
		}()
		require.ErrorIs(t, <-read, os.ErrDeadlineExceeded)
		require.Equal(t, deadline, time.Now(), "the deadline that was set before holds again")
	})
}

// A connection on which a request runs is not touched, however quiet it is.
func TestConnectionIsNotDismissedWhileItIsActive(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		defer client.Close()
		conn := track(server).(*connection)
		conn.enter(http.StateActive, conn)
		time.Sleep(time.Hour)
		require.True(t, conn.dismiss(time.Now(), time.Second))
		go io.WriteString(client, "body")
		_, err := io.ReadFull(conn, make([]byte, 4))
		require.NoError(t, err)
	})
}
