package backend

import (
	"net/http"
	"runtime/debug"
)

// Recover returns middleware that turns a panic of a handler into an answer:
// 500 with the request id, by [WriteError], while the panic's value and stack
// go to the access log's record, or to [slog.Default] where there is no access
// log. If some of the response was sent already, the connection is cut, so that
// the client cannot take half an answer for a whole one.
//
// [http.ErrAbortHandler] passes through, as net/http documents it. Panics on
// goroutines that a handler started cannot be recovered by anybody else.
func Recover() Middleware {
	return layer(func(x *exchange, w http.ResponseWriter, r *http.Request, next http.Handler) {
		x.recovers = true
		done := false
		defer func() {
			if !done {
				x.recovered(w, r, recover())
			}
		}()
		next.ServeHTTP(w, r)
		done = true
	})
}

// recovered ends a request whose handler did not return. value is nil if the
// handler's goroutine is exiting ([runtime.Goexit]).
func (x *exchange) recovered(w http.ResponseWriter, r *http.Request, value any) {
	x.recovers = false
	if value == nil {
		x.record(r)
		return
	}
	if value == http.ErrAbortHandler {
		x.record(r)
		panic(value)
	}
	fault := (&Error{Code: Internal}).Wrap(&panicError{value, debug.Stack()})
	if x.began() {
		x.report(r, Internal, fault)
		x.record(r)
		panic(http.ErrAbortHandler)
	}
	WriteError(w, r, fault)
	x.record(r)
}
