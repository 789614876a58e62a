package app_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const rememberContract = `
format: 1
contract: shop
tokens:
  access: {lifetime: 15m, claims: {name: $user.username, via: web}}
  refresh: {lifetime: 1d, rotation: {grace: 2m}}
inputs:
  remember: {type: boolean, default: false}
routes:
  - route: POST /login
    grant: password
    when: {remember: true}
    tokens:
      name: remember
      access: {lifetime: 1h}
      refresh: {lifetime: 60d}
    accept: {json: {user: $username, pass: $password, remember: $remember}}
    answer: {body: {token: $access_token, refresh: $refresh_token, expires: $expires_in, refreshExpires: $refresh_expires_in}}
  - route: POST /login
    grant: password
    accept: {json: {user: $username, pass: $password, remember: $remember}}
    answer: {body: {token: $access_token, refresh: $refresh_token, expires: $expires_in, refreshExpires: $refresh_expires_in}}
  - route: POST /kiosk/login
    grant: password
    tokens:
      access: {lifetime: 1m, claims: {via: kiosk, name: $user.username, nested: {a: 1}}}
    accept: {json: {user: $username, pass: $password}}
    answer: {body: {token: $access_token, refresh: $refresh_token, expires: $expires_in, refreshExpires: $refresh_expires_in}}
  - route: POST /refresh
    grant: refresh
    accept: {json: {refresh: $refresh_token}}
    answer: {body: {token: $access_token, refresh: $refresh_token, expires: $expires_in, refreshExpires: $refresh_expires_in}}
  - route: POST /refresh/short
    grant: refresh
    tokens: {access: {lifetime: 30s}}
    accept: {json: {refresh: $refresh_token}}
    answer: {body: {token: $access_token, refresh: $refresh_token, expires: $expires_in, refreshExpires: $refresh_expires_in}}
error: {body: {error: $code}}
errors:
  bad_request: {}
  unauthorized: {}
  forbidden: {}
  not_found: {}
  conflict: {}
  too_many: {}
  unavailable: {}
  internal: {}
`

// serveContract serves one contract of the test's own.
func serveContract(t *testing.T, text string) *server {
	t.Helper()
	file := filepath.Join(t.TempDir(), "own.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return serve(t, fmt.Sprintf("mounts:\n  - contract: %s\n", file))
}

// claimsOf reads a token's payload, unverified.
func claimsOf(t *testing.T, tok string) map[string]any {
	t.Helper()
	parts := strings.Split(tok, ".")
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var c map[string]any
	if err := json.Unmarshal(raw, &c); err != nil {
		t.Fatal(err)
	}
	return c
}

func (a *answer) number(name string) int {
	a.t.Helper()
	n, ok := a.body[name].(float64)
	if !ok {
		a.t.Fatalf("no number %s in %s", name, a.raw)
	}
	return int(n)
}

// TestTokensPerRoute: "remember me" lives longer, a kiosk's tokens live shorter
// and say other things, everybody's refresh keeps to what the login said.
func TestTokensPerRoute(t *testing.T) {
	s := serveContract(t, rememberContract)
	s.user("", "ann", "user")
	login := func(path, more string) *answer {
		return s.do("POST", path, "", `{"user":"ann","pass":"`+password+`"`+more+`}`).want(200, "")
	}
	refresh := func(path, tok string) *answer {
		return s.do("POST", path, "", `{"refresh":"`+tok+`"}`)
	}
	plain, kept, kiosk := login("/login", ""), login("/login", `,"remember":true`), login("/kiosk/login", "")
	for name, c := range map[string]struct {
		a               *answer
		access, refresh int
		claims          string
	}{
		"plain": {plain, 900, 86400, `"web"`},
		"kept":  {kept, 3600, 60 * 86400, `"web"`},
		"kiosk": {kiosk, 60, 86400, `"kiosk"`},
	} {
		if c.a.number("expires") != c.access || c.a.number("refreshExpires") != c.refresh {
			t.Errorf("%s: %s", name, c.a.raw)
		}
		claims := claimsOf(t, c.a.text("token"))
		via, _ := json.Marshal(claims["via"])
		if string(via) != c.claims || claims["name"] != "ann" || int(claims["exp"].(float64)-claims["iat"].(float64)) != c.access {
			t.Errorf("%s: claims %v", name, claims)
		}
	}
	if _, there := claimsOf(t, plain.text("refresh"))["var"]; there {
		t.Error("a plain refresh token names a variant")
	}

	s.pass(30 * time.Minute)
	s.do("GET", "/api/x", plain.text("token"), nil).want(401, `{"error":"token_expired"}`)
	s.do("GET", "/api/x", kiosk.text("token"), nil).want(401, `{"error":"token_expired"}`)
	s.do("GET", "/api/x", kept.text("token"), nil).want(200, "")

	// All three refresh; the kiosk's claims stay a kiosk's.
	second := refresh("/refresh", kiosk.text("refresh")).want(200, "")
	if c := claimsOf(t, second.text("token")); c["via"] != "kiosk" || second.number("expires") != 60 {
		t.Errorf("a kiosk's refresh gave %v", c)
	}
	if a := refresh("/refresh", plain.text("refresh")).want(200, ""); a.number("expires") != 900 || a.number("refreshExpires") != 86400 {
		t.Error(a.raw)
	}
	moved := refresh("/refresh", kept.text("refresh")).want(200, "")
	again := refresh("/refresh", kept.text("refresh")).want(200, "")
	if moved.text("refresh") != again.text("refresh") || moved.text("refresh") == kept.text("refresh") {
		t.Error("the lost answer was not given again byte for byte")
	}

	// A route of refresh sets the tokens of its answer alone.
	short := refresh("/refresh/short", moved.text("refresh")).want(200, "")
	if short.number("expires") != 30 || short.number("refreshExpires") != 60*86400 {
		t.Error(short.raw)
	}
	s.pass(40 * 24 * time.Hour)
	refresh("/refresh", second.text("refresh")).want(401, `{"error":"token_expired"}`)
	last := refresh("/refresh", short.text("refresh")).want(200, "")
	if last.number("expires") != 3600 {
		t.Error(last.raw)
	}
	s.pass(3 * time.Hour)
	refresh("/refresh", short.text("refresh")).want(401, `{"error":"token_reused"}`)
	refresh("/refresh", last.text("refresh")).want(401, `{"error":"token_revoked"}`)
}

// TestSessionPerRoute: without refresh tokens a route says how long renewing
// goes on.
func TestSessionPerRoute(t *testing.T) {
	s := serveContract(t, `
format: 1
contract: desk
tokens: {access: {lifetime: 10m}, session: {idle: 20m}}
routes:
  - route: POST /login
    grant: password
    accept: {json: {user: $username, pass: $password}}
    answer: {body: {token: $access_token, expires: $expires_in}}
  - route: POST /desk/login
    grant: password
    tokens: {name: desk, session: {idle: 1d, absolute: 2d}}
    accept: {json: {user: $username, pass: $password}}
    answer: {body: {token: $access_token, expires: $expires_in}}
  - route: POST /renew
    grant: renew
    accept: {bearer: $access_token}
    answer: {body: {token: $access_token, expires: $expires_in}}
  - route: POST /renew/long
    grant: renew
    tokens: {access: {lifetime: 20m}}
    accept: {bearer: $access_token}
    answer: {body: {token: $access_token, expires: $expires_in}}
error: {body: {error: $code}}
errors: {bad_request: {}, unauthorized: {}, forbidden: {}, not_found: {}, conflict: {}, too_many: {}, unavailable: {}, internal: {}}
`)
	s.user("", "ann", "user")
	in := `{"user":"ann","pass":"` + password + `"}`
	tok := s.do("POST", "/desk/login", "", in).want(200, "").text("token")
	for range 50 { // eight hours of renewing
		s.pass(9*time.Minute + 30*time.Second)
		tok = s.do("POST", "/renew", tok, nil).want(200, "").text("token")
	}
	long := s.do("POST", "/renew/long", tok, nil).want(200, "")
	if long.number("expires") != 1200 {
		t.Error(long.raw)
	}
	// The absolute end cuts the last token short.
	tok = long.text("token")
	for range 400 {
		s.pass(9*time.Minute + 30*time.Second)
		a := s.do("POST", "/renew", tok, nil)
		if a.status != 200 {
			a.want(401, `{"error":"token_expired"}`)
			if lived := s.clock.Load() - start; lived < 47*3600_000 || lived > 49*3600_000 {
				t.Errorf("the session ended after %s", time.Duration(lived)*time.Millisecond)
			}
			return
		}
		tok = a.text("token")
	}
	t.Error("the session never ended")
}
