package backend

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"reflect"
	"strings"

	"github.com/seed-215b9b7c/backend/internal/jsonout"
	"github.com/seed-215b9b7c/backend/internal/plan"
)

// This file says how a program replaces the format of error responses. problem.go writes
// the responses.

// ErrorsConfig configures [Errors]. The zero value is the format of [WriteError].
type ErrorsConfig struct {
	// Body is the JSON of errors for programs, see [ErrorBodyOf]. A browser that shows a
	// page prefers HTML, and gets Page. Defaults to the problem of RFC 9457.
	Body ErrorBody
	// ContentType is the media type of Body. Defaults to application/json. Without Body
	// it must be empty.
	ContentType string
	// Status returns the HTTP status for an error, from 400 to 599, for clients that
	// expect another one than [Code.Status], such as 400 for [Invalid]. Any other result
	// stands for Code.Status, so that a function may return 0 for the errors that it does
	// not change. The description of the API has what Status returns for an error that
	// has nothing but a code and a message. Defaults to Code.Status.
	Status func(e *Error) int
	// Page writes the page for people: HTML in UTF-8. Defaults to a plain page in light
	// and dark colours. The page has the Content-Security-Policy of other pages, see
	// [SecureHeaders] and [Nonce]. If Page returns an error, the error is logged, and the
	// default page is written.
	Page func(w io.Writer, r *http.Request, e *Error) error
}

func (c *ErrorsConfig) check() error {
	mediaType, _, err := mime.ParseMediaType(c.ContentType)
	switch {
	case c.ContentType == "":
		return nil
	case c.Body.append == nil:
		return fmt.Errorf("ContentType %q without Body; set ErrorsConfig.Body, too", c.ContentType)
	case err != nil || !strings.Contains(mediaType, "/"):
		return fmt.Errorf("ContentType %q is not a media type, such as application/json", c.ContentType)
	}
	return nil
}

// replaces reports whether the format is not the default.
func (c *ErrorsConfig) replaces() bool {
	return c.Body.append != nil || c.Status != nil || c.Page != nil
}

// statusOf returns the status of an error. c may be nil.
func (c *ErrorsConfig) statusOf(e *Error) int {
	if c != nil && c.Status != nil {
		if status := c.Status(e); status >= 400 && status <= 599 {
			return status
		}
	}
	return e.Code.Status()
}

// bodyType returns the media type of Body, or "" without one.
func (c *ErrorsConfig) bodyType() string {
	if c.Body.append == nil {
		return ""
	}
	return cmp.Or(c.ContentType, "application/json")
}

// ErrorBody is a function that returns the JSON of an error. [ErrorBodyOf] makes it. The
// zero value stands for the problem of RFC 9457.
type ErrorBody struct {
	plan   *plan.Type
	append func(dst []byte, r *http.Request, e *Error) ([]byte, error)
}

// ErrorBodyOf returns an ErrorBody whose JSON is that of the values that f returns. T is a
// type that an operation can return, see [Query]. It is described in OpenAPI as outputs are,
// with the tags json, doc and example. The request id is that of [RequestIDFrom] for the
// context of r, and [Error.Anonymous] tells a call without credentials from one with wrong
// credentials. ErrorBodyOf panics if T is not such a type, or f is nil.
func ErrorBodyOf[T any](f func(r *http.Request, e *Error) T) ErrorBody {
	t := reflect.TypeFor[T]()
	described, err := plan.NewCompiler(plan.Out).Compile(t)
	if err == nil && f == nil {
		err = errors.New("the function is nil")
	}
	if err != nil {
		panic("backend: ErrorBodyOf: " + err.Error())
	}
	encoder := jsonout.Compile(described)
	return ErrorBody{described, func(dst []byte, r *http.Request, e *Error) ([]byte, error) {
		body := f(r, e)
		return encoder.Append(dst, reflect.ValueOf(&body).Elem())
	}}
}
