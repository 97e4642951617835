package backend

import (
	"context"
	"net/http"
	"sync"
	"time"
)

// This file ends responses that have no end of their own when the server stops.

// UntilStop returns middleware for responses that have no end of their own: event
// streams, long polls, WebSockets, and a reverse proxy in front of any of these. When
// [Serve] begins to stop, the context of the request ends with the cause
// [ErrStopping], so that the handler returns:
//
//	r.Handle("GET /events", backend.UntilStop()(backend.TimeLimit(time.Hour)(events)))
//
// Without UntilStop, Serve waits ShutdownTimeout for such a response and cuts it off.
// Writing to a client that does not read fails a second after the context has ended,
// unless the request asks for another protocol with Upgrade.
//
// A request that arrives while the server stops already ends when DrainDelay is over:
// clients that connect again at once may reach the same server.
//
// If the handler has written nothing when it returns because of the stop, the response
// is 503 with Retry-After. UntilStop does nothing in a server that Serve does not run.
func UntilStop() Middleware {
	return layer(func(x *exchange, w http.ResponseWriter, r *http.Request, next nextStep) {
		stops, _ := r.Context().Value(stopsKey{}).(*stops)
		if stops == nil {
			next.serve(x, w, r)
			return
		}
		stop := stops.next()
		ctx, end := untilStop(r.Context(), stop)
		defer end()
		if r.Header["Upgrade"] == nil {
			defer writeUntil(ctx, w)()
		}
		if outside := x.time.limited; outside != nil && outside.Done() == r.Context().Done() {
			unlimited, end := untilStop(x.time.unlimited, stop)
			defer end()
			outer := x.time.unlimited
			x.time.limited, x.time.unlimited = ctx, unlimited // a TimeLimit inside may still be longer
			defer func() { x.time.limited, x.time.unlimited = outside, outer }()
		}
		next.serve(x, w, r.WithContext(ctx))
		if context.Cause(ctx) == ErrStopping && x.response.Status() == 0 && !x.response.Begun() {
			WriteError(w, r, ErrStopping)
		}
	})
}

// untilStop returns ctx until stop ends.
func untilStop(ctx, stop context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	detach := context.AfterFunc(stop, func() { cancel(ErrStopping) })
	return ctx, func() { detach(); cancel(nil) }
}

// lastWords is how long a handler can write after the server has begun to stop.
const lastWords = time.Second

// writeUntil sets a deadline for writing when ctx ends because the server stops. The
// function that it returns must be called before the handler's goroutine ends: w is
// not valid afterwards.
func writeUntil(ctx context.Context, w http.ResponseWriter) (end func()) {
	var mu sync.Mutex
	ended := false
	detach := context.AfterFunc(ctx, func() {
		mu.Lock()
		defer mu.Unlock()
		if !ended && context.Cause(ctx) == ErrStopping {
			http.NewResponseController(w).SetWriteDeadline(time.Now().Add(lastWords))
		}
	})
	return func() {
		detach()
		mu.Lock()
		ended = true
		mu.Unlock()
	}
}

type stopsKey struct{}

// stops are contexts that end when a server stops: begun at the beginning, and later
// when DrainDelay is over.
type stops struct {
	begun, later       context.Context
	endBegun, endLater context.CancelFunc
}

func newStops() *stops {
	s := new(stops)
	s.begun, s.endBegun = context.WithCancel(context.Background())
	s.later, s.endLater = context.WithCancel(context.Background())
	return s
}

// next returns the context that ends next.
func (s *stops) next() context.Context {
	if s.begun.Err() != nil {
		return s.later
	}
	return s.begun
}
