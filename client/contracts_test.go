package client_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/client"
	"github.com/sallyport/sallyport/internal/admin"
)

// world is a server with somebody of each kind on it.
type world struct {
	*server
	wire   *wire
	secret string // NETOSECRET
}

func build(t *testing.T) *world {
	t.Helper()
	w := &world{server: serve(t), wire: new(wire)}
	w.user("ann", "user")
	w.user("scanner", "application")
	var made struct {
		Netosecret string `json:"netosecret"`
	}
	w.act("/api-keys", admin.NewAPIKey{AppName: "flows", Roles: []string{"read"}}, &made)
	w.secret = made.Netosecret
	return w
}

func (w *world) options() client.Options { return options(w.wire, w.now) }

func must(t *testing.T) func(*client.Session, error) *client.Session {
	return func(s *client.Session, err error) *client.Session {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s
	}
}

func (w *world) pathStack(t *testing.T, o client.Options) *client.Session {
	return must(t)(client.NewPathStack(client.PathStack{URL: w.url, Username: "ann", Password: password, APIVersion: "2024-03-27"}, o))
}

func (w *world) itemPath(t *testing.T, o client.Options) *client.Session {
	return must(t)(client.NewItemPath(client.ItemPath{URL: w.url + "/", Username: "scanner", Password: password}, o))
}

func (w *world) netography(t *testing.T, o client.Options) *client.Session {
	return must(t)(client.NewNetography(client.Netography{Netosecret: w.secret}, o))
}

func (w *world) netographyUser(t *testing.T, o client.Options) *client.Session {
	return must(t)(client.NewNetography(client.Netography{URL: w.url, Username: "ann", Password: password}, o))
}

// TestContracts: every contract from the first login through early and late
// refreshes to the end of the refresh token, against a running server.
func TestContracts(t *testing.T) {
	w := build(t)
	for _, c := range []struct {
		name           string
		open           func(*testing.T, client.Options) *client.Session
		life, session  time.Duration
		login, refresh string
		rotates        bool
	}{
		{"pathstack", w.pathStack, time.Hour, 30 * 24 * time.Hour, "/token", "/refresh", false},
		{"itempath", w.itemPath, 15 * time.Minute, 30 * 24 * time.Hour, "/api/users/login", "/api/users/refresh", false},
		{"netography key", w.netography, 24 * time.Hour, 24 * time.Hour, "/api/v1/auth/token", "/api/auth/bearer/refresh", true},
		{"netography user", w.netographyUser, 24 * time.Hour, 24 * time.Hour, "/api/auth/bearer/token", "/api/auth/bearer/refresh", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			w.wire.sent()
			src := c.open(t, w.options())
			first := token(t, src)
			if token(t, src).AccessToken != first.AccessToken {
				t.Error("the token was not cached")
			}
			w.wire.wantSent(t, c.login)
			if life := first.Expiry.Sub(w.now()); life != c.life || first.TokenType != "Bearer" || first.RefreshToken == "" {
				t.Errorf("the token lives %v, want %v; type %q", life, c.life, first.TokenType)
			}
			if got := w.call(first); got != 200 {
				t.Errorf("the gateway answers %d", got)
			}
			w.pass(c.life * 79 / 100)
			token(t, src)
			w.wire.wantSent(t)
			w.pass(c.life * 2 / 100) // in the last fifth: refreshed behind our back
			second := settle(t, src, first)
			w.wire.wantSent(t, c.refresh)
			if rotated := second.RefreshToken != first.RefreshToken; rotated != c.rotates {
				t.Errorf("rotated: %v", rotated)
			}
			if second.Subject != first.Subject {
				t.Error("the subject got lost")
			}
			if got := w.call(second); got != 200 {
				t.Errorf("the gateway answers %d", got)
			}
			w.pass(c.life - time.Second) // as good as over: waited for
			if third := token(t, src); third.AccessToken == second.AccessToken {
				t.Error("a token a second before its end was given")
			}
			w.wire.wantSent(t, c.refresh)
			w.pass(c.session) // the refresh token is over too
			fresh := token(t, src)
			w.wire.wantSent(t, c.refresh, c.login)
			if got := w.call(fresh); got != 200 {
				t.Errorf("the gateway answers %d", got)
			}
		})
	}
}

// TestApplicationToken: minted once, kept over restarts, minted again when it
// was revoked.
func TestApplicationToken(t *testing.T) {
	w := build(t)
	o := w.options()
	o.Store = client.FileStore(t.TempDir() + "/token.json")
	open := func(o client.Options) *client.Session {
		return must(t)(client.NewItemPath(client.ItemPath{URL: w.url, Username: "scanner", Password: password, ApplicationToken: true}, o))
	}
	first := token(t, open(o))
	w.wire.wantSent(t, "/api/users/login", "/api/users/application-token")
	if !first.Expiry.IsZero() {
		t.Error("an application token ends", first.Expiry)
	}
	w.pass(20 * 24 * time.Hour)
	src := open(o)
	if token(t, src).AccessToken != first.AccessToken || w.call(first) != 200 {
		t.Error("the application token was not kept")
	}
	w.wire.wantSent(t)
	var list admin.Page[admin.ApplicationToken]
	if err := w.admin.Get(t.Context(), "/application-tokens", nil, &list); err != nil || len(list.Items) != 1 {
		t.Fatal(err, list)
	}
	w.act("/application-tokens/"+list.Items[0].ID+"/revoke", nil, nil)
	res, err := (&http.Client{Transport: client.NewTransport(src, nil)}).Get(w.url + "/api/things")
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != 200 {
		t.Errorf("after the revocation: %d", res.StatusCode)
	}
	w.wire.wantSent(t, "/api/users/application-token")
	if got := w.call(token(t, client.Static(token(t, src).AccessToken))); got != 200 {
		t.Errorf("as a static token: %d", got)
	}
	// Another type of user gets none, and is told why.
	_, err = must(t)(client.NewItemPath(client.ItemPath{URL: w.url, Username: "ann", Password: password, ApplicationToken: true}, w.options())).Token(t.Context())
	var e *client.Error
	if !errors.As(err, &e) || e.Status != 403 || e.Op != "application token" {
		t.Errorf("a user who is no application: %v", err)
	}
}

// TestClientCredentials: all ways in which a client proves who it is.
func TestClientCredentials(t *testing.T) {
	w := build(t)
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, auth string
		key        crypto.Signer
	}{{"basic", client.AuthBasic, nil}, {"post", client.AuthPost, nil}, {"ES256", client.AuthPrivateKeyJWT, p256}, {"EdDSA", client.AuthPrivateKeyJWT, ed}} {
		t.Run(c.name, func(t *testing.T) {
			in := &admin.NewOAuthClient{Name: "machine " + c.name, Auth: c.auth, Grants: []string{"client_credentials"}, Scopes: []string{"read", "write"}}
			if c.key != nil {
				in.JWKS = jwks(t, c.key)
			}
			made := w.oauthClient(in)
			w.wire.sent()
			src := must(t)(client.NewClientCredentials(client.OAuth{
				Issuer: w.url, ClientID: made.ID, ClientSecret: made.Secret, Auth: c.auth, Key: c.key, KeyID: "k1", Scopes: []string{"read"},
			}, w.options()))
			first := token(t, src)
			if first.Scope != "read" || first.Expiry.Sub(w.now()) != 15*time.Minute || first.RefreshToken != "" {
				t.Errorf("scope %q, %v", first.Scope, first)
			}
			if got := w.call(first); got != 200 {
				t.Errorf("the gateway answers %d", got)
			}
			w.pass(16 * time.Minute)
			w.wire.set(func(x *wire) { x.lose = 1 })
			if got := w.call(token(t, src)); got != 200 {
				t.Errorf("the gateway answers %d", got)
			}
			w.wire.wantSent(t, "/oauth2/token", "/oauth2/token", "/oauth2/token")
		})
	}
}

func jwks(t *testing.T, key crypto.Signer) json.RawMessage {
	t.Helper()
	jwk := map[string]string{"kid": "k1", "use": "sig"}
	b64 := base64.RawURLEncoding.EncodeToString
	switch pub := key.Public().(type) {
	case *ecdsa.PublicKey:
		raw, err := pub.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		jwk["kty"], jwk["crv"], jwk["alg"], jwk["x"], jwk["y"] = "EC", "P-256", "ES256", b64(raw[1:33]), b64(raw[33:])
	case ed25519.PublicKey:
		jwk["kty"], jwk["crv"], jwk["alg"], jwk["x"] = "OKP", "Ed25519", "EdDSA", b64(pub)
	}
	out, err := json.Marshal(map[string]any{"keys": []any{jwk}})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestLostAnswers: the server rotated, the answer did not arrive, or only half
// of it. The same refresh token is presented again; nothing forks, nobody is
// logged out.
func TestLostAnswers(t *testing.T) {
	w := build(t)
	for _, cut := range []bool{false, true} {
		src := w.netography(t, w.options())
		first := token(t, src)
		for range 3 {
			w.pass(24*time.Hour - time.Second)
			w.wire.sent()
			w.wire.set(func(x *wire) { x.lose, x.cut = 3, cut })
			next := token(t, src)
			w.wire.set(func(x *wire) {
				for _, b := range x.bodies {
					if b != x.bodies[0] {
						t.Error("another refresh token was presented")
					}
				}
			})
			w.wire.wantSent(t, "/api/auth/bearer/refresh", "/api/auth/bearer/refresh", "/api/auth/bearer/refresh", "/api/auth/bearer/refresh")
			if next.RefreshToken == first.RefreshToken || w.call(next) != 200 {
				t.Error("the refresh did not rotate")
			}
			first = next
		}
		if got := w.sessions(); got != 1 {
			t.Errorf("%d sessions, want 1", got)
		}
		w.act("/sessions/revoke", map[string]any{"session": sid(t, first)}, nil)
	}
	// A request token whose answer was lost is sent again as it is.
	w.wire.sent()
	w.wire.set(func(x *wire) { x.lose, x.cut = 2, false })
	src := w.netography(t, w.options())
	if w.call(token(t, src)) != 200 || w.sessions() != 1 {
		t.Error("a lost login opened another session")
	}
	w.wire.wantSent(t, "/api/v1/auth/token", "/api/v1/auth/token", "/api/v1/auth/token")
}

func (w *world) sessions() int {
	w.t.Helper()
	var list admin.Page[admin.Session]
	if err := w.admin.Get(w.t.Context(), "/sessions", url.Values{"limit": {"100"}}, &list); err != nil {
		w.t.Fatal(err)
	}
	return len(list.Items)
}

func sid(t *testing.T, tok *client.Token) string {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(strings.Split(tok.AccessToken, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	var c struct {
		SID string `json:"sid"`
	}
	if err := json.Unmarshal(raw, &c); err != nil || c.SID == "" {
		t.Fatal(err, string(raw))
	}
	return c.SID
}

// oauthUser logs ann in through an OAuth client.
func (w *world) oauthUser(t *testing.T) (client.OAuth, *client.Token) {
	t.Helper()
	const verifier, callback = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", "https://app.example/callback"
	made := w.oauthClient(&admin.NewOAuthClient{
		Name: "app", Auth: "none", Grants: []string{"authorization_code", "refresh_token"},
		RedirectURIs: []string{callback}, Scopes: []string{"openid", "read", "offline_access"},
	})
	sum := sha256.Sum256([]byte(verifier))
	code := w.signIn(t, url.Values{
		"response_type": {"code"}, "client_id": {made.ID}, "redirect_uri": {callback}, "nonce": {"n"}, "state": {"s"},
		"scope": {"openid read offline_access"}, "code_challenge_method": {"S256"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])},
	}).Get("code")
	res, err := http.PostForm(w.url+"/oauth2/token", url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback}, "code_verifier": {verifier}, "client_id": {made.ID},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	var tok struct {
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
	}
	if err := json.NewDecoder(res.Body).Decode(&tok); err != nil || tok.Refresh == "" {
		t.Fatal(err, res.Status)
	}
	return client.OAuth{Issuer: w.url, ClientID: made.ID}, &client.Token{
		AccessToken: tok.Access, RefreshToken: tok.Refresh, Expiry: w.now().Add(15 * time.Minute),
	}
}

var hidden = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)

// signIn is ann's browser on the hosted login page.
func (w *world) signIn(t *testing.T, q url.Values) url.Values {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if r.URL.Host == "app.example" {
			return http.ErrUseLastResponse
		}
		return nil
	}}
	res, err := browser.Get(w.url + "/oauth2/authorize?" + q.Encode())
	if err != nil {
		t.Fatal(err)
	}
	page, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if err != nil {
		t.Fatal(err)
	}
	form := url.Values{"username": {"ann"}, "password": {password}}
	for _, m := range hidden.FindAllStringSubmatch(string(page), -1) {
		form.Set(m[1], html.UnescapeString(m[2]))
	}
	res, err = browser.PostForm(w.url+"/oauth2/login", form)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	to, err := res.Location()
	if err != nil || to.Query().Get("code") == "" {
		t.Fatal("no code:", res.Status, err)
	}
	return to.Query()
}

// TestGrace: all answers to a refresh are lost. Within the grace time the next
// call gets the successor; afterwards the refresh token counts as stolen, and
// who can't log in says so.
func TestGrace(t *testing.T) {
	w := build(t)
	cfg, initial := w.oauthUser(t)
	o := w.options()
	o.Initial = initial
	src := must(t)(client.NewOAuthUser(cfg, o))
	if token(t, src).AccessToken != initial.AccessToken {
		t.Error("the first token was not used")
	}
	lose := func() {
		t.Helper()
		w.pass(15*time.Minute - time.Second)
		w.wire.sent()
		w.wire.set(func(x *wire) { x.lose = 4 })
		var e *client.Error
		if _, err := src.Token(t.Context()); !errors.As(err, &e) || !e.Temporary() || e.Status != 0 {
			t.Errorf("all answers lost: %v", err)
		}
		w.wire.wantSent(t, strings.Fields(strings.Repeat("/oauth2/token ", 4))...)
		if _, err := src.Token(t.Context()); !errors.As(err, &e) {
			t.Error("no error in the pause")
		}
		w.wire.wantSent(t) // a pause, not a storm
	}
	lose()
	w.pass(time.Minute)
	next := token(t, src)
	w.wire.wantSent(t, "/oauth2/token")
	if next.RefreshToken == initial.RefreshToken || next.IDToken == "" || w.call(next) != 200 {
		t.Errorf("after the lost answers: %+v", next)
	}
	lose()
	w.pass(3 * time.Minute)
	_, err := src.Token(t.Context())
	var e *client.Error
	if !errors.Is(err, client.ErrLoginRequired) || !errors.As(err, &e) || e.Code != "invalid_grant" || e.Op != "refresh" {
		t.Errorf("without credentials: %v", err)
	}
	w.wire.wantSent(t, "/oauth2/token")
	w.pass(time.Hour) // and a dead token is not presented again
	if _, err := src.Token(t.Context()); !errors.Is(err, client.ErrLoginRequired) {
		t.Error(err)
	}
	w.wire.wantSent(t)
}
