package main

// The chart of the ratios: bars in SVG, which follow the reader's light or dark scheme.

import (
	"fmt"
	"html"
	"slices"
	"strings"
)

// The measures of the chart, in pixels.
const (
	chartWidth = 700
	chartLeft  = 150 // where the bars begin
	chartUnit  = 180 // the length of a ratio of 1
	barHeight  = 14
)

const chartStyle = `<style>
text { font: 12px system-ui, sans-serif; fill: #1f2328 }
.title { font-weight: 600 }
.faster { fill: #1a7f37 } .slower { fill: #bc4c00 } .even { fill: #6e7781 }
line { stroke: #6e7781 } .range { stroke: #1f2328 }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .faster { fill: #3fb950 } .slower { fill: #db6d28 } .even { fill: #8b949e } .range { stroke: #e6edf3 }
}
</style>
`

// chart returns the ratios as bars, in groups by the work. A bar is even if the interval
// does not lie beyond 3 %.
func (r Report) chart() string {
	var b strings.Builder
	y := 40
	for _, w := range works {
		var group []Result
		for _, result := range r.Results {
			if result.Work == w.name && result.Invalid == "" {
				group = append(group, result)
			}
		}
		if len(group) == 0 {
			continue
		}
		fmt.Fprintf(&b, `<text class="title" x="10" y="%d">%s</text>`+"\n", y+12, html.EscapeString(w.title))
		y += barHeight + 6
		for _, result := range group {
			bar(&b, y, result)
			y += barHeight + 4
		}
		y += 10
	}
	one := chartLeft + chartUnit
	head := fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-label="CPU time of backend over that of others">`+"\n%s", chartWidth, y+10, chartStyle) +
		fmt.Sprintf(`<text x="%d" y="16" text-anchor="middle">1: equal; shorter: backend takes less CPU time</text><line x1="%d" y1="24" x2="%d" y2="%d"/>`+"\n", one, one, one, y)
	return head + b.String() + "</svg>\n"
}

// bar draws one ratio with its interval.
func bar(b *strings.Builder, y int, r Result) {
	class := "even"
	if r.High < 0.97 {
		class = "faster"
	} else if r.Low > 1.03 {
		class = "slower"
	}
	at := func(ratio float64) float64 { return chartLeft + min(ratio, 2.5)*chartUnit }
	fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="end">%s</text><rect class="%s" x="%d" y="%d" width="%.1f" height="%d"/>`,
		chartLeft-8, y+11, html.EscapeString(r.Peer), class, chartLeft, y, at(r.Ratio)-chartLeft, barHeight)
	fmt.Fprintf(b, `<line class="range" x1="%.1f" y1="%d" x2="%.1f" y2="%d"/><text x="%.1f" y="%d">%.2f</text>`+"\n",
		at(r.Low), y+barHeight/2, at(r.High), y+barHeight/2, slices.Max([]float64{at(r.Ratio), at(r.High)})+6, y+11, r.Ratio)
}
