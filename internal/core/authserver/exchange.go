package authserver

import (
	"context"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/token"
)

// ExchangeRequest narrows an access token (RFC 8693).
type ExchangeRequest struct {
	Auth     *core.ClientRecord
	Subject  string // the access token
	Scope    []string
	Audience []string
	Client   core.Client
}

// TypeAccessToken is the one token type that exchange takes and gives.
const TypeAccessToken = "urn:ietf:params:oauth:token-type:access_token"

// ExchangeToken gives for a live access token of the client's own another one
// of the same session with less scope or fewer audiences, that ends no later.
// It dies with the first. It cannot be exchanged again.
func (s *Server) ExchangeToken(ctx context.Context, r *ExchangeRequest) (*Granted, error) {
	g, err := s.exchangeToken(ctx, r)
	s.engine.Outcome("token_exchange", s.mount, &r.Client, err)
	if err == nil {
		s.engine.Granted("token_exchange", s.mount, "client:"+r.Auth.ID, &r.Client)
	}
	return g, err
}

func (s *Server) exchangeToken(ctx context.Context, r *ExchangeRequest) (*Granted, error) {
	if err := mayUse(&r.Auth.OAuthClient, core.GrantExchange); err != nil {
		return nil, err
	}
	now := s.now()
	p, err := s.verified(ctx, s.mount, r.Subject, now, token.Access)
	if err != nil {
		if core.CodeOf(err).Is(core.Unauthorized) {
			return nil, oauthError(InvalidRequest, "subject token: "+string(core.CodeOf(err)), "The subject_token is not a live access token of this client")
		}
		return nil, err
	}
	switch {
	case p.ClientID != r.Auth.ID:
		return nil, oauthError(InvalidRequest, "subject token of another client", "The subject_token is not a live access token of this client")
	case p.Parent != "":
		return nil, oauthError(InvalidRequest, "subject token exchanged already", "The subject_token comes from an exchange; exchange the first one")
	case !subset(r.Scope, p.Scopes):
		return nil, oauthError(InvalidScope, "scope wider", "The scope may not be wider than that of the subject_token")
	}
	aud, err := narrowAudience(r.Audience, p.Audience)
	if err != nil {
		return nil, err
	}
	scope := p.Scopes
	if len(r.Scope) > 0 {
		scope = r.Scope
	}
	access := *s.mount.Policy.Access
	access.LifetimeMS = min(r.Auth.AccessMS, p.ExpiresAt-(now-now%1000))
	access.Claims = &accessClaims{client: r.Auth.ID, scope: scope, audience: aud, authTime: p.AuthTime, parent: p.TokenID}
	sess := &core.Session{ID: p.Session, Mount: core.OAuthMount, Subject: p.Subject.ID, Account: p.Subject.Account, CreatedAt: now, Status: p.Status}
	g := &Granted{Granted: core.Granted{Now: now - now%1000, Session: sess, Subject: &p.Subject}, Scope: scope, IssuedType: TypeAccessToken}
	g.AccessToken, g.AccessExpires, err = s.engine.Sign(s.mount, &access, sess, &p.Subject, now)
	return g, err
}
