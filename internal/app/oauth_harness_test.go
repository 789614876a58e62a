package app_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/core/authserver"
)

// verifier is the PKCE code_verifier of the tests (RFC 7636 appendix B).
const verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"

const callback = "https://app.example/callback"

func challengeOf(v string) string {
	sum := sha256.Sum256([]byte(v))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// oauthClient registers a client. Without grants it is one that logs users in.
func (s *server) oauthClient(in admin.NewOAuthClient) *admin.OAuthClient {
	s.t.Helper()
	if in.Name == "" {
		in.Name = "app"
	}
	if in.Grants == nil {
		in.Grants = []string{core.GrantCode, core.GrantRefresh}
	}
	if in.RedirectURIs == nil {
		in.RedirectURIs = []string{callback}
	}
	if in.Scopes == nil {
		in.Scopes = []string{"openid", "profile", "email", "offline_access", "read", "write"}
	}
	var out admin.OAuthClient
	if err := s.admin.Post(s.t.Context(), "/clients", in, &out); err != nil {
		s.t.Fatal(err)
	}
	return &out
}

// machine registers a client that speaks for itself.
func (s *server) machine(scopes ...string) *admin.OAuthClient {
	s.t.Helper()
	return s.oauthClient(admin.NewOAuthClient{Name: "machine", Grants: []string{core.GrantCredentials}, Scopes: scopes})
}

// login is a browser login by the tests' password.
func (s *server) login(name string) *authserver.BrowserLogin {
	s.t.Helper()
	b, err := s.app.AuthServer().LoginBrowser(s.t.Context(), &core.LoginRequest{Username: name, Password: password})
	if err != nil {
		s.t.Fatal(err)
	}
	return b
}

// code is an authorization code as the authorization endpoint gives it.
func (s *server) code(c *admin.OAuthClient, b *authserver.BrowserLogin, scope ...string) string {
	s.t.Helper()
	svc := s.app.AuthServer()
	rec, err := svc.FindClient(s.t.Context(), c.ID)
	if err != nil {
		s.t.Fatal(err)
	}
	scope, err = authserver.AllowedScope(&rec.OAuthClient, scope, b.Subject.Roles, false)
	if err != nil {
		s.t.Fatal(err)
	}
	code, err := svc.IssueCode(s.t.Context(), &authserver.CodeRequest{
		Client: rec, Browser: b, RedirectURI: callback, Challenge: challengeOf(verifier), Nonce: "n-1", Scope: scope,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return code
}

// post sends a form to an OAuth endpoint; a client with a secret authenticates
// by Basic, a public one by its id. nil sends no client.
func (s *server) post(path string, c *admin.OAuthClient, form url.Values) *answer {
	s.t.Helper()
	return s.send(s.request(path, c, form))
}

func (s *server) request(path string, c *admin.OAuthClient, form url.Values) *http.Request {
	s.t.Helper()
	f := url.Values{}
	for k, v := range form {
		f[k] = v
	}
	if c != nil && c.Secret == "" && c.Auth == "none" {
		f.Set("client_id", c.ID)
	}
	req, err := http.NewRequestWithContext(s.t.Context(), "POST", s.url+path, strings.NewReader(f.Encode()))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if c != nil && c.Secret != "" {
		req.SetBasicAuth(url.QueryEscape(c.ID), url.QueryEscape(c.Secret))
	}
	return req
}

func (s *server) token(c *admin.OAuthClient, pairs ...string) *answer {
	s.t.Helper()
	return s.post("/oauth2/token", c, form(pairs...))
}

func form(pairs ...string) url.Values {
	f := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		f.Add(pairs[i], pairs[i+1])
	}
	return f
}

// redeem presents a code.
func (s *server) redeem(c *admin.OAuthClient, code string) *answer {
	s.t.Helper()
	return s.token(c, "grant_type", "authorization_code", "code", code, "redirect_uri", callback, "code_verifier", verifier)
}

func (s *server) refreshOAuth(c *admin.OAuthClient, tok string, more ...string) *answer {
	s.t.Helper()
	return s.token(c, append([]string{"grant_type", "refresh_token", "refresh_token", tok}, more...)...)
}

// session logs a user in through a client and gives the answer of the token
// endpoint.
func (s *server) session(c *admin.OAuthClient, user string, scope ...string) *answer {
	s.t.Helper()
	return s.redeem(c, s.code(c, s.login(user), scope...)).want(200, "")
}

// introspect asks about a token.
func (s *server) introspect(c *admin.OAuthClient, tok string) *answer {
	s.t.Helper()
	return s.post("/oauth2/introspect", c, form("token", tok))
}

const inactive = `{"active":false}`

// isError checks the shape of RFC 6749 section 5.2.
func (a *answer) isError(status int, name string) *answer {
	a.t.Helper()
	if a.status != status || a.body["error"] != name {
		a.t.Fatalf("status %d %s, want %d %s", a.status, a.raw, status, name)
	}
	if a.header.Get("Cache-Control") != "no-store" {
		a.t.Errorf("%s: Cache-Control is %q", name, a.header.Get("Cache-Control"))
	}
	if status == 401 && !strings.HasPrefix(a.header.Get("WWW-Authenticate"), "Basic ") {
		a.t.Errorf("401 with WWW-Authenticate %q", a.header.Get("WWW-Authenticate"))
	}
	return a
}

// unsigned gives header and claims of a token, unverified.
func unsigned(t *testing.T, tok string) (header, claims map[string]any) {
	t.Helper()
	parts := strings.Split(tok, ".")
	if len(parts) != 3 {
		t.Fatalf("%q is no token", tok)
	}
	for i, into := range []*map[string]any{&header, &claims} {
		raw, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(raw, into); err != nil {
			t.Fatal(err)
		}
	}
	return header, claims
}
