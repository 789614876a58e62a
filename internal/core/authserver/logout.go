package authserver

import (
	"context"
	"errors"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/token"
)

// SupersedeBrowser ends a browser login that a newer one of the same user took
// the place of. The OAuth sessions that came from it go on, for the user proved
// again who he is, and are the newer one's from then on: a logout ends them.
func (s *Server) SupersedeBrowser(ctx context.Context, old, by *BrowserLogin, c *core.Client) error {
	now := s.now()
	ev := c.Event("logout")
	ev.Actor, ev.Account, ev.Subject = "user:"+by.Subject.ID, by.Subject.Account, by.Subject.ID
	ev.Session, ev.Mount = old.Session.ID.String(), core.BrowserMount
	err := s.store.MoveGrants(ctx, &core.MoveGrantsParams{
		From: old.Session.ID, To: by.Session.ID, Mount: core.BrowserMount, Subject: by.Subject.ID,
		Reason: "logged in again", FactPurgeAt: s.engine.FactPurgeAt(core.FactSession, now), Now: now, Event: ev,
	})
	if err = s.engine.Applied(ctx, err); errors.Is(err, core.ErrStale) {
		return refuse(core.BadCredentials, "the newer login ended meanwhile")
	}
	return err
}

// BrowserBefore says which login a cookie stood for, though it be over: the
// signature alone counts. nil when it is no cookie of ours. Only Session.ID,
// Session.Subject and Subject.ID are set.
func (s *Server) BrowserBefore(cookie string) *BrowserLogin {
	id, _ := s.engine.Identify(cookie, s.browser, s.now(), token.Refresh)
	if id == nil || id.Claims == nil {
		return nil
	}
	sid, err := core.ParseSessionID(id.Claims.SessionID)
	if err != nil {
		return nil
	}
	return &BrowserLogin{
		Session: &core.Session{ID: sid, Mount: core.BrowserMount, SubjectKind: core.SubjectUser, Subject: id.Claims.Subject},
		Subject: &core.Subject{Kind: core.SubjectUser, ID: id.Claims.Subject},
	}
}

// CameFrom reports whether an OAuth session came from a browser login. One
// that is not remembered any more might have: nobody can tell, so it counts.
func (s *Server) CameFrom(ctx context.Context, sid string, b *BrowserLogin) (bool, error) {
	id, err := core.ParseSessionID(sid)
	if err != nil {
		return false, nil // no session can have it
	}
	grant, err := s.store.GrantOf(ctx, id.Key)
	if errors.Is(err, core.ErrNoRow) {
		return true, nil
	}
	if err != nil {
		return false, core.StoreError(err)
	}
	return grant.Browser == b.Session.ID.String(), nil
}

// EndClientSession ends the OAuth session that an id token of a client came
// from (RP-initiated logout). One that is over, or another client's, is no
// error: there is nothing to end.
func (s *Server) EndClientSession(ctx context.Context, client, user, sid string, c *core.Client) error {
	id, err := core.ParseSessionID(sid)
	if err != nil {
		return nil // no session can have it
	}
	grant, err := s.store.GrantOf(ctx, id.Key)
	if errors.Is(err, core.ErrNoRow) || err == nil && grant.Client != client {
		return nil
	}
	if err != nil {
		return core.StoreError(err)
	}
	ev := c.Event("logout")
	ev.Actor, ev.Subject, ev.Session, ev.Mount = "user:"+user, user, sid, core.OAuthMount
	if _, err := s.engine.RevokeSessions(ctx, &core.RevokeSessionsParams{ID: &id, Mount: core.OAuthMount, Reason: "logout", Event: ev}); err != nil {
		return err
	}
	return nil
}
