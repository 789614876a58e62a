package core

import (
	"context"
	"errors"
)

// ListSessions lists live sessions, newest first.
func (s *Service) ListSessions(ctx context.Context, q SessionQuery) ([]*Session, error) {
	q.Now = s.now()
	list, err := s.store.ListSessions(ctx, q)
	return list, StoreError(err)
}

// RevokeSession ends one session by its sid. *Error: FieldInvalid, NotFound.
func (s *Service) RevokeSession(ctx context.Context, actor Actor, sid string) error {
	id, err := ParseSessionID(sid)
	if err != nil {
		return InvalidField("session", "%s", err.Error())
	}
	ev := actor.Event("session.revoke")
	ev.Session = sid
	n, err := s.revokeSessions(ctx, &RevokeSessionsParams{ID: &id, Reason: "operator", Event: ev})
	if err == nil && n == 0 {
		return Errorf(NotFound, "there is no live session %q", Clip(sid))
	}
	return err
}

// RevokeSubjectSessions ends all sessions of a user or API key and says how many.
func (s *Service) RevokeSubjectSessions(ctx context.Context, actor Actor, subject string) (int, error) {
	ev := actor.Event("session.revoke")
	ev.Subject = subject
	return s.revokeSessions(ctx, &RevokeSessionsParams{Subject: subject, Reason: "operator", Event: ev})
}

// RevokeEverything adds the fact that ends every token issued so far, on
// every mount, application tokens excepted: they count by their rows.
func (s *Service) RevokeEverything(ctx context.Context, actor Actor) error {
	now := s.now()
	_, err := s.store.AddFact(ctx, &AddFactParams{
		// It stands in no session's row, and lifetimes may have been shortened
		// since the oldest token was issued and be lengthened again: kept for good.
		Fact: Fact{Kind: FactEverything, Reason: "operator", At: now, PurgeAt: now + refreshLifetimeBound*1000},
		Now:  now, Event: actor.Event("revoke.everything"),
	})
	if err != nil {
		return StoreError(err)
	}
	return s.catchUp(ctx)
}

func (s *Service) revokeSessions(ctx context.Context, p *RevokeSessionsParams) (int, error) {
	p.Now = s.now()
	p.FactPurgeAt = s.sessionFactPurgeAt(p.Now)
	n, err := s.store.RevokeSessions(ctx, p)
	if err != nil {
		return 0, StoreError(err)
	}
	if n > 0 {
		return n, s.catchUp(ctx)
	}
	// Ended already, perhaps by the same act whose journal entry failed.
	return 0, s.settle(ctx)
}

// ListApplicationTokens lists tokens that are not revoked, newest first.
func (s *Service) ListApplicationTokens(ctx context.Context, q ApplicationTokenQuery) ([]*ApplicationToken, error) {
	list, err := s.store.ListApplicationTokens(ctx, q)
	return list, StoreError(err)
}

// ChangeApplicationToken revokes, suspends or resumes one application token.
// *Error: NotFound.
func (s *Service) ChangeApplicationToken(ctx context.Context, actor Actor, id string, action ApplicationTokenAction) (*ApplicationToken, error) {
	now := s.now()
	ev := actor.Event("apptoken." + string(action))
	ev.Subject = id
	t, err := s.store.ChangeApplicationToken(ctx, &ChangeApplicationTokenParams{
		ID: id, Action: action, Now: now, Event: ev,
	})
	if errors.Is(err, ErrNoRow) {
		return nil, Errorf(NotFound, "there is no live application token %q; `sallyport apptoken list` shows those there are", Clip(id))
	}
	if err != nil {
		return nil, StoreError(err)
	}
	return t, s.catchUp(ctx)
}

// ListAudit reads the audit log.
func (s *Service) ListAudit(ctx context.Context, q AuditQuery) ([]AuditRecord, error) {
	list, err := s.store.ListAudit(ctx, q)
	return list, StoreError(err)
}
