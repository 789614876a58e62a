package app_test

import (
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/admin"
)

// browser is somebody's browser: it keeps cookies, follows our redirects, and
// stops where it would leave for a client.
type browser struct {
	s *server
	c *http.Client
}

func (s *server) browser() *browser {
	s.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	home, err := url.Parse(s.url)
	if err != nil {
		s.t.Fatal(err)
	}
	return &browser{s: s, c: &http.Client{Jar: jar, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if r.URL.Host != home.Host {
			return http.ErrUseLastResponse
		}
		return nil
	}}}
}

// ask is an authorization request of a client; pairs replace parameters, ""
// leaves one out.
func ask(c *admin.OAuthClient, pairs ...string) url.Values {
	q := form(
		"response_type", "code", "client_id", c.ID, "redirect_uri", callback, "scope", "openid profile email",
		"state", "st-1", "nonce", "n-1", "code_challenge", challengeOf(verifier), "code_challenge_method", "S256",
	)
	for i := 0; i+1 < len(pairs); i += 2 {
		if q.Set(pairs[i], pairs[i+1]); pairs[i+1] == "" {
			q.Del(pairs[i])
		}
	}
	return q
}

func (b *browser) get(path string, q url.Values) *answer {
	b.s.t.Helper()
	if len(q) > 0 {
		path += "?" + q.Encode()
	}
	req, err := http.NewRequestWithContext(b.s.t.Context(), "GET", b.s.url+path, nil)
	if err != nil {
		b.s.t.Fatal(err)
	}
	return b.send(req)
}

func (b *browser) post(path string, f url.Values) *answer {
	b.s.t.Helper()
	req := b.s.request(path, nil, f)
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	return b.send(req)
}

func (b *browser) send(req *http.Request) *answer {
	b.s.t.Helper()
	res, err := b.c.Do(req)
	if err != nil {
		b.s.t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		b.s.t.Fatal(err)
	}
	return &answer{t: b.s.t, status: res.StatusCode, header: res.Header, raw: string(raw)}
}

func (b *browser) authorize(q url.Values) *answer { return b.get("/oauth2/authorize", q) }

// signIn fills in the login page that a.
func (b *browser) signIn(a *answer, name, pass string) *answer {
	b.s.t.Helper()
	f := a.fields("/oauth2/login")
	f.Set("username", name)
	f.Set("password", pass)
	return b.post("/oauth2/login", f)
}

var (
	formTag  = regexp.MustCompile(`<form method="post" action="([^"]*)"`)
	fieldTag = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)
)

// fields are the hidden ones of the page's one form, which goes to action.
func (a *answer) fields(action string) url.Values {
	a.t.Helper()
	m := formTag.FindStringSubmatch(a.raw)
	if m == nil || m[1] != action {
		a.t.Fatalf("status %d: no form for %s in %s", a.status, action, a.raw)
	}
	f := url.Values{}
	for _, field := range fieldTag.FindAllStringSubmatch(a.raw, -1) {
		f.Set(field[1], html.UnescapeString(field[2]))
	}
	return f
}

// sentTo gives the parameters with which the browser was sent to a client.
func (a *answer) sentTo(target string) url.Values {
	a.t.Helper()
	to := a.header.Get("Location")
	rest, ok := strings.CutPrefix(to, target)
	if a.status != http.StatusSeeOther || !ok {
		a.t.Fatalf("status %d, Location %q, want 303 to %s: %s", a.status, to, target, a.raw)
	}
	q, err := url.ParseQuery(strings.TrimLeft(rest, "?&"))
	if err != nil {
		a.t.Fatal(err)
	}
	return q
}

// toldError checks an error that the client is told of.
func (a *answer) toldError(name string) url.Values {
	a.t.Helper()
	q := a.sentTo(callback)
	if q.Get("error") != name || q.Get("state") != "st-1" || q.Get("iss") == "" || q.Has("code") {
		a.t.Fatalf("the client is told %v, want error %s", q, name)
	}
	return q
}

// shown checks an error that the user is shown, and that nobody is sent anywhere.
func (a *answer) shown(status int, text string) *answer {
	a.t.Helper()
	if a.status != status || a.header.Get("Location") != "" || !strings.Contains(html.UnescapeString(a.raw), text) {
		a.t.Fatalf("status %d, Location %q, want %d and a page with %q: %s", a.status, a.header.Get("Location"), status, text, a.raw)
	}
	return a
}

// code is the code that the client got.
func (a *answer) code() string {
	a.t.Helper()
	q := a.sentTo(callback)
	if q.Get("code") == "" || q.Get("state") != "st-1" || q.Get("iss") == "" {
		a.t.Fatalf("the client is told %v, want a code", q)
	}
	return q.Get("code")
}

func isLoginPage(t *testing.T, a *answer) *answer {
	t.Helper()
	if a.status != http.StatusOK {
		t.Fatalf("status %d, want the login page: %s", a.status, a.raw)
	}
	a.fields("/oauth2/login")
	return a
}

// cookie is the value of a cookie that the server set.
func (b *browser) cookie(name string) string {
	b.s.t.Helper()
	for _, c := range b.c.Jar.Cookies(b.home()) {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

// plant puts a cookie into the browser.
func (b *browser) plant(name, value string) {
	b.s.t.Helper()
	b.c.Jar.SetCookies(b.home(), []*http.Cookie{{Name: name, Value: value, Path: "/"}})
}

func (b *browser) home() *url.URL {
	b.s.t.Helper()
	u, err := url.Parse(b.s.url)
	if err != nil {
		b.s.t.Fatal(err)
	}
	return u
}
