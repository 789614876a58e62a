package httpd

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"

	"golang.org/x/term"
)

// Secret is a string that does not print: not in logs, not with fmt, not in
// JSON. Reveal is the one way to it, easy to search for.
type Secret string

const redacted = "[redacted]"

// Reveal returns the secret itself.
func (s Secret) Reveal() string { return string(s) }

// LogValue hides the secret from slog.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// Format hides the secret from every verb of fmt, %x and %q included.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) } // fmt has nobody to tell

// MarshalText hides the secret from JSON, YAML and their like.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// NewLogger returns a logger that writes to w in UTC. format is "json", "text"
// or "auto" (also ""), which means text on a terminal and JSON elsewhere;
// level is "debug", "info" (also ""), "warn" or "error". Other words are errors.
//
// JSON access lines of [Front] into a file or a pipe are written several at
// once, after a tenth of a second at most; [FlushLog] writes those that wait.
func NewLogger(w io.Writer, format, level string) (*slog.Logger, error) {
	var lv slog.Level
	if level != "" {
		if err := lv.UnmarshalText([]byte(level)); err != nil {
			return nil, fmt.Errorf("log level %q: want debug, info, warn or error", level)
		}
	}
	file, isFile := w.(*os.File)
	terminal := isFile && term.IsTerminal(int(file.Fd()))
	opts := &slog.HandlerOptions{Level: lv}
	switch {
	case format == "text", terminal && (format == "" || format == "auto"):
		return slog.New(&edgeHandler{Handler: slog.NewTextHandler(w, opts)}), nil
	case format == "json", format == "", format == "auto":
		lines := &logLines{w: w, wait: isFile && !terminal}
		return slog.New(&edgeHandler{Handler: slog.NewJSONHandler(lines, opts), lines: lines}), nil
	}
	return nil, fmt.Errorf("log format %q: want auto, json or text", format)
}

// FlushLog writes the access lines that wait in a logger of NewLogger. It is
// called at the end.
func FlushLog(log *slog.Logger) {
	if h, ok := log.Handler().(*edgeHandler); ok && h.lines != nil {
		h.lines.flush()
	}
}

// edgeHandler writes the time of records in UTC: logs of several nodes are read
// side by side. (HandlerOptions.ReplaceAttr would be asked about every attribute.)
type edgeHandler struct {
	slog.Handler
	lines *logLines // takes access lines; nil where they are records like others
}

// Handle implements slog.Handler.
func (h *edgeHandler) Handle(ctx context.Context, r slog.Record) error {
	r.Time = r.Time.UTC()
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h *edgeHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &edgeHandler{Handler: h.Handler.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (h *edgeHandler) WithGroup(name string) slog.Handler {
	return &edgeHandler{Handler: h.Handler.WithGroup(name)}
}

// accessLog is how a logger takes access lines.
func accessLog(log *slog.Logger) func(*accessLine) {
	if h, ok := log.Handler().(*edgeHandler); ok && h.lines != nil {
		return func(l *accessLine) {
			var room [512]byte
			h.lines.add(l.appendJSON(room[:0]))
		}
	}
	return func(l *accessLine) { log.LogAttrs(context.Background(), slog.LevelInfo, "request", l.attrs()...) }
}
