// Package limitedbody limits the length of request bodies.
package limitedbody

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"sync/atomic"
)

// Body is a request body under a limit. It is meant to be a field of what is
// allocated for the request anyway. [Body.Begin] comes before Read and Close.
// [Body.TooLong], [Body.Late] and [Body.Progress] are safe for concurrent use with
// them, nothing else is.
type Body struct {
	from     io.ReadCloser
	declared int64 // Content-Length, -1 if unknown
	explain  func(error) error
	network  Network
	clock    Clock

	limit   int64
	read    atomic.Int64
	err     error
	tooLong atomic.Bool
	late    atomic.Bool
	whole   atomic.Bool
	solid   atomic.Bool // a byte other than whitespace was read
}

// Begin makes b the body of r under a limit that [Body.SetLimit] has set or will
// set. Errors of reading pass through explain, io.EOF included. If the body was
// begun before, or if r has none, Begin changes nothing and reports false.
func (b *Body) Begin(r *http.Request, explain func(error) error) bool {
	if b.from != nil || r.Body == nil || r.Body == http.NoBody {
		return false
	}
	b.from, b.declared, b.explain = r.Body, r.ContentLength, explain
	return true
}

// Network is told when a body waits for the network, and when it has done so. The error of
// Back is the body's.
type Network interface {
	Away()
	Back() error
}

// Clock is stopped while a body waits for the network.
type Clock interface {
	Stop()
	Go()
}

// Pause makes c stand still during each read that may wait for the network.
func (b *Body) Pause(c Clock) { b.clock = c }

// Wrap puts another body between b and the one beneath.
func (b *Body) Wrap(wrap func(io.ReadCloser) io.ReadCloser) { b.from = wrap(b.from) }

// Watch makes n know of each read that may wait for the network.
func (b *Body) Watch(n Network) { b.network = n }

// SetLimit sets the limit in bytes. What was read before counts.
func (b *Body) SetLimit(limit int64) { b.limit = limit }

// TooLong reports whether reading has met the limit.
func (b *Body) TooLong() bool { return b.tooLong.Load() }

// Late reports whether reading has met the connection's deadline.
func (b *Body) Late() bool { return b.late.Load() }

// Progress is what was read of a body.
type Progress struct {
	Bytes int64
	Whole bool // it is the whole body
	Blank bool // it is nothing but whitespace, as JSON has it
}

// Progress returns what was read so far.
func (b *Body) Progress() Progress {
	return Progress{b.read.Load(), b.whole.Load(), !b.solid.Load()}
}

// Read reads up to the limit. Beyond it, it returns an *[http.MaxBytesError]. If the
// declared length is over the limit, it reads nothing and returns that error.
func (b *Body) Read(p []byte) (int, error) {
	left := b.limit - b.read.Load()
	switch {
	case b.err != nil:
		return 0, b.err
	case len(p) == 0:
		return 0, nil
	case b.declared > b.limit || left < 0:
		return 0, b.overLimit()
	}
	if int64(len(p))-1 > left { // one byte more tells that there is more
		p = p[:left+1]
	}
	n, err := b.receive(p)
	b.read.Add(int64(n))
	if !b.solid.Load() && len(bytes.TrimLeft(p[:n], " \t\r\n")) > 0 {
		b.solid.Store(true)
	}
	if int64(n) > left {
		return int(left), b.overLimit()
	}
	if err != nil {
		b.whole.Store(err == io.EOF)
		b.late.Store(errors.Is(err, os.ErrDeadlineExceeded))
		b.err = b.explain(err)
	}
	return n, b.err
}

// receive reads from the body beneath. A body that has come in its declared length does not
// wait any more.
func (b *Body) receive(p []byte) (int, error) {
	if b.read.Load() == b.declared {
		return b.from.Read(p)
	}
	if b.network == nil {
		return b.receiveIdly(p)
	}
	b.network.Away()
	n, err := b.receiveIdly(p) // the clock runs during Back, which has no other limit
	if back := b.network.Back(); back != nil {
		return n, back
	}
	return n, err
}

// receiveIdly reads while the clock stands still.
func (b *Body) receiveIdly(p []byte) (int, error) {
	if b.clock != nil {
		b.clock.Stop()
		defer b.clock.Go()
	}
	return b.from.Read(p)
}

// Close closes the body beneath.
func (b *Body) Close() error { return b.from.Close() }

func (b *Body) overLimit() error {
	b.tooLong.Store(true)
	b.err = &http.MaxBytesError{Limit: b.limit}
	return b.err
}
