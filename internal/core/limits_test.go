package core_test

import (
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/token"
)

// TestSessionCap: a subject has 200 live sessions at most; the longest idle
// ends first, and its tokens with it.
func TestSessionCap(t *testing.T) {
	m := netography("net", core.DefaultAccount)
	w := newWorld(t, m)
	k, other := w.apiKey("", "daemon"), w.apiKey("", "other")
	spared, err := w.exchange(m, w.request(other, "0", start), home)
	w.must(err)
	all := make([]*core.Granted, 0, 203)
	open := func() {
		w.sleep(second)
		g, err := w.exchange(m, w.request(k, "1", w.clock.Load()), home)
		w.must(err)
		all = append(all, g)
	}
	for range 200 {
		open()
	}
	if n := len(w.liveSessions(k.Key.ID)); n != 200 {
		t.Fatalf("%d sessions", n)
	}
	w.sleep(second)
	w.refreshed(m, all[0].RefreshToken) // the oldest is in use
	open()
	open()
	if n := len(w.liveSessions(k.Key.ID)); n != 200 {
		t.Fatalf("%d sessions", n)
	}
	for i, dead := range []bool{false, true, true, false} {
		_, err := w.call(all[i].AccessToken)
		if dead {
			wantCode(t, err, core.TokenRevoked)
		} else if err != nil {
			t.Fatalf("session %d: %v", i, err)
		}
	}
	w.calls(spared.AccessToken)
}

// TestApplicationTokenCap: ten a user; a revoked one makes room.
func TestApplicationTokenCap(t *testing.T) {
	m := itempath("item", core.DefaultAccount)
	w := newWorld(t, m)
	u := w.user("robot", application)
	g := w.in(m, "robot")
	_, errs := atOnce(30, func(int) (*core.Granted, error) { return w.mint(m, g.RefreshToken) })
	made := 0
	for _, err := range errs {
		if err == nil {
			made++
			continue
		}
		wantCode(t, err, core.TokenLimit)
	}
	list, err := w.svc.ListApplicationTokens(w.ctx, core.ApplicationTokenQuery{User: u.ID})
	w.must(err)
	if made != 10 || len(list) != 10 {
		t.Fatalf("%d minted, %d there", made, len(list))
	}
	_, err = w.svc.ChangeApplicationToken(w.ctx, admin, list[0].ID, core.TokenSuspend)
	w.must(err)
	_, err = w.mint(m, g.RefreshToken)
	wantCode(t, err, core.TokenLimit) // a suspended one may come back
	_, err = w.svc.ChangeApplicationToken(w.ctx, admin, list[0].ID, core.TokenRevoke)
	w.must(err)
	w.minted(m, g.RefreshToken)
}

// TestApplicationTokenLimits: networks and scopes narrow, and never widen.
func TestApplicationTokenLimits(t *testing.T) {
	m := itempath("item", core.DefaultAccount)
	w := newWorld(t, m)
	u := w.user("robot", application)
	g := w.in(m, "robot")
	mint := func(f func(*core.MintRequest)) (*core.Granted, error) {
		r := &core.MintRequest{Mount: m, Token: g.RefreshToken, Client: from(home)}
		f(r)
		return w.svc.MintApplicationToken(w.ctx, r)
	}
	for name, f := range map[string]func(*core.MintRequest){
		"network":       func(r *core.MintRequest) { r.Networks = []string{"home"} },
		"scope":         func(r *core.MintRequest) { r.Scopes = []string{"boss"} },
		"label":         func(r *core.MintRequest) { r.Label = strings.Repeat("x", 101) },
		"many networks": func(r *core.MintRequest) { r.Networks = make([]string, 51) },
	} {
		if _, err := mint(f); core.CodeOf(err) != core.FieldInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	app, err := mint(func(r *core.MintRequest) {
		r.Networks, r.Scopes, r.Label = []string{"192.0.2.0/24"}, []string{"reader"}, "scanner"
	})
	w.must(err)
	if p := w.calls(app.ApplicationToken); p.Scope() != "reader" {
		t.Fatalf("scope %q", p.Scope())
	}
	ask := func(c core.Client, roles ...string) error {
		_, err := w.svc.Authenticate(w.ctx, &core.AuthenticateRequest{Mounts: w.mounts, Token: app.ApplicationToken, Roles: roles, Client: c})
		return err
	}
	w.must(ask(from(home), "reader", "boss"))
	wantCode(t, ask(from(home), "writer"), core.ScopeInsufficient)
	wantCode(t, ask(from(office)), core.NetworkForbidden)
	wantCode(t, ask(core.Client{}), core.NetworkForbidden)
	_, err = w.svc.Verify(w.ctx, &core.VerifyRequest{Mount: m, Token: app.ApplicationToken, Client: from(office)})
	wantCode(t, err, core.NetworkForbidden)
	roles := []string{"writer"}
	_, err = w.svc.UpdateUser(w.ctx, admin, u.ID, core.UserPatch{Roles: &roles})
	w.must(err)
	if p := w.calls(app.ApplicationToken); p.Scope() != "" {
		t.Fatalf("a role that was taken away is still in the token: %q", p.Scope())
	}
}

// TestLastUse: noted to the minute, in batches; failing to note fails nothing.
func TestLastUse(t *testing.T) {
	m := itempath("item", core.DefaultAccount)
	w := newWorld(t, m)
	u := w.user("robot", application)
	app := w.minted(m, w.in(m, "robot").RefreshToken)
	for range 100 {
		w.calls(app.ApplicationToken)
	}
	w.svc.Flush(w.ctx)
	list, err := w.svc.ListApplicationTokens(w.ctx, core.ApplicationTokenQuery{User: u.ID})
	w.must(err)
	if list[0].LastUsed/minute != start/minute || list[0].LastFrom != home.String() {
		t.Fatalf("%+v", list[0])
	}
	if steps := w.disk.Stats().Steps; steps > 20 {
		t.Fatalf("100 uses in a minute cost %d steps", steps)
	}
}

// TestCacheRace: a decision read before a change that adds no fact is not kept
// after it.
func TestCacheRace(t *testing.T) {
	m := itempath("item", core.DefaultAccount)
	w := newWorld(t, m)
	u := w.user("robot", application)
	app := w.minted(m, w.in(m, "robot").RefreshToken)
	plain := core.TypeUser
	w.store.once("ApplicationTokenByHash done", func() {
		_, err := w.svc.UpdateUser(w.ctx, admin, u.ID, core.UserPatch{Type: &plain})
		w.must(err)
	})
	w.calls(app.ApplicationToken) // this one was read before
	w.refusedCall(app.ApplicationToken, core.TokenRevoked)
}

// TestKeyFault: while the store has a key that does not open, a token that no
// other key verifies may be good: that is a 503 and no "invalid token".
func TestKeyFault(t *testing.T) {
	m := netography("net", core.DefaultAccount)
	w := newWorld(t, m)
	w.user("ann")
	g := w.in(m, "ann")
	broken := g.AccessToken[:len(g.AccessToken)-1] + flip(g.AccessToken[len(g.AccessToken)-1])
	w.refusedCall(broken, core.TokenInvalid)
	w.must(w.disk.InsertKey(w.ctx, &core.InsertKeyParams{Key: core.KeyRow{
		ID: "other-node", Set: core.KeySet{Mount: m.ID, Kind: token.Access}, Class: core.OwnKey, Algorithm: token.ES256,
		State: core.KeyNext, Sealed: []byte("sealed elsewhere"), MasterKey: w.master.ID(), CreatedAt: start,
	}, Now: start}))
	wantCode(t, w.keys.Reload(w.ctx), core.Unavailable)
	w.refusedCall(broken, core.Unavailable)
	_, err := w.refresh(m, broken)
	wantCode(t, err, core.Unavailable)
	w.calls(g.AccessToken)
	w.refreshed(m, g.RefreshToken)
	w.refusedCall("garbage", core.TokenMalformed)
}

// TestLoginNames: what may log in, what is taken, and how long a freed name
// stays with its last owner.
func TestLoginNames(t *testing.T) {
	m := itempath("item", core.DefaultAccount)
	w := newWorld(t, m)
	mail := func(addr string, verified bool) func(*core.NewUser) {
		return func(n *core.NewUser) { n.Email, n.EmailVerified = addr, verified }
	}
	ann := w.user("ann", mail("ann@example.com", true))
	for _, n := range []core.NewUser{
		{Username: "ANN"}, {Username: "bea", Email: "Ann@Example.com"}, {Username: "ann@example.com"},
	} {
		if _, err := w.svc.CreateUser(w.ctx, admin, n); core.CodeOf(err) != core.Conflict {
			t.Errorf("%+v: %v", n, err)
		}
	}
	w.in(m, "ann@example.com")
	// A new address is not verified because the old one was.
	next := "ann@new.example"
	u, err := w.svc.UpdateUser(w.ctx, admin, ann.ID, core.UserPatch{Email: &next})
	w.must(err)
	if u.EmailVerified {
		t.Fatal("the new address took over that the old one was verified")
	}
	_, err = w.login(m, next, right, home)
	wantCode(t, err, core.BadCredentials)
	yes := true
	_, err = w.svc.UpdateUser(w.ctx, admin, ann.ID, core.UserPatch{EmailVerified: &yes})
	w.must(err)
	w.in(m, next)
	none := ""
	u, err = w.svc.UpdateUser(w.ctx, admin, ann.ID, core.UserPatch{Email: &none})
	w.must(err)
	if u.EmailVerified {
		t.Fatal("no address, and verified")
	}
	// Freed names: reserved for the longest token lifetime, for ever where an
	// application token carried one.
	w.must(w.svc.DeleteUser(w.ctx, admin, ann.ID))
	robot := w.user("robot", application)
	w.minted(m, w.in(m, "robot").RefreshToken)
	w.must(w.svc.DeleteUser(w.ctx, admin, robot.ID))
	free := func(name string) bool {
		t.Helper()
		u, err := w.svc.CreateUser(w.ctx, admin, core.NewUser{Username: name})
		if err == nil {
			w.must(w.svc.DeleteUser(w.ctx, admin, u.ID))
			return true
		}
		wantCode(t, err, core.Conflict)
		return false
	}
	w.sleep(30*day - 1)
	if free("ann") || free("robot") {
		t.Fatal("a name was given away while tokens carry it")
	}
	w.sleep(1)
	if !free("ann") {
		t.Fatal("the name is never free again")
	}
	w.sleep(10 * year)
	w.svc.Purge(w.ctx)
	if free("robot") {
		t.Fatal("the name that a non-expiring token carries was given away")
	}
}

// TestUserAgentIsText: a client that sends other bytes logs in all the same.
func TestUserAgentIsText(t *testing.T) {
	m := itempath("item", core.DefaultAccount)
	w := newWorld(t, m)
	w.user("ann")
	c := from(home)
	c.UserAgent = strings.Repeat("é", 100)[:199] + "\xff\x00 x"
	g, err := w.svc.Login(w.ctx, &core.LoginRequest{Mount: m, Username: "ann", Password: right, Client: c})
	w.must(err)
	if ua := g.Session.UserAgent; ua != strings.Repeat("é", 99) {
		t.Fatalf("%q", ua)
	}
}
