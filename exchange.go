package backend

import (
	"context"
	"net/http"
)

// exchange is what the package knows about one request and its response. The
// first middleware that needs it puts it into the request's context, once;
// everything after shares it, so that a full stack copies the request once and
// not once per middleware. It belongs to one request and is never reused.
//
// It is written by the goroutine that serves the request only.
type exchange struct {
	id      string // request id, empty without RequestID
	pattern string // pattern of the route that matched, set by Router
	err     error  // what WriteError answered with, for the access log
}

type exchangeKey struct{}

// exchangeFrom returns the exchange in ctx, or nil.
func exchangeFrom(ctx context.Context) *exchange {
	x, _ := ctx.Value(exchangeKey{}).(*exchange)
	return x
}

// withExchange returns the request's exchange, and the request that carries it
// if it carried none before.
func withExchange(r *http.Request) (*exchange, *http.Request) {
	if x := exchangeFrom(r.Context()); x != nil {
		return x, r
	}
	x := &exchange{}
	return x, r.WithContext(context.WithValue(r.Context(), exchangeKey{}, x))
}
