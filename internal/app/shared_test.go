package app_test

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/golang-jwt/jwt/v5"
)

// TestSharedSecret brings the secret that the vendor's verifiers hold. They
// verify our tokens with it; whoever mints with it gets nowhere with us.
func TestSharedSecret(t *testing.T) {
	secret := "a secret of the vendor's verifiers, 45 bytes."
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(secret), 0o600); err != nil {
		t.Fatal(err)
	}
	s := serve(t, fmt.Sprintf(`
mounts:
  - contract: itempath
    keys: {shared_secret_file: %s, shared_for: [access, application]}
  - contract: itempath
    name: other
    prefix: /other
gateway: {words: itempath}
`, file))
	s.user("", "scanner", "application")
	login := s.do("POST", "/api/users/login", "", map[string]string{"username": "scanner", "password": password}).want(200, "")
	access, refresh := login.text("accessToken"), login.text("refreshToken")
	app := s.do("POST", "/api/users/application-token", refresh, nil).want(200, "").text("token")

	verify := func(tok string) (jwt.MapClaims, error) {
		c := jwt.MapClaims{}
		_, err := jwt.ParseWithClaims(tok, c, func(*jwt.Token) (any, error) { return []byte(secret), nil },
			jwt.WithValidMethods([]string{"HS256"}), jwt.WithTimeFunc(func() time.Time { return time.UnixMilli(s.clock.Load()) }))
		return c, err
	}
	for name, tok := range map[string]string{"access": access, "application": app} {
		if _, err := verify(tok); err != nil {
			t.Errorf("the vendor's verifier refuses our %s token: %v", name, err)
		}
		s.do("GET", "/api/stations", tok, nil).want(200, "")
	}
	if _, err := verify(refresh); err == nil {
		t.Error("the shared secret signed a refresh token")
	}

	mint := func(c jwt.MapClaims) string {
		tok := jwt.NewWithClaims(jwt.SigningMethodHS256, c)
		out, err := tok.SignedString([]byte(secret))
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	good, err := verify(access)
	if err != nil {
		t.Fatal(err)
	}
	with := func(set map[string]any) string {
		c := jwt.MapClaims{}
		for k, v := range good {
			c[k] = v
		}
		for k, v := range set {
			if v == nil {
				delete(c, k)
			} else {
				c[k] = v
			}
		}
		return mint(c)
	}
	forged := map[string]string{
		"access":            with(map[string]any{"mac": nil}),
		"access with a mac": with(map[string]any{"iat": float64(s.clock.Load()/1000 - 1)}),
		"no exp":            with(map[string]any{"exp": nil, "mac": nil}),
		"no exp with a mac": with(map[string]any{"exp": nil}),
		"refresh":           with(map[string]any{"type": "refresh", "mac": nil}),
		"refresh with mac":  with(map[string]any{"type": "refresh"}),
	}
	before := s.seen.Load()
	for name, tok := range forged {
		for _, try := range []*answer{
			s.do("GET", "/api/stations", tok, nil),
			s.do("POST", "/api/users/refresh", tok, nil),
			s.do("POST", "/api/users/application-token", tok, nil),
			s.do("POST", "/other/api/users/refresh", tok, nil),
			s.do("POST", "/other/api/users/application-token", tok, nil),
			s.do("GET", "/other/api/stations", tok, nil),
		} {
			if try.status != 401 && try.status != 422 {
				t.Errorf("%s minted by a holder of the secret: %d %s", name, try.status, try.raw)
			}
		}
	}
	// A good token of one mount is none of another's.
	if a := s.do("POST", "/other/api/users/refresh", refresh, nil); a.status == 200 {
		t.Error("another mount answered the refresh token")
	}
	if n := s.seen.Load() - before; n != 0 {
		t.Errorf("%d forged requests reached the upstream", n)
	}
	s.do("POST", "/api/users/refresh", refresh, nil).want(200, "")
}

// TestTwoAccounts mounts one contract twice: two customers that never meet.
func TestTwoAccounts(t *testing.T) {
	s := serve(t, `
mounts:
  - {contract: netography, name: east, prefix: /east, account: east}
  - {contract: netography, name: west, prefix: /west, account: west}
gateway: {words: east}
`)
	for _, a := range []string{"east", "west"} {
		s.act("/accounts", map[string]string{"shortname": a})
		s.user(a, "pat", "user")
	}
	form := url.Values{"username": {"pat"}, "password": {password}}
	east := s.do("POST", "/east/api/auth/bearer/token", "", form).want(200, "")
	s.do("GET", "/east/things", east.text("access_token"), nil).want(200, `{"user":"pat","account":"east","path":"/east/things"}`)
	if a := s.do("GET", "/west/things", east.text("access_token"), nil); a.status != 401 {
		t.Errorf("west let east's token in: %d %s", a.status, a.raw)
	}
	refresh := url.Values{"refresh_token": {east.text("refresh_token")}}
	s.do("POST", "/west/api/auth/bearer/refresh", "", refresh).want(400, "")
	s.do("POST", "/east/api/auth/bearer/refresh", "", refresh).want(200, "")
	s.user("east", "only-east", "user")
	s.do("POST", "/west/api/auth/bearer/token", "", url.Values{"username": {"only-east"}, "password": {password}}).want(401, "")
}

// TestIDToken verifies Netography's id token with an OIDC library that knows
// nothing but the issuer's JWKS.
func TestIDToken(t *testing.T) {
	s := serve(t, "")
	id := s.user("", "ned", "user")
	tok := s.do("POST", "/api/auth/bearer/token", "", url.Values{"username": {"ned"}, "password": {password}}).want(200, "").text("id_token")
	keys := oidc.NewRemoteKeySet(t.Context(), s.url+"/.well-known/jwks.json")
	v := oidc.NewVerifier(s.url, keys, &oidc.Config{
		ClientID: "netography", SupportedSigningAlgs: []string{"ES256"}, Now: func() time.Time { return time.UnixMilli(s.clock.Load()) },
	})
	got, err := v.Verify(t.Context(), tok)
	if err != nil {
		t.Fatal(err)
	}
	if got.Subject != id {
		t.Errorf("sub %s, want %s", got.Subject, id)
	}
	set := s.do("GET", "/.well-known/jwks.json", "", nil).want(200, "")
	if strings.Contains(set.raw, `"oct"`) || strings.Contains(set.raw, `"d"`) {
		t.Errorf("the JWKS holds secrets: %s", set.raw)
	}
	req, err := http.NewRequestWithContext(t.Context(), "GET", s.url+"/.well-known/jwks.json", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("If-None-Match", set.header.Get("ETag"))
	s.send(req).want(304, "")
}
