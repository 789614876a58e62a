package app_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/internal/core"
)

// TestSecurity04_KeysOfTheToken: a token that brings its own key, or says where
// to get one, is refused at every door, and nobody is asked for that key.
func TestSecurity04_KeysOfTheToken(t *testing.T) {
	s := serve(t, "")
	s.user("", "ann", "user")
	c, rs := s.oauthClient(admin.NewOAuthClient{}), s.machine()
	good := s.session(c, "ann").text("access_token")
	header, claims := unsigned(t, good)
	evil, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, err := evil.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	jwk := map[string]any{"kty": "EC", "crv": "P-256", "x": b64(point[1:33]), "y": b64(point[33:]), "kid": header["kid"], "alg": "ES256"}
	var asked atomic.Int32
	keys := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": []any{jwk}})
	}))
	defer keys.Close()
	for name, value := range map[string]any{
		"jwk": jwk, "jku": keys.URL + "/jwks.json", "x5u": keys.URL + "/cert.pem", "x5c": []string{base64.StdEncoding.EncodeToString(point)},
	} {
		forged := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims(claims))
		for k, v := range header {
			forged.Header[k] = v
		}
		forged.Header[name] = value
		raw, err := forged.SignedString(evil)
		if err != nil {
			t.Fatal(err)
		}
		s.do("GET", "/v2/things", raw, nil).want(401, "")
		s.do("GET", "/oauth2/userinfo", raw, nil).want(401, "")
		s.introspect(rs, raw).want(200, inactive)
		s.token(nil, "grant_type", "client_credentials", "client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer", "client_assertion", raw).isError(401, "invalid_client")
	}
	s.do("GET", "/v2/things", good, nil).want(200, "")
	if n := asked.Load(); n != 0 {
		t.Errorf("the attacker's server was asked %d times", n)
	}
}

// TestSecurity39_ScopeNeverWidens: not by asking for more at a refresh, nor by
// a role that the user got since, nor by narrowing first.
func TestSecurity39_ScopeNeverWidens(t *testing.T) {
	s := serve(t, "")
	user := s.user("", "ann", "user", "read")
	c := s.oauthClient(admin.NewOAuthClient{})
	a := s.session(c, "ann", "openid", "read")
	for _, wider := range []string{"openid read write", "write", "email", "read admin"} {
		s.refreshOAuth(c, a.text("refresh_token"), "scope", wider).isError(400, "invalid_scope")
	}
	if err := s.admin.Do(t.Context(), "PATCH", "/users/"+user, nil, map[string]any{"roles": []string{"read", "write"}}, nil); err != nil {
		t.Fatal(err)
	}
	narrow := s.refreshOAuth(c, a.text("refresh_token"), "scope", "openid").want(200, "")
	if narrow.text("scope") != "openid" {
		t.Errorf("narrowed to %q", narrow.text("scope"))
	}
	back := s.refreshOAuth(c, narrow.text("refresh_token")).want(200, "")
	if back.text("scope") != "openid read" {
		t.Errorf("afterwards %q, want what the user gave", back.text("scope"))
	}
	s.refreshOAuth(c, back.text("refresh_token"), "scope", "write").isError(400, "invalid_scope")
}

// TestSecurity42_LogoutArrives: a logout counts at once at every door of the
// node, for the access tokens that are out, too.
func TestSecurity42_LogoutArrives(t *testing.T) {
	p := newParty(t, admin.NewOAuthClient{})
	rs := p.s.machine()
	tokens := p.signIn()
	access := tokens.text("access_token")
	p.s.do("GET", "/v2/things", access, nil).want(200, "") // the gateway has seen it
	p.b.get(logoutPath, form("id_token_hint", tokens.text("id_token"), "post_logout_redirect_uri", bye)).sentTo(bye)
	p.s.do("GET", "/v2/things", access, nil).want(401, "")
	p.s.introspect(rs, access).want(200, inactive)
	p.ended("everything", tokens)
}

// TestSecurity44_PasswordChange: a change spares the session that asked and
// ends the others; a reset ends all, with codes and browser logins.
func TestSecurity44_PasswordChange(t *testing.T) {
	p := newParty(t, admin.NewOAuthClient{})
	here, there := p.signIn(), p.goOn()
	contract := p.s.do("POST", "/api/users/login", "", map[string]string{"username": "ada", "password": password}).want(200, "")
	_, claims := unsigned(t, here.text("access_token"))
	code := p.b.authorize(ask(p.c)).code()
	if _, err := p.s.app.Service().SetPassword(t.Context(), core.Actor{Name: "test"}, p.user, password+"!", false, claims["sid"].(string)); err != nil {
		t.Fatal(err)
	}
	p.s.refreshOAuth(p.c, here.text("refresh_token")).want(200, "")
	p.ended("another session", there)
	p.s.do("POST", "/api/users/refresh", contract.text("refreshToken"), nil).want(401, "")
	p.s.redeem(p.c, code).isError(400, "invalid_grant")
	isLoginPage(t, p.b.authorize(ask(p.c)))

	last := p.tokens(p.b.signIn(p.b.authorize(ask(p.c)), "ada", password+"!"))
	p.s.act("/users/"+p.user+"/password", map[string]any{"generate": true})
	p.ended("the spared session", here)
	p.ended("the newest session", last)
	isLoginPage(t, p.b.authorize(ask(p.c)))
}

// TestSecurity53_NobodyFromTheStart: a new server has no user, no client and no
// key of an API, and no secret that would let one in over the network: who sets
// it up does so over the socket of the data directory.
func TestSecurity53_NobodyFromTheStart(t *testing.T) {
	s := serve(t, "")
	for _, path := range []string{"/users", "/clients", "/api-keys", "/sessions", "/application-tokens"} {
		var page admin.Page[map[string]any]
		if err := s.admin.Get(t.Context(), path, nil, &page); err != nil || len(page.Items) != 0 {
			t.Errorf("%s: %v %v", path, page.Items, err)
		}
	}
	for _, name := range []string{"admin", "root", "sallyport", "administrator", "user"} {
		for _, pw := range []string{name, "admin", "password", "sallyport", "changeme"} {
			s.do("POST", "/api/users/login", "", map[string]string{"username": name, "password": pw}).want(401, "")
		}
	}
	s.do("GET", "/admin/v1/users", "", nil).want(401, "") // the gateway's: there is no such door
}

// log is a log in memory.
type log struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *log) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// TestSecurity58_NoSecretInLogs: a user's way through login, consent, refresh,
// introspection, a refused password and a logout leaves no secret in the logs
// or the audit log, and an event in UTC for each authentication.
func TestSecurity58_NoSecretInLogs(t *testing.T) {
	var logs log
	s := serveLogging(t, "", io.MultiWriter(t.Output(), &logs))
	s.user("", "ada", "user")
	c := s.oauthClient(admin.NewOAuthClient{RequireConsent: true, PostLogoutRedirectURIs: []string{bye}})
	b := s.browser()
	wrong := "not the " + password
	page := b.authorize(ask(c))
	b.signIn(page, "ada", wrong).shown(403, "wrong")
	f := b.signIn(page, "ada", password).fields("/oauth2/consent")
	f.Set("decision", "allow")
	code := b.post("/oauth2/consent", f).code()
	a := s.redeem(c, code).want(200, "")
	next := s.refreshOAuth(c, a.text("refresh_token")).want(200, "")
	s.introspect(c, next.text("access_token")).want(200, "")
	s.post("/oauth2/token", nil, form("grant_type", "client_credentials", "client_id", c.ID, "client_secret", c.Secret+"x")).want(401, "")
	s.post("/oauth2/revoke", c, form("token", a.text("access_token"))).want(200, "")
	cookie := b.cookie("sallyport-login")
	b.get(logoutPath, form("id_token_hint", a.text("id_token"), "post_logout_redirect_uri", bye, "state", "the-state")).sentTo(bye)

	var trail admin.Page[admin.AuditRecord]
	if err := s.admin.Get(t.Context(), "/audit", url.Values{"limit": {"100"}}, &trail); err != nil {
		t.Fatal(err)
	}
	events, err := json.Marshal(trail)
	if err != nil {
		t.Fatal(err)
	}
	all := logs.text() + string(events)
	signature := func(tok string) string { return tok[strings.LastIndex(tok, ".")+1:] }
	for name, secret := range map[string]string{
		"password": password, "wrong password": wrong, "code": code, "verifier": verifier, "client secret": c.Secret, "cookie": signature(cookie),
		"access token": signature(a.text("access_token")), "refresh token": signature(a.text("refresh_token")), "id token": signature(a.text("id_token")),
		"next refresh token": signature(next.text("refresh_token")), "form token": f.Get("csrf"),
	} {
		if len(secret) < 20 || strings.Contains(all, secret) {
			t.Errorf("%s %q is in the logs", name, secret)
		}
	}
	kinds := map[string]bool{}
	for _, e := range trail.Items {
		kinds[e.Kind] = true
		if at := e.At.String(); !strings.HasSuffix(at, "Z") {
			t.Errorf("%s at %s", e.Kind, at)
		}
	}
	for _, kind := range []string{"login", "logout", "consent.give", "token.revoke", "user.create", "client.create"} {
		if !kinds[kind] {
			t.Errorf("no event %s among %v", kind, kinds)
		}
	}
	for line := range strings.Lines(logs.text()) {
		var entry struct{ Time time.Time }
		if err := json.Unmarshal([]byte(line), &entry); err != nil || entry.Time.Location() != time.UTC {
			t.Fatalf("a line is no JSON or not in UTC: %s", line)
		}
	}
}
