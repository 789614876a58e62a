package core

import (
	"context"

	"github.com/sallyport/sallyport/internal/token"
)

// OpenByPassword is a login without tokens: it checks name and password as Login
// does, with the same counters and the same one refusal, and opens a session.
func (e *Engine) OpenByPassword(ctx context.Context, r *LoginRequest, now int64) (*OpenResult, error) {
	return e.s.openByPassword(ctx, r, now)
}

// Opening describes a session of a user that something else than his password
// opens.
type Opening struct {
	Mount      *Mount // with the policy that counts for this session
	Gate       Gate   // of the user, as read with the credential
	Credential string // see Session
	LoginName  string
	// From is the sid of the session that the credential came from; "" = none.
	From           string
	WithoutRefresh bool
	Client         *Client
}

// PrepareSession makes the parameters of the step that opens a session, with an
// audit event. *Error: TokenRevoked when the session that it comes from is over
// by what this node has heard, Unavailable. The store must look, too.
func (e *Engine) PrepareSession(ctx context.Context, o *Opening, now int64) (*OpenSessionParams, error) {
	s := e.s
	if err := s.hearing(ctx, now); err != nil {
		return nil, err
	}
	// A fact on everything touches no row, so the store would open a session,
	// and with an epoch above the fact.
	if sid, err := ParseSessionID(o.From); err == nil && s.revoked.deadSession(sid, o.From, o.Gate.Subject, o.Gate.Account) {
		return nil, refuse(TokenRevoked, "login ended")
	}
	if err := s.canIssue(o.Mount, !o.WithoutRefresh); err != nil {
		return nil, err
	}
	sess := s.newSession(o.Mount, o.Client, now, !o.WithoutRefresh)
	sess.Account, sess.SubjectKind, sess.Subject = o.Gate.Account, o.Gate.SubjectKind, o.Gate.Subject
	sess.Credential, sess.LoginName = o.Credential, o.LoginName
	var err error
	if sess.Status, err = s.statusNumber(ctx, o.Mount, StatusSessions, now); err != nil {
		return nil, err
	}
	ev := o.Client.Event("login")
	ev.Actor, ev.Account, ev.Subject, ev.Mount = "user:"+o.Gate.Subject, o.Gate.Account, o.Gate.Subject, o.Mount.ID
	return &OpenSessionParams{
		Session: *sess, Gate: o.Gate, MaxPerSubject: s.cfg.MaxSessionsPerSubject,
		FactPurgeAt: s.sessionFactPurgeAt(now), Now: now, Event: ev,
	}, nil
}

// Move takes a session one refresh on, by the rules of Refresh, for a refresh
// token that Identify found good. policy is the one that counts now.
func (e *Engine) Move(ctx context.Context, id *Identified, policy *Rotation, c *Client, now int64) (*RefreshResult, error) {
	sid, err := ParseSessionID(id.Claims.SessionID)
	if err != nil {
		return nil, &Error{Code: TokenMalformed, Reason: "sid", Err: err}
	}
	signer, err := e.s.refreshSigner(id.Mount)
	if err != nil {
		return nil, err
	}
	return e.s.step(ctx, &RefreshRequest{Mount: id.Mount, Client: *c}, id.Claims, sid, policy, signer, now)
}

// refreshSigner is the key that signs a mount's next refresh token. Without one
// the row would move and nobody would get its token.
func (s *Service) refreshSigner(m *Mount) (string, error) {
	signer := s.keys.ActiveKey(KeySet{Mount: m.ID, Kind: token.Refresh})
	if signer == "" {
		return "", &Error{Code: Unavailable, Reason: "no refresh key of " + m.ID, RetryAfter: 1000}
	}
	return signer, nil
}

// Used notes the last use of a session, batched.
func (e *Engine) Used(id SessionID, c *Client, now int64) {
	e.s.touches.session(Touch{ID: id, At: now, Address: addressText(c.Address)})
}
