package app_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/sallyport/sallyport/internal/admin"
)

// TestBrowserFlowByLibraries: golang.org/x/oauth2 and coreos/go-oidc, unchanged,
// go through discovery, code with PKCE, id token, refresh, userinfo and logout.
func TestBrowserFlowByLibraries(t *testing.T) {
	for _, alg := range []string{"ES256", "RS256", "EdDSA"} {
		t.Run(alg, func(t *testing.T) {
			s := serve(t, "")
			s.clock.Store(time.Now().UnixMilli()) // go-oidc looks at its own clock
			user := s.user("", "ada", "user", "read")
			after := "https://app.example/bye"
			c := s.oauthClient(admin.NewOAuthClient{IDTokenAlg: alg, PostLogoutRedirectURIs: []string{after}})
			ctx := t.Context()
			provider, err := oidc.NewProvider(ctx, s.url)
			if err != nil {
				t.Fatal(err)
			}
			var meta struct {
				EndSession string   `json:"end_session_endpoint"`
				Methods    []string `json:"code_challenge_methods_supported"`
				Types      []string `json:"response_types_supported"`
				Iss        bool     `json:"authorization_response_iss_parameter_supported"`
			}
			if err := provider.Claims(&meta); err != nil {
				t.Fatal(err)
			}
			if len(meta.Methods) != 1 || meta.Methods[0] != "S256" || len(meta.Types) != 1 || meta.Types[0] != "code" || !meta.Iss {
				t.Errorf("metadata: %+v", meta)
			}
			rp := oauth2.Config{
				ClientID: c.ID, ClientSecret: c.Secret, RedirectURL: callback, Endpoint: provider.Endpoint(),
				Scopes: []string{"openid", "profile", "email", "read"},
			}
			pkce := oauth2.GenerateVerifier()
			b := s.browser()
			req, err := http.NewRequestWithContext(ctx, "GET", rp.AuthCodeURL("st-1", oidc.Nonce("n-7"), oauth2.S256ChallengeOption(pkce)), nil)
			if err != nil {
				t.Fatal(err)
			}
			back := b.signIn(isLoginPage(t, b.send(req)), "ada", password).sentTo(callback)
			if back.Get("iss") != s.url || back.Get("state") != "st-1" {
				t.Fatalf("answer %v", back)
			}
			tokens, err := rp.Exchange(ctx, back.Get("code"), oauth2.VerifierOption(pkce))
			if err != nil {
				t.Fatal(err)
			}
			raw, _ := tokens.Extra("id_token").(string)
			id, err := provider.Verifier(&oidc.Config{ClientID: c.ID, SupportedSigningAlgs: []string{alg}}).Verify(ctx, raw)
			if err != nil {
				t.Fatal(err)
			}
			if id.Subject != user || id.Nonce != "n-7" {
				t.Errorf("subject %s, nonce %q", id.Subject, id.Nonce)
			}
			if err := id.VerifyAccessToken(tokens.AccessToken); err != nil {
				t.Errorf("at_hash: %v", err)
			}
			info, err := provider.UserInfo(ctx, rp.TokenSource(ctx, tokens))
			if err != nil {
				t.Fatal(err)
			}
			var claims struct {
				Name string `json:"preferred_username"`
			}
			if err := info.Claims(&claims); err != nil || info.Subject != user || claims.Name != "ada" {
				t.Errorf("userinfo %+v %+v %v", info, claims, err)
			}
			stale := *tokens
			stale.Expiry = time.Now().Add(-time.Minute)
			fresh, err := rp.TokenSource(ctx, &stale).Token()
			if err != nil || fresh.AccessToken == tokens.AccessToken || fresh.RefreshToken == tokens.RefreshToken {
				t.Fatalf("refresh: %v", err)
			}
			bye, err := url.Parse(meta.EndSession)
			if err != nil {
				t.Fatal(err)
			}
			left := b.get(bye.Path, form("id_token_hint", raw, "post_logout_redirect_uri", after, "state", "so-1")).sentTo(after)
			if len(left) != 1 || left.Get("state") != "so-1" {
				t.Errorf("logout answers %v", left)
			}
			if _, err := provider.UserInfo(ctx, oauth2.StaticTokenSource(fresh)); err == nil {
				t.Error("userinfo still answers after the logout")
			}
			s.refreshOAuth(c, fresh.RefreshToken).isError(400, "invalid_grant")
			b.authorize(ask(c, "prompt", "none")).toldError("login_required")
		})
	}
}
