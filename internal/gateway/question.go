package gateway

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/internal/core"
)

// hostName is a Host header's name: without port and last dot, in lower case.
func hostName(hostport string) string {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	return strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
}

// checkHost wants a name or address and perhaps a port, or nothing (HTTP/1.0).
// Of "a.example:80:" one program reads all and finds no rule, the next one
// stops at the first colon and serves a.example.
func checkHost(hostport string) error {
	host, port := hostport, ""
	if i := strings.LastIndexByte(hostport, ':'); i >= 0 && !strings.HasSuffix(hostport, "]") {
		host, port = hostport[:i], hostport[i+1:]
		if _, err := strconv.ParseUint(port, 10, 16); err != nil || host == "" {
			return errHost
		}
	}
	if strings.HasPrefix(host, "[") {
		a, err := netip.ParseAddr(strings.TrimSuffix(host[1:], "]"))
		if err != nil || !a.Is6() || a.Zone() != "" || !strings.HasSuffix(host, "]") {
			return errHost
		}
		return nil
	}
	if len(host) > 253 || strings.HasPrefix(host, ".") || strings.Contains(host, "..") {
		return errHost
	}
	for i := range len(host) {
		c := host[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '.' && c != '_' {
			return errHost
		}
	}
	return nil
}

var errHost = &core.Error{Code: core.BadRequest, Reason: "host", Message: "This Host is not accepted: want a name or an address, and perhaps a port"}

// checkUpgrade lets WebSockets pass alone: after an upgrade to h2c, say,
// requests that nobody checked would follow on the same connection.
func checkUpgrade(q *question) error {
	v := q.r.Header.Values("Upgrade")
	if len(v) == 0 {
		return nil
	}
	body := !q.asked && q.r.ContentLength != 0
	if len(v) != 1 || !strings.EqualFold(v[0], "websocket") || q.method != http.MethodGet || body {
		return &core.Error{Code: core.BadRequest, Reason: "upgrade", Message: "Upgrade is accepted to websocket alone"}
	}
	return nil
}

var errCrossSite = &core.Error{Code: core.Forbidden, Reason: "a page of another site acts with a cookie"}

// sameSite keeps pages of other sites from acting with the cookies of their
// visitors (CSRF): a browser says where a request comes from, by
// Sec-Fetch-Site or Origin, and who says nothing is no browser. What only reads
// passes, since the page cannot read the answer unless CORS lets it; a
// WebSocket's opening is a GET whose answer it could read.
func (g *Gateway) sameSite(q *question) bool {
	reads := q.method == http.MethodGet || q.method == http.MethodHead || q.method == http.MethodOptions
	if reads && q.r.Header.Get("Upgrade") == "" {
		return true
	}
	origins := q.r.Header.Values("Origin")
	switch q.r.Header.Get("Sec-Fetch-Site") {
	case "same-origin", "none":
		return true
	case "":
		if len(origins) == 0 {
			return true
		}
	}
	if len(origins) != 1 {
		return false
	}
	if u, err := url.Parse(origins[0]); err == nil && u.Host != "" && strings.EqualFold(u.Host, q.host) {
		return true
	}
	return slices.Contains(g.cfg.Origins, origins[0])
}
