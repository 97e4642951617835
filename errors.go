package backend

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/seed-215b9b7c/backend/internal/english"
)

// This file has the error type of the package, and the table of its codes. problem.go
// writes an error as an HTTP response.

// Code is the kind of an [Error]. Programs and protocols branch on it alone. The
// zero value is [Internal], so that the text of an unclassified error is never shown
// to a client.
type Code uint8

const (
	// Internal is a fault of the program. Its message and cause are logged and
	// never shown to a client. HTTP 500.
	Internal Code = iota
	// Malformed is input that cannot be read, such as a body that is not JSON or has a
	// name twice in one object, or a forged cursor. HTTP 400.
	Malformed
	// Invalid is input that can be read and breaks a rule, such as an unknown field.
	// HTTP 422.
	Invalid
	// Unauthenticated is a call that needs credentials and has none, or wrong ones.
	// HTTP 401.
	Unauthenticated
	// Forbidden is a call that its caller may not make. HTTP 403.
	Forbidden
	// NotFound is a thing that does not exist, or whose existence the caller may not
	// know. HTTP 404.
	NotFound
	// MethodNotAllowed is a path that exists under other methods. HTTP 405.
	MethodNotAllowed
	// NotAcceptable is a request for a representation that the server does not have.
	// HTTP 406.
	NotAcceptable
	// RequestTimeout is a request whose body did not arrive in time. HTTP 408.
	RequestTimeout
	// Conflict is a change that contradicts what is stored, such as a second
	// account with one e-mail address. HTTP 409.
	Conflict
	// Gone is a thing that existed and does not come back. HTTP 410.
	Gone
	// PreconditionFailed is a change to a version that is not the current one.
	// HTTP 412.
	PreconditionFailed
	// TooLarge is input over a limit. HTTP 413.
	TooLarge
	// Unsupported is a content type or encoding that is not accepted. HTTP 415.
	Unsupported
	// Misdirected is a request for a host that this server does not serve.
	// HTTP 421.
	Misdirected
	// PreconditionRequired is a change that must name the version it changes.
	// HTTP 428.
	PreconditionRequired
	// RateLimited is a caller who asked too often; see [Error.RetryAfter].
	// HTTP 429.
	RateLimited
	// Canceled is a call whose client has gone away. HTTP 499, as nginx logs it; no
	// client sees it.
	Canceled
	// Unimplemented is a method or feature that the server does not have. HTTP 501.
	Unimplemented
	// Unavailable is a failure that is expected to pass, such as a database
	// that cannot be reached or a full queue. HTTP 503.
	Unavailable
	// Timeout is work that did not end within its deadline; whether it took
	// effect may be unknown. HTTP 504.
	Timeout

	codeCount
)

// codes has the name, the HTTP status and the default message of each code.
var codes = [codeCount]struct {
	name    string
	status  int
	message string
}{
	Internal:             {"internal", http.StatusInternalServerError, "Something went wrong on our side."},
	Malformed:            {"malformed", http.StatusBadRequest, "The request could not be read."},
	Invalid:              {"invalid", http.StatusUnprocessableEntity, "The input is not valid."},
	Unauthenticated:      {"unauthenticated", http.StatusUnauthorized, "Sign in first."},
	Forbidden:            {"forbidden", http.StatusForbidden, "You may not do this."},
	NotFound:             {"not_found", http.StatusNotFound, "There is nothing here."},
	MethodNotAllowed:     {"method_not_allowed", http.StatusMethodNotAllowed, "This method is not supported here; the Allow header lists those that are."},
	NotAcceptable:        {"not_acceptable", http.StatusNotAcceptable, "None of the accepted content types is available."},
	RequestTimeout:       {"request_timeout", http.StatusRequestTimeout, "The request did not arrive in time."},
	Conflict:             {"conflict", http.StatusConflict, "This contradicts what is already stored."},
	Gone:                 {"gone", http.StatusGone, "This no longer exists."},
	PreconditionFailed:   {"precondition_failed", http.StatusPreconditionFailed, "This was changed in the meantime; read it again first."},
	TooLarge:             {"too_large", http.StatusRequestEntityTooLarge, "The request is too large."},
	Unsupported:          {"unsupported", http.StatusUnsupportedMediaType, "This content type is not supported."},
	Misdirected:          {"misdirected", http.StatusMisdirectedRequest, "This server does not serve that host."},
	PreconditionRequired: {"precondition_required", http.StatusPreconditionRequired, "Name the version you are changing with an If-Match header."},
	RateLimited:          {"rate_limited", http.StatusTooManyRequests, "Too many requests; try again later."},
	Canceled:             {"canceled", 499, "The request was canceled."},
	Unimplemented:        {"unimplemented", http.StatusNotImplemented, "This is not implemented."},
	Unavailable:          {"unavailable", http.StatusServiceUnavailable, "The service is not available right now; try again later."},
	Timeout:              {"timeout", http.StatusGatewayTimeout, "This took too long; check whether it took effect before you try again."},
}

// String returns the code's name in responses and logs, such as "not_found".
func (c Code) String() string {
	return codes[c.orInternal()].name
}

// Status returns the HTTP status for the code. An unknown code is a 500.
func (c Code) Status() int {
	return codes[c.orInternal()].status
}

// MarshalText writes the code's name.
func (c Code) MarshalText() ([]byte, error) {
	return []byte(c.String()), nil
}

// UnmarshalText reads a code's name. An unknown name is an error.
func (c *Code) UnmarshalText(text []byte) error {
	for code := range codes {
		if codes[code].name == string(text) {
			*c = Code(code)
			return nil
		}
	}
	return fmt.Errorf("unknown error code %q", text)
}

// orInternal returns c, or Internal if there is no such code.
func (c Code) orInternal() Code {
	if c >= codeCount {
		return Internal
	}
	return c
}

// Error is the error type that clients see, with the same code in every protocol.
// Message and Fields are shown to the client, unless Code is [Internal]. The cause is
// only logged.
//
// An error that is not an *Error, and wraps none, is Internal: the client gets a
// request id, and the log gets the error. Four other errors have a code:
// [context.Canceled] is [Canceled], [context.DeadlineExceeded] and
// [os.ErrDeadlineExceeded] are [Timeout], and *[http.MaxBytesError] is
// [TooLarge]. [Handler] knows more.
type Error struct {
	// Code is the kind of failure. The zero value is [Internal].
	Code Code
	// Message tells the client what to do next, in a sentence. Empty means a
	// general sentence for the code.
	Message string
	// Fields lists what is wrong with each input field.
	Fields []FieldError
	// RetryAfter is how long the client should wait before it tries again. It is sent
	// as Retry-After, in whole seconds, rounded up. Zero sends no header.
	RetryAfter time.Duration

	cause     error
	anonymous bool
}

// FieldError says what is wrong with one field of the input. It does not hold the
// value of the field, which may be a secret.
//
// If the function of an operation returns the error of a query that violates a UNIQUE
// constraint, the error gets a FieldError with the rule "unique" for each column of the
// constraint that is a field of the input. For a foreign key that refers to something
// that does not exist, the rule is "exists". A field is a column if its tag db has the
// name of the column, or without that tag if its JSON name is the same apart from case
// and underscores: createdAt is created_at. Fields of a struct in the input count, too, as in
// {"user": {"email": …}}, if only one struct has the column. Columns that are not in the input, such as
// the owner of a record, are left out: the client cannot change them. An *[Error] that
// the function makes itself stays as it is, also if it wraps the error of the query.
//
// These errors name no field where the columns are not known: SQLite does not tell them
// for a foreign key and for an index with an expression. PostgreSQL tells a missing
// reference from a row that is still referred to only in English (lc_messages).
type FieldError struct {
	// Pointer is the JSON pointer (RFC 6901) to the field, such as "/tags/0".
	Pointer string `json:"pointer"`
	// Rule is the name of the rule that was broken, such as "required".
	Rule string `json:"rule,omitempty"`
	// Message is a sentence for a person.
	Message string `json:"detail"`
}

// Errorf returns an *[Error] with the code and the formatted message, which clients
// will see. The error of a %w verb is the cause, but its text is also part of the
// message: use [Error.Wrap] for causes that clients must not see.
func Errorf(code Code, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	e := &Error{Code: code, Message: err.Error()}
	if _, wraps := err.(interface{ Unwrap() error }); wraps {
		e.cause = err
	}
	if _, wraps := err.(interface{ Unwrap() []error }); wraps {
		e.cause = err
	}
	return e
}

// InvalidField returns an *[Error] with the code [Invalid] about one field of the
// input. pointer is the JSON pointer to the field, rule the name of the rule that it
// breaks, and message the rest of a sentence that begins with the field's name:
//
//	return backend.InvalidField("/title", "unique", "is the title of another note")
//
// The pointer of a parameter is also "/" and its name. InvalidField adds the first
// slash if it is missing.
//
// A method Validate may return several such errors with [errors.Join]. [Error.WithField]
// is for errors with another code.
func InvalidField(pointer, rule, message string) *Error {
	return (&Error{Code: Invalid}).WithField(pointer, rule, message)
}

// WithField returns a copy of e with one more entry in Fields. The arguments are those of
// [InvalidField]:
//
//	return backend.Errorf(backend.Conflict, "Somebody else was faster.").WithField("/seat", "unique", "is taken")
func (e *Error) WithField(pointer, rule, message string) *Error {
	if pointer != "" && pointer[0] != '/' {
		pointer = "/" + pointer
	}
	changed := *e
	changed.Fields = append(slices.Clone(e.Fields), FieldError{pointer, rule, message})
	return &changed
}

// Anonymous reports whether e is the [Unauthenticated] error of an anonymous caller whom an
// [Access] rule refused: the caller should sign in. It is false if the [Authenticator]
// refused the credentials, and for errors that the program made itself, such as that of a
// wrong password. The [PublicError] of e, which [ErrorBodyOf] has, says the same.
func (e *Error) Anonymous() bool { return e.anonymous }

// ofAnonymous returns the refusal of an anonymous caller as such.
func ofAnonymous(err error) error {
	refusal := *asError(err)
	if refusal.anonymous = true; err != asError(err) {
		refusal.cause = err
	}
	return &refusal
}

// Wrap returns a copy of e with a cause. [errors.Is] and [errors.As] find the cause,
// the log has it, and clients never see it.
func (e *Error) Wrap(cause error) *Error {
	wrapped := *e
	wrapped.cause = cause
	return &wrapped
}

// Error returns the code, the message and the cause, for logs.
func (e *Error) Error() string {
	text := e.Code.String()
	if e.Message != "" {
		text += ": " + e.Message
	}
	for _, field := range e.Fields {
		text += "; " + cmp.Or(field.Pointer, "the input") + ": " + field.Message
	}
	if e.cause == nil {
		return text
	}
	switch cause := e.cause.Error(); {
	case says(text, cause):
		return text
	case strings.HasPrefix(cause, text+": "):
		return cause
	default:
		return text + ": " + cause
	}
}

// says reports whether a text has another one, and not only as a part of its words.
func says(text, other string) bool {
	part := func(c byte) bool {
		return c == '_' || c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z' || c >= 0x80
	}
	for at := 0; other != ""; at++ {
		i := strings.Index(text[at:], other)
		if i < 0 {
			return false
		}
		at += i
		end := at + len(other)
		if (at == 0 || !part(text[at-1])) && (end == len(text) || !part(text[end])) {
			return true
		}
	}
	return true
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error {
	return e.cause
}

// PublicError returns what a client may see of err: an *Error with a code, a message
// that is never empty, fields, and RetryAfter. For an [Internal] error it has only a
// general message. The result has no cause. PublicError is for handlers and doors
// that write errors in a format of their own; they pass the error itself to
// [ReportError]. [WriteError] does both. It must not be called with nil.
func PublicError(err error) *Error {
	e := asError(err)
	message, fields := e.shown()
	return &Error{Code: e.Code.orInternal(), Message: message, Fields: fields, RetryAfter: e.RetryAfter, anonymous: e.anonymous}
}

// CodeOf returns the code of err by the rules of [Error]. It must not be
// called with nil.
func CodeOf(err error) Code {
	return asError(err).Code.orInternal()
}

// asError returns the *Error that err is or wraps. For any other error it returns a
// new *Error, whose cause is err.
func asError(err error) *Error {
	if known, ok := err.(*Error); ok && known != nil {
		return known
	}
	if known, ok := errors.AsType[*Error](err); ok && known != nil {
		return known
	}
	tooLarge, isTooLarge := errors.AsType[*http.MaxBytesError](err)
	switch {
	case isTooLarge:
		return &Error{Code: TooLarge, Message: fmt.Sprintf("The request body is over the limit of %s.", english.Count(tooLarge.Limit, "byte")), cause: err}
	case errors.Is(err, context.Canceled):
		return &Error{Code: Canceled, cause: err}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return &Error{Code: Timeout, cause: err}
	}
	return &Error{Code: Internal, cause: err}
}

// shown returns the message and the fields that a client may see.
func (e *Error) shown() (message string, fields []FieldError) {
	code := e.Code.orInternal()
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
