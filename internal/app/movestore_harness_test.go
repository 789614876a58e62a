package app_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/internal/app"
	"github.com/sallyport/sallyport/internal/config"
	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/token"
)

// house is an installation that is served now from one store, now from
// another: a data directory, a clock, an upstream.
type house struct {
	t     *testing.T
	dir   string
	clock *atomic.Int64
	up    string
}

func newHouse(t *testing.T) *house {
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]string{"user": r.Header.Get("X-Sallyport-User")})
	}))
	t.Cleanup(up.Close)
	h := &house{t: t, dir: filepath.Join(t.TempDir(), "data"), clock: new(atomic.Int64), up: up.URL}
	h.clock.Store(start)
	return h
}

// config is that of a data directory; dsn is "" for the store in it.
func (h *house) config(dir, dsn string) *config.Config {
	h.t.Helper()
	flags := config.Flags{
		"data": {dir}, "listen": {"127.0.0.1:0"}, "private_listen": {"127.0.0.1:0"}, "upstream": {h.up},
		"issuer": {"https://auth.example"}, "master_key_file": {filepath.Join(h.dir, "master.key")},
	}
	if dsn != "" {
		flags["store"] = []string{dsn}
	}
	cfg, err := config.Load(config.Options{Environ: []string{}, Flags: flags})
	if err != nil {
		h.t.Fatal(err)
	}
	return cfg
}

func (h *house) options() app.Options {
	return app.Options{Version: "test", Stderr: io.Discard, Now: h.clock.Load}
}

// serve serves a store until stop is called.
func (h *house) serve(dir, dsn string) (s *server, stop func()) {
	h.t.Helper()
	a, err := app.New(h.t.Context(), h.config(dir, dsn), h.options())
	if err != nil {
		h.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := errors.Join(<-done, a.Close()); err != nil {
			h.t.Error(err)
		}
	}
	h.t.Cleanup(stop)
	return &server{
		t: h.t, app: a, url: a.URL(), dir: dir, clock: h.clock, seen: new(atomic.Int64),
		admin: admin.NewSocketClient(filepath.Join(dir, app.AdminSocket)),
	}, stop
}

// refuses wants serve to refuse a store, in these words.
func (h *house) refuses(dir, dsn string, words ...string) {
	h.t.Helper()
	a, err := app.New(h.t.Context(), h.config(dir, dsn), h.options())
	if err == nil {
		_ = a.Close()
		h.t.Fatalf("the store is served: %s %s", dir, dsn)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			h.t.Errorf("serve says %q, which has no %q", err, w)
		}
	}
}

func (h *house) move(from, to string) (*app.MoveReport, error) {
	return app.MoveStore(h.t.Context(), h.config(h.dir, ""), h.options(), app.MoveOptions{From: from, To: to})
}

func (h *house) undo(from, to string, force bool) (*app.UndoReport, error) {
	return app.UndoMove(h.t.Context(), h.config(h.dir, ""), h.options(), app.MoveOptions{From: from, To: to}, force)
}

// clients is what logged in before a move, and carries on afterwards.
type clients struct {
	item, path, net *answer
	sub, appToken   string
	dead            string // a refresh token of a session that was ended
	oauth           *admin.OAuthClient
	oauthTokens     *answer
	oldCode         string
	collector       *core.Netosecret
	request         string // a request token that was accepted
	rotated         string // Netography's refresh token before the present one
	deadApp         string
}

// requestToken signs one.
func requestToken(t *testing.T, ns *core.Netosecret, id string, at int64) string {
	t.Helper()
	k, err := token.NewRequestKey([]byte(ns.SharedSecret))
	if err != nil {
		t.Fatal(err)
	}
	jwt, err := token.MintRequest(k, &token.RequestToken{AppName: ns.AppName, AppKey: ns.AppKey, ShortName: ns.Shortname, IssuedAt: at, ID: id})
	if err != nil {
		t.Fatal(err)
	}
	return jwt
}

// settle logs one client of each kind in.
func (s *server) settle() *clients {
	s.t.Helper()
	c := &clients{}
	s.user("", "scanner", "application", "reader")
	c.sub = s.user("", "ann", "user")
	s.user("", "ned", "user")
	c.item = s.itempathLogin("scanner")
	c.appToken = s.do("POST", "/api/users/application-token", c.item.text("refreshToken"), nil).want(200, "").text("token")
	c.deadApp = s.do("POST", "/api/users/application-token", c.item.text("refreshToken"), nil).want(200, "").text("token")
	var list admin.Page[admin.ApplicationToken]
	if err := s.admin.Get(s.t.Context(), "/application-tokens", nil, &list); err != nil {
		s.t.Fatal(err)
	}
	_, claim := claims(s.t, c.deadApp)
	s.act("/application-tokens/"+fmt.Sprint(claim["jti"])+"/revoke", nil)
	gone := s.itempathLogin("scanner")
	c.dead = gone.text("refreshToken")
	_, claim = claims(s.t, gone.text("accessToken"))
	s.act("/sessions/revoke", map[string]any{"session": claim["sid"]})
	c.path = s.do("POST", "/token", "", map[string]string{"username": "ann", "password": password}).want(200, "")
	c.net = s.do("POST", "/api/auth/bearer/token", "", url.Values{"username": {"ned"}, "password": {password}}).want(200, "")
	c.rotated = c.net.text("refresh_token")
	c.net = s.do("POST", "/api/auth/bearer/refresh", "", url.Values{"refresh_token": {c.rotated}}).want(200, "")
	c.oauth = s.oauthClient(admin.NewOAuthClient{})
	browser := s.login("ann")
	c.oldCode = s.code(c.oauth, browser, "openid", "offline_access")
	c.oauthTokens = s.redeem(c.oauth, c.oldCode).want(200, "")
	var made admin.APIKey
	if err := s.admin.Post(s.t.Context(), "/api-keys", map[string]any{"appname": "collector"}, &made); err != nil {
		s.t.Fatal(err)
	}
	ns, err := core.DecodeNetosecret(made.Netosecret)
	if err != nil {
		s.t.Fatal(err)
	}
	c.collector = ns
	c.request = requestToken(s.t, ns, "once", s.clock.Load()/1000)
	s.exchange(c.request).want(200, "")
	return c
}

func (s *server) exchange(jwt string) *answer {
	s.t.Helper()
	return s.do("POST", "/api/v1/auth/token", "", map[string]string{"jwt": jwt})
}

// carryOn is what the clients do next. Tokens change where they rotate.
func (s *server) carryOn(c *clients, n int) {
	s.t.Helper()
	// ItemPath.
	s.do("GET", "/api/stations", c.item.text("accessToken"), nil).want(200, `{"user":"scanner"}`)
	access := s.do("POST", "/api/users/refresh", c.item.text("refreshToken"), nil).want(200, "").text("accessToken")
	s.do("GET", "/api/stations", access, nil).want(200, "")
	s.do("GET", "/api/stations", c.appToken, nil).want(200, "")
	s.do("GET", "/api/stations", c.deadApp, nil).want(401, "")
	s.do("POST", "/api/users/refresh", c.dead, nil).want(401, "")
	// PathStack: the string of before.
	s.do("GET", "/v2/things", c.path.text("data", "access_token"), nil).want(200, "")
	again := s.do("POST", "/refresh", "", map[string]string{"sub": c.sub, "refresh_token": c.path.text("data", "refresh_token")}).want(200, "")
	if again.text("data", "refresh_token") != c.path.text("data", "refresh_token") {
		s.t.Error("PathStack's refresh token is another")
	}
	// Netography rotates; a lost answer is given again byte for byte.
	s.do("GET", "/api/v1/flow", c.net.text("access_token"), nil).want(200, "")
	lost := s.do("POST", "/api/auth/bearer/refresh", "", url.Values{"refresh_token": {c.rotated}}).want(200, "")
	if lost.text("refresh_token") != c.net.text("refresh_token") {
		s.t.Error("the answer that was lost before the move is another now")
	}
	c.rotated = c.net.text("refresh_token")
	c.net = s.do("POST", "/api/auth/bearer/refresh", "", url.Values{"refresh_token": {c.rotated}}).want(200, "")
	if c.net.text("refresh_token") == c.rotated {
		s.t.Error("the refresh token was not rotated")
	}
	// OAuth.
	s.introspect(c.oauth, c.oauthTokens.text("access_token")).want(200, "")
	if a := s.introspect(c.oauth, c.oauthTokens.text("access_token")); a.body["active"] != true {
		s.t.Errorf("introspection says %s", a.raw)
	}
	c.oauthTokens = s.refreshOAuth(c.oauth, c.oauthTokens.text("refresh_token")).want(200, "")
	// Request tokens: a new one is taken, the old one is a replay.
	s.exchange(requestToken(s.t, c.collector, fmt.Sprint("new", n), s.clock.Load()/1000)).want(200, "")
	s.exchange(c.request).want(401, "")
	// Passwords.
	s.itempathLogin("scanner")
}

// auditWhole wants every chain of the audit log to hold.
func (s *server) auditWhole() {
	s.t.Helper()
	if err := s.admin.Get(s.t.Context(), "/audit/verify", nil, &map[string]any{}); err != nil {
		s.t.Errorf("the audit log: %v", err)
	}
}

// carry10s lets the clients carry on a little later: the twin of a request
// token would be answered sooner.
func (s *server) carry10s(c *clients) {
	s.t.Helper()
	s.pass(10 * time.Second)
	s.carryOn(c, int(s.clock.Load()))
}

func lastFact(t *testing.T, s *server) int64 {
	t.Helper()
	_, last, err := app.StoreOf(s.app).FactsSince(t.Context(), 0, 1)
	if err != nil {
		t.Fatal(err)
	}
	return last
}

// refusesLoading wants a database that is not filled, or empty, to be refused.
func (h *house) refusesLoading(dsn string) {
	h.t.Helper()
	err := app.TryOpen(h.t.Context(), h.config(filepath.Join(h.t.TempDir(), "node"), dsn), h.options())
	if err != nil && !errors.Is(err, core.ErrLoading) {
		h.t.Fatal(err)
	}
	if err == nil && !app.StoreEmpty(h.t.Context(), h.config(filepath.Join(h.t.TempDir(), "node"), dsn), h.options()) {
		h.t.Fatal("a store that is not filled to the end can be served")
	}
}
