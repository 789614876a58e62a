package app_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

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
