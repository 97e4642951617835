package backend_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
)

// wireClient sends one request again and again on a connection, and allocates nothing.
type wireClient struct {
	conn    net.Conn
	request []byte
	end     []byte // of the response
	buffer  [4096]byte
}

func dialWire(t *testing.T, address, request, end string) *wireClient {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	return &wireClient{conn: conn, request: []byte(request), end: []byte(end)}
}

func (c *wireClient) send(t *testing.T) {
	if _, err := c.conn.Write(c.request); err != nil {
		t.Fatal(err)
	}
	for n := 0; !bytes.HasSuffix(c.buffer[:n], c.end); {
		m, err := c.conn.Read(c.buffer[n:])
		if n += m; err != nil {
			t.Fatalf("%v after %s", err, c.buffer[:n])
		}
	}
}

// cost returns what a request costs the process in allocations and bytes: the least of some
// rounds, since other goroutines allocate, too.
func (c *wireClient) cost(t *testing.T) (allocs, size float64) {
	const rounds, requests = 5, 300
	for round := range rounds {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range requests {
			c.send(t)
		}
		runtime.ReadMemStats(&after)
		a, s := float64(after.Mallocs-before.Mallocs)/requests, float64(after.TotalAlloc-before.TotalAlloc)/requests
		if round == 0 || a < allocs {
			allocs = a
		}
		if round == 0 || s < size {
			size = s
		}
	}
	return allocs, size
}

// What a request costs more than with net/http alone, over a connection that is kept, with
// the default Stack, Serve and a log.
func TestRequestCostsLittleMoreThanNetHTTP(t *testing.T) { // not parallel: it counts allocations
	if underRace() {
		t.Skip("the race detector allocates, too")
	}
	text := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = []string{"text/plain; charset=utf-8"}
		io.WriteString(w, "Hello, World")
	})
	listen := func() net.Listener {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		return listener
	}
	plain := listen()
	floor := &http.Server{Handler: text}
	go floor.Serve(plain)
	t.Cleanup(func() { floor.Close() })

	log := slog.New(backend.NewLogHandler(io.Discard, nil))
	r := backend.NewRouter()
	r.Use(backend.Stack(backend.StackConfig{Logger: log}))
	r.Handle("GET /{$}", text)
	type message struct{ Text string }
	logic := backend.NewLogic(nil, nil, backend.LogicConfig{})
	logic.Add(backend.Query("message", backend.Public, func(context.Context, backend.None) (message, error) {
		return message{"Hello, World"}, nil
	}, backend.Route("GET /message")))
	r.Mount("/", logic.REST())
	ours := listen()
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- backend.Serve(ctx, r, backend.ServerConfig{Listener: ours, Logger: log}) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-served)
	})

	get := func(path string) string { return "GET " + path + " HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n" }
	least := dialWire(t, plain.Addr().String(), get("/"), "Hello, World")
	mine := dialWire(t, ours.Addr().String(), get("/"), "Hello, World")
	object := dialWire(t, ours.Addr().String(), get("/message"), "}")
	for range 100 {
		least.send(t)
		mine.send(t)
		object.send(t)
	}
	goroutines := runtime.NumGoroutine()
	allocs, size := least.cost(t)
	for _, more := range []struct {
		what         string
		client       *wireClient
		allocs, size float64 // beyond those of net/http
	}{
		{"text", mine, 4, 1400},
		{"JSON of an operation", object, 8, 2300},
	} {
		ourAllocs, ourSize := more.client.cost(t)
		what := fmt.Sprintf("net/http %.1f allocations, %.0f bytes; with everything, %s: %.1f, %.0f", allocs, size, more.what, ourAllocs, ourSize)
		t.Log(what)
		require.LessOrEqual(t, ourAllocs-allocs, more.allocs, what)
		require.LessOrEqual(t, ourSize-size, more.size, what)
	}
	require.LessOrEqual(t, runtime.NumGoroutine(), goroutines+10, "4,500 requests leave no goroutine behind; a few may be ending")
}
