package authserver

import (
	"context"
	"errors"

	"github.com/sallyport/sallyport/internal/core"
)

// OwnSession is a session as its user sees it.
type OwnSession struct {
	*core.Session
	Client string // name of the application, "" for a contract's or a browser's
	Here   bool   // the browser that asks
}

// maxOwnSessions bounds what one page shows; sessions a subject are capped well
// below it.
const maxOwnSessions = 1000

// OwnSessions lists the live sessions of the user who is logged in with a
// browser, newest first.
func (s *Server) OwnSessions(ctx context.Context, b *BrowserLogin) ([]OwnSession, error) {
	list, err := s.service.ListSessions(ctx, core.SessionQuery{Subject: b.Subject.ID, Limit: maxOwnSessions})
	if err != nil {
		return nil, err
	}
	out := make([]OwnSession, 0, len(list))
	for _, sess := range list {
		own := OwnSession{Session: sess, Here: sess.ID == b.Session.ID}
		if sess.Mount == core.OAuthMount {
			grant, err := s.store.GrantOf(ctx, sess.ID.Key)
			if errors.Is(err, core.ErrNoRow) {
				continue // it went meanwhile
			}
			if err != nil {
				return nil, core.StoreError(err)
			}
			if own.Client, err = s.clientName(ctx, grant.Client); err != nil {
				return nil, err
			}
		}
		out = append(out, own)
	}
	return out, nil
}

// EndOwnSession ends one session of the user who is logged in with a browser;
// of another browser's login, all that came from it. One that is over, or not
// his, is no error: there is nothing of his to end.
func (s *Server) EndOwnSession(ctx context.Context, b *BrowserLogin, sid string, c *core.Client) error {
	id, err := core.ParseSessionID(sid)
	if err != nil {
		return nil // no session can have it
	}
	sess, _, err := s.store.SessionByID(ctx, id)
	switch {
	case errors.Is(err, core.ErrNoRow):
		return nil
	case err != nil:
		return core.StoreError(err)
	case sess.ID != id || sess.Subject != b.Subject.ID || sess.SubjectKind != core.SubjectUser:
		return nil
	case sess.Mount == core.BrowserMount:
		return s.EndBrowser(ctx, &BrowserLogin{Session: sess, Subject: b.Subject}, c)
	}
	ev := c.Event("logout")
	ev.Actor, ev.Account, ev.Subject, ev.Session, ev.Mount = "user:"+b.Subject.ID, b.Subject.Account, b.Subject.ID, sid, sess.Mount
	_, err = s.engine.RevokeSessions(ctx, &core.RevokeSessionsParams{ID: &id, Reason: "ended by the user", Event: ev})
	return err
}

// EndOtherSessions ends all sessions of the user but the browser login that
// asks.
func (s *Server) EndOtherSessions(ctx context.Context, b *BrowserLogin, c *core.Client) error {
	ev := c.Event("logout")
	ev.Actor, ev.Account, ev.Subject, ev.Mount = "user:"+b.Subject.ID, b.Subject.Account, b.Subject.ID, core.BrowserMount
	_, err := s.engine.RevokeSessions(ctx, &core.RevokeSessionsParams{
		Subject: b.Subject.ID, Spare: b.Session.ID.String(), Reason: "ended by the user", Event: ev,
	})
	return err
}
