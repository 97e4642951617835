package backend

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"html"
	"log/slog"
	"net/http"
	"net/url"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/seed-215b9b7c/backend/internal/header"
	"github.com/seed-215b9b7c/backend/internal/jsonout"
	"github.com/seed-215b9b7c/backend/internal/logguard"
	"github.com/seed-215b9b7c/backend/internal/response"
)

// This file writes the response to an error, and has handlers that return errors.

// WriteError writes the response to a request that has failed with err. The body
// is application/problem+json (RFC 9457), or a small HTML page if the Accept
// header prefers text/html; [Errors] replaces both. The members of the problem are type, title, status,
// detail, code, requestId if there is one, and, for errors of input fields,
// errors: an array of objects with a JSON pointer, the rule and a detail.
//
// The status and the texts are those of the [Error] in err. An error without one
// is [Internal]. The response to an Internal error contains the request id, but
// nothing of err.
//
// WriteError hands err to the access log, whose record of the request has it. If no
// [AccessLog] is around the handler, WriteError logs Internal errors to
// [slog.Default], with the method and the path of the request.
//
// If the handler has begun a response but nothing of it was sent, it is dropped.
// Headers that are set, such as Allow, are kept, with these exceptions:
//
//   - Content-Length, Content-Encoding, Content-Disposition, ETag and
//     Last-Modified are removed: they describe another body;
//   - Cache-Control becomes no-store, X-Content-Type-Options nosniff;
//   - Content-Security-Policy, if not set, becomes one that allows nothing, or the
//     page's own style sheet;
//   - Retry-After is set from [Error.RetryAfter];
//   - WWW-Authenticate of a 401, if not set, has the schemes of the [Authenticator],
//     see [SecurityDescriber]. Without them it becomes Bearer: a 401 must have it
//     (RFC 9110, section 15.5.2), and no browser asks for a password because of
//     Bearer.
func WriteError(w http.ResponseWriter, r *http.Request, err error) {
	err = stopped(r, err)
	e := asError(err)
	id := reportError(w, r, e.Code.orInternal(), err)
	challenge(w.Header(), err, e.Code)
	status := e.Code.Status()
	if _, ok := errors.AsType[*unsatisfiable](err); ok {
		status = http.StatusRequestedRangeNotSatisfiable
	}
	writeAnswer(w, r, e, status, id)
}

// unsatisfiable is the error of a Range that the content does not have. Its status is 416.
type unsatisfiable struct{ error }

func (u *unsatisfiable) Unwrap() error { return u.error }

// AnswerError implements [response.Owner]: it answers with the error of a hook as
// WriteError does. What the handler's response has led to is not told.
func (x *exchange) AnswerError(w http.ResponseWriter, err error) {
	for _, name := range [...]string{"Location", "Link", "Content-Range", "Accept-Ranges"} {
		w.Header().Del(name)
	}
	e := asError(err)
	id := x.report(x.request, e.Code.orInternal(), err)
	challenge(w.Header(), err, e.Code)
	writeAnswer(w, x.request, e, e.Code.Status(), id)
}

// writeAnswer writes the response that an error becomes.
func writeAnswer(w http.ResponseWriter, r *http.Request, e *Error, status int, id string) {
	head := w.Header()
	for _, name := range bodyHeaders {
		delete(head, name)
	}
	head["Cache-Control"] = noStore
	head["X-Content-Type-Options"] = nosniff
	if e.RetryAfter > 0 {
		seconds := (e.RetryAfter + time.Second - 1) / time.Second
		head.Set("Retry-After", strconv.FormatInt(int64(seconds), 10))
	}
	if e.Code.orInternal() == Unauthenticated && head["Www-Authenticate"] == nil {
		head["Www-Authenticate"] = bearerScheme
	}
	a := answer{w: w, r: r, status: status}
	if x := exchangeFrom(r.Context()); x != nil && x.errors != nil {
		a.ask(x.errors, PublicError(e))
	} else {
		a.people = prefersHTML(r.Header.Values("Accept"), "")
	}
	switch {
	case a.people && a.page != nil:
		a.write(htmlType, nil, a.page)
	case a.people:
		a.write(htmlType, errorPagePolicy, appendErrorPage(nil, a.status, e, id))
	case a.body != nil:
		a.write([]string{a.bodyType}, closedPolicy, a.body)
	default:
		a.write(problemType, closedPolicy, appendProblem(make([]byte, 0, 256), a.status, e, id))
	}
}

// Errors returns middleware that replaces the format of error responses. It applies to all
// errors within it: those of [WriteError] and [Handler], of a [RESTDoor], of the [Router],
// and of other middleware. In [Stack] it is the outermost step. The descriptions of
// [RESTDoor.OpenAPI] within it have the schema of its Body.
//
//	type apiError struct {
//		Error   string            `json:"error"`
//		Message string            `json:"message"`
//		Fields  map[string]string `json:"fields,omitempty"`
//	}
//
//	errors := backend.ErrorsConfig{Body: backend.ErrorBodyOf(func(r *http.Request, e *backend.Error) apiError {
//		body := apiError{Error: e.Code.String(), Message: e.Message}
//		…
//		return body
//	})}
//	r.Use(backend.Stack(backend.StackConfig{Errors: errors}))
//
// The functions get the [PublicError]: nothing that clients must not see, and a message that
// is never empty. They must be safe for concurrent use.
//
// The innermost Errors counts, so that a group of routes can have another format. Errors
// panics if ContentType is not a media type, or is set without Body.
func Errors(config ErrorsConfig) Middleware {
	must("Errors", config.check())
	return layer(func(x *exchange, w http.ResponseWriter, r *http.Request, next nextStep) {
		x.errors = &config
		next.serve(x, w, r)
	})
}

// answer is the response to an error. page and body are those of [Errors], if there are any.
type answer struct {
	w        http.ResponseWriter
	r        *http.Request
	status   int
	people   bool // it is a page, and not JSON
	page     []byte
	body     []byte
	bodyType string
}

// ask asks the functions of the program for the response. What fails is logged, and the
// response is the default.
func (a *answer) ask(config *ErrorsConfig, e *Error) {
	guarded := func(what string, f func() error) {
		defer func() {
			if value := recover(); value != nil {
				ReportError(a.r, fmt.Errorf("ErrorsConfig.%s: %w", what, &panicError{value, debug.Stack()}))
			}
		}()
		if err := f(); err != nil {
			ReportError(a.r, fmt.Errorf("ErrorsConfig.%s: %w", what, err))
		}
	}
	guarded("Status", func() error {
		a.status = config.statusOf(e)
		return nil
	})
	a.bodyType = config.bodyType()
	a.people = prefersHTML(a.r.Header.Values("Accept"), a.bodyType)
	switch {
	case a.people && config.Page != nil:
		guarded("Page", func() error {
			var page bytes.Buffer
			err := config.Page(&page, a.r, e)
			if err == nil {
				a.page = page.Bytes()
			}
			return err
		})
	case !a.people && config.Body.append != nil:
		guarded("Body", func() (err error) {
			a.body, err = config.Body.append(nil, a.r, e)
			return err
		})
	}
}

// write writes the response with a policy, unless the handler has set one. Without a policy,
// the response has that of other pages.
func (a *answer) write(contentType, policy []string, body []byte) {
	head := a.w.Header()
	if set := head["Content-Security-Policy"]; policy != nil && (set == nil || same(set, closedPolicy)) {
		head["Content-Security-Policy"] = policy
	}
	head["Content-Type"] = contentType
	if rw := response.Of(a.w); rw != nil {
		rw.IsShort(len(body))
	}
	a.w.WriteHeader(a.status)
	a.w.Write(body)
}

// bodyHeaders are the headers that describe the body of another response.
var bodyHeaders = []string{"Content-Length", "Content-Encoding", "Content-Disposition", "Etag", "Last-Modified"}

// These header values are shared by all responses, so that setting one allocates
// nothing. They must not be changed.
var (
	noStore      = []string{"no-store"}
	nosniff      = []string{"nosniff"}
	closedPolicy = []string{"default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"}
	bearerScheme = []string{"Bearer"}
	problemType  = []string{"application/problem+json"}
	htmlType     = []string{"text/html; charset=utf-8"}
)

// Handler is an [http.Handler] that may return an error. [WriteError] writes the
// response for the error. A nil error means that the function has written its response.
//
// If the response was sent in part when the function returns an error, the error
// is logged, and the connection is aborted ([http.ErrAbortHandler]), so that the
// client does not take the part for the whole. This needs a middleware of this
// package around the handler. Without one, the error response follows the part
// that was sent: check for errors before writing.
//
// Errors of the standard library about the request are the client's fault. They are
// answered with 400, 413 or 415, and logged as Info:
//   - errors of ParseForm, ParseMultipartForm, FormFile, MultipartReader and Cookie of
//     [http.Request];
//   - errors of encoding/json, [io.EOF] and [io.ErrUnexpectedEOF] that the handler
//     returns as they are, if as much of the request body was read as the error is
//     about. A handler that reads a body and JSON of the program's own must wrap the
//     errors about the latter, by [fmt.Errorf] or [Error.Wrap]: they look the same. So an
//     error about the body that is wrapped by fmt.Errorf is [Internal]: to add to it, wrap
//     it in an [Error] with the code [Malformed].
//
// Without [BodyLimit] around the handler it is not known what was read, and most of
// these errors are [Internal]. So are all others, such as those of strconv and
// encoding/xml: return an [Error] for them.
type Handler func(http.ResponseWriter, *http.Request) error

// ServeHTTP calls f and writes the response for the error that it returns.
func (f Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := f(w, r); err != nil {
		endHandler(w, r, explained(w, r, err))
	}
}

// endHandler writes the response for the error that a handler has returned.
func endHandler(w http.ResponseWriter, r *http.Request, err error) {
	switch rw := response.Of(w); {
	case rw != nil && rw.Failure() != nil: // answered already, with what made the handler fail
	case rw != nil && rw.Begun():
		reportError(w, r, Internal, err) // Internal: logged even without an access log
		panic(http.ErrAbortHandler)
	default:
		WriteError(w, r, err)
	}
}

// reportError hands err to the access log of the request, or logs it, and returns
// the request id. It drops a response of which nothing was sent.
func reportError(w http.ResponseWriter, r *http.Request, code Code, err error) string {
	if x := exchangeOf(r.Context(), w); x != nil {
		x.response.Drop()
		return x.report(r, code, err)
	}
	if code == Internal {
		logFailure(r, "", err)
	}
	return RequestIDFrom(r.Context())
}

// ReportError hands an error to the [AccessLog] of a request, as [WriteError] does,
// and writes nothing. It is for handlers that answer errors in a form of their own,
// see [PublicError]. It may be called several times: the record has all errors. If
// there is no access log, errors that are [Internal] go to [slog.Default]. It must be
// called before the handler returns, not with nil, and not at once from several
// goroutines.
func ReportError(r *http.Request, err error) {
	code := CodeOf(err)
	x := exchangeFrom(r.Context())
	if x == nil {
		if code == Internal {
			logFailure(r, "", err)
		}
		return
	}
	before := x.log.err
	x.report(r, code, err)
	if code == Internal {
		err = (&Error{Code: Internal}).Wrap(err) // or the code of another error would stand for both
		x.log.err = errors.Join(err, before)
		return
	}
	x.log.err = errors.Join(before, err)
}

// report keeps err for the access log and returns the request id. If there is no
// access log, it logs internal errors.
func (x *exchange) report(r *http.Request, code Code, err error) string {
	if first := x.log.err; first != nil && x.response.Failure() != nil {
		x.log.err = errors.Join(first, err) // the first is what the client sees
	} else {
		x.log.err = err
	}
	if !x.log.pending && code == Internal {
		logFailure(r, x.name.id, err)
	}
	return x.name.id
}

// logFailure logs the error of a request that has no access log.
func logFailure(r *http.Request, id string, err error) {
	attrs := append(requestAttrs(r), slog.Any("error", err))
	if id != "" {
		attrs = append(attrs, slog.String("request_id", id))
	}
	logguard.Default().LogAttrs(r.Context(), slog.LevelError, "request failed", appendStack(attrs, err)...)
}

// requestAttrs returns the method and the path of a request for the log. The query
// string, which may have secrets, is left out.
func requestAttrs(r *http.Request) []slog.Attr {
	return []slog.Attr{slog.String("method", cut(r.Method, 32)), slog.String("path", logPath(r.URL))}
}

// panicError is a recovered panic.
type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("panic: %v", e.value) }

func (e *panicError) Unwrap() error {
	err, _ := e.value.(error)
	return err
}

func appendStack(attrs []slog.Attr, err error) []slog.Attr {
	if fault, ok := errors.AsType[*panicError](err); ok {
		attrs = append(attrs, slog.String("stack", string(fault.stack)))
	}
	return attrs
}

// logPath returns a path for the log: escaped, so that it is ASCII, and cut after
// 1024 bytes.
func logPath(u *url.URL) string { return cut(u.EscapedPath(), 1024) }

func cut(s string, length int) string {
	if len(s) > length {
		return s[:length] + "..."
	}
	return s
}

func statusTitle(status int) string {
	if text := http.StatusText(status); text != "" {
		return text
	}
	return "Client Closed Request"
}

// appendProblem appends the problem of RFC 9457.
func appendProblem(body []byte, status int, e *Error, id string) []byte {
	message, fields := e.shown()
	body = appendMember(body, `{"type":"about:blank","title":`, statusTitle(status))
	body = strconv.AppendInt(append(body, `,"status":`...), int64(status), 10)
	body = appendMember(body, `,"detail":`, message)
	body = appendMember(body, `,"code":`, e.Code.orInternal().String())
	if id != "" {
		body = appendMember(body, `,"requestId":`, id)
	}
	for i, field := range fields {
		before := `,{"pointer":`
		if i == 0 {
			before = `,"errors":[{"pointer":`
		}
		body = appendMember(body, before, field.Pointer)
		if field.Rule != "" {
			body = appendMember(body, `,"rule":`, field.Rule)
		}
		body = append(appendMember(body, `,"detail":`, field.Message), '}')
	}
	if len(fields) > 0 {
		body = append(body, ']')
	}
	return append(body, "}\n"...)
}

// appendMember appends name as it is, and value as a JSON string.
func appendMember(dst []byte, name, value string) []byte {
	return jsonout.AppendString(append(dst, name...), value)
}

// errorPageStyle is the style sheet of the page for people. The policy of the page allows it by
// its hash, and nothing else.
const errorPageStyle = `:root{color-scheme:light dark;--text:#1b1e23;--soft:#59606b;--line:#d8dce2;--page:#fff;--code:#f3f4f6}
@media(prefers-color-scheme:dark){:root{--text:#e8eaed;--soft:#a2aab5;--line:#3a4049;--page:#15181c;--code:#22262c}}
body{margin:0;min-height:100vh;display:flex;align-items:center;background:var(--page);color:var(--text);font:1.0625rem/1.6 system-ui,sans-serif}
main{box-sizing:border-box;width:100%;max-width:38rem;margin:auto;padding:2rem 1.5rem}
.status{margin:0;color:var(--soft);font-size:.9375rem;letter-spacing:.06em}
h1{margin:.125rem 0 1rem;font-size:1.875rem;line-height:1.25}
p,ul{margin:0 0 1rem;overflow-wrap:anywhere}
ul{padding-left:1.25rem}
code{padding:.125rem .375rem;border-radius:.25rem;background:var(--code);font:.875em ui-monospace,monospace;overflow-wrap:anywhere}
.request{margin:2rem 0 0;padding-top:1rem;border-top:1px solid var(--line);color:var(--soft);font-size:.9375rem}
`

var errorPagePolicy = []string{"default-src 'none'; style-src '" + hashSource(errorPageStyle) + "'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"}

// hashSource returns the source expression of an inline style sheet (Content Security Policy
// Level 3, section 2.3.1).
func hashSource(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// appendErrorPage appends the page for people.
func appendErrorPage(page []byte, status int, e *Error, id string) []byte {
	message, fields := e.shown()
	title := html.EscapeString(statusTitle(status))
	page = fmt.Appendf(page, "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"+
		"<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>%d %s</title>\n<style>%s</style>\n</head>\n<body>\n<main>\n"+
		"<p class=\"status\">%[1]d</p>\n<h1>%[2]s</h1>\n<p>%[4]s</p>\n", status, title, errorPageStyle, html.EscapeString(message))
	if len(fields) > 0 {
		page = append(page, "<ul>\n"...)
		for _, field := range fields {
			page = fmt.Appendf(page, "<li><code>%s</code> %s</li>\n", html.EscapeString(field.Pointer), html.EscapeString(field.Message))
		}
		page = append(page, "</ul>\n"...)
	}
	if id != "" {
		page = fmt.Appendf(page, "<p class=\"request\">Request <code>%s</code></p>\n", html.EscapeString(id))
	}
	return append(page, "</main>\n</body>\n</html>\n"...)
}

// same reports whether two header values are one and the same slice.
func same(a, b []string) bool {
	return len(a) == len(b) && len(a) > 0 && &a[0] == &b[0]
}

// prefersHTML reports whether an Accept header ranks HTML above JSON, as those of
// browsers do. other is another type of JSON, or "". Wildcards count for neither.
func prefersHTML(accept []string, other string) bool {
	html, json := 0, 0
	for c := header.Choices(accept); c.Next(); {
		switch {
		case strings.EqualFold(c.Value, "text/html"), strings.EqualFold(c.Value, "application/xhtml+xml"):
			html = max(html, c.Weight)
		case strings.EqualFold(c.Value, "application/json"), strings.EqualFold(c.Value, "application/problem+json"), strings.EqualFold(c.Value, other):
			json = max(json, c.Weight)
		}
	}
	return html > json
}
