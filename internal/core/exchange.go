package core

import (
	"context"
	"crypto/subtle"
	"errors"

	"github.com/sallyport/sallyport/internal/token"
)

// replayMarginMS is how long beyond its window a request token is remembered,
// so that a clock set back a little does not make an old token young again.
const replayMarginMS int64 = 600_000

// dummyKeySecret is the secret that request tokens of unknown keys are checked
// against: equal work, and nothing can verify, since the result is not used.
var dummyKeySecret = make([]byte, 64)

// ExchangeRequestToken opens a session for a request token signed with an API
// key. Unknown, disabled and wrong keys, a wrong window and a replay are one
// refusal, RequestTokenInvalid, with equal work.
func (s *Service) ExchangeRequestToken(ctx context.Context, r *ExchangeRequest) (*Granted, error) {
	g, err := s.exchange(ctx, r)
	s.outcome("request_token", r.Mount, &r.Client, err)
	return g, err
}

func (s *Service) exchange(ctx context.Context, r *ExchangeRequest) (*Granted, error) {
	now := s.now()
	rt, err := token.ParseRequest(r.Token)
	if err != nil {
		return nil, &Error{Code: RequestTokenInvalid, Reason: "malformed", Err: err}
	}
	if err := s.hearing(ctx, now); err != nil {
		return nil, err
	}
	if err := s.canIssue(r.Mount, true); err != nil {
		return nil, err
	}
	g, err := s.exchangeOnce(ctx, r, rt, now)
	if errors.Is(err, errKeyChanged) {
		// The key changed while its token was checked, perhaps in a way that
		// leaves the token good (a second secret): ask once more.
		g, err = s.exchangeOnce(ctx, r, rt, now)
	}
	return g, err
}

// errKeyChanged marks an exchange whose key is no longer the one that was read.
var errKeyChanged = errors.New("the API key or its account changed meanwhile")

func (s *Service) exchangeOnce(ctx context.Context, r *ExchangeRequest, rt *token.RequestToken, now int64) (*Granted, error) {
	key, err := s.requestKey(ctx, r.Mount, rt)
	if err != nil {
		return nil, err
	}
	verified, err := s.verifyRequest(rt, key, now)
	if err != nil {
		return nil, err
	}
	switch {
	case key == nil:
		return nil, refuse(RequestTokenInvalid, "unknown API key")
	case !verified:
		return nil, refuse(RequestTokenInvalid, "wrong secret")
	case key.State != Active || key.AccountState != Active:
		return nil, refuse(RequestTokenInvalid, "API key or account not active")
	}
	if err := rt.CheckTimes(now, r.Mount.Policy.RequestWindowMS); err != nil {
		return nil, &Error{Code: RequestTokenInvalid, Reason: "iat outside the window", Err: err}
	}
	return s.openByRequest(ctx, r, rt, key, now)
}

// requestKey finds the key that the unverified payload names; nil for none. The
// names only choose whose secret is tried.
func (s *Service) requestKey(ctx context.Context, m *Mount, rt *token.RequestToken) (*APIKeyRecord, error) {
	if m.Account != AnyAccount && m.Account != rt.ShortName {
		return nil, nil
	}
	key, err := s.store.APIKeyByName(ctx, rt.ShortName, rt.AppName)
	if errors.Is(err, ErrNoRow) {
		return nil, nil
	}
	if err != nil {
		return nil, StoreError(err)
	}
	if subtle.ConstantTimeCompare([]byte(key.AppKey), []byte(rt.AppKey)) != 1 {
		return nil, nil
	}
	return key, nil
}

// verifyRequest checks the signature with each live secret of the key, or with
// a dummy. The error is one of unsealing, which must not look like a refusal.
func (s *Service) verifyRequest(rt *token.RequestToken, key *APIKeyRecord, now int64) (bool, error) {
	if key == nil {
		_, err := verifyWith(rt, dummyKeySecret)
		return false, err
	}
	for i := range key.Secrets {
		sec := &key.Secrets[i]
		if sec.ExpiresAt != 0 && now >= sec.ExpiresAt {
			continue
		}
		plain, err := s.keys.Open(SealAPISecret, sealBinding(&key.APIKey, sec.Number), sec.Sealed)
		if err != nil {
			return false, err
		}
		if ok, err := verifyWith(rt, plain); ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}

func verifyWith(rt *token.RequestToken, secret []byte) (bool, error) {
	k, err := token.NewRequestKey(secret)
	if err != nil {
		return false, &Error{Code: Internal, Reason: "request key", Err: err}
	}
	return rt.Verify(k) == nil, nil
}

func (s *Service) openByRequest(ctx context.Context, r *ExchangeRequest, rt *token.RequestToken, key *APIKeyRecord, now int64) (*Granted, error) {
	sess := s.newSession(r.Mount.as(r.Variant), &r.Client, now, true)
	sess.Account, sess.SubjectKind, sess.Subject = key.Account, SubjectAPIKey, key.ID
	sess.Credential, sess.LoginName = credentialOf("request_token", r.Mount, r.Variant), key.AppName
	var err error
	if sess.Status, err = s.statusNumber(ctx, r.Mount, StatusSessions, now); err != nil {
		return nil, err
	}
	ev, replay := r.Client.Event("login"), r.Client.Event("request_token.replay")
	for _, e := range []*Event{&ev, &replay} {
		e.Actor, e.Account, e.Subject, e.Mount = "apikey:"+key.ID, key.Account, key.ID, r.Mount.ID
	}
	res, err := s.store.ExchangeRequestToken(ctx, &ExchangeParams{
		TokenHash: rt.SigningInputHash(), Address: addressText(r.Client.Address),
		RememberUntil: rt.IssuedAt*1000 + r.Mount.Policy.RequestWindowMS + replayMarginMS,
		Open: OpenSessionParams{
			Session: *sess,
			Gate: Gate{
				SubjectKind: SubjectAPIKey, Subject: key.ID, Version: key.Version,
				Account: key.Account, AccountVersion: key.AccountVersion,
			},
			MaxPerSubject: s.cfg.MaxSessionsPerSubject, FactPurgeAt: s.sessionFactPurgeAt(now), Now: now, Event: ev,
		},
		ReplayEvent: replay,
	})
	if err != nil && !errors.Is(err, ErrStale) {
		return nil, StoreError(err)
	}
	if err != nil || res.Verdict == ExchangeStale {
		return nil, &Error{Code: RequestTokenInvalid, Reason: string(ExchangeStale), Err: errKeyChanged}
	}
	if res.Verdict != Exchanged && res.Verdict != ExchangeTwin {
		return nil, refuse(RequestTokenInvalid, string(res.Verdict))
	}
	if res.Verdict == ExchangeTwin {
		if res.Session.Mount != r.Mount.ID {
			return nil, refuse(RequestTokenInvalid, "twin on another mount")
		}
		if id := res.Session.ID; s.revoked.deadSession(id, id.String(), res.Session.Subject, res.Session.Account) {
			return nil, refuse(RequestTokenInvalid, string(ExchangeEnded))
		}
	}
	g, err := s.issue(r.Mount.as(res.Session.Variant()), res.Session, res.Subject, now, true, "")
	if err != nil {
		return nil, err
	}
	g.Verdict = string(res.Verdict)
	return g, nil
}
