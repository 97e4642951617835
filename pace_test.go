package backend_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
)

// paceServer is one kind of server that limits how long clients may take.
type paceServer struct {
	serve func(t *testing.T, listener *pipeListener, h http.Handler)
	tls   bool
	http2 bool
}

func (s paceServer) url() string {
	if s.tls {
		return "https://a.example/"
	}
	return "http://a.example/"
}

// paceServers returns all kinds. Each test runs on a clock of its own.
func paceServers(t *testing.T) map[string]paceServer {
	pair := newCertificate(t, "one").pair(t)
	secure := func(protocols ...string) *tls.Config {
		return &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: protocols}
	}
	foreign := func(read, write time.Duration) func(*testing.T, *pipeListener, http.Handler) {
		return func(t *testing.T, listener *pipeListener, h http.Handler) {
			server := &http.Server{Handler: h, ReadTimeout: read, WriteTimeout: write, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
			var serving sync.WaitGroup
			serving.Go(func() { server.Serve(listener) })
			t.Cleanup(func() { server.Close(); serving.Wait() })
		}
	}
	return map[string]paceServer{
		"Serve": {serve: func(t *testing.T, listener *pipeListener, h http.Handler) {
			serveOn(t, listener, h, backend.ServerConfig{})
		}},
		"Serve with TLS": {tls: true, serve: func(t *testing.T, listener *pipeListener, h http.Handler) {
			serveOn(t, listener, h, backend.ServerConfig{TLS: secure("http/1.1")})
		}},
		"Serve with HTTP/2": {tls: true, http2: true, serve: func(t *testing.T, listener *pipeListener, h http.Handler) {
			serveOn(t, listener, h, backend.ServerConfig{TLS: secure("h2")})
		}},
		"Serve with a TLS listener": {tls: true, serve: func(t *testing.T, listener *pipeListener, h http.Handler) {
			serveOn(t, tls.NewListener(listener, secure("http/1.1")), h, backend.ServerConfig{})
		}},
		"another server":                {serve: foreign(0, 0)},
		"another server with deadlines": {serve: foreign(30*time.Second, 60*time.Second)},
	}
}

// paceClient returns a client whose connections the listener accepts.
func paceClient(t *testing.T, listener *pipeListener, s paceServer) *http.Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) { return listener.dial(t), nil }
	transport := &http.Transport{
		DialContext: dial, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: s.http2, DisableCompression: true,
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// atRate reads at a rate: bytes every tenth of a second.
type atRate struct {
	io.Reader
	bytes int
}

func (s atRate) Read(p []byte) (int, error) {
	time.Sleep(100 * time.Millisecond) // on the bubble's clock
	return s.Reader.Read(p[:min(len(p), s.bytes)])
}

func inPaceServers(t *testing.T, h func(t *testing.T) http.Handler, test func(t *testing.T, client *http.Client, url string)) {
	for name, s := range paceServers(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T) {
				listener := newPipeListener()
				s.serve(t, listener, h(t))
				test(t, paceClient(t, listener, s), s.url())
			})
		})
	}
}

// A download and an upload take the time that they need while they make progress.
func TestLongTransfersAreNotCut(t *testing.T) {
	t.Parallel()
	const size = 8 << 20
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, bytes.Repeat([]byte("12345678"), size/8), 0o600))
	handlers := map[string]http.HandlerFunc{
		"one write": func(w http.ResponseWriter, r *http.Request) { w.Write(make([]byte, size)) },
		"a string":  func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, strings.Repeat("x", size)) },
		"a copy":    func(w http.ResponseWriter, r *http.Request) { io.Copy(w, io.LimitReader(zeros{}, size)) },
		"a file":    func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, file) },
	}
	for name, h := range handlers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stacked := func(t *testing.T) http.Handler {
				return backend.Stack(backend.StackConfig{Logger: slog.New(slog.DiscardHandler)})(mustRun(t, h))
			}
			inPaceServers(t, stacked, func(t *testing.T, client *http.Client, url string) {
				start := time.Now()
				resp, err := client.Get(url)
				require.NoError(t, err)
				defer resp.Body.Close()
				n, err := io.Copy(io.Discard, atRate{resp.Body, 4 << 10}) // 205 seconds
				require.NoError(t, err)
				require.EqualValues(t, size, n)
				require.Greater(t, time.Since(start), 3*time.Minute)
			})
		})
	}
	t.Run("upload", func(t *testing.T) {
		t.Parallel()
		h := func(t *testing.T) http.Handler {
			return backend.Stack(backend.StackConfig{Logger: slog.New(slog.DiscardHandler)})(mustRun(t, func(w http.ResponseWriter, r *http.Request) {
				done := r.Context().Done() // somebody waits with the context, as a database does
				n, err := io.Copy(io.Discard, r.Body)
				if err != nil {
					backend.WriteError(w, r, err)
					return
				}
				select {
				case <-done:
					backend.WriteError(w, r, r.Context().Err())
				case <-time.After(9 * time.Second): // the time of the handler has not passed
					fmt.Fprint(w, n)
				}
			}))
		}
		inPaceServers(t, h, func(t *testing.T, client *http.Client, url string) {
			body := atRate{io.LimitReader(zeros{}, 1<<20), 1 << 10} // 103 seconds
			resp, err := client.Post(url, "application/octet-stream", body)
			require.NoError(t, err)
			defer resp.Body.Close()
			text, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			require.Equal(t, "1048576", string(text))
		})
	})
	t.Run("upload to an operation", func(t *testing.T) {
		t.Parallel()
		type in struct {
			Text string `json:"text"`
		}
		h := func(t *testing.T) http.Handler {
			logic := backend.NewLogic(nil, nil, backend.LogicConfig{})
			logic.Add(backend.Mutation("put", backend.Public, func(ctx context.Context, in in) (int, error) {
				return len(in.Text), ctx.Err()
			}, backend.Route("POST /{$}")))
			return backend.Stack(backend.StackConfig{Logger: slog.New(slog.DiscardHandler)})(logic.REST())
		}
		inPaceServers(t, h, func(t *testing.T, client *http.Client, url string) {
			text := `{"text":"` + string(bytes.Repeat([]byte("x"), 200_000)) + `"}`
			resp, err := client.Post(url, "application/json", atRate{bytes.NewReader([]byte(text)), 500})
			require.NoError(t, err)
			defer resp.Body.Close()
			answer, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			require.Equal(t, 201, resp.StatusCode, string(answer))
			require.Equal(t, "200000", string(bytes.TrimSpace(answer)))
		})
	})
}

// The silence of a handler does not count, neither between two writes nor between two
// reads.
func TestTimeOfTheHandlerIsNotTheClients(t *testing.T) {
	t.Parallel()
	h := func(t *testing.T) http.Handler {
		return backend.TimeLimit(time.Hour)(mustRun(t, func(w http.ResponseWriter, r *http.Request) {
			part := make([]byte, 5)
			for range 2 {
				_, err := io.ReadFull(r.Body, part)
				require.NoError(t, err)
				time.Sleep(10 * time.Minute) // on the bubble's clock
			}
			for range 3 {
				w.Write(make([]byte, 10_000))
				http.NewResponseController(w).Flush()
				time.Sleep(10 * time.Minute)
			}
		}))
	}
	inPaceServers(t, h, func(t *testing.T, client *http.Client, url string) {
		resp, err := client.Post(url, "text/plain", bytes.NewReader([]byte("1234567890")))
		require.NoError(t, err)
		defer resp.Body.Close()
		n, err := io.Copy(io.Discard, resp.Body)
		require.NoError(t, err)
		require.EqualValues(t, 30_000, n)
	})
}

// dribble gives a byte about each second, until it is closed. It gives none at a full second,
// when limits end: a client that writes while the server closes may not see the response.
type dribble chan struct{}

func (d dribble) Read(p []byte) (int, error) {
	select {
	case <-d:
		return 0, io.EOF
	case <-time.After(999 * time.Millisecond): // on the bubble's clock
		p[0] = 'x'
		return 1, nil
	}
}

// A client that sends less than 1 KiB per second has the time of the limit, and no more.
func TestStatement60_BodiesThatDribbleAreCut(t *testing.T) {
	t.Parallel()
	h := func(t *testing.T) http.Handler {
		return backend.Stack(backend.StackConfig{Logger: slog.New(slog.DiscardHandler)})(mustRun(t, mwReadAll))
	}
	inPaceServers(t, h, func(t *testing.T, client *http.Client, url string) {
		start, body := time.Now(), make(dribble)
		defer close(body)
		resp, err := client.Post(url, "text/plain", body)
		require.NoError(t, err)
		defer resp.Body.Close()
		require.Equal(t, http.StatusRequestTimeout, resp.StatusCode)
		require.LessOrEqual(t, time.Since(start), 12*time.Second)
	})
}

// The body that a handler does not read is not waited for either.
func TestStatement60_UnreadBodiesAreCut(t *testing.T) {
	t.Parallel()
	for name, s := range paceServers(t) {
		if s.tls {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T) {
				listener := newPipeListener()
				s.serve(t, listener, backend.Stack(backend.StackConfig{Logger: slog.New(slog.DiscardHandler)})(mustRun(t, func(http.ResponseWriter, *http.Request) {})))
				conn := listener.dial(t)
				send(t, conn, "POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 100\r\n\r\nx")
				after, _ := closedAfter(t, conn)
				require.LessOrEqual(t, after, 32*time.Second)
			})
		})
	}
}

// A client that takes less than 1 KiB per second is cut, and the log says that the
// response was.
func TestStatement60_ReadersThatDribbleAreCut(t *testing.T) {
	t.Parallel()
	for name, s := range paceServers(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T) {
				took, log := make(chan time.Duration, 1), new(bytes.Buffer)
				h := backend.Stack(backend.StackConfig{Logger: slog.New(slog.NewTextHandler(log, nil))})(mustRun(t, func(w http.ResponseWriter, r *http.Request) {
					start := time.Now()
					_, err := io.Copy(w, zeros{})
					require.Error(t, err)
					took <- time.Since(start)
				}))
				listener := newPipeListener()
				logged := make(chan struct{})
				s.serve(t, listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					defer close(logged)
					h.ServeHTTP(w, r)
				}))
				client := paceClient(t, listener, s)
				resp, err := client.Get(s.url())
				require.NoError(t, err)
				reading := make(chan struct{})
				go func() {
					defer close(reading)
					defer resp.Body.Close()
					io.Copy(io.Discard, atRate{bufio.NewReaderSize(resp.Body, 16), 16}) // 160 bytes a second
				}()
				require.LessOrEqual(t, <-took, 3*time.Minute) // HTTP/2 and TLS keep something
				<-logged
				require.Contains(t, log.String(), "the response was cut")
				client.CloseIdleConnections()
				resp.Body.Close()
				<-reading
			})
		})
	}
}
