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
	"github.com/seed-215b9b7c/backend/internal/response"
)

// This file has the response that an error becomes over HTTP, and handlers that
// return one. It does not decide which errors are logged: the access log does.

// WriteError answers a request with err: as RFC 9457 application/problem+json,
// or as a small HTML page where the Accept header prefers text/html. The
// problem's members are type, title, status, detail, code, requestId and, for
// input errors, errors with a JSON pointer each.
//
// An error that is [Internal] by the rules of [Error] shows nothing but the
// request id; the error itself goes to the access log's record, or to
// [slog.Default] where the request passed no access log.
//
// The response carries nosniff and a closed Content-Security-Policy even if no
// middleware set them. Headers that are already set, such as Allow, stay;
// those that describe another body (Content-Length, Content-Encoding, ETag,
// Last-Modified, Cache-Control) are replaced or removed. A 401 names the scheme
// Bearer unless WWW-Authenticate is set, since it must name one (RFC 9110, section
// 15.5.2), and of those that there are no browser asks for a password by it.
func WriteError(w http.ResponseWriter, r *http.Request, err error) {
	e := asError(err)
	id := reportError(w, r, e.Code.known(), err)
	writeAnswer(w, r, e, id)
}

// AnswerError implements [response.Owner]: it answers with the error of a hook as
// WriteError does.
func (x *exchange) AnswerError(w http.ResponseWriter, err error) {
	e := asError(err)
	id := x.report(x.request, e.Code.known(), err)
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
	if e.Code.known() == Unauthenticated && head["Www-Authenticate"] == nil {
		head["Www-Authenticate"] = bearerScheme
	}
	if prefersHTML(r.Header.Values("Accept")) {
		writeErrorPage(w, e, id)
		return
	}
	writeProblem(w, e, id)
}

// bodyHeaders describe a body other than the error's own.
var bodyHeaders = []string{"Content-Length", "Content-Encoding", "Content-Disposition", "Etag", "Last-Modified"}

// Header values are shared slices: assigning one costs no allocation, and
// nobody may change them.
var (
	noStore      = []string{"no-store"}
	nosniff      = []string{"nosniff"}
	closedPolicy = []string{"default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"}
	bearerScheme = []string{"Bearer"}
	problemType  = []string{"application/problem+json"}
	htmlType     = []string{"text/html; charset=utf-8"}
)

// Handler is an [http.Handler] that may return an error, which becomes the
// response as [WriteError] writes it. A nil error means that the function has
// written its response.
//
// When the error comes after the response has begun, it can no longer be shown.
// It is logged, and the connection is aborted ([http.ErrAbortHandler]) so that
// the client sees a response cut short and not one that looks complete. A
// handler notices this where a middleware of this package wraps the response;
// with a bare [http.ResponseWriter] nobody can tell, so write last.
type Handler func(http.ResponseWriter, *http.Request) error

// ServeHTTP calls f and answers with the error it returns.
func (f Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	err := f(w, r)
	if err == nil {
		return
	}
	switch rw := response.Of(w); {
	case rw != nil && rw.Failure() != nil: // answered already, with what made the handler fail
	case rw != nil && rw.Begun():
		reportError(w, r, Internal, err) // Internal: logged even without an access log
		panic(http.ErrAbortHandler)
	default:
		WriteError(w, r, err)
	}
}

// reportError hands err to whoever logs this request and returns its id. An
// answer of which nothing was sent yet makes way for the error's.
func reportError(w http.ResponseWriter, r *http.Request, code Code, err error) string {
	if x := exchangeOf(r.Context(), w); x != nil {
		x.response.Drop()
		return x.report(r, code, err)
	}
	if code == Internal {
		slog.ErrorContext(r.Context(), "request failed", "method", r.Method, "error", err)
	}
	return RequestIDFrom(r.Context())
}

// report keeps err for the access log, and logs it itself if there is none and
// nobody else would say what happened. It returns the request id.
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
		slog.LogAttrs(r.Context(), slog.LevelError, "request failed", appendStack(attrs, err)...)
	}
	return x.name.id
}

// panicError is a recovered panic, as the log shows it.
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

// logPath returns the path as it is logged: escaped, so that it is ASCII, and
// of bounded length.
func logPath(u *url.URL) string { return cut(u.EscapedPath(), 1024) }

func cut(s string, length int) string {
	if len(s) > length {
		return s[:length] + "..."
	}
	return s
}

// shown returns what a client may read of the error.
func (e *Error) shown() (message string, fields []FieldError) {
	code := e.Code.known()
	if code == Internal || e.Message == "" {
		message = codes[code].message
	} else {
		message = e.Message
	}
	if code != Internal {
		fields = e.Fields
	}
	return message, fields
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
	body = appendMember(body, `,"code":`, e.Code.known().String())
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

// appendMember appends a name and what is before it, as they are, and a value.
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

// prefersHTML reports whether an Accept header ranks HTML above JSON, as
// browsers' do and API clients' do not. A wildcard says nothing about either.
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
