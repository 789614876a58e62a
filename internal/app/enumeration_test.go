package app_test

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/admin"
)

// changing are the parts of an answer that are new each time.
var changing = regexp.MustCompile(`value="[A-Za-z0-9_.-]{16,}"|(?m)^(Date|X-Request-Id|Set-Cookie): .*\n`)

// whole is all that an answer says, but for the name, which the page repeats.
func (a *answer) whole(name string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d\n", a.status)
	if err := a.header.Write(&b); err != nil {
		a.t.Fatal(err)
	}
	b.WriteString(a.raw)
	return strings.ReplaceAll(changing.ReplaceAllString(b.String(), ""), name, "NAME")
}

// TestSecurity51_AlikeOnEveryWay: on every way to a password, whoever cannot
// log in is told the same: status, headers and body.
func TestSecurity51_AlikeOnEveryWay(t *testing.T) {
	s := serve(t, "limits: {stranger_failures: 5}\n")
	c := s.oauthClient(admin.NewOAuthClient{Name: "web", Type: "confidential", Grants: []string{"authorization_code"}, Scopes: []string{"openid"}})
	form := func(name, pw string) url.Values { return url.Values{"username": {name}, "password": {pw}} }
	body := func(name, pw string) map[string]string { return map[string]string{"username": name, "password": pw} }
	for way, login := range map[string]func(name, pw string) *answer{
		"pathstack":  func(name, pw string) *answer { return s.do("POST", "/token", "", body(name, pw)) },
		"itempath":   func(name, pw string) *answer { return s.do("POST", "/api/users/login", "", body(name, pw)) },
		"netography": func(name, pw string) *answer { return s.do("POST", "/api/auth/bearer/token", "", form(name, pw)) },
		"login page": func(name, pw string) *answer {
			b := s.browser()
			return b.signIn(b.authorize(ask(c)), name, pw)
		},
	} {
		// Names of one length: the length of an answer tells nothing either.
		name := func(kind string) string {
			return fmt.Sprintf("%.4s-%.6s", strings.ReplaceAll(way, " ", ""), kind+"xxxxxx")
		}
		unknown := login(name("nobody"), password).whole(name("nobody"))
		if !strings.HasPrefix(unknown, "401\n") && !strings.HasPrefix(unknown, "403\n") {
			t.Fatalf("%s: an unknown name is answered %s", way, unknown)
		}
		for kind, k := range map[string]struct {
			typ, pw string
			act     func(id string)
		}{
			"wrong":  {"user", "not the password at all", func(string) {}},
			"robotw": {"application", "not the password at all", func(string) {}},
			"off":    {"user", password, func(id string) { s.act("/users/"+id+"/disable", struct{}{}) }},
			"roboto": {"application", password, func(id string) { s.act("/users/"+id+"/disable", struct{}{}) }},
			"gone": {"user", password, func(id string) {
				if err := s.admin.Do(t.Context(), "DELETE", "/users/"+id, nil, nil, nil); err != nil {
					t.Fatal(err)
				}
			}},
			"locked": {"user", password, func(string) {
				for i := range 5 {
					login(name("locked"), fmt.Sprint("wrong guess ", i))
				}
			}},
		} {
			k.act(s.user("", name(kind), k.typ))
			if got := login(name(kind), k.pw).whole(name(kind)); got != unknown {
				t.Errorf("%s: %s is told\n%s\nand a name that nobody has\n%s", way, kind, got, unknown)
			}
		}
	}
}

// TestGuessingShows: an attack can be seen while it happens, by what is counted
// at once. (The summary of each minute in the audit log: core,
// TestRefusalsWriteNothing.)
func TestGuessingShows(t *testing.T) {
	s := serve(t, "")
	s.user("", "ann", "user")
	for i := range 7 {
		s.do("POST", "/token", "", map[string]string{"username": "ann", "password": fmt.Sprint("wrong guess ", i)})
		s.do("POST", "/token", "", map[string]string{"username": "nobody", "password": fmt.Sprint("wrong guess ", i)})
	}
	res, err := http.Get(s.app.PrivateURL() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`sallyport_outcomes_total{code="bad_credentials",grant="login",mount="pathstack"} 14`,
		`sallyport_hash_compared 7`,
	} {
		if !strings.Contains(string(text), want+"\n") {
			t.Errorf("the metrics do not say %s", want)
		}
	}
}
