package contract

import (
	"fmt"
	"net"
	"net/http"
	"strings"

	"github.com/sallyport/sallyport/internal/httpd"
)

// Router finds the handler of a request among several mounts. It is constant
// once made.
type Router struct {
	mounts []*Mounted
	hosts  map[string]*routeTable // by host; "" for any
}

// routeTable holds the paths of one host.
type routeTable struct {
	static  map[string]*handler
	dynamic []dynamicRoute
}

type dynamicRoute struct {
	segments []segment
	handler  *handler
}

// NewRouter refuses mounts that claim the same path of the same host, naming
// both files: a contract owns its paths for all methods.
func NewRouter(mounts ...*Mounted) (*Router, error) {
	rt := &Router{mounts: mounts, hosts: map[string]*routeTable{}}
	ids := map[string]bool{}
	for _, m := range mounts {
		if ids[m.ID] {
			return nil, fmt.Errorf("the mount id %q is used twice; sessions and keys belong to one mount", m.ID)
		}
		ids[m.ID] = true
		for _, h := range m.handlers {
			if err := rt.add(h); err != nil {
				return nil, err
			}
		}
	}
	return rt, nil
}

func (rt *Router) add(h *handler) error {
	t := rt.hosts[h.m.Host]
	if t == nil {
		t = &routeTable{static: map[string]*handler{}}
		rt.hosts[h.m.Host] = t
	}
	path := h.m.Prefix + h.group.pattern
	segs, _ := splitPattern(path) // both parts were checked
	for other, oh := range t.static {
		osegs, _ := splitPattern(other)
		if clash(segs, osegs) && (oh.m != h.m || samePattern(segs, osegs)) {
			return conflict(h, oh, path, other)
		}
	}
	for _, d := range t.dynamic {
		if clash(segs, d.segments) && (d.handler.m != h.m || samePattern(segs, d.segments)) {
			return conflict(h, d.handler, path, pattern(d.segments))
		}
	}
	for _, s := range segs {
		if s.param {
			t.dynamic = append(t.dynamic, dynamicRoute{segs, h})
			return nil
		}
	}
	t.static[path] = h
	return nil
}

// clash says whether some path matches both patterns.
func clash(a, b []segment) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !a[i].param && !b[i].param && a[i].text != b[i].text {
			return false
		}
	}
	return true
}

func conflict(a, b *handler, pathA, pathB string) error {
	where := func(h *handler) string { return fmt.Sprintf("%s:%d", h.m.contract.def.File, h.group.pos.Line) }
	host := a.m.Host
	if host == "" {
		host = "any host"
	}
	return fmt.Errorf("%s (mount %s) and %s (mount %s) both claim %s on %s%s; give one of them another host or prefix",
		where(b), b.m.ID, where(a), a.m.ID, pathA, host, map[bool]string{true: " (as " + pathB + ")"}[pathA != pathB])
}

// Match finds who owns the path of a request, whatever its method. Doubled
// slashes are read as one: clients that join base and path by hand send them,
// and a redirect would make them repeat their credentials.
func (rt *Router) Match(r *http.Request) (*Mounted, http.Handler, bool) {
	path := httpd.NormalizeSlashes(r.URL.Path)
	for _, host := range []string{hostOf(r.Host), ""} {
		t := rt.hosts[host]
		if t == nil {
			continue
		}
		if h := t.static[path]; h != nil {
			return h.m, h, true
		}
		if h := t.match(path); h != nil {
			return h.m, h, true
		}
		if host == "" {
			break
		}
	}
	return nil, nil, false
}

func (t *routeTable) match(path string) *handler {
	if len(t.dynamic) == 0 || !strings.HasPrefix(path, "/") {
		return nil
	}
	parts := strings.Split(path[1:], "/")
next:
	for _, d := range t.dynamic {
		if len(d.segments) != len(parts) {
			continue
		}
		for i, s := range d.segments {
			if s.param && parts[i] == "" || !s.param && s.text != parts[i] {
				continue next
			}
		}
		return d.handler
	}
	return nil
}

// Covering is the one mount whose host and prefix cover a path that no route
// owns: its words answer a 404 or a refusal there. When several cover it
// equally well there is none.
func (rt *Router) Covering(host, path string) (*Mounted, bool) {
	path, host = httpd.NormalizeSlashes(path), hostOf(host)
	var best *Mounted
	bestScore, tie := -1, false
	for _, m := range rt.mounts {
		if m.Host != "" && m.Host != host || !under(path, m.Prefix) {
			continue
		}
		score := len(m.Prefix) * 2
		if m.Host != "" {
			score += 10_000
		}
		switch {
		case score > bestScore:
			best, bestScore, tie = m, score, false
		case score == bestScore:
			tie = true
		}
	}
	return best, best != nil && !tie
}

// under says whether path lies below prefix; a prefix ends at a segment.
func under(path, prefix string) bool {
	return prefix == "" || strings.HasPrefix(path, prefix) && (len(path) == len(prefix) || path[len(prefix)] == '/')
}

// hostOf drops the port and the case.
func hostOf(host string) string {
	if strings.IndexByte(host, ':') >= 0 {
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// Mounts lists the mounts, in the order given.
func (rt *Router) Mounts() []*Mounted { return rt.mounts }
