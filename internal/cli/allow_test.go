package cli

import (
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// cmdAllow (allow URL CLIENT CALLBACK USER PASSWORD) logs a user in by the
// hosted pages and lets the client have what it asks for, as a browser would.
func cmdAllow(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 5 {
		ts.Fatalf("usage: allow URL CLIENT CALLBACK USER PASSWORD")
	}
	jar, err := cookiejar.New(nil)
	ts.Check(err)
	home, err := url.Parse(args[0])
	ts.Check(err)
	browser := &http.Client{Jar: jar, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if r.URL.Host != home.Host {
			return http.ErrUseLastResponse
		}
		return nil
	}}
	ask := url.Values{
		"response_type": {"code"}, "client_id": {args[1]}, "redirect_uri": {args[2]}, "scope": {"openid profile"},
		"code_challenge": {"E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"}, "code_challenge_method": {"S256"},
	}
	res, err := browser.Get(args[0] + "/oauth2/authorize?" + ask.Encode())
	for _, step := range []struct{ path, name, value string }{
		{"/oauth2/login", "username", args[3]}, {"/oauth2/consent", "decision", "allow"},
	} {
		ts.Check(err)
		page, rerr := io.ReadAll(res.Body)
		ts.Check(rerr)
		ts.Check(res.Body.Close())
		if !strings.Contains(string(page), `action="`+step.path+`"`) {
			ts.Fatalf("no form for %s: %s %s", step.path, res.Status, page)
		}
		form := url.Values{step.name: {step.value}, "password": {args[4]}}
		for _, f := range regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`).FindAllStringSubmatch(string(page), -1) {
			form.Set(f[1], html.UnescapeString(f[2]))
		}
		res, err = browser.PostForm(args[0]+step.path, form)
	}
	ts.Check(err)
	ts.Check(res.Body.Close())
	if to := res.Header.Get("Location"); !strings.HasPrefix(to, args[2]+"?code=") {
		ts.Fatalf("the client got %q", to)
	}
}
