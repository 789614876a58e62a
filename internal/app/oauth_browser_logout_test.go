package app_test

import (
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/internal/core"
)

const logoutPath = "/oauth2/logout"

// ended checks that nothing of an application's session counts any more.
func (p *party) ended(what string, tokens *answer) {
	p.t.Helper()
	if a := p.s.refreshOAuth(p.c, tokens.text("refresh_token")); a.status != 400 {
		p.t.Errorf("%s: the refresh token still gives %d", what, a.status)
	}
	if a := p.s.do("GET", "/oauth2/userinfo", tokens.text("access_token"), nil); a.status != 401 {
		p.t.Errorf("%s: the access token still gives %d", what, a.status)
	}
}

// TestLogoutAfterLoginAgain: a user who logged in again in the same browser,
// asked to or because the login had ended, leaves by one logout everything
// that he reached from it. By RP-Initiated Logout section 2 the user logs out
// of the server; which of his logins opened a session there is not his to know.
func TestLogoutAfterLoginAgain(t *testing.T) {
	for name, again := range map[string]func(p *party) *answer{
		"asked by the application": func(p *party) *answer { return p.signIn("prompt", "login") },
		"three times": func(p *party) *answer {
			p.signIn("prompt", "login")
			p.s.pass(time.Minute)
			return p.signIn("max_age", "1")
		},
		"login unused for too long": func(p *party) *answer {
			p.s.pass(3 * time.Hour)
			return p.signIn()
		},
		"login too old": func(p *party) *answer {
			p.s.pass(13 * time.Hour)
			return p.signIn()
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newParty(t, admin.NewOAuthClient{})
			first := p.signIn()
			p.s.pass(time.Minute)
			second := again(p)
			p.s.refreshOAuth(p.c, first.text("refresh_token")).want(200, "") // logging in again ends nothing
			p.b.get(logoutPath, form("id_token_hint", second.text("id_token"), "post_logout_redirect_uri", bye)).sentTo(bye)
			p.ended("the second", second)
			p.ended("the first", first)
		})
	}
}

// TestLogoutOfAnEndedLogin: who logs out after his login ended of itself ends
// what came from it, not only the application that asked.
func TestLogoutOfAnEndedLogin(t *testing.T) {
	p := newParty(t, admin.NewOAuthClient{})
	first, second := p.signIn(), p.goOn()
	p.s.pass(3 * time.Hour)
	p.b.get(logoutPath, form("id_token_hint", second.text("id_token"), "post_logout_redirect_uri", bye)).sentTo(bye)
	p.ended("the second", second)
	p.ended("the first", first)
}

// TestLogoutLeavesOthers: other browsers of the user, and users who had the
// browser before and whose login had ended, keep what they have.
func TestLogoutLeavesOthers(t *testing.T) {
	p := newParty(t, admin.NewOAuthClient{})
	p.s.user("", "eve", "user")
	ada := p.signIn()
	elsewhere := p.s.redeem(p.c, func() string {
		b := p.s.browser()
		return b.signIn(b.authorize(ask(p.c)), "ada", password).code()
	}()).want(200, "")
	p.s.pass(3 * time.Hour)
	eve := p.tokens(p.b.signIn(p.b.authorize(ask(p.c)), "eve", password))
	p.b.get(logoutPath, form("id_token_hint", eve.text("id_token"), "post_logout_redirect_uri", bye)).sentTo(bye)
	p.ended("eve's", eve)
	p.s.refreshOAuth(p.c, ada.text("refresh_token")).want(200, "")
	p.s.refreshOAuth(p.c, elsewhere.text("refresh_token")).want(200, "")
}

// TestLogoutByForeignHint: an id token of the same user but of another of his
// browsers is no word of this one: it stands in URLs and logs, and whoever
// found one could log him out by a link. He is asked.
func TestLogoutByForeignHint(t *testing.T) {
	p := newParty(t, admin.NewOAuthClient{})
	here := p.signIn()
	other := p.s.browser()
	there := p.s.redeem(p.c, other.signIn(other.authorize(ask(p.c)), "ada", password).code()).want(200, "")
	page := p.b.get(logoutPath, form("id_token_hint", there.text("id_token"), "post_logout_redirect_uri", bye))
	page.shown(200, "Sign out?")
	p.goOn("prompt", "none")
	p.s.refreshOAuth(p.c, here.text("refresh_token")).want(200, "")
	f := page.fields("/oauth2/logout/confirm")
	f.Set("decision", "leave")
	p.b.post("/oauth2/logout/confirm", f).sentTo(bye)
	p.ended("this browser's", here)
}

// TestLogoutByForeignHintLater: nor is it one where the login has ended: the
// session that the hint came from ends, and nothing of this browser's.
func TestLogoutByForeignHintLater(t *testing.T) {
	p := newParty(t, admin.NewOAuthClient{})
	here := p.signIn()
	other := p.s.browser()
	there := p.s.redeem(p.c, other.signIn(other.authorize(ask(p.c)), "ada", password).code()).want(200, "")
	p.s.pass(3 * time.Hour)
	p.b.get(logoutPath, form("id_token_hint", there.text("id_token"), "post_logout_redirect_uri", bye)).sentTo(bye)
	p.ended("the other browser's", there)
	p.s.refreshOAuth(p.c, here.text("refresh_token")).want(200, "")
}

// TestWithdrawnConsentInFlight: a code that was given before consent was taken
// back opens no session after it.
func TestWithdrawnConsentInFlight(t *testing.T) {
	p := newParty(t, admin.NewOAuthClient{RequireConsent: true})
	page := p.b.signIn(p.b.authorize(ask(p.c)), "ada", password)
	f := page.fields("/oauth2/consent")
	f.Set("decision", "allow")
	code := p.b.post("/oauth2/consent", f).code()
	if err := p.s.app.AuthServer().WithdrawConsent(t.Context(), core.Actor{Name: "test"}, p.user, p.c.ID); err != nil {
		t.Fatal(err)
	}
	p.s.redeem(p.c, code).isError(400, "invalid_grant")
}
