package core_test

import (
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/token"
)

// atOnce runs f n times at once and returns what came of it, in order of number.
func atOnce(n int, f func(i int) (*core.Granted, error)) ([]*core.Granted, []error) {
	all, errs := make([]*core.Granted, n), make([]error, n)
	var wg sync.WaitGroup
	gun := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-gun
			all[i], errs[i] = f(i)
		})
	}
	close(gun)
	wg.Wait()
	return all, errs
}

// TestSecurity40_FiftyRefreshesAtOnce: one move, and the same bytes for everybody.
func TestSecurity40_FiftyRefreshesAtOnce(t *testing.T) {
	m := netography("net", core.DefaultAccount)
	w := newWorld(t, m)
	w.user("ann")
	g := w.in(m, "ann")
	w.sleep(hour)
	all, errs := atOnce(50, func(int) (*core.Granted, error) { return w.refresh(m, g.RefreshToken) })
	moved := 0
	for i, r := range all {
		if errs[i] != nil {
			t.Fatalf("refresh %d: %v", i, errs[i])
		}
		if r.RefreshToken != all[0].RefreshToken || r.RefreshExpires != all[0].RefreshExpires {
			t.Fatal("two successors of one token")
		}
		if r.Verdict == string(core.RefreshMoved) {
			moved++
		}
	}
	if row := w.row(g.Session.ID); row.Generation != 1 || moved != 1 {
		t.Fatalf("generation %d, %d moves", row.Generation, moved)
	}
	w.refreshed(m, all[0].RefreshToken)
}

// TestRotationLostAnswer: who repeats within the grace time gets the same
// bytes, whatever was edited or rotated since.
func TestRotationLostAnswer(t *testing.T) {
	m := netography("net", core.DefaultAccount)
	w := newWorld(t, m)
	u := w.user("ann")
	g := w.in(m, "ann")
	w.sleep(1234)
	want := w.refreshed(m, g.RefreshToken)
	name, roles, attrs := "bea", []string{"boss"}, []byte(`{"x":1}`)
	w.sleep(minute)
	_, err := w.svc.UpdateUser(w.ctx, admin, u.ID, core.UserPatch{Username: &name, Roles: &roles, Attributes: &attrs})
	w.must(err)
	_, err = w.keys.Rotate(w.ctx, core.KeySet{Mount: m.ID, Kind: token.Refresh}, "test")
	w.must(err)
	w.cfg.Issuer = "https://new.example"
	w.reopen(nil)
	again := w.refreshed(m, g.RefreshToken)
	if again.RefreshToken != want.RefreshToken || again.Verdict != string(core.RefreshReplayed) {
		t.Fatalf("%s:\n%s\n%s", again.Verdict, payload(t, again.RefreshToken), payload(t, want.RefreshToken))
	}
	if again.AccessToken == want.AccessToken {
		t.Fatal("the access token is not new")
	}
	if p := w.calls(again.AccessToken); p.Scope() != "boss" || p.Subject.Username != "bea" {
		t.Fatalf("the access token has old roles: %+v", p)
	}
	w.calls(want.AccessToken) // of the former issuer
	next := w.refreshed(m, want.RefreshToken)
	if next.Verdict != string(core.RefreshMoved) {
		t.Fatal(next.Verdict)
	}
	w.refreshed(m, next.RefreshToken)
}

// TestRotationGrandparent: an ancestor whose successor is younger than the
// grace time gets the current token, and nothing moves.
func TestRotationGrandparent(t *testing.T) {
	m := netography("net", core.DefaultAccount)
	w := newWorld(t, m)
	w.user("ann")
	g0 := w.in(m, "ann")
	w.sleep(hour)
	g1 := w.refreshed(m, g0.RefreshToken)
	w.sleep(30 * second)
	g2 := w.refreshed(m, g1.RefreshToken)
	w.sleep(30 * second)
	if r := w.refreshed(m, g0.RefreshToken); r.RefreshToken != g2.RefreshToken || w.row(g0.Session.ID).Generation != 2 {
		t.Fatal("a grandparent forked or moved the chain")
	}
}

// TestSecurity37_ReuseRevokesTheFamily: the parent, once the grace time is over, ends the family
// in the same step; the access tokens of it die at once.
func TestSecurity37_ReuseRevokesTheFamily(t *testing.T) {
	m := netography("net", core.DefaultAccount)
	w := newWorld(t, m)
	w.user("ann")
	other := w.in(m, "ann")
	g0 := w.in(m, "ann")
	w.sleep(hour / 2)
	g1 := w.refreshed(m, g0.RefreshToken)
	w.sleep(2*minute - 1)
	w.refreshed(m, g0.RefreshToken) // the last millisecond of grace
	w.calls(g1.AccessToken)
	w.calls(g0.AccessToken)
	w.sleep(1)
	_, err := w.refresh(m, g0.RefreshToken)
	wantCode(t, err, core.TokenReused)
	w.refusedCall(g1.AccessToken, core.TokenRevoked)
	w.refusedCall(g0.AccessToken, core.TokenRevoked)
	_, err = w.refresh(m, g1.RefreshToken)
	wantCode(t, err, core.TokenRevoked)
	_, err = w.refresh(m, g0.RefreshToken)
	wantCode(t, err, core.TokenRevoked)
	ev := w.audits("refresh.reuse")
	if len(ev) != 1 || ev[0].Session != g0.Session.ID.String() || ev[0].Address != home.String() || ev[0].Mount != m.ID {
		t.Fatalf("audit: %+v", ev)
	}
	w.calls(other.AccessToken)
	w.refreshed(m, other.RefreshToken)
}

// TestRotationSixQuick: the row keeps four moves; an older ancestor is judged
// by its own time of issue, in favour of nobody but the quick.
func TestRotationSixQuick(t *testing.T) {
	for _, c := range []struct {
		name string
		step int64
		want core.Code
	}{{"within the grace time", 19 * second, ""}, {"spread over more", 21 * second, core.TokenReused}} {
		t.Run(c.name, func(t *testing.T) {
			m := netography("net", core.DefaultAccount)
			w := newWorld(t, m)
			w.user("ann")
			first := w.in(m, "ann")
			g := first
			for range 6 {
				w.sleep(c.step)
				g = w.refreshed(m, g.RefreshToken)
			}
			r, err := w.refresh(m, first.RefreshToken)
			if c.want != "" {
				wantCode(t, err, c.want)
				return
			}
			w.must(err)
			if r.RefreshToken != g.RefreshToken {
				t.Fatal("not the current token")
			}
		})
	}
}

// TestPolicyChange: a new policy meets a session at its next move; a shortened
// lifetime at once.
func TestPolicyChange(t *testing.T) {
	type state struct {
		w      *world
		m      *core.Mount
		g0, g1 *core.Granted // g1 is the successor of g0, 60 s old
	}
	prepare := func(t *testing.T, rotates bool, change func(p *core.Policy)) state {
		m := netography("net", core.DefaultAccount)
		m.Policy.Rotation.Rotates = rotates
		w := newWorld(t, m)
		w.user("ann")
		s := state{w: w, m: m, g0: w.in(m, "ann")}
		w.sleep(hour / 2)
		s.g1 = w.refreshed(m, s.g0.RefreshToken)
		w.sleep(minute)
		after := netography("net", core.DefaultAccount)
		change(&after.Policy)
		s.m, w.mounts = after, []*core.Mount{after}
		w.reopen(nil)
		return s
	}
	t.Run("grace shortened", func(t *testing.T) {
		s := prepare(t, true, func(p *core.Policy) { p.Rotation.GraceMS = 0 })
		if r := s.w.refreshed(s.m, s.g0.RefreshToken); r.RefreshToken != s.g1.RefreshToken {
			t.Fatal("a lost answer logs out because the policy changed meanwhile")
		}
		g2 := s.w.refreshed(s.m, s.g1.RefreshToken)
		s.w.sleep(1)
		_, err := s.w.refresh(s.m, s.g1.RefreshToken)
		wantCode(t, err, core.TokenReused)
		_, err = s.w.refresh(s.m, g2.RefreshToken)
		wantCode(t, err, core.TokenRevoked)
	})
	t.Run("grace lengthened", func(t *testing.T) {
		s := prepare(t, true, func(p *core.Policy) { p.Rotation.GraceMS = 10 * minute })
		s.w.sleep(minute) // two minutes: late by the policy of the move
		_, err := s.w.refresh(s.m, s.g0.RefreshToken)
		wantCode(t, err, core.TokenReused)
	})
	t.Run("rotation off", func(t *testing.T) {
		s := prepare(t, true, func(p *core.Policy) { p.Rotation.Rotates, p.Rotation.GraceMS = false, 0 })
		if r := s.w.refreshed(s.m, s.g0.RefreshToken); r.RefreshToken != s.g1.RefreshToken {
			t.Fatal("a lost answer logs out because the policy changed meanwhile")
		}
		for range 3 {
			s.w.sleep(hour)
			if r := s.w.refreshed(s.m, s.g1.RefreshToken); r.RefreshToken != s.g1.RefreshToken {
				t.Fatal("it still rotates")
			}
		}
		_, err := s.w.refresh(s.m, s.g0.RefreshToken)
		wantCode(t, err, core.TokenRevoked)
		s.w.refreshed(s.m, s.g1.RefreshToken) // a refusal revokes nothing
	})
	t.Run("rotation on", func(t *testing.T) {
		s := prepare(t, false, func(*core.Policy) {})
		if s.g1.RefreshToken != s.g0.RefreshToken {
			t.Fatal("it rotated")
		}
		g := s.w.refreshed(s.m, s.g0.RefreshToken)
		if g.RefreshToken == s.g0.RefreshToken || s.w.row(s.g0.Session.ID).Generation != 1 {
			t.Fatal("it does not rotate")
		}
		s.w.sleep(2 * minute)
		_, err := s.w.refresh(s.m, s.g0.RefreshToken)
		wantCode(t, err, core.TokenReused)
	})
	t.Run("idle shortened", func(t *testing.T) {
		s := prepare(t, true, func(p *core.Policy) { p.Rotation.IdleMS, p.Access.LifetimeMS = 2*minute, minute })
		s.w.sleep(minute - 1)
		row := s.w.row(s.g1.Session.ID)
		if row.RefreshExpires != s.g1.RefreshExpires {
			t.Fatal("the row changed without a move")
		}
		s.w.sleep(1) // two minutes since the move
		_, err := s.w.refresh(s.m, s.g1.RefreshToken)
		wantCode(t, err, core.TokenExpired)
		s.w.refusedCall(s.g1.AccessToken, core.TokenExpired) // an hour is more than the contract's minute
	})
	t.Run("absolute shortened", func(t *testing.T) {
		s := prepare(t, true, func(p *core.Policy) { p.Rotation.AbsoluteMS = hour / 2 })
		_, err := s.w.refresh(s.m, s.g1.RefreshToken)
		wantCode(t, err, core.TokenExpired)
	})
	t.Run("lifetimes lengthened", func(t *testing.T) {
		s := prepare(t, true, func(p *core.Policy) {
			p.Rotation.IdleMS, p.Refresh.LifetimeMS, p.Rotation.AbsoluteMS = 5*day, 5*day, 90*day
		})
		g2 := s.w.refreshed(s.m, s.g1.RefreshToken)
		if g2.RefreshExpires != s.w.clock.Load()+5*day {
			t.Fatalf("the next token lives %d h", (g2.RefreshExpires-s.w.clock.Load())/hour)
		}
		s.w.clock.Store(g2.RefreshExpires - 1)
		s.w.refreshed(s.m, g2.RefreshToken)
	})
}

// TestStoreBehind: a token ahead of the row proves that the store lost a
// commit; it is adopted, and the client does not pay for it.
func TestStoreBehind(t *testing.T) {
	m := netography("net", core.DefaultAccount)
	w := newWorld(t, m)
	w.user("ann")
	g0 := w.in(m, "ann")
	w.sleep(hour)
	g1 := w.refreshed(m, g0.RefreshToken)
	var older map[string][]byte
	w.reopen(func() { older = w.files() })
	g := g1
	for range 2 {
		w.sleep(minute)
		g = w.refreshed(m, g.RefreshToken)
	}
	w.reopen(func() { w.restore(older) })
	w.sleep(minute)
	next := w.refreshed(m, g.RefreshToken)
	if row := w.row(g0.Session.ID); row.Generation != 4 || next.RefreshToken == g.RefreshToken {
		t.Fatalf("generation %d", row.Generation)
	}
	if ev := w.audits("refresh.store_behind"); len(ev) != 1 || ev[0].Session != g0.Session.ID.String() {
		t.Fatalf("audit: %+v", ev)
	}
	if !w.seen.heard("store_behind") {
		t.Fatal("no alarm")
	}
	if r := w.refreshed(m, g.RefreshToken); r.RefreshToken != next.RefreshToken {
		t.Fatal("the lost answer after it differs")
	}
	w.refreshed(m, next.RefreshToken)
}

// files reads the data directory of a closed store.
func (w *world) files() map[string][]byte {
	w.Helper()
	list, err := filepath.Glob(filepath.Join(w.dir, sqliteFiles))
	w.must(err)
	all := map[string][]byte{}
	for _, f := range list {
		all[f], err = os.ReadFile(f)
		w.must(err)
	}
	if len(all) == 0 {
		w.Fatal("no database file")
	}
	return all
}

const sqliteFiles = "sallyport.db*"

// restore puts an older copy in the place of a closed store.
func (w *world) restore(older map[string][]byte) {
	w.Helper()
	for f := range w.files() {
		w.must(os.Remove(f))
	}
	for f, data := range older {
		w.must(os.WriteFile(f, data, 0o600))
	}
}

// TestRefreshElsewhere: another mount, even of the same contract and account,
// refuses the token and moves nothing.
func TestRefreshElsewhere(t *testing.T) {
	m, twin, item := netography("net", core.DefaultAccount), netography("twin", core.DefaultAccount), itempath("item", core.DefaultAccount)
	w := newWorld(t, m, twin, item)
	w.user("robot", application)
	g := w.in(m, "robot")
	before := *w.row(g.Session.ID)
	for _, other := range []*core.Mount{twin, item} {
		_, err := w.refresh(other, g.RefreshToken)
		wantCode(t, err, core.TokenInvalid)
		_, err = w.svc.Verify(w.ctx, &core.VerifyRequest{Mount: other, Token: g.AccessToken, Client: from(home)})
		wantCode(t, err, core.TokenInvalid)
		err = w.svc.Logout(w.ctx, &core.LogoutRequest{Mount: other, Token: g.RefreshToken, Client: from(home)})
		wantCode(t, err, core.TokenInvalid)
		_, err = w.svc.Renew(w.ctx, &core.RenewRequest{Mount: other, Token: g.AccessToken, Client: from(home)})
		wantCode(t, err, core.TokenInvalid)
	}
	_, err := w.mint(item, g.RefreshToken)
	wantCode(t, err, core.TokenInvalid)
	if after := w.row(g.Session.ID); *after != before {
		t.Fatalf("the row changed: %+v", after)
	}
	w.refreshed(m, g.RefreshToken)
}

// TestRefreshRefusalsMoveNothing: each reason that refuses stands before the
// update.
func TestRefreshRefusalsMoveNothing(t *testing.T) {
	for _, c := range []struct {
		name string
		act  func(w *world, g *core.Granted)
		req  func(r *core.RefreshRequest)
		want core.Code
	}{
		{name: "subject mismatch", req: func(r *core.RefreshRequest) { r.Subject = core.NewUUID() }, want: core.SubjectMismatch},
		{name: "subject is a prefix", req: func(r *core.RefreshRequest) { r.Subject = r.Subject[:8] }, want: core.SubjectMismatch},
		{name: "expired", act: func(w *world, g *core.Granted) { w.clock.Store(g.RefreshExpires) }, want: core.TokenExpired},
		{name: "everything revoked", act: func(w *world, _ *core.Granted) { w.must(w.svc.RevokeEverything(w.ctx, admin)) }, want: core.TokenRevoked},
		{name: "everything revoked, after a restart", act: func(w *world, _ *core.Granted) {
			w.must(w.svc.RevokeEverything(w.ctx, admin))
			w.reopen(nil)
		}, want: core.TokenRevoked},
		{name: "store fails", act: func(w *world, _ *core.Granted) { w.store.breakAll() }, want: core.Unavailable},
	} {
		for _, m := range []*core.Mount{netography("net", core.DefaultAccount), pathstack("path", core.DefaultAccount)} {
			t.Run(c.name+" "+m.Contract, func(t *testing.T) {
				w := newWorld(t, m)
				u := w.user("ann")
				g := w.in(m, "ann")
				w.sleep(minute)
				before := *w.row(g.Session.ID)
				if c.act != nil {
					c.act(w, g)
				}
				r := &core.RefreshRequest{Mount: m, Token: g.RefreshToken, Subject: u.ID, Client: from(home)}
				if c.req != nil {
					c.req(r)
				}
				_, err := w.svc.Refresh(w.ctx, r)
				wantCode(t, err, c.want)
				if after := w.row(g.Session.ID); *after != before {
					t.Fatalf("the row moved:\n%+v\n%+v", before, *after)
				}
			})
		}
	}
}

// keyless is a keyring whose refresh keys are not there for the moment.
type keyless struct{ core.Keys }

func (keyless) ActiveKey(core.KeySet) string { return "" }

// TestRefreshWithoutKeyMovesNothing: a move whose token could not be signed
// would log the client out.
func TestRefreshWithoutKeyMovesNothing(t *testing.T) {
	m := netography("net", core.DefaultAccount)
	w := newWorld(t, m)
	w.user("ann")
	g := w.in(m, "ann")
	svc, err := core.New(w.ctx, core.Config{Store: w.disk, Keys: keyless{w.keys}, Passwords: w.hasher, Issuer: issuer, Now: w.clock.Load})
	w.must(err)
	w.must(svc.RegisterMount(m))
	_, err = svc.Refresh(w.ctx, &core.RefreshRequest{Mount: m, Token: g.RefreshToken, Client: from(home)})
	wantCode(t, err, core.Unavailable)
	if w.row(g.Session.ID).Generation != 0 {
		t.Fatal("moved")
	}
	_, err = svc.Login(w.ctx, &core.LoginRequest{Mount: m, Username: "ann", Password: right, Client: from(home)})
	wantCode(t, err, core.Unavailable)
	w.refreshed(m, g.RefreshToken)
}
