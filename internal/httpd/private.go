package httpd

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"strings"
	"time"
)

// Check is one named finding of a health callback. A nil Err is good news,
// perhaps with a Note on what an operator should know all the same.
type Check struct {
	Name string
	Err  error
	Note string
}

// PrivateConfig describes the private listener. Its zero value serves /healthz
// and /readyz, both content, to callers on loopback.
type PrivateConfig struct {
	// Hosts are names, beside localhost and the loopback addresses, under
	// which the listener may be called.
	Hosts []string
	// Live answers /healthz: is this process beyond help? Ready answers
	// /readyz: should it get traffic?
	Live, Ready func(context.Context) []Check
	// Metrics, if set, is served at /metrics.
	Metrics http.Handler
	// Pprof serves /debug/pprof/.
	Pprof bool
}

// checkTimeout bounds a health callback; a store that hangs is not ready.
const checkTimeout = 3 * time.Second

// NewPrivate builds the handler of the private listener. It needs no login, so
// a Host check keeps web pages out: a page whose name is rebound to 127.0.0.1
// still sends that name.
func NewPrivate(cfg PrivateConfig) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /healthz", healthHandler(cfg.Live))
	mux.Handle("GET /readyz", healthHandler(cfg.Ready))
	if cfg.Metrics != nil {
		mux.Handle("GET /metrics", cfg.Metrics)
	}
	if cfg.Pprof {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	names := map[string]bool{"localhost": true}
	for _, h := range cfg.Hosts {
		names[strings.ToLower(h)] = true
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !hostAllowed(names, r) {
			WriteProblem(w, http.StatusForbidden, "", "",
				"This listener does not answer to the host name of the request. Call it as localhost or 127.0.0.1, or add the name to private_hosts.", nil)
			return
		}
		w.Header().Set("X-Content-Type-Options", "nosniff")
		mux.ServeHTTP(w, r)
	})
}

// hostAllowed accepts listed names, loopback addresses, and the very address
// that the connection came in on: probes call a pod by its address, and an
// address in a Host header cannot come from DNS.
func hostAllowed(names map[string]bool, r *http.Request) bool {
	host := hostOnly(r.Host)
	if names[strings.ToLower(host)] {
		return true
	}
	addr, err := netip.ParseAddr(host)
	if err != nil || addr.Zone() != "" {
		return false
	}
	addr = addr.Unmap()
	if addr == netip.AddrFrom4([4]byte{127, 0, 0, 1}) || addr == netip.IPv6Loopback() {
		return true
	}
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return ok && peerAddr(local.String()) == addr
}

// hostOnly cuts the port off; brackets of an IPv6 address go with it.
func hostOnly(hostport string) string {
	host, port := hostport, ""
	if i := strings.LastIndexByte(hostport, ':'); i >= 0 && strings.IndexByte(hostport[i:], ']') < 0 {
		host, port = hostport[:i], hostport[i+1:]
	}
	for i := range len(port) {
		if port[i] < '0' || port[i] > '9' {
			return ""
		}
	}
	if strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") {
		return host[1 : len(host)-1]
	}
	if strings.ContainsAny(host, ":[]") {
		return ""
	}
	return host
}

func healthHandler(probe func(context.Context) []Check) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), checkTimeout)
		defer cancel()
		var checks []Check
		if probe != nil {
			checks = probe(ctx)
		}
		status, word := http.StatusOK, "ok"
		for _, c := range checks {
			if c.Err != nil {
				status, word = http.StatusServiceUnavailable, "failing"
			}
		}
		w.Header().Set("Cache-Control", "no-store")
		if strings.Contains(r.Header.Get("Accept"), "application/json") {
			writeHealthJSON(w, status, word, checks)
			return
		}
		writeHealthText(w, status, word, checks)
	})
}

type healthCheck struct {
	Name   string `json:"name"`
	Status string `json:"status"`
	Error  string `json:"error,omitempty"`
	Note   string `json:"note,omitempty"`
}

func writeHealthJSON(w http.ResponseWriter, status int, word string, checks []Check) {
	list := make([]healthCheck, 0, len(checks))
	for _, c := range checks {
		h := healthCheck{Name: c.Name, Status: "ok", Note: c.Note}
		if c.Err != nil {
			h.Status, h.Error = "failing", c.Err.Error()
		}
		list = append(list, h)
	}
	body, _ := encodeJSON(map[string]any{"status": word, "checks": list}) // strings always encode
	w.Header().Set("Content-Type", "application/json")
	writeBody(w, status, body)
}

func writeHealthText(w http.ResponseWriter, status int, word string, checks []Check) {
	var b strings.Builder
	b.WriteString(word + "\n")
	for _, c := range checks {
		if c.Err != nil {
			fmt.Fprintf(&b, "%s: failing: %s\n", c.Name, c.Err)
			continue
		}
		if c.Note != "" {
			fmt.Fprintf(&b, "%s: ok (%s)\n", c.Name, c.Note)
			continue
		}
		fmt.Fprintf(&b, "%s: ok\n", c.Name)
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	writeBody(w, status, []byte(b.String()))
}
