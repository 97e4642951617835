package response

import (
	"errors"
	"io"
	"net/http"
	"sync"
)

// Writer is the state of one response. It is meant to be a field of what is
// allocated for the request anyway. [Writer.Begin] comes before every other
// method. Handlers write to the view that Begin returns.
//
// A handler's goroutine that outlives the request can still write: it gets an
// error or changes nothing of another response. Apart from that a Writer is for
// the goroutine that serves the request.
type Writer struct {
	under http.ResponseWriter
	owner Owner

	writing   sync.Mutex // held while a view writes or a hook runs
	status    int        // what the handler asked for, 0 before
	bytes     int64      // body bytes written to under
	cut       error      // of writing them
	committed bool       // the header was written to under
	hijacked  bool
	informed  bool // an informational response was sent
	finished  bool
	late      bool // Finish found nothing to end, and what is written now must still be ended
	isHead    bool // the response to a HEAD request: its body is never sent
	detects   bool // the content type is detected before the hooks run
	ranged    bool // the request has a Range

	hooks    []Hook // run from the last one to the first
	inline   [4]Hook
	failure  error // of the hooks that have failed
	failures int   // how many have

	network Network // may be nil

	coding     *Compression // nil: no compression
	accept     []string     // the request's Accept-Encoding
	compress   *compressor  // while this response is compressed or held back
	promised   int64        // the length of a compressed body by the handler's Content-Length, or 0
	taken      int64        // how much of it was written
	encoded    bool         // the body is compressed
	strongTags bool         // see KeepStrongTags
	ended      bool         // the handler has returned without writing, and the hooks have run
	short      bool         // see IsShort
}

// A Hook runs once for a response, right before its header is sent.
//
// The hooks of a response run in reverse order of [Writer.Before]: those of inner
// middleware before those of outer middleware. They run before compression, and
// after the content type is detected. They run for every response but a hijacked
// one, by whatever the header is sent: WriteHeader, Write, Flush or ReadFrom, or
// because the handler returned, also without writing. Informational responses run
// no hook.
//
// BeforeHeader may change the header. It must not write to the response. It runs
// on the goroutine that writes, which waits for it.
//
// If a hook returns an error, nothing of the handler's response is sent. The
// status, the body so far and Content-Length are dropped, and the [Owner] answers
// with the error in their place. The hooks that have not run yet run for that answer; those
// that have run do not run again. If one of them fails, too, its error is answered
// in the same way. Afterwards WriteHeader of the handler does nothing, and Write,
// ReadFrom, Flush and Hijack return the error.
type Hook interface {
	BeforeHeader(head http.Header) error
}

// A HijackHook is a [Hook] that is asked before the connection is hijacked: no header will
// be sent. If it returns an error, that is the error of Hijack, and nothing has happened.
type HijackHook interface {
	BeforeHijack() error
}

// An Owner answers with the error of a hook.
type Owner interface {
	// AnswerError writes a complete response to w, which has the header that the
	// handler has left. If it writes nothing, a status 500 without a body is sent.
	// A panic goes on in what the handler has called; another response can then be
	// written.
	AnswerError(w http.ResponseWriter, err error)
}

// Begin makes w the response to r that is written to under, and returns the view
// for handlers.
func (w *Writer) Begin(under http.ResponseWriter, r *http.Request, owner Owner) http.ResponseWriter {
	w.under, w.owner, w.isHead = under, owner, r.Method == http.MethodHead
	w.hooks = w.inline[:0]
	return w.view()
}

// Before adds a hook. A hook that is added after the header was sent never runs.
func (w *Writer) Before(hook Hook) { w.hooks = append(w.hooks, hook) }

// Join is Before for a hook that any goroutine may add.
func (w *Writer) Join(hook Hook) {
	w.writing.Lock()
	defer w.writing.Unlock()
	w.Before(hook)
}

// Unsent reports whether hooks can still change the header. Any goroutine may call it.
func (w *Writer) Unsent() bool {
	w.writing.Lock()
	defer w.writing.Unlock()
	return !w.Begun() && !w.ended
}

// A Network is told when a response may wait for the network because its client is slow.
type Network interface {
	// Away comes before the wait, and BackAtOnce after it.
	Away()
	BackAtOnce()
	// Stream comes before the response is flushed or hijacked. An error is answered in
	// place of the response, as one of a [Hook], unless its header was sent.
	Stream() error
}

// Watch makes n know what the response does.
func (w *Writer) Watch(n Network) { w.network = n }

// buffered is how many bytes the server keeps before it writes to the network.
const buffered = 4 << 10

// waits reports whether writing n more bytes may wait for the network.
func (w *Writer) waits(n int) bool { return w.network != nil && w.bytes+int64(n) > buffered }

// DetectType makes the Writer detect the content type as net/http does, but before
// the hooks run.
func (w *Writer) DetectType() { w.detects = true }

// Under returns the response that is written to.
func (w *Writer) Under() http.ResponseWriter { return w.under }

// Rebase makes under the response that is written to. It comes before the header is
// sent. under must have the abilities of the one before.
func (w *Writer) Rebase(under http.ResponseWriter) { w.under = under }

// Cut returns the first error of writing the body, or nil: what was sent is not whole.
func (w *Writer) Cut() error { return w.cut }

// noteCut keeps the first error. That a status has no body is not one.
func (w *Writer) noteCut(err error) {
	if err != nil && w.cut == nil && err != http.ErrBodyNotAllowed {
		w.cut = err
	}
}

// Status returns the status that the handler asked for, or 0.
func (w *Writer) Status() int { return w.status }

// Bytes returns the length of the body as it was sent.
func (w *Writer) Bytes() int64 { return w.bytes }

// Sent reports whether the header was sent.
func (w *Writer) Sent() bool { return w.committed }

// Hijacked reports whether the connection was hijacked.
func (w *Writer) Hijacked() bool { return w.hijacked }

// Informed reports whether an informational response was sent. The handler may have
// cleared the header afterwards, as [httputil.ReverseProxy] does.
func (w *Writer) Informed() bool { return w.informed }

// Begun reports whether the client may have seen some of the response, so that
// another one is no longer possible.
func (w *Writer) Begun() bool { return w.committed || w.hijacked }

// Failure returns the error of the hook that has failed, or nil. The response is
// then the one of the error, and complete.
func (w *Writer) Failure() error { return w.failure }

// Short reports whether a compressed body is shorter than its handler has promised, by
// Content-Length. net/http sees that in other bodies, and closes the connection.
func (w *Writer) Short() bool {
	w.writing.Lock()
	defer w.writing.Unlock()
	if w.taken >= w.promised {
		return false
	}
	w.noteCut(io.ErrUnexpectedEOF)
	return true
}

// Finish ends a response whose handler has returned: it sends a header that still
// waits, and ends a compressed body. A handler that has not written is left alone,
// see [Writer.End].
func (w *Writer) Finish() {
	w.writing.Lock()
	defer w.writing.Unlock()
	w.finish()
	w.late = !w.finished
}

// End runs the hooks for a handler that has returned without writing. net/http
// sends the header then. It comes after all that may still write a response in
// the handler's place, and ends such a response if that was written after
// [Writer.Finish].
func (w *Writer) End() {
	w.writing.Lock()
	defer w.writing.Unlock()
	if w.status == 0 && !w.Begun() {
		w.runHooks()
		w.ended = true
	}
	if w.late {
		w.finish()
	}
}

// Drop forgets a response of which the client has seen nothing yet, so that
// another one can be written in its place.
func (w *Writer) Drop() {
	w.writing.Lock()
	defer w.writing.Unlock()
	if !w.Begun() {
		w.drop()
	}
}

func (w *Writer) drop() {
	w.status, w.short = 0, false
	w.releaseCompressor()
}

// Abandon ends compression without ending the response: what is held back is not
// the answer.
func (w *Writer) Abandon() {
	w.writing.Lock()
	defer w.writing.Unlock()
	w.releaseCompressor()
	if !w.committed {
		w.coding = nil
	}
	w.finished = w.committed
}

func (w *Writer) finish() {
	if w.finished {
		return
	}
	if w.status != 0 && !w.Begun() && w.commit(false) == nil {
		w.sendHeld()
	}
	w.finished = w.committed
	if c := w.compress; c != nil {
		c.Close() // an error is the connection's, and nobody is left to tell
		w.releaseCompressor()
	}
}

// start sends the header for a handler that writes without WriteHeader, unless the header
// must wait for the first bytes.
func (w *Writer) start() {
	w.writing.Lock()
	defer w.writing.Unlock()
	if w.failure == nil && w.status == 0 && !w.Begun() {
		w.writeHeader(http.StatusOK)
	}
}

func (w *Writer) writeHeader(status int) {
	if w.Begun() {
		w.under.WriteHeader(status) // superfluous: the server logs that
		return
	}
	if w.status != 0 {
		return
	}
	w.status = status
	if !w.awaitsBody() {
		w.commit(true)
	}
}

func (w *Writer) write(p []byte) (int, error) {
	if held, err := w.open(p); err != nil {
		return 0, err
	} else if held {
		return len(p), nil
	}
	if w.compress != nil {
		return w.writeCompressed(p)
	}
	return rawBody{w}.Write(p)
}

// writeCompressed writes no more than the handler has promised, as net/http does.
func (w *Writer) writeCompressed(p []byte) (int, error) {
	if w.promised > 0 && int64(len(p)) > w.promised-w.taken {
		return 0, http.ErrContentLength
	}
	n, err := w.compress.Write(p)
	w.taken += int64(n)
	return n, err
}

// passesOn reports whether body bytes can go to the ResponseWriter beneath as they
// are.
func (w *Writer) passesOn() bool { return w.committed && !w.encoded && w.failure == nil }

// open gets the response ready for body bytes. It reports true if it held p back
// because compression is not decided yet.
func (w *Writer) open(p []byte) (held bool, err error) {
	if w.hijacked {
		return false, http.ErrHijacked
	}
	if w.committed {
		if w.finished && w.encoded {
			return false, errFinished
		}
		return false, nil
	}
	if w.status == 0 {
		w.status = http.StatusOK
	}
	w.detect(p)
	if w.hold(p) {
		return true, nil
	}
	if err := w.commit(true); err != nil {
		return false, err
	}
	return false, w.sendHeld()
}

// flushHeld sends the header, and what is held back, of a response that is flushed:
// a stream, whose length will not be known.
func (w *Writer) flushHeld() error {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	if !w.committed {
		if err := w.commit(true); err != nil {
			return err
		}
		if err := w.sendHeld(); err != nil {
			return err
		}
	}
	if w.compress != nil {
		return w.compress.Flush()
	}
	return nil
}

// awaitsBody reports whether the header must wait for the first body bytes.
func (w *Writer) awaitsBody() bool {
	if !bodyAllowed(w.status) || w.finished {
		return false
	}
	return w.detectable() || w.holds() != identity
}

// detectable reports whether the content type is to be found in the body.
func (w *Writer) detectable() bool {
	head := w.under.Header()
	_, typed := head["Content-Type"] // nil says: send none
	return (w.detects || w.coding != nil) && !typed && head["Content-Encoding"] == nil
}

func (w *Writer) detect(p []byte) {
	if len(p) > 0 && bodyAllowed(w.status) && w.detectable() {
		w.under.Header()["Content-Type"] = []string{http.DetectContentType(p)}
	}
}

// commit sends the header, or the answer of a hook that has failed; then it returns
// the hook's error. long is false when the body turned out too short to be worth
// compressing.
func (w *Writer) commit(long bool) error {
	if w.status < 100 || w.status > 999 {
		w.under.WriteHeader(w.status) // panics, and the hooks run for what is answered then
	}
	if err := w.runHooks(); err != nil {
		return err
	}
	if w.coding != nil {
		w.encode(w.under.Header(), long)
	}
	w.under.WriteHeader(w.status)
	w.committed = true
	return nil
}

// askHooks asks the hooks whether the connection may be hijacked.
func (w *Writer) askHooks() error {
	for _, hook := range w.hooks {
		if asked, ok := hook.(HijackHook); ok {
			if err := asked.BeforeHijack(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *Writer) runHooks() error {
	for len(w.hooks) > 0 {
		last := len(w.hooks) - 1
		hook := w.hooks[last]
		w.hooks = w.hooks[:last] // before it runs: it runs once, also if it panics
		if err := hook.BeforeHeader(w.under.Header()); err != nil {
			w.fail(err)
			return w.failure
		}
	}
	return nil
}

// fail answers with err in place of the handler's response.
func (w *Writer) fail(err error) {
	w.drop()
	delete(w.under.Header(), "Content-Length")
	w.failures++
	if w.failure == nil {
		w.failure = err
	} else {
		w.failure = errors.Join(w.failure, err)
	}
	answered := false
	defer func() {
		if !answered { // a panic: another answer can still be written
			w.failure = nil
		}
	}()
	a := answer{w, w.failures}
	w.owner.AnswerError(a, err)
	if a.current() && w.status == 0 {
		w.status = http.StatusInternalServerError
	}
	w.finish()
	answered = true
}

// answer is the response that an Owner writes its answer to. The lock is held
// already.
type answer struct {
	w    *Writer
	turn int // which failure it answers
}

// current reports whether no later hook has failed, whose answer counts instead.
func (a answer) current() bool { return a.turn == a.w.failures }

func (a answer) Header() http.Header { return a.w.under.Header() }

func (a answer) WriteHeader(status int) { a.w.writeHeader(status) }

func (a answer) Write(p []byte) (int, error) {
	if !a.current() {
		return 0, a.w.failure
	}
	return a.w.write(p)
}

// bodyAllowed reports whether a response with the status has a body (RFC 9110,
// section 6.4.1).
func bodyAllowed(status int) bool {
	return status >= 200 && status != http.StatusNoContent && status != http.StatusNotModified
}
