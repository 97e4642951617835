//go:build !unix

package backend

import (
	"errors"
	"net"
)

// listenSystemd has nothing to take: there is no systemd on this system.
func listenSystemd(string) (net.Listener, error) {
	return nil, errors.New("there is no systemd on this system")
}
