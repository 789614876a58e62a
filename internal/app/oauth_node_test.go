package app_test

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/admin"
)

// newNode is a Node with the Web Crypto that the npm client libraries need: the
// one of the PATH, or the one that scripts/setup gets where that is older
// than 20.
func newNode(t *testing.T) string {
	t.Helper()
	why := "there is none"
	for _, name := range []string{"node", filepath.Join("..", "..", ".tools", "node", "bin", "node")} {
		path, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		if path, err = filepath.Abs(path); err != nil {
			t.Fatal(err)
		}
		out, err := exec.CommandContext(t.Context(), path, "-e", "process.exit(globalThis.CryptoKey ? 0 : 1)").CombinedOutput()
		if err == nil {
			return path
		}
		why = name + " is older or does not run: " + err.Error() + " " + string(out)
	}
	t.Skipf("the npm client libraries need Node 20, which scripts/setup installs; %s", why)
	return ""
}

// nodeDir is a Node and a directory with the scripts and their libraries.
// Without node, or without a registry to get them from, the test is skipped
// and says so.
func nodeDir(t *testing.T) (node, dir string) {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: npm libraries are not installed")
	}
	if _, err := exec.LookPath("npm"); err != nil {
		t.Skip("npm is not here: the npm client libraries cannot run")
	}
	node, dir = newNode(t), t.TempDir()
	for _, name := range []string{"package.json", "clients.mjs"} {
		data, err := os.ReadFile(filepath.Join("testdata", "oauth-node", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "npm", "install", "--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("npm install does not work here, so the npm client libraries cannot run: %v\n%s", err, out)
	}
	return node, dir
}

// nodeClient is a client as the script takes it.
type nodeClient struct {
	ID     string            `json:"id"`
	Secret string            `json:"secret"`
	Auth   string            `json:"auth"`
	Alg    string            `json:"alg"`
	Codes  map[string]string `json:"codes"`
}

// TestOAuthNodeLibraries: oauth4webapi and openid-client complete discovery,
// client credentials, code with PKCE and iss, refresh, introspection and
// revocation, with every way of client authentication and every algorithm.
func TestOAuthNodeLibraries(t *testing.T) {
	node, dir := nodeDir(t)
	s := serve(t, "")
	s.clock.Store(time.Now().UnixMilli()) // the libraries have clocks of their own
	user := s.user("", "ann", "user", "read")
	key := newSigner(t)
	d, err := key.key.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	var set struct{ Keys []map[string]string }
	if err := json.Unmarshal(key.set, &set); err != nil {
		t.Fatal(err)
	}
	private := set.Keys[0]
	private["d"] = base64.RawURLEncoding.EncodeToString(d)
	setup := map[string]any{"issuer": s.url, "callback": callback, "verifier": verifier, "nonce": "n-1", "user": user, "key": private}
	var machines, apps []nodeClient
	for i, auth := range []string{"client_secret_basic", "client_secret_post", "private_key_jwt", "none"} {
		var jwks json.RawMessage
		if auth == "private_key_jwt" {
			jwks = key.set
		}
		if auth != "none" {
			m := s.oauthClient(admin.NewOAuthClient{Name: "machine " + auth, Auth: auth, JWKS: jwks, Grants: []string{"client_credentials"}, Scopes: []string{"read", "write"}})
			machines = append(machines, nodeClient{ID: m.ID, Secret: m.Secret, Auth: auth})
		}
		alg := []string{"ES256", "RS256", "EdDSA", "ES256"}[i]
		a := s.oauthClient(admin.NewOAuthClient{Name: "app " + auth, Auth: auth, JWKS: jwks, IDTokenAlg: alg})
		b := s.login("ann")
		apps = append(apps, nodeClient{ID: a.ID, Secret: a.Secret, Auth: auth, Alg: alg, Codes: map[string]string{
			"webapi": s.code(a, b, "openid", "read"), "openid": s.code(a, b, "openid", "read"),
		}})
	}
	setup["machines"], setup["apps"] = machines, apps
	text, err := json.Marshal(setup)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), node, "clients.mjs")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "SETUP="+string(text))
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(out), "\n"); n < 2+3+3*4+3+4 {
		t.Errorf("only %d steps were done", n)
	}
}
