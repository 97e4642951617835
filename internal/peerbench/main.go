// Command peerbench does the same work with this package and with its peers, in
// one process and without a network, and prints how they compare:
//
//	go run . [-pairs 20] [-time 30ms]
//
// Each peer is measured in pairs with this package, in the order A B B A, so
// that a machine that gets slower meanwhile is unfair to nobody. What is compared
// is the time of the CPU, that of the garbage collector included. The ratio is
// the median of the pairs' ratios, this package over the peer, with a bootstrap
// 95 % interval; below 1 this package is faster. Contestants that do not answer as
// they should are not measured.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"slices"
	"syscall"
	"time"
)

func main() {
	pairs := flag.Int("pairs", 20, "pairs of measurements for each peer")
	length := flag.Duration("time", 30*time.Millisecond, "about how long one measurement takes")
	flag.Parse()
	runtime.GOMAXPROCS(1)
	for _, request := range requests {
		fmt.Printf("%s\n%-14s %9s %9s %9s   %s\n", request.name, "", "CPU µs", "allocs", "bytes", "backend's CPU time over it")
		own := newRunner(contestants[0], request, *length)
		if own.wrong != nil {
			fmt.Fprintln(os.Stderr, own.wrong)
			os.Exit(1)
		}
		for range *pairs {
			own.measure()
		}
		own.report("")
		for _, peer := range contestants[1:] {
			other := newRunner(peer, request, *length)
			if other.wrong != nil {
				fmt.Printf("%-14s invalid: %v\n", peer.name, other.wrong)
				continue
			}
			ratios := make([]float64, *pairs)
			for i := range ratios {
				a := own.measure()
				b := other.measure() + other.measure()
				a += own.measure()
				ratios[i] = a / b
			}
			low, high := interval(ratios)
			other.report(fmt.Sprintf("%.2f (%.2f to %.2f)", median(ratios), low, high))
		}
		fmt.Println()
	}
}

// runner sends one request to one contestant, again and again.
type runner struct {
	contestant
	handler http.Handler
	request *http.Request
	body    *bytes.Reader
	answer  sink
	wrong   error
	times   int // how many requests one measurement is
	spent   []float64
}

func newRunner(c contestant, r request, length time.Duration) *runner {
	run := &runner{contestant: c, handler: c.make(), answer: sink{http.Header{}}}
	run.request, run.body = r.make()
	if run.wrong = check(c, r); run.wrong != nil {
		return run
	}
	run.times = 1000
	run.measure() // warms up
	run.times = max(1, int(length.Seconds()*1e6/run.measure()))
	run.spent = nil
	run.measure()
	return run
}

func (run *runner) send() {
	_, _ = run.body.Seek(0, io.SeekStart)
	run.request.Body = io.NopCloser(run.body)
	clear(run.answer.head)
	run.handler.ServeHTTP(run.answer, run.request)
}

// measure returns the CPU time of one request in µs.
func (run *runner) measure() float64 {
	runtime.GC() // the garbage of the other
	before := cpuTime()
	for range run.times {
		run.send()
	}
	µs := float64(cpuTime()-before) / float64(time.Microsecond) / float64(run.times)
	run.spent = append(run.spent, µs)
	return µs
}

func (run *runner) report(comparison string) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range run.times {
		run.send()
	}
	runtime.ReadMemStats(&after)
	n := float64(run.times)
	fmt.Printf("%-14s %9.2f %9.1f %9.0f   %s\n", run.name, median(run.spent), float64(after.Mallocs-before.Mallocs)/n, float64(after.TotalAlloc-before.TotalAlloc)/n, comparison)
}

// check returns an error unless the contestant answers as it should.
func check(c contestant, r request) error {
	w := httptest.NewRecorder()
	request, _ := r.make()
	c.make().ServeHTTP(w, request)
	body := string(bytes.TrimSpace(w.Body.Bytes()))
	if w.Code != r.status || r.answer != "" && body != r.answer {
		return fmt.Errorf("%d %s", w.Code, body)
	}
	return nil
}

// sink is a response that is thrown away.
type sink struct{ head http.Header }

func (s sink) Header() http.Header         { return s.head }
func (s sink) WriteHeader(int)             {}
func (s sink) Write(p []byte) (int, error) { return len(p), nil }

// cpuTime returns what the process has used.
func cpuTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// interval returns the bootstrap 95 % interval of the median.
func interval(values []float64) (low, high float64) {
	medians := make([]float64, 2000)
	sample := make([]float64, len(values))
	for i := range medians {
		for k := range sample {
			sample[k] = values[rand.IntN(len(values))]
		}
		medians[i] = median(sample)
	}
	slices.Sort(medians)
	return medians[len(medians)/40], medians[len(medians)-1-len(medians)/40]
}
