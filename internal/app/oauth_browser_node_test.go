package app_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/admin"
)

// TestBrowserFlowByOpenidClient: npm's openid-client, unchanged, sends a browser
// to log in, reads the answer with iss, state, nonce and max_age checked, asks
// for userinfo, refreshes, and logs the user out.
func TestBrowserFlowByOpenidClient(t *testing.T) {
	node, dir := nodeDir(t)
	s := serve(t, "")
	s.clock.Store(time.Now().UnixMilli()) // the library has a clock of its own
	user := s.user("", "ada", "user")
	c := s.oauthClient(admin.NewOAuthClient{IDTokenAlg: "RS256", Auth: "client_secret_post", PostLogoutRedirectURIs: []string{bye}})
	script, err := os.ReadFile(filepath.Join("testdata", "oauth-node", "browser.mjs"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "browser.mjs"), script, 0o600); err != nil {
		t.Fatal(err)
	}
	setup, err := json.Marshal(map[string]string{
		"issuer": s.url, "callback": callback, "bye": bye, "id": c.ID, "secret": c.Secret, "user": user, "name": "ada", "password": password,
	})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), node, "browser.mjs")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "SETUP="+string(setup))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if want := "login\ncode\nuserinfo\nrefresh\nlogout\nlogin_required\n"; string(out) != want {
		t.Errorf("steps: %q, want %q", out, want)
	}
}
