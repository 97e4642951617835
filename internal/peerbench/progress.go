package main

// How long a run takes, so that a person knows when to come back.

import (
	"fmt"
	"io"
	"time"
)

// progress counts the results that have come.
type progress struct {
	out         io.Writer
	begin       time.Time
	done, total int
	after       time.Duration // what comes after the results
}

// estimate returns about how long one result takes on a machine with nothing else to do:
// four blocks for each pair, of which a slower peer's are longer, and starting and
// warming up.
func (s settings) estimate() time.Duration {
	return time.Duration(float64(s.pairs)*4*1.4*float64(s.block)) + 5*s.block + time.Second/2
}

// extrasTime returns about how long the rows of other figures take.
func (o options) extrasTime() (total time.Duration) {
	for _, e := range extras {
		if !chosen(o.only, e.name) {
			continue
		}
		each := time.Second
		if e.name == "overload" {
			each = 30 * time.Second
		}
		if e.name == "overload" && o.quick {
			each = 5 * time.Second // a third of the rounds, of less than half of the contestants
		}
		total += time.Duration(len(o.contestants())) * each
	}
	return total
}

// time returns about how long so many results and the rest take.
func (o options) time(results int) time.Duration {
	return time.Duration(results)*o.estimate() + o.extrasTime()
}

// newProgress says how long everything takes.
func newProgress(out io.Writer, total int, o options) *progress {
	p := &progress{out: out, begin: time.Now(), total: total, after: o.extrasTime()}
	fmt.Fprintf(out, "%d results in about %s\n", total, minutes(o.time(total)))
	return p
}

// next says how many results there are with the one that comes now, and how long the
// rest takes if it goes on like this.
func (p *progress) next() {
	p.done++
	left := time.Since(p.begin)/time.Duration(p.done)*time.Duration(p.total-p.done) + p.after
	fmt.Fprintf(p.out, "%3d/%d %-8s", p.done, p.total, minutes(left))
}

// minutes writes a time as people say it.
func minutes(d time.Duration) string {
	if d < 90*time.Second {
		return fmt.Sprintf("%.0f s", d.Seconds())
	}
	return fmt.Sprintf("%.0f min", d.Minutes())
}
