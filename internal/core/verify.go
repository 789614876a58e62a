package core

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/netip"
	"slices"

	"github.com/sallyport/sallyport/internal/token"
)

// hearing refuses while this node does not hear of revocations: a token that
// might have been revoked is not accepted on a guess.
// A node that was merely idle asks the store once before it says so. After a
// clock was set back, "heard in the future" is no proof of having heard lately.
func (s *Service) hearing(ctx context.Context, now int64) error {
	_, heard := s.revoked.state()
	if ago := now - heard; ago <= s.cfg.MaxStalenessMS && ago >= -s.cfg.MaxStalenessMS {
		return nil
	}
	if err := s.follow(ctx); err != nil {
		return &Error{Code: Unavailable, Reason: "revocations not heard", Message: "Try again shortly", RetryAfter: 1000, Err: err}
	}
	return nil
}

// Verify says whose a token is, on one mount, uncached. Nothing moves.
func (s *Service) Verify(ctx context.Context, r *VerifyRequest) (*Principal, error) {
	p, err := s.verified(ctx, r.Mount, r.Token, s.now(), r.Kinds...)
	if err == nil {
		err = networkAllowed(p, r.Client.Address)
	}
	s.outcome("verify", r.Mount, &r.Client, err)
	if err != nil {
		return nil, err
	}
	return p, nil
}

// verified identifies a token on a mount and reads its live subject.
func (s *Service) verified(ctx context.Context, m *Mount, raw string, now int64, kinds ...token.Kind) (*Principal, error) {
	if len(kinds) == 0 {
		kinds = []token.Kind{token.Access, token.Application}
	}
	if err := s.hearing(ctx, now); err != nil {
		return nil, err
	}
	id, err := s.identifyOrRow(ctx, raw, []*Mount{m}, now)
	if id, err = demandKind(id, err, kinds...); err != nil {
		return nil, err
	}
	if id.Kind == token.Application {
		return s.applicationPrincipal(ctx, id, raw)
	}
	return s.sessionPrincipal(ctx, id, now)
}

// sessionPrincipal reads what stands behind an access, id or refresh token.
func (s *Service) sessionPrincipal(ctx context.Context, id *Identified, now int64) (*Principal, error) {
	own := id.Mount.Policy.PerClient
	if own == nil {
		return s.rowPrincipal(ctx, id, now)
	}
	p, err := own.Principal(ctx, id, now)
	if err == nil && s.factOn(p) {
		err = id.Revoked("fact")
	}
	if err != nil {
		return nil, err
	}
	return p, nil
}

// factOn reports whether a fact ended what a principal stands on: its token, the
// one that it was narrowed from, its session, subject, account or client.
func (s *Service) factOn(p *Principal) bool {
	sid := p.Session.String()
	return s.revoked.deadToken(p.TokenID, sid) || p.Parent != "" && s.revoked.deadToken(p.Parent, sid) ||
		s.revoked.deadSession(p.Session, sid, p.Subject.ID, p.Subject.Account) ||
		p.ClientID != "" && s.revoked.deadSession(p.Session, sid, p.ClientID, "")
}

// rowPrincipal reads the session of an access, id or refresh token.
func (s *Service) rowPrincipal(ctx context.Context, id *Identified, now int64) (*Principal, error) {
	sid, err := ParseSessionID(id.Claims.SessionID)
	if err != nil {
		return nil, &Error{Code: TokenMalformed, Reason: "sid", Err: err}
	}
	sess, subj, err := s.store.SessionByID(ctx, sid)
	switch {
	case errors.Is(err, ErrNoRow):
		return nil, id.Revoked("no session")
	case err != nil:
		return nil, StoreError(err)
	case sess.ID != sid || sess.Mount != id.Mount.ID:
		return nil, id.Revoked("session of another mount")
	case sess.RevokedAt != 0:
		return nil, id.Revoked("session revoked")
	case subj == nil || !subj.Live():
		return nil, id.Revoked("subject not active")
	case !id.Mount.serves(subj.AccountShortname):
		return nil, id.Revoked("subject of another account")
	case s.revoked.deadToken(id.Claims.ID, id.Claims.SessionID) || s.revoked.deadSession(sid, id.Claims.SessionID, sess.Subject, sess.Account):
		return nil, id.Revoked("fact")
	}
	if id.Kind == token.Refresh {
		v := JudgeRefresh(sess, subj, &RefreshParams{
			ID: sid, Mount: id.Mount.ID, Presented: id.Claims.Generation, PresentedAt: id.Claims.IssuedAt * 1000,
			Policy: id.Mount.as(sess.Variant()).Policy.Rotation, Now: now,
		})
		if !v.Granted() {
			return nil, refreshRefusal(v, id.Mount)
		}
	}
	return &Principal{
		Kind: id.Kind, Mount: id.Mount.ID, TokenID: id.Claims.ID, Session: sid, Subject: *subj, Scopes: subj.Roles,
		IssuedAt: id.Claims.IssuedAt * 1000, ExpiresAt: id.Claims.ExpiresAt * 1000, Claims: id.Claims.Payload, Status: sess.Status,
		Shared: id.Claims.Shared,
	}, nil
}

// applicationPrincipal reads the row that an application token stands on.
func (s *Service) applicationPrincipal(ctx context.Context, id *Identified, raw string) (*Principal, error) {
	t, subj, err := s.store.ApplicationTokenByHash(ctx, sha256.Sum256([]byte(raw)))
	switch {
	case errors.Is(err, ErrNoRow):
		return nil, id.Revoked("no row")
	case err != nil:
		return nil, StoreError(err)
	case t.Mount != id.Mount.ID:
		return nil, id.Revoked("token of another mount")
	case t.RevokedAt != 0:
		return nil, id.Revoked("token revoked")
	case t.Suspended:
		return nil, id.Revoked("token suspended")
	case subj == nil || !subj.Live() || subj.Type != TypeApplication:
		return nil, id.Revoked("subject not active")
	case !id.Mount.serves(subj.AccountShortname):
		return nil, id.Revoked("subject of another account")
	}
	// The row says it all. Facts on the token follow it; here they only empty
	// caches.
	p := &Principal{
		Kind: token.Application, Mount: id.Mount.ID, TokenID: t.ID, Subject: *subj, Scopes: subj.Roles,
		IssuedAt: t.CreatedAt, Networks: t.Networks, Claims: id.Claims.Payload, hash: t.Hash,
		Shared: id.Claims.Shared,
	}
	if len(t.Scopes) > 0 {
		// Narrowed to what the user still has: a role taken away is gone here too.
		p.Scopes = nil
		for _, sc := range t.Scopes {
			if slices.Contains(subj.Roles, sc) {
				p.Scopes = append(p.Scopes, sc)
			}
		}
	}
	return p, nil
}

// Authenticate is the gateway's question. A decision is kept for at most a
// second, keyed by the hash of the whole token, and every use of it is checked
// against expiry, revocation, mounts, kinds, roles, account and network anew.
// The principal is shared with other requests: it is not to be changed.
func (s *Service) Authenticate(ctx context.Context, r *AuthenticateRequest) (*Principal, error) {
	now := s.now()
	p, err := s.authenticate(ctx, r, now)
	if err == nil {
		err = s.permitted(r, p)
	}
	var m *Mount
	if p != nil {
		m = &Mount{ID: p.Mount}
	}
	s.outcome("authenticate", m, &r.Client, err)
	if err != nil {
		return nil, err
	}
	s.used(p, &r.Client, now)
	return p, nil
}

func (s *Service) authenticate(ctx context.Context, r *AuthenticateRequest, now int64) (*Principal, error) {
	if err := s.hearing(ctx, now); err != nil {
		return nil, err
	}
	if r.Token == "" {
		return nil, &Error{Code: TokenMissing}
	}
	if len(r.Token) > token.MaxSize {
		return nil, &Error{Code: TokenMalformed, Reason: "token too long"} // before it is copied to be hashed
	}
	hash := sha256.Sum256([]byte(r.Token))
	last, _ := s.revoked.state()
	since := s.cache.reading()
	if p := s.cache.get(hash, now, s.revoked); p != nil && mountIn(p.Mount, r.Mounts) {
		if p.ExpiresAt != 0 && now >= p.ExpiresAt {
			return nil, &Error{Code: TokenExpired, Principal: &Principal{Mount: p.Mount, Kind: p.Kind}}
		}
		return p, nil
	}
	id, err := s.identifyOrRow(ctx, r.Token, r.Mounts, now)
	if id, err = demandKind(id, err, token.Access, token.Application); err != nil {
		return nil, err
	}
	var p *Principal
	if id.Kind == token.Application {
		p, err = s.applicationPrincipal(ctx, id, r.Token)
	} else {
		p, err = s.sessionPrincipal(ctx, id, now)
	}
	if err != nil {
		return nil, err
	}
	s.cache.put(hash, p, now, last, since)
	return p, nil
}

// identifyOrRow is identify, and knows one thing more: an application token
// counts by its row even when the key that signed it has been dropped since,
// because rotation must not kill it unasked. A token that no key verifies is
// one if, byte for byte, a row of one of the mounts has it. A store that does
// not answer that question is not a refusal.
func (s *Service) identifyOrRow(ctx context.Context, raw string, mounts []*Mount, now int64) (*Identified, error) {
	id, err := s.identify(raw, mounts, now)
	if id != nil || err == nil || CodeOf(err) != TokenInvalid {
		return id, err
	}
	t, _, rerr := s.store.ApplicationTokenByHash(ctx, sha256.Sum256([]byte(raw)))
	if errors.Is(rerr, ErrNoRow) {
		return nil, err
	}
	if rerr != nil {
		return nil, StoreError(rerr)
	}
	for _, m := range mounts {
		if m.ID == t.Mount {
			_, payload := peek(raw)
			return &Identified{Mount: m, Kind: token.Application, Claims: &token.Claims{ID: t.ID, Payload: []byte(payload)}}, nil
		}
	}
	return nil, err
}

func mountIn(id string, mounts []*Mount) bool {
	for _, m := range mounts {
		if m.ID == id {
			return true
		}
	}
	return false
}

// ForThisIssuer refuses, at our own doors, a token that a client got for other
// resource servers.
func (s *Service) ForThisIssuer(p *Principal) error {
	if p.ClientID == "" {
		return nil
	}
	for _, a := range p.Audience {
		if slices.Contains(s.issuers, a) {
			return nil
		}
	}
	return &Error{Code: TokenInvalid, Reason: "token for another audience", Principal: &Principal{Mount: p.Mount, Kind: p.Kind}}
}

// permitted checks what a rule asks beyond a good token.
func (s *Service) permitted(r *AuthenticateRequest, p *Principal) error {
	if err := s.ForThisIssuer(p); err != nil {
		return err
	}
	e := &Error{Principal: p}
	kinds := r.Kinds
	if len(kinds) > 0 && !slices.Contains(kinds, p.Kind) {
		e.Code, e.Reason = TokenWrongKind, string(p.Kind)+" token"
		return e
	}
	if r.Account != "" && p.Subject.AccountShortname != r.Account {
		e.Code, e.Reason = ScopeInsufficient, "another account"
		return e
	}
	if len(r.Roles) > 0 {
		ok := false
		for _, role := range r.Roles {
			ok = ok || p.HasRole(role)
		}
		if !ok {
			e.Code, e.Reason = ScopeInsufficient, "none of the roles needed"
			return e
		}
	}
	return networkAllowed(p, r.Client.Address)
}

// networkAllowed holds an application token to its networks.
func networkAllowed(p *Principal, from netip.Addr) error {
	if len(p.Networks) == 0 {
		return nil
	}
	for _, n := range p.Networks {
		if prefix, err := netip.ParsePrefix(n); err == nil && prefix.Contains(from.Unmap().WithZone("")) {
			return nil
		}
	}
	return &Error{Code: NetworkForbidden, Reason: "network", Message: "This token may not be used from this network", Principal: p}
}

// used notes the last use of an application token, batched.
func (s *Service) used(p *Principal, c *Client, now int64) {
	if p.Kind == token.Application {
		s.touches.token(TokenTouch{ID: p.TokenID, At: now, Address: addressText(c.Address)})
	}
}

// Alive reports whether a principal authenticated earlier still stands: its
// token has not expired, nothing has been revoked, and the node still hears.
// Streams and WebSockets are ended by it.
func (s *Service) Alive(ctx context.Context, p *Principal) error {
	now := s.now()
	if err := s.hearing(ctx, now); err != nil {
		return err
	}
	if p.ExpiresAt != 0 && now >= p.ExpiresAt {
		return refuse(TokenExpired, "exp")
	}
	if p.Kind == token.Application {
		t, subj, err := s.store.ApplicationTokenByHash(ctx, p.hash)
		switch {
		case errors.Is(err, ErrNoRow):
			return refuse(TokenRevoked, "no row")
		case err != nil:
			return StoreError(err)
		case t.RevokedAt != 0 || t.Suspended:
			return refuse(TokenRevoked, "token revoked or suspended")
		case subj == nil || !subj.Live() || subj.Type != TypeApplication:
			return refuse(TokenRevoked, "subject not active")
		}
		return nil
	}
	if s.factOn(p) {
		return refuse(TokenRevoked, "fact")
	}
	return nil
}

// Hearing reports, for readiness, whether revocations are heard.
func (s *Service) Hearing(ctx context.Context) error { return s.hearing(ctx, s.now()) }
