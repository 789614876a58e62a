package app_test

import (
	"testing"

	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/core/authserver"
)

// TestOAuthAccounts: a customer's token opens the paths that contracts serve
// to that customer, and nobody else's.
func TestOAuthAccounts(t *testing.T) {
	s := serve(t, `
mounts:
  - {name: eu, contract: itempath, prefix: /eu, account: acme}
  - {name: all, contract: itempath, prefix: /all, account: any}
  - {name: home, contract: itempath, prefix: /home}
`)
	if err := s.admin.Post(t.Context(), "/accounts", map[string]any{"shortname": "acme"}, nil); err != nil {
		t.Fatal(err)
	}
	tok := map[string]string{}
	for _, account := range []string{"default", "acme"} {
		c := s.oauthClient(admin.NewOAuthClient{Name: account, Account: account, Grants: []string{core.GrantCredentials}})
		tok[account] = s.token(c, "grant_type", "client_credentials").want(200, "").text("access_token")
	}
	for _, c := range []struct {
		account, path string
		status        int
	}{
		{"acme", "/eu/x", 200},
		{"acme", "/all/x", 200},
		{"acme", "/home/x", 401},
		{"default", "/eu/x", 401},
		{"default", "/all/x", 200},
		{"default", "/home/x", 200},
	} {
		if a := s.do("GET", c.path, tok[c.account], nil); a.status != c.status {
			t.Errorf("%s at %s: %d %s, want %d", c.account, c.path, a.status, a.raw, c.status)
		}
	}
	// A client serves the users of its account alone.
	s.user("acme", "ann", "user")
	c := s.oauthClient(admin.NewOAuthClient{})
	rec, err := s.app.AuthServer().FindClient(t.Context(), c.ID)
	if err != nil {
		t.Fatal(err)
	}
	b, err := s.app.AuthServer().LoginBrowser(t.Context(), &core.LoginRequest{Account: "acme", Username: "ann", Password: password})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.app.AuthServer().IssueCode(t.Context(), &authserver.CodeRequest{Client: rec, Browser: b, RedirectURI: callback, Challenge: challengeOf(verifier)})
	if core.CodeOf(err) != core.BadCredentials {
		t.Errorf("a client of another account: %v", err)
	}
}
