// Package listen opens what a server listens on, and the certificates that it
// shows there.
package listen

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"
)

// Open opens a listener for TCP at "host:port", for a unix socket at "unix:PATH",
// or takes the socket that systemd passes for "systemd", or "systemd:NAME" if it
// passes several.
//
// It removes a unix socket that a dead process has left behind. It leaves one
// alone that somebody listens on, and so it does all other files. Two processes
// that find the same dead socket at the same moment may both succeed; the later
// one gets the connections.
func Open(ctx context.Context, addr string) (net.Listener, error) {
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		return openUnix(ctx, path)
	}
	if name, ok := strings.CutPrefix(addr, "systemd"); ok && (name == "" || name[0] == ':') {
		return openSystemd(strings.TrimPrefix(name, ":"))
	}
	var config net.ListenConfig
	config.SetMultipathTCP(false) // its sockets take no filter, which is the simpler way of package drain
	return config.Listen(ctx, "tcp", addr)
}

func openUnix(ctx context.Context, path string) (net.Listener, error) {
	if path == "" { // the system would choose a name that nobody knows
		return nil, errors.New("the address unix: has no path")
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "unix", path)
	if !errors.Is(err, syscall.EADDRINUSE) {
		return listener, err
	}
	if info, statErr := os.Lstat(path); statErr != nil || info.Mode().Type() != fs.ModeSocket {
		return nil, fmt.Errorf("%w: what is there is not a socket", err)
	}
	var dialer net.Dialer
	conn, dialErr := dialer.DialContext(ctx, "unix", path)
	if dialErr == nil {
		conn.Close()
	}
	if !errors.Is(dialErr, syscall.ECONNREFUSED) {
		return nil, err
	}
	if err := os.Remove(path); err != nil {
		return nil, err
	}
	return config.Listen(ctx, "unix", path)
}
