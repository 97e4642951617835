package backend_test

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/seed-215b9b7c/backend"
	"github.com/stretchr/testify/require"
)

// mwDecode undoes a Content-Encoding; gzip with the standard library.
func mwDecode(t *testing.T, coding, body string) string {
	t.Helper()
	var reader io.Reader = strings.NewReader(body)
	switch coding {
	case "gzip":
		z, err := gzip.NewReader(reader)
		require.NoError(t, err)
		reader = z
	case "zstd":
		z, err := zstd.NewReader(reader, zstd.WithDecoderMaxWindow(8<<20)) // RFC 9659
		require.NoError(t, err)
		defer z.Close()
		reader = z
	default:
		require.Empty(t, coding)
	}
	text, err := io.ReadAll(reader)
	require.NoError(t, err)
	return string(text)
}

func TestCompress(t *testing.T) {
	t.Parallel()
	long := strings.Repeat(`{"title":"a note"},`, 500)
	short := strings.Repeat("x", 1023)
	type head = map[string]string
	tests := []struct {
		name   string
		accept string
		method string
		ask    head // request headers
		set    head // response headers
		status int
		body   string
		coding string
		vary   bool
	}{
		{name: "gzip", accept: "gzip", body: long, coding: "gzip", vary: true},
		{name: "zstd", accept: "gzip, deflate, br, zstd", body: long, coding: "zstd", vary: true},
		{name: "not accepted", accept: "br", body: long, vary: true},
		{name: "no header", body: long, vary: true},
		{name: "with a length", accept: "gzip", set: head{"Content-Length": strconv.Itoa(len(long))}, body: long, coding: "gzip", vary: true},
		{name: "short", accept: "gzip", body: short},
		{name: "short with a length", accept: "gzip", set: head{"Content-Length": "1023"}, body: short},
		{name: "just long enough", accept: "gzip", body: short + "x", coding: "gzip", vary: true},
		{name: "an error page", accept: "gzip", status: 404, body: long, coding: "gzip", vary: true},
		{name: "type found in the body", accept: "gzip", set: head{"Content-Type": ""}, body: "<!doctype html>" + long, coding: "gzip", vary: true},
		{name: "binary found in the body", accept: "gzip", set: head{"Content-Type": ""}, body: "\x00\x01" + long},
		{name: "image", accept: "gzip", set: head{"Content-Type": "image/png"}, body: long},
		{name: "svg", accept: "gzip", set: head{"Content-Type": "image/svg+xml"}, body: long, coding: "gzip", vary: true},
		{name: "problem", accept: "gzip", set: head{"Content-Type": "application/problem+json"}, body: long, coding: "gzip", vary: true},
		{name: "type in capitals", accept: "gzip", set: head{"Content-Type": "Application/JSON ; v=1"}, body: long, coding: "gzip", vary: true},
		{name: "event stream", accept: "gzip", set: head{"Content-Type": "text/event-stream"}, body: long},
		{name: "compressed already", accept: "gzip", set: head{"Content-Encoding": "br"}, body: long},
		{name: "no-transform", accept: "gzip", set: head{"Cache-Control": "public, No-Transform"}, body: long},
		{name: "digest", accept: "gzip", set: head{"Content-Digest": "sha-256=:YQ==:"}, body: long},
		{name: "range", accept: "gzip", ask: head{"Range": "bytes=0-"}, body: long},
		{name: "partial", accept: "gzip", status: 206, set: head{"Content-Range": "bytes 0-9499/9500"}, body: long},
		{name: "head", accept: "gzip", method: "HEAD", body: long, vary: true},
		{name: "no content", accept: "gzip", status: 204},
		{name: "not modified", accept: "gzip", status: 304, vary: true},
		{name: "empty", accept: "gzip"},
		{name: "strong tag", accept: "gzip", set: head{"Etag": `"v1"`}, body: long, coding: "gzip", vary: true},
		{name: "weak tag", accept: "gzip", set: head{"Etag": `W/"v1"`, "Accept-Ranges": "bytes"}, body: long, coding: "gzip", vary: true},
	}
	for _, test := range tests {
		for _, writes := range []string{"once", "in pieces", "by ReadFrom", "after WriteHeader"} {
			t.Run(test.name+" "+writes, func(t *testing.T) {
				t.Parallel()
				handler := mustRun(t, func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("Content-Type", "application/json")
					for name, value := range test.set {
						if value == "" {
							w.Header().Del(name)
							continue
						}
						w.Header().Set(name, value)
					}
					if test.status != 0 || writes == "after WriteHeader" {
						w.WriteHeader(cmp.Or(test.status, 200))
					}
					switch writes {
					case "in pieces":
						for piece := range strings.SplitAfterSeq(test.body, ",") {
							io.WriteString(w, piece)
						}
					case "by ReadFrom":
						io.Copy(w, struct{ io.Reader }{strings.NewReader(test.body)})
					default:
						io.WriteString(w, test.body)
					}
				})
				server := mwServe(t, backend.Stack(backend.StackConfig{Logger: slog.New(slog.DiscardHandler)})(handler))
				var headers []string
				if test.accept != "" {
					headers = append(headers, "Accept-Encoding", test.accept)
				}
				for name, value := range test.ask {
					headers = append(headers, name, value)
				}
				method := cmp.Or(test.method, "GET")
				resp, body := mwDo(t, server, method, "/", "", headers...)
				require.Equal(t, cmp.Or(test.status, 200), resp.StatusCode)
				coding := resp.Header.Get("Content-Encoding")
				if test.set["Content-Encoding"] != "" {
					require.Equal(t, test.set["Content-Encoding"], coding)
					require.Equal(t, test.body, body)
				} else {
					require.Equal(t, test.coding, coding)
					if method != "HEAD" {
						require.Equal(t, test.body, mwDecode(t, coding, body))
					}
				}
				if test.coding != "" {
					require.Less(t, len(body), len(test.body))
					require.NotEqual(t, strconv.Itoa(len(test.body)), resp.Header.Get("Content-Length"))
					require.Empty(t, resp.Header.Get("Accept-Ranges"))
				}
				switch test.name {
				case "strong tag", "weak tag":
					require.Equal(t, `W/"v1"`, resp.Header.Get("Etag"))
				case "short with a length":
					require.Equal(t, "1023", resp.Header.Get("Content-Length"))
				}
				if test.name == "type found in the body" {
					require.Contains(t, resp.Header.Get("Content-Type"), "text/html")
					require.Contains(t, resp.Header.Get("Content-Security-Policy"), "strict-dynamic")
				}
				require.Equal(t, test.vary, strings.Contains(strings.Join(resp.Header.Values("Vary"), ","), "Accept-Encoding"))
			})
		}
	}
}

func TestCompressFlushes(t *testing.T) {
	t.Parallel()
	for _, coding := range []string{"gzip", "zstd"} {
		for _, contentType := range []string{"text/plain", "text/event-stream"} {
			t.Run(coding+" "+contentType, func(t *testing.T) {
				t.Parallel()
				received := make(chan struct{})
				server := mwServe(t, backend.Stack(backend.StackConfig{Logger: slog.New(slog.DiscardHandler)})(mustRun(t, func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("Content-Type", contentType)
					for i := range 3 {
						fmt.Fprintf(w, "data: %d\n\n", i)
						w.(http.Flusher).Flush()
						select {
						case <-received:
						case <-r.Context().Done():
							return
						}
					}
				})))
				r, err := http.NewRequestWithContext(t.Context(), "GET", server.URL, nil)
				require.NoError(t, err)
				r.Header.Set("Accept-Encoding", coding)
				r.Header.Set("Accept", "text/event-stream")
				resp, err := server.Client().Do(r)
				require.NoError(t, err)
				defer resp.Body.Close()
				var reader io.Reader = resp.Body
				switch {
				case contentType == "text/event-stream":
					require.Empty(t, resp.Header.Get("Content-Encoding"))
				case coding == "gzip":
					reader, err = gzip.NewReader(resp.Body)
				default:
					reader, err = zstd.NewReader(resp.Body, zstd.WithDecoderConcurrency(1))
				}
				require.NoError(t, err)
				for i := range 3 { // each arrives before the next is written
					event := make([]byte, len("data: 0\n\n"))
					_, err := io.ReadFull(reader, event)
					require.NoError(t, err)
					require.Equal(t, fmt.Sprintf("data: %d\n\n", i), string(event))
					received <- struct{}{}
				}
				rest, err := io.ReadAll(reader)
				require.NoError(t, err)
				require.Empty(t, rest)
			})
		}
	}
}

// Compressors are reused; responses in parallel do not meet in one.
func TestCompressKeepsResponsesApart(t *testing.T) {
	t.Parallel()
	h := backend.Compress()(mustRun(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		if r.URL.Path == "/panic" {
			io.WriteString(w, strings.Repeat("never", 500))
			panic(http.ErrAbortHandler)
		}
		for range 500 {
			io.WriteString(w, r.URL.Path)
		}
	}))
	var group sync.WaitGroup
	for worker := range 4 {
		group.Go(func() {
			for i := range 100 {
				path := fmt.Sprintf("/%d-%d", worker, i)
				w := httptest.NewRecorder()
				r := httptest.NewRequest("GET", path, nil)
				r.Header.Set("Accept-Encoding", []string{"gzip", "zstd"}[i%2])
				h.ServeHTTP(w, r)
				if text := mwDecode(t, w.Header().Get("Content-Encoding"), w.Body.String()); text != strings.Repeat(path, 500) {
					t.Errorf("%s got %q", path, text)
				}
				r = httptest.NewRequest("GET", "/panic", nil)
				r.Header.Set("Accept-Encoding", "gzip")
				func() {
					defer func() { recover() }()
					h.ServeHTTP(httptest.NewRecorder(), r)
				}()
			}
		})
	}
	group.Wait()
}

// A handler's goroutine that writes after the end gets an error and touches
// nothing that belongs to the next request. Under -race this would show.
func TestCompressIsClosedToLateWriters(t *testing.T) {
	t.Parallel()
	var late http.ResponseWriter
	h := backend.Compress()(mustRun(t, func(w http.ResponseWriter, r *http.Request) {
		late = w
		w.Header().Set("Content-Type", "text/plain")
		io.WriteString(w, strings.Repeat("x", 5000))
	}))
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Accept-Encoding", "gzip")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	length := w.Body.Len()
	_, err := io.WriteString(late, "more")
	require.Error(t, err)
	_, err = late.Write([]byte("more"))
	require.Error(t, err)
	require.Equal(t, length, w.Body.Len())
}

// A handler that asks a compressed handler to write the rest.
func TestCompressInsideCompress(t *testing.T) {
	t.Parallel()
	rest := backend.Compress()(mustRun(t, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, strings.Repeat("rest", 1000))
	}))
	h := backend.Compress()(mustRun(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		io.WriteString(w, "begin ")
		rest.ServeHTTP(w, r)
		io.WriteString(w, " end")
	}))
	for range 2000 { // more than may compress at once
		w := httptest.NewRecorder()
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Accept-Encoding", "gzip")
		h.ServeHTTP(w, r)
		require.Equal(t, "gzip", w.Header().Get("Content-Encoding"))
		require.Equal(t, "begin "+strings.Repeat("rest", 1000)+" end", mwDecode(t, "gzip", w.Body.String()))
	}
}

func TestCompressServesFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	text := strings.Repeat("body { color: teal }\n", 1000)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a.css"), []byte(text), 0o600))
	server := mwServe(t, backend.Stack(backend.StackConfig{Logger: slog.New(slog.DiscardHandler)})(http.FileServer(http.Dir(dir))))

	resp, body := mwDo(t, server, "GET", "/a.css", "", "Accept-Encoding", "gzip")
	require.Equal(t, "gzip", resp.Header.Get("Content-Encoding"))
	require.Equal(t, text, mwDecode(t, "gzip", body))

	modified := resp.Header.Get("Last-Modified")
	resp, body = mwDo(t, server, "GET", "/a.css", "", "Accept-Encoding", "gzip", "If-Modified-Since", modified)
	require.Equal(t, 304, resp.StatusCode)
	require.Empty(t, body)

	resp, body = mwDo(t, server, "GET", "/a.css", "", "Accept-Encoding", "gzip", "Range", "bytes=0-3")
	require.Equal(t, 206, resp.StatusCode)
	require.Equal(t, "body", body)

	resp, body = mwDo(t, server, "GET", "/a.css", "")
	require.Empty(t, resp.Header.Get("Content-Encoding"))
	require.Equal(t, text, body)
	require.Equal(t, strconv.Itoa(len(text)), resp.Header.Get("Content-Length"))
}

func TestCompressAllocations(t *testing.T) {
	mwSkipRace(t)
	body := bytes.Repeat([]byte(`{"title":"a note"},`), 500)
	inner := mustRun(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Content-Type"] = mwJSON
		w.Write(body)
	})
	for _, coding := range []string{"gzip", "zstd"} {
		accept := func(r *http.Request) { r.Header.Set("Accept-Encoding", coding) }
		alone := mwAllocs(t, backend.RequestID()(inner), accept, "", string(body))
		compressed := mwAllocs(t, backend.RequestID()(backend.Compress()(inner)), accept, coding, string(body))
		t.Logf("%s +%v", coding, compressed-alone)
		require.LessOrEqual(t, compressed-alone, 2.0)
	}
}

func ExampleCompress() {
	h := backend.Compress()(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		io.WriteString(w, strings.Repeat("all work and no play\n", 100))
	}))
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Accept-Encoding", "br;q=1.0, gzip;q=0.8, *;q=0.1")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	fmt.Println(w.Header().Get("Content-Encoding"), w.Header().Get("Vary"), w.Body.Len() < 200)
	// Output: gzip Accept-Encoding true
}

// What is answered after Compress has returned, such as the end of the time, is
// not held back for it.
func TestAnswersAfterCompress(t *testing.T) {
	t.Parallel()
	waits := mustRun(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	silent := backend.Compress()(mustRun(t, func(http.ResponseWriter, *http.Request) {}))
	writes := func(text string) http.Handler {
		return backend.Recover()(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			silent.ServeHTTP(w, r)
			io.WriteString(w, text)
		}))
	}
	long := strings.Repeat("a long text ", 1000)
	for name, want := range map[string]struct {
		h      http.Handler
		status int
		body   string
	}{
		"the time is over": {backend.TimeLimit(10 * time.Millisecond)(backend.Compress()(waits)), http.StatusGatewayTimeout, "timeout"},
		"short":            {writes("short"), http.StatusOK, "short"},
		"long":             {writes(long), http.StatusOK, long},
		"panic": {backend.Recover()(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			silent.ServeHTTP(w, r)
			panic("late")
		})), http.StatusInternalServerError, "internal"},
	} {
		server := httptest.NewServer(want.h)
		r, err := http.Get(server.URL) // asks for gzip
		require.NoError(t, err, name)
		body, err := io.ReadAll(r.Body)
		require.NoError(t, err, name)
		require.Equal(t, want.status, r.StatusCode, name)
		require.Contains(t, string(body), want.body, name)
		server.Close()
	}
}

// A body that is shorter or longer than its Content-Length does not look whole, compressed or not.
func TestCompressAbortsShortBodies(t *testing.T) {
	t.Parallel()
	line := strings.Repeat("x", 999) + "\n"
	for lines, whole := range map[int]bool{0: false, 1: false, 9: false, 10: true, 11: true} {
		h := mustRun(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			w.Header().Set("Content-Length", "10000")
			for i := range lines {
				if _, err := io.WriteString(w, line); i >= 10 {
					require.ErrorIs(t, err, http.ErrContentLength)
				}
			}
		})
		server := httptest.NewServer(backend.Stack(backend.StackConfig{Logger: slog.New(slog.DiscardHandler)})(h))
		t.Cleanup(server.Close)
		for _, coding := range []string{"identity", "gzip", "zstd"} {
			r, err := http.NewRequestWithContext(t.Context(), "GET", server.URL, nil)
			require.NoError(t, err)
			r.Header.Set("Accept-Encoding", coding)
			w, err := server.Client().Transport.RoundTrip(r)
			if err == nil {
				_, err = io.ReadAll(w.Body)
				w.Body.Close()
			}
			require.Equal(t, whole, err == nil, "%s: %d: %v", coding, lines, err)
		}
	}
}
