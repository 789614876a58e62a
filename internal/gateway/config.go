package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/httpd"
)

// Authenticator is the part of core that the gateway asks.
type Authenticator interface {
	// Authenticate decides about a token. Its errors are *core.Error; one
	// whose token's signature verified carries the Principal.
	Authenticate(ctx context.Context, r *core.AuthenticateRequest) (*core.Principal, error)
	// Alive says whether a principal decided earlier still stands.
	Alive(ctx context.Context, p *core.Principal) error
}

// Words is a contract as far as the gateway speaks it.
type Words interface {
	// Token finds the token where the contract's clients put it: "" or
	// core.TokenMissing when there is none, *core.Error when it is there in a
	// way that must be refused (twice, say). ambient says that it lay in a
	// cookie, so that a browser may have sent it unasked.
	Token(r *http.Request) (tok string, ambient bool, err error)
	// Cookies names the cookies that tokens are read from.
	Cookies() []string
	// RenderRefusal gives the answer for err, which is a *core.Error.
	RenderRefusal(r *http.Request, err error) Refusal
}

// Refusal is an answer in a contract's words.
type Refusal struct {
	Status int
	Header http.Header
	Body   []byte
}

// Mount is a contract on the listener.
type Mount struct {
	*core.Mount
	Host   string // "" = every host
	Prefix string // "" = every path
	Words  Words
}

// IdentityHeaders are the names of the headers that tell the upstream who
// calls. An empty name is the default one.
type IdentityHeaders struct {
	User    string // the user name; X-Sallyport-User
	UserID  string // the id; X-Sallyport-User-Id
	Account string // the account's short name; X-Sallyport-Account
	Type    string // user or application; X-Sallyport-Type
	Roles   string // separated by spaces; X-Sallyport-Roles
	Session string // the sid, empty for application tokens; X-Sallyport-Session
}

// Timeouts bound the upstream. Zero values have defaults.
type Timeouts struct {
	Dial           time.Duration // 5 s
	ResponseHeader time.Duration // 1 min, from the end of the request to the first byte of the answer
	IdleConn       time.Duration // 90 s an unused connection is kept
}

// Config describes a [Gateway]. Auth and Mounts must be set.
type Config struct {
	// Upstream is http, https or h2c (HTTP/2 without TLS) with a host and no
	// path; nil leaves the reverse proxy out.
	Upstream *url.URL
	// UpstreamHost is the Host header for the upstream; "" passes on the
	// client's.
	UpstreamHost string
	Timeouts     Timeouts

	Auth   Authenticator
	Mounts []Mount
	// OAuth is the mount whose bearer tokens count wherever a rule names no
	// mounts and another mount that covers the path, or its host, serves the
	// token's account; nil without OAuth. It has no routes.
	OAuth *Mount
	// Words speaks when neither rule, token nor path decides; nil is the first
	// mount's.
	Words Words
	Rules []Rule

	Headers IdentityHeaders
	// StripAuthorization keeps the token from the upstream. By default it is
	// passed on: an API that verified tokens before we came goes on doing so.
	StripAuthorization bool
	// PassCookies passes the cookies that tokens lie in on to the upstream.
	// By default they end here; see docs/decisions/gateway-cookies.md.
	PassCookies bool
	// Origins are the web origins, beside a request's own, whose pages may act
	// with a cookie that holds a token.
	Origins []string
	// MaxRequests bounds the requests that are with the upstream at once, and
	// with them its connections; 0 is 8192.
	MaxRequests int
	// CORS answers preflights; nil lets the upstream do it.
	CORS *httpd.CORS

	// Proxies may ask the forward-auth endpoints; nil lists none.
	Proxies *httpd.Proxies

	// CheckEvery is how often streams are looked at; default 500 ms, at most 1 s.
	CheckEvery time.Duration
	// Now gives Unix milliseconds; nil is the clock of the machine.
	Now    func() int64
	Logger *slog.Logger
}

// Gateway decides about requests, forwards them, and cuts streams. Close it.
type Gateway struct {
	cfg     Config
	rules   *ruleSet
	names   identityNames
	proxy   http.Handler // nil without upstream
	close   func()
	streams *streams
	cookies []string     // that tokens lie in
	passing atomic.Int64 // requests that are with the upstream
	log     *slog.Logger
	quiet   struct{ upstream, asker, address minuteLog } // lines a stranger could repeat
}

// New checks cfg and starts watching streams.
func New(cfg Config) (*Gateway, error) {
	if cfg.Auth == nil || len(cfg.Mounts) == 0 {
		return nil, errors.New("gateway: an authenticator and a mount are needed")
	}
	for _, m := range cfg.Mounts {
		if m.Mount == nil || m.Words == nil {
			return nil, errors.New("gateway: every mount needs its core.Mount and its words")
		}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if cfg.Now == nil {
		cfg.Now = func() int64 { return time.Now().UnixMilli() }
	}
	if cfg.CheckEvery <= 0 || cfg.CheckEvery > time.Second {
		cfg.CheckEvery = 500 * time.Millisecond
	}
	if cfg.CORS != nil {
		if err := cfg.CORS.Check(); err != nil {
			return nil, err
		}
	}
	g := &Gateway{cfg: cfg, log: cfg.Logger}
	var err error
	named := cfg.Mounts
	if cfg.OAuth != nil {
		named = append(slices.Clip(named), *cfg.OAuth)
	}
	if g.rules, err = compileRules(cfg.Rules, named); err != nil {
		return nil, err
	}
	if g.names, err = newIdentityNames(&cfg.Headers); err != nil {
		return nil, err
	}
	if g.cfg.MaxRequests <= 0 {
		g.cfg.MaxRequests = 8192
	}
	for i := range cfg.Mounts {
		g.cookies = append(g.cookies, cfg.Mounts[i].Words.Cookies()...)
	}
	g.streams = newStreams(cfg.Auth, cfg.Now)
	ctx, cancel := context.WithCancel(context.Background())
	g.close = cancel
	if cfg.Upstream != nil {
		transport, err := newTransport(cfg.Upstream, &cfg.Timeouts)
		if err != nil {
			cancel()
			return nil, err
		}
		g.proxy = g.newProxy(transport)
		g.close = func() { cancel(); transport.CloseIdleConnections() }
		go g.streams.watch(ctx, cfg.CheckEvery)
	}
	return g, nil
}

// Close stops watching. Streams that are still open are no longer cut, so the
// listener goes first.
func (g *Gateway) Close() { g.close() }

// covering returns the mounts of a host and path, the longest prefix first.
// When none covers the path, those of the host do: a contract may be mounted
// beside the API that its tokens are for. A mount of another account does not
// cover what is below a nearer one: accounts do not see each other, also when
// one of them has the whole host.
func (g *Gateway) covering(host, path string) (mounts []*Mount, byPath bool) {
	var ofHost []*Mount
	for i := range g.cfg.Mounts {
		m := &g.cfg.Mounts[i]
		if m.Host != "" && !strings.EqualFold(m.Host, host) {
			continue
		}
		ofHost = append(ofHost, m)
		if covers(strings.TrimSuffix(m.Prefix, "/"), path) {
			mounts = append(mounts, m)
		}
	}
	slices.SortStableFunc(mounts, func(a, b *Mount) int {
		if d := len(b.Prefix) - len(a.Prefix); d != 0 {
			return d
		}
		return len(b.Host) - len(a.Host)
	})
	if len(mounts) == 0 {
		return ofHost, false
	}
	near := mounts[0]
	mounts = slices.DeleteFunc(mounts, func(m *Mount) bool {
		farther := len(m.Prefix) < len(near.Prefix) || m.Host == "" && near.Host != ""
		return farther && m.Account != near.Account && near.Account != core.AnyAccount
	})
	return mounts, true
}

// mount finds a mount by its id, or by its contract's name.
func mountNamed(mounts []Mount, name string) (*Mount, error) {
	for i := range mounts {
		if mounts[i].ID == name {
			return &mounts[i], nil
		}
	}
	for i := range mounts {
		if mounts[i].Contract == name {
			return &mounts[i], nil
		}
	}
	var known []string
	for i := range mounts {
		known = append(known, mounts[i].ID)
	}
	return nil, fmt.Errorf("there is no mount %q; there are: %s", name, strings.Join(known, ", "))
}
