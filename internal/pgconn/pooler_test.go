//go:build unix

package pgconn_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/lib/pq"
	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend/internal/pgconn"
)

// pgbouncer starts a PgBouncer in transaction mode before the server and returns
// the URL of a database behind it.
func pgbouncer(t *testing.T, upstream *url.URL) *url.URL {
	t.Helper()
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		if program, err = exec.LookPath("/usr/sbin/pgbouncer"); err != nil {
			missing(t, "install pgbouncer to run the test of the Pooler option")
		}
	}
	dir, err := os.MkdirTemp("", "pgbouncer")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	port := freePort(t)
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))

	password := ""
	if secret, ok := upstream.User.Password(); ok {
		password = "password='" + secret + "'"
	}
	config := filepath.Join(dir, "pgbouncer.ini")
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, `[databases]
pooled = host=%s port=%s dbname=%s user=%s %s
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 3
`, upstream.Hostname(), cmp.Or(upstream.Port(), "5432"), upstream.Path[1:], upstream.User.Username(), password, port), 0o644))
	cmd := exec.Command(program, config)
	cmd.Dir = dir
	if os.Getuid() == 0 { // it refuses to run as root
		owner, err := user.Lookup("postgres")
		if err != nil {
			missing(t, "a user named postgres is needed to start pgbouncer as root")
		}
		uid, _ := strconv.Atoi(owner.Uid)
		gid, _ := strconv.Atoi(owner.Gid)
		require.NoError(t, os.Chmod(dir, 0o755))
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	}
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	soon(t, "pgbouncer listens", func() bool {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	u, err := url.Parse("postgres://anyone@" + address + "/pooled?sslmode=disable")
	require.NoError(t, err)
	return u
}

// Several clients share fewer sessions, statement by statement. What is prepared
// on one session would be run on another.
func TestPooler(t *testing.T) {
	t.Parallel()
	direct := server(t)
	schema := direct.Query().Get("search_path")
	db := open(t, pgbouncer(t, direct), pgconn.Config{Pooler: true})
	db.SetMaxOpenConns(12)
	ctx := t.Context()

	errs := make(chan error)
	const workers, rounds = 12, 60
	for worker := range workers {
		go func() {
			for round := range rounds {
				want := fmt.Sprintf("%d.%d", worker, round)
				text := fmt.Sprintf("SELECT $1::text || '.' || $2::int + %d", worker)
				var got string
				if err := db.QueryRowContext(ctx, text, strconv.Itoa(worker), round-worker).Scan(&got); err != nil || got != want {
					errs <- fmt.Errorf("got %q, want %q: %w", got, want, err)
					return
				}
			}
			errs <- nil
		}()
	}
	for range workers {
		require.NoError(t, <-errs)
	}

	mustExec(t, db, "CREATE TABLE "+schema+".a (id int, data jsonb, raw bytea, name text)")
	insert, err := db.PrepareContext(ctx, "INSERT INTO "+schema+".a VALUES ($1, $2, $3, $4)")
	require.NoError(t, err)
	_, err = insert.ExecContext(ctx, 1, json.RawMessage(`{"a": "\\x"}`), []byte{0, '\\', 255}, "n")
	require.NoError(t, err)
	_, err = insert.ExecContext(ctx, 2, json.RawMessage(nil), []byte(nil), nil)
	require.NoError(t, err)
	require.NoError(t, insert.Close())
	tx, err := db.BeginTx(ctx, nil)
	require.NoError(t, err)
	var data, raw []byte
	require.NoError(t, tx.QueryRow("SELECT data, raw FROM "+schema+".a WHERE id = $1", 1).Scan(&data, &raw))
	require.Equal(t, `{"a": "\\x"}`, string(data))
	require.Equal(t, []byte{0, '\\', 255}, raw)
	require.NoError(t, tx.Commit())

	_, err = db.Exec("SELECT $1::int", "1", "2")
	require.Equal(t, "08P01", code(t, err))
}

// Transactions and batches of several clients share the sessions, too.
func TestPoolerKeepsExchangesTogether(t *testing.T) {
	t.Parallel()
	direct := server(t)
	schema := direct.Query().Get("search_path")
	db := open(t, pgbouncer(t, direct), pgconn.Config{Pooler: true})
	mustExec(t, db, "CREATE TABLE "+schema+".a (worker int, round int)")
	errs := make(chan error)
	const workers, rounds = 8, 20
	for worker := range workers {
		c, _ := session(t, db)
		go func() {
			for round := range rounds {
				err := c.StartTx(t.Context(), "BEGIN ISOLATION LEVEL REPEATABLE READ")
				if err == nil {
					_, err = c.ExecContext(t.Context(), "INSERT INTO "+schema+".a VALUES ($1, $2)", args(int64(worker), int64(round)))
				}
				var results []string
				if err == nil {
					results, _, err = together(t.Context(), c, request("SELECT count(*) FROM "+schema+".a WHERE worker = $1", int64(worker)), request("SELECT $1::text", fmt.Sprint(worker)))
				}
				if err == nil && fmt.Sprint(results) != fmt.Sprintf("[[%d] [%d]]", round+1, worker) {
					err = fmt.Errorf("got %v", results)
				}
				if err = errors.Join(err, c.Commit(t.Context())); err == nil {
					_, _, err = together(t.Context(), c, request("SELECT $1::int", int64(round)), request("SELECT 1/$1::int", "0"))
					if answer := (*pq.Error)(nil); errors.As(err, &answer) && answer.Code == "22012" {
						err = nil
					}
				}
				if err != nil {
					errs <- err
					return
				}
			}
			errs <- nil
		}()
	}
	for range workers {
		require.NoError(t, <-errs)
	}
}

func TestPoolerPassesCancelRequestsOn(t *testing.T) {
	db := open(t, pgbouncer(t, server(t)), pgconn.Config{Pooler: true})
	timely(t, func(clock *clock) {
		c, _ := session(t, db)
		short, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		defer cancel()
		_, err := all(short, c, "SELECT pg_sleep($1)", "30")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		if clock.expect(c.IsValid(), "the server was too busy to cancel the statement"); !c.IsValid() {
			return
		}
		require.Equal(t, "57014", code(t, err))
		require.Equal(t, "[[1]]", fmt.Sprint(mustAll(t, c, "SELECT $1::int", "1")))
	})
}

func TestPoolerTakesOneRoundTrip(t *testing.T) {
	t.Parallel()
	u := server(t)
	set(u, "binary_parameters", "yes") // the DSN's word for it
	p := newProxy(t, u.Host)
	c, _ := session(t, open(t, at(u, p.addr()), pgconn.Config{}))
	for range 2 {
		require.Equal(t, 1, p.count(func() { mustAll(t, c, "SELECT $1::int", "1") }))
		require.Equal(t, 1, p.count(func() {
			_, err := c.ExecContext(t.Context(), "SELECT $1::int", args("1"))
			require.NoError(t, err)
		}))
	}
	_, err := c.QueryContext(t.Context(), "SELECT $1", args(struct{}{}))
	require.Error(t, err)
	require.Equal(t, "[[1]]", fmt.Sprint(mustAll(t, c, "SELECT $1::int", "1")), "a wrong argument harms nothing")
}
