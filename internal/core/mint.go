package core

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/netip"
	"slices"

	"github.com/sallyport/sallyport/internal/token"
)

// MintApplicationToken makes an application token: a non-expiring access token
// of an application user, live as long as its row.
func (s *Service) MintApplicationToken(ctx context.Context, r *MintRequest) (*Granted, error) {
	g, err := s.mint(ctx, r)
	s.outcome("application_token", r.Mount, &r.Client, err)
	return g, err
}

func (s *Service) mint(ctx context.Context, r *MintRequest) (*Granted, error) {
	spec := r.Mount.Policy.Application
	if spec == nil {
		return nil, &Error{Code: Internal, Reason: "the contract of " + r.Mount.ID + " has no application tokens"}
	}
	now := s.now()
	if len(r.Kinds) == 0 {
		r.Kinds = []token.Kind{token.Refresh}
	}
	sess, subj, err := s.mintingSession(ctx, r, now)
	if err != nil {
		return nil, err
	}
	if subj.Kind != SubjectUser || subj.Type != TypeApplication {
		return nil, &Error{
			Code: UserTypeForbidden, Message: "Only users of type application may create application tokens",
			Principal: &Principal{Mount: r.Mount.ID, Kind: token.Refresh},
		}
	}
	if err := freshEnough(r, sess, now); err != nil {
		return nil, err
	}
	if err := checkMint(r, subj); err != nil {
		return nil, err
	}
	number, err := s.statusNumber(ctx, r.Mount, StatusTokens, now)
	if err != nil {
		return nil, err
	}
	v := TokenValues{
		Kind: token.Application, Status: number, TokenID: NewUUID(), Issuer: s.issuerOf(spec, s.issuer),
		IssuedAt: now - now%1000, Session: sess, Subject: subj, Scopes: r.Scopes,
	}
	payload, err := s.appendPayload(make([]byte, 0, 512), r.Mount, spec, &v)
	if err != nil {
		return nil, err
	}
	tok, _, err := s.keys.Sign(KeySet{Mount: r.Mount.ID, Kind: token.Application}, spec.Header, payload)
	if err != nil {
		return nil, err
	}
	ev := r.Client.Event("apptoken.mint")
	ev.Actor, ev.Account, ev.Subject = "user:"+subj.ID, subj.Account, v.TokenID
	ev.Session, ev.Mount = sess.ID.String(), r.Mount.ID
	verdict, err := s.store.MintApplicationToken(ctx, &MintParams{
		Token: ApplicationToken{
			ID: v.TokenID, Hash: sha256.Sum256([]byte(tok)), User: subj.ID, Account: subj.Account,
			Mount: r.Mount.ID, Session: sess.ID.String(), Label: r.Label, Networks: r.Networks, Scopes: r.Scopes,
			CreatedAt: now, CreatedBy: addressText(r.Client.Address), Status: number,
		},
		Session: sess.ID,
		Gate: Gate{
			SubjectKind: SubjectUser, Subject: subj.ID, Version: subj.Version,
			Account: subj.Account, AccountVersion: subj.AccountVersion,
		},
		MaxPerUser: s.cfg.MaxTokensPerUser, Now: now, Event: ev,
	})
	if err != nil {
		return nil, StoreError(err)
	}
	switch verdict {
	case Minted, MintRepeat:
		return &Granted{Now: now, ApplicationToken: tok, ApplicationID: v.TokenID, Session: sess, Subject: subj}, nil
	case MintTooMany:
		return nil, Errorf(TokenLimit, "This user has the most application tokens allowed; revoke one first")
	case MintType:
		return nil, Errorf(UserTypeForbidden, "Only users of type application may create application tokens")
	}
	return nil, refuse(TokenRevoked, "changed during minting")
}

// mintingSession finds the live session of the token presented. A refresh
// token must be one that a refresh would grant; minting moves nothing, and a
// late ancestor is refused here without revoking: a refusal changes nothing.
func (s *Service) mintingSession(ctx context.Context, r *MintRequest, now int64) (*Session, *Subject, error) {
	if err := s.hearing(ctx, now); err != nil {
		return nil, nil, err
	}
	id, err := s.wanted(r.Mount, r.Token, now, r.Kinds...)
	if err != nil {
		return nil, nil, err
	}
	sid, err := ParseSessionID(id.Claims.SessionID)
	if err != nil {
		return nil, nil, &Error{Code: TokenMalformed, Reason: "sid", Err: err}
	}
	sess, subj, err := s.store.SessionByID(ctx, sid)
	if err != nil && !errors.Is(err, ErrNoRow) {
		return nil, nil, StoreError(err)
	}
	p := &RefreshParams{
		ID: sid, Mount: r.Mount.ID, Presented: id.Claims.Generation, PresentedAt: id.Claims.IssuedAt * 1000,
		Policy: r.Mount.Policy.Rotation, Now: now,
	}
	if sess != nil {
		p.Policy = r.Mount.as(sess.Variant()).Policy.Rotation
	}
	if id.Kind != token.Refresh && sess != nil {
		p.Presented = sess.Generation // an access token carries no generation
	}
	if v := JudgeRefresh(sess, subj, p); !v.Granted() {
		return nil, nil, refreshRefusal(v, r.Mount)
	}
	if !r.Mount.serves(subj.AccountShortname) || s.revoked.deadSession(sid, id.Claims.SessionID, sess.Subject, sess.Account) {
		return nil, nil, refreshRefusal(RefreshRevoked, r.Mount)
	}
	return sess, subj, nil
}

// freshEnough demands that the session was opened lately, by a credential and
// not by a refresh: neither refreshing nor renewing makes it younger.
func freshEnough(r *MintRequest, sess *Session, now int64) error {
	most := r.MaxAgeMS
	switch {
	case most == AnyAge:
		return nil
	case most == 0:
		most = DefaultMintAgeMS
	}
	// The clock of the node that opened the session may be a little ahead.
	if age := now - sess.CreatedAt; age >= -60_000 && age <= most {
		return nil
	}
	return &Error{
		Code: LoginTooOld, Reason: "login too old for minting", Message: "Log in again: this is only for who has just logged in",
		Principal: &Principal{Mount: r.Mount.ID, Kind: token.Refresh},
	}
}

func checkMint(r *MintRequest, subj *Subject) error {
	if len(r.Label) > 100 {
		return InvalidField("label", "a label has at most 100 bytes")
	}
	if len(r.Networks) > 50 {
		return InvalidField("networks", "at most 50 networks")
	}
	for _, n := range r.Networks {
		if _, err := netip.ParsePrefix(n); err != nil {
			return InvalidField("networks", "%q is not a network; write it as in 192.0.2.0/24", Clip(n))
		}
	}
	for _, want := range r.Scopes {
		if !slices.Contains(subj.Roles, want) {
			return InvalidField("scopes", "the user does not have the role %q; a token can only be narrowed", Clip(want))
		}
	}
	return nil
}
