package main

// The chart of the ratios, in SVG: a line for each work, with a mark for each peer. It has
// a background of its own and follows the reader's light or dark scheme.

import (
	"fmt"
	"html"
	"math"
	"slices"
	"strings"
)

// The measures of the chart, in pixels.
const (
	chartWidth = 800
	chartLeft  = 260 // where the scale begins
	chartRight = 780 // where it ends
	chartTop   = 96  // the first line
	lineHeight = 22
)

const chartStyle = `<style>
.page { fill: #fff } text { font: 13px system-ui, "Segoe UI", Helvetica, Arial, sans-serif; fill: #1f2328 } .title { font-weight: 600 } .small { fill: #59636e }
.scale { stroke: #d1d9e0 } .one { stroke: #59636e; stroke-width: 1.5 } .key { fill: #59636e }
.mark { stroke: #fff } .faster { fill: #1a7f37 } .slower { fill: #bc4c00 } .even { fill: #6e7781 }
@media (prefers-color-scheme: dark) {
.page { fill: #0d1117 } text { fill: #f0f6fc } .small { fill: #9198a1 }
.scale { stroke: #3d444d } .one { stroke: #9198a1 } .key { fill: #9198a1 }
.mark { stroke: #0d1117 } .faster { fill: #3fb950 } .slower { fill: #f0883e } .even { fill: #9198a1 }
}
</style>
`

// kind is how a peer is used. It has a shape of its own, drawn around the origin.
type kind struct{ title, path string }

var (
	byHand    = kind{"floor", "M0,-7 7,0 0,7 -7,0z"}
	asShown   = kind{"as documented", "M-5.5,0a5.5,5.5 0 1 0 11,0a5.5,5.5 0 1 0 -11,0z"}
	fastest   = kind{"tuned", "M-5,-5H5V5H-5z"}
	elsewhere = kind{"other checkout", "M0,-7 6.5,5 -6.5,5z"}
)

// kindOf returns what a peer is.
func kindOf(peer string) kind {
	switch {
	case peer == "floor":
		return byHand
	case peer == againstName:
		return elsewhere
	case strings.HasSuffix(peer, "-tuned"):
		return fastest
	}
	return asShown
}

// verdict is the class of a mark: even if the interval does not lie beyond 3 %.
func (r Result) verdict() string {
	switch {
	case r.High < 0.97:
		return "faster"
	case r.Low > 1.03:
		return "slower"
	}
	return "even"
}

// chart draws the ratios on a logarithmic scale.
func (r Report) chart() string {
	lines := map[string][]Result{}
	s := scale{0.5, 2}
	for _, result := range r.Results {
		if result.Invalid == "" && result.Ratio > 0 {
			lines[result.Work] = append(lines[result.Work], result)
			s = s.with(result.Ratio)
		}
	}
	height := chartTop + lineHeight*len(lines) + 8
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-label="CPU time of backend, divided by that of its peers">`+"\n%s",
		chartWidth, height, chartWidth, height, chartStyle)
	fmt.Fprintf(&b, `<rect class="page" width="%d" height="%d" rx="6"/>`+"\n", chartWidth, height)
	fmt.Fprintf(&b, `<text class="title" x="16" y="26">CPU time of backend for one request, divided by that of each peer</text>`+"\n")
	r.key(&b)
	s.draw(&b, height)
	y := chartTop + lineHeight/2
	for _, w := range works {
		if len(lines[w.name]) == 0 {
			continue
		}
		fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%s</text>`+"\n", chartLeft-14, y+4, html.EscapeString(w.title))
		for _, result := range slices.Backward(lines[w.name]) { // the floor is drawn over the others
			s.mark(&b, y, result)
		}
		y += lineHeight
	}
	return b.String() + "</svg>\n"
}

// key explains the shapes that there are, and the colours.
func (r Report) key(b *strings.Builder) {
	x := 24
	add := func(class, path, title string) {
		fmt.Fprintf(b, `<path class="%s" transform="translate(%d,48)" d="%s"/><text class="small" x="%d" y="52">%s</text>`+"\n", class, x, path, x+12, title)
		x += 40 + 7*len(title)
	}
	for _, k := range []kind{byHand, asShown, fastest, elsewhere} {
		for _, result := range r.Results {
			if kindOf(result.Peer) == k {
				add("key", k.path, k.title)
				break
			}
		}
	}
	x = max(x, chartLeft+130)
	for _, one := range [][2]string{{"faster", "backend takes less"}, {"even", "equal"}, {"slower", "backend takes more"}} {
		add(one[0], "M-9,-4H5V4H-9z", one[1])
	}
}

// scale is the part of the logarithmic scale that is shown, between powers of two.
type scale struct{ low, high float64 }

// with returns a scale that also has a ratio.
func (s scale) with(ratio float64) scale {
	return scale{min(s.low, math.Exp2(math.Floor(math.Log2(ratio)))), max(s.high, math.Exp2(math.Ceil(math.Log2(ratio))))}
}

// at returns where a ratio is.
func (s scale) at(ratio float64) float64 {
	return chartLeft + (chartRight-chartLeft)*math.Log2(ratio/s.low)/math.Log2(s.high/s.low)
}

// draw draws a line for each power of two.
func (s scale) draw(b *strings.Builder, height int) {
	for ratio := s.low; ratio <= s.high; ratio *= 2 {
		class := "scale"
		if ratio == 1 {
			class = "one"
		}
		fmt.Fprintf(b, `<line class="%s" x1="%.1f" y1="%d" x2="%.1f" y2="%d"/><text class="small" x="%.1f" y="%d" text-anchor="middle">%v</text>`+"\n",
			class, s.at(ratio), chartTop-8, s.at(ratio), height-8, s.at(ratio), chartTop-14, ratio)
	}
}

// mark draws a ratio. Its title is seen where the chart is opened by itself.
func (s scale) mark(b *strings.Builder, y int, r Result) {
	fmt.Fprintf(b, `<path class="mark %s" transform="translate(%.1f,%d)" d="%s"><title>%s %.2f (%.2f–%.2f)</title></path>`+"\n",
		r.verdict(), s.at(r.Ratio), y, kindOf(r.Peer).path, html.EscapeString(r.Peer), r.Ratio, r.Low, r.High)
}
