package app_test

import (
	"testing"

	"github.com/sallyport/sallyport/internal/admin"
)

// TestNativeAppsAsk: whoever runs on the same machine can use the id of a
// public client and listen at its loopback address or take its scheme. So a
// code is not given there without the user's click, however often he clicked
// before (RFC 8252 section 8.6). An https address is proof enough, and so is a
// client's own authentication.
func TestNativeAppsAsk(t *testing.T) {
	const loopback, scheme, web = "http://127.0.0.1/cb", "com.example.app:/cb", "https://app.example/cb"
	all := []string{loopback, scheme, web}
	s := serve(t, "")
	s.user("", "ada", "user")
	public := s.oauthClient(admin.NewOAuthClient{Name: "Desk", Type: "public", RedirectURIs: all})
	secret := s.oauthClient(admin.NewOAuthClient{Name: "Server", RedirectURIs: all})
	b := s.browser()
	b.signIn(b.authorize(ask(secret, "redirect_uri", web)), "ada", password).sentTo(web)
	for _, to := range all {
		if q := b.authorize(ask(secret, "redirect_uri", to, "prompt", "none")).sentTo(to); q.Get("code") == "" {
			t.Errorf("a client with a secret at %s: %v", to, q)
		}
	}
	if q := b.authorize(ask(public, "redirect_uri", web, "prompt", "none")).sentTo(web); q.Get("code") == "" {
		t.Errorf("a public client at %s: %v", web, q)
	}
	for _, to := range []string{loopback, "http://127.0.0.1:50123/cb", scheme} {
		for range 2 {
			page := b.authorize(ask(public, "redirect_uri", to)).shown(200, "Allow access?")
			f := page.fields("/oauth2/consent")
			f.Set("decision", "allow")
			if q := b.post("/oauth2/consent", f).sentTo(to); q.Get("code") == "" {
				t.Errorf("allowed at %s: %v", to, q)
			}
		}
		if q := b.authorize(ask(public, "redirect_uri", to, "prompt", "none")).sentTo(to); q.Get("error") != "consent_required" {
			t.Errorf("without a page at %s: %v", to, q)
		}
	}
}
