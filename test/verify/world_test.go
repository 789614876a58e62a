// Package verify_test holds package verify against a real server.
package verify_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"log/slog"
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
	"github.com/sallyport/sallyport/internal/app"
	"github.com/sallyport/sallyport/internal/config"
	"github.com/sallyport/sallyport/test/sut"
	"github.com/sallyport/sallyport/verify"
)

const (
	password = "a long enough demo phrase 17"
	callback = "https://app.example/callback"
)

// world is a running server: two contracts under secrets that others hold, one with keys of its own, and OAuth.
type world struct {
	t      *testing.T
	url    string
	admin  *admin.Client
	dir    string
	listen string
	file   string
	// The secrets of the contracts.
	itempath, pathstack []byte
	stop                func()
}

func serve(t *testing.T) *world {
	t.Helper()
	free, err := sut.FreePorts(1) // for a server that is started again
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, dir: filepath.Join(t.TempDir(), "data"), listen: free[0]}
	w.itempath, w.pathstack = []byte(rand.Text()+rand.Text()), []byte(rand.Text()+rand.Text())
	secrets := t.TempDir()
	yaml := "log: {level: error}\nmounts:\n  - netography\n"
	for name, secret := range map[string][]byte{"itempath": w.itempath, "pathstack": w.pathstack} {
		file := filepath.Join(secrets, name)
		if err := os.WriteFile(file, secret, 0o600); err != nil {
			t.Fatal(err)
		}
		signs := "[access]"
		if name == "itempath" {
			signs = "[access, application]"
		}
		yaml += fmt.Sprintf("  - contract: %s\n    keys: {shared_secret_file: %s, shared_for: %s}\n", name, file, signs)
	}
	w.file = filepath.Join(secrets, "sallyport.yaml")
	if err := os.WriteFile(w.file, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	w.start()
	return w
}

// start runs the server; stop ends it.
func (w *world) start() {
	w.t.Helper()
	cfg, err := config.Load(config.Options{Environ: []string{}, File: w.file, Flags: config.Flags{
		"data": {w.dir}, "listen": {w.listen}, "private_listen": {"127.0.0.1:0"}, "shutdown_timeout": {"5s"},
	}})
	if err != nil {
		w.t.Fatal(err)
	}
	server, err := app.New(w.t.Context(), cfg, app.Options{Version: "test", Stderr: w.t.Output()})
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	stopped := false
	w.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := errors.Join(<-done, server.Close()); err != nil {
			w.t.Error("the server ended with", err)
		}
	}
	w.t.Cleanup(w.stop)
	w.url = server.URL()
	w.admin = admin.NewSocketClient(filepath.Join(w.dir, app.AdminSocket))
}

func (w *world) act(path string, in, out any) {
	w.t.Helper()
	if err := w.admin.Post(w.t.Context(), path, in, out); err != nil {
		w.t.Fatal(path, err)
	}
}

func (w *world) user(name, typ string) (id string) {
	w.t.Helper()
	var u admin.User
	w.act("/users", map[string]any{"username": name, "type": typ, "password": password, "roles": []string{"read", "revocations:read"}}, &u)
	return u.ID
}

func (w *world) client(in *admin.NewOAuthClient) *admin.OAuthClient {
	w.t.Helper()
	var c admin.OAuthClient
	w.act("/clients", in, &c)
	return &c
}

// reader is the Authorization of a reader of the feed.
func (w *world) reader() func(context.Context) (string, error) {
	w.t.Helper()
	c := w.client(&admin.NewOAuthClient{Name: "reader", Grants: []string{"client_credentials"}, Scopes: []string{"revocations:read"}})
	value := "Basic " + base64.StdEncoding.EncodeToString([]byte(c.ID+":"+c.Secret))
	return func(context.Context) (string, error) { return value, nil }
}

// post sends JSON, or a form, and reads the answer.
func (w *world) post(path, bearer string, body any) map[string]any {
	w.t.Helper()
	text, ctype := "", "application/json"
	switch b := body.(type) {
	case url.Values:
		text, ctype = b.Encode(), "application/x-www-form-urlencoded"
	case nil:
	default:
		raw, err := json.Marshal(b)
		if err != nil {
			w.t.Fatal(err)
		}
		text = string(raw)
	}
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, w.url+path, strings.NewReader(text))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Content-Type", ctype)
	if user, pass, ok := strings.Cut(bearer, ":"); ok {
		req.SetBasicAuth(url.QueryEscape(user), url.QueryEscape(pass))
	} else if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		w.t.Fatalf("%s: %s %s %v", path, res.Status, raw, err)
	}
	var out map[string]any
	if len(raw) > 0 && json.Unmarshal(raw, &out) != nil {
		w.t.Fatalf("%s: %s", path, raw)
	}
	return out
}

// get fetches a path with a bearer token, or without.
func (w *world) get(path, authorization string) string {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, w.url+path, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		w.t.Fatalf("%s: %s %s %v", path, res.Status, raw, err)
	}
	return string(raw)
}

func text(answer map[string]any, name string) string {
	s, _ := answer[name].(string)
	return s
}

var hidden = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)

const codeVerifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"

// code is an authorization code that a user gets in a browser on the hosted login page.
func (w *world) code(c *admin.OAuthClient, user, scope string) string {
	w.t.Helper()
	sum := sha256.Sum256([]byte(codeVerifier))
	q := url.Values{
		"response_type": {"code"}, "client_id": {c.ID}, "redirect_uri": {callback}, "nonce": {"n"}, "state": {"s"}, "scope": {scope},
		"code_challenge_method": {"S256"}, "code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])},
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	browser := &http.Client{Jar: jar, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if r.URL.Host == "app.example" {
			return http.ErrUseLastResponse
		}
		return nil
	}}
	res, err := browser.Get(w.url + "/oauth2/authorize?" + q.Encode())
	if err != nil {
		w.t.Fatal(err)
	}
	page, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if err != nil {
		w.t.Fatal(err)
	}
	form := url.Values{"username": {user}, "password": {password}}
	for _, m := range hidden.FindAllStringSubmatch(string(page), -1) {
		form.Set(m[1], html.UnescapeString(m[2]))
	}
	res, err = browser.PostForm(w.url+"/oauth2/login", form)
	if err != nil {
		w.t.Fatal(err)
	}
	_ = res.Body.Close()
	to, err := res.Location()
	if err != nil || to.Query().Get("code") == "" {
		w.t.Fatal("no code:", res.Status, err)
	}
	return to.Query().Get("code")
}

// login redeems a code.
func (w *world) login(c *admin.OAuthClient, user, scope string) map[string]any {
	w.t.Helper()
	return w.post("/oauth2/token", c.ID+":"+c.Secret, url.Values{
		"grant_type": {"authorization_code"}, "code": {w.code(c, user, scope)}, "redirect_uri": {callback}, "code_verifier": {codeVerifier},
	})
}

// apiKey makes an API key of the Netography contract.
func (w *world) apiKey(name string) *client.Netosecret {
	w.t.Helper()
	var made struct {
		Netosecret string `json:"netosecret"`
	}
	w.act("/api-keys", admin.NewAPIKey{AppName: name, Roles: []string{"read"}}, &made)
	n, err := client.ParseNetosecret(made.Netosecret)
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}

// verifier starts one and waits until it is ready.
func (w *world) verifier(c verify.Config) *verify.Verifier {
	w.t.Helper()
	c.Issuer, c.Logger = w.url, slog.New(slog.DiscardHandler)
	v, err := verify.New(c)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(v.Close)
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	if err := v.Ready(ctx); err != nil {
		w.t.Fatal(err)
	}
	return v
}
