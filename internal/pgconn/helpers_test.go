//go:build unix

package pgconn_test

import (
	"bytes"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/lib/pq"
	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend/internal/pgconn"
)

// within is how long after its context's end a call may take to return.
const within = 250 * time.Millisecond

// missing skips the test, or fails it where every engine is demanded.
func missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("TEST_REQUIRE_ENGINES") == "1" {
		t.Fatal(what)
	}
	t.Skip(what)
}

// server returns the URL of the PostgreSQL to test against, with a schema of the
// test's own, which is dropped in the end.
func server(t testing.TB) *url.URL {
	t.Helper()
	address := os.Getenv("TEST_POSTGRES_URL")
	if address == "" {
		missing(t, "set TEST_POSTGRES_URL=postgres://… to run the PostgreSQL tests")
	}
	return withSchema(t, address)
}

func withSchema(t testing.TB, address string) *url.URL {
	t.Helper()
	u, err := url.Parse(address)
	require.NoError(t, err)
	schema := fmt.Sprintf("pgconn_%d_%d", os.Getpid(), rand.Uint64())
	admin, err := sql.Open("postgres", address)
	require.NoError(t, err)
	_, err = admin.Exec("CREATE SCHEMA " + schema)
	require.NoError(t, err)
	t.Cleanup(func() {
		_, err := admin.Exec("DROP SCHEMA " + schema + " CASCADE")
		require.NoError(t, err)
		require.NoError(t, admin.Close())
	})
	set(u, "search_path", schema)
	return u
}

// set sets a parameter of a URL.
func set(u *url.URL, key, value string) {
	query := u.Query()
	query.Set(key, value)
	u.RawQuery = query.Encode()
}

// at returns the URL with another host and port.
func at(u *url.URL, address string) *url.URL {
	moved := *u
	moved.Host = address
	return &moved
}

func open(t testing.TB, u *url.URL, config pgconn.Config) *sql.DB {
	t.Helper()
	connector, err := pgconn.NewConnector(u.String(), config)
	require.NoError(t, err)
	db := sql.OpenDB(connector)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

// session takes one connection out of the pool for the length of the test.
func session(t testing.TB, db *sql.DB) (*pgconn.Conn, *sql.Conn) {
	t.Helper()
	conn, err := db.Conn(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	var own *pgconn.Conn
	require.NoError(t, conn.Raw(func(dc any) error {
		own = dc.(*pgconn.Conn)
		return nil
	}))
	return own, conn
}

func args(values ...any) []driver.NamedValue {
	list := make([]driver.NamedValue, len(values))
	for i, value := range values {
		list[i] = driver.NamedValue{Ordinal: i + 1, Value: value}
	}
	return list
}

// all runs a statement on a connection and reads its rows to the end.
func all(ctx context.Context, c *pgconn.Conn, text string, values ...any) ([][]driver.Value, error) {
	rows, err := c.QueryContext(ctx, text, args(values...))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var read [][]driver.Value
	for {
		row := make([]driver.Value, len(rows.Columns()))
		switch err := rows.Next(row); err {
		case nil:
			for i, value := range row {
				if b, ok := value.([]byte); ok {
					row[i] = slices.Clone(b)
				}
			}
			read = append(read, row)
		case io.EOF:
			return read, rows.Close()
		default:
			return nil, err
		}
	}
}

func mustAll(t testing.TB, c *pgconn.Conn, text string, values ...any) [][]driver.Value {
	t.Helper()
	rows, err := all(t.Context(), c, text, values...)
	require.NoError(t, err)
	return rows
}

func mustExec(t testing.TB, db *sql.DB, text string, values ...any) {
	t.Helper()
	_, err := db.ExecContext(t.Context(), text, values...)
	require.NoError(t, err)
}

func backendPID(t testing.TB, c *pgconn.Conn) int {
	t.Helper()
	return int(mustAll(t, c, "SELECT pg_backend_pid()")[0][0].(int64))
}

func code(t testing.TB, err error) string {
	t.Helper()
	var answer *pq.Error
	require.ErrorAs(t, err, &answer)
	return string(answer.Code)
}

// clock notes what took longer than it should.
type clock struct{ late []string }

// within notes a time that is not less than it should be.
func (c *clock) within(took, most time.Duration, what string) {
	c.expect(took < most, fmt.Sprintf("%s took %v, not less than %v", what, took, most))
}

// expect notes a condition that does not hold, as it may not if the server got
// too little time.
func (c *clock) expect(ok bool, what string) {
	if !ok {
		c.late = append(c.late, what)
	}
}

// timely runs a test of how long things take. Since the machine may be busy, one
// of five tries has to be in time; everything else must hold in each. Tests that
// use it should not be parallel: the others of the package start whole servers.
func timely(t *testing.T, test func(c *clock)) {
	t.Helper()
	var c clock
	for range 5 {
		c = clock{}
		if test(&c); len(c.late) == 0 {
			return
		}
	}
	t.Error(strings.Join(c.late, "\n"))
}

// timed returns how long f took.
func timed(f func()) time.Duration {
	start := time.Now()
	f()
	return time.Since(start)
}

// soon is for what another goroutine or process does by itself.
func soon(t testing.TB, what string, condition func() bool) {
	t.Helper()
	require.Eventually(t, condition, 10*time.Second, 2*time.Millisecond, what)
}

// stoppable returns the URL of a server whose processes the test may stop: that
// of the environment if it runs here, outside any container, and lets us; else
// one of the test's own.
func stoppable(t testing.TB) *url.URL {
	t.Helper()
	u := server(t)
	db, err := sql.Open("postgres", u.String())
	require.NoError(t, err)
	defer db.Close()
	var pid, port int
	require.NoError(t, db.QueryRow("SELECT pg_backend_pid(), coalesce(inet_client_port(), -1)").Scan(&pid, &port))
	title, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	// The title names the client's port, so that no other process is taken for it.
	if err == nil && bytes.Contains(title, fmt.Appendf(nil, "(%d)", port)) && syscall.Kill(pid, 0) == nil {
		return u
	}
	return newCluster(t).url(t)
}

// stall stops a process of a stoppable server and lets it go on in the end.
func stall(t testing.TB, pid int) {
	t.Helper()
	require.NoError(t, syscall.Kill(pid, syscall.SIGSTOP))
	t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGCONT) })
}

// proxy stands between client and server, counts round trips, and can become a
// black hole: it then accepts connections and forwards nothing.
type proxy struct {
	upstream string
	listener net.Listener

	mu      sync.Mutex
	more    *sync.Cond
	hole    bool
	cut     string // a request that holds this ends the client's connection,
	forward bool   // after it was forwarded, or else before
	closed  bool
	asked   bool // the client spoke last
	trips   int
	dials   int
	bytes   int
	conns   []net.Conn
	pumps   sync.WaitGroup
}

func newProxy(t testing.TB, upstream string) *proxy {
	t.Helper()
	if _, _, err := net.SplitHostPort(upstream); err != nil {
		upstream = net.JoinHostPort(upstream, "5432")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &proxy{upstream: upstream, listener: listener}
	p.more = sync.NewCond(&p.mu)
	p.pumps.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

func (p *proxy) addr() string { return p.listener.Addr().String() }

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.upstream)
		if err != nil {
			client.Close()
			continue
		}
		p.mu.Lock()
		p.dials++
		p.conns = append(p.conns, client, server)
		p.mu.Unlock()
		p.pumps.Go(func() { p.pump(server, client, true) })
		p.pumps.Go(func() { p.pump(client, server, false) })
	}
}

func (p *proxy) pump(to, from net.Conn, asking bool) {
	defer from.Close()
	leave := false // the other pump, which waits for the answer, closes it
	defer func() {
		if !leave {
			to.Close()
		}
	}()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		cut, forward := p.cuts(asking, buf[:n])
		if cut {
			from.Close()
			if leave = forward; !forward {
				return
			}
		}
		if n > 0 && p.pass(asking, n) {
			if _, err := to.Write(buf[:n]); err != nil || cut {
				return
			}
		}
		if err != nil {
			p.pass(asking, 0) // a hole swallows the end of a connection, too
			return
		}
	}
}

func (p *proxy) cuts(asking bool, request []byte) (cut, forward bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !asking || p.cut == "" || !bytes.Contains(request, []byte(p.cut)) {
		return false, false
	}
	p.cut = ""
	return true, p.forward
}

// cutAt ends the connection at the next request that holds text.
func (p *proxy) cutAt(text string, forward bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut, p.forward = text, forward
}

// pass counts and waits while the proxy is a hole.
func (p *proxy) pass(asking bool, n int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n > 0 {
		if asking && !p.asked {
			p.trips++
		}
		p.asked = asking
		p.bytes += n
	}
	for p.hole && !p.closed {
		p.more.Wait()
	}
	return !p.closed
}

func (p *proxy) blackhole() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hole = true
}

// count returns the round trips that f makes.
func (p *proxy) count(f func()) int {
	p.mu.Lock()
	p.trips, p.asked = 0, false
	p.mu.Unlock()
	f()
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.trips
}

func (p *proxy) dialed() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.dials
}

func (p *proxy) close() {
	p.listener.Close()
	p.mu.Lock()
	p.closed = true
	for _, conn := range p.conns {
		conn.Close()
	}
	p.more.Broadcast()
	p.mu.Unlock()
	p.pumps.Wait()
}

// cluster is a PostgreSQL of the test's own, which it may restart.
type cluster struct {
	bin, dir string
	port     int
	user     *syscall.Credential
}

func newCluster(t testing.TB, settings ...string) *cluster {
	t.Helper()
	cl := &cluster{bin: binaries(t)}
	var err error
	cl.dir, err = os.MkdirTemp("", "pgconn")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(cl.dir)) })
	if os.Getuid() == 0 { // the server refuses to run as root
		owner, err := user.Lookup("postgres")
		if err != nil {
			missing(t, "a user named postgres is needed to start a PostgreSQL as root")
		}
		uid, _ := strconv.Atoi(owner.Uid)
		gid, _ := strconv.Atoi(owner.Gid)
		cl.user = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		require.NoError(t, os.Chown(cl.dir, uid, gid))
	}
	cl.port = freePort(t)

	cl.run(t, "initdb", "-D", cl.data(), "-U", "postgres", "-A", "trust", "--no-sync", "--encoding=UTF8", "--locale=C")
	settings = append([]string{
		"listen_addresses = '127.0.0.1'", fmt.Sprintf("port = %d", cl.port),
		"unix_socket_directories = '" + cl.dir + "'", "fsync = off", "max_connections = 50", "shared_buffers = 16MB",
	}, settings...)
	cl.configure(t, settings...)
	cl.start(t)
	t.Cleanup(func() { cl.stop(t) })
	return cl
}

// freePort returns a port for another process to listen on. The one that
// listening on port 0 gives and closing leaves could be an outgoing connection's
// by the time it is used; Linux gives those from 32768 on.
func freePort(t testing.TB) int {
	t.Helper()
	for {
		port := 10000 + rand.IntN(20000)
		listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if errors.Is(err, syscall.EADDRINUSE) {
			continue
		}
		require.NoError(t, err)
		require.NoError(t, listener.Close())
		return port
	}
}

// binaries returns where the server's programs are.
func binaries(t testing.TB) string {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) > 0 {
		return filepath.Dir(found[len(found)-1])
	}
	path, err := exec.LookPath("initdb")
	if err != nil {
		missing(t, "install the PostgreSQL server (initdb, pg_ctl) to run the tests that restart it")
	}
	return filepath.Dir(path)
}

func (cl *cluster) data() string { return filepath.Join(cl.dir, "data") }

func (cl *cluster) url(t testing.TB) *url.URL {
	t.Helper()
	u, err := url.Parse(fmt.Sprintf("postgres://postgres@127.0.0.1:%d/postgres?sslmode=disable", cl.port))
	require.NoError(t, err)
	return u
}

func (cl *cluster) write(t testing.TB, name, text string) {
	t.Helper()
	path := filepath.Join(cl.dir, name)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	if cl.user != nil {
		require.NoError(t, os.Chown(path, int(cl.user.Uid), int(cl.user.Gid)))
	}
}

// configure adds settings, which hold from the next start.
func (cl *cluster) configure(t testing.TB, settings ...string) {
	t.Helper()
	path := filepath.Join(cl.data(), "postgresql.auto.conf")
	file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = file.WriteString(strings.Join(settings, "\n") + "\n")
	require.NoError(t, errors.Join(err, file.Close()))
}

func (cl *cluster) start(t testing.TB) {
	t.Helper()
	cl.run(t, "pg_ctl", "-D", cl.data(), "-w", "-t", "60", "-l", filepath.Join(cl.dir, "log"), "start")
}

func (cl *cluster) stop(t testing.TB) {
	t.Helper()
	cl.run(t, "pg_ctl", "-D", cl.data(), "-w", "-t", "60", "-m", "fast", "stop")
}

func (cl *cluster) run(t testing.TB, program string, arguments ...string) {
	t.Helper()
	cmd := exec.Command(filepath.Join(cl.bin, program), arguments...)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: cl.user}
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	// The server inherits the output and would keep Wait from returning.
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	if err != nil && err != exec.ErrWaitDelay {
		log, _ := os.ReadFile(filepath.Join(cl.dir, "log"))
		require.NoError(t, err, "%s: %s\n%s", program, output.String(), log)
	}
}
