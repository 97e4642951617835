package backend

import (
	"errors"
	"fmt"
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/url"
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
// header prefers text/html. The members of the problem are type, title, status,
// detail, code, requestId if there is one, and, for errors of input fields,
// errors: an array of objects with a JSON pointer, the rule and a detail.
//
// The status and the texts are those of the [Error] in err. An error without one
// is [Internal]. The response to an Internal error contains the request id, but
// nothing of err.
//
// WriteError hands err to the access log, whose record of the request has it. If no
// [AccessLog] is around the handler, WriteError logs Internal errors to
// [slog.Default].
//
// If the handler has begun a response but nothing of it was sent, it is dropped.
// Headers that are set, such as Allow, are kept, with these exceptions:
//
//   - Content-Length, Content-Encoding, Content-Disposition, ETag and
//     Last-Modified are removed: they describe another body;
//   - Cache-Control becomes no-store, X-Content-Type-Options nosniff;
//   - Content-Security-Policy, if not set, becomes one that allows nothing;
//   - Retry-After is set from [Error.RetryAfter];
//   - WWW-Authenticate of a 401, if not set, becomes Bearer: a 401 must have it
//     (RFC 9110, section 15.5.2), and no browser asks for a password because of
//     Bearer.
func WriteError(w http.ResponseWriter, r *http.Request, err error) {
	err = stopped(r, err)
	e := asError(err)
	id := reportError(w, r, e.Code.orInternal(), err)
	writeAnswer(w, r, e, id)
}

// AnswerError implements [response.Owner]: it answers with the error of a hook as
// WriteError does. What the handler's response has led to is not told.
func (x *exchange) AnswerError(w http.ResponseWriter, err error) {
	for _, name := range [...]string{"Location", "Link", "Content-Range", "Accept-Ranges"} {
		w.Header().Del(name)
	}
	e := asError(err)
	id := x.report(x.request, e.Code.orInternal(), err)
	writeAnswer(w, x.request, e, id)
}

// writeAnswer writes the response that an error becomes.
func writeAnswer(w http.ResponseWriter, r *http.Request, e *Error, id string) {
	head := w.Header()
	for _, name := range bodyHeaders {
		delete(head, name)
	}
	head["Cache-Control"] = noStore
	head["X-Content-Type-Options"] = nosniff
	if head["Content-Security-Policy"] == nil {
		head["Content-Security-Policy"] = closedPolicy
	}
	if e.RetryAfter > 0 {
		seconds := (e.RetryAfter + time.Second - 1) / time.Second
		head.Set("Retry-After", strconv.FormatInt(int64(seconds), 10))
	}
	if e.Code.orInternal() == Unauthenticated && head["Www-Authenticate"] == nil {
		head["Www-Authenticate"] = bearerScheme
	}
	if prefersHTML(r.Header.Values("Accept")) {
		writeErrorPage(w, e, id)
		return
	}
	writeProblem(w, e, id)
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
		logguard.Default().ErrorContext(r.Context(), "request failed", "method", r.Method, "error", err)
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
			logguard.Default().ErrorContext(r.Context(), "request failed", "method", r.Method, "error", err)
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
		attrs := []slog.Attr{slog.String("method", r.Method), slog.String("path", logPath(r.URL)), slog.Any("error", err)}
		if x.name.id != "" {
			attrs = append(attrs, slog.String("request_id", x.name.id))
		}
		logguard.Default().LogAttrs(r.Context(), slog.LevelError, "request failed", appendStack(attrs, err)...)
	}
	return x.name.id
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
	var fault *panicError
	if errors.As(err, &fault) {
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

func statusTitle(code Code) string {
	if text := http.StatusText(code.Status()); text != "" {
		return text
	}
	return "Client Closed Request"
}

func writeProblem(w http.ResponseWriter, e *Error, id string) {
	message, fields := e.shown()
	body := make([]byte, 0, 256)
	body = appendMember(body, `{"type":"about:blank","title":`, statusTitle(e.Code))
	body = strconv.AppendInt(append(body, `,"status":`...), int64(e.Code.Status()), 10)
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
	w.Header()["Content-Type"] = problemType
	w.WriteHeader(e.Code.Status())
	w.Write(append(body, "}\n"...))
}

// appendMember appends name as it is, and value as a JSON string.
func appendMember(dst []byte, name, value string) []byte {
	return jsonout.AppendString(append(dst, name...), value)
}

func writeErrorPage(w http.ResponseWriter, e *Error, id string) {
	message, fields := e.shown()
	title := html.EscapeString(statusTitle(e.Code))
	var page strings.Builder
	fmt.Fprintf(&page, "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"+
		"<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>%d %s</title>\n</head>\n<body>\n"+
		"<h1>%s</h1>\n<p>%s</p>\n", e.Code.Status(), title, title, html.EscapeString(message))
	if len(fields) > 0 {
		page.WriteString("<ul>\n")
		for _, field := range fields {
			fmt.Fprintf(&page, "<li>%s: %s</li>\n", html.EscapeString(field.Pointer), html.EscapeString(field.Message))
		}
		page.WriteString("</ul>\n")
	}
	if id != "" {
		fmt.Fprintf(&page, "<p>Request <code>%s</code></p>\n", html.EscapeString(id))
	}
	page.WriteString("</body>\n</html>\n")

	w.Header()["Content-Type"] = htmlType
	w.WriteHeader(e.Code.Status())
	io.WriteString(w, page.String())
}

// prefersHTML reports whether an Accept header ranks HTML above JSON, as those of
// browsers do. Wildcards count for neither.
func prefersHTML(accept []string) bool {
	html, json := 0, 0
	for c := header.Choices(accept); c.Next(); {
		switch {
		case strings.EqualFold(c.Value, "text/html"), strings.EqualFold(c.Value, "application/xhtml+xml"):
			html = max(html, c.Weight)
		case strings.EqualFold(c.Value, "application/json"), strings.EqualFold(c.Value, "application/problem+json"):
			json = max(json, c.Weight)
		}
	}
	return html > json
}
