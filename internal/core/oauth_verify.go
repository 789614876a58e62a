package core

import (
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/internal/token"
)

// oauthPrincipal is sessionPrincipal for tokens of OAuth: what the session was
// granted is compared with what the token says, and a token of a machine
// stands on the machine's own row.
func (s *Service) oauthPrincipal(ctx context.Context, id *Identified, now int64) (*Principal, error) {
	c := id.Claims
	sid, err := ParseSessionID(c.SessionID)
	if err != nil {
		return nil, &Error{Code: TokenMalformed, Reason: "sid", Err: err}
	}
	if id.OfMachine() {
		return s.machinePrincipal(ctx, id, sid)
	}
	p, err := s.rowPrincipal(ctx, id, now)
	if err != nil {
		return nil, err
	}
	grant, err := s.store.GrantOf(ctx, sid.Key)
	switch {
	case errors.Is(err, ErrNoRow):
		return nil, id.Revoked("no grant")
	case err != nil:
		return nil, StoreError(err)
	}
	p.ClientID, p.Audience, p.AuthTime = grant.Client, grant.Audience, grant.AuthTime
	p.Scopes = liveScope(grant.Scope, p.Subject.Roles)
	switch id.Kind {
	case token.Access:
		return p, s.accessFits(id, p, grant.Client, grant.Audience)
	case token.ID:
		if len(c.Audience) != 1 || c.Audience[0] != grant.Client {
			return nil, id.Revoked("aud is not the client of the session")
		}
	}
	return p, nil
}

// accessFits takes client, audience and scope from the token, which may be
// narrower than the session's, and refuses what the session never had.
func (s *Service) accessFits(id *Identified, p *Principal, client string, audience []string) error {
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
func (s *Service) machinePrincipal(ctx context.Context, id *Identified, sid SessionID) (*Principal, error) {
	c := id.Claims
	subj, _, err := s.store.Machine(ctx, c.Subject)
	switch {
	case errors.Is(err, ErrNoRow):
		return nil, id.Revoked("no such machine")
	case err != nil:
		return nil, StoreError(err)
	case !subj.Live():
		return nil, id.Revoked("machine not active")
	}
	p := &Principal{
		Kind: id.Kind, Mount: id.Mount.ID, TokenID: c.ID, Session: sid, Subject: *subj,
		IssuedAt: c.IssuedAt * 1000, ExpiresAt: c.ExpiresAt * 1000, Claims: c.Payload,
		Scopes: subj.Roles, ClientID: c.Subject,
	}
	return p, s.accessFits(id, p, c.Subject, c.Audience)
}

// OAuthAccess says whose an OAuth access token for this issuer is: for userinfo
// and whatever else takes a bearer token here. *Error: TokenInvalid and below,
// Unavailable.
func (s *Service) OAuthAccess(ctx context.Context, raw string, c *Client) (*Principal, error) {
	p, err := s.verified(ctx, s.oauth.mount, raw, s.now(), token.Access)
	if err == nil {
		err = s.ForThisIssuer(p)
	}
	s.outcome("verify", s.oauth.mount, c, err)
	if err != nil {
		return nil, err
	}
	return p, nil
}

// IDTokenHint reads an id token of ours that may have expired (RP-initiated
// logout): who it was for and which session it came from. The signature must
// be good; nothing else is said by it. *Error TokenInvalid.
func (s *Service) IDTokenHint(raw string) (client, user, sid string, err error) {
	id, err := s.identify(raw, []*Mount{s.oauth.mount}, s.now())
	if id == nil || id.Claims == nil || id.Kind != token.ID || len(id.Claims.Audience) != 1 {
		return "", "", "", &Error{Code: TokenInvalid, Reason: "no id token of ours", Err: err}
	}
	return id.Claims.Audience[0], id.Claims.Subject, id.Claims.SessionID, nil
}

// IntrospectRequest asks about any token (RFC 7662).
type IntrospectRequest struct {
	Auth   *ClientRecord
	Token  string
	Client Client
}

// ErrInactive is the answer for every token of which nothing is told.
var ErrInactive = &Error{Code: TokenInvalid, Reason: "inactive"}

// Introspect says whose a token is: access and application tokens of every
// contract, and the client's own refresh tokens. ErrInactive for all others:
// dead, unknown, of an account that the client may not see, under a secret that
// others hold, id tokens, browser cookies.
func (s *Service) Introspect(ctx context.Context, r *IntrospectRequest) (*Principal, error) {
	if r.Auth.Type != ClientConfidential {
		return nil, badClient("public client at introspection")
	}
	now := s.now()
	if err := s.hearing(ctx, now); err != nil {
		return nil, err
	}
	id, err := s.identifyOrRow(ctx, r.Token, s.tokenMounts(), now)
	if err == nil {
		var p *Principal
		if p, err = s.principalOf(ctx, id, r.Token, now); err == nil {
			return p, s.mayTell(r.Auth, p)
		}
	}
	if c := CodeOf(err); c.Is(Unavailable) || c.Is(Internal) {
		return nil, err
	}
	return nil, ErrInactive
}

func (s *Service) principalOf(ctx context.Context, id *Identified, raw string, now int64) (*Principal, error) {
	if id.Kind == token.Application {
		return s.applicationPrincipal(ctx, id, raw)
	}
	return s.sessionPrincipal(ctx, id, now)
}

// mayTell guards what a client learns. A refresh token is told of to its own
// client alone: a resource server that asks must never take one for an access
// token.
func (s *Service) mayTell(c *ClientRecord, p *Principal) error {
	if p.Shared {
		return ErrInactive // it counts on its own mount and nowhere else
	}
	own := p.ClientID == c.ID
	switch p.Kind {
	case token.Access, token.Application:
		if own || c.IntrospectAll || p.Subject.Account == c.Account {
			return nil
		}
	case token.Refresh:
		if own {
			return nil
		}
	}
	return ErrInactive
}

// RevokeRequest ends a token (RFC 7009).
type RevokeRequest struct {
	Auth   *ClientRecord
	Token  string
	Client Client
}

// RevokeToken ends what a token stands for: a refresh token its session with
// all access tokens, an access token itself, an application token its row. A
// token that is not ours, or over, is no error. One that was issued to another
// client is refused. Tokens of contracts have no client; whoever holds one may
// end it if he is a confidential client that may see the account.
func (s *Service) RevokeToken(ctx context.Context, r *RevokeRequest) error {
	err := s.revokeToken(ctx, r)
	s.outcome("revoke", s.oauth.mount, &r.Client, err)
	return err
}

func (s *Service) revokeToken(ctx context.Context, r *RevokeRequest) error {
	now := s.now()
	id, err := s.identifyOrRow(ctx, r.Token, s.tokenMounts(), now)
	if c := CodeOf(err); err != nil && (c.Is(Unavailable) || c.Is(Internal)) {
		return err
	}
	if id == nil || err != nil && CodeOf(err) != TokenExpired || id.Kind == token.ID {
		return nil
	}
	if id.Kind == token.Application {
		return s.revokeApplication(ctx, r, id)
	}
	if id.Claims == nil || CodeOf(err) == TokenExpired && id.Kind == token.Access {
		return nil
	}
	return s.revokeIdentified(ctx, r, id, now)
}

func (s *Service) revokeIdentified(ctx context.Context, r *RevokeRequest, id *Identified, now int64) error {
	sid, err := ParseSessionID(id.Claims.SessionID)
	if err != nil {
		return nil // no session can have it
	}
	ev := r.Client.Event("token.revoke")
	ev.Actor, ev.Subject, ev.Session, ev.Mount = "client:"+r.Auth.ID, id.Claims.Subject, id.Claims.SessionID, id.Mount.ID
	if done, err := s.mayRevoke(ctx, r.Auth, id, sid); done || err != nil {
		return err
	}
	if id.Kind == token.Refresh {
		_, err = s.revokeSessions(ctx, &RevokeSessionsParams{ID: &sid, Reason: "revoked by client", Event: ev})
		s.cache.drop()
		return err
	}
	ev.Detail = map[string]string{"jti": id.Claims.ID}
	p := &AddFactParams{Now: now, Event: ev, Fact: Fact{
		Kind: FactToken, Subject: id.Claims.ID, Reason: "revoked by client", At: now, PurgeAt: id.Claims.ExpiresAt*1000 + 3_600_000,
	}}
	s.renumber(ctx, p, id, sid, now)
	_, err = s.store.AddFact(ctx, p)
	if err != nil {
		return StoreError(err)
	}
	return s.catchUp(ctx)
}

// mayRevoke says whether there is nothing to do, or the client may not. What
// the claims name must be a session of the mount whose key signed them.
func (s *Service) mayRevoke(ctx context.Context, c *ClientRecord, id *Identified, sid SessionID) (done bool, err error) {
	if id.OfMachine() {
		return false, revocable(c, id.Claims.ClientID, "")
	}
	sess, _, err := s.store.SessionByID(ctx, sid)
	if errors.Is(err, ErrNoRow) || err == nil && (sess.ID != sid || sess.Mount != id.Mount.ID) {
		return true, nil
	}
	if err != nil {
		return false, StoreError(err)
	}
	if id.Mount.ID != OAuthMount {
		return false, revocable(c, "", sess.Account)
	}
	if id.Kind == token.Access {
		return false, revocable(c, id.Claims.ClientID, "")
	}
	grant, err := s.store.GrantOf(ctx, sid.Key)
	if errors.Is(err, ErrNoRow) {
		return true, nil
	}
	if err != nil {
		return false, StoreError(err)
	}
	return false, revocable(c, grant.Client, "")
}

// revocable refuses a client that has no business with a token.
func revocable(c *ClientRecord, owner, account string) error {
	if owner == c.ID || owner == "" && c.Type == ClientConfidential && (c.IntrospectAll || account == c.Account) {
		return nil
	}
	return oauthError(OAuthInvalidGrant, "token of another client", "The token was not issued to this client")
}

func (s *Service) revokeApplication(ctx context.Context, r *RevokeRequest, id *Identified) error {
	t, subj, err := s.store.ApplicationTokenByHash(ctx, sha256.Sum256([]byte(r.Token)))
	switch {
	case errors.Is(err, ErrNoRow):
		return nil
	case err != nil:
		return StoreError(err)
	case t.Mount != id.Mount.ID || subj == nil:
		return nil
	}
	if err := revocable(r.Auth, "", subj.Account); err != nil {
		if t.RevokedAt != 0 {
			return nil
		}
		return err
	}
	// Also when the row says that it is done: a row may say so that the next
	// failover takes back, and the step knows.
	actor := Actor{Name: "client:" + r.Auth.ID, Address: addressText(r.Client.Address), RequestID: r.Client.RequestID}
	_, err = s.ChangeApplicationToken(ctx, actor, t.ID, TokenRevoke)
	if err != nil && CodeOf(err) == NotFound {
		return nil // somebody was quicker
	}
	return err
}
