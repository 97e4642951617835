package backend

import (
	"context"
	"errors"
	"log/slog"
	"math/bits"
	"sync/atomic"
	"time"

	"github.com/seed-215b9b7c/backend/internal/logguard"
)

// This file has the hook for metrics, traces and audits, and the counts of calls.

// Observer is told when a call of an operation, the load of a relation, or an SQL
// statement begins and ends. [LogicConfig.Observer] gets calls and relations,
// [DBConfig.Observer] gets statements. The same Observer may be in both. Without an
// Observer, observation costs nothing.
//
// The methods are called on the goroutine that does the work, and must be safe for
// concurrent use. They must be fast, must not panic, and must not keep e.
type Observer interface {
	// Begin is called before the work. It returns the context that the work runs with,
	// which is ctx or derived from it. Work within the work, such as the statements of
	// a call, gets that context.
	Begin(ctx context.Context, e *Event) context.Context
	// End is called after the work, also if it panics, with the context and the
	// event of Begin. The event then has its outcome.
	End(ctx context.Context, e *Event)
}

// EventKind says what kind of work an [Event] is about.
type EventKind uint8

const (
	// CallEvent is one call of an operation, from authentication to the end of its
	// transaction. The GET behind If-Match is a call of its own operation.
	CallEvent EventKind = iota + 1
	// RelationEvent is one load of a relation, for all parents at once.
	RelationEvent
	// StatementEvent is one SQL statement: waiting for a connection, sending the
	// statement, and reading its rows, which for [Each] is the whole loop. A
	// statement that is sent again, because its connection was dead, is one event.
	StatementEvent
)

// String returns "call", "relation" or "statement".
func (k EventKind) String() string {
	switch k {
	case CallEvent:
		return "call"
	case RelationEvent:
		return "relation"
	case StatementEvent:
		return "statement"
	}
	return "unknown"
}

// Event describes work that an [Observer] is told of.
type Event struct {
	Kind EventKind
	// Operation is the operation's name, and for a relation the name of its
	// parent's type and its field: "Note.author". For a statement it is the
	// operation or the relation that runs it. It is empty for statements outside of
	// both, such as those of an Authenticator.
	Operation string
	// Door is the door that the call came through; empty for [Call].
	Door Door
	// Caller is the caller. It is the zero Caller until the call is authenticated; for
	// the first call of a request that is after Begin.
	Caller Caller
	// Query is the text of a statement, without its arguments.
	Query string
	// RequestID and TraceID are those of the request that the context belongs to, see
	// [RequestID]; empty if there is none.
	RequestID, TraceID string
	// Start is when the work began.
	Start time.Time

	// Duration is how long the work took. It is set for End, as Err is.
	Duration time.Duration
	// Err is the error that the work ended with, or nil; see [CodeOf]. Work that
	// panicked has an error that is [Internal].
	Err error
}

// errPanicked is Event.Err of work that panicked, or ended its goroutine.
var errPanicked = errors.New("panicked")

// describerKey is the key of the describer in a context.
type describerKey struct{}

// describer sets the fields of an event that say which call or relation it belongs to.
type describer interface{ describe(e *Event) }

// loggerKey is the key in a context of the logger of a call.
type loggerKey struct{}

// loggerFrom returns the logger of the call that ctx belongs to, or slog.Default.
func loggerFrom(ctx context.Context) *slog.Logger {
	if logger, ok := ctx.Value(loggerKey{}).(*slog.Logger); ok {
		return logger
	}
	return logguard.Default()
}

// observation is work that is counted, observed, or both.
type observation struct {
	counts   *operationCounts // nil: do not count
	observer Observer         // nil: do not observe
	ctx      context.Context  // the context that Begin returned
	event    *Event           // nil without observer
	start    time.Time
	returned bool // the work did not panic
}

// beginWork begins work. With nil counts it is not counted. Call end after the work.
func beginWork(counts *operationCounts) observation {
	if counts != nil {
		counts.running.Add(1)
	}
	return observation{counts: counts, start: time.Now()}
}

// observe calls Begin of the observer, which is not nil. It returns the context for the
// work.
func (o *observation) observe(ctx context.Context, observer Observer, e Event) context.Context {
	e.Start = o.start
	ctx = observer.Begin(ctx, &e)
	o.observer, o.event, o.ctx = observer, &e, ctx // not after a panic, which has no context to end with
	return ctx
}

// end counts the work, and calls End of the observer. err points to the error of the
// work.
func (o *observation) end(err *error) {
	took := time.Since(o.start)
	outcome := *err
	if !o.returned {
		outcome = errPanicked
	}
	if o.counts != nil {
		o.counts.add(took, outcome)
	}
	if o.observer != nil {
		o.event.Duration, o.event.Err = took, outcome
		o.observer.End(o.ctx, o.event)
	}
}

// OperationStats has the statistics of an operation since the program started.
type OperationStats struct {
	// Name is the operation's name. For a relation it is the name of its parent's
	// type and its field: "Note.author". A relation is called once for all values
	// of an output.
	Name string
	// Calls is the number of calls that have ended, and Running the number of those that
	// have not.
	Calls, Running int64
	// Failed is the number of calls that ended in an error, by its code.
	Failed map[Code]int64
	// Time is how long the calls took in all.
	Time time.Duration
	// Latency is the number of calls by how long they took, in 20 buckets:
	// Latency[i] took less than LatencyBound(i), and at least LatencyBound(i-1).
	Latency [latencyBuckets]int64
}

const latencyBuckets = 20

// LatencyBound returns the upper bound of a bucket of OperationStats.Latency. It is 64
// µs for bucket 0, and doubles with each bucket. The bound of the last bucket, 19, is
// the largest duration.
func LatencyBound(bucket int) time.Duration {
	if bucket >= latencyBuckets-1 {
		return 1<<63 - 1
	}
	return 64 * time.Microsecond << bucket
}

// operationCounts counts without locks.
type operationCounts struct {
	calls, running, nanoseconds atomic.Int64
	failed                      [codeCount]atomic.Int64
	latency                     [latencyBuckets]atomic.Int64
}

// add counts work that has ended.
func (s *operationCounts) add(took time.Duration, err error) {
	s.running.Add(-1)
	s.calls.Add(1)
	s.nanoseconds.Add(int64(took))
	s.latency[min(bits.Len64(uint64(took/(64*time.Microsecond))), latencyBuckets-1)].Add(1)
	if err != nil {
		s.failed[CodeOf(err)].Add(1)
	}
}

func (s *operationCounts) read(name string) OperationStats {
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
