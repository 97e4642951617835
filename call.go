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

	"github.com/seed-215b9b7c/backend/internal/admission"
	"github.com/seed-215b9b7c/backend/internal/english"
	"github.com/seed-215b9b7c/backend/internal/lazyctx"
	"github.com/seed-215b9b7c/backend/internal/logguard"
	"github.com/seed-215b9b7c/backend/internal/validation"
)

// This file has the steps of every call, whatever door it comes through. Doors only
// decode and encode. The steps that no call may skip are here.

// visit is one request or message at a door, or one [Call] from inside the program. It
// may call several operations, and is authenticated once. It has the caller, the
// client's address, the door, the logger, and one budget of relations for all its
// outputs. It is safe for concurrent use.
type visit struct {
	logic  *Logic
	door   Door
	client *netip.Addr  // the client's address, for the rate limit of anonymous callers; nil without middleware
	peer   string       // the peer's address, without middleware
	logger *slog.Logger // nil: slog.Default

	mu            sync.Mutex    // guards the fields below
	request       *http.Request // for the Authenticator; nil once it has answered
	identifying   bool          // the Authenticator is being called
	identifyEnded chan struct{} // closed when it returns; nil if no other call waits for it
	identified    bool          // the Authenticator has answered, or is not needed
	caller        Caller
	bearer        bool  // the request had a bearer token
	failed        error // the error of authentication
	related       int   // the number of parents for which relations were loaded
	began         bool  // first is in use

	first callContext // of the first call: most visits have one
}

// visit makes v, which is new, the visit of a request, which is not authenticated yet.
func (l *Logic) visit(v *visit, door Door, r *http.Request) {
	client, logger := clientAndLogger(r.Context())
	v.logic, v.door, v.request, v.client, v.logger = l, door, r, client, cmp.Or(l.config.Logger, logger)
	if client == nil {
		v.peer = r.RemoteAddr
	}
}

// visitAs makes v, which is new, the visit of a caller who needs no authentication.
func (l *Logic) visitAs(ctx context.Context, v *visit, door Door, caller Caller) {
	client, logger := clientAndLogger(ctx)
	v.logic, v.door, v.caller, v.identified, v.client, v.logger = l, door, caller, true, client, cmp.Or(l.config.Logger, logger)
}

// context returns the context of a call.
func (v *visit) context(op *registered) *callContext {
	c := &v.first
	v.mu.Lock()
	if v.began {
		c = new(callContext)
	}
	v.began = true
	v.mu.Unlock()
	c.visit, c.op = v, op
	return c
}

// beginMemory returns the memory for inputs of the visit.
func (v *visit) beginMemory() admission.Portion {
	return v.logic.inputs.Begin(clientKey(v.address()))
}

// address returns the client's address, and without middleware the peer's.
func (v *visit) address() netip.Addr {
	if v.client == nil {
		return peerAddr(v.peer)
	}
	return *v.client
}

// identify authenticates the visit, at its first call. If that fails, every call of the
// visit fails with the same error. An error after the end of ctx is one of this call
// only: the next call authenticates again. A call that waits for another one to
// authenticate waits no longer than its own context.
func (v *visit) identify(ctx context.Context) error {
	v.mu.Lock()
	for v.identifying {
		if v.identifyEnded == nil {
			v.identifyEnded = make(chan struct{})
		}
		ended := v.identifyEnded
		v.mu.Unlock()
		select {
		case <-ended:
		case <-ctx.Done():
			return ctx.Err()
		}
		v.mu.Lock()
	}
	if v.identified {
		defer v.mu.Unlock()
		return v.failed
	}
	v.identifying = true
	v.mu.Unlock()

	caller, err := Caller{}, errUnknownCaller // stays if the Authenticator panics
	defer func() { v.endIdentify(ctx, caller, err) }()
	caller, err = v.logic.authenticate(ctx, v.request)
	return err
}

// endIdentify keeps what the Authenticator has answered, unless it was cut off by the
// end of ctx.
func (v *visit) endIdentify(ctx context.Context, caller Caller, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.identifying = false; v.identifyEnded != nil {
		close(v.identifyEnded)
		v.identifyEnded = nil
	}
	if err != nil && err != errUnknownCaller && ctx.Err() != nil {
		return
	}
	if err == nil {
		v.caller, v.bearer = caller, sentBearer(v.request)
	}
	v.identified, v.failed, v.request = true, err, nil
}

// errUnknownCaller is the error of a visit whose authenticator panicked.
var errUnknownCaller = errors.New("the authenticator did not return")

// authenticate returns the caller of a request. It logs wrong credentials, under the
// term of OWASP's logging vocabulary.
func (l *Logic) authenticate(ctx context.Context, r *http.Request) (Caller, error) {
	if l.auth == nil {
		return Caller{}, nil
	}
	if len(r.Header["Authorization"]) > 1 { // two identities
		return Caller{}, checkAmbiguous(r.Header)
	}
	caller, err := l.auth.Authenticate(ctx, r)
	if err != nil && CodeOf(err) == Unauthenticated {
		_, logger := clientAndLogger(r.Context())
		orDefault(cmp.Or(l.config.Logger, logger)).LogAttrs(ctx, slog.LevelWarn, "authn_login_fail",
			append(requestAttrs(r), slog.Any("error", err), slog.String("request_id", RequestIDFrom(ctx)))...)
		if len(l.schemes) > 0 && sentBearer(r) {
			err = &challenged{err, Unauthenticated, l.denied}
		}
		err = l.challenged(err)
	}
	return caller, err
}

// challenged returns an error with the challenges of the Authenticator, if it is one that
// needs challenges and has none.
func (l *Logic) challenged(err error) error {
	if err == nil || len(l.schemes) == 0 || CodeOf(err) != Unauthenticated {
		return err
	}
	if _, already := errors.AsType[*challenged](err); already {
		return err
	}
	return &challenged{err, Unauthenticated, l.missing}
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

// maxRelated bounds the number of parents for which one visit loads relations. Lists
// within lists multiply that number.
const maxRelated = 10_000

// spend takes a number of parents from the visit's budget of relations.
func (v *visit) spend(parents int) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.related += parents; v.related > maxRelated {
		return &Error{Code: Invalid, Message: fmt.Sprintf("The answer would have relations of more than %d values; ask for fewer.", maxRelated)}
	}
	return nil
}

func (v *visit) log() *slog.Logger { return orDefault(v.logger) }

// orDefault returns logger, or slog.Default if it is nil.
func orDefault(logger *slog.Logger) *slog.Logger {
	if logger == nil {
		return logguard.Default()
	}
	return logger
}

// transport is what a door does within one call.
type transport interface {
	// decode decodes into a *In. It is called after the access rule has allowed the
	// call. If the transaction runs again, it is called again, with a new *In.
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
	outside  bool   // begin no transaction: ctx is in one already
	key      string // the idempotency key, or ""
	needsKey bool   // an operation with RequireIdempotencyKey refuses a call without key
	again    bool   // the transaction runs again: do not count the call, nor limit its rate
}

// callResult is the result of a call that has succeeded.
type callResult struct {
	out      any  // a *Out
	replayed bool // out is the stored output of an earlier call
	said     *saying
}

// call calls an operation. All doors, and Call, use it.
func (v *visit) call(ctx context.Context, op *registered, t transport, how callConfig) (result callResult, err error) {
	counts := &op.counts
	if how.again {
		counts = nil
	}
	work := beginWork(counts)
	defer work.end(&err)
	c := v.context(op)
	if observer := v.logic.config.Observer; observer != nil {
		e := Event{Kind: CallEvent}
		v.describe(ctx, &e, op.name)
		ctx = work.observe(ctx, observer, e)
		defer func() { work.event.Caller = v.callerIfKnown() }()
	}
	c.Begin(ctx, time.Now().Add(op.settings.timeout), clockOf(ctx))
	defer c.End()
	in, err := v.admit(c, t, how)
	if err == nil {
		if result, err = v.run(c, t, how, in); err != nil && isDenial(err) {
			c.logDenial(op.name, err)
		}
		err = op.namesFields(c, err)
	}
	result.said = c.reply.end()
	work.returned = true
	return result, v.logic.challenged(err)
}

// callerIfKnown returns the caller, or the zero Caller before the visit was
// authenticated.
func (v *visit) callerIfKnown() Caller {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.caller
}

// describe sets the fields of an event that say which call it belongs to.
func (v *visit) describe(ctx context.Context, e *Event, operation string) {
	e.Operation, e.Door, e.Caller, e.RequestID, e.TraceID = operation, v.door, v.callerIfKnown(), RequestIDFrom(ctx), traceIDFrom(ctx)
}

// admit runs the steps before the transaction. It returns the input.
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
		return nil, v.refused(c, c.logDenial(op.name, err))
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

// refused returns the refusal of the access rule as that of an anonymous caller, or with the
// challenge of a bearer token that lacks scopes, if only these are missing.
func (v *visit) refused(c *callContext, err error) error {
	switch code := CodeOf(err); {
	case code == Unauthenticated && !v.caller.SignedIn():
		return ofAnonymous(err)
	case code != Forbidden || !v.bearer:
		return err
	}
	scopes := lackedScopes(c, c.op.access, v.caller)
	if scopes == nil {
		return err
	}
	return &challenged{err, Forbidden, scopeChallenges(v.logic.schemes, scopes)}
}

// limitRate counts the call, and returns an error if the caller is over the limit of
// the operation.
func (v *visit) limitRate(op *registered) error {
	if op.limiter == nil {
		return nil
	}
	key := []byte("account " + v.caller.ID)
	if !v.caller.SignedIn() {
		address := clientKey(v.address())
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

// decode decodes the input and checks the rules of its tags. Its error lists all wrong
// fields: those that could not be decoded, and those that break a rule.
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

// maxFieldErrors is the largest number of fields that an error lists.
const maxFieldErrors = 50

// followsFrom reports whether a rule may be broken only because some field could not be
// decoded: the field of the rule, a field that contains it or is within it, or a field
// that the rule compares it with.
func followsFrom(unread []FieldError, broken validation.FieldError) bool {
	relates := validation.Relates(broken.Rule)
	within := func(inner, outer string) bool { return strings.HasPrefix(inner+"/", outer+"/") }
	return slices.ContainsFunc(unread, func(field FieldError) bool {
		return field.Rule != "unknown" && (relates || within(field.Pointer, broken.Pointer) || within(broken.Pointer, field.Pointer))
	})
}

// validate calls the method Validate of the input, if it has one.
func (r *registered) validate(ctx context.Context, in any) error {
	if own, ok := in.(interface{ Validate(context.Context) error }); ok {
		return r.invalid(own.Validate(ctx))
	}
	return nil
}

// invalid returns the error for the result of a Validate method. An error that is not an
// *Error stays Internal, because its text may be secret; the error then says in the log
// what to return instead.
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
	return fmt.Errorf("validate %s: to show this error to the client, return a *backend.Error, such as backend.InvalidField(…): %w", r.name, err)
}

// joinFields returns one error with the fields of all, or nil unless every error is
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

// run runs the function, in a transaction if the operation has one. If an output is
// stored under the key, it returns that output instead.
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

// attempts runs a function once for each attempt of its transaction.
type attempts struct {
	op        *registered
	transport transport
	in        any // the input of the next attempt; nil: decode it first
	out       any // the output of the last attempt
}

func (a *attempts) run(ctx context.Context) (err error) {
	in := a.in
	a.in = nil // the function may change what the input refers to, so decode it again
	if in == nil {
		if in, err = a.op.input(ctx, a.transport); err != nil {
			return err
		}
	}
	a.out, err = a.op.perform(ctx, a.transport, in)
	return err
}

// perform runs the function, and the steps of the door before and after it.
func (r *registered) perform(ctx context.Context, t transport, in any) (out any, err error) {
	if err := t.before(ctx); err != nil {
		return nil, err
	}
	reply := replyFrom(ctx)
	reply.begin()
	if out, err = r.run(ctx, in); err != nil {
		return out, err
	}
	if err := t.encode(ctx, out); err != nil {
		return out, err
	}
	return out, reply.check(r.settings.statuses)
}

// load returns the children of parents, a *[]Parent, as a []Child. ctx is the context of
// the call whose output has the parents.
func (r *related) load(ctx context.Context, parents reflect.Value) (children reflect.Value, err error) {
	work := beginWork(&r.counts)
	defer work.end(&err)
	c, _ := ctx.Value(callKey{}).(*callContext)
	if c.visit.logic.observed {
		relation := relationDescriber{c, r}
		if observer := c.visit.logic.config.Observer; observer != nil {
			e := Event{Kind: RelationEvent}
			relation.describe(&e)
			ctx = work.observe(ctx, observer, e)
		}
		ctx = context.WithValue(ctx, describerKey{}, describer(relation))
	}
	children, err = r.loadIn(c, ctx, parents)
	work.returned = true
	return children, err
}

// relationDescriber describes events within the load of a relation.
type relationDescriber struct {
	call     *callContext
	relation *related
}

func (d relationDescriber) describe(e *Event) {
	d.call.visit.describe(d.call, e, d.relation.title())
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
		return children, fmt.Errorf("relation %s returned %d for %s: it must return one child for each, in their order", r.title(), children.Len(), english.Count(parents.Elem().Len(), "parent"))
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
// other types, the error is [Internal]. Call sets no defaults of the tag default: in is
// the whole input.
func Call[Out, In any](ctx context.Context, l *Logic, name string, in In) (out Out, err error) {
	op := l.byName[name]
	if op == nil {
		return out, fmt.Errorf("call %s: there is no such operation", name)
	}
	if inType, outType := reflect.TypeFor[In](), reflect.TypeFor[Out](); inType != op.in || outType != op.out {
		return out, fmt.Errorf("call %s: it takes %s and returns %s, not %s and %s", name, english.A(op.in), english.A(op.out), inType, outType)
	}
	c := &insideCall[In]{in: in, op: op}
	l.visitAs(ctx, &c.visit, "", CallerFrom(ctx))
	result, err := c.call(ctx, op, c, callConfig{mode: op.settings.tx})
	if err != nil {
		return out, err
	}
	if result.said != nil {
		result.said.addTo(replyFrom(ctx))
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
	if c.op.inTx && c.op.refers { // the function may change what in refers to, and run again
		c.op.inPlan.Clone(reflect.ValueOf(in).Elem(), reflect.ValueOf(&c.in).Elem())
		return nil
	}
	*in.(*In) = c.in
	return nil
}

func (*insideCall[In]) before(context.Context) error      { return nil }
func (*insideCall[In]) encode(context.Context, any) error { return nil }

// callContext is the context of a call. It has the time limit, the visit and the
// operation in one allocation.
type callContext struct {
	lazyctx.Context
	visit  *visit
	op     *registered
	reply  reply
	denied atomic.Bool // a denial was logged, for this call or for a call within it
}

type callKey struct{}

// Value returns the caller, the call, its describer and its signer. Nothing asks it for
// the caller before the visit is authenticated: the Authenticator gets the parent
// context, see [visit.identify].
func (c *callContext) Value(key any) any {
	switch key.(type) {
	case callerKey:
		return &c.visit.caller
	case callKey:
		return c
	case describerKey:
		return describer(c)
	case signerKey:
		return signer(c)
	case loggerKey:
		return c.visit.log()
	case replyKey:
		return &c.reply
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
	return cursorMAC(key, c.op.name, string(c.visit.caller.ID), text), nil
}

// logDenial logs that a rule refused the caller, and returns err. The message is the
// term of OWASP's logging vocabulary, which has none for an anonymous caller who must
// sign in: that is no incident. A call, together with the calls of the same visit within
// it, logs one denial.
func (c *callContext) logDenial(operation string, err error) error {
	if c.denied.Load() {
		return err
	}
	switch code := CodeOf(err); code {
	case Unauthenticated, Forbidden, NotFound:
		for call := c; call != nil && call.visit == c.visit; call, _ = call.Context.Value(callKey{}).(*callContext) {
			call.denied.Store(true)
		}
		level, message := slog.LevelWarn, "authz_fail"
		if code == Unauthenticated && !c.visit.caller.SignedIn() {
			level, message = slog.LevelInfo, "not signed in"
		}
		c.visit.log().LogAttrs(c, level, message,
			slog.String("operation", operation), slog.String("account", string(c.visit.caller.ID)), slog.String("request_id", RequestIDFrom(c)))
	}
	return err
}

// isDenial reports whether the error of a function is a denial: Forbidden, or the error
// of [Owned]. Any other NotFound error may mean that there is no such record.
func isDenial(err error) bool { return CodeOf(err) == Forbidden || errors.Is(err, errNotOwned) }
