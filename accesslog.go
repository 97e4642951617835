package backend

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/seed-215b9b7c/backend/internal/header"
)

// This file answers and records every request, whatever happens in it: Recover,
// RequestID and AccessLog. Nothing a client could hide a secret in goes into the
// record: no query, no header, no cookie, no body.

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
		x.log.recovers = true
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
	x.log.recovers = false
	answered := x.response.Failure() != nil // with the error of a hook: there is nothing of the handler's to cut short
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

// RequestID returns middleware that names each request. The id is in the
// X-Request-Id response header, in error responses, in the access log and at
// [RequestIDFrom].
//
// An X-Request-Id of the request is kept if it is 1 to 64 letters, digits,
// '.', '_' or '-', so that an id can follow a request through several servers;
// anything else is replaced by 128 random bits in hex. Ids are for finding log
// records. They are neither secret nor, since clients choose them, unique: base
// nothing else on them.
//
// The trace id of a valid W3C traceparent header goes to the access log.
func RequestID() Middleware {
	return layer(func(x *exchange, w http.ResponseWriter, r *http.Request, next http.Handler) {
		if x.name.id == "" {
			x.name.id = requestID(r.Header["X-Request-Id"])
			x.name.trace = header.TraceID(r.Header["Traceparent"])
		}
		x.name.header[0] = x.name.id
		w.Header()["X-Request-Id"] = x.name.header[:]
		next.ServeHTTP(w, r)
	})
}

// requestID returns the client's id if it is fit for use, else a new one.
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

// AccessLog returns middleware that writes exactly one record per request to
// logger, or to [slog.Default] as it is at that time if logger is nil. The
// record is written when the handler has returned or panicked, with the message
// "request" and these attributes:
//
//   - method, path (escaped, without the query, cut after 1024 bytes)
//   - route: the pattern that matched, "" if none
//   - status: 499 if the client went away before there was an answer, 101 if
//     the handler took the connection over, 0 if it cut it without an answer
//   - bytes of the body as sent, duration
//   - client_ip (see [TrustProxies]), request_id, trace_id (see [RequestID]) where known
//   - error: what [WriteError] was called with, cause included; stack after a
//     panic
//
// The level is Error from status 500 on, for errors that are [Internal] and for
// those that cut an answer short, else Info. Values are attributes, never part of the message, so that client
// text cannot look like another record with any handler that quotes its values,
// as those of log/slog do.
func AccessLog(logger *slog.Logger) Middleware {
	return layer(func(x *exchange, w http.ResponseWriter, r *http.Request, next http.Handler) {
		if x.log.pending { // logged outside already: one record per request
			next.ServeHTTP(w, r)
			return
		}
		x.log.pending, x.log.logger, x.log.start = true, logger, time.Now()
		done := false
		defer func() {
			x.log.aborted = !done
			if done || !x.log.recovers { // else Recover writes it, after the answer
				x.record(r)
			}
		}()
		next.ServeHTTP(w, r)
		x.response.End() // before the record: a hook may fail
		done = true
	})
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
	logger := x.log.logger
	if logger == nil {
		logger = slog.Default()
	}
	ctx := r.Context()
	if !logger.Enabled(ctx, level) {
		return
	}
	now := time.Now()
	record := slog.NewRecord(now, level, "request", 0)
	var space [11]slog.Attr
	record.AddAttrs(x.attrs(space[:0], r, status, now.Sub(x.log.start))...)
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
		attrs = append(attrs, slog.String("client_ip", x.client.addr.String()))
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
	}
	return attrs
}

// failed reports whether the error is one of the program: a fault, or anything
// that made a handler cut an answer short, other than that nobody wants it.
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
	return http.StatusOK // net/http sends it for a handler that writes nothing
}
