package app_test

import (
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/admin"
)

// TestConsent: a client that must ask gets nothing before the user said yes;
// the word is kept, and holds for what was said alone.
func TestConsent(t *testing.T) {
	p := newParty(t, admin.NewOAuthClient{Name: `<i>App</i>`, RequireConsent: true})
	page := p.b.signIn(p.b.authorize(ask(p.c)), "ada", password).shown(200, "Allow access?")
	if strings.Contains(page.raw, "<i>") || !strings.Contains(page.raw, "app.example") {
		t.Errorf("the page: %s", page.raw)
	}
	p.b.authorize(ask(p.c, "prompt", "none")).toldError("consent_required")
	f := page.fields("/oauth2/consent")
	say := func(word string) *answer {
		f.Set("decision", word)
		return p.b.post("/oauth2/consent", f)
	}
	say("deny").toldError("access_denied")
	say("").toldError("access_denied")
	p.b.authorize(ask(p.c, "prompt", "none")).toldError("consent_required")
	p.claims(p.tokens(say("allow")))
	p.goOn("prompt", "none")
	p.goOn("scope", "openid")
	p.b.authorize(ask(p.c, "scope", "openid read", "prompt", "none")).toldError("consent_required")
	p.b.authorize(ask(p.c, "prompt", "consent")).shown(200, "Allow access?")
	again := isLoginPage(t, p.b.authorize(ask(p.c, "prompt", "login consent")))
	p.b.signIn(again, "ada", password).shown(200, "Allow access?")
}

// TestConsentForged: a word counts only from the page that showed what it is
// about, in the browser that it was shown in.
func TestConsentForged(t *testing.T) {
	p := newParty(t, admin.NewOAuthClient{RequireConsent: true})
	page := p.b.signIn(p.b.authorize(ask(p.c, "scope", "openid")), "ada", password)
	f := page.fields("/oauth2/consent")
	f.Set("decision", "allow")
	wider := form("csrf", f.Get("csrf"), "decision", "allow", "request", ask(p.c, "scope", "openid email read").Encode(), "scope", "openid email read")
	p.b.post("/oauth2/consent", wider).shown(403, "out of date")
	missing := form("decision", "allow", "request", f.Get("request"), "scope", "openid")
	p.b.post("/oauth2/consent", missing).shown(403, "out of date")
	req := p.s.request("/oauth2/consent", nil, f)
	req.Header.Set("Sec-Fetch-Site", "cross-site")
	p.b.send(req).shown(403, "out of date")
	p.s.user("", "eve", "user")
	eve := p.s.browser()
	eve.signIn(eve.authorize(ask(p.c)), "eve", password)
	eve.post("/oauth2/consent", f).shown(403, "out of date")
	isLoginPage(t, p.s.browser().post("/oauth2/consent", f))
	p.b.authorize(ask(p.c, "scope", "openid", "prompt", "none")).toldError("consent_required")
}

// TestUserinfoRefusals: by RFC 6750, and no token in a URL (SECURITY 30, 31).
func TestUserinfoRefusals(t *testing.T) {
	p := newParty(t, admin.NewOAuthClient{})
	tokens := p.signIn("scope", "openid read")
	good, path := tokens.text("access_token"), "/oauth2/userinfo"
	a := p.s.do("GET", path, "", nil)
	if a.status != 401 || a.header.Get("WWW-Authenticate") != `Bearer realm="sallyport"` {
		t.Errorf("without a token: %d %q", a.status, a.header.Get("WWW-Authenticate"))
	}
	for name, bad := range map[string]string{"word": "x", "refresh": tokens.text("refresh_token"), "id": tokens.text("id_token"), "cut": good[:len(good)-1]} {
		a := p.s.do("GET", path, bad, nil)
		if a.status != 401 || !strings.Contains(a.header.Get("WWW-Authenticate"), `error="invalid_token"`) {
			t.Errorf("%s: %d %q", name, a.status, a.header.Get("WWW-Authenticate"))
		}
	}
	for _, tok := range []string{"", good} {
		if a := p.s.do("GET", path+"?access_token="+good, tok, nil); a.status != 400 {
			t.Errorf("a token in the URL: %d %s", a.status, a.raw)
		}
	}
	plain := p.goOn("scope", "read").text("access_token")
	if a := p.s.do("GET", path, plain, nil); a.status != 403 || !strings.Contains(a.header.Get("WWW-Authenticate"), `error="insufficient_scope"`) {
		t.Errorf("without openid: %d %q", a.status, a.header.Get("WWW-Authenticate"))
	}
	p.s.do("PUT", path, good, nil).want(405, "")
	p.s.do("GET", path, good, nil).want(200, `{"sub":"`+p.user+`"}`)
}
