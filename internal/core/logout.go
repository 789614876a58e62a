package core

import (
	"context"
	"errors"

	"github.com/sallyport/sallyport/internal/token"
)

// Logout ends the session of a token, or the others of its subject, or all.
// Any refresh token that the session ever had will do: its holder wants out,
// and ending a session twice is no error.
func (s *Service) Logout(ctx context.Context, r *LogoutRequest) error {
	err := s.logout(ctx, r)
	s.outcome("logout", r.Mount, &r.Client, err)
	return err
}

func (s *Service) logout(ctx context.Context, r *LogoutRequest) error {
	now := s.now()
	if len(r.Kinds) == 0 {
		r.Kinds = []token.Kind{token.Refresh, token.Access}
	}
	id, err := s.wanted(r.Mount, r.Token, now, r.Kinds...)
	if err != nil {
		return err
	}
	sid, err := ParseSessionID(id.Claims.SessionID)
	if err != nil {
		return &Error{Code: TokenMalformed, Reason: "sid", Err: err}
	}
	if r.Scope == "" || r.Scope == LogoutThis {
		return s.endSession(ctx, r, sid)
	}
	// Ending other sessions needs one that is alive: an old token must not, nor
	// one that may be dead for all this node has heard.
	if err := s.hearing(ctx, now); err != nil {
		return err
	}
	p, err := s.sessionPrincipal(ctx, id, now)
	if err != nil {
		return err
	}
	ev := logoutEvent(r, p.Subject.Kind, p.Subject.Account, p.Subject.ID, id.Claims.SessionID)
	params := &RevokeSessionsParams{Subject: p.Subject.ID, Mount: r.Mount.ID, Reason: "logout", Event: ev}
	if r.Scope == LogoutOthers {
		params.Spare = id.Claims.SessionID
	}
	_, err = s.revokeSessions(ctx, params)
	return err
}

// endSession ends a session of the mount whose key signed the claims that name
// it. The row, also of one that is over, says whose it is.
func (s *Service) endSession(ctx context.Context, r *LogoutRequest, sid SessionID) error {
	sess, _, err := s.store.SessionByID(ctx, sid)
	if errors.Is(err, ErrNoRow) {
		sess, err = &Session{}, nil // the step says that there is nothing to end
	}
	if err != nil {
		return StoreError(err)
	}
	ev := logoutEvent(r, sess.SubjectKind, sess.Account, sess.Subject, sid.String())
	_, err = s.revokeSessions(ctx, &RevokeSessionsParams{ID: &sid, Mount: r.Mount.ID, Reason: "logout", Event: ev})
	return err
}

func logoutEvent(r *LogoutRequest, kind SubjectKind, account, subject, sid string) Event {
	ev := r.Client.Event("logout")
	ev.Account, ev.Subject, ev.Session, ev.Mount = account, subject, sid, r.Mount.ID
	if subject != "" {
		ev.Actor = string(kind) + ":" + subject
	}
	return ev
}
