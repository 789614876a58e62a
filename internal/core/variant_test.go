package core_test

import (
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/token"
)

var premium claims = func(dst []byte, _ *core.TokenValues) []byte { return append(dst, `"tier":"premium"`...) }

// remembering is netography with a login whose sessions last longer, and a
// refresh whose access tokens are short.
func remembering() *core.Mount {
	m := netography("net", core.DefaultAccount)
	long := *m.Policy.Access
	long.LifetimeMS, long.Claims = 2*hour, premium
	short := *m.Policy.Access
	short.LifetimeMS = 5 * minute
	m.Policy.Variants = map[string]*core.Variant{
		"remember": {Access: &long, Rotation: &core.Rotation{Rotates: true, GraceMS: 2 * minute, IdleMS: 30 * day, AbsoluteMS: 90 * day}},
		"kiosk":    {Access: &short},
	}
	return m
}

func (w *world) inAs(m *core.Mount, name, variant string) *core.Granted {
	w.Helper()
	g, err := w.svc.Login(w.ctx, &core.LoginRequest{Mount: m, Username: name, Password: right, Variant: variant, Client: from(home)})
	if err != nil {
		w.Fatalf("login of %s as %q: %v", name, variant, err)
	}
	return g
}

func TestVariantLivesLonger(t *testing.T) {
	m := remembering()
	w := newWorld(t, m)
	w.user("ann")
	plain, kept := w.in(m, "ann"), w.inAs(m, "ann", "remember")
	if _, there := payload(t, plain.RefreshToken)["var"]; there || plain.Session.Credential != "password" {
		t.Fatal("a plain session names a variant")
	}
	p := payload(t, kept.RefreshToken)
	if p["var"] != "remember" || kept.Session.Credential != "password:remember" || kept.Session.Variant() != "remember" {
		t.Fatalf("%v %q", p["var"], kept.Session.Credential)
	}
	if got := kept.AccessExpires - kept.Now; got != 2*hour || plain.AccessExpires-plain.Now != hour {
		t.Fatalf("access tokens live %d and %d ms", got, plain.AccessExpires-plain.Now)
	}
	if kept.RefreshExpires-kept.Now != 30*day || plain.RefreshExpires-plain.Now != day {
		t.Fatalf("refresh tokens live %d and %d ms", kept.RefreshExpires-kept.Now, plain.RefreshExpires-plain.Now)
	}
	if a := payload(t, kept.AccessToken); a["tier"] != "premium" || a["var"] != nil {
		t.Fatalf("claims of the variant: %v", a)
	}
	w.sleep(90 * minute)
	w.calls(kept.AccessToken)
	w.refusedCall(plain.AccessToken, core.TokenExpired)

	w.sleep(20 * day)
	_, err := w.refresh(m, plain.RefreshToken)
	wantCode(t, err, core.TokenExpired)
	next := w.refreshed(m, kept.RefreshToken)
	if again := w.refreshed(m, kept.RefreshToken); again.RefreshToken != next.RefreshToken || again.Verdict != string(core.RefreshReplayed) {
		t.Fatal("a lost answer was not given again byte for byte")
	}
	n := payload(t, next.RefreshToken)
	if n["var"] != "remember" || next.AccessExpires-next.Now != 2*hour || next.RefreshExpires-next.Now != 30*day {
		t.Fatalf("after a move: %v, access %d ms, refresh %d ms", n["var"], next.AccessExpires-next.Now, next.RefreshExpires-next.Now)
	}
	if _, err := w.svc.Verify(w.ctx, &core.VerifyRequest{Mount: m, Token: next.RefreshToken, Kinds: []token.Kind{token.Refresh}, Client: from(home)}); err != nil {
		t.Fatal(err)
	}
	// A later ancestor still ends the session.
	w.sleep(day)
	_, err = w.refresh(m, kept.RefreshToken)
	wantCode(t, err, core.TokenReused)
}

// TestVariantOfAnAnswer: a route of refresh or renewal has access tokens of its
// own; the session stays what it is.
func TestVariantOfAnAnswer(t *testing.T) {
	m := remembering()
	w := newWorld(t, m)
	w.user("ann")
	g := w.inAs(m, "ann", "remember")
	r, err := w.svc.Refresh(w.ctx, &core.RefreshRequest{Mount: m, Token: g.RefreshToken, Variant: "kiosk", Client: from(home)})
	if err != nil {
		t.Fatal(err)
	}
	if r.AccessExpires-r.Now != 5*minute || r.RefreshExpires-r.Now != 30*day || payload(t, r.RefreshToken)["var"] != "remember" {
		t.Fatalf("access %d ms, refresh %d ms", r.AccessExpires-r.Now, r.RefreshExpires-r.Now)
	}
	if r, err = w.svc.Renew(w.ctx, &core.RenewRequest{Mount: m, Token: r.AccessToken, Variant: "kiosk", Client: from(home)}); err != nil || r.AccessExpires-r.Now != 5*minute {
		t.Fatalf("%v", err)
	}
	if r, err = w.svc.Renew(w.ctx, &core.RenewRequest{Mount: m, Token: r.AccessToken, Client: from(home)}); err != nil || r.AccessExpires-r.Now != 2*hour {
		t.Fatalf("%v", err)
	}
}

// TestVariantGone: the contract no longer has it. Its sessions count by the
// contract's own policy, and their refresh tokens come out as they were.
func TestVariantGone(t *testing.T) {
	m := remembering()
	w := newWorld(t, m)
	w.user("ann")
	g := w.inAs(m, "ann", "remember")
	w.sleep(hour)
	next := w.refreshed(m, g.RefreshToken)
	w.reopen(func() { m.Policy.Variants = nil })
	again := w.refreshed(m, g.RefreshToken)
	if again.RefreshToken != next.RefreshToken {
		t.Error("another refresh token after the variant went")
	}
	if again.AccessExpires-again.Now != hour {
		t.Errorf("access tokens live %d ms", again.AccessExpires-again.Now)
	}
	w.sleep(2 * day)
	_, err := w.refresh(m, next.RefreshToken)
	wantCode(t, err, core.TokenExpired)
}

func TestVariantOfRequestToken(t *testing.T) {
	m := remembering()
	w := newWorld(t, m)
	k := w.apiKey(core.DefaultAccount, "collector")
	rt := w.request(k, "j1", w.clock.Load())
	ask := func(variant string) *core.Granted {
		t.Helper()
		g, err := w.svc.ExchangeRequestToken(w.ctx, &core.ExchangeRequest{Mount: m, Token: rt, Variant: variant, Client: from(home)})
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	g := ask("remember")
	if g.Session.Credential != "request_token:remember" || g.AccessExpires-g.Now != 2*hour {
		t.Fatalf("%q, %d ms", g.Session.Credential, g.AccessExpires-g.Now)
	}
	// The answer given again is that of the session, whoever asks.
	if twin := ask(""); twin.RefreshToken != g.RefreshToken || twin.AccessExpires-twin.Now != 2*hour {
		t.Fatal("the twin is another")
	}
}

func TestVariantWithoutRefreshTokens(t *testing.T) {
	m := bare("bare", core.DefaultAccount)
	long := *m.Policy.Access
	long.LifetimeMS = hour
	m.Policy.Variants = map[string]*core.Variant{"long": {Access: &long, Rotation: &core.Rotation{IdleMS: hour}}}
	w := newWorld(t, m)
	w.user("ann")
	plain, kept := w.in(m, "ann"), w.inAs(m, "ann", "long")
	w.sleep(50 * minute)
	w.refusedCall(plain.AccessToken, core.TokenExpired)
	r, err := w.svc.Renew(w.ctx, &core.RenewRequest{Mount: m, Token: kept.AccessToken, Client: from(home)})
	if err != nil || r.AccessExpires-r.Now != hour {
		t.Fatalf("renewed: %v", err)
	}
}

func TestVariantsThatAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		change func(m *core.Mount)
		want   string
	}{
		"another audience": {func(m *core.Mount) { m.Policy.Variants["kiosk"].Access.Audience = "x" }, "changes more of a token than lifetime and claims"},
		"an id token that the mount lacks": {func(m *core.Mount) {
			m.Policy.Variants["kiosk"].ID, m.Policy.ID = m.Policy.ID, nil
		}, "changes more of a token"},
		"longer than its session": {func(m *core.Mount) { m.Policy.Variants["kiosk"].Access.LifetimeMS = 3 * day }, "access tokens live"},
	} {
		t.Run(name, func(t *testing.T) {
			m := remembering()
			w := newWorld(t, m)
			other := remembering()
			other.ID = "other"
			c.change(other)
			if err := w.svc.RegisterMount(other); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("%v", err)
			}
		})
	}
}
