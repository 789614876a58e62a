package core

import (
	"context"
	"errors"

	"github.com/sallyport/sallyport/internal/token"
)

// SupersedeBrowser ends a browser login that a newer one of the same user took
// the place of. The OAuth sessions that came from it go on, for the user proved
// again who he is, and are the newer one's from then on: a logout ends them.
func (s *Service) SupersedeBrowser(ctx context.Context, old, by *BrowserLogin, c *Client) error {
	now := s.now()
	ev := c.Event("logout")
	ev.Actor, ev.Account, ev.Subject = "user:"+by.Subject.ID, by.Subject.Account, by.Subject.ID
	ev.Session, ev.Mount = old.Session.ID.String(), BrowserMount
	err := s.store.MoveGrants(ctx, &MoveGrantsParams{
		From: old.Session.ID, To: by.Session.ID, Subject: by.Subject.ID,
		Reason: "logged in again", FactPurgeAt: s.sessionFactPurgeAt(now), Now: now, Event: ev,
	})
	if errors.Is(err, ErrStale) {
		return refuse(BadCredentials, "the newer login ended meanwhile")
	}
	if err != nil {
		return StoreError(err)
	}
	s.cache.drop()
	return s.catchUp(ctx)
}

// BrowserBefore says which login a cookie stood for, though it be over: the
// signature alone counts. nil when it is no cookie of ours. Only Session.ID,
// Session.Subject and Subject.ID are set.
func (s *Service) BrowserBefore(cookie string) *BrowserLogin {
	id, _ := s.identify(cookie, []*Mount{s.oauth.browser}, s.now())
	if id == nil || id.Claims == nil || id.Kind != token.Refresh {
		return nil
	}
	sid, err := ParseSessionID(id.Claims.SessionID)
	if err != nil {
		return nil
	}
	return &BrowserLogin{
		Session: &Session{ID: sid, Mount: BrowserMount, SubjectKind: SubjectUser, Subject: id.Claims.Subject},
		Subject: &Subject{Kind: SubjectUser, ID: id.Claims.Subject},
	}
}

// CameFrom reports whether an OAuth session came from a browser login. One
// that is not remembered any more might have: nobody can tell, so it counts.
func (s *Service) CameFrom(ctx context.Context, sid string, b *BrowserLogin) (bool, error) {
	id, err := ParseSessionID(sid)
	if err != nil {
		return false, nil // no session can have it
	}
	grant, err := s.store.GrantOf(ctx, id.Key)
	if errors.Is(err, ErrNoRow) {
		return true, nil
	}
	if err != nil {
		return false, StoreError(err)
	}
	return grant.Browser == b.Session.ID.String(), nil
}

// EndClientSession ends the OAuth session that an id token of a client came
// from (RP-initiated logout). One that is over, or another client's, is no
// error: there is nothing to end.
func (s *Service) EndClientSession(ctx context.Context, client, user, sid string, c *Client) error {
	id, err := ParseSessionID(sid)
	if err != nil {
		return nil // no session can have it
	}
	grant, err := s.store.GrantOf(ctx, id.Key)
	if errors.Is(err, ErrNoRow) || err == nil && grant.Client != client {
		return nil
	}
	if err != nil {
		return StoreError(err)
	}
	ev := c.Event("logout")
	ev.Actor, ev.Subject, ev.Session, ev.Mount = "user:"+user, user, sid, OAuthMount
	if _, err := s.revokeSessions(ctx, &RevokeSessionsParams{ID: &id, Reason: "logout", Event: ev}); err != nil {
		return err
	}
	s.cache.drop()
	return nil
}
