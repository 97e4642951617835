package backend

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"
	"time"

	"github.com/seed-215b9b7c/backend/internal/limitedbody"
)

// This file tells whose fault an error is that a Handler returns: the standard library
// has the same errors for the client's requests and for the program's own data.

// explained returns err as an Error if the client has caused it, and otherwise err.
func explained(w http.ResponseWriter, r *http.Request, err error) error {
	if _, known := errors.AsType[*Error](err); known {
		return err
	}
	x := exchangeOf(r.Context(), w)
	switch code := CodeOf(err); {
	case (code == Timeout || code == Canceled) && x != nil:
		return x.whoseTimeout(err)
	case code != Internal:
		return err
	}
	var read limitedbody.Progress
	if x != nil {
		read = x.bodyProgress()
	}
	fault := requestFault(err)
	if fault == nil && (r.Form != nil || r.MultipartForm != nil) {
		fault = formFault(r, err, read.Bytes)
	}
	if fault == nil {
		fault = jsonFault(r, err, read)
	}
	if fault == nil {
		return err
	}
	return fault.Wrap(err)
}

// requestFault returns the Error for errors that only methods of [http.Request] and
// [multipart.Reader] return.
func requestFault(err error) *Error {
	switch {
	case errors.Is(err, http.ErrNotMultipart):
		return &Error{Code: Unsupported, Message: "Send the form as multipart/form-data."}
	case errors.Is(err, http.ErrMissingBoundary):
		return &Error{Code: Malformed, Message: "The Content-Type of the form has no boundary."}
	case errors.Is(err, http.ErrMissingFile):
		return &Error{Code: Malformed, Message: "A file is missing in the form."}
	case errors.Is(err, http.ErrNoCookie):
		return &Error{Code: Malformed, Message: "A cookie is missing."}
	case errors.Is(err, multipart.ErrMessageTooLarge):
		return &Error{Code: TooLarge, Message: "The form has too many parts, or too much text."}
	}
	return nil
}

// formFault returns the Error for errors of parsing the form of r. Many of them have no
// type: what ParseForm reads beside the body is parsed again, and the errors compared.
func formFault(r *http.Request, err error, read int64) *Error {
	text := err.Error()
	says := func(other error) bool { return other != nil && other.Error() == text }
	mediaType, _, typeErr := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if says(typeErr) {
		return &Error{Code: Unsupported, Message: "The Content-Type cannot be read."}
	}
	if _, queryErr := url.ParseQuery(r.URL.RawQuery); says(queryErr) {
		return &Error{Code: Malformed, Message: "The query string cannot be read."}
	}
	if text == "missing form body" {
		return &Error{Code: Malformed, Message: "The request has no form."}
	}
	if read == 0 && mediaType != "multipart/form-data" {
		return nil
	}
	_, isEscape := err.(url.EscapeError)
	_, isHeader := errors.AsType[textproto.ProtocolError](err)
	ends := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
	switch multi := strings.HasPrefix(mediaType, "multipart/"); {
	case text == "http: POST too large":
		return &Error{Code: TooLarge, Message: "The form is too large."}
	case isEscape, strings.Contains(text, "semicolon separator in query"), strings.Contains(text, "number of URL query parameters"),
		multi && (isHeader || ends || strings.HasPrefix(text, "multipart: ")):
		return &Error{Code: Malformed, Message: "The form cannot be read."}
	}
	return nil
}

// jsonFault returns the Error for errors of decoding a body as JSON of which read was
// read. An error about more than that, or one that is wrapped, is about other JSON.
func jsonFault(r *http.Request, err error, read limitedbody.Progress) *Error {
	nothing := hasNoBody(r) || read.Whole && read.Blank
	is := func(offset int64) bool { return offset <= read.Bytes && (read.Bytes > 0 || nothing) }
	syntax, _ := err.(*json.SyntaxError)
	mismatch, _ := err.(*json.UnmarshalTypeError)
	switch {
	case nothing && (err == io.EOF || syntax != nil && is(syntax.Offset)):
		return &Error{Code: Malformed, Message: "The request has no body."}
	case syntax != nil && is(syntax.Offset):
		return &Error{Code: Malformed, Message: "The body is not valid JSON."}
	case err == io.ErrUnexpectedEOF && read.Whole && !read.Blank:
		return &Error{Code: Malformed, Message: "The body ends too early."}
	case mismatch != nil && is(mismatch.Offset):
		return &Error{Code: Malformed, Message: "The body has a value of another type than expected."}
	case read.Bytes > 0 && errors.Unwrap(err) == nil && strings.HasPrefix(err.Error(), "json: unknown field "):
		return &Error{Code: Malformed, Message: "The body has an unknown field."}
	}
	return nil
}

// hasNoBody reports whether r should have a body and has none.
func hasNoBody(r *http.Request) bool {
	return r.ContentLength == 0 && (r.Method == http.MethodPost || r.Method == http.MethodPut || r.Method == http.MethodPatch)
}

// whoseTimeout returns err, which is that of a context, or that the client was late if
// the body has not arrived.
func (x *exchange) whoseTimeout(err error) error {
	if x.bodyIsLate() {
		return lateBody.Wrap(err)
	}
	return err
}

// ErrStopping is the cause of a context that [UntilStop] has ended, see
// [context.Cause]. [WriteError] answers it, and the error of such a context, with 503
// and Retry-After.
var ErrStopping error = &Error{Code: Unavailable, Message: "The server is stopping; try again.", RetryAfter: time.Second}

// stopped returns err, or ErrStopping if err says that the context of r has ended and
// the stop of the server has ended it: the client has not canceled the request.
func stopped(r *http.Request, err error) error {
	if errors.Is(err, context.Canceled) && context.Cause(r.Context()) == ErrStopping {
		return errors.Join(ErrStopping, err)
	}
	return err
}

var lateBody = &Error{Code: RequestTimeout, Message: "The request body did not arrive in time."}
