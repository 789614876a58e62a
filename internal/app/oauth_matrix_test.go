package app_test

import (
	"net/url"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/core/authserver"
)

// coreClient is a caller without an address.
var coreClient core.Client

// TestSecurity09_KindTimesEndpoint holds every kind of token against every endpoint: only the
// diagonal is accepted. Each token is made anew for each endpoint, so that one
// that is spent or revoked cannot hide an acceptance.
func TestSecurity09_KindTimesEndpoint(t *testing.T) {
	s := serve(t, "")
	id := s.user("", "ann", "application", "read")
	key := newSigner(t)
	c := s.oauthClient(admin.NewOAuthClient{Grants: []string{core.GrantCode, core.GrantRefresh, core.GrantExchange}})
	other := s.oauthClient(admin.NewOAuthClient{Name: "signer", Auth: "private_key_jwt", JWKS: key.set, Grants: []string{core.GrantCredentials, core.GrantAssertion}})
	rs := s.machine()
	vendorLogin := func() *answer {
		return s.do("POST", "/api/users/login", "", map[string]string{"username": "ann", "password": password}).want(200, "")
	}
	n := 0
	kinds := map[string]func() string{
		"access":  func() string { return s.session(c, "ann", "openid", "read").text("access_token") },
		"refresh": func() string { return s.session(c, "ann", "openid", "read").text("refresh_token") },
		"id":      func() string { return s.session(c, "ann", "openid", "read").text("id_token") },
		"code":    func() string { return s.code(c, s.login("ann"), "openid") },
		"cookie":  func() string { return s.login("ann").Cookie },
		"machine": func() string { return s.token(rs, "grant_type", "client_credentials").text("access_token") },
		"assertion": func() string {
			n++
			return key.sign(t, map[string]any{"iss": other.ID, "sub": other.ID, "aud": s.url, "exp": s.clock.Load()/1000 + 60, "jti": itoa(int64(n))})
		},
		"contract access":  func() string { return vendorLogin().text("accessToken") },
		"contract refresh": func() string { return vendorLogin().text("refreshToken") },
	}
	application := s.do("POST", "/api/users/application-token", vendorLogin().text("refreshToken"), nil).want(200, "").text("token")
	kinds["application"] = func() string { return application }
	oauth := func(client *admin.OAuthClient, pairs ...string) func(string) bool {
		return func(tok string) bool {
			f := url.Values{}
			for i := 0; i < len(pairs); i += 2 {
				v := pairs[i+1]
				if v == "TOKEN" {
					v = tok
				}
				f.Set(pairs[i], v)
			}
			return s.post("/oauth2/token", client, f).status == 200
		}
	}
	bearer := func(method, path string) func(string) bool {
		return func(tok string) bool { return s.do(method, path, tok, nil).status == 200 }
	}
	assertionType := "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
	endpoints := map[string]struct {
		accepts func(string) bool
		want    []string
	}{
		"code grant":       {oauth(c, "grant_type", "authorization_code", "code", "TOKEN", "redirect_uri", callback, "code_verifier", verifier), []string{"code"}},
		"refresh grant":    {oauth(c, "grant_type", "refresh_token", "refresh_token", "TOKEN"), []string{"refresh"}},
		"exchange grant":   {oauth(c, "grant_type", core.GrantExchange, "subject_token", "TOKEN", "subject_token_type", authserver.TypeAccessToken), []string{"access"}},
		"assertion grant":  {oauth(nil, "grant_type", core.GrantAssertion, "assertion", "TOKEN"), []string{"assertion"}},
		"client assertion": {oauth(nil, "grant_type", "client_credentials", "client_assertion_type", assertionType, "client_assertion", "TOKEN"), []string{"assertion"}},
		"client secret":    {oauth(nil, "grant_type", "client_credentials", "client_id", rs.ID, "client_secret", "TOKEN"), nil},
		"introspection":    {func(tok string) bool { return s.introspect(rs, tok).body["active"] == true }, []string{"access", "machine", "contract access", "application"}},
		"gateway":          {bearer("GET", "/api/stations"), []string{"access", "machine", "contract access", "application"}},
		"contract refresh": {bearer("POST", "/api/users/refresh"), []string{"contract refresh"}},
		"contract minting": {bearer("POST", "/api/users/application-token"), []string{"contract refresh"}},
		"request token": {func(tok string) bool {
			return s.do("POST", "/api/v1/auth/token", "", map[string]string{"jwt": tok}).status == 200
		}, nil},
		"pathstack refresh": {func(tok string) bool {
			return s.do("POST", "/refresh", "", map[string]string{"sub": id, "refresh_token": tok}).status == 200
		}, nil},
		"netography refresh": {func(tok string) bool {
			return s.do("POST", "/api/auth/bearer/refresh", "", url.Values{"refresh_token": {tok}}).status == 200
		}, nil},
		"browser": {func(tok string) bool {
			_, err := s.app.AuthServer().Browser(t.Context(), tok, &coreClient)
			return err == nil
		}, []string{"cookie"}},
		"userinfo": {func(tok string) bool {
			p, err := s.app.AuthServer().Access(t.Context(), tok, &coreClient)
			return err == nil && p.Subject.Kind == core.SubjectUser
		}, []string{"access"}},
		"logout hint": {func(tok string) bool {
			_, _, _, err := s.app.AuthServer().IDTokenHint(tok)
			return err == nil
		}, []string{"id"}},
	}
	for name, e := range endpoints {
		for kind, make := range kinds {
			want := false
			for _, k := range e.want {
				want = want || k == kind
			}
			if got := e.accepts(make()); got != want {
				t.Errorf("%s at %s: accepted %v, want %v", kind, name, got, want)
			}
			s.pass(time.Second)
		}
	}
}
