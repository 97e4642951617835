package pgconn

import (
	"bufio"
	"context"
	"crypto/tls"
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lib/pq"
	"github.com/lib/pq/oid"
	"github.com/lib/pq/pqerror"
	"github.com/stretchr/testify/require"
)

// connect connects to the server of the tests.
func connect(t *testing.T) *Conn {
	t.Helper()
	address := os.Getenv("TEST_POSTGRES_URL")
	if address == "" {
		if os.Getenv("TEST_REQUIRE_ENGINES") == "1" {
			t.Fatal("set TEST_POSTGRES_URL=postgres://… to run the PostgreSQL tests")
		}
		t.Skip("set TEST_POSTGRES_URL=postgres://… to run the PostgreSQL tests")
	}
	connector, err := NewConnector(address, Config{})
	require.NoError(t, err)
	conn, err := connector.Connect(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	return conn.(*Conn)
}

// The fields of lib/pq that are read by reflection exist in the version of go.mod and mean
// what we think.
func TestInsidesOfLibPQ(t *testing.T) {
	t.Parallel()
	c := connect(t)
	require.NotZero(t, c.identity.pid)
	require.Len(t, c.identity.key, 4)
	require.Same(t, c.wire, c.stream)
	require.Equal(t, time.UTC, c.location)
	require.Empty(t, c.in.unread())
	stmt, err := c.parse("SELECT $1::int, now() + $2, $3::interval")
	require.NoError(t, err)
	require.Equal(t, []oid.Oid{oid.T_int4, oid.T_interval, oid.T_interval}, stmt.params)
	require.NoError(t, stmt.Close())

	exec := func(text string) {
		t.Helper()
		_, err := c.ExecContext(t.Context(), text, nil)
		require.NoError(t, err)
	}
	require.Equal(t, byte('I'), c.status)
	exec("BEGIN")
	require.Equal(t, byte('T'), c.status)
	_, err = c.ExecContext(t.Context(), "SELECT 1/0", nil)
	require.ErrorContains(t, err, "division by zero")
	require.Equal(t, byte('E'), c.status)
	exec("ROLLBACK")
	require.Equal(t, byte('I'), c.status)
	require.Nil(t, c.ctx, "an idle connection keeps no context alive")

	_, err = c.ExecContext(t.Context(), "SELECT nothing", nil)
	require.ErrorContains(t, err, "at column 8", "the error knows its query")
}

// With TLS, the connection goes on inside it.
func TestHandoverOfTLS(t *testing.T) {
	t.Parallel()
	inner, outer := net.Pipe()
	defer inner.Close()
	defer outer.Close()
	secured := tls.Client(inner, &tls.Config{InsecureSkipVerify: true})
	other := &pqConn{c: secured, buf: bufio.NewReader(strings.NewReader("NAS")), txnStatus: 'I', pid: 7, secretKey: []byte{1, 2, 3, 4}}
	other.parameterStatus.currentLocation = time.UTC
	_, err := other.buf.Peek(3)
	require.NoError(t, err)
	h, err := takeOver(other)
	require.NoError(t, err)
	require.Same(t, secured, h.stream)
	require.Equal(t, "NAS", string(h.unread), "what lib/pq has received and not read is not lost")
	require.Equal(t, identity{7, []byte{1, 2, 3, 4}}, h.identity)
	require.Equal(t, time.UTC, h.location)
}

// pqConn has the fields of lib/pq's connection.
type pqConn struct {
	c               net.Conn
	buf             *bufio.Reader
	txnStatus       byte
	parameterStatus struct{ currentLocation *time.Location }
	secretKey       []byte
	pid             int
}

// Another lib/pq is refused.
func TestInsidesMissing(t *testing.T) {
	t.Parallel()
	for _, other := range []any{nil, 1, struct{}{}, &struct{}{}, &struct{ txnStatus, pid, secretKey string }{}, &struct{ secretKey []int }{}, &struct{ c net.Conn }{}, &pqConn{}} {
		_, err := takeOver(other)
		require.ErrorIs(t, err, errInsides)
		_, known := InTransaction(other)
		require.False(t, known)
	}
	require.False(t, new(Connector).requestCancel(nil, identity{}))
}

// deaf is the stream of a connection whose server takes nothing any more.
type deaf struct{ *wire }

func (d deaf) Write(p []byte) (int, error) {
	_ = d.wire.SetWriteDeadline(time.Now().Add(time.Hour)) // as crypto/tls does, if with 5 s
	return d.wire.Write(p)
}

func TestCloseDoesNotWaitForADeafServer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe() // without a buffer: a write waits for its reader
		defer server.Close()
		w := &wire{Conn: client}
		start := time.Now()
		require.NoError(t, (&Conn{wire: w, stream: deaf{w}}).Close())
		require.Equal(t, 100*time.Millisecond, time.Since(start))
	})
}

func TestConnectorCloseWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k, err := NewConnector("postgres://localhost/db", Config{})
		require.NoError(t, err)
		require.True(t, k.startCancel())
		closed := false
		go func() {
			require.NoError(t, k.Close())
			closed = true
		}()
		synctest.Wait()
		require.False(t, closed)
		require.Error(t, k.life.Err(), "what it waits for was told to end")
		require.False(t, k.startCancel())
		k.cancels.Done()
		synctest.Wait()
		require.True(t, closed)
	})
}

// The message as the protocol's documentation has it: length, 80877102, process,
// key.
func TestCancelMessage(t *testing.T) {
	t.Parallel()
	require.Equal(t, []byte{0, 0, 0, 16, 0x04, 0xd2, 0x16, 0x2e, 0, 0, 1, 2, 9, 8, 7, 6},
		cancelMessage(identity{pid: 258, key: []byte{9, 8, 7, 6}}))
	require.Equal(t, 80877102, cancelRequestCode)
	require.Equal(t, 80877103, sslRequestCode)
	require.EqualValues(t, 12+32, binary.BigEndian.Uint32(cancelMessage(identity{key: make([]byte, 32)})), "protocol 3.2")
}

func message(kind byte, length int) []byte {
	m := append([]byte{kind}, 0, 0, 0, 0)
	binary.BigEndian.PutUint32(m[1:], uint32(length))
	return append(m, make([]byte, max(0, length-4))...)
}

func join(messages ...[]byte) (all []byte) {
	for _, m := range messages {
		all = append(all, m...)
	}
	return all
}

func TestExpectedWhileIdle(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		waiting []byte
		tls     bool
		want    bool
	}{
		{"nothing", nil, false, true},
		{"nothing, TLS", nil, true, true},
		{"parameter status", message('S', 30), false, true},
		{"notice, notification", join(message('N', 30), message('A', 12)), false, true},
		{"error", message('E', 30), false, false},
		{"error after a notice", join(message('N', 30), message('E', 30)), false, false},
		{"notice cut off", message('N', 30)[:20], false, true},
		{"header cut off", message('N', 30)[:3], false, true},
		{"impossible length", message('N', 0), false, false},
		{"huge length", message('N', 4)[:1:1], false, true},
		{"row out of nowhere", message('D', 30), false, false},
		{"anything, TLS", message('S', 30), true, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := &Conn{wire: &wire{tls: test.tls}}
			require.Equal(t, test.want, c.expected(test.waiting))
			for i := range test.waiting { // some of it was read with the last answer
				c.in = reader{buf: test.waiting, end: i}
				require.Equal(t, test.want, c.expected(test.waiting[i:]))
			}
		})
	}
}

func FuzzExpected(f *testing.F) {
	f.Add(message('S', 30))
	f.Add([]byte{'N', 0xff, 0xff, 0xff, 0xff, 'E'})
	f.Fuzz(func(t *testing.T, waiting []byte) {
		c := &Conn{wire: &wire{}}
		if c.expected(waiting) && len(waiting) > 0 {
			require.Contains(t, "SNA", string(waiting[:1]))
		}
	})
}

func TestDefaultSSLModeByHost(t *testing.T) {
	t.Parallel()
	for dsn, want := range map[string]pq.SSLMode{
		"postgres://localhost/db":                          pq.SSLModeDisable,
		"postgres://db.localhost./db":                      pq.SSLModeDisable,
		"postgres://127.9.9.9/db":                          pq.SSLModeDisable,
		"postgres://[::1]:5432/db":                         pq.SSLModeDisable,
		"host=/var/run/postgresql":                         pq.SSLModeDisable,
		"postgres://db/app":                                pq.SSLModeRequire,
		"postgresql://10.0.0.1/app":                        pq.SSLModeRequire,
		"postgres://localhost.example.com/app":             pq.SSLModeRequire,
		"postgres://localhost,db/app":                      pq.SSLModeRequire,
		"postgres://localhost/app?hostaddr=10.0.0.1":       pq.SSLModeRequire,
		"postgres://localhost/app?sslmode=verify-full":     pq.SSLModeVerifyFull,
		"postgres://db/app?sslmode=disable":                pq.SSLModeDisable,
		"postgres://db/app?sslrootcert=system":             pq.SSLModeVerifyFull,
		"postgres://db/app?target_session_attrs=read-only": pq.SSLModeRequire,
		"postgres://[::ffff:127.0.0.1]/app":                pq.SSLModeDisable,
	} {
		settings, err := parseDSN(dsn)
		require.NoError(t, err, dsn)
		require.Equal(t, want, settings.SSLMode, dsn)
	}
	settings, err := parseDSN("postgres://db/app?target_session_attrs=read-only")
	require.NoError(t, err)
	require.Equal(t, pq.TargetSessionAttrsPreferStandby, settings.TargetSessionAttrs)
}

func TestRescue(t *testing.T) {
	t.Parallel()
	broken := func() (err error) {
		defer rescue(&err)
		var message []byte
		_ = message[4]
		return nil
	}
	require.ErrorContains(t, broken(), "lib/pq panicked")
}

func TestClassesOfErrors(t *testing.T) {
	t.Parallel()
	require.False(t, isFailover(&pq.Error{Code: "0"}, false))
	require.False(t, isFailover(&pq.Error{}, false))
	require.True(t, isFailover(&pq.Error{Code: "08P01", Severity: pqerror.SeverityFatal}, false))
	require.False(t, isFailover(&pq.Error{Code: "25006"}, true))
	require.Equal(t, notOutdated, howOutdated(&pq.Error{Code: "0A000"}))
	require.False(t, Stale(&pq.Error{Code: "0A000", Routine: "RevalidateCachedQuery"}))
	require.NotErrorIs(t, lost(errors.Join(context.Canceled, driver.ErrBadConn)), driver.ErrBadConn)
}

// A read with a narrow parameter is prepared anew after narrowAge, since another process may
// have changed the type of its column, and so is a write that is analyzed anew. Others are
// kept.
func TestNarrowStatementsAreNotKeptForLong(t *testing.T) {
	t.Parallel()
	c := connect(t)
	const write = "UPDATE pg_settings SET setting = $1 WHERE false AND $2 = 1"
	for _, test := range []struct {
		text   string
		args   []driver.Value
		narrow bool
	}{
		{"SELECT $1::real", []driver.Value{"1"}, true},
		{"SELECT $1::date", []driver.Value{"1"}, true},
		{"SELECT $1::int, $2::text", []driver.Value{int64(1), "1"}, true},
		{"SELECT $1::bigint", []driver.Value{"1"}, false},
		{"SELECT $1::float8, $2::timestamptz", []driver.Value{"1", "1"}, false},
		{"SELECT 1 WHERE $1 = 1", []driver.Value{int64(1)}, false},
		{"SELECT 2 WHERE $1 = 1", []driver.Value{"0.5"}, true},
		{write, []driver.Value{"1", "1"}, true},
		{write, []driver.Value{"1", int64(1)}, false},
	} {
		args := named(test.args)
		first, kept, err := c.statement(test.text, args)
		require.NoError(t, err)
		require.False(t, kept && test.text != write)
		require.NoError(t, c.release(first))
		for age, want := range map[time.Duration]bool{narrowAge / 2: true, narrowAge: !test.narrow} {
			e, _, err := c.statement(test.text, args)
			require.NoError(t, err)
			require.NoError(t, c.release(e))
			e.Stmt.at = time.Now().Add(-age)
			e, kept, err = c.statement(test.text, args)
			require.NoError(t, err)
			require.Equal(t, want, kept, "%s after %v", test.text, age)
			require.NoError(t, c.release(e))
		}
	}
}

func TestMayChangeTypes(t *testing.T) {
	t.Parallel()
	for text, may := range map[string]bool{
		"ALTER TABLE t ADD a int": true, "select 1; alter table t": true, "DROP TYPE mood": true, "/* x */ create table t (a int)": true, "DO $$ BEGIN END $$": true,
		"SELECT id FROM t": false, "": false, "SELECT 1 AS a": false, "UPDATE t SET c = 1": false,
	} {
		require.Equal(t, may, mayChangeTypes(text), text)
	}
}
