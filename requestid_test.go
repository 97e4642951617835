package backend_test

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/seed-215b9b7c/backend"
	"github.com/stretchr/testify/require"
)

func TestRequestIDKeepsOnlySafeIDs(t *testing.T) {
	t.Parallel()
	server := mwServe(t, backend.RequestID()(mustRun(t, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, backend.RequestIDFrom(r.Context()))
	})))
	tests := []struct {
		name string
		sent []string
		kept bool
	}{
		{"none", nil, false},
		{"one letter", []string{"a"}, true},
		{"a uuid", []string{"0d6fa7d2-7d34-4b3e-8d4b-2b2d3f6b7a10"}, true},
		{"all kinds", []string{"Az09._-"}, true},
		{"64", []string{strings.Repeat("x", 64)}, true},
		{"65", []string{strings.Repeat("x", 65)}, false},
		{"empty", []string{""}, false},
		{"two", []string{"a", "b"}, false},
		{"space", []string{"a b"}, false},
		{"markup", []string{"<script>"}, false},
		{"slash", []string{"../x"}, false},
		{"not ascii", []string{"ä"}, false},
		{"quote", []string{`a"b`}, false},
		{"at and bracket", []string{"@["}, false},
		{"backtick and brace", []string{"`{"}, false},
	}
	seen := map[string]bool{}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var headers []string
			for _, id := range test.sent {
				headers = append(headers, "X-Request-Id", id)
			}
			resp, body := mwDo(t, server, "GET", "/", "", headers...)
			got := resp.Header.Values("X-Request-Id")
			require.Len(t, got, 1)
			require.Equal(t, body, got[0])
			if test.kept {
				require.Equal(t, test.sent[0], got[0])
				return
			}
			require.Regexp(t, "^[0-9a-f]{32}$", got[0])
			require.NotContains(t, seen, got[0])
			seen[got[0]] = true
		})
	}
}

func TestStatement07_LineBreaksNeverReachAHeader(t *testing.T) {
	t.Parallel()
	server := mwServe(t, backend.Stack(backend.StackConfig{Logger: slog.New(slog.DiscardHandler)})(mustRun(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Echo", r.URL.Query().Get("v"))
		w.Header().Set("Content-Type", "text/html\r\nSet-Cookie: b=1")
		io.WriteString(w, "ok")
	})))
	resp, _ := mwDo(t, server, "GET", "/?v=a%0d%0aSet-Cookie:%20a=1", "")
	require.Equal(t, 200, resp.StatusCode)
	require.Empty(t, resp.Header.Values("Set-Cookie"))
	// A raw line break in the id ends the header line; a bare CR or LF is refused.
	for _, id := range []string{"a\rSet-Cookie: c=1", "a\nSet-Cookie: c=1", "a\x00b"} {
		_, reader := mwRaw(t, server, "GET / HTTP/1.1\r\nHost: a.example\r\nX-Request-Id: "+id+"\r\nConnection: close\r\n\r\n")
		resp, err := http.ReadResponse(reader, nil)
		require.NoError(t, err)
		resp.Body.Close()
		require.Empty(t, resp.Header.Values("Set-Cookie"))
		require.NotContains(t, resp.Header.Get("X-Request-Id"), "Set-Cookie")
	}
}

func ExampleRequestID() {
	h := backend.RequestID()(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "this is request ", backend.RequestIDFrom(r.Context()))
	}))
	w := httptest.NewRecorder()
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("X-Request-Id", "from-the-proxy-1")
	h.ServeHTTP(w, r)
	fmt.Println(w.Body)
	// Output: this is request from-the-proxy-1
}
