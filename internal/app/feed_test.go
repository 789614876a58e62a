package app_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/internal/app"
	"github.com/sallyport/sallyport/internal/config"
	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/verify"
)

const feedPath = "/_sallyport/revocations"

// serveAt starts a server on a directory and an address, and returns how to
// stop it, so that a test can start another in its place.
func serveAt(t *testing.T, dir, listen string, clock *atomic.Int64) (s *server, stop func()) {
	t.Helper()
	cfg, err := config.Load(config.Options{Environ: []string{}, Flags: config.Flags{
		"data": {dir}, "listen": {listen}, "private_listen": {"127.0.0.1:0"}, "shutdown_timeout": {"10s"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	s = &server{t: t, clock: clock, dir: dir}
	if s.app, err = app.New(t.Context(), cfg, app.Options{Version: "test", Stderr: t.Output(), Now: clock.Load}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.app.Run(ctx) }()
	var stopped bool
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := errors.Join(<-done, s.app.Close()); err != nil {
			t.Error("the server ended with", err)
		}
	}
	t.Cleanup(stop)
	s.url = s.app.URL()
	s.admin = admin.NewSocketClient(filepath.Join(dir, app.AdminSocket))
	return s, stop
}

// login gives the tokens of the bearer contract.
func (s *server) bearerLogin(name string) (access, refresh string) {
	s.t.Helper()
	a := s.do("POST", "/api/auth/bearer/token", "", url.Values{"username": {name}, "password": {password}}).want(200, "")
	return a.text("access_token"), a.text("refresh_token")
}

// client makes an OAuth client that may read the feed, and returns the value of
// its Authorization header.
func (s *server) feedClient(name string, scopes ...string) string {
	s.t.Helper()
	var c admin.OAuthClient
	in := admin.NewOAuthClient{Name: name, Grants: []string{"client_credentials"}, Scopes: scopes}
	if err := s.admin.Post(s.t.Context(), "/clients", in, &c); err != nil {
		s.t.Fatal(err)
	}
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(c.ID+":"+c.Secret))
}

func (s *server) poll(query, authorization string, header ...string) *answer {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), "GET", s.url+feedPath+query, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	return s.send(req)
}

// told is the payload of an answer.
func (a *answer) told() (out struct {
	Iss                   string
	Iat, Exp, Since, Last int64
	Full, More            bool
	Facts                 []struct {
		N, P    int64
		K, S, X string
	}
},
) {
	a.t.Helper()
	parts := strings.Split(a.raw, ".")
	if len(parts) != 3 {
		a.t.Fatalf("%q is no JWT", a.raw)
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		a.t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &out); err != nil {
		a.t.Fatal(err)
	}
	return out
}

// follow starts a verifier of a server's tokens that follows its feed.
func follow(t *testing.T, issuer string, clock *atomic.Int64, authorization string) *verify.Verifier {
	t.Helper()
	v, err := verify.New(verify.Config{
		Issuer: issuer, AllowApplicationTokens: true, Clock: func() time.Time { return time.UnixMilli(clock.Load()) },
		Revocations: &verify.Revocations{
			Account:       "ac_default",
			Authorization: func(context.Context) (string, error) { return authorization, nil },
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := v.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	return v
}

// becomes waits until the verifier says want of a token. What it waits for is
// a push over a connection, which no clock of the test moves.
func becomes(t *testing.T, v *verify.Verifier, what, raw string, want error) {
	t.Helper()
	var err error
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if _, err = v.Verify(t.Context(), raw); errors.Is(err, want) || want == nil && err == nil {
			return
		}
	}
	t.Fatalf("%s: %v, want %v", what, err, want)
}

// TestFeedEndToEnd follows the feed of a real server with the verifier that
// resource servers use, through revocations of each kind, a restart, and a
// store that was brought back from a backup.
func TestFeedEndToEnd(t *testing.T) {
	clock := new(atomic.Int64)
	clock.Store(start)
	dir := filepath.Join(t.TempDir(), "data")
	s, stop := serveAt(t, dir, freeAddress(t), clock)
	auth := s.feedClient("stations", core.RoleRevocations)
	ann, bob := s.user("", "ann", "user"), s.user("", "bob", "user")
	annA, annRefresh := s.bearerLogin("ann")
	annB, _ := s.bearerLogin("ann")
	bobA, _ := s.bearerLogin("bob")
	v := follow(t, s.url, clock, auth)
	all := map[string]string{"ann A": annA, "ann B": annB, "bob": bobA}
	alive := func(step string, names ...string) {
		t.Helper()
		for name, raw := range all {
			_, err := v.Verify(t.Context(), raw)
			if good := slices.Contains(names, name); good != (err == nil) || !good && !errors.Is(err, verify.ErrRevoked) {
				t.Errorf("%s: %s: %v", step, name, err)
			}
		}
	}
	alive("at first", "ann A", "ann B", "bob")

	_, pa := claims(t, annA)
	_, pb := claims(t, annB)
	s.act("/sessions/revoke", map[string]any{"session": pa["sid"]})
	becomes(t, v, "a session", annA, verify.ErrRevoked)
	alive("a session", "ann B", "bob")

	all["ann C"], _ = s.bearerLogin("ann")
	becomes(t, v, "a login after the fact", all["ann C"], nil)
	if _, err := s.app.Service().SetPassword(t.Context(), core.Actor{Name: "test"}, ann, password+"!", false, pb["sid"].(string)); err != nil {
		t.Fatal(err)
	}
	becomes(t, v, "a user with one session spared", all["ann C"], verify.ErrRevoked)
	alive("a user with one session spared", "ann B", "bob")

	// A restart: numbers go on, and nothing revoked comes back.
	listen := strings.TrimPrefix(s.url, "http://")
	stop()
	backup := filepath.Join(t.TempDir(), "backup")
	if err := os.CopyFS(backup, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Chmod(backup, 0o700), os.Chmod(filepath.Join(backup, "master.key"), 0o600)); err != nil {
		t.Fatal(err)
	}
	s, stop = serveAt(t, dir, listen, clock)
	alive("after a restart", "ann B", "bob")
	s.act("/users/"+bob+"/disable", nil)
	becomes(t, v, "a user, after a restart", bobA, verify.ErrRevoked)
	s.act("/accounts/default/disable", nil)
	becomes(t, v, "an account", annB, verify.ErrRevoked)
	alive("an account")
	fresh := follow(t, s.url, clock, s.tokenOfReader(t))
	for name, raw := range all {
		if _, err := fresh.Verify(t.Context(), raw); !errors.Is(err, verify.ErrRevoked) {
			t.Errorf("a verifier started now: %s: %v", name, err)
		}
	}
	stop()

	// The backup knows less than the verifier has heard: all is read again.
	s, _ = serveAt(t, backup, listen, clock)
	becomes(t, v, "bob, by the log of the backup", bobA, nil)
	alive("by the log of the backup", "ann B", "bob")
	s.act("/sessions/revoke", map[string]any{"session": pb["sid"]})
	becomes(t, v, "a number that was given before", annB, verify.ErrRevoked)
	alive("a number that was given before", "bob")
	if a := s.do("POST", "/api/auth/bearer/refresh", "", url.Values{"refresh_token": {annRefresh}}); a.status == 200 || a.status >= 500 {
		t.Error("a refresh token of a revoked session works")
	}
}

// tokenOfReader enables the account again and returns a reader's header with an
// access token by client credentials.
func (s *server) tokenOfReader(t *testing.T) string {
	t.Helper()
	s.act("/accounts/default/enable", nil)
	auth := s.feedClient("by token", core.RoleRevocations)
	req, err := http.NewRequestWithContext(t.Context(), "POST", s.url+"/oauth2/token", strings.NewReader("grant_type=client_credentials&scope=revocations:read"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Authorization", auth)
	return "Bearer " + s.send(req).want(200, "").text("access_token")
}

// TestFeedAnswers looks at the feed as a client of HTTP does.
func TestFeedAnswers(t *testing.T) {
	s := serve(t, "")
	auth := s.feedClient("reader", core.RoleRevocations)
	a := s.poll("?since=0&wait=0", auth).want(200, "")
	h := a.header
	if h.Get("Content-Type") != "application/revocations+jwt" || h.Get("Cache-Control") != "no-store" || h.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("headers %v", h)
	}
	var kid struct{ Typ, Alg, Kid string }
	head, _ := base64.RawURLEncoding.DecodeString(strings.Split(a.raw, ".")[0])
	if err := json.Unmarshal(head, &kid); err != nil || kid.Typ != "revocations+jwt" || kid.Alg != "ES256" {
		t.Errorf("header %s: %v", head, err)
	}
	if jwks := s.do("GET", "/.well-known/jwks.json", "", nil).want(200, "").raw; !strings.Contains(jwks, `"`+kid.Kid+`"`) {
		t.Errorf("the key %s of the feed is not in %s", kid.Kid, jwks)
	}
	m := a.told()
	if m.Iss != s.url || m.Iat != start/1000 || m.Exp != m.Iat+30 || m.Since != 0 || m.Last != 0 || !m.Full || m.More || len(m.Facts) != 0 {
		t.Errorf("at first %+v", m)
	}

	id := s.user("", "ann", "user")
	s.bearerLogin("ann")
	s.act("/users/"+id+"/disable", nil)
	tag := h.Get("ETag")
	a = s.poll("?since=0&wait=25", auth, "If-None-Match", tag).want(200, "")
	m = a.told()
	if m.Last != 1 || len(m.Facts) != 1 || m.Facts[0].N != 1 || m.Facts[0].K != "user" || m.Facts[0].S != id || m.Facts[0].P <= m.Iat {
		t.Errorf("a user: %+v", m)
	}
	s.poll("?since=0", auth, "If-None-Match", a.header.Get("ETag")).want(304, "")
	if m = s.poll("?since=1", auth).want(200, "").told(); m.Full || m.Since != 1 || m.Last != 1 || len(m.Facts) != 0 {
		t.Errorf("nothing new: %+v", m)
	}
	// A reader that has heard more than there is, is told so at once.
	if m = s.poll("?since=9&wait=25", auth).want(200, "").told(); m.Since != 9 || m.Last != 1 || len(m.Facts) != 0 {
		t.Errorf("a shorter log: %+v", m)
	}

	for query, want := range map[string]int{"?since=-1": 400, "?since=x": 400, "?since=1&since=2": 400, "?wait=1h": 400, "?since=99999999999999999999": 400} {
		s.poll(query, auth).want(want, "")
	}
	s.user("", "eve", "user", "reader")
	eve, refresh := s.bearerLogin("eve")
	none := s.feedClient("no reader", "other")
	for name, c := range map[string]struct {
		auth string
		want int
	}{
		"nothing": {"", 401}, "nonsense": {"Bearer x", 401}, "no role": {"Bearer " + eve, 403}, "a refresh token": {"Bearer " + refresh, 401},
		"a client without the scope": {none, 403}, "a wrong secret": {auth[:len(auth)-6] + "AAAA==", 401}, "a broken header": {"Basic %%%", 401},
	} {
		if a := s.poll("?since=0", c.auth); a.status != c.want || a.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: status %d, want %d: %s", name, a.status, c.want, a.raw)
		}
	}
	s.do("POST", feedPath, "", nil).want(405, "")

	// By a token: a role of a user does.
	s.user("", "watch", "user", core.RoleRevocations)
	watch, _ := s.bearerLogin("watch")
	s.poll("?since=0", "Bearer "+watch).want(200, "")
}

// TestFeedWaits lets a poll wait for news, and for shutdown.
func TestFeedWaits(t *testing.T) {
	clock := new(atomic.Int64)
	clock.Store(start)
	s, stop := serveAt(t, filepath.Join(t.TempDir(), "data"), "127.0.0.1:0", clock)
	auth := s.feedClient("reader", core.RoleRevocations)
	s.user("", "ann", "user")
	tok, _ := s.bearerLogin("ann")
	_, c := claims(t, tok)
	answers := make(chan *answer, 2)
	go func() { answers <- s.poll("?since=0&wait=25", auth) }()
	soon(t, "the poll waits", func() bool { return app.FeedWaiting(s.app) == 1 })
	s.act("/sessions/revoke", map[string]any{"session": c["sid"]})
	if m := (<-answers).want(200, "").told(); len(m.Facts) != 1 || m.Facts[0].K != "session" || m.Facts[0].S != c["sid"] {
		t.Errorf("news: %+v", m)
	}
	soon(t, "the first poll is over", func() bool { return app.FeedWaiting(s.app) == 0 })
	go func() { answers <- s.poll("?since=1&wait=25", auth) }()
	soon(t, "the second one waits", func() bool { return app.FeedWaiting(s.app) == 1 })
	stop() // cuts off after 10 s what is not answered
	if m := (<-answers).want(200, "").told(); m.Last != 1 || len(m.Facts) != 0 {
		t.Errorf("at shutdown: %+v", m)
	}
}
