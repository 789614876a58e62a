package core_test

import (
	"testing"

	"github.com/sallyport/sallyport/internal/core"
)

// TestTwin: the same request token within five seconds from the same address
// is an honest retry.
func TestTwin(t *testing.T) {
	m := netography("net", core.DefaultAccount)
	w := newWorld(t, m)
	k := w.apiKey("", "daemon")
	tok := w.request(k, "1", start)
	g, err := w.exchange(m, tok, home)
	w.must(err)
	if g.Subject.Username != "daemon" || g.Session.Credential != "request_token" || g.Verdict != string(core.Exchanged) {
		t.Fatalf("%+v", g)
	}
	w.sleep(core.TwinWindowMS)
	twin, err := w.exchange(m, tok, home)
	w.must(err)
	if twin.Session.ID != g.Session.ID || twin.RefreshToken != g.RefreshToken || twin.Verdict != string(core.ExchangeTwin) {
		t.Fatalf("another session or other bytes: %s", twin.Verdict)
	}
	w.calls(twin.AccessToken)
	w.calls(g.AccessToken)
	if n := len(w.liveSessions(k.Key.ID)); n != 1 {
		t.Fatalf("%d sessions", n)
	}
	if n := len(w.audits("login")); n != 1 {
		t.Fatalf("%d logins in the audit log", n)
	}
}

// TestTwinAfterRefresh: the twin gets the current token, and no fork arises.
func TestTwinAfterRefresh(t *testing.T) {
	m := netography("net", core.DefaultAccount)
	w := newWorld(t, m)
	tok := w.request(w.apiKey("", "daemon"), "1", start)
	g, err := w.exchange(m, tok, home)
	w.must(err)
	next := w.refreshed(m, g.RefreshToken)
	w.sleep(second)
	twin, err := w.exchange(m, tok, home)
	w.must(err)
	if twin.RefreshToken != next.RefreshToken {
		t.Fatal("the chain forked")
	}
}

// TestReplay: later, from elsewhere, before a restart or after it, with the
// clock set back: refused, and told with both addresses.
func TestReplay(t *testing.T) {
	for _, c := range []struct {
		name string
		then func(w *world)
		at   string
		want core.Code
	}{
		{"a millisecond late", func(w *world) { w.sleep(core.TwinWindowMS + 1) }, "home", core.RequestTokenInvalid},
		{"from elsewhere", nil, "office", core.RequestTokenInvalid},
		{"late after a restart", func(w *world) { w.sleep(core.TwinWindowMS + 1); w.reopen(nil) }, "home", core.RequestTokenInvalid},
		{"within the window after a restart", func(w *world) { w.sleep(second); w.reopen(nil) }, "home", ""},
		{"clock set back", func(w *world) { w.sleep(-second) }, "home", core.RequestTokenInvalid},
		{"purged meanwhile", func(w *world) { w.sleep(5 * minute); w.svc.Purge(w.ctx) }, "home", core.RequestTokenInvalid},
		{"purged, and the clock set back", func(w *world) {
			w.sleep(14 * minute)
			w.svc.Purge(w.ctx)
			w.sleep(-10 * minute)
		}, "home", core.RequestTokenInvalid},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := netography("net", core.DefaultAccount)
			w := newWorld(t, m)
			k := w.apiKey("", "daemon")
			tok := w.request(k, "1", start)
			g, err := w.exchange(m, tok, home)
			w.must(err)
			if c.then != nil {
				c.then(w)
			}
			at := home
			if c.at == "office" {
				at = office
			}
			_, err = w.exchange(m, tok, at)
			if c.want == "" {
				w.must(err)
				return
			}
			wantCode(t, err, c.want)
			ev := w.audits("request_token.replay")
			if len(ev) != 1 || ev[0].Detail["first_address"] != home.String() || ev[0].Detail["second_address"] != at.String() || ev[0].Subject != k.Key.ID {
				t.Fatalf("audit %+v", ev)
			}
			w.refreshed(m, g.RefreshToken) // a replay ends nothing of the first
		})
	}
}

// TestExchange50AtOnce: one session for all of them.
func TestExchange50AtOnce(t *testing.T) {
	m := netography("net", core.DefaultAccount)
	w := newWorld(t, m)
	k := w.apiKey("", "daemon")
	tok := w.request(k, "1", start)
	all, errs := atOnce(50, func(int) (*core.Granted, error) { return w.exchange(m, tok, home) })
	for i := range all {
		if errs[i] != nil {
			t.Fatal(errs[i])
		}
		if all[i].RefreshToken != all[0].RefreshToken {
			t.Fatal("two refresh tokens of one request token")
		}
	}
	if n := len(w.liveSessions(k.Key.ID)); n != 1 {
		t.Fatalf("%d sessions", n)
	}
	// A jti alone names nothing: clients draw it from few values.
	for i := range 3 {
		if _, err := w.exchange(m, w.request(k, "1", start+int64(i+1)*second), home); err != nil {
			t.Fatal(err)
		}
	}
}

// TestTwinEnded: a twin of a session that was ended since gets nothing; nor
// does one on another mount of the account.
func TestTwinEnded(t *testing.T) {
	m, other := netography("net", core.DefaultAccount), netography("other", core.DefaultAccount)
	w := newWorld(t, m, other)
	k := w.apiKey("", "daemon")
	tok := w.request(k, "1", start)
	g, err := w.exchange(m, tok, home)
	w.must(err)
	_, err = w.exchange(other, tok, home)
	wantCode(t, err, core.RequestTokenInvalid)
	w.must(w.svc.RevokeSession(w.ctx, admin, g.Session.ID.String()))
	_, err = w.exchange(m, tok, home)
	wantCode(t, err, core.RequestTokenInvalid)
	if n := len(w.liveSessions(k.Key.ID)); n != 0 {
		t.Fatalf("%d sessions", n)
	}
}

// TestTwinAfterEverything: a fact on everything ends the twin's session too.
func TestTwinAfterEverything(t *testing.T) {
	m := netography("net", core.DefaultAccount)
	w := newWorld(t, m)
	tok := w.request(w.apiKey("", "daemon"), "1", start)
	_, err := w.exchange(m, tok, home)
	w.must(err)
	w.must(w.svc.RevokeEverything(w.ctx, admin))
	_, err = w.exchange(m, tok, home)
	wantCode(t, err, core.RequestTokenInvalid)
}

// TestRequestWindow: five minutes each way, to the second.
func TestRequestWindow(t *testing.T) {
	m := netography("net", core.DefaultAccount)
	w := newWorld(t, m)
	k := w.apiKey("", "daemon")
	for _, c := range []struct {
		at   int64
		good bool
	}{{-5 * minute, true}, {-5*minute - second, false}, {5 * minute, true}, {5*minute + second, false}, {-year, false}, {year, false}} {
		_, err := w.exchange(m, w.request(k, "1", start+c.at), home)
		if c.good {
			w.must(err)
		} else {
			wantCode(t, err, core.RequestTokenInvalid)
		}
	}
}

// TestTwoSecrets: while a key rotates, both are good; the old one to its end.
func TestTwoSecrets(t *testing.T) {
	m := netography("net", core.DefaultAccount)
	w := newWorld(t, m)
	old := w.apiKey("", "daemon")
	g, err := w.exchange(m, w.request(old, "0", start), home)
	w.must(err)
	fresh, err := w.svc.RotateAPIKey(w.ctx, admin, old.Key.ID, hour, "")
	w.must(err)
	if fresh.Secret == old.Secret || fresh.Key.AppKey != old.Key.AppKey {
		t.Fatalf("%+v", fresh)
	}
	for i, k := range []*core.MadeAPIKey{old, fresh} {
		_, err := w.exchange(m, w.request(k, string(rune('a'+i)), start), home)
		w.must(err)
	}
	w.sleep(hour - second)
	_, err = w.exchange(m, w.request(old, "c", w.clock.Load()), home)
	w.must(err)
	w.sleep(second)
	_, err = w.exchange(m, w.request(old, "d", w.clock.Load()), home)
	wantCode(t, err, core.RequestTokenInvalid)
	_, err = w.exchange(m, w.request(fresh, "e", w.clock.Load()), home)
	w.must(err)
	w.refreshed(m, g.RefreshToken) // rotating a secret ends no session
	// A third secret pushes the first out.
	third, err := w.svc.RotateAPIKey(w.ctx, admin, old.Key.ID, hour, "")
	w.must(err)
	if len(third.Key.Secrets) != 2 {
		t.Fatalf("%d secrets", len(third.Key.Secrets))
	}
}

// TestRequestRefusalsAlike: whoever is refused hears one thing, whatever the
// reason.
func TestRequestRefusalsAlike(t *testing.T) {
	m, acmeOnly, anyone := netography("net", core.DefaultAccount), netography("acme", "acme"), netography("any", core.AnyAccount)
	w := newWorld(t, m, acmeOnly, anyone)
	_, err := w.svc.CreateAccount(w.ctx, admin, "acme")
	w.must(err)
	good, other, off, gone := w.apiKey("", "good"), w.apiKey("", "other"), w.apiKey("", "off"), w.apiKey("", "gone")
	w.must(w.svc.SetAPIKeyState(w.ctx, admin, off.Key.ID, core.Disabled))
	w.must(w.svc.DeleteAPIKey(w.ctx, admin, gone.Key.ID))
	forged, nameless, swapped := *good, *good, *good
	forged.Secret = other.Secret
	unnamed := *good.Key
	unnamed.AppName = "nobody"
	nameless.Key = &unnamed
	wrongKey := *good.Key
	wrongKey.AppKey = other.Key.AppKey
	swapped.Key = &wrongKey
	elsewhere := *good
	elsewhere.Account = "acme"
	for _, c := range []struct {
		name  string
		mount *core.Mount
		tok   string
	}{
		{"wrong secret", m, w.request(&forged, "1", start)},
		{"unknown app", m, w.request(&nameless, "1", start)},
		{"another's appkey", m, w.request(&swapped, "1", start)},
		{"disabled", m, w.request(off, "1", start)},
		{"deleted", m, w.request(gone, "1", start)},
		{"account without this app", anyone, w.request(&elsewhere, "1", start)},
		{"mount of another account", acmeOnly, w.request(good, "1", start)},
		{"outside the window", m, w.request(good, "1", start-hour)},
		{"no token", m, "abc"},
		{"empty", m, ""},
		{"truncated", m, w.request(good, "1", start)[:80]},
	} {
		_, err := w.exchange(c.mount, c.tok, home)
		if core.CodeOf(err) != core.RequestTokenInvalid {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if e := err.(*core.Error); e.Message != "" || e.RetryAfter != 0 || e.Principal != nil {
			t.Errorf("%s: %+v", c.name, e)
		}
	}
	tok := w.request(good, "1", start)
	for n := range len(tok) {
		if _, err := w.exchange(m, tok[:n], home); core.CodeOf(err) != core.RequestTokenInvalid {
			t.Fatalf("prefix of %d: %v", n, err)
		}
	}
	for _, mount := range []*core.Mount{m, anyone} { // the control
		_, err := w.exchange(mount, w.request(good, mount.ID, start), home)
		w.must(err)
	}
	if n := len(w.audits("login")); n != 2 {
		t.Fatalf("%d logins", n)
	}
}

// TestSealedSecretDoesNotOpen: that is our trouble and not the client's, also
// when somebody moved a secret he knows under another key.
func TestSealedSecretDoesNotOpen(t *testing.T) {
	m := netography("net", core.DefaultAccount)
	w := newWorld(t, m)
	k, mine := w.apiKey("", "daemon"), w.apiKey("", "mine")
	for name, secrets := range map[string][]core.APISecret{
		"changed": {{Number: 1, Sealed: []byte("nonsense"), CreatedAt: start}},
		"moved":   mine.Key.Secrets,
	} {
		_, err := w.disk.ChangeAPIKey(w.ctx, &core.ChangeAPIKeyParams{ID: k.Key.ID, Patch: core.APIKeyPatch{Secrets: &secrets}, Now: start})
		w.must(err)
		forged := *k
		forged.Secret = mine.Secret
		for _, who := range []*core.MadeAPIKey{k, &forged} {
			_, err = w.exchange(m, w.request(who, name, start), home)
			if core.CodeOf(err) != core.Unavailable {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if !w.seen.heard("sealed_value") {
			t.Fatalf("%s: no alarm", name)
		}
	}
}

// TestExchangeStoreFails is a 503 wherever it happens.
func TestExchangeStoreFails(t *testing.T) {
	m := netography("net", core.DefaultAccount)
	w := newWorld(t, m)
	k := w.apiKey("", "daemon")
	for _, method := range []string{"APIKeyByName", "ExchangeRequestToken"} {
		w.store.hook(func(m string) error {
			if m == method {
				return errDisk
			}
			return nil
		})
		_, err := w.exchange(m, w.request(k, "1", start), home)
		wantCode(t, err, core.Unavailable)
	}
	w.store.mend()
	_, err := w.exchange(m, w.request(k, "1", start), home)
	w.must(err)
}

// TestRotateWithoutSecret: a key whose secrets are gone (a store restored in
// parts) gets a new one and no panic.
func TestRotateWithoutSecret(t *testing.T) {
	m := netography("net", core.DefaultAccount)
	w := newWorld(t, m)
	k := w.apiKey("", "daemon")
	_, err := w.disk.ChangeAPIKey(w.ctx, &core.ChangeAPIKeyParams{ID: k.Key.ID, Patch: core.APIKeyPatch{Secrets: &[]core.APISecret{}}, Now: start})
	w.must(err)
	_, err = w.exchange(m, w.request(k, "1", start), home)
	wantCode(t, err, core.RequestTokenInvalid)
	fresh, err := w.svc.RotateAPIKey(w.ctx, admin, k.Key.ID, hour, "")
	w.must(err)
	_, err = w.exchange(m, w.request(fresh, "2", start), home)
	w.must(err)
}
