package backend

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// This file opens what Serve listens on, and its certificates.

// listen opens the listener that the config names.
func (c ServerConfig) listen(ctx context.Context) (net.Listener, error) {
	if c.Listener != nil {
		return c.Listener, nil
	}
	addr := c.Addr
	setZero(&addr, "127.0.0.1:8080")
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		return listenUnix(ctx, path)
	}
	if name, ok := strings.CutPrefix(addr, "systemd"); ok && (name == "" || name[0] == ':') {
		return listenSystemd(strings.TrimPrefix(name, ":"))
	}
	var config net.ListenConfig
	return config.Listen(ctx, "tcp", addr)
}

// listenUnix listens on a unix socket. A socket that a dead process left
// behind is removed; one that somebody listens on is not.
func listenUnix(ctx context.Context, path string) (net.Listener, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "unix", path)
	if !errors.Is(err, syscall.EADDRINUSE) {
		return listener, err
	}
	info, statErr := os.Lstat(path)
	if statErr != nil || info.Mode().Type() != fs.ModeSocket {
		return nil, err
	}
	var dialer net.Dialer
	conn, dialErr := dialer.DialContext(ctx, "unix", path)
	if dialErr == nil {
		conn.Close()
		return nil, err
	}
	if !errors.Is(dialErr, syscall.ECONNREFUSED) {
		return nil, err
	}
	if err := os.Remove(path); err != nil {
		return nil, err
	}
	return config.Listen(ctx, "unix", path)
}

// systemdFirst is the file descriptor of the first socket that systemd passes:
// SD_LISTEN_FDS_START in sd_listen_fds(3).
const systemdFirst = 3

// listenSystemd takes the socket with a name, or the only one, as described in
// sd_listen_fds(3).
func listenSystemd(name string) (net.Listener, error) {
	count, err := strconv.Atoi(os.Getenv("LISTEN_FDS"))
	if err != nil || count < 1 || os.Getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		return nil, errors.New("systemd passed no socket to this process; start it from a .socket unit")
	}
	index, err := systemdSocket(name, count, strings.Split(os.Getenv("LISTEN_FDNAMES"), ":"))
	if err != nil {
		return nil, err
	}
	syscall.CloseOnExec(systemdFirst + index)
	file := os.NewFile(uintptr(systemdFirst+index), "systemd:"+name)
	defer file.Close() // FileListener duplicates it
	listener, err := net.FileListener(file)
	if err != nil {
		return nil, fmt.Errorf("the socket that systemd passed: %w", err)
	}
	return listener, nil
}

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
	return 0, fmt.Errorf("systemd passed no socket named %q, only %s", name, strings.Join(names, ", "))
}

// tlsConfig returns the TLS configuration, or nil for plain HTTP.
func (c ServerConfig) tlsConfig() (*tls.Config, error) {
	if c.TLS == nil && c.CertFile == "" {
		return nil, nil
	}
	config := &tls.Config{}
	if c.TLS != nil {
		config = c.TLS.Clone()
	}
	config.MinVersion = max(config.MinVersion, tls.VersionTLS12)
	if c.CertFile != "" {
		files := &certFiles{cert: c.CertFile, key: c.KeyFile, logger: c.Logger}
		if err := files.load(); err != nil {
			return nil, err
		}
		config.GetCertificate = files.get
	}
	if len(config.Certificates) == 0 && config.GetCertificate == nil && config.GetConfigForClient == nil {
		return nil, errors.New("ServerConfig.TLS has no certificate; set CertFile and KeyFile, or TLS.Certificates")
	}
	return config, nil
}

// certRecheck is how often certificate files are looked at, at most.
const certRecheck = time.Minute

// certFiles is a certificate in files that may be replaced while it is used.
type certFiles struct {
	cert, key string
	logger    *slog.Logger

	mu      sync.Mutex
	current *tls.Certificate
	changed [2]time.Time // of both files when current was read
	checked time.Time
}

func (f *certFiles) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now := time.Now(); now.Sub(f.checked) >= certRecheck {
		f.checked = now
		if changed, err := f.stat(); err != nil || changed != f.changed {
			if err := f.read(); err != nil {
				f.logger.Error("the TLS certificate could not be read again; the old one stays", "error", err)
			}
		}
	}
	return f.current, nil
}

// load reads the files for the first time.
func (f *certFiles) load() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.checked = time.Now()
	return f.read()
}

func (f *certFiles) read() error {
	changed, err := f.stat()
	if err != nil {
		return err
	}
	pair, err := tls.LoadX509KeyPair(f.cert, f.key)
	if err != nil {
		return fmt.Errorf("certificate %s with key %s: %w", f.cert, f.key, err)
	}
	f.current, f.changed = &pair, changed
	return nil
}

func (f *certFiles) stat() (changed [2]time.Time, err error) {
	for i, name := range []string{f.cert, f.key} {
		info, err := os.Stat(name)
		if err != nil {
			return changed, err
		}
		changed[i] = info.ModTime()
	}
	return changed, nil
}
