package response

import (
	"strings"

	"github.com/seed-215b9b7c/backend/internal/header"
)

// A coding is a content coding (RFC 9110, section 8.4.1).
type coding uint8

const (
	identity coding = iota
	gzipped
	zstandard

	codingCount
)

var contentEncoding = [codingCount][]string{gzipped: {"gzip"}, zstandard: {"zstd"}}

// acceptedCoding returns the coding that Accept-Encoding lines prefer. If there are
// none, or if they are malformed, it is identity: RFC 9110 allows all codings then,
// but clients that send no Accept-Encoding seldom decode one.
func acceptedCoding(lines []string) coding {
	weights := codingWeights(lines)
	best, most := identity, weights[identity]
	for _, c := range [...]coding{zstandard, gzipped} {
		// With the same weight as identity, it is preferred.
		if weight := weights[c]; weight > 0 && (weight > most || weight == most && best == identity) {
			best, most = c, weight
		}
	}
	return best
}

// Codings are the names of the content codings that responses are compressed with.
var Codings = []string{contentEncoding[gzipped][0], contentEncoding[zstandard][0]}

// AcceptableCodings returns those of [Codings] that Accept-Encoding lines allow.
func AcceptableCodings(lines []string) (names []string) {
	for c, weight := range codingWeights(lines) {
		if coding(c) != identity && weight > 0 {
			names = append(names, contentEncoding[c][0])
		}
	}
	return names
}

// codingWeights returns the weights of Accept-Encoding lines in thousandths. 0 means
// not acceptable, except for identity, where it also means not listed.
func codingWeights(lines []string) (weights [codingCount]int) {
	const unlisted = -1
	weights[gzipped], weights[zstandard] = unlisted, unlisted
	others := 0
	for c := header.Choices(lines); c.Next(); {
		switch {
		case c.Params: // codings have none
		case c.Value == "*":
			others = c.Weight
		case strings.EqualFold(c.Value, "gzip"), strings.EqualFold(c.Value, "x-gzip"):
			weights[gzipped] = c.Weight
		case strings.EqualFold(c.Value, "zstd"):
			weights[zstandard] = c.Weight
		case strings.EqualFold(c.Value, "identity"):
			weights[identity] = c.Weight
		}
	}
	for c, weight := range weights {
		if weight == unlisted {
			weights[c] = others
		}
	}
	return weights
}
