// Package response wraps the [http.ResponseWriter] of a request. All middleware of
// the request shares one wrapper, so that a handler is one call away from net/http
// however many middleware there are. The wrapper passes the header on as late as
// possible: [Hook]s and compression can depend on all that the handler has set.
//
// What the server's own ResponseWriter can do stays possible: flushing, hijacking
// (where the connection can be), sendfile, and all that [http.ResponseController]
// reaches through Unwrap.
package response

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
)

// view is a Writer as an http.ResponseWriter. It is one pointer wide, so making
// one allocates nothing.
type view struct{ w *Writer }

// flushView is a view whose connection can be flushed.
type flushView struct{ view }

// hijackView is a view whose connection can be hijacked. An HTTP/2 stream cannot:
// if it had a method Hijack, handlers would call it.
type hijackView struct{ flushView }

// view returns w as an http.ResponseWriter with the abilities of the one beneath.
func (w *Writer) view() http.ResponseWriter {
	if _, ok := w.under.(http.Hijacker); ok {
		return hijackView{flushView{view{w}}}
	}
	if _, ok := w.under.(http.Flusher); ok {
		return flushView{view{w}}
	}
	return view{w}
}

// Of returns the Writer of which rw is a view or a wrapper with a method Unwrap,
// or nil.
func Of(rw http.ResponseWriter) *Writer {
	for {
		switch t := rw.(type) {
		case interface{ writer() *Writer }:
			return t.writer()
		case interface{ Unwrap() http.ResponseWriter }:
			rw = t.Unwrap()
		default:
			return nil
		}
	}
}

var errFinished = errors.New("write after the end of a compressed response")

func (v view) writer() *Writer { return v.w }

// Unwrap returns the ResponseWriter beneath, for [http.ResponseController].
func (v view) Unwrap() http.ResponseWriter { return v.w.under }

// Header returns the header of the ResponseWriter beneath.
func (v view) Header() http.Header { return v.w.under.Header() }

// WriteHeader keeps the status until the header is sent. It passes informational
// statuses on at once.
func (v view) WriteHeader(status int) {
	w := v.w
	if status >= 100 && status < 200 && status != http.StatusSwitchingProtocols {
		w.writing.Lock()
		w.informed = true
		w.writing.Unlock()
		w.under.WriteHeader(status)
		return
	}
	w.writing.Lock()
	defer w.writing.Unlock()
	if w.failure == nil {
		w.writeHeader(status)
	}
}

func (v view) Write(p []byte) (int, error) {
	w := v.w
	w.writing.Lock()
	defer w.writing.Unlock()
	if w.failure != nil {
		return 0, w.failure
	}
	return w.write(p)
}

// WriteString saves io.WriteString the copy where nothing is compressed.
func (v view) WriteString(s string) (int, error) {
	w := v.w
	if !w.passesOn() {
		w.start()
	}
	if !w.passesOn() {
		return v.Write([]byte(s))
	}
	if w.waits(len(s)) {
		w.network.Away()
		defer w.network.BackAtOnce()
	}
	n, err := io.WriteString(w.under, s)
	w.bytes += int64(n)
	w.noteCut(err)
	return n, err
}

// ReadFrom lets the server copy a file to the connection without copying it
// through memory, where nothing is compressed.
func (v view) ReadFrom(src io.Reader) (n int64, err error) {
	w := v.w
	if !w.committed { // the first bytes decide about type and compression
		n, err = io.CopyN(writerOnly{v}, src, minCompress)
		if err != nil {
			if err == io.EOF {
				err = nil
			}
			return n, err
		}
	}
	var rest int64
	if to, ok := w.under.(io.ReaderFrom); ok && w.passesOn() {
		if w.network != nil {
			w.network.Away()
			defer w.network.BackAtOnce()
		}
		rest, err = to.ReadFrom(src)
		w.bytes += rest
		w.noteCut(err)
	} else {
		rest, err = io.Copy(writerOnly{v}, src)
	}
	return n + rest, err
}

// FlushError sends what was written so far, for [http.ResponseController].
func (v view) FlushError() error {
	w := v.w
	w.writing.Lock()
	defer w.writing.Unlock()
	if w.failure != nil {
		return w.failure
	}
	if w.hijacked {
		return http.ErrHijacked
	}
	if err := w.stream(); err != nil {
		return err
	}
	if err := w.flushHeld(); err != nil {
		return err
	}
	if f, ok := w.under.(http.Flusher); ok {
		if fe, ok := w.under.(interface{ FlushError() error }); ok {
			return fe.FlushError()
		}
		f.Flush()
		return nil
	}
	return http.NewResponseController(w.under).Flush()
}

// Flush implements http.Flusher.
func (v flushView) Flush() { v.FlushError() }

// Hijack implements http.Hijacker.
func (v hijackView) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	w := v.w
	w.writing.Lock()
	defer w.writing.Unlock()
	if w.failure != nil {
		return nil, nil, w.failure
	}
	err := w.askHooks()
	if err == nil {
		err = w.stream()
	}
	if err != nil {
		return nil, nil, err
	}
	conn, rw, err := w.under.(http.Hijacker).Hijack()
	if err == nil {
		w.hijacked = true
	}
	return conn, rw, err
}

// stream says that the response is one. If it must not be, the error is answered.
func (w *Writer) stream() error {
	if w.network == nil {
		return nil
	}
	err := w.network.Stream()
	if err == nil || w.Begun() {
		return nil
	}
	w.fail(err)
	return w.failure
}

// writerOnly hides the other methods of a view from io.Copy.
type writerOnly struct{ io.Writer }

// rawBody writes to the ResponseWriter beneath and counts the bytes.
type rawBody struct{ w *Writer }

func (b rawBody) Write(p []byte) (int, error) {
	if b.w.waits(len(p)) {
		b.w.network.Away()
		defer b.w.network.BackAtOnce()
	}
	n, err := b.w.under.Write(p)
	b.w.bytes += int64(n)
	b.w.noteCut(err)
	return n, err
}
