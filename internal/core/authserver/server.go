package authserver

import (
	"context"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/token"
)

// Bounds and defaults of what a client may be given, in milliseconds.
const (
	MaxRefreshIdleMS     int64 = 365 * 24 * 3600 * 1000
	DefaultAccessMS      int64 = 15 * 60 * 1000
	DefaultRefreshIdleMS int64 = 30 * 24 * 3600 * 1000
	DefaultSessionMS     int64 = 90 * 24 * 3600 * 1000

	// CodeLifetimeMS is how long an authorization code lives (SECURITY 23).
	CodeLifetimeMS int64 = 60_000
)

// Config is what a Server stands on. All of it is needed.
type Config struct {
	Service Service
	Engine  Engine
	Store   Store
	Keys    Keys
	// Now gives Unix milliseconds. It is read once a call.
	Now func() int64
}

// Server holds every rule of OAuth. Clients and consents can be administered
// with any; tokens and logins need Enable. Its methods are safe for concurrent
// use.
type Server struct {
	service Service
	engine  Engine
	store   Store
	keys    Keys
	now     func() int64

	// Set by Enable, before the listener opens.
	options Options
	mount   *core.Mount // nil while OAuth is off
	browser *core.Mount
}

// New makes a Server.
func New(cfg Config) *Server {
	return &Server{service: cfg.Service, engine: cfg.Engine, store: cfg.Store, keys: cfg.Keys, now: cfg.Now}
}

// Options say how OAuth is served.
type Options struct {
	// GraceMS is the grace time of refresh tokens.
	GraceMS int64
	// BrowserMS is how long a browser's login lives; 0 = 12 hours.
	BrowserMS int64
	// BrowserIdleMS ends a login unused this long; 0 = 2 hours.
	BrowserIdleMS int64
	// NoStatusList leaves the status claim out of tokens.
	NoStatusList bool
	// MakeKey sees to it that a set can sign with an algorithm. nil: no server
	// runs, tokens are only looked at, and a key that a new client needs is made
	// when the server starts.
	MakeKey func(ctx context.Context, set core.KeySet, alg token.Algorithm) error
}

// Enable registers the mounts of OAuth, makes their keys, and takes notice of
// the clients there are. It is called once, before the listener opens.
func (s *Server) Enable(ctx context.Context, o Options) error {
	if o.BrowserMS == 0 {
		o.BrowserMS = 12 * 3600 * 1000
	}
	if o.BrowserIdleMS == 0 {
		o.BrowserIdleMS = 2 * 3600 * 1000
	}
	mount, browser := s.oauthMount(&o), browserMount(o.BrowserMS)
	for _, m := range []*core.Mount{mount, browser} {
		for _, kind := range []token.Kind{token.Access, token.Refresh} {
			spec := m.Policy.Spec(kind)
			if spec == nil || o.MakeKey == nil {
				continue
			}
			if err := o.MakeKey(ctx, core.KeySet{Mount: m.ID, Kind: kind}, spec.Algorithm); err != nil {
				return err
			}
		}
		if err := s.service.RegisterMount(m); err != nil {
			return err
		}
	}
	s.options, s.mount, s.browser = o, mount, browser
	if err := s.noteClients(ctx); err != nil || o.MakeKey == nil {
		return err
	}
	return s.service.RememberLifetimes(ctx)
}

// Mount is the mount of OAuth, nil while it is off. The gateway takes its access
// tokens.
func (s *Server) Mount() *core.Mount { return s.mount }

// noteClients learns how long the tokens of clients live, and makes the keys
// of their id tokens where one is missing.
func (s *Server) noteClients(ctx context.Context) error {
	accounts := ""
	for {
		list, err := s.service.ListAccounts(ctx, accounts, 100)
		if err != nil {
			return err
		}
		for _, a := range list {
			if err := s.noteClientsOf(ctx, a.ID); err != nil {
				return err
			}
			accounts = a.Shortname
		}
		if len(list) < 100 {
			return nil
		}
	}
}

func (s *Server) noteClientsOf(ctx context.Context, account string) error {
	for after := ""; ; {
		list, err := s.store.ListClients(ctx, core.ClientQuery{Account: account, After: after, Limit: 500})
		if err != nil {
			return core.StoreError(err)
		}
		for _, c := range list {
			s.engine.RaiseLongest(max(c.RefreshIdleMS, c.SessionMS))
			if err := s.ensureIDKey(ctx, &c.OAuthClient); err != nil {
				return err
			}
			after = c.ID
		}
		if len(list) < 500 {
			return nil
		}
	}
}

// Granted is the answer of an OAuth grant.
type Granted struct {
	core.Granted
	Scope []string // what was granted
	// IssuedType is set by token exchange (RFC 8693 section 2.2.1).
	IssuedType string
}
