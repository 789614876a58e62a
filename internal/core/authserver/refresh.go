package authserver

import (
	"context"
	"errors"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/token"
)

// RefreshRequest presents a refresh token of a client's session.
type RefreshRequest struct {
	Auth  *core.ClientRecord
	Token string
	Scope []string // narrows the access token of this answer; nil = all
	// Audience narrows it, too (RFC 8707 section 2.2); nil = all.
	Audience []string
	Client   core.Client
}

// Refresh moves a session of the client, as Refresh does a contract's:
// within the grace time a lost answer is given again with the same refresh
// token. Another client's token is refused and nothing moves.
func (s *Server) Refresh(ctx context.Context, r *RefreshRequest) (*Granted, error) {
	g, err := s.refresh(ctx, r)
	s.engine.Outcome("refresh", s.mount, &r.Client, err)
	return g, err
}

func (s *Server) refresh(ctx context.Context, r *RefreshRequest) (*Granted, error) {
	if err := mayUse(&r.Auth.OAuthClient, core.GrantRefresh); err != nil {
		return nil, err
	}
	now := s.now()
	id, err := s.engine.Identify(r.Token, s.mount, now, token.Refresh)
	if err != nil {
		return nil, err
	}
	sid, err := core.ParseSessionID(id.Claims.SessionID)
	if err != nil {
		return nil, &core.Error{Code: core.TokenMalformed, Reason: "sid", Err: err}
	}
	// The grant never changes, so looking before the step is as good as within.
	grant, err := s.store.GrantOf(ctx, sid.Key)
	switch {
	case errors.Is(err, core.ErrNoRow):
		return nil, invalidGrant("no such session")
	case err != nil:
		return nil, core.StoreError(err)
	case grant.Client != r.Auth.ID:
		return nil, invalidGrant("refresh token of another client")
	case !subset(r.Scope, grant.Scope):
		return nil, oauthError(InvalidScope, "scope wider than granted", "The scope may not be wider than what was granted")
	}
	aud, err := narrowAudience(r.Audience, grant.Audience)
	if err != nil {
		return nil, err
	}
	if err := s.ensureIDKey(ctx, &r.Auth.OAuthClient); err != nil {
		return nil, err
	}
	policy := s.rotationOf(&r.Auth.OAuthClient)
	res, err := s.engine.Move(ctx, id, &policy, &r.Client, now)
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
	g, err := s.issueSession(&r.Auth.OAuthClient, &narrowed, res.Session, res.Subject, now, false)
	if err != nil {
		return nil, err
	}
	g.Verdict = string(res.Verdict)
	return g, nil
}
