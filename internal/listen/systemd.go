//go:build unix

package listen

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// systemdFirst is the file descriptor of the first socket that systemd passes:
// SD_LISTEN_FDS_START in sd_listen_fds(3).
const systemdFirst = 3

// openSystemd takes the socket with a name, or the only one, from systemd, as
// sd_listen_fds(3) describes it.
func openSystemd(name string) (net.Listener, error) {
	count, err := strconv.Atoi(os.Getenv("LISTEN_FDS"))
	if err != nil || count < 1 || os.Getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		return nil, errors.New("systemd passed no socket to this process; start it from a .socket unit")
	}
	index, err := systemdSocket(name, count, strings.Split(os.Getenv("LISTEN_FDNAMES"), ":"))
	if err != nil {
		return nil, err
	}
	// A duplicate: if we closed the descriptor itself, the next Serve would take
	// whatever has its number by then.
	fd, err := dupCloseOnExec(systemdFirst + index)
	if err != nil {
		return nil, fmt.Errorf("the socket that systemd passed: %w", err)
	}
	file := os.NewFile(uintptr(fd), "systemd:"+name)
	defer file.Close() // FileListener makes another duplicate
	listener, err := net.FileListener(file)
	if err != nil {
		return nil, fmt.Errorf("the socket that systemd passed: %w", err)
	}
	return listener, nil
}

// dupCloseOnExec duplicates a descriptor. Programs that this one starts inherit
// neither of the two.
func dupCloseOnExec(fd int) (int, error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	syscall.CloseOnExec(fd)
	duplicate, err := syscall.Dup(fd)
	if err == nil {
		syscall.CloseOnExec(duplicate)
	}
	return duplicate, err
}

// systemdSocket returns the index of the socket with a name among count sockets.
// An empty name stands for the only one.
func systemdSocket(name string, count int, names []string) (int, error) {
	if name == "" {
		if count > 1 {
			return 0, fmt.Errorf("systemd passed %d sockets; choose one with systemd:NAME (%s)", count, strings.Join(names, ", "))
		}
		return 0, nil
	}
	for i, other := range names {
		if i < count && other == name {
			return i, nil
		}
	}
	return 0, fmt.Errorf("systemd passed no socket named %q, only %q", name, names)
}
