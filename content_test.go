package backend_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
	"github.com/seed-215b9b7c/backend/backendtest"
	"github.com/seed-215b9b7c/backend/internal/toydoor"
)

// fileClient serves files as GET /file and POST /file.
func fileClient(t *testing.T, file func() (backend.File, error), options ...backend.Option) restClient {
	get := func(context.Context, backend.None) (backend.File, error) { return file() }
	return replyClient(t, nil,
		backend.Query("file", backend.Public, get, append(options, backend.Route("GET /file"))...),
		backend.Mutation("makeFile", backend.Public, get, append(options, backend.Route("POST /file"))...))
}

func always(file backend.File) func() (backend.File, error) {
	return func() (backend.File, error) {
		if seeker, ok := file.Body.(*strings.Reader); ok {
			file.Body = strings.NewReader(readString(seeker))
		}
		return file, nil
	}
}

func readString(r *strings.Reader) string {
	r.Seek(0, io.SeekStart)
	text, _ := io.ReadAll(r)
	return string(text)
}

func TestFile(t *testing.T) {
	t.Parallel()
	modified := time.Date(2026, 5, 1, 12, 0, 0, 500, time.FixedZone("", 3600))
	c := fileClient(t, always(backend.File{Name: "notes.csv", Body: strings.NewReader("id,title\n"), Modified: modified, ETag: "v1"}))
	for _, method := range []string{"GET", "POST", "HEAD"} {
		w := c.do(method, "/file", "")
		require.Equal(t, 200, w.Code, w.Body)
		require.Equal(t, "text/csv; charset=utf-8", w.Header().Get("Content-Type"))
		require.Equal(t, `attachment; filename="notes.csv"`, w.Header().Get("Content-Disposition"))
		require.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"))
		require.Equal(t, "9", w.Header().Get("Content-Length"))
		require.Equal(t, "Fri, 01 May 2026 11:00:00 GMT", w.Header().Get("Last-Modified"))
		require.NotContains(t, w.Header(), "Content-Security-Policy")
		if method == "HEAD" {
			require.Empty(t, w.Body.String())
		} else {
			require.Equal(t, "id,title\n", w.Body.String())
		}
		if method == "POST" {
			require.NotContains(t, w.Header(), "Etag")
			require.Equal(t, 200, c.do(method, "/file", "", "Range", "bytes=0-1").Code, "parts are for GET")
		} else {
			require.Equal(t, `"v1"`, w.Header().Get("ETag"))
		}
	}
}

// RFC 9110, sections 13 and 14.
func TestFileRangesAndConditions(t *testing.T) {
	t.Parallel()
	c := fileClient(t, always(backend.File{Body: strings.NewReader("0123456789"), Modified: time.Unix(1e9, 0), ETag: "v1"}))
	for _, test := range []struct {
		name, value string
		more        []string
		status      int
		body        string
	}{
		{name: "Range", value: "bytes=2-4", status: 206, body: "234"},
		{name: "Range", value: "bytes=-3", status: 206, body: "789"},
		{name: "Range", value: "lines=1", status: 200, body: "0123456789"}, // section 14.2: it MUST be ignored
		{name: "Range", value: "bytes=0-1,4-5", status: 200, body: "0123456789"},
		{name: "Range", value: "bytes=99-", status: 416},
		{name: "Range", value: "bytes=a", status: 416},
		{name: "Range", value: "bytes=2-4", more: []string{"If-Range", `"v1"`}, status: 206, body: "234"},
		{name: "Range", value: "bytes=2-4", more: []string{"If-Range", `"v0"`}, status: 200, body: "0123456789"},
		{name: "If-None-Match", value: `"v1"`, status: 304},
		{name: "If-None-Match", value: `W/"v1", "x"`, status: 304},
		{name: "If-None-Match", value: `"v0"`, status: 200, body: "0123456789"},
		{name: "If-Match", value: `"v0"`, status: 412},
		{name: "If-Match", value: `"v1"`, more: []string{"Range", "bytes=0-0"}, status: 206, body: "0"},
		{name: "If-Modified-Since", value: time.Unix(1e9, 0).UTC().Format(http.TimeFormat), status: 304},
		{name: "If-Modified-Since", value: time.Unix(1e9, 0).UTC().Format(http.TimeFormat), more: []string{"If-None-Match", `"v0"`}, status: 200, body: "0123456789"},
		{name: "If-Unmodified-Since", value: time.Unix(1e8, 0).UTC().Format(http.TimeFormat), more: []string{"If-Match", `"v1"`}, status: 200, body: "0123456789"},
		{name: "If-Unmodified-Since", value: time.Unix(1e8, 0).UTC().Format(http.TimeFormat), status: 412},
		{name: "If-Modified-Since", value: time.Unix(1e8, 0).UTC().Format(http.TimeFormat), status: 200, body: "0123456789"},
		// Section 13.2.2: a date counts only without the tags.
		{name: "If-None-Match", value: `"v0"`, more: []string{"If-Modified-Since", time.Unix(1e9, 0).UTC().Format(http.TimeFormat)}, status: 200, body: "0123456789"},
		{name: "If-Match", value: `"v1"`, more: []string{"If-Unmodified-Since", time.Unix(1e8, 0).UTC().Format(http.TimeFormat)}, status: 200, body: "0123456789"},
		{name: "If-Unmodified-Since", value: time.Unix(1e8, 0).UTC().Format(http.TimeFormat), status: 412},
	} {
		w := c.do("GET", "/file", "", append(test.more, test.name, test.value)...)
		require.Equal(t, test.status, w.Code, "%s: %s", test.name, test.value)
		if test.status >= 400 {
			require.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
			require.JSONEq(t, strconv.Itoa(test.status), string(memberOf(t, w, "status")))
			require.NotContains(t, w.Header(), "Content-Disposition")
		}
		if test.value == "bytes=99-" {
			require.Equal(t, "bytes */10", w.Header().Get("Content-Range"))
		}
		if test.status < 300 {
			require.Equal(t, test.body, w.Body.String())
		}
		if test.status == 206 {
			require.Contains(t, w.Header().Get("Content-Range"), "/10")
		}
	}
}

func memberOf(t *testing.T, w *httptest.ResponseRecorder, name string) json.RawMessage {
	var members map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &members))
	return members[name]
}

func TestFileWithoutVersion(t *testing.T) {
	t.Parallel()
	at := time.Unix(1e9, 0).UTC().Format(http.TimeFormat)
	for _, file := range []backend.File{
		{Body: strings.NewReader("abc"), Modified: time.Unix(1e9, 5)}, {Body: io.MultiReader(), Modified: time.Unix(1e9, 5)},
		{Write: func(context.Context, io.Writer) error { return nil }, Modified: time.Unix(1e9, 5)},
	} {
		c := fileClient(t, always(file))
		w := c.do("GET", "/file", "")
		require.Equal(t, 200, w.Code)
		require.NotContains(t, w.Header(), "Etag", "the next content must not be taken for this one")
		require.Equal(t, 200, c.do("GET", "/file", "", "If-None-Match", `""`).Code)
		w = c.do("GET", "/file", "", "If-Modified-Since", at)
		require.Equal(t, 304, w.Code)
		require.NotContains(t, w.Header(), "Content-Type")
		require.Equal(t, 304, c.do("HEAD", "/file", "", "If-Modified-Since", at).Code)
		require.Equal(t, 200, c.do("GET", "/file", "", "If-Modified-Since", time.Unix(1e9-1, 0).UTC().Format(http.TimeFormat)).Code)
		require.Equal(t, 200, c.do("GET", "/file", "", "If-Modified-Since", at, "If-None-Match", `"v0"`).Code)
		require.Equal(t, 200, c.do("POST", "/file", "", "If-Modified-Since", at).Code)
	}
}

// broken is a Body that does not do what it should.
type broken struct {
	*strings.Reader
	read func() (int, error)
	seek error
	from int64 // from where on
}

func (b *broken) Read(p []byte) (int, error) {
	if at := b.Size() - int64(b.Len()); b.read != nil && at >= b.from {
		return b.read()
	}
	return b.Reader.Read(p[:min(len(p), 1000)])
}

func (b *broken) Seek(offset int64, whence int) (int64, error) {
	if b.seek != nil && offset > 0 {
		return 0, b.seek
	}
	return b.Reader.Seek(offset, whence)
}

// No client takes a part of a file for the whole, compressed or not, and no content ends
// the process.
func TestFilesThatBreak(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("0123456789", 10_000)
	part := func(n int) *strings.Reader { return strings.NewReader(text[:n]) }
	fails := func() (int, error) { return 0, errors.New("the disk secret is gone") }
	panics := func() (int, error) { panic("in Read") }
	lies := func() (int, error) { return 1 << 30, nil }
	write := func(n int, err error) func(context.Context, io.Writer) error {
		return func(_ context.Context, w io.Writer) error {
			io.WriteString(w, text[:n])
			return err
		}
	}
	for name, body := range map[string]func() backend.File{
		"fails":         func() backend.File { return backend.File{Body: &broken{Reader: part(1e5), read: fails, from: 5e4}} },
		"fails at once": func() backend.File { return backend.File{Body: &broken{Reader: part(1e5), read: fails}} },
		"ends": func() backend.File {
			return backend.File{Body: &broken{Reader: part(1e5), read: func() (int, error) { return 0, io.EOF }, from: 5e4}}
		},
		"panics":        func() backend.File { return backend.File{Body: &broken{Reader: part(1e5), read: panics, from: 5e4}} },
		"n > len":       func() backend.File { return backend.File{Body: &broken{Reader: part(1e5), read: lies, from: 5e4}} },
		"short":         func() backend.File { return backend.File{Size: 1e5, Body: io.MultiReader(part(5e4))} },
		"long":          func() backend.File { return backend.File{Size: 5e4, Body: io.MultiReader(part(1e5))} },
		"short Write":   func() backend.File { return backend.File{Size: 1e5, Write: write(5e4, nil)} },
		"long Write":    func() backend.File { return backend.File{Size: 5e4, Write: write(1e5, nil)} },
		"failing Write": func() backend.File { return backend.File{Write: write(5e4, errors.New("it fails"))} },
	} {
		logic := backend.NewLogic(nil, nil, backend.LogicConfig{})
		logic.Add(backend.Query("file", backend.Public, func(context.Context, backend.None) (backend.File, error) {
			file := body()
			file.Name = "a.txt"
			return file, nil
		}, backend.Route("GET /file")))
		handlers := []http.Handler{backend.Stack(backend.StackConfig{Logger: slog.New(slog.DiscardHandler)})(logic.REST())}
		if name == "failing Write" {
			handlers = append(handlers, logic.REST()) // logs to slog.Default
		}
		for _, h := range handlers {
			server := httptest.NewUnstartedServer(h)
			server.Config.ErrorLog = log.New(io.Discard, "", 0)
			server.Start()
			t.Cleanup(server.Close)
			for _, ask := range [][]string{{"Accept-Encoding", "identity"}, {"Accept-Encoding", "gzip"}, {"Accept-Encoding", "zstd"}, {"Range", "bytes=49000-99000"}, {"Range", "bytes=0-5,50000-50009"}} {
				r, err := http.NewRequestWithContext(t.Context(), "GET", server.URL+"/file", nil)
				require.NoError(t, err)
				r.Header.Set(ask[0], ask[1])
				w, err := server.Client().Transport.RoundTrip(r)
				if err != nil {
					continue // aborted
				}
				got, err := io.ReadAll(w.Body)
				w.Body.Close()
				require.True(t, err != nil || w.StatusCode >= 500, "%s: %q: %d with %d bytes", name, ask, w.StatusCode, len(got))
			}
		}
	}
	c := fileClient(t, func() (backend.File, error) {
		return backend.File{Body: &broken{Reader: part(10), seek: errors.New("the disk secret is gone")}}, nil
	})
	w := c.do("GET", "/file", "", "Range", "bytes=5-6")
	require.Equal(t, 500, w.Code)
	require.NotContains(t, w.Body.String(), "secret")
}

// What a user has uploaded runs no script in the name of the site.
func TestFilesRunNoScripts(t *testing.T) {
	t.Parallel()
	for mediaType, active := range map[string]bool{
		"text/html": true, "text/HTML; charset=utf-8": true, "image/svg+xml": true, "application/xhtml+xml": true, "text/xml": true,
		"image/png": false, "application/pdf": false,
	} {
		c := fileClient(t, always(backend.File{Type: mediaType, Inline: true, Body: strings.NewReader("<script>")}))
		c.h = backend.Stack(backend.StackConfig{})(c.h)
		w := c.do("GET", "/file", "")
		require.Equal(t, 200, w.Code)
		require.True(t, strings.HasPrefix(w.Header().Get("Content-Type"), mediaType))
		require.Equal(t, active, strings.Contains(w.Header().Get("Content-Security-Policy"), "sandbox"), mediaType)
		require.NotContains(t, w.Header(), "Content-Disposition")
	}
}

func TestFileThatIsWritten(t *testing.T) {
	t.Parallel()
	db := backendtest.NewDB(t, backend.SQLite)
	logic := backend.NewLogic(db, tokens{"ann": {ID: "7"}}, backend.LogicConfig{})
	fails := errors.New("it fails")
	var fail atomic.Int64 // after how many rows
	fail.Store(-1)
	export := func(context.Context, backend.None) (backend.File, error) {
		return backend.File{Name: "rows.txt", Write: func(ctx context.Context, w io.Writer) error {
			for i := range int64(4) {
				if i == fail.Load() {
					return fails
				}
				id, err := backend.One[string](ctx, db, "SELECT ? || ','", string(backend.CallerFrom(ctx).ID))
				if err != nil {
					return err
				}
				io.WriteString(w, strings.Repeat(id, 1000))
			}
			return nil
		}}, nil
	}
	logic.Add(backend.Mutation("export", backend.SignedIn, export, backend.Route("POST /file"), backend.Status(200, 202)))
	server := httptest.NewServer(backend.Stack(backend.StackConfig{})(newRESTClient(t, logic).h))
	t.Cleanup(server.Close)
	ask := func() (*http.Response, error) {
		r, err := http.NewRequestWithContext(t.Context(), "POST", server.URL+"/api/file", nil)
		require.NoError(t, err)
		r.Header.Set("Authorization", "Bearer ann")
		w, err := server.Client().Do(r)
		if err != nil {
			return nil, err
		}
		defer w.Body.Close()
		body, err := io.ReadAll(w.Body)
		w.Body = io.NopCloser(bytes.NewReader(body))
		return w, err
	}
	w, err := ask()
	require.NoError(t, err)
	body, _ := io.ReadAll(w.Body)
	require.Equal(t, 200, w.StatusCode, string(body))
	require.Equal(t, strings.Repeat("7,", 4000), string(body))

	fail.Store(0)
	w, err = ask()
	require.NoError(t, err)
	require.Equal(t, 500, w.StatusCode, "nothing was sent yet")
	require.Equal(t, "application/problem+json", w.Header.Get("Content-Type"))
	require.NotContains(t, w.Header, "Content-Disposition")

	fail.Store(3)
	_, err = ask()
	require.Error(t, err, "the client must not take a part for the whole")
}

// closes is a Body that counts how often it is closed.
type closes struct {
	io.Reader
	count *atomic.Int64
}

func (c closes) Close() error { c.count.Add(1); return nil }

func TestFilesAreClosedOnce(t *testing.T) {
	t.Parallel()
	var count atomic.Int64
	for what, file := range map[string]backend.File{
		"reader": {Body: closes{strings.NewReader("abc"), &count}},
		"seeker": {Body: struct {
			io.ReadSeeker
			io.Closer
		}{strings.NewReader("abc"), closes{nil, &count}}},
		"wrong type": {Type: "text", Body: closes{strings.NewReader("abc"), &count}},
		"both":       {Write: func(context.Context, io.Writer) error { return nil }, Body: closes{strings.NewReader("abc"), &count}},
	} {
		c := fileClient(t, func() (backend.File, error) { return file, nil })
		for _, request := range [][]string{{"GET"}, {"HEAD"}, {"POST"}, {"GET", "If-Match", `"a"`}, {"GET", "If-None-Match", "*"}, {"GET", "Range", "bytes=9-"}} {
			count.Store(0)
			c.do(request[0], "/file", "", request[1:]...)
			require.EqualValues(t, 1, count.Load(), "%s: %q", what, request)
		}
	}
	lost(t, func(t *testing.T, db *backend.DB, lose func(context.Context) error) {
		var count atomic.Int64
		runs := 0
		c := replyClient(t, db, backend.Mutation("file", backend.Public, func(ctx context.Context, _ backend.None) (backend.File, error) {
			if runs++; runs == 1 {
				backend.AfterCommit(ctx, func(context.Context) {})
				return backend.File{Body: closes{strings.NewReader("first"), &count}}, lose(ctx)
			}
			return backend.File{Body: closes{strings.NewReader("second"), &count}}, nil
		}, backend.Route("POST /file")))
		w := c.do("POST", "/file", "")
		require.Equal(t, "second", w.Body.String())
		require.EqualValues(t, 1, count.Load(), "a value beside an error is nobody's")
	})
}

// A mutation compares its conditions with the file of the GET.
func TestFileVersions(t *testing.T) {
	t.Parallel()
	backendtest.EachDB(t, func(t *testing.T, db *backend.DB) {
		var closed atomic.Int64
		get := func(context.Context, backend.None) (backend.File, error) {
			return backend.File{ETag: "v1", Body: closes{strings.NewReader("abc"), &closed}}, nil
		}
		c := replyClient(t, db, backend.Query("avatar", backend.Public, get, backend.Route("GET /avatar")),
			backend.Mutation("dropAvatar", backend.Public, noop, backend.Route("DELETE /avatar"), backend.RequireIfMatch()))
		require.Equal(t, 428, c.do("DELETE", "/avatar", "").Code)
		require.Equal(t, 412, c.do("DELETE", "/avatar", "", "If-Match", `"v0"`).Code)
		require.Equal(t, 204, c.do("DELETE", "/avatar", "", "If-Match", `"v1"`).Code)
		require.EqualValues(t, 2, closed.Load())
	})
}

func TestProduces(t *testing.T) {
	t.Parallel()
	c := fileClient(t, always(backend.File{Name: "a.csv"}), backend.Produces("text/csv", "application/pdf"))
	require.Equal(t, 200, c.do("GET", "/file", "").Code)
	require.Equal(t, 200, c.do("GET", "/file", "", "Accept", "image/png, application/*;q=0.1").Code)
	w := c.do("GET", "/file", "", "Accept", "application/json")
	require.Equal(t, 406, w.Code)
	require.Contains(t, w.Body.String(), "text/csv, application/pdf")
	require.Equal(t, 500, fileClient(t, always(backend.File{Name: "a.png"}), backend.Produces("text/csv")).do("GET", "/file", "").Code)
	require.Equal(t, 200, fileClient(t, always(backend.File{})).do("GET", "/file", "", "Accept", "image/png").Code, "any type may come")
}

func TestRedirect(t *testing.T) {
	t.Parallel()
	to := backend.Redirect{}
	redirect := func(context.Context, backend.None) (backend.Redirect, error) { return to, nil }
	logic := backend.NewLogic(nil, nil, backend.LogicConfig{})
	logic.Add(backend.Query("find", backend.Public, redirect, backend.Route("GET /go")), backend.Mutation("send", backend.Public, redirect, backend.Route("POST /go")))
	c := newRESTClient(t, logic)
	for _, test := range []struct {
		to        backend.Redirect
		get, post int
		location  string
	}{
		{backend.Redirect{To: "/notes/5?a=1&b=%2F#top"}, 302, 303, "/notes/5?a=1&b=%2F#top"},
		{backend.Redirect{To: "/"}, 302, 303, "/"},
		{backend.Redirect{To: "/grüße x"}, 302, 303, "/gr%C3%BC%C3%9Fe%20x"},
		{backend.Redirect{To: "/notes", Permanent: true}, 301, 308, "/notes"},
		{backend.Redirect{External: "https://example.com/a?b"}, 302, 303, "https://example.com/a?b"},
		{backend.Redirect{}, 500, 500, ""},
		{backend.Redirect{To: "/a", External: "https://example.com"}, 500, 500, ""},
		{backend.Redirect{External: "/a"}, 500, 500, ""},
		{backend.Redirect{External: "javascript:alert(1)"}, 500, 500, ""},
		{backend.Redirect{External: "https:/a"}, 500, 500, ""},
		{backend.Redirect{To: "notes"}, 500, 500, ""},
		{backend.Redirect{To: "//example.com/a"}, 500, 500, ""},
		{backend.Redirect{To: `/\example.com/a`}, 500, 500, ""},
		{backend.Redirect{To: "/\t/example.com/a"}, 500, 500, ""},
		{backend.Redirect{To: "/a\r\nSet-Cookie: b"}, 500, 500, ""},
		{backend.Redirect{To: "https://example.com"}, 500, 500, ""},
	} {
		to = test.to
		for method, want := range map[string]int{"GET": test.get, "POST": test.post} {
			w := c.do(method, "/go", "", "Accept", "text/html")
			require.Equal(t, want, w.Code, "%s %+v: %s", method, test.to, w.Body)
			require.Equal(t, test.location, w.Header().Get("Location"))
			if want < 400 {
				require.Empty(t, w.Body.String())
				require.NotContains(t, w.Header(), "Content-Type")
			}
		}
	}
	got, err := backend.Call[backend.Redirect](t.Context(), logic, "find", backend.None{})
	require.NoError(t, err)
	require.Equal(t, to, got)
}

func TestRedirectsAreReplayed(t *testing.T) {
	t.Parallel()
	db := backendtest.NewDB(t, backend.SQLite)
	require.NoError(t, db.Migrate(t.Context(), nil))
	c := replyClient(t, db, backend.Mutation("send", backend.Public, func(context.Context, backend.None) (backend.Redirect, error) {
		return backend.Redirect{To: "/notes", Permanent: true}, nil
	}, backend.Route("POST /go"), backend.Idempotent()))
	for range 2 {
		w := c.do("POST", "/go", "", "Idempotency-Key", "k")
		require.Equal(t, 308, w.Code)
		require.Equal(t, "/notes", w.Header().Get("Location"))
	}
}

// Doors that have no files do not offer what returns one.
func TestContentIsForREST(t *testing.T) {
	t.Parallel()
	file := func(context.Context, backend.None) (backend.File, error) { return backend.File{}, nil }
	logic := backend.NewLogic(nil, nil, backend.LogicConfig{})
	logic.Add(backend.Query("file", backend.Public, file, backend.Route("GET /file")), backend.Query("plain", backend.Public, func(context.Context, backend.None) (int, error) { return 1, nil }))
	offered := string(backendtest.NewClient(t, toydoor.New(logic)).Get("/").Expect(200).Body)
	require.Contains(t, offered, "plain")
	require.NotContains(t, offered, "file")
	for want, options := range map[string][]backend.Option{
		`Only("example.com/toy"): only REST offers an operation with a backend.File`:                           {backend.Only(toydoor.Name)},
		`Produces: "text/*" is not a media type`:                                                               {backend.Produces("text/*")},
		`Produces: "text/csv; charset=utf-8" is not a media type in lower case without parameters, such as "t`: {backend.Produces("text/csv; charset=utf-8")},
	} {
		require.PanicsWithValue(t, "", func() {
			defer func() {
				text, _ := recover().(string)
				require.Contains(t, text, want)
				panic("")
			}()
			backend.NewLogic(nil, nil, backend.LogicConfig{}).Add(backend.Query("file", backend.Public, file, options...))
		})
	}
	add := func(op backend.Definition) func() {
		return func() { backend.NewLogic(backendtest.NewDB(t, backend.SQLite), nil, backend.LogicConfig{}).Add(op) }
	}
	require.Panics(t, add(backend.Mutation("file", backend.Public, file, backend.Idempotent())))
	require.Panics(t, add(backend.Query("none", backend.Public, noop, backend.Produces("text/csv"))))
	require.Panics(t, add(backend.Query("nested", backend.Public, func(context.Context, backend.None) ([]backend.Redirect, error) { return nil, nil })))
	require.Panics(t, add(backend.Query("pointer", backend.Public, func(context.Context, backend.None) (*backend.File, error) { return nil, nil })))
}

func TestOpenAPIOfRepliesAndContent(t *testing.T) {
	t.Parallel()
	file := func(context.Context, backend.None) (backend.File, error) { return backend.File{}, nil }
	redirect := func(context.Context, backend.None) (backend.Redirect, error) { return backend.Redirect{}, nil }
	logic := backend.NewLogic(nil, nil, backend.LogicConfig{})
	logic.Add(
		replyOp(func(context.Context) {}, backend.Status(201, 200, 204), backend.ResponseHeader("x-total", "How many there are.")),
		backend.Query("file", backend.Public, file, backend.Route("GET /file")),
		backend.Query("csv", backend.Public, file, backend.Route("GET /csv"), backend.Produces("text/csv", "image/png")),
		backend.Mutation("pdf", backend.Public, file, backend.Route("POST /pdf"), backend.Produces("application/pdf")),
		backend.Query("go", backend.Public, redirect, backend.Route("GET /go")),
	)
	var document struct {
		Paths map[string]map[string]struct {
			Responses map[string]struct {
				Description string
				Headers     map[string]any
				Content     map[string]any
			}
		}
	}
	w := httptest.NewRecorder()
	logic.REST().OpenAPI(backend.OpenAPIConfig{}).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &document))
	keys := func(path, method string) (statuses []string) {
		for status := range document.Paths[path][method].Responses {
			if status != "4XX" && status != "5XX" {
				statuses = append(statuses, status)
			}
		}
		return statuses
	}
	require.ElementsMatch(t, []string{"200", "201", "204"}, keys("/say", "post"))
	say := document.Paths["/say"]["post"].Responses
	require.Contains(t, say["200"].Content, "application/json")
	require.Empty(t, say["204"].Content)
	require.Contains(t, say["204"].Headers, "X-Total")
	require.ElementsMatch(t, []string{"200", "206", "304"}, keys("/file", "get"))
	require.Equal(t, map[string]any{"*/*": map[string]any{}}, document.Paths["/file"]["get"].Responses["200"].Content)
	require.Equal(t, map[string]any{"text/csv": map[string]any{"schema": map[string]any{"type": "string"}}, "image/png": map[string]any{}}, document.Paths["/csv"]["get"].Responses["206"].Content)
	require.ElementsMatch(t, []string{"200"}, keys("/pdf", "post"))
	require.ElementsMatch(t, []string{"3XX"}, keys("/go", "get"))
	require.Contains(t, document.Paths["/go"]["get"].Responses["3XX"].Headers, "Location")
}
