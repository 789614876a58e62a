package gateway

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/httpd"
)

// question is a request as the rules see it. For forward-auth it is another
// one than the HTTP request that asks.
type question struct {
	r      *http.Request // carries token, origin and client
	method string
	host   string // as sent, with port
	path   string // escaped, without query
	query  string
	asked  bool // by a proxy, through forward-auth
}

// decision lets a request through. Principal is nil on public paths.
type decision struct {
	principal *core.Principal
	rule      *rule // that let it pass
	preflight bool
}

// refusal is why a request does not pass, and in whose words.
type refusal struct {
	err   error
	words Words
}

// plainQuestion reads the question from the request itself.
func plainQuestion(r *http.Request) *question {
	return &question{r: r, method: r.Method, host: r.Host, path: rawPath(r), query: r.URL.RawQuery}
}

// rawPath is the path as it stood in the request line: net/url re-encodes some
// bytes that should not have been there.
func rawPath(r *http.Request) string {
	if strings.HasPrefix(r.RequestURI, "/") {
		path, _, _ := strings.Cut(r.RequestURI, "?")
		return path
	}
	return r.URL.EscapedPath()
}

// decide answers a question. Everything that lets a request pass is here.
func (g *Gateway) decide(q *question) (*decision, *refusal) {
	d, refused := g.judge(q)
	if refused == nil {
		if err := checkUpgrade(q); err != nil {
			return nil, g.refusePassed(&passed{decision: d, question: q}, err)
		}
	}
	return d, refused
}

func (g *Gateway) judge(q *question) (*decision, *refusal) {
	host := hostName(q.host)
	if err := checkHost(q.host); err != nil {
		return nil, g.refuse("", "/", nil, err)
	}
	path, err := checkedPath(q)
	if err != nil {
		return nil, g.refuse(host, "/", nil, err)
	}
	if q.method == http.MethodConnect || q.method == http.MethodTrace || !plainMethod(q.method) {
		// TRACE echoes the token to whoever can read the answer.
		return nil, g.refuse(host, path, nil, &core.Error{Code: core.MethodNotAllowed, Reason: "method"})
	}
	method, preflight := q.method, q.preflight()
	if preflight {
		method = strings.ToUpper(q.r.Header.Get("Access-Control-Request-Method"))
	}
	rule, stricter := g.rules.match(host, method, path)
	switch {
	case rule == nil:
		return nil, g.refuse(host, path, nil, &core.Error{Code: core.Forbidden, Reason: "no rule covers the path"})
	case stricter != nil:
		return nil, g.refuse(host, path, stricter, &core.Error{Code: core.Forbidden, Reason: "the path differs by case from one under a stricter rule"})
	case rule.Access == Deny:
		return nil, g.refuse(host, path, rule, &core.Error{Code: core.Forbidden, Reason: "denied by rule"})
	case preflight:
		// It never carries a token; refusing it would lock every browser out. Who
		// denies OPTIONS by name wants that.
		if denied := g.rules.deniesByName(host, http.MethodOptions, path); denied != nil {
			return nil, g.refuse(host, path, denied, &core.Error{Code: core.Forbidden, Reason: "denied by rule"})
		}
		return &decision{rule: rule, preflight: true}, nil
	case rule.Access == Public:
		return &decision{rule: rule}, nil
	}
	p, err := g.authenticate(q, host, path, rule)
	if err != nil {
		return nil, g.refuse(host, path, rule, err)
	}
	return &decision{principal: p, rule: rule}, nil
}

// checkedPath gives the decoded path, which is what rules match, if it can be
// read in one way only.
func checkedPath(q *question) (string, error) {
	if err := httpd.CheckPath(q.path); err != nil {
		return "", &core.Error{Code: core.BadRequest, Reason: err.Error(), Message: "This path is not accepted: " + strings.TrimPrefix(err.Error(), "path: ")}
	}
	path, err := url.PathUnescape(q.path)
	if err != nil {
		return "", &core.Error{Code: core.BadRequest, Reason: "path", Err: err}
	}
	return path, nil
}

func (q *question) preflight() bool {
	return q.method == http.MethodOptions && q.r.Header.Get("Origin") != "" &&
		plainMethod(strings.ToUpper(q.r.Header.Get("Access-Control-Request-Method")))
}

// authenticate reads the token where the contracts say and asks core about it.
func (g *Gateway) authenticate(q *question, host, path string, r *rule) (*core.Principal, error) {
	mounts := r.mounts
	if len(mounts) == 0 {
		mounts, _ = g.covering(host, path)
		if g.cfg.OAuth != nil && len(mounts) > 0 {
			mounts = append(slices.Clip(mounts), g.cfg.OAuth)
		}
	}
	req := &core.AuthenticateRequest{Roles: r.Roles, Account: r.Account, Client: g.clientOf(q)}
	for _, k := range r.Kinds {
		switch k { // the kinds of package token, by their text
		case "access":
			req.Kinds = append(req.Kinds, "access")
		case "application":
			req.Kinds = append(req.Kinds, "application")
		}
	}
	missing := &core.Error{Code: core.TokenMissing}
	for _, m := range mounts {
		found, ambient, err := m.Words.Token(q.r)
		if core.CodeOf(err) == core.TokenMissing {
			errors.As(err, &missing) // another mount's clients may put theirs elsewhere
			continue
		}
		if err != nil {
			return nil, err
		}
		if found == "" || req.Token != "" && found != req.Token {
			continue // the token of the mount that comes first counts
		}
		if ambient && !g.sameSite(q) {
			return nil, errCrossSite
		}
		req.Token = found
		req.Mounts = append(req.Mounts, m.Mount)
	}
	if hasURLToken(q.query) {
		// RFC 6750 section 2.3 and SECURITY 30: a token in a URL lies in logs
		// and histories; it is refused though valid.
		code := core.TokenMissing
		if req.Token != "" {
			code = core.BadRequest
		}
		return nil, &core.Error{Code: code, Reason: "token in the URL", Message: "A token in the URL is not accepted; send it in a header"}
	}
	if req.Token == "" {
		return nil, missing
	}
	p, err := g.cfg.Auth.Authenticate(q.r.Context(), req)
	if err != nil {
		return nil, err
	}
	if err := g.accountServed(p, r, mounts); err != nil {
		return nil, err
	}
	for _, s := range r.Scopes {
		if !p.HasRole(s) {
			return nil, &core.Error{Code: core.ScopeInsufficient, Reason: "scope " + s, Principal: p}
		}
	}
	return p, nil
}

// accountServed holds a token of OAuth, whose mount covers every path, to the
// accounts that the contracts there serve: otherwise a user of one customer
// could call the API of another.
func (g *Gateway) accountServed(p *core.Principal, r *rule, mounts []*Mount) error {
	if g.cfg.OAuth == nil || p.Mount != g.cfg.OAuth.ID || len(r.mounts) > 0 {
		return nil
	}
	for _, m := range mounts {
		if m != g.cfg.OAuth && (m.Account == core.AnyAccount || m.Account == p.Subject.AccountShortname) {
			return nil
		}
	}
	return &core.Error{Code: core.TokenInvalid, Reason: "token of another account", Principal: &core.Principal{Mount: p.Mount, Kind: p.Kind}}
}

// hasURLToken finds the parameter of RFC 6750, however the query is split.
func hasURLToken(query string) bool {
	if !strings.Contains(query, "=") {
		return false
	}
	for _, pair := range strings.FieldsFunc(query, func(r rune) bool { return r == '&' || r == ';' }) {
		name, _, _ := strings.Cut(pair, "=")
		if plain, err := url.QueryUnescape(name); err == nil && strings.EqualFold(plain, "access_token") {
			return true
		}
	}
	return false
}

func (g *Gateway) clientOf(q *question) core.Client {
	info := httpd.Info(q.r)
	c := core.Client{Address: info.ClientAddr, UserAgent: q.r.UserAgent(), RequestID: info.ID, ForwardedByUnlisted: info.ForwardedByUnlisted}
	if len(c.UserAgent) > 200 {
		c.UserAgent = c.UserAgent[:200]
	}
	if q.asked && info.ForwardedByUnlisted {
		// The peer is a proxy whose word on addresses does not count yet. Its
		// own address must not stand for its clients': a token limited to the
		// proxy's network would be good from everywhere.
		c.Address = netip.Addr{}
		if g.quiet.address.due(g.cfg.Now()) {
			g.log.Warn("a forward-auth proxy is not in trusted_proxies, so the addresses of its clients are unknown",
				"add", fmt.Sprintf("trusted_proxies: [%q]", info.Peer.String()))
		}
	}
	return c
}
