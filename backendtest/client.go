package backendtest

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/textproto"
	"net/url"
	"strings"
	"testing"

	"github.com/seed-215b9b7c/backend"
)

// Client sends requests to a handler as a browser or an API client of the same origin
// would: over a real connection, with cookies, and with the headers that browsers
// send, so that cross-origin protection stays on in tests. It does not follow
// redirects. It is safe for concurrent use.
type Client struct {
	// URL is the base URL of the handler, without a slash at the end.
	URL string

	t      testing.TB
	client *http.Client
	header http.Header
}

// NewClient serves a handler until the test ends, and returns a client of it.
func NewClient(t testing.TB, handler http.Handler) *Client {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	client := server.Client()
	client.Jar = jar
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Client{
		URL: server.URL, t: t, client: client,
		header: http.Header{"Sec-Fetch-Site": {"same-origin"}, "Origin": {server.URL}},
	}
}

// With returns a client of the same handler, with the same cookies, that sends a header
// with every request. The header replaces one that the client sends by itself. An empty
// value removes the header. The name Host sets the host of the request.
func (c *Client) With(name, value string) *Client {
	other := *c
	other.header = c.header.Clone()
	other.header.Set(name, value)
	if value == "" {
		other.header[http.CanonicalHeaderKey(name)] = nil // not even the client's own
	}
	return &other
}

// Response is the response to a request of a [Client].
type Response struct {
	*http.Response
	// Body is the whole body.
	Body []byte

	t testing.TB
}

// Do sends a request. A nil body sends none. A string or []byte is sent as it is, as
// application/json; [url.Values] are sent as a form, and a [Multipart] as a form with
// files; anything else is sent as JSON.
// [Client.With] sends another Content-Type. A path begins with a slash, and may have
// a query.
func (c *Client) Do(method, path string, body any) *Response {
	c.t.Helper()
	if !strings.HasPrefix(path, "/") {
		c.t.Fatalf("%s: the path %q does not begin with a slash", method, path)
	}
	reader, contentType := c.body(body)
	request, err := http.NewRequestWithContext(c.t.Context(), method, c.URL+path, reader)
	if err != nil {
		c.t.Fatal(err)
	}
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	for name, values := range c.header {
		request.Header[name] = values
	}
	request.Host = c.header.Get("Host") // net/http takes it from here; "" is the URL's
	response, err := c.client.Do(request)
	if err != nil {
		c.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		c.t.Fatalf("%s %s: the response was cut short: %v", method, path, err)
	}
	return &Response{response, text, c.t}
}

// Multipart is a multipart/form-data body, as a browser sends a form with files.
//
//	client.Post("/pictures", backendtest.Multipart{
//		{Name: "caption", Content: "Tom"},
//		{Name: "picture", File: "tom.png", Type: "image/png", Content: png},
//	}).Expect(http.StatusCreated)
type Multipart []Part

// Part is one field of a form.
type Part struct {
	// Name is the name of the field.
	Name string
	// File is the name of a file. Empty means that the field is text.
	File string
	// Type is the media type that the client declares for a file. Empty means none.
	Type string
	// Content is the text, or the content of the file.
	Content string
}

func (m Multipart) encode(t testing.TB) (body io.Reader, contentType string) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for _, part := range m {
		params := map[string]string{"name": part.Name}
		if part.File != "" {
			params["filename"] = part.File
		}
		head := textproto.MIMEHeader{"Content-Disposition": {mime.FormatMediaType("form-data", params)}}
		if part.Type != "" {
			head.Set("Content-Type", part.Type)
		}
		to, err := w.CreatePart(head)
		if err == nil {
			_, err = io.WriteString(to, part.Content)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &b, w.FormDataContentType()
}

// Get sends a GET; see [Client.Do].
func (c *Client) Get(path string) *Response {
	c.t.Helper()
	return c.Do(http.MethodGet, path, nil)
}

// Post sends a POST; see [Client.Do].
func (c *Client) Post(path string, body any) *Response {
	c.t.Helper()
	return c.Do(http.MethodPost, path, body)
}

// Put sends a PUT; see [Client.Do].
func (c *Client) Put(path string, body any) *Response {
	c.t.Helper()
	return c.Do(http.MethodPut, path, body)
}

// Patch sends a PATCH; see [Client.Do].
func (c *Client) Patch(path string, body any) *Response {
	c.t.Helper()
	return c.Do(http.MethodPatch, path, body)
}

// Delete sends a DELETE; see [Client.Do].
func (c *Client) Delete(path string) *Response {
	c.t.Helper()
	return c.Do(http.MethodDelete, path, nil)
}

func (c *Client) body(body any) (io.Reader, string) {
	switch body := body.(type) {
	case nil:
		return nil, ""
	case string:
		return strings.NewReader(body), "application/json"
	case []byte:
		return bytes.NewReader(body), "application/json"
	case url.Values:
		return strings.NewReader(body.Encode()), "application/x-www-form-urlencoded"
	case Multipart:
		return body.encode(c.t)
	}
	text, err := json.Marshal(body)
	if err != nil {
		c.t.Fatal(err)
	}
	return bytes.NewReader(text), "application/json"
}

// Expect fails the test unless the status is the one given. It returns the
// response.
func (r *Response) Expect(status int) *Response {
	r.t.Helper()
	if r.StatusCode != status {
		r.t.Fatalf("%s %s: want %d, got %d: %s", r.Request.Method, r.Request.URL.Path, status, r.StatusCode, r.Body)
	}
	return r
}

// JSON decodes the body into the value that into points to.
func (r *Response) JSON(into any) *Response {
	r.t.Helper()
	if err := json.Unmarshal(r.Body, into); err != nil {
		r.t.Fatalf("%s %s: the body is not the JSON that was expected: %v: %s", r.Request.Method, r.Request.URL.Path, err, r.Body)
	}
	return r
}

// Problem is an error as [backend.WriteError] writes it (RFC 9457).
type Problem struct {
	Status    int                  `json:"status"`
	Code      string               `json:"code"`
	Detail    string               `json:"detail"`
	RequestID string               `json:"requestId"`
	Errors    []backend.FieldError `json:"errors"`
}

// Problem decodes the body of an error.
func (r *Response) Problem() Problem {
	r.t.Helper()
	if got := r.Header.Get("Content-Type"); got != "application/problem+json" {
		r.t.Fatalf("%s %s: the response is no problem but %d %s: %s", r.Request.Method, r.Request.URL.Path, r.StatusCode, got, r.Body)
	}
	var problem Problem
	r.JSON(&problem)
	return problem
}

// callerHeader names the caller for [Callers].
const callerHeader = "Backendtest-Caller"

// Callers is an Authenticator for tests, for [backend.NewLogic]. The caller of a request
// is the one given to [Client.As], or else the anonymous caller. Callers trusts what the
// request says, so never use it outside of tests.
type Callers struct {
	// Account returns the [backend.Caller].Account of the account with an id, as the
	// program's own Authenticator loads it. It is not called for the anonymous caller.
	// Without it, callers have none.
	Account func(ctx context.Context, id backend.AccountID) (any, error)
}

// Authenticate returns the caller given to [Client.As].
func (c Callers) Authenticate(ctx context.Context, r *http.Request) (backend.Caller, error) {
	var caller backend.Caller
	text := r.Header.Get(callerHeader)
	if text == "" {
		return caller, nil
	}
	if err := json.Unmarshal([]byte(text), &caller); err != nil {
		return backend.Caller{}, backend.Errorf(backend.Unauthenticated, "The caller cannot be read.")
	}
	if c.Account != nil && caller.SignedIn() {
		var err error
		if caller.Account, err = c.Account(ctx, caller.ID); err != nil {
			return backend.Caller{}, err
		}
	}
	return caller, nil
}

// As returns a client of the same handler, with the same cookies, whose requests come
// from caller. The program under test must use [Callers] as its Authenticator. For
// another Authenticator, use [Client.With] with the header that it reads. A caller with
// an Account fails the test: a request cannot carry it, so set [Callers].Account.
//
//	logic := backend.NewLogic(db, backendtest.Callers{}, backend.LogicConfig{})
//	…
//	client.As(backend.Caller{ID: "ann"}).Get("/notes").Expect(http.StatusOK)
func (c *Client) As(caller backend.Caller) *Client {
	c.t.Helper()
	if caller.Account != nil {
		c.t.Fatal("a request cannot carry Caller.Account; set backendtest.Callers.Account")
	}
	text, err := json.Marshal(caller)
	if err != nil {
		c.t.Fatal(err)
	}
	return c.With(callerHeader, string(text))
}
