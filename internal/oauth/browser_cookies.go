package oauth

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/core/authserver"
)

// The cookies. With the prefix __Host- a browser takes them only with Secure,
// without Domain and for the whole host, so no sibling domain and no plain-HTTP
// attacker can plant one. Browsers refuse that prefix where the issuer is http
// (development on loopback): there the names are bare.
const (
	cookieLogin = "sallyport-login" // who is logged in
	cookieForm  = "sallyport-form"  // whose login form it is, before anybody is

	// cookieKept is how long a browser keeps the login's cookie, in seconds: 90
	// days. That is longer than the login counts, so that a later login or logout
	// of the same browser finds which sessions came from it.
	cookieKept = 90 * 24 * 3600
)

func (b *browser) cookieName(name string) string {
	if b.secure {
		return "__Host-" + name
	}
	return name
}

// readCookie gives a cookie's value. Two of one name mean that somebody planted
// one; neither counts.
func (b *browser) readCookie(r *http.Request, name string) string {
	all := r.CookiesNamed(b.cookieName(name))
	if len(all) != 1 || len(all[0].Value) > 4096 {
		return ""
	}
	return all[0].Value
}

// setCookie sets a cookie; maxAge in seconds, 0 = until the browser closes,
// negative = now gone. Lax, not Strict: a client's page sends the browser here,
// and that must find the login.
func (b *browser) setCookie(w http.ResponseWriter, name, value string, maxAge int) {
	http.SetCookie(w, &http.Cookie{
		Name: b.cookieName(name), Value: value, Path: "/", MaxAge: maxAge,
		Secure: b.secure, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

// formCookie gives the secret that this browser's login forms hang on, and
// sets one where there is none.
func (b *browser) formCookie(v *visit) string {
	if c := b.readCookie(v.r, cookieForm); len(c) == 22 {
		return c
	}
	var raw [16]byte
	_, _ = rand.Read(raw[:]) // never fails
	c := base64.RawURLEncoding.EncodeToString(raw[:])
	b.setCookie(v.w, cookieForm, c, 0)
	return c
}

// formToken is the token in a form: a MAC over what the form does, the cookie
// of the browser it was given to and what it is about. A page of another
// origin cannot read it, and one made for another browser does not fit.
func (b *browser) formToken(purpose, cookie, about string) string {
	m := hmac.New(sha256.New, b.key[:])
	for _, part := range []string{purpose, cookie, about} {
		sum := sha256.Sum256([]byte(part))
		m.Write(sum[:])
	}
	return base64.RawURLEncoding.EncodeToString(m.Sum(nil))
}

// checkForm refuses a form that this browser was not given. A request that a
// browser marks as another site's is refused besides.
func (b *browser) checkForm(v *visit, token, purpose, cookie, about string) error {
	site := v.r.Header.Get("Sec-Fetch-Site")
	good := cookie != "" && hmac.Equal([]byte(token), []byte(b.formToken(purpose, cookie, about)))
	if good && (site == "" || site == "same-origin" || site == "none") {
		return nil
	}
	return &core.Error{
		Code: core.Forbidden, Reason: "form token of " + purpose,
		Message: "This form is out of date or was not sent from our page, or the browser keeps no cookies. Go back to the application and start again.",
	}
}

// who is the login that a browser's cookie stands for; nil for nobody. *Error
// Unavailable when that cannot be known.
func (b *browser) who(v *visit) (*authserver.BrowserLogin, string, error) {
	cookie := b.readCookie(v.r, cookieLogin)
	if cookie == "" {
		return nil, "", nil
	}
	login, err := b.svc.Browser(v.ctx(), cookie, &v.from)
	switch {
	case err == nil:
		return login, cookie, nil
	case core.CodeOf(err).Is(core.Unauthorized):
		return nil, "", nil
	}
	return nil, "", err
}
