package app

import (
	"net"
	"net/http"
	"strings"

	"github.com/sallyport/sallyport/internal/contract"
	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/httpd"
)

// notFound answers a path that nobody owns, where there is no upstream: in the
// words of a contract, because its clients parse nothing else, and in plain
// ones on a host without any.
func (f *front) notFound(w http.ResponseWriter, r *http.Request) {
	m, ok := f.router.Covering(r.Host, r.URL.Path)
	if !ok {
		m = f.nearest(r)
	}
	if m != nil {
		m.Contract().WriteRefusal(w, r, core.Errorf(core.NotFound, "There is nothing here"), f.app.engine.now())
		return
	}
	httpd.WriteProblem(w, http.StatusNotFound, "", "", "no contract has this path, and there is no upstream behind this server; /openapi.json lists what is served", nil)
}

// nearest finds the contract of the host that has a route which begins most
// like the path. Among equals the one that gateway.words names goes first, then
// the one mounted first.
func (f *front) nearest(r *http.Request) *contract.Mounted {
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	var best *contract.Mounted
	most, path, words := -1, httpd.NormalizeSlashes(r.URL.Path), f.app.cfg.Gateway.Words
	for _, m := range f.app.engine.mounts {
		if m.cfg.Host != "" && !strings.EqualFold(m.cfg.Host, strings.TrimSuffix(host, ".")) {
			continue
		}
		n := 0
		for _, route := range m.contract.Routes() {
			n = max(n, 2*segmentsShared(route.Pattern, path))
		}
		if words != "" && (words == m.core.ID || words == m.core.Contract) {
			n++
		}
		if n > most {
			best, most = m.contract, n
		}
	}
	return best
}

// segmentsShared counts the segments with which two paths begin alike.
func segmentsShared(a, b string) (n int) {
	as, bs := strings.Split(strings.Trim(a, "/"), "/"), strings.Split(strings.Trim(b, "/"), "/")
	for n < len(as) && n < len(bs) && as[n] == bs[n] {
		n++
	}
	return n
}
