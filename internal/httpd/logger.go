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
func NewLogger(w io.Writer, format, level string) (*slog.Logger, error) {
	var lv slog.Level
	if level != "" {
		if err := lv.UnmarshalText([]byte(level)); err != nil {
			return nil, fmt.Errorf("log level %q: want debug, info, warn or error", level)
		}
	}
	opts := &slog.HandlerOptions{Level: lv}
	switch format {
	case "json":
		return slog.New(utc{slog.NewJSONHandler(w, opts)}), nil
	case "text":
		return slog.New(utc{slog.NewTextHandler(w, opts)}), nil
	case "", "auto":
		if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
			return slog.New(utc{slog.NewTextHandler(w, opts)}), nil
		}
		return slog.New(utc{slog.NewJSONHandler(w, opts)}), nil
	}
	return nil, fmt.Errorf("log format %q: want auto, json or text", format)
}

// utc writes the time of records in UTC: logs of several nodes are read side
// by side. (HandlerOptions.ReplaceAttr would be asked about every attribute,
// which doubles the price of an access line.)
type utc struct{ slog.Handler }

// Handle implements slog.Handler.
func (h utc) Handle(ctx context.Context, r slog.Record) error {
	r.Time = r.Time.UTC()
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h utc) WithAttrs(attrs []slog.Attr) slog.Handler { return utc{h.Handler.WithAttrs(attrs)} }

// WithGroup implements slog.Handler.
func (h utc) WithGroup(name string) slog.Handler { return utc{h.Handler.WithGroup(name)} }
