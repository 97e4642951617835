package backend_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-215b9b7c/backend"
	"github.com/stretchr/testify/require"
)

// mwPipes is a listener whose connections are net.Pipes, for servers inside a
// synctest bubble, where time is virtual and the network is not allowed.
type mwPipes struct {
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func (l *mwPipes) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}
func (l *mwPipes) Close() error   { l.once.Do(func() { close(l.done) }); return nil }
func (l *mwPipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

// mwBubble runs a server for h in virtual time.
func mwBubble(t *testing.T, server *http.Server, h http.Handler, test func(t *testing.T, dial func() net.Conn)) {
	synctest.Test(t, func(t *testing.T) {
		pipes := &mwPipes{conns: make(chan net.Conn), done: make(chan struct{})}
		server.Handler = h
		server.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
		var serving sync.WaitGroup
		serving.Go(func() { server.Serve(pipes) })
		defer serving.Wait()
		defer server.Close()
		test(t, func() net.Conn {
			client, conn := net.Pipe()
			pipes.conns <- conn
			return client
		})
	})
}

func TestTimeLimitEndsTheContext(t *testing.T) {
	t.Parallel()
	wait := func(w http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		switch r.URL.Path {
		case "/report":
			backend.WriteError(w, r, fmt.Errorf("query: %w", r.Context().Err()))
		case "/answer":
			io.WriteString(w, "made it")
		}
	}
	layers := map[string]func() http.Handler{
		"alone": func() http.Handler { return backend.TimeLimit(2 * time.Second)(mustRun(t, wait)) },
		"in the stack": func() http.Handler {
			return backend.Stack(backend.StackConfig{Timeout: 2 * time.Second, Logger: slog.New(slog.DiscardHandler)})(mustRun(t, wait))
		},
		"in the stack inside another exchange": func() http.Handler {
			return backend.RequestID()(backend.Stack(backend.StackConfig{Timeout: 2 * time.Second, Logger: slog.New(slog.DiscardHandler)})(mustRun(t, wait)))
		},
		"stack in a stack": func() http.Handler {
			inner := backend.Stack(backend.StackConfig{Timeout: 2 * time.Second, Logger: slog.New(slog.DiscardHandler)})(mustRun(t, wait))
			return backend.Stack(backend.StackConfig{Timeout: time.Hour, Logger: slog.New(slog.DiscardHandler)})(inner)
		},
		"less than the stack": func() http.Handler {
			return backend.Stack(backend.StackConfig{Logger: slog.New(slog.DiscardHandler)})(backend.TimeLimit(2 * time.Second)(mustRun(t, wait)))
		},
		"more than the stack": func() http.Handler {
			return backend.Stack(backend.StackConfig{Timeout: time.Second, Logger: slog.New(slog.DiscardHandler)})(backend.TimeLimit(2 * time.Second)(mustRun(t, wait)))
		},
		"more twice": func() http.Handler {
			return backend.TimeLimit(time.Millisecond)(backend.TimeLimit(time.Second)(backend.TimeLimit(2 * time.Second)(mustRun(t, wait))))
		},
		"more, under a context that is shorter": func() http.Handler {
			shorter := func(next http.Handler) http.Handler {
				return mustRun(t, func(w http.ResponseWriter, r *http.Request) {
					ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
					defer cancel()
					next.ServeHTTP(w, r.WithContext(ctx))
				})
			}
			return backend.TimeLimit(10 * time.Second)(shorter(backend.TimeLimit(20 * time.Second)(mustRun(t, wait))))
		},
	}
	for name, h := range layers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for path, status := range map[string]int{"/report": 504, "/silent": 504, "/answer": 200} {
				synctest.Test(t, func(t *testing.T) {
					start := time.Now()
					w := httptest.NewRecorder()
					h().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", path, nil))
					require.Equal(t, 2*time.Second, time.Since(start))
					require.Equal(t, status, w.Code)
				})
			}
		})
	}
}

// A longer limit does not outlive the client.
func TestLongerTimeLimitEndsWithTheClient(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, leave := context.WithCancel(t.Context())
		time.AfterFunc(time.Minute, leave)
		h := backend.Stack(backend.StackConfig{Logger: slog.New(slog.DiscardHandler)})(backend.TimeLimit(time.Hour)(mustRun(t, func(w http.ResponseWriter, r *http.Request) {
			start := time.Now()
			<-r.Context().Done()
			require.Equal(t, time.Minute, time.Since(start))
			require.ErrorIs(t, r.Context().Err(), context.Canceled)
		})))
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(client, "GET", "/", nil))
	})
}

// The context of a stack behaves as context.WithTimeout does, whatever is asked
// of it first.
func TestStackContextIsAContext(t *testing.T) {
	t.Parallel()
	type key struct{}
	cause := errors.New("cause")
	inside := func(t *testing.T, parent context.Context, check func(ctx context.Context)) context.Context {
		var kept context.Context
		h := backend.Stack(backend.StackConfig{Timeout: time.Second, Logger: slog.New(slog.DiscardHandler)})(mustRun(t, func(w http.ResponseWriter, r *http.Request) {
			kept = r.Context()
			check(kept)
		}))
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(parent, "GET", "/", nil))
		return kept
	}
	tests := map[string]func(t *testing.T){
		"values and deadline": func(t *testing.T) {
			start := time.Now()
			parent, cancel := context.WithTimeout(context.WithValue(t.Context(), key{}, 7), time.Hour)
			defer cancel()
			inside(t, parent, func(ctx context.Context) {
				require.Equal(t, 7, ctx.Value(key{}))
				at, ok := ctx.Deadline()
				require.True(t, ok)
				require.Equal(t, start.Add(time.Second), at)
				require.NoError(t, ctx.Err())
			})
		},
		"an earlier deadline outside": func(t *testing.T) {
			start := time.Now()
			parent, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			defer cancel()
			inside(t, parent, func(ctx context.Context) {
				at, _ := ctx.Deadline()
				require.Equal(t, start.Add(time.Millisecond), at)
				<-ctx.Done()
				require.Equal(t, time.Millisecond, time.Since(start))
				require.ErrorIs(t, ctx.Err(), context.DeadlineExceeded)
			})
		},
		"Err without Done": func(t *testing.T) {
			inside(t, t.Context(), func(ctx context.Context) {
				time.Sleep(time.Second)
				require.ErrorIs(t, ctx.Err(), context.DeadlineExceeded)
				<-ctx.Done()
				require.ErrorIs(t, context.Cause(ctx), context.DeadlineExceeded)
			})
		},
		"cancelled outside, before and after waiting": func(t *testing.T) {
			for _, waits := range []bool{false, true} {
				parent, cancel := context.WithCancelCause(t.Context())
				inside(t, parent, func(ctx context.Context) {
					if waits {
						ctx.Done()
					}
					cancel(cause)
					require.ErrorIs(t, ctx.Err(), context.Canceled)
					require.ErrorIs(t, context.Cause(ctx), cause)
					<-ctx.Done()
				})
			}
		},
		"cancelled by the end of the request": func(t *testing.T) {
			for _, waits := range []bool{false, true} {
				ctx := inside(t, t.Context(), func(ctx context.Context) {
					if waits {
						ctx.Done()
					}
				})
				<-ctx.Done()
				require.ErrorIs(t, ctx.Err(), context.Canceled)
			}
		},
		"children need no goroutine and end with it": func(t *testing.T) {
			inside(t, t.Context(), func(ctx context.Context) {
				child, cancel := context.WithCancel(context.WithValue(ctx, key{}, 8))
				defer cancel()
				synctest.Wait()
				<-child.Done()
				require.ErrorIs(t, child.Err(), context.DeadlineExceeded)
			})
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, test)
		})
	}
}

func TestStatement60_SlowBodiesAreCut(t *testing.T) {
	t.Parallel()
	for name, limit := range map[string]backend.Middleware{
		"alone": backend.TimeLimit(10 * time.Second),
		"stack": backend.Stack(backend.StackConfig{Logger: slog.New(slog.DiscardHandler)}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mwBubble(t, &http.Server{}, limit(mustRun(t, mwReadAll)), func(t *testing.T, dial func() net.Conn) {
				conn := dial()
				defer conn.Close()
				start := time.Now()
				_, err := io.WriteString(conn, "POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 100\r\n\r\na")
				require.NoError(t, err)
				resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
				require.NoError(t, err)
				require.Equal(t, 408, resp.StatusCode) // RFC 9110, section 15.5.9
				require.LessOrEqual(t, time.Since(start), 11*time.Second)
				require.True(t, resp.Close)
			})
		})
	}
}

func TestStatement60_SlowReadersAreCut(t *testing.T) {
	t.Parallel()
	var failed chan time.Duration
	h := backend.Stack(backend.StackConfig{Logger: slog.New(slog.DiscardHandler)})(mustRun(t, func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		for {
			if _, err := w.Write(make([]byte, 4096)); err != nil {
				failed <- time.Since(start)
				return
			}
		}
	}))
	mwBubble(t, &http.Server{}, h, func(t *testing.T, dial func() net.Conn) {
		failed = make(chan time.Duration, 1) // in the bubble
		conn := dial()
		defer conn.Close()
		_, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
		require.NoError(t, err)
		require.LessOrEqual(t, <-failed, 40*time.Second)
	})
}

// A server that cuts every request after a short time leaves those alone whose
// route has a longer limit.
func TestTimeLimitMovesTheServersDeadlines(t *testing.T) {
	t.Parallel()
	h := backend.Stack(backend.StackConfig{Logger: slog.New(slog.DiscardHandler)})(backend.TimeLimit(time.Hour)(mustRun(t, func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
			backend.WriteError(w, r, r.Context().Err())
		case <-time.After(50 * time.Minute):
			io.WriteString(w, "late")
		}
	})))
	mwBubble(t, &http.Server{ReadTimeout: 30 * time.Second, WriteTimeout: time.Minute}, h, func(t *testing.T, dial func() net.Conn) {
		conn := dial()
		defer conn.Close()
		reader := bufio.NewReader(conn)
		for range 2 { // and the connection lives on
			_, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
			require.NoError(t, err)
			resp, err := http.ReadResponse(reader, nil)
			require.NoError(t, err)
			body, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			require.Equal(t, "late", string(body))
		}
	})
}

func ExampleTimeLimit() {
	h := backend.TimeLimit(time.Millisecond)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		<-r.Context().Done() // a database that does not answer
		backend.WriteError(w, r, r.Context().Err())
	}))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	fmt.Println(w.Code)
	// Output: 504
}
