package app_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/internal/app"
	"github.com/sallyport/sallyport/internal/config"
	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/store/pgtest"
)

var nodeRounds = flag.Int("node-rounds", 20, "rounds in which 50 refreshes of one token race over two nodes")

func (s *server) private(path string) (status int, body string) {
	s.t.Helper()
	res, err := http.Get(s.app.PrivateURL() + path)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return res.StatusCode, string(raw)
}

// nodesOn gives a function that starts nodes of one store in PostgreSQL, each
// with lines of configuration of its own.
func nodesOn(t *testing.T, dsn string) func(yaml string) *server {
	t.Helper()
	var secret [32]byte
	_, _ = rand.Read(secret[:]) // it never fails
	key := filepath.Join(t.TempDir(), "master.key")
	if err := os.WriteFile(key, fmt.Appendf(nil, "%x\n", secret), 0o600); err != nil {
		t.Fatal(err)
	}
	return func(yaml string) *server {
		t.Helper()
		return serve(t, fmt.Sprintf("store: %s\nmaster_key_file: %s\nissuer: https://auth.example\n%s", dsn, key, yaml))
	}
}

// soon waits for what another node is to hear of.
func soon(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for began := time.Now(); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Since(began) > time.Minute {
			t.Fatal("not within a minute: " + what)
		}
	}
}

func (s *server) itempathLogin(name string) *answer {
	s.t.Helper()
	return s.do("POST", "/api/users/login", "", map[string]string{"username": name, "password": password}).want(200, "")
}

// TestTwoNodes: what one node did the other knows.
func TestTwoNodes(t *testing.T) {
	node := nodesOn(t, pgtest.Start(t).NewDatabase(t))
	a, b := node(""), node("")
	ada := a.user("", "ada", "application")
	first := a.itempathLogin("ada")
	access := b.do("POST", "/api/users/refresh", first.text("refreshToken"), nil).want(200, "").text("accessToken")
	a.do("GET", "/api/stations", access, nil).want(200, "")
	b.do("GET", "/api/stations", access, nil).want(200, "")

	// A session that ended on one node has ended on the other.
	_, c := claims(t, access)
	a.act("/sessions/revoke", map[string]any{"session": c["sid"]})
	a.do("GET", "/api/stations", access, nil).want(401, "")
	soon(t, "the revocation", func() bool { return b.do("GET", "/api/stations", access, nil).status == 401 })
	b.do("POST", "/api/users/refresh", first.text("refreshToken"), nil).want(401, "")

	// So has one of a user who was disabled.
	access = b.itempathLogin("ada").text("accessToken")
	a.act("/users/"+ada+"/disable", nil)
	soon(t, "the disabled user", func() bool { return b.do("GET", "/api/stations", access, nil).status == 401 })
	a.act("/users/"+ada+"/enable", nil)

	// A key that begins to sign on one node verifies on the other.
	before := a.keysOf("itempath", "access")["active"].ID
	a.act("/keys/rotate", map[string]any{"mount": "itempath", "kind": "access", "now": true})
	access = a.itempathLogin("ada").text("accessToken")
	b.do("GET", "/api/stations", access, nil).want(200, "")
	soon(t, "which key signs", func() bool { return b.keysOf("itempath", "access")["active"].ID != before })

	// Wrong passwords count wherever they are tried, and each node has a chain
	// of audit records, which verify together.
	for i := range 6 {
		[]*server{a, b}[i%2].do("POST", "/api/users/login", "", map[string]string{"username": "ada", "password": "wrong wrong wrong"}).want(401, "")
	}
	var page admin.Page[admin.AuditRecord]
	if err := b.admin.Get(t.Context(), "/audit", nil, &page); err != nil {
		t.Fatal(err)
	}
	nodes := map[string]bool{}
	for _, r := range page.Items {
		nodes[r.Node] = true
	}
	if len(nodes) != 2 {
		t.Errorf("audit records are of %d nodes", len(nodes))
	}
	if err := a.admin.Get(t.Context(), "/audit/verify", nil, nil); err != nil {
		t.Error(err)
	}
}

// TestNewKeysOverNodes: while keys change, at once as well, what one node gives is
// taken by the other in the same moment, and nobody is logged out; so is what a
// new API key, or its new secret, signs.
func TestNewKeysOverNodes(t *testing.T) {
	node := nodesOn(t, pgtest.Start(t).NewDatabase(t))
	a, b := node(""), node("")
	a.user("", "ann", "application")
	in := a.itempathLogin("ann")
	var changed atomic.Bool
	var all sync.WaitGroup
	rounds := func(one func()) {
		all.Go(func() {
			for more := 20; more > 0 && !t.Failed(); {
				one()
				if changed.Load() {
					more--
				}
			}
		})
	}
	for range 4 {
		rounds(func() {
			access := a.do("POST", "/api/users/refresh", in.text("refreshToken"), nil).text("accessToken")
			if got := b.do("GET", "/api/stations", access, nil); got.status != 200 {
				t.Errorf("an access token of the other node: %d %s", got.status, got.raw)
			}
		})
	}
	rounds(func() {
		ref := a.do("POST", "/api/users/login", "", map[string]string{"username": "ann", "password": password}).text("refreshToken")
		if got := b.do("POST", "/api/users/refresh", ref, nil); got.status != 200 {
			t.Errorf("a refresh token of the other node: %d %s", got.status, got.raw)
		}
	})
	keys := map[string]string{}
	for _, kind := range []string{"access", "refresh"} {
		keys[kind] = a.keysOf("itempath", kind)["active"].ID
		a.act("/keys/rotate", map[string]any{"mount": "itempath", "kind": kind, "now": true})
		if a.keysOf("itempath", kind)["active"].ID == keys[kind] {
			t.Errorf("the %s key was not rotated", kind)
		}
	}
	changed.Store(true)
	all.Wait()
	b.do("POST", "/api/users/refresh", in.text("refreshToken"), nil).want(200, "")

	key, err := a.app.Service().CreateAPIKey(t.Context(), operator, core.NewAPIKey{AppName: "daemon"})
	if err != nil {
		t.Fatal(err)
	}
	b.do("POST", "/api/v1/auth/token", "", map[string]string{"jwt": a.requestToken(key, "first")}).want(200, "")
	made, err := a.app.Service().RotateAPIKey(t.Context(), operator, key.Key.ID, 60_000, "")
	if err != nil {
		t.Fatal(err)
	}
	for i, k := range []*core.MadeAPIKey{made, key} { // the former one for a minute more
		b.do("POST", "/api/v1/auth/token", "", map[string]string{"jwt": a.requestToken(k, fmt.Sprint("second", i))}).want(200, "")
	}
}

// TestRequestTokenOverNodes: a request token that one node took is a replay on
// the other, from elsewhere or later.
func TestRequestTokenOverNodes(t *testing.T) {
	node := nodesOn(t, pgtest.Start(t).NewDatabase(t))
	a, b := node("trusted_proxies: [127.0.0.1]\n"), node("trusted_proxies: [127.0.0.1]\n")
	key, err := a.app.Service().CreateAPIKey(t.Context(), operator, core.NewAPIKey{AppName: "daemon"})
	if err != nil {
		t.Fatal(err)
	}
	const n = 20
	for round := range 3 {
		body := map[string]string{"jwt": a.requestToken(key, fmt.Sprint(round))}
		sids, statuses := map[any]int{}, map[int]int{}
		var mu sync.Mutex
		var all sync.WaitGroup
		for i := range n {
			all.Go(func() {
				r := []*server{a, b}[i%2].do("POST", "/api/v1/auth/token", "", body)
				mu.Lock()
				defer mu.Unlock()
				if statuses[r.status]++; r.status == 200 {
					_, c := claims(t, r.text("access_token"))
					sids[c["sid"]]++
				}
			})
		}
		all.Wait()
		if statuses[200] != n || len(sids) != 1 {
			t.Fatalf("answers %v, sessions %d", statuses, len(sids))
		}
		b.pass(6 * time.Second)
		a.pass(6 * time.Second)
		if r := b.do("POST", "/api/v1/auth/token", "", body); r.status == 200 || r.status >= 500 {
			t.Fatalf("a replay is answered %d %s", r.status, r.raw)
		}
	}
}

// TestNodesDiffer: a difference is told of, and fails nothing.
func TestNodesDiffer(t *testing.T) {
	node := nodesOn(t, pgtest.Start(t).NewDatabase(t))
	a, _ := node(""), node("sessions: {grace: 30s}\nmounts: [itempath, pathstack]\n")
	soon(t, "the difference", func() bool {
		var ready struct {
			Status string
			Checks []struct{ Name, Status, Note string }
		}
		req, err := http.NewRequestWithContext(t.Context(), "GET", a.app.PrivateURL()+"/readyz", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept", "application/json")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if err := json.NewDecoder(res.Body).Decode(&ready); err != nil {
			t.Fatal(err)
		}
		if res.StatusCode != 200 || ready.Status != "ok" {
			t.Fatalf("%d %+v", res.StatusCode, ready)
		}
		for _, c := range ready.Checks {
			if c.Name == "nodes" && strings.Contains(c.Note, "2 here") && strings.Contains(c.Note, "has another sessions.grace") &&
				strings.Contains(c.Note, "another contract at the mount netography") {
				return true
			}
		}
		return false
	})
}

// TestRefreshOverNodes: 50 refreshes of one token over two nodes at once all
// get one successor, and none an error of the server.
func TestRefreshOverNodes(t *testing.T) {
	node := nodesOn(t, pgtest.Start(t).NewDatabase(t))
	nodes := []*server{node(""), node("")}
	nodes[0].user("", "ned", "user")
	login := nodes[1].do("POST", "/api/auth/bearer/token", "", url.Values{"username": {"ned"}, "password": {password}}).want(200, "")
	token := login.text("refresh_token")
	for round := range *nodeRounds {
		next := map[string]int{}
		var mu sync.Mutex
		var all sync.WaitGroup
		for i := range 50 {
			all.Go(func() {
				a := nodes[i%2].do("POST", "/api/auth/bearer/refresh", "", url.Values{"refresh_token": {token}})
				mu.Lock()
				defer mu.Unlock()
				if a.status != 200 {
					next[a.raw]++
					return
				}
				next[a.text("refresh_token")]++
			})
		}
		all.Wait()
		if len(next) != 1 {
			t.Fatalf("round %d: %d different answers: %v", round, len(next), next)
		}
		for token = range next {
		}
	}
	t.Logf("%d rounds of 50 refreshes over two nodes: one successor each", *nodeRounds)
}

// TestCannotFollow: a node whose database is gone is not ready, and after
// max_staleness accepts no token, which is no word about the token. It comes
// back by itself.
func TestCannotFollow(t *testing.T) {
	pgtest.Start(t)
	pg, err := pgtest.Run(t.Context(), pgtest.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := pg.Close(); err != nil {
			t.Error(err)
		}
	})
	name, err := pg.CreateDatabase(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s := nodesOn(t, pg.DSN(name))("")
	s.user("", "ada", "user")
	access := s.itempathLogin("ada").text("accessToken")
	s.do("GET", "/api/stations", access, nil).want(200, "")
	if err := pg.Stop(pgtest.Immediate); err != nil {
		t.Fatal(err)
	}
	s.pass(10 * time.Second) // more than max_staleness
	if a := s.do("GET", "/api/stations", access, nil); a.status != 503 || a.header.Get("Retry-After") == "" {
		t.Errorf("without a database a token is answered %d %s", a.status, a.raw)
	}
	res, err := http.Get(s.app.PrivateURL() + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, err := io.ReadAll(res.Body); err != nil || res.StatusCode != 503 || !strings.Contains(string(body), "revocations: failing") {
		t.Errorf("ready says %d %s (%v)", res.StatusCode, body, err)
	}
	if err := pg.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	soon(t, "the database is back", func() bool { return s.do("GET", "/api/stations", access, nil).status == 200 })
	s.itempathLogin("ada")
}

// TestPostgresMasterKey: no node makes a master key, each is told how.
func TestPostgresMasterKey(t *testing.T) {
	dsn := pgtest.Start(t).NewDatabase(t)
	load := func(env ...string) *config.Config {
		t.Helper()
		cfg, err := config.Load(config.Options{Environ: append(env, "SALLYPORT_STORE="+dsn), Flags: config.Flags{
			"data": {t.TempDir()}, "listen": {"127.0.0.1:0"}, "private_listen": {"127.0.0.1:0"}, "issuer": {"https://auth.example"},
		}})
		if err != nil {
			t.Fatal(err)
		}
		return cfg
	}
	start := func(cfg *config.Config) error {
		a, err := app.New(t.Context(), cfg, app.Options{Version: "test", Stderr: t.Output()})
		if err == nil {
			err = a.Close()
		}
		return err
	}
	if err := start(load()); err == nil || !strings.Contains(err.Error(), "openssl rand -base64 32") || strings.Contains(err.Error(), dsn) {
		t.Errorf("a new store without a key: %v", err)
	}
	var raw [32]byte
	_, _ = rand.Read(raw[:]) // it never fails
	secret := fmt.Sprintf("SALLYPORT_MASTER_KEY=%x", raw)
	if err := start(load(secret)); err != nil {
		t.Fatal(err)
	}
	if err := start(load()); err == nil || !strings.Contains(err.Error(), "another node") {
		t.Errorf("a node without the key: %v", err)
	}
	raw[0]++
	if err := start(load(fmt.Sprintf("SALLYPORT_MASTER_KEY=%x", raw))); err == nil || !strings.Contains(err.Error(), "mk_") {
		t.Errorf("a node with another key: %v", err)
	}

	// A command beside the nodes opens the store itself.
	off, err := app.OpenOffline(t.Context(), load(secret), app.Options{Version: "test", Stderr: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := off.Close(); err != nil {
			t.Error(err)
		}
	}()
	var st admin.Status
	if err := admin.NewHandlerClient(off.AdminHandler()).Get(t.Context(), "/status", nil, &st); err != nil || st.Store.Kind != "postgres" || st.Running {
		t.Errorf("%+v, %v", st, err)
	}
}

// TestKeyNewsReadAgain: news of keys that could not be read when it came is not
// left for a minute, in which tokens of a dropped key would be good.
func TestKeyNewsReadAgain(t *testing.T) {
	dsn := pgtest.Start(t).NewDatabase(t)
	a := nodesOn(t, dsn)("")
	db, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close(context.Background()) }) // the test is over
	do := func(sql string) {
		t.Helper()
		if _, err := db.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	a.user("", "ann", "user")
	tok, _ := a.bearerLogin("ann")
	a.act("/keys/rotate", map[string]any{"mount": "netography", "kind": "access"})
	next := a.keysOf("netography", "access")["next"].ID
	if next == "" {
		t.Fatal("no next key is published")
	}
	soon(t, "notifications arrive", func() bool {
		_, body := a.private("/readyz")
		return !strings.Contains(body, "none arrive")
	})
	do(`ALTER TABLE signing_keys RENAME TO away`)
	do(`SELECT pg_notify('sallyport', 'somebody keys')`)
	// A token of a key that is not known may be of one that could not be read.
	forged := tok[:strings.LastIndexByte(tok, '.')+1] + strings.Repeat("A", 86)
	soon(t, "an unknown key is a 503", func() bool { return a.do("GET", "/api/stations", forged, nil).status == 503 })
	a.do("GET", "/api/stations", tok, nil).want(200, "")
	do(`DELETE FROM away WHERE id = '` + next + `'`)
	do(`ALTER TABLE away RENAME TO signing_keys`)
	began := time.Now()
	soon(t, "the keys are read again", func() bool { return a.keysOf("netography", "access")["next"].ID == "" })
	if took := time.Since(began); took > 40*time.Second {
		t.Errorf("the keys were read again after %s", took)
	}
	a.do("GET", "/api/stations", forged, nil).want(401, "")
}
