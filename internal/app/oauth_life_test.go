package app_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/admin"
)

// TestOAuthLifetimes: a client's own lifetimes count; no token outlives the
// absolute end of its session, and an idle one ends before.
func TestOAuthLifetimes(t *testing.T) {
	s := serve(t, "")
	s.user("", "ann", "user")
	session := int64(1800)
	c := s.oauthClient(admin.NewOAuthClient{AccessLifetime: 300, RefreshLifetime: 600, SessionLifetime: &session})
	a := s.session(c, "ann", "openid")
	for range 3 {
		s.pass(9 * time.Minute)
		s.do("GET", "/v2/things", a.text("access_token"), nil).want(401, "")
		a = s.refreshOAuth(c, a.text("refresh_token")).want(200, "")
	}
	// 27 minutes: three are left, in whole seconds from the login on.
	if a.body["expires_in"] != 180.0 {
		t.Errorf("at 27 of 30 minutes: %s", a.raw)
	}
	s.pass(3 * time.Minute)
	s.refreshOAuth(c, a.text("refresh_token")).isError(400, "invalid_grant")
	s.do("GET", "/v2/things", a.text("access_token"), nil).want(401, "")

	idle := s.session(c, "ann")
	s.pass(10 * time.Minute)
	s.refreshOAuth(c, idle.text("refresh_token")).isError(400, "invalid_grant")

	none := int64(0)
	forever := s.oauthClient(admin.NewOAuthClient{Name: "forever", SessionLifetime: &none, RefreshLifetime: 86400 * 365})
	a = s.session(forever, "ann")
	for range 3 {
		s.pass(364 * 24 * time.Hour)
		a = s.refreshOAuth(forever, a.text("refresh_token")).want(200, "")
	}
}

// TestOAuthWithoutRefresh: a client without the grant gets no refresh token,
// and its session ends with its one access token.
func TestOAuthWithoutRefresh(t *testing.T) {
	s := serve(t, "")
	s.user("", "ann", "user")
	c := s.oauthClient(admin.NewOAuthClient{Grants: []string{"authorization_code"}})
	a := s.session(c, "ann", "openid")
	if a.body["refresh_token"] != nil || a.body["expires_in"] != 900.0 {
		t.Errorf("the answer is %s", a.raw)
	}
	s.pass(15*time.Minute - 2*time.Second)
	s.do("GET", "/v2/things", a.text("access_token"), nil).want(200, "")
	s.pass(2 * time.Second)
	s.do("GET", "/v2/things", a.text("access_token"), nil).want(401, "")
}

// TestOAuthBrowserLogin: what a browser's login is worth, and until when.
func TestOAuthBrowserLogin(t *testing.T) {
	s := serve(t, "oauth:\n  login_lifetime: 6h\n  login_idle: 1h\n")
	id := s.user("", "ann", "user")
	auth := s.app.AuthServer()
	b := s.login("ann")
	alive := func(cookie string) bool {
		t.Helper()
		got, err := auth.Browser(t.Context(), cookie, &coreClient)
		if err == nil && (got.Subject.ID != id || got.AuthTime != b.AuthTime) {
			t.Errorf("the cookie is %s's, logged in at %d", got.Subject.ID, got.AuthTime)
		}
		return err == nil
	}
	if !alive(b.Cookie) || alive(b.Cookie[:len(b.Cookie)-1]) || alive("") || alive(b.Session.ID.String()) {
		t.Error("the cookie is not what counts")
	}
	for range 7 {
		s.pass(50 * time.Minute)
		if !alive(b.Cookie) {
			t.Fatal("a login in use ended")
		}
		s.app.Service().Flush(t.Context())
	}
	s.pass(10 * time.Minute)
	if alive(b.Cookie) {
		t.Error("a login outlives its six hours")
	}
	b = s.login("ann")
	s.pass(time.Hour)
	if alive(b.Cookie) {
		t.Error("an idle login is alive")
	}
	b = s.login("ann")
	s.act("/users/"+id+"/password", map[string]any{"generate": true})
	if alive(b.Cookie) {
		t.Error("a login outlives the password")
	}
}

// TestOAuthSecretRotation: two secrets while clients are moved, then one.
func TestOAuthSecretRotation(t *testing.T) {
	s := serve(t, "")
	c := s.machine()
	var next admin.OAuthClient
	if err := s.admin.Post(t.Context(), "/clients/"+c.ID+"/rotate", admin.Overlap{OverlapSeconds: 3600}, &next); err != nil {
		t.Fatal(err)
	}
	next.Auth = c.Auth
	works := func(c *admin.OAuthClient) bool { return s.token(c, "grant_type", "client_credentials").status == 200 }
	if !works(c) || !works(&next) {
		t.Error("a secret does not count while they are rotated")
	}
	s.pass(time.Hour)
	if works(c) || !works(&next) {
		t.Error("the old secret counts after its time, or the new one does not")
	}
}

// TestSecurity41_DumpHoldsNoSecret: codes, client secrets, refresh tokens and
// cookies are in no file of the data directory.
func TestSecurity41_DumpHoldsNoSecret(t *testing.T) {
	s := serve(t, "")
	s.user("", "ann", "user")
	c := s.oauthClient(admin.NewOAuthClient{})
	b := s.login("ann")
	code := s.code(c, b)
	a := s.session(c, "ann", "openid")
	secrets := map[string]string{
		"code": code, "client secret": c.Secret, "refresh token": a.text("refresh_token"), "access token": a.text("access_token"),
		"id token": a.text("id_token"), "cookie": b.Cookie, "password": password,
	}
	files, err := filepath.Glob(filepath.Join(s.dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			continue // the socket
		}
		found = found || bytes.Contains(data, []byte(c.ID))
		for what, secret := range secrets {
			if bytes.Contains(data, []byte(secret)) {
				t.Errorf("%s holds the %s", filepath.Base(f), what)
			}
		}
	}
	if !found {
		t.Error("the files do not even hold the client's id: this test looks at the wrong ones")
	}
}
