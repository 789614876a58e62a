package authserver

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/token"
)

// principalOf says who a token of OAuth speaks for: what the session was granted
// is compared with what the token says, and a token of a machine stands on the
// machine's own row.
func (s *Server) principalOf(ctx context.Context, id *core.Identified, now int64) (*core.Principal, error) {
	c := id.Claims
	sid, err := core.ParseSessionID(c.SessionID)
	if err != nil {
		return nil, &core.Error{Code: core.TokenMalformed, Reason: "sid", Err: err}
	}
	if id.OfMachine() {
		return s.machinePrincipal(ctx, id, sid)
	}
	p, err := s.engine.RowPrincipal(ctx, id, now)
	if err != nil {
		return nil, err
	}
	grant, err := s.store.GrantOf(ctx, sid.Key)
	switch {
	case errors.Is(err, core.ErrNoRow):
		return nil, id.Revoked("no grant")
	case err != nil:
		return nil, core.StoreError(err)
	}
	p.ClientID, p.Audience, p.AuthTime = grant.Client, grant.Audience, grant.AuthTime
	p.Scopes = liveScope(grant.Scope, p.Subject.Roles)
	if id.Kind != token.Refresh && c.Subject != p.Subject.ID {
		// We write both. Who has the key and changes one becomes nobody else here,
		// but whoever verifies the token offline would believe it.
		return nil, id.Revoked("sub is not the session's")
	}
	switch id.Kind {
	case token.Access:
		return p, accessFits(id, p, grant.Client, grant.Audience)
	case token.ID:
		if len(c.Audience) != 1 || c.Audience[0] != grant.Client {
			return nil, id.Revoked("aud is not the client of the session")
		}
	}
	return p, nil
}

// accessFits takes client, audience and scope from the token, which may be
// narrower than the session's, and refuses what the session never had.
func accessFits(id *core.Identified, p *core.Principal, client string, audience []string) error {
	c := id.Claims
	if c.ClientID != client || !subset(c.Audience, audience) {
		return id.Revoked("client_id or aud is not the session's")
	}
	p.ClientID, p.Audience = c.ClientID, c.Audience
	var scope []string
	for _, w := range strings.Fields(c.Scope) {
		if slices.Contains(p.Scopes, w) {
			scope = append(scope, w)
		}
	}
	p.Scopes = scope
	if parent, ok := c.Text("parent"); ok {
		p.Parent = parent
	}
	return nil
}

// machinePrincipal reads the client or API key that a token speaks for.
func (s *Server) machinePrincipal(ctx context.Context, id *core.Identified, sid core.SessionID) (*core.Principal, error) {
	c := id.Claims
	subj, _, err := s.store.Machine(ctx, c.Subject)
	switch {
	case errors.Is(err, core.ErrNoRow):
		return nil, id.Revoked("no such machine")
	case err != nil:
		return nil, core.StoreError(err)
	case !subj.Live():
		return nil, id.Revoked("machine not active")
	}
	p := &core.Principal{
		Kind: id.Kind, Mount: id.Mount.ID, TokenID: c.ID, Session: sid, Subject: *subj,
		IssuedAt: c.IssuedAt * 1000, ExpiresAt: c.ExpiresAt * 1000, Claims: c.Payload,
		Scopes: subj.Roles, ClientID: c.Subject,
	}
	return p, accessFits(id, p, c.Subject, c.Audience)
}

// verified says who a token of one of our mounts speaks for, if it is of one of
// the kinds.
func (s *Server) verified(ctx context.Context, m *core.Mount, raw string, now int64, kinds ...token.Kind) (*core.Principal, error) {
	id, err := s.engine.Identify(raw, m, now, kinds...)
	if err != nil {
		return nil, err
	}
	return s.engine.Principal(ctx, id, raw, now)
}

// Access says whose an OAuth access token for this issuer is: for userinfo
// and whatever else takes a bearer token here. *Error: TokenInvalid and below,
// Unavailable.
func (s *Server) Access(ctx context.Context, raw string, c *core.Client) (*core.Principal, error) {
	p, err := s.verified(ctx, s.mount, raw, s.now(), token.Access)
	if err == nil {
		err = s.service.ForThisIssuer(p)
	}
	s.engine.Outcome("verify", s.mount, c, err)
	if err != nil {
		return nil, err
	}
	return p, nil
}

// IDTokenHint reads an id token of ours that may have expired (RP-initiated
// logout): who it was for and which session it came from. The signature must
// be good; nothing else is said by it. *Error TokenInvalid.
func (s *Server) IDTokenHint(raw string) (client, user, sid string, err error) {
	id, err := s.engine.Identify(raw, s.mount, s.now(), token.ID)
	if id == nil || id.Claims == nil || len(id.Claims.Audience) != 1 {
		return "", "", "", &core.Error{Code: core.TokenInvalid, Reason: "no id token of ours", Err: err}
	}
	return id.Claims.Audience[0], id.Claims.Subject, id.Claims.SessionID, nil
}
