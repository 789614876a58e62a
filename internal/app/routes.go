package app

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/internal/contract"
	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/gateway"
	"github.com/sallyport/sallyport/internal/httpd"
	"github.com/sallyport/sallyport/internal/oauth"
)

// Paths of our own. A contract may not claim them.
const (
	pathJWKS    = "/.well-known/jwks.json"
	pathOpenAPI = "/openapi.json"
	pathOwn     = "/_sallyport/"
)

// front is the public handler: our own paths, the contracts', then the gateway.
type front struct {
	app     *App
	router  *contract.Router
	gateway *gateway.Gateway
	oauth   *oauth.Handler // nil when switched off
	proxy   http.Handler   // nil without upstream
	auth    http.Handler   // the forward-auth endpoints
	feed    http.Handler   // the revocation feed
	status  http.Handler   // the token status lists
	openapi []byte         // nil where an upstream may have its own
}

// routes builds the public handler.
func (a *App) routes() (http.Handler, error) {
	var puts []*contract.Mounted
	for _, m := range a.engine.mounts {
		for _, r := range m.contract.Routes() {
			if r.Pattern == pathJWKS || strings.HasPrefix(r.Pattern, pathOwn) {
				return nil, fmt.Errorf("%s: the contract claims %s, which is our own path; give the mount a prefix", m.contract.Contract().File(), r.Pattern)
			}
			if ownsStatusLists(r.Pattern) {
				return nil, fmt.Errorf("%s: the contract claims %s, where token status lists are served; give the mount a prefix", m.contract.Contract().File(), r.Pattern)
			}
			if a.cfg.OAuth.Enabled && oauth.Claims(r.Pattern) {
				return nil, fmt.Errorf("%s: the contract claims %s, which OAuth serves; give the mount a prefix, or set oauth.enabled to false", m.contract.Contract().File(), r.Pattern)
			}
		}
		puts = append(puts, m.contract)
	}
	router, err := contract.NewRouter(puts...)
	if err != nil {
		return nil, err
	}
	a.feed = newFeed(a.engine)
	f := &front{app: a, router: router, feed: a.feed.handler(), status: newStatusLists(a.engine).handler()}
	if a.cfg.OAuth.Enabled {
		if f.oauth, err = a.newOAuth(); err != nil {
			return nil, err
		}
	}
	if f.gateway, err = a.newGateway(); err != nil {
		return nil, err
	}
	a.gateway, a.front = f.gateway, f
	f.proxy, f.auth = f.gateway.Handler(), f.gateway.ForwardAuth()
	if f.proxy == nil || a.demo != nil {
		if f.openapi, err = contract.OpenAPI(contract.Info{Title: "Sallyport", Version: a.opts.Version, Servers: []string{a.engine.service.Issuer()}}, puts...); err != nil {
			return nil, err
		}
	}
	return f, nil
}

func (a *App) newOAuth() (*oauth.Handler, error) {
	c := oauth.Config{
		Service: a.engine.auth, Users: a.engine.service, Issuer: a.engine.service.Issuer(), Logger: a.opts.Logger,
		Now: a.engine.now, PageKey: a.engine.keys.Derive("oauth pages"),
	}
	if file := a.cfg.OAuth.Stylesheet; file != "" {
		var err error
		if c.Stylesheet, err = os.ReadFile(file); err != nil {
			return nil, fmt.Errorf("%s: the stylesheet of the login pages: %w", a.cfg.Origin("oauth.stylesheet"), err)
		}
	}
	return oauth.New(c)
}

// ServeHTTP finds who owns a path. Contract routes come before the gateway; a
// contract owns its paths for all methods.
func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch path := r.URL.Path; {
	case path == pathJWKS:
		f.limited(w, r, http.HandlerFunc(f.jwks))
		return
	case path == pathFeed:
		f.feed.ServeHTTP(w, r)
		return
	case strings.HasPrefix(path, pathOwn):
		f.auth.ServeHTTP(w, r)
		return
	case ownsStatusLists(path):
		f.limited(w, r, f.status)
		return
	case f.oauth != nil && f.oauth.Owns(path):
		f.limited(w, r, f.oauth)
		return
	case path == pathOpenAPI && f.openapi != nil:
		f.limited(w, r, http.HandlerFunc(f.document))
		return
	}
	if _, h, ok := f.router.Match(r); ok {
		f.limited(w, r, h)
		return
	}
	if f.proxy != nil {
		httpd.SetRoute(r, "gateway")
		f.proxy.ServeHTTP(w, r)
		return
	}
	f.notFound(w, r)
}

// limited serves a route of ours under the limits that proxied streams must not
// have.
func (f *front) limited(w http.ResponseWriter, r *http.Request, h http.Handler) {
	l := &f.app.cfg.Limits
	httpd.ServeLimited(w, r, l.RequestTimeout, int64(l.Body), h)
}

// document serves what the contracts are, where no upstream has its own.
func (f *front) document(w http.ResponseWriter, r *http.Request) {
	if !allowGet(w, r) {
		return
	}
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Content-Type", "application/json")
	_, _ = w.Write(f.openapi) // as above
}

func allowGet(w http.ResponseWriter, r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		return true
	case http.MethodOptions:
		w.Header().Set("Allow", "GET, HEAD, OPTIONS")
		w.Header().Set("Access-Control-Allow-Methods", "GET, HEAD")
		w.WriteHeader(http.StatusNoContent)
		return false
	}
	w.Header().Set("Allow", "GET, HEAD, OPTIONS")
	httpd.WriteProblem(w, http.StatusMethodNotAllowed, "", "", "this path answers GET", nil)
	return false
}

// words lets the gateway speak a contract.
type words struct {
	c   *contract.Contract
	now func() int64
}

// Token implements gateway.Words.
func (w words) Token(r *http.Request) (tok string, ambient bool, err error) { return w.c.TokenPlace(r) }

// Cookies implements gateway.Words.
func (w words) Cookies() []string { return w.c.TokenCookies() }

// RenderRefusal implements gateway.Words.
func (w words) RenderRefusal(_ *http.Request, err error) gateway.Refusal {
	status, header, body := w.c.RenderRefusal(err, w.now())
	return gateway.Refusal{Status: status, Header: header, Body: body}
}

// bearerWords lets the gateway speak RFC 6750 about tokens of OAuth.
type bearerWords struct{}

// Token implements gateway.Words. Without a bearer token there is none: the
// contracts' clients put theirs elsewhere.
func (bearerWords) Token(r *http.Request) (tok string, ambient bool, err error) {
	tok, err = oauth.BearerToken(r)
	return tok, false, err
}

// Cookies implements gateway.Words.
func (bearerWords) Cookies() []string { return nil }

// RenderRefusal implements gateway.Words.
func (bearerWords) RenderRefusal(_ *http.Request, err error) gateway.Refusal {
	status, header, body := oauth.BearerRefusal(err)
	return gateway.Refusal{Status: status, Header: header, Body: body}
}

func (a *App) newGateway() (*gateway.Gateway, error) {
	cfg := a.cfg
	proxies, err := httpd.NewProxies(cfg.ForwardAuth.Proxies, cfg.TrustedHeader)
	if err != nil {
		return nil, err
	}
	gc := gateway.Config{
		Timeouts: gateway.Timeouts{Dial: cfg.UpstreamTimeout.Connect, ResponseHeader: cfg.UpstreamTimeout.ResponseHeader, IdleConn: cfg.UpstreamTimeout.Idle},
		Auth:     a.engine.service, Headers: gateway.IdentityHeaders(cfg.Gateway.IdentityHeaders),
		Proxies: proxies, Now: a.engine.now, Logger: a.opts.Logger,
		PassCookies: cfg.Gateway.PassCookies, MaxRequests: httpd.ConnBudget(cfg.Limits.Connections),
	}
	if cfg.CORS.Credentials {
		gc.Origins = cfg.CORS.Origins
	}
	upstream := cfg.Upstream
	if a.demo != nil && upstream == "" {
		upstream = a.demo.url()
	}
	if upstream != "" {
		if gc.Upstream, err = url.Parse(upstream); err != nil {
			return nil, fmt.Errorf("the upstream: %w", err)
		}
	}
	byName := map[string]gateway.Words{}
	for _, m := range a.engine.mounts {
		w := words{m.contract.Contract(), a.engine.now}
		byName[m.core.ID] = w
		if byName[m.core.Contract] == nil {
			byName[m.core.Contract] = w
		}
		gc.Mounts = append(gc.Mounts, gateway.Mount{Mount: m.core, Host: m.cfg.Host, Prefix: m.cfg.Prefix, Words: w})
	}
	if m := a.engine.auth.Mount(); m != nil {
		gc.OAuth = &gateway.Mount{Mount: m, Words: bearerWords{}}
	}
	if cfg.Gateway.Words != "" {
		if gc.Words = byName[cfg.Gateway.Words]; gc.Words == nil {
			return nil, fmt.Errorf("%s: gateway.words names %q, which is no mount or contract here", cfg.Origin("gateway.words"), cfg.Gateway.Words)
		}
	}
	for _, r := range cfg.Gateway.Rules {
		gc.Rules = append(gc.Rules, gateway.Rule{
			Path: r.Prefix, Methods: r.Methods, Access: gateway.Access(r.Access), Roles: r.Roles, Scopes: r.Scopes,
			Kinds: r.Kinds, Account: r.Account, Words: r.Words,
		})
	}
	if cfg.Gateway.CORS == "own" {
		gc.CORS = &httpd.CORS{
			Origins: cfg.CORS.Origins, Methods: cfg.CORS.Methods, Headers: cfg.CORS.Headers, Expose: cfg.CORS.Expose,
			Credentials: cfg.CORS.Credentials, MaxAge: cfg.CORS.MaxAge,
		}
	}
	return gateway.New(gc)
}

// ExplainRoute implements admin.Extras.
func (x *extras) ExplainRoute(_ context.Context, q admin.RouteQuery) (*admin.RouteAnswer, error) {
	f := x.app.front
	if f == nil {
		return nil, core.Errorf(core.Unavailable, "no server runs on this directory; start it and ask again")
	}
	u, err := url.ParseRequestURI(q.Path)
	if err != nil {
		return nil, core.Errorf(core.FieldInvalid, "%q is not a path", q.Path)
	}
	r := &http.Request{Method: q.Method, Host: q.Host, URL: u, Header: http.Header{}}
	if f.oauth != nil && f.oauth.Owns(u.Path) || u.Path == pathJWKS || ownsStatusLists(u.Path) || strings.HasPrefix(u.Path, pathOwn) || u.Path == pathOpenAPI && f.openapi != nil {
		return &admin.RouteAnswer{Handler: "own", Access: "public", Detail: "Sallyport answers it itself."}, nil
	}
	if m, _, ok := f.router.Match(r); ok {
		return &admin.RouteAnswer{Handler: "contract", Mount: m.ID, Access: "public", Detail: "The contract mounted as " + m.ID + " owns this path for all methods."}, nil
	}
	if f.proxy == nil && len(x.app.cfg.ForwardAuth.Proxies) == 0 {
		return &admin.RouteAnswer{Handler: "none", Access: "refused", Detail: "No contract has this path, and there is no upstream."}, nil
	}
	e := f.gateway.Explain(q.Method, q.Host, u.EscapedPath())
	ans := &admin.RouteAnswer{Handler: "gateway", Mount: e.Words, Access: string(e.Access), Detail: e.Reason}
	if e.Access == gateway.Deny {
		ans.Access = "refused"
	}
	if e.Rule != nil {
		ans.Rule, ans.Roles = e.Rule.Path, e.Rule.Roles
	}
	return ans, nil
}
