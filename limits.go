package backend

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
)

// MaxBody returns middleware that limits request bodies to limit bytes. A
// longer body makes Read return an *[http.MaxBytesError], which [WriteError]
// answers with 413, and closes the connection afterwards. A body whose
// Content-Length is over the limit fails at the first Read: nothing of it is
// read, and a client that asks first with Expect: 100-continue never sends it.
//
// The innermost MaxBody counts, so that a route can have more than the stack
// allows, or less:
//
//	r.Handle("PUT /photos/{id}", backend.MaxBody(32<<20)(photos))
//
// That is why the length is judged when the handler reads, not when the request
// arrives. A handler that does not read its body is not refused one.
//
// Reading fails with [Malformed] if the body is broken off or badly framed. A
// limit below 0 panics; 0 allows no body at all.
func MaxBody(limit int64) Middleware {
	must("MaxBody", checkBody(limit))
	return layer(func(x *exchange, w http.ResponseWriter, r *http.Request, next http.Handler) {
		x.maxBody = limit
		if x.body == nil && r.Body != nil && r.Body != http.NoBody {
			x.body = r.Body
			r.Body = requestBody{x} // r is the exchange's own copy or one made after it
		}
		next.ServeHTTP(w, r)
	})
}

func checkBody(limit int64) error {
	if limit < 0 {
		return fmt.Errorf("body limit %d is negative", limit)
	}
	return nil
}

// requestBody is the exchange seen as the request's body.
type requestBody struct{ x *exchange }

func (b requestBody) Read(p []byte) (int, error) {
	x := b.x
	left := x.maxBody - x.bodyRead
	switch {
	case x.bodyErr != nil:
		return 0, x.bodyErr
	case len(p) == 0:
		return 0, nil
	case x.declared > x.maxBody || left < 0:
		return 0, b.overLimit()
	}
	if int64(len(p))-1 > left { // one byte more tells that there is more
		p = p[:left+1]
	}
	n, err := x.body.Read(p)
	x.bodyRead += int64(n)
	if int64(n) > left {
		return int(left), b.overLimit()
	}
	x.bodyErr = bodyError(err)
	return n, x.bodyErr
}

func (b requestBody) Close() error { return b.x.body.Close() }

func (b requestBody) overLimit() error {
	b.x.tooLarge.Store(true)
	b.x.bodyErr = &http.MaxBytesError{Limit: b.x.maxBody}
	return b.x.bodyErr
}

// bodyError says whose fault it is that a body cannot be read: the client's, or
// of time.
func bodyError(err error) error {
	var known *Error
	switch {
	case err == nil || err == io.EOF || errors.As(err, &known):
		return err
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return (&Error{Code: Timeout, Message: "The request body did not arrive in time."}).Wrap(err)
	case errors.Is(err, context.Canceled):
		return err
	}
	return (&Error{Code: Malformed, Message: "The request body is not complete."}).Wrap(err)
}
