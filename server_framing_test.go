package backend_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
)

// Statement 8 [ASVS 4.2.1]: where a request ends is never a matter of opinion.
// What follows a request that two parties may have framed differently is not
// read as a request (RFC 9112, section 6.1: "the server MUST close the connection
// after responding to such a request"); what cannot be framed is refused.
func TestServeLetsNoRequestBeSmuggled(t *testing.T) {
	t.Parallel()
	const smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
	tests := []struct {
		name    string
		request string // smuggled is sent behind it
		status  int
		body    string
	}{
		{"both lengths, Content-Length first", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 40\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 200, "POST: 0 bytes"},
		{"both lengths, Transfer-Encoding first", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 40\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 200, "POST: 3 bytes"},
		{"both lengths on a GET", "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 40\r\n\r\n0\r\n\r\n", 200, "GET: 0 bytes"},
		{"both lengths, in odd letters", "POST / HTTP/1.1\r\nHost: a\r\ncontent-length: 40\r\ntransfer-encoding: CHUNKED\r\n\r\n0\r\n\r\n", 200, "POST: 0 bytes"},
		{"Transfer-Encoding in HTTP/1.0, with a length", "POST / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc", 200, "POST: 3 bytes"},
		{"Transfer-Encoding in HTTP/1.0, without", "POST / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n", 200, "POST: 0 bytes"},
		{"two lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 40\r\n\r\n", 400, ""},
		{"a list of lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0, 40\r\n\r\n", 400, ""},
		{"a length with a sign", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +0\r\n\r\n", 400, ""},
		{"both, with a wrong length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, ""},
		{"space before the colon", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400, ""},
		{"an unknown coding", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\nContent-Length: 0\r\n\r\n", 501, ""},
		{"chunked is not the last coding", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\nContent-Length: 0\r\n\r\n", 501, ""},
		{"chunked twice", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 501, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var handled atomic.Int32
			s := serveTCP(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				handled.Add(1)
				body, _ := io.ReadAll(r.Body)
				fmt.Fprintf(w, "%s: %d bytes", r.Method, len(body))
			}), backend.ServerConfig{IdleTimeout: time.Second})
			conn := s.dial(t)
			send(t, conn, test.request+smuggled)
			said, _ := io.ReadAll(conn) // until it is closed, perhaps by a reset
			r := bufio.NewReader(bytes.NewReader(said))
			response, err := http.ReadResponse(r, nil)
			require.NoError(t, err)
			require.Equal(t, test.status, response.StatusCode)
			body, err := io.ReadAll(response.Body)
			require.NoError(t, err)
			want := int32(0)
			if test.status == 200 {
				require.Equal(t, test.body, string(body))
				want = 1
			}
			require.True(t, response.Close || response.ProtoMinor == 0, "Connection: close")
			require.Equal(t, want, handled.Load())
			_, err = r.ReadByte()
			require.ErrorIs(t, err, io.EOF, "one answer")
		})
	}
}

// A handler cannot open what Serve closes, however it writes.
func TestServeLetsNoRequestBeSmuggledPastAHandlerThatKeepsConnectionsAlive(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		write func(w http.ResponseWriter)
	}{
		{"not at all", func(w http.ResponseWriter) {}},
		{"header", func(w http.ResponseWriter) { w.WriteHeader(http.StatusOK) }},
		{"body", func(w http.ResponseWriter) { io.WriteString(w, "hello") }},
		{"stream", func(w http.ResponseWriter) {
			if err := http.NewResponseController(w).Flush(); err != nil {
				t.Error(err)
			}
		}},
		{"old stream", func(w http.ResponseWriter) { w.(http.Flusher).Flush() }},
		{"copy", func(w http.ResponseWriter) { io.Copy(w, bytes.NewReader(tail)) }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var handled atomic.Int32
			conn := serveTCP(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				handled.Add(1)
				w.Header().Set("Connection", "keep-alive")
				test.write(w)
			}), backend.ServerConfig{IdleTimeout: time.Second}).dial(t)
			send(t, conn, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 40\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"+getRoot)
			said, _ := io.ReadAll(conn)
			require.Contains(t, string(said), "\r\nConnection: close\r\n")
			require.EqualValues(t, 1, handled.Load())
		})
	}
}

// A handler can take the connection over after such a request too.
func TestServeLetsHandlersHijackAmbiguousRequests(t *testing.T) {
	t.Parallel()
	conn := serveTCP(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		require.NoError(t, err)
		io.WriteString(conn, "taken")
		conn.Close()
	}), backend.ServerConfig{}).dial(t)
	send(t, conn, "GET / HTTP/1.0\r\n\r\n")
	said, err := io.ReadAll(conn)
	require.NoError(t, err)
	require.Equal(t, "taken", string(said))
}

// Connections are used again after requests that can be read in one way only.
func TestServeKeepsConnectionsAlive(t *testing.T) {
	t.Parallel()
	conn := serveTCP(t, sayHello, backend.ServerConfig{}).dial(t)
	for _, request := range []string{
		getRoot,
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
		"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n" + getRoot,
	} {
		send(t, conn, request)
	}
	r := bufio.NewReader(conn)
	for i, method := range []string{"GET", "POST", "POST", "HEAD", "GET"} {
		response, err := http.ReadResponse(r, &http.Request{Method: method})
		require.NoError(t, err, i)
		_, err = io.ReadAll(response.Body)
		require.NoError(t, err, i)
		require.False(t, response.Close, i)
	}
}

// OPTIONS * reaches the router, which answers as RFC 9110, section 9.3.7, has it.
func TestServeAnswersOptionsForTheServer(t *testing.T) {
	t.Parallel()
	r := backend.NewRouter()
	r.Handle("GET /a", sayHello)
	r.Handle("DELETE /b", sayHello)
	conn := serveTCP(t, r, backend.ServerConfig{}).dial(t)
	response, body := ask(t, conn, "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n")
	require.Equal(t, 204, response.StatusCode)
	require.Empty(t, body)
	require.Equal(t, "DELETE, GET, HEAD, OPTIONS", response.Header.Get("Allow"))
	require.Equal(t, "nosniff", response.Header.Get("X-Content-Type-Options"))
}
