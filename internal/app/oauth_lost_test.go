package app_test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/sallyport/sallyport/client"
	"github.com/sallyport/sallyport/internal/admin"
)

// lossy is the wire between clients and the server. What it loses has reached
// the server: the answer alone is gone, with the connection.
type lossy struct {
	*server
	lose *atomic.Int32 // so many answers of the token endpoint will be lost
	lost *atomic.Int32
}

// serveLossy starts a server whose issuer is the wire's address, so that every
// client goes by it.
func serveLossy(t *testing.T) *lossy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &lossy{lose: new(atomic.Int32), lost: new(atomic.Int32)}
	w.server = serve(t, "issuer: http://"+l.Addr().String()+"\n")
	to, err := url.Parse(w.url)
	if err != nil {
		t.Fatal(err)
	}
	through := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) },
		ModifyResponse: func(r *http.Response) error {
			if r.Request.URL.Path != "/oauth2/token" || w.lose.Add(-1) < 0 {
				return nil
			}
			w.lost.Add(1)
			return errors.New("lost")
		},
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	wire := &httptest.Server{Listener: l, Config: &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/lose" {
			w.lose.Store(1)
			return
		}
		through.ServeHTTP(rw, r)
	})}}
	wire.Start()
	t.Cleanup(wire.Close)
	w.url = "http://" + l.Addr().String()
	w.clock.Store(time.Now().UnixMilli()) // the clients have clocks of their own
	return w
}

// oneSession checks that a client has one session, which its newest refresh
// token still moves: nobody was logged out, and nothing forked.
func (w *lossy) oneSession(user, refresh string, c *admin.OAuthClient) {
	w.t.Helper()
	var list admin.Page[admin.Session]
	if err := w.admin.Get(w.t.Context(), "/sessions", url.Values{"subject": {user}, "mount": {"oauth"}}, &list); err != nil {
		w.t.Fatal(err)
	}
	if len(list.Items) != 1 {
		w.t.Errorf("%d sessions, want 1", len(list.Items))
	}
	w.refreshOAuth(c, refresh).want(200, "")
}

// TestOAuthLostAnswer: the answer to a refresh is lost, the client asks again
// with the same token and gets the same successor, byte for byte, as often as
// it asks. Also when it asks again only after its own restart.
func TestOAuthLostAnswer(t *testing.T) {
	w := serveLossy(t)
	user := w.user("", "ann", "user")
	c := w.oauthClient(admin.NewOAuthClient{})
	tok := w.session(c, "ann").text("refresh_token")
	for range 4 {
		w.lose.Store(1)
		req := w.request("/oauth2/token", c, form("grant_type", "refresh_token", "refresh_token", tok))
		if res, err := http.DefaultClient.Do(req); err == nil {
			t.Fatalf("the answer came: %s", res.Status)
		}
		w.pass(time.Minute)
		next := w.refreshOAuth(c, tok).want(200, "").text("refresh_token")
		if again := w.refreshOAuth(c, tok).want(200, "").text("refresh_token"); again != next || next == tok {
			t.Fatal("another successor than before")
		}
		tok = next
	}
	if w.lost.Load() != 4 {
		t.Errorf("%d answers were lost", w.lost.Load())
	}
	w.oneSession(user, tok, c)
}

// TestOAuthLostAnswerOfCode: a code works once (SECURITY 22), so a client that
// asks again for a lost answer starts over. The user does not notice: he is
// still logged in.
func TestOAuthLostAnswerOfCode(t *testing.T) {
	w := serveLossy(t)
	w.user("", "ada", "user")
	c := w.oauthClient(admin.NewOAuthClient{})
	b := w.browser()
	code := b.signIn(b.authorize(ask(c)), "ada", password).code()
	w.lose.Store(1)
	req := w.request("/oauth2/token", c, form("grant_type", "authorization_code", "code", code, "redirect_uri", callback, "code_verifier", verifier))
	if _, err := http.DefaultClient.Do(req); err == nil {
		t.Fatal("the answer came")
	}
	w.redeem(c, code).isError(400, "invalid_grant")
	w.redeem(c, b.authorize(ask(c, "prompt", "none")).code()).want(200, "")
}

// TestOAuthLostAnswerOfAssertion: whoever repeats a request byte for byte
// repeats its client assertion too, which counts once. That is refused before
// anything moves, and the next request with a new assertion goes on.
func TestOAuthLostAnswerOfAssertion(t *testing.T) {
	w := serveLossy(t)
	user := w.user("", "ann", "user")
	key := newSigner(t)
	c := w.oauthClient(admin.NewOAuthClient{Auth: "private_key_jwt", JWKS: key.set})
	n := 0
	proof := func() string {
		n++
		return key.sign(t, map[string]any{"iss": c.ID, "sub": c.ID, "aud": w.url, "exp": w.clock.Load()/1000 + 60, "jti": strings.Repeat("j", n)})
	}
	send := func(proof string, pairs ...string) *answer {
		f := form(append([]string{"client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer", "client_assertion", proof}, pairs...)...)
		return w.post("/oauth2/token", nil, f)
	}
	tok := send(proof(), "grant_type", "authorization_code", "code", w.code(c, w.login("ann")), "redirect_uri", callback, "code_verifier", verifier).want(200, "").text("refresh_token")
	once := proof()
	next := send(once, "grant_type", "refresh_token", "refresh_token", tok).want(200, "").text("refresh_token")
	send(once, "grant_type", "refresh_token", "refresh_token", tok).isError(401, "invalid_client")
	if again := send(proof(), "grant_type", "refresh_token", "refresh_token", tok).want(200, "").text("refresh_token"); again != next {
		t.Error("another successor than before")
	}
	var list admin.Page[admin.Session]
	if err := w.admin.Get(t.Context(), "/sessions", url.Values{"subject": {user}, "mount": {"oauth"}}, &list); err != nil || len(list.Items) != 1 {
		t.Errorf("sessions %v %v", list.Items, err)
	}
}

// TestOAuthLostAnswerOfGoClients: golang.org/x/oauth2 asks again when it is
// asked again, our own client by itself; two of each share a refresh token as
// two tabs do.
func TestOAuthLostAnswerOfGoClients(t *testing.T) {
	w := serveLossy(t)
	user := w.user("", "ann", "user")
	c := w.oauthClient(admin.NewOAuthClient{})
	tok := w.session(c, "ann").text("refresh_token")
	cfg := oauth2.Config{ClientID: c.ID, ClientSecret: c.Secret, Endpoint: oauth2.Endpoint{TokenURL: w.url + "/oauth2/token", AuthStyle: oauth2.AuthStyleInHeader}}
	for range 3 {
		one := cfg.TokenSource(t.Context(), &oauth2.Token{RefreshToken: tok})
		two := cfg.TokenSource(t.Context(), &oauth2.Token{RefreshToken: tok})
		w.lose.Store(1)
		if _, err := one.Token(); err == nil {
			t.Fatal("the answer came")
		}
		a, err := one.Token()
		if err != nil {
			t.Fatal(err)
		}
		b, err := two.Token()
		if err != nil {
			t.Fatal(err)
		}
		if a.RefreshToken != b.RefreshToken || a.RefreshToken == tok {
			t.Fatal("the two forked")
		}
		tok = a.RefreshToken
	}
	w.oneSession(user, tok, c)

	tok = w.refreshOAuth(c, tok).want(200, "").text("refresh_token")
	for range 3 {
		tabs := make([]string, 2)
		for i := range tabs {
			src, err := client.NewOAuthUser(client.OAuth{Issuer: w.url, ClientID: c.ID, ClientSecret: c.Secret}, client.Options{Initial: &client.Token{RefreshToken: tok}})
			if err != nil {
				t.Fatal(err)
			}
			w.lose.Store(1)
			got, err := src.Token(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			tabs[i] = got.RefreshToken
		}
		if tabs[0] != tabs[1] || tabs[0] == tok {
			t.Fatal("the two forked")
		}
		tok = tabs[0]
	}
	w.oneSession(user, tok, c)
	if w.lost.Load() < 9 {
		t.Errorf("only %d answers were lost", w.lost.Load())
	}
}

// TestOAuthLostAnswerOfNodeLibraries: the same for openid-client and
// oauth4webapi, unchanged.
func TestOAuthLostAnswerOfNodeLibraries(t *testing.T) {
	node, dir := nodeDir(t)
	w := serveLossy(t)
	user := w.user("", "ann", "user")
	c := w.oauthClient(admin.NewOAuthClient{})
	tokens := []string{w.session(c, "ann").text("refresh_token"), w.session(c, "ann").text("refresh_token")}
	setup, err := json.Marshal(map[string]any{"issuer": w.url, "id": c.ID, "secret": c.Secret, "tokens": tokens})
	if err != nil {
		t.Fatal(err)
	}
	script, err := os.ReadFile(filepath.Join("testdata", "oauth-node", "lost.mjs"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "lost.mjs"), script, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), node, "lost.mjs")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "SETUP="+string(setup))
	out, err := cmd.CombinedOutput()
	if err != nil || string(out) != "openid-client\noauth4webapi\n" {
		t.Fatalf("%v\n%s", err, out)
	}
	var list admin.Page[admin.Session]
	if err := w.admin.Get(t.Context(), "/sessions", url.Values{"subject": {user}, "mount": {"oauth"}}, &list); err != nil || len(list.Items) != 2 {
		t.Errorf("sessions %v %v, want the two", list.Items, err)
	}
	if w.lost.Load() != 6 {
		t.Errorf("%d answers were lost, want 6", w.lost.Load())
	}
}
