package backend

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/seed-215b9b7c/backend/internal/lazyctx"
	"github.com/seed-215b9b7c/backend/internal/validation"
)

// This file is the one way that every call takes, whatever door it came through:
// doors decode and encode, and whatever a call must not get around is here.

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

// doorCall is one call as a door hands it over.
type doorCall struct {
	op      *registered
	request *http.Request // nil for calls from inside the program
	side    doorSide
	// mode is the transaction's; usually the operation's own.
	mode TxMode
	key  string // the Idempotency-Key, if the door has such a thing
}

// doorSide is what a door does within a call.
type doorSide interface {
	// decode fills a *In from the request. It runs only for callers who may
	// call.
	decode(in any) error
	// before runs in the transaction before the function.
	before(ctx context.Context) error
	// encode writes a *Out, in the transaction after the function, so that what
	// cannot be written was not done either.
	encode(ctx context.Context, out any) error
}

// callResult is what became of a call.
type callResult struct {
	out      any // a *Out
	caller   Caller
	replayed bool // it is the answer of an earlier call
}

// call is the one way of every call.
func (l *Logic) call(ctx context.Context, c *doorCall) (result callResult, err error) {
	timing := c.op.stats.begin()
	defer timing.end(&err)
	of := newCallContext(ctx, l, c.op, c.request)
	defer of.End()
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
	if ctx.caller, err = l.authenticate(&ctx.Context, r); err != nil {
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

// perform runs the function with what the door does around it.
func (c *doorCall) perform(ctx context.Context, in any) (out any, err error) {
	if err := c.side.before(ctx); err != nil {
		return nil, err
	}
	if out, err = c.op.run(ctx, in); err != nil {
		return out, err
	}
	return out, c.side.encode(ctx, out)
}

// insideCall is the side of a call from inside the program.
type insideCall[In any] struct{ in In }

func (c *insideCall[In]) decode(in any) error {
	*in.(*In) = c.in
	return nil
}

func (*insideCall[In]) before(context.Context) error { return nil }

func (*insideCall[In]) encode(context.Context, any) error { return nil }

// callContext is the context of a call: its time limit, its caller, and which
// call it is, in one allocation.
type callContext struct {
	lazyctx.Context
	caller  Caller
	logic   *Logic
	op      *registered
	request *http.Request // nil for calls from inside the program
	denied  bool          // and that was logged
}

type callKey struct{}

// newCallContext returns the context of a call of op, by a request or nil, whose
// caller is not known yet. It must be ended.
func newCallContext(ctx context.Context, l *Logic, op *registered, r *http.Request) *callContext {
	c := &callContext{logic: l, op: op, request: r}
	c.Begin(ctx, time.Now().Add(op.options.timeout))
	return c
}

// client returns the address of who asks, which is the peer's where no middleware
// has looked at the request.
func (c *callContext) client() netip.Addr {
	if c.request != nil && exchangeFrom(c) == nil {
		return peerAddr(c.request.RemoteAddr)
	}
	return ClientIP(c)
}

// Value finds the caller and the call. Until somebody has authenticated, the
// caller is asked of parent only.
func (c *callContext) Value(key any) any {
	switch key.(type) {
	case callerKey:
		return &c.caller
	case callKey:
		return c
	}
	return c.Context.Value(key)
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
