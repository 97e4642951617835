package backend

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// TimeLimit returns middleware that gives a handler the time d: its context
// ends then, so that everything which waits with that context stops waiting. A
// handler that returns because of it answers 504, through [WriteError] or by
// writing nothing.
//
// It also moves the connection's deadlines, where the server would cut the
// request earlier or not at all: a request body must have arrived a second
// after d, a response must be gone 30 seconds after d. So slow bodies and slow
// readers are cut, and a route that is given more time has it.
//
// The innermost TimeLimit counts, so that a route can have more time than the
// stack allows, or less; unless other middleware between the two has shortened
// the context, which stays in force. Event streams, long polls and WebSockets
// need a long limit, not none: every wait ends.
//
//	r.Handle("GET /events", backend.TimeLimit(time.Hour)(events))
//
// Handlers run on the goroutine of the request, unlike with
// [http.TimeoutHandler]: one that ignores its context runs on, and its answer is
// sent when it is done. A limit of 0 or less panics.
func TimeLimit(d time.Duration) Middleware {
	must("TimeLimit", checkTime("time limit", d))
	return layer(func(x *exchange, w http.ResponseWriter, r *http.Request, next http.Handler) {
		ctx, cancel := x.limit(r.Context(), d)
		defer cancel()
		outer, outside := x.limited, x.unlimited
		x.limited = ctx
		if outside == nil {
			x.unlimited = r.Context()
		}
		defer func() { x.limited, x.unlimited = outer, outside }()
		serveWithin(d, w, r.WithContext(ctx), next)
	})
}

func checkTime(what string, d time.Duration) error {
	if d <= 0 {
		return fmt.Errorf("%s %v is not positive", what, d)
	}
	return nil
}

// limit returns ctx with the limit d in place of an outer TimeLimit's, or on top
// of whatever else limits it.
func (x *exchange) limit(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	if x.limited == nil || ctx.Done() != x.limited.Done() {
		return context.WithTimeout(ctx, d)
	}
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), d)
	stop := context.AfterFunc(x.unlimited, cancel)
	return limited, func() { stop(); cancel() }
}

const (
	bodyGrace   = time.Second      // so that the context ends first and says why
	answerGrace = 30 * time.Second // for an answer written at the last moment
)

// serveWithin runs a handler whose context ends after d.
func serveWithin(d time.Duration, w http.ResponseWriter, r *http.Request, next http.Handler) {
	moveDeadlines(d, w, r)
	next.ServeHTTP(w, r)
	x := exchangeFrom(r.Context())
	if x.status == 0 && !x.began() && errors.Is(r.Context().Err(), context.DeadlineExceeded) {
		WriteError(w, r, context.DeadlineExceeded)
	}
}

// moveDeadlines fits the connection's deadlines to the limit. A server sets its
// own before the handler runs; only those that do not fit are moved. Errors are
// those of connections without deadlines.
func moveDeadlines(d time.Duration, w http.ResponseWriter, r *http.Request) {
	server, _ := r.Context().Value(http.ServerContextKey).(*http.Server)
	if server == nil {
		return
	}
	if r.Body != nil && r.Body != http.NoBody {
		http.NewResponseController(w).SetReadDeadline(time.Now().Add(d + bodyGrace))
	}
	if server.WriteTimeout < d+answerGrace {
		http.NewResponseController(w).SetWriteDeadline(time.Now().Add(d + answerGrace))
	}
}

// lazyTimeout is context.WithTimeout for a handler that may never look: the
// timer and the channel, eight allocations, are made when somebody first waits.
// It lives in the exchange and is set up before anybody has seen the context.
type lazyTimeout struct {
	by     *stackTimeout // who set it up, nil if nobody
	parent context.Context
	at     time.Time

	mu     sync.Mutex
	ctx    context.Context // nil until somebody waits
	cancel context.CancelFunc
	ended  bool
}

func (t *lazyTimeout) Deadline() (time.Time, bool) {
	if earlier, ok := t.parent.Deadline(); ok && earlier.Before(t.at) {
		return earlier, true
	}
	return t.at, true
}

func (t *lazyTimeout) Done() <-chan struct{} { return t.made().Done() }

func (t *lazyTimeout) Err() error {
	if err := t.parent.Err(); err != nil && t.idle() {
		return err
	}
	if t.idle() && time.Now().Before(t.at) {
		return nil
	}
	return t.made().Err()
}

func (t *lazyTimeout) Value(key any) any {
	if t.idle() {
		return t.parent.Value(key)
	}
	return t.made().Value(key)
}

// idle reports whether nobody has waited and the time is not over.
func (t *lazyTimeout) idle() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.ctx == nil && !t.ended
}

// made returns the real context.
func (t *lazyTimeout) made() context.Context {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ctx == nil {
		t.ctx, t.cancel = context.WithDeadline(t.parent, t.at)
		if t.ended {
			t.cancel()
		}
	}
	return t.ctx
}

// end is the cancel function of the context.
func (t *lazyTimeout) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ended = true
	if t.cancel != nil {
		t.cancel()
	}
}
