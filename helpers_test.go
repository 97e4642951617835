package backend_test

import (
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// silentServer accepts connections and never says anything on them. It returns
// its address.
func silentServer(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			defer conn.Close()
		}
	}()
	t.Cleanup(func() {
		listener.Close()
		<-done
	})
	return listener.Addr().String()
}

// proxy stands between a database and its client. It counts round trips, and
// can swallow everything, as a network does that drops packets.
type proxy struct {
	URL string

	mu      sync.Mutex
	thawed  *sync.Cond
	frozen  bool
	trips   int
	answers bool // the last thing seen came from the server
	conns   []net.Conn
}

// newProxy returns a proxy for the database at target.
func newProxy(t *testing.T, target string) *proxy {
	t.Helper()
	u, err := url.Parse(target)
	require.NoError(t, err)
	server := u.Host
	if u.Port() == "" {
		server = net.JoinHostPort(u.Hostname(), map[string]string{"postgres": "5432", "mysql": "3306"}[u.Scheme])
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	u.Host = listener.Addr().String()
	p := &proxy{URL: u.String(), answers: true}
	p.thawed = sync.NewCond(&p.mu)
	var wait sync.WaitGroup
	wait.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			upstream, err := net.Dial("tcp", server)
			if err != nil {
				client.Close()
				continue
			}
			p.mu.Lock()
			p.conns = append(p.conns, client, upstream)
			p.mu.Unlock()
			wait.Go(func() { p.copy(upstream, client, false) })
			wait.Go(func() { p.copy(client, upstream, true) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		p.Thaw()
		p.Cut()
		wait.Wait()
	})
	return p
}

func (p *proxy) copy(to, from net.Conn, answers bool) {
	defer to.Close()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		p.mu.Lock()
		for p.frozen {
			p.thawed.Wait()
		}
		if p.answers && !answers {
			p.trips++
		}
		p.answers = answers
		p.mu.Unlock()
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// Trips returns how often the client has asked since the last call.
func (p *proxy) Trips() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer func() { p.trips = 0 }()
	return p.trips
}

// Freeze swallows everything from now on.
func (p *proxy) Freeze() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.frozen = true
}

// Thaw lets everything pass again, what was held back included.
func (p *proxy) Thaw() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.frozen = false
	p.thawed.Broadcast()
}

// Cut closes all connections.
func (p *proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range p.conns {
		conn.Close()
	}
	p.conns = nil
}

// underRace reports whether the race detector is on, which allocates, too.
func underRace() bool {
	info, _ := debug.ReadBuildInfo()
	return slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

// mustRun returns h. The test fails if h has not run when the test ends: what it
// asserts would not have been asserted.
func mustRun(t testing.TB, h http.HandlerFunc) http.Handler {
	t.Helper()
	_, file, line, _ := runtime.Caller(1)
	var runs atomic.Int64
	t.Cleanup(func() {
		if runs.Load() == 0 {
			t.Errorf("the handler of %s:%d never ran", filepath.Base(file), line)
		}
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		runs.Add(1)
		h(w, r)
	})
}
