package backend

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-215b9b7c/backend/internal/lazyctx"
	"github.com/seed-215b9b7c/backend/internal/validation"
)

// This file calls operations. Every call takes this one way, whatever door it comes
// through: doors decode and encode, and what no call may get around is here.

// visit is one arrival at a door: a request, a message, a job, or a [Call] from
// inside the program. It is authenticated once, however many operations it calls. It
// has the caller, the client's address, the door, the logger, and one budget of
// relations for all its answers. It is safe for concurrent use.
type visit struct {
	logic  *Logic
	door   Door
	client netip.Addr   // who asks, for limits on anonymous callers
	logger *slog.Logger // nil: slog.Default

	mu      sync.Mutex    // guards what follows
	request *http.Request // says who calls, until that is known
	asking  bool          // the authenticator is being asked
	asked   chan struct{} // closed when it has answered; nil if nobody waits for that
	known   bool          // who calls
	caller  Caller
	failed  error // of authentication
	related int   // how many parents the relations of its answers were loaded for
}

// visit begins a visit by a request. Its caller is not known yet.
func (l *Logic) visit(v *visit, door Door, r *http.Request) {
	client, logger, ok := seen(r.Context())
	if !ok {
		client = peerAddr(r.RemoteAddr)
	}
	*v = visit{logic: l, door: door, request: r, client: client, logger: cmp.Or(l.config.Logger, logger)}
}

// visitAs begins a visit whose caller is known.
func (l *Logic) visitAs(ctx context.Context, v *visit, door Door, caller Caller) {
	client, logger, _ := seen(ctx)
	*v = visit{logic: l, door: door, caller: caller, known: true, client: client, logger: cmp.Or(l.config.Logger, logger)}
}

// identify authenticates the visit, once. If that fails, every call of the visit
// fails with the same error. An error after the end of ctx is one of this call only:
// the next call authenticates again. A call that waits for another one to
// authenticate waits no longer than its own context.
func (v *visit) identify(ctx context.Context) error {
	v.mu.Lock()
	for v.asking {
		if v.asked == nil {
			v.asked = make(chan struct{})
		}
		asked := v.asked
		v.mu.Unlock()
		select {
		case <-asked:
		case <-ctx.Done():
			return ctx.Err()
		}
		v.mu.Lock()
	}
	if v.known {
		defer v.mu.Unlock()
		return v.failed
	}
	v.asking = true
	v.mu.Unlock()

	err := errUnknownCaller // unless the authenticator returns
	var caller Caller
	defer func() {
		v.mu.Lock()
		defer v.mu.Unlock()
		if v.asking = false; v.asked != nil {
			close(v.asked)
			v.asked = nil
		}
		if err == nil || ctx.Err() == nil || err == errUnknownCaller {
			v.known, v.caller, v.failed, v.request = true, caller, err, nil
		}
	}()
	found, err := v.logic.authenticate(ctx, v.request)
	if err == nil {
		caller = found
	}
	return err
}

// errUnknownCaller is the error of a visit whose authenticator panicked.
var errUnknownCaller = errors.New("the authenticator did not return")

// authenticate returns the caller of a request.
func (l *Logic) authenticate(ctx context.Context, r *http.Request) (Caller, error) {
	if l.auth == nil {
		return Caller{}, nil
	}
	return l.auth.Authenticate(ctx, r)
}

// Authenticate returns the context of a request with the caller that the
// [Authenticator] returns. It is for handlers outside of doors that use [Call], such as
// pages. If it returns an error, the caller in the context is anonymous.
func (l *Logic) Authenticate(r *http.Request) (context.Context, error) {
	caller, err := l.authenticate(r.Context(), r)
	if err != nil {
		caller = Caller{}
	}
	return WithCaller(r.Context(), caller), err
}

// maxRelated bounds the number of parents for which one visit loads relations. Each
// list within a list multiplies it.
const maxRelated = 10_000

// spend takes parents from the budget of the visit.
func (v *visit) spend(parents int) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.related += parents; v.related > maxRelated {
		return &Error{Code: Invalid, Message: fmt.Sprintf("The answer would have relations of more than %d values; ask for fewer.", maxRelated)}
	}
	return nil
}

func (v *visit) log() *slog.Logger {
	if v.logger == nil {
		return slog.Default()
	}
	return v.logger
}

// transport is what a door does within one call.
type transport interface {
	// decode decodes into a *In. It is called only for callers who may call. If the
	// transaction runs again, it is called again, with a new *In.
	decode(ctx context.Context, in any) error
	// before is called in the transaction, before the function.
	before(ctx context.Context) error
	// encode encodes a *Out. It is called in the transaction, after the function: an
	// output that cannot be encoded undoes the call.
	encode(ctx context.Context, out any) error
}

// callConfig is how an operation is called.
type callConfig struct {
	mode     TxMode // of the transaction; usually the operation's own
	outside  bool   // no transaction of its own: ctx is in one already
	key      string // the idempotency key, or ""
	needsKey bool   // an operation with RequireIdempotencyKey refuses a call without key
	again    bool   // a repetition, because the transaction runs again: not counted, no rate used
}

// callResult is the result of a call that has succeeded.
type callResult struct {
	out      any  // a *Out
	replayed bool // it is the answer of an earlier call
}

// call is the one way of every call.
func (v *visit) call(ctx context.Context, op *registered, t transport, how callConfig) (result callResult, err error) {
	counts := &op.counts
	if how.again {
		counts = nil
	}
	work := beginWork(counts)
	defer work.end(&err)
	c := &callContext{visit: v, op: op}
	if observer := v.logic.config.Observer; observer != nil {
		e := Event{Kind: CallEvent}
		v.describe(ctx, &e, op.name)
		ctx = work.observe(ctx, observer, e)
		defer func() { work.event.Caller = v.callerIfKnown() }()
	}
	c.Begin(ctx, time.Now().Add(op.settings.timeout))
	defer c.End()
	in, err := v.admit(c, t, how)
	if err == nil {
		if result, err = v.run(c, t, how, in); err != nil && isDenial(err) {
			c.logDenial(op.name, err)
		}
	}
	work.returned = true
	return result, err
}

// callerIfKnown returns the caller, or the zero Caller before the visit was
// authenticated.
func (v *visit) callerIfKnown() Caller {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.caller
}

// describe describes an event of the visit.
func (v *visit) describe(ctx context.Context, e *Event, operation string) {
	e.Operation, e.Door, e.Caller, e.RequestID, e.TraceID = operation, v.door, v.callerIfKnown(), RequestIDFrom(ctx), traceIDFrom(ctx)
}

// admit does everything before the transaction. It returns the input of a call
// that may be made.
func (v *visit) admit(c *callContext, t transport, how callConfig) (in any, err error) {
	if err := v.identify(&c.Context); err != nil {
		return nil, err
	}
	// From here on the context has the caller and the call: Allow and Validate may
	// read cursors.
	op := c.op
	if !how.again {
		if err := v.limitRate(op); err != nil {
			return nil, err
		}
	}
	if err := op.access.check(c, v.caller); err != nil {
		return nil, c.logDenial(op.name, err)
	}
	if in, err = op.input(c, t); err != nil {
		return nil, err
	}
	for _, allow := range op.settings.allow {
		if err := allow(c, in); err != nil {
			return nil, c.logDenial(op.name, err)
		}
	}
	return in, nil
}

// limitRate uses up some of the caller's rate.
func (v *visit) limitRate(op *registered) error {
	if op.limiter == nil {
		return nil
	}
	key := []byte("account " + v.caller.ID)
	if !v.caller.SignedIn() {
		address := rateKey(v.client)
		key = append([]byte("address "), address[:]...)
	}
	if wait, ok := op.limiter.Allow(key, time.Now()); !ok {
		return &Error{Code: RateLimited, RetryAfter: wait}
	}
	return nil
}

// input returns a new *In, decoded and validated.
func (r *registered) input(ctx context.Context, t transport) (in any, err error) {
	in = r.newIn()
	if err := r.decode(ctx, in, t); err != nil {
		return nil, err
	}
	return in, r.validate(ctx, in)
}

// decode decodes the input and checks the rules of its tags. Its error has all fields
// that are wrong: those that could not be decoded, and those that break a rule.
func (r *registered) decode(ctx context.Context, in any, t transport) error {
	var unread []FieldError
	if err := t.decode(ctx, in); err != nil {
		e, ok := errors.AsType[*Error](err)
		if !ok || len(e.Fields) == 0 {
			return err
		}
		unread = e.Fields[:min(len(e.Fields), maxFieldErrors)]
	}
	broken := r.validator.Validate(ctx, in)
	if len(unread)+len(broken) == 0 {
		return nil
	}
	wrong := slices.Clone(unread)
	for _, field := range broken {
		if !followsFrom(unread, field) && len(wrong) < maxFieldErrors {
			wrong = append(wrong, FieldError(field))
		}
	}
	return &Error{Code: Invalid, Fields: wrong}
}

// maxFieldErrors is how many fields an error names, at most.
const maxFieldErrors = 50

// followsFrom reports whether a rule may be broken only because a field could not be
// decoded: the field of the rule, a field around or within it, or a field that the
// rule compares it with.
func followsFrom(unread []FieldError, broken validation.FieldError) bool {
	relates := validation.Relates(broken.Rule)
	within := func(inner, outer string) bool { return strings.HasPrefix(inner+"/", outer+"/") }
	return slices.ContainsFunc(unread, func(field FieldError) bool {
		return field.Rule != "unknown" && (relates || within(field.Pointer, broken.Pointer) || within(broken.Pointer, field.Pointer))
	})
}

// validate checks the input by its own method.
func (r *registered) validate(ctx context.Context, in any) error {
	if own, ok := in.(interface{ Validate(context.Context) error }); ok {
		return r.invalid(own.Validate(ctx))
	}
	return nil
}

// invalid returns the error of a Validate method. An error that is no *Error stays
// Internal, because its text may be secret. The log then says what to return instead.
func (r *registered) invalid(err error) error {
	if err == nil {
		return nil
	}
	if all, several := err.(interface{ Unwrap() []error }); several {
		if joined := joinFields(all.Unwrap()); joined != nil {
			return joined
		}
	}
	if _, ours := errors.AsType[*Error](err); ours || CodeOf(err) != Internal {
		return err
	}
	return fmt.Errorf("validate %s: return a *backend.Error, such as backend.InvalidField(…), for what the client is to read: %w", r.name, err)
}

// joinFields returns the error that has the fields of all, or nil unless all are
// about fields.
func joinFields(all []error) *Error {
	joined := &Error{Code: Invalid}
	for _, err := range all {
		e, ok := errors.AsType[*Error](err)
		if !ok || e.Code != Invalid || len(e.Fields) == 0 {
			return nil
		}
		joined.Fields = append(joined.Fields, e.Fields...)
	}
	return joined
}

// run calls the function, in a transaction if the operation has one, or finds the
// answer that is stored under the key.
func (v *visit) run(c *callContext, t transport, how callConfig, in any) (result callResult, err error) {
	if how.needsKey {
		if err := c.op.checkKey(how.key); err != nil {
			return result, err
		}
	}
	if !c.op.inTx || how.outside {
		result.out, err = c.op.perform(c, t, in)
		return result, err
	}
	a := &attempts{op: c.op, transport: t, in: in}
	if c.op.settings.key != keyIgnored && how.key != "" {
		result.replayed, err = v.runOnce(c, how, a)
	} else {
		err = v.logic.db.Tx(c, a.run, how.mode)
	}
	result.out = a.out
	return result, err
}

// attempts runs a function as often as its transaction needs.
type attempts struct {
	op        *registered
	transport transport
	in        any // of the next run; nil: decode it first
	out       any // of the last run
}

func (a *attempts) run(ctx context.Context) (err error) {
	in := a.in
	a.in = nil // the function may change what it refers to
	if in == nil {
		if in, err = a.op.input(ctx, a.transport); err != nil {
			return err
		}
	}
	a.out, err = a.op.perform(ctx, a.transport, in)
	return err
}

// perform runs the function with what the door does around it.
func (r *registered) perform(ctx context.Context, t transport, in any) (out any, err error) {
	if err := t.before(ctx); err != nil {
		return nil, err
	}
	if out, err = r.run(ctx, in); err != nil {
		return out, err
	}
	return out, t.encode(ctx, out)
}

// load returns the children of parents, a *[]Parent, as a []Child. ctx is that of
// the call whose answer has the parents.
func (r *related) load(ctx context.Context, parents reflect.Value) (children reflect.Value, err error) {
	work := beginWork(&r.counts)
	defer work.end(&err)
	c, _ := ctx.Value(callKey{}).(*callContext)
	if c.visit.logic.observed {
		facts := relationFacts{c, r}
		if observer := c.visit.logic.config.Observer; observer != nil {
			e := Event{Kind: RelationEvent}
			facts.describe(&e)
			ctx = work.observe(ctx, observer, e)
		}
		ctx = context.WithValue(ctx, factsKey{}, describer(facts))
	}
	children, err = r.loadIn(c, ctx, parents)
	work.returned = true
	return children, err
}

// relationFacts describes events within the load of a relation.
type relationFacts struct {
	call     *callContext
	relation *related
}

func (f relationFacts) describe(e *Event) {
	f.call.visit.describe(f.call, e, f.relation.title())
}

func (r *related) loadIn(c *callContext, ctx context.Context, parents reflect.Value) (children reflect.Value, err error) {
	in := parents.Interface()
	for _, allow := range r.settings.allow {
		if err := allow(ctx, in); err != nil {
			return children, c.logDenial(r.title(), err)
		}
	}
	if children, err = r.run(ctx, in); err != nil {
		return children, fmt.Errorf("relation %s: %w", r.title(), err)
	}
	if children.Len() != parents.Elem().Len() {
		return children, fmt.Errorf("relation %s returned %d children for %d parents: it must return one for each, in their order", r.title(), children.Len(), parents.Elem().Len())
	}
	return children, nil
}

// Call calls an operation from inside the program, such as from a page or a job. It
// works as a call through a door does: it checks the access rule for the caller in ctx
// (see [Logic.Authenticate] and [WithCaller]), the rate limit and the input, and runs
// the transaction. It can call every operation, with or without a [Route], and needs no
// idempotency key. Within [DB.Tx] or another operation the call is part of that
// transaction. In and Out must be the types that the operation was registered with:
//
//	note, err := backend.Call[Note](ctx, logic, "createNote", CreateNote{Title: title})
//
// An operation that runs in a transaction gets a copy of in and of all that in
// refers to, because it may run again. If there is no such operation, or if it has
// other types, the error is [Internal].
func Call[Out, In any](ctx context.Context, l *Logic, name string, in In) (out Out, err error) {
	op := l.byName[name]
	if op == nil {
		return out, fmt.Errorf("call %s: there is no such operation", name)
	}
	if inType, outType := reflect.TypeFor[In](), reflect.TypeFor[Out](); inType != op.in || outType != op.out {
		return out, fmt.Errorf("call %s: it takes a %s and returns a %s, not %s and %s", name, op.in, op.out, inType, outType)
	}
	c := &insideCall[In]{in: in, op: op}
	l.visitAs(ctx, &c.visit, "", CallerFrom(ctx))
	result, err := c.call(ctx, op, c, callConfig{mode: op.settings.tx})
	if err != nil {
		return out, err
	}
	return *result.out.(*Out), nil
}

// insideCall is a visit from inside the program, and its transport.
type insideCall[In any] struct {
	visit
	in In
	op *registered
}

func (c *insideCall[In]) decode(_ context.Context, in any) error {
	if c.op.inTx && c.op.refers { // it may run again, after the function has changed what in refers to
		c.op.inPlan.Clone(reflect.ValueOf(in).Elem(), reflect.ValueOf(&c.in).Elem())
		return nil
	}
	*in.(*In) = c.in
	return nil
}

func (*insideCall[In]) before(context.Context) error      { return nil }
func (*insideCall[In]) encode(context.Context, any) error { return nil }

// callContext is the context of a call: its time limit, its caller, and which
// call it is, in one allocation.
type callContext struct {
	lazyctx.Context
	visit  *visit
	op     *registered
	denied atomic.Bool // that was logged, here or in a call within
}

type callKey struct{}

// Value finds the caller, the call, and what is said of it. Until the visit was
// authenticated, the caller is asked of the parent only: see [visit.identify].
func (c *callContext) Value(key any) any {
	switch key.(type) {
	case callerKey:
		return &c.visit.caller
	case callKey:
		return c
	case factsKey:
		return describer(c)
	case signerKey:
		return signer(c)
	}
	return c.Context.Value(key)
}

// describe describes events within the call.
func (c *callContext) describe(e *Event) { c.visit.describe(c, e, c.op.name) }

// sign signs a cursor for the operation and the caller.
func (c *callContext) sign(ctx context.Context, text []byte) ([]byte, error) {
	key, err := c.visit.logic.secret.read(ctx, c.visit.logic.db)
	if err != nil {
		return nil, err
	}
	return cursorMAC(key, c.op.name, c.visit.caller.ID, text), nil
}

// logDenial logs that a rule refused the caller, under the name that OWASP's
// logging vocabulary has for it, and returns err. A call logs no more than one,
// with the calls within it that are of the same visit.
func (c *callContext) logDenial(operation string, err error) error {
	if c.denied.Load() {
		return err
	}
	switch CodeOf(err) {
	case Unauthenticated, Forbidden, NotFound:
		for around := c; around != nil && around.visit == c.visit; around, _ = around.Context.Value(callKey{}).(*callContext) {
			around.denied.Store(true)
		}
		c.visit.log().LogAttrs(c, slog.LevelWarn, "authz_fail",
			slog.String("operation", operation), slog.String("account", c.visit.caller.ID), slog.String("request_id", RequestIDFrom(c)))
	}
	return err
}

// isDenial reports whether an error of a function says that its caller may not do
// that. Whether something that was not found is somebody else's only [Owned]
// knows.
func isDenial(err error) bool { return CodeOf(err) == Forbidden || errors.Is(err, errNotOwned) }
