package backend

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-215b9b7c/backend/internal/logguard"
)

// HealthCheck checks something that the program needs, such as its database.
type HealthCheck struct {
	// Name is shown to everyone who can reach the handler.
	Name string
	// Check returns nil if all is well. It should return when its context ends. If
	// it does not, it has failed, and is not called again before it returns. A panic
	// is a failure, too.
	Check func(ctx context.Context) error
	// Timeout bounds the check. Defaults to 2 seconds.
	Timeout time.Duration
}

// Health tells load balancers and supervisors about the program: [Health.Live]
// whether it has to be restarted, [Health.Ready] whether it can serve requests.
//
//	health := backend.NewHealth(backend.HealthCheck{Name: "database", Check: db.Ping})
//	r := backend.NewRouter()
//	r.Use(health.Middleware("/healthz", "/readyz"), backend.Stack(backend.StackConfig{}))
//	backend.Serve(ctx, r, backend.ServerConfig{Health: health})
//
// [Health.Middleware] is outside of the [Stack], so that an overloaded program still answers
// it.
//
// The responses are JSON such as {"status":"failed","checks":{"database":"failed"}},
// with Cache-Control: no-store. Once the server begins to stop, its Health is never
// ready again. A Health is safe for concurrent use.
type Health struct {
	checks   []*healthCheck
	draining atomic.Bool

	mu     sync.Mutex
	latest *outcome
}

// outcome is the result of the checks. The request that makes it runs the checks;
// requests that come meanwhile wait for it.
type outcome struct {
	done  chan struct{} // closed when the rest is set
	state readiness
	at    time.Time
}

// readiness is the body of the responses.
type readiness struct {
	Status string            `json:"status"`
	Checks map[string]string `json:"checks,omitempty"`
}

// healthMemory is how long an outcome is used for further requests, so that many
// requests cost no more than one a second.
const healthMemory = time.Second

// NewHealth returns a Health with these checks. Without checks it is ready until
// its server stops. NewHealth panics if a check has no Name or no Check, if two have
// the same name, or if a Timeout is negative.
func NewHealth(checks ...HealthCheck) *Health {
	h := &Health{}
	names := map[string]bool{}
	for i, check := range checks {
		switch {
		case check.Name == "" || check.Check == nil:
			panic(fmt.Sprintf("backend: health check %d (%q) needs a Name and a Check", i, check.Name))
		case names[check.Name]:
			panic(fmt.Sprintf("backend: there are two health checks named %q; give each a name of its own", check.Name))
		case check.Timeout < 0:
			panic(fmt.Sprintf("backend: the timeout %v of health check %q is negative; leave it out for the default", check.Timeout, check.Name))
		}
		names[check.Name] = true
		check.Timeout = cmp.Or(check.Timeout, 2*time.Second)
		h.checks = append(h.checks, &healthCheck{HealthCheck: check})
	}
	return h
}

// Live returns a handler that always responds with 200. It runs no checks, since
// restarting a program does not bring its database back.
func (h *Health) Live() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		writeReadiness(w, http.StatusOK, readiness{Status: "ok"})
	})
}

// Ready returns a handler that responds with 200 if all checks pass, and with 503 if
// one fails or the server is stopping. The body names the checks and which of them
// failed. The errors are only logged, by [slog.Default]. Checks run at most once a
// second; requests in between get the same outcome.
func (h *Health) Ready() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		state := h.state(r.Context())
		status := http.StatusOK
		if state.Status != "ok" {
			status = http.StatusServiceUnavailable
		}
		writeReadiness(w, status, state)
	})
}

// Middleware returns middleware that serves [Health.Live] at one path and [Health.Ready] at
// another one, by GET and HEAD, and passes all other requests on. An empty path is not
// served. Put it before [Stack]: the requests then pass no limit, and are not logged.
//
// Middleware panics if a path does not begin with a slash or has a wildcard, or if both are
// the same.
func (h *Health) Middleware(live, ready string) Middleware {
	endpoints, paths := NewRouter(), map[string]bool{}
	for path, handler := range map[string]http.Handler{live: h.Live(), ready: h.Ready()} {
		if path == "" {
			continue
		}
		if path[0] != '/' || strings.ContainsAny(path, "{}%?#") {
			panic(fmt.Sprintf("backend: Health.Middleware: %q is not a path such as /healthz", path))
		}
		paths[path] = true
		endpoints.Handle("GET "+path, handler)
	}
	if live == ready {
		panic(fmt.Sprintf("backend: Health.Middleware: one path %q for both", live))
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if paths[r.URL.Path] {
				endpoints.ServeHTTP(w, r)
			} else {
				next.ServeHTTP(w, r)
			}
		})
	}
}

func (h *Health) state(ctx context.Context) readiness {
	var state readiness
	if !h.draining.Load() {
		state = h.checked(ctx)
	}
	if h.draining.Load() { // again: the checks take time
		return readiness{Status: "stopping"}
	}
	return state
}

// checked returns the outcome of the checks, which may be a second old.
func (h *Health) checked(ctx context.Context) readiness {
	h.mu.Lock()
	current := h.latest
	mine := current == nil || current.isOld()
	if mine {
		current = &outcome{done: make(chan struct{})}
		h.latest = current
	}
	h.mu.Unlock()
	if mine {
		// The client of this request may go away; others wait for the outcome.
		current.state = h.run(context.WithoutCancel(ctx))
		current.at = time.Now()
		close(current.done)
	}
	<-current.done // no longer than the longest timeout
	return current.state
}

func (o *outcome) isOld() bool {
	select {
	case <-o.done:
		return time.Since(o.at) >= healthMemory
	default:
		return false
	}
}

// run runs all checks side by side and waits for them.
func (h *Health) run(ctx context.Context) readiness {
	errs := make([]error, len(h.checks))
	var wait sync.WaitGroup
	for i, check := range h.checks {
		wait.Go(func() { errs[i] = check.run(ctx) })
	}
	wait.Wait()
	state := readiness{Status: "ok", Checks: map[string]string{}}
	for i, check := range h.checks {
		state.Checks[check.Name] = "ok"
		if err := errs[i]; err != nil {
			state.Status, state.Checks[check.Name] = "failed", "failed"
			attrs := []slog.Attr{slog.String("check", check.Name), slog.Any("error", err)}
			logguard.Default().LogAttrs(ctx, slog.LevelWarn, "health check failed", appendStack(attrs, err)...)
		}
	}
	return state
}

// healthCheck is a check that may be running.
type healthCheck struct {
	HealthCheck
	busy atomic.Bool
}

// run calls the check and waits for it up to its timeout. A check that takes longer
// keeps its goroutine; no second one is started before it ends.
func (c *healthCheck) run(ctx context.Context) error {
	if !c.busy.CompareAndSwap(false, true) {
		return errors.New("the check still runs from the last time")
	}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	done := make(chan error, 1)
	go c.call(ctx, done)
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("the check did not end within %v: %w", c.Timeout, ctx.Err())
	}
}

// call calls the check. It recovers panics, which would end the program on this
// goroutine.
func (c *healthCheck) call(ctx context.Context, done chan<- error) {
	err := errors.New("the check ended its goroutine")
	defer func() {
		if value := recover(); value != nil {
			err = &panicError{value, debug.Stack()}
		}
		c.busy.Store(false)
		done <- err
	}()
	err = c.Check(ctx)
}

func writeReadiness(w http.ResponseWriter, status int, state readiness) {
	body, err := json.Marshal(state)
	if err != nil { // only strings: cannot happen
		status, body = http.StatusInternalServerError, []byte("{}")
	}
	head := w.Header()
	head["Content-Type"] = []string{"application/json"}
	head["Cache-Control"] = noStore
	head["X-Content-Type-Options"] = nosniff
	if head["Content-Security-Policy"] == nil {
		head["Content-Security-Policy"] = closedPolicy
	}
	w.WriteHeader(status)
	w.Write(append(body, '\n'))
}
