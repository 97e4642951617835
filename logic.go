package backend

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/seed-215b9b7c/backend/internal/admission"
	"github.com/seed-215b9b7c/backend/internal/english"
	"github.com/seed-215b9b7c/backend/internal/gcra"
	"github.com/seed-215b9b7c/backend/internal/jsonout"
	"github.com/seed-215b9b7c/backend/internal/plan"
	"github.com/seed-215b9b7c/backend/internal/replay"
	"github.com/seed-215b9b7c/backend/internal/validation"
)

// This file is the registry of operations. call.go has the steps of a call.

// Logic is the application's logic: its operations, and the steps of every call. Doors
// such as [Logic.REST] serve it.
//
// Every call has the same steps, whatever door it comes through:
//
//	authenticate → rate limit → access → decode → validate → Allow → idempotency → transaction{ function → encode } → after commit
//
// A Logic is safe for concurrent use once all operations were added.
type Logic struct {
	db     *DB
	auth   Authenticator
	config LogicConfig
	inputs *admission.Memory
	disk   *admission.Memory // for the files of forms

	schemes         []SecurityScheme // that the Authenticator names
	missing, denied []string         // challenges: for a call that needs a caller, and after a bearer token that is not valid

	observed bool // there is an Observer of calls or of statements

	mu        sync.Mutex
	sealed    bool          // a door was made
	ops       []*registered // queries and mutations
	byName    map[string]*registered
	relations []*related

	secret secret

	keysMu    sync.Mutex
	keysInUse map[string]bool // the ids of idempotency keys of calls that run
}

// LogicConfig configures a [Logic]. The zero value is valid.
type LogicConfig struct {
	// Logger gets the records of denials (see [Access]) and of wrong credentials (see
	// [Authenticator]), and of errors that do not fail a call. Defaults to the logger of
	// the request's [AccessLog], and without one to [slog.Default].
	Logger *slog.Logger
	// Observer is told of calls and loads of relations. Defaults to none.
	Observer Observer
	// InputMemory bounds the memory in bytes that the inputs of all REST requests, and of
	// the calls of a [CustomDoor], take together: their bodies and what is decoded from
	// them. The first 16 KiB of each are free. A request that there is no memory for is
	// [Unavailable]. What a CustomDoor reads before a call does not count. Requests of one
	// client address have at most three quarters. Defaults to 256 MiB, or an eighth of
	// the memory limit of the Go runtime (GOMEMLIMIT) if that is less.
	InputMemory int64
	// UploadSpace bounds the room in bytes that the files of all forms take together in the
	// directory for temporary files (see [os.TempDir]); files up to 32 KiB are held in memory. A
	// request that there is no room for is [Unavailable]. Requests of one client address have
	// at most three quarters. Defaults to 1 GiB.
	UploadSpace int64
}

// NewLogic returns a Logic without operations. Operations have their transactions in
// db. With a nil db, all operations run without transactions, and adding one with [Tx]
// or [Idempotent] panics. auth identifies callers; see
// [SecurityDescriber]. With a nil auth every caller is anonymous.
func NewLogic(db *DB, auth Authenticator, config LogicConfig) *Logic {
	if config.InputMemory < 0 {
		panic("backend: NewLogic: LogicConfig.InputMemory is negative; leave it out for the default")
	}
	if config.UploadSpace < 0 {
		panic("backend: NewLogic: LogicConfig.UploadSpace is negative; leave it out for the default")
	}
	if config.Logger != nil {
		config.Logger = guarded(config.Logger)
	}
	observed := config.Observer != nil || db != nil && db.config.Observer != nil
	schemes := schemesOf(auth)
	return &Logic{
		db: db, auth: auth, config: config, inputs: admission.NewMemory(config.InputMemory), disk: admission.NewMemory(cmp.Or(config.UploadSpace, 1<<30)), observed: observed,
		schemes: schemes, missing: challenges(schemes, ""), denied: challenges(schemes, invalidToken),
		byName: map[string]*registered{}, keysInUse: map[string]bool{},
	}
}

// registered is an operation in a Logic, compiled for its calls.
type registered struct {
	*Operation
	validator *validation.Validator
	limiter   *gcra.Limiter // nil: no limit
	inTx      bool
	refers    bool                  // the input has pointers, slices or maps, which copies share
	stored    func() *replay.Format // the format of outputs stored under idempotency keys
	counts    operationCounts
}

// related is a relation in a Logic, with the counts of its loads.
type related struct {
	*RelationField
	counts operationCounts
}

// Add adds operations and relations. It panics if any of them has mistakes, with all
// mistakes in one message. It also panics after a door was made.
func (l *Logic) Add(definitions ...Definition) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sealed {
		panic("backend: Logic.Add after a door was made: add all operations first")
	}
	var wrong []string
	for _, d := range definitions {
		var err error
		switch d := d.(type) {
		case *Operation:
			err = l.addOperation(d)
		case *RelationField:
			err = l.addRelation(d)
		default:
			err = errors.New("an operation is nil")
		}
		if err != nil {
			wrong = append(wrong, err.Error())
		}
	}
	if len(wrong) > 0 {
		panic("backend: " + strings.Join(wrong, "\n"))
	}
}

// addOperation adds one operation, or returns an error with all its mistakes.
func (l *Logic) addOperation(o *Operation) error {
	if o == nil {
		return errors.New("an operation is nil")
	}
	r := &registered{Operation: o}
	r.stored = sync.OnceValue(func() *replay.Format { return l.storedFormat(r) }) // at the first call, when all relations were added
	wrong := slices.Clone(o.wrong)
	if other := l.byName[o.name]; other != nil {
		wrong = append(wrong, fmt.Errorf("its name is taken by the %s registered at %s", other.kind, other.place))
	}
	if err := r.compile(l.db); err != nil {
		wrong = append(wrong, err)
	}
	if err := o.report(o.name, wrong); err != nil {
		return err
	}
	l.byName[o.name] = r
	l.ops = append(l.ops, r)
	return nil
}

// addRelation adds one relation, or returns an error with all its mistakes.
func (l *Logic) addRelation(r *RelationField) error {
	if r == nil {
		return errors.New("a relation is nil")
	}
	wrong := slices.Clone(r.wrong)
	for _, other := range l.relations {
		if other.name == r.name && other.parent == r.parent {
			wrong = append(wrong, fmt.Errorf("its name is taken by the %s registered at %s", other.kind, other.place))
		}
	}
	if err := r.report(r.title(), wrong); err != nil {
		return err
	}
	l.relations = append(l.relations, &related{RelationField: r})
	return nil
}

// compile prepares the calls of the operation, so that they need not inspect types.
func (r *registered) compile(db *DB) (err error) {
	if !r.mistyped { // otherwise inPlan is incomplete
		r.validator, err = validation.Compile(r.inPlan)
		r.refers = r.inPlan.Refers()
	}
	if limit := r.settings.rate; limit.requests > 0 {
		r.limiter = gcra.New(limit.period/time.Duration(limit.requests), limit.requests)
	}
	r.inTx = r.settings.inTx && db != nil
	if db == nil && (r.settings.wantsTx || r.settings.key != keyIgnored) {
		err = errors.Join(err, errors.New("it needs a transaction, but NewLogic was given no database"))
	}
	return err
}

// seal returns the operations and relations that a door offers. Nothing can be added to
// the Logic afterwards.
func (l *Logic) seal(door Door) (offered []*registered, relations []*related) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sealed = true
	for _, op := range l.ops {
		if op.settings.doors.has(door) {
			offered = append(offered, op)
		}
	}
	for _, r := range l.relations {
		if r.settings.doors.has(door) {
			relations = append(relations, r)
		}
	}
	return offered, relations
}

// checkParents returns an error for each relation whose parent type no operation
// returns: that is usually a mistake.
func (l *Logic) checkParents() []error {
	returned := map[reflect.Type]bool{}
	note := func(t *plan.Type) { returned[t.Go] = true }
	for _, op := range l.ops {
		op.outPlan.Walk(note)
	}
	for _, r := range l.relations {
		r.childPlan.Walk(note)
	}
	var wrong []error
	for _, r := range l.relations {
		if !returned[r.parent] {
			wrong = append(wrong, fmt.Errorf("relation %q, registered at %s: no operation returns %s", r.title(), r.place, english.A(r.parent)))
		}
	}
	return wrong
}

// Stats returns the statistics of each operation since the program started, in the
// order in which they were added, relations last. The numbers of one operation may be
// from slightly different moments. The result is a copy.
func (l *Logic) Stats() []OperationStats {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []OperationStats
	for _, op := range l.ops {
		all = append(all, op.counts.read(op.name))
	}
	for _, r := range l.relations {
		all = append(all, r.counts.read(r.title()))
	}
	return all
}

// storedFormat returns the format in which outputs of an operation are stored. All
// relations must have been added.
func (l *Logic) storedFormat(op *registered) *replay.Format {
	var related []reflect.Type
	for _, r := range l.relations {
		related = append(related, r.parent)
	}
	return replay.New(op.outPlan, jsonout.CompileExact(op.outPlan), related)
}
