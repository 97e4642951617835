package pgconn

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"unicode/utf8"
)

const (
	// readSize is the size of a connection's buffer for messages of the server. It grows for
	// longer messages. If it has grown above keepSize, it is given up when the operation
	// ends.
	readSize = 8 << 10
	keepSize = 32 << 10

	// maxMessage is the length of the longest message that is read or sent. PostgreSQL
	// neither sends nor takes longer ones (PQ_LARGE_MESSAGE_LIMIT).
	maxMessage = 1<<30 - 1

	// maxError is the length of the longest error or notice that is kept as it is. Of longer
	// ones only the beginning of each field is kept, of maxErrorField bytes.
	maxError      = 30_000
	maxErrorField = 512
)

// protocolError is an error for something that no PostgreSQL server sends. The connection
// cannot be used any more, since its position in the stream is unknown.
type protocolError struct{ text string }

func (e *protocolError) Error() string { return "PostgreSQL protocol: " + e.text }

func malformed(format string, args ...any) error {
	return &protocolError{fmt.Sprintf(format, args...)}
}

// reader reads messages of the server. All of them use its one buffer.
type reader struct {
	src        io.Reader
	buf        []byte
	begin, end int  // of the bytes in buf that were received and not read
	last       int  // where the message begins that was read last
	cut        bool // that was a long error or notice, of which parts are missing
}

// next returns the kind and the body of the next message. They are valid until next is
// called again. The error is one of the connection, or a protocolError.
func (r *reader) next() (kind byte, body []byte, err error) {
	if r.end-r.begin < 5 {
		if err := r.fill(5); err != nil {
			return 0, nil, err
		}
	}
	r.cut = false
	kind = r.buf[r.begin]
	length := int64(binary.BigEndian.Uint32(r.buf[r.begin+1:])) - 4
	switch {
	case length < 0 || length > maxMessage:
		return 0, nil, malformed("a message %q of %d bytes", kind, length)
	case length > maxError && (kind == 'E' || kind == 'N'):
		r.begin += 5
		body, err = r.shorten(int(length))
		return kind, body, err
	}
	n := 5 + int(length)
	if r.end-r.begin < n {
		if err := r.fill(n); err != nil {
			return 0, nil, err
		}
	}
	r.last = r.begin
	r.begin += n
	return kind, r.buf[r.last+5 : r.begin], nil
}

// back makes next return the last message again.
func (r *reader) back() { r.begin = r.last }

// unread returns the bytes that were received and not read.
func (r *reader) unread() []byte { return r.buf[r.begin:r.end] }

// fill reads until n bytes are received. The memory that it takes is at most twice that of
// the bytes received, whatever n is.
func (r *reader) fill(n int) error {
	if r.begin == r.end {
		r.begin, r.end = 0, 0
	}
	for r.end-r.begin < n {
		if r.end == len(r.buf) {
			r.makeRoom(n)
		}
		got, err := r.src.Read(r.buf[r.end:])
		r.end += got
		switch {
		case got > 0:
		case err == nil:
			return io.ErrNoProgress
		case err == io.EOF && r.end > r.begin:
			return io.ErrUnexpectedEOF
		default:
			return err
		}
	}
	return nil
}

// makeRoom moves the unread bytes to the beginning of the buffer, and makes that larger if
// they fill it.
func (r *reader) makeRoom(n int) {
	waiting := r.unread()
	if len(waiting) == len(r.buf) {
		size := max(readSize, min(n, 2*len(r.buf)))
		r.buf = make([]byte, size)
	}
	r.end = copy(r.buf, waiting)
	r.begin = 0
}

// rest gives up a large buffer at the end of an operation.
func (r *reader) rest() {
	if len(r.buf) > keepSize && r.begin == r.end {
		r.buf, r.begin, r.end = nil, 0, 0
	}
}

// shorten reads an error or a notice of n bytes, of which the header was read. It returns it
// without the ends of long fields, in memory of its own.
func (r *reader) shorten(n int) ([]byte, error) {
	var body, field []byte
	for n > 0 {
		if r.begin == r.end {
			if err := r.fill(1); err != nil {
				return nil, err
			}
		}
		part := r.unread()
		part = part[:min(len(part), n)]
		r.begin, n = r.begin+len(part), n-len(part)
		for len(part) > 0 {
			end := bytes.IndexByte(part, 0)
			if end < 0 {
				field = appendMost(field, part)
				break
			}
			field = appendMost(field, part[:end])
			if len(field) > 0 && len(body) < maxError {
				body = append(append(body, whole(field)...), 0)
			}
			field, part = field[:0], part[end+1:]
		}
	}
	r.last, r.cut = r.begin, true
	return append(body, 0), nil
}

// appendMost appends part to a field as far as maxErrorField allows.
func appendMost(field, part []byte) []byte {
	return append(field, part[:min(len(part), maxErrorField-len(field))]...)
}

// whole returns a text without a last character of which bytes are missing.
func whole(text []byte) []byte {
	for i := len(text) - 1; i >= 0 && i >= len(text)-utf8.UTFMax; i-- {
		if utf8.RuneStart(text[i]) {
			if !utf8.FullRune(text[i:]) {
				return text[:i]
			}
			break
		}
	}
	return text
}

// fields reads the fields of a message. After the first that is missing, all are zero.
type fields struct {
	rest   []byte
	failed bool
}

func (f *fields) take(n int) []byte {
	if n < 0 || n > len(f.rest) {
		f.rest, f.failed = nil, true
		return nil
	}
	taken := f.rest[:n]
	f.rest = f.rest[n:]
	return taken
}

func (f *fields) int16() int {
	if b := f.take(2); b != nil {
		return int(binary.BigEndian.Uint16(b))
	}
	return 0
}

func (f *fields) int32() int32 {
	if b := f.take(4); b != nil {
		return int32(binary.BigEndian.Uint32(b))
	}
	return 0
}

func (f *fields) text() []byte {
	end := bytes.IndexByte(f.rest, 0)
	text := f.take(end + 1)
	if end < 0 {
		f.rest, f.failed = nil, true
		return nil
	}
	return text[:end]
}

// done returns an error if a field was missing or bytes are left.
func (f *fields) done(what string) error {
	if f.failed || len(f.rest) > 0 {
		return malformed("a wrong %s", what)
	}
	return nil
}
