package core_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/core"
)

// TestSecurity41_DumpHasNoSecret: a copy of the database alone lets nobody in (SECURITY
// 41), and does not tell which unknown names were tried.
func TestSecurity41_DumpHasNoSecret(t *testing.T) {
	m := everyKind("all", core.DefaultAccount)
	w := newWorld(t, m)
	w.user("robot", application)
	k := w.apiKey("", "daemon")
	request := w.request(k, "1", start)
	kg, err := w.exchange(m, request, home)
	w.must(err)
	g := w.in(m, "robot")
	app := w.minted(m, g.RefreshToken)
	next := w.refreshed(m, g.RefreshToken)
	w.calls(app.ApplicationToken)
	_, err = w.login(m, "a-name-nobody-has", "a password nobody has", stranger)
	wantCode(t, err, core.BadCredentials)
	w.refusedCall(g.AccessToken[:len(g.AccessToken)-1]+flip(g.AccessToken[len(g.AccessToken)-1]), core.TokenInvalid)
	w.svc.Flush(w.ctx)
	secrets := map[string]string{
		"password": right, "guess": "a password nobody has", "unknown name": "a-name-nobody-has", "API secret": k.Secret,
	}
	for name, tok := range map[string]string{
		"access": g.AccessToken, "refresh": g.RefreshToken, "next refresh": next.RefreshToken, "id": g.IDToken,
		"application": app.ApplicationToken, "request": request, "key's refresh": kg.RefreshToken,
	} {
		secrets[name+" signature"] = tok[strings.LastIndexByte(tok, '.')+1:]
	}
	w.reopen(func() {
		found := false
		for file, data := range w.files() {
			found = found || bytes.Contains(data, []byte("robot"))
			for name, s := range secrets {
				if bytes.Contains(data, []byte(s)) {
					t.Errorf("%s holds the %s", file, name)
				}
			}
		}
		if !found {
			t.Error("the files do not even hold a user name: this proves nothing")
		}
	})
}
