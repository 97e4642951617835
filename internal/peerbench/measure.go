package main

// The measurement: pairs in the order A B B A, of this package and a peer.

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed-215b9b7c/backend/internal/peerbench/contestants"
)

// Result is how this package and a peer compare at some work.
type Result struct {
	Work, Peer string
	Invalid    string    `json:",omitempty"` // why the peer, or this package, is not measured
	Ratio      float64   // CPU time of this package over the peer's, the median of the pairs
	Low, High  float64   // the bootstrap 95 % interval of Ratio
	Pairs      []float64 // the ratio of each pair
	Own, Other Figures
}

// Figures are those of one process.
type Figures struct {
	CPU        float64   // µs per request, the median of the blocks
	Blocks     []float64 // µs per request of each block
	Allocs     float64   // per request
	Bytes      float64   // per request
	Throughput float64   // requests per second, with one processor
	P50, P99   float64   // µs
}

// settings say how long to measure.
type settings struct {
	pairs int
	block time.Duration // about how long one block of requests takes
}

// runner sends blocks of requests to one contestant.
type runner struct {
	*child
	client        *client
	work          work
	blocks        []float64
	times         []time.Duration
	spent         time.Duration
	allocs, bytes uint64
	requests      int
}

// newRunner starts a contestant and checks its answers.
func newRunner(ctx context.Context, d *databases, c contestants.Contestant, w work, slot string) (*runner, error) {
	db, err := d.open(ctx, w.engine(), slot)
	if err != nil {
		return nil, err
	}
	process, err := start(c, w.name, db, d.folder)
	if err != nil {
		return nil, err
	}
	r := &runner{child: process, work: w}
	if err := golden(process.addr, w); err != nil {
		r.stop()
		return nil, fmt.Errorf("%s: %w", c, err)
	}
	if r.client, err = newClient(process.addr); err != nil {
		r.stop()
		return nil, err
	}
	return r, nil
}

func (r *runner) stop() {
	if r.client != nil {
		r.client.close()
	}
	r.child.stop()
}

// warmUp sends requests for some time, and returns how many a block is.
func (r *runner) warmUp(block time.Duration) (int, error) {
	n := 10 * connections
	for begin := time.Now(); ; n *= 2 {
		one := time.Now()
		if _, err := r.client.run(r.work.requests, n, r.work.status); err != nil {
			return 0, err
		}
		if time.Since(begin) > 4*block {
			per := time.Since(one) / time.Duration(n)
			return max(1, int(block/per)/connections) * connections, nil
		}
	}
}

// measure sends a block and returns the CPU time of a request in µs.
func (r *runner) measure(n int) (float64, error) {
	before, err := r.ask("usage")
	if err != nil {
		return 0, err
	}
	begin := time.Now()
	times, err := r.client.run(r.work.requests, n, r.work.status)
	if err != nil {
		return 0, err
	}
	r.spent += time.Since(begin)
	after, err := r.ask("usage")
	if err != nil {
		return 0, err
	}
	r.allocs += after.Allocs - before.Allocs
	r.bytes += after.Bytes - before.Bytes
	r.requests += n
	r.times = append(r.times, times...)
	cpu := (after.CPU - before.CPU) / float64(n)
	r.blocks = append(r.blocks, cpu)
	return cpu, nil
}

// forget drops what was measured.
func (r *runner) forget() {
	r.blocks, r.times, r.spent, r.allocs, r.bytes, r.requests = nil, nil, 0, 0, 0, 0
}

func (r *runner) figures() Figures {
	n := float64(r.requests)
	return Figures{
		CPU: median(r.blocks), Blocks: r.blocks,
		Allocs: float64(r.allocs) / n, Bytes: float64(r.bytes) / n,
		Throughput: n / r.spent.Seconds(), P50: quantile(r.times, 0.5), P99: quantile(r.times, 0.99),
	}
}

// meeting is this package with all its peers at some work. Its process stays for all of
// them, unless the work makes the database grow.
type meeting struct {
	*databases
	work
	settings
	own *runner
	n   int // requests of a block
}

// compare measures this package and a peer.
func (m *meeting) compare(ctx context.Context, peer contestants.Contestant) Result {
	result := Result{Work: m.work.name, Peer: peer.String()}
	if err := m.measure(ctx, peer, &result); err != nil {
		result.Invalid = firstLine(err.Error())
		m.close() // it may be the cause
	}
	return result
}

func (m *meeting) measure(ctx context.Context, peer contestants.Contestant, result *Result) error {
	if err := m.begin(ctx); err != nil {
		return err
	}
	b, err := newRunner(ctx, m.databases, peer, m.work, "b")
	if err != nil {
		return err
	}
	defer b.stop()
	if _, err := b.warmUp(m.block); err != nil {
		return err
	}
	return m.measurePairs(ctx, b, result)
}

// measurePairs measures pairs of this package's process and another.
func (m *meeting) measurePairs(ctx context.Context, b *runner, result *Result) error {
	for range m.pairs {
		if err := ctx.Err(); err != nil {
			return err
		}
		ratio, err := pair(m.own, b, m.n)
		if err != nil {
			return err
		}
		result.Pairs = append(result.Pairs, ratio)
	}
	result.Ratio = median(result.Pairs)
	result.Low, result.High = interval(result.Pairs)
	result.Own, result.Other = m.own.figures(), b.figures()
	return nil
}

// begin starts this package's process, or lets the one that runs begin anew.
func (m *meeting) begin(ctx context.Context) (err error) {
	if m.own != nil && m.writes() {
		m.close()
	}
	if m.own != nil {
		m.own.forget()
		return nil
	}
	if m.own, err = newRunner(ctx, m.databases, contestants.All[0], m.work, "a"); err != nil {
		return err
	}
	m.n, err = m.own.warmUp(m.block)
	return err
}

func (m *meeting) close() {
	if m.own != nil {
		m.own.stop()
		m.own = nil
	}
}

// pair measures A B B A and returns A over B.
func pair(a, b *runner, n int) (float64, error) {
	a1, err1 := a.measure(n)
	b1, err2 := b.measure(n)
	b2, err3 := b.measure(n)
	a2, err4 := a.measure(n)
	return (a1 + a2) / (b1 + b2), errors.Join(err1, err2, err3, err4)
}
