package core_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/core/authserver"
	"github.com/sallyport/sallyport/internal/token"
)

// TestSecurity42_RevocationArrives: each kind of fact ends what it names at once, through
// a warm cache, and goes on doing so after a restart; what it does not name
// lives on.
func TestSecurity42_RevocationArrives(t *testing.T) {
	type tokens struct{ ann1, ann2, bea, acme, key *core.Granted }
	for _, c := range []struct {
		name string
		act  func(w *world, ann, bea *core.User, k *core.MadeAPIKey, g *tokens) error
		dead func(g *tokens) []*core.Granted
	}{
		{"session", func(w *world, _, _ *core.User, _ *core.MadeAPIKey, g *tokens) error {
			return w.svc.RevokeSession(w.ctx, admin, g.ann1.Session.ID.String())
		}, func(g *tokens) []*core.Granted { return []*core.Granted{g.ann1} }},
		{"logout", func(w *world, _, _ *core.User, _ *core.MadeAPIKey, g *tokens) error {
			return w.svc.Logout(w.ctx, &core.LogoutRequest{Mount: w.mounts[0], Token: g.ann1.RefreshToken, Client: from(home)})
		}, func(g *tokens) []*core.Granted { return []*core.Granted{g.ann1} }},
		{"logout of others", func(w *world, _, _ *core.User, _ *core.MadeAPIKey, g *tokens) error {
			return w.svc.Logout(w.ctx, &core.LogoutRequest{Mount: w.mounts[0], Token: g.ann1.AccessToken, Scope: core.LogoutOthers, Client: from(home)})
		}, func(g *tokens) []*core.Granted { return []*core.Granted{g.ann2} }},
		{"logout of all", func(w *world, _, _ *core.User, _ *core.MadeAPIKey, g *tokens) error {
			return w.svc.Logout(w.ctx, &core.LogoutRequest{Mount: w.mounts[0], Token: g.ann1.AccessToken, Scope: core.LogoutAll, Client: from(home)})
		}, func(g *tokens) []*core.Granted { return []*core.Granted{g.ann1, g.ann2} }},
		{"subject", func(w *world, ann, _ *core.User, _ *core.MadeAPIKey, _ *tokens) error {
			n, err := w.svc.RevokeSubjectSessions(w.ctx, admin, ann.ID)
			if n != 2 {
				w.Errorf("%d sessions ended, want 2", n)
			}
			return err
		}, func(g *tokens) []*core.Granted { return []*core.Granted{g.ann1, g.ann2} }},
		{"user, one spared", func(w *world, ann, _ *core.User, _ *core.MadeAPIKey, g *tokens) error {
			_, err := w.svc.SetPassword(w.ctx, admin, ann.ID, "quite another set of words", false, g.ann2.Session.ID.String())
			return err
		}, func(g *tokens) []*core.Granted { return []*core.Granted{g.ann1} }},
		{"user, spared twice differently", func(w *world, ann, _ *core.User, _ *core.MadeAPIKey, g *tokens) error {
			_, err := w.svc.SetPassword(w.ctx, admin, ann.ID, "quite another set of words", false, g.ann2.Session.ID.String())
			w.must(err)
			_, err = w.svc.SetPassword(w.ctx, admin, ann.ID, "and a third set of words", false, g.ann1.Session.ID.String())
			return err
		}, func(g *tokens) []*core.Granted { return []*core.Granted{g.ann1, g.ann2} }},
		{"user deleted", func(w *world, ann, _ *core.User, _ *core.MadeAPIKey, _ *tokens) error {
			return w.svc.DeleteUser(w.ctx, admin, ann.ID)
		}, func(g *tokens) []*core.Granted { return []*core.Granted{g.ann1, g.ann2} }},
		{"API key", func(w *world, _, _ *core.User, k *core.MadeAPIKey, _ *tokens) error {
			return w.svc.SetAPIKeyState(w.ctx, admin, k.Key.ID, core.Disabled)
		}, func(g *tokens) []*core.Granted { return []*core.Granted{g.key} }},
		{"account", func(w *world, _, _ *core.User, _ *core.MadeAPIKey, _ *tokens) error {
			_, err := w.svc.SetAccountState(w.ctx, admin, "acme", core.Disabled)
			return err
		}, func(g *tokens) []*core.Granted { return []*core.Granted{g.acme} }},
		{"account disabled and enabled", func(w *world, _, _ *core.User, _ *core.MadeAPIKey, _ *tokens) error {
			_, err := w.svc.SetAccountState(w.ctx, admin, "acme", core.Disabled)
			w.must(err)
			_, err = w.svc.SetAccountState(w.ctx, admin, "acme", core.Active)
			return err
		}, func(g *tokens) []*core.Granted { return []*core.Granted{g.acme} }},
		{"everything", func(w *world, _, _ *core.User, _ *core.MadeAPIKey, _ *tokens) error {
			return w.svc.RevokeEverything(w.ctx, admin)
		}, func(g *tokens) []*core.Granted { return []*core.Granted{g.ann1, g.ann2, g.bea, g.acme, g.key} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, acme := netography("net", core.DefaultAccount), netography("acme", "acme")
			w := newWorld(t, m, acme)
			_, err := w.svc.CreateAccount(w.ctx, admin, "acme")
			w.must(err)
			ann, bea := w.user("ann"), w.user("bea")
			w.user("cleo", in("acme"))
			k := w.apiKey("", "daemon")
			key, err := w.exchange(m, w.request(k, "1", start), home)
			w.must(err)
			g := &tokens{ann1: w.in(m, "ann"), ann2: w.in(m, "ann"), bea: w.in(m, "bea"), acme: w.in(acme, "cleo"), key: key}
			all := []*core.Granted{g.ann1, g.ann2, g.bea, g.acme, g.key}
			alive := map[*core.Granted]*core.Principal{}
			for _, x := range all {
				alive[x] = w.calls(x.AccessToken)
			}
			w.must(c.act(w, ann, bea, k, g))
			dead := map[*core.Granted]bool{}
			for _, x := range c.dead(g) {
				dead[x] = true
			}
			check := func(when string) {
				for i, x := range all {
					want := core.Code("")
					if dead[x] {
						want = core.TokenRevoked
					}
					mount := m
					if x == g.acme {
						mount = acme
					}
					got := map[string]error{"alive": w.svc.Alive(w.ctx, alive[x])}
					_, got["call"] = w.call(x.AccessToken)
					_, got["verify id"] = w.svc.Verify(w.ctx, &core.VerifyRequest{Mount: mount, Token: x.IDToken, Kinds: []token.Kind{token.ID}})
					_, got["verify refresh"] = w.svc.Verify(w.ctx, &core.VerifyRequest{Mount: mount, Token: x.RefreshToken, Kinds: []token.Kind{token.Refresh}})
					_, got["renew"] = w.svc.Renew(w.ctx, &core.RenewRequest{Mount: mount, Token: x.AccessToken})
					if dead[x] {
						_, got["refresh"] = w.refresh(mount, x.RefreshToken)
					}
					for what, err := range got {
						if err == nil && want != "" || err != nil && core.CodeOf(err) != want {
							t.Errorf("%s, token %d: %s: %v, want %q", when, i, what, err, want)
						}
					}
				}
			}
			check("at once")
			w.reopen(nil)
			check("after a restart")
			w.sleep(59 * minute)
			w.svc.Purge(w.ctx)
			check("an hour later")
			for _, x := range all {
				if !dead[x] && x != g.acme {
					w.refreshed(m, x.RefreshToken)
				}
			}
		})
	}
}

// TestLogoutTwice and with an ancestor is no error; a stranger's or another
// mount's token logs nobody out.
func TestLogoutTwice(t *testing.T) {
	m := netography("net", core.DefaultAccount)
	w := newWorld(t, m)
	w.user("ann")
	g := w.in(m, "ann")
	other := w.in(m, "ann")
	w.refreshed(m, g.RefreshToken)
	logout := func(tok string, scope core.LogoutScope, kinds ...token.Kind) error {
		return w.svc.Logout(w.ctx, &core.LogoutRequest{Mount: m, Token: tok, Scope: scope, Kinds: kinds, Client: from(home)})
	}
	wantCode(t, logout(g.AccessToken, core.LogoutThis, token.Refresh), core.TokenWrongKind)
	w.sleep(10 * minute)
	w.must(logout(g.RefreshToken, core.LogoutThis))
	w.must(logout(g.RefreshToken, core.LogoutThis))
	w.must(logout(g.AccessToken, core.LogoutThis))
	w.refusedCall(g.AccessToken, core.TokenRevoked)
	wantCode(t, logout(g.AccessToken, core.LogoutAll), core.TokenRevoked) // a dead token ends nobody else
	w.calls(other.AccessToken)
	if n := len(w.audits("logout")); n != 1 {
		t.Fatalf("%d logouts in the audit log, want the one that ended something", n)
	}
}

// TestSecurity56_StoreFailsClosed: a store that does not answer is a 503 for every grant
// and every verifier, and never "invalid token".
func TestSecurity56_StoreFailsClosed(t *testing.T) {
	m, item := netography("net", core.DefaultAccount), itempath("item", core.DefaultAccount)
	w := newWorld(t, m, item)
	w.user("robot", application)
	k := w.apiKey("", "daemon")
	g, i := w.in(m, "robot"), w.in(item, "robot")
	app := w.minted(item, i.RefreshToken)
	// An application token whose key has been dropped is found by its row alone.
	set := core.KeySet{Mount: item.ID, Kind: token.Application}
	old := w.keys.ActiveKey(set)
	_, err := w.keys.Rotate(w.ctx, set, "test")
	w.must(err)
	rowOnly := app.ApplicationToken
	app = w.minted(item, i.RefreshToken)
	w.must(w.keys.Drop(w.ctx, old, "test"))
	p, a := w.calls(g.AccessToken), w.calls(app.ApplicationToken)
	w.calls(rowOnly)
	w.sleep(1_001) // out of the cache
	w.store.breakAll()
	check := func(when string) {
		t.Helper()
		for name, f := range map[string]func() error{
			"authenticate":           func() error { _, err := w.call(g.AccessToken); return err },
			"authenticate app":       func() error { _, err := w.call(app.ApplicationToken); return err },
			"authenticate row alone": func() error { _, err := w.call(rowOnly); return err },
			"verify": func() error {
				_, err := w.svc.Verify(w.ctx, &core.VerifyRequest{Mount: m, Token: g.AccessToken})
				return err
			},
			"refresh":               func() error { _, err := w.refresh(m, g.RefreshToken); return err },
			"refresh, not rotating": func() error { _, err := w.refresh(item, i.RefreshToken); return err },
			"renew": func() error {
				_, err := w.svc.Renew(w.ctx, &core.RenewRequest{Mount: m, Token: g.AccessToken})
				return err
			},
			"mint":            func() error { _, err := w.mint(item, i.RefreshToken); return err },
			"login":           func() error { _, err := w.login(m, "robot", right, home); return err },
			"login of nobody": func() error { _, err := w.login(m, "nobody", right, home); return err },
			"exchange":        func() error { _, err := w.exchange(m, w.request(k, when, w.clock.Load()), home); return err },
			"logout":          func() error { return w.svc.Logout(w.ctx, &core.LogoutRequest{Mount: m, Token: g.RefreshToken}) },
			"logout of all": func() error {
				return w.svc.Logout(w.ctx, &core.LogoutRequest{Mount: m, Token: g.AccessToken, Scope: core.LogoutAll})
			},
			"inspect":                  func() error { _, err := w.svc.InspectToken(w.ctx, g.AccessToken); return err },
			"inspect row alone":        func() error { _, err := w.svc.InspectToken(w.ctx, rowOnly); return err },
			"revoke":                   func() error { return w.svc.RevokeSession(w.ctx, admin, g.Session.ID.String()) },
			"alive, application token": func() error { return w.svc.Alive(w.ctx, a) },
		} {
			if err := f(); core.CodeOf(err) != core.Unavailable {
				t.Errorf("%s: %s: %v", when, name, err)
			}
		}
	}
	check("fresh")
	w.must(w.svc.Alive(w.ctx, p)) // memory is fresh enough
	w.sleep(5 * second)
	check("stale")
	wantCode(t, w.svc.Alive(w.ctx, p), core.Unavailable)
	w.store.mend()
	w.calls(g.AccessToken)
	w.refreshed(m, g.RefreshToken)
}

// TestStaleness: a node that has heard nothing for five seconds asks once and
// then says so; a cached decision is no way around it.
func TestStaleness(t *testing.T) {
	m := netography("net", core.DefaultAccount)
	w := newWorldWith(t, core.Config{MaxStalenessMS: 500}, sharedHasher(), m)
	w.user("ann")
	g := w.in(m, "ann")
	w.calls(g.AccessToken)
	deaf := func(method string) error {
		if method == "FactsSince" {
			return errDisk
		}
		return nil
	}
	w.store.hook(deaf)
	w.sleep(500)
	w.calls(g.AccessToken)
	w.sleep(1)
	w.refusedCall(g.AccessToken, core.Unavailable)
	wantCode(t, w.svc.Hearing(w.ctx), core.Unavailable)
	w.store.mend()
	w.calls(g.AccessToken)
	// A clock set back does not make the memory fresh for as long as it is behind.
	w.sleep(-50 * second)
	w.store.hook(deaf)
	if _, err := w.call(g.AccessToken); core.CodeOf(err) != core.Unavailable {
		t.Fatalf("heard in the future, so trusted until then: %v", err)
	}
	w.store.mend()
	// Idle for long: it asks by itself.
	w.sleep(20 * minute)
	w.calls(g.AccessToken)
}

// TestRevokedElsewhere: what another process wrote to the log arrives.
func TestRevokedElsewhere(t *testing.T) {
	m := netography("net", core.DefaultAccount)
	w := newWorldWith(t, core.Config{MaxStalenessMS: 1}, sharedHasher(), m)
	u := w.user("ann")
	g := w.in(m, "ann")
	w.calls(g.AccessToken)
	_, err := w.disk.AddFact(w.ctx, &core.AddFactParams{Fact: core.Fact{Kind: core.FactUser, Subject: u.ID, PurgeAt: start + day}, Now: start})
	w.must(err)
	w.sleep(2) // within the cache's second, beyond staleness: it asks
	w.refusedCall(g.AccessToken, core.TokenRevoked)
	w.calls(w.in(m, "ann").AccessToken) // opened after the fact
}

// TestManyFacts: more than one page of the log is read at start.
func TestManyFacts(t *testing.T) {
	m := netography("net", core.DefaultAccount)
	w := newWorld(t, m)
	w.user("ann")
	g := w.in(m, "ann")
	for i := range 2100 {
		f := core.Fact{Kind: core.FactSession, Subject: fmt.Sprint("x", i), PurgeAt: start + day}
		if i == 1500 {
			f.Subject = g.Session.ID.String()
		}
		if _, err := w.disk.AddFact(w.ctx, &core.AddFactParams{Fact: f, Now: start}); err != nil {
			t.Fatal(err)
		}
	}
	w.reopen(nil)
	w.refusedCall(g.AccessToken, core.TokenRevoked)
	if s := w.in(m, "ann").Session; s.ID.Epoch != 2100 {
		t.Fatalf("epoch %d", s.ID.Epoch)
	}
}

// TestFactOutlivesItsTokens: a fact may go when the last token that it can
// concern is over, and not before, whatever mount made it.
func TestFactOutlivesItsTokens(t *testing.T) {
	m, item := netography("net", core.DefaultAccount), itempath("item", core.DefaultAccount)
	w := newWorld(t, m, item)
	w.user("ann")
	w.must(w.svc.RevokeEverything(w.ctx, admin))
	g := w.in(m, "ann")
	w.must(w.svc.RevokeSession(w.ctx, admin, g.Session.ID.String()))
	facts, _, err := w.disk.FactsSince(w.ctx, 0, 0)
	w.must(err)
	for _, f := range facts {
		// A session's own row refuses its refresh tokens: see TestSessionFactsAreBrief.
		if f.Kind != core.FactSession && f.PurgeAt < start+30*day {
			t.Errorf("the fact on %s goes after %d days, refresh tokens live 30", f.Kind, (f.PurgeAt-start)/day)
		}
	}
	i := w.in(item, "ann")
	w.must(w.svc.RevokeEverything(w.ctx, admin))
	w.sleep(30*day - minute)
	w.svc.Purge(w.ctx)
	w.reopen(nil)
	_, err = w.refresh(item, i.RefreshToken)
	wantCode(t, err, core.TokenRevoked)
}

// TestEverythingOutlivesConfiguration: a lifetime shortened and lengthened
// again does not bring back what was revoked in between.
func TestEverythingOutlivesConfiguration(t *testing.T) {
	long := itempath("item", core.DefaultAccount)
	w := newWorld(t, long)
	w.user("ann")
	g := w.in(long, "ann")
	short := itempath("item", core.DefaultAccount)
	short.Policy.Rotation.IdleMS, short.Policy.Refresh.LifetimeMS = hour, hour
	w.mounts = []*core.Mount{short}
	w.reopen(nil)
	w.must(w.svc.RevokeEverything(w.ctx, admin))
	w.sleep(3 * hour)
	w.svc.Purge(w.ctx)
	w.mounts = []*core.Mount{itempath("item", core.DefaultAccount)}
	w.reopen(nil)
	_, err := w.refresh(w.mounts[0], g.RefreshToken)
	wantCode(t, err, core.TokenRevoked)
}

// TestDeafLogout: a node that does not hear of revocations lets no token, which
// may be dead, end the sessions of others.
func TestDeafLogout(t *testing.T) {
	m := netography("net", core.DefaultAccount)
	w := newWorld(t, m)
	w.user("ann")
	g := w.in(m, "ann")
	w.sleep(minute)
	w.store.hook(func(method string) error {
		if method == "FactsSince" {
			return errDisk
		}
		return nil
	})
	for _, scope := range []core.LogoutScope{core.LogoutOthers, core.LogoutAll} {
		err := w.svc.Logout(w.ctx, &core.LogoutRequest{Mount: m, Token: g.AccessToken, Scope: scope, Client: from(home)})
		wantCode(t, err, core.Unavailable)
	}
	if w.row(g.Session.ID).RevokedAt != 0 {
		t.Fatal("sessions ended all the same")
	}
}

// TestRevokedByAnotherMount: the claims of one mount's token under the key of
// another mount end nothing.
func TestRevokedByAnotherMount(t *testing.T) {
	one, other := netography("net", core.DefaultAccount), netography("more", core.DefaultAccount)
	w := newWorld(t, one, other)
	auth := w.authServer()
	w.user("ann")
	g := w.in(one, "ann")
	client := &core.ClientRecord{OAuthClient: core.OAuthClient{ID: "client_x", Account: "ac_default", Type: core.ClientConfidential}}
	for kind, tok := range map[token.Kind]string{token.Access: g.AccessToken, token.Refresh: g.RefreshToken} {
		_, rest, _ := strings.Cut(tok, ".")
		claims, _, _ := strings.Cut(rest, ".")
		raw, err := base64.RawURLEncoding.DecodeString(claims)
		w.must(err)
		forged, _, err := w.keys.Sign(core.KeySet{Mount: other.ID, Kind: kind}, jwt(kind, "", 0).Header, raw)
		w.must(err)
		w.must(auth.RevokeToken(w.ctx, &authserver.RevokeRequest{Auth: client, Token: forged, Client: from(home)}))
		if n := len(w.audits("token.revoke")); n != 0 {
			t.Errorf("%s: %d revocations", kind, n)
		}
		if row := w.row(g.Session.ID); row.RevokedAt != 0 || row.Status != g.Session.Status {
			t.Errorf("%s: the session was changed: %+v", kind, row)
		}
		w.calls(g.AccessToken)
		w.must(w.svc.Logout(w.ctx, &core.LogoutRequest{Mount: other, Token: forged, Client: from(home)}))
		if w.row(g.Session.ID).RevokedAt != 0 || len(w.audits("logout")) != 0 {
			t.Errorf("%s: a logout at the other mount ended it", kind)
		}
	}
}

// TestLogoutSaysWho: the record of a logout names who logged out.
func TestLogoutSaysWho(t *testing.T) {
	m := netography("net", core.DefaultAccount)
	w := newWorld(t, m)
	w.user("ann")
	g := w.in(m, "ann")
	w.must(w.svc.Logout(w.ctx, &core.LogoutRequest{Mount: m, Token: g.RefreshToken, Client: from(home)}))
	log := w.audits("logout")
	if len(log) != 1 {
		t.Fatalf("%d records", len(log))
	}
	ev := log[0]
	if ev.Actor != "user:"+g.Session.Subject || ev.Subject != g.Session.Subject || ev.Account != g.Session.Account || ev.Session != g.Session.ID.String() {
		t.Errorf("%+v", ev)
	}
}

// TestApplicationTokenRevokedTwice: that a token was revoked already is said by
// the store's step, not on the word of a row that a failover may take back.
func TestApplicationTokenRevokedTwice(t *testing.T) {
	m := itempath("item", core.DefaultAccount)
	w := newWorld(t, m)
	auth := w.authServer()
	w.user("bot", application)
	app := w.minted(m, w.in(m, "bot").RefreshToken)
	revoke := func(account string) error {
		client := &core.ClientRecord{OAuthClient: core.OAuthClient{ID: "client_x", Account: account, Type: core.ClientConfidential}}
		return auth.RevokeToken(w.ctx, &authserver.RevokeRequest{Auth: client, Token: app.ApplicationToken, Client: from(home)})
	}
	w.must(revoke("ac_default"))
	w.must(revoke("ac_default"))
	w.must(revoke("ac_other"))
	w.store.hook(func(method string) error {
		if method == "ChangeApplicationToken" {
			return core.ErrUnknownOutcome
		}
		return nil
	})
	wantCode(t, revoke("ac_default"), core.Unavailable)
}
