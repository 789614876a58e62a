package app_test

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/admin"
)

// TestSecurity21_OpenRedirect: nothing is sent to an address that is not the
// client's own, registered one (SECURITY 21; RFC 9700 section 4.1).
func TestSecurity21_OpenRedirect(t *testing.T) {
	s := serve(t, "")
	s.user("", "ada", "user")
	c := s.oauthClient(admin.NewOAuthClient{RedirectURIs: []string{
		callback, "https://app.example/q?tenant=1", "http://127.0.0.1/cb", "http://[::1]/cb", "http://localhost:8400/cb", "com.example.app:/cb",
	}})
	b := s.browser()
	b.signIn(b.authorize(ask(c)), "ada", password).code()

	for _, to := range []string{
		"https://app.example/q?tenant=1", "http://127.0.0.1/cb", "http://127.0.0.1:50123/cb", "http://[::1]:9/cb", "http://localhost:8400/cb", "com.example.app:/cb",
	} {
		if q := b.authorize(ask(c, "redirect_uri", to)).sentTo(to); q.Get("code") == "" {
			t.Errorf("%s: the client is told %v", to, q)
		}
	}
	for _, to := range []string{
		"https://evil.example/callback", "https://app.example/callback/", "https://app.example/callback?x=1", "https://app.example/callback#f",
		"https://app.example/CALLBACK", "HTTPS://app.example/callback", "http://app.example/callback", "https://app.example:443/callback",
		"https://app.example/callback/../evil", "https://app.example/%63allback", "https://app.example@evil.example/callback",
		"https://evil.example\\@app.example/callback", "//evil.example/callback", "/oauth2/authorize", "javascript:alert(1)", "data:text/html,x",
		"https://app.example/callback\r\nSet-Cookie: a=b", " https://app.example/callback", "https://app.example/q", "https://app.example/q?tenant=2",
		"http://127.0.0.1:50123/other", "http://127.0.0.2/cb", "https://127.0.0.1/cb", "http://127.0.0.1:1@evil.example/cb", "http://localhost:8401/cb",
		"com.example.app:/cb/", "com.example.app://evil.example/cb",
	} {
		b.authorize(ask(c, "redirect_uri", to)).shown(400, "not registered")
		// Also with an error to tell: that would be a redirector as well.
		b.authorize(ask(c, "redirect_uri", to, "response_type", "token")).shown(400, "not registered")
	}
	b.authorize(ask(c, "redirect_uri", "")).shown(400, "redirect_uri")
	b.authorize(ask(c, "client_id", "")).shown(400, "client_id")
	b.authorize(ask(c, "client_id", "client_nobody")).shown(400, "not known")
	twice := ask(c)
	twice.Add("redirect_uri", "https://evil.example/")
	b.authorize(twice).shown(400, "redirect_uri twice")
	other := s.oauthClient(admin.NewOAuthClient{Name: "other", RedirectURIs: []string{"https://other.example/"}})
	b.authorize(ask(c, "redirect_uri", other.RedirectURIs[0])).shown(400, "not registered")
	s.act("/clients/"+c.ID+"/disable", nil)
	b.authorize(ask(c)).shown(400, "not known")
}

// TestSecurity26_AuthorizeAnswers: what is wrong with a request that comes from a known
// place is told there, with state and iss (SECURITY 20, 26, 32).
func TestSecurity26_AuthorizeAnswers(t *testing.T) {
	s := serve(t, "")
	s.user("", "ada", "user")
	c := s.oauthClient(admin.NewOAuthClient{})
	b := s.browser()
	b.signIn(b.authorize(ask(c)), "ada", password).code()
	for _, tt := range []struct {
		name, want string
		pairs      []string
	}{
		{"no response_type", "invalid_request", []string{"response_type", ""}},
		{"implicit", "unsupported_response_type", []string{"response_type", "token"}},
		{"id_token", "unsupported_response_type", []string{"response_type", "id_token"}},
		{"hybrid", "unsupported_response_type", []string{"response_type", "code id_token"}},
		{"fragment", "invalid_request", []string{"response_mode", "fragment"}},
		{"form_post", "invalid_request", []string{"response_mode", "form_post"}},
		{"no challenge", "invalid_request", []string{"code_challenge", ""}},
		{"no method", "invalid_request", []string{"code_challenge_method", ""}},
		{"plain", "invalid_request", []string{"code_challenge_method", "plain"}},
		{"short challenge", "invalid_request", []string{"code_challenge", "abc"}},
		{"request", "request_not_supported", []string{"request", "a.b.c"}},
		{"request_uri", "request_uri_not_supported", []string{"request_uri", "https://app.example/r"}},
		{"registration", "registration_not_supported", []string{"registration", "{}"}},
		{"scope with two spaces", "invalid_scope", []string{"scope", "openid  email"}},
		{"scope of others", "invalid_scope", []string{"scope", "root"}},
		{"prompt unknown", "invalid_request", []string{"prompt", "dance"}},
		{"prompt none and login", "invalid_request", []string{"prompt", "none login"}},
		{"max_age word", "invalid_request", []string{"max_age", "soon"}},
		{"max_age negative", "invalid_request", []string{"max_age", "-1"}},
		{"hint of nobody", "invalid_request", []string{"id_token_hint", "a.b.c"}},
		{"audience of others", "invalid_target", []string{"resource", "https://other.example/"}},
		{"audience and resource", "invalid_request", []string{"resource", "https://a.example/", "audience", "https://b.example/"}},
		{"long nonce", "invalid_request", []string{"nonce", strings.Repeat("n", 513)}},
	} {
		t.Run(tt.name, func(t *testing.T) { b.authorize(ask(c, tt.pairs...)).toldError(tt.want) })
	}
	twice := ask(c)
	twice.Add("scope", "email")
	b.authorize(twice).toldError("invalid_request")
	machine := s.oauthClient(admin.NewOAuthClient{Name: "m", Grants: []string{"client_credentials"}, RedirectURIs: []string{callback}})
	b.authorize(ask(machine)).toldError("unauthorized_client")
	twice = ask(c)
	twice.Add("state", "st-2")
	if q := b.authorize(twice).sentTo(callback); q.Has("state") || q.Get("error") != "invalid_request" {
		t.Errorf("two states: the client is told %v", q)
	}
	b.authorize(url.Values{"x": {strings.Repeat("x", 9000)}}).shown(400, "too long")
}

// TestSecurity25_LoginForm: the form counts only from the browser it was given to
// (login CSRF), and the one refusal tells nobody who exists (SECURITY 25, 51).
func TestSecurity25_LoginForm(t *testing.T) {
	s := serve(t, "")
	s.user("", "ada", "user")
	s.act("/users/"+s.user("", "off", "user")+"/disable", nil)
	c := s.oauthClient(admin.NewOAuthClient{})
	mine, foreign := s.browser(), s.browser()
	page, theirs := isLoginPage(t, mine.authorize(ask(c))), isLoginPage(t, foreign.authorize(ask(c)))

	f := page.fields("/oauth2/login")
	f.Set("username", "ada")
	f.Set("password", password)
	for name, token := range map[string]string{
		"missing": "", "foreign": theirs.fields("/oauth2/login").Get("csrf"), "cut": f.Get("csrf")[:42],
	} {
		g := form("request", f.Get("request"), "username", "ada", "password", password, "csrf", token)
		mine.post("/oauth2/login", g).shown(403, "out of date")
		if loggedIn(s, mine) {
			t.Fatalf("token %s: logged in", name)
		}
	}
	s.browser().post("/oauth2/login", f).shown(403, "no cookies")
	req := s.request("/oauth2/login", nil, f)
	req.Header.Set("Sec-Fetch-Site", "cross-site")
	mine.send(req).shown(403, "out of date")

	var first string
	for _, who := range []struct{ name, pass string }{{"ada", "wrong " + password}, {"nobody", password}, {"off", password}} {
		a := mine.signIn(page, who.name, who.pass)
		text := strings.ReplaceAll(a.raw, `value="`+who.name+`"`, `value=""`)
		if a.status != 403 || !strings.Contains(a.raw, `role="alert"`) || strings.Contains(a.raw, who.pass) {
			t.Fatalf("%s: status %d %s", who.name, a.status, a.raw)
		}
		if first == "" {
			first = text
		}
		if text != first {
			t.Errorf("%s: another page than for a wrong password:\n%s\n%s", who.name, text, first)
		}
	}
	mine.signIn(page, "ada", "").shown(403, "Enter your user name")
	a := mine.signIn(page, "ada", password)
	if a.code(); a.status != http.StatusSeeOther {
		t.Errorf("status %d after a login, want 303", a.status)
	}
	if !loggedIn(s, mine) || loggedIn(s, foreign) {
		t.Error("the login is not the browser's own")
	}
	if a := mine.get("/oauth2/login", f); a.status != 405 {
		t.Errorf("a login by GET: status %d", a.status)
	}
}

func loggedIn(s *server, b *browser) bool {
	s.t.Helper()
	c := s.oauthClient(admin.NewOAuthClient{Name: "probe"})
	return b.authorize(ask(c, "prompt", "none")).sentTo(callback).Has("code")
}

// TestSecurity28_PageHeaders: no page may be framed, cached, read by scripts of others, or
// tell others where it was (SECURITY 27–29).
func TestSecurity28_PageHeaders(t *testing.T) {
	s := serve(t, "")
	s.user("", "ada", "user")
	c := s.oauthClient(admin.NewOAuthClient{})
	b := s.browser()
	login := isLoginPage(t, b.authorize(ask(c)))
	refused := b.authorize(ask(c, "redirect_uri", "https://evil.example/"))
	in := b.signIn(login, "ada", password)
	for name, a := range map[string]*answer{"login": login, "error": refused, "redirect": in, "consent": b.authorize(ask(c, "prompt", "consent")), "logout": b.get("/oauth2/logout", nil)} {
		for header, want := range map[string]string{
			"Cache-Control": "no-store", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff",
			"Access-Control-Allow-Origin": "",
		} {
			if got := a.header.Get(header); got != want {
				t.Errorf("%s: %s is %q, want %q", name, header, got, want)
			}
		}
		policy := a.header.Get("Content-Security-Policy")
		for _, part := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "style-src 'self'"} {
			if !strings.Contains(policy, part) || strings.Contains(policy, "unsafe") {
				t.Errorf("%s: policy %q lacks %s", name, policy, part)
			}
		}
		if strings.Contains(a.raw, "<script") || strings.Contains(a.raw, "style=") {
			t.Errorf("%s: the page has script or inline style", name)
		}
	}
	if p := login.header.Get("Content-Security-Policy"); !strings.Contains(p, "form-action 'self' https://app.example;") {
		t.Errorf("the login form may not lead to its client: %s", p)
	}
	for _, cookie := range login.header.Values("Set-Cookie") {
		if !strings.Contains(cookie, "HttpOnly") || !strings.Contains(cookie, "SameSite=Lax") || !strings.Contains(cookie, "Path=/") || strings.Contains(cookie, "Domain") {
			t.Errorf("cookie %q", cookie)
		}
	}
	req := s.request("/oauth2/authorize", nil, nil)
	req.Method = "OPTIONS"
	req.Header.Set("Origin", "https://app.example")
	req.Header.Set("Access-Control-Request-Method", "GET")
	if a := b.send(req); a.status != 405 || a.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("preflight: status %d", a.status)
	}
}

// TestHostCookies: with an https issuer the cookies are __Host- ones.
func TestHostCookies(t *testing.T) {
	s := serve(t, "issuer: https://id.example\n")
	c := s.oauthClient(admin.NewOAuthClient{})
	set := s.browser().authorize(ask(c)).header.Get("Set-Cookie")
	if !strings.HasPrefix(set, "__Host-sallyport-form=") || !strings.Contains(set, "; Secure") || !strings.Contains(set, "Path=/;") {
		t.Errorf("cookie %q", set)
	}
}

// TestPlantedCookies: a login is no login of the browser's when somebody else's
// cookie lies beside it, and a new login ends the one before.
func TestPlantedCookies(t *testing.T) {
	s := serve(t, "")
	s.user("", "ada", "user")
	s.user("", "eve", "user")
	c := s.oauthClient(admin.NewOAuthClient{})
	b := s.browser()
	page := b.authorize(ask(c))
	first := b.signIn(page, "eve", password)
	first.code()
	evil := b.cookie("sallyport-login")
	tokens := s.redeem(c, b.authorize(ask(c)).code()).want(200, "")
	b.signIn(page, "ada", password).code()
	if mine := b.cookie("sallyport-login"); mine == evil || mine == "" {
		t.Fatalf("the cookie after a login is %q", mine)
	}
	s.refreshOAuth(c, tokens.text("refresh_token")).isError(400, "invalid_grant")
	old := s.browser()
	old.plant("sallyport-login", evil)
	isLoginPage(t, old.authorize(ask(c)))

	req, err := http.NewRequestWithContext(t.Context(), "GET", s.url+"/oauth2/authorize?"+ask(c).Encode(), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Cookie", "sallyport-login="+b.cookie("sallyport-login")+"; sallyport-login=x")
	isLoginPage(t, s.browser().send(req))
}

// TestLoginAgain: a user who proves again who he is keeps what he had open.
func TestLoginAgain(t *testing.T) {
	s := serve(t, "")
	s.user("", "ada", "user")
	c := s.oauthClient(admin.NewOAuthClient{})
	b := s.browser()
	tokens := s.redeem(c, b.signIn(b.authorize(ask(c)), "ada", password).code()).want(200, "")
	before := b.cookie("sallyport-login")
	s.pass(time.Minute)
	b.signIn(b.authorize(ask(c, "prompt", "login")), "ada", password).code()
	s.refreshOAuth(c, tokens.text("refresh_token")).want(200, "")
	old := s.browser()
	old.plant("sallyport-login", before)
	isLoginPage(t, old.authorize(ask(c)))
}

// TestSecurity38_BrowserLoginEnds: by age, by disuse, and with its user.
func TestSecurity38_BrowserLoginEnds(t *testing.T) {
	s := serve(t, "oauth: {login_lifetime: 3h, login_idle: 1h}\n")
	user := s.user("", "ada", "user")
	c := s.oauthClient(admin.NewOAuthClient{})
	b := s.browser()
	b.signIn(b.authorize(ask(c)), "ada", password).code()
	s.pass(61 * time.Minute)
	isLoginPage(t, b.authorize(ask(c)))
	b.signIn(b.authorize(ask(c)), "ada", password).code()
	s.act("/users/"+user+"/disable", nil)
	isLoginPage(t, b.authorize(ask(c)))

	// However much it is used, it ends with its age.
	s = serve(t, "oauth: {login_lifetime: 3h, login_idle: 6h}\n")
	s.user("", "ada", "user")
	c = s.oauthClient(admin.NewOAuthClient{})
	b = s.browser()
	b.signIn(b.authorize(ask(c)), "ada", password).code()
	s.pass(2 * time.Hour)
	b.authorize(ask(c)).code()
	s.pass(59 * time.Minute)
	b.authorize(ask(c)).code()
	s.pass(time.Minute)
	isLoginPage(t, b.authorize(ask(c)))
}

// TestSecurity56_PagesFailClosed: a store that does not answer is said so, never "log in".
func TestSecurity56_PagesFailClosed(t *testing.T) {
	s := serve(t, "")
	s.user("", "ada", "user")
	c := s.oauthClient(admin.NewOAuthClient{})
	b := s.browser()
	b.signIn(b.authorize(ask(c)), "ada", password).code()
	if err := s.app.CloseStore(); err != nil {
		t.Fatal(err)
	}
	b.authorize(ask(c)).shown(503, "Try again")
	b.get("/oauth2/logout", nil).shown(503, "Try again")
}

// TestSecurity52_PageAndContractShareTheCounter: the page and a contract's login share one counter a name
// (SECURITY 52).
func TestSecurity52_PageAndContractShareTheCounter(t *testing.T) {
	s := serve(t, "limits: {stranger_failures: 5}\n")
	user := s.user("", "ada", "user")
	c := s.oauthClient(admin.NewOAuthClient{})
	b := s.browser()
	page := isLoginPage(t, b.authorize(ask(c)))
	for _, wrong := range []string{"wrong one", "wrong two", "wrong three", "wrong four", "wrong five", "wrong six"} {
		b.signIn(page, "ada", wrong).shown(403, "User name or password is wrong")
	}
	b.signIn(page, "ada", password).shown(403, "User name or password is wrong")
	in := map[string]string{"username": "ada", "password": password}
	s.do("POST", "/api/users/login", "", in).want(401, "")
	s.act("/users/"+user+"/unlock", nil)
	b.signIn(page, "ada", password).code()
}

// TestLoginOfAccount: a client serves the users of its own account, and a login
// of another is none.
func TestLoginOfAccount(t *testing.T) {
	s := serve(t, "")
	s.act("/accounts", map[string]string{"shortname": "acme"})
	s.user("", "ada", "user")
	s.user("acme", "wile", "user")
	ours, theirs := s.oauthClient(admin.NewOAuthClient{}), s.oauthClient(admin.NewOAuthClient{Account: "acme"})
	b := s.browser()
	b.signIn(b.authorize(ask(ours)), "ada", password).code()
	page := isLoginPage(t, b.authorize(ask(theirs)))
	b.authorize(ask(theirs, "prompt", "none")).toldError("login_required")
	b.signIn(page, "ada", password).shown(403, "wrong")
	b.signIn(page, "wile", password).code()
}

// TestOwnStylesheet: the operator's file dresses the pages.
func TestOwnStylesheet(t *testing.T) {
	file := filepath.Join(t.TempDir(), "own.css")
	if err := os.WriteFile(file, []byte("h1 { color: teal }"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := serve(t, "oauth: {stylesheet: "+file+"}\n")
	page := s.browser().authorize(ask(s.oauthClient(admin.NewOAuthClient{})))
	const path = "/oauth2/pages/style.css"
	if a := s.do("GET", path, "", nil); !strings.Contains(page.raw, `href="`+path+`"`) || a.raw != "h1 { color: teal }" {
		t.Errorf("the stylesheet is %q", a.raw)
	}
}
