package app_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/internal/core"
)

// TestSharedElsewhere: a token under a secret that others hold counts on its
// own mount and nowhere else, though we made it ourselves.
func TestSharedElsewhere(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("a secret of the vendor's verifiers, 45 bytes."), 0o600); err != nil {
		t.Fatal(err)
	}
	s := serve(t, fmt.Sprintf(`
mounts:
  - contract: itempath
    keys: {shared_secret_file: %s, shared_for: [access, application]}
  - contract: pathstack
gateway: {words: itempath}
`, file))
	s.user("", "scanner", "application", core.RoleRevocations)
	login := s.do("POST", "/api/users/login", "", map[string]string{"username": "scanner", "password": password}).want(200, "")
	own := s.do("POST", "/token", "", map[string]string{"username": "scanner", "password": password}).want(200, "")
	c := s.oauthClient(admin.NewOAuthClient{Name: "asker", Grants: []string{core.GrantCredentials}, Scopes: []string{"read"}, IntrospectAll: true})
	for name, tok := range map[string]string{
		"access":      login.text("accessToken"),
		"application": s.do("POST", "/api/users/application-token", login.text("refreshToken"), nil).want(200, "").text("token"),
	} {
		s.do("GET", "/api/stations", tok, nil).want(200, "")
		s.introspect(c, tok).want(200, inactive)
		if a := s.do("GET", "/_sallyport/revocations", tok, nil); a.status != 401 {
			t.Errorf("%s token at the feed: %d %s", name, a.status, a.raw)
		}
	}
	tok := own.text("data", "access_token")
	if a := s.introspect(c, tok).want(200, ""); a.body["active"] != true {
		t.Errorf("control: %s", a.raw)
	}
	s.do("GET", "/_sallyport/revocations", tok, nil).want(200, "")
}

// TestSecurity30_FeedAndUserinfo: a token in the URL is refused though one in
// the header is good, also where a semicolon hides it from a careless reader.
func TestSecurity30_FeedAndUserinfo(t *testing.T) {
	s := serve(t, "")
	s.user("", "ned", "user", core.RoleRevocations)
	c := s.oauthClient(admin.NewOAuthClient{Scopes: []string{"openid", core.RoleRevocations}})
	tok := s.session(c, "ned", "openid", core.RoleRevocations).text("access_token")
	for _, path := range []string{"/_sallyport/revocations", "/oauth2/userinfo"} {
		s.do("GET", path, tok, nil).want(200, "")
		for _, query := range []string{"?access_token=" + tok, "?a=b&access_token=x", "?a;access_token=" + tok, "?access_token="} {
			if a := s.do("GET", path+query, tok, nil); a.status != http.StatusBadRequest {
				t.Errorf("%s%.30s: %d %s", path, query, a.status, a.raw)
			}
			if a := s.do("GET", path+query, "", nil); a.status < 400 || a.status >= 500 {
				t.Errorf("%s%.30s without a header: %d %s", path, query, a.status, a.raw)
			}
		}
	}
}
