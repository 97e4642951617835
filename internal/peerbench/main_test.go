package main

import (
	"bufio"
	"bytes"
	"cmp"
	"debug/buildinfo"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"
	"unicode/utf8"

	"github.com/seed-215b9b7c/backend/internal/peerbench/contestants"
)

// TestMain lets the test's own program be the contestants.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "serve" {
		main()
		return
	}
	os.Exit(m.Run())
}

// All contestants do the same work, or their numbers would mean nothing. A process does
// all the work of an engine.
func TestContestants(t *testing.T) {
	d := newDatabases(t.TempDir())
	t.Cleanup(func() {
		if err := d.close(); err != nil {
			t.Error(err)
		}
	})
	groups := map[string][]work{"upload": {uploadWork}}
	for _, w := range works {
		group := cmp.Or(w.engine(), "none")
		if w.name == "equal" {
			group = w.name
		}
		groups[group] = append(groups[group], w)
	}
	for name, group := range groups {
		t.Run(name, func(t *testing.T) {
			if name == "pg" && d.server == "" {
				if os.Getenv("TEST_REQUIRE_ENGINES") != "" {
					t.Fatal("set TEST_POSTGRES_URL")
				}
				t.Skip("to run: set TEST_POSTGRES_URL")
			}
			for _, c := range contestants.All {
				checkAll(t, d, c, group)
			}
		})
	}
}

// checkAll checks the answers of a contestant to all work of an engine.
func checkAll(t *testing.T, d *databases, c contestants.Contestant, group []work) {
	group = slices.DeleteFunc(slices.Clone(group), func(w work) bool { return !c.Does(w.name) })
	if len(group) == 0 {
		return
	}
	db, err := d.open(t.Context(), group[0].engine(), "test")
	if err != nil {
		t.Fatal(err)
	}
	process, err := start(c, group[0].name, db, d.folder)
	if err != nil {
		t.Error(err)
		return
	}
	defer process.stop()
	// Updates come last: they change what others look up.
	slices.SortStableFunc(group, func(a, b work) int {
		return cmp.Compare(strings.Index(a.name, "updates"), strings.Index(b.name, "updates"))
	})
	for _, w := range group {
		if err := golden(process.addr, w); err != nil {
			t.Errorf("%s, %s: %v", c, w.name, err)
		}
	}
}

// Every work has contestants to compare, and every name is used once.
func TestWorks(t *testing.T) {
	seen := map[string]bool{}
	for _, w := range works {
		if seen[w.name] || len(w.requests) == 0 || w.title == "" {
			t.Errorf("%s is there twice, or has no requests or no title", w.name)
		}
		if utf8.RuneCountInString(w.title) > 36 {
			t.Errorf("the title %q has no room in the chart", w.title)
		}
		seen[w.name] = true
	}
	for _, name := range slices.Concat(otherWork, []string{overloadWork}) {
		if !seen[name] {
			t.Errorf("there is no work %s", name)
		}
	}
}

// All routers find all routes.
func TestRouting(t *testing.T) {
	cases, err := routingCases()
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range cases {
		for _, router := range routers {
			if _, err := newRoutingRun(one, router.make(one.routes)); err != nil {
				t.Errorf("%s, %s: %v", one.name, router.name, err)
			}
		}
	}
}

// Programs that do other work than this are found out.
func TestGoldenRefuses(t *testing.T) {
	w := works[0]
	r, err := newRunner(t.Context(), newDatabases(t.TempDir()), contestants.All[1], w, "")
	if err != nil {
		t.Fatal(err)
	}
	defer r.stop()
	for name, wrong := range map[string]work{
		"status": {"plain", "", w.requests, 201, w.check},
		"body":   {"plain", "", w.requests, 200, same("text/plain", "Hello, world")},
		"type":   {"plain", "", w.requests, 200, same("text/html", contestants.Text)},
	} {
		if err := golden(r.addr, wrong); err == nil {
			t.Errorf("a wrong %s is not noticed", name)
		}
	}
}

// Bytes that are split anywhere, and chunks, are read as one answer.
func TestClientReads(t *testing.T) {
	for name, text := range map[string]string{
		"length": "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nContent-Type: text/plain\r\n\r\nHello",
		"chunks": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: text/plain\r\n\r\n2\r\nHe\r\n3\r\nllo\r\n0\r\n\r\n",
	} {
		c := &conn{r: bufio.NewReader(iotest.OneByteReader(strings.NewReader(text + text)))}
		for range 2 {
			a, err := c.read(&bytes.Buffer{})
			if err != nil || a.status != 200 || string(a.body) != "Hello" || a.contentType != "text/plain" {
				t.Errorf("%s: %d %q %q %v", name, a.status, a.contentType, a.body, err)
			}
		}
	}
}

// The chart is XML, whatever is invalid.
func TestChart(t *testing.T) {
	r := Report{Results: []Result{
		{Work: "plain", Peer: "a<b", Ratio: 0.5, Low: 0.4, High: 0.6},
		{Work: "plain", Peer: "c", Ratio: 9, Low: 8, High: 10},
		{Work: "post", Peer: "d", Invalid: "status 500 instead of 201"},
	}}
	text := r.chart()
	for d := xml.NewDecoder(strings.NewReader(text)); ; {
		_, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for want, found := range map[string]bool{`class="faster"`: true, `class="slower"`: true, "typed POST": false} {
		if strings.Contains(text, want) != found {
			t.Errorf("%s in the chart: %v", want, !found)
		}
	}
}

// What is in README comes from one report, which must have all of it.
func TestReadme(t *testing.T) {
	folder := t.TempDir()
	out, readme, chart := filepath.Join(folder, "out.json"), filepath.Join(folder, "README.md"), filepath.Join(folder, "chart.svg")
	if err := os.WriteFile(readme, []byte("before\n"+tableBegin+"\n| old |\n"+tableEnd+"after\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	var all Report
	for i, w := range works {
		for _, one := range slices.Concat(readmePeers, [][2]string{{againstName, ""}}) {
			all.Results = append(all.Results, Result{Work: w.name, Peer: one[0], Ratio: 1 + float64(i)/100})
		}
	}
	if err := all.write(options{out: out}); err != nil {
		t.Fatal(err)
	}
	report, err := readReport(options{from: out})
	if err != nil {
		t.Fatal(err)
	}
	if err := report.writeReadme(readme, chart); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	drawn, err := os.ReadFile(chart)
	if err != nil {
		t.Fatal(err)
	}
	for want, found := range map[string]bool{
		"before\n" + tableBegin: true, tableEnd + "after\n": true, "\n| 12 bytes of text | 1.00 | 1.00 |": true, "\n| a small object as JSON | 1.01 |": true, "old": false,
	} {
		if strings.Contains(string(text), want) != found {
			t.Errorf("%q in README: %v\n%s", want, !found, text)
		}
	}
	if n := strings.Count(string(drawn), "<title>"); n != len(works)*len(readmePeers) {
		t.Errorf("the chart has %d marks", n)
	}
	report.Results[0].Invalid = "status 500"
	if report.writeReadme(readme, chart) == nil {
		t.Error("an invalid result gets into README")
	}
	if report.Results = report.Results[1:]; report.writeReadme(readme, chart) == nil {
		t.Error("a missing result gets into README")
	}
	if root, err := os.ReadFile("../../" + readmeFile); err != nil || !strings.Contains(string(root), tableBegin) || !strings.Contains(string(root), tableEnd) || !strings.Contains(string(root), "]("+readmeChart+")") {
		t.Errorf("README has no place for the table, or does not show %s (%v)", readmeChart, err)
	}
}

// The load of the row "overload" opens connections only if all are in use.
func TestIdleConns(t *testing.T) {
	var idle idleConns
	first, second := &conn{}, &conn{}
	idle.put(first)
	idle.put(nil)
	idle.put(second)
	for i, want := range []*conn{second, first, nil} {
		if got := idle.take(); got != want {
			t.Errorf("connection %d is %p instead of %p", i, got, want)
		}
	}
}

func TestParseStat(t *testing.T) {
	pid, parent, ticks, err := parseStat("12 (a) b) S 7 12 12 0 -1 4194304 1 0 0 0 30 4 0 0 20 0 1 0 5 6 7\n")
	if pid != 12 || parent != 7 || ticks != 34 || err != nil {
		t.Error(pid, parent, ticks, err)
	}
	if _, err := treeUsage(os.Getpid()); err != nil {
		t.Error(err)
	}
}

func TestStats(t *testing.T) {
	if got := median([]float64{4, 1, 3, 2}); got != 2.5 {
		t.Errorf("the median is %v", got)
	}
	low, high := interval([]float64{1, 1, 1, 1, 1, 1, 1, 1, 1, 100})
	if low != 1 || high != 1 {
		t.Errorf("one value of ten moves the interval to %v and %v", low, high)
	}
	if got := quantile([]time.Duration{3000, 1000, 2000}, 0.5); got != 2 {
		t.Errorf("the middle of 1, 2 and 3 µs is %v µs", got)
	}
}

// What is said about the time stays true when work and peers are added.
func TestTime(t *testing.T) {
	for most, o := range map[time.Duration]options{6 * time.Minute: {settings: quick, quick: true}, 40 * time.Minute: {settings: full}} {
		_, results := o.works(true)
		if took := o.time(results); took > most || took < most/2 {
			t.Errorf("%d results take %v instead of %v", results, took, most)
		}
	}
}

// Another checkout is a peer: a program of its own that has this package from there.
func TestAgainst(t *testing.T) {
	o := options{settings: settings{1, time.Millisecond}, only: []string{"plain"}, peers: []string{againstName}, against: checkout{dir: "../.."}}
	if err := o.check(); err != nil {
		t.Fatal(err)
	}
	if err := o.against.build(t.Context(), t.TempDir()); err != nil {
		t.Fatal(err)
	}
	info, err := buildinfo.ReadFile(o.against.program)
	if err != nil {
		t.Fatal(err)
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(info.Deps, func(m *debug.Module) bool { return m.Path == ownModule && m.Replace.Path == root }) {
		t.Errorf("the program is not built with the package in %s", root)
	}
	d := newDatabases(t.TempDir())
	process, err := start(o.against.contestant(), "plain", "", d.folder)
	if err != nil {
		t.Fatal(err)
	}
	defer process.stop()
	if program, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", process.process.Process.Pid)); err != nil || program != o.against.program {
		t.Errorf("the process runs %s instead of %s (%v)", program, o.against.program, err)
	}
	results := measureAll(t.Context(), d, o)
	if len(results) != 1 || results[0].Peer != againstName || results[0].Invalid != "" || results[0].Ratio <= 0 {
		t.Errorf("the results are %+v", results)
	}
}

// A checkout that this program cannot be built with says what the compiler says.
func TestAgainstTooOld(t *testing.T) {
	old := t.TempDir()
	for name, text := range map[string]string{
		"go.mod": "module " + ownModule + "\n\ngo 1.26\n", "backend.go": "package backend\n", "sqlite/sqlite.go": "package sqlite\n",
	} {
		path := filepath.Join(old, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	c := checkout{dir: old}
	err := c.build(t.Context(), t.TempDir())
	for _, want := range []string{old, "too old", "undefined: backend.DB"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not have %q: %v", want, err)
		}
	}
}

// A name that nothing has would measure nothing.
func TestNames(t *testing.T) {
	for _, o := range []options{{only: []string{"row", "plain", "size"}, peers: []string{"gin", "express", "fiber-tuned"}}, {}} {
		if err := o.check(); err != nil {
			t.Error(err)
		}
	}
	for _, o := range []options{{only: []string{"ro"}}, {peers: []string{"gin", "backend"}}, {peers: []string{againstName}}, {peers: []string{"gin"}, against: checkout{dir: "."}}, {readme: true, only: []string{"plain"}}} {
		if o.check() == nil {
			t.Errorf("%v is not refused", o)
		}
	}
	if !chosen([]string{"row"}, "row-pg") || chosen([]string{"row"}, "rows") {
		t.Error("a name is not that of a group")
	}
}
