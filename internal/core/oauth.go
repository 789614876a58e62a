package core

import (
	"context"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/internal/token"
)

// The mounts of our own. OAuth's sessions are rows like any contract's, so one
// gate issues and one engine rotates; a browser's login is a session without
// refreshes, whose cookie is its refresh token.
const (
	OAuthMount   = "oauth"
	BrowserMount = "browser"
)

// Bounds and defaults of what a client may be given, in milliseconds.
const (
	MaxAccessMS          int64 = 24 * 3600 * 1000
	MaxRefreshIdleMS     int64 = 365 * 24 * 3600 * 1000
	DefaultAccessMS      int64 = 15 * 60 * 1000
	DefaultRefreshIdleMS int64 = 30 * 24 * 3600 * 1000
	DefaultSessionMS     int64 = 90 * 24 * 3600 * 1000

	// CodeLifetimeMS is how long an authorization code lives (SECURITY 23).
	CodeLifetimeMS int64 = 60_000
	// CodeKeptMS is how long a used code is remembered, so that a late second
	// use still ends what the first one gave.
	CodeKeptMS int64 = 24 * 3600 * 1000
)

// Scopes of OpenID Connect Core section 5.4 and 11. They are no roles: every
// user may grant them.
const (
	ScopeOpenID  = "openid"
	ScopeProfile = "profile"
	ScopeEmail   = "email"
	ScopeOffline = "offline_access"
)

// OIDCScopes lists them.
func OIDCScopes() []string { return []string{ScopeOpenID, ScopeProfile, ScopeEmail, ScopeOffline} }

// OAuthConfig switches OAuth on.
type OAuthConfig struct {
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
	MakeKey func(ctx context.Context, set KeySet, alg token.Algorithm) error
}

// oauthState is what a Service knows once OAuth is on.
type oauthState struct {
	cfg     OAuthConfig
	mount   *Mount
	browser *Mount
}

// EnableOAuth registers the mounts of OAuth, makes their keys, and takes notice
// of the clients there are. It is called once, before the listener opens.
func (s *Service) EnableOAuth(ctx context.Context, cfg OAuthConfig) error {
	if cfg.BrowserMS == 0 {
		cfg.BrowserMS = 12 * 3600 * 1000
	}
	if cfg.BrowserIdleMS == 0 {
		cfg.BrowserIdleMS = 2 * 3600 * 1000
	}
	o := &oauthState{cfg: cfg, mount: s.oauthMount(&cfg), browser: browserMount(cfg.BrowserMS)}
	for _, m := range []*Mount{o.mount, o.browser} {
		for _, kind := range []token.Kind{token.Access, token.Refresh} {
			spec := m.Policy.Spec(kind)
			if spec == nil || cfg.MakeKey == nil {
				continue
			}
			if err := cfg.MakeKey(ctx, KeySet{Mount: m.ID, Kind: kind}, spec.Algorithm); err != nil {
				return err
			}
		}
		if err := s.RegisterMount(m); err != nil {
			return err
		}
	}
	s.oauth = o
	if err := s.noteClients(ctx); err != nil || cfg.MakeKey == nil {
		return err
	}
	return s.RememberLifetimes(ctx)
}

// noteClients learns how long the tokens of clients live, and makes the keys
// of their id tokens where one is missing.
func (s *Service) noteClients(ctx context.Context) error {
	accounts := ""
	for {
		list, err := s.store.ListAccounts(ctx, accounts, 100)
		if err != nil {
			return StoreError(err)
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

func (s *Service) noteClientsOf(ctx context.Context, account string) error {
	for after := ""; ; {
		list, err := s.store.ListClients(ctx, ClientQuery{Account: account, After: after, Limit: 500})
		if err != nil {
			return StoreError(err)
		}
		for _, c := range list {
			s.raiseLongest(max(c.RefreshIdleMS, c.SessionMS))
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

// OAuthMounted is the mount of OAuth, nil while it is off. The gateway takes
// its access tokens.
func (s *Service) OAuthMounted() *Mount {
	if s.oauth == nil {
		return nil
	}
	return s.oauth.mount
}

func (s *Service) oauthMount(cfg *OAuthConfig) *Mount {
	return &Mount{ID: OAuthMount, Contract: OAuthMount, Account: AnyAccount, Policy: Policy{
		PerClient: &PerClient{Principal: s.oauthPrincipal, IDKeys: otherIDSets()}, NoStatusList: cfg.NoStatusList,
		// RegisterMount and the rules need bounds; each client has its own.
		Rotation: Rotation{Rotates: true, GraceMS: cfg.GraceMS, IdleMS: MaxRefreshIdleMS},
		Access:   &TokenSpec{Kind: token.Access, LifetimeMS: MaxAccessMS, Algorithm: token.ES256, Header: token.Header{Typ: "at+jwt"}},
		Refresh:  &TokenSpec{Kind: token.Refresh, LifetimeMS: MaxRefreshIdleMS, Algorithm: token.HS256, Header: token.Header{Typ: "rt+jwt"}},
		ID:       &TokenSpec{Kind: token.ID, LifetimeMS: MaxAccessMS, Algorithm: token.ES256, Header: token.Header{Typ: "JWT"}},
	}}
}

func browserMount(life int64) *Mount {
	return &Mount{ID: BrowserMount, Contract: OAuthMount, Account: AnyAccount, Policy: Policy{
		NoStatusList: true, // it has no access tokens
		Rotation:     Rotation{IdleMS: life, AbsoluteMS: life},
		Refresh:      &TokenSpec{Kind: token.Refresh, LifetimeMS: life, Algorithm: token.HS256, Header: token.Header{Typ: "browser+jwt"}},
	}}
}

// idSet is the set of keys that sign id tokens with an algorithm. A set has
// one algorithm, and clients of one mount ask for several.
func idSet(alg token.Algorithm) KeySet {
	if alg == token.ES256 {
		return KeySet{Mount: OAuthMount, Kind: token.ID}
	}
	return KeySet{Mount: OAuthMount + "." + strings.ToLower(string(alg)), Kind: token.ID}
}

// IDTokenAlgorithms lists what a client may choose, the default first.
func IDTokenAlgorithms() []token.Algorithm {
	return []token.Algorithm{token.ES256, token.RS256, token.EdDSA}
}

// otherIDSets are the sets of all algorithms but the default.
func otherIDSets() []KeySet {
	var sets []KeySet
	for _, alg := range IDTokenAlgorithms()[1:] {
		sets = append(sets, idSet(alg))
	}
	return sets
}

// ensureIDKey makes the key of a client's id tokens when it is first needed.
func (s *Service) ensureIDKey(ctx context.Context, c *OAuthClient) error {
	if !c.MayUse(GrantCode) || s.oauth == nil || s.oauth.cfg.MakeKey == nil || s.keys.ActiveKey(idSet(c.IDTokenAlg)) != "" {
		return nil
	}
	return s.oauth.cfg.MakeKey(ctx, idSet(c.IDTokenAlg), c.IDTokenAlg)
}

// rotationOf is a client's refresh policy.
func (s *Service) rotationOf(c *OAuthClient) Rotation {
	return Rotation{Rotates: true, GraceMS: s.oauth.cfg.GraceMS, IdleMS: c.RefreshIdleMS, AbsoluteMS: c.SessionMS}
}

// audienceOf is aud of a client's access tokens.
func (s *Service) audienceOf(c *OAuthClient) []string {
	if len(c.Audiences) > 0 {
		return slices.Clone(c.Audiences)
	}
	return []string{s.issuer}
}

// OAuthGranted is the answer of an OAuth grant.
type OAuthGranted struct {
	Granted
	Scope []string // what was granted
	// IssuedType is set by token exchange (RFC 8693 section 2.2.1).
	IssuedType string
}

// oauthError makes an error that has a name of its own in RFC 6749 section 5.2
// or a sibling of it.
func oauthError(name, reason, format string, args ...any) *Error {
	e := Errorf(BadRequest, format, args...)
	e.OAuth, e.Reason = name, reason
	return e
}

// Names of errors (RFC 6749 section 5.2, RFC 8693 section 2.2.2).
const (
	OAuthInvalidRequest = "invalid_request"
	OAuthInvalidClient  = "invalid_client"
	OAuthInvalidGrant   = "invalid_grant"
	OAuthUnauthorized   = "unauthorized_client"
	OAuthUnsupported    = "unsupported_grant_type"
	OAuthInvalidScope   = "invalid_scope"
	OAuthInvalidTarget  = "invalid_target"
)

func invalidGrant(reason string) *Error {
	e := oauthError(OAuthInvalidGrant, reason, "The grant is not valid, has expired, was used or belongs to another client")
	e.Code = TokenInvalid
	return e
}

// mayUse refuses a grant that the client was not given.
func mayUse(c *OAuthClient, grant string) error {
	if c.MayUse(grant) {
		return nil
	}
	return oauthError(OAuthUnauthorized, "grant not allowed", "This client may not use the grant type %s", grant)
}

// ParseScope splits a scope parameter (RFC 6749 section 3.3). *Error.
func ParseScope(text string) ([]string, error) {
	if text == "" {
		return nil, nil
	}
	bad := func() ([]string, error) {
		return nil, oauthError(OAuthInvalidScope, "malformed scope", "The scope is words of printable ASCII with single spaces between them")
	}
	if len(text) > 2000 {
		return bad()
	}
	var scope []string
	for _, word := range strings.Split(text, " ") {
		if word == "" {
			return bad()
		}
		for i := range len(word) {
			if c := word[i]; c <= 0x20 || c >= 0x7f || c == '"' || c == '\\' {
				return bad()
			}
		}
		if !slices.Contains(scope, word) {
			scope = append(scope, word)
		}
	}
	return scope, nil
}

// AllowedScope cuts a scope asked for to what a client may have and, of the
// words that are roles, what the user is. Without a scope asked for it is all
// of the client's but those of OpenID Connect. With strict, a word that the
// client may not have is refused (token endpoint); without, it is left out
// (OpenID Connect Core section 3.1.2.1).
func AllowedScope(c *OAuthClient, asked, roles []string, strict bool) ([]string, error) {
	if len(asked) == 0 {
		for _, w := range c.Scopes {
			if !slices.Contains(OIDCScopes(), w) {
				asked = append(asked, w)
			}
		}
	}
	var out []string
	for _, w := range asked {
		switch {
		case !slices.Contains(c.Scopes, w):
			if strict {
				return nil, oauthError(OAuthInvalidScope, "scope not allowed", "This client may not ask for the scope %q", Clip(w))
			}
		case slices.Contains(OIDCScopes(), w) || slices.Contains(roles, w):
			out = append(out, w)
		}
	}
	return out, nil
}

// liveScope is what of a granted scope still counts: a role taken away is gone.
func liveScope(granted, roles []string) []string {
	var out []string
	for _, w := range granted {
		if slices.Contains(OIDCScopes(), w) || slices.Contains(roles, w) {
			out = append(out, w)
		}
	}
	return out
}

func subset(part, whole []string) bool {
	for _, p := range part {
		if !slices.Contains(whole, p) {
			return false
		}
	}
	return true
}
