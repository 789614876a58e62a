package core

import (
	"context"
	"errors"
	"slices"

	"github.com/sallyport/sallyport/internal/token"
)

// Refresh answers a refresh token with new tokens.
//
// Where the chain rotates: the current generation moves it, an ancestor whose
// successor was issued within the grace time gets the current token again byte
// for byte, a later ancestor ends the session. Where it does not: the token
// presented stays the token.
func (s *Service) Refresh(ctx context.Context, r *RefreshRequest) (*Granted, error) {
	g, err := s.refresh(ctx, r)
	s.outcome("refresh", r.Mount, &r.Client, err)
	return g, err
}

func (s *Service) refresh(ctx context.Context, r *RefreshRequest) (*Granted, error) {
	now := s.now()
	id, err := s.wanted(r.Mount, r.Token, now, token.Refresh)
	if err != nil {
		return nil, err
	}
	sid, err := ParseSessionID(id.Claims.SessionID)
	if err != nil {
		return nil, &Error{Code: TokenMalformed, Reason: "sid", Err: err}
	}
	m := r.Mount
	if len(m.Policy.Variants) > 0 {
		// The signature was verified, so the claim is the row's word.
		variant, _ := id.Claims.Text(variantClaim)
		m = m.as(variant)
	}
	signer, err := s.refreshSigner(r.Mount)
	if err != nil {
		return nil, err
	}
	res, err := s.step(ctx, r, id.Claims, sid, &m.Policy.Rotation, signer, now)
	if err != nil {
		return nil, err
	}
	presented := ""
	if res.Verdict == RefreshCurrent {
		presented = r.Token
		s.touches.session(Touch{ID: sid, At: now, Address: addressText(r.Client.Address)})
	}
	g, err := s.issue(m.as(r.Variant), res.Session, res.Subject, now, true, presented)
	if err != nil {
		return nil, err
	}
	g.Verdict = string(res.Verdict)
	return g, nil
}

// step hands the move to the store and names a refusal.
func (s *Service) step(ctx context.Context, r *RefreshRequest, c *token.Claims, sid SessionID, p *Rotation, signer string, now int64) (*RefreshResult, error) {
	if err := s.hearing(ctx, now); err != nil {
		return nil, err
	}
	// A fact on everything ends sessions without touching their rows, so the
	// store would move one; the rest it knows itself.
	if s.revoked.deadSession(sid, c.SessionID, c.Subject, "") {
		return nil, refreshRefusal(RefreshRevoked, r.Mount)
	}
	reuse := r.Client.Event("refresh.reuse")
	reuse.Session, reuse.Subject, reuse.Mount = c.SessionID, c.Subject, r.Mount.ID
	behind := reuse
	behind.Kind = "refresh.store_behind"
	res, err := s.store.RefreshSession(ctx, &RefreshParams{
		ID: sid, Mount: r.Mount.ID, Subject: r.Subject, Presented: c.Generation, PresentedAt: c.IssuedAt * 1000,
		Policy: *p, RefreshKey: signer,
		FactPurgeAt: s.sessionFactPurgeAt(now), Now: now, ReuseEvent: reuse, BehindEvent: behind,
	})
	if err != nil {
		return nil, StoreError(err)
	}
	if res.Verdict == RefreshReused {
		// Not an act that is acknowledged: the journal follows.
		if err := s.follow(ctx); err != nil {
			return nil, err
		}
	}
	if res.Verdict == RefreshBehind {
		s.observer.Alarm("store_behind", "a refresh token of a generation ahead of the store was presented: a commit was lost")
	}
	if !res.Verdict.Granted() {
		return nil, refreshRefusal(res.Verdict, r.Mount)
	}
	// Once more, for a fact that came meanwhile.
	if !r.Mount.serves(res.Subject.AccountShortname) || s.revoked.deadSession(sid, c.SessionID, res.Session.Subject, res.Session.Account) {
		return nil, &Error{Code: TokenRevoked, Reason: "fact", Principal: &Principal{Mount: r.Mount.ID, Kind: token.Refresh}}
	}
	return res, nil
}

func refreshRefusal(v RefreshVerdict, m *Mount) error {
	code := TokenRevoked
	switch v {
	case RefreshExpired:
		code = TokenExpired
	case RefreshReused:
		code = TokenReused
	case RefreshMismatch:
		code = SubjectMismatch
	case RefreshWrongMount:
		code = TokenInvalid
	}
	return &Error{Code: code, Reason: string(v), Principal: &Principal{Mount: m.ID, Kind: token.Refresh}}
}

// wanted identifies a token on one mount and demands one of the kinds.
func (s *Service) wanted(m *Mount, raw string, now int64, kinds ...token.Kind) (*Identified, error) {
	id, err := s.identify(raw, []*Mount{m}, now)
	return demandKind(id, err, kinds...)
}

// demandKind refuses what is not of the kinds. A token whose exp has passed is
// refused for that, whatever its kind: nobody learns from an expired token of
// the wrong kind more than that it is expired.
func demandKind(id *Identified, err error, kinds ...token.Kind) (*Identified, error) {
	if id != nil && !slices.Contains(kinds, id.Kind) && CodeOf(err) != TokenExpired {
		return nil, &Error{
			Code: TokenWrongKind, Reason: string(id.Kind) + " token",
			Message: "This is the wrong kind of token", Principal: &Principal{Mount: id.Mount.ID, Kind: id.Kind},
		}
	}
	if err != nil {
		return nil, err
	}
	return id, nil
}

// Renew answers a live access token with a new one in the same session, for
// contracts that have no refresh token (or have both).
func (s *Service) Renew(ctx context.Context, r *RenewRequest) (*Granted, error) {
	g, err := s.renew(ctx, r)
	s.outcome("renew", r.Mount, &r.Client, err)
	return g, err
}

func (s *Service) renew(ctx context.Context, r *RenewRequest) (*Granted, error) {
	now := s.now()
	p, err := s.verified(ctx, r.Mount, r.Token, now, token.Access)
	if err != nil {
		return nil, err
	}
	sess, subj, err := s.store.SessionByID(ctx, p.Session)
	if errors.Is(err, ErrNoRow) {
		return nil, refuse(TokenRevoked, "no session")
	}
	if err != nil {
		return nil, StoreError(err)
	}
	m := r.Mount.as(sess.Variant())
	if sess.RefreshKey != "" {
		// The chain is the refresh token's; it is only asked whether it lives.
		v := JudgeRefresh(sess, subj, &RefreshParams{
			ID: p.Session, Mount: r.Mount.ID, Presented: sess.Generation, Policy: m.Policy.Rotation, Now: now,
		})
		if !v.Granted() {
			return nil, refreshRefusal(v, r.Mount)
		}
		return s.issue(m.as(r.Variant), sess, subj, now, false, "")
	}
	// Without refresh tokens the chain is free to carry the renewals, which is
	// what prolongs the session.
	policy := m.Policy.Rotation
	policy.Rotates = true
	policy.GraceMS = max(policy.GraceMS, 1000) // renewals at once are no reuse
	claims := &token.Claims{SessionID: sess.ID.String(), Subject: sess.Subject, Generation: sess.Generation, IssuedAt: now / 1000}
	rr := &RefreshRequest{Mount: r.Mount, Client: r.Client}
	res, err := s.step(ctx, rr, claims, sess.ID, &policy, sess.RefreshKey, now)
	if err != nil {
		return nil, err
	}
	return s.issue(m.as(r.Variant), res.Session, res.Subject, now, false, "")
}
