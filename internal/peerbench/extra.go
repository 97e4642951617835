package main

// The rows that are not CPU time of requests: each is a number of every contestant.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
)

// Figure is a number of a contestant.
type Figure struct {
	Row, Contestant string
	Case            string `json:",omitempty"` // what the row has several of
	Invalid         string `json:",omitempty"` // why there is no number
	Value           float64
	Allocs          float64 `json:",omitempty"`
	Unit            string
}

// String returns the number as tables have it.
func (f Figure) String() string {
	switch {
	case f.Invalid != "":
		return "invalid"
	case f.Row == "routing":
		return fmt.Sprintf("%.1f (%.0f)", f.Value, f.Allocs)
	}
	return fmt.Sprintf("%.2f", f.Value)
}

// reportFunc is given each number, or an error instead of it.
type reportFunc func(f Figure, err error)

// extra is a row of such numbers.
type extra struct {
	name, title, unit string
	measure           func(ctx context.Context, d *databases, o options, report reportFunc) error
}

var extras = []extra{
	{"routing", "routing, without a server: a pass over all routes, and its allocations", "µs", routing},
	{"upload", "upload of 20 MB: the most memory, over that at rest", "MB", eachProcess(uploadMemory)},
	{"idle", "2,000 idle connections: memory of each", "KB", eachProcess(idleMemory)},
	{"size", "size of a hello program", "MB", helloSizes},
	{"start", "start of a hello program until its first answer", "ms", helloStarts},
	{"overload", "answers in time at twice the load that it can serve, of those it can serve", "%", overload},
}

// measureExtras measures the rows that were chosen.
func measureExtras(ctx context.Context, d *databases, o options) (figures []Figure) {
	for _, e := range extras {
		if !chosen(o.only, e.name) || ctx.Err() != nil {
			continue
		}
		err := e.measure(ctx, d, o, func(f Figure, err error) {
			f.Row, f.Unit = e.name, e.unit
			if err != nil {
				f.Invalid = firstLine(err.Error())
			}
			fmt.Printf("%-15s %-15s %s %s %s %s\n", e.name, f.Contestant, f.Case, f, e.unit, f.Invalid)
			figures = append(figures, f)
		})
		if err != nil {
			fmt.Printf("%-15s %v\n", e.name, err)
		}
	}
	return figures
}

// eachProcess measures the processes of all contestants that were chosen, one by one.
func eachProcess(measure func(c *child) (float64, error)) func(context.Context, *databases, options, reportFunc) error {
	return func(ctx context.Context, d *databases, o options, report reportFunc) error {
		for _, c := range o.contestants() {
			if !c.Does("plain") || ctx.Err() != nil {
				continue
			}
			process, err := start(c, "plain", "", d.folder)
			if err != nil {
				report(Figure{Contestant: c.String()}, err)
				continue
			}
			value, err := measure(process)
			process.stop()
			report(Figure{Contestant: c.String(), Value: value}, err)
		}
		return nil
	}
}

// uploadMemory returns how much memory a process takes for three uploads, one after the
// other.
func uploadMemory(c *child) (float64, error) {
	if err := golden(c.addr, works[0]); err != nil { // also warms up
		return 0, err
	}
	rest, err := c.ask("gc")
	if err != nil {
		return 0, err
	}
	proc := fmt.Sprintf("/proc/%d/", c.process.Process.Pid)
	if err := os.WriteFile(proc+"clear_refs", []byte("5"), 0); err != nil { // the peak begins anew
		return 0, err
	}
	if err := golden(c.addr, uploadWork); err != nil { // sends it twice
		return 0, err
	}
	peak, err := statusBytes(proc+"status", "VmHWM")
	return float64(peak-rest.RSS) / 1e6, err
}

// statusBytes reads a line of /proc/PID/status that counts kB.
func statusBytes(path, name string) (int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }()
	for {
		var word string
		_, err := fmt.Fscan(f, &word)
		if errors.Is(err, io.EOF) {
			return 0, fmt.Errorf("%s has no %s", path, name)
		}
		if err != nil {
			return 0, err
		}
		if word == name+":" {
			var n int64
			_, err := fmt.Fscan(f, &n)
			return n * 1024, err
		}
	}
}

const idleConnections = 2000

// idleMemory returns what a connection takes that has had a request and waits.
func idleMemory(c *child) (float64, error) {
	if err := golden(c.addr, works[0]); err != nil {
		return 0, err
	}
	before, err := c.ask("gc")
	if err != nil {
		return 0, err
	}
	var open []*conn
	defer func() {
		for _, one := range open {
			_ = one.Close()
		}
	}()
	for range idleConnections {
		one, err := dial(c.addr)
		if err != nil {
			return 0, err
		}
		open = append(open, one)
		a, err := one.do(works[0].requests[0], nil)
		if err != nil || a.status != works[0].status {
			return 0, fmt.Errorf("connection %d: status %d, %w", len(open), a.status, err)
		}
	}
	after, err := c.ask("gc")
	return float64(after.RSS-before.RSS) / 1e3 / idleConnections, err
}
