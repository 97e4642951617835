// Package gcra limits rates per key in constant memory.
//
// The algorithm is the generic cell rate algorithm (ITU-T I.371, virtual
// scheduling): a key has a theoretical arrival time (TAT), the moment at which
// its bucket will be empty. An event is allowed if the TAT is at most
// (burst-1) intervals ahead, and moves it one interval further.
//
// # Memory
//
// A map from key to TAT would grow with the number of keys, which an attacker chooses.
// A bounded map would forget keys, and an attacker could make it forget a key, which
// then has its whole burst again. So there is no map: TATs are stored like the counters
// of a count-min sketch with conservative update. A key has four cells, found by a hash
// with a secret seed, and shares each with other keys by chance. Its TAT is the earliest
// of its four cells. An event moves those of the four that are earlier than the new TAT
// to the new TAT.
//
// It follows that
//   - a cell is never earlier than any of its keys' own TATs, so that no key is
//     ever allowed more than its rate: nothing is evicted, and nothing another
//     key does makes a cell earlier;
//   - a key is refused too early only if all four of its cells are shared with
//     keys that are over their limit at that moment. With n such keys among the
//     131,072 cells that takes chance (n/32,768)⁴ or so: 10⁻⁸ at 300 keys, 10⁻⁴ at 3,300.
//
// The four cells lie in one shard with one lock, so that parallel events of one
// key are counted one by one.
package gcra

import (
	"hash/maphash"
	"sync"
	"time"
)

const (
	shardBits = 6
	cellBits  = 11
	rows      = 4
)

// Limiter limits the rate of each key. It is safe for concurrent use.
type Limiter struct {
	interval int64 // between events, ns
	tolerate int64 // how far ahead a TAT may be, ns
	start    time.Time
	seed     maphash.Seed
	shards   [1 << shardBits]shard
}

type shard struct {
	mu    sync.Mutex
	cells [1 << cellBits]int64 // TATs, ns since start
}

// New returns a limiter that allows burst events of a key at once, and one more per
// interval. Both must be positive, and their product must be below 2^62 ns.
func New(interval time.Duration, burst int) *Limiter {
	return &Limiter{
		interval: int64(interval),
		tolerate: int64(interval) * int64(burst-1),
		start:    time.Now(),
		seed:     maphash.MakeSeed(),
	}
}

// Allow counts an event of key at the time now, and reports whether it is
// within the rate. If not, it is not counted, and wait is the time after which an event
// would be allowed.
func (l *Limiter) Allow(key []byte, now time.Time) (wait time.Duration, ok bool) {
	hash := maphash.Bytes(l.seed, key)
	s := &l.shards[hash&(1<<shardBits-1)]
	cells := place(hash >> shardBits)
	t := int64(now.Sub(l.start))

	s.mu.Lock()
	defer s.mu.Unlock()
	tat := s.cells[cells[0]]
	for _, i := range cells[1:] {
		tat = min(tat, s.cells[i])
	}
	if ahead := tat - t; ahead > l.tolerate {
		return time.Duration(ahead - l.tolerate), false
	}
	tat = max(tat, t) + l.interval
	for _, i := range cells {
		s.cells[i] = max(s.cells[i], tat)
	}
	return 0, true
}

// place returns the cells of a hash: one in each quarter of the shard, so that
// a key's cells are never one and the same.
func place(hash uint64) (cells [rows]int) {
	const quarter = cellBits - 2
	for row := range cells {
		cells[row] = row<<quarter | int(hash&(1<<quarter-1))
		hash >>= quarter
	}
	return cells
}
