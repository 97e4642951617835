package listen

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// TLS returns a TLS configuration like base, which may be nil, with TLS 1.2 as the
// least version, and the certificate and key in two PEM files if certFile is not
// empty. The files are read again when they change, at most once a minute; files
// that cannot be used then are logged, and the certificate stays as it was.
func TLS(base *tls.Config, certFile, keyFile string, logger *slog.Logger) (*tls.Config, error) {
	config := &tls.Config{}
	if base != nil {
		config = base.Clone()
	}
	config.MinVersion = max(config.MinVersion, tls.VersionTLS12)
	if certFile != "" {
		files := &certFiles{cert: certFile, key: keyFile, logger: logger}
		if err := files.load(); err != nil {
			return nil, err
		}
		config.GetCertificate = files.get
	}
	return config, nil
}

// HasCertificate reports whether a TLS configuration has a certificate, or a way
// to get one.
func HasCertificate(config *tls.Config) bool {
	return len(config.Certificates) > 0 || config.GetCertificate != nil || config.GetConfigForClient != nil
}

// certRecheck is the least time from one look at certificate files to the next.
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
