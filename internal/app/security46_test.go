package app_test

import (
	"strings"
	"testing"
	"time"
)

const mintContract = `format: 1
contract: acme
tokens: {access: {}, refresh: {}, application: {}}
routes:
  - route: POST /login
    grant: password
    accept: {json: {user: $username, pass: $password}}
    answer: {body: {token: $access_token, refresh: $refresh_token}}
  - route: POST /key
    grant: application_token
    accept: {bearer: $access_token}
    answer: {body: {key: $application_token}}
    errors:
      login_too_old: {message: Sign in again first}
  - route: POST /key/quick
    grant: application_token
    max_age: 1m
    accept: {bearer: $refresh_token}
    answer: {body: {key: $application_token}}
error: {body: {error: $message}}
errors: {bad_request: {}, unauthorized: {}, forbidden: {}, not_found: {}, conflict: {}, too_many: {}, unavailable: {}, internal: {}}
`

// TestSecurity46_FreshLoginBeforeMinting over HTTP: 401 in the contract's words
// and with the challenge of RFC 9470, where a file does not say otherwise. The
// vendor's contract forbids it (docs/security.md).
func TestSecurity46_FreshLoginBeforeMinting(t *testing.T) {
	s := serveContract(t, mintContract)
	s.user("", "bot", "application")
	in := s.do("POST", "/login", "", map[string]string{"user": "bot", "pass": password}).want(200, "")
	s.do("POST", "/key", in.text("token"), nil).want(200, "")
	s.do("POST", "/key/quick", in.text("refresh"), nil).want(200, "")
	refused := func(path, tok, words, age string) {
		t.Helper()
		a := s.do("POST", path, tok, nil).want(401, words)
		if got := a.header.Get("WWW-Authenticate"); got != `Bearer error="insufficient_user_authentication", max_age="`+age+`"` {
			t.Errorf("%s: challenge %q", path, got)
		}
	}
	s.pass(61 * time.Second)
	refused("/key/quick", in.text("refresh"), `{"error":"Log in again: this is only for who has just logged in"}`, "60")
	s.do("POST", "/key", in.text("token"), nil).want(200, "")
	s.pass(5 * time.Minute)
	refused("/key", in.text("token"), `{"error":"Sign in again first"}`, "300")
	again := s.do("POST", "/login", "", map[string]string{"user": "bot", "pass": password}).want(200, "")
	s.do("POST", "/key", again.text("token"), nil).want(200, "")

	vendor := serve(t, "")
	vendor.user("", "bot", "application")
	old := vendor.do("POST", "/api/users/login", "", map[string]string{"username": "bot", "password": password}).want(200, "")
	vendor.pass(29 * 24 * time.Hour)
	if a := vendor.do("POST", "/api/users/application-token", old.text("refreshToken"), nil); a.status != 200 || !strings.Contains(a.raw, "token") {
		t.Errorf("the vendor's contract: %d %s", a.status, a.raw)
	}
}
