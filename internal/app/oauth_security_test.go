package app_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/core/authserver"
)

// The tests of this file carry the numbers of the security requirements that
// they hold.

// TestSecurity15_SubjectsCannotCollide: users are UUIDs, clients client_…, API
// keys key_…, whatever they are called, and that is what their tokens say.
func TestSecurity15_SubjectsCannotCollide(t *testing.T) {
	s := serve(t, "")
	user := s.user("", "ann", "user")
	c := s.machine("read")
	key, err := s.app.Service().CreateAPIKey(t.Context(), operator, core.NewAPIKey{AppName: c.ID})
	if err != nil {
		t.Fatal(err)
	}
	called := s.user("", c.ID, "user") // named like the client
	uuid := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	if !uuid.MatchString(user) || !uuid.MatchString(called) || !strings.HasPrefix(c.ID, "client_") || !strings.HasPrefix(key.Key.ID, "key_") {
		t.Errorf("users %q and %q, client %q, API key %q", user, called, c.ID, key.Key.ID)
	}
	app := s.oauthClient(admin.NewOAuthClient{})
	for want, a := range map[string]*answer{
		user: s.session(app, "ann"), called: s.session(app, c.ID), c.ID: s.token(c, "grant_type", core.GrantCredentials).want(200, ""),
	} {
		if _, cl := unsigned(t, a.text("access_token")); cl["sub"] != want {
			t.Errorf("sub is %v, want %q", cl["sub"], want)
		}
	}
}

// TestSecurity16_RFC9068: the claims and the header of an access token.
func TestSecurity16_RFC9068(t *testing.T) {
	s := serve(t, "")
	s.user("", "ann", "user")
	a := s.session(s.oauthClient(admin.NewOAuthClient{}), "ann")
	h, cl := unsigned(t, a.text("access_token"))
	for _, name := range []string{"iss", "exp", "aud", "sub", "client_id", "iat", "jti", "auth_time", "sid"} {
		if cl[name] == nil {
			t.Errorf("%s is missing in %v", name, cl)
		}
	}
	if h["typ"] != "at+jwt" || h["kid"] == "" {
		t.Errorf("header %v", h)
	}
}

// TestSecurity17_JWKS: public members, unique kid, alg and use, and the keys of
// each id token algorithm once it is needed.
func TestSecurity17_JWKS(t *testing.T) {
	s := serve(t, "")
	for _, alg := range []string{"ES256", "RS256", "EdDSA"} {
		s.oauthClient(admin.NewOAuthClient{Name: alg, IDTokenAlg: alg})
	}
	var set struct{ Keys []map[string]any }
	if err := json.Unmarshal([]byte(s.do("GET", "/.well-known/jwks.json", "", nil).want(200, "").raw), &set); err != nil {
		t.Fatal(err)
	}
	seen, algs := map[any]bool{}, map[any]bool{}
	for _, k := range set.Keys {
		if seen[k["kid"]] || k["kid"] == "" || k["use"] != "sig" || k["d"] != nil || k["k"] != nil || k["kty"] == "oct" {
			t.Errorf("key %v", k)
		}
		seen[k["kid"]], algs[k["alg"]] = true, true
	}
	if !algs["ES256"] || !algs["RS256"] || !algs["EdDSA"] {
		t.Errorf("algorithms %v", algs)
	}
}

// TestSecurity19_IssuerWhateverTheHost: metadata is the configured issuer's,
// and names neither password nor implicit.
func TestSecurity19_IssuerWhateverTheHost(t *testing.T) {
	s := serve(t, "issuer: https://id.example/base\n")
	for _, path := range []string{
		"/.well-known/oauth-authorization-server", "/.well-known/openid-configuration",
		"/.well-known/oauth-authorization-server/base", "/base/.well-known/openid-configuration",
	} {
		req, err := http.NewRequestWithContext(t.Context(), "GET", s.url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = "evil.example"
		a := s.send(req).want(200, "")
		if a.text("issuer") != "https://id.example/base" || a.text("token_endpoint") != "https://id.example/base/oauth2/token" ||
			a.text("jwks_uri") != "https://id.example/base/.well-known/jwks.json" || strings.Contains(a.raw, "evil") {
			t.Errorf("%s: %s", path, a.raw)
		}
		if strings.Contains(a.raw, "password") || strings.Contains(a.raw, "implicit") || strings.Contains(a.raw, `"plain"`) || strings.Contains(a.raw, `"none"]`) && strings.Contains(a.raw, `signing_alg_values_supported":["none"`) {
			t.Errorf("%s lists what is not served: %s", path, a.raw)
		}
		if a.body["authorization_response_iss_parameter_supported"] != true || a.header.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%s: %v %s", path, a.header, a.raw)
		}
	}
	c := s.machine()
	for _, g := range []string{"password", "implicit", "", "x"} {
		want := "unsupported_grant_type"
		if g == "" {
			want = "invalid_request"
		}
		s.token(c, "grant_type", g, "username", "ann", "password", password).isError(400, want)
	}
}

// TestSecurity20_PKCE: S256 for every client, confidential ones too.
func TestSecurity20_PKCE(t *testing.T) {
	s := serve(t, "")
	s.user("", "ann", "user")
	c := s.oauthClient(admin.NewOAuthClient{})
	b := s.login("ann")
	code := s.code(c, b)
	for name, v := range map[string]string{"none": "", "wrong": strings.Repeat("x", 43), "the challenge": challengeOf(verifier), "short": "abc", "long": strings.Repeat("x", 129)} {
		a := s.token(c, "grant_type", "authorization_code", "code", code, "redirect_uri", callback, "code_verifier", v)
		if a.status != 400 {
			t.Errorf("%s: %d %s", name, a.status, a.raw)
		}
	}
	// The code is not spent by refusals: the honest client still gets in.
	s.redeem(c, code).want(200, "")
	rec, err := s.app.AuthServer().FindClient(t.Context(), c.ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, challenge := range []string{"", verifier + "=", strings.Repeat("x", 42), "plain"} {
		_, err := s.app.AuthServer().IssueCode(t.Context(), &authserver.CodeRequest{Client: rec, Browser: b, RedirectURI: callback, Challenge: challenge})
		if core.CodeOf(err) != core.BadRequest {
			t.Errorf("challenge %q: %v", challenge, err)
		}
	}
}

// TestSecurity21_RedirectURI: compared exactly; of loopback the port varies.
func TestSecurity21_RedirectURI(t *testing.T) {
	registered := []string{"https://app.example/cb", "http://127.0.0.1/cb", "http://[::1]:8000/cb?x=1", "com.example.app:/cb", "http://localhost/cb"}
	for uri, want := range map[string]bool{
		"https://app.example/cb": true, "http://127.0.0.1/cb": true, "http://127.0.0.1:49152/cb": true,
		"http://[::1]:1/cb?x=1": true, "com.example.app:/cb": true, "http://localhost/cb": true,
		"https://app.example/cb/": false, "https://app.example/cb?a=b": false, "https://app.example/CB": false,
		"https://app.example:443/cb": false, "https://app.example:8443/cb": false, "http://app.example/cb": false,
		"https://app.example.evil.example/cb": false, "https://evil.example/cb": false, "https://app.example/cb#x": false,
		"https://user@app.example/cb": false, "http://127.0.0.1:1/other": false, "http://127.0.0.2:1/cb": false,
		"http://127.0.0.1:1@evil.example/cb": false, "http://127.0.0.1:99999/cb": false, "http://127.0.0.1:0/cb": false, "https://127.0.0.1:1/cb": false, "http://localhost:1/cb": false,
		"http://[::1]:1/cb": false, "http://[::1]:1/cb?x=2": false, "com.example.app:/cb2": false, "": false,
		"https://app.example/cb\n": false, "https://app.example/%63b": false, "HTTPS://app.example/cb": false,
	} {
		if got := authserver.RedirectAllowed(registered, uri); got != want {
			t.Errorf("%q: %v", uri, got)
		}
	}
	s := serve(t, "")
	s.user("", "ann", "user")
	c := s.oauthClient(admin.NewOAuthClient{})
	code := s.code(c, s.login("ann"))
	s.token(c, "grant_type", "authorization_code", "code", code, "redirect_uri", callback+"/", "code_verifier", verifier).isError(400, "invalid_grant")
	s.redeem(c, code).want(200, "")
}

// TestSecurity22_CodeOnce: a second use ends what the first one gave.
func TestSecurity22_CodeOnce(t *testing.T) {
	s := serve(t, "")
	s.user("", "ann", "user")
	c := s.oauthClient(admin.NewOAuthClient{})
	code := s.code(c, s.login("ann"))
	a := s.redeem(c, code).want(200, "")
	s.do("GET", "/v2/things", a.text("access_token"), nil).want(200, "")
	// Also when the thief has no verifier, and later than the code lives.
	s.pass(5 * time.Minute)
	s.token(c, "grant_type", "authorization_code", "code", code, "redirect_uri", callback, "code_verifier", strings.Repeat("x", 43)).isError(400, "invalid_grant")
	s.do("GET", "/v2/things", a.text("access_token"), nil).want(401, "")
	s.refreshOAuth(c, a.text("refresh_token")).isError(400, "invalid_grant")
	s.introspect(c, a.text("access_token")).want(200, inactive)
}

// TestSecurity23_CodeLives60s and no longer.
func TestSecurity23_CodeLives60s(t *testing.T) {
	s := serve(t, "")
	s.user("", "ann", "user")
	c := s.oauthClient(admin.NewOAuthClient{})
	b := s.login("ann")
	first, second := s.code(c, b), s.code(c, b)
	s.pass(60*time.Second - time.Millisecond)
	s.redeem(c, first).want(200, "")
	s.pass(time.Millisecond)
	s.redeem(c, second).isError(400, "invalid_grant")
}

// TestSecurity24_BoundToClient: codes and refresh tokens of one client are
// nothing in the hands of another, and nothing moves.
func TestSecurity24_BoundToClient(t *testing.T) {
	s := serve(t, "")
	s.user("", "ann", "user")
	c, thief := s.oauthClient(admin.NewOAuthClient{}), s.oauthClient(admin.NewOAuthClient{Name: "thief"})
	code := s.code(c, s.login("ann"))
	s.redeem(thief, code).isError(400, "invalid_grant")
	a := s.redeem(c, code).want(200, "")
	// Not even a used code lets another client end the session.
	s.redeem(thief, code).isError(400, "invalid_grant")
	s.refreshOAuth(thief, a.text("refresh_token")).isError(400, "invalid_grant")
	b := s.refreshOAuth(c, a.text("refresh_token")).want(200, "")
	s.pass(time.Hour)
	s.refreshOAuth(thief, a.text("refresh_token")).isError(400, "invalid_grant") // no reuse either
	s.refreshOAuth(c, b.text("refresh_token")).want(200, "")
}

// TestSecurity27_CORS: on token, revocation, JWKS and metadata, and nowhere else.
func TestSecurity27_CORS(t *testing.T) {
	s := serve(t, "")
	for path, want := range map[string]string{
		"/oauth2/token": "*", "/oauth2/revoke": "*", "/.well-known/openid-configuration": "*", "/.well-known/oauth-authorization-server": "*",
		"/.well-known/jwks.json": "*", "/oauth2/introspect": "", "/oauth2/authorize": "", "/oauth2/logout": "",
	} {
		for _, method := range []string{"OPTIONS", "POST", "GET"} {
			req, err := http.NewRequestWithContext(t.Context(), method, s.url+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Origin", "https://page.example")
			if method == "OPTIONS" {
				req.Header.Set("Access-Control-Request-Method", "POST")
			}
			a := s.send(req)
			if got := a.header.Get("Access-Control-Allow-Origin"); got != want || a.header.Get("Access-Control-Allow-Credentials") != "" {
				t.Errorf("%s %s: Access-Control-Allow-Origin %q, want %q", method, path, got, want)
			}
		}
	}
}

// TestSecurity29_NoStore on everything with a token or a secret, errors too.
func TestSecurity29_NoStore(t *testing.T) {
	s := serve(t, "")
	c := s.machine()
	for _, a := range []*answer{
		s.token(c, "grant_type", "client_credentials"), s.token(nil, "grant_type", "client_credentials"), s.introspect(c, "x"),
		s.post("/oauth2/revoke", c, form("token", "x")), s.do("GET", "/oauth2/token", "", nil), s.do("GET", "/oauth2/nothing", "", nil),
	} {
		if a.header.Get("Cache-Control") != "no-store" || a.header.Get("X-Content-Type-Options") != "nosniff" && len(a.raw) > 0 {
			t.Errorf("%d %s: %v", a.status, a.raw, a.header)
		}
	}
}

// TestSecurity30_TokenInURL is refused though valid.
func TestSecurity30_TokenInURL(t *testing.T) {
	s := serve(t, "")
	c := s.machine()
	tok := s.token(c, "grant_type", "client_credentials").want(200, "").text("access_token")
	s.post("/oauth2/introspect?token="+tok, c, form()).isError(400, "invalid_request")
	s.post("/oauth2/introspect?x=1", c, form("token", tok)).isError(400, "invalid_request")
	s.post("/oauth2/revoke?token="+tok, c, form()).isError(400, "invalid_request")
	s.post("/oauth2/token?grant_type=client_credentials&client_id="+c.ID+"&client_secret="+c.Secret, nil, form()).isError(400, "invalid_request")
	s.do("GET", "/v2/things?access_token="+tok, "", nil).want(401, "")
	s.introspect(c, tok).want(200, "")
}

// TestSecurity31_ErrorShapes: RFC 6749 section 5.2 and its statuses.
func TestSecurity31_ErrorShapes(t *testing.T) {
	s := serve(t, "")
	c := s.machine()
	wrong := *c
	wrong.Secret = c.Secret[:len(c.Secret)-1] + "x"
	stranger := admin.OAuthClient{ID: "client_" + strings.Repeat("a", 26), Secret: c.Secret}
	a := s.token(&wrong, "grant_type", "client_credentials").isError(401, "invalid_client")
	b := s.token(&stranger, "grant_type", "client_credentials").isError(401, "invalid_client")
	if a.raw != b.raw {
		t.Errorf("a wrong secret and an unknown client differ: %s %s", a.raw, b.raw)
	}
	s.token(nil, "grant_type", "client_credentials").isError(401, "invalid_client")
	s.token(nil, "grant_type", "client_credentials", "client_id", c.ID).isError(401, "invalid_client")
	s.token(nil, "grant_type", "client_credentials", "client_id", c.ID, "client_secret", c.Secret).isError(401, "invalid_client") // it is a Basic client
	s.token(c, "grant_type", "client_credentials", "client_secret", c.Secret).isError(400, "invalid_request")                     // two ways
	s.token(c, "grant_type", "client_credentials", "client_id", stranger.ID).isError(400, "invalid_request")
	s.token(c, "grant_type", "authorization_code", "code", "x", "redirect_uri", callback, "code_verifier", verifier).isError(400, "unauthorized_client")
	s.token(c, "grant_type", "client_credentials", "scope", "a  b").isError(400, "invalid_scope")
	s.token(c, "scope", "read").isError(400, "invalid_request")

	for name, header := range map[string]string{"bearer": "Bearer abc", "no base64": "Basic !!", "no colon": "Basic YWJj", "empty": "Basic Og==", "nothing": "Basic"} {
		req := s.request("/oauth2/token", nil, form("grant_type", "client_credentials"))
		req.Header.Set("Authorization", header)
		if a := s.send(req); a.status != 401 || a.body["error"] != "invalid_client" {
			t.Errorf("%s: %d %s", name, a.status, a.raw)
		}
	}
	for _, m := range []string{"GET", "PUT", "DELETE", "HEAD"} {
		a := s.do(m, "/oauth2/token", "", nil)
		if a.status != 405 || a.header.Get("Allow") != "POST, OPTIONS" {
			t.Errorf("%s: %d, Allow %q", m, a.status, a.header.Get("Allow"))
		}
	}
	s.do("POST", "/oauth2/token", "", `{"grant_type":"client_credentials"}`).isError(415, "invalid_request")
	s.post("/oauth2/token", c, form("grant_type", strings.Repeat("x", 70_000))).isError(413, "invalid_request")
	for _, body := range []string{"grant_type=%zz", "a=1;b=2", "grant_type=%ff", "grant_type=a%00", strings.Repeat("a=&", 60)} {
		req := s.request("/oauth2/token", c, nil)
		req.Body, req.ContentLength = http.NoBody, 0
		raw, err := http.NewRequestWithContext(t.Context(), "POST", s.url+"/oauth2/token", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		raw.Header = req.Header
		s.send(raw).isError(400, "invalid_request")
	}
}

// TestSecurity32_ParameterTwice is an error at every endpoint.
func TestSecurity32_ParameterTwice(t *testing.T) {
	s := serve(t, "")
	c := s.machine("read")
	s.post("/oauth2/token", c, url.Values{"grant_type": {"client_credentials", "client_credentials"}}).isError(400, "invalid_request")
	s.post("/oauth2/token", c, url.Values{"grant_type": {"client_credentials"}, "unknown": {"a", "b"}}).isError(400, "invalid_request")
	s.post("/oauth2/introspect", c, url.Values{"token": {"a", "b"}}).isError(400, "invalid_request")
	s.post("/oauth2/revoke", c, url.Values{"token": {"a", "b"}}).isError(400, "invalid_request")
	req := s.request("/oauth2/token", c, form("grant_type", "client_credentials"))
	req.Header.Add("Authorization", req.Header.Get("Authorization"))
	s.send(req).isError(400, "invalid_request")
}

// TestSecurity33_Revoking answers 200 for what it does not know and 503 when
// the store fails: a client must not believe a token dead that lives.
func TestSecurity33_Revoking(t *testing.T) {
	s := serve(t, "")
	c := s.machine()
	for _, tok := range []string{"nonsense", "a.b.c", strings.Repeat("x", 9000), "eyJhbGciOiJub25lIn0.e30."} {
		if a := s.post("/oauth2/revoke", c, form("token", tok)).want(200, ""); a.raw != "" {
			t.Errorf("the answer is %q", a.raw)
		}
	}
	s.post("/oauth2/revoke", c, form("token", "")).isError(400, "invalid_request")
	s.post("/oauth2/revoke", nil, form("token", "x")).isError(401, "invalid_client")
	tok := s.token(c, "grant_type", "client_credentials").text("access_token")
	if err := s.app.CloseStore(); err != nil {
		t.Fatal(err)
	}
	a := s.post("/oauth2/revoke", c, form("token", tok))
	if a.status != 503 || a.header.Get("Retry-After") == "" {
		t.Errorf("with the store gone: %d %v %s", a.status, a.header, a.raw)
	}
	a = s.token(c, "grant_type", "client_credentials")
	if a.status != 503 || a.body["error"] != "temporarily_unavailable" {
		t.Errorf("with the store gone: %d %s", a.status, a.raw)
	}
	if a = s.introspect(c, tok); a.status != 503 {
		t.Errorf("with the store gone: %d %s", a.status, a.raw)
	}
}

// TestSecurity34_RevokingRefresh kills the session's access tokens, and one
// access token dies alone.
func TestSecurity34_RevokingRefresh(t *testing.T) {
	s := serve(t, "")
	s.user("", "ann", "user")
	c := s.oauthClient(admin.NewOAuthClient{})
	a := s.session(c, "ann")
	b := s.refreshOAuth(c, a.text("refresh_token")).want(200, "")
	s.post("/oauth2/revoke", c, form("token", a.text("access_token"), "token_type_hint", "refresh_token")).want(200, "")
	s.do("GET", "/v2/things", a.text("access_token"), nil).want(401, "")
	s.do("GET", "/v2/things", b.text("access_token"), nil).want(200, "")
	// An older refresh token of the session will do.
	s.post("/oauth2/revoke", c, form("token", a.text("refresh_token"))).want(200, "")
	s.do("GET", "/v2/things", b.text("access_token"), nil).want(401, "")
	s.refreshOAuth(c, b.text("refresh_token")).isError(400, "invalid_grant")
	s.post("/oauth2/revoke", c, form("token", b.text("refresh_token"))).want(200, "") // twice

	other := s.oauthClient(admin.NewOAuthClient{Name: "other"})
	d := s.session(c, "ann")
	s.post("/oauth2/revoke", other, form("token", d.text("refresh_token"))).isError(400, "invalid_grant")
	s.post("/oauth2/revoke", other, form("token", d.text("access_token"))).isError(400, "invalid_grant")
	s.do("GET", "/v2/things", d.text("access_token"), nil).want(200, "")
}

// TestSecurity35_Introspection is authenticated, and inactive is exactly that.
func TestSecurity35_Introspection(t *testing.T) {
	s := serve(t, "")
	if err := s.admin.Post(t.Context(), "/accounts", map[string]any{"shortname": "acme"}, nil); err != nil {
		t.Fatal(err)
	}
	id := s.user("", "ann", "application", "read")
	c, rs := s.oauthClient(admin.NewOAuthClient{}), s.machine()
	foreign := s.oauthClient(admin.NewOAuthClient{Name: "foreign", Account: "acme", Grants: []string{core.GrantCredentials}})
	all := s.oauthClient(admin.NewOAuthClient{Name: "all", Account: "acme", Grants: []string{core.GrantCredentials}, IntrospectAll: true})
	public := s.oauthClient(admin.NewOAuthClient{Name: "public", Type: "public"})
	a := s.session(c, "ann", "openid", "read")
	vendor := s.do("POST", "/api/users/login", "", map[string]string{"username": "ann", "password": password}).want(200, "")
	app := s.do("POST", "/api/users/application-token", vendor.text("refreshToken"), nil).want(200, "").text("token")

	live := map[string]string{"oauth": a.text("access_token"), "contract": vendor.text("accessToken"), "application": app}
	for name, tok := range live {
		for _, who := range []*admin.OAuthClient{rs, c, all} {
			in := s.introspect(who, tok).want(200, "")
			if in.body["active"] != true || in.body["sub"] != id || in.body["username"] != "ann" || in.body["token_type"] != "Bearer" || in.body["account"] != "default" {
				t.Errorf("%s: %s", name, in.raw)
			}
		}
		s.introspect(foreign, tok).want(200, inactive)
		s.introspect(nil, tok).isError(401, "invalid_client")
		s.introspect(public, tok).isError(401, "invalid_client")
	}
	in := s.introspect(rs, a.text("access_token"))
	if in.text("client_id") != c.ID || in.text("scope") != "openid read" || in.text("iss") != s.url || in.text("aud") != s.url || in.text("jti") == "" {
		t.Errorf("oauth: %s", in.raw)
	}
	if in = s.introspect(rs, app); in.body["exp"] != nil || in.text("token_use") != "application" {
		t.Errorf("application: %s", in.raw)
	}
	// Its own client may ask about a refresh token; nobody else learns of it.
	if in = s.introspect(c, a.text("refresh_token")); in.body["active"] != true || in.body["token_type"] != nil || in.text("token_use") != "refresh" {
		t.Errorf("refresh: %s", in.raw)
	}
	for name, tok := range map[string]string{
		"refresh": a.text("refresh_token"), "id": a.text("id_token"), "contract refresh": vendor.text("refreshToken"), "nonsense": "x",
		"cookie": s.login("ann").Cookie, "cut": a.text("access_token")[:len(a.text("access_token"))-1], "secret": c.Secret,
	} {
		if got := s.introspect(rs, tok).want(200, ""); got.raw != inactive {
			t.Errorf("%s: %s", name, got.raw)
		}
	}
	s.introspect(all, a.text("refresh_token")).want(200, inactive)
	s.act("/users/"+id+"/disable", nil)
	for _, tok := range live {
		s.introspect(rs, tok).want(200, inactive)
	}
}

// TestSecurity35_RevokingContracts: tokens of contracts and application tokens
// can be revoked by a confidential client of the account, at once everywhere.
func TestSecurity35_RevokingContracts(t *testing.T) {
	s := serve(t, "")
	if err := s.admin.Post(t.Context(), "/accounts", map[string]any{"shortname": "acme"}, nil); err != nil {
		t.Fatal(err)
	}
	s.user("", "ann", "application")
	rs := s.machine()
	foreign := s.oauthClient(admin.NewOAuthClient{Name: "foreign", Account: "acme", Grants: []string{core.GrantCredentials}})
	public := s.oauthClient(admin.NewOAuthClient{Name: "public", Type: "public"})
	vendor := s.do("POST", "/api/users/login", "", map[string]string{"username": "ann", "password": password}).want(200, "")
	app := s.do("POST", "/api/users/application-token", vendor.text("refreshToken"), nil).want(200, "").text("token")
	for _, tok := range []string{vendor.text("accessToken"), vendor.text("refreshToken"), app} {
		s.post("/oauth2/revoke", foreign, form("token", tok)).isError(400, "invalid_grant")
		s.post("/oauth2/revoke", public, form("token", tok)).isError(400, "invalid_grant")
	}
	for _, tok := range []string{vendor.text("accessToken"), app} {
		s.do("GET", "/api/stations", tok, nil).want(200, "")
		s.post("/oauth2/revoke", rs, form("token", tok)).want(200, "")
		s.do("GET", "/api/stations", tok, nil).want(401, "")
		s.introspect(rs, tok).want(200, inactive)
	}
	s.post("/oauth2/revoke", rs, form("token", vendor.text("refreshToken"))).want(200, "")
	s.do("POST", "/api/users/refresh", vendor.text("refreshToken"), nil).want(401, "")
}

// TestClientMethodHint: the library that sends the right secret in the other
// way is told which is right; nobody else is.
func TestClientMethodHint(t *testing.T) {
	s := serve(t, "")
	c := s.machine("read")
	post := func(secret string) *answer {
		return s.token(nil, "grant_type", "client_credentials", "client_id", c.ID, "client_secret", secret).isError(401, "invalid_client")
	}
	if a := post(c.Secret); a.text("error_description") != "This client authenticates with client_secret_basic, not with client_secret_post" {
		t.Error(a.raw)
	}
	plain := post(c.Secret + "x").text("error_description")
	s.act("/clients/"+c.ID+"/disable", nil)
	if a := post(c.Secret); a.text("error_description") != plain || plain == "" {
		t.Error(a.raw)
	}
}
