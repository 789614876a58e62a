package app_test

import (
	"testing"

	"github.com/sallyport/sallyport/internal/admin"
)

// TestUserinfoAudience: a token for another resource server tells nobody who
// the user is. The server that got it could else ask here with it (RFC 9068
// section 4).
func TestUserinfoAudience(t *testing.T) {
	s := serve(t, "")
	s.user("", "ann", "user", "read")
	c := s.oauthClient(admin.NewOAuthClient{Audiences: []string{s.url, "https://api.example"}})
	for resource, want := range map[string]int{"": 200, s.url: 200, "https://api.example": 401} {
		pairs := []string{"grant_type", "authorization_code", "code", s.code(c, s.login("ann"), "openid"), "redirect_uri", callback, "code_verifier", verifier}
		if resource != "" {
			pairs = append(pairs, "resource", resource)
		}
		tok := s.token(c, pairs...).want(200, "").text("access_token")
		if a := s.do("GET", "/oauth2/userinfo", tok, nil); a.status != want {
			t.Errorf("resource %q: %d, want %d: %s", resource, a.status, want, a.raw)
		}
	}
}
