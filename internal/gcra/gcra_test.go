package gcra

import (
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// bucket is the textbook leaky bucket as a meter: what GCRA is equal to (ITU-T
// I.371, annex A), kept per key in a map. Levels are in nanoseconds.
type bucket struct {
	level, at, capacity, interval int64
}

func (b *bucket) allow(now int64) bool {
	b.level = max(0, b.level-(now-b.at))
	b.at = now
	if b.level > b.capacity-b.interval {
		return false
	}
	b.level += b.interval
	return true
}

func key(n int) []byte { return binary.BigEndian.AppendUint64(nil, uint64(n)) }

// With few keys, whose cells are shared by nobody, the limiter equals the map
// of buckets event by event.
func TestEqualsLeakyBuckets(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for range 100 {
		interval, burst := time.Duration(1+random.IntN(1e9)), 1+random.IntN(20)
		l := New(interval, burst)
		buckets := map[int]*bucket{}
		now := l.start
		for range 2000 {
			now = now.Add(time.Duration(random.Int64N(int64(interval))))
			k := random.IntN(5)
			if buckets[k] == nil {
				buckets[k] = &bucket{capacity: int64(interval) * int64(burst), interval: int64(interval)}
			}
			want := buckets[k].allow(int64(now.Sub(l.start)))
			wait, ok := l.Allow(key(k), now)
			require.Equal(t, want, ok)
			require.Equal(t, ok, wait == 0)
			if !ok { // the wait is exact: a moment before is too early
				require.LessOrEqual(t, wait, interval)
				before, later := *buckets[k], *buckets[k]
				require.False(t, before.allow(int64(now.Sub(l.start)+wait)-1))
				require.True(t, later.allow(int64(now.Sub(l.start)+wait)))
			}
		}
	}
}

// However many keys there are, none gets more than its rate: what the limiter
// allows, the key's own bucket allows.
func TestNeverAllowsMoreThanTheRate(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	const interval, burst = time.Second, 5
	l := New(interval, burst)
	buckets := map[int]*bucket{}
	now := l.start
	for range 150_000 {
		now = now.Add(time.Duration(random.IntN(100_000)))
		k := random.IntN(200_000)
		if random.IntN(2) == 0 {
			k = random.IntN(10) // the attackers among the flood
		}
		if buckets[k] == nil {
			buckets[k] = &bucket{capacity: int64(interval) * burst, interval: int64(interval)}
		}
		if _, ok := l.Allow(key(k), now); ok {
			require.True(t, buckets[k].allow(int64(now.Sub(l.start))))
		}
	}
}

// A flood from other keys does not give a limited key its rate back, as the
// eviction of a cache would.
func TestAFloodResetsNobody(t *testing.T) {
	t.Parallel()
	l := New(time.Hour, 1)
	now := l.start
	_, ok := l.Allow(key(-1), now)
	require.True(t, ok)
	for k := range 500_000 {
		l.Allow(key(k), now)
	}
	_, ok = l.Allow(key(-1), now)
	require.False(t, ok)
}

// The chance in the package comment, for 3,300 keys over their limit: 10⁻⁴.
func TestStrangersAreSeldomRefused(t *testing.T) {
	t.Parallel()
	l := New(time.Hour, 1)
	now := l.start
	for k := range 3300 {
		l.Allow(key(k), now)
	}
	refused := 0
	for k := range 300 {
		if _, ok := l.Allow(key(1_000_000+k), now); !ok {
			refused++
		}
	}
	require.Less(t, refused, 10, "less than one is expected")
}

func TestParallelEventsAreCountedOneByOne(t *testing.T) {
	t.Parallel()
	const burst = 500
	l := New(time.Hour, burst)
	var allowed atomic.Int64
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 200 {
				if _, ok := l.Allow(key(1), l.start); ok {
					allowed.Add(1)
				}
			}
		})
	}
	group.Wait()
	require.EqualValues(t, burst, allowed.Load())
}

func TestCellsOfAKeyDiffer(t *testing.T) {
	t.Parallel()
	for range 10_000 {
		cells := place(rand.Uint64())
		seen := map[int]bool{}
		for _, i := range cells {
			require.False(t, seen[i])
			require.Less(t, i, 1<<cellBits)
			seen[i] = true
		}
	}
}

func TestAllowAllocatesNothing(t *testing.T) {
	l := New(time.Millisecond, 10)
	k := key(1)
	now := l.start
	allowed := 0
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if _, ok := l.Allow(k, now); ok {
			allowed++
		}
	}))
	require.Equal(t, 10, allowed, "both outcomes are measured")
}

func BenchmarkAllow(b *testing.B) {
	l := New(time.Nanosecond, 10)
	k := key(1)
	now := time.Now()
	for b.Loop() {
		l.Allow(k, now)
	}
}
