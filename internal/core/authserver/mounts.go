package authserver

import (
	"context"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/token"
)

func (s *Server) oauthMount(cfg *Options) *core.Mount {
	return &core.Mount{ID: core.OAuthMount, Contract: core.OAuthMount, Account: core.AnyAccount, Policy: core.Policy{
		PerClient: &core.PerClient{Principal: s.principalOf, IDKeys: otherIDSets()}, NoStatusList: cfg.NoStatusList,
		// RegisterMount and the rules need bounds; each client has its own.
		Rotation: core.Rotation{Rotates: true, GraceMS: cfg.GraceMS, IdleMS: MaxRefreshIdleMS},
		Access:   &core.TokenSpec{Kind: token.Access, LifetimeMS: core.MaxAccessMS, Algorithm: token.ES256, Header: token.Header{Typ: "at+jwt"}},
		Refresh:  &core.TokenSpec{Kind: token.Refresh, LifetimeMS: MaxRefreshIdleMS, Algorithm: token.HS256, Header: token.Header{Typ: "rt+jwt"}},
		ID:       &core.TokenSpec{Kind: token.ID, LifetimeMS: core.MaxAccessMS, Algorithm: token.ES256, Header: token.Header{Typ: "JWT"}},
	}}
}

func browserMount(life int64) *core.Mount {
	return &core.Mount{ID: core.BrowserMount, Contract: core.OAuthMount, Account: core.AnyAccount, Policy: core.Policy{
		NoStatusList: true, // it has no access tokens
		Rotation:     core.Rotation{IdleMS: life, AbsoluteMS: life},
		Refresh:      &core.TokenSpec{Kind: token.Refresh, LifetimeMS: life, Algorithm: token.HS256, Header: token.Header{Typ: "browser+jwt"}},
	}}
}

// idSet is the set of keys that sign id tokens with an algorithm. A set has
// one algorithm, and clients of one mount ask for several.
func idSet(alg token.Algorithm) core.KeySet {
	if alg == token.ES256 {
		return core.KeySet{Mount: core.OAuthMount, Kind: token.ID}
	}
	return core.KeySet{Mount: core.OAuthMount + "." + strings.ToLower(string(alg)), Kind: token.ID}
}

// IDTokenAlgorithms lists what a client may choose, the default first.
func IDTokenAlgorithms() []token.Algorithm {
	return []token.Algorithm{token.ES256, token.RS256, token.EdDSA}
}

// otherIDSets are the sets of all algorithms but the default.
func otherIDSets() []core.KeySet {
	var sets []core.KeySet
	for _, alg := range IDTokenAlgorithms()[1:] {
		sets = append(sets, idSet(alg))
	}
	return sets
}

// ensureIDKey makes the key of a client's id tokens when it is first needed.
func (s *Server) ensureIDKey(ctx context.Context, c *core.OAuthClient) error {
	if !c.MayUse(core.GrantCode) || s.mount == nil || s.options.MakeKey == nil || s.keys.ActiveKey(idSet(c.IDTokenAlg)) != "" {
		return nil
	}
	return s.options.MakeKey(ctx, idSet(c.IDTokenAlg), c.IDTokenAlg)
}

// rotationOf is a client's refresh policy.
func (s *Server) rotationOf(c *core.OAuthClient) core.Rotation {
	return core.Rotation{Rotates: true, GraceMS: s.options.GraceMS, IdleMS: c.RefreshIdleMS, AbsoluteMS: c.SessionMS}
}

// audienceOf is aud of a client's access tokens.
func (s *Server) audienceOf(c *core.OAuthClient) []string {
	if len(c.Audiences) > 0 {
		return slices.Clone(c.Audiences)
	}
	return []string{s.service.Issuer()}
}
