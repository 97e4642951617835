package backend

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"

	"github.com/seed-215b9b7c/backend/internal/header"
)

// This file is the one response wrapper of the package. All middleware of a
// request shares it, so that a handler is one call away from net/http however
// long the stack is. It passes the header on at the latest moment at which
// everything that depends on it is known: the security policy depends on the
// content type, compression on the length.
//
// What the server's own ResponseWriter can do stays possible: flushing,
// hijacking (where the connection can be), sendfile, and everything
// http.ResponseController reaches through Unwrap.

// response is the exchange seen as an http.ResponseWriter. It is one pointer
// wide, so making one costs nothing.
type response struct{ x *exchange }

// flushResponse is a response whose connection can be flushed.
type flushResponse struct{ response }

// hijackResponse is a response whose connection can be taken over, which an
// HTTP/2 stream cannot: offering Hijack there would make handlers choose it.
type hijackResponse struct{ flushResponse }

// view returns the exchange's response, with the abilities that the writer
// beneath has.
func (x *exchange) view() http.ResponseWriter {
	if _, ok := x.w.(http.Hijacker); ok {
		return hijackResponse{flushResponse{response{x}}}
	}
	if _, ok := x.w.(http.Flusher); ok {
		return flushResponse{response{x}}
	}
	return response{x}
}

// responseOf returns the exchange whose response w is or wraps, or nil.
func responseOf(w http.ResponseWriter) *exchange {
	for {
		switch t := w.(type) {
		case interface{ exchange() *exchange }:
			return t.exchange()
		case interface{ Unwrap() http.ResponseWriter }:
			w = t.Unwrap()
		default:
			return nil
		}
	}
}

var errFinished = errors.New("write after the end of a compressed response")

func (w response) exchange() *exchange { return w.x }

// wroteHeader reports whether the client may have seen some of this response,
// so that another answer is no longer possible.
func (w response) wroteHeader() bool { return w.x.began() }

// Unwrap lets http.ResponseController reach the server's own ResponseWriter.
func (w response) Unwrap() http.ResponseWriter { return w.x.w }

func (w response) Header() http.Header { return w.x.w.Header() }

func (w response) WriteHeader(status int) {
	x := w.x
	if status >= 100 && status < 200 && status != http.StatusSwitchingProtocols {
		x.w.WriteHeader(status) // informational: the real header is still to come
		return
	}
	x.writing.Lock()
	defer x.writing.Unlock()
	if x.committed || x.hijacked {
		x.w.WriteHeader(status) // superfluous: the server says so in its log
		return
	}
	if x.status != 0 {
		return
	}
	x.status = status
	if !x.awaitsBody() {
		x.commit(true)
	}
}

func (w response) Write(p []byte) (int, error) {
	x := w.x
	x.writing.Lock()
	defer x.writing.Unlock()
	if held, err := x.open(p); err != nil {
		return 0, err
	} else if held {
		return len(p), nil
	}
	if x.compress != nil {
		return x.compress.Write(p)
	}
	return rawBody{x}.Write(p)
}

// WriteString saves io.WriteString the copy where nothing is compressed.
func (w response) WriteString(s string) (int, error) {
	x := w.x
	if !x.committed || x.encoded {
		return w.Write([]byte(s))
	}
	n, err := io.WriteString(x.w, s)
	x.bytes += int64(n)
	return n, err
}

// ReadFrom lets the server copy a file to the connection without it passing
// through memory, where nothing is compressed.
func (w response) ReadFrom(src io.Reader) (n int64, err error) {
	x := w.x
	if !x.committed { // the first bytes decide about type and compression
		n, err = io.CopyN(writerOnly{w}, src, minCompress)
		if err != nil {
			if err == io.EOF {
				err = nil
			}
			return n, err
		}
	}
	var rest int64
	if to, ok := x.w.(io.ReaderFrom); ok && x.committed && !x.encoded {
		rest, err = to.ReadFrom(src)
		x.bytes += rest
	} else {
		rest, err = io.Copy(writerOnly{w}, src)
	}
	return n + rest, err
}

// FlushError sends what was written so far; http.ResponseController calls it.
func (w response) FlushError() error {
	x := w.x
	x.writing.Lock()
	defer x.writing.Unlock()
	if x.hijacked {
		return http.ErrHijacked
	}
	if x.status == 0 {
		x.status = http.StatusOK
	}
	if !x.committed { // a stream: its length will not be known
		x.commit(true)
		if err := x.sendHeld(); err != nil {
			return err
		}
	}
	if x.compress != nil {
		if err := x.compress.Flush(); err != nil {
			return err
		}
	}
	if f, ok := x.w.(http.Flusher); ok {
		if fe, ok := x.w.(interface{ FlushError() error }); ok {
			return fe.FlushError()
		}
		f.Flush()
		return nil
	}
	return http.NewResponseController(x.w).Flush()
}

// Flush implements http.Flusher.
func (w flushResponse) Flush() { w.FlushError() }

// Hijack implements http.Hijacker.
func (w hijackResponse) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := w.x.w.(http.Hijacker).Hijack()
	if err == nil {
		w.x.hijacked = true
	}
	return conn, rw, err
}

// writerOnly hides the other methods of a response from io.Copy.
type writerOnly struct{ io.Writer }

// rawBody is the body as it goes to the server: counted, and compressed if it
// is at all.
type rawBody struct{ x *exchange }

func (b rawBody) Write(p []byte) (int, error) {
	n, err := b.x.w.Write(p)
	b.x.bytes += int64(n)
	return n, err
}

// began reports whether the client may have seen some of the response.
func (x *exchange) began() bool { return x.committed || x.hijacked }

// open gets the response ready for body bytes. It reports true if it held p
// back because compression is not decided yet.
func (x *exchange) open(p []byte) (held bool, err error) {
	if x.hijacked {
		return false, http.ErrHijacked
	}
	if x.committed {
		if x.finished && x.encoded {
			return false, errFinished
		}
		return false, nil
	}
	if x.status == 0 {
		x.status = http.StatusOK
	}
	x.sniff(p)
	if x.hold(p) {
		return true, nil
	}
	x.commit(true)
	return false, x.sendHeld()
}

// awaitsBody reports whether the header must wait for the first body bytes.
func (x *exchange) awaitsBody() bool {
	if !bodyAllowed(x.status) || x.finished {
		return false
	}
	return x.sniffs() || x.holds() != identity
}

// sniffs reports whether the content type is to be found in the body, as
// net/http would find it, but before the headers that depend on it are sent.
func (x *exchange) sniffs() bool {
	head := x.w.Header()
	_, typed := head["Content-Type"] // nil says: send none
	return (x.headers != nil || x.coding != nil) && !typed && head["Content-Encoding"] == nil
}

func (x *exchange) sniff(p []byte) {
	if len(p) > 0 && bodyAllowed(x.status) && x.sniffs() {
		x.w.Header()["Content-Type"] = []string{http.DetectContentType(p)}
	}
}

// commit passes the header on. long is false when the body turned out too short
// to be worth compressing.
func (x *exchange) commit(long bool) {
	head := x.w.Header()
	if x.headers != nil {
		x.headers.amend(x, head)
	}
	if x.cors {
		header.AddVary(head, varyOrigin)
	}
	if x.coding != nil {
		x.encode(head, long)
	}
	if x.tooLarge.Load() && x.http1 {
		head["Connection"] = connectionClose
	}
	x.w.WriteHeader(x.status) // panics on a status that is none: then nothing was sent
	x.committed = true
}

// finish ends a response whose handler has returned: a header that still waits
// is sent, a compressed stream closed. The error is the connection's and there
// is nobody left to tell.
func (x *exchange) finish() {
	x.writing.Lock()
	defer x.writing.Unlock()
	if x.finished {
		return
	}
	if x.status != 0 && !x.began() {
		x.commit(false)
		x.sendHeld()
	}
	x.finished = x.committed
	if c := x.compress; c != nil {
		c.Close()
		x.releaseCompressor()
	}
}

// drop forgets a response of which the client has seen nothing yet, so that
// another one can be written in its place.
func (x *exchange) drop() {
	x.writing.Lock()
	defer x.writing.Unlock()
	if !x.began() {
		x.status = 0
		x.releaseCompressor()
	}
}

// bodyAllowed reports whether a response with the status has a body, by RFC
// 9110 section 6.4.1.
func bodyAllowed(status int) bool {
	return status >= 200 && status != http.StatusNoContent && status != http.StatusNotModified
}

var connectionClose = []string{"close"}
