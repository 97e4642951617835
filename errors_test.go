package backend_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
	"strconv"
)

// Statuses as RFC 9110 and RFC 6585 define them, by literal numbers; 499 is
// nginx's.
var codeStatus = map[backend.Code]int{
	backend.Internal: 500, backend.Malformed: 400, backend.Invalid: 422, backend.Unauthenticated: 401, backend.Forbidden: 403,
	backend.NotFound: 404, backend.MethodNotAllowed: 405, backend.NotAcceptable: 406, backend.RequestTimeout: 408, backend.Conflict: 409, backend.Gone: 410,
	backend.PreconditionFailed: 412, backend.TooLarge: 413, backend.Unsupported: 415, backend.Misdirected: 421,
	backend.PreconditionRequired: 428, backend.RateLimited: 429, backend.Canceled: 499, backend.Unimplemented: 501,
	backend.Unavailable: 503, backend.Timeout: 504,
}

// The table is total: every code up to the first unknown one has a name, a
// status and a message, and no two have the same name.
func TestCodes(t *testing.T) {
	t.Parallel()
	names := map[string]backend.Code{}
	for code, status := range codeStatus {
		require.Equal(t, status, code.Status(), code.String())
		require.NotContains(t, names, code.String())
		names[code.String()] = code

		text, err := code.MarshalText()
		require.NoError(t, err)
		var back backend.Code
		require.NoError(t, back.UnmarshalText(text))
		require.Equal(t, code, back)
	}
	first := backend.Code(len(codeStatus))
	require.Equal(t, "internal", first.String(), "codeStatus lacks a code")
	require.Equal(t, 500, backend.Code(255).Status())
	var code backend.Code
	require.ErrorContains(t, code.UnmarshalText([]byte("nope")), `"nope"`)
}

func TestCodeOf(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		err  error
		want backend.Code
	}{
		"foreign":     {errors.New("x"), backend.Internal},
		"ours":        {backend.Errorf(backend.Gone, "x"), backend.Gone},
		"wrapped":     {fmt.Errorf("a: %w", backend.Errorf(backend.Gone, "x")), backend.Gone},
		"joined":      {errors.Join(errors.New("a"), backend.Errorf(backend.Gone, "x")), backend.Gone},
		"canceled":    {fmt.Errorf("a: %w", context.Canceled), backend.Canceled},
		"deadline":    {context.DeadlineExceeded, backend.Timeout},
		"too large":   {&http.MaxBytesError{Limit: 5}, backend.TooLarge},
		"ours first":  {(&backend.Error{Code: backend.Conflict}).Wrap(context.Canceled), backend.Conflict},
		"unknown":     {&backend.Error{Code: 200}, backend.Internal},
		"zero values": {&backend.Error{}, backend.Internal},
	} {
		require.Equal(t, test.want, backend.CodeOf(test.err), name)
	}
}

func TestErrorKeepsItsCause(t *testing.T) {
	t.Parallel()
	cause := errors.New("cause")
	e := backend.Errorf(backend.NotFound, "no note %d", 7)
	require.Equal(t, "not_found: no note 7", e.Error())
	require.NoError(t, e.Unwrap())
	wrapped := e.Wrap(cause)
	require.ErrorIs(t, wrapped, cause)
	require.Equal(t, "not_found: no note 7: cause", wrapped.Error())
	require.NotErrorIs(t, e, cause, "Wrap copies")
	require.ErrorIs(t, backend.Errorf(backend.Invalid, "a: %w", cause), cause)
	e.Fields = []backend.FieldError{{Pointer: "/a", Message: "is wrong"}}
	require.Equal(t, "not_found: no note 7; /a: is wrong", e.Error())
}

func writeError(err error, accept string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", "/", nil)
	if accept != "" {
		r.Header.Set("Accept", accept)
	}
	w := httptest.NewRecorder()
	w.Header().Set("Etag", `"other"`)
	w.Header().Set("Content-Length", "5")
	w.Header().Set("Allow", "GET")
	backend.WriteError(w, r, err)
	return w
}

func TestWriteError(t *testing.T) {
	t.Parallel()
	w := writeError(&backend.Error{
		Code: backend.Invalid, Message: "Two things <b>.", RetryAfter: 1500 * time.Millisecond,
		Fields: []backend.FieldError{{Pointer: "/title", Rule: "required", Message: "A title is needed."}},
	}, "")
	require.Equal(t, 422, w.Code)
	require.JSONEq(t, `{"type":"about:blank","title":"Unprocessable Entity","status":422,"detail":"Two things <b>.","code":"invalid",
		"errors":[{"pointer":"/title","rule":"required","detail":"A title is needed."}]}`, w.Body.String())
	require.NotContains(t, w.Body.String(), "<b>", "JSON that a browser takes for HTML does no harm")
	for name, want := range map[string]string{
		"Content-Type": "application/problem+json", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store",
		"Retry-After": "2", "Allow": "GET", "Etag": "", "Content-Length": "",
	} {
		require.Equal(t, want, w.Header().Get(name), name)
	}
	for _, directive := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"} {
		require.Contains(t, w.Header().Get("Content-Security-Policy"), directive)
	}
}

// A 401 names a scheme (RFC 9110, section 15.5.2), and no other error does.
func TestWriteErrorChallenges(t *testing.T) {
	t.Parallel()
	require.Equal(t, "Bearer", writeError(&backend.Error{Code: backend.Unauthenticated}, "").Header().Get("WWW-Authenticate"))
	require.Empty(t, writeError(&backend.Error{Code: backend.Forbidden}, "").Header().Get("WWW-Authenticate"))
	w := httptest.NewRecorder()
	w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
	backend.WriteError(w, httptest.NewRequest("GET", "/", nil), &backend.Error{Code: backend.Unauthenticated})
	require.Equal(t, []string{`Bearer error="invalid_token"`}, w.Header()["Www-Authenticate"])
}

// Statement 4 and 65: what is internal stays inside.
func TestWriteErrorHidesInternals(t *testing.T) {
	t.Parallel()
	for _, err := range []error{
		errors.New("pq: password hunter2"),
		&backend.Error{Message: "hunter2", Fields: []backend.FieldError{{Pointer: "/hunter2"}}},
		backend.Errorf(backend.NotFound, "nothing").Wrap(errors.New("hunter2")),
		(&backend.Error{Code: backend.Unavailable}).Wrap(errors.New("hunter2")),
	} {
		for _, accept := range []string{"", "text/html"} {
			require.NotContains(t, writeError(err, accept).Body.String(), "hunter2")
		}
	}
}

func TestWriteErrorForPeople(t *testing.T) {
	t.Parallel()
	w := writeError(&backend.Error{Code: backend.NotFound, Message: "No <script>.", Fields: []backend.FieldError{{Pointer: "/<i>", Message: "<u>"}}},
		"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")
	require.Equal(t, 404, w.Code)
	require.Equal(t, "text/html; charset=utf-8", w.Header().Get("Content-Type"))
	body := w.Body.String()
	require.Contains(t, body, "<h1>Not Found</h1>")
	require.Contains(t, body, "No &lt;script&gt;.")
	require.Contains(t, body, "<code>/&lt;i&gt;</code> &lt;u&gt;")
	_, style, _ := strings.Cut(body, "<style>")
	style, _, _ = strings.Cut(style, "</style>")
	sum := sha256.Sum256([]byte(style))
	require.Contains(t, w.Header().Get("Content-Security-Policy"), "style-src 'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'")

	for accept, html := range map[string]bool{
		"":                                   false,
		"*/*":                                false,
		"application/json":                   false,
		"text/html":                          true,
		"application/json, text/html":        false,
		"application/json;q=0.5, text/html":  true,
		"text/html;q=0":                      false,
		"text/html;q=x":                      false,
		"text/html;;;, ,":                    true, // RFC 9110, section 5.6.6: parameters may be empty
		"text/html;q=1.5":                    false,
		`text/html;a="b,c";q=0.5`:            true,
		`application/json;a="text/html,"`:    false,
		"application/xhtml+xml":              true,
		"application/problem+json,text/html": false,
	} {
		is := strings.HasPrefix(writeError(errors.New("x"), accept).Header().Get("Content-Type"), "text/html")
		require.Equal(t, html, is, accept)
	}
}

func TestEveryCodeIsAProblem(t *testing.T) {
	t.Parallel()
	for code, status := range codeStatus {
		w := writeError(&backend.Error{Code: code}, "")
		require.Equal(t, status, w.Code)
		var problem struct {
			Title, Detail, Code string
			Status              int
		}
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &problem))
		require.Equal(t, status, problem.Status)
		require.Equal(t, code.String(), problem.Code)
		require.NotEmpty(t, problem.Title)
		require.NotEmpty(t, problem.Detail)
	}
}

func ExampleErrorf() {
	w := httptest.NewRecorder()
	r := httptest.NewRequest("GET", "/notes/7", nil)
	backend.WriteError(w, r, backend.Errorf(backend.NotFound, "There is no note %d.", 7))
	fmt.Println(w.Code, w.Header().Get("Content-Type"))
	fmt.Println(w.Body)
	// Output:
	// 404 application/problem+json
	// {"type":"about:blank","title":"Not Found","status":404,"detail":"There is no note 7.","code":"not_found"}
}

// Whatever is in an error's texts, the problem is as encoding/json writes it.
func TestProblemsAreJSON(t *testing.T) {
	t.Parallel()
	odd := "a\"\\\n\x00\x7f<&>\u2028\xff𝄞"
	fields := []backend.FieldError{{Pointer: "/" + odd, Rule: odd, Message: odd}, {Message: odd}}
	w := httptest.NewRecorder()
	backend.WriteError(w, httptest.NewRequest("GET", "/", nil), &backend.Error{Code: backend.Invalid, Message: odd, Fields: fields})
	want, err := json.Marshal(struct {
		Type   string               `json:"type"`
		Title  string               `json:"title"`
		Status int                  `json:"status"`
		Detail string               `json:"detail"`
		Code   string               `json:"code"`
		Errors []backend.FieldError `json:"errors"`
	}{"about:blank", "Unprocessable Entity", 422, odd, "invalid", fields})
	require.NoError(t, err)
	require.Equal(t, string(want)+"\n", w.Body.String())
}

// What a door of another protocol may show of an error is what WriteError shows.
func TestPublicError(t *testing.T) {
	t.Parallel()
	field := backend.FieldError{Pointer: "/a", Rule: "max", Message: "is too long"}
	for name, test := range map[string]struct {
		err  error
		want *backend.Error
	}{
		"a message":         {backend.Errorf(backend.Conflict, "Taken."), &backend.Error{Code: backend.Conflict, Message: "Taken."}},
		"without a message": {&backend.Error{Code: backend.NotFound}, &backend.Error{Code: backend.NotFound, Message: "There is nothing here."}},
		"fields, wrapped":   {fmt.Errorf("around: %w", &backend.Error{Code: backend.Invalid, Fields: []backend.FieldError{field}}), &backend.Error{Code: backend.Invalid, Message: "The input is not valid.", Fields: []backend.FieldError{field}}},
		"later":             {(&backend.Error{Code: backend.RateLimited, Message: "Slow.", RetryAfter: time.Second}).Wrap(errors.New("secret")), &backend.Error{Code: backend.RateLimited, Message: "Slow.", RetryAfter: time.Second}},
		"internal":          {&backend.Error{Code: backend.Internal, Message: "secret", Fields: []backend.FieldError{field}}, &backend.Error{Message: "Something went wrong on our side."}},
		"foreign":           {errors.New("secret"), &backend.Error{Message: "Something went wrong on our side."}},
		"a deadline":        {context.DeadlineExceeded, &backend.Error{Code: backend.Timeout, Message: "This took too long; check whether it took effect before you try again."}},
		"an unknown code":   {&backend.Error{Code: 200, Message: "secret"}, &backend.Error{Message: "Something went wrong on our side."}},
	} {
		got := backend.PublicError(test.err)
		require.Equal(t, test.want, got, name)
		require.NotContains(t, got.Error(), "secret", name)
	}
	require.Equal(t, "/title", backend.InvalidField("title", "unique", "is taken").Fields[0].Pointer)
	require.Equal(t, "", backend.InvalidField("", "unique", "is taken").Fields[0].Pointer, "the whole input")
}

func TestWithField(t *testing.T) {
	t.Parallel()
	first := backend.Errorf(backend.Conflict, "Too late.").WithField("seat", "unique", "is taken")
	second := first.WithField("/row/1", "", "is full")
	other := first.WithField("/price", "min", "is too low")
	require.Equal(t, []backend.FieldError{{Pointer: "/seat", Rule: "unique", Message: "is taken"}}, first.Fields)
	require.Equal(t, append(first.Fields, backend.FieldError{Pointer: "/row/1", Message: "is full"}), second.Fields)
	require.Equal(t, append(first.Fields, backend.FieldError{Pointer: "/price", Rule: "min", Message: "is too low"}), other.Fields)
	require.Equal(t, "conflict: Too late.; /seat: is taken; /row/1: is full", second.Error())
	require.Equal(t, backend.Conflict, second.Code)
}

// A format of errors tells a call without credentials from one with wrong credentials.
func TestAnonymous(t *testing.T) {
	t.Parallel()
	own := errors.New("own cause")
	never := backend.AccessFunc("never", func(context.Context, backend.Caller) error {
		return backend.Errorf(backend.Unauthenticated, "Sign in.").Wrap(own)
	})
	wrapped := backend.AccessFunc("wrapped", func(context.Context, backend.Caller) error {
		return fmt.Errorf("rule: %w", backend.Errorf(backend.Unauthenticated, "Sign in."))
	})
	signIn := func(context.Context, backend.None) (string, error) {
		return "", backend.Errorf(backend.Unauthenticated, "The password is wrong.")
	}
	logic := backend.NewLogic(nil, bearer{}, backend.LogicConfig{})
	for name, access := range map[string]backend.Access{
		"signedIn": backend.SignedIn, "role": backend.Role("admin"), "scope": backend.Scope("x"), "fresh": backend.Fresh(time.Hour),
		"any": backend.AnyOf(backend.Role("a"), backend.Scope("b")), "all": backend.AllOf(backend.SignedIn, never), "own": never, "wrapped": wrapped,
		"public": backend.Public,
	} {
		logic.Add(backend.Mutation(name, access, signIn, backend.Route("POST /"+name), backend.OutsideTx()))
	}
	r := backend.NewRouter()
	r.Use(backend.Errors(backend.ErrorsConfig{Body: backend.ErrorBodyOf(func(_ *http.Request, e *backend.Error) string {
		return fmt.Sprint(e.Anonymous(), " ", e.Message)
	})}))
	r.Mount("/", logic.REST())
	for path, want := range map[string]string{
		"signedIn": "true Sign in first.", "role": "true Sign in first.", "scope": "true Sign in first.", "any": "true Sign in first.",
		"fresh": "true Sign in again to do this.", "all": "true Sign in first.", "own": "true Sign in.", "wrapped": "true Sign in.",
		"public": "false The password is wrong.",
	} {
		w := httptest.NewRecorder()
		r.ServeHTTP(w, httptest.NewRequest("POST", "/"+path, nil))
		require.Equal(t, 401, w.Code, path)
		require.JSONEq(t, strconv.Quote(want), w.Body.String(), path)
	}
	wrong := httptest.NewRequest("POST", "/signedIn", nil)
	wrong.Header.Set("Authorization", "Bearer wrong")
	w := httptest.NewRecorder()
	r.ServeHTTP(w, wrong)
	require.JSONEq(t, `"false The token is not valid."`, w.Body.String())
	fresh := httptest.NewRequest("POST", "/fresh", nil)
	fresh.Header.Set("Authorization", "Bearer ann")
	w = httptest.NewRecorder()
	r.ServeHTTP(w, fresh)
	require.JSONEq(t, `"false Sign in again to do this."`, w.Body.String())

	_, err := backend.Call[string](t.Context(), logic, "own", backend.None{})
	require.ErrorIs(t, err, own)
	require.True(t, backend.PublicError(err).Anonymous())
}
