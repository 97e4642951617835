package admission

import (
	"math"
	"runtime/debug"
	"sync"
)

// Memory is an amount of memory that requests share. One client has at most three quarters
// of it. It is safe for concurrent use.
type Memory struct {
	size int64

	mu    sync.Mutex
	taken int64
	by    map[client]int64 // those of clients that have some
}

// NewMemory returns a Memory of so many bytes. With 0, they are 256 MiB, or an eighth of the
// memory limit of the Go runtime if that is less.
func NewMemory(bytes int64) *Memory {
	if bytes == 0 {
		bytes = min(256<<20, debug.SetMemoryLimit(-1)/8)
	}
	return &Memory{size: bytes, by: map[client]int64{}}
}

const (
	freeMemory = 16 << 10 // of each request, about what its connection takes
	memoryStep = 16 << 10 // so that requests seldom meet at the counters
)

// Portion is what one request has of a [Memory]. The zero value is a request that has any
// amount. It is not safe for concurrent use.
type Portion struct {
	memory *Memory
	client client
	used   int64 // what the request has asked for
	taken  int64 // what it has of the memory
}

// Begin returns a Portion for a request of the client with the key.
func (m *Memory) Begin(key [16]byte) Portion {
	return Portion{memory: m, client: key}
}

// Use counts n bytes more. It reports false, and changes nothing, if there are not so many.
func (p *Portion) Use(n int64) bool {
	if p.memory == nil {
		return true
	}
	if n > math.MaxInt64/2-p.used {
		return false
	}
	if missing := p.used + n - freeMemory - p.taken; missing > 0 {
		missing = (missing + memoryStep - 1) / memoryStep * memoryStep
		if !p.memory.take(p.client, missing) {
			return false
		}
		p.taken += missing
	}
	p.used += n
	return true
}

// Used returns how many bytes were counted.
func (p *Portion) Used() int64 { return p.used }

// Shrink forgets all but n of the bytes that were counted. They stay the request's.
func (p *Portion) Shrink(n int64) { p.used = min(p.used, n) }

// End gives everything back.
func (p *Portion) End() {
	if p.taken > 0 {
		p.memory.give(p.client, p.taken)
	}
	*p = Portion{}
}

func (m *Memory) take(client client, n int64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if n > m.size-m.size/4-m.by[client] || n > m.size-m.taken {
		return false
	}
	m.by[client] += n
	m.taken += n
	return true
}

func (m *Memory) give(client client, n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.taken -= n
	if m.by[client] -= n; m.by[client] == 0 {
		delete(m.by, client)
	}
}
