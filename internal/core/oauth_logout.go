package core

import (
	"context"
	"errors"
)

// SupersedeBrowser ends a browser login that a newer one of the same user took
// the place of. The OAuth sessions that came from it go on: the user proved
// again who he is, and did not leave.
func (s *Service) SupersedeBrowser(ctx context.Context, old *BrowserLogin, c *Client) error {
	ev := c.event("logout")
	ev.Actor, ev.Account, ev.Subject = "user:"+old.Subject.ID, old.Subject.Account, old.Subject.ID
	ev.Session, ev.Mount = old.Session.ID.String(), BrowserMount
	_, err := s.revokeSessions(ctx, &RevokeSessionsParams{ID: &old.Session.ID, Reason: "logged in again", Event: ev})
	return err
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
		return storeErr(err)
	}
	ev := c.event("logout")
	ev.Actor, ev.Subject, ev.Session, ev.Mount = "user:"+user, user, sid, OAuthMount
	if _, err := s.revokeSessions(ctx, &RevokeSessionsParams{ID: &id, Reason: "logout", Event: ev}); err != nil {
		return err
	}
	s.cache.drop()
	return nil
}
