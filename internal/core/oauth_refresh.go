package core

import (
	"context"
	"errors"

	"github.com/sallyport/sallyport/internal/token"
)

// OAuthRefreshRequest presents a refresh token of a client's session.
type OAuthRefreshRequest struct {
	Auth  *ClientRecord
	Token string
	Scope []string // narrows the access token of this answer; nil = all
	// Audience narrows it, too (RFC 8707 section 2.2); nil = all.
	Audience []string
	Client   Client
}

// RefreshOAuth moves a session of the client, as Refresh does a contract's:
// within the grace time a lost answer is given again with the same refresh
// token. Another client's token is refused and nothing moves.
func (s *Service) RefreshOAuth(ctx context.Context, r *OAuthRefreshRequest) (*OAuthGranted, error) {
	g, err := s.refreshOAuth(ctx, r)
	s.outcome("refresh", s.oauth.mount, &r.Client, err)
	return g, err
}

func (s *Service) refreshOAuth(ctx context.Context, r *OAuthRefreshRequest) (*OAuthGranted, error) {
	if err := mayUse(&r.Auth.OAuthClient, GrantRefresh); err != nil {
		return nil, err
	}
	now := s.now()
	m := s.oauth.mount
	id, err := s.wanted(m, r.Token, now, token.Refresh)
	if err != nil {
		return nil, err
	}
	sid, err := ParseSessionID(id.Claims.SessionID)
	if err != nil {
		return nil, &Error{Code: TokenMalformed, Reason: "sid", Err: err}
	}
	// The grant never changes, so looking before the step is as good as within.
	grant, err := s.store.GrantOf(ctx, sid.Key)
	switch {
	case errors.Is(err, ErrNoRow):
		return nil, invalidGrant("no such session")
	case err != nil:
		return nil, StoreError(err)
	case grant.Client != r.Auth.ID:
		return nil, invalidGrant("refresh token of another client")
	case !subset(r.Scope, grant.Scope):
		return nil, oauthError(OAuthInvalidScope, "scope wider than granted", "The scope may not be wider than what was granted")
	}
	aud, err := narrowAudience(r.Audience, grant.Audience)
	if err != nil {
		return nil, err
	}
	signer := s.keys.ActiveKey(KeySet{Mount: m.ID, Kind: token.Refresh})
	if signer == "" {
		return nil, &Error{Code: Unavailable, Reason: "no refresh key of " + m.ID, RetryAfter: 1000}
	}
	if err := s.ensureIDKey(ctx, &r.Auth.OAuthClient); err != nil {
		return nil, err
	}
	policy := s.rotationOf(&r.Auth.OAuthClient)
	res, err := s.step(ctx, &RefreshRequest{Mount: m, Token: r.Token, Client: r.Client}, id.Claims, sid, &policy, signer, now)
	if err != nil {
		return nil, err
	}
	narrowed := *grant
	narrowed.Audience = aud
	if len(r.Scope) > 0 {
		// RFC 6749 section 6: for this access token alone. The refresh token
		// keeps the scope that the user gave.
		narrowed.Scope = r.Scope
	}
	g, err := s.issueOAuth(&r.Auth.OAuthClient, &narrowed, res.Session, res.Subject, now, false)
	if err != nil {
		return nil, err
	}
	g.Verdict = string(res.Verdict)
	return g, nil
}
