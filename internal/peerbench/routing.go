package main

// Routing, within this process: over sockets it would not be seen. The sets of routes
// are those that httprouter's author collected; a pass is one request for each route.

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/go-chi/chi/v5"
	"github.com/julienschmidt/httprouter"
	"github.com/labstack/echo/v5"

	"github.com/seed-215b9b7c/backend"
)

// oneRoute is a line of a set: a method, and a path such as /users/:id.
type oneRoute struct{ method, path string }

var colonName = regexp.MustCompile(`:(\w+)`)

// braces returns the path as ServeMux, chi and this package write it.
func (r oneRoute) braces() string { return colonName.ReplaceAllString(r.path, "{$1}") }

// pattern returns the route for ServeMux and this package.
func (r oneRoute) pattern() string {
	pattern := r.method + " " + r.braces()
	if strings.HasSuffix(pattern, "/") {
		pattern += "{$}"
	}
	return pattern
}

// readRoutes reads a set of routes, which the tests of the router have too.
func readRoutes(name string) (routes []oneRoute, err error) {
	text, err := os.ReadFile("../route/testdata/routes-" + name + ".txt")
	if err != nil {
		return nil, fmt.Errorf("run it in internal/peerbench: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		method, path, _ := strings.Cut(strings.TrimSpace(line), " ")
		routes = append(routes, oneRoute{method, path})
	}
	return routes, nil
}

func nothing(http.ResponseWriter, *http.Request) {}

// routers make a handler for a set of routes.
var routers = []struct {
	name string
	make func(routes []oneRoute) http.Handler
}{
	{"backend", func(routes []oneRoute) http.Handler {
		r := backend.NewRouter()
		for _, one := range routes {
			r.HandleFunc(one.pattern(), nothing)
		}
		return r
	}},
	{"floor", func(routes []oneRoute) http.Handler { // ServeMux
		r := http.NewServeMux()
		for _, one := range routes {
			r.HandleFunc(one.pattern(), nothing)
		}
		return r
	}},
	{"gin", func(routes []oneRoute) http.Handler {
		gin.SetMode(gin.ReleaseMode)
		r := gin.New()
		r.HandleMethodNotAllowed = true
		for _, one := range routes {
			r.Handle(one.method, one.path, func(*gin.Context) {})
		}
		return r
	}},
	{"echo", func(routes []oneRoute) http.Handler {
		r := echo.New()
		for _, one := range routes {
			r.Add(one.method, one.path, func(*echo.Context) error { return nil })
		}
		return r
	}},
	{"chi", func(routes []oneRoute) http.Handler {
		r := chi.NewRouter()
		for _, one := range routes {
			r.MethodFunc(one.method, one.braces(), nothing)
		}
		return r
	}},
	{"httprouter", func(routes []oneRoute) http.Handler {
		r := httprouter.New()
		for _, one := range routes {
			r.Handle(one.method, one.path, func(http.ResponseWriter, *http.Request, httprouter.Params) {})
		}
		return r
	}},
}

// routingCase is a set of routes with the requests of a pass.
type routingCase struct {
	name     string
	routes   []oneRoute
	requests func(one oneRoute) (method, path string) // no path: none for this route
	status   int
}

func routingCases() (cases []routingCase, err error) {
	same := func(one oneRoute) (string, string) { return one.method, one.path }
	for _, set := range []string{"github", "static", "parse", "gplus"} {
		routes, err := readRoutes(set)
		if err != nil {
			return nil, err
		}
		cases = append(cases, routingCase{set, routes, same, http.StatusOK})
	}
	github := cases[0].routes
	return append(cases,
		routingCase{"github-404", github, missing, http.StatusNotFound},
		routingCase{"github-405", github, func(one oneRoute) (string, string) { return "TRACE", one.path }, http.StatusMethodNotAllowed}), nil
}

// missing returns a path that goes wrong at its end, if that of the route is not a
// parameter, which echo lets match any number of segments.
func missing(one oneRoute) (method, path string) {
	if last := one.path[strings.LastIndex(one.path, "/")+1:]; !strings.Contains(one.path, ":") || strings.HasPrefix(last, ":") {
		return "", ""
	}
	return one.method, one.path + "-none"
}

// routing measures all routers in turn, with each set.
func routing(ctx context.Context, _ *databases, o options, report reportFunc) error {
	cases, err := routingCases()
	if err != nil {
		return err
	}
	for _, one := range cases {
		var runs []*routingRun
		for _, router := range routers {
			run, err := newRoutingRun(one, router.make(one.routes))
			if err != nil {
				report(Figure{Case: one.name, Contestant: router.name}, err)
				continue
			}
			run.name = router.name
			runs = append(runs, run)
		}
		for range max(o.pairs, 10) {
			for _, run := range runs {
				run.measure()
			}
		}
		for _, run := range runs {
			report(Figure{Case: one.name, Contestant: run.name, Value: median(run.spent), Allocs: run.allocations()}, nil)
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil
}

// routingRun sends passes of requests to one router.
type routingRun struct {
	name     string
	handler  http.Handler
	requests []*http.Request
	request  http.Request // a copy of one, so that each is new to the router
	answer   sink
	spent    []float64 // µs of a pass
}

func newRoutingRun(c routingCase, handler http.Handler) (*routingRun, error) {
	run := &routingRun{handler: handler, answer: sink{head: http.Header{}}}
	for _, one := range c.routes {
		method, path := c.requests(one)
		if path == "" {
			continue
		}
		request, err := http.NewRequest(method, path, nil)
		if err != nil {
			return nil, err
		}
		request.RequestURI = path
		run.requests = append(run.requests, request)
		run.serve(request)
		if run.answer.status != c.status {
			return nil, fmt.Errorf("%s %s: status %d instead of %d", method, path, run.answer.status, c.status)
		}
	}
	return run, nil
}

func (run *routingRun) pass() {
	for _, request := range run.requests {
		run.serve(request)
	}
}

// serve serves a copy of a request, in which no router has stored parameters yet.
func (run *routingRun) serve(request *http.Request) {
	clear(run.answer.head)
	run.answer.status = http.StatusOK
	run.request = *request
	run.handler.ServeHTTP(&run.answer, &run.request)
}

// measure measures passes of about 5 ms.
func (run *routingRun) measure() {
	n := 0
	before := cpuTime()
	for begin := time.Now(); time.Since(begin) < 5*time.Millisecond; n++ {
		run.pass()
	}
	run.spent = append(run.spent, float64(cpuTime()-before)/float64(time.Microsecond)/float64(n))
}

// allocations returns how many a pass makes.
func (run *routingRun) allocations() float64 {
	const passes = 20
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range passes {
		run.pass()
	}
	runtime.ReadMemStats(&after)
	return float64(after.Mallocs-before.Mallocs) / passes
}

// sink is a response that is thrown away.
type sink struct {
	head   http.Header
	status int
}

func (s *sink) Header() http.Header         { return s.head }
func (s *sink) WriteHeader(status int)      { s.status = status }
func (s *sink) Write(p []byte) (int, error) { return len(p), nil }

// cpuTime returns what this process has used.
func cpuTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
