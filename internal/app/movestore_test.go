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
	"github.com/sallyport/sallyport/internal/store/dump"
	"github.com/sallyport/sallyport/internal/store/pgtest"
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

// TestMoveStore moves a store with logged-in clients to PostgreSQL and back.
// None notices; the store left behind is refused.
func TestMoveStore(t *testing.T) {
	pg := pgtest.Start(t)
	h, dsn := newHouse(t), pg.NewDatabase(t)
	s, stop := h.serve(h.dir, "")
	c := s.settle()
	s.carry10s(c)
	if _, err := h.move(h.dir, dsn); !app.InUse(err) {
		t.Fatalf("a store that is served is moved: %v", err)
	}
	facts := lastFact(t, s)
	stop()

	r, err := h.move("sqlite:"+h.dir, dsn)
	if err != nil {
		t.Fatal(err)
	}
	if r.Resumed || r.Rows < 30 || len(r.Tables) != len(dump.Tables()) || r.MasterKey == "" {
		t.Errorf("the report says %+v", r)
	}
	secret, _ := url.Parse(dsn)
	if pw, _ := secret.User.Password(); strings.Contains(fmt.Sprintf("%+v", r), pw) {
		t.Error("the report has the password of the database")
	}
	h.refuses(h.dir, "", "was moved to postgres://", "migrate-store --undo --from sqlite:"+h.dir)
	var moved *core.MovedError
	if _, err := h.move(h.dir, dsn); !errors.As(err, &moved) {
		t.Errorf("a store that was moved is moved again: %v", err)
	}

	// The same directory: its facts journal knows the store.
	s, stop = h.serve(h.dir, dsn)
	s.carry10s(c)
	s.auditWhole()
	// Numbers go on above those that were copied.
	ended := s.itempathLogin("scanner")
	_, claim := claims(t, ended.text("accessToken"))
	s.act("/sessions/revoke", map[string]any{"session": claim["sid"]})
	s.do("GET", "/api/stations", ended.text("accessToken"), nil).want(401, "")
	if now := lastFact(t, s); now <= facts {
		t.Errorf("facts end at %d, and ended at %d before the move", now, facts)
	}
	if _, err := h.move(dsn, "sqlite:"+filepath.Join(t.TempDir(), "back")); err == nil || !strings.Contains(err.Error(), "is being served, by ") {
		t.Fatalf("a database that is served is moved: %v", err)
	}
	// A second node elsewhere, without a journal.
	other, stopOther := h.serve(filepath.Join(t.TempDir(), "other"), dsn)
	other.do("GET", "/api/stations", c.appToken, nil).want(200, "")
	stopOther()
	stop()

	// And back, into another directory.
	back := filepath.Join(t.TempDir(), "back")
	if _, err := h.move(dsn, "sqlite:"+back); err != nil {
		t.Fatal(err)
	}
	h.refuses(h.dir, dsn, "was moved to sqlite:"+back)
	s, stop = h.serve(back, "")
	s.carry10s(c)
	s.do("GET", "/api/stations", ended.text("accessToken"), nil).want(401, "")
	s.do("POST", "/api/users/refresh", ended.text("refreshToken"), nil).want(401, "")
	s.auditWhole()
	stop()
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

// TestMoveTargets: what a store is not moved into.
func TestMoveTargets(t *testing.T) {
	pg := pgtest.Start(t)
	h := newHouse(t)
	s, stop := h.serve(h.dir, "")
	s.user("", "scanner", "application")
	stop()
	full := newHouse(t)
	_, stopFull := full.serve(full.dir, "")
	stopFull()
	for to, words := range map[string]string{
		"sqlite:" + full.dir:                  "the store is not empty",
		h.dir:                                 "into itself",
		"mysql://root@localhost/x":            `no stores in "mysql"`,
		"postgres://secret:pw@localhost":      "names no database",
		"":                                    "empty name",
		filepath.Join(h.dir, "facts.journal"): "is no data directory",
	} {
		_, err := h.move(h.dir, to)
		if err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("moving to %q: %v, want %q", to, err, words)
		}
		if err != nil && strings.Contains(err.Error(), "pw@") {
			t.Errorf("%q has the password", err)
		}
	}
	if _, err := h.move(filepath.Join(t.TempDir(), "none"), pg.NewDatabase(t)); err == nil || !strings.Contains(err.Error(), "there is no store in") {
		t.Errorf("moving what is not there: %v", err)
	}
	// All of these left the source as it was.
	_, stop = h.serve(h.dir, "")
	stop()
}

// TestUndoMove: a move that was not used is undone for nothing; one that was
// must be confirmed, so that no revoked token comes back.
func TestUndoMove(t *testing.T) {
	pg := pgtest.Start(t)
	h, dsn := newHouse(t), pg.NewDatabase(t)
	s, stop := h.serve(h.dir, "")
	s.user("", "scanner", "application")
	a := s.itempathLogin("scanner")
	stop()
	if _, err := h.undo(h.dir, "", false); err == nil || !strings.Contains(err.Error(), "was not moved") {
		t.Fatalf("undoing nothing: %v", err)
	}
	if _, err := h.move(h.dir, dsn); err != nil {
		t.Fatal(err)
	}
	if _, err := h.undo(h.dir, "", false); !errors.Is(err, app.ErrUsedSince) {
		t.Fatalf("undone without asking the target: %v", err)
	}
	r, err := h.undo(h.dir, dsn, false)
	if err != nil || r.Confirm || !r.TargetShut {
		t.Fatalf("undoing a move whose target was not used: %+v, %v", r, err)
	}
	h.refuses(h.dir, dsn, "was moved to sqlite:")
	s, stop = h.serve(h.dir, "")
	s.do("POST", "/api/users/refresh", a.text("refreshToken"), nil).want(200, "")
	stop()

	second := pg.NewDatabase(t)
	if _, err := h.move(h.dir, second); err != nil {
		t.Fatal(err)
	}
	s, stop = h.serve(h.dir, second)
	_, claim := claims(t, a.text("accessToken"))
	s.act("/sessions/revoke", map[string]any{"session": claim["sid"]})
	stop()
	if _, err := h.undo(h.dir, second, false); !errors.Is(err, app.ErrUsedSince) {
		t.Fatalf("undone although the target was used: %v", err)
	}
	if r, err = h.undo(h.dir, second, true); err != nil || !r.Confirm || !r.TargetShut {
		t.Fatalf("undoing with force: %+v, %v", r, err)
	}
	h.refuses(h.dir, second, "was moved to")
	h.refuses(h.dir, "", "restored or copied", "brought back after that was used")
	if _, err := app.ConfirmRestore(t.Context(), h.config(h.dir, ""), h.options(), app.ConfirmOptions{}); err != nil {
		t.Fatal(err)
	}
	s, stop = h.serve(h.dir, "")
	s.do("POST", "/api/users/refresh", a.text("refreshToken"), nil).want(401, "")
	stop()
}

// TestMoveOlderCopy: a copy of the source from before the move is found out
// beside the journal that went on with the target.
func TestMoveOlderCopy(t *testing.T) {
	pg := pgtest.Start(t)
	h, dsn := newHouse(t), pg.NewDatabase(t)
	s, stop := h.serve(h.dir, "")
	s.user("", "scanner", "application")
	stop()
	file := filepath.Join(h.dir, "sallyport.db")
	copied, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.move(h.dir, dsn); err != nil {
		t.Fatal(err)
	}
	s, stop = h.serve(h.dir, dsn)
	a := s.itempathLogin("scanner")
	_, claim := claims(t, a.text("accessToken"))
	s.act("/sessions/revoke", map[string]any{"session": claim["sid"]})
	stop()
	if err := os.WriteFile(file, copied, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, log := range []string{"-wal", "-shm"} {
		_ = os.Remove(file + log) // mostly not there
	}
	h.refuses(h.dir, "", "restored or copied")
}

// moveEnv holds the moveOrder of a process that moves a store and dies.
const moveEnv = "SALLYPORT_TEST_MOVE"

type moveOrder struct {
	Dir, From, To string
	Passed        []string // die before the first step that is none of these
}

// moveAndDie is the process.
func moveAndDie(text string) error {
	var o moveOrder
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		return err
	}
	cfg, err := config.Load(config.Options{Environ: []string{}, Flags: config.Flags{"data": {o.Dir}}})
	if err != nil {
		return err
	}
	_, err = app.MoveStore(context.Background(), cfg, app.Options{Version: "test", Stderr: io.Discard, Now: func() int64 { return start }}, app.MoveDying(o.From, o.To, o.Passed))
	return err
}

// TestMoveKilled kills the process before each step of a move, one step further
// each time, until it comes to its end. At no time can both stores be served,
// and at the end nothing is missing.
func TestMoveKilled(t *testing.T) {
	pg := pgtest.Start(t)
	h, dsn := newHouse(t), pg.NewDatabase(t)
	s, stop := h.serve(h.dir, "")
	c := s.settle()
	s.pass(10 * time.Second)
	stop()
	var steps []string
	for {
		killed, step := runAndDie(t, moveEnv, moveOrder{Dir: h.dir, From: h.dir, To: dsn, Passed: steps})
		if !killed {
			break
		}
		if steps = append(steps, step); step == "note" {
			continue // nothing has happened yet
		}
		h.refuses(h.dir, "", "is being moved to postgres://")
		if step != "done" {
			h.refusesLoading(dsn)
		}
	}
	t.Logf("killed before: %s", strings.Join(steps, ", "))
	for _, want := range []string{"note", "shut", "begin", "rows of sessions", "ending", "end", "done"} {
		if !slices.Contains(steps, want) {
			t.Errorf("it was never killed before %q", want)
		}
	}
	h.refuses(h.dir, "", "was moved to postgres://")
	s, stop = h.serve(h.dir, dsn)
	s.carryOn(c, 1)
	s.auditWhole()
	stop()
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
