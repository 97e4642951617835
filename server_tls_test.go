package backend_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
)

// certificate is a self-signed one for 127.0.0.1, in PEM.
type certificate struct{ cert, key []byte }

func newCertificate(t *testing.T, name string) certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    time.Unix(0, 0),
		NotAfter:     time.Unix(1<<33, 0),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA:         true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	return certificate{
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}),
	}
}

func (c certificate) pair(t *testing.T) tls.Certificate {
	t.Helper()
	pair, err := tls.X509KeyPair(c.cert, c.key)
	require.NoError(t, err)
	return pair
}

// write replaces the files; changed tells versions apart.
func (c certificate) write(t *testing.T, certFile, keyFile string, changed time.Time) {
	t.Helper()
	for name, content := range map[string][]byte{certFile: c.cert, keyFile: c.key} {
		require.NoError(t, os.WriteFile(name, content, 0o600))
		require.NoError(t, os.Chtimes(name, changed, changed))
	}
}

// client trusts the certificate and prefers HTTP/2.
func (c certificate) client(t *testing.T) *http.Client {
	t.Helper()
	pool := x509.NewCertPool()
	require.True(t, pool.AppendCertsFromPEM(c.cert))
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func TestServeTLS(t *testing.T) {
	t.Parallel()
	one := newCertificate(t, "one")
	certFile, keyFile := filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	one.write(t, certFile, keyFile, time.Now())
	tests := []struct {
		name   string
		config backend.ServerConfig
	}{
		{"from files", backend.ServerConfig{CertFile: certFile, KeyFile: keyFile}},
		{"from files, refined", backend.ServerConfig{CertFile: certFile, KeyFile: keyFile, TLS: &tls.Config{MinVersion: tls.VersionTLS12}}},
		{"from config", backend.ServerConfig{TLS: &tls.Config{Certificates: []tls.Certificate{one.pair(t)}}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := serveTCP(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				io.WriteString(w, r.Proto+" "+tls.VersionName(r.TLS.Version))
			}), test.config)

			response, err := one.client(t).Get("https://" + s.addr)
			require.NoError(t, err)
			body, err := io.ReadAll(response.Body)
			response.Body.Close()
			require.NoError(t, err)
			require.Equal(t, "HTTP/2.0 TLS 1.3", string(body))
			require.Equal(t, "https://"+s.addr, s.log.record(t, "listening")["address"])

			for version, works := range map[uint16]bool{
				tls.VersionTLS10: false, tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true,
			} {
				conn, err := tls.Dial("tcp", s.addr, &tls.Config{
					InsecureSkipVerify: true, MinVersion: version, MaxVersion: version, NextProtos: []string{"h2"},
				})
				if !works {
					require.ErrorContains(t, err, "protocol version not supported")
					continue
				}
				require.NoError(t, err)
				require.Equal(t, "h2", conn.ConnectionState().NegotiatedProtocol)
				conn.Close()
			}
		})
	}
}

// A renewed certificate is used without a restart, within a minute; one that
// cannot be used changes nothing.
func TestServeReadsRenewedCertificates(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		certFile, keyFile := filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
		version := time.Unix(1000000000, 0)
		newCertificate(t, "one").write(t, certFile, keyFile, version)
		listener := newPipeListener()
		s := serveOn(t, listener, sayHello, backend.ServerConfig{CertFile: certFile, KeyFile: keyFile})
		served := func() string {
			conn := tls.Client(listener.dial(t), &tls.Config{InsecureSkipVerify: true})
			require.NoError(t, conn.Handshake())
			defer conn.Close()
			return conn.ConnectionState().PeerCertificates[0].Subject.CommonName
		}
		require.Equal(t, "one", served())

		newCertificate(t, "two").write(t, certFile, keyFile, version.Add(time.Second))
		time.Sleep(59 * time.Second)
		require.Equal(t, "one", served(), "files are looked at once a minute")
		time.Sleep(time.Second)
		require.Equal(t, "two", served())

		three := newCertificate(t, "three")
		require.NoError(t, os.WriteFile(certFile, three.cert, 0o600)) // the key is still the second's
		time.Sleep(time.Minute)
		require.Equal(t, "two", served(), "a certificate without its key")
		require.Equal(t, "two", served())
		require.Equal(t, 1, strings.Count(s.log.String(), "the old one stays"), "once a minute, not with every connection")
		require.Equal(t, slog.LevelError.String(), s.log.record(t, "the TLS certificate could not be read again; the old one stays")["level"])

		require.NoError(t, os.Remove(certFile))
		time.Sleep(time.Minute)
		require.Equal(t, "two", served(), "no certificate at all")
		require.Equal(t, 2, strings.Count(s.log.String(), "the old one stays"))

		three.write(t, certFile, keyFile, version.Add(2*time.Second))
		time.Sleep(time.Minute)
		require.Equal(t, "three", served())
		require.False(t, bytes.Contains([]byte(s.log.String()), []byte("PRIVATE")))
	})
}

// A handshake is under the header's limit.
func TestServeCutsSlowHandshakes(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		listener := newPipeListener()
		serveOn(t, listener, sayHello, backend.ServerConfig{TLS: &tls.Config{Certificates: []tls.Certificate{newCertificate(t, "one").pair(t)}}})
		conn := listener.dial(t)
		send(t, conn, "\x16\x03\x01") // the beginning of a handshake record
		after, _ := closedAfter(t, conn)
		require.Equal(t, 5*time.Second, after)
	})
}
