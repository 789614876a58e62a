package authserver

import (
	"context"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/token"
)

// BrowserLogin is a browser that somebody logged in with. Its cookie is a
// signed token for a session row of the browser mount, so a dump of the
// database yields no cookie, and everything that ends sessions ends it.
type BrowserLogin struct {
	Cookie   string // set by LoginBrowser alone
	Session  *core.Session
	Subject  *core.Subject
	AuthTime int64 // when the password was checked; Unix milliseconds
	Expires  int64 // of the cookie
}

// LoginBrowser checks user name and password, as Login does with the same
// counters and the same one refusal, and opens a browser login. Account is a
// short name. r.Mount is ignored. Each login has a new cookie: the caller sets
// it and ends the one before, so that a cookie planted in a browser is no
// login of its user.
func (s *Server) LoginBrowser(ctx context.Context, r *core.LoginRequest) (*BrowserLogin, error) {
	own := *r
	own.Mount, own.WithoutRefresh = s.browser, false
	now := s.now()
	b, err := s.loginBrowser(ctx, &own, now)
	s.engine.Outcome("login", own.Mount, &own.Client, err)
	return b, err
}

func (s *Server) loginBrowser(ctx context.Context, r *core.LoginRequest, now int64) (*BrowserLogin, error) {
	opened, err := s.engine.OpenByPassword(ctx, r, now)
	if err != nil {
		return nil, err
	}
	cookie, err := s.engine.RefreshToken(r.Mount, opened.Session)
	if err != nil {
		return nil, err
	}
	return &BrowserLogin{
		Cookie: cookie, Session: opened.Session, Subject: opened.Subject,
		AuthTime: opened.Session.CreatedAt, Expires: opened.Session.RefreshExpires,
	}, nil
}

// Browser says who a cookie stands for. *Error: TokenInvalid and below when it
// stands for nobody any more, Unavailable.
func (s *Server) Browser(ctx context.Context, cookie string, c *core.Client) (*BrowserLogin, error) {
	now := s.now()
	p, err := s.verified(ctx, s.browser, cookie, now, token.Refresh)
	if err != nil {
		return nil, err
	}
	sess, subj, err := s.store.SessionByID(ctx, p.Session)
	if err != nil {
		return nil, core.StoreError(err)
	}
	if now-sess.LastUsedAt >= s.options.BrowserIdleMS {
		return nil, refuse(core.TokenExpired, "browser login idle")
	}
	s.engine.Used(sess.ID, c, now)
	return &BrowserLogin{Session: sess, Subject: subj, AuthTime: sess.CreatedAt, Expires: sess.RefreshExpires}, nil
}

// EndBrowser ends a browser login and the OAuth sessions that came from it.
// Ending it twice is no error.
func (s *Server) EndBrowser(ctx context.Context, b *BrowserLogin, c *core.Client) error {
	now := s.now()
	sid := b.Session.ID.String()
	ev := c.Event("logout")
	ev.Actor, ev.Account, ev.Subject, ev.Session, ev.Mount = "user:"+b.Subject.ID, b.Subject.Account, b.Subject.ID, sid, core.BrowserMount
	// The login first: no new session can come from it while the others end.
	if _, err := s.engine.RevokeSessions(ctx, &core.RevokeSessionsParams{ID: &b.Session.ID, Mount: core.BrowserMount, Reason: "logout", Event: ev}); err != nil {
		return err
	}
	ev.Mount = core.OAuthMount
	_, err := s.store.RevokeGrants(ctx, &core.RevokeGrantsParams{Browser: sid, Reason: "logout", FactPurgeAt: s.engine.FactPurgeAt(core.FactSession, now), Now: now, Event: ev})
	return s.engine.Applied(ctx, err)
}
