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
	if path, ok := strings.CutPrefix(c.Addr, "unix:"); ok {
		return listenUnix(ctx, path)
	}
	if name, ok := strings.CutPrefix(c.Addr, "systemd"); ok && (name == "" || name[0] == ':') {
		return listenSystemd(strings.TrimPrefix(name, ":"))
	}
	var config net.ListenConfig
	return config.Listen(ctx, "tcp", c.Addr)
}

// listenUnix listens on a unix socket. A socket that a dead process left
// behind is removed; one that somebody listens on is not, and neither is
// anything else. Two processes that find the same dead socket at the same moment
// may both succeed, and the later one gets the connections.
func listenUnix(ctx context.Context, path string) (net.Listener, error) {
	if path == "" { // the system would choose a name that nobody knows
		return nil, errors.New("ServerConfig.Addr unix: has no path")
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
	if !hasCertificate(config) {
		return nil, errors.New("ServerConfig.TLS has no certificate; set CertFile and KeyFile, or TLS.Certificates")
	}
	return config, nil
}

func hasCertificate(config *tls.Config) bool {
	return len(config.Certificates) > 0 || config.GetCertificate != nil || config.GetConfigForClient != nil
}

// certRecheck is how often certificate files are looked at, at most.
const certRecheck = time.Minute

// certFiles is a certificate in files that may be replaced while it is used.
type certFiles struct {
	cert, key string
	logger    *slog.Logger

	mu      sync.Mutex
	current *tls.Certificate
	version [2]fileVersion // of both files when current was read
	checked time.Time
}

// fileVersion changes when a file does.
type fileVersion struct {
	changed time.Time
	size    int64
}

// get is a [tls.Config]'s GetCertificate.
func (f *certFiles) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now := time.Now(); now.Sub(f.checked) >= certRecheck {
		f.checked = now
		if version, err := f.stat(); err != nil || version != f.version {
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

// read reads both files. Their version is taken before, so that a change in
// between is seen the next time.
func (f *certFiles) read() error {
	version, err := f.stat()
	if err != nil {
		return err
	}
	pair, err := tls.LoadX509KeyPair(f.cert, f.key)
	if err != nil {
		return fmt.Errorf("certificate %s with key %s: %w", f.cert, f.key, err)
	}
	f.current, f.version = &pair, version
	return nil
}

func (f *certFiles) stat() (version [2]fileVersion, err error) {
	for i, name := range []string{f.cert, f.key} {
		info, err := os.Stat(name)
		if err != nil {
			return version, err
		}
		version[i] = fileVersion{info.ModTime(), info.Size()}
	}
	return version, nil
}
