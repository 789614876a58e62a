package app_test

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/admin"
)

const accountPath = "/oauth2/account"

// forms are the page's forms that carry a field, by its value.
func (a *answer) forms(field string) (values []string) {
	for _, m := range regexp.MustCompile(`name="`+field+`" value="([^"]*)"`).FindAllStringSubmatch(a.raw, -1) {
		values = append(values, m[1])
	}
	return values
}

// change posts one of the forms of the user's own page.
func (b *browser) change(page *answer, pairs ...string) *answer {
	b.s.t.Helper()
	return b.post(accountPath, form(append([]string{"csrf", page.fields(accountPath).Get("csrf")}, pairs...)...))
}

// TestSecurity45_OwnSessions: a user sees where he is signed in and ends one
// session or all others, and nobody else's; an operator ends one or all.
func TestSecurity45_OwnSessions(t *testing.T) {
	p := newParty(t, admin.NewOAuthClient{Name: "Shop"})
	eve := p.s.user("", "eve", "user")
	app := p.signIn()
	other := p.s.browser()
	there := p.s.redeem(p.c, other.signIn(other.authorize(ask(p.c)), "ada", password).code()).want(200, "")
	contract := p.s.do("POST", "/api/users/login", "", map[string]string{"username": "ada", "password": password}).want(200, "")
	p.s.do("POST", "/api/users/login", "", map[string]string{"username": "eve", "password": password}).want(200, "")
	p.s.pass(2 * time.Minute)

	page := p.b.get(accountPath, nil).shown(200, "Where you are signed in")
	sids := page.forms("session")
	if len(sids) != 4 || strings.Count(page.raw, "<bdi>Shop</bdi>") != 2 || !strings.Contains(page.raw, "The API (itempath)") || !strings.Contains(page.raw, "this browser") {
		t.Fatalf("%d sessions can be ended: %s", len(sids), page.raw)
	}

	// What is not his is left alone, and so is everything without the form's token.
	var theirs admin.Page[admin.Session]
	if err := p.s.admin.Get(t.Context(), "/sessions", url.Values{"subject": {eve}}, &theirs); err != nil {
		t.Fatal(err)
	}
	p.b.change(page, "session", theirs.Items[0].ID)
	p.b.change(page, "session", "nonsense")
	p.b.post(accountPath, form("csrf", "x", "others", "all")).shown(403, "out of date")
	foreign := other.get(accountPath, nil).fields(accountPath).Get("csrf")
	p.b.post(accountPath, form("csrf", foreign, "others", "all")).shown(403, "out of date")
	if err := p.s.admin.Get(t.Context(), "/sessions", url.Values{"subject": {eve}}, &theirs); err != nil || len(theirs.Items) != 1 {
		t.Errorf("eve's sessions: %v %v", theirs.Items, err)
	}

	// One application's session.
	_, claims := unsigned(t, app.text("access_token"))
	if sid := claims["sid"].(string); !slices.Contains(sids, sid) {
		t.Fatalf("%s is not among %v", sid, sids)
	}
	p.b.change(page, "session", claims["sid"].(string))
	p.ended("the application's", app)
	p.s.refreshOAuth(p.c, there.text("refresh_token")).want(200, "")
	p.s.do("POST", "/api/users/refresh", contract.text("refreshToken"), nil).want(200, "")

	// Another browser's login takes with it what came from it.
	var all admin.Page[admin.Session]
	if err := p.s.admin.Get(t.Context(), "/sessions", url.Values{"subject": {p.user}, "mount": {"browser"}}, &all); err != nil || len(all.Items) != 2 {
		t.Fatalf("browser logins: %v %v", all.Items, err)
	}
	for _, s := range all.Items {
		if slices.Contains(page.forms("session"), s.ID) {
			p.b.change(page, "session", s.ID)
		}
	}
	p.ended("the other browser's", there)
	isLoginPage(t, other.authorize(ask(p.c)))

	// All others, and then nobody is left but this browser.
	again := p.goOn()
	p.b.change(page, "others", "all")
	p.ended("the second", again)
	p.s.do("POST", "/api/users/refresh", contract.text("refreshToken"), nil).want(401, "")
	if rest := p.b.get(accountPath, nil).shown(200, "this browser").forms("session"); len(rest) != 0 {
		t.Errorf("left: %v", rest)
	}

	// The operator: one, then all.
	last := p.goOn()
	_, claims = unsigned(t, last.text("access_token"))
	p.s.act("/sessions/revoke", map[string]any{"session": claims["sid"]})
	p.ended("ended by the operator", last)
	last = p.goOn()
	p.s.act("/sessions/revoke", map[string]any{"subject": p.user})
	p.ended("all ended by the operator", last)
	isLoginPage(t, p.b.get(accountPath, nil))
}

// TestOwnConsents: a user takes back what he allowed an application; its
// sessions end, and it has to ask again.
func TestOwnConsents(t *testing.T) {
	p := newParty(t, admin.NewOAuthClient{Name: "<b>Shop</b>", RequireConsent: true})
	silent := p.s.oauthClient(admin.NewOAuthClient{Name: "silent"})
	f := p.b.signIn(p.b.authorize(ask(p.c)), "ada", password).fields("/oauth2/consent")
	f.Set("decision", "allow")
	tokens := p.tokens(p.b.post("/oauth2/consent", f))
	kept := p.s.redeem(silent, p.b.authorize(ask(silent)).code()).want(200, "")

	page := p.b.get(accountPath, nil).shown(200, "See your e-mail address")
	if got := page.forms("consent"); len(got) != 1 || got[0] != p.c.ID || strings.Contains(page.raw, "<b>Shop") {
		t.Fatalf("consents %v: %s", got, page.raw)
	}
	p.b.change(page, "consent", "client_none")
	p.b.change(page, "consent", p.c.ID)
	p.ended("the application's", tokens)
	p.s.refreshOAuth(silent, kept.text("refresh_token")).want(200, "")
	p.b.get(accountPath, nil).shown(200, "No application has asked you")
	p.b.authorize(ask(p.c)).shown(200, "Allow access?")

	// The operator's way.
	f = p.b.authorize(ask(p.c)).fields("/oauth2/consent")
	f.Set("decision", "allow")
	tokens = p.tokens(p.b.post("/oauth2/consent", f))
	var list admin.Page[admin.Consent]
	if err := p.s.admin.Get(t.Context(), "/users/"+p.user+"/consents", nil, &list); err != nil || len(list.Items) != 1 {
		t.Fatalf("%v %v", list.Items, err)
	}
	if c := list.Items[0]; c.Client != p.c.ID || c.ClientName != p.c.Name || strings.Join(c.Scopes, " ") != "openid profile email" || c.CreatedAt == 0 {
		t.Errorf("consent %+v", c)
	}
	if err := p.s.admin.Do(t.Context(), "DELETE", "/users/"+p.user+"/consents/"+p.c.ID, nil, nil, nil); err != nil {
		t.Fatal(err)
	}
	p.ended("taken back by the operator", tokens)
	if err := p.s.admin.Do(t.Context(), "DELETE", "/users/"+p.user+"/consents/"+p.c.ID, nil, nil, nil); err == nil {
		t.Error("it can be taken back twice")
	}
}

// TestOwnPageLogin: the page has a login of its own, for an account that the
// address names, and an application's request does not pass for it.
func TestOwnPageLogin(t *testing.T) {
	s := serve(t, "")
	s.act("/accounts", map[string]string{"shortname": "acme"})
	s.user("acme", "wile", "user")
	b := s.browser()
	b.post(accountPath, form("others", "all")).shown(200, "to see where you are signed in")
	page := isLoginPage(t, b.get(accountPath, nil))
	b.signIn(page, "wile", password).shown(403, "wrong")
	page = isLoginPage(t, b.get(accountPath, form("account", "acme")))
	b.signIn(page, "wile", "").shown(403, "Enter your user name")
	b.signIn(page, "wile", password).shown(200, "Your account")
	b.get(accountPath, url.Values{"account": {"a", "b"}}).shown(400, "twice")

	c := s.oauthClient(admin.NewOAuthClient{})
	s.user("", "ada", "user")
	fresh := s.browser()
	fresh.signIn(isLoginPage(t, fresh.authorize(ask(c, "account", "acme"))), "ada", password).code()
}
