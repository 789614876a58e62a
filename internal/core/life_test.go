package core_test

import (
	"testing"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/token"
)

// TestLifeRotating follows a client of a rotating contract from login to login.
func TestLifeRotating(t *testing.T) {
	m := netography("net", core.DefaultAccount)
	w := newWorld(t, m)
	w.user("ann")
	g := w.in(m, "ann")
	if g.AccessExpires != start+hour || g.RefreshExpires != start+day || g.IDExpires != start+hour {
		t.Fatalf("expiries: access %d refresh %d id %d", g.AccessExpires-start, g.RefreshExpires-start, g.IDExpires-start)
	}
	if p := w.calls(g.AccessToken); p.Subject.Username != "ann" || p.Scope() != "reader writer" {
		t.Fatalf("principal %+v", p)
	}
	w.sleep(hour - 1)
	w.calls(g.AccessToken) // the last millisecond
	w.sleep(1)
	w.refusedCall(g.AccessToken, core.TokenExpired) // the exact second, no skew
	g2 := w.refreshed(m, g.RefreshToken)
	if g2.RefreshToken == g.RefreshToken || g2.Verdict != string(core.RefreshMoved) {
		t.Fatalf("no rotation: %s", g2.Verdict)
	}
	w.calls(g2.AccessToken)
	// Idle: a refresh token dies a day after its issue.
	w.clock.Store(g2.RefreshExpires - 1)
	g3 := w.refreshed(m, g2.RefreshToken)
	w.clock.Store(g3.RefreshExpires)
	_, err := w.refresh(m, g3.RefreshToken)
	wantCode(t, err, core.TokenExpired)
	w.calls(w.in(m, "ann").AccessToken)
}

// TestSecurity38_AbsoluteEnd: however busy, a session ends at its absolute deadline,
// and no token of it outlives that.
func TestSecurity38_AbsoluteEnd(t *testing.T) {
	m := netography("net", core.DefaultAccount)
	w := newWorld(t, m)
	w.user("ann")
	g := w.in(m, "ann")
	for range 13 {
		w.sleep(day / 2)
		g = w.refreshed(m, g.RefreshToken)
	}
	if g.RefreshExpires != start+7*day {
		t.Fatalf("refresh token ends at %d, the session at %d", g.RefreshExpires, start+7*day)
	}
	w.clock.Store(start + 7*day - minute)
	g = w.refreshed(m, g.RefreshToken)
	if g.AccessExpires != start+7*day {
		t.Fatalf("an access token outlives its session by %d ms", g.AccessExpires-start-7*day)
	}
	w.sleep(minute)
	w.refusedCall(g.AccessToken, core.TokenExpired)
	_, err := w.refresh(m, g.RefreshToken)
	wantCode(t, err, core.TokenExpired)
}

// TestLifeNotRotating: the refresh token is handed back as it is, and use does
// not prolong it.
func TestLifeNotRotating(t *testing.T) {
	for _, m := range []*core.Mount{itempath("item", core.DefaultAccount), pathstack("path", core.DefaultAccount)} {
		t.Run(m.Contract, func(t *testing.T) {
			w := newWorld(t, m)
			w.user("ann")
			g := w.in(m, "ann")
			life := m.Policy.Access.LifetimeMS
			w.sleep(life - 1)
			w.calls(g.AccessToken)
			w.sleep(1)
			w.refusedCall(g.AccessToken, core.TokenExpired)
			for range 3 {
				w.sleep(9 * day)
				r := w.refreshed(m, g.RefreshToken)
				if r.RefreshToken != g.RefreshToken || r.RefreshExpires != start+30*day {
					t.Fatal("the refresh token changed or lives longer")
				}
				w.calls(r.AccessToken)
			}
			w.clock.Store(start + 30*day - 1)
			w.refreshed(m, g.RefreshToken)
			w.sleep(1)
			_, err := w.refresh(m, g.RefreshToken)
			wantCode(t, err, core.TokenExpired)
			w.calls(w.in(m, "ann").AccessToken)
		})
	}
}

// TestItemPathShape: the documented header and claims, and no others that a
// verifier in the field refuses.
func TestItemPathShape(t *testing.T) {
	m := itempath("item", core.DefaultAccount)
	w := newWorld(t, m)
	w.user("robot", application)
	g := w.in(m, "robot")
	app := w.minted(m, g.RefreshToken)
	for name, c := range map[string]struct {
		tok, kind string
		life      float64
	}{
		"access": {g.AccessToken, "access", 900}, "refresh": {g.RefreshToken, "refresh", 30 * 86400}, "application": {app.ApplicationToken, "access", 0},
	} {
		if h := header(t, c.tok); h != `{"typ":"JWT","alg":"HS256"}` {
			t.Errorf("%s: header %s", name, h)
		}
		p := payload(t, c.tok)
		if p["type"] != c.kind || p["fresh"] != false || p["identity"] != "robot" || p["iat"] != p["nbf"] || p["aud"] != nil {
			t.Errorf("%s: claims %v", name, p)
		}
		exp, has := p["exp"].(float64)
		if has != (c.life != 0) || has && exp-p["iat"].(float64) != c.life {
			t.Errorf("%s: exp %v", name, p["exp"])
		}
	}
}

// TestLifeRenewed: a contract without refresh tokens renews access for access;
// each renewal prolongs the session, silence ends it.
func TestLifeRenewed(t *testing.T) {
	m := bare("bare", core.DefaultAccount)
	w := newWorld(t, m)
	u := w.user("ann")
	g := w.in(m, "ann")
	if g.RefreshToken != "" {
		t.Fatal("a refresh token where the contract has none")
	}
	if n := len(w.liveSessions(u.ID)); n != 1 {
		t.Fatalf("%d live sessions, want 1", n)
	}
	for range 20 {
		w.sleep(9 * minute)
		next, err := w.svc.Renew(w.ctx, &core.RenewRequest{Mount: m, Token: g.AccessToken, Client: from(home)})
		if err != nil {
			t.Fatalf("renew: %v", err)
		}
		w.calls(next.AccessToken)
		g = next
	}
	w.sleep(10 * minute)
	_, err := w.svc.Renew(w.ctx, &core.RenewRequest{Mount: m, Token: g.AccessToken, Client: from(home)})
	wantCode(t, err, core.TokenExpired)
	w.calls(w.in(m, "ann").AccessToken)
}

// TestRenewBesideRefresh: renewing in a session that has a refresh token leaves
// its chain alone, also when a refresh comes in between.
func TestRenewBesideRefresh(t *testing.T) {
	m := netography("net", core.DefaultAccount)
	m.Policy.Rotation.GraceMS = 0
	w := newWorld(t, m)
	w.user("ann")
	g := w.in(m, "ann")
	renew := func() error {
		_, err := w.svc.Renew(w.ctx, &core.RenewRequest{Mount: m, Token: g.AccessToken, Client: from(home)})
		return err
	}
	w.must(renew())
	if w.row(g.Session.ID).Generation != 0 {
		t.Fatal("a renewal moved the refresh chain")
	}
	w.store.once("RefreshSession", func() { // the renewal has read the row; now a refresh moves it
		w.store.mend()
		w.refreshed(m, g.RefreshToken)
	})
	if err := renew(); err != nil {
		t.Fatalf("a renewal that met a refresh: %v", err)
	}
}

// TestLifePurged: rows go when no token stands on them any more, and not before.
func TestLifePurged(t *testing.T) {
	m := bare("bare", core.DefaultAccount)
	m.Policy.Access.LifetimeMS = 30 * day
	w := newWorld(t, m)
	w.user("ann")
	g := w.in(m, "ann")
	w.sleep(29 * day)
	w.svc.Purge(w.ctx)
	w.calls(g.AccessToken)
	w.sleep(3 * day)
	w.svc.Purge(w.ctx)
	if _, _, err := w.disk.SessionByID(w.ctx, g.Session.ID); err == nil {
		t.Fatal("the row of a dead session stays")
	}
}

// TestAccessMayNotOutliveSession: a mount whose access tokens would live on
// when the session's row is gone is refused at start.
func TestAccessMayNotOutliveSession(t *testing.T) {
	w := newWorld(t)
	m := netography("net", core.DefaultAccount)
	m.Policy.Access.LifetimeMS = m.Policy.Rotation.IdleMS + 2*day
	if err := w.svc.RegisterMount(m); err == nil {
		t.Fatal("accepted")
	}
	if err := w.svc.RegisterMount(netography("net", core.DefaultAccount)); err != nil {
		t.Fatal(err)
	}
}

// TestLifeApplicationToken: alive a year later without any expiry.
func TestLifeApplicationToken(t *testing.T) {
	m := itempath("item", core.DefaultAccount)
	w := newWorld(t, m)
	w.user("robot", application)
	w.user("ann")
	if _, err := w.mint(m, w.in(m, "ann").RefreshToken); core.CodeOf(err) != core.UserTypeForbidden {
		t.Fatalf("a plain user minted: %v", err)
	}
	g := w.in(m, "robot")
	tok := w.minted(m, g.RefreshToken).ApplicationToken
	for range 12 {
		w.sleep(31 * day)
		w.svc.Purge(w.ctx)
		if p := w.calls(tok); p.Kind != token.Application || p.ExpiresAt != 0 {
			t.Fatalf("principal %+v", p)
		}
	}
	w.reopen(nil)
	w.calls(tok)
	// Rotating, and even dropping, the key it was signed with kills it not.
	set := core.KeySet{Mount: m.ID, Kind: token.Application}
	old := w.keys.ActiveKey(set)
	_, err := w.keys.Rotate(w.ctx, set, "test")
	w.must(err)
	w.sleep(2 * second)
	w.calls(tok)
	w.must(w.keys.Drop(w.ctx, old, "test"))
	w.sleep(2 * second)
	if p := w.calls(tok); len(p.Claims) == 0 {
		t.Fatal("the principal of a token without key has no claims")
	}
	if _, err := w.svc.Verify(w.ctx, &core.VerifyRequest{Mount: m, Token: tok, Client: from(home)}); err != nil {
		t.Fatalf("verify and authenticate differ: %v", err)
	}
	in, err := w.svc.InspectToken(w.ctx, tok)
	w.must(err)
	if !in.Valid {
		t.Fatalf("inspection differs from authentication: %s", in.Verdict)
	}
	w.refusedCall(tok[:len(tok)-1]+flip(tok[len(tok)-1]), core.TokenInvalid)
}

// flip gives another character of the base64url alphabet that leaves the last
// four bits zero, so that the token stays well formed whatever its algorithm.
func flip(c byte) string {
	if c == 'A' {
		return "Q"
	}
	return "A"
}

// TestApplicationTokenEnds: each of these ends it at once, through the cache.
func TestApplicationTokenEnds(t *testing.T) {
	m := itempath("item", core.DefaultAccount)
	w := newWorld(t, m)
	plain := core.TypeUser
	cases := []struct {
		name string
		act  func(u *core.User, id string) error
		undo func(u *core.User, id string) error // nil = for good
	}{
		{"revoked", func(_ *core.User, id string) error {
			_, err := w.svc.ChangeApplicationToken(w.ctx, admin, id, core.TokenRevoke)
			return err
		}, nil},
		{"suspended", func(_ *core.User, id string) error {
			_, err := w.svc.ChangeApplicationToken(w.ctx, admin, id, core.TokenSuspend)
			return err
		}, func(_ *core.User, id string) error {
			_, err := w.svc.ChangeApplicationToken(w.ctx, admin, id, core.TokenResume)
			return err
		}},
		{"user disabled", func(u *core.User, _ string) error {
			_, err := w.svc.SetUserState(w.ctx, admin, u.ID, core.Disabled)
			return err
		}, func(u *core.User, _ string) error {
			_, err := w.svc.SetUserState(w.ctx, admin, u.ID, core.Active)
			return err
		}},
		{"user deleted", func(u *core.User, _ string) error { return w.svc.DeleteUser(w.ctx, admin, u.ID) }, nil},
		{"type changed", func(u *core.User, _ string) error {
			_, err := w.svc.UpdateUser(w.ctx, admin, u.ID, core.UserPatch{Type: &plain})
			return err
		}, nil},
		{"compromised", func(u *core.User, _ string) error {
			_, err := w.svc.CompromiseUser(w.ctx, admin, u.ID)
			return err
		}, nil},
		{"reset in the minting session", func(u *core.User, _ string) error {
			_, err := w.svc.SetPassword(w.ctx, admin, u.ID, "quite another set of words", true, "")
			return err
		}, func(_ *core.User, id string) error {
			_, err := w.svc.ChangeApplicationToken(w.ctx, admin, id, core.TokenResume)
			return err
		}},
		{"account disabled", func(*core.User, string) error {
			_, err := w.svc.SetAccountState(w.ctx, admin, core.DefaultAccount, core.Disabled)
			return err
		}, func(*core.User, string) error {
			_, err := w.svc.SetAccountState(w.ctx, admin, core.DefaultAccount, core.Active)
			return err
		}},
	}
	for i, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := w.with(t)
			u := w.user("robot"+string(rune('a'+i)), application)
			g := w.minted(m, w.in(m, u.Username).RefreshToken)
			p := w.calls(g.ApplicationToken) // now it stands in the cache
			w.must(w.svc.Alive(w.ctx, p))
			w.must(c.act(u, g.ApplicationID))
			w.refusedCall(g.ApplicationToken, core.TokenRevoked)
			if err := w.svc.Alive(w.ctx, p); core.CodeOf(err) != core.TokenRevoked {
				t.Fatalf("a stream of it lives on: %v", err)
			}
			if c.undo == nil {
				return
			}
			w.must(c.undo(u, g.ApplicationID))
			p = w.calls(g.ApplicationToken)
			if err := w.svc.Alive(w.ctx, p); err != nil {
				t.Fatalf("a stream opened after that ends: %v", err)
			}
			w.calls(g.ApplicationToken)
		})
	}
}

// TestApplicationTokenSurvivesPasswordChange: the owner's change of password
// ends sessions, not application tokens; nor does a reset end those minted in
// a session that the reset did not end.
func TestApplicationTokenSurvivesPasswordChange(t *testing.T) {
	m := itempath("item", core.DefaultAccount)
	w := newWorld(t, m)
	u := w.user("robot", application)
	g := w.in(m, "robot")
	tok := w.minted(m, g.RefreshToken).ApplicationToken
	other := w.in(m, "robot")
	spare := w.in(m, "robot")
	_, err := w.svc.SetPassword(w.ctx, admin, u.ID, "quite another set of words", false, spare.Session.ID.String())
	w.must(err)
	w.calls(tok)
	w.refusedCall(other.AccessToken, core.TokenRevoked)
	w.calls(spare.AccessToken)
	_, err = w.svc.SetPassword(w.ctx, admin, u.ID, "and a third set of words", true, "")
	w.must(err)
	w.refusedCall(spare.AccessToken, core.TokenRevoked)
	w.calls(tok) // its session had ended before
}

// TestCompromiseEndsAPIKeys of the user, and tokens opened with them.
func TestCompromiseEndsAPIKeys(t *testing.T) {
	m := netography("net", core.DefaultAccount)
	w := newWorld(t, m)
	u := w.user("ann")
	k, err := w.svc.CreateAPIKey(w.ctx, admin, core.NewAPIKey{AppName: "hers", Owner: u.ID})
	w.must(err)
	other := w.apiKey("", "other")
	g, err := w.exchange(m, w.request(k, "1", start), home)
	w.must(err)
	w.calls(g.AccessToken)
	_, err = w.svc.CompromiseUser(w.ctx, admin, u.ID)
	w.must(err)
	w.refusedCall(g.AccessToken, core.TokenRevoked)
	_, err = w.exchange(m, w.request(k, "2", start), home)
	wantCode(t, err, core.RequestTokenInvalid)
	_, err = w.refresh(m, g.RefreshToken)
	wantCode(t, err, core.TokenRevoked)
	_, err = w.login(m, "ann", right, home)
	wantCode(t, err, core.BadCredentials)
	_, err = w.exchange(m, w.request(other, "3", start), home)
	w.must(err)
}

// TestRenew50AtOnce: renewals of one token at once are no reuse, and the
// session lives on.
func TestRenew50AtOnce(t *testing.T) {
	for _, m := range []*core.Mount{bare("bare", core.DefaultAccount), netography("net", core.DefaultAccount)} {
		t.Run(m.Contract, func(t *testing.T) {
			w := newWorld(t, m)
			w.user("ann")
			g, err := w.svc.Login(w.ctx, &core.LoginRequest{Mount: m, Username: "ann", Password: right, WithoutRefresh: true, Client: from(home)})
			w.must(err)
			if g.RefreshToken != "" || g.RefreshExpires != 0 {
				t.Fatal("a refresh token that nobody asked for")
			}
			for range 3 {
				w.sleep(5 * minute)
				all, errs := atOnce(50, func(int) (*core.Granted, error) {
					return w.svc.Renew(w.ctx, &core.RenewRequest{Mount: m, Token: g.AccessToken, Client: from(home)})
				})
				for i := range all {
					if errs[i] != nil {
						t.Fatalf("renewal %d: %v", i, errs[i])
					}
					if all[i].RefreshToken != "" {
						t.Fatal("a renewal gives a refresh token")
					}
				}
				g = all[49]
				w.calls(g.AccessToken)
			}
		})
	}
}

// TestMintByAPIKey: an API key is no application user.
func TestMintByAPIKey(t *testing.T) {
	m := everyKind("all", core.DefaultAccount)
	w := newWorld(t, m)
	g, err := w.exchange(m, w.request(w.apiKey("", "daemon"), "1", start), home)
	w.must(err)
	_, err = w.mint(m, g.RefreshToken)
	wantCode(t, err, core.UserTypeForbidden)
}

// TestMintMovesNothing: minting by a refresh token, and refusing to by a late
// one, leaves the chain as it is.
func TestMintMovesNothing(t *testing.T) {
	m := everyKind("all", core.DefaultAccount)
	w := newWorld(t, m)
	w.user("robot", application)
	g0 := w.in(m, "robot")
	g1 := w.refreshed(m, g0.RefreshToken)
	before := *w.row(g0.Session.ID)
	w.minted(m, g0.RefreshToken) // within the grace time a refresh would grant it
	w.minted(m, g1.RefreshToken)
	w.sleep(2 * minute)
	_, err := w.mint(m, g0.RefreshToken)
	wantCode(t, err, core.TokenReused)
	if after := w.row(g0.Session.ID); *after != before {
		t.Fatalf("the row changed: %+v", after)
	}
	w.refreshed(m, g1.RefreshToken)
}

// TestMountTwice: two mounts under one id would share keys and sessions.
func TestMountTwice(t *testing.T) {
	m := netography("net", core.DefaultAccount)
	w := newWorld(t, m)
	if err := w.svc.RegisterMount(itempath("net", core.DefaultAccount)); err == nil {
		t.Fatal("accepted")
	}
	_, err := w.svc.Login(w.ctx, &core.LoginRequest{Mount: itempath("other", core.DefaultAccount), Username: "ann", Password: right, Client: from(home)})
	if c := core.CodeOf(err); c == "" || !c.Is(core.BadCredentials) && !c.Is(core.Internal) && !c.Is(core.Unavailable) {
		t.Fatal(err)
	}
}
