// Package secrets_test plants secrets of every kind in every input of a running
// server and looks for them in everything that leaves it or stays on its disk:
// logs, answers that are not theirs, metrics, the database with its write-ahead
// log (SQLite's and PostgreSQL's, and what PostgreSQL's own log tells), the
// audit log as exported and shipped, the facts journal, backups, and what the
// command line prints. None may be found, in any encoding.
package secrets_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"io/fs"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/client"
	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/internal/store/pgtest"
	"github.com/sallyport/sallyport/test/sut"
)

// planted are the secrets by what they are.
type planted map[string]string

func (p planted) add(what, secret string) string {
	if len(secret) < 12 {
		panic("too short to be looked for: " + what)
	}
	p[what] = secret
	return secret
}

// forms are the spellings in which a secret might turn up.
func forms(secret string) map[string][]byte {
	std := base64.RawStdEncoding.EncodeToString([]byte(secret))
	out := map[string][]byte{
		"as it is": []byte(secret), "percent-encoded": []byte(url.QueryEscape(secret)), "in JSON": jsonText(secret),
		"base64": []byte(std), "base64url": []byte(base64.RawURLEncoding.EncodeToString([]byte(secret))),
		"hex": []byte(hex.EncodeToString([]byte(secret))), "HEX": []byte(strings.ToUpper(hex.EncodeToString([]byte(secret)))),
	}
	// Of a token its signature is what must not be told; header and claims are
	// no secret, but the whole is looked for too.
	if parts := strings.Split(secret, "."); len(parts) == 3 && len(parts[2]) > 20 {
		out["its signature"] = []byte(parts[2])
	}
	if raw, err := hex.DecodeString(secret); err == nil {
		out["its bytes"] = raw
	}
	return out
}

func jsonText(s string) []byte {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return b[1 : len(b)-1]
}

func (p planted) absentFrom(t *testing.T, where string, content []byte) {
	t.Helper()
	if len(content) == 0 {
		t.Errorf("%s is empty: nothing was looked at", where)
	}
	for what, secret := range p {
		for form, text := range forms(secret) {
			if i := bytes.Index(content, text); i >= 0 {
				t.Errorf("%s holds the %s, %s: …%.120q", where, what, form, content[max(0, i-40):i])
				break
			}
		}
	}
}

type world struct {
	*testing.T
	ctx     context.Context
	s       *sut.Server
	found   planted
	client  *admin.OAuthClient
	web     *http.Client
	dir     string          // everything the server leaves is below it
	pg      *pgtest.Server  // nil with the embedded store
	typed   map[string]bool // the secrets that stood where a name belongs
	revoked string          // a user whose sessions were ended
}

const callback = "https://app.example/callback"

func TestSecurity58_NoSecretLeaves(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds and runs a server")
	}
	w := begin(t)
	w.start()
	w.plant()
	w.strangers()
	w.search()
	w.s.Stop()
	w.disk("sallyport.db")
}

// begin makes a world whose server is still to be started.
func begin(t *testing.T) *world {
	t.Helper()
	dir := t.TempDir()
	binary, err := sut.Build(t.Context(), dir, "cmd/sallyport")
	if err != nil {
		t.Fatal(err)
	}
	s, err := sut.NewServer(binary, dir, "--log-level", "debug", "--log-format", "json", "--audit-ship", "file://"+filepath.Join(dir, "shipped.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	w := &world{T: t, ctx: t.Context(), s: s, found: planted{}, dir: dir, typed: map[string]bool{}}
	master := w.found.add("master key", strings.Repeat("5eb1f00dcafe0123", 4))
	s.Env = append(s.Env, "SALLYPORT_MASTER_KEY="+master)
	return w
}

func (w *world) start() {
	w.Helper()
	if _, err := w.s.Start(w.ctx); err != nil {
		w.Fatal(err)
	}
	w.Cleanup(w.s.Kill)
	jar, err := cookiejar.New(nil)
	if err != nil {
		w.Fatal(err)
	}
	w.web = &http.Client{Jar: jar, Timeout: 30 * time.Second, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if !strings.HasPrefix(r.URL.String(), w.s.URL) {
			return http.ErrUseLastResponse
		}
		return nil
	}}
}

// plant makes what holds secrets and uses each.
func (w *world) plant() {
	pw := w.found.add("password", "canary herons wade at 4711 dawn")
	w.post("/users", admin.NewUser{Username: "rosalind", Password: pw}, nil)
	var robot admin.User
	w.post("/users", admin.NewUser{Username: "robot", Type: "application", Password: pw}, &robot)
	w.post("/users/"+robot.ID+"/password", map[string]any{"password": w.found.add("new password", "canary otters knead 8 doughs")}, nil)

	item := w.json("POST", "/api/users/login", "", map[string]string{"username": "robot", "password": w.found["new password"]})
	w.found.add("ItemPath access token", text(item, "accessToken"))
	refresh := w.found.add("ItemPath refresh token", text(item, "refreshToken"))
	w.found.add("application token", text(w.json("POST", "/api/users/application-token", refresh, nil), "token"))
	w.json("GET", "/api/users/refresh", refresh, nil)

	path := w.json("POST", "/token", "", map[string]string{"username": "rosalind", "password": pw})
	w.found.add("PathStack refresh token", text(path, "data", "refresh_token"))
	w.found.add("PathStack access token", text(path, "data", "access_token"))
	w.json("POST", "/refresh", "", map[string]string{"sub": text(path, "data", "sub"), "refresh_token": text(path, "data", "refresh_token")})

	neto := w.form("/api/auth/bearer/token", url.Values{"username": {"rosalind"}, "password": {pw}})
	for _, kind := range []string{"access_token", "refresh_token", "id_token"} {
		w.found.add("Netography "+kind, text(neto, kind))
	}
	w.form("/api/auth/bearer/refresh", url.Values{"refresh_token": {text(neto, "refresh_token")}})
	// The next is for the facts journal.
	w.post("/users/"+robot.ID+"/disable", map[string]any{}, nil)
	w.revoked = robot.ID
	w.post("/users/"+robot.ID+"/enable", map[string]any{}, nil)
	w.apiKey()
	w.oauth(pw)
}

func (w *world) apiKey() {
	var k admin.APIKey
	w.post("/api-keys", map[string]any{"appname": "collector"}, &k)
	w.found.add("NETOSECRET", k.Netosecret)
	w.found.add("API secret", k.Secret)
	n, err := client.ParseNetosecret(k.Netosecret)
	if err != nil {
		w.Fatal(err)
	}
	request, err := n.RequestToken(time.Now())
	if err != nil {
		w.Fatal(err)
	}
	w.found.add("request token", request)
	w.json("POST", "/api/v1/auth/token", "", map[string]string{"jwt": request})
	w.post("/api-keys/"+k.ID+"/rotate", map[string]any{}, &k)
	w.found.add("new API secret", k.Secret)
}

// oauth logs in through the page, and takes a code for tokens.
func (w *world) oauth(pw string) {
	var c admin.OAuthClient
	w.post("/clients", admin.NewOAuthClient{Name: "shop", Type: "confidential", RedirectURIs: []string{callback}, Grants: []string{"authorization_code", "refresh_token"}, Scopes: []string{"openid", "profile"}}, &c)
	w.client = &c
	w.found.add("client secret", c.Secret)
	verifier := w.found.add("PKCE verifier", "canary-verifier-of-forty-three-characters-and-some-more")
	sum := sha256.Sum256([]byte(verifier))
	q := url.Values{
		"response_type": {"code"}, "client_id": {c.ID}, "redirect_uri": {callback}, "scope": {"openid"}, "state": {"s"},
		"nonce": {"n"}, "code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}
	res, page := w.send("GET", "/oauth2/authorize?"+q.Encode(), "", nil, nil)
	fields := url.Values{"username": {"rosalind"}, "password": {pw}}
	for _, m := range hidden.FindAllStringSubmatch(string(page), -1) {
		fields.Set(m[1], html.UnescapeString(m[2]))
	}
	if fields.Get("csrf") == "" {
		w.Fatalf("no login page: %d %s", res.StatusCode, page)
	}
	w.found.add("CSRF token", fields.Get("csrf"))
	res, page = w.send("POST", "/oauth2/login", "application/x-www-form-urlencoded", strings.NewReader(fields.Encode()), nil)
	to, err := res.Location()
	if err != nil || to.Query().Get("code") == "" {
		w.Fatalf("no code: %v, %d to %v: %s", err, res.StatusCode, to, page)
	}
	w.found.add("authorization code", to.Query().Get("code"))
	home, err := url.Parse(w.s.URL)
	if err != nil {
		w.Fatal(err)
	}
	for _, cookie := range w.web.Jar.Cookies(home) {
		w.found.add("cookie "+cookie.Name, cookie.Value)
	}
	tokens := w.token(url.Values{"grant_type": {"authorization_code"}, "code": {to.Query().Get("code")}, "redirect_uri": {callback}, "code_verifier": {verifier}})
	for _, kind := range []string{"access_token", "id_token", "refresh_token"} {
		if text(tokens, kind) != "" {
			w.found.add("OAuth "+kind, text(tokens, kind))
		}
	}
}

var hidden = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)

func (w *world) token(f url.Values) map[string]any {
	w.Helper()
	_, raw := w.send("POST", "/oauth2/token", "application/x-www-form-urlencoded", strings.NewReader(f.Encode()), func(r *http.Request) {
		r.SetBasicAuth(url.QueryEscape(w.client.ID), url.QueryEscape(w.client.Secret))
	})
	var out map[string]any
	if err := json.Unmarshal(raw, &out); err != nil || out["access_token"] == nil {
		w.Fatalf("no tokens: %s", raw)
	}
	return out
}

// strangers sends secrets where they are refused: wrong, late, misplaced, in
// broken bodies, in places where none belongs. What is refused is the owner's
// typing error as often as not.
func (w *world) strangers() {
	n := 0
	canary := func(what string) string {
		n++
		return w.found.add(what, fmt.Sprintf("canary-%03d-%x", n, sha256.Sum256([]byte(what)))[:40])
	}
	for _, path := range []string{"/token", "/api/users/login"} {
		w.send("POST", path, "application/json", jsonBody(map[string]string{"username": "rosalind", "password": canary("wrong password at " + path)}), nil)
		typed := canary("password typed as the name at " + path)
		w.typed[typed] = true
		w.send("POST", path, "application/json", jsonBody(map[string]string{"username": typed, "password": "x"}), nil)
		w.send("POST", path, "application/json", strings.NewReader(`{"username":"rosalind\u0000","password":"`+canary("password for a name with NUL at "+path)+`"}`), nil)
		w.send("POST", path, "application/json", strings.NewReader(`{"username":"rosalind","password":"`+canary("password in broken JSON at "+path)), nil)
		w.send("POST", path, "application/json", strings.NewReader(`{"username":"rosalind","password":["`+canary("password of a wrong type at "+path)+`"]}`), nil)
		w.send("POST", path, "text/plain", strings.NewReader(canary("body of another type at "+path)), nil)
		w.send("POST", path+"?password="+canary("password in the query at "+path), "application/json", strings.NewReader("{}"), nil)
	}
	for _, path := range []string{"/api/auth/bearer/token", "/oauth2/token", "/oauth2/login"} {
		w.send("POST", path, "application/x-www-form-urlencoded", strings.NewReader("username=rosalind&grant_type=password&password="+canary("wrong password at "+path)), nil)
		w.send("POST", path, "application/x-www-form-urlencoded", strings.NewReader("password="+canary("first of two at "+path)+"&password="+canary("second of two at "+path)), nil)
		w.send("POST", path, "application/x-www-form-urlencoded", strings.NewReader("%zz="+canary("broken form at "+path)), nil)
	}
	for name, value := range w.found {
		if strings.Contains(name, "token") {
			// Every token where it does not belong, altered, and in the URL.
			for _, path := range []string{"/api/stations", "/api/users/refresh", "/oauth2/userinfo", "/_sallyport/auth/nginx", "/api/users/refresh?access_token=" + url.QueryEscape(value)} {
				w.send("GET", path, "", nil, bearer(value))
				w.send("GET", path, "", nil, bearer(value+"x"))
			}
		}
	}
	for i, path := range []string{"/", "/token", "/oauth2/token", "/nowhere/" + canary("secret in a path"), "/_sallyport/auth/nginx", "/.well-known/jwks.json"} {
		w.send("GET", path, "", nil, func(r *http.Request) {
			r.SetBasicAuth("rosalind", canary(fmt.Sprintf("Basic password %d", i)))
			r.Header.Set("X-Forwarded-For", canary(fmt.Sprintf("X-Forwarded-For %d", i)))
			r.Header.Set("X-Request-Id", canary(fmt.Sprintf("X-Request-Id %d", i)))
			r.Header.Set("X-Api-Key", canary(fmt.Sprintf("X-Api-Key %d", i)))
			r.Header.Set("X-Original-Uri", "/x?token="+canary(fmt.Sprintf("X-Original-URI %d", i)))
			r.Header.Set("Cookie", "sallyport-login="+canary(fmt.Sprintf("false cookie %d", i)))
			r.Header.Set("Referer", "https://x.example/?code="+canary(fmt.Sprintf("Referer %d", i)))
		})
		w.send("GET", path, "", nil, func(r *http.Request) {
			r.Header.Set("Authorization", canary(fmt.Sprintf("Authorization without a scheme %d", i)))
		})
	}
	w.send("POST", "/oauth2/introspect", "application/x-www-form-urlencoded", strings.NewReader("token="+canary("token to introspect")+"&client_secret="+canary("client secret in the body")+"&client_id="+w.client.ID), nil)
	w.send("POST", "/oauth2/revoke", "application/x-www-form-urlencoded", strings.NewReader("token="+canary("token to revoke")), nil)
	// To the administration, which answers with problems in words.
	_ = w.s.Admin().Post(w.ctx, "/users", admin.NewUser{Username: "weak", Password: canary("weak password")[:14]}, nil) // it is refused
	delete(w.found, "weak password")
	w.found.add("refused password", canary("weak password")[:14])
	for _, taken := range []admin.NewUser{{Username: "rosalind"}, {Username: "rosie", Email: "rosalind"}, {Username: "x\x00y"}, {Username: "r", Type: "neither"}} {
		taken.Password = canary("password of a user who cannot be made: " + taken.Username)
		_ = w.s.Admin().Post(w.ctx, "/users", taken, nil) // refused, or not: its password is what counts
	}
	_ = w.s.Admin().Post(w.ctx, "/tokens/inspect", map[string]string{"token": canary("token to inspect")}, nil) // its words are not kept
	_ = w.s.Admin().Post(w.ctx, "/keys/import", map[string]any{"mount": "itempath", "kind": "access", "secret": canary("secret to import")}, nil)
}

func bearer(tok string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+tok) }
}

// search looks at what the running server tells.
func (w *world) search() {
	_, metrics := w.send("GET", w.s.Private()+"/metrics", "", nil, nil)
	w.found.absentFrom(w.T, "the metrics", metrics)
	for _, args := range [][]string{
		{"audit", "export"},
		{"audit", "tail", "-n", "500"},
		{"user", "list", "--json"},
		{"session", "list", "--json"},
		{"apptoken", "list", "--json"},
		{"apikey", "list", "--json"},
		{"client", "list", "--json"},
		{"key", "list", "--json"},
		{"status", "--json"},
		{"config", "print"},
	} {
		out, err := w.s.CLI(w.ctx, "", args...)
		if err != nil {
			w.Error(err)
		}
		w.found.absentFrom(w.T, "sallyport "+strings.Join(args, " "), out)
	}
	var last admin.User
	w.post("/users", admin.NewUser{Username: "last", Password: w.found["password"]}, &last)
	if out, err := w.s.CLI(w.ctx, "", "backup", filepath.Join(w.dir, "backup")); err != nil {
		w.Fatalf("%v %s", err, out)
	}
	exported, err := w.s.CLI(w.ctx, "", "audit", "export")
	if err == nil {
		err = os.WriteFile(filepath.Join(w.dir, "exported"), exported, 0o600)
	}
	if err != nil {
		w.Error(err)
	}
	deadline := time.Now().Add(time.Minute)
	for {
		if raw, err := os.ReadFile(filepath.Join(w.dir, "shipped.jsonl")); err == nil && bytes.Contains(raw, []byte(last.ID)) {
			break
		}
		if time.Now().After(deadline) {
			w.Error("the last user was not shipped")
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if w.pg != nil {
		return
	}
	for _, name := range []string{"sallyport.db", "sallyport.db-wal"} {
		raw, err := os.ReadFile(filepath.Join(w.s.Data, name))
		if err != nil {
			w.Error(err)
		}
		w.found.absentFrom(w.T, name+" while serving", raw)
	}
}

// disk looks at everything the server left, its log first.
func (w *world) disk(more ...string) {
	// What is no secret must be found, or the place is not read as it is written.
	control := map[string]string{
		"server.log": `"msg":"request"`, "shipped.jsonl": "rosalind", "exported": "rosalind", "backup": "rosalind", "facts.journal": w.revoked,
	}
	for _, name := range more {
		control[name] = "rosalind"
	}
	err := filepath.WalkDir(w.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !d.Type().IsRegular() || filepath.Base(path) == "sallyport" || strings.HasSuffix(path, "/lock") {
			return err
		}
		raw, err := os.ReadFile(path)
		if err == nil && len(raw) > 0 {
			w.found.absentFrom(w.T, filepath.Base(path), raw)
		}
		if bytes.Contains(raw, []byte(control[filepath.Base(path)])) {
			delete(control, filepath.Base(path))
		}
		return err
	})
	if err != nil {
		w.Error(err)
	}
	for name, text := range control {
		w.Errorf("%s is not there, or does not hold %q, which is no secret", name, text)
	}
	log, err := os.ReadFile(w.s.Log)
	if err != nil || bytes.Count(log, []byte(`"msg":"request"`)) < 50 {
		w.Errorf("the log tells of too few requests: %v", err)
	}
	w.Logf("%d secrets were looked for", len(w.found))
	if len(w.found) < 60 {
		w.Errorf("only %d secrets were planted", len(w.found))
	}
}

func (w *world) post(path string, in, out any) {
	w.Helper()
	if err := w.s.Admin().Post(w.ctx, path, in, out); err != nil {
		w.Fatal(path, err)
	}
}

// send sends a request to the server, or to a whole URL.
func (w *world) send(method, path, media string, body io.Reader, change func(*http.Request)) (*http.Response, []byte) {
	w.Helper()
	if !strings.HasPrefix(path, "http") {
		path = w.s.URL + path
	}
	req, err := http.NewRequestWithContext(w.ctx, method, path, body)
	if err != nil {
		w.Fatal(err)
	}
	if media != "" {
		req.Header.Set("Content-Type", media)
	}
	if change != nil {
		change(req)
	}
	res, err := w.web.Do(req)
	if err != nil {
		w.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		w.Fatal(err)
	}
	return res, raw
}

func jsonBody(v any) io.Reader {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return bytes.NewReader(b)
}

// json sends what must be answered well.
func (w *world) json(method, path, token string, in any) map[string]any {
	w.Helper()
	var body io.Reader
	media := ""
	if in != nil {
		body, media = jsonBody(in), "application/json"
	}
	var change func(*http.Request)
	if token != "" {
		change = bearer(token)
	}
	res, raw := w.send(method, path, media, body, change)
	return w.good(path, res, raw)
}

func (w *world) form(path string, f url.Values) map[string]any {
	w.Helper()
	res, raw := w.send("POST", path, "application/x-www-form-urlencoded", strings.NewReader(f.Encode()), nil)
	return w.good(path, res, raw)
}

func (w *world) good(path string, res *http.Response, raw []byte) map[string]any {
	w.Helper()
	var out map[string]any
	if err := json.Unmarshal(raw, &out); err != nil || res.StatusCode != http.StatusOK {
		w.Fatalf("%s: status %d: %s", path, res.StatusCode, raw)
	}
	return out
}

func text(v map[string]any, path ...string) string {
	for _, name := range path[:len(path)-1] {
		v, _ = v[name].(map[string]any)
	}
	s, _ := v[path[len(path)-1]].(string)
	return s
}
