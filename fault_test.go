package backend_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
)

// decodeBody returns the error of a json.Decoder as it is.
func decodeBody(w http.ResponseWriter, r *http.Request) error {
	var in struct{ Title string }
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	return decoder.Decode(&in)
}

// The errors of the standard library about a request are the client's fault, whatever
// the handler that returns them does.
func TestErrorsOfReadingTheRequestAreTheClientsFault(t *testing.T) {
	t.Parallel()
	multi := func(memory int64) backend.Handler {
		return func(w http.ResponseWriter, r *http.Request) error { return r.ParseMultipartForm(memory) }
	}
	form := backend.Handler(func(w http.ResponseWriter, r *http.Request) error { return r.ParseForm() })
	file := backend.Handler(func(w http.ResponseWriter, r *http.Request) error {
		_, _, err := r.FormFile("file")
		return err
	})
	wrapped := backend.Handler(func(w http.ResponseWriter, r *http.Request) error {
		_, _, err := r.FormFile("file")
		return fmt.Errorf("upload: %w", err)
	})
	stream := backend.Handler(func(w http.ResponseWriter, r *http.Request) error {
		parts, err := r.MultipartReader()
		for err == nil {
			_, err = parts.NextPart()
		}
		if err == io.EOF {
			return nil
		}
		return err
	})
	unmarshal := backend.Handler(func(w http.ResponseWriter, r *http.Request) error {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return err
		}
		return json.Unmarshal(body, &struct{ Title string }{})
	})
	cookie := backend.Handler(func(w http.ResponseWriter, r *http.Request) error {
		_, err := r.Cookie("theme")
		return err
	})
	const urlencoded, boundary, asJSON = "application/x-www-form-urlencoded", "multipart/form-data; boundary=b", "application/json"
	part := "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n"
	tests := map[string]struct {
		handler    backend.Handler
		path, kind string
		body       string
		status     int
	}{
		"a form's bad escape":          {form, "/", urlencoded, "a=%zz", 400},
		"a form's semicolon":           {form, "/", urlencoded, "a=1;b=2", 400},
		"a query's bad escape":         {form, "/?a=%zz", urlencoded, "a=1", 400},
		"a query's semicolon":          {form, "/?a;b", urlencoded, "a=1", 400},
		"too many parameters":          {form, "/", urlencoded, strings.Repeat("a&", 10001), 400},
		"a form's bad type":            {form, "/", "application/;x", "a=1", 415},
		"a form's bad parameter":       {form, "/", urlencoded + "; charset", "a=1", 415},
		"no multipart":                 {multi(100), "/", urlencoded, "a=1", 415},
		"no boundary":                  {multi(100), "/", "multipart/form-data", part + "--b--\r\n", 400},
		"a boundary that never comes":  {multi(100), "/", boundary, "nothing", 400},
		"multipart without an end":     {multi(100), "/", boundary, part, 400},
		"multipart of nothing":         {multi(100), "/", boundary, "", 400},
		"a part with a bad header":     {multi(100), "/", boundary, "--b\r\nnonsense\r\n\r\n1\r\n--b--\r\n", 400},
		"too many parts":               {multi(100), "/", boundary, strings.Repeat(part, 1001) + "--b--\r\n", 413},
		"no file":                      {file, "/", boundary, part + "--b--\r\n", 400},
		"no file, wrapped":             {wrapped, "/", boundary, part + "--b--\r\n", 400},
		"a file in no multipart":       {file, "/", urlencoded, "a=1", 415},
		"streamed without an end":      {stream, "/", boundary, part, 400},
		"streamed in no multipart":     {stream, "/", asJSON, "{}", 415},
		"JSON: syntax":                 {decodeBody, "/", asJSON, `{"Title":x}`, 400},
		"JSON: cut off":                {decodeBody, "/", asJSON, `{"Title":"x`, 400},
		"JSON: type":                   {decodeBody, "/", asJSON, `{"Title":1}`, 400},
		"JSON: field":                  {decodeBody, "/", asJSON, `{"Other":1}`, 400},
		"JSON: only spaces":            {decodeBody, "/", asJSON, "  \n", 400},
		"JSON: nothing":                {decodeBody, "/", asJSON, "", 400},
		"JSON: syntax of all":          {unmarshal, "/", asJSON, `{"Title":x}`, 400},
		"JSON: all cut off":            {unmarshal, "/", asJSON, `{"Title":"x`, 400},
		"JSON: type of all":            {unmarshal, "/", asJSON, `{"Title":1}`, 400},
		"JSON: nothing of all":         {unmarshal, "/", asJSON, "", 400},
		"a body over the limit":        {decodeBody, "/", asJSON, `"` + strings.Repeat("x", 1<<18), 413},
		"a form over the limit":        {form, "/", urlencoded, "a=" + strings.Repeat("x", 1<<18), 413},
		"a multipart over the limit":   {multi(100), "/", boundary, part + strings.Repeat("x", 1<<18), 413},
		"a cookie that was never sent": {cookie, "/", asJSON, "{}", 400},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log := newMWLog()
			server := mwServe(t, backend.Stack(backend.StackConfig{Logger: log.Logger, MaxBody: 1 << 18})(test.handler))
			resp, body := mwDo(t, server, "POST", test.path, test.body, "Content-Type", test.kind)
			require.Equal(t, test.status, resp.StatusCode, body)
			record := log.next(t)
			require.Equal(t, "INFO", record["level"])
			require.NotEmpty(t, record["error"], "the cause is in the log")
			require.NotContains(t, body, "json:")
		})
	}
}

// The same errors about the program's own data stay the program's fault.
func TestErrorsOfTheProgramsOwnDataAreItsFault(t *testing.T) {
	t.Parallel()
	own := func() error { return json.Unmarshal([]byte(`{"a":`+strings.Repeat(" ", 100)+`x}`), &struct{}{}) }
	read := func(h func() error) backend.Handler {
		return func(w http.ResponseWriter, r *http.Request) error {
			io.Copy(io.Discard, r.Body)
			return h()
		}
	}
	tests := map[string]struct {
		handler      backend.Handler
		method, body string
	}{
		"JSON, no body":                    {func(http.ResponseWriter, *http.Request) error { return own() }, "GET", ""},
		"JSON, body not read":              {func(http.ResponseWriter, *http.Request) error { return own() }, "POST", "{}"},
		"JSON, body too short for it":      {read(own), "POST", "{}"},
		"JSON, wrapped":                    {read(func() error { return fmt.Errorf("settings: %w", own()) }), "POST", strings.Repeat("{}", 1000)},
		"JSON, said to be the program's":   {read(func() error { return (&backend.Error{}).Wrap(own()) }), "POST", strings.Repeat("{}", 1000)},
		"the end of a file, no body":       {func(http.ResponseWriter, *http.Request) error { return io.EOF }, "GET", ""},
		"the end of a file, body read":     {read(func() error { return io.EOF }), "POST", "{}"},
		"the end of a file, body of JSON":  {read(func() error { return io.EOF }), "POST", "  {}"},
		"the end of a file, body not read": {func(http.ResponseWriter, *http.Request) error { return io.ErrUnexpectedEOF }, "POST", "{}"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log := newMWLog()
			server := mwServe(t, backend.Stack(backend.StackConfig{Logger: log.Logger})(test.handler))
			resp, _ := mwDo(t, server, test.method, "/", test.body)
			require.Equal(t, 500, resp.StatusCode)
			require.Equal(t, "ERROR", log.next(t)["level"])
		})
	}
	t.Run("an operation's function", func(t *testing.T) {
		t.Parallel()
		logic := backend.NewLogic(nil, nil, backend.LogicConfig{})
		logic.Add(backend.Mutation("save", backend.Public, func(ctx context.Context, in struct {
			Title string `json:"title"`
		}) (backend.None, error) {
			return backend.None{}, json.Unmarshal([]byte("x"), &in)
		}, backend.Route("POST /save"), backend.OutsideTx()))
		log := newMWLog()
		server := mwServe(t, backend.Stack(backend.StackConfig{Logger: log.Logger})(logic.REST()))
		resp, _ := mwDo(t, server, "POST", "/save", `{"title":"a body that is long enough"}`, "Content-Type", "application/json")
		require.Equal(t, 500, resp.StatusCode)
		require.Equal(t, "ERROR", log.next(t)["level"])
	})
}

// A client that stops sending causes no alert: 408 is its own fault (RFC 9110, section
// 15.5.9).
func TestBodiesThatDoNotArriveAreTheClientsFault(t *testing.T) {
	t.Parallel()
	logic := backend.NewLogic(nil, nil, backend.LogicConfig{})
	logic.Add(backend.Mutation("save", backend.Public, func(ctx context.Context, in struct {
		Title string `json:"title"`
	}) (backend.None, error) {
		return backend.None{}, nil
	}, backend.Route("POST /"), backend.OutsideTx()))
	for name, handler := range map[string]http.Handler{
		"WriteError": mustRun(t, mwReadAll),
		"JSON":       backend.Handler(decodeBody),
		"multipart": backend.Handler(func(w http.ResponseWriter, r *http.Request) error {
			return r.ParseMultipartForm(100)
		}),
		"silent": mustRun(t, func(w http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) }),
		"the context's error": backend.Handler(func(w http.ResponseWriter, r *http.Request) error {
			io.Copy(io.Discard, r.Body)
			return r.Context().Err()
		}),
		"REST": logic.REST(),
	} {
		for how, limit := range map[string]func(*slog.Logger) backend.Middleware{
			"stack": func(logger *slog.Logger) backend.Middleware {
				return backend.Stack(backend.StackConfig{Logger: logger})
			},
			"TimeLimit": func(logger *slog.Logger) backend.Middleware {
				return func(next http.Handler) http.Handler {
					return backend.AccessLog(logger)(backend.TimeLimit(10 * time.Second)(next))
				}
			},
			"TimeLimit outside of BodyLimit": func(logger *slog.Logger) backend.Middleware {
				return func(next http.Handler) http.Handler {
					return backend.AccessLog(logger)(backend.TimeLimit(10 * time.Second)(backend.BodyLimit(1000)(next)))
				}
			},
		} {
			t.Run(name+" in "+how, func(t *testing.T) {
				t.Parallel()
				var level, status any
				logger := slog.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
					switch a.Key {
					case slog.LevelKey:
						level = a.Value.String()
					case "status":
						status = a.Value.Int64()
					}
					return a
				}}))
				mwBubble(t, &http.Server{}, limit(logger)(handler), func(t *testing.T, dial func() net.Conn) {
					conn := dial()
					defer conn.Close()
					_, err := io.WriteString(conn, "POST / HTTP/1.1\r\nHost: a.example\r\nContent-Type: "+map[bool]string{
						true: "multipart/form-data; boundary=b", false: "application/json"}[name == "multipart"]+"\r\nContent-Length: 100\r\n\r\n{")
					require.NoError(t, err)
					resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
					require.NoError(t, err)
					body, _ := io.ReadAll(resp.Body)
					require.Equal(t, 408, resp.StatusCode, string(body))
					require.Contains(t, string(body), `"code":"request_timeout"`)
					require.True(t, resp.Close)
					synctest.Wait()
					require.Equal(t, "INFO", level)
					require.Equal(t, int64(408), status)
				})
			})
		}
	}
}

// Without an access log, an error is found by its method and path, whatever logs it. The
// query string may have secrets.
func TestFailuresWithoutAccessLog(t *testing.T) { // not parallel: the logger is the process's
	fails := errors.New("boom")
	failing := backend.Handler(func(http.ResponseWriter, *http.Request) error { return fails })
	logic := backend.NewLogic(nil, bearer{}, backend.LogicConfig{})
	logic.Add(backend.Mutation("fail", backend.Public, func(context.Context, backend.None) (backend.None, error) { return backend.None{}, fails }, backend.Route("POST /a b/fail"), backend.IgnoreUnknown()))
	for name, h := range map[string]http.Handler{
		"WriteError": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { backend.WriteError(w, r, fails) }),
		"ReportError": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			backend.ReportError(r, fails)
			w.WriteHeader(http.StatusInternalServerError)
		}),
		"Handler":   failing,
		"Recover":   backend.Recover()(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(fails) })),
		"TimeLimit": backend.TimeLimit(time.Minute)(failing),
		"RequestID": backend.RequestID()(failing),
		"REST":      logic.REST(),
		"a login":   logic.REST(),
	} {
		var log bytes.Buffer
		before := slog.Default()
		slog.SetDefault(slog.New(slog.NewJSONHandler(&log, nil)))
		r, w := httptest.NewRequest("POST", "/a%20b/fail?token=hunter2", nil), httptest.NewRecorder()
		if name == "a login" {
			r.Header.Set("Authorization", "Bearer wrong")
		}
		h.ServeHTTP(w, r)
		slog.SetDefault(before)
		require.GreaterOrEqual(t, w.Code, 401, name)
		var record struct{ Msg, Method, Path, Error string }
		require.NoError(t, json.Unmarshal(log.Bytes(), &record), "%s: one record: %s, %s", name, log.String(), w.Body)
		require.Equal(t, "POST /a%20b/fail", record.Method+" "+record.Path, name)
		if name != "a login" {
			require.Equal(t, "request failed", record.Msg, name)
			require.Contains(t, record.Error, "boom", name)
		}
		require.NotContains(t, log.String(), "hunter2", name)
	}
}
