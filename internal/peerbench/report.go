package main

// What is printed: each result as it comes, and tables in Markdown at the end.

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/seed-215b9b7c/backend/internal/peerbench/contestants"
)

// Report is the raw data.
type Report struct {
	Command  []string
	Machine  string
	Versions map[string]string
	Results  []Result
	Figures  []Figure
}

// peers returns the columns of the tables: the peers that there are results of.
func (r Report) peers() (names []string) {
	known := []string{}
	for _, c := range contestants.All {
		known = append(known, c.String())
	}
	for _, result := range r.Results {
		if !slices.Contains(names, result.Peer) {
			names = append(names, result.Peer)
		}
	}
	slices.SortStableFunc(names, func(a, b string) int { return place(known, a) - place(known, b) })
	return names
}

// place is the index of a name in a list, or behind it.
func place(list []string, name string) int {
	if i := slices.Index(list, name); i >= 0 {
		return i
	}
	return len(list)
}

// ratios prints the CPU time of this package over each peer's.
func (r Report) ratios(out io.Writer, peers []string) {
	if len(r.Results) == 0 {
		return
	}
	header(out, "CPU time of backend over that of", peers)
	r.rows(out, peers, func(r Result) string { return fmt.Sprintf("%.2f (%.2f–%.2f)", r.Ratio, r.Low, r.High) })
}

// rows prints a row for each work that there are results of.
func (r Report) rows(out io.Writer, peers []string, text func(Result) string) {
	for _, w := range works {
		if !slices.ContainsFunc(r.Results, func(r Result) bool { return r.Work == w.name }) {
			continue
		}
		fmt.Fprintf(out, "| %s |", w.title)
		for _, peer := range peers {
			fmt.Fprintf(out, " %s |", r.cell(w.name, peer, text))
		}
		fmt.Fprintln(out)
	}
}

// costs prints the CPU time of each, and its allocations.
func (r Report) costs(out io.Writer, peers []string) {
	if len(r.Results) == 0 {
		return
	}
	header(out, "µs of CPU per request (allocations)", append([]string{"backend"}, peers...))
	for _, w := range works {
		var own []float64
		var allocs float64
		for _, result := range r.Results {
			if result.Work == w.name && result.Invalid == "" {
				own, allocs = append(own, result.Own.CPU), result.Own.Allocs
			}
		}
		if len(own) == 0 {
			continue
		}
		fmt.Fprintf(out, "| %s | %.1f (%.0f) |", w.title, median(own), allocs)
		for _, peer := range peers {
			fmt.Fprintf(out, " %s |", r.cell(w.name, peer, costOf))
		}
		fmt.Fprintln(out)
	}
}

// costOf is what a peer takes. Allocations of other languages are not counted.
func costOf(r Result) string {
	if r.Other.Bytes == 0 {
		return fmt.Sprintf("%.1f", r.Other.CPU)
	}
	return fmt.Sprintf("%.1f (%.0f)", r.Other.CPU, r.Other.Allocs)
}

// extras prints the rows of other figures.
func (r Report) extras(out io.Writer) {
	for _, e := range extras {
		var columns, cases []string
		cells := map[[2]string]Figure{}
		for _, f := range r.Figures {
			if f.Row != e.name {
				continue
			}
			if !slices.Contains(columns, f.Contestant) {
				columns = append(columns, f.Contestant)
			}
			if !slices.Contains(cases, f.Case) {
				cases = append(cases, f.Case)
			}
			cells[[2]string{f.Case, f.Contestant}] = f
		}
		if len(cases) == 0 {
			continue
		}
		header(out, e.title, columns)
		for _, one := range cases {
			fmt.Fprintf(out, "| %s |", strings.TrimSpace(one+" "+e.unit))
			for _, column := range columns {
				fmt.Fprintf(out, " %s |", cells[[2]string{one, column}])
			}
			fmt.Fprintln(out)
		}
	}
}

func header(out io.Writer, title string, columns []string) {
	fmt.Fprintf(out, "\n| %s |", title)
	for _, column := range columns {
		fmt.Fprintf(out, " %s |", column)
	}
	fmt.Fprint(out, "\n|---|")
	for range columns {
		fmt.Fprint(out, "---|")
	}
	fmt.Fprintln(out)
}

// cell returns what a table says about a peer at some work, or nothing.
func (r Report) cell(work, peer string, text func(Result) string) string {
	for _, result := range r.Results {
		switch {
		case result.Work != work || result.Peer != peer:
		case result.Invalid != "":
			return "invalid"
		default:
			return text(result)
		}
	}
	return ""
}

// line prints a result as it comes.
func line(out io.Writer, r Result) {
	if r.Invalid != "" {
		fmt.Fprintf(out, "%-15s %-15s invalid: %s\n", r.Work, r.Peer, r.Invalid)
		return
	}
	fmt.Fprintf(out, "%-15s %-15s %.2f (%.2f to %.2f)   %s   backend %s\n", r.Work, r.Peer, r.Ratio, r.Low, r.High, r.Other, r.Own)
}

// String returns the figures in one line.
func (f Figures) String() string {
	return fmt.Sprintf("%7.1f µs %4.0f allocs %6.0f B %6.0f/s p50 %5.0f p99 %5.0f", f.CPU, f.Allocs, f.Bytes, f.Throughput, f.P50, f.P99)
}
