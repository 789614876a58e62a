package verify_test

import (
	"bufio"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/admin"
)

// TestPythonGuide runs the guide's verifier against a real server: an OAuth access token is good until its session is
// revoked. Against hostile tokens and lists it is run beside package verify.
func TestPythonGuide(t *testing.T) {
	const python = "/usr/bin/python3" // Debian's, which has Debian's packages
	if err := exec.Command(python, "-c", "import jwt, cryptography").Run(); err != nil {
		t.Skip("PyJWT is not here (Debian: apt-get install python3-jwt python3-cryptography); its guide is not tested")
	}
	w := serve(t)
	id := w.user("ann", "user")
	c := w.client(&admin.NewOAuthClient{
		Name: "app", Grants: []string{"authorization_code", "refresh_token"}, RedirectURIs: []string{callback}, Scopes: []string{"openid", "read", "offline_access"},
	})
	login := w.login(c, "ann", "openid read offline_access")
	cmd := exec.Command(python, "../../docs/verifying/python/status_list.py")
	cmd.Env = append(os.Environ(), "ISSUER="+w.url, "AUDIENCE="+w.url, "PYTHONDONTWRITEBYTECODE=1")
	cmd.Stderr = t.Output()
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	answers := bufio.NewScanner(out)
	t.Cleanup(func() {
		_ = in.Close() // its end is what makes the program end
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	})
	ask := func(raw string) string {
		t.Helper()
		if _, err := in.Write([]byte(raw + "\n")); err != nil {
			t.Fatal(err)
		}
		if !answers.Scan() {
			t.Fatal("no answer:", answers.Err())
		}
		return answers.Text()
	}
	raw := text(login, "access_token")
	for kind, want := range map[string]string{"access_token": "ok " + id, "refresh_token": "refused", "id_token": "refused"} {
		if got := ask(text(login, kind)); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %q", kind, got)
		}
	}
	w.post("/oauth2/revoke", c.ID+":"+c.Secret, url.Values{"token": {text(login, "refresh_token")}})
	began := time.Now()
	for strings.HasPrefix(ask(raw), "ok") {
		if time.Since(began) > time.Minute {
			t.Fatal("a revoked token is accepted")
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Logf("refused %s after the revocation", time.Since(began).Round(time.Millisecond))
}
