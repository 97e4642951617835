package backend

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/seed-215b9b7c/backend/internal/header"
	"github.com/seed-215b9b7c/backend/internal/logguard"
)

// This file sees to it that each request has a response and a log record: Recover,
// RequestID and AccessLog. Records have no query, header, cookie or body: those
// can contain secrets.

// Recover returns middleware that recovers from panics of the handler. It answers
// 500 by [WriteError]. The value of the panic and the stack go to the record of the
// access log, or to [slog.Default] if there is no access log. If part of the
// response was sent, Recover aborts the connection instead, so that the client
// does not take the part for the whole.
//
// Recover does not recover from [http.ErrAbortHandler]: net/http aborts the
// connection then. It cannot recover from a panic on another goroutine.
func Recover() Middleware {
	return layer(func(x *exchange, w http.ResponseWriter, r *http.Request, next nextStep) {
		x.log.recovers = true
		done := false
		defer func() {
			if !done {
				x.recovered(w, r, recover())
			}
		}()
		next.serve(x, w, r)
		done = true
	})
}

// recovered ends a request whose handler did not return. value is nil if the
// handler's goroutine is exiting ([runtime.Goexit]).
func (x *exchange) recovered(w http.ResponseWriter, r *http.Request, value any) {
	x.log.recovers = false
	answered := x.response.Failure() != nil // with the error of a hook: the handler's response is not being sent
	if value != nil && value != http.ErrAbortHandler {
		fault := (&Error{Code: Internal}).Wrap(&panicError{value, debug.Stack()})
		if !x.response.Begun() {
			WriteError(w, r, fault)
			x.record(r)
			return
		}
		x.report(r, Internal, fault)
	}
	x.record(r)
	if value != nil && !answered {
		panic(http.ErrAbortHandler)
	}
}

// RequestID returns middleware that gives each request an id. The id is in the
// X-Request-Id header of the response, in error responses, in the access log, and
// [RequestIDFrom] returns it.
//
// If the request has an X-Request-Id of 1 to 64 letters, digits, '.', '_' and '-',
// that is the id, so that one id can follow a request through several servers.
// Otherwise the id is 128 random bits in hex. Since clients can choose the id, it
// is neither secret nor unique: use it for finding log records only.
//
// RequestID also hands the trace id of a valid traceparent header (W3C Trace
// Context) to the access log.
func RequestID() Middleware {
	return layer(func(x *exchange, w http.ResponseWriter, r *http.Request, next nextStep) {
		if x.name.id == "" {
			x.name.id = requestID(r.Header["X-Request-Id"])
			x.name.trace = header.TraceID(r.Header["Traceparent"])
		}
		if x.name.header[0] == "" {
			x.name.header[0] = x.name.id
			x.response.Before(idHeader{x})
		}
		setDefault(w.Header(), "X-Request-Id", x.name.header[:])
		next.serve(x, w, r)
	})
}

// idHeader is the hook that sees to it that the response has one id: that of the handler
// if it has added one.
type idHeader struct{ x *exchange }

func (i idHeader) BeforeHeader(head http.Header) error {
	ours := i.x.name.header[:]
	if i.x.response.Informed() { // a proxy deletes the header then
		setDefault(head, "X-Request-Id", ours)
	}
	yield(head, "X-Request-Id", ours)
	return nil
}

// requestID returns the id that the client has sent if it is valid, or a new one.
func requestID(sent []string) string {
	if len(sent) == 1 && header.ValidRequestID(sent[0]) {
		return sent[0]
	}
	var id [16]byte
	binary.BigEndian.PutUint64(id[:8], rand.Uint64()) // ChaCha8, seeded by the system
	binary.BigEndian.PutUint64(id[8:], rand.Uint64())
	var text [32]byte
	hex.Encode(text[:], id[:])
	return string(text[:])
}

// AccessLog returns middleware that writes one record for each request to logger. If
// logger is nil, it writes to [slog.Default] as it is at that time. It writes the
// record when the handler has returned or panicked. The message is "request", the
// attributes are:
//
//   - method; path: escaped, without the query, cut after 1024 bytes;
//   - route: the pattern that matched, or "";
//   - status: 499 if the client closed the connection before there was a response,
//     101 if the handler hijacked the connection, 0 if it aborted the connection
//     without a response;
//   - bytes: the length of the body as it was sent; duration;
//   - client_ip (see [TrustProxies]), request_id and trace_id (see [RequestID]), if
//     there are any;
//   - error: the error that [WriteError] was called with, and its cause, or otherwise
//     the error with which writing the body failed, after which the response is not
//     whole; stack, if the handler panicked.
//
// The level is Error if the status is 500 or more, except 501, if the error is
// [Internal], or if it cut the response short and is not [Canceled]. Otherwise the
// level is Info.
//
// What the client has sent is only in values of attributes. Handlers that quote
// values, as those of log/slog do, write it so that it cannot look like another
// record.
//
// A log that stands still or fails does not decide about requests. AccessLog waits at
// most a second for it. Up to 1024 records then wait for the log, without a further
// wait of requests, and are lost if the process ends. Further records, and those that
// the handler of logger refuses with an error or a panic, are lost; the record "log
// records were lost" has their count once the log goes on. All records of this package
// are written in the same way, also those that go to [slog.Default] because there is no
// access log. Other code that logs waits as long as the log does.
func AccessLog(logger *slog.Logger) Middleware {
	logger = guarded(logger)
	return layer(func(x *exchange, w http.ResponseWriter, r *http.Request, next nextStep) {
		if x.log.pending { // another AccessLog is outside: one record for each request
			next.serve(x, w, r)
			return
		}
		x.log.pending, x.log.logger, x.log.start = true, logger, x.started()
		done := false
		defer func() {
			x.log.aborted = !done
			if done || !x.log.recovers { // otherwise Recover writes the record, after the response
				x.record(r)
			}
		}()
		next.serve(x, w, r)
		x.response.End() // before the record: a hook may fail
		done = true
	})
}

// guarded returns a logger that waits for logger, or for slog.Default if that is nil, only
// for a bounded time.
func guarded(logger *slog.Logger) *slog.Logger {
	if logger == nil {
		return slog.New(logguard.New(nil))
	}
	switch logger.Handler().(type) {
	case *logguard.Handler, *LogHandler:
		return logger
	}
	return slog.New(logguard.New(logger.Handler()))
}

// record writes the request's record, if there is an access log.
func (x *exchange) record(r *http.Request) {
	if !x.log.pending {
		return
	}
	x.log.pending = false
	status := x.loggedStatus()
	level := slog.LevelInfo
	if status >= 500 && status != http.StatusNotImplemented || x.failed() { // a 501 is the client's doing
		level = slog.LevelError
	}
	logger, ctx := x.log.logger, r.Context()
	if !logger.Enabled(ctx, level) {
		return
	}
	now := time.Now()
	var space [11]slog.Attr
	attrs := x.attrs(space[:0], r, status, now.Sub(x.log.start))
	if h, ok := logger.Handler().(*LogHandler); ok {
		h.lines.Later(ctx, now, level, "request", attrs)
		if level >= slog.LevelWarn {
			h.Flush()
		}
		return
	}
	record := slog.NewRecord(now, level, "request", 0)
	record.AddAttrs(attrs...)
	logger.Handler().Handle(ctx, record) // as slog does: a log that fails has nowhere to say so
}

func (x *exchange) attrs(attrs []slog.Attr, r *http.Request, status int, took time.Duration) []slog.Attr {
	route := x.log.pattern
	if route == "" {
		route = r.Pattern
	}
	attrs = append(attrs,
		slog.String("method", cut(r.Method, 32)), slog.String("route", route), slog.String("path", logPath(r.URL)),
		slog.Int("status", status), slog.Int64("bytes", x.response.Bytes()), slog.Duration("duration", took))
	if x.client.addr.IsValid() {
		attrs = append(attrs, slog.String("client_ip", x.clientText()))
	}
	if x.name.id != "" {
		attrs = append(attrs, slog.String("request_id", x.name.id))
	}
	if x.name.trace != "" {
		attrs = append(attrs, slog.String("trace_id", x.name.trace))
	}
	if x.log.err != nil {
		attrs = append(attrs, slog.Any("error", x.log.err))
		attrs = appendStack(attrs, x.log.err)
	} else if cut := x.response.Cut(); cut != nil {
		attrs = append(attrs, slog.Any("error", fmt.Errorf("the response was cut: %w", cut)))
	}
	return attrs
}

// clientText returns the text of the client's address. That of a peer is mostly a part of
// what net/http has already.
func (x *exchange) clientText() string {
	var space [64]byte
	text := x.client.addr.AppendTo(space[:0])
	if peer := x.request.RemoteAddr; len(peer) > len(text) && peer[:len(text)] == string(text) {
		return peer[:len(text)]
	}
	return string(text)
}

// failed reports whether the error is internal, or made the handler cut its
// response short though the client was still there.
func (x *exchange) failed() bool {
	if x.log.err == nil {
		return false
	}
	code := CodeOf(x.log.err)
	return code == Internal || x.log.aborted && code != Canceled
}

// loggedStatus returns the status to log.
func (x *exchange) loggedStatus() int {
	switch {
	case x.response.Hijacked():
		return http.StatusSwitchingProtocols
	case x.response.Sent():
		return x.response.Status()
	case errors.Is(x.request.Context().Err(), context.Canceled):
		return Canceled.Status()
	case x.log.aborted:
		return 0
	case x.response.Status() != 0:
		return x.response.Status()
	}
	return http.StatusOK // which net/http sends for a handler that writes nothing
}
