package listen_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend/internal/listen"
)

// socketPath returns a path short enough for a unix socket.
func socketPath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "backend")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "s")
}

func TestOpen(t *testing.T) {
	t.Parallel()
	path := socketPath(t)
	for addr, network := range map[string]string{"127.0.0.1:0": "tcp", "unix:" + path: "unix"} {
		l, err := listen.Open(t.Context(), addr)
		require.NoError(t, err)
		require.Equal(t, network, l.Addr().Network())
		conn, err := net.Dial(network, l.Addr().String())
		require.NoError(t, err)
		conn.Close()
		l.Close()
	}
	require.NoFileExists(t, path)
}

func TestOpenErrors(t *testing.T) {
	t.Parallel()
	for addr, want := range map[string]string{
		"unix:":          "the address unix: has no path",
		"127.0.0.1":      "missing port in address",
		"systemdx":       "missing port in address",
		"systemd":        "systemd", // passed nothing, or is not there
		"systemd:http":   "systemd",
		"unix:/no/where": "no such file or directory",
	} {
		_, err := listen.Open(t.Context(), addr)
		require.ErrorContains(t, err, want, addr)
	}
}

func TestOpenReplacesAnAbandonedUnixSocket(t *testing.T) {
	t.Parallel()
	path := socketPath(t)
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	require.NoError(t, err)
	dead.SetUnlinkOnClose(false) // as a process that is killed leaves it
	dead.Close()
	l, err := listen.Open(t.Context(), "unix:"+path)
	require.NoError(t, err)
	defer l.Close()
	_, err = listen.Open(t.Context(), "unix:"+path)
	require.ErrorIs(t, err, syscall.EADDRINUSE, "this one is alive")
	conn, err := net.Dial("unix", path)
	require.NoError(t, err)
	conn.Close()
}

func TestOpenLeavesOtherFilesAlone(t *testing.T) {
	t.Parallel()
	path := socketPath(t)
	require.NoError(t, os.WriteFile(path, []byte("precious"), 0o600))
	_, err := listen.Open(t.Context(), "unix:"+path)
	require.ErrorIs(t, err, syscall.EADDRINUSE)
	require.ErrorContains(t, err, "what is there is not a socket")
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "precious", string(text))
}

// writeCertificate writes a self-signed certificate and its key. changed tells
// versions of the files apart.
func writeCertificate(t *testing.T, name, certFile, keyFile string, changed time.Time) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	for file, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: secret}} {
		if file == "" {
			continue
		}
		require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(block), 0o600))
		require.NoError(t, os.Chtimes(file, changed, changed))
	}
}

func TestTLSRefines(t *testing.T) {
	t.Parallel()
	base := &tls.Config{MinVersion: tls.VersionTLS13, ServerName: "a", Certificates: make([]tls.Certificate, 1)}
	config, err := listen.TLS(base, "", "", nil)
	require.NoError(t, err)
	require.NotSame(t, base, config)
	require.EqualValues(t, tls.VersionTLS13, config.MinVersion)
	require.Equal(t, "a", config.ServerName)
	require.Nil(t, config.GetCertificate)
	old := &tls.Config{MinVersion: tls.VersionTLS10}
	config, err = listen.TLS(old, "", "", nil)
	require.NoError(t, err)
	require.EqualValues(t, tls.VersionTLS12, config.MinVersion)
	require.EqualValues(t, tls.VersionTLS10, old.MinVersion, "what was given is not changed")
}

func TestHasCertificate(t *testing.T) {
	t.Parallel()
	require.False(t, listen.HasCertificate(&tls.Config{}))
	require.True(t, listen.HasCertificate(&tls.Config{Certificates: make([]tls.Certificate, 1)}))
	require.True(t, listen.HasCertificate(&tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, nil }}))
	require.True(t, listen.HasCertificate(&tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return nil, nil }}))
}

func TestTLSErrors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	_, err := listen.TLS(nil, certFile, keyFile, nil)
	require.ErrorIs(t, err, os.ErrNotExist)
	writeCertificate(t, "one", certFile, keyFile, time.Now())
	writeCertificate(t, "other", certFile, "", time.Now())
	_, err = listen.TLS(nil, certFile, keyFile, nil)
	require.ErrorContains(t, err, "certificate "+certFile+" with key "+keyFile+": ")
}

// A renewed certificate is used within a minute. One that cannot be used changes
// nothing, and is logged once a minute.
func TestTLSReadsRenewedFiles(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		dir, version := t.TempDir(), time.Unix(1000000000, 0)
		certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
		writeCertificate(t, "one", certFile, keyFile, version)
		var log bytes.Buffer
		config, err := listen.TLS(nil, certFile, keyFile, slog.New(slog.NewJSONHandler(&log, nil)))
		require.NoError(t, err)
		shown := func() string {
			pair, err := config.GetCertificate(nil)
			require.NoError(t, err)
			return pair.Leaf.Subject.CommonName
		}
		complaints := func() int { return strings.Count(log.String(), "the old one stays") }
		require.Equal(t, "one", shown())
		writeCertificate(t, "two", certFile, keyFile, version.Add(time.Second))
		time.Sleep(time.Minute - time.Second)
		require.Equal(t, "one", shown())
		time.Sleep(time.Second)
		require.Equal(t, "two", shown())
		writeCertificate(t, "three", certFile, "", version.Add(2*time.Second))
		time.Sleep(time.Minute)
		require.Equal(t, "two", shown(), "a certificate without its key")
		require.Equal(t, "two", shown())
		require.Equal(t, 1, complaints())
		require.NoError(t, os.Remove(keyFile))
		time.Sleep(time.Minute)
		require.Equal(t, "two", shown(), "a certificate without a key")
		require.Equal(t, 2, complaints())
		writeCertificate(t, "four", certFile, keyFile, version.Add(3*time.Second))
		time.Sleep(time.Minute)
		require.Equal(t, "four", shown())
		require.Equal(t, 2, complaints())
	})
}
