package oauth

import (
	"net/http"
	"net/url"
	"slices"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/core/authserver"
)

// leaving is a logout request (OpenID Connect RP-Initiated Logout section 2)
// whose target, if any, the client registered.
type leaving struct {
	client *core.ClientRecord // nil when nobody says which
	user   string             // whom id_token_hint names
	sid    string             // the session it came from
	target string             // "" = a page of ours
	state  string
}

// logout ends the browser's login and what came from it.
func (b *browser) logout(v *visit) error {
	if v.r.Method == http.MethodPost {
		return b.asGet(v, PathLogout)
	}
	l, err := b.readLeaving(v, v.r.URL.RawQuery)
	if err != nil {
		return err
	}
	login, cookie, err := b.who(v)
	if err != nil {
		return err
	}
	if login == nil { // there is nothing to ask about
		return b.leave(v, l, nil)
	}
	if mine, err := b.hinted(v, l, login); err != nil {
		return err
	} else if !mine {
		return b.showLogout(v, l, login, cookie)
	}
	return b.leave(v, l, login)
}

// hinted reports whether the hint is this login's own: an id token of the same
// user, of a session that came from this browser. Without one anybody's link
// could end the login, and an id token of another browser may have been found
// in a log (RP-Initiated Logout section 2 calls it suspect): the user is asked.
func (b *browser) hinted(v *visit, l *leaving, login *authserver.BrowserLogin) (bool, error) {
	if login == nil || l.user != login.Subject.ID {
		return false, nil
	}
	return b.svc.CameFrom(v.ctx(), l.sid, login)
}

// readLeaving reads a logout request. Nothing ends, and nobody is sent
// anywhere, by one that is wrong.
func (b *browser) readLeaving(v *visit, raw string) (*leaving, error) {
	params, twice, err := parameters(raw)
	if err != nil {
		return nil, err
	}
	if len(twice) > 0 {
		return nil, invalidRequest("The application sent a parameter twice: " + clip(twice[0]))
	}
	l := &leaving{state: params.Get("state")}
	id := params.Get("client_id")
	if hint := params.Get("id_token_hint"); hint != "" {
		var client string
		if client, l.user, l.sid, err = b.svc.IDTokenHint(hint); err != nil {
			return nil, invalidRequest("The application sent an id_token_hint that is no id token of ours")
		}
		if id != "" && id != client {
			return nil, invalidRequest("The application sent an id_token_hint of another application")
		}
		id = client
	}
	if id != "" {
		l.client, err = b.svc.PublicClient(v.ctx(), id)
		if core.CodeOf(err).Is(core.Unauthorized) {
			return nil, invalidRequest("The application is not known here")
		}
		if err != nil {
			return nil, err
		}
	}
	if l.target = params.Get("post_logout_redirect_uri"); l.target == "" {
		return l, nil
	}
	if l.client == nil {
		return nil, invalidRequest("The application asked to be answered, but did not say which one it is")
	}
	if !slices.Contains(l.client.PostLogoutRedirectURIs, l.target) {
		return nil, invalidRequest("The application asked to be answered at an address that is not registered for it")
	}
	return l, nil
}

// confirmLogout takes the user's word.
func (b *browser) confirmLogout(v *visit) error {
	form, err := readForm(v.r)
	if err != nil {
		return err
	}
	l, err := b.readLeaving(v, form.Get("request"))
	if err != nil {
		return err
	}
	login, cookie, err := b.who(v)
	if err != nil {
		return err
	}
	if login == nil {
		return b.leave(v, l, nil)
	}
	if err := b.checkForm(v, form.Get("csrf"), "logout", cookie, form.Get("request")); err != nil {
		return err
	}
	if form.Get("decision") != "leave" {
		return b.show(v, http.StatusOK, "done", "Still signed in", "", "", "You are still signed in. You can close this page.")
	}
	// He said so for himself; the session of a hint for somebody else is not his.
	if l.user != login.Subject.ID {
		l.user, l.sid = "", ""
	}
	return b.leave(v, l, login)
}

// leave ends what there is: the login with all that came from it, also one that
// had ended of itself and left sessions behind, and the session of the hint.
func (b *browser) leave(v *visit, l *leaving, login *authserver.BrowserLogin) error {
	if login == nil {
		before := b.svc.BrowserBefore(b.readCookie(v.r, cookieLogin))
		if mine, err := b.hinted(v, l, before); err != nil {
			return err
		} else if mine {
			login = before
		}
	}
	if login != nil {
		if err := b.svc.EndBrowser(v.ctx(), login, &v.from); err != nil {
			return err
		}
	}
	if l.client != nil && l.sid != "" {
		if err := b.svc.EndClientSession(v.ctx(), l.client.ID, l.user, l.sid, &v.from); err != nil {
			return err
		}
	}
	if b.readCookie(v.r, cookieLogin) != "" {
		b.setCookie(v.w, cookieLogin, "", -1)
	}
	if l.target == "" {
		return b.show(v, http.StatusOK, "done", "Signed out", "", "", "You are signed out. You can close this page.")
	}
	params := url.Values{}
	if l.state != "" {
		params.Set("state", l.state)
	}
	return v.redirect(withQuery(l.target, params))
}

// logoutForm is what the confirmation page shows.
type logoutForm struct{ User, CSRF, Request string }

func (b *browser) showLogout(v *visit, l *leaving, login *authserver.BrowserLogin, cookie string) error {
	f := logoutForm{User: login.Subject.Username, Request: v.r.URL.RawQuery}
	f.CSRF = b.formToken("logout", cookie, f.Request)
	name := ""
	if l.client != nil {
		name = l.client.Name
	}
	return b.show(v, http.StatusOK, "logout", "Sign out", name, l.target, f)
}
