package authserver

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"strings"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/token"
)

// AssertionMaxMS is the longest time from iat, or from now, to exp of an
// assertion: a stolen one should not lie good in a log for a day.
const AssertionMaxMS int64 = 3600_000

// assertionMarginMS is how long beyond its exp an assertion is remembered, for
// clocks.
const assertionMarginMS int64 = 600_000

// assertion is a signed JWT that a client or API key made.
type assertion struct {
	claims *token.Claims
	raw    string
}

// assertionRules are those of RFC 7523 section 3: iss and sub are the maker,
// aud is our issuer and nothing else, exp is needed.
func (s *Server) assertionRules(maker string) *token.Rules {
	return &token.Rules{
		Issuers: []string{maker}, Audience: s.service.Issuer(), MaxLifetime: AssertionMaxMS / 1000, NoIssuedAt: true,
		ExpirySkew: 60,
	}
}

// verifyAssertion checks an assertion with the keys of its maker. Whatever is
// wrong is one error; it says nothing but that.
func (s *Server) verifyAssertion(raw, maker string, keys []*token.Key, now int64) (*assertion, error) {
	claims, err := token.Verify(raw, keys, s.assertionRules(maker), now)
	if err != nil {
		return nil, &core.Error{Code: core.BadCredentials, Reason: "assertion", Err: err}
	}
	switch {
	case claims.Subject != maker:
		return nil, &core.Error{Code: core.BadCredentials, Reason: "assertion: sub is not its maker"}
	case claims.ID == "":
		return nil, &core.Error{Code: core.BadCredentials, Reason: "assertion: jti is missing"}
	case claims.ExpiresAt*1000-now > AssertionMaxMS:
		return nil, &core.Error{Code: core.BadCredentials, Reason: "assertion: exp is too far away"}
	}
	return &assertion{claims, raw}, nil
}

// useAssertion accepts a verified assertion once (SECURITY 36).
func (s *Server) useAssertion(ctx context.Context, a *assertion, now int64) error {
	h := sha256.New()
	h.Write([]byte("assertion"))
	var n [4]byte
	for _, part := range []string{a.claims.Issuer, a.claims.ID} {
		binary.BigEndian.PutUint32(n[:], uint32(len(part)))
		h.Write(n[:])
		h.Write([]byte(part))
	}
	p := &core.AssertionParams{Until: a.claims.ExpiresAt*1000 + assertionMarginMS, Now: now}
	h.Sum(p.Hash[:0])
	err := s.store.AcceptAssertion(ctx, p)
	if errors.Is(err, core.ErrExists) {
		return &core.Error{Code: core.BadCredentials, Reason: "assertion used before"}
	}
	return core.StoreError(err)
}

// AssertionRequest presents an assertion as a grant (RFC 7523 section 2.1).
type AssertionRequest struct {
	Auth      *core.ClientRecord // nil when no client authenticated
	Assertion string
	Scope     []string
	Audience  []string
	Client    core.Client
}

// AssertionGrant gives an access token for an assertion that a client signed
// with its registered key, or an API key with its secret (HS256). iss and sub
// are the client's id or the API key's id. The token speaks for who signed it.
func (s *Server) AssertionGrant(ctx context.Context, r *AssertionRequest) (*Granted, error) {
	g, err := s.assertionGrant(ctx, r)
	if e := (*core.Error)(nil); errors.As(err, &e) && e.Code == core.BadCredentials {
		err = &core.Error{Code: core.TokenInvalid, OAuth: InvalidGrant, Reason: e.Reason, Err: e.Err, Message: "The assertion is not valid, has expired or was used"}
	}
	s.machineOutcome("assertion", g, &r.Client, err)
	return g, err
}

func (s *Server) assertionGrant(ctx context.Context, r *AssertionRequest) (*Granted, error) {
	now := s.now()
	maker, err := token.PeekIssuer(r.Assertion) // it only chooses whose keys are tried
	if err != nil {
		return nil, &core.Error{Code: core.BadCredentials, Reason: "assertion malformed", Err: err}
	}
	if r.Auth != nil && maker != r.Auth.ID {
		return nil, &core.Error{Code: core.BadCredentials, Reason: "assertion of another than the client"}
	}
	if strings.HasPrefix(maker, core.ClientIDPrefix) {
		return s.clientAssertion(ctx, r, maker, now)
	}
	return s.apiKeyAssertion(ctx, r, maker, now)
}

func (s *Server) clientAssertion(ctx context.Context, r *AssertionRequest, maker string, now int64) (*Granted, error) {
	c, err := s.clientByID(ctx, maker)
	if err != nil {
		return nil, err
	}
	if c == nil || !c.Live() {
		return nil, &core.Error{Code: core.BadCredentials, Reason: "no such client"}
	}
	a, err := s.verifyClientAssertion(r.Assertion, c, now)
	if err != nil {
		return nil, err
	}
	if err := mayUse(&c.OAuthClient, core.GrantAssertion); err != nil {
		return nil, err
	}
	scope, err := machineScope(&c.OAuthClient, r.Scope)
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

func (s *Server) apiKeyAssertion(ctx context.Context, r *AssertionRequest, maker string, now int64) (*Granted, error) {
	key, err := s.store.APIKeyByID(ctx, maker)
	if err != nil && !errors.Is(err, core.ErrNoRow) {
		return nil, core.StoreError(err)
	}
	if err != nil || key.State != core.Active || key.AccountState != core.Active {
		return nil, &core.Error{Code: core.BadCredentials, Reason: "no such API key"}
	}
	var keys []*token.Key
	for i := range key.Secrets {
		sec := &key.Secrets[i]
		if sec.ExpiresAt != 0 && now >= sec.ExpiresAt {
			continue
		}
		plain, err := s.keys.Open(core.SealAPISecret, core.APISecretBinding(key.ID, key.Account, sec.Number), sec.Sealed)
		if err != nil {
			return nil, err
		}
		k, err := token.NewRequestKey(plain)
		if err != nil {
			return nil, &core.Error{Code: core.Internal, Reason: "API secret", Err: err}
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
			return nil, oauthError(InvalidScope, "scope not allowed", "The API key does not have these roles")
		}
		scope = r.Scope
	}
	if _, err := narrowAudience(r.Audience, []string{s.service.Issuer()}); err != nil {
		return nil, err
	}
	if err := s.useAssertion(ctx, a, now); err != nil {
		return nil, err
	}
	return s.machineToken(ctx, key.ID, key.ID, key.Version, scope, r.Audience, []string{s.service.Issuer()}, DefaultAccessMS)
}
