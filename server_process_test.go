//go:build unix

package backend_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
)

// Signals and sockets from systemd belong to a process, so these tests run Serve
// in one of its own: this test binary again, with TestServeChild as its program.

// TestServeChild is the program; see startChild.
func TestServeChild(t *testing.T) {
	mode := os.Getenv("BACKEND_TEST_CHILD")
	if mode == "" {
		t.Skip("is started by other tests")
	}
	log := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	ctx := context.Background()
	if mode == "notify" {
		var stop context.CancelFunc
		ctx, stop = signal.NotifyContext(ctx, syscall.SIGTERM, os.Interrupt)
		defer stop()
	}
	config := backend.ServerConfig{Addr: os.Getenv("BACKEND_TEST_ADDR"), ShutdownTimeout: time.Hour, Logger: log}
	r := backend.NewRouter()
	if mode == "health" {
		config.Health = backend.NewHealth()
		config.DrainDelay = time.Hour
		r.Handle("GET /readyz", config.Health.Ready())
	}
	r.Handle("GET /", sayHello)
	r.HandleFunc("POST /", func(w http.ResponseWriter, r *http.Request) { // answers in two parts
		w.WriteHeader(http.StatusOK)
		http.NewResponseController(w).EnableFullDuplex()
		http.NewResponseController(w).Flush()
		body, _ := io.ReadAll(r.Body)
		w.Write(body)
	})
	if mode == "twice" {
		first, stop := context.WithCancel(ctx)
		defer stop()
		r.HandleFunc("POST /stop", func(http.ResponseWriter, *http.Request) { stop() })
		log.Info("returned", "error", fmt.Sprint(backend.Serve(first, r, config)))
	}
	if mode == "log" || mode == "log without middleware" {
		if mode == "log" {
			r.Use(backend.Stack(backend.StackConfig{}))
		}
		r.Handle("GET /error/{text}", backend.Handler(func(_ http.ResponseWriter, r *http.Request) error {
			backend.ReportError(r, errors.New(r.PathValue("text")))
			return errors.New(r.PathValue("text"))
		}))
		if backend.Serve(ctx, r, config) == nil {
			os.Exit(0) // nothing is logged outside of Serve
		}
		os.Exit(1)
	}
	log.Info("returned", "error", fmt.Sprint(backend.Serve(ctx, r, config)))
}

// child is a process that serves.
type child struct {
	process *os.Process
	errors  io.Closer // its standard error
	ended   func() error
	records *bufio.Scanner
	url     string
}

// startChild starts TestServeChild under a shell, so that LISTEN_PID can be its
// process id, and waits until it listens.
func startChild(t *testing.T, mode, addr string, sockets []*os.File, env ...string) *child {
	t.Helper()
	c := newChild(t, mode, addr, sockets, env...)
	c.url = c.wait(t, "listening")["address"]
	return c
}

func newChild(t *testing.T, mode, addr string, sockets []*os.File, env ...string) *child {
	t.Helper()
	const shell = `if [ -n "$LISTEN_FDS" ] && [ -z "$LISTEN_PID" ]; then export LISTEN_PID=$$; fi; exec "$@"`
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	cmd := exec.CommandContext(ctx, "sh", "-c", shell, "sh", os.Args[0], "-test.run=^TestServeChild$", "-test.timeout=1m")
	cmd.Env = append(os.Environ(), "BACKEND_TEST_CHILD="+mode, "BACKEND_TEST_ADDR="+addr)
	cmd.Env = append(cmd.Env, env...)
	cmd.ExtraFiles = sockets
	errors, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		cancel()
		cmd.Wait()
	})
	return &child{process: cmd.Process, errors: errors, ended: cmd.Wait, records: bufio.NewScanner(errors)}
}

// wait returns the next record with a message.
func (c *child) wait(t *testing.T, message string) map[string]string {
	t.Helper()
	for c.records.Scan() {
		record := map[string]any{}
		if json.Unmarshal(c.records.Bytes(), &record) == nil && record["msg"] == message {
			attrs := map[string]string{}
			for key, value := range record {
				attrs[key] = fmt.Sprint(value)
			}
			return attrs
		}
	}
	require.FailNow(t, "the process ended without the record "+message)
	return nil
}

func (c *child) signal(t *testing.T, sig os.Signal) {
	t.Helper()
	require.NoError(t, c.process.Signal(sig))
}

// get asks on a connection of its own.
func (c *child) get(path string) (*http.Response, error) {
	client := http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get(c.url + path)
	if err == nil {
		response.Body.Close()
	}
	return response, err
}

// post begins a request whose handler has run when post returns, and returns what
// ends it.
func (c *child) post(t *testing.T) (finish func() (string, error)) {
	t.Helper()
	body, rest := io.Pipe()
	response, err := http.Post(c.url, "text/plain", body)
	require.NoError(t, err)
	return func() (string, error) {
		io.WriteString(rest, "all of it")
		rest.Close()
		defer response.Body.Close()
		answer, err := io.ReadAll(response.Body)
		return string(answer), err
	}
}

// until asks again and again.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !done(); {
		require.True(t, time.Now().Before(deadline), what)
	}
}

func (c *child) untilRefused(t *testing.T) {
	t.Helper()
	addr := strings.TrimPrefix(c.url, "http://")
	until(t, "new connections are refused", func() bool {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			conn.Close()
		}
		return err != nil
	})
}

func TestServeDrainsOnSIGTERM(t *testing.T) {
	t.Parallel()
	c := startChild(t, "health", "127.0.0.1:0", nil)
	response, err := c.get("/readyz")
	require.NoError(t, err)
	require.Equal(t, 200, response.StatusCode)
	finish := c.post(t)

	c.signal(t, syscall.SIGTERM)
	until(t, "readiness fails", func() bool {
		response, err = c.get("/readyz")
		return err == nil && response.StatusCode == 503
	})
	response, err = c.get("/")
	require.NoError(t, err, "requests are served while the server drains, here for an hour")
	require.Equal(t, 200, response.StatusCode)
	body, err := finish()
	require.NoError(t, err)
	require.Equal(t, "all of it", body)

	c.signal(t, syscall.SIGTERM)
	require.Equal(t, "<nil>", c.wait(t, "returned")["error"], "a second signal ends the draining; no request ran")
}

func TestServeDoesNotDrainOnInterrupt(t *testing.T) {
	t.Parallel()
	c := startChild(t, "health", "127.0.0.1:0", nil)
	finish := c.post(t)
	c.signal(t, os.Interrupt)
	c.untilRefused(t)
	body, err := finish()
	require.NoError(t, err, "requests end all the same")
	require.Equal(t, "all of it", body)
	require.Equal(t, "<nil>", c.wait(t, "returned")["error"])
}

func TestServeGivesUpOnASecondSignal(t *testing.T) {
	t.Parallel()
	c := startChild(t, "plain", "127.0.0.1:0", nil)
	finish := c.post(t)
	c.signal(t, os.Interrupt)
	c.untilRefused(t)
	c.signal(t, syscall.SIGTERM)
	require.Equal(t, "serve: 1 request was cut off: a second signal came", c.wait(t, "returned")["error"])
	_, err := finish()
	require.Error(t, err)
}

// A program that makes its context with signal.NotifyContext gets each signal
// twice: as the end of the context, and as a signal.
func TestServeCountsASignalThatEndsTheContextOnce(t *testing.T) {
	t.Parallel()
	c := startChild(t, "notify", "127.0.0.1:0", nil)
	finish := c.post(t)
	c.signal(t, syscall.SIGTERM)
	c.untilRefused(t)
	body, err := finish()
	require.NoError(t, err)
	require.Equal(t, "all of it", body)
	require.Equal(t, "<nil>", c.wait(t, "returned")["error"])
}

// sockets makes sockets as systemd does, and returns their addresses.
func sockets(t *testing.T, n int) (files []*os.File, addrs []string) {
	t.Helper()
	for range n {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		file, err := listener.(*net.TCPListener).File()
		require.NoError(t, err)
		listener.Close()
		t.Cleanup(func() { file.Close() })
		files, addrs = append(files, file), append(addrs, "http://"+listener.Addr().String())
	}
	return files, addrs
}

func TestServeTakesSocketsFromSystemd(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, addr, names string
		sockets, want     int
	}{
		{"the only one", "systemd", "", 1, 0},
		{"the only one, which has a name", "systemd", "http", 1, 0},
		{"by name", "systemd:http", "http", 1, 0},
		{"the second by name", "systemd:admin", "http:admin", 2, 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			files, addrs := sockets(t, test.sockets)
			c := startChild(t, "plain", test.addr, files, "LISTEN_FDS="+strconv.Itoa(test.sockets), "LISTEN_FDNAMES="+test.names, "LISTEN_PID=")
			require.Equal(t, addrs[test.want], c.url)
			response, err := c.get("/")
			require.NoError(t, err)
			require.Equal(t, 200, response.StatusCode)
		})
	}
}

// A socket from systemd is there for the next Serve too.
func TestServeLeavesTheSocketToSystemd(t *testing.T) {
	t.Parallel()
	files, addrs := sockets(t, 1)
	c := startChild(t, "twice", "systemd", files, "LISTEN_FDS=1", "LISTEN_PID=")
	_, err := http.Post(addrs[0]+"/stop", "", nil)
	require.NoError(t, err)
	require.Equal(t, "<nil>", c.wait(t, "returned")["error"])
	require.Equal(t, addrs[0], c.wait(t, "listening")["address"])
	response, err := c.get("/")
	require.NoError(t, err)
	require.Equal(t, 200, response.StatusCode)
}

func TestServeSaysWhatSystemdDidNotPass(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, addr string
		env        []string
		want       string
	}{
		{"nothing", "systemd", []string{"LISTEN_FDS="}, "systemd passed no socket to this process"},
		{"to another process", "systemd", []string{"LISTEN_FDS=1", "LISTEN_PID=1"}, "systemd passed no socket to this process"},
		{"nonsense", "systemd", []string{"LISTEN_FDS=x", "LISTEN_PID="}, "systemd passed no socket to this process"},
		{"which one", "systemd", []string{"LISTEN_FDS=2", "LISTEN_FDNAMES=a:b", "LISTEN_PID="}, "choose one with systemd:NAME (a, b)"},
		{"no such name", "systemd:c", []string{"LISTEN_FDS=2", "LISTEN_FDNAMES=a:b", "LISTEN_PID="}, `no socket named "c"`},
		{"a name beyond the count", "systemd:b", []string{"LISTEN_FDS=1", "LISTEN_FDNAMES=a:b", "LISTEN_PID="}, `no socket named "b"`},
		{"a descriptor that is not open", "systemd:h", []string{"LISTEN_FDS=900", "LISTEN_FDNAMES=" + strings.Repeat(":", 899) + "h", "LISTEN_PID="}, "the socket that systemd passed: "},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			files, _ := sockets(t, 1)
			c := newChild(t, "plain", test.addr, files, test.env...)
			require.Contains(t, c.wait(t, "returned")["error"], test.want)
		})
	}
}

// A program whose log nobody reads any more serves on: neither SIGPIPE nor a full pipe
// decides about a request.
func TestServeOutlivesItsLog(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, mode, path string
		status           int
		gone             bool
	}{
		{"the reader has gone", "log", "/", 200, true},
		{"the reader stalls", "log", "/", 200, false},
		{"errors, the reader stalls", "log", "/error/", 500, false},
		{"errors without middleware, the reader has gone", "log without middleware", "/error/", 500, true},
		{"errors without middleware, the reader stalls", "log without middleware", "/error/", 500, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := startChild(t, test.mode, "127.0.0.1:0", nil)
			if test.gone {
				require.NoError(t, c.errors.Close())
			}
			for range 200 { // more than a pipe holds
				response, err := c.get(test.path + strings.Repeat("x", 1000))
				require.NoError(t, err)
				require.Equal(t, test.status, response.StatusCode)
			}
			c.signal(t, syscall.SIGTERM)
			require.NoError(t, c.ended())
		})
	}
}
