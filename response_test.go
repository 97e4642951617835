package backend_test

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-215b9b7c/backend"
	"github.com/stretchr/testify/require"
)

func mwQuietStack() backend.Middleware {
	return backend.Stack(backend.StackConfig{Logger: slog.New(slog.DiscardHandler)})
}

// What the server's writer offers, handlers inside the stack can use, and
// nothing else.
func TestResponseKeepsTheAbilitiesOfTheServer(t *testing.T) {
	t.Parallel()
	type abilities struct{ flush, hijack, readFrom, deadlines, fullDuplex bool }
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2.0"} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			var got abilities
			server := httptest.NewUnstartedServer(mwQuietStack()(mustRun(t, func(w http.ResponseWriter, r *http.Request) {
				require.Equal(t, protocol, r.Proto)
				_, got.flush = w.(http.Flusher)
				_, got.hijack = w.(http.Hijacker)
				_, got.readFrom = w.(io.ReaderFrom)
				controller := http.NewResponseController(w)
				got.deadlines = controller.SetReadDeadline(time.Now().Add(time.Minute)) == nil && controller.SetWriteDeadline(time.Now().Add(time.Minute)) == nil
				got.fullDuplex = controller.EnableFullDuplex() == nil
				io.WriteString(w, "hello ")
				require.NoError(t, controller.Flush())
				if !got.hijack {
					_, _, err := controller.Hijack()
					require.ErrorIs(t, err, http.ErrNotSupported)
				}
			})))
			server.EnableHTTP2 = protocol == "HTTP/2.0"
			server.StartTLS()
			defer server.Close()
			resp, err := server.Client().Get(server.URL)
			require.NoError(t, err)
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			require.Equal(t, "hello ", string(body))
			h1 := protocol == "HTTP/1.1"
			require.Equal(t, abilities{flush: true, hijack: h1, readFrom: true, deadlines: true, fullDuplex: true}, got)
		})
	}
}

func TestResponseOffersNothingTheWriterLacks(t *testing.T) {
	t.Parallel()
	h := mwQuietStack()(mustRun(t, func(w http.ResponseWriter, r *http.Request) {
		_, flushes := w.(http.Flusher)
		require.False(t, flushes)
		_, hijacks := w.(http.Hijacker)
		require.False(t, hijacks)
		require.ErrorIs(t, http.NewResponseController(w).Flush(), http.ErrNotSupported)
	}))
	h.ServeHTTP(struct{ http.ResponseWriter }{httptest.NewRecorder()}, httptest.NewRequest("GET", "/", nil))
}

// fileWriter records whether a file reached it as a file.
type fileWriter struct {
	*httptest.ResponseRecorder
	from string
}

func (w *fileWriter) ReadFrom(src io.Reader) (int64, error) {
	if limited, ok := src.(*io.LimitedReader); ok {
		src = limited.R
	}
	w.from = fmt.Sprintf("%T", src)
	return io.Copy(w.ResponseRecorder, src)
}

func TestResponseLetsTheServerSendFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a.png"), []byte(strings.Repeat("\x89PNG", 5000)), 0o600))
	log := newMWLog()
	h := backend.Stack(backend.StackConfig{Logger: log.Logger})(http.FileServer(http.Dir(dir)))
	w := &fileWriter{ResponseRecorder: httptest.NewRecorder()}
	h.ServeHTTP(w, httptest.NewRequest("GET", "/a.png", nil))
	require.Equal(t, 20000, w.Body.Len())
	require.Contains(t, w.from, "File")
	require.EqualValues(t, 20000, log.next(t)["bytes"])
}

func TestResponsePassesInformationalStatusOn(t *testing.T) {
	t.Parallel()
	log := newMWLog()
	server := mwServe(t, backend.Stack(backend.StackConfig{Logger: log.Logger})(mustRun(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</a.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Del("Link")
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(http.StatusAccepted)
		io.WriteString(w, "<p>done")
	})))
	var hints []string
	trace := &httptrace.ClientTrace{Got1xxResponse: func(code int, header textproto.MIMEHeader) error {
		hints = append(hints, fmt.Sprint(code, " ", header.Get("Link")))
		return nil
	}}
	r, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), "GET", server.URL, nil)
	require.NoError(t, err)
	resp, err := server.Client().Do(r)
	require.NoError(t, err)
	resp.Body.Close()
	require.Equal(t, []string{"103 </a.css>; rel=preload", "103 </a.css>; rel=preload"}, hints)
	require.Equal(t, 202, resp.StatusCode)
	require.Contains(t, resp.Header.Get("Content-Security-Policy"), "strict-dynamic")
	require.EqualValues(t, 202, log.next(t)["status"])
}

func TestResponseFirstStatusCounts(t *testing.T) {
	t.Parallel()
	for _, contentType := range []string{"application/json", ""} { // sent at once, and held back
		server := mwServe(t, mwQuietStack()(mustRun(t, func(w http.ResponseWriter, r *http.Request) {
			if contentType != "" {
				w.Header().Set("Content-Type", contentType)
			}
			w.WriteHeader(http.StatusCreated)
			w.WriteHeader(http.StatusTeapot)
			io.WriteString(w, "{}")
			w.WriteHeader(http.StatusTeapot)
		})))
		resp, body := mwDo(t, server, "GET", "/", "", "Accept-Encoding", "gzip")
		require.Equal(t, 201, resp.StatusCode)
		require.Equal(t, "{}", body)
	}
}

// An answer that was only held back makes way for an error.
func TestWriteErrorReplacesAnAnswerThatWasNotSent(t *testing.T) {
	t.Parallel()
	server := mwServe(t, mwQuietStack()(mustRun(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusOK)
		io.WriteString(w, `{"items":[`)
		backend.WriteError(w, r, &backend.Error{Code: backend.Unavailable})
	})))
	resp, body := mwDo(t, server, "GET", "/", "", "Accept-Encoding", "gzip")
	require.Equal(t, 503, resp.StatusCode)
	require.NotContains(t, body, "items")
	require.Equal(t, "application/problem+json", resp.Header.Get("Content-Type"))
}

// A status that is none is a bug of the handler, answered as one.
func TestResponseWithAnImpossibleStatus(t *testing.T) {
	t.Parallel()
	log := newMWLog()
	server := mwServe(t, backend.Stack(backend.StackConfig{Logger: log.Logger})(mustRun(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(1000)
	})))
	resp, _ := mwDo(t, server, "GET", "/", "")
	require.Equal(t, 500, resp.StatusCode)
	require.Contains(t, log.next(t)["error"], "invalid WriteHeader code 1000")
}

func TestResponseAfterHijack(t *testing.T) {
	t.Parallel()
	errs := make(chan error, 3)
	server := mwServe(t, mwQuietStack()(mustRun(t, func(w http.ResponseWriter, r *http.Request) {
		conn, rw, err := w.(http.Hijacker).Hijack()
		if err != nil {
			panic(err)
		}
		defer conn.Close()
		_, err = w.Write([]byte("x"))
		errs <- err
		_, err = w.(io.ReaderFrom).ReadFrom(strings.NewReader("x"))
		errs <- err
		errs <- http.NewResponseController(w).Flush()
		rw.WriteString("mine\n")
		rw.Flush()
		panic("after hijacking")
	})))
	_, reader := mwRaw(t, server, "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
	line, err := reader.ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "mine\n", line)
	_, err = reader.ReadByte()
	require.ErrorIs(t, err, io.EOF)
	for range 3 {
		require.ErrorIs(t, <-errs, http.ErrHijacked)
	}
}

// hijackable is a writer whose connection is a pipe.
type hijackable struct {
	*httptest.ResponseRecorder
	conn net.Conn
}

func (w hijackable) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return w.conn, bufio.NewReadWriter(bufio.NewReader(w.conn), bufio.NewWriter(w.conn)), nil
}

func TestResponseHijackThroughAForeignWrapper(t *testing.T) {
	t.Parallel()
	client, conn := net.Pipe()
	defer client.Close()
	h := backend.Recover()(mustRun(t, func(w http.ResponseWriter, r *http.Request) {
		got, _, err := http.NewResponseController(foreignWriter{w}).Hijack()
		require.NoError(t, err)
		require.Equal(t, conn, got)
		got.Close()
	}))
	h.ServeHTTP(hijackable{httptest.NewRecorder(), conn}, httptest.NewRequest("GET", "/", nil))
}
