package app_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/internal/app"
	"github.com/sallyport/sallyport/internal/config"
	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/store/pgtest"
)

// copies is how yesterday's copy of a store is made and put back.
type copies struct {
	name  string
	stage func(t *testing.T) *stage
	// take copies the store of a stage whose server runs; it may be another
	// server afterwards.
	take func(p *stage, s *server) (putBack func(), now *server)
}

// ways are the ways in which operators get at old stores.
var ways = []copies{
	{"sqlite, backup and restore", onSQLite, takeBackup},
	{"sqlite, cp", onSQLite, takeFile},
	{"postgres, backup and restore", onPostgres, takeBackup},
	{"postgres, template", onPostgres, takeTemplate},
}

func onSQLite(t *testing.T) *stage {
	return newStage(t, filepath.Join(t.TempDir(), "data"), nil)
}

func onPostgres(t *testing.T) *stage {
	var secret [32]byte
	_, _ = rand.Read(secret[:]) // it never fails
	key := filepath.Join(t.TempDir(), "master.key")
	if err := os.WriteFile(key, fmt.Appendf(nil, "%x\n", secret), 0o600); err != nil {
		t.Fatal(err)
	}
	return newStage(t, filepath.Join(t.TempDir(), "data"), config.Flags{
		"store": {pgtest.Start(t).NewDatabase(t)}, "master_key_file": {key},
	})
}

// takeBackup backs the running server up and restores into an empty place.
func takeBackup(p *stage, s *server) (func(), *server) {
	var file bytes.Buffer
	if err := s.admin.Backup(p.t.Context(), &file); err != nil {
		p.t.Fatal(err)
	}
	return func() {
		if p.flags["store"] != nil {
			p.flags["store"] = []string{pgtest.Start(p.t).NewDatabase(p.t)}
		} else {
			p.removeStore()
		}
		if _, err := app.Restore(p.t.Context(), p.config(), p.options(), bytes.NewReader(file.Bytes()), nil); err != nil {
			p.t.Fatal(err)
		}
	}, s
}

func (p *stage) removeStore() {
	p.t.Helper()
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.RemoveAll(filepath.Join(p.dir, "sallyport.db"+suffix)); err != nil {
			p.t.Fatal(err)
		}
	}
}

func takeFile(p *stage, _ *server) (func(), *server) {
	p.stop()
	old, err := os.ReadFile(filepath.Join(p.dir, "sallyport.db"))
	if err != nil {
		p.t.Fatal(err)
	}
	return func() {
		p.removeStore()
		if err := os.WriteFile(filepath.Join(p.dir, "sallyport.db"), old, 0o600); err != nil {
			p.t.Fatal(err)
		}
	}, p.must()
}

func takeTemplate(p *stage, _ *server) (func(), *server) {
	p.stop()
	pg := pgtest.Start(p.t)
	u, err := url.Parse(p.flags["store"][0])
	if err != nil {
		p.t.Fatal(err)
	}
	name := strings.TrimPrefix(u.Path, "/")
	run := func(sql ...string) {
		p.t.Helper()
		for _, one := range sql {
			if err := pg.Exec(p.t.Context(), "postgres", one); err != nil {
				p.t.Fatal(one, err)
			}
		}
	}
	run(`CREATE DATABASE old_` + name + ` TEMPLATE ` + name)
	p.t.Cleanup(func() { _ = pg.Exec(context.Background(), "postgres", `DROP DATABASE old_`+name+` WITH (FORCE)`) }) // the cluster goes anyway
	return func() {
		run(`DROP DATABASE `+name+` WITH (FORCE)`, `CREATE DATABASE `+name+` TEMPLATE old_`+name)
	}, p.must()
}

// credential is something that opens, or does no more.
type credential struct {
	name string
	use  func(s *server) int // the status it gets
}

// bearer is a credential for the gateway.
func bearer(name, tok string) credential {
	return credential{name, func(s *server) int { return s.do("GET", "/api/stations", tok, nil).status }}
}

func refreshing(name, tok string) credential {
	return credential{name, func(s *server) int { return s.do("POST", "/api/users/refresh", tok, nil).status }}
}

// crowd has a credential of every kind.
type crowd struct {
	ended, alive []credential
	end          []func(s *server) // ends those of ended
}

func (c *crowd) person(s *server, name string, end func(s *server, id string)) {
	id := s.user("", name, "application")
	a := s.tryLogin(name).want(200, "")
	access, refresh := a.text("accessToken"), a.text("refreshToken")
	app := s.do("POST", "/api/users/application-token", refresh, nil).want(200, "").text("token")
	all := []credential{
		bearer(name+": access token", access), refreshing(name+": refresh token", refresh),
		bearer(name+": application token", app),
	}
	logsIn := credential{name + ": password", func(s *server) int { return s.tryLogin(name).status }}
	switch name {
	case "ada": // one session ends, and nothing else
		_, claims := claims(s.t, access)
		c.ended = append(c.ended, all[:2]...)
		c.alive = append(c.alive, all[2], logsIn)
		c.end = append(c.end, func(s *server) { s.act("/sessions/revoke", map[string]any{"session": claims["sid"]}) })
		return
	case "tom", "sue": // an application token ends, and nothing else
		_, claims := claims(s.t, app)
		c.ended = append(c.ended, all[2])
		c.alive = append(c.alive, all[0], all[1], logsIn)
		action := map[string]string{"tom": "revoke", "sue": "suspend"}[name]
		c.end = append(c.end, func(s *server) { s.act(fmt.Sprintf("/application-tokens/%s/%s", claims["jti"], action), nil) })
		return
	}
	if end == nil {
		c.alive = append(append(c.alive, all...), logsIn)
		return
	}
	c.end = append(c.end, func(s *server) { end(s, id) })
	c.ended = append(append(c.ended, all...), logsIn)
}

func (c *crowd) apiKey(s *server, name string, end func(s *server, id string)) {
	k, err := s.app.Service().CreateAPIKey(s.t.Context(), operator, core.NewAPIKey{AppName: name, Roles: []string{"read"}})
	if err != nil {
		s.t.Fatal(err)
	}
	n := 0
	fresh := func(s *server) *answer {
		n++
		return s.do("POST", "/api/v1/auth/token", "", map[string]string{"jwt": s.requestToken(k, fmt.Sprint(name, n))})
	}
	all := []credential{
		bearer(name+": access token", fresh(s).want(200, "").text("access_token")),
		{name + ": request token", func(s *server) int { return fresh(s).status }},
	}
	if end == nil {
		c.alive = append(c.alive, all...)
		return
	}
	if name == "rotated" { // its sessions live on; in a restored store they end
		all = all[1:]
	}
	c.ended = append(c.ended, all...)
	c.end = append(c.end, func(s *server) { end(s, k.Key.ID) })
}

func (c *crowd) client(s *server, name string, end func(s *server, c *admin.OAuthClient)) {
	m := s.oauthClient(admin.NewOAuthClient{Name: name, Grants: []string{core.GrantCredentials}, Scopes: []string{"read"}})
	grant := credential{name + ": secret", func(s *server) int { return s.token(m, "grant_type", "client_credentials").status }}
	if end == nil {
		c.alive = append(c.alive, grant)
		return
	}
	c.ended = append(c.ended, grant)
	c.end = append(c.end, func(s *server) { end(s, m) })
}

// newCrowd makes everybody.
func newCrowd(s *server) *crowd {
	c := &crowd{}
	user := func(act string, in any) func(*server, string) {
		return func(s *server, id string) { s.act("/users/"+id+act, in) }
	}
	c.person(s, "zoe", nil)
	c.person(s, "ada", nil)
	c.person(s, "tom", nil)
	c.person(s, "sue", nil)
	c.person(s, "bob", user("/disable", nil))
	c.person(s, "carl", func(s *server, id string) {
		if err := s.admin.Do(s.t.Context(), "DELETE", "/users/"+id, nil, nil, nil); err != nil {
			s.t.Fatal(err)
		}
	})
	c.person(s, "dora", user("/password", map[string]any{"password": "quite another phrase 18"}))
	c.person(s, "eve", user("/compromised", nil))
	key := func(act string) func(*server, string) {
		return func(s *server, id string) { s.act("/api-keys/"+id+act, map[string]any{}) }
	}
	c.apiKey(s, "kept", nil)
	c.apiKey(s, "disabled", func(s *server, id string) { s.act("/api-keys/"+id+"/disable", nil) })
	c.apiKey(s, "rotated", key("/rotate"))
	c.apiKey(s, "deleted", func(s *server, id string) {
		if err := s.admin.Do(s.t.Context(), "DELETE", "/api-keys/"+id, nil, nil, nil); err != nil {
			s.t.Fatal(err)
		}
	})
	c.client(s, "good machine", nil)
	c.client(s, "disabled machine", func(s *server, m *admin.OAuthClient) { s.act("/clients/"+m.ID+"/disable", nil) })
	c.client(s, "rotated machine", func(s *server, m *admin.OAuthClient) { s.act("/clients/"+m.ID+"/rotate", map[string]any{}) })
	c.droppedKey(s)
	return c
}

// droppedKey is a signing key that is dropped, and what it signed.
func (c *crowd) droppedKey(s *server) {
	a := s.do("POST", "/token", "", map[string]string{"username": "zoe", "password": password}).want(200, "")
	c.ended = append(c.ended, bearer("signed by a dropped key", a.text("data", "access_token")))
	c.end = append(c.end, func(s *server) {
		old := s.keysOf("pathstack", "access")["active"].ID
		s.act("/keys/rotate", map[string]any{"mount": "pathstack", "kind": "access", "now": true})
		s.act("/keys/"+old+"/drop", nil)
	})
}

func (c *crowd) check(s *server, when string, ended bool) {
	s.t.Helper()
	for _, one := range c.alive {
		if got := one.use(s); got != 200 {
			s.t.Errorf("%s: %s gets %d, and was never ended", when, one.name, got)
		}
	}
	for _, one := range c.ended {
		if got := one.use(s); ended && (got < 400 || got >= 500) || !ended && got != 200 {
			s.t.Errorf("%s: %s gets %d", when, one.name, got)
		}
	}
}

func (p *stage) confirm(o app.ConfirmOptions) (*app.ConfirmReport, error) {
	return app.ConfirmRestore(p.t.Context(), p.config(), p.options(), o)
}

// TestYesterdaysCopy: whatever is put in the place of a store, nothing that was
// ended since is accepted, and who was not ended goes on.
func TestYesterdaysCopy(t *testing.T) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			p := way.stage(t)
			s := p.must()
			c := newCrowd(s)
			c.check(s, "before", false)
			putBack, s := way.take(p, s)
			for _, end := range c.end {
				end(s)
			}
			c.check(s, "ended", true)
			p.stop()
			putBack()
			_, err := p.start()
			var restored *core.RestoredError
			if !errors.As(err, &restored) {
				t.Fatalf("a server started on yesterday's copy: %v", err)
			}
			if _, err := app.OpenOffline(t.Context(), p.config(), p.options()); !errors.As(err, &restored) {
				t.Fatalf("a command opened yesterday's copy: %v", err)
			}
			report, err := p.confirm(app.ConfirmOptions{})
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("why: %s; facts %d, tokens %d, disabled %d, deleted %d, passwords %d, secrets %d, keys %d", report.Why, report.Facts,
				len(report.Tokens), len(report.Disabled), len(report.Deleted), len(report.Passwords), len(report.Secrets), len(report.SigningKeys))
			s = p.must()
			c.check(s, "restored", true)
			s = p.must() // nothing to confirm any more
			c.check(s, "started again", true)
		})
	}
}

// TestYesterdaysCopyWithTeeth: without the journal, and an operator's false
// word that the store is the present one, the same copy does revive what was
// ended. So the test above proves something.
func TestYesterdaysCopyWithTeeth(t *testing.T) {
	p := onSQLite(t)
	c := newCrowd(p.must())
	putBack, s := takeFile(p, nil)
	for _, end := range c.end {
		end(s)
	}
	p.stop()
	putBack()
	if err := os.Remove(filepath.Join(p.dir, "facts.journal")); err != nil {
		t.Fatal(err)
	}
	if _, err := p.start(); err == nil {
		t.Fatal("started without the journal that the store had")
	}
	if _, err := p.confirm(app.ConfirmOptions{JournalLost: true}); err != nil {
		t.Fatal(err)
	}
	c.check(p.must(), "revived", false)
}

// TestEndEverything: nobody knows what was ended, so all tokens are.
func TestEndEverything(t *testing.T) {
	for _, way := range ways[:3] { // a new node without a journal cannot tell a database that was put back
		t.Run(way.name, func(t *testing.T) {
			p := way.stage(t)
			s := p.must()
			s.user("", "ada", "application")
			a := s.tryLogin("ada").want(200, "")
			refresh := a.text("refreshToken")
			tok := s.do("POST", "/api/users/application-token", refresh, nil).want(200, "").text("token")
			machine := s.oauthClient(admin.NewOAuthClient{Name: "m", Grants: []string{core.GrantCredentials}, Scopes: []string{"read"}})
			asking := s.machine("read")
			issued := s.token(machine, "grant_type", "client_credentials").want(200, "").text("access_token")
			putBack, _ := way.take(p, s)
			p.stop()
			putBack()
			if err := os.Remove(filepath.Join(p.dir, "facts.journal")); err != nil {
				t.Fatal(err)
			}
			if _, err := p.start(); err == nil {
				t.Fatal("started on a copy")
			}
			report, err := p.confirm(app.ConfirmOptions{EndEverything: true})
			if err != nil || !report.Everything || len(report.Tokens) != 1 {
				t.Fatal(report, err)
			}
			s = p.must()
			s.do("GET", "/api/stations", a.text("accessToken"), nil).want(401, "")
			s.do("POST", "/api/users/refresh", refresh, nil).want(401, "")
			s.do("GET", "/api/stations", tok, nil).want(401, "")
			s.introspect(asking, issued).want(200, `{"active":false}`)
			s.tryLogin("ada").want(200, "")
			s.token(machine, "grant_type", "client_credentials").want(200, "")
		})
	}
}

// TestSecondNodeAfterRestore: when one node has confirmed, another with a
// journal of its own goes on if that has nothing to add, and is asked to
// confirm if it has.
func TestSecondNodeAfterRestore(t *testing.T) {
	p := onPostgres(t)
	q := newStage(t, filepath.Join(t.TempDir(), "data"), p.flags)
	q.flags["data"] = []string{q.dir}
	a, b := p.must(), q.must()
	a.user("", "ada", "application")
	first := a.tryLogin("ada").want(200, "").text("accessToken")
	second := a.tryLogin("ada").want(200, "").text("accessToken")
	q.stop()
	putBack, a := takeTemplate(p, a)
	b = q.must()
	end := func(s *server, tok string) {
		_, c := claims(t, tok)
		s.act("/sessions/revoke", map[string]any{"session": c["sid"]})
	}
	end(a, first)
	soon(t, "the other node", func() bool { return b.do("GET", "/api/stations", first, nil).status == 401 })
	p.stop() // the first node does not hear of what the second does
	end(b, second)
	q.stop()
	putBack()
	var restored *core.RestoredError
	if _, err := q.start(); !errors.As(err, &restored) {
		t.Fatalf("the second node: %v", err)
	}
	if _, err := p.confirm(app.ConfirmOptions{}); err != nil {
		t.Fatal(err)
	}
	a = p.must()
	a.do("GET", "/api/stations", first, nil).want(401, "")
	if _, err := q.start(); !errors.As(err, &restored) || !strings.Contains(err.Error(), "the facts journal of this node knows of") {
		t.Fatalf("the second node has more to say: %v", err)
	}
	if _, err := q.confirm(app.ConfirmOptions{}); err == nil || !strings.Contains(err.Error(), "is being served, by ") {
		t.Fatalf("confirmed beside a node that serves: %v", err)
	}
	p.stop()
	if _, err := q.confirm(app.ConfirmOptions{}); err != nil {
		t.Fatal(err)
	}
	q.must().do("GET", "/api/stations", second, nil).want(401, "")
	p.must().do("GET", "/api/stations", second, nil).want(401, "")
	p.stop()
	p.must() // its journal was told of the new incarnation
}

// TestConfirmCutOff: wherever restoring or confirming is cut off, no server
// serves what is left, and doing it again ends it.
func TestConfirmCutOff(t *testing.T) {
	for _, way := range []copies{ways[0], ways[2]} {
		t.Run(way.name, func(t *testing.T) {
			p := way.stage(t)
			c := newCrowd(p.must())
			putBack, s := way.take(p, p.must())
			for _, end := range c.end {
				end(s)
			}
			p.stop()
			putBack()
			cuts := 0
			for n := 1; ; n = n*3/2 + 1 {
				ctx, cancel := context.WithCancel(t.Context())
				var left atomic.Int64
				left.Store(int64(n))
				o := p.options()
				now := o.Now
				o.Now = func() int64 { // asked for at every step, by several at once
					if left.Add(-1) == 0 {
						cancel()
					}
					return now()
				}
				_, err := app.ConfirmRestore(ctx, p.config(), o, app.ConfirmOptions{})
				cancel()
				if err == nil && left.Load() > 0 {
					break
				}
				if err != nil {
					cuts++
					if s, err := p.start(); err == nil {
						t.Fatalf("cut off after %d: a server started at %s", n, s.url)
					}
				} else {
					break
				}
			}
			if cuts < 5 {
				t.Errorf("cut off %d times only", cuts)
			}
			c.check(p.must(), "confirmed in the end", true)
		})
	}
}

// TestRestoreCutOff: half a store is none.
func TestRestoreCutOff(t *testing.T) {
	for _, way := range []copies{ways[0], ways[2]} {
		t.Run(way.name, func(t *testing.T) {
			p := way.stage(t)
			s := p.must()
			c := newCrowd(s)
			var file bytes.Buffer
			if err := s.admin.Backup(t.Context(), &file); err != nil {
				t.Fatal(err)
			}
			for _, end := range c.end {
				end(s)
			}
			p.stop()
			if p.flags["store"] != nil {
				p.flags["store"] = []string{pgtest.Start(t).NewDatabase(t)}
			} else {
				p.removeStore()
			}
			for _, part := range []int{10, 50, 90, 99} {
				cut := bytes.NewReader(file.Bytes()[:file.Len()*part/100])
				if _, err := app.Restore(t.Context(), p.config(), p.options(), cut, nil); err == nil {
					t.Fatalf("%d%% of a backup were restored", part)
				}
				if s, err := p.start(); err == nil {
					t.Fatalf("a server started on %d%% of a store at %s", part, s.url)
				}
			}
			if _, err := app.Restore(t.Context(), p.config(), p.options(), &file, nil); err != nil {
				t.Fatal(err)
			}
			if _, err := p.confirm(app.ConfirmOptions{}); err != nil {
				t.Fatal(err)
			}
			c.check(p.must(), "restored", true)
		})
	}
}

// TestLongAfter: a session ended days ago stays ended, though the store has
// forgotten the fact on it and its refresh token would still be good.
func TestLongAfter(t *testing.T) {
	p := onSQLite(t)
	s := p.must()
	s.user("", "ada", "application")
	a := s.tryLogin("ada").want(200, "")
	putBack, s := takeFile(p, s)
	_, c := claims(t, a.text("accessToken"))
	s.act("/sessions/revoke", map[string]any{"session": c["sid"]})
	for range 8 { // a day's jump would put the clock in doubt
		p.clock.Add((20 * time.Hour).Milliseconds())
		s = p.must()
		s.app.Service().Purge(t.Context())
	}
	p.stop()
	putBack()
	if _, err := p.confirm(app.ConfirmOptions{}); err != nil {
		t.Fatal(err)
	}
	p.must().do("POST", "/api/users/refresh", a.text("refreshToken"), nil).want(401, "")
}
