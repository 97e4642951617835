//go:build !unix

package listen

import (
	"errors"
	"net"
)

// openSystemd returns an error: there is no systemd on this system.
func openSystemd(string) (net.Listener, error) {
	return nil, errors.New("there is no systemd on this system")
}
