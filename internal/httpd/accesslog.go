package httpd

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"time"
)

// Observation is a finished request as metrics want it.
type Observation struct {
	Method   string
	Route    string // the route's name or pattern, "" when none was set
	Status   int    // 0 when the connection was aborted or taken over
	Bytes    int64
	Duration time.Duration
}

// maxLoggedPath bounds what a stranger's path can add to the log.
const maxLoggedPath = 256

// finish writes the access line. It names the route if there is one and the
// path without query otherwise; headers, query and body never appear, because
// that is where tokens and passwords travel.
func (f Front) finish(w *responseWriter, r *http.Request, info *RequestInfo, start time.Time) {
	took := f.Now().Sub(start)
	route := info.Route
	if route == "" {
		route = routePattern(r)
	}
	status := w.status
	if status == 0 && !w.hijacked && r.Context().Err() == nil {
		status = http.StatusOK // net/http sends it for a handler that wrote nothing
	}
	if f.Observe != nil {
		f.Observe(Observation{Method: knownMethod(r.Method), Route: route, Status: status, Bytes: w.bytes, Duration: took})
	}
	if f.NoAccessLog || !f.Logger.Enabled(context.Background(), slog.LevelInfo) {
		return
	}
	attrs := make([]slog.Attr, 0, 8)
	attrs = append(attrs, slog.String("method", clip(r.Method, 16)))
	if route != "" {
		attrs = append(attrs, slog.String("route", route))
	} else {
		attrs = append(attrs, slog.String("path", loggedPath(r.URL.Path)))
	}
	attrs = append(attrs, slog.Int("status", status),
		slog.Float64("ms", float64(took.Microseconds())/1000), slog.Int64("bytes", w.bytes),
		slog.String("client", addrText(info)), slog.String("request_id", info.ID))
	if w.hijacked {
		attrs = append(attrs, slog.Bool("hijacked", true))
	}
	f.Logger.LogAttrs(context.Background(), slog.LevelInfo, "request", attrs...)
}

// loggedPath is a path as the log has it. Links that reset a password or accept
// an invitation carry their secret in a segment, so a long one with a digit in
// it is left out, but for UUIDs, which name things.
func loggedPath(path string) string {
	if len(path) <= secretLooking {
		return path
	}
	segments := strings.Split(clip(path, maxLoggedPath), "/")
	for i, s := range segments {
		if len(s) >= secretLooking && strings.ContainsAny(s, "0123456789") && !uuidShaped(s) {
			segments[i] = "…"
		}
	}
	return strings.Join(segments, "/")
}

// secretLooking is how long a segment is that may be a secret.
const secretLooking = 20

func uuidShaped(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i, c := range []byte(s) {
		dash := i == 8 || i == 13 || i == 18 || i == 23
		if dash != (c == '-') || !dash && !strings.ContainsRune("0123456789abcdefABCDEF", rune(c)) {
			return false
		}
	}
	return true
}

// routePattern is the mux pattern, unless it is a subtree that says too little.
func routePattern(r *http.Request) string {
	if r.Pattern == "" || strings.HasSuffix(r.Pattern, "/") {
		return ""
	}
	return r.Pattern
}

func addrText(info *RequestInfo) string {
	if !info.ClientAddr.IsValid() {
		return "unix"
	}
	return info.ClientAddr.String()
}

// knownMethod keeps the label set of metrics closed: a stranger may send any
// word as a method.
func knownMethod(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch,
		http.MethodDelete, http.MethodOptions, http.MethodConnect, http.MethodTrace:
		return m
	}
	return "other"
}

func clip(s string, n int) string {
	if len(s) > n {
		return s[:n] + "…"
	}
	return s
}
