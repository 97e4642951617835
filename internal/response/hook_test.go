package response_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend/internal/response"
)

// hookFunc is a function as a hook.
type hookFunc func(head http.Header) error

func (f hookFunc) BeforeHeader(head http.Header) error { return f(head) }

// owner answers with the error's text and status 500.
type owner struct{}

func (owner) AnswerError(w http.ResponseWriter, err error) {
	delete(w.Header(), "Content-Length")
	w.Header().Set("Content-Type", "text/plain")
	w.WriteHeader(http.StatusInternalServerError)
	io.WriteString(w, "answer: ")
	io.WriteString(w, err.Error())
}

// exchange is one response and the names of its hooks that have run.
type exchange struct {
	writer response.Writer
	ran    []string
	log    strings.Builder // of the server
}

// hook adds a hook that returns err.
func (x *exchange) hook(name string, err error) {
	x.writer.Before(hookFunc(func(head http.Header) error {
		x.ran = append(x.ran, name)
		head.Add("X-Hook", name)
		return err
	}))
}

// serve answers a request with handle, whose response has the hooks that hooks adds.
func serve(t *testing.T, by response.Owner, hooks func(x *exchange), handle func(w http.ResponseWriter, x *exchange)) (*exchange, *http.Response, string) {
	t.Helper()
	x, ran := &exchange{}, make(chan struct{}, 1)
	compression := response.NewCompression()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		view := x.writer.Begin(w, r, by)
		x.writer.DetectType()
		x.writer.Compress(compression, r)
		hooks(x)
		handle(view, x)
		x.writer.Finish()
		x.writer.End()
		ran <- struct{}{}
	}))
	server.Config.ErrorLog = log.New(&x.log, "", 0)
	server.Start()
	defer server.Close()
	resp, err := server.Client().Get(server.URL) // asks for gzip, and undoes it
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	<-ran
	return x, resp, string(text)
}

// handlers send their header in all the ways that there are.
var handlers = map[string]func(w http.ResponseWriter) (wrote error){
	"WriteHeader": func(w http.ResponseWriter) error { w.WriteHeader(http.StatusNoContent); return nil },
	"a long Write": func(w http.ResponseWriter) error {
		_, err := w.Write([]byte(strings.Repeat("text ", 1000)))
		return err
	},
	"short Writes, held back": func(w http.ResponseWriter) error { io.WriteString(w, "a"); io.WriteString(w, "b"); return nil },
	"Write with a length": func(w http.ResponseWriter) error {
		w.Header().Set("Content-Length", "2")
		_, err := w.Write([]byte("{}"))
		return err
	},
	"ReadFrom": func(w http.ResponseWriter) error {
		_, err := io.Copy(w, struct{ io.Reader }{strings.NewReader(strings.Repeat("text ", 1000))})
		return err
	},
	"Flush": func(w http.ResponseWriter) error { return http.NewResponseController(w).Flush() },
	"Write and Flush": func(w http.ResponseWriter) error {
		io.WriteString(w, "a")
		return http.NewResponseController(w).Flush()
	},
	"nothing":      func(http.ResponseWriter) error { return nil },
	"not modified": func(w http.ResponseWriter) error { w.WriteHeader(http.StatusNotModified); return nil },
}

func TestHooksRunOnceFromTheInnermost(t *testing.T) {
	t.Parallel()
	for name, handle := range handlers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x, resp, _ := serve(t, owner{}, func(x *exchange) {
				x.hook("outer", nil)
				x.hook("middle", nil)
			}, func(w http.ResponseWriter, x *exchange) {
				x.hook("inner", nil)
				require.Empty(t, x.ran)
				require.NoError(t, handle(w))
				handle(w)
			})
			require.Equal(t, []string{"inner", "middle", "outer"}, x.ran)
			require.Equal(t, x.ran, resp.Header["X-Hook"])
			require.Less(t, resp.StatusCode, 400)
			require.NoError(t, x.writer.Failure())
		})
	}
}

// Nothing of the handler's response is sent if a hook fails, and the error's is
// complete.
func TestHooksThatFail(t *testing.T) {
	t.Parallel()
	lost := errors.New("no database")
	for name, handle := range handlers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x, resp, body := serve(t, owner{}, func(x *exchange) {
				x.hook("outer", nil)
				x.hook("session", lost)
				x.hook("inner", nil)
			}, func(w http.ResponseWriter, x *exchange) {
				if err := handle(w); err != nil {
					require.ErrorIs(t, err, lost)
				}
				handle(w) // whatever else it writes
				if name == "nothing" || name == "short Writes, held back" {
					return // the hooks run after it
				}
				w.WriteHeader(http.StatusTeapot)
				n, err := w.Write([]byte("more"))
				require.Zero(t, n)
				require.ErrorIs(t, err, lost)
				_, err = io.WriteString(w, "more")
				require.ErrorIs(t, err, lost)
				_, err = io.Copy(w, struct{ io.Reader }{strings.NewReader("more")})
				require.ErrorIs(t, err, lost)
				require.ErrorIs(t, http.NewResponseController(w).Flush(), lost)
				_, _, err = http.NewResponseController(w).Hijack()
				require.ErrorIs(t, err, lost)
				require.True(t, x.writer.Begun())
			})
			require.Equal(t, []string{"inner", "session", "outer"}, x.ran, "each once, outer ones for the answer")
			require.Equal(t, http.StatusInternalServerError, resp.StatusCode)
			require.Equal(t, "answer: no database", body)
			require.Equal(t, x.ran, resp.Header["X-Hook"])
			require.Equal(t, lost, x.writer.Failure())
			require.Empty(t, x.log.String(), "what the handler writes afterwards does not reach the server")
			require.Equal(t, http.StatusInternalServerError, x.writer.Status())
			require.EqualValues(t, len(body), x.writer.Bytes())
		})
	}
}

func TestSeveralHooksThatFail(t *testing.T) {
	t.Parallel()
	first, second := errors.New("first"), errors.New("second")
	for name, handle := range handlers {
		for by, want := range map[response.Owner]string{owner{}: "answer: second", longOwner{}: strings.Repeat("sorry ", 1000), rawOwner{}: strings.Repeat("sorry ", 1000)} {
			t.Run(fmt.Sprintf("%s %T", name, by), func(t *testing.T) {
				t.Parallel()
				x, resp, body := serve(t, by, func(x *exchange) {
					x.hook("outermost", nil)
					x.hook("outer", second)
					x.hook("inner", first)
				}, func(w http.ResponseWriter, _ *exchange) { handle(w); handle(w) })
				require.Equal(t, []string{"inner", "outer", "outermost"}, x.ran)
				require.GreaterOrEqual(t, resp.StatusCode, http.StatusInternalServerError)
				require.Equal(t, want, body)
				require.ErrorIs(t, x.writer.Failure(), first)
				require.ErrorIs(t, x.writer.Failure(), second)
			})
		}
	}
}

// longOwner answers with more than is held back.
type longOwner struct{}

func (longOwner) AnswerError(w http.ResponseWriter, err error) {
	w.Header().Set("Content-Type", "text/plain")
	w.WriteHeader(http.StatusServiceUnavailable)
	for range 1000 {
		io.WriteString(w, "sorry ")
	}
}

// rawOwner answers with what is not compressed.
type rawOwner struct{}

func (rawOwner) AnswerError(w http.ResponseWriter, err error) {
	w.Header().Set("Content-Type", "image/png")
	w.WriteHeader(http.StatusServiceUnavailable)
	for range 1000 {
		io.WriteString(w, "sorry ")
	}
}

// silentOwner writes nothing.
type silentOwner struct{}

func (silentOwner) AnswerError(http.ResponseWriter, error) {}

func TestAnswersOfEverySize(t *testing.T) {
	t.Parallel()
	for name, handle := range handlers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fail := func(x *exchange) { x.hook("fails", io.ErrNoProgress) }
			_, resp, body := serve(t, longOwner{}, fail, func(w http.ResponseWriter, _ *exchange) { handle(w) })
			require.Equal(t, 503, resp.StatusCode)
			require.Equal(t, strings.Repeat("sorry ", 1000), body)
			require.True(t, resp.Uncompressed, "the answer is compressed as any other response")
			_, resp, body = serve(t, silentOwner{}, fail, func(w http.ResponseWriter, _ *exchange) { handle(w) })
			require.Equal(t, 500, resp.StatusCode)
			require.Empty(t, body)
		})
	}
}

// panickyOwner has a bug.
type panickyOwner struct{}

func (panickyOwner) AnswerError(http.ResponseWriter, error) { panic("a bug") }

// After a panic, of a hook or of the owner, another response can be written.
func TestHooksThatPanic(t *testing.T) {
	t.Parallel()
	for name, by := range map[string]response.Owner{"hook": owner{}, "owner": panickyOwner{}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x, resp, body := serve(t, by, func(x *exchange) {
				x.hook("outer", nil)
				x.writer.Before(hookFunc(func(http.Header) error {
					if name == "hook" {
						panic("a bug")
					}
					return io.ErrNoProgress
				}))
			}, func(w http.ResponseWriter, x *exchange) {
				require.PanicsWithValue(t, "a bug", func() { w.WriteHeader(http.StatusNoContent) })
				require.False(t, x.writer.Begun())
				x.writer.Drop()
				w.WriteHeader(http.StatusBadGateway)
				io.WriteString(w, "another")
			})
			require.Equal(t, 502, resp.StatusCode)
			require.Equal(t, "another", body)
			require.Equal(t, []string{"outer"}, x.ran)
		})
	}
}

// The hooks run for the response that is sent, not for one that was dropped.
func TestHooksAfterDrop(t *testing.T) {
	t.Parallel()
	x, resp, body := serve(t, owner{}, func(x *exchange) { x.hook("hook", nil) }, func(w http.ResponseWriter, x *exchange) {
		io.WriteString(w, "held back")
		x.writer.Drop()
		require.Empty(t, x.ran)
		w.WriteHeader(http.StatusNotFound)
		io.WriteString(w, "instead")
	})
	require.Equal(t, 404, resp.StatusCode)
	require.Equal(t, "instead", body)
	require.Equal(t, []string{"hook"}, x.ran)
}

// A status that is none panics before the hooks run: they run for what is answered.
func TestHooksAndAnImpossibleStatus(t *testing.T) {
	t.Parallel()
	x, resp, _ := serve(t, owner{}, func(x *exchange) { x.hook("hook", nil) }, func(w http.ResponseWriter, x *exchange) {
		w.Header().Set("Content-Type", "text/plain")
		w.Header().Set("Content-Length", "0")
		require.Panics(t, func() { w.WriteHeader(1000) })
		require.Empty(t, x.ran)
		x.writer.Drop()
		w.WriteHeader(http.StatusTeapot)
	})
	require.Equal(t, 418, resp.StatusCode)
	require.Equal(t, []string{"hook"}, x.ran)
}

func TestHooksOfInformationalResponses(t *testing.T) {
	t.Parallel()
	x, resp, _ := serve(t, owner{}, func(x *exchange) { x.hook("hook", nil) }, func(w http.ResponseWriter, x *exchange) {
		w.WriteHeader(http.StatusEarlyHints)
		require.Empty(t, x.ran)
		w.WriteHeader(http.StatusAccepted)
	})
	require.Equal(t, 202, resp.StatusCode)
	require.Equal(t, []string{"hook"}, x.ran)
}

// pipe is a ResponseWriter whose connection can be hijacked.
type pipe struct{ *httptest.ResponseRecorder }

func (pipe) Hijack() (net.Conn, *bufio.ReadWriter, error) { return nil, nil, nil }

// A hijacked connection runs no hook, unless the header was sent by WriteHeader, as
// for 101 Switching Protocols.
func TestHooksAndHijack(t *testing.T) {
	t.Parallel()
	for _, switches := range []bool{false, true} {
		for _, fails := range []error{nil, io.ErrNoProgress} {
			x, under := &exchange{}, pipe{httptest.NewRecorder()}
			view := x.writer.Begin(under, httptest.NewRequest("GET", "/", nil), owner{})
			x.hook("hook", fails)
			if switches {
				view.WriteHeader(http.StatusSwitchingProtocols)
			}
			_, _, err := view.(http.Hijacker).Hijack()
			x.writer.Finish()
			x.writer.End()
			if !switches {
				require.Empty(t, x.ran)
				require.NoError(t, err)
				continue
			}
			require.Equal(t, []string{"hook"}, x.ran)
			require.Equal(t, fails, err)
			require.Equal(t, fails == nil, x.writer.Hijacked())
			if fails != nil {
				require.Equal(t, http.StatusInternalServerError, under.Code)
			}
		}
	}
}

// A hook may add another one, and one that comes too late never runs.
func TestHooksThatAreAddedLate(t *testing.T) {
	t.Parallel()
	x, _, _ := serve(t, owner{}, func(x *exchange) {
		x.hook("outer", nil)
		x.writer.Before(hookFunc(func(http.Header) error { x.hook("added", nil); return nil }))
		for i := range 6 { // more than there is room for inline
			x.hook(fmt.Sprint(i), nil)
		}
	}, func(w http.ResponseWriter, x *exchange) {
		w.WriteHeader(http.StatusNoContent)
		x.hook("late", nil)
	})
	require.Equal(t, []string{"5", "4", "3", "2", "1", "0", "added", "outer"}, x.ran)
}

func TestHooksAllocateNothing(t *testing.T) {
	under, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)
	ran, x := 0, new(response.Writer)
	count := hookFunc(func(http.Header) error { ran++; return nil })
	run := func() {
		*x = response.Writer{}
		view := x.Begin(under, r, owner{})
		for range 4 {
			x.Before(count)
		}
		view.WriteHeader(http.StatusNoContent)
	}
	run()
	require.Equal(t, 4, ran)
	require.True(t, x.Sent())
	require.Zero(t, testing.AllocsPerRun(100, run))
}
