package authserver

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"

	"github.com/sallyport/sallyport/internal/core"
)

// CodeRequest asks for an authorization code. The caller (the authorization
// endpoint) has checked redirect URI, response type, scope and consent.
type CodeRequest struct {
	Client      *core.ClientRecord
	Browser     *BrowserLogin // who logged in, and when
	RedirectURI string
	Challenge   string // S256; needed
	Nonce       string
	Scope       []string // as AllowedScope gave it
	Audience    []string // subset of the client's; nil = all
	Consent     bool     // the user's word must still stand
}

// IssueCode makes a code, good once within CodeLifetimeMS. *Error: FieldInvalid,
// BadCredentials when user, client or login changed since they were read,
// Unavailable.
func (s *Server) IssueCode(ctx context.Context, r *CodeRequest) (string, error) {
	if !r.Client.MayUse(core.GrantCode) {
		return "", mayUse(&r.Client.OAuthClient, core.GrantCode)
	}
	if !validChallenge(r.Challenge) {
		return "", oauthError(InvalidRequest, "code_challenge", "A code_challenge of method S256 is needed (RFC 7636)")
	}
	if len(r.Nonce) > 512 {
		return "", oauthError(InvalidRequest, "nonce", "The nonce is too long")
	}
	aud := s.audienceOf(&r.Client.OAuthClient)
	if len(r.Audience) > 0 {
		if !subset(r.Audience, aud) {
			return "", oauthError(InvalidTarget, "audience", "This client may not ask for that audience")
		}
		aud = r.Audience
	}
	subj := r.Browser.Subject
	if subj.Account != r.Client.Account {
		return "", refuse(core.BadCredentials, "user of another account")
	}
	var b [32]byte
	_, _ = rand.Read(b[:])
	code := base64.RawURLEncoding.EncodeToString(b[:])
	now := s.now()
	err := s.store.CreateCode(ctx, &core.CreateCodeParams{Now: now, Consent: r.Consent, Code: core.AuthCode{
		Hash: sha256.Sum256([]byte(code)), Client: r.Client.ID, ClientVersion: r.Client.Version,
		RedirectURI: r.RedirectURI, Challenge: r.Challenge, Nonce: r.Nonce, Scope: r.Scope, Audience: aud,
		Subject: subj.ID, SubjectVersion: subj.Version, Account: subj.Account, AccountVersion: subj.AccountVersion,
		AuthTime: r.Browser.AuthTime, Browser: r.Browser.Session.ID.String(), LoginName: r.Browser.Session.LoginName, CreatedAt: now, ExpiresAt: now + CodeLifetimeMS,
	}})
	if errors.Is(err, core.ErrStale) {
		return "", refuse(core.BadCredentials, "changed since the login")
	}
	if err != nil {
		return "", core.StoreError(err)
	}
	return code, nil
}

// validChallenge reports a SHA-256 in base64url, as S256 gives it.
func validChallenge(c string) bool {
	b, err := base64.RawURLEncoding.Strict().DecodeString(c)
	return err == nil && len(c) == 43 && len(b) == sha256.Size
}

// RedeemRequest presents a code at the token endpoint.
type RedeemRequest struct {
	Auth        *core.ClientRecord // as AuthenticateClient gave it
	Code        string
	RedirectURI string
	Verifier    string
	Audience    []string // narrows the first access token (RFC 8707 section 2.2); nil = all
	Client      core.Client
}

// RedeemCode opens the session that a code stands for. A second use by the same
// client ends it again.
func (s *Server) RedeemCode(ctx context.Context, r *RedeemRequest) (*Granted, error) {
	g, err := s.redeemCode(ctx, r)
	s.engine.Outcome("authorization_code", s.mount, &r.Client, err)
	return g, err
}

func (s *Server) redeemCode(ctx context.Context, r *RedeemRequest) (*Granted, error) {
	if err := mayUse(&r.Auth.OAuthClient, core.GrantCode); err != nil {
		return nil, err
	}
	if len(r.Code) > maxSecret {
		return nil, invalidGrant("no code is that long") // and it is not worth copying
	}
	now := s.now()
	hash := sha256.Sum256([]byte(r.Code))
	code, err := s.store.CodeByHash(ctx, hash)
	switch {
	case errors.Is(err, core.ErrNoRow):
		return nil, invalidGrant("no such code")
	case err != nil:
		return nil, core.StoreError(err)
	case code.Client != r.Auth.ID:
		return nil, invalidGrant("code of another client")
	}
	// A code that was used is a replay whatever else is wrong with the request:
	// the store ends its session. Otherwise what is wrong is found before
	// anything moves.
	if code.UsedAt == 0 {
		if err := checkRedeem(code, r); err != nil {
			return nil, err
		}
		if _, err := narrowAudience(r.Audience, code.Audience); err != nil {
			return nil, err
		}
	}
	if err := s.ensureIDKey(ctx, &r.Auth.OAuthClient); err != nil {
		return nil, err
	}
	return s.redeemStep(ctx, r, code, now)
}

// checkRedeem compares what the code is bound to (RFC 6749 section 4.1.3, RFC
// 7636 section 4.6).
func checkRedeem(code *core.AuthCode, r *RedeemRequest) error {
	if subtle.ConstantTimeCompare([]byte(code.RedirectURI), []byte(r.RedirectURI)) != 1 {
		return invalidGrant("another redirect_uri")
	}
	if n := len(r.Verifier); n < 43 || n > 128 {
		return invalidGrant("code_verifier missing or of a wrong length")
	}
	sum := sha256.Sum256([]byte(r.Verifier))
	if subtle.ConstantTimeCompare([]byte(base64.RawURLEncoding.EncodeToString(sum[:])), []byte(code.Challenge)) != 1 {
		return invalidGrant("code_verifier does not match")
	}
	return nil
}

// redeemParams describes the session that a code opens.
func (s *Server) redeemParams(ctx context.Context, r *RedeemRequest, code *core.AuthCode, now int64) (*core.RedeemCodeParams, error) {
	m := *s.mount
	m.Policy.Rotation = s.rotationOf(&r.Auth.OAuthClient)
	withRefresh := r.Auth.MayUse(core.GrantRefresh)
	if !withRefresh {
		// The session is as long as its one access token.
		m.Policy.Rotation = core.Rotation{IdleMS: r.Auth.AccessMS, AbsoluteMS: r.Auth.AccessMS}
	}
	open, err := s.engine.PrepareSession(ctx, &core.Opening{
		Mount: &m, Credential: "code", LoginName: code.LoginName, From: code.Browser, WithoutRefresh: !withRefresh, Client: &r.Client,
		Gate: core.Gate{
			SubjectKind: core.SubjectUser, Subject: code.Subject, Version: code.SubjectVersion,
			Account: code.Account, AccountVersion: code.AccountVersion,
		},
	}, now)
	if core.CodeOf(err) == core.TokenRevoked {
		return nil, invalidGrant("login ended")
	}
	if err != nil {
		return nil, err
	}
	open.Event.Detail = map[string]string{"client": code.Client}
	replay := open.Event
	replay.Kind = "code.replay"
	return &core.RedeemCodeParams{
		Hash: code.Hash, Client: r.Auth.ID, ClientVersion: r.Auth.Version,
		Grant: core.SessionGrant{
			Client: code.Client, Scope: code.Scope, Audience: code.Audience,
			AuthTime: code.AuthTime, Nonce: code.Nonce, Browser: code.Browser,
		},
		Open: *open, ReplayEvent: replay,
	}, nil
}

func (s *Server) redeemStep(ctx context.Context, r *RedeemRequest, code *core.AuthCode, now int64) (*Granted, error) {
	p, err := s.redeemParams(ctx, r, code, now)
	if err != nil {
		return nil, err
	}
	res, err := s.store.RedeemCode(ctx, p)
	if err != nil {
		return nil, core.StoreError(err)
	}
	switch res.Verdict {
	case core.CodeRedeemed:
	case core.CodeReplayed:
		if err := s.engine.Applied(ctx, nil); err != nil {
			return nil, err
		}
		return nil, invalidGrant("code used before")
	default:
		return nil, invalidGrant("code " + string(res.Verdict))
	}
	first := p.Grant
	if len(r.Audience) > 0 {
		first.Audience = r.Audience
	}
	g, err := s.issueSession(&r.Auth.OAuthClient, &first, res.Session, res.Subject, now, true)
	if err != nil {
		return nil, err
	}
	g.Verdict = string(res.Verdict)
	return g, nil
}
