package httpd

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"
)

// Proxies is the list of peers whose forwarding headers count. The zero value
// lists none, so every header of an intermediary is ignored (SECURITY 55).
type Proxies struct {
	nets      []netip.Prefix
	unix      bool
	forwarded bool // read Forwarded (RFC 7239) instead of X-Forwarded-*

	lastReport atomic.Int64 // Unix milliseconds
}

// Which header family a proxy is known to set. Only one is read: a proxy
// passes the other family through as the client sent it, so reading both would
// let any client name its own address.
const (
	XForwardedFor = "x-forwarded-for"
	Forwarded     = "forwarded"
)

// NewProxies reads a list of addresses and CIDR networks, and the word "unix"
// for peers on Unix sockets. header is [XForwardedFor] (also "") or [Forwarded].
func NewProxies(list []string, header string) (*Proxies, error) {
	p := &Proxies{}
	switch header {
	case "", XForwardedFor:
	case Forwarded:
		p.forwarded = true
	default:
		return nil, fmt.Errorf("forwarding header %q: want %s or %s", header, XForwardedFor, Forwarded)
	}
	for _, s := range list {
		if s == "unix" {
			p.unix = true
			continue
		}
		n, err := parseNetwork(s)
		if err != nil {
			return nil, err
		}
		p.nets = append(p.nets, n)
	}
	return p, nil
}

func parseNetwork(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	n, err := netip.ParsePrefix(s)
	if err != nil || n.Addr().Is4In6() {
		return netip.Prefix{}, fmt.Errorf("trusted proxy %q: want an address (192.0.2.7), a network (10.0.0.0/8) or the word unix", s)
	}
	return n.Masked(), nil
}

// Trusts says whether addr is listed. The invalid address stands for a Unix
// socket. It serves forward-auth's own list too.
func (p *Proxies) Trusts(addr netip.Addr) bool {
	if !addr.IsValid() {
		return p.unix
	}
	addr = addr.Unmap().WithZone("")
	for _, n := range p.nets {
		if n.Contains(addr) {
			return true
		}
	}
	return false
}

var forwardingHeaders = []string{"X-Forwarded-For", "Forwarded", "X-Real-Ip", "X-Forwarded-Host", "X-Forwarded-Proto"}

// resolve fills info from the connection and, for listed peers, from their
// headers. It reports whether the peer is listed.
func (p *Proxies) resolve(r *http.Request, info *RequestInfo) (trusted bool) {
	peer := peerAddr(r.RemoteAddr)
	info.Peer, info.ClientAddr, info.Secure = peer, peer, r.TLS != nil
	if !p.Trusts(peer) {
		for _, h := range forwardingHeaders {
			if _, ok := r.Header[h]; ok {
				info.ForwardedByUnlisted = true
				break
			}
		}
		return false
	}
	hops, proto := p.hops(r)
	info.ClientAddr = p.walk(peer, hops)
	if proto != "" {
		info.Secure = strings.EqualFold(proto, "https")
	}
	return true
}

// walk goes from the peer outwards. Each listed address vouches for the next;
// the first one that is not listed is the client, whatever stands left of it
// was written by the client itself. A hop that is no address ends the walk at
// the one who reported it.
func (p *Proxies) walk(peer netip.Addr, hops []string) netip.Addr {
	client := peer
	for i := len(hops) - 1; i >= 0; i-- {
		a, ok := parseHop(hops[i])
		if !ok {
			return client
		}
		client = a
		if !p.Trusts(a) {
			return client
		}
	}
	return client
}

// hops lists the addresses as the proxies appended them, leftmost first, and
// the protocol that the nearest proxy saw.
func (p *Proxies) hops(r *http.Request) (hops []string, proto string) {
	if p.forwarded {
		elems, err := parseForwarded(strings.Join(r.Header.Values("Forwarded"), ","))
		if err != nil {
			return nil, ""
		}
		for _, e := range elems {
			hops = append(hops, e.forAddr)
			proto = e.proto
		}
		return hops, proto
	}
	for _, line := range r.Header.Values("X-Forwarded-For") {
		for hop := range strings.SplitSeq(line, ",") {
			hops = append(hops, strings.Trim(hop, " \t"))
		}
	}
	if v := r.Header.Values("X-Forwarded-Proto"); len(v) > 0 {
		last := v[len(v)-1]
		proto = strings.Trim(last[strings.LastIndexByte(last, ',')+1:], " \t")
	}
	return hops, proto
}

// parseHop reads an address with or without port; IPv6 may stand in brackets.
func parseHop(s string) (netip.Addr, bool) {
	if len(s) > 64 {
		return netip.Addr{}, false
	}
	a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]"))
	if err != nil {
		ap, perr := netip.ParseAddrPort(s)
		if perr != nil {
			return netip.Addr{}, false
		}
		a = ap.Addr()
	}
	if a.Zone() != "" { // a zone means something on the proxy's machine alone
		return netip.Addr{}, false
	}
	return a.Unmap(), true
}

// report tells the operator, once a minute, that a proxy is probably missing
// from the list, and the line that would add it.
func (p *Proxies) report(log *slog.Logger, r *http.Request, peer netip.Addr, now time.Time) {
	last, ms := p.lastReport.Load(), now.UnixMilli()
	if last != 0 && ms-last < time.Minute.Milliseconds() && ms >= last {
		return
	}
	if !p.lastReport.CompareAndSwap(last, ms) {
		return
	}
	who := "unix"
	if peer.IsValid() {
		who = peer.String()
	}
	log.WarnContext(r.Context(), "a peer that is no listed proxy sends forwarding headers; they are ignored",
		"peer", who, "if_it_is_your_proxy_add", fmt.Sprintf("trusted_proxies: [%q]", who))
}
