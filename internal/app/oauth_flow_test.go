package app_test

import (
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/core/authserver"
)

// TestOAuthCodeFlow follows a user's session from the code on: tokens, the API
// behind the gateway, refreshes, a lost answer, reuse.
func TestOAuthCodeFlow(t *testing.T) {
	s := serve(t, "")
	id := s.user("", "ann", "user", "read")
	c := s.oauthClient(admin.NewOAuthClient{})
	a := s.session(c, "ann", "openid", "profile", "read", "write")
	if a.header.Get("Cache-Control") != "no-store" || a.body["token_type"] != "Bearer" || a.body["expires_in"] != 900.0 {
		t.Errorf("the answer is %v %s", a.header, a.raw)
	}
	// write is no role of ann's, so it is no scope of hers.
	if a.text("scope") != "openid profile read" {
		t.Errorf("scope %q", a.text("scope"))
	}
	h, cl := unsigned(t, a.text("access_token"))
	if h["typ"] != "at+jwt" || h["alg"] != "ES256" || cl["sub"] != id || cl["client_id"] != c.ID || cl["aud"] != s.url ||
		cl["iss"] != s.url || cl["acct"] != "ac_default" || cl["scope"] != "openid profile read" || cl["auth_time"] != float64(start/1000) || cl["jti"] == "" {
		t.Errorf("access token %v %v", h, cl)
	}
	h, cl = unsigned(t, a.text("id_token"))
	if h["alg"] != "ES256" || cl["sub"] != id || cl["aud"] != c.ID || cl["nonce"] != "n-1" || cl["auth_time"] != float64(start/1000) || cl["at_hash"] == "" {
		t.Errorf("id token %v %v", h, cl)
	}
	s.do("GET", "/v2/things", a.text("access_token"), nil).want(200, `{"user":"ann","account":"default","path":"/v2/things"}`)

	s.pass(15 * time.Minute)
	expired := s.do("GET", "/v2/things", a.text("access_token"), nil).want(401, "")
	if !strings.Contains(expired.header.Get("WWW-Authenticate"), `error="invalid_token"`) {
		t.Errorf("an expired token is refused with %q %s", expired.header.Get("WWW-Authenticate"), expired.raw)
	}
	b := s.refreshOAuth(c, a.text("refresh_token")).want(200, "")
	if b.text("refresh_token") == a.text("refresh_token") || b.text("scope") != "openid profile read" {
		t.Errorf("the refresh answers %s", b.raw)
	}
	if _, cl := unsigned(t, b.text("id_token")); cl["nonce"] != nil || cl["auth_time"] != float64(start/1000) {
		t.Errorf("id token of a refresh: %v", cl)
	}
	s.do("GET", "/v2/things", b.text("access_token"), nil).want(200, "")

	// A lost answer: the same refresh token again.
	s.pass(time.Minute)
	again := s.refreshOAuth(c, a.text("refresh_token")).want(200, "")
	if again.text("refresh_token") != b.text("refresh_token") {
		t.Error("a lost answer got another refresh token")
	}
	s.pass(time.Minute)
	s.refreshOAuth(c, a.text("refresh_token")).isError(400, "invalid_grant")
	// It was reuse: everything of the session is over.
	s.refreshOAuth(c, b.text("refresh_token")).isError(400, "invalid_grant")
	s.do("GET", "/v2/things", again.text("access_token"), nil).want(401, "")
}

// TestOAuthSameSubject: a user of a vendor's contract is the same subject in
// OAuth, and a session crosses neither mounts nor clients.
func TestOAuthSameSubject(t *testing.T) {
	s := serve(t, "")
	id := s.user("", "ann", "user", "read")
	c, other := s.oauthClient(admin.NewOAuthClient{}), s.oauthClient(admin.NewOAuthClient{Name: "other"})
	vendor := s.do("POST", "/token", "", map[string]string{"username": "ann", "password": password}).want(200, "")
	a := s.session(c, "ann", "openid")
	_, cl := unsigned(t, a.text("id_token"))
	if vendor.text("data", "sub") != id || cl["sub"] != id {
		t.Errorf("subjects %q, %v, %q", vendor.text("data", "sub"), cl["sub"], id)
	}
	s.refreshOAuth(c, vendor.text("data", "refresh_token")).isError(400, "invalid_grant")
	s.refreshOAuth(other, a.text("refresh_token")).isError(400, "invalid_grant")
	if r := s.do("POST", "/refresh", "", map[string]string{"sub": id, "refresh_token": a.text("refresh_token")}); r.status != 401 {
		t.Errorf("the contract answered a refresh token of OAuth: %d %s", r.status, r.raw)
	}
	// Nothing moved: both go on, the client's with the first token.
	s.pass(time.Hour)
	s.refreshOAuth(c, a.text("refresh_token")).want(200, "")
	s.do("POST", "/refresh", "", map[string]string{"sub": id, "refresh_token": vendor.text("data", "refresh_token")}).want(200, "")

	// What ends the user ends both.
	s.act("/users/"+id+"/disable", nil)
	s.do("GET", "/v2/things", a.text("access_token"), nil).want(401, "")
	s.refreshOAuth(c, a.text("refresh_token")).isError(400, "invalid_grant")
}

// TestOAuthMachines: client credentials, and what ends them.
func TestOAuthMachines(t *testing.T) {
	s := serve(t, "")
	c := s.machine("read", "write")
	get := func(pairs ...string) *answer {
		return s.token(c, append([]string{"grant_type", "client_credentials"}, pairs...)...)
	}
	a := get().want(200, "")
	if a.text("scope") != "read write" || a.body["refresh_token"] != nil || a.body["id_token"] != nil {
		t.Errorf("the answer is %s", a.raw)
	}
	_, cl := unsigned(t, a.text("access_token"))
	if cl["sub"] != c.ID || cl["client_id"] != c.ID || cl["auth_time"] != nil {
		t.Errorf("claims %v", cl)
	}
	if get("scope", "read").want(200, "").text("scope") != "read" {
		t.Error("a narrower scope was not given")
	}
	get("scope", "admin").isError(400, "invalid_scope")
	get("audience", "https://elsewhere.example").isError(400, "invalid_target")
	s.do("GET", "/v2/things", a.text("access_token"), nil).want(200, `{"user":"machine","account":"default","path":"/v2/things"}`)
	s.act("/clients/"+c.ID+"/disable", nil)
	s.do("GET", "/v2/things", a.text("access_token"), nil).want(401, "")
	get().isError(401, "invalid_client")
	// Enabled again, the old token stays dead.
	s.act("/clients/"+c.ID+"/enable", nil)
	s.do("GET", "/v2/things", a.text("access_token"), nil).want(401, "")
	s.do("GET", "/v2/things", get().text("access_token"), nil).want(200, "")
}

// TestOAuthExchange narrows tokens and never widens them.
func TestOAuthExchange(t *testing.T) {
	s := serve(t, "")
	s.user("", "ann", "user", "read", "write")
	api := "https://api.example"
	c := s.oauthClient(admin.NewOAuthClient{
		Grants: []string{core.GrantCode, core.GrantRefresh, core.GrantExchange}, Audiences: []string{s.url, api},
	})
	a := s.session(c, "ann", "read", "write")
	exchange := func(subject string, pairs ...string) *answer {
		return s.token(c, append([]string{
			"grant_type", core.GrantExchange, "subject_token", subject, "subject_token_type", authserver.TypeAccessToken,
		}, pairs...)...)
	}
	s.pass(5 * time.Minute)
	b := exchange(a.text("access_token"), "scope", "read", "audience", s.url).want(200, "")
	if b.text("scope") != "read" || b.text("issued_token_type") != authserver.TypeAccessToken || b.body["expires_in"] != 600.0 || b.body["refresh_token"] != nil {
		t.Errorf("the answer is %s", b.raw)
	}
	_, cl := unsigned(t, b.text("access_token"))
	if cl["aud"] != s.url || cl["scope"] != "read" {
		t.Errorf("claims %v", cl)
	}
	s.do("GET", "/v2/things", b.text("access_token"), nil).want(200, "")
	// A token for the other API alone opens nothing here.
	elsewhere := exchange(a.text("access_token"), "resource", api).want(200, "").text("access_token")
	s.do("GET", "/v2/things", elsewhere, nil).want(401, "")

	exchange(b.text("access_token"), "scope", "read").isError(400, "invalid_request")
	exchange(a.text("access_token"), "scope", "read admin").isError(400, "invalid_scope")
	exchange(a.text("access_token"), "audience", "https://elsewhere.example").isError(400, "invalid_target")
	exchange(a.text("refresh_token")).isError(400, "invalid_request")
	exchange("nonsense").isError(400, "invalid_request")
	exchange(a.text("access_token"), "actor_token", "x").isError(400, "invalid_request")
	stranger := s.oauthClient(admin.NewOAuthClient{Name: "stranger", Grants: []string{core.GrantCode, core.GrantExchange}})
	s.token(stranger, "grant_type", core.GrantExchange, "subject_token", a.text("access_token"), "subject_token_type", authserver.TypeAccessToken).
		isError(400, "invalid_request")

	// The narrow one dies with the one it came from.
	s.post("/oauth2/revoke", c, form("token", a.text("access_token"))).want(200, "")
	s.do("GET", "/v2/things", b.text("access_token"), nil).want(401, "")
	s.introspect(c, b.text("access_token")).want(200, inactive)
}

// TestOAuthResource: the audience narrows by code and refresh, for that access
// token alone.
func TestOAuthResource(t *testing.T) {
	s := serve(t, "")
	s.user("", "ann", "user")
	api := "https://api.example"
	c := s.oauthClient(admin.NewOAuthClient{Audiences: []string{s.url, api}})
	aud := func(a *answer) any {
		t.Helper()
		_, cl := unsigned(t, a.want(200, "").text("access_token"))
		return cl["aud"]
	}
	code := s.code(c, s.login("ann"))
	redeem := func(more ...string) *answer {
		return s.token(c, append([]string{"grant_type", "authorization_code", "code", code, "redirect_uri", callback, "code_verifier", verifier}, more...)...)
	}
	redeem("resource", "https://other.example").isError(400, "invalid_target")
	a := redeem("resource", api)
	if aud(a) != api {
		t.Errorf("by code: %v", aud(a))
	}
	s.do("GET", "/v2/things", a.text("access_token"), nil).want(401, "")
	s.refreshOAuth(c, a.text("refresh_token"), "resource", "https://other.example").isError(400, "invalid_target")
	b := s.refreshOAuth(c, a.text("refresh_token"), "resource", s.url)
	if aud(b) != s.url {
		t.Errorf("by refresh: %v", aud(b))
	}
	both, ok := aud(s.refreshOAuth(c, b.text("refresh_token"))).([]any)
	if !ok || len(both) != 2 {
		t.Errorf("without a word: %v", both)
	}
}

// TestOAuthOff: a deployment that wants none of it keeps its paths.
func TestOAuthOff(t *testing.T) {
	s := serve(t, "oauth:\n  enabled: false\ngateway:\n  rules: [{prefix: /, access: public}]\n")
	s.do("GET", "/.well-known/openid-configuration", "", nil).want(200, `{"user":"","account":"","path":"/.well-known/openid-configuration"}`)
	s.do("POST", "/oauth2/token", "", form("grant_type", "client_credentials")).want(200, "")
}

// TestOAuthLiveScope: a role or scope taken away is missed at once where it is
// asked for, and comes back with it; nothing ever widens.
func TestOAuthLiveScope(t *testing.T) {
	s := serve(t, "")
	id := s.user("", "ann", "user", "read", "write")
	c := s.oauthClient(admin.NewOAuthClient{})
	a := s.session(c, "ann", "read", "write")
	patch := func(path string, in any) {
		t.Helper()
		if err := s.admin.Do(t.Context(), "PATCH", path, nil, in, nil); err != nil {
			t.Fatal(err)
		}
	}
	patch("/users/"+id, map[string]any{"roles": []string{"read", "admin"}})
	if got := s.introspect(c, a.text("access_token")).text("scope"); got != "read" {
		t.Errorf("scope of the old token: %q", got)
	}
	a = s.refreshOAuth(c, a.text("refresh_token")).want(200, "")
	if a.text("scope") != "read" {
		t.Errorf("scope after the refresh: %q", a.text("scope"))
	}
	patch("/clients/"+c.ID, map[string]any{"scopes": []string{"write"}})
	patch("/users/"+id, map[string]any{"roles": []string{"read", "write", "admin"}})
	a = s.refreshOAuth(c, a.text("refresh_token")).want(200, "")
	if a.text("scope") != "write" {
		t.Errorf("scope after the second refresh: %q", a.text("scope"))
	}
}

// TestOAuthScopesAreNoRoles: a scope of OpenID Connect opens nothing that a
// rule keeps for a role of the same name.
func TestOAuthScopesAreNoRoles(t *testing.T) {
	s := serve(t, "gateway:\n  rules: [{prefix: /}, {prefix: /profile, roles: [profile]}, {prefix: /read, roles: [read]}]\n")
	s.user("", "ann", "user", "read")
	s.user("", "eve", "user", "profile")
	c := s.oauthClient(admin.NewOAuthClient{})
	ann := s.session(c, "ann", "openid", "profile", "read").text("access_token")
	s.do("GET", "/profile", ann, nil).want(403, "")
	s.do("GET", "/read", ann, nil).want(200, "")
	s.do("GET", "/profile", s.session(c, "eve", "openid", "profile").text("access_token"), nil).want(200, "")
	// Not even a client that registered the word for itself.
	m := s.machine("profile", "read")
	tok := s.token(m, "grant_type", "client_credentials").want(200, "").text("access_token")
	s.do("GET", "/profile", tok, nil).want(403, "")
	s.do("GET", "/read", tok, nil).want(200, "")
}
