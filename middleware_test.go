package backend_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-215b9b7c/backend"
	"github.com/stretchr/testify/require"
)

// mwServe serves h over a loopback connection until the test ends.
func mwServe(t *testing.T, h http.Handler) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(h)
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.Start()
	t.Cleanup(server.Close)
	return server
}

// mwDo sends a request with the headers given as name, value pairs and reads
// the whole answer. It follows no redirect and asks for no compression.
func mwDo(t *testing.T, server *httptest.Server, method, path, body string, headers ...string) (*http.Response, string) {
	t.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	r, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, reader)
	require.NoError(t, err)
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
			continue
		}
		r.Header.Add(headers[i], headers[i+1])
	}
	client := *server.Client()
	transport := client.Transport.(*http.Transport).Clone()
	transport.DisableCompression = true
	defer transport.CloseIdleConnections()
	client.Transport = transport
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, err := client.Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp, string(text)
}

// mwRaw sends bytes on a fresh connection and returns the connection.
func mwRaw(t *testing.T, server *httptest.Server, request string) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(20*time.Second)))
	_, err = io.WriteString(conn, request)
	require.NoError(t, err)
	return conn, bufio.NewReader(conn)
}

// mwLog is a logger whose records can be waited for.
type mwLog struct {
	*slog.Logger
	lines chan string
}

func newMWLog() *mwLog {
	l := &mwLog{lines: make(chan string, 100)}
	l.Logger = slog.New(slog.NewJSONHandler(l, nil))
	return l
}

func (l *mwLog) Write(p []byte) (int, error) {
	l.lines <- string(p)
	return len(p), nil
}

// next returns the next record.
func (l *mwLog) next(t *testing.T) map[string]any {
	t.Helper()
	select {
	case line := <-l.lines:
		require.Equal(t, 1, strings.Count(line, "\n"), "a record is one line")
		var record map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &record))
		return record
	case <-time.After(20 * time.Second):
		t.Fatal("no record was logged")
		return nil
	}
}

// directives parses a Content-Security-Policy (CSP level 3, section 2.2.1).
func directives(t *testing.T, head http.Header) map[string]string {
	t.Helper()
	require.Len(t, head.Values("Content-Security-Policy"), 1)
	parsed := map[string]string{}
	for token := range strings.SplitSeq(head.Get("Content-Security-Policy"), ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(token), " ")
		require.NotContains(t, parsed, name, "a directive given twice is ignored")
		parsed[name] = value
	}
	return parsed
}

func TestStatement01_EveryResponseIsProtected_ASVS_3_4_3_to_3_4_6(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /json", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, "{}")
	})
	mux.HandleFunc("GET /html", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "<!doctype html><p>hi") })
	mux.HandleFunc("GET /empty", func(w http.ResponseWriter, r *http.Request) {})
	mux.HandleFunc("GET /204", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusNoContent) })
	mux.HandleFunc("GET /304", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusNotModified) })
	mux.HandleFunc("GET /redirect", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/json", http.StatusSeeOther) })
	mux.HandleFunc("GET /panic", func(w http.ResponseWriter, r *http.Request) { panic("oh") })
	mux.HandleFunc("GET /500", func(w http.ResponseWriter, r *http.Request) { backend.WriteError(w, r, io.ErrNoProgress) })
	mux.HandleFunc("GET /503", func(w http.ResponseWriter, r *http.Request) {
		backend.WriteError(w, r, &backend.Error{Code: backend.Unavailable})
	})
	mux.HandleFunc("POST /body", func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.ReadAll(r.Body); err != nil {
			backend.WriteError(w, r, err)
		}
	})
	var reached atomic.Int64
	app := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { reached.Add(1); mux.ServeHTTP(w, r) })
	server := mwServe(t, backend.Stack(backend.StackConfig{
		Logger: slog.New(slog.DiscardHandler), Hosts: []string{"127.0.0.1"}, MaxBody: 10, CORS: backend.CORSConfig{Origins: []string{"https://a.example"}},
	})(app))
	limited := mwServe(t, backend.Stack(backend.StackConfig{Logger: slog.New(slog.DiscardHandler), RequestsPerMinute: 1})(app))
	mwDo(t, limited, "GET", "/json", "")

	tests := []struct {
		name, method, path string
		status             int
		headers            []string
	}{
		{"json", "GET", "/json", 200, nil},
		{"html", "GET", "/html", 200, nil},
		{"head of html", "HEAD", "/html", 200, nil},
		{"nothing written", "GET", "/empty", 200, nil},
		{"no content", "GET", "/204", 204, nil},
		{"not modified", "GET", "/304", 304, nil},
		{"redirect", "GET", "/redirect", 303, nil},
		{"not found", "GET", "/nowhere", 404, nil},
		{"method not allowed", "PUT", "/json", 405, []string{"Origin", "http://127.0.0.1", "Sec-Fetch-Site", "same-origin"}},
		{"panic", "GET", "/panic", 500, nil},
		{"panic for a browser", "GET", "/panic", 500, []string{"Accept", "text/html"}},
		{"internal error", "GET", "/500", 500, nil},
		{"unavailable", "GET", "/503", 503, nil},
		{"other host", "GET", "/json", 421, []string{"Host", "evil.example"}},
		{"cross-site", "POST", "/body", 403, []string{"Sec-Fetch-Site", "cross-site"}},
		{"body too large", "POST", "/body", 413, nil},
		{"trace", "TRACE", "/json", 501, nil},
		{"preflight", "OPTIONS", "/json", 204, []string{"Origin", "https://a.example", "Access-Control-Request-Method", "PUT"}},
		{"rate limited", "GET", "/json", 429, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			to, body := server, ""
			if test.status == 429 {
				to = limited
			}
			if test.method == "POST" {
				body = "more than ten bytes"
			}
			before := reached.Load()
			resp, _ := mwDo(t, to, test.method, test.path, body, test.headers...)
			require.Equal(t, test.status, resp.StatusCode)
			refused := slices.Contains([]string{"other host", "cross-site", "trace", "preflight", "rate limited"}, test.name)
			require.Equal(t, !refused, reached.Load() > before, "the application has seen it")
			require.Equal(t, []string{"nosniff"}, resp.Header.Values("X-Content-Type-Options"))
			if test.status == 304 { // the stored response keeps its policy (RFC 9111, section 3.2)
				require.Empty(t, resp.Header.Values("Content-Security-Policy"))
				require.Empty(t, resp.Header.Values("Referrer-Policy"))
				return
			}
			policy := directives(t, resp.Header)
			require.Equal(t, "'none'", policy["frame-ancestors"])
			require.Equal(t, "'none'", policy["base-uri"])
			require.True(t, policy["object-src"] == "'none'" || policy["default-src"] == "'none'")
			require.NotEmpty(t, resp.Header.Get("Referrer-Policy"))
			require.Equal(t, "same-origin", resp.Header.Get("Cross-Origin-Resource-Policy"))
			require.Empty(t, resp.Header.Values("Strict-Transport-Security"))
		})
	}
}

func TestStatement01_ErrorsAreProtectedWithoutAnyMiddleware(t *testing.T) {
	t.Parallel()
	server := mwServe(t, mustRun(t, func(w http.ResponseWriter, r *http.Request) {
		backend.WriteError(w, r, &backend.Error{Code: backend.Conflict})
	}))
	resp, _ := mwDo(t, server, "GET", "/", "")
	require.Equal(t, 409, resp.StatusCode)
	require.Equal(t, "nosniff", resp.Header.Get("X-Content-Type-Options"))
	require.Equal(t, "'none'", directives(t, resp.Header)["frame-ancestors"])
	require.Equal(t, "no-store", resp.Header.Get("Cache-Control"))
}

func TestStatement04_RepliesDoNotTellWhatRunsHere_ASVS_13_4_6(t *testing.T) {
	t.Parallel()
	secret := fmt.Errorf("open /srv/app/notes.db: SELECT password FROM users: go1.26 %w", io.ErrUnexpectedEOF)
	log := newMWLog()
	server := mwServe(t, backend.Stack(backend.StackConfig{Logger: log.Logger})(mustRun(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/panic" {
			panic(secret)
		}
		backend.WriteError(w, r, secret)
	})))
	for _, path := range []string{"/error", "/panic"} {
		for _, accept := range []string{"application/json", "text/html"} {
			resp, body := mwDo(t, server, "GET", path, "", "Accept", accept)
			require.Equal(t, 500, resp.StatusCode)
			require.Empty(t, resp.Header.Values("Server"))
			require.Empty(t, resp.Header.Values("X-Powered-By"))
			for _, leak := range []string{"srv", "SELECT", "go1", "goroutine", ".go:", "EOF"} {
				require.NotContains(t, body, leak)
			}
			// Statement 65: the id leads to the rest, in the log.
			record := log.next(t)
			require.Contains(t, body, record["request_id"])
			require.Contains(t, record["error"], "SELECT password")
		}
	}
}

func TestStatement06_TraceAndConnectAreRefused_ASVS_13_4_4(t *testing.T) {
	t.Parallel()
	var called atomic.Bool
	server := mwServe(t, backend.Stack(backend.StackConfig{Logger: slog.New(slog.DiscardHandler)})(mustRun(t, func(http.ResponseWriter, *http.Request) {
		called.Store(true)
	})))
	for _, line := range []string{"TRACE / HTTP/1.1", "CONNECT example.com:443 HTTP/1.1"} {
		_, reader := mwRaw(t, server, line+"\r\nHost: example.com:443\r\nCookie: a=b\r\nConnection: close\r\n\r\n")
		resp, err := http.ReadResponse(reader, nil)
		require.NoError(t, err)
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.Equal(t, 501, resp.StatusCode)
		require.NotContains(t, string(body), "a=b")
	}
	require.False(t, called.Load())
	resp, _ := mwDo(t, server, "GET", "/", "")
	require.Equal(t, 200, resp.StatusCode, "others are served")
	require.True(t, called.Load())
}

func TestStatement08_ConflictingLengthsAreRefused_ASVS_4_2_1(t *testing.T) {
	t.Parallel()
	var called atomic.Bool
	server := mwServe(t, backend.Stack(backend.StackConfig{Logger: slog.New(slog.DiscardHandler)})(mustRun(t, func(http.ResponseWriter, *http.Request) {
		called.Store(true)
	})))
	tests := []struct {
		name, headers string
		status        int
	}{
		{"two lengths", "Content-Length: 5\r\nContent-Length: 6\r\n", 400},
		{"negative length", "Content-Length: -1\r\n", 400},
		{"unknown transfer coding", "Transfer-Encoding: xchunked\r\n", 501},
		{"two transfer codings", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", 501},
		{"one length", "Content-Length: 5\r\n", 200},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, reader := mwRaw(t, server, "POST / HTTP/1.1\r\nHost: a.example\r\n"+test.headers+"\r\nhello")
			resp, err := http.ReadResponse(reader, nil)
			require.NoError(t, err)
			resp.Body.Close()
			require.Equal(t, test.status, resp.StatusCode)
			require.Equal(t, test.status == 200, called.Load())
		})
	}
}

func TestStatement62_InvalidLimitsStopTheStart(t *testing.T) {
	t.Parallel()
	none := http.NotFoundHandler()
	tests := []struct {
		name  string
		start func()
		says  string
	}{
		{"body", func() { backend.BodyLimit(-1) }, `backend: BodyLimit: body limit -1 is negative`},
		{"time", func() { backend.TimeLimit(0) }, `backend: TimeLimit: time limit 0s is not positive`},
		{"running", func() { backend.ConcurrencyLimit(0, time.Second) }, `backend: ConcurrencyLimit: concurrency limit 0 is below 1`},
		{"queue wait", func() { backend.ConcurrencyLimit(1, -1) }, `backend: ConcurrencyLimit: queue wait -1ns is not positive`},
		{"rate", func() { backend.RateLimit(0, time.Second) }, `backend: RateLimit: rate limit of 0 requests is below 1`},
		{"rate period", func() { backend.RateLimit(1, -1) }, `backend: RateLimit: rate limit period -1ns is not positive`},
		{"host", func() { backend.Hosts("https://a.example") }, `backend: Hosts: host "https://a.example" is neither a name nor an address, such as example.com, *.example.com, localhost:8080 or [::1]`},
		{"proxy", func() { backend.TrustProxies("10.0.0.0/99") }, `backend: TrustProxies: trusted proxy "10.0.0.0/99" is neither an address range such as 10.0.0.0/8, nor an address, nor unix`},
		{"all proxies", func() { backend.TrustProxies("0.0.0.0/0") }, `backend: TrustProxies: trusted proxy "0.0.0.0/0" includes all addresses: each client could claim another address`},
		{"policy", func() {
			backend.SecureHeaders(backend.HeadersConfig{HTMLPolicy: "default-src 'none'; base-uri 'none'"})
		},
			`backend: SecureHeaders: HTMLPolicy "default-src 'none'; base-uri 'none'" has no frame-ancestors; add one, such as frame-ancestors 'none'`},
		{"header injection", func() { backend.SecureHeaders(backend.HeadersConfig{PermissionsPolicy: "a\r\nb"}) },
			`backend: SecureHeaders: PermissionsPolicy "a\r\nb" has a character that a header cannot carry`},
		{"hsts", func() { backend.SecureHeaders(backend.HeadersConfig{HSTS: -1}) }, `backend: SecureHeaders: HSTS -1ns is shorter than a second`},
		{"origin", func() { backend.CrossOrigin("https://a.example/") }, `backend: CrossOrigin: origin "https://a.example/" is not of the form https://example.com, without a path or slash at the end`},
		{"null origin", func() { backend.CORS(backend.CORSConfig{Origins: []string{"null"}}) }, `backend: CORS: origin "null" is not of the form https://example.com, without a path or slash at the end`},
		{"any origin with credentials", func() { backend.CORS(backend.CORSConfig{Origins: []string{"*"}, Credentials: true}) },
			`backend: CORS: origin "*" with Credentials would give every site the user's account; list the origins`},
		{"several at once", func() {
			backend.Stack(backend.StackConfig{MaxBody: -1, Timeout: -1, MaxConcurrent: -1, QueueWait: -1, RequestsPerMinute: -1, Hosts: []string{"*"}})(none)
		}, `backend: Stack: host "*" is neither a name nor an address, such as example.com, *.example.com, localhost:8080 or [::1]; body limit -1 is negative; ` +
			`Timeout -1ns is not positive; concurrency limit -1 is below 1; QueueWait -1ns is not positive; RequestsPerMinute -1 is negative`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			require.PanicsWithValue(t, test.says, test.start)
		})
	}
}

// Middleware of others between ours, and ours between theirs, share one
// response and one request id.
func TestMiddlewareMixesWithOthers(t *testing.T) {
	t.Parallel()
	log := newMWLog()
	foreign := func(next http.Handler) http.Handler {
		return mustRun(t, func(w http.ResponseWriter, r *http.Request) {
			type key struct{}
			next.ServeHTTP(foreignWriter{w}, r.WithContext(context.WithValue(r.Context(), key{}, 1)))
		})
	}
	var inside string
	h := http.Handler(mustRun(t, func(w http.ResponseWriter, r *http.Request) {
		inside = backend.RequestIDFrom(r.Context())
		w.WriteHeader(http.StatusTeapot)
		io.WriteString(w, "short and stout")
	}))
	h = backend.Recover()(foreign(backend.RequestID()(foreign(backend.AccessLog(log.Logger)(foreign(backend.Compress()(h)))))))
	resp, body := mwDo(t, mwServe(t, h), "GET", "/", "", "X-Request-Id", "abc")
	require.Equal(t, "short and stout", body)
	require.Equal(t, "abc", resp.Header.Get("X-Request-Id"))
	require.Equal(t, "abc", inside)
	record := log.next(t)
	require.EqualValues(t, 418, record["status"])
	require.EqualValues(t, 15, record["bytes"])
}

type foreignWriter struct{ http.ResponseWriter }

func (w foreignWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// A wrapper that cannot be unwrapped and runs the handler on another goroutine
// must not share the exchange; under -race this test would fail.
func TestTimeoutHandlerInsideTheStackIsSafe(t *testing.T) {
	t.Parallel()
	log := newMWLog()
	late := make(chan struct{})
	done := make(chan struct{})
	slow := mustRun(t, func(w http.ResponseWriter, r *http.Request) {
		defer close(done)
		<-late
		w.Header().Set("Content-Type", "text/html")
		backend.WriteError(w, r, &backend.Error{Code: backend.NotFound})
	})
	inner := backend.SecureHeaders(backend.HeadersConfig{})(backend.Compress()(slow))
	server := mwServe(t, backend.Stack(backend.StackConfig{Logger: log.Logger})(http.TimeoutHandler(inner, time.Millisecond, "slow")))
	resp, _ := mwDo(t, server, "GET", "/", "")
	require.Equal(t, 503, resp.StatusCode)
	close(late)
	<-done
	require.EqualValues(t, 503, log.next(t)["status"])
}

func ExampleStack() {
	logger := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == "time" || a.Key == "duration" || a.Key == "client_ip" {
			return slog.Attr{} // different every time
		}
		return a
	}}))
	mux := http.NewServeMux()
	mux.HandleFunc("GET /hello/{name}", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "Hello, %s!", r.PathValue("name"))
	})
	h := backend.Stack(backend.StackConfig{Logger: logger, Hosts: []string{"example.com"}})(mux)

	w := httptest.NewRecorder()
	r := httptest.NewRequest("GET", "http://example.com/hello/gopher?token=secret", nil)
	r.Header.Set("X-Request-Id", "example-1")
	h.ServeHTTP(w, r)
	fmt.Println(w.Code, w.Body)
	fmt.Println(w.Header().Get("Content-Security-Policy"))
	// Output:
	// level=INFO msg=request method=GET route="GET /hello/{name}" path=/hello/gopher status=200 bytes=14 request_id=example-1
	// 200 Hello, gopher!
	// default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'
}
