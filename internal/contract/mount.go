package contract

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/httpd"
)

// MountOptions put a contract on a listener.
type MountOptions struct {
	// ID is stable over restarts: sessions and keys belong to it.
	ID string
	// Host is the one host name it answers, "" for any; Prefix stands before
	// every path of the contract, "" for none.
	Host, Prefix string
	// Account is the shortname it serves, "" for the default account, or
	// core.AnyAccount.
	Account string
	// Grants does the work.
	Grants core.Grants
	// Client says where a request came from; nil asks package httpd.
	Client func(*http.Request) core.Client
	// Now gives Unix milliseconds; nil is the system's clock.
	Now func() int64
	// Logger hears of defects; nil is slog.Default.
	Logger *slog.Logger
}

// Mounted is a contract on a listener.
type Mounted struct {
	ID, Host, Prefix string
	// Core is the mount as the core knows it; register it there.
	Core *core.Mount

	contract *Contract
	opts     MountOptions
	handlers []*handler
}

// Mount joins the contract with a listener's settings.
func (c *Contract) Mount(o MountOptions) (*Mounted, error) {
	if o.ID == "" {
		return nil, fmt.Errorf("%s: a mount needs an id", c.def.File)
	}
	if o.Grants == nil {
		return nil, errors.New("contract: a mount needs core.Grants")
	}
	o.Prefix = strings.TrimSuffix(o.Prefix, "/")
	if o.Prefix != "" {
		if segs, problem := splitPattern(o.Prefix); problem != "" || slices.ContainsFunc(segs, func(s segment) bool { return s.param }) {
			return nil, fmt.Errorf("%s: the prefix %q does not do; want one such as /acme", c.def.File, o.Prefix)
		}
	}
	if o.Account == "" {
		o.Account = core.DefaultAccount
	}
	if o.Client == nil {
		o.Client = ClientOf
	}
	if o.Now == nil {
		o.Now = func() int64 { return time.Now().UnixMilli() }
	}
	m := &Mounted{
		ID: o.ID, Host: strings.ToLower(o.Host), Prefix: o.Prefix, contract: c, opts: o,
		Core: &core.Mount{ID: o.ID, Contract: c.def.Name, Account: o.Account, Policy: c.policy},
	}
	for _, g := range c.paths {
		dynamic := slices.ContainsFunc(g.segments, func(s segment) bool { return s.param })
		m.handlers = append(m.handlers, &handler{m, g, m.Prefix + g.pattern, dynamic})
	}
	return m, nil
}

// ClientOf is what httpd knows about the client.
func ClientOf(r *http.Request) core.Client {
	i := httpd.Info(r)
	return core.Client{Address: i.ClientAddr, UserAgent: r.UserAgent(), RequestID: i.ID, ForwardedByUnlisted: i.ForwardedByUnlisted}
}

// Contract is what is mounted.
func (m *Mounted) Contract() *Contract { return m.contract }

func (m *Mounted) now() int64 { return m.opts.Now() }

func (m *Mounted) logger() *slog.Logger {
	if m.opts.Logger != nil {
		return m.opts.Logger
	}
	return slog.Default()
}

// Route is one method and path that a mount serves.
type Route struct {
	Host, Method, Pattern string
	Grant                 string
	Handler               http.Handler
}

// Routes lists what the mount serves, in file order.
func (m *Mounted) Routes() []Route {
	var out []Route
	for _, h := range m.handlers {
		for _, e := range h.group.endpoints {
			out = append(out, Route{m.Host, e.method, m.Prefix + h.group.pattern, e.routes[0].grant.name, h})
		}
	}
	return out
}

// cors is the contract's CORS with the methods of a path.
func (m *Mounted) cors(g *pathGroup) *httpd.CORS {
	if m.contract.def.cors == nil {
		return nil
	}
	c := *m.contract.def.cors
	for _, e := range g.endpoints {
		c.Methods = append(c.Methods, e.method)
	}
	return &c
}

// grant calls the core.
func (m *Mounted) grant(ctx context.Context, q *request) (call, error) {
	g, r := m.opts.Grants, q.route
	client := m.opts.Client(q.http)
	var out call
	var err error
	switch r.grant.name {
	case "password":
		out.granted, err = g.Login(ctx, &core.LoginRequest{
			Mount: m.Core, Account: q.text("account"), Username: q.text("username"), Password: q.text("password"),
			WithoutRefresh: r.noRef, Variant: r.variantName(), Client: client,
		})
	case "refresh":
		out.granted, err = g.Refresh(ctx, &core.RefreshRequest{Mount: m.Core, Token: q.text("refresh_token"), Subject: q.text("subject"), Variant: r.variantName(), Client: client})
	case "renew":
		out.granted, err = g.Renew(ctx, &core.RenewRequest{Mount: m.Core, Token: q.text("access_token"), Variant: r.variantName(), Client: client})
	case "request_token":
		out.granted, err = g.ExchangeRequestToken(ctx, &core.ExchangeRequest{Mount: m.Core, Token: q.text("request_token"), Variant: r.variantName(), Client: client})
	case "application_token":
		out.granted, err = g.MintApplicationToken(ctx, &core.MintRequest{
			Mount: m.Core, Token: q.token(), Kinds: r.kinds, MaxAgeMS: r.maxAge, Label: q.text("label"), Networks: q.list("networks"), Scopes: q.list("scopes"), Client: client,
		})
	case "verify", "whoami":
		out.principal, err = g.Verify(ctx, &core.VerifyRequest{Mount: m.Core, Token: q.token(), Kinds: r.kinds, Client: client})
	case "logout":
		err = g.Logout(ctx, &core.LogoutRequest{Mount: m.Core, Token: q.token(), Kinds: r.kinds, Scope: r.logout, Client: client})
		if err != nil && r.lenient && core.CodeOf(err).Is(core.Unauthorized) {
			err = nil // nothing is left to end; a store that fails is still an error
		}
	case "none":
	default:
		err = fmt.Errorf("contract: grant %q has no code", r.grant.name)
	}
	return out, err
}

func (r *boundRoute) variantName() string {
	if r.variant == nil {
		return ""
	}
	return r.variant.name
}

// token is the credential of a route that takes one of several inputs.
func (q *request) token() string {
	for _, name := range q.route.grant.oneOf {
		if t := q.text(name); t != "" {
			return t
		}
	}
	return ""
}
