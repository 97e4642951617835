// Package pace bounds how long a peer can keep others waiting without progress,
// however much there is to send: a limit of the total time either cuts large transfers
// or lets slow peers stay.
package pace

import "time"

// Floor is the progress in bytes per second that costs no patience. The slowest
// mobile networks have several times that.
const Floor = 1 << 10

// Budget is the time for which a peer can be waited for: a bucket that waiting empties
// and progress fills. Its methods are not safe for concurrent use.
type Budget struct {
	most, left time.Duration
	rest       int64 // bytes of progress that have not filled a second
}

// Reset fills the bucket, which holds most from then on.
func (b *Budget) Reset(most time.Duration) { *b = Budget{most: most, left: most} }

// Most returns how much the bucket holds.
func (b *Budget) Most() time.Duration { return b.most }

// Left returns the time that is left.
func (b *Budget) Left() time.Duration { return b.left }

// Spend takes the time that was waited, and gives a second for each Floor bytes.
func (b *Budget) Spend(waited time.Duration, bytes int64) {
	b.left -= waited
	bytes += b.rest
	seconds := bytes / Floor
	b.rest = bytes % Floor
	if need := b.most - b.left; seconds > int64(need/time.Second) {
		b.left = b.most
	} else {
		b.left += time.Duration(seconds) * time.Second
	}
}

// A Limiter limits the reading of a request's body.
type Limiter interface {
	// LimitBody gives the body of the current request a budget of most.
	LimitBody(most time.Duration)
}
