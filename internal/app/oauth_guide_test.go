package app_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/internal/store/pgtest/ports"
)

// TestGuideApp: the web app that docs/oauth.md shows logs a user in and out.
func TestGuideApp(t *testing.T) {
	guide := filepath.Join("..", "..", "docs", "oauth")
	code, err := os.ReadFile(filepath.Join(guide, "app.mjs"))
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(guide + ".md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page), "```js\n"+string(code)+"```\n") {
		t.Error("docs/oauth.md does not show docs/oauth/app.mjs as it is")
	}
	node, dir := nodeDir(t)
	if err := os.WriteFile(filepath.Join(dir, "app.mjs"), code, 0o600); err != nil {
		t.Fatal(err)
	}
	s := serve(t, "")
	s.clock.Store(time.Now().UnixMilli()) // the library has a clock of its own
	user := s.user("", "ada", "user")
	home := "http://" + freeAddress(t)
	c := s.oauthClient(admin.NewOAuthClient{RedirectURIs: []string{home + "/callback"}, PostLogoutRedirectURIs: []string{home + "/"}})
	startApp(t, dir, node, "ISSUER="+s.url, "CLIENT_ID="+c.ID, "CLIENT_SECRET="+c.Secret, "APP="+home)

	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	b := &browser{s: s, c: &http.Client{Jar: jar}}
	visit := func(path string) *answer {
		req, err := http.NewRequestWithContext(t.Context(), "GET", home+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		return b.send(req)
	}
	visit("/").shown(200, "Log in")
	b.signIn(isLoginPage(t, visit("/login")), "ada", password).shown(200, "Hello "+user)
	visit("/").shown(200, "Hello "+user)
	visit("/callback?code=stolen&state=other").shown(400, "did not work")
	visit("/logout").shown(200, "Log in")
	isLoginPage(t, visit("/login"))
}

// freeAddress is an address of loopback that nobody listens on, nor will: a
// server that is to come back at it finds it free.
func freeAddress(t *testing.T) string {
	t.Helper()
	list, err := ports.Take(1)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", list[0])
}

// startApp runs the app until the test ends, and waits for its first line.
func startApp(t *testing.T, dir, node string, env ...string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, node, "app.mjs")
	cmd.Dir, cmd.Env, cmd.Stderr = dir, append(os.Environ(), env...), t.Output()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait() // it was killed
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatalf("the app said %q: %v", line, err)
	}
}
