package authserver

import (
	"context"
	"crypto/sha256"
	"errors"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/token"
)

// RevokeRequest ends a token (RFC 7009).
type RevokeRequest struct {
	Auth   *core.ClientRecord
	Token  string
	Client core.Client
}

// RevokeToken ends what a token stands for: a refresh token its session with
// all access tokens, an access token itself, an application token its row. A
// token that is not ours, or over, is no error. One that was issued to another
// client is refused. Tokens of contracts have no client; whoever holds one may
// end it if he is a confidential client that may see the account.
func (s *Server) RevokeToken(ctx context.Context, r *RevokeRequest) error {
	err := s.revokeToken(ctx, r)
	s.engine.Outcome("revoke", s.mount, &r.Client, err)
	return err
}

func (s *Server) revokeToken(ctx context.Context, r *RevokeRequest) error {
	now := s.now()
	id, err := s.engine.Find(ctx, r.Token, now)
	if c := core.CodeOf(err); err != nil && (c.Is(core.Unavailable) || c.Is(core.Internal)) {
		return err
	}
	if id == nil || err != nil && core.CodeOf(err) != core.TokenExpired || id.Kind == token.ID {
		return nil
	}
	if id.Kind == token.Application {
		return s.revokeApplication(ctx, r, id)
	}
	if id.Claims == nil || core.CodeOf(err) == core.TokenExpired && id.Kind == token.Access {
		return nil
	}
	return s.revokeIdentified(ctx, r, id, now)
}

func (s *Server) revokeIdentified(ctx context.Context, r *RevokeRequest, id *core.Identified, now int64) error {
	sid, err := core.ParseSessionID(id.Claims.SessionID)
	if err != nil {
		return nil // no session can have it
	}
	if done, err := s.mayRevoke(ctx, r.Auth, id, sid); done || err != nil {
		return err
	}
	ev := r.Client.Event("token.revoke")
	ev.Actor = "client:" + r.Auth.ID
	return s.engine.EndToken(ctx, id, "revoked by client", ev, now)
}

// mayRevoke says whether there is nothing to do, or the client may not. What
// the claims name must be a session of the mount whose key signed them, and fit
// each other: what no token of ours says ends none.
func (s *Server) mayRevoke(ctx context.Context, c *core.ClientRecord, id *core.Identified, sid core.SessionID) (done bool, err error) {
	sess, _, err := s.store.SessionByID(ctx, sid)
	none := errors.Is(err, core.ErrNoRow)
	switch {
	case err != nil && !none:
		return false, core.StoreError(err)
	case id.OfMachine():
		// It has no session. Who made one that names a session would end a token of
		// that with it.
		return !none || id.Claims.ClientID != id.Claims.Subject, revocable(c, id.Claims.ClientID, "")
	case none || sess.ID != sid || sess.Mount != id.Mount.ID:
		return true, nil
	}
	if id.Mount.ID != core.OAuthMount {
		return false, revocable(c, "", sess.Account)
	}
	if id.Kind == token.Access {
		return id.Claims.Subject != sess.Subject, revocable(c, id.Claims.ClientID, "")
	}
	grant, err := s.store.GrantOf(ctx, sid.Key)
	if errors.Is(err, core.ErrNoRow) {
		return true, nil
	}
	if err != nil {
		return false, core.StoreError(err)
	}
	return false, revocable(c, grant.Client, "")
}

// revocable refuses a client that has no business with a token.
func revocable(c *core.ClientRecord, owner, account string) error {
	if owner == c.ID || owner == "" && c.Type == core.ClientConfidential && (c.IntrospectAll || account == c.Account) {
		return nil
	}
	return oauthError(InvalidGrant, "token of another client", "The token was not issued to this client")
}

func (s *Server) revokeApplication(ctx context.Context, r *RevokeRequest, id *core.Identified) error {
	t, subj, err := s.store.ApplicationTokenByHash(ctx, sha256.Sum256([]byte(r.Token)))
	switch {
	case errors.Is(err, core.ErrNoRow):
		return nil
	case err != nil:
		return core.StoreError(err)
	case t.Mount != id.Mount.ID || subj == nil:
		return nil
	}
	if err := revocable(r.Auth, "", subj.Account); err != nil {
		if t.RevokedAt != 0 {
			return nil
		}
		return err
	}
	// Also when the row says that it is done: a row may say so that the next
	// failover takes back, and the step knows.
	actor := r.Client.Actor("client:" + r.Auth.ID)
	_, err = s.service.ChangeApplicationToken(ctx, actor, t.ID, core.TokenRevoke)
	if err != nil && core.CodeOf(err) == core.NotFound {
		return nil // somebody was quicker
	}
	return err
}
