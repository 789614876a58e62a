package attack_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"

	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/core/authserver"
	"github.com/sallyport/sallyport/internal/token"
)

const (
	callback = "https://app.example/callback"
	goodbye  = "https://app.example/bye"
	// verifier is a PKCE code_verifier (RFC 7636 section 4.1).
	verifier      = "a-verifier-of-the-attack-tests-with-54-characters.0123"
	loginCookie   = "sallyport-login"
	assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
)

func challenge() string {
	sum := sha256.Sum256([]byte(verifier))
	return b64.EncodeToString(sum[:])
}

// browser is somebody's browser, which stops where it would leave for a client.
type browser struct {
	w *world
	c *http.Client
}

func (w *world) newBrowser() *browser {
	w.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return &browser{w, &http.Client{
		Jar: jar, Transport: &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(r *http.Request, _ []*http.Request) error {
			if r.URL.Host != w.addr {
				return http.ErrUseLastResponse
			}
			return nil
		},
	}}
}

func (b *browser) send(req *http.Request) (*http.Response, string) {
	b.w.t.Helper()
	res, err := b.c.Do(req)
	if err != nil {
		b.w.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	page, err := io.ReadAll(res.Body)
	if err != nil {
		b.w.t.Fatal(err)
	}
	return res, string(page)
}

// authorizeQuery is an authorization request of a client.
func authorizeQuery(c *admin.OAuthClient, more ...string) string {
	q := url.Values{
		"response_type": {"code"}, "client_id": {c.ID}, "redirect_uri": {callback}, "state": {"st"}, "nonce": {"n"},
		"scope": {"openid profile email offline_access reader " + core.RoleRevocations}, "code_challenge": {challenge()}, "code_challenge_method": {"S256"},
	}
	for i := 0; i+1 < len(more); i += 2 {
		q.Set(more[i], more[i+1])
	}
	return "/oauth2/authorize?" + q.Encode()
}

var hidden = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)

// signIn logs a user in through a client's login page.
func (b *browser) signIn(c *admin.OAuthClient, name string) {
	w := b.w
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), "GET", "http://"+w.addr+authorizeQuery(c), nil)
	if err != nil {
		w.t.Fatal(err)
	}
	_, page := b.send(req)
	form := url.Values{"username": {name}, "password": {password}}
	for _, m := range hidden.FindAllStringSubmatch(page, -1) {
		form.Set(m[1], html.UnescapeString(m[2]))
	}
	req, err = http.NewRequestWithContext(w.t.Context(), "POST", "http://"+w.addr+"/oauth2/login", strings.NewReader(form.Encode()))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Content-Type", asForm)
	if res, page := b.send(req); res.StatusCode != http.StatusSeeOther {
		w.t.Fatalf("the login ended with %d %s", res.StatusCode, page)
	}
}

// cookie is the value of the login cookie.
func (b *browser) cookie() string {
	for _, c := range b.c.Jar.Cookies(&url.URL{Scheme: "http", Host: b.w.addr, Path: "/"}) {
		if c.Name == loginCookie {
			return c.Value
		}
	}
	b.w.t.Fatal("the browser has no login cookie")
	return ""
}

// code is a fresh authorization code of a client for the browser's user.
func (b *browser) code(c *admin.OAuthClient) string {
	b.w.t.Helper()
	req, err := http.NewRequestWithContext(b.w.t.Context(), "GET", "http://"+b.w.addr+authorizeQuery(c, "prompt", "none"), nil)
	if err != nil {
		b.w.t.Fatal(err)
	}
	res, page := b.send(req)
	to, err := url.Parse(res.Header.Get("Location"))
	if err != nil || to.Query().Get("code") == "" {
		b.w.t.Fatalf("no code: %d %q %s", res.StatusCode, res.Header.Get("Location"), page)
	}
	return to.Query().Get("code")
}

func basicAuth(id, secret string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(id)+":"+url.QueryEscape(secret))) + "\r\n"
}

// formRequest is a form POST of a client that has a secret, or of nobody.
func formRequest(path string, c *admin.OAuthClient, form string) []byte {
	auth := ""
	if c != nil {
		auth = basicAuth(c.ID, c.Secret)
	}
	return fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: test\r\n%sContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", path, auth, asForm, len(form), form)
}

// redeem gives the tokens for a code.
func (w *world) redeem(c *admin.OAuthClient, code string) map[string]any {
	w.t.Helper()
	form := url.Values{"grant_type": {core.GrantCode}, "code": {code}, "redirect_uri": {callback}, "code_verifier": {verifier}}
	return w.post(formRequest("/oauth2/token", c, form.Encode()))
}

// exchangeForm asks for a narrower token.
func exchangeForm(tok string) string {
	return "grant_type=" + url.QueryEscape(core.GrantExchange) + "&subject_token_type=" + url.QueryEscape(authserver.TypeAccessToken) + "&scope=openid+reader&subject_token=" + formText(tok)
}

// armClients registers the clients that people use, one for each algorithm of
// id tokens.
func (w *world) armClients() {
	w.t.Helper()
	for name, alg := range map[string]string{"app": "ES256", "rs": "RS256", "ed": "EdDSA"} {
		w.newClient(admin.NewOAuthClient{
			Name: name, IDTokenAlg: alg, Grants: []string{core.GrantCode, core.GrantRefresh, core.GrantExchange}, IntrospectAll: true,
			Scopes:       []string{"openid", "profile", "email", "offline_access", "reader", core.RoleRevocations},
			RedirectURIs: []string{callback}, PostLogoutRedirectURIs: []string{goodbye},
		})
	}
}

// armOAuth logs a user in with a browser.
func (w *world) armOAuth(name, sub string) *browser {
	w.t.Helper()
	app, b := w.clients["app"], w.newBrowser()
	b.signIn(app, name)
	w.add("browser", kindCookie, b.cookie(), sub).set.Kind = token.Refresh
	first := w.redeem(app, b.code(app))
	w.add("oauth", token.Access, text(first, "access_token"), sub)
	w.add("oauth", token.Refresh, text(first, "refresh_token"), sub)
	// An id token ends the session it came from, as a hint at logout: these are
	// of sessions of their own.
	w.add("oauth", token.ID, text(w.redeem(app, b.code(app)), "id_token"), sub)
	for name, mount := range map[string]string{"rs": "oauth.rs256", "ed": "oauth.eddsa"} {
		c := w.clients[name]
		w.add(mount, token.ID, text(w.redeem(c, b.code(c)), "id_token"), sub)
	}
	narrow := w.post(formRequest("/oauth2/token", app, exchangeForm(text(first, "access_token"))))
	w.add("exchanged", token.Access, text(narrow, "access_token"), sub).set.Mount = "oauth"
	return b
}

// armMachine registers a client that speaks for itself.
func (w *world) armMachine() {
	w.t.Helper()
	machine := w.newClient(admin.NewOAuthClient{Name: "machine", Grants: []string{core.GrantCredentials}, Scopes: []string{"reader", core.RoleRevocations}})
	own := w.post(formRequest("/oauth2/token", machine, "grant_type="+core.GrantCredentials))
	w.add("machine", token.Access, text(own, "access_token"), machine.ID).set.Mount = "oauth"
	w.add("machine", kindSecret, machine.Secret, machine.ID)
}

// armAssertions registers clients that prove themselves by a key, and lets them
// and the API key sign.
func (w *world) armAssertions() {
	w.t.Helper()
	issuer := w.app.URL()
	for name, alg := range map[string]string{"es": "ES256", "rsa": "RS256", "okp": "EdDSA"} {
		key := newRawKey(w.t, alg)
		key.kid = "client-" + name
		c := w.newClient(admin.NewOAuthClient{
			Name: name, Auth: string(core.AuthPrivateKey), JWKS: json.RawMessage(`{"keys":[` + key.jwk() + `]}`),
			Grants: []string{core.GrantCredentials, core.GrantAssertion}, Scopes: []string{"reader"},
		})
		make := func() string {
			return key.token(`{"alg":"`+alg+`","kid":"`+key.kid+`"}`, fmt.Sprintf(`{"iss":%q,"sub":%q,"aud":%q,"exp":%d,"iat":%d,"jti":"j%d"}`, c.ID, c.ID, issuer, w.now()+60, w.now(), w.next()))
		}
		cred := w.add(name, kindAssertion, make(), c.ID)
		cred.key, cred.foreign, cred.fresh = key, true, make
	}
	key := &rawKey{alg: "HS256", secret: []byte(w.apiKey.Secret)}
	make := func() string {
		return key.token(`{"alg":"HS256","typ":"JWT"}`, fmt.Sprintf(`{"iss":%q,"sub":%q,"aud":%q,"exp":%d,"jti":"j%d"}`, w.apiKey.ID, w.apiKey.ID, issuer, w.now()+60, w.next()))
	}
	cred := w.add("apikey", kindKeyProof, make(), w.apiKey.ID)
	cred.key, cred.foreign, cred.fresh = key, true, make
}
