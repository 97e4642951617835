package main

// What is printed: a table of ratios, and one of the figures themselves.

import (
	"fmt"
	"io"
	"slices"
)

// ratios prints the CPU time of this package over each peer's, as a table in Markdown.
func ratios(out io.Writer, results []Result, peers []string) {
	fmt.Fprint(out, "\n| backend's CPU time over that of | ")
	for _, peer := range peers {
		fmt.Fprintf(out, "%s | ", peer)
	}
	fmt.Fprint(out, "\n|---|")
	for range peers {
		fmt.Fprint(out, "---|")
	}
	for _, w := range works {
		if !slices.ContainsFunc(results, func(r Result) bool { return r.Work == w.name }) {
			continue
		}
		fmt.Fprintf(out, "\n| %s |", w.title)
		for _, peer := range peers {
			fmt.Fprintf(out, " %s |", cell(results, w.name, peer))
		}
	}
	fmt.Fprintln(out)
}

func cell(results []Result, work, peer string) string {
	for _, r := range results {
		switch {
		case r.Work != work || r.Peer != peer:
		case r.Invalid != "":
			return "invalid"
		default:
			return fmt.Sprintf("%.2f (%.2f–%.2f)", r.Ratio, r.Low, r.High)
		}
	}
	return ""
}

// line prints a result as it comes.
func line(out io.Writer, r Result) {
	if r.Invalid != "" {
		fmt.Fprintf(out, "%-15s %-16s invalid: %s\n", r.Work, r.Peer, r.Invalid)
		return
	}
	fmt.Fprintf(out, "%-15s %-16s %.2f (%.2f to %.2f)   %7.1f µs %4.0f allocs %6.0f B %6.0f/s p50 %5.0f p99 %5.0f   backend %7.1f µs %4.0f allocs %6.0f B %6.0f/s p50 %5.0f p99 %5.0f\n",
		r.Work, r.Peer, r.Ratio, r.Low, r.High,
		r.Other.CPU, r.Other.Allocs, r.Other.Bytes, r.Other.Throughput, r.Other.P50, r.Other.P99,
		r.Own.CPU, r.Own.Allocs, r.Own.Bytes, r.Own.Throughput, r.Own.P50, r.Own.P99)
}
