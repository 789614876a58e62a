package httpd

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"strconv"
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

// finish notes a request that is over: for metrics, and in the access log.
func (f *Front) finish(w *responseWriter, r *http.Request, info *RequestInfo, start time.Time) {
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
	line := accessLine{
		at: start.Add(took), method: clip(r.Method, 16), route: route, status: status,
		took: took, bytes: w.bytes, client: info.ClientAddr, id: info.ID, hijacked: w.hijacked,
	}
	if route == "" {
		line.path = loggedPath(r.URL.Path)
	}
	f.access(&line)
}

// accessLine names the route if there is one and the path without query
// otherwise; headers, query and body never appear, because that is where tokens
// and passwords travel.
type accessLine struct {
	at          time.Time
	method      string
	route, path string // one of them
	status      int
	took        time.Duration
	bytes       int64
	client      netip.Addr // invalid for a Unix socket
	id          string
	hijacked    bool
}

// attrs are the line for a logger that is not ours, or writes text.
func (l *accessLine) attrs() []slog.Attr {
	attrs := make([]slog.Attr, 0, 8)
	attrs = append(attrs, slog.String("method", l.method))
	if l.route != "" {
		attrs = append(attrs, slog.String("route", l.route))
	} else {
		attrs = append(attrs, slog.String("path", l.path))
	}
	client := "unix"
	if l.client.IsValid() {
		client = l.client.String()
	}
	attrs = append(attrs, slog.Int("status", l.status), slog.Float64("ms", l.ms()), slog.Int64("bytes", l.bytes),
		slog.String("client", client), slog.String("request_id", l.id))
	if l.hijacked {
		attrs = append(attrs, slog.Bool("hijacked", true))
	}
	return attrs
}

func (l *accessLine) ms() float64 { return float64(l.took.Microseconds()) / 1000 }

// appendJSON appends the line as slog.JSONHandler writes it, at a fourth of the
// price.
func (l *accessLine) appendJSON(dst []byte) []byte {
	dst = append(dst, `{"time":"`...)
	dst = l.at.UTC().AppendFormat(dst, time.RFC3339Nano)
	dst = append(dst, `","level":"INFO","msg":"request","method":`...)
	dst = appendJSONText(dst, l.method)
	if l.route != "" {
		dst = appendJSONText(append(dst, `,"route":`...), l.route)
	} else {
		dst = appendJSONText(append(dst, `,"path":`...), l.path)
	}
	dst = strconv.AppendInt(append(dst, `,"status":`...), int64(l.status), 10)
	dst = strconv.AppendFloat(append(dst, `,"ms":`...), l.ms(), 'f', -1, 64)
	dst = strconv.AppendInt(append(dst, `,"bytes":`...), l.bytes, 10)
	dst = append(dst, `,"client":"`...)
	if l.client.IsValid() {
		dst = l.client.AppendTo(dst)
	} else {
		dst = append(dst, "unix"...)
	}
	dst = appendJSONText(append(dst, `","request_id":`...), l.id)
	if l.hijacked {
		dst = append(dst, `,"hijacked":true`...)
	}
	return append(dst, "}\n"...)
}

// appendJSONText appends s as a JSON string. Plain ASCII, which nearly all are,
// is copied.
func appendJSONText(dst []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' {
			b, err := encodeJSON(s)
			if err != nil {
				b = []byte(`""`) // text always encodes
			}
			return append(dst, b...)
		}
	}
	dst = append(dst, '"')
	dst = append(dst, s...)
	return append(dst, '"')
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
