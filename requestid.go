package backend

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"net/http"
)

// maxRequestID is the longest request id taken from a client.
const maxRequestID = 64

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
		if x.id == "" {
			x.id = requestID(r.Header["X-Request-Id"])
			x.trace = traceID(r.Header["Traceparent"])
		}
		x.idHeader[0] = x.id
		w.Header()["X-Request-Id"] = x.idHeader[:]
		next.ServeHTTP(w, r)
	})
}

// requestID returns the client's id if it is fit for use, else a new one.
func requestID(sent []string) string {
	if len(sent) == 1 && validRequestID(sent[0]) {
		return sent[0]
	}
	var id [16]byte
	binary.BigEndian.PutUint64(id[:8], rand.Uint64()) // ChaCha8, seeded by the system
	binary.BigEndian.PutUint64(id[8:], rand.Uint64())
	var text [32]byte
	hex.Encode(text[:], id[:])
	return string(text[:])
}

func validRequestID(id string) bool {
	if id == "" || len(id) > maxRequestID {
		return false
	}
	for i := range len(id) {
		c := id[i]
		if !('a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || c == '.' || c == '_' || c == '-') {
			return false
		}
	}
	return true
}

// traceID returns the trace id of a traceparent header, or "" if it is not
// there exactly once or not valid by W3C Trace Context section 3.2: version,
// trace id, parent id and flags in lower-case hex, neither id all zeros, and
// nothing after them in version 00. Later versions may go on after a dash.
func traceID(sent []string) string {
	const length = len("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	if len(sent) != 1 || len(sent[0]) < length {
		return ""
	}
	s := sent[0]
	version, trace, parent, flags := s[:2], s[3:35], s[36:52], s[53:55]
	switch {
	case s[2] != '-' || s[35] != '-' || s[52] != '-':
		return ""
	case !lowerHex(version) || !lowerHex(trace) || !lowerHex(parent) || !lowerHex(flags):
		return ""
	case version == "ff" || zeros(trace) || zeros(parent):
		return ""
	case len(s) > length && (version == "00" || s[length] != '-'):
		return ""
	}
	return trace
}

func lowerHex(s string) bool {
	for i := range len(s) {
		if c := s[i]; !('0' <= c && c <= '9' || 'a' <= c && c <= 'f') {
			return false
		}
	}
	return true
}

func zeros(s string) bool {
	for i := range len(s) {
		if s[i] != '0' {
			return false
		}
	}
	return true
}
