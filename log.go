package backend

import (
	"context"
	"io"
	"log/slog"

	"github.com/seed-215b9b7c/backend/internal/jsonlog"
)

// This file has the handler for logs of many requests.

// LogHandler is a [slog.Handler] for the logs of servers. Its lines are those of
// [slog.JSONHandler]; it costs a request less, and cannot hold one up:
//
//   - The records that [AccessLog] makes of requests, unless their level is Warn or more,
//     are written together with others, within 5 milliseconds. If the process is killed
//     in this time, they are lost. [Serve] writes those of [ServerConfig.Logger] before it
//     returns; otherwise call [LogHandler.Flush] before the program exits.
//   - All other records are written before Handle returns, with those that came before them.
//   - If the writer stands still, Handle waits for a second at most. Up to 1 MiB of
//     records then waits for the writer. Further records, and those that the writer refuses
//     with an error or a panic, are lost; a record "log records were lost" has their count
//     once the writer goes on.
//
// A LogHandler is safe for concurrent use. It writes to its writer with one goroutine at a
// time, which runs only while there is something to write. Make it with [NewLogHandler].
type LogHandler struct{ lines *jsonlog.Handler }

// NewLogHandler returns a LogHandler that writes to w, such as [os.Stdout]. options may be
// nil, as for [slog.NewJSONHandler]:
//
//	slog.SetDefault(slog.New(backend.NewLogHandler(os.Stdout, nil)))
func NewLogHandler(w io.Writer, options *slog.HandlerOptions) *LogHandler {
	return &LogHandler{jsonlog.New(w, options)}
}

// Enabled reports whether records of the level are written.
func (h *LogHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.lines.Enabled(ctx, level)
}

// Handle writes a record.
func (h *LogHandler) Handle(ctx context.Context, record slog.Record) error {
	return h.lines.Handle(ctx, record)
}

// WithAttrs returns a LogHandler that adds attributes to its records.
func (h *LogHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &LogHandler{h.lines.WithAttrs(attrs).(*jsonlog.Handler)}
}

// WithGroup returns a LogHandler that puts further attributes into a group.
func (h *LogHandler) WithGroup(name string) slog.Handler {
	return &LogHandler{h.lines.WithGroup(name).(*jsonlog.Handler)}
}

// Flush writes all records that wait. It returns the error of writing them, or an error if
// that takes longer than a second.
func (h *LogHandler) Flush() error { return h.lines.Flush() }

// flushLog writes what waits in the log, as far as it is known to wait.
func flushLog(logger *slog.Logger) {
	if h, ok := logger.Handler().(*LogHandler); ok {
		h.Flush() // an error is that of the log, and there is no other one
	}
}
