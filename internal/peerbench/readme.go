package main

// The table and the chart of README, with -readme. Both come from one report.

import (
	"bytes"
	"fmt"
	"os"
	"strings"
)

const (
	readmeFile  = "README.md"
	readmeChart = ".github/speed.svg"
)

// The lines of README around the table.
const (
	tableBegin = "<!-- The table and the chart: (cd internal/peerbench && go run . -full -readme) -->\n"
	tableEnd   = "<!-- End of the table. -->\n"
)

// readmePeers are the columns of the table, and their titles.
var readmePeers = [][2]string{
	{"floor", "floor"}, {"gin-idiomatic", "gin"}, {"gin-tuned", "gin tuned"}, {"echo", "echo"},
	{"chi", "chi"}, {"huma", "huma"}, {"fiber-idiomatic", "fiber"}, {"fiber-tuned", "fiber tuned"},
}

// readmeTable returns the table, or an error if there is no result for one of its cells.
func (r Report) readmeTable() (string, error) {
	var peers, titles []string
	for _, one := range readmePeers {
		peers, titles = append(peers, one[0]), append(titles, one[1])
	}
	for _, w := range works {
		for _, peer := range peers {
			if r.cell(w.name, peer, func(Result) string { return "valid" }) != "valid" {
				return "", fmt.Errorf("-readme needs a valid result of %s for %s", peer, w.name)
			}
		}
	}
	var b bytes.Buffer
	header(&b, "", titles)
	r.rows(&b, peers, func(r Result) string { return fmt.Sprintf("%.2f", r.Ratio) })
	return strings.TrimPrefix(b.String(), "\n"), nil
}

// writeReadme replaces the table in README, and writes the chart with the same peers.
func (r Report) writeReadme(readme, chart string) error {
	table, err := r.readmeTable()
	if err != nil {
		return err
	}
	text, err := os.ReadFile(readme)
	if err != nil {
		return err
	}
	before, rest, begins := strings.Cut(string(text), tableBegin)
	_, after, ends := strings.Cut(rest, tableEnd)
	if !begins || !ends {
		return fmt.Errorf("%s lacks the lines %q and %q", readme, tableBegin, tableEnd)
	}
	if err := os.WriteFile(chart, []byte(r.ofReadme().chart()), 0o644); err != nil {
		return err
	}
	return os.WriteFile(readme, []byte(before+tableBegin+"\n"+table+"\n"+tableEnd+after), 0o644)
}

// ofReadme returns the report with the results that the table has.
func (r Report) ofReadme() (only Report) {
	for _, result := range r.Results {
		for _, one := range readmePeers {
			if result.Peer == one[0] {
				only.Results = append(only.Results, result)
			}
		}
	}
	return only
}
