// Package jsonlog writes log records as JSON, many of them at once, and keeps a log that
// stands still or fails from deciding about those who log.
package jsonlog

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"strconv"
	"sync"
	"time"
)

// Handler is a slog.Handler whose lines are those of [slog.JSONHandler].
type Handler struct {
	sink  *sink
	slog  slog.Handler // makes the lines that Handler cannot make itself
	level slog.Leveler
	plain bool   // ours are the same
	attrs []byte // of With, each with a comma before it
}

// New returns a Handler that writes to w. options may be nil.
func New(w io.Writer, options *slog.HandlerOptions) *Handler {
	if options == nil {
		options = new(slog.HandlerOptions)
	}
	s := newSink(w)
	h := &Handler{sink: s, slog: slog.NewJSONHandler(s, options), level: options.Level, plain: !options.AddSource && options.ReplaceAttr == nil}
	if h.level == nil {
		h.level = slog.LevelInfo
	}
	return h
}

// Enabled reports whether records of the level are written.
func (h *Handler) Enabled(_ context.Context, level slog.Level) bool { return level >= h.level.Level() }

// WithAttrs returns a Handler with more attributes, which writes with h.
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	made := *h
	made.slog = h.slog.WithAttrs(attrs)
	if made.plain {
		made.attrs, made.plain = appendAttrs(h.attrs[:len(h.attrs):len(h.attrs)], attrs)
	}
	return &made
}

// WithGroup returns a Handler whose further attributes are in a group, and which writes
// with h.
func (h *Handler) WithGroup(name string) slog.Handler {
	made := *h
	made.slog = h.slog.WithGroup(name)
	made.plain = false
	return &made
}

// Handle writes a record, and all that came before it. It returns when they are written,
// or when the log has stalled.
func (h *Handler) Handle(ctx context.Context, record slog.Record) error {
	if err := h.slog.Handle(ctx, record); err != nil {
		return err
	}
	h.sink.flush()
	return nil
}

// Later writes a record within [Delay].
func (h *Handler) Later(ctx context.Context, at time.Time, level slog.Level, message string, attrs []slog.Attr) {
	if h.plain {
		line := lines.Get().(*[]byte)
		defer lines.Put(line)
		var ok bool
		if *line, ok = h.appendLine((*line)[:0], at, level, message, attrs); ok {
			h.sink.add(*line)
			return
		}
	}
	record := slog.NewRecord(at, level, message, 0)
	record.AddAttrs(attrs...)
	h.slog.Handle(ctx, record) // adds to the sink
}

// lines has the memory of lines.
var lines = sync.Pool{New: func() any { return new([]byte) }}

// Flush writes what waits, and returns the error of writing it.
func (h *Handler) Flush() error { return h.sink.flush() }

// appendLine appends the line of a record. It reports false if only slog can make it.
func (h *Handler) appendLine(line []byte, at time.Time, level slog.Level, message string, attrs []slog.Attr) (_ []byte, ok bool) {
	line = append(line, '{')
	if !at.IsZero() {
		if line, ok = appendTime(append(line, `"time":`...), at.Round(0)); !ok {
			return line, false
		}
		line = append(line, ',')
	}
	line = append(append(append(line, `"level":"`...), level.String()...), `","msg":`...)
	if line, ok = appendText(line, message); !ok {
		return line, false
	}
	line = append(line, h.attrs...)
	if line, ok = appendAttrs(line, attrs); !ok {
		return line, false
	}
	return append(line, '}', '\n'), true
}

func appendAttrs(line []byte, attrs []slog.Attr) (_ []byte, ok bool) {
	for i := range attrs {
		if line, ok = appendAttr(line, &attrs[i]); !ok {
			return line, false
		}
	}
	return line, true
}

func appendAttr(line []byte, attr *slog.Attr) (_ []byte, ok bool) {
	if line, ok = appendText(append(line, ','), attr.Key); !ok {
		return line, false
	}
	line = append(line, ':')
	switch v := attr.Value; v.Kind() {
	case slog.KindString:
		return appendText(line, v.String())
	case slog.KindInt64:
		return strconv.AppendInt(line, v.Int64(), 10), true
	case slog.KindUint64:
		return strconv.AppendUint(line, v.Uint64(), 10), true
	case slog.KindBool:
		return strconv.AppendBool(line, v.Bool()), true
	case slog.KindDuration:
		return strconv.AppendInt(line, int64(v.Duration()), 10), true
	case slog.KindTime:
		return appendTime(line, v.Time())
	case slog.KindAny:
		return appendError(line, v.Any())
	}
	return line, false
}

// appendError appends the text of an error. What is no error, or has JSON of its own, is
// slog's, and so is an error that panics.
func appendError(line []byte, value any) (_ []byte, ok bool) {
	err, isError := value.(error)
	if _, encodes := value.(json.Marshaler); !isError || encodes {
		return line, false
	}
	defer func() {
		if recover() != nil {
			ok = false
		}
	}()
	return appendText(line, err.Error())
}

func appendTime(line []byte, at time.Time) (_ []byte, ok bool) {
	if year := at.Year(); year < 0 || year > 9999 {
		return line, false
	}
	line = at.AppendFormat(append(line, '"'), time.RFC3339Nano)
	return append(line, '"'), true
}

// appendText appends a text of visible ASCII and spaces in quotes.
func appendText(line []byte, text string) (_ []byte, ok bool) {
	line = append(line, '"')
	begun := 0 // of what is not appended yet
	for i := range len(text) {
		switch c := text[i]; {
		case c < ' ' || c > '~':
			return line, false
		case c == '"' || c == '\\':
			line = append(append(line, text[begun:i]...), '\\')
			begun = i
		}
	}
	return append(append(line, text[begun:]...), '"'), true
}
