package oauth

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/core/authserver"
)

// authorize is the authorization endpoint (RFC 6749 section 3.1, OpenID Connect
// Core section 3.1.2). It ends in a redirect to the client, or in a page.
func (b *browser) authorize(v *visit) error {
	if v.r.Method == http.MethodPost {
		return b.asGet(v, PathAuthorize)
	}
	q, err := b.readRequest(v.ctx(), v.r.URL.RawQuery)
	if err != nil {
		return err
	}
	login, cookie, err := b.who(v)
	if err != nil {
		return q.refusalOf(err)
	}
	if !q.fits(login, b.now()) {
		if q.prompts("none") {
			return q.refuse(errLoginRequired, "the user must log in")
		}
		return b.showLogin(v, b.forClient(q), loginForm{Username: q.params.Get("login_hint")})
	}
	scope, err := q.allowed(login)
	if err != nil {
		return q.refusalOf(err)
	}
	ask, err := b.mustAsk(v, q, login, scope)
	switch {
	case err != nil:
		return q.refusalOf(err)
	case ask && q.prompts("none"):
		return q.refuse(errConsentRequired, "the user must be asked")
	case ask:
		return b.showConsent(v, q, login, cookie, scope)
	}
	return b.grant(v, q, login, scope, q.client.RequireConsent)
}

// asGet sends a request that came by POST the same way by GET. A POST from
// another site carries no Lax cookie, so the login would not be found.
func (b *browser) asGet(v *visit, path string) error {
	form, err := readForm(v.r)
	if err != nil {
		return err
	}
	query := form.Encode()
	if len(query) > maxRequest {
		return invalidRequest("The request is too long")
	}
	return v.redirect(b.prefix + path + "?" + query)
}

// allowed is the scope that the user can give the client.
func (q *request) allowed(login *authserver.BrowserLogin) ([]string, error) {
	scope, err := authserver.AllowedScope(&q.client.OAuthClient, q.scope, login.Subject.Roles, false)
	if err == nil && len(scope) == 0 && len(q.scope) > 0 {
		err = &core.Error{Code: core.BadRequest, OAuth: authserver.InvalidScope, Message: "Nothing of the scope asked for can be given"}
	}
	return scope, err
}

// mustAsk says whether the user is to be asked before the client gets anything.
func (b *browser) mustAsk(v *visit, q *request, login *authserver.BrowserLogin, scope []string) (bool, error) {
	if q.prompts("consent") || !q.provesItself() {
		return true, nil
	}
	if !q.client.RequireConsent {
		return false, nil
	}
	given, err := b.svc.Consented(v.ctx(), login.Subject.ID, q.client.ID, scope)
	return !given, err
}

// provesItself reports whether who gets the code must be the client: it
// authenticates, or is the owner of an https address. Another program of the
// machine can listen at a loopback address or take an app's scheme, and knows
// the id of a public client; with a login at hand it would get codes unseen (RFC
// 8252 section 8.6).
func (q *request) provesItself() bool {
	return q.client.Type == core.ClientConfidential || strings.HasPrefix(q.redirect, "https:")
}

// grant sends the client its code. consented says that the user's word, which
// was just given or found, is what it rests on.
func (b *browser) grant(v *visit, q *request, login *authserver.BrowserLogin, scope []string, consented bool) error {
	code, err := b.svc.IssueCode(v.ctx(), &authserver.CodeRequest{
		Client: q.client, Browser: login, RedirectURI: q.redirect, Challenge: q.challenge,
		Nonce: q.params.Get("nonce"), Scope: scope, Audience: q.audience, Consent: consented,
	})
	if err != nil {
		return q.refusalOf(err)
	}
	return b.tell(v, q, url.Values{"code": {code}})
}

// tell redirects to the client, with its state and our name (RFC 9207).
func (b *browser) tell(v *visit, q *request, params url.Values) error {
	params.Set("iss", b.h.cfg.Issuer)
	if q.state != "" {
		params.Set("state", q.state)
	}
	return v.redirect(withQuery(q.redirect, params))
}

// redirect answers 303: a browser that just sent a password does not send it
// to where it is redirected (RFC 9700 section 4.12). The address is one of
// ours, or one that a client registered.
func (v *visit) redirect(to string) error {
	v.w.Header().Set("Location", to)
	v.w.WriteHeader(http.StatusSeeOther)
	return nil
}

// destination is where a login leads: on to a client, or to the user's own page.
type destination struct {
	account string // short name of the account whose users may log in
	client  string // name of the application, "" for our own page
	forms   string // where the form may lead beside this server
	request string // what brings the form back here
	next    string
	refusal func(error) error // how an error is told
}

// forClient is the way on to the client of an authorization request.
func (b *browser) forClient(q *request) *destination {
	return &destination{
		account: q.client.AccountShortname, client: q.client.Name, forms: q.redirect, request: q.encode(),
		next: b.prefix + PathAuthorize + "?" + q.loggedIn(), refusal: q.refusalOf,
	}
}

// destination reads where a login form leads.
func (b *browser) destination(v *visit, form url.Values) (*destination, error) {
	if account, ok := strings.CutPrefix(form.Get("request"), ownPage); ok {
		return b.forAccount(account), nil
	}
	q, err := b.readRequest(v.ctx(), form.Get("request"))
	if err != nil {
		return nil, err
	}
	return b.forClient(q), nil
}

// login takes user name and password.
func (b *browser) login(v *visit) error {
	form, err := readForm(v.r)
	if err != nil {
		return err
	}
	d, err := b.destination(v, form)
	if err != nil {
		return err
	}
	if err := b.checkForm(v, form.Get("csrf"), "login", b.readCookie(v.r, cookieForm), ""); err != nil {
		return err
	}
	back := loginForm{Username: form.Get("username")}
	if back.Username == "" || form.Get("password") == "" {
		back.Message, back.status = "Enter your user name and your password.", http.StatusForbidden
		return b.showLogin(v, d, back)
	}
	old, _, err := b.who(v)
	if err != nil {
		return d.refusal(err)
	}
	login, err := b.svc.LoginBrowser(v.ctx(), &core.LoginRequest{
		Account: d.account, Username: back.Username, Password: form.Get("password"), Client: v.from,
	})
	if err != nil {
		return b.loginFailed(v, d, back, err)
	}
	if err := b.replace(v, old, login); err != nil {
		return d.refusal(err)
	}
	b.setCookie(v.w, cookieLogin, login.Cookie, cookieKept)
	return v.redirect(d.next)
}

// replace ends the login that a browser had before. Of the same user, what came
// from it goes over to the new one, also when the old one had ended of itself.
// Of another user's that lives, what came from it ends too: he is not there any
// more.
func (b *browser) replace(v *visit, old, login *authserver.BrowserLogin) error {
	before := old
	if before == nil {
		before = b.svc.BrowserBefore(b.readCookie(v.r, cookieLogin))
	}
	switch {
	case before != nil && before.Subject.ID == login.Subject.ID:
		return b.svc.SupersedeBrowser(v.ctx(), before, login, &v.from)
	case old != nil:
		return b.svc.EndBrowser(v.ctx(), old, &v.from)
	}
	return nil
}

// loginFailed shows the form again. Wrong password, unknown, disabled and
// locked users are one page (SECURITY 51).
func (b *browser) loginFailed(v *visit, d *destination, back loginForm, err error) error {
	var e *core.Error
	if !errors.As(err, &e) {
		return err
	}
	switch {
	case e.Code == core.BadCredentials:
		back.Message, back.status = "User name or password is wrong, or the account cannot be used now.", http.StatusForbidden
	case e.Code == core.TooMany:
		back.Message, back.status, back.retry = "There were too many attempts. Wait a little, then try again.", http.StatusTooManyRequests, e.RetryAfter
	default:
		return err
	}
	return b.showLogin(v, d, back)
}

// consent takes a user's word.
func (b *browser) consent(v *visit) error {
	form, err := readForm(v.r)
	if err != nil {
		return err
	}
	q, err := b.readRequest(v.ctx(), form.Get("request"))
	if err != nil {
		return err
	}
	login, cookie, err := b.who(v)
	if err != nil {
		return q.refusalOf(err)
	}
	if login == nil || login.Subject.Account != q.client.Account {
		return v.redirect(b.prefix + PathAuthorize + "?" + q.encode())
	}
	// The token is for this login and this request: what was shown is what is
	// agreed to.
	if err := b.checkForm(v, form.Get("csrf"), "consent", cookie, form.Get("request")); err != nil {
		return err
	}
	if form.Get("decision") != "allow" {
		return q.refuse(errAccessDenied, "the user said no")
	}
	scope, err := q.allowed(login)
	if err != nil {
		return q.refusalOf(err)
	}
	if shown := form.Get("scope"); shown != strings.Join(scope, " ") {
		// Roles changed while the page was open.
		return b.showConsent(v, q, login, cookie, scope)
	}
	if err := b.svc.Consent(v.ctx(), login, q.client, scope, &v.from); err != nil {
		return q.refusalOf(err)
	}
	return b.grant(v, q, login, scope, true)
}
