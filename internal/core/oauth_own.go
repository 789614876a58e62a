package core

import (
	"context"
	"errors"
)

// NamedConsent is a consent and the name of the client that has it.
type NamedConsent struct {
	Consent
	ClientName string
}

// ConsentsOf lists what a user allowed, by client id.
func (s *Service) ConsentsOf(ctx context.Context, user string) ([]NamedConsent, error) {
	list, err := s.store.ListConsents(ctx, user)
	if err != nil {
		return nil, StoreError(err)
	}
	out := make([]NamedConsent, 0, len(list))
	for _, c := range list {
		name, err := s.clientName(ctx, c.Client)
		if err != nil {
			return nil, err
		}
		out = append(out, NamedConsent{Consent: *c, ClientName: name})
	}
	return out, nil
}

// clientName is the name of a client, also of a disabled one; its id when it
// is gone.
func (s *Service) clientName(ctx context.Context, id string) (string, error) {
	c, err := s.store.ClientByID(ctx, id)
	if errors.Is(err, ErrNoRow) {
		return id, nil
	}
	if err != nil {
		return "", StoreError(err)
	}
	return c.Name, nil
}

// OwnSession is a session as its user sees it.
type OwnSession struct {
	*Session
	Client string // name of the application, "" for a contract's or a browser's
	Here   bool   // the browser that asks
}

// maxOwnSessions bounds what one page shows; sessions a subject are capped well
// below it.
const maxOwnSessions = 1000

// OwnSessions lists the live sessions of the user who is logged in with a
// browser, newest first.
func (s *Service) OwnSessions(ctx context.Context, b *BrowserLogin) ([]OwnSession, error) {
	list, err := s.ListSessions(ctx, SessionQuery{Subject: b.Subject.ID, Limit: maxOwnSessions})
	if err != nil {
		return nil, err
	}
	out := make([]OwnSession, 0, len(list))
	for _, sess := range list {
		own := OwnSession{Session: sess, Here: sess.ID == b.Session.ID}
		if sess.Mount == OAuthMount {
			grant, err := s.store.GrantOf(ctx, sess.ID.Key)
			if errors.Is(err, ErrNoRow) {
				continue // it went meanwhile
			}
			if err != nil {
				return nil, StoreError(err)
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
func (s *Service) EndOwnSession(ctx context.Context, b *BrowserLogin, sid string, c *Client) error {
	id, err := ParseSessionID(sid)
	if err != nil {
		return nil // no session can have it
	}
	sess, _, err := s.store.SessionByID(ctx, id)
	switch {
	case errors.Is(err, ErrNoRow):
		return nil
	case err != nil:
		return StoreError(err)
	case sess.ID != id || sess.Subject != b.Subject.ID || sess.SubjectKind != SubjectUser:
		return nil
	case sess.Mount == BrowserMount:
		return s.EndBrowser(ctx, &BrowserLogin{Session: sess, Subject: b.Subject}, c)
	}
	ev := c.Event("logout")
	ev.Actor, ev.Account, ev.Subject, ev.Session, ev.Mount = "user:"+b.Subject.ID, b.Subject.Account, b.Subject.ID, sid, sess.Mount
	_, err = s.revokeSessions(ctx, &RevokeSessionsParams{ID: &id, Reason: "ended by the user", Event: ev})
	s.cache.drop()
	return err
}

// EndOtherSessions ends all sessions of the user but the browser login that
// asks.
func (s *Service) EndOtherSessions(ctx context.Context, b *BrowserLogin, c *Client) error {
	ev := c.Event("logout")
	ev.Actor, ev.Account, ev.Subject, ev.Mount = "user:"+b.Subject.ID, b.Subject.Account, b.Subject.ID, BrowserMount
	_, err := s.revokeSessions(ctx, &RevokeSessionsParams{
		Subject: b.Subject.ID, Spare: b.Session.ID.String(), Reason: "ended by the user", Event: ev,
	})
	s.cache.drop()
	return err
}

// WithdrawOwnConsent takes back what the user of a browser allowed a client.
// What was never allowed is no error.
func (s *Service) WithdrawOwnConsent(ctx context.Context, b *BrowserLogin, client string, c *Client) error {
	actor := Actor{Name: "user:" + b.Subject.ID, Address: addressText(c.Address), RequestID: c.RequestID}
	err := s.WithdrawConsent(ctx, actor, b.Subject.ID, client)
	if CodeOf(err) == NotFound {
		return nil
	}
	return err
}
