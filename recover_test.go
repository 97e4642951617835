package backend_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"

	"github.com/seed-215b9b7c/backend"
	"github.com/stretchr/testify/require"
)

func TestRecoverAnswersAndLogsOnce(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		handler http.HandlerFunc
		says    string
	}{
		{"a value", func(http.ResponseWriter, *http.Request) { panic("boom 17") }, "panic: boom 17"},
		{"an error", func(http.ResponseWriter, *http.Request) { panic(io.ErrNoProgress) }, "panic: " + io.ErrNoProgress.Error()},
		{"an error that would be shown if returned", func(http.ResponseWriter, *http.Request) {
			panic(&backend.Error{Code: backend.NotFound, Message: "secret"})
		}, "panic: not_found: secret"},
		{"a runtime error", func(w http.ResponseWriter, r *http.Request) {
			_ = []int{}[len(r.URL.Path)]
		}, "index out of range"},
		{"after a header that was not sent", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			w.Header().Set("Content-Length", "5000")
			w.Header().Del("Content-Length")
			w.WriteHeader(http.StatusAccepted)
			io.WriteString(w, "too short to have been sent")
			panic("boom 18")
		}, "panic: boom 18"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			log := newMWLog()
			server := mwServe(t, backend.Stack(backend.StackConfig{Logger: log.Logger})(test.handler))
			resp, body := mwDo(t, server, "GET", "/p", "", "Accept-Encoding", "gzip")
			require.Equal(t, 500, resp.StatusCode)
			require.Equal(t, "application/problem+json", resp.Header.Get("Content-Type"))
			require.Contains(t, body, `"code":"internal"`)
			require.NotContains(t, body, "secret")
			require.NotContains(t, body, "boom")

			record := log.next(t)
			require.Equal(t, "ERROR", record["level"])
			require.EqualValues(t, 500, record["status"])
			require.Contains(t, record["error"], test.says)
			require.Contains(t, record["stack"], "recover_test.go")
			require.Contains(t, body, record["request_id"])
			require.Empty(t, log.lines, "one record per request")
		})
	}
}

func TestRecoverCutsAnAnswerThatHasBegun(t *testing.T) {
	t.Parallel()
	log := newMWLog()
	server := mwServe(t, backend.Stack(backend.StackConfig{Logger: log.Logger})(mustRun(t, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "half an ans")
		w.(http.Flusher).Flush()
		panic("boom")
	})))
	resp, err := server.Client().Get(server.URL)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, 200, resp.StatusCode)
	_, err = io.ReadAll(resp.Body)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	record := log.next(t)
	require.Equal(t, "ERROR", record["level"])
	require.EqualValues(t, 200, record["status"])
	require.Equal(t, "internal: panic: boom", record["error"])
}

func TestRecoverPassesErrAbortHandlerOn(t *testing.T) {
	t.Parallel()
	log := newMWLog()
	h := backend.Stack(backend.StackConfig{Logger: log.Logger})(mustRun(t, func(w http.ResponseWriter, r *http.Request) {
		panic(http.ErrAbortHandler)
	}))
	require.PanicsWithError(t, http.ErrAbortHandler.Error(), func() {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	})
	record := log.next(t)
	require.EqualValues(t, 0, record["status"])
	require.Empty(t, log.lines)
}

func TestRecoverLogsAHandlerThatExits(t *testing.T) {
	t.Parallel()
	log := newMWLog()
	h := backend.Stack(backend.StackConfig{Logger: log.Logger})(mustRun(t, func(http.ResponseWriter, *http.Request) {
		runtime.Goexit()
	}))
	done := make(chan struct{})
	go func() {
		defer close(done)
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	}()
	<-done
	require.EqualValues(t, 0, log.next(t)["status"])
}

// The access log alone records a panic that it does not recover.
func TestAccessLogWithoutRecover(t *testing.T) {
	t.Parallel()
	log := newMWLog()
	h := backend.AccessLog(log.Logger)(mustRun(t, func(http.ResponseWriter, *http.Request) { panic(errors.New("up")) }))
	require.PanicsWithError(t, "up", func() { h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)) })
	require.EqualValues(t, 0, log.next(t)["status"])
}

// In the other order there is still one record, and it has the answer's status.
func TestAccessLogOutsideRecover(t *testing.T) {
	t.Parallel()
	log := newMWLog()
	h := backend.AccessLog(log.Logger)(backend.Recover()(mustRun(t, func(http.ResponseWriter, *http.Request) { panic("up") })))
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	require.EqualValues(t, 500, log.next(t)["status"])
	require.Empty(t, log.lines)
}

func ExampleRecover() {
	h := backend.Recover()(backend.AccessLog(newMWLog().Logger)(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		panic("a bug")
	})))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	fmt.Println(w.Code)
	fmt.Print(w.Body)
	// Output:
	// 500
	// {"type":"about:blank","title":"Internal Server Error","status":500,"detail":"Something went wrong on our side.","code":"internal"}
}
