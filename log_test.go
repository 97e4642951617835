package backend_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
)

func ExampleNewLogHandler() {
	noTime := func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}
	log := slog.New(backend.NewLogHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: noTime}))
	slog.SetDefault(log)
	log.Info("started", "version", 3)
	// Output: {"level":"INFO","msg":"started","version":3}
}

// logFile is a writer for several goroutines.
type logFile struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logFile) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logFile) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// The records of requests wait for a moment, unless they tell of a failure.
func TestLogHandlerWritesRequestsTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var file logFile
		h := backend.NewLogHandler(&file, nil)
		stack := backend.Stack(backend.StackConfig{Logger: slog.New(h).With("service", "notes")})(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/fails" {
				panic("broken")
			}
			w.Write([]byte("ok"))
		}))
		get := func(path string) {
			stack.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, path, nil))
		}
		get("/a")
		get("/b")
		require.Empty(t, file.String())
		time.Sleep(5 * time.Millisecond)
		synctest.Wait()
		lines := strings.Split(strings.TrimSpace(file.String()), "\n")
		require.Len(t, lines, 2)
		require.Contains(t, lines[0], `"level":"INFO","msg":"request","service":"notes","method":"GET","route":"","path":"/a","status":200,"bytes":2`)
		require.Contains(t, lines[1], `"path":"/b"`)
		get("/c")
		get("/fails")
		lines = strings.Split(strings.TrimSpace(file.String()), "\n")
		require.Len(t, lines, 4, "without a wait")
		require.Contains(t, lines[2], `"path":"/c"`)
		require.Contains(t, lines[3], `"level":"ERROR","msg":"request","service":"notes"`)
		require.Contains(t, lines[3], `broken`)
		get("/d")
		require.NoError(t, h.Flush())
		require.Contains(t, file.String(), `"path":"/d"`)
	})
}
