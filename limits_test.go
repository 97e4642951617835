package backend_test

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"github.com/seed-215b9b7c/backend"
	"github.com/stretchr/testify/require"
)

func mwReadAll(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		backend.WriteError(w, r, err)
		return
	}
	fmt.Fprint(w, len(body))
}

func TestStatement59_BodiesOverTheLimitAreRefused(t *testing.T) {
	t.Parallel()
	readAll := mustRun(t, mwReadAll)
	mux := http.NewServeMux()
	mux.Handle("POST /default", readAll)
	mux.Handle("POST /more", backend.BodyLimit(1000)(readAll))
	mux.Handle("POST /less", backend.BodyLimit(10)(readAll))
	mux.Handle("POST /none", backend.BodyLimit(0)(readAll))
	mux.Handle("POST /less/then/more", backend.BodyLimit(10)(backend.BodyLimit(1000)(readAll)))
	mux.HandleFunc("POST /multipart", func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseMultipartForm(1 << 20); err != nil {
			backend.WriteError(w, r, err)
		}
	})
	mux.HandleFunc("POST /form", func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			backend.WriteError(w, r, err)
		}
	})
	server := mwServe(t, backend.Stack(backend.StackConfig{Logger: slog.New(slog.DiscardHandler), MaxBody: 100})(mux))

	tests := []struct {
		path          string
		length, limit int
	}{
		{"/default", 100, 100}, {"/default", 101, 100}, {"/default", 1 << 20, 100},
		{"/more", 1000, 1000}, {"/more", 1001, 1000},
		{"/less", 10, 10}, {"/less", 11, 10},
		{"/none", 1, 0},
		{"/less/then/more", 1000, 1000}, {"/less/then/more", 1001, 1000},
		{"/form", 101, 100},
	}
	for _, test := range tests {
		for _, chunked := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s %d chunked %v", test.path, test.length, chunked), func(t *testing.T) {
				var body io.Reader = strings.NewReader(strings.Repeat("x", test.length))
				if chunked {
					body = io.MultiReader(body) // of unknown length
				}
				r, err := http.NewRequestWithContext(t.Context(), "POST", server.URL+test.path, body)
				require.NoError(t, err)
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				resp, err := server.Client().Do(r)
				require.NoError(t, err)
				defer resp.Body.Close()
				text, err := io.ReadAll(resp.Body)
				require.NoError(t, err)
				if test.length <= test.limit {
					require.Equal(t, 200, resp.StatusCode)
					require.Equal(t, fmt.Sprint(test.length), string(text))
					return
				}
				require.Equal(t, 413, resp.StatusCode)
				require.Contains(t, string(text), fmt.Sprintf("limit of %d bytes", test.limit))
				require.True(t, resp.Close, "the rest of the body is not waited for")
			})
		}
	}

	var form bytes.Buffer
	parts := multipart.NewWriter(&form)
	part, err := parts.CreateFormFile("file", "a.txt")
	require.NoError(t, err)
	io.WriteString(part, strings.Repeat("x", 500))
	parts.Close()
	resp, _ := mwDo(t, server, "POST", "/multipart", form.String(), "Content-Type", parts.FormDataContentType())
	require.Equal(t, 413, resp.StatusCode)
}

// endless is a body without an end.
type endless struct{ read int64 }

func (e *endless) Read(p []byte) (int, error) {
	e.read += int64(len(p))
	return len(p), nil
}
func (e *endless) Close() error { return nil }

func TestStatement59_MemoryIsBounded(t *testing.T) {
	h := backend.BodyLimit(1 << 20)(mustRun(t, mwReadAll))
	for _, length := range []int64{-1, 1 << 40} {
		body := &endless{}
		r := httptest.NewRequest("POST", "/", nil)
		r.Body, r.ContentLength = body, length
		w := httptest.NewRecorder()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		h.ServeHTTP(w, r)
		runtime.ReadMemStats(&after)
		require.Equal(t, 413, w.Code)
		require.LessOrEqual(t, body.read, int64(1<<20+1))
		require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(16<<20))
		if length > 0 {
			require.Zero(t, body.read, "a body that says it is too long is not read at all")
		}
	}
}

// A client that waits for 100 Continue before sending too much never sends it.
func TestMaxBodySendsNoContinueForTooMuch(t *testing.T) {
	t.Parallel()
	server := mwServe(t, backend.BodyLimit(10)(mustRun(t, mwReadAll)))
	for length, want := range map[string]string{"10": "HTTP/1.1 100 Continue", "11": "HTTP/1.1 413 Request Entity Too Large"} {
		_, reader := mwRaw(t, server, "POST / HTTP/1.1\r\nHost: a.example\r\nExpect: 100-continue\r\nContent-Length: "+length+"\r\n\r\n")
		line, err := reader.ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, want, strings.TrimSpace(line))
	}
}

func TestBodiesThatBreakOffAreTheClientsFault(t *testing.T) {
	t.Parallel()
	log := newMWLog()
	server := mwServe(t, backend.Stack(backend.StackConfig{Logger: log.Logger})(mustRun(t, mwReadAll)))
	conn, _ := mwRaw(t, server, "POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 10\r\n\r\nhello")
	conn.Close()
	record := log.next(t)
	require.Equal(t, "INFO", record["level"])
	require.Contains(t, record["error"], "unexpected EOF")

	_, reader := mwRaw(t, server, "POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\nnot a chunk\r\n")
	resp, err := http.ReadResponse(reader, nil)
	require.NoError(t, err)
	resp.Body.Close()
	require.Equal(t, 400, resp.StatusCode)
}

// A reader of another middleware between two limits still works.
func TestMaxBodyAroundAForeignReader(t *testing.T) {
	t.Parallel()
	foreign := func(next http.Handler) http.Handler {
		return mustRun(t, func(w http.ResponseWriter, r *http.Request) {
			r.Body = struct {
				io.Reader
				io.Closer
			}{io.MultiReader(r.Body), r.Body}
			next.ServeHTTP(w, r)
		})
	}
	h := backend.BodyLimit(5)(foreign(backend.BodyLimit(8)(mustRun(t, mwReadAll))))
	for length, status := range map[int]int{8: 200, 9: 413} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("POST", "/", strings.NewReader(strings.Repeat("x", length))))
		require.Equal(t, status, w.Code)
	}
}

func ExampleBodyLimit() {
	upload := http.HandlerFunc(mwReadAll)
	mux := http.NewServeMux()
	mux.Handle("POST /notes", upload)
	mux.Handle("POST /photos", backend.BodyLimit(1000)(upload))
	h := backend.BodyLimit(10)(mux)
	for _, path := range []string{"/notes", "/photos"} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("POST", path, strings.NewReader("eleven bytes")))
		fmt.Println(path, w.Code)
	}
	// Output:
	// /notes 413
	// /photos 200
}
