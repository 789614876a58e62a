package contract

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// target is where real clients go: a whole server, when the environment names
// one (SALLYPORT_E2E_DIRECTUS="URL LOGIN PASSWORD", likewise _SIMPLEJWT), else
// the contract over grants that answer from a table.
func target(t *testing.T, name, login, password string) (url, user, pass string) {
	t.Helper()
	if v := strings.Fields(os.Getenv("SALLYPORT_E2E_" + strings.ToUpper(name))); len(v) == 3 {
		return v[0], v[1], v[2]
	}
	rt, _ := mountOf(t, newFake(), name)
	srv := httptest.NewServer(serveRouter(rt))
	t.Cleanup(srv.Close)
	return srv.URL, login, password
}

func runClient(t *testing.T, dir string, argv ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// TestDirectusSDK drives the contract with the official npm SDK, unmodified.
func TestDirectusSDK(t *testing.T) {
	node, err := exec.LookPath("node")
	npm, nerr := exec.LookPath("npm")
	if err != nil || nerr != nil {
		t.Skip("node and npm are not installed")
	}
	dir := t.TempDir()
	script, err := os.ReadFile("testdata/clients/directus.mjs")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "directus.mjs"), script, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	install := exec.CommandContext(ctx, npm, "install", "--silent", "--no-audit", "--no-fund", "--prefix", dir, "@directus/sdk@26.0.0")
	if out, err := install.CombinedOutput(); err != nil {
		t.Skipf("the npm registry does not give @directus/sdk: %v %s", err, out)
	}
	url, user, pass := target(t, "directus", "ann@example.org", "secret-word")
	runClient(t, dir, node, "directus.mjs", url, user, pass)
}

// TestSimpleJWTClient drives the contract with Python's requests.
func TestSimpleJWTClient(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("python3 is not installed")
	}
	if exec.CommandContext(t.Context(), python, "-c", "import requests").Run() != nil {
		t.Skip("the Python package requests is not installed")
	}
	url, user, pass := target(t, "simplejwt", "mgordon", "pwd Test-1!")
	runClient(t, "testdata/clients", python, "simplejwt.py", url, user, pass)
}

// TestDirectusCookies goes through cookie and session mode with a cookie jar
// over plain HTTP, as a browser on a local network does.
func TestDirectusCookies(t *testing.T) {
	url, user, pass := target(t, "directus", "ann@example.org", "secret-word")
	for _, mode := range []string{"cookie", "session"} {
		jar, err := cookiejar.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		client := &http.Client{Jar: jar, Timeout: 20 * time.Second}
		call := func(method, path string, body any) (int, map[string]any) {
			t.Helper()
			data, err := json.Marshal(body)
			if err != nil {
				t.Fatal(err)
			}
			req, err := http.NewRequestWithContext(t.Context(), method, url+path, strings.NewReader(string(data)))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/json")
			resp, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = resp.Body.Close() }() // read to the end below
			var out map[string]any
			if resp.StatusCode != http.StatusNoContent {
				if err := json.NewDecoder(resp.Body).Decode(&out); err != nil {
					t.Fatal(err)
				}
			}
			return resp.StatusCode, out
		}
		status, out := call("POST", "/auth/login", map[string]any{"email": user, "password": pass, "mode": mode})
		data, _ := out["data"].(map[string]any)
		if _, leaked := data["refresh_token"]; status != 200 || leaked || (data["access_token"] != nil) != (mode == "cookie") {
			t.Fatalf("%s login: %d %v", mode, status, out)
		}
		if status, out = call("POST", "/auth/refresh", map[string]any{"mode": mode}); status != 200 {
			t.Fatalf("%s refresh: %d %v", mode, status, out)
		}
		if mode == "session" {
			if status, out = call("GET", "/users/me", nil); status != 200 {
				t.Fatalf("me by session cookie: %d %v", status, out)
			}
		}
		if status, out = call("POST", "/auth/logout", map[string]any{"mode": mode}); status != 204 {
			t.Fatalf("%s logout: %d %v", mode, status, out)
		}
		if status, _ = call("POST", "/auth/refresh", map[string]any{"mode": mode}); status < 400 {
			t.Fatalf("%s refresh after logout: %d", mode, status)
		}
	}
}

// TestExamplesRun pastes the example calls into a shell.
func TestExamplesRun(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if _, cerr := exec.LookPath("curl"); err != nil || cerr != nil {
		t.Skip("bash and curl are not installed")
	}
	cred := Credentials{Username: "mgordon", Password: "pwd Test-1!", RequestToken: "$(echo req.uest.tok)"}
	for _, name := range []string{"pathstack", "itempath", "netography", "simplejwt", "directus", "testdata/contracts/strapi.yaml", "testdata/contracts/keycloak.yaml", "testdata/contracts/gotrue.yaml", "testdata/contracts/gitea.yaml", "testdata/contracts/pocketbase.yaml", "testdata/contracts/oldapi.yaml", "testdata/contracts/parse.yaml"} {
		rt, ms := mountOf(t, newFake(), name)
		srv := httptest.NewServer(serveRouter(rt))
		script := "set -e\n"
		for _, ex := range Examples(ms[0], srv.URL, cred) {
			script += strings.ReplaceAll(ex.Curl, "curl -sS", "curl -sS --fail-with-body") + "\necho\n"
		}
		out, err := exec.CommandContext(t.Context(), bash, "-c", script).CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s\n%s", name, err, script, out)
		}
		srv.Close()
	}
}
