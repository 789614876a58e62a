package app_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/admin"
)

// ways are all ways to a password. Each gives the status of a login.
func (s *server) ways(c *admin.OAuthClient) map[string]func(name, pw string) int {
	form := func(name, pw string) url.Values { return url.Values{"username": {name}, "password": {pw}} }
	body := func(name, pw string) map[string]string { return map[string]string{"username": name, "password": pw} }
	return map[string]func(name, pw string) int{
		"pathstack":  func(name, pw string) int { return s.do("POST", "/token", "", body(name, pw)).status },
		"itempath":   func(name, pw string) int { return s.do("POST", "/api/users/login", "", body(name, pw)).status },
		"netography": func(name, pw string) int { return s.do("POST", "/api/auth/bearer/token", "", form(name, pw)).status },
		"login page": func(name, pw string) int {
			b := s.browser()
			return b.signIn(b.authorize(ask(c)), name, pw).status
		},
	}
}

// TestSecurity52_EveryWaySharesTheCounters: guesses made on one way to a password count on
// every other, and so do spellings of the name; one unlock opens all.
func TestSecurity52_EveryWaySharesTheCounters(t *testing.T) {
	s := serve(t, "limits: {stranger_failures: 5}\n")
	c := s.oauthClient(admin.NewOAuthClient{Name: "web", Type: "confidential", Grants: []string{"authorization_code"}, Scopes: []string{"openid"}})
	ways := s.ways(c)
	refused := func(status int) bool { return status == 401 || status == 403 }
	n := 0
	for guessed, guess := range ways {
		n++
		name := fmt.Sprintf("user%d", n)
		id := s.user("", name, "user")
		s.act("/users/"+id+"/unlock", struct{}{})
		for i := range 5 {
			spelling := []string{name, strings.ToUpper(name), "ｕ" + name[1:]}[i%3]
			if status := guess(spelling, fmt.Sprintf("wrong guess %d", i)); !refused(status) {
				t.Fatalf("%s: a wrong password got status %d", guessed, status)
			}
		}
		for other, login := range ways {
			if status := login(name, password); !refused(status) {
				t.Errorf("guessed at %s, then the right password at %s: status %d", guessed, other, status)
			}
		}
		s.act("/users/"+id+"/unlock", struct{}{})
		for other, login := range ways {
			if status := login(name, password); refused(status) || status >= 500 {
				t.Errorf("unlocked, at %s: status %d", other, status)
			}
		}
	}
}

// TestRefusalsByAdmissionSayWhen: where a network has tried too many names,
// every way answers 429 with Retry-After, in its own words.
func TestRefusalsByAdmissionSayWhen(t *testing.T) {
	s := serve(t, "")
	c := s.oauthClient(admin.NewOAuthClient{Name: "web", Type: "confidential", Grants: []string{"authorization_code"}, Scopes: []string{"openid"}})
	for i := range 310 {
		s.do("POST", "/token", "", map[string]string{"username": fmt.Sprintf("nobody%d", i), "password": strings.Repeat("x", 2000)})
	}
	b := s.browser()
	for way, a := range map[string]*answer{
		"pathstack":  s.do("POST", "/token", "", map[string]string{"username": "ann", "password": "x"}),
		"itempath":   s.do("POST", "/api/users/login", "", map[string]string{"username": "ann", "password": "x"}),
		"netography": s.do("POST", "/api/auth/bearer/token", "", url.Values{"username": {"ann"}, "password": {"x"}}),
		"login page": b.signIn(b.authorize(ask(c)), "ann", "x"),
	} {
		if a.status != 429 || a.header.Get("Retry-After") == "" {
			t.Errorf("%s: status %d, Retry-After %q: %.200s", way, a.status, a.header.Get("Retry-After"), a.raw)
		}
	}
}
