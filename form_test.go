package backend_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
	"github.com/seed-215b9b7c/backend/backendtest"
	"github.com/seed-215b9b7c/backend/internal/toydoor"
)

const (
	urlencoded = "application/x-www-form-urlencoded"
	pngText    = "\x89PNG\x0D\x0A\x1A\x0A"
)

// post sends a form; headers are pairs of name and value.
func (c restClient) post(path, contentType, body string, headers ...string) *httptest.ResponseRecorder {
	c.t.Helper()
	return c.do("POST", path, body, append([]string{"Content-Type", contentType}, headers...)...)
}

// multiparts returns a form with parts of a name and a content. A name with a colon is that
// of a file field and of the file.
func multiparts(t *testing.T, pairs ...string) (contentType, body string) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for i := 0; i < len(pairs); i += 2 {
		name, file, isFile := strings.Cut(pairs[i], ":")
		if !isFile {
			require.NoError(t, w.WriteField(name, pairs[i+1]))
			continue
		}
		part, err := w.CreateFormFile(name, file)
		require.NoError(t, err)
		io.WriteString(part, pairs[i+1])
	}
	require.NoError(t, w.Close())
	return w.FormDataContentType(), b.String()
}

type formIn struct {
	Page  string              `json:"page"`
	Title string              `json:"title" validate:"required,max=20"`
	Count int                 `json:"count,omitempty"`
	Done  bool                `json:"done"`
	Tags  []string            `json:"tags" validate:"max=3,dive,max=5"`
	Due   backend.Opt[int]    `json:"due"`
	Note  backend.Opt[string] `json:"note"`
	Price *float64            `json:"price"`
	Level string              `json:"level,omitempty" default:"low"`
	At    time.Time           `json:"at,omitzero"`
	Owner backend.ID          `json:"owner,omitempty"`
}

func formClient(t *testing.T, options ...backend.Option) restClient {
	echo := func(_ context.Context, in formIn) (string, error) { return fmt.Sprintf("%+v", in), nil }
	return replyClient(t, nil, backend.Mutation("save", backend.Public, echo, append(options, backend.Form(), backend.Route("POST /{page}"))...))
}

func TestForm(t *testing.T) {
	t.Parallel()
	c := formClient(t)
	for _, test := range []struct{ form, want string }{
		{"title=Milk+%26+bread", "{Page:p Title:Milk & bread Count:0 Done:false Tags:[] Due:{V:0 Present:false Null:false} Note:{V: Present:false Null:false} Price:<nil> Level:low At:0001-01-01 00:00:00 +0000 UTC Owner:0}"},
		{"title=a&count=&done=on&tags=a&tags=b&due=&note=&price=&level=&at=&owner=", "{Page:p Title:a Count:0 Done:true Tags:[a b] Due:{V:0 Present:true Null:true} Note:{V: Present:true Null:false} Price:<nil> Level: At:0001-01-01 00:00:00 +0000 UTC Owner:0}"},
		{"title=a%0D%0Ab&tags=a%0Ab&tags=%0D%0A", "{Page:p Title:a\nb Count:0 Done:false Tags:[a\nb \n] Due:{V:0 Present:false Null:false} Note:{V: Present:false Null:false} Price:<nil> Level:low At:0001-01-01 00:00:00 +0000 UTC Owner:0}"},
		{"title=a&count=7&done=true&due=3&note=x&level=high&owner=9", "{Page:p Title:a Count:7 Done:true Tags:[] Due:{V:3 Present:true Null:false} Note:{V:x Present:true Null:false} Price:<nil> Level:high At:0001-01-01 00:00:00 +0000 UTC Owner:9}"},
	} {
		want, err := json.Marshal(test.want)
		require.NoError(t, err)
		w := c.post("/p", urlencoded, test.form)
		require.Equal(t, 201, w.Code, w.Body)
		require.Equal(t, strings.ReplaceAll(string(want), `\u0026`, "&"), strings.ReplaceAll(w.Body.String(), `\u0026`, "&"))

		values, err := url.ParseQuery(test.form)
		require.NoError(t, err)
		var pairs []string
		for name, all := range values {
			for _, value := range all {
				pairs = append(pairs, name, value)
			}
		}
		contentType, body := multiparts(t, pairs...)
		multi := c.post("/p", contentType, body)
		require.Equal(t, 201, multi.Code, multi.Body)
		require.Equal(t, w.Body.String(), multi.Body.String(), "both kinds of forms mean the same")
	}
	require.Equal(t, 201, c.do("POST", "/p", `{"title":"a","done":false,"tags":[]}`).Code, "JSON still is")
	require.Equal(t, 422, c.do("POST", "/p", `{"title":"a"}`).Code, "and is as strict as before")
}

func TestFormRefuses(t *testing.T) {
	t.Parallel()
	c := formClient(t, backend.MaxBody(2000))
	for _, test := range []struct {
		contentType, body string
		status            int
		fields            []string
	}{
		{urlencoded, "count=x&done=1&tags=abcdef&title=&extra=1&page=q", 422, []string{"/count format", "/done format", "/extra unknown", "/page unknown", "/title required", "/tags/0 max"}},
		{urlencoded, "title=a&title=b", 422, []string{"/title format"}},
		{urlencoded, "", 422, nil},
		{urlencoded, "title=%zz", 400, nil},
		{urlencoded, "title=\xff", 422, []string{"/title format"}},
		{urlencoded, "title=" + strings.Repeat("a", 2000), 413, nil},
		{"multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"title\"\r\n\r\n" + strings.Repeat("a", 2000), 413, nil},
		{"multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"title\"\r\n\r\na", 400, nil},
		{"multipart/form-data", "--x", 400, nil},
		{"multipart/form-data; boundary=" + strings.Repeat("x", 80), "--x", 400, nil},
		{"text/plain", "title=a", 415, nil},
		{"multipart/mixed; boundary=x", "title=a", 415, nil},
		{urlencoded + ", text/plain", "title=a", 415, nil},
	} {
		w := c.post("/p", test.contentType, test.body)
		require.Equal(t, test.status, w.Code, "%s %.50q: %s", test.contentType, test.body, w.Body)
		if test.fields != nil {
			_, fields := problem(t, w)
			require.ElementsMatch(t, test.fields, fields)
		}
		if test.status == 415 {
			require.Equal(t, "application/json, application/x-www-form-urlencoded, multipart/form-data", w.Header().Get("Accept"))
		}
	}
	require.Equal(t, 415, c.post("/p", urlencoded, "title=a", "Content-Encoding", "gzip").Code)
	require.Equal(t, 201, formClient(t, backend.IgnoreUnknown()).post("/p", urlencoded, "title=a&extra=1").Code)
	plain := replyClient(t, nil, replyOp(func(context.Context) {}))
	require.Equal(t, 415, plain.post("/say", urlencoded, "fail=true").Code, "only operations that say so take forms")
}

// A page of another site can send forms with the cookies of the user (ASVS 3.5.1).
func TestFormsOfOtherSites(t *testing.T) {
	t.Parallel()
	c := formClient(t)
	const cookie = "session=s"
	foreign := [][]string{
		{"Cookie", cookie, "Sec-Fetch-Site", "cross-site"}, {"Cookie", cookie, "Sec-Fetch-Site", "same-site"}, {"Cookie", cookie, "Origin", "https://evil.example"},
		{"Cookie", cookie, "Origin", "null"}, {"Cookie", cookie}, {"Sec-Fetch-Site", "cross-site"},
	}
	contentType, parts := multiparts(t, "title", "a")
	for _, headers := range foreign {
		for _, h := range []http.Handler{c.h, backend.Stack(backend.StackConfig{})(c.h)} {
			c := restClient{t, h, ""}
			require.Equal(t, 403, c.post("/p", urlencoded, "title=a", headers...).Code, "%q", headers)
			require.Equal(t, 403, c.post("/p", contentType, parts, headers...).Code, "%q", headers)
		}
	}
	c.who = ""
	require.Equal(t, 201, c.post("/p", urlencoded, "title=a", "Cookie", cookie, "Sec-Fetch-Site", "same-origin").Code)
	require.Equal(t, 201, c.post("/p", urlencoded, "title=a", "Cookie", cookie, "Origin", "http://example.com").Code)
	trusting := restClient{t, backend.CrossOrigin("https://admin.example.com")(c.h), ""}
	require.Equal(t, 201, trusting.post("/p", urlencoded, "title=a", "Cookie", cookie, "Origin", "https://admin.example.com").Code, "CrossOrigin has decided")
}

type uploadIn struct {
	Picture backend.Upload   `json:"picture" accept:"image/png, image/jpeg" maxsize:"100KiB"`
	Papers  []backend.Upload `json:"papers" accept:"text/*" validate:"max=2"`
	Extra   backend.Upload   `json:"extra,omitzero"`
	Caption string           `json:"caption" validate:"max=20"`
}

func showUpload(u backend.Upload) string {
	text, err := io.ReadAll(u.Reader())
	return fmt.Sprintf("%s %s %d %d %v", u.Name, u.Type, u.Size, len(text), err)
}

func uploadOp(options ...backend.Option) *backend.Operation {
	return backend.Mutation("upload", backend.Public, func(_ context.Context, in uploadIn) ([]string, error) {
		all := []string{in.Caption, showUpload(in.Picture), showUpload(in.Extra)}
		for _, paper := range in.Papers {
			all = append(all, showUpload(paper))
		}
		return all, nil
	}, append(options, backend.Form(), backend.Route("POST /files"), backend.MaxBody(1<<20))...)
}

func TestUpload(t *testing.T) {
	t.Parallel()
	c := replyClient(t, nil, uploadOp())
	contentType, body := multiparts(t, "papers:a.csv", "a,b", "caption", "Me", "picture:me.png", pngText+strings.Repeat("x", 90<<10), "papers:b.txt", "")
	w := c.post("/files", contentType, body)
	require.Equal(t, 201, w.Code, w.Body)
	require.JSONEq(t, `["Me","me.png image/png 92168 92168 <nil>","  0 0 <nil>","a.csv text/csv 3 3 <nil>","b.txt text/plain 0 0 <nil>"]`, w.Body.String())

	for _, test := range []struct {
		parts  []string
		fields []string
	}{
		{[]string{"caption", "a"}, []string{"/picture required"}},
		{[]string{"caption", "a", "picture:a.png", "<html>"}, []string{"/picture type"}},
		{[]string{"caption", "a", "picture:a.png", pngText + strings.Repeat("x", 100<<10)}, []string{"/picture max"}},
		{[]string{"caption", "a", "picture", "text"}, []string{"/picture format"}},
		{[]string{"caption", "a", "image:a.png", pngText}, []string{"/image unknown", "/picture required"}},
		{[]string{"caption", "a", "papers:a", pngText, "picture:a.png", pngText}, []string{"/papers type"}},
		{[]string{"caption", strings.Repeat("a", 21), "picture:a.png", "<html>", "caption:b", "x", "other", "1"}, []string{"/picture type", "/caption format", "/other unknown"}},
		{[]string{"caption", "a", "picture:a.png", pngText, "papers:a", "a", "papers:a", "a", "papers:a", "a"}, []string{"/papers max"}},
	} {
		contentType, body := multiparts(t, test.parts...)
		w := c.post("/files", contentType, body)
		require.Equal(t, 422, w.Code, "%.100q %s", test.parts, w.Body)
		_, fields := problem(t, w)
		require.ElementsMatch(t, test.fields, fields)
	}
	contentType, body = multiparts(t, "picture:a.png", pngText+strings.Repeat("x", 1<<20))
	require.Equal(t, 413, c.post("/files", contentType, body).Code)
	for _, other := range []string{"application/json", urlencoded} {
		require.Contains(t, c.do("POST", "/files", "", "Content-Type", other).Body.String(), "The body is missing. Send it as multipart/form-data.")
		w := c.post("/files", other, `{}`)
		require.Equal(t, 415, w.Code)
		require.Equal(t, "multipart/form-data", w.Header().Get("Accept"))
	}
}

// A file that belongs to no field does not keep others from being stored.
func TestUploadsBesideIgnoredFiles(t *testing.T) {
	t.Parallel()
	c := replyClient(t, nil, uploadOp(backend.IgnoreUnknown()))
	contentType, body := multiparts(t, "other:x.txt", "abc", "unknown", "abc", "caption", "Me", "picture:me.png", pngText)
	w := c.post("/files", contentType, body)
	require.Equal(t, 201, w.Code, w.Body)
	require.JSONEq(t, `["Me","me.png image/png 8 8 <nil>","  0 0 <nil>"]`, w.Body.String())
	contentType, body = multiparts(t, "other:x.txt", "abc", "caption", "Me")
	w = c.post("/files", contentType, body)
	require.Equal(t, 422, w.Code, w.Body)
	_, fields := problem(t, w)
	require.Equal(t, []string{"/picture required"}, fields)
	contentType, body = multiparts(t, "caption:x.txt", "abc", "picture:me.png", pngText)
	w = c.post("/files", contentType, body)
	require.Equal(t, 422, w.Code, w.Body)
	_, fields = problem(t, w)
	require.Contains(t, fields, "/caption format")
}

// A transaction that runs again reads the files from their beginning.
func TestUploadsOfLostTransactions(t *testing.T) {
	t.Parallel()
	lost(t, func(t *testing.T, db *backend.DB, lose func(context.Context) error) {
		require.NoError(t, db.Migrate(t.Context(), nil))
		runs := 0
		c := replyClient(t, db, backend.Mutation("upload", backend.Public, func(ctx context.Context, in uploadIn) (string, error) {
			shown := showUpload(in.Picture) + " " + in.Caption
			if runs++; runs%2 == 1 {
				return "", lose(ctx)
			}
			return shown, nil
		}, backend.Form(), backend.Route("POST /files"), backend.Idempotent()))
		for n, key := range []string{"", "k", "k"} {
			contentType, body := multiparts(t, "caption", "Me", "picture:me.png", pngText+strings.Repeat("x", 50<<10))
			headers := []string{}
			if key != "" {
				headers = append(headers, "Idempotency-Key", key)
			}
			w := c.post("/files", contentType, body, headers...)
			require.Equal(t, 201, w.Code, w.Body)
			require.Equal(t, `"me.png image/png 51208 51208 \u003cnil\u003e Me"`, w.Body.String())
			require.Equal(t, min(2+2*n, 4), runs)
		}
		contentType, body := multiparts(t, "caption", "Me", "picture:me.png", pngText+strings.Repeat("y", 50<<10))
		require.Equal(t, 422, c.post("/files", contentType, body, "Idempotency-Key", "k").Code, "another file is another input")
	})
}

func TestUploadSpace(t *testing.T) {
	t.Parallel()
	logic := backend.NewLogic(nil, nil, backend.LogicConfig{UploadSpace: 100 << 10})
	logic.Add(uploadOp())
	c := newRESTClient(t, logic)
	contentType, body := multiparts(t, "caption", "Me", "picture:me.png", pngText, "extra:a", strings.Repeat("x", 60<<10))
	for range 5 { // the room is given back
		w := c.post("/files", contentType, body)
		require.Equal(t, 201, w.Code, w.Body)
	}
	contentType, body = multiparts(t, "caption", "Me", "picture:me.png", pngText, "extra:a", strings.Repeat("x", 200<<10))
	w := c.post("/files", contentType, body)
	require.Equal(t, 503, w.Code)
	require.NotEmpty(t, w.Header().Get("Retry-After"))
	require.PanicsWithValue(t, "backend: NewLogic: LogicConfig.UploadSpace is negative; leave it out for the default", func() {
		backend.NewLogic(nil, nil, backend.LogicConfig{UploadSpace: -1})
	})
}

func TestUploadOf(t *testing.T) {
	t.Parallel()
	logic := backend.NewLogic(nil, nil, backend.LogicConfig{})
	logic.Add(uploadOp())
	got, err := backend.Call[[]string](t.Context(), logic, "upload", uploadIn{Picture: backend.UploadOf("a.png", []byte(pngText))})
	require.NoError(t, err)
	require.Equal(t, "a.png image/png 8 8 <nil>", got[1])
	offered := string(backendtest.NewClient(t, toydoor.New(logic)).Get("/").Expect(200).Body)
	require.NotContains(t, offered, "upload")
}

func TestFormMistakes(t *testing.T) {
	t.Parallel()
	type nested struct {
		A struct {
			File backend.Upload `json:"file"`
		} `json:"a"`
	}
	type pointer struct {
		File *backend.Upload `json:"file"`
	}
	type tagged struct {
		Name string `json:"name" validate:"max=9" accept:"image/png"`
	}
	type accepts struct {
		File backend.Upload `json:"file" accept:"*/*"`
	}
	type sized struct {
		File backend.Upload `json:"file" maxsize:"5MB"`
	}
	type foreign struct {
		Name string `json:"name" form:"title" binding:"required"`
		Page int    `json:"page" form:"page" header:"X-Page"`
	}
	type object struct {
		A struct {
			B int `json:"b"`
		} `json:"a"`
	}
	type whole struct {
		A object `json:"a" in:"body"`
	}
	form := backend.Form()
	for want, op := range map[string]*backend.Operation{
		"a backend.Upload is a field of the input itself":                         mutationOf[nested](form),
		"a pointer to a backend.Upload, or an Opt with one":                       mutationOf[pointer](form),
		"field Name: the tags accept and maxsize are for a backend.Upload":        mutationOf[tagged](form),
		`accept:"*/*": "*/*" is not a media type in lower case`:                   mutationOf[accepts](form),
		`maxsize:"5MB": "5MB" is not a number of bytes, such as 64KiB or 5MiB`:    mutationOf[sized](form),
		"field Picture: files come with a form: give the operation the option":    mutationOf[uploadIn](),
		"the option Form: field A: a struct":                                      mutationOf[object](form),
		"the option Form: the field A is the body; leave the tag in:\"body\" out": mutationOf[whole](form),
		"the option Form: no field comes from the body":                           mutationOf[backend.None](form),
		"MaxBody(1024) is the limit of the whole form, and does not hold a fil":   mutationOf[uploadIn](form, backend.MaxBody(1024)),
		`field Name: the tag binding:"required" is not read: write validate:"r`:   mutationOf[foreign](form),
		`field Name: the tag form:"title" is not read, and the field is called`:   mutationOf[foreign](form),
		`field Page: the tag header:"X-Page" is not read: write in:"header=X-P`:   mutationOf[foreign](form),
		"Only(\"example.com/toy\"): only REST offers an operation with a back":    mutationOf[uploadIn](form, backend.Only(toydoor.Name)),
		"Form is for mutations, but this is a query":                              backend.Query("op", backend.Public, noop, form),
		"backend.Upload is no JSON; return it by itself":                          backend.Query("op", backend.Public, func(context.Context, backend.None) (uploadIn, error) { return uploadIn{}, nil }),
	} {
		func() {
			defer func() { require.Contains(t, fmt.Sprint(recover()), want) }()
			logic := backend.NewLogic(nil, nil, backend.LogicConfig{})
			logic.Add(op)
			logic.REST()
		}()
	}
}

func mutationOf[In any](options ...backend.Option) *backend.Operation {
	return backend.Mutation("op", backend.Public, func(context.Context, In) (backend.None, error) { return backend.None{}, nil }, append(options, backend.Route("POST /op"))...)
}

func TestOpenAPIOfForms(t *testing.T) {
	t.Parallel()
	logic := backend.NewLogic(nil, nil, backend.LogicConfig{})
	echo := func(_ context.Context, in formIn) (string, error) { return "", nil }
	logic.Add(uploadOp(), backend.Mutation("save", backend.Public, echo, backend.Form(), backend.Route("POST /{page}/save")))
	var document struct {
		Paths map[string]map[string]struct {
			RequestBody struct {
				Content map[string]struct {
					Schema   map[string]any
					Encoding map[string]map[string]string
				}
			}
		}
	}
	w := httptest.NewRecorder()
	logic.REST().OpenAPI(backend.OpenAPIConfig{}).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &document))
	upload := document.Paths["/files"]["post"].RequestBody.Content
	require.Len(t, upload, 1)
	parts := upload["multipart/form-data"]
	require.Equal(t, map[string]map[string]string{"picture": {"contentType": "image/png, image/jpeg"}, "papers": {"contentType": "text/*"}}, parts.Encoding)
	require.Equal(t, []any{"picture", "caption"}, parts.Schema["required"])
	properties := parts.Schema["properties"].(map[string]any)
	require.Equal(t, map[string]any{"type": "string", "contentMediaType": "application/octet-stream"}, properties["picture"])
	require.Equal(t, map[string]any{"type": "array", "maxItems": 2.0, "items": properties["picture"]}, properties["papers"])

	save := document.Paths["/{page}/save"]["post"].RequestBody.Content
	require.Len(t, save, 3)
	require.NotEmpty(t, save["application/json"].Schema["$ref"])
	for _, mediaType := range []string{urlencoded, "multipart/form-data"} {
		schema := save[mediaType].Schema
		require.Equal(t, []any{"title"}, schema["required"], "a box that is not checked is absent")
		require.Equal(t, false, schema["additionalProperties"])
		require.Equal(t, map[string]any{"type": "integer", "format": "int64"}, schema["properties"].(map[string]any)["due"], "text is never null")
		require.NotContains(t, schema["properties"], "page")
	}
}

// A large file is never whole in memory.
func TestUploadsAreStreamed(t *testing.T) {
	const size = 32 << 20
	c := replyClient(t, nil, backend.Mutation("upload", backend.Public, func(_ context.Context, in struct {
		File backend.Upload `json:"file"`
	}) (int64, error) {
		return io.Copy(io.Discard, in.File.Reader())
	}, backend.Form(), backend.Route("POST /files"), backend.MaxBody(size+1000)))
	body := io.MultiReader(strings.NewReader("--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n"), io.LimitReader(zeros{}, size), strings.NewReader("\r\n--x--"))
	r := httptest.NewRequest("POST", "/api/files", body)
	r.Header.Set("Content-Type", "multipart/form-data; boundary=x")
	w := httptest.NewRecorder()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	c.h.ServeHTTP(w, r)
	runtime.ReadMemStats(&after)
	require.Equal(t, 201, w.Code, w.Body)
	require.Equal(t, fmt.Sprint(size), w.Body.String())
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20))
}

// What package backendtest sends is what a browser sends.
func TestFormsOfTheTestClient(t *testing.T) {
	t.Parallel()
	logic := backend.NewLogic(nil, nil, backend.LogicConfig{})
	logic.Add(uploadOp())
	client := backendtest.NewClient(t, backend.Stack(backend.StackConfig{})(logic.REST()))
	var got []string
	client.Post("/files", backendtest.Multipart{
		{Name: "caption", Content: "Größe"}, {Name: "picture", File: "größe.png", Type: "image/jpeg", Content: pngText}, {Name: "papers", File: "a.csv", Content: "a"},
	}).Expect(201).JSON(&got)
	require.Equal(t, []string{"Größe", "größe.png image/png 8 8 <nil>", "  0 0 <nil>", "a.csv text/csv 1 1 <nil>"}, got)
}

// The limit of the body is made for the files that the tags allow.
func TestFilesFitIntoTheDefaultLimit(t *testing.T) {
	t.Parallel()
	c := replyClient(t, nil, mutationOf[struct {
		Files []backend.Upload `json:"files" maxsize:"2MiB" validate:"max=2"`
	}](backend.Form()))
	for size, status := range map[int]int{2 << 20: 204, 2<<20 + 1: 422, 3 << 20: 413} {
		contentType, body := multiparts(t, "files:a", strings.Repeat("x", size), "files:b", strings.Repeat("x", size))
		require.Equal(t, status, c.post("/op", contentType, body).Code, size)
	}
}
