package jsonlog

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

const (
	// Delay is how long a line waits for others to be written with it.
	Delay = 5 * time.Millisecond
	// Patience is how long a write is waited for. Then the log has stalled, and nobody
	// waits for it until it goes on.
	Patience = time.Second
	// Waiting is how many bytes of lines wait at most. Further lines are lost.
	Waiting = 1 << 20

	batch = 64 << 10 // is written at once
)

// errStalled is the error of a log that stands still.
var errStalled = errors.New("the log has stalled")

// sink has the lines on their way. A goroutine writes them while there are any.
type sink struct {
	w io.Writer

	mu       sync.Mutex
	changed  sync.Cond // written, or stalled
	lines    []byte    // that wait
	spare    []byte    // the memory of lines that were written
	came     int64     // lines
	written  int64     // lines, also those whose write failed
	lost     int64     // lines
	reported int64     // of lost, in a line that is not written yet; without the line itself
	err      error     // of the last write
	writing  bool      // the goroutine runs
	stalled  bool
	armed    bool        // delay runs
	began    time.Time   // when the last write began
	delay    *time.Timer // begins to write
	watch    *time.Timer // says that the log has stalled
}

func newSink(w io.Writer) *sink {
	s := &sink{w: w}
	s.changed.L = &s.mu
	return s
}

// Write is add for the lines of slog.
func (s *sink) Write(line []byte) (int, error) {
	s.add(line)
	return len(line), nil
}

// add lets a line be written after those before it. If too many wait, it waits for room,
// and otherwise for nothing.
func (s *sink) add(line []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.lines) > 0 && len(s.lines)+len(line) > Waiting {
		if s.stalled {
			s.lost++
			return
		}
		s.start()
		s.changed.Wait()
	}
	s.lines = append(s.lines, line...)
	s.came++
	switch {
	case s.writing || s.armed && len(s.lines) < batch:
	case len(s.lines) >= batch:
		s.start()
	case s.delay == nil:
		s.armed = true
		s.delay = time.AfterFunc(Delay, s.due)
	default:
		s.armed = true
		s.delay.Reset(Delay)
	}
}

// due begins to write what has waited long enough.
func (s *sink) due() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.armed = false
	s.start()
}

// start makes sure that what waits is being written.
func (s *sink) start() {
	if !s.writing && len(s.lines) > 0 {
		s.writing = true
		go s.run() // ends when it has written all that came
	}
}

// flush waits until all that came is written, or the log has stalled.
func (s *sink) flush() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.start()
	for came := s.came; s.written < came; s.changed.Wait() {
		if s.stalled {
			return errStalled
		}
	}
	return s.err
}

// run writes all that has come.
func (s *sink) run() {
	for s.writeOnce() {
	}
}

// writeOnce writes what waits, and reports false if that is nothing.
func (s *sink) writeOnce() bool {
	lines, came := s.take()
	if lines == nil {
		return false
	}
	err, returned := errGone, false
	defer func() { // also if the writer panics or ends the goroutine
		value := recover()
		if value != nil {
			err = fmt.Errorf("the log panicked: %v", value)
		}
		s.ended(lines, came, err)
		if value != nil || !returned {
			s.again()
		}
	}()
	_, err = s.w.Write(lines)
	returned = true
	return true
}

// errGone is the error of a writer that has ended the goroutine.
var errGone = errors.New("the log did not return")

// take returns the lines that wait, and the number of the last one.
func (s *sink) take() (lines []byte, came int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.lines) == 0 {
		s.writing = false
		return nil, 0
	}
	lines = s.lines
	s.lines, s.spare = s.spare[:0], nil
	s.began = time.Now()
	if s.watch == nil {
		s.watch = time.AfterFunc(Patience, s.stall)
	} else {
		s.watch.Reset(Patience)
	}
	return lines, s.came
}

// again lets another goroutine go on.
func (s *sink) again() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writing = false
	s.start()
}

// ended notes that a write has ended, which wrote lines up to the number came.
func (s *sink) ended(lines []byte, came int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watch.Stop()
	if cap(lines) <= 2*batch {
		s.spare = lines
	}
	if err != nil {
		s.lost += came - s.written + s.reported
	}
	s.written, s.err, s.stalled, s.reported = came, err, false, 0
	if err == nil && s.lost > 0 && len(s.lines) == 0 {
		s.lines = append(s.lines, lossLine(s.lost)...)
		s.reported, s.lost = s.lost-1, 0 // if the line is lost, it counts as one itself
		s.came++
	}
	s.changed.Broadcast()
}

// lossLine says how many records were lost.
func lossLine(count int64) []byte {
	return fmt.Appendf(nil, `{"time":%q,"level":"WARN","msg":"log records were lost","count":%d}`+"\n", time.Now().Format(time.RFC3339Nano), count)
}

// stall says that the log has stalled.
func (s *sink) stall() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.writing && time.Since(s.began) >= Patience {
		s.stalled = true
		s.changed.Broadcast()
	}
}
