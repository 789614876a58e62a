package httpd

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"time"
)

const headerRequestID = "X-Request-Id"

// RequestInfo holds what the edge knows about a request's connection.
type RequestInfo struct {
	// ID is 128 random bits, or the X-Request-Id that a listed proxy sent.
	ID string
	// ClientAddr is the client as far as listed proxies vouch for it; the peer
	// when none does. It is invalid for an unlisted peer on a Unix socket.
	ClientAddr netip.Addr
	// Peer is the other end of the connection; invalid on a Unix socket.
	Peer netip.Addr
	// Secure says that the client speaks TLS, to us or to a listed proxy.
	Secure bool
	// ForwardedByUnlisted says that a peer nobody listed sent forwarding
	// headers. It is probably a proxy with many clients behind it, so its
	// address must not count as one network (SECURITY 50).
	ForwardedByUnlisted bool
	// Route is the name under which the access log shows the request instead
	// of its path. Set it with [SetRoute].
	Route string
}

type stateKey struct{}

// requestState is the one context value of this package, and the context that
// has it: one piece of memory holds all that Front makes for a request.
type requestState struct {
	context.Context
	info   RequestInfo
	ids    [1]string // the header with the id
	logger *slog.Logger
	pace   pace
	writer responseWriter
}

// Value implements context.Context.
func (st *requestState) Value(key any) any {
	if key == (stateKey{}) {
		return st
	}
	return st.Context.Value(key)
}

func stateOf(r *http.Request) *requestState {
	st, _ := r.Context().Value(stateKey{}).(*requestState)
	return st
}

// Info returns what [Front] learned about r. Without Front, as in a test of a
// single handler, it is derived from the peer alone and has no id.
func Info(r *http.Request) *RequestInfo {
	if st := stateOf(r); st != nil {
		return &st.info
	}
	peer := peerAddr(r.RemoteAddr)
	return &RequestInfo{ClientAddr: peer, Peer: peer, Secure: r.TLS != nil}
}

// SetRoute names the request in the access log. Call it from the goroutine
// that serves the request. Routes whose path may carry a secret must call it,
// because the log then leaves the path out.
func SetRoute(r *http.Request, route string) {
	if st := stateOf(r); st != nil {
		st.info.Route = route
	}
}

// Front is the middleware that every request passes first. Its zero value
// works: no listed proxies, the default logger, an access log.
type Front struct {
	// Proxies are the peers whose forwarding headers count; nil lists none.
	Proxies *Proxies
	// Logger receives access lines, panics and proxy reports; nil is slog.Default.
	Logger *slog.Logger
	// NoAccessLog leaves the access lines out.
	NoAccessLog bool
	// Observe, if set, is told of every finished request, for metrics.
	Observe func(Observation)
	// Now is the clock; nil is time.Now.
	Now func() time.Time

	track  func(net.Conn) net.Conn
	access func(*accessLine)
}

// Wrap puts the front before next.
func (f Front) Wrap(next http.Handler) http.Handler {
	if f.Logger == nil {
		f.Logger = slog.Default()
	}
	if f.Now == nil {
		f.Now = time.Now
	}
	if f.Proxies == nil {
		f.Proxies = &Proxies{}
	}
	f.access = accessLog(f.Logger)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := f.Now()
		st := &requestState{Context: r.Context(), logger: f.Logger}
		trusted := f.Proxies.resolve(r, &st.info)
		if st.info.ForwardedByUnlisted {
			f.Proxies.report(f.Logger, r, st.info.Peer, start)
		}
		st.info.ID = requestID(r, trusted)
		st.ids[0] = st.info.ID
		w.Header()[headerRequestID] = st.ids[:]

		st.pace.rc, st.pace.h2 = *http.NewResponseController(w), r.ProtoMajor >= 2
		st.writer = responseWriter{ResponseWriter: w, track: f.track, pace: &st.pace}
		rw := &st.writer
		r = r.WithContext(st)
		if r.ContentLength != 0 && r.Body != nil && r.Body != http.NoBody {
			r.Body = st.pace.body(r.Body)
		}
		defer func() { f.finish(rw, r, &st.info, start) }()
		defer recoverFront(rw, r)
		if wrong := h2Malformed(r); wrong != "" {
			WriteProblem(rw, http.StatusBadRequest, "", "", wrong, nil)
			return
		}
		next.ServeHTTP(rw, r)
		if !rw.hijacked {
			st.pace.end()
		}
	})
}

// requestID takes over the id of a listed proxy and makes one otherwise. A
// stranger's id is never used: it could forge another request's log lines.
func requestID(r *http.Request, trusted bool) string {
	if v := r.Header[headerRequestID]; trusted && len(v) == 1 && plainID(v[0]) {
		return v[0]
	}
	var b [16]byte
	_, _ = rand.Read(b[:]) // documented never to fail: it ends the process instead
	var text [22]byte
	base64.RawURLEncoding.Encode(text[:], b[:])
	return string(text[:])
}

func plainID(s string) bool {
	if len(s) < 8 || len(s) > 128 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if !isAlnum(c) && c != '-' && c != '_' && c != '.' && c != ':' {
			return false
		}
	}
	return true
}

func isAlnum(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// peerAddr reads net/http's RemoteAddr; it is invalid for Unix sockets.
func peerAddr(remote string) netip.Addr {
	ap, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap().WithZone("")
}
