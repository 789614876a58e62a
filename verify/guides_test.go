package verify_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/verify/verifytest"
)

const guides = "../docs/verifying"

// program is a guide's code as it runs: it answers each token with a line.
type program struct {
	t   *testing.T
	in  io.Writer
	out *bufio.Scanner
}

// startGuide runs the code of a guide against an issuer.
func startGuide(t *testing.T, issuer *verifytest.Issuer, cmd *exec.Cmd) *program {
	t.Helper()
	cmd.Env = append(os.Environ(), "ISSUER="+issuer.URL(), "AUDIENCE=api", "PYTHONDONTWRITEBYTECODE=1")
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
	t.Cleanup(func() {
		if err := in.Close(); err != nil {
			t.Error(err)
		}
		stop := time.AfterFunc(20*time.Second, func() { _ = cmd.Process.Kill() }) // it may have ended by itself
		defer stop.Stop()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the guide's program ended with %v", err)
		}
	})
	return &program{t, in, bufio.NewScanner(out)}
}

// verify sends a token and returns the answer.
func (p *program) verify(raw string) string {
	p.t.Helper()
	if _, err := io.WriteString(p.in, raw+"\n"); err != nil {
		p.t.Fatal(err)
	}
	if !p.out.Scan() {
		p.t.Fatalf("no answer: %v", p.out.Err())
	}
	return p.out.Text()
}

// judge puts a guide's program through what every verifier must get right.
func judge(t *testing.T, algorithm string, command func(t *testing.T) *exec.Cmd) {
	issuer := verifytest.Start(t, verifytest.Options{Audience: "api", Algorithm: algorithm})
	p := startGuide(t, issuer, command(t))
	good := issuer.Mint(verifytest.Token{})
	head, rest, _ := strings.Cut(good, ".")
	payload, signature, _ := strings.Cut(rest, ".")
	now := issuer.Now().Unix()
	type m = map[string]any
	accepted := func(name, raw string) {
		t.Helper()
		if got := p.verify(raw); got != "ok user-1" {
			t.Errorf("%s: %q", name, got)
		}
	}
	accepted("good", good)
	accepted("OAuth", issuer.Mint(verifytest.Token{OAuth: true}))
	accepted("audience as array of one", issuer.Mint(verifytest.Token{Claims: m{"aud": []string{"api"}}}))
	for _, tc := range []struct{ name, raw string }{
		{"empty", ""},
		{"no token", "abc"},
		{"two segments", head + "." + payload},
		{"no signature", head + "." + payload + "."},
		{"signature of another", head + "." + payload + "." + strings.Repeat("A", len(signature))},
		{"stranger", verifytest.New(issuer.URL(), verifytest.Options{Audience: "api", Algorithm: algorithm}).Mint(verifytest.Token{})},
		{"stranger with our kid", head + "." + strings.SplitN(verifytest.New(issuer.URL(), verifytest.Options{Audience: "api", Algorithm: algorithm}).Mint(verifytest.Token{}), ".", 2)[1]},
		{"alg none", "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0." + payload + "."},
		{"HS256 under our kid", encodeSegment(`{"alg":"HS256","typ":"JWT","kid":"`+issuer.KeyID()+`"}`) + "." + payload + "." + signature},
		{"another algorithm under our kid", encodeSegment(`{"alg":"PS256","typ":"JWT","kid":"`+issuer.KeyID()+`"}`) + "." + payload + "." + signature},
		{"expired", issuer.Mint(verifytest.Token{Claims: m{"iat": now - 1000, "exp": now - 100}})},
		{"no exp", issuer.Mint(verifytest.Token{Claims: m{"exp": nil}})},
		{"not before", issuer.Mint(verifytest.Token{Claims: m{"nbf": now + 1000}})},
		{"refresh token", issuer.Mint(verifytest.Token{Kind: "refresh"})},
		{"id token", issuer.Mint(verifytest.Token{Kind: "id"})},
		{"id token of OAuth", issuer.Mint(verifytest.Token{ClientID: "c", Claims: m{"token_use": nil}})},
		{"refresh token as at+jwt", issuer.Mint(verifytest.Token{OAuth: true, Claims: m{"token_use": "refresh"}})},
		{"access token as at+jwt", issuer.Mint(verifytest.Token{Type: "at+jwt", ClientID: "c"})},
		{"logout token", issuer.Mint(verifytest.Token{Type: "logout+jwt"})},
		{"kind missing", issuer.Mint(verifytest.Token{Claims: m{"token_use": nil}})},
		{"application token", issuer.Mint(verifytest.Token{Application: true})},
		{"other audience", issuer.Mint(verifytest.Token{Audience: "other"})},
		{"two audiences", issuer.Mint(verifytest.Token{Claims: m{"aud": []string{"api", "other"}}})},
		{"no audience", issuer.Mint(verifytest.Token{Claims: m{"aud": nil}})},
		{"other issuer", issuer.Mint(verifytest.Token{Claims: m{"iss": "https://other.example"}})},
		{"no issuer", issuer.Mint(verifytest.Token{Claims: m{"iss": nil}})},
	} {
		if got := p.verify(tc.raw); !strings.HasPrefix(got, "refused") {
			t.Errorf("%s: %q", tc.name, got)
		}
	}
	before := issuer.Fetches()
	for range 50 {
		p.verify(verifytest.New(issuer.URL(), verifytest.Options{Audience: "api"}).Mint(verifytest.Token{}))
	}
	if n := issuer.Fetches() - before; n > 2 {
		t.Errorf("50 unknown keys caused %d fetches", n)
	}
	issuer.SetDown(true)
	accepted("issuer down", issuer.Mint(verifytest.Token{}))
}

// judgeRevocation puts a guide's program that follows status lists through what those must do.
func judgeRevocation(t *testing.T, command *exec.Cmd) {
	issuer := verifytest.Start(t, verifytest.Options{Audience: "api", StatusLists: true})
	p := startGuide(t, issuer, command)
	type m = map[string]any
	issuer.Mint(verifytest.Token{}) // takes place 0
	alive, dead := issuer.Mint(verifytest.Token{SessionID: "0-a"}), issuer.Mint(verifytest.Token{SessionID: "0-b"})
	want := func(name, raw, want string) {
		t.Helper()
		if got := p.verify(raw); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	want("alive", alive, "ok")
	want("not revoked yet", dead, "ok")
	issuer.RevokeSession("0-b")
	began := time.Now()
	for strings.HasPrefix(p.verify(dead), "ok") {
		if time.Since(began) > 30*time.Second {
			t.Fatal("a revoked token is accepted")
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Logf("refused %s after the revocation", time.Since(began).Round(time.Millisecond))
	want("alive still", alive, "ok")
	uri := issuer.URL() + "/oauth2/status-lists/s0"
	status := func(idx, uri any) string {
		return issuer.Mint(verifytest.Token{Claims: m{"status": m{"status_list": m{"idx": idx, "uri": uri}}}})
	}
	reads := issuer.ListReads()
	for name, raw := range map[string]string{
		"a list elsewhere":  status(1, "http://127.0.0.1:1/oauth2/status-lists/s0"),
		"another path":      status(1, issuer.URL()+"/oauth2/status-lists/../s0"),
		"below the lists":   status(1, uri+"/x"),
		"no such list":      status(1, uri+"1"),
		"beyond the list":   status(65536, uri),
		"before the list":   status(-1, uri),
		"index as text":     status("x", uri),
		"reference as text": issuer.Mint(verifytest.Token{Claims: m{"status": m{"status_list": "x"}}}),
	} {
		want(name, raw, "refused")
	}
	if n := issuer.ListReads() - reads; n > 3 {
		t.Errorf("%d fetches for tokens without a list", n)
	}
	// Nothing is accepted by a list that has ended.
	issuer.Advance(-time.Minute)
	time.Sleep(2100 * time.Millisecond)
	want("after the list's exp", issuer.Mint(verifytest.Token{Application: true, Kind: "access", Claims: m{"exp": time.Now().Unix() + 60}}), "refused")
}

// missing skips a test whose tool is not here.
func missing(t *testing.T, what, install string) {
	t.Helper()
	t.Skipf("%s is not here (%s); its guide is not tested", what, install)
}

func TestPythonGuide(t *testing.T) {
	const python = "/usr/bin/python3" // Debian's, which has Debian's packages
	if err := exec.Command(python, "-c", "import jwt, cryptography").Run(); err != nil {
		missing(t, "PyJWT", "Debian: apt-get install python3-jwt python3-cryptography")
	}
	for _, algorithm := range []string{"ES256", "EdDSA", "RS256"} {
		t.Run(algorithm, func(t *testing.T) {
			judge(t, algorithm, func(*testing.T) *exec.Cmd { return exec.Command(python, guides+"/python/verify_token.py") })
		})
	}
	list := func() *exec.Cmd { return exec.Command(python, guides+"/python/status_list.py") }
	t.Run("without a status list", func(t *testing.T) { judge(t, "ES256", func(*testing.T) *exec.Cmd { return list() }) })
	t.Run("status list", func(t *testing.T) { judgeRevocation(t, list()) })
}

func TestNodeGuide(t *testing.T) {
	for _, tool := range []string{"node", "npm"} {
		if _, err := exec.LookPath(tool); err != nil {
			missing(t, tool, "Debian: apt-get install nodejs npm")
		}
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(guides+"/node")); err != nil {
		t.Fatal(err)
	}
	npm := exec.Command("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline")
	npm.Dir = dir
	if out, err := npm.CombinedOutput(); err != nil {
		if regexp.MustCompile(`ENOTFOUND|ETIMEDOUT|EAI_AGAIN|ECONNREFUSED|ECONNRESET|E403|E5\d\d`).Match(out) {
			missing(t, "the npm registry", "jose cannot be installed")
		}
		t.Fatalf("npm ci: %v\n%s", err, out)
	}
	for _, algorithm := range []string{"ES256", "EdDSA", "RS256"} {
		t.Run(algorithm, func(t *testing.T) {
			judge(t, algorithm, func(*testing.T) *exec.Cmd { return exec.Command("node", filepath.Join(dir, "verify.mjs")) })
		})
	}
	list := func() *exec.Cmd { return exec.Command("node", filepath.Join(dir, "status-list.mjs")) }
	t.Run("without a status list", func(t *testing.T) { judge(t, "ES256", func(*testing.T) *exec.Cmd { return list() }) })
	t.Run("status list", func(t *testing.T) { judgeRevocation(t, list()) })
}

func TestJavaGuide(t *testing.T) {
	if _, err := exec.LookPath("javac"); err != nil {
		missing(t, "a JDK", "Debian: apt-get install default-jdk-headless")
	}
	jars := classPath(t)
	for jar := range strings.SplitSeq(jars, ":") {
		if _, err := os.Stat(jar); err != nil {
			missing(t, jar, "Debian: apt-get install libgoogle-http-client-java")
		}
	}
	dir := t.TempDir()
	if out, err := exec.Command("javac", "-cp", jars, "-d", dir, guides+"/java/VerifyToken.java").CombinedOutput(); err != nil {
		t.Fatalf("javac: %v\n%s", err, out)
	}
	for _, algorithm := range []string{"ES256", "EdDSA", "RS256"} {
		t.Run(algorithm, func(t *testing.T) {
			judge(t, algorithm, func(*testing.T) *exec.Cmd { return exec.Command("java", "-cp", dir+":"+jars, "VerifyToken") })
		})
	}
}

// classPath is the one that the guide tells its readers.
func classPath(t *testing.T) string {
	t.Helper()
	found := regexp.MustCompile(`(?m)^CLASSPATH=(\S+)$`).FindStringSubmatch(readText(t, guides+"/java.md"))
	if found == nil {
		t.Fatal("java.md names no CLASSPATH")
	}
	return found[1]
}

func readText(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name) // #nosec G304 -- the project's own file
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestGuidesShowTheirCode: what a guide prints is what the tests ran.
func TestGuidesShowTheirCode(t *testing.T) {
	for file, page := range map[string]string{
		"python/verify_token.py": "python.md", "python/status_list.py": "python.md", "node/verify.mjs": "node.md",
		"node/status-list.mjs": "node.md", "java/VerifyToken.java": "java.md",
	} {
		if code := readText(t, filepath.Join(guides, file)); !strings.Contains(readText(t, filepath.Join(guides, page)), "\n"+code+"```\n") {
			t.Errorf("%s does not show %s as it is", page, file)
		}
	}
}

// TestGuidesLink: relative links lead somewhere.
func TestGuidesLink(t *testing.T) {
	pages, err := filepath.Glob(guides + "/*.md")
	if err != nil || len(pages) < 5 {
		t.Fatalf("%d guides, %v", len(pages), err)
	}
	link := regexp.MustCompile(`\]\(([^)#:]+)\)`)
	for _, page := range append(pages, guides+".md") {
		for _, found := range link.FindAllStringSubmatch(readText(t, page), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), found[1])); err != nil {
				t.Errorf("%s: %v", page, err)
			}
		}
	}
}

// TestGoGuide compiles the programs that docs/verifying.md shows, as a module of somebody else.
func TestGoGuide(t *testing.T) {
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```go\n(package .*?)```").FindAllStringSubmatch(readText(t, guides+".md"), -1)
	if len(blocks) < 2 {
		t.Fatalf("%d programs in verifying.md", len(blocks))
	}
	for n, block := range blocks {
		dir := t.TempDir()
		name := "main.go"
		if strings.Contains(block[1], `"testing"`) {
			name = "main_test.go"
		}
		for file, text := range map[string]string{
			name: block[1], "go.sum": readText(t, filepath.Join(root, "go.sum")),
			"go.mod": fmt.Sprintf("module example.com/guide\n\ngo 1.26.0\n\nrequire github.com/sallyport/sallyport v0.0.0\n\nreplace github.com/sallyport/sallyport => %s\n", root),
		} {
			if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		vet := exec.Command("go", "test", "./...") // runs the test, compiles the program
		vet.Dir = dir
		vet.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off")
		if out, err := vet.CombinedOutput(); err != nil {
			t.Errorf("program %d: %v\n%s", n, err, out)
		}
	}
}
