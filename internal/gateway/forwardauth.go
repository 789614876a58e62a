package gateway

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/httpd"
)

// Our paths for other proxies.
const (
	AuthPrefix  = "/_sallyport/auth/"
	RefusalPath = "/_sallyport/refusal"
)

// What every answer that lets a request pass says, and nothing else does: a
// proxy that wants to see it takes no other program's 200 for ours, when one
// has got our port, or the proxy has mixed up its connections. Who asks must
// remove it from what clients send, as all that names us.
const (
	decisionHeader = "X-Sallyport-Decision"
	decisionAllow  = "allow"
)

// dialect is how one proxy tells what it asks about.
type dialect struct {
	method, uri, host string // headers; "" for the request's own
	// only401 is for nginx, whose auth_request knows 2xx, 401 and 403 and
	// drops the body: 401 sends it to RefusalPath, which says the rest.
	only401 bool
	// inPath is for Envoy, which sends the request as it is, its path behind
	// ours.
	inPath bool
}

var dialects = map[string]*dialect{
	"nginx":   {method: "X-Original-Method", uri: "X-Original-Uri", only401: true},
	"traefik": {method: "X-Forwarded-Method", uri: "X-Forwarded-Uri", host: "X-Forwarded-Host"},
	"caddy":   {method: "X-Forwarded-Method", uri: "X-Forwarded-Uri", host: "X-Forwarded-Host"},
	"envoy":   {inPath: true},
}

// dialectHeaders are the headers, by their bare names, in which some dialect
// names method or path. One that is not this dialect's was written by the
// client, or by a proxy that is set up for another endpoint.
var dialectHeaders = map[string]bool{
	"xoriginalmethod": true, "xoriginaluri": true, "xoriginalurl": true,
	"xforwardedmethod": true, "xforwardeduri": true,
	"xenvoyoriginalpath": true, "xenvoyoriginalmethod": true,
}

// ForwardAuth serves AuthPrefix and RefusalPath.
func (g *Gateway) ForwardAuth() http.Handler { return http.HandlerFunc(g.serveForwardAuth) }

func (g *Gateway) serveForwardAuth(w http.ResponseWriter, r *http.Request) {
	raw := rawPath(r)
	if raw == RefusalPath {
		httpd.SetRoute(r, "forward-auth refusal")
		g.serveRefusal(w, r)
		return
	}
	name, rest := strings.TrimPrefix(raw, AuthPrefix), ""
	if i := strings.IndexByte(name, '/'); i >= 0 {
		name, rest = name[:i], name[i:]
	}
	d := dialects[name]
	if !strings.HasPrefix(raw, AuthPrefix) || d == nil || (rest != "") != d.inPath {
		httpd.WriteProblem(w, http.StatusNotFound, "", "", "The forward-auth endpoints are "+AuthPrefix+"nginx, traefik, caddy and envoy (the path follows the last)", nil)
		return
	}
	httpd.SetRoute(r, "forward-auth "+name)
	q, problem := g.ask(r, d, rest)
	if problem != nil {
		g.writeProblem(w, d, problem)
		return
	}
	decided, refused := g.decide(q)
	if refused == nil {
		if err := g.names.set(w.Header(), decided.principal); err != nil {
			refused = g.refuse(hostName(q.host), "/", nil, err)
		}
	}
	if refused != nil {
		g.writeForwardRefusal(w, q, d, refused)
		return
	}
	httpd.NoStore(w.Header())
	w.Header().Set(decisionHeader, decisionAllow)
	w.WriteHeader(http.StatusOK) // Envoy takes no other 2xx
}

// problem is a question that was not asked properly; it is for the operator
// of the proxy.
type problem struct {
	status int
	detail string
}

func (g *Gateway) writeProblem(w http.ResponseWriter, d *dialect, p *problem) {
	status := p.status
	if d.only401 {
		status = http.StatusUnauthorized
	}
	httpd.NoStore(w.Header())
	httpd.WriteProblem(w, status, "", "", p.detail, nil)
}

func (g *Gateway) writeForwardRefusal(w http.ResponseWriter, q *question, d *dialect, f *refusal) {
	if !d.only401 {
		g.writeRefusal(w, q.r, f)
		return
	}
	httpd.NoStore(w.Header())
	w.WriteHeader(http.StatusUnauthorized)
}

// serveRefusal decides again, for nginx, and gives the true status and body.
func (g *Gateway) serveRefusal(w http.ResponseWriter, r *http.Request) {
	q, problem := g.ask(r, dialects["nginx"], "")
	if problem != nil {
		httpd.NoStore(w.Header())
		httpd.WriteProblem(w, problem.status, "", "", problem.detail, nil)
		return
	}
	_, refused := g.decide(q)
	if refused == nil {
		// It would pass now: what stood against it a moment ago was ours.
		refused = g.refuse(hostName(q.host), "/", nil, &core.Error{Code: core.Unavailable, Reason: "decided otherwise a moment ago", RetryAfter: 1000})
	}
	g.writeRefusal(w, q.r, refused)
}

// ask reads the question in a dialect.
func (g *Gateway) ask(r *http.Request, d *dialect, rest string) (*question, *problem) {
	if p := g.checkAsker(r); p != nil {
		return nil, p
	}
	for name := range r.Header {
		b := bareName(name)
		if dialectHeaders[b] && b != bareName(d.method) && b != bareName(d.uri) {
			return nil, &problem{http.StatusBadRequest, "The request has " + name + ", which this endpoint does not read. The proxy must remove it, or ask the endpoint of its own dialect"}
		}
	}
	if d.inPath {
		return &question{r: r, method: r.Method, host: r.Host, path: rest, query: r.URL.RawQuery, asked: true}, nil
	}
	q := &question{r: r, host: r.Host, asked: true}
	var uri string
	for _, f := range []struct {
		name string
		dst  *string
	}{{d.method, &q.method}, {d.uri, &uri}, {d.host, &q.host}} {
		if f.name == "" {
			continue
		}
		v, p := oneHeader(r.Header, f.name)
		if p != nil {
			return nil, p
		}
		*f.dst = v
	}
	q.path, q.query, _ = strings.Cut(uri, "?")
	if u, err := url.Parse(uri); err == nil && u.Scheme != "" && u.Host != "" {
		return nil, &problem{http.StatusBadRequest, d.uri + " must be path and query alone"}
	}
	return q, nil
}

// oneHeader wants a header exactly once, whatever its spelling: one that is
// there twice is read differently by whoever reads the first and the last.
func oneHeader(h http.Header, name string) (string, *problem) {
	var found []string
	for n, values := range h {
		if bareName(n) == bareName(name) {
			found = append(found, values...)
		}
	}
	switch {
	case len(found) == 0 || found[0] == "":
		return "", &problem{http.StatusBadRequest, "The header " + name + " is missing; the proxy must set it (see docs/gateway.md)"}
	case len(found) > 1:
		return "", &problem{http.StatusBadRequest, "The header " + name + " is there more than once; the proxy must set it, not add to it"}
	}
	return found[0], nil
}

// checkAsker lets listed proxies ask alone. Anybody else could learn which
// tokens are good, and claim any method, path and address.
func (g *Gateway) checkAsker(r *http.Request) *problem {
	peer := httpd.Info(r).Peer
	if g.cfg.Proxies != nil && g.cfg.Proxies.Trusts(peer) {
		return nil
	}
	who := "unix"
	if peer.IsValid() {
		who = peer.String()
	}
	if g.quiet.asker.due(g.cfg.Now()) {
		g.log.WarnContext(r.Context(), "a peer that is not listed asks the forward-auth endpoint; it is refused",
			"peer", who, "if_it_is_your_proxy_add", fmt.Sprintf("forward_auth: {proxies: [%q]}", who))
	}
	return &problem{http.StatusForbidden, "This peer is not listed in forward_auth.proxies; the server's log has the line to add"}
}
