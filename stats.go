package backend

import (
	"math/bits"
	"slices"
	"sync/atomic"
	"time"
)

// This file counts calls.

// OperationStats is what has happened to an operation since the program started.
type OperationStats struct {
	// Name is the operation's; for a relation its parent's type and its field:
	// "Note.author". A relation is called once for all values of an answer.
	Name string
	// Calls counts calls that have ended, Running those that have not.
	Calls, Running int64
	// Failed counts the calls that ended in an error, by its code.
	Failed map[Code]int64
	// Time is how long the calls took in all.
	Time time.Duration
	// Latency has the number of calls by how long they took, in 20 buckets:
	// Latency[i] took less than LatencyBound(i), and not less than the bound before.
	Latency [latencyBuckets]int64
}

const latencyBuckets = 20

// LatencyBound returns the upper bound of a bucket of OperationStats.Latency: 64
// µs, and twice as much for each bucket after the first. The last one has no
// bound, and its own is the largest duration.
func LatencyBound(bucket int) time.Duration {
	if bucket >= latencyBuckets-1 {
		return 1<<63 - 1
	}
	return 64 * time.Microsecond << bucket
}

// operationStats counts without locks.
type operationStats struct {
	calls, running, nanoseconds atomic.Int64
	failed                      [codeCount]atomic.Int64
	latency                     [latencyBuckets]atomic.Int64
}

// timing is a call that is counted.
type timing struct {
	stats    *operationStats
	start    time.Time
	returned bool // it did not panic
}

// begin counts a call that begins; it must be ended.
func (s *operationStats) begin() timing {
	s.running.Add(1)
	return timing{stats: s, start: time.Now()}
}

// end counts the end of the call, with its error.
func (t *timing) end(err *error) {
	s, took := t.stats, time.Since(t.start)
	s.running.Add(-1)
	s.calls.Add(1)
	s.nanoseconds.Add(int64(took))
	s.latency[min(bits.Len64(uint64(took/(64*time.Microsecond))), latencyBuckets-1)].Add(1)
	switch {
	case !t.returned:
		s.failed[Internal].Add(1)
	case *err != nil:
		s.failed[CodeOf(*err)].Add(1)
	}
}

func (s *operationStats) read(name string) OperationStats {
	stats := OperationStats{
		Name: name, Calls: s.calls.Load(), Running: s.running.Load(),
		Time: time.Duration(s.nanoseconds.Load()), Failed: map[Code]int64{},
	}
	for code := range s.failed {
		if n := s.failed[code].Load(); n > 0 {
			stats.Failed[Code(code)] = n
		}
	}
	for i := range s.latency {
		stats.Latency[i] = s.latency[i].Load()
	}
	return stats
}

// Stats returns what has happened to each operation since the program started,
// in the order in which they were added, relations last. The numbers of one
// operation may be of moments that lie a little apart.
func (l *Logic) Stats() []OperationStats {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []OperationStats
	for _, op := range slices.Concat(l.ops, l.relations) {
		all = append(all, op.stats.read(op.title()))
	}
	return all
}
