package backend_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
)

// socketPath returns a path short enough for a unix socket.
func socketPath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "backend")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "s")
}

// requireServes fails unless Serve listens on the socket, and that it removes it
// in the end.
func requireServes(t *testing.T, path string) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	log := newRecords()
	done := make(chan error, 1)
	go func() {
		done <- backend.Serve(ctx, sayHello, backend.ServerConfig{Addr: "unix:" + path, Logger: slog.New(log)})
	}()
	require.Equal(t, "unix:"+path, log.wait(t, "listening")["address"])
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		},
	}}
	response, err := client.Get("http://a/")
	require.NoError(t, err)
	body, err := io.ReadAll(response.Body)
	response.Body.Close()
	require.NoError(t, err)
	require.Equal(t, "hello", string(body))
	stop()
	require.NoError(t, <-done)
	require.NoFileExists(t, path)
}

func TestServeOnAUnixSocket(t *testing.T) {
	t.Parallel()
	requireServes(t, socketPath(t))
}

func TestServeReplacesAnAbandonedUnixSocket(t *testing.T) {
	t.Parallel()
	path := socketPath(t)
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	require.NoError(t, err)
	listener.SetUnlinkOnClose(false) // as a process that is killed leaves it
	listener.Close()
	info, err := os.Lstat(path)
	require.NoError(t, err)
	require.Equal(t, os.ModeSocket, info.Mode().Type())
	requireServes(t, path)
}

func TestServeLeavesAUsedUnixSocketAlone(t *testing.T) {
	t.Parallel()
	path := socketPath(t)
	listener, err := net.Listen("unix", path)
	require.NoError(t, err)
	defer listener.Close()
	err = backend.Serve(briefly(t), sayHello, backend.ServerConfig{Addr: "unix:" + path})
	require.ErrorIs(t, err, syscall.EADDRINUSE)
	require.ErrorContains(t, err, path)
	conn, err := net.Dial("unix", path)
	require.NoError(t, err, "it still works")
	conn.Close()
}

func TestServeLeavesOtherFilesAlone(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		make func(t *testing.T, path string)
	}{
		{"a file", func(t *testing.T, path string) { require.NoError(t, os.WriteFile(path, []byte("precious"), 0o600)) }},
		{"a directory", func(t *testing.T, path string) { require.NoError(t, os.Mkdir(path, 0o700)) }},
		{"a link", func(t *testing.T, path string) {
			require.NoError(t, os.WriteFile(path+".target", nil, 0o600))
			require.NoError(t, os.Symlink(path+".target", path))
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			path := socketPath(t)
			test.make(t, path)
			before, err := os.Lstat(path)
			require.NoError(t, err)
			err = backend.Serve(briefly(t), sayHello, backend.ServerConfig{Addr: "unix:" + path})
			require.ErrorContains(t, err, path)
			require.ErrorContains(t, err, "not a socket")
			after, err := os.Lstat(path)
			require.NoError(t, err)
			require.True(t, os.SameFile(before, after))
		})
	}
}
