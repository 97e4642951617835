package backend

import (
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-215b9b7c/backend/internal/gcra"
	"github.com/seed-215b9b7c/backend/internal/jsonout"
	"github.com/seed-215b9b7c/backend/internal/validation"
)

// This file is the registry of operations, and counts their calls. The way that
// a call takes is in call.go.

// Logic is the application's logic: its operations, and what is done around
// them. Doors such as [Logic.REST] serve it.
//
// Every call takes the same way, by every door:
//
//	authenticate → rate limit → access → decode → validate → Allow → idempotency → transaction{ function } → after commit → encode
//
// It is safe for concurrent use once all operations were added.
type Logic struct {
	db   *DB
	auth Authenticator

	mu        sync.Mutex
	ops       []*registered // queries and mutations
	byName    map[string]*registered
	relations []*registered
	rest      *restDoor // nil until the door is made

	secret secret

	flights  sync.Mutex
	inFlight map[string]bool // idempotency keys of calls that run
}

// NewLogic returns a Logic without operations. db is where the transactions of
// operations are; with nil, operations run outside of any unless they ask for
// one, which panics then. auth says who calls; with nil nobody is ever signed
// in.
func NewLogic(db *DB, auth Authenticator) *Logic {
	return &Logic{db: db, auth: auth, byName: map[string]*registered{}, inFlight: map[string]bool{}}
}

// registered is an operation with what this Logic has compiled for it.
type registered struct {
	*Operation
	validator *validation.Validator
	encode    jsonout.Encoder
	limiter   *gcra.Limiter // nil: no limit
	inTx      bool
	unseen    func() unseen // of answers that are kept for a key
	stats     operationStats
}

// Add adds operations. It panics if something makes no sense, with everything
// that is wrong with any of them. All operations are added before the first
// door is made.
func (l *Logic) Add(operations ...*Operation) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.rest != nil {
		panic("backend: Logic.Add after a door was made: add all operations first")
	}
	var wrong []string
	for _, o := range operations {
		if o == nil {
			wrong = append(wrong, "an operation is nil")
			continue
		}
		if err := l.add(o); err != nil {
			wrong = append(wrong, err.Error())
		}
	}
	if len(wrong) > 0 {
		panic("backend: " + strings.Join(wrong, "\n"))
	}
}

// add adds one operation, or says what is wrong with it.
func (l *Logic) add(o *Operation) error {
	r := &registered{Operation: o}
	r.unseen = sync.OnceValue(func() unseen { return l.unseenIn(r) }) // once all relations are known
	wrong := slices.Clone(o.wrong)
	if other := l.sameName(o); other != nil {
		wrong = append(wrong, fmt.Errorf("its name is taken by the %s registered at %s", other.kind, other.place))
	}
	if err := r.compile(l.db); err != nil {
		wrong = append(wrong, err)
	}
	if err := o.report(wrong); err != nil {
		return err
	}
	if o.kind == isRelation {
		l.relations = append(l.relations, r)
		return nil
	}
	l.byName[o.name] = r
	l.ops = append(l.ops, r)
	return nil
}

// sameName returns what already has the name of an operation, or the field of a
// relation, or nil.
func (l *Logic) sameName(o *Operation) *registered {
	if o.kind != isRelation {
		return l.byName[o.name]
	}
	for _, r := range l.relations {
		if r.name == o.name && r.in == o.in {
			return r
		}
	}
	return nil
}

// compile makes what calls need, so that they need not look at types.
func (r *registered) compile(db *DB) (err error) {
	if !r.mistyped { // else its parts cannot be relied on
		r.encode = jsonout.Compile(r.outPlan)
	}
	if r.kind == isRelation {
		return nil
	}
	if !r.mistyped {
		r.validator, err = validation.Compile(r.inPlan)
	}
	if limit := r.options.limit; limit.requests > 0 {
		r.limiter = gcra.New(limit.period/time.Duration(limit.requests), limit.requests)
	}
	r.inTx = !r.options.noTx && db != nil
	if db == nil && (r.options.txSet && !r.options.noTx || r.options.key != keyIgnored) {
		err = errors.Join(err, errors.New("it needs a transaction, and NewLogic was given no database"))
	}
	return err
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
