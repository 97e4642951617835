package pace

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// Stream limits one request and its response where the connection cannot: in HTTP/2,
// whose streams share one, and on connections that are not ours. It is the
// ResponseWriter, and Body returns the request's body. Only the waits of the handler for
// the client count.
type Stream struct {
	http.ResponseWriter
	control *http.ResponseController
	body    io.ReadCloser // nil without one
	whole   bool          // the body was read to its end
	written int           // bytes, until there are more than the server keeps
	in, out watch
}

// NewStream returns the Stream that writes to w. [Stream.End] must follow when the handler
// has returned.
func NewStream(w http.ResponseWriter, read, write time.Duration) *Stream {
	s := &Stream{ResponseWriter: w, control: http.NewResponseController(w)}
	s.in.cut, s.out.cut = s.control.SetReadDeadline, s.control.SetWriteDeadline
	s.in.budget.Reset(read)
	s.out.budget.Reset(write)
	return s
}

// Of returns the Stream of which w is a wrapper with a method Unwrap, or nil.
func Of(w http.ResponseWriter) *Stream {
	for {
		switch t := w.(type) {
		case *Stream:
			return t
		case interface{ Unwrap() http.ResponseWriter }:
			w = t.Unwrap()
		default:
			return nil
		}
	}
}

// Body returns the request's body that reads from the server's.
func (s *Stream) Body(from io.ReadCloser) io.ReadCloser {
	s.body = from
	return body{s}
}

// LimitBody implements Limiter.
func (s *Stream) LimitBody(most time.Duration) {
	s.in.mu.Lock()
	defer s.in.mu.Unlock()
	s.in.budget.Reset(most)
}

// End leaves the client what is left of the budgets for the rest, which the server
// sends and reads by itself.
func (s *Stream) End() {
	if left, limited := s.out.end(); limited {
		s.control.SetWriteDeadline(time.Now().Add(left))
	}
	if left, limited := s.in.end(); limited && s.body != nil && !s.whole {
		s.control.SetReadDeadline(time.Now().Add(left))
	}
}

type body struct{ s *Stream }

func (b body) Read(p []byte) (int, error) {
	since := b.s.in.begin()
	n, err := b.s.body.Read(p)
	b.s.in.done(since, n)
	if err == io.EOF {
		b.s.whole = true
	}
	return n, err
}

func (b body) Close() error { return b.s.body.Close() }

// pieces is how much is written at once, so that the progress can be seen: at the
// Floor, half of a budget's time.
func (s *Stream) pieces() int {
	return int(min(max(s.out.budget.Most()/2/time.Second*Floor, Floor), 32<<10))
}

// kept is how many bytes of a response the server keeps before it sends any.
const kept = 2 << 10

// beginWrite begins to wait for the client, unless the server keeps the bytes.
func (s *Stream) beginWrite(bytes int) time.Time {
	if s.written += bytes; s.written <= kept {
		return time.Time{}
	}
	s.written = kept
	return s.out.begin()
}

// Write writes in pieces.
func (s *Stream) Write(p []byte) (n int, err error) {
	size := s.pieces()
	for {
		piece := p[n:min(len(p), n+size)]
		since := s.beginWrite(len(piece))
		m, err := s.ResponseWriter.Write(piece)
		s.out.done(since, m)
		n += m
		if err != nil || n >= len(p) {
			return n, err
		}
	}
}

// WriteString writes in pieces.
func (s *Stream) WriteString(text string) (n int, err error) {
	size := s.pieces()
	for {
		piece := text[n:min(len(text), n+size)]
		since := s.beginWrite(len(piece))
		m, err := io.WriteString(s.ResponseWriter, piece)
		s.out.done(since, m)
		n += m
		if err != nil || n >= len(text) {
			return n, err
		}
	}
}

// ReadFrom lets the server copy a file to the connection, in pieces.
func (s *Stream) ReadFrom(src io.Reader) (n int64, err error) {
	to, ok := s.ResponseWriter.(io.ReaderFrom)
	if !ok {
		return io.Copy(struct{ io.Writer }{s}, src)
	}
	limited, isLimited := src.(*io.LimitedReader)
	from := src
	if isLimited {
		from = limited.R // net/http knows a file beneath one limit
	}
	for {
		size := int64(s.pieces())
		if isLimited {
			size = min(size, limited.N)
		}
		if size <= 0 {
			return n, nil
		}
		piece := io.LimitedReader{R: from, N: size}
		since := s.out.begin()
		m, err := to.ReadFrom(&piece)
		s.out.done(since, int(m))
		n += m
		if isLimited {
			limited.N -= size - piece.N
		}
		if err != nil || piece.N > 0 {
			return n, err
		}
	}
}

// FlushError sends what was written.
func (s *Stream) FlushError() error {
	since := s.out.begin()
	defer s.out.done(since, 0)
	return s.control.Flush()
}

// Flush sends what was written.
func (s *Stream) Flush() { s.FlushError() }

// Hijack takes the connection over from the server, without limits.
func (s *Stream) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := s.control.Hijack()
	if err == nil {
		s.in.off()
		s.out.off()
	}
	return conn, rw, err
}

// Push implements [http.Pusher].
func (s *Stream) Push(target string, options *http.PushOptions) error {
	if p, ok := s.ResponseWriter.(http.Pusher); ok {
		return p.Push(target, options)
	}
	return http.ErrNotSupported
}

// SetReadDeadline sets a deadline in place of the budget.
func (s *Stream) SetReadDeadline(at time.Time) error {
	s.in.off()
	return s.control.SetReadDeadline(at)
}

// SetWriteDeadline sets a deadline in place of the budget.
func (s *Stream) SetWriteDeadline(at time.Time) error {
	s.out.off()
	return s.control.SetWriteDeadline(at)
}

// Unwrap returns the ResponseWriter beneath.
func (s *Stream) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// watch cuts waits for which nothing is left of a budget. Its timer runs on between two
// waits, since most are short.
type watch struct {
	cut func(time.Time) error

	mu     sync.Mutex
	budget Budget
	since  time.Time // when the wait began, zero if there is none
	timer  *time.Timer
	armed  bool
	isOff  bool
}

// begin says that a wait begins.
func (w *watch) begin() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.isOff {
		return time.Time{}
	}
	w.since = time.Now()
	if !w.armed {
		w.arm(w.budget.Left())
	}
	return w.since
}

func (w *watch) arm(after time.Duration) {
	w.armed = true
	if w.timer == nil {
		w.timer = time.AfterFunc(after, w.check)
		return
	}
	w.timer.Reset(after)
}

// check cuts the wait if its time is over.
func (w *watch) check() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.armed = false
	if w.isOff || w.since.IsZero() {
		return
	}
	if left := w.budget.Left() - time.Since(w.since); left > 0 {
		w.arm(left)
		return
	}
	w.cut(time.Now().Add(-time.Second))
}

// done says that the wait is over.
func (w *watch) done(since time.Time, bytes int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !since.IsZero() {
		w.budget.Spend(time.Since(since), int64(bytes))
		w.since = time.Time{}
	}
}

// off ends the watch for good.
func (w *watch) off() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stop()
}

func (w *watch) stop() {
	w.isOff = true
	if w.timer != nil {
		w.timer.Stop()
	}
}

// end ends the watch. It returns what is left, and whether it was on.
func (w *watch) end() (left time.Duration, limited bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	limited = !w.isOff
	w.stop()
	return max(w.budget.Left(), 0), limited
}
