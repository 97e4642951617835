package backend

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/seed-215b9b7c/backend/internal/gcra"
	"github.com/seed-215b9b7c/backend/internal/jsonout"
	"github.com/seed-215b9b7c/backend/internal/validation"
)

// This file is the registry of operations, and the one way that every call
// takes, whatever door it came through. Doors decode and encode; whatever a call
// must not get around is here.

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

// call is the one way of every call.
func (l *Logic) call(ctx context.Context, c *doorCall) (result callResult, err error) {
	timing := c.op.stats.begin()
	defer timing.end(&err)
	of := newCallContext(ctx, l, c.op, c.request)
	defer of.end()
	in, err := l.admit(of, c.request, c.side)
	if err == nil {
		result.caller = of.caller
		if result.out, result.replayed, err = l.run(of, c, in); err != nil && isDenial(err) {
			logDenial(of, c.op, of.caller, err)
		}
	}
	timing.returned = true
	return result, err
}

// admit does everything before the function: it returns the input of a call
// that may be made, and puts its caller into its context.
func (l *Logic) admit(ctx *callContext, r *http.Request, from interface{ decode(in any) error }) (in any, err error) {
	// What the application's code sees from here on has the caller, and the call:
	// a cursor that Allow or Validate reads must be signed, too.
	if ctx.caller, err = l.authenticate(&ctx.lazyTimeout, r); err != nil {
		return nil, err
	}
	op := ctx.op
	if err := op.limitRate(ctx, ctx.caller); err != nil {
		return nil, err
	}
	if err := op.access.check(ctx, ctx.caller); err != nil {
		return nil, logDenial(ctx, op, ctx.caller, err)
	}
	in = op.newIn()
	if err := op.decode(ctx, in, from); err != nil {
		return nil, err
	}
	if err := op.validate(ctx, in); err != nil {
		return nil, err
	}
	for _, allow := range op.options.allow {
		if err := allow(ctx, in); err != nil {
			return nil, logDenial(ctx, op, ctx.caller, err)
		}
	}
	return in, nil
}

// authenticate asks the authenticator. What it cannot find out is an error,
// never nobody. A call from inside the program has its caller already.
func (l *Logic) authenticate(ctx context.Context, r *http.Request) (Caller, error) {
	switch {
	case r == nil:
		return CallerFrom(ctx), nil
	case l.auth == nil:
		return Caller{}, nil
	}
	return l.auth.Authenticate(ctx, r)
}

// Authenticate returns a context with the caller of a request, as the
// Authenticator has it: for handlers beside the doors, such as pages, that use
// [Call]. With an error the caller is nobody.
func (l *Logic) Authenticate(r *http.Request) (context.Context, error) {
	caller, err := l.authenticate(r.Context(), r)
	if err != nil {
		caller = Caller{}
	}
	return WithCaller(r.Context(), caller), err
}

// Call calls an operation from inside the program, such as from a page or a job,
// the same way as doors do: the access rule for the caller in ctx
// ([Logic.Authenticate], [WithCaller]), rate limit, validation, transaction. It
// calls any operation, with or without a [Route], and needs no key for
// [Idempotent]. Within [DB.Tx] or another operation the call is part of that
// transaction. In and Out must be those that the operation was registered with:
//
//	note, err := backend.Call[Note](ctx, logic, "createNote", CreateNote{Title: title})
//
// Calling what is not there, or with other types, is an [Internal] error.
func Call[Out, In any](ctx context.Context, l *Logic, name string, in In) (out Out, err error) {
	op := l.byName[name]
	if op == nil {
		return out, fmt.Errorf("call %s: there is no such operation", name)
	}
	if inType, outType := reflect.TypeFor[In](), reflect.TypeFor[Out](); inType != op.in || outType != op.out {
		return out, fmt.Errorf("call %s: it takes a %s and returns a %s, not %s and %s", name, op.in, op.out, inType, outType)
	}
	result, err := l.call(ctx, &doorCall{op: op, mode: op.options.tx, side: &insideCall[In]{in}})
	if err != nil {
		return out, err
	}
	return *result.out.(*Out), nil
}

func (r *registered) limitRate(ctx *callContext, caller Caller) error {
	if r.limiter == nil {
		return nil
	}
	key := []byte("account " + caller.ID)
	if !caller.SignedIn() {
		address := rateKey(ctx.client())
		key = append([]byte("address "), address[:]...)
	}
	if wait, ok := r.limiter.Allow(key, time.Now()); !ok {
		return &Error{Code: RateLimited, RetryAfter: wait}
	}
	return nil
}

// logDenial logs that a rule refused a caller, under the name that OWASP's logging
// vocabulary has for it, and returns err. Of one call it logs no more than one.
func logDenial(ctx context.Context, op *registered, caller Caller, err error) error {
	c, _ := ctx.Value(callKey{}).(*callContext)
	if c != nil && c.denied {
		return err
	}
	switch CodeOf(err) {
	case Unauthenticated, Forbidden, NotFound:
		if c != nil {
			c.denied = true
		}
		loggerFrom(ctx).LogAttrs(ctx, slog.LevelWarn, "authz_fail",
			slog.String("operation", op.title()), slog.String("account", caller.ID), slog.String("request_id", RequestIDFrom(ctx)))
	}
	return err
}

// isDenial reports whether an error of a function says that its caller may not do
// that. Whether something that was not found is somebody else's only [Owned]
// knows.
func isDenial(err error) bool { return CodeOf(err) == Forbidden || errors.Is(err, errNotOwned) }

// loggerFrom returns the logger of the access log that the request has passed.
func loggerFrom(ctx context.Context) *slog.Logger {
	if x := exchangeFrom(ctx); x != nil && x.logger != nil {
		return x.logger
	}
	return slog.Default()
}

// decode fills the input and checks it by its tags. What is wrong with it is said
// at once: of fields that could not be read the reason, of the others the rules
// that they break.
func (r *registered) decode(ctx context.Context, in any, from interface{ decode(in any) error }) error {
	var unread []FieldError
	if err := from.decode(in); err != nil {
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

// followsFrom reports whether a rule may be broken only because a field could not
// be read: its own, one around or within it, or another that it looks at.
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

// invalid returns an error of a Validate method. One that is none of ours is
// Internal, whatever it was meant to say: nobody knows what is in its text. The
// log tells its author what to do.
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

// run calls the function, in its transaction if it has one, or finds the answer
// that it gave before.
func (l *Logic) run(ctx context.Context, c *doorCall, in any) (out any, replayed bool, err error) {
	if c.request != nil { // calls from inside the program need no keys
		if err := c.op.checkKey(c.key); err != nil {
			return nil, false, err
		}
	}
	switch {
	case !c.op.inTx:
		out, err = c.perform(ctx, in)
		return out, false, err
	case c.op.options.key != keyIgnored && c.key != "":
		return l.runOnce(ctx, c, in)
	}
	out, err = l.runInTx(ctx, c, in)
	return out, false, err
}

func (l *Logic) runInTx(ctx context.Context, c *doorCall, in any) (out any, err error) {
	err = l.db.Tx(ctx, func(ctx context.Context) (err error) {
		out, err = c.perform(ctx, in)
		return err
	}, c.mode)
	return out, err
}

// runOnce is runInTx for a call with a key, which may have been made before.
func (l *Logic) runOnce(ctx context.Context, c *doorCall, in any) (out any, replayed bool, err error) {
	keyed, err := l.keyedCall(ctx, c.op, c.key, in)
	if err != nil {
		return nil, false, err
	}
	leave, err := l.enter(keyed.id)
	if err != nil {
		return nil, false, err
	}
	defer leave()
	call := func(ctx context.Context) (err error) {
		out, err = c.perform(ctx, in)
		return err
	}
	err = l.db.Tx(ctx, func(ctx context.Context) error { return keyed.once(ctx, call, &out) }, c.mode)
	replayed = err == nil && !keyed.fresh
	if replayed {
		err = c.side.encode(ctx, out)
	}
	return out, replayed, err
}
