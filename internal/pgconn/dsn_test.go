//go:build unix

package pgconn_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend/internal/pgconn"
)

func TestErrorsNeverHoldThePassword(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, dsn, names string }{
		{"port that is none", "postgres://u:hunter22@host:port/db", "not understood"},
		{"slash in the password", "postgres://u:hunter22/x@host/db", "not understood"},
		{"at in the password", "postgres://u:p@hunter22:x@host:y/db", "not understood"},
		{"slash in a password of digits", "postgres://u:123/hunter22@host/db", "not understood"},
		{"question mark in a password of digits", "postgresql://u:123?hunter22@host/db", "not understood"},
		{"percent in the password", "postgres://u:hunter22%@host/db", "not understood"},
		{"question mark in the password", "postgres://u:hunter22?sslmode=hunter22@host/db", ""},
		{"control character", "postgres://u:hunter22\x7f@host/db", "not understood"},
		{"two words", "password=x hunter22", "not understood"},
		{"open quote", "password='hunter22", "not understood"},
		{"another scheme", "mysql://u:hunter22@host/db", "not understood"},
		{"port too large", "postgres://u:hunter22@host/db?port=99999", "setting port"},
		{"unknown sslmode", "postgres://u:hunter22@host/db?sslmode=hunter22", "setting sslmode"},
		{"unknown attributes", "postgres://u:hunter22@host/db?target_session_attrs=hunter22", "setting target_session_attrs"},
		{"hosts and ports", "postgres://u:hunter22@a,b/db?port=1,2,3", "one port for all"},
		{"weak sslmode", "postgres://u:hunter22@a/db?sslmode=require&sslrootcert=system", "verify-full"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := pgconn.NewConnector(test.dsn, pgconn.Config{})
			require.ErrorContains(t, err, test.names)
			require.NotContains(t, err.Error(), "hunter22")
		})
	}
	connector, err := pgconn.NewConnector("postgres://u:hunter22@127.0.0.1:1/db", pgconn.Config{})
	require.NoError(t, err)
	_, err = connector.Connect(t.Context())
	require.ErrorContains(t, err, "connect to PostgreSQL")
	require.NotContains(t, err.Error(), "hunter22")
}

func FuzzNewConnectorHidesThePassword(f *testing.F) {
	for _, seed := range []string{"plain", "a b", "%", "@", "/x", "?sslmode=", "'", "\\", "\x00", ":1/", "#"} {
		f.Add("postgres://u:", seed, "@host:x/db")
		f.Add("password=", seed, " host=h port=x")
		f.Add("postgresql://u:p@host/db?password=", seed, "&port=x")
	}
	f.Fuzz(func(t *testing.T, before, secret, after string) {
		const marked = "s3cr3tw0rd"
		if strings.Contains(before+after, marked) {
			return
		}
		_, err := pgconn.NewConnector(before+secret+marked+secret+after, pgconn.Config{})
		if err != nil {
			require.NotContains(t, err.Error(), marked)
		}
	})
}

func TestInvalidConfig(t *testing.T) {
	t.Parallel()
	_, err := pgconn.NewConnector("postgres://host/db", pgconn.Config{StatementCache: -1})
	require.ErrorContains(t, err, "-1")
	_, err = pgconn.NewConnector("postgres://host/db", pgconn.Config{DialTimeout: -time.Second})
	require.ErrorContains(t, err, "-1s")
}

// Where sslmode is not given, a host elsewhere gets TLS and one here does not.
func TestDefaultSSLMode(t *testing.T) {
	t.Parallel()
	u := server(t)
	query := u.Query()
	query.Del("sslmode")
	u.RawQuery = query.Encode()
	for _, host := range []string{"127.0.0.1", "localhost"} {
		there := *u
		there.Host = net.JoinHostPort(host, u.Port())
		require.NoError(t, open(t, &there, pgconn.Config{}).Ping(), host)
	}
	there := *u
	there.Host = "example.com:" + u.Port()
	set(&there, "hostaddr", "127.0.0.1")
	require.NoError(t, open(t, &there, pgconn.Config{}).Ping(), "the address decides")
}

func TestPlainServerElsewhereIsRefusedWithAHint(t *testing.T) {
	t.Parallel()
	address := outsideAddress(t)
	listener, err := net.Listen("tcp", net.JoinHostPort(address, "0"))
	require.NoError(t, err)
	defer listener.Close()
	go func() { // a server without TLS
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		request := make([]byte, 8)
		if _, err := conn.Read(request); err == nil {
			_, _ = conn.Write([]byte("N"))
		}
	}()
	connector, err := pgconn.NewConnector("postgres://u@"+listener.Addr().String()+"/db", pgconn.Config{})
	require.NoError(t, err)
	_, err = connector.Connect(t.Context())
	require.ErrorContains(t, err, "sslmode=disable")
}

// outsideAddress returns an address of this machine that is not loopback.
func outsideAddress(t *testing.T) string {
	addresses, err := net.InterfaceAddrs()
	require.NoError(t, err)
	for _, address := range addresses {
		if network, ok := address.(*net.IPNet); ok && network.IP.To4() != nil && !network.IP.IsLoopback() {
			return network.IP.String()
		}
	}
	t.Skip("this machine has only loopback addresses")
	return ""
}

// certificate returns a self-signed certificate for 127.0.0.1, as PEM.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	require.NoError(t, err)
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded}))
}

// Over TLS all of it holds as well: cancelling, finding dead connections, not
// hanging.
func TestTLS(t *testing.T) {
	cl := newCluster(t)
	cert, key := certificate(t)
	cl.write(t, "data/server.crt", cert)
	cl.write(t, "data/server.key", key)
	cl.write(t, "data/pg_hba.conf", "hostssl all all 127.0.0.1/32 trust\n")
	cl.write(t, "root.crt", cert)
	cl.stop(t)
	cl.configure(t, "ssl = on")
	cl.start(t)

	secure := func(params ...string) *url.URL {
		u := cl.url(t)
		for i := 0; i < len(params); i += 2 {
			set(u, params[i], params[i+1])
		}
		return u
	}
	for _, params := range [][]string{
		{"sslmode", "require"}, {"sslmode", "prefer"},
		{"sslmode", "verify-full", "sslrootcert", cl.dir + "/root.crt"},
	} {
		t.Run(params[1], func(t *testing.T) {
			timely(t, func(clock *clock) {
				db := open(t, secure(params...), pgconn.Config{})
				c, conn := session(t, db)
				require.Equal(t, true, mustAll(t, c, "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")[0][0])
				pid := backendPID(t, c)
				for range 3 {
					ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
					_, err := all(ctx, c, "SELECT pg_sleep($1)", "30")
					cancel()
					require.ErrorIs(t, err, context.DeadlineExceeded)
					if clock.expect(c.IsValid(), "the server was too busy to cancel the statement"); !c.IsValid() {
						return
					}
					require.Equal(t, "57014", code(t, err))
					require.Equal(t, pid, backendPID(t, c))
				}
				require.NoError(t, conn.Close())

				admin := open(t, secure(params...), pgconn.Config{})
				mustExec(t, admin, "SELECT pg_terminate_backend($1, 5000)", pid)
				require.NoError(t, db.Ping(), "healed")
			})
		})
	}
	t.Run("stalled", func(t *testing.T) {
		timely(t, func(clock *clock) {
			p := newProxy(t, cl.url(t).Host)
			db := open(t, at(secure("sslmode", "require"), p.addr()), pgconn.Config{})
			c, conn := session(t, db)
			require.NoError(t, c.StartTx(t.Context(), "BEGIN"))
			mustAll(t, c, "SELECT 1")
			p.blackhole()
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			took := timed(func() { require.ErrorIs(t, c.Commit(ctx), pgconn.ErrCommitUnknown) })
			clock.within(took, 50*time.Millisecond+within, "to commit")
			clock.within(timed(func() { _ = conn.Close() }), within, "to close")
		})
	})
	t.Run("closing while stalled", func(t *testing.T) {
		timely(t, func(clock *clock) {
			p := newProxy(t, cl.url(t).Host)
			db := open(t, at(secure("sslmode", "require"), p.addr()), pgconn.Config{})
			require.NoError(t, db.Ping())
			p.blackhole()
			clock.within(timed(func() { require.NoError(t, db.Close()) }), within, "to close the pool")
		})
	})
	t.Run("refused without", func(t *testing.T) {
		require.ErrorContains(t, open(t, secure("sslmode", "disable"), pgconn.Config{}).Ping(), "pg_hba.conf")
	})
}
