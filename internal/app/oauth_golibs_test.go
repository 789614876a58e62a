package app_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/sallyport/sallyport/internal/admin"
)

// TestOAuthGoLibraries: coreos/go-oidc and golang.org/x/oauth2 find what they
// expect: discovery, code with PKCE, verification, refresh, client credentials.
func TestOAuthGoLibraries(t *testing.T) {
	s := serve(t, "")
	id := s.user("", "ann", "user", "read")
	ctx := t.Context()
	provider, err := oidc.NewProvider(ctx, s.url)
	if err != nil {
		t.Fatal(err)
	}
	now := func() time.Time { return time.UnixMilli(s.clock.Load()) }
	for _, alg := range []string{"ES256", "RS256", "EdDSA"} {
		for _, auth := range []string{"client_secret_basic", "client_secret_post", "none"} {
			t.Run(alg+" "+auth, func(t *testing.T) {
				c := s.oauthClient(admin.NewOAuthClient{Name: alg, IDTokenAlg: alg, Auth: auth})
				cfg := oauth2.Config{ClientID: c.ID, ClientSecret: c.Secret, Endpoint: provider.Endpoint(), RedirectURL: callback, Scopes: []string{"openid", "read"}}
				code := s.code(c, s.login("ann"), cfg.Scopes...)
				tok, err := cfg.Exchange(ctx, code, oauth2.VerifierOption(verifier))
				if err != nil {
					t.Fatal(err)
				}
				raw, _ := tok.Extra("id_token").(string)
				idToken, err := provider.Verifier(&oidc.Config{ClientID: c.ID, SupportedSigningAlgs: []string{alg}, Now: now}).Verify(ctx, raw)
				if err != nil {
					t.Fatal(err)
				}
				if idToken.Subject != id || idToken.Nonce != "n-1" {
					t.Errorf("id token %+v", idToken)
				}
				if err := idToken.VerifyAccessToken(tok.AccessToken); err != nil {
					t.Error("at_hash:", err)
				}
				_, err = provider.Verifier(&oidc.Config{ClientID: "client_other", SupportedSigningAlgs: []string{alg}, Now: now}).Verify(ctx, raw)
				if err == nil {
					t.Error("an id token is good for another client")
				}
				// The library refreshes when the token is over; then the first
				// refresh token again, as after a lost answer.
				tok.Expiry = time.Now().Add(-time.Hour)
				next, err := cfg.TokenSource(ctx, tok).Token()
				if err != nil {
					t.Fatal(err)
				}
				again, err := cfg.TokenSource(ctx, tok).Token()
				if err != nil {
					t.Fatal(err)
				}
				if next.RefreshToken == tok.RefreshToken || again.RefreshToken != next.RefreshToken {
					t.Error("the refresh token did not rotate, or forked")
				}
				s.do("GET", "/v2/things", next.AccessToken, nil).want(200, "")
			})
		}
	}
	t.Run("client credentials", func(t *testing.T) {
		c := s.machine("read")
		for _, style := range []oauth2.AuthStyle{oauth2.AuthStyleAutoDetect, oauth2.AuthStyleInHeader} {
			cfg := clientcredentials.Config{ClientID: c.ID, ClientSecret: c.Secret, TokenURL: provider.Endpoint().TokenURL, AuthStyle: style, Scopes: []string{"read"}}
			res, err := cfg.Client(context.WithoutCancel(ctx)).Get(s.url + "/v2/things")
			if err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close()
			if res.StatusCode != http.StatusOK {
				t.Errorf("style %d: status %d", style, res.StatusCode)
			}
		}
		cfg := clientcredentials.Config{ClientID: c.ID, ClientSecret: "wrong", TokenURL: provider.Endpoint().TokenURL, AuthStyle: oauth2.AuthStyleInHeader, EndpointParams: url.Values{}}
		_, err := cfg.Token(ctx)
		var refused *oauth2.RetrieveError
		if !errors.As(err, &refused) || refused.ErrorCode != "invalid_client" || refused.Response.StatusCode != 401 {
			t.Errorf("a wrong secret: %v", err)
		}
	})
}
