package response_test

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend/internal/response"
)

// wire returns all that a server sends for a request, without Date and with sorted
// headers.
func wire(t *testing.T, h http.Handler, method string) string {
	t.Helper()
	ended := make(chan struct{})
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(ended)
		h.ServeHTTP(w, r)
	}))
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.Start()
	defer server.Close()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(20*time.Second)))
	_, err = io.WriteString(conn, method+" / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\nAccept-Encoding: br\r\n\r\n")
	require.NoError(t, err)
	text, err := io.ReadAll(conn)
	require.NoError(t, err)
	<-ended
	parts := strings.Split(regexp.MustCompile(`Date: .*\r\n`).ReplaceAllString(string(text), ""), "\r\n\r\n")
	for i, part := range parts { // the order of headers has no meaning
		if strings.HasPrefix(part, "HTTP/1.1 ") {
			lines := strings.Split(part, "\r\n")
			slices.Sort(lines[1:])
			parts[i] = strings.Join(lines, "\r\n")
		}
	}
	return strings.Join(parts, "\r\n\r\n")
}

// Without hooks and where nothing is compressed, a client sees what net/http sends
// for the same handler.
func TestResponsesAreThoseOfNetHTTP(t *testing.T) {
	t.Parallel()
	file := t.TempDir() + "/a.txt"
	require.NoError(t, os.WriteFile(file, []byte(strings.Repeat("line\n", 2000)), 0o600))
	handlers := map[string]http.HandlerFunc{
		"nothing":      func(http.ResponseWriter, *http.Request) {},
		"a short text": func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") },
		"an empty Write": func(w http.ResponseWriter, _ *http.Request) {
			w.Write(nil)
			w.Write([]byte("\x89PNG\r\n\x1a\n"))
		},
		"a page": func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<!doctype html><p>hi") },
		"a long text": func(w http.ResponseWriter, _ *http.Request) {
			for range 1000 {
				io.WriteString(w, "a line of text\n")
			}
		},
		"a type and a length": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Length", "2")
			w.WriteHeader(http.StatusCreated)
			io.WriteString(w, "{}")
		},
		"no type":           func(w http.ResponseWriter, _ *http.Request) { w.Header()["Content-Type"] = nil; io.WriteString(w, "x") },
		"status only":       func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) },
		"two statuses":      func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(201); w.WriteHeader(202) },
		"status after body": func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "x"); w.WriteHeader(404) },
		"no content":        func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
		"no content with a body": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusNoContent)
			io.WriteString(w, "x")
		},
		"not modified": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Etag", `"v1"`)
			w.WriteHeader(http.StatusNotModified)
		},
		"early hints": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Link", "</a.css>; rel=preload")
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(http.StatusAccepted)
			io.WriteString(w, "x")
		},
		"an error":   func(w http.ResponseWriter, r *http.Request) { http.Error(w, "no", http.StatusBadGateway) },
		"a redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/b", http.StatusSeeOther) },
		"flushed": func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, "a")
			w.(http.Flusher).Flush()
			io.WriteString(w, "b")
		},
		"flushed before": func(w http.ResponseWriter, _ *http.Request) { w.(http.Flusher).Flush(); io.WriteString(w, "b") },
		"a trailer": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Trailer", "X-Sum")
			io.WriteString(w, "a")
			w.(http.Flusher).Flush()
			w.Header().Set("X-Sum", "1")
		},
		"a file": func(w http.ResponseWriter, r *http.Request) { r.Header = http.Header{}; http.ServeFile(w, r, file) },
		"a range": func(w http.ResponseWriter, r *http.Request) {
			r.Header.Set("Range", "bytes=5-8")
			http.ServeFile(w, r, file)
		},
		"a reader": func(w http.ResponseWriter, _ *http.Request) {
			io.Copy(w, struct{ io.Reader }{strings.NewReader("abc")})
		},
		"no reader": func(w http.ResponseWriter, _ *http.Request) { io.Copy(w, struct{ io.Reader }{strings.NewReader("")}) },
		"aborted": func(w http.ResponseWriter, _ *http.Request) {
			w.Write([]byte(strings.Repeat("x", 5000)))
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		},
		"hijacked": func(w http.ResponseWriter, _ *http.Request) {
			conn, rw, err := w.(http.Hijacker).Hijack()
			if err == nil {
				rw.WriteString("mine")
				rw.Flush()
				conn.Close()
			}
		},
	}
	for name, handler := range handlers {
		for _, method := range []string{"GET", "HEAD"} {
			for _, compresses := range []bool{false, true} {
				t.Run(fmt.Sprint(name, " ", method, ", may compress: ", compresses), func(t *testing.T) {
					t.Parallel()
					compression := response.NewCompression()
					wrapped := wire(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						var writer response.Writer
						view := writer.Begin(w, r, nil)
						if compresses { // only of what it knows: br is none
							require.True(t, writer.Compress(compression, r))
							require.False(t, writer.Compress(compression, r))
						}
						handler(view, r)
						writer.Finish()
						writer.End()
					}), method)
					wrapped = strings.ReplaceAll(wrapped, "Vary: Accept-Encoding\r\n", "")
					require.Equal(t, wire(t, handler, method), wrapped)
					require.NotEmpty(t, wrapped)
				})
			}
		}
	}
}

// wrapper is somebody else's ResponseWriter.
type wrapper struct{ http.ResponseWriter }

func (w wrapper) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func TestOf(t *testing.T) {
	t.Parallel()
	var one, other response.Writer
	under := httptest.NewRecorder()
	r := httptest.NewRequest("GET", "/", nil)
	view := one.Begin(under, r, nil)
	require.Same(t, &one, response.Of(view))
	require.Same(t, &one, response.Of(wrapper{wrapper{view}}))
	require.Same(t, &other, response.Of(other.Begin(wrapper{view}, r, nil)), "the outermost one")
	require.Nil(t, response.Of(under))
	require.Nil(t, response.Of(wrapper{under}))
	require.Nil(t, response.Of(struct{ http.ResponseWriter }{view}))
	require.Equal(t, under, view.(interface{ Unwrap() http.ResponseWriter }).Unwrap())
}

// A view has the abilities of what is beneath, and no others.
func TestViewHasTheAbilitiesOfWhatIsBeneath(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		under           http.ResponseWriter
		flushes, hijack bool
	}{
		{pipe{httptest.NewRecorder()}, true, true},
		{httptest.NewRecorder(), true, false},
		{struct{ http.ResponseWriter }{httptest.NewRecorder()}, false, false},
	} {
		var w response.Writer
		view := w.Begin(test.under, httptest.NewRequest("GET", "/", nil), nil)
		_, flushes := view.(http.Flusher)
		_, hijacks := view.(http.Hijacker)
		require.Equal(t, test.flushes, flushes)
		require.Equal(t, test.hijack, hijacks)
		err := http.NewResponseController(view).Flush()
		require.Equal(t, test.flushes, err == nil)
		if !test.flushes {
			require.ErrorIs(t, err, http.ErrNotSupported)
		}
	}
}

// After a hijack nothing can be written.
func TestHijackedConnections(t *testing.T) {
	t.Parallel()
	var w response.Writer
	view := w.Begin(pipe{httptest.NewRecorder()}, httptest.NewRequest("GET", "/", nil), nil)
	_, _, err := view.(http.Hijacker).Hijack()
	require.NoError(t, err)
	require.True(t, w.Hijacked())
	require.True(t, w.Begun())
	require.False(t, w.Sent())
	_, err = view.Write([]byte("x"))
	require.ErrorIs(t, err, http.ErrHijacked)
	_, err = view.(io.ReaderFrom).ReadFrom(strings.NewReader("x"))
	require.ErrorIs(t, err, http.ErrHijacked)
	require.ErrorIs(t, http.NewResponseController(view).Flush(), http.ErrHijacked)
}

// begin returns a Writer that compresses a text, its view and what is sent.
func begin(accept string) (*response.Writer, http.ResponseWriter, *httptest.ResponseRecorder) {
	w, under, r := &response.Writer{}, httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Accept-Encoding", accept)
	view := w.Begin(under, r, nil)
	w.Compress(response.NewCompression(), r)
	view.Header().Set("Content-Type", "text/plain")
	return w, view, under
}

func TestTagsOfCompressedResponses(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("text ", 1000)
	for _, test := range []struct {
		accept, tag, weak, strong string
	}{
		{"gzip", `"v1"`, `W/"v1"`, `"v1+gzip"`},
		{"zstd", `"v1"`, `W/"v1"`, `"v1+zstd"`},
		{"zstd", `W/"v1"`, `W/"v1"`, `W/"v1"`},
		{"br", `"v1"`, `"v1"`, `"v1"`},
	} {
		for _, keeps := range []bool{false, true} {
			w, view, under := begin(test.accept)
			view.Header().Set("Etag", test.tag)
			want := test.weak
			if keeps {
				w.KeepStrongTags()
				want = test.strong
			}
			io.WriteString(view, long)
			w.Finish()
			require.Equal(t, want, under.Header().Get("Etag"))
		}
	}
}

// What a handler's goroutine writes after the end of a compressed response is not
// sent; what was abandoned is not sent either.
func TestWritesAfterTheEnd(t *testing.T) {
	t.Parallel()
	w, view, under := begin("gzip")
	io.WriteString(view, strings.Repeat("text ", 1000))
	w.Finish()
	length := under.Body.Len()
	_, err := view.Write([]byte("late"))
	require.Error(t, err)
	_, err = io.WriteString(view, "late")
	require.Error(t, err)
	w.Finish() // again
	require.Equal(t, length, under.Body.Len())
	require.EqualValues(t, length, w.Bytes())

	w, view, under = begin("gzip")
	io.WriteString(view, "held back")
	w.Abandon()
	require.False(t, w.Begun())
	w.Drop()
	view.WriteHeader(http.StatusInternalServerError)
	io.WriteString(view, strings.Repeat("text ", 1000))
	require.Equal(t, 500, under.Code)
	require.Empty(t, under.Header().Get("Content-Encoding"))
	require.Len(t, under.Body.String(), 5000)
}

func TestAcceptableCodings(t *testing.T) {
	t.Parallel()
	require.Equal(t, []string{"gzip", "zstd"}, response.Codings)
	for accept, want := range map[string][]string{
		"": nil, "identity": nil, "br": nil, "gzip": {"gzip"}, "gzip;q=0, *": {"zstd"}, "*;q=0.1": {"gzip", "zstd"}, "zstd;q=0.001, gzip;q=0": {"zstd"},
	} {
		require.Equal(t, want, response.AcceptableCodings([]string{accept}), accept)
	}
}

// sender is a ResponseWriter that says what it was told to read from.
type sender struct {
	*httptest.ResponseRecorder
	from io.Reader
}

func (s *sender) ReadFrom(src io.Reader) (int64, error) {
	s.from = src
	return io.Copy(s.ResponseRecorder, src)
}

func TestReadFromReachesTheServer(t *testing.T) {
	t.Parallel()
	for _, accept := range []string{"", "gzip"} {
		under, r := &sender{ResponseRecorder: httptest.NewRecorder()}, httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Accept-Encoding", accept)
		var w response.Writer
		view := w.Begin(under, r, nil)
		w.Compress(response.NewCompression(), r)
		view.Header().Set("Content-Type", "text/plain")
		src := bufio.NewReader(strings.NewReader(strings.Repeat("text ", 1000)))
		n, err := view.(io.ReaderFrom).ReadFrom(src)
		w.Finish()
		require.NoError(t, err)
		require.EqualValues(t, 5000, n)
		if accept == "" {
			require.Equal(t, io.Reader(src), under.from)
			require.EqualValues(t, 5000, w.Bytes())
			continue
		}
		require.Nil(t, under.from, "what is compressed goes through memory")
		require.Less(t, w.Bytes(), int64(5000))
	}
}
