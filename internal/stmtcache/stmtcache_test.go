package stmtcache_test

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend/internal/stmtcache"
)

// A driver.Stmt can be cached as it is.
var _ = stmtcache.New[driver.Stmt]

type statement struct {
	text   string
	closed int
	err    error
}

func (s *statement) Close() error {
	s.closed++
	return s.err
}

func add(t *testing.T, c *stmtcache.Cache[*statement], text string) *stmtcache.Entry[*statement] {
	t.Helper()
	e, err := c.Add(text, &statement{text: text})
	require.NoError(t, err)
	return e
}

func addIdle(t *testing.T, c *stmtcache.Cache[*statement], text string) *statement {
	t.Helper()
	e := add(t, c, text)
	require.NoError(t, c.Release(e))
	return e.Stmt
}

func TestCacheEvictsLeastRecentlyUsed(t *testing.T) {
	t.Parallel()
	c := stmtcache.New[*statement](2)
	a := addIdle(t, c, "a")
	b := addIdle(t, c, "b")

	e := c.Acquire("a") // now b is the oldest
	require.Same(t, a, e.Stmt)
	require.NoError(t, c.Release(e))

	addIdle(t, c, "c")
	require.Equal(t, 1, b.closed)
	require.Zero(t, a.closed)
	require.Equal(t, 2, c.Len())
	require.Nil(t, c.Acquire("b"))
	require.NotNil(t, c.Acquire("a"))
	require.NotNil(t, c.Acquire("c"))
}

func TestCacheDoesNotCloseWhatIsInUse(t *testing.T) {
	t.Parallel()

	t.Run("eviction takes the oldest idle one", func(t *testing.T) {
		t.Parallel()
		c := stmtcache.New[*statement](2)
		a := add(t, c, "a")
		b := addIdle(t, c, "b")
		addIdle(t, c, "c")
		require.Zero(t, a.Stmt.closed)
		require.Equal(t, 1, b.closed)
		require.NoError(t, c.Release(a))
		require.Zero(t, a.Stmt.closed, "it is still in the cache")
		require.NotNil(t, c.Acquire("a"))
	})
	t.Run("a full cache of busy ones takes no more", func(t *testing.T) {
		t.Parallel()
		c := stmtcache.New[*statement](1)
		a := add(t, c, "a")
		b := add(t, c, "b")
		require.Equal(t, 1, c.Len())
		require.Zero(t, b.Stmt.closed)
		require.NoError(t, c.Release(b))
		require.Equal(t, 1, b.Stmt.closed, "nobody else will close it")
		require.NoError(t, c.Release(a))
		require.Zero(t, a.Stmt.closed)
	})
	t.Run("the same text again gets a statement of its own", func(t *testing.T) {
		t.Parallel()
		c := stmtcache.New[*statement](4)
		first := add(t, c, "a")
		require.Nil(t, c.Acquire("a"))
		second := add(t, c, "a")
		require.NotSame(t, first.Stmt, second.Stmt)
		require.NoError(t, c.Release(second))
		require.Equal(t, 1, second.Stmt.closed)
		require.Zero(t, first.Stmt.closed)
		require.Equal(t, 1, c.Len())
	})
	t.Run("removed while in use", func(t *testing.T) {
		t.Parallel()
		c := stmtcache.New[*statement](4)
		a := add(t, c, "a")
		require.NoError(t, c.Remove(a))
		require.Zero(t, a.Stmt.closed)
		require.Zero(t, c.Len())
		require.NoError(t, c.Release(a))
		require.NoError(t, c.Release(a))
		require.NoError(t, c.Remove(a))
		require.Equal(t, 1, a.Stmt.closed)
	})
	t.Run("cleared while in use", func(t *testing.T) {
		t.Parallel()
		c := stmtcache.New[*statement](4)
		a, b := add(t, c, "a"), addIdle(t, c, "b")
		require.NoError(t, c.Clear())
		require.Zero(t, a.Stmt.closed)
		require.Equal(t, 1, b.closed)
		require.NoError(t, c.Release(a))
		require.Equal(t, 1, a.Stmt.closed)
	})
}

func TestCacheForgetClosesNothing(t *testing.T) {
	t.Parallel()
	c := stmtcache.New[*statement](4)
	a, b := add(t, c, "a"), addIdle(t, c, "b")
	c.Forget()
	require.Zero(t, c.Len())
	require.NoError(t, c.Release(a))
	require.Zero(t, a.Stmt.closed)
	require.Zero(t, b.closed)
	require.Nil(t, c.Acquire("b"))
}

func TestCacheReplacesAnIdleStatement(t *testing.T) {
	t.Parallel()
	c := stmtcache.New[*statement](4)
	old := addIdle(t, c, "a")
	fresh := addIdle(t, c, "a")
	require.Equal(t, 1, old.closed)
	require.Same(t, fresh, c.Acquire("a").Stmt)
	require.Equal(t, 1, c.Len())
}

func TestCacheReturnsTheErrorOfClosing(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	c := stmtcache.New[*statement](1)
	e, err := c.Add("a", &statement{err: broken})
	require.NoError(t, err)
	require.NoError(t, c.Release(e))

	b, err := c.Add("b", &statement{err: broken})
	require.ErrorIs(t, err, broken)
	require.NotNil(t, b)
	require.NoError(t, c.Release(b))
	require.ErrorIs(t, c.Clear(), broken)
}

func TestNewRefusesACapacityBelowOne(t *testing.T) {
	t.Parallel()
	require.PanicsWithValue(t, "backend: statement cache capacity 0: set it to 1 or more", func() {
		stmtcache.New[*statement](0)
	})
}

// Against a model: whatever the order of calls, each statement is closed at most
// once, none while it is in use, and in the end every one that the cache does
// not hold was closed.
func TestCacheKeepsItsBooks(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 1))
		c := stmtcache.New[*statement](1 + rng.IntN(4))
		var made []*statement
		var inUse []*stmtcache.Entry[*statement]
		for range 200 {
			text := fmt.Sprint(rng.IntN(8))
			switch rng.IntN(5) {
			case 0, 1, 2:
				e := c.Acquire(text)
				if e == nil {
					e = add(t, c, text)
					made = append(made, e.Stmt)
				}
				inUse = append(inUse, e)
			case 3:
				if len(inUse) > 0 {
					i := rng.IntN(len(inUse))
					require.NoError(t, c.Release(inUse[i]))
					inUse = append(inUse[:i], inUse[i+1:]...)
				}
			case 4:
				if len(inUse) > 0 && rng.IntN(4) == 0 {
					require.NoError(t, c.Remove(inUse[rng.IntN(len(inUse))]))
				}
			}
			for _, e := range inUse {
				require.Zero(t, e.Stmt.closed, "seed %d: closed in use", seed)
			}
		}
		for _, e := range inUse {
			require.NoError(t, c.Release(e))
		}
		require.NoError(t, c.Clear())
		for _, s := range made {
			require.Equal(t, 1, s.closed, "seed %d", seed)
		}
	}
}

func TestAcquireDoesNotAllocate(t *testing.T) {
	c := stmtcache.New[*statement](4)
	addIdle(t, c, "a")
	addIdle(t, c, "b")
	allocs := testing.AllocsPerRun(100, func() {
		for _, text := range []string{"a", "b"} {
			if e := c.Acquire(text); e == nil || c.Release(e) != nil {
				t.Fatal(text)
			}
		}
	})
	require.Zero(t, allocs)
}

func ExampleCache() {
	cache := stmtcache.New[*statement](100)
	run := func(text string) {
		e := cache.Acquire(text)
		if e == nil {
			fmt.Println("prepare", text)
			e, _ = cache.Add(text, &statement{text: text})
		}
		defer cache.Release(e)
		fmt.Println("run", e.Stmt.text)
	}
	run("SELECT 1")
	run("SELECT 1")
	// Output:
	// prepare SELECT 1
	// run SELECT 1
	// run SELECT 1
}
