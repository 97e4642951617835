// Command peerbench compares this package with its peers, over sockets:
//
//	go run . -quick            # everything within 6 minutes
//	go run . -full             # more pairs, within 40 minutes
//	go run . -only row,plain -peers floor,gin
//	go run . -full -readme -out full.json   # and write README's table and chart
//	go run . -from full.json -readme        # write them again, without measuring
//	go run . -against ../../../old -peers against -only row,plain
//
// Each contestant is a process of its own that does the same work: this package behind
// its default Stack with a log to a file, a floor written by hand on net/http, and other
// frameworks as their documentation shows them, also tuned. One that does not answer
// with the right bytes is "invalid" and not measured.
//
// What is compared is the CPU time of the process per request, the garbage collector
// and the kernel included, the database server not. Servers are bound to one processor
// and the client to another. Each peer is measured in pairs with this package, in the
// order A B B A, so that a machine that gets slower meanwhile is unfair to nobody. The
// ratio is the median of the pairs' ratios, this package over the peer, with a bootstrap
// 95 % interval; below 1 this package is faster.
//
// With -against, another checkout of this package is a peer, too: an older commit, say.
// This program is built with it once more, so it must have what contestants/backend.go
// uses. The row "routing", which has no processes, is without it.
//
// With -readme, the table and the chart of README are written from the same results: all
// works with all peers in readme.go must have valid ones. With -from, the results are
// those that -out has written.
//
// It needs Linux. The rows on PostgreSQL need a server on which databases may be
// created, at TEST_POSTGRES_URL.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/seed-215b9b7c/backend/internal/peerbench/contestants"
)

func main() {
	run := run
	if len(os.Args) > 1 && os.Args[1] == "serve" {
		run = func() error { return serve(os.Args[2:]) }
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// options are those of the command line.
type options struct {
	settings
	quick       bool
	others      bool
	only, peers []string
	against     checkout
	from        string
	out, svg    string
	readme      bool
}

// quick takes about 6 minutes with all peers. full takes about 35, most of them for 156
// results of 11 s: longer blocks would take too long, and more pairs make the interval
// narrower.
var (
	quick = settings{10, 15 * time.Millisecond}
	full  = settings{30, 60 * time.Millisecond}
)

func parse() (o options) {
	flag.BoolVar(&o.quick, "quick", false, "measure everything within 6 minutes")
	isFull := flag.Bool("full", false, "measure with more pairs, within 40 minutes")
	only := flag.String("only", "", "the work to measure, with commas between: names or their beginnings, such as row or row-pg")
	peers := flag.String("peers", "", "the peers to measure, with commas between: names or their beginnings, such as gin or gin-tuned")
	flag.StringVar(&o.against.dir, "against", "", "the folder with another checkout of this package, which is the peer \"against\"")
	flag.BoolVar(&o.others, "others", false, "also measure Express, which is installed by npm into a temporary folder, and Django, if this machine has it")
	flag.IntVar(&o.pairs, "pairs", 10, "pairs of measurements for each peer")
	flag.DurationVar(&o.block, "time", 60*time.Millisecond, "about how long one measurement takes")
	flag.StringVar(&o.out, "out", "", "the file to write the raw data to, as JSON")
	flag.StringVar(&o.from, "from", "", "the file that -out has written: print its tables instead of measuring")
	flag.BoolVar(&o.readme, "readme", false, "write the table and the chart of README")
	flag.StringVar(&o.svg, "svg", "", "the file to write a chart of the ratios to")
	flag.Parse()
	switch {
	case o.quick:
		o.settings = quick
	case *isFull:
		o.settings = full
	}
	o.only, o.peers = split(*only), split(*peers)
	return o
}

func split(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' })
}

// chosen reports whether a name is in a list, or a name of the list with a suffix. An
// empty list has all names.
func chosen(list []string, name string) bool {
	return len(list) == 0 || slices.ContainsFunc(list, func(s string) bool { return name == s || strings.HasPrefix(name, s+"-") })
}

// check returns an error for a name that nothing has, which would measure nothing.
func (o options) check() error {
	var work, peers []string
	for _, w := range works {
		work = append(work, w.name)
	}
	for _, e := range extras {
		work = append(work, e.name)
	}
	for _, c := range o.allContestants()[1:] {
		peers = append(peers, c.String())
	}
	for _, one := range others {
		peers = append(peers, one.name)
	}
	if o.readme && o.from == "" && (len(o.only)+len(o.peers) > 0 || os.Getenv("TEST_POSTGRES_URL") == "") {
		return errors.New("-readme needs all results: leave out -only and -peers, and set TEST_POSTGRES_URL")
	}
	if o.against.dir != "" && !chosen(o.peers, againstName) {
		return fmt.Errorf("-against is not measured: add %s to -peers", againstName)
	}
	for _, list := range []struct{ asked, names []string }{{o.only, work}, {o.peers, peers}} {
		for _, name := range list.asked {
			if !slices.ContainsFunc(list.names, func(s string) bool { return chosen([]string{name}, s) }) {
				return fmt.Errorf("%q is none of %s", name, strings.Join(list.names, ", "))
			}
		}
	}
	return nil
}

// allContestants returns all that can be measured, this package first.
func (o options) allContestants() []contestants.Contestant {
	all := contestants.All
	if o.against.dir != "" {
		all = append(slices.Clone(all), o.against.contestant())
	}
	return all
}

// contestants returns this package and the peers that were chosen.
func (o options) contestants() []contestants.Contestant {
	all := o.allContestants()
	return append(all[:1:1], slices.DeleteFunc(slices.Clone(all[1:]), func(c contestants.Contestant) bool { return !chosen(o.peers, c.String()) })...)
}

func run() error {
	o := parse()
	if err := o.check(); err != nil {
		return err
	}
	measure := measureReport
	if o.from != "" {
		measure = readReport
	}
	report, err := measure(o)
	if err != nil {
		return err
	}
	peers := report.peers()
	report.ratios(os.Stdout, peers)
	report.costs(os.Stdout, peers)
	report.extras(os.Stdout)
	return report.write(o)
}

// readReport reads the file that -out has written.
func readReport(o options) (report Report, err error) {
	text, err := os.ReadFile(o.from)
	if err != nil {
		return Report{}, err
	}
	if err := json.Unmarshal(text, &report); err != nil {
		return Report{}, fmt.Errorf("-from %s: %w", o.from, err)
	}
	return report, nil
}

// measureReport measures all that was chosen.
func measureReport(o options) (report Report, err error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	folder, err := os.MkdirTemp("", "peerbench")
	if err != nil {
		return Report{}, err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	report = Report{Command: os.Args[1:], Machine: machine(), Versions: versions()}
	if o.against.dir != "" {
		if err := o.against.build(ctx, folder); err != nil {
			return Report{}, err
		}
		report.Versions[againstName] = o.against.version(ctx)
	}
	if err := pinClient(); err != nil {
		return Report{}, err
	}
	d := newDatabases(folder)
	report.Results = measureAll(ctx, d, o)
	if o.others {
		report.Results = append(report.Results, measureOthers(ctx, d, o, report.Versions)...)
	}
	report.Figures = measureExtras(ctx, d, o)
	return report, d.close()
}

// write writes the files that were asked for, the raw data first.
func (r Report) write(o options) error {
	if o.out != "" {
		text, err := json.MarshalIndent(r, "", "\t")
		if err != nil {
			return err
		}
		if err := os.WriteFile(o.out, append(text, '\n'), 0o644); err != nil {
			return err
		}
	}
	if o.svg != "" {
		if err := os.WriteFile(o.svg, []byte(r.chart()), 0o644); err != nil {
			return err
		}
	}
	if o.readme {
		return r.writeReadme("../../"+readmeFile, "../../"+readmeChart)
	}
	return nil
}

// measureAll measures what was chosen.
func measureAll(ctx context.Context, d *databases, o options) (results []Result) {
	chosenWorks, total := o.works(d.server != "")
	if total == 0 {
		return nil
	}
	p := newProgress(os.Stdout, total, o)
	for _, w := range chosenWorks {
		m := &meeting{databases: d, work: w, settings: o.settings}
		for _, peer := range o.contestants()[1:] {
			if peer.Does(w.name) && ctx.Err() == nil {
				r := m.compare(ctx, peer)
				p.next()
				line(os.Stdout, r)
				results = append(results, r)
			}
		}
		m.close()
	}
	return results
}

// works returns the work that was chosen and can be done, and how many results it has.
func (o options) works(server bool) (can []work, results int) {
	for _, w := range works {
		if !chosen(o.only, w.name) {
			continue
		}
		if w.engine() == "pg" && !server {
			fmt.Printf("%-15s skipped: set TEST_POSTGRES_URL\n", w.name)
			continue
		}
		can = append(can, w)
		for _, peer := range o.contestants()[1:] {
			if peer.Does(w.name) {
				results++
			}
		}
	}
	return can, results
}
