package jsonlog_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend/internal/jsonlog"
)

// log is a writer that can be held, and that fails while it has an error.
type log struct {
	mu     sync.Mutex
	text   bytes.Buffer
	writes int
	held   chan struct{}
	fail   func() error
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	held, fail := l.held, l.fail
	l.mu.Unlock()
	if held != nil {
		<-held
	}
	if fail != nil {
		if err := fail(); err != nil {
			return 0, err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.writes++
	return l.text.Write(p)
}

func (l *log) set(held chan struct{}, fail func() error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held, l.fail = held, fail
}

func (l *log) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.writes
}

func (l *log) lines() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Split(strings.TrimSpace(l.text.String()), "\n")
}

var noTime time.Time

func later(h *jsonlog.Handler, message string) {
	h.Later(context.Background(), noTime, slog.LevelInfo, message, nil)
}

func line(message string) string { return `{"level":"INFO","msg":"` + message + `"}` }

func TestRecordsAreWrittenTogetherAndInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := new(log)
		h := jsonlog.New(w, nil)
		later(h, "1")
		later(h, "2")
		time.Sleep(jsonlog.Delay - time.Nanosecond)
		synctest.Wait()
		require.Zero(t, w.count())
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		require.Equal(t, 1, w.count())
		later(h, "3")
		require.NoError(t, h.Handle(t.Context(), slog.NewRecord(noTime, slog.LevelInfo, "4", 0)))
		require.Equal(t, []string{line("1"), line("2"), line("3"), line("4")}, w.lines())
		require.Equal(t, 2, w.count())
		time.Sleep(jsonlog.Delay)
		synctest.Wait()
		require.Equal(t, 2, w.count(), "nothing waits")
		later(h, "5")
		require.NoError(t, h.Flush())
		require.Equal(t, 3, w.count())
		require.NoError(t, h.Flush())
		require.Equal(t, 3, w.count())
	})
}

func TestMuchIsWrittenAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := new(log)
		h := jsonlog.New(w, nil)
		for range 80 {
			later(h, strings.Repeat("x", 1000))
		}
		synctest.Wait() // no time passes
		require.Positive(t, w.count())
		require.NoError(t, h.Flush())
		require.Len(t, w.lines(), 80)
	})
}

// A log that stands still is waited for once. What then waits is bounded, and what is lost
// is counted.
func TestLogThatStandsStill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := new(log)
		h := jsonlog.New(w, nil)
		open := make(chan struct{})
		w.set(open, nil)
		began := time.Now()
		require.NoError(t, h.Handle(t.Context(), slog.NewRecord(noTime, slog.LevelInfo, "first", 0)))
		require.Equal(t, jsonlog.Patience, time.Since(began))
		long := strings.Repeat("x", 1000)
		n := jsonlog.Waiting / len(line(long)+"\n")
		for range n + 7 {
			later(h, long)
		}
		require.Error(t, h.Flush())
		require.Equal(t, jsonlog.Patience, time.Since(began), "nobody waits again")
		close(open)
		w.set(nil, nil)
		synctest.Wait()
		require.NoError(t, h.Flush())
		lines := w.lines()
		require.Len(t, lines, 1+n+1)
		require.Contains(t, lines[n+1], `"level":"WARN","msg":"log records were lost","count":7}`)
	})
}

// Too many records wait for room while the log goes on.
func TestSlowLogLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := new(log)
		h := jsonlog.New(w, nil)
		w.set(nil, func() error { time.Sleep(jsonlog.Patience / 2); return nil })
		long := strings.Repeat("x", 10000)
		for range 500 {
			later(h, long)
		}
		require.NoError(t, h.Flush())
		require.Len(t, w.lines(), 500)
	})
}

func TestLogThatFails(t *testing.T) {
	for name, fail := range map[string]func() error{
		"error": func() error { return errors.New("no space") },
		"panic": func() error { panic("broken") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := new(log)
				h := jsonlog.New(w, nil)
				w.set(nil, fail)
				later(h, "lost")
				later(h, "lost")
				require.Error(t, h.Flush())
				w.set(nil, nil)
				require.NoError(t, h.Handle(t.Context(), slog.NewRecord(noTime, slog.LevelInfo, "seen", 0)))
				synctest.Wait()
				lines := w.lines()
				require.Len(t, lines, 2)
				require.Equal(t, line("seen"), lines[0])
				require.Contains(t, lines[1], `"count":2}`)
			})
		})
	}
}

// stubborn is a value that logs while it is logged.
type stubborn struct{ logger *slog.Logger }

func (s stubborn) LogValue() slog.Value {
	s.logger.Info("inside")
	return slog.StringValue("outside")
}

func TestValueThatLogs(t *testing.T) {
	t.Parallel()
	w := new(log)
	logger := slog.New(jsonlog.New(w, nil))
	logger.Info("x", "v", stubborn{logger})
	require.Len(t, w.lines(), 2)
}

// attrs has attributes of all kinds, with a text in some of them.
func attrs(text string, n int64) []slog.Attr {
	return []slog.Attr{
		slog.String("s", text), slog.Int64("i", n), slog.Uint64("u", uint64(n)), slog.Bool("b", n%2 == 0), slog.Duration("d", time.Duration(n)),
		slog.Time("t", time.Unix(n%(1<<36), n%1e9)), slog.String(text, "key"), slog.Float64("f", math.Float64frombits(uint64(n))),
		slog.Any("e", errors.New(text)), slog.Any("n", nil), slog.Group("g", slog.String("in", text)), {}, slog.String("", "empty key"),
	}
}

// The lines are those of slog, however they are made.
func FuzzLines(f *testing.F) {
	f.Add("plain", int64(7), int64(1), uint(0))
	f.Add("quotes \" and \\ \x00 \n é \xff  <&>", int64(-1), int64(math.MaxInt64), uint(5))
	f.Fuzz(func(t *testing.T, text string, n, at int64, which uint) {
		all := attrs(text, n)
		with, in := all[:which%3], all[which%uint(len(all)):]
		when := time.Unix(at%(1<<40), 5)
		level := slog.Level(n % 16)
		for name, options := range map[string]*slog.HandlerOptions{
			"plain":   {Level: slog.LevelDebug - 16},
			"replace": {Level: slog.LevelDebug - 16, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr { a.Key += "!"; return a }},
		} {
			for _, group := range []string{"", "group"} {
				var got, want bytes.Buffer
				ours := jsonlog.New(&got, options)
				h := ours.WithAttrs(with).WithGroup(group).(*jsonlog.Handler)
				h.Later(t.Context(), when, level, text, in)
				require.NoError(t, h.Flush())
				record := slog.NewRecord(when, level, text, 0)
				record.AddAttrs(in...)
				require.NoError(t, slog.NewJSONHandler(&want, options).WithAttrs(with).WithGroup(group).Handle(t.Context(), record))
				require.Equal(t, want.String(), got.String(), name+group)
			}
		}
	})
}

// marshaled is an error with JSON of its own.
type marshaled struct{ error }

func (marshaled) MarshalJSON() ([]byte, error) { return []byte(`{"own":true}`), nil }

// valued is an error with a value for logs.
type valued struct{ error }

func (valued) LogValue() slog.Value { return slog.IntValue(7) }

// fragile is an error that panics.
type fragile struct{ text *string }

func (f *fragile) Error() string { return *f.text }

// The text of an error is that of slog, whatever is in it.
func TestErrorsAreThoseOfSlog(t *testing.T) {
	t.Parallel()
	for name, value := range map[string]any{
		"plain": errors.New("invalid: /title: must not be empty"), "empty": errors.New(""),
		"quotes": errors.New(`"begins, \ within, ends"`), "control": errors.New("two\nlines\x7f"), "not ASCII": errors.New("é <&> \xff"),
		"JSON": marshaled{io.EOF}, "value": valued{io.EOF}, "panics": &fragile{}, "nil pointer": (*fragile)(nil), "no error": 7.5, "nil": nil,
	} {
		t.Run(name, func(t *testing.T) {
			var got, want bytes.Buffer
			h := jsonlog.New(&got, nil)
			h.Later(t.Context(), noTime, slog.LevelInfo, "request", []slog.Attr{slog.Any("error", value)})
			require.NoError(t, h.Flush())
			record := slog.NewRecord(noTime, slog.LevelInfo, "request", 0)
			record.AddAttrs(slog.Any("error", value))
			require.NoError(t, slog.NewJSONHandler(&want, nil).Handle(t.Context(), record))
			require.Equal(t, want.String(), got.String())
		})
	}
}

func TestLevels(t *testing.T) {
	t.Parallel()
	h := jsonlog.New(io.Discard, nil)
	require.True(t, h.Enabled(t.Context(), slog.LevelInfo))
	require.False(t, h.Enabled(t.Context(), slog.LevelDebug))
	h = jsonlog.New(io.Discard, &slog.HandlerOptions{Level: slog.LevelWarn})
	require.False(t, h.Enabled(t.Context(), slog.LevelInfo))
}

func TestLaterAllocatesNothing(t *testing.T) { // not parallel: it counts allocations
	info, _ := debug.ReadBuildInfo()
	if slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		t.Skip("under the race detector sync.Pool forgets on purpose")
	}
	h := jsonlog.New(io.Discard, nil)
	all := append(attrs("text", 7)[:6], slog.Any("error", io.ErrUnexpectedEOF))
	for range 2000 {
		h.Later(t.Context(), time.Now(), slog.LevelInfo, "request", all)
	}
	require.Less(t, testing.AllocsPerRun(2000, func() { h.Later(t.Context(), time.Now(), slog.LevelInfo, "request", all) }), 1.0)
}

func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	w := new(log)
	h := jsonlog.New(w, nil)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for k := range 200 {
				later(h, fmt.Sprint(i, "-", k))
				if k%50 == 0 {
					slog.New(h).Info("now")
				}
			}
		})
	}
	all.Wait()
	require.NoError(t, h.Flush())
	require.Len(t, w.lines(), 8*204)
}
