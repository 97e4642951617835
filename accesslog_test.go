package backend_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
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

func TestAccessLogRecord(t *testing.T) {
	t.Parallel()
	log := newMWLog()
	mux := http.NewServeMux()
	mux.HandleFunc("POST /notes/{id}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		w.WriteHeader(http.StatusCreated)
		io.WriteString(w, "made it")
	})
	server := mwServe(t, backend.Stack(backend.StackConfig{Logger: log.Logger})(mux))
	mwDo(t, server, "POST", "/notes/a%20b?token=s3cret", "body-s3cret",
		"Origin", server.URL, "Cookie", "sid=s3cret", "Authorization", "Bearer s3cret", "X-Request-Id", "id-1",
		"Traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	line := <-log.lines
	require.NotContains(t, line, "s3cret")
	var record map[string]any
	require.NoError(t, json.Unmarshal([]byte(line), &record))
	require.Positive(t, record["duration"])
	require.NotEmpty(t, record["time"])
	delete(record, "duration")
	delete(record, "time")
	require.Equal(t, map[string]any{
		"level": "INFO", "msg": "request", "method": "POST", "route": "POST /notes/{id}", "path": "/notes/a%20b",
		"status": 201.0, "bytes": 7.0, "client_ip": "127.0.0.1", "request_id": "id-1", "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
	}, record)
}

func TestAccessLogErrorsAndLevels(t *testing.T) {
	t.Parallel()
	log := newMWLog()
	server := mwServe(t, backend.Stack(backend.StackConfig{Logger: log.Logger})(mustRun(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/404":
			backend.WriteError(w, r, backend.Errorf(backend.NotFound, "No note %d.", 7))
		case "/500":
			backend.WriteError(w, r, fmt.Errorf("select: %w", io.ErrUnexpectedEOF))
		case "/502":
			w.WriteHeader(http.StatusBadGateway)
		}
	})))
	tests := []struct {
		path, level string
		status      int
		err         any
	}{
		{"/200", "INFO", 200, nil},
		{"/404", "INFO", 404, "not_found: No note 7."},
		{"/500", "ERROR", 500, "select: unexpected EOF"},
		{"/502", "ERROR", 502, nil},
	}
	for _, test := range tests {
		t.Run(test.path, func(t *testing.T) {
			mwDo(t, server, "GET", test.path, "")
			record := log.next(t)
			require.Equal(t, test.level, record["level"])
			require.EqualValues(t, test.status, record["status"])
			require.Equal(t, test.err, record["error"])
			require.Equal(t, "", record["route"])
		})
	}
}

func TestAccessLogOfAClientThatWentAway(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		answer func(http.ResponseWriter, *http.Request)
	}{
		{"handler returns", func(http.ResponseWriter, *http.Request) {}},
		{"handler reports it", func(w http.ResponseWriter, r *http.Request) { backend.WriteError(w, r, r.Context().Err()) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			log := newMWLog()
			started := make(chan struct{})
			server := mwServe(t, backend.Stack(backend.StackConfig{Logger: log.Logger})(mustRun(t, func(w http.ResponseWriter, r *http.Request) {
				close(started)
				<-r.Context().Done()
				test.answer(w, r)
			})))
			conn, _ := mwRaw(t, server, "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
			<-started
			conn.Close()
			record := log.next(t)
			require.EqualValues(t, 499, record["status"])
			require.Equal(t, "INFO", record["level"])
		})
	}
}

func TestAccessLogOfAHijackedConnection(t *testing.T) {
	t.Parallel()
	log := newMWLog()
	server := mwServe(t, backend.Stack(backend.StackConfig{Logger: log.Logger})(mustRun(t, func(w http.ResponseWriter, r *http.Request) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		defer conn.Close()
		rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n")
		rw.Flush()
		line, _ := rw.ReadString('\n')
		rw.WriteString(strings.ToUpper(line))
		rw.Flush()
	})))
	conn, reader := mwRaw(t, server, "GET / HTTP/1.1\r\nHost: a.example\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	resp, err := http.ReadResponse(reader, nil)
	require.NoError(t, err)
	require.Equal(t, 101, resp.StatusCode)
	_, err = io.WriteString(conn, "hello\n")
	require.NoError(t, err)
	line, err := reader.ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "HELLO\n", line)
	require.EqualValues(t, 101, log.next(t)["status"])
}

func TestStatement66_ClientTextCannotBreakARecord_ASVS_16_4_1(t *testing.T) {
	t.Parallel()
	const nasty = "\n{\"level\":\"INFO\",\"msg\":\"forged\"}\r\n\x1b[2J\x1b]0;owned\x07\u2028\x00\x7f\u202e\x9b\u009b31m"
	formats := map[string]func(io.Writer) slog.Handler{
		"json": func(w io.Writer) slog.Handler { return slog.NewJSONHandler(w, nil) },
		"text": func(w io.Writer) slog.Handler { return slog.NewTextHandler(w, nil) },
	}
	for name, format := range formats {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			h := backend.Stack(backend.StackConfig{Logger: slog.New(format(&out))})(mustRun(t, func(w http.ResponseWriter, r *http.Request) {
				backend.WriteError(w, r, fmt.Errorf("no %s", r.URL.Path))
			}))
			r := httptest.NewRequest("GET", "/", nil)
			r.URL.Path, r.Pattern, r.RemoteAddr = "/"+nasty, nasty, nasty
			r.Method = "GET" + nasty
			r.Header.Set("X-Request-Id", nasty)
			r.Header.Set("Traceparent", nasty)
			r.Header.Set("X-Forwarded-For", nasty)
			r.Header.Set("Sec-Fetch-Site", "same-origin")
			h.ServeHTTP(httptest.NewRecorder(), r)

			record := out.String()
			require.Equal(t, 1, strings.Count(record, "\n"))
			require.True(t, strings.HasSuffix(record, "\n"))
			for _, c := range strings.TrimSuffix(record, "\n") {
				require.False(t, c < ' ' || name == "text" && c >= 0x7f && c < 0xa0, "control character %q", c)
			}
			if name == "json" {
				require.True(t, json.Valid([]byte(record)))
				require.Contains(t, record, `"msg":"request"`)
			}
			scanner := bufio.NewScanner(strings.NewReader(record))
			require.True(t, scanner.Scan())
			require.False(t, scanner.Scan())
		})
	}
}

func TestAccessLogBoundsWhatClientsChoose(t *testing.T) {
	t.Parallel()
	log := newMWLog()
	server := mwServe(t, backend.AccessLog(log.Logger)(http.NotFoundHandler()))
	mwDo(t, server, strings.Repeat("M", 5000), "/"+strings.Repeat("x", 50000), "")
	line := <-log.lines
	require.Less(t, len(line), 1500)
}

// Without a logger the record goes where slog.Default goes when the request
// ends. A logger that drops the record costs nothing more.
func TestAccessLogAsksTheLogger(t *testing.T) {
	t.Parallel()
	quiet := slog.New(slog.NewJSONHandler(io.Discard, &slog.HandlerOptions{Level: slog.LevelError}))
	seen := newMWLog()
	h := backend.AccessLog(quiet)(backend.AccessLog(seen.Logger)(http.NotFoundHandler()))
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(context.Background(), "GET", "/", nil))
	require.Empty(t, seen.lines, "one record per request, by the outer log")
}

// A method that nobody knows is the client's doing, and no reason to wake
// anybody up.
func TestAccessLogOfUnknownMethods(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	h := backend.AccessLog(slog.New(slog.NewTextHandler(&log, nil)))(backend.NewRouter())
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("BREW", "/pot", nil))
	require.Contains(t, log.String(), "level=INFO")
	require.Contains(t, log.String(), "status=501")
}

// A handler may answer errors in a form of its own: the record has all of them, and
// one of the program's makes it an error, in whatever order they come.
func TestReportErrorGoesIntoTheRecord(t *testing.T) {
	t.Parallel()
	secret, gone := errors.New("no disk"), backend.Errorf(backend.Gone, "It is gone.")
	for name, test := range map[string]struct {
		errs  []error
		level string
		texts []string
	}{
		"one":            {[]error{gone}, "INFO", []string{"It is gone."}},
		"internal first": {[]error{secret, gone}, "ERROR", []string{"no disk", "It is gone."}},
		"internal last":  {[]error{gone, gone, secret}, "ERROR", []string{"no disk", "It is gone."}},
	} {
		var log strings.Builder
		ran := false
		h := backend.AccessLog(slog.New(slog.NewTextHandler(&log, nil)))(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ran = true
			for _, err := range test.errs {
				backend.ReportError(r, err)
			}
			w.Write([]byte("200 with errors"))
		}))
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		require.True(t, ran)
		require.Equal(t, "200 with errors", w.Body.String())
		require.Equal(t, 1, strings.Count(log.String(), "level="), name)
		require.Contains(t, log.String(), "level="+test.level, name)
		for _, text := range test.texts {
			require.Contains(t, log.String(), text, name)
		}
	}
	backend.ReportError(httptest.NewRequest("GET", "/", nil), gone) // nothing is there to report to
}
