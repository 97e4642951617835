package admission_test

import (
	"math"
	"runtime/debug"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend/internal/admission"
)

func requireNoneTaken(t *testing.T, m *admission.Memory) {
	t.Helper()
	taken, clients := m.Taken()
	require.Zero(t, taken)
	require.Zero(t, clients)
}

func TestMemory(t *testing.T) {
	t.Parallel()
	m := admission.NewMemory(1 << 20)
	a := m.Begin([16]byte{1})
	require.True(t, a.Use(16<<10))
	requireNoneTaken(t, m) // the first 16 KiB are free
	require.False(t, a.Use(math.MaxInt64))
	require.False(t, a.Use(1<<20))
	require.True(t, a.Use(500<<10))
	taken, clients := m.Taken()
	require.LessOrEqual(t, int64(500<<10), taken)
	require.Equal(t, 1, clients)
	require.False(t, a.Use(400<<10), "a client has three quarters")
	b := m.Begin([16]byte{2})
	require.True(t, b.Use(400<<10))
	require.EqualValues(t, 516<<10, a.Used())
	a.Shrink(16 << 10)
	require.True(t, a.Use(500<<10), "it still has them")
	a.End()
	b.End()
	requireNoneTaken(t, m)
	var any admission.Portion
	require.True(t, any.Use(1<<40))
	any.End()
}

func TestMemoryIsCountedRight(t *testing.T) {
	t.Parallel()
	m := admission.NewMemory(1 << 20)
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			for range 1000 {
				p := m.Begin([16]byte{byte(i)})
				for p.Use(50 << 10) {
				}
				p.End()
			}
		})
	}
	all.Wait()
	requireNoneTaken(t, m)
}

// What one client has is never taken for another one's.
func TestMemoryKnowsAllClients(t *testing.T) {
	t.Parallel()
	m := admission.NewMemory(1 << 20)
	a := m.Begin([16]byte{1})
	require.True(t, a.Use(780<<10))
	for i := range 1 << 14 {
		p := m.Begin([16]byte{2, byte(i >> 8), byte(i)})
		require.True(t, p.Use(32<<10), "client %d", i)
		p.End()
	}
	_, clients := m.Taken()
	require.Equal(t, 1, clients)
	a.End()
	requireNoneTaken(t, m)
}

func TestMemoryFollowsTheLimitOfTheRuntime(t *testing.T) { // not parallel: the limit is the process's
	before := debug.SetMemoryLimit(64 << 20)
	m := admission.NewMemory(0)
	debug.SetMemoryLimit(before)
	p := m.Begin([16]byte{})
	require.True(t, p.Use(6<<20))
	require.False(t, p.Use(1<<20), "three quarters of an eighth")
}
