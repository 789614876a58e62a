package core

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/internal/token"
)

// AssertionMaxMS is the longest time from iat, or from now, to exp of an
// assertion: a stolen one should not lie good in a log for a day.
const AssertionMaxMS int64 = 3600_000

// CredentialsRequest asks for a token for the client itself.
type CredentialsRequest struct {
	Auth     *ClientRecord
	Scope    []string
	Audience []string
	Client   Client
}

// ClientCredentials gives a client a token for itself (RFC 6749 section 4.4).
// There is no refresh token: the credential is at hand.
func (s *Service) ClientCredentials(ctx context.Context, r *CredentialsRequest) (*OAuthGranted, error) {
	g, err := s.clientCredentials(ctx, r)
	s.outcome("client_credentials", s.oauth.mount, &r.Client, err)
	return g, err
}

func (s *Service) clientCredentials(ctx context.Context, r *CredentialsRequest) (*OAuthGranted, error) {
	c := &r.Auth.OAuthClient
	if err := mayUse(c, GrantCredentials); err != nil {
		return nil, err
	}
	if c.Type != ClientConfidential {
		return nil, oauthError(OAuthUnauthorized, "public client", "A public client has no credentials of its own")
	}
	scope, err := s.machineScope(c, r.Scope)
	if err != nil {
		return nil, err
	}
	return s.machineToken(ctx, c.ID, c.ID, r.Auth.Version, scope, r.Audience, s.audienceOf(c), c.AccessMS)
}

// machineScope is what a client may have for itself: nothing of OpenID
// Connect, since there is no user.
func (s *Service) machineScope(c *OAuthClient, asked []string) ([]string, error) {
	scope, err := AllowedScope(c, asked, c.Scopes, true)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, w := range scope {
		if !slices.Contains(OIDCScopes(), w) {
			out = append(out, w)
		}
	}
	return out, nil
}

// machineToken is the gate of tokens without a session: machine and account
// are read in one moment with the epoch, so whatever ends them later is
// numbered above it.
func (s *Service) machineToken(ctx context.Context, machine, client string, version int64, scope, asked, allowed []string, life int64) (*OAuthGranted, error) {
	now := s.now()
	aud, err := narrowAudience(asked, allowed)
	if err != nil {
		return nil, err
	}
	if err := s.hearing(ctx, now); err != nil {
		return nil, err
	}
	subj, epoch, err := s.store.Machine(ctx, machine)
	switch {
	case errors.Is(err, ErrNoRow):
		return nil, invalidGrant("no such machine")
	case err != nil:
		return nil, StoreError(err)
	case !subj.Live() || subj.Version != version:
		return nil, &Error{Code: BadCredentials, Reason: "machine changed or not active"}
	}
	return s.issueMachine(subj, epoch, client, scope, aud, life, now)
}

func narrowAudience(asked, allowed []string) ([]string, error) {
	if len(asked) == 0 {
		return allowed, nil
	}
	if !subset(asked, allowed) {
		return nil, oauthError(OAuthInvalidTarget, "audience not allowed", "This audience or resource may not be asked for here")
	}
	return asked, nil
}

// assertion is a signed JWT that a client or API key made.
type assertion struct {
	claims *token.Claims
	raw    string
}

// assertionRules are those of RFC 7523 section 3: iss and sub are the maker,
// aud is our issuer and nothing else, exp is needed.
func (s *Service) assertionRules(maker string) *token.Rules {
	return &token.Rules{
		Issuers: []string{maker}, Audience: s.issuer, MaxLifetime: AssertionMaxMS / 1000, NoIssuedAt: true,
		ExpirySkew: 60,
	}
}

// verifyAssertion checks an assertion with the keys of its maker. Whatever is
// wrong is one error; it says nothing but that.
func (s *Service) verifyAssertion(raw, maker string, keys []*token.Key, now int64) (*assertion, error) {
	claims, err := token.Verify(raw, keys, s.assertionRules(maker), now)
	if err != nil {
		return nil, &Error{Code: BadCredentials, Reason: "assertion", Err: err}
	}
	switch {
	case claims.Subject != maker:
		return nil, &Error{Code: BadCredentials, Reason: "assertion: sub is not its maker"}
	case claims.ID == "":
		return nil, &Error{Code: BadCredentials, Reason: "assertion: jti is missing"}
	case claims.ExpiresAt*1000-now > AssertionMaxMS:
		return nil, &Error{Code: BadCredentials, Reason: "assertion: exp is too far away"}
	}
	return &assertion{claims, raw}, nil
}

// useAssertion accepts a verified assertion once (SECURITY 36).
func (s *Service) useAssertion(ctx context.Context, a *assertion, now int64) error {
	h := sha256.New()
	h.Write([]byte("assertion"))
	var n [4]byte
	for _, part := range []string{a.claims.Issuer, a.claims.ID} {
		binary.BigEndian.PutUint32(n[:], uint32(len(part)))
		h.Write(n[:])
		h.Write([]byte(part))
	}
	p := &AssertionParams{Until: a.claims.ExpiresAt*1000 + replayMarginMS, Now: now}
	h.Sum(p.Hash[:0])
	err := s.store.AcceptAssertion(ctx, p)
	if errors.Is(err, ErrExists) {
		return &Error{Code: BadCredentials, Reason: "assertion used before"}
	}
	return StoreError(err)
}

// AssertionRequest presents an assertion as a grant (RFC 7523 section 2.1).
type AssertionRequest struct {
	Auth      *ClientRecord // nil when no client authenticated
	Assertion string
	Scope     []string
	Audience  []string
	Client    Client
}

// AssertionGrant gives an access token for an assertion that a client signed
// with its registered key, or an API key with its secret (HS256). iss and sub
// are the client's id or the API key's id. The token speaks for who signed it.
func (s *Service) AssertionGrant(ctx context.Context, r *AssertionRequest) (*OAuthGranted, error) {
	g, err := s.assertionGrant(ctx, r)
	if e := (*Error)(nil); errors.As(err, &e) && e.Code == BadCredentials {
		err = &Error{Code: TokenInvalid, OAuth: OAuthInvalidGrant, Reason: e.Reason, Err: e.Err, Message: "The assertion is not valid, has expired or was used"}
	}
	s.outcome("assertion", s.oauth.mount, &r.Client, err)
	return g, err
}

func (s *Service) assertionGrant(ctx context.Context, r *AssertionRequest) (*OAuthGranted, error) {
	now := s.now()
	maker, err := token.PeekIssuer(r.Assertion) // it only chooses whose keys are tried
	if err != nil {
		return nil, &Error{Code: BadCredentials, Reason: "assertion malformed", Err: err}
	}
	if r.Auth != nil && maker != r.Auth.ID {
		return nil, &Error{Code: BadCredentials, Reason: "assertion of another than the client"}
	}
	if strings.HasPrefix(maker, ClientIDPrefix) {
		return s.clientAssertion(ctx, r, maker, now)
	}
	return s.apiKeyAssertion(ctx, r, maker, now)
}

func (s *Service) clientAssertion(ctx context.Context, r *AssertionRequest, maker string, now int64) (*OAuthGranted, error) {
	c, err := s.clientByID(ctx, maker)
	if err != nil {
		return nil, err
	}
	if c == nil || !c.Live() {
		return nil, &Error{Code: BadCredentials, Reason: "no such client"}
	}
	a, err := s.verifyClientAssertion(r.Assertion, c, now)
	if err != nil {
		return nil, err
	}
	if err := mayUse(&c.OAuthClient, GrantAssertion); err != nil {
		return nil, err
	}
	scope, err := s.machineScope(&c.OAuthClient, r.Scope)
	if err != nil {
		return nil, err
	}
	if _, err := narrowAudience(r.Audience, s.audienceOf(&c.OAuthClient)); err != nil {
		return nil, err
	}
	if err := s.useAssertion(ctx, a, now); err != nil {
		return nil, err
	}
	return s.machineToken(ctx, c.ID, c.ID, c.Version, scope, r.Audience, s.audienceOf(&c.OAuthClient), c.AccessMS)
}

func (s *Service) apiKeyAssertion(ctx context.Context, r *AssertionRequest, maker string, now int64) (*OAuthGranted, error) {
	key, err := s.store.APIKeyByID(ctx, maker)
	if err != nil && !errors.Is(err, ErrNoRow) {
		return nil, StoreError(err)
	}
	if err != nil || key.State != Active || key.AccountState != Active {
		return nil, &Error{Code: BadCredentials, Reason: "no such API key"}
	}
	var keys []*token.Key
	for i := range key.Secrets {
		sec := &key.Secrets[i]
		if sec.ExpiresAt != 0 && now >= sec.ExpiresAt {
			continue
		}
		plain, err := s.keys.Open(SealAPISecret, sealBinding(&key.APIKey, sec.Number), sec.Sealed)
		if err != nil {
			return nil, err
		}
		k, err := token.NewRequestKey(plain)
		if err != nil {
			return nil, &Error{Code: Internal, Reason: "API secret", Err: err}
		}
		keys = append(keys, k)
	}
	a, err := s.verifyAssertion(r.Assertion, maker, keys, now)
	if err != nil {
		return nil, err
	}
	scope := key.Roles
	if len(r.Scope) > 0 {
		if !subset(r.Scope, key.Roles) {
			return nil, oauthError(OAuthInvalidScope, "scope not allowed", "The API key does not have these roles")
		}
		scope = r.Scope
	}
	if _, err := narrowAudience(r.Audience, []string{s.issuer}); err != nil {
		return nil, err
	}
	if err := s.useAssertion(ctx, a, now); err != nil {
		return nil, err
	}
	return s.machineToken(ctx, key.ID, key.ID, key.Version, scope, r.Audience, []string{s.issuer}, DefaultAccessMS)
}

// ExchangeTokenRequest narrows an access token (RFC 8693).
type ExchangeTokenRequest struct {
	Auth     *ClientRecord
	Subject  string // the access token
	Scope    []string
	Audience []string
	Client   Client
}

// TypeAccessToken is the one token type that exchange takes and gives.
const TypeAccessToken = "urn:ietf:params:oauth:token-type:access_token"

// ExchangeToken gives for a live access token of the client's own another one
// of the same session with less scope or fewer audiences, that ends no later.
// It dies with the first. It cannot be exchanged again.
func (s *Service) ExchangeToken(ctx context.Context, r *ExchangeTokenRequest) (*OAuthGranted, error) {
	g, err := s.exchangeToken(ctx, r)
	s.outcome("token_exchange", s.oauth.mount, &r.Client, err)
	return g, err
}

func (s *Service) exchangeToken(ctx context.Context, r *ExchangeTokenRequest) (*OAuthGranted, error) {
	if err := mayUse(&r.Auth.OAuthClient, GrantExchange); err != nil {
		return nil, err
	}
	now := s.now()
	p, err := s.verified(ctx, s.oauth.mount, r.Subject, now, token.Access)
	if err != nil {
		if CodeOf(err).Is(Unauthorized) {
			return nil, oauthError(OAuthInvalidRequest, "subject token: "+string(CodeOf(err)), "The subject_token is not a live access token of this client")
		}
		return nil, err
	}
	switch {
	case p.ClientID != r.Auth.ID:
		return nil, oauthError(OAuthInvalidRequest, "subject token of another client", "The subject_token is not a live access token of this client")
	case p.Parent != "":
		return nil, oauthError(OAuthInvalidRequest, "subject token exchanged already", "The subject_token comes from an exchange; exchange the first one")
	case !subset(r.Scope, p.Scopes):
		return nil, oauthError(OAuthInvalidScope, "scope wider", "The scope may not be wider than that of the subject_token")
	}
	aud, err := narrowAudience(r.Audience, p.Audience)
	if err != nil {
		return nil, err
	}
	scope := p.Scopes
	if len(r.Scope) > 0 {
		scope = r.Scope
	}
	access := *s.oauth.mount.Policy.Access
	access.LifetimeMS = min(r.Auth.AccessMS, p.ExpiresAt-(now-now%1000))
	access.Claims = &accessClaims{client: r.Auth.ID, scope: scope, audience: aud, authTime: p.AuthTime, parent: p.TokenID}
	sess := &Session{ID: p.Session, Mount: OAuthMount, Subject: p.Subject.ID, Account: p.Subject.Account, CreatedAt: now, Status: p.Status}
	g := &OAuthGranted{Granted: Granted{Now: now - now%1000, Session: sess, Subject: &p.Subject}, Scope: scope, IssuedType: TypeAccessToken}
	g.AccessToken, g.AccessExpires, err = s.sign(s.oauth.mount, &access, sess, &p.Subject, now)
	return g, err
}
