package backend_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
)

// TestPasswordsAtOnce: 500 people sign in at the same time. The memory stays within its bound,
// and those who would wait for long are told to come again. Not parallel: it looks at the
// memory of the process.
func TestPasswordsAtOnce(t *testing.T) {
	const each = 19 << 20
	h := backend.NewPasswordHasher(backend.PasswordConfig{Memory: 2 * each, QueueWait: 200 * time.Millisecond})
	hash, err := h.Hash(t.Context(), "a long password")
	require.NoError(t, err)
	runtime.GC()
	var before, now runtime.MemStats
	runtime.ReadMemStats(&before)
	var verified, refused atomic.Int32
	var all sync.WaitGroup
	for range 500 {
		all.Go(func() {
			ok, err := h.Verify(t.Context(), hash, "a long password")
			var busy *backend.Error
			switch {
			case ok && err == nil:
				verified.Add(1)
			case errors.As(err, &busy) && busy.Code == backend.Unavailable && busy.RetryAfter > 0:
				refused.Add(1)
			default:
				t.Errorf("%v, %v", ok, err)
			}
		})
	}
	done := make(chan struct{})
	go func() { all.Wait(); close(done) }()
	most := uint64(0)
	for ended := false; !ended; {
		select {
		case <-done:
			ended = true
		case <-time.After(5 * time.Millisecond):
		}
		runtime.ReadMemStats(&now)
		most = max(most, now.HeapAlloc-min(now.HeapAlloc, before.HeapAlloc))
	}
	require.Positive(t, verified.Load())
	require.Positive(t, refused.Load())
	// Two run, and the collector has not freed all that have ended.
	require.Less(t, most, uint64(8*each))
}

func TestPasswords(t *testing.T) {
	t.Parallel()
	h := backend.NewPasswordHasher(backend.PasswordConfig{})
	hash, err := h.Hash(t.Context(), " Passwörter werden nicht gekürzt\x00 ")
	require.NoError(t, err)
	verify := func(hash, password string) bool {
		ok, err := h.Verify(t.Context(), hash, password)
		require.NoError(t, err)
		return ok
	}
	require.True(t, verify(hash, " Passwörter werden nicht gekürzt\x00 "))
	for _, wrong := range []string{"Passwörter werden nicht gekürzt\x00", " Passwörter werden nicht gekürzt", "", strings.Repeat("x", 2000)} {
		require.False(t, verify(hash, wrong), wrong)
	}
	require.True(t, h.IsCurrent(hash))

	require.False(t, verify("", ""), "an unknown account has no password, not even an empty one")
	require.False(t, verify("", "x"))

	old := "$2y$06$fhmf7a2tfDZuSLxH6P2WsOpA9gNeEZMYUMzpR8Pl8EDG5PxXw7aeW"
	require.True(t, verify(old, "correct horse"))
	require.False(t, h.IsCurrent(old))
	require.False(t, h.IsCurrent(""))

	_, err = h.Verify(t.Context(), "5f4dcc3b5aa765d61d8327deb882cf99", "password")
	require.Equal(t, backend.Internal, backend.CodeOf(err))
	require.ErrorContains(t, err, "no form that is known")
	require.NotContains(t, err.Error(), "5f4dcc")

	long := strings.Repeat("x", 1024)
	hash, err = h.Hash(t.Context(), long)
	require.NoError(t, err)
	require.True(t, verify(hash, long))
	require.False(t, verify(hash, long[:1023]))
	_, err = h.Hash(t.Context(), long+"x")
	require.Equal(t, backend.Invalid, backend.CodeOf(err))
}

// TestPasswordsOfLargeHashes: a hash that takes more than all of the memory is verified alone,
// and two of them do not wait for each other for ever.
func TestPasswordsOfLargeHashes(t *testing.T) {
	t.Parallel()
	const each = 19 << 20
	h := backend.NewPasswordHasher(backend.PasswordConfig{Memory: 2 * each, QueueWait: time.Minute})
	large := "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQxMjM0NTY3OA$B/amrRUxAwSCPRgKPr7MsU9bSHzgXripXVHqfXK0H2I"
	var all sync.WaitGroup
	for range 6 {
		all.Go(func() {
			if ok, err := h.Verify(t.Context(), large, "correct horse"); !ok || err != nil {
				t.Error(ok, err)
			}
		})
	}
	all.Wait()
}

func TestPasswordsWaitNoLongerThanTheirContext(t *testing.T) {
	t.Parallel()
	h := backend.NewPasswordHasher(backend.PasswordConfig{Memory: 19 << 20, QueueWait: time.Minute})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var all sync.WaitGroup
	var canceled atomic.Int32
	for range 20 {
		all.Go(func() {
			if _, err := h.Hash(ctx, "x"); errors.Is(err, context.Canceled) {
				canceled.Add(1)
			}
		})
	}
	all.Wait()
	require.Positive(t, canceled.Load())
}

func TestPasswordConfig(t *testing.T) {
	t.Parallel()
	require.PanicsWithValue(t, "backend: NewPasswordHasher: PasswordConfig.Memory 1048576 is too little for one hash, which takes 19922944; PasswordConfig.QueueWait -1s is not positive",
		func() { backend.NewPasswordHasher(backend.PasswordConfig{Memory: 1 << 20, QueueWait: -time.Second}) })
}
