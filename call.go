package backend

import (
	"context"
	"net/http"
	"net/netip"
	"time"
)

// This file is what one call of an operation is made of. The way that it takes is
// in logic.go.

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

// callResult is what became of a call.
type callResult struct {
	out      any // a *Out
	caller   Caller
	replayed bool // it is the answer of an earlier call
}

// insideCall is the side of a call from inside the program.
type insideCall[In any] struct{ in In }

func (c *insideCall[In]) decode(in any) error {
	*in.(*In) = c.in
	return nil
}

func (*insideCall[In]) before(context.Context) error      { return nil }
func (*insideCall[In]) encode(context.Context, any) error { return nil }

// callContext is the context of a call: its time limit, its caller, and which
// call it is, in one allocation.
type callContext struct {
	lazyTimeout
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
	c.parent, c.at = ctx, time.Now().Add(op.options.timeout)
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
	return c.lazyTimeout.Value(key)
}
