package app_test

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/internal/core"
)

// The tests here cover the behaviour that modules of the OpenID certification
// plans (basic, config, RP-initiated logout) ask for, and carry the modules'
// names (testdata/openid-modules.txt lists all 50). They are not those modules,
// and nothing here was certified. PKCE goes with every request: this server
// takes none without.

// party is a client with somebody logged in at a browser.
type party struct {
	s    *server
	t    *testing.T
	c    *admin.OAuthClient
	b    *browser
	user string
}

const bye = "https://app.example/bye"

func newParty(t *testing.T, in admin.NewOAuthClient) *party {
	t.Helper()
	s := serve(t, "")
	if in.PostLogoutRedirectURIs == nil {
		in.PostLogoutRedirectURIs = []string{bye}
	}
	var u admin.User
	err := s.admin.Post(t.Context(), "/users", map[string]any{
		"username": "ada", "type": "user", "password": password, "email": "ada@example.com", "roles": []string{"read"},
		"attributes": map[string]any{"given_name": "Ada", "family_name": "L", "name": "Ada L", "team": "x"},
	}, &u)
	if err != nil {
		t.Fatal(err)
	}
	return &party{s: s, t: t, c: s.oauthClient(in), b: s.browser(), user: u.ID}
}

// signIn answers the login page that the request leads to and redeems the code.
func (p *party) signIn(pairs ...string) *answer {
	p.t.Helper()
	return p.tokens(p.b.signIn(isLoginPage(p.t, p.b.authorize(ask(p.c, pairs...))), "ada", password))
}

// goOn is a request of a browser that is logged in.
func (p *party) goOn(pairs ...string) *answer {
	p.t.Helper()
	return p.tokens(p.b.authorize(ask(p.c, pairs...)))
}

func (p *party) tokens(a *answer) *answer {
	p.t.Helper()
	return p.s.redeem(p.c, a.code()).want(200, "")
}

func (p *party) claims(tokens *answer) map[string]any {
	p.t.Helper()
	_, claims := unsigned(p.t, tokens.text("id_token"))
	if claims["sub"] != p.user || claims["aud"] != p.c.ID || claims["iss"] != p.s.url {
		p.t.Fatalf("id token %v", claims)
	}
	return claims
}

func (p *party) userinfo(tokens *answer) *answer {
	p.t.Helper()
	return p.s.do("GET", "/oauth2/userinfo", tokens.text("access_token"), nil).want(200, "")
}

// TestCoversBasic covers modules of oidcc-basic-certification-test-plan.
func TestCoversBasic(t *testing.T) {
	for name, module := range map[string]func(p *party){
		"oidcc-server": func(p *party) {
			c := p.claims(p.signIn())
			if c["nonce"] != "n-1" || c["at_hash"] == nil || c["auth_time"] == nil {
				p.t.Errorf("id token %v", c)
			}
		},
		"oidcc-response-type-missing": func(p *party) {
			p.b.authorize(ask(p.c, "response_type", "")).toldError("invalid_request")
		},
		"oidcc-userinfo-get": func(p *party) {
			if sub := p.userinfo(p.signIn()).text("sub"); sub != p.user {
				p.t.Errorf("sub %s", sub)
			}
		},
		"oidcc-userinfo-post-header": func(p *party) {
			p.s.do("POST", "/oauth2/userinfo", p.signIn().text("access_token"), nil).want(200, "")
		},
		"oidcc-userinfo-post-body": func(p *party) {
			p.s.post("/oauth2/userinfo", nil, form("access_token", p.signIn().text("access_token"))).want(200, "")
		},
		"oidcc-ensure-request-without-nonce-succeeds-for-code-flow": func(p *party) {
			if c := p.claims(p.signIn("nonce", "")); c["nonce"] != nil {
				p.t.Errorf("nonce %v", c["nonce"])
			}
		},
		"oidcc-scope-profile": func(p *party) {
			a := p.userinfo(p.signIn("scope", "openid profile"))
			if a.text("preferred_username") != "ada" || a.text("given_name") != "Ada" || a.body["updated_at"] == nil || a.body["email"] != nil || a.body["team"] != nil {
				p.t.Errorf("userinfo %s", a.raw)
			}
		},
		"oidcc-scope-email": func(p *party) {
			a := p.userinfo(p.signIn("scope", "openid email"))
			if a.text("email") != "ada@example.com" || a.body["email_verified"] == nil || a.body["preferred_username"] != nil {
				p.t.Errorf("userinfo %s", a.raw)
			}
		},
		"oidcc-scope-address": func(p *party) { p.userinfo(p.signIn("scope", "openid address")).text("sub") },
		"oidcc-scope-phone":   func(p *party) { p.userinfo(p.signIn("scope", "openid phone")).text("sub") },
		"oidcc-scope-all": func(p *party) {
			a := p.userinfo(p.signIn("scope", "openid profile email address phone"))
			if a.text("email") == "" || a.text("name") != "Ada L" {
				p.t.Errorf("userinfo %s", a.raw)
			}
		},
		"oidcc-ensure-other-scope-order-succeeds": func(p *party) { p.claims(p.signIn("scope", "email openid")) },
		"oidcc-display-page":                      func(p *party) { p.claims(p.signIn("display", "page")) },
		"oidcc-display-popup":                     func(p *party) { p.claims(p.signIn("display", "popup")) },
		"oidcc-prompt-login": func(p *party) {
			first := p.claims(p.signIn())
			p.s.pass(2 * time.Second)
			if second := p.claims(p.signIn("prompt", "login")); second["auth_time"].(float64) <= first["auth_time"].(float64) {
				p.t.Errorf("auth_time %v after %v", second["auth_time"], first["auth_time"])
			}
		},
		"oidcc-prompt-none-not-logged-in": func(p *party) {
			p.b.authorize(ask(p.c, "prompt", "none")).toldError("login_required")
		},
		"oidcc-prompt-none-logged-in": func(p *party) {
			first := p.claims(p.signIn())
			p.s.pass(2 * time.Second)
			if second := p.claims(p.goOn("prompt", "none")); second["auth_time"] != first["auth_time"] {
				p.t.Errorf("auth_time %v after %v", second["auth_time"], first["auth_time"])
			}
		},
		"oidcc-max-age-1": func(p *party) {
			first := p.claims(p.signIn())
			p.s.pass(2 * time.Second)
			p.b.authorize(ask(p.c, "max_age", "1", "prompt", "none")).toldError("login_required")
			if second := p.claims(p.signIn("max_age", "1")); second["auth_time"].(float64) <= first["auth_time"].(float64) {
				p.t.Errorf("auth_time %v after %v", second["auth_time"], first["auth_time"])
			}
			p.claims(p.signIn("max_age", "0", "prompt", "login"))
		},
		"oidcc-max-age-10000": func(p *party) {
			first := p.claims(p.signIn())
			p.s.pass(2 * time.Second)
			if second := p.claims(p.goOn("max_age", "10000")); second["auth_time"] != first["auth_time"] {
				p.t.Errorf("auth_time %v after %v", second["auth_time"], first["auth_time"])
			}
		},
		"oidcc-ensure-request-with-unknown-parameter-succeeds": func(p *party) { p.claims(p.signIn("extra", "foobar")) },
		"oidcc-id-token-hint": func(p *party) {
			hint := p.signIn().text("id_token")
			p.claims(p.goOn("prompt", "none", "id_token_hint", hint))
			p.s.user("", "eve", "user")
			p.b.signIn(p.b.authorize(ask(p.c, "prompt", "login")), "eve", password).code()
			p.b.authorize(ask(p.c, "prompt", "none", "id_token_hint", hint)).toldError("login_required")
		},
		"oidcc-login-hint": func(p *party) {
			if a := isLoginPage(p.t, p.b.authorize(ask(p.c, "login_hint", `ada"><b>`))); !strings.Contains(a.raw, `value="ada&#34;&gt;&lt;b&gt;"`) {
				p.t.Errorf("the hint is not in %s", a.raw)
			}
			p.claims(p.signIn("login_hint", "ada"))
		},
		"oidcc-ui-locales":                              func(p *party) { p.claims(p.signIn("ui_locales", "se")) },
		"oidcc-claims-locales":                          func(p *party) { p.claims(p.signIn("claims_locales", "se")) },
		"oidcc-ensure-request-with-acr-values-succeeds": func(p *party) { p.claims(p.signIn("acr_values", "1 2")) },
		"oidcc-codereuse": func(p *party) {
			code := p.b.signIn(p.b.authorize(ask(p.c)), "ada", password).code()
			tokens := p.s.redeem(p.c, code).want(200, "")
			p.s.redeem(p.c, code).isError(400, "invalid_grant")
			p.s.do("GET", "/oauth2/userinfo", tokens.text("access_token"), nil).want(401, "")
		},
		"oidcc-codereuse-30seconds": func(p *party) {
			code := p.b.signIn(p.b.authorize(ask(p.c)), "ada", password).code()
			tokens := p.s.redeem(p.c, code).want(200, "")
			p.s.pass(30 * time.Second)
			p.s.redeem(p.c, code).isError(400, "invalid_grant")
			p.s.do("GET", "/oauth2/userinfo", tokens.text("access_token"), nil).want(401, "")
		},
		"oidcc-ensure-registered-redirect-uri": func(p *party) {
			p.b.authorize(ask(p.c, "redirect_uri", callback+"/x")).shown(400, "not registered")
		},
		"oidcc-ensure-post-request-succeeds": func(p *party) {
			p.claims(p.tokens(p.b.signIn(isLoginPage(p.t, p.b.post("/oauth2/authorize", ask(p.c))), "ada", password)))
		},
		"oidcc-unsigned-request-object-supported-correctly-or-rejected-as-unsupported": func(p *party) {
			p.b.authorize(ask(p.c, "request", "eyJhbGciOiJub25lIn0.e30.")).toldError("request_not_supported")
		},
		"oidcc-ensure-request-object-with-redirect-uri": func(p *party) {
			p.b.authorize(ask(p.c, "request", "eyJhbGciOiJub25lIn0.e30.", "request_uri", "https://app.example/r")).toldError("request_not_supported")
		},
		"oidcc-request-uri-unsigned-supported-correctly-or-rejected-as-unsupported": func(p *party) {
			p.b.authorize(ask(p.c, "request_uri", "https://app.example/r.jwt")).toldError("request_uri_not_supported")
		},
		"oidcc-idtoken-unsigned": func(p *party) {
			// "none" is neither offered nor to be had.
			if strings.Contains(fmt.Sprint(p.s.do("GET", "/.well-known/openid-configuration", "", nil).body["id_token_signing_alg_values_supported"]), "none") {
				p.t.Error("the metadata offers unsigned id tokens")
			}
			in := admin.NewOAuthClient{Name: "x", IDTokenAlg: "none", Grants: []string{core.GrantCode}, RedirectURIs: []string{callback}}
			if err := p.s.admin.Post(p.t.Context(), "/clients", in, nil); err == nil {
				p.t.Error("a client may ask for unsigned id tokens")
			}
			if header, _ := unsigned(p.t, p.signIn().text("id_token")); header["alg"] == "none" {
				p.t.Errorf("header %v", header)
			}
		},
		"oidcc-claims-essential": func(p *party) { p.claims(p.signIn("claims", `{"userinfo":{"name":{"essential":true}}}`)) },
		"oidcc-refresh-token": func(p *party) {
			tokens := p.signIn()
			p.claims(p.s.refreshOAuth(p.c, tokens.text("refresh_token")).want(200, ""))
		},
		"oidcc-ensure-request-with-valid-pkce-succeeds": func(p *party) {
			code := p.b.signIn(p.b.authorize(ask(p.c)), "ada", password).code()
			p.s.token(p.c, "grant_type", "authorization_code", "code", code, "redirect_uri", callback, "code_verifier", strings.Repeat("x", 43)).isError(400, "invalid_grant")
			p.s.redeem(p.c, code).want(200, "")
		},
	} {
		t.Run(name, func(t *testing.T) { module(newParty(t, admin.NewOAuthClient{})) })
	}
	t.Run("oidcc-idtoken-signature", func(t *testing.T) {
		p := newParty(t, admin.NewOAuthClient{IDTokenAlg: "RS256"})
		raw := p.signIn().text("id_token")
		if header, _ := unsigned(t, raw); header["alg"] != "RS256" || header["kid"] == nil {
			t.Errorf("header %v", header)
		}
		provider, err := oidc.NewProvider(t.Context(), p.s.url)
		if err != nil {
			t.Fatal(err)
		}
		now := func() time.Time { return time.UnixMilli(p.s.clock.Load()) }
		if _, err := provider.Verifier(&oidc.Config{ClientID: p.c.ID, SupportedSigningAlgs: []string{"RS256"}, Now: now}).Verify(t.Context(), raw); err != nil {
			t.Error(err)
		}
	})
	t.Run("oidcc-server-client-secret-post", func(t *testing.T) {
		p := newParty(t, admin.NewOAuthClient{IDTokenAlg: "RS256", Auth: "client_secret_post"})
		code := p.b.signIn(p.b.authorize(ask(p.c)), "ada", password).code()
		p.claims(p.s.post("/oauth2/token", nil, form("grant_type", "authorization_code", "code", code, "redirect_uri", callback,
			"code_verifier", verifier, "client_id", p.c.ID, "client_secret", p.c.Secret)).want(200, ""))
	})
}

// TestCoversEveryModule: each module of the three plans has its test.
func TestCoversEveryModule(t *testing.T) {
	list, err := os.ReadFile(filepath.Join("testdata", "openid-modules.txt"))
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("oauth_certification_test.go")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(list)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		n++
		_, module, _ := strings.Cut(strings.TrimSpace(line), " ")
		name := regexp.QuoteMeta(`"` + module + `"`)
		if !regexp.MustCompile(`(?m)^\s+(t\.Run\(` + name + `,|` + name + `:)`).Match(source) {
			t.Errorf("no test covers %s", module)
		}
	}
	if n != 50 {
		t.Errorf("%d modules are listed, want 50", n)
	}
}

// TestCoversConfig covers oidcc-config-certification-test-plan and the
// discovery module of the logout plan.
func TestCoversConfig(t *testing.T) {
	s := serve(t, "")
	a := s.do("GET", "/.well-known/openid-configuration", "", nil).want(200, "")
	t.Run("oidcc-discovery-endpoint-verification", func(t *testing.T) {
		for _, name := range []string{"authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri"} {
			u, err := url.Parse(a.text(name))
			if err != nil || !strings.HasPrefix(a.text(name), s.url) {
				t.Fatalf("%s is %v", name, a.body[name])
			}
			if r := s.do("GET", u.Path, "", nil); r.status == http.StatusNotFound {
				t.Errorf("%s: there is nothing", name)
			}
		}
		for name, want := range map[string]string{
			"response_types_supported": "code", "subject_types_supported": "public", "id_token_signing_alg_values_supported": "RS256",
			"scopes_supported": "openid", "code_challenge_methods_supported": "S256",
		} {
			if list, ok := a.body[name].([]any); !ok || !slices.Contains(list, any(want)) {
				t.Errorf("%s is %v, want %s in it", name, a.body[name], want)
			}
		}
		if a.text("issuer") != s.url || a.body["request_uri_parameter_supported"] != false || a.body["authorization_response_iss_parameter_supported"] != true {
			t.Errorf("metadata %s", a.raw)
		}
	})
	t.Run("oidcc-rp-initiated-logout-discovery-endpoint-verification", func(t *testing.T) {
		if a.text("end_session_endpoint") != s.url+"/oauth2/logout" {
			t.Errorf("end_session_endpoint %s", a.text("end_session_endpoint"))
		}
	})
}

// TestCoversLogout covers modules of oidcc-rp-initiated-logout-certification-test-plan.
func TestCoversLogout(t *testing.T) {
	const path = "/oauth2/logout"
	out := func(p *party, tokens *answer) {
		p.t.Helper()
		p.b.authorize(ask(p.c, "prompt", "none")).toldError("login_required")
		p.s.refreshOAuth(p.c, tokens.text("refresh_token")).isError(400, "invalid_grant")
		p.s.do("GET", "/oauth2/userinfo", tokens.text("access_token"), nil).want(401, "")
	}
	in := func(p *party) {
		p.t.Helper()
		p.goOn("prompt", "none")
	}
	confirm := func(p *party, a *answer) *answer {
		p.t.Helper()
		in(p)
		f := a.fields("/oauth2/logout/confirm")
		f.Set("decision", "leave")
		return p.b.post("/oauth2/logout/confirm", f)
	}
	for name, module := range map[string]func(p *party, tokens *answer, hint string){
		"oidcc-rp-initiated-logout": func(p *party, tokens *answer, hint string) {
			if q := p.b.get(path, form("id_token_hint", hint, "post_logout_redirect_uri", bye, "state", "s1")).sentTo(bye); q.Get("state") != "s1" {
				p.t.Errorf("state %v", q)
			}
			out(p, tokens)
		},
		"oidcc-rp-initiated-logout by POST": func(p *party, tokens *answer, hint string) {
			p.b.post(path, form("id_token_hint", hint, "post_logout_redirect_uri", bye, "state", "s1")).sentTo(bye)
			out(p, tokens)
		},
		"oidcc-rp-initiated-logout with an old hint": func(p *party, tokens *answer, hint string) {
			p.s.pass(time.Hour)
			p.b.get(path, form("id_token_hint", hint, "post_logout_redirect_uri", bye)).sentTo(bye)
			out(p, tokens)
		},
		"oidcc-rp-initiated-logout-bad-post-logout-redirect-uri": func(p *party, _ *answer, hint string) {
			p.b.get(path, form("id_token_hint", hint, "post_logout_redirect_uri", "https://evil.example/")).shown(400, "not registered")
			in(p)
		},
		"oidcc-rp-initiated-logout-query-added-to-post-logout-redirect-uri": func(p *party, _ *answer, hint string) {
			p.b.get(path, form("id_token_hint", hint, "post_logout_redirect_uri", bye+"?foo=bar")).shown(400, "not registered")
			in(p)
		},
		"oidcc-rp-initiated-logout-modified-id-token-hint": func(p *party, _ *answer, hint string) {
			header, rest, _ := strings.Cut(hint, ".")
			_, sig, _ := strings.Cut(rest, ".")
			p.b.get(path, form("id_token_hint", header+".eyJzdWIiOiJ4In0."+sig, "post_logout_redirect_uri", bye)).shown(400, "id_token_hint")
			in(p)
		},
		"oidcc-rp-initiated-logout-bad-id-token-hint": func(p *party, tokens *answer, _ string) {
			for _, bad := range []string{"x", "a.b.c", tokens.text("access_token"), tokens.text("refresh_token")} {
				p.b.get(path, form("id_token_hint", bad, "post_logout_redirect_uri", bye)).shown(400, "id_token_hint")
			}
			in(p)
		},
		"oidcc-rp-initiated-logout-no-id-token-hint": func(p *party, tokens *answer, _ string) {
			p.b.get(path, form("post_logout_redirect_uri", bye, "state", "s1")).shown(400, "did not say which")
			confirm(p, p.b.get(path, form("post_logout_redirect_uri", bye, "client_id", p.c.ID, "state", "s1"))).sentTo(bye)
			out(p, tokens)
		},
		"oidcc-rp-initiated-logout-no-params": func(p *party, tokens *answer, _ string) {
			confirm(p, p.b.get(path, nil)).shown(200, "You are signed out")
			out(p, tokens)
		},
		"oidcc-rp-initiated-logout-no-post-logout-redirect-uri": func(p *party, tokens *answer, hint string) {
			p.b.get(path, form("id_token_hint", hint, "state", "s1")).shown(200, "You are signed out")
			out(p, tokens)
		},
		"oidcc-rp-initiated-logout-no-state": func(p *party, tokens *answer, hint string) {
			if q := p.b.get(path, form("id_token_hint", hint, "post_logout_redirect_uri", bye)).sentTo(bye); len(q) != 0 {
				p.t.Errorf("answer %v", q)
			}
			out(p, tokens)
		},
		"oidcc-rp-initiated-logout-only-state": func(p *party, tokens *answer, _ string) {
			confirm(p, p.b.get(path, form("state", "s1"))).shown(200, "You are signed out")
			out(p, tokens)
		},
		"stay": func(p *party, _ *answer, _ string) {
			f := p.b.get(path, nil).fields("/oauth2/logout/confirm")
			p.b.post("/oauth2/logout/confirm", f).shown(200, "still signed in")
			in(p)
			f.Set("decision", "leave")
			f.Set("csrf", "x")
			p.b.post("/oauth2/logout/confirm", f).shown(403, "out of date")
			in(p)
		},
		"hint of somebody else": func(p *party, tokens *answer, hint string) {
			p.s.user("", "eve", "user")
			p.b.signIn(p.b.authorize(ask(p.c, "prompt", "login")), "eve", password).code()
			confirm(p, p.b.get(path, form("id_token_hint", hint, "post_logout_redirect_uri", bye))).sentTo(bye)
			out(p, tokens)
		},
		"hint from another browser": func(p *party, tokens *answer, hint string) {
			p.s.browser().get(path, form("id_token_hint", hint, "post_logout_redirect_uri", bye)).sentTo(bye)
			p.s.refreshOAuth(p.c, tokens.text("refresh_token")).isError(400, "invalid_grant")
		},
		"hint of another client": func(p *party, _ *answer, hint string) {
			other := p.s.oauthClient(admin.NewOAuthClient{Name: "other", PostLogoutRedirectURIs: []string{"https://other.example/bye"}})
			p.b.get(path, form("id_token_hint", hint, "client_id", other.ID)).shown(400, "another application")
			p.b.get(path, form("id_token_hint", hint, "post_logout_redirect_uri", "https://other.example/bye")).shown(400, "not registered")
			in(p)
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newParty(t, admin.NewOAuthClient{})
			tokens := p.signIn()
			module(p, tokens, tokens.text("id_token"))
		})
	}
}
