// Package logguard keeps a log that stands still or fails from deciding about requests:
// whoever logs waits for a bounded time, and memory is bounded.
package logguard

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// Patience is how long a record is waited for. Then the log has stalled, and
	// records are queued without a wait until it goes on.
	Patience = time.Second
	// Queue is how many records wait for a log at most. Further ones are lost.
	Queue = 1024
)

// Handler is a slog.Handler around another one. Records that it loses are counted, and
// the count is logged once the log goes on.
//
// Normally a record is written when Handle returns, and records are written in order.
// The zero Handler writes to that of slog.Default.
type Handler struct {
	queue *queue       // nil: each record for itself
	to    slog.Handler // nil: that of slog.Default as it is then
}

// Default returns a logger to slog.Default as it is when a record is written. It may be
// used anywhere, also in bubbles of testing/synctest, since it has no queue in which
// goroutines of different bubbles could wait for each other. So records that came while
// the log stood still are not written in order.
func Default() *slog.Logger { return slog.New(&Handler{}) }

// New returns a Handler around to, or around the default logger's if to is nil.
func New(to slog.Handler) *Handler { return &Handler{newQueue(), to} }

func (h *Handler) inner() slog.Handler {
	if h.to == nil {
		return slog.Default().Handler()
	}
	return h.to
}

// Enabled asks the handler beneath.
func (h *Handler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.inner().Enabled(ctx, level)
}

// WithAttrs shares the queue with h.
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &Handler{h.queue, h.inner().WithAttrs(attrs)}
}

// WithGroup shares the queue with h.
func (h *Handler) WithGroup(name string) slog.Handler {
	return &Handler{h.queue, h.inner().WithGroup(name)}
}

// Handle returns nil: whoever logs cannot do anything about an error.
func (h *Handler) Handle(ctx context.Context, record slog.Record) error {
	e := entry{ctx, h.inner(), record}
	if h.queue == nil {
		single.write(e)
	} else {
		h.queue.write(e)
	}
	return nil
}

// entry is a record on its way.
type entry struct {
	ctx    context.Context
	to     slog.Handler
	record slog.Record
}

// queue is the records on their way, in order. A goroutine writes them while there are
// any; those who log wait for it.
type queue struct {
	mu      sync.Mutex
	changed sync.Cond // written, or stalled
	waiting []entry
	head    int  // of waiting: what is before it was written
	writing bool // the goroutine runs
	stalled bool // it has not ended a record in time
	came    int64
	written int64
	lost    int64
	began   time.Time // when the goroutine began with its record
	timer   *time.Timer
	work    func() // run: a method value made once
}

func newQueue() *queue {
	q := new(queue)
	q.changed.L, q.work = &q.mu, q.run
	return q
}

// write queues a record, and waits until it was written or the log has stalled.
func (q *queue) write(e entry) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting)-q.head >= Queue {
		q.lost++
		return
	}
	q.waiting = append(q.waiting, e)
	q.came++
	mine := q.came
	if !q.writing {
		q.writing = true
		go q.work() // ends when it has written all that came
	}
	for q.written < mine && !q.stalled {
		q.changed.Wait()
	}
}

// run writes all that has come.
func (q *queue) run() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.timer == nil {
		q.timer = time.AfterFunc(Patience, q.look)
	} else {
		q.timer.Reset(Patience)
	}
	for q.head < len(q.waiting) {
		e := q.next()
		q.began = time.Now()
		q.mu.Unlock()
		ok := e.write()
		q.mu.Lock()
		q.stalled = false
		q.written++
		if !ok {
			q.lost++
		} else if q.lost > 0 && q.head == len(q.waiting) {
			q.reportLoss(e)
		}
		q.changed.Broadcast()
	}
	q.waiting, q.head = q.waiting[:0], 0
	if cap(q.waiting) > kept {
		q.waiting = nil
	}
	q.writing = false
	q.timer.Stop()
}

// kept is for how many records the memory of the queue is kept.
const kept = 64

// next takes the next record.
func (q *queue) next() entry {
	e := q.waiting[q.head]
	q.waiting[q.head] = entry{}
	q.head++
	if q.head == kept {
		n := copy(q.waiting, q.waiting[q.head:])
		clear(q.waiting[n:])
		q.waiting, q.head = q.waiting[:n], 0
	}
	return e
}

// reportLoss logs how many records were lost, to where e went.
func (q *queue) reportLoss(e entry) {
	lost := q.lost
	q.began = time.Now()
	q.mu.Unlock()
	ok := e.loss(lost).write()
	q.mu.Lock()
	if ok {
		q.lost -= lost
	}
}

// look says that the log has stalled if it has.
func (q *queue) look() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.writing {
		return
	}
	if left := Patience - time.Since(q.began); left > 0 {
		q.timer.Reset(left)
		return
	}
	q.stalled = true
	q.changed.Broadcast()
	q.timer.Reset(Patience)
}

// single are the records on their way to slog.Default, all of the process.
var single singles

// singles are records that are written each by a goroutine of its own.
type singles struct {
	running atomic.Int64 // goroutines
	overdue atomic.Int64 // those whose record was not written in time: the log has stalled
	lost    atomic.Int64
}

// write writes a record, and waits for it unless the log has stalled.
func (s *singles) write(e entry) {
	if s.running.Add(1) > Queue {
		s.running.Add(-1)
		s.lost.Add(1)
		return
	}
	var settled atomic.Bool // written, or overdue
	written := make(chan struct{})
	go func() { // ends when the log has taken the record
		ok := false
		defer func() { // also if the handler ends the goroutine
			if !ok {
				s.lost.Add(1)
			}
			s.running.Add(-1)
			if settled.Swap(true) {
				s.overdue.Add(-1)
			}
			close(written)
		}()
		if ok = e.write(); !ok {
			return
		}
		if lost := s.lost.Swap(0); lost > 0 && !e.loss(lost).write() {
			s.lost.Add(lost)
		}
	}()
	if s.overdue.Load() > 0 {
		return
	}
	patience := time.NewTimer(Patience)
	defer patience.Stop()
	select {
	case <-written:
	case <-patience.C:
		s.overdue.Add(1)
		if settled.Swap(true) { // just written
			s.overdue.Add(-1)
		}
	}
}

// loss returns the record that so many were lost, for where e went.
func (e entry) loss(count int64) entry {
	record := slog.NewRecord(time.Now(), slog.LevelWarn, "log records were lost", 0)
	record.AddAttrs(slog.Int64("count", count))
	return entry{e.ctx, e.to, record}
}

// write reports whether the handler has taken the record.
func (e entry) write() (ok bool) {
	defer func() {
		if !ok {
			recover() // the record is lost, and nothing else
		}
	}()
	return e.to.Handle(e.ctx, e.record) == nil
}
